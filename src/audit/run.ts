// One audit under way: what it may use, what it has found, and within which bounds. The parts of an
// audit are given this and nothing else. It must never let a finding carry more than its words and
// its place, nor let a part go on after the signal.

import type { AuditFinding, AuditReport } from '../core/audit.ts';
import type { CheckId, Finding, FindingWord, Name, RecordConfig, Severity } from '../core/model.ts';
import type { StatusView } from '../core/view.ts';
import type { Texts } from '../dns/company.ts';
import type { Resolver } from '../dns/resolver.ts';
import type { Provider } from '../kit/extend.ts';
import { parseHostPort, toName } from '../kit/schema.ts';
import type { Clock, Verifier, Visitor } from '../ports.ts';

/** Something that Detour cannot do its work without. */
export interface Need {
  /** As a sentence's subject: `the member etcd-1.example of etcd`. */
  readonly what: string;
  /** Things of one kind stand in for each other. */
  readonly kind: string;
  /** Host name or address; null: it has none, or none that is known. */
  readonly host: string | null;
  /** Where the configuration says that it sits; null: it does not say. */
  readonly cloud: string | null;
  /** How many of its kind must be left; null: it is only slower or blinder without. */
  readonly enough: 'one' | 'majority' | null;
  /** Of one account at a vendor: its name in the configuration. */
  readonly provider?: string;
  /** That it sits in a cloud was said, and is allowed for: told only where too few are left. */
  readonly isAllowedFor?: boolean;
}

/** Something with an end: a certificate that Detour shows or believes. */
export interface Ending {
  /** As a sentence's subject: `the certificate /etc/detour/etcd.pem`. */
  readonly what: string;
  /** PEM text; a sentence where it cannot be read now. */
  read(): { readonly pem: string } | { readonly why: string };
  /** Of several in it one is enough, as of authorities. */
  readonly isBundle?: boolean;
}

/** A check that can be asked under another name. */
export interface Ask {
  readonly check: CheckId;
  /** By https. */
  readonly secure: boolean;
  /** The name that it asks by itself. */
  readonly host: string;
  /** By which it can be asked from here; at least one. */
  readonly paths: readonly string[];
}

/** How targets are visited. */
export interface Visits extends Visitor {
  /** Of each origin at most one by http and one by https. */
  readonly asks: Readonly<Record<string, readonly Ask[]>>;
  /** A chain must hold for so many more days. */
  readonly certificateDays: number;
}

/** What is known of the set-up besides its records and vendors. */
export interface Surroundings {
  readonly needs: readonly Need[];
  readonly endings: readonly Ending[];
  /** The cloud of each origin. */
  readonly clouds: Readonly<Record<string, string>>;
  /** Addresses at which checks ask the origins of each cloud, where they are written out. */
  readonly addresses: Readonly<Record<string, readonly string[]>>;
  /** The cloud that each provider fails with; null: none that is known. */
  readonly vendorClouds: Readonly<Record<string, string | null>>;
  /** Who runs the name servers of each provider, where that follows from its type; null: open. */
  readonly operators: Readonly<Record<string, string | null>>;
  /** The region of each origin. */
  readonly regions: Readonly<Record<string, string>>;
}

export interface AuditorOptions {
  readonly records: Readonly<Record<Name, RecordConfig>>;
  readonly providers: Readonly<Record<string, Provider>>;
  /** `HOST` or `HOST:PORT` of a provider's authoritative servers for a record. */
  readonly servers: (
    provider: string,
    record: Name,
    signal: AbortSignal,
  ) => Promise<readonly string[]>;
  readonly resolver: Pick<Resolver, 'addresses' | 'delegation' | 'nameServers'>;
  readonly verifier: Pick<Verifier, 'ask' | 'chain'>;
  readonly texts: Texts;
  readonly clock: Pick<Clock, 'now' | 'wall'>;
  /** Targets are not visited unless given. */
  readonly visits?: Visits;
  /** Of every name server that has none of its own, and the limit of one exchange with it. */
  readonly port: number;
  readonly timeoutMs: number;
  /** Limit of the whole audit in milliseconds; 60,000 unless given. */
  readonly limitMs?: number;
  /** Nothing is known of them unless given. */
  readonly surroundings?: Surroundings;
  /** How long a server that lags is given before it is looked at again; 1,500 ms unless given. */
  readonly againMs?: number;
}

export interface Before {
  /** The report before: what cannot be seen now is taken over from it. */
  readonly previous?: AuditReport | null;
  /** Of the daemon, where there is one: checks that were never red, switches under way. */
  readonly status?: StatusView | null;
}

