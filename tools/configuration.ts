// The reference of the configuration as a document: each option with its form and bounds from the schema
// that it is read by, its default and example as deploy/ shows them, and the reason that stands there
// beside it. Pure: texts in, text out. It must never say of an option what neither of them says.

import { isMap, isPair, isScalar, isSeq, type Pair, parseDocument, type Scalar, visit } from 'yaml';
import {
  isReference,
  namesAreTheirs,
  type Option,
  optionsOf,
  rowOf,
  type Schema,
  stepInto,
  withAll,
} from './options.ts';

/** An option as an example has it. */
interface Shown {
  /** As it is written, in one line. */
  readonly value: string;
  /** The comment above it and behind it; empty: none. */
  readonly comment: string;
  /** What the first example shows on a line is the default, unless its comment says another. */
  readonly isDefault: boolean;
}

/** What each part is for; a part without a line here is refused. */
const parts: Readonly<Record<string, readonly [heading: string, says: string]>> = {
  top: [
    'The whole',
    'Keys at the top of the file. The maps among them have parts of their own below.',
  ],
  api: ['`api`', 'The control API over HTTPS: [api.md](api.md). Off where it is left out.'],
  sla: ['`sla`', 'What each cloud promises, for `detour report sla`: [reports.md](reports.md).'],
  delegation: [
    '`delegation`',
    'Where the NS set of a zone stands, for `detour evict`: [evict.md](evict.md).',
  ],
  providers: [
    '`providers`',
    'Accounts at DNS vendors, by names of your own: [the vendors](../providers/README.md). `*` stands for ' +
      'each type. A type `npm:NAME` comes as a [package](packages.md), with settings of its own.',
  ],
  paths: [
    '`paths`',
    'Ways out to the origins, by names of your own. Left out: one, called `direct`.',
  ],
  clouds: ['`clouds`', 'Who runs the origins, and checks of the clouds themselves.'],
  origins: ['`origins`', 'The places that can serve, by names of your own.'],
  check: [
    'Checks',
    'What is asked, in `checks` of an origin or a cloud and in `references`: [checks.md](checks.md). Each ' +
      'is one of the kinds below. `*` stands for each kind. `advisory` and `paths` are not for references.',
  ],
  records: ['`records`', 'What is steered, by its name in DNS.'],
  policy: [
    '`policy`',
    'How it decides. What a check, an origin or a record says itself goes before.',
  ],
  failback: ['`failback`', 'Of `policy` or of a record, where it is not `manual`.'],
  dns: ['`dns`', 'How Detour asks DNS, past every cache.'],
  drills: ['`drills`', 'Rehearsals by the calendar: [drills.md](drills.md).'],
  channels: ['`channels`', 'Who is told, by names of your own: [channels.md](channels.md).'],
  log: ['`log`', 'What the daemon writes about itself.'],
  audit: ['`audit`', 'What an audit wants: [audit.md](audit.md).'],
  metrics: ['`metrics`', 'What a scrape leaves out: [watching.md](watching.md).'],
  replicas: [
    '`replicas`',
    'Daemons of one group, by names of your own: [replicas.md](replicas.md).',
  ],
  group: ['`group`', 'What a group of replicas agrees by: [replicas.md](replicas.md).'],
};

const begin = `# Configuration

Every key there is. \`npm run docs\` writes this page from the schema that the program reads by
(\`src/config/\`), and from the examples in \`deploy/\`. A test fails when it is stale.

- \`detour validate -c FILE\` names every mistake at once, by line. \`detour validate --json-schema\` is this page
  for an editor.
- [deploy/example.yaml](../deploy/example.yaml) is one file with all of it. [Getting started](getting-started.md)
  has a short one.
- \`*\` stands for a name of your own, \`[]\` for an item of a list.
- A duration is written \`250ms\`, \`5s\`, \`30m\`, \`2h\`, \`1d\` or \`1h30m\`.
- A secret is never written here, only where it is: \`{ env: NAME }\`, \`{ file: PATH }\` or \`{ credential: NAME }\`
  (systemd). [When they change](machine.md#keys-tokens-and-ca-files-that-change).
- A file may be split: \`include\` adds the maps of other files.
`;

/** What the page is made from. */
export interface Sources {
  /** The program's own JSON Schema of a configuration. */
  readonly schema: Schema;
  readonly kinds: readonly string[];
  /** Example configurations, the one that shows most first. */
  readonly examples: readonly string[];
}

