// A cluster key, made from the system's randomness into a file of its own. It must never write over
// what is there, and never show what it made.

import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { Reply } from '../core/model.ts';

const KEY_BYTES = 32;

/** 256 bits as base64url in a new file that only its owner may read. */
export function makeKey(path: string): Reply {
  try {
    const text = `${randomBytes(KEY_BYTES).toString('base64url')}\n`;
    // `wx`: a key that is in use is never lost to a slip of the hand.
    writeFileSync(path, text, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    const why = code === 'EEXIST' ? 'it is there already: name a file that is not' : message;
    return { exit: 2, message: `${path}: ${why}` };
  }
  const use = `clusterKey: { file: ${path} }`;
  const message =
    `${path} holds a new key of 256 bits, readable for you alone.\n` +
    `As the cluster key it goes on each machine that acts for this cluster: ${use}\n` +
    `As a token of the API: token: { file: ${path} }`;
  return { exit: 0, message };
}
