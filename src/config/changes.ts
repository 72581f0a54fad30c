// What another configuration changes, in plain words: things that come and go, and key by key what
// becomes of those that stay. Pure. It quotes no setting of a provider, a check or a channel, for
// what stands there may be nobody's business; and it must never call a key applied that only a start
// applies.

import { isDeepStrictEqual } from 'node:util';
import type { CheckId, RecordConfig } from '../core/model.ts';
import { listOf } from '../core/name.ts';
import { printDuration } from '../kit/schema.ts';
import type { Config } from './config.ts';

export interface Changes {
  /** One line each: what a reload puts in force. */
  readonly now: readonly string[];
  /** What is in force only after a restart. */
  readonly atRestart: readonly string[];
}

/** Keys whose change wants a restart: the daemon holds the lock and the door that they name. */
const restarting = ['stateDir', 'socket'] as const;

/** The configuration that a reload can put in force: what wants a restart stays as it was. */
export function withoutRestart(was: Config, is: Config): Config {
  const kept = Object.fromEntries(restarting.map((key) => [key, was[key]] as const));
  return { ...is, ...kept };
}

/**
 * Why no reload can put it in force, as one sentence; null: one can. Who the replicas are and what
 * elects among them is what a daemon is started with: half of it changed would be two groups.
 */
export function boundToStart(was: Config, is: Config): string | null {
  const [old, young] = [was, is].map(({ group }) => {
    const { self, replicas, ...electing } = group ?? {};
    return { replica: self, 'who the replicas are': replicas, group: electing };
  });
  const changed = Object.entries(young!).flatMap(([word, value]) =>
    isDeepStrictEqual(value, old![word as keyof typeof old]) ? [] : [word],
  );
  if (changed.length === 0) return null;
  const cure = 'restart the daemons with it, one after the other';
  return `${listOf(changed)} changed, which a start alone takes in: ${cure}`;
}

/** A reload that takes away more than this part of the records wants to be meant. */
const REMOVED_MOST = 0.3;

/**
 * What looks like the wrong file, as one sentence; null: nothing does. A file that was exchanged or
 * half written is most often seen by what it no longer has.
 */
export function sweeping(was: Config, is: Config): string | null {
  const [old, young] = [was.core.records, is.core.records];
  const names = Object.keys(old);
  const kept = names.filter((name) => Object.hasOwn(young, name));
  const gone = names.length - kept.length;
  if (gone > REMOVED_MOST * names.length) return `it removes ${gone} of ${names.length} records`;
  const hasOthers = (name: string) =>
    !isDeepStrictEqual(new Set(cnamesOf(old[name]!)), new Set(cnamesOf(young[name]!)));
  const isAll = kept.length > 1 && kept.every(hasOthers);
  return isAll ? `it changes the targets of every record (${kept.length})` : null;
}

function cnamesOf({ targets }: RecordConfig): readonly string[] {
  return targets.map(({ cname }) => cname);
}

export function changesOf(was: Config, is: Config): Changes {
  const now: string[] = [];
  const [old, young] = [pictureOf(was), pictureOf(is)];
  for (const kind of young.keys()) {
    now.push(...compare(kind, old.get(kind) ?? new Map(), young.get(kind)!));
  }
  const atRestart = restarting.flatMap((key) =>
    was[key] === is[key] ? [] : [`${key}: ${was[key]} -> ${is[key]}`],
  );
  return { now, atRestart };
}

/** A value as it is compared, and as it is printed; null: it is not. */
interface Fact {
  readonly json: string;
  readonly text: string | null;
}

/** By key. */
type Facts = ReadonlyMap<string, Fact>;
/** By kind of thing, then by its name. The kind without a name is the configuration itself. */
type Picture = ReadonlyMap<string, ReadonlyMap<string, Facts>>;

