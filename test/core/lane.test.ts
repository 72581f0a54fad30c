// What a lane owes for a reading that was cut off, and what of it no longer counts. The engine alone,
// with answers given by hand: what a scenario cannot show.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Effect, start, step } from '../../src/core/engine.ts';
import type { Answer, Change, Seen } from '../../src/core/model.ts';
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

/** Ten records at a vendor that takes two changes a write and can leave markers for later. */
class Crowd {
  now = 1000;
  readonly names = Array.from({ length: 10 }, (_, i) => `r${i}.gslb.test.`);
  readonly state;
  /** What the vendor holds: the CNAME and its marker's epoch. */
  readonly held = new Map(this.names.map((name) => [name, { cname: 'a.shop.test.', text: '' }]));
  /** Every change that was sent, in order. */
  readonly sent: Change[] = [];
  readonly said: string[] = [];
  readonly #open: Effect[] = [];

  constructor() {
    const records = Object.fromEntries(this.names.map((name) => [name, {}]));
    const plain = coreConfig({ providers: ['cf'], records, writeMax: 2 });
    const cf = { ...plain.lanes['cf']!, settlesLater: true, quota: { ...quota, burst: 500 } };
    const begun = start({
      config: { ...plain, lanes: { cf } },
      docs: {},
      now: this.now,
      wall: this.now,
      seed: [1, 2, 3, 4],
    });
    this.state = begun.state;
    this.#open.push(...begun.step.effects);
    this.send({ kind: 'lease', held: true, term: 1 });
    this.run(() => false);
  }

  switchTo(target: string, names: readonly string[]): void {
    const flags = { force: true, dryRun: false, forMs: null, reason: 'because', by: 'ann' };
    for (const record of names) {
      this.send({
        kind: 'command',
        request: 1,
        command: { kind: 'switch', record, target, ...flags },
      });
    }
  }

  /** Answers what is asked of the vendor until nothing is, or until `stop`. */
  run(stop: () => boolean): void {
    for (let at = 0; at < this.#open.length && !stop(); ) {
      const effect = this.#open[at]!;
      if (effect.kind === 'read') {
        const answers = effect.names.map((name) => {
          const { cname, text } = this.held.get(name)!;
          return [name, stands(cname, text === '' ? [] : [text])] as const;
        });
        this.#open.splice(at, 1);
        this.send({ ...effect, answers: Object.fromEntries(answers) });
      } else if (effect.kind === 'write') {
        for (const change of effect.changes) this.#make(change);
        this.#open.splice(at, 1);
        const answers = effect.changes.map((): Answer<null> => ({ kind: 'answered', value: null }));
        this.send({ ...effect, kind: 'written', answers });
      } else at++;
    }
  }

  #make(change: Change): void {
    this.sent.push(change);
    const { name, to, settle } = change;
    const { cluster, epoch, id, term, kind, target } = to.marker;
    const text = `detour=1 cluster=${cluster} epoch=${epoch} id=${id} term=${term} kind=${kind} target=${target} pin=none`;
    const before = this.held.get(name)!;
    this.held.set(name, { cname: to.cname, text: settle === 'later' ? before.text : text });
  }

  /** Its name servers give what the vendor holds. */
  ask(record: string): void {
    const { cname, text } = this.held.get(record)!;
    const answer = { kind: 'cname', value: cname, ttl: 60 } as const;
    const answers = [{ server: 'ns1', answer, markers: text === '' ? [] : [text] }];
    this.send({ kind: 'asked', provider: 'cf', record, answers });
  }

  cell(name: string) {
    return this.state.records.get(name)!.cells.get('cf')!;
  }

  send(event: Parameters<typeof step>[1]): void {
    const out = step(this.state, event, this.now, this.now);
    this.#open.push(...out.effects);
    for (const { kind, record } of out.entries) this.said.push(`${kind} ${record ?? ''}`);
  }
}

test('in a crowd all CNAMEs go before any marker, and each marker follows', () => {
  const crowd = new Crowd();
  const [first] = crowd.names;
  crowd.sent.length = crowd.said.length = 0;
  crowd.switchTo('b', crowd.names);
  crowd.run(() => crowd.sent.length >= 8);
  const moved = crowd.sent.slice(0, 8);
  assert.deepEqual(
    moved.map((c) => c.settle),
    moved.map(() => 'later'),
  );
  assert.ok(crowd.said.includes(`written ${first}`));
  // Seen by all its servers it is visible; that its marker is behind is nobody's edit.
  crowd.ask(first!);
  crowd.ask(first!);
  assert.ok(crowd.said.includes(`visible ${first}`));
  assert.equal(crowd.cell(first!).settling, true);
  crowd.run(() => false);
  // The last two were no crowd any more.
  assert.deepEqual(
    crowd.sent.slice(8).map(({ name, settle }) => [name, settle]),
    [...crowd.names.slice(8), ...crowd.names.slice(0, 8)].map((name) => [name, undefined]),
  );
  for (const name of crowd.names) {
    assert.match(crowd.held.get(name)!.text, /epoch=2 .*target=b/);
    assert.equal(crowd.cell(name).settling, false);
    assert.equal(crowd.said.filter((s) => s === `written ${name}`).length, 1, 'told once');
  }
  assert.ok(!crowd.said.some((s) => /^(repair|hold|mend)/.test(s)), crowd.said.join(', '));
});

test('a switch of one record is made whole; the next switch of a crowd goes past open markers', () => {
  const crowd = new Crowd();
  crowd.sent.length = 0;
  crowd.switchTo('b', [crowd.names[0]!]);
  crowd.run(() => false);
  assert.deepEqual(
    crowd.sent.map((c) => c.settle),
    [undefined],
  );
  crowd.switchTo('b', crowd.names.slice(1));
  crowd.run(() => crowd.sent.length >= 5);
  crowd.switchTo('a', crowd.names);
  crowd.run(() => false);
  for (const name of crowd.names) {
    assert.deepEqual(crowd.held.get(name)!.cname, 'a.shop.test.');
    assert.match(crowd.held.get(name)!.text, /target=a/);
    assert.equal(crowd.cell(name).settling, false);
  }
});

test('what stands while a marker is to follow is put right at once, by whomever it was changed', () => {
  const crowd = new Crowd();
  const [first] = crowd.names;
  crowd.switchTo('b', crowd.names);
  crowd.run(() => crowd.cell(first!).settling);
  // A stale writer of an epoch before, late: its value under the old marker.
  crowd.held.set(first!, { ...crowd.held.get(first!)!, cname: 'a.shop.test.' });
  crowd.run(() => false);
  assert.equal(crowd.held.get(first!)!.cname, 'b.shop.test.');
  assert.match(crowd.held.get(first!)!.text, /target=b/);
});
