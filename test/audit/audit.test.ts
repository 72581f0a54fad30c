// The audit against name servers on loopback and providers of the test's own making: each finding is
// brought about by breaking one thing in a world that is otherwise sound, and the sound world has
// none. The lab's vendors and the daemon's schedule come last.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { createAuditing } from '../../src/audit/hourly.ts';
import { runCli } from '../../src/cli/index.ts';
import { printAudit } from '../../src/cli/print.ts';
import { documents } from '../../src/cli/schema.ts';
import { type AuditFinding, type AuditReport, gradesOf } from '../../src/core/audit.ts';
import { judge, keyTag } from '../../src/dns/dnssec.ts';
import type { ReachingFinding } from '../../src/kit/extend.ts';
import { startLab } from '../../src/lab/lab.ts';
import { labSettings, writeSettings } from '../../src/lab/shell/settings.ts';
import type { Clock } from '../../src/ports.ts';
import { auditOnce } from '../../src/run/audit.ts';
import { serveControl } from '../../src/serve/control.ts';
import { createMetrics } from '../../src/serve/metrics.ts';
import { Readers } from '../../src/serve/readers.ts';
import { record as recordView, sampleView, standIn } from '../cli/desk.ts';
import {
  audited,
  cfAt,
  type Ds,
  found,
  type Key,
  lines,
  noneOf,
  ns,
  r53At,
  recordAt,
  say,
  sound,
  survey,
  www,
  zone,
} from './world.ts';

const running: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of running.reverse()) await close();
});

