// `detour init NAME...`: from what DNS and the vendors say to a first configuration, a cluster key,
// and what is still missing. It changes nothing at any vendor, writes over no file, and says what it
// had to assume, in the file and beside it.

import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { CliError, type InitOrder, type InitReport, type WithSpelling } from '../cli/hands.ts';
import { parseConfig, printProblem } from '../config/config.ts';
import {
  type First,
  type FirstOrigin,
  type FirstRecord,
  firstText,
  seenCloud,
  unknownCloud,
} from '../config/first.ts';
import { readWish, type Wish } from '../config/wish.ts';
import type { Name, Spelling } from '../core/model.ts';
import { inScript, listOf } from '../core/name.ts';
import { labelsOf } from '../kit/script.ts';
import { tables } from './build.ts';
import { type FirstLook, lookFirst, type Sighting, type Taken } from './first-look.ts';
import { makeKey } from './key.ts';
import { withPackages } from './plugins.ts';

/** Seconds, where no vendor has the record yet. */
const ttlWanted = 60;
const clusterWanted = 'detour';

/** Throws CliError for words that cannot be used, and for files that are there or cannot be made. */
export async function init(order: InitOrder): Promise<WithSpelling<InitReport>> {
  const out = resolve(order.out);
  const keyFile = resolve(order.key);
  const stateDir = order.state === null ? null : resolve(order.state);
  if (existsSync(out))
    throw new CliError(2, `${out}: it is there already: name a file that is not`);
  let read = readWish(order, tables);
  if (read.wanted.size > 0) {
    read = readWish(order, await withPackages(tables, read.wanted, dirname(out)));
  }
  if (!read.ok) throw new CliError(2, read.problems.join('\n'));
  const { wish } = read;
  const begin = performance.now();
  const look = await lookFirst(wish, { tries: order.tries });
  const tookMs = Math.round(performance.now() - begin);
  const sorted = conclude(wish, look, { keyFile, stateDir });
  const spelling = spellingOf(order);
  const written = write(out, keyFile, sorted, wish, spelling);
  const { missing } = sorted;
  const refused = look.taken.some((one) => one.sightings.some(({ state }) => state === 'refused'));
  const exit = refused || sorted.refused ? 1 : missing.length > 0 ? 3 : 0;
  return {
    exit,
    spelling,
    message: summary(written, missing.length, exit),
    ...outward(wish, look, order.tries),
    tookMs,
    written,
    missing,
    look: sorted.look,
    next: written.some(({ file }) => file === out)
      ? [
          ...['validate', 'probe', 'audit', 'run'].map((word) => `detour ${word} -c ${out}`),
          // Elsewhere the commands do not find the daemon by themselves.
          ...(stateDir === null ? [] : [`export DETOUR_SOCKET=${join(stateDir, 'control.sock')}`]),
        ]
      : [],
  };
}

/** Names are written down as they were typed. */
function spellingOf({ names, targets, providers }: InitOrder): Spelling {
  const words = [names, targets, providers].flat().flatMap((typed) => typed.split(/[=,]/));
  return Object.assign({}, ...words.map((word) => labelsOf(word).shown));
}

function summary(written: InitReport['written'], missing: number, exit: number): string {
  const files =
    written.length === 0 ? 'nothing was written' : `${listOf(written.map((w) => w.file))}`;
  const wanting = missing === 0 ? 'nothing is missing' : `${missing} things are still missing`;
  return `${files}: ${missing === 1 ? 'one thing is still missing' : wanting}${
    exit === 1 ? ', and a vendor refused' : ''
  }`;
}

/** What was asked and seen, for people and programs. */
function outward({ names, providers }: Wish, look: FirstLook, tries: boolean) {
  return {
    asked: { names, providers: providers.map(({ name }) => name), tries },
    names: look.taken.map(({ typed, record, publicName, why, chain }) => {
      const takenFor = publicName === null ? ('record' as const) : ('public-name' as const);
      return { typed, record, takenFor, why, chain };
    }),
    seen: recordsOf(look).flatMap(({ sightings }) =>
      sightings.map((one) => ({
        record: one.name,
        provider: one.provider,
        state: one.state,
        zone: one.facts?.zone ?? null,
        values: one.values,
        sentence: sentenceOf(one),
      })),
    ),
    delegation: look.zones.map(({ zone, names, detail }) => ({ zone, names, detail })),
    findings: look.findings.map(({ provider, zone, word, severity, sentence, cure }) => {
      return { provider, zone, word, severity, sentence, cure };
    }),
  };
}

