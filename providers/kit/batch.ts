// Many records at one vendor in few calls: reading some side by side, and writing all in one
// transaction that is split in halves when one change of many spoils it. It must never send a
// change twice, and never go on sending after a vendor that does not follow.

import type { Fault } from '../../src/core/model.ts';
import { type Called, done, fault, type Trouble } from './fault.ts';
import type { Room, Told } from './room.ts';

/**
 * Sends every part as one transaction, and halves one that is refused for a single change down to
 * single changes, so that one stale change does not hold up the others. Any other fault ends the
 * sending: what was not sent yet is answered with it. Results are in the order of `items`; null is
 * what there was no room for.
 */
export async function sendHalving<T>(
  items: readonly T[],
  options: {
    readonly room: Room;
    /** How many of these, from the first, the vendor takes at once; at least 1. */
    fitting(items: readonly T[]): number;
    send(items: readonly T[]): Promise<Called<null>>;
  },
): Promise<readonly Told<null>[]> {
  const results = new Array<Told<null>>(items.length).fill(null);
  const waiting: [from: number, to: number][] = items.length > 0 ? [[0, items.length]] : [];
  let halt: ({ readonly ok: false } & Trouble) | null = null;
  for (let range = waiting.pop(); range !== undefined; range = waiting.pop()) {
    const [from, end] = range;
    const to = Math.min(end, from + Math.max(1, options.fitting(items.slice(from, end))));
    if (to < end) waiting.push([to, end]);
    if (halt !== null) results.fill(halt, from, to);
    if (halt !== null || !options.room.take(1)) continue;
    const result = await options.send(items.slice(from, to));
    if (!result.ok && isOfOne(result) && to - from > 1) {
      const middle = from + Math.floor((to - from) / 2);
      waiting.push([middle, to], [from, middle]);
      continue;
    }
    results.fill(result, from, to);
    if (!result.ok && !isOfOne(result)) halt = { ...result, fault: unsent(result.fault) };
  }
  return results;
}

/** Nothing was applied, and one of the changes is to blame: the others may be tried apart. */
function isOfOne({ scope, fault: { kind } }: Trouble): boolean {
  return scope === 'record' && (kind === 'conflict' || kind === 'rejected');
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
