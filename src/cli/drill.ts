// `detour drill`: break something on purpose, or say so, and see what comes of it. `check` asks a
// check for an answer nobody gives; `canary` and `dry` are made by the daemon and waited for. It
// moves no record.

import type { Command } from 'commander';
import type { Json, Reply } from '../core/model.ts';
import { unrooted } from '../core/name.ts';
import { daemon } from './client.ts';
import {
  act,
  type Cli,
  defaultConfig,
  examples,
  type ReplicaOptions,
  withReplica,
} from './hands.ts';
import { printJson } from './json.ts';
import { show } from './look.ts';
import { type DaemonOptions, showReply, who, withDaemon } from './order.ts';
import { clean } from './print.ts';

interface ConfigOptions extends DaemonOptions, ReplicaOptions {
  readonly config: string;
}

export function addDrill(program: Command, cli: Cli): void {
  const drill = program.command('drill').description('break something on purpose, and see it seen');
  addCheck(drill, cli);
  addCanary(drill, cli);
  addDry(drill, cli);
}

function addCheck(drill: Command, cli: Cli): void {
  const command = drill
    .command('check')
    .description('make one check fail, by asking for an answer nobody gives; touches no record')
    .argument('<check>', 'such as hangzhou/web')
    .option('-c, --config <file>', 'the configuration', defaultConfig);
  examples(withDaemon(withReplica(command)), '$ detour drill check hangzhou/web -c detour.yaml');
  act<ConfigOptions>(cli, command, async ([check], options) => {
    const looked = await cli.hands.drill(options.config, check!, options.replica ?? null);
    const id = looked[0]?.check ?? check!;
    if (!options.json) show(cli, looked, options);
    const end = (reply: Reply) => {
      if (!options.json) return showReply(cli, reply, options);
      printJson(cli.io, { ...reply, answers: looked });
      return reply.exit;
    };
    const silent = looked.filter((l) => l.outcome !== 'fail');
    if (silent.length > 0) {
      const paths = silent.map((l) => `${l.path}: ${l.outcome}`).join(', ');
      const message = `${id} did not fail when it had to (${paths}): do not trust it`;
      return end({ exit: 1, message });
    }
    return end(await daemon(cli, options).command({ kind: 'drilled', check: id, by: who(cli) }));
  });
}

function addCanary(drill: Command, cli: Cli): void {
  const command = drill
    .command('canary')
    .description(
      'switch the canary at a provider, and prove it at every name server; no record moves',
    )
    .argument('[provider]', 'without it, every provider that has one');
  examples(withDaemon(command), '$ detour drill canary', '$ detour drill canary r53 --json');
  act<DaemonOptions>(cli, command, async ([provider], options) => {
    return told(cli, await daemon(cli, options).drill('canary', provider ?? null), options);
  });
}

function addDry(drill: Command, cli: Cli): void {
  const command = drill
    .command('dry')
    .description('say that an origin is down: all but the writing is done, timed and compared')
    .argument('<origin>', 'what is said to be down; nothing is done to it');
  examples(withDaemon(command), '$ detour drill dry hangzhou');
  act<DaemonOptions>(cli, command, async ([origin], options) => {
    return told(cli, await daemon(cli, options).drill('dry', origin!), options);
  });
}

/** The rows of a result first, then what came of it. */
function told(cli: Cli, reply: Reply, options: DaemonOptions): number {
  if (options.json) {
    printJson(cli.io, reply);
    return reply.exit;
  }
  const { drills = [] } = (reply.detail ?? {}) as { readonly drills?: readonly Result[] };
  for (const one of drills) {
    if (one.drill !== 'dry' || !Array.isArray(one.parts)) continue;
    for (const row of one.parts as unknown as readonly DryRow[]) {
      cli.io.out(`${clean(lineOf(row))}\n`);
    }
  }
  return showReply(cli, { ...reply, message: unrooted(reply.message) }, options);
}

interface Result {
  readonly drill: string;
  readonly parts: Json;
}

interface DryRow {
  readonly record: string;
  readonly detectMs: number | null;
  readonly decidedMs: number | null;
  readonly to: string | null;
  readonly expected: string | null;
  readonly chain: string | null;
  readonly vendors: readonly { readonly provider: string; readonly readMs: number | null }[];
}

function lineOf({ record, detectMs, decidedMs, to, expected, chain, vendors }: DryRow): string {
  const ms = (n: number | null) => (n === null ? 'never' : `${n} ms`);
  const went =
    to === null ? 'stays' : `goes to ${to} in ${ms(decidedMs)}, its chain ${chain ?? 'not asked'}`;
  const wrong = to === expected ? '' : ` (expected: ${expected ?? 'stays'})`;
  const would = vendors.map(({ provider, readMs }) => {
    return readMs === null ? `${provider} (not read)` : `${provider} (read in ${readMs} ms)`;
  });
  const where = to === null ? '' : `; would write at ${would.join(', ')}`;
  return unrooted(`${record} seen down in ${ms(detectMs)}, ${went}${wrong}${where}`);
}
