// Two days of simulated time with one vendor out of reach, in each way a vendor can be: the others
// must never notice, nothing may grow, no call budget may be used up, and the one left behind must
// be in step within one back-off of its return. The engine alone, in virtual time.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { State } from '../../src/core/engine.ts';
import { coreConfig, type Vendor, World } from './world.ts';

const HOUR_MS = 3_600_000;
const HOURS = 48;
const RECORDS = 6;
const stuck = 'r53';
const others = ['cf', 'ali'] as const;
/** How long a pending switch may wait for its next try: design, section 5. */
const backOffMs: Record<'hang' | 'unavailable' | 'throttled' | 'auth', number> = {
  hang: 3_000,
  unavailable: 3_000,
  // The vendor says how long: ten seconds in this world.
  throttled: 10_000,
  auth: 30_000,
};

function steadyWorld(): World {
  const targets = ['a', 'b'].map((origin) => ({ origin, cname: `${origin}.shop.test.` }));
  const names = Array.from({ length: RECORDS }, (_, i) => `r${i}.gslb.test.`);
  const records = Object.fromEntries(names.map((name) => [name, { targets }]));
  const world = new World(coreConfig({ records }));
  for (const name of names) world.hold(name, 'a.shop.test.');
  world.start();
  world.advance(60_000);
  return world;
}

/** Everything the engine holds, counted once each: what grows without a bound shows here. */
function sizeOf(state: State): number {
  const counted = new Set<object>();
  return JSON.stringify(state, (_, value: unknown) => {
    if (typeof value !== 'object' || value === null) return value;
    if (counted.has(value)) return 0;
    counted.add(value);
    return value instanceof Map || value instanceof Set ? [...value] : value;
  }).length;
}

function behind(world: World, provider: string): number {
  let count = 0;
  for (const name of Object.keys(world.config.records)) {
    const wanted = world.state.records.get(name)!.doc;
    const held = world.held(provider, name);
    const isThere = held.cname?.value === wanted.cname && held.markers.length === 1;
    if (!isThere || !held.markers[0]!.includes(` epoch=${wanted.marker!.epoch} `)) count++;
  }
  return count;
}

/** The origin in force goes, and the other takes over; then it comes back. */
function failOver(world: World, hour: number): void {
  const [from, to] = hour % 2 === 0 ? ['a', 'b'] : ['b', 'a'];
  world.origins.set(from!, 'fail');
  world.advance(20_000);
  for (const name of Object.keys(world.config.records)) {
    assert.equal(world.state.records.get(name)!.doc.target, to, `${name} in hour ${hour}`);
  }
  for (const provider of others) assert.equal(behind(world, provider), 0, `${provider}, ${hour}`);
  world.origins.set(from!, 'pass');
}

for (const how of ['hang', 'unavailable', 'throttled', 'auth'] as const) {
  test(`48 h with one vendor stuck (${how}): nobody else notices, and nothing grows`, () => {
    const world = steadyWorld();
    const vendor = world.vendors.get(stuck)!;
    const calls = (v: Vendor) => v.reads + v.writes;
    const { quota } = world.config.lanes[stuck]!;
    let leastTokens = quota.burst;
    world.onStep = () => {
      leastTokens = Math.min(leastTokens, world.state.lanes.get(stuck)!.tokens);
    };
    vendor.api = how;
    failOver(world, 0);
    // What there is to say of it is said within five minutes: who is behind, who is up again.
    world.advance(300_000);
    const [size, journal, notices] = [
      sizeOf(world.state),
      world.journal.length,
      world.notices.length,
    ];
    const callsAtFirst = calls(vendor);
    const othersAtFirst = others.map((o) => calls(world.vendors.get(o)!));
    // A day in which nothing else happens, and then one with a failover each six hours.
    world.advance(HOURS * 0.5 * HOUR_MS - world.now);
    assert.equal(world.journal.length, journal, 'nothing new, so nothing is written down');
    assert.equal(world.notices.length, notices, 'told once, not for ever');
    for (const [i, o] of others.entries()) {
      assert.equal(calls(world.vendors.get(o)!), othersAtFirst[i], o);
    }
    for (let hour = 24; hour < HOURS; hour += 6) {
      failOver(world, hour / 6 + 1);
      world.advance(6 * HOUR_MS - 20_000);
    }
    const perHour = (calls(vendor) - callsAtFirst) / HOURS;
    // The back-off is jittered down to half of it.
    assert.ok(perHour <= (2 * HOUR_MS) / backOffMs[how], `${perHour} calls an hour`);
    assert.ok(leastTokens >= quota.reserve, `${leastTokens} tokens left of ${quota.burst}`);
    const grown = sizeOf(world.state) / size;
    assert.ok(grown < 1.2, `the state is ${grown.toFixed(2)} times as large`);
    assert.equal(behind(world, stuck), RECORDS);

    vendor.api = 'ok';
    world.advance(backOffMs[how] * 1.3 + 2_000);
    assert.equal(behind(world, stuck), 0, 'in step within one back-off of its return');
  });
}
