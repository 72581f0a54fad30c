// Records on a name server of one's own, by dynamic update (RFC 2136) signed with TSIG (RFC 8945):
// BIND, Knot, PowerDNS and their like. One UPDATE message states what was read as prerequisites and
// makes the change, so a stale writer changes nothing. Readings are signed like updates, so that both
// are of one view of the server, and nobody without the key can make one up. It must never send an
// unguarded update that could change something, never believe an unsigned reply, and never take
// NOERROR for done: servers ignore some updates silently, so what stands afterwards is read back.

import { randomInt } from 'node:crypto';
import { z } from 'zod';
import { delegationMarkerName, markerName } from '../src/core/marker.ts';
import type { Name } from '../src/core/model.ts';
import type {
  AdapterContext,
  ByHand,
  Capabilities,
  HandStep,
  Provider,
  ProviderType,
  ReachingFinding,
} from '../src/kit/extend.ts';
import {
  dnsName,
  hostPort,
  parseHostPort,
  type SecretRef,
  secretRef,
  toName,
} from '../src/kit/schema.ts';
import { SecretError } from '../src/kit/secret.ts';
import { lookupOf } from './kit/agents.ts';
import { secretInShell, shellWord } from './kit/by-hand.ts';
import { ByZone, reachOf } from './kit/by-zone.ts';
import { deleteRecord, encodeText, encodeUpdate, type TsigKey, typeTxt } from './kit/dns-update.ts';
import { done } from './kit/fault.ts';
import {
  bad,
  fromProbe,
  fromTrouble,
  good,
  lookAtRecord,
  mayTry,
  negativeTtl,
  never,
  ofAccount,
  ofZone,
  ttlFloor,
} from './kit/preflight.ts';
import { nsHands } from './kit/rfc2136-ns.ts';
import {
  type Account,
  factsOf,
  findZone,
  readFacts,
  readMax,
  readZone,
  type Zone,
} from './kit/rfc2136-reading.ts';
import { judge, preparer, writeMax, writeZone } from './kit/rfc2136-writing.ts';
import { SignedServer } from './kit/signed.ts';
import { zoneFinder } from './kit/zone.ts';

export interface Rfc2136Settings {
  /** The primary server, `HOST[:PORT]`. */
  readonly server: string;
  /** Found by SOA at the server when it is left out. */
  readonly zone?: Name | undefined;
  readonly tsig: {
    readonly name: Name;
    readonly algorithm: TsigKey['algorithm'];
    /** Base64, as tsig-keygen prints it. */
    readonly secret: SecretRef;
  };
}

/**
 * With BIND's `nsupdate` (its manual page, BIND 9.20). One message takes the old value out and puts
 * the new one in, and only where a CNAME stands: the name is never empty.
 */
function byHand(settings: Rfc2136Settings, { record, cname, ttl }: ByHand): readonly HandStep[] {
  const { zone, tsig } = settings;
  const { host, port } = parseHostPort(settings.server, 53)!;
  const key = `key "${tsig.name}" { algorithm ${tsig.algorithm}; secret "%s"; };\n`;
  const lines = [
    `server ${host} ${port}`,
    ...(zone === undefined ? [] : [`zone ${zone}`]),
    `prereq yxrrset ${record} CNAME`,
    `update delete ${record} CNAME`,
    `update add ${record} ${ttl} CNAME ${cname}`,
    'send',
  ];
  return [
    {
      text: 'Write the key into a file that only you can read.',
      shell: `(umask 077; printf ${shellWord(key)} ${secretInShell(tsig.secret)} > tsig.key)`,
    },
    {
      text: `Send the change to ${host}. It is made whole or not at all.`,
      shell: `nsupdate -k tsig.key <<'END'\n${lines.join('\n')}\nEND`,
    },
    {
      text: 'Look at what it now gives.',
      shell: `dig +norecurse -p ${port} @${host} ${record} CNAME`,
    },
    { text: 'Take the file away again.', shell: 'rm tsig.key' },
  ];
}

