// `detour init` against the lab with the vendors' own SDKs: what is found, refused, missing, delegated
// elsewhere or nowhere at all; what is written parses and holds no secret, and no vendor was changed.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { CliError, type InitOrder, type InitReport } from '../../src/cli/hands.ts';
import { type Lab, startLab } from '../../src/lab/lab.ts';
import { labSettings, writeSettings } from '../../src/lab/shell/settings.ts';
import { loadConfig } from '../../src/run/build.ts';
import { init } from '../../src/run/init.ts';

const www = 'www.gslb.example.net';
let lab: Lab;
let home: string;
let directory: string;
let number = 0;

before(async () => {
  home = mkdtempSync(join(tmpdir(), 'detour-init-'));
  lab = await startLab({
    quotas: 'off',
    zones: [{ name: 'users.example', records: { www: ['hangzhou', 'tokyo'] } }],
  });
  const place = { directory: home, socket: join(home, 's'), listenPort: 9 };
  writeSettings(labSettings(lab, place), home);
});

beforeEach(() => {
  number += 1;
  directory = mkdtempSync(join(home, `${number}-`));
});

after(async () => {
  await lab?.close();
  rmSync(home, { recursive: true, force: true });
});

/** An account of the lab's, patient: a slow machine decides nothing here. */
function account(name: 'cf' | 'r53' | 'ali'): string {
  const at = (secret: string) => `file:${join(home, 'secrets', secret)}`;
  const words = {
    cf: ['cloudflare', `apiToken=${at('cf-token')}`, lab.vendors.cloudflare.api],
    r53: ['route53', `credentials=${at('aws.json')}`, lab.vendors.route53.api],
    ali: [
      'alidns',
      `accessKeyId=${at('ali-key-id')},accessKeySecret=${at('ali-key-secret')}`,
      lab.vendors.alidns.api,
    ],
  } as const;
  const [type, keys, api] = words[name];
  return `${name}=${type},${keys},endpoint=${api},timeout=20s`;
}

const both = ['hangzhou@aliyun=hz.shop.example', 'tokyo@aws=nrt.shop.example'];

function looked(names: readonly string[], more: Partial<InitOrder> = {}): Promise<InitReport> {
  return init({
    names,
    providers: (['cf', 'r53', 'ali'] as const).map(account),
    targets: both,
    cluster: 'shop',
    out: join(directory, 'detour.yaml'),
    key: join(directory, 'cluster.key'),
    state: null,
    roots: lab.roots,
    resolvers: [],
    dnsPort: String(lab.dnsPort),
    tries: true,
    ...more,
  });
}

const textOf = () => readFileSync(join(directory, 'detour.yaml'), 'utf8');
const saysMissing = (report: InitReport, what: RegExp) =>
  assert.ok(
    report.missing.some((one) => what.test(one.what)),
    `${what} in ${JSON.stringify(report.missing)}`,
  );

/** All that the vendors serve: a try that changes nothing leaves no trace in it. */
const served = () =>
  Object.values(lab.vendors).map((vendor) => vendor.zone('gslb.example.net').rrsets());

