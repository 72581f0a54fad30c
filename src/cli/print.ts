// Views as text for people: tables, times, wrapped sentences, colours. Pure: a view and the width of
// the paper go in, text comes out. Whatever came from outside (a vendor's message, a reason) loses
// its control characters here, so that no text can move the cursor or forge a line.

import { styleText } from 'node:util';
import { type AuditFinding, type AuditReport, auditAreas, countOf } from '../core/audit.ts';
import { drillKinds, type Name, type Severity, severities, type Verdict } from '../core/model.ts';
import { asciiOf, graphemes, listOf, unrooted, width } from '../core/name.ts';
import type {
  ApprovalView,
  LaneStateWord,
  LaneView,
  OriginView,
  ProviderView,
  RecordView,
  Stage,
  StatusView,
  TargetView,
} from '../core/view.ts';
import type { StoredEntry } from '../ports.ts';
import { type Listed, sharedWorries, type Worry, worstFirst } from './worry.ts';

interface Paper {
  readonly columns: number;
  readonly colour: boolean;
}

type Style = Parameters<typeof styleText>[0];

interface Cell {
  readonly text: string;
  readonly style?: Style;
  readonly right?: boolean;
}

/** How much of each record is shown: a line, a longer line, all of it. */
export const forms = ['short', 'wide', 'full'] as const;
export type Form = (typeof forms)[number];

/** What is shown of a view: `of` records there are, whether or not all of them are in it. */
interface Shown {
  readonly form: Form;
  readonly of: number;
}

/** The status, what all records share first, then the records, trouble first. */
export function printStatus(view: StatusView, paper: Paper, { form, of }: Shown): string {
  const page = paperOf(paper);
  const listed = worstFirst(view.records);
  head(
    page,
    view,
    form === 'full' ? null : `${of} ${of === 1 ? 'record' : 'records'}${sick(listed)}`,
  );
  worriesPart(page, view, form === 'full' ? Number.POSITIVE_INFINITY : WORRIES_MOST);
  if (form !== 'full') {
    if (listed.length > 0) listPart(page, view, listed, form === 'wide');
    return page.text();
  }
  for (const { record } of listed) recordPart(page, view, record);
  if (view.origins.length > 0) originsPart(page, view, view.origins);
  if (view.lanes.length > 0) lanesPart(page, view, view.lanes);
  if (of > 1) neverFailedPart(page, view);
  return page.text();
}

/** Journal entries, the oldest first, so that the newest stands beside the prompt. */
export function printHistory(
  newestFirst: readonly (StoredEntry & { readonly replica?: string })[],
  paper: Paper,
): string {
  const page = paperOf(paper);
  const broad = Math.max(0, ...newestFirst.map(({ replica }) => width(clean(replica ?? ''))));
  for (const entry of newestFirst.toReversed()) {
    // Most sentences begin with the record's name.
    const isNamed =
      entry.record === null || unrooted(entry.sentence).includes(printName(entry.record));
    const about = isNamed ? '' : `${printName(entry.record!)}: `;
    const who = broad === 0 ? '' : `${clean(entry.replica ?? '').padEnd(broad)}  `;
    const start = `${date(entry.wall)}  ${who}${String(entry.seq).padStart(5)}  `;
    page.flow(start, [{ text: entry.kind }, { text: about + entry.sentence }]);
  }
  return page.text();
}

/** Findings as a table, the worst first; what is good only counted, unless `all` or a plain fact. */
export function printAudit(report: AuditReport, paper: Paper, all: boolean): string {
  const page = paperOf(paper);
  const styles = {
    ...{ bad, warn: 'yellow', unknown: 'cyan', good: 'green' },
  } satisfies Record<Severity, Style>;
  // What each vendor would leave behind is worth knowing before it does.
  const isShown = (f: AuditFinding) => all || f.severity !== 'good' || f.word === 'left-behind';
  const shown = report.findings.filter(isShown);
  const rows = shown.map((f): Cell[] => [
    { text: f.severity, style: styles[f.severity]! },
    { text: f.word },
    { text: whereOf(f) },
    { text: f.cure === null ? f.sentence : `${f.sentence}. Cure: ${f.cure}` },
  ]);
  if (rows.length > 0) page.table(['', 'what', 'where', 'finding'], rows);
  if (rows.length > 0) page.blank();
  const [wrong, odd, unseen, fine] = severities.map((severity) => countOf(report, severity));
  const hidden = all || fine === 0 ? '' : ' (--all shows it)';
  const unsure = unseen === 0 ? '' : `${unseen} not seen, `;
  const counts = `${wrong} bad, ${odd} to look at, ${unsure}${fine} good${hidden}`;
  page.flow('', [{ text: `audited in ${span(report.tookMs)}: ${counts}` }]);
  const { overall, areas } = report.grades;
  const each = auditAreas.map((area) => `${area} ${areas[area] ?? '-'}`).join(', ');
  page.flow('', [{ text: `grade ${overall ?? '-'}`, style: gradeStyle(overall) }, { text: each }]);
  return page.text();
}

