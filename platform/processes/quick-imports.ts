import { registerHooks } from 'node:module';

/*
 * Loads drizzle-orm’s files without asking for each of them what its package is. Its package.json has 180 kB of exports, which Node 24 parses anew
 * for every file that another file of the package imports: half a second and 150 MB of garbage at each start of a process
 * (`npm run bench -- start`). Their addresses are written out in full, and all of them are ES modules, so there is nothing to look up.
 */

const PACKAGE = '/node_modules/drizzle-orm/';

registerHooks({
  resolve: (specifier, context, next) =>
    specifier.startsWith('.') && specifier.endsWith('.js') && context.parentURL?.includes(PACKAGE)
      ? { url: new URL(specifier, context.parentURL).href, format: 'module', shortCircuit: true }
      : next(specifier, context),
});
