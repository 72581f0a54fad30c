// Whether an account could be written right now, looked at without changing anything: the lab's
// vendors, BIND and PowerDNS, each healthy, with keys that are refused, with a lock, with a vendor
// that cannot be reached. Every test says what must not have changed.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { alidns } from '../../providers/alidns.ts';
import { cloudflare } from '../../providers/cloudflare.ts';
import { dnspod } from '../../providers/dnspod.ts';
import { powerdns } from '../../providers/powerdns.ts';
import { rfc2136 } from '../../providers/rfc2136.ts';
import { route53 } from '../../providers/route53.ts';
import { claimName, markerName } from '../../src/core/marker.ts';
import type { Finding, Name } from '../../src/core/model.ts';
import { ask } from '../../src/dns/ask.ts';
import type { Provider } from '../../src/kit/extend.ts';
import { startAlidns } from '../../src/lab/vendors/alidns.ts';
import { startCloudflare } from '../../src/lab/vendors/cloudflare.ts';
import { startDnspod } from '../../src/lab/vendors/dnspod.ts';
import { startRoute53 } from '../../src/lab/vendors/route53.ts';
import type {
  LabVendor,
  RecordExtra,
  VendorOptions,
  ZoneSettings,
} from '../../src/lab/vendors/vendor.ts';
import { type Account, rows, zone } from '../parts/accounts.ts';
import { resultOf } from '../parts/answers.ts';
import { newKey, startBind, withoutBind } from '../parts/bind.ts';
import { powerdnsAbsent, startPowerdns } from '../parts/powerdns.ts';

const record: Name = `www.${zone}`;
const marker = 'detour=1 cluster=shop epoch=4 id=00112233aabbccdd term=1 kind=auto target=a';

function look(provider: Provider, name = record): Promise<readonly Finding[]> {
  return provider.preflight(name, AbortSignal.timeout(10_000));
}

function of(findings: readonly Finding[], word: string): Finding {
  const found = findings.filter((f) => f.word === word);
  assert.equal(found.length, 1, `one ${word} in ${JSON.stringify(findings, null, 1)}`);
  return found[0]!;
}

function severities(findings: readonly Finding[]): Readonly<Record<string, string>> {
  return Object.fromEntries(findings.map((f) => [f.word, f.severity]));
}

for (const row of rows) {
  describe(row.title, { skip: row.skip }, () => {
    let account: Account;
    before(async () => {
      account = await row.start();
      await account.edit(record, 'CNAME', 'a.example.com.', 300);
      await account.edit(markerName(record), 'TXT', marker, 300);
    });
    after(() => account?.close());

    async function standing(): Promise<string> {
      const answers = await Promise.all(
        [
          { name: record, type: 'CNAME' },
          { name: markerName(record), type: 'TXT' },
          { name: zone, type: 'SOA' },
        ].map((question) => ask(account.servers[0]!, question, { timeoutMs: 3000 })),
      );
      return JSON.stringify(answers.map((a) => (a.kind === 'reply' ? a.message.answers : a.kind)));
    }

    test('a healthy account may write, and trying it changes nothing', async () => {
      const provider = account.open();
      try {
        const stood = await standing();
        for (let i = 0; i < 2; i++) {
          const findings = await look(provider);
          assert.equal(of(findings, 'credentials').severity, 'good');
          assert.equal(of(findings, 'write-permission').severity, 'good');
          assert.equal(of(findings, 'zone').severity, 'good');
          assert.equal(of(findings, 'ttl-floor').severity, 'good');
          assert.deepEqual(
            findings.filter((f) => f.severity === 'bad'),
            [],
          );
          for (const finding of findings) {
            assert.equal(finding.cure !== null || finding.severity === 'good', true, finding.word);
          }
        }
        assert.equal(await standing(), stood);
        const read = resultOf((await provider.read([record], AbortSignal.timeout(5000)))[record]);
        assert.ok(read.ok);
        assert.deepEqual(read.value.markers, [marker]);
      } finally {
        provider.close();
      }
    });

    test('keys that are refused are bad credentials, and no write is tried with them', async () => {
      const provider = account.open({ wrongKey: true });
      try {
        const findings = await look(provider);
        const credentials = of(findings, 'credentials');
        assert.equal(credentials.severity, 'bad');
        assert.notEqual(credentials.cure, null);
        assert.equal(
          findings.some((f) => f.word === 'write-permission'),
          false,
        );
      } finally {
        provider.close();
      }
    });

    test('a vendor that cannot be reached is bad, in its own word', async () => {
      for (const how of ['refuse', 'reset', 'hang'] as const) {
        const provider = account.open({ callTimeoutMs: 400 });
        await account.fault(how);
        try {
          const findings = await look(provider);
          assert.deepEqual(severities(findings), { reach: 'bad' }, how);
        } finally {
          await account.fault(null);
          provider.close();
        }
      }
    });

    test('a signal that is over ends it with a finding, not with an error', async () => {
      const provider = account.open();
      try {
        const findings = await provider.preflight(record, AbortSignal.abort());
        assert.deepEqual(severities(findings), { reach: 'bad' });
      } finally {
        provider.close();
      }
    });

    test('a record outside the zone is bad', async () => {
      const provider = account.open();
      try {
        assert.equal(of(await look(provider, 'www.elsewhere.example.'), 'zone').severity, 'bad');
      } finally {
        provider.close();
      }
    });

    for (const { word, what, make } of odditiesOf(row.capabilities.type)) {
      test(`${what} on the record is a bad ${word}`, async () => {
        const odd = `odd-${word}.${zone}`;
        account.oddities.find((o) => o.word === make)!.make(odd);
        const provider = account.open();
        try {
          const said = (await look(provider, odd)).filter((f) => f.word === word);
          assert.equal(said.at(-1)?.severity, 'bad', JSON.stringify(said));
        } finally {
          provider.close();
        }
      });
    }
  });
}

