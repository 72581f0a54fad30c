// The command line: every command in one program. Nothing heavier than commander may be imported
// from here on, so that help and status come at once even on a machine in trouble; what needs more
// loads it inside its hands. Usage errors end with 2, by the design.

import { Command, CommanderError } from 'commander';
import { addAck } from './ack.ts';
import { addAdopt } from './adopt.ts';
import { addApprove, addReject } from './approve.ts';
import { addAudit } from './audit.ts';
import { addBreakGlass } from './break-glass.ts';
import { addChannels } from './channels.ts';
import { addCompletion } from './completion.ts';
import { addDrain, addUndrain } from './drain.ts';
import { addDrill } from './drill.ts';
import { addEvict, addReadmit } from './evict.ts';
import { addFreeze, addUnfreeze } from './freeze.ts';
import { type Cli, examples, type Hands, type Io } from './hands.ts';
import { addHistory } from './history.ts';
import { addInit } from './init.ts';
import { addInstallService } from './install-service.ts';
import { addLab } from './lab.ts';
import { addExplain, addProbe } from './look.ts';
import { addMan } from './man.ts';
import { addPin, addUnpin } from './pin.ts';
import { addPrepare } from './prepare.ts';
import { processIo } from './process.ts';
import { addReload } from './reload.ts';
import { addReport } from './report.ts';
import { addRun } from './run.ts';
import { addSchema } from './shapes.ts';
import { addSimulate } from './simulate.ts';
import { addStatus } from './status.ts';
import { addSwitch } from './switch.ts';
import { addValidate } from './validate.ts';
import { addVersion } from './version.ts';
import { addYield } from './yield.ts';

export type { DirectOrder, Hands, Io, Looked } from './hands.ts';

/**
 * The program. Parsing it runs one command, which sets the exit code through `io`; help, version and
 * usage errors are thrown as CommanderError after their text is written. `runCli` catches them.
 */
export function buildProgram(hands: Hands, io: Io = processIo()): Command {
  const cli: Cli = { hands, io };
  const program = new Command('detour');
  program
    .description('Moves names away from a failing cloud, at several DNS vendors at once.')
    .version(hands.version)
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.out(text),
      writeErr: (text) => io.err(text),
      getOutHelpWidth: () => io.columns(),
      getErrHelpWidth: () => io.columns(),
      getOutHasColors: () => io.colour,
      getErrHasColors: () => io.colour,
    })
    .showHelpAfterError('(--help shows the options and examples)');
  program.commandsGroup('To see:');
  addStatus(program, cli);
  addHistory(program, cli);
  addAudit(program, cli);
  addReport(program, cli);
  addChannels(program, cli);
  for (const add of [addExplain, addProbe, addDrill]) add(program, cli);
  program.commandsGroup('To act:');
  for (const add of [addSwitch, addAdopt, addPin, addUnpin, addDrain, addUndrain]) {
    add(program, cli);
  }
  for (const add of [addPrepare, addApprove, addReject, addEvict, addReadmit]) add(program, cli);
  for (const add of [addFreeze, addUnfreeze, addAck, addYield]) add(program, cli);
  addBreakGlass(program, cli);
  program.commandsGroup('To run it:');
  for (const add of [addInit, addRun, addValidate, addReload, addSimulate, addSchema, addLab]) {
    add(program, cli);
  }
  for (const add of [addInstallService, addVersion, addCompletion, addMan]) add(program, cli);
  examples(
    program,
    '$ detour status --watch',
    '$ detour switch www.gslb.example.net tokyo --reason "hangzhou storage fails"',
    '',
    'Exit codes: 0 done, 1 the world refused, 2 wrong input, 3 partly done.',
  );
  return program;
}

/** Runs one command line (without node and script). Resolves with the exit code, also set by `io`. */
export async function runCli(
  argv: readonly string[],
  hands: Hands,
  io: Io = processIo(),
): Promise<number> {
  let code = 0;
  const exit = (wanted: number) => {
    code = wanted;
    io.exit(wanted);
  };
  // Delegation by prototype: the user and the sizes stay what they are when they are asked for.
  const watched: Io = Object.assign(Object.create(io) as Io, { exit });
  try {
    await buildProgram(hands, watched).parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      exit(error.exitCode === 0 ? 0 : 2);
    } else {
      const said = error instanceof Error ? (error.stack ?? error.message) : String(error);
      io.err(`detour: a fault in Detour itself: ${said}\n`);
      exit(1);
    }
  }
  return code;
}
