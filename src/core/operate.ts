// What an operator may do, and what each command is answered. A pin beats every automatic decision;
// a freeze stops deciding, never converging; nothing an operator says is written to a provider
// without an epoch. Every refusal names the thing and the cure.

import { begin, force, foundByApi } from './adopt.ts';
import type { Command, Json, Name, Reply } from './model.ts';
import { adoption } from './plan.ts';
import { isDrained, isSpent, spentSays } from './situation.ts';
import { amend, drop, note, put, type RecordState, type State, type Step } from './state.ts';
import { readAll, review, unpin } from './steer.ts';
import { reissue, startLanes, switchTo } from './switch.ts';
import { checkKey } from './watch.ts';

export function onCommand(state: State, command: Command, out: Step): Reply {
  switch (command.kind) {
    case 'drain':
    case 'undrain':
      return drain(state, command, out);
    case 'freeze':
    case 'unfreeze':
      return freeze(state, command, out);
    case 'drilled':
      return drilled(state, command, out);
    default: {
      const r = state.records.get(command.record);
      if (r === undefined) return wrong(unknownRecord(state, command.record));
      const reply = onRecord(state, r, command, out);
      review(state, r.name, out);
      return reply;
    }
  }
}

function onRecord(
  state: State,
  r: RecordState,
  command: Exclude<Command, { kind: 'drain' | 'undrain' | 'freeze' | 'unfreeze' | 'drilled' }>,
  out: Step,
): Reply {
  switch (command.kind) {
    case 'switch':
      return manualSwitch(state, r, command, out);
    case 'adopt':
      return adoptByHand(state, r, command, out);
    case 'pin':
      return pin(state, r, command, out);
    case 'unpin': {
      if (r.doc.pin === null) return done(`${r.name} is not pinned`);
      note(out, 'unpin', r.name, `${r.name}: unpinned by ${command.by}; nothing moves by itself`);
      unpin(state, r, out);
      reissue(state, r, 'operator', out);
      return done(`${r.name} is unpinned and stays on ${r.doc.target}`);
    }
    case 'ack':
      return ack(state, r, command, out);
  }
}

function manualSwitch(
  state: State,
  r: RecordState,
  c: Extract<Command, { kind: 'switch' }>,
  out: Step,
): Reply {
  const refusal = switchRefusal(state, r, c);
  if (refusal !== null) return refusal;
  const untilAt = c.forMs === null ? null : state.now + c.forMs;
  const plan = [...r.cells.values()].map((cell) => ({
    provider: cell.provider,
    from: cell.seen?.cname ?? null,
    to: r.config.targets.find((t) => t.origin === c.target)!.cname,
    ttl: cell.ttl,
    problem: cell.problem?.sentence ?? null,
  }));
  if (c.dryRun) {
    const detail = { epoch: r.doc.epochMax + 1, plan } as unknown as Json;
    return { exit: 0, message: `would switch ${r.name} to ${c.target}`, detail };
  }
  const by = `${c.target} by ${c.by}: ${c.reason}`;
  switchTo(
    state,
    r,
    {
      to: c.target,
      kind: 'operator',
      sentence: `${r.doc.target} -> ${by}`,
      why: 'operator',
      spends: false,
      overspends: false,
      pinned: true,
      pinUntilAt: untilAt,
    },
    out,
  );
  setPin(state, r, { target: c.target, reason: c.reason, by: c.by, untilAt }, out);
  const epoch = r.doc.marker?.epoch ?? 0;
  const detail = { epoch, id: r.doc.marker?.id ?? '' };
  return { exit: 0, message: `${r.name} goes to ${c.target} (epoch ${epoch})`, detail };
}

function switchRefusal(
  state: State,
  r: RecordState,
  c: Extract<Command, { kind: 'switch' }>,
): Reply | null {
  const known = r.config.targets.map((t) => t.origin);
  if (!known.includes(c.target)) {
    return wrong(`${c.target} is no target of ${r.name}: one of ${known.join(', ')}`);
  }
  if (r.config.mode === 'observe') {
    return refused(`${r.name} is only observed: set \`mode: steer\` to let it be written`);
  }
  if (!state.storeOk) return refused('the store cannot commit: use `detour switch --direct`');
  if (isSpent(r)) return refused(spentSays(r.name));
  if (r.doc.deposed !== null) {
    return refused(`a higher epoch was written by somebody else: run \`detour ack ${r.name}\``);
  }
  if (r.doc.target === null) {
    return refused(`${r.name} is not adopted yet: run \`detour adopt ${r.name} TARGET\``);
  }
  const health = state.origins.get(c.target)?.health ?? 'unknown';
  if (health !== 'up' && !c.force) {
    return refused(`${c.target} is ${health}: give --force to go there all the same`);
  }
  return null;
}

