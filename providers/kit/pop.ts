// One call to an Alibaba Cloud API through @alicloud/pop-core, made safe: the SDK takes an HTTP 500
// without a `Code` for a success, sends the words "undefined" and "null", gathers an answer of any
// length, unfolds a compressed one without end, hands out objects that cannot be made a number or a
// text, hears no signal, and puts the signed URL of a GET into its errors. It must never use GET,
// never decide by a message, and never show one: that of SignatureDoesNotMatch quotes the signed
// request, access key and all.

import type { Agent as HttpAgent } from 'node:http';
import type RPCClient from '@alicloud/pop-core';
import type { FaultKind } from '../../src/core/model.ts';
import type { AdapterContext } from '../../src/kit/extend.ts';
import { agentFor } from './agents.ts';
import { boundAnswers } from './answers.ts';
import {
  done,
  exchange,
  failed,
  fieldsOf,
  loading,
  type Scope,
  scrub,
  statusTrouble,
  type Trouble,
} from './fault.ts';
import type { Keys } from './held.ts';
import type { Tunnels } from './proxy.ts';

export type PopReply =
  | { readonly ok: true; readonly value: Readonly<Record<string, unknown>> }
  | ({ readonly ok: false; readonly code: string | null } & Trouble);

export interface AliKeys {
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  readonly securityToken?: string;
}

interface Asked {
  readonly action: string;
  readonly about: string;
  readonly write: boolean;
}

type Client = RPCClient & { readonly verbose: boolean };

/** pop-core's constructor takes more than its types say. */
type VerboseClient = new (
  config: {
    readonly endpoint: string;
    readonly apiVersion: string;
    readonly credentialsProvider: { getCredentials(): Promise<Partial<AliKeys>> };
  },
  verbose: true,
) => Client;

/** Pause that LastOperationNotFinished wants before the domain takes its next change. */
const busyMs = 500;

/** Bytes of one answer; the largest page of records is about 50 KiB. */
const answerMax = 1 << 20;

/** An answer without the vendor's `Code`: pop-core calls it a success whatever its status. */
class Unmarked extends Error {
  readonly status: number;
  constructor(status: number) {
    super(`HTTP ${status}`);
    this.status = status;
  }
}

/** An account at one of the vendor's APIs. */
export class PopApi {
  readonly #client: ReturnType<typeof loading<Client>>;
  readonly #agent: HttpAgent;
  readonly #timeoutMs: number;
  readonly #keys: Keys<AliKeys> | null;
  /** Of the call that was begun last: what went before it is as good for those under way. */
  #signing: Partial<AliKeys> = {};
  #calls = 0;

  constructor(options: {
    /** The base URL, without a trailing slash. */
    readonly base: string;
    /** The version of the API, such as 2015-01-09. */
    readonly version: string;
    /** Null: requests are sent without a signature, where what they bear is proof enough. */
    readonly keys: Keys<AliKeys> | null;
    /** Limit of one call, repeats of a read included, in milliseconds. */
    readonly timeoutMs: number;
    readonly context: Pick<AdapterContext, 'lookup'>;
    readonly tunnels?: Tunnels | null;
  }) {
    const { base, version, keys, timeoutMs, context, tunnels } = options;
    this.#timeoutMs = timeoutMs;
    this.#keys = keys;
    // An idle connection is let go soon: a reused one that the vendor has just closed would make
    // a write uncertain for nothing.
    const idle = { keepAlive: true, maxSockets: 24, maxFreeSockets: 8, timeout: 3000 };
    this.#agent = agentFor(base, idle, context, tunnels);
    boundAnswers(this.#agent, answerMax);
    const credentialsProvider = { getCredentials: async () => this.#signing };
    this.#client = loading('the SDK of Alibaba Cloud', async () => {
      const Client = (await import('@alicloud/pop-core')).default as unknown as VerboseClient;
      return new Client({ endpoint: base, apiVersion: version, credentialsProvider }, true);
    });
  }

  /** Requests sent so far. */
  get calls(): number {
    return this.#calls;
  }

  close(): void {
    this.#keys?.close();
    this.#agent.destroy();
  }

