// Is the way out really open? Looks at everything a switch will lean on while nothing is wrong: each
// provider's keys and zones, the delegation above them, what their servers give, how long caches
// keep it, signatures, the names that users type, whether targets serve them, and what Detour itself
// needs. It only ever asks (a preflight's write changes nothing), decides nothing, and stays within
// its bounds. What cannot be seen now, because a vendor is down, keeps the value it had: the facts of
// yesterday are worth most during the outage.

import { type AuditReport, gradesOf, worstFirst } from '../core/audit.ts';
import type { Name, Survey } from '../core/model.ts';
import { lookAtCompany } from './company.ts';
import { lookAtZones, type ZoneLook, zoneOf } from './delegation.ts';
import { lookAtEnds } from './ends.ts';
import { lookAtFanIn } from './fan-in.ts';
import { lookAtKeys } from './keys.ts';
import { lookAtNeeds, lookAtTargets } from './leaning.ts';
import { lookAtNames } from './names.ts';
import { lookAtObjectives } from './objective.ts';
import { lookAtOwnDns } from './own-dns.ts';
import { lookAtChecks, lookAtDrills } from './practice.ts';
import { lookAtRecords } from './records.ts';
import { type AuditorOptions, type Before, newRun, type Run } from './run.ts';
import { lookAtStandbys } from './standby.ts';
import { lookAtTtls } from './ttl.ts';
import { type Holding, lookAtProviders, parentOf } from './vendors.ts';

export interface Auditor {
  /** Looks at everything once. Rejects only for a fault of Detour's own. */
  audit(signal: AbortSignal, before?: Before): Promise<AuditReport>;
}

const limitMs = 60_000;

/** See AuditorOptions; asks nothing until `audit` is called. */
export function createAuditor(options: AuditorOptions): Auditor {
  return {
    async audit(signal, before = {}) {
      const { clock } = options;
      const [startedAt, wall] = [clock.now(), clock.wall()];
      const limit = AbortSignal.any([signal, AbortSignal.timeout(options.limitMs ?? limitMs)]);
      const run = newRun(options, limit, before);
      const held = await lookAtProviders(run);
      const zones = await lookAtZones(run, held);
      await lookAtRecords(run, zones, held);
      lookAtTtls(run, held);
      await lookAtNames(run);
      const addresses = await lookAtTargets(run, zones);
      const standbys = await lookAtStandbys(run, addresses);
      await lookAtNeeds(run, addresses);
      await lookAtKeys(run, addresses);
      lookAtOwnDns(run, zones, held);
      await lookAtCompany(run, zones);
      lookAtEnds(run);
      lookAtFanIn(run);
      lookAtChecks(run);
      lookAtDrills(run);
      for (const one of before.status ? lookAtObjectives(before.status) : []) run.add(one);
      if (limit.aborted) run.cut('it ran out of time, and what is missing was not looked at');
      const surveys = surveysOf(run, held, zones);
      return {
        wall,
        tookMs: Math.round(clock.now() - startedAt),
        complete: run.complete,
        grades: gradesOf(run.findings),
        findings: worstFirst(run.findings),
        surveys,
        standbys,
      };
    },
  };
}

/** What the engine is told of the zones. */
function surveysOf(
  run: Run,
  held: readonly Holding[],
  zones: ReadonlyMap<Name, ZoneLook>,
): readonly Survey[] {
  const zoneAt = new Map(held.map((h) => [`${h.provider} ${h.parent}`, zoneOf(h, held)]));
  const key = (s: Pick<Survey, 'provider' | 'record'>) => `${s.provider} ${s.record}`;
  const before = new Map((run.before.previous?.surveys ?? []).map((s) => [key(s), s]));
  return run.all.flatMap(({ name: record, publish }) =>
    publish.map(({ provider }): Survey => {
      const zone = zoneAt.get(`${provider} ${parentOf(record)}`) ?? null;
      const look = zone === null ? undefined : zones.get(zone);
      const known = before.get(key({ provider, record }));
      const bar = look?.bars.get(provider);
      return {
        provider,
        record,
        share: look?.shares.get(provider) ?? known?.share ?? null,
        parentTtl: look?.parentTtl ?? known?.parentTtl ?? null,
        negativeTtl: look?.spoken.get(provider)?.negativeTtl ?? known?.negativeTtl ?? null,
        bar: bar === undefined ? (known?.bar ?? null) : bar,
      };
    }),
  );
}
