// Whose hands a vendor's name servers are in. Two vendors on paper may be one company, one network or
// one machine, and then one outage takes both. Told apart by their type, the domains of their hosts
// and their addresses; none of these proves that they are two, so it must never say so of its own.

import type { Name } from '../core/model.ts';
import { addressesOf, type Run } from './run.ts';

const hostsMax = 12;

/** Who runs hosts of these domains, where a name alone does not say it. By its own documentation. */
const operators: readonly (readonly [domain: RegExp, operator: string])[] = [
  [/\.awsdns-\d+\.(?:com|net|org|co\.uk)\.$/, 'aws'],
  [/\.(?:alidns|hichina|aliyun|aliyuncs)\.com\.$/, 'aliyun'],
  [/\.(?:cloudflare|foundationdns)\.(?:com|net|org)\.$/, 'cloudflare'],
  [/\.(?:dnspod\.net|dnsv[1-5]\.com|qq\.com|tencentcs\.com)\.$/, 'tencent'],
  [/\.azure-dns\.(?:com|net|org|info)\.$/, 'azure'],
  [/\.googledomains\.com\.$/, 'google'],
  [/\.hwclouds-dns\.(?:com|net)\.$|\.huaweicloud-dns\.\w+\.$/, 'huawei'],
  [/\.nsone\.net\.$/, 'ns1'],
];

/** Labels under which domains are given out that people take for one (a few of the many). */
const shared = /^(?:com|net|org|gov|edu|ac|co|gen|ne|or)\.[a-z]{2}\.$/;
/** RFC 2606: nobody's, so what lies below stands for a domain each. */
const reserved = /^example\.(?:com|net|org)\.$/;

/** Who runs a host: a word of the table, or the domain that its name was given out under. */
export function operatorOf(host: Name): string {
  const known = operators.find(([domain]) => domain.test(`.${host}`));
  if (known !== undefined) return known[1];
  const labels = host.split('.').filter(Boolean);
  const last = (count: number) => `${labels.slice(-count).join('.')}.`;
  const count = shared.test(last(2)) || reserved.test(last(2)) ? 3 : 2;
  return last(Math.min(count, Math.max(2, labels.length - 1)));
}

/** The network that an address is announced in, as near as can be told; null: it says nothing. */
export function networkOf(address: string): string | null {
  if (/^127\./.test(address) || address === '::1') return null;
  if (/^[\d.]+$/.test(address)) return `${address.split('.').slice(0, 3).join('.')}.0/24`;
  const [head = '', tail] = address.toLowerCase().split('::');
  const left = head.split(':').filter(Boolean);
  const zeros = tail === undefined ? 0 : 8 - left.length - tail.split(':').filter(Boolean).length;
  const all = [...left, ...Array(Math.max(0, zeros)).fill('0')];
  return `${all
    .slice(0, 3)
    .map((part) => part.replace(/^0+(?=.)/, ''))
    .join(':')}::/48`;
}

/** What is known of the hands of one provider's servers. */
interface Hands {
  readonly provider: string;
  /** null: a server of one's own, or not known. */
  readonly type: string | null;
  readonly hosts: readonly Name[];
  readonly operators: ReadonlySet<string>;
  readonly addresses: ReadonlySet<string>;
  readonly networks: ReadonlySet<string>;
}

/** Each pair of a zone's providers. `claims`: host names of the servers of each. */
export async function sayHands(
  run: Run,
  zone: Name,
  claims: ReadonlyMap<string, readonly Name[] | null>,
): Promise<void> {
  if (claims.size < 2) return;
  const all = await Promise.all(
    [...claims].map(([provider, hosts]) => handsOf(run, provider, hosts ?? [])),
  );
  let isOne = false;
  for (const [i, one] of all.entries()) {
    for (const other of all.slice(0, i)) {
      const why = sharedBy(other, one);
      if (why === null) continue;
      isOne = true;
      const sentence = `${other.provider} and ${one.provider} are in the same hands: ${why}`;
      const cure = `take another vendor in the place of one of them for ${zone}`;
      run.warn({ zone, provider: one.provider }, 'same-hands', sentence, cure);
    }
  }
  if (isOne) return;
  const unseen = all.filter(({ hosts, type }) => hosts.length === 0 && type === null);
  if (unseen.length > 0) {
    const who = unseen.map(({ provider }) => provider).join(', ');
    const sentence = `whose hands the servers of ${who} are in is not known`;
    run.unknown({ zone }, 'same-hands', sentence, 'name them under `nameservers` by host name');
    return;
  }
  const who = all.map((h) => `${h.provider} (${[...h.operators].slice(0, 3).join(', ')})`);
  const sentence = `the vendors of ${zone} share no operator, address or network that shows`;
  run.good({ zone }, 'same-hands', `${sentence}: ${who.join(', ')}`);
}

async function handsOf(run: Run, provider: string, hosts: readonly Name[]): Promise<Hands> {
  const some = hosts.slice(0, hostsMax);
  const found = await Promise.all(some.map((host) => addressesOf(run, host)));
  const addresses = new Set(found.flat());
  const type = run.around.operators[provider] ?? null;
  return {
    provider,
    type,
    hosts: some,
    operators: new Set(some.length > 0 ? some.map(operatorOf) : type === null ? [] : [type]),
    addresses,
    networks: new Set([...addresses].flatMap((address) => networkOf(address) ?? [])),
  };
}

function sharedBy(a: Hands, b: Hands): string | null {
  // An NS set that both name is told as such, and says nothing of who answers.
  if (a.hosts.some((host) => b.hosts.includes(host))) return null;
  if (a.type !== null && a.type === b.type) return `both are accounts at ${a.type}`;
  const first = <T>(x: ReadonlySet<T>, y: ReadonlySet<T>) => [...x].find((one) => y.has(one));
  const operator = first(a.operators, b.operators);
  if (operator !== undefined) return `${operator} runs the name servers of both`;
  const address = first(a.addresses, b.addresses);
  if (address !== undefined) return `both answer at ${address}`;
  const network = first(a.networks, b.networks);
  return network === undefined ? null : `both answer from ${network}`;
}
