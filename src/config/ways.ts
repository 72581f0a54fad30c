// Ways to tell: `notify` and the channels, each by a row of the table of notifiers. Pure; what stands
// in them is never quoted, as any of it may be a secret.

import type { NoticeSeverity } from '../core/model.ts';
import { closest, listOf } from '../core/name.ts';
import { type Context, wantPackage } from './context.ts';
import { fields } from './fields.ts';
import { entriesOf, pick } from './maps.ts';
import { isPackage, rowOf, unread } from './tables.ts';
import { type MapTree, type Path, plainOf, readFields, readPlain, type Tree } from './text.ts';

/** A row of the table of notifiers, and its settings as that row has read them. */
export interface Way {
  readonly type: string;
  readonly settings: unknown;
}

export interface ChannelConfig extends Way {
  readonly severity: readonly NoticeSeverity[];
  /** As configured, `*` for anything; null: all. */
  readonly records: readonly string[] | null;
  readonly quietMs: number;
}

/** Who is told: one of its keys says how, and that row reads all of it. Values are not quoted. */
function readWay(context: Context, path: Path, tree: Tree, others: readonly string[]): Way | null {
  const { source, tables } = context;
  const known = Object.keys(tables.notifiers);
  const keys = tree.kind === 'map' ? [...tree.entries.keys()] : [];
  const found = keys.filter((key) => Object.hasOwn(tables.notifiers, key) || isPackage(key));
  if (found.length !== 1) {
    const close = keys.map((key) => closest(key, known)).find((word) => word !== null);
    const hint = close && found.length === 0 ? `; did you mean ${close}?` : '';
    const got = found.length === 0 ? 'none' : listOf(found);
    source.problem(path, `expected one way to tell, ${listOf(known, 'or')}, got ${got}${hint}`);
    return null;
  }
  const [type] = found as [string];
  if (isPackage(type)) wantPackage(context, 'notifier', type, [...path, type], 'key');
  const schema = rowOf(tables.notifiers, type)?.settings ?? unread(type);
  return { type, settings: readPlain(source, path, plainOf(tree), schema, 'kind', others) };
}

interface Ways {
  /** What stands under `notify:`; null: nothing. */
  readonly notify: Way | null;
  readonly channels: Readonly<Record<string, ChannelConfig>>;
}

export function readWays(context: Context, root: MapTree): Ways {
  const tree = root.entries.get('notify')?.tree;
  const notify = tree === undefined ? null : readWay(context, ['notify'], tree, []);
  return { notify, channels: readChannels(context, root, notify !== null) };
}

/** The channels by name; `notify` is one of them, so that its name is taken where it stands. */
function readChannels(
  context: Context,
  root: MapTree,
  hasNotify: boolean,
): Record<string, ChannelConfig> {
  const { source } = context;
  const channels: Record<string, ChannelConfig> = {};
  if (!root.entries.has('channels')) return channels;
  const common = Object.keys(fields.channel);
  for (const [name, tree, path] of entriesOf(context, ['channels'], root, 'channel')) {
    if (name === 'notify' && hasNotify) {
      source.problem(path, 'is the name of what stands under `notify:`; give another', 'key');
    }
    const rule = readFields(source, path, pick(tree, common), fields.channel);
    const way = readWay(context, path, pick(tree, common, false), common);
    if (way === null) continue;
    const { severity = [], records = null, quiet = 0 } = rule;
    channels[name] = { ...way, severity, records, quietMs: quiet };
  }
  return channels;
}
