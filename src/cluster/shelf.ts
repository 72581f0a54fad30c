// Everything that a group shares in one object of Kubernetes, a Secret or a ConfigMap: the head,
// all documents, the answers to orders and the last decisions as one text, sealed as a whole and
// deflated; beside it the orders that wait, and the doubt of a replica that knew a later state. One
// object, because Kubernetes compares and sets one object at a time. This only packs and reads; it
// asks nobody. It must never give out what the cluster key has not sealed for just this place, nor
// inflate without a bound.

import { createHash } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { Command, Entry, Json, Reply } from '../core/model.ts';
import { isFields, parse } from './body.ts';
import type { KubeObject } from './kube-api.ts';
import type { Seal } from './sealed.ts';

/** All times are the group's. */
export interface Shelf {
  /** The holding of the lease under which it was written: base + its transitions. */
  readonly term: number;
  /** 1, 2, 3, …: each writing's. */
  readonly number: number;
  /** Which writing it was: random, so that a lost reply can be read back. */
  readonly tx: string;
  readonly at: number;
  /** The replica that wrote it. */
  readonly by: string;
  /** Higher after each restoration. */
  readonly base: number;
  /**
   * The uids of the Lease and of the object that it was written for: made anew, they have others.
   */
  readonly lease: string;
  readonly home: string;
  /** An order that was said at an earlier number may have been done and forgotten. */
  readonly floor: number;
  /** Some document was shared, now or before: where none is there, each was taken away. */
  readonly shared: boolean;
  readonly docs: Readonly<Record<string, Json>>;
  /** The oldest first. */
  readonly done: readonly Done[];
  readonly log: readonly Logged[];
}

interface Done {
  readonly id: string;
  readonly number: number;
  readonly reply: Reply;
}

interface Logged {
  readonly number: number;
  readonly entries: readonly Entry[];
  /** Of the same commit, more than there is room for: the journal of whoever decided has them. */
  readonly missing: number;
}

interface Order {
  readonly id: string;
  /** The number of the head when it was said. */
  readonly number: number;
  readonly command: Command;
  readonly replica: string;
}

/** What the term and number of a state were that a replica knew, and this object does not have. */
export interface Doubt {
  readonly term: number;
  readonly number: number;
  readonly replica: string;
}

export interface Opened {
  /** null: nothing was ever written here. */
  readonly shelf: Shelf | null;
  /** As it stands there, to be told from any other; '' for none. */
  readonly raw: string;
  /** By their key in the object. */
  readonly orders: ReadonlyMap<string, Order>;
  /** Keys of orders that nobody who has the cluster key has said. */
  readonly strange: readonly string[];
  readonly doubt: Doubt | null;
}

export type Place = 'secret' | 'configMap';

/** What is to stand at keys of the object; null: nothing. */
export type Changes = readonly (readonly [key: string, value: Buffer | null])[];

/** Kubernetes takes 1 MiB of data in one object. */
const OBJECT_MOST = 1_048_576;
const SHELF_MOST = 917_504;
/** What the same text may be before it is deflated: it is held whole, and by everybody. */
const TEXT_MOST = 8_388_608;
export const ORDERS_MOST = 50;
const DONE_KEPT = 100;
const REPLY_MOST = 4096;
const LOG_KEPT = 50;
const LOG_BYTES = 65_536;

const SHELF_KEY = 'shelf';
const DOUBT_KEY = 'doubt';
const ORDER_START = 'order.';

/** Of zlib: a third of the time of its usual 6, for a tenth more bytes. */
const LEVEL = 3;

/** The object's data, by key, as base64. */
function dataOf(place: Place, object: KubeObject): Readonly<Record<string, string>> {
  const data = object[place === 'secret' ? 'data' : 'binaryData'];
  if (!isFields(data)) return {};
  return Object.fromEntries(
    Object.entries(data).filter((one): one is [string, string] => typeof one[1] === 'string'),
  );
}

/** The same object with these data in place of what stood at their keys. */
export function withData(place: Place, object: KubeObject, changes: Changes): KubeObject {
  const data: Record<string, string> = { ...dataOf(place, object) };
  for (const [key, value] of changes) {
    if (value === null) delete data[key];
    else data[key] = value.toString('base64');
  }
  return { ...object, [place === 'secret' ? 'data' : 'binaryData']: data };
}

/** What stands in the object; or why it cannot be believed. */
export function open(
  place: Place,
  object: KubeObject,
  seal: Seal,
): Opened | { readonly problem: string } {
  const data = dataOf(place, object);
  const raw = data[SHELF_KEY] ?? '';
  let shelf: Shelf | null = null;
  if (raw !== '') {
    const read = unpack(raw, seal);
    if (typeof read === 'string') return { problem: read };
    shelf = read;
  }
  const orders = new Map<string, Order>();
  const strange: string[] = [];
  for (const key of Object.keys(data).filter((one) => one.startsWith(ORDER_START))) {
    const order = orderIn(key, data[key]!, seal);
    if (order === null) strange.push(key);
    else orders.set(key, order);
  }
  let doubt: Doubt | null = null;
  const doubted = data[DOUBT_KEY];
  if (doubted !== undefined) {
    const sealed = seal.open('doubt', DOUBT_KEY, textOf(doubted));
    if (sealed === null)
      return { problem: `its ${DOUBT_KEY} does not bear the cluster key's seal` };
    doubt = { term: sealed.term, number: sealed.number, replica: sealed.text };
  }
  return { shelf, raw, orders, strange, doubt };
}

