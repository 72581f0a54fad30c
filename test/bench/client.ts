// `npm run bench:client`: how long a client waits, through a real resolver. unbound asks a real BIND
// that the built daemon steers, and gdnsd where it is installed; the origin in force is killed and the
// time runs until unbound first gives the other one, at TTL 1, 5 and 30. Some rounds of each, every
// pair of origins once a round, all pairs side by side (`--pairs 6`, `--rounds 1`). At 30 Detour comes
// twice: as it is every day, and after `detour prepare`, once the old TTL has run out. BIND takes any
// TTL; at a vendor with a least of its own (Cloudflare 60 s, 30 s for enterprises; Alibaba Cloud and
// DNSPod by their plans) that is what a client waits.

import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { withoutBind } from '../parts/bind.ts';
import { absent, calm, lookUp, machine, type Peer, startGdnsd, startUnbound } from './peers.ts';
import { openPairs, type Pairs, startSteered } from './steered.ts';

const { values } = parseArgs({
  options: {
    pairs: { type: 'string', default: '6' },
    rounds: { type: 'string', default: '1' },
    ttls: { type: 'string', default: '1,5,30' },
  },
});
const WAIT_MS = 120_000;
const CALM_MS = 60_000;
const LOOK_MS = 50;

interface Contender {
  readonly name: string;
  readonly zone: string;
  readonly net: number;
  start(pairs: Pairs, ttlSeconds: number): Promise<Peer & { readonly dns: number }>;
}

const detour: Contender = {
  name: 'Detour (interval 1 s, 3 paths, BIND)',
  zone: 'gslb.test',
  net: 40,
  start: (pairs, ttlSeconds) => startSteered(pairs, { ttlSeconds }),
};

/** The same, before a move that is planned: what an outage finds then. */
const prepared: Contender = {
  name: 'Detour after `detour prepare` (TTL 5)',
  zone: 'gslb.test',
  net: 42,
  start: (pairs, ttlSeconds) => startSteered(pairs, { ttlSeconds, prepared: true }),
};

const gdnsd: Contender = {
  name: 'gdnsd (interval 2 s, thresholds 3)',
  zone: 'fo.test',
  net: 41,
  start: ({ resources, port }, ttlSeconds) =>
    startGdnsd(resources, { port, thresholds: 3, ttlSeconds }),
};

/** Milliseconds until unbound gave the other address, in order. */
async function measure(contender: Contender, ttlSeconds: number): Promise<readonly number[]> {
  const pairs = await openPairs(contender.net, Number(values.pairs));
  const held: { stop(): Promise<void> }[] = [];
  const waited: number[] = [];
  try {
    const peer = await contender.start(pairs, ttlSeconds);
    held.push(peer);
    const zones = { [contender.zone]: peer.dns, 'shop.test': peer.dns };
    const resolver = await startUnbound(zones);
    held.push(resolver);
    const one = async (name: string) => {
      const full = `${name}.${contender.zone}`;
      const ask = () => lookUp(resolver.dns, full, 'A', true);
      // A client has asked before, and at any moment of the answer's life.
      const before = await settled(ask);
      await pause(500 + Math.random() * 1000 * Math.max(2, ttlSeconds));
      await ask();
      pairs.origins.get(before)!.hurt('killed');
      const from = performance.now();
      if (await changed(ask, before)) waited.push(performance.now() - from);
      await pairs.origins.get(before)!.heal();
    };
    for (let round = 0; round < Number(values.rounds); round++) {
      await Promise.all(pairs.resources.map(({ name }) => one(name)));
      await pause(15_000);
    }
  } finally {
    for (const peer of held.toReversed()) await peer.stop();
    pairs.close();
  }
  return waited.sort((a, b) => a - b);
}

async function settled(ask: () => Promise<string | null>): Promise<string> {
  for (let tries = 0; tries < 100; tries++) {
    const answer = await ask();
    if (answer !== null) return answer;
    await pause(100);
  }
  throw new Error('the resolver gave no answer within 10 s');
}

async function changed(ask: () => Promise<string | null>, before: string): Promise<boolean> {
  const until = performance.now() + WAIT_MS;
  while (performance.now() < until) {
    const answer = await ask();
    if (answer !== null && answer !== before) return true;
    await pause(LOOK_MS);
  }
  return false;
}

async function main(): Promise<void> {
  const missing = absent(['unbound', 'gdnsd']);
  if (withoutBind !== false) console.log(`absent: ${withoutBind}; apt-get install bind9`);
  if (missing.has('unbound') || withoutBind !== false) return;
  await calm(CALM_MS);
  console.log(`machine: ${machine()}`);
  console.log("seconds from the kill to the resolver's first answer with the other origin");
  const wanted = Number(values.pairs) * Number(values.rounds);
  for (const ttl of values.ttls.split(',').map(Number)) {
    console.log(`\nTTL ${ttl} s`);
    // What is no longer than the short TTL has nothing to gain.
    const own = ttl > 5 ? [detour, prepared] : [detour];
    for (const contender of missing.has('gdnsd') ? own : [...own, gdnsd]) {
      const ms = await measure(contender, ttl);
      const at = (share: number) => ms[Math.min(ms.length - 1, Math.floor(ms.length * share))];
      const cells = [at(0.5), at(0.95)].map((m) => (m === undefined ? '-' : (m / 1000).toFixed(2)));
      const missed = wanted === ms.length ? '' : `, ${wanted - ms.length} never within 120 s`;
      const line = `median ${cells[0]}  95 % ${cells[1]}  n ${ms.length}${missed}`;
      console.log(`  ${contender.name.padEnd(38)} ${line}`);
    }
  }
}

await main();
