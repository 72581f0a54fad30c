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
  return startScraping({ job: 'shop', targets: [`127.0.0.1:${scraped}`], every: '200ms' });
}

interface Scraping {
  readonly job: string;
  /** `HOST:PORT` each. */
  readonly targets: readonly string[];
  /** How often it scrapes, and looks at its rules. */
  readonly every: string;
  /** Files of rules, by their whole paths. */
  readonly rules?: readonly string[];
}

/** Starts one that scrapes all of these as one job, and keeps exemplars. */
export function startScraping({ job, targets, every, rules = [] }: Scraping): Promise<ServedPart> {
  const configuration = {
    global: { scrape_interval: every, scrape_timeout: every, evaluation_interval: every },
    rule_files: rules,
    scrape_configs: [{ job_name: job, static_configs: [{ targets }] }],
  };
  return startServed(prometheus, JSON.stringify(configuration), (directory) => [
    `--storage.tsdb.path=${join(directory, 'tsdb')}`,
    '--enable-feature=exemplar-storage',
  ]);
}
