// The mail channel against a small SMTP server of its own (RFC 5321, STARTTLS by RFC 3207), which takes
// a message only over TLS and with a password. The real one is in test/long/channels.ts.

import assert from 'node:assert/strict';
import net, { type Socket } from 'node:net';
import { after, test } from 'node:test';
import tls from 'node:tls';
import { SecretError } from '../../src/kit/secret.ts';
import { smtp } from '../../src/notify/smtp.ts';
import { createCertificates, withServer } from '../parts/listening.ts';
import { toldOf } from '../parts/told.ts';

const certs = createCertificates();
after(() => certs.remove());
const own = certs.certificate('mail', 'IP:127.0.0.1', -1, 10);
const calm = () => new AbortController().signal;
const wall = Date.UTC(2026, 0, 2, 3, 4, 5);

interface Heard {
  readonly mails: string[];
  /** Commands, in order, with what they say. */
  readonly said: string[];
}

/** `refuses`: the recipient is none of its. */
function server(heard: Heard, refuses = false): net.Server {
  const serve = (socket: Socket, isSafe: boolean) => {
    let [left, mail] = ['', null as string | null];
    const reply = (line: string) => socket.write(`${line}\r\n`);
    const command = (line: string): void => {
      const [word = ''] = line.toUpperCase().split(' ');
      heard.said.push(word);
      if (word === 'EHLO') {
        const more = isSafe ? '250 AUTH PLAIN' : '250 STARTTLS';
        return void socket.write(`250-mail.test\r\n${more}\r\n`);
      }
      if (word === 'STARTTLS') {
        reply('220 go');
        socket.removeAllListeners('data');
        const safe = new tls.TLSSocket(socket, { isServer: true, key: own.key, cert: own.cert });
        safe.on('error', () => {});
        serve(safe, true);
        return;
      }
      if (word === 'AUTH') {
        const isGood =
          Buffer.from(line.split(' ')[2] ?? '', 'base64').toString() === '\0ann\0sesame';
        return void reply(isGood ? '235 yes' : '535 no: you said sesame');
      }
      if (!isSafe) return void reply('530 TLS first');
      if (word === 'RCPT' && refuses) return void reply('550 sesame is not here');
      if (word === 'DATA') {
        mail = '';
        return void reply('354 go on');
      }
      if (word === 'QUIT') return void socket.end('221 bye\r\n');
      reply('250 ok');
    };
    socket.setEncoding('utf8').on('data', (part: string) => {
      left += part;
      for (let end = left.indexOf('\r\n'); end >= 0; end = left.indexOf('\r\n')) {
        const line = left.slice(0, end);
        left = left.slice(end + 2);
        if (mail === null) command(line);
        else if (line === '.') {
          heard.mails.push(mail);
          mail = null;
          reply('250 taken');
        } else mail += `${line}\n`;
      }
    });
  };
  return net.createServer((socket) => {
    socket.write('220 mail.test\r\n');
    serve(socket, false);
  });
}

function channel(port: number, password = 'sesame', more: object = { ca: own.ca }) {
  const read = smtp.settings.safeParse({
    smtp: {
      ...{ server: `127.0.0.1:${port}`, from: 'detour@a.test', to: ['duty@b.test'] },
      ...{ username: 'ann', password: { file: '/password' }, ...more },
    },
  });
  assert.ok(read.success, JSON.stringify(read.error?.issues));
  const secrets: Record<string, string> = { '/password': password, [own.ca]: String(own.cert) };
  const secret = (ref: object) => secrets[Object.values(ref)[0] as string]!;
  return smtp.create(read.data, { secret, wall: () => wall });
}

const header = (mail: string, name: string) =>
  new RegExp(`^${name}: (.*(?:\\n[ \\t].*)*)`, 'im').exec(mail)?.[1]?.replace(/\n\s+/g, ' ');

test('an opening and its end are one thread, over TLS and with a password', async () => {
  const heard: Heard = { mails: [], said: [] };
  await withServer(server(heard), async (port) => {
    const mail = channel(port);
    await mail.notify(toldOf({ id: 'msg_1' }), calm());
    await mail.notify(toldOf({ id: 'msg_2', state: 'closed', kind: 'recovered' }), calm());
    await mail.notify(toldOf({ id: 'msg_3', key: 'store', record: null }), calm());
  });
  assert.deepEqual(heard.said.slice(0, 4), ['EHLO', 'STARTTLS', 'EHLO', 'AUTH']);
  const [open, closed, other] = heard.mails as [string, string, string];
  const subject = '[Detour shop] www.gslb.example.net: stay no-target-up';
  for (const one of [open, closed]) assert.equal(header(one, 'subject'), subject);
  assert.equal(header(open, 'references'), header(closed, 'references'));
  assert.notEqual(header(open, 'references'), header(other, 'references'));
  assert.equal(header(open, 'message-id'), '<msg_1@a.test>');
  assert.equal(header(open, 'x-detour-severity'), 'page');
  assert.match(closed, /^OVER\. /m);
});

test('an unknown certificate and a refused password are faults that may pass; an address is not', async () => {
  const heard: Heard = { mails: [], said: [] };
  const faultOf = (work: Promise<void>) =>
    work.then(
      () => assert.fail('it was taken'),
      (error: Error & { isFinal: boolean }) => [error.message, error.isFinal],
    );
  await withServer(server(heard), async (port) => {
    const [why, isFinal] = await faultOf(channel(port, 'sesame', {}).notify(toldOf(), calm()));
    assert.match(String(why), /^mail: E(TLS|SOCKET)$/);
    assert.equal(isFinal, false);
    assert.ok(!heard.said.includes('AUTH'), 'nothing was said before that was known');
    const wrong = await faultOf(channel(port, 'guessed').notify(toldOf(), calm()));
    assert.deepEqual(wrong, ['answer 535 (EAUTH)', false]);
  });
  await withServer(server(heard, true), async (port) => {
    const refused = await faultOf(channel(port).notify(toldOf(), calm()));
    assert.deepEqual(refused, ['answer 550 (EENVELOPE)', true]);
  });
  assert.deepEqual(heard.mails, []);
});

test('a server that says nothing is left at the limit, and no connection stays', async () => {
  const silent = net.createServer(() => {});
  await withServer(silent, async (port) => {
    const mail = channel(port, 'sesame', { timeout: '150ms' });
    const begin = performance.now();
    await assert.rejects(mail.notify(toldOf(), calm()), /no end within its time/);
    assert.ok(performance.now() - begin < 3000);
  });
});

test('plain lines are for this machine alone, and a name wants its password', () => {
  const wrong = (more: object) =>
    JSON.stringify(
      smtp.settings.safeParse({
        smtp: { server: 'mail.test', from: 'a@b.test', to: ['c@d.test'], ...more },
      }).error?.issues ?? '',
    );
  assert.match(wrong({ tls: 'none' }), /this machine alone/);
  assert.match(wrong({ username: 'ann' }), /stand together/);
  assert.match(wrong({ from: 'nobody' }), /expected an address/);
  assert.throws(
    () => channel(1, '', {}) && channelWithout(),
    (error: unknown) => error instanceof SecretError,
  );
});

/** Its password cannot be had. */
function channelWithout(): unknown {
  const read = smtp.settings.parse({
    smtp: {
      ...{ server: 'mail.test', from: 'a@b.test', to: ['c@d.test'] },
      ...{ username: 'ann', password: { file: '/none' } },
    },
  });
  const secret = (): string => {
    throw new SecretError('file /none is not there');
  };
  return smtp.create(read, { secret, wall: () => 0 });
}
