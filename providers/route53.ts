// AWS Route 53 through its own SDK. A record's CNAME and marker change in one batch that deletes
// exactly what was read and creates what is wanted, so a stale writer is refused by the vendor
// itself. It must never take credentials from the SDK's default chain (that would lean on a
// cloud), never let the SDK repeat a write, and never touch what Route 53 routes by weight, alias,
// health check or policy.

import { pipeline, type Readable, Transform } from 'node:stream';
import type * as sdk from '@aws-sdk/client-route-53';
import { z } from 'zod';
import type {
  Change,
  Fault,
  Finding,
  Json,
  Name,
  Refusal,
  Result,
  Seen,
} from '../src/core/model.ts';
import type {
  AdapterContext,
  Capabilities,
  Provider,
  ProviderType,
  ZoneFacts,
} from '../src/kit/extend.ts';
import { dnsName, type SecretRef, secretRef } from '../src/kit/schema.ts';
import { SecretError } from '../src/kit/secret.ts';
import { type Sent, sendHalving, sideBySide } from './kit/batch.ts';
import { endpoint } from './kit/endpoint.ts';
import {
  done,
  exchange,
  failed,
  fault,
  fieldsOf,
  garbled,
  loading,
  parseRetryAfter,
  scrub,
  statusFault,
} from './kit/fault.ts';
import {
  bad,
  fromFault,
  fromProbe,
  good,
  lookAtRecord,
  mayTry,
  negativeTtl,
  never,
  ttlFloor,
  warn,
  zoneRead,
} from './kit/preflight.ts';
import { nameFrom, quoteText, textMax, unquoteText, zoneFinder } from './kit/zone.ts';

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

const capabilities: Capabilities = {
  type: 'route53',
  title: 'AWS Route 53',
  fence: 'transaction',
  fenceNote: 'one batch deletes the exact values read, so a stale batch is refused whole',
  atomic: true,
  // One listing serves as many names as there are, and one writing fills batch after batch.
  readMax: 1000,
  writeMax: 1000,
  callsMax: 80,
  // Documented: 50 at once, 10/s refilled, shared with everybody else who uses the account; older
  // pages say 5/s. ("Throttling API requests", Route 53 developer guide, 2026-11.)
  quota: { burst: 50, perSecond: 5, reserve: 15 },
  permissions: [
    'route53:GetHostedZone',
    'route53:ListHostedZonesByName',
    'route53:ListResourceRecordSets',
    'route53:ChangeResourceRecordSets',
    'route53:ListResourceRecordSetProtections (audit: to see locks)',
  ],
  refuses: ['alias', 'weighted', 'health-check', 'traffic-policy', 'other-type', 'apex'],
};

const keyPair = z.strictObject({
  accessKeyId: secretRef,
  secretAccessKey: secretRef,
  sessionToken: secretRef.optional(),
});

const settings = z
  .strictObject({
    credentials: z
      .union([keyPair, secretRef], {
        error:
          'expected a reference to a JSON text with accessKeyId and secretAccessKey, such as ' +
          '{ file: PATH }, or { accessKeyId: REFERENCE, secretAccessKey: REFERENCE }; ' +
          'secrets are never written into the configuration',
      })
      .describe('static keys; the default credential chain of AWS is never used'),
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
  })
  .describe('an account at AWS Route 53');

export type Route53Settings = z.output<typeof settings>;

export const route53: ProviderType<Route53Settings> = {
  type: 'route53',
  capabilities,
  settings,
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
  IsTruncated: z.boolean(),
  NextRecordName: z.string().optional(),
  NextRecordType: z.string().optional(),
  NextRecordIdentifier: z.string().optional(),
});
type RecordPage = z.output<typeof recordPage>;

const hostedZone = z.object({
  Id: z.string().min(1),
  Name: z.string().min(1),
  Config: z.object({ PrivateZone: z.boolean().optional() }).optional(),
  LinkedService: z.object({ ServicePrincipal: z.string().optional() }).optional(),
  Features: z.object({ AcceleratedRecoveryStatus: z.string().optional() }).optional(),
});
type HostedZone = z.output<typeof hostedZone>;