test('a record at three vendors: nothing is missing, and what is written is read back', async () => {
  const before = served();
  const stateDir = join(directory, 'memory');
  const report = await looked([www], { state: stateDir });
  assert.deepEqual(report.missing, []);
  assert.equal(report.exit, 0);
  assert.deepEqual(served(), before);
  assert.deepEqual(
    report.names.map(({ takenFor, why }) => [takenFor, why]),
    [['record', 'it stands itself at cf, r53 and ali']],
  );
  assert.deepEqual(
    report.seen.map(({ provider, state }) => [provider, state]),
    ['cf', 'r53', 'ali'].map((name) => [name, 'found']),
  );
  const [config, key] = ['detour.yaml', 'cluster.key'].map((name) => join(directory, name));
  assert.equal(statSync(key!).mode & 0o777, 0o600);
  assert.equal(statSync(config!).mode & 0o777 & ~0o022, 0o644);
  const text = textOf();
  for (const secrets of Object.values(lab.credentials)) {
    for (const secret of Object.values(secrets)) assert.ok(!text.includes(String(secret)));
  }
  const { config: read } = await loadConfig(config!);
  assert.equal(read.stateDir, stateDir);
  assert.equal(report.next[4], `export DETOUR_SOCKET=${read.socket}`);
  const record = read.core.records[`${www}.`]!;
  assert.equal(record.mode, 'observe');
  assert.deepEqual(
    record.publish.map(({ provider, ttl }) => [provider, ttl]),
    ['cf', 'r53', 'ali'].map((name) => [name, 60]),
  );
  assert.deepEqual(record.targets, [
    { origin: 'hangzhou', cname: 'hz.shop.example.' },
    { origin: 'tokyo', cname: 'nrt.shop.example.' },
  ]);
  assert.equal(read.core.origins['tokyo']!.cloud, 'aws');
  assert.equal(report.next[3], `detour run -c ${config}`);
  // Never over a file; nor is anybody asked.
  await assert.rejects(looked([www]), (error) => error instanceof CliError && error.exit === 2);
  assert.equal(textOf(), text);
});

test('an account at Google is found and written with the key that it has', async (t) => {
  const own = await startLab({ quotas: 'off', also: ['google'] });
  t.after(() => own.close());
  const place = { directory, socket: join(directory, 's'), listenPort: 9 };
  const files = labSettings(own, place).filter(({ path }) => path.endsWith('google.json'));
  writeSettings(files, directory);
  const key = `credentials.serviceAccount=file:${files[0]!.path}`;
  const at = `endpoint=${own.vendors.google!.api},timeout=20s`;
  const report = await looked([www], {
    providers: [`gdns=google,project=${own.credentials.google!.project},${key},${at}`],
    roots: own.roots,
    dnsPort: String(own.dnsPort),
  });
  assert.deepEqual(
    report.seen.map(({ provider, state }) => [provider, state]),
    [['gdns', 'found']],
  );
  const { config: read } = await loadConfig(join(directory, 'detour.yaml'));
  assert.deepEqual(read.core.records[`${www}.`]!.publish, [{ provider: 'gdns', ttl: 60 }]);
});

test('the name that users type is told from the record behind it', async () => {
  lab.vendors.cloudflare.edit('www.users.example', 'CNAME', `${www}.`, 60);
  lab.vendors.route53.removeZone('users.example');
  lab.vendors.alidns.removeZone('users.example');
  await until(async () => {
    const report = await looked(['www.users.example'], { tries: false });
    const [taken] = report.names;
    if (taken!.takenFor !== 'public-name') rmSync(join(directory, 'detour.yaml'));
    return taken!.takenFor === 'public-name' && taken!.record === `${www}.`;
  });
  const text = textOf();
  assert.match(text, /host: www\.users\.example$/m);
  assert.match(text, /users type www\.users\.example: it leads by CNAME to www\.gslb/);

  // Where DNS breaks off behind the record, the vendor that holds the name itself knows the way.
  for (const vendor of Object.values(lab.vendors)) vendor.edit(www, 'CNAME', 'gone.shop.example.');
  try {
    await until(async () => {
      rmSync(join(directory, 'detour.yaml'), { force: true });
      const report = await looked(['www.users.example'], { tries: false });
      assert.equal(report.names[0]!.record, `${www}.`);
      return report.missing.some(({ what }) => /^gone\.shop\.example\. was not seen/.test(what));
    });
  } finally {
    for (const vendor of Object.values(lab.vendors))
      vendor.edit(www, 'CNAME', 'hz.shop.example.', 60);
  }
});

