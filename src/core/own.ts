// Tables keyed by words from outside (names of a configuration, of a command, of a vendor's answer):
// what every object inherits (`constructor`, `toString`) must never be taken for an entry.

import type { CoreConfig } from './model.ts';

/** The entry of that name; undefined where there is none. */
export function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** The same configuration, its tables without anything inherited: any way to ask them is right. */
export function bare(config: CoreConfig): CoreConfig {
  return {
    ...config,
    paths: alone(config.paths),
    clouds: alone(config.clouds),
    checks: alone(config.checks),
    origins: alone(config.origins),
    records: alone(config.records),
    lanes: alone(config.lanes),
  };
}

function alone<T>(table: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  return Object.assign(Object.create(null) as Record<string, T>, table);
}