function sentenceOf({ state, values, facts, detail, name }: Sighting): string {
  const also = detail === '' ? '' : `: ${detail}`;
  const zone = facts?.zone ?? 'its zone';
  if (state === 'found') {
    const what = values.map(({ value, ttl }) => `${value} (TTL ${ttl} s)`).join(' and ');
    return `CNAME ${what || 'none'}${also}`;
  }
  if (state === 'absent') return `nothing stands at ${name} in ${zone}`;
  if (state === 'no-zone') return `no zone for it${also}`;
  if (state === 'apex') return `${name} is the zone itself, where no CNAME can stand`;
  if (state === 'refused') return `the key was refused${also}`;
  return state === 'no-key' ? `not asked${also}` : `not reached${also}`;
}

/** Each record once: several names may lead to one. */
function recordsOf({ taken }: FirstLook): readonly Taken[] {
  return [...Map.groupBy(taken, ({ record }) => record).values()].map(
    (same) => same.find(({ publicName }) => publicName !== null) ?? same[0]!,
  );
}

// ---------------------------------------------------------------- what follows from it

type Places = Pick<First, 'keyFile' | 'stateDir'>;

interface Concluded {
  readonly first: First;
  readonly missing: { what: string; cure: string }[];
  /** What a person should look at, though nothing waits for it. */
  readonly look: { what: string; cure: string }[];
  readonly refused: boolean;
}

/** What is being put together, and where what is wanted is noted. */
interface Draft {
  readonly wish: Wish;
  readonly seen: FirstLook;
  /** Notes what is missing; the same as one sentence, for the file. */
  lack(what: string, cure: string): string;
  /** Notes what is to be looked at. */
  hint(what: string, cure: string): void;
}

function conclude(wish: Wish, seen: FirstLook, places: Places): Concluded {
  const missing = new Map<string, string>();
  const look = new Map<string, string>();
  const draft: Draft = {
    wish,
    seen,
    lack(what, cure) {
      missing.set(what, cure);
      return `${what}: ${cure}`;
    },
    hint: (what, cure) => look.set(what, cure),
  };
  const providers = wish.providers.map((one) => ({ ...one, ...providerNotes(draft, one.name) }));
  const records = recordsOf(seen);
  const targets = new Map(records.map((one) => [one.record, targetsOf(draft, one)]));
  const origins = originsOf(draft, records, targets);
  const all = records.map((one) => recordOf(draft, one, targets.get(one.record)!, origins));
  const whole = all.filter(({ publish, targets: own }) => publish.length > 0 && own.length > 0);
  const led = new Set(whole.flatMap((one) => one.targets.map(({ origin }) => origin)));
  if (wish.cluster === null) {
    const what = `the cluster is called ${clusterWanted}, for no name was given`;
    draft.hint(what, 'write yours before the first run (--cluster): it cannot be renamed later');
  }
  if (whole.length > 0) {
    const what = 'what each check asks is a proposal: the first page of its target';
    draft.hint(what, 'ask for a page that only a working origin can give, and expect its text');
  }
  const first: First = {
    cluster: wish.cluster ?? clusterWanted,
    ...places,
    dns: wish.dns,
    providers,
    origins: origins.filter(({ name }) => led.has(name)),
    records: whole,
    unwritten: all
      .filter((one) => !whole.includes(one))
      .map(({ name, missing: why }) => ({ name, why: why.join('; ') })),
  };
  const keys = new Set(['credentials', 'reach']);
  const refused = seen.findings.some((f) => f.severity === 'bad' && keys.has(f.word));
  const listed = (notes: ReadonlyMap<string, string>) =>
    [...notes].map(([what, cure]) => ({ what, cure }));
  return { first, missing: listed(missing), look: listed(look), refused };
}

