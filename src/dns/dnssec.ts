// Whether several vendors that serve one signed zone can be believed together (RFC 8901). It judges
// what was seen and asks nobody, and it is slow to condemn: a bar closes a way out, so it is put up
// only on what servers positively said, never on silence.

import { createHash } from 'node:crypto';
import type { Finding, Name } from '../core/model.ts';
import type { Resource } from './wire.ts';

type Ds = Extract<Resource, { type: 'DS' }>;
export type Key = Extract<Resource, { type: 'DNSKEY' }>;

/** How one provider serves a zone. */
export interface Served {
  readonly provider: string;
  /** It stands in the delegation; null: not known. */
  readonly delegated: boolean | null;
  /** The zone's keys as its servers give them, empty when it is unsigned; null: not answered. */
  readonly keys: readonly Key[] | null;
  /** Tags of the keys that sign its SOA; null: not known. */
  readonly signers: readonly number[] | null;
}

interface Judgement {
  readonly findings: readonly (Finding & { readonly provider: string | null })[];
  /** Why nothing may be published at a provider. A provider that is not named was not judged. */
  readonly bars: ReadonlyMap<string, string | null>;
}

/** SHA-1, SHA-256, SHA-384 (RFC 4509, RFC 6605); of another digest nothing can be said. */
const hashes: Readonly<Record<number, string>> = { 1: 'sha1', 2: 'sha256', 4: 'sha384' };
const secureEntryPoint = 0x0001;

/** `ds`: the parent's; null when the parent did not say. */
export function judge(zone: Name, ds: readonly Ds[] | null, all: readonly Served[]): Judgement {
  const about = (severity: Finding['severity'], sentence: string, cure: string | null = null) => ({
    word: 'dnssec' as const,
    severity,
    sentence,
    cure,
    provider: null,
  });
  if (ds === null) {
    const unsaid = `whether ${zone} is signed is not known: its parent did not say`;
    return { findings: [about('unknown', unsaid, 'audit again')], bars: new Map() };
  }
  if (ds.length === 0) {
    const free = new Map(all.map((s) => [s.provider, null]));
    const signing = all.filter((s) => (s.keys ?? []).length > 0).map((s) => s.provider);
    if (signing.length === 0 || all.length === 1) {
      return {
        findings: [about('good', `${zone} is not signed: its parent has no DS`)],
        bars: free,
      };
    }
    const idle = `${signing.join(', ')} sign ${zone}, and its parent has no DS: nobody checks that`;
    const cure = 'before a DS is set, every provider must publish the keys of all (RFC 8901)';
    return { findings: [about('warn', idle, cure)], bars: free };
  }
  const findings: (Finding & { provider: string | null })[] = [];
  const bars = new Map<string, string | null>();
  for (const one of all) {
    const wrong = broken(zone, ds, one, all);
    if (wrong === undefined) {
      const unseen = `the keys that ${one.provider} gives for ${zone} could not be seen`;
      findings.push({ ...about('unknown', unseen, 'audit again'), provider: one.provider });
      continue;
    }
    // Nobody asks a provider outside the delegation, and a lone one has nobody to contradict.
    const asked = one.delegated !== false;
    bars.set(one.provider, wrong !== null && asked && all.length > 1 ? wrong.sentence : null);
    if (wrong === null) continue;
    const severity = asked ? 'bad' : 'warn';
    findings.push({ ...about(severity, wrong.sentence, wrong.cure), provider: one.provider });
  }
  if (findings.length > 0) return { findings, bars };
  const fine = `${zone} is signed, and its providers publish what the others sign with`;
  return { findings: [about('good', fine)], bars };
}

/** What is wrong with one provider beside the others; null: nothing; undefined: not to be said. */
function broken(
  zone: Name,
  ds: readonly Ds[],
  one: Served,
  all: readonly Served[],
): { readonly sentence: string; readonly cure: string } | null | undefined {
  const { provider, keys, signers } = one;
  if (keys === null) return undefined;
  const start = `${zone} has a DS at its parent, and ${provider}`;
  const forged = 'resolvers that validate take its answers for forged';
  const cure = `sign ${zone} at all providers with shared keys (RFC 8901), or remove the DS first`;
  if (keys.length === 0) return { sentence: `${start} serves it unsigned: ${forged}`, cure };
  if (signers !== null && signers.length === 0) {
    return { sentence: `${start} gives keys without signing by them: ${forged}`, cure };
  }
  const known = ds.filter((d) => hashes[d.digestType] !== undefined);
  if (known.length === ds.length && !ds.some((d) => keys.some((k) => vouches(zone, d, k)))) {
    return { sentence: `${start} has no key that the DS vouches for: ${forged}`, cure };
  }
  const used = signingKeys(keys, signers);
  for (const other of all) {
    if (other === one || other.delegated === false || (other.keys ?? []).length === 0) continue;
    if (used.every((key) => other.keys!.some((k) => sameKey(k, key)))) continue;
    // A key that is only published, as in a rollover, harms nobody.
    if (signers === null) return undefined;
    return {
      sentence:
        `${provider} signs ${zone} with a key that ${other.provider} does not publish: ` +
        'resolvers that validate refuse the one or the other',
      cure: `let ${other.provider} publish the signing keys of ${provider} (RFC 8901)`,
    };
  }
  return null;
}

/** The keys that sign records: as seen by their tags, else those that are no entry point alone. */
function signingKeys(keys: readonly Key[], signers: readonly number[] | null): readonly Key[] {
  const seen = keys.filter((key) => signers?.includes(keyTag(key)));
  if (seen.length > 0) return seen;
  const plain = keys.filter((key) => (key.flags & secureEntryPoint) === 0);
  return plain.length > 0 ? plain : keys;
}

function sameKey(a: Key, b: Key): boolean {
  return a.algorithm === b.algorithm && a.flags === b.flags && equal(a.key, b.key);
}

/** RFC 4034 5.1.4: a hash of the owner's name and the key's data. */
function vouches(zone: Name, ds: Ds, key: Key): boolean {
  const hash = hashes[ds.digestType];
  if (hash === undefined || ds.algorithm !== key.algorithm || ds.keyTag !== keyTag(key)) {
    return false;
  }
  const digest = createHash(hash).update(wireName(zone)).update(keyData(key)).digest();
  return equal(digest, ds.digest);
}

/** RFC 4034 appendix B. */
export function keyTag(key: Key): number {
  let sum = 0;
  for (const [i, byte] of keyData(key).entries()) sum += i % 2 === 0 ? byte << 8 : byte;
  return (sum + (sum >> 16)) & 0xffff;
}

/** Flags, protocol 3, algorithm, key (RFC 4034 2.1). */
function keyData({ flags, algorithm, key }: Key): Buffer {
  return Buffer.concat([Buffer.of(flags >> 8, flags & 0xff, 3, algorithm), key]);
}

function wireName(name: Name): Buffer {
  const labels = name.toLowerCase().split('.').filter(Boolean);
  const parts = labels.map((label) => {
    const bytes = Buffer.from(label);
    return Buffer.concat([Buffer.of(bytes.length), bytes]);
  });
  return Buffer.concat([...parts, Buffer.of(0)]);
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
