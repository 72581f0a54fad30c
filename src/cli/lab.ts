// `detour lab`: the whole thing on loopback. The lab reads its own arguments; everything after the
// word goes to it untouched, `--help` included.

import type { Command } from 'commander';
import { act, type Cli } from './hands.ts';

export function addLab(program: Command, cli: Cli): void {
  const command = program
    .command('lab')
    .description('a small internet on loopback: vendors, clouds and faults to try Detour on')
    .argument('[arguments...]')
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions();
  act(cli, command, (args) => cli.hands.lab((args[0] as readonly string[] | undefined) ?? []));
}
