// The standby is real: each target serves each public name of its record, asked as its users ask, at
// the target's own addresses. A name that the target does not know, a certificate that is another
// name's or about to end, a cloud's block page: all of them show on the day of the outage alone. What
// could not be reached is not known and never held against anybody: whether a target is up is for
// its checks to say. It asks little, within bounds of its own, and nothing waits for it.

import type { Finding, Name, Standby } from '../core/model.ts';
import { unrooted } from '../core/name.ts';
import type { RecordView } from '../core/view.ts';
import type { Visited } from '../ports.ts';
import { blockOf } from './blocks.ts';
import { lookAtService, type Service } from './https.ts';
import { type Ask, type Run, sideBySide, type Visits } from './run.ts';

const targetsAtOnce = 8;
/** In one audit, of one target, and after so many that reached nobody it is left alone. */
const visitsMax = 400;
const namesMax = 10;
const addressesMax = 3;
const silentMost = 2;
const pathsMax = 2;
/** The rest of the audit needs its time, too. */
const limitMs = 20_000;
/** Of one target. */
const toldMax = 5;
/** Clouds take a filing away from names that are not seen with them for long. */
const longDays = 90;
const dayMs = 86_400_000;

/** One target of a record with public names. */
interface Look {
  readonly record: Name;
  readonly view: RecordView | null;
  readonly target: string;
  readonly cname: Name;
  readonly names: readonly Name[];
  readonly asks: readonly Ask[];
  readonly addresses: readonly string[];
  readonly visits: Visits;
  /** Hosts and addresses of the record's other targets, and whose they are. */
  readonly others: ReadonlyMap<string, string>;
  readonly homes: ReadonlyMap<string, string>;
}

/** What one visit, or another look, comes to. */
type Seen = Pick<Standby, 'word' | 'why' | 'certificateDays'> & {
  readonly finding: Finding['word'];
  readonly cure: string;
};

interface Met {
  readonly name: Name;
  readonly secure: boolean;
  readonly answer: NonNullable<Visited['answer']>;
}

interface Looked extends Look {
  readonly seen: readonly Seen[];
  readonly met: readonly Met[];
  readonly service: Service;
}

/** What is found of every target of every record with public names; and said of each. */
export async function lookAtStandbys(
  run: Run,
  addresses: ReadonlyMap<Name, readonly string[]>,
): Promise<readonly Standby[]> {
  const { visits } = run;
  if (visits === undefined) return [];
  const looks = run.all.flatMap((record) => looksOf(run, record, addresses, visits));
  const signal = AbortSignal.any([run.signal, AbortSignal.timeout(limitMs)]);
  const budget = { left: visitsMax };
  const found = new Map<Look, Looked>();
  await sideBySide({ signal }, looks, targetsAtOnce, async (look) => {
    const { cname, addresses: own, homes } = look;
    const service = await lookAtService(run, cname, own, homes);
    found.set(look, { ...look, ...(await visitAll(look, budget, signal)), service });
  });
  if (run.all.some(({ names = [] }) => names.length > namesMax)) {
    run.cut(`of the public names of each record ${namesMax} were asked for at its targets`);
  }
  if (budget.left <= 0) run.cut(`${visitsMax} visits of targets were made, and more were wanted`);
  const all = looks.map((look): Looked => {
    const late = seen('unknown', 'there was no time to look', 'audit again');
    return found.get(look) ?? { ...look, seen: [late], met: [], service: { kind: 'unknown' } };
  });
  return all.map((look) => sum(run, look, all));
}

function looksOf(
  run: Run,
  { name: record, names = [], targets }: Run['all'][number],
  addresses: ReadonlyMap<Name, readonly string[]>,
  visits: Visits,
): readonly Look[] {
  if (names.length === 0) return [];
  const view = run.before.status?.records.find((r) => r.name === record) ?? null;
  const asksOf = (origin: string) => visits.asks[origin] ?? [];
  const hosts = targets.map(({ origin, cname }) => {
    return [origin, [unrooted(cname), ...asksOf(origin).map(({ host }) => host)]] as const;
  });
  return targets.map(({ origin: target, cname }) => {
    const own = new Set([...names.map(unrooted), ...hosts.find(([o]) => o === target)![1]]);
    const others = hosts.flatMap(([origin, all]) =>
      all.filter((host) => !own.has(host)).map((host) => [host, origin] as const),
    );
    const mine = addresses.get(cname) ?? [];
    const homes = targets.flatMap(({ origin, cname: other }) =>
      (addresses.get(other) ?? []).flatMap((one) =>
        mine.includes(one) ? [] : [[one, origin] as const],
      ),
    );
    return {
      ...{ record, view, target, cname, visits },
      ...{ others: new Map(others), homes: new Map(homes) },
      names: names.slice(0, namesMax),
      asks: asksOf(target),
      addresses: mine.slice(0, addressesMax),
    };
  });
}

// ---------------------------------------------------------------- visits

