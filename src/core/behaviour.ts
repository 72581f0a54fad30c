// By which rules something was decided. A change of what Detour decides from the same facts has a
// number here, and the code asks for it where the old and the new part ways. A daemon decides by the
// newest; a replay of a journal by those it was decided by. It must never give a number another
// meaning, and the old way never goes while a journal kept in test/corpus was decided by it.

import type { CoreConfig } from './model.ts';

/** What is so since each number; 0 is how the first version decided. */
export const behaviours = {
  1: 'A target that is down is asked once more, and must fail again, before it is left.',
  2: 'What all clouds lose at once tells less; patience and budget know what ends by itself.',
} as const;

type Behaviour = keyof typeof behaviours;

/** By which a daemon decides. */
export const newestBehaviour = 2 satisfies Behaviour;

/** Whether it is decided by this rule, or as before it. */
export function since(config: CoreConfig, number: Behaviour): boolean {
  return (config.behaviour ?? newestBehaviour) >= number;
}
