// Two writers of one record, one of them stale, in orders drawn from a seed: every request of both
// waits on a wire until it is let go, and may be lost, lose its reply, be throttled, read the past,
// or arrive long after its sender has given up. Both follow the design (rules 14 and 15) through
// the real adapters. What each provider served at every moment is then held against the rules:
// never empty, never foreign, never two markers, and at a provider that compares and sets never
// back to a lower epoch. At the others the worst such window is measured.
// `npm run writers -- --interleavings 1000 --provider alidns --seed 7`.

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { isMove } from '../../src/core/cell.ts';
import {
  claimName,
  compareMarkers,
  FIRST_ID,
  formatMarker,
  markerName,
  parseMarker,
} from '../../src/core/marker.ts';
import type { Fault, Marker, Name, RecordConfig } from '../../src/core/model.ts';
import { type Knowledge, plan, standing, type Wanted } from '../../src/core/plan.ts';
import { ask } from '../../src/dns/ask.ts';
import { joinText } from '../../src/dns/wire.ts';
import type { Provider } from '../../src/kit/extend.ts';
import { parseHostPort } from '../../src/kit/schema.ts';
import { type Account, type Row, rows, zone } from '../parts/accounts.ts';
import { readAll, writeAll } from '../parts/answers.ts';
import { Gate, type Held, isWholeDns, isWholeHttp, type Late, type Way } from '../parts/gate.ts';

export interface Window {
  readonly ms: number;
  /** Requests that reached the vendor in it. */
  readonly calls: number;
}

export interface WritersReport {
  readonly title: string;
  readonly interleavings: number;
  readonly seed: number;
  /** Requests let go one by one. */
  readonly steps: number;
  /** States that were served and looked at. */
  readonly states: number;
  /** What was done to requests, and what the adapters said, by their words. */
  readonly faults: Readonly<Record<string, number>>;
  readonly said: Readonly<Record<string, number>>;
  /** Interleavings in which what had been overtaken was served again. */
  readonly relapses: number;
  /** The longest of those, and the one of most calls. */
  readonly worst: Window;
  /** Those in which the old value came alone, under a marker that was not overtaken. */
  readonly orphans: number;
  /** Interleavings with two switches of equal right, which a person settles. */
  readonly undecided: number;
  /** Those of them in which one took what the other had. */
  readonly flips: number;
}

/** The rows that a word of the command line means: part of the type or the title. */
export function rowsOf(word: string | null): readonly Row[] {
  // What is served is looked at in two questions, which must be of one moment.
  const all = rows.filter((r) => !r.givesLater);
  const fits = (text: string) => text.toLowerCase().includes(word!.toLowerCase());
  return word === null ? all : all.filter((r) => fits(r.title) || fits(r.capabilities.type));
}

/** Plays so many interleavings at one provider. Throws at the first thing that must never be. */
export async function writers(
  row: Row,
  interleavings: number,
  seed: number,
): Promise<WritersReport> {
  const account = await row.start();
  const stage = await Stage.set(row, account);
  try {
    for (let i = 0; i < interleavings; i++) {
      await new Play(stage, i, seeded(seed + i)).run().catch((error: Error) => {
        const again = `npm run writers -- --provider '${row.title}' --interleavings 1`;
        const what = `interleaving ${i}: ${error.message}`;
        throw new Error(`${what}\nagain: ${again} --seed ${seed + i}`, { cause: error });
      });
    }
    return { title: row.title, interleavings, seed, ...stage.tally };
  } finally {
    await stage.strike();
    await account.close();
  }
}

// ---------------------------------------------------------------- the stage

interface Served {
  readonly cname: Name | null;
  readonly markers: readonly string[];
  readonly at: number;
  readonly calls: number;
}

type Tally = Omit<WritersReport, 'title' | 'interleavings' | 'seed'>;

