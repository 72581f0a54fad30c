// What an operator looks at by hand, without the daemon: every check over every path, once; and a
// drill that asks a check for an answer nobody gives, to see that it can fail. It writes nothing
// anywhere and moves nothing.

import { CliError } from '../cli/hands.ts';
import type { Config } from '../config/config.ts';
import type { CheckConfig, CheckId } from '../core/model.ts';
import { meant } from '../core/name.ts';
import type { ProbeResult } from '../kit/extend.ts';
import { turnMost } from '../probes/index.ts';
import { buildProber, loadConfig } from './build.ts';

interface Looked extends ProbeResult {
  readonly check: CheckId;
  readonly path: string;
  readonly ms: number;
}

/** As many as the prober begins in one turn: none of them waits, so none is shed. */
const AT_ONCE = turnMost;

/**
 * Every check (of one origin, cloud or path, or of all) over every path of its own, once; in a group
 * over those of this replica.
 */
export async function probeAll(
  configPath: string,
  only: string | null,
  replica: string | null,
): Promise<Looked[]> {
  const { config } = await loadConfig(configPath, { replica });
  const { checks, origins, clouds } = config.core;
  const known = [origins, clouds, checks].flatMap((table) => Object.keys(table));
  const what = only === null ? null : named('origin, cloud or check', only, known);
  const wanted = Object.values(checks).filter(
    (c) => what === null || [c.origin, c.cloud, c.id].includes(what),
  );
  if (what !== null && wanted.length === 0) throw new CliError(2, `${what} has no checks`);
  const prober = buildProber(config);
  try {
    const asks = wanted.flatMap((c) => ownPaths(config, c).map((path) => ({ id: c.id, path, c })));
    const looked: Looked[] = [];
    for (let i = 0; i < asks.length; i += AT_ONCE) {
      const batch = asks.slice(i, i + AT_ONCE).map(async ({ id, path, c }) => {
        const begin = performance.now();
        const signal = AbortSignal.timeout(c.timeoutMs + 1000);
        const result = await prober.probe(id, path, signal);
        return { check: id, path, ms: Math.round(performance.now() - begin), ...result };
      });
      looked.push(...(await Promise.all(batch)));
    }
    return looked;
  } finally {
    prober.close();
  }
}

/** One check, asked for an answer that nobody gives: every path must say `fail`. */
export async function drillCheck(
  configPath: string,
  typed: string,
  replica: string | null,
): Promise<Looked[]> {
  const { config } = await loadConfig(configPath, { replica });
  // What no path of this replica asks cannot be drilled here.
  const check = named('check', typed, Object.keys(config.probes));
  const spec = config.probes[check]!;
  const known = config.core.checks[check]!;
  const settings = config.tables.checks[spec.kind]!.impossible(spec.settings);
  const prober = buildProber({ ...config, probes: { [check]: { ...spec, settings } } });
  try {
    return await Promise.all(
      ownPaths(config, known).map(async (path) => {
        const begin = performance.now();
        const result = await prober.probe(check, path, AbortSignal.timeout(known.timeoutMs + 1000));
        return { check, path, ms: Math.round(performance.now() - begin), ...result };
      }),
    );
  } finally {
    prober.close();
  }
}

function ownPaths({ paths }: Config, check: CheckConfig): readonly string[] {
  return check.paths.filter((path) => Object.hasOwn(paths, path));
}

function named(what: string, typed: string, known: readonly string[]): string {
  const found = meant(what, typed, [...new Set(known)]);
  if (found.ok) return found.name;
  throw new CliError(2, found.sentence);
}
