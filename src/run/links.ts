// Links in notices: where a person answers a decision by its page. Made at the edge, for each
// channel its own, so that the journal says by which it came. It knows no channel, and must never
// make a link that outlives its decision.

import type { Notice } from '../core/model.ts';
import { type Link, signLink } from '../serve/link.ts';

type LinkFor = (
  notice: Pick<Notice, 'state' | 'data'>,
  channel: string,
  action: Link['action'],
) => string | null;

/**
 * The address of the page for one word about the decision that a notice asks for; null: the notice asks
 * for none. `url` as in `ApiConfig`; `keys` of `LINK_PURPOSE`, the current first.
 */
export function createLinker(url: string, keys: () => readonly Buffer[]): LinkFor {
  return ({ state, data }, channel, action) => {
    if (state !== 'open' || typeof data !== 'object' || data === null || Array.isArray(data)) {
      return null;
    }
    const { approval: id, expiresWall } = data as { approval?: unknown; expiresWall?: unknown };
    if (typeof id !== 'string' || typeof expiresWall !== 'number') return null;
    return `${url}/v1/link/${signLink(keys()[0]!, { id, channel, expiresWall, action })}`;
  };
}
