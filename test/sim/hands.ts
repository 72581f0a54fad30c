// Other hands at the vendors, beside Detour's: a thief who has one vendor's key, a tool that puts an
// old value back again and again, an operator with a stale configuration, a person who sets the same
// target everywhere; and a disk that is lost. They know what anybody can know: what stands, and ever
// stood, at the vendors. The thief never has the cluster's key, and never reaches a second vendor.

import { formatMarker, MARKER_NUMBER_MAX, parseMarker } from '../../src/core/marker.ts';
import type { Marker, Name, RecordConfig } from '../../src/core/model.ts';
import type { Chance } from './chance.ts';
import { type Begin, over, type Site } from './faults.ts';
import { type ApiFault, NOTHING, type SimVendor, type Stand } from './vendors.ts';

const HOUR = 3_600_000;

export const handKinds = {
  /** Any one vendor's key, for up to an hour. */
  thief: (s, c, lastsMs) => steal(s, c, Math.min(HOUR, lastsMs)),
  /** Another writer that puts an old value back each minute, at one or several vendors. */
  tool: (s, c) => {
    const record = c.pick(Object.values(s.config.records));
    const all = publishers(s, record);
    const where = c.is(0.5) ? [c.pick(all)] : all;
    return whole(where.map((vendor) => putBack(s, c, vendor, record)));
  },
  /** `--direct` from a configuration that is not this one, or is. */
  stale: (s, c) => {
    direct(s, c);
    return over;
  },
  /** A person who sets one target at most vendors, one console after the other. */
  word: (s, c) => {
    const record = c.pick(Object.values(s.config.records));
    const cname = { value: c.pick(record.targets).cname, ttl: 60 };
    for (const vendor of publishers(s, record)) {
      if (!c.is(0.8)) continue;
      s.later(c.spread(1000, 600_000), () => vendor.edit(record.name, cname, null));
    }
    return over;
  },
  'lost-store': (s, c) => {
    c.pick(s.replicas).loseStore();
    return over;
  },
} as const satisfies Readonly<Record<string, Begin>>;

export type HandName = keyof typeof handKinds;

export function beginHand(kind: HandName, s: Site, lastsMs: number): () => void {
  return (handKinds[kind] as Begin)(s, s.chance, lastsMs);
}

function publishers(s: Site, record: RecordConfig): SimVendor[] {
  return s.vendors.filter((v) => record.publish.some((p) => p.provider === v.name));
}

function whole(ends: readonly (() => void)[]): () => void {
  return () => {
    for (const end of ends) end();
  };
}

// ---------------------------------------------------------------- the thief

function steal(s: Site, c: Chance, lastsMs: number): () => void {
  const vendor = s.stolen;
  const records = Object.values(s.config.records).filter((r) => {
    return r.publish.some((p) => p.provider === vendor.name);
  });
  if (records.length === 0) return over;
  const made: ApiFault[] = [];
  const paceMs = c.spread(500, 300_000);
  const until = s.now() + lastsMs;
  let isOver = false;
  const act = () => {
    if (isOver || s.now() > until) return;
    s.stirred(vendor);
    misuse(s, c, vendor, c.pick(records), made);
    s.later(c.wait(paceMs), act);
  };
  act();
  return () => {
    isOver = true;
    s.stirred(vendor);
    vendor.lies.clear();
    for (const fault of made) vendor.faults.splice(vendor.faults.indexOf(fault), 1);
    for (const server of vendor.servers) vendor.unstick(server);
  };
}

function misuse(
  s: Site,
  c: Chance,
  vendor: SimVendor,
  record: RecordConfig,
  made: ApiFault[],
): void {
  const { name } = record;
  switch (c.int(1, 12)) {
    case 1:
      return vendor.edit(name, 'none', null, 'thief');
    case 2:
      return vendor.edit(name, null, [], 'thief');
    case 3:
      return vendor.edit(name, 'none', [], 'thief');
    case 4: {
      const fault = { how: c.pick(['late-write', 'swallow', 'hang', 'auth'] as const), share: 0.7 };
      made.push(fault);
      vendor.faults.push(fault);
      return;
    }
    case 5:
      for (const fault of made.splice(0)) vendor.faults.splice(vendor.faults.indexOf(fault), 1);
      vendor.lies.clear();
      for (const server of vendor.servers) vendor.unstick(server);
      return;
    case 6:
      vendor.lies.set(name, standOf(vendor, invention(s, c, record)));
      return;
    case 7: {
      const server = c.pick(vendor.servers);
      server.stuck = true;
      server.gives.set(name, standOf(vendor, invention(s, c, record)));
      return;
    }
    default: {
      const { value, texts } = invention(s, c, record);
      const cname = value === null ? null : { value, ttl: 60 };
      return vendor.edit(name, cname, texts, 'thief');
    }
  }
}

/** `null` leaves that part as it is. */
interface Invention {
  readonly value: Name | null;
  readonly texts: readonly string[] | null;
}

function standOf(vendor: SimVendor, { value, texts }: Invention): Stand {
  return {
    ...NOTHING,
    cname: value === null ? null : { id: vendor.newId(), value, ttl: 60 },
    texts: (texts ?? []).map((text) => ({ id: vendor.newId(), value: text })),
  };
}

