// Simulated DNS vendors of three strengths and the accounts that write to them. `transaction` makes
// a change only if what was read still stands; `batch` deletes the marker that was read by its id,
// so that a writer who is behind fails whole, blind to an edit of the CNAME alone; `weak` takes the
// last writer's word: the account reads, writes CNAME and marker one after the other, and reads
// again. They pass the providers' conformance suite (test/providers/conformance.test.ts), and fail on demand.
// A request that has been sent is carried out even if its sender dies; only the reply is lost.

import { leavesMarker } from '../../providers/kit/guarded.ts';
import { formatMarker, isMarkerName, markerName } from '../../src/core/marker.ts';
import type {
  Answer,
  Change,
  Fault,
  Json,
  Name,
  Reach,
  Refusal,
  Result,
  Seen,
} from '../../src/core/model.ts';
import { isWithin } from '../../src/core/name.ts';
import type { Capabilities, Fence, Provider, ZoneFacts } from '../../src/kit/extend.ts';
import type { Chance } from './chance.ts';

export type Strength = 'transaction' | 'batch' | 'weak';
export const strengths: readonly Strength[] = ['transaction', 'batch', 'weak'];

interface OneCname {
  readonly id: number;
  readonly value: Name;
  readonly ttl: number;
}

/** What stands at a record's name and at its marker's name. Never changed in place. */
export interface Stand {
  readonly cname: OneCname | null;
  /** Of the lines beside the default one, where the vendor has some. */
  readonly lines: Readonly<Record<string, OneCname>>;
  readonly texts: readonly { readonly id: number; readonly value: string }[];
  /** Another type at the record's name, such as `A`. */
  readonly other: string | null;
}

/** How much of what stood at a name is remembered for those who would put it back. */
const HISTORY_MAX = 40;

export const NOTHING: Stand = { cname: null, lines: {}, texts: [], other: null };

/** How an API treats a share of its calls. */
export interface ApiFault {
  readonly how:
    | 'hang'
    | 'unavailable'
    | 'throttle'
    | 'auth'
    | 'slow'
    /** Applied, and nobody is told. */
    | 'lost-reply'
    | 'lost-write'
    /** Applied long after whoever asked has given up. */
    | 'late-write'
    | 'stale-read'
    /** Said to be done, and not done: by whoever has the vendor in hand. */
    | 'swallow';
  readonly share: number;
  readonly retryAfterMs?: number;
  /** It befalls one write, and is over. */
  readonly once?: boolean;
}

/** Whoever changes what stands at a vendor and is no replica. */
export const hands = ['human', 'thief', 'tool', 'direct'] as const;
export type Hand = (typeof hands)[number];

/** How one zone of a vendor is in trouble, while its others are well. */
export type Sickness = 'deleted' | 'denied' | 'unavailable' | 'hang';

/** The network between accounts and vendors: it outlives every process. */
export interface Wire {
  readonly chance: Chance;
  later(ms: number, run: () => void): void;
}

/** The process that an account lives in. */
export interface Seat {
  readonly name: string;
  readonly alive: boolean;
  /** Asked before a write is sent: whether the process stands still just then. */
  halts(): boolean;
  /** Nothing passes between it and a vendor just now. */
  isCut?(vendor: string): boolean;
  io(ms: number, run: () => void): void;
  after(ms: number, then: () => void): () => void;
}

export interface VendorChange {
  readonly name: Name;
  /** A replica's name, or whose hand it was: `human`, `thief`, `tool` or `direct`. */
  readonly by: string;
  readonly before: Stand;
  readonly after: Stand;
}

/** An authoritative server of a vendor, and what it gives. */
export interface DnsServer {
  readonly name: string;
  readonly gives: Map<Name, Stand>;
  /** It has stopped following the vendor. */
  stuck: boolean;
}

export interface VendorOptions {
  /** None within another. */
  readonly zones: readonly Name[];
  readonly ttlMin: number | null;
  /** A reading says so; else only the refusal of less does. */
  readonly saysTtlMin: boolean;
  /** How long a server takes to give what was changed. */
  readonly lagMs: readonly [least: number, most: number];
  /** A reading by `stale-read` gives what stood before the last change for so long after it. */
  readonly staleMs: number;
  /** Broken on purpose: what was read need no longer stand. */
  readonly unfenced?: boolean;
  /** It answers by line. */
  readonly hasLines?: boolean;
}

