// The other replicas of a group, each an engine of its own in the same time as a test's world, and
// the wire between them all: tellings and calls arrive a fixed moment later, a link that is cut
// carries nothing. `saidAt` is told as the real wire finds it out: by when a beat that was answered
// was sent.

import { type Event, telling, toldVersion } from '../../src/core/engine.ts';
import type { CoreConfig } from '../../src/core/model.ts';
import { WALL_0, World } from './world.ts';

/** One way, in milliseconds. */
const LATENCY_MS = 20;
/** What changes meanwhile goes together. */
const GATHER_MS = 5;
const BEAT_MS = 250;

export class Peers {
  readonly worlds = new Map<string, World>();
  /** `FROM>TO`: nothing arrives by this link. */
  readonly cut = new Set<string>();
  /** Calls that each has sent. */
  readonly calls = new Map<string, number>();
  /** May change what is on its way: a replica that lies. */
  bend: (from: string, event: Event) => Event = (_, event) => event;
  /** What each was told of each, by `FROM>TO`. */
  readonly #acked = new Map<string, number>();
  readonly #gathering = new Set<string>();
  /** Sightings and letters so far. */
  sightings = 0;
  letters = 0;

  constructor(main: World) {
    const { self, replicas } = main.config.group!;
    this.worlds.set(self, main);
    for (const name of replicas) {
      if (name === self) continue;
      const peer = new World(asSeenBy(main.config, name), main);
      for (const record of Object.keys(peer.config.records)) peer.hold(record, 'a.shop.test.');
      peer.start(false);
      this.worlds.set(name, peer);
    }
    main.peers = [...this.worlds.values()].filter((world) => world !== main);
    for (const [name, world] of this.worlds) {
      world.now = main.now;
      this.calls.set(name, 0);
      world.onStep = () => this.#changed(name);
      world.onCall = ({ checks, why }) => {
        this.calls.set(name, this.calls.get(name)! + 1);
        this.#send(name);
        for (const to of this.worlds.keys()) {
          this.#deliver(name, to, { kind: 'called', replica: name, checks, why });
        }
      };
      this.#beat(name);
    }
  }

  /** All links of one, both ways. */
  part(name: string, isCut: boolean): void {
    for (const other of this.worlds.keys()) {
      for (const link of [`${name}>${other}`, `${other}>${name}`]) {
        if (isCut) this.cut.add(link);
        else this.cut.delete(link);
      }
    }
  }

  #beat(name: string): void {
    this.#send(name);
    this.worlds.get(name)!.later(BEAT_MS, () => this.#beat(name));
  }

  #changed(name: string): void {
    const version = toldVersion(this.worlds.get(name)!.state);
    const isOld = [...this.worlds.keys()].some((to) => {
      return to !== name && (this.#acked.get(`${name}>${to}`) ?? 0) < version;
    });
    if (!isOld || this.#gathering.has(name)) return;
    this.#gathering.add(name);
    this.worlds.get(name)!.later(GATHER_MS, () => {
      this.#gathering.delete(name);
      this.#send(name);
    });
  }

  #send(name: string): void {
    const from = this.worlds.get(name)!;
    for (const to of this.worlds.keys()) {
      const link = `${name}>${to}`;
      if (to === name || this.cut.has(link)) continue;
      const told = telling(from.state, this.#acked.get(link) ?? 0)!;
      // It is answered for when it has arrived; here nothing is lost on the way.
      this.#acked.set(link, told.version);
      this.letters++;
      this.sightings += told.telling.sightings.length;
      const saidAt = WALL_0 + from.now - LATENCY_MS;
      this.#deliver(name, to, { kind: 'heard', telling: told.telling, saidAt });
    }
  }

  #deliver(from: string, to: string, event: Event): void {
    if (from === to || this.cut.has(`${from}>${to}`)) return;
    const world = this.worlds.get(to)!;
    const bent = this.bend(from, event);
    // By the sender's clock: the receiver may not have lived that far yet.
    const waitMs = this.worlds.get(from)!.now + LATENCY_MS - world.now;
    world.later(waitMs, () => world.send(bent));
  }
}

/** The same configuration on another replica. */
export function asSeenBy(config: CoreConfig, self: string): CoreConfig {
  return { ...config, group: { ...config.group!, self } };
}
