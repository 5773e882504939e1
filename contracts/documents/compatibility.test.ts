import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ApiDocument, breakingChanges } from './compatibility.ts';
import { openApiDocument } from './openapi.ts';

const now = openApiDocument() as ApiDocument;
/** The document with one thing changed. */
function changed(change: (document: ReturnType<typeof JSON.parse>) => void): ApiDocument {
  const copy = structuredClone(now);
  change(copy);
  return copy;
}

test('what is added breaks nobody', () => {
  assert.deepEqual(breakingChanges(now, now), []);
  const wider = changed((document) => {
    document.paths['/api/v2/new'] = {};
    document.components.schemas.Instrument.properties.colour = { type: 'string' };
    document.components.schemas.Instrument.required.push('colour');
    document.paths['/api/v1/instruments/{id}/candles'].get.parameters.push({ name: 'more', in: 'query', required: false, schema: {} });
  });
  assert.deepEqual(breakingChanges(now, wider), []);
});

test('what is gone, asked for anew or of another kind is named', () => {
  const breaks = (change: Parameters<typeof changed>[0]) => breakingChanges(now, changed(change));
  assert.deepEqual(
    breaks((document) => delete document.paths['/api/v1/instruments']),
    ['GET /api/v1/instruments is gone'],
  );
  assert.ok(
    breaks((document) => delete document.components.schemas.Instrument.properties.price).includes(
      'GET /api/v1/instruments/{id} answer.price is gone',
    ),
  );
  assert.ok(
    breaks((document) => {
      document.components.schemas.Instrument.properties.trades.type = 'string';
    }).includes('GET /api/v1/instruments/{id} answer.trades was integer and is string'),
  );
  assert.deepEqual(
    breaks((document) => {
      document.paths['/api/v1/account/keys'].post.requestBody.content['application/json'].schema.required.push('expiresAt');
    }),
    ['POST /api/v1/account/keys body.expiresAt must be given now'],
  );
  assert.ok(
    breaks((document) => {
      document.components.schemas.Instrument.required = [];
    }).includes('GET /api/v1/instruments/{id} answer.id may be missing now'),
  );
});
