// What each vendor can promise, as a document: written from the capabilities that the adapters
// themselves carry, so that the page cannot say more than the code. Pure: text in, text out.

import type { Capabilities } from '../src/ports.ts';

const begin = '<!-- From the capabilities in code; a test keeps it current. Do not edit. -->';
const end = '<!-- End of the part from code. -->';

/** How strong a fence is, in words; the order is from strong to none. */
const strength: Readonly<Record<Capabilities['fence'], string>> = {
  transaction: '**strict**: the vendor itself refuses a stale write',
  inferred: '**inferred**: follows from the documentation, unproven on the real API',
  weak: '**weak**: a stale write is noticed and mended, not prevented',
  none: '**none**',
};

/**
 * The page with its generated part replaced: `page` is providers/README.md as it stands. Throws
 * when the two lines that enclose the part are missing.
 */
export function withMatrix(page: string, all: readonly Capabilities[]): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`the page lacks the lines ${begin} and ${end}`);
  return `${page.slice(0, from + begin.length)}\n\n${matrix(all)}\n${page.slice(to)}`;
}

/** The matrix and one section for each vendor, as Markdown. */
export function matrix(all: readonly Capabilities[]): string {
  const head = ['`type`', 'vendor', 'fence', 'CNAME and marker', 'a write', 'a read', 'calls'];
  const rows = all.map((c) => [
    `\`${c.type}\``,
    c.title,
    strength[c.fence],
    c.atomic ? 'together or not at all' : 'one after the other',
    `${c.writeMax} at most`,
    `${c.readMax} at most`,
    `${c.quota.perSecond}/s, ${c.quota.burst} at once, ${c.quota.reserve} kept for switches`,
  ]);
  const lines = [head, head.map(() => '---'), ...rows];
  const table = lines.map((cells) => `| ${cells.map(cell).join(' | ')} |`);
  return `${[table.join('\n'), ...all.map(section)].join('\n\n')}\n`;
}

function section(c: Capabilities): string {
  return [
    `### ${c.title} (\`${c.type}\`)`,
    `Fence, ${strength[c.fence]}. ${sentence(c.fenceNote)}`,
    `Least permissions:\n\n${list(c.permissions)}`,
    `Refuses to touch:\n\n${list(c.refuses)}`,
  ].join('\n\n');
}

function list(items: readonly string[]): string {
  return items.length === 0 ? '- nothing' : items.map((item) => `- ${item}`).join('\n');
}

function sentence(text: string): string {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return whole.endsWith('.') ? whole : `${whole}.`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
