// What a check, a record and a whole configuration say, as a few digits: replicas compare them to
// know whether they speak of the same thing (design, section 6). The same text gives the same digits
// on every replica, whatever its keys' order and comments. It must never take in what differs
// between machines, nor a secret or where it lies.

import { createHash } from 'node:crypto';
import type {
  CheckConfig,
  CheckId,
  CoreConfig,
  OriginConfig,
  RecordConfig,
} from '../core/model.ts';

/** 64 bits: no two definitions of one installation meet by chance, and a line holds several. */
const HEX_DIGITS = 16;

/** Keys of a configuration that are each machine's own, or say where a secret lies. */
const ofThisMachine = ['replica', 'clusterKey', 'stateDir', 'socket', 'listen', 'log'];

interface Said {
  readonly core: CoreConfig;
  /** The whole, as it was written. */
  readonly plain: unknown;
  /** What each check asks and expects, as it was written. */
  readonly asked: (check: CheckId) => unknown;
}

/**
 * The core's configuration with the hash of each check, of each record, and of the whole. A check's
 * is of what is asked, expected, and how often; a record's of all that decides on it, its origins
 * and their checks too, and of where it is published. Paths are in that of the whole alone: one
 * replica more does not make strangers of those that do not know it yet.
 */
export function hashed({ core, plain, asked }: Said): CoreConfig {
  if (core.group === undefined) return core;
  const root = isMap(plain) ? plain : {};
  const shared = Object.entries(root).filter(([key]) => !ofThisMachine.includes(key));
  const whole = digits('configuration', Object.fromEntries(shared));
  const checks: Record<CheckId, CheckConfig> = {};
  for (const check of Object.values(core.checks)) {
    // How soon somebody looks again makes it no other check.
    const { id, paths: _paths, hold: _hold, ...is } = check;
    const { detector } = core;
    checks[id] = { ...check, hash: digits('check', { ...is, detector, asked: asked(id) }) };
  }
  const vendors = isMap(root['providers']) ? root['providers'] : {};
  const records = Object.entries(core.records).map(([name, record]) => {
    const is = recordOf(record, core.origins, checks, vendors);
    return [name, { ...record, hash: digits('record', is) }] as const;
  });
  const group = { ...core.group, hash: whole };
  return { ...core, group, checks, records: Object.fromEntries(records) };
}

/** All that decides on a record and where it goes; what has no order bears none. */
function recordOf(
  record: RecordConfig,
  origins: CoreConfig['origins'],
  checks: CoreConfig['checks'],
  vendors: Plain,
): unknown {
  const { publish, targets, evictable: _, ...is } = record;
  return {
    ...is,
    targets: targets.map((t) => ({ ...t, is: originOf(origins[t.origin]!, checks) })),
    publish: Object.fromEntries(
      publish.map(({ provider, ...how }) => [provider, { ...how, at: vendors[provider] }]),
    ),
  };
}

function originOf({ checks: own, needs, ...is }: OriginConfig, checks: CoreConfig['checks']) {
  const deciding = [...own.filter((id) => !checks[id]!.advisory), ...needs];
  const hashes = deciding.map((id) => [id, checks[id]!.hash] as const);
  return { ...is, needs: needs.toSorted(), checks: Object.fromEntries(hashes) };
}

type Plain = Readonly<Record<string, unknown>>;

function isMap(value: unknown): value is Plain {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function digits(what: string, value: unknown): string {
  return createHash('sha256')
    .update(`${what}\0${canonical(value)}`)
    .digest('hex')
    .slice(0, HEX_DIGITS);
}

/** JSON with sorted keys, without what is undefined; a reference to a secret is only that. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (!isMap(value)) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).filter(([, below]) => below !== undefined);
  const [first] = entries;
  const isSecret = entries.length === 1 && /^(env|file|credential)$/.test(first![0]);
  if (isSecret && typeof first![1] === 'string') return '"a secret"';
  const pairs = entries.map(([key, below]) => `${JSON.stringify(key)}:${canonical(below)}`);
  return `{${pairs.toSorted().join()}}`;
}
