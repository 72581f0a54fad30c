// Providers that break the contract in one way each, by the word in CARELESS, for suite.test.ts. No
// test of its own: most of what runs here must fail.

import type { Answer, Change, Marker, Name, Seen } from '../../../src/core/model.ts';
import { providerConformance } from '../../../src/kit/conformance/index.ts';
import type { Provider } from '../../../src/kit/extend.ts';
import { worldRow } from '../../core/account.ts';

type Part = Partial<Pick<Provider, 'read' | 'write' | 'preflight' | 'calls'>>;
type Read = Readonly<Record<Name, Answer<Seen>>>;

/** What each of them does in the place of what it should. */
const manners: Readonly<Record<string, (own: Provider) => Part>> = {
  none: () => ({}),
  'forgets-a-name': (own) => ({
    read: async (names, signal) => {
      const read = { ...(await own.read(names, signal)) };
      if (names.length > 1) delete read[names[0]!];
      return read;
    },
  }),
  'asks-nothing': (own) => ({
    read: async (names, signal) =>
      names.length < 2 ? own.read(names, signal) : each(names, () => ({ kind: 'not-asked' })),
  }),
  'spoils-a-reading': (own) => ({
    read: async (names, signal) => {
      const read = await own.read(names, signal);
      const bad = Object.values(read).find((answer) => answer.kind === 'fault');
      return bad === undefined ? read : each(names, () => bad);
    },
  }),
  'blames-the-account': (own) => ({
    read: async (names, signal) => {
      const read = await own.read(names, signal);
      return each(names, (name) => toAccount(read[name]!));
    },
    write: async (changes, signal) => (await own.write(changes, signal)).map(toAccount),
  }),
  'remembers-what-it-read': (own) => {
    const seen = new Map<Name, Answer<Seen>>();
    return {
      read: async (names, signal) => {
        const read = await own.read(names, signal);
        for (const name of names) if (!seen.has(name)) seen.set(name, read[name]!);
        return each(names, (name) => seen.get(name)!);
      },
    };
  },
  'writes-blindly': (own) => ({
    write: async (changes, signal) => {
      const read = await own.read(
        changes.map(({ name }) => name),
        signal,
      );
      const now = changes.map((change): Change => {
        const answer = read[change.name];
        return answer?.kind === 'answered' ? { ...change, from: answer.value } : change;
      });
      return own.write(now, signal);
    },
  }),
  'claims-to-be-done': (own) => ({
    write: async (changes, signal) =>
      (await own.write(changes, signal)).map(() => ({ kind: 'answered', value: null })),
  }),
  'answers-backwards': (own) => ({
    write: async (changes, signal) => [...(await own.write(changes, signal))].reverse(),
  }),
  'leaves-the-marker': (own) => ({
    write: (changes, signal) =>
      own.write(
        changes.map(({ to, ...rest }) => ({
          ...rest,
          to: { ...to, marker: { ...to.marker, id: 'mine' } },
        })),
        signal,
      ),
  }),
  'counts-nothing': () => ({ calls: 0 }),
  'hears-no-signal': (own) => ({
    read: (names) => own.read(names, new AbortController().signal),
    write: (changes) => own.write(changes, new AbortController().signal),
  }),
  'looks-by-writing': (own) => ({
    preflight: async (record, signal) => {
      const { [record]: answer } = await own.read([record], signal);
      if (answer?.kind !== 'answered') return [];
      const { cnames, markers } = answer.value;
      const [cname] = cnames;
      if (cname === undefined || markers.length === 0) return [];
      const to = { cname: cname.value, ttl: cname.ttl, marker: looking };
      await own.write([{ name: record, from: answer.value, to }], signal);
      return [];
    },
  }),
};

const looking: Marker = {
  cluster: 'shop',
  epoch: 1,
  id: 'look',
  term: 1,
  kind: 'auto',
  target: 't',
  pinned: false,
  pinMs: null,
};

function each(names: readonly Name[], say: (name: Name) => Answer<Seen>): Read {
  return Object.fromEntries(names.map((name) => [name, say(name)] as const));
}

function toAccount<T>(answer: Answer<T>): Answer<T> {
  return answer.kind === 'fault' ? { ...answer, reach: { kind: 'account' } } : answer;
}

/** The provider with some of its parts in another manner. */
function careless(own: Provider, part: Part): Provider {
  return {
    name: own.name,
    capabilities: own.capabilities,
    get calls() {
      return part.calls ?? own.calls;
    },
    zone: (name, signal) => own.zone(name, signal),
    read: part.read ?? ((names, signal) => own.read(names, signal)),
    write: part.write ?? ((changes, signal) => own.write(changes, signal)),
    preflight: part.preflight ?? ((record, signal) => own.preflight(record, signal)),
    close: () => own.close(),
  };
}

const manner = manners[process.env['CARELESS'] ?? ''];
if (manner === undefined) throw new Error(`CARELESS is one of ${Object.keys(manners).join(', ')}`);

providerConformance({
  ...worldRow,
  start: async () => {
    const account = await worldRow.start();
    return {
      ...account,
      open: (options) => {
        const own = account.open(options);
        return careless(own, manner(own));
      },
    };
  },
});
