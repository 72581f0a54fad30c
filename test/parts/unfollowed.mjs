// Loaded before node:test by the whole run: without it the runner follows every promise by hooks to
// tell which test an unexpected error belongs to, which takes two fifths of a simulated world. So it
// is left out of the files of worlds, and of no other: the runner finds by it which hooks of a file
// are whose (an `afterEach` of a whole file is not called without). An unexpected error still fails
// the file and is told, without the test's name; `node --test FILE` gives that. It must hide no
// error, and must leave everybody else's hooks alone.

import hooks from 'node:async_hooks';
import { sep } from 'node:path';

const { createHook } = hooks;
if (process.argv[1]?.includes(`${sep}test${sep}sim${sep}`)) {
  hooks.createHook = (callbacks) => {
    const isRunner = new Error().stack.includes('node:internal/test_runner/');
    return isRunner ? createHook({}) : createHook(callbacks);
  };
}
