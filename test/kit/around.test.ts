// What stands around a provider keeps all that it can do, what is optional among it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cloudflare } from '../../providers/cloudflare.ts';
import { around } from '../../src/kit/around.ts';
import type { DelegationHands, KeyFacts, Provider } from '../../src/kit/extend.ts';

const noSignal = new AbortController().signal;

test('what is not done otherwise is done as before, and nothing is lost', async () => {
  const told: string[] = [];
  const said = <T>(what: string, answer: T): T => {
    told.push(what);
    return answer;
  };
  const fault = { ok: false, fault: { kind: 'unavailable', detail: 'x' } } as const;
  const key: KeyFacts = {
    kind: 'static',
    needs: [],
    untilAt: null,
    why: null,
    lastsMs: null,
    failures: 0,
  };
  // All of it: a new member of the contract has to be thought of here.
  const inner: Required<Provider> = {
    name: 'one',
    capabilities: cloudflare.capabilities,
    calls: 7,
    zone: async () => said('zone', fault),
    read: async () => said('read', {}),
    write: async () => said('write', []),
    preflight: async (_record, _signal, lines) => said(`preflight ${lines}`, []),
    key: () => said('key', key),
    delegation: {} as DelegationHands,
    close: () => said('close', undefined),
  };
  const outer = around(inner, { read: async () => said('own read', {}) });
  assert.deepEqual(Object.keys(outer).sort(), Object.keys(inner).sort());
  assert.equal(outer.name, 'one');
  assert.equal(outer.calls, 7);
  assert.equal(outer.capabilities, inner.capabilities);
  assert.equal(outer.delegation, inner.delegation);
  assert.equal(outer.key!(), key);
  await outer.zone('a.', noSignal);
  await outer.read(['a.'], noSignal);
  await outer.write([], noSignal);
  await outer.preflight('a.', noSignal, ['default']);
  outer.close();
  assert.deepEqual(told, ['key', 'zone', 'own read', 'write', 'preflight default', 'close']);
});
