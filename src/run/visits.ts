// By which checks and paths audits visit the targets of records under their public names. It builds
// and asks nobody; an origin without a check that fits is asked for its first page, and any answer
// to that will do.

import type { Ask, Visits } from '../audit/run.ts';
import type { Config } from '../config/config.ts';
import type { CheckId } from '../core/model.ts';
import { http } from '../probes/http.ts';
import type { Means } from '../probes/path.ts';
import { createVisitor, visitable, visitsBy } from '../probes/visit.ts';

const timeoutMs = 5_000;

/** Of a configuration as it is in force; its secrets open proxies alone. */
export function visitsOf({ core, probes, paths, audit }: Config, means: Means): Visits {
  const asked = { ...probes };
  const pathsOf = (check: CheckId) =>
    (core.checks[check]?.paths ?? []).filter((name) => {
      const path = paths[name];
      return path !== undefined && visitsBy(path);
    });
  const asksOf = (origin: string, checks: readonly CheckId[]): readonly Ask[] => {
    const kinds = new Map<boolean, Ask>();
    // What is only advised is asked where nothing else is there.
    const steering = checks.toSorted(
      (a, b) => Number(core.checks[a]!.advisory) - Number(core.checks[b]!.advisory),
    );
    for (const check of steering) {
      const [probe, ways] = [probes[check], pathsOf(check)];
      const how = probe === undefined ? null : visitable(probe);
      if (how === null || ways.length === 0 || kinds.has(how.secure)) continue;
      kinds.set(how.secure, { check, ...how, paths: ways });
    }
    const any = [...new Set(checks.flatMap(pathsOf))];
    if (kinds.size > 0 || any.length === 0) return [...kinds.values()];
    const check = `${origin}/`;
    const settings = http.settings.parse({ http: anyPage, expect: { status: '100-599' } });
    asked[check] = { kind: 'http', settings, timeoutMs };
    return [{ check, ...visitable(asked[check])!, paths: any }];
  };
  const asks = Object.values(core.origins).map(({ name, checks }) => [name, asksOf(name, checks)]);
  return {
    asks: Object.fromEntries(asks),
    certificateDays: audit.certificateDays,
    ...createVisitor(asked, paths, means),
  };
}

/** Only ever asked under another name. */
const anyPage = 'https://unnamed.invalid/';
