// The page's data, made once for all who look: the board as it is, and its changes as they come, by
// server-sent events. While nobody looks it does nothing; however many look, the rows are made once
// and each gets the same bytes. Who does not take what is sent is cut off, and comes again. It must
// never hold a page's slowness, nor show one who has been put out what came after.

import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { StatusView } from '../core/view.ts';
import type { StoredEntry } from '../ports.ts';
import { isStep, type List, lists, type Making, makingOf } from './board.ts';
import type { Desk, Trouble } from './desk.ts';
import { type Readers, together, type Work } from './readers.ts';
import { type Text, Writer } from './text.ts';

interface FeedOptions {
  readonly desk: Pick<Desk, 'status' | 'history' | 'watch'>;
  readonly readers: Readers;
  /** Whether those who look may see who did what. */
  readonly names: boolean;
  readonly trouble: Trouble;
  /** Between two looks at the state, in milliseconds; less where something was journalled. */
  readonly everyMs?: number;
  readonly hurryMs?: number;
  readonly lingerMs?: number;
  /** Pages at one time. */
  readonly most?: number;
}

/** Pages that look on. */
interface Looker {
  readonly response: ServerResponse;
  /** False: it may look no longer. */
  readonly may: () => boolean;
  isCaughtUp: boolean;
}

export interface Feed {
  /** The board as it is now. */
  board(): Promise<Text>;
  /**
   * Sends what comes after `after`, until either side ends it or it `may` no longer; false, and
   * nothing is sent: there are too many.
   */
  follow(response: ServerResponse, after: string | null, may: () => boolean): boolean;
  close(): void;
}

const everyMs = 1000;
const hurryMs = 250;
const lookersMost = 64;
/** It goes on for so long when the last has gone: whoever loads the page anew need not wait. */
const lingerMs = 10_000;
/** Changes that are kept for who comes again: so many, and so many bytes. */
const changesMost = 120;
const keptBytes = 2 << 20;
/** What one may have been sent and not taken. */
const behindBytes = 1 << 20;
/** Entries of the journal that the board bears, and how many are looked through for them. */
const entriesShown = 30;
const entriesRead = 200;
const pageMost = 50;

/** What the kernel takes to encrypt and send so much, in milliseconds: seen over loopback. */
const sendMs = (bytes: number) => 0.03 + bytes / 500_000;

interface Sent {
  readonly rev: number;
  readonly bytes: Buffer;
}

export function createFeed(options: FeedOptions): Feed {
  return new Looking(options);
}

