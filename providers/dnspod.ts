// DNSPod, the DNS of Tencent Cloud (API 2021-03-23, through kit/dnspod-records.ts). The vendor
// changes one record at a time and has no compare-and-set, but it refuses an identical record:
// whoever makes the text that names what stands may change that, and nobody else. The CNAME of every
// line goes before the marker, the default line's first: a change cut in half shows an old epoch,
// which every reader takes for lag. In a crowd the marker comes in a change of its own, under the
// claim that stands until then. It must never delete a CNAME, never delete a text that is not one
// of Detour's claims, never take a claim back under which a CNAME was changed, and never leave a line
// behind unsaid.

import { z } from 'zod';
import { claimName, formatMarker, markerName } from '../src/core/marker.ts';
import type { Change, Name, Refusal, Seen } from '../src/core/model.ts';
import { unrooted } from '../src/core/name.ts';
import { companyIn } from '../src/dns/company.ts';
import type {
  AdapterContext,
  ByHand,
  Capabilities,
  HandStep,
  KeyFacts,
  Provider,
  ProviderType,
  ReachingFinding,
  ZoneFacts,
} from '../src/kit/extend.ts';
import { dnsName, type SecretRef, secretRef } from '../src/kit/schema.ts';
import { tunnelsOf } from './kit/agents.ts';
import { sideBySide } from './kit/batch.ts';
import { below, shellWord } from './kit/by-hand.ts';
import { ByZone, oneByOne } from './kit/by-zone.ts';
import { Claims, type ClaimsAt } from './kit/claim.ts';
import {
  crowd,
  DnspodRecords,
  defaultLine,
  everybody,
  exists,
  type Line,
  listPage,
  type Put,
  pageSize,
  type Row,
  type Values,
  type Zone,
} from './kit/dnspod-records.ts';
import { endpoint } from './kit/endpoint.ts';
import { type Called, done, failed } from './kit/fault.ts';
import { guarded, halfway, isSettling, leavesMarker } from './kit/guarded.ts';
import {
  bad,
  fromAnswer,
  fromProbe,
  fromTrouble,
  good,
  ofZone,
  ttlFloor,
  warn,
  zoneRead,
} from './kit/preflight.ts';
import { type ProxySettings, proxy, refuseClearProxy } from './kit/proxy.ts';
import type { Room, Told } from './kit/room.ts';
import { type Found, isCut, label, type RowsOf, readRows } from './kit/rows.ts';
import { TencentApi } from './kit/tencent.ts';
import {
  apexRefused,
  delegatedAt,
  nameFrom,
  textMax,
  unquoteText,
  type ZoneFinder,
  zoneFinder,
} from './kit/zone.ts';

interface DnspodSettings {
  readonly secretId: SecretRef;
  readonly secretKey: SecretRef;
  readonly token?: SecretRef | undefined;
  readonly site: 'cn' | 'intl';
  /** The domain as the account holds it; found by asking when absent. */
  readonly zone?: Name | undefined;
  readonly endpoint: string;
  readonly proxy?: ProxySettings | undefined;
}

