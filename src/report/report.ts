// `detour report`, but for its command line and its reading: entries of a journal, what is known of
// the configuration, and what was asked for go in; a document comes out. Pure. What is wrong with
// what was asked for is said with its cure.

import type { Config } from '../config/config.ts';
import type { Name, Spelling } from '../core/model.ts';
import { besideShown, notAmong, spelt } from '../core/name.ts';
import type { StatusView } from '../core/view.ts';
import { toAscii } from '../kit/script.ts';
import { incidentOf } from './incident.ts';
import { incidentMarkdown, incidentPage } from './incident-text.ts';
import { objectiveSections, objectivesOf } from './objective.ts';
import { slaOf } from './sla.ts';
import { journalOf, type Places, type Told } from './states.ts';
import { asText, slaSections } from './text.ts';
import { type Zone, zoneOf } from './zone.ts';

/** Wrong input, or nothing to report; the message names the cure. */
export class ReportError extends Error {
  readonly exit: 1 | 2;
  constructor(exit: 1 | 2, message: string) {
    super(message);
    this.exit = exit;
  }
}

/** As it stood on the command line; null where it did not. */
export type ReportAsk =
  | { readonly kind: 'objective'; readonly record: string | null }
  | {
      readonly kind: 'incident';
      readonly record: string | null;
      readonly since: string | null;
      readonly until: string | null;
      readonly format: 'md' | 'html';
    }
  | { readonly kind: 'sla'; readonly month: string | null };

/** What it is made of. */
export interface Material {
  readonly entries: readonly Told[];
  /** Of the daemon that was asked; null: it was not. */
  readonly status: StatusView | null;
  /** null: it could not be read. */
  readonly config: Pick<Config, 'core' | 'timezone' | 'sla'> | null;
  readonly now: number;
  /** What could not be had, for whoever reads the report. */
  readonly notes: readonly string[];
}

interface Report {
  readonly text: string;
  /** Plain JSON; times as dates. */
  readonly json: object;
}

/** Throws ReportError. */
export function report(ask: ReportAsk, material: Material): Report {
  const zone = zoneOf(material.config?.timezone ?? 'UTC');
  if (material.entries.length === 0) throw new ReportError(1, 'the journal is empty');
  switch (ask.kind) {
    case 'objective':
      return objectiveReport(ask.record, material, zone);
    case 'incident':
      return incidentReport(ask, material, zone);
    case 'sla':
      return slaReport(ask.month, material, zone);
  }
}

function objectiveReport(typed: string | null, m: Material, zone: Zone): Report {
  const record = typed === null ? null : recordOf(typed, m);
  const named = <T>(one: T) => besideShown(one, spellingOf(m));
  const rows = objectivesOf(m.entries, m.status?.records ?? [], record);
  return {
    text: asText(objectiveSections(spelt(rows, spellingOf(m)), zone)) + notesOf(m),
    json: { zone: zone.name, records: rows.map((row) => dated(named(row))), notes: m.notes },
  };
}

function slaReport(typed: string | null, m: Material, zone: Zone): Report {
  const month = typed ?? zone.month(m.now);
  const order = { month, zone, journals: journalsOf(m), places: placesOf(m), now: m.now };
  const made = slaOf({ ...order, sla: m.config?.sla ?? {} });
  if (made === null) {
    const cure = 'expected a month that has begun, such as 2023-11';
    throw new ReportError(2, `--month ${JSON.stringify(month.slice(0, 20))}: ${cure}`);
  }
  const whole = { ...made, notes: [...m.notes, ...made.notes] };
  const text = asText(slaSections(spelt(whole, spellingOf(m)), zone));
  return { text, json: dated(besideShown(whole, spellingOf(m))) };
}

