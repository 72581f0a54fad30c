// The Chinese pages are the English ones in another language: the same headings by level, the same code
// but for its comments, the same words in backquotes, the same links and as many rows of tables. Whether
// the Chinese is good is for a reader to say.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { docs, type Page, pageAt, placeOf, withoutComments } from './pages.ts';

const pairs = [
  ['README.md', 'README.zh-CN.md'],
  ...docs
    .filter((path) => path.startsWith('docs/zh/'))
    .map((path) => [path.replace('docs/zh/', 'docs/'), path] as const),
] as const;

/** The page that a link leads to, in whichever language. */
function leadsTo(page: Page, link: string): string {
  if (link.includes('://')) return link;
  const { path } = placeOf(page, link);
  return path.replace('README.zh-CN.md', 'README.md').replace('docs/zh/', 'docs/');
}

const once = (all: readonly string[]) => [...new Set(all)].toSorted();
const rowsOf = ({ text }: Page) => text.split('\n').filter((line) => line.startsWith('| ')).length;

test('the pages that a newcomer needs are there in Chinese', () => {
  const wanted = ['getting-started', 'operations', 'replays'].map((name) => `docs/zh/${name}.md`);
  for (const path of ['README.zh-CN.md', ...wanted]) {
    const { length } = pageAt(path).text.match(/[\u4e00-\u9fff]/g) ?? [];
    assert.ok(length > 500, `${path}: ${length} characters`);
  }
});

for (const [english, chinese] of pairs) {
  test(`${chinese} is in step with ${english}`, () => {
    const [en, zh] = [pageAt(english), pageAt(chinese)];
    const levels = ({ headings }: Page) => headings.map(({ level }) => level);
    assert.deepEqual(levels(zh), levels(en), 'headings');
    const code = ({ blocks }: Page) => blocks.map((one) => [one.language, withoutComments(one)]);
    assert.deepEqual(code(zh), code(en));
    assert.deepEqual(once(zh.spans), once(en.spans));
    const links = (page: Page) => once(page.links.map((to) => leadsTo(page, to)));
    assert.deepEqual(links(zh), links(en));
    assert.equal(rowsOf(zh), rowsOf(en), 'rows of tables');
  });
}

test('comments alone may differ in a block', () => {
  const block = (text: string) => withoutComments({ language: '', text });
  assert.equal(block('npm start  # a small internet\n'), block('npm start  # 小型互联网\n'));
  assert.notEqual(block('npm start\n'), block('npm test\n'));
  assert.equal(block('echo "#1" a#b\n'), 'echo "#1" a#b');
});
