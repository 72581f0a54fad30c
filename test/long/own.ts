// Name servers of one's own as they run in the world: a BIND with threads that signs its zone, one
// whose views are chosen by key, a Knot that signs, a PowerDNS with its caches and DNSSEC, spoken to
// by updates and by its API. One record is switched to and fro as a lane does it, and what the
// adapter said of each switch is held against what the server gives. It must never pass a switch that
// was called made and is not given, nor one that was called refused and is.
// `npm run own -- --switches 200 --server knot`.

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { SignedServer } from '../../providers/kit/signed.ts';
import { powerdns } from '../../providers/powerdns.ts';
import { rfc2136 } from '../../providers/rfc2136.ts';
import { formatMarker, markerName } from '../../src/core/marker.ts';
import type { Answer, Change, Name, Seen } from '../../src/core/model.ts';
import { ask, type Server } from '../../src/dns/ask.ts';
import { joinText, type Message } from '../../src/dns/wire.ts';
import type { Provider } from '../../src/kit/extend.ts';
import { parseHostPort } from '../../src/kit/schema.ts';
import { marker } from '../parts/answers.ts';
import { type BindKey, newKey, startBind, withoutBind } from '../parts/bind.ts';
import { startKnot, withoutKnot } from '../parts/knot.ts';
import { powerdnsAbsent, startPowerdns } from '../parts/powerdns.ts';

const zone: Name = 'fo.test.';
const name: Name = `www.${zone}`;
const callTimeoutMs = 2000;
/** So long, at most, until the server gives what it was said to have taken. */
const givenMs = 10_000;
/** Tries of one switch, as a lane makes them. */
const triesMax = 5;

interface Running {
  readonly provider: Provider;
  /** What is given for a name, past the adapter. */
  look(of: Name, type: 'CNAME' | 'TXT'): Promise<readonly string[]>;
  close(): Promise<void>;
}

export interface OwnRow {
  readonly title: string;
  readonly skip: string | false;
  start(): Promise<Running>;
}

export interface OwnReport {
  readonly title: string;
  readonly switches: number;
  /** What the adapter said of the writings, by its words. */
  readonly said: Readonly<Record<string, number>>;
  /** Switches that were said to be other than they were, each in a sentence. */
  readonly misjudged: readonly string[];
  /** Milliseconds from the first writing until the adapter said that it is made. */
  readonly made: readonly number[];
  /** And from then until the server gave it to whoever asks. */
  readonly given: readonly number[];
}

const withoutPowerdns = process.env['CI'] ? false : (powerdnsAbsent() ?? false);

export const ownRows: readonly OwnRow[] = [
  {
    title: 'BIND, four threads, signing inline',
    skip: withoutBind,
    async start() {
      const key = newKey('detour.');
      const bind = await startBind({ zones: [{ name: zone, signed: true }], keys: [key] });
      return byUpdates(bind, key, bind.stop);
    },
  },
  {
    title: 'BIND, views chosen by key, signing inline',
    skip: withoutBind,
    async start() {
      const key = newKey('detour.');
      const others = { name: 'others', key: null, zones: [{ name: zone, policy: [] }] };
      const views = [{ name: 'ours', key, zones: [{ name: zone, signed: true as const }] }, others];
      const bind = await startBind({ zones: others.zones, views, keys: [key] });
      return byUpdates(bind, key, bind.stop, 'signed');
    },
  },
  {
    title: 'Knot, signing',
    skip: withoutKnot,
    async start() {
      const key = newKey('detour.');
      const knot = await startKnot({ zones: [{ name: zone, signed: true }], keys: [key] });
      return byUpdates(knot, key, knot.stop);
    },
  },
  {
    title: 'PowerDNS, caches and DNSSEC, by updates',
    skip: withoutPowerdns,
    async start() {
      const key = newKey('detour.');
      const server = await startPowerdns({ keys: [key], signed: true });
      return byUpdates(serverOf(server.dns), key, server.close);
    },
  },
  {
    title: 'PowerDNS, caches and DNSSEC, by its API',
    skip: withoutPowerdns,
    async start() {
      const server = await startPowerdns({ signed: true });
      const settings = { endpoint: server.api, apiKey: { env: 'K' }, zone };
      const provider = powerdns.create('own', powerdns.settings.parse(settings), {
        secret: () => server.apiKey,
        callTimeoutMs,
      });
      return { provider, look: openly(serverOf(server.dns)), close: server.close };
    },
  },
];

function serverOf(text: string): Server {
  const { host, port } = parseHostPort(text, null)!;
  return { address: host, port };
}

function byUpdates(
  server: Server,
  key: BindKey,
  close: () => Promise<void>,
  how: 'openly' | 'signed' = 'openly',
): Running {
  const { address: host, port } = server;
  const settings = rfc2136.settings.parse({
    server: `${host}:${port}`,
    zone,
    tsig: { name: key.name, algorithm: key.algorithm, secret: { env: 'K' } },
  });
  const provider = rfc2136.create('own', settings, { secret: () => key.secret, callTimeoutMs });
  if (how === 'openly') return { provider, look: openly(server), close };
  const signed = new SignedServer({
    ...{ place: 'the server', server: { host, port }, timeoutMs: 5000 },
    key: { ...key, secret: Buffer.from(key.secret, 'base64') },
    lookup: () => assert.fail('an address needs none'),
  });
  const look: Running['look'] = async (of, type) => {
    const [reply] = await signed.query([{ name: of, type }], AbortSignal.timeout(5000));
    return reply?.ok ? valuesOf(reply.value) : [];
  };
  return { provider, look, close };
}

