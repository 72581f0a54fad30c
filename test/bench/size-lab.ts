// The world of `npm run bench:size`, in processes of its own: three vendors that throttle as the real
// ones do, with every record on its first target, unmarked, in as many zones as they demand; and the
// origins, a listener a cloud. What is measured is whoever asks them. Neither outlives its parent.

import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { startCloudflare } from '../../src/lab/vendors/cloudflare.ts';
import { startGoogle } from '../../src/lab/vendors/google.ts';
import {
  type GoogleAccount,
  GoogleTokens,
  newGoogleAccount,
} from '../../src/lab/vendors/google-tokens.ts';
import { startNameserver } from '../../src/lab/vendors/nameserver.ts';
import { startRoute53 } from '../../src/lab/vendors/route53.ts';
import { LabZone } from '../../src/lab/vendors/zone.ts';

/** A zone at Cloudflare takes 3,500 records, and each name has a CNAME and a marker. */
const zoneMost = 1_700;
export const clouds = 3;
export const providers = ['r53', 'cf', 'gdns'] as const;
export const project = 'detour-bench';
export const secrets = {
  R53_ID: 'AKIDEXAMPLE',
  R53_SECRET: 'a-secret-of-the-bench',
  CF_TOKEN: 'c'.repeat(40),
};

const zoneOf = (i: number) => `z${Math.floor(i / zoneMost) + 1}.example.`;
export const nameOf = (i: number) => `r${i + 1}.${zoneOf(i)}`;
export const cnameOf = (i: number, turn: number) => `o${i + 1}-${turn}.shop.example.`;
/** The cloud of a record's first or second target. */
export const cloudOf = (i: number, turn: number) => (i + turn) % clouds;
export const numbersTo = (count: number) => Array.from({ length: count }, (_, i) => i);

export interface Lab {
  readonly google: GoogleAccount;
  readonly apis: Readonly<Record<(typeof providers)[number], string>>;
  readonly dns: Readonly<Record<(typeof providers)[number], readonly string[]>>;
  readonly root: { readonly address: string; readonly port: number };
}

/** Every record stands on its first target, unmarked. */
async function serveVendors(count: number): Promise<void> {
  const numbers = numbersTo(count);
  const zoneNames = [...new Set(numbers.map(zoneOf))];
  const zones = zoneNames.map((name) => ({
    name,
    records: numbers
      .filter((i) => zoneOf(i) === name)
      .map((i) => ({ name: nameOf(i), type: 'CNAME', ttl: 60, value: cnameOf(i, 0) })),
    settings: { plan: 'pro' as const },
  }));
  const network = `127.88.${1 + Math.floor(Math.random() * 250)}`;
  const at = (n: number) => `${network}.${n}`;
  const rrsets = numbers
    .flatMap((i) => [cnameOf(i, 0), cnameOf(i, 1)])
    .map((name) => ({ name, type: 'A', ttl: 3600, values: ['127.0.0.1'] }));
  const hosts = providers.flatMap((_, n) => [1, 2].map((k) => `ns${k}.v${n}.example.`));
  const registry = [
    ...zoneNames.map((name) => ({ name, type: 'NS', ttl: 3600, values: hosts })),
    ...hosts.map((name, n) => ({ name, type: 'A', ttl: 3600, values: [at(2 + n)] })),
  ];
  const top = new LabZone({
    name: '.',
    nameServers: ['ns.example.'],
    rrsets: [...rrsets, ...registry],
  });
  const root = await startNameserver({ address: at(1), port: 0, zones: () => [top] });
  const shared = (n: number) => ({
    address: '127.0.0.1',
    dnsAddresses: [at(2 + 2 * n), at(3 + 2 * n)],
    dnsPort: root.port,
    nameServers: hosts.slice(2 * n, 2 * n + 2),
    zones,
  });
  const google = newGoogleAccount(project);
  const { R53_ID: accessKeyId, R53_SECRET: secretAccessKey, CF_TOKEN: apiToken } = secrets;
  const vendors = {
    r53: await startRoute53({ ...shared(0), credentials: { accessKeyId, secretAccessKey } }),
    cf: await startCloudflare({ ...shared(1), credentials: { apiToken } }),
    gdns: await startGoogle({
      ...shared(2),
      credentials: { project, tokens: new GoogleTokens(google) },
    }),
  };
  const each = <T>(what: (vendor: (typeof vendors)['r53' | 'cf' | 'gdns']) => T) =>
    ({ r53: what(vendors.r53), cf: what(vendors.cf), gdns: what(vendors.gdns) }) as const;
  process.on('disconnect', () => process.exit(0));
  process.send!({
    google,
    apis: each(({ api }) => api),
    dns: each(({ dns }) => dns),
    root: { address: root.address, port: root.port },
  } satisfies Lab);
}

/** A listener a cloud, as cheap as can be: what is measured is whoever asks. */
async function serveOrigins(): Promise<void> {
  const answer = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok';
  const open = numbersTo(clouds).map(() => new Set<Socket>());
  const servers = open.map((sockets) =>
    createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      socket.on('error', () => socket.destroy());
      socket.once('data', () => socket.end(answer));
    }),
  );
  const ports: number[] = [];
  for (const server of servers) {
    server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 });
    await once(server, 'listening');
    ports.push((server.address() as { port: number }).port);
  }
  process.on('message', (cloud: number) => {
    servers[cloud]!.close();
    for (const socket of open[cloud]!) socket.destroy();
    process.send!('dead');
  });
  process.on('disconnect', () => process.exit(0));
  process.send!(ports);
}

if (process.argv[1] === import.meta.filename) {
  const [, , role, count] = process.argv;
  if (role === 'vendors') await serveVendors(Number(count));
  else await serveOrigins();
}
