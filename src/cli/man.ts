// `detour man`: the manual page, made of the same words as `--help`, in the notation of man(7). What
// is asked of the program and what the page says cannot differ.

import type { Command } from 'commander';
import { act, type Cli, examples } from './hands.ts';

export function addMan(program: Command, cli: Cli): void {
  const command = program.command('man').description('print the manual page, for man(1)');
  examples(command, '$ detour man | man -l -', '$ detour man > /usr/share/man/man1/detour.1');
  act(cli, command, async () => {
    cli.io.out(manualOf(program, cli.hands.version));
    return 0;
  });
}

/** The page as roff, man(7) of groff. */
function manualOf(program: Command, version: string): string {
  return [
    `.TH DETOUR 1 "" "detour ${roff(version)}" "User commands"`,
    '.SH NAME',
    'detour \\- moves names away from a failing cloud',
    '.SH SYNOPSIS',
    '.B detour',
    '.I command',
    '[options]',
    '.SH DESCRIPTION',
    text(program.description()),
    '.SH COMMANDS',
    ...commandsOf(program, 'detour').flatMap(section),
    '.SH EXIT STATUS',
    ...item('0', 'done'),
    ...item('1', 'the world refused'),
    ...item('2', 'wrong input'),
    ...item('3', 'partly done'),
    '.SH ENVIRONMENT',
    ...item('DETOUR_SOCKET', "the daemon's control socket, where --socket does not say it"),
    ...item('DETOUR_REPLICA', 'which of several replicas this is'),
    '.SH FILES',
    ...item('/etc/detour/detour.yaml', 'the configuration'),
    ...item('/var/lib/detour', 'the state, and the control socket'),
    '',
  ].join('\n');
}

interface Listed {
  readonly path: string;
  readonly command: Command;
}

/** Those that do something themselves, in the order of the help. */
function commandsOf(parent: Command, path: string): readonly Listed[] {
  const children = parent.createHelp().visibleCommands(parent);
  return children
    .filter((command) => command.name() !== 'help')
    .flatMap((command): readonly Listed[] => {
      const whole = `${path} ${command.name()}`;
      const below = commandsOf(command, whole);
      return below.length > 0 ? below : [{ path: whole, command }];
    });
}

function section({ path, command }: Listed): readonly string[] {
  const help = command.createHelp();
  const options = help
    .visibleOptions(command)
    .filter(({ long }) => long !== '--help')
    .flatMap((option) => item(help.optionTerm(option), help.optionDescription(option)));
  const args = help
    .visibleArguments(command)
    .flatMap((one) => item(help.argumentTerm(one), help.argumentDescription(one)));
  const usage = command.usage().replace('[options] ', '');
  return [
    `.SS "${roff(`${path} ${usage}`.trim())}"`,
    text(command.description()),
    ...args,
    ...options,
  ];
}

/** A term and what it is. */
function item(term: string, says: string): readonly string[] {
  return ['.TP', `.B ${roff(term)}`, text(says)];
}

function text(plain: string): string {
  const escaped = roff(plain);
  // A line of its own that begins so is a request (groff(7)).
  return /^[.']/.test(escaped) ? `\\&${escaped}` : escaped;
}

/** Backslashes, and hyphens that are to stay ASCII for whoever copies an option. */
function roff(plain: string): string {
  return plain.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('"', '\\(dq');
}
