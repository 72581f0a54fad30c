// What the commands that give the daemon one order have in common: who gives it, the notation of its
// arguments, and how the reply is shown. It never decides whether an order is wise.

import type { Command } from 'commander';
import type { Command as Order, Reply } from '../core/model.ts';
import { daemon } from './client.ts';
import { act, type Cli, CliError } from './hands.ts';
import { clean } from './print.ts';

export interface DaemonOptions {
  readonly socket?: string;
  readonly json?: boolean;
}

/** The options of every command that talks to the daemon. */
export function withDaemon(command: Command): Command {
  return command
    .option('--socket <path>', "the daemon's control socket (or DETOUR_SOCKET)")
    .option('--json', 'the answer as one JSON document');
}

/** A command that is one order: builds it, gives it, shows the reply, ends with its code. */
export function giveOrder<Options extends DaemonOptions>(
  cli: Cli,
  command: Command,
  order: (args: readonly string[], options: Options, by: string) => Order | Promise<Order>,
): Command {
  act<Options>(cli, withDaemon(command), async (args, options) => {
    const reply = await daemon(cli, options).command(await order(args, options, who(cli)));
    return showReply(cli, reply, options);
  });
  return command;
}

/** Prints a reply and returns its code: refusals go to stderr. */
export function showReply(cli: Cli, reply: Reply, options: { readonly json?: boolean }): number {
  if (options.json) cli.io.out(`${JSON.stringify(reply)}\n`);
  else if (reply.exit === 0) cli.io.out(`${said(reply)}\n`);
  else cli.io.err(`detour: ${said(reply)}\n`);
  return reply.exit;
}

/** A reply's lines; all but the first are set in, so that none can pass for a line of its own. */
export function said(reply: Reply): string {
  return reply.message.split('\n').map(clean).join('\n  ').trimEnd();
}

/** The person who gives the order, for the journal: at most 64 characters. */
export function who(cli: Cli): string {
  return clean(cli.io.user).slice(0, 64) || 'unknown';
}

/** `2h` as milliseconds, `unlimited` as null. Throws CliError. */
export async function holdMs(text: string): Promise<number | null> {
  if (text === 'unlimited') return null;
  const { parseDuration } = await import('../kit/schema.ts');
  const ms = parseDuration(text);
  if (ms !== null && ms >= 1000 && ms <= 366 * 86_400_000) return ms;
  throw new CliError(
    2,
    `--for ${clean(text)}: expected a duration from 1s to 366d, such as 30m or 2h, or unlimited`,
  );
}
