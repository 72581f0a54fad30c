// YAML text with its places kept: what stands where, so that every problem names a line and a
// column, and all problems come at once. It knows YAML and zod, and nothing of what Detour's
// configuration means. Whatever the text is, it answers with problems and never throws; its work is
// bounded (size, depth, what aliases expand to). It must never show a value from a place where a
// secret may stand: there, only the kind of a value is told.

import type { ParsedNode } from 'yaml';
import { Composer, isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, Parser } from 'yaml';
import { z } from 'zod';
import { closest, listOf, quoted } from '../core/name.ts';

/** One thing wrong in a file: what was expected, what stood there, what to do. */
export interface Problem {
  readonly file: string;
  /** From 1; for the whole file, line 1 and column 1. */
  readonly line: number;
  readonly column: number;
  /** Where in the configuration: `origins.tokyo.checks.web.interval`; empty for the whole. */
  readonly path: string;
  readonly message: string;
}

export type Path = readonly (string | number)[];

export type Tree = ScalarTree | ListTree | MapTree;

interface Placed {
  /** Where it begins, counted in UTF-16 units from the start of the text. */
  readonly offset: number;
  /** Nodes in it with aliases expanded, and how deep they go. */
  readonly size: number;
  readonly depth: number;
}

interface ScalarTree extends Placed {
  readonly kind: 'scalar';
  readonly value: string | number | boolean | null;
}

interface ListTree extends Placed {
  readonly kind: 'list';
  readonly items: readonly Tree[];
}

export interface MapTree extends Placed {
  readonly kind: 'map';
  readonly entries: ReadonlyMap<string, { readonly keyOffset: number; readonly tree: Tree }>;
}

/** Room for 15,000 records with two origins each, in flow style. */
const textBytesMax = 8 * 1_048_576;
const depthMax = 50;
/** More than a text can hold without aliases, so that only aliases ever reach it. */
const sizeMaxOf = (text: string) => Math.max(600_000, Math.ceil(0.6 * text.length));
const problemsShown = 200;
const problemsKept = 5_000;

/** A text, read; and the one place where what is wrong with it is collected. */
export interface Source {
  /** null when the text is no YAML to go on with; the problems say why. */
  readonly root: Tree | null;
  /** Notes a problem at a place, or at the nearest place around it that exists. */
  problem(path: Path, message: string, at?: 'key' | 'value'): void;
  warning(path: Path, message: string): void;
  /** Problems by line, at most 200 and then one that counts the rest. */
  problems(): readonly Problem[];
  warnings(): readonly Problem[];
}

/** One file of a configuration. */
export interface Text {
  /** The name to print. */
  readonly file: string;
  readonly text: string;
}

/**
 * Reads YAML 1.2 with unique keys, one document a file, no tags, each file at most 8 MiB. Those after
 * the first add to the maps of it that are named `shared`, and may hold nothing else. Never throws.
 */
export function readSource(texts: readonly [Text, ...Text[]], shared: readonly string[]): Source {
  const found = { problems: newList(), warnings: newList() };
  let from = 0;
  const files = texts.map(({ file, text }) => {
    const one = { file, text, from, lines: new LineCounter() };
    from += text.length + 1;
    return one;
  });
  const place = (offset: number, path: Path, message: string): Problem => {
    const { file, lines, from } = files.findLast((one) => one.from <= offset)!;
    const { line, col } = lines.linePos(offset - from);
    return {
      file,
      line: Math.max(line, 1),
      column: Math.max(col, 1),
      path: printPath(path),
      message,
    };
  };
  const complain: Complain = (offset, path, message) =>
    add(found.problems, () => place(offset, path, message));
  const trees = files.map(({ text, lines, from }) =>
    readTree(text, lines, { from, complain: (at, path, why) => complain(from + at, path, why) }),
  );
  const root = together(trees, shared, { complain, place });
  const offsetOf = (path: Path, at: 'key' | 'value') => (root ? locate(root, path, at) : 0);
  return {
    root,
    problem: (path, message, at = 'value') => complain(offsetOf(path, at), path, message),
    warning: (path, message) =>
      add(found.warnings, () => place(offsetOf(path, 'value'), path, message)),
    problems: () => finish(found.problems),
    warnings: () => finish(found.warnings),
  };
}

