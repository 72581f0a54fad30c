// Writing to a server that takes updates: the conditions that are what was read, messages that stay
// within the wire, and what an answer to them means. It must never believe NOERROR alone, and never
// send an update twice.

import { randomInt } from 'node:crypto';
import { formatMarker, markerName } from '../../src/core/marker.ts';
import type { Change, Json, Name, Seen } from '../../src/core/model.ts';
import { fitsWire } from '../../src/dns/wire.ts';
import {
  addRecord,
  deleteSet,
  encodeName,
  encodeText,
  encodeUpdate,
  nameIsUnused,
  recordSize,
  setIs,
  setIsAbsent,
  typeCname,
  typeTxt,
  type UpdateRecord,
} from './dns-update.ts';
import { type Called, done, failed, type Trouble } from './fault.ts';
import { halfway } from './guarded.ts';
import { ownClock } from './patience.ts';
import {
  type Account,
  callsOfReading,
  givenFor,
  Questions,
  readZone,
  tooLong,
  toSeen,
} from './rfc2136-reading.ts';
import { Room, type Told } from './room.ts';
import {
  cureOf,
  type Heard,
  rcodeWord,
  type SignedServer,
  scopeOf,
  signatureTrouble,
} from './signed.ts';

/** Changes of one writing, at most. */
export const writeMax = 50;
/** Room for the signature in a message of 65,535 bytes. */
const updateBytesMax = 60_000;

// ---------------------------------------------------------------- writing

/** How often, at most, is looked again whether what was taken is given: 1.3 s in all. */
export const looksMax = 6;
export const firstPauseMs = 20;

/** So long, at most, is what was taken and is not given yet in doubt; then it was left out. */
const doubtMs = 60_000;
const doubtsMax = 10_000;

/** The batch, its changes one by one where one spoils it, and what stands afterwards. */
const callsOfWriting = 2 + callsOfReading + looksMax;

/** Why an update was not taken; null: it was, with NOERROR. */
type Verdict = Trouble | null;

/** Says of each change of one writing whether it may be sent at all. */
export function preparer(): (change: Change) => Called<Change> {
  const before = new Set<Name>();
  return (change) => {
    const { name, from } = change;
    if (from.refusal) return failed('record', 'rejected', from.refusal.sentence);
    if (!fitsWire(markerName(name))) return tooLong(name);
    if (before.has(name)) return failed('record', 'conflict', `${name} stands twice in one batch`);
    before.add(name);
    return done(change);
  };
}

export async function writeZone(
  account: Account,
  zone: Name,
  asked: readonly Change[],
  room: Room,
  signal: AbortSignal,
): Promise<readonly Told<null>[]> {
  if (!room.takeName(callsOfWriting)) return asked.map(() => null);
  room.told();
  const changes = asked.slice(0, writeMax);
  const verdicts = await sendAll(account.server, zone, changes, signal);
  const told = verdicts.map((verdict): Called<null> => {
    return verdict === null ? done(null) : { ok: false, ...verdict };
  });
  const open = [...verdicts.keys()].filter((i) => isOpen(verdicts[i]!));
  const settled = await settle(account, zone, open, { changes, verdicts }, signal);
  return asked.map((_, i) => settled.get(i) ?? told[i] ?? null);
}

/** One message, or as many as the wire wants; where one change of several spoils it, one each. */
async function sendAll(
  server: SignedServer,
  zone: Name,
  changes: readonly Change[],
  signal: AbortSignal,
): Promise<readonly Verdict[]> {
  const verdicts: Verdict[] = changes.map(() => null);
  const batches = inBatches(changes);
  const alone: number[] = [];
  for (const [b, verdict] of (await send(server, zone, batches, changes, signal)).entries()) {
    const indexes = batches[b]!;
    // What is one record's spoils a whole message, and the reply does not say whose it is.
    if (verdict?.scope === 'record' && indexes.length > 1) alone.push(...indexes);
    else for (const i of indexes) verdicts[i] = verdict;
  }
  const single = alone.map((i) => [i]);
  for (const [b, verdict] of (await send(server, zone, single, changes, signal)).entries()) {
    verdicts[alone[b]!] = verdict;
  }
  return verdicts;
}

/** Sends each batch as one signed UPDATE, all down one connection; once, whatever happens. */
async function send(
  server: SignedServer,
  zone: Name,
  batches: readonly (readonly number[])[],
  changes: readonly Change[],
  signal: AbortSignal,
): Promise<readonly Verdict[]> {
  const firstId = randomInt(65_536 - batches.length);
  const messages = batches.map((indexes, i) => {
    const parts = indexes.map((index) => toUpdate(changes[index]!));
    return encodeUpdate(
      firstId + i,
      zone,
      parts.flatMap((p) => p.prerequisites),
      parts.flatMap((p) => p.updates),
    );
  });
  const heard = await server.update(messages, signal);
  return heard.map((one) => judge(one, zone, server));
}

