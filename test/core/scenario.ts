// Reads scenario files: a few lines of what happens, `----`, then the whole trace that must come of
// it, as an operator would read it. `UPDATE=1` writes the traces anew; the diff is then reviewed
// like code. The words a scenario may use are the cases of `act` below.

import { createKeyring } from '../../src/cluster/keyring.ts';
import type { Event } from '../../src/core/engine.ts';
import type { Sighting, Telling } from '../../src/core/heard.ts';
import { formatMarker } from '../../src/core/marker.ts';
import type {
  CheckConfig,
  Command,
  Detector,
  Entry,
  EntryKind,
  HooksConfig,
  Name,
  Notice,
  Plane,
  QuorumRule,
  RefusalWord,
  Standby,
  Verdict,
} from '../../src/core/model.ts';
import { view } from '../../src/core/view.ts';
import { parseDuration } from '../../src/kit/schema.ts';
import type { Held } from '../../src/replay/vendor.ts';
import { asSeenBy, Peers } from './peers.ts';
import {
  coreConfig,
  type Manner,
  type Shape,
  type Vendor,
  WALL_0,
  World,
  webCheck,
} from './world.ts';

export const WWW = 'www.gslb.test.';

interface Block {
  readonly lines: readonly string[];
  readonly expected: string;
}

export interface Played {
  readonly text: string;
  readonly failures: readonly { readonly want: string; readonly got: string }[];
}

/** Plays one file; `text` is the file with every trace as it came out. */
export function play(text: string): Played {
  const failures: { want: string; got: string }[] = [];
  const out: string[] = [];
  const player = new Player();
  for (const block of parse(text)) {
    const got = player.block(block.lines);
    if (got !== block.expected) failures.push({ want: block.expected, got });
    out.push([...block.lines, '----', ...(got === '' ? [] : [got]), ''].join('\n'));
  }
  return { text: out.join('\n'), failures };
}

export function parse(text: string): Block[] {
  const blocks: Block[] = [];
  let lines: string[] = [];
  let expected: string[] | null = null;
  for (const line of [...text.split('\n'), '']) {
    if (line === '----') expected = [];
    else if (line === '' && expected !== null) {
      blocks.push({ lines, expected: expected.join('\n') });
      lines = [];
      expected = null;
    } else if (expected !== null) expected.push(line);
    else if (line !== '' || lines.length > 0) lines.push(line);
  }
  return blocks;
}

class Player {
  #shape: Shape = {};
  #world: World | null = null;
  #peers: Peers | null = null;
  #journalAt = 0;
  #noticesAt = 0;
  #startedAt = 0;
  #said: string[] = [];
  /** The last question of www that a command was about. */
  #asked = '';
  /** Entries of many records are counted by their kind. */
  #tallies = false;

  block(lines: readonly string[]): string {
    this.#said = [];
    this.#startedAt = this.#world?.now ?? 0;
    for (const line of lines) if (line !== '' && !line.startsWith('#')) this.#act(line);
    this.#collect();
    return this.#said.join('\n');
  }

