// The daemon: takes the state directory, opens the store, builds the adapters, runs the loop, and
// serves those who watch it, until it is told to end. Nothing is decided here; what goes wrong at a
// start is said whole and ends it, what goes wrong later is said and lived with.

import { randomBytes, randomInt } from 'node:crypto';
import { join } from 'node:path';
import { createAuditing } from '../audit/hourly.ts';
import { createSingleCoordinator } from '../cluster/single.ts';
import type { Config } from '../config/config.ts';
import { Controller, closeAll } from '../controller.ts';
import { type AuditFinding, type AuditReport, countOf } from '../core/audit.ts';
import type { DelegationCommand, Entry, EntryKind, Json, Reply } from '../core/model.ts';
import { inScript, unrooted } from '../core/name.ts';
import { storedProblem } from '../core/stored.ts';
import { type StatusView, withAudit } from '../core/view.ts';
import { whyOfFile } from '../kit/errno.ts';
import type { KeyFacts } from '../kit/extend.ts';
import type { Channels } from '../notify/channels.ts';
import type { Observer } from '../ports.ts';
import { serveControl } from '../serve/control.ts';
import type { Desk, Served, Trouble } from '../serve/desk.ts';
import { type HttpOptions, serveHttp } from '../serve/http.ts';
import { inherit, untaken } from '../serve/inherited.ts';
import { createMetrics } from '../serve/metrics.ts';
import { once } from '../serve/once.ts';
import { createPages } from '../serve/pages.ts';
import { createPlainPage, hasPage, type PlainPage } from '../serve/plain-page.ts';
import { Readers, together } from '../serve/readers.ts';
import { createStrips } from '../serve/strips.ts';
import { LockError, lockStateDirectory } from '../store/lock.ts';
import { damaged, openSqliteStore, type SqliteStore } from '../store/sqlite.ts';
import type { ApiDoor } from './api.ts';
import { type Built, buildAdapters, ConfigError, type Loaded, loadConfig } from './build.ts';
import { createClock } from './clock.ts';
import { environment } from './environment.ts';
import type { DelegationOrders } from './evict.ts';
import type { Group, GroupParts } from './group.ts';
import { compileOften, recordsMany } from './heap.ts';
import { createLog, createRarely, type Log } from './log.ts';
import { type Pushes, pushesOf } from './pushes.ts';
import { createRehearsals, type Rehearsals } from './rehearsals.ts';
import { createReload } from './reload.ts';
import type { Signals } from './signals.ts';
import { type Supervision, supervise } from './systemd.ts';

/** How each kind of entry is logged: what a person should see is a warning. */
const levelOf = {
  ack: 'info',
  adopt: 'info',
  approval: 'warn',
  delegation: 'warn',
  deposed: 'warn',
  diagnosis: 'info',
  drain: 'info',
  drill: 'info',
  forgotten: 'warn',
  fault: 'warn',
  freeze: 'info',
  group: 'warn',
  health: 'info',
  hold: 'warn',
  hook: 'info',
  lane: 'info',
  lease: 'info',
  limit: 'warn',
  objective: 'info',
  path: 'info',
  paused: 'warn',
  pin: 'info',
  prepare: 'info',
  rejected: 'warn',
  release: 'info',
  reload: 'info',
  repair: 'info',
  replica: 'info',
  settled: 'info',
  standby: 'warn',
  start: 'info',
  stay: 'warn',
  stop: 'info',
  store: 'info',
  switch: 'info',
  taken: 'info',
  turn: 'info',
  undone: 'warn',
  undrain: 'info',
  unfreeze: 'info',
  unpin: 'info',
  unreadable: 'warn',
  unresolved: 'warn',
  verdict: 'info',
  visible: 'info',
  'would-switch': 'info',
  written: 'info',
  zone: 'info',
} satisfies Readonly<Record<EntryKind, 'info' | 'warn'>>;

/** Where the build puts the status page: seen from the built program, and from its source. */
const webFolder = join(
  import.meta.dirname,
  ...(import.meta.filename.endsWith('.ts') ? ['..', '..', 'dist', 'web'] : ['..', 'web']),
);

