// The `prometheus` check: what a Prometheus answers to a query, compared with what it should be.
// The origin is not asked: somebody else has looked at it. It must never take the Prometheus's own
// trouble, an empty or old answer, or a value that is no number for a failure of the origin
// (design, rule 6).
//
// Source: prometheus.io/docs/prometheus/latest/querying/api, "Format overview", "Instant queries"
// and "Expression query result formats" (read 2026-11-30; 2.42 asked in the tests). The time beside
// a value is when the query was evaluated, not when the value was scraped: how old the data
// themselves may be the query has to say, see docs/checks.md.

import { z } from 'zod';
import type { AdapterContext, CheckType } from '../kit/extend.ts';
import { duration, printDuration, type SecretRef, secretRef } from '../kit/schema.ts';
import { SecretError } from '../kit/secret.ts';
import { notOfTheWay, type Trip, travel, wayOf } from './path.ts';
import { basicOf, isLoopback, type Scraped, scrape } from './scrape.ts';
import { type ClientFiles, clientFiles } from './trust.ts';
import { type Answer, blind, clause, fail } from './words.ts';

const operators = ['<', '<=', '>', '>=', '==', '!='] as const;

interface Comparison {
  readonly operator: (typeof operators)[number];
  readonly value: number;
}

interface PrometheusSettings {
  /** Its base URL, without a slash at the end. */
  readonly prometheus: string;
  readonly query: string;
  readonly pass: Comparison;
  /** Of several series: whether each must pass, or one is enough. */
  readonly series: 'all' | 'any';
  /** What an answer without any series means. */
  readonly empty: 'blind' | 'pass' | 'fail';
  /** How far the time of an answer may be from ours, in milliseconds. */
  readonly stale: number;
  readonly basic?: { readonly user: string; readonly password: SecretRef } | undefined;
  readonly bearer?: SecretRef | undefined;
  readonly ca?: string | undefined;
  readonly client?: ClientFiles | undefined;
}

const passNotation = 'expected a comparison such as "< 0.05", with <, <=, >, >=, == or !=';

const comparison = z
  .string()
  .describe('what the value must be, such as "< 0.05"')
  .transform((text, context): Comparison => {
    const [, operator, number] =
      /^\s*(<=|>=|==|!=|<|>)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?)\s*$/i.exec(text) ?? [];
    if (operator !== undefined && Number.isFinite(Number(number))) {
      return { operator: operator as Comparison['operator'], value: Number(number) };
    }
    context.addIssue({ code: 'custom', message: passNotation });
    return z.NEVER;
  });

const base = z
  .string()
  .max(2048)
  .describe('base URL of a Prometheus, or of what speaks its API: http(s)://HOST:PORT')
  .transform((text, context) => {
    const url = /^https?:\/\/[\x21-\x7e]+$/i.test(text) ? URL.parse(text) : null;
    if (url !== null && url.username === '' && url.password === '') {
      if (url.search === '' && url.hash === '' && url.port !== '0')
        return url.href.replace(/\/+$/, '');
    }
    const message = text.includes('@')
      ? 'a URL with a user or password: secrets are never written into the configuration; use basic'
      : 'expected the base URL of a Prometheus, such as https://prometheus.example:9090';
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });

const settings: z.ZodType<PrometheusSettings> = z
  .strictObject({
    prometheus: base,
    query: z.string().min(1).max(8192).describe('a PromQL expression: numbers at one moment'),
    pass: comparison,
    series: z.enum(['all', 'any']).default('all').describe('of several series: which must pass'),
    empty: z
      .enum(['blind', 'pass', 'fail'])
      .default('blind')
      .describe('what an answer without any series means'),
    stale: duration('1s', '1h').prefault('1m').describe('how far its time may be from ours'),
    basic: z
      .strictObject({
        user: z
          .string()
          .regex(/^[^:\p{Cc}]{1,256}$/u, { error: 'expected a user without a colon' })
          .describe('name of the user'),
        password: secretRef.describe('where the password is'),
      })
      .optional()
      .describe('user and password to send (RFC 7617)'),
    bearer: secretRef.optional().describe('token to send (RFC 6750)'),
    ca: z.string().min(1).optional().describe('path of a PEM bundle to trust'),
    client: clientFiles,
  })
  .superRefine((value, context) => {
    const wrong = (path: string[], message: string) =>
      context.addIssue({ code: 'custom', path, message });
    const isSecure = value.prometheus.startsWith('https:');
    if (value.basic !== undefined && value.bearer !== undefined) {
      wrong([], 'basic and bearer: a request has one authorization, choose one');
    }
    const hasSecret = value.basic !== undefined || value.bearer !== undefined;
    const host = URL.parse(value.prometheus)?.hostname ?? '';
    if (hasSecret && !isSecure && !isLoopback(host)) {
      const message = 'http would show the secrets to everybody on the way: ask an https URL';
      wrong(['prometheus'], message);
    }
    for (const key of ['ca', 'client'] as const) {
      if (value[key] === undefined || isSecure) continue;
      wrong([key], 'an http URL has no TLS: ask an https URL or leave this out');
    }
  });

