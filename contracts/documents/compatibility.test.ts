import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ApiDocument, breakingChanges } from './compatibility.ts';
import { openApiDocument } from './openapi.ts';

const current = openApiDocument() as ApiDocument;
/** A copy of the current document with a change. */
function changed(change: (document: ReturnType<typeof JSON.parse>) => void): ApiDocument {
  const copy = structuredClone(current);
  change(copy);
  return copy;
}

test('additions are not breaking changes', () => {
  assert.deepEqual(breakingChanges(current, current), []);
  const wider = changed((document) => {
    document.paths['/api/v2/new'] = {};
    document.components.schemas.Instrument.properties.colour = { type: 'string' };
    document.components.schemas.Instrument.required.push('colour');
    document.paths['/api/v1/instruments/{id}/candles'].get.parameters.push({ name: 'more', in: 'query', required: false, schema: {} });
  });
  assert.deepEqual(breakingChanges(current, wider), []);
});

test('removed operations and fields, new required fields and changed types are breaking changes', () => {
  const breaks = (change: Parameters<typeof changed>[0]) => breakingChanges(current, changed(change));
  assert.deepEqual(
    breaks((document) => delete document.paths['/api/v1/instruments']),
    ['GET /api/v1/instruments was removed'],
  );
  assert.ok(
    breaks((document) => delete document.components.schemas.Instrument.properties.price).includes(
      'GET /api/v1/instruments/{id} response.price was removed',
    ),
  );
  assert.ok(
    breaks((document) => {
      document.components.schemas.Instrument.properties.trades.type = 'string';
    }).includes('GET /api/v1/instruments/{id} response.trades: type changed from integer to string'),
  );
  assert.deepEqual(
    breaks((document) => {
      document.paths['/api/v1/account/keys'].post.requestBody.content['application/json'].schema.required.push('expiresAt');
    }),
    ['POST /api/v1/account/keys body.expiresAt became required'],
  );
  assert.ok(
    breaks((document) => {
      document.components.schemas.Instrument.required = [];
    }).includes('GET /api/v1/instruments/{id} response.id became optional'),
  );
});
