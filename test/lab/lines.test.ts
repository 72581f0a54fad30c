// Lines at the lab's Alibaba: who is given what, by the client subnet of a question or by where it
// comes from; what the API refuses; and what the verifier makes of servers that heed an asker's
// network and of those that do not.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { alidns } from '../../providers/alidns.ts';
import { ask } from '../../src/dns/ask.ts';
import { createVerifier } from '../../src/dns/verify.ts';
import { parseHostPort, parseSubnet, type Subnet } from '../../src/kit/schema.ts';
import { startAlidns } from '../../src/lab/vendors/alidns.ts';
import type { LabVendor } from '../../src/lab/vendors/vendor.ts';
import { LabZone } from '../../src/lab/vendors/zone.ts';
import { marker } from '../parts/answers.ts';

const zone = 'gslb.example.net.';
const www = `www.${zone}`;
const [telecom, elsewhere] = ['198.18.1.0/24', '203.0.113.0/24'].map((s) => parseSubnet(s)!);
const never = () => new AbortController().signal;

let vendor: LabVendor;

before(async () => {
  vendor = await startAlidns({
    address: '127.0.0.1',
    dnsAddresses: ['127.0.0.1'],
    dnsPort: 0,
    zones: [
      {
        name: zone,
        records: [
          { name: www, type: 'CNAME', value: 'all.example.com.', ttl: 60 },
          {
            name: www,
            type: 'CNAME',
            value: 'telecom.example.com.',
            ttl: 60,
            extra: { line: 'telecom' },
          },
          { name: www, type: 'CNAME', value: 'own.example.com.', ttl: 60, extra: { line: 'edu' } },
        ],
        settings: { lineRanges: { telecom: ['198.18.1.0/24'], edu: ['127.0.0.0/8'] } },
      },
    ],
    credentials: { accessKeyId: 'LTAIexample', accessKeySecret: 'the-secret-of-this-test' },
    quotas: 'off',
    ttlMin: 60,
    changeMs: 1,
    propagationMs: 1,
  });
});

after(() => vendor.close());

async function given(subnet?: Subnet, tcp = false) {
  const { host, port } = parseHostPort(vendor.dns[0]!, 53)!;
  const how = { timeoutMs: 2000, tcp, ...(subnet === undefined ? {} : { subnet }) };
  const said = await ask({ address: host, port }, { name: www, type: 'CNAME' }, how);
  assert.ok(said.kind === 'reply', JSON.stringify(said));
  const [answer] = said.message.answers;
  return [answer?.type === 'CNAME' ? answer.target : null, said.message.scope];
}

test('an asker is known by its client subnet, else by its address; the scope says which counted', async () => {
  assert.deepEqual(await given(telecom), ['telecom.example.com.', 24]);
  assert.deepEqual(await given(elsewhere), ['all.example.com.', 24]);
  assert.deepEqual(
    await given(),
    ['own.example.com.', null],
    'this machine is on a line of its own',
  );
  assert.deepEqual(await given(undefined, true), ['own.example.com.', null]);
});

test('a zone without ranges heeds no subnet, and a copy keeps its lines', () => {
  const plain = new LabZone({ name: zone, nameServers: ['ns1.test.'] });
  plain.replace([
    { name: www, type: 'CNAME', ttl: 60, values: ['a.example.com.'] },
    { name: www, type: 'CNAME', ttl: 60, values: ['b.example.com.'], line: 'telecom' },
  ]);
  assert.equal(plain.isByLine, false);
  plain.place({ telecom: ['198.18.1.0/24'] });
  const copy = plain.clone();
  assert.equal(copy.lineOf('198.18.1.9'), 'telecom');
  assert.equal(copy.lineOf('198.18.2.9'), null);
  assert.equal(copy.get(www, 'CNAME', 'telecom')?.values[0], 'b.example.com.');
  assert.throws(() => plain.place({ telecom: ['here'] }), /line telecom: here is no range/);
});

test('the verifier tells what each line is given, and nothing of lines that it knows no subnet of', async () => {
  const verifier = createVerifier({
    servers: async () => vendor.dns,
    resolver: {} as Parameters<typeof createVerifier>[0]['resolver'],
    port: 53,
    timeoutMs: 2000,
    subnets: { ali: new Map([['telecom', telecom!]]) },
  });
  const lines = ['default', 'telecom'];
  const [answer] = await verifier.ask('ali', www, { marker: false, lines }, never());
  const value = 'telecom.example.com.';
  assert.deepEqual(answer!.lines, [{ line: 'telecom', value, heeds: true }]);
  const [other] = await verifier.ask('cf', www, { marker: false, lines }, never());
  assert.equal(other!.lines, undefined);
  const [plain] = await verifier.ask('ali', www, { marker: false }, never());
  assert.equal(plain!.lines, undefined);
  verifier.close();
});

test('a line that the vendor does not have is refused by it, and named by the audit before', async () => {
  const settings = alidns.settings.parse({
    accessKeyId: { env: 'A' },
    accessKeySecret: { env: 'B' },
    endpoint: vendor.api,
  });
  const secrets: Record<string, string> = { A: 'LTAIexample', B: 'the-secret-of-this-test' };
  const secret = (ref: unknown) => secrets[(ref as { env: string }).env]!;
  const provider = alidns.create('ali', settings, { secret, callTimeoutMs: 5000 });
  try {
    const name = `new.${zone}`;
    const lines = ['default', 'mars'];
    const findings = await provider.preflight(name, never(), lines);
    const bad = findings.filter((f) => f.severity === 'bad').map((f) => f.sentence);
    assert.deepEqual(bad, [`the edition of ${zone} has no line mars`]);
    const from = { cnames: [], markers: [], refusal: null, ref: null };
    const to = { cname: 'a.example.com.', ttl: 60, marker: marker(1), lines };
    const [answer] = await provider.write([{ name, from, to }], never());
    assert.ok(answer?.kind === 'fault' && answer.fault.kind === 'uncertain');
    assert.match(answer.fault.detail, /on the line mars not: .*InvalidLine/);
    const read = (await provider.read([name], never()))[name];
    assert.ok(read?.kind === 'answered' && read.value.markers.length === 0, 'no marker before it');
    const [again] = await provider.write([{ name, from: read.value, to }], never());
    assert.ok(again?.kind === 'fault' && again.fault.kind === 'rejected', JSON.stringify(again));
  } finally {
    provider.close();
  }
});
