// The operators' door over the network as the configuration in force has it: its secrets read and
// read again, opened, and opened anew where a reload changes it. Loaded where it is configured. It
// must never close a door that works for one that cannot be built.

import { createSecureContext } from 'node:tls';
import type { Config } from '../config/config.ts';
import { type Renewal, Renewed } from '../kit/renew.ts';
import type { SecretRef } from '../kit/schema.ts';
import { SecretError } from '../kit/secret.ts';
import { type ApiOptions, type Identity, serveApi } from '../serve/api.ts';
import { LINK_PURPOSE } from '../serve/link.ts';
import { createTokens, type Tokens } from '../serve/tokens.ts';
import { buildKeys, ConfigError, secrets } from './build.ts';

type Wanted = Pick<Config, 'api' | 'clusterKeys' | 'page'>;

interface DoorParts
  extends Pick<
    ApiOptions,
    'desk' | 'readers' | 'version' | 'trouble' | 'note' | 'rates' | 'pages'
  > {
  readonly told: (where: string, renewal: Renewal) => void;
}

export interface ApiDoor {
  /**
   * Has the door as it is configured, or none. What could not be had yet, one sentence each; throws
   * ConfigError where a file or secret cannot be used, and leaves what was there.
   */
  take(config: Wanted): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** As long as an order may take. */
const ANSWER_MS = 25_000;

interface Open {
  readonly wanted: string;
  readonly served: Awaited<ReturnType<typeof serveApi>>;
  readonly parts: Built;
}

export function createApiDoor(options: DoorParts): ApiDoor {
  let open: Open | null = null;
  let ended = false;
  const leaving = new Map<Open, Promise<void>>();
  const end = (graceMs?: number): Promise<void> => {
    const was = open;
    open = null;
    if (was === null) return Promise.resolve();
    const gone = was.served.close(graceMs).then(() => was.parts.close());
    leaving.set(was, gone);
    return gone.finally(() => leaving.delete(was));
  };
  return {
    async take(config) {
      const { api } = config;
      const wanted = JSON.stringify([api, config.clusterKeys, config.page]);
      // Who orders the reload by this very door is answered by it still.
      if (api === null || ended) void end(ANSWER_MS);
      else if (open?.wanted !== wanted) {
        const parts = built(config, api, options.told);
        void end(ANSWER_MS);
        const { names } = api;
        const served = await serveApi({
          ...options,
          ...api.listen,
          ...parts,
          pages: config.page === 'off' ? null : (options.pages ?? null),
          names,
          wall: Date.now,
        });
        open = { wanted, served, parts };
        // A reload may still be under way while everything ends.
        if (ended) await end();
      }
      if (open === null || open.served.listens) return [];
      return [
        `api.listen: ${api?.listen.host}:${api?.listen.port} cannot be had yet, and is tried again`,
      ];
    },
    close() {
      ended = true;
      for (const { served } of leaving.keys()) served.cut();
      void end();
      return Promise.all(leaving.values()).then(() => {});
    },
  };
}

interface Built extends Pick<ApiOptions, 'identity' | 'tokens' | 'links'> {
  close(): void;
}

function built(config: Wanted, api: NonNullable<Config['api']>, told: DoorParts['told']): Built {
  const problems: string[] = [];
  const renewed = <T extends { close(): void }>(
    what: string,
    make: (secret: (ref: SecretRef) => string) => T,
  ): Renewed<T> | null => {
    try {
      return new Renewed(secrets, make, { told: (renewal) => told(what, renewal), graceMs: 0 });
    } catch (error) {
      if (!(error instanceof SecretError)) throw error;
      problems.push(`${what}: ${error.message}`);
      return null;
    }
  };
  const identity = renewed('api', (secret) =>
    identityOf(secret({ file: api.cert }), secret({ file: api.key })),
  );
  const tokens = renewed('api', (secret): Tokens => {
    const texts = Object.entries(api.tokens).map(
      ([name, { token, role }]) => [name, { text: secret(token), role }] as const,
    );
    return createTokens(Object.fromEntries(texts));
  });
  // Whether the key is sound is said where markers are signed.
  const keys = api.url === null || problems.length > 0 ? null : buildKeys({ ...config }, () => {});
  if (identity === null || tokens === null) throw new ConfigError(problems);
  return {
    identity: () => identity.get(),
    tokens: () => tokens.get(),
    links: keys === null ? null : () => keys.get().derive(LINK_PURPOSE),
    close: () => {
      for (const one of [identity, tokens, keys]) one?.close();
    },
  };
}

/** A certificate and its key that belong together. */
function identityOf(cert: string, key: string): Identity & { close(): void } {
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new SecretError(
      `cert and key cannot be used together (${code ?? message.split('\n')[0]}): ` +
        'both are PEM, the key is of the certificate and has no passphrase',
    );
  }
  return { cert, key, close: () => {} };
}
