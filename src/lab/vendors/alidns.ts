// The lab's Alibaba Cloud DNS: the RPC API of 2015-01-09 with its HMAC-SHA1 signature check, its
// one write a domain at a time, its editions and their TTL floors, and its error codes, as the
// vendor's SDK meets them. Records are kept in memory, one a value and line. There is no
// transaction and no compare-and-set, because the vendor has none; it must never be made kinder
// than that.
// Sources: Alibaba Cloud's API reference and quotas (read 2026-11), users' reports.

import { createHmac, randomUUID } from 'node:crypto';
import { hostTypes, presentation, relative, rowTypes, unquoted, valueFits } from './rows.ts';
import {
  type ApiReply,
  type ApiRequest,
  Busy,
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

interface AlidnsCredentials {
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
}

/** Starts an Alidns account. Rejects when an address or port cannot be had. */
export function startAlidns(options: VendorOptions<AlidnsCredentials>): Promise<LabVendor> {
  return startVendor('alidns', options, (publish) => new Alidns(options, publish));
}

/** A record as the API prints it; values without the trailing dot. */
interface DomainRecord {
  readonly RecordId: string;
  readonly DomainName: string;
  readonly RR: string;
  readonly Type: string;
  readonly Value: string;
  readonly TTL: number;
  readonly Line: string;
  readonly Status: 'ENABLE' | 'DISABLE';
  readonly Locked: boolean;
  readonly Weight: number;
  readonly Priority?: number;
  readonly Remark?: string;
  readonly CreateTimestamp: number;
  readonly UpdateTimestamp: number;
}

/** By id, oldest first. */
type Records = ReadonlyMap<string, DomainRecord>;

interface Domain {
  readonly id: string;
  readonly name: string;
  settings: ZoneSettings;
  readonly records: Ledger<Records>;
}

class Refused extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

type Params = ReadonlyMap<string, string>;

const version = '2015-01-09';
const changeMs = 20;
const clockMs = 15 * 60_000;
const noncesMax = 100_000;
const ttlMost = 86_400;
const ttlUsual = 600;
const perLineMax = 90;
const textMax = 512;
const lines = [
  ['default', '默认'],
  ['telecom', '电信'],
  ['unicom', '联通'],
  ['mobile', '移动'],
  ['edu', '教育网'],
  ['oversea', '境外'],
] as const;
/** Editions with their names and least TTLs (Alibaba Cloud, doc-detail/29806). */
const editions: Readonly<Record<string, { readonly name: string; readonly ttlMin: number }>> = {
  mianfei: { name: '免费版', ttlMin: 600 },
  version_personal: { name: '个人版', ttlMin: 600 },
  version_enterprise_basic: { name: '企业标准版', ttlMin: 60 },
  version_enterprise_advanced: { name: '企业旗舰版', ttlMin: 1 },
};
/** Calls a second, by action (Alibaba Cloud, api-alidns-2015-01-09-quota); 100 for the others. */
const quotas: Readonly<Record<string, number>> = {
  AddDomainRecord: 60,
  UpdateDomainRecord: 60,
  DeleteDomainRecord: 60,
  DescribeDomainRecords: 100,
  DescribeSubDomainRecords: 300,
  DescribeDomainRecordInfo: 200,
};
const actions = [
  'DescribeDomainInfo',
  'DescribeDomains',
  'DescribeDomainNs',
  'GetMainDomainName',
  'DescribeSubDomainRecords',
  'DescribeDomainRecords',
  'DescribeDomainRecordInfo',
  'AddDomainRecord',
  'UpdateDomainRecord',
  'UpdateDomainRecordRemark',
  'SetDomainRecordStatus',
  'DeleteDomainRecord',
] as const;
type Action = (typeof actions)[number];

class Alidns implements Dialect {
  /** Alidns pauses records, no domains: what comes near is its lock of a domain. */
  readonly symptoms = { paused: { forbidden: true }, moved: { foreign: true } };
  readonly #options: VendorOptions<AlidnsCredentials>;
  readonly #publish: Publish;
  /** By name, without the trailing dot. */
  readonly #domains = new Map<string, Domain>();
  readonly #busy = new Busy();
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #nonces = new Map<string, number>();
  readonly #servers: readonly string[];
  #lastId = 880_000_000_000_000_000n;

  constructor(options: VendorOptions<AlidnsCredentials>, publish: Publish) {
    this.#options = options;
    this.#publish = publish;
    this.#servers = serverNames('alidns', options).map(bareName);
  }

  addZone(spec: ZoneSpec): void {
    const name = bareName(spec.name);
    const records = spec.records.flatMap((record) => this.#fromRecord(name, record));
    this.#take(name, spec.settings ?? {}, records);
  }

  /** A domain that is added anew has the old records under other ids. */
  removeZone(zone: string): () => void {
    const { name, settings, records } = this.#named(zone);
    this.#domains.delete(name);
    const old = [...records.now.values()];
    return () => {
      const again = old.map((record) => ({ ...record, RecordId: this.#nextId() }));
      this.#take(name, settings, again);
    };
  }

  settle(zone: string, settings: ZoneSettings): void {
    this.#named(zone).settings = settings;
  }

  zoneOf(request: ApiRequest): string | null {
    const domain = this.#asked(paramsOf(request));
    return domain === null ? null : normalName(domain.name);
  }

  zoneId(zone: string): string {
    return this.#named(zone).id;
  }

  rrsets(zone: string): readonly RRset[] {
    const domain = this.#named(zone);
    const values = this.#servers.map((server) => `${server}.`);
    const apex = { name: `${domain.name}.`, type: 'NS', ttl: 86_400, values };
    return [apex, ...served(domain, domain.records.now)];
  }

  /** Records of other lines than the one edited are left alone, as at the console. */
  edit(zone: string, records: readonly LabRecord[], name: string, type: string): void {
    const domain = this.#named(zone);
    const rr = relative(domain.name, bareName(name));
    const next = new Map(domain.records.now);
    const made = records.flatMap((record) => this.#fromRecord(domain.name, record));
    const line = made[0]?.Line ?? 'default';
    const old = [...next.values()].filter(
      (r) => r.RR === rr && r.Type === type && (r.Line === line || made.length === 0),
    );
    for (const { RecordId } of old) next.delete(RecordId);
    for (const [at, record] of made.entries()) {
      // A person changes a record in place: its id stays.
      const kept = old[at];
      const { RecordId, CreateTimestamp } = kept ?? record;
      next.set(RecordId, { ...record, RecordId, CreateTimestamp });
    }
    for (const rrset of served(domain, next)) toAnswers(rrset);
    domain.records.commit(next);
    this.#publish(zone);
  }

  /** Locks every CNAME of the name, whatever its line. */
  protect(zone: string, name: string, on: boolean): boolean {
    const domain = this.#named(zone);
    const rr = relative(domain.name, bareName(name));
    const meant = [...domain.records.now.values()].filter((r) => r.RR === rr && r.Type === 'CNAME');
    const next = new Map(domain.records.now);
    for (const record of meant) next.set(record.RecordId, { ...record, Locked: on });
    domain.records.commit(next);
    return meant.length > 0;
  }

  operation(request: ApiRequest): string {
    return known(paramsOf(request).get('Action')) ?? 'Unknown';
  }

  refusal(how: 'error' | 'throttle' | 'auth' | 'block' | 'too-large'): ApiReply {
    switch (how) {
      case 'error':
        return failed(503, 'ServiceUnavailable', temporaryFailure);
      case 'auth':
        return failed(404, 'InvalidAccessKeyId.NotFound', keyNotFound);
      case 'too-large':
        return failed(413, 'RequestEntityTooLarge', 'The request body is too large.');
      default:
        return failed(400, 'Throttling.User', flowControl);
    }
  }

  async answer(request: ApiRequest): Promise<ApiReply> {
    const params = paramsOf(request);
    try {
      const action = this.#admit(request, params);
      return await this.#dispatch(action, params, request.stale);
    } catch (error) {
      if (error instanceof Refused) return failed(error.status, error.code, error.message);
      throw error;
    }
  }

  #take(name: string, settings: ZoneSettings, all: readonly DomainRecord[]): void {
    const records = new Ledger<Records>(new Map(all.map((record) => [record.RecordId, record])));
    this.#domains.set(name, { id: randomUUID(), name, settings, records });
  }

  /** The domain that a request is about, by name, by a name in it or by a record's id. */
  #asked(params: Params): Domain | null {
    const within = bareOf(params.get('SubDomain') ?? '');
    const given = params.get('DomainName')?.toLowerCase();
    const name = given === undefined ? (this.#holding(within) ?? '') : inAscii(given);
    const id = params.get('RecordId') ?? '';
    const holder = [...this.#domains.values()].find(({ records }) => records.now.has(id));
    return this.#domains.get(name) ?? holder ?? null;
  }

  #holding(name: string): string | null {
    return zoneHolding(this.#domains.keys(), name);
  }

  /** The domains that the account owns. */
  #own(): Domain[] {
    return [...this.#domains.values()].filter(({ settings }) => !settings.foreign);
  }

  #dispatch(action: Action, params: Params, stale: boolean): ApiReply | Promise<ApiReply> {
    switch (action) {
      case 'DescribeDomainInfo':
        return this.#domainInfo(params);
      case 'DescribeDomains':
        return this.#listDomains(params);
      case 'DescribeDomainNs':
        return this.#domainNs(params);
      case 'GetMainDomainName':
        return this.#mainName(params);
      case 'DescribeSubDomainRecords':
        return this.#subDomainRecords(params, stale);
      case 'DescribeDomainRecords':
        return listRecords(this.#domain(need(params, 'DomainName')), params, stale);
      case 'DescribeDomainRecordInfo':
        return succeeded({ ...printed(this.#found(params, stale).record) });
      case 'AddDomainRecord': {
        const domain = this.#domain(need(params, 'DomainName'));
        return this.#write(domain, () => this.#added(domain, params));
      }
      case 'UpdateDomainRecord':
        return this.#change(params, (domain, record) => this.#updated(domain, record, params));
      case 'UpdateDomainRecordRemark': {
        const remark = params.get('Remark') ?? '';
        if (remark.length > 50) throw invalid('Remark');
        return this.#change(params, (_domain, { Remark: _old, ...rest }) => ({
          record: remark === '' ? rest : { ...rest, Remark: remark },
          reply: {},
        }));
      }
      case 'SetDomainRecordStatus':
        return this.#change(params, (_domain, record) => statusSet(record, params));
      case 'DeleteDomainRecord':
        return this.#change(params, (_domain, record) => {
          refuseLocked(record);
          return { record: null, reply: { RecordId: record.RecordId } };
        });
    }
  }

  /** Everything before the action itself, in the gateway's order. Throws Refused. */
  #admit(request: ApiRequest, params: Params): Action {
    const { accessKeyId, accessKeySecret } = this.#options.credentials;
    const keyId = need(params, 'AccessKeyId');
    const timestamp = need(params, 'Timestamp');
    const nonce = need(params, 'SignatureNonce');
    const signature = need(params, 'Signature');
    const action = known(need(params, 'Action'));
    if (params.get('Version') !== version || action === null) {
      const what = action === null ? 'action' : 'version';
      throw new Refused(404, 'InvalidAction.NotFound', `Specified api is not found: ${what}.`);
    }
    if ((params.get('Format') ?? 'JSON').toUpperCase() !== 'JSON') {
      throw invalid('Format');
    }
    if (params.get('SignatureMethod') !== 'HMAC-SHA1') throw invalid('SignatureMethod');
    if (keyId !== accessKeyId) throw new Refused(404, 'InvalidAccessKeyId.NotFound', keyNotFound);
    // The account's key is no temporary one: no token was ever issued with it.
    if (params.has('SecurityToken')) {
      throw new Refused(400, 'InvalidSecurityToken.MismatchWithAccessKey', strayToken);
    }
    checkClock(timestamp);
    const toSign = stringToSign(request.method, params);
    const right = createHmac('sha1', `${accessKeySecret}&`).update(toSign).digest('base64');
    if (signature !== right) {
      // The real one prints the string too, access key id and all.
      const text = 'Specified signature is not matched with our calculation.';
      const message = `${text} server string to sign is:${toSign}`;
      throw new Refused(400, 'SignatureDoesNotMatch', message);
    }
    this.#useNonce(nonce);
    const settings = this.#asked(params)?.settings ?? {};
    if (this.#options.deny?.includes(action) || isDenied(settings, action)) {
      throw new Refused(
        403,
        'Forbidden.RAM',
        'User not authorized to operate on the specified resource, ' +
          "or this API doesn't support RAM.",
      );
    }
    this.#charge(action);
    return action;
  }

  #useNonce(nonce: string): void {
    const now = Date.now();
    for (const [old, at] of this.#nonces) {
      if (at > now - 2 * clockMs && this.#nonces.size < noncesMax) break;
      this.#nonces.delete(old);
    }
    if (this.#nonces.has(nonce)) {
      const text = 'Specified signature nonce was used already.';
      throw new Refused(400, 'SignatureNonceUsed', text);
    }
    this.#nonces.set(nonce, now);
  }

  #charge(action: Action): void {
    if (this.#options.quotas === 'off') return;
    const rate = quotas[action] ?? 100;
    const bucket = this.#buckets.get(action) ?? new TokenBucket(rate, rate);
    this.#buckets.set(action, bucket);
    if (!bucket.take()) throw new Refused(400, 'Throttling.User', flowControl);
  }

  #named(zone: string): Domain {
    const domain = this.#domains.get(bareName(zone));
    if (!domain) throw new Error(`alidns: no zone ${zone} in the lab`);
    return domain;
  }

  #domain(name: string): Domain {
    // By its A-labels no domain is known (external-dns #6141).
    const domain = isInALabels(name) ? undefined : this.#domains.get(inAscii(name.toLowerCase()));
    if (domain?.settings.foreign) throw new Refused(400, 'IncorrectDomainUser', notOurs);
    if (domain) return domain;
    throw new Refused(400, 'InvalidDomainName.NoExist', domainNotFound);
  }

  #found(params: Params, stale: boolean): { domain: Domain; record: DomainRecord } {
    const id = need(params, 'RecordId');
    for (const domain of this.#own()) {
      const record = domain.records.read(stale).get(id);
      if (record) return { domain, record };
    }
    const text = 'The domain record does not belong to this user.';
    throw new Refused(400, 'DomainRecordNotBelongToUser', text);
  }

  #ttlMin(domain: Domain): number {
    return this.#options.ttlMin ?? editions[this.#edition(domain)]?.ttlMin ?? 600;
  }

  #edition(domain: Domain): string {
    const quick = this.#options.ttlMin !== undefined && this.#options.ttlMin < 600;
    return domain.settings.versionCode ?? (quick ? 'version_enterprise_advanced' : 'mianfei');
  }

  #domainInfo(params: Params): ApiReply {
    const domain = this.#domain(need(params, 'DomainName'));
    const edition = this.#edition(domain);
    const least = this.#ttlMin(domain);
    const ttls = [1, 5, 10, 60, 120, 600, 1800, 3600, 43_200, 86_400].filter((t) => t >= least);
    const detailed = params.get('NeedDetailAttributes') === 'true';
    return succeeded({
      DomainId: domain.id,
      DomainName: inScript(domain.name),
      PunyCode: domain.name,
      AliDomain: true,
      DnsServers: { DnsServer: this.#servers },
      VersionCode: edition,
      VersionName: editions[edition]?.name ?? edition,
      MinTtl: least,
      RecordLines: {
        RecordLine: lines.map(([LineCode, LineName]) => ({
          LineCode,
          LineName,
          LineDisplayName: LineName,
        })),
      },
      LineType: 'region_province',
      RegionLines: false,
      InBlackHole: domain.settings.inBlackHole ?? false,
      InClean: domain.settings.inClean ?? false,
      SlaveDns: false,
      SubDomain: false,
      ...(detailed ? { AvailableTtls: { AvailableTtl: ttls.map(String) } } : {}),
    });
  }

  #listDomains(params: Params): ApiReply {
    const word = params.get('KeyWord')?.toLowerCase() ?? '';
    const exact = params.get('SearchMode')?.toUpperCase() === 'EXACT';
    const found = this.#own().filter((domain) =>
      exact ? inScript(domain.name) === word : inScript(domain.name).includes(word),
    );
    const { slice, info } = page(found, params, 100);
    const Domain = slice.map((domain) => ({
      DomainId: domain.id,
      DomainName: inScript(domain.name),
      PunyCode: domain.name,
      AliDomain: true,
      VersionCode: this.#edition(domain),
      VersionName: editions[this.#edition(domain)]?.name ?? '',
      DnsServers: { DnsServer: this.#servers },
      RecordCount: domain.records.now.size,
    }));
    return succeeded({ ...info, Domains: { Domain } });
  }

  #domainNs(params: Params): ApiReply {
    this.#domain(need(params, 'DomainName'));
    return succeeded({
      AllAliDns: true,
      IncludeAliDns: true,
      DnsServers: { DnsServer: this.#servers },
      ExpectDnsServers: { ExpectDnsServer: this.#servers },
    });
  }

  #mainName(params: Params): ApiReply {
    const given = inAscii(need(params, 'InputString').toLowerCase()).replace(/\.$/, '');
    const name = this.#holding(given);
    if (name === null) throw new Refused(400, 'InvalidDomainName.NoExist', domainNotFound);
    const level = given.split('.').length - name.split('.').length;
    return succeeded({
      DomainName: inScript(name),
      RR: inScript(relative(name, given)),
      DomainLevel: level,
    });
  }

  #subDomainRecords(params: Params, stale: boolean): ApiReply {
    const sub = bareOf(need(params, 'SubDomain'));
    const given = params.get('DomainName')?.toLowerCase() ?? null;
    const domain = this.#domain(given ?? inScript(this.#holding(sub) ?? sub));
    const { name } = domain;
    if (zoneHolding([name], sub) === null) throw invalid('SubDomain');
    const rr = relative(name, sub);
    const found: DomainRecord[] = [];
    for (const record of domain.records.read(stale).values()) {
      if (record.RR !== rr) continue;
      const isType = (params.get('Type') ?? record.Type).toUpperCase() === record.Type;
      if (isType && (params.get('Line') ?? record.Line) === record.Line) found.push(record);
    }
    const { slice, info } = page(found.reverse(), params, 100);
    return succeeded({ ...info, DomainRecords: { Record: slice.map(printed) } });
  }

  /** Finds the record, and changes it when no other write of its domain is under way. */
  #change(
    params: Params,
    change: (
      domain: Domain,
      record: DomainRecord,
    ) => { readonly record: DomainRecord | null; readonly reply: object },
  ): Promise<ApiReply> {
    const { domain } = this.#found(params, false);
    return this.#write(domain, () => {
      const { record } = this.#found(params, false);
      const made = change(domain, record);
      const next = new Map(domain.records.now);
      if (made.record) next.set(record.RecordId, { ...made.record, UpdateTimestamp: Date.now() });
      else next.delete(record.RecordId);
      domain.records.commit(next);
      return made.reply;
    });
  }

  async #write(domain: Domain, write: () => object): Promise<ApiReply> {
    if (domain.settings.inBlackHole) {
      throw new Refused(400, 'RecordForbidden.BlackHole', blackHole);
    }
    if (domain.settings.forbidden) throw new Refused(400, 'DomainForbidden', forbidden);
    const reply = await this.#busy.run(domain.name, this.#options.changeMs ?? changeMs, () => {
      // It may have been deleted meanwhile, and perhaps added anew.
      if (this.#domains.get(domain.name) === domain) return write();
      throw new Refused(400, 'InvalidDomainName.NoExist', domainNotFound);
    });
    if (reply === null) throw new Refused(400, 'LastOperationNotFinished', lastOperation);
    this.#publish(`${domain.name}.`);
    return { ...succeeded(reply), wrote: true };
  }

  #added(domain: Domain, params: Params): object {
    const fields = readFields(domain, params, this.#ttlMin(domain));
    checkBeside(domain.records.now, fields, null, this.#edition(domain));
    const now = Date.now();
    const record: DomainRecord = {
      RecordId: this.#nextId(),
      DomainName: domain.name,
      ...fields,
      Status: 'ENABLE',
      Locked: false,
      Weight: 1,
      CreateTimestamp: now,
      UpdateTimestamp: now,
    };
    domain.records.commit(new Map(domain.records.now).set(record.RecordId, record));
    return { RecordId: record.RecordId };
  }

  #updated(
    domain: Domain,
    record: DomainRecord,
    params: Params,
  ): { record: DomainRecord; reply: object } {
    refuseLocked(record);
    const fields = readFields(domain, params, this.#ttlMin(domain));
    const same =
      identity(fields) === identity(record) &&
      fields.TTL === record.TTL &&
      fields.Priority === record.Priority;
    if (same) throw new Refused(400, 'DomainRecordDuplicate', duplicate);
    checkBeside(domain.records.now, fields, record.RecordId, this.#edition(domain));
    return { record: { ...record, ...fields }, reply: { RecordId: record.RecordId } };
  }

  #nextId(): string {
    this.#lastId += 1024n;
    return String(this.#lastId);
  }

  #fromRecord(domain: string, record: LabRecord): DomainRecord[] {
    const type = record.type.toUpperCase();
    const { line, status, locked, remark, weight } = record.extra ?? {};
    const name = bareName(record.name);
    if (zoneHolding([domain], name) === null) {
      throw new ZoneError(`${name} ${type}: the name is outside the zone ${domain}`);
    }
    return valuesOf(record.value).map((value): DomainRecord => {
      const words = value.trim().split(/\s+/);
      const priority = type === 'MX' ? Number(words[0]) : null;
      const plain = type === 'TXT' ? unquoted(value) : value.replace(/^\d+\s+(?=\S+$)/, '');
      const now = Date.now();
      return {
        RecordId: this.#nextId(),
        DomainName: domain,
        RR: relative(domain, name),
        Type: type,
        Value: hostTypes.includes(type) ? plain.toLowerCase().replace(/\.$/, '') : plain,
        TTL: record.ttl,
        Line: line ?? 'default',
        Status: status ?? 'ENABLE',
        Locked: locked ?? false,
        Weight: weight ?? 1,
        ...(priority === null ? {} : { Priority: priority }),
        ...(remark === undefined ? {} : { Remark: remark }),
        CreateTimestamp: now,
        UpdateTimestamp: now,
      };
    });
  }
}

