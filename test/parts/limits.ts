// What the kernel or the container that the tests run in does not allow. Such tests are skipped by
// name, in CI as well: nobody can install what is forbidden. A program that is merely not installed
// is no limit, and never said here (packages.ts knows it).

import { spawnSync } from 'node:child_process';
import { networkInterfaces } from 'node:os';

const isRoot = process.getuid?.() === 0;

/** Why nothing can be asked over IPv6, not even on loopback; false: it can. */
export const withoutIpv6: string | false = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === '::1'),
)
  ? false
  : 'IPv6 is disabled here: there is no ::1';

/** Runs what follows it in a network of its own; others than root need a user's namespace, too. */
export const ownNetwork: readonly [program: string, ...flags: string[]] = [
  'unshare',
  isRoot ? '-n' : '-rn',
];

/** Why that cannot be had here; false: it can. With CI set, root is enough to insist. */
export const withoutOwnNetwork: string | false = (() => {
  if (process.env['CI'] && isRoot) return false;
  const [program, ...flags] = ownNetwork;
  const tried = spawnSync(program, [...flags, 'ip', 'link'], { encoding: 'utf8', timeout: 10_000 });
  if (tried.status === 0) return false;
  const why = tried.error?.message ?? tried.stderr.trim();
  return `no network of its own can be had here: ${ownNetwork.join(' ')} ip link: ${why}`;
})();
