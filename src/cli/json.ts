// What commands print with --json: one document each, with the version of its shape. Times leave as
// dates and names without their last dot, so that no reader has to know how Detour counts time. The
// shapes stand in schema.ts, which nothing here may load.

import type { Spelling } from '../core/model.ts';
import { besideShown, spelt, unrooted } from '../core/name.ts';
import type { Io } from './hands.ts';

/** Raised when something is taken away or means something else; what is added does not raise it. */
export const jsonVersion = 1;

/** A moment on both clocks: `wall - at` turns an engine time into a date. */
interface Moment {
  readonly at: number;
  readonly wall: number;
}

/**
 * A document as its names are shown: to people as they write them, with `ascii` beside; as JSON in
 * ASCII, with `shown` beside.
 */
export function named<T extends object>(
  { spelling, ...document }: T & { readonly spelling?: Spelling },
  { json }: { readonly json?: boolean },
): T {
  return (json === true ? besideShown : spelt)(document, spelling) as T;
}

/** Prints one document as one line. `now` dates its `at` and `...At`; without it they stay numbers. */
export function printJson(io: Io, document: object, now: Moment | null = null): void {
  const offset = now === null ? null : now.wall - now.at;
  io.out(`${JSON.stringify({ version: jsonVersion, ...(outward(document, offset) as object) })}\n`);
}

/** A part of a document that bears a moment of its own, as it leaves. */
export function dated<T extends Moment>(part: T): object {
  const { at, wall, ...rest } = part;
  return { time: dateOf(wall), ...(outward(rest, wall - at) as object) };
}

/** `2026-01-02T03:04:05.000Z`; null for what is no time. */
export function dateOf(wall: number): string | null {
  const date = new Date(wall);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}

function outward(value: unknown, offset: number | null): unknown {
  if (typeof value === 'string') return unrooted(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((one) => outward(one, offset));
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => {
      const isTime = typeof one === 'number' && offset !== null && /(^at|At)$/.test(key);
      return [unrooted(key), isTime ? dateOf(one + offset) : outward(one, offset)];
    }),
  );
}
