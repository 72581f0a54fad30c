// The lab's ways out as Detour's own prober uses them: what passes, how each fault shows, that an
// uplink takes down what leaves by it, that no proxy leads out of its lab, and that nothing is left
// behind. Both kinds, HTTP CONNECT and SOCKS5, go through the same table.

import assert from 'node:assert/strict';
import { connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import type { PathSpec } from '../../src/kit/extend.ts';
import { type Origin, startOrigin } from '../../src/lab/clouds/cloud.ts';
import { type LabPath, type PathFault, pathFaults, startPath } from '../../src/lab/clouds/paths.ts';
import { startLab } from '../../src/lab/lab.ts';
import { LabError } from '../../src/lab/shell/control.ts';
import { checkTypes, createProber } from '../../src/probes/index.ts';

type Kind = LabPath['kind'];
const kinds: readonly Kind[] = ['http', 'socks5'];

interface World {
  readonly path: LabPath;
  readonly origin: Origin;
}

async function withPath(kind: Kind, work: (world: World) => Promise<void>, slowMs = 2000) {
  const place = { address: '127.0.0.1', port: 0 };
  const origin = await startOrigin({ name: 'a', cloud: 'one', region: 'r1', ...place });
  const hosts: Readonly<Record<string, string>> = {
    'a.shop.example': origin.address,
    '127.0.0.1': origin.address,
  };
  const resolve = (host: string) => hosts[host] ?? null;
  const path = await startPath({
    ...{ name: 'way', kind, site: 'here', uplink: 'line', address: '127.0.0.9', port: 0 },
    ...{ resolve, slowMs },
  });
  try {
    await work({ path, origin });
  } finally {
    await path.close();
    await origin.close();
  }
}

function specOf(path: LabPath): PathSpec {
  const common = { name: path.name, resolver: null, url: path.url, credentials: null };
  return path.kind === 'http' ? { ...common, kind: 'proxy' } : { ...common, kind: 'socks5' };
}

/** One probe by Detour's own prober: its outcome and reason. */
async function probe({ path, origin }: World, host = 'a.shop.example', timeoutMs = 400) {
  const url = `http://${host}:${origin.port}/healthz`;
  const settings = checkTypes['http']!.settings.parse({ http: url });
  const prober = createProber(
    { 'a/web': { kind: 'http', settings, timeoutMs } },
    { way: specOf(path) },
  );
  const { outcome, reason } = await prober.probe('a/web', 'way', AbortSignal.timeout(20_000));
  prober.close();
  return `${outcome} ${reason}`;
}

for (const kind of kinds) {
  test(`a probe passes through ${kind}, by name and by address, and leaves from the path`, () =>
    withPath(kind, async (world) => {
      assert.equal(await probe(world), 'pass ok');
      assert.equal(await probe(world, '127.0.0.1'), 'pass ok');
      assert.equal(world.path.asked, 2);
      assert.equal(world.origin.requests, 2);
    }));

  const sights: Readonly<Record<PathFault, RegExp>> = {
    refuse: /^blind /,
    hang: /^blind /,
    auth: /^blind proxy-auth$/,
    cut: /^blind proxy-error$/,
    loss: /^(blind|fail) /,
    slow: /^(blind|fail) /,
  };
  for (const fault of Object.keys(pathFaults) as PathFault[]) {
    test(`the fault ${fault} of ${kind} shows, and heals on the same port`, () =>
      withPath(kind, async (world) => {
        const { port } = world.path;
        await world.path.break(fault, 1);
        assert.equal(world.path.fault, fault);
        assert.match(await probe(world), sights[fault]);
        assert.equal(world.origin.requests, 0, 'nothing came through');
        await world.path.heal();
        assert.equal(world.path.port, port);
        assert.equal(await probe(world), 'pass ok');
      }));
  }

  test(`a slow ${kind} path is only slow`, () =>
    withPath(
      kind,
      async (world) => {
        await world.path.break('slow');
        assert.equal(await probe(world, undefined, 5000), 'pass ok');
      },
      150,
    ));

  test(`a lossy ${kind} path loses its share and no more`, () =>
    withPath(kind, async (world) => {
      await world.path.break('loss', 0.5);
      const probed = await Promise.all(Array.from({ length: 40 }, () => probe(world)));
      const passed = probed.filter((p) => p === 'pass ok').length;
      // Outside these bounds once in ten million runs.
      assert.ok(passed > 3 && passed < 37, `${passed} of 40 passed`);
    }));

  test(`what the origin does shows through ${kind}`, () =>
    withPath(kind, async (world) => {
      await world.origin.break('5xx');
      assert.equal(await probe(world), 'fail status');
      await world.origin.break('hang');
      assert.equal(await probe(world), 'fail timeout');
      await world.origin.break('refuse');
      // A CONNECT proxy says 502 for its own trouble too: there the refusal is no vote.
      const seen = kind === 'http' ? 'blind proxy-error' : 'fail refused';
      assert.equal(await probe(world), seen);
    }));

  test(`a ${kind} path leads nowhere outside its lab`, () =>
    withPath(kind, async (world) => {
      const outside = createServer((socket) => socket.destroy());
      let reached = 0;
      outside.on('connection', () => reached++);
      await new Promise<void>((resolve) => outside.listen(0, '127.0.0.2', resolve));
      const { port } = outside.address() as { port: number };
      const elsewhere = { ...world, origin: { ...world.origin, port } };
      try {
        assert.equal(await probe(elsewhere, '127.0.0.2'), 'blind proxy-refused');
        assert.equal(await probe(elsewhere, 'www.example.com'), 'blind proxy-error');
        assert.equal(reached, 0);
      } finally {
        await new Promise((resolve) => outside.close(resolve));
      }
    }));

  test(`a tunnel through ${kind} that is open ends when the path is cut`, () =>
    withPath(kind, async (world) => {
      await world.origin.break('hang');
      const held = probe(world, undefined, 10_000);
      while (world.origin.requests === 0) await new Promise((resolve) => setImmediate(resolve));
      const from = performance.now();
      await world.path.break('cut');
      assert.match(await held, /^(blind|fail) (closed|reset)$/);
      assert.ok(performance.now() - from < 5000, 'long before the deadline');
    }));

  test(`no bytes stop a ${kind} path`, () =>
    withPath(kind, async (world) => {
      const junk = [
        Buffer.alloc(4096, 5),
        Buffer.from('CONNECT \r\n\r\n'),
        Buffer.from('CONNECT a:99999 HTTP/1.1\r\n\r\n'),
        Buffer.from('GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n'),
        Buffer.of(5, 0),
        Buffer.of(5, 1, 0, 5, 2, 0, 1, 127, 0, 0, 1, 0, 80),
        Buffer.of(5, 1, 0, 5, 1, 0, 4, ...Buffer.alloc(18)),
        Buffer.of(4, 1, 0, 80, 127, 0, 0, 1, 0),
      ];
      for (const bytes of junk) await ended(send(world.path, bytes));
      assert.equal(await probe(world), 'pass ok');
      assert.equal(world.origin.requests, 1);
    }));

  test(`a closed ${kind} path has given back its port and every socket`, () =>
    withPath(kind, async (world) => {
      await world.path.break('hang');
      const held = send(world.path, Buffer.of(5, 1, 0));
      await new Promise<void>((resolve) => held.once('connect', resolve));
      await world.path.close();
      await ended(held);
      const heir = createServer();
      await new Promise<void>((resolve, reject) => {
        heir.once('error', reject);
        heir.listen(world.path.port, world.path.address, resolve);
      });
      await new Promise((resolve) => heir.close(resolve));
    }));
}

function send(path: LabPath, bytes: Buffer): Socket {
  const socket = connect(path.port, path.address);
  socket.on('error', () => undefined);
  socket.resume();
  // Both halves end: what the proxy does not answer it may wait for no longer.
  socket.end(bytes);
  return socket;
}

function ended(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error('the connection did not end')), 5000);
    const done = () => {
      clearTimeout(late);
      resolve();
    };
    if (socket.destroyed) done();
    else socket.once('close', done);
  });
}

