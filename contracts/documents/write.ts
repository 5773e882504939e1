import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type ApiDocument, breakingChanges } from './compatibility.ts';
import { asyncApiDocument, clientRoutes, configSchema, openApiDocument } from './index.ts';

/*
 * Generates files from the contracts: the documents in docs/api, and the route table of the client. With --check it writes nothing, and fails when a
 * file is out of date.
 */

const root = dirname(dirname(import.meta.dirname));
const json = (document: object) => `${JSON.stringify(document, null, 2)}\n`;
const files = {
  'docs/api/openapi.json': json(openApiDocument()),
  'docs/api/asyncapi.json': json(asyncApiDocument()),
  'docs/api/config.schema.json': json(configSchema()),
  'clients/typescript/rest/routes.ts': clientRoutes(),
};
const checkOnly = process.argv.includes('--check');

for (const [name, text] of Object.entries(files)) {
  const path = join(root, name);
  mkdirSync(dirname(path), { recursive: true });
  if (!checkOnly) writeFileSync(path, text);
  else if (read(path) !== text) {
    console.error(`${name} is out of date. Run "npm run docs" and commit the changes.`);
    process.exitCode = 1;
  }
}

// The released API. Update it only for a release, or for an intended breaking change.
const released = JSON.parse(read(join(root, 'docs/api/openapi.v1.json')) || 'null') as ApiDocument | null;
if (released === null || process.argv.includes('--release'))
  writeFileSync(join(root, 'docs/api/openapi.v1.json'), files['docs/api/openapi.json']);
else
  for (const change of breakingChanges(released, openApiDocument() as ApiDocument)) {
    console.error(
      `Breaking change of /api/v1: ${change} (see docs/api/openapi.v1.json). Add a new field or operation instead. If the change is intended, run contracts/documents/write.ts --release.`,
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
