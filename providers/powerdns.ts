// PowerDNS Authoritative over its HTTP API, version 1, as 4.7 speaks it. CNAME and marker change
// in one PATCH that the server applies whole or not at all. The API has no compare-and-set, so
// what stands is read just before and just after; who runs PowerDNS and wants a strict fence uses
// RFC 2136 updates instead. It must never send a record set without a record (the server takes
// that as a deletion, and answers 204), and never send the key over plain http beyond this machine.

import { X509Certificate } from 'node:crypto';
import type { Agent } from 'node:http';
import fetch from 'node-fetch';
import { z } from 'zod';
import {
  delegationMarkerName,
  formatMarker,
  MARKER_LABEL,
  markerName,
} from '../src/core/marker.ts';
import type {
  Answer,
  Change,
  Name,
  NsChange,
  NsPlace,
  NsSeen,
  Refusal,
  Result,
  Seen,
} from '../src/core/model.ts';
import { ancestors, isWithin } from '../src/core/name.ts';
import { companyIn } from '../src/dns/company.ts';
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
import { dnsName, type SecretRef, secretRef } from '../src/kit/schema.ts';
import { SecretError } from '../src/kit/secret.ts';
import { agentFor, tunnelsOf } from './kit/agents.ts';
import { sideBySide } from './kit/batch.ts';
import { secretInShell, shellWord } from './kit/by-hand.ts';
import { ByZone, oneByOne, type ZoneKey } from './kit/by-zone.ts';
import { delegationHands, isSameNs, markerTtl, movedOn } from './kit/delegation.ts';
import { endpoint } from './kit/endpoint.ts';
import {
  type Called,
  done,
  exchange,
  failed,
  fault,
  fieldsOf,
  garbled,
  scrub,
  statusTrouble,
  type Trouble,
} from './kit/fault.ts';
import { guarded, halfway, isCname, isSame, printSeen } from './kit/guarded.ts';
import {
  fromProbe,
  fromTrouble,
  good,
  lookAtRecord,
  mayTry,
  negativeTtl,
  ofZone,
  ttlFloor,
  warn,
  zoneRead,
} from './kit/preflight.ts';
import { type ProxySettings, proxy, refuseClearProxy } from './kit/proxy.ts';
import { nameFrom, quoteText, unquoteText, type ZoneFinder, zoneFinder } from './kit/zone.ts';

interface PowerdnsSettings {
  readonly endpoint: string;
  readonly apiKey: SecretRef;
  readonly zone: Name;
  readonly server: string;
  readonly ca?: string | undefined;
  readonly proxy?: ProxySettings | undefined;
}

const capabilities: Capabilities = {
  type: 'powerdns',
  title: 'PowerDNS HTTP API',
  fence: {
    kind: 'weak',
    note:
      'The API has no compare-and-set. CNAME and marker change together, and are read just before ' +
      'and just after the write; two writers between the same two readings are noticed, not ' +
      'prevented. RFC 2136 updates to the same server are strict.',
  },
  atomic: true,
  readMax: 10,
  writeMax: 1,
  // The zone and four readings a name; a write needs ten.
  callsMax: 41,
  // A server of one's own has no published quota; this keeps from being a nuisance to it.
  quota: { burst: 820, perSecond: 300, reserve: 205 },
  permissions: [{ permission: 'api-key', note: 'of the server: PowerDNS has no narrower one' }],
  delegation: {
    apex: true,
    note:
      'NS set and marker change in one PATCH, read just before and just after: of two writers at ' +
      'once one is noticed, not prevented',
    permissions: [],
  },
  refuses: [
    { word: 'apex', note: 'no CNAME may stand at the top of a zone' },
    { word: 'other-type', note: 'records of other types at the name or at the marker' },
    { word: 'disabled', note: 'a CNAME or a marker that somebody has disabled' },
    { word: 'delegated', note: 'an NS set, or a zone of its own, between the zone and the name' },
    { word: 'synthesized', note: 'a DNAME between the zone and the name' },
    { word: 'secondary', note: 'a zone that is a copy of another server' },
  ],
};