/** One provider, two gates to it, and a look at what it serves. */
class Stage {
  readonly account: Account;
  readonly isStrict: boolean;
  readonly gates: readonly [Gate, Gate];
  readonly providers: readonly [Provider, Provider];
  /** Its own way, that nothing holds up. */
  readonly direct: Provider;
  readonly tally: { -readonly [K in keyof Tally]: Tally[K] } & {
    faults: Record<string, number>;
    said: Record<string, number>;
  } = {
    steps: 0,
    states: 0,
    faults: {},
    said: {},
    relapses: 0,
    worst: { ms: 0, calls: 0 },
    orphans: 0,
    undecided: 0,
    flips: 0,
  };
  #calls = 0;
  #watched: { readonly name: Name; readonly states: Served[] } | null = null;

  static async set(row: Row, account: Account): Promise<Stage> {
    const { host, port } = parseHostPort(account.place, null)!;
    const target = { address: host, port };
    const whole = row.capabilities.type === 'rfc2136' ? isWholeDns : isWholeHttp;
    const gates = [await Gate.start(target, whole), await Gate.start(target, whole)] as const;
    return new Stage(row, account, gates);
  }

  private constructor(row: Row, account: Account, gates: readonly [Gate, Gate]) {
    this.account = account;
    this.isStrict = row.capabilities.fence.kind !== 'weak';
    this.gates = gates;
    const [left, right] = gates.map((gate) => account.open({ via: gate.place }));
    this.providers = [left!, right!];
    this.direct = account.open();
    const served = account.vendor?.zone(zone);
    if (served === undefined) return;
    // Everything that the emulator's name servers ever give passes here, in order.
    const replace = served.replace.bind(served);
    served.replace = (rrsets) => {
      replace(rrsets);
      this.#note((name, type) => served.get(name, type)?.values ?? []);
    };
  }

  async strike(): Promise<void> {
    for (const provider of [...this.providers, this.direct]) provider.close();
    await Promise.all(this.gates.map((gate) => gate.close()));
  }

  /** A request has reached the vendor. */
  called(): void {
    this.#calls++;
  }

  watch(name: Name): readonly Served[] {
    const states: Served[] = [];
    this.#watched = { name, states };
    return states;
  }

  /** The end of an interleaving: what the API holds is what was served last. */
  async settled(): Promise<void> {
    const watched = this.#watched;
    if (watched === null || this.account.vendor === null) return this.look();
    await until('the name servers follow', () => this.#follows(watched.name));
  }

  /** Looks at what is served now; an emulator tells of every state by itself. */
  async look(): Promise<void> {
    const watched = this.#watched;
    if (watched === null || this.account.vendor !== null) return;
    const [server] = this.account.servers;
    const values = new Map<string, readonly string[]>();
    for (const [name, type] of [
      [watched.name, 'CNAME'],
      [markerName(watched.name), 'TXT'],
    ] as const) {
      const asked = await ask(server!, { name, type }, { timeoutMs: 5000, tcp: true });
      assert.equal(asked.kind, 'reply', `no answer for ${name}`);
      if (asked.kind !== 'reply') return;
      const found = asked.message.answers.flatMap((a) =>
        a.type === 'CNAME' ? a.target : a.type === 'TXT' ? joinText(a.strings) : [],
      );
      values.set(type, found);
    }
    this.#note((_, type) => values.get(type) ?? []);
  }

  /** Whether DNS gives what the API holds: asked of the API on a way of our own. */
  async #follows(name: Name): Promise<boolean> {
    const served = this.account.vendor!.zone(zone);
    const read = await readAll(this.direct, [name], AbortSignal.timeout(5000));
    if (!read.ok) return false;
    const seen = read.value[name]!;
    assert.ok(seen.cnames.length <= 1, `${seen.cnames.length} CNAMEs stand at ${name}`);
    const cname = served.get(name, 'CNAME')?.values[0] ?? null;
    const texts = (served.get(markerName(name), 'TXT')?.values ?? []).map(unquoted);
    return (
      (seen.cnames[0]?.value ?? null) === cname &&
      JSON.stringify([...seen.markers].sort()) === JSON.stringify([...texts].sort())
    );
  }

