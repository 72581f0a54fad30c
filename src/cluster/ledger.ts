// One transaction of the group's: what goes into it, and what became of it. It takes effect only
// while the lease's key is the very one under which it was planned, the head is still the one it
// follows, and nobody has found the group restored. Where the reply is lost the same transaction is
// sent again, and what stands there then says whether it was ours. It must never take an unknown
// outcome for a good one, nor for a bad one while a copy of it may still arrive.

import type { Batch, Clock } from '../ports.ts';
import type { Gateway, GatewayFault, Got, Kv, Op, Txn, TxnReply } from './gateway.ts';
import type { Before, Head, Mirror } from './mirror.ts';
import type { Seal } from './sealed.ts';

/** What one commit may hold. etcd takes 128 operations and 1.5 MiB at once. */
export const DOCS_MOST = 100;
export const BYTES_MOST = 524_288;
const DONE_MOST = 8;
/** Answers to orders that are remembered, and transactions in the log. */
const DONE_KEPT = 200;
const LOG_KEPT = 1000;
/** Of the entries in one transaction; what is more stays in the journal of whoever decided. */
const LOG_BYTES_MOST = 65_536;
/** One try, and the pause before the next. */
const TRY_MS = 4000;
const AGAIN_MS = 200;

export interface Holding {
  /** The create revision of the lease's key, and what that key says: an engine put back has both. */
  readonly create: number;
  readonly claim: string;
  readonly term: number;
  readonly base: number;
}

interface Terms extends Holding {
  readonly prefix: string;
  readonly seal: Seal;
  readonly tx: string;
  /** Group time. */
  readonly at: number;
  readonly by: string;
  readonly cluster: string;
  readonly leases: readonly Before[];
  /** The number of the head that this one follows, or the highest that was ever known. */
  readonly after: number;
}

export interface Planned {
  readonly txn: Txn;
  readonly head: Head;
  readonly headRevision: number;
  readonly create: number;
  readonly claim: string;
  /** By key below the prefix: what then stands there; null: nothing. */
  readonly changes: readonly (readonly [key: string, raw: string | null])[];
}

/** The batch's documents in group time, as the transaction that writes them. */
export function plan(batch: Batch, mirror: Mirror, terms: Terms): Planned {
  const { prefix, seal, tx, at, by, base, cluster, leases, term, create, claim } = terms;
  const number = terms.after + 1;
  const close = (purpose: 'document' | 'done' | 'log', key: string, value: unknown) =>
    seal.close(purpose, key, { term, number, text: JSON.stringify(value) });
  const changes = new Map<string, string | null>();
  for (const [key, value] of batch.docs) {
    const whole = `doc/${key}`;
    changes.set(whole, value === null ? null : close('document', whole, value));
  }
  const before = mirror.done();
  const forgotten = before.slice(0, Math.max(0, before.length + batch.done.length - DONE_KEPT));
  for (const { id } of forgotten) changes.set(`done/${id}`, null);
  for (const { id, reply } of batch.done) {
    const whole = `done/${id}`;
    changes.set(whole, close('done', whole, { reply }));
  }
  const floor = Math.max(mirror.head?.floor ?? 0, forgotten.at(-1)?.number ?? 0);
  const digest = mirror.digestWith([...changes]);
  const shared = batch.docs.length > 0 || (mirror.head?.shared ?? false);
  const head = { tx, at, by, base, cluster, floor, shared, digest, leases };
  const raw = seal.close('head', 'head', { term, number, text: JSON.stringify(head) });
  changes.set('head', raw);
  const ops = [...changes].map(([key, value]): Op => {
    const whole = prefix + key;
    return value === null ? { kind: 'delete', key: whole } : { kind: 'put', key: whole, value };
  });
  if (batch.entries.length > 0) ops.push(...logged(batch, number, terms));
  // In an etcd that was put back another head may stand at the same revision: its text tells.
  const { headRaw } = mirror;
  const own: Txn['compare'] =
    headRaw === null ? [] : [{ key: `${prefix}head`, target: 'value', value: headRaw }];
  const txn: Txn = {
    compare: [
      { key: `${prefix}lease`, target: 'create', revision: create },
      { key: `${prefix}lease`, target: 'value', value: claim },
      { key: `${prefix}head`, target: 'mod', revision: mirror.headRevision },
      { key: `${prefix}doubt`, target: 'create', revision: 0 },
      ...own,
    ],
    success: ops,
    failure: ['lease', 'head', 'doubt'].map((key) => ({ kind: 'range', key: prefix + key })),
  };
  const followed = { headRevision: mirror.headRevision, create, claim };
  return { txn, head: { ...head, term, number }, ...followed, changes: [...changes] };
}

