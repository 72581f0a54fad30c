// AWS Route 53 through its own SDK. A record's CNAME and marker change in one batch that deletes
// exactly what was read and creates what is wanted, so a stale writer is refused by the vendor
// itself. It must never take credentials from the SDK's default chain (that would lean on a
// cloud), never let the SDK repeat a write, and never touch what Route 53 routes by weight, alias,
// health check or policy.

import type { Agent as HttpsAgent } from 'node:https';
import { pipeline, type Readable, Transform } from 'node:stream';
import type * as sdk from '@aws-sdk/client-route-53';
import { z } from 'zod';
import { delegationMarkerName, formatMarker, markerName } from '../src/core/marker.ts';
import type {
  Change,
  FaultKind,
  Json,
  Name,
  NsChange,
  NsPlace,
  NsSeen,
  Refusal,
  Seen,
} from '../src/core/model.ts';
import { unrooted } from '../src/core/name.ts';
import type {
  AdapterContext,
  ByHand,
  Capabilities,
  HandStep,
  Provider,
  ProviderType,
  ReachingFinding,
  ZoneFacts,
} from '../src/kit/extend.ts';
import { dnsName } from '../src/kit/schema.ts';
import { agentFor, tunnelsOf } from './kit/agents.ts';
import {
  type AwsKeys,
  type AwsStack,
  awsKeySettings,
  awsKeys,
  nothingElse,
  refuseOtherAwsKeys,
} from './kit/aws-keys.ts';
import { sendHalving } from './kit/batch.ts';
import { shellWord } from './kit/by-hand.ts';
import { ByZone, oneByOne } from './kit/by-zone.ts';
import { delegationHands, isApex, markerTtl, type NsMoves, zoneOfPlace } from './kit/delegation.ts';
import { endpoint } from './kit/endpoint.ts';
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
} from './kit/fault.ts';
import type { Keys } from './kit/held.ts';
import { Listing } from './kit/listing.ts';
import {
  bad,
  fromProbe,
  fromTrouble,
  good,
  lookAtRecord,
  mayTry,
  negativeTtl,
  never,
  ofRecord,
  ofZone,
  ttlFloor,
  warn,
  zoneRead,
} from './kit/preflight.ts';
import { proxy, refuseClearProxy } from './kit/proxy.ts';
import type { Room, Told } from './kit/room.ts';
import {
  Between,
  delegatedAt,
  nameFrom,
  namesBetween,
  quoteText,
  textMax,
  unquoteText,
  type ZoneFinder,
  zoneFinder,
} from './kit/zone.ts';

/**
 * Limits of one ChangeResourceRecordSets ("Quotas on ChangeResourceRecordSets API requests",
 * Route 53 developer guide, DNSLimitations, 2026-11): ResourceRecord elements, and characters of
 * all Value elements together. We use DELETE and CREATE, so nothing counts double as UPSERT does.
 */
const batchElementsMax = 1000;
const batchCharactersMax = 32_000;

/** Most record sets that ListResourceRecordSets gives at once. */
const listPage = 300;

/**
 * Reading one name costs one call (the marker sorts right behind it), at worst two; listing costs
 * one call for each 300 record sets of the zone. So more names than a few are read by listing, as
 * long as that takes no more than half a call a name; a larger zone is read by name.
 */
const listAboveNames = 3;
const listPagesMax = 40;
/** Names read one by one in one reading; what is left out is asked for again. */
const byNameMax = 16;

/** Pages read at one name: more than two of them can only be routing variants, which we refuse. */
const namePagesMax = 2;
const namePage = 100;
/** Those of the record, and those of its marker. */
const callsPerName = 2 * namePagesMax;
/** Names, or batches of different zones, that are under way at the same time. */
const namesAtOnce = 4;

