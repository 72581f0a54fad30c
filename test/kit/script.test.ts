// Names in their own script: what becomes of them in DNS, what is none, and what is never shown as it
// was written because it could pass for another.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { domainToASCII } from 'node:url';
import fc from 'fast-check';
import { dnsName, toName } from '../../src/kit/schema.ts';
import { badLabel, labelsOf, toAscii } from '../../src/kit/script.ts';
import { anySign } from '../parts/any-sign.ts';

test('a name is one in whatever script, case, width and dots it is typed', () => {
  for (const [typed, name] of [
    ['www.例子.example', 'www.xn--fsqu00a.example.'],
    ['WWW．例子。Example.', 'www.xn--fsqu00a.example.'],
    ['www.XN--FSQU00A.example', 'www.xn--fsqu00a.example.'],
    ['_detour.例子.中国', '_detour.xn--fsqu00a.xn--fiqs8s.'],
    ['Bu\u0308cher.example', 'xn--bcher-kva.example.'],
    ['straße.example', 'xn--strae-oqa.example.'],
    ['日本・語.example', 'xn--vek160nb2acz6g.example.'],
    ['שלום.example', 'xn--9dbne9b.example.'],
    ['نامه\u200cای.example', 'xn--mgba3gch31f060k.example.'],
  ] as const) {
    assert.equal(toName(typed), name, typed);
  }
});

test('what is no name in any script is refused, and the label named', () => {
  for (const [typed, label] of [
    ['b☃cher.example', 'b☃cher'],
    ['www.😀.example', '😀'],
    ['a\u200bé.example', 'a\u200bé'],
    ['a\u00ad例.example', 'a\u00ad例'],
    ['例\u202e子.example', '例\u202e子'],
    ['-é.example', '-é'],
    ['é_x.example', 'é_x'],
    ['ab--é.example', 'ab--é'],
    ['אa.example', 'אa'],
    ['xn--a.é.example', 'xn--a'],
    ['例 子.example', '例 子'],
  ] as const) {
    assert.equal(toName(typed), null, typed);
    assert.equal(badLabel(typed), label);
  }
  // What a URL would cut off is no part of a name.
  for (const typed of ['例子?x.example', '例子#x.example', '例子@x.example', '例子%41.example']) {
    assert.equal(toName(typed), null, typed);
  }
  const said = (typed: string) => dnsName.safeParse(typed).error?.issues[0]?.message ?? '';
  assert.match(said('a\u200bé.example'), /its label "a\\u\{200b\}é" is none/);
});

test('lengths are those of the form in DNS', () => {
  const longest = `${'é'.repeat(57)}.example`;
  assert.equal(toName(longest)?.indexOf('.'), 63);
  assert.equal(toName(`é${longest}`), null);
  assert.match(
    dnsName.safeParse(`é${longest}`).error!.issues[0]!.message,
    /in DNS this one has a label of 64 characters \(xn--\.\.\.\): at most 63/,
  );
  const whole = `${'例子.'.repeat(22)}example`;
  assert.match(dnsName.safeParse(whole).error!.issues[0]!.message, /has 271 characters .* 253 in/);
});

test('what could pass for another is shown in ASCII alone', () => {
  const shown = (text: string) => Object.values(labelsOf(`${text}.example`).shown)[0] ?? null;
  for (const plain of [
    '例子',
    'bücher',
    'straße',
    '日本語カナ',
    '例子abc',
    '한국',
    'пример',
    'ไทย',
  ]) {
    assert.equal(shown(plain), plain);
  }
  for (const [odd, why] of [
    ['аррӏе', 'all its letters are drawn as Latin ones'],
    ['exаmple', 'Cyrillic among Latin'],
    ['ελa', 'Latin among Greek'],
    ['pay一pal', 'a stroke among Latin'],
    ['ɡoogle', 'a Latin letter that passes for another'],
    ['שלום', 'from right to left'],
    ['نامه\u200cای', 'something unseen, from right to left'],
    ['paral·lel', 'a point that is no letter'],
  ] as const) {
    assert.equal(shown(odd), null, why);
    assert.equal(labelsOf(`www.${odd}.example`).unshown.length, 1, why);
  }
  // What was typed in ASCII stays so.
  assert.deepEqual(labelsOf('例子.xn--fiqs8s').shown, { 'xn--fsqu00a': '例子' });
  assert.deepEqual(labelsOf('www.xn--fsqu00a.example').shown, {});
});

test('whatever is typed, it is a name in ASCII or none, and what is shown means that one', () => {
  const typed = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: anySign }));
  fc.assert(
    fc.property(typed, (text) => {
      const name = toName(text);
      assert.ok(name === null || /^[a-z0-9_.-]{2,254}$/.test(name));
      assert.equal(toName(name ?? ''), name);
      for (const [ascii, own] of Object.entries(labelsOf(text).shown)) {
        assert.equal(domainToASCII(own), ascii);
        assert.equal(toAscii(own), ascii);
      }
    }),
    { numRuns: 100 },
  );
});
