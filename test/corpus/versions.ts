// The versions whose journals, state, markers and `--json` are kept here, each by the commit that it
// is. A row is added when a version is released, and never changed or taken away.

import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export interface Version {
  readonly name: string;
  readonly commit: string;
  /** The behaviour by which it decided. */
  readonly behaviour: number;
}

/** Oldest first; each has a folder of its name beside this file. */
export const versions: readonly Version[] = [
  { name: '0.1', commit: '1a8952e11895935a7f83ff371bd19de25f08bd2b', behaviour: 0 },
  { name: '0.2', commit: '814128ae01eee50887e8f0db0ef73be249700259', behaviour: 0 },
  { name: '0.3', commit: '8e6aee748122eb6ff4d54f36cbb3e05fc8fdd775', behaviour: 1 },
  { name: '0.4', commit: '5fc159aae16e944b57d3fa68b34dda35c112aada', behaviour: 1 },
  { name: '0.5', commit: '9315086d1b5939e028fe1bfba09f335e11c722de', behaviour: 1 },
];

/**
 * Fields that are printed no more, or not as they were, and the version of CHANGELOG.md that says
 * so. One more in here breaks somebody's script: it wants a new version of all (`jsonVersion`).
 */
export const broken: Readonly<Record<string, string>> = {
  'audit findings.reach': '0.3',
  'drill answers': '0.5',
};

/** The commit's files and its packages, put into a new folder; gives that back. */
export function takeOut({ commit }: Version, folder: string): string {
  mkdirSync(folder);
  const archive = must('git', ['archive', '--format=tar', commit], { cwd: root });
  must('tar', ['x', '-C', folder], { input: archive });
  const needed = ['--omit=dev', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund'];
  must('npm', ['ci', ...needed], { cwd: folder });
  return folder;
}

function must(command: string, args: readonly string[], options: { cwd?: string; input?: Buffer }) {
  const done = spawnSync(command, args, { ...options, maxBuffer: 256 * 1024 * 1024 });
  if (done.error) throw done.error;
  if (done.status === 0) return done.stdout;
  throw new Error(`${command} ${args.join(' ')} ended with ${done.status}: ${done.stderr}`);
}
