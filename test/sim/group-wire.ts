// The network of a simulated group: which two of {replica, etcd member, vendor, origin} hear nothing
// of each other just now, and what replicas tell each other over it. Letters are late, lost with a cut
// and read late by whoever stood still; from the echoed beats each hearer knows when a letter was said
// at the earliest, as over the real wire (src/cluster/eyes.ts). It never judges what it carries.

import type { Telling } from '../../src/core/heard.ts';
import type { CheckId } from '../../src/core/model.ts';
import type { Eyes } from '../../src/ports.ts';
import type { Chance } from './chance.ts';
import type { Process } from './clock.ts';
import type { Told } from './replica.ts';

/** Told so often at least, and at most; heard no more after so many beats and the round trip. */
const BEAT_MS = 1000;
const COALESCE_MS = 50;
const BEATS_MISSED = 3;
const ROUND_TRIP_MOST_MS = 2000;

/** Who hears nothing of whom. */
export class Net {
  readonly #cuts = new Map<string, number>();
  readonly #endedAt = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  cut(a: string, b: string): () => void {
    const key = keyOf(a, b);
    this.#cuts.set(key, (this.#cuts.get(key) ?? 0) + 1);
    return () => {
      const left = this.#cuts.get(key)! - 1;
      if (left > 0) return void this.#cuts.set(key, left);
      this.#cuts.delete(key);
      this.#endedAt.set(key, this.#now());
    };
  }

  isCut(a: string, b: string): boolean {
    return this.#cuts.has(keyOf(a, b));
  }

  /** When they last heard nothing of each other; never: minus infinity. */
  cutAt(a: string, b: string): number {
    if (this.isCut(a, b)) return this.#now();
    return this.#endedAt.get(keyOf(a, b)) ?? Number.NEGATIVE_INFINITY;
  }
}