/** The first file's tree with what the others add; null where one of them cannot be read. */
function together(
  trees: readonly (Tree | null)[],
  shared: readonly string[],
  tell: { complain: Complain; place: (offset: number, path: Path, message: string) => Problem },
): Tree | null {
  const [first, ...others] = trees;
  if (others.length === 0) return first ?? null;
  if (first?.kind !== 'map' || others.includes(null)) return null;
  const entries = new Map(first.entries);
  for (const tree of others) {
    if (tree!.kind !== 'map') {
      tell.complain(tree!.offset, [], `expected a map with ${listOf(shared)}`);
      continue;
    }
    for (const [key, { keyOffset, tree: part }] of tree!.entries) {
      if (!shared.includes(key)) {
        const cure = `an included file holds ${listOf(shared)}; put this into the first file`;
        tell.complain(keyOffset, [key], cure);
        continue;
      }
      const known = entries.get(key);
      if (known === undefined) entries.set(key, { keyOffset, tree: part });
      else if (known.tree.kind === 'map' && part.kind === 'map') {
        entries.set(key, { ...known, tree: added([key], known.tree, part, tell) });
      } else tell.complain(part.offset, [key], 'expected a map, here and in the other files');
    }
  }
  return { ...first, entries };
}

function added(
  path: Path,
  to: MapTree,
  part: MapTree,
  { complain, place }: Parameters<typeof together>[2],
): MapTree {
  const entries = new Map(to.entries);
  for (const [name, entry] of part.entries) {
    const known = entries.get(name);
    if (known === undefined) entries.set(name, entry);
    else {
      const { file, line } = place(known.keyOffset, path, '');
      complain(entry.keyOffset, [...path, name], `stands in ${file}:${line} too: keep one`);
    }
  }
  const size = to.size + part.size;
  return { ...to, entries, size, depth: Math.max(to.depth, part.depth) };
}

/** `FILE:LINE:COL  path: message`, the way compilers and editors know it. */
export function printProblem(problem: Problem): string {
  const { file, line, column, path, message } = problem;
  return `${file}:${line}:${column}  ${path === '' ? '' : `${path}: `}${message}`;
}

