// Connections held between probes, over real sockets of loopback: whose are kept and whose are not,
// that an end is told at once and once, that nothing is held where that may be what fails, and that
// rhythms are learnt. No test waits for time to pass: it waits for what it is about.

import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import { createSecureServer as createHttp2, createServer as createPlainHttp2 } from 'node:http2';
import { createServer as createHttps } from 'node:https';
import type net from 'node:net';
import type { Socket } from 'node:net';
import { after, test } from 'node:test';
import type { End } from '../../src/core/state.ts';
import type { PathSpec } from '../../src/kit/extend.ts';
import { checkTypes, createProber } from '../../src/probes/index.ts';
import { createCertificates, until, withServer, withTcp, words } from '../parts/listening.ts';
import { startHttpProxy, startSocks } from '../parts/proxy.ts';

const { certificate, remove } = createCertificates();
after(remove);
const good = certificate('good', 'IP:127.0.0.1', -1, 30.5);
const direct = { name: 'p', kind: 'direct', resolver: null, localAddress: null } as const;

interface Looking {
  ask(check?: string): Promise<void>;
  held(): number;
  readonly told: End[];
  readonly ends: readonly End[][];
}

/** Runs a prober that holds what its checks ask, each named by its place. */
async function looking(
  asked: readonly Record<string, unknown>[],
  work: (by: Looking) => Promise<void>,
  { most = 10, path = direct as PathSpec } = {},
): Promise<void> {
  const probes = asked.map((one, i) => {
    const kind = Object.keys(checkTypes).find((key) => key in one)!;
    const settings = checkTypes[kind]!.settings.parse(one);
    return [`c${i}`, { kind, settings, timeoutMs: 5_000 }] as const;
  });
  const wanted = probes.map(([check]) => ({ check, path: 'p' }));
  const prober = createProber(Object.fromEntries(probes), { p: path }, { held: { wanted, most } });
  const ends: End[][] = [];
  prober.heed!((some) => void ends.push([...some]));
  const ask = async (check = 'c0') => {
    const result = await prober.probe(check, 'p', new AbortController().signal);
    assert.equal(words(result), 'pass ok', result.detail);
  };
  const held = () => prober.held!().held;
  try {
    await work({
      ...{ ask, held, ends },
      get told() {
        return ends.flat();
      },
    });
  } finally {
    prober.close();
    assert.equal(prober.held!().held, 0);
  }
}

/** Every connection that a server has had, the newest last. */
function connections(server: net.Server): Socket[] {
  const all: Socket[] = [];
  server.on('connection', (socket: Socket) => all.push(socket));
  server.on('secureConnection', (socket: Socket) => all.push(socket));
  return all;
}

const web = () => createServer((_request, response) => response.end('well\n'));

function over(path: PathSpec) {
  return async () => {
    const server = web();
    const all = connections(server);
    await withServer(server, (port) =>
      looking(
        [{ http: `http://127.0.0.1:${port}/` }],
        async (by) => {
          await by.ask();
          assert.equal(by.held(), 1);
          // While one is held, probes have connections of their own that end with them.
          await by.ask();
          await until(
            () => all.filter((s) => !s.destroyed).length === 1,
            'the second to be closed',
          );
          assert.equal(all.length, 2);
          assert.equal(by.held(), 1);
          all[0]!.destroy();
          await until(() => by.told.length > 0, 'the end');
          assert.deepEqual(by.told, [{ check: 'c0', path: 'p' }]);
          assert.equal(by.held(), 0);
          await by.ask();
          assert.equal(by.held(), 1);
        },
        { path },
      ),
    );
  };
}

test('what a web server keeps open is held, and its end is told', over(direct));

test('through a proxy as well', async () => {
  for (const [kind, start, scheme] of [
    ['proxy', startHttpProxy, 'http'],
    ['socks5', startSocks, 'socks5'],
  ] as const) {
    const proxy = await start();
    const url = `${scheme}://127.0.0.1:${proxy.port}`;
    try {
      await over({ name: 'p', kind, url, credentials: null, resolver: null })();
    } finally {
      await proxy.close();
    }
  }
});

