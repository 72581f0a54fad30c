// Plays scenarios of the direct way out: a few lines of how the vendors and the target behave, one
// `switch`, `----`, then all that an operator is told and what stands at each vendor afterwards. The
// vendors are those of world.ts; their manners are lists, one for each call, the last one for ever.

import {
  type Effect,
  type Event,
  nextDeadline,
  type Order,
  start,
  step,
} from '../../src/core/direct.ts';
import { formatMarker, parseMarker } from '../../src/core/marker.ts';
import type { Change, Fault, Outcome, Reply, Seen, ServerAnswer } from '../../src/core/model.ts';
import { parseDuration } from '../../src/kit/schema.ts';
import { seenOf } from '../../src/replay/vendor.ts';
import { hold, type Played, parse, setDns, setKeys, shapeOf, vendors, WWW } from './scenario.ts';
import { coreConfig, type Shape, type Vendor, WALL_0, World } from './world.ts';

const PROBE_MS = 5;
const READ_MS = 20;
const WRITE_MS = 30;
const ASK_MS = 5;
const SILENT_MS = 2000;
const ASLEEP_MS = 90_000;

const faults: Readonly<Record<string, Fault>> = {
  unavailable: { kind: 'unavailable', detail: '503' },
  throttled: { kind: 'throttled', detail: '429', retryAfterMs: 1000 },
  auth: { kind: 'auth-suspect', detail: 'the key is refused', cure: 'look at the key' },
  reject: { kind: 'rejected', detail: 'TTL below the floor' },
};

type Asking = Exclude<Effect, { kind: 'say' | 'end' }>;
type Answer = Extract<Event, { kind: 'read' }>['answer'];

type Written = Extract<Event, { kind: 'written' }>['answer'];

export interface Ended {
  readonly reply: Reply;
  readonly lines: readonly string[];
  readonly ms: number;
}

/** Vendors and a target that behave as told, and one direct switch among them. */
export class DirectWorld {
  readonly world: World;
  /** What a vendor's API does, call by call. */
  readonly api = new Map<string, string[]>();
  readonly probes: Outcome[] = ['pass'];
  /** What somebody else does at a vendor just before its next write. */
  readonly meanwhile = new Map<string, () => void>();
  /** And just after it. */
  readonly after = new Map<string, () => void>();
  readonly calls = new Map<string, { reads: number; writes: number; open: number }>();
  #queue: { at: number; run: () => Event }[] = [];
  #now = 0;
  #order!: Order;

  constructor(shape: Shape) {
    this.world = new World(coreConfig(shape));
    for (const name of this.world.vendors.keys()) {
      this.calls.set(name, { reads: 0, writes: 0, open: 0 });
    }
  }

  /** Carries out an order to its end, and then lets everything arrive that is still on its way. */
  carryOut(order: Order): Ended {
    const { config } = this.world;
    this.#order = order;
    for (const count of this.calls.values()) Object.assign(count, { reads: 0, writes: 0, open: 0 });
    const began = this.#now;
    const begun = start({ config, order, id: 'd1ec7', now: began });
    const lines: string[] = [];
    let ended: Ended | null = null;
    let { effects } = begun;
    for (;;) {
      for (const effect of effects) {
        if (ended !== null) throw new Error(`after the end: ${JSON.stringify(effect)}`);
        if (effect.kind === 'say') lines.push(`+${this.#now - began}ms ${effect.line}`);
        else if (effect.kind === 'end') {
          ended = { reply: effect.reply, lines, ms: this.#now - began };
        } else this.#perform(effect);
      }
      const due = nextDeadline(begun.state);
      const next = this.#queue.reduce<number | null>((a, q) => Math.min(a ?? q.at, q.at), null);
      if (due === null && next === null) break;
      this.#now = Math.max(this.#now, Math.min(due ?? Infinity, next ?? Infinity));
      const event = next === this.#now ? this.#arrive(next) : ({ kind: 'tick' } as const);
      effects = step(begun.state, event, this.#now, WALL_0 + this.#now);
    }
    if (ended === null) throw new Error(`no end: ${lines.join('\n')}`);
    return ended;
  }

  #arrive(at: number): Event {
    const i = this.#queue.findIndex((q) => q.at === at);
    return this.#queue.splice(i, 1)[0]!.run();
  }

  #later(ms: number, run: () => Event): void {
    this.#queue.push({ at: this.#now + ms, run });
  }