export class SimVendor {
  readonly name: string;
  readonly strength: Strength;
  readonly options: VendorOptions;
  readonly servers: readonly DnsServer[];
  readonly stands = new Map<Name, Stand>();
  /** In force now; the last one counts. */
  readonly faults: ApiFault[] = [];
  /** Zones in trouble, and when each was last taken ill or made well. */
  readonly sick = new Map<Name, Sickness>();
  readonly turnedAt = new Map<Name, number>();
  /** Added to how long its servers take. */
  lagMs = 0;
  /** Reasons for which its servers answer nobody. */
  silent = 0;
  /** What its API says of a name, whatever stands there: the lies of whoever has it in hand. */
  readonly lies = new Map<Name, Stand>();
  /** What ever stood at each name, the newest last, so that it can be put there again. */
  readonly history = new Map<Name, Stand[]>();
  /** Its name servers take the question and never end. */
  hanging = 0;
  changed: (change: VendorChange) => void = () => {};
  readonly wire: Wire;
  readonly #now: () => number;
  readonly #past = new Map<Name, { readonly stand: Stand; readonly at: number }>();
  #ids = 1;

  constructor(
    name: string,
    strength: Strength,
    wire: Wire,
    now: () => number,
    options: VendorOptions,
  ) {
    this.name = name;
    this.strength = strength;
    this.wire = wire;
    this.#now = now;
    this.options = options;
    this.servers = ['ns1', 'ns2'].map((ns) => ({
      name: `${ns}.${name}`,
      gives: new Map(),
      stuck: false,
    }));
  }

  at(name: Name): Stand {
    return this.stands.get(name) ?? NOTHING;
  }

  /** What an API reading shows: the past, where readings are stale. */
  shown(name: Name, stale: boolean): Stand {
    const lie = this.lies.get(name);
    if (lie !== undefined) return lie;
    const past = this.#past.get(name);
    const isPast = stale && past !== undefined && this.#now() - past.at < this.options.staleMs;
    return isPast ? past.stand : this.at(name);
  }

  newId(): number {
    return this.#ids++;
  }

  put(name: Name, after: Stand, by: string): void {
    const before = this.at(name);
    this.#past.set(name, { stand: before, at: this.#now() });
    this.stands.set(name, after);
    const history = this.history.get(name) ?? [];
    this.history.set(name, [...history.slice(1 - HISTORY_MAX), after]);
    this.changed({ name, by, before, after });
    const [least, most] = this.options.lagMs;
    for (const server of this.servers) {
      const lag = this.wire.chance.int(least, most) + this.lagMs;
      this.wire.later(lag, () => {
        if (!server.stuck) server.gives.set(name, this.at(name));
      });
    }
  }

  /** A server follows again. */
  unstick(server: DnsServer): void {
    server.stuck = false;
    for (const [name, stand] of this.stands) server.gives.set(name, stand);
  }

  /** A person at the console, or another hand; `null` leaves that part as it is. */
  edit(
    name: Name,
    cname: { readonly value: Name; readonly ttl: number } | 'none' | null,
    texts: readonly string[] | null,
    by: Hand = 'human',
  ): void {
    const now = this.at(name);
    const made =
      cname === null ? now.cname : cname === 'none' ? null : { id: this.newId(), ...cname };
    // In place: the record keeps its id.
    const kept = made !== null && now.cname !== null ? { ...made, id: now.cname.id } : made;
    // Of a record on several lines a person does all of them.
    const lines = Object.fromEntries(
      cname === 'none'
        ? []
        : Object.entries(now.lines).map(([line, old]) => [line, { ...old, ...(cname ?? {}) }]),
    );
    const written =
      texts === null ? now.texts : texts.map((value) => ({ id: this.newId(), value }));
    this.put(name, { ...now, cname: kept, lines, texts: written }, by);
  }

  /** A person puts one line there, or takes it away. */
  editLine(name: Name, line: string, value: Name | null): void {
    const now = this.at(name);
    const { [line]: old, ...rest } = now.lines;
    const made = value === null ? {} : { [line]: { id: old?.id ?? this.newId(), value, ttl: 60 } };
    this.put(name, { ...now, lines: { ...rest, ...made } }, 'human');
  }

