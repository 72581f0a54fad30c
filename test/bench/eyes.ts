// `npm run bench:eyes`: what three replicas say to each other about 1,000 checks, each probed by
// two paths of each replica: bytes and tellings a second while all is well, in the first seconds of
// everything failing, and while it goes on failing. Over loopback, with what each probe changes
// made up here. It prints what it measured beside the goals, ends with 1 when one is missed, and
// reaches this machine only.

import { parseArgs } from 'node:util';
import type { Sighting } from '../../src/core/heard.ts';
import { group, type Replica, sighting, started } from '../parts/eyes.ts';
import { until } from '../parts/listening.ts';

const CHECKS = 1000;
const PATHS = 2;
const INTERVAL_MS = 5000;
/** How often what falls due is looked at here. */
const STEP_MS = 20;
/** A failing check is probed again so soon, so often; then about twice as often as a sound one. */
const CONFIRM = { everyMs: 500, times: 4 };

/**
 * Goals, for each replica to each other: bytes a second on the wire, and the processor's time of all
 * three together, of one core. etcd takes nothing of it.
 */
const goals = { calm: 8_000, burst: 100_000, failing: 24_000, core: 0.5 };

const { values: options } = parseArgs({ options: { seconds: { type: 'string', default: '10' } } });
const seconds = Number(options.seconds);

/** One check by one path as it is probed. */
interface Seat {
  readonly check: string;
  readonly path: string;
  dueAt: number;
  passedAt: number;
  failedAt: number;
  heardAt: number;
  passes: number;
  fails: number;
}

/** What one replica probes; all of it passes until `fails` is set. */
class Probing {
  readonly #replica: Replica;
  readonly #seats: Seat[];
  fails = false;

  constructor(replica: Replica) {
    this.#replica = replica;
    const now = performance.now();
    this.#seats = Array.from({ length: CHECKS * PATHS }, (_, i) => ({
      check: `origin-${i % CHECKS}/web`,
      path: `${replica.name}/line-${Math.floor(i / CHECKS)}`,
      dueAt: now + (((i * 7919) % (CHECKS * PATHS)) / (CHECKS * PATHS)) * INTERVAL_MS,
      ...{ passedAt: now, failedAt: -1, heardAt: now, passes: 3, fails: 0 },
    }));
  }

  /** Everything at once; whoever sees a first failure asks for more at once. */
  break(): void {
    this.fails = true;
    const now = performance.now();
    // By bursts of doubt: all within the first interval's tenth.
    for (const [i, seat] of this.#seats.entries()) seat.dueAt = now + (i % 25) * STEP_MS;
  }

  step(): void {
    const now = performance.now();
    const rows: Sighting[] = [];
    let isNews = false;
    for (const seat of this.#seats) {
      if (seat.dueAt > now) continue;
      seat.heardAt = now;
      if (this.fails) {
        seat.fails++;
        seat.passes = 0;
        seat.failedAt = now - tookMs();
        isNews ||= seat.fails <= CONFIRM.times;
        seat.dueAt = now + (seat.fails < CONFIRM.times ? CONFIRM.everyMs : INTERVAL_MS / 2);
      } else {
        seat.passes++;
        seat.passedAt = now - tookMs();
        seat.dueAt += INTERVAL_MS;
      }
      rows.push(rowOf(seat, now));
    }
    if (rows.length > 0) this.#replica.sights.set(...rows);
    if (isNews) this.#replica.eyes.changed();
  }
}

