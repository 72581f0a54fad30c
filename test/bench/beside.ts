// The second half of `npm run bench:detect`: from a fault to the changed answer on the wire, and
// steadiness while requests are lost at random, for Detour beside gdnsd and PowerDNS with Lua
// records, all in one run at one time. Each has its own pairs of origins, hurt in the same ways;
// Detour is the built daemon and a real BIND. Bounded: some pairs, two rounds, a minute a loss.

import { setTimeout as pause } from 'node:timers/promises';
import { withoutBind } from '../parts/bind.ts';
import { type Fault, faults } from './origin.ts';
import {
  absent,
  lookUp,
  type Peer,
  servedBy,
  startGdnsd,
  startHaproxyPairs,
  startPowerdnsLua,
} from './peers.ts';
import { openPairs, type Pairs, startSteered } from './steered.ts';

const PAIRS = 9;
const ROUNDS = 2;
const WAIT_MS = 30_000;
const LOOK_MS = 10;
/** Until every contender trusts a healed origin again. */
const HEAL_MS = 30_000;
/** One fault after the other: what they cost together others measure. */
const APART_MS = 5_000;
/** What the median may take where connections are held. */
const CRASH_MS = 350;
const LOSS_MS = 60_000;
const losses = [0.05, 0.2];

interface Contender {
  readonly name: string;
  readonly zone: string;
  readonly type: 'A' | 'CNAME';
  start(pairs: Pairs): Promise<Peer & { readonly dns: number }>;
  /** What is given for a name; absent: what DNS gives. */
  readonly answer?: (port: number, name: string) => Promise<string | null>;
}

const detour: Contender = {
  name: 'Detour, 1 s, 3 paths',
  zone: 'gslb.test',
  type: 'CNAME',
  start: (pairs) => startSteered(pairs, { ttlSeconds: 1 }),
};
const held: Contender = {
  ...detour,
  name: 'Detour, 5 s, connections held',
  start: (pairs) => startSteered(pairs, { ttlSeconds: 1, policy: 'interval: 5s' }),
};
const haproxy: Contender = {
  name: 'HAProxy, 1 s, fall 3 rise 2',
  ...{ zone: '', type: 'A', answer: servedBy },
  start: ({ resources, port }) => startHaproxyPairs(resources, { port }),
};
const gdnsd: Contender = {
  name: 'gdnsd, 2 s, thresholds 3',
  zone: 'fo.test',
  type: 'A',
  start: ({ resources, port }) => startGdnsd(resources, { port, thresholds: 3 }),
};
const powerdns: Contender = {
  name: 'PowerDNS Lua, 1 s, one failure',
  zone: 'fo.test',
  type: 'A',
  start: ({ resources, port }) => startPowerdnsLua(resources, { port }),
};

interface Running {
  readonly contender: Contender;
  readonly pairs: Pairs;
  readonly peer: Peer & { readonly dns: number };
}

interface Sample {
  readonly fault: Fault;
  readonly ms: number;
  /** Requests that came to the origin meanwhile. */
  readonly probes: number;
}

/** Runs all of it; true when Detour's goals are met (or nothing can be compared). */
export async function measureBeside(): Promise<boolean> {
  const missing = absent(['gdnsd', 'haproxy', 'pdns_server']);
  if (withoutBind !== false) {
    console.log(`\nbeside peers: skipped, ${withoutBind}; apt-get install bind9`);
    return true;
  }
  const chosen = [detour, held];
  if (!missing.has('gdnsd')) chosen.push(gdnsd);
  if (!missing.has('pdns_server')) chosen.push(powerdns);
  if (!missing.has('haproxy')) chosen.push(haproxy);
  const running: Running[] = [];
  try {
    for (const [i, contender] of chosen.entries()) {
      const pairs = await openPairs(50 + i, PAIRS);
      try {
        running.push({ contender, pairs, peer: await contender.start(pairs) });
      } catch (error) {
        pairs.close();
        throw error;
      }
    }
    // PowerDNS checks what it was asked for, so it is asked.
    await Promise.all(running.flatMap((r) => r.pairs.resources.map(({ name }) => answer(r, name))));
    await pause(HEAL_MS);
    const isFast = await compareSpeed(running);
    const isSteady = await compareSteadiness(running);
    return isFast && isSteady;
  } finally {
    for (const { peer, pairs } of running) {
      await peer.stop();
      pairs.close();
    }
  }
}

