// How the lab's Google knows who asks: tokens that a service account signs itself, and those that a
// token service gives for a signed assertion or for a token of another identity provider, as
// oauth2.googleapis.com, sts.googleapis.com and iamcredentials.googleapis.com do. The token service
// is a server of its own that can be dead while everything else lives. It never takes a token whose
// signature, audience or time does not hold, and never says what it would have taken.
// Sources: AIP-4111 and AIP-4117, the reference of STS v1 and of IAM Credentials v1 (read 2026-11).

import {
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  verify,
} from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Listener } from './listener.ts';

/** A service account and one key of it. */
export interface GoogleAccount {
  readonly clientEmail: string;
  readonly keyId: string;
  /** PEM, PKCS #8, RSA. */
  readonly privateKey: string;
}

/** A new account of a project with a key of its own. */
export function newGoogleAccount(project: string): GoogleAccount {
  const encoding = { type: 'pkcs8', format: 'pem' } as const;
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return {
    clientEmail: `detour@${project}.iam.gserviceaccount.com`,
    keyId: randomBytes(20).toString('hex'),
    privateKey: privateKey.export(encoding).toString(),
  };
}

/** The key file that the console gives for an account. */
export function googleKeyFile(project: string, account: GoogleAccount, tokenUri: string): string {
  const { clientEmail, keyId, privateKey } = account;
  const file = {
    ...{ type: 'service_account', project_id: project, private_key_id: keyId },
    ...{ private_key: privateKey, client_email: clientEmail, token_uri: tokenUri },
  };
  return JSON.stringify(file, null, 2);
}

/** A workload identity pool's provider: whose tokens are taken, and for what. */
export interface WorkloadPool {
  /** `//iam.googleapis.com/projects/…/locations/global/workloadIdentityPools/…/providers/…` */
  readonly audience: string;
  readonly issuer: string;
  /** Of the issuer: PEM. */
  readonly publicKey: string;
}

type BearerFlaw = 'unknown' | 'expired' | null;

/** What every API of Google wants of a self-signed token for Cloud DNS. */
const dnsAudience = 'https://dns.googleapis.com/';
const dnsScopes = ['ndev.clouddns.readwrite', 'cloud-platform'].map(
  (word) => `https://www.googleapis.com/auth/${word}`,
);
const skewSeconds = 60;
const tokenSeconds = 3600;
/** Tokens given out that are remembered. */
const tokensMost = 1000;

interface Issued {
  readonly endsAt: number;
  readonly scopes: readonly string[];
  /** Whether it speaks for the service account, or for the workload itself. */
  readonly isAccount: boolean;
}

/** The tokens that one account's APIs take. `wallMs` is the vendor's clock, ms since 1970. */
export class GoogleTokens {
  readonly account: GoogleAccount;
  readonly #publicKey: KeyObject;
  readonly #wallMs: () => number;
  readonly #issued = new Map<string, Issued>();

  constructor(account: GoogleAccount, wallMs: () => number = Date.now) {
    this.account = account;
    this.#publicKey = createPublicKey(account.privateKey);
    this.#wallMs = wallMs;
  }

  get nowSeconds(): number {
    return this.#wallMs() / 1000;
  }

  /** What is wrong with a bearer token for Cloud DNS; null when it is good. */
  flaw(bearer: string): BearerFlaw {
    const issued = this.#issued.get(bearer);
    if (issued === undefined) return this.#signedFlaw(bearer);
    if (!issued.scopes.some((scope) => dnsScopes.includes(scope))) return 'unknown';
    return this.nowSeconds < issued.endsAt ? null : 'expired';
  }

