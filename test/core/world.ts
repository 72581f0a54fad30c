// A small world around the engine alone, in virtual time: origins that pass, fail or hang, vendors
// that hold records and misbehave on request, name servers that give what the vendors hold. Every
// effect is answered a fixed moment later; nothing here sleeps, and the same script gives the same
// trace. The vendors refuse what real ones refuse: a write against an old reading is a conflict.

import { createHash } from 'node:crypto';
import type { Keyring } from '../../src/cluster/keyring.ts';
import {
  type Effect,
  type Event,
  nextDeadline,
  type State,
  type Step,
  start,
  step,
  violations,
} from '../../src/core/engine.ts';
import { parseMarker } from '../../src/core/marker.ts';
import type {
  Answer,
  Change,
  CheckConfig,
  Command,
  CoreConfig,
  Entry,
  Fault,
  Json,
  Name,
  Notice,
  Outcome,
  Reply,
  Seen,
  ServerAnswer,
} from '../../src/core/model.ts';
import { type Held, ofAccount, ofRecord, seenOf, writeTo } from '../../src/replay/vendor.ts';

export const WALL_0 = Date.UTC(2026, 0, 1);

/**
 * `hang`: no answer until the deadline, which is a failure. `drip`: an answer that has not ended by
 * then. `slow=700`: a pass that takes so many milliseconds. `loss=0.3`: this share fails by chance,
 * half of it at once and half by hanging; a path lets the rest through to what the origin does.
 * `limit=3`: who asks more often than that in a second is told so. `ban=3`: and for a minute, which
 * `limited=60000` says at once.
 */
export type Manner =
  | 'pass'
  | 'fail'
  | 'blind'
  | 'limited'
  | 'hang'
  | 'drip'
  | 'half'
  | `slow=${number}`
  | `loss=${number}`
  | `limit=${number}`
  | `ban=${number}`
  | `limited=${number}`;

interface Fate {
  readonly outcome: Outcome;
  readonly ms: number;
  readonly detail: string;
  readonly retryAfterMs?: number;
}

export interface Vendor {
  readonly name: string;
  readonly records: Map<Name, Held>;
  /** What the API does. */
  api:
    | 'ok'
    | 'hang'
    | 'unavailable'
    | 'throttled'
    | 'auth'
    | 'reject'
    | 'lose-reply'
    | 'lose-write'
    /** A reading takes so many milliseconds. */
    | `slow=${number}`;
  /** Zones of it that are in trouble, or single names; a zone is a name without its first label. */
  readonly sick: Map<Name, 'deleted' | 'denied' | 'unavailable' | 'hang' | 'hang-write'>;
  /** The least TTL that it takes, in seconds, and whether a reading says so. */
  least: { readonly ttl: number; readonly says: boolean } | null;
  /** Records that one reading, or one writing, has room for. */
  atOnce: number;
  /** What its name servers do. */
  dns: 'ok' | 'silent' | 'stale' | 'half-stale';
  /** What DNS gave when it went stale. */
  readonly stale: Map<Name, Held>;
  reads: number;
  writes: number;
  /** Readings that were given up for something urgent. */
  cutOff: number;
}

const PROBE_MS = 5;
const limited = { outcome: 'limited', ms: PROBE_MS, detail: 'asked too often' } as const;
const READ_MS = 20;
const WRITE_MS = 30;
const ASK_MS = 5;

