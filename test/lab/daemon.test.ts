// The built daemon in a lab with three ways out: what it must not take for an outage (its own
// uplinks, one path, a control API) and what it must (valid keys refused where an origin needs
// them, a dead origin), told apart by what is broken and nothing else. Times are bounds, never the
// judge.

import assert from 'node:assert/strict';
import { get } from 'node:http';
import { after, before, test } from 'node:test';
import type { StatusView } from '../../src/core/view.ts';
import { freePort } from '../parts/bind.ts';
import { cnameAt, type RunningLab, socketOf, startLabProgram, until } from '../parts/program.ts';

const intervalMs = 1000;
const boundMs = 40_000;
let lab: RunningLab;

before(async () => {
  const port = String(await freePort());
  lab = await startLabProgram('--paths', '3', '--needs', '--quotas', 'off', '--port', port);
  assert.equal(lab.ready.metrics, `http://127.0.0.1:${port}/metrics`);
  await until('adopted everywhere, and every origin up', 60_000, async () => {
    const view = await status();
    const visible = view.records.every((r) => r.providers.every((p) => p.stage === 'visible'));
    return visible && view.origins.every((o) => o.health === 'up');
  });
});
after(() => lab?.stop());

function status(): Promise<StatusView> {
  return new Promise((resolve, reject) => {
    const socketPath = socketOf(lab.directory);
    const asked = get(
      { socketPath, path: '/v1/status', timeout: 5000, agent: false },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => (text += part));
        response.on('error', reject);
        response.on('end', () => resolve(JSON.parse(text) as StatusView));
      },
    );
    asked.on('timeout', () => asked.destroy(new Error('the daemon does not answer')));
    asked.on('error', reject);
  });
}

const recordOf = (view: StatusView, name: string) =>
  view.records.find((r) => r.name === `${name}.gslb.example.net.`)!;
const targets = (view: StatusView) =>
  Object.fromEntries(view.records.map((r) => [r.name.split('.')[0], r.target]));
const home = { www: 'hangzhou', api: 'beijing', img: 'hangzhou2' };
const healthOf = (view: StatusView, name: string) =>
  view.origins.find((o) => o.name === name)!.health;
const switchesOf = (view: StatusView) => view.records.map((r) => r.switchId);

/** Waits for a view that holds, then until every origin was probed so often again, still holding. */
async function stays(what: string, holds: (view: StatusView) => boolean, probes = 5) {
  await until(what, boundMs, async () => holds(await status()));
  const from = (await status()).at;
  await until(`${what}, for ${probes} probes more`, boundMs, async () => {
    const view = await status();
    assert.ok(holds(view), `no longer so: ${what}; ${JSON.stringify(view.origins.map(short))}`);
    const ended = view.origins.flatMap((o) => o.checks.map((c) => c.last?.endedAt ?? 0));
    return Math.min(...ended) > from + probes * intervalMs;
  });
}

const short = (o: StatusView['origins'][number]) => `${o.name} ${o.health}`;

test('a canary is proved at every vendor, and a dry drill walks the way out and moves nothing', async () => {
  const before = await status();
  const canary = lab.cli('drill', 'canary', '--json');
  assert.equal(canary.status, 0, canary.stdout + canary.stderr);
  const tried = JSON.parse(canary.stdout).detail.drills as Drilled[];
  assert.deepEqual(tried.map(({ name, result }) => `${name} ${result}`).sort(), [
    ...['ali passed', 'cf passed', 'r53 passed'],
  ]);
  for (const { parts, ms } of tried) assert.equal(parts.visibleMs, ms);
  for (const { dns } of Object.values(lab.ready.vendors)) {
    assert.match(
      (await cnameAt(dns, 'detour-canary.gslb.example.net')) ?? '',
      /^canary-[ab]\.detour\.invalid$/,
    );
  }
  const dry = lab.cli('drill', 'dry', 'hangzhou');
  assert.equal(dry.status, 0, dry.stdout + dry.stderr);
  assert.match(
    dry.stdout,
    /^www\.gslb\.example\.net seen down in \d+ ms, goes to \w+ in \d+ ms, its chain answered/,
  );
  assert.match(dry.stdout, /would write at cf \(read in \d+ ms\), r53/);
  const after = await status();
  assert.deepEqual(targets(after), home);
  assert.deepEqual(switchesOf(after), switchesOf(before), 'nothing was switched');
  assert.ok(after.origins.every((o) => o.health === 'up'));
  assert.ok(after.lanes.every((l) => l.state === 'ok'));
  const shown = lab.cli('status').stdout;
  assert.match(shown, /drills +canary \d+s ago, .*dry \d+s ago/);
  const metrics = await (await fetch(lab.ready.metrics)).text();
  assert.match(metrics, /detour_drill_last_ok\{drill="canary",record="r53"\} 1/);
  assert.match(metrics, /detour_drill_last_ok\{drill="dry",record="hangzhou"\} 1/);
  assert.match(metrics, /detour_drill_overdue\{drill="dry"\} 0/);
});

