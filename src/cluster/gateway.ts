// etcd v3 by its JSON gateway: a thin client on Node's own http. Each call has a deadline, within
// which it is put to the next member where one fails or is silent, so that nothing ever hangs on
// one of them; then it answers with a fault, and never rejects. It holds no state of the group and
// decides nothing. It must never read without a bound, trust a server it cannot verify, or let a
// password or token into a fault. As deploy/etcd says: the gateway takes no client certificate that
// bears a common name.

import {
  type ClientRequest,
  Agent as HttpAgent,
  type IncomingMessage,
  request as overHttp,
} from 'node:http';
import { Agent as HttpsAgent, request as overHttps } from 'node:https';
import type { LookupFunction } from 'node:net';
import { systemLookup } from '../dns/lookup.ts';
import type { Clock } from '../ports.ts';
import { collect, type Fields, isFields, parse, readLines } from './body.ts';

/** What stands with every answer. */
export interface Header {
  readonly clusterId: string;
  /** Of the member that was asked; of a linearizable answer: of the cluster. */
  readonly revision: number;
  /** In which election of etcd's own the member was; 0 where it does not say. */
  readonly raftTerm: number;
}

export type GatewayWord =
  /** Surely not done: nobody could be asked. */
  | 'unavailable'
  /** It was sent, and may have been done. */
  | 'uncertain'
  /** Name and password, or what they may do. */
  | 'refused'
  /** NOSPACE: there is no room, and nothing is written. */
  | 'full'
  | 'no-lease'
  /** The question itself is wrong. */
  | 'invalid';

export interface GatewayFault {
  readonly kind: GatewayWord;
  /** One English clause with the member in it; never a secret. */
  readonly detail: string;
}

export type Got<T> =
  | { readonly ok: true; readonly value: T; readonly header: Header }
  | { readonly ok: false; readonly fault: GatewayFault };

export interface Kv {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
  /** `0`: none. */
  readonly lease: string;
}

/** One key, or with `end` all from `key` up to it. */
export interface Range {
  readonly key: string;
  readonly end?: string;
  readonly limit?: number;
  /** As it stood at that revision. */
  readonly revision?: number;
  readonly keysOnly?: boolean;
}

/** True where the key's create or mod revision (0: no such key) or its value is just that. */
export type Compare =
  | { readonly key: string; readonly target: 'create' | 'mod'; readonly revision: number }
  | { readonly key: string; readonly target: 'value'; readonly value: string };

export type Op =
  | { readonly kind: 'put'; readonly key: string; readonly value: string; readonly lease?: string }
  | { readonly kind: 'delete'; readonly key: string; readonly end?: string }
  | ({ readonly kind: 'range' } & Range);

export interface Txn {
  readonly compare: readonly Compare[];
  readonly success: readonly Op[];
  readonly failure: readonly Op[];
}

export interface TxnReply {
  readonly succeeded: boolean;
  /** What the ranges of the branch gave, in their order. */
  readonly ranges: readonly (readonly Kv[])[];
}

export interface Changed {
  readonly key: string;
  /** null: it is gone. */
  readonly kv: Kv | null;
  readonly modRevision: number;
}

export type WatchEvent =
  | { readonly kind: 'begun' }
  /** All of one or more revisions, none of them in part, in order. */
  | { readonly kind: 'changed'; readonly changes: readonly Changed[]; readonly header: Header }
  /** The last event. `compacted`: what happened since then is no longer known. */
  | { readonly kind: 'ended'; readonly compacted: boolean; readonly fault: GatewayFault };

