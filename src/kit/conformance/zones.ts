// Of the suite: two zones at one account, one of them sick in each way the vendor has. What a
// vendor says of one zone is that zone's: the other's records are read and written all the same.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Answer, Name, Seen } from '../../core/model.ts';
import type { Provider } from '../extend.ts';
import type { SecondZone } from './account.ts';
import { eventually, marker, move, never, type Stage, told } from './stage.ts';

/**
 * Only what hangs is waited for; all else answers, however busy this machine is. So where a zone
 * hangs the other's records may want a second try, and everywhere else they have one.
 */
const [hangMs, answerMs] = [1000, 5000];

export function zoneStory(stage: Stage): void {
  test('two zones: the records of both are read and written together', async (t) => {
    const second = stage.account.secondZone;
    if (second === null) return t.skip('missing: a second zone');
    const [ours, theirs] = [await stage.begun(), await stage.begun(second.zone)];
    const facts = await stage.provider.zone(theirs.name, never());
    assert.ok(facts.ok && facts.value.zone === second.zone, JSON.stringify(facts));
    await both(stage, ours.name, theirs.name, 2);
  });

  test('one zone is sick: the other’s records are read and written as ever', async (t) => {
    const second = stage.account.secondZone;
    if (second === null) return t.skip('missing: a second zone');
    if (second.faults.length === 0) return t.skip('missing: a zone that is sick alone');
    for (const how of second.faults) {
      await t.test(how, () => sick(stage, second, how));
    }
  });
}

/** Both records move in one reading and one write, or in two where a write takes one change. */
async function both(stage: Stage, one: Name, other: Name, epoch: number): Promise<void> {
  const read = await readBoth(stage.provider, one, other);
  const changes = [one, other].map((name) => move(name, told(read[name]), 'b.example.com.', epoch));
  const { writeMax } = stage.capabilities;
  const answers =
    writeMax > 1
      ? await stage.provider.write(changes, never())
      : [await stage.put(changes[0]!), await stage.put(changes[1]!)];
  for (const answer of answers) told(answer);
  await stage.stands(one, 'b.example.com.', marker(epoch));
  await stage.stands(other, 'b.example.com.', marker(epoch));
}

/** One reading of both, where one reading takes two names. */
async function readBoth(
  provider: Provider,
  one: Name,
  other: Name,
): Promise<Readonly<Record<Name, Answer<Seen>>>> {
  if (provider.capabilities.readMax > 1) return provider.read([other, one], never());
  return { ...(await provider.read([other], never())), ...(await provider.read([one], never())) };
}

async function sick(stage: Stage, second: SecondZone, how: string): Promise<void> {
  const [well, ill] = [await stage.begun(), await stage.begun(second.zone)];
  const isHung = how === 'hang';
  const provider = stage.open({ callTimeoutMs: isHung ? hangMs : answerMs });
  await eventually('both are read', async () => {
    const read = await readBoth(provider, well.name, ill.name);
    return [well, ill].every(({ name }) => read[name]!.kind === 'answered');
  });
  await second.fault(how);
  const changes = [ill, well].map(({ name, from }) => move(name, from, 'b.example.com.', 2));
  const read = await readBoth(provider, well.name, ill.name);
  if (!isHung) assert.equal(told(read[well.name]).cnames[0]?.value, 'a.example.com.');
  const answers =
    stage.capabilities.writeMax > 1
      ? await provider.write(changes, never())
      : [await stage.put(changes[0]!, provider), await stage.put(changes[1]!, provider)];
  if (!isHung) told(answers[1]);
  // Where nobody is heard, the silence may be everybody's.
  const heard = [
    [read[well.name], read[ill.name]],
    [answers[1], answers[0]],
  ].filter(([one]) => !isHung || one?.kind === 'answered');
  const isSeen = heard.map(([, answer]) => isTrouble(stage, answer, second.zone));
  if (!isHung) isSeen.push(await meets(stage, second.zone, well.name, ill.name));
  if (heard.length > 0) assert.ok(isSeen.includes(true), 'nothing says that the zone is sick');
  await stage.converge(well.name, 'b.example.com.', 2, provider);
  await stage.stands(well.name, 'b.example.com.', marker(2));
  await second.fault(null);
  // Who has met the sickness may believe for a minute that the zone is gone; nobody else may.
  await stage.converge(ill.name, 'b.example.com.', 2, stage.open());
  await stage.converge(ill.name, 'b.example.com.', 2);
  await stage.stands(ill.name, 'b.example.com.', marker(2));
}

/** What a provider says that has known neither zone before one was sick: whether it notices. */
async function meets(stage: Stage, zone: Name, well: Name, ill: Name): Promise<boolean> {
  const provider = stage.open();
  const read = await readBoth(provider, well, ill);
  told(read[well]);
  const bad = async (name: Name) =>
    (await provider.preflight(name, never())).filter((f) => f.severity === 'bad');
  assert.deepEqual(await bad(well), []);
  const found = await bad(ill);
  for (const { reach, sentence } of found) {
    assert.notEqual(reach.kind, 'account', sentence);
    if (reach.kind === 'zone') assert.equal(reach.zone, zone, sentence);
  }
  return isTrouble(stage, read[ill], zone) || found.length > 0;
}

/** Whether an answer tells of trouble at a sick zone's record: it reaches that zone at most. */
function isTrouble(stage: Stage, answer: Answer<Seen | null> | undefined, zone: Name): boolean {
  assert.ok(answer, 'no answer');
  if (answer.kind === 'answered') return answer.value !== null && answer.value.refusal !== null;
  if (answer.kind === 'not-asked') return false;
  const { fault, reach } = stage.faultOf(answer);
  assert.notEqual(reach.kind, 'account', fault.detail);
  if (reach.kind === 'zone') assert.equal(reach.zone, zone);
  return true;
}
