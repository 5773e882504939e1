import type { PlayerSummary } from '@millrace/contracts';

/** Sort key of a player in the list: violations, name and id. */
export type PlayerPlace = readonly [violations: number, name: string, id: string];

export const placeOf = ({ violations, name, id }: PlayerSummary): PlayerPlace => [violations, name, id];

/** Order of player lists: most suspicious first, then by name and id. */
export function comparePlayers(one: PlayerSummary, other: PlayerSummary): number {
  return comparePlaces(placeOf(one), placeOf(other));
}

/**
 * The first players of a list after a sort key, in order. Each zone returns up to `limit` of its own, so the first of all zones are among them.
 * @param after null for the beginning of the list
 */
export function firstPlayers(players: readonly PlayerSummary[], after: PlayerPlace | null, limit: number): PlayerSummary[] {
  const behind = after === null ? [...players] : players.filter((player) => comparePlaces(placeOf(player), after) > 0);
  return behind.sort(comparePlayers).slice(0, limit);
}

function comparePlaces([violations, name, id]: PlayerPlace, [otherViolations, otherName, otherId]: PlayerPlace): number {
  return otherViolations - violations || compareText(name, otherName) || compareText(id, otherId);
}

const compareText = (one: string, other: string) => (one < other ? -1 : one > other ? 1 : 0);
