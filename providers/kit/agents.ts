// How an adapter's client opens its connections: Node's agents, with names looked up as Detour does
// it and certificates verified whatever the environment says. It must never hand out an agent that
// looks names up in the system's few threads, where one silent name makes the next one wait.

import { type AgentOptions, Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { LookupFunction } from 'node:net';
import { systemLookup } from '../../src/dns/lookup.ts';
import type { AdapterContext } from '../../src/kit/extend.ts';

type Means = Pick<AdapterContext, 'lookup'>;

/** What sockets and agents are given to look names up with. */
export function lookupOf({ lookup = systemLookup }: Means): LookupFunction {
  return lookup.lookup;
}

/** An agent for a base URL, or for a scheme with its colon. */
export function agentFor(base: string, options: AgentOptions, context: Means): HttpAgent {
  const own = { ...options, lookup: lookupOf(context) };
  return base.startsWith('https:')
    ? new HttpsAgent({ ...own, rejectUnauthorized: true })
    : new HttpAgent(own);
}
