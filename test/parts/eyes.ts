// Replicas that tell each other what they see, on this machine: each with a clock of its own that
// is far off, on ports of loopback, with or without a relay between. What a replica tells is what
// the test has set. It must never wait for more than the test does.

import type { TlsFiles } from '../../src/cluster/door.ts';
import { createEyes, type Eyes, type EyesEvent, type EyesOptions } from '../../src/cluster/eyes.ts';
import { createKeyring } from '../../src/cluster/keyring.ts';
import type { Sighting, Telling } from '../../src/core/heard.ts';
import type { Clock } from '../../src/ports.ts';
import { closedPort } from './listening.ts';

/** A cluster key of this name. */
export const key = (name: string) => name.padEnd(40, '.');

/** A clock that is so far off from this process's. */
export function clockOff(offsetMs: number): Clock {
  return {
    now: () => Math.floor(performance.now() + offsetMs),
    wall: () => Math.floor(performance.now() + offsetMs),
    after: (ms, then) => {
      const timer = setTimeout(then, Math.max(0, ms));
      return () => clearTimeout(timer);
    },
  };
}

/** A clock that stands until it is told to go on. */
export class StandingClock implements Clock {
  #now = 1000;
  readonly #timers = new Set<{ readonly at: number; readonly then: () => void }>();

  now(): number {
    return this.#now;
  }

  wall(): number {
    return this.#now;
  }

  after(ms: number, then: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, ms), then };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Each timer at its moment, in order. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers]
        .filter(({ at }) => at <= end)
        .toSorted((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.then();
    }
    this.#now = end;
  }

  /** Stands still while so long goes by: what was due comes late. */
  stall(ms: number): void {
    this.#now += ms;
    this.advance(0);
  }
}

export const sighting = (of: Partial<Sighting> & { check: string; path: string }): Sighting => ({
  hash: '0123456789abcdef',
  verdict: 'up',
  evidence: 0,
  recovery: 0,
  fails: 0,
  passes: 3,
  missed: 0,
  passAgeMs: 20,
  failAgeMs: null,
  openAgeMs: null,
  heardAgeMs: 10,
  outcome: 'pass',
  detail: '',
  ...of,
});

/** What one replica sees, with a version for each change. */
export class Sights {
  readonly replica: string;
  readonly #rows = new Map<string, { readonly row: Sighting; readonly version: number }>();
  version = 1;
  records: Readonly<Record<string, string>> | null = null;
  head = 0;
  /** When it was asked, in this process's time, and since which version. */
  readonly asked: { readonly at: number; readonly since: number | null }[] = [];

  constructor(replica: string) {
    this.replica = replica;
  }

  set(...rows: readonly Sighting[]): void {
    this.version++;
    for (const row of rows) {
      this.#rows.set(`${row.check} ${row.path}`, { row, version: this.version });
    }
  }

  told(since: number | null): { readonly telling: Telling; readonly version: number } {
    this.asked.push({ at: performance.now(), since });
    const changed = [...this.#rows.values()].filter((r) => r.version > (since ?? 0));
    const telling: Telling = {
      replica: this.replica,
      config: 'c0ffee',
      paths: [{ path: `${this.replica}/direct`, blind: false, lossPermille: 10 }],
      sightings: changed.map(({ row }) => row),
      whole: since === null,
      records: since === null ? this.records : null,
      blind: false,
      acts: false,
      // So that a telling bears which version it is of.
      head: this.version,
      term: 0,
    };
    return { telling, version: this.version };
  }
}

type Heard = EyesEvent & { kind: 'heard' };

export interface Replica {
  readonly name: string;
  readonly eyes: Eyes;
  readonly sights: Sights;
  readonly clock: Clock;
  readonly events: EyesEvent[];
  /** With when each came, in this process's time. */
  readonly heard: (from: string) => readonly (Heard & { readonly cameAt: number })[];
  readonly troubles: string[];
  keys: readonly string[];
}

interface Making {
  readonly clock?: Clock;
  readonly keys?: readonly string[];
  readonly cluster?: string;
  readonly tls?: (() => TlsFiles) | null;
  readonly answers?: EyesOptions['answers'];
  /** In place of the others' own addresses. */
  readonly peers?: EyesOptions['peers'];
  readonly port?: number;
  readonly host?: string;
}

/** One replica, not yet started. */
export async function replicaOf(name: string, making: Making): Promise<Replica> {
  const sights = new Sights(name);
  const events: EyesEvent[] = [];
  const came = new Map<EyesEvent, number>();
  const troubles: string[] = [];
  const clock = making.clock ?? clockOff(0);
  const replica = {
    name,
    sights,
    clock,
    events,
    troubles,
    keys: making.keys ?? [key('group')],
    heard: (from: string) =>
      events
        .filter((e): e is Heard => e.kind === 'heard' && e.telling.replica === from)
        .map((e) => ({ ...e, cameAt: came.get(e)! })),
  };
  const eyes = createEyes({
    cluster: making.cluster ?? 'shop',
    self: name,
    peers: making.peers ?? {},
    listen: { host: making.host ?? '127.0.0.1', port: making.port ?? (await closedPort()) },
    tls: making.tls ?? null,
    keys: () => createKeyring(replica.keys),
    clock,
    told: (since) => sights.told(since),
    answers: making.answers ?? { history: () => [], documents: () => ({}) },
    trouble: (detail) => void troubles.push(detail),
  });
  const { start } = eyes;
  // Whoever starts it takes part in the list.
  eyes.start = (tell) =>
    start.call(eyes, (event) => {
      came.set(event, performance.now());
      events.push(event);
      tell(event);
    });
  return Object.assign(replica, { eyes });
}

/** Starts replicas and ends them, whatever the test does. */
export async function started(
  replicas: readonly Replica[],
  work: () => Promise<void>,
): Promise<void> {
  try {
    for (const { eyes } of replicas) {
      const wrong = await eyes.start(() => {});
      if (wrong !== null) throw new Error(wrong);
    }
    await work();
  } finally {
    for (const { eyes } of replicas) eyes.close();
  }
}

type Address = { readonly host: string; readonly port: number };

/**
 * Replicas by these names that all know each other; `via` may put a relay on the way to an address.
 */
export async function group(
  names: readonly string[],
  making: (name: string) => Making = () => ({}),
  via: (from: string, to: string, address: Address) => Promise<Address> | Address = (_, __, to) =>
    to,
): Promise<readonly Replica[]> {
  const ports = new Map<string, number>();
  for (const name of names) ports.set(name, await closedPort());
  const replicas: Replica[] = [];
  for (const name of names) {
    const peers: Record<string, Address> = {};
    for (const other of names.filter((n) => n !== name)) {
      peers[other] = await via(name, other, { host: '127.0.0.1', port: ports.get(other)! });
    }
    replicas.push(await replicaOf(name, { port: ports.get(name)!, peers, ...making(name) }));
  }
  return replicas;
}
