// The one source of chance of the fuzzer, and the mutator that every target shares: seeded, so that
// the same seed and number give the same input. It knows no target; what it makes is only bytes,
// texts and JSON, never longer than a bound. It must never draw from anywhere but its dice.

import { Chance } from '../sim/chance.ts';

/** Numbers for one turn of one seed. */
export class Dice extends Chance {
  constructor(seed: number, turn = 0) {
    super([seed, turn, Math.imul(seed ^ 0x9e3779b9, turn + 0x85ebca6b)], 15);
  }

  /** Between so many and so many of what `make` makes. */
  list<T>(least: number, most: number, make: () => T): T[] {
    return Array.from({ length: this.int(least, most) }, make);
  }

  bytes(count: number): Buffer {
    return Buffer.from(Array.from({ length: count }, () => this.int(0, 255)));
  }
}

const numbers = [
  ...['0', '-1', '1', '00', '0x10', '1e999', '-1e999', '1e-999', 'NaN', 'Infinity', '+5', '1_0'],
  ...['127', '128', '255', '256', '65535', '65536', '2147483647', '2147483648', '4294967296'],
  ...['9007199254740993', '18446744073709551616', '99999999999999999999999999999999', '0.5', '٣'],
];
const texts = [
  ...[
    '\u0000',
    '\ufeff',
    '\u202e',
    '\u2028',
    '\u0085',
    '\ud800',
    'é',
    '😀',
    'ｅ',
    'İ',
    'ß',
    '\u200b',
  ],
  ...["'", '"', '\\', '`', '<', '>', '&', ']]>', '<!--', '$(x)', '%00', '%s', '../', '\u001b[2J'],
  ...['__proto__', 'constructor', 'toString', 'null', 'true', '[]', '{}', 'undefined', '\t'],
];
const openings = ['[', '{"a":', '<a>', '(', '- ', '{a: ', '[[', '!', '&a ', '*a ', '"', '\\'];
const ends = ['\r\n', '\n', '\r', '\r\n\r\n', '\n\n', '\r\r\n', '\r\n ', '\n\t', '\u000b'];
const marked = [0, 1, 0x3f, 0x40, 0x7f, 0x80, 0xbf, 0xc0, 0xfe, 0xff, 10, 13, 32, 34];

const most = 262_144;

/** A span: most are short, a few are of any length. */
function span(dice: Dice, length: number): [from: number, to: number] {
  const from = dice.int(0, Math.max(0, length - 1));
  const size = dice.is(0.8) ? dice.int(1, 16) : dice.int(1, Math.max(1, length));
  return [from, Math.min(length, from + size)];
}

function replace(bytes: Buffer, from: number, to: number, by: Buffer | string): Buffer {
  const put = typeof by === 'string' ? Buffer.from(by) : by;
  return Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(to)]);
}

type Change = (dice: Dice, bytes: Buffer, pool: readonly Buffer[]) => Buffer;

