// What one replica tells the others of what it sees: types only. It says what was seen and how long
// ago by the teller's own clock; it must never bear a time of that clock.

import type { CheckId, Name } from '../core/model.ts';

/** One check by one of the teller's paths. Ages in milliseconds at the moment of telling. */
export interface Sighting {
  readonly check: CheckId;
  readonly path: string;
  readonly hash: string;
  readonly verdict: 'up' | 'down' | 'unknown';
  readonly evidence: number;
  readonly recovery: number;
  readonly fails: number;
  readonly passes: number;
  readonly missed: number;
  readonly passAgeMs: number | null;
  readonly failAgeMs: number | null;
  readonly heardAgeMs: number;
  readonly outcome: 'pass' | 'fail' | 'blind' | 'limited' | null;
  readonly detail: string;
}

export interface Telling {
  readonly replica: string;
  /** Hash of its whole configuration. */
  readonly config: string;
  readonly paths: readonly {
    readonly path: string;
    readonly blind: boolean;
    readonly lossPermille: number;
  }[];
  readonly sightings: readonly Sighting[];
  /** Nothing that is not in it stands any more. */
  readonly whole: boolean;
  /** Hashes of the records' definitions; null: as before. */
  readonly records: Readonly<Record<Name, string>> | null;
  readonly blind: boolean;
  readonly acts: boolean;
  /** Newest number of the group's head that it knows. */
  readonly head: number;
}
