// People and hooks of a simulated world, in worlds of that kind: records that ask first, who answers
// and how late, what is run before a switch and what it says; and the eyes that hold every automatic
// switch against it. They know the journal, the configuration, and what a hook really said.

import type { Command, CoreConfig, Entry, Name } from '../../src/core/model.ts';
import type { StatusView } from '../../src/core/view.ts';
import type { Hooks } from '../../src/ports.ts';
import type { Chance } from './chance.ts';

const MINUTE = 60_000;
/** A question, and what a hook prepared, is good for so long. */
const LIFE_MS = 15 * MINUTE;

/** Most records ask first, and some have hooks. */
export function withPeople(records: CoreConfig['records'], c: Chance): CoreConfig['records'] {
  return Object.fromEntries(
    Object.entries(records).map(([name, r]) => {
      const asks = r.mode === 'steer' && c.is(0.75);
      const approveAfterMs = c.is(0.4) ? c.spread(10_000, 14 * MINUTE) : null;
      const timeoutMs = c.spread(1000, 60_000);
      const before = { timeoutMs, silence: c.pick(['go', 'stay'] as const) };
      const hooks = { hooks: { before, after: { timeoutMs } } };
      const mode = asks ? { mode: 'approve' as const, approveAfterMs } : {};
      return [name, { ...r, ...mode, ...(c.is(0.35) ? hooks : {}) }];
    }),
  );
}

/** What one of them says of what waits, if anything: now and then of what no longer does. */
export function drawAnswer(c: Chance, { records }: StatusView, old: string[]): Command | null {
  const ids = records.flatMap(({ approval }) => (approval === null ? [] : [approval.id]));
  if (ids.length > 0) old.push(c.pick(ids));
  if (old.length > 20) old.shift();
  const isLate = ids.length === 0 || c.is(0.2);
  if (isLate && (old.length === 0 || c.is(0.7))) return null;
  const id = c.pick(isLate ? old : ids);
  if (c.is(0.3)) return { kind: 'reject', id, by: 'ann', reason: 'not now' };
  return { kind: 'approve', id, by: 'ann', dryRun: c.is(0.1) };
}

interface Question {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly why: string;
  readonly at: number;
  answer: 'none' | 'approved' | 'rejected';
  answeredAt: number;
}

interface Run {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly at: number;
  answer: string;
  answeredAt: number;
}

interface Moved {
  readonly from: string | null;
  readonly to: string;
  readonly why: string;
}

/** What was asked and answered, by replica and record, as the journals say. */
export class Answers {
  readonly #questions = new Map<string, Question>();
  readonly #runs = new Map<string, Run>();
  /** By its id, what a hook really said. */
  readonly #said = new Map<string, string>();
  /** By id: a hook that was run. */
  readonly #begun = new Set<string>();
  readonly #fail: (rule: string, what: string) => void;

  constructor(fail: (rule: string, what: string) => void) {
    this.#fail = fail;
  }

