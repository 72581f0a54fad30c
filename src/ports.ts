// The seams between the loop and the world: types only, no code. Every adapter implements one of
// these, or of kit/extend.ts. A port's method never throws for what the world does: it answers with a
// value. It throws only where it says so here, or when Detour itself is wrong.

import type { Telling } from './core/heard.ts';
import type {
  ChainAnswer,
  CheckId,
  Command,
  Entry,
  EntryKind,
  FaultKind,
  GroupWord,
  Json,
  Name,
  Observation,
  Reply,
  ServerAnswer,
  ServerAnswerKind,
} from './core/model.ts';
import type { CallReason, End, HookAbout } from './core/state.ts';
import type { ProbeResult } from './kit/extend.ts';

export interface Clock {
  /** Engine time, in milliseconds; see core/model.ts. Never goes back. */
  now(): number;
  /** Wall clock, in milliseconds since 1970. */
  wall(): number;
  /** Calls once after so many milliseconds; the returned function cancels it. */
  after(ms: number, then: () => void): () => void;
}

/** Connections held open between probes, and ends of such by how: in order, or broken off. */
export interface HeldFigures {
  readonly held: number;
  readonly closed: number;
  readonly broken: number;
}

export interface Prober {
  /**
   * Asks one check once by one path. Resolves within the check's timeout plus 500 ms, of which it
   * may have waited 250 for its turn, and never rejects: a fault of the checker or the path is
   * `blind`, and so is what waited longer. An aborted signal ends it as `blind`. `routine`: nothing is
   * in doubt; only then may it rest on what an earlier probe has verified.
   */
  probe(check: CheckId, path: string, signal: AbortSignal, routine?: boolean): Promise<ProbeResult>;
  /**
   * Tells from now on, in place of whom it told before, of connections that it held open behind
   * probes that had passed, and that have ended by themselves. Absent: it holds none. An end says
   * nothing: whoever is told asks.
   */
  heed?(tell: (ends: readonly End[]) => void): void;
  /** What it holds just now, and what has ended in its life. */
  held?(): HeldFigures;
  /** Lets go of every socket. */
  close(): void;
}

/** Asks DNS itself, past every vendor's API. */
export interface Verifier {
  /**
   * Asks every authoritative server of one provider for a record (and its marker, if wanted),
   * directly, without recursion; and for what it gives to askers of the lines that are named, as far
   * as it is known from where they ask. At least one answer; never rejects.
   */
  ask(
    provider: string,
    record: Name,
    options: { readonly marker: boolean; readonly lines?: readonly string[] },
    signal: AbortSignal,
  ): Promise<readonly ServerAnswer[]>;
  /** Follows a target's whole chain through authoritative servers down to an address. */
  chain(name: Name, signal: AbortSignal): Promise<ChainAnswer>;
  close(): void;
}

/**
 * What came of asking a target as somebody does who has typed a public name. The reason `certificate`
 * stands for what was wrong with the certificate that was shown.
 */
export interface Visited extends ProbeResult {
  /** null: nobody answered, and why is in the result. */
  readonly answer: {
    readonly status: number;
    readonly location: string | null;
    readonly server: string | null;
    readonly hsts: string | null;
    readonly type: string | null;
    /** Its beginning, at most 64 KiB. */
    readonly body: string;
  } | null;
}

/** Asks targets under other names than their checks do. */
export interface Visitor {
  /**
   * Asks what a check asks, at an address, by a path. Host, and in TLS the name that is sent and
   * verified, are `name`; null: as the check has it. It sends no secret. Within the check's timeout;
   * never rejects.
   */
  visit(
    ask: {
      readonly check: CheckId;
      readonly path: string;
      readonly address: string;
      readonly name: Name | null;
    },
    signal: AbortSignal,
  ): Promise<Visited>;
}

/** A line as it stands in the store; an earlier version's kinds are shown as they are. */
export interface StoredEntry extends Omit<Entry, 'kind'> {
  readonly kind: EntryKind | (string & {});
  /** 1, 2, 3, … without a hole. */
  readonly seq: number;
  readonly at: number;
  readonly wall: number;
}

/** What happened at one moment. */
export interface Moment {
  readonly at: number;
  readonly wall: number;
  readonly entries: readonly Entry[];
}

export interface Commit extends Moment {
  /** What could not be committed when it happened, oldest first. */
  readonly earlier?: readonly Moment[];
  /** Documents of the snapshot to replace; null removes one. */
  readonly docs: readonly (readonly [key: string, value: Json | null])[];
}

