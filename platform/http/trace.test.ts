import assert from 'node:assert/strict';
import { test } from 'node:test';
import { traceIdOf, traceparentOf } from './trace.ts';

const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
const span = '00f067aa0ba902b7';

test('a valid traceparent gives its trace id, and every other one gets a new id', () => {
  for (const valid of [
    `00-${trace}-${span}-01`,
    `00-${trace}-${span}-00`,
    `01-${trace}-${span}-01`,
    `cc-${trace}-${span}-01-what-comes-later`,
  ])
    assert.equal(traceIdOf({ traceparent: valid }), trace, valid);
  for (const invalid of [
    '',
    `00-${trace}-${span}`,
    `00-${trace}-${span}-01-more`,
    `ff-${trace}-${span}-01`,
    `00-${trace.toUpperCase()}-${span}-01`,
    `00-${'0'.repeat(32)}-${span}-01`,
    `00-${trace}-${'0'.repeat(16)}-01`,
    `01-${trace}-${span}-01.`,
    `0-${trace}-${span}-01`,
  ]) {
    const id = traceIdOf({ traceparent: invalid });
    assert.match(id, /^[0-9a-f]{32}$/, invalid);
    assert.notEqual(id, trace, invalid);
  }
});

test('calls of a request have its trace, and a span of their own', () => {
  const headers = Array.from({ length: 1_000 }, () => traceparentOf(trace));
  assert.equal(new Set(headers).size, 1_000);
  for (const traceparent of headers) assert.equal(traceIdOf({ traceparent }), trace);
  assert.equal(new Set(Array.from({ length: 1_000 }, () => traceIdOf({}))).size, 1_000);
});
