// The controller's own duties, with the real engine, stand-in adapters and a clock moved by hand:
// what is past its deadline, that this process stood still, that a commit failed; and that nothing
// is performed before it is committed. Nothing here sleeps or listens on anything.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Adapters, Controller, type World } from '../src/controller.ts';
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
  Observation,
  Seen,
} from '../src/core/model.ts';
import { noticeSeverities } from '../src/core/model.ts';
import type { ProbeResult, Provider } from '../src/kit/extend.ts';
import { createChannels } from '../src/notify/channels.ts';
import type {
  Commit,
  Hooks,
  Observer,
  Prober,
  Store,
  StoredEntry,
  Verifier,
} from '../src/ports.ts';
import { coreConfig } from './core/world.ts';
import { HandClock, settled } from './parts/hand-clock.ts';

const WWW = 'www.gslb.test.';

type Ways = 'pass' | 'fail' | 'held';
type ApiWay = 'ok' | 'never' | 'never-write' | 'throws';

/** One vendor: holds records, answers after 20 ms, or never. */
class Vendor implements Provider {
  readonly name: string;
  readonly capabilities = {} as Provider['capabilities'];
  readonly records = new Map<Name, { cname: Name; ttl: number; markers: string[] }>();
  api: ApiWay = 'ok';
  calls = 0;
  asked: string[] = [];
  aborted = 0;
  closed = 0;
  /** Ends the writes under way that never end by themselves. */
  readonly releases: (() => void)[] = [];
  readonly #lab: Lab;

  constructor(name: string, lab: Lab) {
    this.name = name;
    this.#lab = lab;
  }

  zone(): never {
    throw new Error('not asked here');
  }

  preflight(): never {
    throw new Error('not asked here');
  }

  async read(
    names: readonly Name[],
    signal: AbortSignal,
  ): Promise<Readonly<Record<Name, Answer<Seen>>>> {
    this.asked.push('read');
    this.calls++;
    this.#lab.log.push(`read ${this.name}`);
    if (this.api === 'throws') throw new Error('a fault of the adapter');
    if (this.api === 'never') await this.#never(signal);
    await this.#lab.pause(20);
    const answer = (n: Name) => ({ kind: 'answered', value: this.seen(n) }) as const;
    return Object.fromEntries(names.map((n) => [n, answer(n)] as const));
  }

  async write(changes: readonly Change[], signal: AbortSignal): Promise<readonly Answer<null>[]> {
    this.asked.push('write');
    this.calls++;
    for (const c of changes) this.#lab.log.push(`write ${this.name} epoch ${c.to.marker.epoch}`);
    if (this.api !== 'ok') await this.#never(signal);
    await this.#lab.pause(20);
    for (const c of changes) {
      const markers = [formatMarker(c.to.marker)];
      this.records.set(c.name, { cname: c.to.cname, ttl: c.to.ttl, markers });
    }
    return changes.map(() => ({ kind: 'answered', value: null }));
  }

  seen(name: Name): Seen {
    const held = this.records.get(name);
    const cnames = held === undefined ? [] : [{ value: held.cname, ttl: held.ttl }];
    return { cnames, markers: held?.markers ?? [], refusal: null, ref: null };
  }

  epoch(): number {
    return parseMarker(this.records.get(WWW)?.markers[0] ?? '')?.epoch ?? 0;
  }

  close(): void {
    this.closed++;
  }

  /** An adapter that does not even heed its signal. */
  #never(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => {
      this.aborted++;
    });
    return new Promise((resolve) => void this.releases.push(resolve));
  }
}

/** Everything around one controller. */
class Lab {
  readonly clock = new HandClock();
  /** Commits, calls and notices, in the order in which they happened. */
  readonly log: string[] = [];
  readonly entries: Entry[] = [];
  readonly observations: { readonly check: string; readonly o: Observation }[] = [];
  readonly troubles: string[] = [];
  /** How often the loop said that it comes round. */
  beats = 0;
  /** Calls that have ended: provider, operation and result. */
  readonly calls: string[] = [];
  readonly vendors: Record<string, Vendor> = {};
  readonly origins = new Map<string, Ways>();
  readonly held: { readonly check: string; readonly end: (r: ProbeResult) => void }[] = [];
  /** Ends the askings of a chain that are held back; null: none is. */
  chains: (() => void)[] | null = null;
  readonly config: CoreConfig;
  controller!: Controller;
  /** Whether this commit fails. */
  refuses: (commit: Commit) => boolean = () => false;
  /** What the store was asked to remember beside itself; it may not be able to. */
  unkept: readonly string[] = [];
  forgets = false;
  /** Kinds of entries that were told of and not stored yet. */
  readonly unstored: string[] = [];
  attempts = 0;
  docs: Record<string, Json> = {};
  proberClosed = 0;
  /** What is run around switches; null: nothing is. */
  hooks: Hooks | null = null;
  /** Whoever is told of something never ends, and heeds no signal. */
  deaf = false;
  /** Who is told instead; null: nobody but the log. */
  notifier: Adapters['notifier'] = null;

