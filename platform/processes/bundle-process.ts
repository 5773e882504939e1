import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { build } from 'esbuild';
import { BUNDLED, BUNDLES, bundledFiles, LIST } from './bundled-packages.ts';

/*
 * Bundles packages that consist of hundreds of small ES modules: a server loads some twenty files in place of two thousand, which took half the time that
 * its imports take. `quick-imports.ts` uses the bundles. Running processes may still load files of the previous build, so each build has a folder of its
 * own. Argument: a text that identifies what is built; it is written to the file `built` after everything else.
 */

const ROOT = join(import.meta.dirname, '..', '..');
/** Optional dependencies that are not installed, and packages that others load too. */
const EXTERNAL = ['pg', 'pg-native', '@node-rs/*', 'better-sqlite3', 'bun:sqlite'];
/** CommonJS modules in a bundle call `require` for modules of Node. */
const REQUIRE = "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);";

const [source = ''] = process.argv.slice(2);
mkdirSync(BUNDLES, { recursive: true });
const [previous = ''] = bundledFiles().values();
for (const entry of readdirSync(BUNDLES))
  if (entry !== basename(dirname(previous))) rmSync(join(BUNDLES, entry), { recursive: true, force: true });
const folder = mkdtempSync(join(BUNDLES, 'build-'));
const fileOf = (specifier: string) => specifier.replace('@', '').replaceAll('/', '.');
await build({
  absWorkingDir: ROOT,
  entryPoints: Object.fromEntries(BUNDLED.map((specifier) => [fileOf(specifier), specifier])),
  outdir: folder,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  external: EXTERNAL,
  keepNames: true,
  legalComments: 'none',
  logLevel: 'error',
  banner: { js: REQUIRE },
});
const list = Object.fromEntries(BUNDLED.map((specifier) => [specifier, join(basename(folder), `${fileOf(specifier)}.mjs`)]));
const unfinished = join(folder, 'list.json');
writeFileSync(unfinished, JSON.stringify(list));
renameSync(unfinished, LIST);
writeFileSync(join(BUNDLES, 'built'), source);
