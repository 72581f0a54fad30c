// A few words beside the store, for when the store has no room: what operators have said and could
// not be committed. The file is as long as it will ever be from the start and is overwritten in
// place, so that a full disk does not refuse it (ext4, xfs, tmpfs; a file system that copies on write
// may). It must never be taken for the store: it says what was said, not what holds.

import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';

export interface Reminder {
  readonly file: string;
  /** What an earlier process left here; empty: nothing. */
  words(): readonly string[];
  /** Overwrites it with these. Throws the system's error. */
  write(words: readonly string[]): void;
  close(): void;
}

const bytes = 16_384;
/** What is cut: words are an operator's sentences, and whoever says hundreds knows of the trouble. */
const wordsMax = 40;
const wordMax = 300;

/** Opens the file, made (mode 0600) when it is absent. Throws the system's error. */
export function openReminder(file: string): Reminder {
  const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
  const fd = openSync(file, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
  const write = (words: readonly string[]) => {
    const kept = words.slice(-wordsMax).map((word) => word.slice(0, wordMax));
    const more = words.length - kept.length;
    if (more > 0) kept.unshift(`${more} more`);
    let text = JSON.stringify(kept);
    while (Buffer.byteLength(text) > bytes && kept.length > 0) {
      kept.shift();
      text = JSON.stringify(kept);
    }
    const whole = Buffer.alloc(bytes, ' ');
    whole.write(text);
    writeSync(fd, whole, 0, bytes, 0);
    fsyncSync(fd);
  };
  try {
    if (fstatSync(fd).size < bytes) write(wordsIn(fd));
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return { file, words: () => wordsIn(fd), write, close: () => closeSync(fd) };
}

function wordsIn(fd: number): readonly string[] {
  const whole = Buffer.alloc(bytes);
  const text = whole.toString('utf8', 0, readSync(fd, whole, 0, bytes, 0)).trim();
  if (text === '') return [];
  try {
    const words: unknown = JSON.parse(text);
    if (Array.isArray(words)) return words.map(String);
  } catch {
    // Cut off half way: something was said, and nobody knows what.
  }
  return ['something that cannot be read any more'];
}
