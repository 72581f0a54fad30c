// Is the way out really open? Looks at everything a switch will lean on while nothing is wrong: each
// provider's keys and zones, the delegation above them, what their servers give, how long caches
// keep it, signatures, the targets' own names. It only ever asks (a preflight's write changes
// nothing), decides nothing, and stays within its bounds. What cannot be seen now, because a vendor
// is down, keeps the value it had: the facts of yesterday are worth most during the outage.

import { type AuditFinding, type AuditReport, worstFirst } from '../core/audit.ts';
import { markerName } from '../core/marker.ts';
import type {
  Finding,
  FindingWord,
  Name,
  RecordConfig,
  ServerAnswer,
  Survey,
} from '../core/model.ts';
import { isWithin } from '../core/name.ts';
import type { StatusView } from '../core/view.ts';
import { ask } from '../dns/ask.ts';
import { lookForCompany, lookForMeta, type Texts } from '../dns/company.ts';
import { judge, type Key, type Served } from '../dns/dnssec.ts';
import type { Delegated, Resolver } from '../dns/resolver.ts';
import type { Message } from '../dns/wire.ts';
import type { Provider, ZoneFacts } from '../kit/extend.ts';
import { parseHostPort, toName } from '../kit/schema.ts';
import type { Clock, Verifier } from '../ports.ts';
import { lookAtObjectives } from './objective.ts';

interface AuditorOptions {
  readonly records: Readonly<Record<Name, RecordConfig>>;
  readonly providers: Readonly<Record<string, Provider>>;
  /** `HOST` or `HOST:PORT` of a provider's authoritative servers for a record. */
  readonly servers: (
    provider: string,
    record: Name,
    signal: AbortSignal,
  ) => Promise<readonly string[]>;
  readonly resolver: Pick<Resolver, 'addresses' | 'delegation' | 'nameServers'>;
  readonly verifier: Pick<Verifier, 'ask' | 'chain'>;
  readonly texts: Texts;
  readonly clock: Pick<Clock, 'now' | 'wall'>;
  /** Of every name server that has none of its own, and the limit of one exchange with it. */
  readonly port: number;
  readonly timeoutMs: number;
  /** Limit of the whole audit in milliseconds; 60,000 unless given. */
  readonly limitMs?: number;
}

interface Before {
  /** The report before: what cannot be seen now is taken over from it. */
  readonly previous?: AuditReport | null;
  /** Of the daemon, where there is one: checks that were never red, switches under way. */
  readonly status?: StatusView | null;
}

export interface Auditor {
  /** Looks at everything once. Rejects only for a fault of Detour's own. */
  audit(signal: AbortSignal, before?: Before): Promise<AuditReport>;
}

const zonesMax = 200;
const recordsMax = 500;
const findingsMax = 5_000;
const limitMs = 60_000;
const serversMax = 4;
const asksAtOnce = 32;
const zonesAtOnce = 8;
/** Records at each of which six names are asked: gently, nothing waits for it. */
const companyAtOnce = 4;
/** Seconds. A delegation that is kept longer makes the last way out, taking one out, slow. */
const parentTtlMax = 86_400;
const negativeTtlMax = 300;

/** See AuditorOptions; asks nothing until `audit` is called. */
export function createAuditor(options: AuditorOptions): Auditor {
  return {
    async audit(signal, before = {}) {
      const { clock } = options;
      const [startedAt, wall] = [clock.now(), clock.wall()];
      const limit = AbortSignal.any([signal, AbortSignal.timeout(options.limitMs ?? limitMs)]);
      const run = newRun(options, limit, before);
      const held = await lookAtProviders(run);
      const zones = await lookAtZones(run, held);
      await lookAtRecords(run);
      await lookAtTargets(run, zones);
      await lookAtCompany(run, zones);
      lookAtChecks(run);
      for (const one of before.status ? lookAtObjectives(before.status) : []) run.add(one);
      if (limit.aborted) run.cut('it ran out of time, and what is missing was not looked at');
      const surveys = surveysOf(run, held, zones);
      return {
        wall,
        tookMs: Math.round(clock.now() - startedAt),
        complete: run.complete,
        findings: worstFirst(run.findings),
        surveys,
      };
    },
  };
}

