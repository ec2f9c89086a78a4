// node build.mjs: the console's files in dist/, as ammd serves them: assets/ with a hash of their content in
// the name and a .gz beside each, and index.html, which names them. The policy of the pages (src/manager/
// console_files.c) allows no inline script or style, so none is made.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import * as esbuild from 'esbuild';

const root = dirname(fileURLToPath(import.meta.url));
const fresh = join(root, 'dist.new');
const dist = join(root, 'dist');

const shared = {
  absWorkingDir: root,
  bundle: true,
  minify: true,
  sourcemap: false,
  format: 'esm',
  target: ['chrome100', 'firefox100', 'safari15.4'],
  outdir: join(fresh, 'assets'),
  entryNames: '[name]-[hash]',
  chunkNames: '[name]-[hash]',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
  metafile: true,
};

// Path below dist/ of what was made of an entry point, and of the styles that came with it.
function made(result, entry) {
  const [path, output] = Object.entries(result.metafile.outputs).find(([, one]) => one.entryPoint === entry);
  return { script: `/assets/${basename(path)}`, style: output.cssBundle && `/assets/${basename(output.cssBundle)}` };
}

async function build() {
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(join(fresh, 'assets'), { recursive: true });
  // classic script: a SharedWorker as module is younger than the browsers that are to work
  const worker = await esbuild.build({ ...shared, format: 'iife', entryPoints: ['src/state/stream-worker.ts'] });
  const main = await esbuild.build({
    ...shared,
    splitting: true,
    entryPoints: ['src/main.tsx'],
    define: { STREAM_WORKER: JSON.stringify(made(worker, 'src/state/stream-worker.ts').script) },
  });
  const { script, style } = made(main, 'src/main.tsx');
  const icon = readFileSync(join(root, 'icon.svg'));
  const iconPath = `/assets/icon-${createHash('sha256').update(icon).digest('hex').slice(0, 8)}.svg`;
  writeFileSync(join(fresh, iconPath), icon);
  const page = readFileSync(join(root, 'index.html'), 'utf8');
  writeFileSync(join(fresh, 'index.html'),
    page.replace('%script%', script).replace('%style%', style).replace('%icon%', iconPath));
  for (const name of readdirSync(fresh, { recursive: true })) {
    if (/\.(js|css|svg|html)$/.test(name)) {
      writeFileSync(join(fresh, `${name}.gz`), gzipSync(readFileSync(join(fresh, name)), { level: 9 }));
    }
  }
  // at no time half a console
  rmSync(dist, { recursive: true, force: true });
  renameSync(fresh, dist);
}

await build();
