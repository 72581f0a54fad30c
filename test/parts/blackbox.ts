// A real prometheus-blackbox-exporter for the tests, with modules of the test's own. It never
// outlives the test that started it.

import { absent, type ServedPart, type ServedProgram, startServed } from './served.ts';

const blackbox: ServedProgram = {
  program: '/usr/bin/prometheus-blackbox-exporter',
  from: 'prometheus-blackbox-exporter',
  ready: '/-/healthy',
};

/** Why it cannot be started here; null when it can. */
export const blackboxAbsent = (): string | null => absent(blackbox);

/** Starts one over `blackbox.yml`, as text, and resolves once it is ready. */
export const startBlackbox = (modules: string): Promise<ServedPart> =>
  startServed(blackbox, modules);