interface Place {
  readonly provider?: string;
  readonly zone?: Name;
  readonly record?: Name;
}

interface Run extends AuditorOptions {
  readonly signal: AbortSignal;
  readonly before: Before;
  readonly all: readonly RecordConfig[];
  readonly findings: AuditFinding[];
  complete: boolean;
  say(place: Place, finding: Finding): void;
  /** One that knows its place. */
  add(finding: AuditFinding): void;
  good(place: Place, word: FindingWord, sentence: string): void;
  warn(place: Place, word: FindingWord, sentence: string, cure: string): void;
  bad(place: Place, word: FindingWord, sentence: string, cure: string): void;
  /** Says that a bound was met. */
  cut(why: string): void;
}

function newRun(options: AuditorOptions, signal: AbortSignal, before: Before): Run {
  const findings: AuditFinding[] = [];
  const say = (place: Place, finding: Finding): void => {
    const { provider = null, zone = null, record = null } = place;
    // These and no more: what an adapter adds for itself is no part of a report.
    const { word, severity, sentence, cure } = finding;
    const said = { word, severity, sentence, cure };
    if (findings.length < findingsMax) findings.push({ ...said, provider, zone, record });
    else run.complete = false;
  };
  const run: Run = {
    ...options,
    signal,
    before,
    all: Object.values(options.records),
    findings,
    complete: true,
    say,
    add: (finding) => {
      if (findings.length < findingsMax) findings.push(finding);
      else run.complete = false;
    },
    good: (place, word, sentence) => say(place, { word, severity: 'good', sentence, cure: null }),
    warn: (place, word, sentence, cure) => say(place, { word, severity: 'warn', sentence, cure }),
    bad: (place, word, sentence, cure) => say(place, { word, severity: 'bad', sentence, cure }),
    cut(why) {
      run.complete = false;
      const sentence = `the audit is not whole: ${why}`;
      say({}, { word: 'bounds', severity: 'warn', sentence, cure: 'audit again' });
    },
  };
  return run;
}

/** Runs `work` on every item, `limit` at a time, until the signal. */
async function sideBySide<T>(
  run: Run,
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length && !run.signal.aborted) await work(items[next++]!);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
}

// ---------------------------------------------------------------- providers and their zones

/** What one provider holds for the records under one name. */
interface Holding {
  readonly provider: string;
  readonly parent: Name;
  readonly record: Name;
  readonly facts: ZoneFacts | null;
  /** Its servers as places to ask. */
  readonly hosts: readonly string[];
}

/** The zone of a record is that of everything else directly under the same name. */
function parentOf(record: Name): Name {
  return record.slice(record.indexOf('.') + 1);
}

async function lookAtProviders(run: Run): Promise<readonly Holding[]> {
  const wanted = new Map<string, Map<Name, Name>>();
  const parents = new Set<Name>();
  for (const { name, publish } of run.all) {
    const parent = parentOf(name);
    parents.add(parent);
    if (parents.size > zonesMax) continue;
    for (const { provider } of publish) {
      const mine = wanted.get(provider) ?? new Map<Name, Name>();
      wanted.set(provider, mine);
      if (!mine.has(parent)) mine.set(parent, name);
    }
  }
  if (parents.size > zonesMax) run.cut(`${parents.size} zones, of which ${zonesMax} are looked at`);
  const held = await Promise.all([...wanted].map(([p, mine]) => lookAtProvider(run, p, mine)));
  return held.flat();
}

