// What the status page shows, as shapes and as a making: of each piece of the status a row, with no
// more in it than a person looks at, so that a row changes only when there is something to see.
// Pure; the page takes its types from here. Where anybody may look it must never name a person, nor
// hand on a sentence that may hold what a person has typed.

import { z } from 'zod';
import type {
  CloudView,
  LaneView,
  OriginView,
  PathView,
  RecordView,
  StatusView,
} from '../core/view.ts';

const time = z.number().meta({ description: 'milliseconds of the daemon’s own steady clock' });
const wall = z.number().meta({ description: 'milliseconds since 1970 in UTC' });
const text = z.string();

const heldRow = z.object({
  reason: text,
  by: text.meta({ description: 'empty where anybody may look' }),
  sinceAt: time,
  untilAt: time.nullable(),
});

const partRow = z.object({
  provider: text,
  writtenMs: z.number().nullable(),
  visibleMs: z.number().nullable(),
  ttl: z.number().optional(),
});

const providerRow = z.object({
  provider: text,
  stage: text,
  cname: text.nullable().optional(),
  ttl: z.number().optional(),
  seenBy: text.nullable(),
  serversRight: z.number(),
  serversAsked: z.number(),
  writtenAfterMs: z.number().nullable(),
  visibleAfterMs: z.number().nullable(),
  share: z.number().nullable(),
  problem: text.nullable(),
  lines: z
    .array(
      z.object({
        line: text,
        provenAt: z.number().nullable(),
        unprovenSinceAt: z.number().nullable(),
      }),
    )
    .optional()
    .meta({ description: 'lines of the vendor, and whether their users were seen to follow' }),
});

const recordRow = z.object({
  name: text,
  names: z.array(text).meta({ description: 'what users type' }),
  mode: text,
  target: text.nullable(),
  cname: text.nullable(),
  retired: z.boolean(),
  epoch: z.number(),
  switchId: text.nullable(),
  switchKind: text.nullable(),
  decidedAt: time.nullable(),
  switching: z.boolean(),
  pin: heldRow.extend({ target: text }).nullable(),
  prepared: heldRow
    .extend({ ttl: z.number(), ready: z.boolean(), readyAt: time.nullable() })
    .nullable()
    .meta({ description: 'its TTL is brought down before a planned move' }),
  freeze: heldRow.nullable(),
  maintenance: z.object({ window: text, untilAt: time }).nullable(),
  stay: z.object({ reason: text, sentence: text }),
  targets: z.array(
    z.object({ origin: text, cname: text, health: text, drained: z.boolean(), sinceAt: time }),
  ),
  leftBehind: z.object({ share: z.number().nullable(), sentence: text, cure: text }).nullable(),
  cachesExpiredAt: time.nullable(),
  budget: z.object({ used: z.number(), limit: z.number() }),
  objectiveMs: z.number().nullable(),
  predictedMs: z.number().nullable(),
  drill: z.object({ to: text, from: text, stage: text, sinceAt: time }).nullable(),
  lastDrill: z
    .object({
      result: text,
      from: text,
      to: text,
      at: time,
      ms: z.number(),
      parts: z.array(partRow),
      sentence: text,
    })
    .nullable(),
  providers: z.array(providerRow),
  approval: z
    .object({
      id: text,
      from: text,
      to: text,
      why: text,
      votes: text,
      alternatives: z.array(z.object({ origin: text, why: text })),
      sinceAt: time,
      expiresAt: time,
      goesAt: time.nullable(),
    })
    .nullable(),
});

const originRow = z.object({
  name: text,
  cloud: text,
  region: text.nullable(),
  health: text,
  sinceAt: time,
  drained: z.boolean(),
  maintenance: z.object({ window: text, untilAt: time }).nullable(),
  checks: z.array(
    z.object({
      id: text,
      path: text,
      verdict: text,
      advisory: z.boolean(),
      why: text.meta({ description: 'of what is not up, what was seen last' }),
    }),
  ),
});

const cloudRow = z.object({
  name: text,
  diagnosis: text,
  sentence: text,
  sinceAt: time,
  services: z.array(z.object({ id: text, plane: text, verdict: text })),
});

const pathRow = z.object({
  name: text,
  replica: text.nullable(),
  group: text,
  cloud: text.nullable(),
  state: text,
  loss: z.number(),
});

