// What Alibaba Cloud is shown: an access key, one with a token of STS, or a role for which STS gives
// a session. It must never hand on a key that is empty (the SDK would send requests without a
// signature), never ask the metadata of a machine, and never send an OIDC token but to STS.

import { z } from 'zod';
import type { AdapterContext } from '../../src/kit/extend.ts';
import { duration, type SecretRef, secretRef } from '../../src/kit/schema.ts';
import { endpoint } from './endpoint.ts';
import { fieldsOf, type Trouble } from './fault.ts';
import { fixedKeys, type Given, HeldKeys, jsonSecret, type Keys } from './held.ts';
import { type AliKeys, PopApi } from './pop.ts';
import type { Tunnels } from './proxy.ts';

const role = {
  roleArn: z
    .string()
    .regex(
      /^acs:ram::\d{5,20}:role\/[\w.@-]{1,64}$/,
      'expected the ARN of a role, such as acs:ram::1234567890123456:role/detour',
    )
    .describe('ARN of the RAM role'),
  sessionName: z
    .string()
    .regex(/^[\w.@-]{2,64}$/, 'expected 2 to 64 of the characters a-z A-Z 0-9 . @ - _')
    .default('detour')
    .describe('name of the session, in the logs of ActionTrail'),
  duration: duration('15m', '12h')
    .prefault('1h')
    .describe("how long a session lasts: as long as the role's longest session allows"),
  endpoint: endpoint
    .default('https://sts.aliyuncs.com')
    .describe('base URL of STS; those of regions are https://sts.REGION.aliyuncs.com'),
};

/** Beside each other in the settings of an account at Alibaba Cloud; see `refuseOtherAliKeys`. */
export const aliKeySettings = {
  accessKeyId: secretRef.optional().describe('id of the access key of a RAM user'),
  accessKeySecret: secretRef.optional().describe('its secret'),
  securityToken: secretRef.optional().describe('token of STS, where the key has one'),
  credentials: secretRef
    .optional()
    .describe(
      'in the place of these three: a JSON text with accessKeyId, accessKeySecret and perhaps ' +
        'securityToken and expiration, so that they change together',
    ),
  assumeRole: z
    .strictObject(role)
    .optional()
    .describe('a RAM role that the key may take (sts:AssumeRole)'),
  webIdentity: z
    .strictObject({
      ...role,
      providerArn: z
        .string()
        .regex(
          /^acs:ram::\d{5,20}:oidc-provider\/[\w.-]{1,128}$/,
          'expected the ARN of an OIDC provider, such as acs:ram::1234567890123456:oidc-provider/ack',
        )
        .describe('ARN of the OIDC provider that the role trusts'),
      token: secretRef.describe('the OIDC token, read anew each time: Kubernetes renews its file'),
    })
    .optional()
    .describe('a RAM role for an OIDC token (AssumeRoleWithOIDC; on ACK: RRSA)'),
};

export type AliKeySettings = z.output<z.ZodObject<typeof aliKeySettings>>;

/** Exactly one way to show who asks. */
export function refuseOtherAliKeys(settings: AliKeySettings, context: z.RefinementCtx): void {
  const { accessKeyId, accessKeySecret, securityToken, credentials, assumeRole } = settings;
  const say = (path: string, message: string) =>
    context.addIssue({ code: 'custom', path: [path], message });
  const form = 'a reference to a secret: { env: NAME }, { file: PATH } or { credential: NAME }';
  if (settings.webIdentity !== undefined) {
    const other = Object.entries({ accessKeyId, accessKeySecret, securityToken, credentials });
    for (const [key, value] of [...other, ['assumeRole', assumeRole] as const]) {
      if (value !== undefined) say(key, 'is not taken beside webIdentity, which needs no key');
    }
    return;
  }
  const parts = Object.entries({ accessKeyId, accessKeySecret, securityToken });
  for (const [key, value] of parts) {
    if (credentials !== undefined && value !== undefined) {
      say(key, 'is not taken beside credentials, whose text has it');
    } else if (credentials === undefined && value === undefined && key !== 'securityToken') {
      say(key, `expected ${form}`);
    }
  }
}

interface Means {
  readonly context: AdapterContext;
  readonly tunnels: Tunnels | null;
}

