// Alibaba Cloud DNS (API 2015-01-09, through kit/pop.ts; kit/alidns-rows.ts reads what it says,
// kit/alidns-change.ts knows what makes a change right). The vendor changes one record at a time and
// has no compare-and-swap, so a change goes: claim the epoch with a TXT of its own, read again,
// change the CNAME in place, then the marker, then read both back. The CNAME goes before the
// marker: a change cut in half shows an old epoch, which every reader takes for lag. In a crowd the
// marker comes in a change of its own, once all have their CNAMEs: until then the claim alone keeps
// off whoever is behind. It must never delete a CNAME, never delete a text that is not one of
// Detour's claims, never take a claim back under which a CNAME was changed, and never send a write
// twice.

import { createHash } from 'node:crypto';
import { z } from 'zod';
import { claimName, delegationMarkerName, markerName } from '../src/core/marker.ts';
import type { Change, Name, NsChange, NsPlace, NsSeen, Seen } from '../src/core/model.ts';
import { unrooted } from '../src/core/name.ts';
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
import {
  claimPut,
  isMade,
  isMarkedBy,
  judge,
  keyOf,
  linesOf,
  ownOf,
  type Put,
  putsOf,
  type Sight,
  sightOf,
  standsAgainst,
  unwritable,
} from './kit/alidns-change.ts';
import {
  crowd,
  defaultLine,
  idOf,
  look,
  pageSize,
  type Row,
  type Rows,
  rowsFrom,
  textOf,
  type Zone,
  zoneFrom,
} from './kit/alidns-rows.ts';
import { sideBySide } from './kit/batch.ts';
import { below, shellWord } from './kit/by-hand.ts';
import { ByZone, oneByOne } from './kit/by-zone.ts';
import { abandonedMs, type Claim, claimOf } from './kit/claim.ts';
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
import { type Called, done, failed, garbled } from './kit/fault.ts';
import { halfway, isSettling, leavesMarker } from './kit/guarded.ts';
import type { Keys } from './kit/held.ts';
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
import { label, type RowsOf, readRows } from './kit/rows.ts';
import { nameFrom, spellings, type ZoneFinder, zoneFinder } from './kit/zone.ts';

interface AlidnsSettings extends AliKeySettings {
  /** The domain as the account holds it; found by asking when absent. */
  readonly zone?: Name | undefined;
  readonly endpoint: string;
  readonly proxy?: ProxySettings | undefined;
}

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

const listPage = 500;
const listsNothing = 'the answer lists no records';
/** Changes at the same time: while one is written, others are read before and after. */
const changesAtOnce = 4;
/** Calls for each change: claim, three names read three times, the marker, the sweep. */
const callsPerChange = 13;
/** Claims of passed epochs deleted after one write; the rest waits for the next. */
const sweepMax = 2;
/** Claims under which a CNAME may have been changed that are remembered. */
const usedMax = 65_536;

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
    const { name } = change;
    if (isSettling(change)) {
      const now = await this.#sight(zone, name, signal);
      if (!now.ok || ownOf(now.value, mine) !== undefined) return now;
    }
    const claimed = await this.#put(zone, claimPut(zone, change, mine), signal);
    return claimed.ok ? this.#sight(zone, name, signal) : claimed;
  }

  /** Everything that is planned, in its order. */
  async #apply(zone: Zone, change: Change, now: Sight, signal: AbortSignal): Promise<Called<null>> {
    for (const [i, put] of putsOf(zone, change, now).entries()) {
      const written = await this.#put(zone, put, signal);
      if (written.ok) continue;
      if (i === 0) return written;
      const { detail, retryAfterMs } = written.fault;
      const { Line: line } = put.values;
      const what = line === undefined ? 'its marker' : `on the line ${shown(line)}`;
      const said = `the CNAME is changed, ${what} not: ${detail}`;
      return failed(written.scope, 'uncertain', said, { retryAfterMs });
    }
    return done(null);
  }

  /** Adds a record, or changes the one that stands there; already there is as good as done. */
  async #put(zone: Zone, { name, row, values }: Put, signal: AbortSignal): Promise<Called<null>> {
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
    if (isMarkedBy(now.seen, mine)) return;
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
      servers: ns.map((row) => nameFrom(row.value)),
      fixed: [],
      ttl: ns.length === 0 ? null : Math.max(...ns.map((row) => row.ttl)),
      markers: texts.map(textOf),
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
    const isClaim = (row: Row) => /^claim=/.test(textOf(row));
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
      const own = claims.find((row) => textOf(row) === about.claim);
      if (own !== undefined) await this.#forget(zone, own, signal);
      return result;
    };
    const standing = { servers: ns.map((r) => nameFrom(r.value)), markers: texts.map(textOf) };
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
      ...ns.filter((r) => servers.gone.includes(nameFrom(r.value))).map((row) => () => erase(row)),
      ...markers.come.map((value) => () => about.add(marker, 'TXT', value, about.ttl)),
      ...texts.filter((r) => markers.gone.includes(textOf(r))).map((row) => () => erase(row)),
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
    return done(sightOf(zone, name, found.value as [Rows, Rows, Rows]));
  }
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
