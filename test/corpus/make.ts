// `npm run corpus -- 0.5`: makes the corpus of a version by running it. Its commit is taken out into
// a scratch folder, its packages are installed, its own lab is led through an outage by its own
// commands, and what it leaves behind is kept beside this file. Run once for each version, never
// again: what was kept is what that version wrote. It never touches a folder that is there already.

import { spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { markerName } from '../../src/core/marker.ts';
import { ask } from '../../src/dns/ask.ts';
import { joinText } from '../../src/dns/wire.ts';
import { parseHostPort } from '../../src/kit/schema.ts';
import { collect, type Ready, stopChild, until } from '../parts/program.ts';
import { takeOut, type Version, versions } from './versions.ts';

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(dirname(here));
const boundMs = 90_000;

/** What `--dir` of the lab is called in everything that is kept. */
const labName = '/lab';

const [www, api, img] = ['www', 'api', 'img'].map((name) => `${name}.gslb.example.net`) as [
  string,
  string,
  string,
];

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !versions.some((v) => v.name === name));
if (wanted.length === 0 || unknown.length > 0) {
  const names = versions.map((v) => v.name).join(', ');
  console.error(`npm run corpus -- VERSION...: of ${names}${unknown.map((n) => `; no ${n}`)}`);
  process.exit(2);
}
for (const version of versions.filter((v) => wanted.includes(v.name))) {
  const kept = join(here, version.name);
  if (existsSync(kept)) {
    console.error(`${kept} is there: what a version once wrote is not made again`);
    process.exitCode = 1;
    continue;
  }
  const scratch = mkdtempSync(join(tmpdir(), 'detour-corpus-'));
  try {
    const made = join(scratch, 'kept');
    await record(takeOut(version, join(scratch, 'program')), scratch, made, version);
    refuseTraces(made, scratch);
    cpSync(made, kept, { recursive: true });
    console.log(`${relative(root, kept)}: ${sizeOf(kept)} bytes`);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

interface Seen {
  readonly records: readonly {
    readonly name: string;
    readonly target: string | null;
    readonly providers: readonly { readonly stage: string }[];
  }[];
  readonly origins: readonly { readonly name: string; readonly health: string }[];
}

/** Leads the version's lab through an outage and keeps what comes of it in `made`. */
async function record(program: string, scratch: string, made: string, version: Version) {
  const directory = join(scratch, 'lab');
  const main = join(program, 'src', 'main.ts');
  const env = { ...process.env, DETOUR_SOCKET: join(directory, 'detour.sock') };
  const run = (...args: readonly string[]) =>
    spawnSync(process.execPath, [main, ...args], { encoding: 'utf8', cwd: program, env });
  const cli = (...args: readonly string[]) => {
    const done = run(...args);
    if (done.status === 0) return done.stdout;
    throw new Error(`${args.join(' ')} ended with ${done.status}: ${done.stderr}${done.stdout}`);
  };
  const json = (...args: readonly string[]) => cli(...args, '--json');
  /** On a busy machine an origin may be unknown for a moment, and a move to it is refused. */
  const order = (...args: readonly string[]) =>
    until(args.join(' '), boundMs, () => run(...args, '--json').status === 0);
  const keep = (file: string, text: string) =>
    writeFileSync(join(made, file), text.replaceAll(directory, labName));
  mkdirSync(made);
  const options = ['--dir', directory, '--json', '--paths', '3', '--needs', '--quotas', 'off'];
  const child = spawn(process.execPath, [main, 'lab', ...options], { cwd: program });
  try {
    const said = collect(child);
    await until('the lab is ready', boundMs, () => {
      if (child.exitCode !== null) throw new Error(`the lab ended: ${said.err()}`);
      return said.out().includes('\n');
    });
    const ready = JSON.parse(said.out().split('\n')[0]!) as Ready;
    const stands = (what: string, holds: (seen: Seen) => boolean) =>
      until(what, boundMs, () => {
        const seen = JSON.parse(json('status')) as Seen;
        const isVisible = seen.records.every((r) =>
          r.providers.every((p) => p.stage === 'visible'),
        );
        return isVisible && holds(seen);
      });
    const isUp = ({ origins }: Seen) => origins.every((o) => o.health === 'up');
    const isOn = (record: string, target: string) => (seen: Seen) =>
      seen.records.some((r) => r.name.startsWith(record) && r.target === target);
    const lab = (...words: readonly string[]) => cli('lab', ...words, '--dir', directory);

    await stands('adopted, all up', isUp);
    if (has(cli('drill', '--help'), 'canary')) {
      await order('drill', 'canary');
      await order('drill', 'dry', 'hangzhou');
    }
    await order('pin', api, '--reason', 'load test', '--for', 'unlimited');
    lab('break', 'origin', 'hangzhou');
    await stands('www on tokyo', isOn(www, 'tokyo'));
    lab('heal');
    await stands('all up again', isUp);
    await order('switch', www, 'hangzhou', '--reason', 'hangzhou is back');
    await stands('www on hangzhou', isOn(www, 'hangzhou'));
    await order('unpin', www);
    lab('break', 'region', 'cn-hangzhou');
    await stands('www and img on tokyo', (s) => isOn(www, 'tokyo')(s) && isOn(img, 'tokyo')(s));
    lab('heal');
    await stands('all up after the region', isUp);
    await order('switch', img, 'hangzhou2', '--reason', 'hangzhou is back', '--for', '48h');
    await stands('img on hangzhou2', isOn(img, 'hangzhou2'));
    await order('freeze', img, '--reason', 'its zone is moved');
    await order('drain', 'beijing', '--reason', 'its disks are changed');
    await stands('all at rest', isUp);

    const config = ready.config;
    const history = json('history', '-n', '1000');
    const printed: Record<string, string> = {
      status: json('status'),
      history,
      explain: json('explain', switchIn(history)),
      audit: json('audit'),
      probe: json('probe', '-c', config),
      validate: json('validate', '-c', config),
      switch: json('switch', www, 'hangzhou', '--reason', 'a look', '--dry-run'),
      unfreeze: json('unfreeze', www),
    };
    const more: Record<string, readonly string[]> = {
      schema: ['schema'],
      version: ['version', '--json'],
      'break-glass': ['break-glass', '-c', config, '--json'],
      channels: ['channels', '-c', config, '--json'],
    };
    const commands = cli('--help');
    for (const [name, args] of Object.entries(more)) {
      // On one line, as all the others are.
      if (has(commands, name)) printed[name] = `${JSON.stringify(JSON.parse(cli(...args)))}\n`;
    }
    mkdirSync(join(made, 'json'));
    for (const [name, text] of Object.entries(printed)) keep(`json/${name}.json`, text);
    const markers = await markersOf(ready);
    keep('markers.json', `${JSON.stringify(markers, null, 2)}\n`);
    keep('detour.yaml', readFileSync(config, 'utf8'));
    await stopChild(child);
    const key = join(directory, 'secrets', 'cluster.key');
    if (existsSync(key)) keep('cluster.key', readFileSync(key, 'utf8'));
    cpSync(join(directory, 'state'), join(made, 'state'), {
      recursive: true,
      filter: (path) => !/\block\./.test(path),
    });
    keep('commit', `${version.commit}\n`);
  } finally {
    await stopChild(child);
  }
}

function has(help: string, command: string): boolean {
  return new RegExp(`^  ${command}\\b`, 'm').test(help);
}

/** The number of a switch that Detour decided, in what `history --json` printed. */
function switchIn(history: string): string {
  interface Entry {
    readonly seq: number;
    readonly kind: string;
    readonly data: { readonly kind?: string };
  }
  const parsed = JSON.parse(history) as Entry[] | { readonly entries: Entry[] };
  const entries = Array.isArray(parsed) ? parsed : parsed.entries;
  const found = entries.find((e) => e.kind === 'switch' && e.data.kind === 'auto');
  if (found === undefined) throw new Error('the history has no switch of its own accord');
  return String(found.seq);
}

/** By record and vendor, the texts that stand at its marker's name, as the vendor's DNS has them. */
async function markersOf({ records, vendors }: Ready) {
  const all: Record<string, Record<string, readonly string[]>> = {};
  for (const record of records) {
    const ofRecord: Record<string, readonly string[]> = {};
    for (const [vendor, { dns }] of Object.entries(vendors)) {
      const { host, port } = parseHostPort(dns, 53)!;
      const question = { name: markerName(`${record}.`), type: 'TXT' } as const;
      const reply = await ask({ address: host, port }, question, { timeoutMs: 2000 });
      if (reply.kind !== 'reply') throw new Error(`${vendor} gives no marker: ${reply.detail}`);
      ofRecord[vendor] = reply.message.answers.flatMap((a) =>
        a.type === 'TXT' ? [joinText(a.strings)] : [],
      );
    }
    all[record] = ofRecord;
  }
  return all;
}

/** What is kept names no machine: no folder of it. */
function refuseTraces(folder: string, scratch: string): void {
  for (const path of filesIn(folder)) {
    const bytes = readFileSync(path);
    const traces = [scratch, root, homedir()].filter((word) => bytes.includes(word));
    if (traces.length > 0) throw new Error(`${relative(folder, path)} names ${traces.join(', ')}`);
  }
}

function filesIn(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return names.map((name) => join(folder, name)).filter((path) => statSync(path).isFile());
}

function sizeOf(folder: string): number {
  return filesIn(folder).reduce((sum, path) => sum + statSync(path).size, 0);
}
