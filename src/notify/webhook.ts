// Tells somebody by a POST: a message by a ready template, by one of the user's own, or the notice
// as JSON; signed so that whoever receives it can tell that it is ours, whole, and not said again
// by somebody else. It must never send a key over a line that anybody may read, and never show its
// address: for most vendors that is the key.

import { createHmac } from 'node:crypto';
import { z } from 'zod';
import type { Json } from '../core/model.ts';
import { listOf } from '../core/name.ts';
import type { Notifier, NotifierContext, NotifierType, Told } from '../kit/extend.ts';
import { duration, type SecretRef, secretRef } from '../kit/schema.ts';
import { SecretError } from '../kit/secret.ts';
import { faultOfStatus, isHere, post } from './post.ts';
import { type ReadyTemplate, readyTemplates } from './ready.ts';
import { fill, readTemplate, type Template, valuesOf } from './template.ts';

const templateWords = Object.keys(readyTemplates);

const templateError = `expected ${listOf(templateWords, 'or')}, or { file: PATH }`;

export const absoluteFile = z
  .string()
  .regex(/^\/[^\0]{0,1000}$/, { error: 'expected an absolute path, such as /etc/detour/ca.pem' })
  .transform((file) => ({ file }));

const urlError =
  'expected an address such as https://hooks.example.net/detour, or a reference to a secret';

/** An address that is written out, or where it is kept. */
export const addressOrRef = z
  .union([z.string().regex(/^https?:\/\/[^\s]{1,2000}$/i), secretRef], { error: urlError })
  .describe('https://…, or a reference to a secret that holds it');

const headerError = 'expected the name of a header, such as Authorization';
/** What belongs to the message itself. */
const ownHeaders = /^(host|content-.*|transfer-encoding|connection|user-agent|webhook-.*)$/i;

const headers = z
  .record(
    z
      .string()
      .regex(/^[\w-]{1,100}$/, { error: headerError })
      .refine((name) => !ownHeaders.test(name), { error: 'is a header of the message itself' }),
    z.union([z.string().regex(/^[\x20-\x7e]{0,1000}$/), secretRef], {
      error: 'expected a text in ASCII, or a reference to a secret',
    }),
  )
  .describe('headers of the request; what is a key stands as a reference');

const templateFile = z.string().min(1).describe('path of a template of your own');

const shape = z
  .strictObject({
    url: addressOrRef.optional(),
    template: z
      .union([z.enum(templateWords), z.strictObject({ file: templateFile })], {
        error: templateError,
      })
      .optional()
      .describe('how the message looks; absent: the notice as JSON'),
    secret: secretRef.optional().describe('signs the message; of pagerduty the integration key'),
    headers: headers.optional(),
    ca: absoluteFile.optional().describe('PEM file of who vouches for the other end'),
    timeout: duration('100ms', '30s').prefault('10s').describe('limit of one telling'),
  })
  .superRefine(({ url, template, secret }, context) => {
    const wrong = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message });
    const ready = typeof template === 'string' ? readyTemplates[template]! : null;
    if (url === undefined && (ready?.url ?? null) === null) wrong('url', `is missing: ${urlError}`);
    if (typeof url === 'string' && ready?.isUrlSecret === true) {
      wrong(
        'url',
        `is a key at ${String(template)}: keep it in { file: PATH }, { env: NAME } or …`,
      );
    }
    if (ready?.secret === 'is in the message' && secret === undefined) {
      wrong('secret', 'is missing: a reference to the integration key');
    }
  });

const settings = z.strictObject({ webhook: shape });

type Settings = z.infer<typeof shape>;

export const webhook: NotifierType<z.infer<typeof settings>> = {
  key: 'webhook',
  settings,
  create: ({ webhook }, context) => createWebhook(webhook, context),
};

/** More than any receiver takes. */
const bodyBytesMax = 262_144;

function createWebhook(settings: Settings, context: NotifierContext): Notifier<Told> {
  const { secret } = context;
  const ready = typeof settings.template === 'string' ? readyTemplates[settings.template]! : null;
  const { url, isSecret } = urlOf(settings, ready, secret);
  const template = templateOf(settings, secret);
  const key = settings.secret === undefined ? null : secret(settings.secret);
  const ca = settings.ca === undefined ? null : secret(settings.ca);
  const given = Object.entries(settings.headers ?? {}).map(
    ([name, value]) => [name, typeof value === 'string' ? value : secret(value)] as const,
  );
  const hasKey = isSecret || ready?.secret === 'is in the message' || hasRef(settings.headers);
  if (url.protocol === 'http:' && hasKey && !isHere(url)) {
    throw new SecretError('its url is plain http, which would show its key: give https');
  }
  return {
    async notify(told, signal) {
      const plain = messageOf(told, template, key);
      const wall = context.wall();
      const dressed = key === null ? undefined : ready?.dress?.({ url, body: plain }, key, wall);
      const message = dressed ?? { url, body: plain };
      const body = JSON.stringify(message.body);
      const signs = key !== null && ready === null;
      const answer = await post(
        {
          url: message.url,
          body,
          ca,
          timeoutMs: settings.timeout,
          headers: {
            ...Object.fromEntries(given),
            ...(signs ? signatureOf(told.id, body, key, wall) : {}),
          },
        },
        context,
        signal,
      );
      const fault = ready === null ? faultOfStatus(answer) : ready.judge(answer);
      if (fault !== null) throw fault;
    },
  };
}

function hasRef(headers: Settings['headers']): boolean {
  return Object.values(headers ?? {}).some((value) => typeof value !== 'string');
}

/** Throws SecretError, without a letter of the address. */
function urlOf(
  settings: Settings,
  ready: ReadyTemplate | null,
  secret: (ref: SecretRef) => string,
): { readonly url: URL; readonly isSecret: boolean } {
  const given = settings.url ?? ready?.url ?? '';
  const isSecret = typeof given !== 'string';
  const text = isSecret ? secret(given).trim() : given;
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new SecretError('its url is none that begins with https://');
  }
  return { url, isSecret };
}

function templateOf({ template }: Settings, secret: (ref: SecretRef) => string): Template | null {
  if (template === undefined) return null;
  if (typeof template === 'string') return readyTemplates[template]!.template;
  const read = readTemplate(secret(template));
  if (typeof read !== 'string') return read.template;
  throw new SecretError(`template ${template.file} ${read}`);
}

function messageOf(told: Told, template: Template | null, key: string | null): Json {
  const of = (one: Told): Json =>
    template === null ? ({ ...one } as Json) : fill(template, valuesOf(one, key));
  const whole = of(told);
  // What a decision rests on may be long; the rest says where to find it.
  return JSON.stringify(whole).length <= bodyBytesMax ? whole : of({ ...told, data: null });
}

/**
 * By Standard Webhooks 1.0 (https://github.com/standard-webhooks/standard-webhooks, its
 * spec/standard-webhooks.md, read 2026-11-30): the id stays through all attempts, the time is that of
 * this one, and both are signed with the body. A key `whsec_…` is base64, any other is itself.
 */
function signatureOf(
  id: string,
  body: string,
  key: string,
  wall: number,
): Readonly<Record<string, string>> {
  const timestamp = String(Math.floor(wall / 1000));
  const bytes = key.startsWith('whsec_') ? Buffer.from(key.slice(6), 'base64') : Buffer.from(key);
  const whole = [id, timestamp, body].join('.');
  const signed = createHmac('sha256', bytes).update(whole).digest('base64');
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${signed}`,
  };
}