describe('the audit', () => {
  test('a sound world has nothing to look at, and every fact is known', async () => {
    const report = await audited({});
    noneOf(report, 'bad', 'warn');
    assert.equal(report.complete, true);
    assert.equal(report.wall, 1_700_000_000_000);
    for (const name of ['cf', 'r53']) {
      assert.deepEqual(survey(report, name), {
        provider: name,
        record: www,
        share: 0.5,
        parentTtl: 3600,
        negativeTtl: 60,
        bar: null,
      });
      assert.equal(found(report, 'delegation', { provider: name }).severity, 'good');
      assert.equal(found(report, 'cname', { provider: name }).severity, 'good');
      assert.equal(found(report, 'ttl', { provider: name }).severity, 'good');
    }
    assert.equal(found(report, 'in-step').severity, 'good');
  });

  test('a provider that is not in the delegation is bad, and its share is nothing', async () => {
    const report = await audited({ delegated: ['ns1.cf.test.'] });
    const finding = found(report, 'delegation', { provider: 'r53' });
    assert.equal(finding.severity, 'bad');
    assert.match(finding.cure!, /ns1\.r53\.test/);
    assert.deepEqual([survey(report, 'cf').share, survey(report, 'r53').share], [1, 0]);
  });

  test('servers of nobody in the delegation are bad, with their part of resolvers', async () => {
    const delegated = [...ns, 'ns.old.test.', 'ns2.old.test.'];
    const report = await audited({ delegated });
    const finding = found(report, 'delegation', { provider: null });
    assert.equal(finding.severity, 'bad');
    assert.match(finding.sentence, /ns\.old\.test\., ns2\.old\.test\..* 50 %/);
    assert.equal(survey(report, 'cf').share, 0.25);
  });

  test('a provider that names the servers of others with its own has only its own', async () => {
    const hosts = { cf: ['ns1.cf.test'], r53: ['ns1.r53.test', 'ns1.cf.test'] };
    const report = await audited({ hosts, delegated: ns });
    assert.deepEqual([survey(report, 'cf').share, survey(report, 'r53').share], [0.5, 0.5]);
  });

  test('an NS set that two providers share is told, and who is judged by whom', async () => {
    const hosts = { cf: ['ns1.cf.test', 'ns1.r53.test'], r53: ['ns1.cf.test', 'ns1.r53.test'] };
    const judged = { cf: [cfAt], r53: [r53At] };
    const well = await audited({ hosts, judged });
    const told = found(well, 'ns-set', { zone });
    assert.equal(told.severity, 'good');
    assert.match(told.sentence, /shared by cf, r53 \(ns1\.cf\.test\., ns1\.r53\.test\.\)/);
    assert.match(told.sentence, /cf by 127\.0\.0\.42; r53 by 127\.0\.0\.43/);
    assert.deepEqual([survey(well, 'cf').share, survey(well, 'r53').share], [0.5, 0.5]);
    const mixed = found(await audited({ hosts }), 'ns-set', { zone });
    assert.equal(mixed.severity, 'warn');
    assert.match(mixed.cure!, /`nameservers`/);
  });

  test('a zone that nobody delegates is bad', async () => {
    const report = await audited({ delegated: [] });
    assert.equal(found(report, 'delegation').severity, 'bad');
    assert.equal(survey(report, 'cf').share, null);
  });

  test('a delegation that is kept for days, and an NS set of its own, are told', async () => {
    const served = {
      ...sound.served,
      r53: [`${zone} 60 NS ns1.r53.test.`, sound.served['r53']![2]!],
    };
    const report = await audited({ parentTtl: 172_800, served });
    assert.equal(found(report, 'parent-ttl').severity, 'warn');
    assert.match(found(report, 'parent-ttl').sentence, /48 h/);
    assert.equal(survey(report, 'cf').parentTtl, 172_800);
    const set = found(report, 'ns-set', { provider: 'r53' });
    assert.match(set.sentence, /without ns1\.cf\.test\./);
    assert.equal(report.findings.filter((f) => f.word === 'ns-set').length, 1);
  });

  test('a long negative TTL is told, once, whoever noticed it', async () => {
    const negative = { cf: 900, r53: 900 };
    const told: ReachingFinding = {
      reach: { kind: 'record' },
      word: 'negative-ttl',
      severity: 'warn',
      sentence: 'x',
      cure: 'y',
    };
    const report = await audited({ negative, preflights: { cf: [told] } });
    const all = report.findings.filter((f) => f.word === 'negative-ttl');
    assert.deepEqual(all.map((f) => [f.provider, f.severity]).sort(), [
      ['cf', 'warn'],
      ['r53', 'warn'],
    ]);
    assert.equal(survey(report, 'cf').negativeTtl, 900);
  });

  test('providers that give different targets are not in step; during a switch that is only told', async () => {
    const served = { ...sound.served, r53: lines(`${www} 60 CNAME nrt.shop.test.`) };
    const report = await audited({ served });
    assert.equal(found(report, 'in-step').severity, 'bad');
    assert.match(found(report, 'in-step').sentence, /cf gives hz.* r53 gives nrt/);
    const status = {
      ...sampleView(),
      origins: [],
      records: [recordView({ name: www, switching: true })],
    };
    assert.equal(found(await audited({ served }, { status }), 'in-step').severity, 'warn');
  });

  test('no CNAME, a stranger, another TTL and a silent server each have their word', async () => {
    const none = await audited({ served: { ...sound.served, r53: lines() } });
    assert.equal(found(none, 'cname', { provider: 'r53' }).severity, 'bad');
    assert.match(found(none, 'cname', { provider: 'r53' }).cure!, /--create/);
    const other = await audited({
      served: { cf: lines(`${www} 60 CNAME x.test.`), r53: lines(`${www} 60 CNAME x.test.`) },
    });
    assert.match(found(other, 'cname', { provider: 'cf' }).sentence, /none of its targets/);
    assert.equal(found(other, 'cname', { provider: 'cf' }).severity, 'bad');
    const late = await audited({
      served: { ...sound.served, cf: lines(`${www} 600 CNAME hz.shop.test.`) },
    });
    assert.equal(found(late, 'ttl', { provider: 'cf' }).severity, 'warn');
    assert.match(found(late, 'ttl', { provider: 'cf' }).sentence, /600 s, not the 60 s/);
    const silent = await audited({ served: { ...sound.served, r53: null } });
    assert.equal(found(silent, 'serving', { provider: 'r53' }).severity, 'bad');
    assert.equal(survey(silent, 'r53').negativeTtl, null);
  });

  test('a lone provider is told', async () => {
    const report = await audited({ records: [recordAt(www, ['cf'])], delegated: ['ns1.cf.test.'] });
    assert.equal(found(report, 'single-provider').severity, 'warn');
    noneOf(report, 'bad');
  });

  test('a target that leads nowhere is bad, one that cannot be asked is only told', async () => {
    const targets = [{ origin: 'hangzhou', cname: 'gone.shop.test.' }];
    const broken = await audited({ records: [recordAt(www, ['cf', 'r53'], { targets })] });
    assert.equal(found(broken, 'target').severity, 'bad');
    const dead = await audited({
      records: [
        recordAt(www, ['cf', 'r53'], { targets: [{ origin: 'x', cname: 'a.dead.test.' }] }),
      ],
      root: ['dead.test. 60 NS ns.dead.test.', 'ns.dead.test. 60 A 127.0.0.44'],
    });
    assert.equal(found(dead, 'target').severity, 'unknown');
  });

  test('a target or a name server that leans on what is steered is told', async () => {
    const targets = [
      { origin: 'hangzhou', cname: `hz.${zone}` },
      { origin: 'tokyo', cname: 'alias.shop.test.' },
    ];
    const served = {
      cf: lines(`${www} 60 CNAME hz.${zone}`, `hz.${zone} 60 A 127.0.0.9`),
      r53: lines(`${www} 60 CNAME hz.${zone}`, `hz.${zone} 60 A 127.0.0.9`),
    };
    const report = await audited({
      records: [recordAt(www, ['cf', 'r53'], { targets })],
      served,
      root: [`alias.shop.test. 60 CNAME ${www}`],
    });
    const leaning = report.findings.filter((f) => f.word === 'dependence').map((f) => f.sentence);
    assert.ok(leaning.some((s) => s.includes(`the target hz.${zone} leans on the zone ${zone}`)));
    assert.ok(
      leaning.some((s) => s.includes(`the target alias.shop.test. leans on the record ${www}`)),
      say(report),
    );
    const own = `ns.${zone}`;
    const inside = await audited({
      delegated: [...ns, own],
      hosts: { ...sound.hosts, cf: ['ns1.cf.test', `ns.${zone}`] },
      root: [`${own} 60 A ${cfAt}`],
    });
    assert.match(found(inside, 'dependence').sentence, /the name server ns\.gslb/);
    assert.equal(found(inside, 'dependence').severity, 'warn');
  });

  test('another tool that manages a record or its zone is told, with what to exclude', async () => {
    const heritage = 'heritage=external-dns,external-dns/owner=shop';
    const report = await audited({
      served: {
        cf: lines(`${www} 60 CNAME hz.shop.test.`, `cname-${www} 60 TXT ${heritage}`),
        r53: lines(
          `${www} 60 CNAME hz.shop.test.`,
          `octodns-meta.${zone} 60 TXT octodns-version=1.22`,
        ),
      },
    });
    const owner = found(report, 'company', { provider: 'cf', record: www });
    assert.equal(owner.severity, 'warn');
    assert.match(owner.sentence, /^external-dns \(owner shop\) manages www/);
    assert.match(owner.cure!, /exclude www\S+ and _detour\.www\S+ there \(docs\/other-tools\.md\)/);
    const octodns = found(report, 'company', { provider: 'r53', record: null });
    assert.match(octodns.sentence, /^octoDNS manages records of gslb/);
    assert.equal(report.findings.filter((f) => f.word === 'company').length, 2);
  });

  test('a check that was never red on any path is told; one that was on one path is not', async () => {
    const status = { ...sampleView(), records: [] };
    const [first] = status.origins[0]!.checks;
    const never = { ...first!, id: 'tokyo/web', everFailed: false };
    const origins = [
      { ...status.origins[0]!, checks: [{ ...first!, everFailed: false }, first!, never] },
    ];
    const report = await audited({}, { status: { ...status, origins } });
    const told = report.findings.filter((f) => f.word === 'never-red');
    assert.deepEqual(
      told.map((f) => [f.severity, f.sentence.split(' ')[0]]),
      [['warn', 'tokyo/web']],
    );
  });

  test('a vendor out of reach is bad, and what was known of it stays known', async () => {
    const previous = await audited({});
    const down = { down: ['r53'], hosts: { ...sound.hosts, r53: [] } };
    const report = await audited(down, { previous });
    assert.equal(found(report, 'reach').severity, 'bad');
    assert.equal(survey(report, 'r53').share, 0.5);
    assert.equal(survey(report, 'r53').negativeTtl, 60);
    assert.equal(survey(report, 'cf').share, 0.5);
    assert.equal(survey(await audited(down), 'r53').share, null);
    const strangers = report.findings.filter(
      (f) => f.word === 'delegation' && f.severity === 'bad',
    );
    assert.deepEqual(
      strangers,
      [],
      'servers of a vendor that cannot be asked are not a stranger’s',
    );
  });

  test('findings of a preflight are told once a zone, with their place', async () => {
    const locked: ReachingFinding = {
      reach: { kind: 'record' },
      word: 'protection',
      severity: 'bad',
      sentence: 'locked',
      cure: null,
    };
    const keys: ReachingFinding = {
      reach: { kind: 'record' },
      word: 'credentials',
      severity: 'bad',
      sentence: 'refused',
      cure: 'x',
    };
    const records = [recordAt(www, ['cf', 'r53']), recordAt(`api.${zone}`, ['cf', 'r53'])];
    const report = await audited({ records, preflights: { cf: [locked, keys] } });
    const mine = report.findings.filter((f) => ['protection', 'credentials'].includes(f.word));
    assert.deepEqual(
      mine.map((f) => [f.word, f.provider, f.zone, f.record]),
      [
        ['credentials', 'cf', zone, null],
        ['protection', 'cf', zone, www],
      ],
    );
    assert.equal(report.findings[0]!.severity, 'bad', 'the worst first');
  });

  test('it ends in time, says that it is not whole, and bars nothing', async () => {
    const served = { cf: null, r53: null };
    const begin = performance.now();
    const report = await audited({ served }, { limitMs: 100 });
    assert.ok(performance.now() - begin < 5000);
    assert.equal(report.complete, false);
    assert.equal(found(report, 'bounds').severity, 'warn');
    assert.deepEqual(
      report.surveys.map((s) => s.bar),
      [null, null],
    );
  });

  test('more records than it asks for are said, and are taken from the status where there is one', async () => {
    const names = Array.from({ length: 510 }, (_, i) => `r${i}.${zone}`);
    const records = names.map((name) => recordAt(name, ['cf']));
    const served = {
      ...sound.served,
      cf: lines(...names.map((n) => `${n} 60 CNAME hz.shop.test.`)),
    };
    const report = await audited({ records, served, delegated: ['ns1.cf.test.'] });
    assert.match(found(report, 'bounds').sentence, /510 records, of which 500/);
    assert.equal(report.complete, false);
    assert.equal(report.surveys.length, 510);
    const wrong = recordView({ name: names[509]! });
    const status = { ...sampleView(), origins: [], records: [wrong] };
    const whole = await audited({ records, served, delegated: ['ns1.cf.test.'] }, { status });
    assert.equal(whole.complete, true);
    assert.equal(found(whole, 'cname', { record: names[509]! }).severity, 'bad');
  });
});

