// Route 53 and Alibaba Cloud DNS of the lab with the token services of their clouds, and an account
// for each kind of key. Sessions end by a clock that a test moves by hand; signatures are made and
// checked by the real one, as the vendors' SDKs do it. It leaves no server behind that it started.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { alidns } from '../../providers/alidns.ts';
import { route53 } from '../../providers/route53.ts';
import type { AdapterContext, Provider, ProviderType } from '../../src/kit/extend.ts';
import { readSecret } from '../../src/kit/secret.ts';
import { type Part, startTokens } from '../../src/lab/clouds/cloud.ts';
import { aliTokens, awsTokens, Issuer, type Trust } from '../../src/lab/clouds/tokens.ts';
import { startAlidns } from '../../src/lab/vendors/alidns.ts';
import { startRoute53 } from '../../src/lab/vendors/route53.ts';
import { Sessions } from '../../src/lab/vendors/sessions.ts';
import type { LabVendor } from '../../src/lab/vendors/vendor.ts';
import { HandClock } from './hand-clock.ts';

export const zone = 'gslb.example.net.';
export const www = `www.${zone}`;
const HOUR = 3_600_000;

const subject = 'system:serviceaccount:detour:detour';
const awsRole = 'arn:aws:iam::123456789012:role/detour';
const aliRole = 'acs:ram::1234567890123456:role/detour';
const aliProvider = 'acs:ram::1234567890123456:oidc-provider/ack';
export const aws = {
  accessKeyId: 'AKIALABKEYOFDETOUR01',
  secretAccessKey: 'aws-secret-of-this-test-0001',
};
const ali = {
  accessKeyId: 'LTAIlabkeyofdetour01',
  accessKeySecret: 'ali-secret-of-this-test-0001',
};

/** The settings of each kind of key, as a user writes them but for the files' folder. */
export const kinds = [
  'aws static',
  'aws session-token',
  'aws profile',
  'aws profile with a role',
  'aws assume-role 1h',
  'aws assume-role 12h',
  'aws web-identity 12h',
  'aliyun static',
  'aliyun session-token',
  'aliyun assume-role 1h',
  'aliyun assume-role 12h',
  'aliyun web-identity 1h',
] as const;
export type KeyKind = (typeof kinds)[number];

export interface KeyWorld {
  readonly clock: HandClock & { chance(): number };
  readonly r53: LabVendor;
  readonly ali: LabVendor;
  readonly awsSts: Part;
  readonly aliSts: Part;
  /** A file of the folder that the settings refer to. */
  write(name: string, text: string): string;
  /** Tokens of the cluster, which projects them anew long before they end. */
  readonly issuer: Issuer;
  token(aud: 'aws' | 'aliyun', lifeMs?: number): string;
  /** A session as somebody else would fetch it. */
  session(cloud: 'aws' | 'aliyun', lifeMs: number): object;
  open(kind: KeyKind, more?: object): Provider;
  openWith(type: 'route53' | 'alidns', settings: object): Provider;
  close(): Promise<void>;
}