function printPath(path: Path): string {
  let text = '';
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`;
    else text += `${text === '' ? '' : '.'}${/^[\w-]{1,80}$/.test(key) ? key : show(key)}`;
  }
  return text;
}

// ---------------------------------------------------------------- collecting

interface List {
  readonly kept: Problem[];
  dropped: number;
}

const newList = (): List => ({ kept: [], dropped: 0 });

function add(list: List, make: () => Problem): void {
  if (list.kept.length < problemsKept) list.kept.push(make());
  else list.dropped++;
}

function finish(list: List): readonly Problem[] {
  // Stable, so that files stay in their order.
  const order = new Map([...new Set(list.kept.map(({ file }) => file))].map((f, i) => [f, i]));
  const sorted = list.kept.toSorted(
    (a, b) => order.get(a.file)! - order.get(b.file)! || a.line - b.line || a.column - b.column,
  );
  const one = new Set<string>();
  const unique = sorted.filter((p) => !one.has(printProblem(p)) && one.add(printProblem(p)));
  const shown = unique.slice(0, problemsShown);
  const rest = unique.length - shown.length + list.dropped;
  if (rest > 0) {
    const message = `${rest} more problems are not shown; mend these first`;
    shown.push({ ...unique[problemsShown - 1]!, path: '', message });
  }
  return shown;
}

/** The offset of a place, or of the nearest one around it that exists. */
function locate(root: Tree, path: Path, at: 'key' | 'value'): number {
  let tree: Tree | undefined = root;
  let keyOffset: number | null = null;
  let missing = false;
  for (const key of path) {
    const entry: { keyOffset: number | null; tree: Tree } | undefined =
      tree.kind === 'map'
        ? tree.entries.get(String(key))
        : tree.kind === 'list' && typeof key === 'number' && tree.items[key] !== undefined
          ? { keyOffset: null, tree: tree.items[key] }
          : undefined;
    if (!entry) {
      missing = true;
      break;
    }
    ({ keyOffset, tree } = entry);
  }
  const isValue = tree.kind === 'scalar' && tree.value !== null && at === 'value' && !missing;
  return isValue ? tree.offset : (keyOffset ?? tree.offset);
}

// ---------------------------------------------------------------- YAML to a tree

type Complain = (offset: number, path: Path, message: string) => void;

/** Offsets in the tree count from `from`; those that are complained of are the text's own. */
function readTree(
  text: string,
  lines: LineCounter,
  { from, complain }: { readonly from: number; readonly complain: Complain },
): Tree | null {
  const bytes = Buffer.byteLength(text);
  if (bytes > textBytesMax) {
    complain(0, [], `the file has ${bytes} bytes; at most ${textBytesMax} (8 MiB) are read`);
    return null;
  }
  const tokens = tokensOf(text, lines, complain);
  if (tokens === null) return null;
  // Keys are compared here, not by the library: its comparison takes the square of their number.
  const options = { prettyErrors: false, uniqueKeys: false, logLevel: 'silent' } as const;
  const [document, second] = new Composer(options).compose(tokens, true, text.length);
  if (!document) return null;
  if (second) complain(second.range[0], [], 'a second YAML document begins here: keep one');
  for (const { code, message, pos } of [...document.errors, ...document.warnings]) {
    complain(pos[0], [], `this is no YAML: ${withoutQuotation(code, message)}`);
  }
  if (document.errors.length + document.warnings.length > 0 || second) return null;
  return convert(document.contents, from, sizeMaxOf(text), complain);
}

/** The library's message without what it quotes of the text, which may be a secret. */
function withoutQuotation(code: string, message: string): string {
  if (code === 'TAG_RESOLVE_FAILED') return 'a tag that is not understood: put quotes around it';
  if (code === 'BAD_DIRECTIVE') return 'a directive that is not understood';
  if (code === 'BAD_DQ_ESCAPE') return 'an escape sequence that does not exist';
  return code === 'UNEXPECTED_TOKEN' ? message.replace(/: .*$/s, '') : message;
}

type Token = Parameters<Parser['stack']['push']>[0];

/** The syntax, as far as it is not nested too deeply for what reads it next, recursively. */
function tokensOf(text: string, lines: LineCounter, complain: Complain): Token[] | null {
  const tokens: Token[] = [];
  const parser = new Parser(lines.addNewLine);
  lines.addNewLine(0);
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) tokens.push(token);
    if (parser.stack.length <= depthMax) continue;
    complain(parser.offset, [], `nested deeper than ${depthMax} levels`);
    return null;
  }
  for (const token of parser.end()) tokens.push(token);
  return tokens;
}

/** A key as it is written; null when it is no plain word. */
function keyOf(node: ParsedNode): string | null {
  const isPlain = isScalar(node) && typeof node.value !== 'object' && !node.tag;
  return isPlain ? String(node.source ?? node.value) : null;
}

/** Aliases become the very tree of their anchor: shared, and counted wherever they are used. */
function convert(
  contents: ParsedNode | null,
  from: number,
  sizeMax: number,
  complain: Complain,
): Tree | null {
  const converter = new Converter(from, sizeMax, complain);
  const root = contents ? converter.walk(contents, []) : null;
  if (root === null) complain(0, [], 'the file is empty');
  return converter.sound ? root : null;
}

class Converter {
  /** Nothing was refused so far. */
  sound = true;
  readonly #from: number;
  readonly #sizeMax: number;
  /** Of a place counted from there. */
  readonly #complain: Complain;
  readonly #anchors = new Map<string, Tree>();

  constructor(from: number, sizeMax: number, complain: Complain) {
    this.#from = from;
    this.#sizeMax = sizeMax;
    this.#complain = (offset, path, message) => complain(offset - from, path, message);
  }

  walk(node: ParsedNode, path: Path): Tree {
    const offset = this.#from + node.range[0];
    if (isAlias(node)) {
      const tree = this.#anchors.get(node.source);
      return (
        tree ?? this.#refuse(offset, path, 'there is no anchor of that name before this alias')
      );
    }
    if (node.tag) return this.#refuse(offset, path, 'YAML tags are not understood: leave it out');
    let tree: Tree;
    if (isScalar(node)) {
      const { value } = node;
      const isPlain = value === null || /^(string|number|boolean)$/.test(typeof value);
      if (!isPlain) return this.#refuse(offset, path, 'expected a text, a number, true or false');
      tree = { kind: 'scalar', value: value as ScalarTree['value'], offset, size: 1, depth: 0 };
    } else {
      tree = this.#collection(node, path);
    }
    if (node.anchor) this.#anchors.set(node.anchor, tree);
    return tree;
  }

  #collection(node: ParsedNode, path: Path): Tree {
    const offset = this.#from + node.range[0];
    let [size, depth] = [1, 0];
    const count = (tree: Tree) => {
      size += tree.size;
      depth = Math.max(depth, tree.depth + 1);
      return tree;
    };
    if (isSeq(node)) {
      const items = node.items.map((item, i) => count(this.walk(item as ParsedNode, [...path, i])));
      return this.#bound({ kind: 'list', items, offset, size, depth }, path);
    }
    const entries = new Map<string, { keyOffset: number; tree: Tree }>();
    for (const pair of isMap(node) ? node.items : []) {
      const keyNode = pair.key as ParsedNode;
      const keyOffset = this.#from + keyNode.range[0];
      const key = keyOf(keyNode);
      if (key === null) {
        this.#refuse(keyOffset, path, 'expected a plain word as the key');
        continue;
      }
      if (entries.has(key)) {
        this.#complain(keyOffset, [...path, key], 'this key stands twice in its map: keep one');
      }
      const value = pair.value as ParsedNode | null;
      const tree = value
        ? this.walk(value, [...path, key])
        : ({ kind: 'scalar', value: null, offset: keyOffset, size: 1, depth: 0 } as const);
      entries.set(key, { keyOffset, tree: count(tree) });
    }
    return this.#bound({ kind: 'map', entries, offset, size, depth }, path);
  }

  #bound(tree: Tree, path: Path): Tree {
    if (tree.size > this.#sizeMax) {
      const message = `aliases expand to more than ${this.#sizeMax} values`;
      return this.#refuse(tree.offset, path, message);
    }
    if (tree.depth > depthMax) {
      return this.#refuse(tree.offset, path, `aliases nest deeper than ${depthMax} levels`);
    }
    return tree;
  }

  #refuse(offset: number, path: Path, message: string): Tree {
    this.sound = false;
    this.#complain(offset, path, message);
    return { kind: 'scalar', value: null, offset, size: 1, depth: 0 };
  }
}

