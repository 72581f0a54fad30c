// Three replicas over one group, in virtual time, with the real engine and controller: nothing rests on
// what the group has not committed, whoever does not act changes nothing, and orders are done once,
// whoever they are said to. Nothing here sleeps or listens on anything.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Adapters, Controller } from '../src/controller.ts';
import { formatMarker, parseMarker } from '../src/core/marker.ts';
import type {
  Answer,
  Change,
  Command,
  CoreConfig,
  Entry,
  Json,
  Name,
  Notice,
  Reply,
  Seen,
} from '../src/core/model.ts';
import type { ProbeResult, Provider } from '../src/kit/extend.ts';
import type { Commit, Eyes, Hooks, Store, StoredEntry } from '../src/ports.ts';
import { coreConfig, webCheck } from './core/world.ts';
import { HandClock, settled } from './parts/hand-clock.ts';
import { MemoryGroup } from './parts/memory-group.ts';

const WWW = 'www.gslb.test.';
const NAMES = ['hz-1', 'nrt-1', 'syd-1'] as const;

/** One vendor that all replicas write to. */
class Vendor {
  readonly name: string;
  readonly records = new Map<Name, { cname: Name; ttl: number; markers: string[] }>();
  /** Writes in the order in which they began: who, which epoch, and at what time. */
  readonly writes: { readonly by: string; readonly epoch: number; readonly at: number }[] = [];
  writeMs = 20;
  /** Looked at as each write begins. */
  began: (by: string, change: Change) => void = () => {};

  constructor(name: string) {
    this.name = name;
  }

  get target(): string | undefined {
    return parseMarker(this.records.get(WWW)?.markers[0] ?? '')?.target;
  }
}

class Replica {
  readonly name: string;
  readonly world: Lab;
  readonly entries: Entry[] = [];
  readonly notices: Notice[] = [];
  readonly troubles: string[] = [];
  readonly outcomes: string[] = [];
  /** Writes that have ended: how, and how long they took. */
  readonly ended: { readonly result: string; readonly ms: number }[] = [];
  docs: Record<string, Json>;
  /** What it asks of the others' eyes, and what is heard of them. */
  readonly calls: string[] = [];
  hear: Parameters<Eyes['start']>[0] = () => {};
  changes = 0;
  refuses: (commit: Commit) => boolean = () => false;
  controller: Controller | null = null;

  constructor(name: string, world: Lab, docs: Record<string, Json>) {
    this.name = name;
    this.world = world;
    this.docs = docs;
  }

  start(): void {
    const { clock, group } = this.world;
    this.controller = new Controller(this.config(), this.#adapters(), {
      clock,
      store: this.#store(),
      coordinator: group.coordinator(this.name),
      eyes: this.#eyes(),
      observers: [
        {
          trouble: (what, detail) => void this.troubles.push(`${what}: ${detail}`),
          shared: (result) => void this.outcomes.push(result),
          called: (_, operation, result, ms) => {
            if (operation === 'write') this.ended.push({ result, ms });
          },
        },
      ],
      seed: [1, 2, 3, this.name.length],
      version: 'test',
    });
    this.controller.start();
  }

  config(): CoreConfig {
    const base = coreConfig(this.world.shape);
    const { callTimeoutMs } = this.world;
    const lanes = Object.entries(base.lanes).map(([name, lane]) => {
      return [name, { ...lane, callTimeoutMs: callTimeoutMs ?? lane.callTimeoutMs }] as const;
    });
    return {
      ...base,
      lanes: Object.fromEntries(lanes),
      group: { self: this.name, replicas: NAMES },
    };
  }

  get target(): string | null {
    return this.controller!.status().records[0]!.target;
  }

  say(command: Command, id: string): Promise<Reply> {
    return this.controller!.command(command, id);
  }

  record(): Json {
    return this.docs[`record/${WWW}`]!;
  }

  #eyes(): Eyes {
    return {
      start: async (tell) => {
        this.hear = tell;
        return null;
      },
      changed: () => {
        this.changes++;
      },
      call: (checks, why) => void this.calls.push(`${why} ${checks.join(' ')}`),
      close: () => {},
    };
  }

  #adapters(): Adapters {
    const { clock, vendors, origins } = this.world;
    const pause = (ms: number) => new Promise<void>((done) => void clock.after(ms, done));
    const provider = (vendor: Vendor): Provider =>
      ({
        name: vendor.name,
        capabilities: {},
        calls: 0,
        close: () => {},
        read: async (names: readonly Name[]) => {
          await pause(20);
          const seen = (n: Name): Answer<Seen> => ({ kind: 'answered', value: seenAt(vendor, n) });
          return Object.fromEntries(names.map((n) => [n, seen(n)] as const));
        },
        write: async (changes: readonly Change[]) => {
          for (const change of changes) {
            vendor.writes.push({ by: this.name, epoch: change.to.marker.epoch, at: clock.now() });
            vendor.began(this.name, change);
          }
          await pause(vendor.writeMs);
          for (const { name, to } of changes) {
            const markers = [formatMarker(to.marker)];
            vendor.records.set(name, { cname: to.cname, ttl: to.ttl, markers });
          }
          return changes.map(() => ({ kind: 'answered', value: null }) as const);
        },
      }) as unknown as Provider;
    return {
      prober: {
        probe: async (check) => {
          await pause(5);
          return result(origins.get(check.split('/')[0]!) ?? 'pass');
        },
        close: () => {},
      },
      providers: Object.fromEntries(vendors.map((v) => [v.name, provider(v)])),
      verifier: {
        ask: async (name, record, { marker }) => {
          await pause(5);
          const held = vendors.find((v) => v.name === name)!.records.get(record)!;
          const answer = { kind: 'cname', value: held.cname, ttl: held.ttl } as const;
          return [{ server: name, answer, markers: marker ? held.markers : null }];
        },
        chain: async (name) => {
          await pause(5);
          return { kind: 'answered', chain: [name] };
        },
        close: () => {},
      },
      notifier: {
        notify: async (notice) => void this.notices.push(notice),
      },
      ...(this.world.hooks === null ? {} : { hooks: this.world.hooks(this) }),
    };
  }

  #store(): Store {
    return {
      load: () => ({ docs: structuredClone(this.docs), at: 0, unkept: [] }),
      remind: () => {},
      commit: (commit) => {
        if (this.refuses(commit)) throw new Error('disk full');
        for (const [key, value] of commit.docs) {
          if (value === null) delete this.docs[key];
          else this.docs[key] = structuredClone(value);
        }
        for (const moment of [...(commit.earlier ?? []), commit]) {
          this.entries.push(...moment.entries);
        }
      },
      history: () =>
        this.entries.map((e, i) => ({ ...e, seq: i + 1, at: 0, wall: 0 }) as StoredEntry),
      close: () => {},
    };
  }
}

