// What this replica tells the others of what it sees, and what it hears of them: at once where it
// matters, else twice a second; what changed since it was last told, and all of it on a new
// connection. Whoever reads slowly gets fewer and newer tellings, never a queue of old ones. It
// says of each telling when it was said at the earliest, and of each replica when it is heard no
// more. It must never judge, never act, never take another's clock for its own, and one replica's
// trouble must reach no other.

import { randomBytes, randomInt } from 'node:crypto';
import type { Sighting, Telling } from '../core/heard.ts';
import type { CheckId, Json } from '../core/model.ts';
import type { CallReason } from '../core/state.ts';
import type { Clock, HistoryQuery, StoredEntry } from '../ports.ts';
import {
  type Answers,
  documentsOf,
  entriesOf,
  Questions,
  Replies,
  type Unanswered,
} from './asking.ts';
import { Door, type DoorOptions } from './door.ts';
import {
  beatLetter,
  callLetter,
  isTooMuch,
  type Letter,
  Names,
  type Piece,
  tellingLetters,
} from './letter.ts';
import type { Line } from './line.ts';
import { PURPOSE, type Refusal } from './session.ts';

/** Told so often at least, and at most. */
const BEAT_MS = 500;
const COALESCE_MS = 50;
/** Not heard for so many beats and the round trip: heard no more. */
const BEATS_MISSED = 3;
/** A round trip that is longer counts as this. */
const ROUND_TRIP_MOST_MS = 2000;
/**
 * Letters and bytes that may be unanswered before a telling waits for a newer one to take its
 * place.
 */
const UNANSWERED_LETTERS = 8;
const UNANSWERED_BYTES = 262_144;
/** From one attempt to reach a replica to the next: doubled each time, with a share of chance. */
const AGAIN_MS = { first: 100, most: 5000 };
/** A connection that has lived so long was a good one. */
const GOOD_MS = 2000;
/** So late, a timer says that this process stood still: then nobody's silence is judged. */
const STALL_MS = 250;
const TROUBLE_MS = 10_000;
/** A call beyond so many bytes that the kernel has not taken would come late: it is left out. */
const CALL_WAITING_BYTES = 65_536;
/** From one call to the next, and checks in one. */
const CALLS_MS = 20;
const CALLED_MOST = 10_000;

export type EyesEvent =
  /** `saidAt`: in own engine time, when it was said at the earliest. */
  | { readonly kind: 'heard'; readonly telling: Telling; readonly saidAt: number }
  | { readonly kind: 'unheard'; readonly replica: string; readonly why: string }
  | {
      readonly kind: 'called';
      readonly replica: string;
      readonly checks: readonly CheckId[];
      readonly why: CallReason;
    };

export interface EyesOptions extends DoorOptions {
  /** What changed since a version; all of it since null. Called in a turn of its own. */
  readonly told: (since: number | null) => { readonly telling: Telling; readonly version: number };
  readonly answers: Answers;
  /** Something that a person may want to know; several times, where it goes on. */
  readonly trouble: (detail: string) => void;
}

/** What is known of one other replica. */
interface PeerView {
  readonly replica: string;
  /** It takes what we tell. */
  readonly reached: boolean;
  /** It tells us. */
  readonly heard: boolean;
  readonly roundTripMs: number | null;
  /** Since its newest letter; null: none in this life. */
  readonly heardAgeMs: number | null;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly tellingsIn: number;
  readonly tellingsOut: number;
  /** The newest reason why it is not reached or heard, or was not; null: none yet. */
  readonly trouble: string | null;
}

export interface Eyes {
  /** Resolves with null when it listens, else with what is wrong and its cure. */
  start(tell: (event: EyesEvent) => void): Promise<string | null>;
  /** Something changed that the others should know at once. */
  changed(): void;
  /** To all that are reached just now; whoever is not never hears of it. */
  call(checks: readonly CheckId[], why: CallReason): void;
  history(replica: string, query: HistoryQuery): Promise<readonly StoredEntry[] | Unanswered>;
  documents(replica: string): Promise<Readonly<Record<string, Json>> | Unanswered>;
  peers(): readonly PeerView[];
  /** Where it listens; 0: nowhere. */
  readonly port: number;
  close(): void;
}

export function createEyes(options: EyesOptions): Eyes {
  return new OwnEyes(options);
}

