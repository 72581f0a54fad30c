// Two name servers of one's own, end to end: one zone at both, and the zone's NS set names both. One
// is dead, and the other is judged by itself; somebody without the key sits on the way to one of
// them, and nothing moves by what he says. Conditions decide, never times.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Answer } from 'dns-packet';
import { formatMarker } from '../../src/core/marker.ts';
import type { Marker, Reply } from '../../src/core/model.ts';
import type { StatusView } from '../../src/core/view.ts';
import { type Bind, freePort, newKey, startBind, withoutBind } from '../parts/bind.ts';
import { status } from '../parts/daemon.ts';
import { type Forge, type Forger, startForger } from '../parts/forger.ts';
import { rr } from '../parts/nameserver.ts';
import {
  cnameAt,
  collect,
  main,
  socketOf,
  startDaemon,
  stopChild,
  until,
} from '../parts/program.ts';

const www = 'www.gslb.example.net';
const key = newKey('detour');
/** Where the NS set says that the second server is: nobody is there. */
const elsewhere = '127.0.0.21';

const zone = (target: string) => ({
  name: 'gslb.example.net.',
  // Both servers give the whole set, as they should.
  records: ['@ IN NS ns2', `ns2 IN A ${elsewhere}`, `www 60 IN CNAME ${target}.shop.example.`],
});
const shop = {
  name: 'shop.example.',
  records: ['a 60 IN A 127.0.0.1', 'b 60 IN A 127.0.0.1'],
};

/** One world of a test: two servers, and two origins. */
interface World {
  readonly directory: string;
  readonly config: string;
  readonly own: Bind;
  readonly far: Bind;
  readonly forger: Forger;
  readonly origins: Readonly<Record<string, { isUp: boolean; readonly server: Server }>>;
  readonly close: (() => Promise<void>)[];
}

let world: World;

async function startOrigin(): Promise<{ isUp: boolean; readonly server: Server }> {
  const origin = {
    isUp: true,
    server: createServer((_, response) => {
      if (origin.isUp) response.end('ok');
      else response.destroy();
    }),
  };
  await new Promise<void>((resolve) => origin.server.listen(0, '127.0.0.1', resolve));
  return origin;
}

/** Somebody sits in front of the second server, and lets pass what comes. */
async function build(): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), 'detour-own-'));
  const keys = [key];
  const own = await startBind({ keys, zones: [zone('a'), shop] });
  const far = await startBind({ keys, zones: [zone('a')] });
  const between = { address: '127.0.0.1', port: await freePort() };
  const forger = await startForger(between, far);
  const origins = { a: await startOrigin(), b: await startOrigin() };
  const at = (name: 'a' | 'b') => (origins[name].server.address() as AddressInfo).port;
  await writeFile(join(directory, 'tsig'), key.secret, { mode: 0o600 });
  const config = join(directory, 'detour.yaml');
  const provider = ({ address, port }: { address: string; port: number }) =>
    `{ type: rfc2136, server: "${address}:${port}", tsig: { name: ${key.name}, ` +
    `algorithm: ${key.algorithm}, secret: { file: ${join(directory, 'tsig')} } } }`;
  await writeFile(
    config,
    `cluster: own
stateDir: ${join(directory, 'state')}
socket: ${socketOf(directory)}
listen: off
providers:
  own: ${provider(own)}
  far: ${provider(between)}
dns: { port: ${own.port}, roots: ["127.0.0.1:${own.port}"] }
clouds: { one: {}, two: {} }
origins:
  a: { cloud: one, checks: { web: { http: "http://127.0.0.1:${at('a')}/" } } }
  b: { cloud: two, checks: { web: { http: "http://127.0.0.1:${at('b')}/" } } }
records:
  ${www}:
    mode: steer
    ttl: 60
    publish: [own, far]
    targets: [{ origin: a, cname: a.shop.example }, { origin: b, cname: b.shop.example }]
policy: { interval: 1s, timeout: 1s, confirm: 250ms, fall: 3, rise: 2, patience: 0s }
`,
  );
  const close = [
    async () => void origins.a.server.close(),
    async () => void origins.b.server.close(),
    () => own.stop(),
    () => far.stop(),
    () => forger.close(),
    () => rm(directory, { recursive: true, force: true }),
  ];
  return { directory, config, own, far, forger, origins, close };
}

const gives = ({ address, port }: Bind) => cnameAt(`${address}:${port}`, www);

