// What the parts of reading a configuration share: what they are given, what they read checks and
// providers as, and packages that stand where a row may. It must never read a part itself.

import type { CheckConfig, CheckId, Name } from '../core/model.ts';
import type { fields } from './fields.ts';
import type { Named } from './group.ts';
import { packagePattern, packageRule, type Role, rowOf, type Tables } from './tables.ts';
import { type Path, type Read, type Source, show, type Text } from './text.ts';

export interface ProviderConfig {
  readonly type: string;
  /** As the row's own schema has read them. */
  readonly settings: unknown;
  /**
   * What it is judged by, `HOST` or `HOST:PORT`: as configured, or itself where it is a server of
   * the user's own; null: as its API says.
   */
  readonly nameservers: readonly string[] | null;
  readonly callTimeoutMs: number;
  /** By line the addresses that its answer is asked for, `ADDRESS/BITS`; absent: none is known. */
  readonly lineSubnets?: Readonly<Record<string, string>>;
  /** The name by which it is tried; null: it is not. */
  readonly canary: Name | null;
  /** The cloud that it fails with, as configured, else as its type says; null: not known. */
  readonly cloud: string | null;
}

export interface ProbeConfig {
  /** A key of the table of checks. */
  readonly kind: string;
  readonly settings: unknown;
  readonly timeoutMs: number;
}

/** What the folders of `include:` hold, by their name in the text; a clause says why nothing. */
export type Included = Readonly<Record<string, readonly Text[] | { readonly why: string }>>;

export const defaults = {
  intervalMs: 5000,
  timeoutMs: 2000,
  confirmMs: 500,
  fall: 3,
  rise: 2,
  patienceMs: 10_000,
  failback: { kind: 'manual' },
  switchesPerHour: 3,
  edits: 'hold',
} as const;

export type Policy = Read<typeof fields.policy>;

export interface Context {
  readonly source: Source;
  readonly tables: Tables;
  /** Grows as packages are met. */
  readonly wanted: Map<string, Set<Role>>;
  readonly named: Named | 'all' | null;
  /** What each check asks, as it was written. */
  readonly asked: Map<ProbeConfig, unknown>;
  readonly included: Included;
  /** Where each name stands that others push to. */
  readonly pushed: Map<string, Path>;
}

/** What checks of all kinds come to. */
export interface Parts {
  readonly checks: Record<CheckId, CheckConfig>;
  readonly probes: Record<CheckId, ProbeConfig>;
}

/**
 * A package that stands where a row's word may stand. Without its row it is told why it has none, or
 * that nobody has looked at it.
 */
export function wantPackage(
  { source, tables, wanted }: Context,
  role: Role,
  word: string,
  path: Path,
  at: 'key' | 'value',
): void {
  if (!packagePattern.test(word)) {
    source.problem(path, `${show(word)}: ${packageRule}`, at);
    return;
  }
  wanted.set(word, (wanted.get(word) ?? new Set<Role>()).add(role));
  const { providers: provider, checks: check, notifiers: notifier } = tables;
  const rows: Readonly<Record<string, unknown>> = { provider, check, notifier }[role];
  const why = tables.unusable?.get(word);
  if (why !== undefined) {
    source.problem(path, `${word} ${why}`, at);
  } else if (rowOf(rows, word) === undefined) {
    const message = 'is known by its name alone: it was not loaded and its settings were not read';
    source.warning(path, `${word} ${message} (validate --plugins does)`);
  }
}
