// The cluster key at the core's edge: it signs the markers that go out and says of those that come
// in what their signature is worth (design, rule 25). The core never sees a key. It must never say
// that a marker is genuine which the current key did not sign, for this record and what it leads to.

import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { parseMarker, signatureInput } from '../core/marker.ts';
import type { Answer, Change, Marker, Name, Proof, RecordConfig, Seen } from '../core/model.ts';
import { around } from '../kit/around.ts';
import type { Provider } from '../kit/extend.ts';
import { SecretError } from '../kit/secret.ts';
import type { Verifier } from '../ports.ts';

/** Characters of a key's text: 32 of base64 are 192 bits. `detour init --key-only` makes 43. */
const KEY_MIN = 32;

/** 128 bits (RFC 2104, section 5: at least half of the hash's length). */
const MAC_BYTES = 16;

export interface Keyring {
  /** The marker with its signature by the current key. */
  sign(record: Name, cname: Name, marker: Marker): Marker;
  /** What a text's signature is worth, where it may have been signed for any of these names. */
  prove(record: Name, text: string, cnames: readonly Name[]): Proof;
  /** The signature of any other text, which says itself what it is for; by the current key. */
  signText(text: string): string;
  /** Whether one of the keys has signed that text so. */
  knowsText(text: string, mac: string): boolean;
  /** Keys for another purpose, of each cluster key one, the current first: 256 bits each. */
  derive(purpose: string): readonly Buffer[];
  close(): void;
}

/** The first key signs; the others are kept for what they signed. Throws SecretError. */
export function createKeyring(keys: readonly string[]): Keyring {
  for (const key of keys) {
    if (key.length >= KEY_MIN) continue;
    const cure = 'make one with `detour init --key-only FILE`';
    throw new SecretError(`a cluster key has at least ${KEY_MIN} characters: ${cure}`);
  }
  const [current, ...retired] = keys as [string, ...string[]];
  const isBy = (key: string, record: Name, cname: Name, marker: Marker, mac: Buffer) =>
    timingSafeEqual(macOf(key, record, cname, marker), mac);
  return {
    sign(record, cname, marker) {
      return { ...marker, mac: macOf(current, record, cname, marker).toString('base64url') };
    },
    prove(record, text, cnames) {
      const marker = parseMarker(text);
      if (marker?.mac === undefined) return { word: 'unsigned' };
      const mac = Buffer.from(marker.mac, 'base64url');
      for (const cname of cnames) {
        if (isBy(current, record, cname, marker, mac)) return { word: 'genuine', cname };
      }
      for (const cname of cnames) {
        const isOld = retired.some((key) => isBy(key, record, cname, marker, mac));
        if (isOld) return { word: 'retired', cname };
      }
      return { word: 'wrong' };
    },
    signText: (text) => macOfText(current, text).toString('base64url'),
    knowsText(text, mac) {
      const given = Buffer.from(mac, 'base64url');
      return keys.some((key) => {
        const right = macOfText(key, text);
        return right.length === given.length && timingSafeEqual(right, given);
      });
    },
    derive(purpose) {
      return keys.map((key) => derived(key, purpose));
    },
    close() {},
  };
}

function macOf(key: string, record: Name, cname: Name, marker: Marker): Buffer {
  return macOfText(key, signatureInput(record, cname, marker));
}

function macOfText(key: string, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest().subarray(0, MAC_BYTES);
}

/**
 * HKDF (RFC 5869): the cluster key is what is extracted from, not the key of the MAC, so that nothing
 * signed into a marker tells anything of a key for another purpose.
 */
function derived(key: string, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, 'detour: not a marker', purpose, 32));
}

type Records = Readonly<Record<Name, RecordConfig>>;

/** What a marker may have been signed for: what stands beside it, what its target leads to here. */
function candidates(
  records: Records,
  name: Name,
  text: string,
  values: readonly Name[],
): readonly Name[] {
  const target = parseMarker(text)?.target;
  const own = Object.hasOwn(records, name) ? records[name]!.targets : [];
  const led = own.filter((t) => t.origin === target).map((t) => t.cname);
  return [...new Set([...led, ...values])];
}

/** A provider whose markers are signed on their way out, and looked at on their way in. */
export function signing(inner: Provider, keys: () => Keyring, records: Records): Provider {
  const looked = (name: Name, answer: Answer<Seen>): Answer<Seen> => {
    if (answer.kind !== 'answered') return answer;
    const seen = answer.value;
    const proofs = prove(keys(), records, name, seen.markers, valuesOf(seen));
    return { kind: 'answered', value: { ...seen, proofs } };
  };
  return around(inner, {
    async read(names, signal) {
      const answers = await inner.read(names, signal);
      const all = Object.entries(answers).map(([name, answer]) => [name, looked(name, answer)]);
      return Object.fromEntries(all);
    },
    write: (changes, signal) =>
      inner.write(
        changes.map((c) => signed(keys(), c)),
        signal,
      ),
  });
}

function signed(keyring: Keyring, change: Change): Change {
  const { name, from, to } = change;
  const { proofs: _, ...stood } = from;
  const marker = keyring.sign(name, to.cname, to.marker);
  return { ...change, from: stood, to: { ...to, marker } };
}

function prove(
  keyring: Keyring,
  records: Records,
  name: Name,
  texts: readonly string[],
  values: readonly Name[],
): readonly Proof[] {
  return texts.map((text) => keyring.prove(name, text, candidates(records, name, text, values)));
}

/** Its lines may give several. */
function valuesOf({ cnames }: Seen): readonly Name[] {
  return cnames.map((c) => c.value);
}

/** The same for what name servers answer. */
export function proving(inner: Verifier, keys: () => Keyring, records: Records): Verifier {
  return {
    async ask(provider, record, options, signal) {
      const answers = await inner.ask(provider, record, options, signal);
      return answers.map((a) => {
        if (a.markers === null) return a;
        const values = a.answer.kind === 'cname' ? [a.answer.value] : [];
        return { ...a, proofs: prove(keys(), records, record, a.markers, values) };
      });
    },
    chain: (name, signal) => inner.chain(name, signal),
    close: () => inner.close(),
  };
}
