// Makes the package of the Helm chart: deploy/helm/detour with the version of package.json in it, and
// with the alerts as a file of its own. `npm run package:helm [FOLDER]`; prints the package's path.
// It must never write into deploy/, and needs nothing but tar.

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Returns the path of the package of this version; what was there under its name is replaced. */
export function packageHelm(folder: string, version: string): string {
  const scratch = mkdtempSync(join(tmpdir(), 'detour-helm-'));
  try {
    const chart = join(scratch, 'detour');
    cpSync(join(root, 'deploy/helm/detour'), chart, { recursive: true });
    const file = join(chart, 'Chart.yaml');
    const text = readFileSync(file, 'utf8');
    const filled = text.replace(/^# The version .*\n/m, '').replaceAll(': 0.0.0', `: ${version}`);
    if (filled.split(version).length !== 3) throw new Error(`${file}: version and appVersion`);
    writeFileSync(file, filled);
    mkdirSync(folder, { recursive: true });
    const made = join(folder, `detour-${version}.tgz`);
    // -h: the alerts are those of deploy/prometheus, by a link.
    execFileSync('tar', ['-czhf', made, '-C', scratch, 'detour'], { timeout: 60_000 });
    return made;
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

if (import.meta.main) {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  console.log(packageHelm(resolve(process.argv[2] ?? join(root, 'dist/helm')), version));
}
