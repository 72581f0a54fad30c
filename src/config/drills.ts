// What the configuration says of rehearsals: when which drill is made, and by which name each
// provider is tried. It must never let a canary through that is anything but a canary: whatever
// stands there is switched to and fro.

import { claimName, isMarkerName, markerName, RECORD_NAME_MAX } from '../core/marker.ts';
import type { Name, RecordConfig } from '../core/model.ts';
import { isWithin, listOf, unrooted } from '../core/name.ts';
import { dnsName } from '../kit/schema.ts';
import { fields } from './fields.ts';
import { emptyMap } from './maps.ts';
import { type MapTree, type Path, readFields, type Source, show, type Tree } from './text.ts';
import type { Schedule } from './windows.ts';

/** A schedule of null: only by hand. */
export interface DrillsConfig {
  readonly canary: Schedule | null;
  readonly dry: Schedule | null;
  /** Of each record for which live drills are scheduled. */
  readonly live: Readonly<Record<Name, LiveDrill>>;
  /** How long after its time a drill may still begin. */
  readonly windowMs: number;
}

interface LiveDrill {
  readonly schedule: Schedule;
  readonly byVendor: boolean;
  /** How long the record stays away. */
  readonly forMs: number;
}

const FOR_MS = 300_000;

type Records = ReadonlyMap<Name, RecordConfig>;

export function readDrills(source: Source, root: MapTree, records: Records): DrillsConfig {
  const path = ['drills'];
  const tree = root.entries.get('drills')?.tree ?? emptyMap;
  const given = readFields(source, path, tree, fields.drills, ['records']);
  const own = readOwn(source, [...path, 'records'], tree, records);
  const live: Record<Name, LiveDrill> = {};
  for (const [name, { mode }] of records) {
    const { live: at = given.live, byVendor, for: forMs } = own.get(name) ?? {};
    if (!at || mode === 'observe') continue;
    live[name] = {
      schedule: at,
      byVendor: byVendor ?? given.byVendor ?? false,
      forMs: forMs ?? given.for ?? FOR_MS,
    };
  }
  if (given.live && Object.keys(live).length === 0) {
    source.warning([...path, 'live'], 'no record is steered: there is nothing to drill live');
  }
  const { canary = null, dry = null, window = 0 } = given;
  return { canary, dry, live, windowMs: window };
}

function readOwn(source: Source, path: Path, parent: Tree, records: Records) {
  const own = new Map<Name, ReturnType<typeof readOne>>();
  const tree = parent.kind === 'map' ? parent.entries.get('records')?.tree : undefined;
  if (tree === undefined) return own;
  if (tree.kind !== 'map') {
    source.problem(path, 'expected a map of records, each by its name');
    return own;
  }
  for (const [word, entry] of tree.entries) {
    const name = dnsName.safeParse(word).data;
    const at = [...path, word];
    const one = readOne(source, at, entry.tree);
    const record = records.get(name ?? '');
    if (record !== undefined) own.set(record.name, one);
    if (record?.mode === 'observe' && one.live) {
      const message = 'it is only observed, and a live drill writes';
      source.problem([...at, 'live'], `${message}: set \`mode: steer\` first`);
    }
    if (record === undefined)
      source.problem(at, `${show(word)} is no record of this configuration`, 'key');
  }
  return own;
}

function readOne(source: Source, path: Path, tree: Tree) {
  return readFields(source, path, tree, fields.drillsOfRecord);
}

interface Canary {
  readonly canary: Name | null;
  readonly settings: unknown;
}

/** Looks at the names that are switched to and fro, each once all names are known. */
export function checkCanaries(
  source: Source,
  drills: DrillsConfig,
  providers: ReadonlyMap<string, Canary>,
  records: Records,
): void {
  const all = [...providers].filter(([, { canary }]) => canary !== null);
  if (drills.canary !== null && all.length === 0) {
    const cure = 'give one a name for it, such as canary: detour-canary.example.net';
    source.problem(['drills', 'canary'], `no provider has a canary: ${cure}`);
  }
  for (const [provider, { canary, settings }] of all) {
    const why = whyNotCanary(canary!, settings, records);
    if (why !== null) source.problem(['providers', provider, 'canary'], unrooted(why));
  }
}

function whyNotCanary(name: Name, settings: unknown, records: Records): string | null {
  const cure = 'name one that nothing else is for';
  if (name.length - 1 > RECORD_NAME_MAX) {
    return `it is longer than ${RECORD_NAME_MAX} characters, which leaves no room for its marker`;
  }
  if (isMarkerName(name) || name.startsWith(claimName(''))) {
    return `names below ${markerName('')} are for markers: ${cure}`;
  }
  if (records.has(name)) return `${name} is a record that is steered here: ${cure}`;
  const led = [...records.values()].filter((r) => r.targets.some((t) => t.cname === name));
  if (led.length > 0) {
    return `${listOf(led.map((r) => r.name))} leads to ${name}: ${cure}`;
  }
  const { zone } = (settings ?? {}) as { readonly zone?: unknown };
  if (typeof zone !== 'string' || zone === '') return null;
  // The zone itself is not quoted: a secret may stand in its place.
  if (!isWithin(name, zone)) return `${name} does not lie in the zone of this provider`;
  return name === zone ? `${name} is the apex of its zone, where no CNAME can stand` : null;
}
