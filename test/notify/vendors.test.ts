// Each ready template against a stand-in for its vendor, over real HTTP: it takes only what the vendor's
// pages say it takes (they are named in src/notify/ready.ts), checks the signature with code of its own,
// and answers as the vendor does. Then our own webhook, and templates of the user's.

import assert from 'node:assert/strict';
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer as createHttp, type IncomingMessage } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import type { Json } from '../../src/core/model.ts';
import type { Told } from '../../src/kit/extend.ts';
import type { SecretRef } from '../../src/kit/schema.ts';
import { SecretError } from '../../src/kit/secret.ts';
import { fill, readTemplate, valuesOf } from '../../src/notify/template.ts';
import { webhook } from '../../src/notify/webhook.ts';
import { closedPort, createCertificates, withServer } from '../parts/listening.ts';
import { toldOf } from '../parts/told.ts';

const wall = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const key = 'SECsesame-swordfish';
const calm = () => new AbortController().signal;

interface Asked {
  readonly url: URL;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

interface Answer {
  readonly status?: number;
  readonly body: string;
  readonly headers?: Record<string, string>;
}

/** A vendor that answers each request as `answer` says. */
function vendor(answer: (asked: Asked) => Answer) {
  return createHttp((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      body += part;
    });
    request.on('end', () => {
      assert.equal(request.method, 'POST');
      const url = new URL(request.url!, 'http://vendor.test');
      const {
        status = 200,
        body: text,
        headers = {},
      } = answer({ url, headers: request.headers, body });
      response.writeHead(status, headers).end(text);
    });
  });
}

/** Tells one notice by a webhook with these settings; secrets are what they are called. */
async function tell(settings: object, told: Told, secrets: Record<string, string>): Promise<void> {
  const read = webhook.settings.safeParse({ webhook: settings });
  assert.ok(read.success, JSON.stringify(read.error?.issues));
  const secret = (ref: SecretRef) => {
    const value = secrets[Object.values(ref)[0] as string];
    if (value === undefined) throw new SecretError('not there');
    return value;
  };
  await webhook.create(read.data, { secret, wall: () => wall }).notify(told, calm());
}

/** What a vendor takes: throws where a message is not in its documented form. */
const forms: Readonly<Record<string, (asked: Asked) => Answer>> = {
  slack({ url, headers, body }) {
    assert.equal(url.pathname, '/services/T0/B0/sesame');
    assert.match(headers['content-type']!, /^application\/json/);
    const { text, blocks, ...rest } = JSON.parse(body);
    assert.deepEqual(rest, {});
    assert.match(text, /^🔴 \[shop\] page: www\.gslb\.example\.net: /);
    assert.ok(!/<b>|& /.test(text) && text.includes('&lt;b&gt;'), 'escaped as its page says');
    assert.ok(blocks.length >= 3 && blocks.length <= 50);
    for (const block of blocks) {
      assert.match(block.type, /^(header|section|context)$/);
      if (block.type === 'header') {
        assert.equal(block.text.type, 'plain_text');
        assert.ok(block.text.text.length <= 150);
      }
      if (block.type === 'section') assert.ok(block.text.text.length <= 3000);
    }
    return { body: 'ok' };
  },
  dingtalk({ url, body }) {
    assert.equal(url.searchParams.get('access_token'), 'sesame');
    const timestamp = url.searchParams.get('timestamp')!;
    assert.match(timestamp, /^\d{13}$/, 'milliseconds');
    const hmac = createHmac('sha256', key).update(`${timestamp}\n${key}`, 'utf8').digest('base64');
    // What stands in the address is encoded: + and / would be something else.
    assert.ok(url.search.includes(`sign=${encodeURIComponent(hmac)}`), url.search);
    const message = JSON.parse(body);
    assert.deepEqual(Object.keys(message), ['msgtype', 'text']);
    assert.equal(message.msgtype, 'text');
    assert.ok(Buffer.byteLength(body) <= 20_000);
    assert.match(message.text.content, /detour explain stay\/www/);
    return { body: '{"errcode":0,"errmsg":"ok"}' };
  },
  feishu({ url, body }) {
    assert.equal(url.pathname, '/open-apis/bot/v2/hook/sesame');
    const { timestamp, sign, msg_type, card, ...rest } = JSON.parse(body);
    assert.deepEqual(rest, {});
    assert.match(timestamp, /^\d{10}$/, 'seconds, as a text');
    const own = createHmac('sha256', `${timestamp}\n${key}`).digest('base64');
    assert.equal(sign, own, 'the time and the key are the key, and nothing is signed');
    assert.equal(msg_type, 'interactive');
    assert.match(card.header.template, /^(red|orange|blue|green)$/);
    assert.equal(card.header.title.tag, 'plain_text');
    for (const element of card.elements) assert.match(element.tag, /^(div|note|action)$/);
    assert.ok(Buffer.byteLength(body) <= 20_480);
    return { body: '{"code":0,"msg":"success","data":{},"StatusCode":0}' };
  },
  wecom({ url, body }) {
    assert.equal(url.searchParams.get('key'), 'sesame');
    const message = JSON.parse(body);
    assert.deepEqual(Object.keys(message), ['msgtype', 'text']);
    assert.ok(Buffer.byteLength(message.text.content) <= 2048);
    return { body: '{"errcode":0,"errmsg":"ok"}' };
  },
  pagerduty({ body }) {
    const event = JSON.parse(body);
    const { routing_key, event_action, dedup_key, payload, links, client, client_url } = event;
    assert.equal(routing_key, key);
    assert.match(event_action, /^(trigger|resolve)$/);
    assert.ok(dedup_key.length > 0 && dedup_key.length <= 255);
    assert.ok(payload.summary.length > 0 && payload.summary.length <= 1024);
    assert.ok(payload.source.length > 0);
    assert.match(payload.severity, /^(critical|error|warning|info)$/);
    assert.ok(!Number.isNaN(Date.parse(payload.timestamp)));
    assert.equal(client, 'Detour');
    if (client_url !== undefined) assert.match(client_url, /^https:/);
    for (const { href, text } of links) assert.ok(/^https:/.test(href) && text.length > 0);
    return { status: 202, body: `{"status":"success","message":"ok","dedup_key":"${dedup_key}"}` };
  },
};

