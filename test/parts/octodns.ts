// octoDNS itself, from PyPI, in a virtual environment of its own: the tool that others run beside
// Detour, pointed at the lab's vendors. It must never be given anything but a lab, nor leave its
// environment behind.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { RunningLab } from './program.ts';

/** What was tried together, 2026-11-29. */
const packages = ['octodns==1.22.0', 'octodns-cloudflare==1.2.0', 'octodns-route53==1.3.1'];
const zone = 'gslb.example.net.';
const runMs = 120_000;
const installMs = 300_000;

export interface Octodns {
  /**
   * One run of `octodns-sync` on the lab's zone at Cloudflare and Route 53, as a person without
   * Detour would have set it up; `processors` is what a page tells them to add. Gives the changes
   * that it planned, one a line. Throws with what it printed when it failed.
   */
  sync(
    lab: RunningLab,
    options: { readonly doit: boolean; readonly processors?: Processors | undefined },
  ): readonly string[];
  close(): void;
}

export interface Processors {
  readonly processors: Readonly<Record<string, unknown>>;
  readonly used: readonly string[];
}

/** What a page's example adds to a configuration of octoDNS. */
export function processorsOf(example: string): Processors {
  const read = parse(example) as {
    processors: Record<string, unknown>;
    zones: Record<string, { processors: string[] }>;
  };
  return { processors: read.processors, used: read.zones[zone]!.processors };
}

/** Installs it; a sentence when this machine has no Python, or no way to PyPI. */
export function installOctodns(): Octodns | string {
  if (spawnSync('python3', ['-m', 'venv', '--help']).status !== 0) {
    return 'python3 with venv is not installed';
  }
  const directory = mkdtempSync(join(tmpdir(), 'detour-octodns-'));
  const close = () => rmSync(directory, { recursive: true, force: true });
  const bin = join(directory, 'venv', 'bin');
  const made = spawnSync('python3', ['-m', 'venv', join(directory, 'venv')], { encoding: 'utf8' });
  const pip = ['install', '--quiet', '--disable-pip-version-check', '--retries', '1', ...packages];
  const got =
    made.status === 0
      ? spawnSync(join(bin, 'pip'), pip, { encoding: 'utf8', timeout: installMs })
      : made;
  if (got.status !== 0) {
    close();
    return `octoDNS could not be installed: ${got.stderr.trim().split('\n').at(-1) ?? 'no word'}`;
  }
  return {
    sync: (lab, { doit, processors }) => {
      const file = configure(directory, lab, processors);
      const args = ['--config-file', file, ...(doit ? ['--doit', '--force'] : [])];
      const options = { encoding: 'utf8', timeout: runMs, env: environment(lab) } as const;
      const done = spawnSync(join(bin, 'octodns-sync'), args, options);
      if (done.status !== 0) throw new Error(`octodns-sync: ${done.stderr.slice(-2000)}`);
      const said = `${done.stdout}${done.stderr}`.split('\n');
      return said.flatMap((line) => /^\*\s+((?:Create|Update|Delete)\b.*)$/.exec(line)?.[1] ?? []);
    },
    close,
  };
}

/** The zone as it stood before the outage, and two targets. */
function configure(directory: string, lab: RunningLab, page: Processors | undefined): string {
  const source = join(directory, 'zones');
  mkdirSync(source, { recursive: true });
  const cname = (value: string) => ({ type: 'CNAME', ttl: 60, value });
  const records = { www: cname('hz.shop.example.'), api: cname('bj.shop.example.') };
  writeFileSync(join(source, `${zone}yaml`), stringify(records));
  const { cloudflare, route53 } = lab.ready.vendors;
  if (cloudflare === undefined || route53 === undefined) throw new Error('a lab without vendors');
  const config = {
    providers: {
      config: {
        class: 'octodns.provider.yaml.YamlProvider',
        directory: source,
        enforce_order: false,
      },
      cf: {
        class: 'octodns_cloudflare.CloudflareProvider',
        token: 'env/CF_TOKEN',
        api_url: cloudflare.api,
        pagerules: false,
        min_ttl: 60,
        retry_count: 0,
      },
      r53: {
        class: 'octodns_route53.Route53Provider',
        access_key_id: 'env/AWS_ID',
        secret_access_key: 'env/AWS_SECRET',
      },
    },
    ...(page === undefined ? {} : { processors: page.processors }),
    zones: {
      [zone]: {
        sources: ['config'],
        ...(page === undefined ? {} : { processors: page.used }),
        targets: ['cf', 'r53'],
      },
    },
  };
  const file = join(directory, 'octodns.yaml');
  writeFileSync(file, stringify(config));
  return file;
}

function environment(lab: RunningLab): NodeJS.ProcessEnv {
  const secret = (name: string) =>
    readFileSync(join(lab.directory, 'secrets', name), 'utf8').trim();
  const aws = JSON.parse(secret('aws.json')) as { accessKeyId: string; secretAccessKey: string };
  return {
    PATH: process.env['PATH'],
    CF_TOKEN: secret('cf-token'),
    AWS_ID: aws.accessKeyId,
    AWS_SECRET: aws.secretAccessKey,
    AWS_ENDPOINT_URL_ROUTE_53: lab.ready.vendors['route53']?.api,
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_EC2_METADATA_DISABLED: 'true',
  };
}
