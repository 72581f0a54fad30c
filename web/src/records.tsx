// The records: found by a search, trouble first, a page at a time; each with what every vendor serves
// and where a switch is, and all that is known of it when it is opened.

import { useEffect, useState } from 'preact/hooks';
import { asciiOf } from '../../src/core/name.ts';
import type { Board, EntryRow, OriginRow, ProviderRow, RecordRow } from '../../src/serve/board.ts';
import type { Deed } from './act.tsx';
import { Ago, Held, In, levelOfHealth, Mark, Panel, Tag } from './bits.tsx';
import { StripsOf } from './clouds.tsx';
import { History } from './history.tsx';
import type { Live } from './live.ts';
import { useSpeech } from './spoken.tsx';
import { begun, Latency, useStrips } from './strips.tsx';
import {
  bare,
  found,
  isNamed,
  isServed,
  type Level,
  measured,
  span,
  stepsOf,
  worry,
} from './view.ts';
import { type Say, sayOf } from './words.ts';

const pageMost = 50;

type Act = (deed: Deed) => void;

export function Records({
  live,
  board,
  act,
}: {
  readonly live: Live;
  readonly board: Board;
  readonly act: Act;
}) {
  const { say } = useSpeech();
  const [search, setSearch] = useState('');
  const [page, setPage] = useState(0);
  const [open, setOpen] = useOpened();
  const { records } = board;
  const list = found(records, search, say, board.rest.spelling);
  const last = Math.max(0, Math.ceil(list.length / pageMost) - 1);
  const at = Math.min(page, last);
  const shown = list.slice(at * pageMost, (at + 1) * pageMost);
  // A record that a link names is shown wherever it stands.
  const named = open === null ? undefined : records.find((row) => isNamed(row, open));
  const rows = named === undefined || shown.includes(named) ? shown : [named, ...shown];
  const origins = new Map(board.origins.map((origin) => [origin.name, origin]));
  const counts = say('records.found', { n: list.length, all: records.length });
  return (
    <Panel
      id="records-list"
      title={say('records.title')}
      more={
        <div class="search">
          <label class="unseen" for="search">
            {say('records.search')}
          </label>
          <input
            id="search"
            type="search"
            placeholder={say('records.hint')}
            value={search}
            onInput={(event) => {
              setSearch(event.currentTarget.value);
              setPage(0);
            }}
          />
          <span class="quiet" role="status">
            {counts}
          </span>
        </div>
      }
    >
      {rows.length === 0 ? <p class="quiet">{say('records.none')}</p> : null}
      <ul class="records plain">
        {rows.map((row) => {
          const isOpen = isNamed(row, open);
          return (
            <li key={row.name} class={`record ${worry(row).level}${isOpen ? ' open' : ''}`}>
              <Row
                row={row}
                origin={origins.get(row.target ?? '')}
                isOpen={isOpen}
                toggle={() => setOpen(isOpen ? null : bare(row.name))}
              />
              {isOpen ? <Details live={live} row={row} origins={origins} act={act} /> : null}
            </li>
          );
        })}
      </ul>
      {last === 0 ? null : (
        <nav class="pages" aria-label={say('records.title')}>
          <button type="button" disabled={at === 0} onClick={() => setPage(at - 1)}>
            {say('records.before')}
          </button>
          <span>
            {say('records.page', {
              ...{ from: at * pageMost + 1, to: at * pageMost + shown.length, n: list.length },
            })}
          </span>
          <button type="button" disabled={at === last} onClick={() => setPage(at + 1)}>
            {say('records.after')}
          </button>
        </nav>
      )}
    </Panel>
  );
}

/** Which record is open stands in the address, so that it can be sent to somebody. */
function useOpened(): readonly [string | null, (name: string | null) => void] {
  const read = () => {
    const [, name] = /^#record=(.+)$/.exec(location.hash) ?? [];
    return name === undefined ? null : decodeURIComponent(name);
  };
  const [open, set] = useState(read);
  useEffect(() => {
    const look = () => set(read());
    addEventListener('hashchange', look);
    return () => removeEventListener('hashchange', look);
  }, []);
  const choose = (name: string | null) => {
    const where = name === null ? '' : `#record=${encodeURIComponent(name)}`;
    history.replaceState(null, '', `${location.pathname}${where}`);
    set(name);
  };
  return [open, choose];
}

