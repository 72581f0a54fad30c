// The few calls of the Kubernetes API that a group of replicas needs, for single objects in one
// namespace, with the pod's service account over plain HTTPS. Token and CA are read again as the
// kubelet rotates them. Each call has a deadline and answers with a value; it is tried once,
// because only the caller knows what an unknown outcome means. It must never read without a bound,
// trust a server that the cluster's CA does not vouch for, or let the token into what it says.

import type { ClientRequest, IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as overHttps } from 'node:https';
import { join } from 'node:path';
import { systemLookup } from '../dns/lookup.ts';
import { markOfSecret, readSecret, SecretError } from '../kit/secret.ts';
import type { Clock } from '../ports.ts';
import { collect, type Fields, isFields, parse, readLines } from './body.ts';

export type KubeKind = 'lease' | 'secret' | 'configMap';

/** An object as the API gives it; whatever else it has goes back as it came. */
export interface KubeObject {
  readonly metadata: {
    readonly name: string;
    readonly uid?: string;
    /** Of the version that was read: an update of another one is a conflict. */
    readonly resourceVersion?: string;
  };
  readonly [field: string]: unknown;
}

export type KubeWord =
  /** There is no such object. */
  | 'missing'
  /** It is another version than the one that was sent, or (made anew) it is there. */
  | 'conflict'
  /** The token, or what it may do. */
  | 'refused'
  /** The API objects to what was sent: it is not done, and would not be the next time. */
  | 'invalid'
  /** Surely not done: nobody could be asked, or there is too much to do. */
  | 'unavailable'
  /** It was sent, and may have been done. */
  | 'uncertain';

export type KubeAnswer =
  | { readonly ok: true; readonly object: KubeObject }
  | { readonly ok: false; readonly word: KubeWord; readonly detail: string };

export type KubeEvent =
  | { readonly kind: 'changed'; readonly object: KubeObject }
  /** It was deleted. */
  | { readonly kind: 'gone' }
  /** The last one: whatever happened from now on is not told. */
  | { readonly kind: 'ended'; readonly detail: string };

export interface KubeApi {
  /** `HOST:PORT, namespace NAME`, for people. */
  readonly place: string;
  /** As it stands now, not as a cache has it. */
  get(kind: KubeKind, name: string, deadlineMs: number): Promise<KubeAnswer>;
  /** Replaces the version that the object bears. Never without one: that would be blind. */
  put(kind: KubeKind, object: KubeObject, deadlineMs: number): Promise<KubeAnswer>;
  create(kind: KubeKind, object: KubeObject, deadlineMs: number): Promise<KubeAnswer>;
  /** Its changes after that version, until it ends or is cancelled. */
  watch(
    kind: KubeKind,
    name: string,
    resourceVersion: string,
    tell: (event: KubeEvent) => void,
  ): () => void;
  close(): void;
}

