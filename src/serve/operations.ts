// Every operation of the daemon's doors in one table: where it is, who may ask for it, what is
// asked and what may be answered. The socket and the API serve exactly these, and the API's
// description says exactly these. Plain data: what an operation does stands in routes.ts.

import { z } from 'zod';
import type { ApiRole } from '../core/model.ts';
import { boardSchema, changeSchema, stripsSchema } from './board.ts';
import {
  drillSchema,
  eventsSchema,
  historySchema,
  orderSchema,
  reloadSchema,
  stripsQuerySchema,
  textsSchema,
  tokenCommandSchema,
} from './orders.ts';

export interface Operation {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** The least that whoever asks must be allowed. */
  readonly role: ApiRole;
  readonly about: string;
  readonly query: z.ZodObject | null;
  readonly body: z.ZodType | null;
  /** It is done once for one header Idempotency-Key. */
  readonly once: boolean;
  /** What is answered when it is done. */
  readonly answer: z.ZodType;
  /** It goes on and on, as server-sent events: `answer` is the data of one. */
  readonly streams?: true;
  /** What else may be answered than 200 and what the door itself refuses; each is a Reply. */
  readonly refusals: readonly number[];
}

const at = z.number().meta({ description: 'milliseconds of the daemon’s own steady clock' });
const wall = z.number().meta({ description: 'milliseconds since 1970 in UTC' });

export const replySchema = z
  .looseObject({
    exit: z
      .union([z.literal(0), z.literal(1), z.literal(2), z.literal(3)])
      .meta({ description: '0 done, 1 the world refused, 2 wrong input, 3 partly done' }),
    message: z.string(),
  })
  .meta({ id: 'Reply', description: 'What became of it, in words for people.' });

const drilledSchema = z.looseObject({ running: z.boolean(), reply: replySchema.nullable() });

const listed = z.array(z.looseObject({}));

const statusSchema = z
  .looseObject({
    cluster: z.string(),
    version: z.string(),
    at,
    wall,
    ready: z.looseObject({ ok: z.boolean(), reasons: z.array(z.string()) }),
    records: z.array(
      z.looseObject({
        name: z.string().meta({ description: 'a DNS name with its last dot' }),
        mode: z.string(),
        target: z.string().nullable(),
        epoch: z.number(),
        switching: z.boolean(),
        targets: listed,
        providers: listed,
      }),
    ),
    origins: listed,
    clouds: listed,
    paths: listed,
    lanes: listed,
    notices: listed,
    drains: listed,
  })
  .meta({
    id: 'Status',
    description: 'What is served where, and why: the document of the socket.',
  });

const historyAnswer = z
  .looseObject({
    entries: z.array(
      z.looseObject({ seq: z.number(), wall, kind: z.string(), sentence: z.string() }),
    ),
  })
  .meta({ id: 'History', description: 'The journal, the newest entry first.' });

const auditAnswer = z
  .looseObject({ running: z.boolean(), report: z.looseObject({}).nullable() })
  .meta({ id: 'Audit', description: 'The last audit; null before the first.' });

const plain = { query: null, body: null, once: false, refusals: [] };

type Word =
  | 'alive'
  | 'status'
  | 'board'
  | 'events'
  | 'strips'
  | 'history'
  | 'audited'
  | 'audit'
  | 'command'
  | 'reload'
  | 'drilled'
  | 'drill'
  | 'compare'
  | 'openapi';

export const operations: Readonly<Record<Word, Operation>> = {
  alive: {
    ...plain,
    method: 'GET',
    path: '/v1/alive',
    role: 'read',
    about: 'Whether the process answers; it costs nothing, whatever the state.',
    answer: z.looseObject({ alive: z.literal(true) }).meta({ id: 'Alive' }),
  },
  status: {
    ...plain,
    method: 'GET',
    path: '/v1/status',
    role: 'read',
    about: 'What is served where, and why.',
    answer: statusSchema,
  },
  board: {
    ...plain,
    method: 'GET',
    path: '/v1/board',
    role: 'read',
    about: 'What the status page shows, with the number that its changes are counted from.',
    answer: boardSchema,
  },
  events: {
    ...plain,
    method: 'GET',
    path: '/v1/events',
    role: 'read',
    about:
      'The changes of the board as server-sent events: `change`; `tick` where nothing changed for ' +
      'a second; `anew` where the board must be asked for again.',
    query: eventsSchema,
    streams: true,
    answer: changeSchema,
    refusals: [400, 503],
  },
  strips: {
    ...plain,
    method: 'GET',
    path: '/v1/strips',
    role: 'read',
    about: 'What the probes of some origins and clouds saw of late, by check and path.',
    query: stripsQuerySchema,
    answer: stripsSchema,
    refusals: [400],
  },
  history: {
    ...plain,
    method: 'GET',
    path: '/v1/history',
    role: 'read',
    about: 'What happened, the newest first.',
    query: historySchema,
    answer: historyAnswer,
    refusals: [400],
  },
  audited: {
    ...plain,
    method: 'GET',
    path: '/v1/audit',
    role: 'read',
    about: 'The last audit, and whether one is under way.',
    answer: auditAnswer,
  },
  audit: {
    ...plain,
    method: 'POST',
    path: '/v1/audit',
    role: 'operate',
    about: 'Audits now, or joins the audit under way; one that takes long is asked for by GET.',
    answer: auditAnswer,
  },
  command: {
    ...plain,
    method: 'POST',
    path: '/v1/command',
    role: 'approve',
    about: 'One order of an operator. With the role approve only approve and reject.',
    query: orderSchema,
    body: tokenCommandSchema,
    once: true,
    answer: replySchema,
    refusals: [400, 409, 413, 415],
  },
  reload: {
    ...plain,
    method: 'POST',
    path: '/v1/reload',
    role: 'operate',
    about: 'Reads the configuration again; a bad one is refused and the good one kept.',
    query: reloadSchema,
    answer: replySchema,
    refusals: [400, 409],
  },
  drilled: {
    ...plain,
    method: 'GET',
    path: '/v1/drill',
    role: 'read',
    about: 'The drill that is under way, or what came of the last one that was asked for.',
    answer: drilledSchema,
  },
  drill: {
    ...plain,
    method: 'POST',
    path: '/v1/drill',
    role: 'operate',
    about: 'Begins a canary or a dry drill; not waited for: ask with GET what comes of it.',
    query: drillSchema,
    answer: drilledSchema,
    refusals: [400, 409],
  },
  compare: {
    ...plain,
    method: 'POST',
    path: '/v1/compare',
    role: 'operate',
    about:
      'What these texts, in place of the configuration in force, would change. Changes nothing.',
    body: textsSchema,
    answer: replySchema,
    refusals: [400, 409, 413, 415],
  },
  openapi: {
    ...plain,
    method: 'GET',
    path: '/v1/openapi.json',
    role: 'read',
    about: 'This description.',
    answer: z.looseObject({ openapi: z.string(), paths: z.looseObject({}) }),
  },
};