interface DaemonOptions {
  readonly json: boolean;
  readonly version: string;
  /** Begins anew where the store is gone or damaged. */
  readonly newState: boolean;
  /** Which replica this is, where the command line says so. */
  readonly replica: string | null;
  readonly signals: Signals;
  /** What of the environment was taken away, as one sentence; null: nothing that matters. */
  readonly overridden: string | null;
}

/** Runs until SIGTERM or SIGINT; SIGHUP reloads. Resolves with the exit code. */
export async function runDaemon(configPath: string, options: DaemonOptions): Promise<number> {
  let loaded: Loaded;
  try {
    loaded = await loadConfig(configPath, { replica: options.replica });
  } catch (error) {
    return refuse(error);
  }
  const { config, warnings } = loaded;
  const log = createLog({ ...logOptions(config, options), stream: process.stdout });
  for (const warning of warnings) log.warn(warning, { kind: 'config' });
  if (options.overridden !== null) log.info(options.overridden, { kind: 'environment' });
  if (Object.keys(config.core.records).length >= recordsMany) compileOften();
  try {
    const lock = lockStateDirectory(config.stateDir);
    try {
      const store = openStore(config, log, options);
      try {
        const complain = (sentence: string) => log.error(sentence, { kind: 'systemd' });
        const supervision = await supervise(environment(), complain);
        const parts = { configPath, config, store, log, options, supervision };
        return await serve(await assemble(parts));
      } finally {
        store.close();
      }
    } finally {
      lock.release();
    }
  } catch (error) {
    return refuse(error);
  } finally {
    log.flush();
  }
}

function logOptions({ core, log }: Config, options: DaemonOptions): Parameters<Log['become']>[0] {
  const json = options.json || log.format === 'json';
  const text = !json && (log.format === 'text' || process.stdout.isTTY === true);
  return { format: text ? 'text' : 'json', level: log.level, spelling: core.spelling };
}

function openStore(config: Config, log: Log, { newState }: DaemonOptions): SqliteStore {
  const store = openSqliteStore(config.stateDir, { newState });
  if (store.isNew) {
    const sentence = 'the store is empty: no pin, drain, freeze or switch is remembered';
    log.warn(sentence, { kind: 'store', file: store.file });
  } else if (newState) {
    const sentence = 'there is a sound store, and it is used: --new-state has changed nothing';
    log.warn(sentence, { kind: 'store', file: store.file });
  }
  return store;
}

interface Parts {
  readonly configPath: string;
  readonly config: Config;
  readonly store: SqliteStore;
  readonly log: Log;
  readonly options: DaemonOptions;
  /** Who watches over this process; null: nobody. */
  readonly supervision: Supervision | null;
}

interface Door {
  readonly wanted: NonNullable<Config['listen']>;
  readonly served: Awaited<ReturnType<typeof serveHttp>>;
}

/** All that runs, put together and not yet started. */
interface Daemon extends Parts {
  readonly controller: Controller;
  readonly auditing: ReturnType<typeof createAuditing>;
  readonly rehearsals: Rehearsals;
  readonly desk: Desk;
  readonly metrics: ReturnType<typeof createMetrics>;
  readonly readers: Readonly<Record<'listen' | 'gates' | 'socket' | 'api' | 'page', Readers>>;
  readonly trouble: Trouble;
  /** The configuration in force, and the doors that belong to it. */
  readonly now: {
    config: Config;
    door: Door | null;
    api: ApiDoor | null;
    channels: Channels | null;
    pushes: Pushes | null;
    page: PlainPage | null;
    ended: boolean;
  };
  /** Lets go of what was put together and never started. */
  drop(): void;
}

