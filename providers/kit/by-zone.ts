// The zones of one account, each with its own fate: finds the zone of each thing asked for, works
// zone by zone side by side, and gives one answer for each, which says how far its fault reaches.
// What one zone says or does not say is never said of another; only what the vendor says of the
// whole account stops the rest. It must never leave a thing without an answer, never call the
// unanswered answered, and never give up what was sent to be written before its time is over.

import type { Answer, Change, Fault, Name, Reach, Seen } from '../../src/core/model.ts';
import { unsent } from './batch.ts';
import type { Called, Trouble } from './fault.ts';
import { type Clock, ownClock, Patience } from './patience.ts';
import { Room, type Told } from './room.ts';

/** Zones that are asked at the same time: so many that hang cost one time-out, not one each. */
const zonesAtOnce = 8;

/** For so long an account is well that has answered for one of its zones. */
const wellForMs = 600_000;

/** After the time of so many calls a reading begins nothing more. */
const readingCalls = 3;

/** What an adapter must know of a zone to tell it from others. */
export interface ZoneKey {
  readonly name: Name;
  /** The vendor's own; where it has none, the name. */
  readonly id: string;
}

/** The zone that an item lies in; null where that must be asked and there is no room to. */
type Find<I, Z> = (item: I, room: Room, signal: AbortSignal) => Promise<Told<Z>>;

interface Search<I, Z> {
  readonly find: Find<I, Z>;
  /** For the questions where zones are. */
  readonly room: Room;
}

const noRoom = new Room(0, Number.POSITIVE_INFINITY);

/** How zones are found and forgotten; kit/zone.ts has one for vendors that hold many. */
export interface Finder<Z> {
  /** The zone that holds a name; null where there is no room to ask. */
  findWithin(name: Name, signal: AbortSignal, room: Room): Promise<Told<Z>>;
  /** What is remembered of a zone no longer holds. */
  forget(zone: Name): void;
}

/**
 * Does one zone's items and tells of each, in order. Never rejects. Its calls take their room and
 * heed the signal, by which a zone is given up that is silent while others have answered.
 */
type InZone<Z, I, T> = (
  zone: Z,
  items: readonly I[],
  room: Room,
  signal: AbortSignal,
) => Promise<readonly Told<T>[]>;

/** How a round of questions, or of changes, is done. */
interface Asking<I, W, T> {
  readonly signal: AbortSignal;
  readonly search: Search<I, W>;
  readonly room: Room;
  /** Whether a zone that is silent while others have answered is given up. */
  readonly givesUp: boolean;
  readonly work: InZone<W, I, T>;
}

/**
 * One answer for each item, in order. A fault of the account (its key is unknown, it is throttled,
 * nobody is there) ends the beginning of more: what was not begun would fail alike, and has that
 * fault, as never sent. Where no zone hears an answer that is the account's fault, too; where one
 * does, silence is the silent zone's own.
 */
export class ByZone<Z extends ZoneKey> {
  readonly #zones: Finder<Z>;
  readonly #callsMax: number;
  readonly #callTimeoutMs: number;
  readonly #clock: Clock;
  /** The longest silence of each zone in the last work that it answered, in milliseconds. */
  readonly #usualMs = new Map<Name, number>();
  /** Zones that were silent when last asked come last, so that they keep nobody waiting. */
  readonly #silent = new Set<Name>();
  /** When a zone last answered as it should; the monotonic clock, in milliseconds. */
  #wellAt = Number.NEGATIVE_INFINITY;

  constructor(options: {
    readonly zones: Finder<Z>;
    /** Calls that one reading or one writing takes at most. */
    readonly callsMax: number;
    readonly callTimeoutMs: number;
    /** Of the patience with silent zones; this process's own unless given. */
    readonly clock?: Clock;
  }) {
    this.#zones = options.zones;
    this.#callsMax = options.callsMax;
    this.#callTimeoutMs = options.callTimeoutMs;
    this.#clock = options.clock ?? ownClock;
  }

