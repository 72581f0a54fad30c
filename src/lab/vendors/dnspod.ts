// The lab's DNSPod: API 3.0 of 2021-03-23 with its TC3-HMAC-SHA256 signature check, temporary keys,
// plans with their TTL floors, lines and limits of records, lists that are behind what was made, and
// its error codes, all under HTTP 200, as the vendor's SDK meets them. Records are kept in memory,
// one a value and line. There is no transaction and no compare-and-set, because the vendor has none;
// it must never be made kinder than that.
// Sources: the vendor's SDKs and API reference (read 2026-11), users' reports.

import { createHash, createHmac, randomUUID } from 'node:crypto';
import { hostTypes, presentation, relative, rowTypes, unquoted, valueFits } from './rows.ts';
import {
  type ApiReply,
  type ApiRequest,
  bareName,
  type Dialect,
  inAscii,
  inScript,
  isDenied,
  type LabRecord,
  type LabVendor,
  Ledger,
  type Publish,
  serverNames,
  startVendor,
  TokenBucket,
  type VendorOptions,
  valuesOf,
  type ZoneSettings,
  type ZoneSpec,
  zoneHolding,
} from './vendor.ts';
import { normalName, type RRset, toAnswers, ZoneError } from './zone.ts';

interface DnspodCredentials {
  readonly secretId: string;
  readonly secretKey: string;
  /** Of a temporary key: wanted with every call. */
  readonly token?: string;
}

/** Starts a DNSPod account. Rejects when an address or port cannot be had. */
export function startDnspod(options: VendorOptions<DnspodCredentials>): Promise<LabVendor> {
  return startVendor('dnspod', options, (publish) => new Dnspod(options, publish));
}

/** A record; names in ASCII, values without the trailing dot. */
interface Row {
  readonly id: number;
  readonly sub: string;
  readonly type: string;
  readonly value: string;
  readonly ttl: number;
  readonly mx: number;
  readonly line: string;
  readonly enabled: boolean;
  readonly weight: number | null;
  readonly remark: string;
  readonly monitor: string;
  readonly updatedOn: string;
  /** When the lists show it; the monotonic clock, in milliseconds. */
  readonly shownAt: number;
}

/** By id, oldest first. */
type Rows = ReadonlyMap<number, Row>;

interface Domain {
  readonly id: number;
  readonly name: string;
  settings: ZoneSettings;
  readonly rows: Ledger<Rows>;
}

/** Codes, and what they are in words. */
class Refused extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

type Params = Readonly<Record<string, unknown>>;

const version = '2021-03-23';
const clockMs = 5 * 60_000;
const ttlMost = 604_800;
const textMax = 255;
const remarkMax = 200;
/** Lines with their ids, and the least plan that has them. */
const lines: readonly (readonly [name: string, id: string, level: number])[] = [
  ['默认', '0', 0],
  ['电信', '10=0', 0],
  ['联通', '10=1', 0],
  ['移动', '10=3', 0],
  ['教育网', '10=2', 0],
  ['境内', '7=0', 0],
  ['境外', '3=0', 0],
  ['百度', '90=0', 1],
  ['广东电信', '20=1', 3],
];
const lineGroups = [{ LineId: '15=1', Name: '东北', Type: 'system', LineList: ['辽宁电信'] }];
/** A group is asked for like a line. */
const known = [...lines, ...lineGroups.map((g) => [g.Name, g.LineId, 0] as const)];
interface Plan {
  readonly title: string;
  readonly level: number;
  readonly ttlMin: number;
  /** Records of one name, type and line. */
  readonly roll: number;
}
/** As DescribePackageDetail gave them on 2025-09-12. */
const plans: Readonly<Record<string, Plan>> = {
  DP_Free: { title: '免费版', level: 0, ttlMin: 600, roll: 2 },
  DP_Plus: { title: '专业版', level: 1, ttlMin: 60, roll: 10 },
  DP_Extra: { title: '企业基础版', level: 2, ttlMin: 60, roll: 15 },
  DP_Expert: { title: '企业版', level: 3, ttlMin: 1, roll: 30 },
  DP_Ultra: { title: '尊享版', level: 4, ttlMin: 1, roll: 999 },
};
/** Calls a second, by action and account; 20 for the others. */
const quotas: Readonly<Record<string, number>> = {
  CreateRecord: 500,
  ModifyRecord: 500,
  DeleteRecord: 500,
  DescribeRecord: 200,
  DescribeRecordList: 100,
};