function gradeStyle(grade: AuditReport['grades']['overall']): Style {
  if (grade === null) return 'cyan';
  return grade === 'F' ? bad : grade === 'A' ? 'green' : 'yellow';
}

/** `grade B, 12m ago: 0 bad, 3 to look at`; what is bad stands with the worries. */
function auditLine(page: Page, view: StatusView): void {
  if (view.audit === null) return;
  const { at, grade, bad: found, warn, complete } = view.audit;
  const whole = complete ? '' : '; not whole';
  const counts = `${found.length} bad, ${warn} to look at${whole} (detour audit)`;
  const text = `grade ${grade ?? '-'}, ${age(view.at - at)} ago: ${counts}`;
  page.flow('  audit      ', [{ text, style: gradeStyle(grade) }]);
}

/** `www.example.net cf`: the record, or else the zone, and the provider. */
function whereOf({ record, zone, provider }: AuditFinding): string {
  const name = record ?? zone;
  return [name === null ? '' : printName(name), provider ?? ''].filter(Boolean).join(' ');
}

/** A name as it is written in the configuration: without the last dot. */
export function printName(name: Name): string {
  return name.endsWith('.') ? name.slice(0, -1) : name;
}

/** `312 ms`, `1.2 s`, then as `age`. */
export function span(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : age(ms);
}

/** The two largest units of a time, rounded down: `3h 12m`. */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0s';
  const kept = parts.slice(first, first + 2).filter(([count]) => count > 0);
  return kept.map(([count, unit]) => `${count}${unit}`).join(' ');
}

/** One line of text without control, format or line-breaking characters, and no space around it. */
export function clean(text: string): string {
  return strip(text).trim();
}

function strip(text: string): string {
  return unrooted(text)
    .replace(/[\t\n\v\f\r\u2028\u2029]+/g, ' ')
    .replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, '');
}

function date(wall: number): string {
  const at = new Date(wall);
  if (Number.isNaN(at.getTime())) return 'unknown time'.padEnd(20);
  return at
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, 'Z');
}

// ---------------------------------------------------------------- the parts of the status

function head(page: Page, view: StatusView, count: string | null): void {
  page.flow('', [
    { text: `cluster ${view.cluster}`, style: 'bold' },
    { text: `detour ${view.version}` },
    { text: date(view.wall) },
    view.ready.ok ? { text: 'ready', style: 'green' } : { text: 'NOT READY', style: bad },
    ...(count === null ? [] : [{ text: count }]),
  ]);
  if (view.group !== null) groupLines(page, view.at, view.group);
  waitingLines(page, view);
  if (view.freeze !== null) {
    page.flow('  frozen     ', [{ text: heldLine(view, view.freeze), style: 'yellow' }]);
  }
  for (const drain of view.drains) {
    const text = `${drain.what} ${heldLine(view, drain)}`;
    page.flow('  drained    ', [{ text, style: 'yellow' }]);
  }
  for (const { name, maintenance } of view.origins) {
    if (maintenance === null) continue;
    const text = `${name} is out of choice ${maintenanceLine(view, maintenance)}`;
    page.flow('  maintained ', [{ text, style: 'yellow' }]);
  }
  drillLine(page, view);
  auditLine(page, view);
}

/** `for 48m more (maintenance, Sun 02:00-04:00)` */
function maintenanceLine(view: StatusView, of: Maintained): string {
  return `for ${age(of.untilAt - view.at)} more (maintenance, ${of.window})`;
}

type Maintained = NonNullable<RecordView['maintenance']>;

/** The last of each kind, what did not pass, and what is overdue; nothing where nobody drills. */
function drillLine(page: Page, { at, drills }: StatusView): void {
  const { last, scheduled, overdue } = drills;
  if (last.length === 0 && overdue.length === 0) return;
  const parts: Cell[] = [];
  for (const drill of drillKinds) {
    const all = last.filter((one) => one.drill === drill);
    const late = overdue.filter((one) => one.drill === drill);
    if (all.length === 0 && late.length === 0) continue;
    const wrong = all.filter(({ result }) => result !== 'passed');
    const ended = Math.max(...all.map((one) => one.at));
    const took = Math.max(...all.map(({ ms }) => ms ?? 0));
    const ago = all.length === 0 ? 'never' : `${age(at - ended)} ago, ${span(took)}`;
    const next = scheduled.find((one) => one.drill === drill)?.nextAt ?? null;
    const then = next === null || next <= at ? '' : `, next in ${age(next - at)}`;
    const bad = [
      ...(wrong.length === 0
        ? []
        : [`${wrong.map(({ name }) => printName(name)).join(', ')} did not pass`]),
      ...(late.length === 0
        ? []
        : [`${late.map(({ name }) => printName(name)).join(', ')} overdue${whyLate(late)}`]),
    ];
    const text = `${drill} ${ago}${then}${bad.map((one) => `; ${one}`).join('')}`;
    parts.push(bad.length === 0 ? { text } : { text, style: 'yellow' });
  }
  page.flow('  drills     ', parts);
}