function isOpen(verdict: Verdict): boolean {
  return verdict === null || verdict.fault.kind === 'conflict';
}

interface Sent {
  readonly changes: readonly Change[];
  readonly verdicts: readonly Verdict[];
}

/**
 * What stands afterwards decides: for what was taken, and for what was said to be stale. A server
 * that signs its zone by itself gives what it took a while later: it is looked at again.
 */
async function settle(
  account: Account,
  zone: Name,
  open: readonly number[],
  { changes, verdicts }: Sent,
  signal: AbortSignal,
): Promise<ReadonlyMap<number, Called<null>>> {
  const answers = new Map<number, Called<null>>();
  const waiting = new Map<number, Seen>();
  const endsAt = performance.now() + account.timeoutMs;
  const note = (i: number, seen: Seen): void => {
    const answer = compare(changes[i]!, verdicts[i]!, seen, account.server.place);
    if (answer === null) return void waiting.set(i, seen);
    waiting.delete(i);
    account.doubts.delete(changes[i]!.name);
    answers.set(i, answer);
  };
  const names = open.map((i) => changes[i]!.name);
  const room = new Room(callsOfReading, Number.POSITIVE_INFINITY);
  const read = await readZone(account, zone, names, room, signal);
  for (const [at, i] of open.entries()) {
    const seen = read[at] ?? null;
    if (seen?.ok) note(i, seen.value);
    else if (verdicts[i] === null) answers.set(i, unseen(seen));
  }
  for (let look = 0; look < looksMax && waiting.size > 0; look++) {
    const pauseMs = firstPauseMs * 2 ** look;
    if (signal.aborted || performance.now() + pauseMs > endsAt) break;
    await rest(pauseMs, signal);
    const again = [...waiting.keys()];
    const glances = await glance(
      account.server,
      zone,
      again.map((i) => changes[i]!.name),
      signal,
    );
    for (const [at, i] of again.entries()) if (glances[at]) note(i, glances[at]);
  }
  for (const [i, seen] of waiting) {
    answers.set(i, doubtful(account, changes[i]!, verdicts[i]!, seen));
  }
  return answers;
}

export function rest(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const cancel = ownClock.after(ms, resolve);
  const stop = () => resolve();
  signal.addEventListener('abort', stop, { once: true });
  return promise.finally(() => {
    cancel();
    signal.removeEventListener('abort', stop);
  });
}

/** CNAME and marker alone, as they are given by now; null where that was not heard. */
async function glance(
  server: SignedServer,
  zone: Name,
  names: readonly Name[],
  signal: AbortSignal,
): Promise<readonly (Seen | null)[]> {
  const questions = new Questions();
  for (const name of names) {
    questions.add(name, 'CNAME');
    questions.add(markerName(name), 'TXT');
  }
  const reply = questions.from(await server.query(questions.list, signal));
  return names.map((name) => {
    const given = givenFor(name, reply, server.place);
    return given.ok ? toSeen(name, zone, given.value, [], new Set()) : null;
  });
}

/** Taken with NOERROR, and then not read back. */
function unseen(read: Told<Seen>): Called<null> {
  if (read === null || read.ok) {
    return failed('record', 'uncertain', 'taken with NOERROR, and not read back');
  }
  return halfway(read, 'taken with NOERROR, but reading back failed');
}

/** What was read, as prerequisites; what is wanted, as deletions and additions. */
function toUpdate(change: Change): {
  readonly prerequisites: readonly UpdateRecord[];
  readonly updates: readonly UpdateRecord[];
} {
  const { name, from, to } = change;
  const marker = markerName(name);
  const texts = rawTexts(from);
  const prerequisites = [
    ...(from.cnames.length > 0
      ? setIs(
          name,
          typeCname,
          from.cnames.map(({ value }) => encodeName(value)),
        )
      : [nameIsUnused(name)]),
    ...(texts.length > 0 ? setIs(marker, typeTxt, texts) : [setIsAbsent(marker, typeTxt)]),
  ];
  const text = formatMarker(to.marker);
  const updates: UpdateRecord[] = [];
  const [cname, second] = from.cnames;
  if (second || cname?.value !== to.cname || cname.ttl !== to.ttl) {
    // What is added replaces the one that stands (RFC 2136 3.4.2.2). Where it is deleted before, a
    // Knot that signs the zone (3.2.6) finds its signature there, adds nothing, and says NOERROR.
    updates.push(addRecord(name, typeCname, to.ttl, encodeName(to.cname)));
  }
  if (from.markers.length !== 1 || from.markers[0] !== text) {
    if (texts.length > 0) updates.push(deleteSet(marker, typeTxt));
    updates.push(addRecord(marker, typeTxt, to.ttl, encodeText(text)));
  }
  return { prerequisites, updates };
}

