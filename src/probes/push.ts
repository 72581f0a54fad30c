// The `push` check: what another monitor says by itself, kept on a small board until it expires. It
// must never take silence for a state: a monitor that has not spoken for too long is `blind`. It
// must never throw on what it is sent, never keep more than its bounds, and never show a token.
//
// Formats, all read 2026-11-30: prometheus.io/docs/alerting/latest/configuration, "webhook_config"
// (version 4; alertmanager's notify/webhook/webhook.go); uptime-kuma's
// server/notification-providers/webhook.js and the states of src/util.js (0 down, 1 up, 2 pending,
// 3 maintenance); gatus's README, "Configuring custom alerts", and
// alerting/provider/custom/custom.go, where the user writes the body: docs/checks.md says which
// one.

import { createHash, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { AdapterContext, CheckType } from '../kit/extend.ts';
import { duration, printDuration, type SecretRef, secretRef } from '../kit/schema.ts';
import { SecretError } from '../kit/secret.ts';
import { notOfTheWay } from './path.ts';
import { type Answer, blind, clause, fail } from './words.ts';

const formats = ['generic', 'alertmanager', 'uptime-kuma', 'gatus'] as const;
type Format = (typeof formats)[number];

interface PushSettings {
  /** The name it is pushed to: `POST /push/NAME`. */
  readonly push: string;
  readonly format: Format;
  readonly token: SecretRef;
  /** How long a word stands, in milliseconds. */
  readonly expires: number;
  /** Of Alertmanager: only alerts with all these labels count. */
  readonly labels: Readonly<Record<string, string>>;
  /** Of Alertmanager: the `alertname` of the one that fires for ever, to show that it lives. */
  readonly watchdog: string;
  /** Only in a drill. */
  readonly never?: boolean;
}

const label = z.string().regex(/^[a-zA-Z_][a-zA-Z0-9_]{0,127}$/, {
  error: 'expected the name of a label: letters, digits and _',
});

const settings: z.ZodType<PushSettings> = z
  .strictObject({
    push: z
      .string()
      .regex(/^[a-z0-9-]{1,40}$/, { error: 'expected 1 to 40 characters of a-z, 0-9 and -' })
      .describe('the name it is pushed to: POST /push/NAME at `listen`'),
    format: z.enum(formats).default('generic').describe('who pushes'),
    token: secretRef.describe('what whoever pushes has to show; 16 characters or more'),
    expires: duration('1s', '30d')
      .default(300_000)
      .describe('how long a word stands: then the check is unknown'),
    labels: z
      .record(label, z.string().min(1).max(256))
      .default({})
      .describe('of Alertmanager: only alerts with all these labels count'),
    watchdog: z
      .string()
      .min(1)
      .max(256)
      .default('Watchdog')
      .describe('of Alertmanager: the alert that fires for ever, to show that it lives'),
  })
  .superRefine((value, context) => {
    if (value.format === 'alertmanager' || Object.keys(value.labels).length === 0) return;
    const message = `${value.format} has no labels: leave this out`;
    context.addIssue({ code: 'custom', path: ['labels'], message });
  });

/** `{ push: shop-kuma, format: uptime-kuma, token: { file: … } }` beside a check's cadence. */
export const push: CheckType<PushSettings> = {
  key: 'push',
  settings,
  aside: true,
  pushedAs: (s) => s.push,
  impossible: (s) => ({ ...s, never: true }),
  pathProblem: (path) => notOfTheWay('push', path),
  create: (asked, _path, _timeoutMs, context) => {
    // Whoever cannot have it is told at the start, not by the first push that is refused.
    tokenOf(asked, context);
    const answer = () => ({ ...board.answer(asked, performance.now()), phases: {} });
    return { ask: () => Promise.resolve(answer()), close: () => {} };
  },
};

/** Throws SecretError. */
function tokenOf({ token }: PushSettings, { secret }: Pick<AdapterContext, 'secret'>): string {
  const text = secret(token);
  if (/^[\x21-\x7e]{16,512}$/.test(text)) return text;
  throw new SecretError(
    'token: expected 16 to 512 characters without blanks: openssl rand -hex 24',
  );
}

// ---------------------------------------------------------------- what is said

/** `over`: what it told of has ended. */
type State = 'up' | 'down' | 'unknown' | 'over';

interface Said {
  /** Whom it is about, of all that come under one name: an alert, a monitor. */
  readonly key: string;
  readonly state: State;
  readonly detail: string;
}

/** What one body says: of nobody, that its sender lives. */
type Heard =
  | { readonly ok: true; readonly said: readonly Said[]; readonly alive: boolean }
  | { readonly ok: false; readonly why: string };

const text = z.string().catch('');
const alert = z.object({
  status: z.enum(['firing', 'resolved']),
  labels: z.record(z.string(), z.string()),
  annotations: z.record(z.string(), text).catch({}),
  fingerprint: z.string().max(256).optional(),
});
const shapes = {
  generic: z.object({
    state: z.enum(['up', 'down', 'unknown', 'alive']),
    key: z.string().max(256).default(''),
    detail: text,
  }),
  alertmanager: z.object({ version: z.literal('4'), alerts: z.array(alert).max(1000) }),
  'uptime-kuma': z.object({
    // A test of theirs has none: whoever sends it lives.
    heartbeat: z.object({ status: z.int().min(0).max(3), msg: text }).nullable(),
    monitor: z.object({ id: z.number().optional(), name: text }).nullable(),
    msg: text,
  }),
  gatus: z.object({
    state: z.enum(['TRIGGERED', 'RESOLVED', 'ALIVE']),
    endpoint: text,
    group: text,
    detail: text,
  }),
} as const;

const kumaStates = ['down', 'up', 'unknown', 'unknown'] as const;
const alive: Heard = { ok: true, said: [], alive: true };

/** Reads a body, as bytes, by its format. An empty one is a sign of life. Never throws on bytes. */
export function readPush(
  asked: Pick<PushSettings, 'format' | 'labels' | 'watchdog'>,
  body: Buffer,
): Heard {
  if (body.length === 0) return alive;
  let plain: unknown;
  try {
    plain = JSON.parse(body.toString('utf8'));
  } catch {
    return { ok: false, why: 'the body is no JSON' };
  }
  switch (asked.format) {
    case 'generic': {
      const { data } = shapes.generic.safeParse(plain);
      if (data === undefined) return notAs('{"state": "up", "down", "unknown" or "alive"}');
      const { key, state, detail } = data;
      return state === 'alive' ? alive : one({ key, state, detail });
    }
    case 'gatus': {
      const { data } = shapes.gatus.safeParse(plain);
      if (data === undefined) return notAs('{"state": "[ALERT_TRIGGERED_OR_RESOLVED]", …}');
      if (data.state === 'ALIVE') return alive;
      const state = data.state === 'TRIGGERED' ? 'down' : 'up';
      const key = [data.group, data.endpoint].filter(Boolean).join('/').slice(0, 256);
      return one({ key, state, detail: data.detail });
    }
    case 'uptime-kuma': {
      const { data } = shapes['uptime-kuma'].safeParse(plain);
      if (data === undefined) return notAs('the JSON preset of Uptime Kuma (not form data)');
      const { heartbeat, monitor } = data;
      if (heartbeat === null || monitor === null) return alive;
      const state = kumaStates[heartbeat.status]!;
      const key = String(monitor.id ?? monitor.name).slice(0, 256);
      return one({ key, state, detail: `${monitor.name}: ${heartbeat.msg}` });
    }
    case 'alertmanager':
      return readAlerts(asked, plain);
  }
}

function readAlerts(
  { labels, watchdog }: Pick<PushSettings, 'labels' | 'watchdog'>,
  plain: unknown,
): Heard {
  const { data } = shapes.alertmanager.safeParse(plain);
  if (data === undefined) return notAs('version 4 of the webhook of Alertmanager');
  const isLife = (one: z.infer<typeof alert>) => one.labels['alertname'] === watchdog;
  const wanted = Object.entries(labels);
  const counting = data.alerts.filter(
    (one) => !isLife(one) && wanted.every(([name, value]) => one.labels[name] === value),
  );
  const said = counting.map((one): Said => {
    const pairs = Object.entries(one.labels).toSorted(([a], [b]) => (a < b ? -1 : 1));
    const key = one.fingerprint ?? createHash('sha256').update(JSON.stringify(pairs)).digest('hex');
    const { summary, description } = one.annotations;
    const detail = [one.labels['alertname'], summary || description].filter(Boolean).join(': ');
    return { key, state: one.status === 'firing' ? 'down' : 'over', detail };
  });
  const lives = data.alerts.some((one) => isLife(one) && one.status === 'firing');
  return { ok: true, said, alive: lives };
}

function one(said: Said): Heard {
  return { ok: true, said: [{ ...said, detail: clause(said.detail) }], alive: false };
}

function notAs(shape: string): Heard {
  return { ok: false, why: `the body is not as expected: ${shape}` };
}

// ---------------------------------------------------------------- the board

interface Voice {
  state: Exclude<State, 'over'>;
  detail: string;
  at: number;
}

interface Place {
  /** Since when anybody could have been heard. */
  readonly since: number;
  heardAt: number | null;
  readonly voices: Map<string, Voice>;
}

/** Alerts or monitors under one name; of more the ones that spoke longest ago are forgotten. */
const voicesMost = 1000;

/** What was said under each name. Times of `performance.now()` are passed in. */
export class Board {
  readonly #places = new Map<string, Place>();

  /** From now on these names are listened to; what was said under those kept stays. */
  keep(names: readonly string[], now: number): void {
    for (const name of [...this.#places.keys()]) {
      if (!names.includes(name)) this.#places.delete(name);
    }
    for (const name of names) {
      if (!this.#places.has(name)) {
        this.#places.set(name, { since: now, heardAt: null, voices: new Map() });
      }
    }
  }

  hear(name: string, heard: Extract<Heard, { ok: true }>, now: number): void {
    const place = this.#places.get(name);
    if (place === undefined) return;
    const { voices } = place;
    if (heard.said.length > 0 || heard.alive) place.heardAt = now;
    for (const { key, state, detail } of heard.said) {
      voices.delete(key);
      if (state !== 'over') voices.set(key, { state, detail: clause(detail), at: now });
    }
    // Who lives and says nothing new has nothing new to say.
    if (heard.alive) for (const voice of voices.values()) voice.at = now;
    for (const key of [...voices.keys()].slice(0, Math.max(0, voices.size - voicesMost))) {
      voices.delete(key);
    }
  }

  answer(asked: PushSettings, now: number): Answer {
    const { push: name, expires, format } = asked;
    if (asked.never === true) {
      const cure = 'have its sender push a failure, and see it in `detour status`';
      return blind('silent', `a push cannot be drilled from here: ${cure}`);
    }
    const place = this.#places.get(name);
    if (place === undefined || place.heardAt === null) {
      const hint = place === undefined ? '; the daemon hears them, see `detour status`' : '';
      return blind('silent', `nothing was pushed to ${name} since this process began${hint}`);
    }
    const silentMs = now - place.heardAt;
    const ago = (ms: number) => `${printDuration(Math.round(ms / 1000) * 1000)} ago`;
    if (silentMs > expires) {
      return blind('silent', `${name} spoke last ${ago(silentMs)}, and its word has expired`);
    }
    const all = [...place.voices.values()];
    const fresh = all.filter(({ at }) => now - at <= expires);
    const down = fresh.filter(({ state }) => state === 'down');
    if (down.length > 0) {
      const more = down.length === 1 ? '' : ` (and ${down.length - 1} more)`;
      return fail('pushed', `${down[0]!.detail || 'down'}${more}, said ${ago(now - down[0]!.at)}`);
    }
    const unsure = fresh.find(({ state }) => state === 'unknown');
    if (unsure !== undefined) return blind('unknown', `${name} does not know: ${unsure.detail}`);
    if (fresh.length < all.length) {
      const count = all.length - fresh.length;
      return blind('silent', `${count} of ${all.length} that speak as ${name} are silent`);
    }
    if (all.length > 0) {
      const detail = `${all[0]!.detail || 'up'}, said ${ago(silentMs)}`;
      return { outcome: 'pass', reason: 'ok', detail };
    }
    // Whatever fires is told again within that time: then nothing does.
    if (format === 'alertmanager' && now - place.since >= expires) {
      return { outcome: 'pass', reason: 'ok', detail: `no alert fires, said ${ago(silentMs)}` };
    }
    return blind('silent', `${name} lives, and has not said yet how it is`);
  }
}

/** One for this process: what was said outlives a reload. */
const board = new Board();

// ---------------------------------------------------------------- the door

/** One name that may be pushed to. */
interface Pushable {
  readonly settings: unknown;
  /** Its token now; a new one may be in force. Throws SecretError. */
  readonly token: () => string;
}

interface Pushed {
  readonly status: 200 | 400 | 401;
  readonly text: string;
}

/** Bytes of one body. */
export const pushBytesMost = 262_144;

interface PushDoor {
  /** Before a body is read. A name that is not there is refused like a token that is not its own. */
  mayPush(name: string, token: string): boolean;
  /** One body as text. */
  push(name: string, body: string): Pushed;
}

/** The door for the names of a configuration in force; of one that goes nothing needs closing. */
export function openPushDoor(names: ReadonlyMap<string, Pushable>): PushDoor {
  board.keep([...names.keys()], performance.now());
  return {
    mayPush(name, token) {
      const of = names.get(name);
      try {
        return isSame(of?.token() ?? '', token) && of !== undefined;
      } catch (error) {
        if (error instanceof SecretError) return false;
        throw error;
      }
    },
    push(name, body) {
      const of = names.get(name);
      if (of === undefined) return { status: 401, text: 'no such name\n' };
      const heard = readPush(of.settings as PushSettings, Buffer.from(body));
      if (!heard.ok) return { status: 400, text: `${heard.why}\n` };
      board.hear(name, heard, performance.now());
      return { status: 200, text: 'heard\n' };
    },
  };
}

/** The token of a check's settings. Throws SecretError. */
export function readPushToken(settings: unknown, secret: AdapterContext['secret']): string {
  return tokenOf(settings as PushSettings, { secret });
}

/** In a time that tells nothing of where they differ. */
function isSame(known: string, shown: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(known), digest(shown)) && known !== '';
}