  constructor(config: CoreConfig = coreConfig({ providers: ['cf', 'r53'] })) {
    this.config = config;
    for (const name of Object.keys(config.lanes)) {
      const vendor = new Vendor(name, this);
      vendor.records.set(WWW, { cname: 'a.shop.test.', ttl: 60, markers: [] });
      this.vendors[name] = vendor;
    }
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.after(ms, resolve));
  }

  adapters(): Adapters {
    const prober: Prober = {
      probe: (check) => this.#probe(check),
      close: () => {
        this.proberClosed++;
      },
    };
    const verifier: Verifier = {
      ask: async (provider, record, { marker }) => {
        await this.pause(5);
        const held = this.vendors[provider]!.records.get(record);
        if (held === undefined) {
          const answer = { kind: 'nxdomain', detail: 'NXDOMAIN' } as const;
          return [{ server: provider, answer, markers: marker ? [] : null }];
        }
        const answer = { kind: 'cname', value: held.cname, ttl: held.ttl } as const;
        return [{ server: provider, answer, markers: marker ? held.markers : null }];
      },
      chain: async (name) => {
        if (this.chains === null) await this.pause(5);
        else await new Promise<void>((end) => void this.chains!.push(end));
        return { kind: 'answered', chain: [name] };
      },
      close: () => {},
    };
    const notifier = {
      notify: async (notice: Notice) => {
        this.log.push(`tell ${notice.kind}`);
        if (this.deaf) await new Promise(() => {});
      },
    };
    const { hooks } = this;
    const around = hooks === null ? {} : { hooks };
    const told = this.notifier ?? notifier;
    return { prober, providers: this.vendors, verifier, notifier: told, ...around };
  }

  /** Starts, and lets both origins come up and the record be adopted. */
  async start(): Promise<void> {
    const world: World = {
      clock: this.clock,
      store: this.#store(),
      coordinator: {
        start: (tell) => tell({ kind: 'held', term: 1 }),
        actsUntil: () => Number.POSITIVE_INFINITY,
        yield: () => Promise.resolve(),
        shared: null,
        close: () => {},
      },
      observers: [this.#observer()],
      seed: [1, 2, 3, 4],
      version: 'test',
    };
    this.controller = new Controller(this.config, this.adapters(), world);
    this.controller.start();
    await this.clock.advance(3000);
    assert.equal(this.target(), 'a');
    for (const o of this.controller.status().origins) assert.equal(o.health, 'up');
  }

  /** Stops, with the time it may want for writes under way. */
  async stop(): Promise<void> {
    const stopping = this.controller.stop();
    await this.clock.advance(4000);
    await stopping;
  }

  target(): string | null {
    return this.controller.status().records[0]!.target;
  }

  stay(): string {
    return this.controller.status().records[0]!.stay.reason;
  }

  command(target: string): ReturnType<Controller['command']> {
    return this.controller.command(switchTo(target));
  }

  /** Ends every held probe of a check in one way. */
  end(check: string, outcome: 'pass' | 'fail'): void {
    const all = this.held.splice(0);
    for (const probe of all) {
      if (probe.check === check) probe.end(result(outcome));
      else this.held.push(probe);
    }
  }

  async #probe(check: string): Promise<ProbeResult> {
    const way = this.origins.get(check.split('/')[0]!) ?? 'pass';
    if (way === 'held') return new Promise((end) => void this.held.push({ check, end }));
    await this.pause(5);
    return result(way);
  }

  #store(): Store {
    return {
      load: () => ({ docs: this.docs, at: 0, unkept: this.unkept }),
      remind: (words) => {
        if (this.forgets) throw new Error('disk full');
        this.unkept = [...words];
      },
      commit: (commit) => {
        this.attempts++;
        if (this.refuses(commit)) throw new Error('disk full');
        for (const [key, value] of commit.docs) {
          if (value === null) delete this.docs[key];
          else this.docs[key] = structuredClone(value);
        }
        const moments = [...(commit.earlier ?? []), commit];
        for (const entry of moments.flatMap((m) => m.entries)) {
          this.entries.push(entry);
          this.log.push(`commit ${entry.kind}`);
        }
      },
      history: () =>
        this.entries.map((e, i) => ({ ...e, seq: i + 1, at: 0, wall: 0 }) as StoredEntry),
      close: () => {},
    };
  }

  #observer(): Observer {
    return {
      beat: () => void this.beats++,
      probed: (check, _path, o) => void this.observations.push({ check, o }),
      called: (...call) => void this.calls.push(call.slice(0, 3).join(' ')),
      unstored: (e) => void this.unstored.push(e.kind),
      trouble: (what) => void this.troubles.push(what),
    };
  }
}

function result(outcome: 'pass' | 'fail'): ProbeResult {
  return { outcome, reason: outcome === 'pass' ? 'ok' : 'refused', detail: outcome, phases: {} };
}

function switchTo(target: string): Command {
  const words = { reason: 'because', by: 'ann', forMs: null, force: false, dryRun: false };
  return { kind: 'switch', record: WWW, target, ...words };
}

// ---------------------------------------------------------------- our own stalls

test('a failure that straddles a stall of the event loop is blind, a pass stays a pass', async () => {
  const lab = new Lab();
  await lab.start();
  lab.origins.set('a', 'held').set('b', 'held');
  await lab.clock.advance(1500);
  assert.ok(lab.held.some((p) => p.check === 'a/web') && lab.held.some((p) => p.check === 'b/web'));
  lab.clock.stall(900);
  const before = lab.observations.length;
  lab.end('a/web', 'fail');
  lab.end('b/web', 'pass');
  await settled();
  const seen = lab.observations.slice(before);
  const [a, b] = ['a/web', 'b/web'].map((check) => seen.filter((s) => s.check === check));
  assert.ok(a!.length > 0 && a!.every(({ o }) => o.outcome === 'blind' && o.reason === 'stalled'));
  assert.ok(b!.length > 0 && b!.every(({ o }) => o.outcome === 'pass'));
  await lab.stop();
});

