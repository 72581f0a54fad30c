// What wants a person, from when it begins until it is over. Each such thing has a key of its own,
// under which it is told once when it opens, again when it becomes something else, and once when it
// closes; what is open survives a restart. The set is bounded by the configuration: what is no longer
// configured is closed. It decides nothing: whoever finds a cause says when it begins and ends.

import type { Json, Name, Notice, NoticeSeverity, StayReason } from './model.ts';
import { drop, follows, put, type State, type Step } from './state.ts';

/** What a notice is about: what it is told under, and what it ends with. Plain JSON. */
type About =
  | { readonly kind: 'store' }
  /** The group of replicas is ill, as this one sees it. */
  | { readonly kind: 'group' }
  | {
      readonly kind: 'stay';
      readonly record: Name;
      readonly reason: StayReason | 'pinned-down';
    }
  /** A switch has ended and not every provider has followed. */
  | { readonly kind: 'lagging'; readonly record: Name }
  /** What stands at a provider forbids writing there. */
  | { readonly kind: 'hold'; readonly record: Name; readonly provider: string }
  /** Somebody else edits it at a provider again and again. */
  | { readonly kind: 'edits'; readonly record: Name; readonly provider: string }
  /** None of a provider's name servers answers. */
  | { readonly kind: 'silent'; readonly provider: string }
  | { readonly kind: 'diagnosis'; readonly cloud: string }
  /** A decision waits for a person. */
  | { readonly kind: 'approval'; readonly record: Name }
  /** An audit found that a target cannot serve the record's public names. */
  | { readonly kind: 'standby'; readonly record: Name; readonly target: string }
  /** The hook before a switch keeps it from being made. */
  | { readonly kind: 'hook'; readonly record: Name };

interface Open {
  readonly about: About;
  /** What it is just now; another word is told again under the same key. */
  readonly word: string;
  /** What was told when it became that, and when it opened; left out by earlier versions. */
  readonly sentence?: string;
  readonly sinceAt?: number;
}

export interface NoticeView {
  readonly key: string;
  readonly severity: NoticeSeverity;
  readonly record: Name | null;
  readonly sentence: string;
  /** null: an earlier version opened it. */
  readonly sinceAt: number | null;
}

export interface Notices {
  readonly open: Map<string, Open>;
  /** Closed in steps whose commit is not known to stand. */
  readonly closed: Set<string>;
}

export function notices(): Notices {
  return { open: new Map(), closed: new Set() };
}

/** The same from when it opens until it closes, in every channel. */
function keyOf(about: About): string {
  switch (about.kind) {
    case 'store':
    case 'group':
      return about.kind;
    case 'stay':
      return `stay/${about.record}/${about.reason}`;
    case 'lagging':
    case 'approval':
    case 'hook':
      return `${about.kind}/${about.record}`;
    case 'hold':
    case 'edits':
      return `${about.kind}/${about.record}/${about.provider}`;
    case 'standby':
      return `${about.kind}/${about.record}/${about.target}`;
    case 'silent':
      return `lane/${about.provider}/silent`;
    case 'diagnosis':
      return `cloud/${about.cloud}/diagnosis`;
  }
}

/**
 * How soon somebody should look, the same as its alert in deploy/prometheus; the table of it is in
 * docs/channels.md. Clients are hurt, or would be by the next outage: `page`.
 */
function severityOf(about: About, word: string): NoticeSeverity {
  switch (about.kind) {
    case 'group':
      return word === 'refused' ? 'warn' : 'page';
    case 'hold':
    case 'silent':
    case 'standby':
      return 'warn';
    case 'approval':
    case 'hook':
    case 'store':
    case 'stay':
    case 'lagging':
    case 'edits':
    case 'diagnosis':
      return 'page';
  }
}

/** Opens it, or says that it has become something else; false when that was told already. */
export function raise(
  state: State,
  about: About,
  word: string,
  says: Pick<Notice, 'sentence' | 'data'> & { readonly kind?: 'lagging' },
  out: Step,
): boolean {
  const { open, closed } = state.notices;
  const key = keyOf(about);
  const was = open.get(key);
  if (was?.word === word || isSilent(state, about)) return false;
  const { kind = 'needs-person', sentence, data } = says;
  const one: Open = { about, word, sentence, sinceAt: was?.sinceAt ?? state.now };
  open.set(key, one);
  closed.delete(key);
  put(out, `open/${key}`, one);
  const severity = severityOf(about, word);
  tell(out, { kind, key, state: 'open', severity, record: recordOf(about), sentence, data });
  return true;
}

