// Every kind of check over every kind of path, and every way a path can fail: none of them may ever
// count against the origin. The proxies are small ones of the tests' own; names lead nowhere but to
// loopback.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import net from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import fc from 'fast-check';
import { createLookup } from '../../src/dns/lookup.ts';
import type { Lookup, PathSpec, ProbeResult } from '../../src/kit/extend.ts';
import type { SecretRef } from '../../src/kit/schema.ts';
import { SecretError } from '../../src/kit/secret.ts';
import { checkTypes, createProber, pathProblem, secretProblems } from '../../src/probes/index.ts';
import { freePort } from '../parts/bind.ts';
import {
  closedPort,
  createCertificates,
  until,
  withServer,
  withTcp,
  words,
} from '../parts/listening.ts';
import { type Nameserver, type Respond, rcode, rr, startNameserver } from '../parts/nameserver.ts';
import { type ProxyPart, startHttpProxy, startSocks } from '../parts/proxy.ts';

const { scratch, certificate, remove } = createCertificates();
after(remove);
const good = certificate('good', 'DNS:www.shop.test,IP:127.0.0.1', -1, 30.5);
// Proxies are verified against Node's own roots; these two are among them for this process.
const rooted = certificate('rooted', 'IP:127.0.0.1', -1, 90.5);
const misnamed = certificate('misnamed', 'DNS:other.test', -1, 90.5);
tls.setDefaultCACertificates([
  ...tls.getCACertificates('default'),
  rooted.cert.toString(),
  misnamed.cert.toString(),
]);

const credentials = 'probe:pa:ss word';
const secrets: Readonly<Record<string, string>> = {
  PROXY: credentials,
  WRONG: 'probe:no',
  BAD: 'x',
};
const secret = (ref: SecretRef): string => {
  const value = 'env' in ref ? secrets[ref.env] : undefined;
  if (value === undefined) throw new SecretError(`${JSON.stringify(ref)} is not set`);
  return value;
};
const calm = () => new AbortController().signal;
const own = { name: 'line', resolver: null };
const direct: PathSpec = { ...own, kind: 'direct', localAddress: null };
type Proxied = Extract<PathSpec, { kind: 'proxy' | 'socks5' }>;
const httpPath = (port: number, more = {}): Proxied => ({
  ...own,
  kind: 'proxy',
  url: `http://127.0.0.1:${port}`,
  credentials: null,
  ...more,
});
const socksPath = (port: number, more = {}): Proxied => ({
  ...own,
  kind: 'socks5',
  url: `socks5://127.0.0.1:${port}`,
  credentials: null,
  ...more,
});

/** Through the prober, as the daemon asks; a stall of this process is tried again. */
async function ask(
  kind: string,
  configured: Record<string, unknown>,
  path: PathSpec,
  timeoutMs = 10_000,
  signal = calm(),
  lookup?: Lookup,
): Promise<ProbeResult> {
  const settings = checkTypes[kind]!.settings.parse(configured);
  const means = { secret, lookup };
  const prober = createProber({ 'o/c': { kind, settings, timeoutMs } }, { line: path }, means);
  try {
    let result = await prober.probe('o/c', 'line', signal);
    for (let i = 0; i < 20 && result.reason === 'stalled'; i++) {
      result = await prober.probe('o/c', 'line', signal);
    }
    return result;
  } finally {
    prober.close();
  }
}

/** What the checks ask: the same host serves all of them. */
interface Target {
  readonly http: number;
  readonly https: number;
  readonly banner: number;
  readonly dns: number;
}

let target: Target;
let stop: () => void = () => {};
before(
  () =>
    new Promise<void>((ready) => {
      const web = createServer((_, response) => response.end('well'));
      const secure = createSecureServer(good, (_, response) => response.end('well'));
      const done = new Promise<void>((resolve) => {
        stop = resolve;
      });
      void withServer(web, (http) =>
        withServer(secure, (https) =>
          withTcp(
            (socket) => socket.write('220 ready\r\n'),
            async (banner) => {
              const dns = await freePort();
              const names = await startNameserver('127.0.0.1', dns, () => ({
                answers: [rr('www.shop.test. 60 A 192.0.2.7')],
              }));
              target = { http, https, banner, dns };
              ready();
              await done;
              await names.close();
            },
          ),
        ),
      );
    }),
);
after(() => stop());

