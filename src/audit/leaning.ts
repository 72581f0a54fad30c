// What a switch and Detour itself lean on: the targets' own names, the name servers, and every
// machine that is asked on the way. A way out that needs what it leaves is none. Whether two things
// share a fate is told by the configured clouds, by whom a domain belongs to, and by addresses;
// sharing none of these proves nothing.

import type { Name } from '../core/model.ts';
import { ancestors, isWithin, listOf } from '../core/name.ts';
import type { ZoneLook } from './delegation.ts';
import { networkOf } from './hands.ts';
import {
  addressesOf,
  type Need,
  type Place,
  percent,
  type Run,
  recordsMax,
  sideBySide,
} from './run.ts';

const asksAtOnce = 32;
const needsMax = 300;

/** Addresses of a target's name, by that name. */
export type Addresses = ReadonlyMap<Name, readonly string[]>;

export async function lookAtTargets(
  run: Run,
  zones: ReadonlyMap<Name, ZoneLook>,
): Promise<Addresses> {
  const addresses = new Map<Name, readonly string[]>();
  const targets = new Map<Name, Name>();
  for (const { name, targets: all } of run.all) {
    for (const { cname } of all) if (!targets.has(cname)) targets.set(cname, name);
  }
  const asked = [...targets].slice(0, recordsMax);
  if (targets.size > recordsMax) {
    run.cut(`${targets.size} targets, of which ${recordsMax} were followed`);
  }
  const managed: Managed = {
    zones: [...zones.keys()],
    records: new Set(run.all.map(({ name }) => name)),
  };
  await sideBySide(run, asked, asksAtOnce, async ([cname, record]) => {
    const answer = await run.verifier.chain(cname, run.signal);
    if (run.signal.aborted) return;
    if (answer.kind === 'answered') {
      addresses.set(cname, await addressesOf(run, answer.chain.at(-1)!));
      run.good({ record }, 'target', `${answer.chain.join(' → ')} leads to an address`);
    } else if (answer.kind === 'broken') {
      const sentence = `${cname} does not lead to an address: ${answer.at}: ${answer.detail}`;
      run.bad({ record }, 'target', sentence, 'mend its name, or take the target out');
    } else {
      const sentence = `whether ${cname} leads to an address is not known: ${answer.detail}`;
      run.unknown({ record }, 'target', sentence);
    }
    const chain = answer.kind === 'answered' ? answer.chain : [cname];
    for (const name of chain) sayLeaning(run, { record }, name, managed, `the target ${cname}`);
  });
  for (const { zone, names } of zones.values()) {
    for (const host of names ?? []) {
      sayLeaning(run, { zone }, host, managed, `the name server ${host} of ${zone}`);
    }
  }
  return addresses;
}

/** What is steered here. */
interface Managed {
  readonly zones: readonly Name[];
  readonly records: ReadonlySet<Name>;
}

/** A way out that needs the names it moves is none (what it leans on may fail with them). */
function sayLeaning(run: Run, at: Place, name: Name, managed: Managed, what: string): void {
  const other = ancestors(name).find((n) => managed.records.has(n));
  const zone = managed.zones.find((z) => isWithin(name, z));
  if (other === undefined && zone === undefined) return;
  const on = other === undefined ? `the zone ${zone} itself` : `the record ${other}`;
  const through = name === what.split(' ').at(-1) ? '' : ` (by ${name})`;
  const cure = 'give it a name in a zone that nothing here steers';
  run.warn(at, 'dependence', `${what} leans on ${on}${through}`, cure);
}

// ---------------------------------------------------------------- what Detour itself needs

/** Whom a domain belongs to: words that people call that cloud. */
const domains: readonly (readonly [domain: RegExp, words: RegExp])[] = [
  [/(?:^|\.)(?:aliyuncs|aliyun|alibabacloud|alidns|dingtalk)\.com$/, /ali(?:yun|baba|cloud)?/],
  [/(?:^|\.)(?:amazonaws|awsdns-\d+)\.[a-z.]+$|(?:^|\.)aws(?:\.dev)?$/, /aws|amazon/],
  [/(?:^|\.)(?:googleapis|google|gcr)\.(?:com|io)$/, /gcp|google/],
  [/(?:^|\.)(?:azure|windows|azure-dns|azure-api)\.(?:com|net|org|info|cn)$/, /azure|microsoft/],
  [/(?:^|\.)(?:tencentcloudapi|myqcloud|dnspod|qcloud|tencentcs)\.(?:com|cn)$/, /tencent|qcloud/],
  [/(?:^|\.)(?:myhuaweicloud|huaweicloud)\.(?:com|cn)$/, /huawei/],
  [/(?:^|\.)cloudflare\.com$/, /cloudflare/],
];

interface Located extends Need {
  /** Clouds that it sits in, as far as is known, each with how that is known. */
  readonly in: ReadonlyMap<string, string>;
}

