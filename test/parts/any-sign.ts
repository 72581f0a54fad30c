// Units of drawn texts: every code point there is. fast-check's own of that name makes a table of a
// million rows in each process, which takes longer than most of the tests that draw. It must leave
// out nothing that `unit: 'binary'` draws.

import fc from 'fast-check';

/** Code points that are halves of others. */
const [halves, many] = [0xd800, 0x800];

/** What is drawn first and shrunk to stands first: signs that one can see. */
const order = Array.from({ length: 128 }, (_, i) => (i + 0x20) % 128);

const codeOf = (index: number) => order[index] ?? (index < halves ? index : index + many);
const indexOf = (code: number) =>
  code < 128 ? (code + 96) % 128 : code < halves ? code : code - many;

/** One code point, as `fc.string` takes it for its `unit`. */
export const anySign = fc.integer({ min: 0, max: 0x10_ffff - many }).map(
  (index) => String.fromCodePoint(codeOf(index)),
  (sign) => {
    const code = typeof sign === 'string' ? sign.codePointAt(0) : undefined;
    if (code === undefined || sign !== String.fromCodePoint(code)) throw new Error('no sign');
    return indexOf(code);
  },
);
