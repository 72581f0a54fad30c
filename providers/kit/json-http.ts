// One question to an API that speaks JSON over HTTP: what it answers with 200 as a value, and
// anything else as an error that holds its status and what could be read of it. It must never follow
// a redirect, never read without a bound, and never take what is no JSON for an answer.

import type { Agent } from 'node:http';
import fetch from 'node-fetch';

/** What was answered in the place of what was asked for. */
export class Refused extends Error {
  readonly host: string;
  readonly status: number;
  /** The JSON of it; undefined where it is none. */
  readonly body: unknown;
  readonly retryAfter: string | null;

  constructor(url: string, status: number, body: unknown, retryAfter: string | null) {
    super(`HTTP ${status}`);
    this.host = new URL(url).hostname;
    this.status = status;
    this.body = body;
    this.retryAfter = retryAfter;
  }
}

/** Asks once: a GET, or a POST of what is given. Rejects with Refused, or what the network says. */
export async function askJson(
  url: string,
  options: {
    readonly agent: Agent;
    readonly signal: AbortSignal;
    /** Most bytes of the answer. */
    readonly answerMax: number;
    readonly bearer?: string | undefined;
    /** An object goes as JSON, a form as one. */
    readonly post?: object | URLSearchParams | undefined;
  },
): Promise<unknown> {
  const { agent, signal, answerMax: size, bearer, post } = options;
  const isForm = post instanceof URLSearchParams;
  const type = isForm ? 'application/x-www-form-urlencoded' : 'application/json';
  const response = await fetch(url, {
    method: post === undefined ? 'GET' : 'POST',
    headers: {
      accept: 'application/json',
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
      ...(post === undefined ? {} : { 'content-type': type }),
    },
    body: post === undefined ? null : isForm ? post.toString() : JSON.stringify(post),
    redirect: 'manual',
    ...{ agent, signal, size },
  });
  const text = await response.text();
  const { status, headers } = response;
  if (status === 200) return JSON.parse(text) as unknown;
  throw new Refused(url, status, jsonOf(text), headers.get('retry-after'));
}

/** Undefined for what is no JSON: the parser's own words quote the text. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
