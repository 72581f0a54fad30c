// The ready configuration of a lab: a detour.yaml that a person can read and learn from, and the
// files of the secrets that it refers to. The text is a function of the lab alone; writing it is a
// step of its own. It must never write a secret into the configuration, nor touch a file in a
// directory that no lab has made.

import { randomBytes } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Lab } from '../lab.ts';
import type { LabVendor } from '../vendors/vendor.ts';
import { LabError } from './control.ts';

interface SettingsPlace {
  /** The lab's directory, absolute. */
  readonly directory: string;
  /** Path of the daemon's control socket. */
  readonly socket: string;
  /** Port of the daemon on 127.0.0.1, for metrics and readiness. */
  readonly listenPort: number;
  /** Whether hangzhou needs the object store of its cloud; no unless given. */
  readonly needs?: boolean;
}

interface SettingsFile {
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
 * Makes the directory the lab's. Throws LabError when it cannot be written, and when there are files
 * in it that no lab has put there: a new lab removes the state of the last one, and would remove
 * somebody's.
 */
export function claimDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    accessSync(directory, constants.W_OK | constants.X_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new LabError(`${directory}: cannot be written (${code}): choose another by --dir`, 2);
  }
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
  const { cloudflare, route53, alidns, dnspod } = lab.credentials;
  const secrets = [
    { path: secret('cluster.key'), text: `${randomBytes(32).toString('base64url')}\n` },
    { path: secret('cf-token'), text: `${cloudflare.apiToken}\n` },
    { path: secret('aws.json'), text: `${JSON.stringify(route53)}\n` },
    { path: secret('ali-key-id'), text: `${alidns.accessKeyId}\n` },
    { path: secret('ali-key-secret'), text: `${alidns.accessKeySecret}\n` },
  ];
  if (lab.vendors.dnspod !== undefined) {
    secrets.push({ path: secret('dp-id'), text: `${dnspod.secretId}\n` });
    secrets.push({ path: secret('dp-key'), text: `${dnspod.secretKey}\n` });
  }
  if (hasServices(lab, place)) {
    const { accessKeyId, secretAccessKey } = lab.credentials.stores;
    secrets.push({ path: secret('oss-key-id'), text: `${accessKeyId}\n` });
    secrets.push({ path: secret('oss-key-secret'), text: `${secretAccessKey}\n` });
  }
  const config = { path: configPath(place.directory), text: configText(lab, place, secret) };
  return [config, ...secrets].map((file) => ({ ...file, mode: 0o600 }));
}

/** The checks of a cloud itself are for telling what has failed, and that takes several paths. */
function hasServices(lab: Lab, place: SettingsPlace): boolean {
  return lab.paths.length > 0 || place.needs === true;
}

function configText(lab: Lab, place: SettingsPlace, secret: (name: string) => string): string {
  const file = (name: string) => `{ file: ${quote(secret(name))} }`;
  const led = new Set(lab.records.flatMap((r) => r.targets.map((t) => t.origin)));
  const probed = lab.origins.filter((origin) => led.has(origin.name));
  const needed = place.needs === true ? `    needs: [${checkNames.aliyun!.store}]` : null;
  const origins = probed.flatMap((origin) => [
    `  ${origin.name}:`,
    `    cloud: ${origin.cloud}`,
    `    region: ${origin.region}`,
    ...(origin.name === 'hangzhou' && needed !== null ? [needed] : []),
    '    checks:',
    '      web:',
    `        http: ${quote(`http://${bare(lab.hostOf(origin.name))}:${origin.port}/healthz`)}`,
    `        address: ${quote(origin.address)}`,
    '        expect: { status: 200 }',
  ]);
  const records = lab.records.flatMap((record) => [
    `  ${bare(record.name)}:`,
    `    ttl: ${record.ttl}`,
    `    publish: [cf, r53, ali${lab.vendors.dnspod === undefined ? '' : ', dp'}]`,
    '    targets:',
    ...record.targets.map((t) => `      - { origin: ${t.origin}, cname: ${bare(t.cname)} }`),
    '    mode: steer',
  ]);
  return `${[
    '# Written by `detour lab` for the lab that is running now; the next one writes it anew.',
    '# Everything in it is on this machine: vendors, name servers and origins are the lab’s.',
    'cluster: lab',
    `clusterKey: ${file('cluster.key')}`,
    '',
    ...providerLines(lab, file),
    '',
    '# The lab’s internet has a root of its own, on a port that needs no privileges.',
    `dns: { port: ${lab.dnsPort}, roots: [${lab.roots.map(quote).join(', ')}] }`,
    `stateDir: ${quote(join(place.directory, 'state'))}`,
    `socket: ${quote(place.socket)}`,
    `listen: 127.0.0.1:${place.listenPort}`,
    '',
    ...pathLines(lab),
    'clouds:',
    ...lab.clouds.flatMap((cloud) =>
      hasServices(lab, place) ? cloudLines(lab, cloud, file) : [`  ${cloud}: {}`],
    ),
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
    ...referenceLines(lab),
  ].join('\n')}\n`;
}