/** The marker's records byte for byte as read; a reading by DNS alone has only the texts. */
export function rawTexts({ ref, markers }: Pick<Seen, 'ref' | 'markers'>): readonly Buffer[] {
  const texts = isTexts(ref) ? ref.texts : null;
  if (texts === null || texts.length !== markers.length) return markers.map(encodeText);
  return texts.map((text) => Buffer.from(text, 'base64'));
}

function isTexts(ref: Json): ref is { readonly texts: readonly string[] } {
  if (ref === null || typeof ref !== 'object' || !('texts' in ref)) return false;
  return Array.isArray(ref.texts) && ref.texts.every((text) => typeof text === 'string');
}

/** Changes of one zone by their places, in messages that stay within the wire's 65,535 bytes. */
function inBatches(changes: readonly Change[]): readonly (readonly number[])[] {
  const batches: { indexes: number[]; bytes: number }[] = [];
  for (const [i, change] of changes.entries()) {
    const { prerequisites, updates } = toUpdate(change);
    const bytes = [...prerequisites, ...updates].reduce((sum, r) => sum + recordSize(r), 0);
    const room = batches.find((b) => b.bytes + bytes <= updateBytesMax);
    if (room) {
      room.indexes.push(i);
      room.bytes += bytes;
    } else batches.push({ indexes: [i], bytes });
  }
  return batches.map((b) => b.indexes);
}

/** What came back for a signed UPDATE means (RFC 2136 2.2, RFC 8945 5). */
export function judge(heard: Heard, zone: Name, server: SignedServer): Verdict {
  const { place, key } = server;
  if (heard.kind === 'silence') {
    const { failure } = heard;
    const kind = failure.sent ? 'uncertain' : 'unavailable';
    const scope = failure.kind === 'aborted' ? 'zone' : scopeOf(failure);
    return failed(scope, kind, `${place}: ${failure.detail}`, cureOf(failure));
  }
  const { signature } = heard;
  const doubt = signatureTrouble(signature, server);
  // What was sent may have been applied, whoever it is that answers.
  if (doubt !== null && signature.kind === 'invalid') {
    return failed('zone', 'uncertain', `${place}: ${signature.detail}, so it is not believed`);
  }
  if (doubt !== null) return doubt;
  if (signature.kind === 'unsigned') return judgeUnsigned(rcodeWord(signature.rcode), server);
  if (signature.kind !== 'valid') return null;
  const said = rcodeWord(signature.rcode);
  switch (said) {
    case 'NOERROR':
      return null;
    case 'NXDOMAIN':
    case 'YXDOMAIN':
    case 'YXRRSET':
    case 'NXRRSET': {
      const detail = `${place}: what was read no longer stands there (${said})`;
      return failed('record', 'conflict', detail);
    }
    case 'SERVFAIL':
      return failed('zone', 'unavailable', `${place} could not apply the update (SERVFAIL)`);
    case 'REFUSED': {
      const what = `knows the key ${key.name} but does not let it change this in ${zone}`;
      const cure = 'grant the key CNAME and TXT at the record and its marker (update-policy, acl)';
      return failed('record', 'rejected', `${place} ${what} (REFUSED)`, { cure });
    }
    case 'NOTAUTH': {
      const detail = `${place} is not the primary server of ${zone} (NOTAUTH)`;
      return failed('zone', 'rejected', detail, { stale: true });
    }
    default: {
      const scope = said === 'NOTIMP' ? 'account' : said === 'NOTZONE' ? 'zone' : 'record';
      const about = said === 'NOTZONE' ? { stale: true as const } : {};
      return failed(scope, 'rejected', `${place} refuses the update in ${zone} (${said})`, about);
    }
  }
}

function judgeUnsigned(said: string, { place, key }: SignedServer): Trouble {
  // PowerDNS says a bad key or a clock that is off so, Knot a key that no acl of the zone names
  // (3.4 says so where 3.2 signed a BADKEY), and both a zone that they do not serve.
  if (said === 'REFUSED' || said === 'NOTAUTH') {
    const why = said === 'NOTAUTH' ? ': no such key there, or the zone is not served there' : '';
    const detail = `${place} refuses us and key ${key.name} (${said}, unsigned${why})`;
    const cure =
      'let the key update the zone there; compare its name, algorithm and secret, and the clocks';
    return failed('zone', 'auth-suspect', detail, { cure });
  }
  if (said === 'NOTIMP' || said === 'FORMERR') {
    const detail = `${place} does not take signed updates (${said}, unsigned)`;
    return failed('account', 'rejected', detail);
  }
  const detail = `${place}: the reply ${said} is not signed, so it is not believed`;
  return failed('zone', 'uncertain', detail);
}

