// `npm run test:page`: the built daemon in the lab, and Debian's Chromium on its status page. An outage
// is watched as it happens: before, during and after, at three widths, in both themes and languages,
// and axe must find nothing. Somebody logs in, pins, lets a decision go, leaves. The line is cut, and
// the page must be grey. Then 1,000 records: the first paint and a search. Then 50 pages, and how late
// the probes come beside none. With `--pictures FOLDER` (`npm run page:pictures`) it keeps what it saw.
// It prints the figures, and ends with 1 when a goal is missed.

import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { get, type RequestOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { startBrowser, violations } from '../parts/browser.ts';
import { type PageLab, startPageLab } from '../parts/page-lab.ts';
import { until } from '../parts/program.ts';
import { createRelay } from '../parts/relay.ts';

const { values } = parseArgs({
  options: {
    pictures: { type: 'string', default: '' },
    all: { type: 'boolean', default: false },
    /** Parts to run: watch, many, load. */
    only: { type: 'string', default: 'watch,many,load' },
    records: { type: 'string', default: '1000' },
    /** What the child process does: the port that it has its pages at. */
    port: { type: 'string', default: '' },
    token: { type: 'string', default: '' },
    pages: { type: 'string', default: '50' },
  },
});

/** Goals. */
const paintMostMs = 1000;
const searchMostMs = 1000;
const seenMostMs = 2000;
const greyMostMs = 8000;
const lateMostMs = 20;

/** What docs/ shows; `--all` keeps every picture. */
const shown: ReadonlySet<string> = new Set([
  ...['outage-wide-light-en', 'record-wide-light-en', 'waiting-wide-light-en'],
  ...['lost-wide-light-en', 'after-phone-dark-zh'],
]);

const goals: (readonly [what: string, kept: boolean])[] = [];
const say = (line: string) => void process.stdout.write(`${line}\n`);
const goal = (what: string, kept: boolean) => void goals.push([what, kept]);

const widths = { wide: 1360, middle: 900, phone: 390 } as const;
const looks = (['light', 'dark'] as const).flatMap((theme) =>
  (['en', 'zh'] as const).flatMap((language) =>
    Object.keys(widths).map((width) => ({ theme, language, width: width as keyof typeof widths })),
  ),
);
type Look = (typeof looks)[number];

async function shot(page: Page, name: string): Promise<void> {
  if (values.pictures === '' || !(values.all || shown.has(name))) return;
  mkdirSync(values.pictures, { recursive: true });
  await page.screenshot({ path: join(values.pictures, `${name}.png`) });
}

function contextOf(browser: Browser, { theme, language, width }: Look): Promise<BrowserContext> {
  return browser.newContext({
    viewport: { width: widths[width], height: width === 'phone' ? 844 : 900 },
    colorScheme: theme,
    locale: language === 'zh' ? 'zh-CN' : 'en-GB',
    timezoneId: 'UTC',
    ignoreHTTPSErrors: true,
    reducedMotion: 'reduce',
  });
}

/** What a page said that it should not have: an error, or a request that was not let out. */
function listen(page: Page, wrong: string[]): void {
  page.on('pageerror', (error) => void wrong.push(`error: ${error.message}`));
  page.on('console', (line) => {
    // A refused login is told by the browser itself.
    const isOurs = line.type() === 'error' && !/status of (401|403)|ERR_/.test(line.text());
    if (isOurs) wrong.push(`console: ${line.text()}`);
  });
  page.on('request', (asked) => {
    if (new URL(asked.url()).hostname !== '127.0.0.1') wrong.push(`asked ${asked.url()}`);
  });
}

async function login(page: Page, token: string): Promise<void> {
  await page.fill('#token', token);
  await page.click('form.login button[type=submit]');
  await page.waitForSelector('.records .record');
}

/** Looks again and again until an expression in the page holds: its policy lets no string be run. */
const holds = (page: Page, expression: string) =>
  until(expression, 60_000, async () => Boolean(await page.evaluate(expression)));
const textOf = async (place: Locator) => ((await place.textContent()) ?? '').trim();
const title = (page: Page) => textOf(page.locator('.headline h1'));
const rowOf = (page: Page, name: string) => page.locator('.record', { hasText: `${name}.gslb` });

// ---------------------------------------------------------------- an outage, watched

async function watch(browser: Browser): Promise<void> {
  const place = await startPageLab(['--paths', '3']);
  const wrong: string[] = [];
  const found: string[] = [];
  let looked = 0;
  const lookOver = async (page: Page, where: string) => {
    looked++;
    for (const one of await violations(page)) found.push(`${where}: ${one}`);
  };
  try {
    place.reconfigure((text) =>
      text.replace(
        /^( {2}www\.gslb\.example\.net:)$/m,
        '$1\n    names: [www.shop.example]\n    objective: 90s',
      ),
    );
    const context = await contextOf(browser, looks[0]!);
    const page = await context.newPage();
    listen(page, wrong);
    await page.goto(place.url);
    await page.waitForSelector('#token');
    await lookOver(page, 'login');
    await shot(page, 'login');
    await page.fill('#token', 'x'.repeat(40));
    await page.click('form.login button[type=submit]');
    await holds(page, `document.querySelector('#why')?.textContent !== ''`);
    await login(page, place.tokens.operate);
    const [cookie] = await context.cookies();
    assert.deepEqual([cookie!.httpOnly, cookie!.secure, cookie!.sameSite], [true, true, 'Strict']);
    assert.equal(await page.evaluate(`document.cookie`), '', 'no script sees it');
    const kept: string = await page.evaluate(
      `JSON.stringify([{ ...localStorage }, document.body.innerHTML])`,
    );
    assert.ok(!kept.includes(place.tokens.operate), 'the token is nowhere');
    await holds(page, `document.querySelectorAll('.strip rect').length > 5`);
    assert.equal(await title(page), '✓ All is well');
    await everyLook(browser, place, 'before', lookOver);
    await page.getByRole('button', { name: '5 min', exact: true }).click();

    await outage(page, place, lookOver);
    await everyLook(browser, place, 'after', lookOver);
    await details(page, lookOver);
    await acts(page, place, lookOver);
    await grey(browser, place, lookOver);
    await page.click('.who button');
    await page.waitForSelector('#token');
    assert.equal((await context.cookies()).length, 0, 'left');
    assert.deepEqual(wrong, [], 'the page did what it should not');
    say(`axe: ${found.length} violations in ${looked} looks at the page`);
    for (const one of found) say(`  ${one}`);
    goal('axe finds nothing', found.length === 0);
  } finally {
    await place.stop();
  }
}

type LookOver = (page: Page, where: string) => Promise<void>;

/** Three widths, both themes, both languages. */
async function everyLook(
  browser: Browser,
  place: PageLab,
  moment: string,
  lookOver: LookOver,
): Promise<void> {
  for (const look of looks) {
    const context = await contextOf(browser, look);
    const page = await context.newPage();
    await page.goto(place.plainUrl);
    await page.waitForSelector('.records .record');
    await holds(page, `document.querySelectorAll('.strip rect').length > 5`);
    const name = `${moment}-${look.width}-${look.theme}-${look.language}`;
    const wider: number = await page.evaluate(`document.documentElement.scrollWidth - innerWidth`);
    assert.ok(wider <= 0, `${name} is ${wider} px wider than the window`);
    assert.equal(
      await page.evaluate(`document.documentElement.lang`),
      look.language === 'zh' ? 'zh-CN' : 'en',
    );
    await lookOver(page, name);
    await shot(page, name);
    await context.close();
  }
}

async function outage(page: Page, place: PageLab, lookOver: LookOver): Promise<void> {
  const began = performance.now();
  place.lab.lab('break', 'cloud', 'aliyun');
  const broken = performance.now();
  await holds(page, `document.querySelector('.headline.trouble') !== null`);
  const troubled = performance.now();
  await shot(page, 'during-wide-light-en');
  await holds(page, `/whole cloud/.test(document.querySelector('h1')?.textContent ?? '')`);
  const named = performance.now();
  await holds(
    page,
    `(() => {
    const targets = [...document.querySelectorAll('.record .target strong')];
    const served = [...document.querySelectorAll('.record .vendor .what')];
    return [...targets, ...served].every((one) => one.textContent === 'tokyo');
  })()`,
  );
  const moved = performance.now();
  const seconds = (at: number) => `${((at - broken) / 1000).toFixed(2)} s`;
  say(
    `an outage as the page shows it, from the break (which took ${((broken - began) / 1000).toFixed(2)} s):`,
  );
  say(
    `  trouble ${seconds(troubled)}, the whole cloud ${seconds(named)}, all moved and visible ${seconds(moved)}`,
  );
  // The page itself must be no part of that: against what the daemon journalled.
  await until('the last switch has ended', 30_000, async () => {
    return (await place.status()).records.every(({ switching }) => !switching);
  });
  const view = await place.status();
  const last = Math.max(
    ...view.records.flatMap((r) => r.providers.map((p) => r.decidedAt! + p.visibleAfterMs!)),
  );
  const behindMs = moved - broken - (last - (view.at - (performance.now() - broken)));
  say(`  that is ${Math.round(behindMs)} ms after the daemon saw the last answer`);
  goal(`the page shows it within ${seenMostMs} ms`, behindMs < seenMostMs);
  await lookOver(page, 'an outage');
  // Time for the strips to tell of it.
  await holds(page, `document.querySelectorAll('.m-f').length > 5`);
  await pause(12_000);
  await shot(page, 'outage-wide-light-en');
}

/** A record opened, and a switch explained. */
async function details(page: Page, lookOver: LookOver): Promise<void> {
  await rowOf(page, 'www').locator('.opener').focus();
  await page.keyboard.press('Enter');
  await page.waitForSelector('.details .plot canvas');
  await page.locator('.details .history .notable button.link').first().click();
  await page.waitForSelector('.explained dl');
  const explained = await textOf(page.locator('.explained'));
  assert.match(explained, /votes\s*hangzhou\/web by line-a down/);
  assert.match(explained, /what came of it/);
  assert.match(
    await textOf(page.locator('.chain')),
    /www\.shop\.example.*www\.gslb.*nrt\.shop\.example.*tokyo/s,
  );
  await lookOver(page, 'a record');
  await page.evaluate(`document.querySelector('.record.open').scrollIntoView()`);
  await shot(page, 'record-wide-light-en');
  await page.locator('.details .history .notable button.link').first().click();
}

async function order(page: Page, button: string, lookOver: LookOver): Promise<string> {
  await page.getByRole('button', { name: button, exact: true }).first().click();
  await page.waitForSelector('dialog[open]');
  await holds(page, `document.querySelector('.would')?.textContent?.includes('…') === false`);
  await page.fill('#reason', 'looked at on the page');
  await lookOver(page, button);
  await shot(page, `dialog-${button.toLowerCase()}`);
  await page.locator('dialog button.main').click();
  await page.waitForSelector('dialog [role=alert] .good');
  const said = await textOf(page.locator('dialog .would'));
  await page.locator('dialog button').last().click();
  await holds(page, `document.querySelector('dialog') === null`);
  return said;
}

/** Orders of somebody who may; then a decision that waits for a person. */
async function acts(page: Page, place: PageLab, lookOver: LookOver): Promise<void> {
  await order(page, 'Pin', lookOver);
  await page.waitForSelector('.details .held');
  assert.match(
    await textOf(page.locator('.details .held')),
    /looked at on the page.*by ann \(page/s,
  );
  await order(page, 'Unpin', lookOver);
  await holds(page, `document.querySelector('.details .held') === null`);
  place.lab.lab('heal');
  await holds(page, `/All is well/.test(document.querySelector('h1')?.textContent ?? '')`);
  place.reconfigure((text) => text.replace(/^( {2}www\.[\s\S]*?mode: )steer/m, '$1approve'));
  await pause(3000);
  place.lab.lab('break', 'origin', 'tokyo');
  await page.waitForSelector('.waiting', { timeout: 60_000 });
  await lookOver(page, 'a decision that waits');
  await shot(page, 'waiting-wide-light-en');
  await order(page, 'Approve', lookOver);
  await holds(
    page,
    `(() => {
    const row = [...document.querySelectorAll('.record')].find((r) =>
      r.textContent?.includes('www.gslb'),
    );
    return row?.querySelector('.target strong')?.textContent === 'hangzhou';
  })()`,
  );
  place.lab.lab('heal');
}

/** The line goes silent, then comes back. */
async function grey(browser: Browser, place: PageLab, lookOver: LookOver): Promise<void> {
  const relay = await createRelay({ host: '127.0.0.1', port: place.port });
  const context = await contextOf(browser, looks[0]!);
  try {
    const page = await context.newPage();
    await page.goto(`https://127.0.0.1:${relay.port}/`);
    await page.waitForSelector('#token');
    await login(page, place.tokens.read);
    assert.equal(
      await page.locator('.details .deeds, .deeds').count(),
      0,
      'who may read sees no deeds',
    );
    await holds(page, `document.querySelectorAll('.strip rect').length > 5`);
    const began = performance.now();
    relay.refuses = true;
    relay.cut();
    await page.waitForSelector('.all.old');
    const tookMs = performance.now() - began;
    say(`the line is cut: grey after ${(tookMs / 1000).toFixed(1)} s`);
    goal(`grey within ${greyMostMs / 1000} s`, tookMs < greyMostMs);
    assert.match(
      await textOf(page.locator('[role=alert].age')),
      /No data for \d+ s\. All below is as of/,
    );
    await lookOver(page, 'grey');
    await shot(page, 'lost-wide-light-en');
    // What cannot be asked now is not said to be nothing, and nobody is told that he has left.
    await page.locator('.history button.link').first().click();
    await page.waitForSelector('.explained [role=alert]');
    await page.getByRole('button', { name: 'Leave', exact: true }).click();
    await page.waitForSelector('.top [role=alert].notleft');
    relay.refuses = false;
    await holds(page, `document.querySelector('.all.old') === null`);
    assert.match(await textOf(page.locator('.age')), /Live/);
    await page.getByRole('button', { name: 'Leave', exact: true }).click();
    await page.waitForSelector('#token');
  } finally {
    await context.close();
    await relay.close();
  }
}

// ---------------------------------------------------------------- many records

async function many(browser: Browser): Promise<void> {
  const place = await startPageLab(
    ['--records', values.records, '--quotas', 'off', '--ttl', '300'],
    // The third vendor takes each marker by itself: minutes of taking over, which is not asked here.
    (text) => text.replaceAll('publish: [cf, r53, ali]', 'publish: [cf, r53]'),
  );
  try {
    await until('all records are taken over', 600_000, async () => {
      const { records } = await place.status();
      return records.every(({ providers }) => providers.every(({ stage }) => stage === 'visible'));
    });
    await pause(5000);
    const paints: number[] = [];
    const searches: number[] = [];
    for (let run = 0; run < 3; run++) {
      const context = await contextOf(browser, looks[0]!);
      const page = await context.newPage();
      await page.addInitScript(`(() => {
        // Once there are records to be seen, at the frame that shows them.
        const look = new MutationObserver(() => {
          if (document.querySelector('.records .record') === null) return;
          look.disconnect();
          requestAnimationFrame(() => requestAnimationFrame(() => performance.mark('records')));
        });
        look.observe(document, { childList: true, subtree: true });
      })()`);
      await page.goto(place.plainUrl);
      await holds(page, `performance.getEntriesByName('records').length > 0`);
      paints.push(await page.evaluate(`performance.getEntriesByName('records')[0].startTime`));
      searches.push(await page.evaluate(searchFor('r0777')));
      await shot(page, 'search-wide-light-en');
      assert.equal(await page.locator('.records .record').count(), 1);
      await context.close();
    }
    const board = await fetch(`${place.plainUrl}v1/board`);
    const bytes = (await board.text()).length;
    const { length } = (await place.status()).records;
    const each = (all: readonly number[]) => all.map((ms) => `${Math.round(ms)} ms`).join(', ');
    say(`${length} records (a board of ${(bytes / 1e6).toFixed(2)} MB before gzip):`);
    say(`  first paint of the records ${each(paints)}; a search ${each(searches)}`);
    goal(`first paint under ${paintMostMs} ms`, Math.max(...paints) < paintMostMs);
    goal(`a search under ${searchMostMs} ms`, Math.max(...searches) < searchMostMs);
  } finally {
    await place.stop();
  }
}

/** In the page: from the last key to the frame that shows what was found. */
const searchFor = (text: string) => `(() => {
  const field = document.querySelector('#search');
  const began = performance.now();
  field.value = ${JSON.stringify(text)};
  field.dispatchEvent(new InputEvent('input', { bubbles: true }));
  return new Promise((resolve) => {
    const look = () => {
      const { length } = document.querySelectorAll('.records .record');
      if (length === 1) resolve(performance.now() - began);
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
})()`;

// ---------------------------------------------------------------- many pages

const watchedChecks = 40;

/** An origin of this process's own, which sees how late each probe of it comes. */
async function startWatched() {
  const last = new Map<string, number>();
  let late: number[] = [];
  const server = createServer((request, response) => {
    const [now, before] = [performance.now(), last.get(request.url!)];
    last.set(request.url!, now);
    if (before !== undefined) late.push(Math.abs(now - before - 1000));
    response.end('ok');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    /** Milliseconds off the interval, of each probe within so long; the least first. */
    async lateness(ms: number): Promise<readonly number[]> {
      late = [];
      await pause(ms);
      return late.toSorted((a, b) => a - b);
    },
    close: () => server.close(),
  };
}

const part = (sorted: readonly number[], share: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;

async function load(): Promise<void> {
  const place = await startPageLab(['--records', '200', '--quotas', 'off']);
  const watched = await startWatched();
  try {
    const checks = Array.from({ length: watchedChecks }, (_, i) => {
      return `      c${i}: { http: "http://127.0.0.1:${watched.port}/${i}", expect: { status: 200 } }`;
    });
    const origin = `  watched:\n    cloud: aws\n    checks:\n${checks.join('\n')}\n`;
    place.reconfigure((text) => text.replace(/^origins:\n/m, `origins:\n${origin}`));
    await pause(5000);
    const watchMs = 30_000;
    const alone = await watched.lateness(watchMs);
    const child = fork(import.meta.filename, [
      ...['--port', String(place.port), '--token', place.tokens.read, '--pages', values.pages],
    ]);
    const [begun] = (await once(child, 'message')) as [{ open: number }];
    const looked = await watched.lateness(watchMs);
    child.send('stop');
    const [took] = (await once(child, 'message')) as [
      { events: number; strips: number; lost: number },
    ];
    await once(child, 'exit');
    const line = (what: string, all: readonly number[]) =>
      say(
        `  probes late ${what}: median ${part(all, 0.5).toFixed(1)} ms, 99 % ${part(all, 0.99).toFixed(1)} ms of ${all.length}`,
      );
    say(
      `${begun.open} pages for ${watchMs / 1000} s: ${took.events} events, ${took.strips} answers with strips, ${took.lost} lost`,
    );
    line('without', alone);
    line('meanwhile', looked);
    goal(
      `${values.pages} pages are open and none is lost`,
      begun.open === Number(values.pages) && took.lost === 0,
    );
    goal(
      'each page hears something each second or so',
      took.events > 0.6 * begun.open * (watchMs / 1000),
    );
    goal(
      `99 % of probes less than ${lateMostMs} ms later than without`,
      part(looked, 0.99) - part(alone, 0.99) < lateMostMs,
    );
  } finally {
    watched.close();
    await place.stop();
  }
}

/** In a process of its own: what so many pages ask for, each from an address of its own. */
async function open(port: number): Promise<void> {
  setPriority(19);
  const counts = { events: 0, strips: 0, lost: 0 };
  let on = true;
  const ask = (path: string, n: number, each: (text: string) => void): Promise<number> =>
    new Promise((resolve) => {
      const options: RequestOptions = {
        ...{ host: '127.0.0.1', port, path, agent: false, rejectUnauthorized: false },
        localAddress: `127.0.1.${n + 1}`,
        headers: { authorization: `Bearer ${values.token}`, 'accept-encoding': 'gzip' },
      };
      const asked = get(options, (response) => {
        response.on('data', (piece: Buffer) => each(piece.toString('latin1')));
        response.on('error', () => resolve(0));
        response.on('end', () => resolve(response.statusCode ?? 0));
      });
      asked.on('error', () => resolve(0));
    });
  let begun = 0;
  const streams = Array.from({ length: Number(values.pages) }, async (_, n) => {
    await ask('/v1/board', n, () => {});
    let isFirst = true;
    void ask('/v1/events', n, (text) => {
      if (isFirst) begun++;
      isFirst = false;
      counts.events += text.match(/^event: /gm)?.length ?? 0;
    }).then(() => {
      if (on) counts.lost++;
    });
    while (on) {
      await pause(2500 + 50 * n, undefined, { ref: false });
      if (on && (await ask('/v1/strips?of=hangzhou,tokyo,beijing,watched', n, () => {})) === 200)
        counts.strips++;
    }
  });
  void streams;
  await until('all pages are open', 60_000, () => begun === Number(values.pages));
  counts.events = 0;
  process.send!({ open: begun });
  await once(process, 'message');
  on = false;
  process.send!(counts, () => process.exit(0));
}

async function main(): Promise<number> {
  const only = values.only.split(',');
  const browser = await startBrowser();
  if (browser === null) return 0;
  try {
    if (only.includes('watch')) await watch(browser);
    if (only.includes('many')) await many(browser);
  } finally {
    await browser.close();
  }
  if (only.includes('load') && values.pictures === '') await load();
  for (const [what, kept] of goals) say(`${kept ? 'kept  ' : 'MISSED'}  ${what}`);
  return goals.every(([, kept]) => kept) ? 0 : 1;
}

if (values.port !== '') await open(Number(values.port));
else process.exitCode = await main();
