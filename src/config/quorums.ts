// Whether those who have a vote can agree at all. Pure: a quorum that can never be met is refused,
// and where one group decides alone it is said.

import type { CoreConfig } from '../core/model.ts';
import { listOf } from '../core/name.ts';
import type { Context, Policy } from './context.ts';
import type { ReadOrigin } from './origins.ts';
import { shorten } from './paths.ts';
import { type Ballot, ballotsOf, indispensable, neededOf, seatsOf } from './votes.ts';

/** Refuses a quorum that can never be met, and says where one group decides alone. */
export function checkQuorums(
  context: Context,
  core: CoreConfig,
  origins: ReadonlyMap<string, ReadOrigin>,
  policy: Policy,
): void {
  const { source } = context;
  const groups = new Set(Object.values(core.paths).map((path) => path.group)).size;
  const broken = source.problems().map((problem) => `${problem.path}.`);
  // Who has a vote is not known yet where that is wrong which it follows from.
  if (broken.some((path) => /^(paths|clouds|replicas)\b/.test(path))) return;
  warnOfLostReplicas(context, core, origins);
  warnOfOneCloud(context, core);
  for (const [name, { path, hasQuorum }] of origins) {
    if (broken.some((other) => other.startsWith(`origins.${name}.`))) continue;
    const where = hasQuorum ? [...path, 'quorum'] : path;
    for (const ballot of ballotsOf(core, name)) {
      const what = listOf(ballot.checks);
      const needed = neededOf(ballot);
      const others = withoutVote(ballot);
      if (ballot.voting === 0) {
        const cure = 'let a path that sits elsewhere probe it';
        source.problem(path, `nobody has a vote on ${what} (${others}): ${cure}`, 'key');
      } else if (needed > ballot.voting) {
        const voting = listOf(ballot.seats.filter((s) => s.voters.length > 0).map(groupOf));
        const least = `${needed} groups must agree on ${what}, and only ${ballot.voting} `;
        const have = `${ballot.voting === 1 ? 'has' : 'have'} a vote: ${voting}`;
        const cure = `lower the quorum of ${name} to ${ballot.voting}, or add paths that share nothing`;
        const why = others === '' ? '' : ` (${others})`;
        const at = hasQuorum || policy.quorum === undefined ? where : ['policy', 'quorum'];
        source.problem(at, `${least}${have}${why}; ${cure} with these`);
      } else if (ballot.voting === 1 && groups > 1) {
        const only = ballot.seats.find((s) => s.voters.length > 0)!.group;
        source.warning(path, `${shorten(only)} alone decides on ${what} (${others})`);
      } else if (needed === 1 && groups > 1) {
        const message = `with a quorum of 1 any one of ${ballot.voting} groups alone decides`;
        source.warning(where, `${message} on ${what}`);
      }
    }
  }
  for (const check of Object.values(core.checks)) {
    if (check.role !== 'service') continue;
    if (seatsOf(core, check.cloud, check.paths).some((s) => s.voters.length > 0)) continue;
    const at = ['clouds', check.cloud!, 'checks', check.id.slice(check.cloud!.length + 1)];
    source.warning(at, `all its paths sit in ${check.cloud}: nobody has a vote on it`);
  }
}

/** In a group: an origin that nobody could call down any more with one replica gone. */
function warnOfLostReplicas(
  { source }: Context,
  core: CoreConfig,
  origins: ReadonlyMap<string, ReadOrigin>,
): void {
  if (core.group === undefined || source.problems().length > 0) return;
  for (const [name, { path }] of origins) {
    const lost = new Set(ballotsOf(core, name).flatMap((one) => indispensable(core, one)));
    if (lost.size === 0) continue;
    const gone = listOf([...lost], 'or');
    const message = `with ${gone} gone too few are left to agree that ${name} is down, so it stays`;
    source.warning(path, `${message}; give it one vote more, by another replica or way out`);
  }
}

/** Where nothing unrelated is asked, what the paths lose cannot be told from an outage. */
function warnOfOneCloud({ source }: Context, core: CoreConfig): void {
  const asked = Object.values(core.checks).filter(({ aside }) => aside !== true);
  const [cloud, ...others] = new Set(asked.map((check) => check.cloud));
  if (typeof cloud !== 'string' || others.length > 0) return;
  const message = `all checks are in the cloud ${cloud}, with no reference point elsewhere`;
  const cost = 'what every path loses at once looks like an outage; give `references`';
  source.warning(['origins'], `${message}: ${cost}`);
}

const groupOf = ({ group }: { readonly group: string }) => shorten(group);

/** `tokyo sits in its cloud aws and sydney does not probe it`; empty when all have a vote. */
function withoutVote({ seats, cloud }: Ballot): string {
  const out = seats.filter((seat) => seat.voters.length === 0);
  return listOf(
    out.map((seat) =>
      seat.barred.length > 0
        ? `${groupOf(seat)} sits in its cloud ${cloud}`
        : `${groupOf(seat)} does not probe it`,
    ),
  ).replace(/^nothing$/, '');
}