  get #w(): World {
    this.#world ??= new World(coreConfig(this.#shape));
    return this.#world;
  }

  /** Journal lines and notices since the last look, in order, with the time since the block began. */
  #collect(): void {
    const w = this.#w;
    const passing = new Set<EntryKind>(['start', 'lease']);
    const news = [
      ...w.journal.slice(this.#journalAt).map((j) => ({ text: j.entry.sentence, ...j })),
      ...w.yields.splice(0),
      ...w.hooked.splice(0),
      ...w.notices
        .slice(this.#noticesAt)
        .map((n) => ({ text: `tell ${n.notice.kind}: ${n.notice.sentence}`, ...n })),
    ];
    this.#journalAt = w.journal.length;
    this.#noticesAt = w.notices.length;
    news.sort((a, b) => a.at - b.at);
    for (const n of this.#tallies ? tallied(news) : news) {
      if ('entry' in n && passing.has((n.entry as Entry).kind)) continue;
      this.#said.push(`+${n.at - this.#startedAt}ms ${withoutId(n.text)}`);
    }
  }

  #act(line: string): void {
    const [verb, ...words] = line.split(' ');
    const [first, second, third] = words as [string, string, string];
    const w = verb === 'config' ? null : this.#w;
    switch (verb) {
      case 'config':
        // Another world begins: a file may hold several.
        this.#shape = shapeOf(words);
        [this.#world, this.#peers] = [null, null];
        [this.#journalAt, this.#noticesAt, this.#startedAt] = [0, 0, 0];
        this.#tallies = false;
        return;
      case 'hold':
        return hold(w!, first, second, words.slice(2));
      case 'edit': {
        // A human at the console: the value alone, the marker stays.
        const value = second.includes('.') ? second : `${second}.shop.test.`;
        const [name = WWW] = words.slice(2).filter((word) => !word.includes('='));
        const ttl = Number(/ ttl=(\d+)/.exec(line)?.[1] ?? 60);
        w!.held(first, name).cname = second === 'nothing' ? null : { value, ttl };
        return;
      }
      case 'keys':
        setKeys(w!, first);
        this.#shape = { ...this.#shape, signed: w!.config.signed };
        return;
      case 'start':
        return w!.start(first !== 'following');
      case 'peers':
        // The other replicas live: engines of their own, and a wire.
        this.#peers = new Peers(w!);
        return;
      case 'peer':
        return this.#peer(first, second, words.slice(2));
      case 'heard':
        return w!.send(heardOf(w!, first, words.slice(1)));
      case 'unheard':
        return w!.send({ kind: 'unheard', replica: first, why: 'the wire says so' });
      case 'called': {
        const checks = second.split(',');
        return w!.send({ kind: 'called', replica: first, checks, why: third as 'confirm' });
      }
      case 'ended':
        // Held connections of one check, by each of some paths.
        return w!.send({
          kind: 'ended',
          ends: second.split(',').map((path) => ({ check: first, path })),
        });
      case 'run':
        return w!.advance(parseDuration(first)!);
      case 'origin':
        w!.origins.set(first, second as Manner);
        return;
      case 'path':
        for (const name of first === 'all' ? Object.keys(w!.config.paths) : first.split(',')) {
          setManner(w!.paths, name, second);
        }
        return;
      case 'check':
        return setManner(w!.checks, first, second);
      case 'api':
        for (const v of vendors(w!, first)) v.api = second as Vendor['api'];
        return;
      case 'zone':
      case 'name':
        for (const v of vendors(w!, first)) {
          if (third === 'ok') v.sick.delete(second);
          else v.sick.set(second, third as 'denied');
        }
        return;
      case 'room':
        // What one reading or one writing has room for.
        for (const v of vendors(w!, first)) v.atOnce = Number(second);
        return;
      case 'least':
        // The least TTL of a vendor; `silent`: it says so only by refusing less.
        for (const v of vendors(w!, first))
          v.least = { ttl: Number(second), says: third !== 'silent' };
        return;
      case 'tally':
        this.#tallies = true;
        return;
      case 'dns':
        for (const v of vendors(w!, first)) setDns(v, second as Vendor['dns']);
        return;
      case 'chain':
        if (second === 'ok') w!.chains.delete(`${first}.shop.test.`);
        else w!.chains.set(`${first}.shop.test.`, second as 'broken' | 'unknown' | 'silent');
        return;
      case 'kill':
        return w!.kill();
      case 'lose':
        w!.docs = {};
        return;
      case 'store':
        w!.storeFails = first === 'fails';
        return;
      case 'hook':
        // `hook veto 5s`: what hooks say, and after how long; `none`: nothing, ever.
        w!.hookSays = { answer: first as 'go', ms: parseDuration(second ?? '10ms')! };
        return;
      case 'pause':
        w!.now += parseDuration(first)!;
        return w!.send({ kind: 'paused', forMs: parseDuration(first)! });
      case 'wall':
        // The machine's clock is set: so far from where it would be.
        w!.wallOffMs =
          (first.startsWith('-') ? -1 : 1) * parseDuration(first.replace(/^[+-]/, ''))!;
        return;
      case 'audit':
        // What it finds of the zones is no matter here: at each of them a prediction is made.
        // `audit a=unfit:why b=fit`: and of the targets of www that they serve its names, or not.
        return w!.send({ kind: 'surveyed', surveys: [], standbys: words.map(standbyOf) });
      case 'maintain':
        // The windows of maintenance that are open from now on: of origins, and of records by `www`.
        return this.#maintain(words);
      case 'soon':
        // A window of an origin is about to open.
        return w!.send({
          ...{ kind: 'maintained', origins: {}, records: {} },
          soon: {
            [first]: { window: 'Sun 02:00-04:00', fromAt: w!.state.now + parseDuration(second)! },
          },
        });
      case 'lease':
        return w!.send({ kind: 'lease', held: first === 'held', term: Number(second ?? 1) });
      case 'reload':
        this.#shape = merge(this.#shape, shapeOf(words));
        return w!.reload(coreConfig(this.#shape));
      case 'show':
        if (first === 'open') return this.#showOpen();
        if (first === 'group') return this.#showGroup();
        if (first === 'calls') return this.#showCalls();
        if (first === 'lanes') return this.#showLanes();
        if (first === 'ttl') return this.#showTtl();
        if (first === 'prepared') return this.#showPrepared();
        if (first === 'rates') return this.#showRates();
        if (first === 'stands') return this.#showStands();
        return first === 'clouds' ? this.#showClouds() : this.#show();
      default:
        return this.#command(verb!, first, second, third, words);
    }
  }

  #maintain(words: readonly string[]): void {
    const open = { window: 'Sun 02:00-04:00', untilAt: this.#w.now + 3_600_000 };
    const all = (names: readonly string[]) => Object.fromEntries(names.map((n) => [n, open]));
    const isOrigin = (word: string) => Object.hasOwn(this.#w.state.config.origins, word);
    const records = words.filter((word) => !isOrigin(word)).map((word) => `${word}.gslb.test.`);
    this.#w.send({
      ...{ kind: 'maintained', origins: all(words.filter(isOrigin)) },
      records: all(records),
    });
  }

  #peer(name: string, what: string, words: readonly string[]): void {
    const peers = this.#peers!;
    const peer = peers.worlds.get(name)!;
    if (what === 'reload')
      peer.reload(asSeenBy(coreConfig(merge(this.#shape, shapeOf(words))), name));
    else peers.part(name, what === 'gone');
  }

  /** How this replica hears each of the others, and each record. */
  #showGroup(): void {
    const w = this.#w;
    this.#collect();
    const { group } = view(w.state, { version: 'test', reload: null });
    for (const r of group?.replicas ?? []) {
      const age = r.ageMs === null ? '' : `, ${r.ageMs} ms old`;
      const heard = r.heard ? `heard${age}` : `not heard: ${r.why}`;
      const blind = r.blind ? ', blind' : '';
      const other = r.differs.length === 0 ? '' : `, differs in ${r.differs.join(', ')}`;
      this.#said.push(`  ${r.name}${r.self ? ' (this)' : ''}: ${heard}${blind}${other}`);
    }
    for (const { name, stay } of w.state.records.values()) {
      if (!w.state.lease.held) this.#said.push(`  ${name} ${stay.sentence}`);
    }
  }

  #showCalls(): void {
    const { calls } = this.#peers!;
    this.#said.push(`calls: ${[...calls].map(([who, n]) => `${who} ${n}`).join(', ')}`);
  }

  #command(verb: string, first: string, second: string, _third: string, words: string[]): void {
    const asked = this.#w.state.records.get(WWW)?.doc.approval?.id ?? this.#asked;
    this.#asked = asked;
    const command = commandOf(verb, first === 'it' ? asked : first, second, words);
    this.#collect();
    const reply = this.#w.command(command);
    this.#said.push(`reply ${reply.exit}: ${withoutId(reply.message)}`);
  }

  #show(): void {
    const w = this.#w;
    this.#collect();
    for (const r of w.state.records.values()) {
      const name = r.name === WWW ? '' : `${r.name} `;
      const epoch = r.doc.marker?.epoch ?? 0;
      this.#said.push(`${name}on ${r.doc.target ?? 'nothing'}, epoch ${epoch}, ${r.stay.reason}`);
      for (const cell of r.cells.values()) {
        const held = w.held(cell.provider, r.name);
        const marker = held.markers.map((m) => /epoch=\d+/.exec(m)?.[0] ?? m).join('+');
        const problem = cell.problem === null ? '' : ` (${cell.problem.word})`;
        const value = held.cname?.value ?? 'nothing';
        this.#said.push(`  ${cell.provider}: ${value} ${marker || 'unmarked'}${problem}`);
      }
    }
  }

  /** What each vendor holds to the letter, but for the random id. */
  #showStands(): void {
    const w = this.#w;
    this.#collect();
    for (const r of w.state.records.values()) {
      const until = r.doc.pin?.untilAt ?? null;
      const ends = until === null ? 'without end' : `for ${until - WALL_0 - w.now} ms`;
      if (r.doc.pin !== null) this.#said.push(`pinned to ${r.doc.pin.target} ${ends}`);
      for (const { provider } of r.cells.values()) {
        const { cname, markers } = w.held(provider, r.name);
        const texts = markers.map((m) => m.replace(/ id=\S+/, ''));
        this.#said.push(`  ${provider}: ${cname?.value} ${cname?.ttl} s, ${texts.join(' + ')}`);
      }
    }
  }

  /** How long what stands may be cached, in seconds. */
  #showTtl(): void {
    this.#collect();
    for (const r of this.#w.state.records.values()) {
      const ttls = [...r.cells.keys()].map(
        (provider) => `${provider} ${this.#w.held(provider, r.name).cname?.ttl ?? 'nothing'}`,
      );
      this.#said.push(`ttl: ${ttls.join(', ')}`);
    }
  }

  /** How far a short TTL is, as readers are shown it. */
  #showPrepared(): void {
    this.#showTtl();
    const seen = view(this.#w.state, { version: 'test', reload: null });
    for (const { prepared: p } of seen.records) {
      const after = (at: number | null) => (at === null ? 'not known' : `in ${at - seen.at} ms`);
      if (p === null) this.#said.push('not prepared');
      else {
        this.#said.push(
          `${p.ready ? 'ready' : `ready ${after(p.readyAt)}`}, ends ${after(p.untilAt)}`,
        );
        for (const { provider, from, ttl, readyAt } of p.parts) {
          this.#said.push(`  ${provider} ${from} -> ${ttl} s, ${after(readyAt)}`);
        }
      }
    }
  }

  /** The keys of the notices that are open. */
  #showOpen(): void {
    this.#collect();
    const keys = [...this.#w.state.notices.open.keys()].sort();
    this.#said.push(`open: ${keys.join(', ') || 'none'}`);
  }

  /** Each lane as status shows it, and what it has been asked so far. */
  #showLanes(): void {
    const w = this.#w;
    this.#collect();
    const status = view(w.state, { version: 'test', reload: null });
    for (const lane of status.lanes) {
      const { reads, writes, cutOff } = w.vendors.get(lane.provider)!;
      const troubled = [...w.state.records.values()].filter((r) => {
        return (r.cells.get(lane.provider)?.problem ?? null) !== null;
      });
      const given = cutOff === 0 ? '' : `, ${cutOff} cut off`;
      const calls = `${reads} readings${given}, ${writes} writings`;
      this.#said.push(`${lane.provider} ${lane.state}: ${calls}, ${troubled.length} in trouble`);
      for (const z of lane.zones) this.#said.push(`  ${z.zone} ${z.fault}: ${z.detail}`);
    }
  }

  /** How fast each origin is asked, and what its limit costs. */
  #showRates(): void {
    const w = this.#w;
    this.#collect();
    for (const { name, rate } of view(w.state, { version: 'test', reload: null }).origins) {
      const { limited, perSecond, detectionMs, usualMs } = rate;
      const most = limited === null ? '' : `, at most ${limited.perSecond.toFixed(2)}`;
      const until = limited?.pausedUntil ?? null;
      const rests = until === null ? '' : `, left alone for ${until - w.state.now} ms`;
      const seen = `seen within ${detectionMs} ms, ${usualMs} usually`;
      this.#said.push(`  ${name}: ${perSecond.toFixed(2)} a second${most}${rests}; ${seen}`);
    }
  }

  /** Each cloud's diagnosis with its evidence, each origin's health, and how often was switched. */
  #showClouds(): void {
    const w = this.#w;
    this.#collect();
    for (const { diagnosis } of w.state.clouds.values()) {
      this.#said.push(`${diagnosis.word}: ${diagnosis.sentence}`);
    }
    const health = [...w.state.origins.values()].map((o) => `${o.name} ${o.health}`);
    const switches = w.journal.filter((j) => j.entry.kind === 'switch').length;
    this.#said.push(`  ${health.join(', ')}; ${switches} switches so far`);
  }
}

