// The `push` check: what other monitors send, in their own formats; that silence is never a state; and
// the door it comes in by. Times are given; nothing waits.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SecretError } from '../../src/kit/secret.ts';
import { Board, openPushDoor, push, readPush, readPushToken } from '../../src/probes/push.ts';

type Settings = Parameters<Board['answer']>[0];

const settingsOf = (more: Record<string, unknown> = {}) =>
  push.settings.parse({ push: 'mon', token: { env: 'T' }, expires: '1m', ...more }) as Settings;
const body = (value: unknown) => Buffer.from(JSON.stringify(value));

/** A board with one name, and what a check of these settings says at a moment, in seconds. */
function begin(more: Record<string, unknown> = {}) {
  const board = new Board();
  board.keep(['mon'], 0);
  const settings = settingsOf(more);
  return {
    board,
    hear(value: unknown, at: number) {
      const heard = readPush(settings, value === '' ? Buffer.alloc(0) : body(value));
      if (!heard.ok) assert.fail(heard.why);
      board.hear('mon', heard, at * 1000);
    },
    at(seconds: number) {
      const { outcome, reason, detail } = board.answer(settings, seconds * 1000);
      return { says: `${outcome} ${reason}`, detail };
    },
  };
}

test('a silent monitor is unknown: never heard, and not heard for too long', () => {
  const it = begin();
  assert.equal(it.at(0).says, 'blind silent');
  it.hear({ state: 'up', detail: 'all is well' }, 10);
  assert.deepEqual(it.at(20), { says: 'pass ok', detail: 'all is well, said 10s ago' });
  assert.equal(it.at(70).says, 'pass ok');
  assert.equal(it.at(71).says, 'blind silent');
  assert.match(it.at(71).detail, /spoke last 1m1s ago/);
  it.hear({ state: 'down', detail: 'gone' }, 80);
  assert.deepEqual(it.at(81), { says: 'fail pushed', detail: 'gone, said 1s ago' });
  assert.equal(it.at(141).says, 'blind silent', 'what was down is not known to be down still');
  it.hear({ state: 'unknown', detail: 'asleep' }, 150);
  assert.deepEqual(it.at(150), { says: 'blind unknown', detail: 'mon does not know: asleep' });
});

test('a sign of life keeps the last word and is none itself', () => {
  const it = begin();
  it.hear('', 1);
  assert.match(it.at(2).detail, /lives, and has not said yet how it is/);
  assert.equal(it.at(2).says, 'blind silent');
  it.hear({ state: 'down' }, 10);
  it.hear({ state: 'alive' }, 65);
  assert.equal(it.at(120).says, 'fail pushed');
  assert.equal(it.at(126).says, 'blind silent');
});

test('several under one name: one that is down is down, one that is silent is not known', () => {
  const it = begin();
  it.hear({ state: 'up', key: 'a' }, 0);
  it.hear({ state: 'down', key: 'b' }, 50);
  assert.equal(it.at(55).says, 'fail pushed');
  it.hear({ state: 'up', key: 'b' }, 61);
  assert.equal(it.at(62).says, 'blind silent');
  assert.match(it.at(62).detail, /1 of 2 that speak as mon are silent/);
  it.hear({ state: 'up', key: 'a' }, 63);
  assert.equal(it.at(64).says, 'pass ok');
  for (let i = 0; i < 3000; i++) it.hear({ state: 'up', key: `k${i}` }, 65);
  assert.equal(it.at(66).says, 'pass ok');
});

const alert = (status: string, labels: Record<string, string>, more = {}) => ({
  status,
  labels,
  annotations: { summary: 'half of all requests fail' },
  startsAt: '2026-11-30T05:00:00Z',
  endsAt: '0001-01-01T00:00:00Z',
  generatorURL: 'http://prometheus:9090/graph',
  ...more,
});
const group = (...alerts: unknown[]) => ({
  receiver: 'detour',
  status: 'firing',
  alerts,
  groupLabels: {},
  commonLabels: {},
  commonAnnotations: {},
  externalURL: 'http://alertmanager:9093',
  version: '4',
  groupKey: '{}:{}',
  truncatedAlerts: 0,
});

test('Alertmanager: what fires is down, what is resolved is over, and its watchdog is its life', () => {
  const it = begin({ format: 'alertmanager', labels: { origin: 'hz' } });
  const watchdog = alert('firing', { alertname: 'Watchdog' });
  it.hear(group(watchdog), 10);
  assert.equal(
    it.at(11).says,
    'blind silent',
    'what fires already may not have been told again yet',
  );
  it.hear(group(watchdog), 61);
  assert.deepEqual(it.at(62), { says: 'pass ok', detail: 'no alert fires, said 1s ago' });
  const down = { alertname: 'Down', origin: 'hz' };
  it.hear(group(alert('firing', down, { fingerprint: 'f1' })), 70);
  assert.equal(it.at(71).says, 'fail pushed');
  assert.match(it.at(71).detail, /^Down: half of all requests fail, said/);
  it.hear(group(alert('firing', { alertname: 'Down', origin: 'other' })), 72);
  it.hear(group(alert('resolved', down, { fingerprint: 'f1' })), 80);
  assert.equal(it.at(81).says, 'pass ok');
  // Without fingerprints, as before 0.20, labels say which one it is, in whatever order they stand.
  it.hear(group(alert('firing', { origin: 'hz', alertname: 'B' })), 84);
  it.hear(group(alert('resolved', { alertname: 'B', origin: 'hz' }), watchdog), 85);
  assert.equal(it.at(86).says, 'pass ok');
  assert.equal(
    it.at(146).says,
    'blind silent',
    'an Alertmanager that has died says nothing either',
  );
});

