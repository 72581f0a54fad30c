// Times of the week and of the calendar, on days of 23, 24 and 25 hours. Berlin put its clocks
// forward on 2026-03-29 at 01:00 UTC and back on 2026-10-25 at 01:00 UTC; Lord Howe moves by half
// an hour.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  isZone,
  lookAt,
  momentsAround,
  parseSchedule,
  parseWindow,
  type Schedule,
} from '../../src/config/windows.ts';

const berlin = 'Europe/Berlin';
const iso = (wall: number) => new Date(wall).toISOString().slice(0, 16);
const at = (text: string) => Date.parse(`${text}Z`);

function span(text: string, zone: string, when: string): string | null {
  const window = parseWindow(text);
  assert.ok(window, text);
  const { span: found } = lookAt(window, zone, at(when));
  return found && `${iso(found.fromWall)} ${iso(found.toWall)}`;
}

function around(text: string, zone: string, when: string): string {
  const schedule = parseSchedule(text) as Extract<Schedule, { kind: 'at' }>;
  assert.equal(schedule?.kind, 'at', text);
  const { last, next } = momentsAround(schedule, zone, at(when));
  return `${iso(last)} ${iso(next)}`;
}

test('what is no time is refused', () => {
  for (const text of ['', 'Tue', 'tue 10:00', 'Tue 10', 'Tue 24:00', 'Tue 10:60', '10:00', '30s']) {
    assert.equal(parseSchedule(text), null, text);
  }
  for (const text of ['Tue,Tue 10:00', 'Tue, Wed 10:00', '91d', 'Tue 10:00-11:00', 'Xyz 10:00']) {
    assert.equal(parseSchedule(text), null, text);
  }
  for (const text of ['', 'Sun 02:00', 'Sun 02:00-25:00', 'Sun,Mon 02:00-Tue 03:00', 'x/y']) {
    assert.equal(parseWindow(text), null, text);
  }
  for (const text of [
    '2026-12-24T00:00',
    '2026-12-27T00:00/2026-12-24T00:00',
    '2026-02-30T00:00/2026-03-01T00:00',
    '2026-01-01T00:00/2027-06-01T00:00',
    '2026-12-24T00:00Z/2026-12-27T00:00',
    '2026-12-24T00:00/2026-12-25T00:00/2026-12-26T00:00',
  ]) {
    assert.equal(parseWindow(text), null, text);
  }
  assert.deepEqual(
    ['UTC', 'Asia/Shanghai', berlin, 'Etc/GMT+8', 'Mars/Base', '+08:00', ''].map(isZone),
    [true, true, true, true, false, false, false],
  );
});

test('a window of the week begins and ends by the clock on the wall', () => {
  assert.equal(span('Sun 02:00-04:00', 'UTC', '2026-11-29T01:59'), null);
  assert.equal(
    span('Sun 02:00-04:00', 'UTC', '2026-11-29T02:00'),
    '2026-11-29T02:00 2026-11-29T04:00',
  );
  assert.equal(span('Sun 02:00-04:00', 'UTC', '2026-11-29T04:00'), null);
  // 10:00 of Sunday in Shanghai is 02:00 in UTC.
  assert.equal(
    span('Sun 10:00-12:00', 'Asia/Shanghai', '2026-11-29T03:00'),
    '2026-11-29T02:00 2026-11-29T04:00',
  );
  assert.equal(
    span('daily 22:00-02:00', 'UTC', '2026-11-30T01:00'),
    '2026-11-29T22:00 2026-11-30T02:00',
  );
  assert.equal(
    span('Sun 00:00-24:00', 'UTC', '2026-11-29T23:59'),
    '2026-11-29T00:00 2026-11-30T00:00',
  );
  for (const when of ['2026-11-27T22:00', '2026-11-30T05:59']) {
    assert.equal(span('Fri 22:00-Mon 06:00', 'UTC', when), '2026-11-27T22:00 2026-11-30T06:00');
  }
  assert.equal(
    span('Fri 22:00-Fri 21:00', 'UTC', '2026-12-04T20:00'),
    '2026-11-27T22:00 2026-12-04T21:00',
  );
  assert.equal(span('Fri 22:00-Mon 06:00', 'UTC', '2026-11-30T06:00'), null);
});