export interface Gateway {
  /** Linearizable. `more`: there were more than the limit. */
  range(
    range: Range,
    deadlineMs: number,
  ): Promise<Got<{ readonly kvs: readonly Kv[]; readonly more: boolean }>>;
  /**
   * It may be sent more than once: its own success must make its comparisons false, and whoever calls
   * must tell its own earlier success from another's.
   */
  txn(txn: Txn, deadlineMs: number): Promise<Got<TxnReply>>;
  /** At least so many seconds. One whose answer was lost ends by itself. */
  grant(
    ttlS: number,
    deadlineMs: number,
  ): Promise<Got<{ readonly id: string; readonly ttlMs: number }>>;
  /** How long from when it was asked; 0: there is no such lease. */
  keepAlive(id: string, deadlineMs: number): Promise<Got<{ readonly ttlMs: number }>>;
  /** Whether there is such a lease; it is not renewed by that. */
  timeToLive(id: string, deadlineMs: number): Promise<Got<{ readonly isThere: boolean }>>;
  revoke(id: string, deadlineMs: number): Promise<Got<null>>;
  /** All changes from a revision on, until it ends or is cancelled. */
  watch(
    from: { readonly key: string; readonly end: string; readonly revision: number },
    tell: (event: WatchEvent) => void,
  ): () => void;
  /** What one member says of itself. */
  status(
    deadlineMs: number,
  ): Promise<Got<{ readonly hasLeader: boolean; readonly isFull: boolean }>>;
  close(): void;
}

export interface GatewayOptions {
  /** `https://HOST:PORT` of each member; `http://` for this machine alone. */
  readonly endpoints: readonly string[];
  /** PEM: whom to trust; absent: whom the system trusts. */
  readonly ca?: string | Buffer;
  /** PEM of a client certificate without a common name, and its key. */
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  readonly user?: { readonly name: string; readonly password: string };
  readonly clock: Clock;
  readonly lookup?: LookupFunction;
}

/** Whoever is silent for so long is not waited for alone. */
const SILENCE_MS = 1000;
/** A watch that has not begun by then is ended; one that has may be quiet for any time. */
const WATCH_BEGINS_MS = 3000;
/** Of an answer, or of one line of a watch: a hundred of the largest documents, as base64. */
const BODY_MAX = 83_886_080;
const SOCKETS_MAX = 16;
const TOKEN_PATH = '/v3/auth/authenticate';
/** However little time a caller has left: the next one has it then. */
const TOKEN_MS = 5000;
const DETAIL_MAX = 200;
/** gRPC's status codes, as the gateway's errors bear them. */
const CODE = { notFound: 5, denied: 7, exhausted: 8, unauthenticated: 16 } as const;

