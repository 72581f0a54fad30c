// `ack --restored`: the documents of one replica become the group's, in an etcd that was put back
// to an earlier time, was emptied, or holds what cannot be believed. While it is under way the
// doubt stands there, under which nobody commits; it ends with the head that has a higher base and
// number than anybody ever knew. It must never leave a mixture in force: until the last transaction
// nothing is.

import { MARKER_NUMBER_MAX } from '../core/marker.ts';
import type { Json } from '../core/model.ts';
import type { Compare, Gateway, Got, Header, Kv, Op, TxnReply } from './gateway.ts';
import { BYTES_MOST, DOCS_MOST } from './ledger.ts';
import type { Head } from './mirror.ts';
import { digestOf, macIn, type Seal } from './sealed.ts';

/** The base and number of a restoration that was begun: the next one goes on from above them. */
export interface Aim {
  readonly base: number;
  readonly number: number;
}

interface Means {
  readonly gateway: Gateway;
  readonly prefix: string;
  readonly seal: Seal;
  readonly by: string;
  readonly tx: string;
  /** Group time. */
  readonly at: number;
  /** The highest that anybody is known to have known. */
  readonly number: number;
  readonly term: number;
  readonly ttlMs: number;
  /** Keeps where it leads over restarts, before anything is written; false: it cannot be kept. */
  readonly aim: (aimed: Aim) => boolean;
  /** The head's text when a person's word was found to be wanted; null: there was none. */
  readonly headText: string | null;
}

/** Others may have known more than we: terms and numbers go on from so much higher. */
const NUMBERS_ON = 1000;
const TERMS_ON = 1_000_000;
const CALL_MS = 10_000;
const PAGE = 500;

type Failed = { readonly message: string };

/** The head that is in force then; or why nothing is. */
export async function restoreAll(
  docs: readonly (readonly [key: string, value: Json])[],
  means: Means,
): Promise<{ readonly head: Head; readonly header: Header } | Failed> {
  const { seal, prefix, by, tx, at } = means;
  const number = means.number + NUMBERS_ON;
  const base = means.term + TERMS_ON;
  if (Math.max(number, base) > MARKER_NUMBER_MAX) {
    return { message: 'terms and numbers are used up: give the group another prefix in etcd' };
  }
  // Whoever dies before he hears of it, in an etcd that is put back once more, never does it twice.
  if (!means.aim({ base, number })) {
    return { message: 'not restored: this replica cannot write its state; free its disk first' };
  }
  const doubt = await raised(means, base, number);
  if ('message' in doubt) return doubt;
  const texts = docs.map(([key, value]) => {
    const whole = `doc/${key}`;
    const text = JSON.stringify(value);
    return [whole, seal.close('document', whole, { term: base, number, text })] as const;
  });
  const guard = { key: `${prefix}doubt`, target: 'mod', revision: doubt.revision } as const;
  const stale = await others(means, new Set(texts.map(([key]) => prefix + key)));
  if ('message' in stale) return stale;
  const deletes = stale.keys.map((key): Op => ({ kind: 'delete', key }));
  const puts = texts.map(([key, value]): Op => ({ kind: 'put', key: prefix + key, value }));
  for (const success of inPieces([...deletes, ...puts])) {
    const put = await means.gateway.txn({ compare: [guard], success, failure: [] }, CALL_MS);
    const why = whyNot(put);
    if (why !== null) return { message: why };
  }
  const digest = digestOf(new Map(texts.map(([key, raw]) => [key, macIn(raw)])));
  const cluster = doubt.header.clusterId;
  // Nobody knows who has acted, or believes it still.
  const leases = [{ id: null, ttlMs: means.ttlMs }];
  const fields = { tx, at, by, base, cluster, floor: number, shared: true, digest, leases };
  const raw = seal.close('head', 'head', { term: base, number, text: JSON.stringify(fields) });
  const last = await means.gateway.txn(
    {
      compare: [guard],
      success: [
        { kind: 'put', key: `${prefix}head`, value: raw },
        { kind: 'delete', key: `${prefix}doubt` },
      ],
      failure: [{ kind: 'range', key: `${prefix}head` }],
    },
    CALL_MS,
  );
  // A copy of it that arrived before has taken the doubt away.
  const isOurs = last.ok && last.value.ranges[0]?.[0]?.value === raw;
  const why = isOurs ? null : whyNot(last);
  if (why !== null || !last.ok) return { message: why ?? 'not restored' };
  return { head: { ...fields, term: base, number }, header: last.header };
}