function Row({
  row,
  origin,
  isOpen,
  toggle,
}: {
  readonly row: RecordRow;
  readonly origin: OriginRow | undefined;
  readonly isOpen: boolean;
  readonly toggle: () => void;
}) {
  const { say } = useSpeech();
  const { level } = worry(row);
  const { name, names, target, stay, mode, providers } = row;
  const tags: readonly (readonly [Level, string])[] = [
    ...(row.approval === null ? [] : [['trouble', say('stay.awaiting-approval')] as const]),
    ...(row.switching
      ? [['note', say('record.switching', { target: target ?? '' })] as const]
      : []),
    ...(row.drill === null ? [] : [['note', say('stay.drilling')] as const]),
    ...(row.pin === null ? [] : [['note', say('record.pinned')] as const]),
    ...(row.freeze === null ? [] : [['note', say('record.frozen')] as const]),
    ...(row.maintenance === null ? [] : [['note', say('record.maintenance')] as const]),
    ...(row.retired ? [['trouble', say('record.retired')] as const] : []),
    ...(mode === 'steer' ? [] : [['well', sayOf(say, 'mode', mode)] as const]),
  ];
  const isQuiet = ['target-up', 'pinned', 'frozen', 'awaiting-approval', 'drilling'].includes(
    stay.reason,
  );
  return (
    <div class="row">
      <span class="lead">
        <Mark level={level} />
        <span class="unseen">{say(`level.${level}`)}</span>
      </span>
      <div class="name">
        <button
          type="button"
          class="opener"
          aria-expanded={isOpen}
          aria-label={say('record.open', { name: bare(name) })}
          onClick={toggle}
        >
          {bare(name)}
        </button>
        {names.length === 0 ? null : <span class="quiet">{names.map(bare).join(', ')}</span>}
      </div>
      <div class="target">
        {target === null ? (
          <span class="quiet">{say('record.nowhere')}</span>
        ) : (
          <>
            <span class="arrow" aria-hidden="true">
              →
            </span>{' '}
            <strong>{target}</strong>{' '}
            <span class="quiet">{origin === undefined ? '' : origin.cloud}</span>
          </>
        )}
        {isQuiet ? null : <span class="stay">{sayOf(say, 'stay', stay.reason)}</span>}
      </div>
      <ul class="vendors plain">
        {providers.map((provider) => (
          <Vendor key={provider.provider} provider={provider} row={row} />
        ))}
      </ul>
      <div class="tags">
        {tags.map(([of, text]) => (
          <Tag key={text} level={of}>
            {text}
          </Tag>
        ))}
      </div>
    </div>
  );
}

const stageLevels: Readonly<Record<string, Level>> = {
  ...{ visible: 'well', written: 'note', decided: 'note', waiting: 'note' },
  ...{ lagging: 'trouble', diverged: 'trouble', untouched: 'well', unread: 'unknown' },
};

/** What a vendor serves: the target's name where it is one of ours. */
function servedBy({ cname }: ProviderRow, { targets }: RecordRow, say: Say): string {
  if (cname === undefined) return say('health.unknown');
  if (cname === null) return '—';
  return targets.find((target) => target.cname === cname)?.origin ?? bare(cname);
}

function Vendor({ provider, row }: { readonly provider: ProviderRow; readonly row: RecordRow }) {
  const { say } = useSpeech();
  const { stage } = provider;
  const level = provider.problem === null ? (stageLevels[stage] ?? 'note') : 'trouble';
  const word = sayOf(say, 'stage', stage);
  return (
    <li class={`vendor ${level}`} title={provider.problem ?? word}>
      <span class="who">{provider.provider}</span>
      <span class="what">{servedBy(provider, row, say)}</span>
      {row.switching && stage !== 'visible' ? (
        <span class="how">{word}</span>
      ) : (
        <>
          <Mark level={level} />
          <span class="unseen">{word}</span>
        </>
      )}
    </li>
  );
}

// ---------------------------------------------------------------- one record

interface Whole {
  readonly live: Live;
  readonly row: RecordRow;
  readonly origins: ReadonlyMap<string, OriginRow>;
  readonly act: Act;
}

