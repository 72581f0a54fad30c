// Whether one record stays or moves, and the named reason. A pure table of rules over plain facts:
// the order of the rules is the order of the lines. It never looks anything up, never writes, and
// never treats `unknown` as `down` (design, rules 3, 5, 8 to 12).

import type { Failback, Health, MoveReason, StayReason } from './model.ts';
import { PATIENCE_MAX_MS, type Patience, patienceEndsAt } from './patience.ts';
import type { Flaw } from './standby.ts';
import type { Drill } from './state.ts';

export interface TargetFacts {
  readonly origin: string;
  readonly health: Health;
  /** Since when it has been of this health. */
  readonly sinceAt: number;
  /** When it went down; cleared only by `up`. Null: not down since it was last up. */
  readonly downSinceAt: number | null;
  /** When it began to fail; set and cleared with it. */
  readonly failingSinceAt: number | null;
  /** Null once the verdict has settled, or the time given to it is over; else when that is. */
  readonly settlesAt: number | null;
  readonly drained: boolean;
  /** Its name's chain was found broken or unanswered a moment ago. */
  readonly unresolved: boolean;
  /** Its cloud or region is failing, since then; null when not. Such a target ranks last. */
  readonly doomedSinceAt: number | null;
  /** It came and went of late: until then steadier targets go before it. */
  readonly trustedAt: number;
  /** What an audit of late found wrong with how it serves the public names; null: nothing. */
  readonly flaw: Flaw | null;
}

export interface Situation {
  readonly now: number;
  readonly leader: boolean;
  readonly storeOk: boolean;
  /** Not most replicas of the group have this definition of it, in words; null: they do, or alone. */
  readonly differs: { readonly sentence: string; readonly sinceAt: number } | null;
  /** The reason given for a freeze; null when nothing is frozen. */
  readonly frozen: string | null;
  readonly deposed: boolean;
  /** No epoch is left for another switch, and what to do about it; null when some are. */
  readonly spent: string | null;
  /** Why the record is not Detour's to steer yet; null when it is. */
  readonly unowned: { readonly reason: StayReason; readonly sentence: string } | null;
  readonly retired: boolean;
  /** No path can see anything. */
  readonly blind: boolean;
  /** A provider has neither been read nor given up on. */
  readonly reading: boolean;
  readonly current: string | null;
  readonly pin: { readonly target: string; readonly reason: string } | null;
  /** The live drill that it is in. */
  readonly drill: Drill | null;
  /** In order of preference. */
  readonly targets: readonly TargetFacts[];
  readonly patienceMs: number;
  /** For the target in force, by its origin's history; and the most that any history makes of it. */
  readonly patience: Patience;
  readonly patienceBoundMs: number;
  /** Nothing was up a moment ago: until then what is still down may be coming back as well. */
  readonly dawnUntilAt: number;
  readonly failback: Failback;
  /** Since when nothing has disturbed a failback: the last switch or the end of a pin. */
  readonly quietSinceAt: number;
  readonly lanesInStep: boolean;
  /** Times of the automatic switches of the last hour, oldest first. */
  readonly switches: readonly number[];
  /** How many of these proved needless: what was left came back before clients could follow. */
  readonly needless: number;
  readonly switchesPerHour: number;
  /** When a switch was last made on a spent budget (rule 10). */
  readonly overspentAt: number | null;
}

export type Decision =
  | {
      readonly kind: 'stay';
      readonly reason: StayReason;
      readonly sentence: string;
      /** When the answer could change by time alone; null: never by itself. */
      readonly wakeAt: number | null;
    }
  | {
      readonly kind: 'move';
      readonly to: string;
      readonly why: MoveReason;
      /** It goes beyond the budget, by the exception of rule 10. */
      readonly overspends: boolean;
      readonly sentence: string;
    };

export const HOUR_MS = 3_600_000;
/** A change that goes from machine to machine, restarts included, is over by then. */
export const DIFFERS_TOLD_MS = 60_000;
/** Those of the last hour: what counts against the budget of automatic switches. */
export function ofLastHour(switches: readonly number[], now: number): readonly number[] {
  // Most records have not moved for long, and this is asked at every look at one.
  return switches.length === 0 ? switches : switches.filter((at) => now - at < HOUR_MS);
}

/** Rule 10: once in 30 minutes, to a target that has been up for 5. */
const OVERSPEND_EVERY_MS = 1_800_000;
const OVERSPEND_UP_MS = 300_000;

