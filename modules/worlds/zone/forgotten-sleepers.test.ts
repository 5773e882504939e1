import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlayerId, WorldEvent } from '@millrace/contracts';
import type { InitializedWorld } from './world-state.ts';
import { worldZone } from './zone.ts';
import { ASLEEP_MAX, runTick } from './zone-upkeep.ts';

const SURPLUS = 1_000;

/** A zone with more sleepers than it keeps; the later ones fell asleep earlier. */
function crowded(): InitializedWorld {
  const state = worldZone.create('0-0');
  state.plan = { seed: 1, columns: 1, rows: 1, monsters: 0, items: 0 };
  const count = ASLEEP_MAX + SURPLUS;
  for (let index = 0; index < count; index++) {
    const id: PlayerId = `p-${index}`;
    state.players[id] = {
      id,
      name: 'Kim',
      position: { x: 0, y: 0 },
      motion: { speed: 500, boostedUntil: 0, allowance: 0, at: 0 },
      health: { points: 100, most: 100, stunnedUntil: 0, diedAt: 0 },
      bag: { items: [], most: 12 },
      cooldown: { useAt: 0, sayAt: 0 },
      presence: { session: '', since: count - index, n: 0 },
      violations: { total: 0, byCode: {} },
    };
  }
  return state as InitializedWorld;
}

test('a zone forgets its surplus of sleepers within seconds, those that have slept longest first', () => {
  const state = crowded();
  const forgotten: string[] = [];
  const emit = (event: WorldEvent) => {
    if (event.type === 'PlayerForgotten') forgotten.push(event.player);
    worldZone.evolve(state, event);
  };
  for (let tick = 0; tick < 10 * 20; tick++) runTick(state, tick, { now: tick * 50, random: () => 0, emit, refuse: assert.fail });
  assert.equal(Object.keys(state.players).length, ASLEEP_MAX);
  assert.deepEqual(forgotten.sort(), Array.from({ length: SURPLUS }, (_none, index) => `p-${ASLEEP_MAX + index}`).sort());
});
