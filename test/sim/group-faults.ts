// What befalls a group of replicas: every pair of {replica, etcd member, vendor, origin} may hear
// nothing of each other; members die, stand still and fall out among themselves; the engine is slow,
// full, robbed of its leader's key, or put back to an earlier time; and a share of what befalls one
// replica alone (faults.ts, hands.ts). It lays hands on the world and knows nothing of its rules.

import type { Link, SimEtcd } from '../parts/sim-etcd.ts';
import { another } from './another.ts';
import type { Chance } from './chance.ts';
import { type FaultName, faultKinds, over, type Site } from './faults.ts';
import type { Net } from './group-wire.ts';
import { type HandName, handKinds } from './hands.ts';

/** What faults of a group may lay hands on. */
export interface GroupSite extends Site {
  readonly net: Net;
  readonly etcd: SimEtcd;
  readonly members: readonly string[];
  /** Of a replica's life now, and of each after it. */
  link(replica: string): Link;
  /** Whoever holds it, by the engine's own word, loses it. */
  keyDeleted(): void;
  /** Puts an old backup back, where one of this world would be noticed. */
  restore(): void;
  isRestored(): boolean;
  /** Somebody tells whoever acts to hand over. */
  yield(): void;
}

type GroupBegin = (s: GroupSite, c: Chance, lastsMs: number) => () => void;

function all(ends: readonly (() => void)[]): () => void {
  return () => {
    for (const end of ends) end();
  };
}

/** Between a replica and a member: the link of the gateway is cut as well. */
function cutMember(s: GroupSite, replica: string, member: number): () => void {
  const end = s.net.cut(replica, s.members[member]!);
  const { cut } = s.link(replica);
  cut.add(member);
  return () => {
    end();
    if (!s.net.isCut(replica, s.members[member]!)) cut.delete(member);
  };
}

function aMember(s: GroupSite, c: Chance): number {
  // Whoever leads matters most.
  return c.is(0.4) ? s.etcd.leader : c.int(0, s.members.length - 1);
}

const names = (s: GroupSite) => s.replicas.map((r) => r.name);