test('Uptime Kuma: its states are its own numbers, and a test of its is a sign of life', () => {
  const it = begin({ format: 'uptime-kuma' });
  const beat = (status: number, msg = '') => ({
    heartbeat: { monitorID: 7, status, time: '2026-11-30 05:00:00.000', msg, important: true },
    monitor: { id: 7, name: 'shop', url: 'https://www.example.net', type: 'http' },
    msg: '[shop] …',
  });
  it.hear(beat(1, '200 - OK'), 0);
  assert.deepEqual(it.at(1), { says: 'pass ok', detail: 'shop: 200 - OK, said 1s ago' });
  it.hear(beat(0, 'timeout'), 2);
  assert.equal(it.at(3).says, 'fail pushed');
  for (const status of [2, 3]) {
    it.hear(beat(status), 4);
    assert.equal(it.at(5).says, 'blind unknown', 'pending and maintenance are no failure');
  }
  it.hear(beat(1), 6);
  it.hear({ heartbeat: null, monitor: null, msg: 'shop Testing' }, 60);
  assert.equal(it.at(119).says, 'pass ok');
});

test('Gatus: the body of docs/checks.md', () => {
  const it = begin({ format: 'gatus' });
  const told = (state: string) => ({ endpoint: 'shop', group: 'core', state, detail: 'no answer' });
  it.hear(told('TRIGGERED'), 0);
  assert.deepEqual(it.at(0), { says: 'fail pushed', detail: 'no answer, said 0s ago' });
  it.hear(told('RESOLVED'), 1);
  assert.equal(it.at(1).says, 'pass ok');
});

test('what is in no format is refused with the format, and nothing is thrown on any bytes', () => {
  const formats = ['generic', 'alertmanager', 'uptime-kuma', 'gatus'] as const;
  for (const format of formats) {
    const settings = settingsOf({ format });
    for (const wrong of [
      'x',
      '[]',
      'null',
      '{}',
      '{"state":"UP"}',
      '{"alerts":[{}],"version":"4"}',
    ]) {
      const heard = readPush(settings, Buffer.from(wrong));
      assert.equal(heard.ok, false, `${format}: ${wrong}`);
    }
  }
  fc.assert(
    fc.property(fc.constantFrom(...formats), fc.uint8Array(), fc.json(), (format, bytes, json) => {
      const settings = settingsOf({ format });
      readPush(settings, Buffer.from(bytes));
      readPush(settings, Buffer.from(json));
    }),
  );
});

test('by the door comes who has the token of that name, whatever else is there', async () => {
  const settings = settingsOf();
  const token = 'a-token-of-24-characters';
  const door = openPushDoor(new Map([['mon', { settings, token: () => token }]]));
  assert.equal(door.mayPush('mon', token), true);
  for (const [name, shown] of [
    ['mon', ''],
    ['mon', 'a-token-of-24-character'],
    ['none', token],
    ['none', ''],
    ['constructor', token],
  ] as const) {
    assert.equal(door.mayPush(name, shown), false, `${name} ${shown}`);
  }
  const check = push.create(settings, direct, 1000, { secret: () => token });
  const ask = async () => (await check.ask(new AbortController().signal)).outcome;
  assert.equal(await ask(), 'blind');
  assert.equal(door.push('mon', 'x').status, 400);
  assert.equal(door.push('mon', '{"state":"up"}').status, 200);
  assert.equal(await ask(), 'pass');
  openPushDoor(new Map([['mon', { settings, token: () => token }]]));
  assert.equal(await ask(), 'pass', 'a reload forgets nothing that is still listened to');
  openPushDoor(new Map());
  assert.equal(await ask(), 'blind');
});

const direct = { name: 'line', kind: 'direct', resolver: null, localAddress: null } as const;

test('settings, tokens and paths that cannot be meant are refused', () => {
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ push: 'A B' }, /a-z, 0-9 and -/],
    [{ token: 'plain' }, /never written into the configuration/],
    [{ format: 'nagios' }, /Invalid option|expected/],
    [{ labels: { a: 'b' } }, /generic has no labels/],
    [{ format: 'alertmanager', labels: { 'a-b': 'b' } }, /letters, digits and _/],
  ];
  for (const [more, message] of wrong) {
    const read = push.settings.safeParse({ push: 'mon', token: { env: 'T' }, ...more });
    assert.match(JSON.stringify(read.error?.issues), message);
  }
  for (const token of ['short', 'with a blank in the middle of it']) {
    assert.throws(() => readPushToken(settingsOf(), () => token), SecretError);
  }
  assert.match(push.pathProblem({ ...direct, localAddress: '127.0.0.1' }, undefined)!, /own route/);
  const drilled = new Board().answer(push.impossible(settingsOf()) as Settings, 0);
  assert.match(drilled.detail, /have its sender push a failure/);
});