/** One zone after the other: a vendor's quota is shared with switches. */
async function lookAtProvider(
  run: Run,
  provider: string,
  mine: ReadonlyMap<Name, Name>,
): Promise<readonly Holding[]> {
  const account = run.providers[provider]!;
  const seen = new Set<Name>();
  const held: Holding[] = [];
  let reached = true;
  for (const [parent, record] of mine) {
    const read = reached && !run.signal.aborted ? await account.zone(record, run.signal) : null;
    const facts = read?.ok ? read.value : null;
    const hosts = reached ? await run.servers(provider, record, run.signal) : [];
    held.push({ provider, parent, record, facts, hosts });
    if (read === null || (facts !== null && seen.has(facts.zone))) continue;
    if (facts !== null) seen.add(facts.zone);
    const findings = await account.preflight(record, run.signal);
    if (run.signal.aborted) break;
    for (const finding of findings) {
      const about = aboutRecord.has(finding.word) ? { record } : {};
      run.say({ provider, zone: facts?.zone ?? parent, ...about }, finding);
    }
    // What is out of reach for one zone is so for all: it is said once.
    reached = !findings.some((f) => f.word === 'reach' && f.severity === 'bad');
  }
  return held;
}

/** Of what a vendor is asked, what is about the one record and not about its zone. */
const aboutRecord: ReadonlySet<FindingWord> = new Set([
  'company',
  'record',
  'protection',
  'proxied',
]);

// ---------------------------------------------------------------- delegation and servers

/** What a provider's own servers say of a zone. */
interface Spoken extends Served {
  readonly negativeTtl: number | null;
  readonly ns: readonly Name[] | null;
}

interface ZoneLook {
  readonly zone: Name;
  readonly names: readonly Name[] | null;
  readonly parentTtl: number | null;
  /** By provider, 0 to 1; not there: not known. */
  readonly shares: ReadonlyMap<string, number>;
  readonly spoken: ReadonlyMap<string, Spoken>;
  readonly bars: ReadonlyMap<string, string | null>;
}

async function lookAtZones(
  run: Run,
  held: readonly Holding[],
): Promise<ReadonlyMap<Name, ZoneLook>> {
  const byZone = Map.groupBy(
    held.filter((h) => zoneOf(h, held) !== null),
    (h) => zoneOf(h, held)!,
  );
  for (const [record, zones] of splitRecords(run, held)) {
    const where = zones.map(([provider, zone]) => `${provider} in ${zone}`).join(', ');
    const cure = 'hold it in the zone that is delegated, at every provider';
    run.bad({ record }, 'delegation', `${record} is held in different zones: ${where}`, cure);
  }
  const looks = new Map<Name, ZoneLook>();
  await sideBySide(run, [...byZone], zonesAtOnce, async ([zone, holdings]) => {
    looks.set(zone, await lookAtZone(run, zone, holdings));
  });
  return looks;
}

/** As its provider says; where it cannot be asked, as the others say of the same names. */
function zoneOf(holding: Holding, held: readonly Holding[]): Name | null {
  if (holding.facts !== null) return holding.facts.zone;
  const other = held.find((h) => h.parent === holding.parent && h.facts !== null);
  return other?.facts?.zone ?? null;
}

function splitRecords(run: Run, held: readonly Holding[]): [Name, [string, Name][]][] {
  const known = held.flatMap((h) => (h.facts === null ? [] : [[h, h.facts.zone] as const]));
  const byParent = Map.groupBy(known, ([h]) => h.parent);
  return run.all.flatMap(({ name, publish }): [Name, [string, Name][]][] => {
    const mine = (byParent.get(parentOf(name)) ?? []).flatMap(([h, zone]): [string, Name][] =>
      publish.some((p) => p.provider === h.provider) ? [[h.provider, zone]] : [],
    );
    return new Set(mine.map(([, zone]) => zone)).size > 1 ? [[name, mine]] : [];
  });
}

async function lookAtZone(run: Run, zone: Name, holdings: readonly Holding[]): Promise<ZoneLook> {
  const parent = await run.resolver.delegation(zone, run.signal);
  const names = parent.kind === 'found' ? (parent.names ?? (await ownNames(run, zone))) : null;
  const one = [...Map.groupBy(holdings, (h) => h.provider).values()].map((same) => same[0]!);
  const claims = new Map(one.map((h) => [h.provider, claimed(h)]));
  const shares = sharesOf(names, claims);
  const spoken = new Map<string, Spoken>();
  await Promise.all(
    one.map(async (h) => {
      const share = shares.get(h.provider);
      const delegated = share === undefined ? null : share > 0;
      spoken.set(h.provider, await askServers(run, zone, h, delegated));
    }),
  );
  const parentTtl = parent.kind === 'found' ? parent.ttlSeconds : null;
  sayDelegation(run, zone, parent, names, claims, shares);
  sayShared(run, zone, one, claims);
  sayParentTtl(run, zone, parentTtl);
  for (const s of spoken.values()) sayServed(run, zone, s, names);
  const ds = parent.kind === 'found' ? parent.ds : null;
  const judged = judge(zone, ds, [...spoken.values()]);
  for (const { provider, ...finding } of judged.findings) {
    run.say({ zone, ...(provider === null ? {} : { provider }) }, finding);
  }
  return { zone, names, parentTtl, shares, spoken, bars: judged.bars };
}

