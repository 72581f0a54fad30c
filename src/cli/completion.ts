// `detour completion SHELL`: a script by which a shell completes commands, options, and the names of
// records, targets, origins and clouds; those are asked of the daemon while a key is waited for, so
// that is bounded and silent. It never changes anything.

import { type Command, InvalidArgumentError } from 'commander';
import { unrooted } from '../core/name.ts';
import type { StatusView } from '../core/view.ts';
import { daemon } from './client.ts';
import { act, type Cli, CliError, examples } from './hands.ts';

const shells = ['bash', 'zsh', 'fish'] as const;
/** For the daemon's answer while somebody waits for a key; without it no names are offered. */
const namesMs = 400;

/** What a shell is told of one command line, as far as it was typed. */
type Root = import('@bomb.sh/tab').RootCommand;
type Names = Readonly<Record<string, readonly string[]>>;

export function addCompletion(program: Command, cli: Cli): void {
  const command = program
    .command('completion')
    .description('print the script by which a shell completes what is typed')
    .argument('<shell>', 'bash, zsh or fish', readShell);
  examples(
    command,
    '$ detour completion bash > /etc/bash_completion.d/detour',
    '$ source <(detour completion zsh)',
    '$ detour completion fish > ~/.config/fish/completions/detour.fish',
  );
  act(cli, command, async ([shell]) => {
    const { script } = await import('@bomb.sh/tab');
    // It writes where it pleases: to the terminal of the process.
    const made = captured(() => script(shell!, 'detour', 'detour'));
    // A shell that reads it twice must not complain of what it may not set again.
    cli.io.out(made.replace(/^readonly (?=\w+=)/gm, ''));
    return 0;
  });
  const asked = program
    .command('complete', { hidden: true })
    .description('what may come next, for a shell')
    .argument('[words...]')
    .allowUnknownOption();
  act(cli, asked, async (args) => {
    const { RootCommand } = await import('@bomb.sh/tab');
    const root = new RootCommand();
    grow(root, program, await namesOf(cli));
    const words = (args as unknown as readonly string[][])[0] ?? [];
    cli.io.out(captured(() => root.parse([...words])));
    return 0;
  });
}

function readShell(text: string): string {
  if ((shells as readonly string[]).includes(text)) return text;
  throw new InvalidArgumentError(`Expected ${shells.join(', ')}.`);
}

/** Every command, its options and what its arguments may be. */
function grow(root: Root, program: Command, names: Names): void {
  const walk = (command: Command, path: string): void => {
    const help = command.createHelp();
    for (const one of help.visibleCommands(command)) {
      if (one.name() === 'help') continue;
      const whole = path === '' ? one.name() : `${path} ${one.name()}`;
      const node = root.command(whole, one.description());
      for (const option of one.createHelp().visibleOptions(one)) {
        const long = option.long?.slice(2);
        if (long === undefined) continue;
        const short = option.short?.slice(1);
        if (option.required || option.optional) {
          node.option(long, option.description, offer(option.argChoices ?? []), short);
        } else if (short === undefined) node.option(long, option.description);
        else node.option(long, option.description, short);
      }
      for (const argument of one.registeredArguments) {
        const known = argument.argChoices ?? names[argument.name()] ?? [];
        node.argument(argument.name(), offer(known), argument.variadic);
      }
      walk(one, whole);
    }
  };
  walk(program, '');
}

function offer(values: readonly string[]) {
  return (complete: (value: string, description: string) => void) => {
    for (const value of values) complete(value, '');
  };
}

/** By the name of an argument what it may be, as far as the daemon says so in time. */
async function namesOf(cli: Cli): Promise<Names> {
  let view: StatusView;
  try {
    view = await daemon(cli, {}).status(AbortSignal.timeout(namesMs));
  } catch (error) {
    // Nobody is told at a key: commands and options are offered all the same.
    if (error instanceof CliError) return {};
    throw error;
  }
  const { records, origins, clouds } = view;
  const places = [...origins, ...clouds].map(({ name }) => name);
  return {
    record: records.map(({ name }) => unrooted(name)),
    target: [...new Set(records.flatMap(({ targets }) => targets.map(({ origin }) => origin)))],
    what: places,
    provider: [...new Set(records.flatMap((r) => r.providers.map((p) => p.provider)))],
    check: origins.flatMap(({ checks }) => [...new Set(checks.map(({ id }) => id))]),
    shell: shells,
  };
}

/** What the library prints, which knows no other way to give it. */
function captured(work: () => void): string {
  const lines: string[] = [];
  const { log } = globalThis.console;
  globalThis.console.log = (...parts: unknown[]) => void lines.push(`${parts.join(' ')}\n`);
  try {
    work();
  } finally {
    globalThis.console.log = log;
  }
  return lines.join('');
}
