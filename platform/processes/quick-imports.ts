import { registerHooks } from 'node:module';

/*
 * Resolves imports within drizzle-orm without reading its package.json. That file has 180 kB of exports, and Node 24 parses it again for each import:
 * half a second and 150 MB of garbage at each start of a process (`npm run bench -- start`). The imports are full relative paths of ES modules, so no
 * lookup is necessary.
 */

const PACKAGE = '/node_modules/drizzle-orm/';

registerHooks({
  resolve: (specifier, context, next) =>
    specifier.startsWith('.') && specifier.endsWith('.js') && context.parentURL?.includes(PACKAGE)
      ? { url: new URL(specifier, context.parentURL).href, format: 'module', shortCircuit: true }
      : next(specifier, context),
});