function whyLate(late: StatusView['drills']['overdue']): string {
  const why = late.find((one) => one.why !== '')?.why ?? '';
  return why === '' ? '' : ` (${why})`;
}

const WAITING_MOST = 5;

/** Above all else: somebody is asked, and how to answer. */
function waitingLines(page: Page, view: StatusView): void {
  const waiting = view.records.flatMap((record) =>
    record.approval ? [{ record, approval: record.approval }] : [],
  );
  for (const { record, approval } of waiting.slice(0, WAITING_MOST)) {
    const { id, sentence } = approval;
    const text = `${printName(record.name)}: ${sentence} (${lifeOf(view, approval)})`;
    page.flow('  WAITS      ', [{ text, style: bad }]);
    page.flow('             ', [
      { text: `detour approve ${id}`, style: 'bold' },
      { text: `detour reject ${id}`, style: 'bold' },
    ]);
  }
  const more = waiting.length - WAITING_MOST;
  if (more > 0)
    page.flow('             ', [{ text: `and ${more} more: \`detour approve\` names all` }]);
}

/** `hz-1 acts (term 7); this is nrt-1, which follows` */
function groupLines(page: Page, at: number, group: Group): void {
  const { self, role, acts, term, word, sentence, replicas, minority } = group;
  const who = acts === null ? 'no replica acts' : `${acts} acts (term ${term})`;
  const here = role === 'acts' ? 'this is that one' : `this is ${self}, which follows`;
  const style = word !== null ? bad : acts === null ? 'yellow' : undefined;
  const says = word === null ? '' : `; ${word}: ${sentence}`;
  const text = `${who}; ${here}${says}`;
  page.flow('  group      ', [style === undefined ? { text } : { text, style }]);
  for (const one of replicas) if (!one.self) replicaLine(page, at, one);
  if (minority !== null) page.flow('             ', [{ text: minority, style: bad }]);
}

/** `nrt-1: heard 0.2 s ago; another definition of www.gslb.example.net` */
function replicaLine(page: Page, at: number, one: Group['replicas'][number]): void {
  const { name, heard, sinceAt, why, ageMs, blind, sameConfig, differs } = one;
  const said = ageMs === null ? '' : ` ${span(ageMs)} ago`;
  const parts = [
    heard ? `heard${said}` : `NOT HEARD for ${age(at - sinceAt)}, so it has no vote: ${why}`,
    ...(heard && blind ? ['blind: it does not vote'] : []),
    ...(differs.length > 0 ? [`another definition of ${listOf(differs.map(printName))}`] : []),
    ...(sameConfig === false && differs.length === 0 ? ['another configuration'] : []),
  ];
  const isWell = heard && !blind && sameConfig !== false;
  const style = isWell ? undefined : heard ? ('yellow' as const) : bad;
  const text = parts.join('; ');
  page.flow(`    ${name}: `, [style === undefined ? { text } : { text, style }]);
}

type Group = NonNullable<StatusView['group']>;

/** `by ann for 12m, 48m left: kernel update` */
function heldLine(view: StatusView, { by, reason, sinceAt, untilAt }: Held): string {
  const left = untilAt === null ? '' : `, ${age(untilAt - view.at)} left`;
  return `by ${by} for ${age(view.at - sinceAt)}${left}: ${reason}`;
}

type Held = NonNullable<StatusView['freeze']>;

const WORRIES_MOST = 12;

/** What is wrong with what the records share: the diagnosis first of all. */
function worriesPart(page: Page, view: StatusView, most: number): void {
  const worries = sharedWorries(view);
  const broad = Math.max(9, ...worries.map(({ word }) => width(clean(word))));
  for (const { level, word, sentence } of worries.slice(0, most)) {
    const style = level === 'trouble' ? bad : 'yellow';
    page.flow(`  ${clean(word).padEnd(broad)}  `, [{ text: sentence, style }]);
  }
  const more = worries.length - most;
  if (more > 0) page.flow('  ', [{ text: `and ${more} more: -o full shows them` }]);
  // The whole form has it beside each origin.
  if (most === Number.POSITIVE_INFINITY) return;
  for (const origin of view.origins.filter(({ rate }) => rate.limited !== null).slice(0, most)) {
    const text = `${origin.name}: ${limitedSays(view, origin)}`;
    page.flow(`  ${'limited'.padEnd(broad)}  `, [{ text, style: 'yellow' }]);
  }
}

