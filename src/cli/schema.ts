// The shapes of what commands print with --json. Loaded when somebody asks for them: no other command
// may wait for it. What is added to a document later leaves its version as it is, so what is exported
// allows keys it does not name; what the tests hold against the program does not.

import { z } from 'zod';
import { auditAreas, grades } from '../core/audit.ts';
import {
  diagnoses,
  drillKinds,
  entryKinds,
  groupWords,
  markerKinds,
  noticeSeverities,
  outcomes,
  recordModes,
  severities,
  standbyWords,
  stayReasons,
  verdicts,
} from '../core/model.ts';
import {
  drillResults,
  drillStages,
  laneStates,
  pathStates,
  preparedFor,
  stages,
} from '../core/view.ts';
import { jsonVersion } from './json.ts';

const time = z.iso.datetime().describe('a date in UTC, such as 2026-01-02T03:04:05.000Z');
const name = z.string().describe('a DNS name without its last dot');
const text = z.string();
const shown = text
  .optional()
  .describe('the record as its configuration writes it; left out: as DNS has it');
const count = z.int().nonnegative();
const ms = z.number().nonnegative().describe('milliseconds');
const share = z.number().min(0).max(1);
const json = z.unknown();
const exit = z
  .union([z.literal(0), z.literal(1), z.literal(2), z.literal(3)])
  .describe('0 done, 1 the world refused, 2 wrong input, 3 partly done');

/** One document: the version of its shape stands first. */
function document<S extends z.ZodRawShape>(shape: S, about: string) {
  return z.strictObject({ version: z.literal(jsonVersion), ...shape }).describe(about);
}

// ---------------------------------------------------------------- status

const held = {
  reason: text,
  by: text,
  sinceAt: time,
  untilAt: time.nullable().describe('when it ends by itself; null: not before it is given back'),
};

const provider = z.strictObject({
  provider: text,
  stage: z.enum(stages),
  cname: name.nullable().optional().describe('null: nothing stands there; left out: not known'),
  ttl: count.optional(),
  epoch: count.optional(),
  seenAt: time.nullable(),
  seenBy: z.enum(['api', 'dns']).nullable(),
  serversRight: count,
  serversAsked: count,
  writtenAfterMs: ms.nullable(),
  visibleAfterMs: ms.nullable(),
  share: share.nullable().describe('of the name servers that resolvers are told of'),
  problem: text.nullable(),
});

const part = {
  provider: text,
  detectMs: ms.describe(
    'until it is judged and patience is over; of a switch: until it was decided',
  ),
  commitMs: ms.describe('0 where the daemon is alone'),
  writeMs: ms,
  visibleMs: ms,
  ttlMs: ms,
};

const predictedPart = z.strictObject({
  ...part,
  measured: count.describe(
    'switches that writing and visible were measured in; 0: taken for granted',
  ),
});

const drillPart = z.strictObject({
  provider: text,
  writtenMs: ms.nullable().describe('milliseconds from its turn'),
  visibleMs: ms.nullable(),
  ttl: count.optional().describe('seconds that caches could keep what stood before'),
});
const prepared = z.strictObject({
  ...held,
  ttl: count.describe('seconds that are wanted'),
  asked: z.enum(preparedFor),
  ready: z.boolean(),
  readyAt: time
    .nullable()
    .describe('when every cache that follows TTLs holds the short one; null: not known yet'),
  parts: z.array(
    z.strictObject({
      provider: text,
      from: count.describe('seconds that what a cache took before may last'),
      ttl: count.describe('seconds that the vendor lets it come down to'),
      at: time.nullable().describe('since when all its servers give that'),
      readyAt: time.nullable(),
    }),
  ),
});
const maintenance = z.strictObject({ window: text, untilAt: time }).nullable();

const drillRun = z.strictObject({
  id: text,
  result: z.enum(drillResults),
  from: text,
  to: text,
  byVendor: z.boolean(),
  at: time.describe('when it ended'),
  ms: ms.describe('milliseconds from the order to the end'),
  sentence: text,
  parts: z.array(drillPart).describe('of the way there'),
  back: z.array(drillPart).describe('of the way back'),
});