const where = ['Domain', 'DomainId'];
const fields = ['SubDomain', 'RecordType', 'RecordLine', 'RecordLineId', 'Value', 'MX', 'TTL'];
const more = ['Weight', 'Status', 'Remark', 'DnssecConflictMode'];
/** What each action takes, and which of it it must be given. */
const actions: Readonly<
  Record<string, { readonly takes: readonly string[]; readonly needs: readonly string[] }>
> = {
  DescribeDomain: { takes: where, needs: ['Domain'] },
  DescribeDomainList: { takes: ['Type', 'Offset', 'Limit', 'Keyword'], needs: [] },
  DescribePackageDetail: { takes: [], needs: [] },
  DescribeRecordLineList: { takes: [...where, 'DomainGrade'], needs: ['Domain', 'DomainGrade'] },
  DescribeRecordList: {
    takes: [
      ...where,
      'Subdomain',
      'RecordType',
      'RecordLine',
      'RecordLineId',
      'Keyword',
      'Offset',
      'Limit',
      'ErrorOnEmpty',
    ],
    needs: ['Domain'],
  },
  DescribeRecord: { takes: [...where, 'RecordId'], needs: ['Domain', 'RecordId'] },
  CreateRecord: {
    takes: [...where, ...fields, ...more],
    needs: ['Domain', 'RecordType', 'RecordLine', 'Value'],
  },
  ModifyRecord: {
    takes: [...where, ...fields, ...more, 'RecordId'],
    needs: ['Domain', 'RecordId', 'RecordType', 'RecordLine', 'Value'],
  },
  ModifyRecordStatus: {
    takes: [...where, 'RecordId', 'Status'],
    needs: ['Domain', 'RecordId', 'Status'],
  },
  DeleteRecord: { takes: [...where, 'RecordId'], needs: ['Domain', 'RecordId'] },
};

class Dnspod implements Dialect {
  /** A domain that is paused is served to nobody. */
  readonly symptoms = { paused: { status: 'PAUSE' }, moved: { foreign: true } };
  readonly #options: VendorOptions<DnspodCredentials>;
  readonly #publish: Publish;
  /** By name, without the trailing dot. */
  readonly #domains = new Map<string, Domain>();
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #servers: readonly string[];
  #lastId = 910_000_000;

  constructor(options: VendorOptions<DnspodCredentials>, publish: Publish) {
    this.#options = options;
    this.#publish = publish;
    this.#servers = serverNames('dnspod', options).map(bareName);
  }