const capabilities: Capabilities = {
  type: 'route53',
  title: 'AWS Route 53',
  fence: {
    kind: 'transaction',
    note: 'one batch deletes the exact values read, so a stale batch is refused whole',
  },
  atomic: true,
  // One listing serves as many names as there are, and one writing fills batch after batch.
  readMax: 1000,
  writeMax: 1000,
  callsMax: 80,
  // Documented: 50 at once, 10/s refilled, shared with everybody else who uses the account; older
  // pages say 5/s. ("Throttling API requests", Route 53 developer guide, 2026-11.)
  quota: { burst: 50, perSecond: 5, reserve: 15 },
  queryPrice: { usdPerMillion: 0.4, source: 'aws.amazon.com/route53/pricing, 2026-09' },
  permissions: [
    { permission: 'route53:GetHostedZone', note: null },
    { permission: 'route53:ListHostedZonesByName', note: null },
    { permission: 'route53:ListResourceRecordSets', note: null },
    { permission: 'route53:ChangeResourceRecordSets', note: null },
    { permission: 'route53:ListResourceRecordSetProtections', note: 'audit: to see locks' },
  ],
  delegation: {
    apex: true,
    note:
      'one batch deletes the exact NS set and marker that were read; at an apex, where Route 53 ' +
      'lets nobody delete the set, it is replaced under the marker alone',
    permissions: ['the same for the hosted zone of the parent'],
  },
  refuses: [
    { word: 'alias', note: null },
    { word: 'weighted', note: null },
    { word: 'health-check', note: null },
    { word: 'traffic-policy', note: null },
    { word: 'other-type', note: null },
    { word: 'apex', note: null },
    { word: 'delegated', note: 'a name below NS records of a name between it and its zone' },
  ],
};

const settings = z
  .strictObject({
    ...awsKeySettings,
    zone: dnsName.optional().describe('hosted zone; found out when left out'),
    zoneId: z
      .string()
      .regex(/^(\/hostedzone\/)?[A-Z0-9]{1,32}$/i, 'expected a hosted zone id, such as Z0123456789')
      .optional()
      .describe('hosted zone id; needed when several public zones bear the same name'),
    endpoint: endpoint.optional(),
    region: z
      .string()
      .regex(/^[a-z0-9-]{1,40}$/, 'expected a region, such as us-east-1')
      .default('us-east-1')
      .describe('region that requests are signed for'),
    proxy: proxy.optional(),
  })
  .superRefine(refuseClearProxy)
  .superRefine(refuseOtherAwsKeys)
  .describe('an account at AWS Route 53');

type Route53Settings = z.output<typeof settings>;

/** By the console, or by the AWS CLI v2 (`route53 change-resource-record-sets`, one UPSERT). */
function byHand(settings: Route53Settings, { record, cname, ttl }: ByHand): readonly HandStep[] {
  const { zone, zoneId } = settings;
  const set = {
    ...{ Name: record, Type: 'CNAME', TTL: ttl },
    ResourceRecords: [{ Value: cname }],
  };
  const batch = JSON.stringify({ Changes: [{ Action: 'UPSERT', ResourceRecordSet: set }] });
  const of = zone === undefined ? '' : ` --dns-name ${zone}`;
  const found =
    zoneId === undefined
      ? [
          {
            text: 'Look up the id of the hosted zone: ZONE below.',
            shell: `aws route53 list-hosted-zones-by-name${of}`,
          },
        ]
      : [];
  const id = zoneId === undefined ? 'ZONE' : shellWord(zoneId);
  return [
    {
      text:
        `In the console, https://console.aws.amazon.com/route53/v2/hostedzones: open the zone, ` +
        `choose the CNAME ${unrooted(record)}, Edit record, set the value ${cname}, save.`,
    },
    ...found,
    {
      text: 'Or by the AWS CLI, with keys that it has. It is made whole or not at all.',
      shell:
        `aws route53 change-resource-record-sets --hosted-zone-id ${id} \\\n` +
        `  --change-batch ${shellWord(batch)}`,
    },
    {
      text: 'It is served everywhere once its change is INSYNC: CHANGE is the id that was printed.',
      shell: 'aws route53 get-change --id CHANGE',
    },
  ];
}

export const route53: ProviderType<Route53Settings> = {
  type: 'route53',
  cloud: 'aws',
  capabilities,
  settings,
  byHand,
  create,
};

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
type RecordSet = z.output<typeof recordSet>;

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
type HostedZone = z.output<typeof hostedZone>;

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
const exactSet = z.object({ name: z.string(), ttl: z.number(), values: z.array(z.string()) });
type ExactSet = z.output<typeof exactSet>;

/** What `Seen.ref` holds. */
const exactRef = z.object({
  zone: z.object({ id: z.string(), name: z.string() }),
  cname: exactSet.nullable(),
  marker: exactSet.nullable(),
});

interface Zone {
  readonly id: string;
  readonly name: Name;
}

interface FoundZone extends Zone {
  readonly listing: Listing;
}

