// `npm run bench:size`: how large a machine Detour wants. For each number of records the built daemon
// runs before the lab's vendors with two origins of its own a record, by the default policy, on an
// empty store. It prints the time until every record is adopted, then of a calm half minute the
// processor, the memory, the exposition and the store. It judges nothing, and never leaves a process or
// a file behind.

import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { parse, stringify } from 'yaml';
import type { RecordView } from '../../src/core/view.ts';
import { status } from '../parts/daemon.ts';
import { socketOf, startDaemon, startLabProgram, stopChild, until } from '../parts/program.ts';

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '10,100,500' },
    seconds: { type: 'string', default: '30' },
  },
});
const calmMs = Number(values.seconds) * 1000;
const boundMs = 300_000;
/** Of `proc(5)`; the same on every Linux that runs here. */
const ticksASecond = 100;

interface Target {
  readonly origin: string;
  readonly cname: string;
}

/** The lab's configuration with origins of each record's own, as a user has them, and no haste. */
function asConfigured(text: string): string {
  const config = parse(text);
  const origins: Record<string, unknown> = {};
  for (const [name, record] of Object.entries<{ targets: Target[] }>(config.records)) {
    record.targets = record.targets.map(({ origin, cname }, i) => {
      const own = `${name.split('.')[0]}-${i}`;
      origins[own] = config.origins[origin];
      return { origin: own, cname };
    });
  }
  const { policy: _, ...rest } = config;
  return stringify({ ...rest, origins }, { aliasDuplicateObjects: false });
}

/** Seconds of the processor that a process has used. */
function usedBy(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksASecond;
}

function megabytes(pid: number, key: 'VmRSS' | 'VmHWM'): number {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8').match(
    new RegExp(`^${key}:\\s+(\\d+)`, 'm'),
  );
  return Number(line![1]) / 1024;
}

const bytesIn = (directory: string) =>
  readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);

async function measured(records: number): Promise<readonly string[]> {
  // The lab has two records of its own.
  const more = String(Math.max(0, records - 2));
  const lab = await startLabProgram('--no-daemon', '--records', more, '--quotas', 'off');
  try {
    const { config } = lab.ready;
    const text = asConfigured(readFileSync(config, 'utf8'));
    writeFileSync(config, text);
    const { listen, stateDir } = parse(text);
    const begin = performance.now();
    const daemon = startDaemon(config);
    try {
      const pid = daemon.child.pid!;
      const all = (what: string, holds: (record: RecordView) => boolean) =>
        until(what, boundMs, async () => {
          if (daemon.child.exitCode !== null) throw new Error(daemon.err());
          return (await status(socketOf(dirname(config))))?.records.every(holds) ?? false;
        });
      await all('every record is adopted', ({ target }) => target !== null);
      const startMs = performance.now() - begin;
      await all('every record is settled', ({ stay }) => stay.reason === 'target-up');
      // What a start brings with it (audits, markers, caches that fill) is over.
      await pause(calmMs);
      const [used, stored] = [usedBy(pid), bytesIn(stateDir)];
      await pause(calmMs);
      const share = ((usedBy(pid) - used) / calmMs) * 1000;
      const shown = await fetch(`http://${listen}/metrics`).then((r) => r.text());
      return [
        String(records),
        `${(startMs / 1000).toFixed(1)} s`,
        `${(share * 100).toFixed(0)} %`,
        `${megabytes(pid, 'VmRSS').toFixed(0)} MB`,
        `${megabytes(pid, 'VmHWM').toFixed(0)} MB`,
        `${(shown.length / 1e6).toFixed(1)} MB`,
        `${(stored / 1e6).toFixed(1)} MB`,
      ];
    } finally {
      await stopChild(daemon.child);
    }
  } finally {
    await lab.stop();
  }
}

const head = ['records', 'start', 'of a core', 'memory', 'its peak', '/metrics', 'store'];
console.log(`${cpus().length} cores of ${cpus()[0]!.model}; load ${loadavg()[0]!.toFixed(1)}`);
console.log(`| ${head.join(' | ')} |`);
for (const records of values.records.split(',')) {
  console.log(`| ${(await measured(Number(records))).join(' | ')} |`);
}
