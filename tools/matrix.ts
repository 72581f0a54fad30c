// What each vendor can promise, as a document: written from the capabilities that the adapters
// themselves carry, so that the page cannot say more than the code. Pure: text in, text out.

import type { Capabilities, Fence } from '../src/kit/extend.ts';

const begin = '<!-- From the capabilities in code; a test keeps it current. Do not edit. -->';
const end = '<!-- End of the part from code. -->';

/** How strong a fence is, in words; the order is from strong to none. */
const strength: Readonly<Record<Fence, string>> = {
  transaction: '**strict**: the vendor itself refuses a stale write',
  inferred: '**inferred**: follows from the documentation, unproven on the real API',
  weak: '**weak**: a stale write is noticed and mended, not prevented',
  none: '**none**',
};

/** Two writers of one record, one of them stale: what `npm run writers` printed. */
interface Measured {
  readonly interleavings: number;
  /** Interleavings in which an overtaken value was served again. */
  readonly relapses: number;
  /** The longest that one was served, in milliseconds, and the calls that were made meanwhile. */
  readonly worstMs: number;
  readonly worstCalls: number;
  /** Of the relapses, those in which the old value came alone, under the newer writer's marker. */
  readonly alone: number;
}

const never = { interleavings: 1000, relapses: 0, worstMs: 0, worstCalls: 0, alone: 0 };

/** By type; from `npm run writers -- --seed 7` on Node 24 and two busy cores, 2026-11-23. */
const measured: Readonly<Record<string, Measured>> = {
  route53: never,
  cloudflare: never,
  // 2026-11-30, half of the writers in a crowd, on two cores with a soak beside it.
  alidns: { interleavings: 1000, relapses: 9, worstMs: 277, worstCalls: 29, alone: 2 },
  dnspod: { interleavings: 1000, relapses: 8, worstMs: 346, worstCalls: 29, alone: 1 },
  // 2026-11-30.
  google: never,
  // On BIND, on Knot and on PowerDNS.
  rfc2136: never,
  powerdns: { interleavings: 1000, relapses: 52, worstMs: 564, worstCalls: 20, alone: 0 },
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
    strength[c.fence.kind],
    c.atomic ? 'together or not at all' : inTurn(c),
    `${c.writeMax} at most`,
    `${c.readMax} at most`,
    `${c.quota.perSecond}/s, ${c.quota.burst} at once, ${c.quota.reserve} kept for switches`,
  ]);
  const lines = [head, head.map(() => '---'), ...rows];
  const table = lines.map((cells) => `| ${cells.map(cell).join(' | ')} |`);
  return `${[table.join('\n'), ...all.map(section)].join('\n\n')}\n`;
}

function inTurn({ settlesLater }: Capabilities): string {
  const crowd = ', in a crowd all CNAMEs first';
  return `one after the other${settlesLater === true ? crowd : ''}`;
}

function section(c: Capabilities): string {
  return [
    `### ${c.title} (\`${c.type}\`)`,
    `Fence, ${strength[c.fence.kind]}. ${sentence(c.fence.note)}`,
    ...(measured[c.type] === undefined ? [] : [twoWriters(c, measured[c.type]!)]),
    `Least permissions:\n\n${list(c.permissions.map(permission))}`,
    `\`detour evict\`: ${delegation(c)}`,
    `Refuses to touch:\n\n${list(c.refuses.map(refusal))}`,
  ].join('\n\n');
}

function delegation({ delegation: can }: Capabilities): string {
  if (can === undefined) return 'no NS set can be changed there.';
  const where = can.apex
    ? 'NS sets of its zones and of what they delegate'
    : 'NS sets of what its zones delegate, not their own';
  const needs =
    can.permissions.length === 0 ? 'Nothing beyond the above' : can.permissions.join(', ');
  return `${where}. ${sentence(can.note)} Needs: ${needs}.`;
}

function refusal({ word, note }: Capabilities['refuses'][number]): string {
  return note === null ? word : `${word}: ${note}`;
}

function twoWriters({ type, atomic }: Capabilities, m: Measured): string {
  const run = `npm run writers -- --provider ${type} --seed 7`;
  const how =
    `Two writers at once, one of them stale, in ${m.interleavings} random orders with lost ` +
    'replies, late deliveries and, in the lab, throttling and stale readings ' +
    `(\`${run}\`): never an empty or foreign record, never two markers`;
  if (m.relapses === 0) return `${how}, never back to a value that had been overtaken.`;
  const alone =
    ` The old value may also come alone, under the newer writer's marker (in ${m.alone} of ` +
    'these): that looks like a person who has set another target by hand, so the daemon tells it ' +
    'and does not mend it, and follows it where that target is up.';
  return (
    `${how}. **In ${m.relapses} of them a value that had been overtaken was served again, at ` +
    `worst for ${m.worstMs} ms and ${m.worstCalls} calls** of both writers, with the newer one ` +
    'looking again at once and the vendor a millisecond away; the figures differ a little from ' +
    'run to run. The daemon looks by DNS every 25 s: add that, and the latency of each call.' +
    (atomic ? '' : alone)
  );
}

function permission(one: Capabilities['permissions'][number]): string {
  return one.note === null ? one.permission : `${one.permission} (${one.note})`;
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
