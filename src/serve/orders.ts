// What may be asked of the daemon, as shapes: commands, and what stands in a query. The socket and
// the API read by them, and the API's description is made of them, so that the three cannot tell
// different stories. It knows no state: whether an order is wise is for the core to say.

import { z } from 'zod';
import type { Command, DelegationCommand } from '../core/model.ts';
import { toName } from '../kit/schema.ts';

/** One sentence of all that is wrong with what was asked. */
export function sentences(error: z.ZodError): string {
  return error.issues
    .map((issue) => (issue.path.length > 0 ? `${issue.path.join('.')}: ` : '') + issue.message)
    .join('; ');
}

/** No control character (Unicode's Cc), in a notation that every reader of JSON Schema knows. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused.
const oneLine = /^[^\u0000-\u001f\u007f-\u009f]*$/;

function line(what: string, most: number) {
  return z
    .string({ error: `expected ${what} as text` })
    .regex(oneLine, 'expected one line without control characters')
    .trim()
    .min(1, `expected ${what}, found nothing`)
    .max(most, `expected at most ${most} characters`);
}

/** As it was typed; which one is meant is for the core to say. */
const record = line('a record', 255).transform((text) => toName(text) ?? text);
const by = line('who says it', 64).transform((name) => `${name} (unverified)`);
const reason = line('a reason', 500);
const word = line('a name from the configuration', 128);
const forMs = z
  .number('expected milliseconds, or null for no end')
  .int('expected whole milliseconds')
  .min(1000, 'expected at least 1 s')
  .max(366 * 86_400_000, 'expected at most 366 days')
  .nullable();
const drillMs = z
  .number('expected milliseconds')
  .int('expected whole milliseconds')
  .min(1000, 'expected at least 1 s')
  .max(86_400_000, 'expected at most a day');
const shortTtl = z
  .number('expected seconds')
  .int('expected whole seconds')
  .min(1, 'expected at least 1 s')
  .max(3600, 'expected at most 1 h');
const flag = z.boolean('expected true or false');
const dryRun = flag.optional();
const approvalId = line('the id of a decision that waits', 64);

function expected({ code }: { readonly code: string }): string {
  return code === 'invalid_union'
    ? 'expected switch, adopt, pin, unpin, prepare, unprepare, drain, undrain, freeze, unfreeze, ' +
        'ack, approve, reject, drill, end-drill, yield, restored, evict, readmit'
    : 'expected a command as an object';
}

/** Decisions that wait for a person, and drills. */
function asked<B extends z.ZodType>(by: B) {
  return [
    z.strictObject({
      kind: z.literal('approve'),
      id: approvalId,
      reason: reason.optional(),
      by,
      dryRun,
    }),
    z.strictObject({
      kind: z.literal('reject'),
      id: approvalId,
      reason: reason.optional(),
      by,
      dryRun,
    }),
    z.strictObject({ kind: z.literal('drilled'), check: word, by }),
    z.strictObject({
      kind: z.literal('drill'),
      record,
      target: word.nullable(),
      byVendor: flag,
      forMs: drillMs,
      watchMs: drillMs.optional(),
      prepare: z.literal(false, 'expected false, or nothing').optional(),
      reason,
      by,
      dryRun,
    }),
    z.strictObject({ kind: z.literal('end-drill'), record, by, dryRun }),
  ] as const;
}

/** A TTL brought down before a move, and back. */
function prepared<B extends z.ZodType>(by: B) {
  const what = { record, by, dryRun };
  return [
    z.strictObject({ kind: z.literal('prepare'), ...what, ttl: shortTtl, forMs: drillMs, reason }),
    z.strictObject({ kind: z.literal('unprepare'), ...what, reason: reason.optional() }),
  ] as const;
}

/** A vendor out of a delegation, and back. */
function delegations<B extends z.ZodType>(by: B) {
  const zone = record.nullable();
  const what = { provider: word, zone, reason, by, dryRun };
  return [
    z.strictObject({ kind: z.literal('evict'), ...what }),
    z.strictObject({ kind: z.literal('readmit'), ...what }),
  ] as const;
}

/**
 * The commands of core/model.ts as they come, `by` whom being said as the door asks for it. By which
 * link a word came is for the page of links alone to say.
 */
