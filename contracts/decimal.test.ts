import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { AMOUNT_MAX, isDecimal, isFiniteDecimal, isPositiveDecimal, usualSign } from './decimal.ts';

/** Texts that are decimals or nearly so. */
const text = fc.oneof(
  fc.stringMatching(/^-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,10})?([eE][+-]?[0-9]{1,3})?$/),
  fc.stringMatching(/^[-+]?[0-9.eE ]{0,30}$/),
  fc.constantFrom('', '.', '0.', '.5', '00', '01', '0', '0.0', '0.000', '1..2', '1.2.3', '９', '1,5', ' 1', '1 ', '1e5', '-1', '+1'),
);

describe('decimals', () => {
  test('the fast check agrees with the pattern of decimals: it accepts no other text, and every usual one', () => {
    fc.assert(
      fc.property(text, (decimal) => {
        const isUsual = isDecimal(decimal) && decimal.length <= 24 && !/[-eE]/.test(decimal);
        assert.equal(usualSign(decimal), isUsual ? Math.sign(Number(decimal)) : -1);
      }),
      { numRuns: 2_000 },
    );
    for (const other of [undefined, null, 1, ['1'], { length: 1 }, true]) assert.equal(usualSign(other), -1);
  });

  test('a finite decimal is one of at most the maximum amount, a positive one is above zero, too', () => {
    fc.assert(
      fc.property(text, (decimal) => {
        const isInRange = isDecimal(decimal) && Math.abs(Number(decimal)) <= AMOUNT_MAX;
        assert.equal(isFiniteDecimal(decimal), isInRange);
        assert.equal(isPositiveDecimal(decimal), isInRange && Number(decimal) > 0);
      }),
      { numRuns: 2_000 },
    );
  });
});