/** The whole page. Throws where an option has neither a description nor a comment, naming it. */
export function configurationPage({ schema, kinds, examples }: Sources): string {
  const shown = new Map<string, Shown>();
  for (const [i, text] of examples.entries()) {
    for (const [path, seen] of shownIn(text, kinds)) {
      const one = { ...seen, isDefault: seen.isDefault && i === 0 };
      const before = shown.get(path);
      if (before === undefined || (before.comment === '' && one.comment !== ''))
        shown.set(path, one);
    }
  }
  const rows = together(optionsOf(schema, kinds), kinds).map((option) => rowFor(option, shown));
  // A map that says nothing of itself is told by its keys, which stand below it.
  const hasKeys = (path: string) =>
    rows.some((row) => /^[.[]/.test(row.path.slice(path.length)) && row.path.startsWith(path));
  const told = rows.filter(({ path, why }) => why !== '' || !hasKeys(path));
  const silent = told.filter(({ why }) => why === '').map(({ path }) => path);
  if (silent.length > 0) throw new Error(`nothing says what these are for: ${silent.join(', ')}`);
  const byPart = Map.groupBy(told, ({ path }) => {
    const first = path.split(/[.[]/)[0]!;
    return path === first && !(first in parts) ? 'top' : first;
  });
  const strange = [...byPart.keys()].filter((part) => !(part in parts));
  if (strange.length > 0) throw new Error(`give these a heading: ${strange.join(', ')}`);
  const sections = Object.entries(parts).flatMap(([part, [heading, says]]) => {
    const own = byPart.get(part) ?? [];
    if (own.length === 0) throw new Error(`there is nothing under ${part}`);
    return [`## ${heading}`, says, ...tables(part, own)];
  });
  return `${[begin.trimEnd(), ...sections].join('\n\n')}\n`;
}

interface Row {
  readonly path: string;
  readonly form: string;
  readonly byDefault: string;
  readonly example: string;
  readonly why: string;
}

/** One table; where there are rows of several kinds, one for each under a heading of its own. */
function tables(part: string, rows: readonly Row[]): readonly string[] {
  if (part !== 'providers' && part !== 'check') return [tableOf(rows)];
  const byRow = Map.groupBy(rows, ({ path }) => path.split('.')[1] ?? '');
  const kinds = [...byRow.keys()].toSorted((a, b) => Number(b === '*') - Number(a === '*'));
  return kinds
    .filter((kind) => kind !== '')
    .flatMap((kind) => {
      const heading = kind === '*' ? 'In each of them' : `\`${kind}\``;
      return [`### ${heading}`, tableOf(byRow.get(kind)!)];
    });
}

function tableOf(rows: readonly Row[]): string {
  const head = ['key', 'form', 'default', 'example', 'what it is for'];
  const lines = rows.map((row) => [
    `\`${row.path}\``,
    row.form,
    row.byDefault,
    row.example,
    row.why,
  ]);
  return [head, head.map(() => '---'), ...lines]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n');
}

// ---------------------------------------------------------------- from the schema

/** Each once; what all kinds of a map know in the same form stands there as `*`. */
function together(options: readonly Option[], kinds: readonly string[]): readonly Option[] {
  const once = new Map<string, Option>();
  for (const option of options) if (!once.has(option.path)) once.set(option.path, option);
  const all = [...once.values()];
  const sameIn = (prefix: string, among: readonly string[]) => {
    const [first, ...others] = among;
    return all
      .filter(({ path }) => path.startsWith(`${prefix}.${first}.`))
      .filter(({ path, schema }) =>
        others.every((other) => {
          const twin = once.get(path.replace(`${prefix}.${first}.`, `${prefix}.${other}.`));
          return twin !== undefined && formOf(twin.schema) === formOf(schema);
        }),
      )
      .map(({ path }) => path.slice(`${prefix}.${first}.`.length));
  };
  const types = [
    ...new Set(all.flatMap(({ path }) => /^providers\.(\w+)\./.exec(path)?.[1] ?? [])),
  ];
  const shared = [
    ['providers', types, sameIn('providers', types)],
    ['check', kinds, sameIn('check', kinds)],
  ] as const;
  const merged = new Map<string, Option>();
  for (const option of all) {
    let { path } = option;
    for (const [prefix, among, keys] of shared) {
      const [, row, key] = new RegExp(`^${prefix}\\.([^.]+)\\.(.+)$`).exec(path) ?? [];
      if (row !== undefined && among.includes(row) && keys.includes(key!))
        path = `${prefix}.*.${key}`;
    }
    if (!merged.has(path)) merged.set(path, { ...option, path });
  }
  return [...merged.values()];
}

/** Its type, unit and bounds, in words. */
function formOf(schema: Schema): string {
  const { anyOf, enum: words, type } = schema;
  if (anyOf?.some(isReference)) {
    const others = anyOf.filter((one) => !isReference(one) && one.pattern !== undefined);
    return others.length > 0 ? `${others.map(formOf).join(' or ')} or secret` : 'secret';
  }
  if (anyOf !== undefined) return [...new Set(anyOf.map(formOf))].join(' or ');
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (words !== undefined) return words.map((word) => `\`${word}\``).join(', ');
  if (schema['x-duration'] !== undefined) return `duration, ${schema['x-duration'].join(' to ')}`;
  if (type === 'integer') return `whole number${between(schema.minimum, schema.maximum)}`;
  if (type === 'number') return `number${between(schema.minimum, schema.maximum)}`;
  if (type === 'boolean') return '`true`, `false`';
  if (type === 'array') {
    const of = schema.items === undefined ? 'anything' : formOf(schema.items);
    const bounds = between(schema.minItems, schema.maxItems).replace(/^, (.+)$/, ' ($1)');
    return `list${bounds} of ${of}`;
  }
  if (type === 'object') return 'map';
  if (type === 'null') return 'nothing';
  if (Array.isArray(type)) return type.map((one) => (one === 'string' ? 'text' : one)).join(' or ');
  const most = schema.maxLength === undefined ? '' : ` (at most ${schema.maxLength} characters)`;
  return type === 'string' ? `text${most}` : 'anything';
}

function between(least: number | undefined, most: number | undefined): string {
  const [from, to] = [least, most].map((n) => (Math.abs(n ?? Infinity) < 2 ** 50 ? n : undefined));
  if (from !== undefined && to !== undefined) return `, ${from} to ${to}`;
  if (from !== undefined) return `, ${from} at least`;
  return to === undefined ? '' : `, ${to} at most`;
}

// ---------------------------------------------------------------- from the examples

/** Every option of an example by its path, the first time that it has a comment. */
function shownIn(text: string, kinds: readonly string[]): ReadonlyMap<string, Shown> {
  const whole = withAll(text);
  const [lines, plain] = [whole.split('\n'), text.split('\n')];
  const seen = new Map<string, Shown>();
  const document = parseDocument(whole);
  visit(document, {
    Pair(_, pair, ancestors) {
      if (!isScalar(pair.key)) return;
      const path = pathOf([...ancestors, pair], kinds);
      const at = whole.slice(0, pair.key.range![0]).split('\n').length - 1;
      // Of several on a line the comment is the first one's.
      const isFirst = /^ *(?:- )?(?:\{ )?$/.test(lines[at]!.slice(0, columnOf(whole, pair.key)));
      const comment = isFirst ? commentAt(lines, at) : '';
      const before = seen.get(path);
      if (before !== undefined && (before.comment !== '' || comment === '')) return;
      const isOff = plain[at] !== lines[at] && !plain[at]!.trim().startsWith('- ');
      seen.set(path, { value: written(whole, pair), comment, isDefault: isFirst && !isOff });
    },
  });
  return seen;
}

/** The notation of the schema for where a pair stands. */
function pathOf(nodes: readonly unknown[], kinds: readonly string[]): string {
  let path = '';
  for (const node of nodes) {
    if (isSeq(node)) path = `${path}[]`;
    if (!isPair(node) || !isScalar(node.key)) continue;
    const value = isMap(node.value) ? node.value.toJSON() : null;
    path = namesAreTheirs(path)
      ? stepInto(path, String(node.key.value), rowOf(value, kinds))
      : stepInto(path, String(node.key.value), null);
  }
  return path;
}

function columnOf(text: string, key: Scalar): number {
  return key.range![0] - (text.lastIndexOf('\n', key.range![0]) + 1);
}

const longest = 60;

/** A value that fits on a line as it is written; of what does not, nothing. */
function written(text: string, { value }: Pair): string {
  if (!isScalar(value) && !((isMap(value) || isSeq(value)) && value.flow)) return '';
  const [from, to] = value.range!;
  const short = text.slice(from, to).replace(/\s+/g, ' ').trim();
  return short === '' || short.length > longest ? '' : `\`${short}\``;
}

/** What stands right above a line and behind it, without rulers. */
function commentAt(lines: readonly string[], at: number): string {
  const indent = /^ */.exec(lines[at]!)![0];
  let from = at;
  while (lines[from - 1]?.startsWith(`${indent}# `) && !lines[from - 1]!.includes('-----')) from--;
  // What is indented there is no sentence.
  const above = lines
    .slice(from, at)
    .map((line) => line.trim().slice(2))
    .filter((line) => !line.startsWith(' '));
  const behind = / # (.+)$/.exec(lines[at]!)?.[1];
  return [...above, ...(behind === undefined ? [] : [behind])].join(' ').trim();
}

// ---------------------------------------------------------------- both

function rowFor(option: Option, shown: ReadonlyMap<string, Shown>): Row {
  const { path, schema, required } = option;
  const twins = [...shown.keys()].filter((one) => isTwin(one, path));
  const best = twins.map((one) => shown.get(one)!);
  const one = best.find(({ comment }) => comment !== '') ?? best[0];
  const said = one?.comment ?? '';
  // What only says the default is in a column of its own.
  const reason = said.replace(/^default: [^.]*$/i, '').trim();
  const what = schema.description?.replace(/(; )?a duration (such|from) .*$/, '') ?? '';
  return {
    path,
    form: formOf(schema),
    byDefault: required ? '**required**' : (above(path, shown) ?? defaultOf(schema, one)),
    example: one?.value ?? '',
    why: [...(isSaid(what, reason) ? [] : [what]), reason]
      .filter((text) => text !== '')
      .map((text) => prose(text))
      .join(' '),
  };
}

/** Whether most words of a text stand in another one, too. */
function isSaid(text: string, also: string): boolean {
  const wordsOf = (of: string) => of.toLowerCase().match(/[a-z]{3,}/g) ?? [];
  const [own, others] = [wordsOf(text), new Set(wordsOf(also))];
  return own.length > 0 && own.filter((word) => others.has(word)).length >= 0.6 * own.length;
}

/** What is left out of a check, an origin or a record is taken from the policy. */
function above(path: string, shown: ReadonlyMap<string, Shown>): string | null {
  const [, key] = /^(?:check|origins|records)\.\*\.(\w+)$/.exec(path) ?? [];
  return key !== undefined && shown.has(`policy.${key}`) ? `\`policy.${key}\`` : null;
}

function isTwin(shown: string, path: string): boolean {
  if (shown === path) return true;
  const [first, , key] = path.split('.');
  const isShared = path === `${first}.*.${key}` && (first === 'providers' || first === 'check');
  return isShared && new RegExp(`^${first}\\.[^.]+\\.${key}$`).test(shown);
}

function defaultOf(schema: Schema, one: Shown | undefined): string {
  const { default: own } = schema;
  const isPlain = ['string', 'number', 'boolean'].includes(typeof own) && own !== '';
  if (isPlain) return `\`${own}\``;
  if (typeof own === 'object' && own !== null && Object.keys(own).length > 0) {
    const keys = Object.entries(own).map(([key, value]) => `${key}: ${value}`);
    if (!Array.isArray(own)) return `\`{ ${keys.join(', ')} }\``;
  }
  const comment = one?.comment ?? '';
  const told = /\bdefaults?(?: is)?:? ([^.;)]+)/i.exec(comment)?.[1]?.trim();
  if (told !== undefined) return told.startsWith('none') ? 'none' : told;
  if (/\bdefault\b/i.test(comment)) return 'none';
  const isSecret = formOf(schema).includes('secret');
  return one?.isDefault && one.value !== '' && !isSecret ? one.value : 'none';
}

/** A sentence that Markdown shows as it is written, with pages in docs/ as links. */
function prose(text: string): string {
  const whole = /^[a-z]+[ ,]/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text;
  const plain = whole
    .split(/(`[^`]*`)/)
    .map((part) => (part.startsWith('`') ? part : part.replace(/[*<]/g, '\\$&')))
    .join('')
    .replace(/\bdocs\/([a-z-]+\.md)/g, '[$1]($1)');
  return /[.?!]$/.test(plain) ? plain : `${plain}.`;
}
