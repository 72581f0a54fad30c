// Alibaba Cloud DNS (API 2015-01-09, through pop.ts). The vendor changes one record at
// a time and has no compare-and-swap, so a change goes: claim the epoch with a TXT of its own,
// read again, change the CNAME in place, then the marker, then read both back. The CNAME goes
// before the marker: a change cut in half shows an old epoch, which every reader takes for lag. In a
// crowd the marker comes in a change of its own, once all have their CNAMEs: until then the claim
// alone keeps off whoever is behind. It must never delete a CNAME, never delete a text that is not
// one of Detour's claims, never take a claim back under which a CNAME was changed, and never send a
// write twice.

import { createHash } from 'node:crypto';
import { z } from 'zod';
import {
  claimName,
  delegationMarkerName,
  formatMarker,
  markerName,
  parseMarker,
} from '../src/core/marker.ts';
import type {
  Change,
  Fault,
  Name,
  NsChange,
  NsPlace,
  NsSeen,
  Refusal,
  Seen,
} from '../src/core/model.ts';
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
import { dnsName } from '../src/kit/schema.ts';
import { tunnelsOf } from './kit/agents.ts';
import {
  type AliKeySettings,
  aliKeySettings,
  aliKeys,
  refuseOtherAliKeys,
} from './kit/ali-keys.ts';
import { sideBySide } from './kit/batch.ts';
import { below, shellWord } from './kit/by-hand.ts';
import { ByZone, oneByOne } from './kit/by-zone.ts';
import { type Claim, claimantOf, claimOf } from './kit/claim.ts';
import {
  delegationHands,
  isApex,
  isSameNs,
  markerTtl,
  movedOn,
  type NsMoves,
  zoneOfPlace,
} from './kit/delegation.ts';
import { endpoint } from './kit/endpoint.ts';
import { type Called, done, failed, fault, fieldsOf, garbled, type Trouble } from './kit/fault.ts';
import { halfway, isSettling, leavesMarker } from './kit/guarded.ts';
import type { Keys } from './kit/held.ts';
import { Listing } from './kit/listing.ts';
import { type AliKeys, isNoDomain, PopApi, type PopReply, shown } from './kit/pop.ts';
import {
  bad,
  fromAnswer,
  fromProbe,
  fromTrouble,
  good,
  ofRecord,
  ofZone,
  ttlFloor,
  warn,
  zoneRead,
} from './kit/preflight.ts';
import { type ProxySettings, proxy, refuseClearProxy } from './kit/proxy.ts';
import type { Room, Told } from './kit/room.ts';
import { type Found, type Listed, label, type RowsOf, readRows } from './kit/rows.ts';
import {
  apexRefused,
  delegatedAt,
  nameFrom,
  spellings,
  unquoteText,
  type ZoneFinder,
  zoneFinder,
} from './kit/zone.ts';

interface AlidnsSettings extends AliKeySettings {
  /** The domain as the account holds it; found by asking when absent. */
  readonly zone?: Name | undefined;
  readonly endpoint: string;
  readonly proxy?: ProxySettings | undefined;
}

/** It answers whoever no other line does. */
const defaultLine = 'default';

const capabilities: Capabilities = {
  type: 'alidns',
  title: 'Alibaba Cloud DNS',
  fence: {
    kind: 'weak',
    note:
      'The vendor has no compare-and-set and changes one record at a time. Each epoch is claimed ' +
      `with a text at \`${claimName('<record>')}\`; CNAME, marker and claims are read just ` +
      'before and just after the write. A writer that stalls between the two can still write ' +
      'late: it is noticed and repaired, not prevented.',
  },
  atomic: false,
  settlesLater: true,
  readMax: 5000,
  writeMax: 10,
  // Claim, three names read, the CNAME, three names read. One write of a domain takes some 31 ms with
  // its way there (`npm run bench:mass`), and the next is refused until it has ended.
  eachRecord: { calls: 8, writes: 2, zoneMs: 62 },
  // Of each change: read three names, claim, read three names, two changes and one for each further
  // line, read three names, two claims deleted; and the zone may have to be found first.
  callsMax: 150,
  // Documented for each action and account: 60/s to add, 60/s to update, 60/s to delete, 300/s to
  // look (API quota, 2026-11). Half of our calls look: this stays below half of each.
  quota: { burst: 200, perSecond: 200, reserve: 80 },
  permissions: [
    {
      permission: 'alidns:DescribeDomainInfo',
      note: 'this and the others on acs:alidns::<account>:domain/<zone> alone',
    },
    { permission: 'alidns:DescribeSubDomainRecords', note: null },
    { permission: 'alidns:DescribeDomainRecords', note: null },
    { permission: 'alidns:AddDomainRecord', note: null },
    { permission: 'alidns:UpdateDomainRecord', note: null },
    {
      permission: 'alidns:DeleteDomainRecord',
      note: 'for claims of epochs that have passed; never a CNAME',
    },
  ],
  delegation: {
    apex: false,
    note:
      'one record at a time, under a claim that the vendor takes only once; its API lists no NS ' +
      'records of an apex, so that nothing could be compared or put back there: that is left alone',
    permissions: ['the same on the domain of the parent'],
  },
  refuses: [
    { word: 'apex', note: 'a CNAME at the top of a zone hides its mail and more' },
    {
      word: 'line',
      note: 'a record on a line that `lines` does not list, which would go on serving the old target',
    },
    { word: 'weighted', note: 'weights, or more than one CNAME on a line' },
    { word: 'disabled', note: 'a paused record' },
    { word: 'locked', note: 'a record that somebody locked' },
    { word: 'other-type', note: 'records of other types at the name or at the marker' },
    { word: 'delegated', note: 'a name below NS records of a name between it and its zone' },
    { word: 'blocked', note: 'a zone in the black hole or in traffic cleaning' },
  ],
  lines: { default: defaultLine },
};

