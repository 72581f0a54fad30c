// What an audit says, as plain data: findings with the place they are about, and the facts for the
// engine. Pure: how findings are ordered and which of them are news is said here; looking is done
// elsewhere, and nothing here may decide what is done about a finding.

import { type Finding, type Name, type Severity, type Survey, severities } from './model.ts';

/** One thing that was looked at, and where. null: it is not about one of them alone. */
export interface AuditFinding extends Finding {
  readonly provider: string | null;
  readonly zone: Name | null;
  readonly record: Name | null;
}

export interface AuditReport {
  /** Wall clock of its start. */
  readonly wall: number;
  readonly tookMs: number;
  /** Everything was looked at that should be: no bound was met. */
  readonly complete: boolean;
  /** The worst first. */
  readonly findings: readonly AuditFinding[];
  readonly surveys: readonly Survey[];
}

/** The worst first, and within one severity by place; the order of equals is kept. */
export function worstFirst(findings: readonly AuditFinding[]): readonly AuditFinding[] {
  const place = (f: AuditFinding) => [f.zone ?? '', f.record ?? '', f.provider ?? ''].join(' ');
  return findings.toSorted((a, b) => {
    const by = severities.indexOf(a.severity) - severities.indexOf(b.severity);
    const [left, right] = [place(a), place(b)];
    return by !== 0 ? by : left < right ? -1 : left > right ? 1 : 0;
  });
}

export function countOf(report: AuditReport, severity: Severity): number {
  return report.findings.filter((f) => f.severity === severity).length;
}

/** Bad findings that the report before did not have; sentences may change, places do not. */
export function newlyBad(report: AuditReport, before: AuditReport | null): AuditFinding[] {
  const key = (f: AuditFinding) => JSON.stringify([f.word, f.provider, f.zone, f.record]);
  const isBad = (f: AuditFinding) => f.severity === 'bad';
  const known = new Set((before?.findings ?? []).filter(isBad).map(key));
  return report.findings.filter((f) => isBad(f) && !known.has(key(f)));
}
