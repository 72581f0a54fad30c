// The operators' door: HTTP over a Unix socket. Whoever may open the file may command (mode 0660:
// owner and group), so the socket must never exist with a wider mode, not for a moment, and must
// never be taken from a daemon that still answers. It checks the shape of a command and passes it
// on; whether the command is wise is for the core to say. Who says it is what the client says: Node
// cannot ask the kernel for the peer's user, so the name is marked as unverified wherever it goes.

import { randomUUID } from 'node:crypto';
import { lstatSync, unlinkSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { z } from 'zod';
import type { Command, Reply } from '../core/model.ts';
import { meant } from '../core/name.ts';
import { whyOfFile } from '../kit/errno.ts';
import { toName } from '../kit/schema.ts';
import type { StoredEntry } from '../ports.ts';
import { close, createBounded, type Limits, listen, readBody, send, target } from './bounded.ts';
import type { Desk, Served, Trouble } from './desk.ts';
import type { Readers, Work } from './readers.ts';
import { jsonOf, sendText, type Text } from './text.ts';

export interface ControlOptions {
  /** Path of the socket file, at most 107 bytes. */
  readonly path: string;
  readonly desk: Desk;
  readonly readers: Readers;
  readonly trouble: Trouble;
  readonly limits?: Partial<Limits>;
  /** How long a command may take before its asker is told to look at the status instead. */
  readonly commandMs?: number;
}

/** The socket could not be opened; the message names the path and the cure. */
export class ControlError extends Error {}

const bodyMost = 65_536;
/** Entries of the journal that are read in one go. */
const pageMost = 100;

/**
 * Listens on the socket. Replaces a socket file that nobody answers at; throws ControlError when
 * somebody does, when the file is no socket, or when the path cannot be used.
 */
export async function serveControl(options: ControlOptions): Promise<Served> {
  const { path } = options;
  if (Buffer.byteLength(path) > 107) {
    throw new ControlError(`control socket ${path}: longer than 107 bytes; choose a shorter path`);
  }
  const limits: Limits = { connections: 64, requestMs: 10_000, idleMs: 30_000, ...options.limits };
  const server = createBounded(limits, handler(options), options.trouble);
  await removeStale(path);
  // bind() happens inside listen(), before it returns: the file is born with mode 0660.
  const umask = process.umask(0o117);
  let listening: Promise<void>;
  try {
    listening = listen(server, { path });
  } finally {
    process.umask(umask);
  }
  try {
    await listening;
  } catch (error) {
    throw new ControlError(
      `control socket ${path} ${whyOfFile(error)}: its directory must exist and be writable`,
    );
  }
  server.on('error', (error) => options.trouble('control-socket', error.message));
  return { close: () => close(server) };
}

/** Takes away a socket file left by a daemon that is gone. */
async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new ControlError(`control socket ${path}: something else is there; move it away`);
  }
  const answer = await knock(path);
  if (answer === 'ENOENT') return;
  if (answer !== 'ECONNREFUSED') {
    const why = answer === null ? 'another daemon answers there' : `it cannot be tried (${answer})`;
    throw new ControlError(
      `control socket ${path}: ${why}; stop that daemon or choose another path`,
    );
  }
  unlinkSync(path);
}

/** null when somebody accepts the connection, else the error's code; `ETIMEDOUT` after 2 s. */
function knock(path: string): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const done = (answer: string | null) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(2000, () => done('ETIMEDOUT'));
    socket.once('connect', () => done(null));
    socket.once('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
  });
}

type Route = (
  request: IncomingMessage,
  query: URLSearchParams,
) => Promise<Answer | Long> | Answer | Long;

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** A document that may be long: made and sent as readers may; null when its asker has gone. */
interface Long {
  readonly text: (asker: ServerResponse) => Promise<Text | null>;
}

