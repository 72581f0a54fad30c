// `detour lab`: starts the small internet and the real daemon in front of it, shows what happens,
// and lets a second terminal break things. Everything it starts it also ends, whatever happens: by
// Ctrl-C, by `stop`, by a failure half-way. With --json it prints exactly one line on stdout, when
// all is ready. It must never crash because nobody reads its output any more, and never wait
// without a deadline.

import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { createWriteStream, renameSync, rmSync, type WriteStream } from 'node:fs';
import { get } from 'node:http';
import { createServer } from 'node:net';
import { join, relative, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Part } from '../clouds/cloud.ts';
import {
  isNumbered,
  isScope,
  type Lab,
  type LabRecord,
  otherZone,
  recordsMost,
  startLab,
  zoneWord,
} from '../lab.ts';
import type { LabVendor } from '../vendors/vendor.ts';
import {
  askControl,
  type ControlReply,
  type ControlRequest,
  isAnswered,
  LabError,
  type SocketPlace,
  scopes,
  socketPlace,
  startControl,
} from './control.ts';
import {
  claimDirectory,
  clearDirectory,
  configPath,
  labSettings,
  logPath,
  writeSettings,
} from './settings.ts';
import { askCname, Story, seconds, shortName, WireWatch } from './story.ts';

/** A stream to write to, such as `process.stdout`. */
interface Out extends NodeJS.WritableStream {
  readonly isTTY?: boolean | undefined;
  readonly writableLength?: number;
}

export interface LabIo {
  /** The program with its first arguments, `[node, main.js]`; `run -c FILE` is added. */
  readonly daemonArgv: readonly string[];
  /** This process's own unless given; so with the next three. */
  readonly stdout?: Out;
  readonly stderr?: Out;
  /** The folder that relative paths start from. */
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Ends the lab; without it, SIGINT, SIGTERM and SIGHUP of this process do. */
  readonly stop?: AbortSignal;
}

interface Io {
  readonly daemonArgv: readonly string[];
  readonly stdout: Out;
  readonly stderr: Out;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stop: AbortSignal | null;
}

/**
 * Does what `detour lab ARGV` says and resolves with the exit code: 0 done, 1 the world refused,
 * 2 wrong input. Starting a lab resolves when it has ended.
 */
export async function labCommand(argv: readonly string[], given: LabIo): Promise<number> {
  const { stdout, stderr, env } = process;
  const io: Io = { stdout, stderr, env, cwd: process.cwd(), stop: null, ...given };
  survive(io.stdout);
  survive(io.stderr);
  try {
    const call = readArguments(argv);
    if (call.flags.help) {
      say(io.stdout, usage);
      return 0;
    }
    return call.word === 'start' ? await start(call.flags, io) : await tell(call, io);
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
    say(io.stderr, `detour lab: ${error.message}`);
    return error.exit;
  }
}

const usage = `detour lab: a small internet on loopback, with the daemon in front of it

  detour lab                        start it; Ctrl-C ends it
    --demo                          break the primary cloud, show the way out, end
    --json                          one line of JSON on stdout when all is ready
    --no-daemon                     the internet alone
    --records N                     N more records, r0001.gslb.example.net and so on
    --quotas real|off               whether the vendors limit calls (real)
    --ttl SECONDS                   TTL of the records (60)
    --paths 1|3                     ways out: this machine's own, or three that can be broken,
                                    with reference points and checks of the clouds' services (1)
    --clouds 2|3                    clouds; a third one holds the last target of every record (2)
    --zones 1|2                     zones at every vendor; the second one is other.example (1)
    --vendors 3|4                   DNS vendors; the fourth one is DNSPod (3)
    --needs                         hangzhou needs the object store of its cloud
    --port N                        the daemon's metrics and page at 127.0.0.1:N (a free port)
  detour lab break SCOPE NAME [--how FAULT] [--share 0.3]
                                    break something (refuse; of a path or an uplink: cut; of a
                                    zone: denied)
  detour lab heal [SCOPE NAME]      heal it, or everything
  detour lab edit VENDOR RECORD VALUE
                                    change a record by hand, as at the vendor's console: to a name,
                                    to a target, or to none
  detour lab protect VENDOR RECORD  protect a record at route53 or alidns; heal vendor lifts it
  detour lab status [--json]        what is broken, and what the vendors answer
  detour lab stop                   end it

  --dir DIR                         the lab's directory (.detour/lab)

What can be broken, and how:
  cloud, region, origin, store, api, reference
                 refuse, hang, reset, 5xx, slow, drip, wrong-body, flap, loss (of a --share)
  cloud, region, store
                 auth: valid keys are refused while the machines go on, as on 2023-11-12
  cloud, api     control: the API alone answers 503
  path, uplink   refuse, hang, auth, cut, loss, slow; an uplink is a line, a site, several with
                 commas, or all
  vendor         hang (its API is stuck, its DNS goes on), refuse, reset, error, html, throttle,
                 auth (valid keys are refused), lost-reply (applied, and mended by itself),
                 stale-read, dns-lag (one name server stays behind), block (for five minutes),
                 second-writer (competing markers now and then), protected (its records cannot be
                 changed); partial-batch is nothing these vendors can do: batches are whole or none
  zone           one zone at one vendor, VENDOR ZONE: deleted, paused (or locked, where the vendor
                 pauses none), moved (to another account or other servers), denied (to this key),
                 hang, error, throttle
  Regions are called cn-hangzhou or aliyun/cn-hangzhou.`;

