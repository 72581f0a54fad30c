// What other monitors push, from the door for readers to the board of the push checks: the names of
// a configuration with their tokens, which are read again when they change. It must never show a
// token, and opens nothing where no check hears pushes.

import type { Config } from '../config/config.ts';
import type { AdapterContext } from '../kit/extend.ts';
import { type Renewal, Renewed } from '../kit/renew.ts';
import { openPushDoor, pushBytesMost, readPushToken } from '../probes/push.ts';
import type { Pushes as Heard } from '../serve/http.ts';
import { secrets } from './build.ts';

export interface Pushes extends Heard {
  close(): void;
}

/**
 * Takes over from the door of before. null where no check of this replica hears any. Throws
 * SecretError when a token cannot be had.
 */
export function pushesOf(
  { probes, tables }: Pick<Config, 'probes' | 'tables'>,
  told: (where: string, renewal: Renewal) => void,
  before: Pushes | null = null,
): Pushes | null {
  const names = new Map<string, { settings: unknown; token: Renewed<Token> }>();
  for (const [id, { kind, settings }] of Object.entries(probes)) {
    const name = tables.checks[kind]?.pushedAs?.(settings);
    if (name === undefined) continue;
    const make = (secret: AdapterContext['secret']): Token => ({
      text: readPushToken(settings, secret),
      close: () => {},
    });
    const token = new Renewed(secrets, make, {
      told: (renewal) => told(`check ${id}`, renewal),
      graceMs: 0,
    });
    names.set(name, { settings, token });
  }
  const door = openPushDoor(
    new Map(
      [...names].map(([name, { settings, token }]) => [
        name,
        { settings, token: () => token.get().text },
      ]),
    ),
  );
  before?.close();
  if (names.size === 0) return null;
  return {
    ...door,
    bytesMost: pushBytesMost,
    close: () => {
      for (const { token } of names.values()) token.close();
    },
  };
}

interface Token {
  readonly text: string;
  close(): void;
}