interface News {
  readonly at: number;
  readonly text: string;
}

/** Entries and notices of records by kind, each at its first; those of no record stay. */
function tallied(news: readonly News[]): News[] {
  const kinds = new Map<string, { readonly at: number; count: number; last: number }>();
  const rest: News[] = [];
  for (const n of news) {
    const about = n as Partial<{ entry: Entry; notice: Notice }>;
    const one = about.entry ?? about.notice;
    if (one === undefined || one.record === null) {
      rest.push(n);
      continue;
    }
    const kind = about.entry === undefined ? `tell ${one.kind}` : one.kind;
    const known = kinds.get(kind) ?? { at: n.at, count: 0, last: n.at };
    kinds.set(kind, { at: known.at, count: known.count + 1, last: n.at });
  }
  const tallies = [...kinds].map(([kind, { at, count, last }]) => {
    return { at, text: `${count} times ${kind}, the last ${last - at} ms later` };
  });
  return [...rest, ...tallies].sort((a, b) => a.at - b.at);
}

function commandOf(verb: string, first: string, second: string, words: string[]): Command {
  const by = 'ann';
  const reason = 'because';
  const forWord = words.find((x) => x.startsWith('for='))?.slice(4);
  const forMs = forWord === 'unlimited' ? null : parseDuration(forWord ?? '2h')!;
  const has = (word: string) => words.includes(word);
  const said = { by, ...(has('dry-run') ? { dryRun: true } : {}) };
  const ends = forWord === undefined ? {} : { forMs };
  switch (verb) {
    case 'switch': {
      const flags = { force: has('force'), dryRun: has('dry-run') };
      return { kind: verb, record: WWW, target: first, reason, by, forMs, ...flags };
    }
    case 'adopt': {
      const why = has('because') ? { reason } : {};
      return { kind: verb, record: WWW, target: first, create: has('create'), ...why, ...said };
    }
    case 'pin':
      return { kind: verb, record: WWW, reason, forMs, ...said };
    case 'prepare': {
      const ttl = Number(words.find((x) => x.startsWith('ttl='))?.slice(4) ?? 5);
      return { kind: verb, record: WWW, reason, ttl, forMs: forWord ? forMs! : 3_600_000, ...said };
    }
    case 'unprepare':
    case 'unpin':
    case 'end-drill':
      return { kind: verb, record: WWW, ...said };
    case 'drill': {
      const watch = words.find((x) => x.startsWith('watch='))?.slice(6);
      const watchMs = watch === undefined ? {} : { watchMs: parseDuration(watch)! };
      const target = first === undefined || first.includes('=') ? null : first;
      const plain = has('no-prepare') ? { prepare: false as const } : {};
      const how = {
        target,
        byVendor: has('by-vendor'),
        forMs: forWord ? forMs! : 30_000,
        ...plain,
      };
      return { kind: verb, record: wwwOf(words), reason, ...how, ...watchMs, ...said };
    }
    case 'ack':
      return { kind: verb, record: WWW, reject: has('reject'), ...said };
    case 'drain':
      return { kind: verb, what: first, reason, ...ends, ...said };
    case 'undrain':
      return { kind: verb, what: first, ...said };
    case 'freeze':
      return { kind: verb, record: first === 'www' ? WWW : null, reason, ...ends, ...said };
    case 'unfreeze':
      return { kind: verb, record: first === 'www' ? WWW : null, ...said };
    case 'approve': {
      const link = words.find((x) => x.startsWith('link='))?.slice(5);
      return { kind: verb, id: first, ...(link === undefined ? {} : { link }), ...said };
    }
    case 'reject':
      return { kind: verb, id: first, ...(has('because') ? { reason } : {}), ...said };
    default:
      throw new Error(`a scenario has no word ${verb} (${second})`);
  }
}

