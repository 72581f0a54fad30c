// The world's own eyes: every rule of the design that can be seen from outside, each under a name.
// They look at what vendors were sent and hold, at journals, at what probes said and at the truth
// about origins and paths; never at the engine's state, and they call none of its predicates.

import { formatMarker, parseMarker } from '../../src/core/marker.ts';
import type {
  Answer,
  ChainAnswer,
  Change,
  CheckConfig,
  CheckId,
  Command,
  Entry,
  Fault,
  Marker,
  Name,
  Observation,
  RecordConfig,
  Reply,
  Seen,
  Standby,
} from '../../src/core/model.ts';
import type { Commit } from '../../src/ports.ts';
import { paces } from './another.ts';
import type { Timeline } from './clock.ts';
import type { Plan } from './draw.ts';
import type { Truth } from './faults.ts';
import {
  hasGaps,
  hasStrange,
  isSplit,
  oneOf,
  straysIn,
  valuesIn,
  valuesOf,
  wrongOf,
} from './lines.ts';
import { Answers } from './people.ts';
import type { Reload, Replica, Watcher } from './replica.ts';
import { groupsOf, isSound, quorumOf, requiredOf } from './sound.ts';
import type { SimVendor, VendorChange } from './vendors.ts';

export interface Violation {
  readonly rule: string;
  readonly what: string;
  readonly at: number;
}

const MINUTE = 60_000;
const HOUR = 3_600_000;
/** What happens within a round is journalled at its end: at most so long after it was. */
const ROUND = 20;

/** One automatic switch; `needless`: what it left came back before its clients could follow. */
interface Spend {
  readonly at: number;
  readonly over: boolean;
  readonly from?: string | null;
  readonly helpsInMs?: number;
  needless?: boolean;
}

/** What is known from outside about one record at one replica. Times are the replica's own. */
interface RecordLog {
  target: string | null;
  pinnedUntil: number | null | 'none';
  frozen: boolean;
  deposed: boolean;
  /** Automatic switches that spend the budget, since the last `ack`. */
  spends: Spend[];
  lastSwitchAt: number;
  /** The live drill that it is in, by its document. */
  drill: RecordDoc['drill'];
  /** Whose turn it is not yet, by its document, and of which epoch that is said. */
  waiting: readonly string[];
  /** The marker that the store remembers as in force, and the epoch since the last switch. */
  marker: Marker | null;
  since: number;
  /** The highest epoch that this store has held. */
  top: number;
  /** The same of what its vendors told it, which a call given up may have told to nobody. */
  heardTop: number;
  /** Markers that this store holds, as their text without a signature, and those it held of late. */
  own: ReadonlySet<string>;
  readonly left: Map<string, number>;
  /** Proven markers that a vendor's API has shown. */
  readonly heard: Set<string>;
  /** By vendor, what of ours was seen to stand there. */
  placed: Map<string, Placed>;
  /** Whatever with a marker a vendor's API has shown, as `VENDOR CNAME MARKER`. */
  readonly shown: Set<string>;
  /** By vendor, the TTL that stood there when it was adopted by hand, or as it stood. */
  foundTtls: Map<string, number | undefined>;
  /** Vendors at which it was adopted: as it stood, or whatever stands there. */
  claims: Map<string, 'any' | 'configured'>;
  /** What of this the store has. */
  kept: Pick<RecordLog, 'placed' | 'claims' | 'pinnedUntil'>;
  /** By vendor and value, what left force unseen there, and when. */
  readonly unseen: Map<string, number>;
  /** Targets that were mended away or taken, and when last. */
  readonly wishes: Map<string, number>;
}

/** Of ours, at one vendor. */
interface Placed {
  readonly cname: Name;
  readonly epoch: number;
}

/** What a vendor's API last said of a record, and since when it has said so. */
interface Reading {
  readonly seen: Seen;
  readonly sinceAt: number;
  readonly at: number;
  /** When it was read before that. */
  readonly beforeAt: number;
  /** It was written over since. */
  readonly isOver: boolean;
}

/** A marker alone; away from a target that is down; back to what is in force. */
const mendKinds = ['marker', 'away', 'back'] as const;
type MendKind = (typeof mendKinds)[number];

/** What was mended at one vendor of late. */
interface Mends extends Record<MendKind, { readonly count: number; readonly lastAt: number }> {
  /** What is still to be sent for the last of them. */
  open: boolean;
}

const never = { count: 0, lastAt: 0 };
const noMends: Mends = { marker: never, away: never, back: never, open: false };

interface Health {
  readonly health: string;
  readonly at: number;
}

/** What a store's document says of a record, as far as it is looked at. */
interface RecordDoc {
  readonly target: string | null;
  readonly marker: Marker | null;
  readonly epochMax: number;
  readonly since?: number;
  readonly drill: { readonly from: string; readonly to: string; readonly stage: string } | null;
  readonly turns: {
    readonly order: readonly string[];
    readonly openedAt: Readonly<Record<string, number>>;
  } | null;
  readonly pin: object | null;
  readonly switches: readonly number[];
  readonly adopted?: boolean;
  readonly placed?: Readonly<Record<string, { readonly cname: Name; readonly marker: Marker }>>;
}

/** When an entry was made, and what was committed with it. */
interface Told {
  readonly at: number;
  readonly docs: ReadonlyMap<Name, RecordDoc>;
  readonly entries: readonly Entry[];
  /** Of what happened while the store failed. */
  readonly isLate: boolean;
}

/** One replica, as far as it can be seen from outside. */
interface ReplicaLog {
  records: Map<Name, RecordLog>;
  frozen: boolean;
  /** Of this life only. */
  bootAt: number;
  health: Map<string, Health>;
  /** By origin, since when it has not been up. */
  downSince: Map<string, number>;
  fails: Map<string, number[]>;
  passBegan: Map<string, number>;
  pending: Map<string, number>;
  chains: Map<Name, number>;
  /** Targets whose chain was asked for in vain, and when last. */
  broken: Map<Name, number>;
  /** By record and target what audits told last, and when. */
  audited: Map<string, { readonly word: string; readonly at: number }>;
  read: Set<string>;
  /** Names at a vendor whose last write was lost. */
  lost: Map<string, Set<Name>>;
  /** Until when a vendor is to be left alone, and why. */
  blocked: Map<string, { readonly from: number; readonly until: number; readonly rule: string }>;
  /** `vendor record`: the vendor has said in which zone it is, when that was in trouble. */
  readonly placed: Set<string>;
  /** By `vendor record`. */
  readonly readings: Map<string, Reading>;
  readonly mends: Map<string, Mends>;
  /** Commands of this life, as `record target`. */
  readonly orders: Set<string>;
  disturbedAt: number;
  /** When it got, or lost, the lease. */
  ledAt: number;
  lastAt: number;
  /** What operators said of drains and freezes: what must then be so, and whether that is durable. */
  readonly words: Map<string, Word>;
  /** This life has told of words that are not remembered. */
  forgotten: boolean;
  /** Words could not even be noted since the store failed. */
  unnoted: boolean;
}

interface Word {
  readonly holds: boolean;
  durable: boolean;
}

/** Reasons that keep a record where it is, however dead its target. */
const MAY_STAY = new Set([
  'pinned',
  'frozen',
  'deposed',
  'budget-spent',
  'store-failed',
  'no-lease',
  'retired',
]);

/** The same where a person or a hook may keep it, and what was asked has just been answered. */
const MAY_WAIT = new Set(['awaiting-approval', 'approval-rejected', 'hook', 'confirming-target']);

interface SwitchData {
  readonly from: string | null;
  readonly to: string;
  readonly epoch: number;
  readonly id: string;
  readonly kind: 'auto' | 'operator';
  readonly why: string;
  readonly helpsInMs?: number;
}

export class Checkers implements Watcher {
  readonly found: Violation[] = [];
  /** What people and hooks said. */
  readonly answers = new Answers((rule, what) => this.fail(rule, what));
  switches = 0;
  drills = { moved: 0, passed: 0 };
  /** Whose short TTL was ordered while the store failed, and forgotten at the next start. */
  readonly unprepared = new Set<Name>();
  /** Told of everything worth a line. */
  trace: (line: string) => void = () => {};
  readonly #timeline: Timeline;
  readonly #plan: Plan;
  readonly #truth: Truth;
  readonly #logs = new Map<string, ReplicaLog>();
  /** Markers that some disk holds, as `NAME EPOCH ID`. */
  readonly #committed = new Set<string>();
  readonly #created = new Set<Name>();
  readonly #everHeld = new Set<Name>();
  /** By `vendor record value`: what was sent, not answered for, by whichever replica, and when last. */
  readonly #sent = new Map<string, { open: number; at: number }>();
  /** By record and text, what a marker was signed for by whoever has the key. */
  readonly #signed = new Map<string, Name>();
  /** The highest epoch of each record that anybody of the cluster has given out. */
  readonly #given = new Map<Name, number>();
  #lostStores = 0;
  readonly #humanAt = new Map<string, number>();
  readonly #cleanSince = new Map<string, number>();
  /** By how much checks may have been slower and faster than planned, so far. */
  #slow = 1;
  #fast = 1;

  constructor(timeline: Timeline, plan: Plan, truth: Truth) {
    this.#timeline = timeline;
    this.#plan = plan;
    this.#truth = truth;
  }

  fail(rule: string, what: string): void {
    const at = this.#timeline.now;
    if (this.found.length < 20) this.found.push({ rule, what, at });
    this.trace(`VIOLATION ${rule}: ${what}`);
  }

  // ------------------------------------------------------------ the life of a replica

