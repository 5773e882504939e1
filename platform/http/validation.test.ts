import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ENDPOINTS, type Endpoint } from '@millrace/contracts';
import { isStorable } from './sound-requests.ts';
import { compileSchemas } from './validation.ts';

/** As long as a body may be. */
const CHARACTERS = 1024 * 1024;
/** A linear check of all of them takes about a second; a quadratic one of one of them hours. */
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

test('fault 18: no pattern of a request goes over a long text again and again', () => {
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
    for (const letter of ['a', 'A', '1', '.', '-', '_', 'a.', '1.'])
      for (const [start, end] of [
        ['', '\u0001'],
        ['a@', '@'],
        ['a:', ' '],
      ] as const)
        assert.equal(check({ text: start + letter.repeat(CHARACTERS / letter.length) + end }), false, `${schema.pattern} ${letter}`);
  }
  assert.ok(performance.now() - started < MS_MAX, `${performance.now() - started} ms for ${different.length} patterns`);
});

test('fault 18: how deep a body is, is found out without going to its ground', () => {
  let deep: unknown = [];
  for (let level = 0; level < 200_000; level++) deep = [deep];
  assert.equal(isStorable(deep), false);
  assert.equal(isStorable({ name: ['Å', { ok: null }] }), true);
});
