// Each kind of key against the lab's token services and vendors. Sessions end by a clock that is moved
// by hand.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { alidns } from '../../providers/alidns.ts';
import { fixedKeys } from '../../providers/kit/held.ts';
import { PopApi } from '../../providers/kit/pop.ts';
import { route53 } from '../../providers/route53.ts';
import type { Provider } from '../../src/kit/extend.ts';
import { SecretError } from '../../src/kit/secret.ts';
import { holds, keyHour } from '../parts/key-hour.ts';
import { aws, type KeyWorld, kinds, startKeyWorld, www } from '../parts/key-world.ts';

const quiet = new AbortController().signal;
const HOUR = 3_600_000;
// What the environment says is never heard: each of these would lead elsewhere.
const evil = 'http://127.0.0.1:1';
Object.assign(process.env, {
  ...{ AWS_ENDPOINT_URL: evil, AWS_ENDPOINT_URL_STS: evil, http_proxy: evil, https_proxy: evil },
  ...{ AWS_ACCESS_KEY_ID: 'EVIL', AWS_SECRET_ACCESS_KEY: 'EVIL', AWS_SESSION_TOKEN: 'EVIL' },
  ...{ AWS_PROFILE: 'evil', AWS_REGION: 'evil-1', AWS_USE_FIPS_ENDPOINT: 'true' },
  ...{ AWS_ROLE_ARN: 'evil', AWS_WEB_IDENTITY_TOKEN_FILE: '/evil', AWS_ROLE_SESSION_NAME: 'evil' },
  ...{ AWS_EC2_METADATA_SERVICE_ENDPOINT: evil, AWS_CONTAINER_CREDENTIALS_FULL_URI: evil },
  ...{ ALIBABA_CLOUD_ACCESS_KEY_ID: 'EVIL', ALIBABA_CLOUD_ACCESS_KEY_SECRET: 'EVIL' },
});
await import('@aws-sdk/client-route-53');
await import('@aws-sdk/credential-providers');

let world: KeyWorld;
before(async () => {
  world = await startKeyWorld();
});
after(() => world.close());

async function read(provider: Provider): Promise<string> {
  const { [www]: answer } = await provider.read([www], quiet);
  return answer?.kind === 'fault' ? `${answer.fault.kind}: ${answer.fault.detail}` : answer!.kind;
}

/** Reads until it is as it should be, however long what was begun takes. */
async function readUntil(provider: Provider, wanted: RegExp): Promise<void> {
  for (let i = 0; i < 400; i++) {
    if (wanted.test(await read(provider))) return;
    await pause(10);
  }
  assert.match(await read(provider), wanted);
}

describe('each kind of key', () => {
  for (const kind of kinds) {
    it(`${kind} is taken`, async () => {
      const provider = world.open(kind);
      assert.equal(await read(provider), 'answered');
      assert.equal(provider.key!().kind, kind.split(' ')[1]);
      assert.doesNotMatch(JSON.stringify(provider.key!()), /secret|AKIA|LTAI|ASIA|STS\./);
      provider.close();
    });
  }
});

describe('an hour without token services', () => {
  it('ends those whose sessions are short, as an audit had said', async () => {
    for (const hour of await keyHour(kinds, 'reset')) holds(hour);
  });
});