/** `, 2 in trouble, 1 of which nobody can tell` */
function sick(listed: readonly Listed[]): string {
  const count = (level: string) => listed.filter(({ worry }) => worry.level === level).length;
  const [wrong, unsure] = [count('trouble'), count('unknown')];
  return [
    wrong === 0 ? '' : `, ${wrong} in trouble`,
    unsure === 0 ? '' : `, ${unsure} of which nobody can tell`,
  ].join('');
}

// ---------------------------------------------------------------- a line a record

const heads = ['', 'RECORD', 'TARGET', 'HEALTH', 'SERVED', 'FOR', 'STATE'];
const wideHeads = ['MODE', 'EPOCH', 'PIN', 'BUDGET', 'TARGETS', 'SERVES'];

function listPart(page: Page, view: StatusView, listed: readonly Listed[], wide: boolean): void {
  page.blank();
  const rows = listed.map(({ record, worry }) => [
    ...listRow(view, record, worry),
    ...(wide ? wideCells(view, record) : []),
    { text: worry.sentence },
  ]);
  page.table([...heads, ...(wide ? wideHeads : []), 'WHY'], rows, { cut: true });
}

function listRow(view: StatusView, record: RecordView, { level, word }: Worry): Cell[] {
  const { target, mode, providers, decidedAt } = record;
  const isObserved = mode === 'observe';
  const on = record.targets.find((t) => t.origin === target);
  const right = providers.filter(({ stage }) => stage === 'visible').length;
  const style = { trouble: bad, unknown: 'yellow', note: 'cyan', well: 'green' } as const;
  return [
    { text: { trouble: '!', unknown: '?', note: '', well: '' }[level], style: style[level] },
    { text: printName(record.name) },
    // What is only imagined does not read as what is.
    { text: target === null ? '-' : isObserved ? `(${target})` : target },
    on === undefined ? { text: '-' } : healthCell(on),
    { text: isObserved ? '-' : `${right}/${providers.length}`, right: true },
    { text: decidedAt === null ? '-' : age(view.at - decidedAt) },
    { text: isObserved && level !== 'trouble' ? 'observe' : word, style: style[level] },
  ];
}

function wideCells(view: StatusView, record: RecordView): Cell[] {
  const { pin, budget, targets, providers } = record;
  const left = pin === null ? '-' : pin.untilAt === null ? 'no end' : age(pin.untilAt - view.at);
  const healths = targets.map((t) => `${t.origin}:${t.drained ? 'drained' : t.health}`);
  const serves = providers.map((p) => `${p.provider}:${servesOf(record, p)}`);
  return [
    { text: record.mode },
    { text: String(record.epoch), right: true },
    { text: left },
    { text: `${budget.used}/${budget.limit}`, right: true },
    { text: healths.join(' ') },
    { text: serves.join(' ') },
  ];
}

/** The target that a provider gives, or the name that is none. */
function servesOf(record: RecordView, { cname }: Pick<ProviderView, 'cname'>): string {
  if (cname === undefined) return '?';
  if (cname === null) return 'nothing';
  return record.targets.find((t) => t.cname === cname)?.origin ?? printName(cname);
}

// ---------------------------------------------------------------- one record in detail

/** Where the name is shown in its own script: what DNS and other tools know it by. */
function dnsLine(page: Page, record: RecordView): void {
  const ascii = asciiOf(record);
  if (ascii !== record.name) page.flow('  in DNS   ', [{ text: printName(ascii) }]);
}

