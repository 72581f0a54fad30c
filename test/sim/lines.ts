// Lines in simulated worlds: which records stand on which lines of which vendors, what a person does
// to single lines there, and what of it is seen from outside: whether a line was emptied or touched
// that is nobody's of ours, and which are left behind. Draws from a chance of its own, and decides
// nothing.

import type { CoreConfig, Name, RecordConfig, Seen } from '../../src/core/model.ts';
import type { Chance } from './chance.ts';
import type { Strength } from './vendors.ts';
import { DEFAULT_LINE, type SimVendor, type Stand, type VendorChange } from './vendors.ts';

const OTHERS = ['telecom', 'unicom', 'mobile', 'oversea'];

/** A line that nobody has listed. */
const STRANGE = 'search';

/** How often a person does something to one line, and for how long an unlisted one stands. */
const MEDDLE_MS = 6 * 60_000;
const STRANGE_MS = 3 * 60_000;

/** Lines exist at vendors that take the last writer's word; of those there is one at least. */
export function withLines<
  P extends { readonly config: CoreConfig; readonly vendors: Readonly<Record<string, Strength>> },
>(plan: P, c: Chance): P {
  const [first] = Object.keys(plan.vendors);
  const vendors = { ...plan.vendors, [first!]: 'weak' as const };
  const records = Object.entries(plan.config.records).map(([name, r]) => {
    const publish = r.publish.map((p) => {
      if (vendors[p.provider] !== 'weak') return p;
      return { ...p, lines: [DEFAULT_LINE, ...OTHERS.slice(0, c.int(1, OTHERS.length))] };
    });
    return [name, { ...r, publish }] as const;
  });
  const config = { ...plan.config, records: Object.fromEntries(records) };
  return { ...plan, vendors, config };
}

/** What stands on the other lines at first: most often what stands on the default one. */
export function holdLines(
  config: CoreConfig,
  vendors: ReadonlyMap<string, SimVendor>,
  c: Chance,
): void {
  for (const record of Object.values(config.records)) {
    for (const { provider, lines = [] } of record.publish) {
      const vendor = vendors.get(provider)!;
      const { cname } = vendor.at(record.name);
      const isBare = c.is(0.2);
      for (const line of lines.slice(1)) {
        const value = c.is(0.05) ? c.pick(record.targets).cname : cname?.value;
        if (value === undefined || isBare || c.is(0.1)) continue;
        vendor.editLine(record.name, line, value);
      }
    }
  }
}

/** A person does something to one line; gives back when to do the next thing. */
export function meddle(
  config: CoreConfig,
  vendors: ReadonlyMap<string, SimVendor>,
  c: Chance,
  later: (ms: number, run: () => void) => void,
): number {
  const places = Object.values(config.records).flatMap((record) =>
    record.publish.flatMap(({ provider, lines }) => {
      return lines === undefined ? [] : [{ record, vendor: vendors.get(provider)!, lines }];
    }),
  );
  if (places.length > 0) {
    const { record, vendor, lines } = c.pick(places);
    const line = c.pick(lines.slice(1));
    switch (c.int(1, 4)) {
      case 1:
        vendor.editLine(record.name, line, null);
        break;
      case 2:
        vendor.editLine(record.name, STRANGE, 'elsewhere.example.');
        later(c.spread(1000, STRANGE_MS), () => vendor.editLine(record.name, STRANGE, null));
        break;
      case 3:
        // As a tool does that knows of lines and not of us.
        vendor.editLine(record.name, line, 'elsewhere.example.');
        break;
      default:
        vendor.editLine(record.name, line, c.pick(record.targets).cname);
    }
  }
  return c.wait(MEDDLE_MS);
}

/** After all faults nobody's line is left. */
export function endLines(vendors: ReadonlyMap<string, SimVendor>): void {
  for (const vendor of vendors.values()) {
    for (const [name, { lines }] of [...vendor.stands]) {
      if (lines[STRANGE] !== undefined) vendor.editLine(name, STRANGE, null);
    }
  }
}

function listedOf(record: RecordConfig | undefined, vendor: string): readonly string[] {
  return record?.publish.find((p) => p.provider === vendor)?.lines ?? [];
}

/** The listed lines that do not give a value; by what stands, not by what anybody says. */
export function leftBehind(
  record: RecordConfig | undefined,
  vendor: string,
  stand: Stand,
  wanted: Name | null,
): readonly string[] {
  const others = listedOf(record, vendor).filter((line) => line !== DEFAULT_LINE);
  return others.filter((line) => stand.lines[line]?.value !== wanted);
}

/** A line stands there that is not listed: it keeps all others from being written. */
export function hasStrange(
  record: RecordConfig | undefined,
  vendor: string,
  stand: Stand,
): boolean {
  const listed = listedOf(record, vendor);
  return Object.keys(stand.lines).some((line) => !listed.includes(line));
}

/** What a replica must never do to lines: the rule that it breaks, and how. */
export function wrongOf(
  record: RecordConfig | undefined,
  vendor: string,
  { before, after }: VendorChange,
): readonly [rule: string, what: string] | null {
  const listed = listedOf(record, vendor);
  for (const [line, old] of Object.entries(before.lines)) {
    const now = after.lines[line];
    if (now === undefined) return ['rule-1-never-empty', `the line ${line}`];
    if (now.value !== old.value && !listed.includes(line)) {
      return ['rule-4-not-owned-untouched', `the line ${line} is not listed`];
    }
  }
  const made = Object.keys(after.lines).find((line) => before.lines[line] === undefined);
  if (made === undefined || listed.includes(made)) return null;
  return ['rule-4-not-owned-untouched', `the line ${made} is made, and not listed`];
}

/** The values that a reading gives where others are wanted; nothing at all is one of them. */
export function straysIn({ cnames }: Seen, wanted: Name | null): readonly (Name | null)[] {
  const bare = cnames.every((c) => c.line !== undefined) ? [null] : [];
  return [...bare, ...cnames.flatMap((c) => (c.value === wanted ? [] : [c.value]))];
}

/** Every value that a reading gives; nothing is one of them. */
export function valuesIn({ cnames }: Seen): readonly (Name | null)[] {
  return cnames.length === 0 ? [null] : cnames.map((c) => c.value);
}

/** Every value that stands there. */
export function valuesOf({ cname, lines }: Stand): readonly (Name | null)[] {
  return [cname?.value ?? null, ...Object.values(lines).map((one) => one.value)];
}

/** The one value that all its lines give; null where they differ, or there is none. */
export function oneOf({ cnames }: Seen): Name | null {
  const values = new Set(cnames.map((c) => c.value));
  return values.size === 1 ? [...values][0]! : null;
}

/** A listed line gives another value than the default one: such a set is half written, or edited. */
export function isSplit({ cnames }: Seen): boolean {
  return new Set(cnames.map((c) => c.value)).size > 1;
}

/** Some listed line is not there. */
export function hasGaps(
  record: RecordConfig | undefined,
  vendor: string,
  { cnames }: Seen,
): boolean {
  const stand = cnames.map((c) => c.line ?? DEFAULT_LINE);
  return listedOf(record, vendor).some((line) => !stand.includes(line));
}