class OwnEyes implements Eyes {
  readonly #door: Door;
  readonly #peers: ReadonlyMap<string, Peer>;

  constructor(options: EyesOptions) {
    const said = throttled(options);
    const peerOf = (replica: string) => this.#peers.get(replica)!;
    this.#door = new Door(options, randomBytes(12).toString('base64url'), {
      may: (from, instance) => peerOf(from).may(instance),
      met: (line, instance) => peerOf(line.replica).met(line, instance),
      refused: (why, from) => {
        if (from !== null) peerOf(from).troubled(why);
        said(`${from ?? 'somebody'} was refused: ${why}`);
      },
    });
    const names = Object.keys(options.peers);
    const of = { ...options, trouble: said };
    this.#peers = new Map(names.map((name) => [name, new Peer(name, of, this.#door)]));
  }

  async start(tell: (event: EyesEvent) => void): Promise<string | null> {
    for (const peer of this.#peers.values()) peer.start(tell);
    return this.#door.open();
  }

  get port(): number {
    return this.#door.port;
  }

  changed(): void {
    for (const peer of this.#peers.values()) peer.teller?.changed();
  }

  call(checks: readonly CheckId[], why: CallReason): void {
    for (const peer of this.#peers.values()) peer.teller?.call(checks, why);
  }

  async history(replica: string, query: HistoryQuery) {
    const rows = await this.#peers
      .get(replica)
      ?.teller?.questions.ask({ kind: 'history', ...query });
    return Array.isArray(rows) ? (entriesOf(rows) ?? 'unanswered') : 'unanswered';
  }

  async documents(replica: string) {
    const rows = await this.#peers.get(replica)?.teller?.questions.ask({ kind: 'documents' });
    return Array.isArray(rows) ? (documentsOf(rows) ?? 'unanswered') : 'unanswered';
  }

  peers(): readonly PeerView[] {
    return [...this.#peers.values()].map((peer) => peer.view());
  }

  close(): void {
    this.#door.close();
    for (const peer of this.#peers.values()) peer.close();
  }
}

/** Troubles of strangers and of what goes on: one in so long, with how many were left out. */
function throttled({ clock, trouble }: EyesOptions): (detail: string) => void {
  let [saidAt, unsaid] = [Number.NEGATIVE_INFINITY, 0];
  return (detail) => {
    const now = clock.now();
    if (now - saidAt < TROUBLE_MS) return void unsaid++;
    trouble(unsaid === 0 ? detail : `${detail} (and ${unsaid} more since the last one)`);
    [saidAt, unsaid] = [now, 0];
  };
}

/** One other replica: the line on which it is told, and the one on which it is heard. */
class Peer {
  readonly #name: string;
  readonly #options: EyesOptions;
  readonly #clock: Clock;
  readonly #door: Door;
  #tell: (event: EyesEvent) => void = () => {};
  teller: Teller | null = null;
  #listener: Listener | null = null;
  #instance: string | null = null;
  #againMs = AGAIN_MS.first;
  #giveUp: () => void = () => {};
  #cancelSilence: () => void = () => {};
  #heardAt: number | null = null;
  #isUnheard = false;
  #trouble: string | null = null;
  #past = { in: 0, out: 0, tellingsIn: 0, tellingsOut: 0 };
  #isClosed = false;

  constructor(name: string, options: EyesOptions, door: Door) {
    this.#name = name;
    this.#options = options;
    this.#clock = options.clock;
    this.#door = door;
  }

  start(tell: (event: EyesEvent) => void): void {
    this.#tell = tell;
    this.#dial();
    this.#watch(this.#clock.now() + this.#patienceMs());
  }

  troubled(why: string): void {
    this.#trouble = why;
  }

  // -------------------------------------------------------------- telling

  #dial(): void {
    this.#giveUp = this.#door.dial(this.#name, (met) => {
      if (typeof met === 'string') {
        this.troubled(met);
        return this.#again();
      }
      this.teller = new Teller(met, this.#options, (why) => this.#untold(met, why));
      this.teller.start();
    });
  }

  #untold(line: Line, why: string): void {
    this.#count(line, 0, this.teller?.tellings ?? 0);
    this.teller = null;
    this.troubled(why);
    if (this.#clock.now() - line.openedAt >= GOOD_MS) this.#againMs = AGAIN_MS.first;
    this.#again();
  }

  #again(): void {
    if (this.#isClosed) return;
    const waitMs = randomInt(Math.ceil(this.#againMs / 2), this.#againMs + 1);
    this.#againMs = Math.min(this.#againMs * 2, AGAIN_MS.most);
    this.#giveUp = this.#clock.after(waitMs, () => this.#dial());
  }

  // -------------------------------------------------------------- hearing

  may(instance: string): Refusal | null {
    return this.#listener !== null && instance !== this.#instance ? 'double' : null;
  }

  /** The newer connection of one daemon takes the place of the older. */
  met(line: Line, instance: string): void {
    const older = this.#listener;
    this.#listener = null;
    older?.line.close('it has made a new connection');
    this.#instance = instance;
    this.#listener = new Listener(line, this.#options, {
      letter: () => this.#alive(),
      tell: (event) => {
        if (event.kind === 'heard') this.#isUnheard = false;
        this.#tell(event);
      },
      closed: (listener, why) => {
        this.#count(line, listener.tellings, 0);
        if (this.#listener !== listener) return;
        this.#listener = null;
        this.troubled(why);
      },
    });
    this.#alive();
    this.#listener.start();
  }

  #alive(): void {
    this.#heardAt = this.#clock.now();
  }

  #patienceMs(): number {
    const roundTrip = this.#roundTripMs() ?? 0;
    return BEATS_MISSED * BEAT_MS + Math.min(roundTrip, ROUND_TRIP_MOST_MS);
  }

  /** Says once of each silence that it is one. */
  #watch(dueAt: number): void {
    this.#cancelSilence = this.#clock.after(dueAt - this.#clock.now(), () => {
      const now = this.#clock.now();
      const silentAt = (this.#heardAt ?? Number.NEGATIVE_INFINITY) + this.#patienceMs();
      // What came while this process stood still is read before anybody is judged.
      if (now - dueAt > STALL_MS) return this.#watch(now + BEAT_MS);
      if (now < silentAt) return this.#watch(silentAt);
      if (!this.#isUnheard) this.#silent();
      this.#watch(now + BEAT_MS);
    });
  }

  #silent(): void {
    this.#isUnheard = true;
    // Its votes are dropped by whoever is told this: so all of it has to be told anew.
    this.#listener?.line.close('it was not heard for too long');
    const ms = this.#heardAt === null ? null : this.#clock.now() - this.#heardAt;
    const since = ms === null ? 'never heard yet' : `not heard for ${(ms / 1000).toFixed(1)} s`;
    const why = this.#trouble === null ? since : `${since}: ${this.#trouble}`;
    this.#tell({ kind: 'unheard', replica: this.#name, why });
  }

  // -------------------------------------------------------------- what is known

  #roundTripMs(): number | null {
    return this.teller?.line.roundTripMs ?? this.#listener?.line.roundTripMs ?? null;
  }

  #count(line: Line, tellingsIn: number, tellingsOut: number): void {
    const { in: bytesIn, out: bytesOut } = line.bytes;
    this.#past.in += bytesIn;
    this.#past.out += bytesOut;
    this.#past.tellingsIn += tellingsIn;
    this.#past.tellingsOut += tellingsOut;
  }

  view(): PeerView {
    const lines = [this.teller?.line, this.#listener?.line].filter((line) => line !== undefined);
    const sum = (of: 'in' | 'out') => lines.reduce((all, line) => all + line.bytes[of], 0);
    return {
      replica: this.#name,
      reached: this.teller !== null,
      heard: this.#listener !== null && this.#listener.tellings > 0,
      roundTripMs: this.#roundTripMs(),
      heardAgeMs: this.#heardAt === null ? null : this.#clock.now() - this.#heardAt,
      bytesIn: this.#past.in + sum('in'),
      bytesOut: this.#past.out + sum('out'),
      tellingsIn: this.#past.tellingsIn + (this.#listener?.tellings ?? 0),
      tellingsOut: this.#past.tellingsOut + (this.teller?.tellings ?? 0),
      trouble: this.#trouble,
    };
  }

  close(): void {
    this.#isClosed = true;
    this.#giveUp();
    this.#cancelSilence();
    this.teller?.line.close('this replica ends');
    this.#listener?.line.close('this replica ends');
  }
}