const zoneList = z.object({ HostedZones: z.array(hostedZone), IsTruncated: z.boolean() });

const zoneDetail = z.object({
  HostedZone: hostedZone,
  DelegationSet: z.object({ NameServers: z.array(z.string().min(1)).min(1) }).optional(),
});

const changed = z.object({
  ChangeInfo: z.object({ Id: z.string().min(1), Status: z.enum(['PENDING', 'INSYNC']) }),
});

/** A record set to delete: its name, TTL and values exactly as the vendor wrote them. */
const exactSet = z.object({ name: z.string(), ttl: z.number(), values: z.array(z.string()) });
type ExactSet = z.output<typeof exactSet>;

/** What `Seen.ref` holds. */
const exactRef = z.object({
  zone: z.string(),
  cname: exactSet.nullable(),
  marker: exactSet.nullable(),
});

interface Zone {
  readonly id: string;
  readonly name: Name;
  /** Pages that a listing of it takes, as far as one has come: more are not tried in vain again. */
  pagesLeast: number;
}

// ---------------------------------------------------------------- the account

interface Account {
  readonly client: (signal: AbortSignal, timeoutMs: number) => Promise<Result<Client>>;
  readonly timeoutMs: number;
  readonly secrets: readonly string[];
  /** Called for every request that is sent. */
  count(): void;
  /** The vendor says that a zone is gone: it must be looked for again. */
  lostZone(): void;
}

interface Client {
  readonly commands: typeof sdk;
  readonly route53: sdk.Route53Client;
}

function create(name: string, chosen: Route53Settings, context: AdapterContext): Provider {
  const keys = readKeys(chosen.credentials, context);
  const timeoutMs = context.callTimeoutMs;
  const open: sdk.Route53Client[] = [];
  let [calls, closed] = [0, false];
  const account: Account = {
    timeoutMs,
    secrets: [keys.secretAccessKey, keys.accessKeyId, keys.sessionToken ?? ''],
    count: () => {
      calls++;
    },
    lostZone: () => zones.forget(),
    client: loading('the SDK of Route 53', async () => {
      const commands = await import('@aws-sdk/client-route-53');
      const route53 = connect(commands, chosen, keys, timeoutMs);
      if (closed) route53.destroy();
      else open.push(route53);
      return { commands, route53 };
    }),
  };
  const zones = zoneFinder<Zone>({
    zone: chosen.zone ?? null,
    byId: chosen.zoneId
      ? async (signal) => {
          const found = await getZone(account, chosen.zoneId!, signal);
          return found.ok ? usable(found.value.HostedZone) : found;
        }
      : null,
    byName: (zone, signal) => zoneByName(account, zone, signal),
  });
  return {
    name,
    capabilities,
    get calls() {
      return calls;
    },
    async zone(record, signal) {
      const zone = await zones.find(record, signal);
      return zone.ok ? zoneFacts(account, zone.value, signal) : zone;
    },
    async read(names, signal) {
      const byZone = new Map<string, { zone: Zone; names: Name[] }>();
      for (const record of names) {
        const zone = await zones.find(record, signal);
        if (!zone.ok) return zone;
        const group = byZone.get(zone.value.id) ?? { zone: zone.value, names: [] };
        group.names.push(record);
        byZone.set(zone.value.id, group);
      }
      const seen: Record<Name, Seen> = {};
      for (const group of byZone.values()) {
        const part = await readZone(account, group.zone, group.names, signal);
        if (!part.ok) return part;
        Object.assign(seen, part.value);
      }
      return done(seen);
    },
    write: (changes, signal) => write(account, changes, signal),
    async preflight(record, signal) {
      const zone = await zones.find(record, signal);
      if (!zone.ok) return [fromFault('zone', zone.fault)];
      const detail = await getZone(account, zone.value.id, signal);
      if (!detail.ok) return [fromFault('zone', detail.fault)];
      const checked = usable(detail.value.HostedZone);
      if (!checked.ok) return [zoneRead(zone.value.name), fromFault('zone', checked.fault)];
      const findings = [
        zoneRead(zone.value.name),
        good('zone', `${zone.value.name} is a public hosted zone of this account`),
        recovery(zone.value.name, detail.value.HostedZone),
        ttlFloor(zone.value.name, null),
        ...(await lookAtSoa(account, zone.value, signal)),
        ...(await lookAtProtections(account, zone.value, record, signal)),
        ...(await lookAtRecord(this, record, signal)),
      ];
      if (!mayTry(findings)) return findings;
      return [...findings, await tryWriting(account, zone.value, record, signal)];
    },
    close() {
      closed = true;
      for (const route53 of open) route53.destroy();
    },
  };
}

