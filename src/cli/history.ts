// `detour history`: what happened, from the journal. It asks and prints, and changes nothing.

import { type Command, InvalidArgumentError } from 'commander';
import { daemon } from './client.ts';
import { act, type Cli, examples } from './hands.ts';
import { dated, printJson } from './json.ts';
import { type DaemonOptions, withDaemon } from './order.ts';
import { printHistory } from './print.ts';

interface Options extends DaemonOptions {
  readonly limit: number;
}

export function addHistory(program: Command, cli: Cli): void {
  const command = program
    .command('history')
    .description('what happened and why, the newest last')
    .argument('[record]', 'one record; without it, everything')
    .option('-n, --limit <count>', 'how many entries at most, 1 to 10000', readLimit, 50);
  examples(
    withDaemon(command),
    '$ detour history www.gslb.example.net --limit 20',
    '$ detour history --json -n 1000 | jq \'.entries[] | select(.kind == "switch")\'',
  );
  act<Options>(cli, command, async ([record], options) => {
    const entries = await daemon(cli, options).history(record ?? null, options.limit);
    const paper = { columns: cli.io.columns(), colour: cli.io.colour };
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
