// Route 53's API as all of Detour's work there has it: an account and its SDK, one call and what its
// codes mean, zones, record sets from a name on, one batch. It must never let the SDK repeat a call,
// and never hand on a page that does not follow what was asked for.

import type { Agent as HttpsAgent } from 'node:https';
import { pipeline, type Readable, Transform } from 'node:stream';
import type * as sdk from '@aws-sdk/client-route-53';
import { z } from 'zod';
import type { FaultKind, Name, Refusal } from '../../src/core/model.ts';
import type { AdapterContext } from '../../src/kit/extend.ts';
import { agentFor, tunnelsOf } from './agents.ts';
import {
  type AwsKeySettings,
  type AwsKeys,
  type AwsStack,
  awsKeys,
  nothingElse,
} from './aws-keys.ts';
import {
  type Called,
  done,
  exchange,
  failed,
  fieldsOf,
  garbled,
  loading,
  parseRetryAfter,
  type Scope,
  scrub,
  statusTrouble,
  type Trouble,
} from './fault.ts';
import type { Keys } from './held.ts';
import { Listing } from './listing.ts';
import type { ProxySettings } from './proxy.ts';
import { nameFrom, type ZoneFinder } from './zone.ts';

/** Most record sets that ListResourceRecordSets gives at once. */
export const listPage = 300;

/** Pages read at one name: more than two of them can only be routing variants, which we refuse. */
export const namePagesMax = 2;
const namePage = 100;

// ---------------------------------------------------------------- what the vendor says, checked

const recordSet = z.object({
  Name: z.string(),
  Type: z.string(),
  TTL: z.number().int().optional(),
  ResourceRecords: z.array(z.object({ Value: z.string() })).optional(),
  SetIdentifier: z.string().optional(),
  Weight: z.number().optional(),
  Region: z.string().optional(),
  Failover: z.string().optional(),
  MultiValueAnswer: z.boolean().optional(),
  GeoLocation: z.unknown().optional(),
  GeoProximityLocation: z.unknown().optional(),
  CidrRoutingConfig: z.unknown().optional(),
  AliasTarget: z.unknown().optional(),
  HealthCheckId: z.string().optional(),
  TrafficPolicyInstanceId: z.string().optional(),
});

export type RecordSet = z.output<typeof recordSet>;

const recordPage = z.object({
  ResourceRecordSets: z.array(recordSet),
  IsTruncated: z.boolean().optional(),
  NextRecordName: z.string().optional(),
  NextRecordType: z.string().optional(),
  NextRecordIdentifier: z.string().optional(),
});

type RecordPage = z.output<typeof recordPage>;

const hostedZone = z.object({
  Id: z.string().min(1),
  Name: z.string().min(1),
  Config: z.object({ PrivateZone: z.boolean().optional() }).optional(),
  ResourceRecordSetCount: z.number().optional(),
  LinkedService: z.object({ ServicePrincipal: z.string().optional() }).optional(),
  Features: z.object({ AcceleratedRecoveryStatus: z.string().optional() }).optional(),
});

export type HostedZone = z.output<typeof hostedZone>;
const zoneList = z.object({ HostedZones: z.array(hostedZone) });

const zoneDetail = z.object({
  HostedZone: hostedZone,
  // Only for the facts of a zone: nothing in it may spoil finding one.
  DelegationSet: z
    .object({ NameServers: z.array(z.string().min(1)).min(1) })
    .optional()
    .catch(undefined),
});

const changed = z.object({
  ChangeInfo: z.object({
    Id: z.string().min(1),
    Status: z.enum(['PENDING', 'INSYNC']).optional(),
  }),
});

/** A record set to delete: its name, TTL and values exactly as the vendor wrote them. */
export const exactSet = z.object({
  name: z.string(),
  ttl: z.number(),
  values: z.array(z.string()),
});
type ExactSet = z.output<typeof exactSet>;

export interface Zone {
  readonly id: string;
  readonly name: Name;
}

export interface FoundZone extends Zone {
  readonly listing: Listing;
}

// ---------------------------------------------------------------- the account

export interface Account {
  readonly client: (signal: AbortSignal) => Promise<Called<Client>>;
  readonly timeoutMs: number;
  readonly keys: Keys<AwsKeys>;
  /** Requests sent so far. */
  calls: number;
  close(): void;
}

interface Client {
  readonly commands: typeof sdk;
  readonly route53: sdk.Route53Client;
}

/** What an account is opened with. */
interface Access extends AwsKeySettings {
  readonly endpoint?: string | undefined;
  readonly region: string;
  readonly proxy?: ProxySettings | undefined;
}

