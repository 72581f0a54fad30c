// An account at a vendor of the scenarios' world, for the providers' conformance suite: each call
// becomes the world's own effect and event, and its virtual time runs while the call is under way.
// The world's vendors know no zones but by a name's first label, and no keys: where a zone ends,
// and that a key is refused, is said here.

import { markerName } from '../../src/core/marker.ts';
import type { Answer, Change, Fault, Name, Refusal, Result, Seen } from '../../src/core/model.ts';
import { isWithin } from '../../src/core/name.ts';
import type { Event } from '../../src/core/state.ts';
import type { Account, Candidate, Trouble } from '../../src/kit/conformance/index.ts';
import type { Capabilities, Provider, ReachingFinding, ZoneFacts } from '../../src/kit/extend.ts';
import { type Held, ofAccount, ofRecord } from '../../src/replay/vendor.ts';
import { coreConfig, type Vendor, World } from './world.ts';

const zone: Name = 'fo.test.';
const second: Name = 'second.example.';
const provider = 'v';

const capabilities: Capabilities = {
  type: 'world',
  title: 'A vendor of the scenarios and of `simulate`',
  fence: { kind: 'transaction', note: 'a made-up vendor refuses what real ones refuse' },
  atomic: true,
  readMax: 20,
  writeMax: 20,
  callsMax: 1,
  quota: { burst: 50, perSecond: 10, reserve: 10 },
  permissions: [],
  refuses: [
    { word: 'apex', note: null },
    { word: 'other-type', note: null },
  ],
};

/** Faults of the suite, and what they are in this world. */
const faults = {
  hang: 'hang',
  error: 'unavailable',
  throttle: 'throttled',
  auth: 'auth',
  'lost-reply': 'lose-reply',
} as const satisfies Partial<Record<Trouble, Vendor['api']>>;
type Known = keyof typeof faults;

const sicknesses = ['deleted', 'denied', 'unavailable', 'hang'] as const;

export const worldRow: Candidate = {
  title: capabilities.title,
  capabilities,
  skip: false,
  start: async () => start(),
};

/** The calls of this account have ids below zero, which no engine gives. */
class Watched extends World {
  readonly #waiting = new Map<number, (event: Event) => void>();
  #calls = 0;

  /** What the world answers to a call; its time goes on, one turn after the other. */
  async call(ask: (id: number) => void): Promise<Event> {
    const id = -++this.#calls;
    let answer: Event | null = null;
    this.#waiting.set(id, (event) => {
      answer = event;
    });
    ask(id);
    while (answer === null) {
      this.advance(10);
      await new Promise((done) => setImmediate(done));
    }
    return answer;
  }

  override send(event: Event): void {
    const isCall = event.kind === 'read' || event.kind === 'written';
    const waiting = isCall ? this.#waiting.get(event.id) : undefined;
    if (waiting === undefined) return super.send(event);
    if (isCall) this.#waiting.delete(event.id);
    waiting(event);
  }

  /** The suite writes what it likes: no engine decides here. */
  protected override judge(): void {}
}

function start(): Account {
  const world = new Watched(coreConfig({ providers: [provider], origins: {}, records: {} }));
  world.start();
  const vendor = world.vendors.get(provider)!;
  // Less than a reading may ask for: the rest is not asked.
  vendor.atOnce = 7;
  return {
    zone,
    secrets: [],
    open: ({ wrongKey = false } = {}) => new WorldAccount(world, wrongKey),
    async edit(name, type, values, ttl) {
      const record = recordOf(name);
      const held: Held = { ...world.held(provider, record) };
      const [value] = values;
      if (type === 'TXT') held.markers = [...values];
      else if (type === 'A') held.refusal = value === undefined ? null : otherType(record);
      else held.cname = value === undefined ? null : { value: value.toLowerCase(), ttl };
      vendor.records.set(record, held);
    },
    async look(name, type) {
      const held = vendor.records.get(recordOf(name));
      return [type === 'TXT' ? [...(held?.markers ?? [])] : held?.cname ? [held.cname.value] : []];
    },
    requests: () => vendor.reads + vendor.writes,
    faults: Object.keys(faults) as Known[],
    async fault(how) {
      vendor.api = how === null ? 'ok' : faults[how as Known];
    },
    oddities: [],
    secondZone: {
      zone: second,
      faults: sicknesses,
      async fault(how) {
        vendor.sick.clear();
        if (how !== null) vendor.sick.set(second, how as (typeof sicknesses)[number]);
      },
    },
    close: async () => {},
  };
}

