// The fields that the configuration is written with: each one's form, bounds and words, and what an
// error about it says. It reads single values only; what needs more than one place is config.ts's.

import { isIP } from 'node:net';
import { z } from 'zod';
import {
  apiRoles,
  editsWords,
  type Failback,
  heavyFamilies,
  noticeSeverities,
  type QuorumRule,
  recordModes,
} from '../core/model.ts';
import {
  commandLine,
  dnsName,
  duration,
  hostPort,
  parseDuration,
  parseHostPort,
  parseSubnet,
  secretRef,
  toName,
} from '../kit/schema.ts';
import { isForeign, toAscii } from '../kit/script.ts';
import { slaSchema, timezone } from './sla.ts';
import { rowOf } from './tables.ts';
import {
  parseSchedule,
  parseWindow,
  type Schedule,
  scheduleNotation,
  type Window,
  windowNotation,
} from './windows.ts';

export const namePattern = /^[a-z0-9-]{1,40}$/;

export const nameRule = '1 to 40 characters of a-z, 0-9 and -';

const whole = (least: number, most: number) => {
  const error = `expected a whole number from ${least} to ${most}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
};

const absolutePath = z
  .string()
  .describe('an absolute path')
  .regex(/^\/[^\0]{0,1000}$/, { error: 'expected an absolute path, such as /var/lib/detour' });

const hosts = z.array(hostPort(53)).min(1).max(32);

const lineWord = z.string().min(1).max(64).describe('a line of the vendor');

const subnet = z
  .string()
  .describe('ADDRESS/BITS')
  .refine((text) => parseSubnet(text) !== null, {
    message: 'expected ADDRESS/BITS with 8, 16, 24 … bits, such as 202.96.128.0/24',
  });

const word = (what: string) => z.string().min(1).max(60).describe(what);

const cloudName = (what: string) =>
  z
    .string()
    .describe(what)
    .regex(namePattern, { error: `expected ${nameRule}` });

const region = z
  .string()
  .regex(/^[\w.-]{1,60}$/, { error: 'expected a region, such as eu-central-1' })
  .describe('region of its cloud')
  .optional();

/** Names of paths; which there are is looked at where all are known. */
const pathNames = z.array(z.string()).min(1).max(1000).describe('paths that ask it').optional();

const proxyNotation = 'expected http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT';

const proxyUrl = z
  .string()
  .describe('proxy to go through: http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT')
  .transform((text, context) => {
    const [, scheme = '', place = ''] = /^([a-z0-9]+):\/\/([^/?#@]+)\/?$/i.exec(text) ?? [];
    const kinds = { http: 'proxy', https: 'proxy', socks5: 'socks5' } as const;
    const kind = rowOf(kinds, scheme.toLowerCase());
    if (kind !== undefined && parseHostPort(place, null) !== null && URL.canParse(text)) {
      return { kind, url: `${scheme.toLowerCase()}://${place}` };
    }
    const message = text.includes('@')
      ? `${noUser} credentials: { env: NAME }, beside this key`
      : proxyNotation;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });

const noUser = 'no user and password may stand in it: give';

const blackboxNotation = 'expected http(s)://HOST or http(s)://HOST:PORT, with a path or without';

