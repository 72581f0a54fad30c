// How the daemon's heap is kept small and its collections short. It changes habits of V8 and must
// never change what the program does. A V8 that no longer knows one says so, and goes on without.

import { setFlagsFromString } from 'node:v8';

/**
 * Has V8 allocate everything among the young. Where much once survived a collection, V8 lets the
 * code that made it allocate among the old at once, and keeps to that; a probe has then one object
 * among the old, which is found dead only by the next full collection and until then keeps alive all
 * that the probe ever made. At 4,500 probes a second a collection of the young took 30 ms with
 * that and 1 ms without, and the heap grew to 300 MB in between (seen in V8 13.6, 2026-11-28).
 */
export function keepYoung(): void {
  setFlagsFromString('--no-allocation-site-pretenuring');
}

/**
 * Has V8 collect once the heap is half as large again as what was alive, where it would wait for
 * several times that. With 10,000 records 450 MB are alive: the process had 1.8 GB without that and
 * 0.9 GB with it (seen in V8 13.6, 2026-11-30).
 */
export function keepSmall(): void {
  setFlagsFromString('--heap-growing-percent=50');
}

/**
 * Has V8 compile what runs often once, by its best compiler, and soon: two more between this one and
 * the interpreter make code that is used for minutes and kept for longer. With 100 checks a second
 * the process had 124 MB without that and 109 MB with it, with 1,000 it had 150 and 139, and each
 * probe cost no more (seen in V8 13.6, 2026-12-01).
 */
export function compileOnce(): void {
  setFlagsFromString('--no-sparkplug');
  setFlagsFromString('--no-maglev');
  setFlagsFromString('--invocation-count-for-turbofan=400');
}

/** With so many records the start is bound by the processor. */
export const recordsMany = 3000;

/**
 * Has V8 compile as it does by itself, which helps a long start: that of 10,000 records took 48 s of
 * processor, and 56 s where it compiled once (seen in V8 13.6, 2026-12-01).
 */
export function compileOften(): void {
  setFlagsFromString('--sparkplug');
  setFlagsFromString('--maglev');
  setFlagsFromString('--invocation-count-for-turbofan=3000');
}
