// Who has a vote on what. Paths that share a failure domain are one group and one vote; a path that
// sits in a cloud has no vote about that cloud (design, section 4). Pure: it reads a configuration
// and says what the engine will ask of it, by the engine's own rule (core/detect.ts), so that an
// operator sees it before an outage does. It must never decide anything, nor have a rule of its own.

import { quorumSize } from '../core/detect.ts';
import type { CheckId, CoreConfig, QuorumRule } from '../core/model.ts';

/** A path and what it shares with others: `['site', 'office']`. */
export interface PlacedPath {
  readonly name: string;
  /** What it is called in the name of its group; else its name. */
  readonly label?: string;
  readonly domains: readonly (readonly [domain: string, value: string])[];
}

/** Why two paths came into one group. */
export interface Tie {
  readonly paths: readonly [first: string, second: string];
  readonly domain: string;
  readonly value: string;
}

/**
 * Groups of paths: those that share a value of a domain, directly or through others. A group's name
 * is what its members are called, each once, sorted, with `+` between them. `ties` holds one reason for each path that
 * joined others, in the order of the paths.
 */
export function groupPaths(paths: readonly PlacedPath[]): {
  readonly groupOf: ReadonlyMap<string, string>;
  readonly ties: readonly Tie[];
} {
  const leader = new Map(paths.map(({ name }) => [name, name]));
  const lead = (name: string): string => {
    let at = name;
    while (leader.get(at)! !== at) at = leader.get(at)!;
    return at;
  };
  const firstWith = new Map<string, string>();
  const ties: Tie[] = [];
  for (const { name, domains } of paths) {
    for (const [domain, value] of domains) {
      const key = JSON.stringify([domain, value]);
      const other = firstWith.get(key);
      if (other === undefined) firstWith.set(key, name);
      if (other === undefined || lead(other) === lead(name)) continue;
      leader.set(lead(name), lead(other));
      ties.push({ paths: [other, name], domain, value });
    }
  }
  const members = new Map<string, Set<string>>();
  for (const { name, label = name } of paths) {
    const of = members.get(lead(name)) ?? new Set();
    members.set(lead(name), of.add(label));
  }
  const named = new Map([...members].map(([key, of]) => [key, [...of].toSorted().join('+')]));
  return { groupOf: new Map(paths.map(({ name }) => [name, named.get(lead(name))!])), ties };
}

/** One group's part in the verdict on a check. */
interface Seat {
  readonly group: string;
  /** Paths that speak for it; none: it has no vote. */
  readonly voters: readonly string[];
  /** Paths that sit in the very cloud the check is about. */
  readonly barred: readonly string[];
  /** Paths that do not probe it. */
  readonly idle: readonly string[];
}

/** Checks whose verdicts are found in the same way. */
export interface Ballot {
  readonly checks: readonly CheckId[];
  /** The cloud the checks are about. */
  readonly cloud: string | null;
  readonly rule: QuorumRule;
  /** Every group of the configuration. */
  readonly seats: readonly Seat[];
  /** Groups that have a vote. */
  readonly voting: number;
}

/** The rule by which the engine judges what no origin owns. */
const ownRule: QuorumRule = { kind: 'majority' };

/**
 * How an origin's required checks and the cloud services it needs are judged; advisory checks move
 * nothing and are left out. No ballot for an origin that is not configured.
 */
export function ballotsOf(core: CoreConfig, origin: string): readonly Ballot[] {
  const config = Object.hasOwn(core.origins, origin) ? core.origins[origin] : undefined;
  if (config === undefined) return [];
  const own = config.checks.filter((id) => core.checks[id]?.advisory === false);
  const ballots = new Map<string, { checks: CheckId[]; ballot: Omit<Ballot, 'checks'> }>();
  for (const id of [...own, ...config.needs]) {
    const check = core.checks[id];
    if (check === undefined) continue;
    const rule = check.role === 'origin' ? config.quorum : ownRule;
    const key = JSON.stringify([rule, check.cloud, check.paths]);
    const known = ballots.get(key);
    if (known !== undefined) {
      known.checks.push(id);
      continue;
    }
    const seats = seatsOf(core, check.cloud, check.paths);
    const voting = seats.filter((seat) => seat.voters.length > 0).length;
    ballots.set(key, { checks: [id], ballot: { cloud: check.cloud, rule, seats, voting } });
  }
  return [...ballots.values()].map(({ checks, ballot }) => ({ checks, ...ballot }));
}

