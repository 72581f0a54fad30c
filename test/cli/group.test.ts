// What a replica of a group shows of the others, from real engines' views: the short block of the
// status, the document, the series, what an explained switch says. Alone there is none of it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dated } from '../../src/cli/json.ts';
import { printStatus } from '../../src/cli/print.ts';
import { documents } from '../../src/cli/schema.ts';
import { type StatusView, view } from '../../src/core/view.ts';
import { createMetrics } from '../../src/serve/metrics.ts';
import { Readers } from '../../src/serve/readers.ts';
import { asSeenBy, Peers } from '../core/peers.ts';
import { coreConfig, World } from '../core/world.ts';
import { standIn } from './desk.ts';

const replicas = ['n1', 'n2', 'n3'];

function group() {
  const world = new World(coreConfig({ providers: ['cf'], replicas }));
  world.hold('www.gslb.test.', 'a.shop.test.');
  world.start();
  const peers = new Peers(world);
  world.advance(10_000);
  return { world, peers };
}

const viewOf = (world: World) => view(world.state, { version: '0.1.0', reload: null });
const paper = { columns: 100, colour: false };
const text = (shown: StatusView, form: 'short' | 'full') =>
  printStatus(shown, paper, { form, of: 1 });

async function series(shown: StatusView): Promise<Map<string, number>> {
  const desk = standIn();
  desk.view = shown;
  const metrics = createMetrics({ desk, version: '0.1.0', readers: new Readers() });
  const lines = String(await metrics.text()).split('\n');
  const ours = lines.filter((line) => line.startsWith('detour_replica_'));
  return new Map(ours.map((line) => [line.split(' ')[0]!, Number(line.split(' ')[1])]));
}

function isShaped(shown: StatusView): void {
  const { version: detour, ...rest } = shown;
  const document = { version: 1, ...JSON.parse(JSON.stringify(dated({ detour, ...rest }))) };
  const found = documents.status.safeParse(document);
  assert.ok(found.success, JSON.stringify(found.error?.issues));
}

test('the status names who acts, who is heard, and who has another configuration', async () => {
  const { world, peers } = group();
  peers.part('n3', true);
  const other = coreConfig({ providers: ['cf'], replicas, ttl: 30, check: { timeoutMs: 900 } });
  const { group: ours, ...rest } = asSeenBy(other, 'n2');
  peers.worlds.get('n2')!.reload({ ...rest, group: { ...ours!, hash: 'another' } });
  world.advance(60_000);
  const shown = viewOf(world);
  const short = text(shown, 'short');
  assert.match(short, /group {6}n1 acts \(term 1\); this is that one/);
  assert.match(short, /n2: heard \d+ ms ago; another definition of www\.gslb\.test\n/);
  assert.match(
    short,
    /n3: NOT HEARD for 57s, so it has no vote: nothing was heard of it for 3000 ms/,
  );
  // What n2 asks is another question.
  assert.match(
    text(shown, 'full'),
    /a\/web by n2\/direct: no vote: n2 has another definition of it/,
  );
  assert.ok(!text(shown, 'full').includes('no vote: n3'), 'said once, at the head');
  isShaped(shown);
  const found = await series(shown);
  assert.equal(found.get('detour_replica_heard{replica="n2"}'), 1);
  assert.equal(found.get('detour_replica_heard{replica="n3"}'), 0);
  assert.equal(found.get('detour_replica_same_definition{replica="n2"}'), 0);
  assert.equal(found.get('detour_replica_same_definition{replica="n3"}'), 1);
  assert.ok(found.get('detour_replica_age_seconds{replica="n2"}')! < 1);
  assert.ok(found.get('detour_replica_age_seconds{replica="n3"}')! > 50);
  assert.ok(![...found.keys()].some((name) => name.includes('"n1"')), 'none of itself');
});

test('of whom nothing was heard yet no number is made up', async () => {
  const world = new World(coreConfig({ providers: ['cf'], replicas }));
  world.start();
  world.advance(1000);
  const found = await series(viewOf(world));
  assert.equal(found.get('detour_replica_heard{replica="n2"}'), 0);
  assert.ok(!found.has('detour_replica_age_seconds{replica="n2"}'));
  assert.ok(!found.has('detour_replica_same_definition{replica="n2"}'));
  isShaped(viewOf(world));
});

test('without the lease it is shown what would have been decided', () => {
  const { world } = group();
  world.send({ kind: 'lease', held: false, term: 1 });
  world.origins.set('a', 'fail');
  world.advance(10_000);
  const shown = viewOf(world);
  const says = /nobody acts; by what is seen here a -> b: a is down/;
  assert.match(text(shown, 'full').replace(/\s+/g, ' '), says);
  assert.equal(world.state.records.get('www.gslb.test.')!.doc.target, 'a');
  isShaped(shown);
});

test('a switch says who acted, what each path saw, and who was heard', () => {
  const { world } = group();
  world.origins.set('a', 'fail');
  world.advance(10_000);
  const { entry } = world.journal.find((j) => j.entry.kind === 'switch')!;
  const data = entry.data as Record<string, string>;
  assert.equal(data['acts'], 'n1');
  assert.match(data['replicas']!, /^n2 heard \d+ ms ago; n3 heard \d+ ms ago$/);
  for (const name of replicas) assert.ok(data['votes']!.includes(`a/web by ${name}/direct`));
});

test('alone nothing of it is shown', async () => {
  const world = new World(coreConfig({ providers: ['cf'] }));
  world.hold('www.gslb.test.', 'a.shop.test.');
  world.start();
  world.advance(5000);
  world.origins.set('a', 'fail');
  world.advance(5000);
  const shown = viewOf(world);
  assert.equal(shown.group, null);
  assert.ok(!text(shown, 'full').includes('group'));
  assert.equal((await series(shown)).size, 0);
  const { entry } = world.journal.find((j) => j.entry.kind === 'switch')!;
  assert.ok(!('acts' in (entry.data as object)));
  isShaped(shown);
});
