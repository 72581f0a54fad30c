// Messages out of templates. A template is a JSON document in whose texts `{{name}}` stands for a
// value of the notice: it is parsed first and filled in afterwards, so that no value, whatever it
// holds, can become part of the document's form. No logic but a choice by a word. It must never let
// a template grow a message without a bound.

import type { Json } from '../core/model.ts';
import { closest, listOf } from '../core/name.ts';
import type { Told } from '../kit/extend.ts';

/** What stands in a template by its name. */
type Values = Readonly<Record<string, Json>>;

/** A template that is sound. */
export type Template = Json;

const depthMost = 20;
const nodesMost = 2000;
/** Characters of one value in a message. */
const valueMost = 2000;
const sentenceMost = 800;

/** What every template may name. */
const names = [
  'approve',
  'cluster',
  'data',
  'dedup',
  'explain',
  'id',
  'key',
  'kind',
  'link',
  'mark',
  'reject',
  'record',
  'secret',
  'sentence',
  'severity',
  'shown',
  'since',
  'state',
  'text',
  'time',
  'title',
] as const;

/** The words by which a document may choose: `{ "{{state}}": { "open": …, "else": … } }`. */
const choices = ['state', 'severity', 'kind', 'approve', 'link', 'record'] as const;

const filters: Readonly<Record<string, (text: string) => string>> = {
  /** https://docs.slack.dev/messaging/formatting-message-text, "Escaping text", read 2026-11-30. */
  slack: (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'),
  /** For titles: 120 characters. */
  short: (text) => cut(text, 120),
};

const hole = /\{\{\s*([a-z]+)\s*(?:\|\s*([a-z]+)\s*)?\}\}/g;

function cut(text: string, most: number): string {
  const all = [...text];
  return all.length <= most ? text : `${all.slice(0, most - 1).join('')}…`;
}

/**
 * Reads a template. A string says what is wrong with it and what would be right; it quotes nothing of
 * the template but what looks like one of its names.
 */
export function readTemplate(text: string): { readonly template: Template } | string {
  let document: Json;
  try {
    document = JSON.parse(text) as Json;
  } catch {
    return 'is no JSON document: write it as JSON, with {{names}} inside its texts';
  }
  let nodes = 0;
  const walk = (value: Json, depth: number): string | null => {
    if (++nodes > nodesMost || depth > depthMost) return 'is larger than any message: shorten it';
    if (typeof value === 'string') return wrongIn(value);
    if (typeof value !== 'object' || value === null) return null;
    for (const [key, inner] of Object.entries(value as Record<string, Json>)) {
      const wrong = wrongKey(key, value) ?? walk(inner, depth + 1);
      if (wrong !== null) return wrong;
    }
    return null;
  };
  return walk(document, 0) ?? { template: document };
}

function wrongIn(text: string): string | null {
  for (const [, name, filter] of text.matchAll(hole)) {
    if (!(names as readonly string[]).includes(name!)) {
      const close = closest(name!, names);
      const hint = close === null ? `it may be ${listOf(names, 'or')}` : `did you mean ${close}?`;
      return `names {{${name!.slice(0, 40)}}}, which there is not: ${hint}`;
    }
    if (filter !== undefined && !Object.hasOwn(filters, filter)) {
      return `has the filter ${filter.slice(0, 40)}: it may be ${listOf(Object.keys(filters), 'or')}`;
    }
  }
  const left = text.replaceAll(hole, '');
  return /\{\{|\}\}/.test(left) ? 'has {{ or }} that is no {{name}} or {{name|filter}}' : null;
}

function wrongKey(key: string, of: object): string | null {
  const chosen = choiceOf(key);
  if (chosen === null) return /\{\{|\}\}/.test(key) ? keyRule : null;
  const [inner] = Object.values(of) as Json[];
  const isMap = typeof inner === 'object' && inner !== null && !Array.isArray(inner);
  return Object.keys(of).length === 1 && isMap ? null : keyRule;
}

const keyRule =
  `chooses in a way that is not known: write {"{{state}}": {"open": …, "else": …}} alone in its ` +
  `braces, by ${listOf(choices, 'or')}`;

function choiceOf(key: string): string | null {
  const name = /^\{\{\s*([a-z]+)\s*\}\}$/.exec(key)?.[1];
  return name !== undefined && (choices as readonly string[]).includes(name) ? name : null;
}

/** The document with all its names filled in. */
export function fill(template: Template, values: Values): Json {
  if (typeof template === 'string') return fillText(template, values);
  if (Array.isArray(template)) {
    // What a choice leaves out of a list is not there.
    return template.map((one) => fill(one as Json, values)).filter((one) => one !== leftOut);
  }
  if (typeof template !== 'object' || template === null) return template;
  const entries = Object.entries(template as Record<string, Json>);
  const by = entries.length === 1 ? choiceOf(entries[0]![0]) : null;
  if (by !== null) return chosen(entries[0]![1] as Record<string, Json>, values[by], values);
  const filled = entries.map(([key, inner]) => [key, fill(inner, values)] as const);
  return Object.fromEntries(filled.filter(([, inner]) => inner !== leftOut)) as Json;
}

/** No message could hold it by chance. */
const leftOut = '\u0000left out\u0000';

/** The branch of a value's word; of a value that is there or not, `set` and `unset`; else `else`. */
function chosen(branches: Record<string, Json>, value: Json | undefined, values: Values): Json {
  const word = String(value ?? '');
  const presence = value === null || value === undefined ? 'unset' : 'set';
  const key = [word, presence, 'else'].find((one) => Object.hasOwn(branches, one));
  return key === undefined ? leftOut : fill(branches[key]!, values);
}

function fillText(text: string, values: Values): Json {
  const [whole] = [...text.matchAll(hole)];
  // Alone in its text a value is itself: a number, an object, null.
  if (whole?.[0] === text && whole[2] === undefined) {
    const value = values[whole[1]!] ?? null;
    return typeof value === 'string' ? cut(value, valueMost) : value;
  }
  return text.replaceAll(hole, (_, name: string, filter: string | undefined) => {
    const value = values[name] ?? '';
    const plain = cut(typeof value === 'string' ? value : JSON.stringify(value), valueMost);
    return filter === undefined ? plain : filters[filter]!(plain);
  });
}

const marks = { page: '🔴', warn: '🟠', info: '🔵' } as const;

/** What a notice gives to templates. `secret` is for whoever wants it in the message itself. */
export function valuesOf(told: Told, secret: string | null): Values {
  const record = told.record?.replace(/\.$/, '') ?? null;
  const word = told.state === 'closed' ? 'over' : told.severity;
  const mark = told.state === 'closed' ? '🟢' : marks[told.severity];
  const shown = told.shown ?? record;
  const title = `[${told.cluster}] ${word}: ${shown ?? told.key}`;
  const sentence = cut(told.sentence, sentenceMost);
  const lines = [
    `${mark} ${title}`,
    sentence,
    `${told.time}  ${told.explain}`,
    ...(told.approve === null ? [] : [`approve: ${told.approve}`]),
    ...(told.reject === null ? [] : [`reject: ${told.reject}`]),
    ...(told.link === null ? [] : [told.link]),
  ];
  return {
    approve: told.approve,
    cluster: told.cluster,
    data: told.data,
    dedup: told.dedup,
    explain: told.explain,
    id: told.id,
    key: told.key,
    kind: told.kind,
    link: told.link,
    mark,
    record,
    reject: told.reject,
    secret,
    sentence,
    severity: told.severity,
    shown,
    since: told.since,
    state: told.state,
    text: lines.join('\n'),
    time: told.time,
    title,
  };
}
