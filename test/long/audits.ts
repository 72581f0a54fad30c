// Audits of the lab, broken on purpose in one way after the other: real vendors' APIs, real DNS, the
// configuration as the lab writes it. Each fault must be found, with its cure; the lab as it comes has
// nothing bad, and is that again when all is healed. The names that users type, hands and needs are
// broken in test/audit/broken.test.ts. `npm run audits`.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AuditReport } from '../../src/core/audit.ts';
import type { FindingWord, Severity } from '../../src/core/model.ts';
import { type Lab, startLab } from '../../src/lab/lab.ts';
import { labSettings, writeSettings } from '../../src/lab/shell/settings.ts';
import { auditOnce } from '../../src/run/audit.ts';

interface Row {
  readonly name: string;
  /** Breaks it; what it gives mends what `heal` does not. */
  harm(lab: Lab): Promise<unknown> | (() => void) | string;
  /** Another configuration than the lab's. */
  readonly text?: (text: string) => string;
  readonly word: FindingWord;
  readonly severity: Severity;
  readonly provider?: string;
  readonly says: RegExp;
}

const www = 'www.gslb.example.net';
const none = () => '';

const rows: readonly Row[] = [
  {
    name: 'a vendor refuses the keys',
    harm: (lab) => lab.break('vendor', 'cloudflare', 'auth'),
    ...{ word: 'credentials', severity: 'bad', provider: 'cf', says: /./ },
  },
  {
    name: 'a vendor is not reached',
    harm: (lab) => lab.break('vendor', 'route53', 'refuse'),
    ...{ word: 'reach', severity: 'bad', provider: 'r53', says: /./ },
  },
  {
    name: 'a vendor is silent',
    harm: (lab) => lab.break('vendor', 'alidns', 'hang'),
    ...{ word: 'reach', severity: 'bad', provider: 'ali', says: /./ },
  },
  {
    name: 'a vendor throttles: not seen, and no fault',
    harm: (lab) => lab.break('vendor', 'route53', 'throttle'),
    ...{ word: 'reach', severity: 'unknown', provider: 'r53', says: /./ },
  },
  {
    name: 'a key may not do what it must in a zone',
    harm: (lab) => lab.break('zone', 'cloudflare/gslb.example.net', 'denied'),
    ...{ word: 'zone', severity: 'bad', provider: 'cf', says: /no zone gslb/ },
  },
  {
    name: 'a zone is paused',
    harm: (lab) => lab.break('zone', 'cloudflare/gslb.example.net', 'paused'),
    ...{ word: 'zone', severity: 'bad', provider: 'cf', says: /paused/ },
  },
  {
    name: 'a zone is gone',
    harm: (lab) => lab.break('zone', 'route53/gslb.example.net', 'deleted'),
    ...{ word: 'zone', severity: 'bad', provider: 'r53', says: /./ },
  },
  {
    name: 'a record is protected at a vendor',
    harm: (lab) => lab.protect('route53', www),
    ...{ word: 'protection', severity: 'bad', provider: 'r53', says: /./ },
  },
  {
    name: 'a person has led the record elsewhere at one vendor',
    harm: (lab) => lab.edit('alidns', www, 'tokyo'),
    ...{ word: 'in-step', severity: 'bad', says: /ali gives nrt/ },
  },
  {
    name: 'the record leads to a stranger at one vendor',
    harm: (lab) => lab.edit('alidns', www, 'elsewhere.example'),
    ...{ word: 'cname', severity: 'bad', provider: 'ali', says: /none of its targets/ },
  },
  {
    name: 'the record is gone at one vendor',
    harm: (lab) => lab.edit('route53', www, null),
    ...{ word: 'cname', severity: 'bad', provider: 'r53', says: /no CNAME/ },
  },
  {
    name: 'a name server is silent',
    harm: (lab) => {
      lab.vendors.alidns.servers[1]!.fault = 'hang';
      return () => {
        lab.vendors.alidns.servers[1]!.fault = null;
      };
    },
    ...{ word: 'serving', severity: 'bad', provider: 'ali', says: /does not answer/ },
  },
  {
    name: 'a vendor answers in the origin’s place',
    harm: (lab) => {
      const { name, ttl, targets } = lab.records[0]!;
      lab.vendors.cloudflare.edit(name, 'CNAME', targets[0]!.cname, ttl, { proxied: true });
      return () => lab.vendors.cloudflare.edit(name, 'CNAME', targets[0]!.cname, ttl);
    },
    ...{ word: 'proxied', severity: 'bad', provider: 'cf', says: /./ },
  },
  {
    name: 'a vendor flattens',
    harm: (lab) => {
      lab.vendors.cloudflare.setZone(lab.zone, { flattenAllCnames: true });
      return () => lab.vendors.cloudflare.setZone(lab.zone, { flattenAllCnames: false });
    },
    ...{ word: 'flattening', severity: 'bad', provider: 'cf', says: /./ },
  },
  {
    name: 'another tool writes the record',
    harm: (lab) => {
      const at = `cname-${www}.`;
      lab.vendors.route53.edit(at, 'TXT', 'heritage=external-dns,external-dns/owner=shop', 60);
      return () => lab.vendors.route53.edit(at, 'TXT', null);
    },
    ...{ word: 'company', severity: 'warn', provider: 'r53', says: /external-dns/ },
  },
  {
    name: 'a wildcard answers for what is missing',
    harm: (lab) => {
      lab.vendors.alidns.edit(`*.${lab.zone}`, 'A', '127.0.0.9', 60);
      return () => lab.vendors.alidns.edit(`*.${lab.zone}`, 'A', null);
    },
    ...{ word: 'negative-answer', severity: 'warn', provider: 'ali', says: /nobody has made/ },
  },
  {
    name: 'a vendor gives another TTL',
    harm: (lab) => {
      const { name, ttl, targets } = lab.records[0]!;
      lab.vendors.route53.edit(name, 'CNAME', targets[0]!.cname, 900);
      return () => lab.vendors.route53.edit(name, 'CNAME', targets[0]!.cname, ttl);
    },
    ...{ word: 'ttl', severity: 'warn', provider: 'r53', says: /900 s, not the 60 s/ },
  },
  {
    name: 'a record is published at one vendor alone',
    harm: none,
    text: (text) => text.replace('publish: [cf, r53, ali]', 'publish: [cf]'),
    ...{ word: 'single-provider', severity: 'warn', says: /at cf alone/ },
  },
  {
    name: 'a target leads nowhere',
    harm: none,
    text: (text) => text.replace('cname: nrt.shop.example', 'cname: gone.shop.example'),
    ...{ word: 'target', severity: 'bad', says: /does not lead to an address/ },
  },
  {
    name: 'what users type is not there',
    harm: none,
    text: (text) =>
      text.replace('    mode: steer', '    names: [www.shop.example]\n    mode: steer'),
    ...{ word: 'public-name', severity: 'bad', says: /leads nobody to/ },
  },
  {
    name: 'the only resolver sits beside a target',
    harm: none,
    text: (text) =>
      text.replace(/roots: (\[.*?\])/, (_, roots: string) => {
        const beside = roots.replace(/"?127\.(\d+)\.(\d+)\.1"?/, '"127.$1.$2.21"');
        return `roots: ${roots}, resolvers: ${beside}`;
      }),
    ...{ word: 'shared-fate', severity: 'bad', says: /resolver .* sits in aliyun/ },
  },
];

