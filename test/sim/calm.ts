// After the faults of a simulated world: what is not in step yet with whoever leads, and a person who
// does what the status asks for. It looks at vendors and at the status, and decides nothing else.

import { parseMarker } from '../../src/core/marker.ts';
import type { Command, CoreConfig, Name } from '../../src/core/model.ts';
import type { StatusView } from '../../src/core/view.ts';
import { leftBehind, valuesOf } from './lines.ts';
import type { Replica } from './replica.ts';
import { NOTHING, type SimVendor } from './vendors.ts';

interface Patient {
  readonly config: CoreConfig;
  readonly vendors: ReadonlyMap<string, SimVendor>;
  /** A text that a person who knows would leave there. */
  isOurs(name: Name, text: string, values: readonly (Name | null)[]): boolean;
}

/** No configuration and no hand has a TTL as short as what is prepared has, in seconds. */
const SHORT_BELOW = 25;

/** What is not in step with the leader, in words; empty when everything is. */
export function behind(
  leader: Replica | null,
  vendors: ReadonlyMap<string, SimVendor>,
  /** Whoever leads knows that a short TTL there is one of its own, and is over. */
  knowsTtl: (name: Name, provider: string) => boolean = () => true,
): string[] {
  if (leader === null) return ['nobody leads'];
  const { records } = leader.config;
  const behind: string[] = [];
  for (const r of leader.controller!.status().records) {
    if (r.mode === 'observe') continue;
    if (r.target === null || r.switchId === null) {
      behind.push(`${r.name} is not in force: ${r.stay.reason}`);
      continue;
    }
    if (r.drill !== null) behind.push(`${r.name} is in a drill`);
    for (const { provider } of r.providers) {
      const vendor = vendors.get(provider)!;
      const wrong = (stand = NOTHING) =>
        stand.cname?.value !== r.cname ||
        (knowsTtl(r.name, provider) && r.prepared === null && stand.cname.ttl < SHORT_BELOW) ||
        leftBehind(records[r.name], provider, stand, r.cname).length > 0 ||
        stand.texts.length !== 1 ||
        !stand.texts[0]!.value.includes(` epoch=${r.epoch} id=${r.switchId} `);
      if (wrong(vendor.at(r.name))) behind.push(`${r.name} at ${provider}`);
      for (const server of vendor.servers) {
        if (wrong(server.gives.get(r.name))) behind.push(`${r.name} at ${server.name}`);
      }
    }
  }
  for (const o of leader.controller!.status().origins) {
    if (o.health !== 'up') behind.push(`${o.name} is ${o.health}`);
  }
  return behind;
}

/** A person does what the status asks for. */
export function help({ records }: StatusView, at: Patient, say: (order: Command) => void): void {
  for (const r of records) {
    if (r.mode === 'observe') continue;
    const record = at.config.records[r.name]!;
    const base = { record: r.name, by: 'ann', reason: 'to help' };
    const target = r.target ?? record.targets[0]!.origin;
    clean(r.name, at);
    if (r.stay.reason === 'deposed') say({ kind: 'ack', reject: false, dryRun: false, ...base });
    else if (r.target === null) say({ kind: 'adopt', ...base, target, create: true });
    else if (r.providers.some((p) => /without (a|our) marker/.test(p.problem ?? ''))) {
      say({ kind: 'adopt', ...base, target, create: true });
    } else if (r.providers.some((p) => p.problem !== null || p.stage === 'untouched')) {
      const order = { forMs: 60_000, force: true, dryRun: false };
      say({ kind: 'switch', ...base, target, ...order });
    }
  }
}

/** Texts that are not Detour's are removed by whoever put them there, and so are doubles. */
function clean(name: Name, { config, vendors, isOurs }: Patient): void {
  for (const { provider } of config.records[name]!.publish) {
    const vendor = vendors.get(provider)!;
    const stand = vendor.at(name);
    const { texts } = stand;
    const ours = texts.filter((t) => isOurs(name, t.value, valuesOf(stand)));
    const epochOf = (text: string) => parseMarker(text)!.epoch;
    const kept = ours
      .map((t) => t.value)
      .sort((a, b) => epochOf(a) - epochOf(b))
      .slice(-1);
    if (texts.length !== kept.length) vendor.edit(name, null, kept);
  }
}