function commandsBy<B extends z.ZodType>(by: B) {
  return z.discriminatedUnion(
    'kind',
    [
      z.strictObject({
        kind: z.literal('switch'),
        record,
        target: word,
        reason,
        by,
        forMs,
        force: flag,
        dryRun: flag,
      }),
      z.strictObject({
        kind: z.literal('adopt'),
        record,
        target: word,
        create: flag,
        reason: reason.optional(),
        by,
        dryRun,
      }),
      z.strictObject({ kind: z.literal('pin'), record, reason, by, forMs, dryRun }),
      z.strictObject({ kind: z.literal('unpin'), record, reason: reason.optional(), by, dryRun }),
      ...prepared(by),
      z.strictObject({
        kind: z.literal('drain'),
        what: word,
        reason,
        by,
        forMs: forMs.optional(),
        dryRun,
      }),
      z.strictObject({ kind: z.literal('undrain'), what: word, by, dryRun }),
      z.strictObject({
        kind: z.literal('freeze'),
        record: record.nullable(),
        reason,
        by,
        forMs: forMs.optional(),
        dryRun,
      }),
      z.strictObject({
        kind: z.literal('unfreeze'),
        record: record.nullable(),
        reason: reason.optional(),
        by,
        dryRun,
      }),
      z.strictObject({ kind: z.literal('ack'), record, by, reject: flag, dryRun }),
      ...asked(by),
      z.strictObject({ kind: z.literal('yield'), by, dryRun }),
      z.strictObject({ kind: z.literal('restored'), by, dryRun }),
      ...delegations(by),
    ],
    { error: expected },
  );
}

/** Where nobody can say who asks: whoever does says so. */
export const commandSchema: z.ZodType<AnyCommand> = commandsBy(by);

/** Where a token says who asks; whom that is for may be said beside it. */
export const tokenCommandSchema: z.ZodType<Unsaid<AnyCommand>> = commandsBy(by.optional());

/** What the engine carries out, and what is carried out beside it. */
export type AnyCommand = Command | DelegationCommand;

export function isDelegation(command: AnyCommand): command is DelegationCommand {
  return command.kind === 'evict' || command.kind === 'readmit';
}

type Unsaid<C> = C extends AnyCommand
  ? Omit<C, 'by'> & { readonly by?: string | undefined }
  : never;

/** By which an order is known: said twice, it is done once. */
export const orderId = z
  .string()
  .regex(/^[0-9A-Za-z_-]{8,64}$/, 'expected 8 to 64 letters, digits, - or _');

export const orderSchema = z.strictObject({
  id: orderId.optional().describe('the same as the header Idempotency-Key'),
});

export const reloadSchema = z.strictObject({
  dryRun: z
    .enum(['true', 'false'], 'expected true or false')
    .default('false')
    .describe('only to say what it would change'),
  force: z
    .enum(['true', 'false'], 'expected true or false')
    .default('false')
    .describe('also where it removes many records, or changes the targets of all'),
});

export const drillSchema = z.strictObject({
  kind: z.enum(['canary', 'dry'], 'expected canary or dry'),
  name: word.optional().describe('a provider, without it every one; of a dry drill the origin'),
});

const oneText = z.strictObject({ file: line('a file', 4096), text: z.string() });

/** A configuration that is to be looked at. */
export const textsSchema = oneText.extend({
  included: z
    .record(
      z.string().max(1000),
      z.union([z.array(oneText).max(500), z.strictObject({ why: z.string().max(1000) })]),
    )
    .describe('what each folder of include: holds, or why nothing'),
});

export const eventsSchema = z.strictObject({
  after: z
    .string()
    .regex(/^[0-9a-f]{1,32}-\d{1,15}$/, 'expected the number of a board')
    .optional()
    .describe('the number of the board that is known; the header Last-Event-ID goes before it'),
});

/** Origins and clouds whose strips are asked for at once; a name has 40 characters at most. */
const ownersMost = 20;

export const stripsQuerySchema = z.strictObject({
  // Longer than any names are: what is taken has to fit into the head of a request, written in %.
  of: line('names of origins and clouds', 41 * ownersMost)
    .transform((text) => text.split(','))
    .pipe(z.array(z.string()).max(ownersMost, `expected at most ${ownersMost} names`))
    .meta({ type: 'string' })
    .describe(`names of origins and clouds, with commas, at most ${ownersMost}`),
  span: z
    .enum(['15m', '6h'], 'expected 15m or 6h')
    .default('15m')
    .describe('of the last 15 minutes by 5 s, or of the last 6 hours by 2 min'),
});

export const historySchema = z.strictObject({
  all: z
    .enum(['true', 'false'], 'expected true or false')
    .default('false')
    .describe('of every replica of the group'),
  record: line('a record', 255).optional().describe('of this record alone'),
  before: z
    .string()
    .regex(/^\d{1,15}$/, 'expected the number of an entry')
    .transform(Number)
    .optional()
    .describe('only entries older than that one, by its number'),
  limit: z
    .string()
    .regex(/^\d{1,5}$/, 'expected a whole number')
    .transform(Number)
    .pipe(z.number().min(1, 'expected at least 1').max(10_000, 'expected at most 10000'))
    .default(100)
    .describe('entries at most, the newest first: 1 to 10000'),
});
