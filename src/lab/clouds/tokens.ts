// The token services of the lab's clouds: AWS's STS (2011-06-15) and Alibaba's (2015-04-01), each
// with one role, one key that may take it, and one issuer of OIDC tokens that it trusts. They check
// every signature and token and refuse as the real ones do. One must never give a session to who has
// not shown the key or a good token, nor one that lasts longer than its role allows.
// Sources: the API references of both (read 2026-11); Alibaba's error words partly from memory.

import {
  createHmac,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  sign,
  timingSafeEqual,
  verify,
} from 'node:crypto';
import { stringToSign } from '../vendors/alidns.ts';
import type { Session, Sessions } from '../vendors/sessions.ts';
import { type SignedRequest, signatureFlaw } from '../vendors/sigv4.ts';

/** Who may take which role, and for how long. */
export interface Trust {
  readonly roleArn: string;
  /** What the role allows a session at most, in milliseconds. */
  readonly sessionMaxMs: number;
  /** The key that may take it. */
  readonly key: { readonly accessKeyId: string; readonly secret: string };
  /** What its trust policy wants to be told. */
  readonly externalId?: string;
  /** The issuer whose tokens for this subject may take it. */
  readonly issuer: Issuer;
  readonly subject: string;
}

interface TokenReply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** One token service: what it answers; `isDenied`: it takes no key, however good. */
export type TokenService = (request: SignedRequest, isDenied: boolean) => TokenReply;

// ---------------------------------------------------------------- OIDC

const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** What signs the tokens of a Kubernetes cluster's service accounts (ES256). */
export class Issuer {
  readonly #private: KeyObject;
  readonly #public: KeyObject;
  readonly #url: string;
  readonly #wall: () => number;

  constructor(url: string, wall: () => number = Date.now) {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#private = privateKey;
    this.#public = publicKey;
    this.#url = url;
    this.#wall = wall;
  }

