// The world around the engine in virtual time: probes, vendors and name servers that answer as the
// conditions of the moment say, after a plausible while. Everything is drawn from one seed, nothing
// sleeps, and the same inputs give the same run. The vendors refuse a write against an old reading,
// as real ones do. It decides nothing, and never tells the engine what it could not have seen.

import {
  type Effect,
  type Event,
  newestBehaviour,
  nextDeadline,
  type State,
  type Step,
  start,
  step,
  violations,
} from '../core/engine.ts';
import type {
  Answer,
  Change,
  Command,
  CoreConfig,
  Entry,
  Fault,
  Json,
  Name,
  Notice,
  Observation,
  Outcome,
  Reply,
  Seen,
  ServerAnswer,
  Standby,
} from '../core/model.ts';
import type { PathState } from '../core/state.ts';
import type { Manner } from './outages.ts';
import type { Affliction, Conditions } from './struck.ts';
import { type Held, ofAccount, othersOf, seenOf, writeTo } from './vendor.ts';

/** What an API, a name server and a chain of names take, and how long a vendor takes to publish. */
const READ_MS = 150;
const WRITE_MS = 250;
const ASK_MS = 40;
const CHAIN_MS = 60;
const PUBLISH_MS = 1000;
const ASK_TIMEOUT_MS = 1000;
/** What a refusal or an error page takes. */
const REFUSAL_MS = 30;

export const calm: Conditions = {
  checks: new Map(),
  paths: new Map(),
  api: new Map(),
  authority: new Map(),
  names: new Map(),
};

interface Vendor {
  readonly name: string;
  /** By the API's word. */
  readonly records: Map<Name, Held>;
  /** By its name servers' word, which follows a moment later. */
  readonly served: Map<Name, Held>;
}

/** What one vendor's name servers gave for a record from a moment on. */
interface Served {
  readonly at: number;
  readonly provider: string;
  readonly record: Name;
  readonly cname: Name | null;
}

interface Due {
  readonly at: number;
  readonly seq: number;
  readonly life: number;
  readonly run: () => void;
}

interface WorldOptions {
  readonly config: CoreConfig;
  /** Wall-clock milliseconds; engine time runs on the same axis. */
  readonly startsAt: number;
  readonly seed: number;
  /** Share of all probes that is lost by chance, whatever the world does. */
  readonly loss: number;
}

export class World {
  now: number;
  conditions: Conditions = calm;
  state!: State;
  /** Its paths, the same for as long as it runs. */
  paths: readonly PathState[] = [];
  probes = 0;
  readonly served: Served[] = [];
  readonly entries: { readonly at: number; readonly entry: Entry }[] = [];
  readonly notices: { readonly at: number; readonly notice: Notice }[] = [];
  /** Called after every step. */
  onStep: () => void = () => {};
  readonly #config: CoreConfig;
  readonly #loss: number;
  readonly #vendors = new Map<string, Vendor>();
  readonly #heap: Due[] = [];
  #docs: Record<string, Json> = {};
  #seq = 0;
  #life = 0;
  #seed: number;
  #request = 0;
  #reply: Reply | null = null;

  constructor({ config, startsAt, seed, loss }: WorldOptions) {
    this.#config = config;
    this.now = startsAt;
    this.#seed = seed | 0;
    this.#loss = loss;
    for (const name of Object.keys(config.lanes)) {
      this.#vendors.set(name, { name, records: new Map(), served: new Map() });
    }
  }

  /** Puts a record at all its vendors, unmarked, as its user would have made it. */
  hold(record: Name, cname: Name): void {
    for (const { provider, ttl, lines } of this.#config.records[record]!.publish) {
      const held: Held = { cname: { value: cname, ttl }, markers: [], ...othersOf(lines) };
      this.#vendors.get(provider)!.records.set(record, held);
      this.#serve(provider, record, held);
    }
  }

