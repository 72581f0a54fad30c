// The lines of a record taken as one: what is whole, split, strange or incomplete, what is planned
// about it, and that nothing is ever planned over a line that is not listed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { gaps, printOf, proveBy, standsAt, strays, wholeOf } from '../../src/core/lines.ts';
import { formatMarker } from '../../src/core/marker.ts';
import type { LineAnswer, Marker, RecordConfig, Seen, ServerAnswer } from '../../src/core/model.ts';
import { type Plan, plan, type Standing, standing, type Wanted } from '../../src/core/plan.ts';
import { marker } from '../parts/answers.ts';
import { coreConfig, World } from './world.ts';

const WWW = 'www.gslb.example.net.';
const A = 'a.shop.test.';
const B = 'b.shop.test.';
const ELSE = 'else.where.';
const LINES = ['default', 'telecom', 'unicom'];

type Cnames = Seen['cnames'];

/** `{ default: A, telecom: B }` as an adapter reports it. */
function cnames(of: Readonly<Record<string, string>>, ttl = 60): Cnames {
  return Object.entries(of).map(([line, value]) => {
    return { value, ttl, ...(line === 'default' ? {} : { line }) };
  });
}

const all = (value: string) => cnames({ default: value, telecom: value, unicom: value });

const record = {
  name: WWW,
  targets: [
    { origin: 'a', cname: A },
    { origin: 'b', cname: B },
  ],
} as unknown as RecordConfig;

const known = { cluster: 'shop', signed: false, remembered: [], epochMax: 1_000 };

const at = (epoch: number, target: string): Marker => {
  return { ...marker(epoch, { id: `id${epoch}` }), cluster: 'shop', target };
};

function wanted(more: Partial<Wanted> = {}): Wanted {
  return {
    cname: B,
    ttl: 60,
    lines: LINES,
    marker: at(5, 'b'),
    signed: false,
    claim: 'none',
    keepTtl: false,
    placed: null,
    since: 5,
    ...more,
  };
}

function planned(
  stands: Cnames,
  marked: Marker | null,
  more: Partial<Wanted> = {},
): { readonly s: Standing; readonly p: Plan } {
  const markers = marked === null ? [] : [formatMarker(marked)];
  const seen: Seen = { cnames: stands, markers, refusal: null, ref: null };
  const w = wanted(more);
  const s = standing({ ...known, lines: w.lines }, record, seen);
  return { s, p: plan(record, seen, s, w) };
}

test('a set is one where every line that stands gives the same, and the default one stands', () => {
  const kinds = (lines: readonly string[] | undefined, of: Cnames) => wholeOf(WWW, lines, of);
  assert.deepEqual(kinds(undefined, []), { kind: 'one', value: null });
  assert.deepEqual(kinds(undefined, [{ value: A, ttl: 60 }]), { kind: 'one', value: A });
  assert.deepEqual(kinds(LINES, all(A)), { kind: 'one', value: A });
  assert.deepEqual(kinds(LINES, cnames({ default: A })), { kind: 'one', value: A });
  assert.deepEqual(kinds(LINES, []), { kind: 'one', value: null });
  const split = kinds(LINES, cnames({ default: A, telecom: B, unicom: B }));
  const says = `${A} on the line default, ${B} on the lines telecom and unicom`;
  assert.deepEqual(split, { kind: 'split', says });
  const rootless = kinds(LINES, cnames({ telecom: A, unicom: A }));
  const lacks = `nothing on the line default, ${A} on the lines telecom and unicom`;
  assert.deepEqual(rootless, { kind: 'split', says: lacks });
});

test('a line that is not listed is refused with the cure, and two values of one line too', () => {
  for (const lines of [undefined, ['default', 'unicom']]) {
    const { s, p } = planned(cnames({ default: A, telecom: A }), at(4, 'a'), { lines });
    assert.equal(s.kind, 'refused');
    assert.ok(p.kind === 'refuse' && p.word === 'line');
    assert.match(p.sentence, /the line telecom as well.*list it under `lines`.*or remove it/);
  }
  const odd = wholeOf(WWW, LINES, [{ value: A, ttl: 60, line: '\u001b[31m\n' }]);
  assert.ok(odd.kind === 'unlisted' && odd.sentence.includes('the line of an odd name'));
  const twice = [...all(A), { value: B, ttl: 60, line: 'telecom' }];
  const { p } = planned(twice, at(4, 'a'));
  assert.ok(p.kind === 'refuse' && p.word === 'double');
  assert.match(p.sentence, /2 CNAMEs stand at .* on the line telecom: leave exactly one/);
});

test('under an older epoch a half-written set is lag, and the change is of every line', () => {
  const { s, p } = planned(cnames({ default: B, telecom: A, unicom: A }), at(4, 'a'));
  assert.ok(s.kind === 'marked' && s.value === null && s.split !== undefined);
  assert.ok(p.kind === 'write');
  assert.deepEqual(p.change.to.lines, LINES);
  assert.equal(p.change.to.cname, B);
});

