// The status page's own files, as the build has left them: read once, held in memory, sent with what
// keeps a browser from running or asking anything else. It serves these files and nothing beside
// them, whatever the path says.

import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { send } from './bounded.ts';

/** Nothing but what this very place serves, no plug-ins, no frames, no forms that lead elsewhere. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const guards = {
  'content-security-policy': policy,
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'x-robots-tag': 'noindex, nofollow',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
};

const types: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
};

interface File {
  readonly type: string;
  readonly etag: string;
  readonly bytes: Buffer;
  /** The same compressed, by the coding's name. */
  readonly packed: Readonly<Record<'br' | 'gzip', Buffer>>;
}

export interface Pages {
  /** Whether a path is one of the page's. */
  has(path: string): boolean;
  serve(request: IncomingMessage, response: ServerResponse, path: string): Promise<number>;
}

/** Of a folder that the build has filled; it is read when somebody comes. */
export function createPages(folder: string): Pages {
  let reading: Promise<ReadonlyMap<string, File>> | null = null;
  return {
    has: (path) => path === '/' || path === '/index.html' || path.startsWith('/web/'),
    async serve(request, response, path) {
      reading ??= readAll(folder);
      const file = (await reading).get(path === '/' ? 'index.html' : path.replace('/web/', ''));
      const answer = (status: number, text: string, headers = {}) => {
        send(request, response, status, text, { ...guards, ...headers });
        return status;
      };
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        const headers = { allow: 'GET, HEAD', connection: 'close' };
        return answer(405, 'the page is only read: GET or HEAD\n', headers);
      }
      if (file === undefined) {
        // What was not built when it was looked for may be by now.
        if ((await reading).size === 0) reading = null;
        return path === '/'
          ? answer(503, 'the page is not there: build it with `npm run build`\n')
          : answer(404, 'the page has no such file\n');
      }
      return sendFile(request, response, file, path);
    },
  };
}

async function readAll(folder: string): Promise<ReadonlyMap<string, File>> {
  const names = await readdir(folder).catch(() => []);
  const files = new Map<string, File>();
  for (const name of names) {
    const type = types[name.slice(name.lastIndexOf('.') + 1)];
    if (type === undefined) continue;
    const read = (ending: string) => readFile(join(folder, `${name}${ending}`));
    const [bytes, br, gzip] = await Promise.all(['', '.br', '.gz'].map(read));
    const etag = `"${createHash('sha256').update(bytes!).digest('base64url').slice(0, 22)}"`;
    files.set(name, { type, etag, bytes: bytes!, packed: { br: br!, gzip: gzip! } });
  }
  return files;
}

function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  { type, etag, bytes, packed }: File,
  path: string,
): number {
  const asked = String(request.headers['accept-encoding'] ?? '').toLowerCase();
  const coding = (['br', 'gzip'] as const).find((one) => new RegExp(`\\b${one}\\b`).test(asked));
  const body = coding === undefined ? bytes : packed[coding];
  // The names of all but the page itself change with what they hold.
  const lasting = path === '/' ? 'no-cache' : 'public, max-age=31536000, immutable';
  const headers = { ...guards, etag, vary: 'accept-encoding', 'cache-control': lasting };
  if (request.headers['if-none-match'] === etag) {
    response.writeHead(304, headers).end();
    return 304;
  }
  response.writeHead(200, {
    ...headers,
    'content-type': type,
    'content-length': body.length,
    ...(coding === undefined ? {} : { 'content-encoding': coding }),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
  return 200;
}