/** What a finding is about. */
export interface Place {
  readonly provider?: string;
  readonly zone?: Name;
  readonly record?: Name;
}

export interface Run extends AuditorOptions {
  readonly signal: AbortSignal;
  readonly before: Before;
  readonly all: readonly RecordConfig[];
  readonly around: Surroundings;
  readonly findings: readonly AuditFinding[];
  readonly complete: boolean;
  say(place: Place, finding: Finding): void;
  /** One that knows its place. */
  add(finding: AuditFinding): void;
  good(place: Place, word: FindingWord, sentence: string): void;
  /** It could not be seen now; `cure`: what would show it. */
  unknown(place: Place, word: FindingWord, sentence: string, cure?: string): void;
  warn(place: Place, word: FindingWord, sentence: string, cure: string): void;
  bad(place: Place, word: FindingWord, sentence: string, cure: string): void;
  /** Says that a bound was met. */
  cut(why: string): void;
}

/** Of each list that grows with the configuration: records, targets, names. */
export const recordsMax = 500;
const findingsMax = 5_000;
const nothing: Surroundings = {
  ...{ needs: [], endings: [], clouds: {}, addresses: {}, operators: {} },
  ...{ regions: {}, vendorClouds: {} },
};

export function newRun(options: AuditorOptions, signal: AbortSignal, before: Before): Run {
  const findings: AuditFinding[] = [];
  let complete = true;
  const add = (finding: AuditFinding): void => {
    if (findings.length < findingsMax) findings.push(finding);
    else complete = false;
  };
  const say = (place: Place, finding: Finding): void => {
    const { provider = null, zone = null, record = null } = place;
    // These and no more: what an adapter adds for itself is no part of a report.
    const { word, severity, sentence, cure } = finding;
    const said = { word, severity, sentence, cure };
    add({ ...said, provider, zone, record });
  };
  const saying =
    (severity: Severity) =>
    (place: Place, word: FindingWord, sentence: string, cure: string | null = null) =>
      say(place, { word, severity, sentence, cure });
  return {
    ...options,
    signal,
    before,
    all: Object.values(options.records),
    around: options.surroundings ?? nothing,
    findings,
    get complete() {
      return complete;
    },
    say,
    add,
    good: saying('good'),
    unknown: (place, word, sentence, cure = 'audit again') =>
      say(place, { word, severity: 'unknown', sentence, cure }),
    warn: saying('warn'),
    bad: saying('bad'),
    cut(why) {
      complete = false;
      const sentence = `the audit is not whole: ${why}`;
      say({}, { word: 'bounds', severity: 'warn', sentence, cure: 'audit again' });
    },
  };
}

/** Runs `work` on every item, `limit` at a time, until the signal. */
export async function sideBySide<T>(
  run: Pick<Run, 'signal'>,
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length && !run.signal.aborted) await work(items[next++]!);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
}

/** Waits; the signal cuts it short. */
export function pause(run: Run, ms: number): Promise<void> {
  return new Promise((done) => {
    if (run.signal.aborted) return done();
    const end = () => {
      clearTimeout(timer);
      done();
    };
    const timer = setTimeout(() => {
      run.signal.removeEventListener('abort', end);
      done();
    }, ms);
    run.signal.addEventListener('abort', end, { once: true });
  });
}

/** Where one of its own servers is asked, `HOST` or `HOST:PORT`; null where it is not found. */
export async function placeOf(run: Run, text: string) {
  const parsed = parseHostPort(text, run.port);
  if (parsed === null) return null;
  if (isAddress(parsed.host)) return { address: parsed.host, port: parsed.port };
  const [address] = await addressesOf(run, parsed.host);
  return address === undefined ? null : { address, port: parsed.port };
}

function isAddress(host: string): boolean {
  return /^[\d.]+$|:/.test(host);
}

/** All addresses of a host; none where they are not known now. */
export async function addressesOf(run: Run, host: string): Promise<readonly string[]> {
  if (isAddress(host)) return [host];
  const name = toName(host);
  if (name === null) return [];
  const found = await run.resolver.addresses(name, run.signal);
  return found.kind === 'found' ? found.addresses : [];
}

/** `12 min`, `1.5 h`, `2 days`; of seconds. */
export function spell(seconds: number): string {
  const round = (n: number) => Math.round(n * 10) / 10;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${round(seconds / 60)} min`;
  return seconds < 2 * 86_400 ? `${round(seconds / 3600)} h` : `${round(seconds / 86_400)} days`;
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
