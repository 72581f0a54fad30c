// The delegation of each zone: whether every vendor stands in it, and nobody else; how long resolvers
// keep it; whose hands its servers are in; and what would be left behind if a vendor could be
// changed no more. Shares are of name servers, for resolvers choose among those.

import type { Name } from '../core/model.ts';
import { isWithin } from '../core/name.ts';
import { judge } from '../dns/dnssec.ts';
import type { Delegated } from '../dns/resolver.ts';
import { parseHostPort, toName } from '../kit/schema.ts';
import { sayHands } from './hands.ts';
import { percent, type Run, sideBySide, spell } from './run.ts';
import { askServers, type Spoken, sayNegative, sayServed } from './served.ts';
import { type Holding, parentOf } from './vendors.ts';

const zonesAtOnce = 8;
/** Seconds. A delegation that is kept longer makes the last way out, taking one out, slow. */
const parentTtlMax = 86_400;
/** Of resolvers: with more of them behind, the others are the exception. */
const shareMost = 0.5;

export interface ZoneLook {
  readonly zone: Name;
  readonly names: readonly Name[] | null;
  readonly parentTtl: number | null;
  /** By provider, 0 to 1; not there: not known. */
  readonly shares: ReadonlyMap<string, number>;
  readonly spoken: ReadonlyMap<string, Spoken>;
  readonly bars: ReadonlyMap<string, string | null>;
}

export async function lookAtZones(
  run: Run,
  held: readonly Holding[],
): Promise<ReadonlyMap<Name, ZoneLook>> {
  const byZone = Map.groupBy(
    held.filter((h) => zoneOf(h, held) !== null),
    (h) => zoneOf(h, held)!,
  );
  for (const [record, zones] of splitRecords(run, held)) {
    const where = zones.map(([provider, zone]) => `${provider} in ${zone}`).join(', ');
    const cure = 'hold it in the zone that is delegated, at every provider';
    run.bad({ record }, 'delegation', `${record} is held in different zones: ${where}`, cure);
  }
  const looks = new Map<Name, ZoneLook>();
  await sideBySide(run, [...byZone], zonesAtOnce, async ([zone, holdings]) => {
    looks.set(zone, await lookAtZone(run, zone, holdings));
  });
  return looks;
}

/** As its provider says; where it cannot be asked, as the others say of the same names. */
export function zoneOf(holding: Holding, held: readonly Holding[]): Name | null {
  if (holding.facts !== null) return holding.facts.zone;
  const other = held.find((h) => h.parent === holding.parent && h.facts !== null);
  return other?.facts?.zone ?? null;
}

function splitRecords(run: Run, held: readonly Holding[]): [Name, [string, Name][]][] {
  const known = held.flatMap((h) => (h.facts === null ? [] : [[h, h.facts.zone] as const]));
  const byParent = Map.groupBy(known, ([h]) => h.parent);
  return run.all.flatMap(({ name, publish }): [Name, [string, Name][]][] => {
    const mine = (byParent.get(parentOf(name)) ?? []).flatMap(([h, zone]): [string, Name][] =>
      publish.some((p) => p.provider === h.provider) ? [[h.provider, zone]] : [],
    );
    return new Set(mine.map(([, zone]) => zone)).size > 1 ? [[name, mine]] : [];
  });
}

async function lookAtZone(run: Run, zone: Name, holdings: readonly Holding[]): Promise<ZoneLook> {
  const parent = await run.resolver.delegation(zone, run.signal);
  const names = parent.kind === 'found' ? (parent.names ?? (await ownNames(run, zone))) : null;
  const one = [...Map.groupBy(holdings, (h) => h.provider).values()].map((same) => same[0]!);
  const claims = new Map(one.map((h) => [h.provider, claimed(h)]));
  const shares = sharesOf(names, claims);
  const spoken = new Map<string, Spoken>();
  await Promise.all(
    one.map(async (h) => {
      const share = shares.get(h.provider);
      const delegated = share === undefined ? null : share > 0;
      spoken.set(h.provider, await askServers(run, zone, h, delegated));
    }),
  );
  const parentTtl = parent.kind === 'found' ? parent.ttlSeconds : null;
  const ds = parent.kind === 'found' ? parent.ds : null;
  sayDelegation(run, zone, parent, names, claims, shares);
  sayShared(run, zone, one, claims);
  sayParentTtl(run, zone, parentTtl);
  for (const s of spoken.values()) sayServed(run, zone, s, names);
  sayNegative(run, zone, [...spoken.values()], (ds ?? []).length > 0);
  sayLeftBehind(run, zone, shares, parentTtl, spoken);
  await sayHands(run, zone, claims);
  const judged = judge(zone, ds, [...spoken.values()]);
  for (const { provider, ...finding } of judged.findings) {
    run.say({ zone, ...(provider === null ? {} : { provider }) }, finding);
  }
  return { zone, names, parentTtl, shares, spoken, bars: judged.bars };
}

