// A provider for DNSimple (API v2, developer.dnsimple.com). Records are changed one by one, in place,
// the CNAME before the marker: a change cut in half shows an old epoch, which Detour takes for lag.
// It must never delete a record, and never touch one that is served to some regions only.

import * as kit from 'detour/provider';
import { type Called, type Change, type Name, type ZoneKey as Zone, z } from 'detour/provider';
import { DNSimple } from 'dnsimple';

const settings = z.strictObject({
  account: z.int().positive().describe('number of the account, as in dnsimple.com/a/NUMBER'),
  token: kit.secretRef,
  zone: kit.dnsName.optional(),
  endpoint: kit.endpoint.default('https://api.dnsimple.com'),
});
type Settings = z.output<typeof settings>;

const note = 'No compare-and-set: records are read just before and just after each write.';
const capabilities: kit.Capabilities = {
  type: 'dnsimple',
  title: 'DNSimple',
  fence: { kind: 'weak', note },
  atomic: false,
  readMax: 10,
  writeMax: 5,
  // Half of them may go to finding zones. A name takes two; a change takes six.
  callsMax: 40,
  // The vendor's 2,400 an hour come in windows: half of them at once, half over the hour.
  quota: { burst: 1200, perSecond: 0.33, reserve: 400 },
  permissions: [{ permission: 'zones:ZONE:read, zones:ZONE:write', note: 'of a scoped token' }],
  refuses: [
    { word: 'apex', note: 'no CNAME may stand at the top of a zone' },
    { word: 'line', note: 'a record that is served to some regions only' },
    { word: 'other-type', note: 'records of other types at the name or at the marker' },
  ],
};

const [word, number, flag] = [z.string(), z.int(), z.boolean()];
const zoneShape = z.looseObject({ id: number, name: word, active: flag, secondary: flag });
const regions = z.array(word).default(['global']);
const rowShape = z.looseObject({ id: number, type: word, content: word, ttl: number, regions });
type Row = z.output<typeof rowShape>;
/** What a reading remembers of where it read: the zone, and the vendor's numbers of both records. */
const row = number.nullable();
const refShape = z.strictObject({ name: word, id: word, cname: row, marker: row });

/** An answer that is no success; the SDK keeps no header, and fails on a page of HTML. */
class Refused extends Error {
  readonly response: Response;
  readonly body: string;
  constructor(response: Response, body: string) {
    super('refused');
    [this.response, this.body] = [response, body];
  }
}

class Dnsimple implements kit.Provider {
  readonly name: string;
  readonly capabilities = capabilities;
  calls = 0;
  readonly #settings: Settings;
  readonly #token: string;
  readonly #timeoutMs: number;
  readonly #zones: kit.ZoneFinder<Zone>;
  readonly #byZone: kit.ByZone<Zone>;

  constructor(name: string, given: Settings, { secret, callTimeoutMs }: kit.AdapterContext) {
    this.name = name;
    this.#settings = given;
    this.#token = secret(given.token);
    this.#timeoutMs = callTimeoutMs;
    const byName = (zone: Name, signal: AbortSignal) => this.#lookUp(zone, signal);
    this.#zones = kit.zoneFinder({ zone: given.zone ?? null, byId: null, byName });
    this.#byZone = new kit.ByZone({ zones: this.#zones, ...capabilities, callTimeoutMs });
  }

  async zone(name: Name, signal: AbortSignal) {
    const found = await this.#zones.find(name, signal);
    if (!found.ok) return found;
    const top = await this.#rows(found.value, found.value.name, signal);
    if (!top.ok) return top;
    const servers = top.value.filter(({ type }) => type === 'NS');
    const nameServers = servers.map(({ content }) => kit.nameFrom(content));
    return kit.done({ zone: found.value.name, nameServers, ttlMin: null, warnings: [] });
  }