async function assemble(parts: Parts): Promise<Daemon> {
  const { configPath, config, store, log, options, supervision } = parts;
  const doors = { door: null, api: null, channels: null, pushes: null, page: null };
  const now: Daemon['now'] = { config, ...doors, ended: false };
  const { docs, at } = store.load();
  const problem = storedProblem(docs);
  if (problem !== null) throw damaged(store.file, problem);
  const clock = createClock(at);
  const term = Number(docs['term'] ?? 0) + 1;
  store.commit({ at: clock.now(), wall: clock.wall(), entries: [], docs: [['term', term]] });
  const observers: Observer[] = [logObserver(log)];
  const channelTrouble = (sentence: string) => trouble('notify', sentence);
  const told = logRenewals(log);
  const how = { remember: true, told, channelTrouble };
  const build = (wanted: Config) => buildAdapters(wanted, clock, how);
  const adapters = build(config);
  now.pushes = pushesOf(config, told);
  now.channels = adapters.channels;
  const trouble = toldTo(observers);
  const group = await groupOf({ config, clock, store, controller: () => controller, trouble });
  const coordinator = group?.coordinator ?? createSingleCoordinator(term);
  const eyes = group === null ? {} : { eyes: group.eyes };
  const { version } = options;
  const world = { clock, store, coordinator, ...eyes, observers, seed: drawSeed(), version };
  const controller = new Controller(config.core, adapters, world);
  let inUse = adapters;
  // Each has a share of its own: whoever wants a gate does not wait for a scrape, nor an operator.
  const readers = readersOf();
  const seen = viewer(controller, readers.socket);
  const inForce = () => now.config;
  const known = { controller, clock, term, version, trouble, observers, status: seen };
  const of = { ...known, config: inForce, adapters: () => inUse };
  const rehearsals = createRehearsals(of);
  const { drills } = rehearsals;
  const status = async () => withAudit(drills.shown(await seen()), auditing.audited().report);
  const done = afterAudit(controller, log);
  const inHand = { auditor: () => inUse.auditor, eviction: () => inUse.eviction };
  const auditing = createAuditing({ ...inHand, status: seen, clock, chance, done, trouble });
  const take = async (wanted: Config, built: Built) => {
    takeChannels(now, built, controller);
    inUse = built;
    auditing.renew();
    log.become(logOptions(wanted, options));
    now.config = wanted;
    rehearsals.renew();
    now.pushes = pushesOf(wanted, told, now.pushes);
    return [...(await takeDoor(daemon)), ...(await takeApi(daemon).catch(saidOnly))];
  };
  const reloading = { path: configPath, replica: options.replica, controller, log, build, take };
  const reload = toldOf(supervision, createReload({ ...reloading, inForce }));
  const strips = createStrips(clock);
  const made = { ...inHand, strips, watch: watching(observers), inForce };
  const desk = deskOf({ ...made, controller, group, auditing, rehearsals, status, reload });
  const scraped = viewer(controller, readers.listen);
  const scrape = { status: async () => drills.shown(await scraped()), audited: desk.audited };
  const metrics = createMetrics({
    ...{ desk: scrape, version, readers: readers.listen },
    channels: () => now.channels?.figures() ?? [],
    ...{ keys: () => keysOf(inUse.providers), held: () => inUse.prober.held?.() ?? null },
    without: () => now.config.metrics.without,
  });
  observers.push(metrics.observer, strips.observer, ...watched(supervision, controller, inForce));
  const drop = () => {
    closeAll(adapters);
    group?.close();
  };
  const shown = { controller, auditing, rehearsals, desk, metrics, readers, trouble, now, drop };
  const daemon: Daemon = { ...parts, ...shown };
  return daemon;
}

/** Of each provider that says so. */
function keysOf(providers: Built['providers']): Readonly<Record<string, KeyFacts>> {
  const told = Object.entries(providers).flatMap(([name, provider]) => {
    const facts = provider.key?.();
    return facts === undefined ? [] : [[name, facts] as const];
  });
  return Object.fromEntries(told);
}

interface AtDesk extends Pick<Daemon, 'controller' | 'auditing'> {
  readonly rehearsals: Pick<Rehearsals, 'desk'>;
  readonly group: Group | null;
  readonly eviction: () => DelegationOrders;
  readonly status: Desk['status'];
  readonly reload: Desk['reload'];
  readonly watch: Desk['watch'];
  readonly strips: Pick<Desk, 'strips'>;
  readonly inForce: () => Config;
}

