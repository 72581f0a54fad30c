// `detour evict` and `detour readmit`, for the daemon and for `--direct` alike: it looks at the parent,
// at the apexes and at the name servers, has core/delegation.ts plan, and writes: the parent first,
// whose vendor tells two operators apart, then the apexes of the other vendors. It is begun by a
// person's order and by nothing else. It must never write what was not planned, nor sign anything but
// the marker of that plan.

import { createHash } from 'node:crypto';
import { claimed, ownersOf } from '../audit/delegation.ts';
import { type AuditorOptions, newRun } from '../audit/run.ts';
import { askServers } from '../audit/served.ts';
import type { Keyring } from '../cluster/keyring.ts';
import type { Config } from '../config/config.ts';
import { type DelegationConfig, delegatedZone, vendorOf } from '../config/delegation.ts';
import {
  type DelegationOrder,
  type DelegationPlan,
  planDelegation,
  type VendorFacts,
} from '../core/delegation.ts';
import { delegationInput, formatDelegation } from '../core/marker.ts';
import type { DelegationCommand, Json, Name, NsPlace, NsSeen, Reply } from '../core/model.ts';
import { listOf, notAmong, unrooted } from '../core/name.ts';
import { judge, type Served } from '../dns/dnssec.ts';
import { toName } from '../kit/schema.ts';

/** An order as it reaches whoever carries it out: with the id by which it is known. */
export type DelegationOrders = (command: DelegationCommand, id: string) => Promise<Reply>;

interface EvictOptions extends AuditorOptions {
  readonly config: Config;
  /** null: there is no cluster key, and then nothing is written. */
  readonly keys: (() => Keyring) | null;
}

/** Looking and writing end by then; within what a command may take. */
const limitMs = 18_000;
/** The parent's own name servers are looked at for so long, and so often. */
const shownMs = 5000;
const lookMs = 100;

/** Carries out orders about delegations. Never rejects for what the world does. */
export function createEviction(options: EvictOptions): DelegationOrders {
  return async (command, id) => {
    const found = zoneOf(options.config, command);
    if ('exit' in found) return found;
    if (options.keys === null) {
      return { exit: 1, message: 'there is no clusterKey, which signs who was taken out' };
    }
    const signal = AbortSignal.timeout(limitMs);
    const { kind, provider } = command;
    const order: DelegationOrder = { kind, provider, zone: found.zone };
    const work = new Work(options, options.keys, found, order, markerId(id), signal);
    return work.carryOut(command.dryRun === true);
  };
}

/** As a marker bears it: what came with the order may be of other characters. */
function markerId(id: string): string {
  return createHash('sha256').update(id).digest('hex').slice(0, 16);
}

interface Place extends DelegationConfig {
  readonly parent: Name;
}

/** The delegation that an order is about; or why there is none. */
function zoneOf(
  { delegations, core, providers }: Config,
  { zone: typed, provider }: DelegationCommand,
): (Place & { readonly zone: Name }) | Reply {
  const wrong = (message: string): Reply => ({ exit: 2, message: unrooted(message) });
  const zones = Object.keys(delegations);
  const zone = typed === null ? null : (toName(typed) ?? typed);
  if (!Object.hasOwn(providers, provider)) {
    return wrong(notAmong('provider', provider, Object.keys(providers)));
  }
  if (zones.length === 0) {
    const cure =
      'where the parent zone is at a provider here, say so under `delegation`; at a registrar it is ' +
      'changed by hand in its console';
    return wrong(`no zone's NS set can be written: ${cure}`);
  }
  const mine = new Set(
    Object.values(core.records)
      .filter(({ publish }) => publish.some((p) => p.provider === provider))
      .flatMap(({ name }) => delegatedZone(zones, name) ?? []),
  );
  const meant = zone === null ? [...mine] : zones.filter((one) => one === zone);
  if (meant.length > 1) return wrong(`which zone: ${listOf(meant)}? Name it with --zone`);
  const [one] = meant;
  if (one === undefined && zone !== null) return wrong(notAmong('zone', zone, zones));
  if (one === undefined) return wrong(`${provider} publishes in none of ${listOf(zones, 'and')}`);
  const at = delegations[one]!;
  return { ...at, parent: at.zone, zone: one };
}