  /** A token for a subject, such as `system:serviceaccount:detour:detour`. */
  token(sub: string, aud: string, lifeMs: number): string {
    const seconds = Math.floor(this.#wall() / 1000);
    const claims = { iss: this.#url, sub, aud, iat: seconds, exp: seconds + lifeMs / 1000 };
    const text = `${encoded({ alg: 'ES256', typ: 'JWT' })}.${encoded(claims)}`;
    const key = { key: this.#private, dsaEncoding: 'ieee-p1363' as const };
    return `${text}.${sign('sha256', Buffer.from(text), key).toString('base64url')}`;
  }

  /** What is wrong with a token; null: nothing. */
  flaw(token: string, sub: string, aud: string): 'malformed' | 'expired' | 'other' | null {
    const [head = '', body = '', signature = ''] = token.split('.');
    const key = { key: this.#public, dsaEncoding: 'ieee-p1363' as const };
    const bytes = Buffer.from(signature, 'base64url');
    if (!verify('sha256', Buffer.from(`${head}.${body}`), key, bytes)) return 'malformed';
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as Record<string, unknown>;
    if (Number(claims['exp']) * 1000 <= this.#wall()) return 'expired';
    return claims['sub'] === sub && claims['aud'] === aud ? null : 'other';
  }
}

class Refused extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Seconds that a session is asked for; throws what `wrong` makes. */
function lifeOf(text: string | null, maxMs: number, wrong: (message: string) => Refused): number {
  const seconds = Number(text ?? 3600);
  if (!Number.isInteger(seconds) || seconds < 900) throw wrong('is below 900');
  if (seconds * 1000 > maxMs) throw wrong('exceeds the MaxSessionDuration set for this role.');
  return seconds * 1000;
}

// ---------------------------------------------------------------- AWS

const awsAudience = 'sts.amazonaws.com';
const awsSpace = 'https://sts.amazonaws.com/doc/2011-06-15/';
const skewMs = 5 * 60_000;

/** STS of one region. */
export function awsTokens(region: string, trust: Trust, sessions: Sessions): TokenService {
  const { key, issuer, subject, sessionMaxMs, roleArn } = trust;
  const refused = (code: string, message: string, status = 403) =>
    new Refused(status, code, message);
  const denied = (action: string) =>
    refused('AccessDenied', `Not authorized to perform: sts:${action} on resource: ${roleArn}`);
  const give = (action: string, form: URLSearchParams): TokenReply => {
    const lifeMs = lifeOf(form.get('DurationSeconds'), sessionMaxMs, (message) =>
      refused('ValidationError', `The requested DurationSeconds ${message}`, 400),
    );
    const session = sessions.issue(lifeMs);
    const name = form.get('RoleSessionName') ?? '';
    if (!/^[\w+=,.@-]{2,64}$/.test(name)) {
      throw refused('ValidationError', '1 validation error detected: roleSessionName', 400);
    }
    return xml(
      200,
      awsGiven(action, session, `${roleArn.replace(':role/', ':assumed-role/')}/${name}`),
    );
  };
  return (request, isDenied) => {
    const form = new URLSearchParams(request.body.toString('utf8'));
    const action = form.get('Action') ?? '';
    try {
      if (isDenied) throw refused('InvalidClientTokenId', badToken);
      if (form.get('Version') !== '2011-06-15') throw refused('InvalidAction', 'version', 400);
      if (action === 'AssumeRole') {
        const signing = { accessKeyId: key.accessKeyId, secretAccessKey: key.secret };
        const flaw = signatureFlaw(request, { service: 'sts', region, key: signing, skewMs });
        if (flaw?.kind === 'unknown-key') throw refused('InvalidClientTokenId', badToken);
        if (flaw?.kind === 'missing') throw refused('MissingAuthenticationToken', 'unsigned');
        if (flaw !== null) throw refused('SignatureDoesNotMatch', `the signature is ${flaw.kind}`);
        const isTrusted = (form.get('ExternalId') ?? undefined) === trust.externalId;
        if (form.get('RoleArn') !== roleArn || !isTrusted) throw denied(action);
        return give(action, form);
      }
      if (action === 'AssumeRoleWithWebIdentity') {
        const flaw = issuer.flaw(form.get('WebIdentityToken') ?? '', subject, awsAudience);
        if (flaw === 'malformed') throw refused('InvalidIdentityToken', 'not a valid JWT', 400);
        if (flaw === 'expired') throw refused('ExpiredTokenException', 'Token expired', 400);
        if (flaw !== null || form.get('RoleArn') !== roleArn) throw denied(action);
        return give(action, form);
      }
      throw refused('InvalidAction', 'Could not find operation', 400);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const inner = `<Type>Sender</Type><Code>${error.code}</Code><Message>${error.message}</Message>`;
      const id = `<RequestId>${randomUUID()}</RequestId>`;
      const body = `<ErrorResponse xmlns="${awsSpace}"><Error>${inner}</Error>${id}</ErrorResponse>`;
      return xml(error.status, body);
    }
  };
}

const badToken = 'The security token included in the request is invalid.';

function awsGiven(action: string, session: Session, arn: string): string {
  const { accessKeyId, secret, token, untilAt } = session;
  const expiration = new Date(untilAt).toISOString().replace(/\.\d{3}/, '');
  const keys =
    `<AccessKeyId>${accessKeyId}</AccessKeyId><SecretAccessKey>${secret}</SecretAccessKey>` +
    `<SessionToken>${token}</SessionToken><Expiration>${expiration}</Expiration>`;
  const user = `<Arn>${arn}</Arn><AssumedRoleId>AROALAB:detour</AssumedRoleId>`;
  const result = `<Credentials>${keys}</Credentials><AssumedRoleUser>${user}</AssumedRoleUser>`;
  const id = `<ResponseMetadata><RequestId>${randomUUID()}</RequestId></ResponseMetadata>`;
  return (
    `<${action}Response xmlns="${awsSpace}"><${action}Result>${result}</${action}Result>${id}` +
    `</${action}Response>`
  );
}

function xml(status: number, body: string): TokenReply {
  return { status, type: 'text/xml', body };
}

// ---------------------------------------------------------------- Alibaba

const aliAudience = 'sts.aliyuncs.com';
const aliClockMs = 15 * 60_000;

/** STS of Alibaba Cloud; its role is trusted for OIDC by the provider of this ARN. */
export function aliTokens(providerArn: string, trust: Trust, sessions: Sessions): TokenService {
  const { key, issuer, subject, sessionMaxMs, roleArn } = trust;
  const refused = (status: number, code: string, message: string) =>
    new Refused(status, code, message);
  const give = (form: URLSearchParams): TokenReply => {
    if (form.get('RoleArn') !== roleArn) {
      throw refused(404, 'EntityNotExist.Role', 'The specified Role not exists.');
    }
    const lifeMs = lifeOf(form.get('DurationSeconds'), sessionMaxMs, (message) =>
      refused(400, 'InvalidParameter.DurationSeconds', `DurationSeconds ${message}`),
    );
    const { accessKeyId, secret, token, untilAt } = sessions.issue(lifeMs);
    const expiration = new Date(untilAt).toISOString().replace(/\.\d{3}/, '');
    const keys = { AccessKeyId: accessKeyId, AccessKeySecret: secret, SecurityToken: token };
    const Credentials = { ...keys, Expiration: expiration };
    return said(200, { RequestId: randomUUID().toUpperCase(), Credentials });
  };
  return (request, isDenied) => {
    const form = new URLSearchParams(request.body.toString('utf8'));
    try {
      if (isDenied) throw refused(404, 'InvalidAccessKeyId.NotFound', keyNotFound);
      if (form.get('Version') !== '2015-04-01') {
        throw refused(404, 'InvalidVersion', 'Specified parameter Version is not valid.');
      }
      const action = form.get('Action');
      if (action === 'AssumeRole') {
        checkSignature(request.method, form, key);
        return give(form);
      }
      if (action === 'AssumeRoleWithOIDC') {
        const flaw = issuer.flaw(form.get('OIDCToken') ?? '', subject, aliAudience);
        if (flaw === 'expired') {
          throw refused(400, 'AuthenticationFail.OIDCToken.Expired', 'The OIDC token has expired.');
        }
        if (flaw !== null || form.get('OIDCProviderArn') !== providerArn) {
          throw refused(400, 'AuthenticationFail.OIDCToken.Invalid', 'The token is not valid.');
        }
        return give(form);
      }
      throw refused(404, 'InvalidAction.NotFound', 'Specified api is not found.');
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const { status, code: Code, message: Message } = error;
      return said(status, { RequestId: randomUUID().toUpperCase(), Code, Message });
    }
  };
}

const keyNotFound = 'Specified access key is not found.';

function checkSignature(method: string, form: URLSearchParams, key: Trust['key']): void {
  if (form.get('AccessKeyId') !== key.accessKeyId) {
    throw new Refused(404, 'InvalidAccessKeyId.NotFound', keyNotFound);
  }
  if (Math.abs(Date.now() - Date.parse(form.get('Timestamp') ?? '')) > aliClockMs) {
    throw new Refused(400, 'InvalidTimeStamp.Expired', 'Specified time stamp is expired.');
  }
  const toSign = stringToSign(method, new Map(form));
  const right = createHmac('sha1', `${key.secret}&`).update(toSign).digest();
  const given = Buffer.from(form.get('Signature') ?? '', 'base64');
  if (given.length === right.length && timingSafeEqual(given, right)) return;
  throw new Refused(400, 'SignatureDoesNotMatch', 'Specified signature is not matched.');
}

function said(status: number, body: object): TokenReply {
  return { status, type: 'application/json;charset=utf-8', body: JSON.stringify(body) };
}
