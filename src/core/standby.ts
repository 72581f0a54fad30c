// What audits find of a record's targets: whether each serves the public names as users ask for
// them. It counts for two hours and only when one of several targets is chosen: it never makes a
// record leave a target, and never leaves it without a place to go (`decide` sees to that). Whatever
// could not be seen changes nothing.

import type { Name, RecordConfig, Standby } from './model.ts';
import { close, raise } from './notices.ts';
import { follows, note, type RecordDoc, type RecordState, type State, type Step } from './state.ts';

/** An audit is made each hour: what an older one found is no longer known. */
const COUNTS_MS = 7_200_000;

/** What speaks against a target, and until when that counts. */
export interface Flaw {
  readonly word: 'poor' | 'unfit';
  readonly why: string;
  readonly untilAt: number;
}

/** What the last audit that saw a target found wrong with it; null: nothing that still counts. */
export function flawOf(state: State, r: RecordState, target: string): Flaw | null {
  const found = r.standbys.size === 0 ? undefined : r.standbys.get(target);
  if (found === undefined || (found.word !== 'poor' && found.word !== 'unfit')) return null;
  const untilAt = found.at + COUNTS_MS;
  return untilAt <= state.now ? null : { word: found.word, why: found.why, untilAt };
}

/** Whether what was found of one definition of a record holds for another. */
export function asksTheSame(a: RecordConfig, b: RecordConfig): boolean {
  const asked = ({ names, targets }: RecordConfig) => JSON.stringify([names ?? [], targets]);
  return a === b || asked(a) === asked(b);
}

/** Takes over what an audit found of all targets; gives the records of which something is another. */
export function onStandbys(state: State, found: readonly Standby[], out: Step): readonly Name[] {
  const changed: Name[] = [];
  const byRecord = Map.groupBy(found, ({ record }) => record);
  for (const r of state.records.values()) {
    const here = byRecord.get(r.name) ?? [];
    const news = here.filter((one) => take(state, r, one, out));
    const gone = [...r.standbys.keys()].filter((name) => !here.some((s) => s.target === name));
    for (const target of gone) r.standbys.delete(target);
    if (news.length + gone.length > 0) changed.push(r.name);
    for (const { origin: target } of r.config.targets) {
      if (flawOf(state, r, target)?.word === 'unfit') continue;
      const over = `${r.name}: what kept ${target} from serving its names is no longer seen`;
      close(state, { kind: 'standby', record: r.name, target }, over, out);
    }
  }
  return changed;
}

/** True where it is another than was known. */
function take(state: State, r: RecordState, found: Standby, out: Step): boolean {
  const { target, word, why } = found;
  if (word === 'unknown' || !r.config.targets.some((t) => t.origin === target)) return false;
  const was = flawOf(state, r, target);
  r.standbys.set(target, { word, why, at: state.now });
  // Days that go by, and addresses that take turns, are no news.
  const isNews = (was?.word ?? 'fit') !== word;
  if (follows(state)) return isNews;
  const sentence = `${r.name}: ${target} ${says[word]}${why === '' ? '' : `: ${why}`}`;
  if (isNews) note(out, 'standby', r.name, sentence, { target, word, why });
  if (word === 'unfit') {
    // Told once; whoever acts by now may have learnt of it before.
    const about = { kind: 'standby', record: r.name, target } as const;
    raise(state, about, word, { sentence, data: { target, why } }, out);
  }
  return isNews;
}

const says = {
  fit: 'can serve its public names again',
  poor: 'serves its public names, with a flaw',
  unfit: 'cannot serve its public names',
} satisfies Readonly<Record<Exclude<Standby['word'], 'unknown'>, string>>;

/** When each target last had the record, once the one in force is left. None where it is observed. */
export function carriedAfter(state: State, r: RecordState): RecordDoc['carried'] {
  const { carried, target } = r.doc;
  if (target === null || r.config.mode === 'observe') return carried;
  const known = Object.entries({ ...carried, [target]: state.now });
  return Object.fromEntries(
    known.filter(([name]) => r.config.targets.some((t) => t.origin === name)),
  );
}
