// One account at each DNS provider for the conformance suite: how to start it, use it with and
// without the right key, edit it as a person would, break it, and where its name servers are. The
// clouds are the lab's; BIND, Knot and PowerDNS are real, behind a relay that can lose what a wire
// loses.

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { alidns } from '../../providers/alidns.ts';
import { cloudflare } from '../../providers/cloudflare.ts';
import { dnspod } from '../../providers/dnspod.ts';
import { google } from '../../providers/google.ts';
import {
  addRecord,
  deleteSet,
  encodeName,
  encodeText,
  encodeUpdate,
  sign,
  typeCname,
  typeTxt,
} from '../../providers/kit/dns-update.ts';
import { powerdns } from '../../providers/powerdns.ts';
import { rfc2136 } from '../../providers/rfc2136.ts';
import { route53 } from '../../providers/route53.ts';
import type { Name } from '../../src/core/model.ts';
import { isWithin } from '../../src/core/name.ts';
import { ask, type Server as DnsServer, exchangeTcp } from '../../src/dns/ask.ts';
import { joinText } from '../../src/dns/wire.ts';
import {
  type Candidate,
  type Account as SuiteAccount,
  type Trouble,
  troubles,
} from '../../src/kit/conformance/index.ts';
import type { Provider, ProviderType } from '../../src/kit/extend.ts';
import { parseHostPort, parseSubnet, type Subnet } from '../../src/kit/schema.ts';
import { startAlidns } from '../../src/lab/vendors/alidns.ts';
import { startCloudflare } from '../../src/lab/vendors/cloudflare.ts';
import { startDnspod } from '../../src/lab/vendors/dnspod.ts';
import { startGoogle } from '../../src/lab/vendors/google.ts';
import {
  GoogleTokens,
  googleKeyFile,
  newGoogleAccount,
} from '../../src/lab/vendors/google-tokens.ts';
import { startRoute53 } from '../../src/lab/vendors/route53.ts';
import type { LabVendor, RecordExtra, VendorOptions } from '../../src/lab/vendors/vendor.ts';
import { type BindKey, newKey, startBind, withoutBind } from './bind.ts';
import { startKnot, withoutKnot } from './knot.ts';
import { powerdnsAbsent, startPowerdns } from './powerdns.ts';

export const zone: Name = 'fo.test.';
/** Another zone, wherever an account holds several. */
export const second: Name = 'second.example.';

/** An account of the suite, with what other tests of the adapters want beside. */
export interface Account extends SuiteAccount {
  /**
   * The same account once more: another replica, one with a key that is refused, or one whose way
   * to the vendor leads through `HOST:PORT`.
   */
  open(options?: {
    readonly callTimeoutMs?: number;
    readonly wrongKey?: boolean;
    readonly via?: string;
  }): Provider;
  /** HOST:PORT of the vendor itself, for what stands in the way. */
  readonly place: string;
  /** The lab's vendor; null where the server is a real one. */
  readonly vendor: LabVendor | null;
  /** A person at the console: these values in the place of all of that type; null for none. */
  edit(
    name: Name,
    type: 'CNAME' | 'TXT' | 'A',
    values: string | readonly string[] | null,
    ttl?: number,
  ): Promise<void>;
  readonly servers: readonly DnsServer[];
}

export interface Row extends Omit<Candidate, 'start'> {
  /** What was taken is given a while later, and of two questions one may meet each moment. */
  readonly givesLater?: true;
  start(): Promise<Account>;
}

const inCi = Boolean(process.env.CI);

