// What a token service gave, held: time is moved by hand, and the token service is a function.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { failed, fieldsOf, HeldKeys } from '../../providers/kit/index.ts';
import { SecretError } from '../../src/kit/secret.ts';
import { HandClock, settled } from '../parts/hand-clock.ts';

const HOUR = 3_600_000;
const quiet = new AbortController().signal;

/** A token service with sessions of an hour; it is dead while `dead` says how. */
function world(lifeMs: number | null = HOUR) {
  const clock = new HandClock();
  let count = 0;
  let atOnce = 0;
  const state = {
    dead: null as unknown,
    key: (n: number) => `key-${n}`,
    asked: 0,
    mostAtOnce: 0,
    hold: null as Promise<void> | null,
  };
  const keys = new HeldKeys<string>({
    kind: 'assume-role',
    from: 'sts',
    doing: 'AssumeRole of role',
    needs: ['sts.example.net'],
    timeoutMs: 1000,
    async ask() {
      state.asked++;
      state.mostAtOnce = Math.max(state.mostAtOnce, ++atOnce);
      try {
        await state.hold;
        if (state.dead !== null) throw state.dead;
        return {
          keys: state.key(++count),
          untilAt: lifeMs === null ? null : clock.wall() + lifeMs,
        };
      } finally {
        atOnce--;
      }
    },
    explain: (error) =>
      fieldsOf(error)['denied'] === true
        ? failed('zone', 'rejected', 'AssumeRole of role: AccessDenied')
        : null,
    secretsOf: (held) => (held === null ? ['master'] : [held]),
    clock: Object.assign(clock, { chance: () => 0.5 }),
  });
  const get = async () => {
    const got = await keys.get(quiet);
    return got.ok ? got.value : got.fault;
  };
  return { clock, keys, state, get };
}

/** Refused for good: no short repeat. */
const denied = { denied: true };

describe('keys that are held', () => {
  it('are asked for once, whoever wants them, and not before', async () => {
    const { keys, state, get } = world();
    assert.deepEqual(keys.facts().untilAt, null);
    assert.equal(state.asked, 0);
    assert.deepEqual(await Promise.all([get(), get(), get()]), ['key-1', 'key-1', 'key-1']);
    assert.equal(state.asked, 1);
    keys.close();
  });

  it('are renewed at half their life, with nobody waiting', async () => {
    const { clock, keys, state, get } = world();
    await get();
    await clock.advance(HOUR / 2 - 1);
    assert.equal(state.asked, 1);
    await clock.advance(1);
    await settled();
    assert.equal(state.asked, 2);
    assert.equal(await get(), 'key-2');
    assert.equal(keys.facts().lastsMs, 27 * 60_000);
    keys.close();
  });

  it('are renewed each hour where they live longer', async () => {
    const { clock, keys, state, get } = world(12 * HOUR);
    await get();
    await clock.advance(HOUR);
    await settled();
    assert.equal(state.asked, 2);
    assert.equal(keys.facts().lastsMs, 10.9 * HOUR);
    keys.close();
  });

  it('serve until they really end while the token service refuses, and say why', async () => {
    const { clock, keys, state, get } = world();
    await get();
    state.dead = denied;
    await clock.advance(HOUR - 1);
    assert.equal(await get(), 'key-1');
    const { why, failures = 0 } = keys.facts();
    assert.equal(why, 'credentials: sts: AssumeRole of role: AccessDenied');
    // Half an hour: 1, 2, 4, 8, 16, 32 s, and then one a minute.
    assert.ok(failures >= 30 && failures <= 40, `${failures} renewals failed`);
    await clock.advance(1);
    assert.deepEqual(await get(), {
      kind: 'auth-suspect',
      detail: 'credentials: sts: AssumeRole of role: AccessDenied',
    });
    state.dead = null;
    await clock.advance(30_000);
    assert.equal(await get(), 'key-2');
    assert.equal(keys.facts().why, null);
    assert.equal(state.mostAtOnce, 1);
    keys.close();
  });

  it('make nobody wait for a renewal that hangs', async () => {
    const { clock, keys, state, get } = world();
    await get();
    const { promise, resolve } = Promise.withResolvers<void>();
    state.hold = promise;
    await clock.advance(HOUR / 2);
    assert.equal(await get(), 'key-1');
    assert.equal(state.asked, 2);
    clock.sleep(HOUR / 4);
    assert.equal(await get(), 'key-1');
    assert.equal(state.asked, 2);
    resolve();
    await settled();
    assert.equal(await get(), 'key-2');
    keys.close();
  });

  it('are renewed when a machine that slept wakes up, though no alarm rang', async () => {
    const { clock, keys, state, get } = world();
    await get();
    clock.sleep(HOUR - 60_000);
    assert.equal(await get(), 'key-1');
    await settled();
    assert.equal(state.asked, 2);
    assert.equal(await get(), 'key-2');
    keys.close();
  });

  it('end the wait of who is called off, and of nobody else', async () => {
    const { keys, state, get } = world();
    const { promise, resolve } = Promise.withResolvers<void>();
    state.hold = promise;
    const stop = new AbortController();
    const first = keys.get(stop.signal);
    const second = get();
    stop.abort();
    const got = await first;
    assert.equal(got.ok ? got.value : got.fault.detail.startsWith('credentials: sts: '), true);
    assert.equal(got.ok ? '' : got.fault.kind, 'unavailable');
    resolve();
    assert.equal(await second, 'key-1');
    assert.equal(state.asked, 1);
    keys.close();
  });

  it('are not asked for again before a pause is over, whoever wants them', async () => {
    const { clock, keys, state, get } = world();
    state.dead = denied;
    for (let i = 0; i < 5; i++) await get();
    assert.equal(state.asked, 1);
    await clock.advance(1000);
    await settled();
    assert.equal(state.asked, 2);
    keys.close();
  });

  it('are asked for soon when the vendor refuses them, and serve until then', async () => {
    const { clock, keys, state, get } = world();
    await get();
    keys.refused();
    assert.equal(state.asked, 1);
    await clock.advance(30_000);
    keys.refused();
    keys.refused();
    assert.equal(await get(), 'key-1');
    await settled();
    assert.equal(state.asked, 2);
    assert.equal(await get(), 'key-2');
    keys.close();
  });

  it('are refused when they are empty, or have ended when they come', async () => {
    const { keys, state, get } = world();
    state.key = () => '';
    assert.match(JSON.stringify(await get()), /credentials: sts: .* an empty key was given/);
    keys.close();
    const late = world(0);
    assert.match(JSON.stringify(await late.get()), /has ended already.*this machine's clock/);
    late.keys.close();
  });

  it('say what secret is missing, and go on with what they have', async () => {
    const { clock, keys, state, get } = world();
    await get();
    state.dead = new SecretError('file /etc/token is not there');
    await clock.advance(HOUR / 2);
    await settled();
    assert.equal(await get(), 'key-1');
    assert.equal(keys.facts().why, 'credentials: sts: file /etc/token is not there');
    keys.close();
  });

  it('without an end are looked at each minute, and kept when that fails', async () => {
    const { clock, keys, state, get } = world(null);
    await get();
    await clock.advance(60_000);
    await settled();
    assert.equal(await get(), 'key-2');
    state.dead = denied;
    await clock.advance(10 * HOUR);
    assert.equal(await get(), 'key-2');
    keys.close();
  });

  it('never show what they are made of', async () => {
    const { keys, get } = world();
    assert.deepEqual(keys.secrets(), ['master']);
    await get();
    assert.deepEqual(keys.secrets(), ['master', 'key-1']);
    keys.close();
  });
});
