// What a drill came to, whoever made it. Types only.

import type { DrillDoc, Json } from '../core/model.ts';

export interface Outcome {
  /** `refused`: it was not begun. */
  readonly result: DrillDoc['result'] | 'refused';
  readonly ms: number | null;
  readonly sentence: string;
  readonly parts: Json;
}