/** Never throws for what the world does. Throws where an endpoint is no URL. */
export function createGateway(options: GatewayOptions): Gateway {
  return new JsonGateway(options);
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

/** What one member made of a call. */
type Tried<A> = { readonly answer: A } | { readonly fault: GatewayFault };
/** `alone`: no other member may have done it as well, or do it yet. */
type Raced<A> =
  | { readonly answer: A; readonly alone: boolean; readonly member: number }
  | { readonly fault: GatewayFault };

interface Race {
  readonly clock: Clock;
  /** How many members there are, and whom to ask first. */
  readonly count: number;
  readonly first: number;
  readonly deadlineMs: number;
}

/**
 * Asks one member after the other, the next where one fails, or a moment after it was silent; what
 * answers first counts, and the others are let go of. Resolves within the deadline.
 */
export function inTurn<A>(
  { clock, count, first, deadlineMs }: Race,
  ask: (member: number, done: (tried: Tried<A>) => void) => { destroy(): void },
): Promise<Raced<A>> {
  const order = Array.from({ length: count }, (_, i) => (first + i) % count);
  const asked: { destroy(): void }[] = [];
  const cancels: (() => void)[] = [];
  let waiting = 0;
  let mayBeDone = false;
  let over = false;
  let last: GatewayFault = { kind: 'unavailable', detail: 'no member of etcd was asked' };
  return new Promise((resolve) => {
    const end = (raced: Raced<A>) => {
      if (over) return;
      over = true;
      for (const cancel of cancels) cancel();
      for (const one of asked) one.destroy();
      resolve(raced);
    };
    const fail = () => end({ fault: mayBeDone ? { ...last, kind: 'uncertain' } : last });
    const next = () => {
      const member = order.shift();
      if (over || member === undefined) return;
      waiting++;
      let isPassed = false;
      const pass = () => {
        if (!isPassed) next();
        isPassed = true;
      };
      cancels.push(clock.after(SILENCE_MS, pass));
      const done = (tried: Tried<A>) => {
        waiting--;
        if (over) return;
        if ('answer' in tried) {
          return end({ ...tried, member, alone: waiting === 0 && !mayBeDone });
        }
        last = tried.fault;
        if (tried.fault.kind === 'uncertain') mayBeDone = true;
        pass();
        if (waiting === 0 && order.length === 0) fail();
      };
      asked.push(ask(member, done));
    };
    const late = () => {
      // Somebody was asked and has said nothing.
      if (waiting > 0) mayBeDone = true;
      last = { kind: last.kind, detail: `no answer from etcd within ${Math.round(deadlineMs)} ms` };
      fail();
    };
    cancels.push(clock.after(Math.max(0, deadlineMs), late));
    next();
  });
}

class JsonGateway implements Gateway {
  readonly #options: GatewayOptions;
  readonly #members: readonly URL[];
  readonly #agents: { readonly http: HttpAgent; readonly https: HttpsAgent };
  readonly #open = new Set<ClientRequest>();
  /** Whoever answered last is asked first; after nobody did, the next one. */
  #first = 0;
  #token: string | null = null;
  #renewing: Promise<GatewayFault | null> | null = null;
  #closed = false;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#members = options.endpoints.map((endpoint) => new URL(endpoint));
    const shared = {
      keepAlive: true,
      maxSockets: SOCKETS_MAX,
      lookup: options.lookup ?? systemLookup.lookup,
    };
    const { ca, cert, key } = options;
    const tls = {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    };
    this.#agents = {
      http: new HttpAgent(shared),
      https: new HttpsAgent({ ...shared, ...tls, rejectUnauthorized: true }),
    };
  }

  async range(range: Range, deadlineMs: number) {
    return this.#call('/v3/kv/range', rangeBody(range), deadlineMs, (body) => ({
      kvs: kvsOf(body),
      more: body['more'] === true,
    }));
  }

  async txn({ compare, success, failure }: Txn, deadlineMs: number): Promise<Got<TxnReply>> {
    const body = {
      compare: compare.map(compareBody),
      success: success.map(opBody),
      failure: failure.map(opBody),
    };
    return this.#call('/v3/kv/txn', body, deadlineMs, (reply) => ({
      succeeded: reply['succeeded'] === true,
      ranges: listOf(reply['responses']).flatMap((one) => {
        const ranged = one['response_range'];
        return isFields(ranged) ? [kvsOf(ranged)] : [];
      }),
    }));
  }

  async grant(ttlS: number, deadlineMs: number) {
    return this.#call('/v3/lease/grant', { TTL: ttlS }, deadlineMs, (body) => ({
      id: String(body['ID'] ?? '0'),
      ttlMs: numberOf(body['TTL']) * 1000,
    }));
  }

  async keepAlive(id: string, deadlineMs: number) {
    return this.#call('/v3/lease/keepalive', { ID: id }, deadlineMs, (body) => ({
      ttlMs: numberOf(body['TTL']) * 1000,
    }));
  }

  async timeToLive(id: string, deadlineMs: number) {
    return this.#call('/v3/lease/timetolive', { ID: id }, deadlineMs, (body) => ({
      // -1: it is gone; 0, or left out: less than a second.
      isThere: numberOf(body['TTL']) >= 0,
    }));
  }

  async revoke(id: string, deadlineMs: number): Promise<Got<null>> {
    return this.#call('/v3/lease/revoke', { ID: id }, deadlineMs, () => null);
  }

  async status(deadlineMs: number) {
    return this.#call('/v3/maintenance/status', {}, deadlineMs, (body) => {
      const errors = Array.isArray(body['errors']) ? body['errors'].map(String) : [];
      const isFull = errors.some((one) => one.includes('NOSPACE'));
      return { hasLeader: numberOf(body['leader']) !== 0, isFull };
    });
  }

  close(): void {
    this.#closed = true;
    for (const request of this.#open) request.destroy();
    this.#agents.http.destroy();
    this.#agents.https.destroy();
  }

  // -------------------------------------------------------------- one call, several members

  async #call<T>(
    path: string,
    body: object,
    deadlineMs: number,
    read: (body: Fields) => T,
  ): Promise<Got<T>> {
    const until = this.#options.clock.now() + deadlineMs;
    const text = JSON.stringify(body);
    for (let tries = 0; ; tries++) {
      const leftMs = until - this.#options.clock.now();
      const tried = await this.#race(path, text, leftMs);
      const got = 'fault' in tried ? tried : this.#read(tried.answer, read);
      if ('ok' in got) return got;
      if ('fault' in tried) this.#suspect();
      if ('alone' in tried && !tried.alone && got.fault.kind !== 'refused') {
        return { ok: false, fault: { ...got.fault, kind: 'uncertain' } };
      }
      // A token ends after a while, and with each change of users and roles.
      const mayRenew = got.fault.kind === 'refused' && this.#options.user !== undefined;
      if (!mayRenew || tries > 0) return { ok: false, fault: got.fault };
      const fault = await this.#renew(until - this.#options.clock.now());
      if (fault !== null) return { ok: false, fault };
    }
  }

  #read<T>(answer: Answer, read: (body: Fields) => T): Got<T> | { readonly fault: GatewayFault } {
    const body = parse(answer.text);
    if (answer.status !== 200 || body === null) return { fault: this.#faultOf(answer, body) };
    const inner = isFields(body['result']) ? body['result'] : body;
    return { ok: true, value: read(inner), header: headerOf(inner) };
  }

  async #race(path: string, text: string, deadlineMs: number): Promise<Raced<Answer>> {
    const { clock } = this.#options;
    const race = { clock, count: this.#members.length, first: this.#first, deadlineMs };
    const raced = await inTurn<Answer>(race, (member, done) => {
      return this.#post(member, path, text, done);
    });
    // Where none has answered in time, one that was asked late may have been about to.
    this.#first = 'member' in raced ? raced.member : (race.first + 1) % race.count;
    return raced;
  }

  /** Puts it to one member. A 5xx is the member's own trouble: another may do better. */
  #post(
    member: number,
    path: string,
    text: string,
    done: (tried: Tried<Answer>) => void,
  ): ClientRequest {
    const { host } = this.#members[member]!;
    let isOver = false;
    const end = (tried: Tried<Answer>) => {
      if (isOver) return;
      isOver = true;
      done(tried);
    };
    const request = this.#request(member, path, text, (response) => {
      collect(response, BODY_MAX, (body) => {
        const status = response.statusCode ?? 0;
        if (body === null) {
          const detail = `${host}: the answer broke off, or is larger than ${BODY_MAX} bytes`;
          return end({ fault: { kind: 'uncertain', detail } });
        }
        const answer = { status, text: body };
        if (status < 500) return end({ answer });
        const { detail } = this.#faultOf(answer, parse(body));
        end({ fault: { kind: 'uncertain', detail: `${host}: ${detail}` } });
      });
    });
    request.on('error', (error: NodeJS.ErrnoException) => {
      const kind = wasSent(error) ? 'uncertain' : 'unavailable';
      const detail = this.#safe(`${host}: ${error.code ?? error.message}`);
      end({ fault: { kind, detail } });
    });
    return request;
  }

  #request(
    member: number,
    path: string,
    text: string,
    came: (response: IncomingMessage) => void,
  ): ClientRequest {
    const url = new URL(path, this.#members[member]!);
    const isTls = url.protocol === 'https:';
    const headers: Record<string, string | number> = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
    };
    // An old token must not be what refuses a new one.
    if (this.#token !== null && path !== TOKEN_PATH) headers['authorization'] = this.#token;
    const agent = isTls ? this.#agents.https : this.#agents.http;
    const options = { method: 'POST', headers, agent };
    const request = (isTls ? overHttps : overHttp)(url, options, came);
    this.#open.add(request);
    request.on('close', () => this.#open.delete(request));
    if (this.#closed) request.destroy();
    else request.end(text);
    return request;
  }

  // -------------------------------------------------------------- who we are

  /**
   * A token bears etcd's own index, and one of before a backup was put back is waited for and never
   * refused: where nobody answers, a new one is asked for meanwhile.
   */
  #suspect(): void {
    if (this.#token !== null && !this.#closed) void this.#renew(TOKEN_MS);
  }

  /** Null once there is a token. Those who need one at the same time share one asking. */
  #renew(deadlineMs: number): Promise<GatewayFault | null> {
    this.#renewing ??= this.#authenticate().finally(() => {
      this.#renewing = null;
    });
    const { clock } = this.#options;
    const renewing = this.#renewing;
    return new Promise((resolve) => {
      const late = { kind: 'unavailable', detail: 'etcd gives no token in time' } as const;
      const cancel = clock.after(Math.max(0, deadlineMs), () => resolve(late));
      void renewing.then((fault) => {
        cancel();
        resolve(fault);
      });
    });
  }

  async #authenticate(): Promise<GatewayFault | null> {
    const { name, password } = this.#options.user!;
    const tried = await this.#race(TOKEN_PATH, JSON.stringify({ name, password }), TOKEN_MS);
    if ('fault' in tried) return { ...tried.fault, kind: 'unavailable' };
    const body = parse(tried.answer.text);
    const token = body?.['token'];
    if (tried.answer.status !== 200 || typeof token !== 'string') {
      const { detail } = this.#faultOf(tried.answer, body);
      // Then nobody is asked for a token.
      if (detail.includes('is not enabled')) {
        this.#token = null;
        return null;
      }
      return { kind: 'refused', detail: `etcd refuses user ${name}: ${detail}` };
    }
    this.#token = token;
    return null;
  }

  #faultOf({ status, text }: Answer, body: Fields | null): GatewayFault {
    const said = body?.['error'] ?? body?.['message'];
    const detail = this.#safe(
      typeof said === 'string' ? said : `HTTP ${status} ${text.slice(0, DETAIL_MAX)}`.trim(),
    );
    const code = numberOf(body?.['code']);
    if (status === 401 || code === CODE.unauthenticated || code === CODE.denied) {
      return { kind: 'refused', detail };
    }
    // Said with the same code as a bad password is: users or roles have changed since.
    if (/auth(entication)? (is not enabled|failed)|old revision|user name is empty/.test(detail)) {
      return { kind: 'refused', detail };
    }
    if (code === CODE.exhausted && /space exceeded/.test(detail)) return { kind: 'full', detail };
    if (code === CODE.notFound && /lease/.test(detail)) return { kind: 'no-lease', detail };
    return { kind: status >= 500 ? 'uncertain' : 'invalid', detail };
  }

  /** Bounded, printable, and without what is secret. */
  #safe(text: string): string {
    const secrets = [this.#token, this.#options.user?.password].filter((one) => one != null);
    const bare = secrets.reduce((before, one) => before.replaceAll(one, '…'), text);
    return bare
      .replaceAll(/[^\x20-\x7e…]+/g, ' ')
      .trim()
      .slice(0, DETAIL_MAX);
  }

  // -------------------------------------------------------------- watching

  watch(
    from: { readonly key: string; readonly end: string; readonly revision: number },
    tell: (event: WatchEvent) => void,
  ): () => void {
    let isOver = false;
    let request: ClientRequest | null = null;
    let cancel = () => {};
    const end = (fault: GatewayFault, compacted = false) => {
      if (isOver) return;
      isOver = true;
      cancel();
      request?.destroy();
      // Whoever comes back begins with another member.
      this.#first = (this.#first + 1) % this.#members.length;
      tell({ kind: 'ended', compacted, fault });
    };
    const member = this.#first;
    const { host } = this.#members[member]!;
    const ended = (detail: string) => {
      end({ kind: 'unavailable', detail: this.#safe(`${host}: ${detail}`) });
    };
    const create = {
      key: base64(from.key),
      range_end: base64(from.end),
      start_revision: String(from.revision),
    };
    const open = () => {
      if (isOver) return;
      const text = JSON.stringify({ create_request: create });
      cancel = this.#options.clock.after(WATCH_BEGINS_MS, () => {
        this.#suspect();
        ended('its watch does not begin');
      });
      request = this.#request(member, '/v3/watch', text, (response) => {
        const line = (one: string) => {
          const event = this.#watched(one);
          if (isOver || event === null) return;
          if (event.kind === 'ended') return end(event.fault, event.compacted);
          cancel();
          tell(event);
        };
        readLines(response, BODY_MAX, line, (why) => ended(why));
      });
      request.on('error', (error: NodeJS.ErrnoException) => ended(error.code ?? error.message));
      request.on('socket', (socket) => socket.setKeepAlive(true, 5000));
    };
    if (this.#options.user === undefined || this.#token !== null) open();
    else {
      void this.#renew(WATCH_BEGINS_MS).then((fault) => (fault === null ? open() : end(fault)));
    }
    return () => {
      isOver = true;
      cancel();
      request?.destroy();
    };
  }

  #watched(line: string): WatchEvent | null {
    const body = parse(line);
    const result = body?.['result'];
    if (!isFields(result)) {
      const { kind, detail } = this.#faultOf({ status: 200, text: line }, body);
      if (kind === 'refused') this.#token = null;
      return { kind: 'ended', compacted: false, fault: { kind, detail } };
    }
    if (result['canceled'] === true) {
      const compacted = numberOf(result['compact_revision']) > 0;
      const detail = this.#safe(compacted ? 'compacted' : String(result['cancel_reason'] ?? ''));
      const isDenied = /denied|token|auth/i.test(detail);
      // The next watch, or call, gets a new one.
      if (isDenied) this.#token = null;
      const kind = isDenied ? 'refused' : 'unavailable';
      return { kind: 'ended', compacted, fault: { kind, detail } };
    }
    if (result['created'] === true) return { kind: 'begun' };
    const changes = listOf(result['events']).map(changedOf);
    return changes.length === 0 ? null : { kind: 'changed', changes, header: headerOf(result) };
  }
}