  /** Hooks that say what chance says; some never end by themselves. */
  hooks(c: Chance, later: (ms: number, run: () => void) => void): Hooks {
    return {
      before: (about, id) => {
        if (this.#begun.has(id)) this.#fail('hook-once', `${about.record}: ${id} is run again`);
        this.#begun.add(id);
        const answer = c.pick(['go', 'go', 'go', 'veto', 'silent', 'hangs'] as const);
        const ms = c.spread(10, 40_000);
        return new Promise((resolve) => {
          if (answer === 'hangs') return;
          later(ms, () => {
            this.#said.set(id, answer);
            resolve({ answer, detail: 'so it says' });
          });
        });
      },
      after: () => (c.is(0.3) ? Promise.resolve() : new Promise(() => {})),
    };
  }

  lost(replica: string): void {
    for (const map of [this.#questions, this.#runs] as Map<string, unknown>[]) {
      for (const key of map.keys()) if (key.startsWith(`${replica} `)) map.delete(key);
    }
  }

  entry(replica: string, config: CoreConfig, { kind, record, data }: Entry, at: number): void {
    if (record === null || (kind !== 'approval' && kind !== 'hook')) return;
    const key = `${replica} ${record}`;
    const d = data as unknown as Question & { word: string; by?: string };
    if (kind === 'hook') return this.#hook(key, d, at);
    if (d.word === 'asked') {
      const was = this.#questions.get(key);
      const isAgain = was?.answer === 'rejected' && was.to === d.to && was.why === d.why;
      // That the target was up meanwhile only the record knows; another epoch is another question.
      if (isAgain && was.from === d.from && at < was.answeredAt) {
        this.#fail('approve-a-no-holds', `${key}: ${d.id}`);
      }
      this.#questions.set(key, { ...d, at, answer: 'none', answeredAt: 0 });
      return;
    }
    const q = this.#questions.get(key);
    if (q?.id !== d.id) return;
    if (d.word === 'ended') return void this.#questions.delete(key);
    if (q.answer === 'rejected' && d.word === 'approved') {
      this.#fail('approve-a-no-holds', `${key}: ${d.id} was approved after it was rejected`);
    }
    if (at - q.at > LIFE_MS) this.#fail('approve-in-time', `${key}: ${d.id} after ${at - q.at} ms`);
    const afterMs = config.records[record]?.approveAfterMs ?? null;
    const isSilence = d.by?.includes('silence') === true;
    if (isSilence && (afterMs === null || at - q.at < afterMs)) {
      this.#fail('approve-silence-stays', `${key}: ${d.id} after ${at - q.at} ms`);
    }
    q.answer = d.word as 'approved';
    q.answeredAt = at;
  }

  #hook(key: string, d: Question & { word: string }, at: number): void {
    if (d.word === 'began') {
      const { id, from, to } = d;
      this.#runs.set(key, { id, from, to, at, answer: 'none', answeredAt: 0 });
      return;
    }
    const run = this.#runs.get(key);
    if (run?.id !== d.id) return;
    [run.answer, run.answeredAt] = [d.word, at];
    const really = this.#said.get(d.id);
    const isKnown = d.word === 'silent' || really === d.word;
    if (!isKnown) this.#fail('hook-heard-right', `${key}: ${d.word}, and it said ${really}`);
  }

  /** One automatic switch: since when what it needs must have begun. A question is used up by it. */
  moved(replica: string, config: CoreConfig, name: Name, d: Moved, at: number): number {
    const key = `${replica} ${name}`;
    const record = config.records[name]!;
    const what = `${key}: ${d.from} -> ${d.to} (${d.why})`;
    let since = 0;
    const isSaid = d.why === 'drained' || d.why === 'drill';
    if (record.mode === 'approve' && !isSaid) {
      const q = this.#questions.get(key);
      const isIt = q?.from === d.from && q?.to === d.to && q?.why === d.why;
      if (q === undefined || !isIt || q.answer !== 'approved') {
        this.#fail('approve-asks-first', `${what}: ${q === undefined ? 'unasked' : q.answer}`);
      } else {
        if (at - q.at > LIFE_MS) this.#fail('approve-in-time', `${what}: ${at - q.at} ms`);
        since = q.answeredAt;
      }
    }
    const before = record.mode === 'observe' ? null : (record.hooks?.before ?? null);
    if (before !== null) {
      const run = this.#runs.get(key);
      const goes = run?.answer === 'go' || (run?.answer === 'silent' && before.silence === 'go');
      const isIt = run?.from === d.from && run?.to === d.to;
      if (run === undefined || !goes || !isIt) {
        this.#fail('hook-lets-go', `${what}: its hook: ${run?.answer ?? 'was not run'}`);
      } else since = Math.max(since, run.answeredAt);
    }
    return since;
  }

  /** Whoever moves it: what was asked of it is over. */
  used(replica: string, name: Name): void {
    this.#questions.delete(`${replica} ${name}`);
    this.#runs.delete(`${replica} ${name}`);
  }
}
