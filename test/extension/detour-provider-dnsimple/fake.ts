// DNSimple's API v2 as its documentation has it, on loopback: zones, their records one by one, and
// its refusals in its own JSON. Strict: what the vendor refuses it refuses. It can be broken in the
// ways of `Account.fault`, and holds its zones in memory.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export interface Row {
  readonly id: number;
  readonly name: string;
  readonly type: string;
  readonly content: string;
  readonly ttl: number;
  readonly regions: readonly string[];
}

interface Zone {
  readonly id: number;
  readonly name: string;
  rows: Row[];
  /** As it was before the last write. */
  past: Row[];
  trouble: string | null;
}

interface Answer {
  readonly status: number;
  readonly body: object;
}

const types = ['A', 'AAAA', 'ALIAS', 'CAA', 'CNAME', 'MX', 'NS', 'PTR', 'SRV', 'TXT', 'URL'];
const hostName = /^(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z][a-z0-9-]*\.?$/i;

const refusal = (status: number, message: string, errors?: object): Answer => ({
  status,
  body: { message, ...(errors && { errors }) },
});

export class FakeDnsimple {
  readonly account = 1010;
  readonly token = 'dnsimple_a_Fake0123456789';
  requests = 0;
  /** Why nothing of it works as it should; null: all is well. */
  trouble: string | null = null;
  readonly #zones = new Map<string, Zone>();
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((request, response) => {
    void this.#serve(request, response);
  });
  #port = 0;
  #ids = 64_779;

  constructor(...zones: readonly string[]) {
    for (const name of zones) {
      const zone: Zone = { id: this.#ids++, name, rows: [], past: [], trouble: null };
      this.#zones.set(name, zone);
      for (const n of [1, 2]) this.#add(zone, '', 'NS', `ns${n}.dnsimple.com`, 3600);
    }
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async open(): Promise<this> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  /** Breaks all of it, or one zone; null heals. */
  async break(how: string | null, zone?: string): Promise<void> {
    if (zone !== undefined) this.#zones.get(zone)!.trouble = how;
    else {
      this.trouble = how;
      if (how === 'refuse') await this.close();
      else if (!this.#server.listening) await this.open();
    }
  }

  /** What stands at a name of a type, with the trailing dot or without. */
  rowsAt(owner: string, type?: string): readonly Row[] {
    const { zone, label } = this.#place(owner);
    return zone.rows.filter((r) => r.name === label && (type === undefined || r.type === type));
  }

  /** A person at the console: these values in the place of all of the type, in place. */
  edit(
    owner: string,
    type: string,
    values: readonly string[],
    ttl: number,
    regions: readonly string[] = ['global'],
  ): void {
    const { zone, label } = this.#place(owner);
    const old = this.rowsAt(owner, type);
    const rows = values.map((content, i) => {
      const id = old[i]?.id ?? this.#ids++;
      return { id, name: label, type, content, ttl, regions };
    });
    zone.past = zone.rows;
    zone.rows = [...zone.rows.filter((row) => !old.includes(row)), ...rows];
  }

  #place(owner: string): { readonly zone: Zone; readonly label: string } {
    const bare = owner.toLowerCase().replace(/\.$/, '');
    for (const zone of this.#zones.values()) {
      if (bare === zone.name) return { zone, label: '' };
      if (!bare.endsWith(`.${zone.name}`)) continue;
      return { zone, label: bare.slice(0, -zone.name.length - 1) };
    }
    throw new Error(`no zone holds ${owner}`);
  }

  #add(zone: Zone, name: string, type: string, content: string, ttl: number): Row {
    const row = { id: this.#ids++, name, type, content, ttl, regions: ['global'] };
    zone.past = zone.rows;
    zone.rows = [...zone.rows, row];
    return row;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests++;
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const url = new URL(request.url ?? '/', 'http://x');
    const [, version, account, kind, name = ''] = url.pathname.split('/');
    const zone = kind === 'zones' ? this.#zones.get(name) : undefined;
    const trouble = this.trouble ?? zone?.trouble ?? null;
    if (trouble === 'hang') return;
    if (trouble === 'reset') return void request.socket.resetAndDestroy();
    if (trouble === 'html') {
      response.writeHead(200, { 'content-type': 'text/html' });
      return void response.end('<html>please sign in</html>');
    }
    const isOurs = version === 'v2' && account === String(this.account);
    const refused = this.#refused(request, trouble, zone);
    const answer = refused ?? (isOurs ? this.#answer(request, url, zone, text) : null);
    if (trouble === 'lost-reply' && request.method !== 'GET') {
      this.trouble = null;
      return void request.socket.destroy();
    }
    const { status, body } = answer ?? refusal(404, 'Not Found');
    response.writeHead(status, {
      'content-type': 'application/json; charset=utf-8',
      'x-ratelimit-limit': '2400',
      'x-ratelimit-remaining': status === 429 ? '0' : '2399',
      'x-ratelimit-reset': String(Math.floor(Date.now() / 1000) + 2),
    });
    response.end(JSON.stringify(body));
  }

  /** What is refused before anything is looked at. */
  #refused(request: IncomingMessage, trouble: string | null, zone?: Zone): Answer | null {
    if (trouble === 'throttle') return refusal(429, 'quota exceeded');
    if (trouble === 'error') return refusal(500, 'Internal Server Error');
    const isKey = request.headers.authorization === `Bearer ${this.token}`;
    if (!isKey || trouble === 'auth') return refusal(401, 'Authentication failed');
    if (trouble === 'denied') {
      const right = request.method === 'GET' ? 'read' : 'write';
      return refusal(403, `Permission Denied. Required Scope: zones:${zone?.name}:${right}`);
    }
    return null;
  }

  #answer(request: IncomingMessage, url: URL, zone: Zone | undefined, text: string): Answer {
    const [, , , , name, what, id, ...more] = url.pathname.split('/');
    if (zone === undefined || zone.trouble === 'deleted') {
      return refusal(404, `Zone \`${name}\` not found`);
    }
    const { method } = request;
    if (what === undefined && method === 'GET') {
      const facts = { id: zone.id, account_id: this.account, name: zone.name };
      const rest = { reverse: false, secondary: false, active: true };
      return { status: 200, body: { data: { ...facts, ...rest } } };
    }
    if (what !== 'records' || more.length > 0) return refusal(404, 'Not Found');
    if (method === 'GET' && id === undefined) return this.#list(zone, url.searchParams);
    if (request.headers['content-type'] !== 'application/json') {
      return refusal(415, 'Unsupported Media Type');
    }
    const given = JSON.parse(text) as Record<string, unknown>;
    if (method === 'POST' && id === undefined) return this.#create(zone, given);
    const row = zone.rows.find((r) => String(r.id) === id);
    if (method !== 'PATCH') return refusal(405, 'Method not allowed');
    if (row === undefined) return refusal(404, `Record \`${id}\` not found`);
    const made = { ...row, ...given, type: row.type } as Row;
    const errors = problems(
      made,
      zone.rows.filter((r) => r !== row),
    );
    if (errors !== null) return refusal(400, 'Validation failed', errors);
    zone.past = zone.rows;
    zone.rows = zone.rows.map((r) => (r === row ? made : r));
    return { status: 200, body: { data: made } };
  }

  #list(zone: Zone, query: URLSearchParams): Answer {
    const [name, type] = [query.get('name'), query.get('type')];
    const perPage = Number(query.get('per_page') ?? 30);
    if (!(perPage >= 1 && perPage <= 100)) return refusal(400, 'Invalid per_page');
    const all = this.trouble === 'stale-read' ? zone.past : zone.rows;
    const found = all.filter(
      (r) => (name === null || r.name === name) && (type === null || r.type === type),
    );
    const pages = Math.max(1, Math.ceil(found.length / perPage));
    const pagination = { current_page: 1, per_page: perPage, total_entries: found.length };
    const data = found.slice(0, perPage).map((r) => ({ ...r, zone_id: zone.name, priority: null }));
    return { status: 200, body: { data, pagination: { ...pagination, total_pages: pages } } };
  }

