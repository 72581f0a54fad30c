// The commands around a switch, as far as the core goes: when one is run, how long its answer is
// waited for, what its silence means, and what its answer is good for. It is run once for a decision;
// which decision that was is durable before it is run. It must never hold up another record.

import type { Decision } from './decide.ts';
import { nextEpoch } from './marker.ts';
import type { Name, StayReason } from './model.ts';
import { close, raise } from './notices.ts';
import {
  amend,
  type Event,
  type HookRun,
  note,
  type RecordState,
  randomId,
  type State,
  type Step,
} from './state.ts';

/** How long after its deadline an answer is still waited for. */
const GRACE_MS = 5_000;
/** A veto, or a silence that stays, is good for so long: then it is run again. */
const AGAIN_MS = 300_000;
/** What a hook has prepared is good for so long. */
const PREPARED_MS = 900_000;

type Moving = Extract<Decision, { kind: 'move' }>;

/** Runs the hook before a switch, where there is one that was not yet run for this decision. */
export function beginHook(state: State, r: RecordState, d: Moving, out: Step): void {
  const before = r.config.hooks?.before ?? null;
  if (before === null || r.config.mode === 'observe' || r.doc.hook !== null) return;
  // What a drill moved is put back at once, whatever a command says of it.
  if (r.doc.drill?.stage === 'ending' && d.why === 'drill') return;
  const { cname } = r.config.targets.find((t) => t.origin === d.to)!;
  const from = r.doc.target!;
  const hook: HookRun = {
    ...{ id: randomId(state), from, to: d.to, why: d.why, epoch: epochOf(r) },
    ...{ beganAt: state.now, answer: 'none', answeredAt: null, detail: '' },
  };
  amend(out, r, { hook });
  note(out, 'hook', r.name, `${r.name}: ${d.sentence}: its hook is run before it`, {
    ...{ id: hook.id, word: 'began', from, to: d.to, timeoutMs: before.timeoutMs },
  });
  out.effects.push({
    ...{ kind: 'hook', when: 'before', record: r.name, id: hook.id },
    deadlineMs: before.timeoutMs,
    about: {
      ...{ cluster: state.config.cluster, record: r.name, from, to: d.to, cname },
      ...{ epoch: nextEpoch(r.doc.epochMax) ?? 0, sentence: d.sentence },
    },
  });
}

/** Why a record waits for its hook, or is kept by it; null where it may go. */
export function hookHolds(
  r: RecordState,
): { readonly reason: StayReason; readonly sentence: string } | null {
  const { hook } = r.doc;
  if (hook === null || letsGo(r, hook)) return null;
  const says = {
    none: 'waits for its hook',
    go: '',
    veto: `its hook vetoes it: ${hook.detail}`,
    silent: `its hook gave no answer, which means stay: ${hook.detail}`,
  };
  return { reason: 'hook', sentence: `${hook.from} -> ${hook.to}: ${says[hook.answer]}` };
}

function letsGo(r: RecordState, { answer }: HookRun): boolean {
  return answer === 'go' || (answer === 'silent' && r.config.hooks?.before?.silence === 'go');
}

/** What the hook of a record has answered. An answer to a run that is over is no answer. */
export function onHooked(
  state: State,
  e: Extract<Event, { kind: 'hooked' }>,
  out: Step,
): readonly Name[] {
  const r = state.records.get(e.record);
  const hook = r?.doc.hook ?? null;
  if (r === undefined || hook === null || hook.id !== e.id || hook.answer !== 'none') return [];
  if (!state.lease.held) return [];
  // It was never begun: the next look begins it.
  if (e.answer === 'unrun') amend(out, r, { hook: null });
  else answered(state, r, hook, e.answer, e.detail, out);
  return [r.name];
}

function answered(
  state: State,
  r: RecordState,
  hook: HookRun,
  answer: 'go' | 'veto' | 'silent',
  detail: string,
  out: Step,
): void {
  const now: HookRun = { ...hook, answer, answeredAt: state.now, detail };
  amend(out, r, { hook: now });
  const ms = state.now - hook.beganAt;
  const goes = letsGo(r, now);
  const means = answer === 'silent' ? `, which means ${goes ? 'go' : 'stay'}` : '';
  const why = detail === '' ? '' : `: ${detail}`;
  const what = `${r.name}: ${hook.from} -> ${hook.to}: its hook`;
  const said = { go: 'said go after', veto: 'vetoed it after', silent: 'gave no answer for' };
  const sentence = `${what} ${said[answer]} ${ms} ms${means}${why}`;
  note(out, 'hook', r.name, sentence, { id: hook.id, word: answer, ms, detail });
  // A drill tells of itself.
  if (goes || hook.why === 'drill') return;
  const data = { hook: hook.id, answer, detail };
  raise(state, { kind: 'hook', record: r.name }, hook.id, { sentence, data }, out);
}

/** Ends what a hook said where it is about another decision, or was said too long ago. */
export function lapseHook(state: State, r: RecordState, d: Decision, out: Step): void {
  const { hook } = r.doc;
  if (hook === null) {
    // While it is to be run again, what it said stands.
    if (r.config.hooks === undefined || d.kind === 'stay') closeHook(state, r, out);
    return;
  }
  if (!state.storeOk) return;
  const isOther = r.doc.target !== hook.from || epochOf(r) !== hook.epoch;
  const moves =
    d.kind === 'move' ? d.to === hook.to && d.why === hook.why : d.reason !== 'target-up';
  if (isOther || !moves || (r.config.hooks?.before ?? null) === null) {
    amend(out, r, { hook: null });
    return closeHook(state, r, out);
  }
  if (state.now < wakeOfHook(r)) return;
  const ms = state.now - hook.beganAt;
  if (hook.answer === 'none') answered(state, r, hook, 'silent', `no answer for ${ms} ms`, out);
  else amend(out, r, { hook: null });
}

function closeHook(state: State, r: RecordState, out: Step): void {
  if (state.notices.open.size === 0) return;
  const sentence = `${r.name}: its hook no longer keeps it from moving`;
  close(state, { kind: 'hook', record: r.name }, sentence, out);
}

/** When the wait for a hook, or what it said, is over; infinite where there is none. */
export function wakeOfHook(r: RecordState): number {
  const { hook } = r.doc;
  if (hook === null) return Number.POSITIVE_INFINITY;
  const timeoutMs = r.config.hooks?.before?.timeoutMs ?? 0;
  if (hook.answer === 'none') return hook.beganAt + timeoutMs + GRACE_MS;
  return (hook.answeredAt ?? hook.beganAt) + (letsGo(r, hook) ? PREPARED_MS : AGAIN_MS);
}

/** A switch has ended: whoever wants to know is told. */
export function informHook(
  state: State,
  r: RecordState,
  how: { readonly sentence: string; readonly ms: number; readonly behind: readonly string[] },
  out: Step,
): void {
  const after = r.config.hooks?.after ?? null;
  const { target, cname, left, marker } = r.doc;
  if (after === null || target === null || cname === null || left === null) return;
  // A pin alone moves nothing.
  if (left === target || marker?.epoch !== r.doc.since) return;
  out.effects.push({
    ...{ kind: 'hook', when: 'after', record: r.name, id: marker?.id ?? '' },
    deadlineMs: after.timeoutMs,
    about: {
      ...{ cluster: state.config.cluster, record: r.name, from: left, to: target, cname },
      ...{ epoch: marker?.epoch ?? 0, ...how },
    },
  });
}

function epochOf(r: RecordState): number {
  return r.doc.marker?.epoch ?? 0;
}
