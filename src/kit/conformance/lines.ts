// Of the suite: records that stand on several lines of a vendor that has them. All lines are one
// record: read together, written together with the marker last, and nothing else is touched.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatMarker, markerName } from '../../core/marker.ts';
import type { Change, Name, Seen } from '../../core/model.ts';
import type { Account } from './account.ts';
import { eventually, marker, type Stage } from './stage.ts';

type Lines = NonNullable<Account['lines']>;
type Story = (what: string, run: (set: LineSet) => Promise<void>) => void;

const A = 'a.example.com.';
const B = 'b.example.com.';

export function lineStory(stage: Stage): void {
  const fallback = stage.capabilities.lines?.default;
  if (fallback === undefined) return;
  const story: Story = (what, run) => {
    test(`lines: ${what}`, async (t) => {
      const { lines } = stage.account;
      if (lines === undefined) return t.skip('missing: lines of the account');
      await run(new LineSet(stage, lines, fallback));
    });
  };

  story('each is read as what it is, the default one without its name', async (set) => {
    const name = stage.fresh();
    await set.put(name, { [set.first]: A, [set.second]: B });
    const seen = await stage.see(name);
    assert.equal(seen.refusal, null);
    assert.deepEqual(set.of(seen), { [set.default]: '', [set.first]: A, [set.second]: B });
  });

  story('nothing stands: it is made on all of them', async (set) => {
    const name = stage.fresh();
    await stage.make(set.move(name, await stage.see(name), B, 1));
    await set.stands(name, B, 1);
  });

  story('all of them move, and no moment is without an answer on any', async (set) => {
    const name = await set.begun();
    const answers = new Set<string>();
    let moving = true;
    const watch = (async () => {
      while (moving) {
        for (const line of set.listed) {
          for (const values of await set.lines.look(name, line)) answers.add(values.join());
        }
        await new Promise((done) => setImmediate(done));
      }
    })();
    await stage.make(set.move(name, await stage.see(name), B, 2));
    await set.stands(name, B, 2);
    moving = false;
    await watch;
    assert.deepEqual(
      [...answers].filter((value) => value !== A && value !== B),
      [],
    );
  });

  story('a line on which nothing stands is made with the others', async (set) => {
    const name = await set.begun();
    await set.put(name, { [set.second]: null });
    await stage.make(set.move(name, await stage.see(name), A, 2));
    await set.stands(name, A, 2);
  });

  story('a set that is half written is brought to its end, whichever half', async (set) => {
    for (const half of [[set.default], [set.first], [set.first, set.second]]) {
      const name = await set.begun();
      await set.put(name, Object.fromEntries(half.map((line) => [line, B])));
      await stage.make(set.move(name, await stage.see(name), B, 2));
      await set.stands(name, B, 2);
    }
  });

  foreignStory(stage, story);
}

/** Others' lines, and who comes late. */
function foreignStory(stage: Stage, story: Story): void {
  /** Refused, and everything as it was. */
  const untouched = async (set: LineSet, change: Change): Promise<string> => {
    const { fault, reach } = stage.faultOf(await stage.put(change));
    assert.deepEqual(reach, { kind: 'record' });
    await set.gives(change.name, { [set.default]: A, [set.first]: A }, 1);
    return fault.kind;
  };

  story(
    'one that is not listed is never written over, and keeps the rest from being',
    async (set) => {
      const name = await set.begun();
      const from = await stage.see(name);
      for (const lines of [undefined, [set.default, set.first]]) {
        const { to, ...rest } = set.move(name, from, B, 2);
        const { lines: _, ...plain } = to;
        const change = { ...rest, to: lines === undefined ? plain : { ...plain, lines } };
        assert.ok(['rejected', 'conflict'].includes(await untouched(set, change)));
        await set.gives(name, { [set.second]: A }, 1);
      }
    },
  );

  story('one that comes up after the reading is a conflict', async (set) => {
    const name = await set.begun([set.default, set.first]);
    const from = await stage.see(name);
    await set.put(name, { [set.second]: 'theirs.example.org.' });
    const { to, ...rest } = set.move(name, from, B, 2);
    const change = { ...rest, to: { ...to, lines: [set.default, set.first] } };
    assert.equal(await untouched(set, change), 'conflict');
    await set.gives(name, { [set.second]: 'theirs.example.org.' }, 1);
  });

  writerStory(stage, story);
}