  read(names: readonly Name[], signal: AbortSignal) {
    return this.#byZone.read(names, signal, (zone, some, room, stop) => {
      const work = (name: Name) => this.#see(zone, name, stop);
      return kit.oneByOne(some, { atOnce: 3, atMost: names.length, room, callsEach: 2, work });
    });
  }

  write(changes: readonly Change[], signal: AbortSignal): Promise<readonly kit.Answer<null>[]> {
    return this.#byZone.write<Change, Zone>(changes, signal, {
      prepare: kit.done,
      zoneOf: async ({ name, from }, room, stop) => {
        const { data } = refShape.safeParse(from.ref);
        return data ? kit.done(data) : this.#zones.findWithin(name, stop, room);
      },
      writeZone: (zone, some, room, stop) => {
        const work = (change: Change) =>
          kit.guarded(change, {
            see: () => this.#see(zone, change.name, stop),
            apply: (now) => this.#apply(zone, change, now, stop),
          });
        return kit.oneByOne(some, { atOnce: 1, atMost: some.length, room, callsEach: 6, work });
      },
    });
  }

  async preflight(record: Name, signal: AbortSignal): Promise<readonly kit.ReachingFinding[]> {
    const found = await this.#zones.find(record, signal);
    if (!found.ok) return [kit.fromTrouble('zone', null, found)];
    const { name } = found.value;
    const active = kit.good(kit.ofZone(name), 'zone', `DNSimple serves ${name}`);
    return [active, kit.zoneRead(name), ...(await kit.lookAtRecord(this, record, signal))];
  }

  close(): void {}

  async #apply(zone: Zone, { name, to }: Change, now: kit.Seen, s: AbortSignal) {
    const { cname, marker } = refShape.parse(now.ref);
    const isMoved = !kit.isCname(now, to);
    const value = ['CNAME', bare(to.cname), to.ttl] as const;
    const moved = isMoved ? await this.#put(zone, name, cname, value, s) : kit.done(null);
    if (!moved.ok) return moved;
    const text = ['TXT', kit.formatMarker(to.marker), to.ttl] as const;
    const marked = await this.#put(zone, kit.markerName(name), marker, text, s);
    return marked.ok || !isMoved ? marked : kit.halfway(marked, 'the CNAME moved, its marker not');
  }

  /** Changes the record that stands there, or makes the first. */
  #put(
    zone: Zone,
    owner: Name,
    id: number | null,
    [type, content, ttl]: readonly ['CNAME' | 'TXT', string, number],
    signal: AbortSignal,
  ): Promise<Called<null>> {
    const method = id === null ? 'POST' : 'PATCH';
    return this.#call(`${method} of ${owner}`, method, signal, async ({ zones }, account) => {
      const [at, name] = [bare(zone.name), labelOf(zone, owner)];
      if (id === null) await zones.createZoneRecord(account, at, { name, type, content, ttl });
      else await zones.updateZoneRecord(account, at, id, { content, ttl });
      return null;
    });
  }

  async #see(zone: Zone, name: Name, signal: AbortSignal): Promise<Called<kit.Seen>> {
    const owners = [name, kit.markerName(name)];
    const read = await kit.sideBySide(owners, 2, (owner) => this.#rows(zone, owner, signal));
    if (!read.ok) return read;
    const [at = [], below = []] = read.value;
    const cnames = at.filter(({ type }) => type === 'CNAME');
    const markers = below.filter(({ type }) => type === 'TXT');
    const [cname = null, marker = null] = [cnames[0]?.id, markers[0]?.id];
    return kit.done({
      cnames: cnames.map(({ content, ttl }) => ({ value: kit.nameFrom(content), ttl })),
      markers: markers.map(({ content }) => kit.unquoteText(content, 10)),
      refusal: refusalOf(zone, name, at, 'CNAME') ?? refusalOf(zone, owners[1]!, below, 'TXT'),
      ref: { name: zone.name, id: zone.id, cname, marker },
    });
  }

  #rows(zone: Zone, owner: Name, signal: AbortSignal): Promise<Called<readonly Row[]>> {
    const query = { name: labelOf(zone, owner), per_page: 100 };
    return this.#call(`GET of ${owner}`, 'GET', signal, async ({ zones }, account) => {
      const { data } = await zones.listZoneRecords(account, bare(zone.name), query);
      return z.array(rowShape).parse(data);
    });
  }

  async #lookUp(zone: Name, signal: AbortSignal): Promise<Called<Zone | null>> {
    const is404 = (e: unknown) => e instanceof Refused && e.response.status === 404;
    const found = await this.#call(`GET of zone ${zone}`, 'GET', signal, ({ zones }, account) => {
      const got = zones.getZone(account, bare(zone)).then(({ data }) => zoneShape.parse(data));
      return got.catch((e) => (is404(e) ? null : Promise.reject(e)));
    });
    if (!found.ok || found.value === null) return found as Called<null>;
    const { id, name, active, secondary } = found.value;
    if (active && !secondary) return kit.done({ id: String(id), name: kit.nameFrom(name) });
    const cure = 'activate its DNS hosting, or publish at its primary';
    return kit.failed('zone', 'rejected', `DNSimple is no primary of ${zone}`, { cure, zone });
  }

  /** One call, by a client of its own: the SDK takes no signal. */
  #call<T>(
    doing: string,
    method: 'GET' | 'POST' | 'PATCH',
    signal: AbortSignal,
    work: (api: DNSimple, account: number) => Promise<T>,
  ): Promise<Called<T>> {
    const explain = (e: unknown) => (e instanceof Refused ? this.#explain(e, doing, method) : null);
    const options = { doing, write: method !== 'GET', signal, timeoutMs: this.#timeoutMs, explain };
    return kit.exchange(options, (stop) => {
      const fetcher: DNSimple['fetcher'] = async ({ url, timeout: _, ...request }) => {
        this.calls++;
        const response = await fetch(url, { ...request, redirect: 'manual', signal: stop });
        const body = await response.text();
        if (!response.ok) throw new Refused(response, body);
        return { status: response.status, body };
      };
      const { endpoint: baseUrl, account } = this.#settings;
      return work(new DNSimple({ accessToken: this.#token, baseUrl, fetcher }), account);
    });
  }

  #explain({ response, body }: Refused, doing: string, method: string): kit.Trouble {
    const [{ status, headers }, write] = [response, method !== 'GET'];
    if (status === 404 && method === 'PATCH') {
      return kit.failed('record', 'conflict', `${doing}: the record is gone`);
    }
    const said = kit.scrub(body, [this.#token]);
    const resetAt = Number(headers.get('x-ratelimit-reset') ?? 0) * 1000;
    const waitMs = Math.min(Math.max(resetAt - Date.now(), 1000), 300_000);
    const trouble = kit.statusTrouble(status, { doing, write }, said, waitMs);
    if (status === 404) return { ...trouble, stale: true };
    return status === 400 && write ? { ...trouble, scope: 'record' } : trouble;
  }
}

const bare = (name: Name): string => name.slice(0, -1);

const labelOf = (zone: Zone, owner: Name): string =>
  owner === zone.name ? '' : owner.slice(0, -zone.name.length - 1);

function refusalOf(zone: Zone, at: Name, rows: readonly Row[], type: string): kit.Refusal | null {
  const no = (word: kit.RefusalWord, sentence: string) => ({ word, sentence: `${at} ${sentence}` });
  if (at === zone.name) return no('apex', 'is the apex of its zone: steer a name below it');
  const other = rows.find((row) => row.type !== type);
  if (other !== undefined) return no('other-type', `has a record of type ${other.type}: remove it`);
  const isGlobal = rows.every(({ regions }) => regions.join() === 'global');
  return isGlobal ? null : no('line', 'is served to some regions only: make it global');
}

const provider: kit.ProviderType<Settings> = {
  type: 'dnsimple',
  capabilities,
  settings,
  create: (name, given, context) => new Dnsimple(name, given, context),
};

export default { contract: 1, provider } satisfies kit.Extension;