test('over TLS, verified as probes are', async () => {
  const server = createHttps(good, (_request, response) => response.end('well\n'));
  const all = connections(server);
  await withServer(server as unknown as net.Server, (port) =>
    looking([{ http: `https://127.0.0.1:${port}/`, ca: good.ca }], async (by) => {
      await by.ask();
      assert.equal(by.held(), 1);
      for (const socket of all) socket.destroy();
      await until(() => by.told.length > 0, 'the end');
    }),
  );
});

test('of more than may be held those worth most are, and all that end are told', async () => {
  const server = web();
  const all = connections(server);
  await withServer(server, (port) =>
    looking(
      Array.from({ length: 5 }, () => ({ http: `http://127.0.0.1:${port}/` })),
      async (by) => {
        for (const i of [4, 2, 0, 1, 3]) await by.ask(`c${i}`);
        // No more than so many, and the first of them.
        assert.equal(by.held(), 3);
        for (const socket of all) socket.resetAndDestroy();
        await until(() => by.told.length === 3, 'all ends');
        assert.deepEqual(by.told.map(({ check }) => check).toSorted(), ['c0', 'c1', 'c2']);
      },
      { most: 3 },
    ),
  );
});

test('what a server does not offer to keep is not held', async () => {
  const answers: Record<string, (socket: Socket) => void> = {
    close: (s) => s.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: Close\r\n\r\n'),
    old: (s) => s.write('HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n'),
    'no length': (s) => s.end('HTTP/1.1 200 OK\r\n\r\nwell'),
    'too short a time': (s) =>
      s.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\nkeep-alive: timeout=0\r\n\r\n'),
  };
  for (const [name, answer] of Object.entries(answers)) {
    await withTcp(
      (socket) => socket.once('data', () => answer(socket)),
      (port) =>
        looking([{ http: `http://127.0.0.1:${port}/` }], async (by) => {
          await by.ask();
          assert.equal(by.held(), 0, name);
          assert.equal(by.told.length, 0, name);
        }),
    );
  }
});

test('tcp and tls hold where that is asked for', async () => {
  await withTcp(
    (socket) => socket.write('220 well\r\n'),
    async (port, server) => {
      const all = connections(server);
      const expect = { text: '220' };
      await looking(
        [{ tcp: `127.0.0.1:${port}` }, { tcp: `127.0.0.1:${port}`, expect }],
        async (by) => {
          await by.ask('c0');
          await by.ask('c1');
          assert.equal(by.held(), 2);
          for (const socket of all) socket.end();
          await until(() => by.told.length === 2, 'both ends');
        },
      );
    },
  );
  const server = createHttps(good);
  const all = connections(server);
  await withServer(server as unknown as net.Server, (port) =>
    looking([{ tls: `127.0.0.1:${port}`, ca: good.ca }], async (by) => {
      await by.ask();
      assert.equal(by.held(), 1);
      for (const socket of all) socket.destroy();
      await until(() => by.told.length === 1, 'the end');
    }),
  );
});

test('a server with room for one connection is never failed by what is held of it', async () => {
  let [serving, refused]: [Socket | null, number] = [null, 0];
  await withTcp(
    (socket) => {
      if (serving !== null && !serving.destroyed) {
        refused++;
        return void socket.end('HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n');
      }
      serving = socket;
      socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'));
    },
    (port) => {
      const check = { http: `http://127.0.0.1:${port}/`, expect: { status: '200-299' } };
      return looking([check], async (by) => {
        const fails = () =>
          by.ask().then(
            () => assert.fail('it passed'),
            () => {},
          );
        for (let i = 0; i < 2; i++) {
          await by.ask();
          assert.equal(by.held(), 1);
          // The failure lets go, so that the next one is served.
          await fails();
          assert.equal(by.held(), 0);
          await until(() => serving!.destroyed, 'the server to have room');
        }
        // Twice in a row is no chance.
        for (let i = 0; i < 3; i++) {
          await by.ask();
          assert.equal(by.held(), 0);
          await until(() => serving!.destroyed, 'the server to have room');
        }
        assert.equal(refused, 2);
        assert.equal(by.told.length, 0);
      });
    },
  );
});

