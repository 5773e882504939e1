import type { Place, Player, WorldCommand, WorldEvent, WorldPlan } from '@millrace/contracts';
import { given } from '@millrace/kernel/testing';
import { isBlocked, isFreeWay } from '../terrain.ts';
import type { World } from '../world-state.ts';
import { worldZone } from '../zone.ts';

/** A world of two by two zones. */
export const plan: WorldPlan = { seed: 7, columns: 2, rows: 2, monsters: 4, items: 3 };
/** Time of the first command, epoch ms. */
export const START = 100_000;
/** A place of zone test, that is 0-0, with room to the east. */
export const here: Place = findOpenPlace();

function findOpenPlace(): Place {
  for (let y = 250; y < 6_000; y += 100)
    for (let x = 250; x < 4_000; x += 100) if (isFreeWay(plan, { x, y }, { x: x + 2_500, y })) return { x, y };
  throw new Error('the map has no open row');
}

/** The player Ann, with changes. */
export const walker = (over: Partial<Player> = {}): Player => ({
  id: 'ann',
  name: 'Ann',
  position: { ...here },
  motion: { speed: 500, boostedUntil: 0, allowance: 0, at: START },
  health: { points: 100, most: 100, stunnedUntil: 0, diedAt: 0 },
  bag: { items: [], most: 12 },
  cooldown: { useAt: 0, sayAt: 0 },
  presence: { session: 's1', since: START, n: 0 },
  violations: { total: 0, byCode: {} },
  ...over,
});
/** The first event of zone 0-0. */
export const created: WorldEvent = {
  type: 'ZoneCreated',
  plan,
  monsters: [{ id: 'm1', position: { x: 3_250, y: 3_250 } }],
  items: [
    { id: '0-0:i1', item: 'apple', position: { x: here.x + 200, y: here.y } },
    { id: '0-0:i2', item: 'boots', position: { x: here.x + 2_000, y: here.y } },
  ],
};
/** The zone 0-0. */
export const zone = { ...worldZone, create: () => worldZone.create('0-0') };
/** The zone with Ann in it, after some more events. */
export const withAnn = (over: Partial<Player> = {}, ...more: WorldEvent[]) =>
  given(zone, created, { type: 'PlayerJoined', player: walker(over) }, ...more);
/** Command `n` of Ann: a walk by `dx` and `dy`, cm. */
export const move = (n: number, dx: number, dy = 0): WorldCommand => ({
  type: 'Move',
  player: 'ann',
  session: 's1',
  n,
  x: here.x + dx,
  y: here.y + dy,
});
/** Ann in a state of the zone. */
export const ann = (state: World): Player => state.players.ann as Player;

/** A blocked tile between two free ones. */
export function findWall(): Place {
  for (let y = 250; y < 6_000; y += 100)
    for (let x = 350; x < 6_000; x += 100)
      if (isBlocked(plan, { x, y }) && !isBlocked(plan, { x: x - 100, y }) && !isBlocked(plan, { x: x + 100, y })) return { x, y };
  throw new Error('the map has no wall');
}