const capabilities: Capabilities = {
  type: 'dnspod',
  title: 'DNSPod (Tencent Cloud)',
  fence: {
    kind: 'weak',
    note:
      'The vendor has no compare-and-set and changes one record at a time, but it refuses an ' +
      `identical record: a text at \`${claimName('<record>')}\` that names what stands is made ` +
      'first, and only one writer can make it. One that stalls for a minute after that can still ' +
      'write late: it is noticed and repaired, not prevented.',
  },
  atomic: false,
  settlesLater: true,
  readMax: 5000,
  writeMax: 10,
  // Claim, two names and the claim read, the CNAME, it and the claim read.
  eachRecord: { calls: 7, writes: 2 },
  // Of each change: claim, three reads, a CNAME a line and a marker, five reads, two claims deleted.
  callsMax: 200,
  // Documented for each action and account (2023-03 to 2025-09): 500/s to create, modify or delete,
  // 200/s to read one record, 100/s to list. A third of a change's calls list at most, and less
  // than half read one record.
  quota: { burst: 200, perSecond: 280, reserve: 80 },
  permissions: [
    {
      permission: 'dnspod:DescribeDomain',
      note: 'this and all but the next on qcs::dnspod::uin/<account>:domain/<zone id> alone',
    },
    { permission: 'dnspod:DescribePackageDetail', note: 'on *: the least TTL of each plan' },
    { permission: 'dnspod:DescribeRecordList', note: null },
    { permission: 'dnspod:DescribeRecord', note: null },
    { permission: 'dnspod:DescribeRecordLineList', note: 'where a record lists `lines`' },
    { permission: 'dnspod:CreateRecord', note: null },
    { permission: 'dnspod:ModifyRecord', note: null },
    { permission: 'dnspod:DeleteRecord', note: 'for claims that are over; never a CNAME' },
  ],
  lines: { default: defaultLine },
  refuses: [
    { word: 'apex', note: 'a CNAME at the top of a zone hides its mail and more' },
    { word: 'line', note: 'a marker on any line but the default one' },
    { word: 'weighted', note: 'weights, or more than one CNAME on a line' },
    { word: 'disabled', note: 'a paused record' },
    { word: 'health-check', note: "a record that the vendor's own monitor may pause or switch" },
    { word: 'other-type', note: 'records of other types at the name or at the marker' },
    { word: 'delegated', note: 'a name below NS records of a name between it and its zone' },
    { word: 'blocked', note: 'a zone that is paused, locked or banned' },
  ],
};

const apis = {
  cn: 'https://dnspod.tencentcloudapi.com',
  intl: 'https://dnspod.intl.tencentcloudapi.com',
};

/** By the console, or by tccli (DNSPod 2021-03-23, ModifyRecord). */
function byHand({ zone, site }: DnspodSettings, { record, cname, ttl }: ByHand) {
  const [name, domain] = [unrooted(record), zone === undefined ? 'DOMAIN' : unrooted(zone)];
  const sub = zone === undefined ? 'SUBDOMAIN' : shellWord(below(record, zone));
  const at = site === 'intl' ? ` --endpoint ${new URL(apis.intl).host}` : '';
  const where = `--Domain ${domain}${at}`;
  const steps: HandStep[] = [
    {
      text:
        `In the console, by https://www.dnspod.cn/: choose the domain, the CNAME ${name}, ` +
        `Edit (修改), set the value ${unrooted(cname)}; each line (线路) in the same way.`,
    },
    {
      text: `Or by tccli: look up the id of the record on each line, RECORD and LINE below.`,
      shell: `tccli dnspod DescribeRecordList ${where} --Subdomain ${sub} --RecordType CNAME`,
    },
    {
      text: 'Then change each in place. Below 600 the TTL wants a paid plan.',
      shell:
        `tccli dnspod ModifyRecord ${where} --RecordId RECORD --SubDomain ${sub} \\\n` +
        `  --RecordType CNAME --RecordLine LINE --Value ${cname} --TTL ${ttl}`,
    },
  ];
  return steps;
}

export const dnspod: ProviderType<DnspodSettings> = {
  type: 'dnspod',
  cloud: 'tencent',
  capabilities,
  settings: z
    .strictObject({
      secretId: secretRef.describe('id of the key of a CAM sub-user'),
      secretKey: secretRef.describe('its secret'),
      token: secretRef.optional().describe('token of a temporary key (STS)'),
      site: z
        .enum(['cn', 'intl'])
        .default('cn')
        .describe('where the account is: cn, or intl for one of the international site'),
      zone: dnsName.optional(),
      endpoint: endpoint.optional(),
      proxy: proxy.optional(),
    })
    .superRefine(refuseClearProxy)
    .transform((given) => ({ ...given, endpoint: given.endpoint ?? apis[given.site] })),
  byHand,
  create: (name, settings, context) => new Dnspod(name, settings, context),
};

/** Changes at the same time. */
const changesAtOnce = 8;
/** Calls for each change of one line, a claim contended and what was created read by id included. */
const callsPerChange = 20;

interface Sight extends Seen {
  readonly at: readonly Row[];
  readonly marker: Row | undefined;
}

/** A record that was written, or stood as it should. */
interface Placed {
  readonly name: Name;
  readonly id: string;
}