test('a stall that the heartbeat saw first is remembered until its probes have ended', async () => {
  const lab = new Lab();
  await lab.start();
  lab.origins.set('a', 'held');
  await lab.clock.advance(1500);
  lab.clock.stall(900);
  const stalledUntil = lab.clock.now();
  await lab.clock.advance(250);
  const before = lab.observations.length;
  lab.origins.set('a', 'fail');
  lab.end('a/web', 'fail');
  await settled();
  const ended = lab.observations.slice(before).filter((s) => s.check === 'a/web');
  const straddling = ended.filter(({ o }) => o.startedAt < stalledUntil);
  assert.ok(straddling.length > 0 && straddling.every(({ o }) => o.outcome === 'blind'));
  // What begins after the stall is a vote again, and moves the record.
  await lab.clock.advance(5000);
  assert.equal(lab.observations.findLast((s) => s.check === 'a/web')!.o.outcome, 'fail');
  assert.equal(lab.target(), 'b');
  await lab.stop();
});

test('the loop says that it comes round only while it wakes for what is due', async () => {
  const lab = new Lab();
  await lab.start();
  const before = lab.beats;
  await lab.clock.advance(1000);
  assert.ok(lab.beats - before >= 9);
  // Every timer but the heart's is lost from now on.
  const { after } = HandClock.prototype;
  const lost = () => {};
  lab.clock.after = (ms, then) => (ms === 100 ? after.call(lab.clock, ms, then) : lost);
  await lab.clock.advance(15_000);
  const last = lab.beats;
  await lab.clock.advance(5000);
  assert.equal(lab.beats, last);
  lab.clock.after = after;
  await lab.stop();
});

test('a failure with no stall of ours is a vote', async () => {
  const lab = new Lab();
  await lab.start();
  lab.origins.set('a', 'held');
  await lab.clock.advance(1500);
  const before = lab.observations.length;
  lab.end('a/web', 'fail');
  await settled();
  const seen = lab.observations.slice(before).filter((s) => s.check === 'a/web');
  assert.ok(seen.length > 0 && seen.every(({ o }) => o.outcome === 'fail'));
  await lab.stop();
});

for (const [how, pass] of [
  ['the process stood still', (c: HandClock) => c.stall(60_000)],
  ['the machine slept', (c: HandClock) => c.sleep(60_000)],
] as const) {
  test(`after ${how} for a minute nothing counted holds and no decision survives`, async () => {
    const lab = new Lab(coreConfig({ providers: ['cf'], record: { patienceMs: 10_000 } }));
    await lab.start();
    lab.origins.set('a', 'fail');
    await lab.clock.advance(9000);
    assert.equal(lab.stay(), 'patience');
    pass(lab.clock);
    lab.origins.set('a', 'pass');
    await lab.clock.advance(150);
    const pauses = lab.entries.filter((e) => e.kind === 'paused');
    assert.equal(pauses.length, 1);
    assert.ok((pauses[0]!.data as { forMs: number }).forMs >= 60_000);
    await lab.clock.advance(30_000);
    assert.equal(lab.target(), 'a');
    assert.equal(lab.entries.filter((e) => e.kind === 'switch').length, 0);
    await lab.stop();
  });
}

test('what first arrives after a minute of standing still finishes no decision from before it', async () => {
  const lab = new Lab();
  await lab.start();
  lab.chains = [];
  lab.origins.set('a', 'fail');
  await lab.clock.advance(5000);
  assert.equal(lab.stay(), 'confirming-target');
  lab.clock.stall(60_000);
  lab.origins.set('a', 'pass');
  for (const end of lab.chains.splice(0)) end();
  // Its reply comes before any timer of ours, the heartbeat's as well.
  await settled();
  assert.equal(lab.target(), 'a');
  lab.chains = null;
  await lab.clock.advance(30_000);
  assert.equal(lab.target(), 'a');
  assert.equal(lab.entries.filter((e) => e.kind === 'paused').length, 1);
  await lab.stop();
});

// ---------------------------------------------------------------- the commit

test('effects are performed only after the commit that says so', async () => {
  const lab = new Lab();
  await lab.start();
  lab.origins.set('a', 'fail');
  lab.log.length = 0;
  await lab.clock.advance(5000);
  assert.equal(lab.target(), 'b');
  const at = (line: string) => lab.log.indexOf(line);
  const committed = at('commit switch');
  assert.ok(committed >= 0);
  assert.ok(at('tell switch') > committed, lab.log.join(', '));
  for (const vendor of ['cf', 'r53']) {
    assert.ok(at(`read ${vendor}`) > committed, lab.log.join(', '));
    assert.ok(at(`write ${vendor} epoch 2`) > committed, lab.log.join(', '));
  }
  await lab.stop();
});

test('a switch whose commit throws is taken back, nothing is written, and it is made when the store works', async () => {
  const lab = new Lab();
  await lab.start();
  lab.refuses = (c) => c.entries.some((e) => e.kind === 'switch') || c.docs[0]?.[0] === 'alive';
  lab.origins.set('a', 'fail');
  await lab.clock.advance(10_000);
  assert.equal(lab.target(), 'a');
  assert.equal(lab.stay(), 'store-failed');
  assert.equal(lab.controller.status().ready.ok, false);
  assert.ok(lab.troubles.includes('store'));
  for (const vendor of Object.values(lab.vendors)) assert.equal(vendor.epoch(), 1);
  assert.ok(!lab.log.some((line) => line.endsWith('epoch 2')), lab.log.join(', '));
  lab.refuses = () => false;
  await lab.clock.advance(5000);
  assert.equal(lab.controller.status().ready.ok, true);
  assert.equal(lab.target(), 'b');
  for (const vendor of Object.values(lab.vendors)) assert.equal(vendor.epoch(), 2);
  await lab.stop();
});