/** A word on the one setting that other providers have and this one cannot. */
function refusesProxy({ code, keys }: { readonly code: string; readonly keys?: unknown }) {
  if (code !== 'unrecognized_keys' || String(keys) !== 'proxy') return undefined;
  return (
    'no HTTP proxy carries DNS updates: leave it out, and let this machine reach the server by TCP ' +
    'and UDP'
  );
}

const settings: z.ZodType<Rfc2136Settings> = z.strictObject(
  {
    server: hostPort(53).describe('the primary server that takes updates, HOST or HOST:PORT'),
    zone: dnsName.optional().describe('the zone on that server; found by itself when left out'),
    tsig: z.strictObject({
      name: z
        .string()
        .describe('the name of the TSIG key, as the server knows it')
        .transform((text, context) => {
          const name = toName(text);
          if (name !== null) return name;
          context.addIssue({ code: 'custom', message: 'expected a key name such as detour' });
          return z.NEVER;
        }),
      algorithm: z
        .enum(['hmac-sha256', 'hmac-sha384', 'hmac-sha512'])
        .default('hmac-sha256')
        .describe('how it signs'),
      secret: secretRef.describe('the key in base64, as the server has it'),
    }),
  },
  { error: refusesProxy },
);

const capabilities: Capabilities = {
  type: 'rfc2136',
  title: 'Dynamic update with TSIG (BIND, Knot, PowerDNS)',
  fence: {
    kind: 'transaction',
    note:
      'each UPDATE has the CNAME and the marker that were read as prerequisites (RFC 2136 2.4); ' +
      'the server checks and applies it as one transaction, and what stands is read back',
  },
  atomic: true,
  readMax,
  writeMax,
  // A zone's reading takes four connections, its writing twelve with all looks at what stands.
  callsMax: 24,
  // A server of one's own has no published quota; this keeps from being a nuisance to it.
  quota: { burst: 240, perSecond: 60, reserve: 48 },
  permissions: [
    {
      permission: 'update-policy { grant KEY zonesub CNAME TXT; };',
      note: 'BIND; allow-query for the key, which signs queries, too',
    },
    { permission: 'acl: { key: KEY, action: update }', note: 'Knot; a writable database.storage' },
    {
      permission: 'TSIG-ALLOW-DNSUPDATE = KEY',
      note: 'PowerDNS, zone metadata; dnsupdate=yes and allow-dnsupdate-from in its settings',
    },
  ],
  delegation: {
    apex: true,
    note:
      'the NS set and the marker that were read are prerequisites of the UPDATE; a server that ' +
      'speaks for the parent and for the zone itself shows only the zone, and is refused as parent',
    permissions: [`NS of the zone, and TXT of \`${delegationMarkerName('<zone>')}\`, for the key`],
  },
  refuses: [
    { word: 'apex', note: 'a CNAME cannot stand at the top of a zone' },
    { word: 'other-type', note: 'records of other types at the name, or a CNAME at the marker' },
    { word: 'delegated', note: 'the name belongs to a child zone on other servers' },
    { word: 'synthesized', note: 'the CNAME comes from a DNAME above it' },
    { word: 'odd-value', note: 'the CNAME leads to something that is no host name' },
  ],
};

/** See kit/extend.ts: the row of the table of providers. */
export const rfc2136: ProviderType<Rfc2136Settings> = {
  type: 'rfc2136',
  capabilities,
  settings,
  ownServers: ({ server }) => [server],
  byHand,
  create,
};