function connect(
  commands: typeof sdk,
  chosen: Route53Settings,
  keys: Keys,
  timeoutMs: number,
): sdk.Route53Client {
  // Ours ends a call first; these free the socket where the SDK would only print a warning.
  const backstopMs = timeoutMs + 500;
  // Named outright, so that no AWS_ENDPOINT_URL in the environment can send keys elsewhere.
  const standard = chosen.region === 'us-east-1' ? 'https://route53.amazonaws.com' : undefined;
  const base = chosen.endpoint ?? standard;
  const client = new commands.Route53Client({
    region: chosen.region,
    ...(base === undefined ? {} : { endpoint: base }),
    credentials: keys,
    maxAttempts: 1,
    retryMode: 'standard',
    defaultsMode: 'legacy',
    useFipsEndpoint: false,
    useDualstackEndpoint: false,
    customUserAgent: 'detour',
    requestHandler: {
      connectionTimeout: backstopMs,
      requestTimeout: backstopMs,
      socketTimeout: backstopMs,
      throwOnRequestTimeout: true,
    },
  });
  client.middlewareStack.add(
    (next) => async (args) => {
      const output = await next(args);
      const response = fieldsOf(output.response) as { body?: Readable };
      if (response.body) response.body = bounded(response.body);
      return output;
    },
    { step: 'deserialize', priority: 'low', name: 'detourBodyLimit' },
  );
  return client;
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

interface Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

const keysJson = z.object({
  accessKeyId: z.string().min(1),
  secretAccessKey: z.string().min(1),
  sessionToken: z.string().min(1).optional(),
});

function readKeys(from: Route53Settings['credentials'], context: AdapterContext): Keys {
  if ('accessKeyId' in from) {
    return {
      accessKeyId: context.secret(from.accessKeyId),
      secretAccessKey: context.secret(from.secretAccessKey),
      ...(from.sessionToken ? { sessionToken: context.secret(from.sessionToken) } : {}),
    };
  }
  const text = context.secret(from);
  const wrong = new SecretError(
    `${placeOf(from)}: expected a JSON object with accessKeyId, secretAccessKey and perhaps ` +
      'sessionToken; write it so, readable for the user the daemon runs as only',
  );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which is the secret.
    throw wrong;
  }
  const keys = keysJson.safeParse(value);
  if (!keys.success) throw wrong;
  const { sessionToken, ...pair } = keys.data;
  return sessionToken === undefined ? pair : { ...pair, sessionToken };
}

function placeOf(ref: SecretRef): string {
  if ('env' in ref) return `environment variable ${ref.env}`;
  return 'file' in ref ? `file ${ref.file}` : `credential ${ref.credential}`;
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
    /** Told the vendor's code when it refuses. */
    readonly refused?: (code: string) => void;
  },
  send: (client: Client, signal: AbortSignal) => Promise<unknown>,
): Promise<Result<T>> {
  const client = await account.client(options.signal, account.timeoutMs);
  if (!client.ok) return client;
  const { doing } = options;
  const answer = await exchange(
    {
      doing,
      write: options.write,
      signal: options.signal,
      timeoutMs: account.timeoutMs,
      explain: (error) => {
        const refusal = explain(error, doing, options.write, account.secrets);
        if (refusal) options.refused?.(refusal.code);
        if (refusal?.code === 'NoSuchHostedZone') account.lostZone();
        return refusal?.fault ?? null;
      },
    },
    (signal) => {
      account.count();
      return send(client.value, signal);
    },
  );
  if (!answer.ok) return answer;
  // An empty or foreign body is "success" to the SDK, with the fields missing.
  const checked = options.shape.safeParse(answer.value);
  return checked.success
    ? done(checked.data)
    : garbled(doing, options.write, 'success was answered, but without what it must say');
}

