// What each operation of operations.ts does, for every door alike: the socket, where whoever may
// open the file may all, and the API, where a token says who asks and what he may. It checks the
// shape of what is asked and passes it on; whether an order is wise is for the core to say.

import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { z } from 'zod';
import type { ApiRole, Reply, Spelling } from '../core/model.ts';
import { meant } from '../core/name.ts';
import { toName } from '../kit/schema.ts';
import type { StoredEntry } from '../ports.ts';
import { readBody, send, target } from './bounded.ts';
import type { Desk, Trouble } from './desk.ts';
import { createFeed, type Feed } from './feed.ts';
import { type Operation, operations } from './operations.ts';
import {
  type AnyCommand,
  commandSchema,
  drillSchema,
  eventsSchema,
  historySchema,
  isDelegation,
  orderSchema,
  reloadSchema,
  sentences,
  stripsQuerySchema,
  textsSchema,
  tokenCommandSchema,
} from './orders.ts';
import type { Readers, Work } from './readers.ts';
import { jsonOf, sendText, type Text } from './text.ts';

/** Who came by a door where a token says so. */
export interface Caller {
  /** For the journal: the token's name, the door and the address. */
  readonly by: string;
  may(role: ApiRole): boolean;
  /** Whether it is let in still, for what goes on for long. */
  holds(): boolean;
}

interface RouteOptions {
  readonly desk: Desk;
  readonly readers: Readers;
  readonly version: string;
  readonly trouble: Trouble;
  /** How long a command may take before its asker is told to look at the status instead. */
  readonly commandMs?: number | undefined;
}

interface Asked {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Lets go of the place among connections, for what is counted elsewhere. */
  readonly aside: () => void;
  readonly query: URLSearchParams;
  /** null: whoever may open the socket. */
  readonly caller: Caller | null;
}

type Route = (asked: Asked) => Promise<Answer | Long> | Answer | Long | Begun;