export class World {
  now = 0;
  config: CoreConfig;
  state!: State;
  readonly vendors = new Map<string, Vendor>();
  readonly origins: Map<string, Manner>;
  /** Manner of one path, over that of the origin. */
  readonly paths: Map<string, Manner>;
  /** Manner of one check (`a/web`), or of one check on one path (`a/web@p1`), over the others. */
  readonly checks: Map<string, Manner>;
  /** Names whose chain is broken, unanswered, or never told of at all. */
  readonly chains: Map<Name, 'broken' | 'unknown' | 'silent'>;
  readonly journal: { at: number; entry: Entry }[] = [];
  readonly notices: { at: number; notice: Notice }[] = [];
  docs: Record<string, Json> = {};
  /** How far the wall clock is off the engine's. */
  wallOffMs = 0;
  /** Signs and proves markers, as the core's edge does; null: no cluster key. */
  keys: Keyring | null = null;
  /** The store refuses commits. */
  storeFails = false;
  probes = 0;
  /** What hooks say, and after how long: nothing until then; absent: go, at once. */
  hookSays: { readonly answer: 'go' | 'veto' | 'silent' | 'none'; readonly ms: number } = {
    answer: 'go',
    ms: 10,
  };
  readonly hooked: { at: number; text: string }[] = [];
  /** Called after every step; a test may check what it likes. */
  onStep: (world: World) => void = () => {};
  /** Where its calls to other replicas go, and what it says of handing over. */
  onCall: (e: Extract<Effect, { kind: 'call' }>) => void = () => {};
  readonly yields: { at: number; text: string }[] = [];
  /** Other replicas, each with vendors of its own: they live in the same time. */
  peers: readonly World[] = [];
  /** Called with what is committed, as the engine gave it. */
  onCommit: (docs: Step['docs']) => void = () => {};
  #storeFailed = false;
  #queue: { at: number; seq: number; run: () => void }[] = [];
  #seq = 0;
  #alive = 0;
  #replies = new Map<number, Reply>();
  #request = 1;
  #tosses = 0;
  /** When each origin that limits was asked, and until when it bans. */
  readonly #asked = new Map<string, { at: number[]; bannedUntil: number }>();
  #seed = 1;

  /** With `among`, its origins, paths and names are those of another world: that of a peer. */
  constructor(config: CoreConfig, among?: World) {
    this.config = config;
    this.origins = among?.origins ?? new Map();
    this.paths = among?.paths ?? new Map();
    this.checks = among?.checks ?? new Map();
    this.chains = among?.chains ?? new Map();
    this.#meet();
  }

  /** A new configuration, as a reload puts it in force. */
  reload(config: CoreConfig): void {
    this.config = config;
    this.#meet();
    this.send({ kind: 'configured', config });
  }

