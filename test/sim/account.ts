// An account at a simulated vendor outside its world, for the conformance suite, in real
// milliseconds.

import { MARKER_LABEL } from '../../src/core/marker.ts';
import type { Name } from '../../src/core/model.ts';
import type { Account, Candidate, Trouble } from '../../src/kit/conformance/index.ts';

type AccountLines = NonNullable<Account['lines']>;

import { second, zone } from '../parts/accounts.ts';
import { Chance } from './chance.ts';
import {
  type ApiFault,
  capabilitiesOf,
  DEFAULT_LINE,
  type DnsServer,
  NOTHING,
  recordOf,
  type Seat,
  type Sickness,
  SimAccount,
  SimVendor,
  type Strength,
  strengths,
} from './vendors.ts';

/** Faults of the suite, and what they are here. */
const faults = {
  hang: 'hang',
  error: 'unavailable',
  throttle: 'throttle',
  auth: 'auth',
  'lost-reply': 'lost-reply',
  'stale-read': 'stale-read',
} as const satisfies Partial<Record<Trouble, ApiFault['how']>>;

const sicknesses: readonly Sickness[] = ['deleted', 'denied', 'unavailable', 'hang'];

/** The simulated vendors as further rows of the suite. */
export const simRows: readonly Candidate[] = strengths.map((strength) => {
  const capabilities = capabilitiesOf(strength, strength === 'weak');
  return { title: capabilities.title, capabilities, skip: false, start: () => start(strength) };
});

/** A vendor of this strength with its two servers. */
async function start(strength: Strength): Promise<Account> {
  const later = (ms: number, run: () => void) => void setTimeout(run, ms / 10);
  const wire = { chance: new Chance(1), later };
  const now = () => performance.now();
  const vendor = new SimVendor('sim', strength, wire, now, {
    zones: [zone, second],
    ttlMin: 60,
    saysTtlMin: true,
    lagMs: [1, 20],
    staleMs: 60_000,
    hasLines: strength === 'weak',
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
  return {
    open: ({ callTimeoutMs = 5000, wrongKey = false } = {}) =>
      new SimAccount(vendor, seat, { callTimeoutMs, wrongKey }),
    zone,
    secrets: [],
    async edit(name, type, list, ttl) {
      const record = name.startsWith(`${MARKER_LABEL}.`)
        ? name.slice(MARKER_LABEL.length + 1)
        : name;
      const now = vendor.at(record);
      if (type === 'A')
        vendor.put(record, { ...now, other: list.length > 0 ? 'A' : null }, 'human');
      else if (type === 'TXT') vendor.edit(record, null, list);
      else vendor.edit(record, list.length === 0 ? 'none' : { value: list[0]!, ttl }, null);
    },
    look: async (name, type) => vendor.servers.map((server) => given(server, name, type)),
    requests: null,
    faults: Object.keys(faults) as (keyof typeof faults)[],
    async fault(how) {
      vendor.faults.splice(0);
      if (how !== null) {
        vendor.faults.push({ how: faults[how as keyof typeof faults], share: 1, once: true });
      }
    },
    ...(strength === 'weak' ? { lines: linesOf(vendor) } : {}),
    oddities: [],
    secondZone: {
      zone: second,
      faults: sicknesses,
      fault: async (how) => vendor.turn(second, how as Sickness | null),
    },
    async close() {},
  };
}

function linesOf(vendor: SimVendor): AccountLines {
  return {
    others: ['telecom', 'unicom'],
    async edit(name, line, cname, ttl) {
      if (line !== DEFAULT_LINE) vendor.editLine(name, line, cname);
      else {
        const { lines } = vendor.at(name);
        vendor.edit(name, cname === null ? 'none' : { value: cname, ttl }, null);
        vendor.put(name, { ...vendor.at(name), lines }, 'human');
      }
    },
    look: async (name, line) =>
      vendor.servers.map((server) => {
        const { cname, lines } = server.gives.get(recordOf(name)) ?? NOTHING;
        const given = lines[line] ?? cname;
        return given === null ? [] : [given.value.toLowerCase()];
      }),
  };
}

/** What a server of the vendor gives at a name. */
function given(server: DnsServer, name: Name, type: 'CNAME' | 'TXT'): readonly string[] {
  const { cname, texts } = server.gives.get(recordOf(name)) ?? NOTHING;
  if (type === 'TXT') return texts.map((t) => t.value);
  return cname === null ? [] : [cname.value.toLowerCase()];
}