const record = z.strictObject({
  name,
  shown,
  names: z.array(name).describe('what users type, and what leads here by CNAME'),
  mode: z.enum(recordModes),
  target: text.nullable().describe('in force; with mode observe what would be'),
  cname: name.nullable(),
  retired: z.boolean(),
  epoch: count,
  switchId: text.nullable(),
  switchKind: z.enum(markerKinds).nullable(),
  decidedAt: time.nullable(),
  switching: z.boolean(),
  pin: z.strictObject({ target: text, ...held }).nullable(),
  prepared: prepared.nullable().describe('its TTL is brought down before a planned move'),
  freeze: z.strictObject(held).nullable().describe('one of its own'),
  maintenance: maintenance.describe('a window that is open, and acts as a freeze'),
  stay: z.strictObject({ reason: z.enum(stayReasons), sentence: text }),
  earliestBenefitAt: time.nullable(),
  targets: z.array(
    z.strictObject({
      origin: text,
      cname: name,
      health: z.enum(verdicts),
      drained: z.boolean(),
      sinceAt: time,
      flaw: z
        .strictObject({ word: z.enum(['poor', 'unfit']), why: text })
        .nullable()
        .describe('what an audit of late found wrong with how it serves the public names'),
      carriedAt: time.nullable().describe('when it was left last; null: in force, or never'),
    }),
  ),
  leftBehind: z.strictObject({ share: share.nullable(), sentence: text, cure: text }).nullable(),
  cachesExpiredAt: time.nullable(),
  patience: z
    .strictObject({
      ms: ms.describe('how long the target in force is waited for once it is down'),
      why: text.nullable().describe('why that is more than is configured; null: it is not'),
      configuredMs: ms,
      boundMs: ms.describe('the most that a history makes of it'),
    })
    .describe('what is waited for, by what its origin usually does'),
  budget: z.strictObject({ used: count, limit: count, spent: z.boolean() }),
  needless: count.describe('of those used: what was left came back before clients could follow'),
  objectiveMs: ms.nullable().describe('what is promised to its clients; null: nothing'),
  predicted: z
    .strictObject({ totalMs: ms, worst: text, parts: z.array(predictedPart) })
    .nullable()
    .describe('what its clients have to expect should the target in force fail'),
  drill: z
    .strictObject({
      id: text,
      kind: z.literal('live'),
      to: text,
      from: text,
      stage: z.enum(drillStages),
      sinceAt: time,
      byVendor: z.boolean(),
    })
    .nullable()
    .describe('the live drill that it is in'),
  lastDrill: drillRun.nullable().describe('what came of its last live drill'),
  providers: z.array(provider),
  approval: z
    .strictObject({
      id: text,
      from: text,
      to: text,
      why: z.enum(['target-down', 'drained', 'failback']),
      sentence: text,
      votes: text.describe('what the checks of the target in force say'),
      alternatives: z.array(z.strictObject({ origin: text, why: text })),
      sinceAt: time,
      expiresAt: time.describe('when the question ends'),
      goesAt: time.nullable().describe('when it goes without an answer; null: it stays'),
    })
    .nullable()
    .describe('the decision that waits for a person; null: none does'),
});

const observation = z.strictObject({
  outcome: z.enum(outcomes),
  startedAt: time,
  endedAt: time,
  reason: text,
  detail: text,
  phases: z.strictObject({
    dnsMs: ms.optional(),
    connectMs: ms.optional(),
    tlsMs: ms.optional(),
    firstByteMs: ms.optional(),
  }),
  certificateDays: z.int().optional(),
});

const perSecond = z.number().nonnegative();

const rate = z
  .strictObject({
    perSecond: perSecond.describe('probes a second by the clock, now'),
    detectionMs: ms.describe('milliseconds until an outage is seen, where nothing is lost'),
    usualMs: ms.describe('the same at the rate that is configured'),
    limited: z
      .strictObject({
        perSecond: perSecond.describe('probes a second that it is asked at most'),
        sinceAt: time,
        pausedUntil: time.nullable().describe('it is left alone until then; null: it is asked'),
      })
      .nullable()
      .describe('it has answered that it is asked too often; null: it has not'),
  })
  .describe('how fast it is asked, by all its checks and paths');

