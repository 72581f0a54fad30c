// `detour simulate`: a great outage, or one's own journal, replayed in virtual time against a
// configuration. It prints, and writes the one page it is told to; it touches no network and no
// record.

import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { whyOfFile } from '../kit/errno.ts';
import { act, type Cli, CliError, examples, type SimulateOrder } from './hands.ts';
import { printJson } from './json.ts';

interface Options {
  readonly config?: string;
  readonly as?: string;
  readonly set?: readonly string[];
  readonly sweep?: string;
  readonly journal?: string;
  readonly loss?: string;
  readonly seed?: string;
  readonly back?: boolean;
  readonly evictAfter?: string;
  readonly parentTtl?: string;
  readonly html?: string;
  readonly json?: boolean;
}

const gather = (value: string, all: readonly string[] = []) => [...all, value];

export function addSimulate(program: Command, cli: Cli): void {
  const command = program
    .command('simulate')
    .description('replay a great outage, or your own journal, against your thresholds')
    .argument('[outage]', 'such as alibaba-2023-11-12; without it, the list')
    .option('-c, --config <file>', 'the configuration (default: a built-in example)')
    .option('--as <name>', 'as if it struck this cloud, provider or path of yours')
    .option('--set <key=value>', 'a threshold other than configured; may be repeated', gather)
    .option('--sweep <ranges>', 'a table over thresholds, such as fall=2..6,interval=1s..10s')
    .option('--loss <share>', 'of all probes, lost by chance, such as 5%')
    .option('--back', 'ten minutes after the end an operator moves everything back')
    .option('--evict-after <duration>', 'when a vendor left behind is taken out (default: 10m)')
    .option('--parent-ttl <duration>', 'how long resolvers keep the delegation (default: 1h)')
    .option('--journal <place>', 'a state directory, or what `detour history --json` printed')
    .option('--seed <number>', 'of all that is drawn by chance; the same gives the same')
    .option('--html <file>', 'write the timeline as one page')
    .option('--json', 'the result as one JSON document');
  examples(
    command,
    '$ detour simulate alibaba-2023 -c detour.yaml --html alibaba.html',
    '$ detour simulate facebook --as aliyun -c detour.yaml',
    '$ detour simulate google --sweep fall=2..6,interval=1s..10s --loss 5%',
    '$ detour simulate --journal /var/lib/detour -c detour.yaml --set patience=30s',
  );
  act<Options>(cli, command, async ([outage], options) => {
    const result = await cli.hands.simulate(orderOf(outage, options));
    if (options.html !== undefined) writePage(options.html, result.html);
    const paper = { columns: cli.io.columns(), colour: cli.io.colour };
    if (options.json)
      printJson(cli.io, Array.isArray(result.json) ? { outages: result.json } : result.json);
    else cli.io.out(result.text(paper));
    return 0;
  });
}

function orderOf(outage: string | undefined, o: Options): SimulateOrder {
  return {
    ...{ outage: outage ?? null, config: o.config ?? null, as: o.as ?? null, set: o.set ?? [] },
    ...{ sweep: o.sweep ?? null, journal: o.journal ?? null, loss: o.loss ?? null },
    ...{ seed: o.seed ?? null, back: o.back === true },
    ...{ evictAfter: o.evictAfter ?? null, parentTtl: o.parentTtl ?? null },
  };
}

function writePage(file: string, page: (() => string) | null): void {
  if (page === null) throw new CliError(2, '--html draws one outage: name one, without --sweep');
  try {
    writeFileSync(file, page());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    throw new CliError(1, `--html ${file} ${whyOfFile(error)}: name a file that can be written`);
  }
}