function recordOf(name: Name): Name {
  const label = markerName('');
  return name.startsWith(label) ? name.slice(label.length) : name;
}

function otherType(name: Name): Refusal {
  return { word: 'other-type', sentence: `${name} has records of type A` };
}

const stopped: Fault = { kind: 'unavailable', detail: 'told to stop' };
const refused: Fault = { kind: 'auth-suspect', detail: 'the key is refused' };

class WorldAccount implements Provider {
  readonly name = provider;
  readonly capabilities = capabilities;
  calls = 0;
  readonly #world: Watched;
  readonly #wrongKey: boolean;

  constructor(world: Watched, wrongKey: boolean) {
    this.#world = world;
    this.#wrongKey = wrongKey;
  }

  async zone(name: Name): Promise<Result<ZoneFacts>> {
    const own = zoneOf(name);
    if (own === null) return { ok: false, fault: outside(name) };
    const nameServers = [`ns1.${provider}`, `ns2.${provider}`];
    return { ok: true, value: { zone: own, nameServers, ttlMin: null, warnings: [] } };
  }

  async read(
    names: readonly Name[],
    signal: AbortSignal,
  ): Promise<Readonly<Record<Name, Answer<Seen>>>> {
    const inside = names.filter((name) => zoneOf(name) !== null && name !== zoneOf(name));
    const read = await this.#call<Readonly<Record<Name, Answer<Seen>>>>(
      inside.length > 0,
      signal,
      (fault) => Object.fromEntries(inside.map((name) => [name, fault])),
      async () => {
        const event = await this.#world.call((id) =>
          this.#world.perform(
            { kind: 'read', provider, id, names: inside, deadlineMs: 2000 },
            true,
          ),
        );
        return event.kind === 'read' ? event.answers : {};
      },
    );
    const all = names.map((name) => [name, read[name] ?? ofRecord(outside(name))] as const);
    return Object.fromEntries(all);
  }

  async write(changes: readonly Change[], signal: AbortSignal): Promise<readonly Answer<null>[]> {
    const inside = changes.filter(({ name }) => zoneOf(name) !== null);
    const written = await this.#call<readonly Answer<null>[]>(
      inside.length > 0,
      signal,
      (fault) => inside.map(() => fault),
      async () => {
        const event = await this.#world.call((id) =>
          this.#world.perform(
            { kind: 'write', provider, id, changes: inside, deadlineMs: 2000 },
            true,
          ),
        );
        return event.kind === 'written' ? event.answers : [];
      },
    );
    const next = written.values();
    return changes.map(({ name }) =>
      zoneOf(name) === null ? ofRecord(outside(name)) : next.next().value!,
    );
  }

  async preflight(record: Name, signal: AbortSignal): Promise<readonly ReachingFinding[]> {
    const { [record]: answer } = await this.read([record], signal);
    if (answer?.kind !== 'fault') return [];
    const { fault, reach } = answer;
    return [{ word: 'zone', severity: 'bad', sentence: fault.detail, cure: null, reach }];
  }

  close(): void {}

  /** One call of the account, if there is anything to ask. */
  async #call<T>(
    isAsked: boolean,
    signal: AbortSignal,
    all: (fault: ReturnType<typeof ofAccount>) => T,
    ask: () => Promise<T>,
  ): Promise<T> {
    if (!isAsked || signal.aborted) return all(ofAccount(stopped));
    this.calls++;
    if (this.#wrongKey) return all(ofAccount(refused));
    return ask();
  }
}

/** The zone that holds a name; null where it is in none of this account. */
function zoneOf(name: Name): Name | null {
  return [zone, second].find((own) => isWithin(name, own)) ?? null;
}

function outside(name: Name): Fault {
  const cure = `publish only names under ${zone} or ${second} here`;
  return { kind: 'rejected', detail: `${name} is in no zone of this account`, cure };
}
