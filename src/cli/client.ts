// The operator's side of the daemon's doors, the socket and the API: one request a connection,
// each with a deadline and a bound on the answer. It knows the paths and the shapes, prints
// nothing, retries nothing (a command must not be given twice), and turns every failure into a
// sentence that says what to do.

import type { IncomingMessage } from 'node:http';
import type { AuditReport } from '../core/audit.ts';
import type { Command, DelegationCommand, Reply, Spelling } from '../core/model.ts';
import { inScript } from '../core/name.ts';
import type { StatusView } from '../core/view.ts';
import { labelsOf } from '../kit/script.ts';
import type { Histories, StoredEntry } from '../ports.ts';
import { type Cli, CliError } from './hands.ts';
import { named } from './json.ts';
import { type Place, type PlaceOptions, placeOf, whyNoApi } from './place.ts';

type Order = Command | DelegationCommand;

export interface Client {
  status(signal?: AbortSignal): Promise<StatusView>;
  /** The newest first; a null record asks for all. `before`: older than the entry of that number. */
  history(record: string | null, limit: number, before?: number): Promise<readonly StoredEntry[]>;
  /** The same of every replica of the group, and who did not answer. */
  histories(record: string | null, limit: number): Promise<Histories>;
  /** By an id of its own: in a group it is done once, whoever carries it on. */
  command(order: Order): Promise<Reply>;
  /** Has the configuration read again; in a dry run nothing is put in force. */
  reload(how: { readonly dryRun: boolean; readonly force: boolean }): Promise<Reply>;
  /** What these texts, in place of its own file, would change. */
  compare(texts: object): Promise<Reply>;
  /** Has the daemon audit now, and waits for the report; at most `auditMs`. */
  audit(): Promise<AuditReport>;
  /** Has a drill made, and waits for what comes of it; at most `drillMs`. */
  drill(kind: 'canary' | 'dry', name: string | null): Promise<Reply>;
}

const readMs = 5000;
/** Longer than the daemon's own deadline for a command, so that its sentence is the one heard. */
const orderMs = 25_000;
/** Longer than an audit may take. */
const auditMs = 75_000;
/** Longer than a drill may take. */
const drillMs = 1_500_000;
const answerMost = 32 * 1024 * 1024;

/**
 * How names come: as people write them, with `ascii` beside; in ASCII, with `shown` beside, where
 * that goes out as JSON; or in ASCII alone, to be worked on.
 */
interface Naming {
  readonly json?: boolean;
  readonly names?: 'ascii';
}

/** The client of the daemon where the options or the environment say; its methods throw CliError. */
export function daemon(cli: Cli, options: PlaceOptions & Naming): Client {
  const place = { ...placeOf(cli, options), named: namedBy(options) };
  return {
    async status(signal) {
      const answer = await ask(place, 'GET', '/v1/status', { ms: readMs, signal });
      if (!Array.isArray((answer.body as StatusView | null)?.records))
        throw stranger(place, answer);
      return answer.body as StatusView;
    },
    async history(record, limit, before) {
      return (await histories(place, record, limit, false, before)).entries;
    },
    histories: (record, limit) => histories(place, record, limit, true),
    async command(order) {
      const body = JSON.stringify(order);
      const url = `/v1/command?id=${crypto.randomUUID()}`;
      const said = reply(place, await ask(place, 'POST', url, { ms: orderMs, body }));
      const typed = 'record' in order ? order.record : null;
      return said.exit === 2 ? { ...said, message: asTyped(said.message, typed) } : said;
    },
    async reload({ dryRun, force }) {
      const query = `?dryRun=${dryRun}&force=${force}`;
      return reply(place, await ask(place, 'POST', `/v1/reload${query}`, { ms: orderMs }));
    },
    async compare(texts) {
      const body = JSON.stringify(texts);
      return reply(place, await ask(place, 'POST', '/v1/compare', { ms: orderMs, body }));
    },
    async audit() {
      const until = performance.now() + auditMs;
      let answer = await ask(place, 'POST', '/v1/audit', { ms: orderMs });
      for (;;) {
        const { running, report } = (answer.body ?? {}) as Partial<Audited>;
        if (running === undefined) throw stranger(place, answer);
        if (!running && report) return report;
        if (!running || performance.now() > until) {
          const why = running ? 'takes longer than it may' : 'was given up; its log says more';
          throw new CliError(1, `${place.name}: the audit ${why}`);
        }
        await new Promise((done) => setTimeout(done, 500));
        answer = await ask(place, 'GET', '/v1/audit', { ms: readMs });
      }
    },
    async drill(kind, name) {
      const until = performance.now() + drillMs;
      const query = new URLSearchParams({ kind, ...(name === null ? {} : { name }) });
      let answer = await ask(place, 'POST', `/v1/drill?${query}`, { ms: orderMs });
      while (answer.status === 200) {
        const { running, reply: end } = (answer.body ?? {}) as Partial<Drilled>;
        if (running === undefined) break;
        if (!running) return reply(place, { status: 200, body: end });
        if (performance.now() > until) {
          throw new CliError(1, `${place.name}: the drill takes longer than it may`);
        }
        await new Promise((done) => setTimeout(done, 500));
        answer = await ask(place, 'GET', '/v1/drill', { ms: readMs });
      }
      return reply(place, answer);
    },
  };
}

type Named = Place & { readonly named: (body: unknown) => unknown };

