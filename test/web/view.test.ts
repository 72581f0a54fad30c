// What the page makes of the board, and its words: without a browser.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { spelt } from '../../src/core/name.ts';
import type { Board } from '../../src/serve/board.ts';
import { makingOf } from '../../src/serve/board.ts';
import {
  found,
  headline,
  isNamed,
  lastMark,
  measured,
  runsOf,
  seconds,
  sentenceOf,
  span,
  stepsOf,
  summary,
} from '../../web/src/view.ts';
import { type Language, languageOf, sayOf, speaker, tables } from '../../web/src/words.ts';
import { at, provider, record, sampleView, waiting } from '../cli/desk.ts';

const say = speaker('en');

function boardOf(change: (view: ReturnType<typeof sampleView>) => object = () => ({})): Board {
  const sample = sampleView();
  const view = { ...sample, ...change(sample) };
  const making = makingOf(true);
  return {
    ...{ rev: 'a-1', at: view.at, wall: view.wall, rest: making.rest(view, []) },
    records: view.records.map(making.records),
    origins: view.origins.map(making.origins),
    clouds: view.clouds.map(making.clouds),
    paths: view.paths.map(making.paths),
    lanes: view.lanes.map(making.lanes),
  };
}

test('both languages say everything, with the same facts in it', () => {
  const keys = (language: Language) => Object.keys(tables[language]).toSorted();
  assert.deepEqual(keys('zh'), keys('en'));
  const places = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([one]) => one).toSorted();
  for (const [key, text] of Object.entries(tables.en)) {
    const other = tables.zh[key as keyof typeof tables.zh];
    assert.ok(text.trim() !== '' && other.trim() !== '', key);
    assert.deepEqual(places(other), places(text), key);
    assert.doesNotMatch(text, /\p{Script=Han}/u, key);
  }
  const alike = Object.entries(tables.en).filter(([key, text]) => {
    return tables.zh[key as keyof typeof tables.zh] === text;
  });
  assert.deepEqual(
    alike.map(([key]) => key),
    [],
    'each is translated',
  );
});

test('the language is the first of the browser’s that the page speaks', () => {
  assert.equal(languageOf(['zh-CN', 'en']), 'zh');
  assert.equal(languageOf(['de', 'zh-TW', 'en']), 'zh');
  assert.equal(languageOf(['de-DE', 'en-US', 'zh']), 'en');
  assert.equal(languageOf([]), 'en');
  assert.equal(sayOf(say, 'stage', 'of-tomorrow'), 'of-tomorrow', 'an unknown word as it is');
  assert.equal(sayOf(speaker('zh'), 'stage', 'lagging'), '落后');
  assert.equal(say('head.cloud', { cloud: '{x}', diagnosis: '$&' }), '{x}: $&');
});

test('the sentence at the top names the widest failure, and what it means', () => {
  const well = boardOf((view) => ({
    records: [record({ providers: [provider('cf')] })],
    lanes: view.lanes.slice(0, 1),
  }));
  assert.deepEqual(headline(well, say), {
    ...{ level: 'well', title: 'All is well', evidence: [], sinceAt: null },
    facts: ['1 of 1 records lead to an origin that is up'],
  });
  const cloud = (name: string, diagnosis: string, sinceAt: number) => ({
    ...{ name, diagnosis, sinceAt, sentence: `${name}: evidence`, services: [] },
  });
  const ill = boardOf(() => ({
    clouds: [
      cloud('aws', 'origin-down', at - 5),
      cloud('aliyun', 'cloud-down', at - 9),
      cloud('gcp', 'healthy', 0),
    ],
    records: [record({ switching: true, approval: waiting() })],
  }));
  const said = headline(ill, say);
  assert.equal(said.title, 'aliyun: the whole cloud is down · aws: an origin is down');
  assert.deepEqual([said.level, said.sinceAt], ['trouble', at - 9]);
  assert.deepEqual(said.evidence, ['aliyun: evidence', 'aws: evidence']);
  assert.deepEqual(said.facts, [
    ...['A decision waits for a person', '1 of 1 records lead to an origin that is up'],
    '1 switching now',
  ]);
  assert.equal(headline(ill, speaker('zh')).title, 'aliyun：整个云故障 · aws：有源站故障');
});

test('what cannot be seen is called unknown, never down and never well', () => {
  const blind = boardOf((view) => ({
    paths: view.paths.map((path) => ({ ...path, state: 'blind' })),
  }));
  assert.deepEqual(
    [headline(blind, say).level, headline(blind, say).title],
    [...['unknown', 'Blind: no path can see anything']],
  );
  const reading = boardOf((view) => ({
    lanes: view.lanes.slice(0, 1),
    records: [record({ providers: [], stay: { reason: 'reading', sentence: 'being read' } })],
  }));
  assert.equal(headline(reading, say).level, 'unknown');
});