/** The decisions, for whoever reads the log, and no more of it than its bound. */
function logged({ entries }: Batch, number: number, { prefix, seal, term }: Terms): readonly Op[] {
  const kept: unknown[] = [];
  let size = 0;
  for (const entry of entries) {
    size += JSON.stringify(entry).length;
    if (size > LOG_BYTES_MOST) break;
    kept.push(entry);
  }
  const key = logKey(number);
  const text = JSON.stringify({ entries: kept, missing: entries.length - kept.length });
  const put: Op = {
    kind: 'put',
    key: prefix + key,
    value: seal.close('log', key, { term, number, text }),
  };
  const first = prefix + logKey(0);
  const last = prefix + logKey(Math.max(0, number - LOG_KEPT));
  return [put, { kind: 'delete', key: first, end: last }];
}

/** In the order of their numbers. */
function logKey(number: number): string {
  return `log/${String(number).padStart(16, '0')}`;
}

/** Why a batch is too large; null: it is not. */
export function tooLarge({ docs, done }: Batch): string | null {
  if (docs.length > DOCS_MOST) return `${docs.length} documents: ${DOCS_MOST} at most at once`;
  if (done.length > DONE_MOST) return `${done.length} orders: ${DONE_MOST} at most at once`;
  const texts = [...docs, ...done].map((one) => Buffer.byteLength(JSON.stringify(one)));
  const size = texts.reduce((sum, one) => sum + one, 0);
  return size > BYTES_MOST ? `${size} bytes: ${BYTES_MOST} at most at once` : null;
}

export type Settled =
  /** `revision`: of the engine, at which it was done. */
  | { readonly kind: 'committed'; readonly revision: number }
  /**
   * It will never be done from here on: the lease's key is another, or the group is in doubt. Where
   * others have written since, only the documents tell whether it was done before.
   */
  | { readonly kind: 'deposed'; readonly why: string }
  /** The same, because somebody has written another head. */
  | { readonly kind: 'overtaken' }
  /** Surely not done, and the engine says why. */
  | { readonly kind: 'refused'; readonly fault: GatewayFault }
  /** Nobody knows; only the end of the lease's key makes sure that it never comes. */
  | { readonly kind: 'unknown'; readonly why: string };

export interface Flight {
  /** Ends the waiting: what became of it is known otherwise, or no longer ours to know. */
  readonly over: Promise<Settled>;
  readonly isOver: () => boolean;
}

/** Sends it until its outcome is known, or for so long. */
export async function settle(
  planned: Planned,
  flight: Flight,
  means: { readonly gateway: Gateway; readonly clock: Clock; readonly seal: Seal },
  forMs: number,
): Promise<Settled> {
  const { gateway, clock } = means;
  const until = clock.now() + forMs;
  let mayBeDone = false;
  let why = '';
  for (;;) {
    const leftMs = until - clock.now();
    if (leftMs <= 0) break;
    const tried = gateway.txn(planned.txn, Math.min(TRY_MS, leftMs)).then((got) => ({ got }));
    const first = await Promise.race([tried, flight.over]);
    if (!('got' in first)) return first;
    const { got } = first;
    const known = got.ok ? outcomeOf(planned, got, means.seal) : null;
    if (known !== null) return known;
    if (!got.ok) {
      const { kind, detail } = got.fault;
      why = detail;
      // What this try says of itself says nothing of one that was sent before.
      const isFinal = kind === 'full' || kind === 'invalid' || kind === 'no-lease';
      if (isFinal && !mayBeDone) return { kind: 'refused', fault: got.fault };
      if (isFinal) break;
      if (kind !== 'unavailable') mayBeDone = true;
    }
    await Promise.race([new Promise<void>((go) => void clock.after(AGAIN_MS, go)), flight.over]);
    if (flight.isOver()) return flight.over;
  }
  return { kind: 'unknown', why };
}

/** Null: neither done nor impossible, which only another's hand between two tries can have made. */
function outcomeOf(
  planned: Planned,
  got: Extract<Got<TxnReply>, { ok: true }>,
  seal: Seal,
): Settled | null {
  const { succeeded, ranges } = got.value;
  if (succeeded) return { kind: 'committed', revision: got.header.revision };
  const [lease, head, doubt] = ranges.map((kvs): Kv | null => kvs[0] ?? null);
  // An earlier copy of it arrived, though its reply did not.
  if (head && isOurs(planned, head, seal)) {
    return { kind: 'committed', revision: head.modRevision };
  }
  if (lease?.createRevision !== planned.create || lease.value !== planned.claim) {
    return { kind: 'deposed', why: 'the key of its lease is another' };
  }
  if (doubt) return { kind: 'deposed', why: 'the group was found restored' };
  return (head?.modRevision ?? 0) === planned.headRevision ? null : { kind: 'overtaken' };
}

function isOurs({ head }: Planned, { value }: Kv, seal: Seal): boolean {
  const opened = seal.open('head', 'head', value);
  if (opened === null || opened.number !== head.number) return false;
  return (JSON.parse(opened.text) as { tx?: unknown }).tx === head.tx;
}
