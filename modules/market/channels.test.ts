import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERVALS, type InstrumentCommand, type InstrumentEvent, instrumentId } from '@millrace/contracts';
import type { Context, EventBatch } from '@millrace/kernel';
import type { Hub } from '@millrace/streams';
import fc from 'fast-check';
import { candleOf, isInexact } from './bars.ts';
import { publishBatch } from './channels.ts';
import type { Instrument } from './instrument.ts';
import { describeBook, describeInstrument, describeQuote } from './views.ts';
import { instrumentZone } from './zone.ts';

/* The newest events of a conflated channel are what the API responds at that time, with the same status. */

const ID = instrumentId('venue', 'BTC-USD');
const START = Date.UTC(2026, 0, 5, 9);

/** A zone, and the newest event of each key of each channel. */
function open() {
  const { create, decide, evolve } = instrumentZone({ lateWindowMs: 600_000, outlierPercent: 20 });
  const state = create(ID);
  const newest = new Map<string, unknown>();
  const gaps: unknown[] = [];
  const publish = (channel: string, _delivery: string, event: string, key: string, data: unknown) => {
    assert.notEqual(data, undefined, channel);
    if (event === 'gap') return void gaps.push(data);
    newest.set(`${channel} ${key}`, data);
  };
  const hub = { isWanted: () => true, publish, position: 'e-1' } as unknown as Hub;
  return {
    gaps,
    state: (): Instrument => state,
    newest: (channel: string, key = '') => newest.get(`${channel} ${key}`),
    apply: (command: InstrumentCommand) => {
      const events: InstrumentEvent[] = [];
      const emit = (event: InstrumentEvent) => {
        evolve(state, event);
        events.push(event);
      };
      decide(state, command, { emit } as Context<InstrumentEvent>);
      publishBatch(hub, { zone: `instrument/${ID}`, events } as unknown as EventBatch, state);
    },
  };
}

const time = fc.nat(200_000).map((ms) => START + ms);
const price = fc.integer({ min: 1, max: 9 }).map(String);
const command: fc.Arbitrary<InstrumentCommand> = fc.oneof(
  time.map((at): InstrumentCommand => ({ type: 'MarkLive', time: at })),
  fc.record({ type: fc.constant('MarkStale' as const), time, reason: fc.constantFrom('no frames', 'no connection') }),
  fc.record({ time, price, id: fc.nat(99).map(String) }).map(
    (trade): InstrumentCommand => ({
      type: 'RecordTrade',
      numbered: false,
      trade: { ...trade, order: 0, quantity: '1', side: 'buy' },
    }),
  ),
  fc
    .record({ time, bid: price, ask: price })
    .map((quote): InstrumentCommand => ({ type: 'ObserveQuote', quote: { ...quote, bidQuantity: '1', askQuantity: '1' } })),
  fc.record({ time, levels: fc.array(price, { maxLength: 2 }) }).map(
    ({ levels, ...rest }): InstrumentCommand => ({
      type: 'ReplaceBook',
      book: { ...rest, bids: levels.map((level) => [level, '1']), asks: [] },
    }),
  ),
  fc.record({ type: fc.constant('LoseBook' as const), time, reason: fc.constantFrom('lost', 'broken') }),
);

test('the newest quote, book, candle and ticker of the streams are those of the API, after every history', () =>
  fc.assert(
    fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
      const { state, newest, apply } = open();
      for (const each of commands) {
        apply(each);
        assert.deepEqual(newest(`quotes:${ID}`), describeQuote(ID, state()));
        const book = describeBook(ID, state(), 20);
        if (book) assert.deepEqual(newest(`book:${ID}`), book);
        else assert.deepEqual((newest(`book:${ID}`) as { bids: unknown[] } | undefined)?.bids ?? [], []);
        const ticker = newest('tickers', ID) as ReturnType<typeof describeInstrument> | undefined;
        const { status, reason, price: newestPrice } = describeInstrument(ID, state());
        if (ticker) assert.deepEqual([ticker.status, ticker.reason, ticker.price], [status, reason, newestPrice]);
        for (const interval of INTERVALS) {
          const bar = state().bars[interval].at(-1);
          if (!bar || (bar.closed && isInexact(bar))) continue;
          const { closed, version } = bar;
          assert.deepEqual(newest(`candles:${ID}:${interval}`, String(bar.time)), { ...candleOf(bar), closed, version, status });
        }
      }
    }),
    { numRuns: 200 },
  ));

test('a repair is a gap of the trades, readings and candles: their readers have some that were withdrawn', () => {
  const { gaps, newest, apply } = open();
  const trade = { id: '1', order: 0, time: START, price: '1', quantity: '1', side: 'buy' } as const;
  apply({ type: 'RecordTrade', numbered: false, trade });
  apply({ type: 'ObserveQuote', quote: { time: START, bid: '1', ask: '2', bidQuantity: '1', askQuantity: '1' } });
  const before = newest(`quotes:${ID}`);
  apply({ type: 'RepairInstrument', after: START - 1, newestAt: 0, reason: '', withdrawn: [trade], last: null, candles: [] });
  const channels = [`trades:${ID}`, `readings:${ID}`, ...INTERVALS.map((interval) => `candles:${ID}:${interval}`)];
  assert.deepEqual(
    gaps,
    channels.map((channel) => ({ channel, from: 'e-1', to: 'e-1', reason: 'withdrawn' })),
  );
  // A quote without data is no event.
  assert.equal(newest(`quotes:${ID}`), before);
});
