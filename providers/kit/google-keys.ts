// What an account at Google shows itself with: tokens that a service account's key signs here, for
// which nobody is asked; or tokens that a token service gives, for the same key or for the token of
// another identity provider that lies in a file (workload identity federation). Each kind is named
// in the configuration. It must never ask the metadata server, never run a program, never take
// credentials from the environment, and never send a key or a token in the clear.

import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import { z } from 'zod';
import type { AdapterContext } from '../../src/kit/extend.ts';
import { type SecretRef, secretRef } from '../../src/kit/schema.ts';
import { SecretError } from '../../src/kit/secret.ts';
import { agentFor } from './agents.ts';
import { endpoint } from './endpoint.ts';
import {
  done,
  failed,
  fieldsOf,
  garbled,
  parseRetryAfter,
  scrub,
  statusTrouble,
  type Trouble,
} from './fault.ts';
import { type Given, HeldKeys, type Keys } from './held.ts';
import { askJson, jsonOf, Refused } from './json-http.ts';
import type { Tunnels } from './proxy.ts';

const cure = 'a reference to the JSON text of it, such as { file: PATH }';

export const googleCredentials = z
  .union(
    [
      z.strictObject({
        serviceAccount: secretRef.describe(`key file of a service account: ${cure}`),
        exchange: z
          .boolean()
          .default(false)
          .describe('let oauth2.googleapis.com give tokens for the key, in place of signing them'),
      }),
      z.strictObject({
        workloadIdentity: secretRef.describe(
          `credential configuration of workload identity federation, with a file source: ${cure}`,
        ),
      }),
    ],
    {
      error:
        'expected { serviceAccount: { file: PATH } } with the key file of a service account, or ' +
        '{ workloadIdentity: { file: PATH } } with an external account file; secrets are never ' +
        'written into the configuration',
    },
  )
  .describe('how it shows who it is; default credentials and the metadata server are never used');

type GoogleCredentials = z.output<typeof googleCredentials>;

interface Means {
  readonly context: AdapterContext;
  readonly tunnels: Tunnels | null;
}

/** Reads the credentials' files; opens nothing yet. Throws SecretError. */
export function googleKeys(chosen: GoogleCredentials, means: Means): Keys<string> {
  if ('workloadIdentity' in chosen) return federated(chosen.workloadIdentity, means);
  const { serviceAccount: ref, exchange } = chosen;
  const account = serviceAccountOf(ref, means.context);
  return exchange ? exchanged(account, means) : selfSigned(account, means);
}

/** All that is ever asked of Google here: to read zones and change records in them. */
const scope = 'https://www.googleapis.com/auth/ndev.clouddns.readwrite';
const cloudScope = 'https://www.googleapis.com/auth/cloud-platform';
/** Of a token that is signed here: exactly this, says AIP-4111. */
const tokenSeconds = 3600;

// ---------------------------------------------------------------- signed here

/** What a self-signed token is good for: the API as a whole, whatever its endpoint (AIP-4111). */
const audience = 'https://dns.googleapis.com/';
/** Signed anew so often: a clock that was set meanwhile spoils none for long. */
const signedForMs = 300_000;
/** A little in the past, for clocks that run behind ours. */
const backSeconds = 10;

interface ServiceAccount {
  readonly email: string;
  readonly keyId: string;
  readonly key: KeyObject;
  readonly tokenUri: string;
  readonly secrets: readonly string[];
}

const keyFile = z.object({
  type: z.literal('service_account'),
  client_email: z.string().regex(/^[^\s@]+@[^\s@]+$/),
  private_key_id: z.string().min(1),
  private_key: z.string().min(1),
  token_uri: endpoint.default('https://oauth2.googleapis.com/token'),
});

function serviceAccountOf(ref: SecretRef, context: AdapterContext): ServiceAccount {
  const text = context.secret(ref);
  const told = keyFile.safeParse(jsonOf(text));
  const wrong = new SecretError(
    `${placeOf(ref)}: expected the JSON key file of a Google service account (type ` +
      'service_account, client_email, private_key_id, private_key); make one in IAM, Service ' +
      'accounts, Keys, or use workloadIdentity',
  );
  if (!told.success) throw wrong;
  const { client_email: email, private_key_id: keyId, private_key: pem, token_uri } = told.data;
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    // The reason speaks of the key.
    throw wrong;
  }
  if (key.asymmetricKeyType !== 'rsa') throw wrong;
  const lines = pem.split('\n').filter((line) => line.length > 20 && !line.startsWith('-'));
  return { email, keyId, key, tokenUri: token_uri, secrets: [text, pem, ...lines] };
}

