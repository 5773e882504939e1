import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ENDPOINTS, type Endpoint } from '@millrace/contracts';
import { isStorable } from './sound-requests.ts';
import { compileSchemas } from './validation.ts';

/** Maximum length of a body. */
const CHARACTERS = 1024 * 1024;
/** Linear patterns take about a second in total; a single quadratic one takes hours. */
const MS_MAX = 30_000;

interface StringSchema {
  readonly type?: string;
  readonly pattern?: string;
}

function stringsIn(schema: unknown): StringSchema[] {
  if (typeof schema !== 'object' || schema === null) return [];
  const own = (schema as StringSchema).pattern !== undefined ? [schema as StringSchema] : [];
  return [...own, ...Object.values(schema).flatMap(stringsIn)];
}

test('the schemas of all endpoints compile, which a server does with the first request to each', () => {
  const compile = compileSchemas();
  let compiled = 0;
  for (const { params, query, body } of Object.values<Endpoint>(ENDPOINTS))
    for (const [httpPart, schema] of Object.entries({ params, querystring: query, body })) {
      if (schema === undefined) continue;
      const check = compile({ schema, httpPart, method: 'POST', url: '/' } as never) as (value: unknown) => boolean;
      check({});
      compiled++;
    }
  assert.ok(compiled > 100, `${compiled} schemas`);
});

test('an invalid value is reported in `errors` of the compiled schema, and a valid one clears them', () => {
  const schema = { type: 'object', properties: { limit: { type: 'integer' } } };
  const check = compileSchemas()({ schema, httpPart: 'body', method: 'POST', url: '/' } as never) as {
    (value: unknown): boolean;
    errors?: readonly { readonly instancePath: string }[] | null;
  };
  assert.equal(check({ limit: '1' }), false);
  assert.equal(check.errors?.[0]?.instancePath, '/limit');
  assert.equal(check({ limit: 1 }), true);
  assert.equal(check.errors, null);
});

test('fault 18: each pattern of a request checks a long text in linear time', () => {
  const schemas = Object.values<Endpoint>(ENDPOINTS).flatMap(({ params, query, body }) => stringsIn([params, query, body]));
  const different = [...new Map(schemas.map((schema) => [JSON.stringify(schema), schema])).values()];
  assert.ok(different.length > 3);
  const compile = compileSchemas();
  const started = performance.now();
  for (const schema of different) {
    const check = compile({
      schema: { type: 'object', properties: { text: schema } },
      httpPart: 'body',
      method: 'POST',
      url: '/',
    } as never) as (value: unknown) => boolean;
    for (const part of ['a', 'A', '1', '.', '-', '_', 'a.', '1.'])
      for (const [start, end] of [
        ['', '\u0001'],
        ['a@', '@'],
        ['a:', ' '],
      ] as const)
        assert.equal(check({ text: start + part.repeat(CHARACTERS / part.length) + end }), false, `${schema.pattern} ${part}`);
  }
  assert.ok(performance.now() - started < MS_MAX, `${performance.now() - started} ms for ${different.length} patterns`);
});

test('fault 18: the depth of a body is checked without recursion to its end', () => {
  let deep: unknown = [];
  for (let level = 0; level < 200_000; level++) deep = [deep];
  assert.equal(isStorable(deep), false);
  assert.equal(isStorable({ name: ['Å', { ok: null }] }), true);
});
