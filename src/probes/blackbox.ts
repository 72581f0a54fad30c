// A path whose probes somebody else makes: a Prometheus blackbox_exporter at another place asks the
// target and tells its metrics. Its module decides how it asks; what it found is judged here. It
// must never take the exporter's own trouble (unreachable, unknown module, a resolver that fails,
// metrics that are none) for the origin's: that is `blind`.
//
// Source: github.com/prometheus/blackbox_exporter, prober/handler.go and prober/{http,tcp,utils}.go
// (0.23 and 0.28 read; 0.23 asked in the tests).

import type { AdapterContext, CheckType, PathSpec } from '../kit/extend.ts';
import { printStatuses, type StatusRange } from './expect.ts';
import { type Means, straight, type Trip, travel, wayOf } from './path.ts';
import { basicOf, type Scraped, scrape } from './scrape.ts';
import type { Credentials } from './tunnel.ts';
import { type Answer, blind, fail, limited } from './words.ts';

interface Elsewhere {
  /** What its module is to ask: a URL, or `HOST:PORT`. */
  readonly target: string | (() => string);
  /** Sent as Host and SNI in place of the target's host. */
  readonly hostname?: string | undefined;
  /** Undefined for what is no HTTP. */
  readonly status?: readonly StatusRange[];
  /** Redirects that the check would follow. */
  readonly redirects?: number;
  readonly certificateDays?: number | undefined;
  /** How the exporter's own name is looked up. */
  readonly lookup: AdapterContext['lookup'];
  /** What the exporter itself wants to know; never shown. */
  readonly credentials?: Credentials | null;
}

type BlackboxPath = Extract<PathSpec, { kind: 'blackbox' }>;

/** What an exporter keeps of the time it is given, unless told otherwise (--timeout-offset). */
const offsetMs = 500;
/** Of the deadline, for asking the target; the rest is for the way to the exporter and back. */
const askingShare = 0.75;

/**
 * Asks an exporter to ask. `timeoutMs` covers all of it; the exporter is given three quarters, so
 * that a target that hangs is told as such. Should it take longer than it may, that is `blind`.
 */
export function blackboxAsker(
  path: BlackboxPath,
  timeoutMs: number,
  asked: Elsewhere,
): ReturnType<CheckType<unknown>['create']> {
  const exporter = new URL(path.url).host;
  const go = async (trip: Trip): Promise<Answer> => {
    trip.late = blind('blackbox-timeout', `the exporter ${exporter} did not answer in time`);
    let reply: Scraped;
    try {
      reply = await fetched(trip, path, timeoutMs, asked);
    } catch (error) {
      const answer = trip.blame(error);
      if (answer.outcome === 'blind') return answer;
      return blind('blackbox-unreachable', `the exporter ${answer.detail}`);
    }
    // What was measured so far is the way to the exporter, not to the target.
    for (const phase of Object.keys(trip.phases)) delete trip.phases[phase as 'dnsMs'];
    trip.certificateDays = null;
    const trouble = troubleOf(reply);
    if (trouble !== null) return blind('blackbox-error', `the exporter ${exporter} ${trouble}`);
    return judge(trip, readMetrics(reply.body.toString('utf8')), asked, timeoutMs);
  };
  return {
    ask: (signal) => travel(straight(asked.lookup), timeoutMs, signal, go),
    close: () => {},
  };
}

/** What a path's exporter wants to know of who asks it. Throws SecretError. */
export function credentialsOf(path: BlackboxPath, means: Means): Credentials | null {
  return wayOf(path, means).credentials;
}

/** Why a kind of check that no exporter asks cannot go by a path; null: another one can carry it. */
export function notByExporter(kind: string, path: PathSpec): string | null {
  if (path.kind !== 'blackbox') return null;
  return `a blackbox path asks http and tcp checks only: give the ${kind} check other paths`;
}

/**
 * Why an http or tcp check cannot be asked by an exporter; null: it can, or the path is another.
 * What only the module can say must not stand in the check too: it would look as if it held here.
 */
