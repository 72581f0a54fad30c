// A TLS session saves a whole handshake where nothing is in doubt, and nowhere else: when one is
// offered, what is told of the certificate meanwhile, and that a server which cannot resume costs
// no probe.

import assert from 'node:assert/strict';
import { constants } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import { after, test } from 'node:test';
import tls from 'node:tls';
import type { ProbeResult } from '../../src/kit/extend.ts';
import { checkTypes, createProber } from '../../src/probes/index.ts';
import { Sessions } from '../../src/probes/sessions.ts';
import { createCertificates, withServer, words } from '../parts/listening.ts';

const { certificate, remove } = createCertificates();
after(remove);
const good = certificate('good', 'IP:127.0.0.1', -1, 30.5);
const short = certificate('short', 'IP:127.0.0.1', -1, 3.5);

/** Asks one check time after time; what each told. */
async function asking(
  how: tls.TlsOptions,
  work: (ask: (routine: boolean) => Promise<ProbeResult>, server: Server) => Promise<void>,
  more: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const server = createServer({ ...how, cert: how.cert ?? good.cert, key: how.key ?? good.key });
  server.on('request', (_, response) => response.end('well\n'));
  await withServer(server, async (port) => {
    const url = `https://127.0.0.1:${port}/`;
    const settings = checkTypes['http']!.settings.parse({ http: url, ca: good.ca, ...more });
    const prober = createProber(
      { 'o/c': { kind: 'http', settings, timeoutMs: 5000 } },
      { line: { name: 'line', kind: 'direct', resolver: null, localAddress: null } },
    );
    const { signal } = new AbortController();
    try {
      await work((routine) => prober.probe('o/c', 'line', signal, routine), server);
    } finally {
      prober.close();
    }
  });
}

const told = (result: ProbeResult) => `${words(result)} ${result.handshake}`;

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`${version}: a session is resumed where nothing is in doubt, and only there`, async () => {
    let status = 200;
    const how = { minVersion: version, maxVersion: version };
    await asking(how, async (ask, server) => {
      server.removeAllListeners('request');
      server.on('request', (_, response) => response.writeHead(status).end());
      assert.equal(told(await ask(true)), 'pass ok whole', 'the first of all');
      const resumed = await ask(true);
      assert.equal(told(resumed), 'pass ok resumed');
      assert.equal(resumed.certificateDays, 30, 'what was verified is told meanwhile');
      assert.equal(told(await ask(true)), 'pass ok resumed');
      assert.equal(told(await ask(false)), 'pass ok whole', 'doubt');
      assert.equal(told(await ask(true)), 'pass ok resumed');
      assert.equal(told(await ask(false)), 'pass ok whole');
      status = 503;
      assert.equal(told(await ask(false)), 'fail status whole');
      status = 200;
      assert.equal(told(await ask(true)), 'pass ok whole', 'the one before did not pass');
    });
  });
}

test('what fails over a session that was taken is asked whole for a while', async () => {
  let status = 200;
  await asking({}, async (ask, server) => {
    server.removeAllListeners('request');
    server.on('request', (_, response) => response.writeHead(status).end());
    await ask(true);
    status = 403;
    assert.equal(told(await ask(true)), 'fail status resumed');
    status = 200;
    for (let i = 0; i < 3; i++) assert.equal(told(await ask(true)), 'pass ok whole');
  });
});

test('HTTP/2 resumes, too', async () => {
  const { createSecureServer } = await import('node:http2');
  const server = createSecureServer({ cert: good.cert, key: good.key });
  server.on('request', (_, response) => response.end('well\n'));
  await withServer(server, async (port) => {
    const http = `https://127.0.0.1:${port}/`;
    const settings = checkTypes['http']!.settings.parse({ http, ca: good.ca, http2: 'only' });
    const prober = createProber(
      { 'o/c': { kind: 'http', settings, timeoutMs: 5000 } },
      { line: { name: 'line', kind: 'direct', resolver: null, localAddress: null } },
    );
    const { signal } = new AbortController();
    assert.equal(told(await prober.probe('o/c', 'line', signal, true)), 'pass ok whole');
    assert.equal(told(await prober.probe('o/c', 'line', signal, true)), 'pass ok resumed');
    prober.close();
  });
});