test('an uplink takes its paths down: by line, by site, several, or all', async () => {
  const lab = await startLab({ paths: 3 });
  const faults = () => lab.paths.map((p) => p.fault);
  try {
    assert.deepEqual(
      lab.paths.map((p) => p.name),
      ['line-a', 'line-b', 'abroad'],
    );
    assert.equal(new Set(lab.paths.flatMap((p) => [p.site, p.uplink])).size, 6, 'nothing shared');
    await lab.break('uplink', 'as4134', 'cut');
    assert.deepEqual(faults(), ['cut', null, null]);
    await lab.heal('uplink', 'as4134');
    await lab.break('uplink', 'as4837,osaka', 'hang');
    assert.deepEqual(faults(), [null, 'hang', 'hang']);
    assert.match(await lab.break('uplink', 'all', 'loss', 0.3), /30 % of what is asked/);
    assert.deepEqual(faults(), ['loss', 'loss', 'loss']);
    assert.ok(lab.paths.every((p) => p.share === 0.3));
    await lab.heal(null, '');
    assert.deepEqual(faults(), [null, null, null]);
    await lab.break('reference', 'ref-a', 'refuse');
    assert.equal(lab.references[0]?.fault, 'refuse');
    const refused = (pattern: RegExp) => (error: unknown) =>
      error instanceof LabError && error.exit === 2 && pattern.test(error.message);
    await assert.rejects(lab.break('uplink', 'as1', 'cut'), refused(/as4134, hangzhou-office/));
    await assert.rejects(lab.break('path', 'line-c', 'cut'), refused(/line-a, line-b, abroad/));
    await assert.rejects(lab.break('path', 'line-a', '5xx'), refused(/refuse, hang, auth, cut/));
    await assert.rejects(lab.break('path', 'line-a', 'cut', 0.5), refused(/loss alone/));
  } finally {
    await lab.close();
  }
});

test('a lab with one way out says how to have three', async () => {
  const lab = await startLab();
  try {
    for (const scope of ['path', 'uplink', 'reference'] as const) {
      await assert.rejects(lab.break(scope, 'line-a', 'cut'), /start it with --paths 3/);
    }
  } finally {
    await lab.close();
  }
});