interface Drilled {
  readonly name: string;
  readonly result: string;
  readonly ms: number;
  readonly parts: { readonly visibleMs: number };
}

test('all uplinks cut at once: nothing is called down, nothing moves, and no flap after it', async () => {
  const before = await status();
  lab.lab('break', 'uplink', 'all');
  try {
    await stays('no path can say anything', (view) =>
      view.origins.every((o) => {
        const blind = o.checks.every((c) => c.last?.outcome === 'blind');
        assert.notEqual(o.health, 'down', `${o.name} must not be called down`);
        return blind;
      }),
    );
  } finally {
    lab.lab('heal', 'uplink', 'all');
  }
  await stays('every origin is up', (view) => {
    assert.ok(!view.origins.some((o) => o.health === 'down'), 'nothing flaps');
    return view.origins.every((o) => o.health === 'up');
  });
  const after = await status();
  assert.deepEqual(switchesOf(after), switchesOf(before));
  assert.deepEqual(targets(after), home);
});

for (const [how, path] of [
  ['cut', 'line-a'],
  ['hang', 'line-b'],
  ['loss', 'abroad'],
] as const) {
  test(`one path alone is nobody's outage: ${how} of ${path}`, async () => {
    const before = switchesOf(await status());
    lab.lab('break', 'path', path, '--how', how);
    try {
      await stays('every origin is up by the other paths', (view) => {
        assert.ok(!view.origins.some((o) => o.health === 'down'));
        return view.origins.every((o) => o.health === 'up');
      });
    } finally {
      lab.lab('heal', 'path', path);
    }
    assert.deepEqual(switchesOf(await status()), before);
  });
}

test('a control API that fails moves nothing', async () => {
  const before = switchesOf(await status());
  lab.lab('break', 'cloud', 'aliyun', '--how', 'control');
  try {
    await stays('every origin is up', (view) => view.origins.every((o) => o.health === 'up'));
    assert.deepEqual(switchesOf(await status()), before);
  } finally {
    lab.lab('heal', 'cloud', 'aliyun');
  }
});

test('valid keys refused: what needs them moves, machines that only run stay', async () => {
  lab.lab('break', 'cloud', 'aliyun', '--how', 'auth');
  try {
    await until('www is on the other cloud', boundMs, async () => {
      return recordOf(await status(), 'www').target === 'tokyo';
    });
    await stays('the others stay where they are', (view) => {
      assert.deepEqual([healthOf(view, 'beijing'), healthOf(view, 'hangzhou2')], ['up', 'up']);
      return healthOf(view, 'hangzhou') === 'down';
    });
    assert.deepEqual(targets(await status()), { ...home, www: 'tokyo' });
  } finally {
    lab.lab('heal', 'cloud', 'aliyun');
  }
  await until('hangzhou is up again', boundMs, async () => {
    return healthOf(await status(), 'hangzhou') === 'up';
  });
});

test('a region that dies takes its records along and leaves the other regions alone', async () => {
  lab.lab('break', 'region', 'aliyun/cn-hangzhou', '--how', 'hang');
  try {
    await until('img is on the other cloud', boundMs, async () => {
      return recordOf(await status(), 'img').target === 'tokyo';
    });
    const view = await status();
    assert.equal(recordOf(view, 'api').target, 'beijing');
    assert.equal(healthOf(view, 'beijing'), 'up');
  } finally {
    lab.lab('heal');
  }
});
