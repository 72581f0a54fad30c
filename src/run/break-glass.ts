// How a person moves records by hand, from a configuration alone: for each record, target and vendor
// the steps of that vendor's own console and tools. It asks nobody and reads no secret: the paper
// says where each lies.

import type { Glass, WithSpelling } from '../cli/hands.ts';
import { CliError } from '../cli/hands.ts';
import type { RecordConfig } from '../core/model.ts';
import { meant } from '../core/name.ts';
import { toAscii } from '../kit/script.ts';
import { loadConfig } from './build.ts';

/** Throws ConfigError, and CliError where the record or target is not one of the configuration's. */
export async function breakGlass(
  configPath: string,
  wanted: { readonly record: string | null; readonly target: string | null },
  replica: string | null,
): Promise<WithSpelling<Glass>> {
  const { config } = await loadConfig(configPath, { replica });
  const { records, cluster, spelling } = config.core;
  const names = Object.keys(records);
  const chosen =
    wanted.record === null
      ? names
      : [named('record', toAscii(wanted.record) ?? wanted.record, names)];
  const vendorOf = ({ provider, ttl, lines }: RecordConfig['publish'][number]) => {
    const { type, settings } = config.providers[provider]!;
    const row = config.tables.providers[type]!;
    const by = (move: { record: string; cname: string }) =>
      row.byHand?.(settings, { ...move, ttl, ...(lines === undefined ? {} : { lines }) }) ?? [
        { text: `By the own console or tools of ${type}: set the CNAME to ${move.cname}` },
      ];
    return { provider, title: row.capabilities.title, ttl, by };
  };
  return {
    cluster,
    ...(spelling === undefined ? {} : { spelling }),
    records: chosen.map((name) => {
      const { targets, publish } = records[name]!;
      const origins = targets.map(({ origin }) => origin);
      const only = wanted.target === null ? null : named('target', wanted.target, origins);
      const vendors = publish.map(vendorOf);
      const moves = targets.filter(({ origin }) => only === null || origin === only);
      return {
        record: name,
        moves: moves.map(({ origin, cname }) => ({
          target: origin,
          cname,
          vendors: vendors.map(({ by, ...vendor }) => ({
            ...vendor,
            steps: by({ record: name, cname }),
          })),
        })),
      };
    }),
  };
}

function named(what: string, typed: string, known: readonly string[]): string {
  const found = meant(what, typed, known);
  if (!found.ok) throw new CliError(2, found.sentence);
  return found.name;
}
