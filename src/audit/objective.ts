// What is promised to the clients of each record, against what they have to expect: one finding a
// record, from the view of the daemon. It asks nothing and measures nothing.

import type { AuditFinding } from '../core/audit.ts';
import { unrooted } from '../core/name.ts';
import type { RecordView, StatusView } from '../core/view.ts';

type Part = NonNullable<RecordView['predicted']>['parts'][number];

/** Findings about objectives; none where nothing is promised. */
export function lookAtObjectives({ records }: Pick<StatusView, 'records'>): AuditFinding[] {
  return records.flatMap((record) => findingsOf(record));
}

function findingsOf({ name, objectiveMs, predicted }: RecordView): AuditFinding[] {
  if (objectiveMs === null || predicted === null) return [];
  const place = { word: 'objective', zone: null, record: name } as const;
  const part = predicted.parts.find(({ provider }) => provider === predicted.worst)!;
  const taken = part.measured === 0 ? '; nothing is measured there yet' : '';
  const says = `${seconds(predicted.totalMs)} until the last client follows (${inWords(part)}${taken})`;
  if (predicted.totalMs <= objectiveMs) {
    const sentence = `${unrooted(name)}: its objective of ${seconds(objectiveMs)} can be kept: ${says}`;
    return [{ ...place, severity: 'good', sentence, cure: null, provider: null }];
  }
  return [
    {
      ...place,
      severity: 'bad',
      sentence: `${unrooted(name)}: its objective of ${seconds(objectiveMs)} cannot be kept: ${says}`,
      cure: cureOf(part, predicted.totalMs - objectiveMs),
      provider: part.provider,
    },
  ];
}

/** What takes longest is what there is to gain. */
function cureOf(part: Part, overMs: number): string {
  const { provider, detectMs, ttlMs, writeMs, visibleMs } = part;
  const over = `${seconds(overMs)} must be saved`;
  if (ttlMs >= detectMs && ttlMs >= writeMs + visibleMs) {
    return `${over}: lower its ttl at ${provider}, or promise more time`;
  }
  if (detectMs >= writeMs + visibleMs) {
    return `${over}: lower patience or interval, or promise more time`;
  }
  return `${over}: publish it at a provider that is quicker than ${provider}, or promise more time`;
}

function inWords({ provider, detectMs, commitMs, writeMs, visibleMs, ttlMs }: Part): string {
  const steps = [
    `detection and patience ${seconds(detectMs)}`,
    ...(commitMs > 0 ? [`commit ${seconds(commitMs)}`] : []),
    `written ${seconds(writeMs)}`,
    `visible ${seconds(visibleMs)}`,
    `TTL ${seconds(ttlMs)}`,
  ];
  return `${provider}: ${steps.join(', ')}`;
}

function seconds(ms: number): string {
  return `${Number((ms / 1000).toFixed(ms < 100_000 ? 1 : 0))} s`;
}