/** `a=unfit:another-certificate`. */
function standbyOf(text: string): Standby {
  const [, target, word, why] = /^(\w+)=(\w+)(?::(.*))?$/.exec(text)!;
  const found = { word: word as Standby['word'], why: (why ?? '').replaceAll('-', ' ') };
  return { record: WWW, target: target!, ...found, certificateDays: null };
}

/** `of=api.gslb.test.`; www where it is left out. */
function wwwOf(words: readonly string[]): string {
  return words.find((x) => x.startsWith('of='))?.slice(3) ?? WWW;
}

/** The first signs, the others are kept for what they signed; in force with the next start. */
export function setKeys(w: World, names: string): void {
  w.keys = names === 'none' ? null : createKeyring(names.split(',').map(keyOf));
  w.config = { ...w.config, signed: w.keys !== null };
}

/** A key by its name, as long as a key must be. */
function keyOf(name: string): string {
  return name.padEnd(40, '.');
}

/** `path p1 ok` and `check a/web ok` give the word back to the origin. */
function setManner(manners: Map<string, Manner>, what: string, how: string): void {
  if (how === 'ok') manners.delete(what);
  else manners.set(what, how as Manner);
}

/** `services=one:oss:service:r1`, `references=p1:8.8.8.8`, `advisory=a:load`. */
function extraCheck(key: 'services' | 'references' | 'advisory', text: string): CheckConfig {
  const [of, name, plane, region] = text.split(':') as [string, string, Plane, string?];
  const base = { ...webCheck(of, of, region ?? null), id: `${of}:${name}`, origin: null };
  if (key === 'services') return { ...base, role: 'service', plane };
  if (key === 'advisory') {
    return { ...base, id: `${of}/${name}`, origin: of, cloud: null, advisory: true };
  }
  return { ...base, id: `@${of}:${name}`, role: 'reference', cloud: null, paths: [of] };
}

