import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ENDPOINTS, type Endpoint, type Problem } from '@millrace/contracts';
import fastify from 'fastify';
import { respondWithProblems } from './problems.ts';
import { compileSchemas } from './validation.ts';

/** The problem that a request gets before its handler runs. */
async function refusal(endpoint: Endpoint, url: string, payload?: object): Promise<Problem> {
  const app = fastify();
  app.setValidatorCompiler(compileSchemas());
  respondWithProblems(app);
  const { method, path, params, query, body } = endpoint;
  app.route({ method, url: path, schema: { params, querystring: query, body }, handler: () => assert.fail('it was not refused') });
  const response = await app.inject({ method, url, ...(payload && { payload }) });
  return response.json();
}

test('fault 16: a problem with a path parameter names the parameter of its route', async () => {
  const deadLetter = await refusal(ENDPOINTS.replayDeadLetter, '/api/v1/consumer-groups/series/dead-letters/nope/replay');
  assert.equal(deadLetter.code, 'BAD_REQUEST');
  assert.match(deadLetter.detail, /"id" \(nope\) must be integer/);
  const instrument = await refusal(ENDPOINTS.getQuote, '/api/v1/instruments/nope/quote');
  assert.equal(instrument.code, 'UNKNOWN_INSTRUMENT');
  assert.match(instrument.detail, /"nope"/);
});