function openly(server: Server): Running['look'] {
  return async (of, type) => {
    const reply = await ask(server, { name: of, type }, { timeoutMs: 2000 });
    return reply.kind === 'reply' ? valuesOf(reply.message) : [];
  };
}

function valuesOf({ answers }: Message): readonly string[] {
  return answers.flatMap((r) =>
    r.type === 'CNAME' ? [r.target] : r.type === 'TXT' ? [joinText(r.strings)] : [],
  );
}

/** Switches one record so many times, and says what became of each. */
export async function own(row: OwnRow, switches: number): Promise<OwnReport> {
  const running = await row.start();
  const play = new Play(running);
  try {
    for (let epoch = 1; epoch <= switches; epoch++) await play.switchTo(epoch);
    return { title: row.title, switches, ...play.tally };
  } finally {
    running.provider.close();
    await running.close();
  }
}

class Play {
  readonly tally = {
    said: {} as Record<string, number>,
    misjudged: [] as string[],
    made: [] as number[],
    given: [] as number[],
  };
  readonly #running: Running;

  constructor(running: Running) {
    this.#running = running;
  }

  /** As a lane does it: reads, writes, and where that is not known reads again. */
  async switchTo(epoch: number): Promise<void> {
    const cname = `${epoch % 2 === 0 ? 'a' : 'b'}.example.com.`;
    const to = { cname, ttl: 60, marker: marker(epoch) };
    const begun = performance.now();
    for (let attempt = 1; attempt <= triesMax; attempt++) {
      const seen = await this.#read();
      if (isThere(seen, to)) return this.#made(to, begun);
      const change: Change = { name, from: seen, to };
      const [answer] = await this.#running.provider.write([change], new AbortController().signal);
      const word = wordOf(answer);
      this.tally.said[word] = (this.tally.said[word] ?? 0) + 1;
      if (answer?.kind === 'answered') return this.#made(to, begun);
      // Nobody else writes here: what is not known may be so, and nothing else is right.
      if (word !== 'uncertain' && word !== 'conflict') {
        return void this.tally.misjudged.push(`epoch ${epoch}: ${JSON.stringify(answer)}`);
      }
      if (word === 'conflict' && attempt === 1) {
        this.tally.misjudged.push(`epoch ${epoch}: a conflict with nobody`);
      }
    }
    this.tally.misjudged.push(`epoch ${epoch}: it came to no end in ${triesMax} tries`);
  }

  async #read(): Promise<Seen> {
    const read = await this.#running.provider.read([name], new AbortController().signal);
    const answer = read[name];
    assert.ok(answer?.kind === 'answered', JSON.stringify(answer));
    if (answer.value.refusal !== null) this.tally.misjudged.push(answer.value.refusal.sentence);
    return answer.value;
  }

  async #made(to: Change['to'], begun: number): Promise<void> {
    const made = performance.now();
    this.tally.made.push(made - begun);
    for (;;) {
      const cnames = await this.#running.look(name, 'CNAME');
      const texts = await this.#running.look(markerName(name), 'TXT');
      if (cnames.length !== 1) {
        this.tally.misjudged.push(`epoch ${to.marker.epoch}: ${cnames.length} CNAMEs are given`);
        return;
      }
      const isGiven = cnames[0] === to.cname && texts.join() === formatMarker(to.marker);
      if (isGiven) return void this.tally.given.push(performance.now() - made);
      if (performance.now() - made > givenMs) {
        this.tally.misjudged.push(`epoch ${to.marker.epoch}: said to be made, and not given`);
        return;
      }
      await pause(2);
    }
  }
}

function isThere({ cnames, markers }: Seen, { cname, marker: m }: Change['to']): boolean {
  return cnames[0]?.value === cname && markers.length === 1 && markers[0] === formatMarker(m);
}

function wordOf(answer: Answer<null> | undefined): string {
  return answer?.kind === 'fault' ? answer.fault.kind : (answer?.kind ?? 'nothing');
}

/** One line for people. */
export function described({ title, switches, said, misjudged, made, given }: OwnReport): string {
  const at = (list: readonly number[], share: number) =>
    Math.round(list.toSorted((a, b) => a - b)[Math.floor((list.length - 1) * share)] ?? Number.NaN);
  const words = Object.entries(said).map(([word, times]) => `${times} ${word}`);
  return (
    `${title}: ${switches} switches, ${misjudged.length} misjudged (${words.join(', ')}); said to ` +
    `be made after ${at(made, 0.5)} ms (95 %: ${at(made, 0.95)}), then given after ` +
    `${at(given, 0.5)} ms (95 %: ${at(given, 0.95)}, most ${at(given, 1)})`
  );
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { switches: { type: 'string', default: '200' }, server: { type: 'string' } },
  });
  const word = (values.server ?? '').toLowerCase();
  const chosen = ownRows.filter((row) => row.title.toLowerCase().includes(word));
  if (chosen.length === 0) {
    console.error(`no server is called ${values.server}: bind, knot or powerdns`);
    return 2;
  }
  let failed = false;
  for (const row of chosen) {
    if (row.skip !== false) {
      console.log(`${row.title}: skipped, ${row.skip}`);
      continue;
    }
    const report = await own(row, Number(values.switches));
    console.log(described(report));
    for (const sentence of report.misjudged) console.log(`  ${sentence}`);
    failed ||= report.misjudged.length > 0;
  }
  return failed ? 1 : 0;
}

if (process.argv[1] === import.meta.filename) process.exitCode = await main();