// ---------------------------------------------------------------- DNSSEC with several vendors

function key(seed: number, flags = 256): Key {
  return { name: zone, ttl: 60, type: 'DNSKEY', flags, algorithm: 13, key: Buffer.alloc(64, seed) };
}

/** RFC 4034 5.1.4, written out once more: owner, flags, protocol, algorithm, key. */
async function dsOf(k: Key): Promise<Ds> {
  const owner = Buffer.from('\x04gslb\x07example\x03net\x00', 'latin1');
  const data = Buffer.concat([owner, Buffer.of(k.flags >> 8, k.flags & 255, 3, 13), k.key]);
  const digest = Buffer.from(await crypto.subtle.digest('SHA-256', data));
  return {
    name: zone,
    ttl: 60,
    type: 'DS',
    keyTag: keyTag(k),
    algorithm: 13,
    digestType: 2,
    digest,
  };
}

/** A digest type that nobody knows: such a DS neither vouches nor condemns. */
function dsShape(k: Key) {
  return { keyTag: keyTag(k), algorithm: 13, digestType: 99, digest: Buffer.alloc(32) };
}

describe('DNSSEC across vendors', () => {
  const [ksk, zskCf, zskR53] = [key(1, 257), key(2), key(3)];

  test('the tag and digest of RFC 4034 5.4 are those of its example', () => {
    const text =
      'AQOeiiR0GOMYkDshWoSKz9XzfwJr1AYtsmx3TGkJaNXVbfi/2pHm822aJ5iI9BMzNXxeYCmZDRD99WYwYqUSdjMmmAph' +
      'XdvxegXd/M5+X7OrzKBaMbCVdFLUUh6DhweJBjEVv5f2wwjM9XzcnOf+EPbtG9DMBmADjFDc2w/rljwvFw==';
    const dnskey = { ...key(0), algorithm: 5, key: Buffer.from(text, 'base64') };
    assert.equal(keyTag(dnskey), 60485);
    const digest = Buffer.from('2BB183AF5F22588179A53B0A98631FAD1A292118', 'hex');
    const ds: Ds = {
      ...{ name: '', ttl: 0, type: 'DS' },
      keyTag: 60485,
      algorithm: 5,
      digestType: 1,
      digest,
    };
    const served = { provider: 'a', delegated: true, keys: [dnskey], signers: [60485] };
    const judged = judge('dskey.example.com.', [ds], [served]);
    assert.deepEqual(
      judged.findings.map((f) => f.severity),
      ['good'],
    );
    const other = judge('other.example.com.', [ds], [served]);
    assert.deepEqual(
      other.findings.map((f) => f.severity),
      ['bad'],
    );
  });

  test('vendors that publish one another’s keys are good', async () => {
    const keys = [ksk, zskCf, zskR53];
    const report = await audited({
      ds: [await dsOf(ksk)],
      keys: { cf: keys, r53: keys },
      signers: { cf: [keyTag(zskCf)], r53: [keyTag(zskR53)] },
    });
    assert.equal(found(report, 'dnssec').severity, 'good');
    assert.deepEqual(
      report.surveys.map((s) => s.bar),
      [null, null],
    );
  });

  test('with keys of their own each, and a DS for both, only the signing keys must be shared', async () => {
    const kskR53 = key(9, 257);
    const report = await audited({
      ds: [await dsOf(ksk), await dsOf(kskR53)],
      keys: { cf: [ksk, zskCf, zskR53], r53: [kskR53, zskCf, zskR53] },
      signers: { cf: [keyTag(zskCf)], r53: [keyTag(zskR53)] },
    });
    assert.equal(found(report, 'dnssec').severity, 'good');
  });

  test('a vendor that serves a signed zone unsigned is barred, and it alone', async () => {
    const report = await audited({
      ds: [await dsOf(ksk)],
      keys: { cf: [ksk, zskCf], r53: [] },
      signers: { cf: [keyTag(zskCf)], r53: [] },
    });
    const finding = found(report, 'dnssec', { provider: 'r53' });
    assert.equal(finding.severity, 'bad');
    assert.match(finding.sentence, /serves it unsigned/);
    assert.equal(survey(report, 'r53').bar, finding.sentence);
    assert.equal(survey(report, 'cf').bar, null);
  });

  test('vendors that sign with keys the others do not publish are barred', async () => {
    const kskR53 = key(9, 257);
    const report = await audited({
      ds: [await dsOf(ksk), await dsOf(kskR53)],
      keys: { cf: [ksk, zskCf], r53: [kskR53, zskR53] },
      signers: { cf: [keyTag(zskCf)], r53: [keyTag(zskR53)] },
    });
    assert.match(survey(report, 'cf').bar!, /a key that r53 does not publish/);
    assert.match(survey(report, 'r53').bar!, /a key that cf does not publish/);
  });

  test('a key that is published and not used, as in a rollover, bars nobody', async () => {
    const next = key(7);
    const report = await audited({
      ds: [await dsOf(ksk)],
      keys: { cf: [ksk, zskCf, zskR53, next], r53: [ksk, zskCf, zskR53] },
      signers: { cf: [keyTag(zskCf)], r53: [keyTag(zskR53)] },
    });
    assert.equal(found(report, 'dnssec').severity, 'good');
  });

  test('where it cannot be seen which key signs, nobody is condemned for one more', () => {
    const ds: Ds = { ...{ name: zone, ttl: 0, type: 'DS' }, ...dsShape(ksk) };
    const [cf, r53] = [
      { provider: 'cf', delegated: true, keys: [ksk, zskCf, zskR53], signers: null },
      { provider: 'r53', delegated: true, keys: [ksk, zskCf], signers: [keyTag(zskCf)] },
    ];
    const judged = judge(zone, [ds], [cf, r53]);
    assert.deepEqual(
      judged.findings.map((f) => [f.provider, f.severity]),
      [['cf', 'unknown']],
    );
    assert.deepEqual([...judged.bars], [['r53', null]]);
    const idle = judge(zone, [ds], [{ ...cf, signers: [] }, r53]);
    assert.match(idle.bars.get('cf')!, /without signing/);
  });

  test('keys that the DS does not vouch for are bad', async () => {
    const report = await audited({
      ds: [await dsOf(key(99, 257))],
      keys: { cf: [ksk, zskCf], r53: [ksk, zskCf] },
      signers: { cf: [keyTag(zskCf)], r53: [keyTag(zskCf)] },
    });
    assert.match(found(report, 'dnssec', { provider: 'cf' }).sentence, /the DS vouches for/);
  });

  test('keys that could not be seen bar nobody, and a bar that stood stays', async () => {
    const ds = [await dsOf(ksk)];
    const signers = { cf: [keyTag(zskCf)], r53: [] };
    const keys = { cf: [ksk, zskCf], r53: null };
    const fresh = await audited({ ds, keys, signers });
    assert.equal(found(fresh, 'dnssec', { provider: 'r53' }).severity, 'unknown');
    assert.equal(survey(fresh, 'r53').bar, null);
    const previous = await audited({ ds, keys: { ...keys, r53: [] }, signers });
    const after1 = await audited({ ds, keys, signers }, { previous });
    assert.equal(survey(after1, 'r53').bar, survey(previous, 'r53').bar);
    assert.notEqual(survey(after1, 'r53').bar, null);
    const mended = await audited({ ds: [], keys, signers }, { previous });
    assert.equal(survey(mended, 'r53').bar, null, 'no DS, no bar');
  });

  test('without a DS signing is only told, outside the delegation it bars nothing', async () => {
    const keys = { cf: [ksk, zskCf], r53: [] };
    const signers = { cf: [keyTag(zskCf)], r53: [] };
    const idle = await audited({ keys, signers });
    assert.equal(found(idle, 'dnssec').severity, 'warn');
    assert.deepEqual(
      idle.surveys.map((s) => s.bar),
      [null, null],
    );
    const ds = [await dsOf(ksk)];
    const outside = await audited({ ds, keys, signers, delegated: ['ns1.cf.test.'] });
    assert.equal(found(outside, 'dnssec', { provider: 'r53' }).severity, 'warn');
    assert.equal(survey(outside, 'r53').bar, null);
    const alone = judge(zone, ds, [{ provider: 'cf', delegated: true, keys: [], signers: [] }]);
    assert.deepEqual([alone.findings[0]?.severity, alone.bars.get('cf')], ['bad', null]);
  });
});