  issue(lifetimeSeconds: number, scopes: readonly string[], isAccount: boolean): string {
    const token = `ya29.${randomBytes(40).toString('base64url')}`;
    const endsAt = this.nowSeconds + lifetimeSeconds;
    this.#issued.set(token, { endsAt, scopes, isAccount });
    const oldest = this.#issued.keys().next();
    if (this.#issued.size > tokensMost && !oldest.done) this.#issued.delete(oldest.value);
    return token;
  }

  /** Whether a token speaks for a workload, and may be exchanged for the account's. */
  mayImpersonate(bearer: string): boolean {
    const issued = this.#issued.get(bearer);
    return issued !== undefined && !issued.isAccount && this.nowSeconds < issued.endsAt;
  }

  /** The claims of a token that the account has signed; null when it has not. */
  signedClaims(token: string): Readonly<Record<string, unknown>> | null {
    const read = readJwt(token, this.#publicKey);
    if (read === null || read.header['kid'] !== this.account.keyId) return null;
    return read.claims['iss'] === this.account.clientEmail ? read.claims : null;
  }

  /** `iat` and `exp` as Google wants them: an hour at most, and now within it. */
  timeFlaw(claims: Readonly<Record<string, unknown>>): BearerFlaw {
    const { iat, exp } = claims;
    if (typeof iat !== 'number' || typeof exp !== 'number') return 'unknown';
    if (exp - iat > tokenSeconds || iat > this.nowSeconds + skewSeconds) return 'unknown';
    return this.nowSeconds < exp + skewSeconds ? null : 'expired';
  }

  /** Self-signed: an audience or scopes, never both (AIP-4111). */
  #signedFlaw(bearer: string): BearerFlaw {
    const claims = this.signedClaims(bearer);
    if (claims === null || claims['sub'] !== this.account.clientEmail) return 'unknown';
    if (claims['aud'] !== dnsAudience || claims['scope'] !== undefined) return 'unknown';
    return this.timeFlaw(claims);
  }
}

interface Jwt {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** A token signed with RS256 by this key (RFC 7515, RFC 7518 3.3); null for anything else. */
function readJwt(token: string, key: KeyObject): Jwt | null {
  const [head, body, signature, ...more] = token.split('.');
  if (head === undefined || body === undefined || signature === undefined || more.length > 0) {
    return null;
  }
  const [header, claims] = [head, body].map(decodePart);
  if (!header || !claims || header['alg'] !== 'RS256') return null;
  const signed = Buffer.from(`${head}.${body}`);
  const isSigned = verify('RSA-SHA256', signed, key, Buffer.from(signature, 'base64url'));
  return isSigned ? { header, claims } : null;
}

function decodePart(part: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString());
    return typeof value === 'object' && value !== null ? (value as Jwt['claims']) : null;
  } catch {
    return null; // not JSON, so no token
  }
}

// ---------------------------------------------------------------- the token service

/**
 * The ways to kill it: no connection, no answer, a cut, its own 503, a proxy's page; `deny` refuses
 * what is asked for as the real ones do.
 */
const tokenFaults = ['refuse', 'hang', 'reset', 'error', 'html', 'deny'] as const;
type TokenFault = (typeof tokenFaults)[number];

interface GoogleTokenService {
  /** Base URL of all three services. */
  readonly api: string;
  /** What was asked, oldest first: `oauth`, `sts`, `iam`. */
  readonly asked: readonly string[];
  fault(how: TokenFault | null): Promise<void>;
  close(): Promise<void>;
}

const bodyMost = 65_536;
const askedMost = 10_000;
const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange';
const assertionGrant = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token';
const jwtType = 'urn:ietf:params:oauth:token-type:jwt';

/** Starts it at an address and a port; 0 takes a free one. Rejects when they cannot be had. */
export async function startGoogleTokens(options: {
  readonly address: string;
  readonly port: number;
  readonly tokens: GoogleTokens;
  readonly pool: WorkloadPool;
  /** The longest life of an impersonated token, in seconds: 3,600 unless a policy allows 43,200. */
  readonly lifetimeMost?: number;
}): Promise<GoogleTokenService> {
  const service = new TokenService(options);
  await service.open();
  return service;
}

