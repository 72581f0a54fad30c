// What is said to one name server of one's own under a key that both share (TSIG, RFC 8945): queries
// and updates, each signed, and each reply checked before anybody looks at what it says. So who sits
// on the path without the key can make silence and nothing else. It must never hand on a reply that
// is not signed for what was asked, send anything unsigned, or send one update twice.

import { randomInt } from 'node:crypto';
import type { LookupFunction } from 'node:net';
import { exchangeTcp, type Failure } from '../../src/dns/ask.ts';
import {
  answersTo,
  decode,
  encodeQuestion,
  fitsWire,
  type Message,
  type Question,
} from '../../src/dns/wire.ts';
import type { HostPort } from '../../src/kit/schema.ts';
import {
  checkReply,
  type Signature,
  type SignedMessage,
  sign,
  type TsigKey,
} from './dns-update.ts';
import { type Called, done, failed, type Scope, type Trouble } from './fault.ts';
import { Silent } from './patience.ts';

/** Questions under way on one connection. */
const pipelineMax = 200;

/** What came back for one signed message: what its signature says, or why nothing came. */
export type Heard =
  | { readonly kind: 'signature'; readonly signature: Signature; readonly bytes: Buffer }
  | { readonly kind: 'silence'; readonly failure: Failure };

/** One server and the key it knows us by. Opens a connection a call, and keeps none. */
export class SignedServer {
  /** As faults name it. */
  readonly place: string;
  readonly key: TsigKey;
  readonly #server: HostPort;
  readonly #timeoutMs: number;
  readonly #lookup: LookupFunction;
  #calls = 0;

  constructor(options: {
    readonly place: string;
    readonly server: HostPort;
    readonly key: TsigKey;
    readonly timeoutMs: number;
    readonly lookup: LookupFunction;
  }) {
    this.place = options.place;
    this.key = options.key;
    this.#server = options.server;
    this.#timeoutMs = options.timeoutMs;
    this.#lookup = options.lookup;
  }

  /** Connections begun. */
  get calls(): number {
    return this.#calls;
  }

  /**
   * Asks all of these down one connection; one answer a question, in order. An answer is what the
   * server has signed with the key for this very question, whatever its rcode; all else is a fault.
   * What one question did not get, others may have. Never rejects.
   */
  async query(
    questions: readonly Question[],
    signal: AbortSignal,
  ): Promise<readonly Called<Message>[]> {
    const endsAt = performance.now() + this.#timeoutMs;
    const answers: Called<Message>[] = [];
    while (answers.length < questions.length) {
      const some = questions.slice(answers.length, answers.length + pipelineMax);
      const firstId = randomInt(65_536 - some.length);
      const wires = some.map((question, i) => wireOf(question, firstId + i));
      const heard = await this.#exchange(wires, endsAt - performance.now(), signal);
      const told = heard.map((one, i) => this.#answer(one, wires[i]!, some[i]!, signal));
      // A server may close a connection after some replies: what is left has one of its own.
      const silentAt = heard.findIndex(isCutOff);
      answers.push(...(silentAt > 0 ? told.slice(0, silentAt) : told));
    }
    return answers;
  }

  /** Sends whole UPDATE messages down one connection, once; says what came back for each. */
  update(messages: readonly Buffer[], signal: AbortSignal): Promise<readonly Heard[]> {
    return this.#exchange(messages, this.#timeoutMs, signal);
  }

  async #exchange(
    messages: readonly Buffer[],
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<readonly Heard[]> {
    if (messages.length === 0) return [];
    if (!signal.aborted) this.#calls++;
    const signed = messages.map((m): SignedMessage => sign(m, this.key, Date.now()));
    const { replies, failure } = await exchangeTcp(
      this.#server,
      signed.map((s) => s.bytes),
      { timeoutMs, signal, lookup: this.#lookup },
    );
    const none: Failure = { kind: 'network', detail: 'no reply', sent: true };
    return replies.map((bytes, i): Heard => {
      if (bytes === null) return { kind: 'silence', failure: failure ?? none };
      return { kind: 'signature', signature: checkReply(bytes, signed[i]!, this.key), bytes };
    });
  }

  #answer(heard: Heard, wire: Buffer, question: Question, signal: AbortSignal): Called<Message> {
    const { place } = this;
    if (heard.kind === 'silence') return this.#silence(heard.failure, signal);
    const { signature, bytes } = heard;
    const doubt = signatureTrouble(signature, this);
    if (doubt !== null) return doubt;
    if (signature.kind === 'unsigned') return this.#unsigned(signature.rcode, question);
    const read = decode(bytes);
    if (read && answersTo(read, wire, question)) return done(read);
    const what = read ? 'no answer to what was asked' : 'no DNS message';
    return failed('zone', 'unavailable', `${place}: the signed reply is ${what}`);
  }

  #silence(failure: Failure, signal: AbortSignal): Called<never> {
    const { reason } = signal;
    if (failure.kind === 'aborted' && !(reason instanceof Silent)) {
      return failed('zone', 'unavailable', `${this.place}: it was called off`);
    }
    const isSilent = failure.kind === 'aborted';
    const why = isSilent ? 'no answer, while other zones have theirs' : failure.detail;
    return failed(scopeOf(failure), 'unavailable', `${this.place}: ${why}`, cureOf(failure));
  }

