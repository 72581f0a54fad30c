// Whom TLS trusts and until when: real chains made by openssl for the moment. What counts is the
// chain that was verified, a bundle that is not whole is never the origin's fault, and neither is a
// clock of ours that is wrong.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { OthersClock, othersClock } from '../../src/probes/clock.ts';
import { checkTypes, createProber, fileProblems } from '../../src/probes/index.ts';
import { createCertificates, until, withServer, words } from '../parts/listening.ts';

const { scratch, certificate, remove } = createCertificates();
after(remove);
const at = (file: string) => join(scratch, file);
const openssl = (...args: string[]) =>
  execFileSync('openssl', args, { cwd: scratch, stdio: ['ignore', 'pipe', 'pipe'] });
const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** A root of its own. */
function root(name: string, days: number): void {
  const files = ['-keyout', `${name}.key`, '-out', `${name}.pem`];
  openssl('req', '-x509', ...curve, ...files, '-subj', `/CN=${name}`, '-days', String(days));
}

/** A certificate by an issuer, over a key that is made or was made before. */
function issue(file: string, name: string, by: string, days: number, extension: string): void {
  const key = `${name}.key`;
  writeFileSync(at(`${file}.ext`), extension);
  const made = file === name ? [...curve, '-keyout', key] : ['-key', key];
  openssl('req', '-new', ...made, '-out', `${file}.csr`, '-subj', `/CN=${name}`);
  const issuer = ['-CA', `${by}.pem`, '-CAkey', `${by}.key`, '-CAcreateserial'];
  const own = ['-in', `${file}.csr`, '-out', `${file}.pem`, '-extfile', `${file}.ext`];
  openssl('x509', '-req', ...own, ...issuer, '-days', String(days));
}

const isCa = 'basicConstraints=critical,CA:TRUE';
root('root', 400);
root('old', 300);
issue('mid', 'mid', 'root', 5, isCa);
issue('long', 'long', 'root', 200, isCa);
issue('leaf', 'leaf', 'mid', 60, 'subjectAltName=DNS:www.shop.test');
issue('other', 'other', 'long', 60, 'subjectAltName=DNS:www.shop.test');
// The root once more, signed by an older one for two days: sent along, needed by nobody.
issue('cross', 'root', 'old', 2, isCa);
const pem = (...names: string[]) => names.map((name) => readFileSync(at(`${name}.pem`))).join('');
const key = (name: string) => readFileSync(at(`${name}.key`));

const path = { name: 'line', kind: 'direct', resolver: null, localAddress: null } as const;

async function ask(kind: string, configured: Record<string, unknown>) {
  const settings = checkTypes[kind]!.settings.parse(configured);
  const prober = createProber({ c: { kind, settings, timeoutMs: 10_000 } }, { line: path });
  try {
    return await prober.probe('c', 'line', new AbortController().signal);
  } finally {
    prober.close();
  }
}

const asks = (port: number, ca: string, days: number) => {
  const expect = { certificateDays: days };
  const to = { host: 'www.shop.test', address: '127.0.0.1' };
  return [
    ['http', { http: `https://www.shop.test:${port}/`, address: to.address, ca, expect }],
    ['tls', { tls: `www.shop.test:${port}`, address: to.address, ca, expect }],
  ] as const;
};

// First in this file: the servers of the other tests say what time it is.
test("a certificate out of its time is the origin's fault only by a clock that is right", async () => {
  const early = certificate('early', 'DNS:www.shop.test', 1, 30);
  const late = certificate('late', 'DNS:www.shop.test', -30, -1);
  const say = async (tls: typeof early) => {
    const found: string[] = [];
    await withServer(
      createServer(tls, (_, response) => response.end()),
      async (port) => {
        for (const [kind, settings] of asks(port, tls.ca, 1)) {
          found.push(words(await ask(kind, settings)));
        }
      },
    );
    return found;
  };
  const others = (offMs: number) => {
    for (let i = 0; i < 16; i += 1) {
      const date = new Date(Date.now() + offMs).toUTCString();
      othersClock.note(`host${i}`, date, null, Date.now(), performance.now());
    }
  };
  // Nobody has said what time it is.
  assert.deepEqual(await say(early), ['blind clock', 'blind clock']);
  assert.deepEqual(await say(late), ['fail tls', 'fail tls']);
  others(0);
  assert.deepEqual(await say(early), ['fail tls', 'fail tls']);
  assert.deepEqual(await say(late), ['fail tls', 'fail tls']);
  for (const offMs of [40 * 86_400_000, -40 * 86_400_000]) {
    others(offMs);
    assert.deepEqual(await say(early), ['blind clock', 'blind clock']);
    assert.deepEqual(await say(late), ['blind clock', 'blind clock']);
  }
  const soon = certificate('soon', 'DNS:www.shop.test', -30, 0.5);
  assert.deepEqual(await say(soon), ['blind clock', 'blind clock'], 'days are counted by a clock');
  others(0);
  assert.deepEqual(await say(soon), ['fail certificate-days', 'fail certificate-days']);
});