  /** A reading: one answer a name. Nothing more is begun after three calls' time. */
  async read(
    names: readonly Name[],
    signal: AbortSignal,
    readZone: InZone<Z, Name, Seen>,
  ): Promise<Readonly<Record<Name, Answer<Seen>>>> {
    const room = new Room(this.#callsMax, readingCalls * this.#callTimeoutMs);
    const find: Find<Name, Z> = (name, within, stop) => {
      return this.#zones.findWithin(name, stop, within);
    };
    const search = { find, room: room.half() };
    const work: InZone<Z, Name, Seen> = async (zone, some, within, stop) => {
      const told = await readZone(zone, some, within, stop);
      if (!told.some((one) => one !== null && !one.ok && one.stale)) return told;
      // Deleted and made anew it has another id: looked for again, it may be read at once.
      const moved = await this.#movedTo(zone, some, within.half(), stop);
      return moved === null ? told : readZone(moved, some, within, stop);
    };
    const answers = await this.#ask(names, { signal, search, room, givesUp: true, work });
    return Object.fromEntries(names.map((name, i) => [name, answers[i]!]));
  }

  /**
   * A writing: one answer a change, in order. `prepare` makes a change ready without asking the
   * vendor; what it says is wrong is not sent. What was sent has its whole time, though others wait
   * for it: each one given up is a change of which nobody knows what became.
   */
  async write<P, W extends ZoneKey>(
    changes: readonly Change[],
    signal: AbortSignal,
    how: {
      prepare(change: Change): Called<P>;
      /** The zone that was read, where the change remembers it; found where it does not. */
      readonly zoneOf: Find<P, W>;
      readonly writeZone: InZone<W, P, null>;
    },
  ): Promise<readonly Answer<null>[]> {
    const prepared = changes.map((change) => how.prepare(change));
    const ready = prepared.flatMap((one) => (one.ok ? [one.value] : []));
    const room = new Room(this.#callsMax, Number.POSITIVE_INFINITY);
    const search = { find: how.zoneOf, room };
    const work = how.writeZone;
    const sent = await this.#ask(ready, { signal, search, room, givesUp: false, work });
    const next = sent.values();
    return prepared.map((one) => {
      if (one.ok) return next.next().value!;
      if (one.stale && one.zone !== undefined) this.#zones.forget(one.zone);
      return { kind: 'fault', fault: one.fault, reach: reachOf(one, null) };
    });
  }

  /** Where these names of a zone lie by now; null where that is not one other zone. */
  async #movedTo(
    zone: Z,
    names: readonly Name[],
    room: Room,
    signal: AbortSignal,
  ): Promise<Z | null> {
    this.#zones.forget(zone.name);
    let moved: Z | null = null;
    for (const name of names) {
      const found = await this.#zones.findWithin(name, signal, room);
      if (!found?.ok || found.value.id === zone.id) return null;
      if (moved !== null && moved.id !== found.value.id) return null;
      moved = found.value;
    }
    return moved;
  }

  async #ask<I, W extends ZoneKey, T>(
    items: readonly I[],
    { signal, search, room, givesUp, work }: Asking<I, W, T>,
  ): Promise<readonly Answer<T>[]> {
    const round = new Round<T>(items.length, signal);
    const groups = await group(items, search, round, { signal, clock: this.#clock });
    round.beginZones();
    const rank = ({ zone }: Group<W>) => (this.#silent.has(zone.name) ? 1 : 0);
    const inTurn = [...groups].sort((a, b) => rank(a) - rank(b));
    const patience = new Patience(signal, this.#clock);
    await inParallel(inTurn, zonesAtOnce, async ({ zone, indexes }) => {
      if (!round.mayBegin()) return;
      const some = indexes.map((i) => items[i]!);
      const usualMs = this.#silent.has(zone.name) ? null : (this.#usualMs.get(zone.name) ?? 0);
      const waiting = patience.begin(usualMs);
      const stop = givesUp ? waiting.signal : signal;
      const told = await work(zone, some, room.watched(waiting.goesOn), stop);
      const silenceMs = waiting.ends(isHeard(told));
      if (isHeard(told)) this.#usualMs.set(zone.name, silenceMs);
      this.#remember(zone, told);
      round.settle(zone.name, indexes, told);
    });
    return round.answers(performance.now() - this.#wellAt < wellForMs);
  }

  #remember<T>({ name }: ZoneKey, told: readonly Told<T>[]): void {
    const wrong = told.flatMap((one) => (one === null || one.ok ? [] : [one]));
    if (wrong.some(({ scope }) => scope === 'unheard')) this.#silent.add(name);
    else this.#silent.delete(name);
    if (told.some((one) => one?.ok)) this.#wellAt = performance.now();
    if (wrong.some(({ stale }) => stale)) this.#zones.forget(name);
  }
}

/** Whether the vendor has answered, and all that it was asked. */
function isHeard(told: readonly Told<unknown>[]): boolean {
  const isSilent = told.some((one) => one !== null && !one.ok && one.scope === 'unheard');
  return !isSilent && told.some((one) => one !== null);
}

interface Group<Z> {
  readonly zone: Z;
  readonly indexes: number[];
}

/** Which items lie in which zone. What has no zone is settled at once. */
async function group<I, Z extends ZoneKey, T>(
  items: readonly I[],
  { find, room }: Search<I, Z>,
  round: Round<T>,
  { signal, clock }: { readonly signal: AbortSignal; readonly clock: Clock },
): Promise<readonly Group<Z>[]> {
  const groups = new Map<string, Group<Z>>();
  const place = (i: number, found: Told<Z>): void => {
    if (found === null) return;
    if (!found.ok) return round.settle(null, [i], [found]);
    const { id } = found.value;
    const one = groups.get(id) ?? { zone: found.value, indexes: [] };
    one.indexes.push(i);
    groups.set(id, one);
  };
  // What is known without a question does not wait for what must be asked, nor fail with it.
  const unknown: number[] = [];
  for (const [i, item] of items.entries()) {
    const found = await find(item, noRoom, signal);
    if (found === null) unknown.push(i);
    place(i, found);
  }
  const patience = new Patience(signal, clock);
  await inParallel(unknown, zonesAtOnce, async (i) => {
    if (!round.mayBegin()) return;
    const waiting = patience.begin(0);
    const found = await find(items[i]!, room.watched(waiting.goesOn), waiting.signal);
    waiting.ends(isHeard([found]));
    place(i, found);
  });
  for (const { indexes } of groups.values()) indexes.sort((a, b) => a - b);
  return [...groups.values()];
}

/** What has been told so far of one reading's or writing's items. */
class Round<T> {
  readonly #told: Told<T>[];
  readonly #zones: (Name | null)[];
  readonly #signal: AbortSignal;
  #begun = 0;
  #heard = false;
  /** Faults of calls to which no answer came, and of those how many before the zones' work began. */
  readonly #unheard = new Set<Fault>();
  #unheardBefore = 0;
  #stopped: Fault | null = null;

  constructor(count: number, signal: AbortSignal) {
    this.#told = new Array<Told<T>>(count).fill(null);
    this.#zones = new Array<Name | null>(count).fill(null);
    this.#signal = signal;
  }

  /** A vendor that does not say where zones are may still answer for those that are known. */
  beginZones(): void {
    this.#unheardBefore = this.#unheard.size;
    this.#begun = 0;
  }

  /** Whether more may be begun; the first always may, so that there is something to tell. */
  mayBegin(): boolean {
    const isOver = this.#signal.aborted && this.#begun > 0;
    // One silence, and no word from those asked beside it: no other waits for the same.
    const isSilent = !this.#heard && this.#begun > 1 && this.#unheard.size > this.#unheardBefore;
    if (isOver || isSilent || this.#stopped !== null) return false;
    this.#begun++;
    return true;
  }

  settle(zone: Name | null, indexes: readonly number[], told: readonly Told<T>[]): void {
    let silent: Fault | null = null;
    for (const [at, i] of indexes.entries()) {
      const one = told[at] ?? null;
      this.#told[i] = one;
      this.#zones[i] = zone;
      if (one === null) continue;
      if (!one.ok && one.scope === 'account') this.#stopped ??= one.fault;
      if (!one.ok && one.scope === 'unheard') silent ??= one.fault;
      else this.#heard = true;
    }
    // One for each zone, or for each question where the zone is: two of them agree, one may be sick.
    if (silent !== null) this.#unheard.add(silent);
  }

  /**
   * What is wrong while no zone is known is the record's where a zone of the account is well, and
   * otherwise the account's: nobody there has answered for anything.
   */
  answers(isWell: boolean): readonly Answer<T>[] {
    const [first] = this.#heard ? [] : this.#unheard;
    const isSilent = first !== undefined && this.#unheard.size > 1;
    const stopped = this.#stopped ?? (isSilent ? first : null);
    return this.#told.map((one, i) => {
      if (one === null && stopped === null) return { kind: 'not-asked' };
      if (one === null) {
        return { kind: 'fault', fault: unsent(stopped!), reach: { kind: 'account' } };
      }
      if (one.ok) return { kind: 'answered', value: one.value };
      const zone = this.#zones[i]!;
      const isSilence = isSilent && one.scope === 'unheard';
      const isOfAll = isSilence || (zone === null && !isWell && isOfFinding(one));
      const reach: Reach = isOfAll ? { kind: 'account' } : reachOf(one, zone);
      return { kind: 'fault', fault: one.fault, reach };
    });
  }
}

/** Whether it says nothing of the name itself, only that its zone could not be looked for. */
function isOfFinding({ zone, fault: { kind } }: Trouble): boolean {
  return zone === undefined && kind !== 'rejected' && kind !== 'conflict';
}

/** How far a trouble reaches that was met in a zone, or while the zone was not known. */
export function reachOf(trouble: Trouble, zone: Name | null): Reach {
  if (trouble.scope === 'account') return { kind: 'account' };
  const known = trouble.zone ?? zone;
  return trouble.scope === 'record' || known === null
    ? { kind: 'record' }
    : { kind: 'zone', zone: known };
}

/**
 * Does the items one by one, some at a time, while there is room: the trouble of one is its own,
 * that of the zone or of the account is said of all that were not begun before it.
 */
export async function oneByOne<I, T>(
  items: readonly I[],
  options: {
    readonly atOnce: number;
    /** The most that are done; the others wait for their turn. */
    readonly atMost: number;
    readonly room: Room;
    /** The most calls that one takes, or that it takes by now. */
    readonly callsEach: number | ((item: I) => number);
    work(item: I): Promise<Called<T>>;
  },
): Promise<readonly Told<T>[]> {
  const told = new Array<Told<T>>(items.length).fill(null);
  const stopped: ({ readonly ok: false } & Trouble)[] = [];
  const some = [...items.keys()].slice(0, options.atMost);
  await inParallel(some, options.atOnce, async (i) => {
    const { callsEach } = options;
    const calls = typeof callsEach === 'number' ? callsEach : callsEach(items[i]!);
    if (stopped.length > 0 || !options.room.takeName(calls)) return;
    const one = await options.work(items[i]!);
    told[i] = one;
    options.room.told();
    if (!one.ok && one.scope !== 'record') stopped.push(one);
  });
  const [first] = stopped;
  if (first === undefined) return told;
  return told.map((one) => one ?? { ...first, fault: unsent(first.fault) });
}

async function inParallel<I>(
  items: readonly I[],
  limit: number,
  work: (item: I) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) await work(items[next++]!);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
}