export function vendors(w: World, which: string): Vendor[] {
  return which === 'all' ? [...w.vendors.values()] : [w.vendors.get(which)!];
}

export function setDns(v: Vendor, how: Vendor['dns']): void {
  v.dns = how;
  v.stale.clear();
  for (const [name, held] of v.records) v.stale.set(name, structuredClone(held));
}

/**
 * `hold all a`, `hold cf nothing`, `hold r53 x.other.test. epoch=7 kind=auto target=b id=ff`,
 * `hold cf a text=not-a-marker`.
 */
export function hold(w: World, which: string, value: string, more: readonly string[]): void {
  for (const name of Object.keys(w.config.records)) holdOne(w, name, which, value, more);
}

function holdOne(
  w: World,
  name: Name,
  which: string,
  value: string,
  more: readonly string[],
): void {
  const options = Object.fromEntries(more.map((m) => m.split('=') as [string, string]));
  for (const v of vendors(w, which)) {
    const cname = value.includes('.') ? value : `${value}.shop.test.`;
    const ttl = Number(options['ttl'] ?? 60);
    const held: Held = {
      cname: value === 'nothing' ? null : { value: cname, ttl },
      markers: [],
      refusal: options['refused']
        ? {
            word: options['refused'] as RefusalWord,
            sentence: `${options['refused']} stands there`,
          }
        : null,
    };
    if (options['tool'] !== undefined) {
      held.company = [{ tool: options['tool'], by: `the text at cname-${name}` }];
    }
    if (options['epoch'] !== undefined) {
      const marker = {
        cluster: options['cluster'] ?? 'shop',
        epoch: Number(options['epoch']),
        id: options['id'] ?? 'ffff',
        term: Number(options['term'] ?? 1),
        kind: (options['kind'] ?? 'auto') as 'auto' | 'operator',
        target: options['target'] ?? value,
        pinned: options['pin'] !== undefined,
        pinMs:
          options['pin'] === undefined || options['pin'] === 'unlimited'
            ? null
            : parseDuration(options['pin'])!,
      };
      const by = options['by'];
      const key = by === undefined ? w.keys : by === 'nobody' ? null : createKeyring([keyOf(by)]);
      const text = formatMarker(key?.sign(name, options['for'] ?? cname, marker) ?? marker);
      held.markers.push(...Array.from({ length: Number(options['times'] ?? 1) }, () => text));
    }
    if (options['text'] !== undefined) held.markers.push(options['text']);
    v.records.set(name, held);
  }
}

