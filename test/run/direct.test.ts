// `detour switch --direct` as a user gives it, against the lab's vendors and with no daemon at all:
// what the plan decides is performed, whatever one vendor does, and said in text and as JSON.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Reply } from '../../src/core/model.ts';
import { cnameAt, startLabProgram } from '../parts/program.ts';

const www = 'www.gslb.example.net';
const hosts = { hangzhou: 'hz.shop.example', tokyo: 'nrt.shop.example' } as const;

test('switch --direct goes on past a vendor that loses replies, and past one that hangs', async () => {
  const lab = await startLabProgram('--no-daemon');
  const direct = (target: string, ...more: string[]) =>
    lab.cli(
      ...['switch', www, target, '--direct', '-c', lab.ready.config, '--yes'],
      ...['--reason', 'storage fails', ...more],
    );
  const stands = async (vendor: string) => cnameAt(lab.ready.vendors[vendor]!.dns, www);
  try {
    const plan = direct('tokyo', '--dry-run');
    assert.equal(plan.status, 0, plan.stderr);
    assert.match(plan.stdout, /would switch .* to tokyo with epoch 1\n/);
    assert.equal(await stands('route53'), hosts.hangzhou);

    const first = direct('tokyo');
    assert.equal(first.status, 0, first.stdout + first.stderr);
    assert.match(first.stdout, /^epoch 1 decided by .*: storage fails$/m);
    for (const vendor of Object.keys(lab.ready.vendors)) {
      assert.equal(await stands(vendor), hosts.tokyo, vendor);
    }

    lab.lab('break', 'vendor', 'route53', '--how', 'lost-reply');
    const lost = direct('hangzhou');
    assert.equal(lost.status, 0, lost.stdout + lost.stderr);
    assert.match(lost.stdout, /^r53: uncertain: [^\n]*\n(.*\n)*r53: written after/m);
    assert.equal(await stands('route53'), hosts.hangzhou);
    lab.lab('heal', 'vendor', 'route53');

    lab.lab('break', 'vendor', 'route53', '--how', 'hang');
    const stuck = direct('tokyo', '--json');
    assert.equal(stuck.status, 3, stuck.stdout + stuck.stderr);
    const reply = JSON.parse(stuck.stdout) as Reply;
    const detail = reply.detail as { reason: string; epoch: number; behind: readonly string[] };
    assert.equal(detail.reason, 'storage fails');
    assert.equal(detail.epoch, 1003);
    assert.deepEqual(detail.behind, ['r53']);
    assert.match(reply.message, /^r53: cannot be read: ./m);
    assert.equal(await stands('route53'), hosts.hangzhou);
    assert.equal(await stands('cloudflare'), hosts.tokyo);
    // The others were done before the one that hangs was given up.
    const visible = stuck.stderr.indexOf('cf: visible');
    assert.ok(visible >= 0 && visible < stuck.stderr.lastIndexOf('r53: cannot'), stuck.stderr);
  } finally {
    await lab.stop();
  }
});
