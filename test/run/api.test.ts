// The control API as the configuration has it: its files and secrets, what becomes of them when they
// change, what a reload does to the door; and the command line that comes through it.

import assert from 'node:assert/strict';
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import { connect } from 'node:tls';
import type { Hands, Io } from '../../src/cli/hands.ts';
import { runCli } from '../../src/cli/index.ts';
import type { Config } from '../../src/config/config.ts';
import type { Reply } from '../../src/core/model.ts';
import { type ApiDoor, createApiDoor } from '../../src/run/api.ts';
import { signLink } from '../../src/serve/link.ts';
import { Readers } from '../../src/serve/readers.ts';
import { type StandIn, standIn } from '../cli/desk.ts';
import { makeCertificate } from '../parts/certificate.ts';
import { mustCall } from '../parts/daemon.ts';
import { startDaemon, stopChild, until } from '../parts/program.ts';

const directory = mkdtempSync(join(tmpdir(), 'detour-apidoor-'));
after(() => rmSync(directory, { recursive: true, force: true }));
const first = makeCertificate(directory, 'first', ['127.0.0.1']);
const second = makeCertificate(directory, 'second', ['127.0.0.1']);
const skip = first === null ? 'missing: openssl' : false;

const at = (name: string) => join(directory, name);
const write = (name: string, text: string) => {
  writeFileSync(at(`${name}.new`), text, { mode: 0o600 });
  renameSync(at(`${name}.new`), at(name));
};
const generous = { burst: 1e6, perSecond: 1e6 };
const rate = { each: generous, all: generous };
const token = 't'.repeat(40);

let desk: StandIn;
let told: string[];
let door: ApiDoor;
let port: number;

beforeEach(async () => {
  desk = standIn();
  told = [];
  write('token', `${token}\n`);
  if (first === null) return;
  copyFileSync(first.certFile, at('api.crt'));
  copyFileSync(first.keyFile, at('api.key'));
  port = await freePort();
  door = createApiDoor({
    desk,
    readers: new Readers(),
    version: '1.2.3',
    trouble: (what, detail) => void told.push(`${what}: ${detail}`),
    note: () => {},
    rates: { arrivals: rate, known: rate, refusals: rate },
    told: (where, { kind, why }) =>
      void told.push(`${where}: ${kind}${why === null ? '' : ` ${why}`}`),
  });
});
afterEach(() => door?.close());

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

type Wanted = Pick<Config, 'api' | 'clusterKeys' | 'page'>;

const wanted = (more: Partial<NonNullable<Config['api']>> = {}): Wanted => ({
  clusterKeys: [],
  page: 'local',
  api: {
    listen: { host: '127.0.0.1', port },
    ...{ cert: at('api.crt'), key: at('api.key'), names: [], url: null },
    tokens: { ops: { token: { file: at('token') }, role: 'operate' } },
    ...more,
  },
});