async function compareSpeed(running: readonly Running[]): Promise<boolean> {
  console.log('\nseconds from the fault to the changed answer on the wire, beside peers');
  const all = await Promise.all(running.map(async (r) => [r, await hurtAll(r)] as const));
  const medians = new Map<string, number>();
  for (const [{ contender }, samples] of all) {
    console.log(`  ${contender.name}`);
    for (const fault of faults) {
      const mine = samples.filter((s) => s.fault === fault);
      const ms = mine.map((s) => s.ms).sort((a, b) => a - b);
      const probes = mine.map((s) => s.probes).sort((a, b) => a - b);
      const median = quantile(ms, 0.5);
      medians.set(`${contender.name} ${fault}`, median);
      console.log(
        `    ${fault.padEnd(12)} median ${(median / 1000).toFixed(2)}  ` +
          `95 % ${(quantile(ms, 0.95) / 1000).toFixed(2)}  n ${ms.length}  ` +
          (fault === 'killed' ? '' : `requests meanwhile ${quantile(probes, 0.5)}`),
      );
    }
  }
  let isMet = true;
  for (const fault of faults) {
    const [own, other] = [detour, gdnsd].map((c) => medians.get(`${c.name} ${fault}`));
    if (own === undefined || other === undefined) continue;
    const ratio = own / other;
    isMet &&= ratio <= 0.5;
    const word = ratio <= 0.5 ? 'met' : 'MISSED';
    console.log(`goal: ${fault}: at most half of gdnsd's: ${ratio.toFixed(2)} x: ${word}`);
  }
  const crashMs = medians.get(`${held.name} killed`)!;
  const word = crashMs <= CRASH_MS ? 'met' : 'MISSED';
  const goal = `goal: killed, with connections held: at most ${CRASH_MS / 1000} s`;
  console.log(`${goal}: ${(crashMs / 1000).toFixed(2)} s: ${word}`);
  return isMet && crashMs <= CRASH_MS;
}

/** Every pair, in rounds; the pairs of a round apart, each at a random phase. */
async function hurtAll(running: Running): Promise<readonly Sample[]> {
  const samples: Sample[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const lanes = running.pairs.resources.map(async ({ name }, i) => {
      const fault = faults[(i + round) % faults.length]!;
      await pause(APART_MS * (i + Math.random()));
      const before = await firstAnswer(running, name);
      const origin = running.pairs.origins.get(addressOf(running, name, before))!;
      const [from, probes] = [performance.now(), origin.requests];
      origin.hurt(fault);
      for (;;) {
        const now = await answer(running, name);
        const ms = performance.now() - from;
        if (now !== null && now !== before) {
          samples.push({ fault, ms, probes: origin.requests - probes });
          break;
        }
        if (ms > WAIT_MS) break;
        await pause(LOOK_MS);
      }
      await origin.heal();
    });
    await Promise.all(lanes);
    await pause(HEAL_MS);
  }
  return samples;
}

async function compareSteadiness(running: readonly Running[]): Promise<boolean> {
  let isSteady = true;
  for (const loss of losses) {
    console.log(
      `\n${loss * 100} % of all requests lost at random, ${LOSS_MS / 1000} s, ${PAIRS} names each`,
    );
    const rows = await Promise.all(running.map((r) => loseAtRandom(r, loss)));
    for (const [i, { contender }] of running.entries()) {
      const { changes, requests } = rows[i]!;
      console.log(
        `  ${contender.name.padEnd(32)} ${String(changes).padStart(4)} changes of the answer, ` +
          `${requests} requests`,
      );
      if ((contender === detour || contender === held) && changes > 0) isSteady = false;
    }
    await pause(HEAL_MS);
  }
  console.log(`goal: Detour changes no answer under loss: ${isSteady ? 'met' : 'MISSED'}`);
  return isSteady;
}

async function loseAtRandom(running: Running, loss: number) {
  const { pairs } = running;
  const begun = pairs.requests();
  for (const origin of pairs.origins.values()) origin.loss = loss;
  const until = performance.now() + LOSS_MS;
  let changes = 0;
  const lanes = pairs.resources.map(async ({ name }) => {
    let last = await answer(running, name);
    while (performance.now() < until) {
      const now = await answer(running, name);
      if (now !== null && last !== null && now !== last) changes++;
      last = now ?? last;
      await pause(100);
    }
  });
  await Promise.all(lanes);
  for (const origin of pairs.origins.values()) origin.loss = 0;
  return { changes, requests: pairs.requests() - begun };
}

function answer({ contender, peer }: Running, name: string): Promise<string | null> {
  const { zone, type, answer = (port, own) => lookUp(port, `${own}.${zone}`, type) } = contender;
  return answer(peer.dns, name);
}

/** On a busy machine a question may be lost. */
async function firstAnswer(running: Running, name: string): Promise<string | null> {
  const until = performance.now() + WAIT_MS;
  let given = await answer(running, name);
  while (given === null && performance.now() < until) given = await answer(running, name);
  return given;
}

/** The origin behind an answer: an address, or a name that ends in -a or -b. */
function addressOf({ contender, pairs }: Running, name: string, given: string | null): string {
  if (given === null) throw new Error(`${contender.name} gives nothing for ${name}`);
  if (contender.type === 'A') return given;
  const { addresses } = pairs.resources.find((r) => r.name === name)!;
  return given.startsWith(`${name}-a.`) ? addresses[0] : addresses[1];
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
