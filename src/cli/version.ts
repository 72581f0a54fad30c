// `detour version`: what runs here, and which versions of what others rely on it speaks: for a report
// of trouble, and for tools. It asks nobody.

import type { Command } from 'commander';
import type { Extension } from '../kit/extend.ts';
import { act, type Cli } from './hands.ts';
import { jsonVersion, printJson } from './json.ts';

/** The version of the door for packages that this Detour has; see docs/packages.md. */
const contract: Extension['contract'] = 1;

export function addVersion(program: Command, cli: Cli): void {
  const command = program
    .command('version')
    .description('what runs here: Detour, Node and the machine')
    .option('--json', 'the answer as one JSON document');
  act<{ readonly json?: boolean }>(cli, command, async (_, { json }) => {
    const { version } = cli.hands;
    const { platform, arch, versions } = process;
    const machine = `${platform}-${arch}`;
    if (json) {
      printJson(cli.io, {
        detour: version,
        node: versions.node,
        machine,
        json: jsonVersion,
        contract,
      });
    } else cli.io.out(`detour ${version} (node ${versions.node}, ${machine})\n`);
    return 0;
  });
}