/** `{ prometheus: "https://…", query: "…", pass: "< 0.05" }` beside a check's cadence. */
export const prometheus: CheckType<PrometheusSettings> = {
  key: 'prometheus',
  settings,
  aside: true,
  impossible: (s) => ({
    ...s,
    pass: { operator: '<', value: Number.NEGATIVE_INFINITY },
    empty: 'fail',
  }),
  pathProblem: (path) => notOfTheWay('prometheus', path),
  create: (configured, path, timeoutMs, context) => {
    const way = wayOf(path, context);
    const authorization = authorizationOf(configured, context);
    const go = (trip: Trip) => exchange(trip, configured, timeoutMs, authorization);
    return { ask: (signal) => travel(way, timeoutMs, signal, go), close: () => {} };
  },
};

/** Throws SecretError. */
function authorizationOf(
  { basic, bearer }: PrometheusSettings,
  { secret }: Pick<AdapterContext, 'secret'>,
): Readonly<Record<string, string>> {
  if (basic !== undefined) return { authorization: basicOf(basic.user, secret(basic.password)) };
  if (bearer === undefined) return {};
  const token = secret(bearer);
  if (!/^[\x21-\x7e]{1,8192}$/.test(token)) {
    throw new SecretError('bearer: the secret is no token: blanks or odd characters in it');
  }
  return { authorization: `Bearer ${token}` };
}

async function exchange(
  trip: Trip,
  asked: PrometheusSettings,
  timeoutMs: number,
  authorization: Readonly<Record<string, string>>,
): Promise<Answer> {
  const who = new URL(asked.prometheus).host;
  trip.late = blind('monitor', `the Prometheus ${who} did not answer in time`);
  const form = new URLSearchParams({ query: asked.query, timeout: `${timeoutMs}ms` });
  let reply: Scraped;
  try {
    reply = await scrape(trip, {
      url: new URL(`${asked.prometheus}/api/v1/query`),
      headers: { ...authorization, 'content-type': 'application/x-www-form-urlencoded' },
      body: form.toString(),
      trust: { ca: asked.ca, client: asked.client },
    });
  } catch (error) {
    const answer = trip.blame(error);
    if (answer.outcome === 'blind') return answer;
    return blind('monitor', `the Prometheus ${answer.detail}`);
  }
  // Its certificate is not the origin's.
  trip.certificateDays = null;
  const read = readAnswer(reply);
  if (read.kind === 'trouble') return blind(read.reason, `the Prometheus ${who} ${read.detail}`);
  return judge(asked, read.samples, trip.wall());
}

/** One series at one moment; `at` in seconds since 1970. */
interface Sample {
  readonly name: string;
  readonly at: number;
  readonly value: number;
}

type Read =
  | { readonly kind: 'samples'; readonly samples: readonly Sample[] }
  | { readonly kind: 'trouble'; readonly reason: 'monitor' | 'query'; readonly detail: string };

const pair = z.tuple([z.number(), z.string()]);
const result = z.discriminatedUnion('resultType', [
  z.object({ resultType: z.literal('scalar'), result: pair }),
  z.object({
    resultType: z.literal('vector'),
    result: z.array(z.object({ metric: z.record(z.string(), z.string()), value: pair.optional() })),
  }),
]);
const document = z.object({
  status: z.literal('success'),
  data: result,
  warnings: z.array(z.string()).optional(),
});