/** Every group's part in a check that is about a cloud and probed by the given paths. */
export function seatsOf(
  core: Pick<CoreConfig, 'paths'>,
  cloud: string | null,
  paths: readonly string[],
): readonly Seat[] {
  const probing = new Set(paths);
  const seats = new Map<string, { voters: string[]; barred: string[]; idle: string[] }>();
  for (const path of Object.values(core.paths)) {
    const seat = seats.get(path.group) ?? { voters: [], barred: [], idle: [] };
    seats.set(path.group, seat);
    const isInside = path.cloud !== null && path.cloud === cloud;
    const part = !probing.has(path.name) ? 'idle' : isInside ? 'barred' : 'voters';
    seat[part].push(path.name);
  }
  return [...seats].map(([group, seat]) => ({ group, ...seat }));
}

/** Groups that must agree when all that have a vote can see. */
export function neededOf({ rule, voting }: Pick<Ballot, 'rule' | 'voting'>): number {
  return quorumSize(voting, voting, rule);
}

/** Replicas without any one of which too few groups are left to agree; alone none. */
export function indispensable(core: CoreConfig, { rule, seats, voting }: Ballot): string[] {
  return (core.group?.replicas ?? []).filter((replica) => {
    const left = seats.filter((seat) =>
      seat.voters.some((path) => core.paths[path]!.replica !== replica),
    ).length;
    return quorumSize(left, voting, rule) > left;
  });
}

/**
 * For each origin which groups of paths have a vote on it and why others have none, and how many
 * must agree: text for people, each line ended. Origins with the same votes stand together.
 */
export function voteTable(core: CoreConfig): string {
  const origins = new Map<string, string[]>();
  for (const name of Object.keys(core.origins)) {
    const body = ballotsOf(core, name).flatMap((ballot) => printBallot(name, ballot));
    const text = body.map((line) => `  ${line}\n`).join('');
    const same = origins.get(text);
    if (same === undefined) origins.set(text, [name]);
    else same.push(name);
  }
  const blocks = [...origins].map(([text, names]) => `${shorten(names)}\n${text}`);
  const head =
    'Who has a vote: paths that share a site, an uplink, a cloud, a label or the way out';
  return [`${head} are one group.\n`, ...blocks].join('\n');
}

function printBallot(origin: string, ballot: Ballot): string[] {
  const checks = ballot.checks.map((id) =>
    id.startsWith(`${origin}/`) ? id.slice(origin.length + 1) : id,
  );
  const wide = Math.max(...ballot.seats.map((seat) => seat.group.length));
  return [
    `${shorten(checks)}: quorum ${printRule(ballot.rule)}, ${printNeed(ballot)}`,
    ...ballot.seats.map((s) => `  ${s.group.padEnd(Math.min(wide, 40))}  ${printSeat(s, ballot)}`),
  ];
}

function printSeat({ voters, barred, idle }: Seat, { cloud }: Ballot): string {
  const isWhole = (part: readonly string[]) =>
    part.length === voters.length + barred.length + idle.length;
  const say = (part: readonly string[], what: string) =>
    part.length === 0 ? [] : [isWhole(part) ? what : `${shorten(part)} ${what}`];
  const without = [...say(barred, `in ${cloud} itself`), ...say(idle, 'not probing this')];
  const why = without.join(', ');
  if (voters.length === 0) return `no vote: ${why}`;
  const who = isWhole(voters) && voters.length === 1 ? '' : ` by ${shorten(voters)}`;
  return why === '' ? `one vote${who}` : `one vote${who} (${why})`;
}

/** `majority`, `all`, `2 groups`, `50%`. */
function printRule(rule: QuorumRule): string {
  if (rule.kind === 'count') return `${rule.groups} group${rule.groups === 1 ? '' : 's'}`;
  return rule.kind === 'share' ? `${Number((rule.share * 100).toFixed(4))}%` : rule.kind;
}

function printNeed({ rule, voting }: Ballot): string {
  const enough: string[] = [];
  for (let sighted = voting; sighted > 0; sighted--) {
    const need = quorumSize(sighted, voting, rule);
    if (need <= sighted) enough.push(`${need} of ${sighted}`);
  }
  const [full, least] = [enough[0], enough.at(-1)];
  if (full === undefined) return 'which can never be met';
  if (voting === 1) return `${full}: it decides alone`;
  const fewer = full === least ? '' : ` (${least} when others are blind)`;
  const rest = enough.length < voting ? '; with fewer in sight it stays' : '';
  return `${full} must agree${fewer}${rest}`;
}

/** `a, b, c`; the first eight of many. */
function shorten(words: readonly string[]): string {
  if (words.length <= 8) return words.join(', ');
  return `${words.slice(0, 8).join(', ')}, … (${words.length} in all)`;
}