function keyOf(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

interface Letter {
  /** Of this life of the sender's process. */
  readonly from: string;
  readonly beat: number;
  /** The newest beat of the receiver's that the sender has, and how long it has had it. */
  readonly echo: { readonly of: string; readonly beat: number; readonly heldMs: number } | null;
  /** What of the receiver's the sender has folded in. */
  readonly has: { readonly of: string; readonly version: number } | null;
  readonly said: { readonly telling: Telling; readonly version: number } | null;
}

interface Peer {
  readonly name: string;
  /** Its life, as it was last heard of. */
  life: string | null;
  /** Our beats, and when each was sent; the newest of its beats, and when that came. */
  readonly sent: Map<number, number>;
  newest: { readonly beat: number; readonly at: number } | null;
  /** The version of ours that it has, and of its that we have. */
  has: number | null;
  version: number | null;
  roundTripMs: number;
  heardAt: number | null;
  isWaiting: boolean;
}

/** What all of them share. */
export interface Post {
  readonly net: Net;
  readonly chance: Chance;
  /** Of one way, in milliseconds. */
  readonly wayMs: readonly [least: number, most: number];
  /** Of those that live now. */
  readonly eyes: Map<string, SimEyes>;
}

export class SimEyes implements Eyes {
  readonly #post: Post;
  readonly #process: Process;
  readonly #life: string;
  readonly #told: Told;
  readonly #peers: ReadonlyMap<string, Peer>;
  #tell: Parameters<Eyes['start']>[0] = () => {};
  #beat = 0;
  #closed = false;

  constructor(post: Post, process: Process, others: readonly string[], told: Told) {
    this.#post = post;
    this.#process = process;
    this.#life = `${process.name}#${process.life}`;
    this.#told = told;
    const peerOf = (name: string): Peer => ({
      name,
      life: null,
      sent: new Map(),
      newest: null,
      has: null,
      version: null,
      roundTripMs: 0,
      heardAt: null,
      isWaiting: false,
    });
    this.#peers = new Map(others.map((name) => [name, peerOf(name)]));
    post.eyes.set(process.name, this);
  }

  start(tell: Parameters<Eyes['start']>[0]): Promise<string | null> {
    this.#tell = tell;
    for (const peer of this.#peers.values()) this.#pulse(peer);
    return Promise.resolve(null);
  }

  changed(): void {
    for (const peer of this.#peers.values()) {
      if (peer.isWaiting) continue;
      peer.isWaiting = true;
      this.#process.after(COALESCE_MS, () => {
        peer.isWaiting = false;
        this.#write(peer);
      });
    }
  }

  call(checks: readonly CheckId[], why: 'confirm' | 'fresh'): void {
    const replica = this.#process.name;
    for (const { name } of this.#peers.values()) {
      this.#carry(name, (eyes) => {
        if (!eyes.#closed) eyes.#tell({ kind: 'called', replica, checks, why });
      });
    }
  }

  close(): void {
    this.#closed = true;
  }

  #pulse(peer: Peer): void {
    if (this.#closed) return;
    this.#write(peer);
    this.#process.after(BEAT_MS, () => this.#pulse(peer));
  }

  #write(peer: Peer): void {
    if (this.#closed) return;
    const beat = ++this.#beat;
    const now = this.#process.now();
    peer.sent.set(beat, now);
    if (peer.sent.size > 64) peer.sent.delete(peer.sent.keys().next().value!);
    const { life, newest, version } = peer;
    const echo =
      life === null || newest === null
        ? null
        : { of: life, beat: newest.beat, heldMs: now - newest.at };
    const has = life === null || version === null ? null : { of: life, version };
    // Of whom nothing is known yet nothing is known that it has.
    const said = life === null ? null : this.#told(peer.has);
    const letter: Letter = { from: this.#life, beat, echo, has, said };
    this.#carry(peer.name, (eyes) => eyes.#read(this.#process.name, letter));
  }

  /** Over the network, to whoever lives there when it arrives. */
  #carry(to: string, read: (eyes: SimEyes) => void): void {
    const { net, chance, wayMs, eyes } = this.#post;
    const from = this.#process.name;
    if (net.isCut(from, to)) return;
    const ms = chance.int(...wayMs);
    this.#process.timeline.later(ms, () => {
      const there = eyes.get(to);
      if (there === undefined || net.isCut(from, to)) return;
      there.#process.io(0, () => read(there));
    });
  }

  #read(from: string, letter: Letter): void {
    const peer = this.#peers.get(from);
    if (this.#closed || peer === undefined) return;
    const now = this.#process.now();
    if (peer.life !== letter.from) {
      [peer.life, peer.newest, peer.has, peer.version] = [letter.from, null, null, null];
    }
    if (peer.newest !== null && letter.beat <= peer.newest.beat) return;
    peer.newest = { beat: letter.beat, at: now };
    const { echo, has, said } = letter;
    if (has?.of === this.#life) peer.has = has.version;
    const sentAt = echo?.of === this.#life ? peer.sent.get(echo.beat) : undefined;
    // Without our own beat in it nobody knows how old it is.
    if (sentAt === undefined || echo === null) return;
    const saidAt = sentAt + echo.heldMs;
    peer.roundTripMs = Math.min(ROUND_TRIP_MOST_MS, Math.max(0, now - saidAt));
    if (said === null) return;
    peer.version = said.version;
    this.#heard(peer, now);
    this.#tell({ kind: 'heard', telling: said.telling, saidAt });
  }

  #heard(peer: Peer, now: number): void {
    const isNew = peer.heardAt === null;
    peer.heardAt = now;
    if (isNew) this.#listen(peer, now);
  }

  /** Looks whether it is still heard, when it should have been; nobody is judged by our own stall. */
  #listen(peer: Peer, lookedAt: number): void {
    const patienceMs = BEATS_MISSED * BEAT_MS + peer.roundTripMs;
    const dueAt = Math.max(lookedAt + 100, peer.heardAt! + patienceMs);
    this.#process.after(dueAt - this.#process.now(), () => {
      const now = this.#process.now();
      if (this.#closed) return;
      if (now > dueAt + 250 || now - peer.heardAt! < patienceMs) return this.#listen(peer, now);
      peer.heardAt = null;
      // Whatever comes next is told whole.
      peer.version = null;
      const why = `no letter came for ${patienceMs} ms`;
      this.#tell({ kind: 'unheard', replica: peer.name, why });
    });
  }
}