export const rows: readonly Row[] = [
  {
    title: route53.capabilities.title,
    capabilities: route53.capabilities,
    skip: false,
    start: () =>
      inLab(
        startRoute53,
        { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'the-secret-of-this-test' },
        (vendor, credentials) => [
          route53,
          {
            credentials: { accessKeyId: { env: 'A' }, secretAccessKey: { env: 'B' } },
            endpoint: vendor.api,
          },
          { A: credentials.accessKeyId, B: credentials.secretAccessKey },
        ],
        [
          ['weighted', 'a weight', { setIdentifier: 'one', weight: 10 }],
          ['alias', 'an alias', { aliasTarget: 'lb.example.com.' }],
        ],
      ),
  },
  {
    title: cloudflare.capabilities.title,
    capabilities: cloudflare.capabilities,
    skip: false,
    start: () =>
      inLab(
        startCloudflare,
        { apiToken: 'the-token-of-this-test-0123456789abcdefg' },
        (vendor, credentials) => [
          cloudflare,
          { apiToken: { env: 'A' }, endpoint: vendor.api },
          { A: credentials.apiToken },
        ],
        [
          ['proxied', 'the proxy', { proxied: true }],
          ['flattened', 'flattening', { flattenCname: true }],
        ],
      ),
  },
  {
    title: alidns.capabilities.title,
    capabilities: alidns.capabilities,
    skip: false,
    start: () =>
      inLab(
        startAlidns,
        { accessKeyId: 'LTAIexample', accessKeySecret: 'the-secret-of-this-test' },
        (vendor, credentials) => [
          alidns,
          {
            accessKeyId: { env: 'A' },
            accessKeySecret: { env: 'B' },
            endpoint: vendor.api,
          },
          { A: credentials.accessKeyId, B: credentials.accessKeySecret },
        ],
        [
          ['disabled', 'a pause', { status: 'DISABLE' }],
          ['locked', 'a lock', { locked: true }],
        ],
        { telecom: ['202.96.128.0/24'], unicom: ['202.106.0.0/24'] },
      ),
  },
  {
    title: dnspod.capabilities.title,
    capabilities: dnspod.capabilities,
    skip: false,
    start: () =>
      inLab(
        startDnspod,
        {
          secretId: 'AKIDexample0123456789',
          secretKey: 'the-secret-of-this-test',
          token: 'the-token-of-this-test',
        },
        (vendor, credentials) => [
          dnspod,
          {
            secretId: { env: 'A' },
            secretKey: { env: 'B' },
            token: { env: 'C' },
            endpoint: vendor.api,
          },
          { A: credentials.secretId, B: credentials.secretKey, C: credentials.token },
        ],
        [
          ['weighted', 'a weight', { weight: 10 }],
          ['disabled', 'a pause', { status: 'DISABLE' }],
          ['health-check', 'a monitor of the vendor’s', { monitorStatus: 'Ok' }],
        ],
        { 电信: ['202.96.128.0/24'], 联通: ['202.106.0.0/24'] },
      ),
  },
  {
    title: google.capabilities.title,
    capabilities: google.capabilities,
    skip: false,
    start: () => {
      const [project, tokenUri] = ['detour-tests', 'https://oauth2.googleapis.com/token'];
      const [right, wrong] = [newGoogleAccount(project), newGoogleAccount(project)];
      const keyFile = googleKeyFile(project, right, tokenUri);
      return inLab(
        startGoogle,
        { project, tokens: new GoogleTokens(right) },
        (vendor) => [
          google,
          { project, credentials: { serviceAccount: { env: 'A' } }, endpoint: vendor.api },
          { A: keyFile },
          // The same account and key by name, and another key.
          { A: googleKeyFile(project, { ...wrong, keyId: right.keyId }, tokenUri) },
        ],
        [['weighted', 'a routing policy', { routingPolicy: 'wrr' }]],
      );
    },
  },
  {
    title: 'Dynamic update with TSIG: BIND',
    capabilities: rfc2136.capabilities,
    skip: withoutBind,
    start: async () => {
      const [first, other] = [{ name: zone }, { name: second }];
      const bind = await startBind({ zones: [first, other], keys: [newKey('detour.')] });
      return byUpdates(bind, bind.keys[0]!, {
        null: () => bind.reload([first, other]),
        deleted: () => bind.reload([first]),
        // A zone that BIND serves already it goes on serving when its file is gone.
        unloaded: async () => {
          await bind.reload([first]);
          await bind.reload([first, { ...other, trouble: 'unloaded' }]);
        },
        hidden: () => bind.reload([first, { ...other, trouble: 'hidden' }]),
        denied: () => bind.reload([first, { ...other, policy: ['grant nobody. zonesub ANY;'] }]),
      });
    },
  },
  {
    title: 'Dynamic update with TSIG: BIND that signs',
    givesLater: true,
    capabilities: rfc2136.capabilities,
    skip: withoutBind,
    start: async () => {
      const zones = [zone, second].map((name) => ({ name, signed: true as const }));
      const bind = await startBind({ zones, keys: [newKey('detour.')] });
      return byUpdates(bind, bind.keys[0]!, { null: async () => {} });
    },
  },
  {
    title: 'Dynamic update with TSIG: Knot',
    capabilities: rfc2136.capabilities,
    skip: withoutKnot,
    start: async () => {
      const [first, other] = [zone, second].map((name) => ({ name, signed: true as const }));
      const knot = await startKnot({ zones: [first!, other!], keys: [newKey('detour.')] });
      return byUpdates(knot, knot.keys[0]!, {
        null: () => knot.reload([first!, other!]),
        deleted: () => knot.reload([first!]),
        denied: () => knot.reload([first!, { ...other!, updaters: [] }]),
      });
    },
  },
  {
    title: 'Dynamic update with TSIG: PowerDNS',
    capabilities: rfc2136.capabilities,
    skip: inCi ? false : (powerdnsAbsent() ?? false),
    start: async () => {
      const key = newKey('detour.');
      const server = await startPowerdns({ keys: [key], others: [second], signed: true });
      const allow = (...names: string[]) =>
        server.util('set-meta', second, 'TSIG-ALLOW-DNSUPDATE', ...names);
      return byUpdates({ ...serverOf(server.dns), stop: server.close }, key, {
        null: async () => {
          if (!server.util('list-all-zones').includes('second.example')) {
            server.util('create-zone', second, `ns1.${second}`);
          }
          allow('detour');
        },
        deleted: async () => void server.util('delete-zone', second),
        denied: async () => void allow('somebody-else'),
      });
    },
  },
  {
    title: powerdns.capabilities.title,
    capabilities: powerdns.capabilities,
    skip: inCi ? false : (powerdnsAbsent() ?? false),
    start: onPowerdns,
  },
];