const keyNotFound = 'Specified access key is not found.';
const flowControl = 'Request was denied due to user flow control.';
const temporaryFailure = 'The request has failed due to a temporary failure of the server.';
const duplicate = 'The DNS record already exists.';
const conflict = 'The DNS record conflicts with other records.';
const domainNotFound = 'The specified domain name does not exist. Refresh the page and try again.';
const strayToken = 'Specified SecurityToken mismatch with the AccessKey.';
const notOurs = 'The specified domain name does not belong to the current account.';
const forbidden = 'The DNS operation is forbidden for this domain name.';
const lastOperation = 'The last operation has not been completed. Please try again later.';
const blackHole =
  'The action could not be completed because there are some records have been into black hole.';

// ---------------------------------------------------------------- the gateway

/** Parameters of the query and, for a POST, of the body. */
function paramsOf(request: ApiRequest): Params {
  const params = new Map(request.query);
  if (request.method === 'POST') {
    for (const [key, value] of new URLSearchParams(request.body.toString('utf8'))) {
      params.set(key, value);
    }
  }
  return params;
}

function known(action: string | undefined): Action | null {
  return actions.find((one) => one === action) ?? null;
}

function need(params: Params, name: string): string {
  const value = params.get(name);
  if (value !== undefined && value !== '') return value;
  throw new Refused(400, `Missing${name}`, `${name} is mandatory for this action.`);
}

