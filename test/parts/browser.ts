// Debian's Chromium for the runs that look at the status page: installed where that may be done,
// driven by playwright-core, and looked over by axe. It speaks to this machine alone.

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Browser, chromium, type Page } from 'playwright-core';
import { thisMachine } from './machine.ts';
import { list, type Part, prepare } from './packages.ts';

const program = '/usr/bin/chromium';
const parts: readonly Part[] = [
  { program, pkg: 'chromium', purpose: 'looks at the status page' },
  {
    program: '/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc',
    pkg: 'fonts-noto-cjk',
    purpose: 'draws Chinese',
  },
];

/** null, and it is said why: there is no browser here. */
export async function startBrowser(): Promise<Browser | null> {
  const missing = await prepare(parts, thisMachine(20 * 60_000));
  if (!existsSync(program)) {
    console.log(`skipped: not installed: ${list(missing)}`);
    return null;
  }
  return chromium.launch({
    executablePath: program,
    // Root has no sandbox; no name is looked up, no update asked for.
    args: ['--no-sandbox', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
  });
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Violation {
  readonly id: string;
  readonly help: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
}

/** What axe finds on the page as it is, one sentence each. */
export async function violations(page: Page): Promise<readonly string[]> {
  // By the debugger: the page's own policy lets no script in but its own.
  const found = (await page.evaluate(
    `${axe}; axe.run(document, { resultTypes: ['violations'] }).then((r) => r.violations)`,
  )) as readonly Violation[];
  return found.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html, failureSummary = '' }) => `${id}: ${help}: ${html}\n    ${failureSummary}`),
  );
}
