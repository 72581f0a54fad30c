// The `tls` check against real listeners: what is verified, what is judged, what is never offered.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import tls_ from 'node:tls';
import type { ProbeResult } from '../../src/kit/extend.ts';
import { straight, travel } from '../../src/probes/path.ts';
import { tls } from '../../src/probes/tls.ts';
import {
  type Certificate,
  closedPort,
  createCertificates,
  quiet,
  until,
  withServer,
  withTcp,
  words,
} from '../parts/listening.ts';

const direct = { name: 'line', kind: 'direct', resolver: null, localAddress: null } as const;
const noSecrets = { secret: () => assert.fail('no secret is configured') };
const { certificate, remove } = createCertificates();
after(remove);
const good = certificate('good', 'DNS:mail.shop.test,IP:127.0.0.1', -1, 30.5);
const expired = certificate('expired', 'DNS:mail.shop.test,IP:127.0.0.1', -30, -1.5);

async function ask(configured: Record<string, unknown>, timeoutMs = 10_000): Promise<ProbeResult> {
  const check = tls.create(tls.settings.parse(configured), direct, timeoutMs, noSecrets);
  let result = await check.ask(new AbortController().signal);
  for (let i = 0; i < 20 && result.reason === 'stalled'; i++) {
    result = await check.ask(new AbortController().signal);
  }
  return result;
}

const withTls = (
  { key, cert }: Certificate,
  work: (port: number, server: tls_.Server) => Promise<void>,
  more: tls_.TlsOptions = {},
) => withServer(tls_.createServer({ key, cert, ...more }), work);

test('a handshake with a trusted certificate passes, by address, name and pin, and leaves nothing', () =>
  withTls(good, async (port, server) => {
    const names: string[] = [];
    server.on('secureConnection', (socket: tls_.TLSSocket & { servername: string }) => {
      names.push(socket.servername);
    });
    const byAddress = await ask({ tls: `127.0.0.1:${port}`, ca: good.ca });
    assert.equal(words(byAddress), 'pass ok', byAddress.detail);
    assert.equal(byAddress.certificateDays, 30);
    assert.deepEqual(Object.keys(byAddress.phases), ['connectMs', 'tlsMs']);
    assert.match(byAddress.detail, /^TLSv1\.3, 30 days left$/);
    const pinned = { tls: `mail.shop.test:${port}`, address: '127.0.0.1', ca: good.ca };
    assert.equal(words(await ask(pinned)), 'pass ok');
    const named = { tls: `127.0.0.1:${port}`, servername: 'Mail.Shop.Test', ca: good.ca };
    assert.equal(words(await ask(named)), 'pass ok');
    await until(() => names.length === 3, 'all were seen');
    assert.deepEqual(names.slice(1), ['mail.shop.test', 'mail.shop.test']);
    await until(quiet(server), 'no connection left');
  }));

test('too few days left fail', () =>
  withTls(good, async (port) => {
    const settings = { tls: `127.0.0.1:${port}`, ca: good.ca };
    assert.equal(words(await ask({ ...settings, expect: { certificateDays: 30 } })), 'pass ok');
    const tooFew = await ask({ ...settings, expect: { certificateDays: 31 } });
    assert.equal(words(tooFew), 'fail certificate-days');
    assert.match(tooFew.detail, /30 days left, expected 31/);
    const impossible = tls.impossible(tls.settings.parse(settings));
    const check = tls.create(impossible, direct, 10_000, noSecrets);
    const drilled = await check.ask(new AbortController().signal);
    assert.equal(words(drilled), 'fail certificate-days');
  }));

test('a chain, name or date that is not right fails', async () => {
  const cases = [
    [good, {}, /SELF_SIGNED/],
    [good, { ca: good.ca, servername: 'other.test' }, /ALTNAME/],
    [expired, { ca: expired.ca }, /EXPIRED/],
  ] as const;
  for (const [served, settings, detail] of cases) {
    await withTls(served, async (port) => {
      const result = await ask({ tls: `127.0.0.1:${port}`, ...settings });
      assert.equal(words(result), 'fail tls', result.detail);
      assert.match(result.detail, detail);
    });
  }
});

test('no application protocol is offered, so that strict servers of other kinds answer', () =>
  withTls(
    good,
    async (port) => {
      const result = await ask({ tls: `127.0.0.1:${port}`, ca: good.ca });
      assert.equal(words(result), 'pass ok', result.detail);
    },
    { ALPNCallback: () => undefined },
  ));

test('a server without TLS, silent, closing or closed has its own word', async () => {
  const refused = await ask({ tls: `127.0.0.1:${await closedPort()}` });
  assert.equal(words(refused), 'fail refused');
  const cases = [
    ['speaks first', (s) => s.write('220 mail ESMTP\r\n'), 'fail tls'],
    ['closes', (s) => s.end(), 'fail closed'],
    ['says nothing', () => {}, 'fail timeout'],
  ] satisfies [string, Parameters<typeof withTcp>[0], string][];
  for (const [what, answer, expected] of cases) {
    await withTcp(answer, async (port) => {
      const result = await ask({ tls: `127.0.0.1:${port}` }, what === 'says nothing' ? 250 : 9000);
      assert.equal(words(result), expected, `${what}: ${result.detail}`);
    });
  }
});

test('trips that end right after a handshake do not end the process', () =>
  // Node dies when the socket below TLS is destroyed first, right after the handshake.
  withTls(good, async (port) => {
    const { signal } = new AbortController();
    for (let i = 0; i < 50; i++) {
      const result = await travel(straight(), 10_000, signal, async (trip) => {
        const socket = await trip.connect({ host: '127.0.0.1', port });
        await trip.secure(socket, { name: '127.0.0.1', ca: good.ca, alpn: [] });
        return { outcome: 'pass', reason: 'ok', detail: 'at once' };
      });
      assert.equal(words(result), 'pass ok', result.detail);
    }
  }));

test('settings name what is wrong with them', () => {
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ tls: 'a.test' }, /HOST:PORT/],
    [{ tls: 'a.test:1', servername: '192.0.2.1' }, /host name/],
    [{ tls: 'a.test:1', address: 'b.test' }, /without a port/],
    [{ tls: 'a.test:1', expect: { certificateDays: -1 } }, /certificateDays/],
    [{ tls: 'a.test:1', sni: 'x' }, /sni/],
  ];
  for (const [settings, message] of wrong) {
    const read = tls.settings.safeParse(settings);
    assert.equal(read.success, false, JSON.stringify(settings));
    assert.match(JSON.stringify(read.error?.issues), message);
  }
});