  /** Vendors and origins that have not been there before are well. */
  #meet(): void {
    for (const provider of Object.keys(this.config.lanes)) {
      if (this.vendors.has(provider)) continue;
      this.vendors.set(provider, {
        name: provider,
        records: new Map(),
        api: 'ok',
        dns: 'ok',
        stale: new Map(),
        sick: new Map(),
        least: null,
        atOnce: Number.POSITIVE_INFINITY,
        reads: 0,
        writes: 0,
        cutOff: 0,
      });
    }
    for (const origin of Object.keys(this.config.origins)) {
      if (!this.origins.has(origin)) this.origins.set(origin, 'pass');
    }
  }

  get #wall(): number {
    return WALL_0 + this.now + this.wallOffMs;
  }

  /** Puts a record at every provider of it, unmarked, as a user would have it. */
  hold(record: Name, cname: Name, providers = this.config.records[record]!.publish): void {
    for (const { provider, ttl } of providers) {
      this.vendors.get(provider)!.records.set(record, {
        cname: { value: cname, ttl },
        markers: [],
      });
    }
  }

  held(provider: string, record: Name): Held {
    const records = this.vendors.get(provider)!.records;
    const held = records.get(record) ?? { cname: null, markers: [] };
    records.set(record, held);
    return held;
  }

  start(leads = true): void {
    this.#alive++;
    const { config, docs } = this;
    const begun = start({
      config,
      docs: structuredClone(docs),
      now: WALL_0 + this.now,
      wall: this.#wall,
      grouped: config.group !== undefined,
      seed: [1, 2, 3, this.#alive],
    });
    this.state = begun.state;
    this.#finish(begun.step);
    if (leads) this.send({ kind: 'lease', held: true, term: this.#alive });
  }

  /** SIGKILL: what was under way is lost, what was committed is not. */
  kill(): void {
    this.#alive++;
    this.#queue = this.#queue.filter((q) => q.at < 0);
  }

  send(event: Event): void {
    this.#finish(step(this.state, event, WALL_0 + this.now, this.#wall));
  }

  command(command: Command): Reply {
    const request = this.#request++;
    this.send({ kind: 'command', request, command });
    return this.#replies.get(request)!;
  }

  /** Runs the world on for so many milliseconds. */
  advance(ms: number): void {
    const until = this.now + ms;
    const all = [this, ...this.peers];
    for (;;) {
      const at = all.map((world) => world.#nextAt());
      const soonest = Math.min(...at);
      if (soonest > until) break;
      const world = all[at.indexOf(soonest)]!;
      world.now = Math.max(world.now, soonest);
      world.#go();
    }
    for (const world of all) world.now = until;
  }

  /** When something happens here next. */
  #nextAt(): number {
    const due = (nextDeadline(this.state)?.at ?? Number.POSITIVE_INFINITY) - WALL_0;
    return Math.min(due, this.#queue[0]?.at ?? Number.POSITIVE_INFINITY);
  }

  #go(): void {
    const due = (nextDeadline(this.state)?.at ?? Number.POSITIVE_INFINITY) - WALL_0;
    const next = this.#queue[0];
    if (next === undefined || next.at > due) return this.send({ kind: 'tick' });
    this.#queue.shift();
    next.run();
  }

  later(ms: number, run: () => void): void {
    const life = this.#alive;
    const item = {
      at: this.now + ms,
      seq: this.#seq++,
      run: () => (life === this.#alive ? run() : undefined),
    };
    const after = this.#queue.findIndex((q) => q.at > item.at);
    this.#queue.splice(after < 0 ? this.#queue.length : after, 0, item);
  }

  #finish(out: Step): void {
    const failing = this.storeFails && (out.entries.length > 0 || out.docs.length > 0);
    if (!failing && !this.#storeFailed) {
      // A store may keep a document as it is: whoever changes one afterwards finds it frozen.
      for (const [, doc] of out.docs) freeze(doc);
      this.onCommit(out.docs);
      for (const [key, value] of out.docs) {
        if (value === null) delete this.docs[key];
        else this.docs[key] = structuredClone(value);
      }
      for (const entry of out.entries) this.journal.push({ at: this.now, entry });
    }
    const committed = !failing && !this.#storeFailed;
    for (const effect of out.effects) this.perform(effect, committed);
    this.onStep(this);
    const wrong = violations(this.state);
    if (wrong.length > 0) throw new Error(`at ${this.now} ms: ${wrong.join('; ')}`);
    if (failing && !this.#storeFailed) {
      this.#storeFailed = true;
      this.send({ kind: 'store', ok: false });
    } else if (this.#storeFailed && !this.storeFails) {
      this.#storeFailed = false;
      this.send({ kind: 'store', ok: true });
    }
  }

  /** Does what an effect asks for, and answers with its event in a moment. */
  perform(e: Effect, committed: boolean): void {
    switch (e.kind) {
      case 'probe':
        return this.#probe(e);
      case 'read':
        return this.#read(e);
      case 'abandon':
        // It runs on to its end, and its answers come late: the engine must take no notice.
        this.vendors.get(e.provider)!.cutOff++;
        return;
      case 'write':
        return this.#write(e);
      case 'ask':
        return this.#ask(e);
      case 'chain': {
        const how = this.chains.get(e.name);
        if (how === 'silent') return;
        const answer =
          how === 'broken'
            ? { kind: how, at: e.name, detail: 'NXDOMAIN' }
            : how === 'unknown'
              ? { kind: how, detail: 'no server answered' }
              : { kind: 'answered' as const, chain: [e.name] };
        const { record, target } = e;
        return this.later(ASK_MS, () => this.send({ kind: 'chained', record, target, answer }));
      }
      case 'notify':
        if (!committed && ['switch', 'drill'].includes(e.notice.kind)) return;
        this.notices.push({ at: this.now, notice: e.notice });
        return;
      case 'reply':
        this.#replies.set(e.request, e.reply);
        return;
      case 'call':
        return this.onCall(e);
      case 'hook': {
        const { answer, ms } = this.hookSays;
        const { record, id, when, about, deadlineMs } = e;
        const { from, to, epoch, behind } = about;
        const rest = behind === undefined ? '' : `, behind: ${behind.join(', ') || 'nobody'}`;
        const what = `${from} -> ${to}, epoch ${epoch}${rest}, within ${deadlineMs} ms`;
        this.hooked.push({ at: this.now, text: `${when}-switch hook of ${record}: ${what}` });
        if (when === 'after' || answer === 'none') return;
        const said = committed ? answer : 'unrun';
        const detail = said === 'go' ? '' : `it says ${said}`;
        const event = { kind: 'hooked', record, id, answer: said, detail } as const;
        return this.later(committed ? ms : 0, () => this.send(event));
      }
      case 'yield':
        this.yields.push({ at: this.now, text: `yields: ${e.why}` });
        return;
    }
  }

  #probe(e: Extract<Effect, { kind: 'probe' }>): void {
    this.probes++;
    const check = this.config.checks[e.check]!;
    const onWay = this.paths.get(e.path);
    const there = this.checks.get(e.check) ?? this.origins.get(check.origin ?? '') ?? 'pass';
    const exact = this.checks.get(`${e.check}@${e.path}`);
    const origin = check.origin ?? check.id;
    let fate = this.#fate(exact ?? onWay ?? there, check.timeoutMs, origin);
    const isThrough = exact === undefined && onWay?.startsWith('loss') && fate.outcome === 'pass';
    if (isThrough) fate = this.#fate(there, check.timeoutMs, origin);
    this.later(fate.ms, () => {
      const { outcome, detail, retryAfterMs } = fate;
      const endedAt = WALL_0 + this.now;
      const seen = { outcome, startedAt: e.at, endedAt, reason: detail, detail, phases: {} };
      const observation = retryAfterMs === undefined ? seen : { ...seen, retryAfterMs };
      this.send({ kind: 'probed', check: e.check, path: e.path, observation });
    });
  }

  /** What becomes of one probe that meets a manner. */
  #fate(manner: Manner, timeoutMs: number, origin: string): Fate {
    const [word, value] = manner.split('=') as [string, string | undefined];
    switch (word) {
      case 'hang':
        return { outcome: 'fail', ms: timeoutMs, detail: 'timeout' };
      case 'drip':
        return { outcome: 'fail', ms: timeoutMs, detail: 'no end of the answer' };
      case 'slow':
        return { outcome: 'pass', ms: Number(value), detail: 'pass' };
      case 'loss': {
        const toss = this.#random();
        if (toss >= Number(value)) return { outcome: 'pass', ms: PROBE_MS, detail: 'pass' };
        return this.#fate(toss < Number(value) / 2 ? 'fail' : 'hang', timeoutMs, origin);
      }
      case 'half': {
        const outcome = this.#tosses++ % 2 === 0 ? 'pass' : 'fail';
        return { outcome, ms: PROBE_MS, detail: outcome };
      }
      case 'limited':
        return { ...limited, ...(value === undefined ? {} : { retryAfterMs: Number(value) }) };
      case 'limit':
      case 'ban':
        return this.#isTooOften(origin, Number(value), word === 'ban')
          ? limited
          : { outcome: 'pass', ms: PROBE_MS, detail: 'pass' };
      default:
        return { outcome: word as Outcome, ms: PROBE_MS, detail: word };
    }
  }

  #isTooOften(origin: string, most: number, bans: boolean): boolean {
    const known = this.#asked.get(origin) ?? { at: [], bannedUntil: -1 };
    this.#asked.set(origin, known);
    known.at = [...known.at.filter((at) => at > this.now - 1000), this.now];
    if (this.now < known.bannedUntil) return true;
    const isOver = known.at.length > most;
    if (isOver && bans) known.bannedUntil = this.now + 60_000;
    return isOver;
  }

  #random(): number {
    this.#seed = (this.#seed + 0x6d2b79f5) | 0;
    return mulberry32(this.#seed);
  }

  #fault(v: Vendor): Fault | null {
    switch (v.api) {
      case 'unavailable':
        return { kind: 'unavailable', detail: '503' };
      case 'throttled':
        return { kind: 'throttled', detail: '429', retryAfterMs: 10_000 };
      case 'auth':
        return { kind: 'auth-suspect', detail: 'the key is refused' };
      default:
        return null;
    }
  }

  #read(e: Extract<Effect, { kind: 'read' }>): void {
    const v = this.vendors.get(e.provider)!;
    v.reads++;
    const answer = (say: (name: Name, i: number) => Answer<Seen>) => {
      const answers = Object.fromEntries(e.names.map((name, i) => [name, say(name, i)] as const));
      this.send({ kind: 'read', provider: e.provider, id: e.id, answers });
    };
    const lost: Fault = { kind: 'unavailable', detail: 'no answer within 2 s' };
    if (v.api === 'hang') return this.later(2000, () => answer(() => ofAccount(lost)));
    const sent = e.names.slice(0, v.atOnce);
    const hangs = sent.some((name) => (v.sick.get(name) ?? v.sick.get(zoneOf(name))) === 'hang');
    const ms = v.api.startsWith('slow=') ? Number(v.api.slice(5)) : READ_MS;
    this.later(hangs ? 2000 : ms, () => {
      const fault = this.#fault(v);
      if (fault !== null) return answer(() => ofAccount(fault));
      answer((name, i) => {
        if (i >= v.atOnce) return { kind: 'not-asked' };
        const seen = seenOf(this.held(v.name, name));
        const proofs = this.proofs(name, seen.markers, seen.cnames[0]?.value);
        const floor = v.least?.says === true ? { ttlMin: v.least.ttl } : {};
        const value = { ...seen, ...floor, ...proofs };
        return zoneFault(v, name, 'read') ?? { kind: 'answered', value };
      });
    });
  }

  #write(e: Extract<Effect, { kind: 'write' }>): void {
    const v = this.vendors.get(e.provider)!;
    v.writes++;
    const answer = (answers: readonly Answer<null>[]) =>
      this.send({ kind: 'written', provider: e.provider, id: e.id, answers });
    const all = (fault: Fault) => e.changes.map(() => ofAccount(fault));
    const lost: Fault = { kind: 'uncertain', detail: 'the reply was lost' };
    if (v.api === 'hang') return this.later(2000, () => answer(all(lost)));
    const sent = e.changes.slice(0, v.atOnce);
    const hangs = sent.some(({ name }) => v.sick.get(zoneOf(name))?.startsWith('hang'));
    this.later(hangs ? 2000 : WRITE_MS, () => {
      const fault = this.#fault(v);
      if (fault !== null) return answer(all(fault));
      if (v.api === 'lose-write') {
        v.api = 'ok';
        return answer(all(lost));
      }
      const answers = e.changes.map((c, i): Answer<null> => {
        if (i >= v.atOnce) return { kind: 'not-asked' };
        return zoneFault(v, c.name, 'write') ?? this.#apply(v, c);
      });
      if (v.api !== 'lose-reply') return answer(answers);
      v.api = 'ok';
      this.later(500, () => answer(all(lost)));
    });
  }

  #apply(v: Vendor, c: Change): Answer<null> {
    if (v.api === 'reject') {
      const cure = 'publish takes a TTL per provider';
      return ofRecord({ kind: 'rejected', detail: 'TTL below the floor', cure });
    }
    if (v.least !== null && c.to.ttl < v.least.ttl) {
      return ofRecord({ kind: 'rejected', detail: `no TTL under ${v.least.ttl}` });
    }
    const { proofs: _, ttlMin: _least, ...from } = c.from;
    const { marker, cname } = c.to;
    const signed = this.keys?.sign(c.name, cname, marker) ?? marker;
    const written = writeTo(v.records, { ...c, from, to: { ...c.to, marker: signed } });
    if (written.kind === 'answered') this.judge(c);
    return written;
  }

  /** The world's own eyes: what must never be written, whatever the engine thinks of it. */
  protected judge(c: Change): void {
    const wrong = (why: string) => {
      throw new Error(`at ${this.now} ms ${c.to.cname || 'nothing'} was written: ${why}`);
    };
    const targets = this.config.records[c.name]?.targets ?? [];
    if (!targets.some((t) => t.cname === c.to.cname)) wrong('it is no target of the record');
    if (this.config.records[c.name]?.mode === 'observe') wrong('the record is only observed');
    for (const text of c.from.markers) {
      const marker = parseMarker(text);
      if (marker?.cluster !== this.config.cluster) wrong(`over a marker not ours: ${text}`);
      else if (marker.epoch > c.to.marker.epoch) wrong(`over the higher epoch ${marker.epoch}`);
    }
  }

  proofs(name: Name, texts: readonly string[], value: Name | undefined) {
    const { keys } = this;
    if (keys === null) return {};
    const proofs = texts.map((text) => {
      const target = parseMarker(text)?.target;
      const led = this.config.records[name]?.targets.filter((t) => t.origin === target) ?? [];
      const names = [...led.map((t) => t.cname), ...(value === undefined ? [] : [value])];
      return keys.prove(name, text, names);
    });
    return { proofs };
  }

  #ask(e: Extract<Effect, { kind: 'ask' }>): void {
    const v = this.vendors.get(e.provider)!;
    const send = (a: readonly ServerAnswer[]) =>
      this.send({ kind: 'asked', provider: e.provider, record: e.record, answers: a });
    this.later(v.dns === 'silent' ? 2000 : ASK_MS, () => {
      const servers = ['ns1', 'ns2'].map((ns) => `${ns}.${v.name}`);
      if (v.dns === 'silent') {
        const answer = { kind: 'timeout', detail: 'no answer' } as const;
        return send(servers.map((server) => ({ server, answer, markers: null })));
      }
      const answers = servers.map((server, i): ServerAnswer => {
        const isStale = v.dns === 'stale' || (v.dns === 'half-stale' && i > 0);
        const held = (isStale ? v.stale.get(e.record) : undefined) ?? this.held(v.name, e.record);
        const answer: ServerAnswer['answer'] =
          held.cname === null
            ? { kind: 'nxdomain', detail: 'NXDOMAIN' }
            : { kind: 'cname', ...held.cname };
        if (!e.marker) return { server, answer, markers: null };
        const proofs = this.proofs(e.record, held.markers, held.cname?.value);
        return { server, answer, markers: [...held.markers], ...proofs };
      });
      send(answers);
    });
  }
}

