// `detour audit -c FILE`: one audit from here, without the daemon. It builds the adapters, looks, and
// lets go of everything; it remembers nothing and writes no file.

import type { WithSpelling } from '../cli/hands.ts';
import { closeAll } from '../controller.ts';
import type { AuditReport } from '../core/audit.ts';
import type { Reply } from '../core/model.ts';
import { buildAdapters, ConfigError, loadConfig } from './build.ts';
import { createClock } from './clock.ts';

/** The report, or why the configuration cannot be used. Takes at most a minute. */
export async function auditOnce(
  configPath: string,
  replica: string | null,
): Promise<WithSpelling<AuditReport> | Reply> {
  try {
    const { config } = await loadConfig(configPath, { replica });
    const adapters = buildAdapters(config, createClock(0), { remember: false });
    try {
      const report = await adapters.auditor.audit(new AbortController().signal);
      const { spelling } = config.core;
      return spelling === undefined ? report : { ...report, spelling };
    } finally {
      closeAll(adapters);
    }
  } catch (error) {
    if (error instanceof ConfigError) return { exit: 2, message: error.message };
    throw error;
  }
}
