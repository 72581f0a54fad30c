// Names that every object inherits, as names of everything and as words that name nothing: tables of
// the configuration hold their own entries alone.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig, printProblem } from '../../src/config/config.ts';
import { start as startDirect } from '../../src/core/direct.ts';
import { reloadProblems, start, step } from '../../src/core/engine.ts';
import type { Command, CoreConfig, Reply } from '../../src/core/model.ts';
import { view } from '../../src/core/view.ts';
import { tables } from '../../src/run/build.ts';

/** Everything bears the name, and `other` is a second provider and origin. */
function text(name: string, other = 'valueof'): string {
  return `
cluster: ${name}
providers:
  ${name}: { type: cloudflare, apiToken: { env: T } }
  ${other}: { type: cloudflare, apiToken: { env: T } }
paths: { ${name}: { site: ${name} }, ${other}: { site: ${other} } }
clouds: { ${name}: { checks: { ${name}: { plane: service, tcp: "c.example:443" } } } }
origins:
  ${name}: { cloud: ${name}, checks: { ${name}: { tcp: "a.example:443" } } }
  ${other}: { cloud: ${other}, checks: { ${name}: { tcp: "b.example:443" } } }
records:
  ${name}.example.net:
    publish: [${name}, ${other}]
    mode: steer
    targets: [{ origin: ${name}, cname: a.example }, { origin: ${other}, cname: b.example }]
`;
}

function configOf(source: string): CoreConfig {
  const parsed = parseConfig(source, 'x.yaml', tables);
  if (!parsed.ok) assert.fail(parsed.problems.map(printProblem).join('\n'));
  return parsed.config.core;
}

const inherited = ['constructor', 'toString', 'hasOwnProperty', '__proto__', 'valueOf'];
const begin = (config: CoreConfig) =>
  start({ config, docs: {}, now: 1000, wall: 1000, seed: [1, 2, 3, 4] }).state;

test('an inherited name may be the name of everything', () => {
  const state = begin(configOf(text('constructor')));
  for (let now = 1001; now < 30_000; now += 500) step(state, { kind: 'tick' }, now, now);
  const shown = view(state, { version: '0', reload: null });
  assert.deepEqual(shown.origins.map((o) => o.name).toSorted(), ['constructor', 'valueof']);
});

test('what is gone after a reload is gone, whatever its name was', () => {
  const state = begin(configOf(text('constructor')));
  const next = configOf(text('another').replace('cluster: another', 'cluster: constructor'));
  assert.deepEqual(reloadProblems(state, next), []);
  step(state, { kind: 'configured', config: next }, 2000, 2000);
  const names = (all: readonly { name: string }[]) => all.map(({ name }) => name).toSorted();
  const shown = view(state, { version: '0', reload: null });
  assert.deepEqual(names(shown.origins), ['another', 'valueof']);
  assert.deepEqual([...state.lanes.keys()].toSorted(), ['another', 'valueof']);
  assert.ok(![...state.judged.keys()].some((id) => id.includes('constructor')));
});

test('a word that names nothing is refused, though every object has it', () => {
  const state = begin(configOf(text('east', 'west')));
  const by = 'ann';
  const record = 'east.example.net.';
  let request = 0;
  const reply = (command: Command): Reply => {
    request++;
    const { effects } = step(state, { kind: 'command', request, command }, 2000, 2000);
    const found = effects.find((e) => e.kind === 'reply' && e.request === request);
    assert.ok(found?.kind === 'reply');
    return found.reply;
  };
  for (const word of inherited) {
    const of: readonly Command[] = [
      { kind: 'drilled', check: word, by },
      { kind: 'end-drill', record: word, by },
      { kind: 'drill', record, target: word, byVendor: true, forMs: 1, reason: 'r', by },
      { kind: 'drain', what: word, reason: 'r', by },
      { kind: 'undrain', what: word, by },
      { kind: 'adopt', record, target: word, create: true, by },
      {
        kind: 'switch',
        record,
        target: word,
        reason: 'r',
        by,
        forMs: null,
        force: true,
        dryRun: false,
      },
      { kind: 'pin', record: word, reason: 'r', by, forMs: null },
      { kind: 'ack', reject: false, dryRun: false, record: word, by },
      { kind: 'freeze', record: word, reason: 'r', by },
    ];
    for (const command of of) {
      assert.notEqual(reply(command).exit, 0, `${command.kind} ${word}`);
    }
  }
});

test('a direct switch to a word that names nothing is wrong input', () => {
  const config = configOf(text('east', 'west'));
  for (const word of inherited) {
    for (const [name, target] of [
      ['east.example.net.', word],
      [word, 'east'],
    ] as const) {
      const order = { record: name, target, reason: 'r', by: 'ann', forMs: null } as const;
      const more = { force: false, adopt: false, dryRun: false } as const;
      const begun = startDirect({ config, order: { ...order, ...more }, id: '1', now: 1 });
      const [end] = begun.effects.filter((e) => e.kind === 'end');
      assert.ok(end?.kind === 'end' && end.reply.exit === 2, `${name} ${target}`);
    }
  }
});

test('a configuration that refers to an inherited name says where, and throws nowhere', () => {
  const good = text('east', 'west');
  const places = [
    ['cloud: west', 'cloud: WORD'],
    ['publish: [east, west]', 'publish: [east, WORD]'],
    ['{ origin: west,', '{ origin: WORD,'],
    ['type: cloudflare', 'type: WORD'],
    ['tcp: "b.example:443"', 'WORD: "b.example:443"'],
    ['tcp: "b.example:443"', 'tcp: "b.example:443", paths: [WORD]'],
    ['east: { cloud: east,', 'east: { cloud: east, needs: [WORD],'],
    ['{ site: west }', '{ site: west, references: [WORD] }'],
    ['mode: steer', 'mode: WORD'],
    ['cluster: east', 'cluster: east\npolicy: { WORD: 5s }'],
    ['cluster: east', 'cluster: east\nWORD: {}'],
    ['cluster: east', 'cluster: east\nnotify: { WORD: x }'],
  ] as const;
  for (const [was, now] of places) {
    assert.ok(good.includes(was), was);
    for (const word of inherited) {
      const parsed = parseConfig(good.replace(was, now.replace('WORD', word)), 'x.yaml', tables);
      // A cloud needs no entry of its own.
      if (now === 'cloud: WORD' && parsed.ok) continue;
      assert.ok(!parsed.ok, `${now} ${word}`);
    }
  }
});
