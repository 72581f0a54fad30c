// Who can be told: the one table of notifiers. One more channel is one more file and row.

import type { NotifierType } from '../kit/extend.ts';
import { alertmanager } from './alertmanager.ts';
import { command } from './command.ts';
import { smtp } from './smtp.ts';
import { webhook } from './webhook.ts';

/** Every kind of notifier, by its word in the configuration. */
export const notifierTypes: Readonly<Record<string, NotifierType<unknown>>> = table(
  ...[alertmanager, command, smtp, webhook],
);

function table(
  ...types: readonly NotifierType<unknown>[]
): Readonly<Record<string, NotifierType<unknown>>> {
  return Object.fromEntries(types.map((type) => [type.key, type]));
}
