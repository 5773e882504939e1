import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseTraceParent } from '@opentelemetry/core';
import fc from 'fast-check';
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

/** Headers that are valid, or differ from valid ones in one part or one character. Without blanks around them, which the HTTP parser removes. */
const headers = fc
  .tuple(
    fc.constantFrom('00', '01', 'cc', 'fe', 'ff', 'FF', '0', ''),
    fc.oneof(fc.stringMatching(/^[0-9a-f]{32}$/), fc.constantFrom(trace, '0'.repeat(32), trace.toUpperCase(), trace.slice(1))),
    fc.oneof(fc.stringMatching(/^[0-9a-f]{16}$/), fc.constantFrom(span, '0'.repeat(16), `${span}0`)),
    fc.constantFrom('00', '01', 'ff', '1', 'zz'),
    fc.constantFrom('', '', '-', '-more', '.'),
  )
  .chain(([version, traceId, spanId, flags, rest]) => {
    const whole = `${version}-${traceId}-${spanId}-${flags}${rest}`;
    const changed = fc
      .tuple(fc.nat(whole.length), fc.constantFrom('-', '0', 'g', 'A', ''))
      .map(([at, text]) => whole.slice(0, at) + text + whole.slice(at + 1));
    return fc.oneof({ weight: 3, arbitrary: fc.constant(whole) }, changed);
  });

test('a traceparent is valid if OpenTelemetry takes it for valid', () => {
  let valid = 0;
  fc.assert(
    fc.property(headers, (traceparent) => {
      const expected = parseTraceParent(traceparent)?.traceId;
      if (expected !== undefined) valid++;
      const id = traceIdOf({ traceparent });
      assert.ok(expected === undefined ? !traceparent.includes(id) : id === expected, traceparent);
    }),
    { numRuns: 2_000 },
  );
  assert.ok(valid > 100, `only ${valid} headers were valid`);
});