function handler(options: ControlOptions) {
  const { desk, readers } = options;
  const commandMs = options.commandMs ?? 20_000;
  const shelf = readers.shelf();
  const known = new WeakMap<object, string>();
  const status = shelf.shared(async () => readers.spend(jsonOf(await desk.status(), known)));
  const own = (work: () => Work<Text>): Long => ({
    text: (asker) => shelf.own(asker, () => readers.spend(work())),
  });
  const audited = () => own(() => jsonOf(desk.audited()));
  const routes: Readonly<Record<string, Readonly<Record<string, Route>>>> = {
    // For who asks whether the process lives: it costs nothing, whatever the state.
    '/v1/alive': { GET: () => ({ status: 200, body: { alive: true } }) },
    '/v1/status': { GET: () => ({ text: status }) },
    '/v1/history': { GET: (_, query) => history(desk, query, own) },
    '/v1/command': { POST: (request, query) => command(desk, request, query, commandMs) },
    '/v1/reload': { POST: (_, query) => reload(desk, query, commandMs) },
    '/v1/audit': {
      GET: audited,
      // Not waited for beyond a command's time: whoever asked sees it running, and asks again.
      POST: () => within(desk.audit(), commandMs, audited, audited),
    },
  };
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { path, query } = target(request);
    const route = Object.hasOwn(routes, path) ? routes[path]! : null;
    if (route === null) {
      const known = Object.keys(routes).join(', ');
      return json(request, response, refused(404, `nothing is served at this path; try ${known}`));
    }
    const method = request.method ?? '';
    const answer = Object.hasOwn(route, method) ? route[method]! : null;
    if (answer === null) {
      const allow = Object.keys(route).join(', ');
      const sentence = `${path} takes ${allow}, not ${method}`;
      return json(request, response, refused(405, sentence), { allow });
    }
    const made = await answer(request, query);
    if ('body' in made) return json(request, response, made);
    const text = await made.text(response);
    if (text !== null) await sendText({ request, response }, text, headersFor(request), readers);
  };
}

function json(
  request: IncomingMessage,
  response: ServerResponse,
  { status, body }: Answer,
  headers: Readonly<Record<string, string>> = {},
): void {
  send(request, response, status, JSON.stringify(body), { ...headersFor(request), ...headers });
}

function headersFor(request: IncomingMessage): Readonly<Record<string, string>> {
  // An unread body must not be taken for the next request.
  const closing: Record<string, string> = request.complete ? {} : { connection: 'close' };
  return { 'content-type': 'application/json', ...closing };
}

function refused(status: number, message: string): Answer {
  return { status, body: { exit: 2, message } satisfies Reply };
}

function replied(reply: Reply): Answer {
  return { status: { 0: 200, 1: 409, 2: 400, 3: 200 }[reply.exit], body: reply };
}

/** The reply, or after `ms` a reply that says what is not known. */
function inTime(reply: Promise<Reply>, ms: number): Promise<Reply> {
  const message =
    `the daemon took the command and has not answered for ${ms} ms: ` +
    'it may still be carried out; look at `detour status`';
  const late: Reply = { exit: 1, message };
  return within(
    reply,
    ms,
    (made) => made,
    () => late,
  );
}

/** What is made of the work's result, or after `ms` what is said of its absence. */
async function within<T, R>(
  work: Promise<T>,
  ms: number,
  done: (result: T) => R,
  late: () => R,
): Promise<R> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<R>((resolve) => {
    timer = setTimeout(() => resolve(late()), ms);
  });
  try {
    return await Promise.race([work.then(done), patience]);
  } finally {
    clearTimeout(timer);
  }
}

async function command(
  desk: Desk,
  request: IncomingMessage,
  query: URLSearchParams,
  ms: number,
): Promise<Answer> {
  const how = orderSchema.safeParse(Object.fromEntries(query));
  if (!how.success) return refused(400, `not an order: ${sentences(how.error)}`);
  const text = await readBody(request, bodyMost);
  if (text === null) return refused(413, `a command is at most ${bodyMost} bytes`);
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return refused(400, 'the body is not JSON');
  }
  const parsed = commandSchema.safeParse(document);
  if (!parsed.success) return refused(400, sentences(parsed.error));
  return replied(await inTime(desk.command(parsed.data, how.data.id ?? randomUUID()), ms));
}

async function reload(desk: Desk, query: URLSearchParams, ms: number): Promise<Answer> {
  const parsed = reloadSchema.safeParse(Object.fromEntries(query));
  if (!parsed.success) return refused(400, `not a reload: ${sentences(parsed.error)}`);
  return replied(await inTime(desk.reload({ dryRun: parsed.data.dryRun === 'true' }), ms));
}

