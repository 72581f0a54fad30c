// What the benches of steering share: pairs of origins on loopback that can be hurt and heal, and
// the built daemon that steers one record a pair at a real BIND (RFC 2136), as a user would run it.
// Bounded in number and time by whoever uses it; everything ends with `stop`.

import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { newKey, startBind } from '../parts/bind.ts';
import { main, socketOf, startDaemon, stopChild, until } from '../parts/program.ts';
import { Origin } from './origin.ts';
import type { Peer, Resource } from './peers.ts';

export interface Pairs {
  readonly resources: readonly Resource[];
  readonly port: number;
  readonly origins: ReadonlyMap<string, Origin>;
  requests(): number;
  close(): void;
}

/** Pairs of origins in 127.NET.0.0/16, all on one port: the given one, or any that is free. */
export async function openPairs(net: number, count: number, port = 0): Promise<Pairs> {
  const origins = new Map<string, Origin>();
  let listening = port;
  const resources: Resource[] = [];
  for (let i = 0; i < count; i++) {
    const addresses = [`127.${net}.${i}.1`, `127.${net}.${i}.2`] as const;
    for (const address of addresses) {
      const origin = new Origin(address, listening);
      listening = await origin.listen();
      origins.set(address, origin);
    }
    resources.push({ name: `r${i}`, addresses });
  }
  const all = [...origins.values()];
  return {
    resources,
    port: listening,
    origins,
    requests: () => all.reduce((sum, one) => sum + one.requests, 0),
    close: () => {
      for (const one of all) one.close();
    },
  };
}

/** The daemon over three independent paths, as its policy says; its records are rN.gslb.test. */
export async function startSteered(
  pairs: Pairs,
  how: {
    readonly ttlSeconds: number;
    readonly policy?: string;
    /** Every record is prepared, and caches hold nothing longer, before it is given back. */
    readonly prepared?: boolean;
  },
): Promise<Peer & { readonly dns: number }> {
  const directory = await mkdtemp(join(tmpdir(), 'detour-bench-'));
  const key = newKey('detour');
  const { resources, port } = pairs;
  const ttl = how.ttlSeconds;
  const bind = await startBind({
    keys: [key],
    zones: [
      {
        name: 'gslb.test.',
        records: resources.map(({ name }) => `${name} ${ttl} IN CNAME ${name}-a.shop.test.`),
        minimum: 1,
      },
      {
        name: 'shop.test.',
        records: resources.flatMap(({ name, addresses: [a, b] }) => [
          `${name}-a 60 IN A ${a}`,
          `${name}-b 60 IN A ${b}`,
        ]),
      },
    ],
  });
  const server = `${bind.address}:${bind.port}`;
  const sides = ['a', 'b'] as const;
  const origins = resources.flatMap(({ name, addresses }) =>
    addresses.map(
      (address, i) =>
        `  ${name}-${sides[i]}: { cloud: ${i === 0 ? 'one' : 'two'}, checks: ` +
        `{ web: { http: "http://${address}:${port}/healthz" } } }`,
    ),
  );
  const records = resources.map(({ name }) => {
    const targets = sides.map((s) => `{ origin: ${name}-${s}, cname: ${name}-${s}.shop.test }`);
    const more = `mode: steer, ttl: ${ttl}, publish: [own], switchesPerHour: 60`;
    return `  ${name}.gslb.test: { ${more}, targets: [${targets.join(', ')}] }`;
  });
  const config = join(directory, 'detour.yaml');
  await writeFile(join(directory, 'tsig'), key.secret, { mode: 0o600 });
  await writeFile(
    config,
    `cluster: bench
stateDir: ${join(directory, 'state')}
socket: ${socketOf(directory)}
listen: off
providers:
  own:
    type: rfc2136
    server: "${server}"
    zone: gslb.test
    nameservers: ["${server}"]
    tsig: { name: ${key.name}, algorithm: ${key.algorithm}, secret: { file: ${join(directory, 'tsig')} } }
dns: { port: ${bind.port}, roots: ["${server}"] }
paths:
  line-a: { site: a, uplink: a, localAddress: 127.0.0.2 }
  line-b: { site: b, uplink: b, localAddress: 127.0.0.3 }
  line-c: { site: c, uplink: c, localAddress: 127.0.0.4 }
clouds: { one: {}, two: {} }
origins:
${origins.join('\n')}
records:
${records.join('\n')}
policy: { ${how.policy ?? 'interval: 1s, hold: false'}, timeout: 1s, confirm: 250ms, fall: 3, rise: 2, patience: 0s }
`,
  );
  const daemon = startDaemon(config);
  const stop = async () => {
    await stopChild(daemon.child);
    await bind.stop();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await until('adopted, and all origins up', 90_000, () => {
      if (daemon.child.exitCode !== null) throw new Error(daemon.err() + daemon.out());
      const [visible, up] = [/visible everywhere/g, /-> up/g].map(
        (what) => (daemon.out().match(what) ?? []).length,
      );
      return visible! >= resources.length && up! >= 2 * resources.length;
    });
    if (how.prepared === true) {
      const run = promisify(execFile);
      for (const { name } of resources) {
        const order = ['prepare', `${name}.gslb.test`, '--reason', 'bench'];
        await run(process.execPath, [main, ...order, '--socket', socketOf(directory)]);
      }
      await until('prepared, and the old TTL over', ttl * 1000 + 60_000, () => {
        return (daemon.out().match(/prepared: whoever/g) ?? []).length >= resources.length;
      });
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { name: 'Detour', pids: [daemon.child.pid!], stop, dns: bind.port };
}
