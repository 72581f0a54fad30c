// Small things that are drawn in many places: a mark with its word, a moment, a panel. A mark is
// never told by its colour alone: each has a shape of its own, and its word.

import type { ComponentChildren } from 'preact';
import type { HeldRow } from '../../src/serve/board.ts';
import type { Live } from './live.ts';
import { useSpeech } from './spoken.tsx';
import { type Level, seconds } from './view.ts';

const shapes: Readonly<Record<Level, string>> = {
  trouble: '▲',
  unknown: '?',
  note: '◆',
  well: '✓',
};

export function Mark({ level, word }: { readonly level: Level; readonly word?: string }) {
  return (
    <span class={`mark ${level}`}>
      <span class="shape" aria-hidden="true">
        {shapes[level]}
      </span>
      {word === undefined ? null : <span>{word}</span>}
    </span>
  );
}

export const levelOfHealth = (health: string): Level =>
  health === 'up' ? 'well' : health === 'down' ? 'trouble' : 'unknown';

export function Tag({
  level = 'note',
  children,
}: {
  readonly level?: Level;
  readonly children: ComponentChildren;
}) {
  return <span class={`tag ${level}`}>{children}</span>;
}

/** Since when, as an age that grows; its date is a look away. */
export function Since({ live, at }: { readonly live: Live; readonly at: number }) {
  const { language, say } = useSpeech();
  return (
    <Moment
      live={live}
      at={at}
      text={say('age.for', { age: seconds(live.now() - at, language) })}
    />
  );
}

export function Ago({ live, at }: { readonly live: Live; readonly at: number }) {
  const { language, say } = useSpeech();
  return (
    <Moment
      live={live}
      at={at}
      text={say('age.ago', { age: seconds(live.now() - at, language) })}
    />
  );
}

/** Until when, as what is left. */
export function In({ live, at }: { readonly live: Live; readonly at: number }) {
  const { language, say } = useSpeech();
  const leftMs = Math.max(0, at - live.now());
  return <Moment live={live} at={at} text={say('age.in', { age: seconds(leftMs, language) })} />;
}

function Moment({
  live,
  at,
  text,
}: {
  readonly live: Live;
  readonly at: number;
  readonly text: string;
}) {
  const date = new Date(live.wallOf(at));
  return (
    <time dateTime={date.toISOString()} title={date.toLocaleString()}>
      {text}
    </time>
  );
}

export function Clock({ wall }: { readonly wall: number }) {
  const { language } = useSpeech();
  const date = new Date(wall);
  const text = date.toLocaleTimeString(language === 'zh' ? 'zh-CN' : 'en-GB');
  return (
    <time class="clock" dateTime={date.toISOString()} title={date.toLocaleString()}>
      {text}
    </time>
  );
}

export function Panel({
  id,
  title,
  more,
  children,
}: {
  readonly id: string;
  readonly title: string;
  readonly more?: ComponentChildren;
  readonly children: ComponentChildren;
}) {
  return (
    <section class="panel" aria-labelledby={`${id}-title`}>
      <div class="title">
        <h2 id={`${id}-title`}>{title}</h2>
        {more}
      </div>
      {children}
    </section>
  );
}

/** What a person holds: what, why, who, since when, until when. */
export function Held({
  live,
  what,
  held,
}: {
  readonly live: Live;
  readonly what: string;
  readonly held: HeldRow;
}) {
  const { say, language } = useSpeech();
  const until = held.untilAt === null ? null : new Date(live.wallOf(held.untilAt));
  return (
    <p class="held">
      <Tag>{what}</Tag> {held.reason === '' ? null : <q>{held.reason}</q>}{' '}
      <span class="quiet">
        {held.by === '' ? null : `${say('record.by', { by: held.by })}, `}
        <Since live={live} at={held.sinceAt} />
        {', '}
        {until === null
          ? say('record.unlimited')
          : say('record.until', {
              time: until.toLocaleTimeString(language === 'zh' ? 'zh-CN' : 'en-GB'),
            })}
      </span>
    </p>
  );
}
