import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type InstrumentCommand, instrumentId } from '@millrace/contracts';
import { given } from '@millrace/kernel/testing';
import fc from 'fast-check';
import { candleOf } from './bars.ts';
import { describeInstrument } from './views.ts';
import { instrumentZone } from './zone.ts';

const zone = instrumentZone({ lateWindowMs: 600_000, outlierPercent: 20 });
const START = Date.UTC(2026, 0, 5, 9, 0, 0);
const record = (n: number, price: string, quantity = '1'): InstrumentCommand => ({
  type: 'RecordTrade',
  numbered: true,
  trade: { id: `${n}`, order: n, time: START + n, price, quantity, side: 'buy' },
});

describe('an outlier', () => {
  test('makes no later price an outlier, however far it is', () =>
    fc.assert(
      fc.property(
        fc.constantFrom('1e24', '1e9', '10000', '130', '70', '1', '1e-20'),
        fc.integer({ min: 20, max: 100 }),
        fc.array(fc.integer({ min: 98, max: 102 }), { minLength: 120, maxLength: 200 }),
        (wrong, at, prices) => {
          given(zone)
            .when(...prices.map((price, n) => record(n, n === at ? wrong : `${price}`)))
            .state(({ quality }) => assert.equal(quality.counts.outliers, 1));
        },
      ),
      { numRuns: 40 },
    ));

  for (const price of ['10000', '1'])
    test(`is followed by the mean when the price stays there: ${price} after 100`, () => {
      const many = Array.from({ length: 2_000 }, (_none, n) => record(n, n < 50 ? '100' : price));
      const set = given(zone).when(...many);
      let before = 0;
      set
        .state(({ quality }) => {
          before = quality.counts.outliers;
        })
        .when(...Array.from({ length: 50 }, (_none, n) => record(3_000 + n, price)))
        .state(({ quality }) => assert.equal(quality.counts.outliers, before));
    });
});

test('prices and quantities that sums cannot take are refused', () => {
  const set = given(zone).when(record(1, '1', '1e24'));
  for (const [price, quantity] of [
    ['1', '1e308'],
    ['1', '2e24'],
    ['1e30', '1'],
  ] as const)
    set.when(record(2, price, quantity)).emitsTypes('TradeRefused');
  set.when(record(2, '1', '1e24')).state((state) => {
    assert.equal(state.bars['1w'][0] && candleOf(state.bars['1w'][0]).volume, 2e24);
    assert.equal(Number(describeInstrument(instrumentId('v', 'A-B'), state).dayVolume), 2e24);
  });
});
