// Whether a path could see when one of its probes failed. Reference points are things known to be up
// elsewhere: a path's own ones, and some origins of every cloud. A failure counts only if some other
// one of them passed in its last probe begun before the failed one, and in its first begun after.
// So nothing that fails while an uplink is cut can ever count, nor what hung during the cut and ends
// when it is over, however many times; and a path that merely loses some probes still sees. It never
// judges an origin: it says whether a failure is to be believed.
//
// And in proportion. What a path loses is counted by cloud, in short spans by when the probes began:
// a failure tells as much less as everything else by that path failed around it, in clouds that have
// nothing to do with it. It is looked at again with each failure that follows, for what hangs is
// known late. So half of everything lost at once is nobody's outage, long before it is everything.

import type { CheckState } from './detect.ts';
import type { Outcome } from './model.ts';

/** What the latest probes of one reference point came to on one path, by when they began. */
export interface Track {
  readonly beganAt: number[];
  readonly passed: boolean[];
}

/** `waiting`: the first probe of a reference point begun after it has not ended yet. */
export type Light = 'clear' | 'waiting' | 'dark';

/** The longest that a track gets; it is then cut to half, which is still longer than any probe. */
const TRACK_MAX = 512;
/** What reference points lose now is counted over this. */
const LOSS_NOW_MS = 10_000;
const CHANCE_NATS = Math.log(1e6);
/** What begins within one span is counted together; so many are kept, and looked at on each side. */
const SPAN_MS = 500;
const SPANS = 128;
const SPANS_AROUND = [2, 4, 8];
/** Standard deviations that chance is given. */
const Z = 2;

/** A check that shows whether a path can see; the origin and cloud it belongs to, if any. */
export interface Reference {
  readonly cs: CheckState;
  readonly origin: string | null;
  readonly cloud: string | null;
}

/** What became of probes by one path to one cloud, by the span they began in: a ring. */
export interface Lot {
  readonly spans: number[];
  readonly total: number[];
  readonly failed: number[];
}

export function newLot(): Lot {
  const zeros = () => new Array<number>(SPANS).fill(0);
  return { spans: zeros(), total: zeros(), failed: zeros() };
}

/** Counts one probe that passed or failed. O(1). */
export function count({ spans, total, failed }: Lot, at: number, outcome: Outcome): void {
  const span = Math.floor(at / SPAN_MS);
  const i = span % SPANS;
  if (spans[i] !== span) {
    // One that hung for longer than is kept tells nothing any more.
    if (spans[i]! > span) return;
    spans[i] = span;
    total[i] = 0;
    failed[i] = 0;
  }
  total[i]!++;
  if (outcome === 'fail') failed[i]!++;
}

/**
 * The share, 0 to 1, that probes to all clouds but one have at least lost by a path around a moment,
 * beyond chance. Of a short time and of longer ones, for little may have been asked, the most counts.
 */
export function lostAround(lots: ReadonlyMap<string, Lot>, own: Lot, at: number): number {
  const span = Math.floor(at / SPAN_MS);
  return Math.max(...SPANS_AROUND.map((around) => lostWithin(lots, own, span, around)));
}

/**
 * The same of so many spans on each side. Where there are several clouds, what they lose without the
 * worst of them bounds it, generously: an outage of its own is no trouble of the path.
 */
function lostWithin(
  lots: ReadonlyMap<string, Lot>,
  own: Lot,
  span: number,
  around: number,
): number {
  let [total, failed, clouds] = [0, 0, 0];
  let [worstTotal, worstFailed] = [0, 0];
  for (const lot of lots.values()) {
    if (lot === own) continue;
    let [n, k] = [0, 0];
    for (let one = span - around; one <= span + around; one++) {
      const i = one % SPANS;
      if (lot.spans[i] !== one) continue;
      n += lot.total[i]!;
      k += lot.failed[i]!;
    }
    if (n === 0) continue;
    clouds++;
    total += n;
    failed += k;
    if (clouds === 1 || k * worstTotal > worstFailed * n) [worstTotal, worstFailed] = [n, k];
  }
  const most = clouds > 1 ? (failed - worstFailed) / (total - worstTotal) : 1;
  return Math.min(most, atLeast(failed, total));
}

