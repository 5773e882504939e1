import type { GroundItem, Player, PlayerId, RestoreChanges, WorldObjects } from '@millrace/contracts';
import type { World } from './world-state.ts';
import { RESPAWN_MS } from './zone-upkeep.ts';

export interface Restored {
  readonly objects: WorldObjects;
  readonly changes: RestoreChanges;
}

/**
 * Computes a zone’s objects after a restore to a past state, and the changes. Players that left since do not return; players that arrived since keep
 * what they have. An item that is in another zone, or on the way there, stays there, so that no item is in two places.
 * @param elsewhere items of other zones
 * @param now epoch ms
 */
export function restored(state: Readonly<World>, past: WorldObjects, elsewhere: Iterable<string>, now: number): Restored {
  const taken = new Set(elsewhere);
  for (const { player } of Object.values(state.departures)) for (const { id } of player.bag.items) taken.add(id);
  const here = Object.values(state.players);
  // A player may have come back with its items since the other zones were read.
  for (const { bag } of here) for (const { id } of bag.items) taken.delete(id);
  const elsewhereNow = new Set(taken);
  const kept = here.filter(({ id }) => past.players[id] === undefined);
  for (const { bag } of kept) for (const { id } of bag.items) taken.add(id);
  const take = (id: string) => !taken.has(id) && taken.add(id) !== undefined;
  const players: Record<PlayerId, Player> = {};
  for (const player of here) {
    const then = past.players[player.id];
    players[player.id] = structuredClone(player);
    if (!then) continue;
    const { name, presence, violations } = structuredClone(player);
    const bag = { ...then.bag, items: then.bag.items.filter(({ id }) => take(id)) };
    players[player.id] = { ...structuredClone(then), name, presence, violations, bag };
  }
  const items: Record<string, GroundItem> = {};
  for (const item of Object.values(past.items)) if (take(item.id)) items[item.id] = item;
  // Keeps the total number of items on the ground and due to respawn.
  const missing = Object.keys(past.items).length - Object.keys(items).length;
  const respawns = [...past.respawns, ...Array.from({ length: missing }, () => now + RESPAWN_MS)].sort((one, other) => one - other);
  const objects = { players, monsters: past.monsters, items, respawns };
  const [before, then, after] = [new Set(itemsOf(state)), new Set(itemsOf(past)), new Set(itemsOf(objects))];
  return {
    objects,
    changes: {
      playersRestored: here.filter(({ id }) => past.players[id]).map(({ id }) => id),
      playersKept: kept.map(({ id }) => id),
      playersElsewhere: Object.keys(past.players).filter((id) => !state.players[id]),
      itemsBack: [...after].filter((id) => !before.has(id)),
      itemsGone: [...before].filter((id) => !after.has(id)),
      itemsElsewhere: [...then].filter((id) => elsewhereNow.has(id)),
    },
  };
}

/** Ids of all items on the ground and in bags; an item in two places is listed twice. */
export function itemsOf({ items, players }: Pick<WorldObjects, 'items' | 'players'>): string[] {
  return [...Object.keys(items), ...Object.values(players).flatMap(({ bag }) => bag.items.map(({ id }) => id))];
}
