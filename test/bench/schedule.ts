// `node test/bench/schedule.ts`: 1,000 checks over 3 paths, each every 5 s (600 probes a second),
// by the real prober against an HTTP server in a process of its own on loopback, for half a minute.
// Prints how late probes began, what they cost, and exits with 1 when they cannot keep to their
// schedule. The figures are this machine's; the load is bounded by the schedule.

import { fork } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import type { PathSpec } from '../../src/kit/extend.ts';
import { checkTypes, createProber } from '../../src/probes/index.ts';

const { values } = parseArgs({
  options: {
    checks: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '30' },
    serve: { type: 'boolean', default: false },
  },
});
const INTERVAL_MS = 5000;
const LATE_MS = 100;

if (values.serve) {
  const server = createServer((_, response) => response.end('well'));
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
  // The other end of the channel is gone when the bench ends, however it ends.
  process.on('disconnect', () => process.exit());
} else {
  const child = fork(import.meta.filename, ['--serve']);
  try {
    const port = await new Promise<number>((resolve) =>
      child.once('message', (message) => resolve(Number(message))),
    );
    process.exitCode = await measure(port, Number(values.checks), Number(values.seconds));
  } finally {
    child.disconnect();
  }
}

async function measure(port: number, checks: number, seconds: number): Promise<number> {
  const paths = Object.fromEntries(
    ['127.0.0.2', '127.0.0.3', '127.0.0.4'].map((localAddress, i): [string, PathSpec] => {
      const name = `line-${i}`;
      return [name, { name, kind: 'direct', resolver: null, localAddress }];
    }),
  );
  const settings = (id: number) =>
    checkTypes['http']!.settings.parse({
      http: `http://127.0.0.1:${port}/${id}`,
      expect: { body: { text: 'well' } },
    });
  const probes = Object.fromEntries(
    Array.from({ length: checks }, (_, i) => [
      `o${i}/web`,
      { kind: 'http', settings: settings(i), timeoutMs: 2000 },
    ]),
  );
  const prober = createProber(probes, paths);
  const pairs = Object.keys(probes).flatMap((id) =>
    Object.keys(paths).map((p) => [id, p] as const),
  );
  const lateMs: number[] = [];
  const tookMs: number[] = [];
  const results: Record<string, number> = {};
  let most = 0;
  const one = async (id: string, path: string) => {
    const begin = performance.now();
    const { outcome, reason } = await prober.probe(id, path, new AbortController().signal);
    tookMs.push(performance.now() - begin);
    results[`${outcome} ${reason}`] = (results[`${outcome} ${reason}`] ?? 0) + 1;
  };
  const beginAt = performance.now() + 200;
  const rounds = Math.max(1, Math.round((seconds * 1000) / INTERVAL_MS));
  const cpuBefore = process.cpuUsage();
  const running: Promise<void>[] = [];
  for (let n = 0; n < rounds * pairs.length; n++) {
    const dueAt = beginAt + (n * INTERVAL_MS) / pairs.length;
    const waitMs = dueAt - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    lateMs.push(Math.max(0, performance.now() - dueAt));
    const [id, path] = pairs[n % pairs.length]!;
    running.push(one(id, path));
    most = Math.max(most, prober.inFlight());
  }
  const wallMs = performance.now() - beginAt;
  const cpu = process.cpuUsage(cpuBefore);
  await Promise.all(running);
  prober.close();
  return report({ lateMs, tookMs, results, most, wallMs, cpuMs: (cpu.user + cpu.system) / 1000 });
}

function report(seen: {
  readonly lateMs: number[];
  readonly tookMs: number[];
  readonly results: Readonly<Record<string, number>>;
  readonly most: number;
  readonly wallMs: number;
  readonly cpuMs: number;
}): number {
  const at = (values: number[], share: number) =>
    values.toSorted((a, b) => a - b)[
      Math.min(values.length - 1, Math.floor(values.length * share))
    ]!;
  const line = (values: number[]) =>
    [0.5, 0.99, 1].map((share) => at(values, share).toFixed(1)).join(' / ');
  const count = seen.lateMs.length;
  const memory = process.memoryUsage();
  const mib = (bytes: number) => `${Math.round(bytes / 1_048_576)} MiB`;
  console.log(`machine            ${cpus().length} x ${cpus()[0]?.model}, node ${process.version}`);
  console.log(`probes             ${count}, ${(count / (seen.wallMs / 1000)).toFixed(0)} a second`);
  console.log(`late, ms           ${line(seen.lateMs)} (median / p99 / most)`);
  console.log(`took, ms           ${line(seen.tookMs)} (median / p99 / most)`);
  console.log(`under way at most  ${seen.most}`);
  console.log(`processor          ${((seen.cpuMs / seen.wallMs) * 100).toFixed(0)} % of one core`);
  console.log(`a probe            ${(seen.cpuMs / count).toFixed(2)} ms of processor time`);
  console.log(`memory             ${mib(memory.rss)} resident, ${mib(memory.heapUsed)} heap`);
  console.log(`results            ${JSON.stringify(seen.results)}`);
  const isOnTime = at(seen.lateMs, 0.99) < LATE_MS;
  if (!isOnTime) console.log(`too late: the p99 is ${LATE_MS} ms or more`);
  return isOnTime && seen.results['pass ok'] === count ? 0 : 1;
}
