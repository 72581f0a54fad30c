// One way to people: what it is to be told and what not, in which order, how often it is tried and
// when it is given up. All of it is bounded: what waits, each attempt, all attempts together. A
// closing comes after its opening and is never left out. It must never make anybody wait but
// itself, and never lose anything without counting it.

import type { Json, NoticeSeverity } from '../core/model.ts';
import { noticeSeverities } from '../core/model.ts';
import type { Notifier, Told } from '../kit/extend.ts';
import type { ChannelFigures, Clock, DropWord } from '../ports.ts';
import { codeOf, TellError } from './fault.ts';

/** What a channel is told. */
export interface Rule {
  readonly severity: readonly NoticeSeverity[];
  /** Names without the last dot, `*` for anything; null: all. What is about no record goes to all. */
  readonly records: readonly string[] | null;
  /** For so long after it was told the same is not told again, in milliseconds; 0: it is. */
  readonly quietMs: number;
}

interface ChannelParts {
  readonly name: string;
  readonly notifier: Notifier<Told>;
  readonly rule: Rule;
  readonly clock: Clock;
  /** An attempt or a notice came to nothing, as one sentence. */
  readonly trouble: (sentence: string) => void;
  /** It has been failing for a while, or a page is lost; null: it works again. */
  readonly worry: (why: string | null) => void;
}

const atOnce = 4;
const waitingMost = 500;
const repeatsMost = 10_000;
/** One attempt, whatever the channel itself has set. */
const attemptMs = 30_000;
/** Attempts that heed no signal and never end. */
const orphansMost = 8;
const firstPauseMs = 1_000;
const lastPauseMs = 60_000;
/** How long a notice is tried in all. */
const totalMs = { page: 6 * 3_600_000, warn: 3_600_000, info: 900_000 } as const;
/** A channel that fails for so long is told of elsewhere. */
const worryMs = 60_000;
/** An end waits so long for what is under way. */
const graceMs = 2_000;

interface Item {
  readonly told: Told;
  /** Engine time since when it is tried. */
  readonly sinceAt: number;
}

/** What was told last under a key, while repeats of it are held back. */
interface Repeat {
  readonly toldAt: number;
  readonly told: Told;
  /** What is told when that time is over, unless it closes before; null: nothing. */
  held: Told | null;
  cancel: () => void;
}