/** What one account said of itself: its zones and servers, and what its key lacks. */
function providerNotes({ seen, lack, hint }: Draft, provider: string) {
  const mine = seen.taken.flatMap((one) => one.sightings).filter((s) => s.provider === provider);
  const notes = [...Map.groupBy(mine, ({ facts }) => facts?.zone ?? null)].flatMap(
    ([zone, [one]]) =>
      zone === null ? [] : `the zone ${zone}, served by ${listOf(one!.facts!.nameServers)}`,
  );
  const missing: string[] = [];
  for (const { state, detail, cure } of mine) {
    const why = detail === '' ? '' : ` (${detail})`;
    if (state === 'refused') {
      const fix = cure ?? 'mend the key and what it may do: providers/README.md has the least';
      missing.push(lack(`${provider} refused its key${why}`, fix));
    } else if (state === 'no-key') {
      missing.push(lack(`the key of ${provider}${why}`, 'put it there, and look again'));
    } else if (state === 'unreachable') {
      missing.push(lack(`${provider} could not be asked${why}`, cure ?? 'look again later'));
    }
  }
  for (const { sentence, cure, severity, ...one } of seen.findings) {
    if (one.provider !== provider || severity === 'good') continue;
    const what = `${provider}: ${sentence}`;
    if (severity === 'bad') missing.push(lack(what, cure ?? 'see providers/README.md'));
    else hint(what, cure ?? 'see whether that is meant');
  }
  for (const { zone, names, claims } of seen.zones) {
    const own = claims.get(provider);
    if (names === null || !own || own.some((name) => names.includes(name))) continue;
    const fix = `add ${listOf(own)} to the NS set of ${zone} at its parent`;
    missing.push(lack(`${provider} is not in the delegation of ${zone}: nobody asks it`, fix));
  }
  return { notes, missing: [...new Set(missing)] };
}

interface TargetSeen {
  readonly cname: Name;
  readonly note: string;
}

/** What stands now, the most held first, then what was given. */
function targetsOf({ wish, hint }: Draft, one: Taken): readonly TargetSeen[] {
  const holders = new Map<Name, string[]>();
  for (const { provider, values } of one.sightings) {
    for (const { value } of values) holders.set(value, [...(holders.get(value) ?? []), provider]);
  }
  const next = one.chain[one.chain.indexOf(one.record) + 1];
  const held = [...holders].sort(([, a], [, b]) => b.length - a.length);
  const seen = held.map(([cname, by]) => ({ cname, note: `it stands at ${listOf(by)} now` }));
  if (next !== undefined && held.length === 0) {
    seen.push({ cname: next, note: 'DNS gives it now; no vendor that was asked has shown it' });
  } else if (next !== undefined && !holders.has(next)) {
    const what = `DNS gives ${one.record} the CNAME ${next}, which stands at none of the vendors`;
    hint(what, 'see whose servers give it: by the delegation, or after a change of just now');
  }
  const given = wish.targets.filter(({ cname }) => !seen.some((known) => known.cname === cname));
  return [...seen, ...given.map(({ cname }) => ({ cname, note: 'as given by --target' }))];
}

/** One for each value, by its given name or by the first label of it. */
function originsOf(
  { wish, seen, lack, hint }: Draft,
  records: readonly Taken[],
  targets: ReadonlyMap<Name, readonly TargetSeen[]>,
): readonly FirstOrigin[] {
  const names = new Set(wish.targets.map(({ origin }) => origin));
  const cnames = new Set([...targets.values()].flat().map(({ cname }) => cname));
  return [...cnames].map((cname) => {
    const given = wish.targets.find((one) => one.cname === cname);
    const name = given?.origin ?? freeName(cname, names);
    names.add(name);
    const { chain, detail } = seen.targets.get(cname) ?? { chain: [cname], detail: '' };
    const cloud = given?.cloud ?? null;
    const told = seenCloud(chain);
    const say = `--target ${name}@CLOUD=${cname}`;
    if (cloud === null && told === null)
      lack(`the cloud of ${cname}, which no name tells`, `write it there, or give ${say}`);
    if (told !== null && cloud === null) {
      hint(`${name} is taken to run at ${told.cloud}, by ${told.by}`, `correct it, or give ${say}`);
    } else if (told !== null && cloud !== told.cloud) {
      hint(`${name} was said to run at ${cloud}, and ${told.by} says ${told.cloud}`, 'correct it');
    }
    if (detail !== '') {
      lack(
        `${cname} was not seen to lead to an address (${detail})`,
        'mend that name, or look again',
      );
    }
    const leading = records.filter((one) =>
      targets.get(one.record)!.some((t) => t.cname === cname),
    );
    const host = leading.find(({ publicName }) => publicName !== null)?.publicName ?? null;
    return { name, cname, cloud, seen: told, host };
  });
}

