// What a TTL costs and what a shorter one gains, from what an audit knows anyway: the vendor's least, its
// price, its share of the delegation, and what the objective leaves.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Run } from '../../src/audit/run.ts';
import { lookAtTtls } from '../../src/audit/ttl.ts';
import type { Holding } from '../../src/audit/vendors.ts';
import type { AuditFinding } from '../../src/core/audit.ts';
import type { RecordConfig } from '../../src/core/model.ts';
import type { RecordView, StatusView } from '../../src/core/view.ts';
import { record } from '../cli/desk.ts';

const name = 'www.gslb.example.net.';

function findings(
  more: { ttl?: number; objectiveMs?: number; ttlMin?: number; price?: number },
  view?: Partial<RecordView>,
): readonly AuditFinding[] {
  const { ttl = 60, objectiveMs, ttlMin = null, price } = more;
  const one = { name, publish: [{ provider: 'r53', ttl }], objectiveMs } as unknown as RecordConfig;
  const found: AuditFinding[] = [];
  const say =
    (severity: AuditFinding['severity']) =>
    (_: object, word: AuditFinding['word'], sentence: string, cure: string | null = null) => {
      const place = { zone: null, record: name, provider: 'r53' };
      found.push({ ...place, word, severity, sentence, cure });
    };
  const queryPrice =
    price === undefined ? {} : { queryPrice: { usdPerMillion: price, source: '' } };
  const status = { records: view === undefined ? [] : [record({ name, ...view })] };
  const run = {
    ...{ all: [one], providers: { r53: { capabilities: queryPrice } } },
    ...{
      before: { status: status as unknown as StatusView },
      good: say('good'),
      warn: say('warn'),
    },
  } as unknown as Run;
  const facts = { zone: 'gslb.example.net.', nameServers: [], ttlMin, warnings: [] };
  const held: Holding = {
    provider: 'r53',
    parent: 'gslb.example.net.',
    record: name,
    facts,
    hosts: [],
  };
  lookAtTtls(run, [held]);
  return found;
}

test('a TTL is told with its queries and price, and with what a shorter one gains', () => {
  const [one] = findings({ price: 0.4 });
  assert.deepEqual([one!.word, one!.severity, one!.cure], ['ttl-cost', 'good', null]);
  assert.match(
    one!.sentence,
    /TTL 60 s, 43 million queries a month \(17 USD\) from 1000 resolvers/,
  );
  assert.match(one!.sentence, /with 30 s clients follow up to 30 s sooner, 15 s on average/);
  assert.match(one!.sentence, /for 86 million queries a month \(35 USD\)/);
  const [bare] = findings({ ttl: 600, ttlMin: 600 });
  assert.match(
    bare!.sentence,
    /4.3 million queries a month from .*, and the vendor takes no less than 600 s/,
  );
});

test('a vendor has the share of queries that it has of the delegation', () => {
  const providers = record().providers.map((p) => ({ ...p, provider: 'r53', share: 0.25 }));
  assert.match(findings({}, { providers })[0]!.sentence, /11 million queries a month/);
});

test('where the objective leaves less, the TTL that keeps it is the cure, if the vendor takes it', () => {
  const part = { provider: 'r53', detectMs: 11_000, commitMs: 0, writeMs: 1_000, visibleMs: 0 };
  const predicted = {
    totalMs: 72_000,
    worst: 'r53',
    parts: [{ ...part, ttlMs: 60_000, measured: 3 }],
  };
  const [bad] = findings({ objectiveMs: 40_000 }, { predicted });
  assert.deepEqual([bad!.severity, bad!.word], ['warn', 'ttl-cost']);
  assert.match(bad!.cure!, /^publish it there with ttl: 28 \(46 million queries a month\)/);
  assert.equal(findings({ objectiveMs: 40_000, ttlMin: 60 }, { predicted })[0]!.severity, 'good');
  assert.equal(findings({ objectiveMs: 90_000 }, { predicted })[0]!.severity, 'good');
});