/** It is being answered, and goes on. */
interface Begun {
  readonly begun: true;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** A document that may be long: made and sent as readers may; null when its asker has gone. */
interface Long {
  readonly text: (asker: ServerResponse) => Promise<Text | null>;
}

/** Answers one request whose asker is known; null: by the socket. Resolves with the status. */
type Dispatch = (
  request: IncomingMessage,
  response: ServerResponse,
  caller: Caller | null,
  aside: () => void,
) => Promise<number>;

export interface Routes {
  readonly dispatch: Dispatch;
  /** Ends what goes on for long. */
  close(): void;
}

const bodyMost = 65_536;
/** Of a configuration that is only looked at, with all that it includes. */
const textsMost = 8 << 20;
/** Entries of the journal that are read in one go. */
const pageMost = 100;

/** One table for a door; its long texts are counted together. */
export function createRoutes(options: RouteOptions): Routes {
  const { readers } = options;
  const feed = createFeed({ ...options, names: true });
  const table = tableOf(routesOf(options, feed));
  const dispatch: Dispatch = async (request, response, caller, aside) => {
    const { path, query } = target(request);
    const methods = table.get(path);
    if (methods === undefined) {
      const known = [...table.keys()].join(', ');
      return json(request, response, refused(404, `nothing is served at this path; try ${known}`));
    }
    const method = request.method ?? '';
    const found = methods.get(method);
    if (found === undefined) {
      const allow = [...methods.keys()].join(', ');
      const sentence = `${path} takes ${allow}, not ${method}`;
      return json(request, response, refused(405, sentence), { allow });
    }
    const { operation, route } = found;
    if (caller !== null && !caller.may(operation.role)) {
      return json(request, response, forbidden(`${method} ${path}`, operation.role));
    }
    const made = await route({ request, response, query, caller, aside });
    if ('begun' in made) return 200;
    if ('body' in made) return json(request, response, saidBy(options.desk, made));
    return sendLong(request, response, made, readers);
  };
  return { dispatch, close: () => feed.close() };
}

/** What is said to people comes with how names are shown to them. */
function saidBy(desk: Desk, { status, body }: Answer): Answer {
  const isSaid = typeof body === 'object' && body !== null && ('exit' in body || 'reply' in body);
  return { status, body: isSaid ? { ...body, ...spellingIn(desk) } : body };
}

function spellingIn(desk: Desk): { readonly spelling?: Spelling } {
  const spelling = desk.spelling();
  return spelling === undefined ? {} : { spelling };
}

export async function sendLong(
  request: IncomingMessage,
  response: ServerResponse,
  made: Long,
  readers: Readers,
): Promise<number> {
  const text = await made.text(response);
  if (text !== null) await sendText({ request, response }, text, headersFor(request), readers);
  return 200;
}

interface Served {
  readonly operation: Operation;
  readonly route: Route;
}

function tableOf(
  routes: Readonly<Record<keyof typeof operations, Route>>,
): ReadonlyMap<string, ReadonlyMap<string, Served>> {
  const table = new Map<string, Map<string, Served>>();
  for (const [name, operation] of Object.entries(operations)) {
    const route = routes[name as keyof typeof operations];
    const methods = table.get(operation.path) ?? new Map<string, Served>();
    table.set(operation.path, methods.set(operation.method, { operation, route }));
  }
  return table;
}

function routesOf(
  options: RouteOptions,
  feed: Feed,
): Readonly<Record<keyof typeof operations, Route>> {
  const { desk, readers, version } = options;
  const commandMs = options.commandMs ?? 20_000;
  const shelf = readers.shelf();
  const known = new WeakMap<object, string>();
  const status = shelf.shared(async () => readers.spend(jsonOf(await desk.status(), known)));
  const board = shelf.shared(() => feed.board());
  const own = (work: () => Work<Text>): Long => ({
    text: (asker) => shelf.own(asker, () => readers.spend(work())),
  });
  const audited = () => own(() => jsonOf({ ...desk.audited(), ...spellingIn(desk) }));
  return {
    alive: () => ({ status: 200, body: { alive: true } }),
    status: () => ({ text: status }),
    board: () => ({ text: board }),
    events: ({ request, response, query, caller, aside }) =>
      follow(feed, { request, response, query, aside, may: () => caller?.holds() ?? true }),
    strips: ({ query }) => stripsOf(desk, query, own),
    history: ({ query }) => history(desk, query, own),
    audited,
    // Not waited for beyond a command's time: whoever asked sees it running, and asks again.
    audit: () => within(desk.audit(), commandMs, audited, audited),
    command: (asked) => command(desk, asked, commandMs),
    reload: (asked) => reload(desk, asked, commandMs),
    drilled: () => ({ status: 200, body: desk.drilled() }),
    drill: (asked) => drill(desk, asked),
    compare: (asked) => compare(desk, asked, commandMs),
    openapi: async () => {
      const { openApi } = await import('./openapi.ts');
      return { status: 200, body: openApi(version) };
    },
  };
}

/** Sends one short answer; its status. */
export function json(
  request: IncomingMessage,
  response: ServerResponse,
  { status, body }: Answer,
  headers: Readonly<Record<string, string>> = {},
): number {
  send(request, response, status, JSON.stringify(body), { ...headersFor(request), ...headers });
  return status;
}

function headersFor(request: IncomingMessage): Readonly<Record<string, string>> {
  // An unread body must not be taken for the next request.
  const closing: Record<string, string> = request.complete ? {} : { connection: 'close' };
  return { 'content-type': 'application/json', ...closing };
}

/** What was asked is wrong. */
function refused(status: number, message: string): Answer {
  return { status, body: { exit: 2, message } satisfies Reply };
}

function forbidden(what: string, role: ApiRole): Answer {
  const message = `${what} wants the role ${role}, and this token has not got it`;
  return { status: 403, body: { exit: 1, message } satisfies Reply };
}

function replied(reply: Reply): Answer {
  return { status: { 0: 200, 1: 409, 2: 400, 3: 200 }[reply.exit], body: reply };
}

/** The reply, or after `ms` a reply that says what is not known. */
export function inTime(reply: Promise<Reply>, ms: number): Promise<Reply> {
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

/** What a person may say of a decision that waits for one. */
const wordsOfApproval: ReadonlySet<string> = new Set(['approve', 'reject']);

async function command(desk: Desk, asked: Asked, ms: number): Promise<Answer> {
  const { caller } = asked;
  const id = idOf(asked);
  if (typeof id !== 'string') return id;
  const read = await documentOf(asked, 'a command', bodyMost);
  if ('status' in read) return read;
  const { document } = read;
  const parsed: z.ZodSafeParseResult<Said> =
    caller === null ? commandSchema.safeParse(document) : tokenCommandSchema.safeParse(document);
  if (!parsed.success) return refused(400, sentences(parsed.error));
  const { kind, by: said } = parsed.data;
  if (caller !== null && !wordsOfApproval.has(kind) && !caller.may('operate')) {
    return forbidden(`the command ${kind}`, 'operate');
  }
  const by = caller === null ? said! : said === undefined ? caller.by : `${caller.by} for ${said}`;
  const order = { ...parsed.data, by } as AnyCommand;
  const carried = isDelegation(order) ? desk.delegate(order, id) : desk.command(order, id);
  return replied(await inTime(carried, ms));
}

type Said = z.output<typeof commandSchema> | z.output<typeof tokenCommandSchema>;

/** By which id the order is known, where one is said in either way; else a new one. */
function idOf({ request, query }: Asked): string | Answer {
  const how = orderSchema.safeParse(Object.fromEntries(query));
  if (!how.success) return refused(400, `not an order: ${sentences(how.error)}`);
  const header = request.headers['idempotency-key'];
  if (header === undefined) return how.data.id ?? randomUUID();
  const said = orderSchema.safeParse({ id: header });
  if (!said.success) return refused(400, `Idempotency-Key: ${sentences(said.error)}`);
  if (how.data.id !== undefined && how.data.id !== header) {
    return refused(400, 'id and Idempotency-Key differ: an order has one');
  }
  return said.data.id!;
}

/** The body as JSON, or what is answered instead. */
async function documentOf(
  { request, caller }: Asked,
  what: string,
  most: number,
): Promise<{ readonly document: unknown } | Answer> {
  if (caller !== null && !isJson(request)) {
    return refused(415, `${what} is sent as JSON: content-type: application/json`);
  }
  const text = await readBody(request, most);
  if (text === null) return refused(413, `${what} is at most ${most} bytes`);
  try {
    return { document: JSON.parse(text) };
  } catch {
    return refused(400, 'the body is not JSON');
  }
}

function isJson(request: IncomingMessage): boolean {
  return /^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '');
}

async function reload(desk: Desk, { query, caller }: Asked, ms: number): Promise<Answer> {
  const parsed = reloadSchema.safeParse(Object.fromEntries(query));
  if (!parsed.success) return refused(400, `not a reload: ${sentences(parsed.error)}`);
  const by = caller === null ? {} : { by: caller.by };
  const [dryRun, force] = [parsed.data.dryRun === 'true', parsed.data.force === 'true'];
  return replied(await inTime(desk.reload({ dryRun, force, ...by }), ms));
}

/** Not waited for: whoever asked looks whether it is still running. */
async function drill(desk: Desk, { query }: Asked): Promise<Answer> {
  const parsed = drillSchema.safeParse(Object.fromEntries(query));
  if (!parsed.success) return refused(400, `not a drill: ${sentences(parsed.error)}`);
  const { kind, name = null } = parsed.data;
  if (kind === 'dry' && name === null) return refused(400, 'a dry drill is of one origin: name it');
  const reply = await desk.drill(kind, name);
  return reply === null ? { status: 200, body: { running: true, reply: null } } : replied(reply);
}

/** What a configuration that is not the daemon's own file would change; it changes nothing. */
async function compare(desk: Desk, asked: Asked, ms: number): Promise<Answer> {
  const read = await documentOf(asked, 'a configuration', textsMost);
  if ('status' in read) return read;
  const parsed = textsSchema.safeParse(read.document);
  if (!parsed.success) return refused(400, sentences(parsed.error));
  return replied(await inTime(desk.reload({ dryRun: true, texts: parsed.data }), ms));
}

interface Following extends Pick<Asked, 'request' | 'response' | 'query' | 'aside'> {
  readonly may: () => boolean;
}

/** Begins to send what changes; or says why not. */
export function follow(feed: Feed, asked: Following): Answer | Begun {
  const { request, response, query, aside, may } = asked;
  if (request.method === 'HEAD') return refused(405, 'of what goes on and on there is no HEAD');
  const parsed = eventsSchema.safeParse(Object.fromEntries(query));
  if (!parsed.success) return refused(400, sentences(parsed.error));
  const header = request.headers['last-event-id'];
  const after = typeof header === 'string' && header !== '' ? header : parsed.data.after;
  if (!feed.follow(response, after ?? null, may)) {
    const message = 'too many pages look on already: close one, or try again later';
    return { status: 503, body: { exit: 1, message } satisfies Reply };
  }
  aside();
  return { begun: true };
}

export function stripsOf(
  desk: Pick<Desk, 'strips'>,
  query: URLSearchParams,
  own: (work: () => Work<Text>) => Long,
): Answer | Long {
  const parsed = stripsQuerySchema.safeParse(Object.fromEntries(query));
  if (!parsed.success) return refused(400, sentences(parsed.error));
  return own(() => jsonOf(desk.strips(parsed.data.of, parsed.data.span)));
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
    return own(() => jsonOf({ ...made, ...spellingIn(desk) }));
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
    return yield* jsonOf({ entries, ...spellingIn(desk) });
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
  const found = meant('record', name ?? typed, known);
  if (found.ok) return found.name;
  // One that is configured no longer has a past all the same.
  return name !== null && desk.history({ record: name, limit: 1 }).length > 0 ? name : found;
}