  addZone(spec: ZoneSpec): void {
    const name = bareName(spec.name);
    const rows = spec.records.flatMap((record) => this.#fromRecord(name, record));
    this.#take(name, spec.settings ?? {}, rows);
  }

  /** A domain that is added anew has the old records under other ids. */
  removeZone(zone: string): () => void {
    const { name, settings, rows } = this.#named(zone);
    this.#domains.delete(name);
    const old = [...rows.now.values()];
    return () =>
      this.#take(
        name,
        settings,
        old.map((row) => ({ ...row, id: this.#nextId() })),
      );
  }

  settle(zone: string, settings: ZoneSettings): void {
    this.#named(zone).settings = settings;
  }

  zoneOf(request: ApiRequest): string | null {
    const domain = this.#asked(paramsOf(request) ?? {});
    return domain === null ? null : normalName(domain.name);
  }

  zoneId(zone: string): string {
    return String(this.#named(zone).id);
  }

  rrsets(zone: string): readonly RRset[] | null {
    const domain = this.#named(zone);
    if (['PAUSE', 'SPAM'].includes(domain.settings.status ?? '')) return null;
    const values = this.#servers.map((server) => `${server}.`);
    const apex = { name: `${domain.name}.`, type: 'NS', ttl: 86_400, values };
    return [apex, ...served(domain, domain.rows.now)];
  }

  /** Records of other lines than the one edited are left alone, as at the console. */
  edit(zone: string, records: readonly LabRecord[], name: string, type: string): void {
    const domain = this.#named(zone);
    const sub = relative(domain.name, bareName(name));
    const next = new Map(domain.rows.now);
    const made = records.flatMap((record) => this.#fromRecord(domain.name, record));
    const old = [...next.values()].filter(
      (r) => r.sub === sub && r.type === type && (r.line === made[0]?.line || made.length === 0),
    );
    for (const { id } of old) next.delete(id);
    // A person changes a record in place: its id stays.
    for (const [at, row] of made.entries()) {
      const id = old[at]?.id ?? row.id;
      next.set(id, { ...row, id });
    }
    for (const rrset of served(domain, next)) toAnswers(rrset);
    domain.rows.commit(next);
    this.#publish(zone);
  }

  protect(): boolean {
    return false;
  }

  operation({ headers }: ApiRequest): string {
    const action = String(headers['x-tc-action'] ?? '');
    return Object.hasOwn(actions, action) ? action : 'Unknown';
  }

  refusal(how: 'error' | 'throttle' | 'auth' | 'block' | 'too-large'): ApiReply {
    switch (how) {
      case 'error':
        return failed('InternalError', 'An internal error has occurred.');
      case 'auth':
        return failed('AuthFailure.SecretIdNotFound', keyNotFound);
      case 'too-large':
        return failed('RequestSizeLimitExceeded', 'The request is larger than 10 MB.');
      default:
        return failed('RequestLimitExceeded', tooOften);
    }
  }

  answer(request: ApiRequest): ApiReply {
    try {
      const { action, params } = this.#admit(request);
      return this.#dispatch(action, params, request.stale);
    } catch (error) {
      if (error instanceof Refused) return failed(error.code, error.message);
      throw error;
    }
  }

  #take(name: string, settings: ZoneSettings, all: readonly Row[]): void {
    const rows = new Ledger<Rows>(new Map(all.map((row) => [row.id, row])));
    this.#domains.set(name, { id: this.#nextId(), name, settings, rows });
  }

  /** The domain that a request is about: its id beats its name. */
  #asked({ Domain, DomainId }: Params): Domain | null {
    const all = [...this.#domains.values()];
    if (DomainId !== undefined) return all.find(({ id }) => id === DomainId) ?? null;
    const name = typeof Domain === 'string' ? inAscii(Domain.toLowerCase()) : '';
    return this.#domains.get(name) ?? null;
  }

  #dispatch(action: string, params: Params, stale: boolean): ApiReply {
    switch (action) {
      case 'DescribeDomainList':
        return this.#listDomains(params);
      case 'DescribePackageDetail':
        return succeeded({ Info: this.#packages() });
    }
    const domain = this.#domain(params);
    switch (action) {
      case 'DescribeDomain':
        return succeeded({ DomainInfo: this.#domainInfo(domain) });
      case 'DescribeRecordLineList':
        return linesOf(params);
      case 'DescribeRecordList':
        return this.#listRecords(domain, params, stale);
      case 'DescribeRecord':
        return succeeded({ RecordInfo: single(domain, found(domain, params, stale)) });
      default:
        return this.#write(domain, action, params);
    }
  }

  /** Who asks, what for, and how often. */
  #admit(request: ApiRequest): { readonly action: string; readonly params: Params } {
    const action = this.operation(request);
    const { headers } = request;
    if (request.method !== 'POST' || request.path !== '/') {
      throw new Refused('UnsupportedProtocol', 'The lab takes POST of / alone.');
    }
    if (headers['x-tc-version'] !== version) {
      throw new Refused('NoSuchVersion', 'The version does not exist.');
    }
    if (action === 'Unknown') throw new Refused('InvalidAction', 'The action does not exist.');
    this.#checkSignature(request);
    const params = paramsOf(request);
    if (params === null) throw new Refused('InvalidParameter', 'The body is no JSON object.');
    const settings = this.#asked(params)?.settings ?? {};
    if (this.#options.deny?.includes(action) || isDenied(settings, action)) {
      const what = `you are not authorized to perform operation (dnspod:${action})`;
      throw new Refused('UnauthorizedOperation', `${what}; no permission`);
    }
    this.#charge(action);
    const { takes, needs } = actions[action]!;
    for (const name of Object.keys(params)) {
      if (!takes.includes(name)) {
        throw new Refused('UnknownParameter', `The parameter \`${name}\` is not recognized.`);
      }
    }
    for (const name of needs) {
      if (params[name] === undefined || params[name] === '') {
        const text = `The request is missing a required parameter \`${name}\`.`;
        throw new Refused('MissingParameter', text);
      }
    }
    return { action, params };
  }

  /** TC3-HMAC-SHA256. The SDK signs the host without its port, and the endpoint's first label. */
  #checkSignature({ method, path, headers, body }: ApiRequest): void {
    const { secretId, secretKey, token } = this.#options.credentials;
    const match =
      /^TC3-HMAC-SHA256 Credential=([^/]*)\/(\d{4}-\d\d-\d\d)\/([^/]+)\/tc3_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/.exec(
        headers.authorization ?? '',
      );
    const [, id = '', date = '', service = '', signed = '', signature = ''] = match ?? [];
    if (match === null || !/(^|;)content-type;.*host(;|$)/.test(signed)) {
      throw new Refused('AuthFailure.InvalidAuthorization', 'The Authorization header is invalid.');
    }
    if (id !== secretId) throw new Refused('AuthFailure.SecretIdNotFound', keyNotFound);
    if (headers['x-tc-token'] !== token) {
      throw new Refused('AuthFailure.TokenFailure', 'The token is invalid or has expired.');
    }
    const stamp = String(headers['x-tc-timestamp'] ?? '');
    const at = /^\d{1,12}$/.test(stamp) ? Number(stamp) * 1000 : Number.NaN;
    if (!(Math.abs(Date.now() - at) <= clockMs)) {
      throw new Refused('AuthFailure.SignatureExpire', 'The signature has expired.');
    }
    const lines = signed.split(';').map((name) => {
      const value = String(headers[name] ?? '').trim();
      return `${name}:${name === 'host' ? value.replace(/:\d+$/, '') : value}\n`;
    });
    const canonical = [method, path, '', lines.join(''), signed, hash(body)].join('\n');
    const scope = `${date}/${service}/tc3_request`;
    const toSign = ['TC3-HMAC-SHA256', stamp, scope, hash(canonical)].join('\n');
    const key = [date, service, 'tc3_request'].reduce<string | Buffer>(
      (secret, word) => createHmac('sha256', secret).update(word).digest(),
      `TC3${secretKey}`,
    );
    const right = createHmac('sha256', key).update(toSign).digest('hex');
    if (right === signature && date === new Date(at).toISOString().slice(0, 10)) return;
    throw new Refused('AuthFailure.SignatureFailure', 'The provided credentials do not match.');
  }

  #charge(action: string): void {
    if (this.#options.quotas === 'off') return;
    const rate = quotas[action] ?? 20;
    const bucket = this.#buckets.get(action) ?? new TokenBucket(rate, rate);
    this.#buckets.set(action, bucket);
    if (!bucket.take()) throw new Refused('RequestLimitExceeded', tooOften);
  }

  #named(zone: string): Domain {
    const domain = this.#domains.get(bareName(zone));
    if (!domain) throw new Error(`dnspod: no zone ${zone} in the lab`);
    return domain;
  }

  #domain(params: Params): Domain {
    const domain = this.#asked(params);
    if (domain?.settings.foreign) {
      throw new Refused('FailedOperation.NotDomainOwner', 'The domain is not yours.');
    }
    if (domain) return domain;
    if (params['DomainId'] !== undefined) {
      throw new Refused('InvalidParameter.DomainIdInvalid', 'The domain ID is incorrect.');
    }
    const text = 'The domain is incorrect. Go back and try again.';
    throw new Refused('InvalidParameterValue.DomainNotExists', text);
  }

  /** Upper case in some answers, mixed in others. */
  #gradeOf({ settings }: Domain): string {
    const { ttlMin } = this.#options;
    const quick = ttlMin === undefined ? 'DP_FREE' : ttlMin < 60 ? 'DP_EXPERT' : 'DP_PLUS';
    return (settings.grade ?? quick).toUpperCase();
  }

  #packages(): readonly object[] {
    return Object.entries(plans).map(([DomainGrade, { title, level, ttlMin, roll }]) => ({
      DomainGrade,
      DomainGradeCn: title,
      GradeLevel: level,
      MinTtl: this.#options.ttlMin ?? ttlMin,
      RecordRoll: roll,
      Ns: this.#servers,
    }));
  }

  #planOf(domain: Domain): Plan {
    const grade = this.#gradeOf(domain);
    const [, plan] = Object.entries(plans).find(([name]) => name.toUpperCase() === grade)!;
    return { ...plan, ttlMin: this.#options.ttlMin ?? plan.ttlMin };
  }

  #domainInfo(domain: Domain): object {
    const plan = this.#planOf(domain);
    const { status = 'ENABLE', undelegated, gracePeriod } = domain.settings;
    return {
      DomainId: domain.id,
      Domain: inScript(domain.name),
      Punycode: domain.name === inScript(domain.name) ? '' : domain.name,
      Status: status.toLowerCase(),
      Grade: this.#gradeOf(domain),
      GradeLevel: plan.level,
      GradeTitle: plan.title,
      IsVip: plan.level > 0 ? 'yes' : 'no',
      IsGracePeriod: gracePeriod ? 'yes' : 'no',
      VipBuffered: 'no',
      TTL: 600,
      DnsStatus: undelegated ? 'dnserror' : '',
      DnspodNsList: this.#servers,
      ActualNsList: undelegated ? [] : this.#servers,
      RecordCount: domain.rows.now.size + this.#servers.length,
      IsSubDomain: false,
    };
  }