/** The zone's own NS set, where its parent's cannot be seen. */
async function ownNames(run: Run, zone: Name): Promise<readonly Name[] | null> {
  const own = await run.resolver.nameServers(zone, run.signal);
  return own.kind === 'found' ? own.names : null;
}

/** Host names of its servers as the provider gives them; null where only addresses are known. */
function claimed({ facts, hosts }: Holding): readonly Name[] | null {
  const names = (facts?.nameServers ?? hosts).flatMap((text) => {
    const parsed = parseHostPort(text, 53);
    const name = parsed === null ? null : toName(parsed.host);
    return name === null || /^[\d.]+\.$/.test(name) ? [] : [name];
  });
  return names.length > 0 ? names : null;
}

/**
 * Each provider's part of the delegation. A server of one's own may name the whole NS set, other
 * vendors' servers with its own: a name belongs to whoever claims the fewest.
 */
function sharesOf(
  names: readonly Name[] | null,
  claims: ReadonlyMap<string, readonly Name[] | null>,
): ReadonlyMap<string, number> {
  const shares = new Map<string, number>();
  if (names === null || names.length === 0) return shares;
  for (const [provider, mine] of claims) if (mine !== null) shares.set(provider, 0);
  for (const name of names) {
    const owners = ownersOf(name, claims);
    for (const provider of owners) {
      shares.set(provider, shares.get(provider)! + 1 / owners.length / names.length);
    }
  }
  return shares;
}

function ownersOf(
  name: Name,
  claims: ReadonlyMap<string, readonly Name[] | null>,
): readonly string[] {
  const all = [...claims].flatMap(([provider, mine]) =>
    mine?.includes(name) ? [{ provider, size: mine.length }] : [],
  );
  const least = Math.min(...all.map((o) => o.size));
  return all.filter((o) => o.size === least).map((o) => o.provider);
}

function sayDelegation(
  run: Run,
  zone: Name,
  parent: Delegated,
  names: readonly Name[] | null,
  claims: ReadonlyMap<string, readonly Name[] | null>,
  shares: ReadonlyMap<string, number>,
): void {
  const word = 'delegation';
  if (names === null) {
    const why = parent.kind === 'found' ? 'it has no name servers' : parent.detail;
    const sentence = `the delegation of ${zone} was not seen: ${why}`;
    const cure = 'check the delegation at its parent, and the way to the root servers';
    const broken = parent.kind === 'broken' || parent.kind === 'found';
    if (broken) run.bad({ zone }, word, sentence, cure);
    else run.warn({ zone }, word, sentence, cure);
    return;
  }
  for (const [provider, share] of shares) {
    const place = { zone, provider };
    const percent = `${Math.round(share * 100)} %`;
    if (share > 0) {
      run.good(place, word, `${provider} is ${percent} of the delegation of ${zone}`);
      continue;
    }
    const theirs = (claims.get(provider) ?? []).join(', ');
    const cure = `add ${theirs} to the NS set of ${zone} at its parent, or publish there no more`;
    run.bad(place, word, `${provider} is not in the delegation of ${zone}: nobody asks it`, cure);
  }
  const unknown = [...claims].filter(([, mine]) => mine === null).map(([provider]) => provider);
  const nobody = names.filter((name) => ownersOf(name, claims).length === 0);
  if (nobody.length === 0) return;
  const part = `${Math.round((nobody.length / names.length) * 100)} %`;
  const list = nobody.slice(0, 8).join(', ');
  if (unknown.length > 0) {
    const sentence = `whose servers ${list} of ${zone} are is not known: ${unknown.join(', ')}`;
    const cure = 'audit again when they can be asked, or set their `nameservers` by host name';
    run.warn({ zone }, word, `${sentence} could not be asked for host names`, cure);
    return;
  }
  const sentence = `the delegation of ${zone} lists ${list}, which no provider here has`;
  const cure = 'take them out at the parent, or add their vendor as a provider';
  run.bad({ zone }, word, `${sentence}: ${part} of resolvers ask servers nobody changes`, cure);
}

