// `detour schema`: the JSON Schema of what commands print with --json. It asks nobody and changes
// nothing.

import type { Command } from 'commander';
import { meant } from '../core/name.ts';
import { act, type Cli, CliError, examples } from './hands.ts';

export function addSchema(program: Command, cli: Cli): void {
  const command = program
    .command('schema')
    .description('the JSON Schema of what a command prints with --json')
    .argument('[command]', 'such as status; without it, all of them')
    .option('--json', 'as it is: a schema is a JSON document');
  examples(command, '$ detour schema status > detour-status.schema.json');
  act(cli, command, async ([typed]) => {
    const { documents, schemaOf } = await import('./schema.ts');
    const known = Object.keys(documents) as (keyof typeof documents)[];
    let wanted: (typeof known)[number] | null = null;
    if (typed !== undefined) {
      const found = meant('command with a document', typed, known);
      if (!found.ok) throw new CliError(2, found.sentence);
      wanted = known.find((name) => name === found.name)!;
    }
    cli.io.out(`${JSON.stringify(schemaOf(wanted), null, 2)}\n`);
    return 0;
  });
}
