// A provider whose keys are read again when their files change and when the vendor refuses them, and
// a notifier of which the same is so. To whoever uses it, each is one all the time: a provider's
// calls are counted on, and what is under way when keys change ends with the old ones. It must never
// judge a key by itself.

import type { Answer, Fault } from '../core/model.ts';
import type { DelegationHands, Notifier, Provider, Told } from '../kit/extend.ts';
import { type Renewal, Renewed, type Secrets } from '../kit/renew.ts';
import type { SecretRef } from '../kit/schema.ts';

/** How long what is under way may go on with the keys it began with, in milliseconds. */
const GRACE_MS = 15_000;

interface RenewingOptions<T> {
  make(secret: (ref: SecretRef) => string): T;
  told(renewal: Renewal): void;
  /** How often files are looked at, in milliseconds; 1 s unless given. */
  readonly lookMs?: number;
}

/** Throws what `make` throws the first time. */
export function renewing(secrets: Secrets, options: RenewingOptions<Provider>): Provider {
  const { told, lookMs = 1000 } = options;
  let spent = 0;
  let failed = 0;
  const open = new Set<Provider>();
  const make = (secret: (ref: SecretRef) => string) => {
    const provider = options.make(secret);
    open.add(provider);
    const close = () => {
      if (open.delete(provider)) {
        spent += provider.calls;
        failed += provider.key?.().failures ?? 0;
      }
      provider.close();
    };
    return { provider, close };
  };
  const renewed = new Renewed(secrets, make, { told, graceMs: GRACE_MS, lookMs });
  const { name, capabilities, delegation } = renewed.get().provider;
  const noting = <T>(faults: readonly (Fault | null)[], answer: T): T => {
    if (faults.some((fault) => fault?.kind === 'auth-suspect')) renewed.refused();
    return answer;
  };
  return {
    name,
    capabilities,
    get calls() {
      return [...open].reduce((sum, one) => sum + one.calls, spent);
    },
    async zone(record, signal) {
      const found = await renewed.get().provider.zone(record, signal);
      return noting([found.ok ? null : found.fault], found);
    },
    async read(names, signal) {
      const read = await renewed.get().provider.read(names, signal);
      return noting(Object.values(read).map(faultOf), read);
    },
    async write(changes, signal) {
      const written = await renewed.get().provider.write(changes, signal);
      return noting(written.map(faultOf), written);
    },
    preflight: (...asked) => renewed.get().provider.preflight(...asked),
    ...(renewed.get().provider.key === undefined
      ? {}
      : {
          key: () => {
            const facts = renewed.get().provider.key!();
            const failures = [...open].reduce((sum, p) => sum + (p.key?.().failures ?? 0), failed);
            return { ...facts, failures };
          },
        }),
    ...(delegation === undefined ? {} : { delegation: ofNow(() => renewed.get().provider) }),
    close: () => renewed.close(),
  };
}

/** By whichever keys it has when it is asked. */
function ofNow(provider: () => Provider): DelegationHands {
  return {
    read: (place, signal) => provider().delegation!.read(place, signal),
    write: (change, signal) => provider().delegation!.write(change, signal),
  };
}

/** Who could not be told may have refused the key. Throws what `make` throws the first time. */
export function renewingNotifier(
  secrets: Secrets,
  options: RenewingOptions<Notifier<Told>>,
): Notifier<Told> {
  const { told, lookMs = 1000 } = options;
  const make = (secret: (ref: SecretRef) => string) => ({
    notifier: options.make(secret),
    close: () => {},
  });
  const renewed = new Renewed(secrets, make, { told, graceMs: GRACE_MS, lookMs });
  const noting = async (work: (notifier: Notifier<Told>) => Promise<void> | undefined) => {
    try {
      await work(renewed.get().notifier);
    } catch (error) {
      renewed.refused();
      throw error;
    }
  };
  const { refreshMs } = renewed.get().notifier;
  return {
    notify: (notice, signal) => noting((notifier) => notifier.notify(notice, signal)),
    ...(refreshMs === undefined
      ? {}
      : { refreshMs, refresh: (open, signal) => noting((n) => n.refresh?.(open, signal)) }),
  };
}

function faultOf(answer: Answer<unknown>): Fault | null {
  return answer.kind === 'fault' ? answer.fault : null;
}
