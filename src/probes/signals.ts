// Who is to stop when a signal says so. One signal stands for many probes and lives longer than all
// of them, and an EventTarget walks along its listeners to take one off, and makes its table anew
// for the last: so a signal is listened to once, and what waits for it is kept here, where coming
// and going cost no search. It must never keep anything that has left.

/** Something that a signal may stop; it knows its place among the others. */
export interface Stoppable {
  /** -1 while it is nowhere. */
  place: number;
  stop(): void;
}

/** A bag of such: in no order, each found by its place. */
export class Bag<T extends Stoppable> {
  readonly all: T[] = [];

  add(one: T): void {
    one.place = this.all.push(one) - 1;
  }

  remove(one: T): void {
    const { place } = one;
    if (place < 0) return;
    one.place = -1;
    const last = this.all.pop()!;
    if (last === one) return;
    this.all[place] = last;
    last.place = place;
  }

  stopAll(): void {
    for (const one of [...this.all]) one.stop();
  }
}

const bySignal = new WeakMap<AbortSignal, Bag<Stoppable>>();

/** What a signal stops when it is aborted; made when it is first asked for. */
export function stoppedBy(signal: AbortSignal): Bag<Stoppable> {
  const known = bySignal.get(signal);
  if (known !== undefined) return known;
  const bag = new Bag<Stoppable>();
  bySignal.set(signal, bag);
  signal.addEventListener('abort', () => bag.stopAll(), { once: true });
  return bag;
}
