// The lab's origins seen from outside, by a plain HTTP client: what each fault does to a new
// connection and to one that was open when it began, and that nothing is left behind.

import assert from 'node:assert/strict';
import { Agent, get } from 'node:http';
import { connect, createServer } from 'node:net';
import { test } from 'node:test';
import { type Origin, originFaults, originsOf, startOrigin } from '../../src/lab/clouds/cloud.ts';

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** One GET with a deadline; the error's code as a string when there is no whole answer. */
function ask(origin: Origin, path = '/healthz', agent?: Agent, ms = 300): Promise<Answer | string> {
  return new Promise((resolve) => {
    const request = get(
      { host: origin.address, port: origin.port, path, agent: agent ?? false },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (body += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
        response.on('error', (e: NodeJS.ErrnoException) => resolve(e.code ?? e.message));
      },
    );
    const deadline = setTimeout(() => {
      resolve('deadline');
      request.destroy();
    }, ms);
    request.on('close', () => clearTimeout(deadline));
    request.on('error', (e: NodeJS.ErrnoException) => resolve(e.code ?? e.message));
  });
}

async function withOrigin(work: (origin: Origin) => Promise<void>, flapMs?: number) {
  const origin = await startOrigin({
    name: 'hangzhou',
    cloud: 'aliyun',
    region: 'cn-hangzhou',
    address: '127.0.0.1',
    port: 0,
    ...(flapMs === undefined ? {} : { flapMs }),
  });
  try {
    await work(origin);
  } finally {
    await origin.close();
  }
}

const good = { status: 200, body: 'ok hangzhou' };

test('an origin says ok with its name and counts what it was asked', () =>
  withOrigin(async (origin) => {
    assert.deepEqual(await ask(origin), good);
    const hello = await ask(origin, '/');
    assert.ok(typeof hello === 'object' && hello.body.includes('cn-hangzhou'));
    const missing = await ask(origin, '/else');
    assert.ok(typeof missing === 'object' && missing.status === 404);
    assert.equal(origin.requests, 3);
    assert.equal(origin.connections, 3);
  }));

const sights: Readonly<Record<string, Answer | string | readonly string[]>> = {
  refuse: 'ECONNREFUSED',
  hang: 'deadline',
  reset: ['ECONNRESET', 'EPIPE'],
  '5xx': { status: 503, body: 'hangzhou is broken on purpose\n' },
  slow: 'deadline',
  'wrong-body': { status: 200, body: '<!doctype html><title>Welcome</title><p>It works!\n' },
  drip: 'deadline',
  flap: { status: 503, body: 'hangzhou is broken on purpose\n' },
  loss: 'deadline',
};

for (const [fault, sight] of Object.entries(sights)) {
  test(`the fault ${fault} shows as itself, and heals on the same port`, () =>
    withOrigin(async (origin) => {
      const { port } = origin;
      await origin.break(fault as keyof typeof originFaults, 1);
      const seen = await ask(origin);
      if (Array.isArray(sight)) assert.ok(sight.includes(seen), `saw ${JSON.stringify(seen)}`);
      else assert.deepEqual(seen, sight);
      assert.equal(origin.fault, fault);
      await origin.heal();
      assert.equal(origin.fault, null);
      assert.equal(origin.port, port);
      assert.deepEqual(await ask(origin), good);
    }));
}

test('every fault there is has been looked at', () => {
  assert.deepEqual(Object.keys(sights).sort(), Object.keys(originFaults).sort());
});

for (const [fault, endings] of [
  ['hang', ['deadline']],
  ['slow', ['deadline']],
  ['reset', ['ECONNRESET', 'ECONNREFUSED', 'EPIPE']],
  ['refuse', ['ECONNRESET', 'ECONNREFUSED', 'EPIPE']],
] as const) {
  test(`a connection that was open when ${fault} began is struck too`, () =>
    withOrigin(async (origin) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      try {
        assert.deepEqual(await ask(origin, '/healthz', agent), good);
        const before = origin.connections;
        await origin.break(fault);
        const seen = await ask(origin, '/healthz', agent);
        assert.ok((endings as readonly unknown[]).includes(seen), `saw ${JSON.stringify(seen)}`);
        // Hanging happens on the very connection that was open.
        if (fault === 'hang') assert.equal(origin.connections, before);
      } finally {
        agent.destroy();
      }
    }));
}

