// `detour install-service`: the unit, its user and its folders, for the program that it is called by.
// What is there already stays as it is, so that twice is once; it starts nothing, and never writes
// over a unit without keeping what stood there.

import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Reply } from '../core/model.ts';

/** The machine that it is for; a test has one in a folder. */
export interface Place {
  /** The folder that is its `/`. */
  readonly root: string;
  readonly isRoot: boolean;
  /** Of what runs now, links followed. */
  readonly node: string;
  readonly program: string;
  /** Runs a program of it to its end; null: it could not be started. */
  run(program: string, ...args: readonly string[]): { readonly status: number | null; out: string };
  own(path: string, group: number): void;
}

/** This machine. `program` is what Node was told to run. */
export function thisPlace(program: string): Place {
  return {
    root: '/',
    isRoot: process.getuid?.() === 0,
    node: realpathSync(process.execPath),
    program: realpathSync(program),
    run(name, ...args) {
      const done = spawnSync(name, args, { encoding: 'utf8', timeout: 60_000 });
      return { status: done.status, out: `${done.stdout ?? ''}${done.stderr ?? ''}`.trim() };
    },
    own: (path, group) => chownSync(path, 0, group),
  };
}

const user = 'detour';
const folders = [
  { path: 'etc/detour', mode: 0o750, isGroups: true },
  // systemd reads them as root and hands copies over.
  { path: 'etc/detour/credentials', mode: 0o700, isGroups: false },
] as const;
const unitPath = 'etc/systemd/system/detour.service';
const packaged = ['usr/lib/systemd/system/detour.service', 'lib/systemd/system/detour.service'];

/** One thing to do, and how it is said before and after. */
interface Step {
  readonly will: string;
  /** Throws with what the system said. */
  act(): void;
}

/**
 * The unit as it stands in `text`, for another Node and another place of the program. Throws where
 * the text is not the unit of `deploy/systemd`.
 */
export function unitFor(text: string, node: string, program: string): string {
  const [was, ours] = ['/usr/bin/node ', ' /opt/detour/bin/detour.cjs '];
  if (!text.includes(`ExecStart=${was}`) || !text.includes(ours)) {
    throw new Error(`the unit does not start ${was.trim()} with ${ours.trim()}`);
  }
  return text.replace(`ExecStart=${was}`, `ExecStart=${node} `).replace(ours, ` ${program} `);
}

/** `unit` gives the text of deploy/systemd/detour.service; it is asked for where it is needed. */
export function installService(place: Place, unit: () => string, dryRun: boolean): Reply {
  const { root } = place;
  const refused = (message: string): Reply => ({ exit: 1, message });
  const theirs = packaged.find((path) => existsSync(join(root, path)));
  if (theirs !== undefined) {
    const message = `/${theirs} is there: a package brought it. Next: systemctl enable --now detour`;
    return { exit: 0, message };
  }
  if (place.run('systemctl', '--version').status !== 0) {
    return refused(
      'there is no systemd here (systemctl): have another supervisor run `detour run`',
    );
  }
  const hidden = [place.node, place.program].find((path) => isHidden.test(path));
  if (hidden !== undefined) {
    return refused(
      `${hidden}: a service sees nothing below /home, /root, /run/user and /tmp: ` +
        'install Detour and its Node elsewhere, such as /opt/detour, and call it from there',
    );
  }
  const odd = [place.node, place.program].find((path) => !/^[\w@+.,:/-]+$/.test(path));
  if (odd !== undefined) return refused(`${odd}: a unit cannot name this path: use a plainer one`);
  const steps = stepsFor(place, unitFor(unit(), place.node, place.program));
  const next = 'Next: write /etc/detour/detour.yaml (`detour init`), systemctl enable --now detour';
  if (dryRun) return said('would: ', steps, 'all of it is there already; nothing to do', next);
  if (steps.length > 0 && !place.isRoot) {
    return refused('this writes below /etc: run it as root (sudo), or see it first with --dry-run');
  }
  for (const step of steps) {
    try {
      step.act();
    } catch (error) {
      return refused(`${step.will}: ${(error as Error).message}; run it again when that is mended`);
    }
  }
  return said('done: ', steps, 'all of it was there already; nothing was done', next);
}

/** What the unit hides from the service (ProtectHome=, PrivateTmp=). */
const isHidden = /^\/(home|root|run\/user|tmp|var\/tmp)\//;

function said(word: string, steps: readonly Step[], none: string, next: string): Reply {
  const lines = steps.length === 0 ? [none] : steps.map(({ will }) => `${word}${will}`);
  const detail = { steps: steps.map(({ will }) => will) };
  return { exit: 0, message: [...lines, next].join('\n'), detail };
}

/** What is wanting, in the order in which it is done. */
function stepsFor(place: Place, unit: string): readonly Step[] {
  const { root } = place;
  const steps: Step[] = [];
  const must = (program: string, ...args: readonly string[]) => {
    const { status, out } = place.run(program, ...args);
    if (status !== 0) throw new Error(out || `${program} ended ${status}`);
    return out;
  };
  if (place.run('getent', 'passwd', user).status !== 0) {
    const args = ['--system', '--user-group', '--home-dir', '/var/lib/detour'];
    const all = [...args, '--shell', '/usr/sbin/nologin', user];
    steps.push({ will: `useradd ${all.join(' ')}`, act: () => must('useradd', ...all) });
  }
  for (const { path, mode, isGroups } of folders) {
    const at = join(root, path);
    const group = isGroups ? user : 'root';
    if (existsSync(at) && (statSync(at).mode & 0o777) === mode) continue;
    steps.push({
      will: `folder /${path}, root:${group}, mode ${mode.toString(8).padStart(4, '0')}`,
      act: () => {
        mkdirSync(at, { recursive: true });
        place.own(at, isGroups ? Number(must('id', '--group', user)) : 0);
        chmodSync(at, mode);
      },
    });
  }
  const at = join(root, unitPath);
  const before = existsSync(at) ? readFileSync(at, 'utf8') : null;
  if (before !== unit) {
    const kept =
      before === null ? '' : `; what stands there is kept as ${unitPath.split('/').at(-1)}.old`;
    steps.push({
      will: `unit /${unitPath}, for ${place.program} on ${place.node}${kept}`,
      act: () => {
        mkdirSync(join(at, '..'), { recursive: true });
        if (before !== null) renameSync(at, `${at}.old`);
        writeFileSync(at, unit, { mode: 0o644 });
      },
    });
    // systemd itself is asked only where it runs.
    if (existsSync(join(root, 'run/systemd/system'))) {
      steps.push({
        will: 'systemctl daemon-reload',
        act: () => must('systemctl', 'daemon-reload'),
      });
    }
  }
  return steps;
}
