// What the adapters share when they look whether an account could be written right now: findings
// in the house's words, and which fault speaks of the way there, of the keys, or of the zone. It
// must never reject, and never let a write be tried where the reading before it failed.

import { randomBytes } from 'node:crypto';
import type {
  Fault,
  Finding,
  FindingWord,
  Name,
  RefusalWord,
  Result,
  Seen,
} from '../../src/core/model.ts';
import type { Provider } from '../../src/kit/extend.ts';

export function good(word: FindingWord, sentence: string): Finding {
  return { word, severity: 'good', sentence, cure: null };
}

export function warn(word: FindingWord, sentence: string, cure: string | null = null): Finding {
  return { word, severity: 'warn', sentence, cure };
}

export function bad(word: FindingWord, sentence: string, cure: string | null = null): Finding {
  return { word, severity: 'bad', sentence, cure };
}

/** A word that nobody has used: what a harmless write may name without meeting anything. */
export function never(): string {
  return randomBytes(16).toString('hex');
}

/**
 * A fault of a reading as a finding: keys refused are `credentials`, a vendor that was not reached
 * or does not serve is `reach`, whatever else it refuses is about `word`.
 */
export function fromFault(word: FindingWord, { kind, detail, cure }: Fault): Finding {
  if (kind === 'auth-suspect') return bad('credentials', detail, cure ?? null);
  if (kind === 'throttled') return warn('reach', detail, cure ?? 'look again in a few minutes');
  if (kind === 'unavailable' || kind === 'uncertain') return bad('reach', detail, cure ?? null);
  return bad(word, detail, cure ?? null);
}

/**
 * A fault of a write that could change nothing. `conflict` is what such a write is meant to meet:
 * the vendor looked at the change itself, so the keys may write.
 */
export function fromProbe(zone: Name, fault: Fault | null): Finding {
  const word = 'write-permission';
  if (fault === null || fault.kind === 'conflict') {
    return good(word, `the keys may write in ${zone}: a write that changes nothing was looked at`);
  }
  const { kind, detail, cure } = fault;
  if (kind === 'throttled')
    return warn(word, `writing was not tried: ${detail}`, 'look again later');
  if (kind === 'unavailable' || kind === 'uncertain') {
    return bad('reach', `readings are answered, a write is not: ${detail}`, cure ?? null);
  }
  return bad(word, detail, cure ?? null);
}

/** How long a switch may be late because of the vendor's least TTL, in seconds; null: none. */
export function ttlFloor(zone: Name, seconds: number | null): Finding {
  if (seconds === null) return good('ttl-floor', `${zone} takes any TTL`);
  const sentence = `${zone} takes no TTL under ${seconds} s`;
  if (seconds <= 60) return good('ttl-floor', sentence);
  const cure = `take an edition with a lower floor, or publish there with a ttl of ${seconds}`;
  return warn('ttl-floor', `${sentence}: resolvers may follow a switch that much later`, cure);
}

/** Longest time, in seconds, for which a missing name should be remembered. */
const negativeTtlMax = 300;

/** `seconds`: the lesser of the SOA's TTL and its minimum (RFC 2308 5). */
export function negativeTtl(zone: Name, seconds: number): Finding {
  const sentence = `resolvers remember for ${seconds} s that a name in ${zone} does not exist`;
  if (seconds <= negativeTtlMax) return good('negative-ttl', sentence);
  const cure = `set the SOA's minimum to ${negativeTtlMax} or less: one empty answer lasts so long`;
  return warn('negative-ttl', sentence, cure);
}

/** The finding that a refusal belongs to; the others are about the record as a whole. */
const wordOf = {
  alias: 'record',
  apex: 'record',
  blocked: 'zone',
  delegated: 'record',
  disabled: 'record',
  flattened: 'flattening',
  'health-check': 'record',
  line: 'record',
  locked: 'protection',
  'odd-value': 'record',
  other: 'record',
  'other-type': 'record',
  proxied: 'proxied',
  secondary: 'zone',
  synthesized: 'record',
  'traffic-policy': 'record',
  weighted: 'record',
} satisfies Readonly<Record<RefusalWord, FindingWord>>;

/** Why a record may not be written, as its reading says; nothing where it may. */
export function fromSeen(record: Name, read: Result<Readonly<Record<Name, Seen>>>): Finding[] {
  if (!read.ok) return [fromFault('record', read.fault)];
  const refusal = read.value[record]?.refusal ?? null;
  return refusal === null ? [] : [bad(wordOf[refusal.word], refusal.sentence)];
}

/** What stands at a record, read as any reading of it. */
export async function lookAtRecord(
  provider: Pick<Provider, 'read'>,
  record: Name,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  return fromSeen(record, await provider.read([record], signal));
}

/** Whether a write may be tried at all after these findings. */
export function mayTry(findings: readonly Finding[]): boolean {
  const ends: readonly FindingWord[] = ['zone', 'reach', 'credentials'];
  return !findings.some((f) => f.severity === 'bad' && ends.includes(f.word));
}

/** That the zone was read, which nobody can without the keys. */
export function zoneRead(zone: Name): Finding {
  return good('credentials', `the keys are taken: ${zone} was read with them`);
}
