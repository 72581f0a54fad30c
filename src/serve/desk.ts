// What the daemon offers to those who serve it: the control socket, the read-only listener and the
// metrics all stand at this desk. Types only. Whoever implements it owns the state; whoever uses it
// never sees the state itself, only views and replies.

import type { AuditReport } from '../core/audit.ts';
import type { Command, DelegationCommand, Name, Reply, Spelling } from '../core/model.ts';
import type { GateView, StatusView } from '../core/view.ts';
import type { Histories, HistoryQuery, StoredEntry, TroubleWord } from '../ports.ts';
import type { StripsDesk } from './strips.ts';

export interface Desk {
  /** The state as it is once this is asked, made in pieces: see `viewing` of core/view.ts. */
  status(): Promise<StatusView>;
  /** Whether it is ready, as the status says it. */
  ready(): StatusView['ready'];
  /** How names are shown to people; undefined: as they are. */
  spelling(): Spelling | undefined;
  /** One record's gate; null when it is not configured. */
  gate(record: Name): GateView | null;
  /**
   * Carries one operator's command through a commit, in a group by whoever acts: said twice with one
   * id it is done once. Refusals are replies, not rejections.
   */
  command(command: Command, id: string): Promise<Reply>;
  /**
   * Takes a vendor out of a delegation, or puts it back, from here: whichever replica is asked, the
   * marker at the parent keeps two orders apart.
   */
  delegate(command: DelegationCommand, id: string): Promise<Reply>;
  /** Calls when something was journalled; the returned function ends that. */
  watch(changed: () => void): () => void;
  /** What probes saw of late, of the origins and clouds of these names. */
  strips: StripsDesk['strips'];
  /** The newest entries of the journal first; see the Store port. */
  history(query: HistoryQuery): readonly StoredEntry[];
  /** The same of every replica; null: there is no group. */
  histories(query: HistoryQuery): Promise<Histories> | null;
  /**
   * Reads the configuration again and says what it changes; a bad one is refused and the good one
   * kept (rule 19). In a dry run that is all, also for texts that are given in place of the file.
   * Code 3: some of it wants a restart.
   */
  reload(how?: {
    readonly dryRun: boolean;
    /** Also where it removes much of what is in force. */
    readonly force?: boolean;
    readonly texts?: GivenTexts;
    /** Who asks, for the journal. */
    readonly by?: string;
  }): Promise<Reply>;
  /** The last audit, null before the first; and whether one is under way. */
  audited(): Audited;
  /** Audits now, or joins the audit under way; resolves when that one has ended. */
  audit(): Promise<void>;
  /** Whether a drill is under way, and what came of the last that somebody asked for. */
  drilled(): Drilled;
  /**
   * Begins a drill of this replica's; null: it has begun. Of a canary without a name, of every
   * provider that has one. A reply says why there is none.
   */
  drill(kind: 'canary' | 'dry', name: string | null): Promise<Reply | null>;
}

interface Drilled {
  readonly running: boolean;
  readonly reply: Reply | null;
}

/** A configuration that is to be looked at: what its file and the folders that it includes hold. */
interface GivenTexts {
  /** The name to print. */
  readonly file: string;
  readonly text: string;
  readonly included: Readonly<
    Record<string, readonly { readonly file: string; readonly text: string }[] | { why: string }>
  >;
}

interface Audited {
  readonly running: boolean;
  readonly report: AuditReport | null;
}

/** Told of what went wrong while serving; the texts never hold a secret. */
export type Trouble = (what: TroubleWord, detail: string) => void;

/** A listener that can be closed: resolves when its last connection is gone. */
export interface Served {
  close(): Promise<void>;
}
