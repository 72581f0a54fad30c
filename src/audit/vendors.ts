// What each vendor's account says of itself: whether its keys are taken and may write, and the zones
// that it holds. One zone after the other, for a vendor's quota is shared with switches; what is out
// of reach for one zone is said once and asked no more.

import type { Finding, FindingWord, Name } from '../core/model.ts';
import type { ZoneFacts } from '../kit/extend.ts';
import type { Run } from './run.ts';

const zonesMax = 200;

/** What one provider holds for the records under one name. */
export interface Holding {
  readonly provider: string;
  readonly parent: Name;
  readonly record: Name;
  readonly facts: ZoneFacts | null;
  /** Its servers as places to ask. */
  readonly hosts: readonly string[];
}

/** The zone of a record is that of everything else directly under the same name. */
export function parentOf(record: Name): Name {
  return record.slice(record.indexOf('.') + 1);
}

export async function lookAtProviders(run: Run): Promise<readonly Holding[]> {
  const wanted = new Map<string, Map<Name, Name>>();
  const parents = new Set<Name>();
  for (const { name, publish } of run.all) {
    const parent = parentOf(name);
    parents.add(parent);
    if (parents.size > zonesMax) continue;
    for (const { provider } of publish) {
      const mine = wanted.get(provider) ?? new Map<Name, Name>();
      wanted.set(provider, mine);
      if (!mine.has(parent)) mine.set(parent, name);
    }
  }
  if (parents.size > zonesMax) run.cut(`${parents.size} zones, of which ${zonesMax} are looked at`);
  const held = await Promise.all([...wanted].map(([p, mine]) => lookAtProvider(run, p, mine)));
  return held.flat();
}

function linesOf(run: Run, provider: string, record: Name): readonly string[] | undefined {
  const { publish = [] } = run.all.find((r) => r.name === record) ?? {};
  return publish.find((p) => p.provider === provider)?.lines;
}

/** One zone after the other: a vendor's quota is shared with switches. */
async function lookAtProvider(
  run: Run,
  provider: string,
  mine: ReadonlyMap<Name, Name>,
): Promise<readonly Holding[]> {
  const account = run.providers[provider]!;
  const seen = new Set<Name>();
  const held: Holding[] = [];
  let reached = true;
  for (const [parent, record] of mine) {
    const read = reached && !run.signal.aborted ? await account.zone(record, run.signal) : null;
    const facts = read?.ok ? read.value : null;
    const hosts = reached ? await run.servers(provider, record, run.signal) : [];
    held.push({ provider, parent, record, facts, hosts });
    if (read === null || (facts !== null && seen.has(facts.zone))) continue;
    if (facts !== null) seen.add(facts.zone);
    const findings = await account.preflight(record, run.signal, linesOf(run, provider, record));
    if (run.signal.aborted) break;
    for (const finding of findings) {
      const about = aboutRecord.has(finding.word) ? { record } : {};
      const cure = finding.severity === 'good' ? finding.cure : cureOf(finding);
      run.say({ provider, zone: facts?.zone ?? parent, ...about }, { ...finding, cure });
    }
    // What is out of reach for one zone is so for all: it is said once.
    reached = !findings.some((f) => f.word === 'reach' && f.severity === 'bad');
  }
  return held;
}

/** Of what a vendor is asked, what is about the one record and not about its zone. */
const aboutRecord: ReadonlySet<FindingWord> = new Set([
  'company',
  'record',
  'protection',
  'proxied',
]);

/** Where an adapter gives none: a person who reads a finding is told what to do. */
function cureOf({ word, cure }: Finding): string {
  if (cure !== null) return cure;
  return Object.hasOwn(cures, word) ? cures[word]! : 'look at it in the console of that vendor';
}

const cures: Readonly<Partial<Record<FindingWord, string>>> = {
  credentials: 'renew the key; or wait, if it is the vendor that cannot tell who asks',
  protection: 'lift the protection from that record, in the console of that vendor',
  proxied: 'switch its proxy off for that record',
  reach: "look at the vendor's status page, and try its API from elsewhere",
  record: 'remove what stands there by hand: Detour removes nothing that it did not make',
  'write-permission': 'give the key the permissions that providers/README.md lists',
};