/** Of records only the one who acts speaks; each replica speaks of itself. */
function isSilent(state: State, about: About): boolean {
  return follows(state) && about.kind !== 'store' && about.kind !== 'group';
}

/** Its cause has ended: says so if it was open. */
export function close(state: State, about: About, sentence: string, out: Step): boolean {
  const { open, closed } = state.notices;
  if (open.size === 0 || isSilent(state, about)) return false;
  const key = keyOf(about);
  const was = open.get(key);
  if (was === undefined) return false;
  open.delete(key);
  closed.add(key);
  drop(out, `open/${key}`);
  tell(out, {
    kind: 'recovered',
    key,
    state: 'closed',
    severity: severityOf(about, was.word),
    record: recordOf(about),
    sentence,
    data: { word: was.word },
  });
  return true;
}

/** Told once, and nothing follows. */
export function news(record: Name, sentence: string, data: Json, out: Step): void {
  tell(out, {
    kind: 'switch',
    key: `switch/${record}`,
    state: 'news',
    severity: 'info',
    record,
    sentence,
    data,
  });
}

/** A live drill begins or ends; `data.result` says how. */
export function drillNews(record: Name, sentence: string, data: Json, out: Step): void {
  const { result } = data as { readonly result?: Json };
  tell(out, {
    kind: 'drill',
    key: `drill/${record}`,
    state: 'news',
    severity: result === 'began' || result === 'passed' ? 'info' : 'warn',
    record,
    sentence,
    data,
  });
}

/** What operators said before this start is not remembered: nobody can know when that is over. */
export function tellForgotten(sentence: string, data: Json, out: Step): void {
  tell(out, {
    kind: 'needs-person',
    key: 'store/forgotten',
    state: 'news',
    severity: 'page',
    record: null,
    sentence,
    data,
  });
}

/** Closes whatever is no longer configured. */
export function closeGone(state: State, out: Step): void {
  for (const { about } of [...state.notices.open.values()]) {
    const gone = goneOf(state, about);
    if (gone !== null) close(state, about, `${gone}: no longer configured`, out);
  }
}

/** What was open when the store was last written; what another version made of it is dropped. */
export function restoreNotices(
  state: State,
  docs: Readonly<Record<string, Json>>,
  out: Step,
): void {
  for (const [name, doc] of Object.entries(docs)) {
    if (!name.startsWith('open/')) continue;
    const one = doc as unknown as Open;
    const key = name.slice(5);
    if (keyOf(one.about) === key) state.notices.open.set(key, one);
    else drop(out, name);
  }
}

/** The store commits again: what it missed. */
export function keepNotices(state: State, out: Step): void {
  const { open, closed } = state.notices;
  for (const key of closed) drop(out, `open/${key}`);
  for (const [key, one] of open) put(out, `open/${key}`, one);
}

/** What is open, as it was told, the longest first. */
export function openNotices(state: State): readonly NoticeView[] {
  // What it told while it acted is the next one's to tell.
  const open = [...state.notices.open].filter(([, { about }]) => !isSilent(state, about));
  const all = open.map(([key, { about, word, sentence, sinceAt }]) => ({
    key,
    severity: severityOf(about, word),
    record: recordOf(about),
    sentence: sentence ?? word,
    sinceAt: sinceAt ?? null,
  }));
  return all.sort((a, b) => (a.sinceAt ?? 0) - (b.sinceAt ?? 0));
}

function tell(out: Step, notice: Notice): void {
  out.effects.push({ kind: 'notify', notice });
}

function recordOf(about: About): Name | null {
  return 'record' in about ? about.record : null;
}

/** The name of what is gone; null when all of it is there. */
function goneOf(state: State, about: About): string | null {
  switch (about.kind) {
    case 'store':
    case 'group':
      return null;
    case 'stay':
    case 'lagging':
    case 'approval':
    case 'hook':
      return state.records.has(about.record) ? null : about.record;
    case 'hold':
    case 'edits': {
      const { record, provider } = about;
      const isThere = state.records.get(record)?.cells.has(provider) === true;
      return isThere ? null : `${record} at ${provider}`;
    }
    case 'standby': {
      const { record, target } = about;
      const { targets = [] } = state.records.get(record)?.config ?? {};
      const isThere = targets.some((t) => t.origin === target);
      return isThere ? null : `${target} of ${record}`;
    }
    case 'silent': {
      // A provider without a record is asked by nobody, so nobody would hear it again.
      const isAsked = [...state.records.values()].some((r) => r.cells.has(about.provider));
      return isAsked ? null : `lane ${about.provider}`;
    }
    case 'diagnosis':
      return state.clouds.has(about.cloud) ? null : about.cloud;
  }
}