/** By its API (PowerDNS 4.9, HTTP API, zones), or on the machine itself by `pdnsutil`. */
function byHand(settings: PowerdnsSettings, { record, cname, ttl }: ByHand): readonly HandStep[] {
  const { endpoint, server, zone, apiKey, ca } = settings;
  const records = [{ content: cname, disabled: false }];
  const rrset = { name: record, type: 'CNAME', ttl, changetype: 'REPLACE', records };
  const url = `${endpoint}/api/v1/servers/${server}/zones/${zone}`;
  const trust = ca === undefined ? '' : ` --cacert ${shellWord(ca)}`;
  return [
    {
      text: 'Change it by the API. It is made whole or not at all.',
      shell:
        `printf 'X-API-Key: %s' ${secretInShell(apiKey)} | curl -fsS${trust} -H @- -X PATCH \\\n` +
        `  -H 'Content-Type: application/json' ${shellWord(url)} \\\n` +
        `  --data ${shellWord(JSON.stringify({ rrsets: [rrset] }))}`,
    },
    {
      text: 'Or, where the API does not answer, on the machine of the server itself.',
      shell: `pdnsutil replace-rrset ${zone} ${record} CNAME ${ttl} ${cname}`,
    },
  ];
}

export const powerdns: ProviderType<PowerdnsSettings> = {
  type: 'powerdns',
  capabilities,
  settings: z
    .strictObject({
      endpoint,
      apiKey: secretRef.describe('key of the HTTP API'),
      zone: dnsName,
      server: z
        .string()
        .regex(/^[\w.-]{1,64}$/, 'expected a server id, such as localhost')
        .default('localhost')
        .describe('id of the server in the API'),
      ca: z
        .string()
        .regex(/^\/[^\0]{1,1000}$/, 'expected an absolute path, such as /etc/detour/pdns-ca.pem')
        .optional()
        .describe('PEM file of who may vouch for the server, in place of the well-known ones'),
      proxy: proxy.optional(),
    })
    .superRefine(refuseClearProxy),
  // Where its API is, its name server is: at the port of DNS, unless told otherwise.
  ownServers: (settings) => [new URL(settings.endpoint).hostname],
  byHand,
  create: (name, settings, context) => new Powerdns(name, settings, context),
};

/** Names between a zone and a record that are looked at for what cuts it off. */
const betweenMax = 8;
/** Two readings of what is there, and where something is not, two of what is disabled. */
const callsOfSeeing = 4;
/** What is seen before the change, and after it. */
const callsOfWrite = 2 * callsOfSeeing + 1;
/** Records of one answer of the search; what it says no more of is not known. */
const searchMax = 100;
/** Calls at the same time; the API serves a few dozen. */
const callsAtOnce = 4;
/** Bytes of one answer: a server before 4.6 ignores the filter and gives the whole zone. */
const answerMax = 8 << 20;

/** One set of records of a name and type, without the disabled ones. */
interface Rrset {
  readonly name: Name;
  readonly type: string;
  readonly ttl: number;
  readonly values: readonly string[];
  readonly comments: readonly string[];
}

interface Zone extends ZoneKey {
  /** `Native`, `Master`, `Slave`, … as the server says it. */
  readonly kind: string;
  readonly nameServers: readonly string[];
  readonly warnings: readonly string[];
}

/** A change that may be sent, and its marker as the API wants it. */
interface Prepared {
  readonly change: Change;
  readonly quoted: string;
}

interface Reply {
  readonly status: number;
  /** The JSON of the answer; null where there was none to read. */
  readonly body: unknown;
}

/** Read like a secret, so that it is read again when its file changes. */
function trustOf(ca: string | undefined, context: AdapterContext): { readonly ca?: string } {
  if (ca === undefined) return {};
  const pem = context.secret({ file: ca });
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  const begun = pem.match(/-----BEGIN /g)?.length ?? 0;
  const isWhole = blocks.length > 0 && blocks.length === begun && blocks.every(isCertificate);
  if (isWhole) return { ca: pem };
  throw new SecretError(`ca ${ca}: expected whole PEM certificates; put them there`);
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).ca !== undefined;
  } catch {
    return false;
  }
}