function seenAt(vendor: Vendor, name: Name): Seen {
  const held = vendor.records.get(name);
  const cnames = held === undefined ? [] : [{ value: held.cname, ttl: held.ttl }];
  const markers = held?.markers ?? [];
  // Whatever stands there was signed with the cluster key, by a replica or by `switch --direct`.
  const proofs = markers.map(() => ({ word: 'genuine', cname: held!.cname }) as const);
  return { cnames, markers, proofs, refusal: null, ref: null };
}

function result(outcome: 'pass' | 'fail'): ProbeResult {
  return { outcome, reason: outcome === 'pass' ? 'ok' : 'refused', detail: outcome, phases: {} };
}

class Lab {
  readonly clock = new HandClock();
  readonly group = new MemoryGroup(this.clock);
  readonly vendors = [new Vendor('cf'), new Vendor('r53')];
  readonly origins = new Map<string, 'pass' | 'fail'>();
  readonly replicas: Replica[];
  /** What is run around switches; null: nothing is. */
  hooks: ((by: Replica) => Hooks) | null = null;
  /** Of a vendor's calls; null: as usual. */
  callTimeoutMs: number | null = null;
  readonly shape: Parameters<typeof coreConfig>[0];

  constructor(
    shape: Parameters<typeof coreConfig>[0] = {},
    docs: Readonly<Record<string, Record<string, Json>>> = {},
  ) {
    this.shape = { providers: ['cf', 'r53'], signed: true, ...shape };
    for (const vendor of this.vendors) {
      for (const name of Object.keys(coreConfig(this.shape).records)) {
        vendor.records.set(name, { cname: 'a.shop.test.', ttl: 60, markers: [] });
      }
    }
    this.replicas = NAMES.map((name) => new Replica(name, this, structuredClone(docs[name] ?? {})));
  }

  /** All of them run, one acts, and the record is adopted. */
  async start(): Promise<this> {
    for (const one of this.replicas) one.start();
    await this.clock.advance(4_000);
    assert.equal(this.leader.target, 'a');
    return this;
  }

  get leader(): Replica {
    const found = this.replicas.find(({ name }) => name === this.group.owner);
    assert.ok(found, 'nobody acts');
    return found;
  }

  get followers(): readonly Replica[] {
    return this.replicas.filter(({ name }) => name !== this.group.owner);
  }

  get writes(): readonly Vendor['writes'][number][] {
    return this.vendors.flatMap(({ writes }) => writes);
  }

  /** Sent until it is answered, as virtual time goes on. */
  async answered(reply: Promise<Reply>): Promise<Reply> {
    let made: Reply | null = null;
    void reply.then((one) => {
      made = one;
    });
    for (let i = 0; i < 4_000 && made === null; i++) await this.clock.advance(5);
    assert.ok(made !== null, 'no answer');
    return made;
  }

  async stop(): Promise<void> {
    const all = this.replicas.map(({ controller }) => controller?.stop());
    await this.clock.advance(15_000);
    await Promise.all(all);
    for (const { name, controller, troubles } of this.replicas) {
      if (controller === null) continue;
      assert.deepEqual(controller.violations(), [], name);
      assert.deepEqual(
        troubles.filter((t) => t.startsWith('fold')),
        [],
        name,
      );
    }
  }
}

function order(kind: 'freeze' | 'unfreeze' | 'unpin' | 'pin'): Command {
  const record = kind === 'pin' || kind === 'unpin' ? WWW : null;
  return { kind, record, reason: 'because', by: 'ann', forMs: null } as unknown as Command;
}

function switchTo(target: string, dryRun = false): Command {
  const words = { reason: 'because', by: 'ann', forMs: null, force: false, dryRun };
  return { kind: 'switch', record: WWW, target, ...words };
}

/** The marker of the group's document. */
function markerOf(lab: Lab, name = WWW): { epoch: number; target: string } | null {
  const doc = lab.group.docs.get(`record/${name}`) as { marker: never } | undefined;
  return doc?.marker ?? null;
}

/** Fails where a write begins that the group's documents do not bear. */
function watchWrites(lab: Lab): { readonly count: () => number } {
  let count = 0;
  for (const vendor of lab.vendors) {
    vendor.began = (by, { name, to }) => {
      count++;
      const inForce = markerOf(lab, name);
      assert.equal(inForce?.epoch, to.marker.epoch, `${by} wrote what is not committed`);
      assert.equal(by, lab.group.owner, 'whoever does not act has written');
    };
  }
  return { count: () => count };
}

