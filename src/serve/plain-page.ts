// The status page for whoever reaches the plain listener: it shows what there is to see without the
// name of any person, and nobody can do anything by it. Unless it is public it answers only by names
// that can mean this machine alone, so that no other site's page can read it by a name of its own.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { openEntry, type SessionView } from './board.ts';
import { send, target } from './bounded.ts';
import type { Desk, Trouble } from './desk.ts';
import { createFeed } from './feed.ts';
import { historySchema, sentences } from './orders.ts';
import type { Pages } from './pages.ts';
import type { Readers, Work } from './readers.ts';
import { follow, json, sendLong, stripsOf } from './routes.ts';
import { sessionPath } from './sessions.ts';
import { jsonOf, type Text } from './text.ts';

interface PlainOptions {
  readonly desk: Pick<Desk, 'status' | 'history' | 'watch' | 'strips'>;
  readonly readers: Readers;
  readonly pages: Pages;
  readonly trouble: Trouble;
}

export interface PlainPage {
  /** Whether a path is one of the page's. */
  has(path: string): boolean;
  answer(
    request: IncomingMessage,
    response: ServerResponse,
    aside: () => void,
    isPublic: boolean,
  ): Promise<void>;
  close(): void;
}

/** Entries of the journal at once: it is read in one go. */
const entriesMost = 100;

const open: SessionView = { door: 'open', session: null };

export function createPlainPage(options: PlainOptions): PlainPage {
  const { desk, readers, pages } = options;
  const feed = createFeed({ ...options, names: false });
  const shelf = readers.shelf();
  const board = shelf.shared(() => feed.board());
  const own = (work: () => Work<Text>) => ({
    text: (asker: ServerResponse) => shelf.own(asker, () => readers.spend(work())),
  });
  const history = (query: URLSearchParams) => {
    const parsed = historySchema.safeParse(Object.fromEntries(query));
    if (!parsed.success)
      return { status: 400, body: { exit: 2, message: sentences(parsed.error) } };
    const { record, before, limit } = parsed.data;
    const asked = {
      ...(record === undefined ? {} : { record }),
      ...(before === undefined ? {} : { before }),
      limit: Math.min(limit, entriesMost),
    };
    return own(() => jsonOf({ entries: desk.history(asked).map(openEntry) }));
  };
  const paths = ['board', 'events', 'strips', 'history'].map((one) => `/v1/${one}`);
  return {
    has: (path) => pages.has(path) || path === sessionPath || paths.includes(path),
    async answer(request, response, aside, isPublic) {
      const { path, query } = target(request);
      if (!isPublic && !isOfThisMachine(request)) {
        return send(request, response, 421, 'the header Host names another place\n');
      }
      if (pages.has(path)) return void (await pages.serve(request, response, path));
      if (path === sessionPath) return void json(request, response, { status: 200, body: open });
      const made =
        path === '/v1/board'
          ? { text: board }
          : path === '/v1/strips'
            ? stripsOf(desk, query, own)
            : path === '/v1/history'
              ? history(query)
              : follow(feed, { request, response, query, aside, may: () => true });
      if ('begun' in made) return;
      if ('body' in made) return void json(request, response, made);
      await sendLong(request, response, made, readers);
    },
    close: () => feed.close(),
  };
}

/** By an address, or by the one name that every machine has for itself. */
function isOfThisMachine({ headers }: IncomingMessage): boolean {
  const host = (headers.host ?? '').replace(/:\d{1,5}$/, '').toLowerCase();
  return host === 'localhost' || isIP(host.replace(/^\[|\]$/g, '')) !== 0;
}

/** Whether an address can be reached from this machine alone. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}