// ---------------------------------------------------------------- the lab's vendors

type Opening = readonly [
  row: ProviderType<unknown>,
  settings: object,
  secrets: Readonly<Record<string, string>>,
  /** What is well-formed and refused; the same with letters changed places unless given. */
  wrong?: Readonly<Record<string, string>>,
];

async function inLab<C>(
  start: (options: VendorOptions<C>) => Promise<LabVendor>,
  credentials: C,
  opening: (vendor: LabVendor, credentials: C) => Opening,
  oddities: readonly (readonly [word: string, what: string, extra: RecordExtra])[],
  lineRanges: Readonly<Record<string, readonly string[]>> = {},
): Promise<Account> {
  const vendor = await start({
    address: '127.0.0.1',
    dnsAddresses: ['127.0.0.1', '127.0.0.2'],
    dnsPort: 0,
    zones: [
      { name: zone, records: [], settings: { lineRanges } },
      { name: second, records: [] },
    ],
    credentials,
    quotas: 'off',
    ttlMin: 60,
    propagationMs: 1,
    changeMs: 2,
    indexLagMs: 1,
  });
  const [row, settings, secrets, wrong] = opening(vendor, credentials);
  const { host } = new URL(vendor.api);
  const servers = vendor.dns.map(serverOf);
  return {
    zone,
    secrets: Object.values(secrets),
    open: opener(row, (via) => rerouted(settings, host, via), secrets, wrong),
    place: host,
    vendor,
    edit: async (name, type, values, ttl) => vendor.edit(name, type, valuesOf(values), ttl),
    look: (name, type) => look(servers, name, type),
    requests: () => vendor.calls.length,
    faults: vendor.faults.filter(isTrouble),
    fault: async (how) => vendor.fault(how),
    secondZone: {
      zone: second,
      // These vendors count an account's calls, whatever zone they are of.
      faults: vendor.zoneFaults.filter((how) => how !== 'throttle'),
      fault: async (how) => vendor.zoneFault(second, how),
    },
    servers,
    ...linesOf(vendor, servers, lineRanges),
    oddities: oddities.map(([word, what, extra]) => ({
      word,
      what,
      make: (name) => vendor.edit(name, 'CNAME', 'a.example.com.', 300, extra),
    })),
    close: () => vendor.close(),
  };
}

