// What every store promises (the conformance suite, run on each implementation), and what the one
// on disk promises beyond that: nothing acknowledged is lost when the process is killed, a commit
// that cannot be made durable throws and changes nothing, a damaged or foreign file is refused with
// the cure, and one state directory has one owner.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { createSingleCoordinator } from '../../src/cluster/single.ts';
import type { Entry, EntryKind, Json } from '../../src/core/model.ts';
import type { Commit, LeaseEvent, Store } from '../../src/ports.ts';
import { LockError, lockStateDirectory } from '../../src/store/lock.ts';
import { openSqliteStore, StoreError } from '../../src/store/sqlite.ts';
import { newMemoryDisk, openMemoryStore } from '../parts/memory-store.ts';
import { openSimStore } from '../sim/store.ts';

const root = mkdtempSync(join(tmpdir(), 'detour-store-'));
after(() => rmSync(root, { recursive: true, force: true }));

const notRoot = process.getuid?.() === 0 ? false : 'missing: root, to give files to others';

let directories = 0;
/** A path below this test's own directory at which nothing stands. */
function freshDirectory(): string {
  return join(root, String(++directories));
}

/** The store takes every kind as it comes: those of other versions, too. */
function entry(kind: string, record: string | null = null, data: Json = null): Entry {
  return { kind: kind as EntryKind, record, sentence: `${kind} happened.`, data };
}

function commit(at: number, entries: readonly Entry[], docs: Commit['docs'] = []): Commit {
  return { at, wall: at + 1_000_000, entries, docs };
}

/** A place that keeps what its stores were given, as one disk does. */
interface Place {
  open(): Store;
}

const implementations: Readonly<Record<string, () => Place>> = {
  memory: () => {
    const disk = newMemoryDisk();
    return { open: () => openMemoryStore(disk) };
  },
  simulated: () => {
    const disk = newMemoryDisk();
    return { open: () => openSimStore(disk) };
  },
  sqlite: () => {
    const directory = freshDirectory();
    return { open: () => openSqliteStore(directory) };
  },
};

for (const [name, place] of Object.entries(implementations)) {
  describe(`the store: ${name}`, () => conformance(place));
}

