// What Alibaba Cloud DNS says of an account's domains and records, in the house's shapes: what a
// row gives and on which line, and why a name is to be left alone. It must never pass over a row
// that it cannot read, nor let a name be written of which a page did not hold all.

import { markerName } from '../../src/core/marker.ts';
import type { Name, Refusal, Seen } from '../../src/core/model.ts';
import { companyIn } from '../../src/dns/company.ts';
import { fieldsOf } from './fault.ts';
import { Listing } from './listing.ts';
import { shown } from './pop.ts';
import type { Found, Listed } from './rows.ts';
import { apexRefused, delegatedAt, nameFrom, unquoteText } from './zone.ts';

/** It answers whoever no other line does. */
export const defaultLine = 'default';

/** Records of one name that one page may carry; a name with more is refused. */
export const pageSize = 100;

/** A domain of the account. */
export interface Zone {
  /** As the vendor writes its name: no trailing dot. */
  readonly id: string;
  readonly name: Name;
  readonly nameServers: readonly string[];
  readonly ttlMin: number | null;
  /** The lines that its edition has; null where the vendor does not say. */
  readonly lines: readonly string[] | null;
  readonly warnings: readonly string[];
  readonly refusal: Refusal | null;
  readonly listing: Listing;
}

/** One record as the vendor tells of it. */
export interface Row {
  readonly id: string;
  readonly type: string;
  readonly value: string;
  readonly ttl: number;
  readonly line: string;
  readonly enabled: boolean;
  readonly locked: boolean;
  readonly weighted: boolean;
  /** Vendor's clock, milliseconds; null when it does not say. */
  readonly createdWall: number | null;
  /** For people; null: none. */
  readonly remark: string | null;
}

export type Rows = readonly Row[];
type RowAt = Listed<Row>;

// ---------------------------------------------------------------- what stands

export function look(zone: Zone, name: Name, { at, marker, cuts }: Found<Row>): Seen {
  const [cut] = cuts;
  const cnames = at.filter((r) => r.type === 'CNAME').sort(byLine);
  return {
    cnames: cnames.map(({ value, ttl, line }) => {
      return { value: nameFrom(value), ttl, ...(line === defaultLine ? {} : { line }) };
    }),
    markers: marker.filter((r) => r.type === 'TXT').map(textOf),
    ...(zone.ttlMin === null ? {} : { ttlMin: zone.ttlMin }),
    refusal:
      zone.refusal ??
      apexRefused(zone, name) ??
      (cut === undefined ? null : delegatedAt(cut, name)) ??
      refusalAt(name, at, 'CNAME') ??
      refusalAt(markerName(name), marker, 'TXT'),
    ...companyIn(
      'remark',
      cnames.map((r) => r.remark),
    ),
    // A write reads again and uses the ids of that moment: ids of an old reading prove nothing.
    ref: null,
  };
}

/** The default line first. */
function byLine(a: Row, b: Row): number {
  const last = ({ line }: Row) => (line === defaultLine ? 0 : 1);
  return last(a) - last(b) || (a.line < b.line ? -1 : a.line > b.line ? 1 : 0);
}

function refusalAt(name: Name, rows: Rows, wanted: 'CNAME' | 'TXT'): Refusal | null {
  if (rows.includes(crowd)) {
    const sentence = `more than ${pageSize} records stand at ${name}: leave the CNAME alone`;
    return { word: 'other-type', sentence };
  }
  const line = wanted === 'TXT' ? rows.find((r) => r.line !== defaultLine) : undefined;
  if (line !== undefined) {
    const sentence = `a text of the line ${shown(line.line)} stands at ${name}: remove it`;
    return { word: 'line', sentence: `${sentence}, the marker stands on ${defaultLine} alone` };
  }
  const other = rows.find((r) => r.type !== wanted);
  if (other !== undefined) {
    const sentence = `a record of type ${shown(other.type)} stands at ${name}: remove it first`;
    return { word: 'other-type', sentence };
  }
  if (rows.some((r) => r.locked)) {
    return { word: 'locked', sentence: `the record at ${name} is locked: unlock it at the vendor` };
  }
  if (rows.some((r) => !r.enabled)) {
    const sentence = `the record at ${name} is paused: resume or remove it at the vendor`;
    return { word: 'disabled', sentence };
  }
  const isShared = new Set(rows.map((r) => r.line)).size < rows.length;
  if (wanted === 'CNAME' && (isShared || rows.some((r) => r.weighted))) {
    const each = rows.some((r) => r.line !== defaultLine) ? ' on each line' : '';
    const sentence = `${name} is balanced by weights: leave one CNAME${each}, switch weights off`;
    return { word: 'weighted', sentence };
  }
  return null;
}

