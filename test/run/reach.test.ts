// A zone in trouble on a name server of one's own, end to end: the built daemon steers records of
// two zones at one BIND, one zone is unloaded, hidden or gone, and an origin dies. The other zone's
// record must move. Times are printed, conditions decide.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { StatusView } from '../../src/core/view.ts';
import { type Bind, type BindZone, newKey, startBind, withoutBind } from '../parts/bind.ts';
import { status } from '../parts/daemon.ts';
import { cnameAt, socketOf, startDaemon, stopChild, until } from '../parts/program.ts';

const well = 'www.gslb.example.net';
const ill = 'www.other.example';
const boundMs = 30_000;

const steered: BindZone = {
  name: 'gslb.example.net.',
  records: ['www 60 IN CNAME a.shop.example.'],
};
const other: BindZone = { name: 'other.example.', records: ['www 60 IN CNAME a.shop.example.'] };
const shop: BindZone = {
  name: 'shop.example.',
  records: ['a 60 IN A 127.0.0.1', 'b 60 IN A 127.0.0.1'],
};

/** What is done to the other zone; a zone that BIND serves already outlives its file. */
const troubles: Readonly<Record<string, (bind: Bind) => Promise<void>>> = {
  none: async () => {},
  deleted: (bind) => bind.reload([steered, shop]),
  async unloaded(bind) {
    await bind.reload([steered, shop]);
    await bind.reload([steered, shop, { ...other, trouble: 'unloaded' }]);
  },
  hidden: (bind) => bind.reload([steered, shop, { ...other, trouble: 'hidden' }]),
};

let directory: string;
let bind: Bind | undefined;
let config: string;
const origins = new Map<string, { readonly server: Server; isUp: boolean }>();

async function startOrigin(name: string): Promise<number> {
  const server = createServer((_, response) => {
    if (origins.get(name)!.isUp) response.end('ok');
    else response.destroy();
  });
  origins.set(name, { server, isUp: true });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

before(async () => {
  if (withoutBind) return;
  directory = await mkdtemp(join(tmpdir(), 'detour-reach-'));
  const key = newKey('detour');
  bind = await startBind({ keys: [key], zones: [steered, other, shop] });
  const [a, b] = [await startOrigin('a'), await startOrigin('b')];
  const server = `${bind.address}:${bind.port}`;
  const secret = join(directory, 'tsig');
  await writeFile(secret, key.secret, { mode: 0o600 });
  config = join(directory, 'detour.yaml');
  const record = `mode: steer
    ttl: 60
    publish: [own]
    targets: [{ origin: a, cname: a.shop.example }, { origin: b, cname: b.shop.example }]`;
  await writeFile(
    config,
    `cluster: reach
stateDir: ${join(directory, 'state')}
socket: ${socketOf(directory)}
listen: off
providers:
  own:
    type: rfc2136
    server: "${server}"
    nameservers: ["${server}"]
    tsig: { name: ${key.name}, algorithm: ${key.algorithm}, secret: { file: ${secret} } }
dns: { port: ${bind.port}, roots: ["${server}"] }
clouds: { one: {}, two: {} }
origins:
  a: { cloud: one, checks: { web: { http: "http://127.0.0.1:${a}/" } } }
  b: { cloud: two, checks: { web: { http: "http://127.0.0.1:${b}/" } } }
records:
  ${well}:
    ${record}
  ${ill}:
    ${record}
policy: { interval: 1s, timeout: 1s, confirm: 250ms, fall: 3, rise: 2, patience: 0s }
`,
  );
});

after(async () => {
  for (const { server } of origins.values()) server.close();
  await bind?.stop();
  if (directory) await rm(directory, { recursive: true, force: true });
});

for (const [how, sicken] of Object.entries(troubles)) {
  test(`an origin dies on BIND while the other zone is in trouble: ${how}`, {
    skip: withoutBind,
  }, async (t) => {
    await bind!.reload([steered, shop, other]);
    for (const origin of origins.values()) origin.isUp = true;
    await rm(join(directory, 'state'), { recursive: true, force: true });
    const daemon = startDaemon(config);
    try {
      let view: StatusView | null = null as StatusView | null;
      await until('both are visible, and both origins up', 60_000, async () => {
        if (daemon.child.exitCode !== null) throw new Error(daemon.err() + daemon.out());
        view = await status(socketOf(directory));
        if (view === null || view.records.length === 0) return false;
        const stages = view.records.flatMap((r) => r.providers.map((p) => p.stage));
        const isUp = view.origins.every((o) => o.health === 'up');
        return isUp && stages.every((stage) => stage === 'visible');
      });
      const on = view!.records[0]!.target!;
      await sicken(bind!);
      origins.get(on)!.isUp = false;
      const standby = `${on === 'a' ? 'b' : 'a'}.shop.example`;
      const server = `${bind!.address}:${bind!.port}`;
      const ms = await until(`BIND gives ${standby} for ${well}`, boundMs, async () => {
        return (await cnameAt(server, well)) === standby;
      });
      t.diagnostic(`the other zone ${how}: BIND gave the standby after ${Math.round(ms)} ms`);
      if (how !== 'none') assert.notEqual(await cnameAt(server, ill), standby);
    } finally {
      await stopChild(daemon.child);
    }
  });
}