function conformance(newPlace: () => Place): void {
  test('a new store is empty and stands at engine time 0', (t) => {
    const store = newPlace().open();
    t.after(() => store.close());
    assert.deepEqual(store.load(), { docs: {}, at: 0, unkept: [] });
    assert.deepEqual(store.history({ limit: 10 }), []);
  });

  test('what happened earlier goes before, with its own time, in the same commit', (t) => {
    const store = newPlace().open();
    t.after(() => store.close());
    store.commit(commit(1, [entry('start')], []));
    store.commit({
      ...commit(9, [entry('store')], [['a', 1]]),
      earlier: [
        { at: 3, wall: 33, entries: [entry('health'), entry('undrain')] },
        { at: 4, wall: 44, entries: [entry('stay')] },
      ],
    });
    const seen = store.history({ limit: 10 }).map((e) => [e.seq, e.at, e.wall, e.kind]);
    assert.deepEqual(seen, [
      [5, 9, 1_000_009, 'store'],
      [4, 4, 44, 'stay'],
      [3, 3, 33, 'undrain'],
      [2, 3, 33, 'health'],
      [1, 1, 1_000_001, 'start'],
    ]);
    assert.equal(store.load().at, 9);
    const wrong = { at: 1, wall: Number.NaN, entries: [entry('x')] };
    assert.throws(() => store.commit({ ...commit(10, [], []), earlier: [wrong] }));
    assert.equal(store.history({ limit: 1 })[0]!.seq, 5);
  });

  test('words that could not be committed are there after a restart, until they are withdrawn', () => {
    const place = newPlace();
    const store = place.open();
    store.remind(['oss: undrained by ann', 'é: 解冻']);
    assert.deepEqual(store.load().unkept, ['oss: undrained by ann', 'é: 解冻']);
    store.close();
    const again = place.open();
    assert.deepEqual(again.load().unkept, ['oss: undrained by ann', 'é: 解冻']);
    again.remind([]);
    again.close();
    const last = place.open();
    assert.deepEqual(last.load().unkept, []);
    last.close();
  });

  test('a commit replaces documents, removes those set to null, and appends its entries', (t) => {
    const store = newPlace().open();
    t.after(() => store.close());
    store.commit(
      commit(
        5.25,
        [entry('start')],
        [
          ['a', { x: [1, 'é', null] }],
          ['b', 2],
        ],
      ),
    );
    store.commit(commit(7, [entry('switch', 'www.example.net.', { to: 'b' })], [['b', null]]));
    assert.deepEqual(store.load(), { docs: { a: { x: [1, 'é', null] } }, at: 7, unkept: [] });
    assert.deepEqual(store.history({ limit: 10 }), [
      {
        seq: 2,
        at: 7,
        wall: 1_000_007,
        kind: 'switch',
        record: 'www.example.net.',
        sentence: 'switch happened.',
        data: { to: 'b' },
      },
      {
        seq: 1,
        at: 5.25,
        wall: 1_000_005.25,
        kind: 'start',
        record: null,
        sentence: 'start happened.',
        data: null,
      },
    ]);
  });

  test('an empty commit still moves the engine time', (t) => {
    const store = newPlace().open();
    t.after(() => store.close());
    store.commit(commit(42, []));
    assert.deepEqual(store.load(), { docs: {}, at: 42, unkept: [] });
  });

  test('history gives the newest first, of one record if asked, never more than the limit', (t) => {
    const store = newPlace().open();
    t.after(() => store.close());
    for (let i = 1; i <= 10; i++) {
      store.commit(commit(i, [entry('odd', i % 2 ? 'a.net.' : 'b.net.'), entry('all')]));
    }
    const seqs = (query: Parameters<Store['history']>[0]) => store.history(query).map((e) => e.seq);
    assert.deepEqual(seqs({ limit: 3 }), [20, 19, 18]);
    assert.deepEqual(seqs({ limit: 10_000 }).length, 20);
    assert.deepEqual(seqs({ record: 'a.net.', limit: 3 }), [17, 13, 9]);
    assert.deepEqual(seqs({ record: 'c.net.', limit: 3 }), []);
    assert.deepEqual(seqs({ before: 18, limit: 2 }), [17, 16]);
    assert.deepEqual(seqs({ record: 'a.net.', before: 13, limit: 3 }), [9, 5, 1]);
    assert.deepEqual(seqs({ before: 1, limit: 3 }), []);
    assert.deepEqual(seqs({ limit: 0 }), [20], 'a limit below 1 counts as 1');
    assert.deepEqual(seqs({ limit: Number.NaN }), [20]);
  });

  test('history stops at 10,000 entries however many are asked for', (t) => {
    const store = newPlace().open();
    t.after(() => store.close());
    const many = Array.from({ length: 10_001 }, (_, i) => entry(`e${i}`));
    store.commit(commit(1, many));
    assert.equal(store.history({ limit: 1e9 }).length, 10_000);
  });

  test('what is opened again is what was committed', () => {
    const place = newPlace();
    const first = place.open();
    first.commit(commit(3, [entry('a')], [['k', { v: 1 }]]));
    first.close();
    const second = place.open();
    assert.deepEqual(second.load(), { docs: { k: { v: 1 } }, at: 3, unkept: [] });
    second.commit(commit(4, [entry('b')]));
    assert.deepEqual(
      second.history({ limit: 5 }).map((e) => [e.seq, e.kind]),
      [
        [2, 'b'],
        [1, 'a'],
      ],
    );
    second.close();
  });

  test('a commit that cannot be kept throws and leaves everything as it was', (t) => {
    const store = newPlace().open();
    t.after(() => store.close());
    store.commit(commit(1, [entry('kept')], [['k', 1]]));
    const circle: Record<string, Json> = {};
    circle.self = circle;
    const bad: Commit[] = [
      commit(
        2,
        [entry('lost')],
        [
          ['k', 2],
          ['bad', circle],
        ],
      ),
      commit(2, [entry('lost'), entry('bad', null, circle)], [['k', 2]]),
      commit(2, [{ ...entry('bad'), data: undefined as unknown as Json }], [['k', 2]]),
      commit(
        2,
        [entry('lost')],
        [
          ['k', 2],
          ['bad', undefined as unknown as Json],
        ],
      ),
      commit(Number.NaN, [entry('lost')], [['k', 2]]),
    ];
    for (const one of bad) assert.throws(() => store.commit(one));
    assert.deepEqual(store.load(), { docs: { k: 1 }, at: 1, unkept: [] });
    store.commit(commit(3, [entry('next')]));
    assert.deepEqual(
      store.history({ limit: 5 }).map((e) => [e.seq, e.kind]),
      [
        [2, 'next'],
        [1, 'kept'],
      ],
    );
  });

  test('what a caller changes after a commit or a load does not reach the store', (t) => {
    const store = newPlace().open();
    t.after(() => store.close());
    const value = { n: 1 };
    store.commit(commit(1, [entry('e', null, value)], [['k', value]]));
    value.n = 2;
    (store.load().docs.k as { n: number }).n = 3;
    (store.history({ limit: 1 })[0]!.data as { n: number }).n = 4;
    assert.deepEqual(store.load().docs, { k: { n: 1 } });
    assert.deepEqual(store.history({ limit: 1 })[0]!.data, { n: 1 });
  });

  test('two stores open on one place see each other, and seq has no hole', (t) => {
    const place = newPlace();
    const [one, two] = [place.open(), place.open()];
    t.after(() => one.close());
    t.after(() => two.close());
    for (let i = 0; i < 5; i++) {
      one.commit(commit(2 * i, [entry('one')], [['one', i]]));
      two.commit(commit(2 * i + 1, [entry('two')], [['two', i]]));
    }
    assert.deepEqual(one.load(), { docs: { one: 4, two: 4 }, at: 9, unkept: [] });
    const seqs = one.history({ limit: 100 }).map((e) => e.seq);
    assert.deepEqual(seqs, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
  });

  test('a closed store refuses, and closing twice does nothing', () => {
    const store = newPlace().open();
    store.close();
    store.close();
    assert.throws(() => store.load());
    assert.throws(() => store.commit(commit(1, [])));
    assert.throws(() => store.history({ limit: 1 }));
  });

  test('any sequence of commits reads back as a plain list and a plain map would', () => {
    const key = fc.oneof(fc.constantFrom('a', 'b', '__proto__', 'constructor', ''), fc.string());
    const json = fc.jsonValue().map((v) => JSON.parse(JSON.stringify(v)) as Json);
    const record = fc.option(fc.constantFrom('a.net.', 'b.net.'), { nil: null });
    const entries = fc.record(
      {
        kind: fc.string().map((text) => text as EntryKind),
        record,
        sentence: fc.string(),
        data: json,
      },
      { noNullPrototype: true },
    );
    const commits = fc.array(
      fc.record({
        entries: fc.array(entries, { maxLength: 3 }),
        docs: fc.array(fc.tuple(key, fc.option(json, { nil: null })), { maxLength: 4 }),
      }),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(commits, (all) => {
        const place = newPlace();
        const docs = new Map<string, Json>();
        const journal: Entry[] = [];
        all.forEach((one, i) => {
          const store = place.open();
          store.commit({ at: i + 1, wall: i, entries: one.entries, docs: one.docs });
          store.close();
          journal.push(...one.entries);
          for (const [k, v] of one.docs) {
            if (v === null) docs.delete(k);
            else docs.set(k, v);
          }
        });
        const store = place.open();
        const loaded = store.load();
        assert.deepEqual(new Map(Object.entries(loaded.docs)), docs);
        assert.equal(loaded.at, all.length);
        const read = store.history({ limit: 10_000 }).toReversed();
        assert.deepEqual(
          read.map(({ kind, record, sentence, data }) => ({ kind, record, sentence, data })),
          journal,
        );
        assert.deepEqual(
          read.map((e) => e.seq),
          journal.map((_, i) => i + 1),
        );
        store.close();
      }),
      { numRuns: 25 },
    );
  });
}

test('the store in memory keeps the newest entries when its journal is full', () => {
  const store = openMemoryStore(newMemoryDisk(), 100);
  for (let i = 1; i <= 500; i++) store.commit(commit(i, [entry('e')]));
  const seqs = store.history({ limit: 10_000 }).map((e) => e.seq);
  assert.equal(seqs[0], 500);
  assert.ok(seqs.length >= 100 && seqs.length <= 110, `${seqs.length} kept`);
});

// ---------------------------------------------------------------- the store on disk

const moduleOf = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);

