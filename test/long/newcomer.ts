// `npm run newcomer`: the first steps as a newcomer makes them, by the clock: a fresh clone, then what the
// README shows, then the lab of "getting started", each line typed into a terminal as it stands in the page.
// In English and in Chinese. It prints the time of each step and ends with 1 where a line fails or a page
// promises what does not come. It must never type a line of its own, and leaves nothing behind.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Page, pageAt, root } from '../house/pages.ts';
import { collect, stopChild, until } from '../parts/program.ts';

const { values } = parseArgs({
  options: {
    language: { type: 'string', default: 'en,zh' },
    keep: { type: 'boolean', default: false },
  },
});

/** The pages that are read, and the heading under which the lab begins. */
const languages: Readonly<Record<string, { readme: string; start: string; lab: string }>> = {
  en: { readme: 'README.md', start: 'docs/getting-started.md', lab: 'The lab' },
  zh: { readme: 'README.zh-CN.md', start: 'docs/zh/getting-started.md', lab: '实验环境' },
};

const lineMs = 5 * 60_000;
/** Installing is the network's business. */
const installMs = 15 * 60_000;
/** What goes on until it is ended. */
const lasting = /^(npm start|detour lab --no-daemon|detour run\b)/;

/** A shell that is typed into. */
class Terminal {
  readonly #shell: ChildProcess;
  readonly #said: { out: () => string; err: () => string };
  #lines = 0;

  constructor(cwd: string) {
    // A group of its own, so that what it started ends with it.
    this.#shell = spawn('bash', ['--norc'], { cwd, detached: true, stdio: 'pipe' });
    this.#said = collect(this.#shell);
    this.#shell.stdin!.write('shopt -s expand_aliases\n');
  }

  /** All that was printed here. */
  said = () => this.#said.out() + this.#said.err();

  /** Types a line and waits until it is done; resolves with its exit code. One that lasts: at once. */
  async type(line: string): Promise<number | null> {
    if (lasting.test(line)) {
      this.#shell.stdin!.write(`${line}\n`);
      return null;
    }
    const mark = `typed-${this.#lines++}`;
    this.#shell.stdin!.write(`${line}\necho ${mark} $?\n`);
    const done = new RegExp(`^${mark} (\\d+)$`, 'm');
    await until(line, lineMs, () => done.test(this.#said.out()));
    return Number(done.exec(this.#said.out())![1]);
  }

  /** Ctrl-C to what runs here, and the terminal is closed. */
  async close(): Promise<void> {
    const { pid } = this.#shell;
    if (!isAlive(-pid!)) return;
    process.kill(-pid!, 'SIGINT');
    this.#shell.stdin!.end();
    await stopChild(this.#shell);
    // Whoever is slow to end is waited for; the clone goes only after that.
    await until('all that was started has ended', lineMs, () => !isAlive(-pid!));
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ESRCH');
    return false;
  }
}

/** The lines of each block in a shell's language below a heading, long lines in one. */
function blocksBelow(page: Page, heading: string): readonly (readonly string[])[] {
  const from = page.text.indexOf(`## ${heading}\n`);
  const to = page.text.indexOf('\n## ', from + 1);
  assert.ok(from >= 0, `${page.path} has a heading ${heading}`);
  const below = page.text.slice(from, to < 0 ? undefined : to);
  return [...below.matchAll(/^```\n(.*?)^```$/gms)].map(([, text]) =>
    text!
      .replace(/\\\n\s*/g, ' ')
      .split('\n')
      .filter((line) => line !== ''),
  );
}

/** Types a block; every line but the lasting ones ends with one of these codes. */
async function typeAll(terminal: Terminal, lines: readonly string[]): Promise<void> {
  for (const line of lines) {
    const code = await terminal.type(line);
    // `init` says that something is missing by 3, and an audit that something is bad by 1.
    const fine = line.startsWith('detour init') ? 3 : line === 'detour audit' ? 1 : 0;
    if (code !== null) assert.equal(code, fine, `${line}\n${terminal.said().slice(-3000)}`);
  }
}

async function walk(language: string): Promise<void> {
  const pages = languages[language];
  assert.ok(pages, `there is no language ${language}: ${Object.keys(languages).join(', ')}`);
  const [readme, start] = [pageAt(pages.readme), pageAt(pages.start)];
  const home = mkdtempSync(join(tmpdir(), 'detour-newcomer-'));
  const clone = join(home, 'detour');
  const begin = performance.now();
  const say = (what: string) => {
    const seconds = Math.round((performance.now() - begin) / 1000);
    const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
    console.log(`newcomer ${language}: ${clock.padStart(5)}  ${what}`);
  };
  const open: Terminal[] = [];
  const terminal = () => {
    const one = new Terminal(clone);
    open.push(one);
    return one;
  };
  try {
    const cloned = spawnSync('git', ['clone', '-q', root, clone], { encoding: 'utf8' });
    assert.equal(cloned.status, 0, cloned.stderr);
    say('cloned');
    const first = terminal();
    await typeAll(first, [readme.blocks[0]!.text.split('\n')[0]!.replace(/\s+#.*/, '')]);
    await until('the daemon is ready', installMs, () =>
      first.said().includes('The daemon is ready'),
    );
    say('npm start: the small internet runs');
    const second = terminal();
    const see = readme.blocks.find(({ text }) => text.includes('detour lab break'))!;
    await typeAll(second, see.text.trim().split('\n'));
    await until('every vendor gives the other target', lineMs, () =>
      /www +tokyo at every vendor/.test(first.said()),
    );
    say('a cloud is broken, and every vendor gives the other target');
    await first.close();
    say('Ctrl-C has ended it');

    const [lab, init, mend, look] = blocksBelow(start, pages.lab);
    const [one, two, three] = [terminal(), terminal(), terminal()];
    const alias = start.blocks.find(({ text }) => text.startsWith('alias '))!.text.trim();
    for (const each of [one, two, three]) await typeAll(each, [alias]);
    await typeAll(one, lab!);
    await until('the lab runs', lineMs, () => one.said().includes('From another terminal'));
    await typeAll(two, init!);
    say('detour init has written a configuration');
    await typeAll(two, mend!);
    await until('it runs', lineMs, () => /adopted on hangzhou/.test(two.said()));
    say('its checks pass, and the daemon observes');
    const [socket, breaks, ...rest] = look!;
    await typeAll(three, [socket!, breaks!]);
    await until('it would switch', lineMs, () =>
      /would.switch|-> tokyo: hangzhou is down/.test(two.said()),
    );
    await typeAll(three, rest);
    assert.match(three.said(), /\(tokyo\)/, 'status shows where it would be');
    assert.match(three.said(), /would-switch/, 'history has the decision');
    assert.match(three.said(), /grade F/, 'the audit finds the vendor that was left out');
    say('it would have switched, and says why');
  } finally {
    for (const one of open.toReversed()) await one.close();
    if (!values.keep) rmSync(home, { recursive: true, force: true });
  }
}

for (const language of values.language.split(',')) await walk(language);