function recordPart(page: Page, view: StatusView, record: RecordView): void {
  page.blank();
  page.flow('', [
    { text: printName(record.name), style: 'bold' },
    record.mode === 'steer'
      ? { text: 'steer' }
      : record.mode === 'approve'
        ? { text: 'approve: moves when a person says so' }
        : { text: 'observe: decided and journalled, never written', style: 'yellow' },
    { text: `epoch ${record.epoch}` },
    ...(record.switching ? [{ text: 'switching', style: 'yellow' as const }] : []),
  ]);
  dnsLine(page, record);
  page.flow('  target   ', [targetLine(view, record)]);
  page.flow('  stays    ', [{ text: `${record.stay.reason}: ${record.stay.sentence}` }]);
  if (record.approval) approvalPart(page, view, record.approval);
  if (record.pin !== null) page.flow('  pin      ', pinLine(view, record));
  if (record.prepared) preparedPart(page, view, record.prepared);
  if (record.freeze !== null) {
    page.flow('  frozen   ', [{ text: heldLine(view, record.freeze), style: 'yellow' }]);
  }
  if (record.maintenance !== null) {
    const text = `nothing is decided ${maintenanceLine(view, record.maintenance)}`;
    page.flow('  frozen   ', [{ text, style: 'yellow' }]);
  }
  drillLines(page, view, record);
  timesPart(page, view, record);
  if (record.patience.why !== null) {
    const text = `${record.patience.ms / 1000} s: ${record.patience.why}`;
    page.flow('  patience ', [{ text }]);
  }
  const { needless } = record;
  const { used, limit, spent } = record.budget;
  page.flow('  budget   ', [
    {
      text:
        `${used} of ${limit} automatic switches used this hour` +
        `${needless > 0 ? `, ${needless} of them needless` : ''}${spent ? ', spent' : ''}`,
      ...(spent ? { style: 'yellow' as const } : {}),
    },
  ]);
  page.table(
    ['', 'TARGET', 'HEALTH', 'FOR', 'CNAME'],
    record.targets.map((target) => [
      // What is only observed stands where it stood.
      { text: target.origin !== record.target ? '' : record.mode === 'observe' ? '?' : '>' },
      { text: target.origin },
      healthCell(target),
      { text: age(view.at - target.sinceAt) },
      { text: printName(target.cname) },
    ]),
  );
  flawsPart(page, record);
  page.table(
    ['', 'PROVIDER', 'STAGE', 'SERVES', 'EPOCH', 'SERVERS', 'WRITTEN', 'VISIBLE', 'SEEN'],
    record.providers.map((provider) => providerRow(view, record, provider)),
  );
  for (const { provider, problem, lines } of record.providers) {
    if (lines !== undefined) page.flow(`  lines ${provider}: `, lineTexts(view, record, lines), 4);
    if (problem !== null) page.flow(`  ! ${provider}: `, [{ text: problem, style: 'red' }], 4);
  }
}

/** When clients get where it leads, as far as that can be foretold. */
function timesPart(page: Page, view: StatusView, record: RecordView): void {
  if (record.objectiveMs !== null && record.predicted !== null) {
    const { objectiveMs, predicted } = record;
    const isNear = predicted.totalMs <= objectiveMs;
    const text = `${age(predicted.totalMs)} predicted (${predicted.worst}) of ${age(objectiveMs)}`;
    page.flow('  objective ', [{ text, ...(isNear ? {} : { style: 'red' as const }) }]);
  }
  if (record.earliestBenefitAt !== null) {
    const wait = record.earliestBenefitAt - view.at;
    const when = date(view.wall + wait);
    page.flow('  move     ', [{ text: `could help clients from ${when}, in ${age(wait)}` }]);
  }
  if (record.leftBehind !== null) {
    const { sentence, cure } = record.leftBehind;
    page.flow('  behind   ', [{ text: `${sentence}; ${cure}`, style: 'red' }]);
  }
  if (record.cachesExpiredAt !== null && record.cachesExpiredAt > view.at) {
    const left = age(record.cachesExpiredAt - view.at);
    page.flow('  caches   ', [{ text: `the last may hold the old answer for ${left} more` }]);
  }
}

/** What an audit found wrong with how targets serve the public names. */
function flawsPart(page: Page, { targets }: RecordView): void {
  for (const { origin, flaw } of targets) {
    if (!flaw) continue;
    const isUnfit = flaw.word === 'unfit';
    const text = isUnfit ? `cannot serve the public names: ${flaw.why}` : flaw.why;
    page.flow(`  ! ${origin}: `, [{ text, style: isUnfit ? 'red' : 'yellow' }], 4);
  }
}

/** Each line: what it gives where that is not the target in force, and whether it was seen. */
function lineTexts(
  view: StatusView,
  record: RecordView,
  lines: NonNullable<ProviderView['lines']>,
): { text: string; style?: 'red' | 'yellow' }[] {
  const [proven, open] = [lines.filter((l) => l.provenAt !== null), new Map<string, string[]>()];
  const astray = lines.filter((l) => l.cname !== undefined && l.cname !== record.cname);
  for (const { line, unprovenSinceAt, why } of lines) {
    if (unprovenSinceAt === null || why === null) continue;
    const says = `unproven for ${age(view.at - unprovenSinceAt)} (${why})`;
    open.set(says, [...(open.get(says) ?? []), line]);
  }
  return [
    ...astray.map((one) => {
      return { text: `${one.line} gives ${servesOf(record, one)}`, style: 'red' as const };
    }),
    ...(proven.length === 0 ? [] : [{ text: `${proven.map((l) => l.line).join(', ')} proven` }]),
    ...[...open].map(([says, all]) => ({
      text: `${all.join(', ')} ${says}`,
      style: 'yellow' as const,
    })),
    ...(proven.length + open.size + astray.length > 0
      ? []
      : [{ text: lines.map((l) => l.line).join(', ') }]),
  ];
}