function invalid(name: string): Refused {
  return new Refused(400, `Invalid${name}`, `Specified parameter ${name} is not valid.`);
}

function checkClock(timestamp: string): void {
  const at = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(timestamp) ? Date.parse(timestamp) : NaN;
  if (Number.isNaN(at)) {
    const text = 'Specified time stamp or date value is not well formatted.';
    throw new Refused(400, 'InvalidTimeStamp.Format', text);
  }
  if (Math.abs(Date.now() - at) > clockMs) {
    const text = 'Specified time stamp or date value is expired.';
    throw new Refused(400, 'InvalidTimeStamp.Expired', text);
  }
}

/** Signature version 1.0: METHOD, the path and the sorted parameters, each percent-encoded. */
function stringToSign(method: string, params: Params): string {
  const pairs = [...params]
    .filter(([key]) => key !== 'Signature')
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${encode(key)}=${encode(value)}`);
  return `${method}&${encode('/')}&${encode(pairs.join('&'))}`;
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function succeeded(body: object): ApiReply {
  return json(200, { RequestId: randomUUID().toUpperCase(), ...body });
}

function failed(status: number, code: string, message: string): ApiReply {
  return json(status, {
    RequestId: randomUUID().toUpperCase(),
    HostId: 'alidns.aliyuncs.com',
    Code: code,
    Message: message,
    Recommend: `https://api.aliyun.com/troubleshoot?q=${code}&product=Alidns`,
  });
}

