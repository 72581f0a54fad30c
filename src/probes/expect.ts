// What an answer must say: ranges of status codes, a text, a pattern, a value inside JSON. It reads
// the notation and judges bytes that somebody else chose: it must never throw on them, never repeat
// more of them than a bounded scalar, and never let a pattern hold up the event loop (a pattern
// that backtracks without end would make every other probe look like an outage).

import { isDeepStrictEqual } from 'node:util';
import vm from 'node:vm';
import { z } from 'zod';
import type { Json } from '../core/model.ts';
import { textOf } from './decode.ts';

/** Both ends included. */
export type StatusRange = readonly [least: number, most: number];

/** Exactly one of the two is present. */
export interface TextExpectation {
  readonly text?: string | undefined;
  readonly regex?: string | undefined;
}

/** Exactly one of the three is present. */
export interface BodyExpectation extends TextExpectation {
  readonly json?: { readonly path: string; readonly equals: Json } | undefined;
}

/** `unjudged`: the expectation itself could not be applied; that says nothing about the origin. */
type Match =
  | { readonly kind: 'match' }
  | { readonly kind: 'mismatch'; readonly detail: string }
  | { readonly kind: 'unjudged'; readonly detail: string; readonly isOfEncoding?: boolean };

/** What one pattern may take on one body; a linear one needs well under a millisecond. */
const patternLimitMs = 50;

const statusNotation = 'expected a status such as 200, "<500" or "200-299", or a list of them';

/** `200`, `"<500"`, `"200-299"`, or a list of them, as ranges. */
export const statusExpectation = z
  .union(
    [
      z.number(),
      z.string(),
      z
        .array(z.union([z.number(), z.string()]))
        .min(1)
        .max(20),
    ],
    {
      error: statusNotation,
    },
  )
  .describe('a status such as 200, "<500" or "200-299", or a list of them')
  .transform((value, context): readonly StatusRange[] => {
    const ranges = (Array.isArray(value) ? value : [value]).map(parseStatus);
    if (ranges.every((range) => range !== null)) return ranges;
    context.addIssue({ code: 'custom', message: statusNotation });
    return z.NEVER;
  });

const text = z.string().min(1).max(4096).describe('text that the answer must contain');
const regex = z
  .string()
  .min(1)
  .max(4096)
  .describe('pattern that the answer must match (JavaScript, flags su)')
  .refine(isPattern, { message: 'expected a regular expression (JavaScript, Unicode mode)' });

/** `{ text }`, `{ regex }` or `{ json: { path, equals } }`. */
export const bodyExpectation = exactlyOne(
  z.strictObject({
    text: text.optional(),
    regex: regex.optional(),
    json: z
      .strictObject({
        path: z
          .string()
          .min(1)
          .max(256)
          .describe('keys and indices with dots: status.nodes.0; a key with dots in quotes')
          .refine((path) => keysOf(path) !== null, {
            error:
              'expected keys with dots between, such as status.nodes.0; one with a dot of its own ' +
              'stands in double quotes as in JSON: build."app.version"',
          }),
        equals: z.json().describe('the value that must stand there'),
      })
      .optional(),
  }),
  '{ text }, { regex } or { json }',
);

/** `{ text }` or `{ regex }`. */
export const textExpectation = exactlyOne(
  z.strictObject({ text: text.optional(), regex: regex.optional() }),
  '{ text } or { regex }',
);

/** `200-299 or 404`, for people. */
export function printStatuses(ranges: readonly StatusRange[]): string {
  return ranges.map(([least, most]) => (least === most ? least : `${least}-${most}`)).join(' or ');
}

/**
 * Judges an answer's bytes, read by their Content-Type, as UTF-8 without one. `cut`: more was sent
 * than was read. Never throws.
 */
export function judgeBody(
  body: Buffer,
  cut: boolean,
  expected: BodyExpectation,
  type: string | null = null,
): Match {
  const { text: answer, unknown } = textOf(body, type);
  const read = cut ? `the first ${body.length} bytes` : `${body.length} bytes`;
  const match = judgeText(answer, read, cut, expected);
  if (unknown === null || match.kind !== 'mismatch') return match;
  const detail = `the charset ${unknown} is not read here, and ${match.detail}`;
  return { kind: 'unjudged', detail, isOfEncoding: true };
}

