// What a decision looks at, gathered from the state: one record's situation, as `decide` takes it. It
// decides nothing and changes nothing.

import { isOut } from './cell.ts';
import { ofLastHour, type Situation, type TargetFacts } from './decide.ts';
import { nobodySees } from './judge.ts';
import { nextEpoch } from './marker.ts';
import type { Name } from './model.ts';
import { boundOf, patienceOf } from './patience.ts';
import { flawOf } from './standby.ts';
import type { OriginState, RecordState, State } from './state.ts';
import { settleMs } from './watch.ts';

/** `waits`: why a record with nothing in force waits, where that was just found out. */
export function situation(state: State, r: RecordState, waits: Situation['unowned']): Situation {
  const { doc } = r;
  let reading = false;
  let lanesInStep = true;
  for (const cell of r.cells.values()) {
    if (cell.reading === 'pending') reading = true;
    if (!isOut(cell) && cell.visibleAt === null) lanesInStep = false;
  }
  const configured = r.config.targets.some((t) => t.origin === doc.target && t.cname === doc.cname);
  const freeze = r.doc.freeze ?? state.freeze;
  const maintained = state.maintained.records.get(r.name);
  const unadopted = { reason: 'not-adopted' as const, sentence: 'nothing is in force yet' };
  return {
    now: state.now,
    leader: state.lease.held,
    storeOk: state.storeOk,
    differs: r.differs,
    frozen: freeze?.reason ?? (maintained && `maintenance, ${maintained.window}`) ?? null,
    deposed: doc.deposed !== null,
    spent: isSpent(r) ? spentSays(r.name) : null,
    unowned: waits ?? (doc.target === null ? unadopted : null),
    retired: !configured,
    blind: nobodySees(state),
    reading,
    current: doc.target,
    pin: doc.pin,
    drill: doc.drill,
    targets: r.origins.map((origin) => targetFacts(state, r, origin)),
    patienceMs: r.config.patienceMs,
    patience: patienceOf(state, r, doc.target),
    patienceBoundMs: boundOf(r),
    dawnUntilAt: r.dawnUntilAt,
    failback: r.config.failback,
    quietSinceAt: doc.quietSinceAt,
    lanesInStep,
    switches: ofLastHour(doc.switches, state.now),
    needless: ofLastHour(doc.needless, state.now).length,
    switchesPerHour: r.config.switchesPerHour,
    overspentAt: doc.overspentAt,
  };
}

function targetFacts(state: State, r: RecordState, origin: OriginState): TargetFacts {
  const { name } = origin;
  const settlesAt = origin.health === 'unknown' ? origin.settleFromAt + settleMs(origin) : 0;
  return {
    origin: name,
    health: origin.health,
    sinceAt: origin.sinceAt,
    downSinceAt: origin.downSinceAt,
    failingSinceAt: origin.failingSinceAt,
    settlesAt: settlesAt > state.now ? settlesAt : null,
    drained: isDrained(state, name),
    unresolved: r.unresolved.size > 0 && (r.unresolved.get(name) ?? 0) > state.now,
    doomedSinceAt: doomedSince(origin),
    trustedAt: origin.trustedAt,
    flaw: flawOf(state, r, name),
  };
}

/** Since when this origin's cloud or region has been failing around it; null when it is not. */
function doomedSince({ cloud, region }: OriginState): number | null {
  if (cloud === null) return null;
  const { word, regions } = cloud.diagnosis;
  const struck =
    word === 'cloud-down' || (word === 'region-down' && regions.includes(region ?? ''));
  return struck ? cloud.sinceAt : null;
}

export function isDrained(state: State, origin: string): boolean {
  if (state.maintained.origins.has(origin)) return true;
  if (state.drains.size === 0) return false;
  const cloud = state.config.origins[origin]?.cloud ?? '';
  return state.drains.has(origin) || state.drains.has(cloud);
}

/** Some marker bore the highest epoch there is: none is left that would overrule it. */
export function isSpent(r: RecordState): boolean {
  return r.config.mode !== 'observe' && nextEpoch(r.doc.epochMax) === null;
}

/** What a person does about a record whose epochs are spent. */
export function spentSays(name: Name): string {
  return (
    `a marker bears the highest epoch there is, so no switch can overrule it: remove it at every ` +
    `provider, take ${name} out of the configuration and reload, then put it back`
  );
}