const origin = z.strictObject({
  name: text,
  cloud: text,
  region: text.nullable(),
  health: z.enum(verdicts),
  sinceAt: time,
  drained: z.boolean(),
  maintenance: maintenance.describe('a window that is open, and acts as a drain'),
  trustedAt: time.nullable(),
  rate,
  checks: z.array(
    z.strictObject({
      id: text,
      path: text,
      void: text.optional().describe("why another replica's word on it is no vote"),
      verdict: z.enum(verdicts),
      fails: count,
      passes: count,
      sinceAt: time,
      advisory: z.boolean(),
      last: observation.nullable(),
      everFailed: z.boolean(),
    }),
  ),
});

const cloud = z.strictObject({
  name: text,
  diagnosis: z.enum(diagnoses),
  sentence: text,
  sinceAt: time,
  services: z.array(
    z.strictObject({
      id: text,
      plane: z.enum(['resource', 'service', 'control']),
      verdict: z.enum(verdicts),
      everFailed: z.boolean(),
    }),
  ),
});

const lane = z.strictObject({
  provider: text,
  type: text,
  state: z.enum(laneStates),
  sinceAt: time,
  detail: text.nullable(),
  retryAt: time.nullable(),
  pending: count,
  zones: z.array(
    z.strictObject({
      zone: name,
      fault: text,
      detail: text,
      sinceAt: time,
      retryAt: time.nullable(),
    }),
  ),
});

const finding = z.strictObject({
  word: text,
  severity: z.enum(severities),
  sentence: text,
  cure: text.nullable(),
  provider: text.nullable(),
  zone: name.nullable(),
  record: name.nullable(),
  shown,
});

const drilled = {
  drill: z.enum(drillKinds),
  name: text.describe(
    'of a canary the provider, of a dry drill the origin, of a live one the record',
  ),
  shown,
  result: z.enum(['passed', 'failed', 'broken-off', 'refused']),
  ms: ms.nullable().describe('how long what it measured took; null: it came to nothing'),
  sentence: text,
};

const drillOf = {
  ...drilled,
  parts: json.describe('what was measured; it differs by kind'),
};
const grade = z.enum(grades).nullable();

const status = document(
  {
    time: time.describe('of this view'),
    detour: text.describe('the version of the daemon'),
    cluster: text,
    ready: z.strictObject({ ok: z.boolean(), reasons: z.array(text) }),
    group: z
      .strictObject({
        self: text.describe('the replica that was asked'),
        role: z.enum(['acts', 'follows']),
        acts: text.nullable().describe('the replica that acts; null: none, or not known'),
        term: count,
        word: z.enum(groupWords).nullable().describe('what is wrong with the group; null: nothing'),
        sentence: text,
        minority: text.nullable().describe('why this replica would hand over; null: it would not'),
        replicas: z.array(
          z.strictObject({
            name: text,
            self: z.boolean(),
            heard: z.boolean(),
            sinceAt: time,
            why: text.describe('why it is not heard; empty while it is'),
            ageMs: ms.nullable(),
            blind: z.boolean(),
            acts: z.boolean(),
            sameConfig: z.boolean().nullable(),
            sameDefinition: z.boolean().nullable(),
            differs: z.array(name),
          }),
        ),
      })
      .nullable()
      .describe('the group of replicas; null: there is none'),
    freeze: z.strictObject(held).nullable().describe('of everything'),
    drains: z.array(z.strictObject({ what: text, ...held })),
    records: z.array(record),
    origins: z.array(origin),
    clouds: z.array(cloud),
    paths: z.array(
      z.strictObject({
        name: text,
        replica: text.optional().describe('whose probes leave by it; absent: there is no group'),
        group: text,
        cloud: text.nullable(),
        state: z.enum(pathStates),
        loss: share,
      }),
    ),
    lanes: z.array(lane),
    next: z
      .strictObject({ at: time, wake: z.looseObject({ kind: text }) })
      .nullable()
      .describe('when the engine acts next by itself, and what for'),
    notices: z
      .array(
        z.strictObject({
          key: text,
          severity: z.enum(noticeSeverities),
          record: name.nullable(),
          shown,
          sentence: text,
          sinceAt: time.nullable(),
        }),
      )
      .describe('what wants a person and is not over'),
    drills: z
      .strictObject({
        last: z.array(z.strictObject({ ...drilled, at: time })),
        scheduled: z.array(
          z.strictObject({ drill: z.enum(drillKinds), sinceAt: time, nextAt: time.nullable() }),
        ),
        overdue: z.array(
          z.strictObject({
            drill: z.enum(drillKinds),
            name: text,
            dueAt: time,
            why: text.describe('why it was put off last; empty: it is not known'),
          }),
        ),
      })
      .describe('what was drilled last, what is scheduled, and what was not made in its time'),
    audit: z
      .strictObject({
        at: time,
        complete: z.boolean(),
        grade: grade.describe('of the whole; null: nothing could be seen'),
        warn: count.describe('findings that want a look'),
        bad: z.array(finding),
      })
      .nullable()
      .describe('what the last audit found that is bad; null: there was none'),
    reload: z.strictObject({ ok: z.boolean(), at: time, errors: count }).nullable(),
  },
  '`detour status --json`; with RECORD that record and what it depends on',
);

