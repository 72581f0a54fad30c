#!/usr/bin/env node
// From the command line to a command. What a command needs is loaded when it is called, so that
// `detour --help` and `detour status` start at once. Imported by nothing.

import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import about from '../package.json' with { type: 'json' };
import type { Hands } from './cli/hands.ts';
import { catchSignals } from './run/signals.ts';

// Bundled libraries pass for ours: Node would tell operators what of theirs is out of date.
process.noDeprecation = true;

// Before anything that takes its time to load: a daemon's signals are caught from the first line on.
const signals = process.argv[2] === 'run' ? catchSignals() : null;
const loading = import('./cli/index.ts');

const { version } = about;

/**
 * The environment, for what speaks to vendors or origins: it is taken out of the process before
 * anything that would read it is loaded. Throws a CliError where it cannot be started with it.
 */
async function sealed(): Promise<string | null> {
  const [{ sealEnvironment }, { CliError }] = await Promise.all([
    import('./run/environment.ts'),
    import('./cli/hands.ts'),
  ]);
  const { problems, overridden } = sealEnvironment();
  if (problems.length > 0) throw new CliError(2, problems.join('\n'));
  return overridden;
}

/** The same for a command that ends by itself: what was taken away is said beside its output. */
async function sealedHere(): Promise<void> {
  const overridden = await sealed();
  if (overridden !== null) process.stderr.write(`detour: ${overridden}\n`);
}

/** A configuration that cannot be used is the operator's news, not a fault of Detour's. */
async function orSay<T>(work: () => Promise<T>): Promise<T> {
  const [{ ConfigError }, { CliError }] = await Promise.all([
    import('./run/build.ts'),
    import('./cli/hands.ts'),
  ]);
  return work().catch((error: unknown) => {
    throw error instanceof ConfigError ? new CliError(2, error.message) : error;
  });
}

const hands: Hands = {
  version,
  run: async (configPath, options) => {
    const overridden = await sealed();
    const [{ runDaemon }, { compileOnce, keepSmall, keepYoung }] = await Promise.all([
      import('./run/daemon.ts'),
      import('./run/heap.ts'),
    ]);
    keepYoung();
    keepSmall();
    compileOnce();
    return runDaemon(configPath, {
      ...options,
      version,
      overridden,
      signals: signals ?? catchSignals(),
    });
  },
  validate: async (configPath, options) => {
    const [{ ConfigError, lookAtConfig }, { voteTable }] = await Promise.all([
      import('./run/build.ts'),
      import('./config/votes.ts'),
    ]);
    try {
      const { config, warnings } = await lookAtConfig(configPath, options);
      return { problems: [], warnings, votes: voteTable(config.core) };
    } catch (error) {
      if (error instanceof ConfigError) return { problems: error.problems, warnings: [] };
      throw error;
    }
  },
  texts: async (configPath) => {
    const { textsOf } = await import('./run/build.ts');
    return { file: resolve(configPath), ...textsOf(configPath) };
  },
  installService: async (dryRun) => {
    const [{ installService, thisPlace }, { readFileSync }] = await Promise.all([
      import('./run/install-service.ts'),
      import('node:fs'),
    ]);
    // Seen from where it is built: dist/program.
    const unit = new URL('../../deploy/systemd/detour.service', import.meta.url);
    const program = new URL('../../bin/detour.cjs', import.meta.url);
    const text = () => readFileSync(unit, 'utf8');
    return installService(thisPlace(fileURLToPath(program)), text, dryRun);
  },
  makeKey: async (path) => {
    const { makeKey } = await import('./run/key.ts');
    return makeKey(path);
  },
  init: async (order) => {
    await sealedHere();
    const { init } = await import('./run/init.ts');
    return init(order);
  },
  jsonSchema: async () => {
    const [{ tables }, { jsonSchema }] = await Promise.all([
      import('./run/build.ts'),
      import('./config/json-schema.ts'),
    ]);
    return jsonSchema(tables);
  },
  delegate: async (order, about) => {
    await sealedHere();
    const { delegateDirectly } = await import('./run/direct.ts');
    return delegateDirectly(order, about);
  },
  direct: async (order, tell) => {
    await sealedHere();
    const { switchDirectly } = await import('./run/direct.ts');
    return switchDirectly(order, tell);
  },
  probe: async (configPath, what, replica) => {
    await sealedHere();
    const { probeAll } = await import('./run/probe.ts');
    return orSay(() => probeAll(configPath, what, replica));
  },
  drill: async (configPath, check, replica) => {
    await sealedHere();
    const { drillCheck } = await import('./run/probe.ts');
    return orSay(() => drillCheck(configPath, check, replica));
  },
  audit: async (configPath, replica) => {
    await sealedHere();
    const { auditOnce } = await import('./run/audit.ts');
    return auditOnce(configPath, replica);
  },
  breakGlass: async (configPath, wanted, replica) => {
    const { breakGlass } = await import('./run/break-glass.ts');
    return orSay(() => breakGlass(configPath, wanted, replica));
  },
  channels: async (configPath, replica) => {
    const { listChannels } = await import('./run/channels.ts');
    return orSay(() => listChannels(configPath, replica));
  },
  tryChannels: async (configPath, name, replica) => {
    await sealedHere();
    const { tryChannels } = await import('./run/channels.ts');
    return orSay(() => tryChannels(configPath, name, replica));
  },
  simulate: async (order) => {
    const [{ loadConfig, tables }, { InputError, simulate }, { CliError, defaultConfig }] =
      await Promise.all([
        import('./run/build.ts'),
        import('./replay/simulate.ts'),
        import('./cli/hands.ts'),
      ]);
    const path = order.config ?? (order.journal === null ? null : defaultConfig);
    return orSay(async () => {
      // Before the order is read, because packages that it names are loaded in their own time.
      const loaded = path === null ? null : await loadConfig(path, { together: true });
      return simulate(order, { tables, load: () => loaded!.config, defaultConfig });
    }).catch((error) => {
      throw error instanceof InputError ? new CliError(2, error.message) : error;
    });
  },
  report: async (order) => {
    const [{ reportOf }, { CliError }] = await Promise.all([
      import('./run/report.ts'),
      import('./cli/hands.ts'),
    ]);
    const made = await orSay(() => reportOf(order));
    if ('exit' in made) throw new CliError(made.exit, made.message);
    return made;
  },
  lab: async (argv) => {
    const { labCommand } = await import('./lab/shell/command.ts');
    return labCommand(argv, { daemonArgv: [process.execPath, process.argv[1]!] });
  },
};

// No `await` up here: what it is bundled into is CommonJS.
void loading.then(async ({ runCli }) => {
  process.exitCode = await runCli(process.argv.slice(2), hands);
});
