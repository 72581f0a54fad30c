// A provider of which some is done otherwise, as its markers are signed on their way. It must never
// lose what it does not know of: whatever an account can do is still to be had.

import type { Provider } from './extend.ts';

export function around(inner: Provider, own: Partial<Pick<Provider, 'read' | 'write'>>): Provider {
  return {
    name: inner.name,
    capabilities: inner.capabilities,
    get calls() {
      return inner.calls;
    },
    zone: (...asked) => inner.zone(...asked),
    read: (...asked) => inner.read(...asked),
    write: (...asked) => inner.write(...asked),
    preflight: (...asked) => inner.preflight(...asked),
    ...(inner.key === undefined ? {} : { key: () => inner.key!() }),
    ...(inner.delegation === undefined ? {} : { delegation: inner.delegation }),
    close: () => inner.close(),
    ...own,
  };
}
