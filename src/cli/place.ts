// Where the daemon is that a command talks to: at a socket of this machine, or at its API by HTTPS
// with a token. It opens one connection for one request, verifies the server's certificate, and
// turns what goes wrong with the network into what a person does about it. It must never print a
// token.

import type { IncomingMessage, RequestOptions } from 'node:http';
import { type Cli, CliError, defaultSocket } from './hands.ts';

export interface PlaceOptions {
  readonly socket?: string;
  readonly api?: string;
  readonly tokenFile?: string;
  readonly ca?: string;
}

export interface Place {
  /** A path or a URL, for people. */
  readonly name: string;
  readonly isApi: boolean;
  /** One exchange up to the head of the answer. Rejects with the system's error, or a CliError. */
  ask(
    how: Pick<RequestOptions, 'path' | 'method' | 'signal'>,
    body: string | undefined,
  ): Promise<IncomingMessage>;
}

/** Options before the environment, and what is named before what is usual. Throws CliError. */
export function placeOf({ io: { env } }: Cli, options: PlaceOptions): Place {
  const { socket, api } = options;
  if (socket && api) throw new CliError(2, '--socket and --api: name one place');
  const url = api || (socket ? undefined : env['DETOUR_API']);
  if (!url) return atSocket(socket || env['DETOUR_SOCKET'] || defaultSocket);
  const token = options.tokenFile || env['DETOUR_TOKEN_FILE'];
  if (!token)
    throw new CliError(2, `${url}: name its token with --token-file or DETOUR_TOKEN_FILE`);
  return atApi(url, token, options.ca || env['DETOUR_CA']);
}

function atSocket(path: string): Place {
  return {
    name: path,
    isApi: false,
    async ask(how, body) {
      const { request } = process.getBuiltinModule('node:http');
      return exchange(request({ ...how, socketPath: path, agent: false }), body);
    },
  };
}

function atApi(text: string, tokenFile: string, ca: string | undefined): Place {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol !== 'https:' || url.username !== '' || url.search !== '' || url.hash !== '') {
    throw new CliError(2, '--api: expected https://HOST or https://HOST:PORT');
  }
  const below = url.pathname.replace(/\/+$/, '');
  return {
    name: url.origin + below,
    isApi: true,
    async ask(how, body) {
      const { request } = process.getBuiltinModule('node:https');
      const read = await reader();
      const authorization = `Bearer ${read('--token-file', tokenFile)}`;
      const trust = ca === undefined ? {} : { ca: read('--ca', ca) };
      const asked = request(url, {
        ...how,
        ...trust,
        path: `${below}${how.path}`,
        headers: { authorization },
        agent: false,
      });
      return exchange(asked, body);
    },
  };
}

async function reader(): Promise<(what: string, file: string) => string> {
  const { readSecret, SecretError } = await import('../kit/secret.ts');
  return (what, file) => {
    try {
      return readSecret({ file }, {});
    } catch (error) {
      if (!(error instanceof SecretError)) throw error;
      throw new CliError(2, `${what}: ${error.message}`);
    }
  };
}

function exchange(
  asked: import('node:http').ClientRequest,
  body: string | undefined,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    asked.on('response', resolve);
    asked.on('error', reject);
    if (body !== undefined) asked.setHeader('content-type', 'application/json');
    asked.end(body);
  });
}

/** What is said of an API that cannot be reached, and what to do. */
export function whyNoApi(place: Place, { code, message }: NodeJS.ErrnoException): string {
  const why = words[code ?? ''] ?? `the exchange broke off (${code ?? message})`;
  return `no answer from the API at ${place.name}: ${why}`;
}

const authority = 'its certificate is of nobody this machine trusts: name who vouches with --ca';
const words: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'its certificate has expired',
  DEPTH_ZERO_SELF_SIGNED_CERT: authority,
  ECONNREFUSED: 'nobody listens there',
  ECONNRESET: 'it broke the connection off; it does so with who comes too often',
  ENOTFOUND: 'its host has no address',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host',
  SELF_SIGNED_CERT_IN_CHAIN: authority,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: authority,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: authority,
};
