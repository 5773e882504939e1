import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ann, here, move, START, walker, withAnn } from './testing/zone-of-ann.ts';
import type { World } from './world-state.ts';

const HOUR = 3_600_000;

describe('after the clock of the machine is set back by an hour', () => {
  const dead = { health: { points: 0, most: 100, stunnedUntil: 0, diedAt: START + HOUR } };

  test('a dead player revives', () => {
    withAnn(dead)
      .at(START)
      .ticked()
      .state((state) => assert.equal(ann(state).health.points, 100));
  });

  test('a player that a tick overtakes stays dead for its time', () => {
    // Commands are decided at the time of the clock; a tick stands for a time up to 250 ms before.
    withAnn(dead)
      .at(START + HOUR - 500)
      .ticked()
      .at(START + HOUR + 4_500)
      .ticked()
      .state((state) => assert.equal(ann(state).health.points, 0))
      .at(START + HOUR + 5_000)
      .ticked()
      .state((state) => assert.equal(ann(state).health.points, 100));
  });

  test('a player that has walked at its limit walks on', () => {
    const running = () => withAnn({ motion: { ...walker().motion, at: START + HOUR } });
    running().at(START).when(move(1, 500)).emitsTypes('PlayerMoved').when(move(2, 600)).refused('TOO_FAST');
    running()
      .at(START + HOUR - 500)
      .when(move(1, 500))
      .refused('TOO_FAST');
  });

  test('items respawn: those that were taken before at once, others after their time', () => {
    const take = (n: number, item: string) => ({ type: 'PickUp', player: 'ann', session: 's1', n, item }) as const;
    const position = { x: here.x + 2_000, y: here.y };
    const audit = { operator: 'kim', reason: 'a test' };
    const onGround = (count: number) => (state: World) => assert.equal(Object.keys(state.items).length, count);
    withAnn()
      .at(START + HOUR)
      .when(take(1, '0-0:i1'), { type: 'EditPlayer', player: 'ann', component: 'position', fields: position, ...audit })
      .at(START)
      .when(take(2, '0-0:i2'))
      .state(onGround(0))
      .ticked()
      .state(onGround(1))
      .at(START + 29_500)
      .ticked()
      .state(onGround(1))
      .at(START + 30_000)
      .ticked()
      .state(onGround(2));
  });
});