function status(path: string, text = token): Promise<number> {
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${text}` };
    const options = {
      host: '127.0.0.1',
      port,
      path,
      agent: false,
      rejectUnauthorized: false,
      headers,
    };
    const asked = request(options, (response) => {
      response.resume().on('end', () => resolve(response.statusCode!));
    });
    asked.on('error', () => resolve(0));
    asked.end();
  });
}

function fingerprint(): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

test('a token is read again when its file changes, and a bad one changes nothing', {
  skip,
}, async () => {
  assert.deepEqual(await door.take(wanted()), []);
  assert.equal(await status('/v1/status'), 200);
  const young = 'y'.repeat(40);
  write('token', young);
  await until(
    'the new one is known',
    5000,
    async () => (await status('/v1/status', young)) === 200,
  );
  assert.equal(await status('/v1/status', token), 401, 'the old one is nobody’s');
  assert.deepEqual(told, ['api: renewed']);
  write('token', 'short');
  await until(
    'it is told',
    5000,
    async () => (await status('/v1/status', young)) === 200 && told.length > 1,
  );
  assert.match(told[1]!, /^api: kept tokens\.ops: a token has 32 to 512/);
  assert.ok(!told.join().includes('short'));
});

test('a certificate is read again when its file changes, once its key is there too', {
  skip,
}, async () => {
  await door.take(wanted());
  const before = await fingerprint();
  copyFileSync(second!.certFile, at('api.crt'));
  await until('half of it is told of', 5000, async () => {
    assert.equal(await fingerprint(), before);
    return told.length > 0;
  });
  assert.match(told[0]!, /^api: kept cert and key cannot be used together/);
  copyFileSync(second!.keyFile, at('api.key'));
  await until('the new one is shown', 5000, async () => (await fingerprint()) !== before);
});

test('what cannot be read refuses the door, and leaves the one that works', { skip }, async () => {
  await door.take(wanted());
  const bad = wanted({
    cert: at('none.crt'),
    tokens: { ops: { token: { file: at('no') }, role: 'read' } },
  });
  await assert.rejects(door.take(bad), ({ message }: Error) => {
    assert.match(message, /api: file .*none\.crt is not there/);
    assert.match(message, /api: file .*no is not there/);
    return true;
  });
  assert.equal(await status('/v1/status'), 200);
  assert.deepEqual(await door.take({ ...wanted(), api: null }), []);
  assert.equal(await status('/v1/status'), 0, 'it is off');
});

test('links are there with a cluster key and a url alone', { skip }, async () => {
  const key = Buffer.alloc(32, 9).toString('base64url');
  write('cluster.key', key);
  const { createKeyring } = await import('../../src/cluster/keyring.ts');
  const { LINK_PURPOSE } = await import('../../src/serve/link.ts');
  const [signing] = createKeyring([key]).derive(LINK_PURPOSE);
  const expiresWall = Date.now() + 60_000;
  const link = signLink(signing!, { id: 'x', channel: 'c', expiresWall, action: 'approve' });
  const clusterKeys = [{ file: at('cluster.key') }];
  await door.take({ ...wanted(), clusterKeys });
  assert.equal(await status(`/v1/link/${link}`, ''), 401, 'no url, no page');
  await door.take({ ...wanted({ url: 'https://detour.test' }), clusterKeys });
  assert.equal(await status(`/v1/link/${link}`, ''), 410, 'signed by us; nothing waits');
});

// ---------------------------------------------------------------- the built daemon

/** A configuration that reaches nobody. */
const configured = (api: string) => `
cluster: shop
stateDir: ${at('state')}
listen: "off"
dns: { roots: ["127.0.0.1"], port: 9 }
providers:
  cf:
    type: cloudflare
    apiToken: { file: ${at('token')} }
    endpoint: http://127.0.0.1:9/client/v4
    nameservers: ["127.0.0.1:9"]
    canary: canary.example.net
drills: { canary: 6h, dry: off }
origins:
  a: { cloud: east, checks: { web: { tcp: "127.0.0.1:9" } } }
  b: { cloud: west, checks: { web: { tcp: "127.0.0.1:9" } } }
records:
  www.example.net:
    publish: [cf]
    targets: [{ origin: a, cname: a.example.com }, { origin: b, cname: b.example.com }]
${api}`;

test('the daemon takes an order by its API once, says by whom, and shuts it on a reload', {
  skip,
}, async () => {
  const api = `api: { listen: "127.0.0.1:${port}", cert: ${at('api.crt')}, key: ${at('api.key')},
    tokens: { ops: { token: { file: ${at('token')} }, role: operate } } }`;
  write('detour.yaml', configured(api));
  const daemon = startDaemon(at('detour.yaml'));
  try {
    await until('the API answers', 20_000, async () => (await status('/v1/alive')) === 200);
    const argv = [
      '--api',
      `https://127.0.0.1:${port}`,
      '--token-file',
      at('token'),
      '--ca',
      at('api.crt'),
    ];
    const body = JSON.stringify({ kind: 'freeze', record: null, reason: 'work', by: 'ann' });
    const twice = [1, 2].map(() =>
      mustCall<Reply>(
        at('state/control.sock'),
        'POST',
        '/v1/command?id=freeze-0001',
        JSON.parse(body),
      ),
    );
    const [one, two] = await Promise.all(twice);
    assert.deepEqual(one, two);
    assert.equal((await cli(['unfreeze', ...argv])).exit, 0);
    assert.equal((await cli(['reload', ...argv])).exit, 0);
    const seen = JSON.parse((await cli(['status', ...argv, '--json'])).out);
    assert.ok(seen.drills.scheduled[0].nextAt, 'it shows what the socket shows');
    const said = JSON.parse((await cli(['history', ...argv, '--json'])).out);
    const entries = said.entries as {
      kind: string;
      sentence: string;
      data: Record<string, unknown>;
    }[];
    const of = (wanted: string) => entries.filter(({ kind }) => kind === wanted);
    assert.equal(of('freeze').length, 1, 'said twice, done once');
    const by = 'ops (api, 127.0.0.1) for ann (unverified)';
    assert.ok(JSON.stringify(of('unfreeze')).includes(by), JSON.stringify(of('unfreeze')));
    assert.ok(JSON.stringify(of('reload')).includes('by ops (api, 127.0.0.1)'));
    assert.match(daemon.out(), /api: ops \(api, 127\.0\.0\.1\): POST \/v1\/command: 200/);
    write('detour.yaml', configured(''));
    const last = await cli(['reload', ...argv]);
    assert.equal(last.exit, 0, 'the door that it shuts answers first');
    await until('it is shut', 20_000, async () => (await status('/v1/alive')) === 0);
    assert.ok(!daemon.out().includes(token) && !daemon.err().includes(token));
  } finally {
    await stopChild(daemon.child);
  }
});