const own = {
  'cut-replica-member': (s, c) => cutMember(s, c.pick(names(s)), aMember(s, c)),
  'cut-replica-etcd': (s, c) => {
    const replica = c.pick(names(s));
    return all(s.members.map((_, i) => cutMember(s, replica, i)));
  },
  'cut-replica-vendor': (s, c) => s.net.cut(c.pick(names(s)), c.pick(s.vendors).name),
  'cut-replica-vendors': (s, c) => {
    const replica = c.pick(names(s));
    return all(s.vendors.map((v) => s.net.cut(replica, v.name)));
  },
  'cut-replica-origin': (s, c) => {
    return s.net.cut(c.pick(names(s)), c.pick(Object.keys(s.config.origins)));
  },
  'cut-replica-origins': (s, c) => {
    const replica = c.pick(names(s));
    return all(Object.keys(s.config.origins).map((origin) => s.net.cut(replica, origin)));
  },
  'cut-replica-replica': (s, c) => {
    const one = c.pick(names(s));
    return s.net.cut(one, c.pick(names(s).filter((name) => name !== one)));
  },
  'cut-eyes': (s, c) => {
    const one = c.pick(names(s));
    return all(
      names(s)
        .filter((name) => name !== one)
        .map((name) => s.net.cut(one, name)),
    );
  },
  /** All of one site: its replica hears nothing of members, vendors, origins or replicas. */
  'cut-site': (s, c) => {
    const one = c.pick(names(s));
    return all([
      ...s.members.map((_, i) => cutMember(s, one, i)),
      ...s.vendors.map((v) => s.net.cut(one, v.name)),
      ...Object.keys(s.config.origins).map((origin) => s.net.cut(one, origin)),
      ...names(s)
        .filter((name) => name !== one)
        .map((name) => s.net.cut(one, name)),
    ]);
  },
  'member-alone': (s, c) => {
    const member = aMember(s, c);
    s.etcd.isolate(member, true);
    return () => s.etcd.isolate(member, false);
  },
  'member-killed': (s, c) => {
    const member = aMember(s, c);
    s.etcd.kill(member, true);
    return () => s.etcd.kill(member, false);
  },
  'member-paused': (s, c) => {
    const member = aMember(s, c);
    s.etcd.pause(member, true);
    return () => s.etcd.pause(member, false);
  },
  'quorum-lost': (s, c) => {
    const spared = c.int(0, s.members.length - 1);
    const how = c.pick(['kill', 'isolate'] as const);
    const struck = s.members.flatMap((_, i) => (i === spared ? [] : [i]));
    for (const i of struck) s.etcd[how](i, true);
    return () => {
      for (const i of struck) s.etcd[how](i, false);
    };
  },
  'etcd-slow': (s, c) => {
    const ms = c.spread(50, 4000);
    s.etcd.slowMs += ms;
    return () => {
      s.etcd.slowMs -= ms;
    };
  },
  'etcd-far': (s, c) => {
    const link = s.link(c.pick(names(s)));
    const ms = c.spread(20, 3000);
    link.delayMs += ms;
    return () => {
      link.delayMs -= ms;
    };
  },
  'etcd-replies-lost': (s, c) => {
    s.link(c.pick(names(s))).loseReplies = c.int(1, 6);
    return over;
  },
  'etcd-full': (s) => {
    s.etcd.isFull = true;
    return () => {
      s.etcd.isFull = false;
    };
  },
  'etcd-compacted': (s) => {
    s.etcd.compact(s.etcd.revision);
    return over;
  },
  'key-deleted': (s) => {
    s.keyDeleted();
    return over;
  },
  restore: (s) => {
    s.restore();
    return over;
  },
  yield: (s) => {
    s.yield();
    return over;
  },
  'lost-store': (s, c) => {
    // Whoever puts a backup back keeps the disks, from which the rest must come.
    if (!s.isRestored()) c.pick(s.replicas).loseStore();
    return over;
  },
  /** One file for all, brought to one machine after the other; to some of them perhaps never. */
  roll: (s, c, lastsMs) => {
    const config = c.is(0.3) ? s.config : another(s.config, c);
    s.replicas.forEach((r, i) => {
      if (c.is(0.85)) s.later(i === 0 ? 0 : c.spread(500, lastsMs + 500), () => r.reload(config));
    });
    return over;
  },
} as const satisfies Readonly<Record<string, GroupBegin>>;

/** What befalls one replica alone befalls one of several as well. */
const shared = [
  ...['origin-refuse', 'origin-hang', 'origin-flap', 'origin-grey', 'region-down', 'cloud-down'],
  ...['service-down', 'path-cut', 'path-no-route', 'path-loss', 'path-apart', 'network-cut'],
  ...['api-hang', 'api-unavailable', 'api-lost-reply', 'api-late-write', 'api-auth', 'dns-lag'],
  ...['dns-silent', 'chain-broken', 'human-edit', 'crash', 'crash-at-commit', 'stop'],
  ...['store-refuses', 'wall-jump', 'pause', 'pause-at-write', 'sleep', 'operator'],
] as const satisfies readonly FaultName[];

const others = ['thief', 'tool', 'stale', 'word'] as const satisfies HandName[];

type Shared = (typeof shared)[number];

function picked<K extends string>(kinds: readonly K[], from: Readonly<Record<K, unknown>>) {
  return Object.fromEntries(kinds.map((kind) => [kind, from[kind]])) as Record<K, GroupBegin>;
}

export const groupFaults: Readonly<
  Record<keyof typeof own | Shared | (typeof others)[number], GroupBegin>
> = { ...own, ...picked(shared, faultKinds), ...picked(others, handKinds) };

export type GroupFaultName = keyof typeof groupFaults;

/** After which durations are no longer what they were in true time. */
export const ofClocks: ReadonlySet<GroupFaultName> = new Set(['sleep', 'wall-jump', 'lost-store']);
