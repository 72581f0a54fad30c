// What comes to an end: certificates that Detour shows or believes, and those that its checks have
// met. Files are read, nobody is asked. A file that cannot be read here may be readable where the
// daemon runs, so that is not known and no fault.

import { X509Certificate } from 'node:crypto';
import type { Ending, Run } from './run.ts';

const dayMs = 86_400_000;
/** Days before an end from which it is time to renew. */
const soonDays = 21;
const endingsMax = 200;
/** In one file; what is beyond it is not looked at. */
const certificatesMax = 300;

export function lookAtEnds(run: Run): void {
  const { endings } = run.around;
  if (endings.length > endingsMax) {
    run.cut(`${endings.length} certificates, of which ${endingsMax} were looked at`);
  }
  for (const ending of endings.slice(0, endingsMax)) lookAtEnd(run, ending);
  lookAtMet(run);
}

function lookAtEnd(run: Run, { what, read, isBundle = false }: Ending): void {
  const cure = 'renew it; the daemon takes in a new file by itself or at a reload';
  const found = read();
  if ('why' in found) {
    run.unknown({}, 'expiry', `when ${what} ends is not known here: ${found.why}`, 'look there');
    return;
  }
  const blocks = found.pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  const ends = (blocks ?? []).slice(0, certificatesMax).flatMap((block) => {
    try {
      return new X509Certificate(block).validToDate.getTime();
    } catch {
      // What is no certificate has no end; that it cannot be used is said where it is used.
      return [];
    }
  });
  if (ends.length === 0) return;
  const end = isBundle ? Math.max(...ends) : Math.min(...ends);
  sayEnd(run, what, Math.floor((end - run.clock.wall()) / dayMs), cure);
}

function sayEnd(run: Run, what: string, days: number, cure: string): void {
  if (days < 0) run.bad({}, 'expiry', `${what} ended ${-days} days ago`, cure);
  else if (days < soonDays) run.warn({}, 'expiry', `${what} ends in ${days} days`, cure);
  else run.good({}, 'expiry', `${what} holds for ${days} more days`);
}

/** Of each check the least that was met on any path. */
function lookAtMet(run: Run): void {
  const met = new Map<string, number>();
  for (const { checks } of run.before.status?.origins ?? []) {
    for (const { id, last } of checks) {
      const days = last?.certificateDays;
      if (days !== undefined) met.set(id, Math.min(days, met.get(id) ?? days));
    }
  }
  for (const [id, days] of met) {
    if (days >= soonDays) continue;
    sayEnd(run, `the certificate that ${id} meets`, days, 'renew it at that origin');
  }
}
