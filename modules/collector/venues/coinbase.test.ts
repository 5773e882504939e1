import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Trade } from '@millrace/contracts';
import fc from 'fast-check';
import type { GetJson, TradeGap } from '../source.ts';
import { LOST_TRADES_MAX } from '../trade-numbers.ts';
import { coinbaseHistory } from './coinbase.ts';

const START = Date.UTC(2026, 0, 5, 9);
const PAGE = 1_000;

/** The REST API of a venue with the trades 1 to `newest`, one a second. */
function venue(newest: number, ignoresAfter = false) {
  let requests = 0;
  const get: GetJson = async (path) => {
    requests++;
    const after = Number(new URL(path, 'http://venue').searchParams.get('after') ?? Number.POSITIVE_INFINITY);
    const last = ignoresAfter ? newest : Math.min(newest, after - 1);
    return Array.from({ length: Math.min(PAGE, last) }, (_none, index) => ({
      trade_id: last - index,
      side: 'buy',
      size: '1',
      price: '1',
      time: new Date(START + (last - index) * 1_000).toISOString(),
    }));
  };
  return { get, requests: () => requests };
}

const trade = (order: number): Trade => ({
  id: String(order),
  order,
  time: START + order * 1_000,
  price: '1',
  quantity: '1',
  side: 'sell',
});

function read(tradeGap: Partial<TradeGap>, get: GetJson): AsyncIterable<Trade[]> {
  const whole = { after: null, since: tradeGap.after?.time ?? START, before: null, ...tradeGap };
  return coinbaseHistory().trades?.('BTC-USD', whole, get) ?? assert.fail();
}

async function ordersOf(pages: AsyncIterable<Trade[]>): Promise<number[]> {
  return (await Array.fromAsync(pages)).flat().map(({ order }) => order);
}

const numbers = (from: number, to: number) => Array.from({ length: Math.max(0, to - from + 1) }, (_none, index) => from + index);

describe('the history of Coinbase', () => {
  test('has all trades of a gap, oldest first, wherever it begins and ends', () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 5_000 }),
        fc.option(fc.integer({ min: 0, max: 5_000 })),
        fc.option(fc.integer({ min: 0, max: 5_000 })),
        fc.integer({ min: 0, max: 5_000 }),
        async (newest, after, before, since) => {
          const tradeGap = {
            after: after === null ? null : trade(after),
            since: START + (after ?? since) * 1_000,
            before: before === null ? null : trade(before),
          };
          const first = after === null ? Math.max(since, 1) : after + 1;
          const last = Math.min(newest, before === null ? newest : before - 1);
          assert.deepEqual(await ordersOf(read(tradeGap, venue(newest).get)), numbers(first, last));
        },
      ),
      { numRuns: 50 },
    ));

  test('is read page by page: the first page comes after one request', async () => {
    const { get, requests } = venue(1_000_000);
    for await (const page of read({ after: trade(10) }, get)) {
      assert.deepEqual([page[0]?.order, page.length, requests()], [11, PAGE, 1]);
      break;
    }
  });

  test('ends after 100,000 trades', async () => {
    const { get, requests } = venue(10_000_000);
    assert.deepEqual(await ordersOf(read({ after: trade(10) }, get)), numbers(11, 10 + LOST_TRADES_MAX));
    assert.equal(requests(), LOST_TRADES_MAX / PAGE);
    assert.equal((await ordersOf(read({}, venue(10_000_000).get))).length, LOST_TRADES_MAX);
  });

  test('fails when a cache returns other trades than those requested', async () => {
    const cache = venue(1_000_000, true);
    for (const tradeGap of [{ after: trade(10) }, { after: trade(10), before: trade(9_000) }, {}])
      await assert.rejects(ordersOf(read(tradeGap, cache.get)), /the server ignores "after"; check "restUrl"/);
    assert.equal(cache.requests(), 4);
  });
});
