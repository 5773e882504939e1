import type { PlayerHistoryEntry, PlayerId, PlayerSession, PlayerStep, RowOrder } from '@millrace/contracts';
import type { Database } from '@millrace/database';
import { and, asc, desc, eq, gte, lte, type SQL, sql } from 'drizzle-orm';
import type { AnyPgColumn } from 'drizzle-orm/pg-core';
import { itemHistory, movements, playerChanges, players, sessions } from './tables.ts';

/** Reads the recorded history of players, including players that are offline or deleted. */

/** Ordered as JavaScript orders text, whatever the collation of the database: rows of two tables are merged here. */
const byteOrder = (zone: AnyPgColumn) => sql`${zone} COLLATE "C"`;

/** Every player’s row, for comparison with the zones. */
export function allPlayers({ drizzle }: Database) {
  return drizzle.select().from(players);
}

/** Place of a history entry in its list: time, zone, event, and table (1 for changes, 0 for items). */
export type HistoryPlace = readonly [at: number, zone: string, seq: number, table: number];
/** Place of a session in its list. */
type SessionPlace = readonly [startedAt: number, id: string];
/** Place of a step in its list. */
export type StepPlace = readonly [at: number, zone: string, seq: number];

interface PageOptions<Place> {
  /** Entries after this place only. */
  readonly after: Place | null;
  readonly limit: number;
}

export interface Placed<Row, Place> {
  readonly row: Row;
  readonly place: Place;
}

/** A query of a player’s history. */
export type PlayerQuery =
  | ({ readonly about: 'history'; readonly player: PlayerId } & PageOptions<HistoryPlace>)
  | ({ readonly about: 'sessions'; readonly player: PlayerId } & PageOptions<SessionPlace>)
  | ({
      readonly about: 'steps';
      readonly player: PlayerId;
      readonly from: number;
      readonly to: number;
      readonly order: RowOrder;
    } & PageOptions<StepPlace>);

/** The rows of a query, each with its place. */
export function readPlayer(database: Database, query: PlayerQuery): Promise<Placed<unknown, readonly (string | number)[]>[]> {
  switch (query.about) {
    case 'history':
      return historyOf(database, query.player, query);
    case 'sessions':
      return sessionsOf(database, query.player, query);
    case 'steps':
      return stepsOf(database, query.player, query);
  }
}

/** Changes and items of a player, newest first. */
async function historyOf(
  { drizzle }: Database,
  id: PlayerId,
  { after, limit }: PageOptions<HistoryPlace>,
): Promise<Placed<PlayerHistoryEntry, HistoryPlace>[]> {
  const within = (table: typeof playerChanges | typeof itemHistory, rank: number): SQL | undefined => {
    if (after === null) return eq(table.player, id);
    const [at, zone, seq, last] = after;
    const operator = rank < last ? sql`<=` : sql`<`;
    return and(eq(table.player, id), sql`(${table.at}, ${byteOrder(table.zone)}, ${table.seq}) ${operator} (${at}, ${zone}, ${seq})`);
  };
  const orderOf = (table: typeof playerChanges | typeof itemHistory) => [desc(table.at), desc(byteOrder(table.zone)), desc(table.seq)];
  const [changes, items] = await Promise.all([
    drizzle
      .select()
      .from(playerChanges)
      .where(within(playerChanges, 1))
      .orderBy(...orderOf(playerChanges))
      .limit(limit),
    drizzle
      .select()
      .from(itemHistory)
      .where(within(itemHistory, 0))
      .orderBy(...orderOf(itemHistory))
      .limit(limit),
  ]);
  const entries: Placed<PlayerHistoryEntry, HistoryPlace>[] = [
    ...changes.map(({ at, zone, seq, type, detail }) => ({
      row: { occurredAt: at, zone, type, detail: detail as Record<string, unknown> },
      place: [at, zone, seq, 1] as const,
    })),
    ...items.map(({ at, zone, seq, what, item, kind }) => ({
      row: { occurredAt: at, zone, type: what === 'used' ? 'ItemUsed' : 'ItemPickedUp', detail: { item, kind } },
      place: [at, zone, seq, 0] as const,
    })),
  ];
  return entries.sort((one, other) => comparePlaces(other.place, one.place)).slice(0, limit);
}

/** Sessions of a player, newest first. */
async function sessionsOf(
  { drizzle }: Database,
  id: PlayerId,
  { after, limit }: PageOptions<SessionPlace>,
): Promise<Placed<PlayerSession, SessionPlace>[]> {
  const found = await drizzle
    .select()
    .from(sessions)
    .where(
      and(eq(sessions.player, id), after === null ? undefined : sql`(${sessions.startedAt}, ${sessions.id}) < (${after[0]}, ${after[1]})`),
    )
    .orderBy(desc(sessions.startedAt), desc(sessions.id))
    .limit(limit);
  return found.map(({ id: session, startedAt, startedIn, endedAt, endedIn, reason }) => ({
    row: { id: session, startedAt, startedIn, endedAt, endedIn, reason },
    place: [startedAt, session] as const,
  }));
}

/** Steps of a player in a range of time (epoch ms, inclusive), in this order. */
async function stepsOf(
  { drizzle }: Database,
  id: PlayerId,
  { from, to, order, after, limit }: PageOptions<StepPlace> & { readonly from: number; readonly to: number; readonly order: RowOrder },
): Promise<Placed<PlayerStep, StepPlace>[]> {
  const [direction, comparison] = order === 'asc' ? [asc, sql`>`] : [desc, sql`<`];
  const steps = await drizzle
    .select()
    .from(movements)
    .where(
      and(
        eq(movements.player, id),
        gte(movements.at, from),
        lte(movements.at, to),
        after === null
          ? undefined
          : sql`(${movements.at}, ${movements.zone}, ${movements.seq}) ${comparison} (${after[0]}, ${after[1]}, ${after[2]})`,
      ),
    )
    .orderBy(direction(movements.at), direction(movements.zone), direction(movements.seq))
    .limit(limit);
  return steps.map(({ at, zone, seq, x, y }) => ({ row: { occurredAt: at, zone, x, y }, place: [at, zone, seq] as const }));
}

function comparePlaces([at, zone, seq, table]: HistoryPlace, [otherAt, otherZone, otherSeq, otherTable]: HistoryPlace): number {
  return at - otherAt || (zone === otherZone ? 0 : zone < otherZone ? -1 : 1) || seq - otherSeq || table - otherTable;
}
