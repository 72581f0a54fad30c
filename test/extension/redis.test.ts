// The check of docs/extending.md: the page shows the very text that is compiled and tried here. What fails
// is the origin's, what is this machine's is blind, and every asking ends.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { pageAt, read } from '../house/pages.ts';
import extension from './redis.ts';

const { check } = extension;
const settings = check.settings.parse({ host: '127.0.0.1' });
const plain = { name: 'direct', resolver: null, kind: 'direct', localAddress: null } as const;
const context = { secret: () => assert.fail('it has no secret') };

/** What one asking comes to, of a server that does so with its client. */
async function asked(serve: (socket: Socket) => void, how = settings, signal?: AbortSignal) {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => serve(socket));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const probe = check.create({ ...how, port }, plain, 300, context);
  try {
    const { outcome, reason } = await probe.ask(signal ?? new AbortController().signal);
    return `${outcome} ${reason}`;
  } finally {
    probe.close();
    server.close();
  }
}

test('the page has the text of this check', () => {
  const [, ...lines] = read('test/extension/redis.ts').split('\n\n');
  const text = lines.join('\n\n').replace('../../src/kit/check.ts', 'detour/check');
  const shown = pageAt('docs/extending.md').blocks.find(({ language }) => language === 'ts');
  assert.equal(shown?.text, text);
});

test('it passes what is well, fails what is not, and is blind where nobody could tell', async () => {
  assert.equal(settings.port, 6379);
  assert.equal(await asked((socket) => socket.write('+PONG\r\n')), 'pass ok');
  assert.equal(await asked((socket) => socket.end('-LOADING it loads\r\n')), 'fail content');
  assert.equal(await asked((socket) => socket.end()), 'fail content');
  assert.equal(await asked(() => {}), 'fail timeout');
  assert.equal(await asked(() => {}, settings, AbortSignal.timeout(20)), 'blind ended');
  const never = check.impossible(settings);
  assert.equal(await asked((socket) => socket.write('+PONG\r\n'), never), 'fail content');
  const nobody = check.create({ ...settings, port: 1 }, plain, 300, context);
  assert.equal((await nobody.ask(new AbortController().signal)).outcome, 'fail');
});

test('a path that it cannot leave by is named with its cure', () => {
  assert.equal(check.pathProblem(plain, settings), null);
  const far = {
    ...plain,
    kind: 'socks5',
    url: 'socks5://p.example:1080',
    credentials: null,
  } as const;
  assert.match(check.pathProblem(far, settings) ?? '', /give it other paths/);
});
