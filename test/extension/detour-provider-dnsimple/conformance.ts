// The provider under Detour's conformance suite, against the fake of the vendor's API.

import { type Account, providerConformance, type Trouble } from 'detour/conformance';
import { FakeDnsimple } from './fake.ts';
import extension from './index.ts';

const { provider } = extension;
const [zone, second] = ['example.com', 'example.net'];
const bare = (name: string) => name.replace(/\.$/, '').toLowerCase();

async function start(): Promise<Account> {
  const fake = await new FakeDnsimple(zone, second).open();
  const faults: readonly Trouble[] = [
    ...(['hang', 'refuse', 'reset', 'error', 'html', 'throttle', 'auth'] as const),
    ...(['lost-reply', 'stale-read'] as const),
  ];
  return {
    zone: `${zone}.`,
    secrets: [fake.token],
    open({ callTimeoutMs = 5000, wrongKey = false } = {}) {
      const settings = provider.settings.parse({
        account: fake.account,
        token: { env: 'TOKEN' },
        endpoint: fake.url,
      });
      const secret = () => (wrongKey ? 'dnsimple_a_Wrong987654321' : fake.token);
      return provider.create('dnsimple', settings, { secret, callTimeoutMs });
    },
    async edit(name, type, values, ttl) {
      fake.edit(name, type, type === 'CNAME' ? values.map(bare) : values, ttl);
    },
    async look(name, type) {
      const values = fake.rowsAt(name, type).map(({ content }) => content);
      return [type === 'CNAME' ? values.map((value) => `${bare(value)}.`) : values];
    },
    requests: () => fake.requests,
    faults,
    fault: (how) => fake.break(how),
    oddities: [
      {
        word: 'line',
        what: 'a record that is served to one region only',
        make: (name) => fake.edit(name, 'CNAME', ['a.example.org'], 300, ['TKO']),
      },
    ],
    secondZone: {
      zone: `${second}.`,
      faults: ['deleted', 'denied', 'error', 'hang'],
      fault: (how) => fake.break(how, second),
    },
    close: () => fake.close(),
  };
}

const { capabilities } = provider;
providerConformance({ title: capabilities.title, capabilities, skip: false, start });
