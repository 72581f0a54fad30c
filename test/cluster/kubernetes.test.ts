// The coordinator over the Kubernetes API. Most of it lives in virtual time, over objects that behave as
// the API's do; the same suite then goes over real HTTPS to a strict stand-in, with tokens, RBAC, watches
// and the client itself. The real API is test/long/kubernetes.ts.

import { createKubernetesCoordinator } from '../../src/cluster/kubernetes.ts';
import { startKubeApi } from '../parts/kube-api.ts';
import {
  type Body,
  conformance,
  LEASE,
  type Member,
  SECRET,
  type World,
} from '../parts/kube-suite.ts';
import { RealWorld, type RealWorldOptions } from '../parts/kube-world.ts';
import { type Link, SimKube } from '../parts/sim-kube.ts';
import { Chance } from '../sim/chance.ts';
import { Process, Timeline } from '../sim/clock.ts';

const TTL_MS = 5000;
const LOOK_MS = 5;
const seeds = [1, 2, 3, 4, 5, 6, 7, 8];

class SimBody implements Body {
  readonly process: Process;
  readonly link: Link;
  readonly #world: SimWorld;

  constructor(world: SimWorld, name: string) {
    this.#world = world;
    this.process = new Process(name, world.timeline, world.chance);
    this.link = world.kube.link();
  }

  get name(): string {
    return this.process.name;
  }

  get isAlive(): boolean {
    return this.process.alive;
  }

  get isPaused(): boolean {
    return this.process.isPaused;
  }

  now(): number {
    return this.process.now();
  }

  boot(member: Member) {
    this.process.boot(0);
    const { timeline, kube } = this.#world;
    const { life } = this.process;
    let ids = 0;
    return createKubernetesCoordinator({
      api: kube.api(this.process, this.link),
      clock: this.process.clock(),
      elapsed: () => timeline.now,
      replica: this.name,
      lease: LEASE,
      documents: { kind: 'secret', name: SECRET },
      ttlMs: TTL_MS,
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

  die(): void {
    this.process.die();
  }

  cut(isCut: boolean): void {
    this.link.isCut = isCut;
  }

  slow(ms: number): void {
    this.link.delayMs = ms;
  }

  loseReplies(count: number): void {
    this.link.loseReplies = count;
  }

  stepWall(ms: number): void {
    this.process.wallOffMs += ms;
  }
}

class SimWorld implements World {
  readonly ttlMs = TTL_MS;
  readonly slackMs = 0;
  readonly timeline = new Timeline();
  readonly chance: Chance;
  readonly kube: SimKube;

  constructor(seed: number) {
    this.chance = new Chance(seed);
    this.kube = new SimKube({ timeline: this.timeline, random: () => this.chance.next() });
  }

  body(name: string): SimBody {
    return new SimBody(this, name);
  }

  now(): number {
    return this.timeline.now;
  }

  async pass(ms: number, look: () => boolean): Promise<void> {
    const until = this.timeline.now + ms;
    while (this.timeline.now < until && !look()) {
      const next = Math.min(until, this.timeline.now + LOOK_MS);
      await this.timeline.run(
        next,
        () => {},
        () => false,
      );
    }
  }

  stir(): void {
    this.timeline.stirred = true;
  }

  async get(resource: string, name: string) {
    return this.kube.objects.peek(resource, name);
  }

  async set(resource: string, name: string, edit: (object: never) => unknown) {
    this.kube.objects.edit(resource, name, edit as never);
  }

  async close(): Promise<void> {}
}

conformance('objects in virtual time', async (seed) => new SimWorld(seed), seeds);

/** A world of the stand-in over HTTPS, in real time; its leases are as short as they may be. */
async function realWorld(options: Partial<RealWorldOptions> = {}) {
  const kube = await startKubeApi();
  const world = new RealWorld({
    ttlMs: 2000,
    slackMs: 2000,
    account: (name) => kube.account(name),
    get: async (resource, name) => kube.get(resource, name),
    set: async (resource, name, edit) => kube.set(resource, name, edit),
    close: () => kube.stop(),
    ...options,
  });
  return { kube, world };
}

conformance('the stand-in over HTTPS', async () => (await realWorld()).world, [1], 5);
