// What an operator looks at by hand, without the daemon: every check over every path, once; and a
// drill that asks a check for an answer nobody gives, to see that it can fail. It writes nothing
// anywhere and moves nothing.

import { rowOf } from '../config/config.ts';
import type { CheckId } from '../core/model.ts';
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

/** Every check (of one origin, cloud or path, or of all) over every path of its own, once. */
export async function probeAll(configPath: string, only: string | null): Promise<Looked[]> {
  const { config } = await loadConfig(configPath);
  const wanted = Object.values(config.core.checks).filter(
    (c) => only === null || [c.origin, c.cloud, c.id].includes(only),
  );
  const prober = buildProber(config);
  try {
    const asks = wanted.flatMap((c) => c.paths.map((path) => ({ id: c.id, path, c })));
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
export async function drillCheck(configPath: string, check: CheckId): Promise<Looked[] | null> {
  const { config } = await loadConfig(configPath);
  const spec = rowOf(config.probes, check);
  const known = rowOf(config.core.checks, check);
  if (spec === undefined || known === undefined) return null;
  const settings = config.tables.checks[spec.kind]!.impossible(spec.settings);
  const prober = buildProber({ ...config, probes: { [check]: { ...spec, settings } } });
  try {
    return await Promise.all(
      known.paths.map(async (path) => {
        const begin = performance.now();
        const result = await prober.probe(check, path, AbortSignal.timeout(known.timeoutMs + 1000));
        return { check, path, ms: Math.round(performance.now() - begin), ...result };
      }),
    );
  } finally {
    prober.close();
  }
}