/** Two records whose first origin dies at once, so that both are decided within one round. */
function twins(): Lab {
  const config = coreConfig({ providers: ['cf', 'r53'] });
  const twin = { ...config.records[WWW]!, name: TWIN };
  const lab = new Lab({ ...config, records: { ...config.records, [TWIN]: twin } });
  for (const vendor of Object.values(lab.vendors)) {
    vendor.records.set(TWIN, { cname: 'a.shop.test.', ttl: 60, markers: [] });
  }
  return lab;
}

const TWIN = 'twin.gslb.test.';

test('what comes within a moment of a commit shares the next one, and nothing of it is performed or shown before', async () => {
  const lab = twins();
  await lab.start();
  lab.chains = [];
  lab.origins.set('a', 'fail');
  await lab.clock.advance(5000);
  const [first, second] = lab.chains.splice(0);
  lab.log.length = 0;
  const commits: string[][] = [];
  lab.refuses = ({ entries }) => {
    commits.push(entries.map(({ kind }) => kind));
    return false;
  };
  first!();
  await lab.clock.advance(1);
  const { length } = commits;
  second?.();
  await lab.clock.advance(1);
  assert.equal(commits.length, length, 'the second waits for its round');
  const shown = lab.controller.status().records.map(({ target }) => target);
  assert.deepEqual(shown, ['b', 'b']);
  assert.equal(commits.length, length + 1, 'whoever looks ends the round');
  assert.equal(lab.log.filter((line) => line === 'commit switch').length, 2);
  await lab.stop();
});

test('a round that cannot be committed is taken back whole', async () => {
  const lab = twins();
  await lab.start();
  lab.chains = [];
  lab.origins.set('a', 'fail');
  await lab.clock.advance(5000);
  lab.refuses = ({ entries, docs }) =>
    entries.some(({ kind }) => kind === 'switch') || docs[0]?.[0] === 'alive';
  for (const end of lab.chains.splice(0)) end();
  await lab.clock.advance(500);
  const records = lab.controller.status().records;
  assert.deepEqual(
    records.map(({ target, stay }) => [target, stay.reason]),
    records.map(() => ['a', 'store-failed']),
  );
  for (const vendor of Object.values(lab.vendors)) {
    for (const { markers } of vendor.records.values()) assert.match(markers[0]!, /epoch=1 /);
  }
  await lab.stop();
});

test('a gate opens for what is in force and committed, not for what is being confirmed', async () => {
  const lab = new Lab();
  await lab.start();
  const seen = new Set<string | null>();
  lab.chains = [];
  lab.origins.set('a', 'fail');
  await lab.clock.advance(5000);
  assert.equal(lab.stay(), 'confirming-target');
  assert.equal(lab.controller.gate(WWW)?.target, 'a');
  // The commit of the switch fails: whatever asks before and after gets the old target.
  lab.refuses = (c) => {
    seen.add(lab.controller.gate(WWW)?.target ?? null);
    return c.entries.some((e) => e.kind === 'switch') || c.docs[0]?.[0] === 'alive';
  };
  for (const end of lab.chains.splice(0)) end();
  await lab.clock.advance(500);
  assert.equal(lab.stay(), 'store-failed');
  assert.equal(lab.controller.gate(WWW)?.target, 'a');
  lab.refuses = () => false;
  lab.chains = null;
  await lab.clock.advance(20_000);
  assert.equal(lab.controller.gate(WWW)?.target, 'b');
  await lab.stop();
});

test('a store that failed is tried once a second and by nothing else', async () => {
  const lab = new Lab();
  await lab.start();
  lab.refuses = () => true;
  await lab.command('b');
  const before = lab.attempts;
  await lab.clock.advance(10_000);
  assert.equal(lab.attempts - before, 10);
  await lab.stop();
});

test('an operator whose command could not be committed is told so, and nothing has moved', async () => {
  const lab = new Lab();
  await lab.start();
  lab.refuses = () => true;
  const reply = await lab.command('b');
  assert.equal(reply.exit, 1);
  assert.match(reply.message, /store cannot commit/);
  assert.equal(lab.target(), 'a');
  assert.equal(lab.controller.status().records[0]!.pin, null);
  const again = await lab.command('b');
  assert.equal(again.exit, 1);
  await lab.clock.advance(2000);
  assert.ok(!lab.log.some((line) => line.endsWith('epoch 2')));
  lab.refuses = () => false;
  await lab.clock.advance(2000);
  const done = await lab.command('b');
  assert.equal(done.exit, 0);
  await lab.clock.advance(1000);
  assert.equal(lab.vendors['cf']!.epoch(), 2);
  await lab.stop();
});

/** The state as a daemon finds it that starts on what the store holds now. */
async function restarted(lab: Lab): Promise<Lab> {
  const next = new Lab();
  Object.assign(next.docs, structuredClone(lab.docs));
  next.unkept = lab.unkept;
  await next.start();
  return next;
}

test('a release that was said while the store failed stands after a restart', async () => {
  const by = 'ann';
  const orders: readonly (readonly [Command, Command])[] = [
    [
      { kind: 'drain', what: 'b', reason: 'r', by },
      { kind: 'undrain', what: 'b', by },
    ],
    [
      { kind: 'freeze', record: null, reason: 'r', by },
      { kind: 'unfreeze', record: null, by },
    ],
    [
      { kind: 'freeze', record: WWW, reason: 'r', by },
      { kind: 'unfreeze', record: WWW, by },
    ],
    [
      { kind: 'pin', record: WWW, reason: 'r', by, forMs: null },
      { kind: 'unpin', record: WWW, by },
    ],
  ];
  for (const [hold, release] of orders) {
    const lab = new Lab();
    await lab.start();
    assert.equal((await lab.controller.command(hold)).exit, 0);
    lab.refuses = () => true;
    for (const again of ['first', 'second']) {
      const reply = await lab.controller.command(release);
      assert.equal(reply.exit, 1, `${release.kind}, ${again}: ${reply.message}`);
      assert.match(reply.message, /the store cannot commit/);
    }
    // The disk takes what is owed, and then nothing: what came after it is not needed.
    let taken = 0;
    lab.refuses = () => taken++ > 0;
    await lab.clock.advance(1500);
    assert.ok(taken > 1, 'it was written to again');
    const after = await restarted(lab);
    const { drains, freeze, records } = after.controller.status();
    assert.deepEqual([drains, freeze, records[0]!.pin], [[], null, null]);
    assert.equal((after.docs[`record/${WWW}`] as { freeze: Json }).freeze, null);
    await after.stop();
    await lab.stop();
  }
});