class Looking implements Feed {
  readonly #options: Required<FeedOptions>;
  readonly #making: Making;
  /** Of this life of the daemon: what another one counted means nothing. */
  readonly #life = randomBytes(6).toString('hex');
  readonly #lookers = new Set<Looker>();
  readonly #made = new WeakMap<object, string>();
  /** Of each list the rows as JSON, by name, in order. */
  readonly #rows: Record<List, Map<string, string>> = {
    ...{ records: new Map(), origins: new Map(), clouds: new Map() },
    ...{ paths: new Map(), lanes: new Map() },
  };
  readonly #unwatch: () => void;
  readonly #renew: () => Promise<void>;
  #rest = '';
  #at = 0;
  #wall = 0;
  #rev = 0;
  #kept: Sent[] = [];
  #entries: readonly StoredEntry[] = [];
  #newest: number | undefined;
  #isNews = true;
  #wantedAt = Number.NEGATIVE_INFINITY;
  #renewedAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;
  #isLooking = false;

  constructor(options: FeedOptions) {
    this.#options = { everyMs, hurryMs, lingerMs, most: lookersMost, ...options };
    this.#making = makingOf(options.names);
    this.#unwatch = options.desk.watch(() => this.#hurry());
    this.#renew = together(() => this.#look());
  }

  async board(): Promise<Text> {
    if (this.#timer === null || this.#renewedAt === Number.NEGATIVE_INFINITY) await this.#renew();
    return this.#options.readers.spend(this.#boardText());
  }

  follow(response: ServerResponse, after: string | null, may: () => boolean): boolean {
    if (this.#isClosed || this.#lookers.size >= this.#options.most) return false;
    const looker: Looker = { response, may, isCaughtUp: false };
    this.#lookers.add(looker);
    response.once('close', () => this.#lookers.delete(looker));
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'x-accel-buffering': 'no',
    });
    response.write('retry: 1000\n\n');
    void this.#options.readers.spend(this.#catchUp(looker, after));
    this.#arm(0);
    return true;
  }

  /** In one piece: nothing may come between what it missed and what comes next. */
  *#catchUp(looker: Looker, after: string | null): Work<void> {
    const missed = this.#since(after);
    if (missed === null) looker.response.write(event('anew', this.#revText(), '{}'));
    else for (const { bytes } of missed) looker.response.write(bytes);
    looker.isCaughtUp = true;
    yield sendMs(missed?.reduce((sum, { bytes }) => sum + bytes.length, 0) ?? 0);
  }

  close(): void {
    this.#isClosed = true;
    this.#unwatch();
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const { response } of this.#lookers) response.destroy();
    this.#lookers.clear();
  }

  #revText(): string {
    return `${this.#life}-${this.#rev}`;
  }

  /** What was sent after that; null: nobody knows, the board must be taken anew. */
  #since(after: string | null): readonly Sent[] | null {
    const [life, number] = (after ?? '').split('-');
    const rev = Number(number);
    if (life !== this.#life || !(rev <= this.#rev)) return null;
    const oldest = this.#kept[0]?.rev ?? this.#rev + 1;
    return rev + 1 < oldest ? null : this.#kept.filter((one) => one.rev > rev);
  }

  #hurry(): void {
    this.#isNews = true;
    if (this.#timer === null) return;
    const sinceMs = performance.now() - this.#renewedAt;
    this.#arm(Math.max(0, this.#options.hurryMs - sinceMs));
  }

  /** Looks after so long, unless it looks already: then what is new is seen the time after. */
  #arm(ms: number): void {
    if (this.#isClosed || this.#isLooking) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#beat(), ms);
    this.#timer.unref();
  }

  async #beat(): Promise<void> {
    this.#isLooking = true;
    this.#isNews = false;
    try {
      await this.#renew();
    } catch (error) {
      // Pages go grey by themselves, and it is tried again.
      this.#options.trouble('serve', error instanceof Error ? error.message : String(error));
    } finally {
      this.#isLooking = false;
      const now = performance.now();
      if (this.#lookers.size > 0) this.#wantedAt = now;
      if (now - this.#wantedAt > this.#options.lingerMs) this.#timer = null;
      else this.#arm(this.#isNews ? this.#options.hurryMs : this.#options.everyMs);
    }
  }

  async #look(): Promise<void> {
    const { desk, readers } = this.#options;
    await readers.spend(this.#readJournal());
    const change = await readers.spend(this.#changed(await desk.status()));
    this.#renewedAt = performance.now();
    if (this.#isClosed) return;
    await readers.spend(this.#say(this.#told(change)));
  }

  /** What those who look are told of it. */
  #told(change: string | 'anew' | null): Buffer {
    const moment = `"at":${this.#at},"wall":${this.#wall}`;
    if (change === null) return event('tick', null, `{${moment}}`);
    this.#rev++;
    const rev = this.#revText();
    if (change === 'anew') {
      this.#kept = [];
      return event('anew', rev, '{}');
    }
    const bytes = event('change', rev, `{"rev":"${rev}",${moment},${change}}`);
    this.#keep({ rev: this.#rev, bytes });
    return bytes;
  }

  /** What a person wants to know of it: the steps of each switch stand with the record. */
  *#readJournal(): Work<void> {
    const { desk } = this.#options;
    const [newest] = desk.history({ limit: 1 });
    if (newest?.seq === this.#newest) return;
    const found: StoredEntry[] = [];
    let before = Number.MAX_SAFE_INTEGER;
    for (let read = 0; read < entriesRead && found.length < entriesShown; read += pageMost) {
      yield;
      const page = desk.history({ before, limit: pageMost });
      found.push(...page.filter(({ kind }) => !isStep(kind)));
      before = page.at(-1)?.seq ?? 0;
      if (page.length < pageMost) break;
    }
    this.#entries = found.slice(0, entriesShown);
    this.#newest = newest?.seq;
  }

  #keep(sent: Sent): void {
    this.#kept.push(sent);
    let bytes = this.#kept.reduce((sum, one) => sum + one.bytes.length, 0);
    while (this.#kept.length > changesMost || (bytes > keptBytes && this.#kept.length > 0)) {
      bytes -= this.#kept.shift()!.bytes.length;
    }
  }

  *#say(bytes: Buffer): Work<void> {
    for (const { response, may, isCaughtUp } of this.#lookers) {
      if (!isCaughtUp) continue;
      const isBehind = response.writableLength > behindBytes;
      if (isBehind || !may()) response.destroy();
      else response.write(bytes);
      yield sendMs(bytes.length);
    }
  }

  /** What of the board is another than before: parts of a JSON object; null: nothing. */
  *#changed(view: StatusView): Work<string | 'anew' | null> {
    const found: string[] = [];
    let isAnew = this.#rest === '';
    for (const list of lists) {
      const rows = this.#rows[list];
      const changed: string[] = [];
      const before = [...rows.keys()];
      const pieces: readonly object[] = view[list];
      for (const [i, piece] of pieces.entries()) {
        const key = keyOf(piece);
        if (before[i] !== key) isAnew = true;
        const known = this.#made.get(piece);
        if (known !== undefined && rows.get(key) === known) continue;
        const json = known ?? JSON.stringify(this.#making[list](piece as never));
        this.#made.set(piece, json);
        if (rows.get(key) !== json) changed.push(json);
        rows.set(key, json);
        yield;
      }
      if (before.length !== pieces.length) isAnew = true;
      if (isAnew) this.#rows[list] = new Map(pieces.map((p) => [keyOf(p), this.#made.get(p)!]));
      if (changed.length > 0) found.push(`"${list}":[${changed.join(',')}]`);
    }
    const rest = JSON.stringify(this.#making.rest(view, this.#entries));
    if (rest !== this.#rest) found.push(`"rest":${rest}`);
    [this.#rest, this.#at, this.#wall] = [rest, view.at, view.wall];
    return isAnew ? 'anew' : found.length === 0 ? null : found.join(',');
  }

  *#boardText(): Work<Text> {
    const to = new Writer();
    to.write(`{"rev":"${this.#revText()}","at":${this.#at},"wall":${this.#wall}`);
    // What is changed meanwhile stands in the next change as well: the number is that of before.
    for (const list of lists) {
      let before = `,"${list}":[`;
      for (const json of [...this.#rows[list].values()]) {
        to.write(before + json);
        before = ',';
        yield;
      }
      to.write(before === ',' ? ']' : `,"${list}":[]`);
    }
    to.write(`,"rest":${this.#rest}}`);
    return to.end();
  }
}

function keyOf(piece: object): string {
  const { name, provider } = piece as { readonly name?: string; readonly provider?: string };
  return name ?? provider ?? '';
}

function event(kind: string, id: string | null, data: string): Buffer {
  const numbered = id === null ? '' : `id: ${id}\n`;
  return Buffer.from(`${numbered}event: ${kind}\ndata: ${data}\n\n`);
}
