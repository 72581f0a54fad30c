// The world's own eyes on a group of replicas. They look at what really stands in the engine, at what
// vendors were sent, and at the truth about origins and ways; of a replica they ask only until when it
// believes that it may act, and what its journal and its replies say. Each rule has a name. They call
// none of the core's or the coordinator's predicates.

import type { Memory } from '../../src/cluster/etcd.ts';
import type { Seal } from '../../src/cluster/sealed.ts';
import { formatMarker, parseMarker } from '../../src/core/marker.ts';
import type {
  Change,
  Command,
  Entry,
  Json,
  Marker,
  Name,
  Pin,
  Reply,
} from '../../src/core/model.ts';
import type { Commit, Coordinator } from '../../src/ports.ts';
import type { SimEtcd } from '../parts/sim-etcd.ts';
import type { Violation } from './checkers.ts';
import type { Timeline } from './clock.ts';
import type { Truth } from './faults.ts';
import type { GroupPlan } from './group-draw.ts';
import type { Net } from './group-wire.ts';
import type { Reload, Replica, Watcher } from './replica.ts';
import { isSound, requiredOf } from './sound.ts';
import type { SimVendor, VendorChange } from './vendors.ts';

export const PREFIX = '/detour/shop/';
const MINUTE = 60_000;
/** Clocks that agree are off by no more than what a letter takes, several times over. */
const AGREED_MS = 5000;

interface Head {
  readonly term: number;
  readonly number: number;
  readonly by: string;
  readonly base: number;
  /** Group time. */
  readonly at: number;
}

/** What stands until somebody gives it back: a drain, a freeze, a pin. */
interface Hold {
  readonly reason: string;
  readonly sinceAt: number;
  readonly untilAt: number | null;
  /** In true time, when it was taken: it is committed later where a store refuses. */
  readonly heldAt: number;
}

interface RecordDoc {
  readonly marker: Marker | null;
  readonly epochMax: number;
  readonly pin: Pin | null;
  readonly freeze: Omit<Hold, 'heldAt'> | null;
  readonly prepared: Omit<Hold, 'heldAt'> | null;
}

interface Order {
  readonly id: string;
  readonly command: Command;
  readonly saidAt: number;
  /** It is known to have been refused before anybody was told of it. */
  unsaid: boolean;
}

interface Restored {
  readonly at: number;
  /** The base that an acknowledgement must exceed. */
  readonly base: number;
}

interface Means {
  readonly timeline: Timeline;
  readonly plan: GroupPlan;
  readonly truth: Truth;
  readonly net: Net;
  readonly etcd: SimEtcd;
  readonly seal: Seal;
}

export class GroupCheckers implements Watcher {
  readonly found: Violation[] = [];
  switches = 0;
  drills = { moved: 0, passed: 0 };
  commits = 0;
  takeOvers = 0;
  trace: (line: string) => void = () => {};
  /** Coordinators of the lives there are, by replica; set by the world. */
  readonly coordinators = new Map<string, Coordinator>();
  replicas: readonly Replica[] = [];
  /** By how much durations may be off in this world, beyond what agreed clocks make. */
  slackMs = 0;
  readonly #m: Means;
  #headRaw: string | null = null;
  #head: Head | null = null;
  /** The highest that was ever written, whatever was put back since. */
  #top = { term: 0, number: 0 };
  #docs = new Map<string, string>();
  readonly #holds = new Map<string, Hold>();
  /** Reasons of orders whose hold was given back, by hold. */
  readonly #over = new Set<string>();
  readonly #everHeld = new Set<string>();
  readonly #orders = new Map<string, Order>();
  /** Ids that are done, and the reply that was committed. */
  readonly #done = new Map<string, Reply>();
  /** Those of them that a restoration left no answer to. */
  readonly #forgotten = new Set<string>();
  /** Of those the ones that were said again since. */
  readonly #saidAnew = new Set<string>();
  /** Markers that the group committed, and the id of each epoch of each name. */
  readonly #committed = new Set<string>();
  readonly #epochs = new Map<string, string>();
  readonly #byHand = new Set<string>();
  readonly #signed = new Map<string, Name>();
  readonly #topEpoch = new Map<Name, number>();
  restored: Restored | null = null;
  /** Whose key was deleted or put away, and until when it cannot be blamed for not knowing. */
  #robbed: { readonly of: readonly string[]; readonly until: number } = { of: [], until: 0 };
  #ledAt = 0;
  #looks = 0;
  #loggedTo = 0;

