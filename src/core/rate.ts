// How fast one place may be asked: an origin by all its checks and paths, a service of a cloud, a
// reference point. What we ask must never be what fails it (design, rule 31). Calm, nothing is held
// back: probes by the clock are the plain rate, and doubt spends an allowance on top that holds what
// one decision needs and refills at the plain rate. A place that answers that it is asked too often
// is from then on asked at even distances, below the rate it refused at, by the clock as in doubt.
// It only counts: what is asked, and what an answer means, others say.

/** Probes that one decision needs where some are lost: few paths have to say as much as three. */
const ALLOWANCE_MIN = 24;
const ALLOWANCE_PER_WAY = 8;
/** However rarely the clocks ask, doubt may ask so many times a second, or nothing would recover. */
const DOUBT_LEAST = 0.2;
/** Of the allowance of doubt, what a recovery leaves. */
const RECOVERY_LEAVES = 0.75;
/** What may be asked besides, of what doubt about the place itself may. */
const ASIDE_SHARE = 0.5;
/** The same of ends of held connections, and of the allowance what they may take at once. */
const ENDED_SHARE = 0.25;
const ENDED_AT_ONCE = 0.5;
/** Of the whole rate, what probes by the clock may take: the rest is for doubt. */
const CLOCK_SHARE = 0.75;
/** Below the rate that was refused. */
const LOWERED = 0.5;
/** However often it refuses, each check by each path is asked once in so long. */
const LEAST_EVERY_MS = 300_000;
/** Refused again, nothing answered in between, a place is left alone: so long, then twice that. */
const PAUSE_MS = 2_000;
/** However long a place asks to be left alone, or goes on refusing. */
const PAUSE_MAX_MS = 120_000;
/** A limit is tried again after this; met again, after twice as long, up to the other. */
const HOLD_MS = 3_600_000;
const HOLD_MAX_MS = 86_400_000;

export interface Rate {
  /** Probes a second by the clock, of all its checks by all their paths. */
  plain: number;
  /** Checks times paths. */
  ways: number;
  /** Replicas that ask it, each for its share of what is allowed beside the clock; 1: alone. */
  sharers: number;
  /** Probes a second at most, as configured; null: twice the plain rate, and bursts. */
  set: number | null;
  /**
   * Probes that doubt about it may still make on top of those by the clock (below 0: a decision
   * overdrew), those that find out whether it has recovered, those that doubt about others may make,
   * to whom it shows what a path can see, and those that find out what the end of a held connection
   * means. What one has spent delays no other.
   */
  tokens: number;
  recovery: number;
  witness: number;
  ended: number;
  refilledAt: number;
  /** Probes begun in the second that began then, and in the one before. */
  secondAt: number;
  begun: number;
  before: number;
  /** Where a rate is set or a limit is known: when the next probe may begin. */
  nextAt: number;
  limit: Limit | null;
  /** For how long the limit met last is not tried again. */
  holdMs: number;
}

/** What a place has answered that is asked too often. */
interface Limit {
  /** Probes a second that it is asked at most. */
  perSecond: number;
  readonly sinceAt: number;
  /** What began before was asked at the old rate: it teaches nothing more. */
  changedAt: number;
  /** It was asked faster again after a while without refusals. */
  raised: boolean;
  /** Refusals in a row, with nothing passed in between. */
  refusals: number;
  /** It is left alone until then. */
  pausedUntil: number;
  /** As long as that pause was meant to be. */
  pauseMs: number;
}

export function newRate(now: number): Rate {
  return {
    ...{ plain: 0, ways: 0, sharers: 1, set: null, refilledAt: now },
    ...{ tokens: Number.POSITIVE_INFINITY, recovery: Number.POSITIVE_INFINITY },
    ...{ witness: Number.POSITIVE_INFINITY, ended: Number.POSITIVE_INFINITY },
    ...{ secondAt: now, begun: 0, before: 0, nextAt: 0, limit: null, holdMs: 0 },
  };
}

/** Probes that a calm place takes at once in doubt. */
function allowance({ ways, sharers }: Rate): number {
  return Math.max(ALLOWANCE_MIN / sharers, ALLOWANCE_PER_WAY * ways);
}

/** Probes a second in the long run, however great the doubt. */
function whole(rate: Rate): number {
  const usual = rate.set ?? rate.plain + Math.max(rate.plain, DOUBT_LEAST / rate.sharers);
  return rate.limit === null ? usual : Math.min(usual, rate.limit.perSecond);
}

