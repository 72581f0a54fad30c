// `detour probe` and `detour explain`: what an operator looks at. They print and change nothing.

import type { Command } from 'commander';
import type { EntryKind } from '../core/model.ts';
import { asciiOf } from '../core/name.ts';
import { toAscii } from '../kit/script.ts';
import type { StoredEntry } from '../ports.ts';
import { daemon } from './client.ts';
import {
  act,
  type Cli,
  CliError,
  defaultConfig,
  examples,
  type Looked,
  type ReplicaOptions,
  withReplica,
} from './hands.ts';
import { dated, printJson } from './json.ts';
import { type DaemonOptions, withDaemon } from './order.ts';
import { clean } from './print.ts';

export interface ConfigOptions extends DaemonOptions, ReplicaOptions {
  readonly config: string;
}

const HISTORY_MAX = 10_000;

export function addProbe(program: Command, cli: Cli): void {
  const command = program
    .command('probe')
    .description('ask every check over every path once, from here, as a table')
    .argument('[what]', 'an origin, a cloud or one check; without it, all')
    .option('-c, --config <file>', 'the configuration', defaultConfig)
    .option('--json', 'the answers as one JSON document');
  examples(withReplica(command), '$ detour probe hangzhou -c detour.yaml');
  act<ConfigOptions>(cli, command, async ([what], options) => {
    const looked = await cli.hands.probe(options.config, what ?? null, options.replica ?? null);
    show(cli, looked, options);
    return looked.every((l) => l.outcome === 'pass') ? 0 : 1;
  });
}

export function addExplain(program: Command, cli: Cli): void {
  const command = program
    .command('explain')
    .description('one decision: the votes, the rule, the alternatives and why not each')
    .argument('<id>', "the switch's id, its number in `detour history`, or the key of a notice");
  examples(withDaemon(command), '$ detour explain 9f2c41d0aa17be03');
  act<DaemonOptions>(cli, command, async ([id], options) => {
    const entries = await daemon(cli, options).history(null, HISTORY_MAX);
    const ofId = entries.filter((e) => dataOf(e)['id'] === id);
    const asked = ofId.find((e) => dataOf(e)['word'] === 'asked');
    const bySeq = entries.find((e) => String(e.seq) === id);
    const entry = bySeq ?? asked ?? ofId[0] ?? entries.find((e) => isAbout(e, id!));
    if (entry === undefined) {
      throw new CliError(1, `${id}: not among the newest ${HISTORY_MAX} entries of the journal`);
    }
    if (options.json) printJson(cli.io, dated(entry));
    else cli.io.out(`${explanation(entry, entries).map(clean).join('\n')}\n`);
    return 0;
  });
}

/** The journal's words for what a notice's key begins with, where they differ. */
const entryKindOf: Readonly<Record<string, EntryKind>> = {
  cloud: 'diagnosis',
  edits: 'hold',
  lagging: 'settled',
};

/** The entry that a notice's key is about: `stay/RECORD/REASON`, `hold/RECORD/PROVIDER`, `store`, … */
function isAbout(entry: StoredEntry, key: string): boolean {
  const { kind, record, data, sentence } = entry;
  const [word = '', ...rest] = key.split('/');
  if (kind !== (entryKindOf[word] ?? word)) return false;
  if (word === 'cloud' || word === 'lane')
    return rest[0] !== undefined && sentence.includes(rest[0]);
  if (word === 'store' || word === 'group') return true;
  const name = record === null ? null : asciiOf({ name: record, ...entry });
  const isOurs =
    name !== null && name.replace(/\.$/, '') === toAscii(rest[0] ?? '')?.replace(/\.$/, '');
  const { reason } = (data ?? {}) as { readonly reason?: unknown };
  return isOurs && (word !== 'stay' || reason === rest[1] || rest[1] === 'pinned-down');
}

/** What becomes of a switch, in the journal. */
const followsSwitch: ReadonlySet<StoredEntry['kind']> = new Set<EntryKind>([
  'written',
  'visible',
  'settled',
]);

function explanation(entry: StoredEntry, entries: readonly StoredEntry[]): string[] {
  const data = dataOf(entry);
  const lines = [`${new Date(entry.wall).toISOString()}  ${entry.sentence}`];
  for (const [word, key] of [
    ['rule', 'why'],
    ['votes', 'votes'],
    ['candidate', 'candidate'],
    ['diagnosis', 'diagnosis'],
    ['budget', 'budget'],
    ['patience', 'patience'],
    ['acts', 'acts'],
    ['replicas', 'replicas'],
  ] as const) {
    if (data[key]) lines.push(`  ${word.padEnd(12)} ${String(data[key])}`);
  }
  const helpsInMs = data['helpsInMs'];
  if (typeof helpsInMs === 'number') {
    lines.push(
      `  helps        all clients within ${(helpsInMs / 1000).toFixed(1)} s, as last measured`,
    );
  }
  const others = (data['alternatives'] ?? []) as { origin: string; why: string }[];
  for (const { origin, why } of others) lines.push(`  ${origin.padEnd(12)} ${why}`);
  const after = entries
    .filter((e) => e.seq > entry.seq && e.record === entry.record)
    .filter((e) => isAnswer(entry, e) || isOfSwitch(entry, e))
    .reverse();
  const end = after.findIndex((e) => e.kind === 'settled');
  for (const e of after.slice(0, end < 0 ? undefined : end + 1)) lines.push(`  ${e.sentence}`);
  const promise = entries.find((e) => {
    const of = dataOf(e);
    return e.kind === 'objective' && e.record === entry.record && of['epoch'] === data['epoch'];
  });
  if (promise !== undefined && isMove(entry)) lines.push(`  ${promise.sentence}`);
  return lines;
}

function isMove({ kind }: StoredEntry): boolean {
  return kind === 'switch';
}

/** What became of a question, or of a hook, by its id. */
function isAnswer(entry: StoredEntry, later: StoredEntry): boolean {
  const isAsked = entry.kind === 'approval' || entry.kind === 'hook';
  return isAsked && later.kind === entry.kind && dataOf(later)['id'] === dataOf(entry)['id'];
}

function isOfSwitch(entry: StoredEntry, later: StoredEntry): boolean {
  if (entry.kind === 'approval' || entry.kind === 'hook') return false;
  if (!followsSwitch.has(later.kind)) return false;
  return later.kind === 'settled' || dataOf(later)['epoch'] === dataOf(entry)['epoch'];
}

function dataOf(entry: StoredEntry): Readonly<Record<string, unknown>> {
  return (entry.data ?? {}) as Record<string, unknown>;
}

export function show(
  cli: Cli,
  looked: readonly Looked[],
  options: { readonly json?: boolean },
): void {
  if (options.json) return printJson(cli.io, { answers: looked });
  const width = Math.max(...looked.map((l) => l.check.length));
  const paths = Math.max(...looked.map((l) => l.path.length));
  for (const l of looked) {
    const ms = `${l.ms} ms`.padStart(8);
    const line = `${l.check.padEnd(width)}  ${l.path.padEnd(paths)}  ${l.outcome.padEnd(5)} ${ms}`;
    cli.io.out(`${clean(`${line}  ${l.reason}: ${l.detail}`)}\n`);
  }
}
