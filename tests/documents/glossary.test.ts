import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ENDPOINTS } from '@millrace/contracts';

const ROOT = join(import.meta.dirname, '..', '..');
const OPERATION = /^(GET|POST|PATCH|DELETE) /;
const glossary = readFileSync(join(ROOT, 'docs', 'glossary.md'), 'utf8');

/** Files of a path in the glossary; for a folder, its files. */
function textOf(path: string): string {
  const pattern = path.endsWith('/') ? `${path}**/*.{ts,tsx}` : path;
  return globSync(pattern, { cwd: ROOT })
    .map((file) => readFileSync(join(ROOT, file), 'utf8'))
    .join('\n');
}

test('every operation that the glossary names exists', () => {
  const operations = new Set(['GET /metrics', ...Object.values(ENDPOINTS).map(({ method, path }) => `${method} ${path}`)]);
  const named = [...glossary.matchAll(/`((?:GET|POST|PATCH|DELETE) [^`]+)`/g)].map(([, operation = '']) => operation);
  assert.ok(named.length > 20, `${named.length} operations`);
  assert.deepEqual(
    named.filter((operation) => !operations.has(operation)),
    [],
  );
});

test('every file in the glossary exists and contains the name', () => {
  const places = [...glossary.matchAll(/((?:`[^`|\n]+`(?:, | and )?)+) in ((?:`[^`|\n]+\/[^`|\n]*`(?:, | and )?)+)/g)];
  assert.ok(places.length > 200, `${places.length} places`);
  const missing: string[] = [];
  for (const [, names = '', paths = ''] of places) {
    const files = [...paths.matchAll(/`([^`]+)`/g)].map(([, path = '']) => path).filter((path) => !OPERATION.test(path));
    missing.push(...files.filter((path) => !existsSync(join(ROOT, path)) && textOf(path) === ''));
    const text = files.map(textOf).join('\n');
    for (const [, name = ''] of names.matchAll(/`([^`]+)`/g)) {
      if (OPERATION.test(name)) continue;
      const word = name.split(/[.\s(]/).findLast((part) => part !== '') ?? name;
      if (!text.includes(word)) missing.push(`${name} in ${files.join(', ')}`);
    }
  }
  assert.deepEqual(missing, []);
});