/** Finding, what is odd, and the word of the account's oddity. */
function odditiesOf(type: string): { word: string; what: string; make: string }[] {
  const all: Record<string, [word: string, what: string, make: string][]> = {
    cloudflare: [
      ['proxied', 'the proxy', 'proxied'],
      ['flattening', 'flattening', 'flattened'],
    ],
    alidns: [
      ['protection', 'a lock', 'locked'],
      ['record', 'a line of its own', 'line'],
    ],
    dnspod: [['record', 'a monitor', 'health-check']],
    route53: [['record', 'a weight', 'weighted']],
  };
  return (all[type] ?? []).map(([word, what, make]) => ({ word, what, make }));
}

// ---------------------------------------------------------------- the zones of the lab's vendors

type Told = {
  readonly settings?: ZoneSettings;
  readonly deny?: readonly string[];
  /** Of the record. */
  readonly extra?: RecordExtra;
  ttlMin?: number;
  /** Of the token. */
  readonly days?: number;
};

interface VendorCase {
  readonly title: string;
  readonly told: Told;
  readonly word: string;
  readonly severity: Finding['severity'];
  readonly says: RegExp;
  /** Whether a write may be tried nevertheless. */
  readonly tried: boolean;
}

const secrets: Readonly<Record<string, string>> = {
  A: 'AKIDEXAMPLE',
  B: 'the-secret-of-this-test',
};
const context = {
  callTimeoutMs: 5000,
  secret: (ref: object) => secrets[(ref as { env: string }).env]!,
};

async function openVendor(type: string, told: Told): Promise<[LabVendor, Provider]> {
  const options = {
    address: '127.0.0.1',
    dnsAddresses: ['127.0.0.1'],
    dnsPort: 0,
    zones: [
      {
        name: zone,
        records: [
          {
            name: record,
            type: 'CNAME',
            value: 'a.example.com.',
            ttl: 600,
            extra: told.extra ?? {},
          },
        ],
        ...(told.settings === undefined ? {} : { settings: told.settings }),
      },
    ],
    quotas: 'off' as const,
    propagationMs: 1,
    changeMs: 1,
    ...(told.deny === undefined ? {} : { deny: told.deny }),
    ...(told.ttlMin === undefined ? {} : { ttlMin: told.ttlMin }),
  } satisfies Omit<VendorOptions, 'credentials'>;
  if (type === 'route53') {
    const credentials = { accessKeyId: secrets['A']!, secretAccessKey: secrets['B']! };
    const vendor = await startRoute53({ ...options, credentials });
    const keys = { accessKeyId: { env: 'A' }, secretAccessKey: { env: 'B' } };
    const settings = route53.settings.parse({ credentials: keys, endpoint: vendor.api, zone });
    return [vendor, route53.create('r53', settings, context)];
  }
  if (type === 'cloudflare') {
    const end =
      told.days === undefined
        ? {}
        : { expiresOn: new Date(Date.now() + (told.days + 0.5) * 86_400_000).toISOString() };
    const credentials = { apiToken: secrets['B']!, ...end };
    const vendor = await startCloudflare({ ...options, credentials });
    const settings = cloudflare.settings.parse({ apiToken: { env: 'B' }, endpoint: vendor.api });
    return [vendor, cloudflare.create('cf', settings, context)];
  }
  if (type === 'dnspod') {
    const credentials = { secretId: secrets['A']!, secretKey: secrets['B']! };
    const vendor = await startDnspod({ ...options, credentials });
    const keys = { secretId: { env: 'A' }, secretKey: { env: 'B' } };
    const settings = dnspod.settings.parse({ ...keys, endpoint: vendor.api, zone });
    return [vendor, dnspod.create('dp', settings, context)];
  }
  const credentials = { accessKeyId: secrets['A']!, accessKeySecret: secrets['B']! };
  const vendor = await startAlidns({ ...options, credentials });
  const settings = alidns.settings.parse({
    accessKeyId: { env: 'A' },
    accessKeySecret: { env: 'B' },
    endpoint: vendor.api,
    zone,
  });
  return [vendor, alidns.create('ali', settings, context)];
}

