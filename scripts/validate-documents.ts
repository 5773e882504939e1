import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Parser } from '@asyncapi/parser';
import { BaseResolver, createConfig, lintDocument, makeDocumentFromString } from '@redocly/openapi-core';

/* Validates the generated OpenAPI and AsyncAPI documents with third-party validators. */

const folder = join(import.meta.dirname, '..', 'docs', 'api');
const problems: string[] = [];

const openapi = readFileSync(join(folder, 'openapi.json'), 'utf8');
const config = await createConfig({ extends: ['spec'] });
const document = makeDocumentFromString(openapi, 'openapi.json');
const found = await lintDocument({ document, config, externalRefResolver: new BaseResolver() });
for (const { severity, message, location } of found)
  if (severity === 'error') problems.push(`openapi.json ${location[0]?.pointer}: ${message}`);

const { diagnostics } = await new Parser().parse(readFileSync(join(folder, 'asyncapi.json'), 'utf8'));
for (const { severity, message, path } of diagnostics) if (severity === 0) problems.push(`asyncapi.json ${path.join('/')}: ${message}`);

for (const problem of problems) console.error(problem);
process.exitCode = problems.length === 0 ? 0 : 1;
