// The channels of a configuration, looked at and tried by hand, without the daemon: each is told of
// something that opens and, once that has got through, that it is over. It waits for nobody longer
// than a channel may take, tries nothing twice, and touches no record.

import { randomUUID } from 'node:crypto';
import { CliError, type ListedChannel, type TriedChannel } from '../cli/hands.ts';
import { noticeSeverities } from '../core/model.ts';
import { meant } from '../core/name.ts';
import type { Told } from '../kit/extend.ts';
import type { ChannelSpec } from '../notify/channels.ts';
import { channelSpecs, loadConfig } from './build.ts';
import { createClock } from './clock.ts';

const attemptMs = 30_000;

export async function listChannels(
  configPath: string,
  replica: string | null,
): Promise<readonly ListedChannel[]> {
  const { config } = await loadConfig(configPath, { replica });
  const { notify, channels } = config;
  const all = Object.entries(channels).map(([name, { type, severity, records, quietMs }]) => ({
    ...{ name, type, severity, records, quietMs },
  }));
  const everything = { severity: noticeSeverities, records: null, quietMs: 0 };
  return notify === null ? all : [{ name: 'notify', type: notify.type, ...everything }, ...all];
}

/** All at once, each in its own time. Throws CliError for a name that is none. */
export async function tryChannels(
  configPath: string,
  typed: string | null,
  replica: string | null,
): Promise<readonly TriedChannel[]> {
  const { config } = await loadConfig(configPath, { replica });
  const clock = createClock(0);
  const specs = channelSpecs(config, clock);
  const known = specs.map(({ name }) => name);
  const found = typed === null ? null : meant('channel', typed, known);
  if (found !== null && !found.ok) throw new CliError(2, found.sentence);
  const wanted = found === null ? specs : specs.filter(({ name }) => name === found.name);
  if (wanted.length === 0) throw new CliError(2, 'no channel is configured: docs/channels.md');
  const { cluster } = config.core;
  const tried = await Promise.all(wanted.map((spec) => tryOne(spec, cluster, clock.wall())));
  return tried.flat();
}

async function tryOne(
  spec: ChannelSpec,
  cluster: string,
  wall: number,
): Promise<readonly TriedChannel[]> {
  const opened = await tellOnce(spec, testOf(spec, cluster, wall, 'open'));
  if (opened.why !== null) return [opened];
  return [opened, await tellOnce(spec, testOf(spec, cluster, wall, 'closed'))];
}

async function tellOnce({ name, notifier }: ChannelSpec, told: Told): Promise<TriedChannel> {
  const begin = performance.now();
  const late = `it did not end within ${attemptMs / 1000} s`;
  const signal = AbortSignal.timeout(attemptMs);
  const { promise, resolve } = Promise.withResolvers<string>();
  signal.addEventListener('abort', () => resolve(late), { once: true });
  const ended = notifier.notify(told, signal).then(
    () => null,
    (error: unknown) => (error instanceof Error ? error.message : late),
  );
  const why = await Promise.race([ended, promise]);
  const ms = Math.round(performance.now() - begin);
  return { channel: name, state: told.state === 'open' ? 'open' : 'closed', ms, why };
}

/** Of the least severity that the channel takes: it is a test. */
function testOf(
  { name, rule }: ChannelSpec,
  cluster: string,
  wall: number,
  state: 'open' | 'closed',
): Told {
  const severity = noticeSeverities.findLast((one) => rule.severity.includes(one)) ?? 'info';
  const time = new Date(wall).toISOString();
  const key = `test/${name}`;
  return {
    kind: state === 'open' ? 'needs-person' : 'recovered',
    key,
    state,
    severity,
    record: null,
    sentence:
      state === 'open'
        ? `a test of channel ${name}: nothing is wrong, and nobody need do anything`
        : `the test of channel ${name} is over`,
    data: { test: true },
    id: `msg_${randomUUID()}`,
    dedup: `${cluster}/${key}`,
    cluster,
    time,
    since: time,
    explain: 'detour channels',
    link: null,
    approve: null,
    reject: null,
  };
}