function judgeText(answer: string, read: string, cut: boolean, expected: BodyExpectation): Match {
  if (expected.json) return judgeJson(answer, read, cut, expected.json);
  if (expected.text !== undefined) {
    if (answer.includes(expected.text)) return { kind: 'match' };
    return { kind: 'mismatch', detail: `the expected text is not in ${read}` };
  }
  if (expected.regex === undefined) return { kind: 'match' };
  const found = testPattern(expected.regex, answer);
  if (found === true) return { kind: 'match' };
  if (found === false) {
    return { kind: 'mismatch', detail: `the expected pattern is not in ${read}` };
  }
  return {
    kind: 'unjudged',
    detail: `the pattern took more than ${patternLimitMs} ms on ${read}; make it simpler`,
  };
}

function parseStatus(term: number | string): StatusRange | null {
  const shape = /^(?:(<)?([1-5]\d\d|600)|([1-5]\d\d)-([1-5]\d\d))$/.exec(String(term));
  if (shape === null) return null;
  const [, below, single, from, to] = shape;
  const least = below ? 100 : Number(single ?? from);
  const most = below ? Number(single) - 1 : Number(single ?? to);
  return least <= most && most < 600 ? [least, most] : null;
}

function exactlyOne<Shape extends z.ZodRawShape>(
  object: z.ZodObject<Shape, z.core.$strict>,
  shape: string,
) {
  return object.refine(
    (value) => Object.values(value).filter((v) => v !== undefined).length === 1,
    {
      message: `expected exactly one of ${shape}`,
    },
  );
}

function isPattern(source: string): boolean {
  try {
    return new RegExp(source, 'su') instanceof RegExp;
  } catch {
    return false;
  }
}

let patterns: { readonly context: vm.Context; readonly script: vm.Script } | null = null;

/** null when the pattern ran out of time: only a vm context can be stopped in mid-match. */
function testPattern(source: string, answer: string): boolean | null {
  patterns ??= {
    context: vm.createContext({ pattern: null, answer: '' }),
    script: new vm.Script('pattern.test(answer)'),
  };
  const { context, script } = patterns;
  context['pattern'] = new RegExp(source, 'su');
  context['answer'] = answer;
  try {
    return script.runInContext(context, { timeout: patternLimitMs }) === true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return null;
    throw error;
  } finally {
    context['answer'] = '';
  }
}

function judgeJson(
  answer: string,
  read: string,
  cut: boolean,
  { path, equals }: { readonly path: string; readonly equals: Json },
): Match {
  let value: unknown;
  try {
    value = JSON.parse(answer);
  } catch {
    const cure = cut ? ' (cut: raise maxBytes)' : '';
    return { kind: 'mismatch', detail: `${read} are no JSON${cure}` };
  }
  for (const key of keysOf(path) ?? [path]) {
    const holds = typeof value === 'object' && value !== null && Object.hasOwn(value, key);
    if (!holds) return { kind: 'mismatch', detail: `the JSON has nothing at ${path}` };
    value = (value as Record<string, unknown>)[key];
  }
  if (isDeepStrictEqual(value, equals)) return { kind: 'match' };
  return {
    kind: 'mismatch',
    detail: `${path} is ${scalar(value)}, expected ${scalar(equals)}`,
  };
}

/** `a."b.c".0` as its keys; a key that begins with a double quote is a text of JSON. */
function keysOf(path: string): readonly string[] | null {
  const keys: string[] = [];
  const part = /(?:"((?:[^"\\]|\\.)*)"|([^."][^.]*|))(?:(\.)|$)/y;
  for (let isMore = true; isMore; ) {
    const found = part.exec(path);
    if (found === null) return null;
    const [, quoted, plain, dot] = found;
    try {
      keys.push(quoted === undefined ? plain! : (JSON.parse(`"${quoted}"`) as string));
    } catch {
      return null;
    }
    isMore = dot !== undefined;
  }
  return keys;
}

function scalar(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  const shown = JSON.stringify(value);
  return shown.length <= 60 ? shown : `${shown.slice(0, 60)}…`;
}