/** A number in [0, 1) for each 32-bit integer (mulberry32 by Tommy Ettinger), the same every time. */
export function mulberry32(a: number): number {
  let t = Math.imul(a ^ (a >>> 15), 1 | a);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
}

/** The zone that a name is in: the name without its first label. */
function zoneOf(name: Name): Name {
  return name.slice(name.indexOf('.') + 1);
}

/** What a vendor says of a record that is in trouble, or whose zone is; null when it is well. */
function zoneFault(
  v: Vendor,
  name: Name,
  op: 'read' | 'write',
): ReturnType<typeof ofRecord> | null {
  const zone = zoneOf(name);
  const own = v.sick.get(name);
  const reach = own === undefined ? ({ kind: 'zone', zone } as const) : { kind: 'record' as const };
  switch (own ?? v.sick.get(zone)) {
    case undefined:
      return null;
    case 'deleted':
      return { kind: 'fault', fault: { kind: 'rejected', detail: 'no such zone' }, reach };
    case 'denied':
      return { kind: 'fault', fault: { kind: 'auth-suspect', detail: 'no access to it' }, reach };
    case 'unavailable':
      return { kind: 'fault', fault: { kind: 'unavailable', detail: '503' }, reach };
    case 'hang-write':
      if (op === 'read') return null;
      break;
    case 'hang':
  }
  const kind = op === 'read' ? 'unavailable' : 'uncertain';
  return { kind: 'fault', fault: { kind, detail: 'no answer within 2 s' }, reach };
}

