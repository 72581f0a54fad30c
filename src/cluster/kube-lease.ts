// One replica's seat at a Lease of Kubernetes: sees who holds it, takes it where nobody does,
// renews and gives it back. The Lease is another's until its renewals were not seen to change for
// as long as it says it lasts, by our own monotonic clock: what another's clock wrote into it is
// never compared with ours. Each change is compared and set by `resourceVersion`. What we hold is
// counted from when the renewal that is known to have been taken was sent. It must never take a
// renewal whose reply was lost for one that was taken, nor a lapsed holding up again: that is a new
// one, with its own term.

import type { Clock } from '../ports.ts';
import { type Fields, isFields } from './body.ts';
import type { KubeAnswer, KubeApi, KubeObject } from './kube-api.ts';

interface SeatOptions {
  /** The Lease's name. */
  readonly name: string;
  /** Of this start of this replica alone. */
  readonly identity: string;
  readonly ttlMs: number;
  readonly api: KubeApi;
  readonly clock: Clock;
  /** Milliseconds since some moment, those while the machine slept included. */
  readonly elapsed: () => number;
}

/** The Lease as it was last seen. */
interface Sight {
  readonly object: KubeObject;
  readonly uid: string;
  /** '': nobody. */
  readonly holder: string;
  /** Whoever held it has written documents. */
  readonly isUsed: boolean;
  /** How often it has changed hands. */
  readonly transitions: number;
  readonly forMs: number;
  /** Engine time at which what its holder says was first seen. */
  readonly since: number;
  /** What its holder says, to be told from what it said before. */
  readonly said: string;
}

interface Holding {
  readonly uid: string;
  readonly transitions: number;
  /** `elapsed` when the last renewal was sent of which it is known that it was taken. */
  readonly sentAt: number;
}

/** One call to the Lease's API: at least, at most, as a part of the TTL. */
const CALL_MS = { least: 500, most: 5000, part: 1 / 2 };
/** Between what we count and what others wait for: clocks do not run equally fast. */
const MARGIN = { leastMs: 500, part: 0.1 };
/** Of the renewals that were sent, how many are remembered until it shows which was taken. */
const SENT_KEPT = 16;
/**
 * An annotation of the Lease: documents were written by whoever held it, so an empty object is a
 * loss.
 */
const USED = 'detour/documents';
/** Where a Lease does not say how long it lasts. */
const UNKNOWN_MS = 15_000;

export class Seat {
  readonly #options: SeatOptions;
  readonly callMs: number;
  /** null: none was seen, or it is gone. */
  sight: Sight | null = null;
  #holding: Holding | null = null;
  #renewals = 0;
  /** By the `renewTime` that was sent. */
  readonly #sent = new Map<string, number>();

  constructor(options: SeatOptions) {
    this.#options = options;
    const { least, most, part } = CALL_MS;
    this.callMs = Math.min(most, Math.max(least, Math.floor(options.ttlMs * part)));
  }

  /** Which holding of which Lease is ours; it may have lapsed. */
  get holding(): { readonly uid: string; readonly transitions: number } | null {
    return this.#holding;
  }

  /** Engine time until which it is surely ours. */
  until(): number {
    if (this.#holding === null) return 0;
    const { ttlMs, clock, elapsed } = this.#options;
    const margin = Math.max(MARGIN.leastMs, ttlMs * MARGIN.part);
    return clock.now() + this.#holding.sentAt + ttlMs - margin - elapsed();
  }

  /** Engine time from which on it may be taken; null: there is no Lease. */
  freeAt(): number | null {
    const { sight } = this;
    if (sight === null) return null;
    // Our own lapsed holding is nobody's.
    if (sight.holder === '' || sight.holder === this.#options.identity) return 0;
    return sight.since + sight.forMs;
  }

  /** Gives up what we hold, without telling the Lease. */
  forget(): void {
    this.#holding = null;
    this.#sent.clear();
  }

  #read(answer: KubeAnswer): void {
    if (answer.ok) this.#see(answer.object);
    else if (answer.word === 'missing') {
      this.sight = null;
      this.forget();
    }
  }

  /** What a watch has shown meanwhile may be newer than what was written. */
  #wrote(answer: KubeAnswer): void {
    const isOld = answer.ok && isNewer(answer.object, this.sight?.object ?? null) === false;
    if (!isOld) this.#read(answer);
  }

  /** A change that a watch tells of; false: it does not show whether it is the newer one. */
  observeEvent(object: KubeObject): boolean {
    const newer = isNewer(object, this.sight?.object ?? null);
    if (newer) this.#see(object);
    return newer !== null;
  }

  async look(): Promise<KubeAnswer> {
    const { api, name } = this.#options;
    const answer = await api.get('lease', name, this.callMs);
    this.#read(answer);
    return answer;
  }

  /** Makes the Lease, held by nobody. */
  async create(): Promise<KubeAnswer> {
    const { api, name } = this.#options;
    const answer = await api.create('lease', { metadata: { name }, spec: {} }, this.callMs);
    this.#wrote(answer);
    return answer;
  }