export function decide(s: Situation): Decision {
  return blockedBy(s) ?? moveOrStay(s);
}

/** Everything that forbids an automatic decision, whatever the health. */
function blockedBy(s: Situation): Decision | null {
  if (!s.leader) return stay('no-lease', 'another replica holds the lease');
  if (!s.storeOk) return stay('store-failed', 'the store cannot commit: no automatic switch');
  if (s.differs !== null) {
    const toldAt = s.differs.sinceAt + DIFFERS_TOLD_MS;
    return stay('definitions-differ', s.differs.sentence, s.now < toldAt ? toldAt : null);
  }
  // What a drill moved is put back in a freeze, too: that was decided when it began.
  if (s.frozen !== null && wayHome(s) === null) return stay('frozen', `frozen: ${s.frozen}`);
  if (s.spent !== null) return stay('epochs-spent', s.spent);
  if (s.deposed) return stay('deposed', 'somebody else wrote a higher epoch: run `detour ack`');
  if (s.reading) return stay('reading', 'not every provider has been read yet');
  if (s.unowned !== null) return stay(s.unowned.reason, s.unowned.sentence);
  if (s.pin !== null) return stay('pinned', `pinned to ${s.pin.target}: ${s.pin.reason}`);
  if (s.retired) {
    return stay(
      'retired',
      `${s.current} is in force and no longer configured: run \`detour switch\``,
    );
  }
  const unsettled = s.targets.filter((t) => t.settlesAt !== null);
  if (unsettled.length > 0) {
    const names = unsettled.map((t) => t.origin).join(', ');
    const settlesAt = Math.max(...unsettled.map((t) => t.settlesAt ?? 0));
    return stay('settling', `the verdict on ${names} has not settled`, settlesAt);
  }
  return null;
}

function moveOrStay(s: Situation): Decision {
  const current = s.targets.find((t) => t.origin === s.current)!;
  const drilled = drillStep(s, current);
  if (drilled !== null) return drilled;
  if (current.health === 'up' && !current.drained) return failback(s, current);
  const others = s.targets.filter((t) => t !== current && t.health === 'up' && !t.drained);
  const resolved = others.filter((t) => !t.unresolved);
  const able = serving(resolved, current.health === 'up' ? current : null);
  const usable = ranked(s, current, able);
  if (current.drained && usable.length > 0) {
    return move(s, usable[0]!, 'drained', `${current.origin} is drained`);
  }
  if (current.health === 'unknown' && s.blind) {
    return stay('blind', 'no path can see anything: it is us, not them');
  }
  if (current.health === 'unknown') {
    return stay('target-unknown', `${current.origin} is unknown, and unknown is not down`);
  }
  if (current.health === 'up') {
    // It is drained, and nothing else can be taken.
    const none = others.length > 0 ? 'no other target resolves' : 'no other target is up';
    const unfit = resolved.map(flawed);
    const why =
      unfit.length === 0 ? none : `no other target serves its names (${unfit.join(', ')})`;
    return stay('target-up', `${current.origin} is drained and up, and ${why}`, freshAt(resolved));
  }
  const patientUntil = patienceEndsAt(current, s.patienceMs, s.patience) ?? s.now;
  if (s.now < patientUntil) {
    const { ms, why } = s.patience;
    const longer = why === null ? '' : ` of ${Math.round(ms / 1000)} s: ${why}`;
    const sentence = `${current.origin} is down; waiting out patience${longer}`;
    return stay('patience', sentence, patientUntil);
  }
  if (s.now < s.dawnUntilAt) {
    const sentence = `everything was down; ${current.origin} is given time to come back too`;
    return stay('settling', sentence, s.dawnUntilAt);
  }
  if (usable.length === 0) {
    const doomed = able.find((t) => t.doomedSinceAt !== null);
    if (doomed !== undefined) {
      const serves = able.length < resolved.length ? ' and serves its names' : '';
      const alone = `only ${doomed.origin} is up${serves}`;
      const text = `${alone}, and its cloud is failing; waiting out patience`;
      return stay('patience', text, doomedUntil(s, doomed));
    }
    return nobodyUp(s, current, others.length > 0);
  }
  return leaveDown(s, current, usable);
}

