// What makes a change of records right at Alibaba Cloud DNS, which has no compare-and-swap: whether
// it may be made at all, what is put where and in which order, what must stand under its claim just
// before it, and what the reading after it says. It must never put the marker before the CNAME of
// any line, never take a living writer's claim for a dead one's, and never call made what was not
// read back.

import { claimName, formatMarker, markerName, parseMarker } from '../../src/core/marker.ts';
import type { Change, Fault, Name, Seen } from '../../src/core/model.ts';
import { defaultLine, look, type Row, type Rows, textOf, type Zone } from './alidns-rows.ts';
import { type Claim, claimantOf, leftAfterMs } from './claim.ts';
import { type Called, failed, fault } from './fault.ts';
import { leavesMarker } from './guarded.ts';
import { shown } from './pop.ts';
import { apexRefused, nameFrom } from './zone.ts';

interface Claimed extends Claim {
  readonly row: Row;
}

/** Everything a write must know just before and just after. */
export interface Sight {
  readonly seen: Seen;
  /** One a line where it may be written. */
  readonly cnames: Rows;
  readonly marker: Row | undefined;
  readonly claims: readonly Claimed[];
}

/** What is to stand at a name, in the place of a row if there is one. */
export interface Put {
  readonly name: Name;
  readonly row: Row | undefined;
  readonly values: {
    readonly Type: 'CNAME' | 'TXT';
    readonly Value: string;
    readonly TTL: number;
    /** Left out on a change the vendor takes it for the default line, wherever the record stood. */
    readonly Line?: string;
  };
}

/** What stands at the name, at its marker's and at its claims'. */
export function sightOf(
  zone: Zone,
  name: Name,
  [at, marker, claims]: readonly [Rows, Rows, Rows],
): Sight {
  return {
    seen: look(zone, name, { at, marker, cuts: [] }),
    cnames: at.filter((r) => r.type === 'CNAME'),
    marker: marker.find((r) => r.type === 'TXT'),
    claims: claims.flatMap((row) => {
      const match =
        row.type === 'TXT' ? /^epoch=(\d{1,15}) id=(\w{1,64})$/.exec(textOf(row)) : null;
      return match === null ? [] : [{ epoch: Number(match[1]), id: match[2]!, row }];
    }),
  };
}