test('a window on the calendar is in the zone, or where its offset says', () => {
  const text = '2026-12-24T00:00/2026-12-27T00:00';
  assert.equal(
    span(text, 'Asia/Shanghai', '2026-12-23T16:00'),
    '2026-12-23T16:00 2026-12-26T16:00',
  );
  assert.equal(span(text, 'Asia/Shanghai', '2026-12-26T16:00'), null);
  const fixed = '2026-12-24T00:00+08:00/2026-12-24T12:00Z';
  assert.equal(
    span(fixed, 'America/New_York', '2026-12-24T00:00'),
    '2026-12-23T16:00 2026-12-24T12:00',
  );
});

test('a day of 23 hours: what it lacks is the moment its clock is put forward', () => {
  // 02:00 to 03:00 do not exist: the night from 01:30 to 03:30 is an hour long.
  assert.equal(
    span('Sun 01:30-03:30', berlin, '2026-03-29T00:45'),
    '2026-03-29T00:30 2026-03-29T01:30',
  );
  assert.equal(
    span('Sun 02:30-04:00', berlin, '2026-03-29T01:10'),
    '2026-03-29T01:00 2026-03-29T02:00',
  );
  assert.equal(
    span('Sun 02:00-03:00', berlin, '2026-03-29T01:00'),
    null,
    'it has no length that day',
  );
  assert.equal(
    span('Sun 00:00-24:00', berlin, '2026-03-29T10:00'),
    '2026-03-28T23:00 2026-03-29T22:00',
  );
  assert.equal(
    around('Sun 02:30', berlin, '2026-03-29T01:00'),
    '2026-03-29T01:00 2026-04-05T00:30',
  );
  assert.equal(
    around('daily 10:00', berlin, '2026-03-28T20:00'),
    '2026-03-28T09:00 2026-03-29T08:00',
  );
});

test('a day of 25 hours: a window spans both, a moment comes once', () => {
  assert.equal(
    span('Sun 02:00-03:00', berlin, '2026-10-25T01:30'),
    '2026-10-25T00:00 2026-10-25T02:00',
  );
  assert.equal(
    span('Sun 02:15-02:45', berlin, '2026-10-25T01:00'),
    '2026-10-25T00:15 2026-10-25T01:45',
  );
  assert.equal(
    span('Sun 00:00-24:00', berlin, '2026-10-25T10:00'),
    '2026-10-24T22:00 2026-10-25T23:00',
  );
  assert.equal(
    around('Sun 02:30', berlin, '2026-10-25T00:29'),
    '2026-10-18T00:30 2026-10-25T00:30',
  );
  assert.equal(
    around('Sun 02:30', berlin, '2026-10-25T01:30'),
    '2026-10-25T00:30 2026-11-01T01:30',
  );
  // By half an hour: 01:30 to 02:00 come twice.
  assert.equal(
    span('Sun 01:30-02:00', 'Australia/Lord_Howe', '2026-04-04T15:00'),
    '2026-04-04T14:30 2026-04-04T15:30',
  );
});

test('a window says when it changes next, whatever day it is', () => {
  const changes = (text: string, zone: string, when: string) =>
    iso(lookAt(parseWindow(text)!, zone, at(when)).changesWall);
  assert.equal(changes('Sun 02:00-04:00', 'UTC', '2026-11-29T04:00'), '2026-12-06T02:00');
  assert.equal(changes('Sun 02:00-04:00', 'UTC', '2026-11-29T03:00'), '2026-11-29T04:00');
  // On the day that lacks it, it is passed over.
  assert.equal(changes('Sun 02:00-03:00', berlin, '2026-03-28T12:00'), '2026-04-05T00:00');
  const once = parseWindow('2026-12-24T00:00/2026-12-27T00:00')!;
  assert.equal(lookAt(once, 'UTC', at('2027-01-01T00:00')).changesWall, Number.POSITIVE_INFINITY);
});

test('a schedule says when it was last due and when it is next', () => {
  assert.deepEqual(parseSchedule('6h'), { kind: 'every', ms: 21_600_000, text: '6h' });
  assert.equal(around('Tue 10:00', 'UTC', '2026-12-01T10:00'), '2026-12-01T10:00 2026-12-08T10:00');
  assert.equal(around('Tue 10:00', 'UTC', '2026-12-01T09:59'), '2026-11-24T10:00 2026-12-01T10:00');
  assert.equal(
    around('Mon,Thu 08:00', 'UTC', '2026-12-02T00:00'),
    '2026-11-30T08:00 2026-12-03T08:00',
  );
});
