import { OffsetsChanged, type ReadRange } from '@millrace/base/offsets';
import { eq, sql } from 'drizzle-orm';
import { bigint, integer, pgTable, primaryKey, text } from 'drizzle-orm/pg-core';
import type { Database, Transaction } from './database.ts';

/** Next offset of each consumer group in each partition of the log. */
export const projectionOffsets = pgTable(
  'projection_offsets',
  {
    group: text('consumer_group').notNull(),
    partition: integer('log_partition').notNull(),
    next: bigint('next_offset', { mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.group, table.partition] })],
);

/** Seq of the newest event of each zone that a group has applied. Events up to it are repeats. */
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

/** The groups that have offsets. */
export async function groupsWithOffsets({ drizzle }: Pick<Database, 'drizzle'>): Promise<string[]> {
  const rows = await drizzle.selectDistinct({ group: projectionOffsets.group }).from(projectionOffsets);
  return rows.map(({ group }) => group);
}

export async function marksOf({ drizzle }: Database, group: string): Promise<Map<string, number>> {
  const rows = await drizzle.select().from(projectionMarks).where(eq(projectionMarks.group, group));
  return new Map(rows.map(({ zone, seq }) => [zone, seq]));
}

/** Stores the next offsets of a group. @throws OffsetsChanged when a stored offset is not the start of its range: another consumer has moved it */
export async function saveOffsets(transaction: Transaction, group: string, read: readonly ReadRange[]): Promise<void> {
  if (read.length === 0) return;
  const begun = read.filter(({ from }) => from === 0);
  if (begun.length > 0)
    await transaction
      .insert(projectionOffsets)
      .values(begun.map(({ partition }) => ({ group, partition, next: 0 })))
      .onConflictDoNothing();
  const columnOf = (of: (range: ReadRange) => number) => sql.param(read.map(of));
  const { rows } = await transaction.execute(sql`
    update projection_offsets as stored set next_offset = read.next
    from unnest(${columnOf(({ partition }) => partition)}::integer[], ${columnOf(({ from }) => from)}::bigint[], ${columnOf(({ next }) => next)}::bigint[])
      as read (log_partition, first, next)
    where stored.consumer_group = ${group} and stored.log_partition = read.log_partition and stored.next_offset = read.first
    returning stored.log_partition`);
  if (rows.length !== read.length) throw new OffsetsChanged(group);
}

export async function saveMarks(transaction: Transaction, group: string, marks: ReadonlyMap<string, number>): Promise<void> {
  if (marks.size === 0) return;
  await transaction.execute(sql`
    insert into projection_marks (consumer_group, zone, seq)
    select ${group}, * from unnest(${sql.param([...marks.keys()])}::text[], ${sql.param([...marks.values()])}::bigint[])
    on conflict (consumer_group, zone) do update set seq = excluded.seq`);
}