/** What waits for a person, with what speaks for and against it. */
function approvalPart(page: Page, view: StatusView, approval: ApprovalView): void {
  const { id, sentence, votes, alternatives } = approval;
  const text = `${sentence} (${lifeOf(view, approval)})`;
  page.flow('  WAITS    ', [{ text, style: bad }]);
  page.flow('           ', [{ text: `detour approve ${id}` }, { text: `detour reject ${id}` }]);
  if (votes !== '') page.flow('           ', [{ text: votes }]);
  const others = alternatives.map(({ origin, why }) => `${origin}: ${why}`).join('; ');
  page.flow('           ', [{ text: others }]);
}

/** `12m left, then it is asked anew; goes by itself in 4m` */
function lifeOf(view: StatusView, { expiresAt, goesAt }: ApprovalView): string {
  if (goesAt === null) return `${age(expiresAt - view.at)} left; with no answer it stays`;
  return `with no answer it goes by itself in ${age(goesAt - view.at)}`;
}

function targetLine(view: StatusView, record: RecordView): Cell {
  if (record.target === null) return { text: 'none yet: nothing is adopted', style: 'yellow' };
  const cname = record.cname === null ? '' : ` (${printName(record.cname)})`;
  const decided =
    record.decidedAt === null
      ? ''
      : `, decided ${age(view.at - record.decidedAt)} ago` +
        (record.switchKind === null ? '' : ` (${record.switchKind})`);
  if (record.mode === 'observe') {
    const text = `would be ${record.target}${cname}${decided}; nothing is written: see SERVES`;
    return { text, style: 'yellow' };
  }
  const retired = record.retired ? ', RETIRED: no longer configured, never written again' : '';
  return {
    text: `${record.target}${cname}${decided}${retired}`,
    ...(record.retired ? { style: 'yellow' as const } : {}),
  };
}

/** The live drill that runs, and how the last one ended. */
function drillLines(page: Page, view: StatusView, { drill, lastDrill }: RecordView): void {
  if (drill) {
    const { from, to, stage, sinceAt } = drill;
    const text = `${from} -> ${to}, ${stage}, for ${age(view.at - sinceAt)}`;
    page.flow('  drill    ', [{ text, style: 'yellow' }]);
  }
  if (!lastDrill) return;
  const { result, sentence, at, ms } = lastDrill;
  const text = `${result} ${age(view.at - at)} ago after ${span(ms)}: ${sentence}`;
  page.flow('  drilled  ', [
    { text, ...(result === 'passed' ? {} : { style: 'yellow' as const }) },
  ]);
}

/** How far a short TTL is, and at whom; caches hold the one before for as long as that lasts. */
function preparedPart(
  page: Page,
  view: StatusView,
  prepared: NonNullable<RecordView['prepared']>,
): void {
  const { ttl, ready, readyAt, parts } = prepared;
  const waits = parts.filter(({ at }) => at === null).map(({ provider }) => provider);
  const when =
    readyAt === null
      ? `not given yet by ${waits.join(', ')}`
      : ready
        ? 'ready'
        : `ready in ${age(readyAt - view.at)}`;
  page.flow('  prepared ', [
    { text: `TTL ${ttl} s` },
    { text: when, style: ready ? 'green' : 'yellow' },
    { text: heldLine(view, prepared) },
  ]);
  const kept = parts.filter((part) => part.ttl > ttl);
  for (const { provider, ttl: least } of kept) {
    page.flow('           ', [
      { text: `${provider} keeps ${least} s, the least there`, style: 'yellow' },
    ]);
  }
}

/** A pin shows beside the real health of its target, never over it (rule 9). */
function pinLine(view: StatusView, record: RecordView): Cell[] {
  const pin = record.pin!;
  const target = record.targets.find((t) => t.origin === pin.target);
  const left = pin.untilAt === null ? 'until unpinned' : `${age(pin.untilAt - view.at)} left`;
  return [
    { text: pin.target },
    target === undefined
      ? { text: 'not configured', style: bad }
      : { text: `now ${target.health}`, style: styleOf[target.health]! },
    { text: `by ${pin.by}, ${left}: ${pin.reason}` },
  ];
}

function providerRow(view: StatusView, record: RecordView, provider: ProviderView): Cell[] {
  const { stage, epoch, seenAt, seenBy, writtenAfterMs, visibleAfterMs } = provider;
  const after = (ms: number | null): Cell => ({ text: ms === null ? '-' : span(ms), right: true });
  return [
    { text: '' },
    { text: provider.provider },
    styled(stage),
    { text: servesOf(record, provider) },
    { text: epoch === undefined ? '-' : String(epoch), right: true },
    { text: `${provider.serversRight}/${provider.serversAsked}`, right: true },
    after(writtenAfterMs),
    after(visibleAfterMs),
    { text: seenAt === null ? 'never' : `${seenBy ?? '?'} ${age(view.at - seenAt)} ago` },
  ];
}

