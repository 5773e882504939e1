import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Bar, mergedBars, putBar } from '../../apps/web/src/parts/bars.ts';
import { decimalsFor, differenceOf, showDecimal, showPrice } from '../../apps/web/src/parts/decimals.ts';
import { formatsFor } from '../../apps/web/src/parts/formats.ts';

/*
 * How the console shows prices, quantities, times and candles.
 */

describe('prices', () => {
  test('the difference of two prices is exact, whatever their decimals are', () => {
    for (const [minuend, subtrahend, difference] of [
      ['2', '1.25', '0.75'],
      ['1.25', '2', '-0.75'],
      ['-0.5', '-1', '0.5'],
      ['12345678901234567890.12', '12345678901234567890.11', '0.01'],
      ['100', '99', '1'],
      ['1.5E-7', '1e-7', '0.00000005'],
      ['1.25e+3', '1250', '0'],
      ['-12.5e-1', '0.25', '-1.50'],
      ['1e25', '1', '9999999999999999999999999'],
    ] as const)
      assert.equal(differenceOf(minuend, subtrahend), difference);
    const price = fc
      .tuple(fc.bigInt({ min: -(10n ** 24n), max: 10n ** 24n }), fc.nat(12))
      .map(([digits, decimals]) => ({ digits, decimals }));
    const textOf = ({ digits, decimals }: { digits: bigint; decimals: number }) => {
      const text = String(digits < 0n ? -digits : digits).padStart(decimals + 1, '0');
      return `${digits < 0n ? '-' : ''}${decimals === 0 ? text : `${text.slice(0, -decimals)}.${text.slice(-decimals)}`}`;
    };
    fc.assert(
      fc.property(price, price, (one, other) => {
        const decimals = Math.max(one.decimals, other.decimals);
        const scaled = ({ digits, decimals: has }: typeof one) => digits * 10n ** BigInt(decimals - has);
        assert.equal(differenceOf(textOf(one), textOf(other)), textOf({ digits: scaled(one) - scaled(other), decimals }));
      }),
    );
  });

  test('a price with an exponent is shown with all its digits, unless they are very many', () => {
    for (const [price, shown] of [
      ['1.5E-7', '0.00000015'],
      ['-12.5e-1', '-1.25'],
      ['1.25e+6', '1,250,000'],
      ['0.0012e3', '1.2'],
      ['1e-300', '1e-300'],
      ['1234.50', '1,234.50'],
    ] as const)
      assert.equal(showDecimal(price), shown);
  });

  test('a tiny price has digits, and a large one no more than it needs', () => {
    for (const [price, shown] of [
      [0.000000000123, '0.000000000123000'],
      [0.00001234, '0.0000123400'],
      [64_154.7, '64,154.7'],
      [95_000_000, '95,000,000'],
      [-37.63, '-37.6300'],
    ] as const)
      assert.equal(showPrice(price, decimalsFor(price)), shown);
  });

  test('a quantity below 1 is not rounded to nothing', () => {
    for (const locale of ['en', 'ko']) {
      const { compact } = formatsFor(locale);
      assert.deepEqual([0, 0.00012, 0.0000000345, -0.004567, 0.23, 1.239].map(compact), [
        '0',
        '0.00012',
        '0.0000000345',
        '-0.00457',
        '0.23',
        '1.24',
      ]);
    }
  });
});

test('a time that is not of today has its date', () => {
  const { when } = formatsFor('en');
  const noon = new Date().setHours(12, 0, 0, 0);
  assert.equal(when(noon), '12:00:00');
  for (const days of [-30_000, -366, -1, 1, 400_000]) {
    const other = new Date(noon);
    other.setDate(other.getDate() + days);
    assert.match(when(other.getTime()), new RegExp(`\\b${other.getFullYear()}\\b.*12:00:00$`));
  }
});

describe('the bars of a chart', () => {
  const bar = (time: number, close: number): Bar => ({ time, open: 1, high: 1, low: 1, close, volume: 1 });
  const bars = fc
    .uniqueArray(fc.integer({ min: -20, max: 20 }), { maxLength: 12 })
    .map((times) => times.sort((one, other) => one - other).map((time) => bar(time, 0)));

  test('are in order, with the newest of each time, in whatever order they arrive', () => {
    fc.assert(
      fc.property(bars, fc.array(fc.integer({ min: -20, max: 20 })), fc.boolean(), (page, updates, isWhole) => {
        const shown = [...page];
        const expected = new Map(page.map((one) => [one.time, one]));
        updates.forEach((time, index) => {
          const first = shown[0]?.time;
          const mayAdd = isWhole || first === undefined || time >= first;
          const at = putBar(shown, bar(time, index + 1), isWhole);
          assert.equal(at === null, !mayAdd);
          if (at !== null) assert.equal(shown[at]?.close, index + 1);
          if (mayAdd) expected.set(time, bar(time, index + 1));
        });
        assert.deepEqual(
          shown,
          [...expected.values()].sort((one, other) => one.time - other.time),
        );
      }),
    );
  });

  test('of a later response replace others, except the newest one, also in 1970', () => {
    assert.deepEqual(mergedBars([], [bar(0, 2)]), [bar(0, 2)]);
    assert.deepEqual(mergedBars([bar(-60, 1), bar(0, 1)], [bar(-60, 2), bar(0, 2), bar(60, 2)]), [bar(-60, 2), bar(0, 1), bar(60, 2)]);
  });
});