/** By the console, or by the aliyun CLI (Alibaba Cloud DNS 2015-01-09, UpdateDomainRecord). */
function byHand(
  { zone }: AlidnsSettings,
  { record, cname, ttl, lines = [defaultLine] }: ByHand,
): readonly HandStep[] {
  const name = unrooted(record);
  const value = unrooted(cname);
  const rr = zone === undefined ? 'RR' : below(record, zone);
  const also = zone === undefined ? ' and its RR' : '';
  const isOne = lines.length === 1;
  const each = isOne ? '' : `, each of its ${lines.length} lines (${lines.join(', ')})`;
  return [
    {
      text:
        `In the console, https://dns.console.aliyun.com/: choose the zone, Settings (解析设置), ` +
        `the CNAME ${name}${each}, Edit (修改), set the value ${value}, leave the line ` +
        `${isOne ? 'on Default (默认)' : 'as it is'}.`,
    },
    {
      text: `Or by the aliyun CLI: look up the id of the record, RECORD below${also}.`,
      shell: `aliyun alidns DescribeSubDomainRecords --SubDomain ${name} --Type CNAME`,
    },
    {
      text: isOne
        ? 'Then change it in place. Below 600 the TTL wants a paid edition.'
        : 'Then change each in place, by its own RECORD and with its own Line, without which it ' +
          'becomes the default one. Below 600 the TTL wants a paid edition.',
      shell: lines
        .map((line) => {
          const own = isOne ? '' : ` --Line ${shellWord(line)}`;
          return (
            `aliyun alidns UpdateDomainRecord --RecordId RECORD --RR ${shellWord(rr)} --Type CNAME \\\n` +
            `  --Value ${value} --TTL ${ttl}${own}`
          );
        })
        .join('\n'),
    },
  ];
}

export const alidns: ProviderType<AlidnsSettings> = {
  type: 'alidns',
  cloud: 'aliyun',
  capabilities,
  settings: z
    .strictObject({
      ...aliKeySettings,
      zone: dnsName.optional(),
      endpoint: endpoint.default('https://alidns.aliyuncs.com'),
      proxy: proxy.optional(),
    })
    .superRefine(refuseClearProxy)
    .superRefine(refuseOtherAliKeys),
  byHand,
  create: (name, settings, context) => new Alidns(name, settings, context),
};

/** Records of one name that one page may carry; a name with more is refused. */
const pageSize = 100;
const listPage = 500;
/** Changes at the same time: while one is written, others are read before and after. */
const changesAtOnce = 4;
/** Calls for each change: claim, three names read three times, the marker, the sweep. */
const callsPerChange = 13;
/** Claims of passed epochs deleted after one write; the rest waits for the next. */
const sweepMax = 2;
/**
 * A rival's claim this much older than ours, by the vendor's clock, whose marker never came, was
 * left by a writer that died: longer than any change may take.
 */
const abandonedMs = 60_000;
/**
 * The same of one with a higher epoch than ours, whose marker may wait for a whole crowd: longer
 * than 10,000 records of one domain take, a write after the other.
 */
const overtakenMs = 900_000;
/** Claims under which a CNAME may have been changed that are remembered. */
const usedMax = 65_536;

/** A domain of the account. */
interface Zone {
  /** As the vendor writes its name: no trailing dot. */
  readonly id: string;
  readonly name: Name;
  readonly nameServers: readonly string[];
  readonly ttlMin: number | null;
  /** The lines that its edition has; null where the vendor does not say. */
  readonly lines: readonly string[] | null;
  readonly warnings: readonly string[];
  readonly refusal: Refusal | null;
  readonly listing: Listing;
}

/** One record as the vendor tells of it. */
interface Row {
  readonly id: string;
  readonly type: string;
  readonly value: string;
  readonly ttl: number;
  readonly line: string;
  readonly enabled: boolean;
  readonly locked: boolean;
  readonly weighted: boolean;
  /** Vendor's clock, milliseconds; null when it does not say. */
  readonly createdWall: number | null;
  /** For people; null: none. */
  readonly remark: string | null;
}

interface Claimed extends Claim {
  readonly row: Row;
}

/** Everything a write must know just before and just after. */
interface Sight {
  readonly seen: Seen;
  /** One a line where it may be written. */
  readonly cnames: Rows;
  readonly marker: Row | undefined;
  readonly claims: readonly Claimed[];
}