function adoptByHand(
  state: State,
  r: RecordState,
  c: Extract<Command, { kind: 'adopt' }>,
  out: Step,
): Reply {
  const known = r.config.targets.map((t) => t.origin);
  if (!known.includes(c.target)) {
    return wrong(`${c.target} is no target of ${r.name}: one of ${known.join(', ')}`);
  }
  if (r.config.mode === 'observe') {
    return refused(`${r.name} is only observed: set \`mode: steer\` to let it be written`);
  }
  if (!state.storeOk) return refused('the store cannot commit: nothing can be adopted now');
  if (isSpent(r)) return refused(spentSays(r.name));
  if (r.doc.target !== null && ![...r.cells.values()].some((cell) => cell.held)) {
    return refused(`${r.name} is already in force on ${r.doc.target}: use \`detour switch\``);
  }
  const cells = [...r.cells.values()];
  const pending = cells.filter((cell) => cell.reading === 'pending');
  if (pending.length > 0) return refused('not every provider has been read yet: try again shortly');
  const a = adoption(r.config, foundByApi(r));
  const isOpen = cells.some(({ standing }) => standing?.kind === 'unmarked');
  if (a.kind === 'wait' && a.reason === 'foreign' && !isOpen) return refused(a.sentence);
  if (a.kind === 'wait' && a.reason === 'missing' && !c.create) return refused(a.sentence);
  if (a.kind === 'wait' && a.reason === 'unreadable') return refused(a.sentence);
  const moves = r.doc.target === null || r.doc.target === c.target;
  if (!moves) return refused(`${r.doc.target} is in force: adopt that, or use \`detour switch\``);
  const claims = [...r.cells.keys()].map((provider) => [provider, 'any'] as const);
  amend(out, r, { claims: Object.fromEntries(claims) });
  begin(state, r, c.target, 'operator', out);
  note(out, 'adopt', r.name, `${r.name}: adopted on ${c.target} by ${c.by}`, { target: c.target });
  startLanes(state, r);
  return done(`${r.name} is adopted on ${c.target} (epoch ${r.doc.marker?.epoch ?? 0})`);
}

function pin(state: State, r: RecordState, c: Extract<Command, { kind: 'pin' }>, out: Step): Reply {
  if (r.doc.target === null) return refused(`${r.name} is not adopted yet`);
  const untilAt = c.forMs === null ? null : state.now + c.forMs;
  setPin(state, r, { target: r.doc.target, reason: c.reason, by: c.by, untilAt }, out);
  reissue(state, r, 'operator', out);
  return done(`${r.name} is pinned to ${r.doc.target}`);
}

function setPin(
  state: State,
  r: RecordState,
  p: { target: string; reason: string; by: string; untilAt: number | null },
  out: Step,
): void {
  amend(out, r, { pin: { ...p, sinceAt: state.now } });
  const how =
    p.untilAt === null
      ? 'until unpinned'
      : `for ${Math.round((p.untilAt - state.now) / 60_000)} min`;
  note(out, 'pin', r.name, `${r.name}: pinned to ${p.target} ${how} by ${p.by}: ${p.reason}`, {
    target: p.target,
    untilAt: p.untilAt,
  });
}

/**
 * What somebody else wrote is taken, or overruled: said before it is done, where it is asked to be.
 */
function ack(state: State, r: RecordState, c: Extract<Command, { kind: 'ack' }>, out: Step): Reply {
  const { deposed } = r.doc;
  if (deposed === null && c.reject) return refused(`${r.name}: there is nothing to reject`);
  const isKnown = r.config.targets.some((t) => t.origin === deposed?.target);
  if (deposed !== null && !c.reject && !isKnown) {
    const what = `epoch ${deposed.epoch} leads to ${deposed.target}`;
    return refused(
      `${r.name}: ${what}, which is not configured here: give --reject to overrule it`,
    );
  }
  if (c.dryRun) return wouldAck(state, r, c.reject);
  if (c.reject && isSpent(r)) return refused(spentSays(r.name));
  amend(out, r, { switches: [], overspentAt: null, deposed: null });
  const how = c.reject ? 'rejected' : 'acknowledged';
  note(out, 'ack', r.name, `${r.name}: ${how} by ${c.by}`);
  if (deposed === null) return done(`${r.name}: the switch budget is full again`);
  if (c.reject) {
    reissue(state, r, 'operator', out, 'anew');
    const epoch = r.doc.marker?.epoch ?? 0;
    return done(`${r.name} stays on ${r.doc.target}: epoch ${epoch} overrules ${deposed.epoch}`);
  }
  force(state, r, deposed, out);
  readAll(state, r);
  startLanes(state, r);
  return done(`${r.name}: epoch ${deposed.epoch} on ${deposed.target} is taken as ours`);
}