type Planned = Extract<DelegationPlan, { kind: 'plan' }>;

class Work {
  readonly #o: EvictOptions;
  readonly #keys: () => Keyring;
  readonly #at: Place;
  readonly #order: DelegationOrder;
  readonly #id: string;
  readonly #signal: AbortSignal;

  constructor(
    options: EvictOptions,
    keys: () => Keyring,
    at: Place,
    order: DelegationOrder,
    id: string,
    signal: AbortSignal,
  ) {
    this.#o = options;
    this.#keys = keys;
    this.#at = at;
    this.#order = order;
    this.#id = id;
    this.#signal = signal;
  }

  async carryOut(isDry: boolean): Promise<Reply> {
    const plan = await this.#plan();
    if ('exit' in plan) return plan;
    if (plan.kind === 'refused') {
      return { exit: 1, message: unrooted(`refused: ${plan.sentence}; ${plan.cure}`) };
    }
    const rows = this.#rows(plan);
    const { epoch, out } = plan.marker;
    const detail = {
      ...{ zone: this.#order.zone, epoch, id: plan.marker.id, out: [...out], plan: rows },
      ...{ left: [...plan.left], ttlSeconds: plan.ttlSeconds, closed: [...plan.closed] },
      parentTtlSeconds: plan.parentTtlSeconds,
    };
    if (isDry) return { exit: 0, message: `${this.#says(plan)}; nothing was done`, detail };
    return this.#write(plan, detail);
  }

  // -------------------------------------------------------------- looking

  async #plan(): Promise<DelegationPlan | Reply> {
    const { config, providers, resolver } = this.#o;
    const { zone } = this.#order;
    const { provider, parent } = this.#at;
    const hands = providers[provider]?.delegation;
    if (hands === undefined) {
      return { exit: 1, message: `no NS set can be changed at ${provider}` };
    }
    const place: NsPlace = { zone: parent, name: zone };
    const [seen, delegated] = await Promise.all([
      hands.read(place, this.#signal),
      resolver.delegation(zone, this.#signal),
    ]);
    if (!seen.ok) {
      const { detail, cure } = seen.fault;
      const message = `the parent at ${provider} could not be read, and nothing was done: ${detail}`;
      return { exit: 1, message: cure === undefined ? message : `${message}; ${cure}` };
    }
    const ds = delegated.kind === 'found' ? delegated.ds : null;
    const { vendors, served } = await this.#vendors(seen.value);
    return planDelegation(this.#order, {
      ...{ cluster: config.core.cluster, parentZone: parent, parent: seen.value, vendors },
      id: this.#id,
      proves: (m) => m.mac !== undefined && this.#keys().knowsText(delegationInput(m), m.mac),
      distrust: (left) => {
        if (ds === null) return 'whether the parent has a DS could not be seen';
        const all = served.filter((s) => left.includes(s.provider));
        const { findings, bars } = judge(zone, ds, all);
        if (ds.length === 0) return null;
        const barred = [...bars.values()].find((why) => why !== null) ?? null;
        const unsure = findings.find((f) => f.severity === 'unknown' || f.severity === 'bad');
        return barred ?? unsure?.sentence ?? null;
      },
    });
  }

  async #vendors(
    parent: NsSeen,
  ): Promise<{ readonly vendors: readonly VendorFacts[]; readonly served: readonly Served[] }> {
    const { config, providers, servers } = this.#o;
    const { zone, provider: ordered } = this.#order;
    const records = Object.values(config.core.records).filter(
      ({ name }) => delegatedZone(Object.keys(config.delegations), name) === zone,
    );
    const run = newRun(this.#o, this.#signal, {});
    const names = [...new Set(records.flatMap((r) => r.publish.map((p) => p.provider)))];
    const looked = await Promise.all(
      names.map(async (provider) => {
        const record = records.find((r) => r.publish.some((p) => p.provider === provider))!.name;
        const [facts, hosts] = await Promise.all([
          providers[provider]!.zone(record, this.#signal),
          servers(provider, record, this.#signal),
        ]);
        const holding = { provider, parent: zone, record, hosts };
        const held = {
          ...holding,
          facts: facts.ok && facts.value.zone === zone ? facts.value : null,
        };
        const spoken = await askServers(run, zone, held, true);
        return { provider, claim: claimed(held), spoken };
      }),
    );
    const claims = new Map(looked.map((v) => [v.provider, v.claim]));
    const own = (provider: string) => serversOf(provider, parent.servers, claims);
    const behind = await this.#behind(records.map((r) => r.name));
    const vendors = await Promise.all(
      looked.map(async ({ provider, spoken }) => ({
        provider,
        vendor: vendorOf(provider, config.providers[provider]),
        servers: own(provider),
        // A set of its own was given with authority: it speaks for the zone.
        speaks: spoken.ns !== null,
        behind: provider === ordered ? behind : null,
        apex: provider === ordered ? 'it is the one' : await this.#apex(provider),
      })),
    );
    return { vendors, served: looked.map((v) => v.spoken) };
  }

  async #apex(provider: string): Promise<NsSeen | string> {
    const { zone } = this.#order;
    const account = this.#o.providers[provider]!;
    if (account.delegation === undefined || !account.capabilities.delegation?.apex) {
      return 'its NS set at the apex cannot be changed there';
    }
    const seen = await account.delegation.read({ zone, name: zone }, this.#signal);
    return seen.ok ? seen.value : seen.fault.detail;
  }

  /** For who is to come back: the first record that it serves otherwise than the others do. */
  async #behind(records: readonly Name[]): Promise<string | null> {
    const { kind, provider } = this.#order;
    if (kind === 'evict') return null;
    const { verifier, config } = this.#o;
    for (const name of records) {
      const { publish } = config.core.records[name]!;
      const others = publish.filter((p) => p.provider !== provider).map((p) => p.provider);
      const given = async (who: string) =>
        (await verifier.ask(who, name, { marker: false }, this.#signal)).flatMap((a) =>
          a.answer.kind === 'cname' ? [a.answer.value] : [],
        );
      const [mine, ...theirs] = await Promise.all([provider, ...others].map(given));
      const right = new Set(theirs.flat());
      const wrong = mine!.find((value) => !right.has(value));
      if (mine!.length === 0) return `it gives no answer for ${name}`;
      if (wrong !== undefined) return `it gives ${wrong} for ${name}, and no other vendor does`;
    }
    return null;
  }

  // -------------------------------------------------------------- writing

  async #write(plan: Planned, detail: Readonly<Record<string, Json>>): Promise<Reply> {
    const { zone, kind, provider } = this.#order;
    const { provider: parentAt, parent } = this.#at;
    const { epoch } = plan.marker;
    const marker =
      plan.marker.mac !== undefined
        ? plan.marker
        : { ...plan.marker, mac: this.#keys().signText(delegationInput(plan.marker)) };
    const text = formatDelegation(marker);
    const done: string[] = [];
    const troubles: string[] = [];
    if (plan.parent !== null) {
      const { from, to, others } = plan.parent;
      const change = { place: { zone: parent, name: zone }, from };
      const hands = this.#o.providers[parentAt]!.delegation!;
      const wrote = await hands.write(
        { ...change, to: { servers: to, markers: [...others, text] } },
        this.#signal,
      );
      if (!wrote.ok) return this.#unwritten(wrote.fault.kind, wrote.fault.detail, detail);
      done.push(`the parent ${parent} at ${parentAt}`);
    }
    const wrote = await Promise.all(
      plan.apexes.map(async ({ provider: at, from, to, others }) => {
        const place = { zone, name: zone };
        const change = { place, from, to: { servers: to, markers: [...others, text] } };
        return { at, result: await this.#o.providers[at]!.delegation!.write(change, this.#signal) };
      }),
    );
    for (const { at, result } of wrote) {
      if (result.ok) done.push(`the apex at ${at}`);
      else troubles.push(`the apex at ${at} is as it was: ${result.fault.detail}`);
    }
    if (!(await this.#isShown(plan.left))) {
      troubles.push(`the name servers of ${parent} do not give the new set yet`);
    }
    const what = kind === 'evict' ? 'out of' : 'back in';
    const written =
      done.length === 0 ? 'nothing was left to write' : `written: ${listOf(done, 'and')}`;
    const head = `${provider} is ${what} the delegation of ${zone}, epoch ${epoch}; ${written}`;
    const lines = [`${head}; ${this.#time(plan)}`, ...troubles, ...this.#closed(plan)];
    const again = `say \`detour ${kind} ${provider}\` again to go on with what is left`;
    const isPartly = troubles.length > 0;
    const message = unrooted([...lines, ...(isPartly ? [again] : [])].join('\n'));
    return { exit: isPartly ? 3 : 0, message, detail: { ...detail, done, troubles } };
  }

  #unwritten(kind: string, why: string, detail: Readonly<Record<string, Json>>): Reply {
    const { kind: word, provider } = this.#order;
    const again = `look with \`detour ${word} ${provider} --dry-run --reason TEXT\`, and say it again`;
    // What was sent and not answered for may stand.
    const isUnsure = kind === 'uncertain';
    const head = isUnsure
      ? 'whether the parent was changed is not known'
      : 'nothing was changed: the parent was not written';
    return { exit: isUnsure ? 3 : 1, message: unrooted(`${head}: ${why}; ${again}`), detail };
  }

  /** Whether the parent's own servers give the set by now; where they cannot be asked, it is. */
  async #isShown(left: readonly Name[]): Promise<boolean> {
    const until = performance.now() + shownMs;
    for (;;) {
      const seen = await this.#o.resolver.delegation(this.#order.zone, this.#signal);
      if (seen.kind === 'found' && seen.names === null) return true;
      const names = seen.kind === 'found' ? (seen.names ?? []) : [];
      if (names.length === left.length && left.every((n) => names.includes(n))) return true;
      if (performance.now() > until || this.#signal.aborted) return false;
      await new Promise((resolve) => setTimeout(resolve, lookMs));
    }
  }

  // -------------------------------------------------------------- saying

  #says(plan: Planned): string {
    const { kind, provider, zone } = this.#order;
    const what = kind === 'evict' ? 'would be taken out of' : 'would be put back into';
    const left = listOf(plan.left, 'and');
    return unrooted(
      `${provider} ${what} the delegation of ${zone}, epoch ${plan.marker.epoch}; in it are then ` +
        `${left}; ${this.#time(plan)}`,
    );
  }

  #time({ ttlSeconds, parentTtlSeconds }: Planned): string {
    const how = this.#order.kind === 'evict' ? 'ask it no more' : 'ask it again';
    const own = ttlSeconds > parentTtlSeconds ? `, or ${ttlSeconds} s by an apex` : '';
    return `resolvers ${how} within ${parentTtlSeconds} s, the TTL at the parent${own}`;
  }

  #closed({ closed }: Planned): readonly string[] {
    return closed.map((one) => `left alone: ${one}`);
  }

  #rows(plan: Planned): Json[] {
    const row = (provider: string, from: NsSeen, to: readonly Name[]): Json => ({
      ...{ provider, from: from.servers.join(' '), to: to.join(' '), ttl: from.ttl },
    });
    const { provider, parent } = this.#at;
    return [
      ...(plan.parent === null
        ? []
        : [row(`${provider} (parent ${unrooted(parent)})`, plan.parent.from, plan.parent.to)]),
      ...plan.apexes.map((a) => row(`${a.provider} (apex)`, a.from, a.to)),
    ];
  }
}

/**
 * The names that are one provider's and nobody else's. Where its API cannot say which they are, they
 * are what is left when all others have named theirs; null: not known.
 */
function serversOf(
  provider: string,
  standing: readonly Name[],
  claims: ReadonlyMap<string, readonly Name[] | null>,
): readonly Name[] | null {
  const mine = claims.get(provider) ?? null;
  if (mine !== null) {
    return mine.filter((name) => {
      const owners = ownersOf(name, claims);
      return owners.length === 1 && owners[0] === provider;
    });
  }
  const unknown = [...claims].filter(([, names]) => names === null);
  if (unknown.length > 1) return null;
  return standing.filter((name) => ownersOf(name, claims).length === 0);
}
