// The `tcp` check against real listeners, and the prober over both kinds: its guard over a check
// that misbehaves, its bound on probes under way, and its end.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import type { Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { z } from 'zod';
import type { CheckType, ProbeResult } from '../../src/kit/extend.ts';
import { checkTypes, createProber } from '../../src/probes/index.ts';
import { tcp } from '../../src/probes/tcp.ts';
import { ownNetwork, withoutIpv6, withoutOwnNetwork } from '../parts/limits.ts';
import { quiet, until, withTcp, words } from '../parts/listening.ts';

const direct = { name: 'line', kind: 'direct', resolver: null, localAddress: null } as const;
const noSecrets = { secret: () => assert.fail('no secret is configured') };
const calm = () => new AbortController().signal;

function ask(configured: Record<string, unknown>, timeoutMs = 10_000): Promise<ProbeResult> {
  return tcp.create(tcp.settings.parse(configured), direct, timeoutMs, noSecrets).ask(calm());
}

test('a connection alone passes, by address, by name, by pin, and is let go of', () =>
  withTcp(
    () => {},
    async (port, server) => {
      const byAddress = await ask({ tcp: `127.0.0.1:${port}` });
      assert.equal(words(byAddress), 'pass ok', byAddress.detail);
      assert.deepEqual(Object.keys(byAddress.phases), ['connectMs']);
      const byName = await ask({ tcp: `localhost:${port}` });
      assert.equal(words(byName), 'pass ok', byName.detail);
      assert.equal(typeof byName.phases.dnsMs, 'number');
      const pinned = await ask({ tcp: `mail.shop.test:${port}`, address: '127.0.0.1' });
      assert.equal(words(pinned), 'pass ok', pinned.detail);
      await until(quiet(server), 'no connection left');
    },
  ));

test('a connection over IPv6 passes, in the notation with brackets', { skip: withoutIpv6 }, () =>
  withTcp(
    () => {},
    async (port) => {
      const result = await ask({ tcp: `[::1]:${port}` });
      assert.equal(words(result), 'pass ok', result.detail);
    },
    '::1',
  ),
);

test('what is sent arrives, and the answer is awaited over several packets', async () => {
  let heard = '';
  await withTcp(
    (socket) => {
      socket.write('220 mail');
      socket.on('data', (chunk) => {
        heard += chunk;
        socket.write('.shop.test ES');
        setTimeout(() => socket.write('MTP\r\n'), 30);
      });
    },
    async (port) => {
      const result = await ask({
        tcp: `127.0.0.1:${port}`,
        send: 'EHLO a\r\n',
        expect: { regex: '^220 \\S+ ESMTP' },
      });
      assert.equal(words(result), 'pass ok', result.detail);
      assert.equal(typeof result.phases.firstByteMs, 'number');
    },
  );
  assert.equal(heard, 'EHLO a\r\n');
});

test('a text that is sent with nothing expected arrives whole before the probe ends', async () => {
  let heard = '';
  await withTcp(
    (socket) => socket.on('data', (chunk) => (heard += chunk)),
    async (port) => {
      const result = await ask({ tcp: `127.0.0.1:${port}`, send: 'x'.repeat(4096) });
      assert.equal(words(result), 'pass ok', result.detail);
      await until(() => heard.length === 4096, 'all of it arrived');
    },
  );
});

test('a wrong answer fails as body, none as closed, reset or timeout', async () => {
  const expect = { text: 'ready' };
  const cases: [string, (socket: Socket) => void, string][] = [
    ['says something else and ends', (s) => s.end('busy'), 'fail body'],
    ['floods', (s) => s.write('x'.repeat(9000)), 'fail body'],
    ['ends', (s) => s.end(), 'fail closed'],
    ['resets', (s) => s.once('data', () => s.resetAndDestroy()), 'fail reset'],
    ['says nothing', () => {}, 'fail timeout'],
    ['says something else and waits', (s) => s.write('busy'), 'fail timeout'],
  ];
  for (const [what, answer, expected] of cases) {
    await withTcp(answer, async (port, server) => {
      const timeoutMs = expected === 'fail timeout' ? 250 : 10_000;
      const settings = { tcp: `127.0.0.1:${port}`, send: 'hi', expect };
      let result = await ask(settings, timeoutMs);
      // A machine under load stalls, which is `blind`: then a short deadline is tried again.
      for (let i = 0; i < 20 && result.reason === 'stalled'; i++) {
        result = await ask(settings, timeoutMs);
      }
      assert.equal(words(result), expected, `${what}: ${result.detail}`);
      await until(quiet(server), 'no connection left');
    });
  }
});

