// What happened, the newest first, and why: an entry's facts and what came of it, one click away.

import { useEffect, useRef, useState } from 'preact/hooks';
import type { EntryRow } from '../../src/serve/board.ts';
import { Clock } from './bits.tsx';
import type { Live } from './live.ts';
import { useSpeech } from './spoken.tsx';
import { bareIn, measured, sentenceOf } from './view.ts';
import { sayOf } from './words.ts';

/** As the journal gives it to who is let in. */
type Entry = EntryRow & { readonly data?: Readonly<Record<string, unknown>> | null };

/** What can be explained: somebody or something has decided. */
const decided = new Set([
  ...[
    'switch',
    'would-switch',
    'stay',
    'approval',
    'diagnosis',
    'health',
    'verdict',
    'hold',
    'drill',
  ],
  ...['hook', 'rejected', 'deposed', 'objective', 'settled'],
]);
/** Of the board's entries that are drawn before older ones are asked for. */
const most = 15;
/** They stand with the record alone. */
const steps = new Set(['verdict', 'visible', 'written']);
const notable = new Set(['switch', 'would-switch', 'diagnosis', 'approval', 'fault', 'deposed']);

export function History({
  live,
  entries,
  record,
}: {
  readonly live: Live;
  readonly entries: readonly EntryRow[];
  readonly record: string | null;
}) {
  const { say } = useSpeech();
  const [older, setOlder] = useState<readonly EntryRow[]>([]);
  const [open, setOpen] = useState<number | null>(null);
  const recent = entries.slice(0, most);
  const [from, setFrom] = useState<number | undefined>();
  const [isEnd, setEnd] = useState(false);
  const oldest = from ?? recent.at(-1)?.seq;
  const more = async () => {
    const of = record === null ? '' : `&record=${encodeURIComponent(record)}`;
    const { status, body } = await live.ask(`/v1/history?limit=40&before=${oldest}${of}`);
    if (status !== 200) return;
    const { entries: found } = body as { readonly entries: readonly EntryRow[] };
    setEnd(found.length < 40);
    setFrom(found.at(-1)?.seq);
    setOlder([...older, ...found.filter(({ kind }) => record !== null || !steps.has(kind))]);
  };
  // What has come meanwhile may stand in both.
  const first = recent.at(-1)?.seq ?? 0;
  const all = [...recent, ...older.filter(({ seq }) => seq < first)];
  return (
    <>
      {all.length === 0 ? <p class="quiet">{say('history.none')}</p> : null}
      <ol class="history plain">
        {all.map((entry) => (
          <li key={entry.seq} class={notable.has(entry.kind) ? 'notable' : ''}>
            <Clock wall={entry.wall} />
            <span class="kind">{sayOf(say, 'kind', entry.kind)}</span>
            <span
              class="sentence"
              title={entry.sentence}
              lang={entry.sentence === '' ? undefined : 'en'}
            >
              {bareIn(sentenceOf(entry, say))}
            </span>
            {decided.has(entry.kind) ? (
              <button
                type="button"
                class="link"
                aria-expanded={open === entry.seq}
                onClick={() => setOpen(open === entry.seq ? null : entry.seq)}
              >
                {say('history.explain')}
              </button>
            ) : null}
            {open === entry.seq ? <Explained live={live} entry={entry} /> : null}
          </li>
        ))}
      </ol>
      {oldest !== undefined && oldest > 1 && !isEnd ? (
        <button type="button" onClick={() => void more()}>
          {say('history.older')}
        </button>
      ) : null}
    </>
  );
}

const facts = [
  ['rule', 'why'],
  ['votes', 'votes'],
  ['candidate', 'candidate'],
  ['diagnosis', 'diagnosis'],
  ['budget', 'budget'],
  ['acts', 'acts'],
  ['replicas', 'replicas'],
] as const;
const followers = new Set(['written', 'visible', 'settled', 'objective']);

function Explained({ live, entry }: { readonly live: Live; readonly entry: EntryRow }) {
  const { say, language } = useSpeech();
  const [found, set] = useState<readonly Entry[] | 'lost' | null>(null);
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const look = async () => {
      const own = await live.ask(`/v1/history?limit=1&before=${entry.seq + 1}`);
      const of = entry.record === null ? null : encodeURIComponent(entry.record);
      const after = of === null ? null : await live.ask(`/v1/history?limit=200&record=${of}`);
      const isSaid = own.status === 200 && (after === null || after.status === 200);
      if (!isSaid) return set('lost');
      const entries = (said: { body: unknown } | null) =>
        ((said?.body as { entries?: Entry[] } | null)?.entries ?? []) as Entry[];
      set([...entries(own).slice(0, 1), ...entries(after).filter(({ seq }) => seq > entry.seq)]);
    };
    look().catch(() => set('lost'));
  }, [entry.seq]);
  if (found === null) return <p class="explained quiet">{say('page.loading')}</p>;
  if (found === 'lost') {
    return (
      <p class="explained">
        <span role="alert">{say('login.failed')}</span>
      </p>
    );
  }
  const [own, ...later] = found;
  const data = own?.seq === entry.seq ? (own.data ?? {}) : {};
  const epoch = data['epoch'];
  const after = later
    .filter((e) => followers.has(e.kind) && epoch !== undefined)
    .filter((e) => e.kind === 'settled' || e.data?.['epoch'] === epoch)
    .toReversed();
  const end = after.findIndex((e) => e.kind === 'settled');
  const others = (data['alternatives'] ?? []) as {
    readonly origin: string;
    readonly why: string;
  }[];
  const rows: readonly (readonly [string, string])[] = [
    ...facts
      .filter(([, key]) => Boolean(data[key]))
      .map(([word, key]) => {
        const text = String(data[key]);
        return [say(`explain.${word}`), key === 'why' ? sayOf(say, 'why', text) : text] as const;
      }),
    ...(typeof data['helpsInMs'] === 'number'
      ? [[say('explain.helps'), measured(data['helpsInMs'], language)] as const]
      : []),
    ...others.map(({ origin, why }) => [origin, why] as const),
  ];
  return (
    <div class="explained" ref={place}>
      {rows.length === 0 && after.length === 0 ? (
        <p class="quiet">{say('explain.nothing')}</p>
      ) : null}
      <dl>
        {rows.map(([what, text]) => (
          <div key={what}>
            <dt>{what}</dt>
            <dd lang="en">{text}</dd>
          </div>
        ))}
      </dl>
      {after.length === 0 ? null : (
        <>
          <p class="quiet">{say('explain.after')}</p>
          <ol class="plain">
            {after.slice(0, end < 0 ? 20 : end + 1).map((e) => (
              <li key={e.seq}>
                <Clock wall={e.wall} /> <span lang="en">{bareIn(e.sentence)}</span>
              </li>
            ))}
          </ol>
        </>
      )}
    </div>
  );
}