function selfSigned(account: ServiceAccount, { context }: Means): Keys<string> {
  const wall = () => context.clock?.wall() ?? Date.now();
  let held: { readonly token: string; readonly atMs: number } | null = null;
  return {
    async get() {
      const now = wall();
      if (held === null || Math.abs(now - held.atMs) > signedForMs) {
        const claims = { sub: account.email, aud: audience };
        held = { token: signedBy(account, claims, now), atMs: now };
      }
      return done(held.token);
    },
    refused() {
      held = null;
    },
    facts: () => ({ kind: 'service-account', needs: [], untilAt: null, why: null }),
    secrets: () => (held === null ? account.secrets : [...account.secrets, held.token]),
    close() {},
  };
}

/** A token of its own (RFC 7519), by RS256. */
function signedBy({ email, keyId, key }: ServiceAccount, more: object, nowMs: number): string {
  const iat = Math.floor(nowMs / 1000) - backSeconds;
  const claims = { iss: email, ...more, iat, exp: iat + tokenSeconds };
  const header = { alg: 'RS256', typ: 'JWT', kid: keyId };
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part(header)}.${part(claims)}`;
  return `${signed}.${sign('RSA-SHA256', Buffer.from(signed), key).toString('base64url')}`;
}

// ---------------------------------------------------------------- given by a token service

/** For the key of a service account (RFC 7523). */
function exchanged(account: ServiceAccount, means: Means): Keys<string> {
  const { email, tokenUri, secrets } = account;
  const kind = 'service-account-exchange';
  return given(
    kind,
    [tokenUri],
    () => secrets,
    means,
    async (post, askedAt) => {
      const assertion = signedBy(account, { sub: email, scope, aud: tokenUri }, askedAt);
      const grant_type = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
      return tokenIn(await post(tokenUri, new URLSearchParams({ grant_type, assertion })), askedAt);
    },
  );
}

/** As `gcloud iam workload-identity-pools create-cred-config` writes it (AIP-4117). */
const credentialFile = z.object({
  type: z.literal('external_account'),
  audience: z.string().min(1),
  subject_token_type: z.string().min(1),
  token_url: endpoint,
  service_account_impersonation_url: endpoint.optional(),
  service_account_impersonation: z
    .object({ token_lifetime_seconds: z.number().int().min(600).max(43_200).optional() })
    .optional(),
  credential_source: z.object({
    file: z.string().regex(/^\/[^\0]{1,1000}$/),
    format: z
      .discriminatedUnion('type', [
        z.object({ type: z.literal('text') }),
        z.object({ type: z.literal('json'), subject_token_field_name: z.string().min(1) }),
      ])
      .default({ type: 'text' }),
  }),
});
type CredentialFile = z.output<typeof credentialFile>;

/** For the token of another identity provider (RFC 8693), and perhaps as a service account. */
function federated(ref: SecretRef, means: Means): Keys<string> {
  const { context } = means;
  const told = credentialFile.safeParse(jsonOf(context.secret(ref)));
  if (!told.success) {
    const fields = told.error.issues.map(({ path }) => path.join('.')).filter(Boolean);
    throw new SecretError(
      `${placeOf(ref)}: expected an external account file of workload identity federation whose ` +
        'credential_source is a file with an absolute path, with https URLs ' +
        `(wrong: ${[...new Set(fields)].join(', ') || 'it is no JSON'}); write it with ` +
        '`gcloud iam workload-identity-pools create-cred-config --credential-source-file`',
    );
  }
  const file = told.data;
  const { token_url: url, service_account_impersonation_url: asAccount } = file;
  const urls = asAccount === undefined ? [url] : [url, asAccount];
  // One that is not there shows now, as any secret's.
  let subject = subjectOf(file, context);
  const secrets = () => [subject];
  return given('workload-identity', urls, secrets, means, async (post, askedAt) => {
    subject = subjectOf(file, context);
    const form = new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      ...{ audience: file.audience, subject_token_type: file.subject_token_type },
      subject_token: subject,
      scope: asAccount === undefined ? scope : cloudScope,
    });
    const own = tokenIn(await post(url, form), askedAt);
    if (asAccount === undefined) return own;
    const seconds = file.service_account_impersonation?.token_lifetime_seconds ?? tokenSeconds;
    const body = { scope: [scope], lifetime: `${seconds}s` };
    const said = fieldsOf(await post(asAccount, body, own.keys));
    const { accessToken, expireTime } = said;
    const untilAt = Date.parse(String(expireTime));
    if (!isToken(accessToken) || Number.isNaN(untilAt)) throw new Unreadable();
    // Theirs may be a clock that is ahead: it is never longer than was asked for.
    return { keys: accessToken, untilAt: Math.min(untilAt, askedAt + seconds * 1000) };
  });
}

/** Read anew each time: whoever put it there changes it before it ends. Throws SecretError. */
function subjectOf({ credential_source: source }: CredentialFile, context: AdapterContext): string {
  const { file, format } = source;
  const { current = context.secret } = context;
  const text = current({ file });
  if (format.type === 'text') return text.trim();
  const token = fieldsOf(jsonOf(text))[format.subject_token_field_name];
  if (typeof token === 'string' && token !== '') return token;
  throw new SecretError(
    `file ${file} has no text ${format.subject_token_field_name}: put it there`,
  );
}

/** Posts a form or an object; gives what came back with 200. Rejects with what went wrong. */
type Post = (url: string, post: object | URLSearchParams, bearer?: string) => Promise<unknown>;

function given(
  kind: string,
  urls: readonly string[],
  secrets: () => readonly string[],
  { context, tunnels }: Means,
  ask: (post: Post, askedAt: number) => Promise<Given<string>>,
): Keys<string> {
  const { clock, callTimeoutMs } = context;
  const agents = new Map(
    urls.map((url) => [url, agentFor(url, { keepAlive: false }, context, tunnels)]),
  );
  const needs = [...new Set(urls.map(hostOf))];
  const doing = `a token of ${needs.join(' and ')}`;
  const held = new HeldKeys<string>({
    ...{ kind, from: 'google', doing, needs, clock },
    timeoutMs: urls.length * callTimeoutMs,
    ask: (signal) => {
      const post: Post = (url, what, bearer) =>
        askJson(url, { agent: agents.get(url)!, signal, answerMax, post: what, bearer });
      return ask(post, clock?.wall() ?? Date.now());
    },
    explain: (error) => explain(error, doing),
    secretsOf: (token) => (token === null ? secrets() : [token]),
  });
  return {
    get: (signal) => held.get(signal),
    refused: () => held.refused(),
    facts: () => held.facts(),
    secrets: () => held.secrets(),
    close() {
      held.close();
      for (const agent of agents.values()) agent.destroy();
    },
  };
}

/** Most bytes of one answer: a token has a few hundred. */
const answerMax = 65_536;

/** A success without a token. */
class Unreadable extends Error {}

/** By status and code, never by a message: a refusal in the service's own form is of who asks. */
function explain(error: unknown, doing: string): Trouble | null {
  if (error instanceof Unreadable)
    return garbled(doing, false, 'success was answered, but no token');
  if (!(error instanceof Refused)) return null;
  const { host, status, body, retryAfter } = error;
  const { error: said } = fieldsOf(body);
  const word = scrub(typeof said === 'string' ? said : fieldsOf(said)['status'], []);
  const code = word.replaceAll(/[^\w.-]/g, '');
  const asking = { doing: host, write: false };
  const plain = statusTrouble(status, asking, code, parseRetryAfter(retryAfter, Date.now()));
  if (code === '' || status === 429 || status >= 500) return plain;
  const cure =
    'check the key or the pool, who may use the service account, and this machine’s clock; valid ' +
    'keys are refused in an outage, too';
  return failed('account', 'auth-suspect', plain.fault.detail, { cure });
}

/** `access_token` and how long it holds (RFC 6749, 5.1). Throws Unreadable. */
function tokenIn(said: unknown, askedAt: number): Given<string> {
  const { access_token: keys, expires_in: seconds } = fieldsOf(said);
  if (!isToken(keys) || typeof seconds !== 'number') throw new Unreadable();
  return { keys, untilAt: askedAt + seconds * 1000 };
}

/** Fit for a header. */
function isToken(value: unknown): value is string {
  return typeof value === 'string' && /^[\x21-\x7e]{1,16384}$/.test(value);
}

function hostOf(url: string): string {
  return new URL(url).hostname;
}

// ---------------------------------------------------------------- files

function placeOf(ref: SecretRef): string {
  if ('env' in ref) return `environment variable ${ref.env}`;
  return 'file' in ref ? `file ${ref.file}` : `credential ${ref.credential}`;
}
