// The `dns` check: one question to one server, judged by its code, its authority and its values. It
// must never take an answer from anybody but the server asked, and never ask over UDP where the
// path cannot carry it.

import { isIP } from 'node:net';
import { z } from 'zod';
import type { Name } from '../core/model.ts';
import { ask, type Exchange } from '../dns/ask.ts';
import { joinText, type Message, type Question, type Resource } from '../dns/wire.ts';
import type { CheckType, PathSpec } from '../kit/extend.ts';
import { dnsName, hostPort, parseHostPort, toName } from '../kit/schema.ts';
import { notByExporter } from './blackbox.ts';
import { type Trip, travel, wayOf } from './path.ts';
import { type Answer, blind, fail, printHostPort, Told } from './words.ts';

const readableTypes = ['A', 'AAAA', 'CNAME', 'NS', 'TXT'] as const;
const types = [...readableTypes, 'SOA', 'MX', 'SRV', 'CAA', 'PTR', 'DS', 'DNSKEY'] as const;
const rcodes = ['NOERROR', 'NXDOMAIN', 'SERVFAIL', 'REFUSED', 'NOTAUTH', 'NOTIMP'] as const;

interface DnsSettings {
  /** The server, `HOST` or `HOST:PORT`. */
  readonly dns: string;
  readonly name: Name;
  readonly type: (typeof types)[number];
  readonly transport: 'udp' | 'tcp';
  /** RD: the server is asked to resolve it for us. */
  readonly recurse: boolean;
  readonly expect: {
    readonly rcode: (typeof rcodes)[number];
    /** Whether the server must speak for the zone (AA); undefined: either will do. */
    readonly aa?: boolean | undefined;
    /** Exactly these, in any order, as they are compared; undefined: at least one of whatever. */
    readonly values?: readonly string[] | undefined;
  };
}

const settings = z
  .strictObject({
    dns: hostPort(53),
    name: dnsName,
    type: z.enum(types).default('A').describe('type of record to ask for'),
    transport: z.enum(['udp', 'tcp']).default('udp').describe('tcp on paths through a proxy'),
    recurse: z.boolean().default(false).describe('ask the server to resolve the name for us'),
    expect: z
      .strictObject({
        rcode: z.enum(rcodes).default('NOERROR').describe('code that a good answer has'),
        aa: z.boolean().optional().describe('the server must, or must not, speak for the zone'),
        values: z
          .array(z.string().min(1).max(4096))
          .max(100)
          .optional()
          .describe('exactly these, in any order; none: a name without this type'),
      })
      .prefault({}),
  })
  .superRefine(({ type, expect }, context) => {
    const problem = problemOfValues(type, expect.rcode, expect.values);
    if (problem === null) return;
    context.addIssue({ code: 'custom', path: ['expect', 'values'], message: problem });
  });

/** `{ dns: "192.0.2.53", name: www.example.net, … }` beside a check's cadence. */
export const dns: CheckType<DnsSettings> = {
  key: 'dns',
  settings,
  impossible: (s) => ({
    ...s,
    expect: { ...s.expect, rcode: s.expect.rcode === 'NOTAUTH' ? 'NOTIMP' : 'NOTAUTH' },
  }),
  pathProblem: (path, asked) => notByExporter('dns', path) ?? problemForUdp(path, asked),
  create: (configured, path, timeoutMs, context) => {
    const way = wayOf(path, context);
    const go = (trip: Trip) => exchange(trip, configured, timeoutMs);
    return { ask: (signal) => travel(way, timeoutMs, signal, go), close: () => {} };
  },
};

function problemForUdp(path: PathSpec, settings: DnsSettings | undefined): string | null {
  if (settings?.transport !== 'udp') return null;
  if (path.kind !== 'direct') {
    return `a ${path.kind} path carries no UDP: set transport: tcp, or give the check other paths`;
  }
  if (path.localAddress === null) return null;
  return 'questions over UDP do not leave from a localAddress: set transport: tcp';
}

function problemOfValues(
  type: string,
  rcode: string,
  values: readonly string[] | undefined,
): string | null {
  if (values === undefined) return null;
  if (rcode !== 'NOERROR') return `an answer ${rcode} has no values: leave them out`;
  if (values.length > 0 && !(readableTypes as readonly string[]).includes(type)) {
    return `values are compared for ${readableTypes.join(', ')} only`;
  }
  for (const value of values) {
    const isLawful =
      type === 'A'
        ? isIP(value) === 4
        : type === 'AAAA'
          ? isIP(value) === 6
          : type === 'TXT' || toName(value) !== null;
    if (!isLawful) return `${JSON.stringify(value.slice(0, 100))} is no value of type ${type}`;
  }
  return null;
}

