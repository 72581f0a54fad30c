// `npm run docs`: writes the documents that are made from the code: the references of the configuration,
// the metrics and the journal, and the list of outages. A test holds what stands in docs/ against it. It
// must never write anything that `written` does not name.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { jsonSchema } from '../src/config/json-schema.ts';
import { tables } from '../src/run/build.ts';
import { metricNames } from '../src/serve/metrics.ts';
import { configurationPage } from './configuration.ts';
import { journalPage, metricsPage, withOutages } from './references.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

/** Each document that is made, by its path from the root. */
export function written(): Readonly<Record<string, string>> {
  return {
    'docs/configuration.md': configurationPage({
      schema: jsonSchema(tables),
      kinds: Object.keys(tables.checks),
      examples: [
        read('deploy/example.yaml'),
        read('deploy/group.yaml'),
        read('deploy/kubernetes/overlays/lease/detour.yaml'),
      ],
    }),
    'docs/metrics.md': metricsPage(metricNames),
    'docs/journal.md': journalPage(),
    'docs/replays.md': withOutages(read('docs/replays.md')),
  };
}

if (import.meta.main) {
  for (const [path, text] of Object.entries(written())) {
    if (text === read(path)) continue;
    writeFileSync(join(root, path), text);
    console.log(`${path} is written`);
  }
}
