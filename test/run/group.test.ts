// Three daemons of the built program over a real etcd, on loopback: an order at any of them, the one
// who acts killed, and another that acts in its place; a node that is alone loads none of that code.
// Times are printed and bounded by the lease; conditions decide.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { StatusView } from '../../src/core/view.ts';
import type { Histories, Peers } from '../../src/ports.ts';
import { together } from '../../src/run/group.ts';
import { freePort } from '../parts/bind.ts';
import { call, mustCall } from '../parts/daemon.ts';
import { type Etcd, startEtcd, withoutEtcd } from '../parts/etcd.ts';
import {
  cnameAt,
  main,
  type RunningLab,
  startDaemon,
  startLabProgram,
  stopChild,
  until,
} from '../parts/program.ts';

const www = 'www.gslb.example.net';
const TTL_MS = 3_000;
const names = ['hz-1', 'nrt-1', 'syd-1'] as const;

class Daemon {
  readonly name: string;
  readonly config: string;
  readonly socket: string;
  run: ReturnType<typeof startDaemon> | null = null;

  constructor(name: string, directory: string, text: string) {
    this.name = name;
    this.config = join(directory, `${name}.yaml`);
    this.socket = join(directory, `${name}.sock`);
    const own = text
      .replace(/^stateDir: .*$/m, `stateDir: "${join(directory, `state-${name}`)}"`)
      .replace(/^socket: .*$/m, `socket: "${this.socket}"`)
      .replace(/^listen: .*$/m, 'listen: off');
    writeFileSync(this.config, own);
  }

  start(): void {
    this.run = startDaemon(this.config, '--replica', this.name);
  }

  status(): Promise<StatusView | null> {
    return call<StatusView>(this.socket, 'GET', '/v1/status');
  }

  /** The command line at this daemon's socket. */
  cli(...argv: readonly string[]): { status: number | null; said: string } {
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...argv], {
      encoding: 'utf8',
      timeout: 60_000,
      env: { ...process.env, DETOUR_SOCKET: this.socket },
    });
    return { status, said: stdout + stderr };
  }

  async order(body: object, id: string): Promise<{ exit: number; message: string }> {
    return mustCall(this.socket, 'POST', `/v1/command?id=${id}`, { by: 'ann', ...body }, 25_000);
  }
}

/** The lab's configuration as one of a group of three over this etcd. */
async function groupConfig(lab: RunningLab, etcd: Etcd, directory: string): Promise<string> {
  const files = { ca: etcd.ca, cert: etcd.cert, key: etcd.key };
  for (const [name, pem] of Object.entries(files)) {
    writeFileSync(join(directory, `etcd-${name}.pem`), pem, { mode: 0o600 });
  }
  const password = join(directory, 'etcd-password');
  writeFileSync(password, etcd.user.password, { mode: 0o600 });
  const ports = await Promise.all(names.map(() => freePort()));
  const replicas = names.map((name, i) => `  ${name}: { address: "127.0.0.1:${ports[i]}" }\n`);
  return `${readFileSync(lab.ready.config, 'utf8')}
replicas:
${replicas.join('')}
group:
  etcd:
    endpoints: ${JSON.stringify(etcd.endpoints)}
    ca: "${join(directory, 'etcd-ca.pem')}"
    cert: "${join(directory, 'etcd-cert.pem')}"
    key: "${join(directory, 'etcd-key.pem')}"
    username: ${etcd.user.name}
    password: { file: "${password}" }
    prefix: detour/
    ttl: ${TTL_MS / 1000}s
`;
}

interface Stage {
  readonly lab: RunningLab;
  readonly etcd: Etcd;
  readonly daemons: readonly Daemon[];
}