async function exchange(trip: Trip, asked: DnsSettings, timeoutMs: number): Promise<Answer> {
  const { host, port } = parseHostPort(asked.dns, 53)!;
  const question: Question = { name: asked.name, type: asked.type };
  const result =
    asked.transport === 'tcp'
      ? await trip.exchange({ host, port }, question, asked.recurse)
      : await askUdp(trip, { host, port }, question, asked.recurse, timeoutMs);
  const who = printHostPort(host, port);
  if (result.kind === 'reply') return judge(result.message, asked, who);
  return trip.blame(errorOf(result, who));
}

async function askUdp(
  trip: Trip,
  { host, port }: { readonly host: string; readonly port: number },
  question: Question,
  recurse: boolean,
  timeoutMs: number,
): Promise<Exchange> {
  const addresses = await trip.resolve(host);
  const [first, ...others] = addresses.toSorted((a, b) => a.family - b.family);
  trip.stage = 'answer';
  // The trip's own deadline decides: it knows a stall of this process from a silent server.
  const options = { timeoutMs: timeoutMs * 1.5, signal: trip.signal, recurse };
  return trip.time('firstByteMs', async () => {
    let result = await ask({ address: first!.address, port }, question, options);
    for (const { address } of others.slice(0, 3)) {
      if (result.kind !== 'no-route') break;
      result = await ask({ address, port }, question, options);
    }
    return result;
  });
}

/** A failure of an exchange as the error it came from. */
function errorOf(failure: Exclude<Exchange, { kind: 'reply' }>, who: string): Error {
  const code =
    failure.kind === 'refused'
      ? 'ECONNREFUSED'
      : failure.kind === 'timeout'
        ? 'ETIMEDOUT'
        : (/\b(E[A-Z]{3,})\b/.exec(failure.detail)?.[1] ?? 'ECONNRESET');
  // Of what happens to a datagram on its way nothing comes back: this is our own system's word.
  if (failure.kind === 'no-route') {
    return new Told(blind('no-route', `${who} cannot be reached from here: ${failure.detail}`));
  }
  if (failure.kind === 'malformed') {
    return new Told(fail('protocol', `${who} sent something else: ${failure.detail}`));
  }
  return Object.assign(new Error(failure.detail), { code });
}

function judge(message: Message, asked: DnsSettings, who: string): Answer {
  const { rcode, aa, values } = asked.expect;
  if (message.rcode !== rcode) {
    return fail('rcode', `${who} answers ${message.rcode}, expected ${rcode}`);
  }
  if (aa !== undefined && message.authoritative !== aa) {
    const says = message.authoritative ? 'speaks' : 'does not speak';
    return fail('aa', `${who} ${says} for the zone (AA), expected ${aa}`);
  }
  const found = valuesOf(message.answers, asked.type);
  const count = `${found.length} of type ${asked.type}`;
  const answers = message.answers.length;
  if (values === undefined) {
    if (rcode === 'NOERROR' && answers === 0)
      return fail('values', `${who} answers with no record`);
  } else {
    const [has, wants] = [found, values.map((v) => canonical(v, asked.type)).sort()];
    if (has.join('\0') !== wants.join('\0')) {
      const shown = has.length === 0 ? 'none' : has.join(', ');
      return fail('values', `${who} answers ${shown}, expected ${wants.join(', ') || 'none'}`);
    }
  }
  return { outcome: 'pass', reason: 'ok', detail: `${message.rcode}, ${count}` };
}

/** Sorted, as `canonical` writes them. A chain's end counts, whatever name it has. */
function valuesOf(answers: readonly Resource[], type: string): string[] {
  return answers
    .flatMap((r) => {
      if (r.type === 'other') return r.typeName === type ? [''] : [];
      if (r.type !== type) return [];
      if ('address' in r) return [canonical(r.address, type)];
      if ('target' in r) return [canonical(r.target, type)];
      return 'strings' in r ? [joinText(r.strings)] : [''];
    })
    .sort();
}

function canonical(value: string, type: string): string {
  if (type === 'TXT' || type === 'A') return value;
  if (type === 'AAAA') return new URL(`http://[${value}]/`).hostname.slice(1, -1);
  return toName(value) ?? value;
}
