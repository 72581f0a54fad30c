// An hour in which the token services are dead, with an account for each kind of key: what `audit` says
// before, which go on, which stop and when, and what comes back. The hour is one of a clock that is
// moved by hand; the calls are real.

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { lookAtKeys } from '../../src/audit/keys.ts';
import { newRun } from '../../src/audit/run.ts';
import type { AuditFinding } from '../../src/core/audit.ts';
import type { Provider } from '../../src/kit/extend.ts';
import { recordAt } from '../audit/world.ts';
import { type KeyKind, startKeyWorld, www } from './key-world.ts';

/** How a token service dies: by the words of the lab; `auth` refuses every key. */
export type Death = '5xx' | 'reset' | 'hang' | 'refuse' | 'auth';

export interface KeyHour {
  readonly kind: KeyKind;
  /** What an audit says before anything is wrong, and just before the key ends or the hour does. */
  readonly before: AuditFinding;
  readonly during: AuditFinding;
  /** Minutes of the hour after which it stopped; null: it went on. */
  readonly stoppedMin: number | null;
  /** What its calls came to at the end of the hour. */
  readonly end: string;
  /** Whether it answers again once the token services do. */
  readonly isBack: boolean;
}

const quiet = new AbortController().signal;
const MINUTE = 60_000;

/** A session of an hour is due at 30 min: it dies a minute before that. */
const diesAtMin = 29;

export async function keyHour(kinds: readonly KeyKind[], how: Death): Promise<readonly KeyHour[]> {
  const world = await startKeyWorld();
  try {
    const { clock, awsSts, aliSts } = world;
    const accounts = kinds.map((kind) => ({ kind, provider: world.open(kind) }));
    for (const { kind, provider } of accounts) {
      const first = await read(provider);
      if (first !== 'answered') throw new Error(`${kind}: ${first}`);
    }
    const audits = () =>
      Promise.all(accounts.map(({ kind, provider }) => auditOf(kind, provider, clock)));
    const before = await audits();
    await clock.advance(diesAtMin * MINUTE);
    await Promise.all([awsSts.break(how), aliSts.break(how)]);
    await clock.advance(5 * MINUTE);
    // Who renews at half an hour has met the dead one by now.
    for (const { provider } of accounts) {
      const { lastsMs = null } = provider.key!();
      const isDue = lastsMs !== null && lastsMs < 60 * MINUTE;
      await until(() => !isDue || (provider.key!().failures ?? 0) > 0);
    }
    const during = await audits();
    const stopped = new Map<KeyKind, number>();
    let min = diesAtMin + 5;
    for (const next of [59.5, 60.5, diesAtMin + 60]) {
      await clock.advance((next - min) * MINUTE);
      min = next;
      for (const { kind, provider } of accounts) {
        const isWell = (await read(provider)) === 'answered';
        if (!isWell && !stopped.has(kind)) stopped.set(kind, Math.round(min - 0.5) - diesAtMin);
      }
    }
    const ends = await Promise.all(accounts.map(({ provider }) => read(provider)));
    await Promise.all([awsSts.heal(), aliSts.heal()]);
    const hours: KeyHour[] = [];
    for (const [i, { kind, provider }] of accounts.entries()) {
      const stoppedMin = stopped.get(kind) ?? null;
      const found = { before: before[i]!, during: during[i]! };
      const isBack = await back(provider, clock);
      hours.push({ kind, ...found, stoppedMin, end: ends[i]!, isBack });
    }
    return hours;
  } finally {
    await world.close();
  }
}

/** What goes on through an hour without a token service that begins before a renewal was due. */
const goesOn: Readonly<Record<KeyKind, boolean>> = {
  'aws static': true,
  'aws session-token': false,
  'aws profile': true,
  'aws profile with a role': false,
  'aws assume-role 1h': false,
  'aws assume-role 12h': true,
  'aws web-identity 12h': true,
  'aliyun static': true,
  'aliyun session-token': false,
  'aliyun assume-role 1h': false,
  'aliyun assume-role 12h': true,
  'aliyun web-identity 1h': false,
};

/** Throws where an hour went otherwise. */
export function holds(hour: KeyHour): void {
  const { kind, stoppedMin, before: said, during, end, isBack } = hour;
  assert.equal(stoppedMin === null, goesOn[kind], `${kind}: ${end}`);
  const isBrought = kind.endsWith('session-token');
  if (stoppedMin === null) {
    // With a dead token service the worst that is said of one that goes on is a warning.
    assert.notEqual(during.severity, 'bad', kind);
    assert.ok(isBack, kind);
    return;
  }
  // It stops when its hour is over, and not before; and an audit had said so.
  assert.equal(stoppedMin, 31, kind);
  assert.equal(said.severity, 'warn', kind);
  const short = isBrought ? /ends in 60 min/ : /goes on for 27 min at worst, less than an outage/;
  assert.match(said.sentence, short, kind);
  assert.equal(during.severity, isBrought ? 'warn' : 'bad', kind);
  // Whose trouble it is: the token service's, where one was asked.
  assert.match(end, isBrought ? /Expired/ : /^credentials: sts: /, kind);
  assert.equal(isBack, !isBrought, kind);
}

async function read(provider: Provider): Promise<string> {
  const { [www]: answer } = await provider.read([www], quiet);
  return answer?.kind === 'fault' ? answer.fault.detail : answer!.kind;
}

/** Asked each half minute, for three. */
async function back(
  provider: Provider,
  clock: { advance(ms: number): Promise<void> },
): Promise<boolean> {
  for (let s = 0; s <= 180; s += 30) {
    if ((await read(provider)) === 'answered') return true;
    const { needs, failures } = provider.key!();
    if (needs.length === 0) return false;
    await clock.advance(30_000);
    // What was asked for anew is on its way.
    const hasMoved = () => provider.key!().why === null || provider.key!().failures !== failures;
    await until(hasMoved, 100);
  }
  return false;
}

async function until(isSo: () => boolean, tries = 2000): Promise<void> {
  for (let i = 0; i < tries && !isSo(); i++) await pause(5);
}

/** What an audit finds of its key alone, origins being in the clouds of both vendors. */
async function auditOf(
  kind: KeyKind,
  provider: Provider,
  clock: { wall(): number },
): Promise<AuditFinding> {
  const cloud = kind.startsWith('aws') ? 'aws' : 'aliyun';
  const nobody = () => Promise.reject(new Error('nobody is asked'));
  const run = newRun(
    {
      records: { [www]: recordAt(www, ['it']) },
      providers: { it: provider },
      servers: nobody,
      resolver: { addresses: nobody, delegation: nobody, nameServers: nobody },
      verifier: { ask: nobody, chain: nobody } as never,
      texts: undefined as never,
      clock: { now: () => clock.wall(), wall: () => clock.wall() },
      ...{ port: 53, timeoutMs: 1000 },
      surroundings: {
        ...{ needs: [], endings: [], addresses: {}, operators: {}, regions: {} },
        clouds: { hangzhou: cloud, tokyo: 'nimbus' },
        vendorClouds: { it: cloud },
      },
    },
    quiet,
    {},
  );
  await lookAtKeys(run, new Map());
  return run.findings[0]!;
}
