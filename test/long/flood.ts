// `npm run flood -- --seconds N`: the built daemon in the lab with its API open, while another process
// asks it for 1,000 malformed and 1,000 unauthorised things a second and holds half-open handshakes, from
// forty addresses. It prints what was asked and what became of it, memory before, during and after, how
// late probes began with and without, and how long a good request took meanwhile. It ends with 1 when a
// goal is missed: nothing may happen by it, memory is bounded, probes keep to their schedule, and who has
// a token is served.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect as tcp } from 'node:net';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type TLSSocket, connect as tls } from 'node:tls';
import { parseArgs } from 'node:util';
import type { StatusView } from '../../src/core/view.ts';
import type { StoredEntry } from '../../src/ports.ts';
import { makeCertificate } from '../parts/certificate.ts';
import { mustCall } from '../parts/daemon.ts';
import { socketOf, startDaemon, startLabProgram, stopChild, until } from '../parts/program.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    rate: { type: 'string', default: '1000' },
    /** What the child process does: where it floods. */
    port: { type: 'string', default: '' },
  },
});
const seconds = Number(values.seconds);
const perSecond = Number(values.rate);

/** Goals. */
const lateMostMs = 250;
const grownMostMiB = 64;
const goodMostMs = 1000;

const token = 'f'.repeat(43);

// ---------------------------------------------------------------- who floods

type Count = Record<string, number>;

const malformed = [
  'GET /v1/status HTTP/9.9\r\n\r\n',
  'POST /v1/command HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n{',
  'GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: 127.0.0.1\r\n\r\n',
  `GET /${'x'.repeat(12_000)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`,
  '\0\u0001\u0002 nonsense \r\n\r\n',
];
const unauthorised = [
  'GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer WRONG\r\n\r\n',
  'POST /v1/command HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}',
  'GET /v1/link/nothing.nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n',
];

/** Connections of one address; what is said goes over one that is open, or opens another. */
class Rude {
  readonly #from: string;
  readonly #port: number;
  readonly #count: Count;
  readonly #open = new Set<TLSSocket>();
  #opening = 0;