/** By its text: where an engine was put back another head may stand at the same revision. */
export function sameHead(prefix: string, text: string | null): Compare {
  const key = `${prefix}head`;
  return text === null
    ? { key, target: 'mod', revision: 0 }
    : { key, target: 'value', value: text };
}

/** The doubt as ours: whoever else restores meanwhile fails, or makes us fail. */
async function raised(
  { gateway, prefix, seal, by, tx, headText }: Means,
  term: number,
  number: number,
): Promise<{ readonly revision: number; readonly header: Header } | Failed> {
  const key = `${prefix}doubt`;
  const text = JSON.stringify({ by, tx, why: 'it is being restored' });
  const value = seal.close('doubt', 'doubt', { term, number, text });
  const put: Op = { kind: 'put', key, value };
  // Another who has done it meanwhile is not undone, nor by a copy of this that comes late.
  const compare = [sameHead(prefix, headText)];
  const got = await gateway.txn({ compare, success: [put], failure: [] }, CALL_MS);
  if (!got.ok) return { message: `not restored: ${got.fault.detail}` };
  if (!got.value.succeeded) return { message: 'not restored: it was done meanwhile' };
  // A copy of it may have arrived after the one that was answered.
  const stands = await gateway.range({ key }, CALL_MS);
  if (!stands.ok) return { message: `not restored: ${stands.fault.detail}` };
  const kv = stands.value.kvs[0];
  if (kv?.value !== value) return { message: 'not restored: another replica is doing it' };
  return { revision: kv.modRevision, header: stands.header };
}

/** Documents, answers and orders that are none of ours. */
async function others(
  { gateway, prefix }: Means,
  ours: ReadonlySet<string>,
): Promise<{ readonly keys: readonly string[] } | Failed> {
  const keys: string[] = [];
  for (const room of ['doc/', 'done/', 'order/']) {
    const end = `${prefix}${room.slice(0, -1)}0`;
    let from = `${prefix}${room}`;
    for (;;) {
      const got = await gateway.range({ key: from, end, limit: PAGE, keysOnly: true }, CALL_MS);
      if (!got.ok) return { message: `not restored: ${got.fault.detail}` };
      const { kvs, more } = got.value;
      keys.push(...kvs.map(({ key }: Kv) => key).filter((key) => !ours.has(key)));
      const last = kvs.at(-1);
      if (!more || last === undefined) break;
      from = `${last.key}\0`;
    }
  }
  return { keys };
}

/** As many at once as a commit may hold. */
function inPieces(ops: readonly Op[]): readonly (readonly Op[])[] {
  const pieces: Op[][] = [];
  let size = 0;
  for (const op of ops) {
    const bytes = op.kind === 'put' ? Buffer.byteLength(op.value) : 0;
    const last = pieces.at(-1);
    if (last === undefined || last.length >= DOCS_MOST || size + bytes > BYTES_MOST) {
      pieces.push([op]);
      size = bytes;
    } else {
      last.push(op);
      size += bytes;
    }
  }
  return pieces;
}

function whyNot(got: Got<TxnReply>): string | null {
  if (!got.ok) return `not restored, and nobody acts: ${got.fault.detail}; say it again`;
  return got.value.succeeded ? null : 'not restored: another replica is doing it';
}