// ---------------------------------------------------------------- the gateway's JSON

function listOf(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.filter(isFields) : [];
}

/** The gateway writes 64-bit numbers as texts, and leaves out what is 0. */
function numberOf(value: unknown): number {
  const number = Number(value ?? 0);
  return Number.isFinite(number) ? number : 0;
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? Buffer.from(value, 'base64').toString() : '';
}

function headerOf(body: Fields): Header {
  const header = isFields(body['header']) ? body['header'] : {};
  return {
    clusterId: String(header['cluster_id'] ?? '0'),
    revision: numberOf(header['revision']),
    raftTerm: numberOf(header['raft_term']),
  };
}

function kvsOf(body: Fields): readonly Kv[] {
  return listOf(body['kvs']).map(kvOf);
}

function kvOf(kv: Fields): Kv {
  return {
    key: textOf(kv['key']),
    value: textOf(kv['value']),
    createRevision: numberOf(kv['create_revision']),
    modRevision: numberOf(kv['mod_revision']),
    lease: String(kv['lease'] ?? '0'),
  };
}

function changedOf(event: Fields): Changed {
  const kv = kvOf(isFields(event['kv']) ? event['kv'] : {});
  const isGone = event['type'] === 'DELETE';
  return { key: kv.key, kv: isGone ? null : kv, modRevision: kv.modRevision };
}

