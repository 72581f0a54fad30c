// The zones of one account, each with its own fate: finds the zone of each thing asked for, works
// zone by zone side by side, and gives one answer for each, which says how far its fault reaches.
// What one zone says or does not say is never said of another; only what the vendor says of the
// whole account stops the rest. It must never leave a thing without an answer, and never call the
// unanswered answered.

import type { Answer, Fault, Name, Reach, Seen } from '../../src/core/model.ts';
import { unsent } from './batch.ts';
import { type Called, done, type Trouble } from './fault.ts';
import type { Room, Told } from './room.ts';

/** Zones that are asked at the same time: so many that hang cost one time-out, not one each. */
const zonesAtOnce = 8;

/** What an adapter must know of a zone to tell it from others. */
export interface ZoneKey {
  readonly name: Name;
  /** The vendor's own; where it has none, the name. */
  readonly id: string;
}

export interface ZoneWork<I, Z extends ZoneKey, T> {
  readonly signal: AbortSignal;
  /** The zone that an item belongs to; null when there is no room to find it. */
  find(item: I): Promise<Told<Z>>;
  /** Does one zone's items, and tells of each, in order. Never rejects. */
  work(zone: Z, items: readonly I[]): Promise<readonly Told<T>[]>;
  /** Told of a zone of which what was remembered no longer holds. */
  stale(zone: Name): void;
}

/**
 * One answer for each item, in order. A fault of the account (its key is unknown, it is throttled,
 * nobody is there) ends the beginning of more: what was not begun would fail alike, and has that
 * fault, as never sent. Where no zone hears an answer that is the account's fault, too; where one
 * does, silence is the silent zone's own.
 */
export class ByZone<Z extends ZoneKey> {
  /** Zones that were silent when last asked come last, so that they keep nobody waiting. */
  readonly #silent = new Set<Name>();

  async ask<I, T>(items: readonly I[], options: ZoneWork<I, Z, T>): Promise<readonly Answer<T>[]> {
    const round = new Round<T>(items.length, options.signal);
    const groups = await this.#group(items, options, round);
    round.beginZones();
    const inTurn = [...groups].sort((a, b) => this.#rank(a.zone) - this.#rank(b.zone));
    await inParallel(inTurn, zonesAtOnce, async ({ zone, indexes }) => {
      if (!round.mayBegin()) return;
      const told = await options.work(
        zone,
        indexes.map((i) => items[i]!),
      );
      const isSilent = told.some((one) => one !== null && !one.ok && one.scope === 'unheard');
      if (isSilent) this.#silent.add(zone.name);
      else this.#silent.delete(zone.name);
      const isStale = told.some((one) => one !== null && !one.ok && one.stale);
      if (isStale) options.stale(zone.name);
      round.settle(zone.name, indexes, told);
    });
    return round.answers();
  }

  #rank(zone: Z): number {
    return this.#silent.has(zone.name) ? 1 : 0;
  }

  async #group<I, T>(
    items: readonly I[],
    { find }: ZoneWork<I, Z, T>,
    round: Round<T>,
  ): Promise<readonly { readonly zone: Z; readonly indexes: number[] }[]> {
    const groups = new Map<string, { readonly zone: Z; readonly indexes: number[] }>();
    await inParallel([...items.keys()], zonesAtOnce, async (i) => {
      if (!round.mayBegin()) return;
      const found = await find(items[i]!);
      if (found === null) return;
      if (!found.ok) {
        round.settle(null, [i], [found]);
        return;
      }
      const group = groups.get(found.value.id) ?? { zone: found.value, indexes: [] };
      group.indexes.push(i);
      groups.set(found.value.id, group);
    });
    for (const { indexes } of groups.values()) indexes.sort((a, b) => a - b);
    return [...groups.values()];
  }
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
  }

  /** Whether more may be begun; the first always may, so that there is something to tell. */
  mayBegin(): boolean {
    const isOver = this.#signal.aborted && this.#begun > 0;
    const isSilent = !this.#heard && this.#unheard.size - this.#unheardBefore > 1;
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

  answers(): readonly Answer<T>[] {
    const [first] = this.#heard ? [] : this.#unheard;
    const isSilent = first !== undefined && this.#unheard.size > 1;
    const stopped = this.#stopped ?? (isSilent ? first : null);
    return this.#told.map((one, i) => {
      if (one === null && stopped === null) return { kind: 'not-asked' };
      if (one === null) {
        return { kind: 'fault', fault: unsent(stopped!), reach: { kind: 'account' } };
      }
      if (one.ok) return { kind: 'answered', value: one.value };
      return { kind: 'fault', fault: one.fault, reach: reachOf(one, this.#zones[i]!, isSilent) };
    });
  }
}

/** How far a trouble reaches that was met in a zone, or while the zone was not known. */
export function reachOf(trouble: Trouble, zone: Name | null, isSilent = false): Reach {
  if (trouble.scope === 'account' || (trouble.scope === 'unheard' && isSilent)) {
    return { kind: 'account' };
  }
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
    /** The most calls that one takes. */
    readonly callsEach: number;
    work(item: I): Promise<Called<T>>;
  },
): Promise<readonly Told<T>[]> {
  const told = new Array<Told<T>>(items.length).fill(null);
  let stopped: Trouble | null = null;
  const some = [...items.keys()].slice(0, options.atMost);
  await inParallel(some, options.atOnce, async (i) => {
    if (stopped !== null || !options.room.takeName(options.callsEach)) return;
    const one = await options.work(items[i]!);
    told[i] = one;
    if (!one.ok && one.scope !== 'record') stopped ??= one;
  });
  if (stopped === null) return told;
  const rest: Called<T> = { ...(stopped as Trouble & { ok: false }) };
  return told.map((one) => one ?? { ...rest, fault: unsent(rest.fault) });
}

/** A reading's answers by name, as the contract wants them. */
export function byName(
  names: readonly Name[],
  answers: readonly Answer<Seen>[],
): Readonly<Record<Name, Answer<Seen>>> {
  return Object.fromEntries(names.map((name, i) => [name, answers[i]!]));
}

/** Two values that both must be had, or the trouble of the first that is not. */
export function both<A, B>(a: Called<A>, b: Called<B>): Called<readonly [A, B]> {
  if (!a.ok) return a;
  return b.ok ? done([a.value, b.value]) : b;
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