/**
 * `heard n2 a/web=down b/web=up`, of each of its paths; `said=-10s` ago, `age=500ms` before that,
 * `evidence=12`, `hash=other`, `blind`, `records=other`, `by=n3/direct` for a path that is not its own.
 */
function heardOf(w: World, replica: string, words: readonly string[]): Event {
  const { config, now } = w;
  const told = words.filter((word) => word.includes('/') && !word.startsWith('by='));
  const given = Object.fromEntries(words.map((word) => word.split('=') as [string, string?]));
  const own = Object.values(config.paths).filter((p) => p.replica === replica);
  const paths = given['by'] === undefined ? own.map((p) => p.name) : [given['by']];
  const age = parseDuration(given['age'] ?? '0ms')!;
  const sightings = told.flatMap((word) => {
    const [check, verdict] = word.split('=') as [string, Verdict];
    const isDown = verdict === 'down';
    const hash = given['hash'] ?? config.checks[check]!.hash!;
    return paths.map((path): Sighting => {
      const runs = isDown ? { fails: 5, passes: 0, missed: 5 } : { fails: 0, passes: 5, missed: 0 };
      const began = { passAgeMs: isDown ? null : age, failAgeMs: isDown ? age : null };
      const nats = Number(given['evidence'] ?? 50);
      const sums = { evidence: isDown ? nats : 0, recovery: isDown ? 0 : nats };
      const last = { outcome: isDown ? 'fail' : 'pass', detail: `${replica} says so` } as const;
      const ages = { ...began, openAgeMs: null, heardAgeMs: age };
      return { check, path, hash, verdict, ...sums, ...runs, ...ages, ...last };
    });
  });
  const hashes = Object.values(config.records).map((r) => [r.name, r.hash!] as const);
  const others = hashes.map(([name]) => [name, given['records'] ?? ''] as const);
  const telling: Telling = {
    ...{ replica, config: 'c', sightings, whole: 'whole' in given, head: 0, term: 0 },
    paths: own.map(({ name }) => ({ path: name, blind: false, lossPermille: 10 })),
    records: Object.fromEntries(given['records'] === undefined ? hashes : others),
    ...{ blind: 'blind' in given, acts: 'acts' in given },
  };
  const ago = parseDuration((given['said'] ?? '-0ms').slice(1))!;
  return { kind: 'heard', telling, saidAt: WALL_0 + now - ago };
}

