// Which authoritative servers a provider answers with for a record: as configured, else as its API
// says, remembered for an hour and, in a file, for as long as the state directory lives. During an
// outage the API that knows them may be the very thing that is down, so the last good answer is
// never thrown away; it only ever tells whom to ask, never what to believe.

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import type { Name } from '../core/model.ts';
import type { Provider } from '../kit/extend.ts';
import type { Clock } from '../ports.ts';

const FRESH_MS = 3_600_000;
const KEPT_MAX = 10_000;

const kept = z.record(z.string(), z.array(z.string()));

type Servers = (provider: string, record: Name, signal: AbortSignal) => Promise<readonly string[]>;

/** `file`: where they are kept; null: in memory alone. A file that cannot be read is made anew. */
export function createServers(options: {
  readonly providers: Readonly<Record<string, Provider>>;
  readonly configured: Readonly<Record<string, readonly string[] | null>>;
  readonly clock: Pick<Clock, 'now'>;
  readonly file: string | null;
}): Servers {
  const { providers, configured, clock, file } = options;
  const known = new Map<string, { readonly servers: readonly string[]; readonly at: number }>();
  for (const [key, servers] of Object.entries(file === null ? {} : readKept(file))) {
    known.set(key, { servers, at: Number.NEGATIVE_INFINITY });
  }
  const asking = new Map<string, Promise<readonly string[]>>();

  async function ask(provider: string, record: Name, signal: AbortSignal) {
    const key = `${provider} ${parentOf(record)}`;
    const found = await providers[provider]?.zone(record, signal);
    if (found?.ok !== true) return known.get(key)?.servers ?? [];
    const servers = found.value.nameServers;
    const isNew = JSON.stringify(known.get(key)?.servers) !== JSON.stringify(servers);
    if (known.size < KEPT_MAX) known.set(key, { servers, at: clock.now() });
    if (isNew && file !== null) keep(file, known);
    return servers;
  }

  return (provider, record, signal) => {
    const fixed = configured[provider];
    if (fixed) return Promise.resolve(fixed);
    const key = `${provider} ${parentOf(record)}`;
    const have = known.get(key);
    if (have !== undefined && clock.now() - have.at < FRESH_MS)
      return Promise.resolve(have.servers);
    // One question serves everybody who waits for it; it ends with the first one's deadline.
    const running = asking.get(key) ?? ask(provider, record, signal);
    asking.set(key, running);
    return running.finally(() => asking.delete(key));
  };
}

function parentOf(record: Name): Name {
  return record.slice(record.indexOf('.') + 1);
}

function readKept(file: string): Record<string, string[]> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return {};
  }
  try {
    return kept.parse(JSON.parse(text));
  } catch {
    return {};
  }
}

function keep(file: string, known: ReadonlyMap<string, { servers: readonly string[] }>): void {
  const all = Object.fromEntries([...known].map(([key, { servers }]) => [key, servers]));
  const fresh = `${file}.new`;
  try {
    writeFileSync(fresh, `${JSON.stringify(all, null, 1)}\n`, { mode: 0o600 });
    renameSync(fresh, file);
  } catch {
    // A cache that cannot be written costs a question later; the store reports the disk's trouble.
  }
}