test('under the epoch in force a line of another value is an edit, and the line is named', () => {
  const { p } = planned(cnames({ default: B, telecom: A, unicom: B }), at(5, 'b'));
  assert.ok(p.kind === 'edit');
  assert.match(p.edit.sentence, /^a\.shop\.test\. stands there on the line telecom instead of b/);
  assert.equal(p.edit.target, null, 'of a part of the lines nobody is led to that target');
  assert.deepEqual(p.edit.strays, [{ value: A, target: 'a' }]);
  const whole = planned(all(A), at(5, 'b'));
  assert.ok(whole.p.kind === 'edit' && whole.p.edit.target === 'a' && whole.p.edit.marked);
});

test('what is missing is created: a line beside the default one, never a word of somebody', () => {
  const { p } = planned(cnames({ default: B, unicom: B }), at(5, 'b'));
  assert.ok(p.kind === 'remark');
  assert.match(p.because, /nothing stands on the line telecom/);
  const rootless = planned(cnames({ telecom: B, unicom: B }), at(5, 'b'));
  assert.ok(rootless.p.kind === 'edit' && rootless.p.edit.strays[0]?.value === null);
  const gone = planned([], at(5, 'b'));
  assert.ok(gone.p.kind === 'edit');
  assert.match(gone.p.edit.sentence, /^nothing stands there instead/);
  const never = planned([], null, { since: 5 });
  assert.ok(never.p.kind === 'write');
});

test('without a marker a set is ours only where each line is', () => {
  const placed = { cname: A, marker: at(4, 'a') };
  const halfway = cnames({ default: B, telecom: A, unicom: A });
  assert.equal(planned(halfway, null, { placed }).p.kind, 'write');
  assert.equal(planned(halfway, null, { claim: 'configured' }).p.kind, 'write');
  const strange = cnames({ default: B, telecom: ELSE, unicom: A });
  for (const more of [{ placed }, { claim: 'configured' as const }, {}]) {
    assert.notEqual(planned(strange, null, more).p.kind, 'write');
  }
  assert.equal(planned(strange, null, { claim: 'any' }).p.kind, 'write');
  const { p } = planned(strange, null);
  assert.ok(p.kind === 'refuse' && p.word === 'unmarked');
  assert.match(p.sentence, /else\.where\. on the line telecom/);
});

test('the TTL of any line is put right', () => {
  const odd = [...cnames({ default: B, telecom: B }), { value: B, ttl: 600, line: 'unicom' }];
  const { p } = planned(odd, at(5, 'b'));
  assert.ok(p.kind === 'ttl');
  assert.match(p.sentence, /its TTL is 600 s and is to be 60 s/);
});

const value = fc.constantFrom(A, B, ELSE);
const stands: fc.Arbitrary<Cnames> = fc
  .record({
    default: fc.option(value),
    telecom: fc.option(value),
    unicom: fc.option(value),
    search: fc.option(value, { freq: 6 }),
  })
  .map((of) => {
    const set = Object.entries(of).filter(([, v]) => v !== null) as [string, string][];
    return cnames(Object.fromEntries(set));
  });
const marked = fc.option(fc.constantFrom(at(4, 'a'), at(5, 'b')));
const wishes = fc.record({
  claim: fc.constantFrom('any' as const, 'configured' as const, 'none' as const),
  placed: fc.constantFrom(null, { cname: A, marker: at(4, 'a') }, { cname: B, marker: at(5, 'b') }),
  keepTtl: fc.boolean(),
});

test('no plan over an unlisted line; in step only where every listed line is right', () => {
  fc.assert(
    fc.property(stands, marked, wishes, (of, m, more) => {
      const { s, p } = planned(of, m, more);
      const isStrange = of.some((c) => c.line === 'search');
      if (isStrange) return assert.ok(p.kind === 'refuse' && p.word === 'line');
      const isAll = LINES.every((line) => of.some((c) => (c.line ?? 'default') === line));
      const isRight = isAll && of.every((c) => c.value === B);
      if (p.kind === 'in-step') assert.ok(isRight && m?.epoch === 5);
      if (isRight && m?.epoch === 5) assert.equal(p.kind, 'in-step');
      if (s.kind === 'marked' && s.value === B && s.gaps === undefined) assert.ok(isRight);
      const change = p.kind === 'edit' ? p.edit.change : 'change' in p ? p.change : null;
      if (change === null) return;
      assert.deepEqual(change.to.lines, LINES);
      assert.equal(change.from.cnames, of);
      const after = planned(all(change.to.cname), change.to.marker, more);
      assert.equal(after.p.kind, 'in-step');
    }),
    { numRuns: 3_000 },
  );
});