export async function startKeyWorld(): Promise<KeyWorld> {
  const clock = Object.assign(new HandClock(), { chance: () => 0.5 });
  const wall = () => clock.wall();
  const folder = mkdtempSync(join(tmpdir(), 'detour-keys-'));
  const write = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const issuer = new Issuer('https://oidc.cluster.test', wall);
  const trust = (roleArn: string, key: Trust['key']): Trust => ({
    ...{ roleArn, key, issuer, subject, sessionMaxMs: 12 * HOUR },
  });
  const sessions = { aws: new Sessions('ASIA', wall), aliyun: new Sessions('STS.', wall) };
  const at = (host: string) => ({ address: host, port: 0 });
  const awsTrust = trust(awsRole, { accessKeyId: aws.accessKeyId, secret: aws.secretAccessKey });
  const aliTrust = trust(aliRole, { accessKeyId: ali.accessKeyId, secret: ali.accessKeySecret });
  const awsSts = await startTokens({
    ...{ ...at('127.0.0.1'), name: 'sts-aws', cloud: 'aws' },
    service: awsTokens('us-west-2', { ...awsTrust, externalId: 'shop' }, sessions.aws),
  });
  const aliSts = await startTokens({
    ...{ ...at('127.0.0.1'), name: 'sts-aliyun', cloud: 'aliyun' },
    service: aliTokens(aliProvider, aliTrust, sessions.aliyun),
  });
  const vendor = {
    address: '127.0.0.1',
    dnsAddresses: ['127.0.0.1'],
    dnsPort: 0,
    quotas: 'off' as const,
    zones: [{ name: zone, records: [{ name: www, type: 'CNAME', value: 'a.example.', ttl: 600 }] }],
  };
  const r53 = await startRoute53({ ...vendor, credentials: aws, sessions: sessions.aws });
  const aliVendor = await startAlidns({ ...vendor, credentials: ali, sessions: sessions.aliyun });
  const sts = {
    aws: `http://127.0.0.1:${awsSts.port}`,
    aliyun: `http://127.0.0.1:${aliSts.port}`,
  };
  const opened: Provider[] = [];
  const openWith: KeyWorld['openWith'] = (type, settings) => {
    const row = (type === 'route53' ? route53 : alidns) as ProviderType<unknown>;
    const read = row.settings.parse({
      endpoint: type === 'route53' ? r53.api : aliVendor.api,
      ...settings,
    });
    const secret: AdapterContext['secret'] = (ref) => readSecret(ref, {});
    const context = { secret, current: secret, callTimeoutMs: 5000, clock };
    const provider = row.create(type === 'route53' ? 'r53' : 'ali', read, context);
    opened.push(provider);
    return provider;
  };
  const token: KeyWorld['token'] = (aud, lifeMs = 24 * HOUR) =>
    issuer.token(subject, aud === 'aws' ? 'sts.amazonaws.com' : 'sts.aliyuncs.com', lifeMs);
  const session: KeyWorld['session'] = (cloud, lifeMs) => {
    const { accessKeyId, secret, token: issued, untilAt } = sessions[cloud].issue(lifeMs);
    const expiration = new Date(untilAt).toISOString();
    const names =
      cloud === 'aws' ? ['secretAccessKey', 'sessionToken'] : ['accessKeySecret', 'securityToken'];
    return { accessKeyId, [names[0]!]: secret, [names[1]!]: issued, expiration };
  };
  const file = (name: string, text: string) => ({ file: write(name, text) });
  const awsJson = () => file('aws.json', JSON.stringify(aws));
  const aliJson = () => file('ali.json', JSON.stringify(ali));
  const awsAssumed = { roleArn: awsRole, externalId: 'shop', endpoint: sts.aws };
  const aliAssumed = { roleArn: aliRole, endpoint: sts.aliyun };
  const profiles =
    `[keys]\naws_access_key_id = ${aws.accessKeyId}\naws_secret_access_key = ` +
    `${aws.secretAccessKey}\n[role]\nsource_profile = keys\nrole_arn = ${awsRole}\n` +
    'external_id = shop\nrole_session_name = detour\n';
  const profile = (name: string) => ({
    profile: { name, file: write('credentials', profiles), endpoint: sts.aws },
  });
  const settings: Readonly<Record<KeyKind, () => object>> = {
    'aws static': () => ({ credentials: awsJson() }),
    'aws session-token': () => ({
      credentials: file('session.json', JSON.stringify(session('aws', HOUR))),
    }),
    'aws profile': () => profile('keys'),
    'aws profile with a role': () => profile('role'),
    'aws assume-role 1h': () => ({ credentials: awsJson(), assumeRole: awsAssumed }),
    'aws assume-role 12h': () => ({
      credentials: awsJson(),
      assumeRole: { ...awsAssumed, duration: '12h' },
    }),
    'aws web-identity 12h': () => {
      const of = { roleArn: awsRole, duration: '12h', endpoint: sts.aws };
      return { webIdentity: { ...of, token: file('aws-token', token('aws')) } };
    },
    'aliyun static': () => ({ credentials: aliJson() }),
    'aliyun session-token': () => ({
      credentials: file('ali-session.json', JSON.stringify(session('aliyun', HOUR))),
    }),
    'aliyun assume-role 1h': () => ({ credentials: aliJson(), assumeRole: aliAssumed }),
    'aliyun assume-role 12h': () => ({
      credentials: aliJson(),
      assumeRole: { ...aliAssumed, duration: '12h' },
    }),
    'aliyun web-identity 1h': () => {
      const of = { roleArn: aliRole, providerArn: aliProvider, endpoint: sts.aliyun };
      return { webIdentity: { ...of, token: file('ali-token', token('aliyun')) } };
    },
  };
  return {
    ...{ clock, r53, ali: aliVendor, awsSts, aliSts, write, issuer, token, session, openWith },
    open: (kind, more = {}) =>
      openWith(kind.startsWith('aws') ? 'route53' : 'alidns', { ...settings[kind](), ...more }),
    async close() {
      for (const provider of opened) provider.close();
      await Promise.all([r53, aliVendor, awsSts, aliSts].map((part) => part.close()));
      rmSync(folder, { recursive: true });
    },
  };
}