// ---------------------------------------------------------------- committed first

test('one of three acts: what it decides is written once, after the group has it, and all know it', async () => {
  const api = { ...webCheck('a', 'one', null), id: 'one:api', origin: null } as const;
  const extra = [{ ...api, role: 'service', plane: 'control' }] as const;
  const lab = await new Lab({ extra }).start();
  const watch = watchWrites(lab);
  lab.origins.set('one:api', 'fail');
  await lab.clock.advance(10_000);
  assert.ok(lab.leader.notices.some(({ key }) => key === 'cloud/one/diagnosis'));
  lab.origins.set('one:api', 'pass');
  lab.origins.set('a', 'fail');
  await lab.clock.advance(20_000);
  assert.equal(watch.count(), 2);
  for (const one of lab.replicas) assert.equal(one.target, 'b', one.name);
  for (const vendor of lab.vendors) assert.equal(vendor.target, 'b');
  const { docs } = lab.leader;
  for (const one of lab.followers) {
    assert.deepEqual(one.record(), docs[`record/${WWW}`], `${one.name} keeps a copy`);
    assert.equal(
      one.entries.some(({ kind }) => kind === 'switch'),
      false,
    );
    assert.deepEqual(one.notices, [], `${one.name} tells nobody`);
    const [view] = one.controller!.status().records;
    assert.equal(view!.stay.reason, 'no-lease');
    assert.match(view!.stay.sentence, /^hz-1 acts; by what is seen here it would stay/);
    assert.ok(view!.providers.every(({ stage }) => stage === 'visible'));
  }
  await lab.stop();
});

test('while a commit is slow, folding goes on, and neither write, notice nor reply comes before it', async () => {
  const lab = await new Lab().start();
  const watch = watchWrites(lab);
  const { leader } = lab;
  lab.group.way(leader.name).slowMs = 3_000;
  let reply: Reply | null = null;
  void leader.say(switchTo('b'), 'id-1').then((one) => {
    reply = one;
  });
  await lab.clock.advance(1_500);
  assert.equal(leader.target, 'b', 'it is folded in');
  assert.equal(lab.writes.length, 2, 'the first markers alone are written');
  assert.equal(reply, null);
  assert.equal(
    leader.notices.some(({ kind }) => kind === 'switch'),
    false,
  );
  lab.origins.set('b', 'fail');
  await lab.clock.advance(1_000);
  const b = leader.controller!.status().origins.find(({ name }) => name === 'b')!;
  assert.notEqual(b.checks[0]!.fails, 0, 'probes are folded in meanwhile');
  lab.origins.set('b', 'pass');
  await lab.clock.advance(4_000);
  assert.equal((reply as Reply | null)?.exit, 0);
  assert.equal(watch.count(), 2);
  assert.equal(leader.notices.filter(({ kind }) => kind === 'switch').length, 1);
  await lab.stop();
});

test('a thousand records decided at once go in batches, and each is written after its own', async () => {
  const names = Array.from({ length: 300 }, (_, i) => `r${i}.gslb.test.`);
  const records = Object.fromEntries(names.map((name) => [name, {}]));
  const lab = new Lab({ records, writeMax: 50, readMax: 100 });
  for (const one of lab.replicas) one.start();
  await lab.clock.advance(30_000);
  watchWrites(lab);
  lab.origins.set('a', 'fail');
  const before = lab.group.commits.length;
  await lab.clock.advance(30_000);
  const doc = (name: Name) => markerOf(lab, name);
  assert.ok(names.every((name) => doc(name)?.target === 'b'));
  assert.ok(names.every((n) => lab.vendors[0]!.records.get(n)!.cname === 'b.shop.test.'));
  const sizes = lab.group.commits.slice(before).map(({ batch }) => batch.docs.length);
  assert.ok(
    sizes.some((size) => size === 100),
    `${sizes}`,
  );
  await lab.stop();
});

test('a write that a newer decision has overtaken before it was committed is never sent', async () => {
  const lab = await new Lab().start();
  watchWrites(lab);
  const { leader } = lab;
  lab.group.way(leader.name).slowMs = 1_000;
  void leader.say(order('freeze'), 'f-1');
  await lab.clock.advance(50);
  void leader.say(switchTo('b'), 's-1');
  await lab.clock.advance(100);
  assert.equal(leader.target, 'b');
  void leader.say(switchTo('a'), 's-2');
  await lab.clock.advance(6_000);
  assert.deepEqual(
    lab.writes.map(({ epoch }) => epoch),
    [1, 3, 1, 3],
  );
  await lab.stop();
});

test('of one key the newest goes, and an entry goes with the document that it is about', async () => {
  const lab = await new Lab().start();
  const { leader } = lab;
  lab.group.way(leader.name).slowMs = 500;
  const replies = [
    leader.say(order('freeze'), 'f-1'),
    leader.say(order('unfreeze'), 'f-2'),
    leader.say(order('freeze'), 'f-3'),
    leader.say(switchTo('b'), 's-1'),
  ];
  await lab.clock.advance(3_000);
  for (const reply of replies) assert.equal((await reply).exit, 0);
  const switched = lab.group.commits.filter(({ batch }) =>
    batch.entries.some(({ kind }) => kind === 'switch'),
  );
  assert.equal(switched.length, 1);
  const keys = switched[0]!.batch.docs.map(([key]) => key);
  assert.ok(keys.includes(`record/${WWW}`));
  assert.deepEqual(
    switched[0]!.batch.done.map(({ id }) => id).filter((id) => id === 's-1'),
    ['s-1'],
    'the answer is in the transaction of what it answers for',
  );
  assert.notEqual(lab.group.docs.get('freeze'), undefined);
  await lab.stop();
});

