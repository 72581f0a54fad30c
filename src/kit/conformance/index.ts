// The conformance suite: what the loop relies on, whichever vendor it is, as one story for every
// provider. It imports nothing of the lab, of the adapters or of our tests, and no other source
// imports it. It must never pass a provider for what it says of itself alone: what stands is looked
// up at the vendor.
//
// How to use it. Beside your provider make a fake of the vendor's API that refuses what the vendor
// refuses, and an `Account` over it (account.ts says what each member must do). Then, in a test:
//
//   import { providerConformance } from 'detour/conformance';
//   import { myProvider } from './index.ts';
//   import { startFake } from './fake.ts';
//
//   providerConformance({
//     title: 'My vendor',
//     capabilities: myProvider.capabilities,
//     skip: false,
//     start: async () => startFake(),
//   });
//
// `node --test` runs it. What your fake cannot do (a fault, a second zone, counting of calls) is
// skipped by name, so that the list of skips says what was not shown.

import { after, afterEach, before, describe } from 'node:test';
import type { Candidate } from './account.ts';
import { faultStory } from './faults.ts';
import { fenceStory } from './fence.ts';
import { lineStory } from './lines.ts';
import { reachStory } from './reach.ts';
import { refusalStory } from './refusals.ts';
import { Stage } from './stage.ts';
import { writeStory } from './writes.ts';
import { zoneStory } from './zones.ts';

export type { Account, Candidate, Oddity, SecondZone, Trouble } from './account.ts';
export { troubles } from './account.ts';

/**
 * Registers the suite for one account with `node:test`, as one group of that title. It starts the
 * account once, uses it one test after the other, and closes it. Takes seconds; each wait ends
 * after 15 s. Before: a provider and a fake. Input: the candidate. After: the runner reports every
 * test by name, passed, failed, or skipped with what is missing.
 */
export function providerConformance(candidate: Candidate): void {
  describe(candidate.title, { skip: candidate.skip, concurrency: 1 }, () => {
    const stage = new Stage(candidate);
    before(() => stage.begin());
    afterEach(() => stage.calm());
    after(() => stage.end());
    writeStory(stage);
    fenceStory(stage);
    refusalStory(stage);
    lineStory(stage);
    reachStory(stage);
    zoneStory(stage);
    faultStory(stage);
  });
}