// ---------------------------------------------------------------- the vendor's shapes

/** Stands for records beyond the page: no name with one is ever written. */
export const crowd: Row = {
  id: '',
  type: '',
  value: '',
  ttl: 0,
  line: defaultLine,
  enabled: true,
  locked: false,
  weighted: false,
  createdWall: null,
  remark: null,
};

export function rowsFrom(answer: Readonly<Record<string, unknown>>): readonly RowAt[] | null {
  const listed = fieldsOf(answer['DomainRecords'])['Record'];
  const rows = Array.isArray(listed) ? listed.map(rowOf) : [null];
  return rows.includes(null) ? null : (rows as RowAt[]);
}

function rowOf(raw: unknown): RowAt | null {
  const r = fieldsOf(raw);
  const [id, ttl, weight] = [idOf(r), Number(r['TTL']), Number(r['Weight'] ?? 1)];
  const {
    RR: rr,
    Type: type,
    Value: value,
    Line: line = defaultLine,
    Status: status = 'ENABLE',
  } = r;
  const words = [rr, type, value, line, status];
  if (id === '' || !Number.isSafeInteger(ttl) || !words.every((w) => typeof w === 'string')) {
    return null;
  }
  const created = Number(r['CreateTimestamp'] ?? Number.NaN);
  return {
    id,
    rr: nameFrom(rr as string).slice(0, -1),
    type: (type as string).toUpperCase(),
    value: value as string,
    ttl,
    line: line as string,
    enabled: (status as string).toUpperCase() === 'ENABLE',
    locked: isTrue(r['Locked']),
    weighted: isTrue(r['LbaStatus']) || weight > 1,
    createdWall: Number.isFinite(created) ? created : null,
    remark: typeof r['Remark'] === 'string' ? r['Remark'] : null,
  };
}

export function zoneFrom(
  domain: string,
  name: Name,
  info: Readonly<Record<string, unknown>>,
): Zone {
  const servers = strings(fieldsOf(info['DnsServers'])['DnsServer']);
  const least = Number(info['MinTtl'] ?? Number.NaN);
  const ttlMin = Number.isSafeInteger(least) && least > 0 ? least : null;
  const warnings: string[] = [];
  let refusal: Refusal | null = null;
  if (ttlMin !== null && ttlMin > 60) {
    const edition = shown(String(info['VersionCode'] ?? 'unknown'));
    const late = `resolvers may follow a switch up to ${ttlMin} s late`;
    warnings.push(`${name}: edition ${edition} takes no TTL under ${ttlMin} s, so ${late}`);
  }
  if (servers.length === 0) {
    warnings.push(`${name}: the vendor names no servers for it; set \`nameservers\``);
  }
  for (const [field, what] of [
    ['InBlackHole', 'in the black hole'],
    ['InClean', 'in traffic cleaning'],
  ] as const) {
    if (!isTrue(info[field])) continue;
    const sentence = `the vendor has put ${name} ${what}: its answers cannot be relied on`;
    warnings.push(sentence);
    refusal = { word: 'blocked', sentence: `${sentence}; settle it with the vendor` };
  }
  const listing = new Listing();
  const lines = linesFrom(info);
  return { id: domain, name, nameServers: servers, ttlMin, lines, warnings, refusal, listing };
}

function linesFrom(info: Readonly<Record<string, unknown>>): readonly string[] | null {
  const listed = fieldsOf(info['RecordLines'])['RecordLine'];
  if (!Array.isArray(listed)) return null;
  const codes = listed.map((one) => fieldsOf(one)['LineCode']);
  return codes.filter((code) => typeof code === 'string');
}

/** RecordId: a string, or a number of any length (pop-core makes the long ones objects). */
export function idOf(r: Readonly<Record<string, unknown>>): string {
  const id = r['RecordId'];
  const plain = id === null || id === undefined ? '' : String(id);
  return /^\w{1,64}$/.test(plain) ? plain : '';
}

function isTrue(value: unknown): boolean {
  return value === true || value === 'true';
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((v) => typeof v === 'string').slice(0, 32) : [];
}

/** A text's own characters: the vendor gives them bare, other tools store them quoted. */
export function textOf({ value }: Row): string {
  return unquoteText(value, 10);
}
