// The `exec` check: a plugin of the Nagios kind is run and its exit code is the answer. It must
// never go through a shell, never hand on the daemon's environment (secrets live there), never
// leave anything of the plugin running past the deadline, never show a secret that the plugin was
// given, and never take a plugin's own trouble for the origin's (design, rule 6).
//
// Source: monitoring-plugins.org/doc/guidelines.html, "Plugin Return Codes": 0 OK, 1 WARNING, 2
// CRITICAL, 3 UNKNOWN, which a plugin gives for wrong arguments and failures of its own; and
// assets.nagios.com/downloads/nagioscore/docs/nagioscore/3/en/pluginapi.html, "Plugin Output Spec":
// one line of text, with figures for machines behind a `|` (both read 2026-11-30).

import { type ChildProcess, spawn } from 'node:child_process';
import { z } from 'zod';
import { whyOfFile } from '../kit/errno.ts';
import type { AdapterContext, CheckType } from '../kit/extend.ts';
import { type SecretRef, secretRef } from '../kit/schema.ts';
import { SecretError } from '../kit/secret.ts';
import { notOfTheWay, type Trip, travel, wayOf } from './path.ts';
import { type Answer, blind, fail } from './words.ts';

const meanings = ['pass', 'fail', 'blind'] as const;

interface ExecSettings {
  /** The program, an absolute path, and its arguments; no shell is involved. */
  readonly exec: readonly string[];
  /** What exit code 1 means. */
  readonly warning: (typeof meanings)[number];
  /** What it means that the plugin has not ended in time. */
  readonly late: 'blind' | 'fail';
  readonly env: Readonly<Record<string, string>>;
  readonly secretEnv: Readonly<Record<string, SecretRef>>;
  /** Only in a drill: exit code 0 is not good enough. */
  readonly never?: boolean;
}

const variable = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/, {
  error: 'expected the name of a variable: letters, digits and _',
});

const settings: z.ZodType<ExecSettings> = z
  .strictObject({
    exec: z
      .array(z.string().regex(/^[^\0]{0,4096}$/, { error: 'expected a text without zero bytes' }), {
        error:
          'expected a list: the program and its arguments, such as [/usr/lib/x/check_y, -H, a]',
      })
      .min(1)
      .max(64)
      .describe('the program, by an absolute path, and its arguments; no shell is involved'),
    warning: z.enum(meanings).default('pass').describe('what exit code 1 (WARNING) means'),
    late: z
      .enum(['blind', 'fail'])
      .default('blind')
      .describe('what it means that the plugin has not ended within the timeout'),
    env: z
      .record(variable, z.string().regex(/^[^\0]{0,4096}$/))
      .default({})
      .describe('variables of its environment, which has only these, PATH and LANG'),
    secretEnv: z
      .record(variable, secretRef)
      .default({})
      .describe('variables whose values are secrets, by name'),
  })
  .superRefine((value, context) => {
    if (!value.exec[0]?.startsWith('/')) {
      const message =
        'expected an absolute path of the program, such as /usr/lib/nagios/plugins/check_dns';
      context.addIssue({ code: 'custom', path: ['exec', 0], message });
    }
    for (const name of Object.keys(value.secretEnv)) {
      if (!Object.hasOwn(value.env, name)) continue;
      const message = `${name} stands under env too: keep one`;
      context.addIssue({ code: 'custom', path: ['secretEnv'], message });
    }
    if (Object.keys(value.env).length + Object.keys(value.secretEnv).length > 64) {
      const message = 'more than 64 variables: leave some out';
      context.addIssue({ code: 'custom', path: ['env'], message });
    }
  });

/** `{ exec: [/usr/lib/nagios/plugins/check_dns, -H, www.example.net], … }` beside a cadence. */
export const exec: CheckType<ExecSettings> = {
  key: 'exec',
  settings,
  aside: true,
  impossible: (s) => ({ ...s, never: true }),
  pathProblem: (path) => {
    const why = notOfTheWay('exec', path);
    if (why !== null || path.resolver === null) return why;
    const cure = 'give the exec check a path without resolver';
    return `a program resolves names as this machine does: ${cure}`;
  },
  create: (configured, path, timeoutMs, context) => {
    const way = wayOf(path, context);
    const secrets = secretsOf(configured, context);
    const running = { count: 0 };
    const go = (trip: Trip) => run(trip, configured, secrets, running);
    return { ask: (signal) => travel(way, timeoutMs, signal, go), close: () => {} };
  },
};

/** Plugins of this process, of all checks, that run at once. */
const runningMost = 64;
/** Of one check by one path: one that hangs keeps no other from running. */
const runningOfOneMost = 4;
/** Of what a plugin writes; the rest is read and thrown away. */
const outputMost = 4096;
/** For what is still in the pipe when the plugin has ended. */
const lingerMs = 100;
const usual = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C' };

let running = 0;

/** Throws SecretError. */
function secretsOf(asked: ExecSettings, { secret }: Pick<AdapterContext, 'secret'>) {
  return Object.entries(asked.secretEnv).map(([name, ref]) => {
    const value = secret(ref);
    if (!value.includes('\0')) return [name, value] as const;
    throw new SecretError(`secretEnv ${name}: the secret has a zero byte, which no variable holds`);
  });
}

