// A reload: the file is read again, built, compared with what is in force, and put in force whole or
// not at all. A bad configuration is refused and the last good one stays (rule 19); it must never say
// that something is in force that is not (rule 29).

import {
  boundToStart,
  type Changes,
  changesOf,
  sweeping,
  withoutRestart,
} from '../config/changes.ts';
import type { Config } from '../config/config.ts';
import { type Controller, closeAll } from '../controller.ts';
import type { Reply } from '../core/model.ts';
import type { Desk } from '../serve/desk.ts';
import { type Built, ConfigError, loadConfig } from './build.ts';
import type { Log } from './log.ts';

type How = NonNullable<Parameters<Desk['reload']>[0]>;

const meant = 'give `detour reload --force` if that is meant';

interface Reloading {
  readonly path: string;
  /** Which replica this is, where the command line has said so. */
  readonly replica: string | null;
  /** What is in force now. */
  readonly inForce: () => Config;
  readonly controller: Pick<Controller, 'reload' | 'reloadProblems' | 'noteReload'>;
  readonly log: Log;
  /** Throws ConfigError. */
  readonly build: (config: Config) => Built;
  /** Takes over all that the controller does not; what could not be had, one sentence each. */
  readonly take: (config: Config, built: Built) => Promise<readonly string[]>;
}

/** Lines of one reload that are shown and logged; the rest is counted. */
const linesMost = 50;

/** One reload at a time: of two that come together the later one reads what is there then. */
export function createReload(parts: Reloading): Desk['reload'] {
  let last: Promise<unknown> = Promise.resolve();
  return (how) => {
    const one = last.then(() => reload(parts, how));
    last = one.catch(() => {});
    return one;
  };
}

async function reload(parts: Reloading, how: How = { dryRun: false }): Promise<Reply> {
  const { dryRun, force = false, texts, by = null } = how;
  const path = texts?.file ?? parts.path;
  const { replica, inForce, controller, log, build, take } = parts;
  let inForceNow = false;
  try {
    const loaded = await loadConfig(parts.path, { replica, ...(texts && { texts }) });
    const was = inForce();
    const bound = boundToStart(was, loaded.config);
    if (bound !== null) throw new ConfigError([`${path}: ${bound}`]);
    const config = withoutRestart(was, loaded.config);
    const swept = force ? null : sweeping(was, loaded.config);
    const wanted = swept === null ? [] : [`${swept}: ${meant}`];
    if (swept !== null && !dryRun) throw new ConfigError([`${path}: ${wanted}`]);
    const changes = changesOf(was, loaded.config);
    const built = build(config);
    const refused = dryRun
      ? controller.reloadProblems(config.core)
      : controller.reload(
          config.core,
          built,
          by === null ? changes.now : [`by ${by}`, ...changes.now],
        );
    if (dryRun || refused.length > 0) closeAll(built);
    if (refused.length > 0) throw new ConfigError(refused);
    if (dryRun) return replyOf(path, changes, wanted, swept === null ? 'may' : 'refused');
    inForceNow = true;
    const missing = await take(config, built);
    for (const warning of loaded.warnings) log.warn(warning, { kind: 'config' });
    say(log, changes);
    return replyOf(path, changes, missing, 'done');
  } catch (error) {
    if (!(error instanceof ConfigError)) return fault(log, error, inForceNow);
    const message = `${error.message}\nthe configuration in force stays`;
    if (dryRun) return { exit: 2, message };
    controller.noteReload(error.problems.length);
    for (const problem of error.problems) log.error(problem, { kind: 'config' });
    return { exit: 2, message };
  }
}

/** Nobody's mistake in the file: it must not end the daemon, and its words may be a package's. */
function fault(log: Log, error: unknown, inForceNow: boolean): Reply {
  const what = error instanceof Error ? error.constructor.name : typeof error;
  const then = inForceNow
    ? 'the new configuration is in force'
    : 'the configuration in force stays';
  const message = `the reload met a fault in Detour itself or in a package (${what}): ${then}`;
  log.error(message, { kind: 'reload' });
  return { exit: 1, message };
}

function say(log: Log, { now, atRestart }: Changes): void {
  for (const line of shortened(now)) log.info(`reload: ${line}`, { kind: 'reload' });
  for (const line of atRestart) log.warn(`at restart, not now: ${line}`, { kind: 'reload' });
}

function replyOf(
  path: string,
  { now, atRestart }: Changes,
  missing: readonly string[],
  how: 'done' | 'may' | 'refused',
): Reply {
  const count = `${now.length} ${now.length === 1 ? 'change' : 'changes'}`;
  const [none, some] = {
    done: [`${path} is in force, and has changed nothing`, `${path} is in force, with ${count}`],
    may: [`${path} would change nothing`, `${path} can be put in force, with ${count}`],
    refused: ['', `${path} would be refused, with ${count}`],
  }[how];
  const isWhole = atRestart.length === 0 && missing.length === 0;
  const lines = [
    `${now.length === 0 ? none : some}${isWhole || how === 'refused' ? '' : ', but not all of it'}`,
    ...shortened(now),
    ...atRestart.map((line) => `at restart, not now: ${line}`),
    ...missing,
  ];
  const detail = { changes: now, atRestart, missing };
  return { exit: isWhole ? 0 : 3, message: lines.join('\n'), detail };
}

function shortened(lines: readonly string[]): readonly string[] {
  const more = lines.length - linesMost;
  return more <= 0 ? lines : [...lines.slice(0, linesMost), `and ${more} more`];
}