/** Whether the key that made a line is one of those configured now. */
function isCurrent(line: Line, { keys }: EyesOptions): boolean {
  const made = line.session.key;
  return keys()
    .derive(PURPOSE)
    .some((key) => key.equals(made));
}

/** What goes out to one replica. */
class Teller {
  readonly line: Line;
  readonly questions: Questions;
  readonly #options: EyesOptions;
  readonly #clock: Clock;
  readonly #closed: (why: string) => void;
  readonly #names = new Names();
  #since: number | null = null;
  #toldAt: number;
  #dueAt = Number.POSITIVE_INFINITY;
  #cancel: () => void = () => {};
  #isOwed = false;
  /** Of a telling that is being said. */
  #letters: Iterator<Json[], void> | null = null;
  readonly #called = new Map<CallReason, Set<CheckId>>();
  #calledAt = Number.NEGATIVE_INFINITY;
  #cancelCall: (() => void) | null = null;
  tellings = 0;

  constructor(line: Line, options: EyesOptions, closed: (why: string) => void) {
    this.line = line;
    this.#options = options;
    this.#clock = options.clock;
    this.#closed = closed;
    this.questions = new Questions(line, options.clock);
    this.#toldAt = this.#clock.now();
  }

  start(): void {
    this.line.listen({
      letter: (letter) => this.#heard(letter),
      closed: (why) => {
        this.#cancel();
        this.#cancelCall?.();
        this.questions.close();
        this.#closed(why);
      },
    });
    this.#due(this.#clock.now());
  }

