// The page's line to the daemon: who is let in, the board and its changes, and how old what is shown
// is. Where the stream breaks it says so within seconds and comes again, more and more slowly. It
// must never show old data as young, and keeps no token.

import { spelt } from '../../src/core/name.ts';
import type { Board, Change, SessionView, Strips } from '../../src/serve/board.ts';
import { changed } from './view.ts';

export type Session = NonNullable<SessionView['session']>;

export type Line =
  /** Nothing is known yet. */
  | 'connecting'
  /** What is shown is what the daemon says now. */
  | 'live'
  /** It was, and is no longer. */
  | 'lost'
  /** Nobody is let in. */
  | 'login';

/** The daemon says something each second: after so long without a word it is lost. */
const silenceMs = 5000;
const againMs = [500, 1000, 2000, 4000, 8000, 15_000];
/** A page that nobody sees gives its stream back after so long. */
const hiddenMs = 60_000;
const answerMs = 15_000;

export interface Answer {
  readonly status: number;
  /** What was said, as JSON; null: nothing that can be read. */
  readonly body: unknown;
}

export class Live {
  line: Line = 'connecting';
  board: Board | null = null;
  door: SessionView['door'] = 'token';
  session: Session | null = null;
  /** By this page's own clock, when the daemon was last heard. */
  #heard = 0;
  #at = 0;
  #wall = 0;
  #stream: EventSource | null = null;
  #tries = 0;
  #again: ReturnType<typeof setTimeout> | undefined;
  #hiding: ReturnType<typeof setTimeout> | undefined;
  readonly #listeners = new Set<() => void>();
  #isDue = false;

  start(): void {
    setInterval(() => this.#watch(), 500);
    document.addEventListener('visibilitychange', () => this.#seen());
    void this.#connect();
  }

  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Milliseconds since the daemon was last heard. */
  age(): number {
    return performance.now() - this.#heard;
  }

  /** Now, in the daemon's steady time. */
  now(): number {
    return this.#at + (this.line === 'live' ? this.age() : 0);
  }

  /** A moment of the daemon's steady time, in milliseconds since 1970. */
  wallOf(at: number): number {
    return at - this.#at + this.#wall;
  }

  async ask(path: string, body?: unknown): Promise<Answer> {
    const headers: Record<string, string> = {};
    if (body !== undefined) {
      headers['content-type'] = 'application/json';
      headers['x-detour-csrf'] = this.session?.csrf ?? '';
    }
    const how: RequestInit = { headers, signal: AbortSignal.timeout(answerMs), cache: 'no-store' };
    if (body !== undefined) Object.assign(how, { method: 'POST', body: JSON.stringify(body) });
    const response = await fetch(path, how);
    const text = await response.text();
    let said: unknown = null;
    try {
      said = JSON.parse(text);
    } catch {
      // An answer of something between, or half of one: the status says enough.
    }
    return { status: response.status, body: this.#shown(said) };
  }

  /** What was said, with names as they are shown. */
  #shown<T>(said: T): T {
    const { rest } = (said ?? {}) as { readonly rest?: Board['rest'] };
    return spelt(said, (rest ?? this.board?.rest)?.spelling);
  }

  async strips(of: readonly string[], span: '15m' | '6h'): Promise<Strips | null> {
    const { status, body } = await this.ask(
      `/v1/strips?span=${span}&of=${encodeURIComponent(of.join(','))}`,
    );
    return status === 200 ? (body as Strips) : null;
  }

  /** Shows a token; the status that came of it. */
  async login(token: string): Promise<number> {
    const { status, body } = await this.ask('/v1/session', { token });
    if (status !== 200) return status;
    this.session = (body as SessionView).session;
    this.#tries = 0;
    this.#become('connecting');
    void this.#connect();
    return status;
  }

  /** False where the daemon did not take it: this browser is still let in. */
  async logout(): Promise<boolean> {
    const { status } = await this.ask('/v1/session/end', {}).catch(() => ({ status: 0 }));
    if (status === 200) this.#out();
    return status === 200;
  }

  #out(): void {
    this.#end();
    [this.session, this.board] = [null, null];
    this.#become('login');
  }

  async #connect(): Promise<void> {
    clearTimeout(this.#again);
    this.#end();
    try {
      const who = await this.ask('/v1/session');
      if (who.status !== 200) return this.#later();
      const { door, session } = who.body as SessionView;
      [this.door, this.session] = [door, session];
      if (door === 'token' && session === null) return this.#out();
      await this.#renew();
    } catch {
      // No network, or nobody there: it is tried again.
      this.#later();
    }
  }

  /** The board anew, and its changes from there on. */
  async #renew(): Promise<void> {
    const { status, body } = await this.ask('/v1/board');
    if (status === 401) return this.#out();
    if (status !== 200 || body === null) return this.#later();
    this.board = body as Board;
    this.#hear(this.board);
    this.#follow(this.board.rev);
  }

  #follow(rev: string): void {
    const stream = new EventSource(`/v1/events?after=${rev}`);
    this.#stream = stream;
    const on = (kind: string, then: (data: string) => void) =>
      stream.addEventListener(kind, (event) => {
        if (this.#stream === stream) then((event as MessageEvent<string>).data);
      });
    const anew = () => {
      this.#end();
      this.#renew().catch(() => this.#later());
    };
    on('tick', (data) => this.#hear(JSON.parse(data)));
    on('change', (data) => {
      const change = this.#shown(JSON.parse(data) as Change);
      const { spelling: known } = this.board?.rest ?? {};
      const { rest } = change;
      // Every row is shown otherwise then.
      if (rest && JSON.stringify(rest.spelling) !== JSON.stringify(known)) return anew();
      if (this.board !== null) this.board = changed(this.board, change);
      this.#hear(change);
    });
    on('anew', anew);
    stream.addEventListener('error', () => {
      if (this.#stream === stream) this.#later();
    });
  }

  #hear({ at, wall }: { readonly at: number; readonly wall: number }): void {
    [this.#at, this.#wall, this.#heard] = [at, wall, performance.now()];
    this.#tries = 0;
    this.#become('live');
  }

  /** Comes again after a while. What is shown is old once nothing was heard for long enough. */
  #later(): void {
    this.#end();
    clearTimeout(this.#again);
    const waitMs = againMs[Math.min(this.#tries, againMs.length - 1)]!;
    this.#tries++;
    this.#again = setTimeout(() => void this.#connect(), waitMs);
    if (this.board === null) this.#become('lost');
    this.#watch();
  }

  #watch(): void {
    if (this.line === 'live' && this.age() > silenceMs) {
      this.#become('lost');
      if (this.#stream !== null) this.#later();
    }
    // The age that is shown grows.
    this.#tell();
  }

  #seen(): void {
    clearTimeout(this.#hiding);
    if (document.visibilityState === 'hidden') {
      this.#hiding = setTimeout(() => {
        clearTimeout(this.#again);
        this.#end();
      }, hiddenMs);
    } else if (this.#stream === null && this.line !== 'login') {
      this.#tries = 0;
      void this.#connect();
    }
  }

  #end(): void {
    this.#stream?.close();
    this.#stream = null;
  }

  #become(line: Line): void {
    this.line = line;
    this.#tell();
  }

  /** At most once for each frame. */
  #tell(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    const tell = () => {
      this.#isDue = false;
      for (const listener of this.#listeners) listener();
    };
    // A page that is hidden has no frames.
    if (document.visibilityState === 'hidden') setTimeout(tell, 250);
    else requestAnimationFrame(tell);
  }
}
