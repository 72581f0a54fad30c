// `detour install-service`: has systemd run the daemon. The work is the hands'; this only says how it
// is asked for.

import type { Command } from 'commander';
import { act, type Cli, examples } from './hands.ts';
import { showReply } from './order.ts';

interface Options {
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export function addInstallService(program: Command, cli: Cli): void {
  const command = program
    .command('install-service')
    .description('the unit, user and folders by which systemd runs this program')
    .option('--dry-run', 'say what would be written and done, and do nothing')
    .option('--json', 'the answer as one JSON document');
  examples(
    command,
    '$ detour install-service --dry-run',
    '$ sudo detour install-service',
    'It starts nothing: systemctl enable --now detour does. Called again it does what is wanting.',
  );
  act<Options>(cli, command, async (_, options) =>
    showReply(cli, await cli.hands.installService(options.dryRun === true), options),
  );
}