class Alidns implements Provider {
  readonly name: string;
  readonly capabilities = capabilities;
  readonly #keys: Keys<AliKeys>;
  readonly #api: PopApi;
  readonly #zones: ZoneFinder<Zone>;
  readonly #byZone: ByZone<Zone>;
  readonly #rowsOf: RowsOf<Zone, Row> = {
    rowsAt: (zone, name, signal) => this.#rows(zone, name, signal),
    page: (zone, page, signal) => this.#page(zone, page, signal),
    pageSize: listPage,
    look,
  };
  readonly delegation = delegationHands({
    look: (place, signal) => this.#lookAtNs(place, signal),
    make: (change, moves, signal) => this.#changeNs(change, moves, signal),
  });
  /** The last write of each domain: the vendor takes one at a time. */
  readonly #turns = new Map<string, Promise<void>>();
  /** Claims of ours under which a CNAME may have been changed, until their marker stands. */
  readonly #used = new Set<string>();

  constructor(name: string, settings: AlidnsSettings, context: AdapterContext) {
    this.name = name;
    const { callTimeoutMs } = context;
    const tunnels = tunnelsOf(settings.proxy, context);
    this.#keys = aliKeys(settings, { context, tunnels });
    this.#api = new PopApi({
      base: settings.endpoint,
      version: '2015-01-09',
      keys: this.#keys,
      timeoutMs: callTimeoutMs,
      context,
      tunnels,
    });
    const zones = zoneFinder<Zone>({
      zone: settings.zone ?? null,
      byId: null,
      byName: (zone, signal) => this.#zoneByName(zone, signal),
      // A sub-domain of its own answers from when it is added, whatever stands in the domain above
      // ("Subdomain management", Alibaba Cloud DNS, 2026-02): the longest one counts.
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
    const { name, nameServers, ttlMin, warnings } = found.value;
    return done({ zone: name, nameServers, ttlMin, warnings });
  }

  read: Provider['read'] = (names, signal) =>
    this.#byZone.read(names, signal, (zone, some, room, stop) =>
      this.#readZone(zone, some, room, stop),
    );

  write: Provider['write'] = (changes, signal) =>
    this.#byZone.write(changes, signal, {
      prepare: done<Change>,
      zoneOf: ({ name }, room, stop) => this.#zones.findWithin(name, stop, room),
      writeZone: (zone, some, room, stop) => this.#writeZone(zone, some, room, stop),
    });

  async preflight(
    record: Name,
    signal: AbortSignal,
    lines: readonly string[] = [defaultLine],
  ): Promise<readonly ReachingFinding[]> {
    const found = await this.#lookAtZone(record, signal);
    if (!found.ok) return [fromTrouble('zone', null, found)];
    const zone = found.value;
    const { name, refusal, ttlMin, nameServers } = zone;
    const reach = ofZone(name);
    const findings = [zoneRead(name), ttlFloor(name, ttlMin)];
    if (refusal !== null) return [...findings, bad(reach, 'zone', refusal.sentence)];
    findings.push(good(reach, 'zone', `${name} is active`));
    if (nameServers.length === 0) {
      const cure = 'set `nameservers` of this provider';
      findings.push(warn(reach, 'zone', `the vendor names no servers for ${name}`, cure));
    }
    const lacking = lines.find((line) => zone.lines !== null && !zone.lines.includes(line));
    if (lacking !== undefined) {
      const cure = 'take it out of `lines`, or take an edition that has it';
      const sentence = `the edition of ${name} has no line ${shown(lacking)}`;
      findings.push(bad(reach, 'zone', sentence, cure));
    }
    const now = await this.#sight(zone, record, signal);
    if (!now.ok) return [...findings, fromTrouble('record', name, now)];
    const seen = fromAnswer({ kind: 'answered', value: now.value.seen });
    const other = now.value.cnames.find((r) => !lines.includes(r.line));
    if (other !== undefined) {
      const sentence = `${record} stands on the line ${shown(other.line)}, which is not listed`;
      const cure = 'list it under `lines` where it is published, or remove it at the vendor';
      seen.push(bad(ofRecord, 'record', sentence, cure));
    }
    return [...findings, ...seen, await this.#tryWriting(zone, record, now.value, signal)];
  }

  key(): KeyFacts {
    return this.#keys.facts();
  }

  close(): void {
    this.#api.close();
  }

  // -------------------------------------------------------------- zones

  /** One domain; null when the account does not hold it. */
  async #zoneByName(name: Name, signal: AbortSignal): Promise<Called<Zone | null>> {
    const action = 'DescribeDomainInfo';
    // Domains have their names in their own script: their A-labels are unknown to the vendor
    // (external-dns #6141).
    for (const domain of spellings(name)) {
      const answer = await this.#api.call(
        { action, about: name, write: false },
        { DomainName: domain, NeedDetailAttributes: 'true' },
        signal,
      );
      if (answer.ok) return done(zoneFrom(domain, name, answer.value));
      if (!isNoDomain(answer.code)) return answer;
    }
    return done(null);
  }

  /** The zone of a record as it is today: what is remembered says nothing of keys and blocks. */
  async #lookAtZone(record: Name, signal: AbortSignal): Promise<Called<Zone>> {
    const known = await this.#zones.find(record, signal);
    if (!known.ok) return known;
    const { name } = known.value;
    const read = await this.#zoneByName(name, signal);
    if (!read.ok) return { zone: name, ...read };
    this.#zones.forget(name);
    if (read.value !== null) return done(read.value);
    return failed('zone', 'rejected', `the account of ${this.name} no longer holds ${name}`, {
      cure: 'check `zone` and whose access key it is',
      zone: name,
    });
  }

  // -------------------------------------------------------------- reading

  #readZone(
    zone: Zone,
    names: readonly Name[],
    room: Room,
    signal: AbortSignal,
  ): Promise<readonly Told<Seen>[]> {
    this.#askAgain(zone);
    return readRows(zone, names, this.#rowsOf, { room, signal });
  }

  /** A blocked zone is asked for again each time: blocks are lifted. */
  #askAgain(zone: Zone): void {
    if (zone.refusal !== null) this.#zones.forget(zone.name);
  }

  /** One page of the whole domain. */
  async #page(zone: Zone, page: number, signal: AbortSignal) {
    const action = 'DescribeDomainRecords';
    const answer = await this.#api.call(
      { action, about: zone.name, write: false },
      { DomainName: zone.id, PageNumber: page, PageSize: listPage },
      signal,
    );
    if (!answer.ok) return answer;
    const rows = rowsFrom(answer.value);
    if (rows === null) return garbled(`${action} of ${zone.name}`, false, listsNothing);
    return done({ rows, total: Number(answer.value['TotalCount']) });
  }

  /** Every record at exactly this name: the vendor's own search is a fuzzy one. */
  async #rows(zone: Zone, name: Name, signal: AbortSignal): Promise<Called<Rows>> {
    const action = 'DescribeSubDomainRecords';
    const answer = await this.#api.call(
      { action, about: name, write: false },
      { SubDomain: `${label(zone, name)}.${zone.id}`, DomainName: zone.id, PageSize: pageSize },
      signal,
    );
    if (!answer.ok) return answer;
    const rows = rowsFrom(answer.value);
    if (rows === null) return garbled(`${action} of ${name}`, false, listsNothing);
    const here = rows.filter((r) => r.rr === label(zone, name));
    const missed = Number(answer.value['TotalCount']) - rows.length;
    // A page that does not hold them all must not be mistaken for the whole.
    return done(missed > 0 ? [...here, crowd] : here);
  }

  // -------------------------------------------------------------- writing

  /** Side by side, so that the vendor, who takes one write at a time, need not wait for readings. */
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
      callsEach: ({ to }) => callsPerChange + linesOf(to).length,
      work: (change) => this.#writeOne(zone, change, signal),
    });
  }

  async #writeOne(zone: Zone, change: Change, signal: AbortSignal): Promise<Called<null>> {
    const objection = unwritable(zone, change);
    if (objection !== null) return objection;
    const { name } = change;
    return (
      (await this.#inTurn(name, signal, () => this.#change(zone, change, signal))) ??
      failed('record', 'unavailable', `another change of ${name} was still under way`)
    );
  }

  /**
   * Runs work when everything before it under the same key has ended: a name's changes, and a
   * domain's writes, one after the other. Null, and nothing done, when the signal comes first.
   */
  async #inTurn<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T | null> {
    const before = this.#turns.get(key) ?? Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const turn = before.then(() => promise);
    this.#turns.set(key, turn);
    try {
      return (await endsWithin(before, signal)) ? await work() : null;
    } finally {
      resolve();
      if (this.#turns.get(key) === turn) this.#turns.delete(key);
    }
  }

  /** One write of a domain, in its turn. */
  async #send(
    zone: Zone,
    asked: { readonly action: string; readonly about: string },
    params: Readonly<Record<string, string | number>>,
    signal: AbortSignal,
  ): Promise<PopReply> {
    const send = () => this.#api.call({ ...asked, write: true }, params, signal);
    const late = `${asked.action} of ${asked.about}: another write of ${zone.id} was under way`;
    return (
      (await this.#inTurn(zone.id, signal, send)) ?? {
        ...failed('zone', 'unavailable', late),
        code: null,
      }
    );
  }

  /** The change itself, with the name to ourselves as far as this process goes. */
  async #change(zone: Zone, change: Change, signal: AbortSignal): Promise<Called<null>> {
    const mine = claimOf(change.to.marker);
    const now = await this.#underClaim(zone, change, mine, signal);
    if (!now.ok) return now;
    let after: Called<Sight> = now;
    if (!isMade(now.value.seen, change)) {
      const objection = standsAgainst(now.value, change, mine);
      if (objection !== null) {
        const isUsed = isSettling(change) || this.#used.has(keyOf(change, mine));
        if (!isUsed) await this.#withdraw(zone, now.value, mine, signal);
        return { ok: false, scope: 'record', fault: objection };
      }
      this.#use(keyOf(change, mine));
      const applied = await this.#apply(zone, change, now.value, signal);
      if (!applied.ok) return applied;
      after = await this.#sight(zone, change.name, signal);
    }
    if (!after.ok) {
      const { detail, retryAfterMs } = after.fault;
      const said = `written, then not read back: ${detail}`;
      return failed(after.scope, 'uncertain', said, { retryAfterMs });
    }
    const doubt = judge(after.value, change, mine);
    if (doubt !== null) return { ok: false, scope: 'record', fault: doubt };
    if (leavesMarker(change)) return done(null);
    this.#used.delete(keyOf(change, mine));
    await this.#sweep(zone, after.value, mine, signal);
    return done(null);
  }

  /** What stands, under our claim: it is made, unless it stands since the CNAME was changed. */
  async #underClaim(
    zone: Zone,
    change: Change,
    mine: Claim,
    signal: AbortSignal,
  ): Promise<Called<Sight>> {
    const { name, to } = change;
    if (isSettling(change)) {
      const now = await this.#sight(zone, name, signal);
      if (!now.ok || ownOf(now.value, mine) !== undefined) return now;
    }
    const claimed = await this.#put(zone, claimName(name), undefined, signal, {
      Type: 'TXT',
      Value: `epoch=${mine.epoch} id=${mine.id}`,
      TTL: textTtl(zone, to),
    });
    return claimed.ok ? this.#sight(zone, name, signal) : claimed;
  }

  /**
   * CNAMEs, the default line's first, which catches most; then the marker. Each in place, and each
   * only if it is not what is wanted already. Cut in half, the marker is still that of before.
   */
  async #apply(zone: Zone, change: Change, now: Sight, signal: AbortSignal): Promise<Called<null>> {
    const { name, to } = change;
    const { cnames, marker } = now;
    let touched = false;
    const halfway = (trouble: { readonly ok: false } & Trouble, what: string): Called<null> => {
      const { scope, fault } = trouble;
      const { detail, retryAfterMs } = fault;
      return touched
        ? failed(scope, 'uncertain', `the CNAME is changed, ${what} not: ${detail}`, {
            retryAfterMs,
          })
        : trouble;
    };
    for (const line of linesOf(to)) {
      const row = cnames.find((r) => r.line === line);
      if (row !== undefined && nameOf(row.value) === to.cname && row.ttl === to.ttl) continue;
      const put = { Type: 'CNAME', Value: to.cname.slice(0, -1), TTL: to.ttl, Line: line };
      const written = await this.#put(zone, name, row, signal, put);
      if (!written.ok) return halfway(written, `on the line ${shown(line)}`);
      touched = true;
    }
    if (leavesMarker(change)) return done(null);
    const text = { Type: 'TXT', Value: formatMarker(to.marker), TTL: textTtl(zone, to) };
    const written = await this.#put(zone, markerName(name), marker, signal, text);
    return written.ok ? written : halfway(written, 'its marker');
  }

  /** Adds a record, or changes the one that stands there; already there is as good as done. */
  async #put(
    zone: Zone,
    name: Name,
    row: Row | undefined,
    signal: AbortSignal,
    values: {
      readonly Type: string;
      readonly Value: string;
      readonly TTL: number;
      /** Left out on a change the vendor takes it for the default line, wherever the record stood. */
      readonly Line?: string;
    },
  ): Promise<Called<null>> {
    const RR = label(zone, name);
    const where = row === undefined ? { DomainName: zone.id } : { RecordId: row.id };
    const action = row === undefined ? 'AddDomainRecord' : 'UpdateDomainRecord';
    const about = `${values.Type} of ${name}`;
    const params = { ...where, RR, Line: defaultLine, ...values };
    const answer = await this.#send(zone, { action, about }, params, signal);
    if (answer.ok && idOf(answer.value) === '') {
      return garbled(`${action} of ${name}`, true, 'the answer names no record');
    }
    if (answer.ok || answer.code === 'DomainRecordDuplicate') return done(null);
    return answer;
  }

  /**
   * Writes a record with the very values it has, which the vendor refuses as a duplicate. Of all
   * records a claim comes first: nobody ever changes one, so that nothing can be undone even if
   * another writer is at work between the reading and this.
   */
  async #tryWriting(
    zone: Zone,
    record: Name,
    now: Sight,
    signal: AbortSignal,
  ): Promise<ReachingFinding> {
    const { id: domain, name } = zone;
    const claim = now.claims[0]?.row;
    const row = claim ?? now.marker ?? now.cnames[0];
    const untried = (why: string) =>
      warn(ofRecord, 'write-permission', `writing was not tried: ${why}`);
    if (row === undefined) return untried(`nothing stands at ${record} yet to be written as it is`);
    if (row.locked) return untried(`the record at ${record} is locked`);
    if (this.#turns.has(record) || this.#turns.has(domain)) {
      return untried(`a change of ${domain} is under way`);
    }
    const owner =
      row === claim ? claimName(record) : row.type === 'TXT' ? markerName(record) : record;
    const { id: RecordId, type: Type, value: Value, ttl: TTL, line: Line } = row;
    const about = `${Type} of ${owner} as it is`;
    const params = { RecordId, RR: label(zone, owner), Type, Value, TTL, Line };
    const answer = await this.#inTurn(record, signal, () =>
      this.#send(zone, { action: 'UpdateDomainRecord', about }, params, signal),
    );
    if (answer === null) return untried('there was no time left for it');
    if (answer.ok || answer.code === 'DomainRecordDuplicate') return fromProbe(name, null);
    // Only a duplicate shows that the vendor looked at the change itself.
    if (answer.fault.kind === 'conflict') return untried(answer.fault.detail);
    return fromProbe(name, answer);
  }

  /** From now on a CNAME may have been changed under the claim. */
  #use(key: string): void {
    const [oldest] = this.#used;
    if (this.#used.size >= usedMax) this.#used.delete(oldest!);
    this.#used.add(key);
  }

  /** Takes our claim back: nothing was written under it, and a rival may be waiting. */
  async #withdraw(zone: Zone, now: Sight, mine: Claim, signal: AbortSignal): Promise<void> {
    if (now.seen.markers.some((text) => claimantOf(parseMarker(text)) === mine.id)) return;
    const own = ownOf(now, mine);
    if (own !== undefined) await this.#forget(zone, own.row, signal);
  }

  /** Deletes claims of passed epochs. What cannot be deleted now is deleted after a later write. */
  async #sweep(zone: Zone, after: Sight, mine: Claim, signal: AbortSignal): Promise<void> {
    for (const old of after.claims.filter((c) => c.epoch < mine.epoch).slice(0, sweepMax)) {
      if (!(await this.#forget(zone, old.row, signal))) return;
    }
  }

  // -------------------------------------------------------------- the delegation

  async #lookAtNs(place: NsPlace, signal: AbortSignal): Promise<Called<NsSeen>> {
    const found = await this.#nsRows(place, signal);
    if (!found.ok) return found;
    const { ns, texts } = found.value;
    return done({
      servers: ns.map((row) => nameOf(row.value)),
      fixed: [],
      ttl: ns.length === 0 ? null : Math.max(...ns.map((row) => row.ttl)),
      markers: texts.map(text),
      ref: null,
    });
  }

  async #nsRows(
    place: NsPlace,
    signal: AbortSignal,
  ): Promise<Called<{ zone: Zone; ns: Rows; texts: Rows; claims: Rows }>> {
    if (isApex(place)) {
      const detail = `the vendor's API lists no NS records of ${place.zone} itself`;
      return failed('zone', 'rejected', `${detail}: they cannot be changed`);
    }
    const byName = (zone: Name) => this.#zoneByName(zone, signal);
    const held = await zoneOfPlace(place, this.#zones, byName, signal, 'key');
    if (!held.ok) return held;
    const zone = held.value;
    const names = [place.name, delegationMarkerName(place.zone)];
    const found = await sideBySide(names, names.length, (n) => this.#rows(zone, n, signal));
    if (!found.ok) return found;
    const [at, beside] = found.value as [Rows, Rows];
    const ns = at.filter((row) => row.type === 'NS');
    const odd = [...ns, ...beside].find((r) => r.line !== 'default' || r.locked || !r.enabled);
    const isCrowded = at.includes(crowd) || beside.includes(crowd);
    if (isCrowded || odd !== undefined) {
      const what = isCrowded ? 'too many records' : 'a record of another line, locked or paused';
      return failed('record', 'rejected', `${what} at ${place.name} or its marker`, {
        cure: 'leave plain NS and TXT records there, on the line default',
      });
    }
    const isClaim = (row: Row) => /^claim=/.test(text(row));
    const texts = beside.filter((row) => row.type === 'TXT');
    return done({
      ...{ zone, ns, texts: texts.filter((r) => !isClaim(r)) },
      claims: texts.filter(isClaim),
    });
  }

  /**
   * The claim is named after what was read: two who have read the same want the same claim, and the
   * vendor gives it to one. Whoever has it reads once more, and then changes record by record.
   */
  async #changeNs(change: NsChange, moves: NsMoves, signal: AbortSignal): Promise<Called<null>> {
    const { place, from } = change;
    const before = await this.#nsRows(place, signal);
    if (!before.ok) return before;
    const { zone } = before.value;
    const marker = delegationMarkerName(place.zone);
    const read = JSON.stringify([place.name, from.servers.toSorted(), from.markers.toSorted()]);
    const claim = `claim=${createHash('sha256').update(read).digest('hex').slice(0, 32)}`;
    const ttl = Math.max(markerTtl, zone.ttlMin ?? 0);
    const add = (owner: Name, Type: string, Value: string, TTL: number) =>
      this.#send(
        zone,
        { action: 'AddDomainRecord', about: `${Type} of ${owner}` },
        { DomainName: zone.id, RR: label(zone, owner), Type, Value, TTL, Line: 'default' },
        signal,
      );
    const claimed = await add(marker, 'TXT', claim, ttl);
    if (claimed.ok) return this.#changeClaimed(change, moves, { claim, ttl, add }, signal);
    if (claimed.code !== 'DomainRecordDuplicate') return claimed;
    await this.#dropAbandoned(zone, before.value.claims, signal);
    const cure = `say it again in a minute; if it stays so, delete ${claim} at ${marker}`;
    const detail = `somebody else is changing the NS set of ${place.name} at this moment`;
    return failed('record', 'conflict', detail, { cure });
  }

  async #changeClaimed(
    { place, from, to }: NsChange,
    { servers, markers }: NsMoves,
    about: {
      readonly claim: string;
      readonly ttl: number;
      readonly add: (o: Name, t: string, v: string, ttl: number) => Promise<PopReply>;
    },
    signal: AbortSignal,
  ): Promise<Called<null>> {
    const now = await this.#nsRows(place, signal);
    if (!now.ok) return now;
    const { zone, ns, texts, claims } = now.value;
    const end = async (result: Called<null>): Promise<Called<null>> => {
      const own = claims.find((row) => text(row) === about.claim);
      if (own !== undefined) await this.#forget(zone, own, signal);
      return result;
    };
    const standing = { servers: ns.map((r) => nameOf(r.value)), markers: texts.map(text) };
    if (!isSameNs(standing, from)) return end(movedOn(place));
    const marker = delegationMarkerName(place.zone);
    const erase = (row: Row) =>
      this.#send(
        zone,
        { action: 'DeleteDomainRecord', about: `${row.type} of ${place.name}` },
        { RecordId: row.id },
        signal,
      );
    // What comes stands before anything goes: at no moment is a server the last one.
    const steps = [
      ...servers.come.map(
        (host) => () => about.add(place.name, 'NS', host.slice(0, -1), from.ttl ?? about.ttl),
      ),
      ...ns.filter((r) => servers.gone.includes(nameOf(r.value))).map((row) => () => erase(row)),
      ...markers.come.map((value) => () => about.add(marker, 'TXT', value, about.ttl)),
      ...texts.filter((r) => markers.gone.includes(text(r))).map((row) => () => erase(row)),
    ];
    for (const [i, step] of steps.entries()) {
      const done1 = await step();
      if (done1.ok || done1.code === 'DomainRecordDuplicate') continue;
      if (i === 0) return end(done1);
      const detail = `${i} of ${steps.length} records are changed: ${done1.fault.detail}`;
      return end(failed(done1.scope, 'uncertain', detail, { cure: 'say it again: it goes on' }));
    }
    const after = await this.#lookAtNs(place, signal);
    if (!after.ok) return halfway(after, 'written, then not read back');
    return end(isSameNs(after.value, to) ? done(null) : movedOn(place));
  }

  /** Claims whose writers died: what they had begun is there to be seen, and is gone on with. */
  async #dropAbandoned(zone: Zone, claims: Rows, signal: AbortSignal): Promise<void> {
    for (const row of claims) {
      if (row.createdWall === null || Date.now() - row.createdWall < abandonedMs) continue;
      await this.#forget(zone, row, signal);
    }
  }

  async #forget(zone: Zone, claim: Row, signal: AbortSignal): Promise<boolean> {
    const asked = { action: 'DeleteDomainRecord', about: 'a claim' };
    return (await this.#send(zone, asked, { RecordId: claim.id }, signal)).ok;
  }

  async #sight(zone: Zone, name: Name, signal: AbortSignal): Promise<Called<Sight>> {
    const names = [name, markerName(name), claimName(name)];
    const found = await sideBySide(names, names.length, (n) => this.#rows(zone, n, signal));
    if (!found.ok) return found;
    const [at, marker, claims] = found.value as [Rows, Rows, Rows];
    return done({
      seen: look(zone, name, { at, marker, cuts: [] }),
      cnames: at.filter((r) => r.type === 'CNAME'),
      marker: marker.find((r) => r.type === 'TXT'),
      claims: claims.flatMap((row) => {
        const match =
          row.type === 'TXT' ? /^epoch=(\d{1,15}) id=(\w{1,64})$/.exec(text(row)) : null;
        return match === null ? [] : [{ epoch: Number(match[1]), id: match[2]!, row }];
      }),
    });
  }
}