// ---------------------------------------------------------------- the others

const entry = {
  seq: count,
  time,
  kind: z.enum(entryKinds),
  record: name.nullable(),
  shown,
  sentence: text,
  data: json.describe('the facts behind the sentence; they differ by kind'),
};

const looked = z.strictObject({
  check: text,
  path: text,
  outcome: z.enum(outcomes),
  reason: text,
  detail: text,
  ms,
  phases: observation.shape.phases.optional(),
  certificateDays: z.int().optional(),
});

const row = z.strictObject({
  provider: text.optional(),
  record: name.optional(),
  shown,
  from: text.nullable(),
  to: text.nullable().describe('null: it stays'),
  ttl: count.optional(),
  problem: text.nullable().optional(),
  why: text.optional(),
});

const reply = {
  exit,
  message: text,
  detail: z
    .looseObject({ plan: z.array(row).optional() })
    .optional()
    .describe('of a dry run the plan; of a switch its id, epoch and target'),
};

const answer = document(reply, 'an order that was given, or its --dry-run; any refusal');

const wanted = z.array(z.strictObject({ what: text, cure: text })).optional();

const firstLook = {
  tookMs: ms.optional(),
  asked: z
    .strictObject({ names: z.array(name), providers: z.array(text), tries: z.boolean() })
    .optional(),
  names: z
    .array(
      z.strictObject({
        typed: name,
        record: name,
        shown,
        takenFor: z.enum(['record', 'public-name']),
        why: text,
        chain: z.array(name).describe('of CNAMEs, from the typed name on'),
      }),
    )
    .optional(),
  seen: z
    .array(
      z.strictObject({
        record: name,
        shown,
        provider: text,
        state: text.describe('found, absent, no-zone, apex, refused, unreachable or no-key'),
        zone: name.nullable(),
        values: z.array(z.strictObject({ value: name, ttl: count })),
        sentence: text,
      }),
    )
    .optional(),
  delegation: z
    .array(z.strictObject({ zone: name, names: z.array(name).nullable(), detail: text }))
    .optional(),
  findings: z
    .array(
      z.strictObject({
        provider: text,
        zone: name,
        word: text,
        severity: z.enum(severities),
        sentence: text,
        cure: text.nullable(),
      }),
    )
    .optional(),
  written: z.array(z.strictObject({ file: text, what: text })).optional(),
  missing: wanted.describe('what the configuration still wants'),
  look: wanted.describe('to be looked at, though nothing waits for it'),
  next: z.array(text).optional(),
};

