// Records at the DNS of the cloud that they may have to leave: what it costs, when it is bad, and that
// the days it quotes are those that the replays have.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ZoneLook } from '../../src/audit/delegation.ts';
import { lookAtOwnDns } from '../../src/audit/own-dns.ts';
import { newRun, type Run } from '../../src/audit/run.ts';
import { parseConfig } from '../../src/config/config.ts';
import { isOneCloud, unchangedDay } from '../../src/kit/clouds.ts';
import { exampleText } from '../../src/replay/example.ts';
import { outages } from '../../src/replay/outages.ts';
import { tables } from '../../src/run/build.ts';
import { surroundingsOf } from '../../src/run/surroundings.ts';
import { recordAt } from './world.ts';

const www = 'www.gslb.example.net.';

function runOf(
  publish: readonly string[],
  vendorClouds: Readonly<Record<string, string | null>>,
  clouds: Readonly<Record<string, string>> = { hangzhou: 'ali-prod', tokyo: 'nimbus' },
): Run {
  const record = recordAt(www, publish);
  const surroundings = {
    needs: [],
    endings: [],
    clouds,
    addresses: {},
    operators: {},
    vendorClouds,
  };
  const options = { records: { [www]: record }, surroundings } as unknown as Parameters<
    typeof newRun
  >[0];
  return newRun(options, new AbortController().signal, {});
}

function said(run: Run): readonly (readonly [severity: string, sentence: string])[] {
  lookAtOwnDns(run, new Map<string, ZoneLook>(), []);
  return run.findings.map((f) => {
    assert.equal(f.word, 'shared-fate');
    assert.ok(f.severity === 'good' || (f.cure ?? '').length > 10, 'with its cure');
    return [f.severity, f.sentence] as const;
  });
}

test('a third of resolvers stayed 101 minutes', () => {
  const all = said(runOf(['cf', 'r53', 'ali'], { ali: 'aliyun', cf: 'cloudflare', r53: 'aws' }));
  assert.equal(all.length, 1);
  assert.equal(all[0]![0], 'warn');
  assert.match(all[0]![1], /may have to leave ali-prod, and ali is the DNS of ali-prod itself/);
  assert.match(
    all[0]![1],
    /a third of resolvers ask it, and on 2023-11-12 they stayed 101 minutes/,
  );
});

test('the only vendor, or a majority, is bad', () => {
  const [alone] = said(runOf(['ali'], { ali: 'aliyun' }));
  assert.deepEqual([alone![0], /it is the only vendor/.test(alone![1])], ['bad', true]);
  const half = said(runOf(['ali', 'cf'], { ali: 'aliyun', cf: null }));
  assert.deepEqual([half[0]![0], /half of resolvers/.test(half[0]![1])], ['warn', true]);
});

test('elsewhere, and of whom nothing is known, nothing is held against', () => {
  assert.deepEqual(
    said(runOf(['cf', 'r53'], { cf: 'cloudflare', r53: 'aws' })).map(([s]) => s),
    ['good'],
  );
  assert.deepEqual(said(runOf(['own'], { own: null })), []);
  const own = said(runOf(['own', 'cf'], { own: 'nimbus', cf: null }));
  assert.match(own[0]![1], /they stay there until it can be changed again/, 'as configured');
});

test('the days are those of the replays', () => {
  const days = new Map<string, number>();
  for (const { whose, phases } of outages) {
    const first = phases.find((p) => p.strikes.some((s) => s.what === 'api' && s.whose === whose));
    const end = phases.find(
      (p) => first !== undefined && p.at > first.at && !p.strikes.some((s) => s.what === 'api'),
    );
    if (first === undefined || end === undefined) continue;
    const minutes = Math.round((Date.parse(end.at) - Date.parse(first.at)) / 60_000);
    days.set(`${whose} ${first.at.slice(0, 10)}`, minutes);
  }
  for (const cloud of ['alibaba', 'aws', 'cloudflare', 'tencent'] as const) {
    const { day, minutes } = unchangedDay(cloud)!;
    assert.equal(days.get(`${cloud} ${day}`), minutes, cloud);
  }
  assert.equal(unchangedDay('hetzner'), null);
});

test('names of one company are one cloud, others are not', () => {
  assert.ok(isOneCloud('aliyun', 'my-alibaba') && isOneCloud('aws', 'aws-prod'));
  assert.ok(isOneCloud('nimbus', 'nimbus') && !isOneCloud('nimbus', 'nimbus2'));
  assert.ok(!isOneCloud('aws', 'aliyun') && !isOneCloud('awsome', 'aws'));
});

test('the audit is told of the clouds by the configuration', () => {
  const parsed = parseConfig(exampleText, 'example', tables);
  assert.ok(parsed.ok);
  const { vendorClouds } = surroundingsOf(parsed.config, ['cf', 'r53', 'ali']);
  assert.deepEqual(vendorClouds, { cf: 'cloudflare', r53: 'aws', ali: 'aliyun' });
});