  #listDomains(params: Params): ApiReply {
    const word = String(params['Keyword'] ?? '').toLowerCase();
    const own = [...this.#domains.values()].filter(({ settings }) => !settings.foreign);
    const all = own.filter(({ name }) => inScript(name).includes(word));
    const DomainList = page(all, params, 3000).map((domain) => ({
      DomainId: domain.id,
      Name: inScript(domain.name),
      Punycode: domain.name,
      Status: domain.settings.status ?? 'ENABLE',
      Grade: this.#gradeOf(domain),
      EffectiveDNS: this.#servers,
      DNSStatus: '',
      TTL: 600,
    }));
    return succeeded({ DomainCountInfo: { AllTotal: own.length }, DomainList });
  }

  /** The console hides the NS records of the zone itself; the API does not. */
  #listRecords(domain: Domain, params: Params, stale: boolean): ApiReply {
    const word = (name: string) => String(params[name] ?? '').toLowerCase();
    const own = this.#servers.map(
      (server, at): Row => ({
        ...{ id: at + 1, sub: '@', type: 'NS', value: server, ttl: 86_400, mx: 0, line: '默认' },
        ...{ enabled: true, weight: null, remark: '', monitor: '', updatedOn: '', shownAt: 0 },
      }),
    );
    const now = performance.now();
    const rows = [...own, ...domain.rows.read(stale).values()].filter((row) => {
      const isLine = lineOf(params, row.line) === row.line;
      const [sub, keyword] = [inAscii(word('Subdomain')), word('Keyword')];
      return (
        row.shownAt <= now &&
        isLine &&
        (sub === '' || row.sub === sub) &&
        (word('RecordType') === '' || row.type.toLowerCase() === word('RecordType')) &&
        (keyword === '' || `${row.sub}\n${row.value}`.toLowerCase().includes(keyword))
      );
    });
    const part = page(rows, params, 100);
    if (part.length === 0 && params['ErrorOnEmpty'] !== 'no') {
      throw new Refused('ResourceNotFound.NoDataOfRecord', 'The record list is empty.');
    }
    const RecordCountInfo = {
      SubdomainCount: new Set(rows.map(({ sub }) => sub)).size,
      ListCount: part.length,
      TotalCount: rows.length,
    };
    const RecordList = part.map((row) => listed(row, own.includes(row)));
    return succeeded({ RecordCountInfo, RecordList });
  }

  #write(domain: Domain, action: string, params: Params): ApiReply {
    const { status } = domain.settings;
    if (status === 'LOCK') throw new Refused('FailedOperation.DomainIsLocked', locked);
    if (status === 'SPAM') throw new Refused('FailedOperation.DomainIsSpam', banned);
    const next = new Map(domain.rows.now);
    const old = action === 'CreateRecord' ? null : found(domain, params, false);
    if (old !== null) next.delete(old.id);
    const reply = old === null ? {} : { RecordId: old.id };
    const row = this.#written(domain, action, old, params);
    if (old !== null && row !== null) {
      // In its place, as it was.
      next.clear();
      for (const [id, one] of domain.rows.now) next.set(id, id === old.id ? row : one);
    } else if (row !== null) next.set(row.id, row);
    domain.rows.commit(next);
    this.#publish(`${domain.name}.`);
    const told = action === 'DeleteRecord' ? {} : { ...reply, RecordId: row!.id };
    return { ...succeeded(told), wrote: true };
  }

  /** What a record becomes; null: it goes. */
  #written(domain: Domain, action: string, old: Row | null, params: Params): Row | null {
    if (action === 'DeleteRecord') return null;
    if (action === 'ModifyRecordStatus') {
      const { Status } = params;
      if (Status !== 'ENABLE' && Status !== 'DISABLE') throw illegal('Status');
      return { ...old!, enabled: Status === 'ENABLE' };
    }
    const plan = this.#planOf(domain);
    const read = readRow(params, plan);
    checkBeside(domain.rows.now, read, old?.id ?? null, plan);
    const updatedOn = beijing(Date.now());
    if (old !== null) {
      // A remark that is left out stays; an empty one takes it away.
      const remark = params['Remark'] === undefined ? old.remark : read.remark;
      return { ...old, ...read, remark, updatedOn };
    }
    const shownAt = performance.now() + (this.#options.indexLagMs ?? 0);
    return { ...read, id: this.#nextId(), monitor: '', updatedOn, shownAt };
  }

  #nextId(): number {
    this.#lastId += 7;
    return this.#lastId;
  }

  #fromRecord(domain: string, record: LabRecord): Row[] {
    const type = record.type.toUpperCase();
    const { line, status, remark, weight, monitorStatus } = record.extra ?? {};
    const name = bareName(record.name);
    if (zoneHolding([domain], name) === null) {
      throw new ZoneError(`${name} ${type}: the name is outside the zone ${domain}`);
    }
    return valuesOf(record.value).map((value): Row => {
      const plain = type === 'TXT' ? unquoted(value) : value.replace(/^\d+\s+(?=\S+$)/, '');
      return {
        id: this.#nextId(),
        sub: relative(domain, name),
        type,
        value: hostTypes.includes(type) ? plain.toLowerCase().replace(/\.$/, '') : plain,
        ttl: record.ttl,
        mx: type === 'MX' ? Number.parseInt(value, 10) : 0,
        line: line ?? '默认',
        enabled: status !== 'DISABLE',
        weight: weight ?? null,
        remark: remark ?? '',
        monitor: monitorStatus ?? '',
        updatedOn: beijing(Date.now()),
        shownAt: 0,
      };
    });
  }
}