function unpack(raw: string, seal: Seal): Shelf | string {
  let text: string;
  try {
    const bytes = inflateRawSync(Buffer.from(raw, 'base64'), { maxOutputLength: TEXT_MOST });
    text = bytes.toString();
  } catch {
    // Whatever zlib says of it: no key of ours has sealed that.
    return 'it is not what Detour writes';
  }
  const sealed = seal.open('head', SHELF_KEY, text);
  if (sealed === null) return 'it does not bear the cluster key’s seal';
  const value = parse(sealed.text);
  const has = (type: string, ...names: readonly string[]) =>
    value !== null && names.every((name) => typeof value[name] === type);
  const isWhole =
    has('string', 'tx', 'by', 'lease', 'home') &&
    has('number', 'at', 'base', 'floor') &&
    has('boolean', 'shared') &&
    isFields(value!['docs']) &&
    Array.isArray(value!['done']) &&
    Array.isArray(value!['log']);
  if (!isWhole) return 'it is of another form than this version of Detour writes';
  const known = value as unknown as Omit<Shelf, 'term' | 'number'>;
  return { ...known, term: sealed.term, number: sealed.number };
}

function textOf(base64: string): string {
  return Buffer.from(base64, 'base64').toString();
}

/**
 * As it goes into the object, deflated, over one of so many bytes; or why there is no room for it,
 * and what to do.
 */
export function pack(shelf: Shelf, seal: Seal, before: number): Buffer | { readonly full: string } {
  const { term, number, ...rest } = shelf;
  const text = seal.close('head', SHELF_KEY, { term, number, text: JSON.stringify(rest) });
  const cure = 'publish fewer records by this group, or share by etcd';
  if (Buffer.byteLength(text) > TEXT_MOST) {
    return { full: `the group's documents are more than ${mib(TEXT_MOST)}: ${cure}` };
  }
  const bytes = deflateRawSync(text, { level: LEVEL });
  // What makes it smaller is always taken: that is the way out.
  if (bytes.length > SHELF_MOST && bytes.length >= before) {
    const most = `${mib(SHELF_MOST)} of the ${mib(OBJECT_MOST)} of one object`;
    return { full: `the group's documents need ${mib(bytes.length)}, more than ${most}: ${cure}` };
  }
  return bytes;
}

const mib = (bytes: number) => `${(bytes / 1_048_576).toFixed(2)} MiB`;

/** How large what stands there is, deflated. */
export function sizeOf({ raw }: Opened): number {
  return Buffer.byteLength(raw, 'base64');
}

export function shelfChange(bytes: Buffer): readonly [string, Buffer] {
  return [SHELF_KEY, bytes];
}

export function doubtChange(doubt: Doubt | null, seal: Seal): readonly [string, Buffer | null] {
  if (doubt === null) return [DOUBT_KEY, null];
  const { term, number, replica } = doubt;
  return [DOUBT_KEY, Buffer.from(seal.close('doubt', DOUBT_KEY, { term, number, text: replica }))];
}

// ---------------------------------------------------------------- orders and their answers

/** Ids are anything; keys of an object are not. */
export function orderKey(id: string): string {
  return ORDER_START + createHash('sha256').update(id).digest('hex').slice(0, 32);
}

/** For the term and number of the head at which it is said. */
export function orderChange(order: Order, term: number, seal: Seal): readonly [string, Buffer] {
  const { number, ...rest } = order;
  const key = orderKey(order.id);
  return [key, Buffer.from(seal.close('order', key, { term, number, text: JSON.stringify(rest) }))];
}

function orderIn(key: string, base64: string, seal: Seal): Order | null {
  const sealed = seal.open('order', key, textOf(base64));
  const value = sealed === null ? null : parse(sealed.text);
  if (sealed === null || value === null) return null;
  const { id, command, replica } = value;
  if (typeof id !== 'string' || typeof replica !== 'string' || !isFields(command)) return null;
  return { id, number: sealed.number, command: command as unknown as Command, replica };
}

/** The answers that are remembered once these are given, and from which number on all are. */
export function doneWith(
  before: Pick<Shelf, 'done' | 'floor'>,
  more: readonly { readonly id: string; readonly reply: Reply }[],
  number: number,
): Pick<Shelf, 'done' | 'floor'> {
  const all = [
    ...before.done,
    ...more.map(({ id, reply }) => ({ id, number, reply: short(reply) })),
  ];
  const forgotten = all.slice(0, Math.max(0, all.length - DONE_KEPT));
  const floor = Math.max(before.floor, ...forgotten.map((one) => one.number + 1));
  return { done: all.slice(forgotten.length), floor };
}

/** Its details are left out where they are long: the one who acts has told them in its journal. */
function short(reply: Reply): Reply {
  if (JSON.stringify(reply).length <= REPLY_MOST) return reply;
  return { exit: reply.exit, message: reply.message.slice(0, REPLY_MOST / 4) };
}

export function logWith(
  before: Shelf['log'],
  entries: readonly Entry[],
  number: number,
): Shelf['log'] {
  if (entries.length === 0) return before;
  const kept: Entry[] = [];
  let size = 0;
  for (const entry of entries) {
    size += JSON.stringify(entry).length;
    if (size > LOG_BYTES / 4) break;
    kept.push(entry);
  }
  const log = [...before, { number, entries: kept, missing: entries.length - kept.length }];
  let total = 0;
  const from = log.findLastIndex((one, i) => {
    total += JSON.stringify(one).length;
    return total > LOG_BYTES || log.length - i > LOG_KEPT;
  });
  return log.slice(from + 1);
}