function incidentReport(
  ask: Extract<ReportAsk, { kind: 'incident' }>,
  m: Material,
  zone: Zone,
): Report {
  const moment = (option: string, text: string | null) => {
    if (text === null) return null;
    const at = zone.parse(text);
    if (at !== null) return at;
    const form = 'expected a moment such as "2023-11-12 17:44" or 2023-11-12T09:44:00Z';
    throw new ReportError(2, `${option} ${JSON.stringify(text.slice(0, 40))}: ${form}`);
  };
  const [since, until] = [moment('--since', ask.since), moment('--until', ask.until)];
  if (since !== null && until !== null && until <= since) {
    throw new ReportError(2, '--until is not after --since');
  }
  const incident = incidentOf({
    entries: m.entries,
    aliveAt: m.status === null ? null : m.now,
    places: placesOf(m),
    record: ask.record === null ? null : recordOf(ask.record, m),
    ...{ since, until },
  });
  if (incident === null) {
    throw new ReportError(1, 'the journal holds no outage and no switch there: nothing to report');
  }
  const shown = spelt(incident, spellingOf(m));
  const made = ask.format === 'html' ? incidentPage(shown, zone) : incidentMarkdown(shown, zone);
  const { health: _, ...rest } = besideShown(incident, spellingOf(m));
  return { text: made, json: { zone: zone.name, ...dated(rest), notes: m.notes } };
}

// ---------------------------------------------------------------- what it is made of

/** A record as it was typed: its name, or what is enough of it to be the only one. */
function recordOf(typed: string, m: Material): Name {
  const known = new Set([
    ...Object.keys(m.config?.core.records ?? {}),
    ...(m.status?.records ?? []).map(({ name }) => name),
    ...m.entries.flatMap(({ record }) => (record === null ? [] : [record])),
  ]);
  const name = (toAscii(typed) ?? typed).toLowerCase().replace(/\.?$/, '.');
  if (known.has(name)) return name;
  const close = [...known].filter((one) => one.startsWith(name.slice(0, -1)));
  if (close.length === 1) return close[0]!;
  const bare = [...known].map((one) => one.slice(0, -1));
  throw new ReportError(2, notAmong('record', typed, spelt(bare, spellingOf(m))));
}

function journalsOf({ entries, status, now }: Material) {
  const each = Map.groupBy(entries, ({ replica }) => replica ?? '');
  return [...each.values()].map((own) => journalOf(own, status === null ? null : now));
}

/** By the daemon, else by the configuration, else by the journal alone. */
function placesOf({ status, config }: Material): Places {
  const origins =
    status?.origins.map(({ name, cloud }) => ({ name, cloud })) ??
    Object.values(config?.core.origins ?? {});
  const clouds: Record<string, string[]> = {};
  for (const name of Object.keys(config?.core.clouds ?? {})) clouds[name] = [];
  for (const { name, cloud } of origins) clouds[cloud] = [...(clouds[cloud] ?? []), name];
  const records = config?.core.records ?? {};
  const configured = Object.values(records).map((r) => {
    const ttls = r.publish.map(({ provider, ttl }) => [provider, ttl] as const);
    return {
      name: r.name,
      targets: r.targets.map((t) => t.origin),
      ttls: Object.fromEntries(ttls),
    };
  });
  const shown = status?.records.map((r) => {
    const ttls = r.providers.flatMap(({ provider, ttl }) =>
      ttl === undefined ? [] : [[provider, ttl] as const],
    );
    // The one in force first: a journal without a switch leaves it there.
    const all = [r.target, ...r.targets.map((t) => t.origin)].filter((t) => t !== null);
    return { name: r.name, targets: [...new Set(all)], ttls: Object.fromEntries(ttls) };
  });
  const all = shown ?? configured;
  return {
    clouds,
    records: Object.fromEntries(all.map(({ name, targets }) => [name, targets])),
    ttls: Object.fromEntries(all.map(({ name, ttls }) => [name, ttls])),
  };
}

function spellingOf({ status, config }: Material): Spelling | undefined {
  return status?.spelling ?? config?.core.spelling;
}

function notesOf({ notes }: Material): string {
  return notes.map((note) => `note: ${note}\n`).join('');
}

/** Moments as dates; whatever is endless as null. */
function dated(value: unknown): object {
  const isTime = (key: string) => /^(at|from|to|next|until)$|At$/.test(key);
  const walk = (one: unknown): unknown => {
    if (Array.isArray(one)) return one.map(walk);
    if (typeof one !== 'object' || one === null) return one;
    return Object.fromEntries(
      Object.entries(one).map(([key, inner]) => {
        if (typeof inner !== 'number' || !isTime(key)) return [key, walk(inner)];
        return [key, Number.isFinite(inner) ? new Date(inner).toISOString() : null];
      }),
    );
  };
  return walk(value) as object;
}