const throttling = new Set([
  'Throttling',
  'ThrottlingException',
  'ThrottledException',
  'RequestThrottled',
  'RequestThrottledException',
  'RequestLimitExceeded',
  'TooManyRequestsException',
  'SlowDown',
  'PriorRequestNotComplete',
]);

const refusingKeys = new Set([
  'AccessDenied',
  'AccessDeniedException',
  'AuthFailure',
  'ExpiredToken',
  'ExpiredTokenException',
  'IncompleteSignature',
  'InvalidAccessKeyId',
  'InvalidClientTokenId',
  'InvalidSignatureException',
  'MissingAuthenticationToken',
  'MissingAuthenticationTokenException',
  'NotAuthorized',
  'OptInRequired',
  'RequestExpired',
  'RequestTimeTooSkewed',
  'SignatureDoesNotMatch',
  'UnrecognizedClientException',
]);

/** Answers in the vendor's own form that promise that nothing was done. */
const notDone = new Set(['ServiceUnavailable', 'ConcurrentModification']);

/**
 * The vendor's refusal by its code and status (never by class: `Throttling` has none, and never by
 * message). Null where no refusal arrived: then it is the network's or nobody's.
 */
function explain(
  error: unknown,
  doing: string,
  write: boolean,
  secrets: readonly string[],
): { readonly code: string; readonly fault: Fault } | null {
  const { name, message, $metadata, $response } = fieldsOf(error);
  const { httpStatusCode: status } = fieldsOf($metadata);
  if (typeof status !== 'number' || status < 300) return null;
  const code = scrub(name, secrets)
    .replaceAll(/[^\w.-]/g, '')
    .slice(0, 60);
  const { headers } = fieldsOf($response);
  const { 'retry-after': after } = fieldsOf(headers);
  const retryAfterMs = parseRetryAfter(typeof after === 'string' ? after : null, Date.now());
  const said = (): string => {
    const text = scrub(message, secrets);
    return text === '' ? '' : `: ${text}`;
  };
  if (throttling.has(code)) {
    return { code, fault: fault('throttled', `${doing}: ${code}`, { retryAfterMs }) };
  }
  if (refusingKeys.has(code)) {
    const cure = 'check the key, its policy and this machine’s clock';
    // Not its message: it may quote the signed request.
    return { code, fault: fault('auth-suspect', `${doing}: HTTP ${status} (${code})`, { cure }) };
  }
  if (notDone.has(code)) {
    return { code, fault: fault('unavailable', `${doing}: ${code}`, { retryAfterMs }) };
  }
  // A body that is not the vendor's own error document leaves the code unknown; a 400 to a write
  // is then most likely the old form of InvalidChangeBatch, and surely nothing was done.
  const unknown = code === '' || code === 'Unknown' || code === 'UnknownError' || code === 'Error';
  if (write && status === 400 && (code === 'InvalidChangeBatch' || unknown)) {
    const cure =
      'read again; if it stays so, look for a resource record set protection or a clashing record';
    return { code, fault: fault('conflict', `${doing}: ${code || 'HTTP 400'}${said()}`, { cure }) };
  }
  const plain = statusFault(status, { doing, write }, unknown ? '' : code, retryAfterMs);
  if (plain.kind !== 'rejected') return { code, fault: plain };
  return { code, fault: { ...plain, detail: `${plain.detail}${unknown ? '' : said()}` } };
}

// ---------------------------------------------------------------- zones

async function getZone(
  account: Account,
  id: string,
  signal: AbortSignal,
): Promise<Result<z.output<typeof zoneDetail>>> {
  const doing = `GetHostedZone of ${id}`;
  return call(account, { doing, write: false, shape: zoneDetail, signal }, (client, abortSignal) =>
    client.route53.send(new client.commands.GetHostedZoneCommand({ Id: id }), { abortSignal }),
  );
}

