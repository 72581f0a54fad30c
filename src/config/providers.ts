// Providers, each by a row of the table of providers, and the lane that comes with it. Pure; their
// values are never quoted, as any of them may be a secret in the wrong place.

import type { LaneConfig, Name, RecordConfig } from '../core/model.ts';
import { listOf, notAmong } from '../core/name.ts';
import { parseHostPort } from '../kit/schema.ts';
import { type Context, type ProviderConfig, wantPackage } from './context.ts';
import { fields } from './fields.ts';
import { entriesOf } from './maps.ts';
import { isPackage, rowOf, type Tables } from './tables.ts';
import {
  type MapTree,
  type Path,
  plainOf,
  readFields,
  readPlain,
  show,
  type Tree,
} from './text.ts';

interface ReadProviders {
  readonly providers: ReadonlyMap<string, ProviderConfig>;
  readonly lanes: Record<string, LaneConfig>;
}

export function readProviders(context: Context, root: MapTree): ReadProviders {
  const providers = new Map<string, ProviderConfig>();
  const lanes: Record<string, LaneConfig> = {};
  for (const [name, tree, path] of entriesOf(context, ['providers'], root, 'provider')) {
    const read = readProvider(context, path, tree);
    providers.set(name, read);
    const row = rowOf(context.tables.providers, read.type);
    if (row === undefined) continue;
    const { readMax, writeMax, callsMax, quota, settlesLater } = row.capabilities;
    const { type, callTimeoutMs } = read;
    const rest = { readMax, writeMax, callTimeoutMs, callsMax, quota };
    lanes[name] = { provider: name, type, ...rest, ...(settlesLater ? { settlesLater } : {}) };
  }
  return { providers, lanes };
}

/** One provider. Its values are never quoted: any of them may be a secret in the wrong place. */
function readProvider(context: Context, path: Path, tree: Tree): ProviderConfig {
  const { source, tables } = context;
  const known = Object.keys(tables.providers);
  if (tree.kind !== 'map') {
    source.problem(path, 'expected a map with type and the settings of that type');
    return {
      type: '',
      settings: null,
      nameservers: null,
      callTimeoutMs: 0,
      canary: null,
      cloud: null,
    };
  }
  const common = new Set(['type', ...Object.keys(fields.provider)]);
  const own = { ...tree, entries: new Map([...tree.entries].filter(([key]) => !common.has(key))) };
  const shared = {
    ...tree,
    entries: new Map([...tree.entries].filter(([k]) => Object.hasOwn(fields.provider, k))),
  };
  const read = readFields(source, path, shared, fields.provider);
  const { nameservers, timeout, canary, lineSubnets, cloud } = read;
  const type = plainOf(tree.entries.get('type')?.tree);
  const row = typeof type === 'string' ? rowOf(tables.providers, type) : undefined;
  const isNamed = typeof type === 'string' && isPackage(type);
  if (isNamed) wantPackage(context, 'provider', type, [...path, 'type'], 'value');
  let settings: unknown = null;
  if (row !== undefined) {
    settings = readPlain(source, path, plainOf(own), row.settings, 'kind', [...common]);
  } else if (isNamed) {
    settings = plainOf(own);
  } else if (type === undefined) {
    source.problem([...path, 'type'], `is missing; expected ${listOf(known, 'or')}`);
  } else {
    const message =
      typeof type === 'string'
        ? notAmong('type of provider', type, known)
        : `expected ${listOf(known, 'or')}, got ${show(type)}`;
    source.problem([...path, 'type'], message);
  }
  if (lineSubnets !== undefined && row !== undefined && row.capabilities.lines === undefined) {
    source.problem([...path, 'lineSubnets'], `${row.capabilities.title} ${hasNoLines}`, 'key');
  }
  return {
    type: row === undefined && !isNamed ? '' : String(type),
    settings,
    nameservers: nameservers ?? ownServersOf(row, settings),
    callTimeoutMs: timeout ?? 0,
    ...(lineSubnets === undefined ? {} : { lineSubnets }),
    canary: canary ?? null,
    cloud: cloud ?? row?.cloud ?? null,
  };
}

/** Said of a vendor where lines are asked for. */
export const hasNoLines = 'gives everybody the same answer, it has no lines: leave this out';

function ownServersOf(row: Tables['providers'][string] | undefined, settings: unknown) {
  const isRead = settings !== null && settings !== undefined;
  return isRead ? (row?.ownServers?.(settings) ?? null) : null;
}

/** Two providers of one record that are judged by one server: what one does is taken for both's. */
export function warnOfSharedServers(
  { source }: Context,
  records: ReadonlyMap<Name, RecordConfig>,
  providers: ReadonlyMap<string, ProviderConfig>,
): void {
  const placesOf = (name: string) =>
    (providers.get(name)?.nameservers ?? []).flatMap((text) => {
      const place = parseHostPort(text, 53);
      return place === null ? [] : [`${place.host.toLowerCase()}:${place.port}`];
    });
  const told = new Set<string>();
  for (const { publish } of records.values()) {
    const names = publish.map(({ provider }) => provider);
    for (const [i, name] of names.entries()) {
      for (const other of names.slice(0, i)) {
        const theirs = placesOf(other);
        const shared = placesOf(name).filter((place) => theirs.includes(place));
        const pair = [name, other].sort().join(' ');
        if (shared.length === 0 || told.has(pair)) continue;
        told.add(pair);
        const message = `${name} and ${other} are both judged by ${listOf(shared, 'and')}`;
        const cure = 'name under `nameservers` of each the servers that it alone answers with';
        source.warning(['providers', name], `${message}: one speaks for the other; ${cure}`);
      }
    }
  }
}
