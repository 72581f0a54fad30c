// Signed links and the page that they open, over real TLS in front of a stand-in desk: to look does
// nothing whoever looks, the button says one word once, and what was used, has ended or was never signed
// says so and does nothing.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import type { Reply } from '../../src/core/model.ts';
import { createLinker } from '../../src/run/links.ts';
import { type ApiOptions, serveApi } from '../../src/serve/api.ts';
import { type Link, signLink, verifyLink } from '../../src/serve/link.ts';
import { Readers } from '../../src/serve/readers.ts';
import { createTokens } from '../../src/serve/tokens.ts';
import { at, record, type StandIn, standIn, wall } from '../cli/desk.ts';
import { makeCertificate } from '../parts/certificate.ts';

const directory = mkdtempSync(join(tmpdir(), 'detour-link-'));
after(() => rmSync(directory, { recursive: true, force: true }));
const made = makeCertificate(directory, 'one', ['detour.test']);
const skip = made === null ? 'missing: openssl' : false;

const key = Buffer.alloc(32, 1);
const old = Buffer.alloc(32, 2);
const link: Link = {
  id: '00112233aabbccdd',
  channel: 'ops-mail',
  expiresWall: wall + 900_000,
  action: 'approve',
};

let desk: StandIn;
let now: number;
let closing: (() => Promise<void>)[];

beforeEach(() => {
  desk = standIn();
  now = wall;
  closing = [];
  waits(true);
});
afterEach(async () => {
  for (const close of closing) await close();
});

function waits(is: boolean): void {
  const approval = {
    ...{ id: link.id, from: 'hangzhou', to: 'tokyo', why: 'target-down' },
    sentence: 'hangzhou is down on 3 of 3 paths <b>& more</b>',
    ...{ sinceAt: at, expiresAt: at + 900_000, goesAt: null },
  };
  const shown = { ...record(), approval: is ? approval : null };
  desk.view.records = [shown as (typeof desk.view.records)[number]];
}

async function api(more: Partial<ApiOptions> = {}): Promise<number> {
  const generous = { burst: 1e6, perSecond: 1e6 };
  const rate = { each: generous, all: generous };
  const served = await serveApi({
    ...{ host: '127.0.0.1', port: 0, names: ['detour.test.'], version: '1.2.3', desk },
    identity: () => made!,
    tokens: () => createTokens({}),
    links: () => [key, old],
    readers: new Readers(),
    trouble: (what, detail) => assert.fail(`${what}: ${detail}`),
    note: () => {},
    wall: () => now,
    rates: { arrivals: rate, known: rate, refusals: rate },
    ...more,
  });
  closing.push(() => served.close());
  return served.port;
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: NodeJS.Dict<string | string[]>;
}

const form = { 'content-type': 'application/x-www-form-urlencoded' };

function ask(
  port: number,
  method: string,
  token: string,
  body?: string,
  headers: Record<string, string> = body === undefined ? {} : form,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        ...{ host: '127.0.0.1', port, method, path: `/v1/link/${token}`, agent: false },
        ...{ ca: made!.cert, servername: 'detour.test', signal: AbortSignal.timeout(10_000) },
        headers: { host: 'detour.test', ...headers },
      },
      async (response) => {
        let text = '';
        for await (const chunk of response) text += chunk;
        resolve({ status: response.statusCode!, text, headers: response.headers });
      },
    );
    asked.on('error', reject);
    asked.end(body);
  });
}

test('a link is what was signed, until it ends, and nothing else', () => {
  const token = signLink(key, link);
  assert.match(token, /^[\w-]+\.[\w-]+$/);
  assert.deepEqual(verifyLink(key, token, wall), { ok: true, link });
  assert.deepEqual(verifyLink(key, token, link.expiresWall - 1), { ok: true, link });
  assert.deepEqual(verifyLink(key, token, link.expiresWall), { ok: false, why: 'expired' });
  assert.deepEqual(verifyLink(old, token, wall), { ok: false, why: 'unknown' });
  const [said, mac] = token.split('.') as [string, string];
  const other = signLink(key, { ...link, action: 'reject' }).split('.')[0]!;
  const wrong = [
    ...['', '.', said, `${said}.`, `.${mac}`, `${other}.${mac}`, `${said}.${mac.slice(0, -1)}`],
    ...[`${said}.${mac}A`, `${said}.${mac}=`, `${token}.x`, `${said}=.${mac}`, 'x'.repeat(5000)],
  ];
  for (const text of wrong) {
    assert.deepEqual(verifyLink(key, text, wall), { ok: false, why: 'unknown' }, text);
  }
});

