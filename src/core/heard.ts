// What the other replicas see, folded into what this one knows: each tells its own paths' verdicts and
// evidence, newest state only, and here they become votes like those of a path of our own. It never
// takes an age from another's clock, never lets a replica speak for another's paths, and never takes
// silence for `down`: what is not heard any more, or is too old, is `unknown`.

import type { CheckId, Name, Outcome, Verdict } from './model.ts';

/** One check by one of the teller's paths. Ages are milliseconds at the moment of telling. */
export interface Sighting {
  readonly check: CheckId;
  readonly path: string;
  /** Of the check's definition, as the teller has it. */
  readonly hash: string;
  /** The path's own verdict, by what it counted itself. */
  readonly verdict: Verdict;
  /** Its sums for `down` and for `up`, in nats: what the teller says they are worth now. */
  readonly evidence: number;
  readonly recovery: number;
  readonly fails: number;
  readonly passes: number;
  /** Probes in a row that did not pass, whether they counted or not. */
  readonly missed: number;
  /** Since the latest pass and the latest failure began; null: there was none. */
  readonly passAgeMs: number | null;
  readonly failAgeMs: number | null;
  /** Since a probe began that has taken far longer than usual and is not answered; null: none. */
  readonly openAgeMs: number | null;
  /** Since the last observation that was a vote ended. */
  readonly heardAgeMs: number;
  /** The latest observation; null before the first. */
  readonly outcome: Outcome | null;
  /** One clause for people, at most `DETAIL_MAX` characters. */
  readonly detail: string;
}

/** What one replica tells another, since what that one last answered for. */
export interface Telling {
  readonly replica: string;
  /** Hash of its whole configuration. */
  readonly config: string;
  /** All of its own paths. */
  readonly paths: readonly {
    readonly path: string;
    readonly blind: boolean;
    /** What it usually loses, in thousandths. */
    readonly lossPermille: number;
  }[];
  /** Those that changed; what is not in it stands as it was told, and is as young. */
  readonly sightings: readonly Sighting[];
  /** Nothing that is not in it stands any more. */
  readonly whole: boolean;
  /** Hashes of its records' definitions; null: as before. */
  readonly records: Readonly<Record<Name, string>> | null;
  /** None of its own paths sees anything: it does not vote. */
  readonly blind: boolean;
  /** It holds the lease, as it believes. */
  readonly acts: boolean;
  /** Newest number of the group's head that it knows. */
  readonly head: number;
}

/** The longest detail that is told, or taken. */
export const DETAIL_MAX = 200;