const zoneCases: Readonly<Record<string, readonly VendorCase[]>> = {
  route53: [
    {
      title: 'a key that may not write',
      told: { deny: ['ChangeResourceRecordSets'] },
      word: 'write-permission',
      severity: 'bad',
      says: /AccessDenied/,
      tried: true,
    },
    {
      title: 'a private zone',
      told: { settings: { privateZone: true } },
      word: 'zone',
      severity: 'bad',
      says: /no zone|private/,
      tried: false,
    },
    {
      title: 'a zone of another service',
      told: { settings: { linkedService: 'servicediscovery.amazonaws.com' } },
      word: 'zone',
      severity: 'bad',
      says: /another service/,
      tried: false,
    },
    {
      title: 'a zone without accelerated recovery',
      told: {},
      word: 'accelerated-recovery',
      severity: 'warn',
      says: /not enabled/,
      tried: true,
    },
    {
      title: 'a zone with accelerated recovery',
      told: { settings: { acceleratedRecovery: 'ENABLED' } },
      word: 'accelerated-recovery',
      severity: 'good',
      says: /is enabled/,
      tried: true,
    },
    {
      title: 'a zone that AWS has locked for it',
      told: { settings: { acceleratedRecovery: 'ENABLING_HOSTED_ZONE_LOCKED' } },
      word: 'accelerated-recovery',
      severity: 'bad',
      says: /locked by AWS/,
      tried: true,
    },
    {
      title: 'a record that an operator protected',
      told: { settings: { protections: [{ name: record, type: 'CNAME', comment: 'ask ann' }] } },
      word: 'protection',
      severity: 'bad',
      says: /CNAME at www\.fo\.test\. from changes: ask ann/,
      tried: true,
    },
    {
      title: 'a marker that an operator protected',
      told: {
        settings: { protections: [{ name: markerName(record), type: 'TXT', comment: '' }] },
      },
      word: 'protection',
      severity: 'bad',
      says: /TXT at _detour\.www\.fo\.test\./,
      tried: true,
    },
    {
      title: 'another record that is protected',
      told: { settings: { protections: [{ name: `x.${zone}`, type: 'A', comment: '' }] } },
      word: 'protection',
      severity: 'good',
      says: /is not protected/,
      tried: true,
    },
    {
      title: 'a key that may not see protections',
      told: { deny: ['ListResourceRecordSetProtections'] },
      word: 'protection',
      severity: 'warn',
      says: /not known/,
      tried: true,
    },
  ],
  cloudflare: [
    {
      title: 'a token that may not write',
      told: { deny: ['dns.records.batch'] },
      word: 'write-permission',
      severity: 'bad',
      says: /403/,
      tried: true,
    },
    {
      title: 'a paused zone',
      told: { settings: { paused: true } },
      word: 'zone',
      severity: 'bad',
      says: /paused/,
      tried: false,
    },
    {
      title: 'a partial zone',
      told: { settings: { type: 'partial' } },
      word: 'zone',
      severity: 'bad',
      says: /type partial/,
      tried: false,
    },
    {
      title: 'a zone that is not active',
      told: { settings: { status: 'moved' } },
      word: 'zone',
      severity: 'bad',
      says: /moved, not active/,
      tried: false,
    },
    {
      title: 'a zone without multi-provider DNS',
      told: { settings: { multiProvider: false } },
      word: 'multi-provider',
      severity: 'warn',
      says: /is off/,
      tried: true,
    },
    {
      title: 'settings that the token may not see',
      told: { deny: ['dns.settings.zone.get'] },
      word: 'flattening',
      severity: 'warn',
      says: /may not see/,
      tried: true,
    },
    {
      title: 'a comment that names another tool',
      told: { extra: { comment: 'managed by terraform, ask ann' } },
      word: 'company',
      severity: 'warn',
      says: /^Terraform manages it as well, by its comment or tags$/,
      tried: true,
    },
    {
      title: 'a token that ends soon',
      told: { days: 12 },
      word: 'expiry',
      severity: 'warn',
      says: /expires in 12 days/,
      tried: true,
    },
    {
      title: 'a token that ends next year',
      told: { days: 300 },
      word: 'expiry',
      severity: 'good',
      says: /expires in 300 days/,
      tried: true,
    },
    {
      title: 'the negative TTL of its settings',
      told: {},
      word: 'negative-ttl',
      severity: 'warn',
      says: /1800 s/,
      tried: true,
    },
  ],
  alidns: [
    {
      title: 'a key that may not change records',
      told: { deny: ['UpdateDomainRecord'] },
      word: 'write-permission',
      severity: 'bad',
      says: /Forbidden\.RAM/,
      tried: true,
    },
    {
      title: 'a remark that names another tool',
      told: { extra: { remark: 'octodns' } },
      word: 'company',
      severity: 'warn',
      says: /^octoDNS manages it as well, by its remark$/,
      tried: true,
    },
    {
      title: 'a domain in the black hole',
      told: { settings: { inBlackHole: true } },
      word: 'zone',
      severity: 'bad',
      says: /black hole/,
      tried: false,
    },
    {
      title: 'a domain in traffic cleaning',
      told: { settings: { inClean: true } },
      word: 'zone',
      severity: 'bad',
      says: /traffic cleaning/,
      tried: false,
    },
    {
      title: 'an edition whose least TTL is ten minutes',
      told: { ttlMin: 600 },
      word: 'ttl-floor',
      severity: 'warn',
      says: /under 600 s/,
      tried: true,
    },
  ],
  dnspod: [
    {
      title: 'a key that may not change records',
      told: { deny: ['ModifyRecord'] },
      word: 'write-permission',
      severity: 'bad',
      says: /UnauthorizedOperation/,
      tried: true,
    },
    {
      title: 'a locked domain',
      told: { settings: { status: 'LOCK' } },
      word: 'zone',
      severity: 'bad',
      says: /as lock: its answers/,
      tried: false,
    },
    {
      title: 'a remark that names another tool',
      told: { extra: { remark: 'octodns' } },
      word: 'company',
      severity: 'warn',
      says: /^octoDNS manages it as well, by its remark$/,
      tried: true,
    },
    {
      title: 'a paused domain',
      told: { settings: { status: 'PAUSE' } },
      word: 'zone',
      severity: 'bad',
      says: /as pause: its answers/,
      tried: false,
    },
    {
      title: 'a plan that has run out',
      told: { settings: { gracePeriod: true } },
      word: 'zone',
      severity: 'warn',
      says: /has run out/,
      tried: true,
    },
    {
      title: 'the free plan, whose least TTL is ten minutes',
      told: {},
      word: 'ttl-floor',
      severity: 'warn',
      says: /under 600 s/,
      tried: true,
    },
  ],
};

