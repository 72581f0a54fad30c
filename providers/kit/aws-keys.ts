// What AWS is shown: keys that are configured, a profile of the shared files, or a role for which STS
// gives a session. It must never look further than the configuration says (no default chain, no
// instance metadata, no environment), never let STS be in the region of Route 53's own control plane
// unasked, and never show more of an answer than its status and its code.

import { z } from 'zod';
import type { AdapterContext } from '../../src/kit/extend.ts';
import { duration, type SecretRef, secretRef } from '../../src/kit/schema.ts';
import { endpoint } from './endpoint.ts';
import { failed, fieldsOf, parseRetryAfter, statusTrouble, type Trouble } from './fault.ts';
import { fixedKeys, type Given, HeldKeys, jsonSecret, type Keys } from './held.ts';

export interface AwsKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

const keyPair = z.strictObject({
  accessKeyId: secretRef.describe('id of the access key'),
  secretAccessKey: secretRef.describe('its secret'),
  sessionToken: secretRef.optional().describe('token of a session (STS), where the key has one'),
});

const region = z.string().regex(/^[a-z0-9-]{1,40}$/, 'expected a region, such as eu-west-1');

const sts = {
  region: region
    .optional()
    .describe('region whose STS is asked; us-west-2 when left out, never us-east-1 unasked'),
  endpoint: endpoint.optional().describe('base URL of STS, where it is not the usual one'),
};

const role = {
  roleArn: z
    .string()
    .regex(
      /^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]{1,600}$/,
      'expected the ARN of a role, such as arn:aws:iam::123456789012:role/detour',
    )
    .describe('ARN of the role'),
  sessionName: z
    .string()
    .regex(/^[\w+=,.@-]{2,64}$/, 'expected 2 to 64 of the characters a-z A-Z 0-9 + = , . @ - _')
    .default('detour')
    .describe('name of the session, in the logs of AWS'),
  duration: duration('15m', '12h')
    .prefault('1h')
    .describe("how long a session lasts: as long as the role's MaxSessionDuration allows"),
  ...sts,
};

const keysForm =
  'expected a reference to a JSON text with accessKeyId and secretAccessKey, such as ' +
  '{ file: PATH }, or { accessKeyId: REFERENCE, secretAccessKey: REFERENCE }';

/** Beside each other in the settings of an account at AWS; see `refuseOtherAwsKeys`. */
export const awsKeySettings = {
  credentials: z
    .union([keyPair, secretRef], {
      error: `${keysForm}; secrets are never written into the configuration`,
    })
    .optional()
    .describe('keys as they are; the default credential chain of AWS is never used'),
  assumeRole: z
    .strictObject({
      ...role,
      externalId: z
        .string()
        .regex(/^[\w+=,.@:/-]{2,1224}$/, 'expected an external id, of 2 to 1224 characters')
        .optional()
        .describe("what the role's trust policy wants to be told"),
    })
    .optional()
    .describe('a role that the keys under credentials may take (sts:AssumeRole)'),
  webIdentity: z
    .strictObject({
      ...role,
      token: secretRef.describe('the OIDC token, read anew each time: Kubernetes renews its file'),
    })
    .optional()
    .describe('a role for an OIDC token (sts:AssumeRoleWithWebIdentity; on EKS: IRSA)'),
  profile: z
    .strictObject({
      name: z.string().min(1).max(128).describe('name of the profile'),
      file: z.string().min(1).describe('path of the shared credentials file, read anew each time'),
      configFile: z.string().min(1).optional().describe('path of the config file, if there is one'),
      ...sts,
    })
    .optional()
    .describe('a profile of the files that the AWS CLI uses'),
};

export type AwsKeySettings = z.output<z.ZodObject<typeof awsKeySettings>>;

/** Exactly one of them; a role is taken by keys. */
export function refuseOtherAwsKeys(settings: AwsKeySettings, context: z.RefinementCtx): void {
  const { credentials, assumeRole, webIdentity, profile } = settings;
  const say = (path: string, message: string) =>
    context.addIssue({ code: 'custom', path: [path], message });
  if (assumeRole !== undefined && credentials === undefined) {
    const keys = 'credentials: { accessKeyId: REFERENCE, secretAccessKey: REFERENCE }';
    say('assumeRole', `needs keys that may take the role: give ${keys}`);
    return;
  }
  const given = Object.entries({ credentials, webIdentity, profile }).filter(
    ([, value]) => value !== undefined,
  );
  for (const [key] of given.slice(1)) {
    say(key, `is not taken beside ${given[0]![0]}: one of them shows who asks`);
  }
  if (given.length > 0) return;
  const or = '; or in its place webIdentity or profile';
  say('credentials', `${keysForm}${or}; secrets are never written into the configuration`);
}

