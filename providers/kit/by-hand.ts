// What the steps that a person takes by hand have in common: where a secret lies, and words for a
// shell. It must never put a secret itself on paper, nor a value unquoted into a command.

import { unrooted } from '../../src/core/name.ts';
import type { SecretRef } from '../../src/kit/schema.ts';

/** An expression of a POSIX shell, in double quotes, that reads a secret where it lies. */
export function secretInShell(ref: SecretRef): string {
  if ('env' in ref) return `"$${ref.env}"`;
  const path = 'file' in ref ? ref.file : `/run/credentials/detour.service/${ref.credential}`;
  return `"$(cat ${shellWord(path)})"`;
}

/** One word of a POSIX shell (POSIX.1-2017, Shell Command Language, 2.2.2). */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** What a record is called below its zone; the whole name where the zone is not known. */
export function below(record: string, zone: string | undefined): string {
  const whole = unrooted(record);
  if (zone === undefined || !record.endsWith(`.${zone}`)) return whole;
  return record.slice(0, -zone.length - 1);
}
