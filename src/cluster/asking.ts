// What one replica asks of another over their line: its history, or its copy of the group's
// documents. Both ends have bounds: questions at once, rows, bytes, and two seconds. Who cannot be
// asked has not answered, which is a value. It must never hold up a beat: an answer goes in pieces,
// each when the kernel has taken the one before.

import type { EntryKind, Json } from '../core/model.ts';
import type { Clock, HistoryQuery, StoredEntry } from '../ports.ts';
import { askLetter, type Letter, type Query, replyLetter } from './letter.ts';
import type { Line } from './line.ts';

const ANSWER_MS = 2000;
/** Questions under way on one line: asked, and being answered. */
const ASKED_MOST = 8;
const ANSWERED_MOST = 2;
const ANSWERS_A_SECOND = 20;
const BYTES_MAX = 67_108_864;
const PIECE_BYTES = 32_768;
/** With a piece before it, far less than a letter takes. */
const ROW_CHARACTERS = 250_000;
const KEY_MAX = 1000;

/** What this replica answers from. Either may throw: then it is not answered. */
export interface Answers {
  history(query: HistoryQuery): readonly StoredEntry[];
  /** Its own whole copy of what the group shares. */
  documents(): Readonly<Record<string, Json>>;
}

export type Unanswered = 'unanswered';

interface Asked {
  readonly rows: Json[];
  bytes: number;
  readonly end: (rows: readonly Json[] | Unanswered) => void;
}

/** Questions of this replica on one line. */
export class Questions {
  readonly #line: Line;
  readonly #clock: Clock;
  readonly #asked = new Map<number, Asked>();
  #number = 0;

  constructor(line: Line, clock: Clock) {
    this.#line = line;
    this.#clock = clock;
  }

  ask(query: Query): Promise<readonly Json[] | Unanswered> {
    if (this.#asked.size >= ASKED_MOST || this.#line.isClosed) {
      return Promise.resolve('unanswered');
    }
    const id = ++this.#number;
    return new Promise((resolve) => {
      const end = (rows: readonly Json[] | Unanswered) => {
        cancel();
        this.#asked.delete(id);
        resolve(rows);
      };
      const cancel = this.#clock.after(ANSWER_MS, () => end('unanswered'));
      this.#asked.set(id, { rows: [], bytes: 0, end });
      this.#line.send(askLetter(id, query));
    });
  }

  heard({ id, state, rows }: Letter & { kind: 'reply' }): void {
    const asked = this.#asked.get(id);
    if (asked === undefined) return;
    asked.rows.push(...rows);
    asked.bytes += JSON.stringify(rows).length;
    if (state === 'failed' || asked.bytes > BYTES_MAX) asked.end('unanswered');
    else if (state === 'last') asked.end(asked.rows);
  }

  close(): void {
    for (const { end } of [...this.#asked.values()]) end('unanswered');
  }
}

/** Entries of another's history; null: what came is none. */
export function entriesOf(rows: readonly Json[]): readonly StoredEntry[] | null {
  const entries: StoredEntry[] = [];
  for (const row of rows) {
    if (!Array.isArray(row) || row.length < 7) return null;
    const [seq, at, wall, kind, record, sentence, data] = row as readonly Json[];
    if (!isNumber(seq) || !isNumber(at) || !isNumber(wall)) return null;
    if (typeof kind !== 'string' || typeof sentence !== 'string') return null;
    if (record !== null && typeof record !== 'string') return null;
    // Of a kind that only a later version knows: shown as it is, as an entry of the store is.
    const of = { kind: kind as EntryKind, record: record ?? null, sentence, data: data ?? null };
    entries.push({ seq, at, wall, ...of });
  }
  return entries;
}

export function documentsOf(rows: readonly Json[]): Readonly<Record<string, Json>> | null {
  const docs: [string, Json][] = [];
  for (const row of rows) {
    if (!Array.isArray(row) || row.length !== 2) return null;
    const [key, value] = row as readonly Json[];
    if (typeof key !== 'string' || key.length > KEY_MAX || value === undefined) return null;
    docs.push([key, value]);
  }
  return Object.fromEntries(docs);
}

const isNumber = (value: Json | undefined): value is number => Number.isFinite(value);

interface Means {
  readonly answers: Answers;
  readonly clock: Clock;
  readonly trouble: (detail: string) => void;
}

/** The answers of this replica on one line. */
export class Replies {
  readonly #line: Line;
  readonly #means: Means;
  #underWay = 0;
  #second = { fromAt: Number.NEGATIVE_INFINITY, answers: 0 };

  constructor(line: Line, means: Means) {
    this.#line = line;
    this.#means = means;
  }

  answer({ id, query }: Letter & { kind: 'ask' }): void {
    const rows = this.#mayAnswer() ? this.#rows(query) : null;
    if (rows === null) return void this.#line.send(replyLetter(id, 'failed', []));
    this.#underWay++;
    this.#say(id, rows, 0);
  }

  /** Each takes a turn of the loop: so many at once, and in a second. */
  #mayAnswer(): boolean {
    const now = this.#means.clock.now();
    if (now - this.#second.fromAt >= 1000) this.#second = { fromAt: now, answers: 0 };
    return ++this.#second.answers <= ANSWERS_A_SECOND && this.#underWay < ANSWERED_MOST;
  }

  #rows(query: Query): readonly Json[] | null {
    try {
      const rows = this.#known(query);
      if (rows.every((row) => JSON.stringify(row).length <= ROW_CHARACTERS)) return rows;
      this.#means.trouble("a replica's question was not answered: one row of it is too long");
    } catch (error) {
      this.#means.trouble(`a replica's question was not answered: ${String(error)}`);
    }
    return null;
  }

  #known(query: Query): readonly Json[] {
    if (query.kind === 'documents') return Object.entries(this.#means.answers.documents());
    const { kind: _, ...of } = query;
    return this.#means.answers
      .history(of)
      .map((e) => [e.seq, e.at, e.wall, e.kind, e.record, e.sentence, e.data]);
  }

  #say(id: number, rows: readonly Json[], from: number): void {
    let [to, bytes] = [from, 0];
    while (to < rows.length && bytes < PIECE_BYTES) bytes += JSON.stringify(rows[to++]).length;
    const isLast = to === rows.length;
    this.#line.send(replyLetter(id, isLast ? 'last' : 'more', rows.slice(from, to)), () => {
      if (isLast || this.#line.isClosed) this.#underWay--;
      else this.#say(id, rows, to);
    });
  }
}