test('a hold that came after a release, both while the store failed, stands after a restart', async () => {
  const lab = new Lab();
  await lab.start();
  const drain: Command = { kind: 'drain', what: 'b', reason: 'r', by: 'ann' };
  await lab.controller.command(drain);
  lab.refuses = () => true;
  await lab.controller.command({ kind: 'undrain', what: 'b', by: 'ann' });
  await lab.controller.command(drain);
  lab.refuses = () => false;
  await lab.clock.advance(2000);
  const after = await restarted(lab);
  assert.deepEqual(
    after.controller.status().drains.map((d) => d.what),
    ['b'],
  );
  await after.stop();
  await lab.stop();
});

test('what happened while the store failed is written when it works, and what was undone is not', async () => {
  const lab = new Lab();
  await lab.start();
  lab.refuses = () => true;
  await lab.command('b');
  await lab.controller.command({ kind: 'drain', what: 'b', reason: 'r', by: 'ann' });
  lab.origins.set('a', 'fail');
  await lab.clock.advance(10_000);
  const before = lab.entries.length;
  assert.ok(lab.unstored.includes('drain') && lab.unstored.includes('health'), `${lab.unstored}`);
  lab.refuses = () => false;
  await lab.clock.advance(2000);
  const late = lab.entries.slice(before).map((e) => e.kind);
  assert.deepEqual(
    late.filter((kind) => ['drain', 'health', 'switch', 'pin', 'store'].includes(kind)),
    ['drain', 'health', 'store'],
  );
  assert.ok(!lab.unstored.includes('switch') && !lab.unstored.includes('pin'), `${lab.unstored}`);
  await lab.stop();
});

test('a check that was first red while the store failed is not called never red after a restart', async () => {
  const lab = new Lab();
  await lab.start();
  lab.refuses = () => true;
  await lab.command('b');
  lab.origins.set('b', 'fail');
  await lab.clock.advance(5000);
  lab.refuses = () => false;
  await lab.clock.advance(2000);
  assert.equal(lab.docs['red/b/web@direct'], true);
  assert.equal(lab.docs['red/a/web@direct'], undefined);
  await lab.stop();
});

test('more than can wait for the store is a hole that is told of, and no word of a person is in it', async () => {
  const lab = new Lab();
  await lab.start();
  lab.refuses = () => true;
  await lab.controller.command({ kind: 'undrain', what: 'b', by: 'ann' });
  await lab.controller.command({ kind: 'drain', what: 'b', reason: 'r', by: 'ann' });
  for (let n = 0; n < 600; n++) {
    lab.origins.set('a', n % 2 === 0 ? 'fail' : 'pass');
    await lab.clock.advance(4000);
  }
  const before = lab.entries.length;
  lab.refuses = () => false;
  await lab.clock.advance(2000);
  const late = lab.entries.slice(before);
  const hole = late.find((e) => /are missing/.test(e.sentence));
  assert.ok(hole !== undefined);
  const { lost } = hole.data as { lost: number };
  assert.match(hole.sentence, /^\d+ entries before this are missing: the store could not commit/);
  assert.equal(late.indexOf(hole), 1000);
  assert.equal(lost, lab.unstored.length - 1000);
  assert.equal(late[0]!.kind, 'drain');
  await lab.stop();
});

test('a word that was not durable before a crash is told of at the next start, once', async () => {
  const lab = new Lab();
  await lab.start();
  await lab.controller.command({ kind: 'drain', what: 'b', reason: 'r', by: 'ann' });
  lab.refuses = () => true;
  const release: Command = { kind: 'undrain', what: 'b', by: 'ann' };
  assert.equal((await lab.controller.command(release)).exit, 1);
  const { reasons } = lab.controller.status().ready;
  assert.ok(reasons.includes('only until a restart: b undrained by ann'), reasons.join(', '));
  const next = await restarted(lab);
  const told = next.entries.filter((e) => e.kind === 'forgotten');
  assert.equal(told.length, 1);
  assert.match(told[0]!.sentence, /b undrained by ann: say it again where it still holds/);
  assert.ok(next.log.includes('tell needs-person'));
  assert.deepEqual(
    next.controller.status().drains.map((d) => d.what),
    ['b'],
  );
  assert.deepEqual(next.controller.status().ready.reasons, []);
  const last = await restarted(next);
  assert.equal(last.entries.filter((e) => e.kind === 'forgotten').length, 0);
  for (const one of [lab, next, last]) await one.stop();
});

test('a word that was not durable is told of no longer once it is', async () => {
  for (const end of ['works', 'stops'] as const) {
    const lab = new Lab();
    await lab.start();
    lab.refuses = () => true;
    await lab.controller.command({ kind: 'drain', what: 'b', reason: 'r', by: 'ann' });
    await lab.clock.advance(1500);
    assert.equal(lab.unkept.length, 1);
    lab.refuses = () => false;
    if (end === 'works') await lab.clock.advance(2000);
    else await lab.stop();
    assert.deepEqual(lab.unkept, []);
    assert.ok(lab.entries.some((e) => e.kind === 'drain'));
    const next = await restarted(lab);
    assert.deepEqual(
      next.controller.status().drains.map((d) => d.what),
      ['b'],
    );
    await next.stop();
    if (end === 'works') await lab.stop();
  }
});

