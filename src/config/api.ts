// The control API over HTTPS, as it stands in a configuration: where it listens, who may do what,
// by which names it is called. Off until it is there. It reads and refuses; what is lawful but
// unwise is a warning. It must never let a token through that is written out, nor quote one.

import { isDeepStrictEqual } from 'node:util';
import type { ApiRole } from '../core/model.ts';
import { type HostPort, parseHostPort, type SecretRef, toName } from '../kit/schema.ts';
import { fields } from './fields.ts';
import { type MapTree, plainOf, readFields, readPlain, type Source } from './text.ts';

export interface ApiConfig {
  readonly listen: HostPort;
  /** PEM files. */
  readonly cert: string;
  readonly key: string;
  readonly tokens: Readonly<Record<string, { readonly token: SecretRef; readonly role: ApiRole }>>;
  /** Hosts by which it may be called: names with their last dot, addresses; that of `url` too. */
  readonly names: readonly string[];
  /** What a person's browser calls it by, without a slash at its end; null: no links in notices. */
  readonly url: string | null;
}

/** null: it is off, or something is wrong that has been noted. */
export function readApi(
  source: Source,
  root: MapTree,
  readers: string | undefined,
): ApiConfig | null {
  const tree = root.entries.get('api')?.tree;
  if (tree === undefined) return null;
  const { tokens: tokensField, ...plain } = fields.api;
  const given = readFields(source, ['api'], tree, plain, ['tokens']);
  const asked = tree.kind === 'map' ? tree.entries.get('tokens')?.tree : undefined;
  // A token may have been put there by mistake: nothing of it is quoted.
  const tokens = readPlain(source, ['api', 'tokens'], plainOf(asked), tokensField, 'kind', []);
  const { listen, cert, key, names = [], url = null } = given;
  if (!root.entries.has('clusterKey') && url !== null) {
    const message = 'no clusterKey: it signs links, so that notices bear none; make one with';
    source.warning(['api', 'url'], `${message} \`detour init --key-only FILE\``);
  }
  const place = listen === undefined ? null : parseHostPort(listen, null);
  if (place !== null && isDeepStrictEqual(place, parseHostPort(readers ?? '', null))) {
    source.problem(['api', 'listen'], 'is where `listen` is, too: give each its own port');
  }
  if (place === null || cert === undefined || key === undefined || tokens === undefined)
    return null;
  const called = url === null ? [] : [hostOf(url)];
  return { listen: place, cert, key, tokens, names: [...new Set([...names, ...called])], url };
}

function hostOf(url: string): string {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  return toName(host) ?? host;
}
