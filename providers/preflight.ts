// What the adapters share when they look whether an account could be written right now: findings
// in the house's words, and which fault speaks of the way there, of the keys, or of the zone. It
// must never reject, and never let a write be tried where the reading before it failed.

import type { Fault, Finding, Name, Result } from '../src/core/model.ts';
import type { Provider, ZoneFacts } from '../src/ports.ts';

export function good(word: string, sentence: string): Finding {
  return { word, severity: 'good', sentence, cure: null };
}

export function warn(word: string, sentence: string, cure: string | null = null): Finding {
  return { word, severity: 'warn', sentence, cure };
}

export function bad(word: string, sentence: string, cure: string | null = null): Finding {
  return { word, severity: 'bad', sentence, cure };
}

/**
 * A fault of a reading as a finding: keys refused are `credentials`, a vendor that was not reached
 * or does not serve is `reach`, whatever else it refuses is about `word`.
 */
export function fromFault(word: string, { kind, detail, cure }: Fault): Finding {
  if (kind === 'auth-suspect') return bad('credentials', detail, cure ?? null);
  if (kind === 'throttled') return warn('reach', detail, cure ?? 'look again in a few minutes');
  if (kind === 'unavailable' || kind === 'uncertain') return bad('reach', detail, cure ?? null);
  return bad(word, detail, cure ?? null);
}

/** The zone read through the account's own keys: what every preflight begins with. */
export async function lookAtZone(
  provider: Pick<Provider, 'zone'>,
  record: Name,
  signal: AbortSignal,
): Promise<{ readonly findings: readonly Finding[]; readonly facts: ZoneFacts | null }> {
  const read: Result<ZoneFacts> = await provider.zone(record, signal);
  if (!read.ok) return { findings: [fromFault('zone', read.fault)], facts: null };
  const { zone, warnings } = read.value;
  const findings = [
    good('credentials', `the keys are taken: zone ${zone} was read with them`),
    ...warnings.map((sentence) => warn('zone', sentence)),
  ];
  return { findings, facts: read.value };
}
