// Bodies of HTTP answers for the thin clients of the engines: whole, or line by line as a watch
// sends them, each under a bound; and JSON that may be anything. It must never hold more than the
// bound.

import type { IncomingMessage } from 'node:http';

export type Fields = Readonly<Record<string, unknown>>;

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The JSON object in a text; null where it is none. */
export function parse(text: string): Fields | null {
  try {
    const value: unknown = JSON.parse(text);
    return isFields(value) ? value : null;
  } catch {
    // What is no JSON says nothing: the caller tells of it as it came.
    return null;
  }
}

/** Null where it broke off, or is larger than so many bytes. May be told more than once. */
export function collect(
  response: IncomingMessage,
  most: number,
  done: (text: string | null) => void,
): void {
  const chunks: Buffer[] = [];
  let size = 0;
  response.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > most) {
      response.destroy();
      done(null);
    } else chunks.push(chunk);
  });
  response.on('end', () => done(Buffer.concat(chunks).toString()));
  response.on('error', () => done(null));
  response.on('aborted', () => done(null));
}

/** Each line that is not empty, an unended last one too, until `ended`, which may be told again. */
export function readLines(
  response: IncomingMessage,
  most: number,
  line: (text: string) => void,
  ended: (why: string) => void,
): void {
  let rest: Buffer[] = [];
  let size = 0;
  response.on('data', (chunk: Buffer) => {
    let from = 0;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      rest.push(chunk.subarray(from, at));
      const text = Buffer.concat(rest).toString().trim();
      rest = [];
      size = 0;
      from = at + 1;
      if (text !== '') line(text);
    }
    rest.push(chunk.subarray(from));
    size += chunk.length - from;
    if (size <= most) return;
    response.destroy();
    ended(`a line of its watch is larger than ${most} bytes`);
  });
  response.on('end', () => {
    // A refusal is one object without a line's end.
    const text = Buffer.concat(rest).toString().trim();
    if (text !== '') line(text);
    ended('its watch ended');
  });
  response.on('error', () => ended('its watch broke off'));
}