// ---------------------------------------------------------------- authority

test('a write is begun only with authority that outlasts it, and waits for a keep-alive', async () => {
  const lab = await new Lab().start();
  const { leader } = lab;
  const before = lab.writes.length;
  lab.group.way(leader.name).leftMs = 2_000;
  await lab.clock.advance(2_000);
  void leader.say(switchTo('b'), 'id-1');
  await lab.clock.advance(600);
  assert.equal(markerOf(lab)!.target, 'b', 'it is committed');
  assert.equal(lab.writes.length, before, 'and not begun');
  lab.group.way(leader.name).leftMs = null;
  await lab.clock.advance(4_000);
  assert.ok(lab.writes.length >= before + 2);
  for (const vendor of lab.vendors) assert.equal(vendor.target, 'b');
  await lab.stop();
});

test('the deadline of a write never outlasts the lease, and what hangs is cut off by then', async () => {
  const lab = new Lab();
  lab.callTimeoutMs = 20_000;
  await lab.start();
  const { leader } = lab;
  for (const vendor of lab.vendors) vendor.writeMs = 60_000;
  void leader.say(switchTo('b'), 'id-1');
  await lab.clock.advance(5_100);
  const late = leader.ended.filter(({ result }) => result === 'uncertain');
  assert.equal(late.length, 2);
  for (const { ms } of late) assert.ok(ms >= 2_500 && ms <= 5_000, `${ms} ms`);
  await lab.stop();
});

test('a leader cut from the group writes no more, and what it had not committed never was', async () => {
  const lab = await new Lab().start();
  const watch = watchWrites(lab);
  const old = lab.leader;
  const [other] = lab.followers;
  await lab.answered(other!.say(order('pin'), 'p-1'));
  await lab.answered(other!.say(order('unpin'), 'p-2'));
  const drain: Command = { kind: 'drain', what: 'b', reason: 'because', by: 'ann' };
  await lab.answered(other!.say(drain, 'd-1'));
  const pinless = markerOf(lab)!.epoch;
  lab.group.way(old.name).slowMs = 60_000;
  const reply = old.say({ ...switchTo('b'), force: true } as Command, 'id-1');
  await lab.clock.advance(100);
  assert.equal(old.target, 'b');
  lab.group.way(old.name).cut = true;
  // It may still decide by itself until it knows; nothing of that gets out.
  lab.origins.set('a', 'fail');
  await lab.clock.advance(6_500);
  assert.notEqual(lab.leader.name, old.name);
  const undrain: Command = { kind: 'undrain', what: 'b', by: 'ann' };
  assert.equal((await lab.answered(lab.leader.say(undrain, 'd-2'))).exit, 0);
  assert.equal((await lab.answered(lab.leader.say(order('unpin'), 'p-3'))).exit, 0);
  await lab.clock.advance(20_000);
  assert.equal((await lab.answered(reply)).exit, 1);
  assert.equal(old.target, 'a', 'it shows what it last knew of the group');
  assert.equal(lab.leader.target, 'b');
  assert.equal(markerOf(lab)!.epoch, pinless + 2, 'the next epochs, given out once');
  assert.ok(watch.count() >= 2);
  lab.group.way(old.name).cut = false;
  await lab.clock.advance(12_000);
  for (const one of lab.replicas) assert.equal(one.target, 'b', one.name);
  const shown = old.controller!.status();
  assert.deepEqual(shown.records[0]!.pin, null, 'no lifted pin has come back');
  assert.deepEqual(shown.drains, [], 'and no drain');
  assert.equal(old.docs['drain/b'], undefined);
  await lab.stop();
});

test('a reply that was lost is read back before anything rests on it', async () => {
  const lab = await new Lab().start();
  watchWrites(lab);
  const { leader } = lab;
  lab.group.way(leader.name).losesReplies = true;
  const before = lab.writes.length;
  const reply = leader.say(switchTo('b'), 'id-1');
  await lab.clock.advance(500);
  assert.equal(lab.writes.length, before);
  await lab.clock.advance(4_000);
  assert.equal((await lab.answered(reply)).exit, 0);
  assert.ok(lab.writes.length >= before + 2);
  await lab.stop();
});

test('deposed in the middle of a commit: it is taken back, said so, and nothing was sent', async () => {
  const lab = await new Lab().start();
  const old = lab.leader;
  const before = lab.writes.length;
  lab.group.way(old.name).slowMs = 500;
  const reply = old.say(switchTo('b'), 'id-1');
  await lab.clock.advance(200);
  assert.equal(old.target, 'b');
  // Another takes the lease, as after a pause of this one.
  lab.group.holder = 'somebody';
  await lab.clock.advance(400);
  assert.equal(old.target, 'a');
  assert.equal(old.entries.at(-1)!.kind === 'switch', false);
  assert.equal(old.entries.filter(({ kind }) => kind === 'undone').length, 1);
  assert.equal(lab.writes.filter(({ epoch }) => epoch > 1).length, 0);
  assert.equal(lab.writes.length, before);
  assert.equal(
    old.entries.some(({ kind }) => kind === 'lane'),
    false,
  );
  const lane = old.controller!.status().lanes.find(({ provider }) => provider === 'cf')!;
  assert.equal(lane.state, 'ok', 'a write that was never sent makes no lane sick');
  // The order stands: whoever acts next does it, once.
  await lab.clock.advance(12_000);
  assert.equal((await lab.answered(reply)).exit, 0);
  assert.equal(markerOf(lab)!.target, 'b');
  assert.equal(markerOf(lab)!.epoch, 2);
  await lab.stop();
});