const changes: readonly Change[] = [
  function flip(dice, bytes) {
    const at = dice.int(0, bytes.length - 1);
    bytes[at] = bytes[at]! ^ (1 << dice.int(0, 7));
    return bytes;
  },
  function set(dice, bytes) {
    bytes[dice.int(0, bytes.length - 1)] = dice.is(0.7) ? dice.pick(marked) : dice.int(0, 255);
    return bytes;
  },
  function field(dice, bytes) {
    const width = dice.pick([2, 4]);
    if (bytes.length < width) return bytes;
    const value = dice.pick([0, 1, 0x7f, 0x100, 0xffff, 0x7fff_ffff, 0xffff_ffff, bytes.length]);
    const at = dice.int(0, bytes.length - width);
    if (width === 2) bytes.writeUInt16BE(value & 0xffff, at);
    else bytes.writeUInt32BE(value, at);
    return bytes;
  },
  (dice, bytes) => bytes.subarray(0, dice.int(0, bytes.length)),
  (dice, bytes) => replace(bytes, ...span(dice, bytes.length), ''),
  function repeat(dice, bytes) {
    const [from, to] = span(dice, bytes.length);
    const times = Math.min(dice.spread(1, 3000), Math.ceil(most / Math.max(1, to - from)));
    const copy = Buffer.concat(Array.from({ length: times }, () => bytes.subarray(from, to)));
    return replace(bytes, from, from, copy);
  },
  function splice(dice, bytes, pool) {
    const other = pool.length > 0 ? dice.pick(pool) : bytes;
    const [from, to] = span(dice, other.length);
    const at = dice.int(0, bytes.length);
    const end = dice.is(0.5) ? bytes.length : at;
    return replace(bytes, at, end, other.subarray(from, dice.is(0.5) ? other.length : to));
  },
  (dice, bytes) => replace(bytes, ...span(dice, bytes.length), dice.bytes(dice.spread(1, 40))),
  function number(dice, bytes) {
    const found = [...bytes.toString('latin1').matchAll(/\d+/g)];
    if (found.length === 0) return bytes;
    const one = dice.pick(found);
    return replace(bytes, one.index, one.index + one[0].length, dice.pick(numbers));
  },
  function text(dice, bytes) {
    const at = dice.int(0, bytes.length);
    return replace(bytes, at, at, dice.pick(texts).repeat(dice.is(0.9) ? 1 : dice.spread(1, 5000)));
  },
  function lines(dice, bytes) {
    const found = [...bytes.toString('latin1').matchAll(/\r?\n/g)];
    if (found.length === 0) return replace(bytes, bytes.length, bytes.length, dice.pick(ends));
    const one = dice.pick(found);
    return replace(bytes, one.index, one.index + one[0].length, dice.pick(ends));
  },
  function nest(dice, bytes) {
    const at = dice.int(0, bytes.length);
    const open = dice.pick(openings);
    return replace(bytes, at, at, open.repeat(dice.spread(2, dice.is(0.1) ? 60_000 : 200)));
  },
];

/** One to eight changes of some bytes; `pool` is what spans are taken from. At most 256 KiB. */
export function mutate(dice: Dice, given: Buffer, pool: readonly Buffer[] = []): Buffer {
  let bytes: Buffer = Buffer.from(given);
  for (let left = dice.is(0.6) ? dice.int(1, 2) : dice.int(1, 8); left > 0; left--) {
    if (bytes.length === 0) bytes = dice.bytes(dice.int(0, 20));
    if (bytes.length === 0) break;
    bytes = Buffer.from(dice.pick(changes)(dice, bytes, pool)).subarray(0, most);
  }
  return bytes;
}

/** The same of a text; now and then with half a surrogate in it. */
export function mutateText(dice: Dice, text: string, pool: readonly string[] = []): string {
  const mixed = mutate(
    dice,
    Buffer.from(text),
    pool.map((one) => Buffer.from(one)),
  ).toString('utf8');
  if (!dice.is(0.05)) return mixed;
  const at = dice.int(0, mixed.length);
  return `${mixed.slice(0, at)}\ud83d${mixed.slice(at)}`;
}

/** A value of JSON that nobody expects. */
export function oddValue(dice: Dice): unknown {
  return dice.pick<() => unknown>([
    () => null,
    () => dice.is(0.5),
    () => dice.pick([0, -1, 1.5, 1e308, -0, 2 ** 31, 2 ** 53, 1e21]),
    () => '',
    () => dice.pick(texts),
    () => dice.pick(numbers),
    () => 'x'.repeat(dice.spread(10, 100_000)),
    () => [],
    () => ({}),
    () => [[]],
    () => ({ a: null }),
    () => Array.from({ length: dice.spread(1, 3000) }, () => ({})),
    () => nested(dice.spread(10, 1000)),
    () => JSON.parse('{"__proto__":{"ok":true,"success":true},"constructor":1,"length":-1}'),
  ])();
}