/** By command; whatever goes wrong is an `answer`. */
export const documents = {
  status,
  history: document(
    {
      entries: z.array(
        z.strictObject({ ...entry, replica: text.optional().describe('with --all: whose entry') }),
      ),
      silent: z
        .array(z.strictObject({ replica: text, why: text }))
        .optional()
        .describe('with --all: who has not answered'),
    },
    'the newest first',
  ),
  explain: document(entry, 'the entry itself'),
  audit: document(
    {
      time,
      tookMs: ms,
      complete: z.boolean(),
      grades: z
        .strictObject({ overall: grade, areas: z.record(z.enum(auditAreas), grade) })
        .describe('A to F, F: something is bad; null: nothing of it could be seen'),
      findings: z.array(finding),
      surveys: z.array(
        z.strictObject({
          provider: text,
          record: name,
          shown,
          share: share.nullable(),
          parentTtl: count.nullable(),
          negativeTtl: count.nullable(),
          bar: text.nullable(),
        }),
      ),
      standbys: z
        .array(
          z.strictObject({
            record: name,
            target: text,
            word: z.enum(standbyWords),
            why: text,
            certificateDays: z.int().nullable(),
          }),
        )
        .describe('of each target whether it serves the public names of its record'),
    },
    'the worst finding first',
  ),
  channels: document(
    {
      channels: z
        .array(
          z.strictObject({
            name: text,
            type: text,
            severity: z.array(z.enum(noticeSeverities)),
            records: z.array(text).nullable().describe('null: all'),
            quietMs: ms,
          }),
        )
        .optional()
        .describe('who is told of what'),
      tried: z
        .array(
          z.strictObject({
            channel: text,
            state: z.enum(['open', 'closed']),
            ms,
            why: text.nullable().describe('null: it got through'),
          }),
        )
        .optional()
        .describe('of `detour channels test`'),
    },
    'the channels, or how telling each of them went',
  ),
  probe: document({ answers: z.array(looked) }, 'every check by every path'),
  drill: document(
    {
      ...reply,
      answers: z.array(looked).optional().describe('of `drill check`'),
      detail: z
        .looseObject({
          plan: z.array(row).optional(),
          drills: z.array(z.strictObject(drillOf)).optional(),
        })
        .optional()
        .describe('of `drill canary` and `drill dry`: what each came to'),
      outcome: text.optional().describe('of `drill live --wait`: how it ended'),
      run: drillRun.optional().describe('the same in figures'),
    },
    '`detour drill check`, `canary`, `dry`, `live` and `end`',
  ),
  validate: document(
    {
      exit,
      problems: z.array(text),
      warnings: z.array(text),
      votes: text.optional().describe('lines for people'),
    },
    'every problem at once',
  ),
  report: z
    .looseObject({ version: z.literal(jsonVersion) })
    .describe('objective, incident or sla; their keys are not promised yet'),
  version: document(
    { detour: text, node: text, machine: text, json: count, contract: count },
    'what runs here',
  ),
  'break-glass': document(
    {
      cluster: text,
      records: z.array(
        z.strictObject({
          record: name,
          shown,
          moves: z.array(
            z.strictObject({
              target: text,
              cname: name,
              vendors: z.array(
                z.strictObject({
                  provider: text,
                  title: text,
                  ttl: count,
                  steps: z.array(z.strictObject({ text, shell: text.optional() })),
                }),
              ),
            }),
          ),
        }),
      ),
    },
    'the steps by hand, by record, target and vendor',
  ),
  simulate: z
    .looseObject({ version: z.literal(jsonVersion) })
    .describe('a replay; its keys are not promised'),
  switch: document(
    {
      ...reply,
      outcome: text.optional().describe('how it ended; left out where nothing was followed'),
      record: record.nullable().optional().describe('as it was last seen'),
    },
    '`detour switch`',
  ),
  adopt: answer,
  approve: document(
    {
      ...reply,
      outcome: text.optional().describe('how it ended; left out where nothing was followed'),
      record: record.nullable().optional().describe('as it was last seen'),
    },
    '`detour approve`',
  ),
  reject: answer,
  pin: answer,
  unpin: answer,
  prepare: answer,
  drain: answer,
  undrain: answer,
  evict: answer,
  readmit: answer,
  freeze: answer,
  unfreeze: answer,
  ack: answer,
  yield: answer,
  reload: answer,
  'install-service': answer,
  init: document({ ...reply, ...firstLook }, '`detour init`; with --key-only an answer'),
} satisfies Readonly<Record<string, z.ZodType>>;

/** The JSON Schema of one command's document; of all of them as `oneOf` by their names. */
export function schemaOf(command: keyof typeof documents | null): object {
  if (command !== null) return exported(documents[command]);
  const all = Object.entries(documents).map(([title, one]) => [title, exported(one)]);
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'what commands of Detour print with --json',
    $defs: Object.fromEntries(all),
  };
}

/** Keys that are added later are no mistake of the program that reads. */
function exported(type: z.ZodType): object {
  return z.toJSONSchema(type, {
    override({ jsonSchema }) {
      delete jsonSchema.additionalProperties;
    },
  });
}
