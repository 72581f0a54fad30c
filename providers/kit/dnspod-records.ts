// What DNSPod says of an account's domains and records, in the house's shapes, and the calls that
// change a record. New records may be missing from its lists for half a minute: what was made here is
// asked for by its id as well. It must never take what a list leaves out for what is not there, and
// never leave out of a change what the vendor would put in by itself.

import type { Name, Refusal } from '../../src/core/model.ts';
import { type Called, done, failed, fieldsOf, garbled } from './fault.ts';
import { Listing } from './listing.ts';
import { type Listed, label } from './rows.ts';
import { isNoDomain, type TencentApi } from './tencent.ts';
import { nameFrom, spellings } from './zone.ts';

/** How the vendor spells the line that answers everybody who has none of his own. */
export const defaultLine = '默认';

export const everybody: Line = { RecordLine: defaultLine, RecordLineId: '0' };

/** An identical record stands already. */
export const exists = 'InvalidParameter.DomainRecordExist';

/** Records of one name that one page may carry; a name with more is refused. */
export const pageSize = 100;
export const listPage = 1000;
/** For so long what was made here is asked for by id: the vendor's lists may be 30 s behind. */
const freshMs = 60_000;
/** Names of records made here that are remembered. */
const freshMax = 4096;

/** A domain of the account. */
export interface Zone {
  readonly id: string;
  readonly name: Name;
  /** What every call about it says. */
  readonly where: { readonly Domain: string; readonly DomainId: number };
  readonly grade: string;
  readonly nameServers: readonly string[];
  readonly ttlMin: number | null;
  /** What an operator should know, beside the least TTL. */
  readonly doubts: readonly string[];
  readonly refusal: Refusal | null;
  readonly listing: Listing;
}

/** One record as the vendor tells of it. */
export interface Row {
  readonly id: string;
  readonly type: string;
  readonly value: string;
  readonly ttl: number;
  readonly line: Line;
  readonly enabled: boolean;
  readonly monitored: boolean;
  readonly weighted: boolean;
  /** For people, and for who holds a claim; null: none. */
  readonly remark: string | null;
}

/** A line as calls name it; the id counts. */
export interface Line {
  readonly RecordLine: string;
  readonly RecordLineId: string;
}

export interface Values extends Line {
  readonly RecordType: 'CNAME' | 'TXT';
  readonly Value: string;
  readonly TTL: number;
  readonly Remark?: string;
}

/** What is to stand at a name, in the place of a row if there is one. */
export interface Put {
  readonly name: Name;
  readonly row: Row | undefined;
  readonly values: Values;
}

export class DnspodRecords {
  readonly #api: TencentApi;
  /** Ids of records made here, by their names, and when that was. */
  readonly #fresh = new Map<Name, readonly { readonly id: string; readonly atMs: number }[]>();
  readonly #lines = new Map<string, readonly Line[]>();

  constructor(api: TencentApi) {
    this.#api = api;
  }

  /** One domain; null when the account does not hold it. */
  async zoneByName(name: Name, signal: AbortSignal): Promise<Called<Zone | null>> {
    // Which of its two spellings the vendor takes is not known for every site: both are tried.
    for (const Domain of spellings(name)) {
      const asked = { action: 'DescribeDomain', about: name, write: false };
      const answer = await this.#api.call(asked, { Domain }, signal);
      if (answer.ok) {
        const info = fieldsOf(answer.value['DomainInfo']);
        const floors = await this.#floors(name, signal);
        const zone = zoneFrom(name, info, floors);
        return zone === null
          ? garbled(`DescribeDomain of ${name}`, false, 'no domain')
          : done(zone);
      }
      if (!isNoDomain(answer.code)) return answer;
    }
    return done(null);
  }