async function history(
  desk: Desk,
  query: URLSearchParams,
  own: (work: () => Work<Text>) => Long,
): Promise<Answer | Long> {
  const parsed = historySchema.safeParse(Object.fromEntries(query));
  if (!parsed.success) return refused(400, sentences(parsed.error));
  const { record: typed, limit, all, before } = parsed.data;
  const record = typed === undefined ? undefined : await recordOf(desk, typed);
  if (record !== undefined && typeof record !== 'string') return refused(400, record.sentence);
  if (all === 'true') {
    if (before !== undefined) return refused(400, 'journals of a group are not read in pages');
    const found = desk.histories({ ...(record === undefined ? {} : { record }), limit });
    if (found === null) return refused(400, 'there is no group of replicas: leave --all out');
    const made = await found;
    return own(() => jsonOf(made));
  }
  return own(function* () {
    const entries: StoredEntry[] = [];
    for (let page = pageMost; page === pageMost && entries.length < limit; yield) {
      const oldest = entries.at(-1)?.seq ?? before;
      const found = desk.history({
        ...(record === undefined ? {} : { record }),
        ...(oldest === undefined ? {} : { before: oldest }),
        limit: Math.min(pageMost, limit - entries.length),
      });
      entries.push(...found);
      page = found.length;
    }
    return yield* jsonOf({ entries });
  });
}

/** The record that is meant by what was typed, or what is wrong with it. */
async function recordOf(
  desk: Desk,
  typed: string,
): Promise<string | { readonly sentence: string }> {
  const name = toName(typed);
  if (name !== null && desk.gate(name) !== null) return name;
  const known = (await desk.status()).records.map((r) => r.name);
  const found = meant('record', typed, known);
  if (found.ok) return found.name;
  // One that is configured no longer has a past all the same.
  return name !== null && desk.history({ record: name, limit: 1 }).length > 0 ? name : found;
}

function sentences(error: z.ZodError): string {
  return error.issues
    .map((issue) => (issue.path.length > 0 ? `${issue.path.join('.')}: ` : '') + issue.message)
    .join('; ');
}

function line(what: string, most: number) {
  return z
    .string({ error: `expected ${what} as text` })
    .trim()
    .min(1, `expected ${what}, found nothing`)
    .max(most, `expected at most ${most} characters`)
    .regex(/^\P{Cc}*$/u, 'expected one line without control characters');
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
const flag = z.boolean('expected true or false');
const dryRun = flag.optional();

/** The commands of core/model.ts as they come over the socket. */
const commandSchema: z.ZodType<Command> = z.discriminatedUnion(
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
    z.strictObject({ kind: z.literal('unpin'), record, by, dryRun }),
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
    z.strictObject({ kind: z.literal('unfreeze'), record: record.nullable(), by, dryRun }),
    z.strictObject({ kind: z.literal('ack'), record, by, reject: flag, dryRun }),
    z.strictObject({ kind: z.literal('drilled'), check: word, by }),
    z.strictObject({ kind: z.literal('yield'), by, dryRun }),
    z.strictObject({ kind: z.literal('restored'), by, dryRun }),
  ],
  {
    error: (issue) =>
      issue.code === 'invalid_union'
        ? 'expected switch, adopt, pin, unpin, drain, undrain, freeze, unfreeze, ack, yield, restored'
        : 'expected a command as an object',
  },
);

/** The id by which an order is known in a group: said twice, it is done once. */
const orderSchema = z.strictObject({
  id: z
    .string()
    .regex(/^[0-9A-Za-z_-]{8,64}$/, 'expected 8 to 64 letters, digits, - or _')
    .optional(),
});

const reloadSchema = z.strictObject({
  dryRun: z.enum(['true', 'false'], 'expected true or false').default('false'),
});

const historySchema = z.strictObject({
  all: z.enum(['true', 'false'], 'expected true or false').default('false'),
  record: line('a record', 255).optional(),
  /** Entries older than that one alone. */
  before: z
    .string()
    .regex(/^\d{1,15}$/, 'expected the number of an entry')
    .transform(Number)
    .optional(),
  limit: z
    .string()
    .regex(/^\d{1,5}$/, 'expected a whole number')
    .transform(Number)
    .pipe(z.number().min(1, 'expected at least 1').max(10_000, 'expected at most 10000'))
    .default(100),
});
