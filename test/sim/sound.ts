// What is really so of an origin, by the truth of a simulated world: whether it has been well for long,
// and so have enough of the ways to it that nobody may call it down. Knows of no replica's belief.

import type { CheckConfig, CoreConfig } from '../../src/core/model.ts';
import type { Truth } from './faults.ts';

/** Independent groups with a vote on a check, and those of them with a path that fits. */
export function groupsOf(
  { paths }: CoreConfig,
  check: CheckConfig,
  fits: (path: string) => boolean,
): { all: number; yes: number } {
  const [all, yes] = [new Set<string>(), new Set<string>()];
  for (const name of check.paths) {
    const path = paths[name]!;
    if (path.cloud !== null && path.cloud === check.cloud) continue;
    all.add(path.group);
    if (fits(name)) yes.add(path.group);
  }
  return { all: all.size, yes: yes.size };
}

/** The least that any rule for a quorum asks for: two wherever two are configured. */
export function quorumOf({ origins }: CoreConfig, check: CheckConfig, groups: number): number {
  const rule = origins[check.origin ?? '']?.quorum;
  return rule?.kind === 'all' ? groups : Math.min(2, groups);
}

/** It has been well since then, and so have all but a minority of the ways to it. */
export function isSound(
  config: CoreConfig,
  truth: Truth,
  check: CheckConfig,
  since: number,
  isWayCalm: (path: string) => boolean,
): boolean {
  if (truth.places.troubledAt(check.origin ?? check.id) >= since) return false;
  const groups = groupsOf(config, check, (path) => {
    const { group, replica } = config.paths[path]!;
    // A replica that hears nobody else of the group has only its own ways of it.
    const near = check.paths.filter((p) => {
      return config.paths[p]!.group === group && config.paths[p]!.replica === replica;
    });
    return near.every((p) => !isWayCalm(p));
  });
  return groups.yes < quorumOf(config, check, groups.all);
}

/** The checks without which an origin is down. */
export function requiredOf(config: CoreConfig, origin: string): CheckConfig[] {
  const { checks, origins } = config;
  const own = origins[origin]!.checks.map((id) => checks[id]!).filter((c) => !c.advisory);
  return [...own, ...origins[origin]!.needs.map((id) => checks[id]!)];
}