const keyNotFound = 'The SecretId is not found. Ensure that it is correct.';
const tooOften = 'Your current request times exceed the frequency limit.';
const locked = 'A locked domain cannot be operated.';
const banned = 'A blocked domain cannot be operated.';

// ---------------------------------------------------------------- the gateway

function paramsOf({ body }: ApiRequest): Params | null {
  try {
    const read: unknown = JSON.parse(body.toString('utf8'));
    return typeof read === 'object' && read !== null && !Array.isArray(read)
      ? (read as Params)
      : null;
  } catch {
    return null;
  }
}

function hash(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}

function illegal(name: string): Refused {
  return new Refused('InvalidParameter.ParamsIllegal', `The parameter ${name} is invalid.`);
}

function succeeded(body: object): ApiReply {
  return reply({ ...body, RequestId: randomUUID() });
}

function failed(Code: string, Message: string): ApiReply {
  return reply({ Error: { Code, Message }, RequestId: randomUUID() });
}

/** HTTP 200, whatever it says. */
function reply(Response: object): ApiReply {
  return { status: 200, type: 'application/json', body: JSON.stringify({ Response }) };
}

/** The second of Beijing's clock, which names no zone. */
function beijing(ms: number): string {
  return new Date(ms + 8 * 3_600_000).toISOString().slice(0, 19).replace('T', ' ');
}