function create(name: string, given: Rfc2136Settings, context: AdapterContext): Provider {
  const closing = new AbortController();
  const until = (signal: AbortSignal) => AbortSignal.any([signal, closing.signal]);
  const timeoutMs = context.callTimeoutMs;
  const server = new SignedServer({
    place: `server ${given.server}`,
    server: parseHostPort(given.server, 53)!,
    key: readKey(given, context),
    timeoutMs,
    lookup: lookupOf(context),
  });
  const zone = given.zone ?? null;
  const isConfigured = zone !== null;
  const zones = zoneFinder<Zone>({
    zone,
    byId: null,
    byName: async (name, signal) => {
      // A configured one is taken at its word: every reading asks for its SOA.
      return isConfigured ? done({ name, id: name }) : findZone(server, name, signal);
    },
    ofOneLabel: true,
  });
  const byZone = new ByZone({ zones, callsMax: capabilities.callsMax, callTimeoutMs: timeoutMs });
  const account: Account = { server, zones, isConfigured, timeoutMs, doubts: new Map() };
  const read: Provider['read'] = (asked, signal) => {
    const names = [...new Set(asked)];
    return byZone.read(names, until(signal), (zone, some, room, stop) =>
      readZone(account, zone.name, some, room, stop),
    );
  };
  return {
    name,
    capabilities,
    get calls() {
      return server.calls;
    },
    zone: (record, signal) => factsOf(account, record, until(signal)),
    read,
    write(changes, signal) {
      return byZone.write(changes, until(signal), {
        prepare: preparer(),
        zoneOf: (change, room, stop) => zones.findWithin(change.name, stop, room),
        writeZone: (zone, some, room, stop) => writeZone(account, zone.name, some, room, stop),
      });
    },
    preflight: (record, signal) => preflight(account, read, record, until(signal)),
    delegation: nsHands(account, until),
    close: () => closing.abort(),
  };
}

/** Throws SecretError, without the secret. */
function readKey({ tsig }: Rfc2136Settings, context: AdapterContext): TsigKey {
  const text = context.secret(tsig.secret).trim();
  const secret = Buffer.from(text, 'base64');
  const isBase64 = /^[A-Za-z0-9+/]+={0,2}$/.test(text) && text.length % 4 === 0;
  if (!isBase64 || secret.length === 0) {
    throw new SecretError(`TSIG key ${tsig.name} is not base64: give what tsig-keygen printed`);
  }
  return { name: tsig.name, algorithm: tsig.algorithm, secret };
}

// ---------------------------------------------------------------- preflight

async function preflight(
  account: Account,
  read: Provider['read'],
  record: Name,
  signal: AbortSignal,
): Promise<readonly ReachingFinding[]> {
  const { server, zones } = account;
  const found = await readFacts(account, record, signal);
  if (!found.ok) {
    if (found.stale && found.zone !== undefined) zones.forget(found.zone);
    return [fromTrouble('zone', found.zone ?? null, found)];
  }
  const { facts, negativeTtlSeconds } = found.value;
  const { zone } = facts;
  const findings = [
    good(ofZone(zone), 'zone', `${server.place} is authoritative for ${zone}`),
    ttlFloor(zone, null),
    negativeTtl(zone, negativeTtlSeconds),
    ...(await lookAtRecord({ read }, record, signal)),
  ];
  if (!mayTry(findings)) return findings;
  return [...findings, ...(await tryWriting(server, record, zone, signal))];
}

/**
 * Deletes a text that nobody has ever written from the marker of the record: taken, it changes
 * nothing. At that name and type, because a key may be granted no other.
 */
async function tryWriting(
  server: SignedServer,
  record: Name,
  zone: Name,
  signal: AbortSignal,
): Promise<readonly ReachingFinding[]> {
  const nothing = deleteRecord(markerName(record), typeTxt, encodeText(`never ${never()}`));
  const message = encodeUpdate(randomInt(65_536), zone, [], [nothing]);
  const [heard] = await server.update([message], signal);
  const verdict = judge(heard!, zone, server);
  if (verdict?.fault.kind === 'auth-suspect') {
    const { detail, cure = null } = verdict.fault;
    return [bad(reachOf(verdict, zone), 'credentials', detail, cure)];
  }
  if (verdict !== null) return [fromProbe(zone, verdict)];
  const known = good(
    ofAccount,
    'credentials',
    `${server.place} knows the TSIG key ${server.key.name}`,
  );
  return [known, fromProbe(zone, null)];
}
