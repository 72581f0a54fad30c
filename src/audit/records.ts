// What each vendor's servers really give for each record: the same CNAME everywhere, one of its own
// targets, with the TTL it should have; and whether the objective can be kept with that. What the
// daemon knows anyway is taken from its status where there are more records than are asked for.

import type { Name, RecordConfig, ServerAnswer } from '../core/model.ts';
import type { RecordView, StatusView } from '../core/view.ts';
import type { ZoneLook } from './delegation.ts';
import { type Run, recordsMax, sideBySide, spell } from './run.ts';
import { type Holding, parentOf } from './vendors.ts';

const asksAtOnce = 32;

export async function lookAtRecords(
  run: Run,
  zones: ReadonlyMap<Name, ZoneLook>,
  held: readonly Holding[],
): Promise<void> {
  for (const { name, publish } of run.all) {
    if (publish.length > 1) continue;
    run.warn(
      { record: name },
      'single-provider',
      `${name} is published at ${publish[0]?.provider ?? 'no provider'} alone: while that vendor ` +
        'cannot be changed or does not answer, there is no way out',
      'publish it at a second vendor, and put both in the delegation',
    );
  }
  for (const record of run.all) sayObjective(run, record, zones, held);
  const asked = run.all.slice(0, recordsMax);
  await sideBySide(run, asked, asksAtOnce, (record) => lookAtRecordServed(run, record));
  const { status } = run.before;
  if (run.all.length <= recordsMax) return;
  if (!status) run.cut(`${run.all.length} records, of which ${recordsMax} were asked for`);
  // The daemon asks for all of them anyway; what it found wrong is told in its words.
  for (const view of (status?.records ?? []).filter((r) => !asked.some((a) => a.name === r.name))) {
    for (const { provider, problem } of view.providers) {
      if (problem === null) continue;
      run.bad({ record: view.name, provider }, 'cname', problem, `detour status ${view.name}`);
    }
  }
}

async function lookAtRecordServed(run: Run, record: RecordConfig): Promise<void> {
  const { name, publish } = record;
  const options = { marker: false };
  const answers = await Promise.all(
    publish.map(({ provider }) => run.verifier.ask(provider, name, options, run.signal)),
  );
  if (run.signal.aborted) return;
  const view = run.before.status?.records.find((r) => r.name === name);
  const values = publish.map(({ provider, ttl }, i) =>
    saySeen(run, record, provider, ttlsOf(view, ttl), answers[i]!),
  );
  const served = publish.flatMap(({ provider }, i) => {
    const value = values[i];
    return value === null || value === undefined ? [] : [{ provider, value }];
  });
  if (served.length < 2) return;
  if (new Set(served.map((s) => s.value)).size === 1) {
    return run.good({ record: name }, 'in-step', `every provider gives ${served[0]!.value}`);
  }
  const list = served.map((s) => `${s.provider} gives ${s.value}`).join(', ');
  const switching = view?.switching === true;
  const sentence = `the providers of ${name} are not in step: ${list}`;
  if (switching) run.warn({ record: name }, 'in-step', sentence, 'a switch is under way: wait');
  else run.bad({ record: name }, 'in-step', sentence, `look at detour status ${name}`);
}

/** What one provider's servers give for a record: the one value they agree on, or null. */
function saySeen(
  run: Run,
  { name, targets }: RecordConfig,
  provider: string,
  { ttl, isShort }: { readonly ttl: number; readonly isShort: boolean },
  answers: readonly ServerAnswer[],
): Name | null {
  const at = { record: name, provider };
  const given = answers.flatMap(({ answer }) => (answer.kind === 'cname' ? [answer] : []));
  const missing = answers.filter(
    ({ answer }) => answer.kind === 'nxdomain' || answer.kind === 'nodata',
  );
  for (const { server, answer } of answers) {
    if (answer.kind === 'cname' || missing.some((m) => m.server === server)) continue;
    const sentence = `${server} of ${provider} does not answer for ${name}: ${answer.detail}`;
    run.bad(at, 'serving', sentence, 'look at that server; clients wait for it, too');
  }
  if (missing.length > 0) {
    const list = missing.map((m) => m.server).join(', ');
    const sentence = `${list} of ${provider} give no CNAME for ${name}`;
    run.bad(at, 'cname', sentence, `create it there: detour adopt ${name} TARGET --create`);
  }
  const values = [...new Set(given.map((g) => g.value))];
  const [value] = values;
  if (value === undefined) return null;
  if (values.length > 1) {
    const sentence = `the servers of ${provider} differ for ${name}: ${values.join(' and ')}`;
    run.bad(at, 'cname', sentence, 'wait until the vendor has spread the last change');
    return null;
  }
  if (!targets.some((t) => t.cname === value)) {
    const sentence = `${provider} leads ${name} to ${value}, which is none of its targets`;
    run.bad(at, 'cname', sentence, 'configure it as a target, or set the record to one');
  } else if (missing.length === 0) {
    run.good(at, 'cname', `${given.length} of ${answers.length} servers give ${value}`);
  }
  const seen = Math.max(...given.map((g) => g.ttl));
  if (isShort && seen <= ttl)
    run.good(at, 'ttl', `${provider} gives ${name} a TTL of ${seen} s: it is prepared`);
  else if (seen === ttl) run.good(at, 'ttl', `${provider} gives ${name} its TTL of ${ttl} s`);
  else {
    const sentence = `${provider} gives ${name} a TTL of ${seen} s, not the ${ttl} s of its record`;
    run.warn(at, 'ttl', sentence, 'the next switch sets it; or correct ttl in the configuration');
  }
  return value;
}