test('the expected text counts only within maxBytes', () =>
  withTcp(
    (socket) => socket.write(`${'x'.repeat(100)}ready`),
    async (port) => {
      const expect = { text: 'ready' };
      const enough = await ask({ tcp: `127.0.0.1:${port}`, expect, maxBytes: 105 });
      assert.equal(words(enough), 'pass ok', enough.detail);
      const short = await ask({ tcp: `127.0.0.1:${port}`, expect, maxBytes: 104 });
      assert.equal(words(short), 'fail body', short.detail);
    },
  ));

test('an answer whose last part comes right after another is still matched', () =>
  withTcp(
    (socket) => {
      socket.setNoDelay();
      // Too close together for the second to be looked at by itself, and nothing follows.
      socket.write('rea', () => setTimeout(() => socket.write('dy'), 3));
    },
    async (port) => {
      for (let i = 0; i < 20; i++) {
        const result = await ask({ tcp: `127.0.0.1:${port}`, expect: { text: 'ready' } }, 2000);
        assert.equal(words(result), 'pass ok', result.detail);
      }
    },
  ));

test('a closed port is refused, by address and port', async () => {
  let port = 0;
  await withTcp(
    () => {},
    async (p) => {
      port = p;
    },
  );
  const result = await ask({ tcp: `127.0.0.1:${port}` });
  assert.equal(words(result), 'fail refused', result.detail);
  assert.match(result.detail, new RegExp(`127\\.0\\.0\\.1:${port} refused`));
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const before = timers();
  for (let i = 0; i < 20; i++) await ask({ tcp: `127.0.0.1:${port}` }, 600_000);
  assert.ok(timers() <= before, 'no deadline outlives its probe');
});

test('a connection that the system makes to itself is refused, not a pass', {
  skip: withoutOwnNetwork,
}, () => {
  // With one port to choose from, the source is the destination.
  const setting = 'ip link set lo up; echo 40001 40001 > /proc/sys/net/ipv4/ip_local_port_range';
  const http = 'http://127.0.0.1:40001/';
  // Each in a network of its own: the one port rests for a minute afterwards.
  for (const [kind, settings] of [
    ['tcp', { tcp: '127.0.0.1:40001' }],
    ['http', { http }],
    ['http', { http, method: 'HEAD' }],
  ] as const) {
    const code = `
      import { checkTypes } from '${new URL('../../src/probes/index.ts', import.meta.url)}';
      const [path, type] = [${JSON.stringify(direct)}, checkTypes['${kind}']];
      const asked = type.create(type.settings.parse(${JSON.stringify(settings)}), path, 9000, {});
      const { outcome, reason } = await asked.ask(new AbortController().signal);
      console.log(outcome, reason);`;
    const [unshare, ...flags] = ownNetwork;
    const shell = [...flags, 'sh', '-c', `${setting}; exec "$@"`, 'sh', process.execPath];
    const done = spawnSync(unshare, [...shell, '--input-type=module', '-e', code], {
      encoding: 'utf8',
      timeout: 30_000,
    });
    assert.equal(done.stdout, 'fail refused\n', done.stderr);
  }
});

