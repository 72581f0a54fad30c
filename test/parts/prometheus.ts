// A real Prometheus for the tests, over metrics that the test serves itself. It never outlives the
// test that started it.

import { join } from 'node:path';
import { absent, type ServedPart, type ServedProgram, startServed } from './served.ts';

const prometheus: ServedProgram = {
  program: '/usr/bin/prometheus',
  from: 'prometheus',
  ready: '/-/ready',
};

/** Why it cannot be started here; null when it can. */
export const prometheusAbsent = (): string | null => absent(prometheus);

/** Starts one that scrapes a port of 127.0.0.1 as the job `shop`, and resolves once it is ready. */
export function startPrometheus(scraped: number): Promise<ServedPart> {
  return startServed(
    prometheus,
    'global: { scrape_interval: 200ms, scrape_timeout: 200ms }\nscrape_configs:\n' +
      `  - { job_name: shop, static_configs: [ { targets: ["127.0.0.1:${scraped}"] } ] }\n`,
    (directory) => [`--storage.tsdb.path=${join(directory, 'tsdb')}`],
  );
}
