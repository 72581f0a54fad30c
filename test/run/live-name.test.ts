// A name that people use comes behind Detour, as docs/live-name.md says it: the second name is made, observed,
// led to, adopted and moved, by the built program before the lab's vendors. Clients follow the name that they
// type from the root all the while, past every cache: none of them is ever led nowhere. Conditions decide,
// never times.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { createResolver } from '../../src/dns/resolver.ts';
import { type Lab, startLab } from '../../src/lab/lab.ts';
import { labSettings, writeSettings } from '../../src/lab/shell/settings.ts';
import { status } from '../parts/daemon.ts';
import { collect, main, startDaemon, stopChild, until } from '../parts/program.ts';

const steered = 'www.gslb.example.net';
const typed = 'www.users.example';
const boundMs = 60_000;

/** Follows the name that people type, from the root, until it is told to end. */
function clients(lab: Lab) {
  const state = { on: true, wrong: [] as string[], ends: new Map<string, number>() };
  const { signal } = new AbortController();
  const follow = async () => {
    while (state.on) {
      const resolver = createResolver({
        ...{ roots: lab.roots, port: lab.dnsPort, timeoutMs: 2000 },
        clock: { now: () => performance.now() },
      });
      const answer = await resolver.chain(`${typed}.`, signal);
      resolver.close();
      const end = answer.kind === 'answered' ? (answer.chain.at(-1) ?? 'nothing') : answer.kind;
      state.ends.set(end, (state.ends.get(end) ?? 0) + 1);
      await pause(5);
      if (!/^(hz|nrt)\.shop\.example\.$/.test(end)) state.wrong.push(JSON.stringify(answer));
    }
  };
  const all = [follow(), follow()];
  const stop = async () => {
    state.on = false;
    await Promise.all(all);
  };
  return { state, stop };
}

test('a live name comes behind Detour, is moved and comes back, and no client is led nowhere', async (t) => {
  const home = mkdtempSync(join(tmpdir(), 'detour-live-'));
  const lab = await startLab({
    quotas: 'off',
    zones: [{ name: 'users.example', records: { www: ['hangzhou', 'tokyo'] } }],
  });
  t.after(async () => {
    await lab.close();
    rmSync(home, { recursive: true, force: true });
  });
  const { cloudflare, route53, alidns } = lab.vendors;
  const vendors = [cloudflare, route53, alidns];
  const place = { directory: home, socket: join(home, 's'), listenPort: 9 };
  writeSettings(labSettings(lab, place), home);

  // Today: what people type leads to Hangzhou, and the second name is nowhere.
  for (const vendor of vendors) {
    vendor.edit(typed, 'CNAME', 'hz.shop.example.', 60);
    vendor.edit(steered, 'CNAME', null);
  }
  const people = clients(lab);
  t.after(people.stop);
  const saw = (end: string) => (people.state.ends.get(`${end}.shop.example.`) ?? 0) > 0;
  await until('people are led to Hangzhou', boundMs, () => saw('hz'));

  // Step 2: today's answer, by hand, at each vendor.
  for (const vendor of vendors) vendor.edit(steered, 'CNAME', 'hz.shop.example.', 60);

  // Step 4: observe.
  const config = join(home, 'first.yaml');
  const socket = join(home, 'state', 'control.sock');
  const detour = async (...words: readonly string[]) => {
    const env = { ...process.env, DETOUR_SOCKET: socket };
    const child = spawn(process.execPath, [main, ...words], { env, timeout: boundMs });
    const said = collect(child);
    const [code] = await once(child, 'exit');
    assert.equal(code, 0, `${words.join(' ')}: ${said.out()}${said.err()}`);
  };
  const secret = (name: string) => `file:${join(home, 'secrets', name)}`;
  await detour(
    ...['init', steered, '--cluster', 'live', '-o', config],
    ...['--key', join(home, 'first.key'), '--state', join(home, 'state')],
    ...['--roots', lab.roots[0]!, '--dns-port', String(lab.dnsPort)],
    ...['--target', 'hangzhou@aliyun=hz.shop.example', '--target', 'tokyo@aws=nrt.shop.example'],
    ...['--provider', `cf=cloudflare,apiToken=${secret('cf-token')},endpoint=${cloudflare.api}`],
    ...['--provider', `r53=route53,credentials=${secret('aws.json')},endpoint=${route53.api}`],
    ...['--provider', aliAccount(secret, alidns.api)],
  );
  const addressOf = (name: string) => lab.origins.find((one) => one.name === name)!;
  let text = readFileSync(config, 'utf8');
  for (const [host, name] of [
    ['hz', 'hangzhou'],
    ['nrt', 'tokyo'],
  ] as const) {
    const { address, port } = addressOf(name);
    const check = `{ http: "http://${host}.shop.example:${port}/healthz", address: "${address}" }`;
    text = text.replace(`http: "https://${host}.shop.example/"`, check);
  }
  text += 'listen: off\n';
  writeFileSync(config, text);
  const daemon = startDaemon(config);
  t.after(() => stopChild(daemon.child));
  const record = async () => (await status(socket))?.records[0];
  await until('it observes', boundMs, async () => (await record())?.target === 'hangzhou');
  const markers = () =>
    vendors.filter((vendor) =>
      vendor
        .zone('gslb.example.net')
        .rrsets()
        .some(({ name }) => name === `_detour.${steered}.`),
    ).length;
  assert.equal(markers(), 0, 'observed, nothing is written');

  // Step 5: what people type leads to the second name, at one vendor after the other.
  for (const vendor of vendors) vendor.edit(typed, 'CNAME', `${steered}.`, 60);

  // Step 6: it may write.
  writeFileSync(config, text.replace('mode: observe', 'mode: approve'));
  await detour('reload');
  // What was only observed is visible, too: the markers tell.
  await until('it bears a marker at every vendor', boundMs, () => markers() === vendors.length);
  await until('it is visible at every vendor', boundMs, async () => {
    const all = (await record())?.providers ?? [];
    return all.length === vendors.length && all.every(({ stage }) => stage === 'visible');
  });

  // Step 7: moved on purpose, and back.
  const isUp = async () =>
    (await record())?.targets.every(({ health }) => health === 'up') ?? false;
  await until('both targets are up', boundMs, isUp);
  people.state.ends.clear();
  await detour('switch', steered, 'tokyo', '--reason', 'first move', '--for', '10m');
  await until('people are led to Tokyo', boundMs, () => saw('nrt'));
  people.state.ends.clear();
  await until('both targets are up', boundMs, isUp);
  await detour('switch', steered, 'hangzhou', '--reason', 'and back', '--for', '10m');
  await until('people are back in Hangzhou', boundMs, () => saw('hz'));
  await people.stop();
  assert.deepEqual(people.state.wrong, []);
});

function aliAccount(secret: (name: string) => string, api: string): string {
  const keys = `accessKeyId=${secret('ali-key-id')},accessKeySecret=${secret('ali-key-secret')}`;
  return `ali=alidns,${keys},endpoint=${api}`;
}