  #note(get: (name: Name, type: string) => readonly string[]): void {
    if (this.#watched === null) return;
    const { name, states } = this.#watched;
    const cnames = get(name, 'CNAME');
    assert.ok(cnames.length <= 1, `${cnames.length} CNAMEs are served`);
    const markers = get(markerName(name), 'TXT').map(unquoted);
    const last = states.at(-1);
    const cname = cnames[0] ?? null;
    const isSame = last?.cname === cname && last.markers.join('\n') === markers.join('\n');
    this.tally.states++;
    if (last === undefined || !isSame) {
      states.push({ cname, markers, at: performance.now(), calls: this.#calls });
    }
  }
}

function unquoted(text: string): string {
  return text.replaceAll(/^"|"$/g, '');
}

// ---------------------------------------------------------------- the writers

/** How two writers may stand to one another. */
const kinds = [
  'succession',
  'succession',
  'operator',
  'rivals',
  'first-missing',
  'first-unmarked',
  'first-same',
] as const;
type Kind = (typeof kinds)[number];

type End = 'in-step' | 'deposed' | 'rival' | 'drift' | 'refused' | 'tired';

interface Writer {
  readonly who: 0 | 1;
  readonly wanted: Wanted;
  end: End | null;
  /** Its own switch stood there at least once, as far as it knows. */
  won: boolean;
  /** Others wait behind it: it leaves its marker for later where the vendor's adapter can. */
  readonly inCrowd: boolean;
}

/** Vendors at which epochs are claimed by texts. */
const claimers = new Set<string | undefined>(['alidns', 'dnspod']);

const attemptsMax = 16;

/** Nothing has come or gone for so long: whoever is not waiting pauses by himself. */
const stillMs = 15;

/** What a lane does about one record, after rules 14 and 15. */
async function write(
  writer: Writer,
  provider: Provider,
  record: RecordConfig,
  hooks: {
    readonly isStrict: boolean;
    said(word: string): void;
    again(): Promise<boolean>;
    /** The turns of others that come before its marker's. */
    others(): Promise<void>;
  },
): Promise<End> {
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    // Whatever went before, `uncertain` above all: nothing is written that was not read anew.
    const read = await readAll(provider, [record.name], AbortSignal.timeout(20_000));
    if (!read.ok) {
      hooks.said(`read ${mayBe(read.fault, ['throttled', 'unavailable'])}`);
      continue;
    }
    const seen = read.value[record.name]!;
    const p = plan(record, seen, standing(known, record, seen), writer.wanted);
    // Without a key nobody is deposed: what is ahead fences, whatever value stands under it.
    if (p.kind === 'ahead' || (p.kind === 'edit' && p.edit.above)) return 'deposed';
    if (p.kind === 'rival') return 'rival';
    if (p.kind === 'refuse') throw new Error(`refused: ${p.sentence}`);
    const isOwn = seen.markers[0] === formatMarker(writer.wanted.marker);
    if (p.kind === 'in-step' && isOwn) {
      writer.won = true;
      if (await hooks.again()) continue;
      return 'in-step';
    }
    // All first markers bear one id: to the one that came second this is the other's record.
    if (p.kind === 'in-step' || (p.kind === 'edit' && !isOwn)) return 'drift';
    if (p.kind === 'edit') {
      // Where value and marker change together this was read half before and half after a change.
      hooks.said('read drift under our marker');
      if (hooks.isStrict) continue;
    }
    const change = p.kind === 'edit' ? p.edit.change : p.change;
    const isBrief = writer.inCrowd && isMove(change) && seen.markers.length === 1;
    const brief = isBrief ? ({ settle: 'later' } as const) : {};
    const sent = { ...change, ...brief };
    const [result] = await writeAll(provider, [sent], AbortSignal.timeout(20_000));
    if (result!.ok) hooks.said(isBrief ? 'write ok, its marker later' : 'write ok');
    if (result!.ok && isBrief) await hooks.others();
    if (!result!.ok) {
      const allowed: Fault['kind'][] = ['conflict', 'uncertain', 'throttled', 'unavailable'];
      hooks.said(`write ${mayBe(result!.fault, allowed)}`);
    }
  }
  return 'tired';
}

function mayBe(fault: Fault, allowed: readonly Fault['kind'][]): string {
  assert.ok(allowed.includes(fault.kind), `${fault.kind} was not to be expected: ${fault.detail}`);
  return fault.kind;
}

// ---------------------------------------------------------------- one interleaving

const cluster = 'shop';
const known: Knowledge = { cluster, signed: false, remembered: [], epochMax: 1000 };
const ttl = 300;
const base = 't0';
const cnameOf = (target: string): Name => `${target}.example.com.`;

class Play {
  readonly #stage: Stage;
  readonly #random: () => number;
  readonly #kind: Kind;
  readonly #record: RecordConfig;
  readonly #writers: readonly [Writer, Writer];
  readonly #late: Late[] = [];
  /** Writers that would look again, as soon as they are let. */
  readonly #looks: { readonly who: 0 | 1; go(): void }[] = [];
  /** From this of its requests on the first writer is held until the other one has won. */
  readonly #pausedAt: number;
  /** Share of requests that something happens to. */
  readonly #trouble: number;
  #firstSteps = 0;
  #moved: () => void = () => {};