/** Where a live drill goes next, or stays; null: it has no say, as when its target fails. */
function drillStep(s: Situation, current: TargetFacts): Decision | null {
  const { drill } = s;
  if (drill === null) return null;
  const home = wayHome(s);
  if (home !== null) return move(s, home, 'drill', drill.trouble ?? 'its live drill is over');
  const isWell = current.health === 'up' && !current.drained;
  if (!isWell) return null;
  const to = s.targets.find((t) => t.origin === drill.to);
  if (drill.stage === 'confirming' && to?.health === 'up' && !to.unresolved) {
    return move(s, to, 'drill', `live drill by ${drill.by}: ${drill.reason}`);
  }
  const waits =
    drill.stage === 'ending' ? `; it comes back once ${drill.from} is seen to be up` : '';
  return stay('drilling', `a live drill ${drill.from} -> ${drill.to} is ${drill.stage}${waits}`);
}

/** Where a drill that is to end goes back to, if that can be done now; else null. */
function wayHome({ drill, targets }: Situation): TargetFacts | null {
  if (drill?.stage !== 'ending') return null;
  const home = targets.find((t) => t.origin === drill.from);
  return home?.health === 'up' && !home.drained && !home.unresolved ? home : null;
}

/**
 * Without those that an audit found not to serve the public names, while one of the others does, or
 * the target in force where that need not be left. Where none does it is as if nothing were known: an
 * audit never leaves a record without a place to go.
 */
function serving(all: readonly TargetFacts[], kept: TargetFacts | null): readonly TargetFacts[] {
  const fit = all.filter((t) => t.flaw?.word !== 'unfit');
  const isServed = fit.length > 0 || (kept !== null && kept.flaw?.word !== 'unfit');
  return isServed ? fit : all;
}

/** Why a target is passed over. */
function flawed({ origin, flaw }: TargetFacts): string {
  return `${origin}: ${flaw?.why}`;
}

/** When the first flaw among these is no longer known; null: there is none. */
function freshAt(all: readonly TargetFacts[]): number | null {
  const ends = all.flatMap(({ flaw }) => flaw?.untilAt ?? []);
  return ends.length === 0 ? null : Math.min(...ends);
}

/**
 * Those that can be taken, in the order they are to be: by preference, then those with a flaw, then
 * those that flap, then those whose cloud or region is failing, which must have stayed up through
 * patience (rule 3).
 */
function ranked(s: Situation, current: TargetFacts, others: readonly TargetFacts[]) {
  const isReady = (t: TargetFacts) =>
    t.doomedSinceAt === null || current.drained || s.now >= doomedUntil(s, t);
  const rank = ({ doomedSinceAt, trustedAt, flaw }: TargetFacts) =>
    doomedSinceAt !== null ? 3 : trustedAt > s.now ? 2 : flaw !== null ? 1 : 0;
  const usable = others.filter(isReady);
  // Sorting is stable: what ranks alike stays in the order of preference.
  return usable.length < 2 ? usable : usable.sort((a, b) => rank(a) - rank(b));
}

function doomedUntil(s: Situation, t: TargetFacts): number {
  return Math.max(t.sinceAt, t.doomedSinceAt ?? 0) + s.patienceMs;
}

function leaveDown(s: Situation, current: TargetFacts, usable: readonly TargetFacts[]): Decision {
  if (s.switches.length < s.switchesPerHour) {
    return move(s, usable[0]!, 'target-down', `${current.origin} is down`);
  }
  // What was needless is not held against an outage that outlasts any patience; nor is it twice.
  const wasted = Math.min(s.needless, s.switchesPerHour);
  const spent = s.switches.length - wasted;
  const lastsAt = (current.downSinceAt ?? s.now) + Math.max(s.patienceBoundMs, PATIENCE_MAX_MS);
  const mayLeave = spent < s.switchesPerHour;
  if (mayLeave && s.now >= lastsAt) {
    const but = `${wasted} of ${s.switches.length} switches of the last hour were needless`;
    return move(s, usable[0]!, 'target-down', `${current.origin} is down and stays so; ${but}`);
  }
  const restedAt = s.overspentAt === null ? s.now : s.overspentAt + OVERSPEND_EVERY_MS;
  const steady = usable.find((t) => s.now - t.sinceAt >= OVERSPEND_UP_MS);
  if (s.now >= restedAt && steady !== undefined) {
    return move(s, steady, 'target-down', `${current.origin} is down; budget spent`, true);
  }
  const steadyAt = Math.min(...usable.map((t) => t.sinceAt + OVERSPEND_UP_MS));
  const refillAt = s.switches[s.switches.length - s.switchesPerHour]! + HOUR_MS;
  return stay(
    'budget-spent',
    `${s.switches.length} automatic switches in the last hour: run \`detour ack\` to allow more`,
    Math.min(refillAt, Math.max(restedAt, steadyAt), mayLeave ? lastsAt : refillAt),
  );
}