// ---------------------------------------------------------------- when, and for whom

/** A clock whose time is the test's. */
function handClock() {
  let now = 0;
  const timers = new Set<{ at: number; then: () => void }>();
  const clock: Clock = {
    now: () => now,
    wall: () => now,
    after(ms, then) {
      const timer = { at: now + ms, then };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
  };
  return {
    clock,
    due: () => [...timers].map((t) => t.at - now),
    async go(ms: number) {
      now += ms;
      for (const timer of [...timers].filter((t) => t.at <= now)) {
        timers.delete(timer);
        timer.then();
      }
      await new Promise((done) => setImmediate(done));
    },
  };
}

const report = (...findings: AuditFinding[]): AuditReport => ({
  wall: 1000,
  tookMs: 5,
  complete: true,
  grades: gradesOf(findings),
  findings,
  surveys: [],
  standbys: [],
});
const finding = (
  severity: AuditFinding['severity'],
  word: AuditFinding['word'],
  sentence: string = word,
): AuditFinding => ({
  ...{ word, severity, sentence, cure: severity === 'good' ? null : 'mend it' },
  ...{ provider: 'cf', zone, record: null },
});

describe('when audits are made', () => {
  function auditing(make: (signal: AbortSignal) => Promise<AuditReport>) {
    const hand = handClock();
    const news: string[][] = [];
    const troubles: string[] = [];
    const it = createAuditing({
      auditor: () => ({ audit: (signal) => make(signal) }),
      status: async () => sampleView(),
      clock: hand.clock,
      chance: () => 0.25,
      done: (_, fresh) => void news.push(fresh.map((f) => f.sentence)),
      trouble: (what, detail) => void troubles.push(`${what}: ${detail}`),
    });
    return { ...hand, it, news, troubles };
  }

  test('after five seconds, then hourly with a jitter, and only news is told', async () => {
    const reports = [
      report(finding('bad', 'reach', 'for 1 s'), finding('warn', 'ttl')),
      report(finding('bad', 'reach', 'for 2 s'), finding('bad', 'zone')),
      report(),
      report(finding('bad', 'reach', 'again')),
    ];
    const { it, go, due, news } = auditing(async () => reports.shift()!);
    it.start();
    assert.deepEqual(due(), [5000]);
    assert.deepEqual(it.audited(), { running: false, report: null });
    for (let i = 0; i < 4; i++) {
      await go(due()[0]!);
      assert.deepEqual(due(), [3_600_000 * 0.95]);
    }
    assert.deepEqual(news, [['for 1 s'], ['zone'], [], ['again']]);
    it.close();
    assert.deepEqual(due(), []);
  });

  test('one at a time: whoever asks meanwhile joins; a reload drops it and begins anew', async () => {
    const under: { resolve: (r: AuditReport) => void; signal: AbortSignal }[] = [];
    const { it, due, news } = auditing(
      (signal) => new Promise((resolve) => void under.push({ resolve, signal })),
    );
    const [a, b] = [it.now(), it.now()];
    await new Promise((done) => setImmediate(done));
    assert.equal(under.length, 1);
    assert.equal(it.audited().running, true);
    it.renew();
    assert.equal(under[0]!.signal.aborted, true);
    assert.deepEqual(due(), [5000]);
    under[0]!.resolve(report(finding('bad', 'reach')));
    await Promise.all([a, b]);
    assert.deepEqual([news, it.audited().report], [[], null], 'what was dropped is not told');
    assert.deepEqual(due(), [5000]);
    it.close();
  });

  test('an audit that fails is a trouble, and the next one comes', async () => {
    const { it, go, due, troubles } = auditing(async () => {
      throw new Error('a fault of ours');
    });
    it.start();
    await go(5000);
    assert.deepEqual(troubles, ['audit: a fault of ours']);
    assert.deepEqual(due(), [3_600_000 * 0.95]);
    it.close();
  });
});

describe('who is told', () => {
  const io = (out: string[], err: string[], env: Record<string, string> = {}) => ({
    out: (text: string) => void out.push(text),
    err: (text: string) => void err.push(text),
    exit: () => {},
    env,
    user: 'ann',
    terminal: false,
    interactive: false,
    colour: false,
    columns: () => 120,
    rows: () => 40,
    confirm: async () => false,
    interrupted: () => () => {},
  });
  type Hands = Parameters<typeof runCli>[1];
  const hands = (made: AuditReport) =>
    ({ version: '1', audit: async () => made }) as unknown as Hands;

  test('the command has the daemon look, waits for it, and ends with 1 when something is bad', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'detour-audit-'));
    const path = join(directory, 's');
    const desk = standIn();
    let asked = 0;
    let running = false;
    desk.auditing = () => {
      asked += 1;
      running = true;
      return new Promise(() => {});
    };
    desk.audited = () => {
      const now = { running, report: running ? null : desk.report };
      running = false;
      desk.report = report(finding('bad', 'reach', 'cf is silent'), finding('good', 'ttl'));
      return now;
    };
    const served = await serveControl({
      path,
      desk,
      readers: new Readers(),
      trouble: () => {},
      commandMs: 50,
    });
    try {
      const [out, err]: string[][] = [[], []];
      const code = await runCli(
        ['audit'],
        hands(report()),
        io(out!, err!, { DETOUR_SOCKET: path }),
      );
      assert.deepEqual([code, asked, err], [1, 1, []]);
      assert.match(
        out!.join(''),
        /bad +reach +gslb\.example\.net cf +cf is silent\. Cure: mend it/,
      );
      assert.match(out!.join(''), /1 bad, 0 to look at, 1 good \(--all shows it\)/);
    } finally {
      await served.close();
      await rm(directory, { recursive: true });
    }
  });

  test('from here with -c: 0 when nothing is bad, the document with --json, the reply’s own code', async () => {
    const [out, err]: string[][] = [[], []];
    const fine = report(finding('warn', 'ttl'));
    assert.equal(await runCli(['audit', '-c', 'x.yaml'], hands(fine), io(out!, err!)), 0);
    const strict = ['audit', '-c', 'x', '--strict'];
    assert.equal(await runCli(strict, hands(fine), io(out!, err!)), 1, 'a B is no A');
    const least = (grade: string) => ['audit', '-c', 'x', '--fail-on', grade];
    assert.equal(await runCli(least('c'), hands(fine), io(out!, err!)), 0);
    assert.equal(await runCli(least('B'), hands(fine), io(out!, err!)), 1);
    const unseen = report(finding('unknown', 'target'), finding('good', 'ttl'));
    assert.equal(await runCli(strict, hands(unseen), io(out!, err!)), 0, 'unknown fails nothing');
    assert.equal(await runCli(least('E'), hands(fine), io(out!, [])), 2);
    const bad = report(finding('bad', 'zone'));
    out!.length = 0;
    assert.equal(await runCli(['audit', '-c', 'x', '--json'], hands(bad), io(out!, err!)), 1);
    const shaped = documents.audit.parse(JSON.parse(out!.join('')));
    assert.deepEqual(
      shaped.findings.map((f) => f.word),
      ['zone'],
    );
    const refused = { exit: 2, message: 'x: ENOENT' } as unknown as AuditReport;
    assert.equal(await runCli(['audit', '-c', 'x'], hands(refused), io(out!, err!)), 2);
    assert.match(err!.join(''), /x: ENOENT/);
  });

  test('no text of a vendor moves the cursor', () => {
    const odd = report(finding('bad', 'zone', 'evil \x1b[2J\nbad  forged'));
    const text = printAudit(odd, { columns: 200, colour: false }, false);
    assert.equal(text.includes('\x1b'), false);
    assert.equal(text.split('\n').filter((line) => line.startsWith('bad')).length, 1);
  });

  test('the numbers are in the metrics', async () => {
    const desk = standIn();
    const metrics = createMetrics({ desk, version: '1', readers: new Readers() });
    const none = String(await metrics.text());
    assert.match(none, /^detour_audit_timestamp_seconds 0$/m);
    assert.doesNotMatch(none, /^detour_audit_findings\{/m);
    const at = { record: www, why: '' };
    desk.report = {
      ...report(finding('bad', 'zone'), finding('warn', 'ttl'), finding('warn', 'zone')),
      standbys: [
        { ...at, target: 'hangzhou', word: 'fit', certificateDays: 60 },
        { ...at, target: 'tokyo', word: 'unfit', certificateDays: null },
        { ...at, target: 'osaka', word: 'poor', certificateDays: 13 },
        { ...at, target: 'paris', word: 'unknown', certificateDays: null },
      ],
    };
    const text = String(await metrics.text());
    assert.match(text, /^detour_audit_timestamp_seconds 1$/m);
    const line = (text: string) => new RegExp(`^${text.replaceAll(/[{}]/g, '\\$&')}$`, 'm');
    assert.match(text, line('detour_audit_findings{word="zone",severity="bad"} 1'));
    assert.match(text, line('detour_audit_findings{word="zone",severity="warn"} 1'));
    assert.match(text, line('detour_audit_findings{word="ttl",severity="good"} 0'));
    assert.match(text, line('detour_audit_grade{area="overall"} 5'));
    assert.match(text, line('detour_audit_grade{area="times"} 2'));
    assert.doesNotMatch(text, /detour_audit_grade\{area="names"\}/);
    const series = text.split('\n').filter((one) => /^detour_standby_\w+\{/.test(one));
    const record = 'record="www.gslb.example.net"';
    assert.deepEqual(series, [
      `detour_standby_fit{${record},target="hangzhou"} 1`,
      `detour_standby_fit{${record},target="tokyo"} 0`,
      `detour_standby_fit{${record},target="osaka"} 1`,
      `detour_standby_certificate_days{${record},target="hangzhou"} 60`,
      `detour_standby_certificate_days{${record},target="osaka"} 13`,
    ]);
  });
});