function rowOf(seat: Seat, now: number): Sighting {
  const isDown = seat.fails >= 3;
  return sighting({
    check: seat.check,
    path: seat.path,
    verdict: isDown ? 'down' : 'up',
    evidence: Math.min(seat.fails * 4.499, 26.3) + (seat.fails > 0 ? noise() : 0),
    recovery: seat.passes > 3 ? 26.3 : seat.passes * 2.1,
    fails: seat.fails,
    passes: seat.passes,
    missed: seat.fails,
    passAgeMs: Math.round(now - seat.passedAt),
    failAgeMs: seat.failedAt < 0 ? null : Math.round(now - seat.failedAt),
    heardAgeMs: Math.round(now - seat.heardAt),
    outcome: seat.fails > 0 ? 'fail' : 'pass',
    detail: seat.fails > 0 ? `refused by 192.0.2.${Math.floor(noise() * 250)} port 443` : '',
  });
}

let drawn = 1;
/** From 0 to 1, the same in each run: no two rows are told in the same words. */
function noise(): number {
  drawn = (drawn * 48_271) % 2_147_483_647;
  return drawn / 2_147_483_647;
}

const tookMs = () => 5 + noise() * 200;

interface Sum {
  readonly bytes: number;
  readonly tellings: number;
}

/** Of each replica to each other, on the average of the six ways. */
function sumOf(replicas: readonly Replica[]): Sum {
  const views = replicas.flatMap(({ eyes }) => eyes.peers());
  const of = (what: 'bytesOut' | 'tellingsOut') =>
    views.reduce((sum, view) => sum + view[what], 0) / views.length;
  return { bytes: of('bytesOut'), tellings: of('tellingsOut') };
}

let isMet = true;
const goal = (what: string, value: number, most: number) => {
  const isKept = value <= most;
  isMet &&= isKept;
  return `${what} (goal ${most})${isKept ? '' : '  MISSED'}`;
};

async function measure(
  what: keyof typeof goals,
  replicas: readonly Replica[],
  probing: readonly Probing[],
  ms: number,
): Promise<void> {
  const before = sumOf(replicas);
  const cpu = process.cpuUsage();
  const from = performance.now();
  while (performance.now() - from < ms) {
    for (const one of probing) one.step();
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
  }
  const spent = (performance.now() - from) / 1000;
  const after = sumOf(replicas);
  const { user, system } = process.cpuUsage(cpu);
  const share = (user + system) / 1e6 / spent;
  const bytes = Math.round((after.bytes - before.bytes) / spent);
  const tellings = (after.tellings - before.tellings) / spent;
  console.log(
    `${what.padEnd(8)} ${goal(`${bytes} bytes/s`, bytes, goals[what])}, ` +
      `${tellings.toFixed(1)} tellings/s, from each to each; ` +
      `all six ways ${Math.round((bytes * 6) / 1000)} kB/s; ` +
      `${goal(`${share.toFixed(2)} of a core`, share, goals.core)} for all three`,
  );
}

const names = ['hz-1', 'fra-1', 'nrt-1'];
const replicas = await group(names);
const probing = replicas.map((replica) => new Probing(replica));
for (const replica of replicas) {
  const rows = Array.from({ length: CHECKS * PATHS }, (_, i) =>
    sighting({
      check: `origin-${i % CHECKS}/web`,
      path: `${replica.name}/line-${Math.floor(i / CHECKS)}`,
    }),
  );
  replica.sights.set(...rows);
}
console.log(
  `${CHECKS} checks, ${names.length} replicas, ${PATHS} paths of each: ` +
    `a probe each ${INTERVAL_MS / 1000} s, over loopback, by the cluster key`,
);
await started(replicas, async () => {
  const isWhole = (r: Replica) =>
    names.every((n) => n === r.name || r.heard(n).some(({ telling }) => telling.whole));
  await until(() => replicas.every(isWhole), 'each has heard the whole of each', 10_000);
  const whole = Math.round(sumOf(replicas).bytes);
  console.log(`whole    ${whole} bytes on a new connection, ${CHECKS * PATHS} rows`);
  await measure('calm', replicas, probing, seconds * 1000);
  for (const one of probing) one.break();
  await measure('burst', replicas, probing, 3000);
  await measure('failing', replicas, probing, seconds * 1000);
});
process.exit(isMet ? 0 : 1);
