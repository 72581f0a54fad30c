// The story of an outage, for the person at the terminal: what the daemon says, line by line, and
// what the vendors' name servers answer when asked on the wire, each with the time since the fault
// was made. It only listens and asks; it changes nothing. It must never print without a bound,
// never trust a line to be well-formed, and never take the daemon's word for what DNS answers.

import type { EntryKind, Name } from '../../core/model.ts';
import { ask } from '../../dns/ask.ts';
import { parseHostPort } from '../../kit/schema.ts';

interface StoryOptions {
  /** Prints one line; the line has no newline. */
  readonly print: (line: string) => void;
  readonly colour: boolean;
  /** The steered zone, cut from the names of records. */
  readonly zone: Name;
  readonly vendors: readonly string[];
  /** The origin that an answer leads to; null when it is none of the record's targets. */
  readonly originOf: (record: Name, answer: string) => string | null;
}

/** Lines in any one second; the rest is counted, and stands in the daemon's log. */
const linesPerSecond = 40;
const lineMost = 300;
/** Journal words that end a record's switch. */
const endings: readonly string[] = ['settled'] satisfies EntryKind[];

const colours: Readonly<Record<string, number>> = {
  fault: 35,
  wire: 36,
  switch: 1,
  decide: 1,
  visible: 32,
  settled: 32,
  'health down': 31,
  'health up': 32,
  'health unknown': 33,
};

/** Turns what happens into lines such as `12:00:03.412  +0.91 s  hangzhou  confirmed down: …`. */
export class Story {
  readonly #options: StoryOptions;
  #faultAtMs: number | null = null;
  #second = 0;
  #linesInSecond = 0;
  #ended = new Set<Name>();
  /** What each vendor's servers have come to give since the fault, by record and vendor. */
  #moves = new Map<Name, Map<string, Move>>();

  constructor(options: StoryOptions) {
    this.#options = options;
  }

  /** When the last fault was made, in wall-clock milliseconds; null: none yet. */
  get faultAtMs(): number | null {
    return this.#faultAtMs;
  }

  /** A fault was made at this moment, in wall-clock milliseconds; the times start again there. */
  fault(sentence: string, atMs: number): void {
    this.#faultAtMs = atMs;
    this.#ended = new Set();
    this.#moves = new Map();
    this.tell('fault', 'lab', sentence, atMs);
  }

  /** Whether the daemon has said that a record's switch since the last fault is over. */
  ended(record: Name): boolean {
    return this.#ended.has(record);
  }

