// Which checks hold a connection, as the configuration says it or leaves it open, and which go first.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig, printProblem } from '../../src/config/config.ts';
import { tables } from '../../src/run/build.ts';

const text = (checks: string, policy = '{}') => `
cluster: shop
stateDir: /var/lib/detour
providers: { own: { type: rfc2136, server: "127.0.0.1:53", zone: gslb.test, tsig: { name: k, algorithm: hmac-sha256, secret: { env: K } } } }
paths: { one: { site: a }, box: { site: b, blackbox: "http://127.0.0.1:9115", module: web } }
origins:
  later: { cloud: two, checks: { web: { http: "http://127.0.0.2/" } } }
  first: { cloud: one, checks: { ${checks} } }
records:
  www.gslb.test: { publish: [own], targets: [ { origin: first, cname: a.test }, { origin: later, cname: b.test } ] }
policy: ${policy}
`;

function heldOf(checks: string, policy?: string): string[] {
  const parsed = parseConfig(text(checks, policy), 'detour.yaml', tables);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.problems.map(printProblem).join('\n'));
  return parsed.config.held.wanted.map(({ check, path }) => `${check}@${path}`);
}

const all =
  'web: { http: "http://127.0.0.1/" }, tcp: { tcp: "127.0.0.1:25" }, dns: { dns: "127.0.0.1:53", name: a.test }, ' +
  'more: { http: "http://127.0.0.1/more", advisory: true }';

test('http holds unasked, tcp where asked, others never; the most preferred first, by own ways', () => {
  assert.deepEqual(heldOf(all), ['first/web@one', 'later/web@one']);
  assert.deepEqual(heldOf(all, '{ hold: true }'), [
    'first/web@one',
    'first/tcp@one',
    'later/web@one',
  ]);
  assert.deepEqual(heldOf(all, '{ hold: false }'), []);
  assert.deepEqual(heldOf('web: { http: "http://127.0.0.1/", hold: false }'), ['later/web@one']);
});

test('what has no connection to hold cannot be asked to', () => {
  const dns = 'dns: { dns: "127.0.0.1:53", name: a.test, hold: true }';
  const parsed = parseConfig(text(dns), 'detour.yaml', tables);
  assert.ok(!parsed.ok);
  assert.match(parsed.problems.map(printProblem).join('\n'), /a dns check has no connection that/);
});