/** Lines of the lab's vendor, each seen from a range of its users'. */
function linesOf(
  vendor: LabVendor,
  servers: readonly DnsServer[],
  ranges: Readonly<Record<string, readonly string[]>>,
): Pick<Account, 'lines'> {
  const others = Object.keys(ranges);
  if (others.length === 0) return {};
  return {
    lines: {
      others,
      edit: async (name, line, cname, ttl) => vendor.edit(name, 'CNAME', cname, ttl, { line }),
      look: (name, line) => {
        const subnet = parseSubnet(ranges[line]?.[0] ?? '');
        return look(servers, name, 'CNAME', subnet === null ? {} : { subnet });
      },
    },
  };
}

/** Waits until a server that signs its zone by itself gives what was changed there. */
async function given(
  server: DnsServer,
  name: Name,
  type: 'CNAME' | 'TXT' | 'A',
  values: readonly string[],
): Promise<void> {
  const plain = (list: readonly string[]) =>
    JSON.stringify(list.map((v) => v.toLowerCase().replace(/\.$/, '')).sort());
  const deadline = performance.now() + 10_000;
  for (;;) {
    const asked = await ask(server, { name, type }, { timeoutMs: 2000, tcp: true });
    const answers = asked.kind === 'reply' ? asked.message.answers : [];
    const there = answers.flatMap((a) => {
      if (a.type !== type || a.name !== name.toLowerCase()) return [];
      return a.type === 'TXT' ? joinText(a.strings) : a.type === 'CNAME' ? a.target : a.address;
    });
    if (asked.kind === 'reply' && plain(there) === plain(values)) return;
    if (performance.now() > deadline) throw new Error(`the edit of ${name} is not given`);
    await pause(5);
  }
}

/** What every server gives, asked on the wire; none of them may be silent. */
function look(
  servers: readonly DnsServer[],
  name: Name,
  type: 'CNAME' | 'TXT',
  as: { readonly subnet?: Subnet } = {},
): Promise<readonly (readonly string[])[]> {
  return Promise.all(
    servers.map(async (server) => {
      const asked = await ask(server, { name, type }, { timeoutMs: 2000, ...as });
      if (asked.kind !== 'reply') return [`no answer: ${asked.detail}`];
      const { answers, authoritative, rcode } = asked.message;
      if (!authoritative) return [`not authoritative: ${rcode}`];
      return answers.flatMap((a) =>
        a.type === 'CNAME' && type === 'CNAME'
          ? [a.target]
          : a.type === 'TXT' && type === 'TXT'
            ? [joinText(a.strings)]
            : [],
      );
    }),
  );
}

function isTrouble(word: string): word is Trouble {
  return word in troubles || word === 'lost-reply' || word === 'stale-read';
}

/** As the lab and the servers take it: null where nothing is to stand. */
function valuesOf(values: string | readonly string[] | null): readonly string[] | null {
  const list = values === null ? [] : [values].flat();
  return list.length === 0 ? null : list;
}

/** The same settings with another host in the endpoint. */
function rerouted(settings: object, host: string, via: string | null): object {
  const { endpoint } = settings as { readonly endpoint: string };
  return via === null ? settings : { ...settings, endpoint: endpoint.replace(host, via) };
}

