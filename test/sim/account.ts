// An account at a simulated vendor outside its world, for the conformance suite: real milliseconds,
// and real DNS on loopback for what the vendor's servers give.

import { MARKER_LABEL } from '../../src/core/marker.ts';
import type { Name } from '../../src/core/model.ts';
import { type Account, type Row, zone } from '../parts/accounts.ts';
import { type Reply, rcode, startNameservers } from '../parts/nameserver.ts';
import { Chance } from './chance.ts';
import {
  type ApiFault,
  capabilitiesOf,
  type DnsServer,
  NOTHING,
  type Seat,
  SimAccount,
  SimVendor,
  type Strength,
  strengths,
} from './vendors.ts';

/** Faults of the suite, and what they are here. */
const faults: Readonly<Record<string, ApiFault['how']>> = {
  hang: 'hang',
  error: 'unavailable',
  throttle: 'throttle',
  auth: 'auth',
  'lost-reply': 'lost-reply',
  'stale-read': 'stale-read',
};

/** The simulated vendors as further rows of the suite. */
export const simRows: readonly Row[] = strengths.map((strength) => {
  const capabilities = capabilitiesOf(strength);
  return { title: capabilities.title, capabilities, skip: false, start: () => start(strength) };
});

/** A vendor of this strength with its two servers. */
async function start(strength: Strength): Promise<Account> {
  const later = (ms: number, run: () => void) => void setTimeout(run, ms / 10);
  const wire = { chance: new Chance(1), later };
  const now = () => performance.now();
  const vendor = new SimVendor('sim', strength, wire, now, {
    zones: [zone],
    ttlMin: 60,
    lagMs: [1, 20],
    staleMs: 60_000,
  });
  const seat: Seat = {
    name: 'suite',
    alive: true,
    halts: () => false,
    io: later,
    after: (ms, then) => {
      const timer = setTimeout(then, ms);
      return () => clearTimeout(timer);
    },
  };
  const respond =
    (server: DnsServer) => (asked: { readonly name: string; readonly type: string }) =>
      answer(server, asked.name, asked.type);
  const [first, second] = vendor.servers as readonly [DnsServer, DnsServer];
  const dns = await startNameservers({ '127.0.0.1': respond(first), '127.0.0.2': respond(second) });
  return {
    open: ({ callTimeoutMs = 5000, wrongKey = false } = {}) =>
      new SimAccount(vendor, seat, { callTimeoutMs, wrongKey }),
    place: 'nowhere',
    vendor: null,
    async edit(name, type, values, ttl = 300) {
      const list = values === null ? [] : typeof values === 'string' ? [values] : values;
      const record = name.startsWith(`${MARKER_LABEL}.`)
        ? name.slice(MARKER_LABEL.length + 1)
        : name;
      const now = vendor.at(record);
      if (type === 'A')
        vendor.put(record, { ...now, other: list.length > 0 ? 'A' : null }, 'human');
      else if (type === 'TXT') vendor.edit(record, null, list);
      else vendor.edit(record, list.length === 0 ? 'none' : { value: list[0]!, ttl }, null);
    },
    faults: Object.keys(faults),
    async fault(how) {
      vendor.faults.splice(0);
      if (how !== null) vendor.faults.push({ how: faults[how]!, share: 1, once: true });
    },
    servers: Object.keys(dns.at).map((address) => ({ address, port: dns.port })),
    oddities: [],
    async close() {
      await Promise.all(Object.values(dns.at).map((server) => server.close()));
    },
  };
}

function answer(server: DnsServer, name: Name, type: string): Reply {
  const isMarker = name.startsWith(`${MARKER_LABEL}.`);
  const stand = server.gives.get(isMarker ? name.slice(MARKER_LABEL.length + 1) : name) ?? NOTHING;
  const base = { authoritative: true } as const;
  const owner = name.slice(0, -1);
  if (isMarker && type === 'TXT' && stand.texts.length > 0) {
    const answers = stand.texts.map((t) => ({
      type: 'TXT' as const,
      name: owner,
      ttl: 60,
      data: t.value,
    }));
    return { ...base, answers };
  }
  if (!isMarker && stand.cname !== null) {
    const { value, ttl } = stand.cname;
    return { ...base, answers: [{ type: 'CNAME', name: owner, ttl, data: value.slice(0, -1) }] };
  }
  return { ...base, rcode: rcode.nxDomain };
}
