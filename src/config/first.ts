// A first configuration as text, from what was seen and what was said: every guess is marked as one,
// everything that is wanted and was not found is named where it belongs. Pure. It must never write a
// secret, only where it is, and what comes from outside never ends a comment.

import type { Name } from '../core/model.ts';
import { isWithin, unrooted } from '../core/name.ts';
import type { Spelt, Wish, WishedProvider } from './wish.ts';

/** A fact about whose machines a name leads to. */
interface SeenCloud {
  readonly cloud: string;
  readonly region: string | null;
  /** The name that says so. */
  readonly by: Name;
}

export interface FirstOrigin {
  readonly name: string;
  readonly cname: Name;
  /** As it was given; null: nobody has said. */
  readonly cloud: string | null;
  readonly seen: SeenCloud | null;
  /** What users type and it must be able to serve; null: not known. */
  readonly host: Name | null;
}

export interface FirstRecord {
  readonly name: Name;
  /** Seconds. */
  readonly ttl: number;
  readonly publish: readonly {
    readonly provider: string;
    readonly ttl: number;
    /** On which lines it stands there; absent: on the default one alone. */
    readonly lines?: readonly string[];
    readonly note: string | null;
  }[];
  /** Names of origins, the best first, each with where it was seen. */
  readonly targets: readonly { readonly origin: string; readonly note: string }[];
  /** What else is to be read beside it. */
  readonly notes: readonly string[];
  /** What is wanted and was not found. */
  readonly missing: readonly string[];
}

export interface First {
  readonly cluster: string;
  /** Absolute path. */
  readonly keyFile: string;
  /** Absolute path; null: the usual one. */
  readonly stateDir: string | null;
  readonly dns: Wish['dns'];
  readonly providers: readonly (WishedProvider & {
    readonly notes: readonly string[];
    readonly missing: readonly string[];
  })[];
  readonly origins: readonly FirstOrigin[];
  readonly records: readonly FirstRecord[];
  /** Names for which there is nothing to write yet, and why. */
  readonly unwritten: readonly { readonly name: Name; readonly why: string }[];
}

/** Suffixes by which the great clouds name what they run for others, as their documents give them. */
const suffixes: readonly (readonly [cloud: string, suffixes: readonly string[]])[] = [
  ['aws', ['amazonaws.com', 'amazonaws.com.cn', 'cloudfront.net', 'awsglobalaccelerator.com']],
  ['aliyun', ['aliyuncs.com', 'alikunlun.com', 'kunlunsl.com', 'kunlunca.com']],
  ['tencent', ['myqcloud.com', 'tencentcos.cn', 'qcloud.com', 'tencentclb.com']],
  ['gcp', ['googleusercontent.com', 'googleapis.com', 'run.app', 'appspot.com']],
  ['azure', ['cloudapp.azure.com', 'cloudapp.net', 'azurewebsites.net', 'azurefd.net']],
  ['azure', ['azureedge.net', 'trafficmanager.net', 'core.windows.net']],
  ['huawei', ['myhuaweicloud.com', 'hwclouds.com']],
  ['volcengine', ['volces.com']],
  ['oracle', ['oraclecloud.com']],
];

const regionPattern =
  /(?<=[.-])((?:af|ap|ca|cn|eu|il|la|me|mx|na|sa|us|us-gov)-[a-z]+-?\d?)(?=\.)/g;

/** By the names that a target leads to; null: none of them says. */
export function seenCloud(chain: readonly Name[]): SeenCloud | null {
  for (const by of chain.toReversed()) {
    const found = suffixes.find(([, all]) => all.some((one) => isWithin(by, `${one}.`)));
    if (found === undefined) continue;
    const region = [...by.matchAll(regionPattern)].at(-1)?.[1] ?? null;
    return { cloud: found[0], region, by };
  }
  return null;
}

/** The cloud of an origin where nobody knows it: two of them are not taken for two clouds. */
export const unknownCloud = 'unknown';