const laneRow = z.object({
  provider: text,
  type: text,
  state: text,
  detail: text.nullable(),
  sinceAt: time,
  retryAt: time.nullable(),
  pending: z.number(),
});

const entryRow = z.object({
  seq: z.number(),
  wall,
  kind: text,
  record: text.nullable(),
  sentence: text.meta({ description: 'empty where it may hold what a person typed' }),
  from: text.nullable(),
  to: text.nullable(),
});

const restRow = z.object({
  cluster: text,
  version: text,
  ready: z.object({ ok: z.boolean(), reasons: z.array(text) }),
  freeze: heldRow.nullable(),
  drains: z.array(heldRow.extend({ what: text })),
  group: z
    .object({
      self: text,
      role: text,
      acts: text.nullable(),
      word: text.nullable(),
      sentence: text,
      replicas: z.array(
        z.object({
          name: text,
          self: z.boolean(),
          heard: z.boolean(),
          blind: z.boolean(),
          acts: z.boolean(),
          why: text,
          sinceAt: time,
          sameConfig: z.boolean().nullable(),
        }),
      ),
    })
    .nullable(),
  notices: z.array(
    z.object({
      severity: text,
      record: text.nullable(),
      sentence: text,
      sinceAt: time.nullable(),
    }),
  ),
  drills: z.object({
    last: z.array(
      z.object({
        drill: text,
        name: text,
        result: text,
        at: time,
        ms: z.number().nullable(),
        sentence: text,
      }),
    ),
    overdue: z.array(z.object({ drill: text, name: text, dueAt: time, why: text })),
  }),
  audit: z
    .object({ at: time, grade: text.nullable(), warn: z.number(), bad: z.array(text) })
    .nullable(),
  reload: z.object({ ok: z.boolean(), at: time, errors: z.number() }).nullable(),
  spelling: z
    .record(text, text)
    .optional()
    .meta({ description: 'labels of names in ASCII, and as they are shown' }),
  history: z.array(entryRow),
});

const moment = { rev: text.meta({ description: 'what changes are counted from' }), at: time, wall };

export const boardSchema = z
  .object({
    ...moment,
    records: z.array(recordRow),
    origins: z.array(originRow),
    clouds: z.array(cloudRow),
    paths: z.array(pathRow),
    lanes: z.array(laneRow),
    rest: restRow,
  })
  .meta({ id: 'Board', description: 'What the status page shows.' });

export const changeSchema = boardSchema
  .partial()
  .required({ rev: true, at: true, wall: true })
  .meta({ id: 'Change', description: 'Rows in the place of those of the same name.' });

export const stripsSchema = z
  .object({
    at: time,
    wall,
    stepMs: z.number().meta({ description: 'the length of a piece' }),
    strips: z.array(
      z.object({
        check: text,
        path: text,
        replica: text.nullable().meta({ description: 'whose path it is; null: this daemon’s own' }),
        marks: text.meta({
          description:
            'a letter for each piece of time, the last one for now, of the worst in it: . nothing, ' +
            'p pass, s slow, l limited, b blind, f fail',
        }),
        ms: z.array(z.number()).meta({ description: 'the slowest pass of each piece; 0: none' }),
      }),
    ),
  })
  .meta({ id: 'Strips', description: 'What probes saw of late, by check and path.' });

export const loginSchema = z.strictObject({ token: z.string().min(1).max(512) });

const csrf = text.meta({ description: 'for the header x-detour-csrf' });
export const sessionSchema = z
  .object({
    door: z.enum(['token', 'open']).meta({
      description: 'token: who shows one is let in; open: anybody may look, and nobody may act',
    }),
    session: z
      .object({ name: z.string(), role: z.string(), csrf, endsWall: wall })
      .nullable()
      .meta({ description: 'null: nobody is let in by this cookie' }),
  })
  .meta({ id: 'Session' });
export type SessionView = z.output<typeof sessionSchema>;

export type Strips = z.output<typeof stripsSchema>;
export type Board = z.output<typeof boardSchema>;
export type Change = z.output<typeof changeSchema>;
export type RecordRow = z.output<typeof recordRow>;
export type ProviderRow = z.output<typeof providerRow>;
export type OriginRow = z.output<typeof originRow>;
export type CloudRow = z.output<typeof cloudRow>;

