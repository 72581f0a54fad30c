// The standby is real: targets that serve, or do not, over real TLS on loopback. A sound set-up is
// clean; each of twelve rotten ones is named with its cure; and while a sound target is up none
// that is rotten itself is chosen, by the engine and from what the audit really found.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { blockOf, blocks } from '../../src/audit/blocks.ts';
import { parseConfig } from '../../src/config/config.ts';
import type { AuditReport } from '../../src/core/audit.ts';
import type { Entry, FindingWord, Severity } from '../../src/core/model.ts';
import type { StatusView } from '../../src/core/view.ts';
import { tables } from '../../src/run/build.ts';
import { visitsOf } from '../../src/run/visits.ts';
import { at, record as recordView, sampleView } from '../cli/desk.ts';
import { coreConfig, World as Engine } from '../core/world.ts';
import { makeAuthority, type Shown } from '../parts/authority.ts';
import { freePort } from '../parts/bind.ts';
import { audited, bothLead, ns, recordAt, say, typed, type World, www } from './world.ts';

const directory = mkdtempSync(join(tmpdir(), 'detour-standby-'));
const running: { close(): void; closeAllConnections?(): void }[] = [];
after(() => {
  for (const one of running) {
    one.closeAllConnections?.();
    one.close();
  }
  rmSync(directory, { recursive: true, force: true });
});

const [hz, nrt, osa] = ['127.0.0.51', '127.0.0.52', '127.0.0.53'];
const name = typed.slice(0, -1);
const all = [name, 'hz.origins.test', 'nrt.origins.test', 'osa.origins.test'];

const authority = makeAuthority(directory);
const long = authority.intermediate('long', 400);
const good = authority.leaf('good', all, 200, long);
const bad = {
  other: authority.leaf('other', ['nrt.origins.test'], 200, long),
  days: authority.leaf('days', all, 14, long),
  intermediate: authority.leaf('leaf', all, 200, authority.intermediate('short', 5)),
};

const shop: RequestListener = (request, response) => {
  const type = { 'content-type': 'text/html; charset=utf-8' };
  response.writeHead(200, { ...type, 'strict-transport-security': 'max-age=60' });
  response.end(`<title>the shop</title>${request.headers.host}`);
};

/** Answers the public name in its own way, and its own name as the shop does. */
function named(odd: (response: ServerResponse) => void): RequestListener {
  return (request: IncomingMessage, response) => {
    if (request.headers.host?.startsWith(name)) odd(response);
    else shop(request, response);
  };
}

async function serve(address: string, shown: Shown, listener: RequestListener): Promise<number> {
  const server = https.createServer({ cert: shown.cert, key: shown.key }, listener);
  running.push(server);
  await new Promise<void>((done) => server.listen(0, address, done));
  return (server.address() as net.AddressInfo).port;
}

async function serveHttp(address: string, listener: RequestListener): Promise<number> {
  const server = http.createServer(listener);
  running.push(server);
  await new Promise<void>((done) => server.listen(0, address, done));
  return (server.address() as net.AddressInfo).port;
}

/** TLS that is cut off once the public name was read, as a cloud does to a name without a filing. */
async function cutOff(address: string): Promise<number> {
  const behind = await serve(address, good, shop);
  const server = net.createServer((from) => {
    from.on('error', () => {});
    from.once('data', (hello) => {
      if (hello.includes(name)) return void from.resetAndDestroy();
      const to = net.connect(behind, address);
      to.on('error', () => from.destroy());
      to.write(hello);
      from.pipe(to).pipe(from);
    });
  });
  running.push(server);
  await new Promise<void>((done) => server.listen(0, address, done));
  return (server.address() as net.AddressInfo).port;
}

const sound = { hangzhou: await serve(hz, good, shop), osaka: await serve(osa, good, shop) };

interface Set {
  /** Port of tokyo; a sound one unless given. */
  readonly tokyo?: number;
  readonly more?: readonly string[];
  readonly change?: Partial<World>;
  readonly carried?: number | null;
  readonly scheme?: 'http' | 'https';
}