test('where not even a word can be remembered, that is trouble, and nothing ends', async () => {
  const lab = new Lab();
  await lab.start();
  lab.refuses = () => true;
  lab.forgets = true;
  const reply = await lab.controller.command({ kind: 'drain', what: 'b', reason: 'r', by: 'ann' });
  assert.equal(reply.exit, 1);
  assert.ok(lab.troubles.filter((what) => what === 'store').length >= 2);
  lab.forgets = false;
  lab.refuses = () => false;
  await lab.clock.advance(2000);
  assert.deepEqual(lab.controller.status().ready.reasons, []);
  await lab.stop();
});

test('a dry run tells what it would do while the store fails', async () => {
  const lab = new Lab();
  await lab.start();
  const dry = { ...switchTo('b'), dryRun: true } as Command;
  const before = await lab.controller.command(dry);
  lab.refuses = () => true;
  await lab.command('b');
  const during = await lab.controller.command(dry);
  assert.equal(before.exit, 0);
  assert.doesNotMatch(during.message, /holds only until a restart/);
  await lab.stop();
});

// ---------------------------------------------------------------- deadlines

test('a reading that never ends is cut at its deadline and counts as unavailable', async () => {
  const lab = new Lab();
  await lab.start();
  const cf = lab.vendors['cf']!;
  cf.api = 'never';
  assert.equal((await lab.command('b')).exit, 0);
  await lab.clock.advance(2400);
  assert.equal(cf.aborted, 0);
  await lab.clock.advance(200);
  assert.equal(cf.aborted, 1);
  const problem = problemAt(lab, 'cf');
  assert.match(problem ?? '', /no answer within the deadline/);
  assert.ok(lab.entries.some((e) => e.sentence.startsWith('lane cf: unavailable')));
  // It is tried again, and the record follows when the vendor answers.
  cf.api = 'ok';
  await lab.clock.advance(5000);
  assert.equal(cf.epoch(), 2);
  await lab.stop();
});

test('a routine reading is cut off by a switch, which is written at once; its end no longer counts', async () => {
  const lab = new Lab();
  await lab.start();
  const cf = lab.vendors['cf']!;
  // What is given by DNS is odd, so the API is asked: by a reading that never ends.
  cf.api = 'never';
  cf.asked = [];
  cf.records.set(WWW, { ...cf.records.get(WWW)!, cname: 'x.example.' });
  for (let i = 0; i < 300 && cf.asked.length === 0; i++) await lab.clock.advance(100);
  assert.deepEqual([cf.asked, cf.aborted], [['read'], 0]);
  cf.api = 'ok';
  cf.records.set(WWW, { ...cf.records.get(WWW)!, cname: 'a.shop.test.' });
  assert.equal((await lab.command('b')).exit, 0);
  assert.equal(cf.aborted, 1);
  await lab.clock.advance(100);
  assert.deepEqual(cf.asked, ['read', 'read', 'write']);
  assert.equal(cf.epoch(), 2);
  assert.deepEqual(lab.calls.filter((c) => c.startsWith('cf read')).slice(-1), ['cf read ok']);
  // It ends after all, with what stood there long ago.
  for (const release of cf.releases) release();
  await lab.clock.advance(1000);
  assert.equal(lab.calls.filter((c) => c === 'cf read abandoned').length, 1);
  assert.equal(cf.epoch(), 2);
  assert.equal(problemAt(lab, 'cf'), null);
  await lab.stop();
});

test('a write that never ends is cut at its deadline, counts as uncertain, and is read back', async () => {
  const lab = new Lab();
  await lab.start();
  const cf = lab.vendors['cf']!;
  cf.api = 'never-write';
  cf.asked = [];
  assert.equal((await lab.command('b')).exit, 0);
  await lab.clock.advance(2450);
  assert.deepEqual(cf.asked, ['read', 'write']);
  await lab.clock.advance(200);
  assert.ok(lab.entries.some((e) => e.sentence.startsWith('lane cf: uncertain')));
  assert.deepEqual(cf.asked.slice(0, 3), ['read', 'write', 'read']);
  await lab.stop();
});

test('an adapter that throws is troubled over and taken for one that does not answer', async () => {
  const lab = new Lab();
  await lab.start();
  const cf = lab.vendors['cf']!;
  cf.api = 'throws';
  assert.equal((await lab.command('b')).exit, 0);
  await lab.clock.advance(500);
  assert.ok(lab.troubles.includes('adapter'));
  cf.api = 'ok';
  await lab.clock.advance(5000);
  assert.equal(cf.epoch(), 2);
  await lab.stop();
});

test('a provider that hangs delays no other lane', async () => {
  const lab = new Lab();
  await lab.start();
  lab.vendors['r53']!.api = 'never';
  assert.equal((await lab.command('b')).exit, 0);
  await lab.clock.advance(100);
  assert.equal(lab.vendors['cf']!.epoch(), 2);
  assert.equal(lab.vendors['r53']!.epoch(), 1);
  await lab.stop();
});

test('whoever is told and never ends delays no decision and no lane', async () => {
  const lab = new Lab();
  await lab.start();
  lab.deaf = true;
  for (const target of ['b', 'a', 'b']) {
    assert.equal((await lab.command(target)).exit, 0);
    await lab.clock.advance(100);
    assert.equal(lab.target(), target);
  }
  const [told, epochs] = [lab.log.filter((line) => line.startsWith('tell')).length, [4, 4]];
  assert.ok(told >= 3, `told ${told} times`);
  assert.deepEqual([lab.vendors['cf']!.epoch(), lab.vendors['r53']!.epoch()], epochs);
  await lab.clock.advance(31_000);
  assert.equal(lab.troubles.filter((what) => what === 'notify').length, told, 'and is given up on');
  await lab.stop();
});