class Dnspod implements Provider {
  readonly name: string;
  readonly capabilities = capabilities;
  readonly #api: TencentApi;
  readonly #records: DnspodRecords;
  readonly #kind: string;
  readonly #zones: ZoneFinder<Zone>;
  readonly #byZone: ByZone<Zone>;
  readonly #rowsOf: RowsOf<Zone, Row> = {
    rowsAt: (zone, name, signal) => this.#records.rows(zone, name, signal),
    moreCalls: (name) => this.#records.freshAt(name).length,
    page: (zone, page, signal) => this.#records.page(zone, page, signal),
    pageSize: listPage,
    look,
  };
  readonly #claims = new Claims();

  constructor(name: string, settings: DnspodSettings, context: AdapterContext) {
    this.name = name;
    const { callTimeoutMs } = context;
    const { secretId, secretKey, token } = settings;
    this.#kind = token === undefined ? 'static' : 'session-token';
    this.#api = new TencentApi({
      base: settings.endpoint,
      keys: {
        secretId: context.secret(secretId),
        secretKey: context.secret(secretKey),
        ...(token === undefined ? {} : { token: context.secret(token) }),
      },
      timeoutMs: callTimeoutMs,
      context,
      tunnels: tunnelsOf(settings.proxy, context),
    });
    this.#records = new DnspodRecords(this.#api);
    const zones = zoneFinder<Zone>({
      zone: settings.zone ?? null,
      byId: null,
      byName: (zone, signal) => this.#records.zoneByName(zone, signal),
      delegates: async (zone, cut, signal) => {
        const rows = await this.#records.rows(zone, cut, signal);
        return rows.ok ? done(rows.value.some(isCut)) : rows;
      },
    });
    this.#zones = zones;
    this.#byZone = new ByZone({ zones, callsMax: capabilities.callsMax, callTimeoutMs });
  }

  get calls(): number {
    return this.#api.calls;
  }

  async zone(record: Name, signal: AbortSignal): Promise<Called<ZoneFacts>> {
    const found = await this.#zones.find(record, signal);
    if (!found.ok) return found;
    const { name, grade, nameServers, ttlMin, doubts } = found.value;
    const late = `resolvers may follow a switch up to ${ttlMin} s late`;
    const slow = `${name}: plan ${grade} takes no TTL under ${ttlMin} s, so ${late}`;
    const warnings = (ttlMin ?? 0) > 60 ? [slow, ...doubts] : doubts;
    return done({ zone: name, nameServers, ttlMin, warnings });
  }

  read: Provider['read'] = (names, signal) =>
    this.#byZone.read(names, signal, (zone, some, room, stop) => {
      this.#askAgain(zone);
      return readRows(zone, some, this.#rowsOf, { room, signal: stop });
    });

  write: Provider['write'] = (changes, signal) =>
    this.#byZone.write(changes, signal, {
      prepare: done<Change>,
      zoneOf: ({ name }, room, stop) => this.#zones.findWithin(name, stop, room),
      writeZone: (zone, some, room, stop) => this.#writeZone(zone, some, room, stop),
    });

  key(): KeyFacts {
    return { kind: this.#kind, needs: [], untilAt: null, why: null };
  }

  close(): void {
    this.#api.close();
  }

  async preflight(record: Name, signal: AbortSignal): Promise<readonly ReachingFinding[]> {
    const known = await this.#zones.find(record, signal);
    if (!known.ok) return [fromTrouble('zone', null, known)];
    const { name } = known.value;
    // As it is today: what is remembered says nothing of keys and blocks.
    const read = await this.#records.zoneByName(name, signal);
    if (!read.ok) return [fromTrouble('zone', name, read)];
    this.#zones.forget(name);
    const [reach, zone] = [ofZone(name), read.value];
    if (zone === null) {
      const cure = 'check `zone` and whose key it is';
      return [bad(reach, 'zone', `the account of ${this.name} no longer holds ${name}`, cure)];
    }
    const findings = [zoneRead(name), ttlFloor(name, zone.ttlMin)];
    if (zone.refusal !== null) return [...findings, bad(reach, 'zone', zone.refusal.sentence)];
    const doubts = zone.doubts.map((doubt) => warn(reach, 'zone', doubt));
    findings.push(...(doubts.length > 0 ? doubts : [good(reach, 'zone', `${name} is active`)]));
    const { [record]: seen } = await this.read([record], signal);
    findings.push(...fromAnswer(seen ?? { kind: 'not-asked' }));
    if (seen?.kind === 'fault') return findings;
    // No record of this zone has that id, so that nothing can be changed; who may not write hears so.
    const put = { ...zone.where, ...everybody, RecordId: 1, SubDomain: label(zone, record) };
    const answer = await this.#api.call(
      { action: 'ModifyRecord', about: `no record of ${name}`, write: true },
      { ...put, RecordType: 'TXT', Value: 'never', TTL: Math.max(600, zone.ttlMin ?? 0) },
      signal,
    );
    return [...findings, fromProbe(name, answer.ok ? null : answer)];
  }

  /** A blocked zone is asked for again each time: blocks are lifted. */
  #askAgain(zone: Zone): void {
    if (zone.refusal !== null) this.#zones.forget(zone.name);
  }

  // -------------------------------------------------------------- writing

  #writeZone(
    zone: Zone,
    changes: readonly Change[],
    room: Room,
    signal: AbortSignal,
  ): Promise<readonly Told<null>[]> {
    this.#askAgain(zone);
    return oneByOne(changes, {
      atOnce: changesAtOnce,
      atMost: changes.length,
      room,
      callsEach: ({ to }) => callsPerChange + 3 * ((to.lines?.length ?? 1) - 1),
      work: (change) => this.#writeOne(zone, change, signal),
    });
  }

  async #writeOne(zone: Zone, change: Change, signal: AbortSignal): Promise<Called<null>> {
    const { name } = change;
    const objection = unwritable(zone, change);
    if (objection !== null) return objection;
    const others = wantedOf(change.to).filter((line) => line !== undefined);
    const lines = await this.#records.linesOf(zone, others, signal);
    if (!lines.ok) return lines;
    const claims = this.#claimsAt(zone, change, signal);
    const taken = await this.#claims.take(change, claims);
    if (!taken.ok) return taken;
    const { id: claim, isNew } = taken.value;
    let hasMade = false;
    let placed: readonly Placed[] = [];
    const to = { ...change.to, lines: lines.value.map((line) => line.RecordLine) };
    const wanted = { ...change, to };
    const written = await guarded(wanted, {
      see: () => this.#sight(zone, name, claim, signal),
      apply: async (now) => {
        hasMade = now.marker === undefined || lines.value.some((line) => !rowOn(now.at, line));
        const puts = putsOf(zone, wanted, lines.value, now);
        const applied = await this.#apply(zone, puts, signal);
        placed = applied.ok ? applied.value : [];
        return applied.ok ? done(null) : applied;
      },
      look: () => this.#look(zone, wanted, placed, claim, signal),
    });
    // The claim stays for the marker that is to follow. After a loss the same switch goes on under
    // it, and so it does where a CNAME was changed under it or may have been: whoever is behind
    // could claim once more. Where something was made that lists do not show yet, it keeps off
    // whoever would make it a second time.
    this.#claims.letGo(change);
    if (written.ok && leavesMarker(wanted)) {
      this.#claims.hold(change, claim);
      return written;
    }
    const isLost = !written.ok && ['conflict', 'rejected'].includes(written.fault.kind);
    const isUnused = isNew && placed.length === 0 && !isSettling(wanted);
    const isOver = !hasMade && (written.ok || (isLost && isUnused));
    if (isOver) await claims.remove(claim);
    if (written.ok) await this.#claims.sweep(change, claims);
    return written;
  }

  /** The claims at a name. Where the plan lets no more texts stand, what is past makes room. */
  #claimsAt(zone: Zone, change: Change, signal: AbortSignal): ClaimsAt {
    const name = claimName(change.name);
    const text = { ...everybody, RecordType: 'TXT', TTL: textTtl(zone, change.to) } as const;
    const at: ClaimsAt = {
      make: async (Value, Remark) => {
        const put = { name, row: undefined, values: { ...text, Value, Remark } };
        let made = await this.#records.put(zone, put, signal);
        if (!made.ok && made.code === 'LimitExceeded.SubdomainRollLimit') {
          await this.#claims.sweep(change, at);
          made = await this.#records.put(zone, put, signal);
        }
        return !made.ok && made.code === exists ? done(null) : made;
      },
      list: async () => {
        const rows = await this.#records.rows(zone, name, signal);
        if (!rows.ok) return rows;
        return done(
          rows.value.map((row) => ({ id: row.id, text: textOf(row), remark: row.remark })),
        );
      },
      remove: (id) => this.#records.remove(zone, name, id, signal),
    };
    return at;
  }

  /** What stands, under our claim. */
  async #sight(zone: Zone, name: Name, claim: string, signal: AbortSignal): Promise<Called<Sight>> {
    const owners = [name, markerName(name)];
    const [found, own] = await Promise.all([
      sideBySide(owners, owners.length, (n) => this.#records.rows(zone, n, signal)),
      this.#records.row(zone, claim, signal),
    ]);
    if (!found.ok) return found;
    if (!own.ok) return own;
    if (own.value === null) return unclaimed(name);
    const [at, marker] = found.value as [readonly Row[], readonly Row[]];
    const seen = look(zone, name, { at, marker, cuts: [] });
    return done({ ...seen, at, marker: marker[0] });
  }

  /** Each in place, and only what is not as wanted yet; what stands there after that. */
  async #apply(
    zone: Zone,
    puts: readonly Put[],
    signal: AbortSignal,
  ): Promise<Called<readonly Placed[]>> {
    const due = puts.filter(({ row, values }) => row === undefined || !isAs(row, values));
    const placed: Placed[] = [];
    for (const put of puts) {
      const { name, row } = put;
      if (!due.includes(put)) {
        placed.push({ name, id: row!.id });
        continue;
      }
      const sent = await this.#records.put(zone, put, signal);
      if (sent.ok) placed.push({ name, id: sent.value });
      // One that stands already, and nobody says as which record, is not found by `look`.
      else if (sent.code === exists && row !== undefined) placed.push({ name, id: row.id });
      else if (sent.code !== exists) {
        const i = due.indexOf(put);
        return i === 0 ? sent : halfway(sent, `${i} of ${due.length} records are changed`);
      }
    }
    return done(placed);
  }

  /**
   * What was written, each record by its id: lists may be behind. Whether it is still under our
   * claim, too.
   */
  async #look(
    zone: Zone,
    change: Change,
    placed: readonly Placed[],
    claim: string,
    signal: AbortSignal,
  ): Promise<Called<Seen>> {
    const { name, from } = change;
    const [found, own] = await Promise.all([
      sideBySide(placed, placed.length, ({ id }) => this.#records.row(zone, id, signal)),
      this.#records.row(zone, claim, signal),
    ]);
    if (!found.ok) return found;
    if (!own.ok) return own;
    if (own.value === null) return unclaimed(name);
    const rowsAt = (owner: Name) =>
      found.value.filter((row, i) => row !== null && placed[i]!.name === owner) as Row[];
    const [at, marker] = [rowsAt(name), rowsAt(markerName(name))];
    const seen = look(zone, name, { at, marker, cuts: [] });
    return done(leavesMarker(change) ? { ...seen, markers: from.markers } : seen);
  }
}

