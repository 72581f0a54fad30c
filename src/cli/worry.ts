// What of a status wants a look, the worst first: of each record, and of what all records share.
// Pure, and the one place that says what is trouble, what nobody can tell, and what is as it should
// be: the list, `--trouble` and `--check` all ask here. It never calls unknown down.

import type { Diagnosis, StayReason } from '../core/model.ts';
import type { LaneStateWord, LaneView, RecordView, StatusView } from '../core/view.ts';

/** The worst first. */
const levels = ['trouble', 'unknown', 'note', 'well'] as const;
type Level = (typeof levels)[number];

export interface Worry {
  readonly level: Level;
  /** One word for a column. */
  readonly word: string;
  readonly sentence: string;
}

/** What each reason for staying means to somebody who looks. */
const ofStay = {
  'no-lease': 'note',
  'store-failed': 'trouble',
  'definitions-differ': 'trouble',
  frozen: 'note',
  deposed: 'trouble',
  'not-adopted': 'unknown',
  missing: 'trouble',
  disagreement: 'trouble',
  foreign: 'trouble',
  unreadable: 'trouble',
  reading: 'unknown',
  pinned: 'note',
  retired: 'trouble',
  settling: 'unknown',
  'target-up': 'well',
  'failback-manual': 'note',
  'failback-waiting': 'note',
  'budget-kept': 'note',
  blind: 'unknown',
  'target-unknown': 'unknown',
  patience: 'trouble',
  'no-target-up': 'trouble',
  'budget-spent': 'trouble',
  'epochs-spent': 'trouble',
  'confirming-target': 'trouble',
  'awaiting-approval': 'trouble',
  'approval-rejected': 'note',
  hook: 'trouble',
  drilling: 'note',
} satisfies Readonly<Record<StayReason, Level>>;

export const ofDiagnosis = {
  healthy: 'well',
  'origin-down': 'trouble',
  'region-down': 'trouble',
  'cloud-down': 'trouble',
  'auth-down': 'trouble',
  'control-plane-down': 'trouble',
  'paths-disagree': 'trouble',
  blind: 'unknown',
} satisfies Readonly<Record<Diagnosis, Level>>;

/** Whether a lane in that state can be neither read nor written. */
const isShut = {
  ok: false,
  throttled: true,
  stuck: true,
  'auth-suspect': true,
  rejected: false,
  lagging: false,
  diverged: false,
} satisfies Readonly<Record<LaneStateWord, boolean>>;

/** What of a record is looked at. */
interface Worrying {
  readonly target: string | null;
  readonly switching: boolean;
  readonly stay: { readonly reason: string; readonly sentence: string };
  readonly leftBehind: { readonly sentence: string } | null;
  readonly targets: readonly { readonly origin: string; readonly health: string }[];
  readonly providers: readonly {
    readonly provider: string;
    readonly stage: string;
    readonly problem: string | null;
  }[];
}

/** The worst that is to be said of one record. */
export function worryOf(record: Worrying): Worry {
  return worst(worriesOf(record)) ?? { level: 'well', word: 'well', sentence: '' };
}

function worst(worries: readonly Worry[]): Worry | undefined {
  return levels.flatMap((level) => worries.filter((worry) => worry.level === level))[0];
}

function worriesOf(record: Worrying): readonly Worry[] {
  const { stay, leftBehind, providers } = record;
  const worries: Worry[] = [];
  const health = record.targets.find((t) => t.origin === record.target)?.health;
  // A word of a daemon of another version is shown as it is.
  const level = levelIn(ofStay, stay.reason);
  if (level !== 'well') worries.push({ level, word: stay.reason, sentence: stay.sentence });
  const down = `${record.target} is down, and it stays: ${stay.sentence}`;
  if (health === 'down') worries.push({ level: 'trouble', word: 'down', sentence: down });
  if (leftBehind !== null) {
    worries.push({ level: 'trouble', word: 'behind', sentence: leftBehind.sentence });
  }
  for (const provider of providers) {
    if (!isOff(provider)) continue;
    const { stage, problem } = provider;
    const sentence = `${provider.provider}: ${problem ?? stage}`;
    worries.push({ level: 'trouble', word: stage, sentence });
  }
  if (record.switching && stay.reason !== 'drilling') {
    worries.push({ level: 'note', word: 'switching', sentence: `goes to ${record.target}` });
  }
  return worries;
}

function isOff({ stage, problem }: Worrying['providers'][number]): boolean {
  return stage === 'lagging' || stage === 'diverged' || problem !== null;
}

/** What is wrong with what the records share, the worst first. */
export function sharedWorries(view: StatusView): readonly Worry[] {
  const worries: Worry[] = [];
  const add = (level: Level, word: string, sentence: string) =>
    void (level === 'well' || worries.push({ level, word, sentence }));
  for (const reason of view.ready.reasons) {
    add(reason.includes('read yet') ? 'unknown' : 'trouble', 'not-ready', reason);
  }
  for (const { diagnosis, sentence } of view.clouds) {
    add(levelIn(ofDiagnosis, diagnosis), diagnosis, sentence);
  }
  for (const lane of view.lanes) for (const worry of laneWorries(lane)) worries.push(worry);
  for (const { name, state } of view.paths) {
    const sentence = `path ${name}: it has no vote until it can be believed`;
    if (state !== 'sighted') add(view.paths.length > 1 ? 'trouble' : 'unknown', state, sentence);
  }
  for (const { sentence, provider, zone } of view.audit?.bad ?? []) {
    const where = [provider, zone].filter((one) => one !== null).join(' ');
    add('trouble', 'audit', where === '' ? sentence : `${where}: ${sentence}`);
  }
  if (view.reload !== null && !view.reload.ok) {
    const { errors } = view.reload;
    const count = errors === 1 ? '1 error' : `${errors} errors`;
    add('trouble', 'reload', `refused, ${count}; the configuration before it holds`);
  }
  const shown = new Set(view.records.filter((r) => worryOf(r).level === 'trouble').map(nameOf));
  for (const { record, sentence } of view.notices) {
    // What its record says itself is not said twice; what a lane or cloud says neither.
    if (record !== null && !shown.has(record)) add('trouble', 'notice', sentence);
  }
  return worries.sort((a, b) => levels.indexOf(a.level) - levels.indexOf(b.level));
}

