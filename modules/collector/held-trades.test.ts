import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Gap, Trade } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import { HELD_TRADES_MAX } from './held-trades.ts';
import { TradeSequencer } from './trade-sequencer.ts';

const tradeOf = (order: number): Trade => ({ id: `${order}`, order, time: order, price: '1', quantity: '1', side: 'buy' });

for (const answer of ['never', 'with an error later'] as const)
  test(`trades that are held for a history which answers ${answer} are passed on after a gap when there are too many`, async () => {
    const clock = new ManualClock();
    let delivered = 0;
    const gaps: Gap[] = [];
    let reads = 0;
    const trades = new TradeSequencer(
      {
        clock,
        deliver: () => void delivered++,
        outOfOrder: () => {},
        fetch: async function* () {
          reads++;
          await new Promise((_resolve, reject) => answer !== 'never' && clock.after(1_000, () => reject(new Error('503'))));
        },
        disorderMs: 0,
        unrecorded: async (some) => some,
        recordGap: (gap) => void gaps.push(gap),
        recordRepair: () => {},
        doubt: () => {},
        setAside: () => {},
      },
      tradeOf(1),
    );
    trades.reconnected();
    for (let order = 11; order <= HELD_TRADES_MAX + 10; order++) trades.accept(tradeOf(order), true);
    await clock.settle();
    assert.deepEqual([reads, delivered, gaps], [1, 0, []]);
    trades.accept(tradeOf(HELD_TRADES_MAX + 11), true);
    await clock.settle();
    assert.equal(delivered, HELD_TRADES_MAX + 1);
    assert.deepEqual([gaps.length, gaps[0]?.afterId, gaps[0]?.beforeId, gaps[0]?.missing], [1, '1', '11', 9]);
    assert.match(gaps[0]?.reason ?? '', /50001 newer trades could not wait any longer/);
    await clock.advance(1_000);
    trades.accept(tradeOf(HELD_TRADES_MAX + 12), true);
    assert.equal(delivered, HELD_TRADES_MAX + 2);
  });