/** The plain value of a tree; trees shared through aliases become shared values. */
export function plainOf(tree: Tree | undefined): unknown {
  if (tree === undefined) return undefined;
  if (tree.kind === 'scalar') return tree.value;
  if (tree.kind === 'list') return tree.items.map(plainOf);
  return Object.fromEntries([...tree.entries].map(([key, entry]) => [key, plainOf(entry.tree)]));
}

// ---------------------------------------------------------------- values by schema

/** Whether a problem may quote the value that stood there. */
type Echo = 'value' | 'kind';

type Fields = Readonly<Record<string, z.ZodType>>;
export type Read<F extends Fields> = { readonly [K in keyof F]?: z.output<F[K]> };

/**
 * Reads a map field by field, so that one that is wrong hides no other. What is wrong is noted and
 * left out. Keys that are neither a field nor among `others` are unknown.
 */
export function readFields<F extends Fields>(
  source: Source,
  path: Path,
  tree: Tree,
  fields: F,
  others: readonly string[] = [],
): Read<F> {
  const known = [...Object.keys(fields), ...others];
  if (tree.kind !== 'map') {
    source.problem(path, `expected a map with ${listOf(known)}, got ${show(plainOf(tree))}`);
    return {};
  }
  for (const key of tree.entries.keys()) {
    if (!known.includes(key)) source.problem([...path, key], unknownKey(key, known), 'key');
  }
  const read: Record<string, unknown> = {};
  for (const [key, schema] of Object.entries(fields)) {
    const at = [...path, key];
    read[key] = readValue(source, at, tree.entries.get(key)?.tree, schema, 'value');
  }
  return read as Read<F>;
}

/** The value if it is as the schema wants it; else undefined, and each thing wrong is noted. */
export function readValue<S extends z.ZodType>(
  source: Source,
  path: Path,
  tree: Tree | undefined,
  schema: S,
  echo: Echo,
): z.output<S> | undefined {
  return readPlain(source, path, plainOf(tree), schema, echo, []);
}