function nested(depth: number): unknown {
  let value: unknown = 'deep';
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

type Place = { readonly in: Record<string, unknown>; readonly key: string };

/** Every place of a document, lists included. */
function places(document: unknown): Place[] {
  const found: Place[] = [];
  const look = (value: unknown) => {
    if (typeof value !== 'object' || value === null) return;
    for (const key of Object.keys(value)) {
      found.push({ in: value as Record<string, unknown>, key });
      look((value as Record<string, unknown>)[key]);
    }
  };
  look(document);
  return found;
}

/** A document of JSON with one to four of its places changed, as text; now and then not JSON. */
export function mutateJson(dice: Dice, text: string, pool: readonly string[] = []): string {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return mutateText(dice, text, pool);
  }
  for (let left = dice.int(1, 4); left > 0; left--) {
    const all = places(document);
    if (all.length === 0) break;
    const place = dice.pick(all);
    const value = place.in[place.key];
    const others = all.map((other) => other.in[other.key]);
    dice.pick<() => void>([
      () => put(place, oddValue(dice)),
      () => void delete place.in[place.key],
      () => put(place, copyOf(dice.pick(others))),
      () => put(place, typeof value === 'string' ? mutateText(dice, value) : String(value)),
      () => put(place, [value, copyOf(value)]),
      () => put({ in: place.in, key: dice.pick(['__proto__', 'x', ...texts]) }, value),
      () => {
        if (Array.isArray(value)) {
          for (let i = dice.spread(1, 500); i > 0 && value.length > 0; i--) value.push(value[0]);
        } else put(place, { ...Object(value) });
      },
    ])();
  }
  const made = JSON.stringify(document) ?? '';
  return dice.is(0.15) ? mutateText(dice, made, pool) : made;
}

/** One that is nested too deeply to be copied becomes a word. */
function copyOf(value: unknown): unknown {
  try {
    return structuredClone(value);
  } catch {
    return 'deep';
  }
}

function put({ in: holder, key }: Place, value: unknown): void {
  Object.defineProperty(holder, key, {
    value,
    enumerable: true,
    writable: true,
    configurable: true,
  });
}

/** A document of XML with one to four of its elements changed, as text; now and then not XML. */
export function mutateXml(dice: Dice, text: string, pool: readonly string[] = []): string {
  let xml = text;
  for (let left = dice.int(1, 4); left > 0; left--) {
    const leaves = [...xml.matchAll(/<(\w+)[^<>]*>([^<]*)<\/\1>/g)];
    if (leaves.length === 0 || xml.length > most) break;
    const one = dice.pick(leaves);
    const [whole, tag, inside] = one as unknown as [string, string, string];
    const by = dice.pick<() => string>([
      () => '',
      () => `<${tag}>${escaped(dice.pick([...texts, ...numbers]))}</${tag}>`,
      () => `<${tag}>${dice.pick(numbers)}</${tag}>`,
      () => `<${tag}/>`,
      () => `<${tag}><${tag}>${inside}</${tag}></${tag}>`,
      () => whole.repeat(dice.spread(2, 1000)),
      () => `<x>${inside}</x>`,
      () => `<${tag}><![CDATA[${inside}]]></${tag}>`,
      () => `<${tag}>&a;&b;&#0;&#x110000;&lt;</${tag}>`,
      () => `${'<a>'.repeat(dice.spread(2, 5000))}${whole}`,
      () => whole.replace(tag, dice.pick(['__proto__', 'constructor', 'a b', 'é'])),
    ])();
    xml = xml.slice(0, one.index) + by + xml.slice(one.index + whole.length);
  }
  if (dice.is(0.08)) xml = bomb + xml.replace(/^<\?xml[^>]*>/, '');
  return dice.is(0.15) ? mutateText(dice, xml, pool) : xml;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

/** Each entity ten times the one before: a billion at the end, if anybody follows them. */
const bomb = `<!DOCTYPE x [<!ENTITY a "lol">${[...'bcdefghij']
  .map((name, i) => `<!ENTITY ${name} "${`&${'abcdefghi'[i]};`.repeat(10)}">`)
  .join('')}]>`;
