// Other tools' marks, over real name servers on loopback: which are seen, whose they are said to be, and
// that looking for them holds up no reading.

import assert from 'node:assert/strict';
import { after, afterEach, describe, test } from 'node:test';
import type { Answer, Name, Seen } from '../../src/core/model.ts';
import { accompanied, companyIn } from '../../src/dns/company.ts';
import { createResolver } from '../../src/dns/resolver.ts';
import { createVerifier } from '../../src/dns/verify.ts';
import type { Provider } from '../../src/kit/extend.ts';
import { type Respond, serveZones, startNameservers } from '../parts/nameserver.ts';

const www = 'www.gslb.example.net.';
const running: { close(): unknown }[] = [];
const closeAll = () => Promise.all(running.splice(0).map((each) => each.close()));
afterEach(closeAll);
after(closeAll);

const unmarked: Seen = {
  cnames: [{ value: 'hz.shop.example.', ttl: 60 }],
  markers: [],
  refusal: null,
  ref: null,
};

function holding(seen: Seen): Provider {
  const answered = (name: Name): [Name, Answer<Seen>] => [name, { kind: 'answered', value: seen }];
  return {
    name: 'cf',
    capabilities: {} as Provider['capabilities'],
    calls: 0,
    zone: async () => ({ ok: false, fault: { kind: 'unavailable', detail: 'not here' } }),
    read: async (names) => Object.fromEntries(names.map(answered)),
    write: async () => [],
    preflight: async () => [],
    close: () => {},
  };
}

/** What one reading says of `www`, where its provider's two servers answer like this. */
async function reading(servers: Readonly<Record<string, Respond>>, seen = unmarked): Promise<Seen> {
  const { port, at } = await startNameservers(servers);
  const clock = { now: () => performance.now() };
  const timeoutMs = 300;
  const resolver = createResolver({ roots: [], port, timeoutMs, clock });
  const options = { servers: async () => Object.keys(servers), resolver, port, timeoutMs };
  const verifier = createVerifier(options);
  running.push(...Object.values(at), resolver, verifier);
  const provider = accompanied(holding(seen), verifier.texts);
  const { [www]: answer } = await provider.read([www], AbortSignal.timeout(10_000));
  assert.ok(answer?.kind === 'answered');
  return answer.value;
}

const serving = (...lines: string[]) =>
  serveZones({ 'gslb.example.net.': [`${www} 60 CNAME hz.shop.example.`, ...lines] });

const heritage = 'heritage=external-dns,external-dns/owner=shop,external-dns/resource=ingress/a/b';

describe('a record without a marker', () => {
  for (const before of ['cname-', 'a-', 'external-dns-cname-', '_externaldns.cname-']) {
    test(`is external-dns's where ${before} says so`, async () => {
      const name = `${before}${www}`;
      const { company } = await reading({ '127.0.0.2': serving(`${name} 60 TXT ${heritage}`) });
      const tool = 'external-dns (owner shop)';
      assert.deepEqual(company, [{ tool, by: `the text at ${name}` }]);
    });
  }

  test("is octoDNS's where its ownership record says so", async () => {
    const name = `_owner.cname.${www}`;
    const { company } = await reading({ '127.0.0.2': serving(`${name} 60 TXT *octodns*`) });
    assert.deepEqual(company, [{ tool: 'octoDNS', by: `the text at ${name}` }]);
  });

  test('is nobody else’s where other texts stand there', async () => {
    const texts = ['v=spf1', 'about-heritage=external-dns', 'octodns'];
    const lines = texts.map((text) => `cname-${www} 60 TXT ${text}`);
    assert.equal((await reading({ '127.0.0.2': serving(...lines) })).company, undefined);
  });

  test('keeps what its vendor said beside what DNS says', async () => {
    const seen = { ...unmarked, ...companyIn('comment', ['managed by terraform', null]) };
    const server = serving(`cname-${www} 60 TXT ${heritage}`);
    const { company } = await reading({ '127.0.0.2': server }, seen);
    assert.deepEqual(
      company?.map(({ tool }) => tool),
      ['Terraform', 'external-dns (owner shop)'],
    );
  });

  test('is asked of the second server where the first is silent', async () => {
    const { company } = await reading({
      '127.0.0.2': () => null,
      '127.0.0.3': serving(`cname-${www} 60 TXT ${heritage}`),
    });
    assert.equal(company?.length, 1);
  });

  test('is read all the same where no server says anything', async () => {
    assert.deepEqual(await reading({ '127.0.0.2': () => null }), unmarked);
  });
});

test('a record with a marker, or without a CNAME, is not asked about', async () => {
  const server = serving(`cname-${www} 60 TXT ${heritage}`);
  const marked = { ...unmarked, markers: ['detour=1'] };
  assert.deepEqual(await reading({ '127.0.0.2': server }, marked), marked);
  const gone = { ...unmarked, cnames: [] };
  assert.deepEqual(await reading({ '127.0.0.2': server }, gone), gone);
});

test('words of people that name no tool are no mark', () => {
  assert.deepEqual(companyIn('comment', ['the shop of Terra Formosa', undefined, '']), {});
});