const nameOf = ({ name }: RecordView) => name;

function laneWorries({ provider, state, detail, zones }: LaneView): readonly Worry[] {
  const level: Level = state === 'ok' ? 'well' : 'trouble';
  // What only its records say stands with them.
  const isOwn = detail !== null || isShutState(state);
  const own = {
    level,
    word: state === 'ok' ? 'silent' : state,
    sentence: `lane ${provider}: ${detail ?? state}`,
  };
  return [
    ...(isOwn ? [{ ...own, level: 'trouble' as const }] : []),
    ...zones.map(({ zone, fault, detail: what }): Worry => {
      return { level: 'trouble', word: fault, sentence: `zone ${zone} at ${provider}: ${what}` };
    }),
  ];
}

function isShutState(state: LaneStateWord): boolean {
  return Object.hasOwn(isShut, state) && isShut[state];
}

export interface Listed {
  readonly record: RecordView;
  readonly worry: Worry;
}

/** All records, trouble first and by name within one level. */
export function worstFirst(records: readonly RecordView[]): readonly Listed[] {
  const listed = records.map((record) => ({ record, worry: worryOf(record) }));
  return listed.sort((a, b) => {
    const by = levels.indexOf(a.worry.level) - levels.indexOf(b.worry.level);
    return by !== 0 ? by : a.record.name < b.record.name ? -1 : 1;
  });
}

/** What a monitor is told: exit code (0 well, 1 trouble, 3 nobody can tell) and one sentence. */
interface Verdict {
  readonly exit: 0 | 1 | 3;
  readonly sentence: string;
}

/** Of the whole view; whoever asks for one record narrows the view first. */
export function check(view: StatusView): Verdict {
  const dark = darkness(view);
  if (dark !== null) return { exit: 3, sentence: `cannot tell: ${dark}` };
  const listed = worstFirst(view.records);
  const shared = sharedWorries(view);
  const bad = (worry: Worry) => worry.level === 'trouble';
  const records = listed.filter(({ worry }) => bad(worry));
  const wrong = shared.filter(bad);
  const first = records[0];
  if (first !== undefined || wrong.length > 0) {
    const count = records.length === 0 ? '' : `${records.length} of ${countOf(listed.length)}`;
    const what =
      first === undefined ? '' : `${count}: ${first.record.name}: ${saidOf(first.worry)}`;
    const rest = wrong[0] === undefined ? '' : saidOf(wrong[0]);
    return { exit: 1, sentence: `trouble: ${[what, rest].filter(Boolean).join('; ')}` };
  }
  const unsure = listed.find(({ worry }) => worry.level === 'unknown');
  if (unsure !== undefined) {
    const sentence = `cannot tell: ${unsure.record.name}: ${saidOf(unsure.worry)}`;
    return { exit: 3, sentence };
  }
  const open = shared.find(({ level }) => level === 'unknown');
  if (open !== undefined) return { exit: 3, sentence: `cannot tell: ${saidOf(open)}` };
  return { exit: 0, sentence: `well: ${countOf(listed.length)}${held(view)}` };
}

function saidOf({ word, sentence }: Worry): string {
  return sentence === '' ? word : `${word}: ${sentence}`;
}

function countOf(records: number): string {
  return records === 1 ? '1 record' : `${records} records`;
}

/** What people hold is no trouble, and is said. */
function held({ freeze, drains, records }: StatusView): string {
  const frozen = records.filter((r) => r.freeze !== null).length;
  const pinned = records.filter((r) => r.pin !== null).length;
  return [
    ...(freeze === null ? [] : ['; everything is frozen']),
    ...(frozen === 0 ? [] : [`; ${frozen} frozen`]),
    ...(pinned === 0 ? [] : [`; ${pinned} pinned`]),
    ...(drains.length === 0 ? [] : [`; drained: ${drains.map((d) => d.what).join(', ')}`]),
  ].join('');
}

/** Why nothing can be said at all; null when something can. */
function darkness(view: StatusView): string | null {
  const { paths, lanes, records } = view;
  if (paths.length > 0 && paths.every(({ state }) => state === 'blind')) {
    return 'no path can see anything';
  }
  const asked = lanes.filter(({ provider }) =>
    records.some((r) => r.providers.some((p) => p.provider === provider)),
  );
  if (asked.length === 0 || !asked.every((lane) => isUnreadable(lane, records))) return null;
  const [lane] = asked;
  const why = lane!.detail ?? lane!.zones[0]?.detail ?? lane!.state;
  return `no provider can be read (${lane!.provider}: ${why})`;
}

function isUnreadable(lane: LaneView, records: readonly RecordView[]): boolean {
  if (isShutState(lane.state)) return true;
  if (lane.zones.length === 0) return false;
  const here = records.flatMap((r) => r.providers.filter((p) => p.provider === lane.provider));
  return here.every(({ problem }) => problem !== null);
}

function levelIn<K extends string>(table: Readonly<Record<K, Level>>, word: string): Level {
  return Object.hasOwn(table, word) ? table[word as K] : 'note';
}