/** Options of a client of the SDK that say all that it would otherwise look for elsewhere. */
export const nothingElse = {
  ignoreConfiguredEndpointUrls: true,
  authSchemePreference: [] as string[],
  userAgentAppId: async () => undefined,
  disableClockSkewCorrection: false,
  maxAttempts: 1,
  retryMode: 'standard',
  defaultsMode: 'legacy',
  useFipsEndpoint: false,
  useDualstackEndpoint: false,
  customUserAgent: 'detour',
} as const;

/** How requests leave: an option of the SDK's clients, and what keeps an answer within bounds. */
interface AwsWay {
  readonly requestHandler: object;
  bound(stack: AwsStack): void;
}

/** As much as is needed of the stack of any client of the SDK. */
export type AwsStack = {
  add(
    middleware: (next: (args: never) => Promise<{ response: unknown }>) => typeof next,
    options: { step: 'deserialize'; priority: 'low'; name: string },
  ): void;
};

/** Opens nothing yet. Throws SecretError. */
export function awsKeys(
  settings: AwsKeySettings,
  context: AdapterContext,
  way: AwsWay,
): Keys<AwsKeys> {
  const { credentials, assumeRole, webIdentity, profile } = settings;
  const { current = context.secret } = context;
  if (profile !== undefined) return ofProfile(profile, context, way);
  if (webIdentity !== undefined) {
    // A file that is not there shows now, as any secret's.
    current(webIdentity.token);
    return held('web-identity', webIdentity, context, {
      doing: `AssumeRoleWithWebIdentity of ${webIdentity.roleArn}`,
      secretsOf: () => [],
      async ask() {
        const webIdentityToken = current(webIdentity.token);
        const { fromWebToken } = await import('@aws-sdk/credential-providers');
        return fromWebToken({
          webIdentityToken,
          roleArn: webIdentity.roleArn,
          roleSessionName: webIdentity.sessionName,
          durationSeconds: webIdentity.duration / 1000,
          clientConfig: clientOf(regionOf(webIdentity), webIdentity, way),
          clientPlugins: [pluginOf(way)],
        })();
      },
    });
  }
  if (assumeRole === undefined) {
    const given = readKeys(credentials!, context.secret);
    const kind = given.keys.sessionToken === undefined ? 'static' : 'session-token';
    return fixedKeys(kind, given, secretsIn(given.keys));
  }
  let master = readKeys(credentials!, current).keys;
  return held('assume-role', assumeRole, context, {
    doing: `AssumeRole of ${assumeRole.roleArn}`,
    secretsOf: () => secretsIn(master),
    async ask() {
      master = readKeys(credentials!, current).keys;
      const { fromTemporaryCredentials } = await import('@aws-sdk/credential-providers');
      const { roleArn, sessionName, externalId, duration } = assumeRole;
      return fromTemporaryCredentials({
        masterCredentials: master,
        params: {
          RoleArn: roleArn,
          RoleSessionName: sessionName,
          DurationSeconds: duration / 1000,
          ...(externalId === undefined ? {} : { ExternalId: externalId }),
        },
        clientConfig: clientOf(regionOf(assumeRole), assumeRole, way),
        clientPlugins: [pluginOf(way)],
      })();
    },
  });
}

function ofProfile(
  profile: NonNullable<AwsKeySettings['profile']>,
  context: AdapterContext,
  way: AwsWay,
): Keys<AwsKeys> {
  const { name, file, configFile = file } = profile;
  return held('profile', profile, context, {
    doing: `profile ${name}`,
    secretsOf: () => [],
    async ask() {
      const { fromIni } = await import('@aws-sdk/credential-providers');
      return fromIni({
        profile: name,
        filepath: file,
        configFilepath: configFile,
        // The SDK would keep for ever what it read first.
        ignoreCache: true,
        clientConfig: clientOf(regionOf(profile), profile, way),
        clientPlugins: [pluginOf(way)],
      })();
    },
  });
}

/** What the SDK's own providers give. */
interface Told extends AwsKeys {
  readonly expiration?: Date;
}

