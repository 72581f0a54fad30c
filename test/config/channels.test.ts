// Channels in the configuration: what they come to, and that what is wrong with them is said at once,
// without a letter of what may be a key.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { parseConfig, printProblem } from '../../src/config/config.ts';
import { tables } from '../../src/run/build.ts';

const good = {
  cluster: 'shop',
  providers: { cf: { type: 'cloudflare', apiToken: { env: 'CF' } } },
  origins: { a: { cloud: 'x', checks: { web: { http: 'https://a.test/' } } } },
  records: {
    'www.example.net': { publish: ['cf'], targets: [{ origin: 'a', cname: 'a.shop.test' }] },
  },
};

function read(more: object) {
  return parseConfig(stringify({ ...good, ...more }), 'c.yaml', tables);
}

function problems(more: object): string {
  const parsed = read(more);
  return parsed.ok ? '' : parsed.problems.map(printProblem).join('\n');
}

test('a channel has a way, and what it is told; all of it unless set', () => {
  const parsed = read({
    notify: { command: ['true'] },
    channels: {
      chat: {
        webhook: { url: { file: '/u' }, template: 'slack' },
        severity: ['page'],
        quiet: '1h',
      },
      hook: { webhook: { url: 'https://h.test/' }, records: ['*.example.net'] },
    },
  });
  if (!parsed.ok) assert.fail(problems({}));
  const { notify, channels } = parsed.config;
  assert.equal(notify?.type, 'command');
  assert.deepEqual(channels['chat']!.severity, ['page']);
  assert.equal(channels['chat']!.quietMs, 3_600_000);
  const { severity, records, quietMs } = channels['hook']!;
  assert.deepEqual([severity, records, quietMs], [['page', 'warn', 'info'], ['*.example.net'], 0]);
});

test('all that is wrong with channels is said at once, and nothing that may be a key', () => {
  const said = problems({
    notify: { command: ['true'] },
    channels: {
      notify: { command: ['true'] },
      none: { severity: ['page'] },
      both: { command: ['true'], webhook: { url: 'https://h.test/' } },
      chat: { webhook: { url: 'https://hooks.test/sesame', template: 'dingtalk' } },
      loud: { command: ['true'], severity: ['loud'], quiet: 'sesame' },
      typo: { webhok: { url: 'https://h.test/sesame' } },
      odd: 'https://hooks.test/sesame',
    },
  });
  for (const [where, why] of [
    ['channels.notify', 'is the name of what stands under `notify:`'],
    ['channels.none', 'expected one way to tell'],
    ['channels.both', 'got command and webhook'],
    ['channels.chat.webhook.url', 'is a key at dingtalk'],
    ['channels.loud.severity', 'page'],
    ['channels.typo', 'did you mean webhook?'],
    ['channels.odd', 'expected'],
  ] as const) {
    const line = said.split('\n').find((one) => one.includes(`  ${where}`) && one.includes(why));
    assert.ok(line, `${where} ${why} in\n${said}`);
  }
  assert.doesNotMatch(said.replace(/^.*channels\.loud\.quiet.*$/gm, ''), /sesame/);
});
