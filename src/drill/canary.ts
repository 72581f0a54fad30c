// The canary: a name at one provider that nothing else is for is switched to the other of its two
// values and proved at every authoritative server. Both values are names below the canary itself that
// do not exist, so nobody is led anywhere. It goes by the Provider port alone, beside the lane: what
// happens here is no word about it. It must never write over what is not a canary of this cluster.

import { isSameMarker, nextEpoch, parseMarker } from '../core/marker.ts';
import type { Answer, Marker, Name, Seen, ServerAnswer } from '../core/model.ts';
import type { Provider } from '../kit/extend.ts';
import type { Clock, Verifier } from '../ports.ts';
import type { Outcome } from './outcome.ts';

export interface CanaryOptions {
  readonly name: Name;
  readonly provider: Provider;
  readonly verifier: Verifier;
  readonly clock: Clock;
  readonly cluster: string;
  /** Markers are signed: one that is not is nobody's. */
  readonly signed: boolean;
  readonly term: number;
  /** A random id, as a switch has one: 16 hex digits. */
  readonly id: string;
  readonly callMs: number;
}

const TTL_S = 60;
const VISIBLE_WITHIN_MS = 120_000;
const ASK_EVERY_MS = 250;
const words = ['canary-a', 'canary-b'] as const;
type Word = (typeof words)[number];

/**
 * Neither ever exists (RFC 6761, section 6.4): whoever asks for the canary is told so. Not a name of
 * the same zone: Cloudflare flattens those.
 */
function leadsTo(word: Word): Name {
  return `${word}.detour.invalid.`;
}

/** Takes at most three calls of `callMs` and 2 minutes; never rejects for the world's sake. */
export async function tryCanary(options: CanaryOptions, signal: AbortSignal): Promise<Outcome> {
  const { provider, clock, callMs } = options;
  const beganAt = clock.now();
  const read = await limited(clock, callMs, signal, async (limit) => {
    const answers = await provider.read([options.name], limit);
    return answers[options.name] ?? null;
  });
  const readMs = clock.now() - beganAt;
  if (read === null) return failed(`it did not answer a reading within ${callMs} ms`, { readMs });
  if (read.kind !== 'answered') return failed(saysOf(read), { readMs });
  const from = read.value;
  const why = whyNotOurs(options, from);
  if (why !== null) return failed(why, { readMs });
  const word: Word = from.cnames[0]?.value === leadsTo('canary-a') ? words[1] : words[0];
  const marker = markerOf(options, from, word);
  if (marker === null) return failed('no epoch is left for another marker', { readMs });
  const to = { cname: leadsTo(word), ttl: TTL_S, marker };
  const wroteAt = clock.now();
  const written = await limited(clock, callMs, signal, async (limit) => {
    const [answer] = await provider.write([{ name: options.name, from, to }], limit);
    return answer ?? null;
  });
  const writeMs = clock.now() - wroteAt;
  // A reply that was lost says nothing: what is served does.
  const isLost = written?.kind === 'fault' && written.fault.kind === 'uncertain';
  if (written !== null && written.kind !== 'answered' && !isLost) {
    return failed(saysOf(written), { readMs, writeMs });
  }
  const seen = await proved(options, to, wroteAt, signal);
  const parts = { readMs, writeMs, visibleMs: seen.visibleMs, servers: seen.servers };
  if (seen.visibleMs === null) {
    return failed(`written in ${writeMs} ms, and then ${seen.sentence}`, parts);
  }
  const where = seen.servers === 1 ? 'its one server' : `all ${seen.servers} servers`;
  const sentence = `written in ${writeMs} ms, visible at ${where} in ${seen.visibleMs} ms`;
  return { result: 'passed', ms: seen.visibleMs, sentence, parts };
}

function failed(sentence: string, parts: Outcome['parts']): Outcome {
  return { result: 'failed', ms: null, sentence, parts };
}

function saysOf(answer: Exclude<Answer<unknown>, { kind: 'answered' }>): string {
  if (answer.kind === 'not-asked') return 'it was not asked: nothing was sent';
  const { kind, detail, cure } = answer.fault;
  return `${kind}: ${detail}${cure === undefined ? '' : `; ${cure}`}`;
}

/** Why what stands there is nothing to write over; null: it is ours, or there is nothing. */
function whyNotOurs({ name, cluster, signed }: CanaryOptions, seen: Seen): string | null {
  if (seen.refusal !== null) return seen.refusal.sentence;
  const { cnames, markers, proofs } = seen;
  const cure = 'name another canary, or take that away';
  if (cnames.length > 1 || markers.length > 1) return `several values stand at ${name}: ${cure}`;
  const value = cnames[0]?.value;
  const isValue = value === undefined || words.some((word) => leadsTo(word) === value);
  if (!isValue) return `${value} stands at ${name}, which is no canary's: ${cure}`;
  if (markers.length === 0) return null;
  const marker = parseMarker(markers[0]!);
  const isOurs = marker?.cluster === cluster && words.includes(marker.target as Word);
  const proof = proofs?.[0]?.word;
  const isProved = !signed || proof === 'genuine' || proof === 'retired';
  return isOurs && isProved ? null : `the marker at ${name} is not of this cluster: ${cure}`;
}

function markerOf({ cluster, term, id }: CanaryOptions, seen: Seen, target: Word): Marker | null {
  const epoch = nextEpoch(parseMarker(seen.markers[0] ?? '')?.epoch ?? 0);
  if (epoch === null) return null;
  return { cluster, epoch, id, term, kind: 'operator', target, pinned: false, pinMs: null };
}

interface Wanted {
  readonly cname: Name;
  readonly marker: Marker;
}

/** Asks every server until all give it, the marker too. */
async function proved(
  { name, provider, verifier, clock, signed }: CanaryOptions,
  to: Wanted,
  since: number,
  signal: AbortSignal,
) {
  let last: readonly ServerAnswer[] = [];
  for (;;) {
    const answers = await verifier.ask(provider.name, name, { marker: true }, signal);
    const visibleMs = clock.now() - since;
    if (answers.length > 0 && answers.every((one) => gives(one, to, signed))) {
      return { visibleMs, servers: answers.length, sentence: '' };
    }
    last = answers;
    if (visibleMs >= VISIBLE_WITHIN_MS || signal.aborted) break;
    await pause(clock, ASK_EVERY_MS);
  }
  const behind = last.filter((one) => !gives(one, to, signed)).map(({ server }) => server);
  const within = signal.aborted
    ? 'before it was broken off'
    : `within ${VISIBLE_WITHIN_MS / 1000} s`;
  const sentence = `${behind.slice(0, 4).join(', ')} did not give it ${within}`;
  return { visibleMs: null, servers: last.length, sentence };
}

function gives({ answer, markers, proofs }: ServerAnswer, to: Wanted, signed: boolean): boolean {
  if (answer.kind !== 'cname' || answer.value !== to.cname) return false;
  const marker = parseMarker(markers?.[0] ?? '');
  if (markers?.length !== 1 || marker === null || !isSameMarker(marker, to.marker)) return false;
  return !signed || proofs?.[0]?.word === 'genuine';
}

/** The work's answer; null past its limit. */
async function limited<T>(
  clock: Clock,
  ms: number,
  outer: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | null> {
  const limit = new AbortController();
  let cancel = () => {};
  const late = new Promise<null>((resolve) => {
    cancel = clock.after(ms, () => {
      limit.abort();
      resolve(null);
    });
  });
  try {
    return await Promise.race([work(AbortSignal.any([limit.signal, outer])), late]);
  } finally {
    cancel();
  }
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve));
}
