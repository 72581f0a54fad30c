// The daemon of `npm run bench:size`: the built program, as `detour run` is, and a watch on the turns
// of its loop that answers over the channel. It adds nothing else to the process.

import { constants, PerformanceObserver } from 'node:perf_hooks';
import { main as program } from '../parts/program.ts';

/** Of the daemon's loop, since it was last asked. */
export interface Turns {
  /** The longest turn: by the wall, and in processor time of this thread alone. */
  readonly wallMs: number;
  readonly ownMs: number;
  /** The longest full collection in it. */
  readonly fullMs: number;
}

const beatMs = 2;
const none = { wallMs: 0, ownMs: 0, fullMs: 0 };
let longest = { ...none };
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    const { detail, duration } = entry as typeof entry & { readonly detail: { kind: number } };
    if (detail.kind !== constants.NODE_PERFORMANCE_GC_MAJOR) continue;
    longest.fullMs = Math.max(longest.fullMs, duration);
  }
}).observe({ entryTypes: ['gc'] });
const here = () => ({ at: performance.now(), cpu: process.threadCpuUsage() });
let last = here();
setInterval(() => {
  const wallMs = performance.now() - last.at;
  const { user, system } = process.threadCpuUsage(last.cpu);
  longest = {
    ...longest,
    wallMs: Math.max(longest.wallMs, wallMs - beatMs),
    ownMs: Math.max(longest.ownMs, Math.min(wallMs, (user + system) / 1000)),
  };
  last = here();
}, beatMs).unref();
process.on('message', () => {
  process.send!(longest);
  longest = { ...none };
});
process.channel!.unref();
process.argv = [process.argv[0]!, program, 'run', '-c', process.argv[2]!, '--json'];
await import(program);
