// The steps on paper, done: what `detour break-glass` prints for servers of one's own is given to a
// shell as it stands, against a real BIND and a real PowerDNS.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { breakGlass } from '../../src/run/break-glass.ts';
import { newKey, startBind, withoutBind } from '../parts/bind.ts';
import { powerdnsAbsent, startPowerdns } from '../parts/powerdns.ts';

const record = 'www.gslb.test.';
let directory: string;

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'detour-glass-'));
});

after(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** A configuration with one record at one provider. */
function configOf(provider: string, record: string): string {
  const file = join(directory, 'detour.yaml');
  writeFileSync(
    file,
    `cluster: shop
stateDir: ${directory}
providers:
  it: ${provider}
origins:
  hz: { cloud: aliyun, checks: { web: { tcp: "127.0.0.1:9" } } }
  nrt: { cloud: aws, checks: { web: { tcp: "127.0.0.1:9" } } }
records:
  ${record}:
    publish: [it]
    ttl: 45
    targets: [{ origin: hz, cname: a.shop.test. }, { origin: nrt, cname: b.shop.test. }]
`,
  );
  return file;
}

async function stepsTo(target: string, provider: string, of = record) {
  const wanted = { record: 'www', target };
  const { records } = await breakGlass(configOf(provider, of), wanted, null);
  assert.deepEqual(
    records.map((one) => one.record),
    [of],
  );
  const [move] = records[0]!.moves;
  assert.equal(move!.target, target);
  return move!.vendors[0]!.steps;
}

function sh(script: string): string {
  const done = spawnSync('sh', ['-euc', script], {
    cwd: directory,
    encoding: 'utf8',
    timeout: 20_000,
  });
  assert.equal(done.status, 0, `${script}\n${done.stdout}${done.stderr}`);
  return done.stdout;
}

test('the steps for a server that takes updates move the record, whole', {
  skip: withoutBind,
}, async () => {
  const key = newKey('detour-key');
  const records = ['www 30 IN CNAME a.shop.test.', '_detour.www 30 IN TXT "kept"'];
  const bind = await startBind({ zones: [{ name: 'gslb.test.', records }], keys: [key] });
  try {
    const secret = join(directory, "it's the key");
    writeFileSync(secret, key.secret);
    const { address, port } = bind;
    const tsig = `{ name: ${key.name}, secret: { file: ${JSON.stringify(secret)} } }`;
    const steps = await stepsTo(
      'nrt',
      `{ type: rfc2136, server: "${address}:${port}", zone: gslb.test, tsig: ${tsig} }`,
    );
    assert.ok(!JSON.stringify(steps).includes(key.secret), 'no secret is on paper');
    const said = steps.map(({ shell }) => sh(shell!)).join('\n');
    assert.match(said, /www\.gslb\.test\.\s+45\s+IN\s+CNAME\s+b\.shop\.test\./);
    const marker = execFileSync('dig', [
      ...['+short', '-p', String(port), `@${address}`, '_detour.www.gslb.test', 'TXT'],
    ]);
    assert.equal(String(marker).trim(), '"kept"');
    assert.ok(!existsSync(join(directory, 'tsig.key')), 'the key is taken away again');
  } finally {
    await bind.stop();
  }
});

test('the steps for PowerDNS move the record by its API', {
  skip: powerdnsAbsent() ?? false,
}, async () => {
  const server = await startPowerdns();
  try {
    server.util('add-record', 'fo.test', 'www', 'CNAME', '30', 'a.shop.test.');
    const secret = join(directory, 'api.key');
    writeFileSync(secret, server.apiKey);
    const of = `endpoint: "${server.api}", zone: fo.test, apiKey: { file: ${secret} }`;
    const steps = await stepsTo('nrt', `{ type: powerdns, ${of} }`, 'www.fo.test.');
    sh(steps[0]!.shell!);
    assert.match(server.util('list-zone', 'fo.test'), /www\.fo\.test\.?\s+45\s+IN\s+CNAME\s+b\./);
  } finally {
    await server.close();
  }
});

test('what the paper says of hosted vendors names the record, the value and no secret', async () => {
  const r53 = '{ type: route53, credentials: { file: /etc/aws.json }, zone: gslb.test }';
  const [console, , change] = await stepsTo('nrt', r53);
  assert.match(console!.text, /console\.aws\.amazon\.com.*www\.gslb\.test.*b\.shop\.test\./);
  const batch = /--change-batch '(.*)'$/.exec(change!.shell!)![1]!;
  assert.deepEqual(JSON.parse(batch).Changes[0].ResourceRecordSet, {
    ...{ Name: record, Type: 'CNAME', TTL: 45 },
    ResourceRecords: [{ Value: 'b.shop.test.' }],
  });
  const ali =
    '{ type: alidns, accessKeyId: { env: ID }, accessKeySecret: { env: KEY }, zone: gslb.test }';
  assert.match(
    (await stepsTo('nrt', ali)).at(-1)!.shell!,
    /--RR www .*\n.*--value b\.shop\.test --TTL 45/i,
  );
  const dp = '{ type: dnspod, secretId: { env: ID }, secretKey: { env: KEY }, zone: gslb.test';
  const [inConsole, look, put] = await stepsTo('nrt', `${dp}, site: intl }`);
  assert.match(inConsole!.text, /www\.gslb\.test.*b\.shop\.test.*each line/s);
  assert.match(look!.shell!, /--Domain gslb\.test --endpoint dnspod\.intl\.\S+ --Subdomain www /);
  assert.match(put!.shell!, /--SubDomain www .*\n.*--Value b\.shop\.test\. --TTL 45$/);
  const cf = '{ type: cloudflare, apiToken: { credential: cf }, zone: gslb.test }';
  const all = (await stepsTo('hz', cf)).map(({ shell }) => shell ?? '').join('\n');
  assert.match(all, /\$\(cat \/run\/credentials\/detour\.service\/cf\)/);
  assert.match(all, /zones\?name=gslb\.test'/);
  assert.equal(readFileSync(join(directory, 'detour.yaml'), 'utf8').includes('secret:'), false);
});
