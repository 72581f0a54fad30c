// An authority of its own for tests, made by openssl for the moment, with intermediates and leaves
// that have as many days as a test wants. Nobody else trusts it.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a server shows: its chain in PEM, leaf first, and the key. */
export interface Shown {
  readonly cert: string;
  readonly key: string;
}

interface Issuer {
  readonly name: string;
  /** What a leaf is shown with, besides itself. */
  readonly chain: string;
}

export interface Authority {
  /** Path of a PEM bundle to trust. */
  readonly caFile: string;
  readonly root: Issuer;
  /** One between the root and leaves. A few seconds are missing from its last day. */
  intermediate(name: string, days: number): Issuer;
  leaf(name: string, names: readonly string[], days: number, by: Issuer): Shown;
}

/** Its files are in `directory`. Throws where there is no openssl. */
export function makeAuthority(directory: string): Authority {
  const at = (name: string) => join(directory, name);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' });
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const own = ['-x509', '-days', '3650', '-subj', '/CN=root', '-keyout', at('root.key')];
  openssl('req', ...curve, ...own, '-out', at('root.crt'));
  const issue = (name: string, days: number, by: Issuer, extensions: string): Shown => {
    writeFileSync(at(`${name}.ext`), extensions);
    const subject = ['-subj', `/CN=${name}`, '-keyout', at(`${name}.key`)];
    openssl('req', '-new', ...curve, ...subject, '-out', at(`${name}.csr`));
    const signer = ['-CA', at(`${by.name}.crt`), '-CAkey', at(`${by.name}.key`), '-CAcreateserial'];
    const how = ['-days', String(days), '-extfile', at(`${name}.ext`), '-out', at(`${name}.crt`)];
    openssl('x509', '-req', '-in', at(`${name}.csr`), ...signer, ...how);
    const [cert, key] = ['crt', 'key'].map((kind) => readFileSync(at(`${name}.${kind}`), 'utf8'));
    return { cert: `${cert}${by.chain}`, key: key! };
  };
  const root = { name: 'root', chain: '' };
  return {
    caFile: at('root.crt'),
    root,
    intermediate: (name, days) => {
      const constraints = 'basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n';
      return { name, chain: issue(name, days, root, constraints).cert };
    },
    leaf: (name, names, days, by) => {
      const alternatives = names.map((one) => `DNS:${one}`).join();
      return issue(name, days, by, `subjectAltName=${alternatives}\n`);
    },
  };
}