  changed(): void {
    this.#due(this.#toldAt + COALESCE_MS);
  }

  /** The first goes in this turn; those that follow it closely go together. */
  call(checks: readonly CheckId[], why: CallReason): void {
    const called = this.#called.get(why) ?? new Set();
    for (const check of checks) if (called.size < CALLED_MOST) called.add(check);
    if (called.size === 0) return;
    this.#called.set(why, called);
    const waitMs = this.#calledAt + CALLS_MS - this.#clock.now();
    if (waitMs <= 0) return this.#callNow();
    this.#cancelCall ??= this.#clock.after(waitMs, () => this.#callNow());
  }

  #callNow(): void {
    this.#cancelCall?.();
    this.#cancelCall = null;
    this.#calledAt = this.#clock.now();
    const called = [...this.#called];
    this.#called.clear();
    if (this.line.waiting > CALL_WAITING_BYTES) return;
    for (const [why, checks] of called) this.line.send(callLetter([...checks], why));
  }

  /** The next telling is not later than this. */
  #due(at: number): void {
    if (this.line.isClosed || at >= this.#dueAt) return;
    this.#cancel();
    this.#dueAt = at;
    this.#cancel = this.#clock.after(at - this.#clock.now(), () => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      this.#turn(this.#clock.now() - at > STALL_MS);
    });
  }

  /** What came while this process stood still is read before the other is judged. */
  #turn(isLate: boolean): void {
    const now = this.#clock.now();
    const patienceMs = BEATS_MISSED * BEAT_MS;
    const roundTripMs = Math.min(this.line.roundTripMs ?? ROUND_TRIP_MOST_MS, ROUND_TRIP_MOST_MS);
    if (!isLate && now - this.line.heardAt > patienceMs + roundTripMs) {
      return this.line.close('it answers no more');
    }
    if (!isCurrent(this.line, this.#options)) return this.line.close('its key is used no more');
    const { letters, bytes } = this.line.unanswered;
    if (letters >= UNANSWERED_LETTERS || bytes >= UNANSWERED_BYTES) this.#isOwed = true;
    else if (this.#letters !== null) this.#isOwed = true;
    else this.#say();
    this.#due(this.#clock.now() + BEAT_MS);
  }

  #say(): void {
    this.#isOwed = false;
    this.#toldAt = this.#clock.now();
    const { telling, version } = this.#options.told(this.#since);
    if (isTooMuch(telling, this.#names)) {
      // Names that are no more fill the list: a new connection begins a new one.
      if (this.#since === null) this.#options.trouble(tooMuch);
      return this.line.close('there was more to tell than one connection takes');
    }
    this.#since = version;
    this.tellings++;
    this.#letters = tellingLetters(telling, this.#names);
    this.#sayNext();
  }

  /** A letter in a turn: a great telling holds up nothing else. Until its end no other begins. */
  #sayNext(): void {
    const letter = this.#letters?.next().value;
    if (this.line.isClosed || letter === undefined) return;
    this.line.send(letter);
    if (letter[1] !== 0) return void setImmediate(() => this.#sayNext());
    this.#letters = null;
    if (this.#isOwed) this.changed();
  }

  #heard(letter: Letter): void {
    if (letter.kind === 'reply') this.questions.heard(letter);
    if (!this.#isOwed) return;
    const { letters, bytes } = this.line.unanswered;
    if (letters < UNANSWERED_LETTERS && bytes < UNANSWERED_BYTES) this.changed();
  }
}

const tooMuch =
  'this replica has more checks and paths to tell of than the others take: the most is 100,000';

interface Told {
  /** Anything at all: it is there. */
  letter(): void;
  tell(event: EyesEvent): void;
  closed(listener: Listener, why: string): void;
}

/** What comes in from one replica. */
class Listener {
  readonly line: Line;
  readonly #options: EyesOptions;
  readonly #told: Told;
  readonly #replies: Replies;
  #gathered: Gathered | null = null;
  #cancel: () => void = () => {};
  tellings = 0;

  constructor(line: Line, options: EyesOptions, told: Told) {
    this.line = line;
    this.#options = options;
    this.#told = told;
    this.#replies = new Replies(line, options);
  }

  start(): void {
    this.#beat();
    this.line.listen({
      letter: (letter, saidAt) => this.#heard(letter, saidAt),
      closed: (why) => {
        this.#cancel();
        this.#told.closed(this, why);
      },
    });
  }

  /** The other echoes it: from this the age of what it tells is counted. */
  #beat(): void {
    this.#cancel();
    if (!isCurrent(this.line, this.#options)) return this.line.close('its key is used no more');
    this.line.send(beatLetter);
    this.#cancel = this.#options.clock.after(BEAT_MS, () => this.#beat());
  }

  #heard(letter: Letter, saidAt: number): void {
    this.#told.letter();
    const { replica } = this.line;
    switch (letter.kind) {
      case 'piece':
        return this.#gather(letter, saidAt);
      case 'call': {
        const { checks, why } = letter;
        return this.#told.tell({ kind: 'called', replica, checks, why });
      }
      case 'ask':
        return this.#replies.answer(letter);
      case 'beat':
      case 'reply':
      case 'other':
        return;
    }
  }

  #gather(piece: Piece, saidAt: number): void {
    const wrong = this.#add(piece, saidAt);
    if (wrong !== null) return this.line.close(`it said ${wrong}`);
    if (piece.more) return;
    const { head, sightings, records, saidAt: from } = this.#gathered!;
    this.#gathered = null;
    this.tellings++;
    const { hasRecords, ...of } = head;
    const listed = hasRecords ? Object.fromEntries(records) : null;
    const telling: Telling = { replica: this.line.replica, ...of, sightings, records: listed };
    this.#told.tell({ kind: 'heard', telling, saidAt: from });
    if (!this.line.isClosed) this.#beat();
  }

  /** What is wrong with it; null: nothing. */
  #add({ head, sightings, records }: Piece, saidAt: number): string | null {
    if (head !== null) {
      if (this.#gathered !== null) return 'a telling within another';
      if (this.tellings === 0 && !head.whole) return 'a part, and had never said the whole';
      // Ages are of the moment at which all of it was gathered by the teller: the first piece's.
      this.#gathered = { head, sightings: [], records: [], saidAt };
    }
    const gathered = this.#gathered;
    if (gathered === null) return 'the end of what it has not begun';
    if (gathered.sightings.length + sightings.length > GATHERED_MOST) return 'too much at once';
    if (gathered.records.length + records.length > GATHERED_MOST) return 'too much at once';
    gathered.sightings.push(...sightings);
    gathered.records.push(...records);
    return null;
  }
}

/** Rows of one telling. */
const GATHERED_MOST = 100_000;

interface Gathered {
  readonly head: NonNullable<Piece['head']>;
  readonly sightings: Sighting[];
  readonly records: (readonly [string, string])[];
  readonly saidAt: number;
}
