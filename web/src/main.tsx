// Where the page begins: one line to the daemon, one drawing of what it says, drawn anew whenever it
// says something, and once a second for the ages.

import { render } from 'preact';
import { useEffect, useReducer } from 'preact/hooks';
import { Live } from './live.ts';
import { Login } from './login.tsx';
import { Page } from './page.tsx';
import { Spoken, useLanguage } from './spoken.tsx';

const live = new Live();

function Whole() {
  const [, draw] = useReducer((n: number, _: undefined) => n + 1, 0);
  const spoken = useLanguage();
  useEffect(() => live.listen(() => draw(undefined)), []);
  const { board, line } = live;
  const { say } = spoken;
  useEffect(() => {
    document.documentElement.lang = spoken.language === 'zh' ? 'zh-CN' : 'en';
  }, [spoken.language]);
  useEffect(() => {
    document.title = board === null ? 'Detour' : say('page.title', { cluster: board.rest.cluster });
  }, [board?.rest.cluster, say]);
  return (
    <Spoken.Provider value={spoken}>
      {line === 'login' ? (
        <Login live={live} />
      ) : board === null ? (
        <main class="lonely" aria-busy="true">
          <h1>Detour</h1>
          <p role="status">{say(live.line === 'connecting' ? 'page.loading' : 'login.failed')}</p>
        </main>
      ) : (
        <Page live={live} board={board} />
      )}
    </Spoken.Provider>
  );
}

render(<Whole />, document.getElementById('page')!);
live.start();
