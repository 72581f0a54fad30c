// What the tests of the suite stand on: the account under test, names that nobody has used, and the
// few moves that every story is made of. It must never look at a fault's words to pass a test, and
// waits for conditions, never for a time.

import assert from 'node:assert/strict';
import { formatMarker, markerName } from '../../core/marker.ts';
import type { Answer, Change, Fault, Marker, Name, Reach, Seen } from '../../core/model.ts';
import type { Capabilities, Provider } from '../extend.ts';
import type { Account, Candidate } from './account.ts';

const patienceMs = 15_000;

/** A signal that nobody aborts. */
export const never = (): AbortSignal => new AbortController().signal;

export function marker(epoch: number, id = `id${epoch}`): Marker {
  const rest = { term: 1, kind: 'auto', target: 't', pinned: false, pinMs: null } as const;
  return { cluster: 'shop', epoch, id, ...rest };
}

/** From what was read to this CNAME, under this epoch. */
export function move(name: Name, from: Seen, cname: Name, epoch: number, id?: string): Change {
  return { name, from, to: { cname, ttl: 300, marker: marker(epoch, id) } };
}

/** Waits for a condition. Throws when it does not come. */
export async function eventually(what: string, check: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!(await check())) {
    assert.ok(performance.now() < deadline, `in vain: ${what}`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

/** What a promise gives, which must end long before any limit of a call. */
export async function soon<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it does not end: ${what}`)), patienceMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The value of an answer. */
export function told<T>(answer: Answer<T> | undefined): T {
  assert.ok(answer?.kind === 'answered', JSON.stringify(answer));
  return answer.value;
}

export class Stage {
  readonly capabilities: Capabilities;
  readonly #candidate: Candidate;
  readonly #opened: Provider[] = [];
  #account: Account | null = null;
  #provider: Provider | null = null;
  #names = 0;

  constructor(candidate: Candidate) {
    this.#candidate = candidate;
    this.capabilities = candidate.capabilities;
  }

  get account(): Account {
    assert.ok(this.#account, 'the account was not started');
    return this.#account;
  }

  /** A provider that is open all the time. */
  get provider(): Provider {
    assert.ok(this.#provider, 'no provider was opened');
    return this.#provider;
  }

  async begin(): Promise<void> {
    this.#account = await this.#candidate.start();
    this.#provider = this.account.open();
    // The SDK of a vendor may take its time to load, once.
    await eventually('the zone is found', async () => {
      return (await this.provider.zone(this.fresh(), never())).ok;
    });
  }

  /** After each test: whole again, and nothing open but the one provider. */
  async calm(): Promise<void> {
    await this.#account?.secondZone?.fault(null);
    await this.#account?.fault(null);
    for (const made of this.#opened.splice(0)) made.close();
  }

  async end(): Promise<void> {
    this.#provider?.close();
    await this.#account?.close();
  }

  /** One more provider at the account, closed after the test. */
  open(options?: Parameters<Account['open']>[0]): Provider {
    const made = this.account.open(options);
    this.#opened.push(made);
    return made;
  }

  /** A name that nobody has used. */
  fresh(zone = this.account.zone): Name {
    return `n${++this.#names}.${zone}`;
  }

  async see(name: Name, by = this.provider): Promise<Seen> {
    return told((await by.read([name], never()))[name]);
  }

  /** What stands at many names, in as many readings as that takes. */
  async seeAll(names: readonly Name[]): Promise<ReadonlyMap<Name, Seen>> {
    const seen = new Map<Name, Seen>();
    while (seen.size < names.length) {
      const open = names.filter((name) => !seen.has(name)).slice(0, this.capabilities.readMax);
      const read = await this.provider.read(open, never());
      const said = open.filter((name) => read[name]?.kind !== 'not-asked');
      assert.ok(said.length > 0, 'a reading that asks nothing');
      for (const name of said) seen.set(name, told(read[name]));
    }
    return seen;
  }

  async put(change: Change, by = this.provider): Promise<Answer<null>> {
    const answers = await by.write([change], never());
    assert.equal(answers.length, 1, 'one answer a change');
    return answers[0]!;
  }

  /** A change that must be made. */
  async make(change: Change, by = this.provider): Promise<void> {
    told(await this.put(change, by));
  }

  /** A fault, fit to be shown. */
  faultOf(answer: Answer<unknown> | undefined): { readonly fault: Fault; readonly reach: Reach } {
    assert.ok(answer?.kind === 'fault', `a fault was expected: ${JSON.stringify(answer)}`);
    this.inspect(answer.fault);
    return answer;
  }

  /** Every fault is one clause for people, and shows no secret. */
  inspect(fault: Fault): Fault {
    const text = JSON.stringify(fault);
    for (const secret of this.account.secrets) {
      assert.ok(!text.includes(secret), 'a secret is shown');
    }
    assert.ok(fault.detail.length > 0 && fault.detail.length < 600, text);
    return fault;
  }

  /** A name on a., marked with epoch 1. */
  async begun(zone = this.account.zone): Promise<{ readonly name: Name; readonly from: Seen }> {
    const name = this.fresh(zone);
    await this.make(move(name, await this.see(name), 'a.example.com.', 1));
    return { name, from: await this.see(name) };
  }

  /** By the provider's reading, and by what its servers give in the end. */
  async stands(name: Name, cname: Name, by: Marker, ttl = 300): Promise<void> {
    const seen = await this.see(name);
    assert.deepEqual(seen.cnames, [{ value: cname, ttl }]);
    assert.deepEqual(seen.markers, [formatMarker(by)]);
    assert.equal(seen.refusal, null);
    await this.gives(name, [cname], [formatMarker(by)]);
  }

  /** Every server gives exactly this in the end. */
  gives(name: Name, cnames: readonly Name[], texts: readonly string[]): Promise<void> {
    const is = (lists: readonly (readonly string[])[], wanted: readonly string[]) =>
      lists.every((l) => JSON.stringify(l.toSorted()) === JSON.stringify(wanted.toSorted()));
    return eventually(`${name} gives ${cnames.join(', ') || 'nothing'}`, async () => {
      const { account } = this;
      const byName = await account.look(name, 'CNAME');
      const byMarker = await account.look(markerName(name), 'TXT');
      return is(byName, cnames) && is(byMarker, texts);
    });
  }

  /** What a lane does: reads, and writes again, until it stands. */
  converge(name: Name, cname: Name, epoch: number, by = this.provider): Promise<void> {
    return eventually(`${name} converges on ${cname}`, async () => {
      const read = (await by.read([name], never()))[name];
      if (read?.kind !== 'answered') return false;
      const { cnames, markers } = read.value;
      const text = formatMarker(marker(epoch));
      if (cnames[0]?.value === cname && markers[0] === text) return true;
      const written = await this.put(move(name, read.value, cname, epoch), by);
      return written.kind === 'answered';
    });
  }
}
