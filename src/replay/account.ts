// Minutes of outage, as clients feel them. A client holds an answer that it fetched at some moment
// within the last TTL, from one of the record's vendors, each as likely as the next; where a vendor
// does not answer, it asks another, and where none does it has no answer. A minute in which half of
// the answers lead to what fails counts as half a minute, and so does one in which half of the
// requests fail. Arithmetic alone: it knows neither the engine nor an outage.

interface Ledger {
  readonly startsAt: number;
  readonly endsAt: number;
  readonly vendors: readonly {
    /** Seconds for which an answer is kept. */
    readonly ttl: number;
    /** What it gives from a moment on, by the number of the target; null: nothing. */
    readonly gives: readonly { readonly at: number; readonly target: number | null }[];
  }[];
  /** From each moment on: the share of requests that fail at each target, and who is silent. */
  readonly phases: readonly {
    readonly at: number;
    readonly failing: readonly number[];
    readonly silent: readonly number[];
  }[];
  /** Vendors, by number, that are taken out of the delegation; absent: none. */
  readonly evicted?: readonly {
    readonly vendor: number;
    readonly at: number;
    /** Resolvers forget the delegation evenly over so long, in milliseconds: its TTL. */
    readonly overMs: number;
  }[];
}

const STEP_MS = 1000;
/** Longer than any outage: an answer kept for longer is kept throughout. */
const TTL_MOST = 86_400;

/** Looked at each second: within a second of the truth for every change. */
export function minutesFailing(l: Ledger): number {
  const bad = (shares: readonly number[]) => shares.some((share) => share > 0);
  if (!l.phases.some((p) => bad(p.failing) || bad(p.silent))) return 0;
  const targets = l.phases[0]?.failing.length ?? 0;
  const count = l.vendors.length;
  const caches = l.vendors.map((v) => cacheOf(v.ttl, targets, v.gives[0]?.target ?? null));
  const [at, phase] = [l.vendors.map(() => 0), { at: 0 }];
  const [mix, fresh] = [new Float64Array(targets + 1), new Int32Array(count)];
  const silent = new Float64Array(count);
  let seconds = 0;
  for (let t = l.startsAt; t < l.endsAt; t += STEP_MS) {
    while ((l.phases[phase.at + 1]?.at ?? Number.POSITIVE_INFINITY) <= t) phase.at++;
    const { failing } = l.phases[phase.at]!;
    silent.set(l.phases[phase.at]!.silent);
    // Who no longer knows a vendor asks the others, as where it is silent.
    for (const { vendor, at: from, overMs } of l.evicted ?? []) {
      const forgotten = Math.min(1, Math.max(0, (t - from) / overMs));
      silent[vendor] = Math.max(silent[vendor]!, forgotten);
    }
    let speaking = 0;
    for (let i = 0; i < count; i++) {
      const { gives } = l.vendors[i]!;
      while ((gives[at[i]! + 1]?.at ?? Number.POSITIVE_INFINITY) <= t) at[i]!++;
      fresh[i] = gives[at[i]!]?.target ?? targets;
      speaking += 1 - silent[i]!;
    }
    for (let i = 0; i < count; i++) {
      mix.fill(0);
      for (let j = 0; j < count; j++) {
        const own = i === j ? 1 - silent[i]! : 0;
        const others = speaking > 0 ? (silent[i]! * (1 - silent[j]!)) / speaking : 0;
        mix[fresh[j]!]! += own + others;
      }
      if (speaking === 0) mix[targets]! += 1;
      const held = caches[i]!.keep(mix);
      for (let k = 0; k < targets; k++) seconds += (held[k]! * failing[k]!) / count;
      seconds += held[targets]! / count;
    }
  }
  return seconds / 60;
}

interface Cache {
  /** Takes what is fetched in this second; gives what clients hold, as shares of the targets. */
  keep(fetched: Float64Array): Float64Array;
}

function cacheOf(ttl: number, targets: number, first: number | null): Cache {
  const length = Math.min(TTL_MOST, Math.max(1, Math.round(ttl)));
  const width = targets + 1;
  const sums = new Float64Array(width);
  sums[first ?? targets] = length;
  const ring = new Float64Array(length * width);
  for (let i = 0; i < length; i++) ring[i * width + (first ?? targets)] = 1;
  const shares = new Float64Array(width);
  let next = 0;
  return {
    keep(fetched) {
      for (let k = 0; k < width; k++) {
        const slot = next * width + k;
        sums[k]! += fetched[k]! - ring[slot]!;
        ring[slot] = fetched[k]!;
        shares[k] = sums[k]! / length;
      }
      next = (next + 1) % length;
      return shares;
    },
  };
}
