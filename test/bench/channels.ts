// `npm run bench:channels`: does a switch come later where every channel is dead? The real loop and the
// real channels on the real clock, with origins and vendors that answer at once, some records, and an
// outage in each round. Two arms take turns: nobody is told, and six channels that hang, refuse, drip,
// have nobody there, hang as a command, and hang at mail. It prints both, their ratio and their difference,
// and ends with 1 where the median is more than 10 ms later. It speaks to loopback alone.

import { createServer } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { cpus } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { type Adapters, Controller } from '../../src/controller.ts';
import { formatMarker } from '../../src/core/marker.ts';
import { type Name, noticeSeverities, type Seen } from '../../src/core/model.ts';
import type { ProbeResult, Provider } from '../../src/kit/extend.ts';
import { type Channels, createChannels } from '../../src/notify/channels.ts';
import { notifierTypes } from '../../src/notify/index.ts';
import { createClock } from '../../src/run/clock.ts';
import { coreConfig } from '../core/world.ts';
import { openMemoryStore } from '../parts/memory-store.ts';
import { until } from '../parts/program.ts';

const RECORDS = 20;
const ROUNDS = 40;
const MOST_MS = 10;

const names = Array.from({ length: RECORDS }, (_, i) => `r${i}.gslb.test.`);

/** A vendor in memory that answers in its own turn. */
class Vendor implements Provider {
  readonly name: string;
  readonly capabilities = {} as Provider['capabilities'];
  readonly held = new Map<Name, { cname: Name; ttl: number; markers: string[] }>();
  /** When each record was written last. */
  readonly wroteAt = new Map<Name, number>();
  calls = 0;

  constructor(name: string) {
    this.name = name;
    for (const one of names) this.held.set(one, { cname: 'a.shop.test.', ttl: 60, markers: [] });
  }

  zone(): never {
    throw new Error('not asked here');
  }

  preflight(): never {
    throw new Error('not asked here');
  }

  async read(asked: readonly Name[]) {
    this.calls++;
    const seen = (name: Name): Seen => {
      const one = this.held.get(name)!;
      const cnames = [{ value: one.cname, ttl: one.ttl }];
      return { cnames, markers: one.markers, refusal: null, ref: null };
    };
    return Object.fromEntries(
      asked.map((name) => [name, { kind: 'answered', value: seen(name) } as const]),
    );
  }

  async write(changes: Parameters<Provider['write']>[0]) {
    this.calls++;
    for (const { name, to } of changes) {
      this.held.set(name, { cname: to.cname, ttl: to.ttl, markers: [formatMarker(to.marker)] });
      this.wroteAt.set(name, performance.now());
    }
    return changes.map(() => ({ kind: 'answered', value: null }) as const);
  }

  close(): void {}
}

/** A daemon's loop without its doors. */
class Arm {
  readonly vendor = new Vendor('cf');
  readonly down = new Set<string>();
  readonly controller: Controller;
  readonly channels: Channels | null;
  troubles = 0;
  sawAt = 0;

  constructor(specs: Parameters<typeof createChannels>[0]['specs'] | null) {
    const clock = createClock(0);
    const trouble = () => void this.troubles++;
    const means = { cluster: 'shop', replica: null, clock, apiUrl: null, trouble };
    this.channels = specs === null ? null : createChannels({ ...means, specs });
    const config = coreConfig({
      providers: ['cf'],
      records: Object.fromEntries(names.map((name) => [name, {}])),
      record: { patienceMs: 0, switchesPerHour: 60 },
      // The pace of probes is not what is measured: a fast one makes less noise.
      check: { intervalMs: 200, timeoutMs: 200, confirmMs: 50 },
    });
    const adapters: Adapters = {
      prober: {
        probe: async (check): Promise<ProbeResult> => {
          const isDown = this.down.has(check.split('/')[0]!);
          if (isDown) this.sawAt = Math.min(this.sawAt, performance.now());
          const [outcome, reason] = isDown
            ? (['fail', 'refused'] as const)
            : (['pass', 'ok'] as const);
          return { outcome, reason, detail: '', phases: {} };
        },
        close: () => {},
      },
      providers: { cf: this.vendor },
      verifier: {
        ask: async (provider, record, { marker }) => {
          const { cname, ttl, markers } = this.vendor.held.get(record)!;
          const answer = { kind: 'cname', value: cname, ttl } as const;
          return [{ server: provider, answer, markers: marker ? markers : null }];
        },
        chain: async (name) => ({ kind: 'answered', chain: [name] }),
        close: () => {},
      },
      notifier: this.channels,
    };
    this.controller = new Controller(config, adapters, {
      clock,
      store: openMemoryStore(),
      coordinator: {
        start: (tell) => tell({ kind: 'held', term: 1 }),
        actsUntil: () => Number.POSITIVE_INFINITY,
        yield: () => Promise.resolve(),
        shared: null,
        close: () => {},
      },
      observers: [],
      seed: [1, 2, 3, 4],
      version: 'bench',
    });
    this.controller.start();
    this.channels?.start(() => this.controller.open());
  }

