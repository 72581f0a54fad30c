// How long answers may be kept: what is to stand at a provider while the record is prepared, or in a
// drill, and what caches hold of what stood there before. It only counts; it never writes.

import { own } from './own.ts';
import type { Cell, Drill, PreparedPart, RecordDoc, RecordState, State } from './state.ts';

/** Seconds that a short TTL has where nobody says: clients soon follow, resolvers ask little more. */
export const SHORT_TTL = 5;

/** Seconds, where a zone's own negative TTL is not known: Route 53's default, the longest usual. */
const NEGATIVE_TTL = 900;

/** Seconds that are to stand at a provider: as configured, or less while the record is prepared. */
export function ttlAt({ doc }: RecordState, cell: Cell): number {
  const short = shortOf(doc);
  return short === null || cell.keepsTtl ? cell.ttl : shortAt(cell, short);
}

/** As far as a vendor lets a TTL come down; a TTL is never raised by it. */
export function shortAt({ ttl, ttlMin }: Cell, short: number): number {
  return Math.min(ttl, Math.max(short, ttlMin ?? 0));
}

function shortOf({ prepared, drill }: RecordDoc): number | null {
  const wishes = [prepared?.ttl ?? null, drill === null ? null : awayTtl(drill)];
  const short = wishes.filter((ttl) => ttl !== null);
  return short.length === 0 ? null : Math.min(...short);
}

/** What brings it home bears the TTL of every day again. */
function awayTtl({ stage, ttl = null }: Drill): number | null {
  return stage === 'going' || stage === 'away' || stage === 'ending' ? ttl : null;
}

/** How long, in seconds, caches may keep what stands at a provider now. */
export function cachedFor(state: State, r: RecordState, cell: Cell): number {
  // Where nothing stands, what is cached is that there is nothing (RFC 2308, section 5).
  const isNothing = cell.seen !== null && cell.seen.ttl === null;
  if (isNothing) return cell.survey?.negativeTtl ?? NEGATIVE_TTL;
  return shownFor(state, r, cell);
}

/** The same of what it was last seen to give, and of the TTL before, for as long as that lasts. */
export function shownFor(state: State, { doc }: RecordState, cell: Cell): number {
  const part = own(doc.prepared?.parts ?? {}, cell.provider);
  const before = part === undefined ? 0 : lastsOf(part, state.now);
  return Math.max(cell.seen?.ttl ?? cell.ttl, before);
}

/** Seconds for which caches may still hold what they took under the TTL before. */
function lastsOf(part: PreparedPart, now: number): number {
  const readyAt = readyAtOf(part);
  return readyAt === null ? part.from : Math.max(0, Math.ceil((readyAt - now) / 1000));
}

/** When every cache that follows TTLs holds no more than the short one; null: not known yet. */
export function readyAtOf({ from, ttl, at }: PreparedPart): number | null {
  return at === null ? null : at + (ttl < from ? from * 1000 : 0);
}
