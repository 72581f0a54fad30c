// What a lane owes for a reading that was cut off, and what of it no longer counts. The engine alone,
// with answers given by hand: what a scenario cannot show.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Effect, start, step } from '../../src/core/engine.ts';
import type { Answer, Seen } from '../../src/core/model.ts';
import { coreConfig } from './world.ts';

const [WWW, API] = ['www.gslb.test.', 'api.gslb.test.'];
const base = coreConfig({ providers: ['cf'], records: { [WWW]: {}, [API]: {} } });
const quota = { burst: 20, perSecond: 1, reserve: 10 };
const config = { ...base, lanes: { cf: { ...base.lanes['cf']!, quota } } };

function stands(cname: string, markers: readonly string[]): Answer<Seen> {
  const seen = { cnames: [{ value: cname, ttl: 60 }], markers, refusal: null, ref: null };
  return { kind: 'answered', value: seen };
}

/** An engine whose records are in force on `a`, with a routine reading of one of them under way. */
class Stand {
  now = 1000;
  readonly state;
  /** What its vendor holds. */
  readonly standing = { [WWW]: stands('a.shop.test.', []), [API]: stands('a.shop.test.', []) };
  readonly #effects: Effect[] = [];

  constructor() {
    const begun = start({ config, docs: {}, now: this.now, wall: this.now, seed: [1, 2, 3, 4] });
    this.state = begun.state;
    this.#effects.push(...begun.step.effects);
    this.send({ kind: 'lease', held: true, term: 1 });
    const { standing } = this;
    for (let read = this.next('read'); read !== null; read = this.next('read')) {
      this.send({ kind: 'read', provider: 'cf', id: read.id, answers: standing });
      for (let write = this.next('write'); write !== null; write = this.next('write')) {
        for (const { name, to } of write.changes) {
          const { cluster, id, term } = to.marker;
          const text = `detour=1 cluster=${cluster} epoch=1 id=${id} term=${term} kind=auto target=a pin=none`;
          standing[name] = stands('a.shop.test.', [text]);
        }
        const answers = write.changes.map((): Answer<null> => ({ kind: 'answered', value: null }));
        this.send({ kind: 'written', provider: 'cf', id: write.id, answers });
      }
    }
    const answer = { kind: 'cname', value: 'a.shop.test.', ttl: 60 } as const;
    const right = [{ server: 'ns1', answer, markers: null }];
    for (const record of [WWW, API]) {
      this.send({ kind: 'asked', provider: 'cf', record, answers: right });
    }
    // What DNS gives of one of them is odd, and its API is asked.
    this.now += 60_000;
    this.look('x.example.');
  }

  /** DNS gives this for one of them. */
  look(value: string): void {
    const answer = { kind: 'cname', value, ttl: 60 } as const;
    const answers = [{ server: 'ns1', answer, markers: null }];
    this.send({ kind: 'asked', provider: 'cf', record: API, answers });
  }

  /** The reading of one of them gives what stands, and has cost so many calls. */
  answer(id: number, calls: number): void {
    this.send({ kind: 'read', provider: 'cf', id, answers: this.standing, calls });
  }

  get tokens(): number {
    return this.state.lanes.get('cf')!.tokens;
  }

  send(event: Parameters<typeof step>[1]): void {
    this.#effects.push(...step(this.state, event, this.now, this.now).effects);
  }

  switchTo(target: string): void {
    const flags = { force: true, dryRun: false, forMs: null, reason: 'because', by: 'ann' };
    const command = { kind: 'switch', record: WWW, target, ...flags } as const;
    this.send({ kind: 'command', request: 1, command });
  }

  /** Takes the next effect of a kind; null when there is none. */
  next<K extends Effect['kind']>(kind: K): Extract<Effect, { kind: K }> | null {
    const at = this.#effects.findIndex((e) => e.kind === kind);
    return at < 0 ? null : (this.#effects.splice(at, 1)[0] as Extract<Effect, { kind: K }>);
  }
}

test('the answers of a reading that was cut off no longer count, and its calls are paid for', () => {
  const stand = new Stand();
  const routine = stand.next('read')!;
  assert.deepEqual(routine.names, [API]);
  stand.switchTo('b');
  assert.deepEqual(stand.next('abandon'), { kind: 'abandon', provider: 'cf', id: routine.id });
  const urgent = stand.next('read')!;
  assert.deepEqual(urgent.names, [WWW]);
  const before = stand.tokens;
  const answers = { [API]: stands('x.example.', []) };
  stand.send({ kind: 'read', provider: 'cf', id: routine.id, answers, calls: 7 });
  assert.equal(stand.tokens, before - 6);
  const cell = stand.state.records.get(API)!.cells.get('cf')!;
  assert.equal(cell.standing?.kind, 'marked', 'what it said is not taken');
  assert.equal(cell.attempts, 0, 'it has not failed');
  assert.equal(stand.state.lanes.get('cf')!.busy?.id, urgent.id, 'the urgent one is still awaited');
});

test('what cuts a reading off is paid for from the reserve', () => {
  const stand = new Stand();
  const routine = stand.next('read')!;
  const lane = stand.state.lanes.get('cf')!;
  lane.tokens = quota.reserve - 5;
  stand.switchTo('b');
  assert.equal(stand.next('abandon')?.id, routine.id);
  assert.deepEqual(stand.next('read')?.names, [WWW]);
});

test('routine work leaves the reserve alone, and goes on when there is more than that', () => {
  const stand = new Stand();
  const first = stand.next('read')!;
  stand.answer(first.id, 1);
  const lane = stand.state.lanes.get('cf')!;
  stand.now += 60_000;
  [lane.tokens, lane.refilledAt] = [quota.reserve + 0.5, stand.now];
  stand.look('x.example.');
  assert.equal(stand.next('read'), null, 'it waits');
  stand.now += 501;
  stand.send({ kind: 'tick' });
  assert.deepEqual(stand.next('read')?.names, [API]);
  assert.ok(lane.tokens >= quota.reserve, `${lane.tokens}`);
});

test('every call is paid for, also those that a reading was not known to need', () => {
  const stand = new Stand();
  const first = stand.next('read')!;
  const before = stand.tokens;
  stand.answer(first.id, 5);
  assert.equal(stand.tokens, before - 4);
  const lane = stand.state.lanes.get('cf')!;
  [lane.tokens, lane.refilledAt] = [8, stand.now];
  stand.switchTo('b');
  const read = stand.next('read')!;
  assert.equal(stand.tokens, 7, 'one before it is sent');
  stand.send({ kind: 'read', provider: 'cf', id: read.id, answers: stand.standing, calls: 3 });
  assert.equal(stand.tokens, 4, 'two after it has ended, and one for the write');
  const write = stand.next('write')!;
  const done: Answer<null> = { kind: 'answered', value: null };
  stand.send({ kind: 'written', provider: 'cf', id: write.id, answers: [done], calls: 9 });
  assert.equal(stand.tokens, -4, 'a debt is a debt');
});