  /** The zone that holds a name; null: none here. */
  zoneOf(name: Name): Name | null {
    return this.options.zones.find((zone) => isWithin(name, zone)) ?? null;
  }

  /** A zone falls ill, or is made well again. */
  turn(zone: Name, how: Sickness | null): void {
    if (how === null) this.sick.delete(zone);
    else this.sick.set(zone, how);
    this.turnedAt.set(zone, this.#now());
  }

  /** What becomes of a call that arrives now. */
  fate(): ApiFault | null {
    const fault = this.faults.at(-1);
    return fault !== undefined && this.wire.chance.is(fault.share) ? fault : null;
  }
}

export const DEFAULT_LINE = 'default';

const FENCES: Readonly<Record<Strength, Fence>> = {
  transaction: 'transaction',
  batch: 'inferred',
  weak: 'weak',
};

export function capabilitiesOf(strength: Strength, hasLines = false): Capabilities {
  return {
    type: `sim-${strength}`,
    title: `Simulated vendor (${strength})`,
    fence: { kind: FENCES[strength], note: 'simulated' },
    atomic: strength !== 'weak',
    readMax: 100,
    writeMax: strength === 'weak' ? 10 : 100,
    settlesLater: strength === 'weak',
    callsMax: strength === 'weak' ? 8 : 1,
    quota: { burst: 50, perSecond: 10, reserve: 10 },
    permissions: [],
    refuses: [
      { word: 'apex', note: null },
      { word: 'other-type', note: null },
    ],
    ...(hasLines ? { lines: { default: DEFAULT_LINE } } : {}),
  };
}

export interface AccountOptions {
  readonly callTimeoutMs: number;
  readonly wrongKey?: boolean;
  /** Told of every reading and writing as it begins and as it ends. */
  began?(op: 'read' | 'write', names: readonly Name[], changes: readonly Change[]): void;
  ended?(
    op: 'read' | 'write',
    names: readonly Name[],
    answers: readonly Answer<unknown>[],
    changes: readonly Change[],
  ): void;
}

/** How a request is carried out: as it was asked, on what stood before, or not at all. */
type Manner = 'plain' | 'stale' | 'hollow';

/** One account at a simulated vendor, in one process. */
export class SimAccount implements Provider {
  readonly name: string;
  readonly capabilities: Capabilities;
  calls = 0;
  readonly #vendor: SimVendor;
  readonly #seat: Seat;
  readonly #options: AccountOptions;

  constructor(vendor: SimVendor, seat: Seat, options: AccountOptions) {
    this.name = vendor.name;
    this.capabilities = capabilitiesOf(vendor.strength, vendor.options.hasLines);
    this.#vendor = vendor;
    this.#seat = seat;
    this.#options = options;
  }

  async zone(name: Name, signal: AbortSignal): Promise<Result<ZoneFacts>> {
    const { ttlMin } = this.#vendor.options;
    const nameServers = this.#vendor.servers.map((s) => s.name);
    const zone = this.#vendor.zoneOf(name);
    if (zone === null) return { ok: false, fault: outside(name) };
    const value = { zone, nameServers, ttlMin, warnings: [] };
    const answer = await this.#call('read', zone, signal, () => ({ kind: 'answered', value }));
    if (answer.kind === 'answered') return { ok: true, value: answer.value };
    const fault: Fault = { kind: 'unavailable', detail: 'not asked' };
    return { ok: false, fault: answer.kind === 'fault' ? answer.fault : fault };
  }

  async read(
    names: readonly Name[],
    signal: AbortSignal,
  ): Promise<Readonly<Record<Name, Answer<Seen>>>> {
    this.#options.began?.('read', names, []);
    const answers = new Map<Name, Answer<Seen>>();
    const reading = [...this.#byZone(names)].map(async ([zone, all]) => {
      const found = await this.#look(zone, all, signal);
      for (const [i, name] of all.entries()) answers.set(name, found[i]!);
    });
    await Promise.all(reading);
    const inOrder = names.map((name) => answers.get(name)!);
    this.#options.ended?.('read', names, inOrder, []);
    return Object.fromEntries(names.map((name, i) => [name, inOrder[i]!] as const));
  }

