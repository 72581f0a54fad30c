// What makes a daemon one of a group: its coordinator over the configured engine, and its eyes.
// Loaded only where there is a group: a node that is alone loads none of it. Nothing is decided
// here.

import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createEtcdCoordinator, type GroupCoordinator, type Memory } from '../cluster/etcd.ts';
import { createEyes, type Eyes as OwnEyes } from '../cluster/eyes.ts';
import { createGateway, type GatewayOptions } from '../cluster/gateway.ts';
import { createKubeApi, type KubeAccount, podAccount } from '../cluster/kube-api.ts';
import type { KubeMemory } from '../cluster/kube-office.ts';
import { createKubernetesCoordinator } from '../cluster/kubernetes.ts';
import { createSeal } from '../cluster/sealed.ts';
import type { Config } from '../config/config.ts';
import type { Controller } from '../controller.ts';
import type { Json } from '../core/model.ts';
import type { SecretRef } from '../kit/schema.ts';
import type {
  Clock,
  Coordinator,
  Eyes,
  Histories,
  HistoryQuery,
  Peers,
  Store,
  TroubleWord,
} from '../ports.ts';
import { buildKeys, ConfigError, readSecretOf } from './build.ts';
import { createElapsed } from './elapsed.ts';
import { environment } from './environment.ts';

/** The document in which a replica remembers how far the group was. */
const MEMORY_KEY = 'group';

export interface GroupParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly store: Store;
  /** Asked once everything is put together. */
  readonly controller: () => Controller;
  readonly trouble: (what: TroubleWord, detail: string) => void;
}

export interface Group {
  readonly coordinator: Coordinator;
  readonly eyes: Eyes;
  histories(query: HistoryQuery): Promise<Histories>;
  /** Lets go of what was never started. */
  close(): void;
}

/** Throws ConfigError where a secret or a file cannot be had. */
export function buildGroup(parts: GroupParts): Group {
  const { config, clock, controller, trouble } = parts;
  const { group, clusterKeys } = config;
  if (group === null || clusterKeys.length === 0) throw new Error('there is no group to build');
  const keys = buildKeys(config, () => {})!;
  const coordinator = coordinatorOf(parts, keys);
  const { self } = group;
  const others = Object.entries(group.replicas).filter(([name]) => name !== self);
  const { tls } = group;
  const eyes = createEyes({
    cluster: config.core.cluster,
    self,
    peers: Object.fromEntries(others),
    listen: { host: group.listen.host ?? undefined, port: group.listen.port },
    tls: tls === null ? null : () => pemsOf(tls),
    keys: () => keys.get(),
    clock,
    told: (since) => {
      const { telling, version } = controller().telling(since)!;
      return { telling: { ...telling, ...coordinator.head }, version };
    },
    answers: {
      history: (query) => controller().history(query),
      documents: () => controller().documents(),
    },
    trouble: (detail) => trouble('eyes', detail),
  });
  const close = () => {
    eyes.close();
    coordinator.close();
    keys.close();
  };
  return {
    coordinator,
    eyes: knowing(eyes, coordinator),
    histories: (query) => {
      const own = controller().history(query);
      return together(peersOf(eyes), { self, others: others.map(([name]) => name) }, own, query);
    },
    close,
  };
}

type Keys = NonNullable<ReturnType<typeof buildKeys>>;

function coordinatorOf(parts: GroupParts, keys: Keys): GroupCoordinator {
  const { engine } = parts.config.group!;
  return engine.kind === 'etcd' ? etcdOf(parts, keys, engine) : kubernetesOf(parts, keys, engine);
}

type Engine<K> = Extract<NonNullable<Config['group']>['engine'], { kind: K }>;

function etcdOf(parts: GroupParts, keys: Keys, engine: Engine<'etcd'>): GroupCoordinator {
  const { config, clock } = parts;
  const { ca, identity, user, endpoints, prefix, ttlMs } = engine;
  const options: GatewayOptions = {
    endpoints,
    clock,
    ...(ca === null ? {} : { ca: fileOf('group.etcd.ca', ca) }),
    ...(identity === null
      ? {}
      : {
          cert: fileOf('group.etcd.cert', identity.cert),
          key: fileOf('group.etcd.key', identity.key),
        }),
    ...(user === null ? {} : { user: { name: user.name, password: passwordOf(user.password) } }),
  };
  return createEtcdCoordinator({
    gateway: createGateway(options),
    prefix,
    ttlMs,
    ...commonOf(parts, keys, [config.core.cluster, prefix]),
  });
}

