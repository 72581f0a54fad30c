// Checks that ask somebody else than the origin (`aside`): another monitor's word, a Prometheus, a
// plugin. They vote like any other, and say nothing of what a path can see, nor of how fast the origin
// may be asked.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { start, step } from '../../src/core/direct.ts';
import type { CheckConfig, CoreConfig, Outcome } from '../../src/core/model.ts';
import { coreConfig, type Shape, World } from './world.ts';

const WWW = 'www.gslb.test.';
const shape: Shape = {
  paths: ['p1'],
  check: { intervalMs: 5000, timeoutMs: 2000, confirmMs: 500 },
  detector: { kind: 'sequential', falseSwitchEveryMs: 10 * 365 * 86_400_000 },
  record: { patienceMs: 10_000 },
};

/** The world's two origins, each with one more check that asks somebody else. */
function withAside(more: Partial<CheckConfig>): CoreConfig {
  const plain = coreConfig(shape);
  const added = Object.values(plain.checks)
    .filter(({ role }) => role === 'origin')
    .map((check) => ({ ...check, id: `${check.origin}/pushed`, ...more }));
  const checks = Object.fromEntries(added.map((check) => [check.id, check]));
  const origins = Object.entries(plain.origins).map(([name, origin]) => {
    return [name, { ...origin, checks: [...origin.checks, `${name}/pushed`] }] as const;
  });
  return {
    ...plain,
    checks: { ...plain.checks, ...checks },
    origins: Object.fromEntries(origins),
  };
}

function begin(more: Partial<CheckConfig> = { aside: true }): World {
  const world = new World(withAside(more));
  world.hold(WWW, 'a.shop.test.');
  world.start();
  world.advance(30_000);
  return world;
}

const switches = (world: World) => world.journal.filter(({ entry }) => entry.kind === 'switch');
const blind = (world: World) =>
  world.journal.filter(({ entry }) => entry.kind === 'path' && /blind/.test(entry.sentence));

test('another monitor’s failure moves a record, as any required check does', () => {
  const world = begin();
  world.checks.set('a/pushed', 'fail');
  world.advance(60_000);
  assert.equal(switches(world).length, 1, 'a is left');
});

test('while our own line is cut, what others pushed before does not make it look sound', () => {
  const cut = (more: Partial<CheckConfig>) => {
    const world = begin(more);
    for (const name of ['a/web', 'b/web']) world.checks.set(name, 'hang');
    world.advance(120_000);
    return world;
  };
  const world = cut({ aside: true });
  assert.equal(blind(world).length, 1, 'the path is blind');
  assert.equal(switches(world).length, 0);
  // The same check as if it had come by the path: it vouches for it.
  assert.equal(blind(cut({})).length, 0);
});

test('what asks somebody else costs the origin nothing of what it may be asked', () => {
  const asked = (more: Partial<CheckConfig>) => {
    const plain = withAside({ intervalMs: 500, ...more });
    const a = { ...plain.origins['a']!, rate: 0.3 };
    const world = new World({ ...plain, origins: { ...plain.origins, a } });
    let count = 0;
    const perform = world.perform.bind(world);
    world.perform = (e, committed) => {
      if (e.kind === 'probe' && e.check === 'a/web') count++;
      perform(e, committed);
    };
    world.hold(WWW, 'a.shop.test.');
    world.start();
    world.advance(600_000);
    return count;
  };
  assert.ok(asked({ aside: true }) >= 115, 'by its clock');
  assert.ok(asked({}) < 60, 'with all others that the origin has to bear');
});

test('the direct way out goes by what it sees itself: nobody pushes to a command', () => {
  const order = {
    ...{ record: WWW, target: 'b', reason: 'a drill', by: 'ann', forMs: null },
    ...{ adopt: false, dryRun: false, force: false },
  };
  const goes = (web: Outcome, pushed: Outcome) => {
    const { state, effects } = start({
      config: withAside({ aside: true }),
      order,
      id: 'd1',
      now: 0,
    });
    const asked = effects.flatMap((e) => (e.kind === 'probe' ? [e.check] : []));
    assert.deepEqual(asked, ['b/web', 'b/pushed']);
    const after = [
      step(state, { kind: 'probed', check: 'b/pushed', outcome: pushed, detail: 'x' }, 1, 1),
      step(state, { kind: 'probed', check: 'b/web', outcome: web, detail: 'y' }, 2, 2),
    ].flat();
    return after.some((e) => e.kind === 'read');
  };
  assert.equal(goes('pass', 'pass'), true);
  assert.equal(goes('pass', 'blind'), true);
  assert.equal(goes('pass', 'fail'), false);
  assert.equal(goes('blind', 'pass'), false);
});