const hosts = { 'www.shop.test': '127.0.0.1', 'name.server.test': '127.0.0.1' };

/** Each kind of check once, at a name that only the far end can resolve. */
const asks = (): [string, Record<string, unknown>][] => [
  ['http', { http: `http://www.shop.test:${target.http}/`, expect: { body: { text: 'well' } } }],
  ['http', { http: `https://www.shop.test:${target.https}/`, ca: good.ca }],
  ['tcp', { tcp: `www.shop.test:${target.banner}`, expect: { text: '220 ready' } }],
  [
    'tcp',
    {
      tcp: `www.shop.test:${target.banner}`,
      address: '127.0.0.1',
      expect: { regex: '^220' },
    },
  ],
  ['tls', { tls: `www.shop.test:${target.https}`, ca: good.ca }],
  [
    'dns',
    {
      dns: `name.server.test:${target.dns}`,
      name: 'www.shop.test',
      transport: 'tcp',
      expect: { aa: true, values: ['192.0.2.7'] },
    },
  ],
];

/** A machine whose name server is that one; its files are in the folder of the certificates. */
function machine(address: string, port: number, hostsText = '') {
  const [hosts, resolvConf] = [join(scratch, 'hosts'), join(scratch, 'resolv.conf')];
  writeFileSync(hosts, hostsText);
  writeFileSync(resolvConf, `nameserver ${address}\n`);
  return { hosts, resolvConf, port };
}

async function withParts(
  parts: readonly Promise<ProxyPart>[],
  work: (...parts: ProxyPart[]) => Promise<void>,
): Promise<void> {
  const started = await Promise.all(parts);
  try {
    await work(...started);
    for (const part of started) await until(() => part.open() === 0, 'the proxy holds nothing');
  } finally {
    for (const part of started) await part.close();
  }
}

test('every kind of check passes through a proxy and SOCKS5, with names resolved at the far end', () =>
  withParts(
    [
      startHttpProxy({ hosts, credentials }),
      startSocks({ hosts, credentials }),
      startSocks({ hosts }),
    ],
    async (proxy, socks, open) => {
      const known = { credentials: { env: 'PROXY' } };
      for (const [kind, settings] of asks()) {
        for (const path of [
          httpPath(proxy!.port, known),
          socksPath(socks!.port, known),
          socksPath(open!.port),
        ]) {
          const result = await ask(kind, settings, path);
          assert.equal(words(result), 'pass ok', `${kind} by ${path.kind}: ${result.detail}`);
          assert.equal(result.phases.dnsMs, undefined, 'nothing was resolved here');
          assert.equal(typeof result.phases.connectMs, 'number');
        }
      }
      assert.ok(proxy!.asked.includes(`www.shop.test:${target.https}`));
      assert.ok(socks!.asked.includes(`www.shop.test:${target.http}`));
      assert.ok(socks!.asked.includes(`127.0.0.1:${target.banner}`), 'a pinned address is kept');
    },
  ));

test('a proxy over https is verified before anything is asked of it', () =>
  withParts(
    [
      startHttpProxy({ hosts, tls: rooted }),
      startHttpProxy({ hosts, tls: misnamed }),
      startHttpProxy({ hosts, tls: good }),
      startHttpProxy({ hosts, odd: () => 'HTTP/1.1 400 Plain\r\n\r\n' }),
    ],
    async (known, wrongName, unknown, plain) => {
      const over = (part: ProxyPart | undefined) =>
        httpPath(part!.port, { url: `https://127.0.0.1:${part!.port}` });
      for (const [kind, settings] of asks()) {
        const result = await ask(kind, settings, over(known));
        assert.equal(words(result), 'pass ok', `${kind}: ${result.detail}`);
        if (settings['ca'] !== undefined) {
          assert.equal(result.certificateDays, 30, "the origin's days, not the proxy's");
        }
      }
      for (const part of [wrongName, unknown, plain]) {
        const result = await ask(...asks()[1]!, over(part));
        assert.equal(words(result), 'blind proxy-error', result.detail);
        assert.match(result.detail, /^the proxy TLS with 127/);
        assert.deepEqual(part!.asked, []);
      }
    },
  ));

