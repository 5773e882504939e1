import { registerHooks } from 'node:module';

/*
 * Resolves relative imports between ES modules without a lookup. Their specifiers are full paths with an extension, so the URL and the format are known.
 * Node would read and parse the nearest package.json for thousands of them; that of drizzle-orm, 180 kB, again for each import. `npm run bench -- start`
 * measures the start.
 */

/** Packages whose `.js` files are ES modules. */
const ES_PACKAGES = /\/node_modules\/(?:drizzle-orm|kysely|zod|jose|@simplewebauthn\/server|cockatiel)\//;

registerHooks({
  resolve: (specifier, context, next) => {
    const { parentURL, conditions } = context;
    const isRelativeImport = specifier.startsWith('.') && conditions.includes('import');
    const format = isRelativeImport && parentURL !== undefined ? formatOf(specifier, parentURL) : null;
    return format === null ? next(specifier, context) : { url: new URL(specifier, parentURL).href, format, shortCircuit: true };
  },
});

function formatOf(specifier: string, parentURL: string): 'module' | 'module-typescript' | null {
  if (specifier.endsWith('.mjs')) return 'module';
  if (specifier.endsWith('.ts')) return 'module-typescript';
  return specifier.endsWith('.js') && ES_PACKAGES.test(parentURL) ? 'module' : null;
}
