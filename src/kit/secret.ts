// Reads a secret from where its reference points. The value goes straight into the adapter that
// needs it and must never reach state, journal, logs, metrics or an error (design, rule 20): the
// errors here name the reference and the cure, never the content. It never reads without a bound and
// never waits: what is no plain file is refused.

import { closeSync, constants, existsSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { whyOfFile } from './errno.ts';
import { isCredentialName, type SecretRef } from './schema.ts';

/** A secret that cannot be had; the message names the reference and the cure. */
export class SecretError extends Error {}

type Environment = Readonly<Record<string, string | undefined>>;

const bytesMost = 65_536;

/** The secret's text, without one trailing newline. Throws SecretError; reads at most 64 KiB. */
export function readSecret(ref: SecretRef, env: Environment): string {
  if ('env' in ref) {
    const value = env[ref.env];
    if (value) return value;
    throw new SecretError(`environment variable ${ref.env} is not set: set it for the daemon`);
  }
  const path = pathOf(ref, env);
  const what = 'file' in ref ? `file ${path}` : `credential ${ref.credential}`;
  let text: string;
  try {
    text = readBounded(path, what);
  } catch (error) {
    if (error instanceof SecretError) throw error;
    const why = whyOfFile(error);
    throw new SecretError(`${what} ${why}: make it readable for the user the daemon runs as`);
  }
  const value = text.replace(/\r?\n$/, '');
  if (value.length === 0) throw new SecretError(`${what} is empty`);
  return value;
}

/**
 * What changes when a secret may have: of its file the identity, size and times. The same for ever
 * for a variable of the environment; a file that is not there has a mark of its own. Never throws.
 */
export function markOfSecret(ref: SecretRef, env: Environment): string {
  if ('env' in ref) return '';
  try {
    // The file itself, not a link to it: Kubernetes changes a secret by changing a link.
    const found = statSync(pathOf(ref, env), { bigint: true });
    const { dev, ino, size, mtimeNs, ctimeNs } = found;
    return [dev, ino, size, mtimeNs, ctimeNs].join();
  } catch {
    // Why it cannot be looked at shows when it is read.
    return 'none';
  }
}

/**
 * The names that systemd may give a credential: its own, or its own behind the id with which a whole
 * folder is handed over (`LoadCredential=detour:FOLDER`, systemd.exec(5)). The first goes before.
 */
export function credentialNames(credential: string): readonly [own: string, ofFolder: string] {
  return [credential, `${credentialFolder}_${credential}`];
}

/** The id of that folder. */
export const credentialFolder = 'detour';

function pathOf(ref: Exclude<SecretRef, { env: string }>, env: Environment): string {
  if ('file' in ref) return ref.file;
  const { credential } = ref;
  if (!isCredentialName(credential)) {
    throw new SecretError(`credential ${credential}: a name is one part of a path, without a /`);
  }
  const directory = env['CREDENTIALS_DIRECTORY'];
  if (directory && isAbsolute(directory)) {
    const [own, ofFolder] = credentialNames(credential).map((name) => join(directory, name));
    return existsSync(ofFolder!) && !existsSync(own!) ? ofFolder! : own!;
  }
  throw new SecretError(
    `credential ${credential}: CREDENTIALS_DIRECTORY is not set; ` +
      `give the systemd unit LoadCredential=${credential}:/path`,
  );
}

function readBounded(path: string, what: string): string {
  // Not to wait for the other end of a pipe.
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!fstatSync(descriptor).isFile()) throw new SecretError(`${what} is no plain file`);
    const bytes = Buffer.alloc(bytesMost + 1);
    let size = 0;
    while (size < bytes.length) {
      const read = readSync(descriptor, bytes, size, bytes.length - size, null);
      if (read === 0) return bytes.toString('utf8', 0, size);
      size += read;
    }
    throw new SecretError(`${what} is larger than 64 KiB`);
  } finally {
    closeSync(descriptor);
  }
}
