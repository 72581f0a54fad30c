// All the ways to people: hands each notice to every channel that wants it, each in its own time.
// The one who tells never waits, and what goes wrong with one channel reaches no other: the others
// say that it fails. It keeps nothing that a restart would miss but what still waits to be told.

import { randomUUID } from 'node:crypto';
import type { Name, Notice, Spelling } from '../core/model.ts';
import { inScript } from '../core/name.ts';
import type { Notifier, Told } from '../kit/extend.ts';
import type { ChannelFigures, Clock } from '../ports.ts';
import { Channel, decisionOf, type Rule } from './channel.ts';

/** One channel as it is configured. */
export interface ChannelSpec {
  readonly name: string;
  readonly notifier: Notifier<Told>;
  readonly rule: Rule;
}

/** Where a decision can be answered; null: there is no such page. */
export type LinkFor = (
  notice: Notice,
  channel: string,
  action: 'approve' | 'reject',
) => string | null;

interface ChannelsParts {
  readonly cluster: string;
  /** Which replica of a group this is; null: alone. */
  readonly replica: string | null;
  readonly clock: Clock;
  readonly specs: readonly ChannelSpec[];
  /** Where the control API is reached, `https://HOST[:PORT]`; null: nowhere. */
  readonly apiUrl: string | null;
  /** How names are shown to people; absent: as they are. */
  readonly spelling?: Spelling | undefined;
  readonly linkFor?: LinkFor | undefined;
  readonly trouble: (sentence: string) => void;
}

/** What is open, as the engine knows it; `sinceAt` in engine time. */
type OpenNotice = Pick<Notice, 'key' | 'severity' | 'record' | 'sentence'> & {
  readonly sinceAt: number | null;
};

export interface Channels extends Notifier {
  /** What was told in an earlier life, and what is open from now on for whoever forgets. */
  start(open: () => readonly OpenNotice[]): void;
  /** Takes over what waits in the channels of an earlier configuration, by their names. */
  inherit(old: Channels): void;
  channels(): readonly Channel[];
  /** Hands out what was told and is still to be handed to the channels. */
  flush(): void;
  figures(): readonly ChannelFigures[];
  close(): Promise<void>;
}

/** So long at most notices are handed out without a pause, in milliseconds. */
const turnMs = 1;
const inboxMost = 20_000;

export function createChannels(parts: ChannelsParts): Channels {
  const { clock, specs, trouble } = parts;
  /** When what is open began, in milliseconds since 1970. */
  const since = new Map<string, number>();
  let source: (() => readonly OpenNotice[]) | null = null;

  const channels = specs.map(
    ({ name, notifier, rule }) =>
      new Channel({
        name,
        notifier,
        rule,
        clock,
        trouble: (sentence) => trouble(`channel ${name}: ${sentence}`),
        worry: (why) => tellOthers(name, why),
      }),
  );

  const route = (told: Told, to: readonly Channel[]) => {
    const decision = told.state === 'open' ? decisionOf(told.data) : null;
    for (const channel of to) {
      const link = (action: 'approve' | 'reject') =>
        decision === null ? null : (parts.linkFor?.(told, channel.name, action) ?? null);
      channel.tell({ ...told, approve: link('approve'), reject: link('reject') });
    }
  };
  const tellOthers = (name: string, why: string | null) => {
    const others = channels.filter((channel) => channel.name !== name);
    route(dressed(failing(name, why), parts, since, clock.wall()), others);
  };
  const inbox = createInbox((notice, wall) => route(dressed(notice, parts, since, wall), channels));
  const open = () => (source === null ? [] : openOf(source(), parts, since));

  return {
    notify(notice) {
      const lost = inbox.put(notice, clock.wall());
      if (lost !== null) trouble(`not told of ${lost.key}: too many at once`);
      return Promise.resolve();
    },
    start(from) {
      source = from;
      open();
      for (const channel of channels) channel.start(open);
    },
    flush: () => inbox.flush(),
    inherit(old) {
      old.flush();
      for (const channel of channels) {
        const was = old.channels().find(({ name }) => name === channel.name);
        if (was !== undefined) channel.inherit(was);
      }
      for (const was of old.channels()) {
        if (!channels.some(({ name }) => name === was.name)) void was.close();
      }
    },
    channels: () => channels,
    figures: () => channels.map((channel) => channel.figures()),
    async close() {
      inbox.flush();
      await Promise.all(channels.map((channel) => channel.close()));
    },
  };
}