export function openAccount(chosen: Access, context: AdapterContext): Account {
  const tunnels = tunnelsOf(chosen.proxy, context);
  const timeoutMs = context.callTimeoutMs;
  // Ours ends a call first; these free the socket where the SDK would only print a warning.
  const backstopMs = timeoutMs + 500;
  const idle = { keepAlive: true, maxSockets: 50 };
  const httpAgent = agentFor('http:', idle, context);
  const httpsAgent = agentFor('https:', idle, context, tunnels) as HttpsAgent;
  const requestHandler = {
    httpAgent,
    httpsAgent,
    connectionTimeout: backstopMs,
    requestTimeout: backstopMs,
    socketTimeout: backstopMs,
    throwOnRequestTimeout: true,
  };
  const keys = awsKeys(chosen, context, { requestHandler, bound: boundAnswers });
  const load = loading('the SDK of Route 53', () => import('@aws-sdk/client-route-53'));
  let last: { readonly signs: AwsKeys; readonly client: Client } | null = null;
  return {
    timeoutMs,
    keys,
    calls: 0,
    async client(signal) {
      const commands = await load(signal, timeoutMs);
      if (!commands.ok) return commands;
      const got = await keys.get(signal);
      if (!got.ok) return got;
      // One for each key: what the SDK is given in another way it remembers, and asks for in its
      // own time, in the middle of a call.
      if (last?.signs !== got.value) {
        const client = connect(commands.value, chosen, got.value, requestHandler);
        last = { signs: got.value, client };
      }
      return done(last.client);
    },
    close() {
      keys.close();
      httpAgent.destroy();
      httpsAgent.destroy();
    },
  };
}

function connect(
  commands: typeof sdk,
  chosen: Access,
  credentials: AwsKeys,
  requestHandler: sdk.Route53ClientConfig['requestHandler'] & object,
): Client {
  const route53 = new commands.Route53Client({
    // All that the SDK would otherwise look for in the environment and in a profile is said here.
    ...nothingElse,
    region: chosen.region,
    ...(chosen.endpoint === undefined ? {} : { endpoint: chosen.endpoint }),
    credentials,
    requestHandler,
  });
  boundAnswers(route53.middlewareStack as unknown as AwsStack);
  return { commands, route53 };
}

function boundAnswers(stack: AwsStack): void {
  stack.add(
    (next) => async (args) => {
      const output = await next(args);
      const response = fieldsOf(output.response) as { body?: Readable };
      if (response.body) response.body = bounded(response.body);
      return output;
    },
    { step: 'deserialize', priority: 'low', name: 'detourBodyLimit' },
  );
}

/** Most bytes of one answer: 300 record sets of 100 values are far below it. */
const bodyMax = 8 * 1024 * 1024;

function bounded(body: Readable): Readable {
  let bytes = 0;
  const counter = new Transform({
    transform(chunk: Buffer, _encoding, next) {
      bytes += chunk.length;
      if (bytes <= bodyMax) next(null, chunk);
      else next(Object.assign(new Error('body too long'), { code: 'BODY_TOO_LONG' }));
    },
  });
  // The counter's own error event is what the SDK's reader sees; there is nothing left to do here.
  return pipeline(body, counter, () => {});
}

// ---------------------------------------------------------------- one call

/** One call, its answer checked against what it must look like. */
export async function call<T>(
  account: Account,
  options: {
    readonly doing: string;
    readonly write: boolean;
    readonly shape: z.ZodType<T>;
    readonly signal: AbortSignal;
  },
  send: (client: Client, signal: AbortSignal) => Promise<unknown>,
): Promise<Called<T>> {
  const client = await account.client(options.signal);
  if (!client.ok) return client;
  const { doing } = options;
  const answer = await exchange(
    {
      doing,
      write: options.write,
      signal: options.signal,
      timeoutMs: account.timeoutMs,
      explain: (error) => explain(error, options, account.keys.secrets()),
    },
    (signal) => {
      account.calls++;
      return send(client.value, signal);
    },
  );
  if (!answer.ok) {
    if (answer.fault.kind === 'auth-suspect' && answer.scope === 'account') account.keys.refused();
    return answer;
  }
  // An empty or foreign body is "success" to the SDK, with the fields missing.
  const checked = options.shape.safeParse(answer.value);
  return checked.success
    ? done(checked.data)
    : garbled(doing, options.write, 'success was answered, but without what it must say');
}

/** What a code of the vendor's means: how bad, how far, and what would cure it. */
interface Row {
  readonly kind: FaultKind;
  readonly scope: Scope;
  readonly cure?: string;
  readonly stale?: true;
}