/** Arguments of a process that imports the store and runs a script on a directory. */
function scriptArguments(script: string, directory: string): string[] {
  const imports = `
    import { openSqliteStore } from ${moduleOf('../../src/store/sqlite.ts')};
    import { lockStateDirectory } from ${moduleOf('../../src/store/lock.ts')};
    import { writeSync } from 'node:fs';
    const directory = process.argv[1];
    const say = (text) => writeSync(1, text + '\\n');
  `;
  return ['--input-type=module', '-e', imports + script, directory];
}

/** Resolves with the child's output once `until` holds for it; rejects when it ends before. */
function outputOf(child: ChildProcess, until: (text: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (until(text)) resolve(text);
    });
    child.on('error', reject);
    child.on('close', (code, signal) =>
      reject(new Error(`ended early: ${code ?? signal} ${text}`)),
    );
  });
}

async function killAndWait(child: ChildProcess): Promise<void> {
  const closed = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGKILL');
  await closed;
}

test('killed twenty times in mid-commit, it loses nothing acknowledged', async (t) => {
  const directory = freshDirectory();
  // Each commit writes its number into a document and into two entries, and then acknowledges it.
  const script = `
    const store = openSqliteStore(directory);
    const last = store.load().docs.n ?? 0;
    for (let n = last + 1; ; n++) {
      const entry = { kind: 'e', record: null, sentence: 's', data: n };
      store.commit({ at: n, wall: n, entries: [entry, entry], docs: [['n', n], ['m', -n]] });
      say(n);
    }
  `;
  let acknowledged = 0;
  for (let round = 0; round < 20; round++) {
    const child = spawn(process.execPath, scriptArguments(script, directory), {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => child.kill('SIGKILL'));
    const lines = 5 + ((round * 7) % 40);
    let text = await outputOf(child, (t) => t.split('\n').length > lines);
    child.stdout!.on('data', (chunk: string) => {
      text += chunk;
    });
    await killAndWait(child);
    // The last line may be torn; what stands before a line break was acknowledged.
    acknowledged = Math.max(acknowledged, ...text.split('\n').slice(0, -1).map(Number));
    const store = openSqliteStore(directory);
    const { docs, at } = store.load();
    const n = docs.n as number;
    assert.ok(n >= acknowledged, `acknowledged ${acknowledged}, found ${n}`);
    assert.deepEqual({ docs, at }, { docs: { n, m: -n }, at: n });
    const journal = store.history({ limit: 10_000 });
    assert.deepEqual(
      journal.map((e) => [e.seq, e.data]),
      Array.from({ length: Math.min(2 * n, 10_000) }, (_, i) => {
        const seq = 2 * n - i;
        return [seq, Math.ceil(seq / 2)];
      }),
    );
    store.close();
  }
  assert.ok(acknowledged >= 200, `only ${acknowledged} commits were made`);
});

test('a disk that refuses to take more: the commit throws, what stood before stands after', () => {
  const directory = freshDirectory();
  const script = `
    const store = openSqliteStore(directory);
    let n = 0;
    let message = null;
    while (message === null && n < 10000) {
      const data = 'x'.repeat(2000);
      const entry = { kind: 'e', record: null, sentence: 's', data };
      try {
        store.commit({ at: n + 1, wall: 0, entries: [entry], docs: [['n', n + 1]] });
        n++;
      } catch (error) {
        message = error.constructor.name + ': ' + error.message;
      }
    }
    const { docs, at } = store.load();
    say(JSON.stringify({ n, message, docs, at, seq: store.history({ limit: 1 })[0].seq }));
  `;
  const limited = 'ulimit -f 256; exec "$0" "$@"';
  const child = spawnSync(
    'bash',
    ['-c', limited, process.execPath, ...scriptArguments(script, directory)],
    { encoding: 'utf8', timeout: 30_000 },
  );
  assert.equal(child.status, 0, child.stderr);
  const seen = JSON.parse(child.stdout) as Record<string, unknown>;
  const n = seen.n as number;
  assert.ok(n > 10 && n < 10_000, `${n} commits before the limit`);
  assert.match(String(seen.message), /^StoreError: .*detour\.sqlite cannot be written: /);
  assert.match(String(seen.message), /the disk (refuses|is full)/);
  assert.deepEqual([seen.docs, seen.at, seen.seq], [{ n }, n, n]);
  const store = openSqliteStore(directory);
  assert.deepEqual(store.load(), { docs: { n }, at: n, unkept: [] });
  store.commit(commit(n + 1, [entry('goes on')], [['n', n + 1]]));
  assert.equal(store.history({ limit: 1 })[0]!.seq, n + 1);
  store.close();
});

test('a file removed or replaced under an open store makes its commits throw', (t) => {
  for (const suffix of ['', '-wal']) {
    const directory = freshDirectory();
    const store = openSqliteStore(directory);
    t.after(() => store.close());
    store.commit(commit(1, [entry('a')]));
    const path = join(directory, `detour.sqlite${suffix}`);
    renameSync(path, `${path}.aside`);
    assert.throws(() => store.commit(commit(2, [])), {
      name: 'Error',
      message:
        `${path} was removed or replaced while it was open: nothing more can be recorded; ` +
        'put it back if you have it, and restart Detour',
    });
    writeFileSync(path, readFileSync(`${path}.aside`));
    assert.throws(() => store.commit(commit(2, [])), StoreError, 'a copy is another file');
    rmSync(path);
    renameSync(`${path}.aside`, path);
    store.commit(commit(2, [entry('b')]));
    assert.equal(store.load().at, 2);
  }
});

test('a writer that holds the file too long makes a commit throw, the next succeeds', (t) => {
  const directory = freshDirectory();
  const store = openSqliteStore(directory);
  t.after(() => store.close());
  const other = new DatabaseSync(join(directory, 'detour.sqlite'));
  t.after(() => other.close());
  other.exec('BEGIN IMMEDIATE');
  assert.throws(() => store.commit(commit(1, [entry('a')])), /another process holds it/);
  other.exec('ROLLBACK');
  store.commit(commit(1, [entry('a')]));
  assert.equal(store.history({ limit: 9 }).length, 1);
});

test('the state directory and everything in it is readable for its owner alone', () => {
  const directory = freshDirectory();
  const store = openSqliteStore(directory);
  store.commit(commit(1, [entry('a')]));
  const modeOf = (name: string) => statSync(join(directory, name)).mode & 0o777;
  assert.equal(statSync(directory).mode & 0o777, 0o700);
  for (const name of ['detour.sqlite', 'detour.sqlite-wal', 'detour.sqlite-shm']) {
    assert.equal(modeOf(name), 0o600, name);
  }
  store.close();
  chmodSync(join(directory, 'detour.sqlite'), 0o644);
  openSqliteStore(directory).close();
  assert.equal(modeOf('detour.sqlite'), 0o600, 'a mode too open is narrowed');
});

test('every commit is made durable: write-ahead log and full synchronisation', (t) => {
  const directory = freshDirectory();
  const script = `
    const store = openSqliteStore(directory);
    const commit = (n) => store.commit({ at: n, wall: n, entries: [], docs: [['n', n]] });
    commit(0);
    say('start');
    for (let n = 1; n <= 50; n++) commit(n);
    say('end');
  `;
  const isMissing = spawnSync('strace', ['-V']).status !== 0;
  if (isMissing && !process.env['CI']) return t.skip('strace is not installed');
  const trace = join(root, 'trace');
  const child = spawnSync(
    'strace',
    [
      ...['-o', trace, '-e', 'trace=fsync,fdatasync,write', process.execPath],
      ...scriptArguments(script, directory),
    ],
    { encoding: 'utf8', timeout: 60_000 },
  );
  assert.equal(child.status, 0, child.stderr);
  const lines = readFileSync(trace, 'utf8').split('\n');
  const between = lines.slice(
    lines.findIndex((l) => l.includes('"start\\n"')),
    lines.findIndex((l) => l.includes('"end\\n"')),
  );
  assert.ok(between.filter((l) => /f(data)?sync\(/.test(l)).length >= 50);
});

test('the journal drops its oldest entries in small steps, by number and by age', (t) => {
  const directory = freshDirectory();
  let store = openSqliteStore(directory);
  store.commit(
    commit(
      1,
      Array.from({ length: 300 }, () => entry('old', 'a.net.')),
    ),
  );
  store.close();
  store = openSqliteStore(directory, { limits: { entries: 100, ageMs: 1_000 } });
  t.after(() => store.close());
  const span = () => {
    const seqs = store.history({ limit: 10_000 }).map((e) => e.seq);
    return [seqs.at(-1), seqs[0], seqs.length];
  };
  store.commit(commit(2, [entry('new')]));
  assert.deepEqual(span(), [66, 301, 236], 'one step: 1 + 64 at most');
  for (let i = 0; i < 5; i++) store.commit(commit(3, [entry('new')]));
  assert.deepEqual(span(), [207, 306, 100]);
  store.commit(commit(1_002.5, [entry('late')]));
  assert.deepEqual(span(), [272, 307, 36], 'a step of those older than 1000 ms');
  store.commit(commit(1_002.5, []));
  assert.deepEqual(span(), [302, 307, 6]);
  store.commit(commit(9_000, []));
  store.commit(commit(9_000, []));
  assert.deepEqual(span(), [undefined, undefined, 0]);
  store.commit(commit(9_001, [entry('on')]));
  assert.deepEqual(span(), [308, 308, 1]);
  store.close();
  store = openSqliteStore(directory);
  assert.deepEqual(span(), [308, 308, 1]);
});

function editFile(directory: string, edit: (db: DatabaseSync) => void): void {
  const db = new DatabaseSync(join(directory, 'detour.sqlite'));
  edit(db);
  db.close();
}

function filledDirectory(): string {
  const directory = freshDirectory();
  const store = openSqliteStore(directory);
  const entries = Array.from({ length: 200 }, () => entry('e', 'a.net.', 'x'.repeat(100)));
  store.commit(commit(1, entries, [['k', 1]]));
  store.close();
  return directory;
}

test('a store written by a newer Detour is refused and left alone', () => {
  const directory = filledDirectory();
  editFile(directory, (db) => db.exec('PRAGMA user_version = 2'));
  const file = join(directory, 'detour.sqlite');
  assert.throws(() => openSqliteStore(directory), {
    message:
      `${file} was written by a newer Detour (schema 2, this one knows 1): start that version ` +
      'again, or move the file aside and begin anew with `detour run --new-state`',
  });
  editFile(directory, (db) => db.exec('PRAGMA user_version = 1'));
  assert.equal(openSqliteStore(directory).load().at, 1);
});

test('a database of another program is refused and left alone', () => {
  const directory = freshDirectory();
  mkdirSync(directory);
  editFile(directory, (db) => db.exec('CREATE TABLE theirs (x)'));
  assert.throws(() => openSqliteStore(directory), /is a database of some other program/);
  editFile(directory, (db) => assert.deepEqual(db.prepare('SELECT * FROM theirs').all(), []));
});

test('a damaged file is refused by name, with the cure', () => {
  const damages: Record<string, (file: string) => void> = {
    'no database at all': (file) => writeFileSync(file, 'hello '.repeat(1000)),
    'cut in the middle': (file) => truncateSync(file, 3 * 4096),
    'a page overwritten': (file) => {
      const bytes = readFileSync(file);
      bytes.fill(0xa5, 2 * 4096, 5 * 4096);
      writeFileSync(file, bytes);
    },
  };
  for (const [name, damage] of Object.entries(damages)) {
    const directory = filledDirectory();
    const file = join(directory, 'detour.sqlite');
    damage(file);
    assert.throws(
      () => openSqliteStore(directory),
      (error: Error) => {
        assert.ok(error instanceof StoreError, name);
        assert.ok(error.message.startsWith(`${file} is damaged (`), error.message);
        assert.match(
          error.message,
          /begin anew with `detour run --new-state`, which moves it aside/,
        );
        return true;
      },
      name,
    );
  }
});

test('a journal that does not end where its position says is refused as damaged', () => {
  const directory = filledDirectory();
  editFile(directory, (db) => db.exec('DELETE FROM journal WHERE seq = 200'));
  assert.throws(
    () => openSqliteStore(directory),
    /is damaged \(the journal ends at 199, its position says 200\)/,
  );
});

test('a stored document that is no JSON is refused without being quoted', () => {
  const directory = filledDirectory();
  editFile(directory, (db) => db.exec("UPDATE document SET value = '{sesame'"));
  const store = openSqliteStore(directory);
  assert.throws(
    () => store.load(),
    (error: Error) =>
      /a stored document is no JSON/.test(error.message) && !/sesame/.test(error.message),
  );
  store.close();
});

test('a state directory that cannot be made is an error with its name and the cure', () => {
  const file = join(root, 'a-file');
  writeFileSync(file, '');
  const expected = new RegExp(`${file}.*make the (directory|file)`);
  assert.throws(() => openSqliteStore(join(file, 'state')), expected);
  assert.throws(() => lockStateDirectory(join(file, 'state')), expected);
});

// ---------------------------------------------------------------- a store that is gone

/** A state directory that a store has used, with one document in it. */
function usedDirectory(): string {
  const directory = freshDirectory();
  const store = openSqliteStore(directory);
  assert.equal(store.isNew, true);
  store.commit(commit(1, [entry('a')], [['drains', ['aliyun']]]));
  store.close();
  return directory;
}

const goings: Readonly<Record<string, (file: string) => void>> = {
  'cut to 0 bytes': (file) => truncateSync(file, 0),
  'gone beside its log': (file) => {
    writeFileSync(`${file}-wal`, 'left over');
    rmSync(file);
  },
  'gone with its log': (file) => rmSync(file),
};

for (const [what, go] of Object.entries(goings)) {
  test(`a store that is ${what} is told of and refused until somebody says --new-state`, () => {
    const directory = usedDirectory();
    go(join(directory, 'detour.sqlite'));
    for (let n = 0; n < 2; n++) {
      assert.throws(
        () => openSqliteStore(directory),
        (error: Error) => {
          assert.ok(error instanceof StoreError);
          assert.match(
            error.message,
            /detour\.sqlite is (empty|gone, and .* is there): restore it/,
          );
          assert.match(error.message, /begin anew with `detour run --new-state`: .*drains .* lost/);
          return true;
        },
      );
    }
    const store = openSqliteStore(directory, { newState: true });
    assert.deepEqual([store.isNew, store.load()], [true, { docs: {}, at: 0, unkept: [] }]);
    store.close();
    const again = openSqliteStore(directory);
    assert.equal(again.isNew, false);
    again.close();
  });
}

test('--new-state moves a damaged store aside, and leaves a sound one as it is', () => {
  const sound = usedDirectory();
  const kept = openSqliteStore(sound, { newState: true });
  assert.deepEqual([kept.isNew, kept.load().docs], [false, { drains: ['aliyun'] }]);
  kept.close();
  const directory = usedDirectory();
  const file = join(directory, 'detour.sqlite');
  writeFileSync(file, 'hello '.repeat(1000));
  const store = openSqliteStore(directory, { newState: true });
  assert.equal(store.isNew, true);
  store.close();
  assert.match(readFileSync(`${file}.aside-1`, 'utf8'), /^hello /);
});

test('a first start that was cut off in the middle is a first start again', () => {
  const directory = freshDirectory();
  mkdirSync(directory, { mode: 0o700 });
  writeFileSync(join(directory, 'detour.sqlite.new'), 'half', { mode: 0o600 });
  const store = openSqliteStore(directory);
  assert.equal(store.isNew, true);
  store.close();
});

// ---------------------------------------------------------------- the place

test('files of ours that others could read or lock are made private', () => {
  const directory = usedDirectory();
  lockStateDirectory(directory).release();
  const names = readdirSync(directory);
  assert.ok(names.includes('lock.sqlite'));
  for (const name of names) {
    assert.equal(statSync(join(directory, name)).mode & 0o077, 0, name);
    chmodSync(join(directory, name), 0o666);
  }
  chmodSync(directory, 0o777);
  const lock = lockStateDirectory(directory);
  assert.equal(statSync(directory).mode & 0o022, 0);
  for (const name of names) {
    const { mode } = statSync(join(directory, name));
    assert.equal(mode & 0o077, 0, name);
  }
  lock.release();
});

test('a link planted in the state directory is refused, and what it leads to is left alone', () => {
  const plants = ['detour.sqlite', 'detour.sqlite-wal', 'lock.sqlite', 'lock.pid'];
  for (const name of [...plants, 'nameservers.json', 'nameservers.json.new']) {
    for (const plant of [symlinkSync, linkSync]) {
      const directory = freshDirectory();
      mkdirSync(directory, { mode: 0o777 });
      chmodSync(directory, 0o777);
      const prey = `${directory}-prey`;
      writeFileSync(prey, 'theirs');
      chmodSync(prey, 0o644);
      plant(prey, join(directory, name));
      const refusal = new RegExp(`${name} (is a link|has 2 names)`);
      assert.throws(() => lockStateDirectory(directory), refusal);
      assert.throws(() => openSqliteStore(directory), refusal);
      assert.equal(readFileSync(prey, 'utf8'), 'theirs');
      assert.equal(statSync(prey).mode & 0o777, 0o644);
    }
  }
});

test('a state directory under one that is writable for all is refused', () => {
  const above = freshDirectory();
  mkdirSync(join(above, 'state'), { recursive: true, mode: 0o700 });
  chmodSync(above, 0o777);
  assert.throws(
    () => lockStateDirectory(join(above, 'state')),
    /anybody may replace it.*chmod o-w/,
  );
  chmodSync(above, 0o1777);
  lockStateDirectory(join(above, 'state')).release();
});

test('what belongs to somebody else is refused by name', { skip: notRoot }, () => {
  const directory = usedDirectory();
  chownSync(join(directory, 'detour.sqlite'), 65_534, 65_534);
  assert.throws(() => openSqliteStore(directory), /detour\.sqlite belongs to uid 65534 .*chown 0/);
  const other = usedDirectory();
  chownSync(other, 65_534, 65_534);
  assert.throws(() => lockStateDirectory(other), /belongs to uid 65534 and Detour runs as uid 0/);
  // What Kubernetes makes of a volume (fsGroup): root's, and a group's that is ours.
  const shared = usedDirectory();
  const script = `
    process.setgroups([4711]);
    process.setgid(4711);
    process.setuid(4711);
    lockStateDirectory(directory);
    say('locked');
  `;
  chmodSync(root, 0o755);
  for (const [gid, said] of [
    [4711, 'locked\n'],
    [4712, ''],
  ] as const) {
    rmSync(shared, { recursive: true });
    mkdirSync(shared);
    chownSync(shared, 0, gid);
    chmodSync(shared, 0o2770);
    const child = spawnSync(process.execPath, scriptArguments(script, shared), {
      encoding: 'utf8',
      timeout: 30_000,
    });
    assert.equal(child.stdout, said, child.stderr);
  }
});

const notMounting =
  notRoot || !existsSync('/usr/bin/unshare') ? 'missing: root and unshare' : false;

test('a start on a full disk says so', { skip: notMounting }, () => {
  const directory = freshDirectory();
  mkdirSync(directory);
  const script = `
    try {
      lockStateDirectory(directory);
      openSqliteStore(directory);
    } catch (error) {
      say(error.message);
    }
  `;
  const disk = join(directory, 'disk');
  for (const [room, name] of [
    ['size=4k', 'nothing at all'],
    ['size=16k', 'too little for a store'],
    ['size=1m,nr_inodes=2', 'no inode'],
  ]) {
    const steps =
      `mkdir -p ${disk} && mount -t tmpfs -o ${room} tmpfs ${disk} && ` +
      `{ dd if=/dev/zero of=${disk}/fill bs=1k 2>/dev/null; shift 0; exec "$0" "$@"; }`;
    const child = spawnSync(
      'unshare',
      ['-m', 'bash', '-c', steps, process.execPath, ...scriptArguments(script, disk)],
      { encoding: 'utf8', timeout: 30_000 },
    );
    assert.match(child.stdout, /the disk is full: free some space/, `${name}: ${child.stderr}`);
  }
});

test('on a full disk no commit is made, and words are remembered all the same', {
  skip: notMounting,
}, () => {
  const directory = freshDirectory();
  mkdirSync(directory);
  const disk = join(directory, 'disk');
  const script = `
    const { writeFileSync } = await import('node:fs');
    const store = openSqliteStore(directory);
    store.commit({ at: 1, wall: 1, entries: [], docs: [['drain/oss', 1]] });
    let size = 65536;
    for (let n = 0; size > 0; n++) {
      try {
        writeFileSync(directory + '/fill' + n, 'x'.repeat(size));
      } catch {
        size = size >> 1;
      }
    }
    let message = null;
    for (let n = 0; message === null && n < 100; n++) {
      try {
        store.commit({ at: 2 + n, wall: 2, entries: [], docs: [['more', 'x'.repeat(5000 + n)]] });
      } catch (error) {
        message = error.message;
      }
    }
    store.remind(['oss: undrained by ann']);
    store.close();
    say(JSON.stringify([message, openSqliteStore(directory).load().unkept]));
  `;
  const steps = `mkdir -p ${disk} && mount -t tmpfs -o size=400k tmpfs ${disk} && exec "$0" "$@"`;
  const child = spawnSync(
    'unshare',
    ['-m', 'bash', '-c', steps, process.execPath, ...scriptArguments(script, disk)],
    { encoding: 'utf8', timeout: 30_000 },
  );
  const [message, words] = JSON.parse(child.stdout || 'null') as [string, string[]];
  assert.match(message, /the disk is full/, child.stderr);
  assert.deepEqual(words, ['oss: undrained by ann']);
});

test('more words than there is room for are counted, and a cut file is no store that is damaged', () => {
  const directory = freshDirectory();
  const store = openSqliteStore(directory);
  const said = Array.from({ length: 500 }, (_, i) => `${i} ${'解'.repeat(400)}`);
  store.remind(said);
  const { unkept } = store.load();
  assert.ok(unkept.length > 5 && unkept.length < 100, `${unkept.length}`);
  assert.match(unkept.at(-1)!, /^499 /);
  const file = join(directory, 'detour.sqlite.unkept');
  assert.equal(statSync(file).size, 16_384);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  store.close();
  writeFileSync(file, '["half a wor');
  const again = openSqliteStore(directory);
  assert.deepEqual(again.load().unkept, ['something that cannot be read any more']);
  again.close();
});

// ---------------------------------------------------------------- the lock

test('a state directory is locked once, also within one process, and free after release', () => {
  const directory = freshDirectory();
  const lock = lockStateDirectory(directory);
  assert.throws(() => lockStateDirectory(directory), {
    message:
      `${directory} is in use by the process with pid ${process.pid}: end that one first, ` +
      'or give this Detour another stateDir',
  });
  // Reading the pid, or refusing once, must not have dropped the lock.
  assert.throws(() => lockStateDirectory(directory), LockError);
  lock.release();
  lock.release();
  assert.equal(existsSync(join(directory, 'lock.pid')), false);
  lockStateDirectory(directory).release();
});

test('the lock keeps others out, names its holder, and ends with it by SIGKILL', async (t) => {
  const directory = freshDirectory();
  const script = `
    lockStateDirectory(directory);
    say('locked');
    setInterval(() => {}, 1000);
  `;
  const child = spawn(process.execPath, scriptArguments(script, directory), {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  await outputOf(child, (text) => text.includes('locked\n'));
  assert.throws(
    () => lockStateDirectory(directory),
    new RegExp(`${directory} is in use by the process with pid ${child.pid}: end that one first`),
  );
  await killAndWait(child);
  assert.ok(existsSync(join(directory, 'lock.pid')), 'the killed process left its pid behind');
  const lock = lockStateDirectory(directory);
  assert.match(readFileSync(join(directory, 'lock.pid'), 'utf8'), new RegExp(`^${process.pid} `));
  // And the other way round: this process holds it now, so a child is refused.
  const refused = spawnSync(process.execPath, scriptArguments(script, directory), {
    encoding: 'utf8',
    timeout: 30_000,
  });
  assert.notEqual(refused.status, 0);
  assert.match(refused.stderr, new RegExp(`is in use by the process with pid ${process.pid}`));
  lock.release();
});

test('a holder that has not written its pid yet is called another process', () => {
  const directory = freshDirectory();
  const lock = lockStateDirectory(directory);
  rmSync(join(directory, 'lock.pid'));
  assert.throws(() => lockStateDirectory(directory), /is in use by another process: end that one/);
  lock.release();
});

test('the journal is read by its indices, however long it is', (t) => {
  const directory = freshDirectory();
  const store = openSqliteStore(directory);
  store.close();
  const db = new DatabaseSync(join(directory, 'detour.sqlite'));
  t.after(() => db.close());
  const planOf = (where: string) =>
    db
      .prepare(
        `EXPLAIN QUERY PLAN SELECT seq, sentence FROM journal WHERE ${where} ORDER BY seq DESC LIMIT 5`,
      )
      .all('a', 9)
      .map(({ detail }) => detail);
  assert.deepEqual(planOf('record = ? AND seq < ?'), [
    'SEARCH journal USING INDEX journal_record (record=? AND seq<?)',
  ]);
  assert.deepEqual(planOf("? <> '' AND seq < ?"), [
    'SEARCH journal USING INTEGER PRIMARY KEY (rowid<?)',
  ]);
});

// ---------------------------------------------------------------- alone

test('a single node is told once that it holds its lease, with its term', async () => {
  const told: LeaseEvent[] = [];
  const coordinator = createSingleCoordinator(7);
  coordinator.start((event) => told.push(event));
  assert.deepEqual(told, [], 'not from within start');
  await Promise.resolve();
  assert.deepEqual(told, [{ kind: 'held', term: 7 }]);
  assert.throws(() => coordinator.start(() => {}), /already started/);
  coordinator.close();
  assert.equal(told.length, 1);
});

test('a single node closed before it was told stays silent', async () => {
  const coordinator = createSingleCoordinator(1);
  coordinator.start(() => assert.fail('told after close'));
  coordinator.close();
  await new Promise((resolve) => setImmediate(resolve));
});