  #create(zone: Zone, given: Record<string, unknown>): Answer {
    const { name = null, type = null, content = '', ttl = 3600 } = given;
    const errors = problems({ name, type, content, ttl } as Row, zone.rows);
    if (errors !== null) return refusal(400, 'Validation failed', errors);
    const row = this.#add(zone, name as string, type as string, content as string, ttl as number);
    return { status: 201, body: { data: row } };
  }
}

/** What the vendor's validation says of a record among the others of its zone; null: it is taken. */
function problems({ name, type, content, ttl }: Row, others: readonly Row[]): object | null {
  const errors: Record<string, string[]> = {};
  if (typeof name !== 'string') errors['name'] = ["can't be blank"];
  if (!types.includes(type)) errors['record_type'] = ['unsupported'];
  if (!Number.isInteger(ttl)) errors['ttl'] = ['is not a number'];
  if (typeof content !== 'string' || content === '') errors['content'] = ["can't be blank"];
  else if (type === 'CNAME' && !hostName.test(content)) errors['content'] = ['is invalid'];
  else if (type === 'TXT' && content.length > 1000) errors['content'] = ['is too long'];
  const beside = others.filter((r) => r.name === name);
  const isAlone = type === 'CNAME' || beside.some((r) => r.type === 'CNAME');
  if (isAlone && beside.length > 0)
    errors['base'] = ['a CNAME record must stand alone at its name'];
  if (type === 'CNAME' && name === '') errors['base'] = ['a CNAME record cannot stand at the apex'];
  return Object.keys(errors).length === 0 ? null : errors;
}