test('a group that has no room: nothing is decided, said so, taken back, and it goes on when it has', async () => {
  const lab = await new Lab().start();
  watchWrites(lab);
  const { leader } = lab;
  lab.group.way(leader.name).refuses = true;
  const reply = leader.say(switchTo('b'), 'id-1');
  await lab.clock.advance(500);
  assert.equal(leader.target, 'a');
  const { stay } = leader.controller!.status().records[0]!;
  assert.equal(stay.reason, 'store-failed');
  assert.equal(leader.controller!.ready().ok, false);
  assert.ok(leader.notices.some(({ sentence }) => sentence.includes('the group cannot commit')));
  const refused = await lab.answered(leader.say(switchTo('b'), 'id-2'));
  assert.match(refused.message, /--direct/);
  lab.group.way(leader.name).refuses = false;
  await lab.clock.advance(12_000);
  const said = await lab.answered(reply);
  assert.equal(said.exit, 1);
  assert.match(said.message, /not in force/);
  assert.equal(leader.controller!.ready().ok, true);
  assert.equal((await lab.answered(leader.say(switchTo('b'), 'id-3'))).exit, 0);
  await lab.clock.advance(2_000);
  assert.equal(lab.vendors[0]!.target, 'b');
  await lab.stop();
});

test('what ends while the disk of whoever acts is full ends for the group, too', async () => {
  const lab = await new Lab().start();
  const { leader } = lab;
  const drain = { kind: 'drain', what: 'b', by: 'ann', reason: 'r', forMs: 20_000 } as const;
  assert.equal((await lab.answered(leader.say(drain, 'id-1'))).exit, 0);
  await lab.clock.advance(1_000);
  assert.ok(lab.group.docs.has('drain/b'));
  leader.refuses = () => true;
  await lab.clock.advance(30_000);
  leader.refuses = () => false;
  await lab.clock.advance(30_000);
  assert.ok(!lab.group.docs.has('drain/b'));
  await lab.stop();
});

for (const first of ['disk', 'group'] as const) {
  test(`what ends while both are full ends for the group, where the ${first} has room first`, async () => {
    const lab = await new Lab().start();
    const { leader } = lab;
    const way = lab.group.way(leader.name);
    const drain = { kind: 'drain', what: 'b', by: 'ann', reason: 'r', forMs: 20_000 } as const;
    assert.equal((await lab.answered(leader.say(drain, 'id-1'))).exit, 0);
    await lab.clock.advance(1_000);
    assert.ok(lab.group.docs.has('drain/b'));
    way.refuses = true;
    await lab.answered(
      leader.say({ kind: 'freeze', record: null, by: 'ann', reason: 'r' }, 'id-2'),
    );
    leader.refuses = () => true;
    await lab.clock.advance(30_000);
    const room = [() => (leader.refuses = () => false), () => (way.refuses = false)];
    for (const makeRoom of first === 'disk' ? room : room.toReversed()) {
      makeRoom();
      await lab.clock.advance(30_000);
    }
    assert.ok(!lab.group.docs.has('drain/b'));
    await lab.stop();
  });
}

test("a replica whose own disk is full decides nothing, and its word is the group's when it has room", async () => {
  const lab = await new Lab().start();
  const { leader } = lab;
  leader.refuses = () => true;
  const reply = await lab.answered(leader.say(switchTo('b'), 'id-1'));
  assert.equal(reply.exit, 1);
  assert.equal(markerOf(lab)!.target, 'a');
  leader.refuses = () => false;
  await lab.clock.advance(3_000);
  assert.equal((await lab.answered(leader.say(switchTo('b'), 'id-2'))).exit, 0);
  assert.equal(markerOf(lab)!.target, 'b');
  await lab.stop();
});

// ---------------------------------------------------------------- taking over

test('whoever takes over reads all providers anew, goes on from the documents, and finishes', async () => {
  const lab = await new Lab().start();
  const watch = watchWrites(lab);
  const old = lab.leader;
  // Of two vendors one hangs when the old one dies in the middle of a switch.
  lab.vendors[1]!.writeMs = 60_000;
  void old.say(switchTo('b'), 'id-1');
  await lab.clock.advance(500);
  assert.equal(lab.vendors[0]!.target, 'b');
  assert.equal(lab.vendors[1]!.target, 'a');
  lab.group.way(old.name).cut = true;
  lab.vendors[1]!.writeMs = 20;
  const epoch = markerOf(lab)!.epoch;
  await lab.clock.advance(6_600);
  assert.notEqual(lab.leader.name, old.name);
  await lab.clock.advance(3_000);
  assert.equal(lab.vendors[1]!.target, 'b');
  assert.equal(markerOf(lab)!.epoch, epoch, 'it is finished, not decided anew');
  const pin = lab.leader.controller!.status().records[0]!.pin;
  assert.equal(pin?.target, 'b', 'with its pin');
  lab.origins.set('b', 'fail');
  await lab.clock.advance(20_000);
  assert.equal(lab.leader.target, 'b', 'which holds');
  assert.ok(watch.count() >= 3);
  await lab.stop();
});