function Details({ live, row, origins, act }: Whole) {
  const { say } = useSpeech();
  const { stay } = row;
  const target = row.targets.find(({ origin }) => origin === row.target);
  return (
    <div class="details">
      <Chain row={row} origins={origins} />
      {stay.sentence === '' ? null : (
        <p class="evidence" lang="en">
          {stay.sentence}
        </p>
      )}
      {row.approval === null ? null : <Waiting live={live} row={row} act={act} />}
      <Deeds live={live} row={row} act={act} />
      {row.pin === null ? null : (
        <Held live={live} what={`${say('record.pinned')}: ${row.pin.target}`} held={row.pin} />
      )}
      {row.prepared == null ? null : (
        <Held
          live={live}
          what={say(row.prepared.ready ? 'record.prepared' : 'record.preparing', {
            ttl: String(row.prepared.ttl),
          })}
          held={row.prepared}
        />
      )}
      {row.freeze === null ? null : (
        <Held live={live} what={say('record.frozen')} held={row.freeze} />
      )}
      <Serving live={live} row={row} />
      <div class="halves">
        <Targets live={live} row={row} origins={origins} />
        <div class="stack">
          <Objective row={row} />
          <LastDrill live={live} row={row} />
        </div>
      </div>
      <Seen live={live} names={row.targets.map(({ origin }) => origin)} />
      <h3>{say('record.history')}</h3>
      <OwnHistory live={live} record={row.name} />
      {target === undefined || isServed(row) ? null : (
        <p class="unseen">{sayOf(say, 'health', target.health)}</p>
      )}
    </div>
  );
}

/** Public name, record, target, origin. */
function Chain({ row, origins }: Pick<Whole, 'row' | 'origins'>) {
  const { say } = useSpeech();
  const origin = origins.get(row.target ?? '');
  const health = origin?.health ?? 'unknown';
  const ascii = asciiOf(row);
  const links: readonly (readonly [string, preact.ComponentChildren, string])[] = [
    [
      say('record.names'),
      row.names.length === 0 ? (
        <span class="quiet">{say('record.nonames')}</span>
      ) : (
        row.names.map((name) => <span key={name}>{bare(name)}</span>)
      ),
      '',
    ],
    [
      say('record.record'),
      <>
        {bare(row.name)} {ascii === row.name ? null : <span class="quiet">{bare(ascii)}</span>}
      </>,
      '',
    ],
    [say('record.target'), row.cname === null ? '—' : bare(row.cname), ''],
    [
      say('record.origin'),
      <>
        <Mark level={levelOfHealth(health)} /> {row.target ?? '—'}{' '}
        <span class="quiet">
          {[origin?.cloud, origin?.region].filter(Boolean).join(' · ')}{' '}
          {sayOf(say, 'health', health)}
        </span>
      </>,
      levelOfHealth(health),
    ],
  ];
  return (
    <ol class="chain plain">
      {links.map(([what, text, level]) => (
        <li key={what} class={level}>
          <span class="what">{what}</span>
          <span class="text">{text}</span>
        </li>
      ))}
    </ol>
  );
}

/** How many lines of a vendor were seen from outside, and which were not, and since when. */
function Lines({ live, lines }: { readonly live: Live; readonly lines: LineRows }) {
  const { say } = useSpeech();
  const open = lines.filter(({ provenAt }) => provenAt === null);
  const since = open.find(({ unprovenSinceAt }) => unprovenSinceAt !== null)?.unprovenSinceAt;
  const names = open.map(({ line }) => line).join(', ');
  return (
    <p class="quiet">
      {say('record.lines', { n: lines.length - open.length, all: lines.length })}{' '}
      {open.length === 0 ? null : say('record.unseen', { lines: names })}{' '}
      {since == null ? null : <Ago live={live} at={since} />}
    </p>
  );
}

type LineRows = NonNullable<ProviderRow['lines']>;