export type EntryRow = z.output<typeof entryRow>;
type RestRow = z.output<typeof restRow>;
export type HeldRow = z.output<typeof heldRow>;

/** The parts of the board that are lists of rows, each with a name of its own. */
export const lists = ['records', 'origins', 'clouds', 'paths', 'lanes'] as const;
export type List = (typeof lists)[number];

/** A line of the journal, as far as it is looked at. */
interface Journalled {
  readonly seq: number;
  readonly wall: number;
  readonly kind: string;
  readonly record: string | null;
  readonly sentence: string;
  readonly data: unknown;
}

/** How rows are made for whoever has been let in, or for anybody. */
export interface Making {
  readonly records: (view: RecordView) => RecordRow;
  readonly origins: (view: OriginView) => OriginRow;
  readonly clouds: (view: CloudView) => CloudRow;
  readonly paths: (view: PathView) => z.output<typeof pathRow>;
  readonly lanes: (view: LaneView) => z.output<typeof laneRow>;
  readonly rest: (view: StatusView, history: readonly Journalled[]) => RestRow;
}

/** `names`: whether who looks may see who did what, and why. */
export function makingOf(names: boolean): Making {
  const said = (words: string): string => (names ? words : '');
  const heldOf = <H extends Held>({ reason, by, sinceAt, untilAt }: H): HeldRow => ({
    ...{ reason: said(reason), by: said(by) },
    ...{ sinceAt, untilAt },
  });
  return {
    records: (r) => recordOf(r, said, heldOf),
    origins: originOf,
    clouds: ({ name, diagnosis, sentence, sinceAt, services }) => ({
      ...{ name, diagnosis, sentence, sinceAt },
      services: services.map(({ id, plane, verdict }) => ({ id, plane, verdict })),
    }),
    paths: ({ name, replica = null, group, cloud, state, loss }) => {
      return { name, replica, group, cloud, state, loss: Math.round(loss * 100) / 100 };
    },
    lanes: ({ provider, type, state, detail, sinceAt, retryAt, pending }) => {
      return { provider, type, state, detail, sinceAt, retryAt, pending };
    },
    rest: (view, history) => {
      const entries = history.map((e) => entryOf(e, names));
      return restOf(view, entries, said, heldOf);
    },
  };
}

interface Held {
  readonly reason: string;
  readonly by: string;
  readonly sinceAt: number;
  readonly untilAt: number | null;
}

type Said = (words: string) => string;
type HeldOf = (held: Held) => HeldRow;

/** Kinds of entries whose sentence is Detour's own, and never holds what a person typed. */
const wordless: ReadonlySet<string> = new Set([
  ...['diagnosis', 'health', 'lane', 'limit', 'path', 'replica', 'settled', 'start', 'stop'],
  ...['standby', 'unresolved', 'verdict', 'visible', 'written', 'zone'],
]);

const steps: ReadonlySet<string> = new Set(['verdict', 'visible', 'written']);

/** Whether a kind of entry is a step of something else that is told as well. */
export function isStep(kind: string): boolean {
  return steps.has(kind);
}

/** Of the facts behind an entry those that are Detour's own. */
const ownFacts = [
  ...['alternatives', 'budget', 'candidate', 'diagnosis', 'epoch', 'helpsInMs', 'votes', 'why'],
] as const;

/** An entry for whoever may look, with the facts behind it as far as they name nobody. */
export function openEntry(e: Journalled): EntryRow & { readonly data: object } {
  const data = (e.data ?? {}) as Readonly<Record<string, unknown>>;
  const own = ownFacts.filter((key) => Object.hasOwn(data, key)).map((key) => [key, data[key]]);
  return { ...entryOf(e, false), data: Object.fromEntries(own) };
}

function entryOf(e: Journalled, names: boolean): EntryRow {
  return {
    ...{ seq: e.seq, wall: e.wall, kind: e.kind, record: e.record },
    sentence: names || wordless.has(e.kind) ? e.sentence : '',
    ...{ from: wordIn(e, 'from'), to: wordIn(e, 'to') },
  };
}

function wordIn({ data }: Journalled, key: string): string | null {
  const value = (data as Readonly<Record<string, unknown>> | null)?.[key];
  return typeof value === 'string' ? value : null;
}

function lineOf(one: NonNullable<RecordView['providers'][number]['lines']>[number]) {
  const { line, provenAt, unprovenSinceAt } = one;
  return { line, provenAt, unprovenSinceAt };
}

