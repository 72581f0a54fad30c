// Channels against real parts of Debian's: Alertmanager, and an SMTP server (aiosmtpd) that wants STARTTLS
// and a password. `npm run test:channels`. It installs what is missing where it may, prints what it saw,
// ends with 1 when something did not hold, and speaks to loopback alone.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Notice } from '../../src/core/model.ts';
import type { NotifierType } from '../../src/kit/extend.ts';
import { type Channels, createChannels } from '../../src/notify/channels.ts';
import { notifierTypes } from '../../src/notify/index.ts';
import { createClock } from '../../src/run/clock.ts';
import { closedPort, createCertificates } from '../parts/listening.ts';
import { thisMachine } from '../parts/machine.ts';
import { list, type Part, prepare } from '../parts/packages.ts';
import { collect, main, stopChild, until } from '../parts/program.ts';

const parts: readonly Part[] = [
  {
    program: '/usr/bin/prometheus-alertmanager',
    pkg: 'prometheus-alertmanager',
    purpose: 'hears alerts',
  },
  {
    program: '/usr/lib/python3/dist-packages/aiosmtpd/__init__.py',
    pkg: 'python3-aiosmtpd',
    purpose: 'takes mail',
  },
];
const www = 'www.gslb.example.net.';
const everything = { severity: ['page', 'warn', 'info'], records: null, quietMs: 0 } as const;
const key = `stay/${www}/no-target-up`;

/** Prints each message it takes as one line of JSON. */
const mailServer = `
import asyncio, email, json, ssl, sys
from email import policy
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
class Sink:
    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=policy.default)
        headers = {name.lower(): str(value) for name, value in message.items()}
        print(json.dumps({'headers': headers, 'text': message.get_content(), 'to': envelope.rcpt_tos,
            'tls': session.ssl is not None, 'who': session.auth_data}), flush=True)
        return '250 taken'
def who(server, session, envelope, mechanism, data):
    good = (data.login, data.password) == (b'detour', b'sesame')
    return AuthResult(success=good, handled=False, auth_data='detour' if good else None)
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(sys.argv[2], sys.argv[3])
controller = Controller(Sink(), hostname='127.0.0.1', port=int(sys.argv[1]), tls_context=context,
    require_starttls=True, authenticator=who, auth_required=True)
controller.start()
print('ready', flush=True)
asyncio.new_event_loop().run_forever()
`;

interface Mail {
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  readonly to: readonly string[];
  readonly tls: boolean;
  readonly who: string | null;
}

function made(type: NotifierType<unknown>, settings: object, secrets: Record<string, string>) {
  const read = type.settings.safeParse({ [type.key]: settings });
  assert.ok(read.success, JSON.stringify(read.error?.issues));
  const secret = (ref: object) => secrets[Object.values(ref)[0] as string]!;
  return type.create(read.data, { secret, wall: () => Date.now() });
}

function say(text: string): void {
  console.log(text);
}

function notice(state: 'open' | 'closed', sentence: string): Notice {
  const kind = state === 'open' ? 'needs-person' : 'recovered';
  return { kind, key, state, severity: 'page', record: www, sentence, data: {} };
}

async function alerts(base: string): Promise<
  {
    readonly labels: Record<string, string>;
    readonly annotations: Record<string, string>;
    readonly startsAt: string;
    readonly endsAt: string;
  }[]
> {
  const answer = await fetch(`${base}/api/v2/alerts`);
  return (await answer.json()) as Awaited<ReturnType<typeof alerts>>;
}