  constructor(stage: Stage, index: number, random: () => number) {
    this.#stage = stage;
    this.#random = random;
    this.#kind = pick(kinds, random);
    this.#pausedAt = random() < 0.5 ? 1 + Math.floor(random() * 14) : Number.POSITIVE_INFINITY;
    this.#trouble = random() < 0.3 ? 0 : random() * 0.3;
    this.#record = recordOf(`w${index}.${zone}`);
    const settlesLater = stage.direct.capabilities.settlesLater === true;
    this.#writers = castOf(this.#kind, random, () => settlesLater && random() < 0.5);
  }

  async run(): Promise<void> {
    const { account, gates } = this.#stage;
    const { name } = this.#record;
    await this.#begin();
    const states = this.#stage.watch(name);
    await this.#stage.settled();
    const live = this.#writers.map((w) => this.#perform(w));
    await this.#direct();
    await Promise.all(live);
    assert.ok(gates.every((gate) => gate.held.length === 0));
    await this.#stage.settled();
    await this.#settle();
    await this.#stage.settled();
    this.#judge(states);
    for (const type of ['CNAME', 'TXT'] as const) {
      await account.edit(type === 'TXT' ? markerName(name) : name, type, null);
    }
    if (claimers.has(account.vendor?.type)) await account.edit(claimName(name), 'TXT', null);
  }

  /** What stood before either of them came. */
  async #begin(): Promise<void> {
    const { name } = this.#record;
    if (this.#kind === 'first-missing') return;
    await this.#stage.account.edit(name, 'CNAME', cnameOf(base), ttl);
    if (this.#kind === 'first-unmarked' || this.#kind === 'first-same') return;
    const text = formatMarker(markerOf({ epoch: 1, id: 'before', target: base }));
    await this.#stage.account.edit(markerName(name), 'TXT', text, ttl);
  }

  async #perform(writer: Writer): Promise<void> {
    const provider = this.#stage.providers[writer.who];
    const other = this.#writers[1 - writer.who]!;
    let looks = 0;
    writer.end = await write(writer, provider, this.#record, {
      isStrict: this.#stage.isStrict,
      said: (word) => this.#count('said', word),
      // Whoever is in force goes on looking while another one may still write.
      again: async () => {
        if ((other.end !== null && this.#late.length === 0) || ++looks > 12) return false;
        if (other.won && other.end === null) return false;
        await this.#turnOf(writer);
        return true;
      },
      others: () => this.#turnOf(writer),
    });
    this.#count('said', `ended ${writer.end}`);
    this.#moved();
  }

  /** It goes on when the seed says so. */
  #turnOf({ who }: Writer): Promise<void> {
    return new Promise<void>((go) => {
      this.#looks.push({ who, go });
      this.#moved();
    });
  }

