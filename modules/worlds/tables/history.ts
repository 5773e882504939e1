import type { PlayerId } from '@millrace/contracts';
import type { Database } from '@millrace/platform/database';
import { and, desc, eq, gte, lt, lte } from 'drizzle-orm';
import { itemHistory, movements, playerChanges, players, sessions } from './tables.ts';

/** What the tables know of a player that sleeps, moves, or is gone. */

/** Every player’s row, for comparison with the zones. */
export function allPlayers({ drizzle }: Database) {
  return drizzle.select().from(players);
}

/** Changes, items and sessions before a moment, newest first. */
export async function historyOf({ drizzle }: Database, id: PlayerId, { before, limit }: { before: number; limit: number }) {
  const [changes, items, visits] = await Promise.all([
    drizzle
      .select()
      .from(playerChanges)
      .where(and(eq(playerChanges.player, id), lt(playerChanges.at, before)))
      .orderBy(desc(playerChanges.at), desc(playerChanges.seq))
      .limit(limit),
    drizzle
      .select()
      .from(itemHistory)
      .where(and(eq(itemHistory.player, id), lt(itemHistory.at, before)))
      .orderBy(desc(itemHistory.at), desc(itemHistory.seq))
      .limit(limit),
    drizzle
      .select()
      .from(sessions)
      .where(and(eq(sessions.player, id), lt(sessions.startedAt, before)))
      .orderBy(desc(sessions.startedAt))
      .limit(limit),
  ]);
  const lines = [
    ...changes.map(({ at, zone, type, detail }) => ({ at, zone, type, detail: detail as Record<string, unknown> })),
    ...items.map(({ at, zone, what, item, kind }) => ({
      at,
      zone,
      type: what === 'used' ? 'ItemUsed' : 'ItemPickedUp',
      detail: { item, kind },
    })),
  ];
  return {
    lines: lines.sort((one, other) => other.at - one.at).slice(0, limit),
    sessions: visits.map(({ id: session, startedAt, startedIn, endedAt, endedIn, reason }) => ({
      session,
      startedAt,
      startedIn,
      endedAt,
      endedIn,
      reason,
    })),
  };
}

/** A player’s steps in a stretch of time, oldest first; the newest of them when there are more than `limit`. */
export async function stepsOf({ drizzle }: Database, id: PlayerId, { from, to, limit }: { from: number; to: number; limit: number }) {
  const steps = await drizzle
    .select({ at: movements.at, zone: movements.zone, x: movements.x, y: movements.y })
    .from(movements)
    .where(and(eq(movements.player, id), gte(movements.at, from), lte(movements.at, to)))
    .orderBy(desc(movements.at), desc(movements.seq))
    .limit(limit);
  return steps.reverse();
}