/** The NS set that several providers name as theirs, and whether each is judged by itself. */
function sayShared(
  run: Run,
  zone: Name,
  holdings: readonly Holding[],
  claims: ReadonlyMap<string, readonly Name[] | null>,
): void {
  const names = new Set([...claims.values()].flatMap((mine) => mine ?? []));
  const shared = [...names].filter(
    (n) => holdings.filter((h) => claims.get(h.provider)?.includes(n)).length > 1,
  );
  if (shared.length === 0) return;
  const among = holdings.filter((h) => shared.some((n) => claims.get(h.provider)?.includes(n)));
  const who = among.map((h) => h.provider).join(', ');
  const set = shared.slice(0, 8).join(', ');
  const judged = among.map((h) => `${h.provider} by ${h.hosts.join(', ') || 'nobody'}`).join('; ');
  const sentence = `the NS set of ${zone} is shared by ${who} (${set}); judged are ${judged}`;
  const isMixed = among.some((h, i) =>
    among.slice(0, i).some((other) => h.hosts.some((host) => other.hosts.includes(host))),
  );
  const word = 'ns-set';
  if (!isMixed) return run.good({ zone }, word, sentence);
  const cure = 'name under `nameservers` of each provider the servers that it alone answers with';
  run.warn({ zone }, word, `${sentence}: what one serves is taken for another's`, cure);
}

function sayParentTtl(run: Run, zone: Name, seconds: number | null): void {
  if (seconds === null) return;
  const hours = Math.round(seconds / 360) / 10;
  const sentence = `resolvers keep the delegation of ${zone} for ${hours} h`;
  if (seconds <= parentTtlMax) return run.good({ zone }, 'parent-ttl', sentence);
  const cure = `lower the TTL of its NS set at the parent, or steer in a zone below ${zone}`;
  run.warn({ zone }, 'parent-ttl', `${sentence}: taking a vendor out helps nobody sooner`, cure);
}

/** What a provider's servers say of the zone itself. */
function sayServed(run: Run, zone: Name, s: Spoken, names: readonly Name[] | null): void {
  const place = { zone, provider: s.provider };
  const told = run.findings.some(
    (f) => f.word === 'negative-ttl' && f.provider === s.provider && f.zone === zone,
  );
  if (s.negativeTtl !== null && !told) {
    const sentence = `a missing name in ${zone} at ${s.provider} is remembered ${s.negativeTtl} s`;
    const cure = `set the SOA's minimum there to ${negativeTtlMax} or less`;
    if (s.negativeTtl <= negativeTtlMax) run.good(place, 'negative-ttl', sentence);
    else run.warn(place, 'negative-ttl', sentence, cure);
  }
  if (s.ns === null || names === null || s.delegated === false) return;
  const missing = names.filter((name) => !s.ns!.includes(name));
  if (missing.length === 0) return;
  run.warn(
    place,
    'ns-set',
    `${s.provider} itself gives ${zone} an NS set without ${missing.slice(0, 8).join(', ')}: ` +
      'resolvers that believe a zone over its parent ask those no more',
    `give ${zone} the whole NS set of its parent at ${s.provider}`,
  );
}