function merge(a: Shape, b: Shape): Shape {
  const record = { ...a.record, ...b.record };
  const check = { ...a.check, ...b.check };
  return { ...a, ...b, record, check };
}

export function shapeOf(words: readonly string[]): Shape {
  const shape: { -readonly [K in keyof Shape]: Shape[K] } = {};
  const record: Record<string, unknown> = {};
  const check: Record<string, unknown> = {};
  for (const word of words) {
    const [key, value] = word.split('=') as [string, string];
    if (key === 'origins') {
      const all = value.split(',').map((o) => o.split(':') as [string, string, string?]);
      shape.origins = Object.fromEntries(
        all.map(([name, cloud, region]) => [
          name,
          { cloud, ...(region === undefined ? {} : { region }) },
        ]),
      );
    } else if (key === 'services' || key === 'references' || key === 'advisory') {
      shape.extra = [...(shape.extra ?? []), ...value.split(',').map((v) => extraCheck(key, v))];
    } else if (key === 'needs') {
      const [origin, ...id] = value.split(':') as [string, ...string[]];
      shape.needs = { ...shape.needs, [origin]: [...(shape.needs?.[origin] ?? []), id.join(':')] };
    } else if (key === 'detector') shape.detector = detectorOf(value);
    else if (key === 'quorum') shape.quorum = quorumOf(value);
    else if (key === 'paths') shape.paths = value.split(',');
    else if (key === 'replicas') shape.replicas = value.split(',');
    else if (key === 'providers') shape.providers = value.split(',');
    else if (key === 'ttl') shape.ttl = Number(value);
    else if (key === 'records') shape.records = recordsOf(value);
    else if (key === 'patience') record['patienceMs'] = parseDuration(value);
    else if (key === 'objective') record['objectiveMs'] = parseDuration(value);
    else if (key === 'failback') {
      record['failback'] =
        value === 'manual'
          ? { kind: 'manual' }
          : {
              kind: 'after',
              ms: parseDuration(value.split(',')[0]!),
              byVendor: value.includes(','),
            };
    } else if (key === 'budget') record['switchesPerHour'] = Number(value);
    else if (key === 'mode' || key === 'edits') record[key] = value;
    else if (key === 'approveAfter') record['approveAfterMs'] = parseDuration(value);
    else if (key === 'hook') record['hooks'] = value === 'off' ? undefined : hooksOf(value);
    else if (key === 'signed') shape.signed = value === 'yes';
    else if (key === 'interval') check['intervalMs'] = parseDuration(value);
    else if (key === 'timeout') check['timeoutMs'] = parseDuration(value);
    else if (key === 'confirm') check['confirmMs'] = parseDuration(value);
    else if (key === 'fall' || key === 'rise') check[key] = Number(value);
    else throw new Error(`a scenario's config has no word ${key}`);
  }
  return { ...shape, record, check };
}

