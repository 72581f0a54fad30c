// Who may be taken out of a delegation, and put back, as a pure plan: from what was read at the
// parent, at the apexes and at the name servers to what is to be written, or why nothing is. It must
// never plan an NS set of fewer than two vendors that answer, nor one that the parent's DS forbids,
// nor touch a name that is not the vendor's own. What a person orders it plans; it orders nothing.

import {
  DELEGATION_TEXT_MAX,
  type DelegationMarker,
  formatDelegation,
  nextEpoch,
  parseDelegation,
} from './marker.ts';
import type { Name, NsSeen, RecordConfig } from './model.ts';
import { listOf } from './name.ts';

export interface DelegationOrder {
  readonly kind: 'evict' | 'readmit';
  readonly provider: string;
  readonly zone: Name;
}

/** What is known of one provider that publishes in the zone. */
export interface VendorFacts {
  readonly provider: string;
  /** Providers of one vendor fail together, and count as one. */
  readonly vendor: string;
  /** Host names of its servers, and nobody else's; null: not known. */
  readonly servers: readonly Name[] | null;
  /** One of its servers answers for the zone. */
  readonly speaks: boolean;
  /** Why it may not come back: what it serves is not what the others serve; null: it is. */
  readonly behind: string | null;
  /** What stands at the apex there; a clause says why it cannot be written. */
  readonly apex: NsSeen | string;
}

interface Situation {
  readonly cluster: string;
  /** The parent zone, and what stands there. */
  readonly parentZone: Name;
  readonly parent: NsSeen;
  readonly vendors: readonly VendorFacts[];
  /** Of this order: said twice it is one. */
  readonly id: string;
  /** Whether a marker was signed by a key of this cluster. */
  readonly proves: (marker: DelegationMarker) => boolean;
  /**
   * Why these providers, standing alone in the delegation, would not be believed by whoever
   * validates; null: they would.
   */
  readonly distrust: (providers: readonly string[]) => string | null;
}

/** One set that is to be written; `to` null: it is as it should be. */
interface Wanted {
  readonly from: NsSeen;
  readonly to: readonly Name[];
  /** Markers of other zones beside it, which stay. */
  readonly others: readonly string[];
}

export type DelegationPlan =
  | { readonly kind: 'refused'; readonly sentence: string; readonly cure: string }
  | {
      readonly kind: 'plan';
      /** Unsigned where it is new; as it stands where the parent has it already. */
      readonly marker: DelegationMarker;
      /** null: the parent is as it should be, and the rest is to follow. */
      readonly parent: Wanted | null;
      readonly apexes: readonly (Wanted & { readonly provider: string })[];
      /** Apexes that name the vendor and cannot be written, each as a sentence. */
      readonly closed: readonly string[];
      /** Seconds after which no resolver asks by the old set any more. */
      readonly ttlSeconds: number;
      /** The same of those that go by the parent's set. */
      readonly parentTtlSeconds: number;
      /** What the delegation is afterwards. */
      readonly left: readonly Name[];
    };

/** Vendors that a delegation always keeps. */
const VENDORS_LEAST = 2;

/**
 * What a person may do about who stays behind, as a clause; null: no delegation is configured, or too
 * few would be left. It is proposed, and never done unasked.
 */
export function mayEvict(
  { evictable, publish }: Pick<RecordConfig, 'evictable' | 'publish'>,
  behind: readonly string[],
): string | null {
  if (evictable !== true || publish.length - behind.length < VENDORS_LEAST) return null;
  const words = behind.map((name) => `\`detour evict ${name} --reason TEXT\``);
  return `take it out of the delegation: ${words.join(', ')}`;
}

export function planDelegation(order: DelegationOrder, s: Situation): DelegationPlan {
  const refuse = (sentence: string, cure: string): DelegationPlan => ({
    kind: 'refused',
    sentence,
    cure,
  });
  const { kind, provider, zone } = order;
  const who = s.vendors.find((v) => v.provider === provider);
  if (who === undefined) {
    const all = listOf(s.vendors.map((v) => v.provider));
    return refuse(`${provider} publishes nothing in ${zone}`, `name one of ${all}`);
  }
  const at = markAt(s.parent, zone, s);
  if (at.foreign !== null)
    return refuse(at.foreign, 'let that cluster go, or delete its text there');
  if (s.parent.servers.length === 0) {
    const cure = 'check `delegation` in the configuration: zone and provider of the parent';
    return refuse(`${s.parentZone} has no NS set at ${zone}: it delegates nothing`, cure);
  }
  const theirs = who.servers;
  if (theirs === null || theirs.length === 0) {
    const cure = `set \`nameservers\` of ${provider} to its host names`;
    return refuse(`which name servers are those of ${provider} alone is not known`, cure);
  }
  const next = (set: readonly Name[]) =>
    kind === 'evict'
      ? set.filter((name) => !theirs.includes(name))
      : [...new Set([...set, ...theirs])].toSorted();
  const left = next(s.parent.servers);
  const wrong = kind === 'evict' ? whyNotOut(order, s, left) : whyNotBack(who, s, left);
  if (wrong !== null) return refuse(...wrong);
  const before = at.mine?.out ?? [];
  const out =
    kind === 'evict'
      ? [...new Set([...before, provider])].toSorted()
      : before.filter((name) => name !== provider);
  const isDone = sameSet(left, s.parent.servers) && at.mine !== null && sameSet(out, before);
  const marker = isDone ? at.mine! : newMarker(order, s, out);
  if (marker === null) return refuse('no epoch is left', 'delete the marker of the delegation');
  if (formatDelegation({ ...marker, mac: 'x'.repeat(22) }).length > DELEGATION_TEXT_MAX) {
    const cure = 'give the zone, the cluster or the providers shorter names';
    return refuse(`the marker of ${zone} would not fit into a TXT record`, cure);
  }
  const parent = isDone ? null : { from: s.parent, to: left, others: at.others };
  const parentTtlSeconds = s.parent.ttl ?? 0;
  return {
    kind: 'plan',
    marker,
    parent,
    left,
    parentTtlSeconds,
    ...apexesOf(order, s, { next, marker }),
  };
}