/** The distance to keep between two probes; 0 where bursts are allowed. */
function gapMs({ set, limit }: Rate): number {
  const infinite = Number.POSITIVE_INFINITY;
  return 1000 / Math.min(set ?? infinite, limit?.perSecond ?? infinite);
}

/** How many times slower than configured the clock goes here; 1 where nothing is in the way. */
export function slowness(rate: Rate): number {
  return Math.max(1, rate.plain / (CLOCK_SHARE * whole(rate)));
}

/** The interval that silence is measured by: as slow as it is asked here, or is left alone. */
export function slowedMs(rate: Rate, intervalMs: number, now: number): number {
  const { limit } = rate;
  if (limit === null && rate.set === null) return intervalMs;
  const slow = intervalMs * slowness(rate);
  // After a pause each check by each path has to come round first.
  const isLeftAlone = limit !== null && now < limit.pausedUntil + 2 * slow;
  return isLeftAlone ? Math.max(slow, limit.pauseMs) : slow;
}

/** How long the next probe has to wait for distance alone. */
function gapLeftMs(rate: Rate, now: number): number {
  if (rate.limit === null && rate.set === null) return 0;
  return Math.max(0, rate.nextAt - now, (rate.limit?.pausedUntil ?? 0) - now);
}

/** Milliseconds that a probe by the clock has to wait, last made then; 0: it may begin. */
export function waitByClockMs(
  rate: Rate,
  intervalMs: number,
  askedAt: number,
  now: number,
): number {
  const slow = slowness(rate);
  const turn = slow === 1 ? 0 : askedAt + slow * intervalMs - now;
  return Math.ceil(Math.max(0, turn, gapLeftMs(rate, now)));
}

/** Fills up what doubt has spent; probes a millisecond that doubt has in the long run. */
function refill(rate: Rate, now: number): number {
  const most = allowance(rate);
  const perMs = (whole(rate) - rate.plain / slowness(rate)) / 1000;
  const more = (now - rate.refilledAt) * perMs;
  rate.tokens = Math.min(most, rate.tokens + more);
  rate.recovery = Math.min(most, rate.recovery + more * ASIDE_SHARE);
  rate.witness = Math.min(most, rate.witness + more * ASIDE_SHARE);
  rate.ended = Math.min(most * ENDED_AT_ONCE, rate.ended + more * ENDED_SHARE);
  rate.refilledAt = now;
  return perMs;
}

/**
 * Milliseconds that a probe beside those by the clock has to wait; 0: it may begin, and is paid for.
 * `keep`: the share of the allowance that is not for it; below 0 it may overdraw.
 */
export function waitForExtraMs(rate: Rate, keep: number, now: number): number {
  const perMs = refill(rate, now);
  const short = keep * allowance(rate) + 1 - rate.tokens;
  const waitMs = Math.ceil(Math.max(gapLeftMs(rate, now), short > 0 ? short / perMs : 0));
  if (waitMs <= 0) rate.tokens--;
  return waitMs;
}

/**
 * The same for a probe that may show that it has recovered; where that is spent, from what doubt has
 * beyond what the next decision needs: whoever has just come back is the likeliest to fail again.
 */
export function waitForRecoveryMs(rate: Rate, now: number): number {
  refill(rate, now);
  if (rate.recovery < 1) return waitForExtraMs(rate, RECOVERY_LEAVES, now);
  const waitMs = Math.ceil(gapLeftMs(rate, now));
  if (waitMs <= 0) rate.recovery--;
  return waitMs;
}

/** Whether it may be asked for the sake of others; then that is paid for. */
export function mayWitness(rate: Rate, now: number): boolean {
  refill(rate, now);
  if (rate.witness < 1 || gapLeftMs(rate, now) > 0) return false;
  rate.witness--;
  return true;
}

/** Whether it may be asked because a connection that was held has ended; then that is paid for. */
export function mayAskOfEnd(rate: Rate, now: number): boolean {
  refill(rate, now);
  if (rate.ended < 1 || gapLeftMs(rate, now) > 0) return false;
  rate.ended--;
  return true;
}

/** An extra probe that was paid for was not made after all. */
export function giveBack(rate: Rate): void {
  rate.tokens++;
}

/** A probe begins. True: the limit has been kept for so long that it is forgotten. */
export function countProbe(rate: Rate, now: number): boolean {
  roll(rate, now);
  rate.begun++;
  if (rate.limit === null && rate.set === null) return false;
  const isOver = rate.limit !== null && ease(rate, rate.limit, now);
  rate.nextAt = now + gapMs(rate);
  return isOver;
}

