// Records: their targets, where they are published, what is done about edits, and their hooks. Pure;
// what it lets through leads to origins and providers that exist, and never to itself.

import { isMarkerName, markerName, RECORD_NAME_MAX } from '../core/marker.ts';
import type { Edits, Name, RecordConfig, RecordMode, TargetConfig } from '../core/model.ts';
import { isWithin, listOf, notAmong, unrooted } from '../core/name.ts';
import { dnsName, printDuration } from '../kit/schema.ts';
import { type Context, defaults, type Policy, type ProviderConfig } from './context.ts';
import { fields } from './fields.ts';
import { entriesOf } from './maps.ts';
import type { ReadOrigin } from './origins.ts';
import { hasNoLines } from './providers.ts';
import { rowOf } from './tables.ts';
import {
  type MapTree,
  type Path,
  plainOf,
  readFields,
  readValue,
  type Source,
  show,
  type Tree,
} from './text.ts';
import type { Window } from './windows.ts';

export interface HookCommands {
  readonly before: { readonly command: readonly string[]; readonly timeoutMs: number } | null;
  readonly after: { readonly command: readonly string[]; readonly timeoutMs: number } | null;
}

/** Above this TTL in seconds a warning says what it costs. */
const ttlWarned = 300;

export function readRecords(
  context: Context,
  root: MapTree,
  policy: Policy,
  origins: ReadonlyMap<string, ReadOrigin>,
  providers: ReadonlyMap<string, ProviderConfig>,
): {
  readonly records: ReadonlyMap<Name, RecordConfig>;
  readonly hooks: Record<Name, HookCommands>;
  readonly maintained: ReadonlyMap<Name, readonly Window[]>;
} {
  const { source } = context;
  const policyEdits = editsOf(context, ['policy'], policy);
  const records = new Map<Name, RecordConfig>();
  const hooks: Record<Name, HookCommands> = {};
  const maintained = new Map<Name, readonly Window[]>();
  const places: { record: RecordConfig; path: Path; targets: readonly ReadTarget[] }[] = [];
  for (const [word, tree, path] of entriesOf(context, ['records'], root, 'record', (key) => key)) {
    const name = readRecordName(context, path, word);
    const given = readFields(source, path, tree, fields.record, ['publish', 'targets']);
    const recordTtl = given.ttl ?? 0;
    const targets = readTargets(context, path, tree, origins);
    const record: RecordConfig = {
      name,
      mode: given.mode ?? 'observe',
      ...(given.names === undefined ? {} : { names: given.names }),
      targets: targets.map(({ origin, cname }) => ({ origin, cname })),
      publish: readPublish(context, path, tree, { name, ttl: recordTtl }, providers),
      patienceMs: given.patience ?? policy.patience ?? defaults.patienceMs,
      ...boundOf(given.patienceMax ?? policy.patienceMax),
      failback: given.failback ?? policy.failback ?? defaults.failback,
      switchesPerHour: given.switchesPerHour ?? policy.switchesPerHour ?? defaults.switchesPerHour,
      edits: editsOf(context, path, given) ?? policyEdits ?? defaults.edits,
      ...objectiveOf(given.objective ?? policy.objective),
      ...((given.prepare ?? policy.prepare ?? true) ? {} : { prepares: false }),
      ...approvalOf(context, path, given, policy),
      ...hooksOf(name, given.hooks ?? policy.hooks, hooks),
    };
    if (name !== '' && records.has(name))
      source.problem(path, `${name} stands twice: keep one`, 'key');
    records.set(name, record);
    if (given.maintenance) maintained.set(name, given.maintenance);
    places.push({ record, path, targets });
    warnOfTtl(context, [...path, 'ttl'], recordTtl);
    warnOfRecord(context, path, record, origins);
    warnOfFollowing(context, path, record);
  }
  checkPublicNames(context, places, records);
  for (const { record, path, targets } of places) {
    for (const { cname, at } of targets) {
      if (cname === '' || !records.has(cname)) continue;
      const message =
        cname === record.name
          ? 'a record cannot lead to itself: name the target by a name of its own'
          : 'this name is a record steered here, too: lead to where that one leads';
      source.problem([...path, 'targets', at, 'cname'], message);
    }
  }
  return { records, hooks, maintained };
}

function boundOf(patienceMaxMs: number | undefined): Pick<RecordConfig, 'patienceMaxMs'> {
  return patienceMaxMs === undefined ? {} : { patienceMaxMs };
}

/** Of mode `approve` alone: elsewhere nobody is asked. */
function approvalOf(
  { source }: Context,
  path: Path,
  given: { readonly mode?: RecordMode | undefined; readonly approveAfter?: number | undefined },
  policy: Policy,
): Pick<RecordConfig, 'approveAfterMs'> {
  if (given.mode === 'approve') {
    const approveAfterMs = given.approveAfter ?? policy.approveAfter;
    return approveAfterMs === undefined ? {} : { approveAfterMs };
  }
  if (given.approveAfter !== undefined) {
    const message = 'nobody is asked in this mode: it counts with mode: approve alone';
    source.warning([...path, 'approveAfter'], message);
  }
  return {};
}

