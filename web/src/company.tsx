// Who else there is: DNS vendors and how they are, paths and replicas and who acts, drills and the
// audit.

import type { Board } from '../../src/serve/board.ts';
import { Ago, Mark, Panel, Since } from './bits.tsx';
import type { Live } from './live.ts';
import { useSpeech } from './spoken.tsx';
import { bare, measured } from './view.ts';
import { sayOf } from './words.ts';

interface Given {
  readonly live: Live;
  readonly board: Board;
}

export function Vendors({ live, board }: Given) {
  const { say } = useSpeech();
  return (
    <Panel id="vendors" title={say('vendors.title')}>
      <ul class="plain rows">
        {board.lanes.map(({ provider, type, state, sinceAt, detail, pending }) => (
          <li key={provider}>
            <Mark level={state === 'ok' ? 'well' : 'trouble'} /> <strong>{provider}</strong>{' '}
            <span class="quiet">{type}</span>
            <span class="word">{sayOf(say, 'lane', state)}</span>
            <span class="quiet">
              {pending > 0 ? ` ${say('vendors.pending', { n: pending })}` : null}{' '}
              {state === 'ok' ? null : <Since live={live} at={sinceAt} />}
            </span>
            {detail === null ? null : (
              <p class="evidence" lang="en" title={detail}>
                {detail}
              </p>
            )}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

export function Paths({ live, board }: Given) {
  const { say } = useSpeech();
  const { group } = board.rest;
  const level = (state: string) =>
    state === 'sighted' ? ('well' as const) : state === 'blind' ? ('unknown' as const) : 'trouble';
  return (
    <Panel id="paths" title={say('paths.title')}>
      {group === null ? (
        <p class="quiet">{say('paths.alone')}</p>
      ) : (
        <>
          {group.word === null ? null : <p class="bad">{sayOf(say, 'group', group.word)}</p>}
          {group.acts === null ? <p class="bad">{say('paths.nobody')}</p> : null}
          <ul class="plain rows">
            {group.replicas.map(({ name, self, heard, blind, acts, why, sinceAt, sameConfig }) => (
              <li key={name}>
                <Mark level={!heard ? 'trouble' : blind ? 'unknown' : 'well'} />{' '}
                <strong>{name}</strong>
                {self ? <span class="quiet"> {say('paths.self')}</span> : null}
                <span class="word">
                  {!heard
                    ? say('paths.unheard')
                    : blind
                      ? say('paths.blind')
                      : say(acts ? 'paths.acts' : 'paths.follows')}
                </span>
                {sameConfig === false ? <span class="bad"> {say('paths.config')}</span> : null}
                {heard ? null : (
                  <p class="evidence">
                    <span lang="en">{why}</span> <Since live={live} at={sinceAt} />
                  </p>
                )}
              </li>
            ))}
          </ul>
        </>
      )}
      <ul class="plain rows">
        {board.paths.map(({ name, replica, group: vote, state, loss }) => (
          <li key={name}>
            <Mark level={level(state)} /> <strong>{name}</strong>{' '}
            <span class="quiet">
              {[replica, vote === name ? null : vote].filter(Boolean).join(' · ')}
            </span>
            <span class="word">{sayOf(say, 'path', state)}</span>
            <span class="quiet"> {say('paths.loss', { n: Math.round(loss * 100) })}</span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

const levelOf = (result: string) => (result === 'passed' ? 'well' : 'trouble');

export function Drills({ live, board }: Given) {
  const { say, language } = useSpeech();
  const { drills, audit } = board.rest;
  return (
    <Panel id="drills" title={say('drills.title')}>
      {drills.last.length === 0 ? <p class="quiet">{say('drills.none')}</p> : null}
      <ul class="plain rows">
        {drills.overdue.map(({ drill, name, why }) => (
          <li key={`${drill} ${name}`}>
            <Mark level="note" />{' '}
            {say('drills.overdue', { drill: sayOf(say, 'drill', drill), name: bare(name) })}
            {why === '' ? null : (
              <p class="evidence" lang="en" title={why}>
                {why}
              </p>
            )}
          </li>
        ))}
        {drills.last.slice(0, 12).map(({ drill, name, result, at, ms, sentence }) => (
          <li key={`${drill} ${name}`} title={sentence}>
            <Mark level={levelOf(result)} /> <strong>{bare(name)}</strong>{' '}
            <span class="quiet">{sayOf(say, 'drill', drill)}</span>
            <span class="word">{sayOf(say, 'result', result)}</span>
            <span class="quiet">
              {' '}
              {ms === null ? null : `${measured(ms, language)}, `}
              <Ago live={live} at={at} />
            </span>
          </li>
        ))}
      </ul>
      {audit === null ? (
        <p class="quiet">{say('drills.noaudit')}</p>
      ) : (
        <p>
          <Mark level={audit.bad.length > 0 ? 'trouble' : 'well'} />{' '}
          <strong>{say('drills.audit')}</strong>{' '}
          {audit.grade === null ? null : say('drills.grade', { grade: audit.grade })}{' '}
          <span class="quiet">
            {say('drills.bad', { n: audit.bad.length, warn: audit.warn })},{' '}
            <Ago live={live} at={audit.at} />
          </span>
        </p>
      )}
    </Panel>
  );
}