async function visitAll(look: Look, budget: { left: number }, signal: AbortSignal) {
  const all: Seen[] = [];
  const met: Met[] = [];
  let silent = 0;
  const { asks, names, addresses } = look;
  if (asks.length === 0 || addresses.length === 0) {
    const why = asks.length === 0 ? 'nothing says how to ask it' : 'its addresses are not known';
    return { seen: [seen('unknown', why, 'give its origin an http check')], met };
  }
  const each = asks.flatMap((ask) =>
    names.flatMap((name) => addresses.map((address) => ({ ask, name, address }))),
  );
  for (const one of each) {
    if (signal.aborted || silent >= silentMost || --budget.left < 0) {
      all.push(seen('unknown', 'not all of it was looked at', 'audit again'));
      break;
    }
    const visited = await visit(look, one, signal);
    const judged = await judge(look, one, visited, signal);
    all.push(judged);
    silent = judged.word === 'unknown' ? silent + 1 : 0;
    const { answer } = visited;
    // What is wrong is told as such.
    const isWell = judged.word === 'fit' || judged.word === 'poor';
    if (isWell && answer !== null) met.push({ name: one.name, secure: one.ask.secure, answer });
  }
  return { seen: all, met };
}

interface One {
  readonly ask: Ask;
  readonly name: Name | null;
  readonly address: string;
}

/** By the first path that sees anything. */
async function visit(look: Look, { ask, ...to }: One, signal: AbortSignal): Promise<Visited> {
  let last: Visited | null = null;
  for (const path of ask.paths.slice(0, pathsMax)) {
    last = await look.visits.visit({ check: ask.check, path, ...to }, signal);
    if (last.outcome !== 'blind') break;
  }
  return last!;
}

async function judge(
  look: Look,
  one: One & { readonly name: Name },
  visited: Visited,
  signal: AbortSignal,
): Promise<Seen> {
  const { answer, outcome, reason, detail, certificateDays = null } = visited;
  const name = unrooted(one.name);
  const unfit = (why: string, cure: string): Seen => ({
    ...seen('unfit', why, cure),
    certificateDays,
  });
  const filing = `file ${name} with the cloud of ${look.target} (备案), or take another target`;
  const block = answer === null ? null : blockOf(answer);
  if (block !== null) {
    return unfit(`a block page of ${block.by} answers for ${name} (${answer!.status})`, filing);
  }
  const home = homeOf(look, answer);
  if (home !== null) {
    const cure = `let ${look.target} serve ${name} itself: whoever is sent there gets nowhere`;
    return unfit(`${name} is sent on to ${home}`, cure);
  }
  if (outcome === 'pass') return days(look, name, certificateDays);
  const canonical = otherNameOf(look, answer);
  if (canonical !== null) return days(look, name, certificateDays);
  if (outcome === 'fail' && reason === 'certificate') {
    const cure = `get a certificate for ${name} there, by DNS-01: HTTP-01 never reaches a standby`;
    return unfit(`it shows no certificate that does for ${name}: ${detail}`, cure);
  }
  // What its own check does not get either says nothing about the name.
  const isUnreached = outcome !== 'fail' || !telling.has(reason);
  if (isUnreached) {
    return seen('unknown', `whether it serves ${name} was not seen: ${detail}`, 'audit again');
  }
  if ((await visit(look, { ...one, name: null }, signal)).outcome !== 'pass') {
    const why = `it does not pass its own check either: what it does for ${name} is not known`;
    return seen('unknown', `${why} (${detail})`, 'see what detour status says of its origin');
  }
  const own = `${one.ask.host} passes`;
  if (answer === null) {
    return unfit(
      `it hangs up on ${name} (${detail}), while ${own}`,
      `serve ${name} there; ${filing}`,
    );
  }
  if (reason === 'body') {
    const cure = `deploy there what users of ${name} get`;
    return unfit(`${name} gets another body (${detail}), while ${own}`, cure);
  }
  const cure = `add ${name} to the names that ${look.target} serves`;
  return unfit(`it refuses ${name} (${detail}), while ${own}`, cure);
}

/** Failures that may be about the name; others are about the way. */
const telling: ReadonlySet<string> = new Set([
  'tls',
  'status',
  'body',
  'reset',
  'closed',
  'protocol',
]);

function days(look: Look, name: string, left: number | null): Seen {
  const wanted = look.visits.certificateDays;
  const isShort = left !== null && left < wanted;
  const why = `of the chain that it shows for ${name} a certificate ends in ${left} days`;
  const cure = `renew it at ${look.target}, intermediates too (at least ${wanted} days are wanted)`;
  const one = seen(isShort ? 'poor' : 'fit', isShort ? why : '', cure);
  return { ...one, finding: 'standby-certificate', certificateDays: left };
}

/** Where a redirect leads, if that is another target. */
function homeOf({ others }: Look, answer: Visited['answer']): string | null {
  const host = answer?.location ? URL.parse(answer.location)?.hostname : undefined;
  const whose = host === undefined ? undefined : others.get(host);
  return whose === undefined ? null : `${host}, which is ${whose}`;
}

/** Where a redirect leads, if that is another of the record's public names. */
function otherNameOf({ names }: Look, answer: Visited['answer']): string | null {
  const host = answer?.location ? URL.parse(answer.location)?.hostname : undefined;
  return host !== undefined && names.includes(`${host}.`) ? host : null;
}