const paths: Readonly<Record<string, string>> = {
  slack: '/services/T0/B0/sesame',
  dingtalk: '/robot/send?access_token=sesame',
  feishu: '/open-apis/bot/v2/hook/sesame',
  wecom: '/cgi-bin/webhook/send?key=sesame',
  pagerduty: '/v2/enqueue',
};

/** How a vendor says no, and what we make of it. */
const refusals: readonly (readonly [template: string, Answer, RegExp, final: boolean])[] = [
  ['slack', { status: 404, body: 'no_service' }, /^status 404$/, true],
  ['slack', { status: 429, body: '', headers: { 'retry-after': '7' } }, /^status 429$/, false],
  ['slack', { body: 'invalid_token' }, /not ok/, false],
  ['dingtalk', { body: '{"errcode":310000,"errmsg":"sign not match"}' }, /code 310000: key/, true],
  ['dingtalk', { body: '{"errcode":130101,"errmsg":"too fast"}' }, /too many/, false],
  ['dingtalk', { body: 'sesame' }, /without the code/, false],
  ['feishu', { body: '{"code":19021,"msg":"sign match fail"}' }, /code 19021: the sig/, true],
  ['feishu', { body: '{"code":11232,"msg":"frequency limited"}' }, /too many/, false],
  ['wecom', { body: '{"errcode":93000,"errmsg":"invalid webhook url"}' }, /code 93000/, true],
  ['wecom', { body: '{"errcode":45009,"errmsg":"api freq out of limit"}' }, /too many/, false],
  ['pagerduty', { status: 400, body: '{"status":"invalid event"}' }, /status 400/, true],
  ['pagerduty', { status: 500, body: '' }, /status 500/, false],
];

function settingsOf(template: string, port: number) {
  const url = `http://127.0.0.1:${port}${paths[template]}`;
  return {
    settings: { template, url: { file: '/url' }, secret: { file: '/key' } },
    secrets: { '/url': url, '/key': key },
  };
}