test('records are found by all words of a search, trouble first and then by name', () => {
  const one = (name: string, more = {}) => record({ name, providers: [provider('cf')], ...more });
  const { records } = boardOf(() => ({
    records: [
      one('b.example.'),
      one('a.example.', { mode: 'observe', names: ['pay.other.example.'] }),
      one('z.example.', { providers: [provider('cf', { stage: 'lagging' })] }),
      one('m.example.', {
        pin: { target: 'hangzhou', reason: 'r', by: 'ann', sinceAt: 0, untilAt: null },
      }),
    ],
  }));
  const names = (search: string) => found(records, search, say).map(({ name }) => name[0]);
  assert.deepEqual(names(''), ['z', 'a', 'b', 'm']);
  assert.deepEqual(names('TROUBLE'), ['z']);
  assert.deepEqual(names('pay.other'), ['a']);
  assert.deepEqual(names('observe example'), ['a']);
  assert.deepEqual(names('pinned'), ['m']);
  assert.deepEqual(names('hangzhou nothing'), []);
});

test('a record is found by its name in either form, and named by either in an address', () => {
  const spelling = { 'xn--fsqu00a': '例子' };
  const names = ['www.xn--fsqu00a.shop.'];
  const board = boardOf(() => ({
    records: [record({ name: 'a.xn--fsqu00a.example.', names }), record({ name: 'b.example.' })],
  }));
  const shown = spelt(board.records, spelling);
  const all = (search: string) => found(shown, search, say, spelling).map(({ name }) => name);
  for (const word of [
    '例子',
    '例',
    'a.例子',
    'xn--fsqu00a',
    'xn--fs',
    '例子.SHOP',
    'xn--fsqu00a.shop',
  ]) {
    assert.deepEqual(all(word), ['a.例子.example.'], word);
  }
  assert.deepEqual(all('例字'), []);
  // Written in ASCII it is shown so, and found by the other form as well.
  const plain = found(board.records, '例子', say).map(({ name }) => name);
  assert.deepEqual(plain, ['a.xn--fsqu00a.example.']);
  for (const name of ['a.例子.example', 'a.xn--fsqu00a.example']) {
    assert.deepEqual(
      shown.map((row) => isNamed(row, name)),
      [true, false],
    );
  }
});

test('a switch at a vendor is ticked off by its stages', () => {
  const done = (more: object) =>
    stepsOf({ stage: 'decided', writtenAfterMs: null, visibleAfterMs: null, ...more })
      .filter(({ isDone }) => isDone)
      .map(({ word, ms }) => `${word} ${ms}`);
  assert.deepEqual(done({ stage: 'waiting' }), []);
  assert.deepEqual(done({}), ['decided null']);
  assert.deepEqual(done({ stage: 'written', writtenAfterMs: 7 }), ['decided null', 'written 7']);
  assert.deepEqual(done({ stage: 'visible', writtenAfterMs: 7, visibleAfterMs: 9 }), [
    ...['decided null', 'written 7', 'visible 9'],
  ]);
  assert.deepEqual(done({ stage: 'lagging', writtenAfterMs: 7 }), ['decided null', 'written 7']);
});

test('times are said in two units at most', () => {
  const spans = [0, 999, 1000, 61_000, 3_600_000, 5_430_000, 90_000_000];
  assert.deepEqual(
    spans.map((ms) => span(ms, 'en')),
    [...['0 ms', '999 ms', '1 s', '1 min 1 s', '1 h', '1 h 30 min', '1 d 1 h']],
  );
  assert.equal(span(5_430_000, 'zh'), '1 小时 30 分');
  assert.equal(seconds(3, 'en'), '1 s', 'an age is no flicker of milliseconds');
  const all = [312, 1240, 9999, 61_422, 250_000];
  assert.deepEqual(
    all.map((ms) => measured(ms, 'en')),
    ['312 ms', '1.24 s', '10 s', '61.4 s', '250 s'],
  );
});

test('a strip is drawn in runs, and said in words', () => {
  assert.deepEqual(runsOf('..ppf'), [
    { mark: '.', from: 0, pieces: 2 },
    { mark: 'p', from: 2, pieces: 2 },
    { mark: 'f', from: 4, pieces: 1 },
  ]);
  assert.equal(summary('..pppf', say), 'fail 25 %, pass 75 %');
  assert.equal(summary('...', say), 'nothing was seen');
  assert.deepEqual([lastMark('ppf..'), lastMark('..')], ['f', '.']);
});

test('an entry whose sentence is not shown says what kind it is', () => {
  const entry = { seq: 1, wall: 0, kind: 'switch', record: 'www.example.', sentence: '' };
  assert.equal(sentenceOf({ ...entry, from: 'a', to: 'b' }, say), 'www.example: a → b');
  assert.equal(
    sentenceOf({ ...entry, kind: 'pin', from: null, to: null }, say),
    'www.example: pinned',
  );
  assert.equal(sentenceOf({ ...entry, sentence: 'x', from: null, to: null }, say), 'x');
});
