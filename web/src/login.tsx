// How somebody is let in: by a token, shown once and forgotten at once.

import { useState } from 'preact/hooks';
import type { Live } from './live.ts';
import { LanguageSwitch } from './page.tsx';
import { useSpeech } from './spoken.tsx';
import type { Word } from './words.ts';

export function Login({ live }: { readonly live: Live }) {
  const { say } = useSpeech();
  const [why, setWhy] = useState<Word | null>(null);
  const [isBusy, setBusy] = useState(false);
  const enter = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const field = form.elements.namedItem('token') as HTMLInputElement;
    const token = field.value.trim();
    field.value = '';
    setBusy(true);
    const status = await live.login(token).catch(() => 0);
    setBusy(false);
    if (status === 200) return;
    setWhy(status === 429 ? 'login.often' : status === 0 ? 'login.failed' : 'login.wrong');
    field.focus();
  };
  return (
    <main class="lonely">
      <LanguageSwitch />
      <h1>
        <span class="brand">Detour</span> {say('login.title')}
      </h1>
      <p>{say('login.lead')}</p>
      <form class="login" onSubmit={(event) => void enter(event)}>
        <label for="token">{say('login.token')}</label>
        <input
          id="token"
          name="token"
          type="password"
          autocomplete="current-password"
          required
          aria-describedby="once why"
        />
        <button class="main" type="submit" disabled={isBusy}>
          {say('login.enter')}
        </button>
        <p id="why" class="bad" role="alert">
          {why === null ? '' : say(why)}
        </p>
        <p id="once" class="quiet">
          {say('login.once')}
        </p>
      </form>
    </main>
  );
}