function deskOf(at: AtDesk): Desk {
  const { controller, group, eviction, auditing, rehearsals, status, ...more } = at;
  const { reload, watch, strips } = more;
  return {
    status,
    watch,
    strips: (names, span) => strips.strips(names, span),
    ready: () => controller.ready(),
    command: carrying(controller, group !== null),
    spelling: () => more.inForce().core.spelling,
    delegate: once((command, id) => delegating(controller, eviction(), command, id)),
    gate: (record) => controller.gate(record),
    history: (query) => controller.history(query),
    histories: (query) => group?.histories(query) ?? null,
    reload,
    audited: () => auditing.audited(),
    audit: () => auditing.now(),
    ...rehearsals.desk,
  };
}

/** Of the loop's time, at the most. */
const pageShare = 0.5;

function readersOf(): Daemon['readers'] {
  const [listen, gates, socket] = Array.from({ length: 3 }, () => new Readers());
  // A person waits for the page, and all who look on share what is made.
  const [api, page] = Array.from({ length: 2 }, () => new Readers({ share: pageShare }));
  return { listen: listen!, gates: gates!, socket: socket!, api: api!, page: page! };
}

/** A group remembers by itself which orders were done. */
function carrying(controller: Controller, grouped: boolean): Desk['command'] {
  const carry: Desk['command'] = (command, id) => controller.command(command, id);
  return grouped ? carry : once(carry);
}

/** An order about a delegation, and its line in the journal; of a look there is none. */
async function delegating(
  controller: Controller,
  carry: DelegationOrders,
  command: DelegationCommand,
  id: string,
): Promise<Reply> {
  const reply = await carry(command, id);
  if (command.dryRun === true || reply.exit === 2) return reply;
  const { kind, provider, reason, by } = command;
  const [line = ''] = reply.message.split('\n');
  const data = { kind, provider, reason, by, exit: reply.exit, detail: reply.detail ?? null };
  controller.delegated({ sentence: `${by}: ${kind} ${provider} (${reason}): ${line}`, data });
  return reply;
}

/** A reload of which whoever watches over this process is told. */
function toldOf(supervision: Supervision | null, reload: Desk['reload']): Desk['reload'] {
  if (supervision === null) return reload;
  return async (how) => {
    if (how?.dryRun) return reload(how);
    supervision.reloading();
    try {
      return await reload(how);
    } finally {
      supervision.ready();
    }
  };
}

function watched(
  supervision: Supervision | null,
  controller: Controller,
  inForce: () => Config,
): readonly Observer[] {
  if (supervision === null) return [];
  const line = () => inScript(inOneLine(controller), inForce().core.spelling ?? {});
  return [{ beat: () => supervision.beat(line) }];
}

/** How it stands, for `systemctl status`: cheap, because it is asked all day. */
function inOneLine(controller: Controller): string {
  const { ok, reasons } = controller.ready();
  const open = controller.open();
  const wanted =
    open.length === 0 ? 'nobody is needed' : `a person is needed: ${open[0]!.sentence}`;
  const more = open.length > 1 ? ` (and ${open.length - 1} more)` : '';
  return unrooted(`${ok ? 'ready' : `not ready: ${reasons[0]}`}; ${wanted}${more}`);
}

/** Whoever wants to know when something was journalled. */
function watching(observers: Observer[]): Desk['watch'] {
  const watchers = new Set<() => void>();
  observers.push({
    journalled: () => {
      for (const changed of watchers) changed();
    },
  });
  return (changed) => {
    watchers.add(changed);
    return () => void watchers.delete(changed);
  };
}

function toldTo(observers: readonly Observer[]): Trouble {
  return (what, detail) => {
    for (const o of observers) o.trouble?.(what, detail);
  };
}

type Done = Parameters<typeof createAuditing>[0]['done'];

function afterAudit(controller: Controller, log: Log): Done {
  return (report, news) => {
    controller.surveyed(report.surveys, report.standbys);
    logAudit(log, report, news);
  };
}

/** The channels of a new configuration, with what waits in the old; in the turn of the reload. */
function takeChannels(now: Daemon['now'], { channels }: Built, controller: Controller): void {
  const old = now.channels;
  now.channels = channels;
  if (channels === null) void old?.close();
  else if (old !== null) channels.inherit(old);
  channels?.start(() => controller.open());
}