test('a notice of a decision leads to its page, by the channel and the word', () => {
  const linker = createLinker('https://detour.test:9443', () => [key, old]);
  const data = { approval: link.id, expiresWall: link.expiresWall };
  const url = linker({ state: 'open', data }, 'ops-mail', 'reject')!;
  assert.ok(url.startsWith('https://detour.test:9443/v1/link/'));
  const verified = verifyLink(key, url.slice(url.lastIndexOf('/') + 1), wall);
  assert.deepEqual(verified, { ok: true, link: { ...link, action: 'reject' } });
  assert.equal(linker({ state: 'closed', data }, 'ops-mail', 'approve'), null);
  for (const none of [null, 'x', [], {}, { approval: 1, expiresWall: 1 }, { approval: 'a' }]) {
    assert.equal(linker({ state: 'open', data: none }, 'ops-mail', 'approve'), null);
  }
});

test('to look at a link shows the decision and does nothing, whoever looks', { skip }, async () => {
  const port = await api();
  const token = signLink(key, link);
  const { status, text, headers } = await ask(port, 'GET', token);
  assert.equal(status, 200);
  for (const part of ['www.gslb.example.net', 'hangzhou', 'tokyo', 'target-down', link.id]) {
    assert.ok(text.includes(part), part);
  }
  assert.ok(text.includes('2026-01-02T03:19:05Z, in 15 min') && text.includes('Approve'));
  assert.ok(text.includes('&lt;b&gt;&amp; more&lt;/b&gt;') && !text.includes('<b>'));
  assert.doesNotMatch(text, /<script|\son\w+=|https?:/i);
  assert.ok(!text.includes(token), 'the page does not bear its own link');
  const csp = String(headers['content-security-policy']);
  assert.match(
    csp,
    /^default-src 'none'; style-src 'sha256-[^']+'; form-action 'self'; base-uri 'none'/,
  );
  assert.match(csp, /frame-ancestors 'none'/);
  assert.deepEqual(
    [headers['referrer-policy'], headers['cache-control'], headers['x-robots-tag']],
    ['no-referrer', 'no-store', 'noindex, nofollow'],
  );
  for (const more of [{ 'sec-purpose': 'prefetch;prerender' }, { purpose: 'prefetch' }]) {
    assert.equal((await ask(port, 'GET', token, undefined, more)).status, 200);
  }
  const head = await ask(port, 'HEAD', token);
  assert.deepEqual([head.status, head.text], [200, '']);
  for (const method of ['PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
    assert.equal((await ask(port, method, token)).status, 405);
  }
  assert.equal((await ask(port, 'GET', `${token}?press=yes`)).status, 200);
  assert.deepEqual(desk.commands, []);
});

test('the button says the word once, by the channel of its link', { skip }, async () => {
  const port = await api();
  const token = signLink(key, link);
  const both = await Promise.all([
    ask(port, 'POST', token, 'press=yes'),
    ask(port, 'POST', token, 'press=yes'),
  ]);
  assert.deepEqual(both.map(({ status }) => status).toSorted(), [200, 410]);
  assert.match(both.find(({ status }) => status === 200)!.text, /<h1>Approved<\/h1>/);
  const by = 'link of channel ops-mail';
  assert.deepEqual(desk.commands, [{ kind: 'approve', id: link.id, by, link: 'ops-mail' }]);
  assert.match((await ask(port, 'POST', token, 'press=yes')).text, /This link was used/);
  assert.match((await ask(port, 'GET', token)).text, /This link was used/);
  // Another link to the same decision is no second word.
  const reject = signLink(key, { ...link, action: 'reject' });
  assert.equal((await ask(port, 'POST', reject, 'press=yes')).status, 410);
  assert.equal(desk.commands.length, 1);
});

