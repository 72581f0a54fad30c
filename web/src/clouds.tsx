// Clouds, their origins and services, and a strip for each check by each path.

import { useState } from 'preact/hooks';
import type { Board, CloudRow, OriginRow } from '../../src/serve/board.ts';
import { levelOfHealth, Mark, Panel, Since, Tag } from './bits.tsx';
import type { Live } from './live.ts';
import { useSpeech } from './spoken.tsx';
import { Legend, type Span, type Strip, StripLine, useStrips } from './strips.tsx';
import { byHealth, levelOfDiagnosis } from './view.ts';
import { sayOf } from './words.ts';

/** Origins and clouds that are drawn with their strips, at most. */
const shownMost = 12;

export function Clouds({ live, board }: { readonly live: Live; readonly board: Board }) {
  const { say } = useSpeech();
  const [span, setSpan] = useState<Span>('15m');
  const { clouds, origins } = board;
  const each = Math.max(2, Math.floor(shownMost / Math.max(1, clouds.length)));
  const groups = clouds.map((cloud) => {
    const own = byHealth(origins.filter((origin) => origin.cloud === cloud.name));
    return { cloud, shown: own.slice(0, each), more: own.length - each };
  });
  const asked = groups.flatMap(({ cloud, shown }) => [
    ...(cloud.services.length > 0 ? [cloud.name] : []),
    ...shown.map(({ name }) => name),
  ]);
  const strips = useStrips(live, asked.slice(0, 20), span);
  const of = (owner: string) =>
    (strips?.strips ?? []).filter(({ check }) => /^[^/:]*/.exec(check)![0] === owner);
  const choice = (
    <fieldset class="spans" aria-label={say('clouds.span')}>
      {(['5m', '15m', '6h'] as const).map((one) => (
        <button key={one} type="button" aria-pressed={one === span} onClick={() => setSpan(one)}>
          {say(`clouds.${one}`)}
        </button>
      ))}
    </fieldset>
  );
  return (
    <Panel id="clouds" title={say('clouds.title')} more={choice}>
      <Legend />
      {groups.map(({ cloud, shown, more }) => (
        <Cloud key={cloud.name} live={live} cloud={cloud} strips={of(cloud.name)}>
          {shown.map((origin) => (
            <Origin key={origin.name} live={live} origin={origin} strips={of(origin.name)} />
          ))}
          {more > 0 ? <p class="quiet">… +{more}</p> : null}
        </Cloud>
      ))}
    </Panel>
  );
}

function Cloud({
  live,
  cloud,
  strips,
  children,
}: {
  readonly live: Live;
  readonly cloud: CloudRow;
  readonly strips: readonly Strip[];
  readonly children: preact.ComponentChildren;
}) {
  const { say } = useSpeech();
  const { name, diagnosis, sinceAt, services } = cloud;
  const level = levelOfDiagnosis(diagnosis);
  return (
    <section class={`cloud ${level}`} aria-label={name}>
      <h3>
        <Mark level={level} /> {name} <span class="word">{sayOf(say, 'diagnosis', diagnosis)}</span>
        {level === 'well' ? null : (
          <span class="quiet">
            {' '}
            <Since live={live} at={sinceAt} />
          </span>
        )}
      </h3>
      {children}
      {services.map(({ id, plane, verdict }) => (
        <div key={id} class="origin">
          <h4>
            <Mark level={levelOfHealth(verdict)} /> {id.replace(`${name}:`, '')}{' '}
            <span class="quiet">{sayOf(say, 'plane', plane)}</span>
            <span class="word">{sayOf(say, 'health', verdict)}</span>
          </h4>
          <StripsOf strips={strips.filter(({ check }) => check === id)} />
        </div>
      ))}
    </section>
  );
}

function Origin({
  live,
  origin,
  strips,
}: {
  readonly live: Live;
  readonly origin: OriginRow;
  readonly strips: readonly Strip[];
}) {
  const { say } = useSpeech();
  const { name, region, health, sinceAt, drained, maintenance, checks } = origin;
  const why = checks.find((check) => check.why !== '' && check.verdict === 'down')?.why;
  return (
    <div class="origin">
      <h4>
        <Mark level={levelOfHealth(health)} /> {name} <span class="quiet">{region}</span>
        {drained ? <Tag>{say('record.drained')}</Tag> : null}
        {maintenance === null ? null : <Tag>{say('record.maintenance')}</Tag>}
        <span class="word">{sayOf(say, 'health', health)}</span>
        {health === 'up' ? null : (
          <span class="quiet">
            {' '}
            <Since live={live} at={sinceAt} />
          </span>
        )}
      </h4>
      {why === undefined ? null : (
        <p class="evidence" lang="en" title={why}>
          {why}
        </p>
      )}
      <StripsOf strips={strips} />
    </div>
  );
}

/** One check's need only the path's name; of several each says whose it is. */
export function StripsOf({ strips }: { readonly strips: readonly Strip[] }) {
  const checks = new Set(strips.map(({ check }) => check));
  const labelOf = ({ check, path, replica }: Strip) => {
    const own = check.replace(/^[^/:]*[/:]/, '');
    const where = replica === null || path.includes(replica) ? path : `${replica} ${path}`;
    return checks.size > 1 ? `${own} ${where}` : where;
  };
  return (
    <>
      {strips.map((strip) => (
        <StripLine key={`${strip.check} ${strip.path}`} strip={strip} label={labelOf(strip)} />
      ))}
    </>
  );
}
