// What is said of a reload: every change of a configuration is told in plain words, one that is none
// is not, and no setting of a provider, a check or a channel is quoted.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { stringify } from 'yaml';
import { providerTypes } from '../../providers/index.ts';
import { boundToStart, changesOf, withoutRestart } from '../../src/config/changes.ts';
import { type Config, parseConfig, printProblem } from '../../src/config/config.ts';
import { notifierTypes } from '../../src/notify/index.ts';
import { checkTypes, pathProblem } from '../../src/probes/index.ts';

const tables = {
  providers: providerTypes,
  checks: checkTypes,
  notifiers: notifierTypes,
  pathProblem,
};

type Plain = { [key: string]: Plain | Plain[] | string | number | string[] | number[] };

/** As a user writes it: four origins in two clouds, two paths, two providers, two records. */
function written(): Plain {
  const origin = (name: string, cloud: string): Plain => ({
    cloud,
    checks: { web: { http: `https://${name}.example.com/?token=sesame` } },
  });
  const record: Plain = {
    publish: ['cf', 'r53'],
    targets: [
      { origin: 'a', cname: 'a.example.com' },
      { origin: 'b', cname: 'b.example.com' },
    ],
  };
  return {
    cluster: 'shop',
    stateDir: '/var/lib/detour',
    listen: '127.0.0.1:9353',
    gateHold: '1d',
    log: { format: 'json', level: 'info' },
    dns: { timeout: '1s', roots: ['192.0.2.1'] },
    notify: { command: ['/usr/bin/page', 'sesame'] },
    policy: { interval: '5s', patience: '10s', failback: 'manual' },
    providers: {
      cf: { type: 'cloudflare', apiToken: { env: 'CF_SESAME' } },
      r53: { type: 'route53', credentials: { file: '/etc/detour/aws.json' } },
    },
    paths: { one: { site: 'x' }, two: { localAddress: '192.0.2.7' } },
    origins: {
      a: origin('a', 'east'),
      b: origin('b', 'west'),
      c: origin('c', 'east'),
      d: origin('d', 'west'),
    },
    records: { 'www.example.net': record, 'api.example.net': structuredClone(record) },
  };
}

function read(of: Plain): Config {
  const parsed = parseConfig(stringify(of), 'detour.yaml', tables);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.problems.map(printProblem).join('\n'));
  return parsed.config;
}

/** Sets a value at a path of keys; undefined takes it away. */
function put(of: Plain, path: string, value: unknown): void {
  const keys = path.split('/');
  const last = keys.pop()!;
  const at = keys.reduce((one, key) => one[key] as Plain, of);
  if (value === undefined) delete at[last];
  else at[last] = value as Plain;
}

type Change = readonly [path: string, value: unknown];

function lines(...changes: readonly Change[]): readonly string[] {
  const next = written();
  for (const [path, value] of changes) put(next, path, value);
  return changesOf(read(written()), read(next)).now;
}