function originsPart(page: Page, view: StatusView, origins: readonly OriginView[]): void {
  page.blank();
  page.table(
    ['ORIGIN', 'CLOUD', 'REGION', 'HEALTH', 'FOR', 'CHECKS'],
    origins.map((origin) => [
      { text: origin.name },
      { text: origin.cloud },
      { text: origin.region ?? '-' },
      healthCell(origin),
      { text: age(view.at - origin.sinceAt) },
      { text: checksCell(origin) },
    ]),
  );
  for (const origin of origins) {
    const limited = limitedSays(view, origin);
    if (limited !== null) page.flow(`  ! ${origin.name}: `, [{ text: limited }], 4);
    for (const check of origin.checks) {
      if (check.void !== undefined && isHeard(view, check.path)) {
        page.flow(`  ! ${check.id} by ${check.path}: `, [{ text: `no vote: ${check.void}` }], 4);
      }
      if (check.last === null || check.last.outcome === 'pass') continue;
      const what = `  ! ${check.id} by ${check.path}: `;
      page.flow(what, [{ text: `${check.last.reason}, ${check.last.detail}` }], 4);
    }
  }
}

/** Of a replica that is not heard at all it is said once, at the head. */
function isHeard(view: StatusView, path: string): boolean {
  return view.paths.some(({ name, state }) => name === path && state !== 'unheard');
}

/** What it costs that an origin does not want to be asked so often; null where it takes it all. */
function limitedSays(view: StatusView, { rate }: OriginView): string | null {
  const { limited, perSecond, detectionMs, usualMs } = rate;
  if (limited === null) return null;
  const short = (n: number) => Number(n.toPrecision(2));
  const seconds = (ms: number) => `${short(ms / 1000)} s`;
  const until = limited.pausedUntil;
  const asked =
    until === null
      ? `asked ${short(perSecond)} times a second, at most ${short(limited.perSecond)}`
      : `left alone for ${seconds(until - view.at)}`;
  const cost = `an outage is seen within ${seconds(detectionMs)} instead of ${seconds(usualMs)}`;
  return `it says that it is asked too often: ${asked}; ${cost}`;
}

function checksCell(origin: OriginView): string {
  const byCheck = Map.groupBy(origin.checks, (check) => check.id);
  return [...byCheck]
    .map(([id, checks]) => {
      const name = id.startsWith(`${origin.name}/`) ? id.slice(origin.name.length + 1) : id;
      const advisory = checks[0]!.advisory ? ' (advisory)' : '';
      return `${name}${advisory}: ${checks.map((c) => `${c.path} ${c.verdict}`).join(', ')}`;
    })
    .join('; ');
}

/** Checks that nobody has seen fail prove little. */
function neverFailedPart(page: Page, view: StatusView): void {
  const checks = [
    ...view.origins.flatMap((o) => o.checks.map((c) => ({ id: c.id, red: c.everFailed }))),
    ...view.clouds.flatMap((c) => c.services.map((s) => ({ id: s.id, red: s.everFailed }))),
  ];
  const red = new Set(checks.filter((c) => c.red).map((c) => c.id));
  const never = [...new Set(checks.map((c) => c.id))].filter((id) => !red.has(id));
  if (never.length === 0) return;
  const some = never.slice(0, 8).join(', ') + (never.length > 8 ? `, +${never.length - 8}` : '');
  page.flow('', [{ text: 'never failed' }, { text: `${some}: try \`detour drill check NAME\`` }]);
}

function lanesPart(page: Page, view: StatusView, lanes: readonly LaneView[]): void {
  page.blank();
  page.table(
    ['LANE', 'TYPE', 'STATE', 'FOR', 'PENDING', 'RETRY', 'DETAIL'],
    lanes.map((lane) => [
      { text: lane.provider },
      { text: lane.type },
      styled(lane.state),
      { text: age(view.at - lane.sinceAt) },
      { text: String(lane.pending), right: true },
      { text: lane.retryAt === null ? '-' : `in ${age(lane.retryAt - view.at)}` },
      { text: lane.detail ?? '' },
    ]),
  );
}

function healthCell(what: Pick<TargetView, 'health' | 'drained'>): Cell {
  const cell = styled(what.health);
  return what.drained ? { text: `${cell.text}, drained`, style: 'yellow' } : cell;
}

