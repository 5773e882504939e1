import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { asyncApiDocument, configSchema, openApiDocument } from './index.ts';

/*
 * Writes the generated documents to docs/api. With --check nothing is written: it fails when one of them is stale.
 */

const folder = join(dirname(dirname(import.meta.dirname)), 'docs', 'api');
const documents = { 'openapi.json': openApiDocument(), 'asyncapi.json': asyncApiDocument(), 'config.schema.json': configSchema() };
const checking = process.argv.includes('--check');

mkdirSync(folder, { recursive: true });
for (const [name, document] of Object.entries(documents)) {
  const path = join(folder, name);
  const text = `${JSON.stringify(document, null, 2)}\n`;
  if (!checking) writeFileSync(path, text);
  else if (read(path) !== text) {
    console.error(`docs/api/${name} is stale. Run "npm run docs" and commit what it writes.`);
    process.exitCode = 1;
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
