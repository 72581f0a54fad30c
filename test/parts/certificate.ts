// A certificate of its own for tests, made by openssl for the moment. It trusts nobody and lasts a day.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Certificate {
  /** In PEM; it vouches for itself. */
  readonly cert: string;
  readonly key: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** For these names and addresses, in files of `directory` named `name`; null without openssl. */
export function makeCertificate(
  directory: string,
  name: string,
  names: readonly string[],
): Certificate | null {
  const [certFile, keyFile] = [join(directory, `${name}.crt`), join(directory, `${name}.key`)];
  const alternatives = names.map((one) => (/^[\d.]+$/.test(one) ? `IP:${one}` : `DNS:${one}`));
  const made = spawnSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-days', '1', '-subj', '/CN=test', '-addext', `subjectAltName=${alternatives.join()}`],
      ...['-keyout', keyFile, '-out', certFile],
    ],
    { stdio: 'ignore' },
  );
  if (made.status !== 0) return null;
  const [cert, key] = [certFile, keyFile].map((file) => readFileSync(file, 'utf8'));
  return { cert: cert!, key: key!, certFile, keyFile };
}
