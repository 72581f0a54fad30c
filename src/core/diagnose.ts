// Reads the blast radius of a cloud's failure, as a person would: which of its machines, signed
// services and APIs answer, in how many of its regions. One word of a closed list and one English
// sentence with the evidence. It moves nothing: a diagnosis ranks targets and tells people.

import type { Diagnosis, Health, Plane, Verdict } from './model.ts';
import { listOf } from './name.ts';

export interface CloudFacts {
  readonly cloud: string;
  readonly origins: readonly {
    readonly name: string;
    readonly region: string | null;
    /** By its own checks alone, without the services it needs. */
    readonly machine: Health;
    /** Some groups say up and some say down. */
    readonly disputed: boolean;
  }[];
  readonly services: readonly {
    readonly id: string;
    readonly plane: Plane;
    readonly region: string | null;
    readonly verdict: Verdict;
  }[];
  /** Groups of paths that can see something, of those that have a vote on this cloud. */
  readonly sighted: number;
  readonly groups: number;
}

export interface Diagnosed {
  readonly word: Diagnosis;
  readonly sentence: string;
  /** Regions that fail as a whole; all of the cloud's with `cloud-down`. */
  readonly regions: readonly string[];
}

export function diagnose(f: CloudFacts): Diagnosed {
  const say = (word: Diagnosis, text: string, regions: readonly string[] = []): Diagnosed => ({
    word,
    sentence: `${f.cloud}: ${text}`,
    regions,
  });
  const paths = `over ${f.sighted} of ${f.groups} independent paths`;
  if (f.groups > 0 && f.sighted === 0) return say('blind', 'no path can see anything');
  const down = f.origins.filter((o) => o.machine === 'down');
  const up = f.origins.filter((o) => o.machine === 'up');
  const regions = new Map<string, { down: number; total: number }>();
  for (const o of f.origins) {
    const r = regions.get(o.region ?? '') ?? { down: 0, total: 0 };
    regions.set(o.region ?? '', {
      down: r.down + (o.machine === 'down' ? 1 : 0),
      total: r.total + 1,
    });
  }
  const dead = [...regions].filter(([, r]) => r.down === r.total && r.down > 0);
  const names = dead.map(([name]) => name).filter((name) => name !== '');
  const tally = `${down.length} of ${f.origins.length} origins fail ${paths}`;
  const everywhere = dead.length === regions.size && (regions.size > 1 || down.length > 1);
  if (down.length > 0 && (everywhere || dead.length > 1)) {
    const where = `${dead.length} of ${regions.size} regions`;
    return say('cloud-down', `${tally}, ${where} wholly: the cloud`, [...regions.keys()]);
  }
  const region = dead.find(([, r]) => r.total > 1);
  if (region !== undefined) {
    const rest = up.length > 0 ? `, ${up.length} elsewhere answer` : '';
    return say('region-down', `${tally}${rest}: region ${region[0]}`, names);
  }
  if (down.length > 0) {
    return say('origin-down', `${tally}: ${listOf(down.map((o) => o.name))}`);
  }
  return services(f, paths, up.length, say);
}

function services(
  f: CloudFacts,
  paths: string,
  machinesUp: number,
  say: (word: Diagnosis, text: string) => Diagnosed,
): Diagnosed {
  const of = (plane: Plane) => f.services.filter((s) => s.plane === plane);
  const fails = (plane: Plane) => of(plane).filter((s) => s.verdict === 'down');
  const answer = `while ${machinesUp} of ${f.origins.length} machines answer`;
  const places = (list: readonly { region: string | null; id: string }[]) =>
    new Set(list.map((s) => s.region ?? s.id)).size;
  if (fails('resource').length > 0) {
    const [bad, all] = [fails('resource').length, of('resource').length];
    return say('origin-down', `${bad} of ${all} resource checks fail ${paths} ${answer}`);
  }
  if (fails('service').length > 0) {
    const where = `${places(fails('service'))} of ${places(of('service'))} regions`;
    const text = `signed requests fail in ${where} ${paths} ${answer}: authentication`;
    return say('auth-down', text);
  }
  if (fails('control').length > 0) {
    const [bad, all] = [fails('control').length, of('control').length];
    const text = `${bad} of ${all} control checks fail ${paths} ${answer}: its control plane`;
    return say('control-plane-down', text);
  }
  const disputed = f.origins.filter((o) => o.disputed).map((o) => o.name);
  if (disputed.length > 0) {
    return say('paths-disagree', `the paths disagree about ${listOf(disputed)}`);
  }
  return say('healthy', `${machinesUp} of ${f.origins.length} origins answer`);
}