const well = await serve(nrt, good, shop);
const steered = {
  ...recordAt(www, ['cf', 'r53'], { names: [typed] }),
  targets: [
    { origin: 'hangzhou', cname: 'hz.origins.test.' },
    { origin: 'tokyo', cname: 'nrt.origins.test.' },
    { origin: 'osaka', cname: 'osa.origins.test.' },
  ],
};

/** The checks as a user writes them, and what is made of that. */
function visitsFor(ports: Readonly<Record<string, number>>, scheme: string) {
  const origins = steered.targets.map(({ origin, cname }) => {
    const url = `${origin === 'tokyo' ? scheme : 'https'}://${cname.slice(0, -1)}:${ports[origin]}/`;
    const expect = '{ status: 200, body: { text: the shop } }';
    const web = `{ http: "${url}", ca: ${authority.caFile}, expect: ${expect}, timeout: 5s, interval: 10s }`;
    return `  ${origin}: { cloud: of-${origin}, checks: { web: ${web} } }`;
  });
  const targets = steered.targets.map(
    ({ origin, cname }) => `{ origin: ${origin}, cname: ${cname} }`,
  );
  const text = [
    'cluster: shop',
    'providers: { cf: { type: cloudflare, apiToken: { env: X } } }',
    'origins:',
    ...origins,
    `records: { www.gslb.example.net: { publish: [cf], targets: [${targets.join(', ')}] } }`,
  ].join('\n');
  const parsed = parseConfig(text, 'detour.yaml', tables);
  assert.ok(parsed.ok, parsed.ok ? '' : JSON.stringify(parsed.problems));
  return visitsOf(parsed.config, { secret: () => assert.fail('no secret is asked for') });
}

/** The set-up with three targets of which hangzhou is in force, as the audit finds it. */
async function look(set: Set): Promise<AuditReport> {
  const { tokyo = well, more = [], change = {}, carried = at - 86_400_000, scheme = 'https' } = set;
  const targets = steered.targets.map(({ origin, cname }) => {
    const usual = { health: 'up', drained: false, sinceAt: 0, flaw: null } as const;
    const carriedAt = origin === 'hangzhou' ? null : origin === 'tokyo' ? carried : at - 5;
    return { ...usual, origin, cname, carriedAt };
  });
  const promised = { objectiveMs: null, predicted: null };
  const view = recordView({ name: www, target: 'hangzhou', targets, lastDrill: null, ...promised });
  const drills = { last: [], scheduled: [], overdue: [] };
  const status = { ...sampleView(), records: [view], origins: [], drills } as StatusView;
  const lines = [
    'origins.test. 3600 NS ns1.cf.test.',
    `hz.origins.test. 60 A ${hz}`,
    `nrt.origins.test. 60 A ${nrt}`,
    `osa.origins.test. 60 A ${osa}`,
  ];
  const served = `${www} 60 CNAME hz.origins.test.`;
  const zoneLines = [...ns.map((n) => `gslb.example.net. 3600 NS ${n}`), served];
  return audited(
    {
      records: [steered],
      served: { cf: zoneLines, r53: zoneLines },
      targets: [...lines, ...more],
      timeoutMs: 5000,
      ...change,
    },
    { status, visits: visitsFor({ ...sound, tokyo }, scheme), wall: Date.now() },
  );
}

/** What the engine does when hangzhou breaks, after being told what the audit found. */
function decided({ standbys }: AuditReport): Entry {
  const clouds = steered.targets.map(({ origin }) => [origin, { cloud: `of-${origin}` }] as const);
  const w = new Engine(coreConfig({ providers: ['cf'], origins: Object.fromEntries(clouds) }));
  w.hold('www.gslb.test.', 'hangzhou.shop.test.');
  w.start();
  w.advance(5_000);
  const here = standbys.map((one) => ({ ...one, record: 'www.gslb.test.' }));
  w.send({ kind: 'surveyed', surveys: [], standbys: here });
  w.origins.set('hangzhou', 'fail');
  w.advance(10_000);
  const switched = w.journal.find(({ entry }) => entry.kind === 'switch')?.entry;
  return switched ?? assert.fail('it goes nowhere');
}

