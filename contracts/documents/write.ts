import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type ApiDocument, breakingChanges } from './compatibility.ts';
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

// What users were promised: changed only where a change that breaks them is meant, or a version is released.
const promised = JSON.parse(read(join(root, 'docs/api/openapi.v1.json')) || 'null') as ApiDocument | null;
if (promised === null || process.argv.includes('--release'))
  writeFileSync(join(root, 'docs/api/openapi.v1.json'), files['docs/api/openapi.json']);
else
  for (const change of breakingChanges(promised, openApiDocument() as ApiDocument)) {
    console.error(
      `${change}: that breaks who was written for /api/v1 (docs/api/openapi.v1.json). Add beside it, or write contracts/documents/write.ts --release.`,
    );
    process.exitCode = 1;
  }

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