// ---------------------------------------------------------------- the account

interface Account {
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

function create(name: string, chosen: Route53Settings, context: AdapterContext): Provider {
  const account = openAccount(chosen, context);
  const zones = zoneFinder<FoundZone>({
    zone: chosen.zone ?? null,
    byId: chosen.zoneId
      ? async (signal) => {
          const found = await getZone(account, chosen.zoneId!, signal);
          return found.ok ? usable(found.value.HostedZone) : found;
        }
      : null,
    byName: (zone, signal) => zoneByName(account, zone, signal),
    delegates: async (zone, cut, signal) => {
      const at = await cutAt(account, zone, cut, signal);
      return at.ok ? done(at.value.length > 0) : at;
    },
  });
  const { callsMax } = capabilities;
  const byZone = new ByZone({ zones, callsMax, callTimeoutMs: account.timeoutMs });
  const read: Provider['read'] = (names, signal) =>
    byZone.read(names, signal, (zone, some, room, stop) =>
      readZone(account, zone, some, room, stop),
    );
  return {
    name,
    capabilities,
    get calls() {
      return account.calls;
    },
    zone: (record, signal) => zoneFacts(account, zones, record, signal),
    read,
    write: (changes, signal) =>
      byZone.write(changes, signal, {
        prepare,
        zoneOf: async ({ zone }) => done(zone),
        writeZone: (zone, some, room, stop) => writeZone(account, zone, some, room, stop),
      }),
    preflight: (record, signal) => preflight(account, zones, read, record, signal),
    key: () => account.keys.facts(),
    delegation: delegationHands({
      look: (place, signal) => lookAtNs(account, zones, place, signal),
      make: (change, moves, signal) => changeNs(account, change, moves, signal),
    }),
    close: () => account.close(),
  };
}

function openAccount(chosen: Route53Settings, context: AdapterContext): Account {
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
  chosen: Route53Settings,
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
async function call<T>(
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

async function getZone(
  account: Account,
  id: string,
  signal: AbortSignal,
): Promise<Called<z.output<typeof zoneDetail>>> {
  const doing = `GetHostedZone of ${id}`;
  return call(account, { doing, write: false, shape: zoneDetail, signal }, (client, abortSignal) =>
    client.route53.send(new client.commands.GetHostedZoneCommand({ Id: id }), { abortSignal }),
  );
}

async function zoneByName(
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

function usable(found: HostedZone): Called<FoundZone> {
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
async function lookAtZone(
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

async function zoneFacts(
  account: Account,
  zones: ZoneFinder<FoundZone>,
  record: Name,
  signal: AbortSignal,
): Promise<Called<ZoneFacts>> {
  const found = await lookAtZone(account, zones, record, signal);
  if (!found.ok) return found;
  const { zone, detail } = found.value;
  const nameServers = detail.DelegationSet?.NameServers.map((host) => host.toLowerCase());
  if (nameServers === undefined) {
    return garbled(`GetHostedZone of ${zone.id}`, false, 'no name servers were given');
  }
  const warnings: string[] = [];
  const recovery = detail.HostedZone.Features?.AcceleratedRecoveryStatus;
  if (recovery?.endsWith('_HOSTED_ZONE_LOCKED')) {
    warnings.push(`${zone.name} is locked by AWS (${recovery}): writes are refused until it ends.`);
  } else if (recovery !== 'ENABLED') {
    warnings.push(
      `Accelerated recovery is not enabled for ${zone.name}: while us-east-1 is down, ` +
        'Route 53 takes no change of it; enable it before you need it.',
    );
  }
  return done({ zone: zone.name, nameServers, ttlMin: null, warnings });
}

// ---------------------------------------------------------------- looking before it is needed

async function preflight(
  account: Account,
  zones: ZoneFinder<FoundZone>,
  read: Provider['read'],
  record: Name,
  signal: AbortSignal,
): Promise<readonly ReachingFinding[]> {
  const found = await lookAtZone(account, zones, record, signal);
  if (!found.ok) return [fromTrouble('zone', null, found)];
  const { zone, detail } = found.value;
  const findings = [
    zoneRead(zone.name),
    good(ofZone(zone.name), 'zone', `${zone.name} is a public hosted zone of this account`),
    recovery(zone.name, detail.HostedZone),
    ttlFloor(zone.name, null),
    ...(await lookAtSoa(account, zone, signal)),
    ...(await lookAtProtections(account, zone, record, signal)),
    ...(await lookAtRecord({ read }, record, signal)),
  ];
  if (!mayTry(findings)) return findings;
  return [...findings, await tryWriting(account, zone, record, signal)];
}

function recovery(zone: Name, { Features }: HostedZone): ReachingFinding {
  const reach = ofZone(zone);
  const word = 'accelerated-recovery';
  const status = Features?.AcceleratedRecoveryStatus;
  if (status === 'ENABLED') return good(reach, word, `accelerated recovery is enabled for ${zone}`);
  if (status?.endsWith('_HOSTED_ZONE_LOCKED')) {
    const locked = `${zone} is locked by AWS (${scrub(status, [])}): writes are refused`;
    return bad(reach, word, locked, 'wait until AWS has finished, and look again');
  }
  return warn(
    reach,
    word,
    `accelerated recovery is not enabled for ${zone}: while us-east-1 is down, Route 53 takes no ` +
      'change of it',
    'enable it now: it cannot be enabled during the outage it is for',
  );
}

async function lookAtSoa(
  account: Account,
  zone: Zone,
  signal: AbortSignal,
): Promise<readonly ReachingFinding[]> {
  const start: Start = { StartRecordName: zone.name, StartRecordType: 'SOA' };
  const page = await list(account, zone, start, 1, signal);
  if (!page.ok) return [fromTrouble('negative-ttl', zone.name, page)];
  const soa = page.value.ResourceRecordSets.find((set) => set.Type === 'SOA');
  const minimum = Number(valuesOf(soa ?? { Name: '', Type: '' })[0]?.split(/\s+/)[6] ?? Number.NaN);
  if (soa?.TTL === undefined || !Number.isSafeInteger(minimum)) return [];
  return [negativeTtl(zone.name, Math.min(soa.TTL, minimum))];
}

const protectionPage = z.object({
  ResourceRecordSetProtections: z.array(
    z.object({ RecordName: z.string(), RecordType: z.string(), Comment: z.string().optional() }),
  ),
});

/** An operator's lock on the record or its marker: every change of it would be refused. */
async function lookAtProtections(
  account: Account,
  zone: Zone,
  record: Name,
  signal: AbortSignal,
): Promise<readonly ReachingFinding[]> {
  const doing = `ListResourceRecordSetProtections of ${zone.name}`;
  const page = await call(
    account,
    { doing, write: false, shape: protectionPage, signal },
    (client, abortSignal) =>
      client.route53.send(
        new client.commands.ListResourceRecordSetProtectionsCommand({
          HostedZoneId: zone.id,
          StartRecordName: record,
          MaxResults: listPage,
        }),
        { abortSignal },
      ),
  );
  if (!page.ok) {
    const unseen = `whether ${record} is protected is not known: ${page.fault.detail}`;
    const isDenied = page.fault.kind === 'auth-suspect';
    const cure = isDenied ? 'grant route53:ListResourceRecordSetProtections' : null;
    return [warn(ofRecord, 'protection', unseen, cure)];
  }
  const names = [record, markerName(record)];
  const locks = page.value.ResourceRecordSetProtections.filter((lock) =>
    names.includes(nameFrom(lock.RecordName)),
  );
  if (locks.length === 0)
    return [good(ofRecord, 'protection', `${record} is not protected from changes`)];
  return locks.map((lock) => {
    const comment = scrub(lock.Comment ?? '', account.keys.secrets());
    const what = `${scrub(lock.RecordType, [])} at ${nameFrom(lock.RecordName)}`;
    const sentence = `an operator protected the ${what} from changes${comment && `: ${comment}`}`;
    return bad(ofRecord, 'protection', sentence, 'let whoever protected it delete the protection');
  });
}

/**
 * Deletes from the marker a text that was never written: the vendor looks at the keys first, and
 * refuses the batch because it does not match. At that name, because a policy may allow no other.
 */
async function tryWriting(
  account: Account,
  zone: Zone,
  record: Name,
  signal: AbortSignal,
): Promise<ReachingFinding> {
  const nothing = { name: markerName(record), ttl: 60, values: [`"never ${never()}"`] };
  const doing = `ChangeResourceRecordSets of nothing in ${zone.name}`;
  const changes = [oneChange('DELETE', 'TXT', nothing)];
  const result = await sendBatch(account, zone, doing, changes, signal);
  return fromProbe(zone.name, result.ok ? null : result);
}

// ---------------------------------------------------------------- reading

interface Start {
  readonly StartRecordName?: string;
  readonly StartRecordType?: sdk.RRType;
  readonly StartRecordIdentifier?: string;
}

function list(
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
function following(page: RecordPage): Start | null {
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

/** Record sets by the name that they stand at. */
type RecordSets = ReadonlyMap<Name, readonly RecordSet[]>;

async function readZone(
  account: Account,
  zone: FoundZone,
  names: readonly Name[],
  room: Room,
  signal: AbortSignal,
): Promise<readonly Told<Seen>[]> {
  if (names.length > listAboveNames) {
    const pagesMax = Math.min(listPagesMax, Math.ceil(names.length / 2));
    const all = await listZone(account, zone, pagesMax, room.half(), signal);
    if (!all.ok) return names.map(() => all);
    const sets = all.value;
    if (sets !== null) return names.map((name) => done(seenOf(zone, name, sets)));
  }
  const between = new Between(zone.name, (name) => cutAt(account, zone, name, signal));
  return oneByOne(names, {
    atOnce: namesAtOnce,
    atMost: byNameMax,
    room,
    callsEach: (name) => callsPerName + between.missing(name),
    work: async (name) => {
      const [above, sets] = await Promise.all([
        between.above(name),
        readName(account, zone, name, signal),
      ]);
      if (!above.ok) return above;
      return sets.ok ? done(seenOf(zone, name, new Map([...above.value, ...sets.value]))) : sets;
    },
  });
}

/** The whole zone by name; null when it is too large to be worth it. */
async function listZone(
  account: Account,
  zone: FoundZone,
  pagesMax: number,
  room: Room,
  signal: AbortSignal,
): Promise<Called<RecordSets | null>> {
  const sets = new Map<Name, RecordSet[]>();
  let start: Start = {};
  if (!zone.listing.isWorth(pagesMax)) return done(null);
  for (let pages = 0; pages < pagesMax; pages++) {
    if (!room.take(1)) {
      zone.listing.isSlow();
      return done(null);
    }
    const page = await list(account, zone, start, listPage, signal);
    if (!page.ok) return page;
    for (const set of page.value.ResourceRecordSets) {
      const name = nameFrom(set.Name);
      const same = sets.get(name);
      if (same) same.push(set);
      else sets.set(name, [set]);
    }
    const next = following(page.value);
    if (next === null) {
      return page.value.IsTruncated ? endless(zone) : done(sets);
    }
    // A list that does not move on would never end, and what it left out would seem not to exist.
    if (JSON.stringify(next) === JSON.stringify(start)) return endless(zone);
    start = next;
  }
  zone.listing.takes(pagesMax + 1);
  return done(null);
}

function endless(zone: Zone): Called<never> {
  const doing = `ListResourceRecordSets of ${zone.name}`;
  return garbled(doing, false, 'its pages do not lead to an end');
}

/** What stands at a name and at its marker's name. */
async function readName(
  account: Account,
  zone: Zone,
  name: Name,
  signal: AbortSignal,
): Promise<Called<RecordSets>> {
  const marker = markerName(name);
  const own = await readRun(account, zone, name, signal);
  if (!own.ok) return own;
  const { at, beyond, ended } = own.value;
  // The marker sorts right behind its record, so it usually came along. It is taken from there
  // only if something behind it, or the end of the zone, shows that all of it came.
  const along = ofName(beyond, marker);
  const last = beyond.at(-1);
  const whole = ended || (along.length > 0 && last !== undefined && nameFrom(last.Name) !== marker);
  const of = (texts: readonly RecordSet[]): RecordSets =>
    new Map([
      [name, at],
      [marker, texts],
    ]);
  if (whole) return done(of(along));
  const below = await readRun(account, zone, marker, signal);
  return below.ok ? done(of(below.value.at)) : below;
}

/** The NS set at a name, if one stands there. */
async function cutAt(
  account: Account,
  zone: Zone,
  name: Name,
  signal: AbortSignal,
): Promise<Called<readonly RecordSet[]>> {
  const start: Start = { StartRecordName: name, StartRecordType: 'NS' };
  const page = await list(account, zone, start, 1, signal);
  return page.ok ? done(ofName(page.value.ResourceRecordSets, name).filter(isNs)) : page;
}

function isNs({ Type }: RecordSet): boolean {
  return Type === 'NS';
}

function ofName(sets: readonly RecordSet[], name: Name): readonly RecordSet[] {
  return sets.filter((set) => nameFrom(set.Name) === name);
}

/**
 * The record sets at exactly one name (a list starts there and goes on behind it), what came along
 * behind them, and whether that was the end of the zone.
 */
async function readRun(
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

function seenOf(zone: Zone, name: Name, sets: RecordSets): Seen {
  const at = sets.get(name) ?? [];
  const atMarker = sets.get(markerName(name)) ?? [];
  const cnames = at.filter((set) => set.Type === 'CNAME');
  const texts = atMarker.filter((set) => set.Type === 'TXT');
  const apex: Refusal | null =
    name === zone.name
      ? { word: 'apex', sentence: `${name} is the zone itself, where no CNAME may stand` }
      : null;
  const cut = namesBetween(zone.name, name).find((above) => sets.get(above)?.some(isNs));
  const below = cut === undefined ? null : delegatedAt(cut, name);
  const ref: z.output<typeof exactRef> = {
    zone: { id: zone.id, name: zone.name },
    cname: exactOf(cnames),
    marker: exactOf(texts),
  };
  return {
    cnames: cnames.flatMap((set) =>
      valuesOf(set).map((value) => ({ value: nameFrom(value), ttl: set.TTL ?? 0 })),
    ),
    markers: texts.flatMap((set) => valuesOf(set).map((value) => unquoteText(value, 8))),
    refusal: apex ?? below ?? refusalOf(at, 'CNAME') ?? refusalOf(atMarker, 'TXT'),
    ref: ref as Json,
  };
}

function valuesOf(set: RecordSet): readonly string[] {
  return (set.ResourceRecords ?? []).map((record) => record.Value);
}

function exactOf(sets: readonly RecordSet[]): ExactSet | null {
  const set = sets[0];
  if (set?.TTL === undefined || sets.length > 1 || valuesOf(set).length === 0) return null;
  return { name: set.Name, ttl: set.TTL, values: [...valuesOf(set)] };
}

/** Why these record sets may not be written over, where only plain ones of one type may stand. */
function refusalOf(sets: readonly RecordSet[], type: 'CNAME' | 'TXT' | 'NS'): Refusal | null {
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

// ---------------------------------------------------------------- writing

interface Prepared {
  readonly zone: Zone;
  readonly name: Name;
  readonly changes: readonly sdk.Change[];
  readonly elements: number;
  readonly characters: number;
}

/** One batch at a time: a second one in flight is refused with PriorRequestNotComplete. */
function writeZone(
  account: Account,
  zone: Zone,
  items: readonly Prepared[],
  room: Room,
  signal: AbortSignal,
): Promise<readonly Told<null>[]> {
  return sendHalving(items, {
    room,
    fitting,
    send: (some) => {
      const what = some.length === 1 ? some[0]!.name : `${some.length} records`;
      const changes = some.flatMap((item) => item.changes);
      return sendBatch(account, zone, `ChangeResourceRecordSets of ${what}`, changes, signal);
    },
  });
}

function prepare(change: Change): Called<Prepared> {
  const { name, from, to } = change;
  const ref = exactRef.safeParse(from.ref);
  if (!ref.success) {
    return failed('record', 'conflict', `${name} was not read through this account`, {
      cure: 'read again',
    });
  }
  if (from.refusal !== null) return failed('record', 'rejected', from.refusal.sentence);
  const { zone, cname, marker } = ref.data;
  if ((from.cnames.length > 0 && cname === null) || (from.markers.length > 0 && marker === null)) {
    return failed('record', 'rejected', `what stands at ${name} cannot be replaced exactly`, {
      cure: 'leave one plain CNAME and one plain TXT there',
    });
  }
  const text = quoteText(formatMarker(to.marker), 8);
  if (text === null) {
    return failed('record', 'rejected', `the marker of ${name} is longer than ${textMax} bytes`);
  }
  const parts: sdk.Change[] = [];
  const stands = from.cnames[0];
  if (stands?.value !== to.cname || stands.ttl !== to.ttl) {
    if (cname !== null) parts.push(oneChange('DELETE', 'CNAME', cname));
    parts.push(oneChange('CREATE', 'CNAME', { name, ttl: to.ttl, values: [to.cname] }));
  }
  if (marker !== null) parts.push(oneChange('DELETE', 'TXT', marker));
  parts.push(oneChange('CREATE', 'TXT', { name: markerName(name), ttl: to.ttl, values: [text] }));
  const values = parts.flatMap((part) => part.ResourceRecordSet?.ResourceRecords ?? []);
  const characters = values.reduce((sum, record) => sum + (record.Value?.length ?? 0), 0);
  return done({ zone, name, changes: parts, elements: values.length, characters });
}

function oneChange(
  Action: 'CREATE' | 'DELETE' | 'UPSERT',
  Type: 'CNAME' | 'TXT' | 'NS',
  { name, ttl, values }: ExactSet,
): sdk.Change {
  const ResourceRecords = values.map((Value) => ({ Value }));
  return { Action, ResourceRecordSet: { Name: name, Type, TTL: ttl, ResourceRecords } };
}

/** How many of these fit in one batch. */
function fitting(items: readonly Prepared[]): number {
  let [elements, characters, count] = [0, 0, 0];
  for (const item of items) {
    elements += item.elements;
    characters += item.characters;
    if (elements > batchElementsMax || characters > batchCharactersMax) break;
    count++;
  }
  return count;
}

/** One transaction: made whole or not at all. */
async function sendBatch(
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

// ---------------------------------------------------------------- the delegation

/** What `NsSeen.ref` holds. */
const exactNs = z.object({
  zone: z.object({ id: z.string(), name: z.string() }),
  ns: exactSet.nullable(),
  marker: exactSet.nullable(),
});

async function lookAtNs(
  account: Account,
  zones: ZoneFinder<FoundZone>,
  place: NsPlace,
  signal: AbortSignal,
): Promise<Called<NsSeen>> {
  const byName = (zone: Name) => zoneByName(account, zone, signal);
  const found = await zoneOfPlace(place, zones, byName, signal, 'key');
  if (!found.ok) return found;
  const zone = { id: found.value.id, name: found.value.name };
  const at = await cutAt(account, zone, place.name, signal);
  if (!at.ok) return at;
  const texts = await readRun(account, zone, delegationMarkerName(zone.name), signal);
  if (!texts.ok) return texts;
  const markers = texts.value.at;
  const refusal = refusalOf(at.value, 'NS') ?? refusalOf(markers, 'TXT');
  if (refusal !== null) return failed('record', 'rejected', refusal.sentence);
  const ref: z.output<typeof exactNs> = { zone, ns: exactOf(at.value), marker: exactOf(markers) };
  return done({
    servers: at.value.flatMap((set) => valuesOf(set).map(nameFrom)),
    fixed: [],
    ttl: at.value[0]?.TTL ?? null,
    markers: markers.flatMap((set) => valuesOf(set).map((value) => unquoteText(value, 8))),
    ref: ref as Json,
  });
}

async function changeNs(
  account: Account,
  { place, from, to }: NsChange,
  { servers, markers }: NsMoves,
  signal: AbortSignal,
): Promise<Called<null>> {
  const { name, zone: of } = place;
  const ref = exactNs.safeParse(from.ref);
  if (!ref.success || ref.data.ns === null) {
    return failed('record', 'conflict', `the NS set of ${name} was not read as it stands`);
  }
  const { zone, ns, marker } = ref.data;
  const parts: sdk.Change[] = [];
  if (servers.gone.length + servers.come.length > 0) {
    const wanted = { name, ttl: ns.ttl, values: [...to.servers] };
    if (isApex(place)) parts.push(oneChange('UPSERT', 'NS', wanted));
    else parts.push(oneChange('DELETE', 'NS', ns), oneChange('CREATE', 'NS', wanted));
  }
  if (markers.gone.length + markers.come.length > 0) {
    if (marker !== null) parts.push(oneChange('DELETE', 'TXT', marker));
    const values = to.markers.map((text) => quoteText(text, 8));
    if (values.includes(null)) {
      return failed('record', 'rejected', `a marker of ${of} is longer than ${textMax} bytes`);
    }
    const texts = { name: delegationMarkerName(of), ttl: markerTtl, values: values as string[] };
    if (values.length > 0) parts.push(oneChange('CREATE', 'TXT', texts));
  }
  return sendBatch(account, zone, `ChangeResourceRecordSets of NS ${name}`, parts, signal);
}