async function staged(play: (stage: Stage) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'detour-group-'));
  const lab = await startLabProgram('--no-daemon');
  const etcd = await startEtcd({ members: 1 });
  const text = await groupConfig(lab, etcd, directory);
  const daemons = names.map((name) => new Daemon(name, directory, text));
  try {
    for (const daemon of daemons) daemon.start();
    await play({ lab, etcd, daemons });
  } catch (error) {
    const logs = daemons.map(({ name, run }) => {
      return `--- ${name}\n${run?.err()}\n${run?.out().slice(-4_000)}`;
    });
    throw new Error(logs.join('\n'), { cause: error });
  } finally {
    await Promise.all(daemons.map(({ run }) => (run === null ? null : stopChild(run.child))));
    await etcd.stop();
    await lab.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

async function actorOf(daemons: readonly Daemon[]): Promise<Daemon | null> {
  const views = await Promise.all(daemons.map((daemon) => daemon.status()));
  const acting = daemons.filter((_, i) => views[i]?.group?.role === 'acts');
  assert.ok(acting.length <= 1, `${acting.map(({ name }) => name)} act at one time`);
  return acting[0] ?? null;
}

async function steady(daemons: readonly Daemon[], target: string): Promise<void> {
  for (const daemon of daemons) {
    await until(`${daemon.name} shows ${target} everywhere`, 60_000, async () => {
      const view = await daemon.status();
      const record = view?.records.find(({ name }) => name.startsWith(www));
      const seen = view?.origins.every(({ health }) => health !== 'unknown');
      const isThere = record?.providers.every(({ stage }) => stage === 'visible');
      return record?.target === target && seen === true && isThere === true;
    });
  }
}

test('three daemons over etcd: any door, one actor, and another within the lease', {
  skip: withoutEtcd,
}, async (t) => {
  await staged(async ({ lab, daemons }) => {
    await until('one acts', 60_000, async () => (await actorOf(daemons)) !== null);
    await steady(daemons, 'hangzhou');
    const first = (await actorOf(daemons))!;
    const others = daemons.filter((one) => one !== first);

    // By hand, at one that does not act, said twice.
    const order = { kind: 'switch', record: www, target: 'tokyo', reason: 'a drill' };
    const body = { ...order, forMs: 60_000, force: false, dryRun: false };
    const began = performance.now();
    const replies = await Promise.all(others.map((one) => one.order(body, 'order-0001')));
    t.diagnostic(`said at two followers: answered in ${Math.round(performance.now() - began)} ms`);
    for (const { exit, message } of replies) assert.equal(exit, 0, message);
    await steady(daemons, 'tokyo');
    const view = (await others[0]!.status())!;
    const record = view.records.find(({ name }) => name.startsWith(www))!;
    assert.equal(record.epoch, 2, 'said twice, done once');
    assert.match(record.pin?.by ?? '', / at /);
    // At the terminal of one that does not act, followed until it is visible there.
    for (const to of ['hangzhou', 'tokyo']) {
      const { status, said } = others[1]!.cli('switch', www, to, '--reason', 'a drill', '--yes');
      assert.equal(status, 0, said);
    }
    const look = others[1]!.cli('unpin', www, '--dry-run');
    assert.match(look.said, new RegExp(`as ${others[1]!.name} sees it, which does not act`));
    for (const one of daemons) await one.order({ kind: 'unpin', record: www }, `unpin-${one.name}`);

    // The one who acts dies, and then the origin.
    first.run!.child.kill('SIGKILL');
    const killed = performance.now();
    lab.lab('break', 'origin', 'tokyo');
    await until('another acts', TTL_MS + 1_500, async () => (await actorOf(others)) !== null);
    t.diagnostic(`another acts after ${Math.round(performance.now() - killed)} ms`);
    await steady(others, 'hangzhou');
    const vendors = Object.entries(lab.ready.vendors);
    for (const [vendor, { dns }] of vendors) {
      assert.equal(await cnameAt(dns, www), 'hz.shop.example', vendor);
    }
    const second = (await actorOf(others))!;
    const history = await mustCall<Histories>(
      second.socket,
      'GET',
      '/v1/history?all=true&limit=10000',
    );
    const moves = history.entries.filter(
      ({ kind, record: of }) => kind === 'switch' && of?.startsWith(www),
    );
    assert.equal(moves.filter(({ sentence }) => /tokyo is down/.test(sentence)).length, 1);
    assert.ok(history.silent.some(({ replica }) => replica === first.name));

    // It comes back, follows, and takes over at once when the other yields.
    first.start();
    await steady(daemons, 'hangzhou');
    const given = performance.now();
    const yielded = await first.order({ kind: 'yield' }, 'yield-0001');
    assert.equal(yielded.exit, 0, yielded.message);
    await until('another than the one who yielded acts', TTL_MS - 500, async () => {
      const now = await actorOf(daemons);
      return now !== null && now !== second;
    });
    t.diagnostic(`handed over in ${Math.round(performance.now() - given)} ms`);
  });
});

/** Writes the address of each file that is loaded, and the sources in it, to the end of a file. */
function watchLoading(file: string): string {
  const text = `import { registerHooks } from 'node:module';
import { appendFileSync } from 'node:fs';
registerHooks({ load(url, context, next) {
  const loaded = next(url, context);
  const sources = String(loaded.source ?? '').match(/^\\/\\/ src\\/.*$/gm) ?? [];
  appendFileSync(${JSON.stringify(file)}, [url, ...sources, ''].join('\\n'));
  return loaded;
} });`;
  return `data:text/javascript,${encodeURIComponent(text)}`;
}

test('a node that is alone loads nothing of a group', async () => {
  const lab = await startLabProgram('--no-daemon');
  const loaded = join(lab.directory, 'loaded.txt');
  const args = ['--import', watchLoading(loaded), main, 'run', '-c', lab.ready.config, '--json'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  try {
    await until('it runs', 60_000, () => lab.cli('status').status === 0);
    const modules = readFileSync(loaded, 'utf8');
    assert.match(modules, /\/\/ src\/run\/daemon\.ts/);
    assert.match(modules, /\/\/ src\/cluster\/single\.ts/);
    const ofGroup = /\/\/ src\/(?:run\/(?:group|elapsed)|cluster\/(?!single|keyring)\w+)\.ts/;
    assert.doesNotMatch(modules, ofGroup);
  } finally {
    await stopChild(child);
    await lab.stop();
  }
});

test('the journals of a group are one, the newest first, and who is silent is named', async () => {
  const entry = { kind: 'stay', record: null, sentence: 's', data: {}, at: 0 } as const;
  const own = [
    { ...entry, seq: 9, wall: 30 },
    { ...entry, seq: 8, wall: 10 },
  ];
  const peers: Peers = {
    ask: async (replica, query) => {
      assert.deepEqual(query, { record: www, limit: 3 });
      if (replica === 'syd-1') return { ok: false, why: 'it has not answered' };
      return { ok: true, entries: [40, 20, 5].map((wall, i) => ({ ...entry, seq: 7 - i, wall })) };
    },
  };
  const of = { self: 'hz-1', others: ['nrt-1', 'syd-1'] };
  const { entries, silent } = await together(peers, of, own, { record: www, limit: 3 });
  assert.deepEqual(
    entries.map(({ replica, seq }) => `${replica} ${seq}`),
    ['nrt-1 7', 'hz-1 9', 'nrt-1 6'],
  );
  assert.deepEqual(silent, [{ replica: 'syd-1', why: 'it has not answered' }]);
});
