// `detour init`: a first configuration from what DNS and the vendors say, and a cluster key; or, with
// --key-only, the key alone. It prints what was asked, seen, written and what is missing; a key is
// never printed, and nothing is written over a file that is there.

import type { Command } from 'commander';
import { listOf } from '../core/name.ts';
import { act, type Cli, CliError, examples, type InitReport } from './hands.ts';
import { named, printJson } from './json.ts';
import { showReply } from './order.ts';
import { clean } from './print.ts';

interface Options {
  readonly provider: readonly string[];
  readonly target: readonly string[];
  readonly cluster?: string;
  readonly output: string;
  readonly key: string;
  readonly state?: string;
  readonly roots: readonly string[];
  readonly resolver: readonly string[];
  readonly dnsPort?: string;
  /** False with --reads-only: what starts with `no` is another option for the library. */
  readonly readsOnly?: boolean;
  readonly keyOnly?: string;
  readonly json?: boolean;
}

const several = (word: string, before: readonly string[]): readonly string[] => [...before, word];

export function addInit(program: Command, cli: Cli): void {
  const command = program
    .command('init')
    .description('ask DNS and the vendors, write a first configuration and a cluster key')
    .argument('[names...]', 'records, or the names that users type and that lead to them')
    .option(
      '--provider <account>',
      'NAME=TYPE,KEY=VALUE,... with env:, file: or credential:',
      several,
      [],
    )
    .option('--target <target>', 'ORIGIN=NAME or ORIGIN@CLOUD=NAME; again for more', several, [])
    .option('--cluster <name>', 'the name of this deployment')
    .option('-o, --output <file>', 'the configuration; must not exist yet', 'detour.yaml')
    .option('--key <file>', 'the cluster key; made where there is none', 'cluster.key')
    .option('--state <folder>', 'where its memory and its socket will be; else /var/lib/detour')
    .option('--reads-only', 'do not try whether keys may write, by writes that change nothing')
    .option('--resolver <address>', 'ask this resolver where port 53 is closed', several, [])
    .option('--roots <address>', 'a root server of a network of its own', several, [])
    .option('--dns-port <port>', 'of every name server; 53 unless given')
    .option('--key-only <file>', 'make a cluster key in a new file, and nothing else')
    .option('--json', 'the answer as one JSON document');
  examples(
    command,
    "$ detour init www.shop.example --provider 'cf=cloudflare,apiToken=env:CF_API_TOKEN' \\",
    "    --provider 'r53=route53,credentials=file:/etc/detour/aws.json' \\",
    "    --target 'hangzhou@aliyun=hz.shop.example' --target 'tokyo@aws=nrt.shop.example'",
    '$ detour init --key-only /etc/detour/cluster.key',
    'Then name it in the configuration: clusterKey: { file: /etc/detour/cluster.key }',
    'Ends with 0 when nothing is missing, 3 when something is, 1 when a vendor refused.',
  );
  act<Options>(cli, command, async (args, options) => {
    const names = (args as unknown as readonly (readonly string[])[])[0] ?? [];
    const { keyOnly } = options;
    if (keyOnly !== undefined) {
      if (names.length > 0) throw new CliError(2, '--key-only makes a key alone: leave out names');
      return showReply(cli, await cli.hands.makeKey(keyOnly), options);
    }
    const report = await cli.hands.init({
      names,
      providers: options.provider,
      targets: options.target,
      cluster: options.cluster ?? null,
      out: options.output,
      key: options.key,
      state: options.state ?? null,
      roots: options.roots,
      resolvers: options.resolver,
      dnsPort: options.dnsPort ?? null,
      tries: options.readsOnly !== true,
    });
    const shown = named(report, options);
    if (options.json) printJson(cli.io, shown);
    else cli.io.out(printed(shown));
    return report.exit;
  });
}

function printed(report: InitReport): string {
  const { asked, names, seen, delegation, findings, written, missing, look, next } = report;
  const seconds = (report.tookMs / 1000).toFixed(1);
  const bad = findings.filter(({ severity }) => severity === 'bad');
  const tried = asked.tries
    ? 'Nothing was changed there; whether keys may write was tried by writes that change nothing.'
    : 'Nothing was changed there; whether keys may write was not tried.';
  return [
    clean(`Asked DNS and ${listOf(asked.providers)} for ${listOf(asked.names)}, in ${seconds} s.`),
    tried,
    ...part(
      'Names',
      names.map(({ typed, record, takenFor, why }) => [
        takenFor === 'record'
          ? `${typed} is the record: ${why}`
          : `${typed}, for ${record}: ${why}`,
      ]),
    ),
    ...part('Seen', [
      ...seen.map(({ record, provider, sentence }) => [`${record} at ${provider}: ${sentence}`]),
      ...delegation.map(({ zone, names: all, detail }) => [
        all === null
          ? `the delegation of ${zone} was not seen: ${detail}`
          : `${zone} is delegated to ${listOf(all)}${detail === '' ? '' : ` (${detail})`}`,
      ]),
      ...bad.map(({ provider, zone, sentence }) => [`${provider}, ${zone}: ${sentence}`]),
    ]),
    ...part(
      'Written',
      written.length === 0 ? [['nothing']] : written.map(({ file, what }) => [`${file}: ${what}`]),
    ),
    ...part(
      'Still missing',
      missing.map(({ what, cure }) => [what, cure]),
    ),
    ...part(
      'To look at',
      look.map(({ what, cure }) => [what, cure]),
    ),
    ...(next.length === 0 ? [] : ['', 'Next:', ...next.map((line) => `  ${line}`)]),
  ]
    .map((line) => `${line}\n`)
    .join('');
}

/** Each thing with what is to be said below it. */
function part(title: string, things: readonly (readonly string[])[]): readonly string[] {
  if (things.length === 0) return [];
  const lines = things.flatMap((all) =>
    all.map((line, i) => `${i === 0 ? '- ' : '  '}${clean(line)}`),
  );
  return ['', `${title}:`, ...lines];
}