test('a follower decides nothing, changes no document and tells nobody, whatever it sees', async () => {
  const lab = await new Lab({ record: { failback: { kind: 'after', ms: 1_000 } } }).start();
  for (const one of lab.replicas) lab.group.way(one.name).cut = true;
  await lab.clock.advance(6_000);
  assert.equal(lab.group.owner, null);
  const before = { writes: lab.writes.length, docs: structuredClone([...lab.group.docs]) };
  const told = lab.replicas.map(({ notices }) => notices.length);
  lab.group.tell('no-quorum', 'no majority of the engine answers');
  lab.origins.set('a', 'fail');
  await lab.clock.advance(60_000);
  assert.equal(lab.writes.length, before.writes);
  assert.deepEqual([...lab.group.docs], before.docs);
  lab.replicas.forEach((one, i) => {
    const news = one.notices.slice(told[i]);
    assert.deepEqual([...new Set(news.map(({ key }) => key))], ['group'], 'only of itself');
    const [record] = one.controller!.status().records;
    assert.match(
      record!.stay.sentence,
      /^nobody acts: no majority.*; by what is seen here .*a.* -> b/,
    );
    assert.deepEqual(one.controller!.violations(), []);
    assert.equal(one.controller!.ready().ok, false);
  });
  const reply = await lab.answered(lab.replicas[1]!.say(switchTo('b'), 'id-1'));
  assert.equal(reply.exit, 1);
  assert.match(reply.message, /--direct/);
  const look = await lab.answered(lab.replicas[1]!.say(switchTo('b', true), 'id-2'));
  assert.equal(look.exit, 0);
  assert.match(look.message, /as nrt-1 sees it, which does not act/);
  await lab.stop();
});

test('a switch by hand without a quorum is adopted when it returns, with its pin', async () => {
  const lab = await new Lab().start();
  for (const one of lab.replicas) lab.group.way(one.name).cut = true;
  await lab.clock.advance(6_000);
  const { epoch } = markerOf(lab)!;
  const marker = {
    cluster: 'shop',
    epoch: epoch + 1_000,
    id: 'f00d',
    term: 0,
    kind: 'operator',
    target: 'b',
    pinned: true,
    pinMs: 7_200_000,
  } as const;
  const text = formatMarker(marker);
  for (const vendor of lab.vendors) {
    vendor.records.set(WWW, { cname: 'b.shop.test.', ttl: 60, markers: [text] });
  }
  for (const one of lab.replicas) lab.group.way(one.name).cut = false;
  await lab.clock.advance(10_000);
  assert.equal(markerOf(lab)!.epoch, epoch + 1_000);
  for (const one of lab.replicas) {
    assert.equal(one.target, 'b', one.name);
    assert.equal(one.controller!.status().records[0]!.pin?.target, 'b');
  }
  await lab.stop();
});

test('a node that was alone brings its documents into a new group; an empty one takes nothing away', async () => {
  const alone = await new Lab().start();
  await alone.answered(alone.leader.say(switchTo('b'), 'id-1'));
  await alone.clock.advance(3_000);
  const { docs } = alone.leader;
  await alone.stop();
  const lab = new Lab({}, { 'hz-1': docs, 'nrt-1': {}, 'syd-1': {} });
  for (const vendor of lab.vendors) {
    const held = alone.vendors.find(({ name }) => name === vendor.name)!.records.get(WWW)!;
    vendor.records.set(WWW, { ...held });
  }
  for (const one of lab.replicas) one.start();
  await lab.clock.advance(5_000);
  assert.equal(lab.leader.name, 'hz-1');
  for (const one of lab.replicas) {
    assert.equal(one.target, 'b', one.name);
    assert.equal(one.controller!.status().records[0]!.pin?.reason, 'because');
  }
  await lab.stop();
});

test('documents that were all taken away stay away, also from one who comes back with them', async () => {
  const lab = await new Lab().start();
  const { leader } = lab;
  const drain: Command = { kind: 'drain', what: 'b', reason: 'because', by: 'ann' };
  await lab.answered(leader.say(drain, 'id-1'));
  await lab.clock.advance(1_000);
  const [old, other] = lab.followers as [Replica, Replica];
  assert.ok('drain/b' in old.controller!.documents());
  lab.group.way(old.name).cut = true;
  lab.group.docs.clear();
  const again = new Replica(old.name, lab, structuredClone(old.docs));
  lab.replicas[lab.replicas.indexOf(old)] = again;
  for (const one of [leader, other]) lab.group.way(one.name).cut = true;
  lab.group.way(old.name).cut = false;
  again.start();
  await lab.clock.advance(20_000);
  assert.equal(lab.leader, again);
  assert.ok(!('drain/b' in again.controller!.documents()));
  assert.ok(!lab.group.docs.has('drain/b'));
  await lab.stop();
});

// ---------------------------------------------------------------- orders

test('a replica that starts again shows what the group decided, not what it had not committed', async () => {
  const lab = await new Lab().start();
  const old = lab.leader;
  lab.group.way(old.name).slowMs = 60_000;
  void old.say(switchTo('b'), 'id-1');
  await lab.clock.advance(100);
  assert.equal((old.record() as { target: string }).target, 'b', 'its own copy is ahead');
  // It dies, and the order with it.
  lab.group.way(old.name).cut = true;
  lab.group.orders.clear();
  const again = new Replica(old.name, lab, structuredClone(old.docs));
  lab.replicas[lab.replicas.indexOf(old)] = again;
  await lab.clock.advance(10_000);
  assert.equal(lab.leader.target, 'a');
  // It finds what it would mend, if it were the one who acts.
  lab.vendors[1]!.records.get(WWW)!.markers = [];
  again.start();
  await lab.clock.advance(1_000);
  assert.equal(again.target, 'a');
  assert.equal((again.record() as { target: string }).target, 'a');
  assert.equal(again.entries.filter(({ kind }) => kind === 'undone').length, 1);
  lab.origins.set('a', 'fail');
  await lab.clock.advance(20_000);
  for (const one of lab.replicas) assert.equal(one.target, 'b', one.name);
  assert.equal(markerOf(lab)!.epoch, 2);
  await lab.stop();
});

