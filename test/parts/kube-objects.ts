// The objects of a Kubernetes API as far as Detour uses them: Leases, Secrets and ConfigMaps of one
// namespace, with versions, uids, the validation of each, and their changes for watches. The
// stand-in over HTTPS (kube-api.ts) and the one in virtual time (sim-kube.ts) are two doors to it.
// What the real one does is measured by test/long/kubernetes.ts. It must never take what the real
// one refuses.

import { randomUUID } from 'node:crypto';

// biome-ignore lint/suspicious/noExplicitAny: an object is what Kubernetes says it is.
export type Any = any;

export const resources: Readonly<Record<string, { group: string; kind: string }>> = {
  leases: { group: 'coordination.k8s.io', kind: 'Lease' },
  secrets: { group: '', kind: 'Secret' },
  configmaps: { group: '', kind: 'ConfigMap' },
};
const dataMost = 1_048_576;

/** What the API answers in place of an object. */
export class Refusal extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export interface Event {
  readonly version: number;
  readonly resource: string;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: Any;
}

export class KubeObjects {
  readonly listeners = new Set<(event: Event) => void>();
  version = 100;
  /** Versions before this one are forgotten. */
  from = 0;
  readonly #namespace: string;
  readonly #objects = new Map<string, Any>();
  #events: Event[] = [];

  constructor(namespace: string) {
    this.#namespace = namespace;
  }

  peek(resource: string, name: string): Any {
    return structuredClone(this.#objects.get(`${resource}/${name}`));
  }

  /** Throws a Refusal, as all of these. */
  get(resource: string, name: string): Any {
    const object = this.#objects.get(`${resource}/${name}`);
    if (object === undefined) throw new Refusal(404, `${resource} "${name}" not found`);
    return object;
  }

  create(resource: string, sent: Any): Any {
    const { name } = sent.metadata;
    if (this.#objects.has(`${resource}/${name}`)) {
      throw new Refusal(409, `${resource} "${name}" already exists`);
    }
    if (sent.metadata.resourceVersion) throw new Refusal(400, 'resourceVersion should not be set');
    validate(resource, sent);
    const made = new Date().toISOString().replace(/\.\d+/, '');
    const identity = { namespace: this.#namespace, uid: randomUUID(), creationTimestamp: made };
    const object = { ...sent, metadata: { ...sent.metadata, ...identity } };
    return this.#keep(resource, 'ADDED', object);
  }

  update(resource: string, name: string, sent: Any): Any {
    const { uid, resourceVersion } = sent.metadata;
    const before = this.#objects.get(`${resource}/${name}`);
    if (before === undefined && !uid) throw new Refusal(404, `${resource} "${name}" not found`);
    const changed = 'the object has been modified; please apply your changes to the latest version';
    const what = `Operation cannot be fulfilled on ${resource} "${name}"`;
    // One that is gone is another than the one that was read.
    if (uid && uid !== before?.metadata.uid) {
      throw new Refusal(409, `${what}: Precondition failed: UID in precondition: ${uid}`);
    }
    // A Secret and a ConfigMap may be updated blindly; a Lease may not.
    if (!resourceVersion && resource === 'leases') {
      throw new Refusal(422, 'metadata.resourceVersion: must be specified for an update');
    }
    if (resourceVersion && resourceVersion !== before.metadata.resourceVersion) {
      throw new Refusal(409, `${what}: ${changed}`);
    }
    validate(resource, sent);
    if (before.immutable === true)
      throw new Refusal(422, 'field is immutable when `immutable` is set');
    const { creationTimestamp, namespace } = before.metadata;
    const kept = { creationTimestamp, namespace, uid: before.metadata.uid };
    const object = { ...sent, metadata: { ...sent.metadata, ...kept } };
    // What changes nothing is no new version.
    const same = {
      ...object,
      metadata: { ...object.metadata, resourceVersion: before.metadata.resourceVersion },
    };
    if (JSON.stringify(same) === JSON.stringify(before)) return before;
    return this.#keep(resource, 'MODIFIED', object);
  }

  /** As somebody else would; null: deleted. */
  edit(resource: string, name: string, edit: (object: Any) => Any): void {
    const before = this.#objects.get(`${resource}/${name}`);
    const { group, kind } = resources[resource]!;
    const apiVersion = group === '' ? 'v1' : `${group}/v1`;
    const object = edit(structuredClone(before) ?? { apiVersion, kind, metadata: { name } });
    if (object === null) {
      this.#objects.delete(`${resource}/${name}`);
      this.#tell({ version: ++this.version, resource, type: 'DELETED', object: before });
    } else if (before === undefined) this.create(resource, object);
    else this.#keep(resource, 'MODIFIED', object);
  }

  #keep(resource: string, type: Event['type'], object: Any): Any {
    const version = ++this.version;
    const metadata = { ...object.metadata, resourceVersion: String(version) };
    const kept = { ...object, metadata };
    this.#objects.set(`${resource}/${metadata.name}`, kept);
    this.#tell({ version, resource, type, object: kept });
    return kept;
  }

  #tell(event: Event): void {
    this.#events.push(event);
    for (const listener of this.listeners) listener(event);
  }

  /** What happened to one object after a version; null: that is no longer known. */
  since(resource: string, name: string, version: number): readonly Event[] | null {
    if (version < this.from) return null;
    return this.#events.filter(
      (event) =>
        event.resource === resource &&
        event.object.metadata.name === name &&
        event.version > version,
    );
  }

  forget(): void {
    this.#events = [];
    this.from = ++this.version;
  }

  /** The whole of it as it is now; the result puts it back, versions and all. */
  backUp(): () => void {
    const [objects, version] = [structuredClone([...this.#objects]), this.version];
    return () => {
      this.#objects.clear();
      for (const [key, object] of objects) this.#objects.set(key, object);
      this.version = version;
      this.#events = [];
      this.from = 0;
    };
  }
}

function validate(resource: string, { spec, data, binaryData }: Any): void {
  if (resource === 'leases') {
    for (const time of [spec?.renewTime, spec?.acquireTime]) {
      // RFC 3339 with microseconds, and no other way.
      if (time != null && !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)$/.test(time)) {
        throw new Refusal(400, `parsing time "${time}" as "2006-01-02T15:04:05.000000Z07:00"`);
      }
    }
    if (spec?.leaseDurationSeconds != null && !(spec.leaseDurationSeconds > 0)) {
      throw new Refusal(422, 'spec.leaseDurationSeconds: must be greater than 0');
    }
    if (spec?.leaseTransitions != null && !(spec.leaseTransitions >= 0)) {
      throw new Refusal(422, 'spec.leaseTransitions: must be greater than or equal to 0');
    }
    return;
  }
  const bytes = resource === 'secrets' ? data : binaryData;
  let size = 0;
  for (const [key, value] of Object.entries<string>(bytes ?? {})) {
    if (!/^[-._a-zA-Z0-9]{1,253}$/.test(key)) throw new Refusal(422, `data[${key}]: Invalid value`);
    if (Buffer.from(value, 'base64').toString('base64') !== value) {
      throw new Refusal(400, 'illegal base64 data');
    }
    size += Buffer.byteLength(value, 'base64');
  }
  if (size > dataMost) throw new Refusal(422, `data: Too long: may not be more than ${dataMost}`);
}
