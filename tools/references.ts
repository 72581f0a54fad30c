// Documents made from tables of the code: every metric, every kind of line in the journal, the outages that
// can be replayed. The meaning of each kind stands here, and the type checker holds that none is left
// out. Pure: tables in, text out. It must never say a figure that the code does not.

import type { EntryKind } from '../src/core/model.ts';
import { type Outage, outages, spanOf } from '../src/replay/outages.ts';

type Cells = readonly string[];

function table(head: Cells, rows: readonly Cells[]): string {
  return [head, head.map(() => '---'), ...rows]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n');
}

// ---------------------------------------------------------------- metrics

/** One family, as the program registers it. */
export interface Metric {
  readonly name: string;
  readonly kind: string;
  readonly labels: readonly string[];
  readonly help: string;
}

const metricsBegin = `# Metrics

Every metric family of Detour's own, at \`/metrics\` of \`listen\`. \`npm run docs\` writes this page from the table
that the program registers them by (\`src/serve/metrics.ts\`). A test fails when it is stale.

- Records are labelled as they are configured, without the last dot. Label values come from the configuration
  or from closed words, never from what somebody else can choose.
- A *state set* has a line for each word, 1 for the one that holds and 0 for the others.
- A histogram has \`_bucket\`, \`_sum\` and \`_count\`, and the label \`le\`.
- Beside them stand those of the process (\`process_…\`, \`nodejs_…\`).
- How many lines that makes, and what to drop: [the machine](machine.md#readers).
- Alerts and a dashboard over them: [alerts.yaml](../deploy/prometheus/alerts.yaml),
  [detour.json](../deploy/grafana/detour.json).
`;

/** The reference of the metrics, whole. */
export function metricsPage(metrics: readonly Metric[]): string {
  const rows = metrics
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, kind, labels, help }) => [
      `\`${name}\``,
      kind,
      labels.map((label) => `\`${label}\``).join(', '),
      help,
    ]);
  return `${metricsBegin}\n${table(['metric', 'type', 'labels', 'what it says'], rows)}\n`;
}

// ---------------------------------------------------------------- the journal

/** What a line of each kind says, and what to do about it where something is to be done. */
const entries: Readonly<Record<EntryKind, string>> = {
  ack: 'A person has looked: a record that waited for one may act again.',
  adopt: 'A record was taken over, as it stood at its providers or by `detour adopt`.',
  approval: 'A decision waits for a person, was answered, or its question has ended (`data.word`).',
  delegation: 'A vendor was taken out of the delegation of a zone or put back, by whose order.',
  deposed:
    'Somebody else of this cluster wrote a higher epoch. Nothing is written until `detour ack`.',
  diagnosis: 'What a cloud suffers from has changed.',
  drain: 'An origin or a cloud is out of choice, and by whose order.',
  drill: 'A drill began or ended, with its result; or a check was made to fail on purpose.',
  fault: 'A fault in Detour itself: an event was refused. Please report it, with the log.',
  forgotten:
    'What was said before this start could not be stored. Say it again where it still holds.',
  freeze: 'Automatic decisions are stopped, of one record or of all.',
  group: 'Something is wrong with the group of replicas, or it is well again.',
  health: 'The health of an origin has changed, and by which checks and paths.',
  hold: 'One provider of a record is left alone, because of what stands there. Look at it.',
  hook: 'A command before or after a switch was run, and what it answered.',
  lane: 'The way to a provider is in trouble, or works again; or its name servers are silent.',
  lease:
    'This daemon may act, or may not any longer; the term is which holding of that right it is.',
  limit: 'An origin says that it is asked too often, and is asked more slowly; or as before.',
  objective: 'A promise was kept or missed; or what is predicted has changed.',
  path: 'A path cannot see any more (it is blind), or sees again.',
  paused: 'This process or its machine stood still. Everything is looked at anew.',
  pin: 'A record is held on its target by an operator.',
  prepare:
    'The TTL of a record is brought down before a planned move, is down everywhere, or goes back.',
  rejected: 'A provider refuses a change for good, and why.',
  release: 'A record is no longer configured. What stands at its providers is left alone.',
  reload: 'The configuration was read again, and what that changed.',
  repair: 'What somebody put at a provider is being put back.',
  replica: 'Another replica is heard, or is not and has no vote.',
  settled: 'A switch has ended: how long it took, and which providers are behind.',
  standby:
    'An audit found that a target cannot serve the public names, or not for sure; or it can again.',
  start: 'The daemon has started.',
  stay: 'A record stays on its target for a new reason (`data.reason`).',
  stop: 'The daemon has ended in order.',
  store: 'The store does not commit, or commits again; or lines were lost meanwhile.',
  switch: 'A record moves: from, to, why, by whom. `detour explain` takes its id.',
  taken: "Somebody else's genuine switch was found at a provider, and is followed.",
  turn: 'One provider after the other: whose turn it is, or that all go at once.',
  undone: 'A decision of this replica is not known to be the group’s. It is not in force.',
  undrain: 'An origin or a cloud is back in choice.',
  unfreeze: 'Automatic decisions go on.',
  unpin: 'A pin is over, by an order or by its time. That moves nothing by itself.',
  unreadable: 'A record cannot be read at a provider.',
  unresolved: "A target's name leads nowhere, by its authoritative servers. It is not taken.",
  verdict: "The verdict of a cloud's own check has changed.",
  visible: 'Every name server of a provider gives the new answer.',
  'would-switch': 'In `mode: observe`: it would have moved here. Nothing was written.',
  written: 'A provider has taken the change.',
  zone: 'One zone at a provider is in trouble, or works again; its other zones go on.',
};

const journalBegin = `# The journal

Every line says what happened, and why. \`npm run docs\` writes this page from the kinds that the code knows
(\`src/core/model.ts\`). A test fails when it is stale, and the type checker when a kind is left out.

\`\`\`
detour history www.gslb.example.net --limit 20
detour history --json -n 1000
detour explain ID
detour report --help
\`\`\`

A line has a number (1, 2, 3, … without a hole), a time, a kind, the record it is about if it is about one, a
sentence for people, and \`data\`: the facts behind the sentence. The sentence may change at any time. At most
a million lines of at most 400 days are kept; in a group each replica keeps its own.

\`detour explain\` takes the number of a line, the id of a switch or the key of a notice.
`;

/** The reference of the journal, whole. */
export function journalPage(): string {
  const rows = Object.entries(entries)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([kind, says]) => [`\`${kind}\``, says]);
  return `${journalBegin}\n${table(['kind', 'what a line of it says'], rows)}\n`;
}

// ---------------------------------------------------------------- the outages

const begin = '<!-- From the outages in code; `npm run docs` writes it. -->';
const end = '<!-- End of the part from code. -->';

/** A page with its list of outages replaced. Throws when the lines that enclose it are missing. */
export function withOutages(page: string): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`the page lacks the lines ${begin} and ${end}`);
  const rows = outages.map((one) => [
    `\`${one.id}\``,
    String(minutesOf(one)),
    one.failed,
    one.lesson,
  ]);
  const all = table(['outage', 'minutes', 'what failed', 'what it teaches'], rows);
  return `${page.slice(0, from + begin.length)}\n\n${all}\n\n${page.slice(to)}`;
}

function minutesOf(outage: Outage): number {
  const { beganAt, calmAt } = spanOf(outage);
  return Math.round((calmAt - beganAt) / 60_000);
}