function json(status: number, body: object): ApiReply {
  return { status, type: 'application/json;charset=utf-8', body: JSON.stringify(body) };
}

// ---------------------------------------------------------------- reading

function page<T>(
  all: readonly T[],
  params: Params,
  most: number,
): { slice: readonly T[]; info: object } {
  const number = (name: string, usual: number, top: number) => {
    const given = params.get(name);
    if (given === undefined) return usual;
    const value = /^\d{1,9}$/.test(given) ? Number(given) : 0;
    if (value < 1 || value > top) throw invalid(name);
    return value;
  };
  const PageSize = number('PageSize', 20, most);
  const PageNumber = number('PageNumber', 1, 999_999_999);
  const slice = all.slice((PageNumber - 1) * PageSize, PageNumber * PageSize);
  return { slice, info: { TotalCount: all.length, PageNumber, PageSize } };
}

/**
 * Newest first. With LIKE and EXACT only KeyWord counts; otherwise the keywords of the host record
 * and the value are fuzzy, but with COMBINATION the host record is taken exactly.
 */
function listRecords(domain: Domain, params: Params, stale: boolean): ApiReply {
  const mode = params.get('SearchMode')?.toUpperCase() ?? '';
  const word = (name: string) => params.get(name)?.toLowerCase() ?? '';
  const anything = word('KeyWord');
  const [rr, value] = [word('RRKeyWord'), word('ValueKeyWord')];
  const type = word('TypeKeyWord') || word('Type');
  const found = [...domain.records.read(stale).values()].filter((record) => {
    if (mode === 'EXACT') return anything === '' || record.RR === anything;
    const text = `${record.RR}\n${record.Value}`.toLowerCase();
    if (mode === 'LIKE') return text.includes(anything);
    const rrFits = mode === 'COMBINATION' && rr !== '' ? record.RR === rr : record.RR.includes(rr);
    return (
      rrFits &&
      record.Value.toLowerCase().includes(value) &&
      (type === '' || record.Type.toLowerCase() === type) &&
      (params.get('Line') ?? record.Line) === record.Line &&
      (word('Status') === '' || word('Status') === record.Status.toLowerCase())
    );
  });
  if (params.get('Direction')?.toUpperCase() !== 'ASC') found.reverse();
  const { slice, info } = page(found, params, 500);
  return succeeded({ ...info, DomainRecords: { Record: slice.map(printed) } });
}