/** Of up to four servers the first that speaks for the zone. */
async function askServers(
  run: Run,
  zone: Name,
  { provider, hosts }: Holding,
  delegated: boolean | null,
): Promise<Spoken> {
  const silent = { provider, delegated, keys: null, signers: null, negativeTtl: null, ns: null };
  for (const text of hosts.slice(0, serversMax)) {
    if (run.signal.aborted) return silent;
    const server = await place(run, text);
    if (server === null) continue;
    const options = { timeoutMs: run.timeoutMs, signal: run.signal, dnssec: true };
    const [soa, ns, keys] = await Promise.all(
      ['SOA', 'NS', 'DNSKEY'].map(async (type) => {
        const reply = await ask(server, { name: zone, type }, options);
        const message = reply.kind === 'reply' ? reply.message : null;
        return message?.rcode === 'NOERROR' && message.authoritative ? message : null;
      }),
    );
    const start = soa?.answers.find((r) => r.type === 'SOA' && r.name === zone);
    if (!soa || start?.type !== 'SOA') continue;
    return {
      provider,
      delegated,
      keys: keys ? keysOf(keys, zone) : null,
      signers: signersOf(soa, zone),
      negativeTtl: Math.min(start.ttl, start.minimum),
      ns: ns
        ? ns.answers.flatMap((r) => (r.type === 'NS' && r.name === zone ? r.target : []))
        : null,
    };
  }
  return silent;
}

async function place(run: Run, text: string) {
  const parsed = parseHostPort(text, run.port);
  if (parsed === null) return null;
  if (/^[\d.]+$|:/.test(parsed.host)) return { address: parsed.host, port: parsed.port };
  const found = await run.resolver.addresses(toName(parsed.host) ?? '', run.signal);
  const address = found.kind === 'found' ? found.addresses[0] : undefined;
  return address === undefined ? null : { address, port: parsed.port };
}

function keysOf(message: Message, zone: Name): Key[] {
  return message.answers.flatMap((r) => (r.type === 'DNSKEY' && r.name === zone ? r : []));
}

/** null where the server may have left signatures out because it knows no EDNS (RFC 3225). */
function signersOf(message: Message, zone: Name): number[] | null {
  const tags = message.answers.flatMap((r) =>
    r.type === 'RRSIG' && r.name === zone && r.covered === 'SOA' ? r.keyTag : [],
  );
  return tags.length > 0 || message.edns ? tags : null;
}

// ---------------------------------------------------------------- what is served for each record

async function lookAtRecords(run: Run): Promise<void> {
  for (const { name, publish } of run.all) {
    if (publish.length > 1) continue;
    run.warn(
      { record: name },
      'single-provider',
      `${name} is published at ${publish[0]?.provider ?? 'no provider'} alone: while that vendor ` +
        'cannot be changed or does not answer, there is no way out',
      'publish it at a second vendor, and put both in the delegation',
    );
  }
  const asked = run.all.slice(0, recordsMax);
  await sideBySide(run, asked, asksAtOnce, (record) => lookAtRecordServed(run, record));
  const { status } = run.before;
  if (run.all.length <= recordsMax) return;
  if (!status) run.cut(`${run.all.length} records, of which ${recordsMax} were asked for`);
  // The daemon asks for all of them anyway; what it found wrong is told in its words.
  for (const view of (status?.records ?? []).filter((r) => !asked.some((a) => a.name === r.name))) {
    for (const { provider, problem } of view.providers) {
      if (problem === null) continue;
      run.bad({ record: view.name, provider }, 'cname', problem, `detour status ${view.name}`);
    }
  }
}

async function lookAtRecordServed(run: Run, record: RecordConfig): Promise<void> {
  const { name, publish } = record;
  const options = { marker: false };
  const answers = await Promise.all(
    publish.map(({ provider }) => run.verifier.ask(provider, name, options, run.signal)),
  );
  if (run.signal.aborted) return;
  const values = publish.map(({ provider, ttl }, i) =>
    saySeen(run, record, provider, ttl, answers[i]!),
  );
  const served = publish.flatMap(({ provider }, i) => {
    const value = values[i];
    return value === null || value === undefined ? [] : [{ provider, value }];
  });
  if (served.length < 2) return;
  if (new Set(served.map((s) => s.value)).size === 1) {
    return run.good({ record: name }, 'in-step', `every provider gives ${served[0]!.value}`);
  }
  const list = served.map((s) => `${s.provider} gives ${s.value}`).join(', ');
  const switching = run.before.status?.records.find((r) => r.name === name)?.switching === true;
  const sentence = `the providers of ${name} are not in step: ${list}`;
  if (switching) run.warn({ record: name }, 'in-step', sentence, 'a switch is under way: wait');
  else run.bad({ record: name }, 'in-step', sentence, `look at detour status ${name}`);
}