/** Nothing that Detour needs should fail with what it guards. */
export async function lookAtNeeds(run: Run, targets: Addresses): Promise<void> {
  const { needs } = run.around;
  if (needs.length > needsMax) {
    run.cut(`${needs.length} machines that Detour needs, of which ${needsMax} were looked at`);
  }
  const guarded = guardedOf(run, targets);
  if (guarded.size === 0 || needs.length === 0) return;
  const located: Located[] = [];
  const unseen: string[] = [];
  await sideBySide(run, needs.slice(0, needsMax), asksAtOnce, async (need) => {
    const addresses = need.host === null ? [] : await addressesOf(run, need.host);
    // A machine of one's own has no host here; of what lies elsewhere one must be known.
    const isElsewhere = need.host !== null || need.kind === 'state';
    if (isElsewhere && addresses.length === 0) unseen.push(need.what);
    located.push({ ...need, in: cloudsOf(need, addresses, guarded) });
  });
  if (run.signal.aborted) return;
  const where = unseen.length === 0 ? '' : ' whose address was found';
  let isClean = true;
  for (const cloud of guarded.keys()) {
    for (const [kind, same] of Map.groupBy(located, (need) => need.kind)) {
      if (saySharedFate(run, cloud, kind, same)) isClean = false;
    }
    if (sayRecordsOf(run, cloud, located)) isClean = false;
  }
  if (unseen.length > 0) {
    const sentence = `where ${listOf(unseen)} are was not found: whether a cloud takes them along`;
    run.unknown({}, 'shared-fate', `${sentence} is not known`, 'see that their names resolve');
  }
  if (!isClean) return;
  const count = `the ${located.length} things${where} that Detour needs`;
  run.good({}, 'shared-fate', `whichever cloud that it guards fails, enough is left of ${count}`);
}

/** Addresses of each guarded cloud: of the targets that records lead to, and of their checks. */
export function guardedOf(run: Run, targets: Addresses): ReadonlyMap<string, ReadonlySet<string>> {
  const guarded = new Map<string, Set<string>>();
  for (const record of run.all) {
    for (const { origin, cname } of record.targets) {
      const cloud = run.around.clouds[origin];
      if (cloud === undefined) continue;
      const known = guarded.get(cloud) ?? new Set(run.around.addresses[cloud] ?? []);
      guarded.set(cloud, known);
      for (const address of targets.get(cname) ?? []) known.add(address);
    }
  }
  return guarded;
}

/** Clouds that a thing sits in, as far as is known, each with how that is known. */
export function cloudsOf(
  { cloud, host }: Need,
  addresses: readonly string[],
  guarded: ReadonlyMap<string, ReadonlySet<string>>,
): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const words = domains.find(([domain]) => domain.test((host ?? '').replace(/\.$/, '')))?.[1];
  for (const [name, own] of guarded) {
    const networks = new Set([...own].flatMap((address) => networkOf(address) ?? []));
    const near = addresses.find((a) => own.has(a) || networks.has(networkOf(a) ?? ''));
    if (cloud === name) found.set(name, 'as it is configured');
    else if (words?.test(name.toLowerCase())) found.set(name, `by its domain ${host}`);
    else if (near !== undefined) found.set(name, `by its address ${near}, beside its targets`);
  }
  return found;
}

/** Whether something was wrong with all of one kind, when one cloud fails. */
function saySharedFate(run: Run, cloud: string, kind: string, same: readonly Located[]): boolean {
  const lost = same.filter((need) => need.in.has(cloud));
  if (lost.length === 0) return false;
  const left = same.length - lost.length;
  const { enough } = lost[0]!;
  const isLost =
    (enough === 'one' && left === 0) || (enough === 'majority' && left <= same.length / 2);
  let isClean = true;
  for (const need of lost) {
    const how = `${need.what} sits in ${cloud}, which Detour guards (${need.in.get(cloud)})`;
    const rest = left === 0 ? 'nothing of its kind is left' : `${left} of ${same.length} are left`;
    const cure = `put it elsewhere than ${cloud}, or one more that is elsewhere`;
    const at = need.provider === undefined ? {} : { provider: need.provider };
    if (isLost) {
      const sentence = `${how}: when ${cloud} fails, ${rest}, and Detour cannot work (${kind})`;
      run.bad(at, 'shared-fate', sentence, cure);
    } else if (need.isAllowedFor === true) continue;
    else run.warn(at, 'shared-fate', `${how}: when it fails, ${rest} (${kind})`, cure);
    isClean = false;
  }
  return !isClean;
}

/** Records that have a target in a cloud with which all of their vendors fail. */
function sayRecordsOf(run: Run, cloud: string, located: readonly Located[]): boolean {
  const lost = new Set(located.flatMap((n) => (n.in.has(cloud) ? (n.provider ?? []) : [])));
  let isClean = true;
  for (const { name, publish, targets } of run.all) {
    const leads = targets.some(({ origin }) => run.around.clouds[origin] === cloud);
    const gone = publish.filter(({ provider }) => lost.has(provider));
    if (!leads || gone.length < publish.length || gone.length === 0) continue;
    // What takes every vendor along is told once for all records.
    if (lost.size === Object.keys(run.providers).length) continue;
    isClean = false;
    const who = gone.map(({ provider }) => provider).join(', ');
    const sentence = `${name} leaves ${cloud} by ${who} alone, and they fail with ${cloud}`;
    const cure = `publish it at a vendor outside ${cloud}: ${percent(1)} of resolvers stay behind`;
    run.bad({ record: name }, 'shared-fate', sentence, cure);
  }
  return !isClean;
}
