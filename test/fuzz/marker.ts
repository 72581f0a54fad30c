// What is remembered: the marker in DNS, of which exactly what Detour writes may be read as one, and
// the store's file, damaged in its rows and in its bytes. A damaged store is refused with a sentence
// that names the file and the cure, and whatever is loaded from one, the core starts with.

import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { providerTypes } from '../../providers/index.ts';
import { parseConfig } from '../../src/config/config.ts';
import { nextDeadline, start, step, violations } from '../../src/core/engine.ts';
import { formatMarker, MARKER_NUMBER_MAX, parseMarker } from '../../src/core/marker.ts';
import type { CoreConfig, Json, Marker } from '../../src/core/model.ts';
import { storedProblem } from '../../src/core/stored.ts';
import { view } from '../../src/core/view.ts';
import { notifierTypes } from '../../src/notify/index.ts';
import { checkTypes } from '../../src/probes/index.ts';
import { openSqliteStore, StoreError } from '../../src/store/sqlite.ts';
import { type Dice, mutate, mutateJson, mutateText } from './dice.ts';
import { b64, demand, inTime, Reached, type Stand, target, unb64 } from './harness.ts';

type Input =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'marker'; readonly marker: Marker }
  /** Documents and entries' data as they stand in the rows. */
  | { readonly kind: 'rows'; readonly rows: readonly (readonly [key: string, value: string])[] }
  | { readonly kind: 'file'; readonly bytes: string };

const markers = [
  'detour=1 cluster=shop epoch=7 id=9f2c term=1 kind=auto target=tokyo pin=none',
  'detour=1 cluster=a-b epoch=0 id=0 term=0 kind=operator target=t pin=1700000000000',
  'detour=1 cluster=shop epoch=281474976710656 id=ab term=9 kind=operator target=x pin=unlimited',
];

const documents: readonly (readonly [key: string, value: unknown])[] = [
  ['term', 3],
  ['freeze', { reason: 'a change', by: 'ann', sinceAt: 5 }],
  ['drain/a', { what: 'a', reason: 'update', by: 'bob', sinceAt: 5 }],
  ['red/a/web|direct', true],
  [
    'record/www.fo.test.',
    {
      target: 'a',
      cname: 'a.example.com.',
      marker: parseMarker(markers[0]!),
      epochMax: 7,
      decidedAt: 900,
      endedAt: null,
      pin: { target: 'a', reason: 'why', by: 'ann', sinceAt: 5, untilAt: 99_999 },
      switches: [100, 900],
      overspentAt: null,
      quietSinceAt: 0,
      deposed: null,
      freeze: { reason: 'one', by: 'ann', sinceAt: 5 },
      claims: { cf: 'configured' },
      adopted: false,
    },
  ],
];

export const marker = target<Input>({
  name: 'marker',
  atOnce: 1,
  open: async () => new Memory(),
});

class Memory implements Stand<Input> {
  readonly reached = new Reached();
  readonly #folder = mkdtempSync(join(tmpdir(), 'detour-fuzz-'));
  readonly #sound = join(this.#folder, 'sound.sqlite');
  readonly #config = coreConfig();
  #turn = 0;