async function zoneByName(
  account: Account,
  zone: Name,
  signal: AbortSignal,
): Promise<Result<Zone | null>> {
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
    return failed('rejected', `${open.length} public hosted zones are named ${zone}`, {
      cure: 'set zoneId to the one that the parent zone delegates to',
    });
  }
  const found = open[0];
  return found === undefined ? done(null) : usable(found);
}

function usable(found: HostedZone): Result<Zone> {
  const name = nameFrom(found.Name);
  const id = found.Id.replace(/^\/hostedzone\//, '');
  if (found.Config?.PrivateZone === true) {
    return failed('rejected', `hosted zone ${id} (${name}) is private`, {
      cure: 'use the public hosted zone: only its answers reach the clients',
    });
  }
  if (found.LinkedService !== undefined) {
    return failed('rejected', `hosted zone ${id} (${name}) belongs to another AWS service`, {
      cure: 'use a hosted zone of your own',
    });
  }
  return done({ id, name, pagesLeast: 1 });
}

async function zoneFacts(
  account: Account,
  zone: Zone,
  signal: AbortSignal,
): Promise<Result<ZoneFacts>> {
  const detail = await getZone(account, zone.id, signal);
  if (!detail.ok) return detail;
  const checked = usable(detail.value.HostedZone);
  if (!checked.ok) return checked;
  const nameServers = detail.value.DelegationSet?.NameServers.map((host) => host.toLowerCase());
  if (nameServers === undefined) {
    return garbled(`GetHostedZone of ${zone.id}`, false, 'no name servers were given');
  }
  const warnings: string[] = [];
  const recovery = detail.value.HostedZone.Features?.AcceleratedRecoveryStatus;
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

function recovery(zone: Name, { Features }: HostedZone): Finding {
  const word = 'accelerated-recovery';
  const status = Features?.AcceleratedRecoveryStatus;
  if (status === 'ENABLED') return good(word, `accelerated recovery is enabled for ${zone}`);
  if (status?.endsWith('_HOSTED_ZONE_LOCKED')) {
    const locked = `${zone} is locked by AWS (${scrub(status, [])}): writes are refused`;
    return bad(word, locked, 'wait until AWS has finished, and look again');
  }
  return warn(
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
): Promise<readonly Finding[]> {
  const start: Start = { StartRecordName: zone.name, StartRecordType: 'SOA' };
  const page = await list(account, zone, start, 1, signal);
  if (!page.ok) return [fromFault('negative-ttl', page.fault)];
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
): Promise<readonly Finding[]> {
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
    return [warn('protection', unseen, 'grant route53:ListResourceRecordSetProtections')];
  }
  const names = [record, markerOf(record)];
  const locks = page.value.ResourceRecordSetProtections.filter((lock) =>
    names.includes(nameFrom(lock.RecordName)),
  );
  if (locks.length === 0) return [good('protection', `${record} is not protected from changes`)];
  return locks.map((lock) => {
    const comment = scrub(lock.Comment ?? '', account.secrets);
    const what = `${scrub(lock.RecordType, [])} at ${nameFrom(lock.RecordName)}`;
    const sentence = `an operator protected the ${what} from changes${comment && `: ${comment}`}`;
    return bad('protection', sentence, 'let whoever protected it delete the protection');
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
): Promise<Finding> {
  let code = '';
  const nothing = { name: markerOf(record), ttl: 60, values: [`"never ${never()}"`] };
  const result = await call(
    account,
    {
      doing: `ChangeResourceRecordSets of nothing in ${zone.name}`,
      write: true,
      shape: changed,
      signal,
      refused: (said) => {
        code = said;
      },
    },
    (client, abortSignal) =>
      client.route53.send(
        new client.commands.ChangeResourceRecordSetsCommand({
          HostedZoneId: zone.id,
          ChangeBatch: { Changes: [oneChange('DELETE', 'TXT', nothing)] },
        }),
        { abortSignal },
      ),
  );
  if (code === 'InvalidChangeBatch') return fromProbe(zone.name, null);
  return fromProbe(zone.name, result.ok ? null : result.fault);
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
): Promise<Result<RecordPage>> {
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
  if (!page.IsTruncated || page.NextRecordName === undefined) return null;
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

async function readZone(
  account: Account,
  zone: Zone,
  names: readonly Name[],
  signal: AbortSignal,
): Promise<Result<Readonly<Record<Name, Seen>>>> {
  let sets: ReadonlyMap<Name, readonly RecordSet[]> | null = null;
  if (names.length > listAboveNames) {
    const pagesMax = Math.min(listPagesMax, Math.ceil(names.length / 2));
    if (zone.pagesLeast <= pagesMax) {
      const all = await listZone(account, zone, pagesMax, signal);
      if (!all.ok) return all;
      sets = all.value;
      if (sets === null) zone.pagesLeast = pagesMax + 1;
    }
  }
  const found = sets === null ? names.slice(0, byNameMax) : names;
  if (sets === null) {
    const each = await sideBySide(found, 4, (name) => readName(account, zone, name, signal));
    if (!each.ok) return each;
    sets = new Map(each.value.flatMap((part) => [...part]));
  }
  const seen: Record<Name, Seen> = {};
  for (const name of found) {
    seen[name] = seenOf(zone, name, sets.get(name) ?? [], sets.get(markerOf(name)) ?? []);
  }
  return done(seen);
}

/** The whole zone by name; null when it is too large to be worth it. */
async function listZone(
  account: Account,
  zone: Zone,
  pagesMax: number,
  signal: AbortSignal,
): Promise<Result<ReadonlyMap<Name, readonly RecordSet[]> | null>> {
  const sets = new Map<Name, RecordSet[]>();
  let start: Start = {};
  for (let pages = 0; pages < pagesMax; pages++) {
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
  return done(null);
}

function endless(zone: Zone): Result<never> {
  const doing = `ListResourceRecordSets of ${zone.name}`;
  return garbled(doing, false, 'its pages do not lead to an end');
}

/** What stands at a name and at its marker's name. */
async function readName(
  account: Account,
  zone: Zone,
  name: Name,
  signal: AbortSignal,
): Promise<Result<ReadonlyMap<Name, readonly RecordSet[]>>> {
  const marker = markerOf(name);
  const own = await readRun(account, zone, name, signal);
  if (!own.ok) return own;
  const { at, beyond, ended } = own.value;
  // The marker sorts right behind its record, so it usually came along. It is taken from there
  // only if something behind it, or the end of the zone, shows that all of it came.
  const along = ofName(beyond, marker);
  const last = beyond.at(-1);
  const whole = ended || (along.length > 0 && last !== undefined && nameFrom(last.Name) !== marker);
  if (whole)
    return done(
      new Map([
        [name, at],
        [marker, along],
      ]),
    );
  const below = await readRun(account, zone, marker, signal);
  return below.ok
    ? done(
        new Map([
          [name, at],
          [marker, below.value.at],
        ]),
      )
    : below;
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
): Promise<Result<{ at: readonly RecordSet[]; beyond: readonly RecordSet[]; ended: boolean }>> {
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

function markerOf(name: Name): Name {
  return `_detour.${name}`;
}

function seenOf(
  zone: Zone,
  name: Name,
  at: readonly RecordSet[],
  atMarker: readonly RecordSet[],
): Seen {
  const cnames = at.filter((set) => set.Type === 'CNAME');
  const texts = atMarker.filter((set) => set.Type === 'TXT');
  const apex: Refusal | null =
    name === zone.name
      ? { word: 'apex', sentence: `${name} is the zone itself, where no CNAME may stand` }
      : null;
  const ref: z.output<typeof exactRef> = {
    zone: zone.id,
    cname: exactOf(cnames),
    marker: exactOf(texts),
  };
  return {
    cnames: cnames.flatMap((set) =>
      valuesOf(set).map((value) => ({ value: nameFrom(value), ttl: set.TTL ?? 0 })),
    ),
    markers: texts.flatMap((set) => valuesOf(set).map((value) => unquoteText(value, 8))),
    refusal: apex ?? refusalOf(at, 'CNAME') ?? refusalOf(atMarker, 'TXT'),
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
function refusalOf(sets: readonly RecordSet[], type: 'CNAME' | 'TXT'): Refusal | null {
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
  readonly zone: string;
  readonly name: Name;
  readonly changes: readonly sdk.Change[];
  readonly elements: number;
  readonly characters: number;
}

async function write(
  account: Account,
  changes: readonly Change[],
  signal: AbortSignal,
): Promise<readonly Result<null>[]> {
  const results = new Array<Result<null>>(changes.length);
  const byZone = new Map<string, { index: number; prepared: Prepared }[]>();
  changes.forEach((change, index) => {
    const prepared = prepare(change);
    if (!prepared.ok) {
      results[index] = prepared;
      return;
    }
    const group = byZone.get(prepared.value.zone) ?? [];
    group.push({ index, prepared: prepared.value });
    byZone.set(prepared.value.zone, group);
  });
  // One zone after the other, one batch at a time: a second one in flight would be refused with
  // PriorRequestNotComplete.
  for (const [zone, group] of byZone) {
    const sent = await sendHalving(group, {
      callsMax: capabilities.callsMax,
      fitting: (items) => fitting(items.map((item) => item.prepared)),
      send: (items) =>
        send(
          account,
          zone,
          items.map((item) => item.prepared),
          signal,
        ),
    });
    group.forEach(({ index }, i) => {
      results[index] = sent[i]!;
    });
  }
  return results;
}

function prepare(change: Change): Result<Prepared> {
  const { name, from, to } = change;
  const ref = exactRef.safeParse(from.ref);
  if (!ref.success) {
    return failed('conflict', `${name} was not read through this account`, { cure: 'read again' });
  }
  if (from.refusal !== null) return failed('rejected', from.refusal.sentence);
  const { zone, cname, marker } = ref.data;
  if ((from.cnames.length > 0 && cname === null) || (from.markers.length > 0 && marker === null)) {
    return failed('rejected', `what stands at ${name} cannot be replaced exactly`, {
      cure: 'leave one plain CNAME and one plain TXT there',
    });
  }
  const text = quoteText(to.marker, 8);
  if (text === null) {
    return failed('rejected', `the marker of ${name} is longer than ${textMax} bytes`);
  }
  const parts: sdk.Change[] = [];
  const stands = from.cnames[0];
  if (stands?.value !== to.cname || stands.ttl !== to.ttl) {
    if (cname !== null) parts.push(oneChange('DELETE', 'CNAME', cname));
    parts.push(oneChange('CREATE', 'CNAME', { name, ttl: to.ttl, values: [to.cname] }));
  }
  if (marker !== null) parts.push(oneChange('DELETE', 'TXT', marker));
  parts.push(oneChange('CREATE', 'TXT', { name: markerOf(name), ttl: to.ttl, values: [text] }));
  const values = parts.flatMap((part) => part.ResourceRecordSet?.ResourceRecords ?? []);
  const characters = values.reduce((sum, record) => sum + (record.Value?.length ?? 0), 0);
  return done({ zone, name, changes: parts, elements: values.length, characters });
}

function oneChange(
  Action: 'CREATE' | 'DELETE',
  Type: 'CNAME' | 'TXT',
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

async function send(
  account: Account,
  zone: string,
  items: readonly Prepared[],
  signal: AbortSignal,
): Promise<Sent> {
  let code = '';
  const what = items.length === 1 ? items[0]!.name : `${items.length} records`;
  const result = await call(
    account,
    {
      doing: `ChangeResourceRecordSets of ${what}`,
      write: true,
      shape: changed,
      signal,
      refused: (said) => {
        code = said;
      },
    },
    (client, abortSignal) =>
      client.route53.send(
        new client.commands.ChangeResourceRecordSetsCommand({
          HostedZoneId: zone,
          ChangeBatch: { Changes: items.flatMap((item) => item.changes) },
        }),
        { abortSignal },
      ),
  );
  if (result.ok) return { result: done(null), divisible: false };
  // InvalidInput, too, can be the fault of one value among many.
  const divisible = result.fault.kind === 'conflict' || code === 'InvalidInput';
  return { result, divisible };
}