export interface HistoryQuery {
  readonly record?: Name;
  /** Only those whose `seq` is less. */
  readonly before?: number;
  /** At most so many: 1 to 10,000. Many at once hold the loop. */
  readonly limit: number;
}

export interface Store {
  /** The snapshot: every document, and the engine time of the last commit (0 for a new store). */
  load(): {
    readonly docs: Readonly<Record<string, Json>>;
    readonly at: number;
    /** Of `remind`: what an earlier life was told and could not commit before it ended. */
    readonly unkept: readonly string[];
  };
  /** Entries and documents in one durable transaction. Throws when it cannot be made durable. */
  commit(commit: Commit): void;
  /**
   * Notes the words of operators that hold and could not be committed, all of them each time, in a
   * place that outlives the process and has room where the store has none. None: all are committed.
   * Throws where not even that can be written.
   */
  remind(words: readonly string[]): void;
  /** The newest entries first. */
  history(query: HistoryQuery): readonly StoredEntry[];
  close(): void;
}

export type { GroupWord } from './core/model.ts';

/** The commands that are run around a record's switches. */
export interface Hooks {
  /**
   * Runs what comes before a switch. Resolves within its timeout and 2 s, and never rejects: whatever
   * is no answer (it cannot be started, it hangs, it is killed) is `silent`, and says why.
   */
  before(
    about: HookAbout,
    id: string,
    signal: AbortSignal,
  ): Promise<{ readonly answer: 'go' | 'veto' | 'silent'; readonly detail: string }>;
  /** Runs what comes after one. Rejects with a sentence where it failed. */
  after(about: HookAbout, id: string, signal: AbortSignal): Promise<void>;
}

/** A document as it is shared: its key, and null where it is removed. */
export type SharedDoc = readonly [key: string, value: Json | null];

export type LeaseEvent =
  /** Every document of the head was told before it. */
  | { readonly kind: 'held'; readonly term: number }
  | { readonly kind: 'lost'; readonly why: string }
  /** What the group decided, in this replica's engine time; a commit of its own is not told. */
  | {
      readonly kind: 'documents';
      readonly docs: readonly SharedDoc[];
      /** These are all there are: whatever else was known of before is gone. */
      readonly whole: boolean;
      /** The number of the head that they belong to. */
      readonly number: number;
      /** The replica that wrote that; null: nobody yet. */
      readonly by: string | null;
      /** No document was ever shared: that there are none says nothing of what is known here. */
      readonly isNew: boolean;
    }
  /** An operator's word that was said to another replica; told only to whoever acts. */
  | {
      readonly kind: 'order';
      readonly id: string;
      readonly command: Command;
      readonly replica: string;
    }
  /** Who acts, as far as this replica knows; null: nobody. */
  | { readonly kind: 'acts'; readonly replica: string | null; readonly term: number }
  /** How the group is, shown everywhere; null: well. */
  | { readonly kind: 'group'; readonly word: GroupWord | null; readonly sentence: string };

export interface Coordinator {
  /** Starts competing; tells of every change. */
  start(tell: (event: LeaseEvent) => void): void;
  /**
   * Engine time until which this replica may act: Infinity alone, 0 without the lease. Counted from
   * when the last keep-alive was sent, on a clock that notices suspension.
   */
  actsUntil(): number;
  /** Hands over at once. Resolves, within a deadline, when others may take it. */
  yield(): Promise<void>;
  /** What the group shares; null alone. */
  readonly shared: Shared | null;
  /** Ends it for good; what is held is given back, where that can be said in time. */
  close(): void;
}

/** One transaction of the group's. */
export interface Batch {
  /** At most 100, and 512 KiB of JSON. */
  readonly docs: readonly SharedDoc[];
  /** Decisions, for the bounded log in the engine. */
  readonly entries: readonly Entry[];
  /** Orders that are done with it. */
  readonly done: readonly { readonly id: string; readonly reply: Reply }[];
}

export type Outcome =
  | { readonly kind: 'committed' }
  /**
   * The right to act is gone, and it will not be committed from here on. Whether it was before tell
   * the documents, which come whole.
   */
  | { readonly kind: 'deposed'; readonly why: string }
  /** Nothing of it is committed, and the right to act is still ours. */
  | { readonly kind: 'refused'; readonly why: string };