async function withAlertmanager(scratch: string, port: number): Promise<void> {
  const config = join(scratch, 'alertmanager.yml');
  writeFileSync(config, 'route: { receiver: none }\nreceivers: [{ name: none }]\n');
  const child = spawn(
    '/usr/bin/prometheus-alertmanager',
    [
      ...[`--config.file=${config}`, `--storage.path=${join(scratch, 'am')}`],
      ...[`--web.listen-address=127.0.0.1:${port}`, '--cluster.listen-address='],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const { err } = collect(child);
  const base = `http://127.0.0.1:${port}`;
  try {
    await until('Alertmanager is ready', 20_000, async () => {
      if (child.exitCode !== null) throw new Error(err());
      return fetch(`${base}/-/ready`).then(
        (answer) => answer.ok,
        () => false,
      );
    });
    await alertsOpenAndEnd(base);
  } finally {
    await stopChild(child);
  }
}

async function alertsOpenAndEnd(base: string): Promise<void> {
  const clock = createClock(0);
  const make = (): Channels =>
    createChannels({
      cluster: 'shop',
      replica: null,
      clock,
      apiUrl: 'https://detour.test',
      specs: [
        {
          name: 'am',
          notifier: made(notifierTypes['alertmanager']!, { url: base }, {}),
          rule: everything,
        },
      ],
      trouble: (sentence) => say(`trouble: ${sentence}`),
    });
  const channels = make();
  const calm = new AbortController().signal;
  void channels.notify(notice('open', 'no target is up'), calm);
  await until('the alert stands', 10_000, async () => (await alerts(base)).length === 1);
  const [open] = await alerts(base);
  assert.deepEqual(open!.labels, {
    ...{ alertname: 'DetourStay', cluster: 'shop', severity: 'page' },
    ...{ record: 'www.gslb.example.net', key: `shop/${key}` },
  });
  assert.equal(open!.annotations['summary'], 'no target is up');
  const left = Date.parse(open!.endsAt) - Date.now();
  assert.ok(left > 200_000 && left <= 240_000, `it ends by itself in ${left} ms`);
  say(`Alertmanager: an alert with its labels, over in ${Math.round(left / 1000)} s by itself`);

  // A restart: what is open is said again, from when it began, and is the same alert.
  const again = make();
  const sinceAt = clock.now() - 3_600_000;
  const one = { key, severity: 'page', record: www, sentence: 'no target is up', sinceAt } as const;
  again.start(() => [one]);
  await until('it was said again', 10_000, async () => {
    const [alert] = await alerts(base);
    return Date.parse(alert!.startsAt) < Date.now() - 3_000_000;
  });
  assert.equal((await alerts(base)).length, 1, 'the same alert, not another');
  say('after a restart: the same alert, with its beginning an hour ago');
  void again.notify(notice('closed', 'a is up'), calm);
  await until('the alert is over', 10_000, async () => (await alerts(base)).length === 0);
  say('closed: the alert is over');
  await Promise.all([channels.close(), again.close()]);
}

async function withMail(scratch: string, port: number): Promise<void> {
  const certs = createCertificates();
  const { ca } = certs.certificate('mail', 'IP:127.0.0.1,DNS:localhost', -1, 10);
  const script = join(scratch, 'mail.py');
  writeFileSync(script, mailServer);
  const pem = ca;
  const keyFile = ca.replace(/pem$/, 'key');
  const child = spawn('/usr/bin/python3', [script, String(port), pem, keyFile], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { out, err } = collect(child);
  const mails = () =>
    out()
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Mail);
  try {
    await until('the SMTP server is ready', 20_000, () => {
      if (child.exitCode !== null) throw new Error(err());
      return out().includes('ready');
    });
    await mailsAreOneThread(port, pem, mails);
    await theProgramTries(scratch, port, pem, mails);
  } finally {
    await stopChild(child);
    certs.remove();
  }
}

async function mailsAreOneThread(port: number, ca: string, mails: () => Mail[]): Promise<void> {
  const settings = {
    ...{
      server: `127.0.0.1:${port}`,
      from: 'detour@example.net',
      to: ['a@b.test', 'c@d.test'],
      ca,
    },
    ...{ username: 'detour', password: { file: '/password' } },
  };
  const secrets = { [ca]: readFileSync(ca, 'utf8'), '/password': 'sesame' };
  const clock = createClock(0);
  const troubles: string[] = [];
  const channels = createChannels({
    ...{ cluster: 'shop', replica: null, clock, apiUrl: null },
    specs: [
      { name: 'mail', notifier: made(notifierTypes['smtp']!, settings, secrets), rule: everything },
    ],
    trouble: (sentence) => void troubles.push(sentence),
  });
  const calm = new AbortController().signal;
  void channels.notify(notice('open', 'nothing is up: "ö"'), calm);
  await until('the mail is there', 15_000, () => {
    if (troubles.length > 0) throw new Error(troubles.join());
    return mails().length === 1;
  });
  void channels.notify(notice('closed', 'a is up'), calm);
  await until('its end is there', 15_000, () => mails().length === 2);
  const [open, closed] = mails() as [Mail, Mail];
  assert.deepEqual([open.tls, open.who], [true, 'detour'], 'over TLS, with a password');
  assert.deepEqual(open.to, ['a@b.test', 'c@d.test']);
  assert.equal(open.headers['subject'], closed.headers['subject']);
  assert.equal(open.headers['references'], closed.headers['references'], 'one thread');
  assert.notEqual(open.headers['message-id'], closed.headers['message-id']);
  assert.match(open.text, /nothing is up: "ö"[\s\S]*detour explain stay\/www/);
  assert.match(closed.text, /^OVER\. /);
  assert.equal(open.headers['auto-submitted'], 'auto-generated');
  say(`mail: "${open.headers['subject']}", two in one thread, over TLS with a password`);

  // Whoever the system does not vouch for is refused, and so is a wrong password.
  const { ca: _ca, ...plain } = settings;
  const stranger = made(notifierTypes['smtp']!, plain, secrets);
  const told = { ...notice('open', 'x'), ...idle };
  await assert.rejects(stranger.notify(told, calm), /mail: E(TLS|SOCKET)/);
  const wrong = made(notifierTypes['smtp']!, settings, { ...secrets, '/password': 'guessed' });
  await assert.rejects(wrong.notify(told, calm), /EAUTH/);
  assert.equal(mails().length, 2, 'neither said anything');
  say('mail: a certificate of nobody and a wrong password are refused');
  await channels.close();
}

const idle = {
  ...{ id: 'msg_1', dedup: 'd', cluster: 'shop', time: '', since: '', explain: '' },
  ...{ link: null, approve: null, reject: null },
};

/** As a user does it: a file, and `detour channels test`. */
async function theProgramTries(
  scratch: string,
  port: number,
  ca: string,
  mails: () => Mail[],
): Promise<void> {
  const file = join(scratch, 'detour.yaml');
  const before = mails().length;
  const smtp = {
    ...{ server: `127.0.0.1:${port}`, from: 'detour@example.net', to: ['a@b.test'], ca },
    ...{ username: 'detour', password: { env: 'MAIL_PASSWORD' } },
  };
  const target = (origin: string) => ({ origin, cname: `${origin}.shop.example` });
  const origin = (cloud: string) => ({ cloud, checks: { web: { http: 'http://127.0.0.1:1/' } } });
  writeFileSync(
    file,
    stringify({
      cluster: 'shop',
      providers: { cf: { type: 'cloudflare', apiToken: { env: 'MAIL_PASSWORD' } } },
      origins: { a: origin('x'), b: origin('y') },
      records: { [www]: { publish: ['cf'], targets: [target('a'), target('b')] } },
      channels: { mail: { smtp }, dead: { webhook: { url: 'http://127.0.0.1:1/' } } },
    }),
  );
  const run = (...argv: string[]) =>
    spawnSync(process.execPath, [main, 'channels', ...argv, '-c', file], {
      encoding: 'utf8',
      env: { ...process.env, MAIL_PASSWORD: 'sesame' },
    });
  const tried = run('test', 'mail');
  assert.equal(tried.status, 0, `${tried.stdout}${tried.stderr}`);
  await until('both mails are there', 5000, () => mails().length === before + 2);
  const all = run('test');
  assert.equal(all.status, 1, 'one of them is dead');
  assert.match(all.stdout, /dead {2}open .*not told: not reached: ECONNREFUSED/);
  say(all.stdout.trimEnd());
}

async function run(): Promise<number> {
  const missing = await prepare(parts, thisMachine(600_000));
  if (missing.length > 0) {
    console.error(`not there: ${list(missing)}`);
    return 1;
  }
  const scratch = mkdtempSync(join(tmpdir(), 'detour-channels-'));
  try {
    await withAlertmanager(scratch, await closedPort());
    await withMail(scratch, await closedPort());
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  say('all held');
  return 0;
}

process.exitCode = await run();
