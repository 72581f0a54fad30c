// A real Alertmanager for the tests: alone, with one receiver that is a webhook of the test's.
// It never outlives the test that started it.

import { join } from 'node:path';
import { absent, type ServedPart, type ServedProgram, startServed } from './served.ts';

const alertmanager: ServedProgram = {
  program: '/usr/bin/prometheus-alertmanager',
  from: 'prometheus-alertmanager',
  ready: '/-/ready',
};

/** Why it cannot be started here; null when it can. */
export const alertmanagerAbsent = (): string | null => absent(alertmanager);

/** Starts one that tells a webhook at once, with a bearer, and resolves once it is ready. */
export function startAlertmanager(hook: string, token: string): Promise<ServedPart> {
  return startServed(
    alertmanager,
    'route: { receiver: detour, group_by: [alertname], group_wait: 0s, group_interval: 1s, ' +
      'repeat_interval: 1m }\nreceivers:\n  - name: detour\n    webhook_configs:\n' +
      `      - { url: "${hook}", send_resolved: true, ` +
      `http_config: { authorization: { credentials: "${token}" } } }\n`,
    (directory) => ['--cluster.listen-address=', `--storage.path=${join(directory, 'data')}`],
  );
}
