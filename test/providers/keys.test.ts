// Each kind of key against the lab's token services and vendors. Sessions end by a clock that is moved
// by hand.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Provider } from '../../src/kit/extend.ts';
import { type KeyWorld, kinds, startKeyWorld, www } from '../parts/key-world.ts';

const quiet = new AbortController().signal;
await import('@aws-sdk/client-route-53');
await import('@aws-sdk/credential-providers');

let world: KeyWorld;
before(async () => {
  world = await startKeyWorld();
});
after(() => world.close());

async function read(provider: Provider): Promise<string> {
  const { [www]: answer } = await provider.read([www], quiet);
  if (answer?.kind === 'answered') return answer.value.cnames[0]?.value ?? 'nothing';
  return answer?.kind === 'fault' ? `${answer.fault.kind}: ${answer.fault.detail}` : 'not asked';
}

describe('each kind of key', () => {
  for (const kind of kinds) {
    it(`${kind} is taken`, async () => {
      const provider = world.open(kind);
      assert.equal(await read(provider), 'a.example.');
      assert.equal(provider.key!().kind, kind.split(' ')[1]);
      provider.close();
    });
  }
});
