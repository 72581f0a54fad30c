// How records are read at a vendor that holds each of them by itself, with an id of its own: a few by
// their names, many by listing the zone, and what changes while it is listed by name again. It must
// never take a part of a zone for the whole, nor a zone of others for the one that is asked for.

import { markerName } from '../../src/core/marker.ts';
import type { Name, Seen } from '../../src/core/model.ts';
import { sideBySide } from './batch.ts';
import { oneByOne } from './by-zone.ts';
import { type Called, done } from './fault.ts';
import type { Listing } from './listing.ts';
import type { Room, Told } from './room.ts';
import { Between, namesBetween } from './zone.ts';

/** A zone whose records are listed in pages. */
interface ListedZone {
  readonly name: Name;
  readonly listing: Listing;
}

/** One record as the vendor tells of it. */
interface PlainRow {
  readonly type: string;
  readonly enabled: boolean;
}

/** One of a listing: `rr` is its name without its zone. */
export type Listed<R> = R & { readonly id: string; readonly rr: string };

/** What stands at a name and at its marker's. */
export interface Found<R> {
  readonly at: readonly R[];
  readonly marker: readonly R[];
  /** The names between it and its zone at which a zone of others begins. */
  readonly cuts: readonly Name[];
}

/** A vendor's part of it. */
export interface RowsOf<Z, R> {
  /** Every record at exactly this name. */
  rowsAt(zone: Z, name: Name, signal: AbortSignal): Promise<Called<readonly R[]>>;
  /** Calls that `rowsAt` takes for this name beyond one; none unless given. */
  readonly moreCalls?: (name: Name) => number;
  /** One page of the whole zone, from 1, and how many records there are in all. */
  page(
    zone: Z,
    page: number,
    signal: AbortSignal,
  ): Promise<Called<{ readonly rows: readonly Listed<R>[]; readonly total: number }>>;
  readonly pageSize: number;
  look(zone: Z, name: Name, found: Found<R>): Seen;
}

/** Names read at the same time. */
const readsAtOnce = 4;
/**
 * Reading one name costs two calls, listing one for each page of the zone: more names than a few are
 * read by listing, as long as that takes no more than a call a name.
 */
const listAboveNames = 3;
const listPagesMax = 40;
/** Names read one by one in one reading; what is left out is asked for again. */
const byNameMax = 50;
/** Calls for each name read: its own, and its marker's. */
const callsPerName = 2;

/** Reads these names of a zone; in order. */
export async function readRows<Z extends ListedZone, R extends PlainRow>(
  zone: Z,
  names: readonly Name[],
  vendor: RowsOf<Z, R>,
  { room, signal }: { readonly room: Room; readonly signal: AbortSignal },
): Promise<readonly Told<Seen>[]> {
  const more = (name: Name) => vendor.moreCalls?.(name) ?? 0;
  const listed =
    names.length > listAboveNames
      ? await listRows(zone, names.length, vendor, { room, signal })
      : done(null);
  if (!listed.ok) return names.map(() => listed);
  const told = new Map<Name, Told<Seen>>();
  for (const name of names) {
    const [at, marker] = [name, markerName(name)].map((n) => listed.value?.(n) ?? []);
    const isHalf = (at!.length === 0) !== (marker!.length === 0);
    // The other half may have slipped from one page to another: that must not look like an
    // edit. Where all is missing a write would create it, and looks again before it does.
    const cuts = namesBetween(zone.name, name).filter((n) => listed.value?.(n).some(isCut));
    const found = { at: at!, marker: marker!, cuts };
    const isWhole = !isHalf && more(name) + more(markerName(name)) === 0;
    if (listed.value !== null && isWhole) told.set(name, done(vendor.look(zone, name, found)));
  }
  const rest = names.filter((name) => !told.has(name));
  const between = new Between(zone.name, (name) => vendor.rowsAt(zone, name, signal));
  const each = await oneByOne(rest, {
    atOnce: readsAtOnce / callsPerName,
    atMost: byNameMax,
    room,
    callsEach: (name) => callsPerName + more(name) + more(markerName(name)) + between.missing(name),
    work: (name) => readName(zone, name, between, { vendor, signal }),
  });
  for (const [i, name] of rest.entries()) told.set(name, each[i]!);
  return names.map((name) => told.get(name)!);
}

async function readName<Z extends ListedZone, R extends PlainRow>(
  zone: Z,
  name: Name,
  between: Between<readonly R[]>,
  { vendor, signal }: { readonly vendor: RowsOf<Z, R>; readonly signal: AbortSignal },
): Promise<Called<Seen>> {
  const nothing = { at: [], marker: [], cuts: [] };
  if (name === zone.name) return done(vendor.look(zone, name, nothing));
  const owners = [name, markerName(name)];
  const [above, found] = await Promise.all([
    between.above(name),
    sideBySide(owners, owners.length, (n) => vendor.rowsAt(zone, n, signal)),
  ]);
  if (!above.ok) return above;
  if (!found.ok) return found;
  const [at, marker] = found.value as [readonly R[], readonly R[]];
  const cuts = above.value.flatMap(([owner, rows]) => (rows.some(isCut) ? [owner] : []));
  return done(vendor.look(zone, name, { at, marker, cuts }));
}

/**
 * The whole zone, by name; null when it is too long for so many names, or is seen to change while it
 * is read.
 */
async function listRows<Z extends ListedZone, R extends PlainRow>(
  zone: Z,
  names: number,
  vendor: RowsOf<Z, R>,
  { room, signal }: { readonly room: Room; readonly signal: AbortSignal },
): Promise<Called<((name: Name) => readonly R[]) | null>> {
  const pagesMax = Math.min(listPagesMax, names);
  const turn = zone.listing.begin(pagesMax, room);
  const rows = new Map<string, Listed<R>>();
  let total: number | null = null;
  for (let page = 1; page === 1 || rows.size < total!; page++) {
    if (!turn?.next()) return done(null);
    const answer = await vendor.page(zone, page, signal);
    if (!answer.ok) return answer;
    const { rows: part, total: count } = answer.value;
    const before = rows.size;
    for (const row of part) rows.set(row.id, row);
    total ??= count;
    const isTooLong = !turn.takes(Math.ceil(count / vendor.pageSize));
    const isMoving = count !== total || rows.size !== before + part.length;
    if (isTooLong || isMoving || (part.length === 0 && count > 0)) return done(null);
  }
  turn?.ended();
  const byLabel = Map.groupBy(rows.values(), (row) => row.rr);
  return done((name) => byLabel.get(label(zone, name)) ?? []);
}

/** Of what stands above a name: a paused one gives nothing to anybody. */
export function isCut({ type, enabled }: PlainRow): boolean {
  return type === 'NS' && enabled;
}

/** A name without its zone. */
export function label(zone: Pick<ListedZone, 'name'>, name: Name): string {
  return name.slice(0, -(zone.name.length + 1));
}