  async write(changes: readonly Change[], signal: AbortSignal): Promise<readonly Answer<null>[]> {
    const names = changes.map((c) => c.name);
    this.#options.began?.('write', names, changes);
    const answers = new Map<Name, Answer<null>>();
    const isWeak = this.#vendor.strength === 'weak';
    const writing = [...this.#byZone(names)].map(async ([zone, all]) => {
      const own = changes.filter((c) => all.includes(c.name));
      const made = isWeak
        ? await this.#writeEach(zone, own, signal)
        : await this.#writeAtOnce(zone, own, signal);
      for (const [i, { name }] of own.entries()) answers.set(name, made[i]!);
    });
    await Promise.all(writing);
    const inOrder = names.map((name) => answers.get(name)!);
    this.#options.ended?.('write', names, inOrder, changes);
    return inOrder;
  }

  async preflight(): Promise<[]> {
    return [];
  }

  close(): void {}

  /** Names by their zone; '' holds those that are in none. */
  #byZone(names: readonly Name[]): Map<Name, Name[]> {
    const zones = new Map<Name, Name[]>();
    for (const name of names) {
      const zone = this.#vendor.zoneOf(name) ?? '';
      zones.set(zone, [...(zones.get(zone) ?? []), name]);
    }
    return zones;
  }

  /** One request for all of them. */
  async #look(
    zone: Name,
    names: readonly Name[],
    signal: AbortSignal,
  ): Promise<readonly Answer<Seen>[]> {
    if (zone === '') return names.map((name) => ofRecord(outside(name)));
    const all = await this.#call('read', zone, signal, (how) => ({
      kind: 'answered',
      value: names.map((n) => seenOf(n, this.#vendor, this.#vendor.shown(n, how === 'stale'))),
    }));
    if (all.kind !== 'answered') return names.map(() => all);
    return all.value.map((value) => ({ kind: 'answered', value }));
  }

  async #writeAtOnce(
    zone: Name,
    changes: readonly Change[],
    signal: AbortSignal,
  ): Promise<readonly Answer<null>[]> {
    if (zone === '') return changes.map((c) => ofRecord(outside(c.name)));
    const all = await this.#call('write', zone, signal, (how) => ({
      kind: 'answered',
      value: changes.map((c) => this.#refusal(c) ?? (how === 'hollow' ? DONE : this.#apply(c))),
    }));
    return all.kind === 'answered' ? all.value : changes.map(() => all);
  }

  #apply(c: Change): Answer<null> {
    const vendor = this.#vendor;
    const now = vendor.at(c.name);
    const from = refOf(c.from);
    const isFenced = vendor.options.unfenced !== true;
    const stands =
      vendor.strength === 'transaction' ? isExactly(now, c.from) : isStillBatched(now, from);
    if (isFenced && !stands) return conflict('it no longer stands there');
    const text = { id: vendor.newId(), value: formatMarker(c.to.marker) };
    // The same text twice is refused, and with it the whole batch.
    if (isFenced && from.text === null && now.texts.some((t) => t.value === text.value)) {
      return conflict('the marker stands there already');
    }
    const rest = now.texts.filter((t) => isFenced && t.id !== from.text);
    const cname = { id: now.cname?.id ?? vendor.newId(), value: c.to.cname, ttl: c.to.ttl };
    vendor.put(c.name, { ...now, cname, texts: [...rest, text] }, this.#seat.name);
    return DONE;
  }

  async #writeEach(
    zone: Name,
    changes: readonly Change[],
    signal: AbortSignal,
  ): Promise<readonly Answer<null>[]> {
    if (zone === '') return changes.map((c) => ofRecord(outside(c.name)));
    const answers: Answer<null>[] = [];
    let isBroken = false;
    for (const c of changes) {
      // What one call has shown to be broken is not asked for nine more times.
      const answer: Answer<null> = isBroken
        ? { kind: 'not-asked' }
        : await this.#writeWeakly(zone, c, signal);
      answers.push(answer);
      isBroken ||= answer.kind === 'fault' && answer.reach.kind !== 'record';
    }
    return answers;
  }

  /** Reads, writes the CNAME of each line, then the marker, and reads again. */
  async #writeWeakly(zone: Name, c: Change, signal: AbortSignal): Promise<Answer<null>> {
    const [before] = await this.#look(zone, [c.name], signal);
    if (before?.kind !== 'answered') return before!;
    if (!isSame(before.value, c.from)) return conflict('it no longer stands there');
    let touched = false;
    const isBrief = leavesMarker(c);
    const text: readonly Part[] = isBrief ? [] : ['text'];
    const parts: readonly Part[] = [...linesOf(c).map((line) => ({ line })), ...text];
    for (const part of parts) {
      const made = await this.#call(
        'write',
        zone,
        signal,
        (how) => this.#refusal(c) ?? (how === 'hollow' ? DONE : this.#set(c, part)),
      );
      if (made.kind === 'fault' && touched) return halfDone(made);
      if (made.kind !== 'answered') return made;
      touched = true;
    }
    const [after] = await this.#look(zone, [c.name], signal);
    if (after?.kind === 'fault') return halfDone(after);
    if (after?.kind !== 'answered') return conflict('it was not read back');
    const stays = isBrief ? c.from.markers[0] : formatMarker(c.to.marker);
    const { cnames } = after.value;
    const isWhole = linesOf(c).every((line) => cnames.some((n) => lineOf(n) === line));
    const isRight = isWhole && cnames.every((n) => n.value === c.to.cname);
    const isThere = isRight && after.value.markers[0] === stays;
    return isThere && after.value.markers.length === 1 ? DONE : conflict('another writer was here');
  }

  /** Changes one record by its id, or adds it; the last writer's word is taken. */
  #set(c: Change, part: Part): Answer<null> {
    const vendor = this.#vendor;
    const text = formatMarker(c.to.marker);
    const now = vendor.at(c.name);
    const from = refOf(c.from);
    if (part !== 'text' && part.line !== DEFAULT_LINE) return this.#setLine(c, part.line);
    if (part !== 'text') {
      if (from.cname === null && now.cname !== null) return conflict('a CNAME stands there');
      if (from.cname !== null && now.cname?.id !== from.cname) return conflict('the CNAME is gone');
      const cname = { id: now.cname?.id ?? vendor.newId(), value: c.to.cname, ttl: c.to.ttl };
      vendor.put(c.name, { ...now, cname }, this.#seat.name);
      return DONE;
    }
    if (from.text === null && now.texts.some((t) => t.value === text)) return DONE;
    if (from.text !== null && !now.texts.some((t) => t.id === from.text)) {
      return conflict('the marker is gone');
    }
    const rest = now.texts.filter((t) => t.id !== from.text);
    const texts = [...rest, { id: from.text ?? vendor.newId(), value: text }];
    vendor.put(c.name, { ...now, texts }, this.#seat.name);
    return DONE;
  }

  #setLine(c: Change, line: string): Answer<null> {
    const vendor = this.#vendor;
    const now = vendor.at(c.name);
    const known = refOf(c.from).lines[line] ?? null;
    const old = now.lines[line];
    if (known === null && old !== undefined) return conflict(`a CNAME stands on ${line}`);
    if (known !== null && old?.id !== known) return conflict(`the CNAME on ${line} is gone`);
    const cname = { id: old?.id ?? vendor.newId(), value: c.to.cname, ttl: c.to.ttl };
    vendor.put(c.name, { ...now, lines: { ...now.lines, [line]: cname } }, this.#seat.name);
    return DONE;
  }

  /** What no vendor takes, whatever stands there. */
  #refusal(c: Change): Answer<null> | null {
    const { ttlMin } = this.#vendor.options;
    const strange = c.from.cnames.find((n) => !linesOf(c).includes(lineOf(n)));
    if (strange !== undefined) {
      return ofRecord({
        kind: 'rejected',
        detail: `the line ${strange.line} is not to be written`,
      });
    }
    if (c.from.markers.length > 1) return conflict('more than one text stands at the marker');
    const other = c.from.refusal ?? seenOf(c.name, this.#vendor, this.#vendor.at(c.name)).refusal;
    if (other !== null) return ofRecord({ kind: 'rejected', detail: other.sentence });
    if (ttlMin === null || c.to.ttl >= ttlMin) return null;
    const cure = 'publish takes a TTL per provider';
    return ofRecord({ kind: 'rejected', detail: `a TTL under ${ttlMin}`, cure });
  }

  /** One request about a zone over the network, and its reply. */
  #call<T>(
    op: 'read' | 'write',
    zone: Name,
    signal: AbortSignal,
    carryOut: (how: Manner) => Answer<T>,
  ): Promise<Answer<T>> {
    const [vendor, seat] = [this.#vendor, this.#seat];
    const { chance } = vendor.wire;
    // Silence is all that is known, and it was this zone that was asked about.
    const kind = op === 'write' ? 'uncertain' : 'unavailable';
    const lost = ofZone({ kind, detail: 'no reply came' }, zone);
    if (signal.aborted) {
      return Promise.resolve(ofAccount({ kind: 'unavailable', detail: 'told to stop' }));
    }
    return new Promise((resolve) => {
      // A dead process sends nothing and hears nothing.
      if (!seat.alive) return;
      this.calls++;
      let cancel = () => {};
      const finish = (answer: Answer<T>) => {
        cancel();
        signal.removeEventListener('abort', stop);
        resolve(answer);
      };
      const stop = () => finish(lost);
      signal.addEventListener('abort', stop);
      cancel = seat.after(this.#options.callTimeoutMs, stop);
      const isCut = () => seat.isCut?.(vendor.name) === true;
      const arrive = () => {
        const reply = isCut() ? null : this.#carry(op, zone, carryOut, lost);
        if (reply === null) return;
        const [answer, slowMs] = reply;
        // What was done stays done; only nobody is told.
        if (!isCut()) seat.io(slowMs + chance.spread(3, 60), () => finish(answer));
      };
      const send = () => vendor.wire.later(chance.spread(3, 60), arrive);
      // A process that stands still with a write in its hand sends it when it goes on.
      if (op === 'write' && seat.halts()) seat.io(0, send);
      else send();
    });
  }

  /** At the vendor: what is done, and what is said of it after how long; null: nothing is. */
  #carry<T>(
    op: 'read' | 'write',
    zone: Name,
    carryOut: (how: Manner) => Answer<T>,
    lost: Failed,
  ): readonly [Answer<T>, slowMs: number] | null {
    const { chance, later } = this.#vendor.wire;
    const say = (answer: Failed) => [answer, 0] as const;
    if (this.#options.wrongKey) {
      return say(ofAccount({ kind: 'auth-suspect', detail: 'the key is refused' }));
    }
    const fault = this.#vendor.fate();
    switch (fault?.how) {
      case 'hang':
        return null;
      case 'unavailable':
        return say(ofAccount({ kind: 'unavailable', detail: '503 from the vendor' }));
      case 'auth':
        return say(ofAccount({ kind: 'auth-suspect', detail: 'the key is refused' }));
      case 'throttle': {
        const { retryAfterMs } = fault;
        const asked = retryAfterMs === undefined ? {} : { retryAfterMs };
        return say(ofAccount({ kind: 'throttled', detail: '429 from the vendor', ...asked }));
      }
    }
    const sickness = this.#vendor.sick.get(zone);
    if (sickness === 'hang') return null;
    if (sickness !== undefined) return say(ofZone(SICK[sickness], zone));
    switch (fault?.how) {
      case 'slow':
        return [carryOut('plain'), chance.spread(200, 5000)];
      case 'stale-read':
        return [carryOut('stale'), 0];
      case 'lost-reply':
      case 'lost-write':
        if (op === 'read') return [carryOut('plain'), 0];
        if (fault.once) this.#vendor.faults.pop();
        if (fault.how === 'lost-reply') carryOut('plain');
        return chance.is(0.5) ? say(lost) : null;
      case 'swallow':
        return [carryOut('hollow'), 0];
      case 'late-write':
        if (op === 'read') return [carryOut('plain'), 0];
        later(chance.spread(3000, 120_000), () => void carryOut('plain'));
        return null;
      default:
        return [carryOut('plain'), 0];
    }
  }
}