/**
 * What each provider would leave behind if it could be changed no more from now on: its share of the
 * resolvers, until it is taken out of the delegation and the caches have forgotten it.
 */
function sayLeftBehind(
  run: Run,
  zone: Name,
  shares: ReadonlyMap<string, number>,
  parentTtl: number | null,
  spoken: ReadonlyMap<string, Spoken>,
): void {
  for (const [provider, share] of shares) {
    // Who is not in the delegation leaves nobody behind, and is told elsewhere.
    if (share === 0) continue;
    const here = run.all.filter(({ name }) => isWithin(name, zone));
    const ttls = here.flatMap((r) =>
      r.publish.flatMap((p) => (p.provider === provider ? p.ttl : [])),
    );
    // A resolver goes by the parent's set, or by the zone's own where it has seen that.
    const kept = Math.max(parentTtl ?? 0, spoken.get(provider)?.nsTtl ?? 0);
    const last = Math.max(0, ...ttls);
    const how =
      `if ${provider} froze now, about ${percent(share)} of resolvers would stay on the old ` +
      `answer until it thaws, or for ${kept === 0 ? 'an unknown time' : spell(kept + last)} after ` +
      `its servers are taken out of the delegation of ${zone}`;
    const cure = 'put more vendors in the delegation, with as many name servers each';
    if (share <= shareMost || shares.size < 2) run.good({ zone, provider }, 'left-behind', how);
    else run.warn({ zone, provider }, 'left-behind', how, cure);
  }
}

/** The zone's own NS set, where its parent's cannot be seen. */
async function ownNames(run: Run, zone: Name): Promise<readonly Name[] | null> {
  const own = await run.resolver.nameServers(zone, run.signal);
  return own.kind === 'found' ? own.names : null;
}

/** Host names of its servers as the provider gives them; null where only addresses are known. */
export function claimed({
  facts,
  hosts,
}: Pick<Holding, 'facts' | 'hosts'>): readonly Name[] | null {
  const names = (facts?.nameServers ?? hosts).flatMap((text) => {
    const parsed = parseHostPort(text, 53);
    const name = parsed === null ? null : toName(parsed.host);
    return name === null || /^[\d.]+\.$/.test(name) ? [] : [name];
  });
  return names.length > 0 ? names : null;
}

/**
 * Each provider's part of the delegation. A server of one's own may name the whole NS set, other
 * vendors' servers with its own: a name belongs to whoever claims the fewest.
 */
function sharesOf(
  names: readonly Name[] | null,
  claims: ReadonlyMap<string, readonly Name[] | null>,
): ReadonlyMap<string, number> {
  const shares = new Map<string, number>();
  if (names === null || names.length === 0) return shares;
  for (const [provider, mine] of claims) if (mine !== null) shares.set(provider, 0);
  for (const name of names) {
    const owners = ownersOf(name, claims);
    for (const provider of owners) {
      shares.set(provider, shares.get(provider)! + 1 / owners.length / names.length);
    }
  }
  return shares;
}

export function ownersOf(
  name: Name,
  claims: ReadonlyMap<string, readonly Name[] | null>,
): readonly string[] {
  const all = [...claims].flatMap(([provider, mine]) =>
    mine?.includes(name) ? [{ provider, size: mine.length }] : [],
  );
  const least = Math.min(...all.map((o) => o.size));
  return all.filter((o) => o.size === least).map((o) => o.provider);
}

