// `detour prepare`: bring the TTL of a record down before a planned move, as far as each vendor lets
// it; it goes back by itself, or with --undo. It moves nobody.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Reply } from '../core/model.ts';
import type { Client } from './client.ts';
import { type Cli, CliError, examples } from './hands.ts';
import { detailOf, giveOrder, mayReason, type OrderOptions, reasonIn, said } from './order.ts';
import { clean, printName } from './print.ts';
import { findRecord } from './status.ts';

/** Seconds of a TTL that a command waits for; a longer one is prepared before. */
const WAIT_MOST_S = 3600;
/** On top of the TTL that is to run out: writing, and being visible. */
const WRITE_MS = 60_000;
/** After the move its short TTL stays for so long: whoever moved it may want it back. */
const AFTER_MS = 1_800_000;
const POLL_MS = 1_000;

interface PrepareOptions extends OrderOptions {
  readonly reason?: string;
  readonly ttl: string;
  readonly for: string;
  readonly undo?: boolean;
}

export function addPrepare(program: Command, cli: Cli): void {
  const command = mayReason(
    program
      .command('prepare')
      .description('bring the TTL down before a planned move, and back by itself')
      .argument('<record>', 'the record'),
  )
    .option('--ttl <duration>', 'how short; a vendor that has a higher least keeps that', '5s')
    .option('--for <duration>', 'when it goes back: 30m, 2h, at most 1d', '1h')
    .option('--undo', 'back to the configured TTL now');
  giveOrder<PrepareOptions>(cli, command, 'never', async ([record], options, by) => {
    const said = { record: record!, by };
    if (options.undo) return { ...said, kind: 'unprepare', ...reasonIn(options) };
    const { reason } = options;
    if (reason === undefined) throw new CliError(2, 'say why with --reason, for the journal');
    const ttl = (await lasts('--ttl', options.ttl, 1000, 3_600_000, '1s to 1h, such as 5s')) / 1000;
    if (!Number.isInteger(ttl)) throw new CliError(2, '--ttl: expected whole seconds, such as 5s');
    const forMs = await lasts('--for', options.for, 1000, 86_400_000, '1s to 1d, such as 30m');
    return { ...said, kind: 'prepare', ttl, forMs, reason };
  });
  examples(
    command,
    '$ detour prepare www.gslb.example.net --reason "kernel update at noon"',
    '$ detour prepare www.gslb.example.net --undo',
    '`detour status RECORD` says when the old TTL has run out everywhere.',
  );
}

async function lasts(
  option: string,
  text: string,
  least: number,
  most: number,
  notation: string,
): Promise<number> {
  const { parseDuration } = await import('../kit/schema.ts');
  const ms = parseDuration(text);
  if (ms !== null && ms >= least && ms <= most) return ms;
  throw new CliError(2, `${option} ${clean(text)}: expected a duration from ${notation}`);
}

/**
 * Before a planned move: orders the short TTL and waits until it is all that caches hold. Null: it is
 * so; else why not, and nothing is to be moved.
 */
export async function readyFirst(
  cli: Cli,
  client: Client,
  wanted: {
    readonly record: string;
    readonly reason: string;
    readonly by: string;
    readonly dryRun: boolean;
  },
  { json }: { readonly json?: boolean },
): Promise<Reply | null> {
  const { record, reason, by, dryRun } = wanted;
  const order = { kind: 'prepare', record, reason, by, ttl: 5 } as const;
  const look = await client.command({ ...order, forMs: AFTER_MS, dryRun: true });
  if (look.exit !== 0) return look;
  const tell = (line: string) => (json ? cli.io.err : cli.io.out)(`${line}\n`);
  if (dryRun) {
    tell(said(look));
    return null;
  }
  const seconds = Number(detailOf(look)['longestSeconds'] ?? 0);
  if (seconds > WAIT_MOST_S) {
    const message = `its TTL is ${seconds} s: run \`detour prepare\` before, and switch once it is ready`;
    return { exit: 1, message };
  }
  const waitMs = seconds * 1000 + WRITE_MS;
  const reply = await client.command({ ...order, forMs: waitMs + AFTER_MS });
  if (reply.exit !== 0) return reply;
  tell(said(reply));
  return untilReady(cli, client, record, waitMs);
}

async function untilReady(
  cli: Cli,
  client: Client,
  typed: string,
  waitMs: number,
): Promise<Reply | null> {
  const stop = new AbortController();
  const undo = cli.io.interrupted(() => stop.abort());
  const still = 'nothing was moved, and the TTL goes back by itself';
  const endsAt = performance.now() + waitMs;
  let waits = 'every provider';
  try {
    while (!stop.signal.aborted && performance.now() < endsAt) {
      const view = await client.status(stop.signal);
      const name = findRecord(view, typed);
      const prepared = view.records.find((one) => one.name === name)?.prepared ?? null;
      if (prepared?.ready) return null;
      if (prepared === null) return { exit: 1, message: `somebody gave its TTL back: ${still}` };
      const late = prepared.parts.filter(({ at }) => at === null).map(({ provider }) => provider);
      waits = late.map(printName).join(', ');
      await sleep(POLL_MS, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    undo();
  }
  if (stop.signal.aborted) return { exit: 1, message: `no longer waiting: ${still}` };
  const message = `${waits} does not give the short TTL yet: ${still}; without --prepare it moves now`;
  return { exit: 1, message };
}