type Rows = readonly Row[];
type RowAt = Listed<Row>;

// ---------------------------------------------------------------- what stands, what may be written

function look(zone: Zone, name: Name, { at, marker, cuts }: Found<Row>): Seen {
  const [cut] = cuts;
  const cnames = at.filter((r) => r.type === 'CNAME').sort(byLine);
  return {
    cnames: cnames.map(({ value, ttl, line }) => {
      return { value: nameOf(value), ttl, ...(line === defaultLine ? {} : { line }) };
    }),
    markers: marker.filter((r) => r.type === 'TXT').map(text),
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

/** The default line first. */
function byLine(a: Row, b: Row): number {
  const last = ({ line }: Row) => (line === defaultLine ? 0 : 1);
  return last(a) - last(b) || (a.line < b.line ? -1 : a.line > b.line ? 1 : 0);
}

function refusalAt(name: Name, rows: Rows, wanted: 'CNAME' | 'TXT'): Refusal | null {
  if (rows.includes(crowd)) {
    const sentence = `more than ${pageSize} records stand at ${name}: leave the CNAME alone`;
    return { word: 'other-type', sentence };
  }
  const line = wanted === 'TXT' ? rows.find((r) => r.line !== defaultLine) : undefined;
  if (line !== undefined) {
    const sentence = `a text of the line ${shown(line.line)} stands at ${name}: remove it`;
    return { word: 'line', sentence: `${sentence}, the marker stands on ${defaultLine} alone` };
  }
  const other = rows.find((r) => r.type !== wanted);
  if (other !== undefined) {
    const sentence = `a record of type ${shown(other.type)} stands at ${name}: remove it first`;
    return { word: 'other-type', sentence };
  }
  if (rows.some((r) => r.locked)) {
    return { word: 'locked', sentence: `the record at ${name} is locked: unlock it at the vendor` };
  }
  if (rows.some((r) => !r.enabled)) {
    const sentence = `the record at ${name} is paused: resume or remove it at the vendor`;
    return { word: 'disabled', sentence };
  }
  const isShared = new Set(rows.map((r) => r.line)).size < rows.length;
  if (wanted === 'CNAME' && (isShared || rows.some((r) => r.weighted))) {
    const each = rows.some((r) => r.line !== defaultLine) ? ' on each line' : '';
    const sentence = `${name} is balanced by weights: leave one CNAME${each}, switch weights off`;
    return { word: 'weighted', sentence };
  }
  return null;
}

/** Why a change cannot be made as it is, before anything is asked; null when it can. */
function unwritable(zone: Zone, { name, from, to }: Change): Called<never> | null {
  const refusal = from.refusal ?? zone.refusal ?? apexRefused(zone, name);
  if (refusal !== null) return failed('record', 'rejected', refusal.sentence);
  const lines = from.cnames.map((c) => c.line ?? defaultLine);
  if (new Set(lines).size < lines.length || from.markers.length > 1) {
    const detail = `more than one value stands at ${name} or its marker`;
    return failed('record', 'rejected', detail, { cure: 'leave exactly one of each' });
  }
  const other = lines.find((line) => !linesOf(to).includes(line));
  if (other !== undefined) {
    const detail = `${name} stands on the line ${shown(other)}, which is not to be written`;
    return failed('record', 'rejected', detail, { cure: 'list it, or remove it at the vendor' });
  }
  const least = zone.ttlMin ?? 0;
  if (to.ttl < least && !isSet(from, to)) {
    const detail = `${name}: the zone's edition takes no TTL under ${least} s, not ${to.ttl} s`;
    const cure = `publish there with a ttl of ${least}, or take an edition with a lower floor`;
    // The edition that the floor follows from may be another by now.
    return failed('record', 'rejected', detail, { cure, stale: true });
  }
  // The vendor alters quotes, backslashes and outer blanks in a text: it would never read back.
  if (!/^[!#-[\]-~](?:[ !#-[\]-~]{0,509}[!#-[\]-~])?$/.test(formatMarker(to.marker))) {
    const detail = `the marker of ${name} has characters the vendor does not keep`;
    return failed('record', 'rejected', detail);
  }
  return null;
}

/** An adopted CNAME may keep a TTL from before the edition's floor; a new text may not have it. */
function textTtl(zone: Zone, to: Change['to']): number {
  return Math.max(to.ttl, zone.ttlMin ?? 0);
}

/** The lines that a change writes, the default one first. */
function linesOf(to: Change['to']): readonly string[] {
  return to.lines ?? [defaultLine];
}

/** Whether what a change is to do now stands; what it leaves for later need not. */
function isMade(seen: Seen, change: Change): boolean {
  const { from, to } = change;
  if (!isSet(seen, to)) return false;
  return isMarker(seen, to) || (leavesMarker(change) && sameList(seen.markers, from.markers));
}

/** Every line is as it is wanted, and no other stands there. */
function isSet({ cnames }: Seen, to: Change['to']): boolean {
  const lines = linesOf(to);
  return (
    cnames.length === lines.length &&
    lines.every((line) => cnames.some((c) => printLine(c) === printLine({ ...wantedOf(to), line })))
  );
}

function wantedOf({ cname, ttl }: Change['to']): Seen['cnames'][number] {
  return { value: cname, ttl };
}

/** One line and what it gives. */
function printLine({ line = defaultLine, value, ttl }: Seen['cnames'][number]): string {
  return `${line} ${value} ${ttl}`;
}

function isMarker({ markers }: Seen, to: Change['to']): boolean {
  return markers.length === 1 && markers[0] === formatMarker(to.marker);
}

/** Whether what stood when the change was planned still stands, and nobody else is at work. */
function standsAgainst(now: Sight, change: Change, mine: Claim): Fault | null {
  const { name, from } = change;
  if (now.seen.refusal !== null) return fault('conflict', now.seen.refusal.sentence);
  const own = ownOf(now, mine);
  // Whoever reads his own claim reads every claim before it: of two rivals one sees the other.
  if (own === undefined) {
    return fault('unavailable', `${name}: the vendor's reading lags behind its own writing`);
  }
  if (!same(now.seen, from)) {
    return fault('conflict', `${name} is no longer what was read: ${describe(now.seen)}`);
  }
  const rival = now.claims.find(
    (c) => c.epoch >= mine.epoch && c.id !== mine.id && !isOver(c, now.seen, own, mine),
  );
  if (rival === undefined) return null;
  return fault('conflict', `another writer has claimed epoch ${rival.epoch} of ${name}`, {
    cure: `if no other writer lives, delete its text at ${claimName(name)} or wait a minute`,
  });
}

function keyOf({ name }: Change, { epoch, id }: Claim): string {
  return `${name} ${epoch} ${id}`;
}

/** Our own claim, as it was read. */
function ownOf({ claims }: Sight, mine: Claim): Claimed | undefined {
  return claims.find((c) => c.epoch === mine.epoch && c.id === mine.id);
}

/** A claim whose write is complete, or whose writer died before it wrote. */
function isOver(claim: Claimed, seen: Seen, own: Claimed | undefined, mine: Claim): boolean {
  if (seen.markers.some((text) => claimantOf(parseMarker(text)) === claim.id)) return true;
  const [theirs, ours] = [claim.row.createdWall, own?.row.createdWall ?? null];
  const leftMs = claim.epoch > mine.epoch ? overtakenMs : abandonedMs;
  return theirs !== null && ours !== null && ours - theirs > leftMs;
}

/** What the reading after the write says; null when all is as written and nobody went past. */
function judge(after: Sight, change: Change, mine: Claim): Fault | null {
  const { name, from, to } = change;
  const { seen } = after;
  const own = ownOf(after, mine);
  const higher = after.claims.find((c) => c.epoch > mine.epoch && !isOver(c, seen, own, mine));
  if (higher !== undefined) {
    return fault('conflict', `epoch ${higher.epoch} of ${name} was claimed during the write`);
  }
  if (isMade(seen, change)) return null;
  const old = from.cnames.map(printLine);
  const made = linesOf(to).map((line) => printLine({ ...wantedOf(to), line }));
  // Each line gives what was read, or what was written, and no line that stood there is gone.
  const isHalf =
    seen.cnames.length >= old.length &&
    seen.cnames.map(printLine).every((one) => old.includes(one) || made.includes(one));
  const lagging = isHalf && (isMarker(seen, to) || sameList(seen.markers, from.markers));
  return lagging
    ? fault('uncertain', `${name}: the vendor took the change and still reads back the old one`)
    : fault('conflict', `${name} was changed during the write: ${describe(seen)}`);
}

function same(a: Seen, b: Seen): boolean {
  const plain = (s: Seen) => s.cnames.map(printLine).sort();
  return sameList(plain(a), plain(b)) && sameList([...a.markers].sort(), [...b.markers].sort());
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

function describe({ cnames, markers }: Seen): string {
  const on = (line: string | undefined) => (line === undefined ? '' : ` on ${shown(line)}`);
  const all = cnames.map((c) => `${shown(c.value)} (TTL ${c.ttl})${on(c.line)}`);
  const value = all.join(' and ');
  return `now ${value === '' ? 'nothing' : value}, ${markers.length} marker(s)`;
}

// ---------------------------------------------------------------- the vendor's shapes

/** Stands for records beyond the page: no name with one is ever written. */
const crowd: Row = {
  id: '',
  type: '',
  value: '',
  ttl: 0,
  line: defaultLine,
  enabled: true,
  locked: false,
  weighted: false,
  createdWall: null,
  remark: null,
};

const listsNothing = 'the answer lists no records';

function rowsFrom(answer: Readonly<Record<string, unknown>>): readonly RowAt[] | null {
  const listed = fieldsOf(answer['DomainRecords'])['Record'];
  const rows = Array.isArray(listed) ? listed.map(rowOf) : [null];
  return rows.includes(null) ? null : (rows as RowAt[]);
}

function rowOf(raw: unknown): RowAt | null {
  const r = fieldsOf(raw);
  const [id, ttl, weight] = [idOf(r), Number(r['TTL']), Number(r['Weight'] ?? 1)];
  const {
    RR: rr,
    Type: type,
    Value: value,
    Line: line = defaultLine,
    Status: status = 'ENABLE',
  } = r;
  const words = [rr, type, value, line, status];
  if (id === '' || !Number.isSafeInteger(ttl) || !words.every((w) => typeof w === 'string')) {
    return null;
  }
  const created = Number(r['CreateTimestamp'] ?? Number.NaN);
  return {
    id,
    rr: nameFrom(rr as string).slice(0, -1),
    type: (type as string).toUpperCase(),
    value: value as string,
    ttl,
    line: line as string,
    enabled: (status as string).toUpperCase() === 'ENABLE',
    locked: isTrue(r['Locked']),
    weighted: isTrue(r['LbaStatus']) || weight > 1,
    createdWall: Number.isFinite(created) ? created : null,
    remark: typeof r['Remark'] === 'string' ? r['Remark'] : null,
  };
}

function zoneFrom(domain: string, name: Name, info: Readonly<Record<string, unknown>>): Zone {
  const servers = strings(fieldsOf(info['DnsServers'])['DnsServer']);
  const least = Number(info['MinTtl'] ?? Number.NaN);
  const ttlMin = Number.isSafeInteger(least) && least > 0 ? least : null;
  const warnings: string[] = [];
  let refusal: Refusal | null = null;
  if (ttlMin !== null && ttlMin > 60) {
    const edition = shown(String(info['VersionCode'] ?? 'unknown'));
    const late = `resolvers may follow a switch up to ${ttlMin} s late`;
    warnings.push(`${name}: edition ${edition} takes no TTL under ${ttlMin} s, so ${late}`);
  }
  if (servers.length === 0) {
    warnings.push(`${name}: the vendor names no servers for it; set \`nameservers\``);
  }
  for (const [field, what] of [
    ['InBlackHole', 'in the black hole'],
    ['InClean', 'in traffic cleaning'],
  ] as const) {
    if (!isTrue(info[field])) continue;
    const sentence = `the vendor has put ${name} ${what}: its answers cannot be relied on`;
    warnings.push(sentence);
    refusal = { word: 'blocked', sentence: `${sentence}; settle it with the vendor` };
  }
  const listing = new Listing();
  const lines = linesFrom(info);
  return { id: domain, name, nameServers: servers, ttlMin, lines, warnings, refusal, listing };
}

function linesFrom(info: Readonly<Record<string, unknown>>): readonly string[] | null {
  const listed = fieldsOf(info['RecordLines'])['RecordLine'];
  if (!Array.isArray(listed)) return null;
  const codes = listed.map((one) => fieldsOf(one)['LineCode']);
  return codes.filter((code) => typeof code === 'string');
}

/** RecordId: a string, or a number of any length (pop-core makes the long ones objects). */
function idOf(r: Readonly<Record<string, unknown>>): string {
  const id = r['RecordId'];
  const plain = id === null || id === undefined ? '' : String(id);
  return /^\w{1,64}$/.test(plain) ? plain : '';
}

function isTrue(value: unknown): boolean {
  return value === true || value === 'true';
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((v) => typeof v === 'string').slice(0, 32) : [];
}

/** A text's own characters: the vendor gives them bare, other tools store them quoted. */
function text({ value }: Row): string {
  return unquoteText(value, 10);
}

function nameOf(value: string): Name {
  return nameFrom(value);
}

// ---------------------------------------------------------------- waiting

/** Whether it came to its end before the signal. */
async function endsWithin(wait: Promise<void>, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return false;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const stop = () => resolve(false);
  signal.addEventListener('abort', stop, { once: true });
  void wait.then(() => resolve(true));
  const ended = await promise;
  signal.removeEventListener('abort', stop);
  return ended;
}