function freeName(cname: Name, taken: ReadonlySet<string>): string {
  const label = cname
    .split('.')[0]!
    .replace(/[^a-z0-9-]/g, '-')
    .slice(0, 36);
  for (let i = 1; ; i++) {
    const name = i === 1 ? label : `${label}-${i}`;
    if (!taken.has(name)) return name;
  }
}

function recordOf(
  draft: Draft,
  one: Taken,
  targets: readonly TargetSeen[],
  origins: readonly FirstOrigin[],
): FirstRecord {
  const { record: name, publicName, typed } = one;
  const { hint } = draft;
  const ttl = usualTtl(one);
  const notes = publicName === null ? [] : [`users type ${typed}: ${one.why}`];
  if (one.sightings.every(({ values }) => values.length === 0)) {
    notes.push(`no vendor has shown a TTL: ${ttlWanted} s is a proposal`);
  }
  if (publicName === null) {
    const fix = 'write it as `host` of the checks, or look again with it in place of the record';
    hint(`which name users type to come to ${name}`, fix);
  }
  if (one.detail !== '' && publicName === null) {
    const what = `the names behind ${typed} were not followed to an address (${one.detail})`;
    hint(what, 'where it leads to a record, look again with the name of that record');
  }
  const led = targets.map(({ cname, note }) => {
    return { origin: origins.find((origin) => origin.cname === cname)!, note };
  });
  const publish = one.sightings
    .filter(({ state }) => state !== 'no-zone' && state !== 'apex')
    .map((s) => ({
      provider: s.provider,
      ttl: s.values[0]?.ttl ?? Math.max(ttl, s.facts?.ttlMin ?? 0),
      ...(s.lines === undefined ? {} : { lines: s.lines }),
      note: s.state === 'found' && s.detail === '' ? null : sentenceOf(s),
    }));
  const missing = [
    ...wantedOfVendors(draft, one, publish.length),
    ...wantedOfTargets(
      draft,
      name,
      led.map(({ origin }) => origin),
    ),
  ];
  const named = led.map(({ origin, note }) => ({ origin: origin.name, note }));
  return { name, ttl, publish, targets: named, notes, missing };
}

/** Seconds; that of most vendors, of two the lower. */
function usualTtl({ sightings }: Taken): number {
  const seen = sightings.flatMap(({ values }) => values.slice(0, 1).map(({ ttl }) => ttl));
  const counted = [...Map.groupBy(seen, (ttl) => ttl)];
  return counted.sort(([a, x], [b, y]) => y.length - x.length || a - b)[0]?.[0] ?? ttlWanted;
}

/** What the vendors lack for a record, a sentence each. */
function wantedOfVendors(draft: Draft, one: Taken, published: number): string[] {
  const { wish, seen, lack } = draft;
  const { record, sightings } = one;
  const found = sightings.filter(({ state }) => state === 'found');
  const lacks = sightings.flatMap((s) => {
    const at = `at ${s.provider}`;
    if (s.state === 'no-zone') {
      const why = s.detail === '' ? '' : ` (${s.detail})`;
      return lack(
        `a zone for ${record} ${at}${why}`,
        s.cure ?? `make it ${at}, and delegate to it`,
      );
    }
    if (s.state === 'apex') return lack(`${sentenceOf(s)}, ${at}`, 'steer a name below it');
    if (s.state === 'absent' && found.length > 0) {
      return lack(`${record} ${at}`, `detour adopt ${record} TARGET creates it there`);
    }
    if (s.state === 'found' && s.detail !== '')
      return lack(`${record} ${at}: ${s.detail}`, 'see there');
    return [];
  });
  if (found.length === 0 && published > 0) {
    const fix = `once the daemon runs: detour adopt ${record} TARGET --create`;
    lacks.push(lack(`${record} was seen at no vendor`, fix));
  }
  if (published < 2) {
    const what =
      published === 0 ? `a vendor to publish ${record} at` : `a second vendor for ${record}`;
    lacks.push(lack(what, 'name an account that holds its zone by --provider'));
  }
  const values = new Set(found.flatMap((s) => s.values.map(({ value }) => value)));
  if (values.size > 1) {
    const what = `the vendors do not agree on ${record}: ${listOf([...values])}`;
    lacks.push(lack(what, `once the daemon runs: detour adopt ${record} TARGET`));
  }
  for (const by of new Set(sightings.flatMap(({ steeredBy }) => steeredBy ?? []))) {
    if (by === wish.cluster) continue;
    const what = `${record} bears the marker of ${by}: it is steered already`;
    lacks.push(
      lack(what, 'take the cluster’s name and key from there, or let it be released there'),
    );
  }
  const zones = new Set(sightings.flatMap(({ facts }) => facts?.zone ?? []));
  if (zones.size > 1) {
    const what = `${record} lies in different zones: ${listOf([...zones])}`;
    lacks.push(lack(what, 'hold it in the zone that is delegated, at every vendor'));
  }
  const own = seen.zones.filter(({ zone }) => zones.has(zone));
  const silent = sightings.filter(({ facts, state }) => facts === null && silentStates.has(state));
  const unasked = silent.map(({ provider }) => provider);
  return [...lacks, ...own.flatMap((zone) => wantedOfZone(draft, zone, unasked))];
}