export class Channel {
  readonly name: string;
  readonly #parts: ChannelParts;
  readonly #records: RegExp | null;
  readonly #waiting = new Waiting();
  readonly #inFlight = new Set<string>();
  #running = 0;
  #orphans = 0;
  #failures = 0;
  #failingSinceAt: number | null = null;
  #worried = false;
  #pausedUntil = 0;
  #wake: (() => void) | null = null;
  #refresh: (() => void) | null = null;
  /** Keys that it was told are open. */
  readonly #open = new Set<string>();
  readonly #repeats = new Map<string, Repeat>();
  #heir: Channel | null = null;
  #stopped = false;
  readonly #abort = new AbortController();
  #counts = { told: 0, failed: 0, quieted: 0, toldWall: 0 };
  readonly #dropped: Record<DropWord, number> = {
    overflow: 0,
    'gave-up': 0,
    refused: 0,
    stopped: 0,
  };

  constructor(parts: ChannelParts) {
    this.#parts = parts;
    this.name = parts.name;
    const { records } = parts.rule;
    this.#records = records === null ? null : patternOf(records);
  }

  tell(told: Told): void {
    if (this.#stopped || !this.#wants(told) || this.#isRepeat(told)) return;
    this.#enqueue({ told, sinceAt: this.#parts.clock.now() });
  }

  /** What an earlier life told has its closing owed; whoever forgets is told again, now and on. */
  start(open: () => readonly Told[]): void {
    for (const told of open()) if (this.#wants(told)) this.#open.add(told.dedup);
    const { refreshMs } = this.#parts.notifier;
    if (refreshMs === undefined) return;
    const again = () => {
      if (this.#stopped) return;
      this.#refresh = this.#parts.clock.after(refreshMs, again);
      void this.#sayAgain(open().filter((told) => this.#wants(told)));
    };
    again();
  }

  /** Takes over from the one of an earlier configuration, which ends. */
  inherit(old: Channel): void {
    for (const item of old.#waiting.drain().reverse()) this.#waiting.putBack(item);
    for (const key of old.#open) this.#open.add(key);
    for (const [key, repeat] of old.#repeats) {
      repeat.cancel();
      const { toldAt, told, held } = repeat;
      const mine: Repeat = { toldAt, told, held: null, cancel: () => {} };
      this.#repeats.set(key, mine);
      if (held !== null) this.#hold(key, mine, held);
    }
    old.#repeats.clear();
    this.#counts = { ...old.#counts };
    Object.assign(this.#dropped, old.#dropped);
    this.#failingSinceAt = old.#failingSinceAt;
    this.#worried = old.#worried;
    old.#heir = this;
    old.#rest();
    this.#pump();
  }

  figures(): ChannelFigures {
    return {
      channel: this.name,
      waiting: this.#waiting.size,
      failing: this.#failingSinceAt !== null,
      ...this.#counts,
      dropped: { ...this.#dropped },
    };
  }

  /** Ends it, within 2 s; what could not be told by then is counted. */
  async close(): Promise<void> {
    const { clock } = this.#parts;
    const until = clock.now() + graceMs;
    const isBusy = () =>
      this.#running > 0 || (this.#waiting.size > 0 && clock.now() >= this.#pausedUntil);
    while (isBusy() && clock.now() < until) {
      await new Promise<void>((resolve) => void clock.after(20, resolve));
    }
    this.#rest();
    this.#abort.abort();
    for (const { told } of this.#waiting.drain()) this.#drop(told, 'stopped', 'Detour ends');
  }

  #rest(): void {
    this.#stopped = true;
    this.#wake?.();
    this.#refresh?.();
    for (const { cancel } of this.#repeats.values()) cancel();
  }

  // -------------------------------------------------------------- what is told

  #wants({ dedup, state, severity, record }: Told): boolean {
    // What it was told is open it is told the end of, whatever became of it meanwhile.
    if (state === 'closed' && this.#open.has(dedup)) return true;
    if (!this.#parts.rule.severity.includes(severity)) return false;
    if (record === null || this.#records === null) return true;
    return this.#records.test(record.replace(/\.$/, ''));
  }

  /** Holds back what says the same again too soon. */
  #isRepeat(told: Told): boolean {
    const { quietMs } = this.#parts.rule;
    if (quietMs === 0) return false;
    const { dedup: key, state } = told;
    const was = this.#repeats.get(key);
    if (state === 'closed') {
      if (was === undefined || was.held === null) return false;
      was.cancel();
      was.held = null;
      if (this.#open.has(key)) return false;
      this.#counts.quieted++;
      return true;
    }
    const now = this.#parts.clock.now();
    const isSoon = was !== undefined && now - was.toldAt < quietMs;
    if (isSoon && saysNothingNew(told, was.told)) {
      this.#counts.quieted++;
      if (state === 'open') this.#hold(key, was, told);
      return true;
    }
    was?.cancel();
    this.#remember(key, told);
    return false;
  }

  #remember(key: string, told: Told): void {
    this.#repeats.delete(key);
    const toldAt = this.#parts.clock.now();
    this.#repeats.set(key, { toldAt, told, held: null, cancel: () => {} });
    const [oldest] = this.#repeats;
    if (this.#repeats.size <= repeatsMost || oldest === undefined) return;
    oldest[1].cancel();
    this.#repeats.delete(oldest[0]);
    if (oldest[1].held !== null) this.tell(oldest[1].held);
  }

  #hold(key: string, was: Repeat, told: Told): void {
    was.cancel();
    was.held = told;
    const { clock, rule } = this.#parts;
    was.cancel = clock.after(was.toldAt + rule.quietMs - clock.now(), () => {
      if (was.held === null || this.#stopped) return;
      this.#remember(key, was.held);
      this.#enqueue({ told: was.held, sinceAt: clock.now() });
    });
  }

  // -------------------------------------------------------------- the queue

  #enqueue(item: Item): void {
    const { told } = item;
    if (told.state === 'open') this.#open.add(told.dedup);
    if (told.state === 'closed') this.#open.delete(told.dedup);
    if (this.#waiting.put(item)) this.#counts.quieted++;
    this.#pump();
    this.#shed();
  }

  /** Drops what waits beyond the bound: the least severe first, of these the oldest. */
  #shed(): void {
    while (this.#waiting.size > waitingMost) {
      this.#drop(this.#waiting.least().told, 'overflow', `more than ${waitingMost} wait`);
    }
  }

  #drop(told: Told, word: DropWord, why: string): void {
    this.#dropped[word]++;
    const sentence = `not told of ${told.key} (${told.severity}, ${told.state}): ${why}`;
    this.#parts.trouble(sentence);
    if (rankOf(told) === 0 && word !== 'stopped') this.#worry(sentence);
  }

  #pump(): void {
    const { clock } = this.#parts;
    while (!this.#stopped && this.#running < atOnce) {
      const pauseMs = this.#pausedUntil - clock.now();
      if (pauseMs > 0 && this.#waiting.size > 0) return this.#wakeIn(pauseMs);
      const item = this.#waiting.next(this.#inFlight);
      if (item === null) return;
      void this.#try(item);
    }
  }

  #wakeIn(ms: number): void {
    if (this.#wake !== null) return;
    this.#wake = this.#parts.clock.after(ms, () => {
      this.#wake = null;
      this.#pump();
    });
  }

  async #try(item: Item): Promise<void> {
    const { told } = item;
    this.#running++;
    this.#inFlight.add(told.dedup);
    const error = await this.#bounded((signal) => this.#parts.notifier.notify(told, signal));
    this.#running--;
    this.#inFlight.delete(told.dedup);
    if (error === null) this.#works();
    else this.#failed(item, error);
    this.#pump();
  }

  /** null: it was told. An attempt that does not end is left behind at its deadline. */
  async #bounded(work: (signal: AbortSignal) => Promise<void>): Promise<unknown> {
    if (this.#orphans >= orphansMost) return new TellError('earlier attempts never ended');
    const abort = new AbortController();
    const signal = AbortSignal.any([abort.signal, this.#abort.signal]);
    const late = new TellError(`it did not end within ${attemptMs / 1000} s`);
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const cancel = this.#parts.clock.after(attemptMs, () => {
      abort.abort();
      this.#orphans++;
      void ended.then(() => this.#orphans--);
      resolve(late);
    });
    const begun = async () => {
      await work(signal);
      return null;
    };
    const ended: Promise<unknown> = begun().catch((error: unknown) => error ?? late);
    const first = await Promise.race([ended, promise]);
    cancel();
    return first;
  }

  #works(): void {
    this.#counts.told++;
    this.#counts.toldWall = this.#parts.clock.wall();
    this.#failures = 0;
    this.#pausedUntil = 0;
    this.#failingSinceAt = null;
    if (!this.#worried) return;
    this.#worried = false;
    this.#parts.worry(null);
  }

  #failed(item: Item, error: unknown): void {
    const { told, sinceAt } = item;
    const now = this.#parts.clock.now();
    const why = this.#note(error);
    if (error instanceof TellError && error.isFinal) return this.#drop(told, 'refused', why);
    const pauseMs = Math.max(
      Math.min(lastPauseMs, firstPauseMs * 2 ** Math.min(10, this.#failures - 1)),
      error instanceof TellError ? (error.retryAfterMs ?? 0) : 0,
    );
    this.#pausedUntil = now + pauseMs;
    if (now + pauseMs - sinceAt > totalMs[told.severity]) {
      return this.#drop(told, 'gave-up', why);
    }
    const heir = this.#heir ?? this;
    if (!heir.#waiting.putBack(item)) heir.#counts.quieted++;
    heir.#shed();
    if (heir !== this) heir.#pump();
  }

  /** Counts a failure, and says it; the words of an error that is not ours may be anybody's. */
  #note(error: unknown): string {
    const { clock, trouble } = this.#parts;
    const why = error instanceof Error ? error.message.slice(0, 300) : codeOf(error);
    this.#counts.failed++;
    this.#failures++;
    this.#failingSinceAt ??= clock.now();
    trouble(why);
    if (clock.now() - this.#failingSinceAt >= worryMs) this.#worry(why);
    return why;
  }

  #worry(why: string): void {
    if (this.#worried) return;
    this.#worried = true;
    this.#parts.worry(why);
  }

  async #sayAgain(open: readonly Told[]): Promise<void> {
    const { notifier } = this.#parts;
    if (open.length === 0 || this.#running >= atOnce) return;
    this.#running++;
    const error = await this.#bounded((signal) => notifier.refresh!(open, signal));
    this.#running--;
    if (error === null) this.#works();
    else if (!this.#stopped) this.#note(error);
    this.#pump();
  }
}

function patternOf(globs: readonly string[]): RegExp {
  const escaped = globs.map((glob) =>
    glob
      .toLowerCase()
      .replace(/\.$/, '')
      .replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*'),
  );
  return new RegExp(`^(?:${escaped.join('|')})$`);
}

/**
 * What waits, pages before warnings before the rest, each in its order. A newer word about the same
 * thing takes the place of an older one; news are each of their own.
 */
class Waiting {
  readonly #ranks: readonly Item[][] = noticeSeverities.map(() => []);
  /** What is no news, by its key. */
  readonly #byKey = new Map<string, Item>();

  get size(): number {
    return this.#ranks.reduce((sum, items) => sum + items.length, 0);
  }

  /** Behind the others; true where it took the place of one. */
  put(item: Item): boolean {
    const was = this.#take(item.told);
    this.#ranks[rankOf(item.told)]!.push(item);
    if (item.told.state !== 'news') this.#byKey.set(item.told.dedup, item);
    return was;
  }

  /** Before the others, what was tried in vain; false where a newer word waits already. */
  putBack(item: Item): boolean {
    const { told } = item;
    if (told.state !== 'news' && this.#byKey.has(told.dedup)) return false;
    this.#ranks[rankOf(told)]!.unshift(item);
    if (told.state !== 'news') this.#byKey.set(told.dedup, item);
    return true;
  }

  /** The first that may be told now: of one key never two at once. */
  next(inFlight: ReadonlySet<string>): Item | null {
    for (const items of this.#ranks) {
      const at = items.findIndex(({ told }) => !inFlight.has(told.dedup));
      if (at >= 0) return this.#forget(items.splice(at, 1)[0]!);
    }
    return null;
  }

  /** Takes out the oldest of the least severe; there is one. */
  least(): Item {
    return this.#forget(this.#ranks.findLast((items) => items.length > 0)!.shift()!);
  }

  drain(): Item[] {
    this.#byKey.clear();
    return this.#ranks.flatMap((items) => items.splice(0));
  }

  #take({ dedup, state }: Told): boolean {
    const was = state === 'news' ? undefined : this.#byKey.get(dedup);
    if (was === undefined) return false;
    const items = this.#ranks[rankOf(was.told)]!;
    items.splice(items.indexOf(was), 1);
    return true;
  }

  #forget(item: Item): Item {
    if (this.#byKey.get(item.told.dedup) === item) this.#byKey.delete(item.told.dedup);
    return item;
  }
}

/** 0 for what must not be lost: pages, and the end of what was told. */
function rankOf({ severity, state }: Told): number {
  return state === 'closed' ? 0 : noticeSeverities.indexOf(severity);
}

function saysNothingNew(told: Told, was: Told): boolean {
  if (told.state === 'news' || was.state === 'news') return told.sentence === was.sentence;
  const isWorse = rankOf(told) < rankOf(was);
  return !isWorse && decisionOf(told.data) === decisionOf(was.data);
}

/** Of a decision that waits for a person, which. */
export function decisionOf(data: Json): string | null {
  const { approval } = (data ?? {}) as { readonly approval?: unknown };
  return typeof approval === 'string' ? approval : null;
}