const cases: readonly (readonly [Change, readonly string[]])[] = [
  [['gateHold', '2h'], ['gateHold 1d -> 2h']],
  [['listen', 'off'], ['listen 127.0.0.1:9353 -> none']],
  [['log/level', 'debug'], ['log.level info -> debug']],
  [
    ['metrics', { without: ['detour_provider_epoch', 'detour_probes_total'] }],
    ['metrics.without none -> detour_provider_epoch, detour_probes_total'],
  ],
  [['dns/timeout', '2s'], ['dns.timeout 1s -> 2s']],
  [['dns/roots', ['192.0.2.1', '192.0.2.2']], ['dns.roots 192.0.2.1 -> 192.0.2.1, 192.0.2.2']],
  [['notify/command', ['/usr/bin/page', 'swordfish']], ['notify.command changed']],
  [
    ['notify', undefined],
    ['notify command -> none', 'notify.command changed', 'notify.timeout changed'],
  ],
  [['policy/interval', '1s'], ['4 checks: interval 5s -> 1s (a/web, b/web, c/web, and 1 more)']],
  [
    ['policy/patience', '0s'],
    ['record www.example.net: patience 10s -> 0s', 'record api.example.net: patience 10s -> 0s'],
  ],
  [
    ['policy/failback', { after: '10m' }],
    [
      'record www.example.net: failback manual -> after 10m',
      'record api.example.net: failback manual -> after 10m',
    ],
  ],
  [['policy/detector', 'counters'], ['detector sequential 3652d12h -> counters']],
  [['policy/confirmBudget', { burst: 10 }], ['confirm 400 200 -> 10 200']],
  [['providers/cf/apiToken', { env: 'CF_OTHER' }], ['provider cf: apiToken changed']],
  [['providers/cf/timeout', '5s'], ['provider cf: callTimeout 2s -> 5s']],
  [['providers/cf/nameservers', ['192.0.2.9']], ['provider cf: nameservers none -> 192.0.2.9']],
  [['paths/two/localAddress', '192.0.2.8'], ['path two: localAddress changed']],
  [
    ['paths/three', { site: 'y' }],
    [
      'path three: added',
      'path one: group one -> one+three',
      '4 checks: paths one, two -> one, two, three (a/web, b/web, c/web, and 1 more)',
    ],
  ],
  [
    ['origins/a/region', 'e-1'],
    ['origin a: region none -> e-1', 'check a/web: region none -> e-1'],
  ],
  [
    ['origins/a/checks/web', { http: 'https://a.example.com/?token=open' }],
    ['check a/web: http changed'],
  ],
  [['origins/a/checks/more', { tcp: 'a.example.com:443' }], ['check a/more: added']],
  [['records/www.example.net/mode', 'steer'], ['record www.example.net: mode observe -> steer']],
  [
    ['records/www.example.net/ttl', 30],
    ['record www.example.net: ttl at cf 60 -> 30', 'record www.example.net: ttl at r53 60 -> 30'],
  ],
  [['policy/holdMost', 100], ['holdMost 2000 -> 100']],
  [['records/www.example.net/publish', ['cf']], ['record www.example.net: ttl at r53 60 -> none']],
  [
    ['records/api.example.net', undefined],
    ['record api.example.net: removed, and what stands at its providers is left alone'],
  ],
  [
    ['records/www.example.net/targets', [{ origin: 'a', cname: 'a.example.com' }]],
    ['record www.example.net: targets a (a.example.com), b (b.example.com) -> a (a.example.com)'],
  ],
];

describe('each change is told', () => {
  for (const [change, expected] of cases) {
    test(change[0], () => {
      const said = lines(change);
      assert.deepEqual(said, expected);
      assert.doesNotMatch(said.join('\n'), /sesame|swordfish|open|SESAME|OTHER/);
    });
  }
});

test('nothing is told of what has not changed, however it is written', () => {
  const other = Object.fromEntries(Object.entries(written()).reverse()) as Plain;
  assert.deepEqual(changesOf(read(written()), read(other)).now, []);
});

test('what only a restart puts in force is told apart, and stays as it was', () => {
  const next = read({
    ...written(),
    stateDir: '/srv/detour',
    socket: '/run/detour.sock',
    cluster: 'c',
  });
  const was = read(written());
  assert.deepEqual(changesOf(was, next), {
    now: ['cluster shop -> c'],
    atRestart: [
      'stateDir: /var/lib/detour -> /srv/detour',
      'socket: /var/lib/detour/control.sock -> /run/detour.sock',
    ],
  });
  const kept = withoutRestart(was, next);
  assert.deepEqual([kept.stateDir, kept.socket], [was.stateDir, was.socket]);
  assert.deepEqual(changesOf(was, kept).atRestart, []);
});

test('no key of a configuration changes without a word', () => {
  const was = read(written());
  // What is held follows from the checks, and from holdMost.
  const silent = new Set(['tables', 'held']);
  for (const key of Object.keys(was) as (keyof Config)[]) {
    if (silent.has(key)) continue;
    const value = was[key];
    const isMap = typeof value === 'object' && value !== null;
    const isNamed = ['core', 'providers', 'paths', 'probes'].includes(key);
    for (const inner of isMap && !isNamed ? Object.keys(value) : ['']) {
      if (isNamed) continue;
      const other = inner === '' ? 'another' : { ...(value as object), [inner]: 'another' };
      const is = { ...was, [key]: other } as Config;
      const { now, atRestart } = changesOf(was, is);
      const refused = boundToStart(was, is);
      assert.equal(refused !== null, key === 'group');
      assert.ok(now.length + atRestart.length > 0 || refused !== null, `${key} ${inner}`);
    }
  }
});
