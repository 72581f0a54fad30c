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
} from '../../src/core/model.ts';
import type { Commit } from '../../src/ports.ts';
import type { Timeline } from './clock.ts';
import type { Plan } from './draw.ts';
import type { Truth } from './faults.ts';
import type { Replica } from './replica.ts';
import type { SimVendor, VendorChange } from './vendors.ts';

export interface Violation {
  readonly rule: string;
  readonly what: string;
  readonly at: number;
}

const MINUTE = 60_000;
const HOUR = 3_600_000;

/** What is known from outside about one record at one replica. Times are the replica's own. */
interface RecordLog {
  target: string | null;
  pinnedUntil: number | null | 'none';
  frozen: boolean;
  deposed: boolean;
  /** Automatic switches that spend the budget, since the last `ack`. */
  spends: { readonly at: number; readonly over: boolean }[];
  lastSwitchAt: number;
}

interface Health {
  readonly health: string;
  readonly at: number;
}

/** One replica, as far as it can be seen from outside. */
interface ReplicaLog {
  records: Map<Name, RecordLog>;
  frozen: boolean;
  /** Of this life only. */
  bootAt: number;
  health: Map<string, Health>;
  fails: Map<string, number[]>;
  passBegan: Map<string, number>;
  pending: Map<string, number>;
  chains: Map<Name, number>;
  read: Set<string>;
  /** Names at a vendor whose last write was lost. */
  lost: Map<string, Set<Name>>;
  /** Until when a vendor is to be left alone, and why. */
  blocked: Map<string, { readonly until: number; readonly rule: string }>;
  /** `vendor record`: the vendor has said in which zone it is, when that was in trouble. */
  readonly placed: Set<string>;
  disturbedAt: number;
  lastAt: number;
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

interface SwitchData {
  readonly from: string | null;
  readonly to: string;
  readonly epoch: number;
  readonly id: string;
  readonly kind: 'auto' | 'operator';
  readonly why: string;
}

export class Checkers {
  readonly found: Violation[] = [];
  switches = 0;
  /** Told of everything worth a line. */
  trace: (line: string) => void = () => {};
  readonly #timeline: Timeline;
  readonly #plan: Plan;
  readonly #truth: Truth;
  readonly #logs = new Map<string, ReplicaLog>();
  /** Markers that some disk holds, as `NAME EPOCH ID`. */
  readonly #committed = new Set<string>();
  readonly #adopted = new Set<Name>();
  readonly #created = new Set<Name>();
  readonly #everHeld = new Set<Name>();
  /** Values that were sent to a vendor, by whichever replica. */
  readonly #sent = new Set<string>();
  readonly #humanAt = new Map<string, number>();
  readonly #cleanSince = new Map<string, number>();

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
      fails: new Map(),
      passBegan: new Map(),
      pending: new Map(),
      chains: new Map(),
      read: new Set(),
      lost: new Map(),
      blocked: new Map(),
      placed: new Set(),
      disturbedAt: this.#timeline.now,
      lastAt: old?.lastAt ?? 0,
    });
    this.trace(`${r.name}: starts`);
  }

  died(r: Replica): void {
    this.#log(r).disturbedAt = this.#timeline.now;
    this.trace(`${r.name}: is gone`);
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

  chained(r: Replica, name: Name, answer: ChainAnswer): void {
    if (answer.kind === 'answered') this.#log(r).chains.set(name, r.process.now());
    else this.#log(r).chains.delete(name);
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
      if (block === undefined || r.process.now() >= block.until) continue;
      const early = block.until - r.process.now();
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
  ): void {
    const log = this.#log(r);
    const works = answers.some((a) => a.kind === 'answered');
    if (op === 'read') {
      names.forEach((name, i) => {
        if (answers[i]?.kind === 'answered') log.read.add(`${vendor.name} ${name}`);
      });
    }
    if (op === 'write') {
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

  #block({ blocked }: ReplicaLog, key: string, fault: Fault, now: number): void {
    if (fault.kind === 'auth-suspect') {
      blocked.set(key, { until: now + 15_000, rule: 'rule-17-auth-retried-slowly' });
    } else if (fault.retryAfterMs !== undefined) {
      const until = now + Math.min(fault.retryAfterMs, 300_000);
      blocked.set(key, { until, rule: 'rule-22-blocks-honoured' });
    }
  }

  /** One change as it is sent: what was read against what is wanted. */
  #wants(r: Replica, vendor: SimVendor, c: Change): void {
    const record = this.#plan.config.records[c.name];
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
    if (!this.#committed.has(keyOf(c.name, to))) {
      this.fail('rule-13-only-what-is-committed', `${at}: epoch ${to.epoch} id ${to.id}`);
    }
    if (this.#recordLog(r, c.name).deposed) {
      this.fail('rule-14-deposed-writes-nothing', `${at}: epoch ${to.epoch}`);
    }
    this.#owns(record, c.from, to, c.to.cname, at);
    for (const one of this.#logs.keys()) {
      this.#sent.add(`${one} at ${vendor.name}: ${c.name} ${c.to.cname}`);
    }
  }

  /** Rules 4 and 14 for one change, by what had been read. */
  #owns(record: RecordConfig, from: Seen, to: Marker, cname: Name, at: string): void {
    const no = (what: string) => this.fail('rule-4-not-owned-untouched', `${at}: ${what}`);
    if (from.refusal !== null) no(from.refusal.sentence);
    if (from.markers.length > 1) no('two markers');
    const stands = from.cnames[0]?.value ?? null;
    const isTarget = record.targets.some((t) => t.cname === stands);
    const text = from.markers[0];
    if (text === undefined) {
      if (stands === null && !this.#everHeld.has(record.name) && !this.#created.has(record.name)) {
        no('created although it stood nowhere and nobody said --create');
      }
      if (stands !== null && !isTarget && !this.#adopted.has(record.name)) no(`over ${stands}`);
      return;
    }
    const was = parseMarker(text);
    if (was === null || was.cluster !== this.#plan.config.cluster) return no(`over ${text}`);
    if (was.epoch > to.epoch) {
      this.fail('rule-14-no-lower-epoch', `${at}: ${to.epoch} over ${was.epoch}, as it had read`);
    }
    if (was.epoch === to.epoch && was.id !== to.id) this.#equal(was, to, at);
    if (was.epoch === to.epoch && was.id === to.id && stands !== cname) {
      // Its own earlier value may have come late: that is no edit, and is mended.
      const isOwn = this.#sent.has(`${at} ${stands}`);
      const mends = isOwn || (record.edits === 'mend' && !isTarget);
      if (!mends) no(`over an edit to ${stands ?? 'nothing'}`);
    }
  }

  #equal(was: Marker, to: Marker, at: string): void {
    if (to.kind === 'operator' && was.kind === 'auto') return;
    this.fail('rule-14-no-lower-epoch', `${at}: two ids at epoch ${to.epoch}, ${to.kind} wins`);
  }

  /** What has really become of a vendor's records. */
  changed(vendor: SimVendor, change: VendorChange): void {
    const { name, by, before, after } = change;
    if (after.cname !== null) this.#everHeld.add(name);
    this.trace(
      `${vendor.name}: ${name} ${after.cname?.value ?? 'nothing'} ` +
        `[${after.texts.map((t) => t.value.slice(9)).join('; ')}] by ${by}`,
    );
    if (by === 'human') {
      this.#humanAt.set(`${vendor.name} ${name}`, this.#timeline.now);
      return;
    }
    const at = `${by} at ${vendor.name}: ${name}`;
    if (before.cname !== null && after.cname === null) this.fail('rule-1-never-empty', at);
    if (before.other !== null) this.fail('rule-4-not-owned-untouched', `${at} has ${before.other}`);
    const kept = new Set(after.texts.map((t) => t.value));
    const cluster = this.#plan.config.cluster;
    const strange = before.texts.find((t) => parseMarker(t.value)?.cluster !== cluster);
    if (strange !== undefined && !kept.has(strange.value)) {
      this.fail('rule-4-not-owned-untouched', `${at}: ${strange.value} is gone`);
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
    for (const [key, value] of commit.docs) {
      const marker = (value as { marker?: Marker | null } | null)?.marker;
      if (key.startsWith('record/') && marker) this.#committed.add(keyOf(key.slice(7), marker));
    }
    for (const entry of commit.entries) this.#entry(r, entry, commit.at);
  }

  #entry(r: Replica, entry: Entry, at: number): void {
    const log = this.#log(r);
    this.trace(`${r.name}| ${entry.kind}: ${entry.sentence}`);
    if (entry.kind === 'health') return this.#health(r, entry.data as never, at);
    if (entry.record === null) {
      if (entry.kind === 'store') this.#catchUp(r, log);
      if (entry.kind === 'freeze') log.frozen = true;
      if (entry.kind === 'unfreeze') log.frozen = false;
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
        );
      case 'pin':
        rec.pinnedUntil = (entry.data as { untilAt: number | null }).untilAt;
        return;
      case 'unpin':
        rec.pinnedUntil = 'none';
        return;
      case 'freeze':
      case 'unfreeze':
        rec.frozen = entry.kind === 'freeze';
        return;
      case 'deposed':
        rec.deposed = true;
        return;
      case 'taken':
      case 'adopt':
        rec.pinnedUntil = 'none';
        rec.deposed = false;
        rec.lastSwitchAt = at;
        return;
    }
  }

  /** What the journal could not be told while the store was away is asked of the status. */
  #catchUp(r: Replica, log: ReplicaLog): void {
    const status = r.controller?.status();
    for (const o of status?.origins ?? []) {
      log.health.set(o.name, { health: o.health, at: o.sinceAt });
    }
    for (const record of status?.records ?? []) {
      const rec = this.#recordLog(r, record.name);
      rec.pinnedUntil = record.pin === null ? 'none' : record.pin.untilAt;
    }
  }

  #health(
    r: Replica,
    data: { readonly origin: string; readonly was: string; readonly health: string },
    at: number,
  ): void {
    const log = this.#log(r);
    log.health.set(data.origin, { health: data.health, at });
    if (data.health !== 'down') return;
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
    const from = at - 20 * check.intervalMs - MINUTE;
    const groups = this.#groups(check, (path) => {
      const fails = log.fails.get(`${check.id}@${path}`) ?? [];
      return fails.filter((t) => t >= from).length >= least;
    });
    return groups.yes >= this.#quorum(check, groups.all);
  }

  /** It has been well for long, and so have all but a minority of the ways to it. */
  #isSound(r: Replica, check: CheckConfig): boolean {
    const since = this.#timeline.now - 20 * check.intervalMs - 3 * MINUTE;
    if (this.#truth.places.troubledAt(check.origin ?? check.id) >= since) return false;
    const groups = this.#groups(check, (path) => {
      const { group } = this.#plan.config.paths[path]!;
      const all = check.paths.filter((p) => this.#plan.config.paths[p]!.group === group);
      return all.every((p) => this.#truth.ways.troubledAt(`${r.name}/${p}`) >= since);
    });
    return groups.yes < this.#quorum(check, groups.all);
  }

  // ------------------------------------------------------------ what it decided

  #switched(
    r: Replica,
    rec: RecordLog,
    name: Name,
    d: SwitchData,
    at: number,
    isReal: boolean,
  ): void {
    const log = this.#log(r);
    if (isReal) this.switches++;
    const record = this.#plan.config.records[name]!;
    const what = `${r.name}: ${name} ${d.from} -> ${d.to} (${d.why})`;
    if (d.kind === 'auto') this.#automatic(r, rec, record, d, at, what);
    const spends = d.kind === 'auto' && d.why !== 'drained';
    if (spends) this.#spend(r, rec, record, d, at, what);
    if (d.why === 'edited') rec.pinnedUntil = at + HOUR;
    else if (d.kind === 'operator') rec.pinnedUntil = 'none';
    rec.target = d.to;
    rec.lastSwitchAt = at;
    if (!isReal) return;
    const { disturbedAt } = log;
    this.#timeline.later(31_000, () => {
      const calm = log === this.#logs.get(r.name) && log.disturbedAt === disturbedAt;
      const now = r.controller?.status().records.find((x) => x.name === name);
      if (calm && r.isLive && now?.switching === true && now.decidedAt === at) {
        this.fail('rule-16-a-switch-ends', `${what} has not ended after 30 s`);
      }
    });
    for (const { provider } of record.publish) this.#follows(r, rec, name, d, provider, what);
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
    const isPinned =
      rec.pinnedUntil === null || (rec.pinnedUntil !== 'none' && at < rec.pinnedUntil);
    if (isPinned) this.fail('rule-9-pin-holds', what);
    if (rec.frozen || log.frozen) this.fail('freeze-holds', what);
    if (rec.deposed) this.fail('rule-14-deposed-decides-nothing', what);
    if (log.health.get(d.to)?.health !== 'up') this.fail('rule-3-only-to-up', what);
    const from = log.health.get(d.from ?? '');
    if (d.why === 'target-down' && from?.health !== 'down') {
      this.fail('rule-5-unknown-moves-nothing', `${what}: ${from?.health ?? 'unknown'}`);
    }
    const freshSince = Math.max(at - 20_000, d.why === 'target-down' ? (from?.at ?? 0) : 0);
    for (const check of this.#own(d.to)) {
      const groups = this.#groups(
        check,
        (path) => (log.passBegan.get(`${check.id}@${path}`) ?? -1) >= freshSince,
      );
      if (groups.yes < this.#quorum(check, groups.all)) {
        this.fail('rule-3-fresh-passes', `${what}: ${check.id} by ${groups.yes} groups`);
      }
    }
    const cname = record.targets.find((t) => t.origin === d.to)!.cname;
    if ((log.chains.get(cname) ?? -1) < freshSince) this.fail('rule-3-chain-answered', what);
    this.#settled(r, record, at, what);
    if (d.why === 'target-down' && from !== undefined && at - from.at < 0) {
      this.fail('rule-8-settled', what);
    }
    if (d.why === 'failback') this.#failback(r, rec, record, d, at, what);
  }

  /** Rule 8: every verdict has settled, and every provider was read or given three seconds. */
  #settled(r: Replica, record: RecordConfig, at: number, what: string): void {
    const log = this.#log(r);
    for (const { origin } of record.targets) {
      const known = log.health.get(origin);
      if (known !== undefined && known.health !== 'unknown') continue;
      const bounds = this.#required(origin).map((c) => c.fall * (c.intervalMs + c.timeoutMs));
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
    if (recent.length >= limit) {
      over = true;
      const up = this.#log(r).health.get(d.to);
      const last = rec.spends.filter((s) => s.over).at(-1);
      const rested = last === undefined || at - last.at >= 30 * MINUTE;
      if (d.why !== 'target-down' || !rested || up === undefined || at - up.at < 5 * MINUTE) {
        this.fail('rule-10-budget', `${what}: ${recent.length} of ${limit} in the last hour`);
      }
    }
    rec.spends = [...rec.spends.filter((s) => at - s.at < HOUR), { at, over }];
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
      const editedAt = this.#humanAt.get(`${provider} ${name}`) ?? Number.NEGATIVE_INFINITY;
      if (editedAt >= decidedAt - MINUTE) return;
      if (placesOf(vendor, [name]).some((key) => log.blocked.has(key))) return;
      const zone = vendor.zoneOf(name)!;
      if (vendor.sick.has(zone) || (vendor.turnedAt.get(zone) ?? 0) > decidedAt) return;
      const stands = vendor.at(name);
      const marker = highest(stands.texts);
      if (marker === null || stands.texts.length > 1) return;
      if (marker.epoch < d.epoch) {
        // Whatever is the matter with the others of this vendor, its zone is well.
        const rule = vendor.sick.size > 0 ? 'rule-24-a-zone-alone' : 'rule-16-retried-in-seconds';
        this.fail(rule, `${what}: ${provider} is at epoch ${marker.epoch}`);
      }
    });
  }

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
    const { origins, records, paths } = this.#plan.config;
    const now = this.#timeline.now;
    const check = Object.values(this.#plan.config.checks)[0]!;
    const longMs = 8 * check.intervalMs + MINUTE;
    const isDead = (origin: string) => {
      const kind = this.#truth.places.top(origin)?.kind;
      const isHard = kind === 'refuse' || kind === 'hang';
      return isHard && now - this.#truth.places.since(origin) > longMs;
    };
    if (!Object.keys(origins).some(isDead) || now - this.#log(r).disturbedAt < longMs) return;
    const isCalm = (layers: Truth['places' | 'ways' | 'chains'], key: string) =>
      now - layers.troubledAt(key) > longMs;
    if (!Object.keys(paths).every((p) => isCalm(this.#truth.ways, `${r.name}/${p}`))) return;
    const isWell = (origin: string) =>
      [origin, ...origins[origin]!.needs].every((key) => isCalm(this.#truth.places, key));
    for (const view of r.controller!.status().records) {
      const record = records[view.name]!;
      if (view.target === null || !isDead(view.target) || view.decidedAt === null) continue;
      const open = record.targets.filter((t) => {
        const isOpen = !view.targets.find((x) => x.origin === t.origin)!.drained;
        return isOpen && isWell(t.origin) && isCalm(this.#truth.chains, t.cname);
      });
      const isFresh = r.process.now() - view.decidedAt < longMs + record.patienceMs;
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
    if (!('record' in c) || c.record === null) return;
    const rec = this.#recordLog(r, c.record);
    // What could not be committed holds until a restart all the same.
    if (c.kind === 'ack') {
      rec.spends = [];
      rec.deposed = false;
      rec.pinnedUntil = 'none';
    }
    if (c.kind === 'unpin') rec.pinnedUntil = 'none';
    if (c.kind === 'adopt') {
      this.#adopted.add(c.record);
      if (c.create) this.#created.add(c.record);
    }
  }

  replied(r: Replica, c: Command, reply: Reply): void {
    this.trace(`${r.name}: replies ${reply.exit}: ${reply.message}`);
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
    };
    records.set(name, made);
    return made;
  }

  #own(origin: string): CheckConfig[] {
    const { checks, origins } = this.#plan.config;
    return origins[origin]!.checks.map((id) => checks[id]!).filter((c) => !c.advisory);
  }

  #required(origin: string): CheckConfig[] {
    const { checks, origins } = this.#plan.config;
    return [...this.#own(origin), ...origins[origin]!.needs.map((id) => checks[id]!)];
  }

  /** Independent groups with a vote on a check, and those of them with a path that fits. */
  #groups(check: CheckConfig, fits: (path: string) => boolean): { all: number; yes: number } {
    const { paths } = this.#plan.config;
    const [all, yes] = [new Set<string>(), new Set<string>()];
    for (const name of check.paths) {
      const path = paths[name]!;
      if (path.cloud !== null && path.cloud === check.cloud) continue;
      all.add(path.group);
      if (fits(name)) yes.add(path.group);
    }
    return { all: all.size, yes: yes.size };
  }

  /** The least that any rule for a quorum asks for: two wherever two are configured. */
  #quorum(check: CheckConfig, groups: number): number {
    const rule = this.#plan.config.origins[check.origin ?? '']?.quorum;
    return rule?.kind === 'all' ? groups : Math.min(2, groups);
  }
}

/** What may ask to be left alone: the vendor, and each zone that is asked about. */
function placesOf(vendor: SimVendor, names: readonly Name[]): readonly string[] {
  const zones = new Set(names.map((name) => vendor.zoneOf(name)));
  return [vendor.name, ...[...zones].map((zone) => `${vendor.name} ${zone}`)];
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