/** What is to stand there; while it is prepared, or away in a drill, a shorter one on purpose. */
function ttlsOf(view: RecordView | undefined, ttl: number) {
  return { ttl, isShort: view !== undefined && Boolean(view.prepared ?? view.drill) };
}

// ---------------------------------------------------------------- the objective

type Promised = RecordConfig & { readonly objectiveMs?: number | null };
type Predicted = RecordView & { readonly predicted?: object | null };

/** Whether a record's clients can follow within its objective; nothing where it has none. */
function sayObjective(
  run: Run,
  record: Promised,
  zones: ReadonlyMap<Name, ZoneLook>,
  held: readonly Holding[],
): void {
  const { name, objectiveMs = null } = record;
  if (objectiveMs === null) return;
  sayNegativeObjective(run, record, objectiveMs, zones, held);
  const view: Predicted | undefined = run.before.status?.records.find((r) => r.name === name);
  // What the daemon predicts from its measurements is told by that, and better.
  if (view?.predicted) return;
  const within = spell(objectiveMs / 1000);
  const slowest = record.publish.toSorted((a, b) => b.ttl - a.ttl)[0];
  const ttlMs = (slowest?.ttl ?? 0) * 1000;
  if (slowest !== undefined && ttlMs >= objectiveMs) {
    const at = { record: name, provider: slowest.provider };
    const sentence = `${name} is to follow within ${within}, and its TTL alone is ${slowest.ttl} s`;
    run.bad(at, 'objective', sentence, 'lower its ttl well below, or give it another objective');
    return;
  }
  const totalMs = detectionOf(run.before.status ?? null, view) + record.patienceMs + ttlMs;
  const sentence = `${name} is to follow within ${within}; it takes about ${spell(totalMs / 1000)}`;
  const cure = 'lower ttl, interval or patience, or give it another objective';
  if (totalMs <= objectiveMs) run.good({ record: name }, 'objective', sentence);
  else run.warn({ record: name }, 'objective', sentence, cure);
}

/** Milliseconds until an outage of the target in force is seen; 0 where nobody has said. */
function detectionOf(status: StatusView | null, view: RecordView | undefined): number {
  const origin = status?.origins.find((o) => o.name === view?.target);
  return origin?.rate.detectionMs ?? 0;
}

/** A name that was missing for a moment is remembered as missing. */
function sayNegativeObjective(
  run: Run,
  { name, publish }: RecordConfig,
  objectiveMs: number,
  zones: ReadonlyMap<Name, ZoneLook>,
  held: readonly Holding[],
): void {
  for (const { provider } of publish) {
    const holding = held.find((h) => h.provider === provider && h.parent === parentOf(name));
    const look = zones.get(holding?.facts?.zone ?? '');
    const seconds = look?.spoken.get(provider)?.negativeTtl ?? null;
    if (seconds === null || seconds * 1000 <= objectiveMs) continue;
    const sentence =
      `${provider} lets resolvers remember for ${seconds} s that ${name} is missing, longer than ` +
      `the ${spell(objectiveMs / 1000)} of its objective`;
    const cure = `set the SOA's minimum at ${provider} to the objective or less`;
    run.warn({ record: name, provider }, 'objective', sentence, cure);
  }
}
