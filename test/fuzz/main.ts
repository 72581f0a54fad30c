// `npm run fuzz -- [--target NAME] [--for 60s] [--seed S]`: mutated inputs against the real code, one
// target after the other, so long each. Exits with 1 when an input breaks what Detour promises; the
// input is kept in test/fuzz/found/, and the line that is printed runs the same inputs again.

import { parseArgs } from 'node:util';
import { parseDuration } from '../../src/kit/schema.ts';
import { fuzz } from './harness.ts';
import { targets } from './targets.ts';

const { values } = parseArgs({
  options: {
    target: { type: 'string' },
    for: { type: 'string', default: '60s' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
});

const forMs = parseDuration(values.for);
const chosen = targets.filter(({ name }) => values.target === undefined || name === values.target);
const seed = Number(values.seed);
if (forMs === null || chosen.length === 0 || !Number.isSafeInteger(seed)) {
  const names = targets.map(({ name }) => name).join(', ');
  console.error(`fuzz: --target is one of ${names}; --for a duration such as 60s; --seed a number`);
  process.exit(2);
}

let broken = 0;
for (const target of chosen) {
  const report = await fuzz(target, { seed, inputs: Number.POSITIVE_INFINITY, forMs });
  const { inputs, seconds, grownMib, findings, reached } = report;
  const rate = Math.round(inputs / seconds);
  console.log(
    `${target.name.padEnd(8)} ${inputs} inputs in ${seconds.toFixed(1)} s (${rate}/s), ` +
      `heap ${grownMib >= 0 ? '+' : ''}${grownMib.toFixed(1)} MiB, ${findings.length} findings`,
  );
  const words = Object.entries(reached).sort(([, a], [, b]) => b - a);
  console.log(`  ${words.map(([word, count]) => `${word} ${count}`).join(', ')}`);
  for (const { file, promise } of findings) console.log(`  ${file || '(no file)'}: ${promise}`);
  broken += findings.length;
}
if (broken > 0) console.log(`again: npm run fuzz -- --for ${values.for} --seed ${seed}`);
process.exit(broken > 0 ? 1 : 0);