test('an order said to any replica is done once by whoever acts, and answered', async () => {
  const lab = await new Lab().start();
  watchWrites(lab);
  const [one, two] = lab.followers;
  lab.group.way(lab.leader.name).slowMs = 200;
  const replies = [one!.say(switchTo('b'), 'same'), two!.say(switchTo('b'), 'same')];
  await lab.clock.advance(40);
  lab.group.order('same');
  for (const reply of replies) {
    const { exit, message } = await lab.answered(reply);
    assert.equal(exit, 0, message);
  }
  const { leader } = lab;
  const said = await lab.answered(leader.say(switchTo('b'), 'same'));
  assert.equal(said.exit, 0);
  await lab.clock.advance(3_000);
  assert.equal(leader.entries.filter(({ kind }) => kind === 'switch').length, 1);
  assert.equal(markerOf(lab)!.epoch, 2);
  const pin = leader.controller!.status().records[0]!.pin!;
  assert.match(pin.by, /ann at (nrt|syd)-1/);
  await lab.stop();
});

test('an order that outlives the one who took it is done by the next, once', async () => {
  const lab = await new Lab().start();
  const old = lab.leader;
  const [one] = lab.followers;
  lab.group.way(old.name).slowMs = 60_000;
  const reply = one!.say(order('freeze'), 'f-1');
  await lab.clock.advance(200);
  lab.group.way(old.name).cut = true;
  await lab.clock.advance(8_000);
  assert.equal((await lab.answered(reply)).exit, 0);
  assert.notEqual(lab.leader.name, old.name);
  assert.notEqual(lab.leader.controller!.status().freeze, null);
  // Said again, to whoever acts now, it is not done again.
  await lab.answered(lab.leader.say(order('unfreeze'), 'f-2'));
  const again = await lab.answered(lab.leader.say(order('freeze'), 'f-1'));
  assert.equal(again.exit, 0);
  assert.equal(lab.leader.controller!.status().freeze, null);
  await lab.stop();
});

// ---------------------------------------------------------------- with the others' eyes

test('what it sees is told, and asked of the others where something fails', async () => {
  const lab = await new Lab().start();
  const { leader } = lab;
  const before = leader.changes;
  const { telling: first, version } = leader.controller!.telling(null)!;
  assert.equal(first.acts, true);
  assert.ok(first.sightings.some(({ check, verdict }) => check === 'a/web' && verdict === 'up'));
  lab.origins.set('a', 'fail');
  await lab.clock.advance(2_000);
  assert.ok(leader.changes > before);
  const { telling: next } = leader.controller!.telling(version)!;
  assert.ok(next.sightings.some(({ check, fails }) => check === 'a/web' && fails > 0));
  assert.ok(
    leader.calls.some((call) => call.startsWith('confirm a/web')),
    `${leader.calls}`,
  );
  await lab.stop();
});

test('whose definition is in the minority hands over, and what it has of it moves nothing', async () => {
  const lab = new Lab({ record: { hash: 'aaaaaaaaaaaaaaaa' } });
  await lab.start();
  const old = lab.leader;
  for (const replica of NAMES.filter((name) => name !== old.name)) {
    const { telling } = old.controller!.telling(null)!;
    const records = { [WWW]: 'bbbbbbbbbbbbbbbb' };
    const other = { ...telling, replica, paths: [], sightings: [], records, acts: false };
    old.hear({ kind: 'heard', telling: other, saidAt: lab.clock.now() });
  }
  const from = lab.clock.now();
  const isNext = () => lab.group.owner !== null && lab.group.owner !== old.name;
  for (let i = 0; i < 60 && !isNext(); i++) await lab.clock.advance(10);
  assert.ok(isNext() && lab.clock.now() - from < 700);
  await lab.stop();
});

// ---------------------------------------------------------------- handing over

for (const [how, leave] of [
  ['detour yield, said to another', (lab: Lab) => lab.answered(lab.followers[0]!.say(yields, 'y'))],
  ['detour yield, said to it', (lab: Lab) => lab.answered(lab.leader.say(yields, 'y'))],
  ['the end of its process', (lab: Lab) => ended(lab)],
] as const) {
  test(`${how}: another acts at once, and no switch waits for the lease to run out`, async () => {
    const lab = await new Lab().start();
    const watch = watchWrites(lab);
    const old = lab.leader;
    lab.origins.set('a', 'fail');
    const from = lab.clock.now();
    await leave(lab);
    const isNext = () => lab.group.owner !== null && lab.group.owner !== old.name;
    for (let i = 0; i < 60 && !isNext(); i++) await lab.clock.advance(10);
    assert.ok(lab.clock.now() - from < 700, `${lab.clock.now() - from} ms`);
    assert.notEqual(lab.leader.name, old.name);
    await lab.clock.advance(20_000);
    assert.equal(lab.leader.target, 'b');
    assert.ok(watch.count() >= 2);
    await lab.stop();
  });
}

const yields: Command = { kind: 'yield', by: 'ann' };

async function ended(lab: Lab): Promise<void> {
  void lab.leader.controller!.stop();
  await lab.clock.advance(100);
}