  constructor(means: Means) {
    this.#m = means;
  }

  fail(rule: string, what: string): void {
    const at = this.#m.timeline.now;
    if (this.found.length < 20) this.found.push({ rule, what, at });
    this.trace(`VIOLATION ${rule}: ${what}`);
  }

  // ------------------------------------------------------------ who acts

  /** Replicas that hold themselves for the leader just now. */
  actors(): readonly string[] {
    return this.replicas.flatMap((r) => {
      const until = r.process.alive ? (this.coordinators.get(r.name)?.actsUntil() ?? 0) : 0;
      return until > 0 ? [r.name] : [];
    });
  }

  /** After every event. */
  sample(): void {
    const { etcd, plan, timeline } = this.#m;
    const { now } = timeline;
    if (etcd.isLed) this.#ledAt = now;
    const actors = this.actors();
    if (actors.length > 1) {
      this.fail('one-acts', `${actors.join(' and ')} act at once`);
    }
    if (actors.length === 0) return;
    // What was renewed last before the majority was lost ends with its time.
    if (now - this.#ledAt > plan.ttlMs) this.fail('no-quorum-nobody-acts', actors.join());
    const { restored } = this;
    if (restored === null) return;
    const excused = this.#robbed.until > now ? this.#robbed.of : [];
    const bold = actors.filter((name) => !excused.includes(name));
    if (bold.length > 0) this.fail('restored-nobody-acts', `${bold.join()} acts before any word`);
  }

  /**
   * Somebody is about to take the key from whoever holds it, who cannot know it at once; nor can he
   * whose election is on its way back to him, who does not act yet.
   */
  robbed(): void {
    const { plan, timeline } = this.#m;
    const holder = this.holder();
    const of = [...this.actors(), ...(holder === null ? [] : [holder])];
    this.#robbed = { of, until: timeline.now + plan.ttlMs };
  }

  /** An old backup was put back; before it somebody was robbed. */
  putBack(): void {
    this.restored = { at: this.#m.timeline.now, base: this.#head?.base ?? 0 };
    this.#headRaw = this.#m.etcd.peek(`${PREFIX}head`);
  }

  // ------------------------------------------------------------ what the group commits

  /** After every write in the engine. */
  applied(): void {
    const { etcd } = this.#m;
    this.#answered();
    const raw = etcd.peek(`${PREFIX}head`);
    if (raw === this.#headRaw) return;
    this.#headRaw = raw;
    if (raw === null) return this.fail('head-stands', 'the head is gone');
    const head = this.#headOf(raw);
    if (head === null) return this.fail('head-stands', `nobody of the group wrote it: ${raw}`);
    this.commits++;
    this.#headed(head);
    this.#head = head;
    const entries = this.#entriesOf(head.number);
    this.#documents(head);
    for (const entry of entries) this.#decided(entry, head);
  }

  #headOf(raw: string): Head | null {
    const opened = this.#m.seal.open('head', 'head', raw);
    if (opened === null) return null;
    const fields = JSON.parse(opened.text) as { by: string; base: number; at: number };
    return { ...fields, term: opened.term, number: opened.number };
  }

  #headed({ term, number, by, base }: Head): void {
    const what = `${by} writes (${term}, ${number}) after (${this.#top.term}, ${this.#top.number})`;
    const known = this.#known();
    const isAck = this.restored !== null && base > Math.min(this.restored.base, known.base);
    // Whoever acted just then may commit on the very state that was put back.
    const isExcused = this.#robbed.of.includes(by) && this.#m.timeline.now <= this.#robbed.until;
    if (this.restored !== null && !isAck && !isExcused) this.fail('restored-nobody-acts', what);
    if (isAck) {
      this.restored = null;
      for (const id of this.#done.keys()) this.#forgotten.add(id);
      this.#relearn();
      const top = this.#top;
      const least = (of: 'term' | 'number') => Math.min(top[of], known[of]);
      this.#top = { term: least('term'), number: least('number') };
    }
    if (number <= this.#top.number || term < this.#top.term) this.fail('head-grows', what);
    if (term > this.#top.term) this.takeOvers++;
    this.#top = { term: Math.max(term, this.#top.term), number };
    this.trace(`head: ${what}`);
    if (isAck) return;
    const holder = this.holder();
    if (holder !== by) this.fail('only-the-holder-commits', `${what}: ${holder ?? 'nobody'} holds`);
  }

  /** The most that any disk knows of the group: what none holds is lost with the engine. */
  #known(): Pick<Memory, 'base' | 'term' | 'number'> {
    const all = this.replicas.flatMap(({ disk }) => {
      const text = disk.docs.get('group');
      return text === undefined ? [] : [JSON.parse(text) as Memory];
    });
    const most = (of: (one: Memory) => number) => Math.max(0, ...all.map(of));
    return { base: most((m) => m.base), term: most((m) => m.term), number: most((m) => m.number) };
  }

  /** What no disk holds any more is forgotten with the engine: the vendors' markers alone tell it. */
  #relearn(): void {
    for (const [name, top] of this.#topEpoch) {
      const known = this.replicas.map(({ disk }) => {
        const text = disk.docs.get(`record/${name}`);
        return text === undefined ? 0 : (JSON.parse(text) as RecordDoc).epochMax;
      });
      this.#topEpoch.set(name, Math.min(top, Math.max(...known)));
    }
  }

  /** Who holds the lease, by the engine's own word. */
  holder(): string | null {
    const raw = this.#m.etcd.peek(`${PREFIX}lease`);
    return raw === null ? null : (JSON.parse(raw) as { replica: string }).replica;
  }

  #answered(): void {
    const { etcd, seal } = this.#m;
    const ids: string[] = [];
    for (const key of etcd.keys(`${PREFIX}done/`)) {
      const id = key.slice(PREFIX.length + 'done/'.length);
      const raw = etcd.peek(key)!;
      if (this.#raw.get(key) === raw) continue;
      this.#raw.set(key, raw);
      const opened = seal.open('done', `done/${id}`, raw);
      const reply = opened === null ? null : (JSON.parse(opened.text) as { reply: Reply }).reply;
      if (reply === null) this.fail('done-is-sealed', id);
      else this.#isDone(id, reply);
      ids.push(id);
    }
    // Of orders that were committed at once only what the last one left is seen to stand.
    if (ids.length > 1) for (const id of ids) this.#together.add(id);
  }

  readonly #raw = new Map<string, string>();
  readonly #together = new Set<string>();

  #isDone(id: string, reply: Reply): void {
    const order = this.#orders.get(id);
    this.trace(`done ${id}: ${reply.exit} ${reply.message}`);
    if (this.#done.has(id)) this.fail('order-once', `${id} is done a second time`);
    this.#done.set(id, reply);
    if (order === undefined) return this.fail('order-was-said', `${id} was said by nobody`);
    if (order.unsaid && reply.exit === 0) {
      this.fail('reply-is-so', `${id} is done, and its reply said that nothing was`);
    }
  }

  #entriesOf(number: number): readonly Entry[] {
    const { etcd, seal } = this.#m;
    const key = `log/${String(number).padStart(16, '0')}`;
    const raw = etcd.peek(PREFIX + key);
    const opened = raw === null ? null : seal.open('log', key, raw);
    if (opened === null || number <= this.#loggedTo) return [];
    this.#loggedTo = number;
    return (JSON.parse(opened.text) as { entries: Entry[] }).entries;
  }

  // ------------------------------------------------------------ what it remembers

  #documents(head: Head): void {
    const { etcd, seal } = this.#m;
    const there = new Map<string, string>();
    for (const whole of etcd.keys(`${PREFIX}doc/`)) {
      const key = whole.slice(PREFIX.length + 'doc/'.length);
      const raw = etcd.peek(whole)!;
      there.set(key, raw);
      if (this.#docs.get(key) === raw) continue;
      const opened = seal.open('document', `doc/${key}`, raw);
      if (opened === null) this.fail('documents-are-sealed', key);
      else this.#document(key, JSON.parse(opened.text) as Json, head);
    }
    for (const key of this.#docs.keys()) if (!there.has(key)) this.#document(key, null, head);
    this.#docs = there;
  }

  #document(key: string, value: Json | null, head: Head): void {
    if (key === 'freeze' || key.startsWith('drain/')) {
      return this.#held(key, value as unknown as Omit<Hold, 'heldAt'> | null);
    }
    if (!key.startsWith('record/')) return;
    const name = key.slice('record/'.length);
    if (value === null) return this.#released(name);
    const doc = value as unknown as RecordDoc;
    this.#held(`freeze ${name}`, doc.freeze);
    this.#held(`prepare ${name}`, doc.prepared);
    const pin = doc.pin;
    // What a marker tells of is another pin with another marker, though its words are the same.
    const isOrder = pin === null || this.#orders.has(pin.reason);
    const reason = isOrder ? pin?.reason : `${pin.reason} ${doc.marker?.id}`;
    this.#held(`pin ${name}`, pin === null ? null : { ...pin, reason: reason! });
    const top = this.#topEpoch.get(name) ?? 0;
    if (doc.epochMax < top) {
      this.fail('epochs-grow', `${name}: ${doc.epochMax} after ${top}, by ${head.by}`);
    }
    this.#topEpoch.set(name, Math.max(top, doc.epochMax));
    if (doc.marker !== null) this.#marked(name, doc.marker, head);
  }

  /** A record that left the configuration is let go, and what held it with it: its epoch alone stays. */
  #released(name: Name): void {
    if (this.#m.etcd.peek(`${PREFIX}doc/epoch/${name}`) === null) return;
    for (const key of [`freeze ${name}`, `pin ${name}`, `prepare ${name}`]) {
      const was = this.#holds.get(key);
      if (was !== undefined) this.#over.add(`${key} ${was.reason}`);
      this.#holds.delete(key);
    }
  }

  #marked(name: Name, marker: Marker, { by }: Head): void {
    const { epoch, id } = marker;
    this.#committed.add(`${name} ${epoch} ${id}`);
    // What somebody else with the key has given out meanwhile is nobody's fault.
    if (this.#byHand.has(`${name} ${epoch} ${id}`)) return;
    const known = this.#epochs.get(`${name} ${epoch}`);
    if (known !== undefined && known !== id) {
      this.fail('epochs-given-out-once', `${name}: ${epoch} is ${known}, and ${id} by ${by}`);
    }
    this.#epochs.set(`${name} ${epoch}`, id);
  }

  /** A drain, freeze or pin as it now stands. */
  #held(key: string, now: Omit<Hold, 'heldAt'> | null): void {
    const was = this.#holds.get(key) ?? null;
    const isSame = was !== null && now !== null && was.reason === now.reason;
    if (isSame) return this.#stays(key, was, now);
    if (was !== null) this.#ends(key, was, now);
    if (now === null) return void this.#holds.delete(key);
    const { reason, sinceAt } = now;
    const untilAt = now.untilAt ?? null;
    const order = this.#orders.get(reason);
    const { now: at } = this.#m.timeline;
    const takenAt = at - Math.max(0, this.#head!.at - sinceAt);
    const heldAt = order === undefined ? at : Math.max(order.saidAt, takenAt);
    this.#holds.set(key, { reason, sinceAt, untilAt, heldAt });
    // What vendors say is no order, and bears none's reason.
    if (order === undefined) return;
    this.trace(`${key} holds: ${reason}`);
    if (this.#over.has(`${key} ${reason}`)) this.fail('nothing-comes-back', `${key}: ${reason}`);
    if (this.#everHeld.has(reason)) this.fail('order-once', `${key}: ${reason} a second time`);
    this.#everHeld.add(reason);
    if (order.unsaid) {
      this.fail('reply-is-so', `${reason} is done, and its reply said that nothing was`);
    }
  }

  #stays(key: string, was: Hold, now: Omit<Hold, 'heldAt'>): void {
    // A marker that is found anew, as after its record was away, is held from when it is found.
    if (!this.#orders.has(now.reason)) return;
    if (this.#saidAnew.delete(now.reason)) {
      this.#everHeld.add(now.reason);
      const untilAt = now.untilAt ?? null;
      const anew = { ...was, sinceAt: now.sinceAt, untilAt, heldAt: this.#m.timeline.now };
      return void this.#holds.set(key, anew);
    }
    const lasts = (h: Omit<Hold, 'heldAt'>) => (h.untilAt == null ? null : h.untilAt - h.sinceAt);
    const movedMs = Math.abs(now.sinceAt - was.sinceAt);
    if (lasts(was) !== lasts(now) || movedMs > AGREED_MS + this.slackMs) {
      this.fail('holds-keep-their-time', `${key}: moved by ${movedMs} ms, lasts ${lasts(now)}`);
    }
  }

  /** It was given back by an order, gave way to a switch or another word, or is over. */
  #ends(key: string, was: Hold, now: unknown): void {
    this.#over.add(`${key} ${was.reason}`);
    this.trace(`${key} is over: ${was.reason}`);
    if (now !== null) return;
    const lastedMs = this.#m.timeline.now - was.heldAt;
    const forMs = was.untilAt === null ? Number.POSITIVE_INFINITY : was.untilAt - was.sinceAt;
    if (lastedMs >= forMs - AGREED_MS - this.slackMs) return;
    const [kind, name] = key.split(/[ /]/) as [string, string | undefined];
    const frees: Readonly<Record<string, readonly Command['kind'][]>> = {
      pin: ['unpin', 'switch', 'ack', 'adopt'],
      freeze: ['unfreeze'],
      prepare: ['unprepare'],
      drain: ['undrain'],
    };
    const said = [...this.#orders.values()].some(({ command: c, saidAt }) => {
      const about = c.kind === 'undrain' ? c.what : 'record' in c ? c.record : null;
      const isLater = saidAt > was.heldAt - MINUTE;
      return isLater && frees[kind]!.includes(c.kind) && about === (name ?? null);
    });
    // A word at the vendors, and another's marker, end a pin as well.
    if (said || (kind === 'pin' && this.#isStirred(name!))) return;
    this.fail('nothing-is-lost', `${key}: ${was.reason} after ${lastedMs} of ${forMs} ms`);
  }

  readonly #stirredAt = new Map<Name, number>();

  #isStirred(name: Name): boolean {
    return this.#stirredAt.has(name);
  }

  // ------------------------------------------------------------ what it decides

  readonly #carriedOut = new Set<string>();

  #decided(entry: Entry, { by }: Head): void {
    this.trace(`${by}# ${entry.kind}: ${entry.sentence}`);
    if (entry.kind === 'drill') this.#drilled(entry);
    if (entry.kind !== 'switch') return;
    this.switches++;
    const order = /: (order-\d+)$/.exec(entry.sentence)?.[1];
    if (order !== undefined && this.#carriedOut.has(order)) {
      this.fail('order-once', `${order} is carried out a second time, by ${by}`);
    }
    if (order !== undefined) this.#carriedOut.add(order);
    const d = entry.data as unknown as {
      readonly from: string | null;
      readonly kind: string;
      readonly why: string;
      readonly budget?: string;
    };
    // Rule 10, by the budget of whoever decides: spent, it is overspent twice in an hour at most, and
    // what was needless may be had again once.
    const [, used, budget, wasted = 0] =
      /^(\d+) of (\d+) in the last hour(?:, (\d+))?/.exec(d.budget ?? '') ?? [];
    const again = Math.min(Number(wasted), Number(budget));
    if (d.kind === 'auto' && !(Number(used) < Number(budget) + 2 + again)) {
      this.fail('budget', `${by}: ${entry.record} moves with ${d.budget} spent`);
    }
    if (d.kind !== 'auto' || d.why !== 'target-down' || d.from === null) return;
    if (this.#isSound(d.from)) {
      this.fail('no-wrong-switch', `${by}: ${entry.record} leaves ${d.from}, which is well`);
    }
  }

  readonly #inDrill = new Set<Name>();

  /** Of all records of the group one is in a live drill at a time, whoever acts. */
  #drilled({ record, data, sentence }: Entry): void {
    const { result, parts } = data as {
      readonly result?: string;
      readonly parts?: readonly object[];
    };
    if (record === null || result === undefined) return;
    if (result === 'began') {
      const others = [...this.#inDrill].filter((name) => name !== record);
      if (others.length > 0) this.fail('drill-one-at-a-time', `${sentence} beside ${others}`);
      this.#inDrill.add(record);
      return;
    }
    this.#inDrill.delete(record);
    if (parts?.length) this.drills.moved++;
    if (result === 'passed') this.drills.passed++;
  }

  /** It was well for long, and nobody but a minority of the groups could find otherwise. */
  #isSound(origin: string): boolean {
    const { plan, truth, net, timeline } = this.#m;
    const { config } = plan;
    return requiredOf(config, origin).every((check) => {
      // As slow as the slowest pace that a reload may bring (another.ts).
      const since = timeline.now - 80 * check.intervalMs - 3 * MINUTE;
      return isSound(config, truth, check, since, (path) => {
        const { replica } = config.paths[path]!;
        const isCut = check.origin !== null && net.cutAt(replica!, check.origin) >= since;
        // Whoever was not there says nothing: that is not `down`.
        return truth.ways.troubledAt(`${replica}/${path}`) < since && !isCut;
      });
    });
  }

  // ------------------------------------------------------------ what it does at vendors

  began(
    r: Replica,
    vendor: SimVendor,
    op: 'read' | 'write',
    _names: readonly Name[],
    changes: readonly Change[],
  ): void {
    if (op === 'read') return;
    const { now } = this.#m.timeline;
    const isRobbed = this.#robbed.of.includes(r.name) && now <= this.#robbed.until;
    const holder = this.holder();
    if (holder !== r.name && !isRobbed) {
      const who = holder ?? 'nobody';
      this.fail('superseded-writes-nothing', `${r.name} at ${vendor.name} while ${who} holds`);
    }
    if (this.restored !== null && !isRobbed) {
      this.fail('restored-nobody-acts', `${r.name} writes at ${vendor.name}`);
    }
    for (const { name, to } of changes) {
      const { epoch, id } = to.marker;
      this.#signed.set(`${name} ${formatMarker(to.marker)}`, to.cname);
      if (this.#committed.has(`${name} ${epoch} ${id}`)) continue;
      this.fail('committed-first', `${r.name} at ${vendor.name}: ${name} epoch ${epoch} ${id}`);
    }
  }

  changed(vendor: SimVendor, { name, by, before, after }: VendorChange): void {
    this.trace(
      `${vendor.name}: ${name} ${after.cname?.value ?? 'nothing'} ` +
        `[${after.texts.map((t) => t.value.slice(9)).join('; ')}] by ${by}`,
    );
    if (!this.#m.plan.replicas.includes(by)) {
      this.#stirredAt.set(name, this.#m.timeline.now);
      return;
    }
    const at = `${by} at ${vendor.name}: ${name}`;
    if (before.cname !== null && after.cname === null) this.fail('rule-1-never-empty', at);
    if (vendor.strength === 'weak') return;
    const epochs = (texts: typeof after.texts) =>
      texts.flatMap((t) => parseMarker(t.value)?.epoch ?? []);
    const [was, is] = [epochs(before.texts), epochs(after.texts)].map((all) => Math.max(0, ...all));
    if (is! < was!) this.fail('rule-14-no-lower-epoch', `${at}: ${is} over ${was}`);
  }

  /** What somebody with the cluster's key has signed without a replica. */
  signs(name: Name, cname: Name, marker: Marker): void {
    this.#signed.set(`${name} ${formatMarker(marker)}`, cname);
    this.#committed.add(`${name} ${marker.epoch} ${marker.id}`);
    this.#byHand.add(`${name} ${marker.epoch} ${marker.id}`);
  }

  /** A text at a vendor that a person who knows would leave there: signed for what it stands beside. */
  isOurs(name: Name, text: string, value: Name | null): boolean {
    const cname = this.#signed.get(`${name} ${text}`);
    if (cname === undefined) return false;
    const { records, cluster } = this.#m.plan.config;
    const { target, cluster: of } = parseMarker(text)!;
    const { targets } = records[name]!;
    if (of !== cluster) return false;
    return cname === value || cname === targets.find((t) => t.origin === target)?.cname;
  }

  // ------------------------------------------------------------ what it is told, and says

  commanded(r: Replica, command: Command, id: string | null): void {
    this.trace(`${r.name}: operator says ${id} ${JSON.stringify(command)}`);
    if (id === null) return;
    const known = this.#orders.get(id);
    // Said again it may be done, whatever was answered before.
    if (known !== undefined) known.unsaid = false;
    else this.#orders.set(id, { id, command, saidAt: this.#m.timeline.now, unsaid: false });
  }

  replied(r: Replica, command: Command, reply: Reply, id: string | null): void {
    this.trace(`${r.name}: replies ${id} ${reply.exit}: ${reply.message}`);
    const order = this.#orders.get(id ?? '');
    if (order === undefined || command.dryRun === true) return;
    const done = this.#done.get(order.id);
    const isSure = reply.exit === 0 || reply.exit === 3;
    if (isSure && done === undefined) {
      this.fail('reply-is-so', `${r.name}: ${order.id} is answered, and was not committed`);
    }
    if (isSure && done !== undefined && done.exit !== reply.exit) {
      this.fail('reply-is-so', `${r.name}: ${order.id} is ${reply.exit}, done as ${done.exit}`);
    }
    const holds = ['pin', 'switch', 'drain', 'freeze'].includes(command.kind);
    const { epoch } = (reply.detail ?? {}) as { readonly epoch?: number };
    // What a marker has told of later in the same commit stands instead.
    const top = 'record' in command ? (this.#topEpoch.get(command.record ?? '') ?? 0) : 0;
    const isOver = epoch !== undefined && top > epoch;
    const isSeen = this.#everHeld.has(order.id) || this.#together.has(order.id) || isOver;
    if (isSure && holds && !isSeen) {
      this.fail('reply-is-so', `${r.name}: ${order.id} is answered, and does not hold`);
    }
    const isNothing = /^(nothing was done|not said to the group)/.test(reply.message);
    if (!isNothing || reply.exit === 0) return;
    // Said twice, one of the two may have come through.
    if (this.#twice.has(order.id)) return;
    order.unsaid = true;
    if (done?.exit === 0) {
      this.fail('reply-is-so', `${r.name}: ${order.id} is done, and it says that nothing was`);
    }
  }

  readonly #twice = new Set<string>();

  /** The same order is said again. */
  repeats(id: string): void {
    this.#twice.add(id);
    // With what it was restored from the group forgot that it was done: it is another order now.
    if (this.#forgotten.has(id)) this.#forgive(id);
  }

  #forgive(id: string): void {
    this.#done.delete(id);
    this.#everHeld.delete(id);
    // What stands by it may stand from now on.
    this.#saidAnew.add(id);
    for (const key of this.#over) if (key.endsWith(` ${id}`)) this.#over.delete(key);
  }

  /** What a replica calls down is not well. */
  committed(r: Replica, commit: Commit): void {
    for (const entry of commit.entries) {
      this.trace(`${r.name}| ${entry.kind}: ${entry.sentence}`);
      if (entry.kind !== 'health') continue;
      const d = entry.data as unknown as { readonly origin: string; readonly health: string };
      if (d.health !== 'down' || !this.#isSound(d.origin)) continue;
      this.fail('rule-6-sound-origin-never-down', `${r.name} calls ${d.origin} down`);
    }
  }

  // ------------------------------------------------------------ the life of a replica

  looked(r: Replica): void {
    this.sample();
    // What the core itself finds wrong stays wrong, and costs as much as all the rest.
    if (++this.#looks % 4 > 0) return;
    for (const what of r.controller?.violations() ?? []) {
      this.fail('core-violations', `${r.name}: ${what}`);
    }
  }

  started(r: Replica): void {
    this.trace(`${r.name}: starts`);
  }

  died(r: Replica): void {
    this.coordinators.delete(r.name);
    this.trace(`${r.name}: is gone`);
  }

  lost(r: Replica): void {
    this.trace(`${r.name}: has lost its store`);
  }

  paused(r: Replica, ms: number): void {
    this.trace(`${r.name}: stands still for ${ms} ms`);
  }

  reloaded(r: Replica, { problems }: Reload): void {
    this.trace(`${r.name}: reloads${problems.length > 0 ? `: ${problems.join('; ')}` : ''}`);
  }

  unstored(r: Replica, entry: Entry): void {
    this.trace(`${r.name}| unstored ${entry.kind}: ${entry.sentence}`);
  }

  noted(r: Replica, could: boolean, words: readonly string[]): void {
    this.trace(`${r.name}: ${could ? 'notes' : 'cannot note'} ${words.join('; ') || 'nothing'}`);
  }

  resumed(): void {}
  reloading(): void {}
  probing(): void {}
  observed(): void {}
  chained(): void {}
  unheard(): void {}
  ended(): void {}
}
