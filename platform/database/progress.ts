import { eq, sql } from 'drizzle-orm';
import { bigint, integer, pgTable, primaryKey, text } from 'drizzle-orm/pg-core';
import type { Database, Transaction } from './database.ts';

/** How far each consumer group has read each partition of the log. */
export const projectionOffsets = pgTable(
  'projection_offsets',
  {
    group: text('consumer_group').notNull(),
    partition: integer('log_partition').notNull(),
    next: bigint('next_offset', { mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.group, table.partition] })],
);

/** The newest event of each zone that a group has applied: what is not above it is a repeat. */
export const projectionMarks = pgTable(
  'projection_marks',
  {
    group: text('consumer_group').notNull(),
    zone: text('zone').notNull(),
    seq: bigint('seq', { mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.group, table.zone] })],
);

export async function offsetsOf({ drizzle }: Database, group: string): Promise<Map<number, number>> {
  const rows = await drizzle.select().from(projectionOffsets).where(eq(projectionOffsets.group, group));
  return new Map(rows.map(({ partition, next }) => [partition, next]));
}

export async function marksOf({ drizzle }: Database, group: string): Promise<Map<string, number>> {
  const rows = await drizzle.select().from(projectionMarks).where(eq(projectionMarks.group, group));
  return new Map(rows.map(({ zone, seq }) => [zone, seq]));
}

export async function saveOffsets(
  transaction: Transaction,
  group: string,
  read: readonly { readonly partition: number; readonly next: number }[],
): Promise<void> {
  if (read.length === 0) return;
  await transaction
    .insert(projectionOffsets)
    .values(read.map(({ partition, next }) => ({ group, partition, next })))
    .onConflictDoUpdate({ target: [projectionOffsets.group, projectionOffsets.partition], set: { next: sql`excluded.next_offset` } });
}

export async function saveMarks(transaction: Transaction, group: string, marks: ReadonlyMap<string, number>): Promise<void> {
  if (marks.size === 0) return;
  await transaction.execute(sql`
    insert into projection_marks (consumer_group, zone, seq)
    select ${group}, * from unnest(${sql.param([...marks.keys()])}::text[], ${sql.param([...marks.values()])}::bigint[])
    on conflict (consumer_group, zone) do update set seq = excluded.seq`);
}