function opener(
  row: ProviderType<unknown>,
  settings: (via: string | null) => object,
  secrets: Readonly<Record<string, string>>,
  wrong?: Readonly<Record<string, string>>,
): Account['open'] {
  return ({ callTimeoutMs = 5000, wrongKey = false, via } = {}) =>
    row.create(row.type, row.settings.parse(settings(via ?? null)), {
      callTimeoutMs,
      secret: (ref) => {
        const { env } = ref as { env: string };
        const right = secrets[env]!;
        if (wrongKey && wrong !== undefined) return wrong[env]!;
        // The halves of its first 16 letters swapped: as long, as well-formed, and wrong.
        return wrongKey ? right.slice(8, 16) + right.slice(0, 8) + right.slice(16) : right;
      },
    });
}

function serverOf(text: string): DnsServer {
  const { host, port } = parseHostPort(text, null)!;
  return { address: host, port };
}

// ---------------------------------------------------------------- the real servers

/** What makes the second zone sick, by the word for it; `null` heals. */
type ZoneStates = Readonly<Record<string, () => Promise<void>>> & { null(): Promise<void> };

/** A running name server that takes updates signed with this key. */
async function byUpdates(
  server: DnsServer & { stop(): Promise<void> },
  key: BindKey,
  zones: ZoneStates,
): Promise<Account> {
  const direct = { address: server.address, port: server.port };
  // Opcode 5 in the header behind the two octets of the length (RFC 1035 4.1.1, 4.2.2).
  const relay = await Relay.start(direct, (b) => b.length > 4 && ((b[4]! >> 3) & 15) === 5);
  const types = { A: 1, CNAME: typeCname, TXT: typeTxt };
  const data = {
    A: (value: string) => Buffer.from(value.split('.').map(Number)),
    CNAME: encodeName,
    TXT: encodeText,
  };
  const tsig = {
    name: key.name,
    algorithm: key.algorithm,
    secret: Buffer.from(key.secret, 'base64'),
  };
  let id = 1;
  let sick = 'null';
  return {
    zone,
    secrets: [key.secret],
    open: opener(
      rfc2136,
      (via) => ({
        server: via ?? relay.place,
        tsig: { name: key.name, algorithm: key.algorithm, secret: { env: 'A' } },
      }),
      { A: key.secret },
    ),
    place: `${direct.address}:${direct.port}`,
    vendor: null,
    async edit(name, type, values, ttl = 300) {
      const list = valuesOf(values) ?? [];
      const updates = [
        // A CNAME that is added takes the place of the other (RFC 2136 3.4.2.2).
        ...(type === 'CNAME' && list.length > 0 ? [] : [deleteSet(name, types[type])]),
        ...list.map((value) => addRecord(name, types[type], ttl, data[type](value))),
      ];
      const at = isWithin(name, second) ? second : zone;
      const message = sign(encodeUpdate(id++, at, [], updates), tsig, Date.now()).bytes;
      const server = { host: direct.address, port: direct.port };
      const { replies } = await exchangeTcp(server, [message], { timeoutMs: 5000 });
      const rcode = replies[0] ? replies[0][3]! & 15 : -1;
      if (rcode !== 0) throw new Error(`the edit was not taken: ${rcode}`);
      await given(direct, name, type, list);
    },
    look: (name, type) => look([direct], name, type),
    requests: () => relay.connections,
    faults: relay.faults,
    fault: (how) => relay.fault(how),
    servers: [direct],
    oddities: [],
    secondZone: {
      zone: second,
      faults: Object.keys(zones).filter((word) => word !== 'null'),
      async fault(how) {
        const word = how ?? 'null';
        if (word !== sick) await zones[word]!();
        sick = word;
      },
    },
    async close() {
      await relay.close();
      await server.stop();
    },
  };
}

