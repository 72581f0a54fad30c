// The signals of a daemon, caught before anything else is loaded: a SIGHUP that comes while the
// program is still being read must not kill it, and one that comes while it ends must not either.
// Nothing may be imported here.

export interface Signals {
  /** Calls for every SIGHUP, and at once for one that has come already. */
  onHangup(then: () => void): void;
  /** Resolves on the first SIGTERM or SIGINT; they end nothing by themselves from here on. */
  ended(): Promise<void>;
}

/**
 * Catches SIGHUP, and SIGUSR1, with which Node would open its inspector to whoever may send signals.
 * SIGTERM and SIGINT end the process as ever until `ended` is asked for.
 */
export function catchSignals(): Signals {
  let waiting = false;
  let hangup = () => {
    waiting = true;
  };
  process.on('SIGHUP', () => hangup());
  process.on('SIGUSR1', () => {});
  return {
    onHangup(then) {
      hangup = then;
      if (waiting) then();
    },
    ended: () =>
      new Promise((resolve) => {
        for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => resolve());
      }),
  };
}