/** Others who write, and what is lost on the way. */
function writerStory(stage: Stage, story: Story): void {
  story('a stale writer loses on every line', async (set) => {
    const name = await set.begun();
    const from = await stage.see(name);
    await stage.make(set.move(name, from, B, 2), stage.open());
    const { fault } = stage.faultOf(
      await stage.put(set.move(name, from, 'c.example.com.', 2, 'x')),
    );
    assert.equal(fault.kind, 'conflict');
    await set.stands(name, B, 2);
  });

  story('a human edits one line between read and write: the edit stands', async (set) => {
    if (['inferred', 'none'].includes(stage.capabilities.fence.kind)) return;
    const name = await set.begun();
    const from = await stage.see(name);
    await set.put(name, { [set.first]: 'human.example.org.' });
    const { fault } = stage.faultOf(await stage.put(set.move(name, from, B, 2)));
    assert.equal(fault.kind, 'conflict');
    await set.gives(name, { [set.default]: A, [set.first]: 'human.example.org.' }, 1);
  });

  story('replies that are lost leave none behind', async (set) => {
    if (!stage.account.faults.includes('lost-reply')) return;
    const name = await set.begun();
    for (let epoch = 2; epoch < 6; epoch++) {
      const cname = epoch % 2 === 0 ? B : A;
      await stage.account.fault('lost-reply');
      await eventually(`${name} converges on ${cname}`, async () => {
        const seen = await stage.see(name);
        const answer = await stage.put(set.move(name, seen, cname, epoch));
        return answer.kind === 'answered';
      });
      await stage.account.fault(null);
      await set.stands(name, cname, epoch);
    }
  });
}

/** A record on the default line and two others. */
class LineSet {
  readonly lines: Lines;
  readonly default: string;
  readonly first: string;
  readonly second: string;
  readonly #stage: Stage;

  constructor(stage: Stage, lines: Lines, fallback: string) {
    const [first, second] = lines.others;
    assert.ok(first !== undefined && second !== undefined, 'two lines beside the default one');
    this.#stage = stage;
    this.lines = lines;
    this.default = fallback;
    this.first = first;
    this.second = second;
  }

  get listed(): readonly string[] {
    return [this.default, this.first, this.second];
  }

  async put(name: Name, values: Readonly<Record<string, Name | null>>): Promise<void> {
    for (const [line, value] of Object.entries(values)) {
      await this.lines.edit(name, line, value, 300);
    }
  }

  /** On a. on these lines, marked with epoch 1. */
  async begun(lines = this.listed): Promise<Name> {
    const name = this.#stage.fresh();
    const { to, ...rest } = this.move(name, await this.#stage.see(name), A, 1);
    await this.#stage.make({ ...rest, to: { ...to, lines } });
    return name;
  }

  move(name: Name, from: Seen, cname: Name, epoch: number, id?: string): Change {
    const to = { cname, ttl: 300, marker: marker(epoch, id), lines: this.listed };
    return { name, from, to };
  }

  /** What a reading says of each line; empty: nothing. */
  of({ cnames }: Seen): Readonly<Record<string, string>> {
    const none = this.listed.map((line) => [line, ''] as const);
    const all = cnames.map(({ line = this.default, value }) => [line, value] as const);
    assert.ok(
      cnames.every((c) => c.line !== this.default),
      'the default line bears no name',
    );
    return Object.fromEntries([...none, ...all]);
  }

  /** By the provider's reading, and by what its servers give to askers of each line in the end. */
  async stands(name: Name, cname: Name, epoch: number): Promise<void> {
    const seen = await this.#stage.see(name);
    const all = Object.fromEntries(this.listed.map((line) => [line, cname]));
    assert.deepEqual(this.of(seen), all);
    assert.deepEqual(seen.markers, [formatMarker(marker(epoch))]);
    assert.equal(seen.refusal, null);
    await this.gives(name, all, epoch);
  }

  gives(name: Name, values: Readonly<Record<string, Name>>, epoch: number): Promise<void> {
    const text = formatMarker(marker(epoch));
    return eventually(`${name} gives ${JSON.stringify(values)}`, async () => {
      for (const [line, value] of Object.entries(values)) {
        const lists = await this.lines.look(name, line);
        if (lists.some((list) => list.join() !== value)) return false;
      }
      const texts = await this.#stage.account.look(markerName(name), 'TXT');
      return texts.every((list) => list.join() === text);
    });
  }
}
