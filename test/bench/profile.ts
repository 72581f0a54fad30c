// Where the processor's time of this very process goes: V8's sampling profiler for a while, summed up
// by part of the program and by function, with what the kernel says of the same while. What it samples
// it also slows down: the shares are what counts, and the cost without it is measured apart.

import { Session } from 'node:inspector/promises';
import { PerformanceObserver } from 'node:perf_hooks';

interface Node {
  readonly id: number;
  readonly callFrame: {
    readonly functionName: string;
    readonly url: string;
    readonly lineNumber: number;
  };
}

const sampleUs = 500;
const topMost = 25;

/** `src/probes`, `node`, `V8`, … */
function partOf({ callFrame: { functionName, url } }: Node): string {
  if (url.startsWith('node:')) return 'Node’s own JavaScript';
  const [, folder, file] = /\/((?:src|providers|test)\/[^/]+)(?:\/([^/]+))?$/.exec(url) ?? [];
  if (folder !== undefined) return file === undefined ? 'src/controller.ts' : folder;
  const [, name] = /\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url) ?? [];
  if (name !== undefined) return name;
  return functionName === '(garbage collector)' ? functionName : 'V8, libuv, OpenSSL, the kernel';
}

function whereOf({ callFrame: { functionName, url, lineNumber } }: Node): string {
  const place = url.replace(/^file:\/\/.*\/(?=(?:src|providers|test|node_modules)\/)/, '');
  return `${functionName || '(anonymous)'} ${place === '' ? '' : `${place}:${lineNumber + 1}`}`;
}

/** Samples for so long and says what was found, one line each. */
export async function profiled(ms: number): Promise<readonly string[]> {
  const session = new Session();
  session.connect();
  let gcMs = 0;
  const collections = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) gcMs += duration;
  });
  collections.observe({ entryTypes: ['gc'] });
  // First without the profiler: what it costs by itself, and how often it is woken.
  const [usage, from] = [process.resourceUsage(), performance.now()];
  await new Promise((resolve) => setTimeout(resolve, ms));
  const [after, tookMs] = [process.resourceUsage(), performance.now() - from];
  const [user, system] = [
    (after.userCPUTime - usage.userCPUTime) / 1000,
    (after.systemCPUTime - usage.systemCPUTime) / 1000,
  ];
  const wakes = after.voluntaryContextSwitches - usage.voluntaryContextSwitches;
  const gc = gcMs;
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: sampleUs });
  await session.post('Profiler.start');
  await new Promise((resolve) => setTimeout(resolve, ms));
  const { profile } = await session.post('Profiler.stop');
  session.disconnect();
  collections.disconnect();
  const nodes = new Map(profile.nodes.map((node) => [node.id, node as Node]));
  const parts = new Map<string, number>();
  const places = new Map<string, number>();
  let total = 0;
  const { samples = [], timeDeltas = [] } = profile;
  samples.forEach((id, i) => {
    const node = nodes.get(id)!;
    if (['(idle)', '(root)'].includes(node.callFrame.functionName)) return;
    const us = timeDeltas[i + 1] ?? 0;
    total += us;
    for (const [sums, key] of [
      [parts, partOf(node)],
      [places, whereOf(node)],
    ] as const) {
      sums.set(key, (sums.get(key) ?? 0) + us);
    }
  });
  const rows = (sums: ReadonlyMap<string, number>, most: number) =>
    [...sums]
      .sort(([, a], [, b]) => b - a)
      .slice(0, most)
      .map(([key, us]) => `${((us / total) * 100).toFixed(1).padStart(8)} %  ${key}`);
  const perSecond = (value: number) => (value / (tookMs / 1000)).toFixed(1);
  return [
    `processor: ${perSecond(user)} ms a second of the program, ${perSecond(system)} of the kernel`,
    `woken ${perSecond(wakes)} times a second; ${perSecond(gc)} ms a second of collections`,
    'by part:',
    ...rows(parts, topMost),
    'by function, itself:',
    ...rows(places, topMost),
  ];
}
