// Where a vendor's API is reached: one notation for every adapter that speaks HTTP. It must never
// let a key travel in the clear: plain http is taken for this machine alone (design, rule 21), and
// a URL with a user, a query or a fragment is refused, because such a URL may carry a secret.

import { isIPv4 } from 'node:net';
import { z } from 'zod';

/** An API's base URL without its trailing slash; https, or http on this machine only. */
export const endpoint = z
  .string()
  .describe("base URL of the vendor's API, such as https://dns.example.net")
  .transform((text, context) => {
    const url = URL.canParse(text) ? new URL(text) : null;
    const wrong = url === null ? 'expected a URL such as https://dns.example.net' : objection(url);
    if (wrong === null) return text.replace(/\/+$/, '');
    context.addIssue({ code: 'custom', message: wrong });
    return z.NEVER;
  });

function objection(url: URL): string | null {
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    return 'expected a URL without user, query or fragment; keys are given by reference';
  }
  if (url.protocol === 'https:') return null;
  if (url.protocol !== 'http:') return 'expected an https URL';
  return isLoopback(url.hostname)
    ? null
    : 'expected https: plain http is taken for this machine only (127.0.0.0/8, [::1], localhost)';
}

function isLoopback(host: string): boolean {
  return (isIPv4(host) && host.startsWith('127.')) || host === '[::1]' || host === 'localhost';
}