function rows(codes: readonly string[], row: Row): readonly (readonly [string, Row])[] {
  return codes.map((code) => [code, row]);
}

/**
 * The vendor's codes. A key that is unknown, expired or signs wrongly is everybody's trouble; a
 * policy that does not allow something is written for one zone; another change under way is that
 * zone's.
 */
const codes: ReadonlyMap<string, Row> = new Map([
  ...rows(
    [
      'Throttling',
      'ThrottlingException',
      'ThrottledException',
      'RequestThrottled',
      'RequestThrottledException',
      'RequestLimitExceeded',
      'TooManyRequestsException',
      'SlowDown',
    ],
    { kind: 'throttled', scope: 'account' },
  ),
  ...rows(['PriorRequestNotComplete'], { kind: 'throttled', scope: 'zone' }),
  ...rows(
    [
      'AuthFailure',
      'ExpiredToken',
      'ExpiredTokenException',
      'IncompleteSignature',
      'InvalidAccessKeyId',
      'InvalidClientTokenId',
      'InvalidSignatureException',
      'MissingAuthenticationToken',
      'MissingAuthenticationTokenException',
      'OptInRequired',
      'RequestExpired',
      'RequestTimeTooSkewed',
      'SignatureDoesNotMatch',
      'UnrecognizedClientException',
    ],
    { kind: 'auth-suspect', scope: 'account', cure: 'check the key and this machine’s clock' },
  ),
  ...rows(['AccessDenied', 'AccessDeniedException', 'NotAuthorized'], {
    kind: 'auth-suspect',
    scope: 'zone',
    cure: 'check the key’s policy for this zone',
  }),
  // Answers in the vendor's own form that promise that nothing was done.
  ...rows(['ServiceUnavailable', 'ConcurrentModification'], { kind: 'unavailable', scope: 'zone' }),
  ...rows(['NoSuchHostedZone'], {
    kind: 'rejected',
    scope: 'zone',
    cure: 'the zone was deleted or is another account’s: check zone, zoneId and the key',
    stale: true,
  }),
]);

/**
 * The vendor's refusal by its code and status (never by class: `Throttling` has none, and never by
 * message). Null where no refusal arrived: then it is the network's or nobody's.
 */
function explain(
  error: unknown,
  { doing, write }: { readonly doing: string; readonly write: boolean },
  secrets: readonly string[],
): Trouble | null {
  const { name, message, $metadata, $response } = fieldsOf(error);
  const { httpStatusCode: status } = fieldsOf($metadata);
  if (typeof status !== 'number' || status < 300) return null;
  const code = scrub(name, secrets)
    .replaceAll(/[^\w.-]/g, '')
    .slice(0, 60);
  const { headers } = fieldsOf($response);
  const { 'retry-after': after } = fieldsOf(headers);
  const retryAfterMs = parseRetryAfter(typeof after === 'string' ? after : null, Date.now());
  const row = codes.get(code);
  if (row !== undefined) {
    const { kind, scope, ...more } = row;
    // Not its message: it may quote the signed request.
    return failed(scope, kind, `${doing}: HTTP ${status} (${code})`, { ...more, retryAfterMs });
  }
  const text = scrub(message, secrets);
  const said = text === '' ? '' : `: ${text}`;
  // A body that is not the vendor's own error document leaves the code unknown; a 400 to a write
  // is then most likely the old form of InvalidChangeBatch, and surely nothing was done.
  const unknown = code === '' || code === 'Unknown' || code === 'UnknownError' || code === 'Error';
  if (write && status === 400 && (code === 'InvalidChangeBatch' || unknown)) {
    const cure =
      'read again; if it stays so, look for a resource record set protection or a clashing record';
    return failed('record', 'conflict', `${doing}: ${code || 'HTTP 400'}${said}`, { cure });
  }
  const plain = statusTrouble(status, { doing, write }, unknown ? '' : code, retryAfterMs);
  if (plain.fault.kind !== 'rejected') return plain;
  const detail = `${plain.fault.detail}${unknown ? '' : said}`;
  // InvalidInput, too, can be the fault of one value among many.
  if (!write || code !== 'InvalidInput') return failed(plain.scope, 'rejected', detail);
  const cure = 'correct the value; if nothing is wrong with it, see by `detour audit` for locks';
  return failed('record', 'rejected', detail, { cure });
}

// ---------------------------------------------------------------- zones