  /** A reading that nobody has signed is no reading, whatever it says. */
  #unsigned(rcode: number, { name }: Question): Called<never> {
    const { place, key } = this;
    const said = rcodeWord(rcode);
    if (said === 'REFUSED' || said === 'NOTAUTH') {
      const detail = `${place} refuses us and key ${key.name} for ${name} (${said}, unsigned)`;
      const cure =
        'serve the zone there and let the key query it (allow-query, acl); compare its name, ' +
        'algorithm and secret, and the clocks';
      const about = said === 'REFUSED' ? ({ unserved: true } as const) : {};
      return failed('zone', 'auth-suspect', detail, { cure, ...about });
    }
    if (said === 'FORMERR' || said === 'NOTIMP') {
      const detail = `${place} takes no signed queries (${said}, unsigned)`;
      const cure = 'name a server that knows TSIG (BIND, Knot, PowerDNS), with nothing in between';
      return failed('account', 'rejected', detail, { cure });
    }
    const detail = `${place}: the answer ${said} for ${name} is not signed, so it is not believed`;
    const cure =
      `let the server sign its answers to queries signed with ${key.name}; if it does, somebody ` +
      'between here and there answers in its place';
    return failed('zone', 'unavailable', detail, { cure });
  }
}

function wireOf(question: Question, id: number): Buffer {
  if (!fitsWire(question.name)) throw new RangeError(`${question.name} is no DNS name`);
  const wire = encodeQuestion(question, false, false);
  wire.writeUInt16BE(id, 0);
  return wire;
}

/** The server closed the connection before this one was answered. */
function isCutOff(heard: Heard): boolean {
  return heard.kind === 'silence' && heard.failure.kind === 'network';
}

/** Why there was no reply, and how far that reaches: what never left is no zone's doing. */
export function scopeOf(failure: Failure): Scope {
  return failure.sent ? 'unheard' : 'account';
}

export function cureOf({ kind }: Failure): { readonly cure?: string } {
  if (kind === 'refused') return { cure: 'let the server listen on TCP, and check its port' };
  if (kind === 'timeout') return { cure: 'check the way to the server on TCP, and its firewall' };
  return {};
}

const badKey = 17;
const tsigErrors: Readonly<Record<number, string>> = {
  16: 'BADSIG: the secret differs',
  17: 'BADKEY: no such key there',
  18: 'BADTIME: the clocks differ',
  22: 'BADTRUNC: it wants another length of signature',
};

/** What is wrong between the two keys and clocks; null where the signature says nothing of that. */
export function signatureTrouble(
  signature: Signature,
  { place, key }: Pick<SignedServer, 'place' | 'key'>,
): ({ readonly ok: false } & Trouble) | null {
  switch (signature.kind) {
    case 'valid':
    case 'unsigned':
      return null;
    case 'invalid': {
      const detail = `${place}: ${signature.detail}, so it is not believed`;
      return failed('zone', 'unavailable', detail);
    }
    case 'bad-time': {
      const { oursSeconds, serverSeconds } = signature;
      const date = (seconds: number) =>
        seconds <= 8.64e12 ? new Date(seconds * 1000).toISOString() : `${seconds} s`;
      const detail =
        `clock skew: ${place} refuses the signature's time (BADTIME); it is ` +
        `${date(serverSeconds)} there and ${date(oursSeconds)} here`;
      const cure = 'set both clocks by NTP; they may differ by 300 s';
      return failed('account', 'auth-suspect', detail, { cure });
    }
    case 'refused': {
      const why = tsigErrors[signature.error] ?? `error ${signature.error}`;
      const detail = `${place} refuses TSIG key ${key.name} (${why})`;
      const cure = 'compare the name, algorithm and secret of the key with the server';
      // Knot says so of a key that only this zone does not name.
      const scope = signature.error === badKey ? 'zone' : 'account';
      return failed(scope, 'auth-suspect', detail, { cure });
    }
  }
}

export function rcodeWord(rcode: number): string {
  const words =
    'NOERROR FORMERR SERVFAIL NXDOMAIN NOTIMP REFUSED YXDOMAIN YXRRSET NXRRSET NOTAUTH NOTZONE';
  return words.split(' ')[rcode] ?? `RCODE_${rcode}`;
}
