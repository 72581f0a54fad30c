// The one table of DNS providers: what `type` in the configuration may say, and which adapter
// answers to it. One more vendor is one more file and one more row; nothing else of the house
// knows a vendor by name.

import type { ProviderType } from '../src/kit/extend.ts';
import { alidns } from './alidns.ts';
import { cloudflare } from './cloudflare.ts';
import { dnspod } from './dnspod.ts';
import { powerdns } from './powerdns.ts';
import { rfc2136 } from './rfc2136.ts';
import { route53 } from './route53.ts';

/**
 * Every row by its `type`. `unknown` for the settings: a row's own `settings` reads them before
 * its `create` is given them, and nobody else looks inside.
 */
export const providerTypes: Readonly<Record<string, ProviderType<unknown>>> = {
  route53,
  cloudflare,
  alidns,
  dnspod,
  rfc2136,
  powerdns,
};
