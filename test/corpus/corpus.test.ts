// What earlier versions left behind, read by today's code: their state directories are opened and
// gone on from without loss, their markers are known, their journals come to the decisions that are
// kept beside them, and what they printed with --json is still printed. A test that fails here means
// that somebody's upgrade would go wrong: the code is mended, never what is kept.

import assert from 'node:assert/strict';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { z } from 'zod';
import { dated } from '../../src/cli/json.ts';
import { documents, schemaOf } from '../../src/cli/schema.ts';
import { createKeyring } from '../../src/cluster/keyring.ts';
import { type Config, parseConfig, printProblem } from '../../src/config/config.ts';
import { newestBehaviour } from '../../src/core/engine.ts';
import { parseMarker } from '../../src/core/marker.ts';
import type { EntryKind, Json } from '../../src/core/model.ts';
import { stateVersion, storedProblem } from '../../src/core/stored.ts';
import { type StatusView, view } from '../../src/core/view.ts';
import type { StoredEntry } from '../../src/ports.ts';
import { readJournal } from '../../src/replay/recorded.ts';
import { simulate } from '../../src/replay/simulate.ts';
import { tables } from '../../src/run/build.ts';
import { openSqliteStore, type SqliteStore } from '../../src/store/sqlite.ts';
import { WALL_0, World } from '../core/world.ts';
import { broken, versions } from './versions.ts';

