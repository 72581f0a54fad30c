// A provider whose keys change under it: it goes on with the others, counts its calls on, and looks
// at its keys when the vendor refuses them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Fault } from '../../src/core/model.ts';
import type { Provider } from '../../src/kit/extend.ts';
import { renewing, renewingNotifier } from '../../src/run/renew.ts';
import { toldOf } from '../parts/told.ts';

const never = new AbortController().signal;
const refused: Fault = { kind: 'auth-suspect', detail: 'refused' };

/** Vendors' side: takes one key. */
function account(lookMs: number) {
  const vendor = { takes: 'first', key: 'first', mark: '1', opened: [] as string[] };
  const provider = renewing(
    { read: () => vendor.key, mark: () => vendor.mark },
    {
      lookMs,
      told: () => {},
      make: (secret) => {
        const key = secret({ file: '/key' });
        vendor.opened.push(key);
        let calls = 0;
        const answer = () => {
          calls++;
          const isGood = vendor.takes === key;
          return isGood
            ? ({ kind: 'answered', value: null } as const)
            : ({ kind: 'fault', fault: refused, reach: { kind: 'account' } } as const);
        };
        return {
          name: 'cf',
          capabilities: { type: 'x' } as Provider['capabilities'],
          get calls() {
            return calls;
          },
          zone: async () => {
            calls++;
            return { ok: false, fault: refused };
          },
          read: async (names) => {
            const { fault, reach } = { fault: refused, reach: { kind: 'account' } as const };
            const one = answer();
            const value = { cnames: [], markers: [], refusal: null, ref: null };
            return Object.fromEntries(
              names.map((name) => [
                name,
                one.kind === 'answered'
                  ? { kind: 'answered' as const, value }
                  : { kind: 'fault' as const, fault, reach },
              ]),
            );
          },
          write: async (changes) => changes.map(answer),
          preflight: async () => [],
          key: () => ({ kind: key, needs: [], untilAt: null, why: null, failures: calls }),
          close() {},
        };
      },
    },
  );
  return { vendor, provider };
}

test('the next call after a key has changed is made with it, and calls are counted on', async () => {
  const { vendor, provider } = account(0);
  const read = async () => (await provider.read(['www.'], never))['www.']!.kind;
  assert.equal(await read(), 'answered');
  Object.assign(vendor, { takes: 'second', key: 'second', mark: '2' });
  assert.equal(await read(), 'answered');
  assert.deepEqual(vendor.opened, ['first', 'second']);
  assert.equal(provider.calls, 2);
  const { kind, failures } = provider.key!();
  assert.deepEqual([kind, failures], ['second', 2]);
  provider.close();
  assert.equal(provider.calls, 2);
});

test('a key that was refused is compared, though its file seems the same', async () => {
  for (const ask of [
    async (provider: Provider) => void (await provider.read(['www.'], never)),
    async (provider: Provider) => void (await provider.write([{} as never], never)),
    async (provider: Provider) => void (await provider.zone('www.', never)),
  ]) {
    const { vendor, provider } = account(0);
    Object.assign(vendor, { takes: 'second', key: 'second' });
    await ask(provider);
    assert.deepEqual(vendor.opened, ['first']);
    await ask(provider);
    assert.deepEqual(vendor.opened, ['first', 'second']);
    provider.close();
  }
});

test('a notice goes out with the key as it is now: when its file changed, or it was refused', async () => {
  const store = { key: 'first', mark: '1', takes: 'first', told: [] as string[] };
  const renewals: string[] = [];
  const notifier = renewingNotifier(
    { read: () => store.key, mark: () => store.mark },
    {
      lookMs: 0,
      told: ({ kind }) => renewals.push(kind),
      make: (secret) => {
        const key = secret({ file: '/key' });
        return {
          async notify() {
            if (key !== store.takes) throw new Error('refused');
            store.told.push(key);
          },
        };
      },
    },
  );
  const notify = () => notifier.notify(toldOf(), never);
  await notify();
  Object.assign(store, { key: 'second', takes: 'second', mark: '2' });
  await notify();
  // The file seems the same: only after a refusal is it compared.
  Object.assign(store, { key: 'third', takes: 'third' });
  await assert.rejects(notify, /refused/);
  await notify();
  assert.deepEqual(store.told, ['first', 'second', 'third']);
  assert.deepEqual(renewals, ['renewed', 'renewed']);
});
