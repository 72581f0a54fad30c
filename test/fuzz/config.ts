// The configuration: the examples and small made-up ones, mutated as text and as YAML. Whatever the
// text is, it is read within a second of one processor, and what is wrong with it has a place.

import { readFileSync } from 'node:fs';
import { stringify } from 'yaml';
import { providerTypes } from '../../providers/index.ts';
import { type Parsed, parseConfig, printProblem } from '../../src/config/config.ts';
import { jsonSchema } from '../../src/config/json-schema.ts';
import { notifierTypes } from '../../src/notify/index.ts';
import { checkTypes, pathProblem } from '../../src/probes/index.ts';
import { type Dice, mutateJson, mutateText, oddValue } from './dice.ts';
import { demand, inTime, Reached, type Stand, target } from './harness.ts';

interface Input {
  readonly text: string;
}

const tables = {
  providers: providerTypes,
  checks: checkTypes,
  notifiers: notifierTypes,
  pathProblem,
};
/** Stands in the place of secrets: no problem may quote it. */
const secret = 'hunter2-the-secret-written-out';

export const config = target<Input>({
  name: 'config',
  atOnce: 1,
  open: async () => new Config(),
});

class Config implements Stand<Input> {
  readonly reached = new Reached();
  /** One daemon's, and that of a group which says which replica it is. */
  readonly #examples = ['example', 'group'].map((name) =>
    readFileSync(new URL(`../../deploy/${name}.yaml`, import.meta.url), 'utf8').replace(
      /^#(?=replica: )/m,
      '',
    ),
  );
  #example = this.#examples[0]!;
  #lines: string[] = [];
  #turn = 0;
  readonly #schema = JSON.stringify(jsonSchema(tables));

  draw(dice: Dice): Input {
    this.#example = dice.pick(this.#examples);
    this.#lines = this.#example.split('\n');
    const text = dice.pick<() => string>([
      () => mutateText(dice, this.#example, [this.#example]),
      () => mutateText(dice, this.#example, [this.#example]),
      () => this.#shuffled(dice),
      () => this.#part(dice),
      () => mutateText(dice, this.#part(dice), [this.#example]),
      () => mutateJson(dice, JSON.stringify(small)),
      () => yamlOf(mutateJson(dice, JSON.stringify(small))),
      () => this.#example.replaceAll(/\{ env: \w+ \}/g, () => (dice.is(0.3) ? secret : '{}')),
      () => bomb(dice),
      () => wide(dice),
      () => deep(dice),
      () => `${dice.pick(['\ufeff', '%YAML 1.1\n---\n', '---\n', '\u0000', '\t'])}${this.#example}`,
      () => this.#example.replaceAll('\n', dice.pick(['\r\n', '\r', '\n\n', '\n...\n', '\u2028'])),
      () => this.#example.replaceAll('  ', dice.pick(['\t', ' ', '   ', '\u00a0'])),
    ])();
    return { text };
  }

  /** Lines doubled, left out, moved and indented. */
  #shuffled(dice: Dice): string {
    const lines = [...this.#lines];
    for (let left = dice.int(1, 6); left > 0; left--) {
      const at = dice.int(0, lines.length - 1);
      const line = lines[at]!;
      dice.pick<() => void>([
        () => lines.splice(at, 1),
        () => lines.splice(dice.int(0, lines.length), 0, line),
        () => lines.splice(at, dice.spread(1, 100)),
        () => lines.splice(at, 1, `  ${line}`),
        () => lines.splice(at, 1, line.replace(/^ /, '')),
        () => lines.splice(at, 1, line.replace(/:.*/, `: ${JSON.stringify(oddValue(dice))}`)),
        () => lines.splice(at, 1, line.replace(/:.*/, ': &x [*x]')),
        () => lines.splice(at, 1, line.replace(/:.*/, ': !!binary aaaa')),
        () => lines.splice(at, 1, line.replace(/:.*/, ': |')),
      ])();
    }
    return lines.join('\n');
  }

  #part(dice: Dice): string {
    const from = dice.int(0, this.#lines.length - 1);
    return this.#lines.slice(from, from + dice.spread(1, 80)).join('\n');
  }

  async run({ text }: Input): Promise<void> {
    const parsed = inTime(1000, 'reading a configuration', () =>
      parseConfig(text, 'detour.yaml', tables),
    );
    this.reached.note(parsed.ok ? 'taken' : 'refused');
    check(parsed, text);
    if (++this.#turn % 50 !== 1) return;
    const same = JSON.stringify(jsonSchema(tables)) === this.#schema;
    demand(same, 'the JSON Schema changed with what was read');
  }

  async close(): Promise<void> {}
}

function check(parsed: Parsed, text: string): void {
  const list = parsed.ok ? parsed.warnings : parsed.problems;
  if (parsed.ok) {
    demand(Object.keys(parsed.config.core.records).length > 0, 'one without a record is taken');
    JSON.stringify(parsed.config.core);
  } else demand(list.length > 0, 'it is refused without a problem');
  demand(list.length <= 201, `${list.length} problems are shown`);
  const lines = text.split(/\r\n|\r|\n/).length;
  for (const problem of list) {
    const { line, column, message } = problem;
    demand(Number.isInteger(line) && line >= 1, `a problem stands in line ${line}`);
    demand(line <= lines + 1, `a problem stands in line ${line} of ${lines}`);
    demand(Number.isInteger(column) && column >= 1, `a problem stands in column ${column}`);
    demand(message.length > 0 && message.length <= 2000, `a message of ${message.length}`);
    const printed = printProblem(problem);
    demand(printed.length <= 6000, `a problem is printed with ${printed.length} characters`);
    demand(!printed.includes(secret), 'a problem quotes a secret that was written out');
  }
}

const small = {
  cluster: 'shop',
  providers: { cf: { type: 'cloudflare', apiToken: { env: 'A' }, zone: 'fo.test' } },
  origins: {
    a: { cloud: 'east', region: 'e', checks: { web: { http: 'https://a.example.com/' } } },
    b: { cloud: 'west', checks: { port: { tcp: 'b.example.com:80' } } },
  },
  clouds: { east: { checks: { api: { plane: 'control', http: 'https://x.example.com/' } } } },
  paths: { one: { uplink: 'u' }, two: { proxy: 'http://p.example.com:3128' } },
  records: {
    'www.fo.test': {
      mode: 'steer',
      ttl: 60,
      publish: ['cf'],
      targets: [
        { origin: 'a', cname: 'a.example.com' },
        { origin: 'b', cname: 'b.example.com.' },
      ],
    },
  },
  policy: { interval: '5s', fall: 3, rise: 2, quorum: 'majority' },
};

function yamlOf(json: string): string {
  try {
    return stringify(JSON.parse(json));
  } catch {
    return json;
  }
}

/** Aliases of aliases: much out of little. */
function bomb(dice: Dice): string {
  const width = dice.int(2, 12);
  const lines = ['a0: &a0 [x]'];
  for (let i = 1; i < dice.spread(3, 40); i++) {
    const open = dice.is(0.5) ? ['[', ']'] : ['{ k: 1, l: [', '] }'];
    const all = Array.from({ length: width }, () => `*a${i - 1}`).join(', ');
    lines.push(`a${i}: &a${i} ${open[0]}${all}${open[1]}`);
  }
  return `${lines.join('\n')}\nrecords: *a${lines.length - 1}\n`;
}

/** Thousands of keys, of origins, of problems. */
function wide(dice: Dice): string {
  const count = dice.spread(100, 20_000);
  const line = dice.pick(['k$: 1', 'k: $', '"$": {}', '- $', '? $', '"k$', 'k$: &a$ *a$', '[$, ']);
  const under = dice.pick(['', 'records:\n', 'origins:\n', 'clouds:\n', 'policy:\n']);
  const indent = under === '' ? '' : '  ';
  const lines = Array.from({ length: count }, (_, i) => indent + line.replaceAll('$', String(i)));
  return `${under}${lines.join('\n')}\n`.slice(0, 1_100_000);
}

function deep(dice: Dice): string {
  const depth = dice.spread(10, 100_000);
  const open = dice.pick(['[', '{a: ', '- ', '? ', '{"a": [', '!!map {', '&a [']);
  const tail = dice.is(0.5) ? '' : ']'.repeat(depth);
  return `records: ${open.repeat(depth)}x${tail}`.slice(0, 1_100_000);
}