test('strays and gaps are those that a naive twin finds', () => {
  fc.assert(
    fc.property(stands, (of) => {
      const listed = of.filter((c) => c.line !== 'search');
      const by = new Map(listed.map((c) => [c.line ?? 'default', c.value]));
      const naive = LINES.filter((line) => {
        return by.has(line) ? by.get(line) !== B : line === 'default';
      });
      const found = strays(LINES, listed, B).map((p) => p.line ?? 'default');
      assert.deepEqual([...found].sort(), [...naive].sort());
      const open = LINES.filter((line) => !by.has(line));
      assert.deepEqual(gaps(LINES, listed), open);
      assert.equal(printOf([...listed].reverse()), printOf(listed));
    }),
  );
});

test('what stands where is told by value', () => {
  const parts = [
    { line: 'telecom', value: A },
    { line: 'unicom', value: A },
    { line: 'default', value: null },
  ];
  const says = `${A} stands there on the lines telecom and unicom and nothing stands there on the line default`;
  assert.equal(standsAt(parts), says);
});

test('a line is proven by servers that heed the asker, all of them right, and by nothing else', () => {
  const server = (...lines: LineAnswer[]): ServerAnswer => {
    return { server: 's', answer: { kind: 'cname', value: B, ttl: 60 }, markers: null, lines };
  };
  const says = (value: string | null, heeds = true) => ({ line: 'telecom', value, heeds });
  const proof = (...answers: ServerAnswer[]) => proveBy({}, answers, B, 7)['telecom'];
  assert.deepEqual(proof(server(says(B)), server(says(B))), { provenAt: 7, why: '' });
  assert.equal(proof(server(says(B)), server(says(A)))?.provenAt, null);
  assert.match(proof(server(says(A)))?.why ?? '', /a\.shop\.test\. is given for its subnet/);
  const deaf = proof(server(says(B, false)));
  assert.equal(deaf?.provenAt, null, 'that may be the answer of our own line');
  assert.match(deaf?.why ?? '', /do not answer by the address/);
  assert.deepEqual(proof(server(says(B)), server(says(null, false))), { provenAt: 7, why: '' });
  const before = { telecom: { provenAt: 3, why: '' } };
  const later = proveBy(before, [server(says(A))], B, 9);
  assert.equal(later['telecom']?.provenAt, 3, 'another answer is nothing against it');
  assert.equal(proveBy(before, [], B, 9), before);
});

// ---------------------------------------------------------------- the engine

const RECORD = 'www.gslb.test.';

/** Of three vendors one has lines, and the record stands on three of them. */
function world(lines?: readonly string[]): World {
  const publish = ['cf', 'r53', 'ali'].map((provider) => ({
    provider,
    ttl: 60,
    ...(provider === 'ali' && lines !== undefined ? { lines } : {}),
  }));
  const made = new World(coreConfig({ records: { [RECORD]: { publish } } }));
  made.hold(RECORD, A);
  made.start();
  made.advance(10_000);
  return made;
}

test('what cannot be seen from here is read by the API every five minutes, and without lines is not', () => {
  const plain = world();
  const lined = world(LINES);
  for (const made of [plain, lined]) {
    assert.equal(made.state.records.get(RECORD)!.doc.target, 'a');
    for (const v of made.vendors.values()) v.reads = 0;
    made.advance(3_600_000);
  }
  assert.equal(plain.vendors.get('ali')!.reads, 0);
  const { reads } = lined.vendors.get('ali')!;
  assert.ok(reads >= 10 && reads <= 12, `${reads} in an hour`);
  assert.equal(lined.vendors.get('cf')!.reads, 0);
});

test('an adopted record stands on every listed line, and a line that goes is made again', () => {
  const made = world(LINES);
  const held = () => made.held('ali', RECORD);
  assert.deepEqual(held().lines, ['telecom', 'unicom']);
  made.vendors.get('ali')!.records.set(RECORD, { ...held(), lines: ['telecom'] });
  made.advance(330_000);
  assert.deepEqual(held().lines, ['telecom', 'unicom']);
  const said = made.journal.map(({ entry }) => entry.sentence).filter((s) => s.includes('unicom'));
  assert.match(said.join(), /nothing stands on the line unicom; it is written again/);
});

test('a line that is listed later is made, and one that is listed no more is told, not touched', () => {
  const made = world(['default', 'telecom']);
  const reload = (lines: readonly string[]) => {
    const record = made.config.records[RECORD]!;
    const publish = record.publish.map((p) => (p.provider === 'ali' ? { ...p, lines } : p));
    const records = { [RECORD]: { ...record, publish } };
    made.reload({ ...made.config, records });
    made.advance(5_000);
  };
  reload(LINES);
  assert.deepEqual(made.held('ali', RECORD).lines, ['telecom', 'unicom']);
  reload(['default', 'unicom']);
  assert.deepEqual(made.held('ali', RECORD).lines, ['telecom', 'unicom'], 'nothing is removed');
  const cell = made.state.records.get(RECORD)!.cells.get('ali')!;
  assert.equal(cell.problem?.word, 'line');
  assert.match(cell.problem?.sentence ?? '', /the line telecom as well, which is not listed/);
});
