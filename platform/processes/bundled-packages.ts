import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Folder of the bundles, and the file in it that says what there is. They are made by `bundle-process.ts` after the installation. */
export const BUNDLES = join(import.meta.dirname, '..', '..', '.runtime', 'packages');
export const LIST = join(BUNDLES, 'list.json');

/**
 * Imports that are bundled: all imports of packages with hundreds of small ES modules. A package is either bundled with all of its imports or not at all,
 * because a process would have two copies of it otherwise; a test compares this list with the code.
 */
export const BUNDLED = [
  '@better-auth/passkey',
  'better-auth',
  'better-auth/adapters/drizzle',
  'better-auth/api',
  'better-auth/plugins',
  'cockatiel',
  'drizzle-orm',
  'drizzle-orm/node-postgres',
  'drizzle-orm/node-postgres/migrator',
  'drizzle-orm/pg-core',
  'jose',
  'typebox',
  'typebox/compile',
  'typebox/value',
] as const;

/** Files of the bundles by import, e.g. `typebox/value`. Empty where nothing is bundled; everything works without bundles too. */
export function bundledFiles(): ReadonlyMap<string, string> {
  try {
    const list = JSON.parse(readFileSync(LIST, 'utf8')) as Record<string, string>;
    return new Map(Object.entries(list).map(([specifier, file]) => [specifier, join(BUNDLES, file)]));
  } catch {
    return new Map();
  }
}