/** The text; it parses where there is at least one record with a target and a provider. */
export function firstText(first: First): string {
  const { cluster, keyFile, stateDir, dns, unwritten } = first;
  const lines = [
    '# Written by `detour init` from what DNS and the vendors said. Read it before you use it: what',
    '# is a guess asks "is that so?", and what is still wanted stands behind "MISSING:". The',
    '# example.yaml of Detour has every option; `detour validate -c FILE` checks this file.',
    '',
    '# Public in the markers; renaming it later makes every record somebody else’s.',
    `cluster: ${cluster}`,
    '# Signs the markers. The same file on each machine that may act.',
    `clusterKey: { file: ${quote(keyFile)} }`,
    '',
    '# Where its memory and the socket of the operators are; another place is said here.',
    stateDir === null ? '#stateDir: /var/lib/detour' : `stateDir: ${quote(stateDir)}`,
    '',
    ...(dns === null ? [] : [`dns: ${flow(dns)}`, '']),
    '# ---- where records are published; of a secret it says where it is, never what',
    'providers:',
    ...first.providers.flatMap(providerLines),
    '',
    '# ---- from where origins are probed: without `paths:` this machine’s own way out decides alone',
    '#paths:',
    '#  line-a: { site: office, uplink: as4134 }',
    '#  tokyo: { site: tokyo, cloud: aws, proxy: "socks5://probe.example.jp:1080" }',
    '',
    '# ---- what can serve',
    'origins:',
    ...first.origins.flatMap(originLines),
    '',
    '# ---- what is steered',
    'records:',
    ...[...Map.groupBy(first.records, alike).values()].flatMap((group) =>
      group.length > 1 ? groupLines(group, first.origins) : recordLines(group[0]!, first.origins),
    ),
    ...unwritten.flatMap(({ name, why }) => comment('  ', 'MISSING', `${bare(name)}: ${why}`)),
  ];
  return `${lines.join('\n')}\n`;
}

function providerLines({ name, spelt, notes, missing }: First['providers'][number]): string[] {
  return [
    `  ${name}:`,
    ...notes.flatMap((note) => comment('    ', 'seen', note)),
    ...missing.flatMap((what) => comment('    ', 'MISSING', what)),
    ...Object.entries(spelt).map(([key, value]) => `    ${key}: ${flow(value)}`),
  ];
}

function originLines({ name, cname, cloud, seen, host }: FirstOrigin): string[] {
  const said =
    seen === null ? '' : `${bare(cname)} leads to ${bare(seen.by)}, a name of ${seen.cloud}`;
  const asks = cloud === null || cloud !== seen?.cloud ? '; is that so?' : '';
  const wants = `the cloud of ${bare(cname)}, which no name tells: write it here`;
  return [
    `  ${name}:`,
    ...(seen === null ? [] : comment('    ', 'seen', `${said}${asks}`)),
    ...(cloud === null && seen === null ? comment('    ', 'MISSING', wants) : []),
    `    cloud: ${cloud ?? seen?.cloud ?? unknownCloud}`,
    ...(seen?.region ? [`    #region: ${seen.region} # as that name says; is that so?`] : []),
    '    checks:',
    '      web:',
    '        # A proposal. Ask for a page that only a working origin can give, such as /healthz, and',
    '        # expect its text; `detour probe` shows whether it passes from here.',
    `        http: ${quote(`https://${bare(cname)}/`)}`,
    ...(host === null
      ? [
          '        # The name that users type, which it must be able to serve; nobody has said it.',
          '        #host: www.example.com',
        ]
      : [
          '        # What users type: it must serve that name, with a certificate for it.',
          `        host: ${bare(host)}`,
        ]),
    '        #expect: { body: { text: ok } }',
  ];
}

function publishLine(
  { provider, ttl, lines }: FirstRecord['publish'][number],
  usual: number,
): string {
  if (ttl === usual && lines === undefined) return provider;
  const own = [
    `provider: ${provider}`,
    ...(ttl === usual ? [] : [`ttl: ${ttl}`]),
    ...(lines === undefined ? [] : [`lines: [${lines.map((l) => JSON.stringify(l)).join(', ')}]`]),
  ];
  return `{ ${own.join(', ')} }`;
}

function recordLines(record: FirstRecord, origins: readonly FirstOrigin[]): string[] {
  const { name, ttl, publish, targets } = record;
  const cnameOf = (origin: string) => bare(origins.find((one) => one.name === origin)!.cname);
  return [
    `  ${bare(name)}:`,
    ...record.notes.flatMap((note) => comment('    ', 'seen', note)),
    ...record.missing.flatMap((what) => comment('    ', 'MISSING', what)),
    '    # observe: decided and journalled, never written; `approve` or `steer` once it is trusted.',
    '    mode: observe',
    `    ttl: ${ttl}`,
    '    publish:',
    ...publish.flatMap((one) => [
      ...(one.note === null ? [] : comment('      ', 'seen', one.note)),
      `      - ${publishLine(one, ttl)}`,
    ]),
    '    # In order of preference; is that so?',
    '    targets:',
    ...targets.flatMap(({ origin, note }) => [
      ...comment('      ', 'seen', note),
      `      - { origin: ${origin}, cname: ${cnameOf(origin)} }`,
    ]),
  ];
}