export async function getZone(
  account: Account,
  id: string,
  signal: AbortSignal,
): Promise<Called<z.output<typeof zoneDetail>>> {
  const doing = `GetHostedZone of ${id}`;
  return call(account, { doing, write: false, shape: zoneDetail, signal }, (client, abortSignal) =>
    client.route53.send(new client.commands.GetHostedZoneCommand({ Id: id }), { abortSignal }),
  );
}

export async function zoneByName(
  account: Account,
  zone: Name,
  signal: AbortSignal,
): Promise<Called<FoundZone | null>> {
  // The name is where the list starts, not a filter: what follows it must be sorted out.
  const list = await call(
    account,
    { doing: `ListHostedZonesByName of ${zone}`, write: false, shape: zoneList, signal },
    (client, abortSignal) =>
      client.route53.send(
        new client.commands.ListHostedZonesByNameCommand({ DNSName: zone, MaxItems: 100 }),
        { abortSignal },
      ),
  );
  if (!list.ok) return list;
  const same = list.value.HostedZones.filter((found) => nameFrom(found.Name) === zone);
  const open = same.filter((found) => found.Config?.PrivateZone !== true);
  if (open.length > 1) {
    return failed('zone', 'rejected', `${open.length} public hosted zones are named ${zone}`, {
      cure: 'set zoneId to the one that the parent zone delegates to',
      zone,
    });
  }
  const found = open[0];
  return found === undefined ? done(null) : usable(found);
}

