// What the daemon says while it runs: one JSON object a line for machines, or readable text for a
// terminal. It must never crash or hold up the daemon: a reader that went away is ignored, one that
// does not keep up loses lines, counted. It hides nothing: whoever logs keeps secrets out.

import type { Writable } from 'node:stream';
import { styleText } from 'node:util';
import pino from 'pino';
import type { Json, Spelling } from '../core/model.ts';
import { inScript } from '../core/name.ts';

export type Level = 'debug' | 'info' | 'warn' | 'error';
type Fields = Readonly<Record<string, Json>>;

export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
  /** From now on in this format, from this level on. */
  become(options: Pick<LogOptions, 'format' | 'level' | 'spelling'>): void;
  /** Says how many lines were lost, if any were. */
  flush(): void;
}

interface LogOptions {
  readonly format: 'json' | 'text';
  /** The least level that is written. */
  readonly level: Level;
  /** How names stand in text; in JSON they stay as they are. */
  readonly spelling?: Spelling | undefined;
  readonly stream: Writable;
}

/** Bytes that may wait for a slow reader. */
const waitingMax = 1_048_576;
/** One line of text on a terminal; JSON lines are cut by nobody. */
const textMax = 2000;
const levels: readonly Level[] = ['debug', 'info', 'warn', 'error'];
const colours = { debug: 'dim', info: 'green', warn: 'yellow', error: 'red' } as const;

/** A log on a stream. JSON lines carry `time` (ISO 8601, UTC), `level`, `msg` and the fields. */
export function createLog(options: LogOptions): Log {
  const line = bounded(options.stream);
  const writer = (o: LogOptions) => (o.format === 'json' ? json(o, line) : text(o, line));
  let write = writer(options);
  const tell = () => {
    const lost = line.hasRoom() ? line.takeLost() : 0;
    if (lost > 0) write('warn', 'log lines were lost: their reader did not keep up', { lost });
  };
  const at =
    (level: Level) =>
    (message: string, fields: Fields = {}) => {
      tell();
      write(level, message, fields);
    };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    become(more) {
      write = writer({ ...options, ...more });
    },
    flush: tell,
  };
}

/** Troubles that are told apart; the one that came longest ago is forgotten first. */
const troublesMost = 200;
const nearestMs = 1000;
const farthestMs = 600_000;

/**
 * For what comes again and again (a full disk at every commit): the same words are said at growing
 * distances, from 1 s to 10 min. Gives how often they came unsaid since they were said last, or null:
 * they need not be said now. Numbers in them make no difference.
 */
export function createRarely(
  now: () => number = () => performance.now(),
): (what: string, detail: string) => number | null {
  const known = new Map<string, { nextAt: number; distanceMs: number; unsaid: number }>();
  return (what, detail) => {
    const key = `${what}: ${detail}`.replace(/\d+/g, '0');
    const one = known.get(key);
    const at = now();
    known.delete(key);
    if (known.size >= troublesMost) known.delete(known.keys().next().value!);
    if (one !== undefined && at < one.nextAt) {
      known.set(key, { ...one, unsaid: one.unsaid + 1 });
      return null;
    }
    // Away for longer than it was silent: it is another occasion.
    const isOver = one === undefined || at > one.nextAt + 2 * one.distanceMs;
    const distanceMs = isOver ? nearestMs : Math.min(2 * one.distanceMs, farthestMs);
    known.set(key, { nextAt: at + distanceMs, distanceMs, unsaid: 0 });
    return one?.unsaid ?? 0;
  };
}

type Write = (level: Level, message: string, fields: Fields) => void;

interface Line {
  write(text: string): void;
  hasRoom(): boolean;
  /** Lines lost since it was last asked. */
  takeLost(): number;
}

function bounded(stream: Writable): Line {
  let lost = 0;
  // EPIPE and its like: the reader has gone, and the daemon's work does not depend on it. Node
  // destroys the stream after an error, except for standard output, which may work again.
  stream.on('error', () => {});
  const hasRoom = () => stream.writable && stream.writableLength < waitingMax;
  return {
    write(text) {
      if (hasRoom()) stream.write(text);
      else lost++;
    },
    hasRoom,
    takeLost() {
      const count = lost;
      lost = 0;
      return count;
    },
  };
}

function json({ level }: LogOptions, line: Line): Write {
  const logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    line,
  );
  return (at, message, fields) => logger[at](named(fields), message);
}

/** Fields of the line's own names would stand there twice; readers keep one or the other. */
function named(fields: Fields): Fields {
  if (!['time', 'level', 'msg'].some((name) => name in fields)) return fields;
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) =>
      ['time', 'level', 'msg'].includes(name) ? [`${name}_`, value] : [name, value],
    ),
  );
}

/** `14:03:07.250  warn   provider cf is stuck  provider=cf`, in local time. */
function text({ level: least, stream, spelling = {} }: LogOptions, line: Line): Write {
  const own = (sentence: string) => shortened(inScript(plain(sentence), spelling));
  const paint = (style: Parameters<typeof styleText>[0], shown: string) =>
    styleText(style, shown, { stream });
  return (level, message, fields) => {
    if (levels.indexOf(level) < levels.indexOf(least)) return;
    const facts = Object.entries(fields).map(([name, value]) => `${name}=${bare(value)}`);
    const shown = [
      paint('dim', timeOfDay(new Date())),
      paint(colours[level], level.padEnd(5)),
      own(message),
      ...(facts.length > 0 ? [paint('dim', own(facts.join(' ')))] : []),
    ];
    line.write(`${shown.join('  ')}\n`);
  };
}

function timeOfDay(date: Date): string {
  const two = (n: number) => String(n).padStart(2, '0');
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
  return `${clock}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

function bare(value: Json): string {
  return typeof value === 'string' && /^[\w.:/@+-]+$/.test(value) ? value : JSON.stringify(value);
}

/** Bytes from outside may stand in a sentence; a terminal must not obey them. */
function plain(sentence: string): string {
  return sentence.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]+/gu, ' ');
}

function shortened(sentence: string): string {
  return sentence.length <= textMax ? sentence : `${sentence.slice(0, textMax - 1)}…`;
}