function sayDelegation(
  run: Run,
  zone: Name,
  parent: Delegated,
  names: readonly Name[] | null,
  claims: ReadonlyMap<string, readonly Name[] | null>,
  shares: ReadonlyMap<string, number>,
): void {
  const word = 'delegation';
  if (names === null) {
    const why = parent.kind === 'found' ? 'it has no name servers' : parent.detail;
    const sentence = `the delegation of ${zone} was not seen: ${why}`;
    const cure = 'check the delegation at its parent, and the way to the root servers';
    const broken = parent.kind === 'broken' || parent.kind === 'found';
    if (broken) run.bad({ zone }, word, sentence, cure);
    else run.unknown({ zone }, word, sentence, cure);
    return;
  }
  for (const [provider, share] of shares) {
    const place = { zone, provider };
    const percent = `${Math.round(share * 100)} %`;
    if (share > 0) {
      run.good(place, word, `${provider} is ${percent} of the delegation of ${zone}`);
      continue;
    }
    const theirs = (claims.get(provider) ?? []).join(', ');
    const cure = `add ${theirs} to the NS set of ${zone} at its parent, or publish there no more`;
    run.bad(place, word, `${provider} is not in the delegation of ${zone}: nobody asks it`, cure);
  }
  const unknown = [...claims].filter(([, mine]) => mine === null).map(([provider]) => provider);
  const nobody = names.filter((name) => ownersOf(name, claims).length === 0);
  if (nobody.length === 0) return;
  const part = `${Math.round((nobody.length / names.length) * 100)} %`;
  const list = nobody.slice(0, 8).join(', ');
  if (unknown.length > 0) {
    const sentence = `whose servers ${list} of ${zone} are is not known: ${unknown.join(', ')}`;
    const cure = 'audit again when they can be asked, or set their `nameservers` by host name';
    run.unknown({ zone }, word, `${sentence} could not be asked for host names`, cure);
    return;
  }
  const sentence = `the delegation of ${zone} lists ${list}, which no provider here has`;
  const cure = 'take them out at the parent, or add their vendor as a provider';
  run.bad({ zone }, word, `${sentence}: ${part} of resolvers ask servers nobody changes`, cure);
}

/** The NS set that several providers name as theirs, and whether each is judged by itself. */
function sayShared(
  run: Run,
  zone: Name,
  holdings: readonly Holding[],
  claims: ReadonlyMap<string, readonly Name[] | null>,
): void {
  const names = new Set([...claims.values()].flatMap((mine) => mine ?? []));
  const shared = [...names].filter(
    (n) => holdings.filter((h) => claims.get(h.provider)?.includes(n)).length > 1,
  );
  if (shared.length === 0) return;
  const among = holdings.filter((h) => shared.some((n) => claims.get(h.provider)?.includes(n)));
  const who = among.map((h) => h.provider).join(', ');
  const set = shared.slice(0, 8).join(', ');
  const judged = among.map((h) => `${h.provider} by ${h.hosts.join(', ') || 'nobody'}`).join('; ');
  const sentence = `the NS set of ${zone} is shared by ${who} (${set}); judged are ${judged}`;
  const isMixed = among.some((h, i) =>
    among.slice(0, i).some((other) => h.hosts.some((host) => other.hosts.includes(host))),
  );
  const word = 'ns-set';
  if (!isMixed) return run.good({ zone }, word, sentence);
  const cure = 'name under `nameservers` of each provider the servers that it alone answers with';
  run.warn({ zone }, word, `${sentence}: what one serves is taken for another's`, cure);
}

function sayParentTtl(run: Run, zone: Name, seconds: number | null): void {
  if (seconds === null) return;
  const hours = Math.round(seconds / 360) / 10;
  const sentence = `resolvers keep the delegation of ${zone} for ${hours} h`;
  if (seconds <= parentTtlMax) return run.good({ zone }, 'parent-ttl', sentence);
  const cure = `lower the TTL of its NS set at the parent, or steer in a zone below ${zone}`;
  run.warn({ zone }, 'parent-ttl', `${sentence}: taking a vendor out helps nobody sooner`, cure);
}
