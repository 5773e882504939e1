import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { WorldCommand } from '@millrace/contracts';
import { ann, move, START, withAnn } from './testing/zone-of-ann.ts';

describe('items', () => {
  const take = (item: string, n = 1): WorldCommand => ({ type: 'PickUp', player: 'ann', session: 's1', n, item });
  const use = (item: string, n = 1): WorldCommand => ({ type: 'Use', player: 'ann', session: 's1', n, item });

  test('within reach are taken once, and respawn elsewhere', () => {
    const world = withAnn()
      .at(START + 10)
      .when(take('0-0:i1'))
      .emitsTypes('ItemPickedUp');
    world.when(take('0-0:i1', 2)).refused('UNKNOWN_ITEM');
    world.when(take('0-0:i2', 2)).refused('OUT_OF_REACH');
    world
      .at(START + 30_000)
      .ticked()
      .state((state) => assert.equal(Object.keys(state.items).length, 1));
    world.at(START + 30_500).ticked();
    world.state((state) => {
      assert.equal(Object.keys(state.items).length, 2);
      assert.deepEqual(ann(state).bag.items, [{ id: '0-0:i1', item: 'apple' }]);
    });
  });

  test('that do not exist are refused, also with the name of a member of every JavaScript object', () => {
    for (const name of ['0-0:i99', 'constructor', 'toString', '__proto__', 'hasOwnProperty']) {
      withAnn().when(take(name)).refused('UNKNOWN_ITEM');
      withAnn().when(use(name)).refused('NOT_CARRIED');
    }
  });

  test('have their effect when they are used', () => {
    const carrying = (item: 'apple' | 'boots' | 'mushroom', points: number) =>
      withAnn({ bag: { items: [{ id: 'x', item }], most: 12 }, health: { points, most: 100, stunnedUntil: 0, diedAt: 0 } })
        .at(START + 10)
        .when(use('x'));
    carrying('apple', 95).state((state) => assert.deepEqual([ann(state).health.points, ann(state).bag.items], [100, []]));
    carrying('boots', 50)
      .when(move(2, 1))
      .state((state) => assert.equal(ann(state).motion.boostedUntil, START + 10_010));
    carrying('mushroom', 50).when(move(2, 1)).refused('STUNNED');
    const died = carrying('mushroom', 30).emitsTypes('ItemUsed', 'PlayerDied').when(move(2, 1)).refused('DEAD');
    died
      .at(START + 5_500)
      .ticked()
      .state((state) => assert.equal(ann(state).health.points, 100));
  });

  test('are used only from the bag, one at a time; a full bag accepts no more', () => {
    withAnn().when(use('x')).refused('NOT_CARRIED');
    const items = [
      { id: 'x', item: 'apple' as const },
      { id: 'y', item: 'apple' as const },
    ];
    withAnn({ bag: { items, most: 2 } })
      .when(take('0-0:i1'))
      .refused('BAG_FULL');
    withAnn({ bag: { items, most: 2 } })
      .at(START)
      .when(use('x'), use('y', 2))
      .refused('COOLDOWN');
  });
});