/** Opens nothing yet. Throws SecretError. */
export function aliKeys(settings: AliKeySettings, { context, tunnels }: Means): Keys<AliKeys> {
  const { assumeRole, webIdentity } = settings;
  const { current = context.secret } = context;
  if (webIdentity !== undefined) {
    // A file that is not there shows now, as any secret's.
    current(webIdentity.token);
    const api = apiOf(webIdentity.endpoint, null, { context, tunnels });
    const ask = (signal: AbortSignal) => {
      const { providerArn, token } = webIdentity;
      const more = { OIDCProviderArn: providerArn, OIDCToken: current(token) };
      return sessionFrom(api, 'AssumeRoleWithOIDC', webIdentity, { more, signal });
    };
    const how = { doing: 'AssumeRoleWithOIDC', ask, secretsOf: () => [], close: () => api.close() };
    return held('web-identity', webIdentity, context, how);
  }
  if (assumeRole === undefined) {
    const given = readKeys(settings, context.secret);
    const kind = given.keys.securityToken === undefined ? 'static' : 'session-token';
    return fixedKeys(kind, given, secretsIn(given.keys));
  }
  let master = readKeys(settings, current).keys;
  const showing: Keys<AliKeys> = {
    ...fixedKeys('static', { keys: master, untilAt: null }, []),
    get: async () => ({ ok: true, value: master }),
    secrets: () => secretsIn(master),
  };
  const api = apiOf(assumeRole.endpoint, showing, { context, tunnels });
  return held('assume-role', assumeRole, context, {
    doing: 'AssumeRole',
    async ask(signal) {
      master = readKeys(settings, current).keys;
      return sessionFrom(api, 'AssumeRole', assumeRole, { more: {}, signal });
    },
    secretsOf: () => secretsIn(master),
    close: () => api.close(),
  });
}

function apiOf(base: string, keys: Keys<AliKeys> | null, { context, tunnels }: Means): PopApi {
  const timeoutMs = context.callTimeoutMs;
  return new PopApi({ base, version: '2015-04-01', keys, timeoutMs, context, tunnels });
}

type Role = Pick<NonNullable<AliKeySettings['assumeRole']>, keyof typeof role>;

/** What STS did not give, and why. */
class NotGiven extends Error {
  readonly trouble: Trouble;
  constructor(trouble: Trouble) {
    super('not given');
    this.trouble = trouble;
  }
}

const credentialsShape = z.object({
  AccessKeyId: z.string(),
  AccessKeySecret: z.string(),
  SecurityToken: z.string(),
  Expiration: z.iso.datetime({ offset: true }),
});

async function sessionFrom(
  api: PopApi,
  action: string,
  { roleArn, sessionName, duration }: Role,
  {
    more,
    signal,
  }: { readonly more: Readonly<Record<string, string>>; readonly signal: AbortSignal },
): Promise<Given<AliKeys>> {
  const session = { RoleArn: roleArn, RoleSessionName: sessionName };
  const params = { ...session, DurationSeconds: duration / 1000, ...more };
  // Asked once: who holds the keys repeats it.
  const asked = { action, about: roleArn, write: true };
  const reply = await api.call(asked, params, signal);
  if (!reply.ok) throw new NotGiven(reply);
  const read = credentialsShape.safeParse(fieldsOf(reply.value)['Credentials']);
  if (!read.success) throw new Error('no credentials in the answer');
  const { AccessKeyId, AccessKeySecret, SecurityToken, Expiration } = read.data;
  const pair = { accessKeyId: AccessKeyId, accessKeySecret: AccessKeySecret };
  return { keys: { ...pair, securityToken: SecurityToken }, untilAt: Date.parse(Expiration) };
}

function held(
  kind: string,
  of: Role,
  { callTimeoutMs, clock }: AdapterContext,
  how: {
    readonly doing: string;
    ask(signal: AbortSignal): Promise<Given<AliKeys>>;
    /** Of what is asked with. */
    secretsOf(): readonly string[];
    close(): void;
  },
): Keys<AliKeys> {
  return new HeldKeys<AliKeys>({
    kind,
    from: 'sts',
    doing: `${how.doing} of ${of.roleArn}`,
    needs: [new URL(of.endpoint).hostname],
    timeoutMs: callTimeoutMs,
    clock,
    ask: how.ask,
    explain: (error) => (error instanceof NotGiven ? error.trouble : null),
    secretsOf: (held) => (held === null ? how.secretsOf() : secretsIn(held)),
    closed: how.close,
  });
}

function secretsIn({ accessKeyId, accessKeySecret, securityToken }: AliKeys): readonly string[] {
  const pair = [accessKeySecret, accessKeyId];
  return securityToken === undefined ? pair : [...pair, securityToken];
}

const keysJson = z.object({
  accessKeyId: z.string().min(1),
  accessKeySecret: z.string().min(1),
  securityToken: z.string().min(1).optional(),
  expiration: z.iso.datetime({ offset: true }).optional(),
});

function readKeys(from: AliKeySettings, secret: (ref: SecretRef) => string): Given<AliKeys> {
  if (from.credentials === undefined) {
    const token = from.securityToken ? { securityToken: secret(from.securityToken) } : {};
    const accessKeyId = secret(from.accessKeyId!);
    const accessKeySecret = secret(from.accessKeySecret!);
    return { keys: { accessKeyId, accessKeySecret, ...token }, untilAt: null };
  }
  const form =
    'a JSON object with accessKeyId, accessKeySecret and perhaps securityToken and expiration';
  const { securityToken, expiration, ...pair } = jsonSecret(
    from.credentials,
    secret,
    keysJson,
    form,
  );
  const keys = securityToken === undefined ? pair : { ...pair, securityToken };
  return { keys, untilAt: expiration === undefined ? null : Date.parse(expiration) };
}