function rangeBody({ key, end, limit, revision, keysOnly }: Range): object {
  return {
    key: base64(key),
    ...(end === undefined ? {} : { range_end: base64(end) }),
    ...(limit === undefined ? {} : { limit: String(limit) }),
    ...(revision === undefined ? {} : { revision: String(revision) }),
    ...(keysOnly ? { keys_only: true } : {}),
  };
}

function compareBody(compare: Compare): object {
  const key = base64(compare.key);
  if (compare.target === 'value') {
    return { key, target: 'VALUE', result: 'EQUAL', value: base64(compare.value) };
  }
  const { target, revision } = compare;
  const which = target === 'create' ? 'create_revision' : 'mod_revision';
  const word = target === 'create' ? 'CREATE' : 'MOD';
  return { key, target: word, result: 'EQUAL', [which]: String(revision) };
}

function opBody(op: Op): object {
  if (op.kind === 'range') return { request_range: rangeBody(op) };
  if (op.kind === 'put') {
    const lease = op.lease === undefined ? {} : { lease: op.lease };
    return { request_put: { key: base64(op.key), value: base64(op.value), ...lease } };
  }
  const end = op.end === undefined ? {} : { range_end: base64(op.end) };
  return { request_delete_range: { key: base64(op.key), ...end } };
}

/** Whether a request that failed like this may have reached whoever it was for. */
function wasSent({ code, syscall }: NodeJS.ErrnoException): boolean {
  const never = ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EADDRNOTAVAIL'];
  const isTls =
    code?.startsWith('ERR_TLS') || code?.includes('CERT') || code?.includes('SIGNATURE');
  return !never.includes(code ?? '') && syscall !== 'connect' && !isTls;
}