for (const fault of ['reset', 'refuse'] as const) {
  test(`an idle connection ends when ${fault} begins, without a request on it`, () =>
    withOrigin(async (origin) => {
      const socket = connect(origin.port, origin.address);
      socket.on('error', () => undefined);
      const ended = new Promise<string>((resolve) => socket.once('close', () => resolve('ended')));
      while (origin.connections === 0) await new Promise((resolve) => setImmediate(resolve));
      await origin.break(fault);
      const deadline = new Promise<string>((resolve) => setTimeout(resolve, 3000, 'open').unref());
      const seen = await Promise.race([ended, deadline]);
      socket.destroy();
      assert.equal(seen, 'ended');
      assert.equal(origin.requests, 0);
    }));
}

test('a request that is being held ends when the origin heals', () =>
  withOrigin(async (origin) => {
    await origin.break('hang');
    const held = ask(origin, '/healthz', undefined, 5000);
    while (origin.requests === 0) await new Promise((resolve) => setImmediate(resolve));
    await origin.heal();
    assert.equal(await held, 'ECONNRESET');
  }));

test('flapping alternates between broken and good', () =>
  withOrigin(async (origin) => {
    await origin.break('flap');
    const seen = new Set<number>();
    const end = performance.now() + 5000;
    while (seen.size < 2 && performance.now() < end) {
      const answer = await ask(origin);
      assert.ok(typeof answer === 'object');
      seen.add(answer.status);
    }
    assert.deepEqual([...seen].sort(), [200, 503]);
  }, 30));

test('faults asked for at the same time are made one after the other, the last one stays', () =>
  withOrigin(async (origin) => {
    await Promise.all([
      origin.break('refuse'),
      origin.heal(),
      origin.break('hang'),
      origin.break('refuse'),
      origin.break('5xx'),
    ]);
    assert.equal(origin.fault, '5xx');
    const answer = await ask(origin);
    assert.ok(typeof answer === 'object' && answer.status === 503);
  }));

test('a region and a cloud mean all of their origins', async () => {
  const place = { address: '127.0.0.1', port: 0 };
  const origins = await Promise.all([
    startOrigin({ name: 'a', cloud: 'one', region: 'r1', ...place }),
    startOrigin({ name: 'b', cloud: 'one', region: 'r2', ...place }),
    startOrigin({ name: 'c', cloud: 'two', region: 'r3', ...place }),
  ]);
  try {
    const names = (scope: 'origin' | 'region' | 'cloud', name: string) =>
      originsOf(origins, scope, name).map((o) => o.name);
    assert.deepEqual(names('cloud', 'one'), ['a', 'b']);
    assert.deepEqual(names('region', 'r2'), ['b']);
    assert.deepEqual(names('origin', 'c'), ['c']);
    assert.deepEqual(names('cloud', 'c'), []);
  } finally {
    await Promise.all(origins.map((o) => o.close()));
  }
});

test('a closed origin has given back its port and every socket', async () => {
  const origin = await startOrigin({
    name: 'a',
    cloud: 'one',
    region: 'r1',
    address: '127.0.0.1',
    port: 0,
  });
  await origin.break('hang');
  const held = ask(origin, '/healthz', undefined, 5000);
  while (origin.requests === 0) await new Promise((resolve) => setImmediate(resolve));
  await origin.close();
  assert.equal(await held, 'ECONNRESET');
  const heir = createServer();
  await new Promise<void>((resolve, reject) => {
    heir.once('error', reject);
    heir.listen(origin.port, '127.0.0.1', resolve);
  });
  await new Promise((resolve) => heir.close(resolve));
});
