// docs/checks.md against the program: each example of a check is one that the configuration takes, and
// every kind of check has one.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse, stringify } from 'yaml';
import { parseConfig, printProblem } from '../../src/config/config.ts';
import { tables } from '../../src/run/build.ts';

const page = readFileSync(new URL('../../docs/checks.md', import.meta.url), 'utf8');
const blocks = [...page.matchAll(/^```yaml\n(.+?)^```$/gms)].map(([, text]) => text!);

/** The rest of a configuration with these checks, or these paths. */
function problems(part: Record<string, unknown>): readonly string[] {
  const web = { web: { http: 'https://a.shop.example/' } };
  const checks = 'paths' in part ? web : part;
  const text = stringify({
    cluster: 'shop',
    providers: { cf: { type: 'cloudflare', apiToken: { env: 'T' } } },
    origins: { a: { cloud: 'east', checks } },
    records: {
      'www.example.net': { publish: ['cf'], targets: [{ origin: 'a', cname: 'a.example' }] },
    },
    ...('paths' in part ? part : {}),
  });
  const parsed = parseConfig(text, 'checks.md', tables);
  return parsed.ok ? [] : parsed.problems.map(printProblem);
}

test('each example of the page is taken, and every kind of check has one', () => {
  const kinds = new Set<string>();
  const ours = blocks.filter((text) => !/^# (of Gatus|alertmanager\.yml)/.test(text));
  assert.ok(ours.length > 14 && blocks.length - ours.length === 2);
  for (const text of ours) {
    const part = parse(text) as Record<string, Record<string, unknown>>;
    assert.deepEqual(problems(part), [], text);
    for (const check of Object.values(part)) {
      for (const kind of Object.keys(tables.checks)) if (kind in check) kinds.add(kind);
    }
  }
  assert.deepEqual([...kinds].toSorted(), Object.keys(tables.checks).toSorted());
});

test('a door that others reach takes tokens in the clear, and that is told', () => {
  const told = (listen: string, check: object) => {
    const text = stringify({
      ...{
        cluster: 'shop',
        listen,
        providers: { cf: { type: 'cloudflare', apiToken: { env: 'T' } } },
      },
      origins: {
        a: { cloud: 'east', checks: { web: { http: 'https://a.example.com/' }, one: check } },
      },
      records: {
        'www.example.net': { publish: ['cf'], targets: [{ origin: 'a', cname: 'a.example' }] },
      },
    });
    const parsed = parseConfig(text, 'x', tables);
    assert.ok(parsed.ok);
    return parsed.warnings
      .map(printProblem)
      .some((line) => /listen: takes pushes in the clear/.test(line));
  };
  const check = { push: 'mon', token: { env: 'P' } };
  for (const open of ['0.0.0.0:9353', '192.0.2.1:9353', '[::]:9353']) {
    assert.equal(told(open, check), true, open);
    assert.equal(told(open, { tcp: 'a.example.com:1' }), false, open);
  }
  for (const own of ['127.0.0.1:9353', '[::1]:9353', 'localhost:9353']) {
    assert.equal(told(own, check), false, own);
  }
});