/** Of a group all that it takes; alone none of its code is loaded. */
async function groupOf(parts: GroupParts): Promise<Group | null> {
  if (parts.config.group === null) return null;
  const { buildGroup } = await import('./group.ts');
  return buildGroup(parts);
}

const chance = () => randomInt(1000) / 1000;

function drawSeed(): [number, number, number, number] {
  const seed = randomBytes(16);
  return [0, 4, 8, 12].map((i) => seed.readInt32LE(i)) as [number, number, number, number];
}

/** The status for those who come by one door, in the time that they have. */
function viewer(controller: Controller, readers: Readers): () => Promise<StatusView> {
  let seen: StatusView | null = null;
  return together(async () => {
    seen = await readers.spend(controller.viewing(seen));
    return seen;
  });
}

/** Runs what was put together until it is told to end. */
async function serve(daemon: Daemon): Promise<number> {
  const { config, log, options, controller, auditing, rehearsals, desk, supervision } = daemon;
  const served: Served[] = [];
  try {
    await open(daemon, served);
    log.info(`detour ${options.version} runs: ${Object.keys(config.core.records).length} records`, {
      kind: 'run',
      socket: config.socket,
    });
    controller.start();
    daemon.now.channels?.start(() => controller.open());
    auditing.start();
    rehearsals.start();
    const end = options.signals.ended();
    supervision?.ready();
    options.signals.onHangup(() => void desk.reload());
    await end;
    supervision?.stopping();
    // What comes now must neither kill nor reload.
    options.signals.onHangup(() => {});
    log.info('stopping', { kind: 'stop' });
    auditing.close();
    rehearsals.close();
    await controller.stop();
    await daemon.now.channels?.close();
  } catch (error) {
    daemon.drop();
    throw error;
  } finally {
    daemon.now.ended = true;
    daemon.now.pushes?.close();
    daemon.now.page?.close();
    const { door, api } = daemon.now;
    served.push(...[door?.served, api].filter((one) => one != null));
    await Promise.all(served.map((s) => s.close()));
  }
  return 0;
}

/** The doors. Without operators' nothing starts; without the one for readers it does. */
async function open(daemon: Daemon, served: Served[]): Promise<void> {
  const { config, desk, readers, trouble } = daemon;
  const { version } = daemon.options;
  inherit(environment());
  served.push(
    await serveControl({ path: config.socket, desk, readers: readers.socket, version, trouble }),
  );
  await takeDoor(daemon);
  await takeApi(daemon);
  for (const place of untaken()) {
    const sentence = `systemd hands over ${place}, and the configuration names no such place`;
    daemon.log.warn(`${sentence}: it is not used`, { kind: 'systemd' });
  }
}

/** The operators' door over the network; where it was never configured none of its code is loaded. */
async function takeApi(daemon: Daemon): Promise<readonly string[]> {
  const { now, controller, auditing, readers, log, trouble } = daemon;
  if (now.api === null) {
    if (now.config.api === null) return [];
    const { createApiDoor } = await import('./api.ts');
    const seen = viewer(controller, readers.api);
    const { drills } = daemon.rehearsals;
    const status = async () => withAudit(drills.shown(await seen()), auditing.audited().report);
    now.api = createApiDoor({
      desk: { ...daemon.desk, status },
      readers: readers.api,
      version: daemon.options.version,
      pages: createPages(webFolder),
      trouble,
      note: (line) => log.info(`api: ${line}`, { kind: 'api' }),
      told: logRenewals(log),
    });
  }
  return now.api.take(now.config);
}

/** What a reload could not have, where what was there before stays. */
function saidOnly(error: unknown): readonly string[] {
  if (!(error instanceof ConfigError)) throw error;
  return error.problems.map((problem) => `${problem}; the API stays as it was`);
}