  /** All servers of a vendor have come to give an answer: asked on the wire, not believed. */
  wire(vendor: string, record: Name, answer: string, atMs: number): void {
    const { zone, vendors, originOf } = this.#options;
    const origin = originOf(record, answer);
    const label = shortName(record, zone);
    const leads = origin === null ? '' : `, that is ${origin}`;
    const gives = answer.replace(/\.$/, '');
    this.tell('wire', label, `${vendor}: every name server gives ${gives}${leads}`, atMs);
    if (this.#faultAtMs === null) return;
    const moves = this.#moves.get(record) ?? new Map<string, Move>();
    this.#moves.set(record, moves.set(vendor, { answer, atMs }));
    const all = vendors.map((v) => moves.get(v));
    if (!all.every((move) => move?.answer === answer)) return;
    const times = vendors.map((v) => `${v} ${this.#since(moves.get(v)!.atMs)}`).join(', ');
    this.tell('visible', label, `${origin ?? answer} at every vendor: ${times}`, atMs);
  }

  /** One line of the daemon's output: a JSON object with `time` and `msg`, or any text. */
  daemon(line: string): void {
    const entry = parseLine(line);
    if (entry === null) {
      if (line.trim() !== '') this.tell('text', 'daemon', line.trim(), Date.now());
      return;
    }
    if (entry.quiet) return;
    if (entry.record !== null && endings.includes(entry.kind)) this.#ended.add(entry.record);
    const sentence = withoutSubject(entry);
    const tone = entry.health === null ? entry.kind : `health ${entry.health}`;
    this.tell(tone, this.#subject(entry), sentence, entry.atMs);
  }

  /** Prints a line of the story; `atMs` is wall-clock milliseconds. */
  tell(kind: string, subject: string, sentence: string, atMs: number): void {
    const second = Math.floor(Date.now() / 1000);
    if (second !== this.#second) {
      const left = this.#linesInSecond - linesPerSecond;
      this.#second = second;
      this.#linesInSecond = 0;
      if (left > 0) this.#options.print(`… and ${left} more lines, in the daemon's log`);
    }
    this.#linesInSecond++;
    if (this.#linesInSecond > linesPerSecond) return;
    const text = printable(sentence).slice(0, lineMost);
    const since = this.#since(atMs).padStart(9);
    const head = `${clockOf(atMs)}  ${since}  ${printable(subject).padEnd(10)}`;
    const colour = this.#options.colour ? colours[kind] : undefined;
    const line = `${head}  ${text}`;
    this.#options.print(colour === undefined ? line : `\x1b[${colour}m${line}\x1b[0m`);
  }

  #since(atMs: number): string {
    if (this.#faultAtMs === null || atMs < this.#faultAtMs) return '';
    return seconds(atMs - this.#faultAtMs);
  }

  #subject(entry: DaemonLine): string {
    if (entry.record !== null) {
      const label = shortName(entry.record, this.#options.zone);
      return entry.provider === null ? label : `${label} ${entry.provider}`;
    }
    return entry.about ?? entry.provider ?? 'detour';
  }
}

/** `+0.91 s`, `+1.63 s`, `+95.0 s`. */
export function seconds(ms: number): string {
  return `+${(ms / 1000).toFixed(ms < 60_000 ? 2 : 1)} s`;
}

/** A record's name without the steered zone and without the dot at its end. */
export function shortName(record: Name, zone: Name): string {
  const inside = record.endsWith(`.${zone}`);
  return inside ? record.slice(0, -zone.length - 1) : record.replace(/\.$/, '');
}

interface Move {
  readonly answer: string;
  readonly atMs: number;
}

interface DaemonLine {
  readonly atMs: number;
  readonly kind: string;
  readonly record: Name | null;
  readonly provider: string | null;
  /** The origin or cloud it speaks of. */
  readonly about: string | null;
  /** What an origin has become. */
  readonly health: string | null;
  readonly sentence: string;
  /** For machines only: below `info`. */
  readonly quiet: boolean;
}

function parseLine(line: string): DaemonLine | null {
  if (!line.startsWith('{')) return null;
  let value: Readonly<Record<string, unknown>>;
  try {
    value = JSON.parse(line) as Readonly<Record<string, unknown>>;
  } catch {
    return null; // a line cut short is shown as the text it is
  }
  const data = (typeof value.data === 'object' ? value.data : null) ?? {};
  const word = (source: object, ...keys: readonly string[]) => {
    for (const key of keys) {
      const found = (source as Readonly<Record<string, unknown>>)[key];
      if (typeof found === 'string' && found !== '') return found;
    }
    return null;
  };
  const sentence = word(value, 'msg', 'sentence');
  if (sentence === null) return null;
  const level = value.level;
  const time = value.time;
  const atMs = typeof time === 'number' ? time : Date.parse(String(time));
  return {
    atMs: Number.isFinite(atMs) ? atMs : Date.now(),
    kind: word(value, 'kind') ?? 'text',
    record: word(value, 'record'),
    provider: word(data, 'provider', 'lane') ?? word(value, 'provider'),
    about: word(data, 'origin', 'cloud', 'what') ?? word(value, 'origin', 'cloud'),
    health: word(data, 'health'),
    sentence,
    quiet: level === 'debug' || level === 'trace' || (typeof level === 'number' && level < 30),
  };
}

/** A sentence whose subject stands in a column of its own does not say it again. */
function withoutSubject({ record, provider, about, sentence }: DaemonLine): string {
  const starts = [
    ...(record === null ? [] : [`${record} at ${provider}: `, `${record}: `, `${record} `]),
    `lane ${provider}: `,
    `${about}: `,
  ];
  const start = starts.find((s) => sentence.startsWith(s)) ?? '';
  return sentence.slice(start.length);
}

function clockOf(atMs: number): string {
  const date = new Date(atMs);
  const two = (n: number) => String(n).padStart(2, '0');
  const ms = String(date.getMilliseconds()).padStart(3, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${ms}`;
}

/** Without characters that could move the cursor or change the terminal. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, ' ');
}

// ---------------------------------------------------------------- what DNS answers, on the wire

interface WatchOptions {
  /** `HOST:PORT` of every authoritative server, by vendor. */
  readonly servers: Readonly<Record<string, readonly string[]>>;
  /** Few: each is asked at every server every time. */
  readonly records: readonly Name[];
  /** All servers of a vendor have come to give the same other answer, at this wall-clock moment. */
  readonly changed: (vendor: string, record: Name, answer: string, atMs: number) => void;
}

const idleMs = 1000;
const busyMs = 50;
const busyForMs = 60_000;
const answerMs = 500;

/** Asks every server of every vendor for some records, again and again. */
export class WireWatch {
  readonly #options: WatchOptions;
  /** Questions that are not answered yet. */
  readonly #asking = new Set<string>();
  /** The last answer of each server for each record. */
  readonly #given = new Map<string, string>();
  /** The answer that all servers of a vendor last agreed on, for each record. */
  readonly #agreed = new Map<string, string>();
  readonly #closing = new AbortController();
  #busyUntil = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#round();
  }

  /** Looks closely for a minute: something is about to change. */
  hurry(): void {
    this.#busyUntil = performance.now() + busyForMs;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#round();
  }

  /** What all servers of a vendor last agreed on for a record; null before that. */
  answer(vendor: string, record: Name): string | null {
    return this.#agreed.get(`${vendor} ${record}`) ?? null;
  }

  close(): void {
    this.#closing.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #round(): void {
    if (this.#closing.signal.aborted) return;
    for (const [vendor, servers] of Object.entries(this.#options.servers)) {
      for (const record of this.#options.records) {
        for (const server of servers) void this.#ask(vendor, server, record);
      }
    }
    const pause = performance.now() < this.#busyUntil ? busyMs : idleMs;
    this.#timer = setTimeout(() => this.#round(), pause);
  }

  async #ask(vendor: string, server: string, record: Name): Promise<void> {
    const key = `${vendor} ${server} ${record}`;
    if (this.#asking.has(key)) return;
    this.#asking.add(key);
    const given = await question(server, record, this.#closing.signal);
    this.#asking.delete(key);
    if (this.#closing.signal.aborted) return;
    if (given.answered) this.#given.set(key, given.text);
    // A server that does not answer gives nothing new, and agrees with nobody.
    else this.#given.delete(key);
    this.#compare(vendor, record);
  }

  #compare(vendor: string, record: Name): void {
    const servers = this.#options.servers[vendor] ?? [];
    const given = new Set(
      servers.map((server) => this.#given.get(`${vendor} ${server} ${record}`)),
    );
    const [answer] = given;
    if (given.size !== 1 || answer === undefined) return;
    const key = `${vendor} ${record}`;
    const before = this.#agreed.get(key);
    this.#agreed.set(key, answer);
    if (before !== undefined && before !== answer) {
      this.#options.changed(vendor, record, answer, Date.now());
    }
  }
}

/** The CNAME that a server (`HOST:PORT`) gives, or the word of why there is none. */
export async function askCname(server: string, record: Name): Promise<string> {
  return (await question(server, record)).text;
}

interface Given {
  /** There was a reply, whatever its code. */
  readonly answered: boolean;
  readonly text: string;
}

async function question(server: string, record: Name, signal?: AbortSignal): Promise<Given> {
  const at = parseHostPort(server, 53);
  if (at === null) throw new Error(`${server}: expected HOST:PORT`);
  const limits = { timeoutMs: answerMs, ...(signal === undefined ? {} : { signal }) };
  const asked = { name: record, type: 'CNAME' };
  const got = await ask({ address: at.host, port: at.port }, asked, limits);
  if (got.kind !== 'reply') return { answered: false, text: got.kind };
  const { rcode, answers } = got.message;
  if (rcode !== 'NOERROR') return { answered: true, text: rcode };
  const cname = answers.find((a) => a.type === 'CNAME' && a.name === record);
  return { answered: true, text: cname?.type === 'CNAME' ? cname.target : 'NODATA' };
}