interface Answered {
  readonly status: number;
  readonly body: object;
}

class TokenService implements GoogleTokenService {
  readonly asked: string[] = [];
  readonly #options: Parameters<typeof startGoogleTokens>[0];
  readonly #listener: Listener;
  readonly #issuer: KeyObject;
  #fault: TokenFault | null = null;

  constructor(options: Parameters<typeof startGoogleTokens>[0]) {
    this.#options = options;
    this.#issuer = createPublicKey(options.pool.publicKey);
    this.#listener = new Listener({
      address: options.address,
      port: options.port,
      make: () => createServer((request, response) => void this.#serve(request, response)),
      accepted: () => {},
    });
  }

  get api(): string {
    return `http://${this.#listener.address}:${this.#listener.port}`;
  }

  open(): Promise<void> {
    return this.#listener.inTurn(() => this.#listener.open());
  }

  fault(how: TokenFault | null): Promise<void> {
    return this.#listener.inTurn(async () => {
      this.#fault = how;
      if (how === 'refuse') return this.#listener.shut();
      // What hung must not be answered by the healed service.
      this.#listener.drop();
      await this.#listener.open();
    });
  }

  close(): Promise<void> {
    return this.#listener.close();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readText(request);
    if (body === null) return request.socket.destroy() && undefined;
    const path = request.url ?? '/';
    const word = path === '/token' ? 'oauth' : path === '/v1/token' ? 'sts' : 'iam';
    this.asked.push(word);
    if (this.asked.length > askedMost) this.asked.shift();
    if (this.#fault === 'hang') return;
    if (this.#fault === 'reset') return void request.socket.resetAndDestroy();
    if (this.#fault === 'html') {
      response.writeHead(502, { 'content-type': 'text/html' });
      return void response.end('<html><h1>502 Bad Gateway</h1></html>');
    }
    const { status, body: said } = this.#answer(request, word, body);
    response.writeHead(status, { 'content-type': 'application/json; charset=UTF-8' });
    response.end(JSON.stringify(said));
  }

  #answer(request: IncomingMessage, word: string, body: string): Answered {
    if (this.#fault === 'error') {
      return word === 'iam'
        ? apiError(503, 'The service is currently unavailable.', 'UNAVAILABLE')
        : oauthError(503, 'server_error', 'The service is currently unavailable.');
    }
    if (request.method !== 'POST') return oauthError(404, 'not_found', 'Not Found');
    if (word === 'oauth') return this.#byAssertion(new URLSearchParams(body));
    if (word === 'sts') return this.#byExchange(new URLSearchParams(body));
    return this.#impersonate(request, body);
  }

  /** RFC 7523 as oauth2.googleapis.com takes it: signed by the account, for this very address. */
  #byAssertion(form: URLSearchParams): Answered {
    const { tokens } = this.#options;
    if (form.get('grant_type') !== assertionGrant) {
      return oauthError(400, 'unsupported_grant_type', 'Invalid grant_type');
    }
    const claims = tokens.signedClaims(form.get('assertion') ?? '');
    if (claims === null || this.#fault === 'deny') {
      return oauthError(400, 'invalid_grant', 'Invalid JWT Signature.');
    }
    const isHere = claims['aud'] === `${this.api}/token`;
    if (!isHere) return oauthError(400, 'invalid_grant', 'Invalid JWT: Failed audience check.');
    if (tokens.timeFlaw(claims) !== null) {
      const text =
        'Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.';
      return oauthError(400, 'invalid_grant', text);
    }
    const scopes = String(claims['scope'] ?? '').split(' ');
    const access_token = tokens.issue(tokenSeconds, scopes, true);
    return {
      status: 200,
      body: { access_token, expires_in: tokenSeconds - 1, token_type: 'Bearer' },
    };
  }

  /** RFC 8693 as STS takes it: a token of the pool's issuer, for the pool's provider. */
  #byExchange(form: URLSearchParams): Answered {
    const { tokens, pool } = this.#options;
    const wrong =
      form.get('grant_type') !== exchangeGrant ||
      form.get('requested_token_type') !== accessTokenType ||
      form.get('subject_token_type') !== jwtType ||
      !form.has('scope');
    if (wrong) return oauthError(400, 'invalid_request', 'Invalid token exchange request.');
    if (form.get('audience') !== pool.audience) {
      return oauthError(400, 'invalid_target', 'The target service indicated is invalid.');
    }
    const read = readJwt(form.get('subject_token') ?? '', this.#issuer);
    const claims = read?.claims ?? {};
    const isTaken = claims['iss'] === pool.issuer && claims['aud'] === pool.audience;
    if (read === null || !isTaken || this.#fault === 'deny') {
      return oauthError(400, 'invalid_grant', 'The credential received is invalid.');
    }
    if (Number(claims['exp']) < tokens.nowSeconds) {
      const text = `ID Token issued at ${claims['iat']} is stale to sign-in.`;
      return oauthError(400, 'invalid_grant', text);
    }
    const scopes = (form.get('scope') ?? '').split(' ');
    const access_token = tokens.issue(tokenSeconds, scopes, false);
    return {
      status: 200,
      body: {
        access_token,
        issued_token_type: accessTokenType,
        token_type: 'Bearer',
        expires_in: tokenSeconds - 1,
      },
    };
  }

  /** generateAccessToken of IAM Credentials v1. */
  #impersonate({ url, headers }: IncomingMessage, body: string): Answered {
    const { tokens, lifetimeMost = tokenSeconds } = this.#options;
    const path = `/v1/projects/-/serviceAccounts/${tokens.account.clientEmail}:generateAccessToken`;
    const isOurs = url === path || url === path.replace('@', '%40');
    if (!isOurs || this.#fault === 'deny') {
      const text = `Permission 'iam.serviceAccounts.getAccessToken' denied on resource`;
      return apiError(403, `${text} (or it may not exist).`, 'PERMISSION_DENIED');
    }
    const [, bearer = ''] = /^Bearer (\S+)$/.exec(headers.authorization ?? '') ?? [];
    if (!tokens.mayImpersonate(bearer)) {
      const text = 'Request had invalid authentication credentials.';
      return apiError(401, text, 'UNAUTHENTICATED');
    }
    const asked = fieldsOf(body);
    const scopes = Array.isArray(asked['scope']) ? asked['scope'].map(String) : [];
    const seconds = Number(
      /^(\d+)s$/.exec(String(asked['lifetime'] ?? '3600s'))?.[1] ?? Number.NaN,
    );
    if (scopes.length === 0 || !(seconds > 0 && seconds <= lifetimeMost)) {
      const text = 'Request contains an invalid argument.';
      return apiError(400, text, 'INVALID_ARGUMENT');
    }
    const expireTime = new Date((tokens.nowSeconds + seconds) * 1000).toISOString();
    return {
      status: 200,
      body: { accessToken: tokens.issue(seconds, scopes, true), expireTime },
    };
  }
}

function oauthError(status: number, error: string, error_description: string): Answered {
  return { status, body: { error, error_description } };
}

function apiError(code: number, message: string, status: string): Answered {
  return { status: code, body: { error: { code, message, status } } };
}

function fieldsOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {}; // refused as an invalid argument
  }
}

/** A body of at most 64 KiB; null for a longer one, or one that was cut. */
function readText(request: IncomingMessage): Promise<string | null> {
  return new Promise((done) => {
    const chunks: Buffer[] = [];
    let octets = 0;
    request.on('data', (chunk: Buffer) => {
      octets += chunk.length;
      if (octets <= bodyMost) chunks.push(chunk);
      else done(null);
    });
    request.on('end', () => done(Buffer.concat(chunks).toString()));
    request.on('error', () => done(null));
    request.on('close', () => done(null));
  });
}