test('with a full disk what was decided before is still published, everywhere', async () => {
  const lab = new Lab();
  await lab.start();
  const r53 = lab.vendors['r53']!;
  r53.api = 'never';
  assert.equal((await lab.command('b')).exit, 0);
  await lab.clock.advance(1000);
  lab.refuses = () => true;
  await lab.clock.advance(60_000);
  assert.deepEqual([lab.vendors['cf']!.epoch(), r53.epoch()], [2, 1]);
  assert.equal(lab.controller.ready().ok, false);
  r53.api = 'ok';
  await lab.clock.advance(10_000);
  assert.deepEqual([r53.epoch(), r53.records.get(WWW)!.cname], [2, 'b.shop.test.']);
  assert.equal(lab.controller.ready().ok, false, 'the disk is still full');
  lab.refuses = () => false;
  await lab.clock.advance(2000);
  assert.equal(lab.controller.ready().ok, true);
  await lab.stop();
});

// ---------------------------------------------------------------- reload and stop

test('a reload that takes away the target in force is refused and changes nothing', async () => {
  const lab = new Lab();
  await lab.start();
  const without = coreConfig({ providers: ['cf', 'r53'], origins: { b: { cloud: 'two' } } });
  const problems = lab.controller.reload(without, lab.adapters());
  assert.equal(problems.length, 1);
  assert.match(problems[0]!, /target a .* is in force .* run `detour switch`/);
  assert.equal(lab.controller.status().reload?.ok, false);
  await lab.clock.advance(20_000);
  assert.equal(lab.target(), 'a');
  assert.equal(lab.proberClosed, 0);
  assert.deepEqual(
    lab.controller.status().records[0]!.targets.map((t) => t.origin),
    ['a', 'b'],
  );
  await lab.stop();
});

test('a good reload is put in force, and the old adapters are let go of later', async () => {
  const lab = new Lab();
  await lab.start();
  const more = coreConfig({
    providers: ['cf', 'r53'],
    origins: { a: { cloud: 'one' }, b: { cloud: 'two' }, c: { cloud: 'three' } },
  });
  assert.deepEqual(lab.controller.reload(more, lab.adapters()), []);
  assert.equal(lab.controller.status().reload?.ok, true);
  assert.equal(lab.controller.status().records[0]!.targets.length, 3);
  await lab.clock.advance(14_000);
  assert.equal(lab.proberClosed, 0);
  await lab.clock.advance(2000);
  assert.equal(lab.proberClosed, 1);
  await lab.stop();
});

test('stopping waits for a write under way, and for nothing new', async () => {
  const lab = new Lab();
  await lab.start();
  const cf = lab.vendors['cf']!;
  cf.api = 'never-write';
  assert.equal((await lab.command('b')).exit, 0);
  await lab.clock.advance(100);
  let stopped = false;
  const stopping = lab.controller.stop().then(() => {
    stopped = true;
  });
  await lab.clock.advance(1000);
  assert.equal(stopped, false);
  assert.equal(cf.closed, 0);
  const calls = Object.values(lab.vendors).map((v) => v.asked.length);
  for (const release of cf.releases) release();
  await lab.clock.advance(100);
  await stopping;
  assert.equal(cf.epoch(), 2);
  assert.equal(cf.closed, 1);
  assert.deepEqual(
    Object.values(lab.vendors).map((v) => v.asked.length),
    calls,
  );
  assert.equal(lab.entries.at(-1)!.kind, 'stop');
});

test('stopping waits no longer than its grace, and answers whoever asks by then', async () => {
  const lab = new Lab();
  await lab.start();
  const cf = lab.vendors['cf']!;
  cf.api = 'never-write';
  assert.equal((await lab.command('b')).exit, 0);
  await lab.clock.advance(100);
  const stopping = lab.controller.stop();
  const refused = await lab.command('a');
  assert.equal(refused.exit, 1);
  assert.match(refused.message, /stopping/);
  await lab.clock.advance(3100);
  await stopping;
  assert.equal(cf.closed, 1);
  assert.equal(cf.aborted, 1);
});

function problemAt(lab: Lab, provider: string): string | null {
  const { providers } = lab.controller.status().records[0]!;
  return providers.find((p) => p.provider === provider)!.problem;
}

// ---------------------------------------------------------------- a fault of our own

/** An adapter whose answers have not the shape that the port promises. */
function garble(vendor: Vendor): void {
  vendor.seen = () => ({ cnames: null, markers: [], refusal: null, ref: null }) as unknown as Seen;
}

test('what cannot be folded in is refused and shut out, and the daemon goes on without it', async () => {
  const lab = new Lab();
  await lab.start();
  garble(lab.vendors['r53']!);
  // Somebody takes the marker away, so that its API is asked.
  lab.vendors['r53']!.records.get(WWW)!.markers = [];
  await lab.clock.advance(40_000);
  assert.deepEqual(lab.troubles, ['fold']);
  const faults = lab.entries.filter((e) => e.kind === 'fault');
  assert.match(faults[0]!.sentence, /a fault in Detour itself \(read at r53\)/);
  // Its word is shut out: the others move, at the pace of a restart.
  lab.origins.set('a', 'fail');
  await lab.clock.advance(15_000);
  assert.equal(lab.target(), 'b');
  assert.equal(lab.vendors['cf']!.records.get(WWW)!.cname, 'b.shop.test.');
  assert.equal(lab.vendors['cf']!.epoch(), 2, 'no epoch was given out twice or lost');
  assert.deepEqual(lab.controller.violations(), []);
  // Tried again in a minute, then later and later; never a fault for each answer.
  await lab.clock.advance(3_600_000);
  assert.ok(lab.troubles.length > 1 && lab.troubles.length <= 8, `${lab.troubles.length} faults`);
  assert.equal(lab.target(), 'b');
  // Mended, it is brought along.
  delete (lab.vendors['r53'] as { seen?: unknown }).seen;
  await lab.clock.advance(3_700_000);
  assert.equal(lab.vendors['r53']!.records.get(WWW)!.cname, 'b.shop.test.');
  await lab.stop();
});