const writes = [
  'ChangeResourceRecordSets',
  'dns.records.batch',
  'UpdateDomainRecord',
  'ModifyRecord',
];

for (const [type, cases] of Object.entries(zoneCases)) {
  for (const { title, told, word, severity, says, tried } of cases) {
    test(`${type}: ${title} is a ${severity} ${word}`, async () => {
      const [vendor, provider] = await openVendor(type, told);
      try {
        const findings = await look(provider);
        const found = of(findings, word);
        assert.equal(found.severity, severity);
        assert.match(found.sentence, says);
        assert.equal(
          vendor.calls.some((call) => writes.includes(call.operation)),
          tried,
        );
      } finally {
        provider.close();
        await vendor.close();
      }
    });
  }
}

test('alidns: where no record stands yet, writing is said not to have been tried', async () => {
  const [vendor, provider] = await openVendor('alidns', {});
  try {
    const found = of(await look(provider, `new.${zone}`), 'write-permission');
    assert.deepEqual([found.severity, /nothing stands/.test(found.sentence)], ['warn', true]);
  } finally {
    provider.close();
    await vendor.close();
  }
});

test('alidns: of all records a claim is tried first, which nobody ever changes', async () => {
  const [vendor, provider] = await openVendor('alidns', {});
  const claim = claimName(record);
  try {
    vendor.edit(markerName(record), 'TXT', marker, 600);
    vendor.edit(claim, 'TXT', 'epoch=4 id=00112233aabbccdd', 600);
    assert.equal(of(await look(provider), 'write-permission').severity, 'good');
    // With the claim locked nothing else is touched: the others may be another writer's to change.
    vendor.edit(claim, 'TXT', 'epoch=4 id=00112233aabbccdd', 600, { locked: true });
    const tried = () => vendor.calls.filter((c) => c.operation === 'UpdateDomainRecord').length;
    const before = tried();
    assert.equal(of(await look(provider), 'write-permission').severity, 'warn');
    assert.equal(tried(), before);
  } finally {
    provider.close();
    await vendor.close();
  }
});