  /** Lets one request go after the other, as the seed says. */
  async #direct(): Promise<void> {
    for (;;) {
      await this.#quiet();
      const [paused, free] = this.#stage.gates.map((gate) => gate.held);
      const isPaused =
        this.#firstSteps >= this.#pausedAt && !this.#writers[1].won && !this.#writers[1].end;
      const waiting: readonly Held[] = [...(isPaused ? [] : paused!), ...free!];
      const choices = waiting.length + this.#late.length + this.#looks.length;
      if (choices === 0) {
        if (this.#writers.every((w) => w.end !== null)) return;
        // Between two requests, or in a pause that an adapter takes by itself.
        await pause(1);
        continue;
      }
      let at = Math.floor(this.#random() * choices);
      if (at < waiting.length) {
        const held = waiting[at]!;
        if (paused!.includes(held)) this.#firstSteps++;
        await this.#let(held);
        continue;
      }
      at -= waiting.length;
      if (at < this.#looks.length) this.#looks.splice(at, 1)[0]!.go();
      else {
        const [late] = this.#late.splice(at - this.#looks.length, 1);
        this.#stage.called();
        await late!.deliver();
        await this.#stage.look();
      }
    }
  }

  async #let(held: Held): Promise<void> {
    const { account, tally } = this.#stage;
    const vendor = account.vendor;
    tally.steps++;
    const ways: readonly Way[] = ['lost', 'lost-reply', 'late', 'late'];
    const isTroubled = this.#random() < this.#trouble;
    const isWire = this.#random() < 0.6 || vendor === null;
    const way = isTroubled && isWire ? pick(ways, this.#random) : 'pass';
    if (way !== 'pass') this.#count('faults', way);
    else if (isTroubled && vendor !== null) {
      const fault = pick(['throttle', 'stale-read'], this.#random);
      this.#count('faults', fault);
      vendor.fault(fault, { times: 1 });
    }
    if (way === 'pass' || way === 'lost-reply') this.#stage.called();
    const late = await held.release(way);
    vendor?.fault(null);
    if (late !== null) this.#late.push(late);
    await this.#stage.look();
  }

  /** Waits until both writers wait, or nothing has moved for a moment. */
  async #quiet(): Promise<void> {
    const { gates } = this.#stage;
    for (;;) {
      const moved = new Promise<void>((go) => {
        this.#moved = go;
        for (const gate of gates) gate.onActive = go;
      });
      const open = this.#writers.filter((w) => w.end === null);
      const waits = (who: 0 | 1) =>
        gates[who].held.length > 0 || this.#looks.some((look) => look.who === who);
      if (open.every((w) => waits(w.who))) return;
      const activeAt = Math.max(...gates.map((gate) => gate.activeAt));
      const leftMs = activeAt + stillMs - performance.now();
      if (leftMs <= 0) return;
      await Promise.race([moved, pause(Math.ceil(leftMs))]);
    }
  }

  /** The writer in force, with nothing in its way: a lane converges for ever. */
  async #settle(): Promise<void> {
    const inForce = this.#inForce();
    if (inForce === null) return;
    const { account } = this.#stage;
    // The claim of a writer that died holds up its equals for a minute, or until a person deletes it.
    if (claimers.has(account.vendor?.type)) {
      account.vendor?.edit(claimName(this.#record.name), 'TXT', null);
    }
    const end = await write(inForce, this.#stage.direct, this.#record, {
      isStrict: this.#stage.isStrict,
      said: () => {},
      again: async () => false,
      others: async () => {},
    });
    assert.equal(end, 'in-step', `${inForce.wanted.marker.id} cannot get through: ${end}`);
  }

  /** Whose switch must stand at the end; null where both have the same right to. */
  #inForce(): Writer | null {
    const [left, right] = this.#writers;
    const order = compareMarkers(left.wanted.marker, right.wanted.marker);
    return order === 0 ? null : order > 0 ? left : right;
  }

  #judge(states: readonly Served[]): void {
    const { tally, isStrict } = this.#stage;
    const known = new Map<string | null, Marker>();
    for (const { wanted } of this.#writers) known.set(wanted.cname, wanted.marker);
    const start = markerOf({ epoch: this.#kind.startsWith('first') ? 0 : 1, target: base });
    if (!known.has(cnameOf(base))) known.set(cnameOf(base), start);
    let best: Served | null = null;
    let since: Served | null = null;
    let isAlone = false;
    let orphaned = false;
    let relapsed = false;
    let flipped = false;
    const story = states.map((s) => `${s.cname} ${s.markers.join(' & ')}`).join('\n');
    const never = (holds: boolean, what: string): void =>
      assert.ok(holds, `${what} (${this.#kind}):\n${story}`);
    const standsFor = (s: Served) => known.get(s.cname) ?? start;
    for (const state of states) {
      never(state.cname !== null || best === null, 'the record was served empty');
      if (state.cname === null) continue;
      never(known.has(state.cname), 'a foreign value was served');
      never(state.markers.length <= 1, 'two markers were served');
      const marker = state.markers.map(parseMarker)[0];
      never(marker !== null, 'a text that is no marker was served');
      if (isStrict && marker) {
        never(cnameOf(marker.target) === state.cname, 'marker and CNAME are of two switches');
      }
      const order = best === null ? 1 : compareMarkers(standsFor(state), standsFor(best));
      const isBehind = order < 0;
      const isFlip =
        best !== null &&
        order === 0 &&
        state.cname !== best.cname &&
        !(this.#isFirst() && best.markers.length === 0);
      if (isStrict) never(!isBehind, 'what had been overtaken was served again');
      if (isStrict) never(!isFlip, 'one of equal right took what the other had');
      flipped ||= isFlip;
      if (isBehind) {
        relapsed = true;
        const isAhead = marker != null && compareMarkers(marker, standsFor(best!)) >= 0;
        isAlone = (since === null || isAlone) && isAhead;
        since ??= state;
      } else {
        if (since !== null) {
          this.#note(since, state);
          orphaned ||= isAlone;
        }
        since = null;
        best = state;
      }
    }
    if (relapsed) tally.relapses++;
    if (orphaned) tally.orphans++;
    if (flipped) tally.flips++;
    never(since === null || this.#inForce() === null, 'it ended on what had been overtaken');
    const last = states.at(-1)!;
    const inForce = this.#inForce();
    if (inForce === null) {
      if (this.#writers[0].wanted.cname !== this.#writers[1].wanted.cname) tally.undecided++;
      return;
    }
    never(last.cname === inForce.wanted.cname, 'the writer in force does not stand at the end');
    never(last.markers[0] === formatMarker(inForce.wanted.marker), 'nor does its marker');
  }

  #isFirst(): boolean {
    return this.#kind.startsWith('first');
  }

  #note(from: Served, to: Served): void {
    const { tally } = this.#stage;
    tally.worst = {
      ms: Math.max(tally.worst.ms, to.at - from.at),
      calls: Math.max(tally.worst.calls, to.calls - from.calls),
    };
  }

  #count(what: 'faults' | 'said', word: string): void {
    const counts = this.#stage.tally[what];
    counts[word] = (counts[word] ?? 0) + 1;
  }
}

function markerOf(of: Partial<Marker> & { epoch: number; target: string }): Marker {
  const rest = { cluster, id: 'x', term: 1, kind: 'auto', pinned: false, pinMs: null } as const;
  return { ...rest, ...of };
}

/** The stale writer, and the one that it does not know of. */
function castOf(
  kind: Kind,
  random: () => number,
  inCrowd: () => boolean,
): readonly [Writer, Writer] {
  const cast = (who: 0 | 1, of: Partial<Marker> & { epoch: number; target: string }): Writer => ({
    who,
    wanted: {
      cname: cnameOf(of.target),
      ttl,
      marker: markerOf({ id: `id${who}`, ...of }),
      signed: false,
      placed: null,
      since: 0,
      claim: 'any',
      keepTtl: of.target === base,
    },
    end: null,
    won: false,
    inCrowd: inCrowd(),
  });
  const first = { epoch: 1, id: FIRST_ID, term: 0 };
  switch (kind) {
    case 'succession': {
      const gap = 1 + Math.floor(random() * 3);
      return [
        cast(0, { epoch: 2, target: 't1' }),
        cast(1, { epoch: 2 + gap, target: 't2', term: 2 }),
      ];
    }
    case 'operator':
      return [
        cast(0, { epoch: 2, target: 't1' }),
        cast(1, { epoch: 2, target: 't2', kind: 'operator' }),
      ];
    case 'rivals':
      return [cast(0, { epoch: 2, target: 't1' }), cast(1, { epoch: 2, target: 't2' })];
    case 'first-same':
      return [cast(0, { ...first, target: base }), cast(1, { ...first, target: base })];
    case 'first-missing':
    case 'first-unmarked': {
      const target = random() < 0.5 ? base : 't1';
      return [cast(0, { ...first, target }), cast(1, { ...first, target: 't2' })];
    }
  }
}

function recordOf(name: Name): RecordConfig {
  return {
    name,
    mode: 'steer',
    targets: [base, 't1', 't2'].map((origin) => ({ origin, cname: cnameOf(origin) })),
    publish: [{ provider: 'p', ttl }],
    patienceMs: 0,
    failback: { kind: 'manual' },
    switchesPerHour: 3,
    edits: 'mend',
  };
}

function pick<T>(list: readonly T[], random: () => number): T {
  return list[Math.floor(random() * list.length)]!;
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await holds())) {
    assert.ok(performance.now() < deadline, `in vain: ${what}`);
    await pause(1);
  }
}

/** mulberry32: small, and good enough to draw orders. */
function seeded(seed: number): () => number {
  let s = (seed * 0x9e37_79b1) >>> 0;
  return () => {
    s = (s + 0x6d2b_79f5) >>> 0;
    let t = Math.imul(s ^ (s >>> 15), s | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

// ---------------------------------------------------------------- the command

function counts(all: Readonly<Record<string, number>>): string {
  const parts = Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1));
  return parts.map(([word, n]) => `${word} ${n}`).join(', ');
}

/** One report as a few lines for people. */
export function described(report: WritersReport): string {
  const { title, interleavings, steps, states, relapses, worst, orphans, undecided, flips } =
    report;
  const back =
    relapses === 0
      ? 'never back to what had been overtaken'
      : `back to what had been overtaken in ${relapses} of them, at worst for ` +
        `${Math.ceil(worst.ms)} ms and ${worst.calls} calls until it was mended, in ${orphans} ` +
        'with the old value alone under the marker in force';
  return [
    `${title}: ${interleavings} interleavings, ${steps} requests, ${states} states looked at: ` +
      `never empty, foreign or with two markers; ${back}; ` +
      `${undecided} with two of equal right, of which one took what the other had in ${flips}`,
    `  requests: ${counts(report.faults)}`,
    `  adapters: ${counts(report.said)}`,
  ].join('\n');
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({
    options: {
      interleavings: { type: 'string', default: '1000' },
      provider: { type: 'string' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    },
  });
  const chosen = rowsOf(values.provider ?? null);
  if (chosen.length === 0) throw new Error(`no provider is called ${values.provider}`);
  console.log(`seed ${values.seed}`);
  for (const row of chosen) {
    if (row.skip !== false) {
      console.log(`${row.title}: left out: ${row.skip}`);
      continue;
    }
    const report = await writers(row, Number(values.interleavings), Number(values.seed));
    console.log(described(report));
  }
}
