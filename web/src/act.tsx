// What a person orders from the page: first what it would do, then why, then yes. It is sent once
// under an id of its own, and what the daemon answers is shown as it is.

import { useEffect, useRef, useState } from 'preact/hooks';
import type { Live } from './live.ts';
import { useSpeech } from './spoken.tsx';
import type { Word } from './words.ts';

export type Deed = { readonly what: string } & (
  | { readonly kind: 'approve' | 'reject'; readonly id: string }
  | { readonly kind: 'pin' | 'unpin'; readonly record: string }
  | { readonly kind: 'freeze' | 'unfreeze'; readonly record: string | null }
  | { readonly kind: 'switch'; readonly record: string; readonly target: string }
);

const hour = 3_600_000;
const lengths: readonly (readonly [Word, number | null])[] = [
  ['do.1h', hour],
  ['do.2h', 2 * hour],
  ['do.8h', 8 * hour],
  ['do.ever', null],
];

const isHeld = (kind: Deed['kind']) => ['pin', 'freeze', 'switch'].includes(kind);

/** The order as the API takes it. */
function orderOf(deed: Deed, reason: string, forMs: number | null, dryRun: boolean): object {
  const { what: _, ...order } = deed;
  const why = reason === '' ? (dryRun && isHeld(deed.kind) ? '?' : undefined) : reason;
  return {
    ...order,
    ...(why === undefined ? {} : { reason: why }),
    ...(isHeld(deed.kind) ? { forMs } : {}),
    ...(deed.kind === 'switch' ? { force: false } : {}),
    dryRun,
  };
}

interface Said {
  readonly isDone: boolean;
  readonly message: string;
}

export function ActDialog({
  live,
  deed,
  end,
}: {
  readonly live: Live;
  readonly deed: Deed;
  readonly end: () => void;
}) {
  const { say } = useSpeech();
  const dialog = useRef<HTMLDialogElement>(null);
  const [id] = useState(() => crypto.randomUUID());
  const [would, setWould] = useState<string | null>(null);
  const [reason, setReason] = useState('');
  const [forMs, setFor] = useState<number | null>(2 * hour);
  const [said, setSaid] = useState<Said | null>(null);
  const [isBusy, setBusy] = useState(false);
  const order = (dryRun: boolean) =>
    live.ask(
      `/v1/command${dryRun ? '' : `?id=${id}`}`,
      orderOf(deed, reason.trim(), forMs, dryRun),
    );
  const messageOf = (body: unknown) => (body as { message?: string } | null)?.message ?? '';
  useEffect(() => {
    dialog.current?.showModal();
    order(true)
      .then(({ body }) => setWould(messageOf(body)))
      .catch(() => setWould(say('login.failed')));
  }, []);
  const confirm = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      const { status, body } = await order(false);
      setSaid({ isDone: status === 200, message: messageOf(body) });
    } catch {
      setSaid({ isDone: false, message: say('do.lost') });
    }
    setBusy(false);
  };
  const verb =
    deed.kind === 'switch' ? say('do.switch', { target: deed.target }) : say(`do.${deed.kind}`);
  return (
    <dialog ref={dialog} aria-labelledby="deed" onClose={end}>
      <form onSubmit={(event) => void confirm(event)}>
        <h2 id="deed">{say('do.title', { deed: verb, what: deed.what })}</h2>
        {said === null ? (
          <>
            <p class="quiet">{say('do.would')}</p>
            <p class="would" lang={would === null ? undefined : 'en'} role="status">
              {would ?? say('do.asking')}
            </p>
            <label for="reason">
              {say('do.reason')} <span class="quiet">{say('do.reasonhint')}</span>
            </label>
            <input
              id="reason"
              value={reason}
              maxLength={500}
              required
              autocomplete="off"
              onInput={(event) => setReason(event.currentTarget.value)}
            />
            {isHeld(deed.kind) ? (
              <fieldset>
                <legend>{say('do.for')}</legend>
                {lengths.map(([word, ms]) => (
                  <label key={word}>
                    <input
                      type="radio"
                      name="for"
                      checked={forMs === ms}
                      onChange={() => setFor(ms)}
                    />{' '}
                    {say(word)}
                  </label>
                ))}
              </fieldset>
            ) : null}
          </>
        ) : (
          <div role="alert">
            <p class={said.isDone ? 'good' : 'bad'}>
              {say(said.isDone ? 'do.done' : 'do.refused')}
            </p>
            <p class="would" lang="en">
              {said.message}
            </p>
          </div>
        )}
        <p class="deeds">
          {said === null ? (
            <button class="main" type="submit" disabled={isBusy || reason.trim() === ''}>
              {verb}
            </button>
          ) : null}
          <button type="button" onClick={() => dialog.current?.close()}>
            {say(said === null ? 'do.cancel' : 'explain.close')}
          </button>
        </p>
      </form>
    </dialog>
  );
}