// ---------------------------------------------------------------- arguments

interface Flags {
  readonly help: boolean;
  readonly json: boolean;
  readonly daemon: boolean;
  readonly demo: boolean;
  readonly dir: string | null;
  readonly records: number;
  readonly quotas: 'real' | 'off';
  readonly ttl: number;
  readonly paths: number;
  readonly clouds: number;
  readonly zones: number;
  readonly vendors: number;
  readonly needs: boolean;
  readonly port: number | null;
}

type Call =
  | { readonly word: 'start'; readonly flags: Flags }
  | { readonly word: 'tell'; readonly flags: Flags; readonly request: ControlRequest };

const optionsOf: Readonly<Record<string, readonly string[]>> = {
  start: [
    ...['json', 'no-daemon', 'demo', 'dir', 'help'],
    ...['records', 'quotas', 'ttl', 'paths', 'clouds', 'zones', 'vendors', 'needs', 'port'],
  ],
  break: ['how', 'share', 'dir', 'help'],
  heal: ['dir', 'help'],
  edit: ['dir', 'help'],
  protect: ['dir', 'help'],
  status: ['json', 'dir', 'help'],
  stop: ['dir', 'help'],
};

function readArguments(argv: readonly string[]): Call {
  const { values, positionals } = parseWords(argv);
  const [word = 'start', ...rest] = positionals;
  const allowed = optionsOf[word];
  if (allowed === undefined || (word === 'start' && positionals.length > 0)) {
    throw wrong(`"${word}" is no command of it`);
  }
  const stray = Object.keys(values).find((name) => !allowed.includes(name));
  if (stray !== undefined) throw wrong(`--${stray} does not go with ${word}`);
  const quotas = values.quotas ?? 'real';
  if (quotas !== 'real' && quotas !== 'off') throw wrong(`--quotas: expected real or off`);
  const flags: Flags = {
    help: values.help ?? false,
    json: values.json ?? false,
    daemon: !(values['no-daemon'] ?? false),
    demo: values.demo ?? false,
    dir: values.dir ?? null,
    records: wholeNumber('records', values.records ?? '0', 0, recordsMost),
    quotas,
    ttl: wholeNumber('ttl', values.ttl ?? '60', 1, 86_400),
    paths: oneOf('paths', values.paths ?? '1', ['1', '3']),
    clouds: oneOf('clouds', values.clouds ?? '2', ['2', '3']),
    zones: oneOf('zones', values.zones ?? '1', ['1', '2']),
    vendors: oneOf('vendors', values.vendors ?? '3', ['3', '4']),
    needs: values.needs ?? false,
    port: values.port === undefined ? null : wholeNumber('port', values.port, 1, 65_535),
  };
  if (flags.demo && !flags.daemon) throw wrong('--demo needs the daemon');
  if (word === 'start') return { word, flags };
  if (flags.help) return { word: 'tell', flags, request: { kind: 'status' } };
  const { how, share } = values;
  return { word: 'tell', flags, request: toRequest(word, rest, how, share) };
}