  targets(): ReadonlySet<string | null> {
    return new Set(this.controller.status().records.map(({ target }) => target));
  }

  settled(target: string): boolean {
    const { records, origins } = this.controller.status();
    const all = records.every((r) => r.target === target && !r.switching);
    return all && origins.every(({ health }) => health === 'up');
  }

  /** From the first probe that sees an origin dead to the last record written, in milliseconds. */
  async outage(dead: string, other: string): Promise<number> {
    await until(`all on ${dead}`, 60_000, () => this.settled(dead));
    // At any phase of its probes.
    await pause(Math.random() * 400);
    this.sawAt = Number.POSITIVE_INFINITY;
    this.down.add(dead);
    const cname = `${other}.shop.test.`;
    const moved = () => names.every((name) => this.vendor.held.get(name)!.cname === cname);
    await until(`all on ${other}`, 60_000, moved);
    this.down.clear();
    return Math.max(...this.vendor.wroteAt.values()) - this.sawAt;
  }
}

function made(word: string, settings: object): ReturnType<(typeof notifierTypes)['x']['create']> {
  const type = notifierTypes[word]!;
  const read = type.settings.parse(settings);
  return type.create(read, { secret: () => 'sesame', wall: () => Date.now() });
}

async function listening(server: net.Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

async function run(): Promise<number> {
  const hangs = createServer(() => {});
  const refuses = createServer((_, response) => response.writeHead(503).end());
  const drips = createServer((_, response) => {
    const timer = setInterval(() => response.write('x'), 5);
    response.on('close', () => clearInterval(timer));
  });
  const mail = net.createServer(() => {});
  const servers = [hangs, refuses, drips, mail];
  const ports = await Promise.all(servers.map(listening));
  const hook = (port: number) => made('webhook', { webhook: { url: `http://127.0.0.1:${port}/` } });
  const dead = {
    hangs: hook(ports[0]!),
    refuses: hook(ports[1]!),
    drips: hook(ports[2]!),
    nobody: made('alertmanager', { alertmanager: { url: 'http://127.0.0.1:1' } }),
    command: made('command', { command: ['/bin/sleep', '30'] }),
    mail: made('smtp', {
      smtp: { server: `127.0.0.1:${ports[3]}`, tls: 'none', from: 'a@b.test', to: ['c@d.test'] },
    }),
  };
  const rule = { severity: noticeSeverities, records: null, quietMs: 0 };
  const specs = Object.entries(dead).map(([name, notifier]) => ({ name, notifier, rule }));
  const arms = { none: new Arm(null), dead: new Arm(specs) };
  const took: Record<keyof typeof arms, number[]> = { none: [], dead: [] };
  for (let round = 0; round <= ROUNDS; round++) {
    const [from, to] = round % 2 === 0 ? ['a', 'b'] : ['b', 'a'];
    for (const arm of ['none', 'dead'] as const) {
      const ms = await arms[arm].outage(from!, to!);
      // The first warms up.
      if (round > 0) took[arm].push(ms);
    }
  }
  console.log(`${cpus().length} x ${cpus()[0]?.model.trim()}, Node ${process.version}`);
  console.log(
    `${RECORDS} records, ${ROUNDS} outages an arm, first failure seen to the last record written`,
  );
  for (const [arm, all] of Object.entries(took)) {
    const sorted = all.toSorted((a, b) => a - b);
    const least = sorted[0]!.toFixed(1);
    console.log(
      `${arm.padEnd(5)} median ${median(all).toFixed(1)} ms  least ${least}  most ${sorted.at(-1)!.toFixed(1)}`,
    );
  }
  const later = median(took.dead) - median(took.none);
  const ratio = median(took.dead) / median(took.none);
  console.log(`ratio ${ratio.toFixed(3)}, ${later.toFixed(1)} ms later; at most ${MOST_MS} ms`);
  for (const { channel, told, failed, waiting, dropped } of arms.dead.channels!.figures()) {
    const lost = Object.values(dropped).reduce((sum, n) => sum + n, 0);
    console.log(
      `${channel.padEnd(8)} told ${told}, failed ${failed}, waiting ${waiting}, lost ${lost}`,
    );
  }
  for (const server of servers) server.close();
  return later > MOST_MS ? 1 : 0;
}

process.exit(await run());