  /** Takes it as it was last seen; `transitions` one more than before. */
  take(): Promise<KubeAnswer> {
    const sight = this.sight!;
    return this.#write(sight, { transitions: sight.transitions + 1, isNew: true });
  }

  /** `isUsed`: documents have been written under it, which it is to witness. */
  renew(isUsed: boolean): Promise<KubeAnswer> {
    const sight = this.sight!;
    const { transitions } = this.#holding!;
    if (!isUsed || sight.isUsed) return this.#write(sight, { transitions, isNew: false });
    const { metadata } = sight.object;
    const annotations = { ...annotationsOf(sight.object), [USED]: 'yes' };
    const object = { ...sight.object, metadata: { ...metadata, annotations } };
    return this.#write({ ...sight, object }, { transitions, isNew: false });
  }

  /** Gives it back, so that another may take it at once. */
  async release(): Promise<KubeAnswer | null> {
    const { api, identity } = this.#options;
    this.forget();
    for (let tries = 0; ; tries++) {
      const { sight } = this;
      if (sight === null || sight.holder !== identity) return null;
      const spec = {
        ...specOf(sight.object),
        holderIdentity: '',
        leaseDurationSeconds: 1,
        renewTime: this.#microTime(),
      };
      const answer = await api.put('lease', { ...sight.object, spec }, this.callMs);
      this.#wrote(answer);
      if (answer.ok || answer.word === 'refused' || answer.word === 'invalid' || tries > 1) {
        return answer;
      }
      // Somebody wrote into it meanwhile, or the reply was lost: what stands there says which.
      const looked = await this.look();
      if (!looked.ok) return looked;
    }
  }

  async #write(
    sight: Sight,
    { transitions, isNew }: { readonly transitions: number; readonly isNew: boolean },
  ): Promise<KubeAnswer> {
    const { api, identity, ttlMs, elapsed } = this.#options;
    const renewTime = this.#microTime();
    const spec = {
      ...specOf(sight.object),
      holderIdentity: identity,
      leaseDurationSeconds: Math.round(ttlMs / 1000),
      leaseTransitions: transitions,
      renewTime,
      ...(isNew ? { acquireTime: renewTime } : {}),
    };
    this.#sent.set(renewTime, elapsed());
    if (this.#sent.size > SENT_KEPT) this.#sent.delete(this.#sent.keys().next().value!);
    const answer = await api.put('lease', { ...sight.object, spec }, this.callMs);
    this.#wrote(answer);
    return answer;
  }

  #see(object: KubeObject): void {
    const { clock, identity, ttlMs } = this.#options;
    const spec = specOf(object);
    const uid = object.metadata.uid!;
    const holder = textOf(spec['holderIdentity']);
    const transitions = countOf(spec['leaseTransitions']);
    const seconds = countOf(spec['leaseDurationSeconds']);
    const renewTime = textOf(spec['renewTime']);
    const said = JSON.stringify([uid, holder, transitions, seconds, renewTime]);
    const isSame = this.sight?.said === said;
    const since = isSame ? this.sight!.since : clock.now();
    const forMs = seconds > 0 ? seconds * 1000 : Math.max(ttlMs, UNKNOWN_MS);
    const isUsed = annotationsOf(object)[USED] === 'yes';
    this.sight = { object, uid, holder, isUsed, transitions, forMs, since, said };
    const sentAt = this.#sent.get(renewTime);
    if (holder !== identity || sentAt === undefined) {
      // Who else could write our name there? Nobody who may be believed.
      this.#holding = null;
      return;
    }
    const isOurs = this.#holding === null || this.#holding.transitions === transitions;
    this.#holding = isOurs ? { uid, transitions, sentAt } : null;
  }

  /** Now, as Kubernetes writes it, and each time another: it is what tells renewals apart. */
  #microTime(): string {
    this.#renewals = (this.#renewals + 1) % 1000;
    const micros = String(this.#renewals).padStart(3, '0');
    return new Date(this.#options.clock.wall()).toISOString().replace('Z', `${micros}Z`);
  }
}

/**
 * Whether an object is a newer version than another of the same: a `resourceVersion` is a growing
 * decimal number (Kubernetes 1.35; etcd's revision before that). null: these do not show it.
 */
export function isNewer(object: KubeObject, than: KubeObject | null): boolean | null {
  if (than === null) return null;
  const [one, other] = [object.metadata, than.metadata];
  const versions = [one.resourceVersion ?? '', other.resourceVersion ?? ''];
  if (one.uid !== other.uid || !versions.every((version) => /^\d{1,40}$/.test(version)))
    return null;
  return BigInt(versions[0]!) > BigInt(versions[1]!);
}

function specOf(object: KubeObject): Fields {
  return isFields(object['spec']) ? object['spec'] : {};
}

function annotationsOf({ metadata }: KubeObject): Fields {
  const annotations = (metadata as { readonly annotations?: unknown }).annotations;
  return isFields(annotations) ? annotations : {};
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function countOf(value: unknown): number {
  return Number.isSafeInteger(value) && (value as number) > 0 ? (value as number) : 0;
}