function namedBy({ json, names }: Naming): Named['named'] {
  return (body) => {
    const { spelling } = (body ?? {}) as { readonly spelling?: Spelling };
    if (names === 'ascii' || spelling === undefined) return body;
    const shown = named(body as object, { json: json === true });
    return json === true ? shown : { ...shown, spelling };
  };
}

async function histories(
  place: Named,
  record: string | null,
  limit: number,
  all: boolean,
  before?: number,
): Promise<Histories> {
  const query = new URLSearchParams({ limit: String(limit) });
  if (record !== null) query.set('record', record);
  if (all) query.set('all', 'true');
  if (before !== undefined) query.set('before', String(before));
  const answer = await ask(place, 'GET', `/v1/history?${query}`, { ms: readMs });
  const { entries, silent, exit, message } = (answer.body ?? {}) as Partial<Histories & Reply>;
  if (exit !== undefined && message !== undefined)
    throw new CliError(exit, asTyped(message, record));
  if (!Array.isArray(entries) || (all && !Array.isArray(silent))) throw stranger(place, answer);
  return { entries, silent: silent ?? [] };
}

/** What was typed and is nothing is told as it was typed. */
function asTyped(message: string, typed: string | null): string {
  return inScript(message, typed === null ? {} : labelsOf(typed).shown);
}

interface Audited {
  readonly running: boolean;
  readonly report: AuditReport | null;
}

interface Drilled {
  readonly running: boolean;
  readonly reply: Reply | null;
}

interface Answer {
  readonly status: number;
  /** undefined when it is not JSON. */
  readonly body: unknown;
}

function reply(place: Place, answer: Answer): Reply {
  const body = answer.body as Reply | null | undefined;
  const isReply = [0, 1, 2, 3].includes(body?.exit as number) && typeof body?.message === 'string';
  if (!isReply) throw stranger(place, answer);
  return body as Reply;
}

function stranger(place: Place, answer: Answer): CliError {
  // What the door refuses, it says.
  const { exit, message } = (answer.body ?? {}) as Partial<Reply>;
  if (answer.status >= 400 && [1, 2].includes(exit as number) && typeof message === 'string') {
    return new CliError(exit as 1 | 2, `${place.name}: ${message}`);
  }
  const why =
    answer.status === 500
      ? 'the daemon failed at this request; its log says more'
      : `what answers (status ${answer.status}) is no daemon of this version`;
  return new CliError(1, `${place.name}: ${why}`);
}

interface Asking {
  readonly ms: number;
  readonly body?: string;
  readonly signal?: AbortSignal | undefined;
}

async function ask(place: Named, method: string, url: string, asking: Asking): Promise<Answer> {
  const deadline = AbortSignal.timeout(asking.ms);
  const signal = asking.signal ? AbortSignal.any([deadline, asking.signal]) : deadline;
  try {
    const response = await place.ask({ path: url, method, signal }, asking.body);
    const text = await readAll(response, place);
    return { status: response.statusCode ?? 0, body: place.named(parse(text)) };
  } catch (error) {
    if (error instanceof CliError) throw error;
    const late = deadline.aborted && !asking.signal?.aborted;
    throw late
      ? silent(place, method, asking.ms)
      : absent(place, method, error as NodeJS.ErrnoException);
  }
}

async function readAll(response: IncomingMessage, place: Place): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    size += (chunk as Buffer).length;
    if (size > answerMost) throw new CliError(1, `${place.name}: the answer is longer than 32 MiB`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const wayOut =
  'With no daemon, `detour switch RECORD TARGET --reason TEXT --direct -c FILE` ' +
  'moves a record from here.';

function doubt(method: string): string {
  return method === 'POST' ? 'What was asked may still be carried out. ' : '';
}

function silent(place: Place, method: string, ms: number): CliError {
  return new CliError(
    1,
    `the daemon at ${place.name} took the connection and did not answer within ${ms / 1000} s. ` +
      `${doubt(method)}${wayOut}`,
  );
}

function absent(place: Place, method: string, error: NodeJS.ErrnoException): CliError {
  if (place.isApi) {
    return new CliError(1, `${whyNoApi(place, error)}. ${doubt(method)}${wayOut}`);
  }
  const path = place.name;
  const elsewhere = 'Is its socket elsewhere? Say so with --socket or DETOUR_SOCKET.';
  switch (error.code) {
    case 'ENOENT':
      return new CliError(1, `no daemon: there is no socket at ${path}. ${elsewhere} ${wayOut}`);
    case 'ECONNREFUSED':
      return new CliError(
        1,
        `no daemon: nobody answers at ${path}; it has ended without cleaning up. ${wayOut}`,
      );
    case 'EACCES':
      return new CliError(
        1,
        `the daemon's socket ${path} may not be opened by this user: ` +
          'join the group that owns it, or use sudo',
      );
    case 'EAGAIN':
      return new CliError(
        1,
        `the daemon at ${path} is there and does not accept: too many wait at its socket. Try again; ` +
          `\`ss -xp\` shows who holds it. ${wayOut}`,
      );
    default:
      return new CliError(
        1,
        `the daemon at ${path} is there and broke off before it answered ` +
          `(${error.code ?? error.message}): it is ending, or too many hold its socket. Try again; ` +
          `\`ss -xp\` shows who holds it. ${doubt(method)}${wayOut}`,
      );
  }
}