test('settings name what is wrong with them', () => {
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ tcp: 'a.test' }, /HOST:PORT/],
    [{ tcp: 'a.test:0' }, /HOST:PORT/],
    [{ tcp: '10.0.0.300:80' }, /HOST:PORT/],
    [{ tcp: 'a.test:1', address: '192.0.2.1:2' }, /without a port/],
    [{ tcp: 'a.test:1', expect: {} }, /exactly one/],
    [{ tcp: 'a.test:1', expect: { regex: '[' } }, /regular expression/],
    [{ tcp: 'a.test:1', sends: 'x' }, /sends/],
  ];
  for (const [settings, message] of wrong) {
    const read = tcp.settings.safeParse(settings);
    assert.equal(read.success, false, JSON.stringify(settings));
    assert.match(JSON.stringify(read.error?.issues), message);
  }
  const kinds = ['http', 'tcp', 'tls', 'dns', 'grpc', 'exec', 'prometheus', 'push'];
  assert.deepEqual(Object.keys(checkTypes), kinds);
  for (const type of Object.values(checkTypes)) z.toJSONSchema(type.settings, { io: 'input' });
});

/** A kind of check that does as it is told, wrongly. */
function kind(behave: (signal: AbortSignal) => unknown): Record<string, CheckType<unknown>> {
  return {
    odd: {
      key: 'odd',
      settings: z.unknown(),
      impossible: (asked) => asked,
      pathProblem: () => null,
      create: () => ({ ask: (signal) => behave(signal) as Promise<ProbeResult>, close: () => {} }),
    },
  };
}

const odd = { 'o/odd': { kind: 'odd', settings: null, timeoutMs: 60 } };
const paths = { line: direct };

test('the prober asks each check by its kind, and counts nothing when it is done', () =>
  withTcp(
    (socket) => socket.once('data', () => socket.end('HTTP/1.1 204 No\r\n\r\n')),
    async (port) => {
      const settings = (word: string, value: unknown) => checkTypes[word]!.settings.parse(value);
      const prober = createProber(
        {
          'o/web': {
            kind: 'http',
            settings: settings('http', { http: `http://127.0.0.1:${port}/` }),
            timeoutMs: 10_000,
          },
          'o/port': {
            kind: 'tcp',
            settings: settings('tcp', { tcp: `127.0.0.1:${port}` }),
            timeoutMs: 10_000,
          },
        },
        paths,
      );
      for (const id of ['o/web', 'o/port', 'o/web']) {
        const result = await prober.probe(id, 'line', calm());
        assert.equal(words(result), 'pass ok', result.detail);
      }
      assert.equal(prober.inFlight(), 0);
      assert.equal(prober.shed(), 0);
      prober.close();
    },
  ));

test('a check that throws, rejects, hangs or answers nonsense is blind in time', async () => {
  const ways: [string, (signal: AbortSignal) => unknown, RegExp][] = [
    [
      'throws',
      () => {
        throw new Error('of\u001b its own');
      },
      /^of its own$/,
    ],
    ['rejects', () => Promise.reject(new Error('late')), /^late$/],
    ['rejects with nothing', () => Promise.reject(), /undefined/],
    ['hangs', () => new Promise(() => {}), /did not end within 210 ms/],
    ['answers nothing', () => undefined, /no result/],
    ['answers nonsense', () => ({ outcome: 'maybe' }), /no result/],
  ];
  for (const [what, behave, detail] of ways) {
    let told: AbortSignal | null = null;
    const prober = createProber(odd, paths, {
      types: kind((signal) => {
        told = signal;
        return behave(signal);
      }),
    });
    const result = await prober.probe('o/odd', 'line', calm());
    assert.equal(words(result), 'blind internal', what);
    assert.match(result.detail, detail);
    assert.equal((told as AbortSignal | null)?.aborted, true, 'it was called off');
    assert.equal(prober.inFlight(), 0);
    prober.close();
  }
});

test('an unknown check or path is blind, an unknown kind is refused at once', async () => {
  const prober = createProber(odd, paths, { types: kind(() => null) });
  assert.match((await prober.probe('o/none', 'line', calm())).detail, /no check o\/none/);
  assert.match((await prober.probe('constructor', 'line', calm())).detail, /no check/);
  assert.match((await prober.probe('o/odd', 'none', calm())).detail, /no path none/);
  prober.close();
  assert.throws(() => createProber(odd, paths), /check o\/odd: there is no kind odd/);
});

