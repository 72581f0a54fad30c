// Bundles the program into dist/program/: src/main.ts and the doors that package.json opens for the
// packages of others, with all that they import, so that a start reads a dozen files and not
// hundreds. What main and a door share is one file, so that what is theirs is the same for both. It
// does nothing where nothing has changed. It must never leave out what would run.

import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const to = join(root, 'dist', 'program');
const about = join(root, 'package.json');
const stamp = join(root, 'dist', 'program.made-of');

const manifest = JSON.parse(fs.readFileSync(about, 'utf8'));
const doors = Object.values(manifest.exports)
  .filter((door) => typeof door === 'object')
  .map(({ types, default: code }) => [
    code.replace(/^.*\/|\.cjs$/g, ''),
    join(root, types.replace(/^\.\/dist\//, '').replace(/\.d\.ts$/, '.ts')),
  ]);

/** Every source with its time and size: what the program is made of. */
function madeOf() {
  const folders = ['src', 'providers'].flatMap((folder) =>
    fs
      .readdirSync(join(root, folder), { recursive: true })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(folder, name)),
  );
  const files = [...folders, 'tools/program.mjs', 'package.json', 'package-lock.json'];
  return JSON.stringify(
    files.sort().map((name) => {
      const { mtimeMs, size } = fs.statSync(join(root, name));
      return `${name} ${mtimeMs} ${size}`;
    }),
  );
}

async function bundle() {
  const made = await rolldown({
    cwd: root,
    input: { main: join(root, 'src', 'main.ts'), ...Object.fromEntries(doors) },
    platform: 'node',
    // A package may bear another version than its source.
    external: [about],
    logLevel: 'warn',
  });
  // CommonJS: an `import` of node:http or node:fs makes Node load all that they could give, which
  // takes longer than the command line has.
  const { output } = await made.generate({
    format: 'cjs',
    paths: { [about]: '../../package.json' },
    entryFileNames: '[name].cjs',
    chunkFileNames: '[name].cjs',
    comments: { legal: true, jsdoc: false, annotation: false },
  });
  await made.close();
  return Object.fromEntries(output.map(({ fileName, code }) => [fileName, narrow(code)]));
}

/** V8 keeps a source while it runs, and in twice the memory for one character beyond Latin-1. */
function narrow(code) {
  const odd = /\\[^\0-\xff]/.exec(code);
  if (odd)
    throw new Error(`a backslash before ${odd[0][1]} cannot be kept as it is: write it apart`);
  return code.replace(
    /[^\0-\xff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

const now = madeOf();
const isThere = [stamp, join(to, 'main.cjs')].every((path) => fs.existsSync(path));
if (!isThere || fs.readFileSync(stamp, 'utf8') !== now) {
  const files = await bundle();
  fs.mkdirSync(to, { recursive: true });
  fs.rmSync(stamp, { force: true });
  for (const [name, code] of Object.entries(files)) {
    const path = join(to, name);
    const isSame = fs.existsSync(path) && fs.readFileSync(path, 'utf8') === code;
    if (!isSame) fs.writeFileSync(path, code);
  }
  for (const name of fs.readdirSync(to)) if (!(name in files)) fs.rmSync(join(to, name));
  fs.writeFileSync(stamp, now);
}
