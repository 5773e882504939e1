import type { PlayerId } from '@millrace/contracts';
import { bigint, boolean, index, integer, jsonb, pgTable, primaryKey, text } from 'drizzle-orm/pg-core';

/*
 * Tables of the world, projected from the log. Zones never read them.
 */

const epochMs = (name: string) => bigint(name, { mode: 'number' });
const seq = bigint('seq', { mode: 'number' });

/** Every player with its last known position and status. */
export const players = pgTable(
  'players',
  {
    id: text('id').primaryKey(),
    name: text('name').notNull(),
    zone: text('zone').notNull(),
    x: integer('x').notNull(),
    y: integer('y').notNull(),
    health: integer('health').notNull(),
    awake: boolean('awake').notNull(),
    violations: integer('suspicion').notNull(),
    bag: jsonb('bag').$type<{ id: string; item: string }[]>().notNull(),
    firstSeenAt: epochMs('first_seen_at').notNull(),
    /** When it arrived in its zone; an older arrival elsewhere is ignored. */
    arrivedAt: epochMs('arrived_at').notNull(),
    changedAt: epochMs('changed_at').notNull(),
  },
  (table) => [index('players_by_name').on(table.name)],
);

/** Every step. */
export const movements = pgTable(
  'movements',
  {
    zone: text('zone').notNull(),
    seq: seq.notNull(),
    at: epochMs('at').notNull(),
    player: text('player').notNull(),
    x: integer('x').notNull(),
    y: integer('y').notNull(),
  },
  (table) => [primaryKey({ columns: [table.zone, table.seq] }), index('movements_of_player').on(table.player, table.at)],
);

/** Items picked up and used. */
export const itemHistory = pgTable(
  'item_history',
  {
    zone: text('zone').notNull(),
    seq: bigint('seq', { mode: 'number' }).notNull(),
    at: epochMs('at').notNull(),
    player: text('player').notNull(),
    item: text('item').notNull(),
    kind: text('kind').notNull(),
    what: text('what').notNull(),
  },
  (table) => [primaryKey({ columns: [table.zone, table.seq] }), index('item_history_of_player').on(table.player, table.at)],
);

/** From waking up to falling asleep. */
export const sessions = pgTable(
  'sessions',
  {
    id: text('id').primaryKey(),
    player: text('player').notNull(),
    startedAt: epochMs('started_at').notNull(),
    startedIn: text('started_in').notNull(),
    endedAt: epochMs('ended_at'),
    endedIn: text('ended_in'),
    reason: text('reason'),
  },
  (table) => [index('sessions_of_player').on(table.player, table.startedAt)],
);

/** What else changed a player: edits, violations, deaths, crossings. */
export const playerChanges = pgTable(
  'player_changes',
  {
    zone: text('zone').notNull(),
    seq: bigint('seq', { mode: 'number' }).notNull(),
    at: epochMs('at').notNull(),
    player: text('player').notNull(),
    type: text('type').notNull(),
    detail: jsonb('detail').$type<Record<string, unknown>>().notNull(),
  },
  (table) => [primaryKey({ columns: [table.zone, table.seq, table.player] }), index('player_changes_of_player').on(table.player, table.at)],
);

/** Owner of each player. Players of guests, and of programs that sign tokens themselves, have no owner. */
export const playerOwners = pgTable(
  'player_owners',
  {
    player: text('player').primaryKey().$type<PlayerId>(),
    user: text('user_id').notNull(),
    name: text('name').notNull(),
    createdAt: epochMs('created_at').notNull(),
    /** When the newest token of the player ends. */
    until: epochMs('until').notNull(),
  },
  (table) => [index('player_owners_of_user').on(table.user)],
);
