// Builds the status page into dist/web/: one script, one sheet, each named after what it holds, the
// page that names them, and all of it compressed beside. It does nothing where nothing has changed.
// The page must load nothing but what is made here.

import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { rolldown } from 'rolldown';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const from = join(root, 'web');
const to = join(root, 'dist', 'web');
const read = (...path) => fs.readFileSync(join(...path), 'utf8');
const hashOf = (text) => createHash('sha256').update(text).digest('hex').slice(0, 10);

const bundle = await rolldown({
  input: join(from, 'src', 'main.tsx'),
  platform: 'browser',
  logLevel: 'warn',
});
const { output } = await bundle.generate({ format: 'es', minify: true, codeSplitting: false });
await bundle.close();
if (output.length !== 1) throw new Error(`the page is ${output.length} scripts and should be one`);
const script = output[0].code;
const sheet = [read(root, 'node_modules', 'uplot', 'dist', 'uPlot.min.css'), read(from, 'page.css')]
  .join('\n')
  .replaceAll(/\/\*.*?\*\//gs, '')
  .replaceAll(/\s+/g, ' ')
  .replaceAll(/ ?([{};,]) ?/g, '$1');

const named = { [`page-${hashOf(script)}.js`]: script, [`page-${hashOf(sheet)}.css`]: sheet };
const icon = read(from, 'icon.svg');
named[`icon-${hashOf(icon)}.svg`] = icon;
const [js, css, svg] = Object.keys(named);
const page = read(from, 'index.html')
  .replace('page.js', js)
  .replace('page.css', css)
  .replace('icon.svg', svg);
const files = { ...named, 'index.html': page };

const wanted = Object.keys(files).flatMap((name) => [name, `${name}.br`, `${name}.gz`]);
const there = fs.existsSync(to) ? fs.readdirSync(to) : [];
const isSame =
  wanted.every((name) => there.includes(name)) && read(to, 'index.html') === files['index.html'];
if (!isSame) {
  fs.mkdirSync(to, { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    const best = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } };
    fs.writeFileSync(join(to, `${name}.br`), brotliCompressSync(text, best));
    fs.writeFileSync(join(to, `${name}.gz`), gzipSync(text, { level: 9 }));
    fs.writeFileSync(join(to, name), text);
  }
}
for (const name of there) if (!wanted.includes(name)) fs.rmSync(join(to, name));