const bad: Style = ['red', 'bold'];
const styleOf = {
  up: 'green',
  down: bad,
  unknown: 'yellow',
  ok: 'green',
  visible: 'green',
  decided: 'yellow',
  written: 'yellow',
  waiting: 'dim',
  unread: 'yellow',
  untouched: 'dim',
  throttled: 'yellow',
  lagging: bad,
  diverged: bad,
  stuck: bad,
  'auth-suspect': bad,
  rejected: bad,
} satisfies Readonly<Record<Verdict | Stage | LaneStateWord, Style>>;

function styled(word: keyof typeof styleOf): Cell {
  // A daemon of another version may say a word that is not in the table: it is shown as it is.
  const style: Style | undefined = styleOf[word];
  return style === undefined ? { text: word } : { text: word, style };
}

// ---------------------------------------------------------------- the page

interface Page {
  blank(): void;
  /** Words after a start, wrapped under it; parts are two spaces apart. */
  flow(start: string, parts: readonly Cell[], indent?: number): void;
  /** Columns two spaces apart; the last one takes what is left of the line, and wraps or is cut. */
  table(
    heads: readonly string[],
    rows: readonly (readonly Cell[])[],
    how?: { readonly cut: boolean },
  ): void;
  text(): string;
}

function paperOf(paper: Paper): Page {
  const columns = Math.max(40, paper.columns);
  const lines: string[] = [];
  const paint = (text: string, style: Style | undefined) =>
    style === undefined || !paper.colour ? text : styleText(style, text, { validateStream: false });

  function flow(rawStart: string, parts: readonly Cell[], indent?: number): void {
    const start = strip(rawStart);
    const hang = ' '.repeat(indent ?? Math.min(width(start), columns / 2));
    let line = start;
    let room = columns - width(start);
    let fresh = true;
    for (const [index, { text, style }] of parts.entries()) {
      const gap = index === 0 ? '' : '  ';
      for (const [at, word] of words(clean(text), columns - hang.length).entries()) {
        const space = fresh ? '' : at === 0 ? gap : ' ';
        if (!fresh && width(word) + space.length > room) {
          lines.push(line.trimEnd());
          line = hang + paint(word, style);
          room = columns - hang.length - width(word);
        } else {
          line += space + paint(word, style);
          room -= space.length + width(word);
        }
        fresh = false;
      }
    }
    lines.push(line.trimEnd());
  }

  function table(
    heads: readonly string[],
    rows: readonly (readonly Cell[])[],
    { cut } = { cut: false },
  ): void {
    const last = heads.length - 1;
    const widths = heads.map((title, column) =>
      Math.max(width(title), ...rows.map((row) => width(clean(row[column]!.text)))),
    );
    const start = widths.slice(0, last).reduce((sum, one) => sum + one + 2, 0);
    const room = Math.max(16, columns - start);
    const titles = heads.map((text, i): Cell => {
      const right = rows[0]?.[i]?.right === true;
      return right ? { text, style: 'dim', right } : { text, style: 'dim' };
    });
    for (const row of [titles, ...rows]) {
      const cells = row.slice(0, last).map(({ text, style, right }, column) => {
        const shown = clean(text);
        const pad = ' '.repeat(widths[column]! - width(shown));
        return right ? pad + paint(shown, style) : paint(shown, style) + pad;
      });
      const { text, style } = row[last]!;
      const whole = clean(text);
      const wrapped = cut ? [cutTo(whole, room)] : wrap(whole, room);
      lines.push([...cells, paint(wrapped[0] ?? '', style)].join('  ').trimEnd());
      for (const more of wrapped.slice(1)) lines.push(' '.repeat(start) + paint(more, style));
    }
  }

  return {
    blank: () => void lines.push(''),
    flow,
    table,
    text: () => lines.map((line) => `${line}\n`).join(''),
  };
}

/** A text of at most `room` columns; what is cut off is marked. */
function cutTo(text: string, room: number): string {
  if (width(text) <= room) return text;
  let kept = '';
  let left = room - 1;
  for (const segment of graphemes(text)) {
    left -= width(segment);
    if (left < 0) break;
    kept += segment;
  }
  return `${kept.trimEnd()}…`;
}

/** Lines of at most `room` columns, broken at spaces. */
function wrap(text: string, room: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of words(text, room)) {
    if (line !== '' && width(line) + 1 + width(word) > room) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  if (line !== '') lines.push(line);
  return lines;
}

/** The words of a text; one that fits no line is cut into pieces that do. */
function words(text: string, room: number): string[] {
  return text
    .split(' ')
    .filter((word) => word !== '')
    .flatMap((word) => {
      if (width(word) <= room) return [word];
      const pieces: string[] = [];
      let piece = '';
      for (const segment of graphemes(word)) {
        if (width(piece) + width(segment) > room) {
          pieces.push(piece);
          piece = '';
        }
        piece += segment;
      }
      return [...pieces, piece];
    });
}
