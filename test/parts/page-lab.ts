// A lab with the status page at its API, as an operator has it: a daemon with a certificate and tokens,
// records with public names and objectives. Everything started here is ended for certain.

import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StatusView } from '../../src/core/view.ts';
import { freePort } from './bind.ts';
import { makeCertificate } from './certificate.ts';
import { mustCall } from './daemon.ts';
import {
  type RunningLab,
  socketOf,
  startDaemon,
  startLabProgram,
  stopChild,
  until,
} from './program.ts';

export interface PageLab {
  readonly lab: RunningLab;
  /** Where the page is: at the API, and at `listen`. */
  readonly url: string;
  readonly port: number;
  readonly plainUrl: string;
  readonly tokens: Readonly<Record<'read' | 'approve' | 'operate', string>>;
  readonly pid: number;
  status(): Promise<StatusView>;
  /** `detour …` against the daemon; throws where it fails. */
  order(...argv: readonly string[]): string;
  /** Changes the configuration's text and has it read again. */
  reconfigure(change: (text: string) => string): void;
  stop(): Promise<void>;
}

/** `change` is made to the configuration's text before the daemon reads it. */
export async function startPageLab(
  argv: readonly string[],
  change: (text: string) => string = (text) => text,
): Promise<PageLab> {
  const lab = await startLabProgram('--no-daemon', ...argv);
  const made = makeCertificate(lab.directory, 'api', ['127.0.0.1']);
  if (made === null) throw new Error('missing: openssl');
  const port = await freePort();
  const roles = ['read', 'approve', 'operate'] as const;
  const tokens = Object.fromEntries(
    roles.map((role) => [role, randomBytes(32).toString('base64url')]),
  ) as PageLab['tokens'];
  const rows = roles.map((role) => {
    const file = join(lab.directory, `token-${role}`);
    writeFileSync(file, tokens[role], { mode: 0o600 });
    return `    ${role === 'operate' ? 'ann' : `team-${role}`}: { token: { file: ${file} }, role: ${role} }`;
  });
  const place = `  listen: "127.0.0.1:${port}"\n  cert: ${made.certFile}\n  key: ${made.keyFile}`;
  const text = change(readFileSync(lab.ready.config, 'utf8'));
  writeFileSync(lab.ready.config, `${text}\napi:\n${place}\n  tokens:\n${rows.join('\n')}\n`);
  const daemon = startDaemon(lab.ready.config);
  const socket = socketOf(lab.directory);
  const status = () => mustCall<StatusView>(socket, 'GET', '/v1/status', undefined, 30_000);
  const order = (...words: readonly string[]) => {
    const done = lab.cli(...words);
    if (done.status !== 0) throw new Error(`${words.join(' ')}: ${done.stdout}${done.stderr}`);
    return done.stdout;
  };
  const stop = async () => {
    await stopChild(daemon.child);
    await lab.stop();
  };
  try {
    await until('the daemon is ready and all is up', 120_000, async () => {
      const view = await status().catch(() => null);
      if (daemon.child.exitCode !== null) throw new Error(`it ended: ${daemon.err()}`);
      return view?.ready.ok === true && view.origins.every(({ health }) => health === 'up');
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    ...{ lab, port, tokens, pid: daemon.child.pid!, status, order, stop },
    url: `https://127.0.0.1:${port}/`,
    plainUrl: lab.ready.metrics.replace(/metrics$/, ''),
    reconfigure(change) {
      writeFileSync(lab.ready.config, change(readFileSync(lab.ready.config, 'utf8')));
      order('reload');
    },
  };
}
