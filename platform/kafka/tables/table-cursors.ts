import type { Database } from '@millrace/database';
import { and, desc, eq, lt, lte, sql } from 'drizzle-orm';
import type { Cursor } from '../reader-rule.ts';
import { logCursors } from './tables.ts';

/** Cursors of the shards of a topic, so that a reader does not begin at the start of the log. Two readers have the same cursor at an offset. */
export class TableCursors {
  readonly #drizzle: Database['drizzle'];
  readonly #topic: string;

  constructor({ drizzle }: Pick<Database, 'drizzle'>, topic: string) {
    this.#drizzle = drizzle;
    this.#topic = topic;
  }

  /** The stored cursor with the greatest offset up to `offset` (inclusive). */
  async nearest(shard: number, offset: number): Promise<Cursor | null> {
    const { offset: column, epoch, nonce, index } = logCursors;
    const [cursor] = await this.#drizzle
      .select({ offset: column, epoch, nonce, index })
      .from(logCursors)
      .where(and(this.#isOf(shard), lte(column, offset)))
      .orderBy(desc(column))
      .limit(1);
    return cursor ?? null;
  }

  /** Adds cursors. An offset that has a cursor keeps it. */
  async save(shard: number, cursors: readonly Cursor[]): Promise<void> {
    if (cursors.length === 0) return;
    const columnOf = (of: (cursor: Cursor) => number | string) => sql.param(cursors.map(of));
    // Arrays, because a statement has at most 65,535 parameters.
    await this.#drizzle.execute(sql`
      insert into ${logCursors} (topic, shard, log_offset, epoch, nonce, index)
      select ${this.#topic}, ${shard}::integer, * from unnest(
        ${columnOf(({ offset }) => offset)}::bigint[], ${columnOf(({ epoch }) => epoch)}::bigint[],
        ${columnOf(({ nonce }) => nonce)}::text[], ${columnOf(({ index }) => index)}::bigint[])
      on conflict do nothing`);
  }

  /** Deletes the cursors before `offset` (exclusive). */
  async forgetBefore(shard: number, offset: number): Promise<void> {
    await this.#drizzle.delete(logCursors).where(and(this.#isOf(shard), lt(logCursors.offset, offset)));
  }

  #isOf(shard: number) {
    return and(eq(logCursors.topic, this.#topic), eq(logCursors.shard, shard));
  }
}