/** What of its hooks decides; their commands are kept apart, and are nobody else's business. */
function hooksOf(
  name: Name,
  given: Policy['hooks'],
  commands: Record<Name, HookCommands>,
): Pick<RecordConfig, 'hooks'> {
  const { before, after } = given ?? {};
  if (before === undefined && after === undefined) return {};
  const of = (one: typeof after) =>
    one === undefined ? null : { command: one.command, timeoutMs: one.timeout };
  commands[name] = { before: of(before), after: of(after) };
  return {
    hooks: {
      before: before === undefined ? null : { timeoutMs: before.timeout, silence: before.silence },
      after: after === undefined ? null : { timeoutMs: after.timeout },
    },
  };
}

function objectiveOf(objectiveMs: number | undefined): Pick<RecordConfig, 'objectiveMs'> {
  return objectiveMs === undefined ? {} : { objectiveMs };
}

/** A name that users type leads to one record, by a CNAME that nobody here writes. */
function checkPublicNames(
  { source }: Context,
  places: readonly { readonly record: RecordConfig; readonly path: Path }[],
  records: ReadonlyMap<Name, RecordConfig>,
): void {
  const taken = new Map<Name, Name>();
  for (const { record, path } of places) {
    for (const [i, name] of (record.names ?? []).entries()) {
      const at = [...path, 'names', i];
      const twin = taken.get(name);
      if (records.has(name)) {
        const message = 'is a record steered here: name what leads to it by CNAME';
        source.problem(at, `${unrooted(name)} ${message}`);
      } else if (twin !== undefined) {
        const message = `${name} stands at ${twin} already: it leads to one record`;
        source.problem(at, unrooted(message));
      } else taken.set(name, record.name);
    }
  }
}

/** What is done about edits; `drift` is its old name, read for one version. */
function editsOf(
  { source }: Context,
  path: Path,
  given: { readonly edits?: Edits | undefined; readonly drift?: 'report' | 'repair' | undefined },
): Edits | undefined {
  if (given.drift === undefined) return given.edits;
  const edits = given.drift === 'repair' ? 'mend' : 'hold';
  const place = [...path, 'drift'];
  if (given.edits !== undefined) {
    source.problem(place, 'stands beside edits, which is its new name: keep edits alone', 'key');
    return given.edits;
  }
  source.warning(
    place,
    `is read as \`edits: ${edits}\`: write it so, drift goes with the next version`,
  );
  return edits;
}

function warnOfFollowing({ source }: Context, path: Path, record: RecordConfig): void {
  if (record.edits !== 'follow') return;
  const vendors = listOf(
    record.publish.map((p) => p.provider),
    'or',
  );
  source.warning(
    path,
    `edits: follow: whoever can edit it at ${vendors} moves it everywhere, to any of its targets ` +
      'that is up',
  );
}

/** The record's name, or '' once it is noted what is wrong with it. */
function readRecordName({ source }: Context, path: Path, word: string): Name {
  const read = dnsName.safeParse(word);
  if (!read.success) {
    source.problem(path, `${read.error.issues[0]!.message}, got ${show(word)}`, 'key');
    return '';
  }
  const name = read.data;
  if (name.length - 1 > RECORD_NAME_MAX) {
    const message = `the name is ${name.length - 1} characters long; at most ${RECORD_NAME_MAX}`;
    source.problem(path, `${message} leave room for its marker at ${markerName('<name>')}`, 'key');
  }
  if (isMarkerName(name)) {
    const below = markerName('');
    source.problem(path, `names below ${below} are for markers: name the record itself`, 'key');
  }
  return name;
}

type ReadTarget = TargetConfig & { readonly at: number };

function readTargets(
  { source }: Context,
  record: Path,
  tree: Tree,
  origins: ReadonlyMap<string, ReadOrigin>,
): readonly ReadTarget[] {
  const path = [...record, 'targets'];
  const targets: ReadTarget[] = [];
  for (const [at, item] of itemsOf(source, path, tree, '{ origin, cname }').entries()) {
    const { origin = '', cname = '' } = readFields(source, [...path, at], item, fields.target);
    if (origin !== '' && !origins.has(origin)) {
      source.problem([...path, at, 'origin'], notAmong('origin', origin, [...origins.keys()]));
    }
    if (origin !== '' && targets.some((t) => t.origin === origin)) {
      source.problem([...path, at, 'origin'], `${show(origin)} is a target already: keep one`);
    }
    const twin = cname === '' ? undefined : targets.find((t) => t.cname === cname);
    if (twin !== undefined && twin.origin !== origin) {
      const message = `${twin.origin} has this name as well: moving between them changes nothing`;
      source.problem([...path, at, 'cname'], `${message}; give each target a name of its own`);
    }
    targets.push({ origin, cname, at });
  }
  return targets;
}