export interface Shape {
  readonly origins?: Readonly<Record<string, { cloud?: string; region?: string }>>;
  /** `NAME[:GROUP[:CLOUD]]` each; in a group `REPLICA/NAME`, one `direct` a replica if left out. */
  readonly paths?: readonly string[];
  /** The replicas of a group; the first is this one. */
  readonly replicas?: readonly string[];
  /** Service checks, advisory checks and reference points, beside each origin's own `web`. */
  readonly extra?: readonly CheckConfig[];
  /** Service checks that origins need. */
  readonly needs?: Readonly<Record<string, readonly string[]>>;
  readonly quorum?: CoreConfig['origins'][string]['quorum'];
  readonly providers?: readonly string[];
  readonly records?: Readonly<Record<Name, Partial<CoreConfig['records'][string]>>>;
  readonly check?: Partial<CoreConfig['checks'][string]>;
  readonly record?: Partial<CoreConfig['records'][string]>;
  readonly ttl?: number;
  readonly signed?: boolean;
  readonly readMax?: number;
  readonly writeMax?: number;
  readonly detector?: CoreConfig['detector'];
}

/** The check that every origin has, as the other checks of a test are made from. */
export function webCheck(origin: string, cloud: string, region: string | null): CheckConfig {
  return {
    id: `${origin}/web`,
    role: 'origin',
    origin,
    cloud,
    plane: null,
    region,
    paths: [],
    intervalMs: 1000,
    timeoutMs: 1000,
    confirmMs: 250,
    fall: 3,
    rise: 2,
    advisory: false,
  };
}

