// A strict stand-in of the Kubernetes API over real HTTPS on loopback: the objects of
// kube-objects.ts behind tokens that end, RBAC and watches. It does what networks do: it is slow,
// loses replies after doing what was asked, or says nothing. It must never listen on anything but
// loopback.

import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import type { KubeAccount } from '../../src/cluster/kube-api.ts';
import { type Any, type Event, KubeObjects, Refusal, resources } from './kube-objects.ts';
import { createCertificates } from './listening.ts';

export interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

export interface Asked {
  readonly client: string;
  readonly verb: string;
  readonly resource: string;
}

export type Fault =
  /** Not done, and never answered. */
  | 'silent'
  /** Done, and never answered. */
  | 'lose-reply'
  /** Answered 500, and done all the same. */
  | 'done-500'
  /** Answered with this, and not done. */
  | 429
  | 500
  | 503
  /** Done as many milliseconds later as it says. */
  | { readonly lateMs: number };

export interface KubeStandIn {
  readonly namespace: string;
  /** The service account of one replica: files with a token of its own. */
  account(client: string): KubeAccount;
  /** A new token in its file; the old one is refused from now on. */
  rotate(client: string): void;
  /** What the next requests meet, until it is changed; undefined: nothing. */
  fault(decide: (asked: Asked) => Fault | undefined): void;
  rules(rules: readonly Rule[]): void;
  get(resource: string, name: string): Any;
  /** As somebody else would; null: deleted. */
  set(resource: string, name: string, edit: (object: Any) => Any): void;
  /** Everything before now is forgotten: watches from before it are told so. */
  forget(): void;
  /** All open watches end, as at a restart of the API. */
  endWatches(): void;
  /** The whole of it as it is now; the result puts it back, versions and all. */
  backUp(): () => void;
  readonly asked: Asked[];
  stop(): Promise<void>;
}

const reasons: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  409: 'Conflict',
  410: 'Expired',
  413: 'RequestEntityTooLarge',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
};
const bodyMost = 3_145_728;