/** `www.gslb.test.,api.other.test.`, or how many: `100`. */
function recordsOf(text: string): NonNullable<Shape['records']> {
  const count = Number(text);
  const names = Number.isNaN(count)
    ? text.split(',')
    : Array.from({ length: count }, (_, i) => `r${i}.gslb.test.`);
  return Object.fromEntries(names.map((name) => [name, {}]));
}

/** `stay:30s`, `go:30s`: what silence before a switch means; after it one is always told. */
function hooksOf(text: string): HooksConfig {
  const [silence, timeout] = text.split(':') as ['go' | 'stay', string];
  const timeoutMs = parseDuration(timeout)!;
  return { before: { timeoutMs, silence }, after: { timeoutMs } };
}

/** The id of a question is drawn by chance. */
function withoutId(text: string): string {
  return text.replace(/(?<=detour (?:approve|reject) )[0-9a-f]{16}/g, 'ID');
}

/** `majority`, `all`, `2`, `60%`. */
function quorumOf(text: string): QuorumRule {
  if (text === 'all' || text === 'majority') return { kind: text };
  if (text.endsWith('%')) return { kind: 'share', share: Number(text.slice(0, -1)) / 100 };
  return { kind: 'count', groups: Number(text) };
}

/** `counters`, `sequential` (wrong once in ten years), `sequential:1d`. */
function detectorOf(text: string): Detector {
  const [kind, every] = text.split(':') as [string, string | undefined];
  if (kind === 'counters') return { kind };
  return { kind: 'sequential', falseSwitchEveryMs: parseDuration(every ?? '3650d')! };
}