/**
 * The least share that loses so many of so many, but for chance: the lower end of Wilson's interval
 * ("Probable Inference", J. Am. Stat. Assoc. 22, 1927). One failure alone tells nothing.
 */
function atLeast(failed: number, total: number): number {
  if (failed < 2) return 0;
  const half = (Z * Z) / 2;
  const spread = Z * Math.sqrt((failed * (total - failed)) / total + half / 2);
  return (failed + half - spread) / (total + 2 * half);
}

export function newTrack(): Track {
  return { beganAt: [], passed: [] };
}

/** Nearly always the latest to begin; a probe that hung finds its place a few steps back. */
export function remember({ beganAt, passed }: Track, at: number, outcome: Outcome): void {
  let i = beganAt.length;
  beganAt.push(at);
  passed.push(outcome === 'pass');
  for (; i > 0 && beganAt[i - 1]! > at; i--) {
    beganAt[i] = beganAt[i - 1]!;
    passed[i] = passed[i - 1]!;
  }
  beganAt[i] = at;
  passed[i] = outcome === 'pass';
  if (beganAt.length <= TRACK_MAX) return;
  beganAt.splice(0, TRACK_MAX / 2);
  passed.splice(0, TRACK_MAX / 2);
}

/**
 * In what light a failure of a probe of `origin` begun at `at` stands. An origin's other checks do
 * not vouch for it; where nothing else could, every failure counts.
 */
export function lightAt(all: readonly Reference[], origin: string | null, at: number): Light {
  let [isOpen, any] = [false, false];
  for (const reference of all) {
    if (reference.origin !== null && reference.origin === origin) continue;
    any = true;
    const light = lightOf(reference.cs, at);
    if (light === 'clear') return 'clear';
    if (light === 'waiting') isOpen = true;
  }
  return isOpen ? 'waiting' : any ? 'dark' : 'clear';
}

function lightOf({ track, pending }: CheckState, at: number): Light {
  if (track === null) return 'dark';
  const { beganAt, passed } = track;
  const after = firstFrom(beganAt, at);
  const before = beganAt[after] === at ? after : after - 1;
  if (before < 0 || !passed[before]) return 'dark';
  for (const began of pending) {
    if (began >= at && (after === beganAt.length || began < beganAt[after]!)) return 'waiting';
  }
  if (after === beganAt.length) return 'waiting';
  return passed[after] ? 'clear' : 'dark';
}

/** The place of the first that is not less; most often near the end. */
function firstFrom(sorted: readonly number[], least: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < least) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The share of probes, 0 to 1, that reference points of other clouds have lost of late, at least by
 * half of them: what only some lose is their own affair. It follows at once when a path gets worse,
 * which a long average does not. What is known to be down says nothing about the path.
 */
export function lossNow(all: readonly Reference[], cloud: string | null, now: number): number {
  const shares: number[] = [];
  for (const { cs, cloud: its } of all) {
    if (cs.track === null || cs.verdict !== 'up' || (its !== null && its === cloud)) continue;
    const { beganAt, passed } = cs.track;
    const from = Math.max(now - LOSS_NOW_MS, cs.sinceAt);
    let [total, failed] = [0, 0];
    for (let i = beganAt.length - 1; i >= 0 && beganAt[i]! >= from; i--) {
      total++;
      if (!passed[i]) failed++;
    }
    // One failure alone tells nothing.
    if (total > 0) shares.push(failed < 2 ? 0 : failed / total);
  }
  shares.sort((a, b) => a - b);
  return shares[(shares.length - 1) >> 1] ?? 0;
}

/**
 * Whether a path is blind: none of its reference points, of whatever cloud, has passed since each
 * of them began to miss, nothing else has passed by it since, and at the path's usual loss that is
 * chance less often than once in a million. One origin alone cannot tell.
 */
export function isDark(all: readonly Reference[], passBeganAt: number, loss: number): boolean {
  let [missed, sinceAt, others] = [0, Number.POSITIVE_INFINITY, false];
  const first = all[0]?.origin ?? null;
  for (const { cs, origin } of all) {
    if (cs.last === null) continue;
    if (cs.missed === 0) return false;
    if (origin === null || origin !== first) others = true;
    missed += cs.missed;
    sinceAt = Math.min(sinceAt, cs.missedSinceAt);
  }
  return others && missed * -Math.log(loss) >= CHANCE_NATS && passBeganAt < sinceAt;
}