async function onPowerdns(): Promise<Account> {
  const server = await startPowerdns({ signed: true });
  const { hostname, port } = new URL(server.api);
  const relay = await Relay.start({ address: hostname, port: Number(port) }, (bytes) =>
    bytes.subarray(0, 6).equals(Buffer.from('PATCH ')),
  );
  const atConsole = async (body: object) => {
    const response = await fetch(`${server.api}/api/v1/servers/localhost/zones/${zone}`, {
      method: 'PATCH',
      headers: { 'x-api-key': server.apiKey },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(5000),
    });
    if (response.status !== 204) throw new Error(`PowerDNS: ${await response.text()}`);
  };
  return {
    zone,
    secrets: [server.apiKey],
    open: opener(
      powerdns,
      (via) => ({ endpoint: `http://${via ?? relay.place}`, zone, apiKey: { env: 'A' } }),
      { A: server.apiKey },
    ),
    place: `${hostname}:${port}`,
    vendor: null,
    async edit(name, type, values, ttl = 300) {
      const list = valuesOf(values);
      const records = (list ?? []).map((value) => ({
        content: type === 'TXT' ? `"${value}"` : value,
        disabled: false,
      }));
      const changetype = list === null ? 'DELETE' : 'REPLACE';
      await atConsole({ rrsets: [{ name, type, ttl, changetype, records }] });
    },
    look: (name, type) => look([serverOf(server.dns)], name, type),
    requests: () => relay.connections,
    faults: relay.faults,
    fault: (how) => relay.fault(how),
    servers: [serverOf(server.dns)],
    oddities: [],
    // One provider has the one zone of its configuration.
    secondZone: null,
    async close() {
      await relay.close();
      await server.close();
    },
  };
}

type RelayFault = Extract<Trouble, 'hang' | 'refuse' | 'reset' | 'lost-reply'>;

/** A wire between the adapter and a real server, on a port of its own. */
class Relay {
  readonly faults: readonly RelayFault[] = ['hang', 'refuse', 'reset', 'lost-reply'];
  /** Taken from whoever came, since the start. */
  connections = 0;
  readonly #target: DnsServer;
  readonly #isWrite: (bytes: Buffer) => boolean;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #port = 0;
  #how: RelayFault | null = null;

  static async start(target: DnsServer, isWrite: (bytes: Buffer) => boolean): Promise<Relay> {
    const relay = new Relay(target, isWrite);
    await relay.#listen();
    return relay;
  }

  private constructor(target: DnsServer, isWrite: (bytes: Buffer) => boolean) {
    this.#target = target;
    this.#isWrite = isWrite;
    this.#server = createServer((client) => this.#serve(client));
  }

  get place(): string {
    return `127.0.0.1:${this.#port}`;
  }

  async fault(how: string | null): Promise<void> {
    const before = this.#how;
    this.#how = how as RelayFault | null;
    if (how === 'refuse') await this.#stop();
    else if (before === 'refuse') await this.#listen();
    if (before === 'hang') this.#cut();
  }

  async close(): Promise<void> {
    if (this.#server.listening) await this.#stop();
  }

  async #listen(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as { port: number }).port;
  }

  async #stop(): Promise<void> {
    this.#server.close();
    this.#cut();
    await once(this.#server, 'close');
  }

  #cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #serve(client: Socket): void {
    this.connections++;
    this.#keep(client);
    if (this.#how === 'hang') return void client.resume();
    if (this.#how === 'reset') return void client.resetAndDestroy();
    const server = connect(this.#target.port, this.#target.address);
    this.#keep(server);
    let wrote: boolean | null = null;
    client.on('data', (bytes: Buffer) => {
      wrote ??= this.#isWrite(bytes);
      server.write(bytes);
    });
    server.on('data', (bytes: Buffer) => {
      if (wrote !== true || this.#how !== 'lost-reply') return void client.write(bytes);
      this.#how = null;
      client.resetAndDestroy();
    });
    client.on('close', () => server.destroy());
    server.on('close', () => client.end());
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    // A cut is what the wire is for; both ends hear of it by their own close.
    socket.on('error', () => {});
  }
}
