// The tables of what may stand in a configuration as a type of provider, a kind of check, a way to
// tell, and packages that stand for a row. It must never hold a row itself.

import { z } from 'zod';
import type { CheckType, NotifierType, PathSpec, ProviderType } from '../kit/extend.ts';

/** What may stand in a configuration as a provider's `type`, a kind of check, a way to tell. */
export interface Tables {
  readonly providers: Readonly<Record<string, ProviderType<unknown>>>;
  readonly checks: Readonly<Record<string, CheckType<unknown>>>;
  readonly notifiers: Readonly<Record<string, NotifierType<unknown>>>;
  /** Why a check of a kind cannot be asked by a path, with the cure; null when it can. */
  readonly pathProblem?: (kind: string, path: PathSpec, settings?: unknown) => string | null;
  /** Whether a kind of check has a connection to hold: `unasked`, where `asked` for, or none. */
  readonly holding?: (kind: string) => 'unasked' | 'asked' | null;
  /** Of packages without a row: why it cannot be used, in one clause with its cure. */
  readonly unusable?: ReadonlyMap<string, string>;
}

/** What a package is wanted for; the member of an `Extension` that must be there. */
export type Role = 'provider' | 'check' | 'notifier';

/** Packages that a text names, by their word `npm:NAME`. */
export type Wanted = ReadonlyMap<string, ReadonlySet<Role>>;

/** What a package's name stands behind, where a word of Detour's own may stand. */
export const packageMark = 'npm:';

/** A name as npm takes it, of a scope or not: no path, no version, no address. */
export const packagePattern =
  /^npm:(?=.{1,214}$)(?:@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/;

export const packageRule = 'expected npm: and the name of a package, such as npm:detour-provider-x';

export const isPackage = (word: string) => word.startsWith(packageMark);

/** Stands for the schema of a package that was not loaded, where its word is a key. */
export const unread = (word: string) => z.strictObject({ [word]: z.unknown() });

export function rowOf<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}