// ---------------------------------------------------------------- reading

function page<T>(all: readonly T[], params: Params, usual: number): readonly T[] {
  const { Offset = 0, Limit = usual } = params;
  if (!Number.isSafeInteger(Offset) || Number(Offset) < 0) {
    throw new Refused('InvalidParameter.OffsetInvalid', 'The pagination offset is incorrect.');
  }
  if (!Number.isSafeInteger(Limit) || Number(Limit) < 1 || Number(Limit) > 3000) {
    throw new Refused('InvalidParameterValue.LimitInvalid', 'The page size is incorrect.');
  }
  return all.slice(Number(Offset), Number(Offset) + Number(Limit));
}

function found(domain: Domain, { RecordId }: Params, stale: boolean): Row {
  const row = domain.rows.read(stale).get(Number(RecordId));
  if (row !== undefined && typeof RecordId === 'number') return row;
  throw new Refused('InvalidParameter.RecordIdInvalid', 'The record ID is incorrect.');
}

function linesOf({ DomainGrade }: Params): ApiReply {
  const grade = String(DomainGrade).toUpperCase();
  const plan = Object.entries(plans).find(([name]) => name.toUpperCase() === grade)?.[1];
  if (plan === undefined) {
    const text = 'The domain grade is incorrect.';
    throw new Refused('InvalidParameterValue.DomainGradeInvalid', text);
  }
  const own = lines.filter(([, , level]) => level <= plan.level);
  const LineList = own.map(([Name, LineId]) => ({ Name, LineId }));
  return succeeded({ LineList, LineGroupList: lineGroups });
}