// ---------------------------------------------------------------- writing

interface Fields {
  readonly RR: string;
  readonly Type: string;
  readonly Value: string;
  readonly TTL: number;
  readonly Line: string;
  readonly Priority?: number;
}

/** What AddDomainRecord and UpdateDomainRecord say of a record. Throws Refused. */
function readFields(domain: Domain, params: Params, ttlMin: number): Fields {
  const RR = chinese(need(params, 'RR').toLowerCase(), 'RR');
  const Type = need(params, 'Type').toUpperCase();
  const given = need(params, 'Value');
  const Line = params.get('Line') ?? 'default';
  if (!rowTypes.includes(Type)) throw invalid('Type');
  const owner = RR.replace(/^\*(\.|$)/, '');
  const labelled = owner === '' || owner.split('.').every((l) => /^[a-z0-9_-]{1,63}$/.test(l));
  if (RR !== '@' && (!labelled || RR.length + domain.name.length > 252)) throw invalid('RR');
  if (!lines.some(([code]) => code === Line)) throw invalid('Line');
  const ttl = params.get('TTL') ?? String(Math.max(ttlUsual, ttlMin));
  if (!/^[1-9]\d{0,8}$/.test(ttl)) throw invalid('TTL');
  if (Number(ttl) < ttlMin || Number(ttl) > ttlMost) {
    const range = `${ttlMin} to ${ttlMost}`;
    const text = `The specified TTL is invalid. A valid TTL must be in the range of ${range}.`;
    throw new Refused(400, 'QuotaExceeded.TTL', text);
  }
  const Value = Type === 'TXT' ? given.replaceAll('"', '').trimEnd() : given.trim();
  const host = () => chinese(Value.toLowerCase().replace(/\.$/, ''), 'Value');
  const bare = hostTypes.includes(Type) ? host() : Value;
  const priority = Type === 'MX' ? Number(need(params, 'Priority')) : null;
  if (priority !== null && !(priority >= 1 && priority <= 99)) throw invalid('Priority');
  if (!valueFits(Type, bare, textMax)) {
    const text = `The DNS record is invalid: ${Type} does not take this value.`;
    throw new Refused(400, 'SubDomainInvalid.Value', text);
  }
  const fields = { RR, Type, Value: bare, TTL: Number(ttl), Line };
  return priority === null ? fields : { ...fields, Priority: priority };
}

