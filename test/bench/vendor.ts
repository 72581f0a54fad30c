// A vendor in memory, and its name servers, for benches that measure what comes before a vendor: it
// answers at once, refuses nothing and holds nothing but CNAMEs and their markers.

import { formatMarker } from '../../src/core/marker.ts';
import type { Change, Name, Seen } from '../../src/core/model.ts';
import type { Provider } from '../../src/kit/extend.ts';
import type { Verifier } from '../../src/ports.ts';

/** Holds each record at this CNAME, unmarked. */
export function standIn(hold: ReadonlyMap<Name, Name>): {
  readonly provider: Provider;
  readonly verifier: Verifier;
} {
  const held = new Map([...hold].map(([name, cname]) => [name, { cname, ttl: 60, marker: '' }]));
  const seenOf = (name: Name): Seen => {
    const { cname, ttl, marker } = held.get(name)!;
    const markers = marker === '' ? [] : [marker];
    return { cnames: [{ value: cname, ttl }], markers, refusal: null, ref: null };
  };
  const apply = ({ name, to }: Change) => {
    held.set(name, { cname: to.cname, ttl: to.ttl, marker: formatMarker(to.marker) });
    return { kind: 'answered', value: null } as const;
  };
  const zone = { zone: 'gslb.test.', nameServers: ['127.0.0.1'], ttlMin: null, warnings: [] };
  const provider: Provider = {
    name: 'vendor',
    calls: 0,
    capabilities: {
      type: 'test',
      title: 'a vendor in memory',
      fence: { kind: 'transaction', note: '' },
      atomic: true,
      readMax: 100,
      writeMax: 100,
      callsMax: 1,
      quota: { burst: 100, perSecond: 100, reserve: 10 },
      permissions: [],
      refuses: [],
    },
    zone: () => Promise.resolve({ ok: true, value: zone }),
    read: (names) => {
      const answer = (n: Name) => ({ kind: 'answered', value: seenOf(n) }) as const;
      return Promise.resolve(Object.fromEntries(names.map((n) => [n, answer(n)] as const)));
    },
    write: (changes) => Promise.resolve(changes.map(apply)),
    preflight: () => Promise.resolve([]),
    close: () => {},
  };
  const verifier: Verifier = {
    ask: (_provider, record) => {
      const { cname, ttl, marker } = held.get(record)!;
      const answer = { kind: 'cname', value: cname, ttl } as const;
      return Promise.resolve([{ server: '127.0.0.1:53', answer, markers: [marker] }]);
    },
    chain: (name) => Promise.resolve({ kind: 'answered', chain: [name] }),
    close: () => {},
  };
  return { provider, verifier };
}