  #perform(e: Asking): void {
    if (e.kind === 'probe') {
      const outcome = this.probes.length > 1 ? this.probes.shift()! : this.probes[0]!;
      const detail = `${outcome} by ${e.path}`;
      return this.#later(PROBE_MS, () => ({ kind: 'probed', check: e.check, outcome, detail }));
    }
    const v = this.world.vendors.get(e.provider)!;
    if (e.kind === 'ask') {
      const { provider, marker } = e;
      const answers = answersOf(v).map((a) => {
        const value = a.answer.kind === 'cname' ? a.answer.value : undefined;
        return { ...a, ...this.world.proofs(WWW, a.markers ?? [], value) };
      });
      return this.#later(v.dns === 'silent' ? SILENT_MS : ASK_MS, () => ({
        kind: 'asked',
        provider,
        marker,
        answers: marker ? answers : answers.map((a) => ({ ...a, markers: null })),
      }));
    }
    const count = this.calls.get(e.provider)!;
    if (count.open++ > 0) throw new Error(`two calls at once at ${e.provider}`);
    if (e.kind === 'read') count.reads++;
    else count.writes++;
    const done = (ms: number, event: () => Event) =>
      this.#later(ms, () => {
        count.open--;
        return event();
      });
    const manner = this.#mannerOf(v);
    if (e.kind === 'read') return this.#read(v, manner, e.ms, done);
    return this.#write(v, manner, e, done);
  }

  #mannerOf(v: Vendor): string {
    const manners = this.api.get(v.name) ?? ['ok'];
    return manners.length > 1 ? manners.shift()! : manners[0]!;
  }

  #read(
    v: Vendor,
    manner: string,
    limitMs: number,
    done: (ms: number, event: () => Event) => void,
  ): void {
    const answer = (a: Answer): Event => ({ kind: 'read', provider: v.name, answer: a });
    const [word, value] = manner.split('=') as [string, string?];
    const fault = faults[word];
    const ms = word === 'late' ? parseDuration(value!)! : READ_MS;
    if (word === 'hang' || ms > limitMs) {
      const detail = `no answer within ${limitMs} ms`;
      const late: Fault = { kind: 'unavailable', detail };
      return done(limitMs, () => answer(trouble(late)));
    }
    if (word === 'skip') return done(ms, () => answer({ kind: 'not-asked' }));
    done(ms, () => {
      if (fault !== undefined) return answer(trouble(fault));
      const seen = seenOf(this.world.held(v.name, WWW));
      const proofs = this.world.proofs(WWW, seen.markers, seen.cnames[0]?.value);
      return answer({ kind: 'answered', value: { ...seen, ...proofs } });
    });
  }

  /** `asleep`: this machine is suspended meanwhile. `lose-reply`: applied, as `hang-after` is. `lose-write`: not. `lose-half`: the marker alone. */
  #write(
    v: Vendor,
    manner: string,
    e: Extract<Effect, { kind: 'write' }>,
    done: (ms: number, event: () => Event) => void,
  ): void {
    const answer = (a: Written): Event => ({ kind: 'written', provider: v.name, answer: a });
    const lost: Fault = { kind: 'uncertain', detail: 'the reply was lost' };
    const fault = faults[manner];
    if (manner === 'asleep') return done(ASLEEP_MS, () => answer(trouble(lost)));
    if (manner === 'hang') return done(e.ms, () => answer(trouble(lost)));
    done(manner === 'hang-after' ? e.ms : WRITE_MS, () => {
      this.meanwhile.get(v.name)?.();
      this.meanwhile.delete(v.name);
      if (fault !== undefined) return answer(trouble(fault));
      if (manner === 'lose-write') return answer(trouble(lost));
      const refused = this.#apply(v, e.change, manner === 'lose-half');
      this.after.get(v.name)?.();
      this.after.delete(v.name);
      if (refused !== null) return answer(trouble(refused));
      if (/^lose|^hang/.test(manner)) return answer(trouble(lost));
      return answer({ kind: 'answered', value: null });
    });
  }

  #apply(v: Vendor, c: Change, half: boolean): Fault | null {
    const held = this.world.held(v.name, WWW);
    const { proofs: _, ...from } = c.from;
    if (JSON.stringify(seenOf(held)) !== JSON.stringify(from)) {
      return { kind: 'conflict', detail: 'it no longer stands there' };
    }
    this.#judge(c);
    if (!half) held.cname = { value: c.to.cname, ttl: c.to.ttl };
    const { marker, cname } = c.to;
    held.markers = [formatMarker(this.world.keys?.sign(WWW, cname, marker) ?? marker)];
    return null;
  }

  /** What must never be written, whatever the plan thinks of it. */
  #judge(c: Change): void {
    const wrong = (why: string) => {
      throw new Error(`at ${this.#now} ms ${c.to.cname || 'nothing'} was written: ${why}`);
    };
    const { cluster, records } = this.world.config;
    const targets = records[WWW]!.targets.map((t) => t.cname);
    const target = records[WWW]!.targets.find((t) => t.origin === this.#order.target);
    if (c.to.cname !== target?.cname) wrong('it is not the target of the order');
    const before = c.from.cnames[0]?.value;
    const isMarked = c.from.markers.length > 0;
    if (!isMarked && before !== undefined && !targets.includes(before) && !this.#order.adopt) {
      wrong(`over ${before}, which is nobody's`);
    }
    for (const text of c.from.markers) {
      const marker = parseMarker(text);
      if (marker?.cluster !== cluster) wrong(`over a marker not ours: ${text}`);
      else if (marker.epoch > c.to.marker.epoch) wrong(`over the higher epoch ${marker.epoch}`);
    }
    if (formatMarker(c.to.marker).includes(this.#order.reason)) wrong('with a reason');
  }
}

function trouble(fault: Fault) {
  return { kind: 'fault', fault, reach: { kind: 'record' } } as const;
}

function answersOf(v: Vendor): readonly ServerAnswer[] {
  const servers = ['ns1', 'ns2'].map((ns) => `${ns}.${v.name}`);
  if (v.dns === 'silent') {
    const answer = { kind: 'timeout', detail: 'no answer' } as const;
    return servers.map((server) => ({ server, answer, markers: null }));
  }
  return servers.map((server, i): ServerAnswer => {
    const isStale = v.dns === 'stale' || (v.dns === 'half-stale' && i > 0);
    const held = (isStale ? v.stale.get(WWW) : undefined) ??
      v.records.get(WWW) ?? { cname: null, markers: [] };
    const answer: ServerAnswer['answer'] =
      held.cname === null
        ? { kind: 'nxdomain', detail: 'NXDOMAIN' }
        : { kind: 'cname', ...held.cname };
    return { server, answer, markers: [...held.markers] };
  });
}

/** Plays one file; `text` is the file with every trace as it came out. */
export function playDirect(text: string): Played {
  const failures: { want: string; got: string }[] = [];
  const out: string[] = [];
  const player = new Player();
  for (const block of parse(text)) {
    const got = player.block(block.lines);
    if (got !== block.expected) failures.push({ want: block.expected, got });
    out.push([...block.lines, '----', ...(got === '' ? [] : [got]), ''].join('\n'));
  }
  return { text: out.join('\n'), failures };
}

class Player {
  #world = new DirectWorld({});
  #said: string[] = [];

  block(lines: readonly string[]): string {
    this.#said = [];
    for (const line of lines) if (line !== '' && !line.startsWith('#')) this.#act(line);
    return this.#said.join('\n');
  }

  #act(line: string): void {
    const [verb, ...words] = line.split(' ') as [string, string, string];
    const [first, second] = words;
    const { world } = this.#world;
    switch (verb) {
      case 'config':
        this.#world = new DirectWorld(shapeOf(words));
        return;
      case 'keys':
        setKeys(world, first!);
        return;
      case 'hold':
        return hold(world, first!, second!, words.slice(2));
      case 'meanwhile':
        this.#world.meanwhile.set(first!, () => hold(world, first!, second!, words.slice(2)));
        return;
      case 'after':
        this.#world.after.set(first!, () => {
          world.held(first!, WWW).cname = { value: second!, ttl: 60 };
        });
        return;
      case 'api':
        for (const v of vendors(world, first!)) this.#world.api.set(v.name, second!.split(','));
        return;
      case 'dns':
        for (const v of vendors(world, first!)) setDns(v, second as Vendor['dns']);
        return;
      case 'target':
        this.#world.probes.splice(0, Infinity, ...(first!.split(',') as Outcome[]));
        return;
      case 'switch':
        return this.#switch(first!, words.slice(1));
      default:
        throw new Error(`a scenario of the direct way out has no word ${verb}`);
    }
  }

  #switch(target: string, words: readonly string[]): void {
    const has = (word: string) => words.includes(word);
    const of = (key: string) => words.find((w) => w.startsWith(`${key}=`))?.slice(key.length + 1);
    const forWord = of('for') ?? '2h';
    const { reply, lines, ms } = this.#world.carryOut({
      record: of('record') ?? WWW,
      target,
      reason: 'storage fails',
      by: 'ann',
      forMs: forWord === 'unlimited' ? null : parseDuration(forWord)!,
      force: has('force'),
      adopt: has('adopt'),
      dryRun: has('dry-run'),
    });
    this.#said.push(...lines, `+${ms}ms exit ${reply.exit}: ${reply.message}`);
    if (reply.detail !== undefined) this.#said.push(`detail ${JSON.stringify(reply.detail)}`);
    for (const { provider } of this.#world.world.config.records[WWW]!.publish) {
      const seen: Seen = seenOf(this.#world.world.held(provider, WWW));
      const marker = seen.markers.map(shortOf).join('+') || 'unmarked';
      const { reads, writes } = this.#world.calls.get(provider)!;
      const value = seen.cnames[0]?.value ?? 'nothing';
      this.#said.push(`  ${provider}: ${value} ${marker}; ${reads} reads, ${writes} writes`);
    }
  }
}

function shortOf(text: string): string {
  const m = parseMarker(text);
  if (m === null) return text;
  const pin = !m.pinned ? '' : ` pin=${m.pinMs === null ? 'unlimited' : minutes(m.pinMs)}`;
  return `epoch=${m.epoch} id=${m.id} ${m.kind}${pin}`;
}

function minutes(ms: number): string {
  return `${Math.round(ms / 60_000)}m`;
}
