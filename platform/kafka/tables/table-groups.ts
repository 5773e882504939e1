import type { Database, Transaction } from '@millrace/database';
import {
  EMPTY_GROUP,
  type GroupState,
  type GroupStore,
  type Heartbeat,
  type HeartbeatReply,
  heartbeat,
  StaleGeneration,
  withoutMember,
} from '@millrace/log';
import { and, eq, sql } from 'drizzle-orm';
import { logAssignments } from './tables.ts';

/** Who reads which partition of a topic, for each consumer group. Leases end by the time of the database. */
export class TableGroups implements GroupStore {
  readonly #drizzle: Database['drizzle'];
  readonly #topic: string;

  constructor({ drizzle }: Pick<Database, 'drizzle'>, topic: string) {
    this.#drizzle = drizzle;
    this.#topic = topic;
  }

  async beat(group: string, beat: Heartbeat): Promise<HeartbeatReply> {
    return this.#drizzle.transaction(async (transaction) => {
      const known = await this.#lock(transaction, group);
      const { state, reply } = heartbeat(known.state, known.now, beat);
      await this.#save(transaction, group, known.state, state);
      return reply;
    });
  }

  async leave(group: string, member: string): Promise<void> {
    await this.#drizzle.transaction(async (transaction) => {
      const { state } = await this.#lock(transaction, group);
      await this.#save(transaction, group, state, withoutMember(state, member));
    });
  }

  /** The state of a group, which no other process can change until the transaction ends; and the time, epoch ms. */
  async #lock(transaction: Transaction, group: string): Promise<{ readonly state: GroupState; readonly now: number }> {
    const isGroup = and(eq(logAssignments.topic, this.#topic), eq(logAssignments.group, group));
    const { generation, leases, partitions } = logAssignments;
    // The time may be that before the wait for the lock. Then a lease is shorter for its member too.
    const now = sql<number>`(extract(epoch from clock_timestamp()) * 1000)::float8`;
    const select = () => transaction.select({ generation, leases, partitions, now }).from(logAssignments).where(isGroup).for('update');
    const [found] = await select();
    if (found) return { state: found, now: found.now };
    await transaction
      .insert(logAssignments)
      .values({ topic: this.#topic, group, ...EMPTY_GROUP })
      .onConflictDoNothing();
    const [created] = await select();
    if (!created) throw new Error(`the consumer group ${group} was deleted meanwhile`);
    return { state: created, now: created.now };
  }

  /** The owners of thousands of partitions are not written anew with each heartbeat. */
  async #save(transaction: Transaction, group: string, before: GroupState, { generation, leases, partitions }: GroupState): Promise<void> {
    await transaction
      .update(logAssignments)
      .set(generation === before.generation ? { leases } : { generation, leases, partitions })
      .where(and(eq(logAssignments.topic, this.#topic), eq(logAssignments.group, group)));
  }
}

/**
 * Checks that partitions are still assigned as they were. Until the transaction ends, they are assigned to nobody else.
 * @param held by partition, the generation in which the writer got it
 * @throws StaleGeneration
 */
export async function requireGenerations(
  transaction: Transaction,
  { topic, group }: { readonly topic: string; readonly group: string },
  held: ReadonlyMap<number, number>,
): Promise<void> {
  const isGroup = and(eq(logAssignments.topic, topic), eq(logAssignments.group, group));
  const [found] = await transaction.select({ partitions: logAssignments.partitions }).from(logAssignments).where(isGroup).for('share');
  for (const [partition, generation] of held) {
    const newest = found?.partitions[partition]?.generation ?? 0;
    if (newest !== generation) throw new StaleGeneration(group, { partition, generation }, newest);
  }
}