describe('what a token service says', () => {
  it('is never read as the vendor’s word, and the vendor is not asked', async () => {
    const role = { roleArn: 'arn:aws:iam::123456789012:role/other', endpoint: stsOf('aws') };
    const before = world.r53.calls.length;
    const provider = world.open('aws assume-role 1h', {
      assumeRole: { ...role, duration: '15m' },
    });
    const said = await read(provider);
    assert.match(
      said,
      /^auth-suspect: credentials: sts: AssumeRole of \S+other: HTTP 403 \(AccessD/,
    );
    assert.equal(world.r53.calls.length, before);
  });

  it('is of the whole account, and uncertain of nothing, where it is dead', async () => {
    await world.awsSts.break('5xx');
    const { [www]: answer } = await world.open('aws assume-role 1h').read([www], quiet);
    await world.awsSts.heal();
    assert.ok(answer?.kind === 'fault');
    assert.deepEqual([answer.reach.kind, answer.fault.kind], ['account', 'unavailable']);
  });

  it('is so at Alibaba, too', async () => {
    const before = world.ali.calls.length;
    const provider = world.openWith('alidns', {
      credentials: { file: world.write('bad.json', '{"accessKeyId":"a","accessKeySecret":"b"}') },
      assumeRole: { roleArn: 'acs:ram::1234567890123456:role/detour', endpoint: stsOf('aliyun') },
    });
    assert.match(await read(provider), /^auth-suspect: credentials: sts: .*InvalidAccessKeyId/);
    assert.equal(world.ali.calls.length, before);
  });
});

describe('files', () => {
  it('of keys that take a role are read when it is taken, and nothing held is lost by them', async () => {
    const provider = world.open('aws assume-role 1h');
    assert.equal(await read(provider), 'answered');
    world.write('aws.json', JSON.stringify({ accessKeyId: 'AKIAOTHER', secretAccessKey: 'other' }));
    await world.clock.advance(31 * 60_000);
    assert.equal(await read(provider), 'answered');
    const why = () => provider.key!().why ?? '';
    for (let i = 0; i < 400 && why() === ''; i++) await pause(10);
    assert.match(why(), /InvalidClientTokenId/);
    world.write('aws.json', JSON.stringify(aws));
    for (let i = 0; i < 40 && why() !== ''; i++) {
      await world.clock.advance(5000);
      await pause(20);
    }
    assert.equal(why(), '');
    provider.close();
  });

  it('of a profile are looked at each minute', async () => {
    const provider = world.open('aws profile');
    assert.equal(await read(provider), 'answered');
    const other = '[keys]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = other\n';
    world.write('credentials', other);
    await world.clock.advance(61_000);
    await readUntil(provider, /HTTP 403 \(InvalidClientTokenId\)/);
    provider.close();
  });

  it('that are not there are said at once', () => {
    const token = { file: '/nowhere/token' };
    const role = { roleArn: 'arn:aws:iam::123456789012:role/detour', token };
    assert.throws(() => world.openWith('route53', { webIdentity: role }), SecretError);
  });

  it('of a token that somebody renews are read each time', async () => {
    const provider = world.open('aws web-identity 12h');
    assert.equal(await read(provider), 'answered');
    world.write('aws-token', world.token('aws', 900_000));
    await world.clock.advance(HOUR + HOUR / 5);
    // Whatever came of it, it is that of the new one, which has ended by now.
    const why = () => provider.key!().why ?? '';
    for (let i = 0; i < 400 && why() === ''; i++) await pause(10);
    assert.match(why(), /AssumeRoleWithWebIdentity of \S+: HTTP 400 \(ExpiredTokenException\)/);
    assert.equal(await read(provider), 'answered');
    provider.close();
  });
});

describe('sessions at the vendors', () => {
  it('want the token that was given with them, and are refused past their end', async () => {
    for (const [type, cloud, names, mismatch, expired] of [
      ['route53', 'aws', ['sessionToken'], /InvalidClientTokenId/, /ExpiredToken/],
      [
        ...['alidns', 'aliyun', ['securityToken']],
        ...[/InvalidSecurityToken\.MismatchWithAccessKey/, /InvalidSecurityToken\.Expired/],
      ],
    ] as const) {
      const session = world.session(cloud, HOUR) as Record<string, string>;
      const other = world.session(cloud, HOUR) as Record<string, string>;
      const open = (keys: object) => {
        const file = world.write('session.json', JSON.stringify(keys));
        return world.openWith(type, { credentials: { file } });
      };
      const [token] = names as readonly string[];
      assert.equal(await read(open(session)), 'answered');
      const mixed = open({ ...session, [token!]: other[token!] });
      assert.match(await read(mixed), mismatch as RegExp);
      const { [token!]: _, ...bare } = session;
      assert.match(await read(open(bare)), mismatch as RegExp);
      const old = open(session);
      await world.clock.advance(HOUR);
      assert.match(await read(old), expired as RegExp);
    }
  });

  it('are never asked for without a signature: an empty key is sent nowhere', async () => {
    const empty = { accessKeyId: '', accessKeySecret: '' };
    const api = new PopApi({
      ...{ base: world.ali.api, version: '2015-01-09', timeoutMs: 1000, context: {} },
      keys: fixedKeys('static', { keys: empty, untilAt: null }, []),
    });
    const before = world.ali.calls.length;
    const asked = { action: 'DescribeDomainInfo', about: 'it', write: false };
    const reply = await api.call(asked, { DomainName: 'gslb.example.net' }, quiet);
    assert.equal(reply.ok, false);
    assert.equal(world.ali.calls.length, before);
    api.close();
  });
});

describe('settings', () => {
  const keys = { credentials: { file: '/a' } };
  const role = { roleArn: 'arn:aws:iam::123456789012:role/detour' };
  const profile = { profile: { name: 'detour', file: '/b' } };
  const ali = { accessKeyId: { file: '/a' }, accessKeySecret: { file: '/b' } };
  const ram = { roleArn: 'acs:ram::1234567890123456:role/detour' };
  const web = { ...ram, providerArn: 'acs:ram::1234567890123456:oidc-provider/ack' };
  const token = { token: { file: '/t' } };
  const wrong: readonly (readonly ['route53' | 'alidns', object, RegExp])[] = [
    ['route53', {}, /credentials.*expected a reference/],
    ['route53', { ...keys, ...profile }, /profile.*is not taken beside credentials/],
    ['route53', { ...profile, webIdentity: { ...role, ...token } }, /profile.*beside webIdentity/],
    ['route53', { assumeRole: role }, /assumeRole.*needs keys/],
    ['route53', { ...keys, assumeRole: { roleArn: 'detour' } }, /expected the ARN of a role/],
    ['route53', { ...keys, assumeRole: { ...role, duration: '13h' } }, /from 15m to 12h/],
    ['alidns', { accessKeyId: { file: '/a' } }, /accessKeySecret.*expected a reference/],
    ['alidns', { ...ali, credentials: { file: '/c' } }, /is not taken beside credentials/],
    ['alidns', { ...ali, webIdentity: { ...web, ...token } }, /beside webIdentity/],
    ['alidns', { ...ali, assumeRole: { roleArn: role.roleArn } }, /expected the ARN of a role/],
  ];
  const rows = { route53, alidns };
  for (const [type, settings, why] of wrong) {
    it(`of ${type}: ${JSON.stringify(settings)} is refused`, () => {
      const read = rows[type].settings.safeParse(settings);
      assert.match(JSON.stringify(read.error?.issues ?? []), why);
    });
  }
  it('ask STS elsewhere than in the region of Route 53 itself', () => {
    const of = (roleArn: string, more: object = {}) => {
      const file = world.write('sts.json', '{"accessKeyId":"a","secretAccessKey":"b"}');
      const assumeRole = { roleArn: `${roleArn}123456789012:role/detour`, ...more };
      return world.openWith('route53', { credentials: { file }, assumeRole }).key!().needs;
    };
    assert.deepEqual(of('arn:aws:iam::'), ['sts.us-west-2.amazonaws.com']);
    assert.deepEqual(of('arn:aws-cn:iam::'), ['sts.cn-northwest-1.amazonaws.com.cn']);
    assert.deepEqual(of('arn:aws:iam::', { region: 'eu-west-1' }), ['sts.eu-west-1.amazonaws.com']);
  });
});

function stsOf(cloud: 'aws' | 'aliyun'): string {
  return `http://127.0.0.1:${(cloud === 'aws' ? world.awsSts : world.aliSts).port}`;
}