test('the days left are those of the shortest certificate of the verified chain', async () => {
  const short = { key: key('leaf'), cert: pem('leaf', 'mid') };
  await withServer(
    createServer(short, (_, response) => response.end()),
    async (port) => {
      for (const [kind, settings] of asks(port, at('root.pem'), 14)) {
        const result = await ask(kind, settings);
        assert.equal(words(result), 'fail certificate-days', `${kind}: ${result.detail}`);
        assert.equal(result.certificateDays, 4);
      }
      for (const [kind, settings] of asks(port, at('root.pem'), 3)) {
        assert.equal(words(await ask(kind, settings)), 'pass ok');
      }
    },
  );
  const crossed = { key: key('other'), cert: pem('other', 'long', 'cross') };
  await withServer(
    createServer(crossed, (_, response) => response.end()),
    async (port) => {
      for (const [kind, settings] of asks(port, at('root.pem'), 14)) {
        const result = await ask(kind, settings);
        assert.equal(words(result), 'pass ok', `${kind}: ${result.detail}`);
        assert.equal(result.certificateDays, 59, 'a cross-sign that nobody needs does not count');
      }
      // Whoever trusts the older root alone does need it.
      for (const [kind, settings] of asks(port, at('old.pem'), 14)) {
        const result = await ask(kind, settings);
        assert.equal(words(result), 'fail certificate-days', `${kind}: ${result.detail}`);
        assert.equal(result.certificateDays, 1);
      }
    },
  );
});

test("a bundle that is not whole is refused beforehand, and is never the origin's fault", async () => {
  const well = { key: key('other'), cert: pem('other', 'long') };
  const good = readFileSync(at('root.pem'), 'utf8');
  const damaged = good.replace(/\n.{10}/, '\nAAAAAAAAAA');
  const cases: [string, string | null, RegExp][] = [
    ['empty', '', /no PEM certificate in it/],
    ['garbage', 'what is this?\n', /no PEM certificate in it/],
    ['a key', key('root').toString(), /no PEM certificate in it/],
    ['cut', good.slice(0, 200), /a certificate in it is cut off/],
    ['cut in its second', `${good}${good.slice(0, 200)}`, /a certificate in it is cut off/],
    ['damaged', `${good}${damaged}`, /certificate 2 in it is damaged/],
    ['absent', null, /it is not there; give/],
  ];
  await withServer(
    createServer(well, (_, response) => response.end()),
    async (port) => {
      for (const [what, text, problem] of cases) {
        const ca = at(`bundle-${what.replaceAll(' ', '-')}.pem`);
        if (text !== null) writeFileSync(ca, text);
        for (const [kind, settings] of asks(port, ca, 1)) {
          const parsed = checkTypes[kind]!.settings.parse(settings);
          const spec = { kind, settings: parsed, timeoutMs: 100 };
          const [found, ...more] = fileProblems({ 'o/web': spec });
          assert.match(found!.text, problem, what);
          assert.equal(found!.isAbsent, what === 'absent');
          assert.match(found!.text, /^check o\/web: ca .*; give a readable file of whole PEM/);
          assert.deepEqual(more, []);
          const result = await ask(kind, settings);
          assert.equal(result.outcome, 'blind', `${what}: ${result.detail}`);
          assert.match(result.detail, problem);
        }
      }
      const spec = { kind: 'http', settings: { ca: at('root.pem') }, timeoutMs: 100 };
      assert.deepEqual(fileProblems({ 'o/web': spec }), []);
    },
  );
});

test('a bundle is read again when it has changed', async () => {
  const well = { key: key('other'), cert: pem('other', 'long') };
  const ca = at('changing.pem');
  await withServer(
    createServer(well, (_, response) => response.end()),
    async (port) => {
      const is = (word: string) => async () => words(await ask(...asks(port, ca, 1)[0]!)) === word;
      writeFileSync(ca, pem('root'));
      await until(is('pass ok'), 'it is trusted');
      writeFileSync(ca, pem('old'));
      await until(is('fail tls'), 'a root that was taken away is trusted no more');
      rmSync(ca);
      await until(is('blind internal'), 'the bundle is gone');
      writeFileSync(ca, pem('old', 'root'));
      await until(is('pass ok'), 'it is trusted again');
    },
  );
});

test('what others say of the time: two at least, the middle one, by what a cache adds', () => {
  const clock = new OthersClock();
  const date = (ms: number) => new Date(ms).toUTCString();
  clock.note('a', 'no date', null, 0, 0);
  clock.note('b', null, null, 0, 0);
  clock.note('c', date(900_000), null, 0, 0);
  assert.equal(clock.offMs(0), null, 'one alone may be wrong itself');
  clock.note('d', date(0), '5', 0, 0);
  clock.note('e', date(6000), null, 0, 0);
  assert.equal(clock.offMs(0), 6000);
  assert.equal(clock.offMs(599_999), 6000);
  assert.equal(clock.offMs(600_000), null, 'it was too long ago');
});
