// What an audit says, as plain data: findings with the place they are about, and the facts for the
// engine. Pure: how findings are ordered, which of them are news and what grade they come to is said
// here; looking is done elsewhere, and nothing here may decide what is done about a finding.

import {
  type Finding,
  type FindingWord,
  type Name,
  type Severity,
  type Standby,
  type Survey,
  severities,
} from './model.ts';

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
  /** What the findings come to. */
  readonly grades: Grades;
  /** The worst first. */
  readonly findings: readonly AuditFinding[];
  readonly surveys: readonly Survey[];
  /** Of every target of every record with public names. */
  readonly standbys: readonly Standby[];
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

// ---------------------------------------------------------------- grades

/** The best first. There is no E. */
export const grades = ['A', 'B', 'C', 'D', 'F'] as const;
export type Grade = (typeof grades)[number];

export const auditAreas = [
  'names',
  'delegation',
  'vendors',
  'times',
  'signatures',
  'independence',
  'practice',
] as const;
export type AuditArea = (typeof auditAreas)[number];

const areaOf = {
  'accelerated-recovery': 'vendors',
  bounds: 'practice',
  cname: 'names',
  company: 'vendors',
  credentials: 'vendors',
  delegation: 'delegation',
  dependence: 'independence',
  dnssec: 'signatures',
  drill: 'practice',
  expiry: 'vendors',
  'fan-in': 'times',
  flattening: 'names',
  'in-step': 'names',
  key: 'vendors',
  'left-behind': 'delegation',
  'multi-provider': 'vendors',
  'negative-answer': 'signatures',
  'negative-ttl': 'times',
  'never-red': 'practice',
  'ns-set': 'delegation',
  objective: 'times',
  other: 'vendors',
  'parent-ttl': 'times',
  protection: 'vendors',
  proxied: 'names',
  'public-name': 'names',
  reach: 'vendors',
  record: 'names',
  'same-hands': 'independence',
  serials: 'delegation',
  serving: 'delegation',
  'shared-fate': 'independence',
  'single-provider': 'independence',
  standby: 'names',
  'standby-certificate': 'names',
  target: 'names',
  ttl: 'times',
  'ttl-cost': 'times',
  'ttl-floor': 'times',
  untried: 'practice',
  'write-permission': 'vendors',
  zone: 'vendors',
} satisfies Readonly<Record<FindingWord, AuditArea>>;

interface Grades {
  /** The worst of the areas'; null where nothing could be seen. */
  readonly overall: Grade | null;
  /** null: nothing of it could be seen, or nobody looked. */
  readonly areas: Readonly<Record<AuditArea, Grade | null>>;
}

/**
 * The grade of each area and of the whole. F: something in it is bad. Else it goes by how many kinds
 * of things want a look, in however many places: A none, B one, C two, D more. What could not be seen
 * counts neither way.
 */
export function gradesOf(findings: readonly Pick<Finding, 'word' | 'severity'>[]): Grades {
  const byArea = Map.groupBy(findings, ({ word }) => areaIn(word));
  const of = auditAreas.map((area) => [area, gradeOf(byArea.get(area) ?? [])] as const);
  const given = of.flatMap(([, grade]) => grade ?? []);
  return {
    overall: given.toSorted((a, b) => grades.indexOf(b) - grades.indexOf(a))[0] ?? null,
    areas: Object.fromEntries(of) as Record<AuditArea, Grade | null>,
  };
}

/** A word of a daemon of another version counts, too. */
function areaIn(word: FindingWord): AuditArea {
  return Object.hasOwn(areaOf, word) ? areaOf[word] : 'vendors';
}

function gradeOf(findings: readonly Pick<Finding, 'word' | 'severity'>[]): Grade | null {
  if (findings.some(({ severity }) => severity === 'bad')) return 'F';
  const odd = new Set(findings.flatMap((f) => (f.severity === 'warn' ? f.word : [])));
  if (odd.size > 0) return (['B', 'C', 'D'] as const)[Math.min(odd.size, 3) - 1]!;
  return findings.some(({ severity }) => severity === 'good') ? 'A' : null;
}

/** Whether a grade is `least` or worse. What has none is not worse than anything. */
export function isAsBadAs(grade: Grade | null, least: Grade): boolean {
  return grade !== null && grades.indexOf(grade) >= grades.indexOf(least);
}
