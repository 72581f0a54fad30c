// `npm run test:api`: schemathesis against the control API in front of a stand-in desk: requests made of
// the description that is served, right ones and wrong ones, each answer held against that description,
// every operation asked without its token. It ends with schemathesis's own code; without Python it is
// skipped by name. Nothing of it is kept but the virtual environment, in node_modules/.cache.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { serveApi } from '../../src/serve/api.ts';
import { once } from '../../src/serve/once.ts';
import { Readers } from '../../src/serve/readers.ts';
import { createTokens } from '../../src/serve/tokens.ts';
import { standIn } from '../cli/desk.ts';
import { makeCertificate } from '../parts/certificate.ts';

const VERSION = '4.32.5';
const { values } = parseArgs({
  options: { examples: { type: 'string', default: '100' }, seed: { type: 'string', default: '1' } },
});

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const place = join(root, 'node_modules', '.cache', `schemathesis-${VERSION}`);
const program = join(place, 'bin', 'schemathesis');

/** Why it cannot be had; null: it can. */
function missing(): string | null {
  if (existsSync(program)) return null;
  if (spawnSync('python3', ['-m', 'venv', '--help']).status !== 0) {
    return 'python3 with venv is not installed';
  }
  mkdirSync(dirname(place), { recursive: true });
  const made = spawnSync('python3', ['-m', 'venv', place], { encoding: 'utf8' });
  if (made.status !== 0) return `no virtual environment: ${made.stderr}`;
  const pip = [
    join(place, 'bin', 'pip'),
    'install',
    '--quiet',
    `schemathesis==${VERSION}`,
  ] as const;
  const got = spawnSync(pip[0], pip.slice(1), { encoding: 'utf8', timeout: 300_000 });
  if (got.status === 0) return null;
  rmSync(place, { recursive: true, force: true });
  return `schemathesis cannot be had from PyPI: ${got.stderr}`;
}

async function main(): Promise<number> {
  const why = missing();
  if (why !== null) {
    process.stdout.write(`skipped: ${why}\n`);
    return process.env['CI'] ? 1 : 0;
  }
  const directory = mkdtempSync(join(tmpdir(), 'detour-schemathesis-'));
  const made = makeCertificate(directory, 'api', ['127.0.0.1']);
  if (made === null) throw new Error('missing: openssl');
  const generous = { burst: 1e9, perSecond: 1e9 };
  const rate = { each: generous, all: generous };
  const troubles: string[] = [];
  const desk = standIn();
  desk.command = once(desk.command.bind(desk));
  desk.reload = async () => ({ exit: 0, message: 'in force' });
  const token = 's'.repeat(43);
  const served = await serveApi({
    ...{ host: '127.0.0.1', port: 0, names: [], version: '1.2.3', desk },
    identity: () => made,
    tokens: () => createTokens({ tester: { text: token, role: 'operate' } }),
    links: () => [Buffer.alloc(32, 1)],
    readers: new Readers({ share: 0.9 }),
    trouble: (what, detail) => void troubles.push(`${what}: ${detail}`),
    note: () => {},
    wall: Date.now,
    rates: { arrivals: rate, known: rate, refusals: rate },
  });
  // What is not configured is refused as what is malformed is; nothing here but the shape is said.
  writeFileSync(
    join(directory, 'schemathesis.toml'),
    '[checks.positive_data_acceptance]\nexpected-statuses = ["2xx", "400", "404", "409", "410"]\n',
  );
  const url = `https://127.0.0.1:${served.port}`;
  const argv = [
    ...['--config-file', join(directory, 'schemathesis.toml'), 'run', `${url}/v1/openapi.json`],
    ...['--url', url, '--header', `Authorization: Bearer ${token}`, '--tls-verify', 'false'],
    ...['--checks', 'all', '--max-examples', values.examples, '--seed', values.seed],
    ...['--continue-on-failure', '--no-color'],
    // What goes on and on has no end to wait for; who is let in is for test/serve/page.test.ts.
    ...['/v1/events', '/v1/session', '/v1/session/end'].flatMap((p) => ['--exclude-path', p]),
  ];
  try {
    const child = spawn(program, argv, { cwd: directory, stdio: 'inherit' });
    const code = await new Promise<number>((resolve) => child.on('exit', (c) => resolve(c ?? 1)));
    for (const trouble of troubles) process.stdout.write(`trouble: ${trouble}\n`);
    process.stdout.write(`commands that reached the desk: ${desk.commands.length}\n`);
    return troubles.length > 0 ? 1 : code;
  } finally {
    await served.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

process.exitCode = await main();