/** Why a change cannot be made as it is, before anything is asked; null when it can. */
export function unwritable(zone: Zone, { name, from, to }: Change): Called<never> | null {
  const refusal = from.refusal ?? zone.refusal ?? apexRefused(zone, name);
  if (refusal !== null) return failed('record', 'rejected', refusal.sentence);
  const lines = from.cnames.map((c) => c.line ?? defaultLine);
  if (new Set(lines).size < lines.length || from.markers.length > 1) {
    const detail = `more than one value stands at ${name} or its marker`;
    return failed('record', 'rejected', detail, { cure: 'leave exactly one of each' });
  }
  const other = lines.find((line) => !linesOf(to).includes(line));
  if (other !== undefined) {
    const detail = `${name} stands on the line ${shown(other)}, which is not to be written`;
    return failed('record', 'rejected', detail, { cure: 'list it, or remove it at the vendor' });
  }
  const least = zone.ttlMin ?? 0;
  if (to.ttl < least && !isSet(from, to)) {
    const detail = `${name}: the zone's edition takes no TTL under ${least} s, not ${to.ttl} s`;
    const cure = `publish there with a ttl of ${least}, or take an edition with a lower floor`;
    // The edition that the floor follows from may be another by now.
    return failed('record', 'rejected', detail, { cure, stale: true });
  }
  // The vendor alters quotes, backslashes and outer blanks in a text: it would never read back.
  if (!/^[!#-[\]-~](?:[ !#-[\]-~]{0,509}[!#-[\]-~])?$/.test(formatMarker(to.marker))) {
    const detail = `the marker of ${name} has characters the vendor does not keep`;
    return failed('record', 'rejected', detail);
  }
  return null;
}

/** An adopted CNAME may keep a TTL from before the edition's floor; a new text may not have it. */
function textTtl(zone: Zone, to: Change['to']): number {
  return Math.max(to.ttl, zone.ttlMin ?? 0);
}

/** The lines that a change writes, the default one first. */
export function linesOf(to: Change['to']): readonly string[] {
  return to.lines ?? [defaultLine];
}

/** The text that claims: made, or there already, and then it is ours. */
export function claimPut(zone: Zone, { name, to }: Change, { epoch, id }: Claim): Put {
  const values = { Type: 'TXT', Value: `epoch=${epoch} id=${id}`, TTL: textTtl(zone, to) } as const;
  return { name: claimName(name), row: undefined, values };
}

/**
 * CNAMEs, the default line's first, which catches most; then the marker, unless that is left for
 * later. Each in place, and a CNAME only if it is not what is wanted already. Cut in half, the
 * marker is still that of before.
 */
export function putsOf(zone: Zone, change: Change, { cnames, marker }: Sight): readonly Put[] {
  const { name, to } = change;
  const puts: Put[] = [];
  for (const line of linesOf(to)) {
    const row = cnames.find((r) => r.line === line);
    if (row !== undefined && nameFrom(row.value) === to.cname && row.ttl === to.ttl) continue;
    const cname = to.cname.slice(0, -1);
    const values = { Type: 'CNAME', Value: cname, TTL: to.ttl, Line: line } as const;
    puts.push({ name, row, values });
  }
  if (leavesMarker(change)) return puts;
  const text = { Type: 'TXT', Value: formatMarker(to.marker), TTL: textTtl(zone, to) } as const;
  return [...puts, { name: markerName(name), row: marker, values: text }];
}

/** Whether what a change is to do now stands; what it leaves for later need not. */
export function isMade(seen: Seen, change: Change): boolean {
  const { from, to } = change;
  if (!isSet(seen, to)) return false;
  return isMarker(seen, to) || (leavesMarker(change) && sameList(seen.markers, from.markers));
}

/** Every line is as it is wanted, and no other stands there. */
function isSet({ cnames }: Seen, to: Change['to']): boolean {
  const lines = linesOf(to);
  return (
    cnames.length === lines.length &&
    lines.every((line) => cnames.some((c) => printLine(c) === printLine({ ...wantedOf(to), line })))
  );
}

function wantedOf({ cname, ttl }: Change['to']): Seen['cnames'][number] {
  return { value: cname, ttl };
}

/** One line and what it gives. */
function printLine({ line = defaultLine, value, ttl }: Seen['cnames'][number]): string {
  return `${line} ${value} ${ttl}`;
}

function isMarker({ markers }: Seen, to: Change['to']): boolean {
  return markers.length === 1 && markers[0] === formatMarker(to.marker);
}

/** Whether what stood when the change was planned still stands, and nobody else is at work. */
export function standsAgainst(now: Sight, change: Change, mine: Claim): Fault | null {
  const { name, from } = change;
  if (now.seen.refusal !== null) return fault('conflict', now.seen.refusal.sentence);
  const own = ownOf(now, mine);
  // Whoever reads his own claim reads every claim before it: of two rivals one sees the other.
  if (own === undefined) {
    return fault('unavailable', `${name}: the vendor's reading lags behind its own writing`);
  }
  if (!same(now.seen, from)) {
    return fault('conflict', `${name} is no longer what was read: ${describe(now.seen)}`);
  }
  const rival = now.claims.find(
    (c) => c.epoch >= mine.epoch && c.id !== mine.id && !isOver(c, now.seen, own, mine),
  );
  if (rival === undefined) return null;
  return fault('conflict', `another writer has claimed epoch ${rival.epoch} of ${name}`, {
    cure: `if no other writer lives, delete its text at ${claimName(name)} or wait a minute`,
  });
}

export function keyOf({ name }: Change, { epoch, id }: Claim): string {
  return `${name} ${epoch} ${id}`;
}

/** Our own claim, as it was read. */
export function ownOf({ claims }: Sight, mine: Claim): Claimed | undefined {
  return claims.find((c) => c.epoch === mine.epoch && c.id === mine.id);
}

/** Whether the write that was claimed is complete. */
export function isMarkedBy({ markers }: Seen, { id }: Claim): boolean {
  return markers.some((text) => claimantOf(parseMarker(text)) === id);
}

/** A claim whose write is complete, or whose writer died before it wrote. */
function isOver(claim: Claimed, seen: Seen, own: Claimed | undefined, mine: Claim): boolean {
  if (isMarkedBy(seen, claim)) return true;
  const [theirs, ours] = [claim.row.createdWall, own?.row.createdWall ?? null];
  return theirs !== null && ours !== null && ours - theirs > leftAfterMs(claim.epoch, mine.epoch);
}

/** What the reading after the write says; null when all is as written and nobody went past. */
export function judge(after: Sight, change: Change, mine: Claim): Fault | null {
  const { name, from, to } = change;
  const { seen } = after;
  const own = ownOf(after, mine);
  const higher = after.claims.find((c) => c.epoch > mine.epoch && !isOver(c, seen, own, mine));
  if (higher !== undefined) {
    return fault('conflict', `epoch ${higher.epoch} of ${name} was claimed during the write`);
  }
  if (isMade(seen, change)) return null;
  const old = from.cnames.map(printLine);
  const made = linesOf(to).map((line) => printLine({ ...wantedOf(to), line }));
  // Each line gives what was read, or what was written, and no line that stood there is gone.
  const isHalf =
    seen.cnames.length >= old.length &&
    seen.cnames.map(printLine).every((one) => old.includes(one) || made.includes(one));
  const lagging = isHalf && (isMarker(seen, to) || sameList(seen.markers, from.markers));
  return lagging
    ? fault('uncertain', `${name}: the vendor took the change and still reads back the old one`)
    : fault('conflict', `${name} was changed during the write: ${describe(seen)}`);
}

function same(a: Seen, b: Seen): boolean {
  const plain = (s: Seen) => s.cnames.map(printLine).sort();
  return sameList(plain(a), plain(b)) && sameList([...a.markers].sort(), [...b.markers].sort());
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

function describe({ cnames, markers }: Seen): string {
  const on = (line: string | undefined) => (line === undefined ? '' : ` on ${shown(line)}`);
  const all = cnames.map((c) => `${shown(c.value)} (TTL ${c.ttl})${on(c.line)}`);
  const value = all.join(' and ');
  return `now ${value === '' ? 'nothing' : value}, ${markers.length} marker(s)`;
}