class Powerdns implements Provider {
  readonly name: string;
  readonly capabilities = capabilities;
  readonly #zone: Name;
  /** Of the server's search, of all its zones, and of ours. */
  readonly #searchUrl: string;
  readonly #zonesUrl: string;
  readonly #url: string;
  readonly #key: string;
  readonly #timeoutMs: number;
  readonly #agent: Agent;
  readonly #zones: ZoneFinder<Zone>;
  readonly #byZone: ByZone<Zone>;
  readonly delegation = delegationHands({
    look: (place, signal) => this.#lookAtNs(place, signal),
    make: (change, _moves, signal) => this.#changeNs(change, signal),
  });
  #calls = 0;

  constructor(name: string, settings: PowerdnsSettings, context: AdapterContext) {
    this.name = name;
    this.#zone = settings.zone;
    const server = encodeURIComponent(settings.server);
    const base = `${settings.endpoint}/api/v1/servers/${server}`;
    this.#searchUrl = `${base}/search-data`;
    this.#zonesUrl = `${base}/zones`;
    this.#url = `${this.#zonesUrl}/${settings.zone}`;
    this.#key = context.secret(settings.apiKey);
    this.#timeoutMs = context.callTimeoutMs;
    // A connection each: the server closes them anyway, and a stale one would lose a write.
    const options = { keepAlive: false, maxSockets: callsAtOnce };
    const trusted = { ...options, ...trustOf(settings.ca, context) };
    this.#agent = agentFor(settings.endpoint, trusted, context, tunnelsOf(settings.proxy, context));
    this.#zones = zoneFinder<Zone>({
      zone: settings.zone,
      byId: null,
      byName: (_, signal) => this.#fetch(signal),
    });
    const { callsMax } = capabilities;
    this.#byZone = new ByZone({ zones: this.#zones, callsMax, callTimeoutMs: this.#timeoutMs });
  }

  get calls(): number {
    return this.#calls;
  }

  async zone(name: Name, signal: AbortSignal): Promise<Result<ZoneFacts>> {
    const zone = await this.#zones.find(name, signal);
    if (!zone.ok) return { ok: false, fault: zone.fault };
    const { nameServers, warnings } = zone.value;
    return done({ zone: zone.value.name, nameServers, ttlMin: null, warnings });
  }

  read(names: readonly Name[], signal: AbortSignal): Promise<Readonly<Record<Name, Answer<Seen>>>> {
    return this.#byZone.read([...new Set(names)], signal, (zone, some, room, stop) => {
      const above = Math.max(...some.map((name) => namesBetween(name, zone.name).length));
      return oneByOne(some, {
        atOnce: callsAtOnce / 2,
        atMost: capabilities.readMax,
        room,
        callsEach: callsOfSeeing + 2 * above,
        work: (name) => this.#look(zone, name, stop),
      });
    });
  }

  write(changes: readonly Change[], signal: AbortSignal): Promise<readonly Answer<null>[]> {
    return this.#byZone.write(changes, signal, {
      prepare,
      zoneOf: ({ change }, room, stop) => this.#zones.findWithin(change.name, stop, room),
      writeZone: (zone, some, room, stop) =>
        oneByOne(some, {
          atOnce: 1,
          atMost: capabilities.writeMax,
          room,
          callsEach: callsOfWrite,
          work: (item) => this.#write(zone, item, stop),
        }),
    });
  }

  async preflight(record: Name, signal: AbortSignal): Promise<readonly ReachingFinding[]> {
    // What is remembered of the zone may be a day old: here it is looked at.
    this.#zones.forget(this.#zone);
    const read = await this.#zones.find(record, signal);
    if (!read.ok) return [fromTrouble('zone', this.#zone, read)];
    const { kind, warnings } = read.value;
    const ours = ofZone(this.#zone);
    const findings = [
      zoneRead(this.#zone),
      good(ours, 'zone', `${this.#zone} is served as ${kind}`),
      ...warnings.map((sentence) => warn(ours, 'zone', sentence)),
      ttlFloor(this.#zone, null),
      ...(await this.#lookAtNegativeTtl(signal)),
    ];
    findings.push(...(await lookAtRecord(this, record, signal)));
    return mayTry(findings) ? [...findings, await this.#tryWriting(signal)] : findings;
  }

  close(): void {
    this.#agent.destroy();
  }

  async #lookAtNegativeTtl(signal: AbortSignal): Promise<readonly ReachingFinding[]> {
    const doing = `GET of the SOA of ${this.#zone}`;
    const read = await this.#get(doing, `?rrset_name=${this.#zone}&rrset_type=SOA`, signal);
    if (!read.ok) return [fromTrouble('negative-ttl', this.#zone, read)];
    const soa = rrsetsOf(read.value)?.find((s) => s.name === this.#zone && s.type === 'SOA');
    const minimum = Number(soa?.values[0]?.split(/\s+/)[6] ?? Number.NaN);
    if (soa === undefined || !Number.isSafeInteger(minimum)) return [];
    return [negativeTtl(this.#zone, Math.min(soa.ttl, minimum))];
  }

  /**
   * A record that no server takes, at a name that nobody uses: who may not write is refused before
   * it is looked at. A deletion of nothing would be taken, and raise the zone's serial (4.7).
   */
  async #tryWriting(signal: AbortSignal): Promise<ReachingFinding> {
    const name = `${MARKER_LABEL}-probe.${this.#zone}`;
    const records = [{ content: 'no-address', disabled: false }];
    const rrsets = [{ name, type: 'A', ttl: 60, changetype: 'REPLACE', records }];
    const sent = await this.#call(`PATCH of ${name}`, this.#url, signal, { rrsets });
    if (!sent.ok) return fromProbe(this.#zone, sent);
    if (sent.value.status === 422) return fromProbe(this.#zone, null);
    if (sent.value.status === 204 || sent.value.status === 200) {
      const cure = `remove ${name}; what answers here is not PowerDNS as 4.7 is`;
      const sentence = `the server took an address that is none, at ${name}`;
      return warn(ofZone(this.#zone), 'write-permission', sentence, cure);
    }
    return fromProbe(this.#zone, this.#refusal(`PATCH of ${name}`, true, sent.value));
  }

  #write(zone: Zone, item: Prepared, signal: AbortSignal): Promise<Called<null>> {
    return guarded(item.change, {
      see: () => this.#see(zone, item.change.name, signal),
      apply: (now) => this.#replace(zone, item, now, signal),
    });
  }

  /** Both record sets in one PATCH; the CNAME only if it is not what is wanted already. */
  async #replace(
    zone: Zone,
    { change: { name, from, to }, quoted }: Prepared,
    now: Seen,
    signal: AbortSignal,
  ): Promise<Called<null>> {
    const set = (owner: Name, type: string, content: string) => ({
      name: owner,
      type,
      ttl: to.ttl,
      changetype: 'REPLACE',
      records: [{ content, disabled: false }],
    });
    const rrsets = [set(markerName(name), 'TXT', quoted)];
    if (!isCname(now, to)) rrsets.unshift(set(name, 'CNAME', to.cname));
    const doing = `PATCH of ${name}`;
    const sent = await this.#call(doing, this.#url, signal, { rrsets });
    if (!sent.ok) return sent;
    const { status, body } = sent.value;
    if (status === 204 || status === 200) return done(null);
    if (status !== 422) return { ok: false, ...this.#refusal(doing, true, sent.value) };
    // The server has applied nothing. Whether it is the change itself that it will not have, or
    // somebody who came before us, is told by what stands there now.
    const again = await this.#see(zone, name, signal);
    if (again.ok && (again.value.refusal !== null || !isSame(again.value, from))) {
      const detail = `${name} is no longer what was read: ${printSeen(again.value)}`;
      return failed('record', 'conflict', detail);
    }
    const said = scrub(fieldsOf(body)['error'], [this.#key]);
    // What is known of the zone may have changed: a copy takes no change.
    const detail = `${doing}: the server refuses it (${said})`;
    return failed('record', 'rejected', detail, { stale: true });
  }

  /** What stands there, and whether the zone is asked for it at all. */
  async #look(zone: Zone, name: Name, signal: AbortSignal): Promise<Called<Seen>> {
    const seen = await this.#see(zone, name, signal);
    if (!seen.ok) return seen;
    for (const between of namesBetween(name, zone.name)) {
      const sets = await this.#rrsets(between, signal);
      if (!sets.ok) return sets;
      const listed = await this.#get(`GET of zones`, `?zone=${between}`, signal, this.#zonesUrl);
      if (!listed.ok) return listed;
      const refusal = cutBy(between, name, sets.value, listed.value);
      if (refusal !== null) return done({ ...seen.value, refusal });
    }
    return seen;
  }

  async #see(zone: Zone, name: Name, signal: AbortSignal): Promise<Called<Seen>> {
    const owners = [name, markerName(name)];
    const found = await sideBySide(owners, 2, (owner) => this.#rrsets(owner, signal));
    if (!found.ok) return found;
    const [at, marker] = found.value as [readonly Rrset[], readonly Rrset[]];
    // Only where nothing is given may something be there that is not.
    const isGiven = [at.some((s) => s.type === 'CNAME'), marker.some((s) => s.type === 'TXT')];
    const absent = owners.filter((_, i) => !isGiven[i]);
    const hidden = await sideBySide(absent, 2, (owner) => this.#disabled(owner, signal));
    if (!hidden.ok) return hidden;
    const hiddenAt = new Map(absent.map((owner, i) => [owner, hidden.value[i]!]));
    const [atHidden = [], markerHidden = []] = owners.map((owner) => hiddenAt.get(owner));
    const values = (sets: readonly Rrset[], type: string) =>
      sets.flatMap((s) =>
        s.type === type ? s.values.map((value) => ({ value, ttl: s.ttl })) : [],
      );
    return done({
      cnames: values(at, 'CNAME').map(({ value, ttl }) => ({ value: nameFrom(value), ttl })),
      markers: values(marker, 'TXT').map(({ value }) => unquoteText(value, 10)),
      refusal:
        standing(zone, name) ??
        disabled(name, atHidden, 'CNAME') ??
        disabled(markerName(name), markerHidden, 'TXT') ??
        otherType(name, at, 'CNAME') ??
        otherType(markerName(name), marker, 'TXT'),
      ...companyIn(
        'comments',
        at.flatMap((s) => s.comments),
      ),
      // A write reads again, and names nothing but names: there is nothing to remember.
      ref: null,
    });
  }

  async #lookAtNs({ zone, name }: NsPlace, signal: AbortSignal): Promise<Called<NsSeen>> {
    if (zone !== this.#zone) {
      const cure = `give ${zone} a provider of its own, with that \`zone\``;
      return failed('zone', 'rejected', `this account is of ${this.#zone}, not of ${zone}`, {
        cure,
      });
    }
    const owners = [name, delegationMarkerName(zone)];
    const found = await sideBySide(owners, 2, (owner) => this.#rrsets(owner, signal));
    if (!found.ok) return found;
    const [at, marker] = found.value as [readonly Rrset[], readonly Rrset[]];
    const ns = at.filter((set) => set.type === 'NS');
    return done({
      servers: ns.flatMap((set) => set.values.map(nameFrom)),
      fixed: [],
      ttl: ns[0]?.ttl ?? null,
      markers: marker.flatMap((set) =>
        set.type === 'TXT' ? set.values.map((value) => unquoteText(value, 10)) : [],
      ),
      ref: null,
    });
  }

  /** Both sets in one PATCH, against what stands just before it. */
  async #changeNs({ place, from, to }: NsChange, signal: AbortSignal): Promise<Called<null>> {
    const now = await this.#lookAtNs(place, signal);
    if (!now.ok) return now;
    if (!isSameNs(now.value, from)) return movedOn(place);
    const set = (name: Name, type: string, ttl: number, values: readonly string[]) => ({
      ...{ name, type, ttl, changetype: values.length === 0 ? 'DELETE' : 'REPLACE' },
      records: values.map((content) => ({ content, disabled: false })),
    });
    const texts = to.markers.map((text) => quoteText(text, 10) ?? text);
    const ttl = from.ttl ?? markerTtl;
    const rrsets = [
      set(place.name, 'NS', ttl, to.servers),
      set(delegationMarkerName(place.zone), 'TXT', markerTtl, texts),
    ];
    const doing = `PATCH of NS ${place.name}`;
    const sent = await this.#call(doing, this.#url, signal, { rrsets });
    if (!sent.ok) return sent;
    const { status } = sent.value;
    if (status !== 204 && status !== 200) {
      return { ok: false, ...this.#refusal(doing, true, sent.value) };
    }
    const after = await this.#lookAtNs(place, signal);
    if (!after.ok) return halfway(after, 'written, then not read back');
    return isSameNs(after.value, to) ? done(null) : movedOn(place);
  }

  /** Every enabled record set at exactly this name. */
  async #rrsets(name: Name, signal: AbortSignal): Promise<Called<readonly Rrset[]>> {
    const read = await this.#get(`GET of ${name}`, `?rrset_name=${name}`, signal);
    if (!read.ok) return read;
    const sets = rrsetsOf(read.value);
    if (sets === null) return garbled(`GET of ${name}`, false, 'the answer lists no record sets');
    return done(sets.filter((s) => s.name === name && s.values.length > 0));
  }

  /** Types of the disabled records at a name: a reading of its sets leaves them out (4.7). */
  async #disabled(name: Name, signal: AbortSignal): Promise<Called<readonly string[]>> {
    const query = `?q=${name.slice(0, -1)}&max=${searchMax}&object_type=record`;
    const read = await this.#get(`search for ${name}`, query, signal, this.#searchUrl);
    if (!read.ok) return read;
    if (!Array.isArray(read.value)) {
      return garbled(`search for ${name}`, false, 'the answer is no list');
    }
    const own = read.value.map(fieldsOf).filter((r) => nameOf(r) === name);
    const hidden = own.flatMap((r) => (r['disabled'] === true ? [String(r['type'])] : []));
    if (hidden.length > 0 || read.value.length < searchMax) return done(hidden);
    const detail = `what is disabled at ${name} is not known: too much names it`;
    return failed('record', 'rejected', detail);
  }

  /** The zone's own facts and its NS set. */
  async #fetch(signal: AbortSignal): Promise<Called<Zone>> {
    const doing = `GET of ${this.#zone}`;
    const read = await this.#get(doing, `?rrset_name=${this.#zone}&rrset_type=NS`, signal);
    if (!read.ok) return read;
    const { kind, soa_edit_api: edit, dnssec, api_rectify: rectify } = fieldsOf(read.value);
    const sets = rrsetsOf(read.value);
    if (typeof kind !== 'string' || sets === null) {
      return garbled(doing, false, 'the answer describes no zone');
    }
    const ns = sets.filter((s) => s.name === this.#zone && s.type === 'NS');
    const warnings: string[] = [];
    if (/^(master|primary|producer)$/i.test(kind) && (edit ?? '') === '') {
      warnings.push(
        `zone ${this.#zone} has no SOA-EDIT-API: a change leaves its serial as it is, and no ` +
          'secondary fetches it; set it to DEFAULT',
      );
    }
    if (dnssec === true && rectify !== true) {
      warnings.push(
        `zone ${this.#zone} is signed without API-RECTIFY: a new name may be denied by NSEC; ` +
          'set API-RECTIFY to 1',
      );
    }
    const nameServers = ns.flatMap((s) => s.values.map(nameFrom));
    return done({ name: this.#zone, id: this.#zone, kind, nameServers, warnings });
  }

  async #get(
    doing: string,
    query: string,
    signal: AbortSignal,
    base = this.#url,
  ): Promise<Called<unknown>> {
    const read = await this.#call(doing, base + query, signal, null);
    if (!read.ok) return read;
    if (read.value.status === 200) return done(read.value.body);
    return { ok: false, ...this.#refusal(doing, false, read.value) };
  }

  #refusal(doing: string, write: boolean, { status, body }: Reply): Trouble {
    if (status === 404) {
      const cure = 'check `endpoint`, `server` and `zone`';
      const detail = `${doing}: the server has no zone ${this.#zone}`;
      return { fault: fault('rejected', detail, { cure }), scope: 'zone', stale: true };
    }
    return statusTrouble(status, { doing, write }, scrub(fieldsOf(body)['error'], [this.#key]));
  }

  /** One call: a GET, or with `patch` a PATCH that is sent once. */
  #call(
    doing: string,
    url: string,
    signal: AbortSignal,
    patch: object | null,
  ): Promise<Called<Reply>> {
    const write = patch !== null;
    const options = { doing, write, signal, timeoutMs: this.#timeoutMs, explain: () => null };
    return exchange(options, async (stop) => {
      this.#calls++;
      const response = await fetch(url, {
        method: write ? 'PATCH' : 'GET',
        headers: { 'x-api-key': this.#key, accept: 'application/json' },
        ...(write ? { body: JSON.stringify(patch) } : {}),
        agent: this.#agent,
        redirect: 'manual',
        size: answerMax,
        signal: stop,
      });
      const text = await response.text();
      return { status: response.status, body: jsonOf(text, response.status === 200) };
    });
  }
}

function prepare(change: Change): Called<Prepared> {
  const quoted = quoteText(formatMarker(change.to.marker), 10);
  if (quoted !== null) return done({ change, quoted });
  return failed('record', 'rejected', `the marker of ${change.name} is longer than 255 bytes`);
}

/** What the zone itself forbids. */
function standing(zone: Zone, name: Name): Refusal | null {
  if (name === zone.name) {
    const sentence = `${name} is the apex of its zone, where no CNAME may stand`;
    return { word: 'apex', sentence: `${sentence}; steer a name below it` };
  }
  if (!/^(slave|secondary|consumer)$/i.test(zone.kind)) return null;
  const sentence = `zone ${zone.name} is a copy (${zone.kind}) that its primary overwrites`;
  return { word: 'secondary', sentence: `${sentence}: name the primary's API as endpoint` };
}

/** Names above one and below its zone, the nearest to the zone first. */
function namesBetween(name: Name, zone: Name): readonly Name[] {
  const above = ancestors(name).filter((a) => a !== name && a !== zone && isWithin(a, zone));
  return above.reverse().slice(0, betweenMax);
}

/** Why the server answers for a name otherwise than by what its zone has at it; null: it does not. */
function cutBy(between: Name, name: Name, sets: readonly Rrset[], zones: unknown): Refusal | null {
  const types = sets.map((s) => s.type);
  const isZone = Array.isArray(zones) && zones.some((z) => nameOf(z) === between);
  if (isZone) {
    const sentence = `${name} lies in ${between}, a zone of its own at this server`;
    return { word: 'delegated', sentence: `${sentence}: name that as the zone of a provider` };
  }
  if (types.includes('NS')) {
    const sentence = `${between} is delegated to other servers, and ${name} with it`;
    return { word: 'delegated', sentence: `${sentence}: give those as a provider of their own` };
  }
  if (!types.includes('DNAME')) return null;
  const sentence = `${name} is made up by a DNAME at ${between}`;
  return { word: 'synthesized', sentence: `${sentence}: remove that first` };
}

function nameOf(said: unknown): Name | null {
  const { name } = fieldsOf(said);
  return typeof name === 'string' ? nameFrom(name) : null;
}

// ---------------------------------------------------------------- shapes

/** Refusals come as plain text, so only an answer that must be JSON may fail for not being it. */
function jsonOf(text: string, needed: boolean): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (needed) throw error;
    return null;
  }
}

function rrsetsOf(body: unknown): readonly Rrset[] | null {
  const list = fieldsOf(body)['rrsets'];
  if (!Array.isArray(list)) return null;
  const sets = list.map(rrsetOf);
  return sets.includes(null) ? null : (sets as Rrset[]);
}

function rrsetOf(raw: unknown): Rrset | null {
  const { name, type, ttl, records, comments } = fieldsOf(raw);
  if (typeof name !== 'string' || typeof type !== 'string') return null;
  if (typeof ttl !== 'number' || !Array.isArray(records)) return null;
  const enabled = records.map(fieldsOf).filter((r) => r['disabled'] !== true);
  const values = enabled.map((r) => r['content']);
  if (!values.every((v) => typeof v === 'string')) return null;
  const words = (Array.isArray(comments) ? comments : []).map((c) => fieldsOf(c)['content']);
  return {
    name: nameFrom(name),
    type: type.toUpperCase(),
    ttl,
    values,
    comments: words.filter((word) => typeof word === 'string'),
  };
}

/** What a person has put out of service is not ours to put back, nor to write over. */
function disabled(name: Name, hidden: readonly string[], type: string): Refusal | null {
  if (!hidden.includes(type)) return null;
  const sentence = `a ${type} at ${name} is disabled`;
  return { word: 'disabled', sentence: `${sentence}: enable it, or delete it` };
}

function otherType(name: Name, sets: readonly Rrset[], wanted: string): Refusal | null {
  const other = sets.find((s) => s.type !== wanted);
  if (other === undefined) return null;
  const sentence = `a record of type ${other.type.replaceAll(/\W/g, '?')} stands at ${name}`;
  return { word: 'other-type', sentence: `${sentence}: remove it first` };
}