const here = dirname(fileURLToPath(import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'detour-corpus-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const read = (version: string, file: string) => readFileSync(join(here, version, file), 'utf8');
const printedBy = (version: string, command: string): unknown =>
  JSON.parse(read(version, `json/${command}.json`));

function configOf(version: string): Config {
  const parsed = parseConfig(read(version, 'detour.yaml'), 'detour.yaml', tables);
  if (!parsed.ok) throw new Error(parsed.problems.map(printProblem).join('\n'));
  return parsed.config;
}

/** The state directory as that version left it, in a place of its own. */
function stateOf(version: string): string {
  const directory = mkdtempSync(join(folder, 'state-'));
  cpSync(join(here, version, 'state'), directory, { recursive: true });
  return directory;
}

type Doc = Readonly<Record<string, unknown>>;
type Markers = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;

/** By the record's name with its last dot, and by the provider in the configuration. */
function markersOf(version: string, config: Config): Map<string, Map<string, readonly string[]>> {
  const kept = JSON.parse(read(version, 'markers.json')) as Markers;
  const providers = Object.entries(config.providers);
  return new Map(
    Object.entries(kept).map(([record, byVendor]) => [
      `${record}.`,
      new Map(providers.map(([name, { type }]) => [name, byVendor[type]!])),
    ]),
  );
}

test('the corpus is small, and has a folder for each version', () => {
  const entries = readdirSync(here, { recursive: true, withFileTypes: true });
  const sizes = entries.map((e) => (e.isFile() ? statSync(join(e.parentPath, e.name)).size : 0));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  assert.ok(bytes < 2_000_000, `${bytes} bytes`);
  const folders = readdirSync(here, { withFileTypes: true }).filter((e) => e.isDirectory());
  assert.deepEqual(folders.map((e) => e.name).sort(), versions.map((v) => v.name).sort());
  for (const { name, commit } of versions) assert.equal(read(name, 'commit'), `${commit}\n`);
});

// ---------------------------------------------------------------- state and markers

/**
 * What a person has said and what fences a record, in the same words for every version. Times are
 * of the second: some versions print them by another clock than the one they keep them by.
 */
function promised(status: unknown, docs: Readonly<Record<string, Json>>): unknown {
  const time = (at: unknown) =>
    at === null ? null : Math.round((typeof at === 'string' ? Date.parse(at) : Number(at)) / 1000);
  const held = (one: Record<string, unknown> | null) =>
    one && { ...one, sinceAt: time(one['sinceAt']), untilAt: time(one['untilAt'] ?? null) };
  const { records, drains, freeze } = status as {
    readonly records: readonly Record<string, unknown>[];
    readonly drains: readonly Record<string, unknown>[];
    readonly freeze: Record<string, unknown> | null;
  };
  const frozen = (name: string) => {
    const doc = docs[`record/${name.replace(/\.?$/, '.')}`];
    return (doc as { readonly freeze?: Json } | undefined)?.freeze ?? null;
  };
  return {
    freeze: held(freeze),
    drains: drains.map(held),
    records: records.map((r) => ({
      name: String(r['name']).replace(/\.$/, ''),
      target: r['target'],
      epoch: r['epoch'],
      switchId: r['switchId'],
      switchKind: r['switchKind'],
      decidedAt: time(r['decidedAt']),
      pin: held(r['pin'] as Record<string, unknown> | null),
      // The first ones keep it, and do not print it.
      freeze: held((r['freeze'] ?? frozen(String(r['name']))) as Record<string, unknown> | null),
      budget: r['budget'],
    })),
  };
}

function storedBy(version: string): Pick<ReturnType<SqliteStore['load']>, 'docs' | 'at'> {
  const store = openSqliteStore(stateOf(version));
  const { docs, at } = store.load();
  store.close();
  assert.equal(storedProblem(docs), null);
  return { docs, at };
}

/** Today's engine over what a version left in its state directory and at its vendors. */
function goneOnFrom(version: string, key: string | null, lost: 'lost' | null = null): World {
  const config = configOf(version);
  const { docs, at } = storedBy(version);
  const core = { ...config.core, signed: key !== null };
  const world = new World(core);
  world.keys = key === null ? null : createKeyring([key]);
  if (lost === null) world.docs = { ...docs };
  world.now = at - WALL_0 + 5_000;
  for (const [record, byProvider] of markersOf(version, config)) {
    const { target } = parseMarker(byProvider.values().next().value![0]!)!;
    const { cname } = core.records[record]!.targets.find((t) => t.origin === target)!;
    world.hold(record, cname);
    for (const [provider, texts] of byProvider) world.held(provider, record).markers = [...texts];
  }
  world.start();
  world.advance(60_000);
  return world;
}

function keyOf(version: string): string | null {
  const path = join(here, version, 'cluster.key');
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : null;
}

/** What must not come of an upgrade: a move, a loss, a quarrel over who wrote a marker. */
const unwelcome = ['switch', 'would-switch', 'adopt', 'deposed', 'undone', 'fault', 'forgotten'];

for (const { name } of versions) {
  test(`${name}: its state is gone on from, and nothing of it is lost`, () => {
    const { docs } = storedBy(name);
    const before = promised(printedBy(name, 'status'), docs);
    const world = goneOnFrom(name, keyOf(name));
    const now = view(world.state, { version: 'today', reload: null });
    assert.deepEqual(promised(now, {}), before);
    const gone = Object.keys(docs).filter((key) => !Object.hasOwn(world.docs, key));
    // Of what was told of and is over, nothing is kept.
    assert.deepEqual(
      gone.filter((key) => !key.startsWith('open/')),
      [],
    );
    assertAtRest(world, now);
  });
}

test('a cluster key given to what had none signs what stands there, and moves nothing', () => {
  for (const { name } of versions.filter((v) => keyOf(v.name) === null)) {
    const before = view(goneOnFrom(name, null).state, { version: 'today', reload: null });
    const world = goneOnFrom(name, 'a key that whoever upgrades has made just now');
    const now = view(world.state, { version: 'today', reload: null });
    assert.deepEqual(promised(now, {}), promised(before, {}), name);
    assertAtRest(world, now);
    const texts = now.records.flatMap((r) =>
      r.providers.flatMap(({ provider }) => world.held(provider, r.name).markers),
    );
    for (const text of texts) assert.match(text, / mac=/, name);
  }
});

test('markers of each version are read: who moves what where, and by which key', () => {
  for (const { name } of versions) {
    const config = configOf(name);
    const key = keyOf(name);
    for (const [record, byProvider] of markersOf(name, config)) {
      const cnames = config.core.records[record]!.targets.map((t) => t.cname);
      for (const [text] of byProvider.values()) {
        assert.equal(parseMarker(text!)?.cluster, 'lab', text);
        const proof = key === null ? null : createKeyring([key]).prove(record, text!, cnames);
        assert.equal(proof?.word ?? 'genuine', 'genuine', text);
      }
    }
  }
});

for (const { name } of versions) {
  test(`${name}: with its state lost its markers are enough to go on from`, () => {
    const world = goneOnFrom(name, keyOf(name), 'lost');
    const now = view(world.state, { version: 'today', reload: null });
    for (const [record, byProvider] of markersOf(name, configOf(name))) {
      const marker = parseMarker(byProvider.values().next().value![0]!)!;
      const r = now.records.find((one) => one.name === record)!;
      assert.equal(r.target, marker.target);
      assert.ok(r.epoch >= marker.epoch, `${r.name} goes on from epoch ${r.epoch}`);
      assert.ok(r.providers.every((p) => p.stage === 'visible'));
    }
  });
}

function assertAtRest(world: World, now: StatusView): void {
  const told = world.journal.filter(({ entry }) => unwelcome.includes(entry.kind));
  assert.deepEqual(
    told.map(({ entry }) => entry.sentence),
    [],
  );
  for (const r of now.records) {
    assert.ok(
      r.providers.every((p) => p.stage === 'visible'),
      JSON.stringify(r.providers),
    );
    for (const { provider } of r.providers) {
      const texts = world.held(provider, r.name).markers;
      assert.equal(texts.length, 1);
      const marker = parseMarker(texts[0]!);
      assert.ok(marker !== null, texts[0]);
      assert.ok(marker.epoch >= r.epoch && marker.target === r.target, texts[0]);
    }
  }
}

// ---------------------------------------------------------------- journals

interface Moves {
  readonly recorded: readonly Move[];
  readonly replayed: readonly Move[];
  readonly notes: readonly string[];
}

interface Move {
  readonly record: string;
  readonly at: number;
  readonly from: string;
  readonly to: string;
  readonly isFalse: boolean | null;
}

function replayed(journal: string, config: Config, set: readonly string[] = []): Moves {
  const order = {
    ...{ outage: null, config: null, as: null, set, sweep: null, journal },
    ...{ loss: null, seed: null, back: false, evictAfter: null, parentTtl: null },
  };
  const around = { tables, load: () => config, defaultConfig: 'detour.yaml' };
  return simulate(order, around).json as Moves;
}

const what = (m: Move) => `${m.record} ${m.from} -> ${m.to}`;
const line = (m: Move) =>
  `${new Date(Math.round(m.at / 1000) * 1000).toISOString().slice(0, 19)}Z ${what(m)}: ` +
  (m.isFalse === null ? 'not known' : m.isFalse ? 'false' : 'right');

/** Record by record: two that are moved at one moment have no order. */
const sorted = (moves: readonly Move[]) =>
  moves.toSorted((a, b) => (a.record === b.record ? a.at - b.at : a.record < b.record ? -1 : 1));

/** What a replay comes to, as it is kept: decided when, to the second, and whether rightly. */
function linesOf({ recorded, replayed: again }: Moves): string {
  const part = (title: string, moves: readonly Move[]) =>
    [title, ...sorted(moves).map((m) => `  ${line(m)}`), ''].join('\n');
  return part('recorded', recorded) + part('replayed', again);
}

const inShort = ({ seq, kind, record, data }: StoredEntry) =>
  `${seq} ${kind} ${record} ${Object.keys(data as Doc).join(' ')}`;

for (const { name, behaviour } of versions) {
  test(`${name}: its journal comes to the decisions that were recorded, for ever`, () => {
    const config = configOf(name);
    const state = stateOf(name);
    const moves = replayed(state, config);
    assert.ok(moves.recorded.length >= 3, 'an origin and a region failed');
    assert.deepEqual(sorted(moves.replayed).map(what), sorted(moves.recorded).map(what));
    const kept = join(here, name, 'decisions.txt');
    // Written once, when the version is taken in.
    if (process.env['UPDATE'] && !existsSync(kept)) writeFileSync(kept, linesOf(moves));
    assert.equal(linesOf(moves), readFileSync(kept, 'utf8'));
    // It does not say by which rules, and where they were not the first ones it is so by both.
    const said = behaviour === 0 ? moves : replayed(state, config, [`behaviour=${behaviour}`]);
    assert.deepEqual(sorted(said.replayed).map(what), sorted(moves.recorded).map(what));
    // Printed before the daemon had ended, it is the same journal, but for its end.
    const printed = readJournal(join(here, name, 'json', 'history.json')).entries;
    const { entries } = readJournal(state);
    assert.deepEqual(printed.map(inShort), entries.slice(0, printed.length).map(inShort));
  });
}

// ---------------------------------------------------------------- behaviours

/** hangzhou is down for 10.6 s at a patience of 10: at the end it answers, and is not yet up. */
function journalOf(start: Json): string {
  const directory = mkdtempSync(join(folder, 'journal-'));
  const store = openSqliteStore(directory);
  const t0 = Date.UTC(2026, 4, 1);
  const health = (was: string, now: string) => ({ origin: 'hangzhou', was, health: now });
  const told: readonly (readonly [ms: number, kind: EntryKind, data: Json])[] = [
    [0, 'start', start],
    [5_000, 'health', health('unknown', 'up')],
    [600_000, 'health', health('up', 'down')],
    [610_600, 'health', health('down', 'up')],
  ];
  for (const [ms, kind, data] of told) {
    const entry = { kind, record: null, sentence: kind, data };
    store.commit({ at: t0 + ms, wall: t0 + ms, entries: [entry], docs: [] });
  }
  store.close();
  return directory;
}

const patient = ['patience=10s'];

test('a journal is replayed by the rules it was decided by, or by those that are asked for', () => {
  const config = configOf('0.1');
  const [old, today] = [journalOf({}), journalOf({ behaviour: newestBehaviour })];
  const moved = (m: Moves) => m.replayed.map(what);
  const gone = ['www.gslb.example.net. hangzhou -> tokyo'];
  assert.deepEqual(moved(replayed(old, config, patient)), gone, 'as 0.1 decided');
  assert.deepEqual(
    moved(replayed(today, config, patient)),
    [],
    'it is asked once more, and answers',
  );
  assert.deepEqual(moved(replayed(old, config, [...patient, 'behaviour=1'])), []);
  assert.deepEqual(moved(replayed(today, config, [...patient, 'behaviour=0'])), gone);
  const noted = (m: Moves) => m.notes.filter((note) => note.includes('behaviour'));
  assert.deepEqual(noted(replayed(old, config, patient)), [
    "decided under behaviour 0, and replayed so; today's is 2, --set behaviour=2 replays it so",
  ]);
  assert.deepEqual(noted(replayed(today, config, patient)), []);
});

test('each start says in the journal by which rules is decided from then on', () => {
  const world = new World(configOf('0.1').core);
  world.start();
  const { data } = world.journal.find(({ entry }) => entry.kind === 'start')!.entry;
  assert.deepEqual(data, { behaviour: newestBehaviour });
});

// ---------------------------------------------------------------- what is newer

const refused = (act: () => unknown) => {
  try {
    act();
  } catch (error) {
    return (error as Error).message;
  }
  return assert.fail('it was taken');
};

test('a journal, a state and a history of a newer version are refused in clear words', () => {
  const config = configOf('0.1');
  const journal = journalOf({ behaviour: newestBehaviour + 6 });
  assert.match(
    refused(() => replayed(journal, config)),
    /^\S+ was written by a newer Detour \(behaviour 8, this one reads 2\): replay it with that version$/,
  );
  const state = stateOf('0.1');
  const db = new DatabaseSync(join(state, 'detour.sqlite'));
  db.exec(`PRAGMA user_version = ${stateVersion + 1}`);
  db.close();
  const before = readFileSync(join(state, 'detour.sqlite'));
  assert.match(
    refused(() => openSqliteStore(state)),
    /was written by a newer Detour \(schema 2, this one knows 1\): start that version again, or move/,
  );
  assert.match(
    refused(() => replayed(state, config)),
    /was written by a newer Detour \(state 2, this one reads 1\): replay it with that version$/,
  );
  assert.deepEqual(readFileSync(join(state, 'detour.sqlite')), before, 'it is left as it is');
  const history = join(folder, 'newer.json');
  writeFileSync(history, '{"version":2,"entries":[]}');
  assert.match(
    refused(() => replayed(history, config)),
    /was written by a newer Detour \(version 2, this one reads 1\): replay it with that version$/,
  );
  assert.match(
    refused(() => replayed(journalOf({}), config, ['behaviour=3'])),
    /behaviour=3: expected a whole number from 0 \(as the first version decided\) to 2/,
  );
});

test('a marker of a newer version is told of, and neither followed nor overwritten', () => {
  const world = goneOnFrom('0.1', null);
  const later = 'detour=2 cluster=lab epoch=900 target=hangzhou';
  world.held('cf', 'www.gslb.example.net.').markers = [later];
  world.advance(600_000);
  const now = view(world.state, { version: 'today', reload: null });
  const { target, providers } = now.records.find((r) => r.name === 'www.gslb.example.net.')!;
  assert.equal(target, 'tokyo');
  assert.match(
    providers.find((p) => p.provider === 'cf')?.problem ?? '',
    /the text at _detour\.www\S+ is of a newer Detour: upgrade this one, or remove it/,
  );
  assert.deepEqual(world.held('cf', 'www.gslb.example.net.').markers, [later]);
});

// ---------------------------------------------------------------- what is printed with --json

const commandsOf = (version: string) =>
  readdirSync(join(here, version, 'json')).map((file) => file.replace(/\.json$/, ''));

/** A document of before they had a version, as 0.3 changed all of them. */
function sinceVersioned(command: string, printed: unknown): unknown {
  const entry = (e: unknown) => dated(e as Doc & { readonly at: number; readonly wall: number });
  const whole = printed as Doc & { readonly at: number; readonly wall: number };
  switch (command) {
    case 'status': {
      const { version: detour, ...rest } = whole;
      return { version: 1, detour, ...dated(rest as typeof whole) };
    }
    case 'history':
      return { version: 1, entries: (printed as readonly unknown[]).map(entry) };
    case 'explain':
      return { version: 1, ...entry(printed) };
    case 'audit':
      return { version: 1, ...dated({ ...whole, at: whole.wall }) };
    case 'probe':
      return { version: 1, answers: printed };
    default:
      return { version: 1, ...whole };
  }
}

const shapeOf = (command: string) =>
  (documents as Readonly<Record<string, z.ZodType>>)[command] ??
  assert.fail(`${command} prints no document any more`);

test('what was printed with --json is printed today, by the same keys and of the same kind', () => {
  let seen = 0;
  for (const { name } of versions) {
    for (const command of commandsOf(name).filter((c) => c !== 'schema')) {
      const printed = printedBy(name, command);
      const isVersioned = (printed as { version?: unknown }).version === 1;
      const document = isVersioned ? printed : sinceVersioned(command, printed);
      const issues = shapeOf(command).safeParse(document).error?.issues ?? [];
      const wrong = issues.flatMap((issue) => faultsOf(command, document, issue));
      assert.deepEqual(wrong, [], `${name}: ${command} --json`);
      seen++;
    }
  }
  assert.ok(seen >= 8 * versions.length);
});

/** What a reader of the old document would miss; what has been added is none of it. */
function faultsOf(command: string, document: unknown, issue: z.core.$ZodIssue): string[] {
  const step = (value: unknown, key: PropertyKey) => (value as Doc | undefined)?.[String(key)];
  const isAdded = issue.path.reduce<unknown>(step, document) === undefined;
  if (isAdded) return [];
  const path = issue.path.filter((key) => typeof key === 'string');
  const paths = issue.code === 'unrecognized_keys' ? issue.keys.map((k) => [...path, k]) : [path];
  const fields = paths.map((keys) => `${command} ${keys.join('.')}`);
  return fields.filter((f) => broken[f] === undefined).map((f) => `${f}: ${issue.message}`);
}

interface Shape {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly required?: readonly string[];
  readonly items?: Shape;
  readonly anyOf?: readonly Shape[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
}

/** What a reader of the old shape would stumble over in the new one. */
function narrowed(was: Shape, is: Shape, path: string): string[] {
  const [before, now] = [kindsOf(was), kindsOf(is)];
  const strange = before.has('any') ? [] : [...now].filter((kind) => !before.has(kind));
  const found = strange.map((kind) => `${path} may be ${kind}`);
  const [old, young] = [mapIn(was), mapIn(is)];
  for (const [key, shape] of Object.entries(old?.properties ?? {})) {
    const next = young?.properties?.[key];
    const field = path === '' ? key : `${path}.${key}`;
    if (next === undefined) found.push(`${field} is gone`);
    else {
      const isLost = old?.required?.includes(key) && !young?.required?.includes(key);
      if (isLost) found.push(`${field} may be left out`);
      found.push(...narrowed(shape, next, field));
    }
  }
  const [item, nextItem] = [listIn(was)?.items, listIn(is)?.items];
  if (item !== undefined) found.push(...narrowed(item, nextItem ?? {}, `${path}[]`));
  return found;
}

const branches = (shape: Shape): readonly Shape[] => shape.anyOf?.flatMap(branches) ?? [shape];
const mapIn = (shape: Shape) => branches(shape).find((one) => one.properties !== undefined);
const listIn = (shape: Shape) => branches(shape).find((one) => one.items !== undefined);

/** The kinds of JSON value that a shape admits. */
function kindsOf(shape: Shape): Set<string> {
  return new Set(
    branches(shape).flatMap((one) => {
      if (one.type !== undefined) return [one.type].flat();
      const values = one.enum ?? (one.const === undefined ? undefined : [one.const]);
      return values?.map((value) => (value === null ? 'null' : typeof value)) ?? ['any'];
    }),
  );
}

test('whoever reads by an old JSON Schema of --json can read what is printed today', () => {
  const whole = schemaOf(null) as { readonly $defs: Readonly<Record<string, Shape>> };
  const old = versions.filter(({ name }) => commandsOf(name).includes('schema'));
  assert.ok(old.length >= 2);
  for (const { name } of old) {
    const { $defs } = printedBy(name, 'schema') as typeof whole;
    for (const [command, shape] of Object.entries($defs)) {
      const next = whole.$defs[command];
      assert.ok(next !== undefined, `${name}: ${command} --json has no document any more`);
      const wrong = narrowed(shape, next, '').filter(
        (said) => broken[`${command} ${said.split(' ')[0]}`] === undefined,
      );
      assert.deepEqual(wrong, [], `${name}: ${command} --json`);
    }
  }
});
