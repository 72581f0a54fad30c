// One lease for a group of replicas, as an etcd or Kubernetes would hold it, and the coordinator of
// each replica: it renews, and believes in what it holds until its own clock says that the lease has
// run out. A process that stood still meanwhile goes on believing for a moment: that is the danger
// which epochs are for.

import type { Coordinator, LeaseEvent } from '../../src/ports.ts';
import type { Process } from './clock.ts';
import type { Wire } from './vendors.ts';

/** The service that everybody asks. */
export class Lease {
  holder: string | null = null;
  term = 0;
  readonly forMs: number;
  readonly #now: () => number;
  #until = 0;

  constructor(forMs: number, now: () => number) {
    this.forMs = forMs;
    this.#now = now;
  }

  /** Who really holds it now. */
  get owner(): string | null {
    return this.#now() < this.#until ? this.holder : null;
  }

  /** Renews or takes it: the term, or null when somebody else holds it. */
  ask(name: string, life: string): number | null {
    if (this.owner !== null && this.holder !== `${name}#${life}`) return null;
    if (this.owner === null || this.holder !== `${name}#${life}`) this.term++;
    this.holder = `${name}#${life}`;
    this.#until = this.#now() + this.forMs;
    return this.term;
  }

  release(name: string, life: string): void {
    if (this.holder === `${name}#${life}`) this.#until = 0;
  }
}

/** Of one replica, which always holds its lease. */
export function single(process: Process, term: number): Coordinator {
  return {
    start: (tell) => process.io(0, () => tell({ kind: 'held', term })),
    actsUntil: () => Number.POSITIVE_INFINITY,
    yield: () => Promise.resolve(),
    shared: null,
    close: () => {},
  };
}

export class SimCoordinator implements Coordinator {
  readonly #lease: Lease;
  readonly #process: Process;
  readonly #wire: Wire;
  readonly #way: { cutOff: boolean };
  readonly #life: string;
  #tell: (event: LeaseEvent) => void = () => {};
  #believedUntil: number | null = null;
  #term = 0;
  #closed = false;

  constructor(lease: Lease, process: Process, wire: Wire, way: { cutOff: boolean }) {
    this.#lease = lease;
    this.#process = process;
    this.#wire = wire;
    this.#way = way;
    this.#life = String(process.life);
  }

  start(tell: (event: LeaseEvent) => void): void {
    this.#tell = tell;
    // Whoever is not alone says so first: what others write meanwhile is then no stranger's.
    tell({ kind: 'lost', why: 'competing for the lease' });
    this.#renew();
  }

  readonly shared = null;

  actsUntil(): number {
    return this.#closed ? 0 : (this.#believedUntil ?? 0);
  }

  yield(): Promise<void> {
    this.#lose('handed over');
    if (!this.#way.cutOff) this.#lease.release(this.#process.name, this.#life);
    return Promise.resolve();
  }

  close(): void {
    this.#closed = true;
    if (!this.#way.cutOff) this.#lease.release(this.#process.name, this.#life);
  }

  #renew(): void {
    if (this.#closed) return;
    this.#doubt();
    const sentAt = this.#process.now();
    if (!this.#way.cutOff) {
      this.#wire.later(this.#wire.chance.spread(2, 50), () => {
        const term = this.#closed ? null : this.#lease.ask(this.#process.name, this.#life);
        this.#process.io(this.#wire.chance.spread(2, 50), () => this.#hear(term, sentAt));
      });
    }
    const pauseMs = (this.#lease.forMs / 3) * (0.8 + 0.4 * this.#wire.chance.next());
    this.#process.after(pauseMs, () => this.#renew());
  }

  #hear(term: number | null, sentAt: number): void {
    if (this.#closed) return;
    if (term === null) return this.#lose('another holds the lease');
    const until = sentAt + this.#lease.forMs;
    if (until <= this.#process.now()) return this.#doubt();
    const isNew = this.#believedUntil === null || term !== this.#term;
    this.#term = term;
    this.#believedUntil = until;
    this.#process.after(until - this.#process.now(), () => this.#doubt());
    if (isNew) this.#tell({ kind: 'held', term });
  }

  #doubt(): void {
    if (this.#closed || this.#believedUntil === null) return;
    if (this.#believedUntil <= this.#process.now()) this.#lose('the lease ran out');
  }

  #lose(why: string): void {
    if (this.#believedUntil === null) return;
    this.#believedUntil = null;
    this.#tell({ kind: 'lost', why });
  }
}
