// The steps of deploy/docker/Dockerfile, by buildah, over a Debian that debootstrap makes on the spot in
// place of the published base: the image is built whole, and the lab moves a record in it, as nobody in
// particular. `npm run test:container`; what this machine lacks is skipped by name. It leaves nothing
// behind: images and containers are in one folder. The registry is told to the build alone.

import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  absent,
  ask,
  minute,
  reporter,
  run,
  settingsHere,
  spaces,
  stopAll,
} from '../parts/debian.ts';
import { thisMachine } from '../parts/machine.ts';
import { type Part, prepare } from '../parts/packages.ts';

const repository = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const wanted: readonly Part[] = [
  { pkg: 'debootstrap', program: '/usr/sbin/debootstrap', purpose: 'a base' },
  { pkg: 'buildah', program: '/usr/bin/buildah', purpose: 'images without a daemon' },
];

const { wrong, say, judge, must } = reporter('container');

type Settings = NonNullable<ReturnType<typeof settingsHere>>;

/** What stands for the published image: a small Debian with the same Node, and this machine's npm. */
async function baseIn(root: string, here: Settings): Promise<void> {
  const how = ['--variant=minbase', '--include=ca-certificates', 'bookworm', root, here.mirror];
  const env = { ...process.env, ...here.env };
  await must('a Debian', ['unshare', ...spaces, '--mount-proc', 'debootstrap', ...how], env);
  const bin = join(root, 'usr/local/bin');
  copyFileSync(realpathSync(process.execPath), join(bin, 'node'));
  chmodSync(join(bin, 'node'), 0o755);
  const npm = dirname(dirname(realpathSync(ask('sh', '-c', 'command -v npm')!)));
  cpSync(npm, join(root, 'usr/local/lib/node_modules/npm'), { recursive: true });
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(bin, 'npm'));
  for (const file of here.files) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    copyFileSync(file, join(root, file));
    chmodSync(join(root, file), 0o644);
  }
  const told = Object.entries(here.env)
    .filter(([name]) => name.startsWith('npm_config_'))
    .map(([name, value]) => `${name.slice('npm_config_'.length).replaceAll('_', '-')}=${value}\n`);
  const { NODE_EXTRA_CA_CERTS: ca } = here.env;
  if (ca && !told.some((line) => line.startsWith('cafile='))) told.push(`cafile=${ca}\n`);
  writeFileSync(join(root, 'root/.npmrc'), told.join(''));
}

async function build(folder: string, here: Settings): Promise<void> {
  const base = join(folder, 'base');
  await baseIn(base, here);
  const stores = ['--root', join(folder, 'images'), '--runroot', join(folder, 'run')];
  const env = { ...process.env, BUILDAH_ISOLATION: 'chroot', STORAGE_DRIVER: 'vfs' };
  const buildah = (...argv: readonly string[]) => ['buildah', ...stores, ...argv] as const;
  const quietly = async (...argv: readonly string[]) => {
    const done = await run([...buildah(...argv)], { env, ms: 10 * minute });
    if (done.status !== 0)
      throw new Error(`buildah ${argv.join(' ')}:\n${done.output.slice(-3000)}`);
    return done.output.trim();
  };
  const text = readFileSync(join(repository, 'deploy/docker/Dockerfile'), 'utf8');
  const bases = [...new Set([...text.matchAll(/^FROM (\S+)/gm)].map(([, name]) => name!))];
  const from = await quietly('from', 'scratch');
  await quietly('copy', '--quiet', from, base, '/');
  await quietly('config', '--env', 'PATH=/usr/local/bin:/usr/bin:/bin', from);
  for (const name of bases) await quietly('commit', '--quiet', from, `docker.io/library/${name}`);
  await quietly('rm', from);
  rmSync(base, { recursive: true });
  const file = ['--file', join(repository, 'deploy/docker/Dockerfile')];
  const ignored = ['--ignorefile', join(repository, 'deploy/docker/Dockerfile.dockerignore')];
  const how = ['--pull=never', '--format', 'docker', '--tag', 'detour', ...file, ...ignored];
  await must('the steps of the Dockerfile', [...buildah('build', ...how, repository)], env);
  const about = JSON.parse(await quietly('inspect', '--type', 'image', 'detour'));
  const { config } = about.Docker;
  judge('its user is no root', config.User === '65532:65532');
  judge('it has a health check', config.Healthcheck?.Test.join(' ').includes('/v1/alive'));
  const one = await quietly('from', '--pull-never', 'detour');
  const inside = (...argv: readonly string[]) => quietly('run', one, '--', ...argv);
  judge('who runs in it is 65532', (await inside('id', '-u')) === '65532');
  const bill = JSON.parse(await inside('cat', '/app/sbom.cdx.json'));
  const count = bill.components?.length ?? 0;
  judge(
    `its bill of materials has ${count} packages`,
    bill.bomFormat === 'CycloneDX' && count > 60,
  );
  const npm = await inside('sh', '-c', 'command -v npm || echo none');
  judge('nothing in it installs packages', npm === 'none');
  const demo = [...config.Entrypoint, 'lab', '--demo', '--dir', '/tmp/lab'];
  const said = await inside(...demo);
  judge(
    'a record is steered in its lab',
    said.includes('every record is at every vendor on the standby cloud'),
  );
  const size = await quietly('images', '--format', '{{.Name}} {{.Size}}');
  for (const line of size.split('\n')) say(`  ${line}`);
}

async function main(): Promise<number> {
  const missing = await prepare(wanted, thisMachine(10 * minute));
  const reason = absent() ?? (missing[0] ? `${missing[0].pkg} is not installed` : null);
  const here = reason === null ? settingsHere() : null;
  if (here === null) {
    say(`skipped: ${reason ?? 'apt uses no mirror of Debian here'}`);
    return process.env['CI'] ? 1 : 0;
  }
  const folder = mkdtempSync(join(tmpdir(), 'detour-container-'));
  const clean = async () => {
    await stopAll();
    if (existsSync(folder)) rmSync(folder, { recursive: true, force: true, maxRetries: 20 });
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(name, () => void clean().finally(() => process.exit(1)));
  }
  try {
    await build(folder, here);
  } finally {
    await clean();
  }
  say(wrong.length === 0 ? 'all of it held' : `${wrong.length} things are wrong`);
  return wrong.length === 0 ? 0 : 1;
}

process.exitCode = await main();
