import type { GroupState } from '@millrace/log';
import { bigint, bigserial, customType, index, integer, jsonb, pgTable, primaryKey, text } from 'drizzle-orm/pg-core';

/*
 * Tables of the topics whose log is Kafka. Times are epoch ms.
 */

const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' });
const whole = (name: string) => bigint(name, { mode: 'number' });
const group = text('consumer_group').notNull();
const logPartition = integer('log_partition').notNull();
const logOffset = whole('log_offset').notNull();

/** Registered consumer groups. */
export const logConsumers = pgTable(
  'log_consumers',
  {
    topic: text('topic').notNull(),
    group,
    /** By partition; empty while the group has saved none. */
    offsets: jsonb('offsets').$type<readonly number[]>().notNull().default([]),
    /** By partition; empty unless the store of the group is ahead of the log. */
    beyondEnd: jsonb('beyond_end').$type<readonly (number | null)[]>().notNull().default([]),
  },
  (table) => [primaryKey({ columns: [table.topic, table.group] })],
);

/** The processes that run a group, and who has which partition. It stays when the group is unregistered: generations never go back. */
export const logAssignments = pgTable(
  'log_assignments',
  {
    topic: text('topic').notNull(),
    group,
    generation: whole('generation').notNull(),
    leases: jsonb('leases').$type<GroupState['leases']>().notNull(),
    partitions: jsonb('partitions').$type<GroupState['partitions']>().notNull(),
  },
  (table) => [primaryKey({ columns: [table.topic, table.group] })],
);

/** Ranges that a group has skipped, the newest with the greatest id. */
export const logGaps = pgTable(
  'log_gaps',
  {
    id: bigserial('id', { mode: 'number' }).primaryKey(),
    topic: text('topic').notNull(),
    group,
    partition: logPartition,
    from: whole('from_offset').notNull(),
    to: whole('to_offset').notNull(),
    at: whole('at').notNull(),
  },
  (table) => [index('log_gaps_of_group').on(table.topic, table.group, table.id)],
);

/** Dead letters that wait, each with its batch in MessagePack. */
export const deadLetters = pgTable(
  'dead_letters',
  {
    id: bigserial('id', { mode: 'number' }).primaryKey(),
    topic: text('topic').notNull(),
    group,
    partition: logPartition,
    offset: logOffset,
    zone: text('zone').notNull(),
    seq: whole('seq').notNull(),
    reason: text('reason').notNull(),
    createdAt: whole('created_at').notNull(),
    resumeFrom: integer('resume_from'),
    batch: bytea('batch').notNull(),
  },
  (table) => [index('dead_letters_of_zone').on(table.topic, table.group, table.zone, table.seq)],
);

/** Every event that was ever in a dead letter, until retention deletes the event. */
export const deadEvents = pgTable(
  'dead_events',
  {
    topic: text('topic').notNull(),
    group,
    zone: text('zone').notNull(),
    seq: whole('seq').notNull(),
    partition: logPartition,
    offset: logOffset,
  },
  (table) => [primaryKey({ columns: [table.topic, table.group, table.zone, table.seq] })],
);

/** Places of a shard at which a reader can begin. */
export const logCursors = pgTable(
  'log_cursors',
  {
    topic: text('topic').notNull(),
    shard: integer('shard').notNull(),
    offset: logOffset,
    epoch: whole('epoch').notNull(),
    nonce: text('nonce').notNull(),
    index: whole('index').notNull(),
  },
  (table) => [primaryKey({ columns: [table.topic, table.shard, table.offset] })],
);