/** Each vendor with what it serves, and the stages of the switch as they are ticked off. */
function Serving({ live, row }: Pick<Whole, 'live' | 'row'>) {
  const { say, language } = useSpeech();
  const hasSteps = row.mode !== 'observe' && row.decidedAt !== null;
  return (
    <section aria-label={say('record.vendors')}>
      <h3>
        {say('record.vendors')}{' '}
        <span class="quiet">
          {row.switching ? say('record.switching', { target: row.target ?? '' }) : null}
          {!row.switching && row.decidedAt !== null ? <Ago live={live} at={row.decidedAt} /> : null}
        </span>
      </h3>
      {row.mode === 'observe' ? <p class="quiet">{say('record.observed')}</p> : null}
      <table class="serving">
        <tbody>
          {row.providers.map((p) => (
            <tr key={p.provider}>
              <th scope="row">{p.provider}</th>
              <td>
                {servedBy(p, row, say)}{' '}
                <span class="quiet">
                  {p.serversAsked === 0
                    ? null
                    : say('record.servers', { n: p.serversRight, all: p.serversAsked })}
                </span>
                {p.lines === undefined ? null : <Lines lines={p.lines} live={live} />}
                {p.problem === null ? null : (
                  <p class="evidence" lang="en">
                    {p.problem}
                  </p>
                )}
              </td>
              <td>
                {hasSteps ? (
                  <ol class="steps plain">
                    {stepsOf(p).map(({ word, isDone, ms }) => (
                      <li key={word} class={isDone ? 'done' : ''}>
                        <span aria-hidden="true">{isDone ? '✓' : '○'}</span> {say(`step.${word}`)}
                        {ms === null ? null : <span class="quiet"> {measured(ms, language)}</span>}
                      </li>
                    ))}
                  </ol>
                ) : (
                  sayOf(say, 'stage', p.stage)
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {row.leftBehind === null ? null : (
        <p class="evidence" lang="en">
          {row.leftBehind.sentence}. {row.leftBehind.cure}
        </p>
      )}
      {row.cachesExpiredAt === null || row.switching ? null : (
        <p class="quiet">
          {row.cachesExpiredAt > live.now() ? (
            <Filled text={say('record.caches')}>
              <In live={live} at={row.cachesExpiredAt} />
            </Filled>
          ) : (
            say('record.cached')
          )}
        </p>
      )}
    </section>
  );
}

/** A sentence with something drawn in its place. */
function Filled({
  text,
  children,
}: {
  readonly text: string;
  readonly children: preact.ComponentChildren;
}) {
  const [before, after] = text.split('{in}');
  return (
    <>
      {before}
      {children}
      {after}
    </>
  );
}

function Targets({ live, row, origins }: Pick<Whole, 'live' | 'row' | 'origins'>) {
  const { say } = useSpeech();
  return (
    <section aria-label={say('record.targets')}>
      <h3>{say('record.targets')}</h3>
      <ol class="targets plain">
        {row.targets.map(({ origin, cname, health, drained, sinceAt }) => (
          <li key={origin} class={origin === row.target ? 'inforce' : ''}>
            <Mark level={levelOfHealth(health)} /> <strong>{origin}</strong>{' '}
            <span class="quiet">{origins.get(origin)?.cloud}</span>{' '}
            <span class="word">{sayOf(say, 'health', health)}</span>{' '}
            <span class="quiet">
              <Ago live={live} at={sinceAt} />
            </span>
            {origin === row.target ? <Tag>{say('record.inforce')}</Tag> : null}
            {drained ? <Tag>{say('record.drained')}</Tag> : null}
            <div class="quiet mono">{bare(cname)}</div>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** What the probes of the targets saw, and how long the answers took. */
function Seen({ live, names }: { readonly live: Live; readonly names: readonly string[] }) {
  const { say } = useSpeech();
  const { language } = useSpeech();
  const found = useStrips(live, names.slice(0, 6), '15m');
  if (found === null || found.strips.length === 0) return null;
  const strips = begun(found);
  const title = say('clouds.strips', {
    span: span(strips.strips[0]!.marks.length * strips.stepMs, language),
  });
  const checks = [...new Set(strips.strips.map(({ check }) => check))];
  return (
    <section aria-label={title}>
      <h3>{title}</h3>
      <div class="halves">
        {checks.map((check) => (
          <div key={check}>
            <h4 class="mono">{check}</h4>
            <StripsOf strips={strips.strips.filter((one) => one.check === check)} />
            <Latency strips={strips} check={check} />
          </div>
        ))}
      </div>
    </section>
  );
}

function Objective({ row }: Pick<Whole, 'row'>) {
  const { say, language } = useSpeech();
  const { objectiveMs, predictedMs, budget } = row;
  const isKept = objectiveMs !== null && predictedMs !== null && predictedMs <= objectiveMs;
  return (
    <section aria-label={say('record.objective')}>
      <h3>{say('record.objective')}</h3>
      <p>
        {objectiveMs === null ? (
          <span class="quiet">{say('record.noobjective')}</span>
        ) : (
          say('record.promised', { time: measured(objectiveMs, language) })
        )}
        {predictedMs === null ? null : (
          <>, {say('record.predicted', { time: measured(predictedMs, language) })}</>
        )}{' '}
        {objectiveMs === null || predictedMs === null ? null : (
          <Mark
            level={isKept ? 'well' : 'trouble'}
            word={say(isKept ? 'record.kept' : 'record.missed')}
          />
        )}
      </p>
      <p class="quiet">{say('record.budget', { n: budget.used, all: budget.limit })}</p>
    </section>
  );
}

function LastDrill({ live, row }: Pick<Whole, 'live' | 'row'>) {
  const { say, language } = useSpeech();
  const { lastDrill, drill } = row;
  return (
    <section aria-label={say('record.drill')}>
      <h3>{say('record.drill')}</h3>
      {drill === null ? null : (
        <p>
          <Mark level="note" /> {say('record.drilling', { from: drill.from, to: drill.to })}
        </p>
      )}
      {lastDrill === null ? (
        <p class="quiet">{say('record.nodrill')}</p>
      ) : (
        <p title={lastDrill.sentence}>
          <Mark
            level={lastDrill.result === 'passed' ? 'well' : 'trouble'}
            word={sayOf(say, 'result', lastDrill.result)}
          />{' '}
          {lastDrill.from} → {lastDrill.to}, {measured(lastDrill.ms, language)},{' '}
          <span class="quiet">
            <Ago live={live} at={lastDrill.at} />
          </span>
        </p>
      )}
    </section>
  );
}

/** The decision that waits, with its votes and its end. */
function Waiting({ live, row, act }: Pick<Whole, 'live' | 'row' | 'act'>) {
  const { say } = useSpeech();
  const { approval } = row;
  if (approval === null) return null;
  const { id, from, to, why, votes, expiresAt, goesAt } = approval;
  const may = live.session !== null && live.session.role !== 'read';
  const what = `${bare(row.name)}: ${from} → ${to}`;
  return (
    <section class="waiting" aria-label={say('record.waits')}>
      <h3>
        <Mark level="trouble" /> {say('record.waits')}
      </h3>
      <p>{say('record.waitsfor', { from, to, why: sayOf(say, 'why', why) })}</p>
      <p class="evidence" lang="en">
        {votes}
      </p>
      <p class="quiet">
        <Filled text={say(goesAt === null ? 'record.ends' : 'record.goes')}>
          <In live={live} at={goesAt ?? expiresAt} />
        </Filled>
      </p>
      {may ? (
        <p class="deeds">
          <button class="main" type="button" onClick={() => act({ kind: 'approve', id, what })}>
            {say('do.approve')}
          </button>
          <button type="button" onClick={() => act({ kind: 'reject', id, what })}>
            {say('do.reject')}
          </button>
        </p>
      ) : null}
    </section>
  );
}

/** What may be done to it, by who may. */
function Deeds({ live, row, act }: Pick<Whole, 'live' | 'row' | 'act'>) {
  const { say } = useSpeech();
  if (live.session?.role !== 'operate') return null;
  const record = row.name;
  const what = bare(record);
  return (
    <p class="deeds">
      {row.targets
        .filter(({ origin }) => origin !== row.target)
        .map(({ origin: target, health }) => (
          <button
            key={target}
            type="button"
            disabled={health !== 'up'}
            onClick={() => act({ kind: 'switch', record, target, what })}
          >
            {say('do.switch', { target })}
          </button>
        ))}
      {(['pin', 'freeze'] as const).map((kind) => {
        const undo = (kind === 'pin' ? row.pin : row.freeze) !== null;
        const deed = undo ? (`un${kind}` as const) : kind;
        return (
          <button key={kind} type="button" onClick={() => act({ kind: deed, record, what })}>
            {say(`do.${deed}`)}
          </button>
        );
      })}
    </p>
  );
}

/** Of one record alone, asked for when it is opened and when it changes. */
function OwnHistory({ live, record }: { readonly live: Live; readonly record: string }) {
  const [entries, set] = useState<readonly EntryRow[]>([]);
  const newest = live.board?.rest.history.find((entry) => entry.record === record)?.seq ?? 0;
  useEffect(() => {
    let isOver = false;
    const path = `/v1/history?limit=12&record=${encodeURIComponent(record)}`;
    live
      .ask(path)
      .then(({ status, body }) => {
        if (!isOver && status === 200) set((body as { entries: EntryRow[] }).entries.map(plain));
      })
      .catch(() => {
        // What was known stays; the stream says when the daemon is lost.
      });
    return () => {
      isOver = true;
    };
  }, [record, newest]);
  return <History live={live} entries={entries} record={record} />;
}

/** The journal's own entries bear more, and lack what only the board adds. */
function plain(entry: EntryRow): EntryRow {
  const { seq, wall, kind, record, sentence, from = null, to = null } = entry;
  return { seq, wall, kind, record, sentence, from, to };
}