/** The CNAME of each line, then the marker, unless that is left for later. */
function putsOf(
  zone: Zone,
  change: Change,
  lines: readonly Line[],
  { at, marker }: Sight,
): readonly Put[] {
  const { name, to } = change;
  const cname = { RecordType: 'CNAME', Value: to.cname, TTL: to.ttl } as const;
  const text = {
    RecordType: 'TXT',
    Value: formatMarker(to.marker),
    TTL: textTtl(zone, to),
  } as const;
  const cnames = lines.map((line) => {
    return { name, row: rowOn(at, line), values: { ...cname, ...line } };
  });
  if (leavesMarker(change)) return cnames;
  return [...cnames, { name: markerName(name), row: marker, values: { ...text, ...everybody } }];
}

function unclaimed(name: Name): Called<never> {
  const detail = `${name}: our claim is not to be seen: it was taken over, or readings lag`;
  return failed('record', 'unavailable', detail);
}

// ---------------------------------------------------------------- what stands, what may be written

function look(zone: Zone, name: Name, { at, marker, cuts }: Found<Row>): Seen {
  const [cut] = cuts;
  const cnames = at.filter((r) => r.type === 'CNAME');
  return {
    cnames: cnames.map(({ value, ttl, line }) => {
      const own = line.RecordLineId === '0' ? {} : { line: line.RecordLine };
      return { value: nameFrom(value), ttl, ...own };
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

function refusalAt(name: Name, rows: readonly Row[], wanted: 'CNAME' | 'TXT'): Refusal | null {
  const no = (word: Refusal['word'], sentence: string): Refusal => ({ word, sentence });
  if (rows.includes(crowd)) {
    return no(
      'other-type',
      `more than ${pageSize} records stand at ${name}: leave the CNAME alone`,
    );
  }
  const other = rows.find((r) => r.type !== wanted);
  if (other !== undefined) {
    const type = other.type.replaceAll(/\W/g, '?');
    return no('other-type', `a record of type ${type} stands at ${name}: remove it first`);
  }
  const line = wanted === 'TXT' ? rows.find((r) => r.line.RecordLineId !== '0') : undefined;
  if (line !== undefined) {
    const where = `the line ${line.line.RecordLine}, which would stay`;
    return no('line', `${name} has a text on ${where}: leave the default line alone`);
  }
  if (rows.some((r) => !r.enabled)) {
    return no('disabled', `a record at ${name} is paused: resume or remove it at the vendor`);
  }
  if (rows.some((r) => r.monitored)) {
    const sentence = `the vendor's monitor watches ${name} and may pause or switch it`;
    return no('health-check', `${sentence}: switch its monitoring off`);
  }
  const lines = new Set(rows.map((r) => r.line.RecordLineId));
  if (wanted === 'CNAME' && (lines.size < rows.length || rows.some((r) => r.weighted))) {
    const cure = 'leave one CNAME on each line and switch weights off';
    return no('weighted', `${name} is balanced by weights: ${cure}`);
  }
  return null;
}

/** Why a change cannot be made as it is, before anything is asked; null when it can. */
function unwritable(zone: Zone, { name, from, to }: Change): Called<never> | null {
  const refusal = from.refusal ?? zone.refusal ?? apexRefused(zone, name);
  if (refusal !== null) return failed('record', 'rejected', refusal.sentence);
  const wanted = wantedOf(to);
  const stray = from.cnames.find(({ line }) => !wanted.includes(line));
  if (stray !== undefined) {
    const line = stray.line ?? defaultLine;
    return failed(
      'record',
      'rejected',
      `${name} has a CNAME on the line ${line}, which would stay`,
      {
        cure: `add ${line} to the record's lines at this provider, or remove that CNAME`,
      },
    );
  }
  const least = zone.ttlMin ?? 0;
  const isKept = from.cnames.every((c) => c.value === to.cname && c.ttl === to.ttl);
  if (to.ttl < least && !(isKept && from.cnames.length === wanted.length)) {
    const detail = `${name}: the zone's plan takes no TTL under ${least} s, not ${to.ttl} s`;
    const cure = `publish there with a ttl of ${least}, or take a plan with a lower floor`;
    // The plan that the floor follows from may be another by now.
    return failed('record', 'rejected', detail, { cure, stale: true });
  }
  const marker = formatMarker(to.marker);
  // The vendor alters quotes and backslashes in a text: it would never read back.
  if (!/^[!#-[\]-~](?:[ !#-[\]-~]*[!#-[\]-~])?$/.test(marker) || marker.length > textMax) {
    return failed('record', 'rejected', `the marker of ${name} is no text that the vendor keeps`);
  }
  return null;
}

/** The lines that a change is of, as a reading spells them: undefined for the default one. */
function wantedOf({ lines = [] }: Change['to']): readonly (string | undefined)[] {
  const others = lines.filter((line) => line !== defaultLine && line !== 'default');
  return [undefined, ...new Set(others)];
}

/** An adopted CNAME may keep a TTL from before the plan's floor; a new text may not have it. */
function textTtl(zone: Zone, to: Change['to']): number {
  return Math.max(to.ttl, zone.ttlMin ?? 0);
}

function rowOn(rows: readonly Row[], { RecordLineId }: Line): Row | undefined {
  return rows.find((row) => row.line.RecordLineId === RecordLineId);
}

function isAs(row: Row, { RecordType, Value, TTL }: Values): boolean {
  if (RecordType === 'TXT') return textOf(row) === Value;
  return nameFrom(row.value) === Value && row.ttl === TTL;
}

/** A text's own characters: other tools store them quoted. */
function textOf({ value }: Row): string {
  return unquoteText(value, 10);
}
