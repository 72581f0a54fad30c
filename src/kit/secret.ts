// Reads a secret from where its reference points. The value goes straight into the adapter that
// needs it and must never reach state, journal, logs, metrics or an error (design, rule 20): the
// errors here name the reference and the cure, never the content.

import { readFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import type { SecretRef } from './schema.ts';

/** A secret that cannot be had; the message names the reference and the cure. */
export class SecretError extends Error {}

/** The secret's text, without one trailing newline. Throws SecretError; reads at most 64 KiB. */
export function readSecret(
  ref: SecretRef,
  env: Readonly<Record<string, string | undefined>>,
): string {
  if ('env' in ref) {
    const value = env[ref.env];
    if (value) return value;
    throw new SecretError(`environment variable ${ref.env} is not set: set it for the daemon`);
  }
  if ('file' in ref) return readFrom(ref.file, `file ${ref.file}`);
  const directory = env['CREDENTIALS_DIRECTORY'];
  if (!directory || !isAbsolute(directory)) {
    throw new SecretError(
      `credential ${ref.credential}: CREDENTIALS_DIRECTORY is not set; ` +
        `give the systemd unit LoadCredential=${ref.credential}:/path`,
    );
  }
  return readFrom(join(directory, ref.credential), `credential ${ref.credential}`);
}

function readFrom(path: string, what: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unreadable';
    throw new SecretError(`${what}: ${code}; make it readable for the user the daemon runs as`);
  }
  const value = text.replace(/\r?\n$/, '');
  if (value.length === 0) throw new SecretError(`${what} is empty`);
  if (value.length > 65_536) throw new SecretError(`${what} is larger than 64 KiB`);
  return value;
}
