// What the TTL of each record costs at each vendor, and what a shorter one would gain: seconds that
// clients wait after an answer has changed, against queries a month and their price. It reckons with
// an assumption that it states, asks nothing, and never says that more can be kept than the vendor's
// floor allows.

import type { RecordConfig } from '../core/model.ts';
import { unrooted } from '../core/name.ts';
import type { RecordView } from '../core/view.ts';
import { type Run, recordsMax } from './run.ts';
import { type Holding, parentOf } from './vendors.ts';

/** Resolvers that are asked for the name all the time; each asks again as often as the TTL ends. */
const RESOLVERS = 1_000;
const MONTH_S = 30 * 86_400;
/** A shorter TTL that is reckoned with where no promise asks for another. */
const SHORTER_S = 30;

export function lookAtTtls(run: Run, held: readonly Holding[]): void {
  for (const record of run.all.slice(0, recordsMax)) {
    const view = run.before.status?.records.find(({ name }) => name === record.name);
    for (const place of record.publish) sayTtl(run, record, view, place, held);
  }
}

function sayTtl(
  run: Run,
  record: RecordConfig,
  view: RecordView | undefined,
  { provider, ttl }: RecordConfig['publish'][number],
  held: readonly Holding[],
): void {
  const { name, objectiveMs } = record;
  const holding = held.find((h) => h.provider === provider && h.parent === parentOf(name));
  const least = Math.max(1, holding?.facts?.ttlMin ?? 1);
  const share = shareOf(record, view, provider);
  const price = run.providers[provider]?.capabilities.queryPrice ?? null;
  const cost = (seconds: number) => inQueries(seconds, share, price);
  const at = { record: name, provider };
  const busy = `from ${RESOLVERS} resolvers that are always asked`;
  const now = `${unrooted(name)} at ${provider}: TTL ${ttl} s, ${cost(ttl)} ${busy}`;
  const room = objectiveMs === undefined ? null : roomOf(view, provider, objectiveMs);
  if (room !== null && room < ttl && room >= least) {
    const sentence = `${now}; its objective leaves ${room} s for it`;
    const cure = `publish it there with ttl: ${room} (${cost(room)})`;
    return run.warn(at, 'ttl-cost', sentence, cure);
  }
  const shorter = Math.max(least, Math.min(SHORTER_S, Math.floor(ttl / 2)));
  if (shorter >= ttl) {
    const floor = least > 1 ? `, and the vendor takes no less than ${least} s` : '';
    return run.good(at, 'ttl-cost', `${now}${floor}`);
  }
  const gain = `clients follow up to ${ttl - shorter} s sooner, ${(ttl - shorter) / 2} s on average`;
  const advice = `with ${shorter} s ${gain}, for ${cost(shorter)}`;
  run.good(at, 'ttl-cost', `${now}; ${advice}; \`detour prepare\` has it for a planned move alone`);
}

/** Resolvers choose among name servers, so a provider's share of those is its share of queries. */
function shareOf(
  { publish }: RecordConfig,
  view: RecordView | undefined,
  provider: string,
): number {
  const known = view?.providers.find((p) => p.provider === provider)?.share ?? null;
  return known ?? 1 / Math.max(1, publish.length);
}

/** Seconds that the rest of a switch leaves for the TTL; null: nothing is predicted there. */
function roomOf(
  view: RecordView | undefined,
  provider: string,
  objectiveMs: number,
): number | null {
  const part = view?.predicted?.parts.find((p) => p.provider === provider);
  if (part === undefined) return null;
  const { detectMs, commitMs, writeMs, visibleMs } = part;
  return Math.floor((objectiveMs - detectMs - commitMs - writeMs - visibleMs) / 1000);
}

/** `14 million queries a month (6 USD)`: by the vendor's public price, at its first tier. */
function inQueries(
  ttl: number,
  share: number,
  price: { readonly usdPerMillion: number } | null,
): string {
  const millions = (RESOLVERS * MONTH_S * share) / Math.max(1, ttl) / 1e6;
  const queries = `${rounded(millions)} million queries a month`;
  if (price === null) return queries;
  return `${queries} (${rounded(millions * price.usdPerMillion)} USD)`;
}

function rounded(amount: number): number {
  return amount >= 10 ? Math.round(amount) : Number(amount.toFixed(1));
}