function invention(s: Site, c: Chance, record: RecordConfig): Invention {
  const stood = (v: SimVendor) => v.history.get(record.name) ?? [];
  const own = stood(s.stolen);
  // What others publish can be read by anybody.
  const past = s.vendors.flatMap(stood);
  const markers = past.flatMap((stand) => stand.texts.map((t) => t.value));
  const value = c.is(0.15) ? 'elsewhere.example.' : c.is(0.2) ? null : c.pick(record.targets).cname;
  const texts = (...all: string[]) => ({ value, texts: all });
  switch (c.int(1, 9)) {
    case 1:
    case 2: {
      const old = own.length === 0 ? NOTHING : c.pick(own);
      return { value: old.cname?.value ?? null, texts: old.texts.map((t) => t.value) };
    }
    case 3:
      return markers.length === 0 ? { value, texts: null } : texts(c.pick(markers));
    case 4: {
      const others = Object.keys(s.config.records).flatMap((name) => s.stolen.at(name).texts);
      return others.length === 0 ? { value, texts: null } : texts(c.pick(others).value);
    }
    case 5:
      return { value, texts: null };
    case 6:
      return texts(
        c.pick(['a text', 'x'.repeat(4000), 'detour=1 ', 'detour=1 cluster=shop epoch=']),
      );
    case 7:
      return markers.length === 0
        ? texts('one', 'two')
        : texts(c.pick(markers), forged(s, c, record, markers));
    default:
      return texts(forged(s, c, record, markers));
  }
}

/** A marker that nobody of the cluster ever wrote. */
function forged(s: Site, c: Chance, record: RecordConfig, markers: readonly string[]): string {
  const known = markers.flatMap((text) => parseMarker(text) ?? []);
  const top = Math.max(0, ...known.map((m) => m.epoch));
  const epoch = c.pick([top, top + 1, top + 1000, top + 999_999, 10 ** 12, MARKER_NUMBER_MAX]);
  const m: Marker = {
    cluster: c.is(0.1) ? 'other' : s.config.cluster,
    epoch: Math.min(MARKER_NUMBER_MAX, epoch),
    id: c.is(0.3) ? (known.at(-1)?.id ?? 'thief') : 'thief',
    term: c.pick([0, 1, 99]),
    kind: c.is(0.6) ? 'operator' : 'auto',
    target: c.is(0.9) ? c.pick(record.targets).origin : 'gone',
    pinned: c.is(0.5),
    pinMs: null,
  };
  const macs = known.flatMap(({ mac }) => mac ?? []);
  const mac = c.is(0.3) ? null : macs.length > 0 && c.is(0.5) ? c.pick(macs) : 'A'.repeat(22);
  return formatMarker(mac === null ? m : { ...m, mac });
}

// ---------------------------------------------------------------- those who mean well

/** What it found at its first run, or another target, is what it wants for ever. */
function putBack(s: Site, c: Chance, vendor: SimVendor, record: RecordConfig): () => void {
  const { name } = record;
  const found = vendor.at(name);
  const value = c.is(0.1)
    ? 'elsewhere.example.'
    : c.is(0.4)
      ? (found.cname?.value ?? record.targets[0]!.cname)
      : c.pick(record.targets).cname;
  const how = c.pick(['removed', 'value', 'restored'] as const);
  const texts = { removed: [], value: null, restored: found.texts.map((t) => t.value) }[how];
  let isOver = false;
  const run = () => {
    if (isOver) return;
    const now = vendor.at(name);
    const isTexts = texts === null || texts.join() === now.texts.map((t) => t.value).join();
    if (now.cname?.value !== value || !isTexts) {
      vendor.edit(name, { value, ttl: 300 }, texts, 'tool');
    }
    s.later(60_000, run);
  };
  run();
  return () => {
    isOver = true;
  };
}

/** An operator without the daemon: one marker under the next epoch, at whichever vendors answer. */
function direct(s: Site, c: Chance): void {
  const record = c.pick(Object.values(s.config.records));
  const all = publishers(s, record);
  const where = c.is(0.5) ? all : c.some(all, 0.5);
  const texts = all.flatMap((v) => v.at(record.name).texts.map((t) => t.value));
  const known = texts.flatMap((text) => parseMarker(text) ?? []);
  const isOurs = (m: Marker) => m.cluster === s.config.cluster && m.epoch < 10 ** 6;
  const top = Math.max(0, ...known.filter(isOurs).map((m) => m.epoch));
  const isStale = c.is(0.6);
  const { origin, cname } = c.pick(record.targets);
  const marker: Marker = {
    cluster: s.config.cluster,
    epoch: top + c.pick([1, 1001]),
    id: `direct${c.int(1, 10 ** 6)}`,
    term: 0,
    kind: 'operator',
    target: origin,
    pinned: true,
    pinMs: c.is(0.2) ? null : c.spread(60_000, 4 * HOUR),
  };
  const value = isStale ? `old-${cname}` : cname;
  const text = s.sign(record.name, value, marker);
  for (const vendor of where) vendor.edit(record.name, { value, ttl: 60 }, [text], 'direct');
}
