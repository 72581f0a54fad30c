// A real Prometheus over a group of three real daemons in the lab, through an outage and what else there
// is to see: it takes every scrape, every rule is sound, and every query of the dashboard, and every
// variable, is answered with data; so is the way from a point of a graph to `detour explain`.
// `npm run test:watching`; where there is no Prometheus or no etcd it is skipped by name.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import type { StatusView } from '../../src/core/view.ts';
import { makeCertificate } from '../parts/certificate.ts';
import { withoutEtcd } from '../parts/etcd.ts';
import { actor, type Group, type Replica, startGroup } from '../parts/group.ts';
import { collect, main as program, until } from '../parts/program.ts';
import { prometheusAbsent, startScraping } from '../parts/prometheus.ts';
import type { ServedPart } from '../parts/served.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const boundMs = 60_000;
const [moved, asked, third] = [1, 2, 3].map((n) => `r000${n}.gslb.example.net`) as [
  string,
  string,
  string,
];
/** A host that the lab's DNS knows and no other record leads to, and what users type for it. */
const secureHost = 'bj.shop.example';
const typed = 'www.users.example';

// ---------------------------------------------------------------- the world

/** An origin with a certificate, which says for a while that it is asked too often. */
interface Secure {
  readonly http: string;
  readonly address: string;
  readonly ca: string;
  limits: boolean;
  close(): void;
}