/** Of whose servers nothing is known. */
const silentStates: ReadonlySet<Sighting['state']> = new Set(['refused', 'unreachable', 'no-key']);

function wantedOfZone(
  { lack, hint }: Draft,
  { zone, names, claims, detail }: FirstLook['zones'][number],
  unasked: readonly string[],
): readonly string[] {
  if (names === null) {
    return [lack(`the delegation of ${zone} was not seen (${detail})`, 'check it at the parent')];
  }
  const known = [...claims.values()].flatMap((mine) => mine ?? []);
  const others = names.filter((name) => !known.includes(name));
  if (others.length === 0) return [];
  const nameless = [...claims].filter(([, mine]) => mine === null).map(([provider]) => provider);
  const perhaps = [...unasked, ...nameless];
  const what = `the delegation of ${zone} lists ${listOf(others)}`;
  if (perhaps.length > 0) {
    hint(`${what}, perhaps of ${listOf(perhaps, 'or')}`, 'look again when they can be asked');
    return [];
  }
  const cure = 'name their vendor by --provider, or take them out at the parent';
  return [lack(`${what}, which are no vendor’s that was named`, cure)];
}

function wantedOfTargets(
  { lack }: Draft,
  record: Name,
  origins: readonly FirstOrigin[],
): readonly string[] {
  const such = `--target 'ORIGIN@CLOUD=NAME'`;
  if (origins.length === 0) return [lack(`a value for ${record}`, `give two by ${such}`)];
  if (origins.length === 1) {
    return [lack(`a second target for ${record}, in another cloud`, `give it by ${such}`)];
  }
  const clouds = new Set(origins.map(({ cloud, seen }) => cloud ?? seen?.cloud ?? unknownCloud));
  const [only] = clouds;
  if (clouds.size > 1 || only === unknownCloud) return [];
  return [lack(`a target of ${record} outside ${only}`, `give it by ${such}`)];
}

// ---------------------------------------------------------------- files

const keptKey = 'it was left as it is and is named in the file: see that it is this cluster’s key';

/** The key first: a configuration that names a key that is not there is of no use. */
function write(
  out: string,
  keyFile: string,
  { first, missing, look }: Concluded,
  { config }: Wish,
  spelling: Spelling,
): InitReport['written'] {
  if (first.records.length === 0) return [];
  const text = inScript(firstText(first), spelling);
  const read = parseConfig(text, out, config.tables);
  if (!read.ok) {
    // What was found may contradict itself, such as a record that leads to another of them.
    const cure = 'ask for fewer names or other targets';
    missing.push(...read.problems.map((problem) => ({ what: printProblem(problem), cure })));
    return [];
  }
  const written: { file: string; what: string }[] = [];
  if (existsSync(keyFile)) look.push({ what: `${keyFile} is there already`, cure: keptKey });
  else {
    const made = makeKey(keyFile);
    if (made.exit !== 0) throw new CliError(made.exit, made.message);
    written.push({ file: keyFile, what: 'a new cluster key, readable for you alone' });
  }
  try {
    // `wx`: what has come to be there meanwhile stays.
    writeFileSync(out, text, { flag: 'wx', mode: 0o644 });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new CliError(2, `${out}: ${code === 'EEXIST' ? 'it is there already' : message}`);
  }
  return [{ file: out, what: 'the configuration, in mode observe' }, ...written];
}