describe('vendors', () => {
  const long = 'x'.repeat(5000);
  const said: readonly Told[] = [
    toldOf(),
    toldOf({ state: 'closed', kind: 'recovered' }),
    toldOf({ severity: 'warn', record: null, key: 'store', link: 'https://d.test/v1/history' }),
    toldOf({ state: 'news', severity: 'info', kind: 'switch', sentence: long, data: { long } }),
    toldOf({ approve: 'https://d.test/v1/link/a', reject: 'https://d.test/v1/link/b' }),
  ];

  for (const [template, form] of Object.entries(forms)) {
    test(`${template} takes whatever is told`, async () => {
      const bodies: string[] = [];
      let wrong: unknown = null;
      const server = vendor((asked) => {
        try {
          const isFirst = bodies.push(asked.body) === 1;
          if (isFirst || template !== 'slack') return form(asked);
          return { body: 'ok' };
        } catch (error) {
          wrong = error;
          return { status: 400, body: '' };
        }
      });
      await withServer(server, async (port) => {
        const { settings, secrets } = settingsOf(template, port);
        for (const told of said) {
          await tell(settings, told, secrets).catch((error: unknown) => {
            throw wrong ?? error;
          });
        }
      });
      assert.equal(bodies.length, said.length);
      assert.ok(bodies[4]!.includes('https://d.test/v1/link/a'), 'an approval can be answered');
      assert.ok(!bodies[0]!.includes('link/'), 'and what is none has no link');
      if (template === 'pagerduty') {
        const [open, closed] = bodies.map((body) => JSON.parse(body));
        assert.deepEqual([open.event_action, closed.event_action], ['trigger', 'resolve']);
        assert.equal(open.dedup_key, closed.dedup_key, 'one key opens and closes');
      }
    });
  }

  test('what a vendor answers is understood, and none of its words is shown', async () => {
    for (const [template, answer, why, isFinal] of refusals) {
      await withServer(
        vendor(() => answer),
        async (port) => {
          const { settings, secrets } = settingsOf(template, port);
          await assert.rejects(tell(settings, toldOf(), secrets), (error: Error) => {
            assert.match(error.message, why);
            assert.equal((error as { isFinal?: boolean }).isFinal, isFinal, error.message);
            assert.ok(!/sesame|127\.0|match fail|no_service/.test(error.message), error.message);
            return true;
          });
        },
      );
    }
  });

  test('nobody there, a hang and a redirect are said without a letter of the address', async () => {
    const port = await closedPort();
    const { settings, secrets } = settingsOf('slack', port);
    await assert.rejects(tell(settings, toldOf(), secrets), {
      message: 'not reached: ECONNREFUSED',
    });
    await withServer(
      createHttp(() => {}),
      async (silent) => {
        const hanging = settingsOf('slack', silent);
        const limited = { ...hanging.settings, timeout: '100ms' };
        const why = { message: 'no answer within 100 ms' };
        await assert.rejects(tell(limited, toldOf(), hanging.secrets), why);
      },
    );
    await withServer(
      vendor(() => ({ status: 302, body: '', headers: { location: 'http://sesame.test/' } })),
      async (elsewhere) => {
        const moved = settingsOf('slack', elsewhere);
        const why = { message: 'status 302, and redirects are not followed' };
        await assert.rejects(tell(moved.settings, toldOf(), moved.secrets), why);
      },
    );
  });
});

describe('webhooks', () => {
  const certs = createCertificates();
  after(() => certs.remove());

  /** What a receiver does, by the specification's page: id, time and body, and no older than 5 min. */
  function verify({ headers, body }: Asked, secret: Buffer, now: number): boolean {
    const id = headers['webhook-id'] as string;
    const time = headers['webhook-timestamp'] as string;
    if (Math.abs(now / 1000 - Number(time)) > 300) return false;
    const own = createHmac('sha256', secret).update(`${id}.${time}.${body}`).digest();
    return String(headers['webhook-signature'])
      .split(' ')
      .some((one) => {
        const theirs = Buffer.from(one.replace(/^v1,/, ''), 'base64');
        return theirs.length === own.length && timingSafeEqual(theirs, own);
      });
  }

  test('the notice as JSON, signed over its id, its time and its body', async () => {
    const asked: Asked[] = [];
    const server = vendor((one) => {
      asked.push(one);
      return { body: '' };
    });
    const raw = Buffer.from('thirty-two bytes of a secret key');
    await withServer(server, async (port) => {
      const url = `http://127.0.0.1:${port}/hook`;
      const headers = { 'X-Team': 'a', Authorization: { file: '/token' } };
      for (const secret of ['plain', `whsec_${raw.toString('base64')}`]) {
        const settings = { url, secret: { file: '/key' }, headers };
        await tell(settings, toldOf(), { '/key': secret, '/token': 'Bearer x' });
      }
    });
    const [plain, whsec] = asked as [Asked, Asked];
    assert.deepEqual(JSON.parse(plain.body), JSON.parse(JSON.stringify(toldOf())));
    assert.equal(plain.headers['x-team'], 'a');
    assert.equal(plain.headers.authorization, 'Bearer x');
    assert.ok(verify(plain, Buffer.from('plain'), wall));
    assert.ok(verify(whsec, raw, wall));
    const moved = { ...plain.headers, 'webhook-timestamp': String(Math.floor(wall / 1000) + 60) };
    assert.ok(!verify({ ...plain, headers: moved }, Buffer.from('plain'), wall), 'time is signed');
    assert.ok(!verify(plain, Buffer.from('plain'), wall + 301_000), 'what is old is refused');
    const other = { ...plain.headers, 'webhook-id': 'msg_2' };
    assert.ok(!verify({ ...plain, headers: other }, Buffer.from('plain'), wall), 'so is its id');
  });

  test('a certificate that nobody vouches for is refused', async () => {
    const { key: tlsKey, cert, ca } = certs.certificate('hook', 'IP:127.0.0.1', -1, 10);
    let served = 0;
    const server = createHttps({ key: tlsKey, cert }, (request, response) => {
      served++;
      request.resume();
      response.end('');
    });
    await withServer(server, async (port) => {
      const url = `https://127.0.0.1:${port}/`;
      await assert.rejects(tell({ url }, toldOf(), {}), /not reached: \w*SIGNED\w*/);
      assert.equal(served, 0, 'nothing was sent');
      await tell({ url, ca }, toldOf(), { [ca]: String(cert) });
      assert.equal(served, 1);
    });
  });

  test('a key goes over no line that anybody may read, and stands nowhere in the settings', () => {
    const read = (settings: object) => webhook.settings.safeParse({ webhook: settings });
    for (const template of ['slack', 'dingtalk', 'feishu', 'wecom']) {
      const said = read({ template, url: 'https://hooks.test/sesame' });
      assert.match(JSON.stringify(said.error?.issues), /is a key at/);
      assert.doesNotMatch(JSON.stringify(said.error?.issues), /sesame/);
    }
    assert.match(JSON.stringify(read({ template: 'pagerduty' }).error?.issues), /integration key/);
    assert.match(JSON.stringify(read({}).error?.issues), /is missing/);
    const { data } = read({ url: { file: '/u' } });
    const open = () =>
      webhook.create(data!, { secret: () => 'http://hooks.test/x', wall: () => 0 });
    assert.throws(open, { message: /plain http, which would show its key/ });
    const none = () => webhook.create(data!, { secret: () => 'sesame', wall: () => 0 });
    assert.throws(none, (e: Error) => e instanceof SecretError && !e.message.includes('sesame'));
  });
});

