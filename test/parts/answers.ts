// What a provider answers, one answer a name or change, as the plain results that most tests look
// at; and markers that say little but their epoch. It must never hide a fault behind another one's
// success: what was asked for together is a value only if every part of it is.

import assert from 'node:assert/strict';
import { formatMarker } from '../../src/core/marker.ts';
import type { Answer, Change, Marker, Name, Result, Seen } from '../../src/core/model.ts';
import type { Provider } from '../../src/kit/extend.ts';

export function marker(epoch: number, more: Partial<Marker> = {}): Marker {
  return {
    cluster: 'shop',
    epoch,
    id: `id${epoch}`,
    term: 1,
    kind: 'auto',
    target: 't',
    pinMs: null,
    pinned: false,
    ...more,
  };
}

export function markerText(epoch: number, more: Partial<Marker> = {}): string {
  return formatMarker(marker(epoch, more));
}

/** One answer as a result; it must have been asked. */
export function resultOf<T>(answer: Answer<T> | undefined): Result<T> {
  assert.ok(answer !== undefined && answer.kind !== 'not-asked', 'it was not asked');
  return answer.kind === 'answered'
    ? { ok: true, value: answer.value }
    : { ok: false, fault: answer.fault };
}

/** A reading as one result: the first fault, or all that was answered. */
export async function readAll(
  provider: Pick<Provider, 'read'>,
  names: readonly Name[],
  signal: AbortSignal,
): Promise<Result<Readonly<Record<Name, Seen>>>> {
  const answers = await provider.read(names, signal);
  assert.deepEqual(Object.keys(answers).sort(), [...names].sort(), 'one answer for each name');
  const seen: Record<Name, Seen> = {};
  for (const [name, answer] of Object.entries(answers)) {
    if (answer.kind === 'fault') return { ok: false, fault: answer.fault };
    if (answer.kind === 'answered') seen[name] = answer.value;
  }
  return { ok: true, value: seen };
}

/** A writing as one result a change; each must have been asked. */
export async function writeAll(
  provider: Pick<Provider, 'write'>,
  changes: readonly Change[],
  signal: AbortSignal,
): Promise<readonly Result<null>[]> {
  const answers = await provider.write(changes, signal);
  assert.equal(answers.length, changes.length, 'one answer for each change');
  return answers.map(resultOf);
}

/**
 * Reads again what was not asked, until every name has its answer, as a lane does. In how many
 * rounds; each name must be answered without a fault, and `seen` is given what was read of it.
 */
export async function roundsOf(
  provider: Pick<Provider, 'read'>,
  names: readonly Name[],
  seen: (name: Name, what: Seen) => void,
): Promise<number> {
  let open = names;
  for (let rounds = 1; ; rounds++) {
    const answers = await provider.read(open, new AbortController().signal);
    assert.deepEqual(Object.keys(answers).sort(), [...open].sort(), 'one answer for each name');
    const left = open.filter((name) => answers[name]!.kind === 'not-asked');
    for (const [name, answer] of Object.entries(answers)) {
      assert.notEqual(answer.kind, 'fault', JSON.stringify(answer));
      if (answer.kind === 'answered') seen(name, answer.value);
    }
    if (left.length === 0) return rounds;
    assert.ok(left.length < open.length, 'a reading that answers for nobody');
    open = left;
  }
}