/** The origins are of this process, which must go on meanwhile. */
async function direct(
  target: string,
): Promise<{ readonly exit: number | null; readonly reply: Reply }> {
  const args = ['switch', www, target, '--direct', '-c', world.config, '--yes', '--json'];
  const all = [main, ...args, '--reason', 'a test', '--adopt'];
  const child = spawn(process.execPath, all, { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = collect(child);
  await until('it ends', 90_000, () => child.exitCode !== null);
  assert.match(said.out(), /^\{/, said.err());
  return { exit: child.exitCode, reply: JSON.parse(said.out()) as Reply };
}

/** Runs the daemon until it is told to end, and whatever the work finds. */
async function withDaemon(work: (look: () => Promise<StatusView>) => Promise<void>) {
  const daemon = startDaemon(world.config);
  try {
    await work(async () => {
      let view: StatusView | null = null;
      await until('the daemon answers', 60_000, async () => {
        if (daemon.child.exitCode !== null) throw new Error(daemon.err() + daemon.out());
        view = await status(socketOf(world.directory));
        return view !== null;
      });
      return view!;
    });
  } finally {
    await stopChild(daemon.child);
  }
}

const placeOf = (view: StatusView, provider: string) =>
  view.records[0]!.providers.find((p) => p.provider === provider)!;

afterEach(async () => {
  for (const close of (world?.close ?? []).splice(0).reverse()) await close();
});

describe('two servers under one NS set, one of them dead', { skip: withoutBind }, () => {
  beforeEach(async () => {
    world = await build();
  });

  test('the daemon: the healthy one is visible by its own word, the dead one is not', async () => {
    await withDaemon(async (look) => {
      let view = await look();
      await until('both are visible', 60_000, async () => {
        view = await look();
        const places = view.records[0]?.providers ?? [];
        return places.length === 2 && places.every((p) => p.stage === 'visible');
      });
      await world.far.stop();
      world.origins['a']!.isUp = false;
      await until('own gives b, and it is seen', 60_000, async () => {
        view = await look();
        const place = placeOf(view, 'own');
        return (await gives(world.own)) === 'b.shop.example' && place.stage === 'visible';
      });
      assert.equal(placeOf(view, 'own').problem, null);
      const dead = placeOf(view, 'far');
      assert.notEqual(dead.stage, 'visible');
      assert.notEqual(dead.cname, 'b.shop.example.', 'it serves nothing of the other’s');
    });
  });

  test('--direct: one has followed, the other not: partly done', async (t) => {
    await world.far.stop();
    const begin = performance.now();
    const { exit, reply } = await direct('b');
    t.diagnostic(`it took ${Math.round(performance.now() - begin)} ms`);
    assert.equal(exit, 3, reply.message);
    assert.match(reply.message, /far did not follow; b is given by own/);
    assert.equal(await gives(world.own), 'b.shop.example');
  });
});

describe('somebody without the key answers for one server', { skip: withoutBind }, () => {
  const high: Marker = {
    ...{ cluster: 'own', epoch: 900, id: 'forged', term: 0, target: 'b' },
    ...{ kind: 'operator', pinned: true, pinMs: null },
  };
  const lines = [
    'gslb.example.net. 60 NS ns1.gslb.example.net',
    `${www}. 60 CNAME b.shop.example`,
  ].map(rr);
  const marked = (marker: Marker): Answer => {
    const data = [Buffer.from(formatMarker(marker))];
    return { name: `_detour.${www}`, ttl: 60, type: 'TXT', data };
  };
  const soa: Answer = {
    ...{ name: 'gslb.example.net', ttl: 60 },
    type: 'SOA',
    data: { mname: 'ns1', rname: 'h', serial: 9, refresh: 1, retry: 1, expire: 1, minimum: 30 },
  };
  const lie: Forge = (name, type) => [
    ...[...lines, marked(high)].filter(
      (r) => `${r.name.replace(/\.$/, '')}.` === name && r.type === type,
    ),
    ...(name === 'gslb.example.net.' && type === 'SOA' ? [soa] : []),
  ];

  beforeEach(async () => {
    world = await build();
  });

  const unmoved = (view: StatusView) => {
    assert.equal(view.records[0]?.target ?? 'a', 'a');
    assert.equal(view.records[0]?.pin ?? null, null);
  };

  test('at a start: nothing moves, and he is named', async () => {
    world.forger.forge = lie;
    await withDaemon(async (look) => {
      let view = await look();
      await until('both ways were tried', 60_000, async () => {
        view = await look();
        unmoved(view);
        return (
          world.forger.forged.tcp > 20 && world.forger.forged.udp > 4 && view.records.length > 0
        );
      });
      await until('it is said why', 60_000, async () => {
        view = await look();
        return /not signed, so it is not believed/.test(JSON.stringify(view));
      });
      unmoved(view);
      assert.equal(await gives(world.own), 'a.shop.example');
    });
  });

  test('in a switch: it goes where it was decided, and the truth is written once heard', async () => {
    await withDaemon(async (look) => {
      await until('all is visible on a', 60_000, async () => {
        const view = await look();
        const places = view.records[0]?.providers ?? [];
        return places.length === 2 && places.every((p) => p.stage === 'visible');
      });
      const epoch = (await look()).records[0]!.epoch;
      // He says that the record is held on the target that is failing.
      const held = { ...high, target: 'a' };
      const text = marked(held);
      const cname = rr(`${www}. 60 CNAME a.shop.example`);
      world.forger.forge = (name, type) =>
        type === 'TXT' && name === `_detour.${www}.`
          ? [text]
          : type === 'CNAME' && name === `${www}.`
            ? [cname]
            : lie(name, type);
      world.origins['a']!.isUp = false;
      await until('own gives b', 60_000, async () => (await gives(world.own)) === 'b.shop.example');
      const before = world.forger.forged.tcp;
      await until('he was asked', 60_000, () => world.forger.forged.tcp > before + 10);
      const { target, pin } = (await look()).records[0]!;
      assert.deepEqual([target, pin], ['b', null]);
      assert.equal(await gives(world.far), 'a.shop.example', 'nothing was written past him');
      world.forger.forge = null;
      await until('the other follows', 60_000, async () => {
        return (await gives(world.far)) === 'b.shop.example';
      });
      assert.equal((await look()).records[0]!.epoch, epoch + 1, 'his epoch counts for nothing');
    });
  });

  test('--direct: what he says is no reading, and the rest is moved', async () => {
    world.forger.forge = lie;
    const { exit, reply } = await direct('b');
    assert.equal(exit, 3, reply.message);
    assert.match(reply.message, /far: cannot be read: .*not signed, so it is not believed/);
    assert.equal(await gives(world.own), 'b.shop.example');
    assert.equal(await gives(world.far), 'a.shop.example');
  });
});