/** What makes two records the same one for the vendor. */
function identity(fields: Pick<Fields, 'RR' | 'Type' | 'Value' | 'Line'>): string {
  return [fields.RR, fields.Type, fields.Line, fields.Value].join(' ');
}

/** Throws Refused when a record cannot stand beside the others of its name and line. */
function checkBeside(records: Records, fields: Fields, self: string | null, edition: string): void {
  const beside = [...records.values()].filter(
    (r) => r.RecordId !== self && r.RR === fields.RR && r.Line === fields.Line,
  );
  if (beside.some((record) => identity(record) === identity(fields))) {
    throw new Refused(400, 'DomainRecordDuplicate', duplicate);
  }
  // Several CNAMEs need the weights that the free edition does not have.
  const alone = edition === 'mianfei' ? ['CNAME'] : [];
  const atApex = fields.RR === '@' ? ['MX', 'TXT', 'NS', 'CAA'] : [];
  const clash = beside.some((other) => {
    const [one, two] = [other.Type, fields.Type];
    if (one !== 'CNAME' && two !== 'CNAME') return false;
    if (one === two) return alone.includes(one);
    return !atApex.includes(one === 'CNAME' ? two : one);
  });
  if (clash) throw new Refused(400, 'DomainRecordConflict', conflict);
  if (beside.filter((record) => record.Type === fields.Type).length >= perLineMax) {
    const what = `{"${fields.Type} ${fields.RR} ${fields.Line}"}`;
    const start = `You can't add this domain record because the ${what} record has been`;
    throw new Refused(400, 'QuotaExceeded.Record', `${start} out of MAX count (${perLineMax}).`);
  }
}