function parseWords(argv: readonly string[]) {
  const text = { type: 'string' } as const;
  const yes = { type: 'boolean' } as const;
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        help: { ...yes, short: 'h' },
        json: yes,
        'no-daemon': yes,
        demo: yes,
        dir: text,
        records: text,
        quotas: text,
        ttl: text,
        paths: text,
        clouds: text,
        zones: text,
        vendors: text,
        needs: yes,
        port: text,
        how: text,
        share: text,
      },
    });
  } catch (error) {
    // parseArgs throws for its input alone; its later sentences are advice about syntax.
    throw wrong((error as Error).message.split(/[.\n] ?/, 1)[0]!);
  }
}

function toRequest(
  word: string,
  rest: readonly string[],
  how: string | undefined,
  shareText: string | undefined,
): ControlRequest {
  const [scope, name] = scopeAndName(rest);
  switch (word) {
    case 'status':
    case 'stop':
      if (rest.length > 0) throw wrong(`${word} takes no name`);
      return { kind: word };
    case 'edit': {
      const [vendor, record, value] = rest;
      if (vendor === undefined || record === undefined || value === undefined || rest.length > 3) {
        throw wrong('edit: say the vendor, the record and the value, or none');
      }
      return { kind: 'edit', vendor, record, value: value === 'none' ? null : value };
    }
    case 'protect':
      if (scope === undefined || name === undefined) {
        throw wrong('protect: say the vendor and the record');
      }
      return { kind: 'protect', vendor: scope, record: name };
    case 'heal':
      if (rest.length === 0) return { kind: 'heal', scope: null, name: '' };
  }
  if (!isScope(scope) || name === undefined) {
    throw wrong(`${word}: say one of ${scopes.join(', ')}, and its name`);
  }
  if (word === 'heal') return { kind: 'heal', scope, name };
  const share = shareText === undefined ? null : shareOf(shareText);
  const usual = scope === 'path' || scope === 'uplink' ? 'cut' : 'refuse';
  return { kind: 'break', scope, name, how: how ?? (scope === 'zone' ? 'denied' : usual), share };
}

/** A zone may be said in two words, its vendor and its name; what is too long has no name. */
function scopeAndName(rest: readonly string[]): readonly (string | undefined)[] {
  const [scope, name, more] = rest;
  if (scope === 'zone' && rest.length === 3) return [scope, `${name}/${more}`];
  return rest.length > 2 ? [scope] : [scope, name];
}

function shareOf(text: string): number {
  const share = /^(0?\.\d{1,4}|1)$/.test(text) ? Number(text) : 0;
  if (share > 0) return share;
  throw wrong(`--share: expected a share such as 0.3, at most 1, not "${text}"`);
}

function oneOf(name: string, text: string, known: readonly string[]): number {
  if (known.includes(text)) return Number(text);
  throw wrong(`--${name}: expected ${known.join(' or ')}, not "${text}"`);
}

function wholeNumber(name: string, text: string, least: number, most: number): number {
  const value = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw wrong(`--${name}: expected a whole number from ${least} to ${most}, not "${text}"`);
}

function wrong(sentence: string): LabError {
  return new LabError(`${sentence}; see \`detour lab --help\``, 2);
}

// ---------------------------------------------------------------- talking to a running lab

const stopMs = 20_000;
const socketNames = { lab: 'lab.sock', daemon: 'detour.sock' } as const;

function placeOf(flags: Flags, io: Io): SocketPlace & { readonly lab: string } {
  const lab = resolve(io.cwd, flags.dir ?? join('.detour', 'lab'));
  return { ...socketPlace(lab, Object.values(socketNames)), lab };
}

async function tell(
  call: { readonly flags: Flags; readonly request: ControlRequest },
  io: Io,
): Promise<number> {
  const socket = join(placeOf(call.flags, io).directory, socketNames.lab);
  const reply = await askControl(socket, call.request);
  if (reply.exit !== 0) throw new LabError(reply.message, reply.exit);
  if (call.request.kind === 'stop') await untilGone(socket);
  say(io.stdout, call.flags.json ? JSON.stringify(reply.detail ?? null) : reply.message);
  return 0;
}

/** Waits until nobody answers on a lab's socket any more. */
async function untilGone(socket: string): Promise<void> {
  const deadline = performance.now() + stopMs;
  while (performance.now() < deadline) {
    try {
      await askControl(socket, { kind: 'status' }, 2000);
    } catch (error) {
      if (error instanceof LabError && error.gone) return;
    }
    await sleep(50);
  }
  throw new LabError(`the lab on ${socket} has not ended after ${stopMs / 1000} s`);
}

// ---------------------------------------------------------------- a lab from start to end

const readyMs = 60_000;
const healthyMs = 5000;
const demoMs = 60_000;
const lastWordsMs = 3000;

