import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type InstrumentCommand, type InstrumentId, instrumentId, openingOf } from '@millrace/contracts';
import { zoneAddress } from '@millrace/kernel';
import { given } from '@millrace/kernel/testing';
import { openDuckDbSeries, type SeriesStore } from '@millrace/series';
import { checkCandles } from './candle-check.ts';
import { CandleWatch } from './candle-watch.ts';
import { seriesProjection } from './projection.ts';
import { instrumentZone } from './zone.ts';

const START = Date.UTC(2026, 0, 7, 9, 0, 0);
const MINUTE = 60_000;

describe('the check of stored candles', () => {
  const zone = instrumentZone({ lateWindowMs: MINUTE, outlierPercent: 1e9 });
  let folder: string;
  let series: SeriesStore;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-check-'));
    series = await openDuckDbSeries({ folder, memoryMiB: 64, archiveAfterDays: 1, keepDays: 3_650 });
  });
  after(async () => {
    await series.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const candle = (time: number, high: number) => ({ time, open: 1, high, low: 1, close: 1, volume: 1, trades: 1 });
  async function stored(name: string, others: InstrumentCommand[] = []): Promise<InstrumentId> {
    const id = instrumentId('check', `${name}-USD`);
    const set = given(zone);
    const trades = Array.from({ length: 40 }, (_one, index): InstrumentCommand => {
      // Every fifth comes two minutes late.
      const at = index * 15_000 - (index % 5 === 0 ? 2 * MINUTE : 0);
      const price = String(100 + ((index * 7) % 13));
      return {
        type: 'RecordTrade',
        trade: { id: `${index}`, order: index, time: START + at, price, quantity: '0.1', side: 'buy' },
        numbered: false,
      };
    });
    const events = [...trades, ...others].flatMap((command) => [...set.when(command).events]);
    await seriesProjection(series).apply(
      [{ zone: zoneAddress('instrument', id), epoch: 1, firstSeq: 1, time: START, events } as never],
      [],
    );
    return id;
  }
  /** A stored candle becomes wrong, as a fault of ours would leave it. */
  const spoil = (instrument: InstrumentId, time: number, version: number, origin: 'trades' | 'venue' = 'trades') =>
    series.write(
      { trades: [], readings: [], candles: [{ instrument, interval: '1m', ...candle(time, 999), version, origin, known: START }] },
      null,
    );

  test('finds no difference if all candles match their trades, also late ones', async () => {
    const id = await stored('SOUND');
    const report = await checkCandles(series, id);
    assert.ok(report.compared > 50, `${report.compared}`);
    assert.deepEqual([report.differing, report.differences], [0, []]);
  });

  test('reports instrument, interval, candle, field and both values of a difference', async () => {
    const id = await stored('WRONG');
    const time = openingOf(START + 3 * MINUTE, '1m');
    await spoil(id, time, 99);
    const { differing, differences } = await checkCandles(series, id);
    assert.equal(differing, 1);
    const high = differences.find(({ field }) => field === 'high');
    assert.deepEqual([high?.instrument, high?.interval, high?.time, high?.stored], [id, '1m', time, 999]);
    assert.ok((high?.expected ?? 0) > 100 && (high?.expected ?? 0) < 113);
  });

  test('reports why it skips candles of the venue, repaired ones, and those without trades', async () => {
    const id = await stored('GIVEN', [{ type: 'RecordCandle', interval: '1m', candle: candle(openingOf(START, '1m'), 5) }]);
    await spoil(id, openingOf(START + 2 * MINUTE, '1m'), 99, 'venue');
    await series.write(
      {
        trades: [],
        readings: [],
        candles: [
          { instrument: id, interval: '1m', ...candle(START + 4 * MINUTE, 9), trades: 1_000, version: 99, origin: 'trades', known: START },
        ],
      },
      null,
    );
    const { differing, notCompared } = await checkCandles(series, id);
    assert.equal(notCompared.partial, 1);
    assert.ok(notCompared.venue + notCompared.repaired >= 2, JSON.stringify(notCompared));
    // Larger candles that hold the one that was put in behind the store’s back are not made of trades alone any more.
    assert.equal(differing, 0);
  });

  test('stops on request, and reports the compared candles', async () => {
    const id = await stored('LONG');
    let asked = 0;
    const { compared } = await checkCandles(series, id, () => ++asked > 3);
    const whole = await checkCandles(series, id);
    assert.ok(compared < whole.compared);
  });

  test('the background check visits one instrument after another, and removes corrected ones from its report', async () => {
    const [sound, wrong] = [instrumentId('check', 'W1-USD'), instrumentId('check', 'W2-USD')];
    let differing = 1;
    const checked: InstrumentId[] = [];
    const check: typeof checkCandles = async (_series, instrument) => {
      checked.push(instrument);
      const difference = { instrument, interval: '1m', time: START, field: 'high', stored: 9, expected: 8 } as const;
      const found = instrument === wrong ? differing : 0;
      const notCompared = { venue: 0, repaired: 0, partial: 0 };
      return { instrument, compared: 5, notCompared, differing: found, differences: found > 0 ? [difference] : [] };
    };
    const told: string[] = [];
    const watch = new CandleWatch(
      series,
      () => [sound, wrong],
      ({ instrument, field }) => told.push(`${instrument} ${field}`),
      check,
    );
    await watch.checkNext();
    assert.deepEqual(watch.differing(), []);
    await watch.checkNext();
    assert.deepEqual([watch.differing(), told], [[{ instrument: wrong, candles: 1 }], [`${wrong} high`]]);
    differing = 0;
    await watch.checkNext();
    await watch.checkNext();
    assert.deepEqual(checked, [sound, wrong, sound, wrong]);
    assert.deepEqual(watch.differing(), []);
  });
});
