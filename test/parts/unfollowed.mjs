// Loaded before node:test by the whole run: without it the runner follows every promise by hooks to
// tell which test an unexpected error belongs to, which takes two fifths of a simulated world. With
// it such an error still fails the file and is told, without the test's name; `node --test FILE`
// gives that. It must hide no error, and must leave everybody else's hooks alone.

import hooks from 'node:async_hooks';

const { createHook } = hooks;
hooks.createHook = (callbacks) => {
  const isRunner = new Error().stack.includes('node:internal/test_runner/');
  return isRunner ? createHook({}) : createHook(callbacks);
};