test('without it none of its code is loaded', () => {
  const seen = new Set<string>();
  const look = (path: string) => {
    if (seen.has(path)) return;
    seen.add(path);
    const text = readFileSync(path, 'utf8');
    for (const [, what] of text.matchAll(/^(?:import|export) (?!type )[^;]*?from '([^']+)';/gm)) {
      if (what!.startsWith('.')) look(join(dirname(path), what!));
      else seen.add(what!);
    }
  };
  const src = join(import.meta.dirname, '..', '..', 'src');
  look(join(src, 'run', 'daemon.ts'));
  const here = [...seen].filter((path) =>
    /serve\/(api|press|tokens|meter|openapi)\.ts|zod-openapi/.test(path),
  );
  assert.deepEqual(here, []);
  assert.ok(seen.has(join(src, 'serve', 'routes.ts')) && seen.has('zod'), 'the walk finds what is');
});

// ---------------------------------------------------------------- the command line

async function cli(argv: readonly string[], env: Record<string, string> = {}) {
  let [out, err, exit] = ['', '', -1];
  const io: Io = {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    exit: (code) => {
      exit = code;
    },
    env,
    ...{ user: 'ann', terminal: false, interactive: false, colour: false },
    ...{
      columns: () => 100,
      rows: () => 40,
      confirm: async () => false,
      interrupted: () => () => {},
    },
  };
  await runCli(argv, { version: '1.2.3' } as Hands, io);
  return { out, err, exit };
}

test('commands come through the API as they do through the socket', { skip }, async () => {
  await door.take(wanted());
  const api = [
    '--api',
    `https://127.0.0.1:${port}`,
    '--token-file',
    at('token'),
    '--ca',
    at('api.crt'),
  ];
  const shown = await cli(['status', ...api]);
  assert.deepEqual([shown.exit, shown.err], [0, '']);
  assert.match(shown.out, /www\.gslb\.example\.net/);
  const env = {
    ...{ DETOUR_API: `https://127.0.0.1:${port}`, DETOUR_TOKEN_FILE: at('token') },
    ...{ DETOUR_CA: at('api.crt'), DETOUR_SOCKET: '/nope' },
  };
  const drained = await cli(['drain', 'tokyo', '--reason', 'work'], env);
  assert.deepEqual([drained.exit, drained.out], [0, 'done: drain\n']);
  assert.deepEqual(
    desk.commands.map(({ by }) => by),
    ['ops (api, 127.0.0.1) for ann (unverified)'],
  );
  assert.equal((await cli(['history', ...api, '--json'])).exit, 0);
});

test('what keeps the command line from the API is said with what to do', { skip }, async () => {
  await door.take(wanted());
  const url = `https://127.0.0.1:${port}`;
  const ca = ['--ca', at('api.crt')];
  const says = async (argv: readonly string[], exit: number, sentence: RegExp) => {
    const ran = await cli(['status', ...argv]);
    assert.equal(ran.exit, exit, ran.err);
    assert.match(ran.err, sentence);
    assert.ok(!ran.err.includes(token));
  };
  await says(['--api', url], 2, /name its token with --token-file/);
  await says(['--api', url, '--socket', '/x', '--token-file', at('token')], 2, /name one place/);
  await says(
    ['--api', url, '--token-file', at('absent')],
    2,
    /--token-file: file .*absent is not there/,
  );
  await says(['--api', url, '--token-file', at('token')], 1, /nobody this machine trusts.*--ca/);
  const plain = ['--api', url.replace('https', 'http'), '--token-file', at('token')];
  await says(plain, 2, /expected https:\/\/HOST/);
  write('wrong', 'w'.repeat(40));
  await says(
    ['--api', url, '--token-file', at('wrong'), ...ca],
    1,
    /this wants a token that is known/,
  );
  const nowhere = [
    '--api',
    `https://127.0.0.1:${await freePort()}`,
    '--token-file',
    at('token'),
    ...ca,
  ];
  await says(nowhere, 1, /nobody listens there/);
});