async function start(flags: Flags, io: Io): Promise<number> {
  const stopping = new AbortController();
  const release = onStop(io, () => stopping.abort());
  const closers: (() => void | Promise<void>)[] = [release];
  try {
    const session = await open(flags, io, stopping, closers);
    if (session.daemon !== null) {
      const ready = await session.daemon.ready(session.listen, stopping.signal);
      if (!ready) return 0;
    }
    announce(session);
    if (flags.demo) return await demo(session, stopping.signal);
    await linger(session, stopping.signal);
    return 0;
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

interface Session {
  readonly flags: Flags;
  readonly io: Io;
  readonly lab: Lab;
  readonly directory: string;
  /** The daemon's control socket. */
  readonly socket: string;
  /** Base URL of the daemon's metrics and readiness. */
  readonly listen: string;
  readonly story: Story;
  /** Null where only a program reads: it needs no extra questions beside its own. */
  readonly watch: WireWatch | null;
  readonly daemon: Daemon | null;
  readonly print: (line: string) => void;
}

/** Starts everything in its order; what was started is in `closers`, also when it throws. */
async function open(
  flags: Flags,
  io: Io,
  stopping: AbortController,
  closers: (() => void | Promise<void>)[],
): Promise<Session> {
  const place = placeOf(flags, io);
  claimDirectory(place.lab);
  let session: Session | null = null;
  const control = await startControl(join(place.directory, socketNames.lab), async (request) => {
    if (request.kind === 'stop') {
      stopping.abort();
      return { exit: 0, message: 'the lab has ended' };
    }
    if (session === null) return { exit: 1, message: 'the lab is still starting: try again' };
    return obey(request, session);
  });
  closers.push(async () => {
    await control.close();
    // Sockets that stand elsewhere have that place to themselves.
    if (place.note !== null) rmSync(place.directory, { recursive: true, force: true });
  });
  const socket = join(place.directory, socketNames.daemon);
  if (flags.daemon && (await isAnswered(socket))) {
    throw new LabError(
      `a daemon answers on ${socket}: perhaps a lab was killed and left it; end that daemon first`,
    );
  }
  clearDirectory(place.lab);

  const { records, quotas, ttl, paths, clouds, vendors, needs } = flags;
  const zones = flags.zones === 1 ? [] : [otherZone];
  const lab = await startLab({ records, quotas, ttl, paths, clouds, zones, vendors });
  closers.push(() => lab.close());
  const listenPort = flags.port ?? (await freePort());
  const settings = labSettings(lab, { directory: place.lab, socket, listenPort, needs });
  writeSettings(settings, place.lab);

  const out = flags.json ? io.stderr : io.stdout;
  const print = (line: string) => say(out, line);
  if (place.note !== null) print(place.note);
  const story = newStory(lab, print, out.isTTY === true && !io.env['NO_COLOR']);
  const watch = flags.json && !flags.demo ? null : newWatch(lab, story);
  if (watch !== null) closers.push(() => watch.close());
  const listen = `http://127.0.0.1:${listenPort}`;
  const parts = { flags, io, lab, directory: place.lab, socket, listen, story, watch, print };
  for (const line of introduction(parts)) print(line);
  const daemon = flags.daemon ? startDaemon(io, place.lab, story) : null;
  if (daemon !== null) closers.push(() => daemon.close());
  session = { ...parts, daemon };
  return session;
}

/** Calls back when the lab is to end; the returned function stops listening. */
function onStop(io: Io, stop: () => void): () => void {
  if (io.stop !== null) {
    const signal = io.stop;
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    return () => signal.removeEventListener('abort', stop);
  }
  // Heard again and again: a terminal and npm may both pass on the same Ctrl-C.
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of signals) process.on(name, stop);
  // What npm is sent does not reach what npm has started: end when the one in between is gone.
  const parent = process.ppid;
  const look = () => process.ppid !== parent && stop();
  const timer = io.env['npm_lifecycle_event'] === 'start' ? setInterval(look, 500) : undefined;
  return () => {
    clearInterval(timer);
    for (const name of signals) process.removeListener(name, stop);
  };
}

/** What a second terminal asked for. */
async function obey(request: ControlRequest, session: Session): Promise<ControlReply> {
  const { lab, story, watch } = session;
  const atMs = Date.now();
  const deed = await done(request, lab);
  if (deed === null) return status(session);
  if (request.kind === 'break') story.fault(deed, atMs);
  else story.tell('fault', 'lab', deed, atMs);
  watch?.hurry();
  return { exit: 0, message: deed };
}

/** What was done to the lab; null when nothing was to be done. */
async function done(request: ControlRequest, lab: Lab): Promise<string | null> {
  switch (request.kind) {
    case 'break':
      return lab.break(request.scope, request.name, request.how, request.share);
    case 'heal':
      return lab.heal(request.scope, request.name);
    case 'edit':
      return lab.edit(request.vendor, request.record, request.value);
    case 'protect':
      return lab.protect(request.vendor, request.record);
    default:
      return null;
  }
}

async function linger(session: Session, stop: AbortSignal): Promise<void> {
  const { daemon, io, flags, print } = session;
  if (daemon !== null) {
    void daemon.ended.then((how) => {
      if (stop.aborted) return;
      print(`The daemon has ended: ${how}. The lab goes on; start the daemon again with`);
      print(`  ${daemon.line}`);
    });
    if (io.stdout.isTTY === true && !flags.json && (await pause(healthyMs, stop))) {
      const broken = session.story.faultAtMs !== null;
      if (!broken) print(`\nAll is well. Break the primary cloud: ${hint(session, 'break')}\n`);
    }
  }
  await aborted(stop);
}

/** Breaks the primary cloud and shows what follows; 0 when every vendor has moved. */
async function demo(session: Session, stop: AbortSignal): Promise<number> {
  const { lab, story, daemon, print, io } = session;
  if (!(await pause(healthyMs, stop))) return 0;
  const cloud = lab.clouds[0]!;
  const fault = { kind: 'break', scope: 'cloud', name: cloud, how: 'refuse', share: null } as const;
  const reply = await obey(fault, session);
  const watched = watchedRecords(lab);
  const late = () => watched.filter((r) => !hasMoved(session, r));
  const moved = await until(() => late().length === 0 || daemon?.running === false, demoMs, stop);
  if (stop.aborted) return 0;
  if (!moved || late().length > 0) {
    const names = late().map((r) => shortName(r.name, lab.zone));
    const but = `${names.join(' and ')} did not move at every vendor`;
    say(io.stderr, `detour lab: ${reply.message}, and ${but}`);
    return 1;
  }
  const after = seconds(Date.now() - story.faultAtMs!);
  // The last words of the daemon come a moment after its last deed.
  await until(() => watched.every((r) => story.ended(r.name)), lastWordsMs, stop);
  print(`\nThe way out is open: every record is at every vendor on the standby cloud (${after}).`);
  print(`Clients follow within the TTL of ${lab.records[0]!.ttl} s. The lab ends here.`);
  return 0;
}

/** Whether every server of every vendor gives the record's first target outside the primary cloud. */
function hasMoved({ watch, lab }: Session, record: LabRecord): boolean {
  const cloudOf = (origin: string) => lab.origins.find((o) => o.name === origin)?.cloud;
  const wanted = record.targets.find((t) => cloudOf(t.origin) !== lab.clouds[0])!.cname;
  return lab.vendorTypes.every((type) => watch?.answer(type, record.name) === wanted);
}

// ---------------------------------------------------------------- what is shown

/** The records that are watched on the wire: those with names of their own. */
function watchedRecords(lab: Lab) {
  return lab.records.filter((record) => !isNumbered(record));
}

function newStory(lab: Lab, print: (line: string) => void, colour: boolean): Story {
  return new Story({
    print,
    colour,
    zone: lab.zone,
    vendors: lab.vendorTypes,
    originOf: (record, answer) => {
      const targets = lab.records.find((r) => r.name === record)?.targets;
      return targets?.find((t) => t.cname === answer)?.origin ?? null;
    },
  });
}

function newWatch(lab: Lab, story: Story): WireWatch {
  return new WireWatch({
    servers: Object.fromEntries(vendorsOf(lab).map(({ type, dns }) => [type, dns])),
    records: watchedRecords(lab).map((r) => r.name),
    changed: (vendor, record, answer, atMs) => story.wire(vendor, record, answer, atMs),
  });
}

function announce(session: Session): void {
  const { flags, io, lab, directory, listen } = session;
  if (session.daemon !== null) session.print('\nThe daemon is ready.\n');
  if (!flags.json) return;
  const vendors = Object.fromEntries(
    vendorsOf(lab).map(({ type, api, dns }) => [type, { api, dns: dns[0] }]),
  );
  const ready = {
    config: configPath(directory),
    records: lab.records.map((r) => bare(r.name)),
    vendors,
    clouds: lab.clouds,
    metrics: `${listen}/metrics`,
  };
  say(io.stdout, JSON.stringify(ready));
}

function introduction(session: Omit<Session, 'daemon'>): readonly string[] {
  const { flags, io, lab, directory, listen, socket } = session;
  const row = (head: string, text: string) => `  ${head.padEnd(22)}${text}`;
  const first = lab.records[0]!;
  const dig = (server: string, name: string, type: string) => {
    const [host, port] = server.split(':');
    return `  dig +norecurse @${host} -p ${port} ${bare(name)} ${type}`;
  };
  const more = lab.records.length - watchedRecords(lab).length;
  return [
    `A small internet is running on ${lab.network}.0/24.`,
    '',
    ...vendorsOf(lab).map(({ type, api, dns }) =>
      row(type, `API ${api}, DNS ${dns.join(' and ')}`),
    ),
    ...lab.clouds.map((cloud, i) => {
      const parts = [...lab.origins, ...lab.stores, ...lab.apis];
      const names = parts.filter((part) => part.cloud === cloud).map((part) => part.name);
      return row(`${cloud} (${i === 0 ? 'primary' : 'standby'})`, names.join(', '));
    }),
    ...lab.paths.map((p) => row(`path ${p.name}`, `${p.url}, ${p.site}, ${p.uplink}`)),
    ...lab.references.map((r) => row(`reference ${r.name}`, `http://${r.address}:${r.port}/`)),
    ...watchedRecords(lab).map((r) =>
      row(bare(r.name), r.targets.map((t) => t.origin).join(', then ')),
    ),
    ...(more > 0
      ? [row(`and ${more} more`, `${bare(lab.records.at(-more)!.name)} and so on`)]
      : []),
    row('configuration', configPath(directory)),
    ...(flags.daemon ? [row('status page', `${listen}/`)] : []),
    ...(flags.daemon ? [row('metrics', `${listen}/metrics`)] : []),
    ...(flags.daemon ? [row('log of the daemon', logPath(directory))] : []),
    '',
    'Ask each vendor, or follow the delegation from the root:',
    ...vendorsOf(lab).map(({ dns }) => dig(dns[0]!, first.name, 'CNAME')),
    dig(`${lab.roots[0]}:${lab.dnsPort}`, lab.zone, 'NS'),
    '',
    'From another terminal:',
    `  ${hint(session, 'break')}    (--how hang, reset, 5xx, slow, wrong-body, flap)`,
    `  ${hint(session, 'heal')}`,
    `  ${hint(session, 'vendor')}`,
    `  ${hint(session, 'status')}`,
    ...(flags.daemon ? [`  ${program(io)} status --watch --socket ${socket}`] : []),
    '',
  ];
}

/** A command as this user can type it in this folder. */
function hint(
  { io, flags, lab }: Omit<Session, 'daemon'>,
  what: 'break' | 'heal' | 'vendor' | 'status',
): string {
  const words = {
    break: `break cloud ${lab.clouds[0]}`,
    heal: 'heal',
    vendor: 'break vendor route53 --how throttle',
    status: 'status',
  };
  const typed = io.env['npm_lifecycle_event'] === 'start' ? 'npm start --' : 'detour lab';
  const dir = flags.dir === null ? '' : ` --dir ${flags.dir}`;
  return `${typed} ${words[what]}${dir}`;
}

/** The program itself, as it can be typed in this folder. */
function program(io: Io): string {
  return io.daemonArgv
    .map((word) => {
      const near = relative(io.cwd, word);
      return near === '' || near.startsWith('..') ? word : near;
    })
    .join(' ');
}

async function status(session: Session): Promise<ControlReply> {
  const { lab, daemon } = session;
  const origins = lab.origins.map(printPart);
  const services = [...lab.stores, ...lab.apis, ...lab.references].map(printPart);
  const paths = lab.paths.map((p) => ({
    ...{ name: p.name, site: p.site, uplink: p.uplink, url: p.url },
    ...{ fault: wordOf(p.fault, p.share), requests: p.asked },
  }));
  const vendors = vendorsOf(lab).map((vendor) => ({
    name: vendor.type,
    api: vendor.api,
    dns: [...vendor.dns],
    fault: lab.vendorFault(vendor.type),
    mended: vendor.mended,
    calls: vendor.calls.length,
    zones: zonesOf(vendor),
  }));
  const records = await Promise.all(
    watchedRecords(lab).map(async ({ name }) => ({
      name: bare(name),
      answers: await Promise.all(
        vendors.map(async (v) => ({
          vendor: v.name,
          answers: await Promise.all(v.dns.map((server) => askCname(server, name))),
        })),
      ),
    })),
  );
  const running = daemon === null ? null : daemon.running;
  const world = { network: lab.network, daemon: running, origins, services, paths };
  const daemonWords = running === null ? 'not started' : running ? 'running' : 'ended';
  const row = (kind: string, name: string, state: string, more: string) =>
    `${`${kind} ${name}`.padEnd(33)} ${state.padEnd(20)} ${more}`;
  const broken = (fault: string | null) => (fault === null ? 'serves' : `broken: ${fault}`);
  const message = [
    `network ${lab.network}.0/24, daemon ${daemonWords}`,
    ...[...origins, ...services].map((part) => {
      const place = [part.cloud, part.region, part.address].filter((word) => word !== null);
      const more = `${part.requests} requests, ${place.join(' ')}`;
      return row(part.kind, part.name, broken(part.fault), more);
    }),
    ...paths.map((p) =>
      row('path', p.name, broken(p.fault), `${p.requests} requests, ${p.site} ${p.uplink}`),
    ),
    ...vendors.map((v) => {
      const state = v.fault === null && v.mended !== null ? `mended: ${v.mended}` : broken(v.fault);
      return row('vendor', v.name, state, v.api);
    }),
    ...vendors.flatMap((v) =>
      v.zones.map((zone) =>
        row('zone', zoneWord(v.name, zone.name), broken(zone.fault), zone.id ?? 'no id'),
      ),
    ),
    ...records.flatMap((r) =>
      r.answers.map((a) => `${r.name} at ${a.vendor}: ${[...new Set(a.answers)].join(' and ')}`),
    ),
  ].join('\n');
  return { exit: 0, message, detail: { ...world, vendors, records } };
}

function printPart(part: Part) {
  return {
    kind: part.kind,
    name: part.name,
    cloud: part.cloud,
    region: part.region,
    address: `${part.address}:${part.port}`,
    fault: wordOf(part.fault, part.share),
    requests: part.requests,
  };
}

function vendorsOf(lab: Lab): readonly LabVendor[] {
  return lab.vendorTypes.map((type) => lab.vendors[type]!);
}

function zonesOf(vendor: LabVendor) {
  return vendor.zones.map((zone) => {
    const fault = vendor.brokenZone(zone);
    return { name: bare(zone), id: fault === 'deleted' ? null : vendor.zoneId(zone), fault };
  });
}

function wordOf(fault: string | null, share: number): string | null {
  return fault === 'loss' ? `loss ${Math.round(share * 100)} %` : fault;
}

function bare(name: string): string {
  return name.replace(/\.$/, '');
}

// ---------------------------------------------------------------- the daemon as a child

const killMs = 5000;
const lineOctetsMost = 65_536;
const tailLines = 20;
const logOctetsMost = 16 << 20;

interface Daemon {
  /** How to start it by hand. */
  readonly line: string;
  readonly running: boolean;
  /** Resolves with how it ended. */
  readonly ended: Promise<string>;
  /** True once it is ready, false when stopped first. Throws LabError with its last words. */
  ready(listen: string, stop: AbortSignal): Promise<boolean>;
  /** SIGTERM and, five seconds later, SIGKILL. */
  close(): Promise<void>;
}

function startDaemon(io: Io, directory: string, story: Story): Daemon {
  const [command, ...first] = io.daemonArgv;
  if (command === undefined) throw new Error('daemonArgv is empty');
  const config = configPath(directory);
  const child = spawn(command, [...first, 'run', '-c', config], {
    cwd: io.cwd,
    env: { ...io.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const log = new Log(logPath(directory));
  const tail: string[] = [];
  const hear = (line: string) => {
    tail.push(line);
    if (tail.length > tailLines) tail.shift();
    log.add(line);
    story.daemon(line);
  };
  eachLine(child.stdout, hear);
  eachLine(child.stderr, hear);
  // Should this process fail, the daemon must not outlive its internet.
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  let running = true;
  const ended = howItEnded(child).then((how) => {
    running = false;
    return how;
  });
  return {
    line: `${program(io)} run -c ${config}`,
    get running() {
      return running;
    },
    ended,
    async ready(listen, stop) {
      const deadline = performance.now() + readyMs;
      let why = 'it did not answer';
      while (running && !stop.aborted) {
        const answer = await readiness(`${listen}/readyz`);
        if (answer === null) return true;
        why = answer;
        if (performance.now() > deadline) {
          throw new LabError(`the daemon was not ready in ${readyMs / 1000} s: ${why}`);
        }
        await Promise.race([pause(50, stop), ended]);
      }
      if (stop.aborted) return false;
      const words = tail.map((line) => `\n  ${line.slice(0, 500)}`).join('');
      throw new LabError(`the daemon ended before it was ready: ${await ended}${words}`);
    },
    async close() {
      if (running) child.kill('SIGTERM');
      const timer = setTimeout(kill, killMs);
      await ended;
      clearTimeout(timer);
      process.removeListener('exit', kill);
      await log.close();
    },
  };
}

/** Resolves when the child and its output have ended. */
function howItEnded(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(`it could not be started: ${error.message}`));
    child.once('close', (code, signal) => resolve(signal ?? `exit ${code}`));
  });
}

/** Null when the daemon says it is ready, else why not. */
function readiness(url: string): Promise<string | null> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false, signal: AbortSignal.timeout(2000) }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        if (text.length < 2000) text += chunk;
      });
      response.on('error', (error) => resolve(error.message));
      response.on('end', () =>
        resolve(response.statusCode === 200 ? null : text.trim().replace(/\s*\n\s*/g, '; ')),
      );
    });
    request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

