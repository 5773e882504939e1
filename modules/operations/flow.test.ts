import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@millrace/kernel/testing';
import fc from 'fast-check';
import { Flow } from './flow.ts';

test('a rate is the number of events of the last ten turns per second, however late the turns are', () => {
  const turns = fc.array(fc.record({ events: fc.nat(1_000), ms: fc.integer({ min: 1, max: 20_000 }) }), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(turns, (history) => {
      const clock = new ManualClock();
      const flow = new Flow(clock);
      for (const { events, ms } of history) {
        clock.jump(ms);
        flow.add([['instrument/TradeRecorded', events]]);
        flow.turn();
      }
      const sum = (of: readonly number[]) => of.reduce((total, one) => total + one, 0);
      const last = history.slice(-10);
      const [type] = flow.types();
      assert.equal(type?.total, sum(history.map(({ events }) => events)));
      const expected = (sum(last.map(({ events }) => events)) * 1_000) / sum(last.map(({ ms }) => ms));
      assert.ok(Math.abs((type?.perSecond ?? 0) - expected) < 1e-6);
    }),
  );
});