test('a write under way is waited for before another may act', async () => {
  const lab = await new Lab().start();
  const old = lab.leader;
  for (const vendor of lab.vendors) vendor.writeMs = 400;
  void old.say(switchTo('b'), 'id-1');
  await lab.clock.advance(150);
  assert.equal(lab.writes.filter(({ epoch }) => epoch === 2).length, 2);
  void old.say(yields, 'y');
  await lab.clock.advance(200);
  assert.equal(lab.group.owner, old.name);
  await lab.clock.advance(600);
  assert.notEqual(lab.leader.name, old.name);
  for (const vendor of lab.vendors) assert.equal(vendor.target, 'b');
  await lab.stop();
});

test('a restored engine: nobody acts until a person says whose documents are right', async () => {
  const lab = await new Lab().start();
  const early = await lab.answered(lab.leader.say({ kind: 'restored', by: 'ann' }, 'r-0'));
  assert.equal(early.exit, 1);
  await lab.answered(lab.leader.say(switchTo('b'), 'id-1'));
  await lab.clock.advance(1_000);
  const { leader } = lab;
  lab.group.tell('restored', 'it is older than it was: run `detour ack --restored`');
  const look = await lab.answered(leader.say({ kind: 'restored', by: 'ann', dryRun: true }, 'r-1'));
  assert.match(look.message, /would make the \d+ documents of hz-1 the group's/);
  lab.group.docs.clear();
  const done = await lab.answered(leader.say({ kind: 'restored', by: 'ann' }, 'r-2'));
  assert.equal(done.exit, 0);
  assert.equal(markerOf(lab)!.target, 'b');
  await settled();
  await lab.stop();
});

// ---------------------------------------------------------------- a person is asked, hooks are run

function questionOf(one: Replica) {
  return one.controller!.status().records[0]!.approval;
}

test('what waits is known to all, outlives who asked it, and any replica takes the answer', async () => {
  const lab = await new Lab({ record: { mode: 'approve' } }).start();
  const watch = watchWrites(lab);
  lab.origins.set('a', 'fail');
  await lab.clock.advance(15_000);
  const { id } = questionOf(lab.leader)!;
  for (const one of lab.replicas) {
    assert.deepEqual(questionOf(one)?.id, id, one.name);
    assert.equal(one.target, 'a');
  }
  const asker = lab.leader;
  void asker.say(yields, 'y');
  await lab.clock.advance(15_000);
  assert.notEqual(lab.leader.name, asker.name);
  assert.equal(questionOf(lab.leader)?.id, id, 'another acts, and it is the same question');
  const told = lab.leader.notices.filter(({ key }) => key === `approval/${WWW}`);
  assert.deepEqual(
    told.map(({ state }) => state),
    ['open'],
  );
  const say: Command = { kind: 'approve', id, by: 'ann' };
  const look = await lab.answered(lab.followers[0]!.say({ ...say, dryRun: true }, 'd-1'));
  assert.match(look.message, /would move .* which does not act/);
  const reply = await lab.answered(lab.followers[0]!.say(say, 'a-1'));
  assert.equal(reply.exit, 0, reply.message);
  await lab.clock.advance(2_000);
  assert.equal(watch.count(), 2);
  for (const one of lab.replicas) {
    assert.equal(one.target, 'b', one.name);
    assert.equal(questionOf(one), null);
  }
  const again = await lab.answered(lab.followers[1]!.say(say, 'a-2'));
  assert.equal(again.exit, 1);
  assert.match(again.message, /approved by ann at .*, and done/);
  await lab.stop();
});

test('a hook is run by whoever acts, once, after the group has the decision', async () => {
  const runs: string[] = [];
  const hooks = { before: { timeoutMs: 5_000, silence: 'stay' }, after: { timeoutMs: 5_000 } };
  const lab = new Lab({ record: { hooks: hooks as never } });
  lab.hooks = (by) => ({
    before: async (about, id) => {
      const doc = lab.group.docs.get(`record/${WWW}`) as { hook: { id: string } | null };
      assert.equal(doc.hook?.id, id, 'what it is for is not committed');
      runs.push(`before by ${by.name}: ${about.from} -> ${about.to}`);
      await new Promise<void>((done) => void lab.clock.after(1_000, done));
      return { answer: 'go', detail: '' };
    },
    after: async (about) => void runs.push(`after by ${by.name}: ${about.from} -> ${about.to}`),
  });
  await lab.start();
  const { name } = lab.leader;
  lab.group.way(name).slowMs = 200;
  lab.origins.set('a', 'fail');
  await lab.clock.advance(20_000);
  assert.deepEqual(runs, [`before by ${name}: a -> b`, `after by ${name}: a -> b`]);
  for (const one of lab.replicas) assert.equal(one.target, 'b', one.name);
  await lab.stop();
});

test('whoever takes over runs no hook twice: what was not heard was silence', async () => {
  const runs: string[] = [];
  const hooks = { before: { timeoutMs: 20_000, silence: 'go' }, after: null };
  const lab = new Lab({ record: { hooks: hooks as never } });
  lab.hooks = (by) => ({
    before: (about) => {
      runs.push(`${by.name}: ${about.to}`);
      return new Promise(() => {});
    },
    after: async () => {},
  });
  await lab.start();
  const old = lab.leader;
  lab.origins.set('a', 'fail');
  await lab.clock.advance(5_000);
  assert.deepEqual(runs, [`${old.name}: b`]);
  void old.say(yields, 'y');
  await lab.clock.advance(15_000);
  assert.equal(lab.leader.target, 'a');
  await lab.clock.advance(15_000);
  assert.notEqual(lab.leader.name, old.name);
  assert.equal(lab.leader.target, 'b');
  assert.equal(runs.length, 1);
  await lab.stop();
});