describe('templates', () => {
  const filled = (template: string, told: Told): Json => {
    const read = readTemplate(template);
    if (typeof read === 'string') assert.fail(read);
    return fill(read.template, valuesOf(told, null));
  };

  test('no value, whatever it holds, becomes part of the form of a message', () => {
    const template = '{"a":"{{sentence}}","b":["x {{sentence}} y",{"c":"{{data}}"}]}';
    const hard = fc.constantFrom(
      '"',
      '\\',
      '{{',
      '}}',
      '{{key}}',
      '\n',
      '","admin":true,"',
      '\u2028',
    );
    const sentence = fc.array(fc.oneof(hard, fc.string()), { maxLength: 8 }).map((p) => p.join(''));
    fc.assert(
      fc.property(sentence, (text) => {
        const short = text.slice(0, 300);
        const document = filled(template, toldOf({ sentence: short, data: { text: short } }));
        const back = JSON.parse(JSON.stringify(document));
        assert.deepEqual(back, { a: short, b: [`x ${short} y`, { c: { text: short } }] });
      }),
      { numRuns: 200 },
    );
  });

  test('a document chooses by a word, by whether it is there, or leaves out', () => {
    const template = JSON.stringify({
      color: { '{{severity}}': { page: 'red', else: 'gray' } },
      link: { '{{link}}': { set: '{{link}}' } },
      list: [{ '{{state}}': { closed: 'over' } }, 'always'],
      text: '{{title|short}}',
    });
    const title = '[shop] page: www.gslb.example.net';
    assert.deepEqual(filled(template, toldOf()), { color: 'red', list: ['always'], text: title });
    const closed = toldOf({ state: 'closed', severity: 'warn', link: 'https://d.test/' });
    assert.deepEqual(filled(template, closed), {
      ...{ color: 'gray', link: 'https://d.test/', list: ['over', 'always'] },
      text: '[shop] over: www.gslb.example.net',
    });
  });

  test('what is wrong with a template is said, with what would be right', () => {
    const wrong: readonly (readonly [text: string, why: RegExp])[] = [
      ['{', /no JSON document/],
      ['{"a":"{{sentense}}"}', /did you mean sentence\?/],
      ['{"a":"{{sentence|upper}}"}', /slack or short/],
      ['{"a":"{{ sentence"}', /has \{\{ or \}\}/],
      ['{"{{key}}":1}', /chooses in a way/],
      ['{"{{state}}":{"open":1},"b":2}', /chooses in a way/],
      [`${'['.repeat(30)}${']'.repeat(30)}`, /larger than any message/],
    ];
    for (const [text, why] of wrong) {
      const read = readTemplate(text);
      assert.match(typeof read === 'string' ? read : 'it is taken', why, text);
    }
  });
});