export async function startKubeApi(namespace = 'shop'): Promise<KubeStandIn> {
  const certificates = createCertificates();
  const tls = certificates.certificate('kubernetes', 'IP:127.0.0.1', -1, 1);
  const cluster = new Cluster(namespace);
  const sockets = new Set<Socket>();
  const server = createServer({ key: tls.key, cert: tls.cert }, (request, response) => {
    cluster.serve(request, response);
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const tokenFile = (client: string) => join(certificates.scratch, `${client}.token`);
  const rotate = (client: string) => {
    const token = randomBytes(24).toString('base64url');
    cluster.admit(client, token);
    writeFileSync(tokenFile(client), `${token}\n`);
  };
  return {
    namespace,
    account(client) {
      rotate(client);
      const files = { tokenFile: tokenFile(client), caFile: tls.ca };
      return { host: '127.0.0.1', port, namespace, ...files };
    },
    rotate,
    fault: (decide) => {
      cluster.decide = decide;
    },
    rules: (rules) => {
      cluster.allowed = rules;
    },
    get: (resource, name) => cluster.objects.peek(resource, name),
    set: (resource, name, edit) => cluster.objects.edit(resource, name, edit),
    forget: () => cluster.objects.forget(),
    endWatches: () => cluster.endWatches(),
    backUp: () => {
      const putBack = cluster.objects.backUp();
      return () => {
        putBack();
        cluster.endWatches();
      };
    },
    asked: cluster.asked,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      certificates.remove();
    },
  };
}

class Cluster {
  readonly objects: KubeObjects;
  readonly asked: Asked[] = [];
  allowed: readonly Rule[] = [
    { apiGroups: ['', 'coordination.k8s.io'], resources: ['*'], verbs: ['*'] },
  ];
  decide: (asked: Asked) => Fault | undefined = () => undefined;
  readonly #namespace: string;
  readonly #tokens = new Map<string, string>();
  /** What ends each. */
  readonly #watches = new Set<() => void>();

  constructor(namespace: string) {
    this.#namespace = namespace;
    this.objects = new KubeObjects(namespace);
  }

  /** The only token of a client's that is taken from now on. */
  admit(client: string, token: string): void {
    for (const [old, whose] of this.#tokens) if (whose === client) this.#tokens.delete(old);
    this.#tokens.set(token, client);
  }

  serve(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      try {
        this.#answer(request, Buffer.concat(chunks), response);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        send(response, error.code, status(error.code, error.message));
      }
    });
  }

  #answer(request: IncomingMessage, body: Buffer, response: ServerResponse): void {
    const client = this.#tokens.get(
      /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '',
    );
    if (client === undefined) throw new Refusal(401, 'Unauthorized');
    const url = new URL(request.url!, 'https://localhost');
    const place =
      /^\/(?:api\/v1|apis\/([a-z0-9.]+)\/v1)\/namespaces\/([^/]+)\/(\w+)(?:\/([^/]+))?$/;
    const [, group = '', namespace, resource = '', last] = place.exec(url.pathname) ?? [];
    if (resources[resource]?.group !== group)
      throw new Refusal(404, 'the server could not find it');
    const isWatch = url.searchParams.get('watch') === '1';
    const selected = /^metadata\.name=(.+)$/.exec(url.searchParams.get('fieldSelector') ?? '')?.[1];
    const name = last ?? selected;
    const verb = verbOf(request.method!, isWatch, last !== undefined);
    this.#authorize(client, verb, group, resource, namespace!, name);
    const asked = { client, verb, resource };
    this.asked.push(asked);
    const fault = this.decide(asked);
    if (fault === 'silent') return;
    if (typeof fault === 'number') throw new Refusal(fault, 'as the test wants it');
    if (typeof fault === 'object') {
      setTimeout(() => this.#late(verb, resource, name, url, body, response), fault.lateMs);
      return;
    }
    if (isWatch) return this.#watch(resource, name!, url, response);
    const object = this.#do(verb, resource, name, body);
    if (fault === 'lose-reply') return;
    if (fault === 'done-500') throw new Refusal(500, 'etcdserver: request timed out');
    send(response, verb === 'create' ? 201 : 200, object);
  }

  #late(
    verb: string,
    resource: string,
    name: string | undefined,
    url: URL,
    body: Buffer,
    response: ServerResponse,
  ): void {
    try {
      if (verb === 'watch') return this.#watch(resource, name!, url, response);
      send(response, verb === 'create' ? 201 : 200, this.#do(verb, resource, name, body));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      send(response, error.code, status(error.code, error.message));
    }
  }

  #authorize(
    client: string,
    verb: string,
    group: string,
    resource: string,
    namespace: string,
    name: string | undefined,
  ): void {
    const has = (list: readonly string[], one: string) => list.includes(one) || list.includes('*');
    // The name of what is made is not known yet when the right is looked at.
    const known = verb === 'create' ? undefined : name;
    const isAllowed = this.allowed.some(
      (rule) =>
        has(rule.apiGroups, group) &&
        has(rule.resources, resource) &&
        has(rule.verbs, verb) &&
        (rule.resourceNames === undefined ||
          (known !== undefined && rule.resourceNames.includes(known))),
    );
    if (isAllowed && namespace === this.#namespace) return;
    const what = `cannot ${verb} resource "${resource}" in API group "${group}"`;
    const user = `system:serviceaccount:${this.#namespace}:${client}`;
    throw new Refusal(403, `User "${user}" ${what} in the namespace "${namespace}"`);
  }

  #do(verb: string, resource: string, name: string | undefined, body: Buffer): Any {
    if (verb === 'get') return this.objects.get(resource, name!);
    if (body.length > bodyMost) throw new Refusal(413, 'the request is too large');
    const sent = parsed(body);
    if (sent.kind !== resources[resource]!.kind) throw new Refusal(400, `kind is ${sent.kind}`);
    if (verb === 'create') return this.objects.create(resource, sent);
    if (verb !== 'update') throw new Refusal(405, 'the server does not allow this method');
    if (sent.metadata.name !== name) throw new Refusal(400, 'the name of the object differs');
    return this.objects.update(resource, name!, sent);
  }

  endWatches(): void {
    for (const end of [...this.#watches]) end();
  }

  #watch(resource: string, name: string, url: URL, response: ServerResponse): void {
    const from = Number(url.searchParams.get('resourceVersion'));
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    const write = (type: string, object: Any) => {
      response.write(`${JSON.stringify({ type, object })}\n`);
    };
    const before = this.objects.since(resource, name, from);
    if (before === null) {
      write('ERROR', status(410, `too old resource version: ${from} (${this.objects.from})`));
      response.end();
      return;
    }
    for (const { type, object } of before) write(type, object);
    const listener = (event: Event) => {
      const isFor = event.resource === resource && event.object.metadata.name === name;
      if (isFor) write(event.type, event.object);
    };
    const end = () => {
      this.#watches.delete(end);
      this.objects.listeners.delete(listener);
      clearInterval(bookmarks);
      clearTimeout(limit);
      response.end();
    };
    this.#watches.add(end);
    this.objects.listeners.add(listener);
    const limit = setTimeout(end, Number(url.searchParams.get('timeoutSeconds') ?? '60') * 1000);
    const bookmark = () => {
      const kind = resources[resource]!.kind;
      write('BOOKMARK', { kind, metadata: { resourceVersion: String(this.objects.version) } });
    };
    const bookmarks = setInterval(bookmark, 200);
    if (url.searchParams.get('allowWatchBookmarks') !== 'true') clearInterval(bookmarks);
    response.on('close', end);
  }
}

function verbOf(method: string, isWatch: boolean, hasName: boolean): string {
  if (method === 'GET') return isWatch ? 'watch' : hasName ? 'get' : 'list';
  return method === 'PUT' ? 'update' : method === 'POST' ? 'create' : method.toLowerCase();
}

function parsed(body: Buffer): Any {
  try {
    const value = JSON.parse(body.toString());
    if (typeof value?.metadata?.name === 'string') return value;
  } catch {
    // It is said below, as for anything else that is no object.
  }
  throw new Refusal(400, 'the object provided is unrecognized');
}

function status(code: number, message: string): Any {
  const reason = reasons[code];
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', message, reason, code };
}

function send(response: ServerResponse, code: number, body: Any): void {
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
