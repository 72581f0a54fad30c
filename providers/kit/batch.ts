// Many records at one vendor in few calls: reading some side by side, and writing all in one
// transaction that is split in halves when one change of many spoils it. It must never send a
// change twice, and never go on sending after a vendor that does not follow.

import type { Fault } from '../../src/core/model.ts';
import { type Called, done, fault, type Trouble } from './fault.ts';

/** What came of sending some changes as one transaction. */
export interface Sent {
  readonly result: Called<null>;
  /** Nothing was applied, and one of the changes may be to blame: worth trying them apart. */
  readonly divisible: boolean;
}

/**
 * Sends every part, and halves what is `divisible` down to single changes, so that one stale
 * change does not hold up the others. Any other fault ends the sending: what was not sent yet is
 * answered with it. Results are in the order of `items`; null is what there were no calls left for,
 * of at most `callsMax`.
 */
export async function sendHalving<T>(
  items: readonly T[],
  options: {
    readonly callsMax: number;
    /** How many of these, from the first, the vendor takes at once; at least 1. */
    fitting(items: readonly T[]): number;
    send(items: readonly T[]): Promise<Sent>;
  },
): Promise<readonly (Called<null> | null)[]> {
  const results = new Array<Called<null> | null>(items.length).fill(null);
  const waiting: [from: number, to: number][] = items.length > 0 ? [[0, items.length]] : [];
  let calls = 0;
  let halt: Trouble | null = null;
  for (let range = waiting.pop(); range !== undefined; range = waiting.pop()) {
    const [from, end] = range;
    const to = Math.min(end, from + Math.max(1, options.fitting(items.slice(from, end))));
    if (to < end) waiting.push([to, end]);
    if (halt !== null || calls >= options.callsMax) {
      if (halt !== null) results.fill({ ok: false, ...halt }, from, to);
      continue;
    }
    calls++;
    const { result, divisible } = await options.send(items.slice(from, to));
    if (!result.ok && divisible && to - from > 1) {
      const middle = from + Math.floor((to - from) / 2);
      waiting.push([middle, to], [from, middle]);
      continue;
    }
    results.fill(result, from, to);
    if (!result.ok && !divisible) halt = { ...result, fault: unsent(result.fault) };
  }
  return results;
}

/**
 * Runs `work` on every item, `limit` at a time. Ends at the first fault, which is the answer;
 * otherwise the values, in order.
 */
export async function sideBySide<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<Called<R>>,
): Promise<Called<readonly R[]>> {
  const values = new Array<R>(items.length);
  let next = 0;
  let trouble: Called<never> | null = null;
  const worker = async (): Promise<void> => {
    while (trouble === null && next < items.length) {
      const i = next++;
      const result = await work(items[i]!);
      if (result.ok) values[i] = result.value;
      else trouble ??= result;
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return trouble ?? done(values);
}

/** What stopped a call, said of changes that were never sent: surely not applied. */
export function unsent(cause: Fault): Fault {
  const kind = cause.kind === 'uncertain' ? 'unavailable' : cause.kind;
  return fault(kind, `not sent, after this: ${cause.detail}`, cause);
}