/**
 * What was taken with NOERROR, or is said to be stale, against what stands there: servers ignore
 * some updates in silence, and answer from another view than they change. Null: nothing of it is to
 * be seen yet.
 */
function compare(change: Change, verdict: Verdict, seen: Seen, place: string): Called<null> | null {
  const { name, from, to } = change;
  const [cname, ...more] = seen.cnames;
  const cnameRight = cname?.value === to.cname && more.length === 0;
  const markerRight = seen.markers.length === 1 && seen.markers[0] === formatMarker(to.marker);
  // Said to be stale, it may have come by an earlier try of ours: no other writer has this marker.
  if (cnameRight && markerRight && cname?.ttl === to.ttl) return done(null);
  const isOld = sameAsRead(from, seen) && cname?.ttl === from.cnames[0]?.ttl;
  if (isOld) return null;
  if (verdict !== null) return { ok: false, ...verdict };
  const stands = cname?.value ?? 'no CNAME';
  if (cnameRight && markerRight) {
    const detail = `${place} gives ${name} a TTL of ${cname?.ttl} s instead of ${to.ttl} s`;
    const cure = 'allow that TTL at the server, or configure another';
    return failed('record', 'rejected', detail, { cure });
  }
  const isCnameOld = more.length === 0 && cname?.value === from.cnames[0]?.value;
  const isMarkerOld = sameTexts(seen.markers, from.markers);
  if ((cnameRight || isCnameOld) && (markerRight || isMarkerOld)) {
    // Of two answers one may be of before and one of after, unless something stands in the way.
    return seen.refusal === null ? null : leftOut(change, seen, place);
  }
  const detail = `${name} was changed by somebody else meanwhile: there is ${stands}`;
  return failed('record', 'conflict', detail);
}

/** Taken with NOERROR and not done, or not done whole. */
function leftOut({ name, to }: Change, seen: Seen, place: string): Called<null> {
  const [cname] = seen.cnames;
  const stands = cname?.value ?? 'no CNAME';
  const isMarker = cname?.value === to.cname;
  const what = isMarker ? `the marker at ${markerName(name)}` : `${name} CNAME ${to.cname}`;
  const cure =
    seen.refusal?.sentence ?? 'look in the log of the server for why the update was left out';
  const detail = `${place} took the update with NOERROR and ignored ${what}: there stands ${stands}`;
  return failed('record', 'rejected', detail, { cure });
}

/** What is still given as it was read, after all looks at it: for a while that proves nothing. */
function doubtful(
  { doubts, server: { place } }: Account,
  change: Change,
  verdict: Verdict,
  seen: Seen,
): Called<null> {
  const { name, to } = change;
  const text = formatMarker(to.marker);
  const known = doubts.get(name);
  const doubt = known?.text === text ? known : { text, sinceMs: performance.now() };
  if (doubts.size >= doubtsMax) doubts.clear();
  doubts.set(name, doubt);
  const isYoung = performance.now() - doubt.sinceMs < doubtMs;
  const stands = seen.cnames[0]?.value ?? 'no CNAME';
  if (verdict === null) {
    if (!isYoung) return leftOut(change, seen, place);
    const detail = `${place} took the update of ${name} and gives ${stands} still`;
    const cure = 'a server that signs its zone by itself gives it a moment later';
    return failed('record', 'uncertain', detail, { cure });
  }
  const detail =
    `${place} answers for ${name} what was read, yet says that it does not stand there: ` +
    'a wildcard, another view, or a hidden type makes up the answer';
  const cure = `give ${name} a record of its own, or query and update the same view`;
  return failed('record', isYoung ? 'conflict' : 'rejected', detail, { cure });
}

function sameAsRead(from: Seen, seen: Seen): boolean {
  const values = (s: Seen) => s.cnames.map((c) => c.value);
  return (
    seen.refusal === null &&
    sameTexts(values(from), values(seen)) &&
    sameTexts(from.markers, seen.markers)
  );
}

function sameTexts(a: readonly string[], b: readonly string[]): boolean {
  const [left, right] = [a.toSorted(), b.toSorted()];
  return left.length === right.length && left.every((text, i) => text === right[i]);
}