/** Refused for long enough no more, a place is asked twice as fast; beyond a burst, as ever. */
function ease(rate: Rate, limit: Limit, now: number): boolean {
  if (now - limit.changedAt < rate.holdMs || limit.refusals > 0) return false;
  limit.perSecond *= 2;
  limit.changedAt = now;
  limit.raised = true;
  if (limit.perSecond < allowance(rate) + 2 * rate.plain) return false;
  rate.limit = null;
  return true;
}

function roll(rate: Rate, now: number): void {
  const passed = now - rate.secondAt;
  if (passed < 1000) return;
  rate.before = passed < 2000 ? rate.begun : 0;
  rate.begun = 0;
  rate.secondAt = now;
}

/** A probe passed: it is served again. */
export function countPass({ limit }: Rate, startedAt: number): void {
  if (limit !== null && startedAt >= limit.changedAt) limit.refusals = 0;
}

/**
 * A probe was answered that there are too many. `askedForMs`: how long it asked to be left alone; 0
 * where it did not say. True when it is asked more slowly from now on.
 */
export function countRefusal(
  rate: Rate,
  startedAt: number,
  askedForMs: number,
  now: number,
): boolean {
  const { limit } = rate;
  const isOld = limit !== null && startedAt < limit.changedAt;
  const refusals = (limit?.refusals ?? 0) + (isOld ? 0 : 1);
  // Once it is known to refuse everything, going slower teaches nothing: it wants to be left alone.
  const ownMs = refusals < 2 ? 0 : PAUSE_MS * 2 ** Math.min(refusals - 2, 20);
  const pauseMs = Math.min(PAUSE_MAX_MS, Math.max(askedForMs, ownMs));
  const next = limit ?? newLimit(now);
  const isNews = limit === null || (!isOld && limit.refusals === 0);
  if (isNews) lower(rate, next, now);
  rate.limit = next;
  next.refusals = refusals;
  if (!isOld) next.changedAt = now;
  if (now + pauseMs > next.pausedUntil) {
    next.pausedUntil = now + pauseMs;
    next.pauseMs = pauseMs;
  }
  rate.nextAt = Math.max(rate.nextAt, now + gapMs(rate));
  return isNews;
}

function newLimit(now: number): Limit {
  return {
    ...{ perSecond: Number.POSITIVE_INFINITY, sinceAt: now, changedAt: now, raised: false },
    ...{ refusals: 0, pausedUntil: 0, pauseMs: 0 },
  };
}

function lower(rate: Rate, limit: Limit, now: number): void {
  roll(rate, now);
  const met = Math.min(limit.perSecond, Math.max(1, rate.begun, rate.before));
  const least = Math.min(rate.plain, (1000 * rate.ways) / LEAST_EVERY_MS);
  if (limit.raised || rate.limit === null) {
    rate.holdMs = Math.min(HOLD_MAX_MS, Math.max(HOLD_MS, 2 * rate.holdMs));
  }
  limit.perSecond = Math.max(least, met * LOWERED);
  limit.raised = false;
}

/** Whether the last that it answered is that it is asked too often. */
export function isRefusing({ limit }: Rate): boolean {
  return limit !== null && limit.refusals > 0;
}

/** The limit that it is known to have; null where none was met. */
export function limitOf(rate: Rate): Pick<Limit, 'perSecond' | 'sinceAt' | 'pausedUntil'> | null {
  return rate.limit;
}

/**
 * How long after an outage begins a check is judged down at the latest, in milliseconds, where
 * nothing is lost on the way; without the time that its probes take to fail.
 */
export function detectionMs(
  rate: Rate,
  check: { readonly intervalMs: number; readonly confirmMs: number; readonly fall: number },
  paths: number,
  /** Of those, how many are asked from here: the rate is theirs. */
  here = paths,
): { readonly plainMs: number; readonly slowedMs: number } {
  const wanted = check.fall * Math.max(1, here);
  const firstMs = check.intervalMs / Math.max(1, paths);
  const plainMs = Math.round(firstMs + check.fall * check.confirmMs);
  if (rate.limit === null && rate.set === null) return { plainMs, slowedMs: plainMs };
  const confirmMs = Math.max(check.fall * check.confirmMs, wanted * gapMs(rate));
  return { plainMs, slowedMs: Math.round(firstMs * slowness(rate) + confirmMs) };
}