/** By the account that the kubelet gives this pod. */
function kubernetesOf(
  parts: GroupParts,
  keys: Keys,
  { namespace, lease, documents, ttlMs }: Engine<'kubernetes'>,
): GroupCoordinator {
  const { config, clock } = parts;
  let account: KubeAccount;
  try {
    account = podAccount(environment(), namespace);
  } catch (error) {
    throw new ConfigError([`group.kubernetes: ${(error as Error).message}`]);
  }
  const scope = [config.core.cluster, 'kubernetes', account.namespace, documents.name];
  return createKubernetesCoordinator({
    api: createKubeApi(account, clock),
    lease,
    documents,
    ttlMs,
    ...commonOf(parts, keys, scope),
  });
}

/**
 * What every engine's coordinator is given; `scope`: for whom and where what is shared is sealed.
 */
function commonOf(
  { config, clock, store, trouble }: GroupParts,
  keys: Keys,
  scope: readonly string[],
) {
  const told = (detail: string) => trouble('store', detail);
  return {
    clock,
    elapsed: createElapsed(),
    replica: config.group!.self,
    seal: () => createSeal(keys.get().derive(SEAL).map(hexOf), scope),
    memory: memoryIn<Memory & KubeMemory>(store, clock, told),
    id: () => randomUUID(),
    trouble: (detail: string) => trouble('coordinator', detail),
  };
}

const SEAL = 'what the group shares, 1';

function hexOf(key: Buffer): string {
  return key.toString('hex');
}

function passwordOf(ref: SecretRef): string {
  try {
    return readSecretOf(ref);
  } catch (error) {
    throw new ConfigError([`group.etcd.password: ${(error as Error).message}`]);
  }
}

function fileOf(where: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ConfigError([`${where}: file ${path} cannot be read (${code ?? 'unknown'})`]);
  }
}

function pemsOf({
  ca,
  cert,
  key,
}: {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}) {
  return {
    ca: readFileSync(ca, 'utf8'),
    cert: readFileSync(cert, 'utf8'),
    key: readFileSync(key, 'utf8'),
  };
}

/** What this replica remembers of the group, so that it notices an engine that went back. */
function memoryIn<T>(store: Store, clock: Clock, trouble: (detail: string) => void) {
  return {
    load: () => (store.load().docs[MEMORY_KEY] as unknown as T | undefined) ?? null,
    save: (memory: unknown) => {
      try {
        const docs = [[MEMORY_KEY, memory as Json]] as const;
        store.commit({ at: clock.now(), wall: clock.wall(), entries: [], docs });
        return true;
      } catch (error) {
        trouble(error instanceof Error ? error.message : String(error));
        return false;
      }
    },
  };
}

/** What the others say of the group's head reaches the coordinator too. */
function knowing(eyes: OwnEyes, coordinator: GroupCoordinator): Eyes {
  return {
    start: (tell) =>
      eyes.start((event) => {
        if (event.kind === 'heard') {
          const { head, term, replica } = event.telling;
          coordinator.highest({ head, term }, replica);
        }
        tell(event);
      }),
    changed: () => eyes.changed(),
    call: (checks, why) => eyes.call(checks, why),
    close: () => eyes.close(),
  };
}

function peersOf(eyes: OwnEyes): Peers {
  return {
    async ask(replica, query) {
      const entries = await eyes.history(replica, query);
      if (entries === 'unanswered') return { ok: false, why: 'it has not answered' };
      return { ok: true, entries };
    },
  };
}

/** The journals of all replicas that answer, the newest first by the wall clock of each. */
export async function together(
  peers: Peers,
  names: { readonly self: string; readonly others: readonly string[] },
  own: Histories['entries'] | readonly Omit<Histories['entries'][number], 'replica'>[],
  query: HistoryQuery,
): Promise<Histories> {
  const asked = await Promise.all(
    names.others.map(async (replica) => [replica, await peers.ask(replica, query)] as const),
  );
  const entries = own.map((entry) => ({ ...entry, replica: names.self }));
  const silent: { readonly replica: string; readonly why: string }[] = [];
  for (const [replica, answer] of asked) {
    if (answer.ok) entries.push(...answer.entries.map((entry) => ({ ...entry, replica })));
    else silent.push({ replica, why: answer.why });
  }
  entries.sort((a, b) => b.wall - a.wall || (a.replica < b.replica ? -1 : 1) || b.seq - a.seq);
  return { entries: entries.slice(0, query.limit), silent };
}