  /** Asks once; a read may be repeated by `exchange`. Ends within the limit and never rejects. */
  async call(
    { action, about, write }: Asked,
    params: Readonly<Record<string, string | number | null | undefined>>,
    signal: AbortSignal,
  ): Promise<PopReply> {
    const doing = `${action} of ${about}`;
    const keys = this.#keys === null ? done({}) : await this.#keys.get(signal);
    if (!keys.ok) return { ...keys, code: null };
    if (this.#keys !== null && !isWhole(keys.value)) {
      // The SDK would send it without a signature.
      const trouble = failed('account', 'auth-suspect', `${doing}: the access key is empty`);
      return { ...trouble, code: null };
    }
    const client = await this.#client(signal, this.#timeoutMs);
    if (!client.ok) return { ...client, code: null };
    this.#signing = keys.value;
    const secrets = this.#keys?.secrets() ?? [];
    let code: string | null = null;
    const explain = (error: unknown): Trouble | null => {
      if (error instanceof Unmarked) return statusTrouble(error.status, { doing, write }, '');
      const { data, entry } = fieldsOf(error);
      const said = fieldsOf(data)['Code'];
      if (said === undefined) return null;
      code = shown(scrub(String(said), secrets));
      const status = Number(fieldsOf(fieldsOf(entry)['response'])['statusCode']);
      return codeTrouble(code, status, doing, write);
    };
    const answer = await exchange(
      { doing, write, signal, timeoutMs: this.#timeoutMs, explain },
      (stop) => this.#send(client.value, action, params, stop),
    );
    if (answer.ok) return answer;
    const { scope, fault } = answer;
    if (fault.kind === 'auth-suspect' && scope === 'account') this.#keys?.refused();
    return { ...answer, code };
  }

  async #send(
    client: Client,
    action: string,
    params: Readonly<Record<string, string | number | null | undefined>>,
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, unknown>>> {
    // pop-core would send the words "undefined" and "null".
    const given = Object.entries(params).filter(([, v]) => v !== undefined && v !== null);
    // POST: with GET the key and the signature would stand in the URL and in every error.
    const options = {
      method: 'POST',
      timeout: this.#timeoutMs,
      agent: this.#agent,
      beforeRequest: (o: object) => ({ ...o, signal }),
    };
    this.#calls++;
    const reply = await client.request<unknown>(action, Object.fromEntries(given), options);
    const [body, entry] = reply as [unknown, unknown];
    const status = Number(fieldsOf(fieldsOf(entry)['response'])['statusCode']);
    const value = fieldsOf(plain(body));
    if (status !== 200 || typeof value['RequestId'] !== 'string') throw new Unmarked(status);
    return value;
  }
}

function isWhole({ accessKeyId, accessKeySecret, securityToken }: Partial<AliKeys>): boolean {
  return Boolean(accessKeyId) && Boolean(accessKeySecret) && securityToken !== '';
}

/** The SDK's objects have no prototype, so that `Number` and `String` of one throw. */
function plain(body: unknown): unknown {
  return JSON.parse(JSON.stringify(body) ?? 'null');
}

const noDomain = /^(InvalidDomainName|IncorrectDomainUser$|DomainNotExist)/;

/** Whether a code says that the account does not hold the domain. */
export function isNoDomain(code: string | null): boolean {
  return code !== null && noDomain.test(code);
}

/** What a code of the vendor's means: how bad, how far, and what would cure it. */
interface Row {
  readonly code: RegExp;
  /** Null: `uncertain` for a write, `unavailable` for a reading. */
  readonly kind: FaultKind | null;
  readonly scope: Scope;
  readonly cure?: string;
  readonly retryAfterMs?: number;
  readonly stale?: true;
}

/**
 * The vendor's codes, from the API reference and users' reports (2026-11); the first row that fits
 * counts. A key that is unknown or signs wrongly is everybody's trouble; a policy of RAM is written
 * for one domain; the domain's own lock is its own.
 */
const codes: readonly Row[] = [
  {
    code: /^InvalidTimeStamp/,
    kind: 'auth-suspect',
    scope: 'account',
    cure: "check this machine's clock",
  },
  {
    code: /^(\w*AccessKey|Signature|IncompleteSignature|InvalidSecurityToken)/,
    kind: 'auth-suspect',
    scope: 'account',
    cure: 'check the access key; valid keys are refused in an outage, too',
  },
  {
    code: /^(Forbidden(\.|$)|NoPermission)/,
    kind: 'auth-suspect',
    scope: 'zone',
    cure: 'check its RAM policy; valid keys are refused in an outage, too',
  },
  {
    code: /^LastOperationNotFinished$/,
    kind: 'throttled',
    scope: 'zone',
    retryAfterMs: busyMs,
  },
  { code: /^Throttling/, kind: 'throttled', scope: 'account' },
  {
    code: /^DomainRecord(Conflict|NotBelongToUser|NotExist|Duplicate)/,
    kind: 'conflict',
    scope: 'record',
  },
  { code: /^ServiceUnavailable$/, kind: 'unavailable', scope: 'zone' },
  { code: /^(InternalError|UnKnownError)/i, kind: null, scope: 'zone' },
  {
    code: /TTL/i,
    kind: 'rejected',
    scope: 'record',
    cure: "raise the record's ttl at this provider",
    stale: true,
  },
  {
    code: /^(DomainRecordLocked|RecordForbidden|QuotaExceeded)/,
    kind: 'rejected',
    scope: 'record',
    cure: 'lift the block or the quota at the vendor',
  },
  {
    code: /^DomainForbidden/,
    kind: 'rejected',
    scope: 'zone',
    cure: 'lift the block of the domain at the vendor',
    stale: true,
  },
  {
    code: noDomain,
    kind: 'rejected',
    scope: 'zone',
    cure: 'check `zone` and whose access key it is',
    stale: true,
  },
];

function codeTrouble(code: string, status: number, doing: string, write: boolean): Trouble {
  const row = codes.find((one) => one.code.test(code));
  if (row === undefined) {
    // A code is a refusal, whatever status it comes with.
    const isError = status >= 400;
    const plain = statusTrouble(isError ? status : 400, { doing, write }, code);
    // A write is of one record, and may be refused for an edition that is another by now.
    const isRefused = write && plain.fault.kind === 'rejected';
    return isRefused ? { ...plain, scope: 'record', stale: true } : plain;
  }
  const { kind, scope, code: _, ...more } = row;
  const lost = write ? 'uncertain' : 'unavailable';
  return failed(scope, kind ?? lost, `${doing}: the vendor answers ${code}`, more);
}

/** Somebody else's word, fit to show. */
export function shown(word: string): string {
  return word.replaceAll(/[^\w.:-]/g, '?').slice(0, 80);
}
