import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Items } from '../../apps/web/src/live/items.ts';
import { ServerClock } from '../../apps/web/src/live/server-clock.ts';
import { newestTrades, type ShownTrade } from '../../apps/web/src/live/trades.ts';
import { changesOf, draftOf } from '../../apps/web/src/world/draft.ts';

describe('the items of a channel', () => {
  const stateOf = (items: Items<{ id: string; price: number }>) => [...items.all].map(([id, { price }]) => `${id} ${price}`);
  const item = (id: string, price: number, position: string) => ({ event: 'ticker', item: { id, price }, position });

  test('that a restarted server no longer has are removed, when it has sent all the others', () => {
    const items = new Items<{ id: string; price: number }>();
    for (const id of ['a', 'b', 'c']) items.add(item(id, 1, 'e1-7'));
    items.add({ event: 'gap', item: undefined, position: 'e1-7' });
    items.add(item('a', 2, 'e2-5-partial'));
    assert.deepEqual(stateOf(items), ['a 2', 'b 1', 'c 1'], 'none disappears for a moment');
    items.add(item('c', 2, 'e2-5'));
    assert.deepEqual(stateOf(items), ['a 2', 'c 2']);
  });

  test('are complete with the last message of another channel of the subscription', () => {
    const items = new Items<{ id: string; price: number }>();
    items.add(item('a', 1, 'e1-7'));
    items.add({ event: 'gap', item: undefined, position: 'e1-7' });
    items.add({ event: 'source', item: undefined, position: 'e2-5' });
    assert.deepEqual(stateOf(items), []);
  });
});

test('trades that the stream and the API have both are shown once, newest first', () => {
  const trade = (id: number): ShownTrade => ({ id: String(id), time: Math.floor(id / 3), price: '1', quantity: '1', side: 'buy' });
  const descending = (from: number, to: number) => Array.from({ length: Math.max(0, to - from) }, (_none, index) => trade(to - 1 - index));
  fc.assert(
    fc.property(fc.nat(30), fc.nat(30), fc.nat(30), fc.integer({ min: 1, max: 20 }), (from, more, most, limit) => {
      const [middle, to] = [from + more, from + more + most];
      const shown = newestTrades(descending(middle, to), descending(0, Math.max(middle, to - 5)), limit);
      assert.deepEqual(shown, descending(0, to).slice(0, limit));
    }),
  );
});

test('an edit of a component changes only the fields that the operator changed, whatever happens to the others meanwhile', () => {
  const fields = { points: 80, most: 100 };
  const draft = draftOf(fields);
  // A monster hits the player.
  fields.points = 20;
  assert.deepEqual(changesOf({ ...draft, edited: { ...draft.edited, most: '120' } }), { most: 120 });
  assert.deepEqual(changesOf(draft), {});
  assert.throws(() => changesOf({ ...draft, edited: { most: 'much' } }), /most: much is not valid JSON/);
});

describe('the clock of the server', () => {
  const response = fc.record({ afterMs: fc.nat(60_000), wayMs: fc.nat(3_000), backMs: fc.nat(3_000) });

  test('is known to within the shortest response and two seconds, however much the clock of the browser differs, also after it was set', () => {
    const hours = fc.array(fc.integer({ min: -24, max: 24 }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(
        fc.integer({ min: -9_000, max: 9_000 }),
        hours,
        fc.array(response, { minLength: 1, maxLength: 20 }),
        (ms, jumps, responses) => {
          const clock = new ServerClock();
          let now = Date.UTC(2026, 10, 26);
          for (const behind of jumps.map((hour) => hour * 3_600_000 + ms)) {
            let uncertain = Number.POSITIVE_INFINITY;
            for (const { afterMs, wayMs, backMs } of responses) {
              const sentAt = now + afterMs;
              const respondedAt = sentAt + wayMs;
              now = respondedAt + backMs;
              // The header has whole seconds.
              clock.note(new Date(respondedAt).toUTCString(), sentAt - behind, now - behind);
              uncertain = Math.min(uncertain, wayMs + backMs + 2_000);
            }
            const error = Math.abs(clock.at(now - behind) - now);
            assert.ok(error <= uncertain, `${error} ms of ${uncertain} ms`);
          }
        },
      ),
    );
  });

  test('is that of the browser until a response has a date', () => {
    const clock = new ServerClock();
    assert.equal(clock.at(7), 7);
    clock.note(null, 1, 2);
    clock.note('yesterday', 1, 2);
    assert.equal(clock.at(7), 7);
  });
});