  /** The least TTL of every plan, by its lower-case name; none where they cannot be had. */
  async #floors(name: Name, signal: AbortSignal): Promise<ReadonlyMap<string, number>> {
    const asked = { action: 'DescribePackageDetail', about: `the plan of ${name}`, write: false };
    const answer = await this.#api.call(asked, {}, signal);
    const plans = answer.ok ? answer.value['Info'] : [];
    return new Map(
      (Array.isArray(plans) ? plans : []).map((plan) => {
        const { DomainGrade, MinTtl } = fieldsOf(plan);
        return [String(DomainGrade).toLowerCase(), Number(MinTtl)];
      }),
    );
  }

  /** The default line, and others by their names as the zone's plan has them. */
  async linesOf(
    zone: Zone,
    others: readonly string[],
    signal: AbortSignal,
  ): Promise<Called<readonly Line[]>> {
    if (others.length === 0) return done([everybody]);
    const action = 'DescribeRecordLineList';
    let known = this.#lines.get(`${zone.id} ${zone.grade}`);
    if (others.some((line) => !known?.some((k) => k.RecordLine === line))) {
      const asked = { action, about: zone.name, write: false };
      const params = { ...zone.where, DomainGrade: zone.grade };
      const answer = await this.#api.call(asked, params, signal);
      if (!answer.ok) return answer;
      known = [answer.value['LineList'], answer.value['LineGroupList']].flatMap((list) =>
        (Array.isArray(list) ? list : []).map((raw) => {
          const { Name: RecordLine, LineId: RecordLineId } = fieldsOf(raw);
          return { RecordLine: String(RecordLine), RecordLineId: String(RecordLineId) };
        }),
      );
      this.#lines.set(`${zone.id} ${zone.grade}`, known);
    }
    const lines = others.map((line) => known!.find((k) => k.RecordLine === line));
    const missing = others[lines.indexOf(undefined)];
    if (missing === undefined) return done([everybody, ...(lines as Line[])]);
    const some = known!.slice(0, 12).map((k) => k.RecordLine);
    return failed('record', 'rejected', `the plan of ${zone.name} has no line ${missing}`, {
      cure: `list lines that it has, such as ${some.join(', ')}, or take another plan`,
      stale: true,
    });
  }

  /** Every record at exactly this name, whatever its line. */
  async rows(zone: Zone, name: Name, signal: AbortSignal): Promise<Called<readonly Row[]>> {
    const sub = label(zone, name);
    const params = { Subdomain: sub, Limit: pageSize, Offset: 0 };
    const listed = await this.#list(zone, name, params, signal);
    if (!listed.ok) return listed;
    const { rows, total } = listed.value;
    const here: Row[] = rows.filter((r) => r.rr === sub);
    // A page that does not hold them all must not be mistaken for the whole.
    if (total > rows.length) here.push(crowd);
    for (const id of this.freshAt(name).filter((one) => !here.some((r) => r.id === one))) {
      const row = await this.row(zone, id, signal);
      if (!row.ok) return row;
      if (row.value === null) this.#forget(name, id);
      else if (row.value.rr === sub) here.push(row.value);
    }
    return done(here);
  }

  /** One page of the whole zone, from 1. */
  page(zone: Zone, page: number, signal: AbortSignal) {
    const params = { Limit: listPage, Offset: (page - 1) * listPage };
    return this.#list(zone, zone.name, params, signal);
  }

  async #list(zone: Zone, about: Name, params: object, signal: AbortSignal) {
    const action = 'DescribeRecordList';
    const asked = { action, about, write: false };
    // Otherwise an empty list is an error.
    const all = { ...zone.where, ...params, ErrorOnEmpty: 'no' };
    const answer = await this.#api.call(asked, all, signal);
    if (!answer.ok) {
      // Past its end a list is empty whatever was asked.
      const isNone = answer.code === 'ResourceNotFound.NoDataOfRecord';
      return isNone ? done({ rows: [], total: 0 }) : answer;
    }
    const { RecordList, RecordCountInfo } = answer.value;
    const rows = Array.isArray(RecordList) ? RecordList.map(rowOf) : [null];
    const total = Number(fieldsOf(RecordCountInfo)['TotalCount']);
    if (rows.includes(null) || !Number.isSafeInteger(total)) {
      return garbled(`${action} of ${about}`, false, 'the answer lists no records');
    }
    return done({ rows: rows as Listed<Row>[], total });
  }

  /** One record by its id; null: there is none. */
  async row(zone: Zone, id: string, signal: AbortSignal): Promise<Called<Listed<Row> | null>> {
    const action = 'DescribeRecord';
    const asked = { action, about: `a record of ${zone.name}`, write: false };
    const params = { ...zone.where, RecordId: Number(id) };
    const answer = await this.#api.call(asked, params, signal);
    if (!answer.ok) {
      return answer.code === 'InvalidParameter.RecordIdInvalid' ? done(null) : answer;
    }
    const row = rowOf(answer.value['RecordInfo']);
    return row === null ? garbled(`${action} of ${zone.name}`, false, 'no record') : done(row);
  }

  /** Records made here at a name, which lists may not show yet. */
  freshAt(name: Name): readonly string[] {
    const since = performance.now() - freshMs;
    return (this.#fresh.get(name) ?? []).flatMap(({ id, atMs }) => (atMs > since ? [id] : []));
  }

  #remember(name: Name, id: string): void {
    const others = (this.#fresh.get(name) ?? []).filter((one) =>
      this.freshAt(name).includes(one.id),
    );
    this.#fresh.delete(name);
    this.#fresh.set(name, [...others, { id, atMs: performance.now() }]);
    const [oldest] = this.#fresh.keys();
    if (this.#fresh.size > freshMax) this.#fresh.delete(oldest!);
  }

  #forget(name: Name, id: string): void {
    const others = (this.#fresh.get(name) ?? []).filter((one) => one.id !== id);
    if (others.length > 0) this.#fresh.set(name, others);
    else this.#fresh.delete(name);
  }

  /** Makes a record, or changes the one that stands there; its id. */
  async put(
    zone: Zone,
    { name, row, values }: Put,
    signal: AbortSignal,
  ): Promise<Called<string> & { readonly code?: string | null }> {
    const action = row === undefined ? 'CreateRecord' : 'ModifyRecord';
    const about = `${values.RecordType} of ${name}`;
    // What a change leaves out falls back to what the vendor likes: `@`, the default line, enabled.
    const all = { ...zone.where, SubDomain: label(zone, name), ...values };
    const params = row === undefined ? all : { ...all, ...row.line, RecordId: Number(row.id) };
    const answer = await this.#api.call({ action, about, write: true }, params, signal);
    if (!answer.ok) return answer;
    const id = Number(answer.value['RecordId']);
    if (!Number.isSafeInteger(id)) {
      return { ...garbled(`${action} of ${name}`, true, 'it names no record'), code: null };
    }
    if (row === undefined) this.#remember(name, String(id));
    return done(String(id));
  }

  async remove(zone: Zone, name: Name, id: string, signal: AbortSignal): Promise<void> {
    const asked = { action: 'DeleteRecord', about: `TXT of ${name}`, write: true };
    const answer = await this.#api.call(asked, { ...zone.where, RecordId: Number(id) }, signal);
    if (answer.ok) this.#forget(name, id);
  }
}

