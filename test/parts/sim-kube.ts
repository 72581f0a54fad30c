// A Kubernetes API in virtual time, for the coordinator's own interface: the objects of
// kube-objects.ts behind ways that take time, are cut, lose replies and watches. It is held to the
// conformance suite that the real API passes (test/cluster/kubernetes.test.ts). It must never be
// kinder than the real one.

import type { KubeAnswer, KubeApi, KubeEvent, KubeObject } from '../../src/cluster/kube-api.ts';
import type { Process, Timeline } from '../sim/clock.ts';
import { type Any, type Event, KubeObjects, Refusal, resources } from './kube-objects.ts';

/** How one client reaches the API. */
export interface Link {
  /** Nothing gets through, either way, and nobody is told. */
  isCut: boolean;
  /** Added to every way, in milliseconds. */
  delayMs: number;
  /** So many replies from now on are lost. */
  loseReplies: number;
  /** Watches tell of nothing, and do not end. */
  isDeaf: boolean;
}

export interface SimKubeOptions {
  readonly timeline: Timeline;
  /** 0 to 1, from a seed. */
  readonly random: () => number;
}

const names = { lease: 'leases', secret: 'secrets', configMap: 'configmaps' } as const;
/** A watch that hears nothing for so long is ended by whoever has it (src/cluster/kube-api.ts). */
const QUIET_MS = 90_000;

export class SimKube {
  readonly objects = new KubeObjects('shop');
  /** Added to every write, before it is done. */
  slowMs = 0;
  /** Added to those of one kind. */
  slowOf: (resource: string) => number = () => 0;
  /** The API is gone: connections are refused. */
  isDown = false;
  readonly #timeline: Timeline;
  readonly #random: () => number;
  readonly #watches = new Set<() => void>();

  constructor({ timeline, random }: SimKubeOptions) {
    this.#timeline = timeline;
    this.#random = random;
  }

  link(): Link {
    return { isCut: false, delayMs: 0, loseReplies: 0, isDeaf: false };
  }

  /** Every watch ends now. */
  endWatches(): void {
    for (const end of [...this.#watches]) end();
  }

  api(process: Process, link: Link): KubeApi {
    const call = (
      kind: keyof typeof names,
      ask: (resource: string) => Any,
      deadlineMs: number,
      isWrite: boolean,
    ) => this.#call(process, link, names[kind], () => ask(names[kind]), deadlineMs, isWrite);
    const sent = (kind: keyof typeof names, object: KubeObject): Any => {
      return { kind: resources[names[kind]]!.kind, ...structuredClone(object) };
    };
    return {
      place: 'simulated',
      get: (kind, name, deadlineMs) =>
        call(kind, (resource) => this.objects.get(resource, name), deadlineMs, false),
      put: (kind, object, deadlineMs) =>
        call(
          kind,
          (resource) => this.objects.update(resource, object.metadata.name, sent(kind, object)),
          deadlineMs,
          true,
        ),
      create: (kind, object, deadlineMs) =>
        call(
          kind,
          (resource) => this.objects.create(resource, sent(kind, object)),
          deadlineMs,
          true,
        ),
      watch: (kind, name, version, tell) =>
        this.#watch(process, link, names[kind], name, Number(version), tell),
      close: () => {},
    };
  }

  #wayMs(link: Link): number {
    return 1 + 4 * this.#random() + link.delayMs;
  }

  #call(
    process: Process,
    link: Link,
    resource: string,
    ask: () => Any,
    deadlineMs: number,
    isWrite: boolean,
  ): Promise<KubeAnswer> {
    return new Promise((resolve) => {
      // What another life of the process asked is answered to nobody.
      const { life } = process;
      let wasSent = true;
      const late = () => {
        const word = isWrite && wasSent ? 'uncertain' : 'unavailable';
        resolve({ ok: false, word, detail: `no answer within ${deadlineMs} ms` });
      };
      const cancel = process.after(deadlineMs, late);
      const reply = (answer: KubeAnswer) => {
        if (link.isCut || process.life !== life) return;
        if (link.loseReplies > 0) {
          link.loseReplies--;
          return;
        }
        process.io(this.#wayMs(link), () => {
          cancel();
          resolve(answer);
        });
      };
      if (link.isCut) return;
      if (this.isDown) {
        wasSent = false;
        return reply({ ok: false, word: 'unavailable', detail: 'ECONNREFUSED' });
      }
      const workMs = 1 + 3 * this.#random() + (isWrite ? this.slowMs + this.slowOf(resource) : 0);
      this.#timeline.later(this.#wayMs(link), () => {
        // A connection that was cut on the way carries nothing.
        if (link.isCut || this.isDown) return;
        this.#timeline.later(workMs, () => {
          if (!this.isDown) reply(answerOf(ask));
        });
      });
    });
  }

  #watch(
    process: Process,
    link: Link,
    resource: string,
    name: string,
    from: number,
    tell: (event: KubeEvent) => void,
  ): () => void {
    const { life } = process;
    let isOver = false;
    let lastAt = 0;
    const over = () => {
      isOver = true;
      cancel();
      this.objects.listeners.delete(listener);
      this.#watches.delete(end);
    };
    /** In order, whatever the ways take. */
    const send = (event: KubeEvent) => {
      lastAt = Math.max(lastAt, this.#timeline.now + this.#wayMs(link));
      process.io(lastAt - this.#timeline.now, () => {
        if (isOver) return;
        if (event.kind === 'ended') over();
        tell(event);
      });
    };
    const end = () => send({ kind: 'ended', detail: 'its watch ended' });
    const listener = (event: Event) => {
      if (event.resource !== resource || event.object.metadata.name !== name) return;
      // What is lost on the way is lost: the connection never comes back.
      const isLost = link.isCut || link.isDeaf || process.life !== life;
      if (isLost) this.objects.listeners.delete(listener);
      else if (event.type === 'DELETED') send({ kind: 'gone' });
      else send({ kind: 'changed', object: structuredClone(event.object) });
    };
    const cancel = process.after(QUIET_MS, () => end());
    this.#watches.add(end);
    if (link.isCut || this.isDown) return over;
    const before = this.objects.since(resource, name, from);
    if (before === null) end();
    else {
      for (const event of before) listener(event);
      this.objects.listeners.add(listener);
    }
    return over;
  }
}

const words = {
  401: 'refused',
  403: 'refused',
  404: 'missing',
  409: 'conflict',
} as const;

function answerOf(ask: () => Any): KubeAnswer {
  try {
    return { ok: true, object: structuredClone(ask()) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const word = words[error.code as keyof typeof words] ?? 'invalid';
    return { ok: false, word, detail: `HTTP ${error.code} ${error.message}` };
  }
}
