// Tells Alertmanager by its API v2: what is open is an alert, sent again before it would be taken
// for over, and ended when it closes. The same key has the same labels, however often it is said,
// so that silences, inhibition and grouping there go by them. It must never leave an alert standing
// whose labels have changed.
//
// https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml, postAlerts, and
// https://prometheus.io/docs/alerting/latest/clients/, both read 2026-11-30: `endsAt` in the future
// is when an alert is over unless it is said again.

import { z } from 'zod';
import type { Notifier, NotifierContext, NotifierType, Told } from '../kit/extend.ts';
import { duration, secretRef } from '../kit/schema.ts';
import { SecretError } from '../kit/secret.ts';
import type { TellError } from './fault.ts';
import { faultOfStatus, isHere, post } from './post.ts';
import { absoluteFile, addressOrRef } from './webhook.ts';

const shape = z.strictObject({
  url: z
    .union([addressOrRef, z.array(addressOrRef).min(1).max(5)], {
      error: 'expected an address such as http://127.0.0.1:9093, or a list of up to 5',
    })
    .describe('base address; of a cluster of them all, for each is told')
    .transform((given) => (Array.isArray(given) ? given : [given])),
  token: secretRef.optional().describe('bearer token'),
  username: z.string().min(1).max(100).optional().describe('name to log in with'),
  password: secretRef.optional().describe('where its password is'),
  ca: absoluteFile.optional().describe('PEM file of who vouches for it'),
  timeout: duration('100ms', '30s').prefault('10s').describe('limit of one telling'),
});

const settings = z.strictObject({ alertmanager: shape });

export const alertmanager: NotifierType<z.infer<typeof settings>> = {
  key: 'alertmanager',
  settings,
  create: ({ alertmanager }, context) => createAlertmanager(alertmanager, context),
};

/** What is open is said again this often, and is over there after so many times without a word. */
const refreshMs = 60_000;
const endsAfter = 4;
/** How long news stands. */
const newsMs = 300_000;
const alertsMost = 200;

interface Alert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly startsAt: string;
  readonly endsAt: string;
  readonly generatorURL?: string;
}

function createAlertmanager(
  settings: z.infer<typeof shape>,
  context: NotifierContext,
): Notifier<Told> {
  const { secret } = context;
  const headers = headersOf(settings, secret);
  const urls = settings.url.map((given) => {
    const text = typeof given === 'string' ? given : secret(given).trim();
    const url = URL.parse(`${text.replace(/\/+$/, '')}/api/v2/alerts`);
    if (url === null) throw new SecretError('its url is none that begins with http:// or https://');
    const hasKey = typeof given !== 'string' || headers['authorization'] !== undefined;
    if (url.protocol === 'http:' && hasKey && !isHere(url)) {
      throw new SecretError('its url is plain http, which would show its key: give https');
    }
    return url;
  });
  const ca = settings.ca === undefined ? null : secret(settings.ca);
  /** What was said last of each key that is open. */
  const said = new Map<string, Alert>();

  const send = async (alerts: readonly Alert[], signal: AbortSignal) => {
    const body = JSON.stringify(alerts);
    const one = async (url: URL): Promise<TellError | null> => {
      const { timeout: timeoutMs } = settings;
      try {
        return faultOfStatus(await post({ url, headers, body, ca, timeoutMs }, context, signal));
      } catch (error) {
        return error as TellError;
      }
    };
    const faults = await Promise.all(urls.map(one));
    // They tell each other: one that knows is enough.
    if (faults.every((fault) => fault !== null)) throw faults[0];
  };

  return {
    refreshMs,
    async notify(told, signal) {
      const wall = context.wall();
      const alert = alertOf(told, wall);
      const was = said.get(told.dedup);
      const isOther = was !== undefined && !sameLabels(was, alert);
      await send(isOther ? [ended(was, wall), alert] : [alert], signal);
      if (told.state === 'open') said.set(told.dedup, alert);
      else said.delete(told.dedup);
    },
    async refresh(open, signal) {
      const alerts = open.map((told) => alertOf(told, context.wall()));
      for (let i = 0; i < alerts.length; i += alertsMost) {
        await send(alerts.slice(i, i + alertsMost), signal);
      }
      for (const [i, told] of open.entries()) said.set(told.dedup, alerts[i]!);
    },
  };
}

function headersOf(
  { token, username, password }: z.infer<typeof shape>,
  secret: NotifierContext['secret'],
): Readonly<Record<string, string>> {
  if (token !== undefined) return { authorization: `Bearer ${secret(token)}` };
  if (username === undefined) return {};
  const pair = `${username}:${password === undefined ? '' : secret(password)}`;
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

/** `DetourStay`, `DetourLagging`, …: by what the key begins with. */
function nameOf(key: string): string {
  const word = key.split('/')[0]!.replaceAll(/[^a-z]/g, '');
  return `Detour${word.charAt(0).toUpperCase()}${word.slice(1)}`;
}

function alertOf(told: Told, wall: number): Alert {
  const record = told.record?.replace(/\.$/, '');
  const until = told.state === 'news' ? wall + newsMs : wall + endsAfter * refreshMs;
  return {
    labels: {
      alertname: nameOf(told.key),
      cluster: told.cluster,
      key: told.dedup,
      severity: told.severity,
      ...(record === undefined ? {} : { record }),
    },
    annotations: {
      summary: told.sentence,
      action: told.explain,
      ...(told.approve === null ? {} : { approve: told.approve }),
      ...(told.reject === null ? {} : { reject: told.reject }),
    },
    startsAt: told.since,
    endsAt: new Date(told.state === 'closed' ? wall : until).toISOString(),
    ...(told.link === null ? {} : { generatorURL: told.link }),
  };
}

function ended(alert: Alert, wall: number): Alert {
  return { ...alert, endsAt: new Date(wall).toISOString() };
}

function sameLabels(a: Alert, b: Alert): boolean {
  return JSON.stringify(a.labels) === JSON.stringify(b.labels);
}