function pictureOf(config: Config): Picture {
  const { core, tables: _, providers, probes, paths, ...others } = config;
  const { stateDir: _stateDir, socket: _socket, group: _group, ...rest } = others;
  const { checks, clouds, origins, paths: places, records, lanes: _lanes, ...whole } = core;
  const { cluster, detector, confirm, group: _replicas, ...inner } = whole;
  const listen = rest.listen === null ? null : `${rest.listen.host}:${rest.listen.port}`;
  const { dns, log, metrics, notify, channels, gateHoldMs, listen: _listen, ...looks } = rest;
  const { page, held, ...top } = looks;
  const told = notify === null ? null : { type: notify.type };
  const holdMost = held.most;
  const known = facts({ cluster, detector, confirm, gateHoldMs, listen, page, holdMost }, '');
  const itself = [
    opaque(inner, ''),
    opaque(top, ''),
    known,
    facts(dns, 'dns.'),
    facts(log, 'log.'),
    facts(metrics, 'metrics.'),
  ];
  const channel = [facts({ notify: told }, ''), opaque(notify?.settings, 'notify.')];
  return new Map([
    ['', new Map([['', joined(...itself, ...channel)]])],
    [
      'provider',
      each(providers, ({ settings, ...p }) => joined(facts(p, ''), opaque(settings, ''))),
    ],
    [
      'path',
      each(places, ({ name, references: _refs, ...p }) => {
        const { name: _name, ...exit } = paths[name] ?? { name };
        return joined(facts(p, ''), opaque(exit, ''));
      }),
    ],
    ['channel', each(channels, ({ settings, ...c }) => joined(facts(c, ''), opaque(settings, '')))],
    ['cloud', each(clouds, () => new Map())],
    ['origin', each(origins, ({ name: _name, checks: _checks, ...o }) => facts(o, ''))],
    [
      'check',
      each(checks, ({ id, role: _role, origin: _origin, hash: _hash, ...c }) =>
        joined(facts(c, ''), probeOf(probes, id)),
      ),
    ],
    [
      'record',
      each(records, ({ name: _name, publish, targets, hash: _hash, ...r }) => {
        const to = { targets: targets.map((t) => `${t.origin} (${bare(t.cname)})`) };
        const at = publish.flatMap(({ provider, ttl, lines }) => [
          [`ttl at ${provider}`, ttl] as const,
          ...(lines === undefined ? [] : [[`lines at ${provider}`, lines] as const]),
        ]);
        return joined(facts(r, ''), facts(to, ''), facts(Object.fromEntries(at), ''));
      }),
    ],
  ]);
}

function probeOf(probes: Config['probes'], id: CheckId): Facts {
  const probe = probes[id];
  if (probe === undefined) return new Map();
  return joined(facts({ kind: probe.kind }, ''), opaque(probe.settings, ''));
}

function each<T>(all: Readonly<Record<string, T>>, of: (one: T) => Facts): Map<string, Facts> {
  return new Map(Object.entries(all).map(([name, one]) => [bare(name), of(one)]));
}

/** Without the final dot that names have inside. */
function bare(name: string): string {
  return name.replace(/(?<=.)\.$/, '');
}

function joined(...all: readonly Facts[]): Facts {
  return new Map(all.flatMap((one) => [...one]));
}

function facts(of: object, before: string): Facts {
  return new Map(
    Object.entries(of).map(([key, value]) => {
      const fact = { json: JSON.stringify(value) ?? '', text: printed(key, value) };
      return [before + key.replace(/Ms$/, ''), fact];
    }),
  );
}

/** Only that it has changed is said of it. */
function opaque(of: unknown, before: string): Facts {
  if (typeof of !== 'object' || of === null) return new Map();
  return new Map(
    Object.entries(of).map(([key, value]) => [
      before + key.replace(/Ms$/, ''),
      { json: JSON.stringify(value) ?? '', text: null },
    ]),
  );
}

function printed(key: string, value: unknown): string {
  if (value === null || value === undefined) return 'none';
  if (typeof value === 'number' && /(^ms|Ms)$/.test(key)) return printDuration(value);
  if (Array.isArray(value)) return value.map((one) => printed('', one)).join(', ') || 'none';
  if (typeof value !== 'object') return String(value);
  return Object.entries(value)
    .map(([k, v]) => printed(k, v))
    .join(' ');
}

// ---------------------------------------------------------------- comparing

/** From so many things on, one line says what becomes of the same key of all of them. */
const TOGETHER = 3;

function compare(
  kind: string,
  was: ReadonlyMap<string, Facts>,
  is: ReadonlyMap<string, Facts>,
): string[] {
  const lines: string[] = [];
  const alike = new Map<string, string[]>();
  for (const name of is.keys()) if (!was.has(name)) lines.push(`${kind} ${name}: added`);
  for (const name of was.keys()) {
    const left = kind === 'record' ? ', and what stands at its providers is left alone' : '';
    if (!is.has(name)) lines.push(`${kind} ${name}: removed${left}`);
  }
  for (const [name, facts] of is) {
    const old = was.get(name);
    if (old === undefined) continue;
    for (const key of new Set([...old.keys(), ...facts.keys()])) {
      const change = changeOf(key, old.get(key), facts.get(key));
      if (change !== null) alike.set(change, [...(alike.get(change) ?? []), name]);
    }
  }
  for (const [change, names] of alike) {
    if (kind === '') lines.push(change);
    else if (names.length < TOGETHER) lines.push(...names.map((n) => `${kind} ${n}: ${change}`));
    else lines.push(`${names.length} ${kind}s: ${change} (${namesOf(names)})`);
  }
  return lines;
}

function changeOf(key: string, was: Fact | undefined, is: Fact | undefined): string | null {
  if (was?.json === is?.json) return null;
  const isShown = was?.text !== null && is?.text !== null;
  return isShown ? `${key} ${was?.text ?? 'none'} -> ${is?.text ?? 'none'}` : `${key} changed`;
}

function namesOf(names: readonly string[]): string {
  const more = names.length - TOGETHER;
  return `${names.slice(0, TOGETHER).join(', ')}${more > 0 ? `, and ${more} more` : ''}`;
}
