// The log: what a line looks like to a machine and to a person, and that no reader, however it
// behaves, can crash or hold up whoever logs.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import tty from 'node:tty';
import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { createLog, createRarely, type Level } from '../../src/run/log.ts';

function memory(): { readonly stream: Writable; readonly lines: () => string[] } {
  let written = '';
  const stream = new Writable({
    write(chunk, _encoding, done) {
      written += chunk;
      done();
    },
  });
  return { stream, lines: () => written.split('\n').slice(0, -1) };
}

test('a JSON line carries the time, the level as a word, the sentence and the fields', () => {
  const { stream, lines } = memory();
  const log = createLog({ format: 'json', level: 'info', stream });
  log.info('provider cf is stuck', { kind: 'lane', provider: 'cf', data: { n: [1, null] } });
  const [line] = lines();
  const { time, ...rest } = JSON.parse(line ?? '');
  assert.equal(new Date(time).toISOString(), time);
  assert.deepEqual(rest, {
    level: 'info',
    kind: 'lane',
    provider: 'cf',
    data: { n: [1, null] },
    msg: 'provider cf is stuck',
  });
});

test('a field with a name of the line itself does not stand there twice', () => {
  const { stream, lines } = memory();
  createLog({ format: 'json', level: 'info', stream }).warn('real', {
    msg: 'a',
    level: 'b',
    time: 1,
  });
  const [line] = lines();
  assert.equal(line?.match(/"msg":/g)?.length, 1);
  assert.equal(line?.match(/"level":/g)?.length, 1);
  const { msg, msg_, level_, time_ } = JSON.parse(line ?? '');
  assert.deepEqual({ msg, msg_, level_, time_ }, { msg: 'real', msg_: 'a', level_: 'b', time_: 1 });
});

test('names stand in text as people write them, in JSON in ASCII', () => {
  const spelling = { 'xn--fsqu00a': '例子' };
  for (const [format, name] of [
    ['text', 'www.例子.example.'],
    ['json', 'www.xn--fsqu00a.example.'],
  ] as const) {
    const { stream, lines } = memory();
    const log = createLog({ format, level: 'info', stream });
    log.become({ format, level: 'info', spelling });
    log.info('www.xn--fsqu00a.example. moved', { record: 'www.xn--fsqu00a.example.' });
    assert.equal(lines()[0]!.split(name).length, 3, lines()[0]);
  }
});

test('lines below the level are not written, in either format', () => {
  const order: Level[] = ['debug', 'info', 'warn', 'error'];
  for (const format of ['json', 'text'] as const) {
    for (const [i, level] of order.entries()) {
      const { stream, lines } = memory();
      const log = createLog({ format, level, stream });
      for (const each of order) log[each](`a ${each}`);
      assert.equal(lines().length, order.length - i, `${format} ${level}`);
    }
  }
});

test('whatever is logged is one line that reads back as it was', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.jsonValue(), (sentence, value) => {
      const machine = memory();
      const data = JSON.parse(JSON.stringify(value));
      createLog({ format: 'json', level: 'info', stream: machine.stream }).info(sentence, { data });
      assert.equal(machine.lines().length, 1);
      const read = JSON.parse(machine.lines()[0] ?? '');
      assert.equal(read.msg, sentence);
      assert.deepEqual(read.data, data);
      const person = memory();
      createLog({ format: 'text', level: 'info', stream: person.stream }).info(sentence, { data });
      assert.equal(person.lines().length, 1);
    }),
  );
});

test('text is the time of day, the level, the sentence and the fields, in columns', () => {
  const { stream, lines } = memory();
  const log = createLog({ format: 'text', level: 'info', stream });
  log.info('ready');
  log.error('lost', { provider: 'cf', data: { a: 1 }, why: 'no way' });
  const [first, second] = lines().map((line) => stripVTControlCharacters(line));
  assert.match(first ?? '', /^\d\d:\d\d:\d\d\.\d{3} {2}info {3}ready$/);
  assert.match(
    second ?? '',
    /^\d\d:\d\d:\d\d\.\d{3} {2}error {2}lost {2}provider=cf data=\{"a":1\} why="no way"$/,
  );
});