/** The line that a request names, by its id before its name. */
function lineOf({ RecordLine, RecordLineId }: Params, usual: string): string | undefined {
  if (RecordLineId !== undefined) return known.find(([, id]) => id === RecordLineId)?.[0];
  if (RecordLine === undefined) return usual;
  return known.find(([name]) => name === RecordLine)?.[0];
}

function lineIdOf(line: string): string {
  return known.find(([name]) => name === line)?.[1] ?? '998=1';
}

/** Host names as the API prints them: in their own script, with their dot. */
function printed({ type, value }: Row): string {
  return hostTypes.includes(type) ? `${inScript(value)}.` : value;
}

function listed(row: Row, isOwn: boolean): object {
  return {
    RecordId: row.id,
    Name: inScript(row.sub),
    Type: row.type,
    Value: printed(row),
    Line: row.line,
    LineId: lineIdOf(row.line),
    Status: row.enabled ? 'ENABLE' : 'DISABLE',
    TTL: row.ttl,
    MX: row.mx,
    Weight: row.weight,
    Remark: row.remark,
    UpdatedOn: row.updatedOn,
    MonitorStatus: row.monitor,
    ...(isOwn ? { DefaultNS: true } : {}),
  };
}

/** The same by other names, as DescribeRecord prints it. */
function single({ id: DomainId }: Domain, row: Row): object {
  return {
    Id: row.id,
    SubDomain: inScript(row.sub),
    RecordType: row.type,
    RecordLine: row.line,
    RecordLineId: lineIdOf(row.line),
    Value: printed(row),
    Weight: row.weight,
    MX: row.mx,
    TTL: row.ttl,
    Enabled: row.enabled ? 1 : 0,
    MonitorStatus: row.monitor,
    Remark: row.remark,
    UpdatedOn: row.updatedOn,
    DomainId,
  };
}

// ---------------------------------------------------------------- writing

type Fields = Omit<Row, 'id' | 'monitor' | 'updatedOn' | 'shownAt'>;

