// What each vendor's key leans on: who must answer before it can be used or renewed, whether that one
// falls with a cloud that the origins are to leave, and when what is held now runs out. It must never
// ask a token service by itself, and never see a key: it reads what the provider says of it.

import type { KeyFacts } from '../kit/extend.ts';
import { type Addresses, cloudsOf, guardedOf } from './leaning.ts';
import { addressesOf, type Run, spell } from './run.ts';

/** An outage to get through: that of 2023-11-12, in milliseconds. */
const OUTAGE_MS = 3.5 * 3_600_000;

export async function lookAtKeys(run: Run, targets: Addresses): Promise<void> {
  const guarded = guardedOf(run, targets);
  const used = new Set(run.all.flatMap(({ publish }) => publish.map(({ provider }) => provider)));
  for (const provider of used) {
    const facts = run.providers[provider]?.key?.();
    if (facts === undefined || run.signal.aborted) continue;
    const leans: string[] = [];
    for (const host of facts.needs) {
      const cloud = run.around.vendorClouds[provider] ?? null;
      const needed = { what: host, kind: 'key', host, cloud, enough: null };
      const found = cloudsOf(needed, await addressesOf(run, host), guarded);
      for (const [name, how] of found) leans.push(`${host} of ${name} (${how})`);
    }
    sayKey(run, provider, facts, leans);
  }
}

/** `leans`: its token services that fall with a guarded cloud. */
function sayKey(run: Run, provider: string, facts: KeyFacts, leans: readonly string[]): void {
  const { kind, needs, untilAt, why, lastsMs = null } = facts;
  const at = { provider };
  const who = `the key of ${provider} (${kind})`;
  const leftMs = untilAt === null ? null : untilAt - run.clock.wall();
  const ends = leftMs === null ? '' : endsIn(leftMs);
  if (why !== null) {
    const isSoon = leftMs === null || leftMs < OUTAGE_MS;
    const held = leftMs === null ? (needs.length > 0 ? ', and none is held' : '') : `; ${ends}`;
    const cure = 'see what it answers; keys that end later, or a static one, outlast it';
    run[isSoon ? 'bad' : 'warn'](at, 'key', `${who} could not be renewed${held}: ${why}`, cure);
  }
  const regions = regionsIn(run, needs);
  if (leans.length > 0 || (lastsMs !== null && lastsMs < OUTAGE_MS) || regions.length > 0) {
    const asks =
      leans.length > 0
        ? `${who} is renewed by ${leans.join(', ')}, which Detour guards`
        : `${who} is renewed by ${needs.join(', ')}`;
    const where = regions.length > 0 ? `, in ${regions.join(' and in ')}` : '';
    const lasts =
      lastsMs === null ? '' : `: without it, it goes on for ${spellMs(lastsMs)} at worst`;
    const isShort = lastsMs !== null && lastsMs < OUTAGE_MS;
    const short = isShort ? `, less than an outage of ${spellMs(OUTAGE_MS)}` : '';
    const cure = isShort
      ? 'let a session last longer (`duration`, and what the role allows), or use a static key'
      : 'use a static key, which asks nobody, or a token service elsewhere';
    run.warn(at, 'key', `${asks}${where}${lasts}${short}`, cure);
    return;
  }
  if (why !== null) return;
  if (needs.length > 0) {
    const held = leftMs === null ? 'none is held yet' : ends;
    const sentence = `${who} is renewed by ${needs.join(', ')}; ${held}`;
    if (leftMs === null) run.unknown(at, 'key', sentence);
    else run.good(at, 'key', `${sentence}, and it outlasts an outage of ${spellMs(OUTAGE_MS)}`);
  } else if (leftMs !== null) {
    const cure = 'see that whoever brings the next one does so long before this one ends';
    const sentence = `${who} is brought by somebody else; ${ends}`;
    if (leftMs <= 0) run.bad(at, 'key', sentence, cure);
    else if (leftMs < OUTAGE_MS) run.warn(at, 'key', sentence, cure);
    else run.good(at, 'key', sentence);
  } else if (kind === 'session-token') {
    const cure = 'give it as one JSON text with `expiration`: docs/keys.md';
    run.warn(at, 'key', `when ${who} ends is not known`, cure);
  } else run.good(at, 'key', `${who} needs nobody: requests are signed here`);
}

/** Regions that take a token service with them: of targets, and of a vendor's own control plane. */
function regionsIn(run: Run, needs: readonly string[]): readonly string[] {
  const led = run.all.flatMap(({ targets }) => targets.map(({ origin }) => origin));
  const regions = new Set(led.flatMap((origin) => run.around.regions[origin] ?? []));
  return needs.flatMap((host) => [
    ...[...regions]
      .filter((region) => host.split('.').includes(region))
      .map((r) => `${r} as targets`),
    ...(/^sts(?:\.us-east-1)?\.amazonaws\.com$/.test(host)
      ? ["the region of Route 53's own control plane"]
      : []),
  ]);
}

function endsIn(leftMs: number): string {
  if (leftMs <= 0) return `what is held ended ${spellMs(-leftMs)} ago`;
  return `what is held ends in ${spellMs(leftMs)}`;
}

function spellMs(ms: number): string {
  return spell(ms / 1000);
}
