// One call to DNSPod through Tencent Cloud's official SDK, made safe: it loses the code of every
// network error, follows redirects with a signed request, gathers an answer of any length, takes a
// proxy from the environment and an event stream for an answer, and signs without a key. It must
// never use GET, never decide by a message, and never ask a second time.

import { randomUUID } from 'node:crypto';
import type { Agent as HttpAgent } from 'node:http';
import type { FaultKind } from '../../src/core/model.ts';
import type { AdapterContext } from '../../src/kit/extend.ts';
import { SecretError } from '../../src/kit/secret.ts';
import { agentFor } from './agents.ts';
import { boundAnswers, eachRequest } from './answers.ts';
import {
  exchange,
  failed,
  fieldsOf,
  loading,
  type Scope,
  scrub,
  statusTrouble,
  type Trouble,
} from './fault.ts';
import type { Tunnels } from './proxy.ts';

type TencentReply =
  | { readonly ok: true; readonly value: Readonly<Record<string, unknown>> }
  | ({ readonly ok: false; readonly code: string | null } & Trouble);

interface TencentKeys {
  readonly secretId: string;
  readonly secretKey: string;
  /** Of a temporary key (STS). */
  readonly token?: string | undefined;
}

/** Bytes of one answer; a page of 1,000 records is about 350 KiB. */
const answerMax = 4 << 20;
const traceHeader = 'X-TC-TraceId';

/** An answer under HTTP 200 that bears nothing of the vendor's. */
class Unmarked extends Error {}

/** An account at the vendor. */
export class TencentApi {
  readonly #client;
  readonly #agent: HttpAgent;
  readonly #timeoutMs: number;
  readonly #secrets: readonly string[];
  /** What became of a request on the network, by its trace: the SDK keeps the message alone. */
  readonly #lost = new Map<string, Error>();
  #calls = 0;