  constructor(from: string, port: number, count: Count) {
    [this.#from, this.#port, this.#count] = [from, port, count];
  }

  say(text: string): void {
    this.#add('asked');
    const [socket] = this.#open;
    if (socket !== undefined) return void socket.write(text);
    if (this.#opening >= 4) return this.#plain(text);
    this.#opening++;
    const where = { host: '127.0.0.1', port: this.#port, localAddress: this.#from };
    const made = tls({ ...where, rejectUnauthorized: false }, () => {
      this.#open.add(made);
      made.write(text);
    });
    made.on('data', (chunk) => {
      for (const [, status] of String(chunk).matchAll(/HTTP\/1\.1 (\d{3})/g)) this.#add(status!);
    });
    made.on('error', () => undefined);
    made.setTimeout(2000, () => made.destroy());
    let began = true;
    made.once('secureConnect', () => {
      began = false;
      this.#opening--;
    });
    made.once('close', () => {
      if (began) {
        this.#opening--;
        this.#add('not let in');
      }
      this.#open.delete(made);
    });
  }

  /** The same without TLS. */
  #plain(text: string): void {
    const where = { host: '127.0.0.1', port: this.#port, localAddress: this.#from };
    const socket = tcp(where, () => socket.end(text));
    socket.on('error', () => undefined);
    socket.setTimeout(2000, () => socket.destroy());
    socket.on('data', () => undefined);
    socket.once('close', () => this.#add('closed unanswered'));
  }

  /** A connection on which nothing is ever said. */
  hold(): void {
    const where = { host: '127.0.0.1', port: this.#port, localAddress: this.#from };
    const socket = tcp(where, () => this.#add('held'));
    socket.on('error', () => undefined);
    socket.once('close', () => this.#add('held no more'));
  }

  #add(what: string): void {
    this.#count[what] = (this.#count[what] ?? 0) + 1;
  }
}

async function flood(port: number): Promise<void> {
  setPriority(19);
  const count: Count = {};
  const rude = Array.from({ length: 40 }, (_, i) => new Rude(`127.0.1.${i + 1}`, port, count));
  const begin = performance.now();
  let said = 0;
  while (performance.now() - begin < seconds * 1000) {
    const due = ((performance.now() - begin) / 1000) * perSecond;
    for (; said < due; said++) {
      const one = rude[said % rude.length]!;
      one.say(malformed[said % malformed.length]!);
      one.say(unauthorised[said % unauthorised.length]!);
      if (said % 10 === 0) one.hold();
    }
    await pause(5);
  }
  process.send?.(count);
  process.disconnect();
  process.exit();
}

// ---------------------------------------------------------------- what is watched

/** When each probe began, by check and path. */
class Starts {
  readonly #seen = new Map<string, number[]>();

  add({ origins }: StatusView): void {
    for (const { checks } of origins) {
      for (const { id, path, last } of checks) {
        if (last === null) continue;
        const all = this.#seen.get(`${id} ${path}`) ?? [];
        if (all.at(-1) !== last.startedAt) all.push(last.startedAt);
        this.#seen.set(`${id} ${path}`, all);
      }
    }
  }

  /** Milliseconds from one probe to the next beyond the usual, all of them, the least first. */
  late(usualMs: number): number[] {
    const gaps = [...this.#seen.values()].flatMap((all) =>
      all.slice(1).map((at, i) => Math.max(0, at - all[i]! - usualMs)),
    );
    return gaps.toSorted((a, b) => a - b);
  }

  usual(): number {
    const gaps = [...this.#seen.values()].flatMap((all) =>
      all.slice(1).map((at, i) => at - all[i]!),
    );
    return gaps.toSorted((a, b) => a - b)[Math.floor(gaps.length / 2)] ?? 0;
  }
}

const part = (sorted: readonly number[], share: number) =>
  Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);

interface Phase {
  readonly starts: Starts;
  readonly good: number[];
  readonly failed: number;
  readonly notUp: number;
  readonly rssMost: number;
}

/** Watches for so long, or until it is told that it is over. */
async function watch(
  socket: string,
  pid: number,
  port: number,
  over: Promise<unknown>,
): Promise<Phase> {
  const starts = new Starts();
  const good: number[] = [];
  let [failed, notUp, rssMost, on] = [0, 0, 0, true];
  void over.then(() => {
    on = false;
  });
  const asking = (async () => {
    while (on) {
      const began = performance.now();
      const status = await ask(port);
      if (status === 200) good.push(performance.now() - began);
      else failed++;
      await pause(250);
    }
  })();
  while (on) {
    const view = await mustCall<StatusView>(socket, 'GET', '/v1/status');
    starts.add(view);
    notUp = Math.max(notUp, view.origins.filter(({ health }) => health !== 'up').length);
    rssMost = Math.max(rssMost, rssOf(pid));
    await pause(100);
  }
  await asking;
  return { starts, good: good.toSorted((a, b) => a - b), failed, notUp, rssMost };
}

function ask(port: number): Promise<number> {
  return new Promise((resolve) => {
    const asked = request(
      {
        ...{ host: '127.0.0.1', port, path: '/v1/status', agent: false, rejectUnauthorized: false },
        headers: { authorization: `Bearer ${token}` },
        signal: AbortSignal.timeout(10_000),
      },
      (response) => {
        response.resume().on('end', () => resolve(response.statusCode ?? 0));
      },
    );
    asked.on('error', () => resolve(0));
    asked.end();
  });
}

function rssOf(pid: number): number {
  const line = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1] ?? 0) / 1024;
}

/** What an operator or a decision leaves in the journal. */
const doings = /^(ack|adopt|drain|drill|freeze|pin|reload|switch|undrain|unfreeze|unpin|health)$/;

// ---------------------------------------------------------------- the run

async function main(): Promise<number> {
  const lab = await startLabProgram('--no-daemon', '--paths', '3', '--quotas', 'off');
  const made = makeCertificate(lab.directory, 'api', ['127.0.0.1']);
  if (made === null) throw new Error('missing: openssl');
  const port = 20_000 + (process.pid % 10_000);
  const secret = join(lab.directory, 'api-token');
  writeFileSync(secret, token, { mode: 0o600 });
  appendFileSync(
    lab.ready.config,
    `\napi:\n  listen: "127.0.0.1:${port}"\n  cert: ${made.certFile}\n  key: ${made.keyFile}\n` +
      `  tokens: { bench: { token: { file: ${secret} }, role: read } }\n`,
  );
  const daemon = startDaemon(lab.ready.config);
  const socket = socketOf(lab.directory);
  const pid = daemon.child.pid!;
  try {
    await until('the API answers', 30_000, async () => (await ask(port)) === 200);
    await until('all is up', 30_000, async () => {
      const { origins } = await mustCall<StatusView>(socket, 'GET', '/v1/status');
      return origins.every(({ health }) => health === 'up');
    });
    const journal = () =>
      mustCall<{ entries: StoredEntry[] }>(socket, 'GET', '/v1/history?limit=1000');
    const quiet = await watch(socket, pid, port, pause(seconds * 1000));
    const before = rssOf(pid);
    const seen = (await journal()).entries[0]!.seq;
    const child = fork(import.meta.filename, [
      ...['--port', String(port), '--seconds', values.seconds, '--rate', values.rate],
    ]);
    const counted = once(child, 'message').then(([count]) => count as Count);
    const during = await watch(socket, pid, port, once(child, 'exit'));
    await pause(3000);
    const after = rssOf(pid);
    const done = (await journal()).entries.filter(
      ({ seq, kind }) => seq > seen && doings.test(kind),
    );
    return report({ quiet, during, count: await counted, before, after, done: done.length });
  } finally {
    await stopChild(daemon.child);
    await lab.stop();
  }
}

interface Outcome {
  readonly quiet: Phase;
  readonly during: Phase;
  readonly count: Count;
  readonly before: number;
  readonly after: number;
  readonly done: number;
}

function report({ quiet, during, count, before, after, done }: Outcome): number {
  const say = (line: string) => void process.stdout.write(`${line}\n`);
  const usual = quiet.starts.usual();
  const [lateBefore, late] = [quiet.starts.late(usual), during.starts.late(usual)];
  const asked = count['asked'] ?? 0;
  say(
    `asked for: ${asked} things in ${seconds} s (${Math.round(asked / seconds)} a second), 40 addresses`,
  );
  say(
    `  became of it: ${Object.entries(count)
      .map(([what, n]) => `${what} ${n}`)
      .join(', ')}`,
  );
  say(
    `memory (RSS): before ${before.toFixed(0)} MiB, at most ${during.rssMost.toFixed(0)}, after ${after.toFixed(0)}`,
  );
  const probes = (what: string, all: readonly number[]) =>
    say(
      `probes late ${what}: median ${part(all, 0.5)} ms, 99 % ${part(all, 0.99)} ms, most ${part(all, 1)} ms of ${all.length}`,
    );
  probes('without', lateBefore);
  probes('meanwhile', late);
  const good = (what: string, { good: all, failed }: Phase) =>
    say(
      `a good request ${what}: median ${part(all, 0.5)} ms, 95 % ${part(all, 0.95)} ms, most ${part(all, 1)} ms of ${all.length}; failed ${failed}`,
    );
  good('without', quiet);
  good('meanwhile', during);
  say(`done by it: ${done} entries in the journal; origins not up: ${during.notUp}`);
  const goals: [string, boolean][] = [
    [`asked for ${2 * perSecond} things a second`, asked >= 1.9 * perSecond * seconds],
    ['nothing happened by it', done === 0 && during.notUp === 0],
    [
      `memory grew by less than ${grownMostMiB} MiB`,
      during.rssMost - Math.max(before, quiet.rssMost) < grownMostMiB,
    ],
    [
      `99 % of probes less than ${lateMostMs} ms later than without`,
      part(late, 0.99) - part(lateBefore, 0.99) < lateMostMs && late.length > 0,
    ],
    [
      `every good request answered, 95 % within ${goodMostMs} ms`,
      during.failed === 0 && part(during.good, 0.95) < goodMostMs,
    ],
  ];
  for (const [goal, kept] of goals) say(`${kept ? 'kept  ' : 'MISSED'}  ${goal}`);
  return goals.every(([, kept]) => kept) ? 0 : 1;
}

if (values.port !== '') await flood(Number(values.port));
else process.exitCode = await main();