  constructor() {
    const store = openSqliteStore(this.#folder);
    const data = { a: [1, 'b'] };
    const entry = { kind: 'start', record: null, sentence: 'it began.', data } as const;
    const docs = documents.map(([key, value]) => [key, value as Json] as const);
    for (let i = 1; i < 30; i++) {
      store.commit({ at: i, wall: i, entries: [entry], docs: i === 1 ? docs : [] });
    }
    store.close();
    copyFileSync(join(this.#folder, 'detour.sqlite'), this.#sound);
  }

  draw(dice: Dice): Input {
    const kind = dice.pick([
      ...Array.from({ length: 12 }, () => 'text' as const),
      ...(['marker', 'marker', 'rows', 'rows', 'file'] as const),
    ]);
    switch (kind) {
      case 'text':
        return { kind, text: mutateText(dice, dice.pick(markers), markers) };
      case 'marker':
        return { kind, marker: drawMarker(dice) };
      case 'rows':
        return {
          kind,
          rows: dice.list(1, 3, () => {
            const [key, value] = dice.pick(documents);
            const odd = mutateJson(dice, JSON.stringify(value));
            return [dice.is(0.95) ? key : mutateText(dice, key), odd] as const;
          }),
        };
      case 'file':
        return { kind, bytes: b64(mutate(dice, readFileSync(this.#sound))) };
    }
  }

  async run(input: Input): Promise<void> {
    switch (input.kind) {
      case 'text': {
        const read = inTime(50, 'reading a marker', () => parseMarker(input.text));
        this.reached.note(read === null ? 'no marker' : 'a marker');
        if (read === null) return;
        demand(formatMarker(read) === input.text, 'a text that Detour never writes is a marker');
        return;
      }
      case 'marker': {
        const read = parseMarker(formatMarker(input.marker));
        const same = JSON.stringify(read) === JSON.stringify(input.marker);
        demand(same, 'a marker is not read as it was written');
        return;
      }
      case 'rows':
        return this.#runStore((file) => {
          copyFileSync(this.#sound, file);
          const db = new DatabaseSync(file);
          const put = db.prepare('INSERT OR REPLACE INTO document (key, value) VALUES (?, ?)');
          for (const [key, value] of input.rows) put.run(key, value);
          db.prepare('UPDATE journal SET data = ? WHERE seq = 3').run(input.rows[0]![1]);
          db.close();
        });
      case 'file':
        return this.#runStore((file) => writeFileSync(file, unb64(input.bytes)));
    }
  }

  async #runStore(damage: (file: string) => void): Promise<void> {
    const folder = join(this.#folder, String(++this.#turn));
    mkdirSync(folder);
    try {
      damage(join(folder, 'detour.sqlite'));
      inTime(2000, 'opening a store', () => this.#open(folder));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  #open(folder: string): void {
    let docs: Readonly<Record<string, Json>>;
    try {
      const store = openSqliteStore(folder);
      try {
        docs = store.load().docs;
        store.history({ limit: 100 });
        store.commit({ at: 1e9, wall: 1e9, entries: [], docs: [['term', 4]] });
      } finally {
        store.close();
      }
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.reached.note('the file is refused');
      const { message } = error;
      demand(message.includes('detour.sqlite'), `a refusal names no file: ${message}`);
      demand(message.length <= 1000, `a refusal has ${message.length} characters`);
      return;
    }
    const problem = inTime(50, 'looking at documents', () => storedProblem(docs));
    this.reached.note(problem === null ? 'started' : 'a document is refused');
    if (problem === null) return this.#begin(docs);
    demand(problem.length <= 500, `a problem has ${problem.length} characters`);
  }

  /** The core, from these documents, for a simulated minute. */
  #begin(docs: Readonly<Record<string, Json>>): void {
    const now = 1_000_000;
    const { state } = start({ config: this.#config, docs, now, wall: now, seed: [1, 2, 3, 4] });
    step(state, { kind: 'lease', held: true, term: 9 }, now + 1, now + 1);
    for (let i = 0; i < 30; i++) {
      const at = Math.min(nextDeadline(state)?.at ?? now, now + 60_000);
      step(state, { kind: 'tick' }, at, at);
    }
    JSON.stringify(view(state, { version: '1', reload: null }));
    violations(state);
  }

  async close(): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function drawMarker(dice: Dice): Marker {
  const word = (most: number) => dice.list(1, most, () => dice.pick([...'abcxyz0189-'])).join('');
  const count = () => (dice.is(0.3) ? dice.int(0, 9) : dice.spread(1, MARKER_NUMBER_MAX));
  const pinned = dice.is(0.5);
  return {
    cluster: word(63),
    epoch: count(),
    id: word(32).replaceAll('-', 'a'),
    term: count(),
    kind: dice.pick(['auto', 'operator']),
    target: word(63),
    pinned,
    pinMs: pinned && dice.is(0.5) ? count() : null,
  };
}

function coreConfig(): CoreConfig {
  const text = `
cluster: shop
providers: { cf: { type: cloudflare, apiToken: { env: A }, zone: fo.test } }
origins:
  a: { cloud: east, checks: { web: { http: "https://a.example.com/" } } }
  b: { cloud: west, checks: { web: { http: "https://b.example.com/" } } }
records:
  www.fo.test:
    mode: steer
    publish: [cf]
    targets: [ { origin: a, cname: a.example.com }, { origin: b, cname: b.example.com } ]
`;
  const tables = { providers: providerTypes, checks: checkTypes, notifiers: notifierTypes };
  const parsed = parseConfig(text, 'x', tables);
  if (!parsed.ok) throw new Error(parsed.problems[0]!.message);
  return parsed.config.core;
}