export interface KubeAccount {
  readonly host: string;
  readonly port: number;
  readonly namespace: string;
  readonly tokenFile: string;
  readonly caFile: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

const accountDirectory = '/var/run/secrets/kubernetes.io/serviceaccount';

/** What the kubelet gives each pod. Throws SecretError where it has not. */
export function podAccount(
  env: Environment,
  namespace: string | null,
  directory = accountDirectory,
): KubeAccount {
  const host = env['KUBERNETES_SERVICE_HOST'];
  const port = Number(env['KUBERNETES_SERVICE_PORT'] ?? '443');
  if (!host || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new SecretError(
      'KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not those of a pod: ' +
        'a group by Kubernetes runs inside its cluster; elsewhere take group.etcd',
    );
  }
  const file = (name: string) => join(directory, name);
  return {
    host,
    port,
    namespace: namespace ?? readSecret({ file: file('namespace') }, {}).trim(),
    tokenFile: file('token'),
    caFile: file('ca.crt'),
  };
}

/** Of an answer, or of one line of a watch: 1 MiB of data as base64, and what stands around it. */
const BODY_MAX = 4_194_304;
const SOCKETS_MAX = 8;
const DETAIL_MAX = 300;
/** The API sends a bookmark about once a minute: a watch that is quiet for longer is dead. */
const QUIET_MS = 90_000;
const WATCH_S = 300;
/** How long what is under way may still use connections of an earlier CA. */
const RETIRE_MS = 30_000;

const paths: Readonly<Record<KubeKind, (namespace: string) => string>> = {
  lease: (namespace) => `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`,
  secret: (namespace) => `/api/v1/namespaces/${namespace}/secrets`,
  configMap: (namespace) => `/api/v1/namespaces/${namespace}/configmaps`,
};
const types: Readonly<Record<KubeKind, object>> = {
  lease: { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' },
  secret: { apiVersion: 'v1', kind: 'Secret' },
  configMap: { apiVersion: 'v1', kind: 'ConfigMap' },
};

/** Never throws for what the world does. */
export function createKubeApi(account: KubeAccount, clock: Clock): KubeApi {
  return new RestApi(account, clock);
}

type Method = 'GET' | 'PUT' | 'POST';
type Fault = Extract<KubeAnswer, { ok: false }>;

const fault = (word: KubeWord, detail: string): Fault => ({ ok: false, word, detail });

class RestApi implements KubeApi {
  readonly place: string;
  readonly #account: KubeAccount;
  readonly #clock: Clock;
  readonly #open = new Set<ClientRequest>();
  #agent: { readonly mark: string; readonly agent: HttpsAgent } | null = null;
  readonly #retired = new Map<HttpsAgent, () => void>();
  /** The one that was sent last. */
  #token = '';
  #closed = false;

  constructor(account: KubeAccount, clock: Clock) {
    this.#account = account;
    this.#clock = clock;
    this.place = `${account.host}:${account.port}, namespace ${account.namespace}`;
  }

  get(kind: KubeKind, name: string, deadlineMs: number): Promise<KubeAnswer> {
    return this.#call('GET', `${this.#path(kind)}/${encodeURIComponent(name)}`, null, deadlineMs);
  }

  put(kind: KubeKind, object: KubeObject, deadlineMs: number): Promise<KubeAnswer> {
    const { name, resourceVersion } = object.metadata;
    if (!resourceVersion) throw new Error(`a blind update of the ${kind} ${name}`);
    const path = `${this.#path(kind)}/${encodeURIComponent(name)}`;
    return this.#call('PUT', path, { ...types[kind], ...object }, deadlineMs);
  }

  create(kind: KubeKind, object: KubeObject, deadlineMs: number): Promise<KubeAnswer> {
    return this.#call('POST', this.#path(kind), { ...types[kind], ...object }, deadlineMs);
  }

  watch(
    kind: KubeKind,
    name: string,
    resourceVersion: string,
    tell: (event: KubeEvent) => void,
  ): () => void {
    const query = new URLSearchParams({
      watch: '1',
      fieldSelector: `metadata.name=${name}`,
      resourceVersion,
      allowWatchBookmarks: 'true',
      timeoutSeconds: String(WATCH_S),
    });
    let isOver = false;
    let cancel = () => {};
    let request: ClientRequest | null = null;
    const end = (detail: string) => {
      if (isOver) return;
      isOver = true;
      cancel();
      request?.destroy();
      tell({ kind: 'ended', detail });
    };
    const alive = () => {
      cancel();
      cancel = this.#clock.after(QUIET_MS, () => end('its watch fell silent'));
    };
    const line = (text: string) => {
      if (isOver) return;
      alive();
      const event = watched(text, name);
      if (event?.kind === 'ended') end(this.#safe(event.detail));
      else if (event !== null) tell(event);
    };
    const came = (response: IncomingMessage) => {
      if (response.statusCode === 200) return readLines(response, BODY_MAX, line, end);
      collect(response, BODY_MAX, (text) => {
        end(this.#faultOf('GET', response.statusCode ?? 0, text ?? '').detail);
      });
    };
    alive();
    // Nobody is told before the caller has what cancels it.
    queueMicrotask(() => {
      if (isOver) return;
      try {
        request = this.#request('GET', `${this.#path(kind)}?${query}`, came);
      } catch (error) {
        return end(this.#unsaid(error).detail);
      }
      request.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
      request.on('socket', (socket) => socket.setKeepAlive(true, 15_000));
      request.end();
    });
    return () => {
      isOver = true;
      cancel();
      request?.destroy();
    };
  }

  close(): void {
    this.#closed = true;
    for (const request of this.#open) request.destroy();
    for (const [agent, cancel] of this.#retired) {
      cancel();
      agent.destroy();
    }
    this.#agent?.agent.destroy();
  }

  // -------------------------------------------------------------- one call

  #path(kind: KubeKind): string {
    return paths[kind](encodeURIComponent(this.#account.namespace));
  }

  #call(
    method: Method,
    path: string,
    body: object | null,
    deadlineMs: number,
  ): Promise<KubeAnswer> {
    return new Promise((resolve) => {
      let wasSent = false;
      let isOver = false;
      const end = (answer: KubeAnswer) => {
        if (isOver) return;
        isOver = true;
        cancel();
        resolve(answer);
      };
      const lost = (detail: string) => {
        end(fault(wasSent && method !== 'GET' ? 'uncertain' : 'unavailable', this.#safe(detail)));
      };
      let request: ClientRequest | null = null;
      const cancel = this.#clock.after(deadlineMs, () => {
        lost(`no answer within ${deadlineMs} ms`);
        request?.destroy();
      });
      const came = (response: IncomingMessage) => {
        collect(response, BODY_MAX, (text) => {
          if (text === null) return lost('its answer broke off, or was too large');
          end(this.#read(method, response.statusCode ?? 0, text));
        });
      };
      try {
        request = this.#request(method, path, came);
      } catch (error) {
        return end(this.#unsaid(error));
      }
      // Nothing of it leaves before the server has proved who it is.
      request.on('socket', (socket) => {
        if (request!.reusedSocket) wasSent = true;
        else socket.once('secureConnect', () => (wasSent = true));
      });
      request.on('error', (error: NodeJS.ErrnoException) => lost(error.code ?? error.message));
      request.end(body === null ? undefined : JSON.stringify(body));
    });
  }

  /** What could not even be asked, because the pod's account cannot be read. */
  #unsaid(error: unknown): Fault {
    if (!(error instanceof SecretError)) throw error;
    return fault('refused', `the pod's service account: ${error.message}`);
  }

  /** Throws SecretError. */
  #request(method: Method, path: string, came: (response: IncomingMessage) => void): ClientRequest {
    const { host, port, tokenFile } = this.#account;
    const token = readSecret({ file: tokenFile }, {}).trim();
    this.#token = token;
    const headers = {
      accept: 'application/json',
      'content-type': 'application/json',
      authorization: `Bearer ${token}`,
      'user-agent': 'detour',
    };
    const options = { host, port, method, path, headers, agent: this.#renewed() };
    const request = overHttps(options, came);
    this.#open.add(request);
    request.on('close', () => this.#open.delete(request));
    if (this.#closed) request.destroy();
    return request;
  }

  /** Connections that trust what stands in the CA's file now. */
  #renewed(): HttpsAgent {
    const ref = { file: this.#account.caFile };
    const mark = markOfSecret(ref, {});
    if (this.#agent?.mark === mark) return this.#agent.agent;
    const ca = readSecret(ref, {});
    const old = this.#agent?.agent;
    const agent = new HttpsAgent({
      ca,
      keepAlive: true,
      maxSockets: SOCKETS_MAX,
      rejectUnauthorized: true,
      lookup: systemLookup.lookup,
    });
    this.#agent = { mark, agent };
    if (old) {
      const retire = () => {
        this.#retired.delete(old);
        old.destroy();
      };
      this.#retired.set(old, this.#clock.after(RETIRE_MS, retire));
    }
    return agent;
  }

  #read(method: Method, status: number, text: string): KubeAnswer {
    const body = parse(text);
    const isObject = status === 200 || status === 201;
    if (isObject && body !== null && isKubeObject(body)) return { ok: true, object: body };
    if (isObject) {
      const detail = 'its answer is no object of the Kubernetes API';
      return fault(method === 'GET' ? 'unavailable' : 'uncertain', detail);
    }
    return this.#faultOf(method, status, text);
  }

  #faultOf(method: Method, status: number, text: string): Fault {
    const said = parse(text)?.['message'];
    const what = typeof said === 'string' ? said : text.slice(0, DETAIL_MAX);
    return fault(wordOf(method, status), this.#safe(`HTTP ${status} ${what}`.trim()));
  }

  /** Bounded, printable, and without the token. */
  #safe(text: string): string {
    const bare = this.#token === '' ? text : text.replaceAll(this.#token, '…');
    return bare
      .replaceAll(/[^\x20-\x7e…]+/g, ' ')
      .trim()
      .slice(0, DETAIL_MAX);
  }
}

function wordOf(method: Method, status: number): KubeWord {
  if (status === 401 || status === 403) return 'refused';
  if (status === 404) return 'missing';
  if (status === 409) return 'conflict';
  // It says itself that it did nothing.
  if (status === 429) return 'unavailable';
  if (status >= 400 && status < 500) return 'invalid';
  return method === 'GET' ? 'unavailable' : 'uncertain';
}

// ---------------------------------------------------------------- reading

function isKubeObject(value: Fields): value is Fields & KubeObject {
  const metadata = value['metadata'];
  const names = ['name', 'uid', 'resourceVersion'] as const;
  return isFields(metadata) && names.every((name) => typeof metadata[name] === 'string');
}

/** One line of a watch; null: it only shows that the watch is alive. */
function watched(text: string, name: string): KubeEvent | null {
  const body = parse(text);
  const object = body?.['object'];
  if (!isFields(object)) return { kind: 'ended', detail: 'its watch said what is no event' };
  switch (body!['type']) {
    case 'ADDED':
    case 'MODIFIED':
      // An API that does not know the selector would tell of others, too.
      if (!isKubeObject(object) || object.metadata.name !== name) return null;
      return { kind: 'changed', object };
    case 'DELETED':
      return isKubeObject(object) && object.metadata.name === name ? { kind: 'gone' } : null;
    case 'BOOKMARK':
      return null;
    // 410: it no longer knows what happened since that version.
    default:
      return { kind: 'ended', detail: String(object['message'] ?? 'its watch ended') };
  }
}
