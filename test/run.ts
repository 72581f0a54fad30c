// The whole test run: formatting and lint, types, then every test file, and one line that counts.
// It installs the Debian packages whose real parts the tests use, where it may (root on a machine
// with apt); elsewhere those tests are skipped by name, and with CI set a skip is a failure.

import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { thisMachine } from './parts/machine.ts';
import { list, parts, prepare } from './parts/packages.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const isCi = Boolean(process.env['CI']);

/** Nothing that is run here takes longer: a test that leaves something open would wait for ever. */
const endMs = 20 * 60_000;

function run(command: string, args: readonly string[], env: Record<string, string> = {}): number {
  const done = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
    timeout: endMs,
  });
  if (done.error) throw done.error;
  return done.status ?? 1;
}

const machine = thisMachine(endMs);
const missing = await prepare(parts, machine);
if (missing.length > 0 && isCi) {
  console.error(`detour: with CI set no test may be skipped for want of ${list(missing)}`);
  process.exit(1);
}
if (missing.length > 0) {
  console.error(
    `detour: their tests are skipped, by name: ${missing.map((p) => p.pkg).join(', ')}`,
  );
}
const chosen = process.argv.slice(2);
if (chosen.length === 0) {
  for (const [what, command, args] of [
    ['format and lint', 'biome', ['check', '.']],
    ['types of the tests', 'tsc', ['-p', 'test/tsconfig.json']],
  ] as const) {
    if (run(command, args) !== 0) {
      console.error(`detour: ${what} failed`);
      process.exit(1);
    }
  }
}
/** What takes longest comes first: begun last it would run alone, on one core of two. */
const rank = (name: string) => (/^(sim|long)\b/.test(name) ? 0 : 1);
const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.ts'))
  .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
  .filter((name) => chosen.length === 0 || chosen.some((part) => name.includes(part)))
  .map((name) => join('test', name));
if (files.length === 0) {
  console.error(`detour: no test file is named ${chosen.join(' or ')}`);
  process.exit(1);
}
// What Node makes of a source it need not make again for each of two hundred files.
const cache = join(root, 'dist', 'node-cache');
// Two at a time: what several tests measure together on two cores is the machine, not Detour. Not
// --test-force-exit: it ends a file before all that it has to say is said, and tests are lost.
const unfollowed = `--import=${new URL('parts/unfollowed.mjs', import.meta.url).href}`;
const flags = ['--test', '--test-concurrency=2', '--test-timeout=300000', unfollowed];
const status = run(process.execPath, [...flags, ...files], {
  NODE_COMPILE_CACHE: cache,
  ...(isCi ? { CI: 'true' } : {}),
});
process.exit(status);
