// The documents as tests look at them: every page of the repository, what stands in its fences and its
// backquotes, its headings and links, and the commands in its code blocks as a shell would read them. It
// only reads; what must hold of a page is for the tests to say.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const read = (path: string) => readFileSync(join(root, path), 'utf8');

export interface Block {
  readonly language: string;
  readonly text: string;
}

export interface Page {
  /** From the root. */
  readonly path: string;
  readonly text: string;
  readonly blocks: readonly Block[];
  /** What stands in backquotes, on one line each. */
  readonly spans: readonly string[];
  /** The spans, and each line in a fence. */
  readonly said: readonly string[];
  readonly headings: readonly { readonly level: number; readonly words: string }[];
  /** Where its links lead, as they are written. */
  readonly links: readonly string[];
}

const fence = /^( *)```(\w*)\n(.*?)^\1```$/gms;

export function pageOf(path: string): Page {
  const text = read(path);
  const blocks = [...text.matchAll(fence)].map(([, indent, language, inside]) => ({
    language: language!,
    text: inside!.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  }));
  const prose = text.replace(fence, '').replace(/<!--.*?-->/gs, '');
  const oneLine = (said: string) => said.trim().replace(/\s+/g, ' ');
  const spans = [...prose.matchAll(/`([^`]+)`/g)].map(([, span]) => oneLine(span!));
  const lines = blocks.flatMap((block) => block.text.split('\n').map(oneLine));
  const headings = [...prose.matchAll(/^(#+) (.+)$/gm)].map(([, marks, words]) => {
    return { level: marks!.length, words: words! };
  });
  const links = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, to]) => to!);
  return { path, text, blocks, spans, said: [...spans, ...lines], headings, links };
}

/** Files in a folder whose names end so, from the root. */
function below(folder: string, end: string): readonly string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(end))
    .map((name) => join(folder, name))
    .toSorted();
}

export const docs = below('docs', '.md');

/** Every document of the repository. */
export const pages: readonly Page[] = [
  ...['README.md', 'README.zh-CN.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'providers/README.md'],
  ...['test/README.md', 'test/bench/README.md'],
  ...docs,
].map(pageOf);

export const pageAt = (path: string): Page => {
  const found = pages.find((page) => page.path === path);
  if (found === undefined) throw new Error(`there is no document ${path}`);
  return found;
};

/** Where a link of a page leads: a path from the root, and the anchor there. */
export function placeOf(page: Page, link: string): { path: string; anchor: string | undefined } {
  const [file = '', anchor] = link.split('#');
  return { path: file === '' ? page.path : normalize(join(dirname(page.path), file)), anchor };
}

/** A heading as a link says it. */
export function anchorOf(heading: string): string {
  const words = heading.toLowerCase().replace(/[^\p{L}\p{N}_\- ]/gu, '');
  return words.trim().replaceAll(' ', '-');
}

// ---------------------------------------------------------------- commands

/** A block without its comments: what a reader types, and what a program prints. */
export function withoutComments({ language, text }: Block): string {
  const mark = ['javascript', 'ts', 'hcl'].includes(language) ? '//|#' : '#|//';
  return text
    .split('\n')
    .map((line) => line.replace(new RegExp(`(^|\\s+)(?:${mark})(\\s.*)?$`), '').trimEnd())
    .filter((line) => line !== '')
    .join('\n');
}

const shells = ['', 'sh', 'bash', 'console'];

/** The commands of one program in a block, each as its words without the program's name. */
export function callsIn(block: Block, program: string): readonly (readonly string[])[] {
  if (!shells.includes(block.language)) return [];
  const text = block.text.replace(/\\\n\s*/g, ' ');
  return text
    .split('\n')
    .flatMap((line) => commandsOf(line.replace(/^\s*[$#] (?=\S)/, '')))
    .map((words) => words.slice(words.findIndex((word) => !/^[A-Za-z_]\w*=|^sudo$/.test(word))))
    .filter(([first]) => first === program)
    .map(([, ...words]) => words);
}

/** One line of a shell as simple commands: what redirects and substitutes is left as one word. */
function commandsOf(line: string): readonly (readonly string[])[] {
  const commands: string[][] = [[]];
  const token =
    /\s+|(#.*)|(\|\||&&|[|;&])|(\d?>>?&?\s*\S+|<\s+\S+)|((?:'[^']*'|"(?:\\.|[^"])*"|[$<]\([^)]*\)|\\.|[^\s'"|;&>\\])+)/gy;
  for (const [, comment, between, redirect, word] of line.matchAll(token)) {
    if (comment !== undefined) break;
    if (between !== undefined) commands.push([]);
    if (word !== undefined && redirect === undefined) commands.at(-1)!.push(unquoted(word));
  }
  return commands.filter((words) => words.length > 0);
}

function unquoted(word: string): string {
  return word.replace(/'([^']*)'|"((?:\\.|[^"])*)"/g, (_, plain, double) => plain ?? double);
}