type Given = ReturnType<typeof secretsOf>;

async function run(
  trip: Trip,
  asked: ExecSettings,
  secrets: Given,
  own: { count: number },
): Promise<Answer> {
  const [program, ...args] = asked.exec as [string, ...string[]];
  if (running >= runningMost || own.count >= runningOfOneMost) {
    return blind('shed', `${own.count} of ${program} and ${running} plugins in all run already`);
  }
  trip.stage = 'answer';
  const late = `${program} did not end in time and was killed`;
  running++;
  own.count++;
  const gone = () => {
    running--;
    own.count--;
  };
  trip.late = asked.late === 'fail' ? fail('timeout', late) : blind('plugin-timeout', late);
  await turn();
  if (trip.signal.aborted) {
    gone();
    return blind('aborted', 'the probe was called off');
  }
  const cannot = (error: unknown) => {
    const why = `${program} cannot be started: it ${whyOfFile(error)}`;
    return blind('plugin', `${why}; give an executable's path`);
  };
  let child: ChildProcess;
  try {
    const env = { ...usual, ...asked.env, ...Object.fromEntries(secrets) };
    // Of its own process group, so that its children can be ended with it.
    child = spawn(program, args, {
      ...{ detached: true, stdio: ['ignore', 'pipe', 'pipe'], env, cwd: '/' },
    });
  } catch (error) {
    // Some errors come at once, others later.
    gone();
    return cannot(error);
  }
  const said = collect(child);
  const stop = () => endGroup(child);
  trip.signal.addEventListener('abort', stop, { once: true });
  try {
    const { status, killer } = await ended(child, gone);
    return judge(asked, status, killer, hidden(firstLine(said()), secrets));
  } catch (error) {
    return cannot(error);
  } finally {
    stop();
    trip.signal.removeEventListener('abort', stop);
    for (const stream of [child.stdout, child.stderr]) stream?.destroy();
  }
}

let starting: Promise<void> = Promise.resolve();

/**
 * One after the other, with a turn of the event loop between: to start a program holds it up for some
 * milliseconds, and the answers to other probes are not to wait for many.
 */
function turn(): Promise<void> {
  starting = starting.then(() => new Promise((resolve) => setImmediate(resolve)));
  return starting;
}

/** Rejects when it could not be started. `gone` is called once, when nothing of it runs any more. */
function ended(
  child: ChildProcess,
  gone: () => void,
): Promise<{ readonly status: number | null; readonly killer: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => {
      if (child.pid === undefined) gone();
      reject(error);
    });
    child.once('exit', (status, killer) => {
      gone();
      // What it left behind would hold the pipe open, and run on.
      endGroup(child);
      const end = () => resolve({ status, killer });
      const timer = setTimeout(end, lingerMs);
      child.once('close', () => {
        clearTimeout(timer);
        end();
      });
    });
  });
}

function judge(
  asked: ExecSettings,
  status: number | null,
  killer: NodeJS.Signals | null,
  line: string,
): Answer {
  const says = line === '' ? '' : `: ${line}`;
  if (status === 0 && asked.never !== true)
    return { outcome: 'pass', reason: 'ok', detail: `OK${says}` };
  if (status === 0 || status === 2) return fail('critical', `exit code ${status}${says}`);
  if (status === 1) {
    const detail = `WARNING${says}`;
    if (asked.warning === 'pass' && asked.never !== true)
      return { outcome: 'pass', reason: 'ok', detail };
    return asked.warning === 'blind' ? blind('warning', detail) : fail('warning', detail);
  }
  if (status === 3) return blind('plugin', `the plugin does not know (exit code 3)${says}`);
  const how = killer === null ? `ended with exit code ${status}` : `was ended by ${killer}`;
  return blind('plugin', `the plugin ${how}, which is none of a plugin's own${says}`);
}

/** Reads both outputs to their ends, so that the plugin never blocks; keeps their beginnings. */
function collect(child: ChildProcess): () => string {
  const kept = { out: '', err: '' };
  for (const [name, stream] of [
    ['out', child.stdout],
    ['err', child.stderr],
  ] as const) {
    stream?.setEncoding('utf8');
    stream?.on('data', (chunk: string) => {
      if (kept[name].length < outputMost) kept[name] = (kept[name] + chunk).slice(0, outputMost);
    });
    // The pipe of one that was killed may break; how it ended says enough.
    stream?.on('error', () => {});
  }
  return () => (kept.out.trim() === '' ? kept.err : kept.out);
}

/** What is for people: the first line, without the figures behind it. */
function firstLine(text: string): string {
  const line = text.split('\n').find((one) => one.trim() !== '') ?? '';
  return line.split('|', 1)[0]!.trim();
}

/** What a plugin was given in secret and says again is not shown, nor any part of a line of it. */
function hidden(line: string, secrets: Given): string {
  const parts = secrets
    .flatMap(([, value]) => [value, ...value.split('\n')])
    .map((part) => part.trim())
    .filter((part) => part.length >= 3)
    .toSorted((a, b) => b.length - a.length);
  return parts.reduce((text, part) => text.replaceAll(part, '…'), line);
}

function endGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    // Nobody is left in it: that is what was wanted. (EPERM: what is left runs as somebody else.)
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ESRCH' && code !== 'EPERM') throw error;
  }
}
