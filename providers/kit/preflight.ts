// What the adapters share when they look whether an account could be written right now: findings
// in the house's words, each with how far it reaches, and which fault speaks of the way there, of
// the keys, or of the zone. It must never reject, and never let a write be tried where the reading
// before it failed.

import { randomBytes } from 'node:crypto';
import type { Answer, FindingWord, Name, Reach, RefusalWord, Seen } from '../../src/core/model.ts';
import type { Provider, ReachingFinding } from '../../src/kit/extend.ts';
import { reachOf } from './by-zone.ts';
import type { Trouble } from './fault.ts';

/** What is found out about the record alone, or about everything in the account. */
export const ofRecord: Reach = { kind: 'record' };
export const ofAccount: Reach = { kind: 'account' };

/** What is found out about a whole zone. */
export function ofZone(zone: Name): Reach {
  return { kind: 'zone', zone };
}

export function good(reach: Reach, word: FindingWord, sentence: string): ReachingFinding {
  return { reach, word, severity: 'good', sentence, cure: null };
}

export function warn(
  reach: Reach,
  word: FindingWord,
  sentence: string,
  cure: string | null = null,
): ReachingFinding {
  return { reach, word, severity: 'warn', sentence, cure };
}

/** It could not be seen now, which is nobody's fault. */
function unseen(reach: Reach, word: FindingWord, sentence: string, cure: string): ReachingFinding {
  return { reach, word, severity: 'unknown', sentence, cure };
}

export function bad(
  reach: Reach,
  word: FindingWord,
  sentence: string,
  cure: string | null = null,
): ReachingFinding {
  return { reach, word, severity: 'bad', sentence, cure };
}

/** A word that nobody has used: what a harmless write may name without meeting anything. */
export function never(): string {
  return randomBytes(16).toString('hex');
}

/**
 * The trouble of a reading as a finding: keys refused are `credentials`, a vendor that was not
 * reached or does not serve is `reach`, whatever else it refuses is about `word`. `zone` is where it
 * was met; null while no zone was known.
 */
export function fromTrouble(
  word: FindingWord,
  zone: Name | null,
  trouble: Trouble,
): ReachingFinding {
  const { kind, detail, cure = null } = trouble.fault;
  const reach = reachOf(trouble, zone);
  if (kind === 'auth-suspect') return bad(reach, 'credentials', detail, cure);
  if (kind === 'throttled') {
    return unseen(reach, 'reach', detail, cure ?? 'look again in a few minutes');
  }
  if (kind === 'unavailable' || kind === 'uncertain') return bad(reach, 'reach', detail, cure);
  return bad(reach, word, detail, cure);
}

/**
 * The trouble of a write that could change nothing. `conflict` is what such a write is meant to
 * meet: the vendor looked at the change itself, so the keys may write.
 */
export function fromProbe(zone: Name, trouble: Trouble | null): ReachingFinding {
  const word = 'write-permission';
  if (trouble === null || trouble.fault.kind === 'conflict') {
    const sentence = `the keys may write in ${zone}: a write that changes nothing was looked at`;
    return good(ofZone(zone), word, sentence);
  }
  const { kind, detail, cure = null } = trouble.fault;
  const reach = reachOf(trouble, zone);
  if (kind === 'throttled') {
    return unseen(reach, word, `writing was not tried: ${detail}`, 'look again later');
  }
  if (kind === 'unavailable' || kind === 'uncertain') {
    return bad(reach, 'reach', `readings are answered, a write is not: ${detail}`, cure);
  }
  return bad(reach, word, detail, cure);
}

/** How long a switch may be late because of the vendor's least TTL, in seconds; null: none. */
export function ttlFloor(zone: Name, seconds: number | null): ReachingFinding {
  const reach = ofZone(zone);
  if (seconds === null) return good(reach, 'ttl-floor', `${zone} takes any TTL`);
  const sentence = `${zone} takes no TTL under ${seconds} s`;
  if (seconds <= 60) return good(reach, 'ttl-floor', sentence);
  const cure = `take an edition with a lower floor, or publish there with a ttl of ${seconds}`;
  return warn(
    reach,
    'ttl-floor',
    `${sentence}: resolvers may follow a switch that much later`,
    cure,
  );
}

/** Longest time, in seconds, for which a missing name should be remembered. */
const negativeTtlMax = 300;

/** `seconds`: the lesser of the SOA's TTL and its minimum (RFC 2308 5). */
export function negativeTtl(zone: Name, seconds: number): ReachingFinding {
  const reach = ofZone(zone);
  const sentence = `resolvers remember for ${seconds} s that a name in ${zone} does not exist`;
  if (seconds <= negativeTtlMax) return good(reach, 'negative-ttl', sentence);
  const cure = `set the SOA's minimum to ${negativeTtlMax} or less: one empty answer lasts so long`;
  return warn(reach, 'negative-ttl', sentence, cure);
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

/** Why a record may not be written, or who else writes it, as its reading says; often nothing. */
export function fromAnswer(answer: Answer<Seen>): ReachingFinding[] {
  if (answer.kind === 'not-asked') {
    return [unseen(ofRecord, 'record', 'there was no room to read it', 'look again')];
  }
  if (answer.kind === 'fault') {
    const { fault, reach } = answer;
    const zone = reach.kind === 'zone' ? reach.zone : null;
    return [fromTrouble('record', zone, { fault, scope: reach.kind })];
  }
  const { refusal, company = [] } = answer.value;
  const others = company.map(({ tool, by }) => {
    const cure =
      'exclude the record and its marker there, then take that away (docs/other-tools.md)';
    return warn(ofRecord, 'company', `${tool} manages it as well, by ${by}`, cure);
  });
  if (refusal === null) return others;
  return [bad(ofRecord, wordOf[refusal.word], refusal.sentence), ...others];
}

/** What stands at a record, read as any reading of it. */
export async function lookAtRecord(
  provider: Pick<Provider, 'read'>,
  record: Name,
  signal: AbortSignal,
): Promise<readonly ReachingFinding[]> {
  const { [record]: answer } = await provider.read([record], signal);
  return fromAnswer(answer ?? { kind: 'not-asked' });
}

/** Whether a write may be tried at all after these findings. */
export function mayTry(findings: readonly ReachingFinding[]): boolean {
  const ends: readonly FindingWord[] = ['zone', 'reach', 'credentials'];
  return !findings.some((f) => f.severity === 'bad' && ends.includes(f.word));
}

/** That the zone was read, which nobody can without the keys. */
export function zoneRead(zone: Name): ReachingFinding {
  return good(ofZone(zone), 'credentials', `the keys are taken: ${zone} was read with them`);
}