test('a rhythm of closing is learnt from the server, by all paths of a check', async () => {
  const server = web();
  const all = connections(server);
  await withServer(server, (port) =>
    looking([{ http: `http://127.0.0.1:${port}/` }], async (by) => {
      // It closes at once behind each answer, though it says that it does not.
      for (let i = 1; i <= 3; i++) {
        await by.ask();
        assert.equal(by.held(), 1);
        all.at(-1)!.end();
        await until(() => by.told.length === i, 'the end');
      }
      await by.ask();
      assert.equal(by.held(), 0, 'it is not worth it');
    }),
  );
});

test('a gRPC session is held with a Watch: not serving any longer is an end', async () => {
  for (const secure of [true, false]) {
    const server = secure ? createHttp2(good) : createPlainHttp2();
    const watches: { write(bytes: Buffer): void }[] = [];
    const serves = Buffer.from([0, 0, 0, 0, 2, 8, 1]);
    server.on('stream', (stream, headers) => {
      stream.on('error', () => {});
      stream.resume();
      const isWatch = headers[':path'] === '/grpc.health.v1.Health/Watch';
      const head = { ':status': 200, 'content-type': 'application/grpc' };
      stream.respond(head, { waitForTrailers: !isWatch });
      if (isWatch) {
        watches.push(stream);
        return void stream.write(serves);
      }
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(serves);
    });
    const all = connections(server as unknown as net.Server);
    await withServer(server as unknown as net.Server, (port) => {
      const check = {
        grpc: `127.0.0.1:${port}`,
        ...(secure ? { ca: good.ca } : { plaintext: true }),
      };
      return looking([check], async (by) => {
        await by.ask();
        assert.equal(by.held(), 1);
        await until(() => watches.length === 1, 'the Watch');
        await by.ask();
        assert.equal(watches.length, 1);
        assert.equal(by.told.length, 0);
        watches[0]!.write(Buffer.from([0, 0, 0, 0, 2, 8, 2]));
        await until(() => by.told.length === 1, 'the word');
        assert.equal(by.held(), 0);
        await by.ask();
        await until(() => watches.length === 2, 'the next Watch');
        for (const socket of all) socket.destroy();
        await until(() => by.told.length === 2, 'the end');
      });
    });
  }
});

test('a gRPC server without Watch is held by its session alone', async () => {
  const server = createPlainHttp2();
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    stream.resume();
    const head = { ':status': 200, 'content-type': 'application/grpc' };
    if (headers[':path'] !== '/grpc.health.v1.Health/Check') {
      return void stream.respond({ ...head, 'grpc-status': '12' }, { endStream: true });
    }
    stream.respond(head, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(Buffer.from([0, 0, 0, 0, 2, 8, 1]));
  });
  const all = connections(server as unknown as net.Server);
  await withServer(server as unknown as net.Server, (port) =>
    looking([{ grpc: `127.0.0.1:${port}`, plaintext: true }], async (by) => {
      await by.ask();
      await by.ask();
      assert.equal(by.held(), 1);
      assert.equal(by.told.length, 0);
      for (const socket of all) socket.destroy();
      await until(() => by.told.length === 1, 'the end');
    }),
  );
});

test('without a word about it nothing is held', async () => {
  await withServer(web() as Server, async (port) => {
    const settings = checkTypes['http']!.settings.parse({ http: `http://127.0.0.1:${port}/` });
    const prober = createProber({ c: { kind: 'http', settings, timeoutMs: 5_000 } }, { p: direct });
    try {
      const result = await prober.probe('c', 'p', new AbortController().signal);
      assert.equal(words(result), 'pass ok');
      assert.equal(prober.held!().held, 0);
    } finally {
      prober.close();
    }
  });
});