function refuseLocked(record: DomainRecord): void {
  if (!record.Locked) return;
  throw new Refused(400, 'DomainRecordLocked', 'The domain record has been locked.');
}

/** Requests say Enable or Disable, answers ENABLE or DISABLE. */
function statusSet(record: DomainRecord, params: Params): { record: DomainRecord; reply: object } {
  refuseLocked(record);
  const wanted = need(params, 'Status').toUpperCase();
  if (wanted !== 'ENABLE' && wanted !== 'DISABLE') throw invalid('Status');
  const Status = wanted === 'ENABLE' ? 'Enable' : 'Disable';
  return { record: { ...record, Status: wanted }, reply: { RecordId: record.RecordId, Status } };
}

// ---------------------------------------------------------------- records in DNS

/** A record as the API tells of it: names in their own script. */
function printed(record: DomainRecord): DomainRecord {
  const { DomainName, RR, Type, Value } = record;
  const told = hostTypes.includes(Type) ? inScript(Value) : Value;
  return { ...record, DomainName: inScript(DomainName), RR: inScript(RR), Value: told };
}

function isInALabels(name: string): boolean {
  return /(^|\.)xn--/i.test(name);
}

/** A name in ASCII; of other scripts the vendor takes the Chinese one alone (dnscontrol #4424). */
function chinese(name: string, field: 'RR' | 'Value'): string {
  if (/^[\p{ASCII}\p{Script=Han}]*$/u.test(inScript(name))) return inAscii(name);
  const text = `The DNS record is invalid: ${field} has characters that are not taken.`;
  throw new Refused(400, `SubDomainInvalid.${field}`, text);
}