test('what the origin does behind a proxy is still its own', async () => {
  const closed = await closedPort();
  await withParts([startHttpProxy({ hosts }), startSocks({ hosts })], async (proxy, socks) => {
    const paths = [httpPath(proxy!.port), socksPath(socks!.port)];
    for (const path of paths) {
      const status = await ask(
        'http',
        { http: `http://www.shop.test:${target.http}/`, expect: { status: 204 } },
        path,
      );
      assert.equal(words(status), 'fail status');
      const untrusted = await ask('http', { http: `https://www.shop.test:${target.https}/` }, path);
      assert.equal(words(untrusted), 'fail tls', untrusted.detail);
      await withTcp(
        () => {},
        async (port) => {
          const silent = { http: `http://www.shop.test:${port}/` };
          const result = await ask('http', silent, path, 400);
          assert.equal(words(result), 'fail timeout', result.detail);
          assert.match(result.detail, /no answer from www\.shop\.test:\d+ within 400ms/);
          const handshake = await ask('tls', { tls: `www.shop.test:${port}` }, path, 400);
          assert.equal(words(handshake), 'fail timeout', handshake.detail);
        },
      );
      await withTcp(
        (socket) => socket.once('data', () => socket.end()),
        async (port) => {
          const result = await ask('http', { http: `http://www.shop.test:${port}/` }, path);
          assert.equal(words(result), 'fail closed', result.detail);
        },
      );
    }
    // The one word of a SOCKS proxy that is about the target beyond doubt.
    const nothing = { tcp: `127.0.0.1:${closed}`, expect: { text: 'well' } };
    const refused = await ask('tcp', nothing, paths[1]!);
    assert.equal(words(refused), 'fail refused', refused.detail);
    const byHttp = await ask('tcp', nothing, paths[0]!);
    assert.equal(words(byHttp), 'blind proxy-error', byHttp.detail);
    for (const path of paths) {
      const nobody = { tcp: 'nobody.test:80', expect: { text: 'well' } };
      const unknown = await ask('tcp', nobody, path);
      assert.equal(words(unknown), 'blind proxy-error', unknown.detail);
    }
  });
});