async function openSecure(directory: string, address: string): Promise<Secure> {
  const made = makeCertificate(directory, 'secure', [secureHost, typed])!;
  const server: Server = createServer(made, (_, response) => {
    response.writeHead(secure.limits ? 429 : 200).end('ok');
  });
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  const secure: Secure = {
    http: `https://${secureHost}:${(server.address() as AddressInfo).port}/`,
    address,
    ca: made.certFile,
    limits: false,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
  return secure;
}

/** What a group of tests does not have by itself: a record that asks first, channels, TLS, lines. */
function complete(group: Group, { http, address, ca }: Secure): void {
  for (const { name } of group.replicas) {
    const file = join(group.lab.directory, `replica-${name}`, 'detour.yaml');
    const given = parse(readFileSync(file, 'utf8'));
    given.records[asked].mode = 'approve';
    given.origins.secure = { cloud: 'aws', checks: { web: { http, address, ca } } };
    given.records[third].names = [typed];
    given.records[third].targets.push({ origin: 'secure', cname: secureHost });
    given.records[third].publish = [
      'cf',
      'r53',
      { provider: 'ali', lines: ['default', 'telecom'] },
    ];
    given.channels = {
      broken: { command: ['/bin/false'] },
      file: { command: ['/bin/sh', '-c', 'cat > /dev/null'] },
    };
    writeFileSync(file, stringify(given), { mode: 0o600 });
  }
}

/** The program, beside the loop that carries the group's ways. */
async function cli(socket: string, ...words: readonly string[]) {
  const env = { ...process.env, DETOUR_SOCKET: socket };
  const child = spawn(process.execPath, [program, ...words], { env });
  const said = collect(child);
  const status = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { status, out: said.out(), err: said.err() };
}

async function mustSay(socket: string, ...words: readonly string[]): Promise<string> {
  const { status, out, err } = await cli(socket, ...words);
  assert.equal(status, 0, `detour ${words.join(' ')}: ${out}${err}`);
  return out;
}

type Look = (view: StatusView) => boolean;
const sees = (what: string, replica: Replica, holds: Look) =>
  until(what, boundMs, async () => {
    const view = await replica.status();
    return view !== null && holds(view);
  });
const recordIn = (view: StatusView, name: string) =>
  view.records.find((one) => one.name === `${name}.`)!;

/** All that there is to see, one after the other; each is waited for until a replica says so. */
async function happen(group: Group, secure: Secure): Promise<void> {
  const leader = await actor(group);
  const { socket } = leader;
  const lab = (...words: readonly string[]) =>
    mustSay(socket, 'lab', ...words, '--dir', group.lab.directory);
  await sees('all is up and visible', leader, ({ records, origins }) => {
    const isVisible = records.every((r) => r.providers.every((p) => p.stage === 'visible'));
    return isVisible && origins.every((one) => one.health === 'up');
  });
  await mustSay(socket, 'prepare', third, '--reason', 'work');
  await mustSay(socket, 'drill', 'canary');
  await mustSay(socket, 'drill', 'dry', 'tokyo');
  // A finding ends it with 1, which is an answer as well.
  await cli(socket, 'audit');

  secure.limits = true;
  await lab('break', 'vendor', 'route53', '--how', 'hang');
  await mustSay(socket, 'pin', third, '--reason', 'work');
  await lab('break', 'origin', 'hangzhou');
  await sees('one record has moved', leader, (view) => recordIn(view, moved).target === 'tokyo');
  await sees('one asks first', leader, (view) => recordIn(view, asked).approval !== null);
  await sees('an origin limits', leader, ({ origins }) =>
    origins.some((one) => one.name === 'secure' && one.rate.limited !== null),
  );
  await sees('a vendor is stuck', leader, ({ lanes }) =>
    lanes.some(({ provider, state }) => provider === 'r53' && state !== 'ok'),
  );
  await scraped(3);
  // Partly: the vendor that is stuck has not followed.
  const approved = await cli(socket, 'approve', '--all');
  assert.equal(approved.status, 3, approved.out + approved.err);

  const follower = group.replicas.find((one) => one !== leader)!;
  group.cut(follower.name, 'etcd');
  await sees('a replica has no quorum', follower, (view) => view.group?.word === 'no-quorum');
  await scraped(3);
  group.mend();
  await lab('heal');
  await sees('all follows', leader, ({ records }) =>
    records.every((r) => r.providers.every((p) => p.stage === 'visible')),
  );
  await scraped(3);
  await sees('caches hold a short TTL alone', leader, (view) => {
    return recordIn(view, third).prepared?.ready === true;
  });
  await scraped(3);
}

/** Until every replica has been scraped so often again. */
async function scraped(times: number): Promise<void> {
  for (let n = 0; n < times; n++) await pause(1000);
}

// ---------------------------------------------------------------- asking

interface Found {
  readonly status: string;
  readonly error?: string;
  readonly data: unknown;
}

async function ask<T>(
  { url }: ServedPart,
  path: string,
  query: Record<string, string>,
): Promise<T> {
  const asked = await fetch(`${url}/api/v1/${path}?${new URLSearchParams(query)}`);
  const found = (await asked.json()) as Found;
  assert.equal(found.status, 'success', `${path} ${JSON.stringify(query)}: ${found.error}`);
  return found.data as T;
}

interface Panel {
  readonly title: string;
  readonly type: string;
  readonly panels?: readonly Panel[];
  readonly targets?: readonly { readonly expr: string; readonly instant?: boolean }[];
}

/** As Grafana puts in what was chosen: one job, and all of everything else. */
function filled(expr: string): string {
  return expr
    .replaceAll('$__rate_interval', '10s')
    .replaceAll('$__range', '5m')
    .replaceAll('"$job"', '"detour"')
    .replace(/\$(instance|record|provider|origin)\b/g, '.*');
}

type Series = { readonly values?: readonly [number, string][]; readonly value?: [number, string] };

/** How many points that are numbers a query gives, over the time of the test or at its end. */
async function points(prometheus: ServedPart, expr: string, at: At, instant: boolean) {
  const query = filled(expr);
  assert.doesNotMatch(query, /\$/, query);
  const { result } = instant
    ? await ask<{ result: Series[] }>(prometheus, 'query', { query, time: String(at.end) })
    : await ask<{ result: Series[] }>(prometheus, 'query_range', {
        ...{ query, start: String(at.start), end: String(at.end), step: '1' },
      });
  const values = result.flatMap(({ values = [], value }) => (value ? [value] : values));
  return values.filter(([, text]) => text !== 'NaN').length;
}

interface At {
  readonly start: number;
  readonly end: number;
}

async function askAll(prometheus: ServedPart, at: At): Promise<readonly string[]> {
  const dashboard = JSON.parse(readFileSync(join(root, 'deploy/grafana/detour.json'), 'utf8'));
  const top: readonly Panel[] = dashboard.panels;
  const panels = top.flatMap((one) => [one, ...(one.panels ?? [])]);
  const silent: string[] = [];
  let queries = 0;
  const note = async (what: string, expr: string, instant = false) => {
    queries++;
    const count = await points(prometheus, expr, at, instant);
    if (count === 0) silent.push(`${what}: ${expr}`);
  };
  for (const { title, targets = [] } of panels) {
    for (const { expr, instant } of targets) await note(title, expr, instant);
  }
  for (const { name, expr } of dashboard.annotations.list) await note(name, expr);
  let variables = 0;
  for (const { name, type, query } of dashboard.templating.list) {
    if (type !== 'query') continue;
    variables++;
    const [, match, label] = /^label_values\((.+), (\w+)\)$/.exec(filled(query))!;
    const within = { start: String(at.start), end: String(at.end) };
    const found = await ask<string[]>(prometheus, `label/${label}/values`, {
      ...{ 'match[]': match!, ...within },
    });
    if (found.length === 0) silent.push(`$${name}: ${query}`);
  }
  const drawn = panels.filter((one) => one.type !== 'row').length;
  const rows = `${drawn} panels, ${queries} queries, ${variables} variables`;
  process.stdout.write(`${rows}: ${silent.length} without data\n`);
  return silent;
}

/** What the dashboard shows is what has happened: one name waited while it was down, another moved. */
async function told(prometheus: ServedPart, at: At): Promise<void> {
  const most = async (expr: string, by: 'min' | 'max') => {
    const query = `${by}(${by}_over_time((${expr})[10m:1s]))`;
    const of = { query, time: String(at.end) };
    const { result } = await ask<{ result: Series[] }>(prometheus, 'query', of);
    return Number(result[0]?.value?.[1]);
  };
  const up = `detour:record_up:max{record="${asked}"}`;
  assert.deepEqual([await most(up, 'min'), await most(up, 'max')], [0, 1]);
  const { result } = await ask<{ result: Series[] }>(prometheus, 'query', {
    ...{ query: up, time: String(at.end) },
  });
  assert.equal(result[0]?.value?.[1], '1', 'it is well on its new target');
  const moves = `sum(detour_switches_total{record="${moved}",kind="auto"})`;
  assert.equal(await most(moves, 'max'), 1);
  const alert = `ALERTS{alertstate="firing",alertname="DetourSwitched",record="${moved}"}`;
  assert.equal(await most(alert, 'max'), 1);
  // The look itself can fail.
  assert.equal(await points(prometheus, 'detour_record_pinned{record="none"}', at, false), 0);
}

/** Every scrape was taken, as OpenMetrics; every rule could be evaluated. */
async function sound(prometheus: ServedPart): Promise<void> {
  const { activeTargets } = await ask<{
    activeTargets: { health: string; lastError: string }[];
  }>(prometheus, 'targets', {});
  assert.deepEqual(
    activeTargets.map(({ health, lastError }) => `${health}${lastError}`),
    ['up', 'up', 'up'],
  );
  interface Rule {
    readonly name: string;
    readonly health: string;
    readonly lastError?: string;
  }
  const { groups } = await ask<{ groups: { rules: Rule[] }[] }>(prometheus, 'rules', {});
  const rules = groups.flatMap((one) => one.rules);
  assert.ok(rules.length > 30);
  for (const { name, health, lastError } of rules)
    assert.equal(health, 'ok', `${name}: ${lastError}`);
  process.stdout.write(`3 targets up, ${rules.length} rules sound\n`);
}

/** The exemplar of the switch is the id that `detour explain` takes. */
async function explained(prometheus: ServedPart, at: At, group: Group): Promise<void> {
  const found = await ask<{ seriesLabels: Record<string, string>; exemplars: Exemplar[] }[]>(
    prometheus,
    'query_exemplars',
    { query: 'detour_switches_total', start: String(at.start), end: String(at.end) },
  );
  const of = found.find(({ seriesLabels }) => seriesLabels['record'] === moved);
  const id = of?.exemplars.at(-1)?.labels['id'];
  assert.ok(id, `an exemplar of ${moved}: ${JSON.stringify(found)}`);
  const leader = await actor(group);
  const told = await mustSay(leader.socket, 'explain', id);
  assert.ok(told.includes(moved) && told.includes('tokyo'), told);
  process.stdout.write(`an exemplar leads to \`detour explain ${id}\`\n`);
}

interface Exemplar {
  readonly labels: Readonly<Record<string, string>>;
}

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'detour-watching-'));
  let secure: Secure | null = null;
  let group: Group | null = null;
  let prometheus: ServedPart | null = null;
  try {
    group = await startGroup({ roundTrips: [4, 4, 4], records: 3, policy: { objective: '90s' } });
    const { origins } = parse(readFileSync(group.lab.ready.config, 'utf8'));
    const near: string = origins.hangzhou.checks.web.address;
    secure = await openSecure(directory, near.replace(/\d+$/, '22'));
    complete(group, secure);
    for (const replica of group.replicas) replica.start();
    const start = Date.now() / 1000;
    prometheus = await startScraping({
      job: 'detour',
      targets: group.replicas.map((one) => one.listen),
      every: '1s',
      rules: [join(root, 'deploy/prometheus/alerts.yaml')],
    });
    await happen(group, secure);
    const at = { start, end: Date.now() / 1000 };
    process.stdout.write(`watched for ${Math.round(at.end - at.start)} s\n`);
    await sound(prometheus);
    await told(prometheus, at);
    await explained(prometheus, at, group);
    assert.deepEqual(await askAll(prometheus, at), [], 'every query has data');
  } finally {
    await prometheus?.close();
    await group?.close();
    secure?.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

const without = prometheusAbsent() ?? (withoutEtcd || null);
if (without === null) await main();
else {
  process.stdout.write(`skipped: watching: ${without}\n`);
  process.exitCode = process.env['CI'] ? 1 : 0;
}