function readinessOf({ ttl, ready, readyAt }: NonNullable<RecordView['prepared']>) {
  return { ttl, ready, readyAt };
}

function recordOf(r: RecordView, said: Said, heldOf: HeldOf): RecordRow {
  const { approval, lastDrill, leftBehind, drill, maintenance } = r;
  const { name, mode, target, cname, retired, epoch, switchId, switchKind, decidedAt } = r;
  return {
    ...{ name, mode, target, cname, retired, epoch, switchId, switchKind, decidedAt },
    ...{ names: [...r.names], switching: r.switching, maintenance },
    pin: r.pin && { ...heldOf(r.pin), target: r.pin.target },
    prepared: r.prepared && { ...heldOf(r.prepared), ...readinessOf(r.prepared) },
    freeze: r.freeze && heldOf(r.freeze),
    stay: { reason: r.stay.reason, sentence: said(r.stay.sentence) },
    targets: r.targets.map(({ origin, cname: leads, health, drained, sinceAt }) => {
      return { origin, cname: leads, health, drained, sinceAt };
    }),
    ...{ leftBehind, cachesExpiredAt: r.cachesExpiredAt },
    budget: { used: r.budget.used, limit: r.budget.limit },
    ...{ objectiveMs: r.objectiveMs, predictedMs: r.predicted?.totalMs ?? null },
    drill: drill && { to: drill.to, from: drill.from, stage: drill.stage, sinceAt: drill.sinceAt },
    lastDrill: lastDrill && {
      ...{ result: lastDrill.result, from: lastDrill.from, to: lastDrill.to, at: lastDrill.at },
      ...{ ms: lastDrill.ms, parts: [...lastDrill.parts], sentence: said(lastDrill.sentence) },
    },
    providers: r.providers.map(({ seenAt: _at, epoch: _epoch, lines, ...p }) => ({
      ...p,
      ...(lines === undefined ? {} : { lines: lines.map(lineOf) }),
    })),
    approval: approval && {
      ...{ id: approval.id, from: approval.from, to: approval.to, why: approval.why },
      ...{ votes: approval.votes, alternatives: [...approval.alternatives] },
      ...{ sinceAt: approval.sinceAt, expiresAt: approval.expiresAt, goesAt: approval.goesAt },
    },
  };
}

function originOf(o: OriginView): OriginRow {
  const { name, cloud, region, health, sinceAt, drained, maintenance } = o;
  return {
    ...{ name, cloud, region, health, sinceAt, drained, maintenance },
    checks: o.checks.map(({ id, path, verdict, advisory, last, void: none }) => {
      const seen = verdict === 'up' || last === null ? '' : `${last.reason}: ${last.detail}`;
      return { id, path, verdict, advisory, why: none ?? seen };
    }),
  };
}

function restOf(view: StatusView, history: EntryRow[], said: Said, heldOf: HeldOf): RestRow {
  const { cluster, version, ready, freeze, drains, group, notices, drills, audit, reload } = view;
  return {
    ...{ cluster, version, history, reload },
    ...(view.spelling === undefined ? {} : { spelling: view.spelling }),
    ready: { ok: ready.ok, reasons: ready.reasons.map(said) },
    freeze: freeze && heldOf(freeze),
    drains: drains.map((d) => ({ ...heldOf(d), what: d.what })),
    group: group && {
      ...{ self: group.self, role: group.role, acts: group.acts, word: group.word },
      sentence: group.sentence,
      replicas: group.replicas.map(
        ({ name, self, heard, blind, acts, why, sinceAt, sameConfig }) => {
          return { name, self, heard, blind, acts, why, sinceAt, sameConfig };
        },
      ),
    },
    notices: notices.map(({ severity, record, sentence, sinceAt }) => {
      return { severity, record, sentence: said(sentence), sinceAt };
    }),
    drills: {
      last: drills.last.map(({ drill, name, result, at, ms, sentence }) => {
        return { drill, name, result, at, ms, sentence: said(sentence) };
      }),
      overdue: drills.overdue.map((o) => ({ ...o, why: said(o.why) })),
    },
    audit: audit && {
      ...{ at: audit.at, grade: audit.grade, warn: audit.warn },
      bad: audit.bad.map(({ sentence }) => sentence),
    },
  };
}