/** The same for a plain value; `others` are keys that stand at its top and are not its own. */
export function readPlain<S extends z.ZodType>(
  source: Source,
  path: Path,
  value: unknown,
  schema: S,
  echo: Echo,
  others: readonly string[],
): z.output<S> | undefined {
  /** Keys that each map may have, by its path. */
  const shapes = new Map<string, readonly string[]>();
  const error = (issue: z.core.$ZodRawIssue) => {
    const definition = issue.inst?._zod.def as { shape?: object } | undefined;
    if (issue.code === 'unrecognized_keys' && definition?.shape) {
      shapes.set(JSON.stringify(issue.path ?? []), Object.keys(definition.shape));
      // Said below, where all keys are known; a schema's own word comes before this.
      return '';
    }
    return expectation(issue);
  };
  const result = schema.safeParse(value, { error });
  if (result.success) return result.data;
  for (const issue of result.error.issues) {
    const at = issue.path.map((key) => (typeof key === 'number' ? key : String(key)));
    if (issue.code === 'unrecognized_keys') {
      const known = [
        ...(shapes.get(JSON.stringify(issue.path)) ?? []),
        ...(at.length === 0 ? others : []),
      ];
      for (const key of issue.keys) {
        // Below a setting, a secret without its reference may have become a key: `{ s3cret }`.
        const isShown = echo === 'value' || at.length === 0 || closest(key, known) !== null;
        const unknown = issue.message || unknownKey(isShown ? key : '', known);
        const message = isShown ? unknown : `has an ${unknown}`;
        source.problem([...path, ...at, ...(isShown ? [key] : [])], message, 'key');
      }
      continue;
    }
    source.problem([...path, ...at], sentence(issue, valueAt(value, at), echo));
  }
  return undefined;
}

function valueAt(value: unknown, path: Path): unknown {
  let here = value;
  for (const key of path) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, key)) return undefined;
    here = (here as Record<string | number, unknown>)[key];
  }
  return here;
}

/** What was expected, what stood there, and what it may have been meant to be. */
function sentence(issue: z.core.$ZodIssue, value: unknown, echo: Echo): string {
  const { message } = issue;
  if (value === undefined) return `is missing; ${message}`;
  if (!message.startsWith('expected')) return message;
  const words = issue.code === 'invalid_value' ? issue.values.map(String) : [];
  const close = typeof value === 'string' ? closest(value, words) : null;
  const hint = close === null ? '' : `; did you mean ${close}?`;
  const got = echo === 'value' || close !== null ? show(value) : kindOf(value);
  return `${message}, got ${got}${hint}`;
}

const kinds: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a map',
  record: 'a map',
  array: 'a list',
};

function expectation(issue: z.core.$ZodRawIssue): string | undefined {
  const about = issue.inst && z.globalRegistry.get(issue.inst as z.core.$ZodType);
  const note = about?.description ? ` (${about.description})` : '';
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${kinds[issue.expected] ?? issue.expected}${note}`;
    case 'invalid_value':
      return `expected ${listOf(issue.values.map(String), 'or')}`;
    case 'too_small':
      return `expected ${amount(issue.origin, 'at least', issue.minimum)}`;
    case 'too_big':
      return `expected ${amount(issue.origin, 'at most', issue.maximum)}`;
    case 'invalid_union':
      return `expected another form${note}`;
    case 'invalid_format':
      return `expected a text of another form${note}`;
    default:
      return undefined;
  }
}

function amount(origin: string, bound: string, limit: number | bigint): string {
  if (origin === 'string') return `a text of ${bound} ${limit} character${limit === 1 ? '' : 's'}`;
  if (origin === 'array') return `a list of ${bound} ${limit}`;
  return `${bound} ${limit}`;
}

function unknownKey(key: string, known: readonly string[]): string {
  const close = closest(key, known);
  const hint = close === null ? `here may stand ${listOf(known)}` : `did you mean ${close}?`;
  return `unknown key; ${hint}`;
}

// ---------------------------------------------------------------- wording

/** A value as it may stand in a message: short, on one line. */
export function show(value: unknown): string {
  if (typeof value === 'string') {
    return quoted(value);
  }
  return typeof value === 'number' ? String(value) : kindOf(value);
}

/** What a value is, without showing a text or a number. */
function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (typeof value === 'string') return 'a text';
  if (typeof value === 'number') return 'a number';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value !== 'object') return String(value);
  return Object.keys(value).length === 0 ? 'an empty map' : 'a map';
}