function held(
  kind: string,
  of: { readonly region?: string | undefined; readonly endpoint?: string | undefined },
  { callTimeoutMs, clock }: AdapterContext,
  how: {
    readonly doing: string;
    ask(): Promise<Told>;
    /** Of what is asked with. */
    secretsOf(): readonly string[];
  },
): Keys<AwsKeys> {
  const { doing } = how;
  return new HeldKeys<AwsKeys>({
    kind,
    from: 'sts',
    doing,
    needs: [hostOf(of)],
    timeoutMs: callTimeoutMs,
    clock,
    explain: (error) => explain(error, doing),
    secretsOf: (keys) => (keys === null ? how.secretsOf() : secretsIn(keys)),
    async ask() {
      const { accessKeyId, secretAccessKey, sessionToken, expiration } = await how.ask();
      const token = sessionToken === undefined ? {} : { sessionToken };
      const untilAt = expiration?.getTime() ?? null;
      return { keys: { accessKeyId, secretAccessKey, ...token }, untilAt };
    },
  });
}

function secretsIn({ accessKeyId, secretAccessKey, sessionToken }: AwsKeys): readonly string[] {
  const all = [secretAccessKey, accessKeyId];
  return sessionToken === undefined ? all : [...all, sessionToken];
}

/** STS of a region gives sessions that are good everywhere in its partition. */
const regions: readonly (readonly [arn: RegExp, region: string])[] = [
  [/^arn:aws-cn:/, 'cn-northwest-1'],
  [/^arn:aws-us-gov:/, 'us-gov-west-1'],
];

function regionOf(of: { region?: string | undefined; roleArn?: string }): string {
  const { roleArn = '' } = of;
  return of.region ?? regions.find(([arn]) => arn.test(roleArn))?.[1] ?? 'us-west-2';
}

function hostOf(of: { region?: string | undefined; endpoint?: string | undefined }): string {
  if (of.endpoint !== undefined) return new URL(of.endpoint).hostname;
  const own = regionOf(of);
  return `sts.${own}.amazonaws.com${own.startsWith('cn-') ? '.cn' : ''}`;
}

function clientOf(own: string, of: { endpoint?: string | undefined }, way: AwsWay) {
  const { requestHandler } = way;
  const at = of.endpoint === undefined ? {} : { endpoint: of.endpoint };
  return { ...nothingElse, region: own, requestHandler, ...at };
}

function pluginOf(way: AwsWay) {
  return { applyToStack: (stack: unknown) => way.bound(stack as AwsStack) };
}

/** STS's refusals by status and code, and files that cannot be used. */
function explain(error: unknown, doing: string): Trouble | null {
  const { name, code, $metadata, $response } = fieldsOf(error);
  const { httpStatusCode: status } = fieldsOf($metadata);
  const named = typeof name === 'string' ? name.replaceAll(/[^\w.-]/g, '').slice(0, 60) : '';
  // What the SDK calls an answer that is no document of STS's.
  const word = /^(Error|Unknown|UnknownError)$/.test(named) ? '' : named;
  if (word === 'CredentialsProviderError' || code === 'ENOENT' || code === 'EACCES') {
    const cure = 'check the name of the profile, and what stands in its files';
    return failed('account', 'auth-suspect', `${doing}: it gives no keys`, { cure });
  }
  if (typeof status !== 'number' || status < 300) return null;
  const { 'retry-after': after } = fieldsOf(fieldsOf($response)['headers']);
  const retryAfterMs = parseRetryAfter(typeof after === 'string' ? after : null, Date.now());
  if (status < 400 || status === 429 || status >= 500 || /^Throttl/.test(word)) {
    return statusTrouble(status, { doing, write: false }, word, retryAfterMs);
  }
  const cure = "check the keys or the token, the role's trust policy and its MaxSessionDuration";
  return failed('account', 'auth-suspect', `${doing}: HTTP ${status}${word && ` (${word})`}`, {
    cure,
  });
}

// ---------------------------------------------------------------- keys as they are

const keysJson = z.object({
  accessKeyId: z.string().min(1),
  secretAccessKey: z.string().min(1),
  sessionToken: z.string().min(1).optional(),
  expiration: z.iso.datetime({ offset: true }).optional(),
});

function readKeys(
  from: NonNullable<AwsKeySettings['credentials']>,
  secret: (ref: SecretRef) => string,
): Given<AwsKeys> {
  if ('accessKeyId' in from) {
    const token = from.sessionToken ? { sessionToken: secret(from.sessionToken) } : {};
    const pair = { accessKeyId: secret(from.accessKeyId) };
    const secretAccessKey = secret(from.secretAccessKey);
    return { keys: { ...pair, secretAccessKey, ...token }, untilAt: null };
  }
  const form =
    'a JSON object with accessKeyId, secretAccessKey and perhaps sessionToken and expiration';
  const { sessionToken, expiration, ...pair } = jsonSecret(from, secret, keysJson, form);
  const keys = sessionToken === undefined ? pair : { ...pair, sessionToken };
  return { keys, untilAt: expiration === undefined ? null : Date.parse(expiration) };
}