test('a terminal obeys nothing that stands in a sentence or a field', () => {
  const { stream, lines } = memory();
  const log = createLog({ format: 'text', level: 'info', stream });
  log.info('a\u001b[2Jb\nforged  line', { x: '\u001b]0;t\u0007\u202e' });
  assert.equal(lines().length, 1);
  assert.doesNotMatch(stripVTControlCharacters(lines()[0] ?? ''), /\p{Cc}|\p{Cf}/u);
  assert.match(lines()[0] ?? '', /a \[2Jb forged {2}line/);
});

test('colours are for terminals, and NO_COLOR turns them off', () => {
  const was = { ...process.env };
  const coloured = (environment: Record<string, string>, isTTY: boolean) => {
    const told = ['NO_COLOR', 'FORCE_COLOR', 'NODE_DISABLE_COLORS', 'CI', 'COLORTERM'];
    for (const name of told) delete process.env[name];
    Object.assign(process.env, { TERM: 'xterm-256color' }, environment);
    const { stream, lines } = memory();
    Object.assign(stream, { isTTY, getColorDepth: tty.WriteStream.prototype.getColorDepth });
    createLog({ format: 'text', level: 'info', stream }).warn('look');
    return lines()[0]?.includes('\u001b[') ?? false;
  };
  try {
    assert.equal(coloured({}, true), true);
    assert.equal(coloured({}, false), false);
    assert.equal(coloured({ NO_COLOR: '1' }, true), false);
  } finally {
    for (const name of Object.keys(process.env)) if (!(name in was)) delete process.env[name];
    Object.assign(process.env, was);
  }
});

test('a reader that does not keep up loses lines, and is told how many', () => {
  for (const format of ['json', 'text'] as const) {
    const held: (() => void)[] = [];
    let written = '';
    const stream = new Writable({
      write(chunk, _encoding, done) {
        written += chunk;
        held.push(done);
      },
    });
    const log = createLog({ format, level: 'info', stream });
    const long = 'x'.repeat(1900);
    for (let i = 0; i < 1000; i++) log.info(long);
    assert.ok(stream.writableLength < 1_100_000, 'what waits is bounded');
    log.flush();
    while (stream.writableLength > 0) for (const done of held.splice(0)) done();
    log.info('after');
    while (stream.writableLength > 0) for (const done of held.splice(0)) done();
    const lines = written.split('\n').slice(0, -1);
    const lost = lines.find((line) => line.includes('lines were lost')) ?? '';
    const count = Number(/lost"?[=:](\d+)/.exec(lost)?.[1]);
    assert.equal(lines.length - 2 + count, 1000, `${format}: ${lost.slice(-80)}`);
    assert.match(lines.at(-1) ?? '', /after/);
  }
});

test('a stream that fails or is closed does not throw at whoever logs', async () => {
  const stream = new Writable({
    write(_chunk, _encoding, done) {
      done(Object.assign(new Error('gone'), { code: 'EPIPE' }));
    },
  });
  const log = createLog({ format: 'json', level: 'info', stream });
  log.info('one');
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(stream.destroyed, true);
  log.error('two');
  log.flush();
});

test('a process whose reader goes away works on', async () => {
  const code = `
    import { createLog, createRarely } from '${new URL('../../src/run/log.ts', import.meta.url)}';
    const log = createLog({ format: 'json', level: 'info', stream: process.stdout });
    for (let i = 0; i < 200; i++) {
      log.info('line', { i });
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    log.flush();
    process.stderr.write('worked on');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk) => (said += chunk));
  child.stdout.once('data', () => child.stdout.destroy());
  const status = await new Promise((resolve) => child.once('close', resolve));
  assert.equal(said, 'worked on');
  assert.equal(status, 0);
});

test('what comes again and again is said at growing distances, and how often it was not', () => {
  let at = 0;
  const rarely = createRarely(() => at);
  const said: [number, number][] = [];
  for (at = 0; at <= 3_600_000; at += 1000) {
    const unsaid = rarely('store', `cannot be written ${at}: the disk is full`);
    if (unsaid !== null) said.push([at / 1000, unsaid]);
  }
  assert.deepEqual(said.slice(0, 6), [
    [0, 0],
    [1, 0],
    [3, 1],
    [7, 3],
    [15, 7],
    [31, 15],
  ]);
  assert.ok(said.length < 20, `${said.length} lines an hour`);
  assert.ok(said.at(-1)![0] - said.at(-2)![0] <= 600, 'never silent for longer than 10 min');
  assert.equal(rarely('notify', 'another trouble is said at once'), 0);
  at += 3_600_000;
  assert.notEqual(rarely('store', 'cannot be written 7: the disk is full'), null);
  at += 1000;
  assert.equal(rarely('store', 'cannot be written 8: the disk is full'), 0, 'a new occasion');
});

test('of very many different troubles a bounded number is remembered', () => {
  const rarely = createRarely(() => 0);
  const word = (n: number) => String.fromCharCode(97 + (n % 26), 97 + Math.floor(n / 26));
  for (let n = 0; n < 400; n++) assert.equal(rarely('x', word(n)), 0);
  assert.equal(rarely('x', word(399)), null);
  assert.equal(rarely('x', word(0)), 0, 'the one that came longest ago was forgotten');
});
