// The page itself: the sentence at the top, then what wants a person, the records, what happened, and
// beside them the clouds with their strips, vendors, paths and replicas, what people hold, drills.

import { useState } from 'preact/hooks';
import type { Board } from '../../src/serve/board.ts';
import { ActDialog, type Deed } from './act.tsx';
import { Clock, Held, Mark, Panel, Since } from './bits.tsx';
import { Clouds } from './clouds.tsx';
import { Drills, Paths, Vendors } from './company.tsx';
import { History } from './history.tsx';
import type { Live } from './live.ts';
import { Records } from './records.tsx';
import { useSpeech } from './spoken.tsx';
import { bare, bareIn, headline, seconds, without } from './view.ts';

export function Page({ live, board }: { readonly live: Live; readonly board: Board }) {
  const { say } = useSpeech();
  const [deed, act] = useState<Deed | null>(null);
  const isOld = live.line !== 'live';
  return (
    <div class={isOld ? 'all old' : 'all'}>
      <a class="skip" href="#records">
        {say('page.skip')}
      </a>
      <Top live={live} board={board} />
      <Headline live={live} board={board} />
      <div class="columns">
        <main id="records">
          <Wants live={live} board={board} />
          <Records live={live} board={board} act={act} />
          <Panel id="history" title={say('history.title')}>
            <History live={live} entries={board.rest.history} record={null} />
          </Panel>
        </main>
        <aside aria-label={say('clouds.title')}>
          <Clouds live={live} board={board} />
          <Vendors live={live} board={board} />
          <Paths live={live} board={board} />
          <Holds live={live} board={board} act={act} />
          <Drills live={live} board={board} />
        </aside>
      </div>
      {deed === null ? null : <ActDialog live={live} deed={deed} end={() => act(null)} />}
    </div>
  );
}

function Top({ live, board }: { readonly live: Live; readonly board: Board }) {
  const { say } = useSpeech();
  const { session, door } = live;
  const [isHeld, hold] = useState(false);
  const leave = async () => {
    hold(false);
    hold(!(await live.logout()));
  };
  return (
    <header class="top">
      <span class="brand">Detour</span>
      <span class="cluster">{board.rest.cluster}</span>
      <Age live={live} board={board} />
      <span class="gap" />
      {session === null ? (
        door === 'open' ? (
          <span class="who">{say('login.open')}</span>
        ) : null
      ) : (
        <span class="who">
          {say('login.as', { name: session.name, role: say(`role.${session.role as 'read'}`) })}{' '}
          <button type="button" onClick={() => void leave()}>
            {say('login.leave')}
          </button>{' '}
          {isHeld ? (
            <span class="notleft bad" role="alert">
              {say('login.notleft')}
            </span>
          ) : null}
        </span>
      )}
      <LanguageSwitch />
    </header>
  );
}

/** How old all of it is: always there. */
function Age({ live, board }: { readonly live: Live; readonly board: Board }) {
  const { say, language } = useSpeech();
  const age = seconds(live.age(), language);
  if (live.line === 'live') {
    return (
      <span class="age live">
        <span class="dot" aria-hidden="true" /> {say('age.live', { age })}
      </span>
    );
  }
  const time = new Date(live.wallOf(live.now())).toLocaleTimeString(
    language === 'zh' ? 'zh-CN' : 'en-GB',
  );
  return (
    <span class="age lost" role="alert" data-at={board.at}>
      <span aria-hidden="true">▲</span> {say('age.lost', { age, time })}
    </span>
  );
}

function Headline({ live, board }: { readonly live: Live; readonly board: Board }) {
  const { say } = useSpeech();
  const { level, title, facts, evidence, sinceAt } = headline(board, say);
  const [before, after] = say('head.since').split('{time}');
  return (
    <section class={`headline ${level}`} aria-label={title}>
      <div aria-live="polite" aria-atomic="true">
        <h1>
          <Mark level={level} /> {title}
        </h1>
        <ul class="facts">
          {facts.map((fact) => (
            <li key={fact}>{fact}</li>
          ))}
        </ul>
      </div>
      {sinceAt === null ? null : (
        <p class="since">
          {before}
          <Clock wall={live.wallOf(sinceAt)} />
          {after}, <Since live={live} at={sinceAt} />
        </p>
      )}
      {evidence.map((sentence) => (
        <p key={sentence} class="evidence" lang="en">
          {sentence}
        </p>
      ))}
    </section>
  );
}

/** The record that it is about stands before it. */
function textOf(sentence: string, record: string | null): string {
  return bareIn(record === null ? sentence : without(sentence, record));
}

/** What is open and wants a person. */
function Wants({ live, board }: { readonly live: Live; readonly board: Board }) {
  const { say } = useSpeech();
  const notices = board.rest.notices.filter(({ sentence }) => sentence !== '').slice(0, 20);
  if (notices.length === 0) return null;
  return (
    <Panel id="notices" title={say('notices.title')}>
      <ul class="plain">
        {notices.map(({ sentence, severity, sinceAt, record }) => (
          <li key={`${record} ${sentence}`} class="notice">
            <Mark level={severity === 'page' ? 'trouble' : 'note'} />
            {record === null ? null : (
              <a href={`#record=${encodeURIComponent(bare(record))}`}>{bare(record)}</a>
            )}
            <span lang="en">{textOf(sentence, record)}</span>{' '}
            <span class="quiet">
              {sinceAt === null ? null : <Since live={live} at={sinceAt} />}
            </span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

/** Pins, freezes and drains, with who and why. */
function Holds({
  live,
  board,
  act,
}: {
  readonly live: Live;
  readonly board: Board;
  readonly act: (deed: Deed) => void;
}) {
  const { say } = useSpeech();
  const { freeze, drains } = board.rest;
  const held = board.records.filter((r) => r.pin !== null || r.freeze !== null);
  const may = live.session?.role === 'operate';
  if (freeze === null && drains.length + held.length === 0 && !may) return null;
  return (
    <Panel id="holds" title={say('holds.title')}>
      {freeze === null ? null : <Held live={live} what={say('holds.freeze')} held={freeze} />}
      {drains.map((drain) => (
        <Held
          key={drain.what}
          live={live}
          what={say('holds.drain', { what: drain.what })}
          held={drain}
        />
      ))}
      {held.slice(0, 20).map(({ name, pin, freeze: own }) => (
        <div key={name} class="heldby">
          <strong>{bare(name)}</strong>
          {pin === null ? null : <Held live={live} what={say('record.pinned')} held={pin} />}
          {own === null ? null : <Held live={live} what={say('record.frozen')} held={own} />}
        </div>
      ))}
      {may ? (
        <button
          type="button"
          onClick={() =>
            act({
              kind: freeze === null ? 'freeze' : 'unfreeze',
              record: null,
              what: say('everything'),
            })
          }
        >
          {say(freeze === null ? 'do.freezeall' : 'do.unfreezeall')}
        </button>
      ) : null}
    </Panel>
  );
}

export function LanguageSwitch() {
  const { say, language, choose } = useSpeech();
  return (
    <fieldset class="languages" aria-label={say('page.language')}>
      {(['en', 'zh'] as const).map((one) => (
        <button
          key={one}
          type="button"
          lang={one === 'zh' ? 'zh-CN' : 'en'}
          aria-pressed={one === language}
          onClick={() => choose(one)}
        >
          {one === 'zh' ? '中文' : 'English'}
        </button>
      ))}
    </fieldset>
  );
}