export function usable(found: HostedZone): Called<FoundZone> {
  const name = nameFrom(found.Name);
  const id = found.Id.replace(/^\/hostedzone\//, '');
  if (found.Config?.PrivateZone === true) {
    return failed('zone', 'rejected', `hosted zone ${id} (${name}) is private`, {
      cure: 'use the public hosted zone: only its answers reach the clients',
      zone: name,
    });
  }
  if (found.LinkedService !== undefined) {
    return failed('zone', 'rejected', `hosted zone ${id} (${name}) belongs to another service`, {
      cure: 'use a hosted zone of your own',
      zone: name,
    });
  }
  const pages = Math.ceil((found.ResourceRecordSetCount ?? 1) / listPage);
  return done({ id, name, listing: new Listing(pages) });
}

/** The zone of a record as it is today, and what else is said of it. */
export async function lookAtZone(
  account: Account,
  zones: ZoneFinder<FoundZone>,
  record: Name,
  signal: AbortSignal,
): Promise<Called<{ readonly zone: Zone; readonly detail: z.output<typeof zoneDetail> }>> {
  const known = await zones.find(record, signal);
  if (!known.ok) return known;
  const { name, id } = known.value;
  const detail = await getZone(account, id, signal);
  if (!detail.ok && detail.stale) zones.forget(name);
  if (!detail.ok) return { zone: name, ...detail };
  const checked = usable(detail.value.HostedZone);
  if (!checked.ok) zones.forget(name);
  return checked.ok ? done({ zone: checked.value, detail: detail.value }) : checked;
}

// ---------------------------------------------------------------- reading

export interface Start {
  readonly StartRecordName?: string;
  readonly StartRecordType?: sdk.RRType;
  readonly StartRecordIdentifier?: string;
}

export function list(
  account: Account,
  zone: Zone,
  start: Start,
  MaxItems: number,
  signal: AbortSignal,
): Promise<Called<RecordPage>> {
  return call(
    account,
    { doing: `ListResourceRecordSets of ${zone.name}`, write: false, shape: recordPage, signal },
    (client, abortSignal) =>
      client.route53.send(
        new client.commands.ListResourceRecordSetsCommand({
          HostedZoneId: zone.id,
          ...start,
          MaxItems,
        }),
        { abortSignal },
      ),
  );
}

/** Where the next page starts: all three fields; null at the end, or where the vendor says none. */
export function following(page: RecordPage): Start | null {
  if (page.IsTruncated === false || page.NextRecordName === undefined) return null;
  return {
    StartRecordName: page.NextRecordName,
    ...(page.NextRecordType === undefined
      ? {}
      : { StartRecordType: page.NextRecordType as sdk.RRType }),
    ...(page.NextRecordIdentifier === undefined
      ? {}
      : { StartRecordIdentifier: page.NextRecordIdentifier }),
  };
}

export function endless(zone: Zone): Called<never> {
  const doing = `ListResourceRecordSets of ${zone.name}`;
  return garbled(doing, false, 'its pages do not lead to an end');
}

/** The NS set at a name, if one stands there. */
export async function cutAt(
  account: Account,
  zone: Zone,
  name: Name,
  signal: AbortSignal,
): Promise<Called<readonly RecordSet[]>> {
  const start: Start = { StartRecordName: name, StartRecordType: 'NS' };
  const page = await list(account, zone, start, 1, signal);
  return page.ok ? done(ofName(page.value.ResourceRecordSets, name).filter(isNs)) : page;
}

export function isNs({ Type }: RecordSet): boolean {
  return Type === 'NS';
}

export function ofName(sets: readonly RecordSet[], name: Name): readonly RecordSet[] {
  return sets.filter((set) => nameFrom(set.Name) === name);
}

/**
 * The record sets at exactly one name (a list starts there and goes on behind it), what came along
 * behind them, and whether that was the end of the zone.
 */
export async function readRun(
  account: Account,
  zone: Zone,
  name: Name,
  signal: AbortSignal,
): Promise<Called<{ at: readonly RecordSet[]; beyond: readonly RecordSet[]; ended: boolean }>> {
  const at: RecordSet[] = [];
  let start: Start = { StartRecordName: name };
  for (let pages = 0; pages < namePagesMax; pages++) {
    const page = await list(account, zone, start, namePage, signal);
    if (!page.ok) return page;
    const sets = page.value.ResourceRecordSets;
    at.push(...ofName(sets, name));
    const beyond = sets.filter((set) => nameFrom(set.Name) !== name);
    const next = following(page.value);
    if (next === null) {
      return page.value.IsTruncated ? endless(zone) : done({ at, beyond, ended: true });
    }
    if (beyond.length > 0 || nameFrom(next.StartRecordName!) !== name) {
      return done({ at, beyond, ended: false });
    }
    start = next;
  }
  return done({ at, beyond: [], ended: false });
}

export function valuesOf(set: RecordSet): readonly string[] {
  return (set.ResourceRecords ?? []).map((record) => record.Value);
}

export function exactOf(sets: readonly RecordSet[]): ExactSet | null {
  const set = sets[0];
  if (set?.TTL === undefined || sets.length > 1 || valuesOf(set).length === 0) return null;
  return { name: set.Name, ttl: set.TTL, values: [...valuesOf(set)] };
}

/** Why these record sets may not be written over, where only plain ones of one type may stand. */
export function refusalOf(
  sets: readonly RecordSet[],
  type: 'CNAME' | 'TXT' | 'NS',
): Refusal | null {
  for (const set of sets) {
    const what = `${set.Type} at ${nameFrom(set.Name)}`;
    if (set.AliasTarget !== undefined) {
      const sentence = `the ${what} is an alias of AWS's own: replace it by a plain ${type}`;
      return { word: 'alias', sentence };
    }
    if (set.TrafficPolicyInstanceId !== undefined) {
      const sentence = `a traffic policy made the ${what}: delete the policy record first`;
      return { word: 'traffic-policy', sentence };
    }
    const routed =
      set.SetIdentifier ??
      set.Weight ??
      set.Region ??
      set.Failover ??
      set.MultiValueAnswer ??
      set.GeoLocation ??
      set.GeoProximityLocation ??
      set.CidrRoutingConfig;
    if (routed !== undefined) {
      const sentence = `the ${what} is routed by a policy: make it one simple ${type}`;
      return { word: 'weighted', sentence };
    }
    if (set.HealthCheckId !== undefined) {
      const sentence = `Route 53 health-checks the ${what}: take the health check off it`;
      return { word: 'health-check', sentence };
    }
    if (set.Type !== type) {
      const sentence = `a ${what} stands in the way of the ${type}: remove it`;
      return { word: 'other-type', sentence };
    }
  }
  return null;
}

// ---------------------------------------------------------------- one batch

export function oneChange(
  Action: 'CREATE' | 'DELETE' | 'UPSERT',
  Type: 'CNAME' | 'TXT' | 'NS',
  { name, ttl, values }: ExactSet,
): sdk.Change {
  const ResourceRecords = values.map((Value) => ({ Value }));
  return { Action, ResourceRecordSet: { Name: name, Type, TTL: ttl, ResourceRecords } };
}

/** One transaction: made whole or not at all. */
export async function sendBatch(
  account: Account,
  zone: Zone,
  doing: string,
  Changes: sdk.Change[],
  signal: AbortSignal,
): Promise<Called<null>> {
  const answer = await call(
    account,
    { doing, write: true, shape: changed, signal },
    (client, abortSignal) =>
      client.route53.send(
        new client.commands.ChangeResourceRecordSetsCommand({
          HostedZoneId: zone.id,
          ChangeBatch: { Changes },
        }),
        { abortSignal },
      ),
  );
  return answer.ok ? done(null) : answer;
}
