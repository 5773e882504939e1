import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { asyncApiDocument, clientRoutes, configSchema, openApiDocument } from './index.ts';

/*
 * Writes what is generated from the contracts: the documents of docs/api, and the routes that the client knows. With --check nothing is written: it fails when one of them is stale.
 */

const root = dirname(dirname(import.meta.dirname));
const json = (document: object) => `${JSON.stringify(document, null, 2)}\n`;
const files = {
  'docs/api/openapi.json': json(openApiDocument()),
  'docs/api/asyncapi.json': json(asyncApiDocument()),
  'docs/api/config.schema.json': json(configSchema()),
  'clients/typescript/rest/routes.ts': clientRoutes(),
};
const checking = process.argv.includes('--check');

for (const [name, text] of Object.entries(files)) {
  const path = join(root, name);
  mkdirSync(dirname(path), { recursive: true });
  if (!checking) writeFileSync(path, text);
  else if (read(path) !== text) {
    console.error(`${name} is stale. Run "npm run docs" and commit what it writes.`);
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