const blackboxUrl = z
  .string()
  .max(2048)
  .describe('base URL of a Prometheus blackbox_exporter that probes in our place')
  .transform((text, context) => {
    const [, scheme = '', place = '', below = ''] =
      /^(https?):\/\/([^/?#@\s]+)((?:\/[\w.~%-]*)*)$/i.exec(text) ?? [];
    if (place !== '' && parseHostPort(place, 1) !== null && URL.canParse(text)) {
      return `${scheme.toLowerCase()}://${place}${below.replace(/\/+$/, '')}`;
    }
    const message = text.includes('@')
      ? 'no user and password may stand in it: secrets are never written into the configuration'
      : blackboxNotation;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });

const labels = z
  .record(z.string().regex(/^(?!(?:site|uplink|cloud)$)[\w.-]{1,60}$/), z.string().min(1).max(60), {
    error: ({ code }) =>
      code === 'invalid_key'
        ? 'is no name for a label: 1 to 60 letters, digits, dots, - and _, not site, uplink or cloud'
        : 'expected a map of texts',
  })
  .describe('whatever else it may share with other paths');

const quorumNotation =
  'expected majority, all, a whole number of groups such as 2, or a share such as 0.5 or 50%';

const quorum = z
  .union([z.string(), z.number()], { error: quorumNotation })
  .describe('groups of paths that must agree: majority, all, a number such as 2, or 50%')
  .transform((value, context): QuorumRule => {
    if (value === 'majority' || value === 'all') return { kind: value };
    const percent = typeof value === 'string' ? /^(\d{1,3}(?:\.\d{1,4})?)%$/.exec(value) : null;
    const plain = typeof value === 'string' && /^\d{1,4}(\.\d{1,6})?$/.test(value);
    const number = plain || typeof value === 'number' ? Number(value) : Number.NaN;
    const share = percent === null ? number : Number(percent[1]) / 100;
    if (percent === null && Number.isInteger(number) && number >= 1 && number <= 1000) {
      return { kind: 'count', groups: number };
    }
    if (share > 0 && (percent === null ? share < 1 : share <= 1)) return { kind: 'share', share };
    context.addIssue({ code: 'custom', message: quorumNotation });
    return z.NEVER;
  })
  .optional();

const dayMs = 86_400_000;

export const yearMs = 365.25 * dayMs;

const spanMs: Readonly<Record<string, number>> = {
  ...{ hour: dayMs / 24, day: dayMs, week: 7 * dayMs, month: yearMs / 12, year: yearMs },
};

const rarityNotation =
  'expected a rarity such as 1 per 10 years, from 1 per hour to 1 per 1000 years';

/** `1 per 10 years` as the time from one to the next, in milliseconds. */
const rarity = z
  .string()
  .describe('how often a record may be switched without need, such as 1 per 10 years')
  .transform((text, context) => {
    const [, times, spans = '1', unit = ''] =
      /^(\d{1,5}) per (?:(\d{1,5}) )?(hour|day|week|month|year)s?$/.exec(text) ?? [];
    const everyMs = Math.round((Number(spans) * (spanMs[unit] ?? 0)) / Number(times));
    if (everyMs >= dayMs / 24 && everyMs <= 1000 * yearMs) return everyMs;
    context.addIssue({ code: 'custom', message: rarityNotation });
    return z.NEVER;
  })
  .optional();

const rateNotation = 'expected probes a second, a number from 0.01 to 1000';

const rate = z
  .number({ error: rateNotation })
  .min(0.01, { error: rateNotation })
  .max(1000, { error: rateNotation })
  .describe('probes a second at most, of one origin by all its checks and paths')
  .optional();

export const cadenceFields = {
  interval: duration('100ms', '1h').describe('from one probe to the next').optional(),
  timeout: duration('50ms', '1m').describe('limit of one probe').optional(),
  confirm: duration('50ms', '1m').describe('pause between probes in doubt').optional(),
  fall: whole(1, 20).describe('failures in a row that make a path say down').optional(),
  rise: whole(1, 20).describe('passes in a row that make it say up').optional(),
};

const hold = z
  .boolean()
  .describe('keep the connection of a probe open, idle: should it end, that is looked into at once')
  .optional();

const failbackError = 'expected manual or { after: DURATION, byVendor: true } (1s to 30d)';

const steeringFields = {
  patience: duration('0s', '1d')
    .describe('how long a target must be down before it is left')
    .optional(),
  patienceMax: duration('0s', '1d')
    .describe('the most that patience becomes where an origin usually comes back by itself')
    .optional(),
  failback: z
    .union(
      [
        z.literal('manual'),
        z.strictObject({
          after: duration('1s', '30d').describe('how long the better target must have been up'),
          byVendor: z
            .boolean()
            .describe('one provider first, which is watched, then the next')
            .optional(),
        }),
      ],
      { error: failbackError },
    )
    .transform((value): Failback => {
      if (value === 'manual') return { kind: 'manual' };
      const base = { kind: 'after', ms: value.after } as const;
      return value.byVendor === true ? { ...base, byVendor: true } : base;
    })
    .optional(),
  switchesPerHour: whole(1, 60).describe('automatic switches of one record in an hour').optional(),
  objective: duration('1s', '1d')
    .describe('within so long the clients of a record are to be able to follow')
    .optional(),
  prepare: z
    .boolean()
    .describe(
      'the TTL comes down by itself before moves that are planned, and while a drill is away',
    )
    .optional(),
  edits: z
    .enum(editsWords)
    .describe('what is done where somebody else edits a record at a vendor')
    .optional(),
  drift: z
    .enum(['report', 'repair'])
    .describe('the old name of edits: report is hold, repair is mend')
    .optional(),
};

const hookSeconds = 'how long it may take; the deadline of its answer';

/** What is run around a switch. */
const hooks = z
  .strictObject({
    before: z
      .strictObject({
        command: commandLine.describe('run before an automatic switch: status 0 go, others veto'),
        timeout: duration('100ms', '5m').prefault('30s').describe(hookSeconds),
        silence: z
          .enum(['go', 'stay'])
          .describe('what it means that it cannot be run, hangs or is killed'),
      })
      .optional(),
    after: z
      .strictObject({
        command: commandLine.describe('run once a switch has ended'),
        timeout: duration('100ms', '5m').prefault('30s').describe(hookSeconds),
      })
      .optional(),
  })
  .describe('commands that are run around a switch')
  .optional();

/** Less than a question lives: it must still stand when silence goes. */
const approveAfter = duration('10s', '14m')
  .describe('in mode approve: after so long without an answer it goes; else it stays')
  .optional();

const ttl = whole(0, 604_800).describe('seconds that resolvers may keep an answer');

const maintenance = z
  .array(
    z
      .string()
      .max(60)
      .transform((text, context): Window => {
        const window = parseWindow(text);
        if (window !== null) return window;
        context.addIssue({ code: 'custom', message: windowNotation });
        return z.NEVER;
      }),
  )
  .max(20)
  .describe('windows of maintenance, such as Sun 02:00-04:00, by the clock of timezone')
  .optional();

/** null: off. */
const schedule = z
  .string()
  .max(60)
  .describe('off, a period such as 6h, or a time such as Tue 10:00 or daily 10:00')
  .transform((text, context): Schedule | null => {
    const read = text === 'off' ? null : parseSchedule(text);
    if (read !== null || text === 'off') return read;
    context.addIssue({ code: 'custom', message: `${scheduleNotation}, or off` });
    return z.NEVER;
  });

const liveFields = {
  live: schedule.optional(),
  byVendor: z.boolean().optional().describe('one vendor first, watched, then the others'),
  for: duration('30s', '2h').describe('how long a record stays away').optional(),
};

const endpointNotation =
  'expected https://HOST:PORT; plain http is taken for this machine only ' +
  '(127.0.0.0/8, [::1], localhost)';

/** One member of etcd, as an origin (RFC 6454): `https://192.0.2.1:2379`. */
const etcdEndpoint = z
  .string()
  .describe('a member of etcd: https://HOST:PORT')
  .transform((text, context) => {
    const [, scheme = '', place = ''] = /^(https?):\/\/([^/?#@\s]+)\/?$/i.exec(text) ?? [];
    const at = parseHostPort(place, null);
    const isHere = /^(127\.|\[?::1\]?$|localhost$)/.test(at?.host ?? '');
    const isSound = at !== null && URL.canParse(text);
    if (isSound && (scheme.toLowerCase() === 'https' || isHere)) {
      return `${scheme.toLowerCase()}://${place.toLowerCase()}`;
    }
    const message = text.includes('@') ? `${noUser} username and password beside it` : null;
    context.addIssue({ code: 'custom', message: message ?? endpointNotation });
    return z.NEVER;
  });

const keyPrefixError = 'expected a prefix of keys, such as /detour/shop/';

/**
 * What etcd grants a lease at least follows from its election timeout (one and a half of it, in whole
 * seconds, rounded up: 2 s where it is the usual 1 s); etcd raises what is less by itself.
 */
const leaseError =
  'expected whole seconds from 2s to 60s: etcd counts leases in seconds, and grants none that is ' +
  'shorter than one and a half of its election timeout (2s where that is the usual 1s)';

const leaseTtl = (message: string) =>
  z
    .string()
    .describe('how long the right to act outlasts its holder: whole seconds, from 2s to 60s')
    .transform((text, context) => {
      const ms = parseDuration(text);
      if (ms !== null && ms % 1000 === 0 && ms >= 2000 && ms <= 60_000) return ms;
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    });

const kubernetesNameError = 'expected a name of Kubernetes: a-z, 0-9 and -, at most 63';

const kubernetesName = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, { error: kubernetesNameError });

const includedFolder = z
  .string({ error: 'expected a folder, such as conf.d' })
  .regex(/^[^\0]{1,1000}$/, 'expected a folder, such as conf.d');
const apiNameError = 'expected a host alone, such as detour.example.net or 192.0.2.7';

/** A host by which the API may be called. */
const apiName = z
  .string()
  .describe('a host by which it may be called, without a port')
  .transform((text, context) => {
    const name = isIP(text) === 0 ? toName(text) : text;
    if (name !== null) return name;
    context.addIssue({ code: 'custom', message: apiNameError });
    return z.NEVER;
  });

const apiUrlError = 'expected https://HOST or https://HOST:PORT alone';

const apiUrl = z
  .string()
  .describe('where a person’s browser reaches it: https://HOST:PORT; links in notices lead there')
  .transform((text, context) => {
    const [, place = ''] = /^https:\/\/([^/?#@\s]+)\/?$/i.exec(text) ?? [];
    if (parseHostPort(place, 443) !== null && URL.canParse(text)) {
      return `https://${place.toLowerCase()}`;
    }
    context.addIssue({ code: 'custom', message: apiUrlError });
    return z.NEVER;
  });

const recordGlobError = 'expected a name, such as www.gslb.example.net or *.shop.example.net';

/** In ASCII; in a label of another script there can be no `*`. */
const recordGlob = z.string().transform((text, context) => {
  const labels = text.split('.').map((l) => (isForeign(l) && l.includes('*') ? null : toAscii(l)));
  const glob = labels.join('.');
  if (!labels.includes(null) && /^[a-z0-9_.*-]{1,253}$/i.test(glob)) return glob;
  context.addIssue({ code: 'custom', message: recordGlobError });
  return z.NEVER;
});

export const fields = {
  top: {
    cluster: z
      .string()
      .describe('name of this deployment, public in its markers')
      .regex(namePattern, { error: `expected ${nameRule}` }),
    stateDir: absolutePath.default('/var/lib/detour').describe('absolute path of its memory'),
    socket: absolutePath.optional().describe('absolute path of the socket for operators'),
    listen: z
      .union([z.literal('off'), hostPort(null)], {
        error: 'expected off or HOST:PORT, such as 127.0.0.1:9353',
      })
      .default('127.0.0.1:9353')
      .describe('where readers find metrics, health and gates'),
    gateHold: duration('1m', '30d')
      .describe('how long a gate keeps its word when nobody can know')
      .prefault('1d'),
    page: z
      .enum(['local', 'public', 'off'], { error: 'expected local, public or off' })
      .default('local')
      .describe(
        'the status page: at the API for who has a token, and at listen where that is this machine ' +
          'alone (local) or wherever it is (public), without names of persons; or nowhere',
      ),
    include: z
      .union([includedFolder.transform((one) => [one]), z.array(includedFolder).min(1).max(20)])
      .describe('folders whose *.yaml and *.yml files add to the maps of this one')
      .optional(),
    replica: z
      .string()
      .describe('which of `replicas` this daemon is; --replica and DETOUR_REPLICA go before it')
      .regex(namePattern, { error: `expected ${nameRule}` })
      .optional(),
    sla: slaSchema.optional(),
    delegation: z
      .record(
        dnsName,
        z.strictObject({
          provider: z.string().describe('the provider that holds the parent zone'),
          zone: dnsName.describe('the parent zone, in which the NS set stands'),
        }),
        {
          error: ({ code }) =>
            code === 'invalid_key'
              ? 'expected the name of a zone that holds records, such as gslb.example.net'
              : 'expected a map of zones',
        },
      )
      .describe('by zone where its NS set stands, so that `detour evict` can take a vendor out')
      .optional(),
    timezone,
  },
  replica: {
    address: hostPort(null).describe('HOST:PORT where the other replicas reach it'),
    site: word('where it is').optional(),
    uplink: word('the line it leaves by').optional(),
    cloud: cloudName('the cloud it sits in, about which it has no vote').optional(),
  },
  group: {
    listen: hostPort(null)
      .describe('where each replica listens for the others; else the port of its address')
      .optional(),
    tls: z
      .strictObject({
        ca: absolutePath.describe('PEM file of who vouches for the replicas'),
        cert: absolutePath.describe('PEM file of the certificate of this replica'),
        key: absolutePath.describe('PEM file of its key'),
      })
      .describe('mutual TLS between replicas; else the cluster key signs what they tell')
      .optional(),
  },
  /** Where a secret may have been put by mistake: never quoted. */
  etcd: {
    endpoints: z
      .array(etcdEndpoint)
      .min(1)
      .max(9)
      .describe('the members of etcd, all of them')
      .refine((all) => new Set(all).size === all.length, {
        error: 'expected each member once',
      }),
    ca: absolutePath.optional().describe('PEM file of who vouches for etcd; else the well-known'),
    cert: absolutePath.optional().describe('PEM file of the certificate to show to etcd'),
    key: absolutePath.optional().describe('PEM file of its key'),
    username: z.string().min(1).max(100).optional().describe('user of etcd'),
    password: secretRef.optional().describe('password of that user'),
    prefix: z
      .string()
      .regex(/^\/?[\w.-]{1,60}(?:\/[\w.-]{1,60}){0,5}\/?$/, { error: keyPrefixError })
      .transform((text) => (text.endsWith('/') ? text : `${text}/`))
      .optional()
      .describe('what the keys in etcd begin with; else /detour/ and the name of the cluster'),
    ttl: leaseTtl(leaseError).prefault('5s'),
  },
  kubernetes: {
    namespace: kubernetesName.optional().describe('else the namespace of the pod'),
    lease: kubernetesName.default('detour').describe('name of the Lease'),
    documents: z
      .union(
        [
          z.strictObject({ secret: kubernetesName.describe('name of a Secret') }),
          z.strictObject({ configMap: kubernetesName.describe('name of a ConfigMap') }),
        ],
        { error: 'expected { secret: NAME } or { configMap: NAME }' },
      )
      .prefault({ secret: 'detour-documents' })
      .describe('where the documents of the group lie'),
    ttl: leaseTtl('expected whole seconds from 2s to 60s').prefault('15s'),
  },
  /** Where a secret may have been put by mistake: never quoted. */
  secrets: {
    clusterKey: z
      .union([secretRef, z.array(secretRef).min(1).max(4)], {
        error: 'expected { file: PATH }, { env: NAME }, { credential: NAME }, or a list of up to 4',
      })
      .describe('secret that signs markers; of a list the first signs')
      .transform((given) => (Array.isArray(given) ? given : [given]))
      .optional(),
  },
  /** Its tokens are where a secret may have been put by mistake: never quoted. */
  api: {
    listen: hostPort(null).describe('HOST:PORT where operators reach it'),
    cert: absolutePath.describe('PEM file of its certificate, and of those that vouch for it'),
    key: absolutePath.describe('PEM file of its key'),
    tokens: z
      .record(
        z.string().regex(namePattern),
        z.strictObject({
          token: secretRef.describe('where the token is; 32 characters or more'),
          role: z
            .enum(apiRoles, { error: 'expected read, approve or operate' })
            .describe('what it may do; each may do what stands before it'),
        }),
        {
          error: ({ code }) =>
            code === 'invalid_key'
              ? `expected ${nameRule} as the name`
              : 'expected a map of tokens',
        },
      )
      .refine((all) => Object.keys(all).length > 0, { error: 'expected at least one token' })
      .refine((all) => Object.keys(all).length <= 100, { error: 'expected at most 100 tokens' })
      .describe('who may ask, by names that the journal will bear'),
    names: z
      .array(apiName)
      .max(32)
      .optional()
      .describe('hosts by which it may be called, besides its address and that of url'),
    url: apiUrl.optional(),
  },
  audit: {
    certificateDays: z
      .int()
      .min(1)
      .max(365)
      .default(14)
      .describe('days for which what targets show for public names must hold'),
  },
  metrics: {
    without: z
      .array(z.enum(heavyFamilies, { error: `expected one of ${heavyFamilies.join(', ')}` }))
      .max(heavyFamilies.length)
      .default([])
      .describe('families of metrics that are left out'),
  },
  policy: {
    ...cadenceFields,
    ...steeringFields,
    quorum,
    rate,
    approveAfter,
    hooks,
    detector: z.enum(['counters', 'sequential']).optional(),
    falseSwitches: rarity,
    hold,
    holdMost: whole(0, 100_000)
      .default(2000)
      .describe('connections that are held at once, at most'),
  },
  channel: {
    severity: z
      .array(z.enum(noticeSeverities))
      .min(1)
      .max(3)
      .default([...noticeSeverities])
      .describe('what it is told: page, warn, info; each of them unless named'),
    records: z
      .array(recordGlob)
      .min(1)
      .max(1000)
      .optional()
      .describe('of which records it is told, * for anything; what is about none goes everywhere'),
    quiet: duration('0s', '7d')
      .prefault('0s')
      .describe('for so long after it was told the same is not told again'),
  },
  confirmBudget: {
    burst: whole(1, 100_000).default(400).describe('probes in doubt at once'),
    perSecond: whole(1, 100_000).default(200).describe('probes in doubt each second'),
  },
  dns: {
    port: whole(1, 65_535).default(53).describe('port of every name server'),
    roots: hosts.optional().describe('root servers'),
    resolvers: hosts.optional().describe('who is asked for addresses of name servers'),
    timeout: duration('50ms', '30s').prefault('1s').describe('limit of one question'),
  },
  log: {
    format: z.enum(['json', 'text', 'auto']).default('auto').describe('how a line is written'),
    level: z
      .enum(['debug', 'info', 'warn', 'error'])
      .default('info')
      .describe('the least that is written'),
  },
  path: {
    site: word('where it is').optional(),
    uplink: word('the line it leaves by').optional(),
    cloud: cloudName('the cloud it sits in, about which it has no vote').optional(),
    labels: labels.optional(),
    localAddress: z
      .string()
      .describe('address of this machine to leave from')
      .refine((text) => isIP(text) !== 0, {
        message: 'expected an address of this machine, such as 192.0.2.7',
      })
      .optional(),
    resolver: z
      .array(
        z.string().refine((text) => isIP(parseHostPort(text, 53)?.host ?? '') !== 0, {
          message: 'expected ADDRESS or ADDRESS:PORT, such as 192.0.2.53',
        }),
      )
      .min(1)
      .max(8)
      .describe('DNS servers that resolve names on this path')
      .optional(),
    module: z
      .string()
      .describe('module of the blackbox_exporter')
      .regex(/^[\w.-]{1,100}$/, { error: 'expected the name of a module, such as http_2xx' })
      .optional(),
  },
  /** Where a secret may have been put by mistake: never quoted. */
  exit: {
    proxy: proxyUrl.optional(),
    blackbox: blackboxUrl.optional(),
    credentials: secretRef.optional().describe('user:password at the proxy or the exporter'),
    ca: z
      .string()
      .min(1)
      .max(4096)
      .optional()
      .describe("path of a PEM bundle to trust for the proxy's or the exporter's own TLS"),
  },
  provider: {
    nameservers: hosts
      .optional()
      .describe('the servers that it alone answers with, where its API does not say which'),
    timeout: duration('100ms', '1m').prefault('2s').describe('limit of one call to the API'),
    lineSubnets: z
      .record(lineWord, subnet)
      .describe("addresses of each line's users, from which its answer is asked for (RFC 7871)")
      .optional(),
    canary: dnsName
      .optional()
      .describe('a name in a zone of this account that is nothing but tried, by `drill canary`'),
    cloud: cloudName(
      'the cloud that runs it, and that it fails with; known of the vendors',
    ).optional(),
  },
  drills: {
    canary: schedule.optional(),
    dry: schedule.prefault('Tue 10:00'),
    ...liveFields,
    window: duration('5m', '12h').prefault('30m'),
  },
  drillsOfRecord: liveFields,
  origin: {
    cloud: cloudName('who runs it'),
    region,
    needs: z
      .array(z.string())
      .max(100)
      .describe('checks of clouds without which it is down: CHECK of its own, or CLOUD:CHECK')
      .optional(),
    quorum,
    rate,
    paths: pathNames,
    maintenance,
  },
  check: {
    advisory: z.boolean().default(false).describe('shown, and moving nothing'),
    hold,
    paths: pathNames,
  },
  service: {
    plane: z
      .enum(['resource', 'service', 'control'])
      .describe('what it speaks for: machines, what wants the cloud to authenticate, or its API'),
    region,
    hold,
    paths: pathNames,
  },
  record: {
    ttl: ttl.default(60),
    mode: z.enum(recordModes).default('observe').describe('what becomes of a decision'),
    maintenance,
    ...steeringFields,
    approveAfter,
    hooks,
    names: z
      .array(dnsName)
      .min(1)
      .max(50)
      .describe('names that users type and that lead here by CNAME; audits look at them')
      .optional(),
  },
  publish: {
    provider: z.string().describe('name of a provider'),
    ttl: ttl.optional(),
    lines: z
      .array(lineWord)
      .min(1)
      .max(32)
      .describe('the lines it stands on there, as the vendor spells them; all move together')
      .optional(),
  },
  target: { origin: z.string().describe('name of an origin'), cname: dnsName },
} as const;
