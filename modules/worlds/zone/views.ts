import type { GroundItem, Monster, Player, SeenObject, Yourself } from '@millrace/contracts';
import type { World } from './world-state.ts';

/*
 * Objects as clients see them.
 */

export function seenPlayer({ id, name, position, health }: Player): SeenObject {
  return { id, kind: 'player', x: position.x, y: position.y, name, health: health.points };
}

export function seenMonster({ id, position }: Monster): SeenObject {
  return { id, kind: 'monster', x: position.x, y: position.y };
}

export function seenItem({ id, item, position }: GroundItem): SeenObject {
  return { id, kind: item, x: position.x, y: position.y };
}

export function yourselfOf({ id, name, position, motion, health, bag }: Player): Yourself {
  return {
    id,
    name,
    x: position.x,
    y: position.y,
    speed: motion.speed,
    health: health.points,
    most: health.most,
    stunnedUntil: health.stunnedUntil,
    bag: bag.items.map(({ id: item, item: kind }) => ({ id: item, item: kind })),
  };
}

/** All visible objects of a zone. */
export function objectsOf(state: World): SeenObject[] {
  return [
    ...Object.values(state.players)
      .filter(({ presence }) => presence.session !== '')
      .map(seenPlayer),
    ...Object.values(state.monsters).map(seenMonster),
    ...Object.values(state.items).map(seenItem),
  ];
}