test('a server that knows no session again is asked as before', async () => {
  const how = { maxVersion: 'TLSv1.2', secureOptions: constants.SSL_OP_NO_TICKET } as const;
  await asking(how, async (ask, server) => {
    server.on('newSession', (_id, _data, done: () => void) => done());
    server.on('resumeSession', (_id, done: (error: null, data: null) => void) => done(null, null));
    assert.equal(told(await ask(true)), 'pass ok whole');
    for (let i = 0; i < 3; i++) assert.equal(told(await ask(true)), 'pass ok not-taken');
  });
});

test('another certificate is seen at once where the sessions are others, too', async () => {
  await asking({}, async (ask, server) => {
    await ask(true);
    assert.equal(told(await ask(true)), 'pass ok resumed');
    server.setSecureContext({ cert: short.cert, key: short.key, ticketKeys: undefined });
    server.setTicketKeys(Buffer.alloc(48, 7));
    const refused = await ask(true);
    assert.equal(words(refused), 'fail tls', refused.detail);
  });
});

test('what a server breaks off instead of resuming is asked whole in the same probe', async () => {
  const how = { maxVersion: 'TLSv1.2', secureOptions: constants.SSL_OP_NO_TICKET } as const;
  await asking(how, async (ask, server) => {
    let broken = 0;
    const given = new Set<string>();
    server.on('newSession', (id: Buffer, _data, done: () => void) => {
      given.add(id.toString('hex'));
      done();
    });
    type Done = (error: Error | null, data: Buffer | null) => void;
    server.on('resumeSession', (id: Buffer, done: Done) => {
      // With a first handshake comes an id that nobody has given (RFC 8446, appendix D.4).
      if (!given.has(id.toString('hex'))) return done(null, null);
      broken++;
      done(new Error('it is not to be had'), null);
    });
    for (let i = 0; i < 4; i++) assert.equal(told(await ask(true)), 'pass ok whole');
    assert.equal(broken, 1, 'and is not tried again for a while');
  });
});

test('a session is for one partner, 30 seconds and a certificate that has not ended', async () => {
  const context = tls.createSecureContext();
  const partner = { address: '192.0.2.1:443', name: 'a.test', alpn: ['http/1.1'], context };
  const sessions = new Sessions();
  const session = Buffer.from('session');
  const offered = (more: object, now: number, wall: number) =>
    sessions.offer({ ...partner, ...more }, now, wall) !== null;
  assert.ok(!offered({}, 0, 0));
  const given = { session: null as Buffer | null };
  sessions.keep({ partner, wholeAt: 1000, endsAt: 1_000_000, given });
  assert.ok(!offered({}, 1000, 0), 'none was given yet');
  given.session = session;
  assert.ok(offered({}, 1000, 0));
  assert.ok(offered({ alpn: ['http/1.1'] }, 30_999, 0));
  assert.ok(!offered({}, 31_000, 0), 'too old');
  assert.ok(!offered({}, 1000, 1_000_000), 'the certificate has ended');
  assert.ok(!offered({ address: '192.0.2.2:443' }, 1000, 0));
  assert.ok(!offered({ name: 'b.test' }, 1000, 0));
  assert.ok(!offered({ alpn: ['h2', 'http/1.1'] }, 1000, 0));
  assert.ok(!offered({ context: tls.createSecureContext() }, 1000, 0));
  sessions.rest(2000);
  sessions.keep({ partner, wholeAt: 3000, endsAt: 1_000_000, given });
  assert.ok(!offered({}, 4000, 0), 'it rests');
  sessions.keep({ partner, wholeAt: 602_000, endsAt: 1_000_000, given });
  assert.ok(offered({}, 602_000, 0));
  sessions.keep({ partner, wholeAt: 602_000, endsAt: Number.NaN, given });
  assert.ok(!offered({}, 602_000, 0), 'nobody knows when its certificate ends');
});