/** Calls back for every line; what is longer than 64 KiB comes in pieces. */
function eachLine(stream: Readable, hear: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) hear(line);
    if (rest.length > lineOctetsMost) {
      hear(rest);
      rest = '';
    }
  });
  stream.on('end', () => {
    if (rest !== '') hear(rest);
  });
  stream.on('error', () => stream.destroy());
}

/** What the daemon wrote, in a file of bounded size with one older one beside it. */
class Log {
  readonly #path: string;
  #stream: WriteStream;
  #octets = 0;

  constructor(path: string) {
    this.#path = path;
    this.#stream = this.#open();
  }

  add(line: string): void {
    if (this.#octets > logOctetsMost) {
      this.#stream.end();
      renameSync(this.#path, `${this.#path}.1`);
      this.#stream = this.#open();
      this.#octets = 0;
    }
    // A full disk must not fill the memory too.
    if (this.#stream.destroyed || this.#stream.writableLength > 1 << 20) return;
    this.#stream.write(`${line}\n`);
    this.#octets += line.length + 1;
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#stream.destroyed) resolve();
      else this.#stream.end(() => resolve());
    });
  }

  #open(): WriteStream {
    const stream = createWriteStream(this.#path, { flags: 'a', mode: 0o600 });
    // Without a log the story goes on; `add` sees that the stream is gone.
    stream.on('error', () => stream.destroy());
    return stream;
  }
}