// ---------------------------------------------------------------- real servers

test('BIND: a key that may write the record and its marker alone may write', {
  skip: withoutBind,
}, async () => {
  const [key, other] = [newKey('detour.'), newKey('other.')];
  const bind = await startBind({
    keys: [key, other],
    zones: [
      {
        name: zone,
        minimum: 900,
        records: ['www 60 IN CNAME a.example.com.'],
        policy: [
          `grant ${key.name} name ${record} CNAME;`,
          `grant ${key.name} name ${markerName(record)} TXT;`,
        ],
      },
    ],
  });
  const open = (k: typeof key) => {
    const tsig = { name: k.name, algorithm: k.algorithm, secret: { env: 'A' } };
    const settings = rfc2136.settings.parse({ server: `127.0.0.1:${bind.port}`, tsig });
    return rfc2136.create('own', settings, { callTimeoutMs: 3000, secret: () => k.secret });
  };
  const [mine, theirs] = [open(key), open(other)];
  try {
    const findings = await look(mine);
    assert.equal(of(findings, 'credentials').severity, 'good');
    assert.equal(of(findings, 'write-permission').severity, 'good');
    assert.match(of(findings, 'negative-ttl').sentence, /900 s/);
    assert.equal(of(findings, 'negative-ttl').severity, 'warn');
    const refused = await look(theirs);
    assert.equal(of(refused, 'write-permission').severity, 'bad');
    assert.match(of(refused, 'write-permission').sentence, /REFUSED/);
  } finally {
    mine.close();
    theirs.close();
    await bind.stop();
  }
});

test('PowerDNS: trying to write leaves the serial of the zone alone, whatever edits it', {
  skip: process.env['CI'] ? false : (powerdnsAbsent() ?? false),
}, async () => {
  const server = await startPowerdns();
  const settings = powerdns.settings.parse({ endpoint: server.api, zone, apiKey: { env: 'A' } });
  const options = { callTimeoutMs: 3000, secret: () => server.apiKey };
  const provider = powerdns.create('own', settings, options);
  const serial = async (): Promise<string> => {
    const { host, port } = { host: '127.0.0.1', port: Number(server.dns.split(':')[1]) };
    const reply = await ask(
      { address: host, port },
      { name: zone, type: 'SOA' },
      {
        timeoutMs: 3000,
      },
    );
    assert.equal(reply.kind, 'reply');
    return JSON.stringify(reply.kind === 'reply' ? reply.message.answers : null);
  };
  try {
    server.util('set-meta', 'fo.test', 'SOA-EDIT-API', 'INCREASE');
    const stood = await serial();
    assert.equal(of(await look(provider), 'write-permission').severity, 'good');
    assert.equal(await serial(), stood);
    assert.match(of(await look(provider), 'negative-ttl').sentence, /3600 s/);
    server.sql("update domains set type='SLAVE', master='127.0.0.9' where name='fo.test'");
    const copied = await look(provider);
    assert.equal(copied.at(-1)?.severity, 'bad', JSON.stringify(copied));
    assert.equal(
      copied.some((f) => f.word === 'write-permission'),
      false,
    );
  } finally {
    provider.close();
    await server.close();
  }
});