  /**
   * The daemon starts, from what was last committed; what was under way before is lost. It decides
   * by the rules of a behaviour.
   */
  begin(behaviour = this.#config.behaviour ?? newestBehaviour): void {
    const life = ++this.#life;
    this.#heap.length = 0;
    // What the vendors had taken is published whatever becomes of the daemon.
    for (const v of this.#vendors.values()) {
      for (const [record, held] of v.records) this.#serve(v.name, record, held);
    }
    const begun = start({
      config: { ...this.#config, behaviour },
      docs: structuredClone(this.#docs),
      now: this.now,
      wall: this.now,
      seed: [this.#seed, 2, 3, life],
    });
    this.state = begun.state;
    this.paths = [...begun.state.paths.values()];
    this.#finish(begun.step);
    this.#send({ kind: 'lease', held: true, term: life });
  }

  /** Runs on to a moment. Throws if a rule of the core does not hold there: a fault of Detour's. */
  runTo(at: number): void {
    for (;;) {
      const deadline = nextDeadline(this.state)?.at ?? Number.POSITIVE_INFINITY;
      const next = this.#heap[0];
      const due = Math.min(deadline, next?.at ?? Number.POSITIVE_INFINITY);
      if (due > at) break;
      this.now = Math.max(this.now, due);
      if (next !== undefined && next.at <= deadline) {
        pop(this.#heap);
        if (next.life === this.#life) next.run();
      } else this.#send({ kind: 'tick' });
    }
    this.now = at;
    const wrong = violations(this.state);
    if (wrong.length > 0) throw new Error(`at ${new Date(at).toISOString()}: ${wrong.join('; ')}`);
  }

  /** What an operator says, and the answer. */
  order(command: Command): Reply {
    this.#reply = null;
    this.#send({ kind: 'command', request: ++this.#request, command });
    return this.#reply ?? { exit: 1, message: 'no reply' };
  }

  /** What an audit finds of targets. */
  audited(standbys: readonly Standby[]): void {
    this.#send({ kind: 'surveyed', surveys: [], standbys });
  }

  /** Jumps to a moment without the daemon: nothing happens meanwhile. `begin` must follow. */
  skipTo(at: number): void {
    this.now = Math.max(this.now, at);
  }

  #send(event: Event): void {
    this.#finish(step(this.state, event, this.now, this.now));
  }

  #finish(out: Step): void {
    for (const [key, value] of out.docs) {
      if (value === null) delete this.#docs[key];
      else this.#docs[key] = structuredClone(value);
    }
    for (const entry of out.entries) this.entries.push({ at: this.now, entry });
    for (const effect of out.effects) this.#perform(effect);
    this.onStep();
  }

  #perform(e: Effect): void {
    switch (e.kind) {
      case 'probe':
        return this.#probe(e);
      case 'read':
        return this.#read(e);
      case 'abandon':
        // It runs on to its end, which the engine takes no notice of.
        return;
      case 'write':
        return this.#write(e);
      case 'ask':
        return this.#ask(e);
      case 'chain':
        return this.#chain(e);
      case 'notify':
        this.notices.push({ at: this.now, notice: e.notice });
        return;
      case 'reply':
        this.#reply = e.reply;
        return;
    }
  }

  #later(ms: number, run: () => void): void {
    push(this.#heap, { at: this.now + ms, seq: this.#seq++, life: this.#life, run });
  }

  // -------------------------------------------------------------- probes

  #probe(e: Extract<Effect, { kind: 'probe' }>): void {
    this.probes++;
    const { timeoutMs } = this.#config.checks[e.check]!;
    const fate = this.#fate(e.check, e.path, timeoutMs);
    this.#later(fate.ms, () => {
      const { outcome, reason, detail } = fate;
      const observation: Observation = {
        ...{ outcome, reason, detail, phases: {} },
        ...{ startedAt: e.at, endedAt: this.now },
      };
      this.#send({ kind: 'probed', check: e.check, path: e.path, observation });
    });
  }

  #fate(check: string, path: string, timeoutMs: number): Fate {
    const { checks, paths } = this.conditions;
    const unheard = paths.get(path);
    if (unheard !== undefined && this.#strikes(unheard)) {
      const detail = 'the path itself gave no answer';
      return { outcome: 'blind', reason: 'no-route', detail, ms: timeoutMs };
    }
    if (this.#loss > 0) {
      const toss = this.#random();
      if (toss < this.#loss / 2) return fateOf('refuse', timeoutMs);
      if (toss < this.#loss) return fateOf('hang', timeoutMs);
    }
    const struck = checks.get(check);
    if (struck !== undefined && this.#strikes(struck)) return fateOf(struck.manner, timeoutMs);
    const ms = Math.min(timeoutMs - 1, 25 + Math.floor(30 * this.#random()));
    return { outcome: 'pass', reason: 'ok', detail: 'ok', ms };
  }

  #strikes({ share }: Affliction): boolean {
    return share >= 1 || this.#random() < share;
  }

  /** A number in [0, 1), the next of the seed's (mulberry32 by Tommy Ettinger). */
  #random(): number {
    this.#seed = (this.#seed + 0x6d2b79f5) | 0;
    const a = this.#seed;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  // -------------------------------------------------------------- vendors

  #read(e: Extract<Effect, { kind: 'read' }>): void {
    const answer = (say: (name: Name) => Answer<Seen>) => {
      const answers = Object.fromEntries(e.names.map((name) => [name, say(name)] as const));
      this.#send({ kind: 'read', provider: e.provider, id: e.id, answers });
    };
    const struck = this.conditions.api.get(e.provider);
    if (struck !== undefined && this.#strikes(struck)) {
      const { fault, ms } = faultOf(struck.manner, this.#callMs(e.provider), 'unavailable');
      // A vendor fails as a whole: what a zone of it does is not known of any outage on record.
      return this.#later(ms, () => answer(() => ofAccount(fault)));
    }
    const { records } = this.#vendors.get(e.provider)!;
    this.#later(READ_MS, () => {
      answer((name) => ({ kind: 'answered', value: seenOf(records.get(name)) }));
    });
  }

  #write(e: Extract<Effect, { kind: 'write' }>): void {
    const answer = (answers: readonly Answer<null>[]) =>
      this.#send({ kind: 'written', provider: e.provider, id: e.id, answers });
    const struck = this.conditions.api.get(e.provider);
    if (struck !== undefined && this.#strikes(struck)) {
      const { fault, ms } = faultOf(struck.manner, this.#callMs(e.provider), 'uncertain');
      return this.#later(ms, () => answer(e.changes.map(() => ofAccount(fault))));
    }
    this.#later(WRITE_MS, () => answer(e.changes.map((c) => this.#apply(e.provider, c))));
  }

  #apply(provider: string, c: Change): Answer<null> {
    const { records } = this.#vendors.get(provider)!;
    const written = writeTo(records, c);
    if (written.kind !== 'answered') return written;
    const held = records.get(c.name)!;
    this.#later(PUBLISH_MS, () => this.#serve(provider, c.name, held));
    return written;
  }

  #serve(provider: string, record: Name, held: Held): void {
    const { served } = this.#vendors.get(provider)!;
    const was = served.get(record);
    served.set(record, held);
    const cname = held.cname?.value ?? null;
    if (was !== undefined && (was.cname?.value ?? null) === cname) return;
    this.served.push({ at: this.now, provider, record, cname });
  }

  #callMs(provider: string): number {
    return this.#config.lanes[provider]!.callTimeoutMs;
  }

  // -------------------------------------------------------------- name servers

  #ask(e: Extract<Effect, { kind: 'ask' }>): void {
    const struck = this.conditions.authority.get(e.provider);
    const fails = struck !== undefined && this.#strikes(struck);
    const isSilent = fails && struck.manner !== 'servfail';
    this.#later(isSilent ? ASK_TIMEOUT_MS : ASK_MS, () => {
      const held = this.#vendors.get(e.provider)!.served.get(e.record);
      const answer = fails ? failedAnswer(struck.manner) : answerOf(held);
      const markers = e.marker && !fails ? [...(held?.markers ?? [])] : null;
      const answers = ['ns1', 'ns2'].map((ns): ServerAnswer => {
        return { server: `${ns}.${e.provider}`, answer, markers };
      });
      this.#send({ kind: 'asked', provider: e.provider, record: e.record, answers });
    });
  }

  #chain(e: Extract<Effect, { kind: 'chain' }>): void {
    const struck = this.conditions.names.get(e.target);
    const { record, target, name } = e;
    const isBroken = struck !== undefined && this.#strikes(struck);
    const detail = struck?.manner === 'nxdomain' ? 'NXDOMAIN' : 'SERVFAIL';
    const answer = isBroken
      ? ({ kind: 'broken', at: name, detail } as const)
      : ({ kind: 'answered', chain: [name] } as const);
    this.#later(CHAIN_MS, () => this.#send({ kind: 'chained', record, target, answer }));
  }
}

