// Records on several lines, end to end with the built program: a cloud breaks, and every line of every
// vendor that has some gives the standby to its own users, beside the one answer of each other vendor;
// the times of each are printed. Then which lines were seen from outside, and the way out without the
// daemon. `npm run test:lines`. It asks the lab's servers alone, and decides nothing by time.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import type { StatusView } from '../../src/core/view.ts';
import { ask } from '../../src/dns/ask.ts';
import { parseHostPort, parseSubnet, type Subnet } from '../../src/kit/schema.ts';
import { type RunningLab, startLabProgram, until } from '../parts/program.ts';

const www = 'www.gslb.example.net';
const standby = 'nrt.shop.example';
const first = 'hz.shop.example';
const boundMs = 60_000;
/** Those with lines. */
const vendors = ['ali', 'dp'];

/** One answer that somebody gets: at a vendor, on one of its lines or for everybody. */
interface Place {
  readonly provider: string;
  readonly line: string;
  readonly dns: string;
  readonly subnet: Subnet | null;
}

interface Written {
  readonly providers: Readonly<Record<string, Account>>;
  readonly records: Readonly<Record<string, { readonly publish: readonly (string | At)[] }>>;
}

interface Account {
  readonly type: string;
  readonly nameservers: readonly string[];
  readonly lineSubnets?: Readonly<Record<string, string>>;
}

interface At {
  readonly provider: string;
  readonly lines: readonly string[];
}

/** Every answer there is, by the lab's own configuration: another vendor with lines is more rows. */
function placesOf(lab: RunningLab): readonly Place[] {
  const { providers, records } = parse(readFileSync(lab.ready.config, 'utf8')) as Written;
  return records[www]!.publish.flatMap((one): Place[] => {
    const provider = typeof one === 'string' ? one : one.provider;
    const { nameservers, lineSubnets = {} } = providers[provider]!;
    const lines = typeof one === 'string' ? ['everybody'] : one.lines;
    return lines.map((line) => {
      const subnet = parseSubnet(lineSubnets[line] ?? '');
      return { provider, line, dns: nameservers[0]!, subnet };
    });
  });
}

/** What users of a place are given. */
async function given({ dns, subnet }: Place): Promise<string | null> {
  const { host, port } = parseHostPort(dns, 53)!;
  const how = { timeoutMs: 2000, ...(subnet === null ? {} : { subnet }) };
  const said = await ask({ address: host, port }, { name: `${www}.`, type: 'CNAME' }, how);
  if (said.kind !== 'reply') return null;
  if (subnet !== null) assert.notEqual(said.message.scope, null, 'it tells its users apart');
  const [answer] = said.message.answers;
  return answer?.type === 'CNAME' ? answer.target.replace(/\.$/, '') : null;
}

/** Waits until all of them give it; the milliseconds that each took. */
async function everywhere(places: readonly Place[], value: string) {
  const rows = places.map(async (place) => {
    const what = `${place.provider} gives ${value} on ${place.line}`;
    const ms = await until(what, boundMs, async () => (await given(place)) === value);
    return { provider: place.provider, line: place.line, ms: Math.round(ms) };
  });
  return Promise.all(rows);
}

function recordOf(lab: RunningLab) {
  const said = lab.cli('status', '--json');
  assert.equal(said.status, 0, said.stderr);
  const view = JSON.parse(said.stdout) as StatusView;
  return view.records.find((r) => r.name.replace(/\.$/, '') === www)!;
}

async function steady(lab: RunningLab, target: string): Promise<void> {
  await until(`${www} is steady on ${target}`, boundMs, () => {
    const { target: now, providers } = recordOf(lab);
    return now === target && providers.every((p) => p.stage === 'visible');
  });
}

function tableOf(rows: Awaited<ReturnType<typeof everywhere>>): string {
  const cells = rows.map((r) => `${r.provider} ${r.line}: ${r.ms} ms`);
  return `${rows.length} answers: ${cells.join(', ')}`;
}

test('a cloud breaks: every line of every vendor gives the standby, and it is shown which was seen', async (t) => {
  const lab = await startLabProgram('--lines', '--also', 'dnspod');
  try {
    const places = placesOf(lab);
    for (const one of vendors) {
      assert.equal(places.filter((p) => p.provider === one).length, 5, `five lines at ${one}`);
    }
    await steady(lab, 'hangzhou');
    await everywhere(places, first);
    lab.lab('break', 'cloud', lab.ready.clouds[0]!);
    t.diagnostic(tableOf(await everywhere(places, standby)));
    await steady(lab, 'tokyo');
    const linesAt = (one: string) =>
      recordOf(lab).providers.find((p) => p.provider === one)!.lines!;
    const said = () => lab.cli('status', www).stdout;
    for (const one of vendors) {
      await until(`the lines of ${one} are seen`, boundMs, () => {
        return linesAt(one).filter((l) => l.provenAt !== null).length === 4;
      });
      const lines = linesAt(one);
      const open = lines.filter((l) => l.provenAt === null);
      assert.deepEqual(
        open.map((l) => l.line),
        [lines[0]!.line],
        'all but the default one',
      );
      assert.match(open[0]!.why ?? '', /no subnet in `lineSubnets`/);
      const stands = lines.map((l) => l.cname?.replace(/\.$/, ''));
      const right = lines.map(() => standby);
      assert.deepEqual(stands, right, 'by the API every line is right');
      const shown = said().match(new RegExp(`lines ${one}: .*proven`));
      t.diagnostic(shown![0]);
    }
    const metrics = await (await fetch(lab.ready.metrics)).text();
    assert.match(metrics, /detour_line_proven\{[^}]*line="telecom"[^}]*\} 1/);
    assert.match(metrics, /detour_line_proven\{[^}]*line="default"[^}]*\} 0/);
  } finally {
    await lab.stop();
  }
});

test('without the daemon: switch --direct moves every line', async (t) => {
  const lab = await startLabProgram('--lines', '--also', 'dnspod', '--no-daemon');
  try {
    const places = placesOf(lab);
    await everywhere(places, first);
    const args = ['--direct', '-c', lab.ready.config, '--reason', 'drill', '--for', '1h', '--yes'];
    await until('the switch is made', boundMs, () => {
      const { status, stdout, stderr } = lab.cli(
        'switch',
        www,
        'tokyo',
        ...args,
        '--adopt',
        '--force',
      );
      assert.ok(status === 0 || status === 3, stdout + stderr);
      return status === 0;
    });
    t.diagnostic(tableOf(await everywhere(places, standby)));
    const paper = lab.cli('break-glass', '-c', lab.ready.config).stdout;
    assert.match(paper, /--Line telecom/);
  } finally {
    await lab.stop();
  }
});