  started(r: Replica): void {
    const old = this.#logs.get(r.name);
    const records = old?.records ?? new Map<Name, RecordLog>();
    this.#logs.set(r.name, {
      records,
      frozen: old?.frozen ?? false,
      bootAt: r.process.now(),
      health: new Map(),
      downSince: new Map(),
      fails: new Map(),
      passBegan: new Map(),
      pending: new Map(),
      chains: new Map(),
      broken: new Map(),
      audited: new Map(),
      read: new Set(),
      lost: new Map(),
      blocked: new Map(),
      placed: new Set(),
      readings: new Map(),
      mends: new Map(),
      orders: new Set(),
      disturbedAt: this.#timeline.now,
      ledAt: this.#timeline.now,
      lastAt: old?.lastAt ?? 0,
      words: old?.words ?? new Map(),
      forgotten: false,
      unnoted: false,
    });
    this.trace(`${r.name}: starts`);
  }

  /** Rule 29: what was accepted is there, and what was not does not go without a word. */
  resumed(r: Replica): void {
    const { words, forgotten } = this.#log(r);
    // It may have died of its first commit.
    if (!r.process.alive) return;
    for (const [key, word] of words) {
      const holds = stands(r, key);
      if (holds === word.holds) continue;
      const what = `${r.name}: ${key} ${word.holds ? 'is gone' : 'has come back'} at a start`;
      if (word.durable) this.fail('rule-29-what-was-accepted-is-durable', what);
      else if (!forgotten && !r.store.refuses) this.fail('rule-29-nothing-comes-back-unsaid', what);
    }
    // What it has now is what counts from now on.
    words.clear();
  }

  /** The words that are not durable were noted, or could not be. */
  noted(r: Replica, could: boolean, words: readonly string[]): void {
    this.trace(`${r.name}: ${could ? 'notes' : 'cannot note'} ${words.join('; ') || 'nothing'}`);
    if (could) return;
    const log = this.#log(r);
    // What could not be noted may go unsaid, and it is not known which word this is about.
    for (const [key, word] of log.words) if (!word.durable) log.words.delete(key);
    log.unnoted = true;
  }

  /** A reload may bring other keys: those that were refused are tried again at once. */
  reloading(r: Replica): void {
    const { blocked } = this.#log(r);
    for (const [key, { rule }] of blocked) {
      if (rule === 'rule-17-auth-retried-slowly') blocked.delete(key);
    }
  }

  /** Rules 2 and 19: a reload is refused exactly where it takes away a target in force. */
  reloaded(r: Replica, reload: Reload): void {
    const { was, is, before, problems } = reload;
    const taken = before.records.filter((view) => {
      const [old, next] = [was.records[view.name], is.records[view.name]];
      const has = (record: RecordConfig) => record.targets.some((t) => t.origin === view.target);
      return old !== undefined && next !== undefined && has(old) && !has(next);
    });
    this.trace(
      `${r.name}: reloads${problems.length > 0 ? `: refused: ${problems.join('; ')}` : ''}`,
    );
    if (problems.length > 0 !== taken.length > 0) {
      const names = taken.map(({ name, target }) => `${name} on ${target}`).join(', ');
      this.fail('rule-2-reload-keeps-the-target', `${r.name}: ${names}: ${problems.join('; ')}`);
    }
    if (problems.length > 0) return;
    const log = this.#log(r);
    log.disturbedAt = this.#timeline.now;
    for (const known of [log.placed, log.readings, log.mends]) {
      for (const key of known.keys()) {
        const [vendor, name] = key.split(' ') as [string, Name];
        const isThere = is.records[name]?.publish.some((p) => p.provider === vendor) ?? false;
        // Where it is, and what was seen and done there, was forgotten with it.
        if (!isThere) known.delete(key);
      }
    }
    [this.#slow, this.#fast] = [paces.at(-1)!, paces[0]];
  }

  died(r: Replica): void {
    const log = this.#log(r);
    log.disturbedAt = this.#timeline.now;
    // What was not kept is not known in the next life.
    for (const rec of log.records.values()) {
      rec.placed = new Map(rec.kept.placed);
      rec.claims = new Map(rec.kept.claims);
      rec.pinnedUntil = rec.kept.pinnedUntil;
    }
    this.trace(`${r.name}: is gone`);
  }

  /** Its disk is gone: it knows nothing of what it did. */
  lost(r: Replica): void {
    const log = this.#logs.get(r.name);
    this.#lostStores++;
    this.answers.lost(r.name);
    if (log === undefined) return;
    log.records = new Map();
    log.words.clear();
    log.frozen = false;
    log.lastAt = 0;
    this.trace(`${r.name}: has lost its store`);
  }

  /** What somebody with the cluster's key has signed, or written plainly where there is none. */
  signs(name: Name, cname: Name, marker: Marker): void {
    this.#signed.set(`${name} ${formatMarker(marker)}`, cname);
    this.#committed.add(keyOf(name, marker));
    this.gives(name, marker.epoch);
  }

  /** An epoch that somebody of the cluster has given out. */
  gives(name: Name, epoch: number): void {
    this.#given.set(name, Math.max(this.#given.get(name) ?? 0, epoch));
  }

  paused(r: Replica, ms: number): void {
    this.#log(r).disturbedAt = this.#timeline.now + ms;
    this.trace(`${r.name}: stands still for ${ms} ms`);
  }

  /** After every event of a replica. */
  looked(r: Replica): void {
    for (const what of r.controller?.violations() ?? []) this.fail('core-violations', what);
  }

  // ------------------------------------------------------------ what it saw

  probing(r: Replica, check: CheckId, path: string, by: number): void {
    const { pending } = this.#log(r);
    const key = `${check}@${path}`;
    const now = (pending.get(key) ?? 0) + by;
    pending.set(key, now);
    // A pause forgets those under way, which end all the same: twice as many for a moment.
    const most = 2 * (this.#plan.config.checks[check]!.fall + 5);
    if (now > most) this.fail('rule-22-probes-bounded', `${now} probes of ${key} under way`);
  }

  observed(r: Replica, check: CheckId, path: string, o: Observation): void {
    const log = this.#log(r);
    const key = `${check}@${path}`;
    if (o.outcome === 'pass') {
      log.passBegan.set(key, Math.max(log.passBegan.get(key) ?? -1, o.startedAt));
    } else if (o.outcome === 'fail') {
      const fails = log.fails.get(key) ?? [];
      log.fails.set(key, fails);
      fails.push(o.endedAt);
      if (fails.length > 256) fails.splice(0, 128);
    }
  }

  chained(r: Replica, name: Name, answer: ChainAnswer | null): void {
    const { chains, broken } = this.#log(r);
    if (answer?.kind === 'answered') chains.set(name, r.process.now());
    else {
      // Silence takes nothing back from whoever asked later and was answered.
      if (answer !== null) chains.delete(name);
      broken.set(name, r.process.now());
    }
  }

  /** What an audit tells a replica of its targets. */
  audited(r: Replica, standbys: readonly Standby[]): void {
    const { audited } = this.#log(r);
    for (const { record, target, word } of standbys) {
      this.trace(`${r.name}: audited ${record} ${target} ${word}`);
      if (word !== 'unknown') audited.set(`${record} ${target}`, { word, at: r.process.now() });
    }
  }

  // ------------------------------------------------------------ what it did at vendors

  began(
    r: Replica,
    vendor: SimVendor,
    op: 'read' | 'write',
    names: readonly Name[],
    changes: readonly Change[],
  ): void {
    const log = this.#log(r);
    // A record that nobody has said to be in the zone may be asked about once to find that out.
    const placed = names.filter((name) => log.placed.has(`${vendor.name} ${name}`));
    for (const key of placesOf(vendor, placed)) {
      const block = log.blocked.get(key);
      const now = r.process.now();
      // What came in at this very moment may not have reached the core yet.
      if (block === undefined || now >= block.until || now === block.from) continue;
      const early = block.until - now;
      this.fail(block.rule, `${r.name} calls ${key} ${early} ms too early`);
    }
    const lost = log.lost.get(vendor.name);
    for (const name of names) {
      if (op === 'read') lost?.delete(name);
      else if (lost?.has(name)) {
        this.fail('rule-15-uncertain-read-back-first', `${name} at ${vendor.name} by ${r.name}`);
      }
    }
    for (const c of changes) this.#wants(r, vendor, c);
  }

  ended(
    r: Replica,
    vendor: SimVendor,
    op: 'read' | 'write',
    names: readonly Name[],
    answers: readonly Answer<unknown>[],
    changes: readonly Change[],
  ): void {
    const log = this.#log(r);
    const works = answers.some((a) => a.kind === 'answered');
    if (op === 'read') {
      names.forEach((name, i) => {
        const answer = answers[i];
        if (answer?.kind === 'answered') this.#hears(r, vendor, name, answer.value as Seen);
      });
    }
    if (op === 'write') {
      for (const [i, c] of changes.entries()) this.#answered(r, vendor, c, answers[i]!);
      const lost = log.lost.get(vendor.name) ?? new Set<Name>();
      log.lost.set(vendor.name, lost);
      names.forEach((name, i) => {
        const answer = answers[i];
        if (answer?.kind === 'fault' && answer.fault.kind === 'uncertain') lost.add(name);
      });
    }
    for (const key of placesOf(vendor, names)) log.blocked.delete(key);
    // Where nothing could be read and something can again, everything is tried at once.
    if (works)
      for (const zone of vendor.options.zones) log.blocked.delete(`${vendor.name} ${zone}`);
    answers.forEach((answer, i) => {
      if (answer.kind === 'fault' && answer.reach.kind === 'zone') {
        log.placed.add(`${vendor.name} ${names[i]}`);
      }
    });
    for (const answer of answers) {
      if (answer.kind !== 'fault' || answer.reach.kind === 'record') continue;
      const { fault, reach } = answer;
      const zone = reach.kind === 'zone' ? ` ${reach.zone}` : '';
      this.#block(log, `${vendor.name}${zone}`, fault, r.process.now());
    }
  }

  /** What has just come was the answer to a reading given up before: nothing goes by it. */
  unheard(r: Replica, vendor: string): void {
    const { blocked } = this.#log(r);
    for (const [key, { from }] of blocked) {
      if (key.split(' ')[0] === vendor && from === r.process.now()) blocked.delete(key);
    }
  }

  #block({ blocked }: ReplicaLog, key: string, fault: Fault, now: number): void {
    if (fault.kind === 'auth-suspect') {
      blocked.set(key, { from: now, until: now + 15_000, rule: 'rule-17-auth-retried-slowly' });
    } else if (fault.retryAfterMs !== undefined) {
      const until = now + Math.min(fault.retryAfterMs, 300_000);
      blocked.set(key, { from: now, until, rule: 'rule-22-blocks-honoured' });
    }
  }

  /** What a vendor's API says of a record. */
  #hears(r: Replica, vendor: SimVendor, name: Name, seen: Seen): void {
    const log = this.#log(r);
    const key = `${vendor.name} ${name}`;
    log.read.add(key);
    const rec = this.#recordLog(r, name);
    const value = givenBy(seen);
    const last = log.readings.get(key);
    const isSame = last !== undefined && !last.isOver && isAlike(last.seen, seen);
    const at = r.process.now();
    const sinceAt = isSame ? last.sinceAt : at;
    if (isSplit(seen)) this.splits++;
    log.readings.set(key, { seen, sinceAt, at, beforeAt: last?.at ?? at, isOver: false });
    const [text] = seen.markers;
    if (text === undefined || seen.markers.length > 1) return;
    const m = parseMarker(text);
    const whose = this.#whose(rec, name, text, valuesIn(seen));
    if (whose === 'genuine') rec.heard.add(`${m!.epoch} ${m!.id}`);
    if (whose !== 'foreign') rec.heardTop = Math.max(rec.heardTop, m!.epoch);
    const isWhole = !hasGaps(this.#plan.config.records[name], vendor.name, seen);
    if (whose !== 'foreign' && isWhole) rec.shown.add(`${vendor.name} ${oneOf(seen)} ${bare(m!)}`);
    const led = this.#cnameOf(name, rec.marker?.target ?? '');
    const isRight = value !== null && isWhole && oneOf(seen) === led;
    if (!isRight || !this.#isMarked(rec, name, seen)) return;
    this.#place(r, vendor, name, value, rec.marker!.epoch);
  }

  #place(r: Replica, vendor: SimVendor, name: Name, cname: Name, epoch: number): void {
    const rec = this.#recordLog(r, name);
    rec.placed.set(vendor.name, { cname, epoch });
    rec.claims.delete(vendor.name);
  }

  #answered(r: Replica, vendor: SimVendor, c: Change, answer: Answer<unknown>): void {
    const sent = this.#sent.get(`${r.name} ${vendor.name} ${c.name} ${c.to.cname}`);
    const isOpen = answer.kind === 'fault' && answer.fault.kind === 'uncertain';
    if (sent !== undefined && !isOpen) sent.open--;
    const mends = this.#log(r).mends.get(`${vendor.name} ${c.name}`);
    if (answer.kind === 'not-asked' && mends !== undefined) mends.open = true;
    if (answer.kind !== 'answered') return;
    const { readings } = this.#log(r);
    const last = readings.get(`${vendor.name} ${c.name}`);
    // Whatever is read there next has come since.
    if (last !== undefined) readings.set(`${vendor.name} ${c.name}`, { ...last, isOver: true });
    this.#place(r, vendor, c.name, c.to.cname, c.to.marker.epoch);
  }

  #cnameOf(name: Name, origin: string): Name | undefined {
    return this.#plan.config.records[name]!.targets.find((t) => t.origin === origin)?.cname;
  }

  /** Rule 25, by what the world knows of who wrote it. */
  #whose(
    rec: RecordLog,
    name: Name,
    text: string,
    values: readonly (Name | null)[],
  ): 'genuine' | 'ours' | 'foreign' {
    const m = parseMarker(text);
    const { cluster, signed } = this.#plan.config;
    if (m === null || m.cluster !== cluster) return 'foreign';
    const cname = this.#signed.get(`${name} ${text}`);
    const isLed = values.some((v) => v === cname) || cname === this.#cnameOf(name, m.target);
    if (signed && cname !== undefined && isLed) return 'genuine';
    const leftAt = rec.left.get(bare(m)) ?? Number.NEGATIVE_INFINITY;
    if (rec.own.has(bare(m)) || this.#timeline.now - leftAt < MINUTE) return 'ours';
    const top = Math.max(rec.top, rec.heardTop);
    return !signed && m.epoch <= top + 1_000_000 ? 'ours' : 'foreign';
  }

  /** One change as it is sent: what was read against what is wanted. */
  #wants(r: Replica, vendor: SimVendor, c: Change): void {
    const record = r.config.records[c.name];
    const at = `${r.name} at ${vendor.name}: ${c.name}`;
    if (record === undefined || !record.publish.some((p) => p.provider === vendor.name)) {
      return this.fail('rule-4-not-owned-untouched', `${at} is not published there`);
    }
    if (record.mode === 'observe') this.fail('observe-never-writes', at);
    if (!record.targets.some((t) => t.cname === c.to.cname)) {
      this.fail('rule-2-only-configured-targets', `${at} -> ${c.to.cname}`);
    }
    const text = formatMarker(c.to.marker);
    const to = parseMarker(text);
    if (to === null) return this.fail('rule-14-every-write-has-its-epoch', `${at}: ${text}`);
    if (this.#plan.config.signed && to.mac === undefined)
      this.fail('rule-25-signed', `${at}: ${text}`);
    if (!this.#committed.has(keyOf(c.name, to))) {
      this.fail('rule-13-only-what-is-committed', `${at}: epoch ${to.epoch} id ${to.id}`);
    }
    this.#drills(r, vendor, c, at);
    if (this.#recordLog(r, c.name).deposed) {
      this.fail('rule-14-deposed-writes-nothing', `${at}: epoch ${to.epoch}`);
    }
    this.signs(c.name, c.to.cname, to);
    this.#owns(r, vendor, c, to, at);
    const key = `${r.name} ${vendor.name} ${c.name} ${c.to.cname}`;
    const open = (this.#sent.get(key)?.open ?? 0) + 1;
    this.#sent.set(key, { open, at: r.process.now() });
  }

  /** Of a record in a drill only its two targets are served, and by turns only whose turn it is. */
  #drills(r: Replica, vendor: SimVendor, c: Change, at: string): void {
    const { drill, waiting, marker } = this.#recordLog(r, c.name);
    const isInForce = marker !== null && c.to.marker.epoch === marker.epoch;
    if (isInForce && waiting.includes(vendor.name)) {
      this.fail('drill-by-turns', `${at}: epoch ${c.to.marker.epoch} before its turn`);
    }
    if (drill === null || !isInForce) return;
    const two = [drill.from, drill.to].map((origin) => this.#cnameOf(c.name, origin));
    if (!two.includes(c.to.cname)) this.fail('drill-serves-two', `${at} -> ${c.to.cname}`);
  }

  /** Rules 4, 14, 25 and 27 for one change, by what had been read. */
  #owns(r: Replica, vendor: SimVendor, c: Change, to: Marker, at: string): void {
    const no = (what: string) => this.fail('rule-4-not-owned-untouched', `${at}: ${what}`);
    const { from } = c;
    const { cname } = c.to;
    const rec = this.#recordLog(r, c.name);
    const record = r.config.records[c.name]!;
    if (from.refusal !== null) no(from.refusal.sentence);
    if (from.markers.length > 1) return no('two markers');
    const lines = from.cnames.map((n) => n.line);
    if (new Set(lines).size < lines.length) return no('two CNAMEs');
    const stands = givenBy(from, cname);
    const placed = rec.placed.get(vendor.name);
    const isHere = placed !== undefined && placed.epoch >= rec.since;
    const text = from.markers[0];
    if (text !== undefined) {
      if (this.#whose(rec, c.name, text, valuesIn(from)) === 'foreign') {
        return this.fail('rule-25-foreign-untouched', `${at}: over ${text}`);
      }
      const was = parseMarker(text)!;
      if (was.epoch > to.epoch) {
        this.fail('rule-14-no-lower-epoch', `${at}: ${to.epoch} over ${was.epoch}, as it had read`);
      }
      if (was.epoch === to.epoch && was.id !== to.id) this.#equal(was, to, at);
      // What was there before the last switch lags; what differs since then was edited.
      if (stands !== cname && isHere) this.#mayMend(r, vendor, c.name, stands, at);
      return;
    }
    if (stands === cname) return;
    const isTarget = record.targets.some((t) => t.cname === stands);
    const claim = rec.claims.get(vendor.name);
    if (claim === 'any' || (claim === 'configured' && isTarget)) return;
    if (placed === undefined) {
      if (stands !== null) return no(`over ${stands}`);
      if (!this.#everHeld.has(c.name) && !this.#created.has(c.name)) {
        no('created although it stood nowhere and nobody said --create');
      }
      return;
    }
    // What was emptied before the last switch is made again by it.
    if (stands === placed.cname || ((isTarget || stands === null) && !isHere)) return;
    this.#mayMend(r, vendor, c.name, stands, at);
  }

  /** A write that takes an edit back: said in the journal first, but for a late write of one's own. */
  #mayMend(r: Replica, vendor: SimVendor, name: Name, stands: Name | null, at: string): void {
    if (this.#isLate(r, vendor.name, name, stands)) return;
    const mends = this.#log(r).mends.get(`${vendor.name} ${name}`);
    if (mends?.open) mends.open = false;
    // Until its first commit fails, nobody knows that the store cannot take the entry.
    else if (!r.store.refuses && !r.store.owed)
      this.fail('rule-27-edits-left', `${at}: over an edit to ${stands ?? 'nothing'}`);
  }

  /** What was sent there, and not answered for, may arrive yet. */
  #isLate(r: Replica, vendor: string, name: Name, value: Name | null): boolean {
    const { unseen } = this.#recordLog(r, name);
    const doubted = unseen.get(`${vendor} ${value}`) ?? Number.NEGATIVE_INFINITY;
    // A replica counts by its own clock, which stands still when it does.
    const now = r.process.now();
    if (now - doubted < 6 * MINUTE) return true;
    const sent = this.#sent.get(`${r.name} ${vendor} ${name} ${value}`);
    return sent !== undefined && sent.open > 0 && now - sent.at < 10 * MINUTE;
  }

  /** Rule 27: what is mended, by the table of the design's section 5. */
  #repaired(r: Replica, rec: RecordLog, name: Name, provider: string, at: number): void {
    const log = this.#log(r);
    const record = r.config.records[name]!;
    const where = `${r.name} at ${provider}: ${name}`;
    const reading = log.readings.get(`${provider} ${name}`);
    if (reading === undefined || rec.marker === null) {
      return this.fail('rule-26-mended-by-its-api', `${where} was never read`);
    }
    const inForce = rec.marker.target;
    const value = givenBy(reading.seen, this.#cnameOf(name, inForce));
    if (this.#isLate(r, provider, name, value)) return;
    if (value === this.#cnameOf(name, inForce)) {
      const isWhole = !hasGaps(record, provider, reading.seen);
      if (isWhole && this.#isMarked(rec, name, reading.seen)) {
        return this.#retimes(r, name, provider, reading);
      }
      const { count } = this.#mends(log, `${provider} ${name}`, 'marker', at);
      if (count >= 3) this.fail('rule-27-mends-end', `${where}: its marker, again`);
      return;
    }
    const originOf = (value: Name | null) =>
      record.targets.find((t) => t.cname === value)?.origin ?? null;
    const origin = originOf(value);
    const health = (name: string | null) => log.health.get(name ?? '')?.health ?? 'unknown';
    const isUp = health(inForce) === 'up';
    const all = straysIn(reading.seen, this.#cnameOf(name, inForce) ?? null);
    const isAway = isUp && all.some((v) => v === null || health(originOf(v)) === 'down');
    const isPinned = this.#isPinned(rec, at) && health(originOf(oneOf(reading.seen))) !== 'up';
    const isBack = record.edits === 'mend' && (isUp || isPinned);
    const what = `${where}: ${value ?? 'nothing'} (${health(origin)}) by \`${record.edits}\``;
    if (!isAway && !isBack) this.fail('rule-27-the-table', what);
    // Nobody has decided to put it back before it was first read.
    const freshSince = Math.max(at - this.#provesWithin(inForce), reading.sinceAt);
    if (isUp) this.#freshly(log, inForce, Math.min(freshSince, reading.beforeAt), what);
    const kind = isAway ? 'away' : 'back';
    const { count, lastAt } = this.#mends(log, `${provider} ${name}`, kind, at);
    const paceMs = Math.min(15, 2 ** (count - 3)) * MINUTE;
    if (count >= 3 && (!isAway || at - lastAt < paceMs)) this.fail('rule-27-mends-end', what);
    for (const stray of all.map(originOf)) if (stray !== null) rec.wishes.set(stray, at);
  }

  /** One more mend of a kind; what there was of that kind before, forgotten after an hour of calm. */
  #mends(log: ReplicaLog, key: string, kind: MendKind, at: number): Mends[MendKind] {
    const known = log.mends.get(key);
    const lastAt = Math.max(
      0,
      ...(known === undefined ? [] : mendKinds.map((k) => known[k].lastAt)),
    );
    const mends = known !== undefined && at - lastAt < HOUR ? known : noMends;
    const one = { count: mends[kind].count + 1, lastAt: at };
    log.mends.set(key, { ...mends, [kind]: one, open: kind !== 'marker' });
    return mends[kind];
  }

  /** The marker that it wants stands there, proven where markers are signed. */
  #isMarked(rec: RecordLog, name: Name, seen: Seen): boolean {
    const [text] = seen.markers;
    const m = parseMarker(text ?? '');
    if (m === null || rec.marker === null || seen.markers.length > 1) return false;
    const whose = this.#whose(rec, name, text!, valuesIn(seen));
    // Without a key a signature is one too many: an earlier version could not read it.
    const isPlain = !this.#plan.config.signed && m.mac === undefined;
    return bare(m) === bare(rec.marker) && (whose === 'genuine' || isPlain);
  }

  /** Nothing but the TTL is put right: then it differs from what is configured. */
  #retimes(r: Replica, name: Name, provider: string, { seen }: Reading): void {
    const publish = r.config.records[name]?.publish.find((p) => p.provider === provider);
    const isTimed = seen.cnames.every((c) => c.ttl === publish?.ttl);
    // A shorter one is wanted of what is prepared, or away in a drill.
    const now = r.controller?.status().records.find((one) => one.name === name);
    const isShort = now === undefined || now.prepared !== null || now.drill !== null;
    if (publish === undefined || !isTimed || isShort) return;
    this.fail('rule-27-mends-end', `${r.name} at ${provider}: ${name} is as it should be`);
  }

  /** Rule 27: an operator's word at most providers, or what one vendor says where it is followed. */
  #byHand(r: Replica, rec: RecordLog, record: RecordConfig, d: SwitchData, at: number): void {
    const log = this.#log(r);
    const what = `${r.name}: ${record.name} ${d.from} -> ${d.to} (edited)`;
    const no = (why: string) => this.fail('rule-27-a-word', `${what}: ${why}`);
    if (this.#isPinned(rec, at)) no('it was pinned');
    if (rec.frozen || log.frozen) no('it was frozen');
    if (rec.deposed) no('it was deposed');
    const cname = this.#cnameOf(record.name, d.to);
    const said = record.publish.flatMap(({ provider }) => {
      const reading = log.readings.get(`${provider} ${record.name}`);
      return reading !== undefined && oneOf(reading.seen) === cname ? [reading] : [];
    });
    const words = said.filter(({ seen, sinceAt }) => {
      const m = parseMarker(seen.markers[0] ?? '');
      const isLeft = m !== null && rec.marker !== null && bare(m) === bare(rec.marker);
      return isLeft && at - sinceAt <= 15 * MINUTE;
    });
    const health = log.health.get(d.to)?.health ?? 'unknown';
    const most = Math.max(2, Math.floor(record.publish.length / 2) + 1);
    const isTool = at - (rec.wishes.get(d.to) ?? Number.NEGATIVE_INFINITY) < 24 * HOUR;
    rec.wishes.set(d.to, at);
    if (words.length >= most && health !== 'down' && !isTool) return;
    if (record.edits !== 'follow') return no(`${words.length} of ${most} say so, ${health}`);
    const recent = rec.spends.filter((s) => at - s.at < HOUR).length;
    if (said.length === 0 || health !== 'up') no(`${said.length} say so, ${health}`);
    if (recent > record.switchesPerHour - 2) no('it takes the last of the budget');
    rec.spends = [...rec.spends, { at, over: false }];
  }

  /** Rules 14 and 25: who is followed, and who deposes, has the key, and was read by an API. */
  #obeys(r: Replica, rec: RecordLog, name: Name, d: { epoch: number; id: string }, word: string) {
    if (rec.heard.has(`${d.epoch} ${d.id}`)) return;
    this.fail(
      'rule-25-only-genuine-orders',
      `${r.name}: ${name} ${word} by epoch ${d.epoch} ${d.id}`,
    );
  }

  /**
   * Rule 4: what stands at most of its providers, or a proven marker once most were read. True where
   * an operator said so, which leaves its pin alone.
   */
  #adopts(
    r: Replica,
    rec: RecordLog,
    record: RecordConfig,
    doc: RecordDoc | undefined,
    isLate: boolean,
  ): boolean {
    const log = this.#log(r);
    const { name } = record;
    const cname = this.#cnameOf(name, doc?.target ?? '');
    const read = record.publish.flatMap(({ provider }) => {
      const reading = log.readings.get(`${provider} ${name}`);
      return reading === undefined ? [] : [{ provider, value: oneOf(reading.seen) }];
    });
    const agree = read.filter(({ value }) => value === cname);
    if (log.orders.delete(`${name} adopt ${doc?.target}`)) {
      for (const { provider } of record.publish) rec.claims.set(provider, 'any');
      return true;
    }
    // What it rested on, where it is told late, has changed since.
    const at = isLate ? record.publish : agree;
    for (const { provider } of at) rec.claims.set(provider, 'configured');
    if (isLate) return false;
    const most = Math.floor(record.publish.length / 2) + 1;
    const { marker } = doc ?? {};
    const isProven = marker != null && rec.heard.has(`${marker.epoch} ${marker.id}`);
    const what = `${r.name}: ${name} on ${doc?.target}: ${agree.length} of ${read.length} say so`;
    if (read.length < most || (!isProven && agree.length < most))
      this.fail('rule-4-majority', what);
    return false;
  }

  #isPinned({ pinnedUntil }: RecordLog, at: number): boolean {
    return pinnedUntil === null || (pinnedUntil !== 'none' && at < pinnedUntil);
  }

  /** Of one epoch the operator's comes first, then the higher term, then the greater id. */
  #equal(was: Marker, to: Marker, at: string): void {
    const rank = (m: Marker) => [m.kind === 'operator' ? 1 : 0, m.term, m.id] as const;
    const [a, b] = [rank(was), rank(to)];
    const differs = a.findIndex((x, i) => x !== b[i]);
    if (b[differs]! > a[differs]!) return;
    this.fail('rule-14-no-lower-epoch', `${at}: ${to.id} over ${was.id} at epoch ${to.epoch}`);
  }

  /** What has really become of a vendor's records. */
  changed(vendor: SimVendor, change: VendorChange): void {
    const { name, by, before, after } = change;
    if (after.cname !== null) this.#everHeld.add(name);
    this.trace(
      `${vendor.name}: ${name} ${after.cname?.value ?? 'nothing'} ` +
        `[${after.texts.map((t) => t.value.slice(9)).join('; ')}] by ${by}`,
    );
    const actor = this.#logs.get(by);
    if (actor === undefined) {
      this.#humanAt.set(`${vendor.name} ${name}`, this.#timeline.now);
      return;
    }
    const at = `${by} at ${vendor.name}: ${name}`;
    if (before.cname !== null && after.cname === null) this.fail('rule-1-never-empty', at);
    const wrong = wrongOf(this.#plan.config.records[name], vendor.name, change);
    if (wrong !== null) this.fail(wrong[0], `${at}: ${wrong[1]}`);
    if (before.other !== null) this.fail('rule-4-not-owned-untouched', `${at} has ${before.other}`);
    const kept = new Set(after.texts.map((t) => t.value));
    const rec = actor.records.get(name);
    for (const { value: text } of before.texts) {
      // Where the value went first, the marker still stands beside it.
      const signed = this.#signed.get(`${name} ${text}`);
      const values = signed === undefined ? valuesOf(before) : [signed];
      // Whoever has lost its store since it sent this was looked at when it sent it.
      const isOurs = rec === undefined || this.#whose(rec, name, text, values) !== 'foreign';
      if (!isOurs && !kept.has(text)) {
        this.fail('rule-25-foreign-untouched', `${at}: ${text.slice(0, 200)} is gone`);
      }
    }
    if (vendor.strength === 'weak') return;
    const [was, is] = [highest(before.texts), highest(after.texts)];
    if (was === null || is === null) return;
    if (is.epoch < was.epoch) {
      this.fail('rule-14-no-lower-epoch', `${at}: ${is.epoch} over ${was.epoch}`);
    } else if (is.epoch === was.epoch && is.id !== was.id) this.#equal(was, is, at);
  }

  // ------------------------------------------------------------ what it remembers

  committed(r: Replica, commit: Commit): void {
    const log = this.#log(r);
    if (commit.at < log.lastAt) {
      this.fail('rule-12-time-never-goes-back', `${r.name}: ${commit.at} after ${log.lastAt}`);
    }
    log.lastAt = commit.at;
    const docs = new Map<Name, RecordDoc>();
    for (const [key, value] of commit.docs) {
      if (!key.startsWith('record/') || value === null) continue;
      const doc = value as unknown as RecordDoc;
      docs.set(key.slice(7), doc);
      if (doc.marker === null) continue;
      this.#committed.add(keyOf(key.slice(7), doc.marker));
      this.gives(key.slice(7), doc.marker.epoch);
    }
    for (const moment of commit.earlier ?? []) {
      for (const entry of moment.entries) this.#late(r, entry, moment.at, docs);
    }
    const { at, entries } = commit;
    for (const entry of entries) this.#entry(r, entry, { at, docs, entries, isLate: false });
    const all = [...(commit.earlier ?? []).flatMap((m) => m.entries), ...commit.entries];
    for (const [name, doc] of docs) this.#remembers(r, name, doc, all);
    for (const [name, rec] of log.records) {
      const { claims, pinnedUntil } = rec;
      // What stands in the store, which a reply that came just before the end may not be in.
      const stored = docs.get(name)?.placed;
      const placed =
        stored === undefined
          ? rec.kept.placed
          : new Map(
              Object.entries(stored).map(([vendor, { cname, marker }]) => {
                return [vendor, { cname, epoch: marker.epoch }] as const;
              }),
            );
      rec.kept = { placed, claims: new Map(claims), pinnedUntil };
    }
  }

  /** What the store holds of a record from now on. */
  #remembers(r: Replica, name: Name, doc: RecordDoc, entries: readonly Entry[]): void {
    const rec = this.#recordLog(r, name);
    const at = `${r.name}: ${name}`;
    const kinds = new Set(entries.flatMap((e) => (e.record === name ? [e.kind] : [])));
    const isAway = entries.some((e) => e.kind === 'store');
    const { marker, epochMax } = doc;
    if (epochMax < rec.top) {
      this.fail('rule-1-epochs-never-go-back', `${at}: ${epochMax} after ${rec.top}`);
    }
    if (this.#plan.config.signed && epochMax > (this.#given.get(name) ?? 0)) {
      this.fail('rule-25-foreign-counts-not', `${at}: ${epochMax} was given out by nobody`);
    }
    const was = rec.marker;
    const isNew = marker !== null && (was === null || bare(marker) !== bare(was));
    // A pin that is told late says nothing of a marker that was taken since.
    const isGiven = kinds.has('switch') || (kinds.has('pin') && !kinds.has('taken'));
    if (isNew && isGiven && marker.epoch <= rec.top) {
      this.fail('rule-15-epochs-given-out-once', `${at}: ${marker.epoch} after ${rec.top}`);
    }
    const isMoved = isNew && marker.target !== was?.target;
    const hasReason = ['switch', 'taken', 'adopt', 'ack'].some((kind) => kinds.has(kind as never));
    if (isMoved && was !== null && !hasReason && !isAway) {
      this.fail('rule-27-a-move-has-its-reason', `${at}: ${was.target} -> ${marker.target}`);
    }
    if (isNew && (hasReason || isMoved)) rec.since = marker.epoch;
    // Why it changed could not be told while the store was away.
    else if (isNew && isAway) rec.since = doc.since ?? marker.epoch;
    if (isMoved && was !== null) this.#leaves(r, rec, name, was);
    rec.marker = marker;
    rec.drill = doc.drill ?? null;
    const { order = [], openedAt = {} } = doc.turns ?? {};
    rec.waiting = order.filter((provider) => !Object.hasOwn(openedAt, provider));
    const isGone = rec.drill !== null && marker?.target === rec.drill.to;
    if (isGone && doc.pin !== null) this.fail('drill-pins-nothing', at);
    rec.top = Math.max(rec.top, epochMax);
    if (doc.adopted !== true) rec.foundTtls.clear();
    else if (kinds.has('adopt')) {
      rec.foundTtls = new Map(
        [...this.vendors].map(([provider, v]) => [provider, v.at(name).cname?.ttl] as const),
      );
    }
    // What was in force while the store was away is told only now, and so is what stood under it.
    for (const [vendor, p] of isAway ? Object.entries(doc.placed ?? {}) : []) {
      if (!rec.shown.has(`${vendor} ${p.cname} ${bare(p.marker)}`)) continue;
      rec.placed.set(vendor, { cname: p.cname, epoch: p.marker.epoch });
    }
    const placed = Object.values(doc.placed ?? {}).map((p) => p.marker);
    const own = new Set([...(marker === null ? [] : [marker]), ...placed].map(bare));
    for (const text of rec.own) if (!own.has(text)) rec.left.set(text, this.#timeline.now);
    rec.own = own;
  }

  /** What stood there when it was adopted keeps its TTL, whoever left it: a release leaves all. */
  hasFoundTtl(r: Replica, name: Name, provider: string): boolean {
    const found = this.#recordLog(r, name).foundTtls.get(provider);
    return found !== undefined && found === this.vendors.get(provider)!.at(name).cname?.ttl;
  }

  /** What was in force, and never seen to stand at a vendor, may have been sent there by anybody. */
  #leaves(r: Replica, rec: RecordLog, name: Name, was: Marker): void {
    const cname = this.#cnameOf(name, was.target);
    for (const { provider } of this.#plan.config.records[name]!.publish) {
      const placed = rec.placed.get(provider);
      const isSeen = placed?.cname === cname && placed!.epoch >= was.epoch;
      if (!isSeen) rec.unseen.set(`${provider} ${cname}`, r.process.now());
    }
  }

  /** What it goes by though its store cannot take it: the journal tells of it late. */
  unstored(r: Replica, { kind, record }: Entry): void {
    const isTaken = kind === 'taken' || kind === 'adopt';
    if (isTaken && record !== null) this.#recordLog(r, record).deposed = false;
  }

  /** What happened while the store failed: no decision, and what was seen may be long over. */
  #late(r: Replica, entry: Entry, at: number, docs: ReadonlyMap<Name, RecordDoc>): void {
    if (entry.kind === 'switch') {
      this.fail('rule-13-no-switch-without-a-store', `${r.name}: ${entry.sentence}`);
    }
    const isOver = entry.kind === 'health' || entry.kind === 'repair';
    if (isOver) return this.trace(`${r.name}| late: ${entry.sentence}`);
    this.#entry(r, entry, { at, docs, entries: [], isLate: true });
  }

  #entry(r: Replica, entry: Entry, { at, docs, entries, isLate }: Told): void {
    const log = this.#log(r);
    this.trace(`${r.name}| ${entry.kind}: ${entry.sentence}`);
    this.answers.entry(r.name, r.config, entry, at);
    if (entry.kind === 'health') return this.#health(r, entry.data as never, at);
    if (entry.record === null) {
      // Of another definition nothing is known.
      if (entry.kind === 'reload') log.audited.clear();
      if (entry.kind === 'lease') log.ledAt = this.#timeline.now;
      if (entry.kind === 'store') this.#catchUp(r, log, entries);
      if (entry.kind === 'forgotten') {
        log.forgotten = true;
        for (const word of (entry.data as { words: readonly string[] }).words) {
          const [, name] = /^(\S+): TTL brought down/.exec(word) ?? [];
          if (name !== undefined) this.unprepared.add(name);
        }
      }
      if (entry.kind === 'freeze') log.frozen = true;
      if (entry.kind === 'unfreeze') log.frozen = false;
      this.#isOver(log, entry);
      return;
    }
    if (entry.kind === 'release') {
      const heard = isLate ? (log.records.get(entry.record)?.heard ?? []) : [];
      log.records.delete(entry.record);
      // Where it is told late, what was heard since is what it goes by when it has come back.
      for (const marker of heard) this.#recordLog(r, entry.record).heard.add(marker);
      log.words.delete(`freeze ${entry.record}`);
      return;
    }
    const rec = this.#recordLog(r, entry.record);
    switch (entry.kind) {
      case 'switch':
      case 'would-switch':
        return this.#switched(
          r,
          rec,
          entry.record,
          entry.data as never,
          at,
          entry.kind === 'switch',
          (docs.get(entry.record)?.turns ?? null) !== null,
        );
      case 'drill':
        return this.#drillSaid(r, rec, entry);
      case 'pin':
        rec.pinnedUntil = (entry.data as { untilAt: number | null }).untilAt;
        return;
      case 'unpin':
        rec.pinnedUntil = 'none';
        return;
      case 'freeze':
      case 'unfreeze':
        rec.frozen = entry.kind === 'freeze';
        return this.#isOver(log, entry);
      case 'deposed':
        this.#obeys(r, rec, entry.record, entry.data as never, 'deposed');
        rec.deposed = true;
        return;
      case 'repair': {
        const { provider } = entry.data as { readonly provider: string };
        return this.#repaired(r, rec, entry.record, provider, at);
      }
      case 'taken':
      case 'adopt': {
        const doc = docs.get(entry.record);
        const record = r.config.records[entry.record] ?? this.#plan.config.records[entry.record]!;
        if (entry.kind === 'taken') {
          this.#obeys(r, rec, entry.record, entry.data as never, 'taken');
        } else if (this.#adopts(r, rec, record, doc, isLate)) return;
        const marker = doc?.marker ?? null;
        const pinMs = Math.min(marker?.pinMs ?? 2 * HOUR, 2 * HOUR);
        rec.pinnedUntil = marker?.pinned ? at + pinMs : 'none';
        rec.deposed = false;
        rec.lastSwitchAt = at;
        return;
      }
    }
  }

  /** What was said to last for so long ends by itself: what is given back by a word, its reply tells. */
  #isOver(log: ReplicaLog, { kind, record, data }: Entry): void {
    const what = (data as { readonly what?: string } | null)?.what;
    const over = record === null ? 'freeze' : `freeze ${record}`;
    const key = kind === 'undrain' ? `drain ${what}` : kind === 'unfreeze' ? over : null;
    if (key !== null && log.words.get(key)?.holds) log.words.delete(key);
  }

  /** What the journal could not be told while the store was away is asked of the status. */
  #catchUp(r: Replica, log: ReplicaLog, entries: readonly Entry[]): void {
    log.unnoted = false;
    for (const word of log.words.values()) word.durable = true;
    const status = r.controller?.status();
    for (const o of status?.origins ?? []) {
      log.health.set(o.name, { health: o.health, at: o.sinceAt });
      const { downSince } = log;
      if (o.health === 'up' && downSince.has(o.name)) this.#isBack(log, o.name, o.sinceAt);
      if (o.health === 'down' && !downSince.has(o.name)) downSince.set(o.name, o.sinceAt);
    }
    for (const record of status?.records ?? []) {
      const rec = this.#recordLog(r, record.name);
      // What moves in this very step has its own pin by now, and had none before.
      const moves = entries.some((e) => e.record === record.name && e.kind === 'switch');
      rec.pinnedUntil = record.pin === null || moves ? 'none' : record.pin.untilAt;
    }
  }

  /** A drill begins only where all of the record's targets are up, and nothing holds it. */
  #drillSaid(r: Replica, rec: RecordLog, { data, record }: Entry): void {
    const log = this.#log(r);
    const { result } = data as { readonly result: string };
    if (result === 'passed') this.drills.passed++;
    if (result !== 'began') return;
    const targets = r.config.records[record!]?.targets ?? [];
    const ill = targets.filter((t) => log.health.get(t.origin)?.health !== 'up');
    const isHeld = rec.frozen || log.frozen || rec.deposed || this.#isPinned(rec, r.process.now());
    const others = [...log.records].filter(([name, one]) => name !== record && one.drill !== null);
    const what = `${r.name}: ${record}: ${ill.map((t) => t.origin)} ${isHeld}`;
    if (ill.length > 0 || isHeld) this.fail('drill-begins-well', what);
    if (others.length > 0) this.fail('drill-one-at-a-time', what);
  }

  #health(
    r: Replica,
    data: { readonly origin: string; readonly was: string; readonly health: string },
    at: number,
  ): void {
    const log = this.#log(r);
    log.health.set(data.origin, { health: data.health, at: at - ROUND });
    if (data.health === 'up') this.#isBack(log, data.origin, at);
    if (data.health !== 'down') return;
    if (!log.downSince.has(data.origin)) {
      log.downSince.set(data.origin, at - ROUND);
    }
    const guilty = this.#required(data.origin).filter((c) => this.#isCondemned(r, c, at));
    if (guilty.length === 0) {
      this.fail('rule-6-a-quorum-of-failures', `${r.name} calls ${data.origin} down without one`);
    }
    const sound = this.#required(data.origin).every((c) => this.#isSound(r, c));
    if (sound) {
      this.fail('rule-6-sound-origin-never-down', `${r.name} calls ${data.origin} down`);
    }
  }

  /** Enough groups have seen it fail of late. */
  #isCondemned(r: Replica, check: CheckConfig, at: number): boolean {
    const log = this.#log(r);
    const { detector } = this.#plan.config;
    const least = detector.kind === 'counters' ? check.fall : 1;
    const from = at - 20 * this.#slow * check.intervalMs - MINUTE;
    const groups = this.#groups(check, (path) => {
      const fails = log.fails.get(`${check.id}@${path}`) ?? [];
      return fails.filter((t) => t >= from).length >= least;
    });
    return groups.yes >= this.#quorum(check, groups.all);
  }

  /** It has been well for long, and so have all but a minority of the ways to it. */
  #isSound(r: Replica, check: CheckConfig): boolean {
    const since = this.#timeline.now - 20 * this.#slow * check.intervalMs - 3 * MINUTE;
    return isSound(this.#plan.config, this.#truth, check, since, (path) => {
      return this.#truth.ways.troubledAt(`${r.name}/${path}`) < since;
    });
  }

  // ------------------------------------------------------------ what it decided

  #switched(
    r: Replica,
    rec: RecordLog,
    name: Name,
    d: SwitchData,
    at: number,
    isReal: boolean,
    byTurns: boolean,
  ): void {
    const log = this.#log(r);
    if (isReal) this.switches++;
    const record = r.config.records[name]!;
    const what = `${r.name}: ${name} ${d.from} -> ${d.to} (${d.why})`;
    if (d.kind === 'auto') this.#automatic(r, rec, record, d, at, what);
    else if (d.why === 'edited') this.#byHand(r, rec, record, d, at);
    else if (!log.orders.delete(`${name} switch ${d.to}`)) this.fail('rule-27-a-word', what);
    this.answers.used(r.name, name);
    const spends = d.kind === 'auto' && d.why !== 'drained' && d.why !== 'drill';
    if (spends) this.#spend(r, rec, record, d, at, what);
    if (d.why === 'edited') rec.pinnedUntil = at + HOUR;
    else if (d.kind === 'operator') rec.pinnedUntil = 'none';
    rec.target = d.to;
    rec.lastSwitchAt = at;
    if (!isReal) return;
    const { disturbedAt } = log;
    // Whoever waits for its turn is not late.
    if (byTurns) return;
    this.#timeline.later(31_000, () => {
      const calm = log === this.#logs.get(r.name) && log.disturbedAt === disturbedAt;
      const now = r.controller?.status().records.find((x) => x.name === name);
      if (calm && r.isLive && now?.switching === true && now.decidedAt === at) {
        this.fail('rule-16-a-switch-ends', `${what} has not ended after 30 s`);
      }
    });
    for (const { provider } of record.publish) this.#follows(r, rec, name, d, provider, what);
  }

  /** What an audit found not to serve the public names is not taken while another could be. */
  #serves(r: Replica, record: RecordConfig, d: SwitchData, at: number, what: string): void {
    const { audited, health, broken } = this.#log(r);
    const isUnfit = (target: string) => {
      const found = audited.get(`${record.name} ${target}`);
      return found?.word === 'unfit' && at - found.at < 2 * HOUR;
    };
    if (!isUnfit(d.to)) return;
    const view = r.controller?.status().records.find(({ name }) => name === record.name);
    const others = record.targets.filter(({ origin, cname }) => {
      const isDrained = view?.targets.find((t) => t.origin === origin)?.drained !== false;
      const isBroken = at - (broken.get(cname) ?? Number.NEGATIVE_INFINITY) < 11_000;
      const isUp = health.get(origin)?.health === 'up' && !isDrained && !isBroken;
      return isUp && origin !== d.from && !isUnfit(origin);
    });
    const list = others.map(({ origin }) => origin).join(', ');
    if (others.length > 0) this.fail('standby-serves', `${what}, and ${list} serves the names`);
  }

  /** Rules 3, 5, 8, 9 and 11 for one automatic switch. */
  #automatic(
    r: Replica,
    rec: RecordLog,
    record: RecordConfig,
    d: SwitchData,
    at: number,
    what: string,
  ): void {
    const log = this.#log(r);
    if (this.#isPinned(rec, at)) this.fail('rule-9-pin-holds', what);
    // What a drill moved is put back in a freeze, too.
    const isBack = d.why === 'drill' && d.to === rec.drill?.from;
    if ((rec.frozen || log.frozen) && !isBack) this.fail('freeze-holds', what);
    if (d.why === 'drill') this.#drilled(rec, record, d, what);
    if (rec.deposed) this.fail('rule-14-deposed-decides-nothing', what);
    if (log.health.get(d.to)?.health !== 'up') this.fail('rule-3-only-to-up', what);
    if (d.why !== 'drill') this.#serves(r, record, d, at, what);
    const from = log.health.get(d.from ?? '');
    if (d.why === 'target-down' && from?.health !== 'down') {
      this.fail('rule-5-unknown-moves-nothing', `${what}: ${from?.health ?? 'unknown'}`);
    }
    const isSlow = this.#isSlow(d.to);
    const freshSince = Math.max(
      at - this.#provesWithin(d.to),
      d.why === 'target-down' ? (from?.at ?? 0) : 0,
    );
    this.#freshly(log, d.to, freshSince, what);
    // The way home of a drill waits for nobody.
    const since = isBack ? 0 : this.answers.moved(r.name, r.config, record.name, d, at);
    if (!isSlow && since > 0) this.#freshly(log, d.to, since, `${what}, since ${at - since} ms`);
    const cname = record.targets.find((t) => t.origin === d.to)!.cname;
    if ((log.chains.get(cname) ?? -1) < freshSince) this.fail('rule-3-chain-answered', what);
    this.#settled(r, record, at, what);
    if (d.why === 'target-down' && from !== undefined && at - from.at < 0) {
      this.fail('rule-8-settled', what);
    }
    if (d.why === 'failback') this.#failback(r, rec, record, d, at, what);
  }

  /** A drill goes from the one to the other and back, each once. */
  #drilled(rec: RecordLog, record: RecordConfig, d: SwitchData, what: string): void {
    const { drill } = rec;
    if (record.mode === 'observe') this.fail('drill-never-in-observe', what);
    if (drill === null) return this.fail('drill-was-ordered', what);
    const isThere = drill.stage === 'confirming' && d.from === drill.from && d.to === drill.to;
    const isBack = drill.stage === 'ending' && d.from === drill.to && d.to === drill.from;
    if (!isThere && !isBack) this.fail('drill-goes-and-comes', `${what} while ${drill.stage}`);
    if (isThere) this.drills.moved++;
  }

  /** What limits who asks passes more rarely. */
  #isSlow(origin: string): boolean {
    return this.#truth.limits.troubledAt(origin) >= this.#timeline.now - HOUR;
  }

  /** How long after a decision the last of the passes that it wants may have begun. */
  #provesWithin(origin: string): number {
    return this.#isSlow(origin) ? 10 * MINUTE : 20_000;
  }

  /** Rule 3: passes of each of its checks, begun since then, by a quorum. */
  #freshly(log: ReplicaLog, origin: string, since: number, what: string): void {
    for (const check of this.#own(origin)) {
      const groups = this.#groups(
        check,
        (path) => (log.passBegan.get(`${check.id}@${path}`) ?? -1) >= since,
      );
      if (groups.yes < this.#quorum(check, groups.all)) {
        this.fail('rule-3-fresh-passes', `${what}: ${check.id} by ${groups.yes} groups`);
      }
    }
  }

  /** Rule 8: every verdict has settled, and every provider was read or given three seconds. */
  #settled(r: Replica, record: RecordConfig, at: number, what: string): void {
    const log = this.#log(r);
    for (const { origin } of record.targets) {
      const known = log.health.get(origin);
      if (known !== undefined && known.health !== 'unknown') continue;
      const bounds = this.#required(origin).map(
        (c) => c.fall * (this.#fast * c.intervalMs + c.timeoutMs),
      );
      const since = known?.at ?? log.bootAt;
      if (at - since < Math.max(0, ...bounds)) {
        this.fail('rule-8-settled', `${what}: ${origin} unknown for ${at - since} ms`);
      }
    }
    const unread = record.publish.find((p) => !log.read.has(`${p.provider} ${record.name}`));
    if (unread !== undefined && at - log.bootAt < 3000) {
      this.fail('rule-8-read-first', `${what}: ${unread.provider} was not read`);
    }
  }

  #failback(
    r: Replica,
    rec: RecordLog,
    record: RecordConfig,
    d: SwitchData,
    at: number,
    what: string,
  ): void {
    const no = (why: string) => this.fail('rule-11-failback', `${what}: ${why}`);
    const { failback, targets } = record;
    if (failback.kind === 'manual') return no('failback is manual');
    const rank = (origin: string | null) => targets.findIndex((t) => t.origin === origin);
    if (rank(d.to) >= rank(d.from)) no('it is not preferred');
    const up = this.#log(r).health.get(d.to);
    if (up === undefined || at - up.at < failback.ms) no('it has not been up for long enough');
    if (at - rec.lastSwitchAt < failback.ms) no('the last switch was a moment ago');
  }

  /** Whoever left it of late need not have, if it is back before that can have helped. */
  #isBack(log: ReplicaLog, origin: string, at: number): void {
    log.downSince.delete(origin);
    for (const { spends } of log.records.values()) {
      const last = spends.at(-1);
      if (last?.from === origin && at <= last.at + (last.helpsInMs ?? 0) + ROUND) {
        last.needless = true;
      }
    }
  }

  /** An outage that outlasts a minute may have again what needless switches have used, once each. */
  #isLasting(log: ReplicaLog, recent: readonly Spend[], limit: number, d: SwitchData, at: number) {
    const since = log.downSince.get(d.from ?? '') ?? at;
    const needless = Math.min(limit, recent.filter((s) => s.needless === true).length);
    return at - since >= MINUTE && recent.length - needless < limit;
  }

  /** Rule 10. */
  #spend(
    r: Replica,
    rec: RecordLog,
    record: RecordConfig,
    d: SwitchData,
    at: number,
    what: string,
  ): void {
    const recent = rec.spends.filter((s) => at - s.at < HOUR);
    const limit = record.switchesPerHour;
    let over = false;
    if (d.why === 'failback' && recent.length > limit - 2) {
      this.fail('rule-10-budget', `${what}: a failback takes the last of ${limit}`);
    }
    const isLasting =
      d.why === 'target-down' && this.#isLasting(this.#log(r), recent, limit, d, at);
    if (recent.length >= limit && !isLasting) {
      over = true;
      const up = this.#log(r).health.get(d.to);
      const last = rec.spends.filter((s) => s.over).at(-1);
      const rested = last === undefined || at - last.at >= 30 * MINUTE;
      if (d.why !== 'target-down' || !rested || up === undefined || at - up.at < 5 * MINUTE) {
        this.fail('rule-10-budget', `${what}: ${recent.length} of ${limit} in the last hour`);
      }
    }
    const { from, helpsInMs = 0 } = d;
    const fled = d.why === 'target-down' ? { from, helpsInMs } : {};
    rec.spends = [...rec.spends.filter((s) => at - s.at < HOUR), { at, over, ...fled }];
  }

  /** Rules 7 and 16: a vendor that is well has the switch within seconds, whatever the others do. */
  #follows(
    r: Replica,
    rec: RecordLog,
    name: Name,
    d: SwitchData,
    provider: string,
    what: string,
  ): void {
    const log = this.#log(r);
    const decidedAt = this.#timeline.now;
    const { disturbedAt } = log;
    const vendor = this.vendors.get(provider)!;
    const weak = vendor.strength === 'weak';
    this.#timeline.later(weak ? 40_000 : 15_000, () => {
      const isSame = log === this.#logs.get(r.name) && log.disturbedAt === disturbedAt;
      if (!isSame || !r.isLive || rec.deposed || r.store.refuses) return;
      if ((this.#cleanSince.get(provider) ?? 0) > decidedAt || vendor.faults.length > 0) return;
      if (vendor.lies.size > 0) return;
      const editedAt = this.#humanAt.get(`${provider} ${name}`) ?? Number.NEGATIVE_INFINITY;
      if (editedAt >= decidedAt - MINUTE) return;
      if (placesOf(vendor, [name]).some((key) => log.blocked.has(key))) return;
      const zone = vendor.zoneOf(name)!;
      if (vendor.sick.has(zone) || (vendor.turnedAt.get(zone) ?? 0) > decidedAt) return;
      const stands = vendor.at(name);
      if (hasStrange(this.#plan.config.records[name], provider, stands)) return;
      const marker = highest(stands.texts);
      if (marker === null || stands.texts.length > 1) return;
      const values = valuesOf(stands);
      const whose = this.#whose(rec, name, stands.texts[0]!.value, values);
      // A marker that proves nothing, beside a line that was edited before anybody was in step there.
      const isUnknown = whose === 'ours' && !rec.placed.has(provider);
      if (whose === 'foreign' || (isUnknown && Object.keys(stands.lines).length > 0)) return;
      if (marker.epoch < d.epoch) {
        // Whatever is the matter with the others of this vendor, its zone is well.
        const rule = vendor.sick.size > 0 ? 'rule-24-a-zone-alone' : 'rule-16-retried-in-seconds';
        this.fail(rule, `${what}: ${provider} is at epoch ${marker.epoch}`);
      }
    });
  }

  /** A store was lost: whoever is alone may meet markers that it does not know to be its own. */
  get hasLostStores(): boolean {
    return this.#lostStores > 0;
  }

  /** Rule 25: a text at a vendor that a person who knows would leave there. */
  isOurs(name: Name, text: string, values: readonly (Name | null)[]): boolean {
    const all = [...this.#logs.values()].flatMap((log) => log.records.get(name) ?? []);
    return all.some((rec) => this.#whose(rec, name, text, values) !== 'foreign');
  }

  /** Readings that met lines of one record which differ. */
  splits = 0;

  /** Set by the world once they exist. */
  vendors: ReadonlyMap<string, SimVendor> = new Map();

  /** A fault of a vendor's API has begun or ended. */
  stirred(vendor: string): void {
    this.#cleanSince.set(vendor, this.#timeline.now);
  }

  /**
   * Rule 7: whoever leads, sees and may act has left a target that has been dead for long, when
   * another has been well for as long. Called now and then with whoever leads.
   */
  mustHaveMoved(r: Replica): void {
    const { origins, paths } = this.#plan.config;
    const { records } = r.config;
    const now = this.#timeline.now;
    const check = Object.values(this.#plan.config.checks)[0]!;
    const longMs = 8 * this.#slow * check.intervalMs + MINUTE;
    const isDead = (origin: string) => {
      const kind = this.#truth.places.top(origin)?.kind;
      const isHard = kind === 'refuse' || kind === 'hang';
      return isHard && now - this.#truth.places.since(origin) > longMs;
    };
    if (!Object.keys(origins).some(isDead) || now - this.#log(r).disturbedAt < longMs) return;
    // Whoever has just taken over reads everything first.
    if (now - this.#log(r).ledAt < MINUTE) return;
    const isCalm = (layers: Truth['places' | 'limits' | 'ways' | 'chains'], key: string) =>
      now - layers.troubledAt(key) > longMs;
    if (!Object.keys(paths).every((p) => isCalm(this.#truth.ways, `${r.name}/${p}`))) return;
    const isWell = (origin: string) =>
      [origin, ...origins[origin]!.needs].every((key) => isCalm(this.#truth.places, key)) &&
      isCalm(this.#truth.limits, origin);
    for (const view of r.controller!.status().records) {
      const record = records[view.name]!;
      if (view.target === null || !isDead(view.target) || view.decidedAt === null) continue;
      // Asked slowly, or left alone as it wished, its end is seen later.
      if (view.target in origins && !isCalm(this.#truth.limits, view.target)) continue;
      const open = record.targets.filter((t) => {
        const isOpen = !view.targets.find((x) => x.origin === t.origin)!.drained;
        return isOpen && isWell(t.origin) && isCalm(this.#truth.chains, t.cname);
      });
      const isFresh = r.process.now() - view.decidedAt < longMs + record.patienceMs;
      const asks = record.mode === 'approve' || record.hooks !== undefined;
      if (asks && MAY_WAIT.has(view.stay.reason)) continue;
      if (open.length === 0 || isFresh || MAY_STAY.has(view.stay.reason)) continue;
      const where = `${r.name}: ${view.name} on ${view.target}, dead for long: ${view.stay.reason}`;
      this.fail('rule-7-moves-in-time', where);
    }
  }

  // ------------------------------------------------------------ what it was told

  commanded(r: Replica, c: Command): void {
    this.trace(`${r.name}: operator says ${JSON.stringify(c)}`);
    if (c.kind === 'unfreeze') {
      if (c.record === null) this.#log(r).frozen = false;
      else this.#recordLog(r, c.record).frozen = false;
    }
    const key = keyOfWord(c);
    // Until it is answered nobody knows what must be so.
    if (key !== null) this.#log(r).words.delete(key);
    if (!('record' in c) || c.record === null) return;
    const rec = this.#recordLog(r, c.record);
    // What could not be committed holds until a restart all the same.
    if (c.kind === 'ack') {
      rec.spends = [];
      // What deposed it is taken, with its pin.
      if (rec.deposed) rec.pinnedUntil = 'none';
      rec.deposed = false;
    }
    if (c.kind === 'unpin') rec.pinnedUntil = 'none';
    if (c.kind === 'switch' && !c.dryRun) this.#log(r).orders.add(`${c.record} switch ${c.target}`);
    if (c.kind === 'adopt') {
      this.#log(r).orders.add(`${c.record} adopt ${c.target}`);
      if (c.create) this.#created.add(c.record);
    }
  }

  replied(r: Replica, c: Command, reply: Reply): void {
    this.trace(`${r.name}: replies ${reply.exit}: ${reply.message}`);
    const key = keyOfWord(c);
    const isHeld = reply.exit === 1 && reply.message.includes('until a restart');
    const log = this.#log(r);
    if (key !== null && (reply.exit === 0 || (isHeld && !log.unnoted))) {
      const holds = c.kind === 'drain' || c.kind === 'freeze';
      log.words.set(key, { holds, durable: reply.exit === 0 });
    }
    // What was refused explains nothing that comes later.
    const isRefused = !isHeld && (reply.exit === 1 || reply.exit === 2);
    if (isRefused && (c.kind === 'switch' || c.kind === 'adopt')) {
      log.orders.delete(`${c.record} ${c.kind} ${c.target}`);
    }
    if (c.kind !== 'switch' || reply.exit !== 0 || c.dryRun || c.force) return;
    const health = this.#log(r).health.get(c.target);
    if (health?.health !== 'up') {
      this.fail('rule-9-switch-to-down-wants-force', `${r.name}: ${c.record} to ${c.target}`);
    }
  }

  // ------------------------------------------------------------ words of the design

  #log(r: Replica): ReplicaLog {
    return this.#logs.get(r.name)!;
  }

  #recordLog(r: Replica, name: Name): RecordLog {
    const { records } = this.#log(r);
    const known = records.get(name);
    if (known !== undefined) return known;
    const made: RecordLog = {
      target: null,
      pinnedUntil: 'none',
      frozen: false,
      deposed: false,
      spends: [],
      lastSwitchAt: Number.NEGATIVE_INFINITY,
      drill: null,
      waiting: [],
      marker: null,
      since: 0,
      top: 0,
      heardTop: 0,
      own: new Set(),
      left: new Map(),
      heard: new Set(),
      placed: new Map(),
      shown: new Set(),
      foundTtls: new Map(),
      claims: new Map(),
      kept: { placed: new Map(), claims: new Map(), pinnedUntil: 'none' },
      unseen: new Map(),
      wishes: new Map(),
    };
    records.set(name, made);
    return made;
  }

  #own(origin: string): CheckConfig[] {
    const { checks, origins } = this.#plan.config;
    return origins[origin]!.checks.map((id) => checks[id]!).filter((c) => !c.advisory);
  }

  #required(origin: string): CheckConfig[] {
    return requiredOf(this.#plan.config, origin);
  }

  #groups(check: CheckConfig, fits: (path: string) => boolean): { all: number; yes: number } {
    return groupsOf(this.#plan.config, check, fits);
  }

  #quorum(check: CheckConfig, groups: number): number {
    return quorumOf(this.#plan.config, check, groups);
  }
}

/** What a word is about, where a restart must not change it: `drain oa`, `freeze`, `freeze NAME`. */
function keyOfWord(c: Command): string | null {
  if (c.kind === 'drain' || c.kind === 'undrain') return `drain ${c.what}`;
  if (c.kind !== 'freeze' && c.kind !== 'unfreeze') return null;
  return c.record === null ? 'freeze' : `freeze ${c.record}`;
}

/** Whether it is so by what the replica's disk holds. */
function stands(r: Replica, key: string): boolean {
  const { docs } = r.disk;
  const [kind, what] = key.split(' ') as [string, string | undefined];
  if (kind === 'drain') return docs.has(`drain/${what}`);
  if (what === undefined) return docs.has('freeze');
  const doc = JSON.parse(docs.get(`record/${what}`) ?? '{}') as { freeze?: object | null };
  return (doc.freeze ?? null) !== null;
}

/** What may ask to be left alone: the vendor, and each zone that is asked about. */
function placesOf(vendor: SimVendor, names: readonly Name[]): readonly string[] {
  const zones = new Set(names.map((name) => vendor.zoneOf(name)));
  return [vendor.name, ...[...zones].map((zone) => `${vendor.name} ${zone}`)];
}

/** What it gives; of lines that differ one that is not what is wanted. */
function givenBy(seen: Seen, wanted?: Name | null): Name | null {
  if (wanted == null || seen.cnames.length === 0) return seen.cnames[0]?.value ?? null;
  const [stray] = straysIn(seen, wanted);
  return stray === undefined ? wanted : stray;
}

function isAlike(a: Seen, b: Seen): boolean {
  const plain = ({ cnames }: Seen) =>
    cnames
      .map((c) => `${c.line} ${c.value}`)
      .sort()
      .join();
  return plain(a) === plain(b);
}

/** A marker's text without its signature. */
function bare({ mac: _, ...m }: Marker): string {
  return formatMarker(m);
}

function keyOf(name: Name, m: Marker): string {
  return `${name} ${m.epoch} ${m.id}`;
}

function highest(texts: readonly { readonly value: string }[]): Marker | null {
  let best: Marker | null = null;
  for (const t of texts) {
    const m = parseMarker(t.value);
    if (m !== null && (best === null || m.epoch > best.epoch)) best = m;
  }
  return best;
}