/** What a vendor says of a zone in trouble. */
const SICK: Readonly<Record<Exclude<Sickness, 'hang'>, Fault>> = {
  deleted: { kind: 'rejected', detail: 'there is no such zone' },
  denied: { kind: 'auth-suspect', detail: 'no access to this zone' },
  unavailable: { kind: 'unavailable', detail: '503 for this zone' },
};

function seenOf(name: Name, vendor: SimVendor, stand: Stand): Seen {
  const { cname, lines, texts, other } = stand;
  const refusal: Refusal | null = vendor.options.zones.includes(name)
    ? { word: 'apex', sentence: `no CNAME may stand at ${name}, the top of its zone` }
    : other === null
      ? null
      : { word: 'other-type', sentence: `${name} has records of type ${other}` };
  const ids = Object.entries(lines).map(([line, { id }]) => [line, id] as const);
  const ref: Json = {
    cname: cname?.id ?? null,
    texts: texts.map((t) => t.id),
    lines: Object.fromEntries(ids),
  };
  const plain = (of: OneCname) => ({ value: of.value.toLowerCase(), ttl: of.ttl });
  return {
    cnames: [
      ...(cname === null ? [] : [plain(cname)]),
      ...Object.entries(lines).map(([line, of]) => ({ ...plain(of), line })),
    ],
    markers: texts.map((t) => t.value),
    ...(vendor.options.saysTtlMin && vendor.options.ttlMin !== null
      ? { ttlMin: vendor.options.ttlMin }
      : {}),
    refusal,
    ref,
  };
}