function wouldAck(state: State, r: RecordState, reject: boolean): Reply {
  const { deposed, target, switches } = r.doc;
  const detail: Json = {
    deposed: deposed === null ? null : { epoch: deposed.epoch, target: deposed.target },
    target,
  };
  if (deposed === null) {
    const message = `would forget ${switches.length} automatic switches of ${r.name}`;
    return { exit: 0, message, detail };
  }
  const health = state.origins.get(deposed.target)?.health ?? 'unknown';
  const message = reject
    ? `would keep ${r.name} on ${target} and overrule epoch ${deposed.epoch} (${deposed.target})`
    : `would move ${r.name} from ${target} to ${deposed.target}, which is ${health}, ` +
      `at all providers: epoch ${deposed.epoch} of somebody else would be taken as ours`;
  return { exit: 0, message, detail };
}

function drain(state: State, c: Extract<Command, { kind: 'drain' | 'undrain' }>, out: Step): Reply {
  const known = [...Object.keys(state.config.origins), ...Object.keys(state.config.clouds)];
  if (!known.includes(c.what)) {
    return wrong(`${c.what} is neither an origin nor a cloud: one of ${known.join(', ')}`);
  }
  if (c.kind === 'drain') {
    const drained = { what: c.what, reason: c.reason, by: c.by, sinceAt: state.now };
    state.drains.set(c.what, drained);
    put(out, `drain/${c.what}`, drained);
    note(out, 'drain', null, `${c.what} drained by ${c.by}: ${c.reason}`, { what: c.what });
  } else {
    if (!state.drains.delete(c.what)) return done(`${c.what} is not drained`);
    drop(out, `drain/${c.what}`);
    note(out, 'undrain', null, `${c.what} undrained by ${c.by}`, { what: c.what });
  }
  reviewAll(state, out);
  const on = [...state.records.values()].filter(
    (r) => r.doc.target !== null && isDrained(state, r.doc.target),
  );
  const left = on.length === 0 ? '' : `; ${on.length} records are on it and wait for a target`;
  return done(`${c.what} is ${c.kind === 'drain' ? `drained${left}` : 'in choice again'}`);
}

function freeze(
  state: State,
  c: Extract<Command, { kind: 'freeze' | 'unfreeze' }>,
  out: Step,
): Reply {
  const frozen = c.kind === 'freeze' ? { reason: c.reason, by: c.by, sinceAt: state.now } : null;
  const what = c.record ?? 'everything';
  if (c.record === null) {
    state.freeze = frozen;
    if (frozen === null) drop(out, 'freeze');
    else put(out, 'freeze', frozen);
  } else {
    const r = state.records.get(c.record);
    if (r === undefined) return wrong(unknownRecord(state, c.record));
    amend(out, r, { freeze: frozen });
  }
  const why = c.kind === 'freeze' ? `: ${c.reason}` : '';
  note(out, c.kind, c.record, `${what}: ${c.kind} by ${c.by}${why}`);
  reviewAll(state, out);
  const rest = c.kind === 'freeze' ? 'decided changes still converge' : 'decisions are automatic';
  return done(`${what}: ${c.kind === 'freeze' ? 'frozen' : 'unfrozen'}; ${rest}`);
}

/** A check that was made to fail on purpose is no longer one that never failed. */
function drilled(state: State, c: Extract<Command, { kind: 'drilled' }>, out: Step): Reply {
  const config = state.config.checks[c.check];
  if (config === undefined) return wrong(`${c.check} is not a configured check`);
  for (const path of config.paths) {
    const key = checkKey(c.check, path);
    state.checks.get(key)!.everFailed = true;
    put(out, `red/${key}`, true);
  }
  note(out, 'drill', null, `${c.check}: made to fail on purpose by ${c.by}, and it did`, {
    check: c.check,
  });
  return done(`${c.check}: noted as seen to fail`);
}

function reviewAll(state: State, out: Step): void {
  for (const name of state.records.keys()) review(state, name, out);
}

function unknownRecord(state: State, name: Name): string {
  const known = [...state.records.keys()].slice(0, 10).join(', ');
  return `${name} is not configured: one of ${known}`;
}

function done(message: string): Reply {
  return { exit: 0, message };
}

function refused(message: string): Reply {
  return { exit: 1, message };
}

function wrong(message: string): Reply {
  return { exit: 2, message };
}
