// `detour break-glass`: for the day when nothing of Detour runs, how to move each record by hand at
// each vendor: to print today and to pin up. It asks nobody and shows no secret. The page fetches
// nothing and bears no script.

import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { markerName } from '../core/marker.ts';
import { withAscii } from '../core/name.ts';
import {
  act,
  type Cli,
  CliError,
  defaultConfig,
  examples,
  type Glass,
  type ReplicaOptions,
  type WithSpelling,
  withReplica,
} from './hands.ts';
import { named, printJson } from './json.ts';
import { clean } from './print.ts';

interface Options extends ReplicaOptions {
  readonly config: string;
  readonly to?: string;
  readonly html?: string;
  readonly json?: boolean;
}

/** A heading and its lines, shown the same as text and as a page. */
type Part =
  | { readonly kind: 'head'; readonly level: 1 | 2 | 3; readonly text: string }
  | { readonly kind: 'line'; readonly text: string; readonly shell?: string };

export function addBreakGlass(program: Command, cli: Cli): void {
  const command = program
    .command('break-glass')
    .description('how to move each record by hand at each vendor, to print and pin up')
    .argument('[record]', 'one record; without it, all')
    .option('--to <target>', 'only how to move it to this target')
    .option('-c, --config <file>', 'the configuration', defaultConfig)
    .option('--html <file>', 'write one page for the printer')
    .option('--json', 'the steps as one JSON document');
  examples(
    withReplica(command),
    '$ detour break-glass -c detour.yaml > break-glass.md',
    '$ detour break-glass www.gslb.example.net --to tokyo',
    '$ detour break-glass --html break-glass.html',
  );
  act<Options>(cli, command, async ([record], options) => {
    const wanted = { record: record ?? null, target: options.to ?? null };
    const glass = await cli.hands.breakGlass(options.config, wanted, options.replica ?? null);
    const parts = partsOf(glass);
    if (options.html !== undefined) write(options.html, pageOf(parts));
    if (options.json) printJson(cli.io, named(glass, options));
    else if (options.html === undefined) cli.io.out(textOf(parts));
    else cli.io.out(`${clean(options.html)} is written: print it\n`);
    return 0;
  });
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new CliError(1, `--html ${clean(file)}: ${(error as Error).message}`);
  }
}

function partsOf({ cluster, spelling, records }: WithSpelling<Glass>): readonly Part[] {
  const head = (level: 1 | 2 | 3, text: string): Part => ({ kind: 'head', level, text });
  const line = (text: string, shell?: string): Part =>
    shell === undefined ? { kind: 'line', text } : { kind: 'line', text, shell };
  return [
    head(1, `Detour ${cluster}: moving names by hand`),
    line('For the day when nothing of Detour runs. Print it again when the configuration changes.'),
    head(2, 'Before'),
    ...before.map((text) => line(text)),
    ...records.flatMap(({ record, moves }) => [
      head(2, withAscii(record, spelling)),
      ...moves.flatMap(({ target, cname, vendors }) => [
        head(3, `to ${target}: CNAME ${withAscii(cname, spelling)}`),
        ...vendors.flatMap(({ provider, title, ttl, steps }) => [
          line(`At ${provider} (${title}), TTL ${ttl} s:`),
          ...steps.map(({ text, shell }) => line(text, shell)),
        ]),
      ]),
    ]),
    head(2, 'After'),
    ...after.map(([text, shell]) => line(text, shell)),
  ];
}

const before = [
  'Look first whether Detour really does not run: `detour status` at each machine that has it.',
  'If it can be run anywhere at all: `detour switch RECORD TARGET --direct --reason …` does this.',
  'Is the target up? Ask it yourself, with the name that users type, before you move anybody there.',
  `Leave the marker, the TXT record at ${markerName('RECORD')}, as it is: Detour goes by it.`,
  'Do the same at every vendor, within 15 minutes. One that cannot be reached: do the others.',
];

const after: readonly (readonly [text: string, shell?: string])[] = [
  ['Ask each vendor’s name servers what they give now.', 'dig +norecurse @SERVER RECORD CNAME'],
  [
    'Resolvers keep the old answer for its TTL. These let anybody take a name out of their cache: ' +
      'Google, https://developers.google.com/speed/public-dns/cache; Cloudflare, ' +
      'https://one.one.one.one/purge-cache/; OpenDNS, https://cachecheck.opendns.com/. Others ' +
      'have to be asked, or waited for.',
  ],
  [
    'When Detour runs again and the same target stands at a majority of the vendors, with the ' +
      'markers left, it takes that as your word and pins the record there for an hour. Else ' +
      '`detour status` says what differs. Say what you want: `detour switch RECORD TARGET`.',
  ],
];

function textOf(parts: readonly Part[]): string {
  return parts
    .map((part) => {
      if (part.kind === 'head') return `\n${'#'.repeat(part.level)} ${clean(part.text)}\n\n`;
      const shell = part.shell?.split('\n').map((text) => `      ${plain(text)}\n`);
      return `- ${clean(part.text)}\n${shell === undefined ? '' : `\n${shell.join('')}\n`}`;
    })
    .join('')
    .trimStart();
}

/** As it is, for a shell: a dot that is cut off would be another name. */
function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, ' ');
}

const style =
  'body{font:11pt/1.4 sans-serif;max-width:46em;margin:2em auto;padding:0 1em;color:#000;' +
  'background:#fff}h1{font-size:18pt}h2{border-top:1px solid #000;padding-top:.5em}' +
  'h2,h3{break-after:avoid}pre{border:1px solid #999;padding:.5em;white-space:pre-wrap;' +
  'overflow-wrap:anywhere;break-inside:avoid}@page{margin:15mm}';

function pageOf(parts: readonly Part[]): string {
  const body = parts.map((part) => {
    if (part.kind === 'head') return `<h${part.level}>${esc(part.text)}</h${part.level}>`;
    const shell = part.shell === undefined ? '' : `<pre>${esc(part.shell)}</pre>`;
    return `<p>${esc(part.text)}</p>${shell}`;
  });
  const title = parts[0]?.text ?? '';
  return (
    `<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/><title>${esc(title)}</title>` +
    `<style>${style}</style></head><body>\n${body.join('\n')}\n</body></html>\n`
  );
}

function esc(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