  /** Throws SecretError. */
  constructor(options: {
    /** The base URL, without a trailing slash. */
    readonly base: string;
    readonly keys: TencentKeys;
    /** Limit of one call, repeats of a read included, in milliseconds. */
    readonly timeoutMs: number;
    readonly context: Pick<AdapterContext, 'lookup'>;
    readonly tunnels: Tunnels | null;
  }) {
    const { base, keys, timeoutMs, context, tunnels } = options;
    const secrets = [keys.secretKey, keys.secretId, ...(keys.token ? [keys.token] : [])];
    // The SDK would sign with nothing and send; a header takes no line break.
    if (secrets.some((secret) => !/^[!-~]+$/.test(secret)) || keys.token === '') {
      throw new SecretError('a key of Tencent Cloud: expected one line without blanks');
    }
    this.#timeoutMs = timeoutMs;
    this.#secrets = secrets;
    // An idle connection is let go soon: a reused one that the vendor has just closed would make
    // a write uncertain for nothing.
    const idle = { keepAlive: true, maxSockets: 24, maxFreeSockets: 8, timeout: 3000 };
    const agent = agentFor(base, idle, context, tunnels);
    boundAnswers(agent, answerMax);
    eachRequest(agent, (request) => {
      const trace = String(request.getHeader(traceHeader));
      request.once('error', (error) => {
        if (this.#lost.has(trace)) this.#lost.set(trace, error);
      });
    });
    this.#agent = agent;
    const { host, protocol } = new URL(base);
    this.#client = loading('the SDK of DNSPod', async () => {
      const { dnspod } = await import('tencentcloud-sdk-nodejs-dnspod');
      const { secretId, secretKey, token } = keys;
      return new dnspod.v20210323.Client({
        credential: { secretId, secretKey, ...(token === undefined ? {} : { token }) },
        profile: {
          signMethod: 'TC3-HMAC-SHA256',
          language: 'en-US',
          httpProfile: {
            endpoint: host,
            protocol: `${protocol}//`,
            reqMethod: 'POST',
            // Ours ends a call first. With an agent `http_proxy` counts for nothing.
            reqTimeout: (timeoutMs + 500) / 1000,
            agent,
          },
        },
      });
    });
  }

  /** Requests sent so far. */
  get calls(): number {
    return this.#calls;
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Asks once; a read may be repeated by `exchange`. Ends within the limit and never rejects. */
  async call(
    { action, about, write }: { action: string; about: string; write: boolean },
    params: object,
    signal: AbortSignal,
  ): Promise<TencentReply> {
    const doing = `${action} of ${about}`;
    const client = await this.#client(signal, this.#timeoutMs);
    if (!client.ok) return { ...client, code: null };
    let code: string | null = null;
    const explain = (error: unknown): Trouble | null => {
      const { traceId, code: said, httpCode, message } = fieldsOf(error);
      if (traceId === undefined) return null;
      if (typeof httpCode === 'number') return statusTrouble(httpCode, { doing, write }, '');
      if (typeof said !== 'string' || said === '') return null;
      code = said.replaceAll(/[^\w.]/g, '?').slice(0, 80);
      return codeTrouble(code, { doing, write, said: scrub(message, this.#secrets) });
    };
    const answer = await exchange(
      { doing, write, signal, timeoutMs: this.#timeoutMs, explain },
      async (stop) => {
        const trace = randomUUID();
        const unheard = new Error('no answer');
        this.#lost.set(trace, unheard);
        this.#calls++;
        try {
          const options = { signal: stop, headers: { [traceHeader]: trace } };
          const value = fieldsOf(await client.value.request(action, params, options));
          if (typeof value['RequestId'] !== 'string') throw new Unmarked();
          return value;
        } catch (error) {
          const lost = this.#lost.get(trace);
          throw lost === unheard ? error : lost;
        } finally {
          this.#lost.delete(trace);
        }
      },
    );
    return answer.ok ? answer : { ...answer, code };
  }
}

const noDomain =
  /(\.DomainNotExists|InvalidParameter\.Domain(Id)?Invalid|FailedOperation\.NotDomainOwner)$/;

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
  /** What is remembered of the zone, its plan above all, may be so no more. */
  readonly stale?: true;
}

const auth = 'auth-suspect';
const no = 'rejected';
const stale = true;
const inOutage = 'valid keys are refused in an outage, too';
const settle = 'settle it with the vendor';
const byPlan = 'take a plan with a higher limit, or remove records at the name';
const wrongPlan = "raise the record's ttl at this provider";
const notHeld = 'check `zone`, `site` and whose key it is';
const blockedTarget = 'the vendor has blocked what the record leads to';

/**
 * The vendor's codes, as its Go SDK lists them (2026-11), and those common to all of its APIs; the
 * first row that fits counts. A message comes in the caller's language and says nothing here.
 */
const codes: readonly Row[] = [
  { code: /\.SignatureExpire$/, kind: auth, scope: 'account', cure: "check this machine's clock" },
  { code: /\.IPInBlacklistNotAllowed$/, kind: no, scope: 'record', cure: blockedTarget },
  {
    code: /^(AuthFailure\.UnauthorizedOperation|UnauthorizedOperation|OperationDenied)(\.|$)/,
    ...{ kind: auth, scope: 'zone', cure: `check its CAM policy; ${inOutage}` },
  },
  {
    code: /^AuthFailure(\.|$)|\.Login|\.(RequestIpLimited|Ip(In|NotIn)\w+list)$/i,
    ...{ kind: auth, scope: 'account', cure: `check the key and who may use it; ${inOutage}` },
  },
  {
    code: /\.(AccountIsBanned|(Not|Un)Real\w*User|(Email|Mobile)NotVerified)$/i,
    ...{ kind: no, scope: 'account', cure: settle },
  },
  { code: /^RequestLimitExceeded/, kind: 'throttled', scope: 'account' },
  { code: /\.(DomainRecordExist|RecordIdInvalid)$/, kind: 'conflict', scope: 'record' },
  { code: /^(InternalError|ServiceUnavailable|ResourceUnavailable)/, kind: null, scope: 'zone' },
  { code: /^FailedOperation$|\.(UnknowError|OperateFailed)$/, kind: null, scope: 'zone' },
  { code: /\.RecordTtlLimit$/, kind: no, scope: 'record', cure: wrongPlan, stale },
  { code: /^LimitExceeded\./, kind: no, scope: 'record', cure: byPlan, stale },
  {
    code: /\.Domain(Is(Locked|Spam|Aliaser)|NotAllowedModifyRecords|InEffectOrInvalidated)$/,
    ...{ kind: no, scope: 'zone', cure: `lift the block of the domain, or ${settle}`, stale },
  },
  { code: noDomain, kind: no, scope: 'zone', cure: notHeld, stale },
];

function codeTrouble(
  code: string,
  { doing, write, said }: { doing: string; write: boolean; said: string },
): Trouble {
  const row = codes.find((one) => one.code.test(code));
  // Under CustomMessage the vendor says in words alone what it has no code for.
  const words = code.endsWith('.CustomMessage') ? `${code}, ${said}` : code;
  const detail = `${doing}: the vendor answers ${words}`;
  // What the table does not know is a refusal; a write is of one record, and may be refused for a
  // plan that is another by now.
  if (row === undefined) {
    return failed(write ? 'record' : 'zone', 'rejected', detail, write ? { stale: true } : {});
  }
  const { kind, scope, code: _, ...more } = row;
  return failed(scope, kind ?? (write ? 'uncertain' : 'unavailable'), detail, more);
}