// ---------------------------------------------------------------- small pieces

const waitingMost = 1 << 20;
const survivors = new WeakSet<Out>();

/** A reader that goes away or does not read must not end the lab. */
function survive(out: Out): void {
  if (survivors.has(out)) return;
  survivors.add(out);
  out.on('error', () => undefined);
}

function say(out: Out, text: string): void {
  if (!out.writable || (out.writableLength ?? 0) > waitingMost) return;
  out.write(`${text}\n`);
}

/** True when the time has passed, false when it was cut short. */
async function pause(ms: number, stop: AbortSignal): Promise<boolean> {
  return sleep(ms, true, { signal: stop }).catch(() => false);
}

/** True when it came true in time. */
async function until(holds: () => boolean, ms: number, stop: AbortSignal): Promise<boolean> {
  const deadline = performance.now() + ms;
  while (!holds()) {
    if (performance.now() > deadline || !(await pause(20, stop))) return false;
  }
  return true;
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** A free port of 127.0.0.1, outside the range that outgoing connections use. */
async function freePort(): Promise<number> {
  for (let tries = 1; tries <= 50; tries++) {
    const port = randomInt(10_240, 32_000);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen({ host: '127.0.0.1', port, exclusive: true }, () => {
        server.close(() => resolve(true));
      });
    });
    if (free) return port;
  }
  throw new LabError('found no free port on 127.0.0.1 for the daemon');
}