const goesTo = (report: AuditReport) => decided(report).sentence;

interface Rotten {
  readonly name: string;
  readonly set: () => Promise<Set> | Set;
  readonly word: FindingWord;
  readonly severity: Severity;
  readonly says: RegExp;
  readonly cure: RegExp;
  /** It is tokyo that is rotten, and not what leads to all of them. */
  readonly isOfTarget: boolean;
}

const tokyo = async (shown: Shown, listener: RequestListener): Promise<Set> => ({
  tokyo: await serve(nrt, shown, listener),
});
const ofTarget = { isOfTarget: true, word: 'standby', severity: 'bad' } as const;
const ofName = { isOfTarget: false, word: 'public-name', severity: 'bad' } as const;
const page =
  '<title>Non-compliance ICP Filing</title><iframe src="//www.aliyun.com/beian/beian-block">';
/** Priority 1, the name itself, and an ipv4hint. */
const hint = (address: string) => `nrt.origins.test. 60 UNKNOWN_65 0001 00 0004 0004 ${address}`;

const rotten: readonly Rotten[] = [
  {
    name: 'the certificate is for another name',
    set: () => tokyo(bad.other, shop),
    ...ofTarget,
    says: /^tokyo \(nrt\.origins\.test\): it shows no certificate that does for www\.shop-front\.test: .*ALTNAME/,
    cure: /get a certificate for www\.shop-front\.test there, by DNS-01/,
  },
  {
    name: '13 days are left of the certificate',
    set: () => tokyo(bad.days, shop),
    ...{ ...ofTarget, word: 'standby-certificate', severity: 'warn' },
    says: /^tokyo .*: of the chain that it shows for www\.shop-front\.test a certificate ends in 13 days/,
    cure: /renew it at tokyo, intermediates too \(at least 14 days are wanted\)/,
  },
  {
    name: '4 days are left of an intermediate',
    set: () => tokyo(bad.intermediate, shop),
    ...{ ...ofTarget, word: 'standby-certificate', severity: 'warn' },
    says: /^tokyo .*a certificate ends in 4 days/,
    cure: /intermediates too/,
  },
  {
    name: 'the Host is refused',
    set: () =>
      tokyo(
        good,
        named((response) => void response.writeHead(421).end()),
      ),
    ...ofTarget,
    says: /^tokyo .*: it refuses www\.shop-front\.test \(status 421, expected 200\), while nrt\.origins\.test passes/,
    cure: /add www\.shop-front\.test to the names that tokyo serves/,
  },
  {
    name: 'a cloud’s block page answers',
    set: () =>
      tokyo(
        good,
        named((r) => void r.writeHead(403, { server: 'Beaver' }).end(page)),
      ),
    ...ofTarget,
    says: /^tokyo .*: a block page of Alibaba Cloud answers for www\.shop-front\.test \(403\)/,
    cure: /file www\.shop-front\.test with the cloud of tokyo \(备案\)/,
  },
  {
    name: 'it redirects home, to the dead one',
    set: () => {
      const location = `https://hz.origins.test:${sound.hangzhou}/`;
      return tokyo(
        good,
        named((r) => void r.writeHead(302, { location }).end()),
      );
    },
    ...ofTarget,
    says: /^tokyo .*: www\.shop-front\.test is sent on to hz\.origins\.test, which is hangzhou/,
    cure: /let tokyo serve www\.shop-front\.test itself/,
  },
  {
    name: 'another body answers',
    set: () =>
      tokyo(
        good,
        named((response) => void response.end('It works!')),
      ),
    ...ofTarget,
    says: /^tokyo .*: www\.shop-front\.test gets another body \(.*\), while nrt\.origins\.test passes/,
    cure: /deploy there what users of www\.shop-front\.test get/,
  },
  {
    name: 'an HTTPS record leads elsewhere',
    set: () => ({ more: [hint('7f000033')] }),
    ...ofTarget,
    says: /^tokyo .*: its HTTPS record sends browsers to 127\.0\.0\.51, which is that of hangzhou/,
    cure: /correct or remove the HTTPS record of nrt\.origins\.test/,
  },
  {
    name: 'the CNAME is missing',
    set: () => ({ change: { business: { ns, lines: bothLead() } } }),
    ...ofName,
    says: /www\.shop-front\.test does not exist, or is no CNAME: it leads nobody to www\.gslb/,
    cure: /make it one CNAME to www\.gslb\S+ at every vendor/,
  },
  {
    name: 'the CNAME is at one of two vendors',
    set: () => {
      const { cf } = bothLead(`${typed} 3600 CNAME ${www}`);
      return { change: { business: { ns, lines: { cf: cf!, r53: bothLead()['r53']! } } } };
    },
    ...ofName,
    says: /do not say the same of it: www\.gslb\S+ at cf\.test, missing at r53\.test/,
    cure: /make it one CNAME to www\.gslb\S+ at every vendor/,
  },
  {
    name: 'the CNAME has a TTL of a day',
    set: () => ({ change: { business: { ns, lines: bothLead(`${typed} 86400 CNAME ${www}`) } } }),
    ...{ ...ofName, severity: 'warn' },
    says: /resolvers keep for 24 h that www\.shop-front\.test leads to www\.gslb/,
    cure: /lower the TTL of that CNAME to 60 min or less/,
  },
  {
    name: 'it was never asked',
    set: () => ({ carried: null }),
    ...{ ...ofTarget, word: 'untried', severity: 'warn' },
    says: /^tokyo .*: it has never had the record/,
    cure: /detour drill live www\.gslb\.example\.net tokyo/,
  },
];