/** What an answer of the API says; never throws on bytes. */
export function readAnswer({ status, body, isCut }: Scraped): Read {
  const trouble = (detail: string, reason: 'monitor' | 'query' = 'monitor'): Read => ({
    ...{ kind: 'trouble', reason, detail },
  });
  if (status === 401 || status === 403) {
    return trouble(`answered ${status}: look at basic, bearer or client`);
  }
  if (isCut) return trouble('sent more than it may: let the query give fewer series', 'query');
  let plain: unknown;
  try {
    plain = JSON.parse(body.toString('utf8'));
  } catch {
    return trouble(`answered ${status} with something that is no JSON: is it a Prometheus?`);
  }
  if (status === 400 || status === 422) {
    const { error } = (plain ?? {}) as { readonly error?: unknown };
    const says = typeof error === 'string' ? `: ${clause(error)}` : '';
    return trouble(`refuses the query${says}`, 'query');
  }
  if (status !== 200) return trouble(`answered ${status}`);
  const read = document.safeParse(plain);
  if (!read.success) {
    const kind = (plain as { data?: { resultType?: unknown } } | null)?.data?.resultType;
    if (kind === 'matrix' || kind === 'string') {
      return trouble(`answers with a ${kind}: let the query give numbers at one moment`, 'query');
    }
    return trouble('answered with something else than it should: is it a Prometheus?');
  }
  // They say that something of the answer may be missing, and not what.
  const [warning] = read.data.warnings ?? [];
  if (warning !== undefined) return trouble(`warns: ${clause(warning)}`, 'query');
  const { data } = read.data;
  if (data.resultType === 'scalar')
    return { kind: 'samples', samples: [sampleOf('', data.result)] };
  const histogram = data.result.find(({ value }) => value === undefined);
  if (histogram !== undefined) {
    return trouble('answers with a histogram: let the query give a number of it', 'query');
  }
  const samples = data.result.map(({ metric, value }) => sampleOf(nameOf(metric), value!));
  return { kind: 'samples', samples };
}

function sampleOf(name: string, [at, text]: readonly [number, string]): Sample {
  const special: Readonly<Record<string, number>> = {
    '+Inf': Number.POSITIVE_INFINITY,
    '-Inf': Number.NEGATIVE_INFINITY,
  };
  const plain = /^[+-]?\d/.test(text) ? Number(text) : Number.NaN;
  return { name, at, value: Object.hasOwn(special, text) ? special[text]! : plain };
}

function nameOf(metric: Readonly<Record<string, string>>): string {
  const { __name__: name = '', ...labels } = metric;
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return `${name}{${pairs.join(', ')}}`;
}

function judge(asked: PrometheusSettings, samples: readonly Sample[], wall: number): Answer {
  const { series, empty } = asked;
  if (samples.length === 0) {
    const detail = 'the query gives no series';
    if (empty === 'pass') return { outcome: 'pass', reason: 'ok', detail };
    const cure = 'write one that always gives some, or set empty';
    return empty === 'fail' ? fail('empty', detail) : blind('empty', `${detail}: ${cure}`);
  }
  const old = samples.find(({ at }) => Math.abs(wall - at * 1000) > asked.stale);
  if (old !== undefined) {
    const offMs = wall - old.at * 1000;
    const off = Number.isFinite(offMs)
      ? printDuration(Math.round(Math.abs(offMs) / 1000) * 1000)
      : 'far';
    const side = offMs < 0 ? 'after' : 'before';
    return blind('stale', `its answer is of ${off} ${side} our time, more than stale allows`);
  }
  const judged = samples.map((sample) => ({ sample, passes: compare(sample.value, asked.pass) }));
  // One that decides, whatever those say that are no numbers.
  const decides = judged.find(({ passes }) => passes === (series === 'any'));
  const undefinedOne = judged.find(({ passes }) => passes === null);
  if (decides === undefined && undefinedOne !== undefined) {
    return blind('value', `${undefinedOne.sample.name || 'the value'} is no number (NaN)`);
  }
  const { sample, passes } = decides ?? judged[0]!;
  const wanted = `${asked.pass.operator} ${asked.pass.value}`;
  const many = samples.length === 1 ? '' : ` (${samples.length} series)`;
  const says = `${sample.name === '' ? '' : `${sample.name} `}${sample.value}`;
  if (passes === true)
    return { outcome: 'pass', reason: 'ok', detail: `${says}, ${wanted}${many}` };
  return fail('value', `${says}, expected ${wanted}${many}`);
}

/** null for what is no number. */
function compare(value: number, { operator, value: other }: Comparison): boolean | null {
  if (Number.isNaN(value)) return null;
  switch (operator) {
    case '<':
      return value < other;
    case '<=':
      return value <= other;
    case '>':
      return value > other;
    case '>=':
      return value >= other;
    case '==':
      return value === other;
    case '!=':
      return value !== other;
  }
}
