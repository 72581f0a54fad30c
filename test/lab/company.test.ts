// The built daemon in a lab where external-dns owns one of two records at one vendor, and Terraform the
// other by its comment: neither is adopted until a person says so, and nothing is written before that.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Command, Reply } from '../../src/core/model.ts';
import { startLab } from '../../src/lab/lab.ts';
import { labSettings, writeSettings } from '../../src/lab/shell/settings.ts';
import { freePort } from '../parts/bind.ts';
import { mustCall, status } from '../parts/daemon.ts';
import { startDaemon, stopChild, until } from '../parts/program.ts';

const www = 'www.gslb.example.net.';
const api = 'api.gslb.example.net.';
const heritage = 'heritage=external-dns,external-dns/owner=shop,external-dns/resource=ingress/a/b';

const closers: (() => Promise<unknown>)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
});

test('what another tool manages waits for a person, who is told whose it is', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'detour-company-'));
  closers.push(() => rm(directory, { recursive: true, force: true }));
  const lab = await startLab({ quotas: 'off' });
  closers.push(() => lab.close());
  lab.vendors.route53.edit(`cname-${www}`, 'TXT', heritage);
  const ttl = lab.records.find((r) => r.name === api)!.ttl;
  const comment = 'managed by terraform';
  lab.vendors.cloudflare.edit(api, 'CNAME', 'bj.shop.example.', ttl, { comment });
  const socket = join(directory, 's');
  writeSettings(labSettings(lab, { directory, socket, listenPort: await freePort() }), directory);
  const daemon = startDaemon(join(directory, 'detour.yaml'));
  closers.push(() => stopChild(daemon.child));
  const viewOf = async (name: string) =>
    (await status(socket))?.records.find((r) => r.name === name);
  const saysOf = async (name: string) => (await viewOf(name))?.stay;
  await until('both wait', 40_000, async () => {
    assert.equal(daemon.child.exitCode, null, daemon.err());
    return (await saysOf(www))?.reason === 'foreign' && (await saysOf(api))?.reason === 'foreign';
  });
  assert.match((await saysOf(www))!.sentence, /^external-dns \(owner shop\) manages it at r53/);
  assert.match((await saysOf(api))!.sentence, /^Terraform manages it at cf, by its comment/);
  assert.equal((await viewOf(www))?.epoch, 0, 'nothing was written yet');
  const order: Command = {
    kind: 'adopt',
    record: www,
    target: 'hangzhou',
    create: false,
    by: 'ann',
  };
  const reply = await mustCall<Reply>(socket, 'POST', '/v1/command', order);
  assert.equal(reply.exit, 0);
  assert.match(reply.message, /is adopted on hangzhou .*; external-dns \(owner shop\) manages it/);
  await until('it is adopted everywhere', 40_000, async () => {
    const view = await viewOf(www);
    return view?.target === 'hangzhou' && view.providers.every((p) => p.stage === 'visible');
  });
});