test('the lab: nothing is bad; a token that is refused is, and the others go on', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'detour-audit-'));
  const lab = await startLab({ quotas: 'off' });
  running.push(() => lab.close());
  const place = { directory, socket: join(directory, 's'), listenPort: 9, roles: true };
  const patient = labSettings(lab, place).map((file) => ({
    ...file,
    text: file.text
      .replaceAll(/^ {4}endpoint:.*$/gm, '$&\n    timeout: 30s')
      .replace('dns: { ', 'dns: { timeout: 20s, '),
  }));
  writeSettings(patient, directory);
  const look = async () => {
    const made = await auditOnce(join(directory, 'detour.yaml'), null);
    assert.ok(!('exit' in made), JSON.stringify(made));
    return made;
  };
  try {
    const fine = await look();
    noneOf(fine, 'bad');
    assert.equal(fine.complete, true);
    for (const name of ['cf', 'r53', 'ali']) {
      assert.equal(found(fine, 'write-permission', { provider: name }).severity, 'good');
      assert.ok(Math.abs(survey(fine, name).share! - 1 / 3) < 1e-9);
    }
    // Both take a role, for an hour, at a cloud that their own records lead to.
    for (const name of ['r53', 'ali']) {
      const { severity, sentence } = found(fine, 'key', { provider: name });
      assert.equal(severity, 'warn');
      assert.match(
        sentence,
        /\(assume-role\) is renewed by \S+ of (aws|aliyun) .*at worst, less than/,
      );
    }
    await lab.break('vendor', 'cloudflare', 'auth');
    await lab.break('sts', 'aliyun', 'auth');
    const refused = await look();
    const unheld = found(refused, 'key', { provider: 'ali' });
    assert.equal(unheld.severity, 'bad');
    assert.match(unheld.sentence, /could not be renewed, and none is held: credentials: sts: Ass/);
    assert.equal(found(refused, 'credentials', { provider: 'ali' }).severity, 'bad');
    assert.equal(found(refused, 'credentials', { provider: 'cf' }).severity, 'bad');
    assert.equal(found(refused, 'write-permission', { provider: 'r53' }).severity, 'good');
    assert.equal(found(refused, 'in-step', { record: www }).severity, 'good');
    assert.equal(
      refused.findings.some((f) => f.word === 'write-permission' && f.provider === 'cf'),
      false,
    );
  } finally {
    await rm(directory, { recursive: true });
  }
});