interface Ref {
  readonly cname: number | null;
  readonly text: number | null;
  readonly lines: Readonly<Record<string, number>>;
}

function refOf(seen: Seen): Ref {
  const ref = seen.ref as { cname: number | null; texts: number[]; lines: Record<string, number> };
  return { cname: ref.cname, text: ref.texts[0] ?? null, lines: ref.lines };
}

/** One request of a change: the CNAME of a line, or the marker. */
type Part = { readonly line: string } | 'text';

function linesOf({ to }: Change): readonly string[] {
  return to.lines ?? [DEFAULT_LINE];
}

function lineOf({ line = DEFAULT_LINE }: Seen['cnames'][number]): string {
  return line;
}

function isExactly(now: Stand, from: Seen): boolean {
  const cnames = now.cname === null ? [] : [now.cname];
  return (
    cnames.length === from.cnames.length &&
    cnames.every((c) => c.value.toLowerCase() === from.cnames[0]!.value) &&
    cnames.every((c) => c.ttl === from.cnames[0]!.ttl) &&
    now.texts.length === from.markers.length &&
    now.texts.every((t) => from.markers.includes(t.value))
  );
}

/** The ids that the batch deletes and changes are still there, and what it makes is not. */
function isStillBatched(now: Stand, from: Ref): boolean {
  const [cname, text] = [now.cname?.id ?? null, from.text];
  return cname === from.cname && (text === null || now.texts.some((t) => t.id === text));
}