/** A name as `SubDomain` may say it: any case, `@.` for the domain itself, the last dot or not. */
function bareOf(name: string): string {
  return inAscii(name.toLowerCase()).replace(/^@\./, '').replace(/\.$/, '');
}

/** What everybody without a line of their own is given: enabled records of the default line. */
function served(domain: Domain, records: Records): RRset[] {
  const sets = new Map<string, RRset>();
  for (const record of records.values()) {
    if (record.Status !== 'ENABLE' || record.Line !== 'default') continue;
    const one = alone.get(record) ?? setOf(domain, record);
    alone.set(record, one);
    const key = `${one.name} ${one.type}`;
    const set = sets.get(key);
    sets.set(key, set === undefined ? one : { ...set, values: [...set.values, ...one.values] });
  }
  return [...sets.values()];
}

/** Every write of a domain is followed by a look at all of it, and most of it is as it was. */
const alone = new WeakMap<DomainRecord, RRset>();

function setOf(domain: Domain, record: DomainRecord): RRset {
  const name = record.RR === '@' ? `${domain.name}.` : `${record.RR}.${domain.name}.`;
  const { Type: type, Value, Priority } = record;
  const value = presentation(type, { value: Value, priority: Priority });
  return { name, type, ttl: record.TTL, values: [value] };
}
