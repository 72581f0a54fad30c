// `detour drill`: break something on purpose, see it seen, and see it put back. `check` has a check
// fail and touches no record; `live` moves a record to another target that is up and back again;
// `end` ends that before its time. Whether a drill may begin is for the core to say.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Reply } from '../core/model.ts';
import type { RecordView, StatusView } from '../core/view.ts';
import { type Client, daemon } from './client.ts';
import { act, type Cli, CliError, defaultConfig, examples, withReplica } from './hands.ts';
import { printJson } from './json.ts';
import { type ConfigOptions, show } from './look.ts';
import {
  detailOf,
  giveOrder,
  holdMs,
  type OrderOptions,
  said,
  showReply,
  who,
  withDaemon,
  withReason,
} from './order.ts';
import { clean, printName, span } from './print.ts';
import { findRecord } from './status.ts';

/** What is longer is no drill. */
const DAY_MS = 86_400_000;
const POLL_MS = 500;

export function addDrill(program: Command, cli: Cli): void {
  const drill = program
    .command('drill')
    .description('break something on purpose, see it seen, put it back');
  addCheck(drill, cli);
  addLive(drill, cli);
  addEnd(drill, cli);
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

interface LiveOptions extends OrderOptions {
  readonly reason: string;
  readonly for: string;
  readonly byVendor?: boolean;
  readonly watch?: string;
  readonly wait?: boolean;
}

function addLive(drill: Command, cli: Cli): void {
  const command = withReason(
    drill
      .command('live')
      .description('move a record to another target that is up, hold it there, and bring it back')
      .argument('<record>', 'the record')
      .argument('[target]', 'where to; without it, the first of its other targets'),
  )
    .option('--by-vendor', 'one vendor first, which is watched, then the next')
    .option('--for <duration>', 'how long it is held there', '2m')
    .option('--watch <duration>', 'how long each vendor is watched; without it, its TTL')
    .option('--wait', 'stay until it is over, and end with its result');
  giveOrder<LiveOptions>(
    cli,
    command,
    'always',
    async ([record, target], { reason, byVendor = false, for: hold, watch }, by) => ({
      kind: 'drill',
      record: record!,
      target: target ?? null,
      byVendor,
      forMs: await spanMs('--for', hold),
      ...(watch === undefined ? {} : { watchMs: await spanMs('--watch', watch) }),
      reason,
      by,
    }),
    (reply, options, client, [record]) => {
      return options.wait ? follow(cli, client, record!, reply, options) : null;
    },
  );
  examples(
    command,
    '$ detour drill live www.gslb.example.net --reason "Tuesday\'s drill" --dry-run',
    '$ detour drill live www.gslb.example.net tokyo --by-vendor --for 5m --reason "first drill"',
    '',
    'Refused unless all is well; broken off and put back at the first sign that it is not.',
    'With --wait it ends with 0 when it has passed, 3 when a vendor is behind, else 1.',
  );
}

function addEnd(drill: Command, cli: Cli): void {
  const command = drill
    .command('end')
    .description('end a live drill before its time: the record comes back at once')
    .argument('<record>', 'the record');
  giveOrder(cli, command, 'never', ([record], _, by) => {
    return { kind: 'end-drill', record: record!, by };
  });
  examples(command, '$ detour drill end www.gslb.example.net');
}

async function spanMs(option: string, text: string): Promise<number> {
  const ms = await holdMs(text);
  if (ms !== null && ms <= DAY_MS) return ms;
  throw new CliError(2, `${option} ${clean(text)}: a drill lasts a day at most`);
}

// ---------------------------------------------------------------- until it is over

const codes = { passed: 0, failed: 3, refused: 1, 'broken-off': 1 } as const;

/** Tells of each stage until the drill is over; only reads. */
async function follow(
  cli: Cli,
  client: Client,
  typed: string,
  reply: Reply,
  options: LiveOptions,
): Promise<number> {
  const { io } = cli;
  const { id } = detailOf(reply);
  const stop = new AbortController();
  const undo = io.interrupted(() => stop.abort());
  if (!options.json) io.out(`${said(reply)}\n`);
  let told = '';
  try {
    while (!stop.signal.aborted) {
      const view = await client.status(stop.signal);
      const record = recordOf(view, typed);
      const run = record.lastDrill;
      if (run !== null && run.id === id) return over(cli, reply, run, view, options);
      const says = stageOf(record);
      if (!options.json && says !== told) io.out(`${clean(says)}\n`);
      told = says;
      await sleep(POLL_MS, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    undo();
  }
  throw new CliError(3, 'no longer waiting; the drill goes on: see `detour status`');
}

function recordOf(view: StatusView, typed: string): RecordView {
  const name = findRecord(view, typed);
  return view.records.find((record) => record.name === name)!;
}

function stageOf({ drill, providers }: RecordView): string {
  if (drill === null) return 'not begun yet';
  const at = providers.map(({ provider, stage }) => `${provider} ${stage}`).join(', ');
  return `${drill.stage.padEnd(10)}  ${at}`;
}

function over(
  { io }: Cli,
  reply: Reply,
  run: NonNullable<RecordView['lastDrill']>,
  view: StatusView,
  { json }: LiveOptions,
): number {
  const exit = codes[run.result];
  const message = `${run.result} after ${span(run.ms)}: ${run.sentence}`;
  if (json) printJson(io, { ...reply, exit, outcome: message, run }, view);
  else {
    const rows = run.parts.map(({ provider, writtenMs, visibleMs }) => {
      const in_ = (ms: number | null) => (ms === null ? 'never' : span(ms));
      return `  ${printName(provider)}  written ${in_(writtenMs)}, visible ${in_(visibleMs)}\n`;
    });
    (exit === 0 ? io.out : io.err)(`${clean(message)}\n${rows.map(clean).join('')}`);
  }
  return exit;
}