function isSame(a: Seen, b: Seen): boolean {
  return (
    JSON.stringify([a.cnames, a.markers, a.refusal]) ===
    JSON.stringify([b.cnames, b.markers, b.refusal])
  );
}

type Failed = Extract<Answer<never>, { kind: 'fault' }>;

const DONE: Answer<null> = { kind: 'answered', value: null };

function conflict(detail: string): Failed {
  return ofRecord({ kind: 'conflict', detail });
}

/** The CNAME is written, and nothing is known of its marker. */
function halfDone({ fault, reach }: Failed): Failed {
  return { kind: 'fault', fault: { kind: 'uncertain', detail: fault.detail }, reach };
}

function outside(name: Name): Fault {
  const cure = 'publish only names of its zones here';
  return { kind: 'rejected', detail: `${name} is in no zone of this account`, cure };
}

function ofRecord(fault: Fault): Failed {
  return failed(fault, { kind: 'record' });
}

function ofZone(fault: Fault, zone: Name): Failed {
  return failed(fault, { kind: 'zone', zone });
}

function ofAccount(fault: Fault): Failed {
  return failed(fault, { kind: 'account' });
}

function failed(fault: Fault, reach: Reach): Failed {
  return { kind: 'fault', fault, reach };
}

/** The name whose CNAME or marker a DNS question is about. */
export function recordOf(name: Name): Name {
  return isMarkerName(name) ? name.slice(markerName('').length) : name;
}
