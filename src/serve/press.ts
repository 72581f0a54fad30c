// The page that a signed link opens: one decision that waits for a person, and one button. To look
// at it does nothing, however often and by whatever program: only the button says the word, and
// only once. It bears no script, and nothing of it may be kept, framed or found. It must never
// show a link's text.

import { createHash, randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Command, Reply } from '../core/model.ts';
import { inScript, spelt, unrooted, withAscii } from '../core/name.ts';
import type { ApprovalView, StatusView } from '../core/view.ts';
import { readBody, send } from './bounded.ts';
import type { Desk } from './desk.ts';
import { type Link, verifyLink } from './link.ts';
import { inTime } from './routes.ts';

interface PressOptions {
  readonly desk: Desk;
  /** What links are signed with, the current key first; asked at each. */
  readonly keys: () => readonly Buffer[];
  /** Milliseconds since 1970. */
  readonly wall: () => number;
  readonly commandMs?: number | undefined;
}

/** Links that were used and have not ended, at most. */
const USED_MAX = 1000;
const bodyMost = 1024;

interface Page {
  readonly status: number;
  readonly title: string;
  readonly lines: readonly string[];
  /** What the button says; absent: there is none. */
  readonly button?: string;
  /** A table's rows. */
  readonly facts?: readonly (readonly [string, string])[];
}

/** Answers whatever is asked under /v1/link/; resolves with the status. */
export function createPress(options: PressOptions) {
  const used = new Map<string, number>();
  return async (
    request: IncomingMessage,
    response: ServerResponse,
    token: string,
  ): Promise<number> => {
    const method = request.method ?? '';
    if (!['GET', 'HEAD', 'POST'].includes(method)) {
      return show(request, response, otherMethod, { allow: 'GET, HEAD, POST' });
    }
    const found = linkOf(options, token);
    const page =
      'status' in found
        ? found
        : method === 'POST'
          ? await press(options, used, request, found)
          : await look(options, used, found);
    return show(request, response, page);
  };
}

function linkOf({ keys, wall }: PressOptions, token: string): Link | Page {
  let why: 'unknown' | 'expired' = 'unknown';
  for (const key of keys()) {
    const verified = verifyLink(key, token, wall());
    if (verified.ok) return verified.link;
    if (verified.why === 'expired') why = 'expired';
  }
  return why === 'expired' ? ended : unknown;
}

async function look(options: PressOptions, used: Used, link: Link): Promise<Page> {
  if (used.has(useOf(link))) return spent;
  const view = await options.desk.status();
  const found = waitingFor(view, link.id);
  if (found === null) return gone;
  const { record, waiting } = found;
  const { sentence, votes } = spelt(waiting, view.spelling);
  const expires = new Date(view.wall + (waiting.expiresAt - view.at));
  const minutes = Math.max(0, Math.floor((expires.getTime() - view.wall) / 60_000));
  return {
    status: 200,
    title: link.action === 'approve' ? 'Approve this switch?' : 'Reject this switch?',
    lines: [sentence, 'Nothing happens until you press the button.'],
    facts: [
      ['record', withAscii(record, view.spelling)],
      ['from', waiting.from],
      ['to', waiting.to],
      ['why', waiting.why],
      ['checks', votes],
      ['decision', waiting.id],
      ['expires', `${expires.toISOString().slice(0, 19)}Z, in ${minutes} min`],
    ],
    button: link.action === 'approve' ? 'Approve' : 'Reject',
  };
}

type Used = Map<string, number>;

/** A decision is one, whatever links there are to it; so is the word about it. */
const useOf = ({ id }: Link) => id;

async function press(
  options: PressOptions,
  used: Used,
  request: IncomingMessage,
  link: Link,
): Promise<Page> {
  const { desk, wall } = options;
  const body = await formOf(request);
  if (body !== null) return body;
  for (const [use, until] of used) if (until <= wall()) used.delete(use);
  if (used.has(useOf(link))) return spent;
  if (used.size >= USED_MAX) return busy;
  // Before anything is waited for: of two that press together, one does.
  used.set(useOf(link), link.expiresWall);
  const word = wordOf(link);
  let reply: Reply | null = null;
  const done = desk.command(word, randomUUID()).then((made) => {
    reply = made;
    // What was refused was not used; what nobody knows of was.
    if (made.exit === 1 || made.exit === 2) used.delete(useOf(link));
    return made;
  });
  const { message, exit } = await inTime(done, options.commandMs ?? 20_000);
  const isDone = reply !== null && (exit === 0 || exit === 3);
  const shown = inScript(unrooted(message), desk.spelling() ?? {});
  const title = isDone ? (link.action === 'approve' ? 'Approved' : 'Rejected') : 'Not done';
  return { status: isDone ? 200 : 409, title, lines: shown.split('\n') };
}