describe('targets under the public names of their records', () => {
  test('a sound set-up is clean, and the first choice is taken', async () => {
    const report = await look({});
    const odd = report.findings.filter(({ severity }) => severity !== 'good');
    assert.deepEqual(odd, [], say(report));
    assert.deepEqual(
      report.standbys.map(({ target, word, why }) => [target, word, why]),
      steered.targets.map(({ origin }) => [origin, 'fit', '']),
    );
    assert.deepEqual(
      report.standbys.map((s) => s.certificateDays),
      [199, 199, 199],
    );
    assert.match(goesTo(report), /: hangzhou -> tokyo: hangzhou is down$/);
  });

  assert.equal(rotten.length, 12);
  for (const { name: what, set, word, severity, says, cure, isOfTarget } of rotten) {
    test(what, async () => {
      const report = await look(await set());
      const odd = report.findings.filter((f) => f.severity !== 'good');
      const it = odd.find((f) => says.test(f.sentence.replaceAll(/\.(?=[ :),]|$)/g, '')));
      assert.ok(it !== undefined, say(report));
      assert.deepEqual([it.word, it.severity, it.record], [word, severity, www]);
      assert.match(it.cure ?? '', cure);
      assert.deepEqual(
        odd.filter((f) => f !== it),
        [],
        'and nothing that is sound',
      );
      const { sentence: switched, data } = decided(report);
      if (isOfTarget) {
        const { why } = report.standbys.find((one) => one.target === 'tokyo')!;
        assert.ok(
          switched.endsWith(`hangzhou -> osaka: hangzhou is down; passed over tokyo: ${why}`),
        );
        // The same for whoever asks `detour explain` later.
        const { alternatives } = data as { alternatives: { origin: string; why: string }[] };
        const asked = alternatives.find(({ origin }) => origin === 'tokyo')!;
        assert.ok(asked.why.endsWith(why), asked.why);
      } else assert.match(switched, /-> tokyo: hangzhou is down$/);
      if (process.env['SAY'] === '1') console.log(`${it.severity} ${it.sentence}; ${it.cure}`);
    });
  }

  test('an HTTPS record that leads nowhere that is known goes after those without', async () => {
    const away = await look({ more: [hint('7f000063')] });
    const it = away.findings.find((f) => f.severity === 'warn' && f.word === 'standby')!;
    assert.match(it.sentence, /browsers to 127\.0\.0\.99, which is none of its addresses/);
    assert.match(goesTo(away), /-> osaka: hangzhou is down; passed over tokyo/);
    const own = await look({ more: [hint('7f000034')] });
    assert.deepEqual(
      own.findings.filter((f) => f.severity === 'warn').map((f) => f.sentence.split('force: ')[1]),
      ['hangzhou has no HTTPS record, and tokyo has'],
    );
  });

  test('to https, and to another public name, every browser is sent on', async () => {
    const other = `https://shop-front.test/`;
    const listener = named((r) => void r.writeHead(301, { location: other }).end());
    const tokyo = await serve(nrt, good, listener);
    const names = [typed, 'shop-front.test.'];
    const report = await look({ tokyo, change: { records: [{ ...steered, names }] } });
    assert.ok(!say(report).includes(`refuses ${name}`), say(report));
    const location = `https://${name}:${well}/`;
    const plain = named((r) => void r.writeHead(301, { location }).end());
    const upgraded = await look({ tokyo: await serveHttp(nrt, plain), scheme: 'http' });
    assert.equal(upgraded.standbys.find((one) => one.target === 'tokyo')!.word, 'fit');
    assert.deepEqual(
      upgraded.standbys.map((s) => s.certificateDays),
      [199, 199, 199],
    );
  });

  test('TLS that is cut off for the public name alone is a cloud’s doing', async () => {
    const report = await look({ tokyo: await cutOff(nrt) });
    const it = report.findings.find((f) => f.severity === 'bad')!;
    assert.match(
      it.sentence,
      /it hangs up on www\.shop-front\.test \(.*\), while nrt\.origins\.test/,
    );
    assert.match(it.cure!, /备案/);
  });

  test('a plain page of a cloud at port 80 is one, too', async () => {
    const location = `https://dnspod.qcloud.com/static/webblock.html?d=${name}`;
    const listener = named((r) => void r.writeHead(302, { location }).end());
    const report = await look({ tokyo: await serveHttp(nrt, listener), scheme: 'http' });
    assert.match(
      say(report),
      /a block page of Tencent Cloud answers for www\.shop-front\.test \(302\)/,
    );
  });

  test('what cannot be reached, or fails its own check, is not known and speaks against nobody', async () => {
    const nobody = await freePort();
    const broken = await serve(nrt, good, (_, response) => void response.writeHead(503).end());
    for (const tokyo of [nobody, broken]) {
      const report = await look({ tokyo });
      assert.equal(report.standbys.find((one) => one.target === 'tokyo')!.word, 'unknown');
      const odd = report.findings.filter(({ severity }) => severity !== 'good');
      assert.deepEqual(
        [...new Set(odd.map((f) => `${f.word} ${f.severity}`))],
        ['standby unknown'],
      );
      assert.match(goesTo(report), /-> tokyo: hangzhou is down$/);
    }
  });

  test('a difference from the target in force is told, and bars nothing', async () => {
    const plain: RequestListener = (_, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' }).end('the shop');
    };
    const report = await look({ tokyo: await serve(nrt, good, plain) });
    const told = report.findings.filter(({ severity }) => severity === 'warn');
    assert.deepEqual(
      told.map(({ sentence }) => /force: (.*)$/.exec(sentence)![1]),
      [
        'tokyo sends www.shop-front.test no Strict-Transport-Security, and hangzhou does',
        'gives www.shop-front.test as text/plain, and hangzhou as text/html',
      ],
    );
    assert.ok(report.standbys.every(({ word }) => word === 'fit'));
  });
});

test('each row of the table of block pages says where it was seen, and matches alone what it names', () => {
  const plain = { status: 200, location: null, server: 'nginx', hsts: null, type: null, body: '' };
  assert.equal(blockOf({ ...plain, status: 403 }), null);
  assert.equal(blockOf({ ...plain, location: 'https://www.shop.example/' }), null);
  assert.equal(blockOf({ ...plain, status: 403, server: 'Beaver' })?.by, 'Alibaba Cloud');
  for (const { seen, by } of blocks) assert.ok(seen.length > 20 && by.length > 3);
});
