// `npm run corpus:back`: what becomes of going back. Each older version, taken out and installed, is
// started on the state directory that each newer one left in the corpus, and a line says whether it
// reads that or refuses it, and with which words. Its vendors are not there: it gets no further. It
// never starts anything on what is kept, only on copies.

import { spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { collect, stopChild, until } from '../parts/program.ts';
import { takeOut, versions } from './versions.ts';

const here = dirname(fileURLToPath(import.meta.url));
const boundMs = 60_000;

const scratch = mkdtempSync(join(tmpdir(), 'detour-back-'));
try {
  for (const [i, older] of versions.entries()) {
    const newer = versions.slice(i + 1);
    if (newer.length === 0) continue;
    const program = takeOut(older, join(scratch, older.name));
    for (const { name } of newer) {
      const said = await startOn(program, older.name, name);
      console.log(`${older.name} on the state of ${name}: ${said}`);
    }
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

/** `reads it`, or why not. */
async function startOn(program: string, older: string, newer: string): Promise<string> {
  const lab = mkdtempSync(join(scratch, 'lab-'));
  cpSync(join(here, newer, 'state'), join(lab, 'state'), { recursive: true });
  for (const name of readdirSync(join(lab, 'state'))) chmodSync(join(lab, 'state', name), 0o600);
  chmodSync(join(lab, 'state'), 0o700);
  const secrets = join(lab, 'secrets');
  mkdirSync(secrets, { mode: 0o700 });
  const secret = (name: string, text: string) =>
    writeFileSync(join(secrets, name), text, { mode: 0o600 });
  for (const name of ['cf-token', 'ali-key-id', 'ali-key-secret', 'oss-key-id', 'oss-key-secret']) {
    secret(name, 'not-one-that-is-asked-for');
  }
  secret('aws.json', '{"accessKeyId":"none","secretAccessKey":"none"}');
  const key = join(here, newer, 'cluster.key');
  secret('cluster.key', existsSync(key) ? readFileSync(key, 'utf8') : 'k'.repeat(43));
  const config = join(lab, 'detour.yaml');
  const text = readFileSync(join(here, older, 'detour.yaml'), 'utf8');
  writeFileSync(config, text.replaceAll('"/lab/', `"${lab}/`));
  const args = [join(program, 'src', 'main.ts'), 'run', '-c', config, '--json'];
  const child = spawn(process.execPath, args, { cwd: program, stdio: ['ignore', 'pipe', 'pipe'] });
  const { out, err } = collect(child);
  try {
    await until(`${older} starts or ends`, boundMs, () => {
      return child.exitCode !== null || out().includes('"started with ');
    });
    if (child.exitCode === null) return 'reads it';
    const lines = `${out()}${err()}`.split('\n').filter((line) => line.includes('detour.sqlite'));
    return `refuses it: ${lines[0]?.replaceAll(lab, '').slice(0, 200) ?? 'without a word'}`;
  } finally {
    await stopChild(child);
  }
}