/**
 * What was told and is still to be handed out, with when: in turns of its own, for whoever tells is
 * in the middle of a step, and what the step begins goes first.
 */
function createInbox(hand: (notice: Notice, wall: number) => void) {
  const inbox: { readonly notice: Notice; readonly wall: number }[] = [];
  const handOut = (ms: number) => {
    const until = performance.now() + ms;
    let count = 0;
    while (count < inbox.length && (count === 0 || performance.now() < until)) {
      const { notice, wall } = inbox[count++]!;
      hand(notice, wall);
    }
    inbox.splice(0, count);
    if (inbox.length > 0) setImmediate(handOut, turnMs);
  };
  return {
    /** What there is no room for any more, the oldest; null: there is room. */
    put(notice: Notice, wall: number): Notice | null {
      if (inbox.push({ notice, wall }) === 1) setImmediate(handOut, turnMs);
      return inbox.length > inboxMost ? inbox.shift()!.notice : null;
    },
    flush: () => handOut(Number.POSITIVE_INFINITY),
  };
}

function failing(name: string, why: string | null): Notice {
  const sentence =
    why === null
      ? `channel ${name} gets through again`
      : `channel ${name} does not get through (${why}); this comes by another`;
  return {
    kind: why === null ? 'recovered' : 'needs-person',
    key: `channel/${name}`,
    state: why === null ? 'closed' : 'open',
    severity: 'warn',
    record: null,
    sentence,
    data: { channel: name },
  };
}

type Whose = Pick<ChannelsParts, 'cluster' | 'replica' | 'apiUrl' | 'spelling'>;

/** A notice with all that a reader wants beside it; when it opened is kept until it closes. */
function dressed(notice: Notice, whose: Whose, since: Map<string, number>, wall: number): Told {
  const { key, state } = notice;
  const beganWall = state === 'news' ? wall : (since.get(key) ?? wall);
  if (state === 'open') since.set(key, beganWall);
  if (state === 'closed') since.delete(key);
  const { spelling = {} } = whose;
  const shown = notice.record === null ? null : inScript(notice.record, spelling);
  return {
    ...notice,
    sentence: inScript(notice.sentence, spelling),
    ...(shown === notice.record || shown === null ? {} : { shown: shown.replace(/\.$/, '') }),
    id: `msg_${randomUUID()}`,
    dedup: dedupOf(key, whose),
    cluster: whose.cluster,
    time: new Date(wall).toISOString(),
    since: new Date(beganWall).toISOString(),
    explain: explainOf(notice),
    link: linkOf(notice.record, whose),
    approve: null,
    reject: null,
  };
}

/** What the engine has open, as it would have been told. */
function openOf(
  all: readonly OpenNotice[],
  parts: ChannelsParts,
  since: Map<string, number>,
): readonly Told[] {
  const { clock } = parts;
  return all.map(({ sinceAt, ...notice }) => {
    const beganWall = clock.wall() - (sinceAt === null ? 0 : clock.now() - sinceAt);
    if (!since.has(notice.key)) since.set(notice.key, beganWall);
    const whole = { ...notice, kind: 'needs-person', state: 'open', data: null } as const;
    return dressed(whole, parts, since, clock.wall());
  });
}

/** Each replica speaks of itself under the same key: to whoever hears all it is another thing. */
function dedupOf(key: string, { cluster, replica }: Whose): string {
  const isOwn = /^(store|group|channel)(\/|$)/.test(key) && replica !== null;
  const whole = `${cluster}/${isOwn ? `${replica}/` : ''}${key}`;
  return whole.length <= 255 ? whole : `${whole.slice(0, 200)}…${whole.slice(-50)}`;
}

function explainOf({ key, data }: Notice): string {
  if (key.startsWith('channel/')) return `detour channels test ${key.slice('channel/'.length)}`;
  const { id } = (data ?? {}) as { readonly id?: unknown };
  const word = typeof id === 'string' ? id : (decisionOf(data) ?? key);
  return `detour explain ${word.replace(/\.(?=$|\/)/g, '')}`;
}

function linkOf(record: Name | null, { apiUrl }: Whose): string | null {
  if (apiUrl === null) return null;
  const about = record === null ? '' : `?record=${encodeURIComponent(record.replace(/\.$/, ''))}`;
  return `${apiUrl.replace(/\/+$/, '')}/v1/history${about}`;
}
