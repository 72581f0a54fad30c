// One connection to a replica whose word is proved: letters go out and come in, numbered, each with
// the newest number heard of the other and how long that was held. From this comes when a letter
// was said at the earliest, by our own clock alone: not before we sent what it echoes, plus the
// holding. It must never take the time of receipt for the time of saying, never let one end talk
// the other deaf, and never throw at the loop.

import type { Socket } from 'node:net';
import type { Json } from '../core/model.ts';
import type { Clock } from '../ports.ts';
import { fromBytes, LETTER_BYTES_MAX, type Letter, Names, toBytes } from './letter.ts';
import type { Frames, Session } from './session.ts';

/**
 * Numbers whose time of sending is kept; of an older one the hello's time is taken, which is
 * earlier.
 */
const KEPT = 1024;
/** Letters that are looked at in a second: what is more waits in the sender's kernel. */
const LETTERS_A_SECOND = 500;
const SECOND_MS = 1000;
/** And in one turn of the loop. */
const LETTERS_A_TURN = 4;

interface Hearing {
  /** `saidAt`: in our engine time, a lower bound of when it was said. */
  letter(letter: Letter, saidAt: number): void;
  /** Once, with a sentence's end: `X has closed the connection`. */
  closed(why: string): void;
}

interface LineOptions {
  readonly socket: Socket;
  readonly frames: Frames;
  readonly session: Session;
  readonly clock: Clock;
  /** Who is at the other end. */
  readonly replica: string;
  /** When our hello was sent and theirs came: both are number 0. */
  readonly helloSentAt: number;
  readonly helloHeardAt: number;
}

export class Line {
  readonly replica: string;
  readonly session: Session;
  readonly openedAt: number;
  readonly #options: LineOptions;
  readonly #names = new Names();
  readonly #sentAt: number[] = [];
  readonly #bytesAt: number[] = [];
  #hearing: Hearing | null = null;
  #echoed = 0;
  #bytesEchoed = 0;
  #heardAt: number;
  #roundTripMs: number | null = null;
  #bytesIn = 0;
  #bytesOut = 0;
  #closed: string | null = null;
  #second = { fromAt: 0, letters: 0 };
  #resting: (() => void) | null = null;
  #writing = false;

  constructor(options: LineOptions) {
    this.#options = options;
    this.replica = options.replica;
    this.session = options.session;
    this.openedAt = options.clock.now();
    this.#heardAt = options.helloHeardAt;
    options.frames.allow(LETTER_BYTES_MAX + 16);
  }

  /** From now on letters are heard. What came with the hello is heard in this call. */
  listen(hearing: Hearing): void {
    const { socket, frames } = this.#options;
    this.#hearing = hearing;
    let trouble: string | null = null;
    socket.on('error', (error: NodeJS.ErrnoException) => {
      trouble = `the connection broke: ${error.code ?? error.message}`;
    });
    socket.on('close', () => this.close(trouble ?? 'it has closed the connection'));
    socket.on('end', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      this.#bytesIn += chunk.length;
      frames.push(chunk);
      this.#take();
    });
    socket.resume();
    if (socket.destroyed) this.close('it has closed the connection');
    else this.#take();
  }

  #take(): void {
    for (let taken = 0; this.#closed === null && this.#resting === null; taken++) {
      if (taken === LETTERS_A_TURN) return this.#restATurn();
      const frame = this.#options.frames.next();
      if (frame === null) return;
      if (frame === 'too long') return this.close('a letter was too long');
      const body = this.session.open(frame);
      if (body === null) return this.close('a letter was not its own, or not in its place');
      this.#heard(body);
      this.#count();
    }
  }

  #heard(body: Buffer): void {
    const now = this.#options.clock.now();
    const decoded = fromBytes(body, this.replica, this.#names);
    if ('problem' in decoded) return this.close(`it said ${decoded.problem}`);
    const { echo, heldMs, letter } = decoded.sealed;
    if (echo > this.session.sent || echo < this.#echoed) {
      return this.close('it echoed what was never sent');
    }
    const sentAt = this.#sent(echo);
    this.#echoed = echo;
    if (echo > 0) this.#bytesEchoed = this.#bytesAt[echo % KEPT] ?? 0;
    this.#heardAt = now;
    this.#roundTripMs = Math.max(0, now - sentAt - heldMs);
    // A lie about the holding cannot bring the saying into the future.
    this.#hearing?.letter(letter, Math.min(now, sentAt + heldMs));
  }

  #restATurn(): void {
    const next = setImmediate(() => this.#goOn());
    this.#options.socket.pause();
    this.#resting = () => clearImmediate(next);
  }

  #goOn(): void {
    this.#resting = null;
    if (this.#closed !== null) return;
    this.#options.socket.resume();
    this.#take();
  }

  #sent(number: number): number {
    const isKept = number > 0 && this.session.sent - number < KEPT;
    return isKept ? this.#sentAt[number % KEPT]! : this.#options.helloSentAt;
  }

  /** Who says too much is read on in the next second. */
  #count(): void {
    const { clock, socket } = this.#options;
    const now = clock.now();
    if (now - this.#second.fromAt >= SECOND_MS) this.#second = { fromAt: now, letters: 0 };
    if (++this.#second.letters < LETTERS_A_SECOND) return;
    socket.pause();
    const waitMs = this.#second.fromAt + SECOND_MS - now;
    this.#resting = clock.after(waitMs, () => this.#goOn());
  }

  /**
   * On a line that is closed nothing is sent. `taken`: once the kernel has taken it, or the line is
   * closed.
   */
  send(letter: readonly Json[], taken: () => void = () => {}): void {
    if (this.#closed !== null) return taken();
    const now = this.#options.clock.now();
    // One less: either end of the span may be off by what the clock leaves out.
    const heldMs = Math.max(0, now - this.#heardAt - 1);
    const frame = this.session.seal(toBytes(this.session.heard, heldMs, letter));
    const number = this.session.sent;
    this.#bytesOut += frame.length;
    this.#sentAt[number % KEPT] = now;
    this.#bytesAt[number % KEPT] = this.#bytesOut;
    // All that is said in one turn goes in as few packets as it fits into.
    if (!this.#writing) {
      this.#writing = true;
      this.#options.socket.cork();
      queueMicrotask(() => {
        this.#writing = false;
        this.#options.socket.uncork();
      });
    }
    this.#options.socket.write(frame, () => taken());
  }

  /** Letters and bytes that were sent and not echoed. */
  get unanswered(): { readonly letters: number; readonly bytes: number } {
    return {
      letters: this.session.sent - this.#echoed,
      bytes: this.#bytesOut - this.#bytesEchoed,
    };
  }

  /** Bytes that the kernel has not taken. */
  get waiting(): number {
    return this.#options.socket.writableLength;
  }

  get heardAt(): number {
    return this.#heardAt;
  }

  /** Of the newest letter, without what was held; null before the first. */
  get roundTripMs(): number | null {
    return this.#roundTripMs;
  }

  get bytes(): { readonly in: number; readonly out: number } {
    return { in: this.#bytesIn, out: this.#bytesOut };
  }

  get isClosed(): boolean {
    return this.#closed !== null;
  }

  close(why: string): void {
    if (this.#closed !== null) return;
    this.#closed = why;
    this.#resting?.();
    this.#options.socket.destroy();
    this.#hearing?.closed(why);
  }
}
