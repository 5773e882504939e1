import { existsSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { bundledFiles } from './bundled-packages.ts';

/*
 * Resolves imports between ES modules without repeated lookups. Node would read and parse the nearest package.json for thousands of relative imports, and
 * the package.json of a package for each import of it; that of drizzle-orm has 180 kB. Specifiers of relative imports are full paths with an extension, so
 * the URL and the format are known. A package is resolved once, and one of hundreds of modules to its bundle (bundled-packages.ts).
 * `npm run bench -- start` measures the start.
 */

/** Packages whose `.js` files are ES modules. */
const ES_PACKAGES = /\/node_modules\/(?:drizzle-orm|kysely|zod|jose|@simplewebauthn\/server|cockatiel)\//;
/** The name of a package at the start of a specifier. */
const PACKAGE_NAME = /^(?:@[\w.-]+\/)?[\w.-]+(?=\/|$)/;

interface Resolved {
  readonly url: string;
  readonly format?: string | null | undefined;
}

/** By folder of the package and specifier. The conditions of all imports are equal. */
const packages = new Map<string, Resolved>();
const INSTALLED = join(import.meta.dirname, '..', '..', 'node_modules');
for (const [specifier, file] of bundledFiles()) {
  const name = PACKAGE_NAME.exec(specifier)?.[0] ?? '';
  packages.set(`${join(INSTALLED, name)} ${specifier}`, { url: pathToFileURL(file).href, format: 'module' });
}

registerHooks({
  resolve: (specifier, context, next) => {
    const { parentURL, conditions, importAttributes } = context;
    const isPlain = conditions.includes('import') && parentURL?.startsWith('file:') && Object.keys(importAttributes).length === 0;
    if (!isPlain || parentURL === undefined) return next(specifier, context);
    if (specifier.startsWith('.')) {
      const format = formatOf(specifier, parentURL);
      return format === null ? next(specifier, context) : { url: new URL(specifier, parentURL).href, format, shortCircuit: true };
    }
    const name = PACKAGE_NAME.exec(specifier)?.[0];
    const folder = name === undefined ? null : packageFolder(name, dirname(fileURLToPath(parentURL)));
    if (folder === null) return next(specifier, context);
    const key = `${folder} ${specifier}`;
    const known = packages.get(key);
    if (known) return { ...known, shortCircuit: true };
    const found = next(specifier, context);
    packages.set(key, { url: found.url, format: found.format });
    return found;
  },
});

function formatOf(specifier: string, parentURL: string): 'module' | 'module-typescript' | null {
  if (specifier.endsWith('.mjs')) return 'module';
  if (specifier.endsWith('.ts')) return 'module-typescript';
  return specifier.endsWith('.js') && ES_PACKAGES.test(parentURL) ? 'module' : null;
}

/** Folders of packages by name and folder of the importing module. */
const folders = new Map<string, string | null>();

/** Folder in which Node finds a package from a folder; null if there is none, as for `node:fs`. */
function packageFolder(name: string, from: string): string | null {
  const key = `${name} ${from}`;
  let folder = folders.get(key);
  if (folder === undefined) {
    const here = join(from, 'node_modules', name);
    const parent = dirname(from);
    folder = existsSync(here) ? here : parent === from ? null : packageFolder(name, parent);
    folders.set(key, folder);
  }
  return folder;
}