/** What one provider's servers give for a record: the one value they agree on, or null. */
function saySeen(
  run: Run,
  { name, targets }: RecordConfig,
  provider: string,
  ttl: number,
  answers: readonly ServerAnswer[],
): Name | null {
  const at = { record: name, provider };
  const given = answers.flatMap(({ answer }) => (answer.kind === 'cname' ? [answer] : []));
  const missing = answers.filter(
    ({ answer }) => answer.kind === 'nxdomain' || answer.kind === 'nodata',
  );
  for (const { server, answer } of answers) {
    if (answer.kind === 'cname' || missing.some((m) => m.server === server)) continue;
    const sentence = `${server} of ${provider} does not answer for ${name}: ${answer.detail}`;
    run.bad(at, 'serving', sentence, 'look at that server; clients wait for it, too');
  }
  if (missing.length > 0) {
    const list = missing.map((m) => m.server).join(', ');
    const sentence = `${list} of ${provider} give no CNAME for ${name}`;
    run.bad(at, 'cname', sentence, `create it there: detour adopt ${name} TARGET --create`);
  }
  const values = [...new Set(given.map((g) => g.value))];
  const [value] = values;
  if (value === undefined) return null;
  if (values.length > 1) {
    const sentence = `the servers of ${provider} differ for ${name}: ${values.join(' and ')}`;
    run.bad(at, 'cname', sentence, 'wait until the vendor has spread the last change');
    return null;
  }
  if (!targets.some((t) => t.cname === value)) {
    const sentence = `${provider} leads ${name} to ${value}, which is none of its targets`;
    run.bad(at, 'cname', sentence, 'configure it as a target, or set the record to one');
  } else if (missing.length === 0) {
    run.good(at, 'cname', `${given.length} of ${answers.length} servers give ${value}`);
  }
  const seen = Math.max(...given.map((g) => g.ttl));
  if (seen === ttl) run.good(at, 'ttl', `${provider} gives ${name} its TTL of ${ttl} s`);
  else {
    const sentence = `${provider} gives ${name} a TTL of ${seen} s, not the ${ttl} s of its record`;
    run.warn(at, 'ttl', sentence, 'the next switch sets it; or correct ttl in the configuration');
  }
  return value;
}

// ---------------------------------------------------------------- what it all leans on

async function lookAtTargets(run: Run, zones: ReadonlyMap<Name, ZoneLook>): Promise<void> {
  const targets = new Map<Name, Name>();
  for (const { name, targets: all } of run.all) {
    for (const { cname } of all) if (!targets.has(cname)) targets.set(cname, name);
  }
  const asked = [...targets].slice(0, recordsMax);
  if (targets.size > recordsMax) {
    run.cut(`${targets.size} targets, of which ${recordsMax} were followed`);
  }
  const managed = [...zones.keys()];
  await sideBySide(run, asked, asksAtOnce, async ([cname, record]) => {
    const answer = await run.verifier.chain(cname, run.signal);
    if (run.signal.aborted) return;
    if (answer.kind === 'answered') {
      run.good({ record }, 'target', `${answer.chain.join(' → ')} leads to an address`);
    } else if (answer.kind === 'broken') {
      const sentence = `${cname} does not lead to an address: ${answer.at}: ${answer.detail}`;
      run.bad({ record }, 'target', sentence, 'mend its name, or take the target out');
    } else {
      const sentence = `whether ${cname} leads to an address is not known: ${answer.detail}`;
      run.warn({ record }, 'target', sentence, 'audit again');
    }
    const chain = answer.kind === 'answered' ? answer.chain : [cname];
    for (const name of chain) sayLeaning(run, { record }, name, managed, `the target ${cname}`);
  });
  for (const { zone, names } of zones.values()) {
    for (const host of names ?? []) {
      sayLeaning(run, { zone }, host, managed, `the name server ${host} of ${zone}`);
    }
  }
}