function failback(s: Situation, current: TargetFacts): Decision {
  const preferred = s.targets.slice(0, s.targets.indexOf(current));
  const fit = (t: TargetFacts) => t.health === 'up' && !t.drained && !t.unresolved;
  const ready = preferred.filter((t) => fit(t) && t.doomedSinceAt === null && t.trustedAt <= s.now);
  // It may go back or stay: it never goes where an audit found that names are not served.
  const [best] = ready.filter((t) => t.flaw?.word !== 'unfit');
  if (best === undefined) {
    const left = ready.length === 0 ? '' : `, and better ones do not serve its names`;
    const why = left === '' ? '' : `${left} (${ready.map(flawed).join(', ')})`;
    return stay('target-up', `${current.origin} is up${why}`, freshAt(ready));
  }
  if (s.failback.kind === 'manual') {
    return stay('failback-manual', `${best.origin} is up again; failback is manual`);
  }
  const dueAt = Math.max(best.sinceAt, s.quietSinceAt) + s.failback.ms;
  if (s.now < dueAt || !s.lanesInStep) {
    const wakeAt = s.now < dueAt ? dueAt : null;
    return stay('failback-waiting', `${best.origin} must stay up a while longer`, wakeAt);
  }
  if (s.switches.length >= s.switchesPerHour - 1) {
    const wakeAt = (s.switches.at(-s.switchesPerHour + 1) ?? s.now) + HOUR_MS;
    return stay('budget-kept', 'the last switch of the budget is kept for an outage', wakeAt);
  }
  return move(s, best, 'failback', `${best.origin} has been up long enough`);
}

/** Why each target was taken or not, in one word each: for those who ask later. */
export function alternatives(
  s: Situation,
  chosen: string,
): { readonly origin: string; readonly why: string }[] {
  return s.targets.map((t) => ({ origin: t.origin, why: whyNot(s, t, chosen) }));
}

function whyNot(s: Situation, t: TargetFacts, chosen: string): string {
  if (t.origin === chosen) return 'chosen';
  if (t.origin === s.current) return `in force: ${t.drained ? 'drained' : t.health}`;
  if (t.health !== 'up') return t.health;
  if (t.drained) return 'drained';
  if (t.unresolved) return 'its name does not resolve';
  if (t.flaw?.word === 'unfit') return `it cannot serve the public names: ${t.flaw.why}`;
  if (t.doomedSinceAt !== null) return 'its cloud or region is failing';
  if (t.trustedAt > s.now) return 'came and went of late';
  return t.flaw?.why ?? 'less preferred';
}

function nobodyUp(s: Situation, current: TargetFacts, unresolved: boolean): Decision {
  const rest = s.targets
    .filter((t) => t !== current)
    .map((t) => `${t.origin} ${t.drained ? 'drained' : t.unresolved ? 'unresolved' : t.health}`);
  const why = unresolved ? 'no other target resolves' : 'no other target is up';
  const list = rest.length > 0 ? ` (${rest.join(', ')})` : '';
  return stay('no-target-up', `${current.origin} is down and ${why}${list}`);
}

function move(
  s: Situation,
  to: TargetFacts,
  why: MoveReason,
  because: string,
  overspends = false,
): Decision {
  const sentence = `${s.current} -> ${to.origin}: ${because}${overFlaws(s, to)}`;
  return { kind: 'move', to: to.origin, why, overspends, sentence };
}

/** Who was passed over for a flaw; or that the one that is taken has one. */
function overFlaws({ targets, current }: Situation, to: TargetFacts): string {
  const before = targets.slice(0, targets.indexOf(to)).filter((t) => {
    const isTakable = t.origin !== current && t.health === 'up' && !t.drained && !t.unresolved;
    return isTakable && t.flaw !== null && t.flaw.word !== to.flaw?.word;
  });
  if (before.length > 0) return `; passed over ${before.map(flawed).join(', ')}`;
  return to.flaw?.word === 'unfit' ? `; nothing that is up serves its names: ${to.flaw.why}` : '';
}

function stay(reason: StayReason, sentence: string, wakeAt: number | null = null): Decision {
  return { kind: 'stay', reason, sentence, wakeAt };
}