export interface Shared {
  /**
   * One transaction under the lease and the head, with the next head in it. At most one is under
   * way. Never rejects: what is not known is read back, and past its deadline the right to act is
   * given up.
   */
  commit(batch: Batch): Promise<Outcome>;
  /** Says a command to whoever acts, by an id: said twice, done once. Answers within a deadline. */
  say(id: string, command: Command): Promise<Reply>;
  /** Makes this replica's documents the group's, under a higher base of terms; wants a person. */
  restore(docs: Readonly<Record<string, Json>>): Promise<Reply>;
}

/** What comes from the other replicas. */
type EyesEvent =
  /** `saidAt`: in own engine time, when it was said at the earliest. */
  | { readonly kind: 'heard'; readonly telling: Telling; readonly saidAt: number }
  | { readonly kind: 'unheard'; readonly replica: string; readonly why: string }
  | {
      readonly kind: 'called';
      readonly replica: string;
      readonly checks: readonly CheckId[];
      readonly why: CallReason;
    };

/** What replicas tell each other of what they see. */
export interface Eyes {
  /** Resolves with null when it listens, else with what is wrong and its cure. */
  start(tell: (event: EyesEvent) => void): Promise<string | null>;
  /** Something changed that the others should know at once. */
  changed(): void;
  /** To all that are reached just now. */
  call(checks: readonly CheckId[], why: CallReason): void;
  close(): void;
}

/** Journals of several replicas in one, the newest first by the wall clock of each. */
export interface Histories {
  readonly entries: readonly (StoredEntry & { readonly replica: string })[];
  /** Who did not answer, and why. */
  readonly silent: readonly { readonly replica: string; readonly why: string }[];
}

/** The other replicas, for those who read. */
export interface Peers {
  /** The newest entries of one replica's journal first; a sentence says why there are none. */
  ask(
    replica: string,
    query: HistoryQuery,
  ): Promise<
    | { readonly ok: true; readonly entries: readonly StoredEntry[] }
    | { readonly ok: false; readonly why: string }
  >;
}

/**
 * Why a notice was given up by a channel: too many wait, it was tried for as long as it may be, it is
 * refused and will be, or the daemon ended.
 */
export type DropWord = 'overflow' | 'gave-up' | 'refused' | 'stopped';

/** What one channel has done in this life of the daemon. */
export interface ChannelFigures {
  readonly channel: string;
  readonly waiting: number;
  /** What it tried last did not get through. */
  readonly failing: boolean;
  readonly told: number;
  /** Attempts that did not get through. */
  readonly failed: number;
  /** Repeats that were held back, and those that newer ones took the place of. */
  readonly quieted: number;
  readonly dropped: Readonly<Record<DropWord, number>>;
  /** When it last got through, in milliseconds since 1970; 0: never. */
  readonly toldWall: number;
}

/** What is exchanged with a provider: by its API, or with its name servers. */
export type Operation = 'read' | 'write' | 'ask';
export type CallResult = 'ok' | 'abandoned' | FaultKind | ServerAnswerKind;

/** Which part of Detour itself went wrong. */
export type TroubleWord =
  /** A fault of Detour's own: an event that could not be folded in. */
  | 'fold'
  | 'adapter'
  | 'api'
  | 'coordinator'
  | 'eyes'
  | 'audit'
  | 'control-socket'
  | 'drill'
  | 'hook'
  | 'http-listener'
  | 'notify'
  | 'prober'
  | 'serve'
  | 'store';

/** Listens to what happens, for metrics and logs. Must be quick and must not throw. */
export interface Observer {
  /** The loop has come round, several times a second: what was due has been done. */
  beat?(): void;
  probed?(check: CheckId, path: string, observation: Observation): void;
  /** Another replica has told what it sees. */
  heard?(telling: Telling): void;
  /** One API or DNS exchange with a provider: its operation, `ok` or the fault's kind. */
  called?(provider: string, operation: Operation, result: CallResult, ms: number): void;
  /** It is durable. `late`: it was told of before, as `unstored`. */
  journalled?(entry: Entry, wall: number, late?: boolean): void;
  /** It happened and cannot be committed now; it is later, where there is room for it. */
  unstored?(entry: Entry, wall: number): void;
  /** One transaction of the group's has ended. */
  shared?(result: Outcome['kind'], ms: number): void;
  /** Something went wrong that is not the world's fault or could not be recorded. */
  trouble?(what: TroubleWord, detail: string): void;
}
