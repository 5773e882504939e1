import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Type } from 'typebox';
import { DateTime, fromWire, isRfc3339, rfc3339Of, toWire } from './index.ts';

const Row = Type.Object({ id: Type.String(), startedAt: DateTime('Start'), endedAt: Type.Union([DateTime('End'), Type.Null()]) });
const Nested = Type.Object({
  rows: Type.Array(Row),
  byName: Type.Record(Type.String(), Row),
  first: Type.Optional(Row),
  time: Type.Number(),
});

/** Epoch ms of the years 0000 to 9999. */
const instant = fc.integer({ min: -62_167_219_200_000, max: 253_402_300_799_999 });
const row = fc.record({ id: fc.string(), startedAt: instant, endedAt: fc.option(instant) }, { noNullPrototype: true });
const nested = fc.record(
  {
    rows: fc.array(row),
    byName: fc.dictionary(fc.string({ minLength: 1 }), row, { noNullPrototype: true }),
    first: row,
    time: fc.integer(),
  },
  { requiredKeys: ['rows', 'byName', 'time'], noNullPrototype: true },
);

test('times become RFC 3339 in UTC with milliseconds, and convert back without loss; other values do not change', () =>
  fc.assert(
    fc.property(nested, (value) => {
      const before = structuredClone(value);
      const wire = toWire(Nested)?.(value) as { rows: { startedAt: string }[] };
      for (const { startedAt } of wire.rows) assert.match(startedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      assert.deepEqual(fromWire(Nested)?.(JSON.parse(JSON.stringify(wire))), JSON.parse(JSON.stringify(value)));
      assert.deepEqual(value, before, 'the value itself is not changed');
    }),
  ));

test('a schema without times needs no conversion', () => {
  assert.equal(toWire(Type.Object({ time: Type.Number(), names: Type.Array(Type.String()) })), null);
});

test('a schema with times in several alternatives is refused, because the alternative of a value would be ambiguous', () => {
  assert.throws(() => toWire(Type.Union([Row, Type.Object({ createdAt: DateTime('Creation') })])), /several alternatives/);
});

test('a time outside the range of RFC 3339 becomes the nearest time in the range', () => {
  assert.equal(rfc3339Of(8.64e15), '9999-12-31T23:59:59.999Z');
  assert.equal(rfc3339Of(-8.64e15), '0000-01-01T00:00:00.000Z');
});

for (const [text, isValid] of [
  ['2026-11-25T04:00:00.000Z', true],
  ['2026-11-25t04:00:00+09:00', true],
  ['2026-11-25T04:00:00', false],
  ['2026-11-25', false],
  ['2026-02-30T04:00:00Z', false],
  ['1700000000000', false],
] as const)
  test(`${text} is ${isValid ? '' : 'not '}RFC 3339`, () => assert.equal(isRfc3339(text), isValid));
