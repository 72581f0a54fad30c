// Other tools that manage a record: external-dns, octoDNS and whoever leaves a mark of its own, as a
// TXT record beside it or in the words that a vendor keeps with a record. Marks are only recognised
// here; what follows is decided elsewhere. No mark proves that nobody is there, and looking for one
// must never hold up a reading for long.

import type { Answer, Mark, Name, Seen } from '../core/model.ts';
import type { Provider } from '../kit/extend.ts';

/** Texts at each of these names by one of a provider's servers; null: none of them said. */
export type Texts = (
  provider: string,
  record: Name,
  names: readonly Name[],
  signal: AbortSignal,
) => Promise<ReadonlyMap<Name, readonly string[]> | null>;

/**
 * Where external-dns keeps what it owns, before the name: the type, and a prefix of the user's before
 * that (docs/registry/txt.md of 2026-11; the prefixes are those of its own examples).
 */
const ownedBefore = [
  'cname-',
  'a-',
  'external-dns-cname-',
  'externaldns-cname-',
  '_externaldns.cname-',
];

/** Of octoDNS's OwnershipProcessor, unless its `txt_name` is set (octodns 1.22). */
const octodnsOwned = '_owner.cname.';

/** Of octoDNS's MetaProcessor, in the zone: its default, and what its own documentation names. */
const octodnsMeta = ['meta.', 'octodns-meta.'];

/** What people write into the comment or tags of a record that such a tool made. */
const tools: readonly (readonly [string, RegExp])[] = [
  ['external-dns', /\bexternal-?dns\b/i],
  ['octoDNS', /\bocto-?dns\b/i],
  ['dnscontrol', /\bdns-?control\b/i],
  ['Terraform', /\bterraform\b/i],
  ['OpenTofu', /\bopen-?tofu\b/i],
  ['Pulumi', /\bpulumi\b/i],
  ['Crossplane', /\bcrossplane\b/i],
  ['Ansible', /\bansible\b/i],
];

/** How long a reading of an unmarked record may wait for name servers. */
const lookMs = 1_500;

/** Marks in what a vendor keeps with a record, to be spread into a Seen; nothing without one. */
export function companyIn(
  what: string,
  words: readonly (string | null | undefined)[],
): Pick<Seen, 'company'> {
  const text = words.filter((w) => typeof w === 'string').join(' ');
  const company = tools.flatMap(([tool, word]) =>
    word.test(text) ? [{ tool, by: `its ${what}` }] : [],
  );
  return company.length === 0 ? {} : { company };
}

/** The marks on one record at one provider that DNS shows; none where its servers are silent. */
export async function lookForCompany(
  texts: Texts,
  provider: string,
  record: Name,
  signal: AbortSignal,
): Promise<readonly Mark[]> {
  const at = [...ownedBefore, octodnsOwned].map((before) => `${before}${record}`);
  const found = await texts(provider, record, at, signal);
  return at.flatMap((name) => (found?.get(name) ?? []).flatMap((text) => markIn(name, text)));
}

/** Whether octoDNS says of itself that it manages a zone: of all its records, or of some. */
export async function lookForMeta(
  texts: Texts,
  provider: string,
  zone: Name,
  signal: AbortSignal,
): Promise<Name | null> {
  const at = octodnsMeta.map((before) => `${before}${zone}`);
  const found = await texts(provider, zone, at, signal);
  const isMeta = (text: string) => /^(octodns-version=|time=\d{4}-\d\d-\d\dT)/.test(text);
  return at.find((name) => found?.get(name)?.some(isMeta)) ?? null;
}

function markIn(name: Name, text: string): Mark[] {
  const by = `the text at ${name}`;
  // Some vendors keep the quotes that external-dns writes around it.
  if (/^"?heritage=external-dns\b/.test(text)) {
    const owner = /external-dns\/owner=([\w.-]{1,63})/.exec(text)?.[1];
    return [{ tool: owner === undefined ? 'external-dns' : `external-dns (owner ${owner})`, by }];
  }
  return text === '*octodns*' ? [{ tool: 'octoDNS', by }] : [];
}

/** A provider whose readings of records without a marker tell of other tools as well. */
export function accompanied(inner: Provider, texts: Texts): Provider {
  const look = async (name: Name, answer: Answer<Seen>, signal: AbortSignal) => {
    if (answer.kind !== 'answered' || !isUnmarked(answer.value)) return answer;
    const seen = answer.value;
    const soon = AbortSignal.any([signal, AbortSignal.timeout(lookMs)]);
    const marks = await lookForCompany(texts, inner.name, name, soon);
    const company = [...(seen.company ?? []), ...marks];
    return company.length === 0 ? answer : { ...answer, value: { ...seen, company } };
  };
  return {
    name: inner.name,
    capabilities: inner.capabilities,
    get calls() {
      return inner.calls;
    },
    zone: (name, signal) => inner.zone(name, signal),
    async read(names, signal) {
      const answers = Object.entries(await inner.read(names, signal));
      const looked = answers.map(async ([n, a]) => [n, await look(n, a, signal)] as const);
      return Object.fromEntries(await Promise.all(looked));
    },
    write: (changes, signal) => inner.write(changes, signal),
    preflight: (record, signal) => inner.preflight(record, signal),
    ...(inner.key === undefined ? {} : { key: () => inner.key!() }),
    close: () => inner.close(),
  };
}

function isUnmarked({ cnames, markers }: Seen): boolean {
  return cnames.length > 0 && markers.length === 0;
}
