// The main job, end to end, with the built program: a cloud is killed in the lab and the answer is
// asked of all three vendors' DNS until it has changed; a vendor is stuck; the daemon is dead and
// the switch is made directly; and once on real parts alone, nginx and BIND, with nothing of the
// lab. Times are printed, conditions decide.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { z } from 'zod';
import { documents } from '../../src/cli/schema.ts';
import type { StatusView } from '../../src/core/view.ts';
import { newKey, startBind, withoutBind } from '../parts/bind.ts';
import {
  cnameAt,
  type RunningLab,
  socketOf,
  startDaemon,
  startLabProgram,
  stopChild,
  until,
} from '../parts/program.ts';

const www = 'www.gslb.example.net';
const standby = 'nrt.shop.example';

/** Waits until every vendor's DNS gives a name; the milliseconds each took. */
async function everywhere(lab: RunningLab, name: string, value: string, only?: string[]) {
  const vendors = Object.entries(lab.ready.vendors).filter(([v]) => only?.includes(v) ?? true);
  const times = vendors.map(async ([vendor, { dns }]) => {
    const ms = await until(`${vendor} gives ${value}`, 30_000, async () => {
      return (await cnameAt(dns, name)) === value;
    });
    return [vendor, Math.round(ms)] as const;
  });
  return Object.fromEntries(await Promise.all(times));
}

function statusOf(lab: RunningLab): StatusView {
  const done = lab.cli('status', '--json');
  assert.equal(done.status, 0, done.stderr);
  return JSON.parse(done.stdout) as StatusView;
}

function recordOf(lab: RunningLab) {
  const view = statusOf(lab);
  return (view.records ?? [view]).find((r) => r.name === www)!;
}

async function steady(lab: RunningLab, target: string): Promise<void> {
  await until(`${www} is steady on ${target}`, 60_000, () => {
    const r = recordOf(lab);
    const up = statusOf(lab).origins.every((o) => o.health !== 'unknown');
    return r.target === target && up && r.providers.every((p) => p.stage === 'visible');
  });
}

for (const how of ['refuse', 'hang'] as const) {
  test(`a cloud that dies (${how}) takes the name to the standby at three vendors`, async (t) => {
    const lab = await startLabProgram();
    try {
      await steady(lab, 'hangzhou');
      lab.lab('break', 'cloud', lab.ready.clouds[0]!, '--how', how);
      const times = await everywhere(lab, www, standby);
      t.diagnostic(`${how}: milliseconds after the break command: ${JSON.stringify(times)}`);
      await steady(lab, 'tokyo');
      const history = lab.cli('history', '--json').stdout;
      assert.match(history, /hangzhou is down/);
      for (const name of ['status', 'history', 'audit', 'reload'] as const) {
        const document = JSON.parse(lab.cli(name, '--json').stdout);
        const shaped = documents[name].safeParse(document);
        assert.ok(shaped.success, `${name}: ${shaped.error && z.prettifyError(shaped.error)}`);
      }
      const metrics = await (await fetch(lab.ready.metrics)).text();
      assert.match(metrics, /detour_switches_total\{[^}]*www[^}]*kind="auto"[^}]*\} 1/);
    } finally {
      await lab.stop();
    }
  });
}

test('a vendor that is stuck delays nobody, and follows when it thaws', async (t) => {
  const lab = await startLabProgram();
  try {
    await steady(lab, 'hangzhou');
    lab.lab('break', 'vendor', 'route53', '--how', 'hang');
    lab.lab('break', 'origin', 'hangzhou');
    const times = await everywhere(lab, www, standby, ['cloudflare', 'alidns']);
    t.diagnostic(`the others: ${JSON.stringify(times)}`);
    await until('status shows the difference', 10_000, () => {
      const behind = recordOf(lab).providers.find((p) => p.provider === 'r53')!;
      return behind.stage === 'decided' && behind.problem !== null;
    });
    assert.equal(await cnameAt(lab.ready.vendors['route53']!.dns, www), 'hz.shop.example');
    lab.lab('heal', 'vendor', 'route53');
    const thawed = await everywhere(lab, www, standby, ['route53']);
    t.diagnostic(`route53 after the thaw: ${thawed['route53']} ms`);
    await steady(lab, 'tokyo');
  } finally {
    await lab.stop();
  }
});

test('switch --direct works with no daemon, and a daemon that comes back keeps it', async () => {
  const lab = await startLabProgram('--no-daemon');
  let daemon = startDaemon(lab.ready.config);
  try {
    await until('the daemon answers', 30_000, () => lab.cli('status').status === 0);
    await steady(lab, 'hangzhou');
    await stopChild(daemon.child, 'SIGKILL');
    const args = ['--direct', '-c', lab.ready.config, '--reason', 'drill', '--for', '1h', '--yes'];
    await until('a machine with time for the probe', 60_000, () => {
      const { status, stdout, stderr } = lab.cli('switch', www, 'tokyo', ...args);
      // A busy machine is blind and refuses before anything is written: then once more.
      if (status !== 1 || !`${stdout}${stderr}`.includes('too many probes for this machine')) {
        assert.equal(status, 0, stdout + stderr);
        return true;
      }
      return false;
    });
    await everywhere(lab, www, standby);
    daemon = startDaemon(lab.ready.config);
    await until('the daemon answers again', 30_000, () => lab.cli('status').status === 0);
    await steady(lab, 'tokyo');
    const record = recordOf(lab);
    assert.equal(record.pin?.target, 'tokyo');
    assert.equal(record.switchKind, 'operator');
    assert.ok(record.epoch >= 2);
  } finally {
    await stopChild(daemon.child);
    await lab.stop();
  }
});