function readPublish(
  context: Context,
  record: Path,
  tree: Tree,
  { name, ttl }: { readonly name: Name; readonly ttl: number },
  providers: ReadonlyMap<string, ProviderConfig>,
): RecordConfig['publish'] {
  const { source } = context;
  const path = [...record, 'publish'];
  const publish: RecordConfig['publish'][number][] = [];
  const items = itemsOf(source, path, tree, 'PROVIDER or { provider, ttl, lines }');
  for (const [at, item] of items.entries()) {
    const isName = item.kind === 'scalar';
    const here = isName ? [...path, at] : [...path, at, 'provider'];
    const {
      provider = '',
      ttl: override,
      lines: listed,
    } = isName
      ? { provider: readValue(source, here, item, fields.publish.provider, 'value') }
      : readFields(source, [...path, at], item, fields.publish);
    if (provider !== '' && !providers.has(provider)) {
      source.problem(here, notAmong('provider', provider, [...providers.keys()]));
    }
    if (provider !== '' && publish.some((p) => p.provider === provider)) {
      source.problem(here, `${show(provider)} stands twice: keep one`);
    }
    if (override !== undefined) warnOfTtl(context, [...path, at, 'ttl'], override);
    if (name !== '') checkZone(context, here, name, provider, providers);
    const lines = readLines(context, [...path, at, 'lines'], listed, providers.get(provider));
    publish.push({ provider, ttl: override ?? ttl, ...(lines === null ? {} : { lines }) });
  }
  return publish;
}

/** The default line first; null where that is the only one, or something is wrong with them. */
function readLines(
  { source, tables }: Context,
  path: Path,
  listed: readonly string[] | undefined,
  provider: ProviderConfig | undefined,
): readonly string[] | null {
  const row = rowOf(tables.providers, provider?.type ?? '');
  if (listed === undefined || row === undefined) return null;
  const { title, lines: has } = row.capabilities;
  if (has === undefined) {
    source.problem(path, `${title} ${hasNoLines}`, 'key');
    return null;
  }
  const twice = listed.findIndex((line, i) => listed.indexOf(line) < i);
  if (twice >= 0) source.problem([...path, twice], `${show(listed[twice])} stands twice: keep one`);
  if (!listed.includes(has.default)) {
    const why = 'which answers whoever no other line does: add it';
    source.problem(path, `the default line is missing, ${show(has.default)}, ${why}`);
  }
  const others = listed.filter((line) => line !== has.default);
  return others.length === 0 ? null : [has.default, ...others];
}

/** A record lies below the apex of the zone that its provider is told of. */
function checkZone(
  { source }: Context,
  path: Path,
  name: Name,
  provider: string,
  providers: ReadonlyMap<string, ProviderConfig>,
): void {
  const { zone } = (providers.get(provider)?.settings ?? {}) as { readonly zone?: unknown };
  if (typeof zone !== 'string' || zone === '') return;
  if (!isWithin(name, zone)) {
    // The zone itself is not quoted: a secret may stand in its place.
    const message = `${name} does not lie in the zone of ${provider}`;
    source.problem(path, unrooted(`${message}: publish it where its zone is`));
  } else if (name === zone) {
    const message = `${name} is the apex of its zone at ${provider}, where no CNAME can stand`;
    source.problem(path, unrooted(`${message} (RFC 1034, 3.6.2): name a record below it`));
  }
}

function itemsOf(source: Source, path: Path, parent: Tree, what: string): readonly Tree[] {
  const key = String(path.at(-1));
  const tree = parent.kind === 'map' ? parent.entries.get(key)?.tree : undefined;
  const expected = `expected a list of at least one ${what}`;
  if (parent.kind !== 'map') return [];
  if (tree === undefined) source.problem(path, `is missing; ${expected}`);
  else if (tree.kind !== 'list') source.problem(path, `${expected}, got ${show(plainOf(tree))}`);
  else if (tree.items.length === 0) source.problem(path, `${expected}, got an empty one`);
  return tree?.kind === 'list' ? tree.items : [];
}

function warnOfTtl({ source }: Context, path: Path, seconds: number): void {
  if (seconds <= ttlWarned) return;
  const time = printDuration(seconds * 1000);
  source.warning(path, `after a switch, clients may keep the old answer for another ${time}`);
}

function warnOfRecord(
  { source }: Context,
  path: Path,
  { mode, targets, publish }: RecordConfig,
  origins: ReadonlyMap<string, ReadOrigin>,
): void {
  if (mode === 'observe') {
    source.warning(
      path,
      'observed only: decided and journalled, never written (mode: steer writes)',
    );
  }
  if (targets.length === 1) {
    source.warning([...path, 'targets'], 'one target alone leaves nowhere to move to');
  }
  const clouds = new Set(targets.map((t) => origins.get(t.origin)?.config.cloud));
  if (targets.length > 1 && clouds.size === 1) {
    const message = `all targets are in the cloud ${[...clouds][0]}`;
    source.warning([...path, 'targets'], `${message}: when it fails as a whole, none is left`);
  }
  if (publish.length === 1) {
    const message = 'one provider alone: while its API fails, this record cannot be moved';
    source.warning([...path, 'publish'], message);
  }
}