test('a link may be signed with a key that is being replaced, and say no', { skip }, async () => {
  const port = await api();
  const token = signLink(old, { ...link, action: 'reject' });
  assert.match((await ask(port, 'GET', token)).text, /<button>Reject<\/button>/);
  assert.match((await ask(port, 'POST', token, 'press=yes')).text, /<h1>Rejected<\/h1>/);
  assert.equal(desk.commands[0]!.kind, 'reject');
});

test('what is no press of the button does nothing', { skip }, async () => {
  const port = await api();
  const token = signLink(key, link);
  const status = async (body: string, headers?: Record<string, string>) =>
    (await ask(port, 'POST', token, body, headers)).status;
  assert.equal(await status(''), 400);
  assert.equal(await status('press=no'), 400);
  assert.equal(await status('press=yes&press=yes'), 400);
  assert.equal(await status('press=yes&x=1'), 400);
  assert.equal(await status('press=yes', { 'content-type': 'text/plain' }), 415);
  assert.equal(await status(`press=yes&x=${'x'.repeat(3000)}`), 413);
  assert.equal(await status('press=yes', { ...form, host: 'evil.test' }), 421);
  assert.deepEqual(desk.commands, []);
});

test('a link that has ended, was never signed or waits no longer says so', { skip }, async () => {
  const port = await api();
  const token = signLink(key, link);
  for (const method of ['GET', 'POST']) {
    const body = method === 'POST' ? 'press=yes' : undefined;
    const forged = await ask(port, method, signLink(Buffer.alloc(32, 3), link), body);
    assert.equal(forged.status, 404);
    assert.match(forged.text, /No such link/);
    assert.equal((await ask(port, method, 'nonsense', body)).status, 404);
  }
  waits(false);
  assert.match((await ask(port, 'GET', token)).text, /waits no longer/);
  waits(true);
  now = link.expiresWall;
  for (const method of ['GET', 'POST']) {
    const late = await ask(port, method, token, method === 'POST' ? 'press=yes' : undefined);
    assert.equal(late.status, 410);
    assert.match(late.text, /has ended/);
  }
  assert.deepEqual(desk.commands, []);
});

test('a word that was refused may be said again, one that is not known of may not', {
  skip,
}, async () => {
  const port = await api({ commandMs: 50 });
  const token = signLink(key, link);
  desk.reply = () => ({ exit: 1, message: 'tokyo is not up' });
  const refused = await ask(port, 'POST', token, 'press=yes');
  assert.equal(refused.status, 409);
  assert.match(refused.text, /Not done.*tokyo is not up/s);
  const { promise, resolve } = Promise.withResolvers<Reply>();
  desk.reply = () => promise;
  assert.match((await ask(port, 'POST', token, 'press=yes')).text, /may still be carried out/);
  assert.match((await ask(port, 'POST', token, 'press=yes')).text, /This link was used/);
  assert.equal(desk.commands.length, 2);
  resolve({ exit: 0, message: 'done' });
});

test('links are opened at a bounded rate', { skip }, async () => {
  const rate = (burst: number) => ({ burst, perSecond: 0.001 });
  const [each, all] = [rate(1e6), rate(1e6)];
  const refusals = { each: rate(3), all: rate(100) };
  const port = await api({ rates: { arrivals: { each, all }, known: { each, all }, refusals } });
  const statuses: number[] = [];
  for (let i = 0; i < 5; i++) statuses.push((await ask(port, 'GET', signLink(key, link))).status);
  assert.deepEqual(statuses, [200, 200, 200, 429, 429]);
});

test('without links there is no such page', { skip }, async () => {
  const port = await api({ links: null });
  assert.equal((await ask(port, 'GET', signLink(key, link))).status, 401);
});
