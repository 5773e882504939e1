import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);
const QUICK_IMPORTS = import.meta.resolve('./quick-imports.ts');
/** Modules that import most of the packages and modules of the server. */
const ROOT = join(import.meta.dirname, '..', '..');
const ENTRIES = ['apps/server/platform.ts', 'modules/accounts/accounts.ts'].map((path) => join(ROOT, path));

/** Hook that is asked first: it prints how each import is resolved. */
const PRINT = `
  import { registerHooks } from 'node:module';
  const resolved = new Map();
  registerHooks({ resolve(specifier, context, next) {
    const found = next(specifier, context);
    resolved.set([context.parentURL, specifier].join(' '), found.url + ' ' + (found.format ?? ''));
    return found;
  } });
  for (const entry of ${JSON.stringify(ENTRIES)}) await import(entry);
  process.stdout.write(JSON.stringify([...resolved].sort()), () => process.exit());
`;

async function resolutions(...flags: string[]): Promise<string[][]> {
  const options = { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 };
  const { stdout } = await run(process.execPath, [...flags, '--input-type=module', '--eval', PRINT], options);
  return JSON.parse(stdout) as string[][];
}

test('every import of the server is resolved as Node resolves it', async () => {
  const [ours, nodes] = await Promise.all([resolutions('--import', QUICK_IMPORTS), resolutions()]);
  assert.ok(nodes.length > 2_000, `${nodes.length} imports`);
  assert.deepEqual(ours, nodes);
});
