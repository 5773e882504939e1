import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Items } from '../../apps/web/src/live/items.ts';
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