/** Why nobody may be taken out here, with its cure; null: it may. */
function whyNotOut(
  { provider, zone }: DelegationOrder,
  { vendors, distrust }: Situation,
  left: readonly Name[],
): readonly [sentence: string, cure: string] | null {
  const rest = vendors.filter(
    (v) => v.provider !== provider && v.servers?.some((name) => left.includes(name)),
  );
  const alive = rest.filter((v) => v.speaks);
  const kept = new Set(alive.map((v) => v.vendor));
  if (kept.size < VENDORS_LEAST) {
    const names = listOf(alive.map((v) => v.provider)) || 'nobody';
    const mute = rest.filter((v) => !v.speaks).map((v) => v.provider);
    const also = mute.length === 0 ? '' : `; ${listOf(mute)} did not answer for it`;
    const sentence =
      `without ${provider} the delegation of ${zone} would be ${names}${also}: ` +
      `${VENDORS_LEAST} vendors that answer are the least`;
    return [sentence, 'put another vendor into the delegation first, or wait until it answers'];
  }
  const why = distrust(rest.map((v) => v.provider));
  if (why === null) return null;
  const cure = `see what \`detour audit\` says of dnssec in ${zone}`;
  return [`without ${provider} who validates would not be served: ${why}`, cure];
}

/** Why it may not come back, with its cure; null: it may. */
function whyNotBack(
  who: VendorFacts,
  { vendors, distrust }: Situation,
  left: readonly Name[],
): readonly [sentence: string, cure: string] | null {
  const { provider } = who;
  const wait = 'wait until `detour status` shows it in step: Detour brings it there by itself';
  if (!who.speaks) return [`no name server of ${provider} answers for the zone`, wait];
  if (who.behind !== null) return [`${provider} is not in step: ${who.behind}`, wait];
  const all = vendors.filter((v) => v.servers?.some((name) => left.includes(name)));
  const why = distrust(all.map((v) => v.provider));
  if (why === null) return null;
  return [`with ${provider} back who validates would not be served: ${why}`, 'mend DNSSEC first'];
}

function newMarker(
  { zone }: DelegationOrder,
  s: Situation,
  out: readonly string[],
): DelegationMarker | null {
  const seen = [s.parent, ...s.vendors.flatMap((v) => (isSeen(v.apex) ? [v.apex] : []))];
  const epochs = seen.flatMap((place) => markAt(place, zone, s).mine?.epoch ?? []);
  const epoch = nextEpoch(Math.max(0, ...epochs));
  return epoch === null ? null : { cluster: s.cluster, zone, epoch, id: s.id, out };
}

/** What is to follow at the apexes of the other vendors. */
function apexesOf(
  { kind, provider, zone }: DelegationOrder,
  s: Situation,
  about: { readonly next: (set: readonly Name[]) => readonly Name[]; marker: DelegationMarker },
): Pick<Extract<DelegationPlan, { kind: 'plan' }>, 'apexes' | 'closed' | 'ttlSeconds'> {
  const apexes: (Wanted & { readonly provider: string })[] = [];
  const closed: string[] = [];
  let ttlSeconds = s.parent.ttl ?? 0;
  for (const v of s.vendors) {
    if (v.provider === provider) continue;
    if (!isSeen(v.apex)) {
      closed.push(`${v.provider}: ${v.apex}`);
      continue;
    }
    const { mine, others, foreign } = markAt(v.apex, zone, s);
    const to = about.next(v.apex.servers);
    // Only what was taken out is put back: most zones name the servers of their own vendor alone.
    const wasOut = kind === 'evict' || mine?.out.includes(provider) === true;
    if (foreign !== null || !wasOut || sameSet(to, v.apex.servers)) continue;
    if (mine !== null && mine.epoch > about.marker.epoch) continue;
    if (to.length + v.apex.fixed.length === 0) continue;
    ttlSeconds = Math.max(ttlSeconds, v.apex.ttl ?? 0);
    apexes.push({ provider: v.provider, from: v.apex, to, others });
  }
  return { apexes, closed, ttlSeconds };
}

function isSeen(apex: VendorFacts['apex']): apex is NsSeen {
  return typeof apex !== 'string';
}

/** What the markers at one place say of a zone. */
function markAt(
  { markers }: NsSeen,
  zone: Name,
  { cluster, proves }: Situation,
): {
  /** Ours, and the newest. One of our name that we did not sign is nobody's: it is written over. */
  readonly mine: DelegationMarker | null;
  readonly others: readonly string[];
  readonly foreign: string | null;
} {
  let mine: DelegationMarker | null = null;
  let foreign: string | null = null;
  const others: string[] = [];
  for (const text of markers) {
    const marker = parseDelegation(text);
    if (marker === null || marker.zone !== zone) others.push(text);
    else if (marker.cluster !== cluster) {
      foreign = `the cluster ${marker.cluster} has the delegation of ${zone} in its hands`;
    } else if (proves(marker) && marker.epoch > (mine?.epoch ?? -1)) mine = marker;
  }
  return { mine, others, foreign };
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one) => b.includes(one));
}