async function main(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'detour-audits-'));
  const lab = await startLab({ quotas: 'off' });
  const place = { directory, socket: join(directory, 's'), listenPort: 9 };
  const settings = labSettings(lab, place).map((file) => ({
    ...file,
    // Patient, but where something is silent: a busy machine must not decide.
    text: file.text.replaceAll(/^ {4}endpoint:.*$/gm, '$&\n    timeout: 3s'),
  }));
  const look = async (change: (text: string) => string = (text) => text) => {
    writeSettings(
      settings.map((file) =>
        file.path.endsWith('.yaml') ? { ...file, text: change(file.text) } : file,
      ),
      directory,
    );
    const made = await auditOnce(join(directory, 'detour.yaml'), null);
    assert.ok(!('exit' in made), JSON.stringify(made));
    return made;
  };
  try {
    const missed: string[] = [];
    await improve(lab);
    wellOf(await look(), 'before anything is broken');
    for (const row of rows) {
      const mend = await row.harm(lab);
      // What a vendor takes in is served a moment later.
      await new Promise((done) => setTimeout(done, 100));
      const report = await look(row.text);
      if (typeof mend === 'function') (mend as () => void)();
      if (/led|leads to a stranger|gone at one/.test(row.name)) {
        for (const vendor of ['alidns', 'route53']) lab.edit(vendor, www, 'hangzhou');
      }
      await lab.heal(null, '');
      const wrong = missedIn(row, report);
      if (wrong !== null) missed.push(wrong);
      const said = wrong ?? `${row.name}: ${row.word}, grade ${report.grades.overall}`;
      process.stdout.write(`${said}\n`);
    }
    await new Promise((done) => setTimeout(done, 100));
    wellOf(await look(), 'healed');
    const found = `${rows.length - missed.length} of ${rows.length} faults found`;
    process.stdout.write(`${found}, the lab itself is an A\n`);
    assert.deepEqual(missed, []);
  } finally {
    await lab.close();
    await rm(directory, { recursive: true });
  }
}

/** What the vendors leave to their users: recovery, several providers, the SOA, the whole NS set. */
async function improve(lab: Lab): Promise<void> {
  const { cloudflare, route53 } = lab.vendors;
  cloudflare.setZone(lab.zone, { multiProvider: true, soaMinimum: 60 });
  route53.setZone(lab.zone, { acceleratedRecovery: 'ENABLED' });
  const all = Object.values(lab.vendors).flatMap(({ type }) =>
    [1, 2].map((n) => `ns${n}.${type}.example.net.`),
  );
  for (const vendor of Object.values(lab.vendors)) vendor.edit(lab.zone, 'NS', all, 3600);
  await new Promise((done) => setTimeout(done, 100));
}

function wellOf(report: AuditReport, when: string): void {
  const odd = report.findings.filter(({ severity }) => severity === 'bad' || severity === 'warn');
  assert.deepEqual(odd, [], when);
  assert.equal(report.grades.overall, 'A', when);
}

/** What is wrong with the report of one fault; null: it is found, with its cure. */
function missedIn({ name, word, severity, provider, says }: Row, report: AuditReport) {
  const it = report.findings.find(
    (f) =>
      f.word === word &&
      f.severity === severity &&
      (provider === undefined || f.provider === provider) &&
      says.test(f.sentence),
  );
  if (it === undefined) {
    const all = report.findings.filter((f) => f.severity !== 'good');
    const list = all.map((f) => `\n  ${f.severity} ${f.word} ${f.sentence}`).join('');
    return `${name}: not found in${list}`;
  }
  if (it.cure === null) return `${name}: no cure: ${it.sentence}`;
  return severity === 'bad' && report.grades.overall !== 'F' ? `${name}: no F` : null;
}

await main();
