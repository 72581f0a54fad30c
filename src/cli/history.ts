// `detour history`: what happened, from the journal. It asks and prints, and changes nothing.

import { type Command, InvalidArgumentError } from 'commander';
import { daemon } from './client.ts';
import { act, type Cli, examples } from './hands.ts';
import { dated, printJson } from './json.ts';
import { type DaemonOptions, withDaemon } from './order.ts';
import { clean, printHistory } from './print.ts';

interface Options extends DaemonOptions {
  readonly limit: number;
  readonly all?: boolean;
}

export function addHistory(program: Command, cli: Cli): void {
  const command = program
    .command('history')
    .description('what happened and why, the newest last')
    .argument('[record]', 'one record; without it, everything')
    .option('-a, --all', 'of every replica of the group, while they answer')
    .option('-n, --limit <count>', 'how many entries at most, 1 to 10000', readLimit, 50);
  examples(
    withDaemon(command),
    '$ detour history www.gslb.example.net --limit 20',
    '$ detour history --all',
    '$ detour history --json -n 1000 | jq \'.entries[] | select(.kind == "switch")\'',
  );
  act<Options>(cli, command, async ([record], options) => {
    const client = daemon(cli, options);
    const paper = { columns: cli.io.columns(), colour: cli.io.colour };
    if (options.all) {
      const { entries, silent } = await client.histories(record ?? null, options.limit);
      if (options.json) printJson(cli.io, { entries: entries.map(dated), silent });
      else if (entries.length > 0) cli.io.out(printHistory(entries, paper));
      for (const { replica, why } of options.json ? [] : silent) {
        cli.io.err(`detour: ${clean(replica)} has not answered: ${clean(why)}\n`);
      }
      return silent.length === 0 ? 0 : 3;
    }
    const entries = await client.history(record ?? null, options.limit);
    if (options.json) printJson(cli.io, { entries: entries.map(dated) });
    else if (entries.length === 0) cli.io.out('nothing has happened yet\n');
    else cli.io.out(printHistory(entries, paper));
    return 0;
  });
}

function readLimit(text: string): number {
  const limit = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= 10_000) return limit;
  throw new InvalidArgumentError('Expected a whole number from 1 to 10000.');
}
