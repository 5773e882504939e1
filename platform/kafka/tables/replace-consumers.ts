import type { Database, Transaction } from '@millrace/database';
import type { ConsumerGap, DeadEvent, OpenDeadLetter } from '@millrace/log';
import { eq, sql } from 'drizzle-orm';
import { encodeBatch, textOf } from './table-dead-letters.ts';
import { deadEvents, deadLetters, logAssignments, logConsumers, logGaps } from './tables.ts';

/** Rows of an insert at a time. A statement has at most 65,535 parameters. */
const ROWS_MAX = 1_000;

/** What a topic has besides its events, with the offsets of the topic. */
export interface TopicConsumers {
  readonly groups: readonly { readonly group: string; readonly offsets: readonly number[]; readonly gaps: readonly ConsumerGap[] }[];
  readonly deadLetters: readonly OpenDeadLetter[];
  /** Events that are or were in a dead letter. */
  readonly deadEvents: readonly DeadEvent[];
}

/** Replaces the consumer groups and dead letters of a topic. Dead letters get new ids, in the same order. */
export async function replaceConsumers(transaction: Transaction, topic: string, { groups, ...dead }: TopicConsumers): Promise<void> {
  for (const table of [logConsumers, logGaps, deadLetters, deadEvents]) await transaction.delete(table).where(eq(table.topic, topic));
  // Members of an earlier topic of this name have other partitions.
  await transaction
    .update(logAssignments)
    .set({ leases: {}, partitions: [], generation: sql`${logAssignments.generation} + 1` })
    .where(eq(logAssignments.topic, topic));
  for (const { group, offsets, gaps } of groups) {
    await transaction.insert(logConsumers).values({ topic, group, offsets });
    if (gaps.length > 0) await transaction.insert(logGaps).values(gaps.map((gap) => ({ topic, group, ...gap })));
  }
  for (const rows of chunksOf(dead.deadLetters))
    await transaction.insert(deadLetters).values(
      rows.map(({ deadLetter: { id: _id, reason, ...letter }, batch }) => ({
        ...{ topic, ...letter, reason: textOf(reason), batch: encodeBatch(batch) },
      })),
    );
  for (const rows of chunksOf(dead.deadEvents)) {
    const columnOf = (of: (event: DeadEvent) => string | number) => sql.param(rows.map(of));
    await transaction.execute(sql`
      insert into ${deadEvents} (topic, consumer_group, zone, seq, log_partition, log_offset)
      select ${topic}, * from unnest(${columnOf(({ group }) => group)}::text[], ${columnOf(({ zone }) => zone)}::text[], ${columnOf(({ seq }) => seq)}::bigint[],
        ${columnOf(({ partition }) => partition)}::integer[], ${columnOf(({ offset }) => offset)}::bigint[])`);
  }
}

/** The consumer groups of all topics in Kafka. */
export async function groupsInTables({ drizzle }: Pick<Database, 'drizzle'>): Promise<string[]> {
  const rows = await drizzle.selectDistinct({ group: logConsumers.group }).from(logConsumers);
  return rows.map(({ group }) => group);
}

function* chunksOf<T>(rows: readonly T[]): Generator<readonly T[]> {
  for (let first = 0; first < rows.length; first += ROWS_MAX) yield rows.slice(first, first + ROWS_MAX);
}