interface Fate {
  readonly outcome: Outcome;
  readonly reason: string;
  readonly detail: string;
  readonly ms: number;
}

function fateOf(manner: Manner, timeoutMs: number): Fate {
  const ms = Math.min(REFUSAL_MS, timeoutMs);
  const fail = (reason: string, detail: string, after = ms): Fate => {
    return { outcome: 'fail', reason, detail, ms: after };
  };
  switch (manner) {
    case 'refuse':
      return fail('refused', 'the connection was refused');
    case '5xx':
      return fail('status', 'status 503');
    case 'denied':
      return fail('status', 'status 403: a valid key is refused');
    case 'nxdomain':
      return fail('dns', 'its name does not exist (NXDOMAIN)');
    case 'servfail':
      return fail('dns', 'its name servers fail (SERVFAIL)');
    case 'tls':
      return fail('tls', 'the certificate is for another name');
    case 'hang':
      return fail('timeout', `no answer within ${timeoutMs / 1000} s`, timeoutMs);
  }
}

function faultOf(
  manner: Manner,
  callMs: number,
  whenLost: 'unavailable' | 'uncertain',
): { fault: Fault; ms: number } {
  const quick = Math.min(READ_MS, callMs);
  if (manner === 'hang') {
    return { fault: { kind: whenLost, detail: `no answer within ${callMs / 1000} s` }, ms: callMs };
  }
  if (manner === 'denied') {
    return { fault: { kind: 'auth-suspect', detail: 'the key is refused' }, ms: quick };
  }
  return { fault: { kind: 'unavailable', detail: fateOf(manner, callMs).detail }, ms: quick };
}

function failedAnswer(manner: Manner): ServerAnswer['answer'] {
  if (manner === 'servfail') return { kind: 'servfail', detail: 'SERVFAIL' };
  return { kind: 'timeout', detail: 'no answer' };
}

function answerOf(held: Held | undefined): ServerAnswer['answer'] {
  const cname = held?.cname ?? null;
  return cname === null ? { kind: 'nxdomain', detail: 'NXDOMAIN' } : { kind: 'cname', ...cname };
}

// ---------------------------------------------------------------- what is due, in order of time

function isBefore(a: Due, b: Due): boolean {
  return a.at < b.at || (a.at === b.at && a.seq < b.seq);
}

function push(heap: Due[], item: Due): void {
  let i = heap.length;
  heap.push(item);
  while (i > 0) {
    const parent = (i - 1) >> 1;
    if (!isBefore(item, heap[parent]!)) break;
    heap[i] = heap[parent]!;
    i = parent;
  }
  heap[i] = item;
}

function pop(heap: Due[]): void {
  const last = heap.pop()!;
  if (heap.length === 0) return;
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
    if (!isBefore(heap[child]!, last)) break;
    heap[i] = heap[child]!;
    i = child;
  }
  heap[i] = last;
}
