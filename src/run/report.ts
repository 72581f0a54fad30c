// `detour report`: brings together what a report is made of: a journal, of the daemon or of a state
// directory that is read and never written, and the configuration for its zone and its agreements.

import type { ReportOrder } from '../cli/hands.ts';
import { readJournal } from '../replay/recorded.ts';
import { InputError } from '../replay/settings.ts';
import { type Material, ReportError, report } from '../report/report.ts';
import { ConfigError, loadConfig } from './build.ts';
import { createClock } from './clock.ts';

const usualConfig = '/etc/detour/detour.yaml';

interface Refusal {
  readonly exit: 1 | 2;
  readonly message: string;
}

/** The report, or why there is none. One that is named and cannot be used is a ConfigError. */
export async function reportOf(
  order: ReportOrder,
): Promise<{ readonly text: string; readonly json: object } | Refusal> {
  try {
    const { config, notes } = await configOf(order.config);
    const { told, state } = order;
    const entries = state === null ? (told?.entries ?? []) : readJournal(state).entries;
    const material: Material = {
      entries,
      status: told?.status ?? null,
      config,
      now: told?.status.wall ?? createClock(0).wall(),
      notes: [...notes, ...(told?.notes ?? [])],
    };
    return report(order.ask, material);
  } catch (error) {
    if (error instanceof ReportError) return { exit: error.exit, message: error.message };
    if (error instanceof InputError) return { exit: 1, message: error.message };
    throw error;
  }
}

async function configOf(path: string | null): Promise<Pick<Material, 'config' | 'notes'>> {
  try {
    const { config } = await loadConfig(path ?? usualConfig, { together: true });
    return { config, notes: [] };
  } catch (error) {
    if (path !== null || !(error instanceof ConfigError)) throw error;
    const why = `${usualConfig} cannot be used here: times are in UTC and no agreement is known`;
    return { config: null, notes: [`${why}; name another with -c FILE`] };
  }
}