/** A way out that needs the names it moves is none (what it leans on may fail with them). */
function sayLeaning(run: Run, at: Place, name: Name, managed: readonly Name[], what: string): void {
  const other = run.all.find((r) => isWithin(name, r.name));
  const zone = managed.find((z) => isWithin(name, z));
  if (other === undefined && zone === undefined) return;
  const on = other === undefined ? `the zone ${zone} itself` : `the record ${other.name}`;
  const through = name === what.split(' ').at(-1) ? '' : ` (by ${name})`;
  const cure = 'give it a name in a zone that nothing here steers';
  run.warn(at, 'dependence', `${what} leans on ${on}${through}`, cure);
}

/** Other tools that manage a record, or its zone, by their own marks. */
async function lookAtCompany(run: Run, zones: ReadonlyMap<Name, ZoneLook>): Promise<void> {
  const asked = run.all.slice(0, recordsMax);
  const silent = new Set<string>();
  // Servers that were silent once would make every other name of their zone wait as long.
  const texts: Texts = async (provider, name, ...more) => {
    const where = `${provider} ${parentOf(name)}`;
    const found = silent.has(where) ? null : await run.texts(provider, name, ...more);
    if (found === null) silent.add(where);
    return found;
  };
  await sideBySide(run, asked, companyAtOnce, async ({ name, publish }) => {
    for (const { provider } of publish) {
      const marks = await lookForCompany(texts, provider, name, run.signal);
      for (const { tool, by } of marks) {
        const cure = `exclude ${name} and ${markerName(name)} there (docs/other-tools.md), then remove ${by}`;
        const sentence = `${tool} manages ${name} at ${provider} as well, by ${by}`;
        run.warn({ record: name, provider }, 'company', sentence, cure);
      }
    }
  });
  await sideBySide(run, [...zones.values()], companyAtOnce, async ({ zone, spoken }) => {
    for (const provider of spoken.keys()) {
      const at = await lookForMeta(run.texts, provider, zone, run.signal);
      if (at === null) continue;
      const cure = 'see that it excludes the records and their markers (docs/other-tools.md)';
      const sentence = `octoDNS manages records of ${zone} at ${provider}, by the text at ${at}`;
      run.warn({ zone, provider }, 'company', sentence, cure);
    }
  });
}

function lookAtChecks(run: Run): void {
  const { status } = run.before;
  const red = new Map<string, boolean>();
  for (const { checks } of status?.origins ?? []) {
    for (const { id, everFailed } of checks) red.set(id, (red.get(id) ?? false) || everFailed);
  }
  for (const [id, was] of red) {
    if (was) continue;
    const sentence = `${id} has never been red: nobody knows that it can be`;
    run.warn({}, 'never-red', sentence, 'break its origin on purpose once (detour drill)');
  }
}

// ---------------------------------------------------------------- for the engine

function surveysOf(
  run: Run,
  held: readonly Holding[],
  zones: ReadonlyMap<Name, ZoneLook>,
): readonly Survey[] {
  const zoneAt = new Map(held.map((h) => [`${h.provider} ${h.parent}`, zoneOf(h, held)]));
  const key = (s: Pick<Survey, 'provider' | 'record'>) => `${s.provider} ${s.record}`;
  const before = new Map((run.before.previous?.surveys ?? []).map((s) => [key(s), s]));
  return run.all.flatMap(({ name: record, publish }) =>
    publish.map(({ provider }): Survey => {
      const zone = zoneAt.get(`${provider} ${parentOf(record)}`) ?? null;
      const look = zone === null ? undefined : zones.get(zone);
      const known = before.get(key({ provider, record }));
      const bar = look?.bars.get(provider);
      return {
        provider,
        record,
        share: look?.shares.get(provider) ?? known?.share ?? null,
        parentTtl: look?.parentTtl ?? known?.parentTtl ?? null,
        negativeTtl: look?.spoken.get(provider)?.negativeTtl ?? known?.negativeTtl ?? null,
        bar: bar === undefined ? (known?.bar ?? null) : bar,
      };
    }),
  );
}
