// A real Knot DNS for tests: starts `knotd` in a directory of its own on a free loopback port,
// waits until it answers, and stops it for certain, also when the test process is killed. It must
// never listen on anything but loopback, notify anybody, or leave a process behind.

import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { again, answers, type BindKey, freePort, installed, launch } from './bind.ts';

const program = installed('/usr/sbin/knotd', '/usr/local/sbin/knotd', '/usr/bin/knotd');

/**
 * For `{ skip }` of a test that wants Knot: why it is skipped, or false. In CI a missing part skips
 * nothing, so that the test fails there.
 */
export const withoutKnot: string | false =
  program === undefined && !process.env['CI'] ? 'Knot (knotd) is not installed' : false;

export interface KnotZone {
  readonly name: string;
  /** Lines of the zone file below SOA and NS; names relative to the zone. */
  readonly records?: readonly string[];
  /** Keys that may update it, by name; left out: every key. */
  readonly updaters?: readonly string[];
  /** Fetched from this primary in place of a file; it then takes no updates of its own. */
  readonly primary?: { readonly address: string; readonly port: number };
  /** Knot signs it by itself. */
  readonly signed?: true;
}

export interface Knot {
  readonly address: string;
  readonly port: number;
  readonly keys: readonly BindKey[];
  /** What it logged so far. */
  log(): string;
  /** Serves these zones from now on; one that it has served before keeps its records. */
  reload(zones: readonly KnotZone[]): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts Knot with these zones. Rejects, with its log, when it does not answer for the first of them
 * within 10 s.
 */
export async function startKnot(options: {
  readonly zones: readonly KnotZone[];
  readonly keys: readonly BindKey[];
  /** An address in 127.0.0.0/8. */
  readonly address?: string;
}): Promise<Knot> {
  if (program === undefined) throw new Error('Knot is wanted here: install knot (knotd)');
  const address = options.address ?? '127.0.0.1';
  const directory = await mkdtemp(join(tmpdir(), 'detour-knot-'));
  try {
    // Another process may take the port between the choice and the start: then once more.
    for (let attempt = 1; ; attempt += 1) {
      const port = await freePort(address);
      await configure(directory, address, port, options.zones, options.keys);
      const run = launch(program, ['-c', join(directory, 'knot.conf')], directory);
      if (await answers(address, port, options.zones[0]!.name, run)) {
        const stop = async () => {
          await run.stop();
          await rm(directory, { recursive: true, force: true });
        };
        const reload = async (zones: readonly KnotZone[]) => {
          await configure(directory, address, port, zones, options.keys);
          await again(run, directory, /configuration reloaded/g);
        };
        return { address, port, keys: options.keys, log: run.log, reload, stop };
      }
      await run.stop();
      if (attempt === 3 || !run.log().includes('address already in use')) {
        throw new Error(`Knot did not start:\n${run.log()}`);
      }
    }
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
}

async function configure(
  directory: string,
  address: string,
  port: number,
  zones: readonly KnotZone[],
  keys: readonly BindKey[],
): Promise<void> {
  await mkdir(join(directory, 'db'), { recursive: true });
  const primaries = zones.flatMap(({ primary }) => primary ?? []);
  const lines = [
    'server:',
    `  listen: ${address}@${port}`,
    `  rundir: "${directory}"`,
    '  background-workers: 2',
    '  udp-workers: 2',
    '  tcp-workers: 4',
    'database:',
    `  storage: "${join(directory, 'db')}"`,
    '  journal-db-max-size: 20M',
    'log:',
    '  - target: stderr',
    '    any: info',
    ...(keys.length > 0 ? ['key:'] : []),
    ...keys.flatMap((k) => [
      `  - id: ${k.name}`,
      `    algorithm: ${k.algorithm}`,
      `    secret: "${k.secret}"`,
    ]),
    ...(primaries.length > 0 ? ['remote:'] : []),
    ...primaries.flatMap((p, i) => [`  - id: primary${i}`, `    address: ${p.address}@${p.port}`]),
    'acl:',
    ...zones.flatMap((zone, i) => {
      const updaters = zone.updaters ?? keys.map((k) => k.name);
      if (updaters.length === 0 || zone.primary !== undefined) return [];
      return [`  - id: update${i}`, `    key: [ ${updaters.join(', ')} ]`, '    action: update'];
    }),
    '  - id: copy',
    '    address: [ 127.0.0.0/8, ::1 ]',
    '    action: [ transfer, notify ]',
    'zone:',
  ];
  for (const [i, zone] of zones.entries()) {
    const file = join(directory, `${zone.name}db`);
    const updates = zone.primary === undefined && (zone.updaters ?? keys).length > 0;
    lines.push(
      `  - domain: ${zone.name}`,
      `    storage: "${directory}"`,
      `    file: "${file}"`,
      `    acl: [ ${updates ? `update${i}, copy` : 'copy'} ]`,
      '    zonefile-sync: -1',
      ...(zone.signed ? ['    dnssec-signing: on'] : []),
    );
    if (zone.primary !== undefined) {
      lines.push(`    master: primary${primaries.indexOf(zone.primary)}`);
      continue;
    }
    if (existsSync(file)) continue;
    const text = [
      `$ORIGIN ${zone.name}`,
      '$TTL 60',
      '@ 60 IN SOA ns1 hostmaster ( 1 3600 600 86400 30 )',
      '@ IN NS ns1',
      `ns1 IN A ${address}`,
      ...(zone.records ?? []),
    ];
    await writeFile(file, `${text.join('\n')}\n`);
  }
  await writeFile(join(directory, 'knot.conf'), `${lines.join('\n')}\n`);
}