/** The accounts, each with its secrets by reference. */
function providerLines(lab: Lab, file: (name: string) => string): readonly string[] {
  const common = (vendor: LabVendor) => {
    return [
      // With several zones each account finds out by itself which of them holds a record.
      ...(lab.zones.length === 1 ? [`    zone: ${bare(lab.zone)}`] : []),
      `    endpoint: ${quote(vendor.api)}`,
      `    nameservers: [${vendor.dns.map(quote).join(', ')}]`,
      `    canary: detour-canary.${bare(lab.zone)}`,
    ];
  };
  return [
    '# An account at each vendor; the same records are published at each of them.',
    'providers:',
    '  cf:',
    '    type: cloudflare',
    `    apiToken: ${file('cf-token')}`,
    ...common(lab.vendors.cloudflare),
    '  r53:',
    '    type: route53',
    `    credentials: ${file('aws.json')}`,
    ...common(lab.vendors.route53),
    '  ali:',
    '    type: alidns',
    `    accessKeyId: ${file('ali-key-id')}`,
    `    accessKeySecret: ${file('ali-key-secret')}`,
    ...common(lab.vendors.alidns),
    ...(lab.vendors.dnspod === undefined
      ? []
      : [
          '  dp:',
          '    type: dnspod',
          `    secretId: ${file('dp-id')}`,
          `    secretKey: ${file('dp-key')}`,
          ...common(lab.vendors.dnspod),
        ]),
  ];
}

/** The ways out, each by a proxy of its own so that it can be broken. */
function pathLines(lab: Lab): readonly string[] {
  if (lab.paths.length === 0) return [];
  return [
    '# Ways out that share nothing: each has a vote of its own.',
    'paths:',
    ...lab.paths.map(
      ({ name, site, uplink, url }) =>
        `  ${name}: { site: ${site}, uplink: ${uplink}, proxy: ${quote(url)} }`,
    ),
    '',
  ];
}

/** What the checks of each cloud's services are called, as its users would call them. */
const checkNames: Readonly<Record<string, { readonly store: string; readonly api: string }>> = {
  aliyun: { store: 'oss-signed', api: 'ecs-api' },
  aws: { store: 's3-signed', api: 'ec2-api' },
  gcp: { store: 'gcs-signed', api: 'compute-api' },
};

/** A cloud with the checks of its services: its first region's store, and its control API. */
function cloudLines(lab: Lab, cloud: string, file: (name: string) => string): readonly string[] {
  const store = lab.stores.find((s) => s.cloud === cloud)!;
  const api = lab.apis.find((a) => a.cloud === cloud)!;
  const names = checkNames[cloud]!;
  const sign = `region: ${store.region}, accessKeyId: ${file('oss-key-id')}`;
  return [
    `  ${cloud}:`,
    '    checks:',
    `      ${names.store}:`,
    '        plane: service',
    `        region: ${store.region}`,
    `        http: ${quote(`http://${bare(lab.hostOf(store.name))}:${store.port}/probe/probe.txt`)}`,
    `        address: ${quote(store.address)}`,
    '        sign:',
    `          { type: aws-sigv4, ${sign},`,
    `            secretAccessKey: ${file('oss-key-secret')} }`,
    `      ${names.api}:`,
    '        plane: control',
    `        http: ${quote(`http://${bare(lab.hostOf(api.name))}:${api.port}/`)}`,
    `        address: ${quote(api.address)}`,
    '        expect: { status: "<500" }',
  ];
}

/** Reference points: a path that sees none of them is blind, and its failures are no votes. */
function referenceLines(lab: Lab): readonly string[] {
  if (lab.references.length === 0) return [];
  return [
    '  # Things that are up outside both clouds: a path that sees none of them has no vote.',
    '  references:',
    ...lab.references.flatMap((reference) => [
      `    ${reference.name}:`,
      `      http: ${quote(`http://${bare(lab.hostOf(reference.name))}:${reference.port}/`)}`,
      `      address: ${quote(reference.address)}`,
    ]),
  ];
}

/** A JSON string is a YAML scalar too, whatever stands in it. */
function quote(text: string): string {
  return JSON.stringify(text);
}

function bare(name: string): string {
  return name.replace(/\.$/, '');
}