test('an order that cannot be folded in is answered, and nothing of it stays', async () => {
  const lab = new Lab();
  await lab.start();
  const broken = {
    kind: 'freeze',
    record: null,
    get reason() {
      throw new Error('broken');
    },
  };
  const reply = await lab.controller.command(broken as unknown as Command);
  assert.equal(reply.exit, 1);
  assert.match(reply.message, /a fault in Detour itself/);
  assert.equal(lab.controller.status().freeze, null);
  await lab.clock.advance(5000);
  const next = await lab.command('b');
  assert.equal(next.exit, 0, next.message);
  await lab.clock.advance(1000);
  assert.equal(lab.vendors['cf']!.records.get(WWW)!.cname, 'b.shop.test.');
  await lab.stop();
});

test('a configuration that cannot be folded in leaves the old one in force', async () => {
  const lab = new Lab();
  await lab.start();
  const broken = {
    ...lab.config,
    records: { [WWW]: { ...lab.config.records[WWW]!, publish: null } },
  };
  const problems = lab.controller.reload(broken as unknown as CoreConfig, lab.adapters());
  assert.ok(problems.length > 0);
  lab.origins.set('a', 'fail');
  await lab.clock.advance(15_000);
  assert.equal(lab.target(), 'b');
  await lab.stop();
});

const hooked = (silence: 'go' | 'stay', timeoutMs = 5_000) =>
  coreConfig({
    providers: ['cf', 'r53'],
    record: { hooks: { before: { timeoutMs, silence }, after: { timeoutMs } } },
  });

test('a hook is run once its decision is durable, and not where the store cannot take that', async () => {
  const lab = new Lab(hooked('stay'));
  let runs = 0;
  lab.hooks = {
    before: async () => {
      runs++;
      assert.equal(lab.entries.at(-1)?.kind === 'hook' || lab.log.includes('commit hook'), true);
      return { answer: 'go', detail: '' };
    },
    after: async () => {},
  };
  await lab.start();
  lab.refuses = ({ entries }) => entries.some(({ kind }) => kind === 'hook');
  lab.origins.set('a', 'fail');
  await lab.clock.advance(10_000);
  assert.equal(runs, 0);
  assert.equal(lab.target(), 'a');
  lab.refuses = () => false;
  await lab.clock.advance(10_000);
  assert.equal(runs, 1);
  assert.equal(lab.target(), 'b');
  await lab.stop();
});

for (const [silence, target] of [
  ['go', 'b'],
  ['stay', 'a'],
] as const) {
  test(`a hook that never ends and heeds no signal: silence means ${silence}`, async () => {
    const lab = new Lab(hooked(silence));
    const after: string[] = [];
    lab.hooks = {
      before: () => new Promise(() => {}),
      after: async (about) => {
        after.push(`${about.from} -> ${about.to} behind ${about.behind?.join(',')}`);
        throw new Error('it failed');
      },
    };
    await lab.start();
    lab.origins.set('a', 'fail');
    await lab.clock.advance(7_000);
    assert.equal(lab.stay(), 'hook');
    assert.equal(lab.target(), 'a');
    await lab.clock.advance(10_000);
    assert.equal(lab.target(), target);
    assert.deepEqual(after, silence === 'go' ? ['a -> b behind '] : []);
    assert.deepEqual(lab.troubles, silence === 'go' ? ['hook'] : []);
    await lab.stop();
  });
}

// ---------------------------------------------------------------- who is told

test('with every channel dead, each in its way, a switch comes not a millisecond later', async () => {
  const dead = {
    hangs: () => new Promise<void>(() => {}),
    refuses: () => Promise.reject(new Error('refused')),
    throws: () => {
      throw new Error('a fault of its own');
    },
  };
  const everything = { severity: noticeSeverities, records: null, quietMs: 0 };
  const specs = Object.entries(dead).map(([name, notify]) => ({
    ...{ name, notifier: { notify }, rule: everything },
  }));
  const run = async (areDead: boolean) => {
    const lab = new Lab();
    let troubles = 0;
    const means = { cluster: 'shop', replica: null, clock: lab.clock, apiUrl: null };
    const trouble = () => void troubles++;
    const channels = createChannels({ ...means, specs, trouble });
    if (areDead) lab.notifier = channels;
    await lab.start();
    const times: number[] = [];
    for (const [hurt, well] of [['a', 'b']] as const) {
      lab.origins.set(well, 'pass');
      await lab.clock.advance(60_000);
      lab.origins.set(hurt, 'fail');
      const from = lab.clock.now();
      while (lab.target() !== well || lab.controller.status().records[0]!.switching) {
        await lab.clock.advance(1);
        assert.ok(lab.clock.now() - from < 60_000, 'it switches');
      }
      times.push(lab.clock.now() - from);
    }
    await lab.stop();
    return { times, troubles };
  };
  const [alone, told] = [await run(false), await run(true)];
  assert.deepEqual(told.times, alone.times);
  assert.ok(told.troubles > 3, 'they were tried');
});
