// `detour evict` by the built program: an order reaches the daemon, is done once for its id, and stands
// in the journal.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Reply } from '../../src/core/model.ts';
import { call, mustCall } from '../parts/daemon.ts';
import { hostsOf, secrets, startWorld } from '../parts/delegation.ts';
import { startDaemon, stopChild, until } from '../parts/program.ts';

const two = [...hostsOf('r53'), ...hostsOf('cf')].toSorted();

test('by the daemon: said twice with one id it is done once, and it stands in the journal', async () => {
  Object.assign(process.env, secrets);
  const folder = mkdtempSync(join(tmpdir(), 'detour-evict-'));
  const world = await startWorld();
  const file = join(folder, 'detour.yaml');
  const socket = join(folder, 'control.sock');
  writeFileSync(file, `${world.text}stateDir: ${folder}\nlisten: off\n`);
  const daemon = startDaemon(file);
  try {
    await until(
      'the daemon answers',
      30_000,
      async () => (await call(socket, 'GET', '/v1/alive')) !== null,
    );
    const said = { kind: 'evict', provider: 'ali', zone: null, reason: 'keys', by: 'ann' };
    const tell = (path: string, body: object) =>
      mustCall<Reply>(socket, 'POST', path, body, 25_000);
    const reply = await tell('/v1/command?id=order-one-0001', said);
    assert.equal(reply.exit, 0, reply.message + daemon.err());
    await until('it is out', 5000, () => String(world.delegated()) === String(two));
    const calls = world.top.calls.length;
    assert.deepEqual(await tell('/v1/command?id=order-one-0001', said), reply);
    assert.equal(world.top.calls.length, calls, 'nobody was asked again');
    const other = await tell('/v1/command?id=order-one-0001', { ...said, provider: 'cf' });
    assert.match(other.message, /this id was used for another order/);
    const { entries } = await mustCall<{ entries: { kind: string; sentence: string }[] }>(
      ...([socket, 'GET', '/v1/history?limit=1000'] as const),
    );
    const [line, ...more] = entries.filter((e) => e.kind === 'delegation');
    assert.equal(more.length, 0);
    assert.match(
      line!.sentence,
      /^ann \(unverified\): evict ali \(keys\): ali is out of the delegation/,
    );
  } finally {
    await stopChild(daemon.child);
    await world.close();
    rmSync(folder, { recursive: true, force: true });
    for (const name of Object.keys(secrets)) delete process.env[name];
  }
});