test('a proxy that says yes before it has connected passes nothing by that', async () => {
  const closed = await closedPort();
  // What some proxies do: they agree at once, dial later, and close when nobody is there.
  const yes = [
    startHttpProxy({ odd: () => 'HTTP/1.1 200 Yes\r\n\r\n', ends: true }),
    startSocks({
      odd: (_, turn) => Buffer.from(turn === 0 ? [5, 0] : [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
      ends: true,
    }),
  ];
  await withParts(yes, async (proxy, socks) => {
    for (const path of [httpPath(proxy!.port), socksPath(socks!.port)]) {
      const bare = await ask('tcp', { tcp: `127.0.0.1:${closed}` }, path);
      assert.equal(words(bare), 'blind path', bare.detail);
      for (const [kind, settings] of [
        ['tcp', { tcp: `127.0.0.1:${closed}`, expect: { regex: '.' } }],
        ['http', { http: `http://127.0.0.1:${closed}/` }],
        ['tls', { tls: `127.0.0.1:${closed}` }],
      ] as const) {
        const result = await ask(kind, settings, path);
        assert.notEqual(result.outcome, 'pass', `${kind}: ${result.detail}`);
      }
    }
  });
});

const http = (status: string) => () => `HTTP/1.1 ${status}\r\n\r\n`;
const afterGreeting = (bytes: number[]) => (_: Buffer, turn: number) =>
  Buffer.from(turn === 0 ? [5, 0] : bytes);
const reply = (code: number) => afterGreeting([5, code, 0, 1, 0, 0, 0, 0, 0, 0]);

test('whatever a proxy does by itself is blind, each with its own word', async () => {
  const oddities: ['http' | 'socks5', string, Parameters<typeof startSocks>[0], string][] = [
    ['http', 'asks who it is', { credentials: 'a:b' }, 'proxy-auth'],
    ['http', '401', { odd: http('401 Who') }, 'proxy-auth'],
    ['http', '403', { odd: http('403 No') }, 'proxy-refused'],
    ['http', '405', { odd: http('405 No') }, 'proxy-refused'],
    ['http', '429', { odd: http('429 Slower') }, 'proxy-refused'],
    ['http', '302', { odd: http('302 There') }, 'proxy-error'],
    ['http', '502', { odd: http('502 Bad') }, 'proxy-error'],
    ['http', '503', { odd: http('503 Later') }, 'proxy-error'],
    ['http', '504', { odd: http('504 Late') }, 'proxy-error'],
    ['http', 'no HTTP', { odd: () => 'hello\r\n\r\n' }, 'proxy-error'],
    [
      'http',
      'endless head',
      { odd: () => `HTTP/1.1 200 Yes\r\nx: ${'x'.repeat(2e4)}` },
      'proxy-error',
    ],
    ['http', 'closes', { odd: () => null, ends: true }, 'proxy-error'],
    ['http', 'closes in its head', { odd: () => 'HTTP/1.1 200 Y', ends: true }, 'proxy-error'],
    ['http', 'is silent', { odd: () => null }, 'proxy-timeout'],
    ['http', 'stops in its head', { odd: () => 'HTTP/1.1 200 Yes\r\n' }, 'proxy-timeout'],
    ['socks5', 'asks who it is', { credentials: 'a:b' }, 'proxy-auth'],
    ['socks5', 'wants an unknown method', { odd: () => Buffer.from([5, 1]) }, 'proxy-error'],
    ['socks5', 'wants a password unasked', { odd: () => Buffer.from([5, 2]) }, 'proxy-auth'],
    ['socks5', 'general failure', { odd: reply(1) }, 'proxy-error'],
    ['socks5', 'its rules', { odd: reply(2) }, 'proxy-refused'],
    ['socks5', 'network unreachable', { odd: reply(3) }, 'proxy-error'],
    ['socks5', 'host unreachable', { odd: reply(4) }, 'proxy-error'],
    ['socks5', 'TTL expired', { odd: reply(6) }, 'proxy-error'],
    ['socks5', 'no CONNECT', { odd: reply(7) }, 'proxy-refused'],
    ['socks5', 'no names', { odd: reply(8) }, 'proxy-refused'],
    ['socks5', 'an unknown code', { odd: reply(99) }, 'proxy-error'],
    ['socks5', 'no address type', { odd: afterGreeting([5, 1, 0, 0, 0, 0]) }, 'proxy-error'],
    ['socks5', 'SOCKS4', { odd: () => Buffer.from([0, 90]) }, 'proxy-error'],
    ['socks5', 'speaks HTTP', { odd: () => 'HTTP/1.1 400 No\r\n\r\n' }, 'proxy-error'],
    ['socks5', 'closes', { odd: () => null, ends: true }, 'proxy-error'],
    ['socks5', 'is silent', { odd: () => null }, 'proxy-timeout'],
    [
      'socks5',
      'is silent later',
      { odd: (_, t) => (t === 0 ? Buffer.from([5, 0]) : null) },
      'proxy-timeout',
    ],
    ['socks5', 'stops in its reply', { odd: afterGreeting([5, 0, 0, 1]) }, 'proxy-timeout'],
  ];
  for (const [kind, what, options, reason] of oddities) {
    const part = kind === 'http' ? startHttpProxy(options) : startSocks(options);
    await withParts([part], async (proxy) => {
      const path = kind === 'http' ? httpPath(proxy!.port) : socksPath(proxy!.port);
      const timeoutMs = reason === 'proxy-timeout' ? 200 : 10_000;
      for (const [check, settings] of asks().slice(0, 3)) {
        const result = await ask(check, settings, path, timeoutMs);
        assert.equal(words(result), `blind ${reason}`, `${kind} ${what}: ${result.detail}`);
      }
    });
  }
});

test('wrong credentials are blind and never shown', () =>
  withParts(
    [startHttpProxy({ hosts, credentials }), startSocks({ hosts, credentials })],
    async (proxy, socks) => {
      const wrong = { credentials: { env: 'WRONG' } };
      for (const path of [httpPath(proxy!.port, wrong), socksPath(socks!.port, wrong)]) {
        const result = await ask(...asks()[0]!, path);
        assert.equal(words(result), 'blind proxy-auth', result.detail);
        assert.doesNotMatch(JSON.stringify(result), /probe:|cHJvYmU6/);
      }
      const missing = httpPath(proxy!.port, { credentials: { env: 'NOBODY' } });
      assert.equal(words(await ask(...asks()[0]!, missing)), 'blind secret');
      const bad = socksPath(socks!.port, { credentials: { env: 'BAD' } });
      const result = await ask(...asks()[0]!, bad);
      assert.equal(words(result), 'blind secret');
      assert.match(result.detail, /expected user:password/);
      const probes = {
        'o/web': {
          kind: 'http',
          timeoutMs: 100,
          settings: checkTypes['http']!.settings.parse({
            http: 'https://a.test/',
            basic: { user: 'u', password: { env: 'NOBODY' } },
          }),
        },
      };
      assert.deepEqual(secretProblems(probes, { line: direct, missing }, { secret }), [
        'paths.missing: {"env":"NOBODY"} is not set',
        'check o/web: {"env":"NOBODY"} is not set',
      ]);
    },
  ));

test('a proxy that cannot be reached is blind, and so is one whose name is gone', async () => {
  const closed = await closedPort();
  for (const path of [httpPath(closed), socksPath(closed)]) {
    const result = await ask(...asks()[0]!, path);
    assert.equal(words(result), 'blind proxy-unreachable', result.detail);
    assert.match(result.detail, /^the proxy 127\.0\.0\.1:\d+ refused the connection$/);
    const nameless = { ...path, url: path.url.replace('127.0.0.1', `${'a'.repeat(64)}.invalid`) };
    const gone = await ask(...asks()[0]!, nameless);
    assert.equal(words(gone), 'blind proxy-unreachable', gone.detail);
  }
});

test('no bytes that a proxy may send make a probe throw or count against the origin', async () => {
  let says = Buffer.alloc(0);
  const odd = () => says;
  const parts = [startHttpProxy({ odd, ends: true }), startSocks({ odd, ends: true })];
  await withParts(parts, async (proxy, socks) => {
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.uint8Array({ maxLength: 20 }).map((bytes) => new Uint8Array([5, 0, 5, ...bytes])),
      fc.string({ maxLength: 40 }).map((text) => Buffer.from(`HTTP/1.1 5${text}\r\n\r\n`)),
    );
    await fc.assert(
      fc.asyncProperty(noise, fc.boolean(), async (bytes, isHttp) => {
        says = Buffer.from(bytes);
        const path = isHttp ? httpPath(proxy!.port) : socksPath(socks!.port);
        const result = await ask('http', { http: 'http://www.shop.test/' }, path, 2000);
        // Connection refused, and what came after a tunnel that stood, are the target's.
        const granted = [5, 0, 5, 0].every((byte, i) => bytes[i] === byte);
        const refused = [5, 0, 5, 5].every((byte, i) => bytes[i] === byte);
        if (!granted && !refused) assert.equal(result.outcome, 'blind', result.detail);
        assert.notEqual(result.reason, 'internal', result.detail);
      }),
      { numRuns: 150 },
    );
  });
});

test('a path leaves from its local address, or is blind', () =>
  withServer(net.createServer(), async (port, server) => {
    let from: string | undefined;
    server.on('connection', (socket) => {
      from = socket.remoteAddress;
    });
    const leaving = (localAddress: string): PathSpec => ({
      ...direct,
      kind: 'direct',
      localAddress,
    });
    const result = await ask('tcp', { tcp: `127.0.0.1:${port}` }, leaving('127.0.0.9'));
    assert.equal(words(result), 'pass ok', result.detail);
    await until(() => from === '127.0.0.9', 'the server sees the address');
    const named = await ask('tcp', { tcp: `localhost:${port}` }, leaving('127.0.0.9'));
    assert.equal(words(named), 'pass ok', named.detail);
    const foreign = await ask('tcp', { tcp: `127.0.0.1:${port}` }, leaving('192.0.2.1'));
    assert.equal(words(foreign), 'blind no-route', foreign.detail);
    const other = await ask('tcp', { tcp: `127.0.0.1:${port}` }, leaving('::1'));
    assert.equal(words(other), 'blind no-route', other.detail);
    assert.match(other.detail, /no IPv6 address/);
  }));

const soa = {
  name: 'shop.test.',
  ttl: 1,
  type: 'SOA' as const,
  data: { mname: 'ns.', rname: 'h.', serial: 1, minimum: 1 },
};

async function withResolver(
  respond: Respond,
  work: (server: Nameserver, text: string) => Promise<void>,
): Promise<void> {
  const server = await startNameserver('127.0.0.1', await freePort(), respond);
  try {
    await work(server, `127.0.0.1:${server.port}`);
  } finally {
    await server.close();
  }
}

const only =
  (type: string, ...lines: string[]): Respond =>
  (asked) =>
    asked.type === type ? { answers: lines.map(rr) } : { authorities: [soa] };

test("a path's own resolver is asked anew each time, and what it says decides whose fault it is", async () => {
  const cases: [string, Respond, string][] = [
    ['an address', only('A', 'www.shop.test. 60 A 127.0.0.1'), 'pass ok'],
    [
      'a chain in one reply',
      only(
        'A',
        'www.shop.test. 9 CNAME a.test.',
        'a.test. 9 CNAME B.test.',
        'b.test. 9 A 127.0.0.1',
      ),
      'pass ok',
    ],
    [
      'a chain over two replies',
      (asked) =>
        asked.type !== 'A'
          ? { authorities: [soa] }
          : {
              answers: [
                rr(
                  asked.name === 'a.test.'
                    ? 'a.test. 9 A 127.0.0.1'
                    : 'www.shop.test. 9 CNAME a.test.',
                ),
              ],
            },
      'pass ok',
    ],
    ['no such name', () => ({ rcode: rcode.nxDomain, authorities: [soa] }), 'fail dns'],
    [
      'no such name at the end of the chain',
      () => ({ rcode: rcode.nxDomain, answers: [rr('www.shop.test. 9 CNAME gone.test.')] }),
      'fail dns',
    ],
    ['no address', () => ({ authorities: [soa] }), 'fail dns'],
    ['SERVFAIL', () => ({ rcode: rcode.servFail }), 'blind resolver'],
    [
      'a circle',
      (asked) => ({
        answers: [
          rr(`${asked.name} 9 CNAME ${asked.name === 'a.test.' ? 'www.shop.test.' : 'a.test.'}`),
        ],
      }),
      'fail dns',
    ],
    ['REFUSED', () => ({ rcode: rcode.refused }), 'blind resolver'],
    ['FORMERR', () => ({ rcode: rcode.formErr }), 'blind resolver'],
    [
      'a referral',
      () => ({ authoritative: false, authorities: [rr('test. 9 NS ns.test.')] }),
      'blind resolver',
    ],
    ['nonsense', () => [Buffer.from('this is no message')], 'blind resolver'],
    ['silence', () => null, 'blind resolver'],
  ];
  await withParts([startHttpProxy(), startSocks()], async (proxy, socks) => {
    for (const [what, respond, expected] of cases) {
      await withResolver(respond, async (server, text) => {
        const resolver = [text];
        const paths: PathSpec[] = [
          { ...direct, kind: 'direct', localAddress: null, resolver },
          { ...direct, kind: 'direct', localAddress: '127.0.0.1', resolver },
          httpPath(proxy!.port, { resolver }),
          socksPath(socks!.port, { resolver }),
        ];
        for (const path of paths) {
          server.asked.length = 0;
          const settings = { http: `http://www.shop.test:${target.http}/` };
          const quick = expected === 'blind resolver' ? 300 : 10_000;
          const result = await ask('http', settings, path, quick);
          assert.equal(words(result), expected, `${what} by ${path.kind}: ${result.detail}`);
          assert.ok(server.asked.length > 0 && server.asked.every((asked) => asked.recurse), what);
          const isUdp = path.kind === 'direct' && path.localAddress === null;
          assert.ok(
            server.asked.every(({ via }) => (via === 'udp') === isUdp),
            what,
          );
          if (result.outcome !== 'blind') assert.equal(typeof result.phases.dnsMs, 'number');
        }
      });
    }
  });
});

test('of several resolvers the next is asked, and one family does not wait for the other', () =>
  withResolver(
    (asked) => (asked.type === 'A' ? { answers: [rr('www.shop.test. 9 A 127.0.0.1')] } : null),
    async (server, text) => {
      const silent = await startNameserver('127.0.0.1', await freePort(), () => null);
      try {
        const refusing = `127.0.0.1:${await closedPort()}`;
        const resolver = [refusing, `127.0.0.1:${silent.port}`, text];
        const path: PathSpec = { ...direct, kind: 'direct', localAddress: null, resolver };
        const settings = { http: `http://www.shop.test:${target.http}/` };
        const result = await ask('http', settings, path, 3000);
        assert.equal(words(result), 'pass ok', result.detail);
        assert.ok(server.asked.length > 0 && silent.asked.length > 0);
        const failing: PathSpec = { ...path, resolver: [`127.0.0.1:${silent.port}`] };
        server.respond = () => ({ rcode: rcode.servFail });
        const one = { ...path, resolver: [`127.0.0.1:${silent.port}`, text] };
        assert.equal(words(await ask('http', settings, one, 1000)), 'blind resolver');
        assert.equal(words(await ask('http', settings, failing, 300)), 'blind resolver');
      } finally {
        await silent.close();
      }
    },
  ));

test("SERVFAIL and silence are the origin's own while its path resolves another name", async () => {
  const web = (host: string) => ({ http: `http://${host}:${target.http}/` });
  await withParts([startHttpProxy(), startSocks()], async (proxy, socks) => {
    for (const trouble of ['SERVFAIL', 'silence']) {
      const broken: Respond = () => (trouble === 'silence' ? null : { rcode: rcode.servFail });
      const well = only('A', 'www.shop.test. 0 A 127.0.0.1');
      const mixed: Respond = (asked, build) =>
        (asked.name === 'www.shop.test.' ? well : broken)(asked, build);
      await withResolver(mixed, async (server, text) => {
        const resolver = [text];
        const lookup = createLookup(
          machine('127.0.0.1', server.port), // the same servers as the system's own
        );
        for (const path of [
          direct,
          { ...direct, kind: 'direct', localAddress: null, resolver } as const,
          { ...direct, kind: 'direct', localAddress: '127.0.0.1', resolver } as const,
          httpPath(proxy!.port, { resolver }),
          socksPath(socks!.port, { resolver }),
        ]) {
          server.respond = mixed;
          const say = async (host: string, timeoutMs = 1500) =>
            words(await ask('http', web(host), path, timeoutMs, calm(), lookup));
          /** A machine that is slow just then hears of the other name too late, and is blind. */
          const patiently = async (host: string) => {
            let said = await say(host);
            for (let ms = 3000; ms <= 12_000 && said === 'blind resolver'; ms *= 2) {
              // One that was heard too late is no witness any more, until it is heard again.
              await say('www.shop.test', ms);
              said = await say(host, ms);
            }
            return said;
          };
          const what = `${trouble} by ${path.kind}`;
          assert.equal(await say('www.shop.test', 12_000), 'pass ok', what);
          assert.equal(await patiently('bad.test'), 'fail dns', what);
          server.respond = broken;
          assert.equal(await say('bad.test'), 'blind resolver', `all names: ${what}`);
        }
      });
    }
  });
});

test('what a path cannot carry is said beforehand, and is blind if it is asked nevertheless', async () => {
  const bb: PathSpec = {
    ...own,
    kind: 'blackbox',
    url: 'http://127.0.0.1:9115',
    module: 'http_2xx',
  };
  const parse = (kind: string, value: unknown) => checkTypes[kind]!.settings.parse(value);
  const dnsUdp = parse('dns', { dns: '192.0.2.53', name: 'www.shop.test' });
  const dnsTcp = parse('dns', { dns: '192.0.2.53', name: 'www.shop.test', transport: 'tcp' });
  const web = (more: object) => parse('http', { http: 'https://a.test/', ...more });
  const key = { env: 'KEY' };
  const sign = { type: 'aws-sigv4', region: 'r', accessKeyId: key, secretAccessKey: key };
  const cases: [string, PathSpec, unknown, RegExp | null][] = [
    ['http', direct, undefined, null],
    ['dns', direct, dnsUdp, null],
    ['dns', httpPath(3128), dnsUdp, /carries no UDP: set transport: tcp/],
    ['dns', socksPath(1080), dnsUdp, /carries no UDP/],
    ['dns', socksPath(1080), dnsTcp, null],
    ['dns', { ...direct, kind: 'direct', localAddress: '192.0.2.1' }, dnsUdp, /localAddress: set/],
    ['dns', { ...direct, kind: 'direct', localAddress: '192.0.2.1' }, dnsTcp, null],
    ['dns', bb, dnsTcp, /http and tcp checks only/],
    ['tls', bb, undefined, /http and tcp checks only/],
    ['http', bb, undefined, null],
    ['http', bb, web({ expect: { status: 204 }, cacheBust: true, host: 'b.test' }), null],
    ['http', bb, web({ headers: { a: 'b' } }), /^headers: .* module decides/],
    ['http', bb, web({ method: 'HEAD' }), /^method: /],
    ['http', bb, web({ sign }), /^sign: /],
    ['http', bb, web({ expect: { body: { text: 'a' } } }), /^expect\.body: /],
    ['tcp', bb, parse('tcp', { tcp: 'a.test:1' }), null],
    ['tcp', bb, parse('tcp', { tcp: 'a.test:1', expect: { text: 'a' } }), /^expect\.text: /],
    ['tcp', httpPath(3128), parse('tcp', { tcp: 'a.test:1' }), /before it is, .*: add expect/],
    ['tcp', socksPath(1080), parse('tcp', { tcp: 'a.test:1', send: 'hi' }), /add expect/],
    ['tcp', socksPath(1080), parse('tcp', { tcp: 'a.test:1', expect: { text: 'a' } }), null],
    ['tcp', direct, parse('tcp', { tcp: 'a.test:1' }), null],
    ['http', { ...bb, resolver: ['192.0.2.53'] }, undefined, /far end: leave resolver out/],
    [
      'http',
      { ...direct, resolver: ['ns.test'] },
      undefined,
      /resolver ns\.test: expected an address/,
    ],
    ['http', { ...direct, kind: 'direct', localAddress: 'eth0' }, undefined, /localAddress eth0/],
    ['http', httpPath(1, { url: 'socks5://a.test' }), undefined, /such as http:\/\/proxy/],
    ['http', socksPath(1, { url: 'http://a.test' }), undefined, /such as socks5:/],
    ['http', httpPath(1, { url: 'http://u:geheim@a.test' }), undefined, /secrets are never/],
    ['http', httpPath(1, { url: 'http://a.test/x' }), undefined, /more than its address/],
    ['http', { ...bb, url: 'http://a.test/prober' }, undefined, null],
    ['http', { ...bb, url: 'http://a.test/?a' }, undefined, /more than its address/],
    ['http', httpPath(1, { url: 'geheim' }), undefined, /expected one such as/],
  ];
  for (const [kind, path, settings, expected] of cases) {
    const problem = pathProblem(kind, path, settings);
    if (expected === null) assert.equal(problem, null);
    else {
      assert.match(problem ?? 'none', expected);
      assert.doesNotMatch(problem ?? '', /geheim/);
    }
  }
  const asked = await ask('dns', { dns: '127.0.0.1', name: 'www.shop.test' }, httpPath(1));
  assert.equal(words(asked), 'blind path');
  assert.match(asked.detail, /carries no UDP/);
});

test('probes that are called off while a path is still being made leave nothing at either end', () =>
  withParts(
    [startHttpProxy({ odd: () => null }), startSocks({ odd: () => null })],
    async (proxy, socks) => {
      for (const path of [httpPath(proxy!.port), socksPath(socks!.port)]) {
        const part = path.kind === 'proxy' ? proxy! : socks!;
        const calling = new AbortController();
        const asked = Array.from({ length: 20 }, () =>
          ask(...asks()[1]!, path, 60_000, calling.signal),
        );
        await until(() => part.open() === 20, 'all are waiting for the proxy');
        calling.abort();
        for (const result of await Promise.all(asked)) {
          assert.equal(words(result), 'blind aborted');
        }
        await until(() => part.open() === 0, 'the proxy holds nothing');
      }
    },
  ));
