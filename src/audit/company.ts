// Who else writes the records: other tools, by the marks that they leave beside a record or in its
// zone. It asks gently, for nothing waits for it, and it must never take silence for nobody.

import { markerName } from '../core/marker.ts';
import type { Name } from '../core/model.ts';
import { lookForCompany, lookForMeta, type Texts } from '../dns/company.ts';
import type { ZoneLook } from './delegation.ts';
import { type Run, recordsMax, sideBySide } from './run.ts';
import { parentOf } from './vendors.ts';

/** Records at each of which six names are asked. */
const companyAtOnce = 4;

/** Other tools that manage a record, or its zone, by their own marks. */
export async function lookAtCompany(run: Run, zones: ReadonlyMap<Name, ZoneLook>): Promise<void> {
  const asked = run.all.slice(0, recordsMax);
  const silent = new Set<string>();
  // Servers that were silent once would make every other name of their zone wait as long.
  const texts: Texts = async (provider, name, ...more) => {
    const where = `${provider} ${parentOf(name)}`;
    const found = silent.has(where) ? null : await run.texts(provider, name, ...more);
    if (found === null) silent.add(where);
    return found;
  };
  await sideBySide(run, asked, companyAtOnce, async ({ name, publish }) => {
    for (const { provider } of publish) {
      const marks = await lookForCompany(texts, provider, name, run.signal);
      for (const { tool, by } of marks) {
        const names = `${name} and ${markerName(name)}`;
        const cure = `exclude ${names} there (docs/other-tools.md), then remove ${by}`;
        const sentence = `${tool} manages ${name} at ${provider} as well, by ${by}`;
        run.warn({ record: name, provider }, 'company', sentence, cure);
      }
    }
  });
  await sideBySide(run, [...zones.values()], companyAtOnce, async ({ zone, spoken }) => {
    for (const provider of spoken.keys()) {
      const at = await lookForMeta(run.texts, provider, zone, run.signal);
      if (at === null) continue;
      const cure = 'see that it excludes the records and their markers (docs/other-tools.md)';
      const sentence = `octoDNS manages records of ${zone} at ${provider}, by the text at ${at}`;
      run.warn({ zone, provider }, 'company', sentence, cure);
    }
  });
}