const nginx = '/usr/sbin/nginx';
const withoutNginx =
  !existsSync(nginx) && !process.env['CI'] ? 'nginx is not installed' : withoutBind;

test('real parts: nginx is killed and BIND gives the standby', {
  skip: withoutNginx,
}, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'detour-real-'));
  const key = newKey('detour');
  const bind = await startBind({
    keys: [key],
    zones: [
      { name: 'gslb.example.net.', records: ['www 60 IN CNAME a.shop.example.'] },
      { name: 'shop.example.', records: ['a 60 IN A 127.0.0.1', 'b 60 IN A 127.0.0.1'] },
    ],
  });
  const servers = await Promise.all(['a', 'b'].map((name) => startNginx(directory, name)));
  const config = join(directory, 'detour.yaml');
  await writeFile(join(directory, 'tsig'), key.secret, { mode: 0o600 });
  await writeFile(
    config,
    realConfig(
      directory,
      bind,
      key,
      servers.map((s) => s.port),
    ),
  );
  const daemon = startDaemon(config);
  try {
    const server = `${bind.address}:${bind.port}`;
    await until('adopted, and both origins up', 60_000, () => {
      if (daemon.child.exitCode !== null) throw new Error(daemon.err() + daemon.out());
      return (
        /visible everywhere/.test(daemon.out()) && (daemon.out().match(/-> up/g) ?? []).length > 1
      );
    });
    servers[0]!.child.kill('SIGKILL');
    const ms = await until('BIND gives the standby', 30_000, async () => {
      return (await cnameAt(server, www)) === 'b.shop.example';
    });
    t.diagnostic(`nginx killed: BIND gave the standby after ${Math.round(ms)} ms`);
    assert.match(daemon.out(), /www\.gslb\.example\.net\.: a -> b: a is down/);
  } finally {
    await stopChild(daemon.child);
    await Promise.all(servers.map((s) => stopChild(s.child)));
    await bind.stop();
    await rm(directory, { recursive: true, force: true });
  }
});

async function startNginx(directory: string, name: string) {
  const home = join(directory, name);
  await mkdir(home);
  for (let attempt = 0; attempt < 10; attempt++) {
    const port = 20_000 + Math.floor(Math.random() * 20_000);
    const text =
      `daemon off; master_process off; pid ${home}/pid; error_log ${home}/error.log;\n` +
      `events {}\nhttp { access_log off; client_body_temp_path ${home}; proxy_temp_path ${home};\n` +
      `fastcgi_temp_path ${home}; uwsgi_temp_path ${home}; scgi_temp_path ${home};\n` +
      `server { listen 127.0.0.1:${port}; location / { return 200 "ok ${name}"; } } }\n`;
    await writeFile(join(home, 'nginx.conf'), text);
    const args = ['-p', home, '-c', join(home, 'nginx.conf'), '-e', join(home, 'error.log')];
    const child = spawn(nginx, args, { stdio: 'ignore' });
    try {
      await until(`nginx ${name}`, 5000, async () => {
        if (child.exitCode !== null) throw new Error('the port is taken');
        return fetch(`http://127.0.0.1:${port}/`).then(
          (r) => r.ok,
          () => false,
        );
      });
      return { child, port };
    } catch {
      await stopChild(child);
    }
  }
  throw new Error('nginx did not start');
}

function realConfig(
  directory: string,
  bind: { address: string; port: number },
  key: { name: string; algorithm: string },
  ports: readonly number[],
): string {
  const server = `${bind.address}:${bind.port}`;
  return `cluster: real
stateDir: ${join(directory, 'state')}
socket: ${socketOf(directory)}
listen: off
providers:
  own:
    type: rfc2136
    server: "${server}"
    zone: gslb.example.net
    nameservers: ["${server}"]
    tsig: { name: ${key.name}, algorithm: ${key.algorithm}, secret: { file: ${join(directory, 'tsig')} } }
dns: { port: ${bind.port}, roots: ["${server}"] }
clouds: { one: {}, two: {} }
origins:
  a: { cloud: one, checks: { web: { http: "http://127.0.0.1:${ports[0]}/" } } }
  b: { cloud: two, checks: { web: { http: "http://127.0.0.1:${ports[1]}/" } } }
records:
  www.gslb.example.net:
    mode: steer
    ttl: 60
    publish: [own]
    targets: [{ origin: a, cname: a.shop.example }, { origin: b, cname: b.shop.example }]
policy: { interval: 1s, timeout: 1s, confirm: 250ms, fall: 3, rise: 2, patience: 0s }
`;
}