/** The door for readers where the configuration in force has it; says so if that cannot be had. */
async function takeDoor(daemon: Daemon): Promise<readonly string[]> {
  const { now, desk, metrics, readers, trouble } = daemon;
  const { door: old } = now;
  const { listen } = now.config;
  const isSame =
    old !== null && listen?.host === old.wanted.host && listen.port === old.wanted.port;
  if (!isSame) {
    await old?.served.close();
    now.door = null;
    if (listen === null) return [];
    const served = await serveHttp({
      ...listen,
      readers: readers.listen,
      askers: readers.gates,
      desk,
      metrics,
      trouble,
      get gateHoldMs() {
        return now.config.gateHoldMs;
      },
      get pushes() {
        return now.pushes;
      },
      get page() {
        return plainPageOf(daemon);
      },
    });
    now.door = { wanted: listen, served };
    // A reload may still be under way while everything ends.
    if (now.ended) await served.close();
  }
  if (now.door?.served.listens !== false) return [];
  return [`listen: ${listen?.host}:${listen?.port} cannot be had yet, and is tried again`];
}

/** The page for whoever reaches `listen`, where the configuration in force has it there. */
function plainPageOf(daemon: Daemon): NonNullable<HttpOptions['page']> | null {
  const { now, desk, controller, readers, trouble } = daemon;
  const isOpen = () => hasPage(now.config.page, now.config.listen?.host ?? '');
  if (now.ended || !isOpen()) return null;
  if (now.page === null) {
    const seen = viewer(controller, readers.page);
    const { drills } = daemon.rehearsals;
    const status = async () => withAudit(drills.shown(await seen()), desk.audited().report);
    const pages = createPages(webFolder);
    const looked = { desk: { ...desk, status }, readers: readers.page };
    now.page = createPlainPage({ ...looked, pages, isOpen, trouble });
  }
  return { plain: now.page, isPublic: now.config.page === 'public' };
}

/** Findings that are new and bad, each once; the rest is for whoever asks. */
function logAudit(log: Log, report: AuditReport, news: readonly AuditFinding[]): void {
  for (const { word, sentence, cure, provider, zone, record } of news) {
    const place = { provider, zone, ...(record === null ? {} : { record }) };
    log.warn(cure === null ? sentence : `${sentence}; ${cure}`, { kind: 'audit', word, ...place });
  }
  const [bad, warn] = [countOf(report, 'bad'), countOf(report, 'warn')];
  log.info(`audited in ${report.tookMs} ms: ${bad} bad, ${warn} to look at`, { kind: 'audit' });
}

function logRenewals(log: Log): NonNullable<Parameters<typeof buildAdapters>[2]['told']> {
  return (where, { kind, why }) => {
    if (kind === 'renewed') log.info(`${where}: its secrets have changed and are in use`, { kind });
    else log.error(`${where}: what was read before stays in use: ${why}`, { kind });
  };
}

function logObserver(log: Log): Observer {
  const rarely = createRarely();
  const say = (entry: Entry, more: Record<string, Json>) => {
    const record: Record<string, Json> = entry.record === null ? {} : { record: entry.record };
    const fields = { kind: entry.kind, ...record, ...more, data: entry.data };
    log[levelOf[entry.kind]](entry.sentence, fields);
  };
  return {
    journalled(entry, _wall, late) {
      if (!late) say(entry, {});
    },
    unstored(entry) {
      say(entry, { stored: false });
    },
    trouble(what, detail) {
      const unsaid = rarely(what, detail);
      if (unsaid === null) return;
      log.error(`${what}: ${detail}`, { kind: 'trouble', ...(unsaid > 0 ? { unsaid } : {}) });
    },
  };
}

/** Errors that are an answer to the operator; anything else is a fault of Detour's and goes on. */
function refuse(error: unknown): number {
  const isInput = error instanceof ConfigError;
  const isWorld =
    error instanceof LockError ||
    (error instanceof Error && ['ControlError', 'StoreError'].includes(error.constructor.name)) ||
    (error as NodeJS.ErrnoException).code !== undefined;
  if (!isInput && !isWorld) throw error;
  const { message, path, syscall } = error as NodeJS.ErrnoException;
  // The system's own errors say what failed in codes.
  const isRaw = path !== undefined && syscall !== undefined;
  process.stderr.write(`${isRaw ? `${path} ${whyOfFile(error)} (${syscall})` : message}\n`);
  return isInput ? 2 : 1;
}
