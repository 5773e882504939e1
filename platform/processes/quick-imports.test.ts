import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { BUNDLED, bundledFiles } from './bundled-packages.ts';

const run = promisify(execFile);
const QUICK_IMPORTS = import.meta.resolve('./quick-imports.ts');
/** Modules that import most of the packages and modules of the server. */
const ROOT = join(import.meta.dirname, '..', '..');
const ENTRIES = ['apps/server/platform.ts', 'modules/accounts/accounts.ts'].map((path) => join(ROOT, path));
const packageOf = (specifier: string) => /^(?:@[\w.-]+\/)?[\w.-]+/.exec(specifier)?.[0] ?? '';
const PACKAGES = new Set(BUNDLED.map(packageOf));

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

async function resolutions(...flags: string[]): Promise<Map<string, string>> {
  const options = { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 };
  const { stdout } = await run(process.execPath, [...flags, '--input-type=module', '--eval', PRINT], options);
  return new Map(JSON.parse(stdout) as [string, string][]);
}

test('every import of the server is resolved as Node resolves it, or to the bundle of its package', async () => {
  const [ours, nodes] = await Promise.all([resolutions('--import', QUICK_IMPORTS), resolutions()]);
  const files = bundledFiles();
  assert.deepEqual([...files.keys()], [...BUNDLED], 'npm test bundles the packages');
  let bundled = 0;
  for (const [key, found] of ours) {
    const [parent = '', specifier = ''] = key.split(' ');
    const isOfBundle = parent.includes('/.runtime/packages/');
    if (files.has(specifier)) {
      assert.match(found, /\/\.runtime\/packages\/build-\w+\/[\w.-]+\.mjs module$/, key);
      bundled++;
    } else if (!isOfBundle) assert.equal(found, nodes.get(key), key);
    // A process never has a second copy of a bundled package.
    const [, name = ''] =
      /\/node_modules\/((?:@[^/]+\/)?[^/]+)\/[^ ]* module$/.exec(found.slice(found.lastIndexOf('/node_modules/'))) ?? [];
    assert.ok(!PACKAGES.has(name), `${key} is resolved to ${found}`);
  }
  assert.ok(bundled > 20, `${bundled} imports of bundles`);
  assert.ok(nodes.size > 2_000 && ours.size < nodes.size / 2, `${ours.size} imports in place of ${nodes.size}`);
});

test('every import of a bundled package is bundled', () => {
  const files = globSync('{apps/server,bench,clients,contracts,kernel,modules,platform,scripts,tests}/**/*.ts', {
    cwd: ROOT,
    exclude: (path) => path.includes('node_modules') || path.includes('dist'),
  });
  assert.ok(files.length > 500, `${files.length} files`);
  const others = new Set<string>();
  for (const file of files)
    for (const [, specifier = ''] of readFileSync(join(ROOT, file), 'utf8').matchAll(
      /^(?:import|export)\b(?! type\b)[^'"]*?['"]([^'".][^'"]*)['"]/gm,
    ))
      if (PACKAGES.has(packageOf(specifier)) && !BUNDLED.includes(specifier as never)) others.add(`${file} imports ${specifier}`);
  assert.deepEqual([...others], []);
});