export function problemForBlackbox(path: PathSpec, settings: object | undefined): string | null {
  if (path.kind !== 'blackbox' || settings === undefined) return null;
  const { method, headers, secretHeaders, expect, ...rest } = settings as Partial<
    Record<string, unknown>
  >;
  const expected = (expect ?? {}) as Partial<Record<string, unknown>>;
  const size = (value: unknown) => Object.keys((value ?? {}) as object).length;
  const found = [
    ...(/:\d+$/.test(String(rest['host'])) ? ['a port in host'] : []),
    ...(method !== undefined && method !== 'GET' ? ['method'] : []),
    ...(size(headers) > 0 ? ['headers'] : []),
    ...(size(secretHeaders) > 0 ? ['secretHeaders'] : []),
    ...['basic', 'body', 'ca', 'client', 'http2', 'send', 'sign'].filter(
      (key) => rest[key] !== undefined,
    ),
    ...['body', 'text', 'regex'].filter((key) => expected[key] !== undefined).map(inExpect),
  ];
  if (found.length === 0) return null;
  return (
    `${found.join(', ')}: on a blackbox path the exporter's module decides that; ` +
    'write it there, and give this path a check without it'
  );
}

const inExpect = (key: string) => `expect.${key}`;

/** One GET over a connection of its own. */
function fetched(
  trip: Trip,
  path: BlackboxPath,
  timeoutMs: number,
  { target, hostname, credentials }: Elsewhere,
): Promise<Scraped> {
  const url = new URL(`${path.url.replace(/\/+$/, '')}/probe`);
  url.searchParams.set('target', typeof target === 'string' ? target : target());
  url.searchParams.set('module', path.module);
  if (hostname !== undefined) url.searchParams.set('hostname', hostname);
  const headers = {
    'x-prometheus-scrape-timeout-seconds': String((timeoutMs * askingShare + offsetMs) / 1000),
    ...(credentials == null
      ? {}
      : { authorization: basicOf(credentials.user, credentials.password) }),
  };
  return scrape(trip, { url, headers, trust: { ca: path.ca } });
}

function troubleOf({ status, body, isCut }: Scraped): string | null {
  // An unknown module, a missing target: 400 with a sentence of its own.
  if (status === 400) return 'answered 400: does it know the module?';
  if (status === 401) return 'answered 401: give its path credentials, or look at them';
  if (status !== 200) return `answered ${status}`;
  if (isCut) return 'sent more than it may';
  const success = readMetrics(body.toString('utf8')).get('probe_success');
  return success === 0 || success === 1 ? null : 'sent no probe_success: is it an exporter?';
}

/** Beyond every time, date and status in seconds; what is made of more would have no end. */
const sampleMax = 1e12;

/** The samples without a label by name, and those of phases as `name{phase="connect"}`. */
export function readMetrics(text: string): ReadonlyMap<string, number> {
  const metrics = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [, name, value] = /^(probe_\w+(?:\{phase="\w+"\})?) (\S+)\s*$/.exec(line) ?? [];
    const number = Number(value);
    if (name !== undefined && Math.abs(number) <= sampleMax) metrics.set(name, number);
  }
  return metrics;
}

/**
 * By the check's rules; where its module has judged by others, or asked otherwise, that is `blind`:
 * an origin that does what the check wants has not failed.
 */
function judge(
  trip: Trip,
  metrics: ReadonlyMap<string, number>,
  asked: Elsewhere,
  timeoutMs: number,
): Answer {
  note(trip, metrics);
  const status = metrics.get('probe_http_status_code') ?? 0;
  const isSuccess = metrics.get('probe_success') === 1;
  // It says 4 or 6 once it knows an address; 0 is a failed lookup, and it does not tell whether the
  // name is gone or its own resolver.
  if (!isSuccess && metrics.get('probe_ip_protocol') === 0) {
    return blind('resolver', 'the exporter could not resolve the target');
  }
  // The exporter does not tell for how long.
  const isTooOften = status === 429 && asked.status !== undefined && !isWanted(asked, status);
  if (isTooOften) return limited('status 429: asked too often', null, trip.wall());
  const elsewhere = asked.status === undefined ? null : judgeRedirects(metrics, asked, status);
  if (elsewhere !== null) return elsewhere;
  if (!isSuccess) return judgeFailure(metrics, asked, status, timeoutMs);
  if (status > 0 && !isWanted(asked, status)) return unwanted(asked, `status ${status}`);
  const tooFew = judgeDays(trip, metrics, asked.certificateDays);
  if (tooFew !== null) return tooFew;
  const said = status > 0 ? `status ${status}, ` : '';
  return { outcome: 'pass', reason: 'ok', detail: `${said}asked by the exporter` };
}

function isWanted({ status: wanted = [] }: Elsewhere, status: number): boolean {
  return wanted.some(([least, most]) => status >= least && status <= most);
}

