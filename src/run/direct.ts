// `detour switch --direct`: the way out with the daemon dead, the store gone and any one vendor out
// of reach (design, rule 23). It reads every provider, takes the next epoch as an operator, writes
// with the same planner as the daemon, and asks DNS until the answer is there. It never falls below
// an epoch it has seen and never writes what the daemon would refuse to own, except by --force.

import { randomBytes } from 'node:crypto';
import type { DirectOrder } from '../cli/hands.ts';
import type { Config } from '../config/config.ts';
import { type Adapters, closeAll } from '../controller.ts';
import { formatMarker, parseMarker } from '../core/marker.ts';
import type { Fault, Json, Marker, Name, RecordConfig, Reply, Seen } from '../core/model.ts';
import { adoption, plan, type Standing, standing } from '../core/plan.ts';
import { toName } from '../kit/schema.ts';
import { buildAdapters, ConfigError, loadConfig } from './build.ts';
import { createClock } from './clock.ts';

const READ_MS = 6_000;
const WRITE_MS = 8_000;
const VISIBLE_MS = 30_000;

interface Found {
  readonly provider: string;
  readonly ttl: number;
  readonly seen: Seen | null;
  readonly standing: Standing | null;
  readonly fault: Fault | null;
  /** Highest epoch of ours that its DNS gives, for when the API does not answer. */
  readonly dnsEpoch: number;
}

/** Carries out one order; `tell` takes a line as each thing happens. */
export async function switchDirectly(
  order: DirectOrder,
  tell: (line: string) => void,
): Promise<Reply> {
  let config: Config;
  let adapters: Adapters;
  try {
    ({ config } = await loadConfig(order.configPath));
    adapters = buildAdapters(config, createClock(0), { remember: false });
  } catch (error) {
    if (error instanceof ConfigError) return { exit: 2, message: error.message };
    throw error;
  }
  try {
    const record = config.core.records[toName(order.record) ?? ''];
    if (record === undefined) {
      const known = Object.keys(config.core.records).join(', ');
      return { exit: 2, message: `${order.record} is not configured: one of ${known}` };
    }
    return await carryOut(order, config, record, adapters, tell);
  } finally {
    closeAll(adapters);
  }
}

async function carryOut(
  order: DirectOrder,
  config: Config,
  record: RecordConfig,
  adapters: Adapters,
  tell: (line: string) => void,
): Promise<Reply> {
  const target = record.targets.find((t) => t.origin === order.target);
  if (target === undefined) {
    const known = record.targets.map((t) => t.origin).join(', ');
    return { exit: 2, message: `${order.target} is no target of ${record.name}: one of ${known}` };
  }
  const sick = await probeOnce(config, adapters, order.target, tell);
  if (sick !== null && !order.force) {
    const message = `${order.target} does not pass its check (${sick}): give --force to go there`;
    return { exit: 1, message };
  }
  const cluster = config.core.cluster;
  const found = await Promise.all(
    record.publish.map((p) => look(cluster, record, p.provider, p.ttl, adapters)),
  );
  for (const f of found) if (f.fault !== null) tell(`${f.provider}: ${f.fault.detail}`);
  const refusal = order.force ? null : ownership(record, found);
  if (refusal !== null) return { exit: 1, message: refusal };
  const marker = markerFor(order, cluster, found);
  if (order.dryRun) return dryRun(order, record, target.cname, found, marker);
  tell(`epoch ${marker.epoch} decided`);
  const done = await Promise.all(
    found.map((f) => move(cluster, record, target.cname, f, marker, order, adapters, tell)),
  );
  const behind = found.filter((_, i) => !done[i]).map((f) => f.provider);
  const detail: Json = { epoch: marker.epoch, id: marker.id, behind };
  if (behind.length === 0) {
    const message = `${record.name} is visible on ${order.target} everywhere`;
    return { exit: 0, message, detail };
  }
  const message =
    `${record.name}: ${behind.join(', ')} did not follow; the others are on ${order.target}. ` +
    'Run the same command again, or let the daemon bring the rest along';
  return { exit: behind.length === found.length ? 1 : 3, message, detail };
}

/** Every required check of an origin, once; null when all pass. */
async function probeOnce(
  config: Config,
  adapters: Adapters,
  origin: string,
  tell: (line: string) => void,
): Promise<string | null> {
  const checks = config.core.origins[origin]?.checks.map((id) => config.core.checks[id]!) ?? [];
  const required = checks.filter((c) => !c.advisory);
  const asked = required.map(async (check) => {
    const signal = AbortSignal.timeout(check.timeoutMs + 1000);
    const result = await adapters.prober.probe(check.id, check.paths[0]!, signal);
    tell(`${check.id}: ${result.outcome} (${result.detail})`);
    return result.outcome === 'pass' ? null : `${check.id}: ${result.detail}`;
  });
  return (await Promise.all(asked)).find((x) => x !== null) ?? null;
}