/** A configuration for the engine: www on a (cloud one) then b (cloud two), at three providers. */
export function coreConfig(shape: Shape = {}): CoreConfig {
  const origins = shape.origins ?? { a: { cloud: 'one' }, b: { cloud: 'two' } };
  const providers = shape.providers ?? ['cf', 'r53', 'ali'];
  const { replicas } = shape;
  const usual = replicas?.map((name) => `${name}/direct`) ?? ['direct'];
  const ways = (shape.paths ?? usual).map((p) => p.split(':') as [string, string?, string?]);
  const paths = ways.map(([name]) => name);
  const names = Object.keys(origins);
  const extra = (shape.extra ?? []).map((c) => ({
    ...c,
    paths: c.paths.length > 0 ? c.paths : paths,
    ...shape.check,
  }));
  const own = names.map((origin) => ({
    ...webCheck(origin, origins[origin]!.cloud ?? 'one', origins[origin]!.region ?? null),
    paths,
    ...shape.check,
  }));
  const finished = <T extends object>(what: T) => (replicas === undefined ? what : hashed(what));
  const checks = [...own, ...extra].map(finished);
  const idsOf = (fits: (c: CheckConfig) => boolean) => checks.filter(fits).map((c) => c.id);
  const records = Object.entries(shape.records ?? { 'www.gslb.test.': {} });
  return {
    cluster: 'shop',
    signed: shape.signed ?? false,
    paths: Object.fromEntries(
      ways.map(([name, group, cloud]) => {
        const references = idsOf((c) => c.role === 'reference' && c.paths.includes(name));
        const whose = replicas === undefined ? {} : { replica: name.split('/')[0]! };
        return [name, { name, ...whose, group: group || name, cloud: cloud ?? null, references }];
      }),
    ),
    clouds: Object.fromEntries(
      [...new Set(Object.values(origins).map((o) => o.cloud ?? 'one'))].map((name) => [
        name,
        { name, checks: idsOf((c) => c.role === 'service' && c.cloud === name) },
      ]),
    ),
    detector: shape.detector ?? { kind: 'counters' },
    checks: Object.fromEntries(checks.map((c) => [c.id, c])),
    origins: Object.fromEntries(
      names.map((name) => [
        name,
        {
          name,
          cloud: origins[name]!.cloud ?? 'one',
          region: origins[name]!.region ?? null,
          checks: idsOf((c) => c.origin === name),
          needs: shape.needs?.[name] ?? [],
          quorum: shape.quorum ?? { kind: 'majority' as const },
        },
      ]),
    ),
    ...(replicas === undefined ? {} : { group: { self: replicas[0]!, replicas, hash: 'c' } }),
    records: Object.fromEntries(
      records.map(([name, more]) => [
        name,
        finished({
          name,
          mode: 'steer' as const,
          targets:
            more.targets ?? names.map((origin) => ({ origin, cname: `${origin}.shop.test.` })),
          publish: providers.map((provider) => ({ provider, ttl: shape.ttl ?? 60 })),
          patienceMs: 0,
          failback: { kind: 'manual' as const },
          switchesPerHour: 3,
          edits: 'hold' as const,
          ...shape.record,
          ...more,
        }),
      ]),
    ),
    lanes: Object.fromEntries(
      providers.map((provider) => [
        provider,
        {
          provider,
          type: 'test',
          readMax: shape.readMax ?? 100,
          writeMax: shape.writeMax ?? 100,
          callTimeoutMs: 2000,
          callsMax: 1,
          quota: { burst: 50, perSecond: 10, reserve: 10 },
        },
      ]),
    ),
    confirm: { burst: 400, perSecond: 200 },
  };
}

/** With the hash of what it says, as the configuration gives it in a group. */
function hashed<T extends object>(what: T): T & { readonly hash: string } {
  return { ...what, hash: createHash('sha256').update(JSON.stringify(what)).digest('hex') };
}

function freeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  for (const one of Object.values(value)) freeze(one);
  Object.freeze(value);
}