test('probes beyond the bound are shed, counted, and room comes back', async () => {
  const release: ((result: unknown) => void)[] = [];
  const pass = { outcome: 'pass', reason: 'ok', detail: 'ok', phases: {} };
  const prober = createProber({ 'o/odd': { ...odd['o/odd'], timeoutMs: 10_000 } }, paths, {
    types: kind(() => new Promise((resolve) => release.push(resolve))),
    inFlightMax: 3,
  });
  const running = Array.from({ length: 3 }, () => prober.probe('o/odd', 'line', calm()));
  const refused = await prober.probe('o/odd', 'line', calm());
  assert.equal(words(refused), 'blind shed');
  assert.equal(prober.shed(), 1);
  assert.equal(prober.inFlight(), 3);
  await until(() => release.length === 3, 'all of them are asked');
  for (const resolve of release) resolve(pass);
  for (const result of await Promise.all(running)) assert.equal(words(result), 'pass ok');
  assert.equal(prober.inFlight(), 0);
  const next = prober.probe('o/odd', 'line', calm());
  await until(() => release.length === 4, 'the next one is asked');
  release[3]!(pass);
  assert.equal(words(await next), 'pass ok');
  prober.close();
});

/**
 * A prober whose check keeps this process busy for so long, by a clock that nothing else moves: a
 * machine with other work is no part of it. And how many probes it has begun.
 */
function busy(context: TestContext, ms: number) {
  const begun = { count: 0 };
  let now = performance.now();
  context.mock.method(performance, 'now', () => now);
  const prober = createProber({ 'o/odd': odd['o/odd'] }, paths, {
    types: kind(async () => {
      begun.count++;
      now += ms;
      return { outcome: 'pass', reason: 'ok', detail: 'ok', phases: {} };
    }),
  });
  const ask = (n: number) =>
    Promise.all(Array.from({ length: n }, () => prober.probe('o/odd', 'line', calm())));
  return { prober, begun, ask };
}

test('probes take turns: what comes in between is not kept waiting for all of them', async (context) => {
  const { prober, begun, ask } = busy(context, 0.5);
  let before = 0;
  const all = ask(100);
  setImmediate(() => {
    before = begun.count;
  });
  assert.deepEqual([...new Set((await all).map(words))], ['pass ok']);
  assert.ok(before > 0 && before < 100, `${before} were begun at once`);
  prober.close();
});

test('a probe that has waited too long for its turn is shed and counted, not late', async (context) => {
  const { prober, begun, ask } = busy(context, 20);
  const results = (await ask(100)).map(words);
  assert.deepEqual([...new Set(results)], ['pass ok', 'blind shed']);
  const shed = results.filter((word) => word === 'blind shed').length;
  assert.equal(prober.shed(), shed);
  assert.equal(begun.count, 100 - shed);
  assert.equal(prober.inFlight(), 0);
  assert.deepEqual((await ask(1)).map(words), ['pass ok'], 'room comes back');
  prober.close();
});

test('closing the prober and aborting a probe end what hangs at once, as blind', () =>
  withTcp(
    () => {},
    async (port, server) => {
      const settings = tcp.settings.parse({ tcp: `127.0.0.1:${port}`, expect: { text: 'x' } });
      const spec = { kind: 'tcp', settings, timeoutMs: 60_000 };
      const prober = createProber({ 'o/tcp': spec }, paths);
      const calling = new AbortController();
      const aborted = prober.probe('o/tcp', 'line', calling.signal);
      const closed = prober.probe('o/tcp', 'line', calm());
      calling.abort();
      assert.equal(words(await aborted), 'blind aborted');
      prober.close();
      assert.equal(words(await closed), 'blind aborted');
      assert.equal(words(await prober.probe('o/tcp', 'line', calm())), 'blind aborted');
      assert.equal(prober.inFlight(), 0);
      await until(quiet(server), 'no connection left');
    },
  ));