function unwanted({ status: wanted = [] }: Elsewhere, what: string): Answer {
  return fail('status', `${what}, expected ${printStatuses(wanted)}`);
}

const redirectStatuses = [301, 302, 303, 307, 308];

/** What it means that a module follows redirects where the check does not, or the reverse. */
function judgeRedirects(
  metrics: ReadonlyMap<string, number>,
  asked: Elsewhere,
  status: number,
): Answer | null {
  // A redirect that it was told not to follow is counted, too; then it is the last answer.
  const isAtOne = redirectStatuses.includes(status);
  const followed = Math.max(0, (metrics.get('probe_http_redirects') ?? 0) - (isAtOne ? 1 : 0));
  const { redirects: most = 0 } = asked;
  if (followed > most && most > 0) {
    return fail('too-many-redirects', `redirected more than ${most} times`);
  }
  if (followed > 0 && most === 0) {
    if (!redirectStatuses.some((one) => isWanted(asked, one))) return unwanted(asked, 'a redirect');
    const cure = 'set follow_redirects: false there';
    return blind('blackbox-module', `its module follows redirects, the check does not: ${cure}`);
  }
  if (most > 0 && followed === 0 && isAtOne) {
    const cure = 'set follow_redirects: true there';
    return blind('blackbox-module', `the check follows redirects, its module does not: ${cure}`);
  }
  return null;
}

/** The exporter says that it failed: by whose rule? */
function judgeFailure(
  metrics: ReadonlyMap<string, number>,
  asked: Elsewhere,
  status: number,
  timeoutMs: number,
): Answer {
  const tookMs = (metrics.get('probe_duration_seconds') ?? 0) * 1000;
  if (metrics.get('probe_failed_due_to_regex') === 1) {
    return fail('body', 'the body is not what its module wants');
  }
  if (status > 0 && !isWanted(asked, status)) return unwanted(asked, `status ${status}`);
  if (tookMs >= timeoutMs * askingShare * 0.95) {
    return fail('timeout', `no answer to the exporter within ${Math.round(tookMs)} ms`);
  }
  if (status === 0) {
    return fail('elsewhere', `the exporter's probe failed after ${Math.round(tookMs)} ms`);
  }
  const length = metrics.get('probe_http_content_length') ?? -1;
  const read = metrics.get('probe_http_uncompressed_body_length') ?? length;
  if (length > read) return fail('closed', `the body broke off after ${read} of ${length} bytes`);
  const cure = 'let valid_status_codes and its other rules allow it there';
  const says = `its module refuses an answer of status ${status}, which the check wants`;
  return blind('blackbox-module', `${says}: ${cure}`);
}

/** Old exporters tell the earliest end of all that was sent, also of what nobody needs. */
function judgeDays(
  trip: Trip,
  metrics: ReadonlyMap<string, number>,
  wanted: number | undefined,
): Answer | null {
  const tooFew = trip.judgeDays(wanted);
  if (tooFew === null || (metrics.get(chainEnd) ?? 0) > 0) return tooFew;
  const says = 'one of the certificates that were sent has too few days left';
  const cure = 'needs an exporter of 0.19 or newer that verifies';
  return blind('blackbox-module', `${says}; to tell whether it is needed ${cure}`);
}

/** The latest that a verified chain holds. */
const chainEnd = 'probe_ssl_last_chain_expiry_timestamp_seconds';

/** The phases and the certificate as the exporter saw them. */
function note(trip: Trip, metrics: ReadonlyMap<string, number>): void {
  const phases = [
    ['dnsMs', 'probe_dns_lookup_time_seconds'],
    ['connectMs', 'probe_http_duration_seconds{phase="connect"}'],
    ['tlsMs', 'probe_http_duration_seconds{phase="tls"}'],
    ['firstByteMs', 'probe_http_duration_seconds{phase="processing"}'],
  ] as const;
  for (const [phase, name] of phases) {
    const seconds = metrics.get(name) ?? 0;
    if (seconds > 0) trip.phases[phase] = Math.round(seconds * 10_000) / 10;
  }
  // Without TLS it is absent or, in old ones, the year 1.
  const ofChain = metrics.get(chainEnd) ?? 0;
  const endsAt = ofChain > 0 ? ofChain : (metrics.get('probe_ssl_earliest_cert_expiry') ?? 0);
  if (endsAt > 0) trip.certificateDays = Math.floor((endsAt * 1000 - trip.wall()) / 86_400_000);
}
