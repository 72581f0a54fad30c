// The ready configuration of a lab: a detour.yaml that a person can read and learn from, and the
// files of the secrets that it refers to. The text is a function of the lab alone; writing it is a
// step of its own. It must never write a secret into the configuration, nor touch a file in a
// directory that no lab has made.

import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LabError } from './control.ts';
import type { Lab } from './lab.ts';

export interface SettingsPlace {
  /** The lab's directory, absolute. */
  readonly directory: string;
  /** Path of the daemon's control socket. */
  readonly socket: string;
  /** Port of the daemon on 127.0.0.1, for metrics and readiness. */
  readonly listenPort: number;
}

export interface SettingsFile {
  readonly path: string;
  readonly text: string;
  /** Permissions. */
  readonly mode: number;
}

/** The configuration's file. */
export function configPath(directory: string): string {
  return join(directory, 'detour.yaml');
}

/** What the daemon writes is kept here. */
export function logPath(directory: string): string {
  return join(directory, 'daemon.log');
}

/** The file that says that a lab has made this directory. */
const marker = 'lab.json';

/** What a lab leaves in its directory, and a new one may remove there; sockets stay their owner's. */
const leftovers = ['state', 'secrets', 'detour.yaml', 'daemon.log', 'daemon.log.1'];

/**
 * Makes the directory the lab's. Throws LabError when there are files in it that no lab has put
 * there: a new lab removes the state of the last one, and would remove somebody's.
 */
export function claimDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (existsSync(join(directory, marker))) return;
  const found = readdirSync(directory);
  if (found.length > 0) {
    throw new LabError(
      `${directory}: holds ${found[0]} and was not made by a lab: choose an empty directory`,
      2,
    );
  }
  const text = `${JSON.stringify({ madeBy: 'detour lab', pid: process.pid })}\n`;
  writeFileSync(join(directory, marker), text, { mode: 0o600 });
}

/** Removes what the last lab left in a claimed directory: a new internet knows no old epochs. */
export function clearDirectory(directory: string): void {
  for (const name of leftovers) rmSync(join(directory, name), { recursive: true, force: true });
}

/** Writes every file, each readable for this user alone. */
export function writeSettings(files: readonly SettingsFile[], directory: string): void {
  mkdirSync(join(directory, 'secrets'), { recursive: true, mode: 0o700 });
  for (const { path, text, mode } of files) writeFileSync(path, text, { mode });
}

/** The configuration and the secrets that fit a lab. */
export function labSettings(lab: Lab, place: SettingsPlace): readonly SettingsFile[] {
  const secret = (name: string) => join(place.directory, 'secrets', name);
  const { cloudflare, route53, alidns } = lab.credentials;
  const secrets = [
    { path: secret('cf-token'), text: `${cloudflare.apiToken}\n` },
    { path: secret('aws.json'), text: `${JSON.stringify(route53)}\n` },
    { path: secret('ali-key-id'), text: `${alidns.accessKeyId}\n` },
    { path: secret('ali-key-secret'), text: `${alidns.accessKeySecret}\n` },
  ];
  const config = { path: configPath(place.directory), text: configText(lab, place, secret) };
  return [config, ...secrets].map((file) => ({ ...file, mode: 0o600 }));
}

function configText(lab: Lab, place: SettingsPlace, secret: (name: string) => string): string {
  const file = (name: string) => `{ file: ${quote(secret(name))} }`;
  const common = (type: 'cloudflare' | 'route53' | 'alidns') => {
    const vendor = lab.vendors[type];
    return [
      `    zone: ${bare(lab.zone)}`,
      `    endpoint: ${quote(vendor.api)}`,
      `    nameservers: [${vendor.dns.map(quote).join(', ')}]`,
    ];
  };
  const origins = lab.origins.flatMap((origin) => [
    `  ${origin.name}:`,
    `    cloud: ${origin.cloud}`,
    `    region: ${origin.region}`,
    '    checks:',
    '      web:',
    `        http: ${quote(`http://${bare(lab.hostOf(origin.name))}:${origin.port}/healthz`)}`,
    `        address: ${quote(origin.address)}`,
    '        expect: { status: 200 }',
  ]);
  const records = lab.records.flatMap((record) => [
    `  ${bare(record.name)}:`,
    `    ttl: ${record.ttl}`,
    '    publish: [cf, r53, ali]',
    '    targets:',
    ...record.targets.map((t) => `      - { origin: ${t.origin}, cname: ${bare(t.cname)} }`),
    '    mode: steer',
  ]);
  return `${[
    '# Written by `detour lab` for the lab that is running now; the next one writes it anew.',
    '# Everything in it is on this machine: vendors, name servers and origins are the lab’s.',
    'cluster: lab',
    '',
    '# Three accounts at three vendors; the same records are published at each of them.',
    'providers:',
    '  cf:',
    '    type: cloudflare',
    `    apiToken: ${file('cf-token')}`,
    ...common('cloudflare'),
    '  r53:',
    '    type: route53',
    `    credentials: ${file('aws.json')}`,
    ...common('route53'),
    '  ali:',
    '    type: alidns',
    `    accessKeyId: ${file('ali-key-id')}`,
    `    accessKeySecret: ${file('ali-key-secret')}`,
    ...common('alidns'),
    '',
    '# The lab’s internet has a root of its own, on a port that needs no privileges.',
    `dns: { port: ${lab.dnsPort}, roots: [${lab.roots.map(quote).join(', ')}] }`,
    `stateDir: ${quote(join(place.directory, 'state'))}`,
    `socket: ${quote(place.socket)}`,
    `listen: 127.0.0.1:${place.listenPort}`,
    '',
    'clouds:',
    ...lab.clouds.map((cloud) => `  ${cloud}: {}`),
    '',
    'origins:',
    ...origins,
    '',
    'records:',
    ...records,
    '',
    '# Quick, so that a person can watch: a real one probes every 5 s and has 10 s of patience.',
    'policy:',
    '  interval: 1s',
    '  timeout: 1s',
    '  confirm: 250ms',
    '  fall: 3',
    '  rise: 2',
    '  patience: 0s',
    '  failback: manual',
  ].join('\n')}\n`;
}

/** A JSON string is a YAML scalar too, whatever stands in it. */
function quote(text: string): string {
  return JSON.stringify(text);
}

function bare(name: string): string {
  return name.replace(/\.$/, '');
}
