// A visit: what a check asks, asked as somebody does who has typed a public name, of one address. It
// must never send a secret, nor who we are: what answers may be nobody that the check knows. It
// judges no more than the check does.

import type { CheckId, Name } from '../core/model.ts';
import type { PathSpec } from '../kit/extend.ts';
import type { Visited, Visitor } from '../ports.ts';
import { textOf } from './decode.ts';
import { askOnce, type HttpSettings } from './http.ts';
import { type Means, problemOfPath, travel, wayOf } from './path.ts';
import { blind, messageOf } from './words.ts';

/** On the one host. */
const redirectsMost = 3;
/** Bytes of a body that are shown to who visits. */
const bodyMost = 65_536;

interface Asked {
  readonly kind: string;
  readonly settings: unknown;
  readonly timeoutMs: number;
}

/** How a check can be visited: whether by https, and the name that it asks; null: it cannot be. */
export function visitable({
  kind,
  settings,
}: Asked): { readonly secure: boolean; readonly host: string } | null {
  if (kind !== 'http') return null;
  const { http, host, basic, sign, client, secretHeaders } = settings as HttpSettings;
  // Without them it is another question, whose answer shows nothing.
  const isPlain = !basic && !sign && !client && Object.keys(secretHeaders).length === 0;
  const { protocol, hostname } = new URL(http);
  const own = (host ?? hostname).replace(/:\d+$/, '');
  return isPlain ? { secure: protocol === 'https:', host: own } : null;
}

/** Whether visits can be made by a path: an exporter shows no answer. */
export function visitsBy(path: PathSpec): boolean {
  return path.kind !== 'blackbox' && problemOfPath(path) === null;
}

export function createVisitor(
  probes: Readonly<Record<CheckId, Asked>>,
  paths: Readonly<Record<string, PathSpec>>,
  means: Means,
): Visitor {
  return {
    async visit({ check, path, address, name }, signal) {
      const [asked, spec] = [probes[check], paths[path]];
      try {
        if (asked === undefined || visitable(asked) === null || spec === undefined) {
          throw new Error(`${check} cannot be visited by ${path}`);
        }
        const settings = under(asked.settings as HttpSettings, address, name);
        let answer: Visited['answer'] = null;
        let code = '';
        const result = await travel(wayOf(spec, means), asked.timeoutMs, signal, async (trip) => {
          const asking = askOnce(trip, settings).catch((error: NodeJS.ErrnoException) => {
            code = error.code ?? '';
            throw error;
          });
          const { reply, answer: judged, location } = await asking;
          const { status, server, hsts, type, body } = reply;
          const shown = textOf(body.subarray(0, bodyMost), type);
          const where = location?.href ?? reply.location;
          answer = { status, server, hsts, type, location: where, body: shown.text };
          return judged;
        });
        const isShown = result.reason === 'tls' && isOfCertificate(code);
        return { ...result, ...(isShown ? { reason: 'certificate' } : {}), answer };
      } catch (error) {
        return { ...blind('internal', messageOf(error)), phases: {}, answer: null };
      }
    },
  };
}

/** Errors of verifying are OpenSSL's own words; those of the protocol begin otherwise. */
function isOfCertificate(code: string): boolean {
  return code.startsWith('ERR_TLS_CERT_') || !/^(?:ERR_|E[A-Z]+$)/.test(code);
}

/** The same question at that address; days of the certificate are for who visits to judge. */
function under(asked: HttpSettings, address: string, name: Name | null): HttpSettings {
  const { certificateDays: _, ...expect } = asked.expect;
  const base = { ...asked, address, expect };
  if (name === null) return base;
  const { host: __, ...rest } = base;
  const url = new URL(asked.http);
  url.hostname = name.replace(/\.$/, '');
  // A browser goes on to https and to the first page by itself.
  return { ...rest, http: url.href, redirects: Math.max(redirectsMost, asked.redirects) };
}