test('a refused key: said, the rest is written, and the exit code says so', async () => {
  await lab.break('vendor', 'cloudflare', 'auth');
  try {
    const report = await looked([www]);
    assert.equal(report.exit, 1);
    saysMissing(report, /^cf refused its key/);
    assert.equal(report.seen.find(({ provider }) => provider === 'cf')!.state, 'refused');
    assert.match(textOf(), /# MISSING: cf refused its key/);
    await loadConfig(join(directory, 'detour.yaml'));
  } finally {
    await lab.heal('vendor', 'cloudflare');
  }
});

test('a vendor that hangs and a silent root end in time, and are said to be', async () => {
  await lab.break('vendor', 'route53', 'hang');
  lab.root.fault = 'hang';
  try {
    const providers = [account('cf'), account('r53').replace('timeout=20s', 'timeout=200ms')];
    const report = await looked([www], { providers });
    assert.equal(report.exit, 3);
    saysMissing(report, /^r53 could not be asked/);
    saysMissing(report, /^the delegation of gslb\.example\.net\. was not seen/);
    assert.ok(report.tookMs < 30_000);
    const { config } = await loadConfig(join(directory, 'detour.yaml'));
    assert.equal(config.core.records[`${www}.`]!.publish.length, 2);
  } finally {
    lab.root.fault = null;
    await lab.heal('vendor', 'route53');
  }
});

test('without a second target, a cloud, a key or a second vendor it says what is missing', async () => {
  const absent = 'r53=route53,credentials=env:DETOUR_TEST_IS_NOT_THERE';
  const report = await looked([www], { targets: [], providers: [account('cf'), absent] });
  assert.equal(report.exit, 3);
  saysMissing(report, /^a second target for www\.gslb/);
  saysMissing(report, /^the cloud of hz\.shop\.example/);
  saysMissing(report, /^the key of r53 \(environment variable DETOUR_TEST_IS_NOT_THERE/);
  assert.ok(report.look.some(({ what }) => /lists .*ns1\.alidns.*, perhaps of r53$/.test(what)));
  const { config } = await loadConfig(join(directory, 'detour.yaml'));
  assert.equal(config.core.origins['hz']!.cloud, 'unknown');
});

test('a zone that one vendor has not, and a name that is nowhere', async () => {
  lab.vendors.alidns.removeZone('gslb.example.net');
  const report = await looked([www], { tries: false });
  assert.equal(report.exit, 3);
  saysMissing(report, /^a zone for www\.gslb\.example\.net\. at ali/);
  saysMissing(report, /^the delegation of gslb\.example\.net\. lists .*ns1\.alidns.*no vendor/);
  const { config } = await loadConfig(join(directory, 'detour.yaml'));
  assert.equal(config.core.records[`${www}.`]!.publish.length, 2);
  rmSync(join(directory, 'detour.yaml'));

  const nowhere = await looked(['new.gslb.example.net'], { targets: [], tries: false });
  assert.equal(nowhere.exit, 3);
  assert.deepEqual(nowhere.written, []);
  saysMissing(nowhere, /^a value for new\.gslb/);
  const begun = await looked(['new.gslb.example.net'], { tries: false });
  saysMissing(begun, /^new\.gslb\.example\.net\. was seen at no vendor/);
  assert.match(textOf(), /nothing stands at new\.gslb\.example\.net/);
  // The key is another run's: it stays.
  assert.ok(begun.look.some(({ what }) => /cluster\.key is there already/.test(what)));
});

test('words that cannot be used are all told at once, and none that may be a secret is shown', async () => {
  const wrong = looked(['10.0.0.1'], {
    providers: ['cf=cloudflare,apiToken=s3cret', 's3cret', 'cf=cloudflare,s3cret'],
    targets: ['tokyo', 'a=b'],
  });
  await assert.rejects(wrong, (error) => {
    assert.ok(error instanceof CliError && error.exit === 2);
    assert.equal(error.message.split('\n').length, 6);
    assert.ok(!error.message.includes('s3cret'));
    return true;
  });
  const plain = looked([www], { providers: ['cf=cloudflare,apiToken=s3cret,zoned=s3cret'] });
  await assert.rejects(plain, (error) => {
    assert.match((error as Error).message, /providers\.cf\.apiToken: expected/);
    assert.match((error as Error).message, /zoned/);
    return !(error as Error).message.includes('s3cret');
  });
  writeFileSync(join(directory, 'detour.yaml'), '');
  await assert.rejects(looked([www]), /it is there already/);
});

/** Waits until a condition holds, at most ten seconds. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 10_000;
  while (!(await condition())) assert.ok(performance.now() < end, 'in time');
}