function seen(word: Seen['word'], why: string, cure: string): Seen {
  return { word, why, cure, certificateDays: null, finding: 'standby' };
}

// ---------------------------------------------------------------- beside the visits

function serviceSeen(look: Looked): readonly Seen[] {
  if (look.service.kind !== 'elsewhere') return [];
  const cure = `correct or remove the HTTPS record of ${unrooted(look.cname)}: browsers follow it`;
  const { home, why } = look.service;
  return [seen(home ? 'unfit' : 'poor', why, cure)];
}

/** Whether it has had the record, and when; of what is observed nobody knows. */
function lookAtHistory(look: Looked, now: number): Seen | null {
  const { view, target } = look;
  const known = view?.targets.find((t) => t.origin === target);
  if (!view || !known || view.mode === 'observe' || view.target === target) return null;
  if (view.target === null) return null;
  const at = known.carriedAt;
  const cure = `detour drill live ${unrooted(look.record)} ${target}, or a planned switch`;
  const finding = 'untried';
  if (at === null) {
    return { ...seen('poor', 'it has never had the record', cure), finding };
  }
  const since = Math.floor((now - at) / dayMs);
  const why = since > longDays ? `it has not had the record for ${since} days` : '';
  return { ...seen('fit', why, cure), finding };
}

/** Differences from the target in force that its users would notice; they bar nothing. */
function differences(look: Looked, all: readonly Looked[]): readonly string[] {
  const force = all.find((o) => o.record === look.record && o.target === look.view?.target);
  if (force === undefined || force === look) return [];
  const told: string[] = [];
  for (const { name, secure, answer } of look.met) {
    const there = force.met.find((m) => m.name === name && m.secure === secure)?.answer;
    if (there === undefined) continue;
    const [here, n] = [answer, unrooted(name)];
    if (here.status !== there.status) {
      told.push(`answers ${n} with ${here.status}, and ${force.target} with ${there.status}`);
    }
    if (secure && (here.hsts === null) !== (there.hsts === null)) {
      const [has, lacks] = here.hsts === null ? [force, look] : [look, force];
      told.push(`${lacks.target} sends ${n} no Strict-Transport-Security, and ${has.target} does`);
    }
    if (kindOf(here.type) !== kindOf(there.type)) {
      told.push(`gives ${n} as ${kindOf(here.type)}, and ${force.target} as ${kindOf(there.type)}`);
    }
  }
  const [mine, theirs] = [look.service.kind, force.service.kind];
  const isSeen = [mine, theirs].every((kind) => kind === 'none' || kind === 'here');
  if (isSeen && mine !== theirs) {
    const [has, lacks] = mine === 'none' ? [force, look] : [look, force];
    told.push(`${lacks.target} has no HTTPS record, and ${has.target} has`);
  }
  return [...new Set(told)];
}

function kindOf(type: string | null): string {
  return /^[\w.+-]+\/[\w.+-]+/.exec(type ?? '')?.[0].toLowerCase() ?? 'no kind at all';
}

// ---------------------------------------------------------------- what it comes to

const worst: readonly Standby['word'][] = ['unfit', 'unknown', 'poor', 'fit'];
const severityOf = { unfit: 'bad', unknown: 'unknown', poor: 'warn', fit: 'good' } as const;

/** Says what was found of one target, and what that comes to. */
function sum(run: Run, look: Looked, all: readonly Looked[]): Standby {
  const { record, target } = look;
  const at = { record };
  const who = `${target} (${unrooted(look.cname)})`;
  const history = lookAtHistory(look, run.before.status?.at ?? 0);
  const every = [...look.seen, ...serviceSeen(look), ...(history === null ? [] : [history])];
  const told = new Map(every.filter(({ why }) => why !== '').map((one) => [one.why, one]));
  for (const { finding, word, why, cure } of [...told.values()].slice(0, toldMax)) {
    // What has been long ago is to be tried again, and speaks against nobody.
    const severity = word === 'fit' ? 'warn' : severityOf[word];
    run.say(at, { word: finding, severity, sentence: `${who}: ${why}`, cure });
  }
  if (told.size > toldMax) run.cut(`${told.size} things are wrong with ${target} of ${record}`);
  for (const difference of differences(look, all).slice(0, toldMax)) {
    const cure = `make ${target} answer as the target in force does`;
    run.warn(at, 'standby', `${who} is not like the target in force: ${difference}`, cure);
  }
  const left = every.flatMap(({ certificateDays }) => certificateDays ?? []);
  const certificateDays = left.length === 0 ? null : Math.min(...left);
  const word = worst.find((one) => every.some((s) => s.word === one))!;
  if (word === 'fit') {
    const names = look.names.map(unrooted).join(', ');
    const until = certificateDays === null ? '' : `, with certificates for ${certificateDays} days`;
    run.good(at, 'standby', `${who} serves ${names}${until}`);
  }
  const why = every.find((s) => s.word === word)!.why;
  return { record, target, word, why, certificateDays };
}