// ---------------------------------------------------------------- the vendor's shapes

/** Stands for records beyond the page: no name with one is ever written. */
export const crowd: Row = {
  ...{ id: '', type: '', value: '', ttl: 0, line: everybody, remark: null },
  ...{ enabled: true, monitored: false, weighted: false },
};

/** One of a list, or one that was asked for by its id: the vendor spells the two differently. */
function rowOf(raw: unknown): Listed<Row> | null {
  const r = fieldsOf(raw);
  const [id, ttl] = [Number(r['RecordId'] ?? r['Id']), Number(r['TTL'])];
  const [rr, type] = [r['Name'] ?? r['SubDomain'], r['Type'] ?? r['RecordType']];
  const [line, lineId] = [r['Line'] ?? r['RecordLine'], r['LineId'] ?? r['RecordLineId']];
  const { Value: value, Remark: remark } = r;
  const words = [rr, type, value, line, lineId];
  const counts = [id, ttl];
  if (!counts.every(Number.isSafeInteger) || words.some((w) => typeof w !== 'string')) return null;
  return {
    id: String(id),
    rr: nameFrom(rr as string).slice(0, -1),
    type: (type as string).toUpperCase(),
    value: value as string,
    ttl,
    line: { RecordLine: line as string, RecordLineId: lineId as string },
    enabled: r['Enabled'] === 1 || String(r['Status']).toUpperCase() === 'ENABLE',
    monitored: (r['MonitorStatus'] ?? '') !== '',
    weighted: Number(r['Weight'] ?? 0) > 0,
    remark: typeof remark === 'string' && remark !== '' ? remark : null,
  };
}

function zoneFrom(
  name: Name,
  info: Readonly<Record<string, unknown>>,
  floors: ReadonlyMap<string, number>,
): Zone | null {
  const { DomainId, Domain, Punycode, Status, Grade, DnspodNsList } = info;
  const isSame = [Domain, Punycode].some((n) => typeof n === 'string' && nameFrom(n) === name);
  if (!isSame || !Number.isSafeInteger(DomainId)) return null;
  const grade = String(Grade);
  const least = floors.get(grade.toLowerCase()) ?? 0;
  const ttlMin = Number.isSafeInteger(least) && least > 0 ? least : null;
  const state = String(Status).toLowerCase().replaceAll(/\W/g, '?');
  const servers = Array.isArray(DnspodNsList) ? DnspodNsList.map(String).slice(0, 32) : [];
  const isYes = (field: string) => String(info[field]).toLowerCase() === 'yes';
  const doubts = [
    ttlMin === null ? `${name}: the least TTL of plan ${grade} could not be read` : null,
    servers.length > 0 ? null : `the vendor names no servers for ${name}; set \`nameservers\``,
    isYes('IsGracePeriod') || isYes('VipBuffered')
      ? `the plan of ${name} has run out: lines, servers and least TTL will be the free one's`
      : null,
  ].filter((doubt) => doubt !== null);
  const sentence = `the vendor has the domain ${name} as ${state}: its answers cannot be relied on`;
  return {
    id: String(DomainId),
    name,
    where: { Domain: String(Domain), DomainId: Number(DomainId) },
    ...{ grade, nameServers: servers, ttlMin, doubts, listing: new Listing() },
    refusal: state === 'enable' ? null : { word: 'blocked', sentence: `${sentence}; resume it` },
  };
}
