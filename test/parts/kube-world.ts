// Replicas in real time over an API that is really asked: the suite's world for the stand-in over
// HTTPS and for a real kube-apiserver. Each has a client of its own, which can be cut off, slowed
// down and robbed of replies between the coordinator and the wire. A replica that dies does nothing
// any more, nor gives anything back. It must never let a wait of the suite go on without a bound.

import { createKubeApi, type KubeAccount, type KubeApi } from '../../src/cluster/kube-api.ts';
import { createKubernetesCoordinator } from '../../src/cluster/kubernetes.ts';
import type { Clock } from '../../src/ports.ts';
import type { Any } from './kube-objects.ts';
import { type Body, LEASE, type Member, SECRET, type World } from './kube-suite.ts';

const LOOK_MS = 5;

export interface RealWorldOptions {
  readonly ttlMs: number;
  readonly slackMs: number;
  readonly place?: 'secret' | 'configMap';
  account(name: string): KubeAccount;
  get(resource: string, name: string): Promise<Any>;
  set(resource: string, name: string, edit: (object: Any) => Any): Promise<void>;
  close(): Promise<void>;
}

export class RealWorld implements World {
  readonly ttlMs: number;
  readonly slackMs: number;
  readonly options: RealWorldOptions;

  constructor(options: RealWorldOptions) {
    this.options = options;
    this.ttlMs = options.ttlMs;
    this.slackMs = options.slackMs;
  }

  body(name: string): RealBody {
    return new RealBody(this, name);
  }

  now(): number {
    return performance.now();
  }

  async pass(ms: number, look: () => boolean): Promise<void> {
    const until = performance.now() + ms;
    while (performance.now() < until && !look()) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  stir(): void {}

  get(resource: string, name: string): Promise<Any> {
    return this.options.get(resource, name);
  }

  set(resource: string, name: string, edit: (object: Any) => Any): Promise<void> {
    return this.options.set(resource, name, edit);
  }

  close(): Promise<void> {
    return this.options.close();
  }
}

class RealBody implements Body {
  readonly name: string;
  readonly isPaused = false;
  isAlive = false;
  readonly #world: RealWorld;
  readonly #link = { isCut: false, delayMs: 0, loseReplies: 0 };
  #life = 0;
  #wallOffMs = 0;
  #base = 0;
  #api: KubeApi | null = null;

  constructor(world: RealWorld, name: string) {
    this.#world = world;
    this.name = name;
  }

  now(): number {
    return Math.floor(this.#base + performance.now());
  }

  boot(member: Member) {
    this.isAlive = true;
    const life = ++this.#life;
    this.#base = Date.now() + this.#wallOffMs - performance.now();
    const isLiving = () => this.isAlive && this.#life === life;
    const clock: Clock = {
      now: () => this.now(),
      wall: () => Date.now() + this.#wallOffMs,
      after: (ms, then) => {
        const timer = setTimeout(() => isLiving() && then(), Math.max(0, ms));
        return () => clearTimeout(timer);
      },
    };
    const { options } = this.#world;
    this.#api = createKubeApi(options.account(this.name), clock);
    let ids = 0;
    return createKubernetesCoordinator({
      api: this.#through(this.#api, clock, isLiving),
      clock,
      elapsed: () => performance.now(),
      replica: this.name,
      lease: LEASE,
      documents: { kind: options.place ?? 'secret', name: SECRET },
      ttlMs: options.ttlMs,
      seal: member.seal,
      memory: {
        load: () => member.memory,
        save: (memory) => {
          member.memory = memory;
        },
      },
      id: () => `${this.name}-${life}-${++ids}`,
      trouble: (sentence) => void member.trouble.push(sentence),
    });
  }

  /** The same API over this replica's line. */
  #through(inner: KubeApi, clock: Clock, isLiving: () => boolean): KubeApi {
    const link = this.#link;
    const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
    const over = async <T>(call: () => Promise<T>, late: T, deadlineMs: number): Promise<T> => {
      const isOver = new Promise<T>((resolve) => void clock.after(deadlineMs, () => resolve(late)));
      const never = new Promise<T>(() => {});
      const go = async () => {
        if (link.delayMs > 0) await pause(link.delayMs);
        if (link.isCut || !isLiving()) return never;
        const answer = await call();
        if (link.delayMs > 0) await pause(link.delayMs);
        if (link.isCut || !isLiving()) return never;
        if (link.loseReplies === 0) return answer;
        link.loseReplies--;
        return never;
      };
      return Promise.race([go(), isOver]);
    };
    const late = (word: 'unavailable' | 'uncertain') => {
      return { ok: false, word, detail: 'no answer in time' } as const;
    };
    return {
      place: inner.place,
      get: (kind, name, ms) => over(() => inner.get(kind, name, ms), late('unavailable'), ms),
      put: (kind, object, ms) => over(() => inner.put(kind, object, ms), late('uncertain'), ms),
      create: (kind, object, ms) =>
        over(() => inner.create(kind, object, ms), late('uncertain'), ms),
      watch: (kind, name, version, tell) => {
        let isDeaf = link.isCut;
        return inner.watch(kind, name, version, (event) => {
          isDeaf ||= link.isCut;
          if (!isDeaf && isLiving()) tell(event);
        });
      },
      close: () => inner.close(),
    };
  }

  die(): void {
    this.isAlive = false;
    this.#life++;
    this.#api?.close();
  }

  cut(isCut: boolean): void {
    this.#link.isCut = isCut;
  }

  slow(ms: number): void {
    this.#link.delayMs = ms;
  }

  loseReplies(count: number): void {
    this.#link.loseReplies = count;
  }

  stepWall(ms: number): void {
    this.#wallOffMs += ms;
  }
}