/** Records of one zone that move together: at the same vendors, to the same targets. */
function alike({ name, ttl, publish, targets }: FirstRecord): string {
  const places = publish.map((one) => publishLine(one, ttl));
  const led = targets.map(({ origin }) => origin);
  return JSON.stringify([name.slice(name.indexOf('.') + 1), ttl, places, led]);
}

/** A line each; what was seen of all of them is said once. */
function groupLines(group: readonly FirstRecord[], origins: readonly FirstOrigin[]): string[] {
  const [{ name, ttl, publish, targets }] = group as [FirstRecord];
  const cnameOf = (origin: string) => bare(origins.find((one) => one.name === origin)!.cname);
  const all = group.map(notesOf);
  const isOfAll = ({ word, text }: Note) =>
    all.every((own) => own.some((one) => one.word === word && one.text === text));
  const led = targets.map(({ origin }) => `{ origin: ${origin}, cname: ${cnameOf(origin)} }`);
  const places = publish.map((one) => publishLine(one, ttl)).join(', ');
  const zone = bare(name.slice(name.indexOf('.') + 1));
  const value = `mode: observe, ttl: ${ttl}, publish: [${places}], targets: [${led.join(', ')}]`;
  const noted = (notes: readonly Note[]) =>
    notes.flatMap(({ word, text }) => comment('  ', word, text));
  return [
    `  # ${group.length} records of ${zone} with the same vendors and targets, these in order of`,
    '  # preference; is that so? They move one by one. One name in their place, to which each of',
    '  # them leads by a CNAME that stays, moves them all in one write at each vendor: see "Many',
    '  # names, one write" in docs/audit.md. observe: decided and journalled, never written;',
    '  # `approve` or `steer` once it is trusted.',
    ...noted(all[0]!.filter(isOfAll)),
    ...group.flatMap((record, i) => [
      ...noted(all[i]!.filter((one) => !isOfAll(one))),
      `  ${bare(record.name)}: { ${value} }`,
    ]),
  ];
}

interface Note {
  readonly word: 'seen' | 'MISSING';
  readonly text: string;
}

function notesOf({ notes, missing, publish, targets }: FirstRecord): readonly Note[] {
  const seen = [
    ...notes,
    ...publish.flatMap(({ provider, note }) => (note === null ? [] : `at ${provider}: ${note}`)),
    ...targets.map(({ origin, note }) => `${origin}: ${note}`),
  ];
  return [
    ...seen.map((text) => ({ word: 'seen', text }) as const),
    ...missing.map((text) => ({ word: 'MISSING', text }) as const),
  ];
}

const widthMost = 100;
const textMost = 500;

/** As many lines as it takes; each of them a comment, whatever the text holds. */
function comment(indent: string, word: 'seen' | 'MISSING', text: string): string[] {
  const plain = unrooted(text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]+/gu, ' '));
  const words = `${word}: ${plain.slice(0, textMost)}`.split(/ +/).filter((one) => one !== '');
  const lines: string[] = [];
  let line = `${indent}#`;
  for (const one of words) {
    if (line.length + 1 + one.length > widthMost && line !== `${indent}#`) {
      lines.push(line);
      line = `${indent}#  `;
    }
    line += ` ${one}`;
  }
  return [...lines, line];
}

/** In one line. A JSON string is a YAML scalar too, whatever stands in it. */
function flow(value: Spelt | number | NonNullable<Wish['dns']>): string {
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return quote(value);
  if (Array.isArray(value)) return `[${value.map((one: Spelt) => flow(one)).join(', ')}]`;
  const entries = Object.entries(value as { readonly [key: string]: Spelt });
  return `{ ${entries.map(([key, one]) => `${key}: ${flow(one)}`).join(', ')} }`;
}

/** Plain words stand as they are. */
function quote(text: string): string {
  return /^[a-z][a-z0-9.-]*$/i.test(text) && !/^(true|false|null|yes|no|on|off)$/i.test(text)
    ? text
    : JSON.stringify(text);
}

function bare(name: Name): string {
  return name.replace(/\.$/, '');
}