function wordOf({ id, action, channel }: Link): Command {
  return { kind: action, id, by: `link of channel ${channel}`, link: channel };
}

/** null: the button was pressed. */
async function formOf(request: IncomingMessage): Promise<Page | null> {
  const type = request.headers['content-type'] ?? '';
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(type)) return noForm;
  const text = await readBody(request, bodyMost);
  if (text === null) return tooLong;
  const fields = new URLSearchParams(text);
  return [...fields.keys()].length === 1 && fields.get('press') === 'yes' ? null : notPressed;
}

function waitingFor(
  view: StatusView,
  id: string,
): { readonly record: string; readonly waiting: ApprovalView } | null {
  for (const record of view.records) {
    const { approval } = record;
    if (approval?.id === id) return { record: record.name, waiting: approval };
  }
  return null;
}

const elsewhere = 'Look at `detour status`; `detour approve ID` says the same as a link.';
const unknown: Page = {
  status: 404,
  title: 'No such link',
  lines: ['This link was not made here, or its key was replaced.', elsewhere],
};
const ended: Page = {
  status: 410,
  title: 'This link has ended',
  lines: ['The decision that it was for has ended. Nothing was done.', elsewhere],
};
const gone: Page = {
  status: 410,
  title: 'This decision waits no longer',
  lines: ['It was let go, rejected, or the world has changed. Nothing was done.', elsewhere],
};
const spent: Page = {
  status: 410,
  title: 'This link was used',
  lines: ['A decision takes one word, once: by this link or by the other one.', elsewhere],
};
const busy: Page = {
  status: 409,
  title: 'Too many links are in use',
  lines: ['Nothing was done.', elsewhere],
};
const noForm: Page = {
  status: 415,
  title: 'Nothing was done',
  lines: ['What was sent is no form of this page.'],
};
const tooLong: Page = { ...noForm, status: 413 };
const notPressed: Page = {
  status: 400,
  title: 'Nothing was done',
  lines: ['The button was not pressed.'],
};
const otherMethod: Page = { ...noForm, status: 405 };

/** What the door says to a person where it refuses. */
export function showRefusal(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  sentence: string,
  headers: Readonly<Record<string, string>>,
): number {
  return show(request, response, { status, title: 'Not now', lines: [sentence] }, headers);
}

// ---------------------------------------------------------------- the page

const style =
  'body{font:16px/1.5 sans-serif;max-width:40em;margin:3em auto;padding:0 1em}' +
  'th{text-align:left;padding-right:1em;vertical-align:top}' +
  'button{font:inherit;margin-top:1.5em;padding:.5em 2em}';
const styleHash = createHash('sha256').update(style).digest('base64');

const headers = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy':
    `default-src 'none'; style-src 'sha256-${styleHash}'; form-action 'self'; ` +
    "base-uri 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'x-robots-tag': 'noindex, nofollow',
};

function show(
  request: IncomingMessage,
  response: ServerResponse,
  page: Page,
  more: Readonly<Record<string, string>> = {},
): number {
  const closing: Record<string, string> = request.complete ? {} : { connection: 'close' };
  send(request, response, page.status, htmlOf(page), { ...headers, ...closing, ...more });
  return page.status;
}

function htmlOf({ title, lines, facts = [], button }: Page): string {
  const said = lines.filter((line) => line !== '').map((line) => `<p>${escaped(line)}</p>`);
  const rows = facts.map(
    ([what, value]) => `<tr><th>${escaped(what)}</th><td>${escaped(value)}</td></tr>`,
  );
  const form =
    button === undefined
      ? ''
      : '<form method="post"><input type="hidden" name="press" value="yes">' +
        `<button>${escaped(button)}</button></form>`;
  return (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">' +
    '<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">' +
    `<title>Detour: ${escaped(title)}</title><style>${style}</style></head>` +
    `<body><h1>${escaped(title)}</h1>${rows.length > 0 ? `<table>${rows.join('')}</table>` : ''}` +
    `${said.join('')}${form}</body></html>\n`
  );
}

function escaped(text: string): string {
  const marks: Readonly<Record<string, string>> = {
    ...{ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' },
  };
  return text.replace(/[&<>"']/g, (mark) => marks[mark]!);
}