async function look(
  cluster: string,
  record: RecordConfig,
  provider: string,
  ttl: number,
  adapters: Adapters,
): Promise<Found> {
  const signal = AbortSignal.timeout(READ_MS);
  const [read, answers] = await Promise.all([
    adapters.providers[provider]!.read([record.name], signal),
    adapters.verifier.ask(provider, record.name, { marker: true }, signal),
  ]);
  const texts = answers.flatMap((a) => a.markers ?? []);
  const markers = texts.map(parseMarker).filter((m) => m?.cluster === cluster);
  const dnsEpoch = Math.max(0, ...markers.map((m) => m?.epoch ?? 0));
  const seen = read.ok ? (read.value[record.name] ?? null) : null;
  return {
    provider,
    ttl,
    seen,
    standing: seen === null ? null : standing(cluster, record, seen),
    fault: read.ok ? null : read.fault,
    dnsEpoch,
  };
}

/** Why this record is not ours to move; null when it is (rule 4). */
function ownership(record: RecordConfig, found: readonly Found[]): string | null {
  if (found.some((f) => f.dnsEpoch > 0)) return null;
  const standings = Object.fromEntries(found.map((f) => [f.provider, f.standing]));
  const a = adoption(record, standings);
  return a.kind === 'wait' ? `${record.name}: ${a.sentence} (or give --force)` : null;
}

function markerFor(order: DirectOrder, cluster: string, found: readonly Found[]): Marker {
  const ours = found.flatMap((f) => (f.standing?.kind === 'ours' ? [f.standing.marker] : []));
  const highest = Math.max(0, ...ours.map((m) => m.epoch), ...found.map((f) => f.dnsEpoch));
  return {
    cluster,
    epoch: highest + 1,
    id: randomBytes(8).toString('hex'),
    term: 0,
    kind: 'operator',
    target: order.target,
    pinned: true,
    untilWall: order.forMs === null ? null : Date.now() + order.forMs,
  };
}

function dryRun(
  order: DirectOrder,
  record: RecordConfig,
  cname: Name,
  found: readonly Found[],
  marker: Marker,
): Reply {
  const detail = found.map((f) => ({
    provider: f.provider,
    from: f.seen?.cnames[0]?.value ?? null,
    to: cname,
    ttl: f.ttl,
    problem: f.fault?.detail ?? null,
  }));
  const message = `would switch ${record.name} to ${order.target} with epoch ${marker.epoch}`;
  return { exit: 0, message, detail: { epoch: marker.epoch, plan: detail } };
}

/** Writes one provider and waits until it is visible; false when it did not follow. */
async function move(
  cluster: string,
  record: RecordConfig,
  cname: Name,
  first: Found,
  marker: Marker,
  order: DirectOrder,
  adapters: Adapters,
  tell: (line: string) => void,
): Promise<boolean> {
  const startedAt = performance.now();
  const since = () => `${Math.round(performance.now() - startedAt)} ms`;
  let f = first;
  // A conflict or a lost reply is read back and planned anew, at most twice.
  for (let attempt = 1; attempt <= 3; attempt++) {
    if (attempt > 1) f = await look(cluster, record, f.provider, f.ttl, adapters);
    if (f.seen === null || f.standing === null) {
      tell(`${f.provider}: cannot be read: ${f.fault?.detail ?? 'no answer'}`);
      continue;
    }
    const wanted = {
      cname,
      ttl: f.ttl,
      marker,
      claim: order.force ? ('any' as const) : ('configured' as const),
      keepTtl: false,
    };
    const p = plan(record, f.seen, f.standing, wanted);
    if (p.kind === 'in-step') {
      tell(`${f.provider}: written after ${since()}`);
      return becomesVisible(record, cname, f.provider, adapters, tell, since);
    }
    if (p.kind !== 'write') {
      tell(`${f.provider}: refused: ${'sentence' in p ? p.sentence : `epoch ${p.marker.epoch}`}`);
      return false;
    }
    const signal = AbortSignal.timeout(WRITE_MS);
    const [result] = await adapters.providers[f.provider]!.write([p.change], signal);
    if (result?.ok) {
      tell(`${f.provider}: written after ${since()} (${formatMarker(marker).slice(0, 40)}…)`);
      return becomesVisible(record, cname, f.provider, adapters, tell, since);
    }
    tell(`${f.provider}: ${result?.fault.kind ?? 'uncertain'}: ${result?.fault.detail ?? ''}`);
    if (result?.fault.kind === 'rejected') return false;
  }
  return false;
}

async function becomesVisible(
  record: RecordConfig,
  cname: Name,
  provider: string,
  adapters: Adapters,
  tell: (line: string) => void,
  since: () => string,
): Promise<boolean> {
  const deadline = AbortSignal.timeout(VISIBLE_MS);
  for (let waitMs = 50; !deadline.aborted; waitMs = Math.min(1000, waitMs * 1.6)) {
    const { verifier } = adapters;
    const answers = await verifier.ask(provider, record.name, { marker: false }, deadline);
    if (answers.every((a) => a.answer.kind === 'cname' && a.answer.value === cname)) {
      tell(`${provider}: visible after ${since()} (${answers.length} servers)`);
      return true;
    }
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
  tell(`${provider}: written, and not every server gives it after ${since()}`);
  return false;
}