/** What CreateRecord and ModifyRecord say of a record. Throws Refused. */
function readRow(params: Params, plan: Plan): Fields {
  const text = (name: string, usual = '') => {
    const given = params[name] ?? usual;
    if (typeof given !== 'string') throw illegal(name);
    return given;
  };
  const refuse = (what: string) =>
    new Refused(`InvalidParameter.${what}Invalid`, `${what} is wrong.`);
  const sub = inAscii(text('SubDomain', '@').toLowerCase());
  const owner = sub.replace(/^\*(\.|$)/, '');
  const isName = owner === '' || owner.split('.').every((l) => /^[a-z0-9_-]{1,63}$/.test(l));
  if ((sub !== '@' && !isName) || !isChinese(sub)) throw refuse('Subdomain');
  const type = text('RecordType').toUpperCase();
  if (!rowTypes.includes(type)) throw refuse('RecordType');
  const line = lineOf(params, '');
  const level = known.find(([name]) => name === line)?.[2] ?? Number.POSITIVE_INFINITY;
  if (line === undefined || level > plan.level) throw refuse('RecordLine');
  const { TTL = 600, MX = 0, Weight = null } = params;
  if (!Number.isSafeInteger(TTL) || Number(TTL) < 1) throw illegal('TTL');
  if (Number(TTL) < plan.ttlMin || Number(TTL) > ttlMost) {
    throw new Refused(
      'LimitExceeded.RecordTtlLimit',
      'The TTL value of the record is out of limit.',
    );
  }
  if (type === 'MX' && !(Number(MX) >= 1 && Number(MX) <= 65_535)) throw refuse('Mx');
  const given = text('Value').trim();
  const value = hostTypes.includes(type) ? inAscii(given.toLowerCase().replace(/\.$/, '')) : given;
  if (type === 'TXT' && Buffer.byteLength(value) > textMax) throw refuse('RecordValueLength');
  if (!valueFits(type, value, textMax) || /[\\"]/.test(value) || !isChinese(value)) {
    throw refuse('RecordValue');
  }
  const status = text('Status', 'ENABLE');
  if (status !== 'ENABLE' && status !== 'DISABLE') throw illegal('Status');
  const remark = text('Remark');
  if (remark.length > remarkMax) {
    throw new Refused('InvalidParameter.RemarkTooLong', 'The remark has more than 200 characters.');
  }
  return {
    ...{ sub, type, line, value, ttl: Number(TTL), mx: Number(MX), remark },
    enabled: status === 'ENABLE',
    weight: Weight === null || Weight === 0 ? null : Number(Weight),
  };
}

/** Of other scripts than the Latin one the vendor takes the Chinese one alone. */
function isChinese(name: string): boolean {
  return /^[\p{ASCII}\p{Script=Han}]*$/u.test(inScript(name));
}

/** Throws Refused when a record cannot stand beside the others of its name and line. */
function checkBeside(rows: Rows, fields: Fields, self: number | null, { roll }: Plan): void {
  const beside = [...rows.values()].filter(
    (r) => r.id !== self && r.sub === fields.sub && r.line === fields.line,
  );
  const alike = beside.filter((r) => r.type === fields.type);
  if (alike.some((r) => r.value === fields.value)) {
    const text = 'The record already exists and does not need to be added again.';
    throw new Refused('InvalidParameter.DomainRecordExist', text);
  }
  const lonely = ['A', 'AAAA', 'CNAME'];
  const clash = beside.find((r) => {
    if (r.type === fields.type) return false;
    const isHost = lonely.includes(r.type) && lonely.includes(fields.type);
    const isAlias = r.type === 'CNAME' || fields.type === 'CNAME';
    return isAlias && (isHost || fields.sub !== '@');
  });
  if (clash !== undefined) {
    const text = `The record conflicts with one of type ${clash.type} on the same line.`;
    throw new Refused('InvalidParameter.CustomMessage', text);
  }
  if (fields.enabled && alike.filter((r) => r.enabled).length >= roll) {
    const text = `No more than ${roll} records may share a name and line.`;
    throw new Refused('LimitExceeded.SubdomainRollLimit', text);
  }
}

// ---------------------------------------------------------------- records in DNS

/** What everybody without a line of their own is given: enabled records of the default line. */
function served(domain: Domain, rows: Rows): RRset[] {
  const sets = new Map<string, RRset>();
  for (const row of rows.values()) {
    if (!row.enabled || row.line !== '默认') continue;
    const one = alone.get(row) ?? setOf(domain, row);
    alone.set(row, one);
    const key = `${one.name} ${one.type}`;
    const set = sets.get(key);
    sets.set(key, set === undefined ? one : { ...set, values: [...set.values, ...one.values] });
  }
  return [...sets.values()];
}

/** Every write of a domain is followed by a look at all of it, and most of it is as it was. */
const alone = new WeakMap<Row, RRset>();

function setOf(domain: Domain, { sub, type, value, ttl, mx }: Row): RRset {
  const name = sub === '@' ? `${domain.name}.` : `${sub}.${domain.name}.`;
  return { name, type, ttl, values: [presentation(type, { value, priority: mx })] };
}
