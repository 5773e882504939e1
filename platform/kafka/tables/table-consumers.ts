import type { Database, Transaction } from '@millrace/database';
import { advancedOffsets, type ConsumerGap, type ConsumerRegistry, type KnownGroup, type ReadRange } from '@millrace/log';
import { and, eq, sql } from 'drizzle-orm';
import { requireGenerations } from './table-groups.ts';
import { logConsumers, logGaps } from './tables.ts';

/** Number of newest gaps that are kept of a group. */
const GAPS_MAX = 100;

/** Offsets that were noted. */
interface Noted {
  readonly key: string;
  /** Whether stored offsets have them. */
  isIn(stored: readonly number[]): boolean;
}

/** Offsets and gaps of the consumer groups of a topic. Any number of processes may use it at the same time. */
export class TableConsumers implements ConsumerRegistry {
  readonly #drizzle: Database['drizzle'];
  readonly #topic: string;
  /** By group: the offsets that this instance has noted last. Missing when the stored ones may be others. */
  readonly #noted = new Map<string, Noted>();
  /** By group: resolves when its newest write has ended. */
  readonly #turns = new Map<string, Promise<void>>();

  constructor({ drizzle }: Pick<Database, 'drizzle'>, topic: string) {
    this.#drizzle = drizzle;
    this.#topic = topic;
  }

  async note(group: string, offsets: readonly number[], held?: ReadonlyMap<number, number>): Promise<void> {
    const noted = notedOf(offsets, held);
    await this.#inTurn(group, async () => {
      // Unchanged offsets need no write.
      if (this.#noted.get(group)?.key === noted.key) return;
      // A write whose answer is lost may have changed the row.
      this.#noted.delete(group);
      if (held) await this.#drizzle.transaction((transaction) => this.#noteHeld(transaction, group, offsets, held));
      else
        await this.#drizzle
          .insert(logConsumers)
          .values({ topic: this.#topic, group, offsets })
          .onConflictDoUpdate({ target: [logConsumers.topic, logConsumers.group], set: { offsets } });
      this.#noted.set(group, noted);
    });
  }

  async advance(group: string, read: readonly ReadRange[], initial: readonly number[]): Promise<void> {
    await this.#inTurn(group, async () => {
      this.#noted.delete(group);
      await this.#change(group, (saved) => advancedOffsets(group, saved, read, initial));
    });
  }

  async remove(group: string): Promise<void> {
    await this.#inTurn(group, async () => {
      this.#noted.delete(group);
      await this.#drizzle.transaction(async (transaction) => {
        // The group first, as in `recordGap`: its lock keeps other processes from adding gaps.
        await transaction.delete(logConsumers).where(and(eq(logConsumers.topic, this.#topic), eq(logConsumers.group, group)));
        await transaction.delete(logGaps).where(and(eq(logGaps.topic, this.#topic), eq(logGaps.group, group)));
      });
    });
  }

  async groups(): Promise<KnownGroup[]> {
    return this.#read(null);
  }

  async find(group: string): Promise<KnownGroup | undefined> {
    const [known] = await this.#read(group);
    // Another process has removed the group, or noted its offsets.
    if (!known || !this.#noted.get(group)?.isIn(known.offsets)) this.#noted.delete(group);
    return known;
  }

  async noteBeyondEnd(group: string, ends: readonly (number | null)[]): Promise<void> {
    const isAhead = ends.some((end) => end !== null);
    if (isAhead) {
      await this.#drizzle
        .insert(logConsumers)
        .values({ topic: this.#topic, group, beyondEnd: ends })
        .onConflictDoUpdate({
          target: [logConsumers.topic, logConsumers.group],
          set: { beyondEnd: ends },
          setWhere: sql`${logConsumers.beyondEnd} <> excluded.beyond_end`,
        });
      return;
    }
    const isOther = sql`${logConsumers.beyondEnd} <> '[]'`;
    await this.#drizzle
      .update(logConsumers)
      .set({ beyondEnd: [] })
      .where(and(eq(logConsumers.topic, this.#topic), eq(logConsumers.group, group), isOther));
  }

  async recordGap(group: string, gap: ConsumerGap): Promise<void> {
    await this.#drizzle.transaction(async (transaction) => {
      // Registers a new group. The update of a known one locks it, so that the gaps of a group are added one after the other.
      await transaction
        .insert(logConsumers)
        .values({ topic: this.#topic, group })
        .onConflictDoUpdate({ target: [logConsumers.topic, logConsumers.group], set: { topic: this.#topic } });
      const { partition, from, to, at } = gap;
      await transaction.insert(logGaps).values({ topic: this.#topic, group, partition, from, to, at });
      await transaction.execute(sql`
        delete from ${logGaps} where topic = ${this.#topic} and consumer_group = ${group} and id <=
          (select id from ${logGaps} where topic = ${this.#topic} and consumer_group = ${group} order by id desc offset ${GAPS_MAX}::integer limit 1)`);
    });
  }

  async #noteHeld(transaction: Transaction, group: string, offsets: readonly number[], held: ReadonlyMap<number, number>): Promise<void> {
    if (held.size > 0) await requireGenerations(transaction, { topic: this.#topic, group }, held);
    await this.#changeIn(transaction, group, (saved) =>
      Array.from({ length: Math.max(saved.length, offsets.length) }, (_none, partition) => {
        const own = offsets[partition] ?? 0;
        return held.has(partition) ? own : (saved[partition] ?? own);
      }),
    );
  }

  async #change(group: string, change: (saved: readonly number[]) => number[]): Promise<void> {
    await this.#drizzle.transaction((transaction) => this.#changeIn(transaction, group, change));
  }

  /** Changes the offsets of a group in one transaction. Registers a new group. */
  async #changeIn(transaction: Transaction, group: string, change: (saved: readonly number[]) => number[]): Promise<void> {
    const isGroup = and(eq(logConsumers.topic, this.#topic), eq(logConsumers.group, group));
    await transaction.insert(logConsumers).values({ topic: this.#topic, group }).onConflictDoNothing();
    const [saved] = await transaction.select({ offsets: logConsumers.offsets }).from(logConsumers).where(isGroup).for('update');
    if (!saved) throw new Error(`the consumer group ${group} was removed meanwhile`);
    await transaction
      .update(logConsumers)
      .set({ offsets: change(saved.offsets) })
      .where(isGroup);
  }

  /** A group, or all of them, as of one moment. Ordered by name in bytes, whatever the locale of the database. */
  async #read(group: string | null): Promise<KnownGroup[]> {
    const { rows } = await this.#drizzle.execute<KnownGroup & Record<string, unknown>>(sql`
      select consumer_group as group, offsets, beyond_end as "beyondEnd", coalesce(
        (select jsonb_agg(jsonb_build_object('partition', log_partition, 'from', from_offset, 'to', to_offset, 'at', at) order by id)
          from ${logGaps} as gap where gap.topic = known.topic and gap.consumer_group = known.consumer_group), '[]') as gaps
      from ${logConsumers} as known
      where topic = ${this.#topic} ${group === null ? sql`` : sql`and consumer_group = ${group}`}
      order by consumer_group collate "C"`);
    return rows;
  }

  /** Runs the writes of a group one after the other: concurrent statements might store older offsets last. */
  async #inTurn(group: string, write: () => Promise<void>): Promise<void> {
    const turn = (this.#turns.get(group) ?? Promise.resolve()).then(write);
    this.#turns.set(
      group,
      turn.catch(() => {}),
    );
    await turn;
  }
}

function notedOf(offsets: readonly number[], held: ReadonlyMap<number, number> | undefined): Noted {
  if (!held) return { key: String(offsets), isIn: (stored) => String(stored) === String(offsets) };
  const own = [...held].map(([partition, generation]) => ({ partition, generation, offset: offsets[partition] ?? 0 }));
  return { key: JSON.stringify(own), isIn: (stored) => own.every(({ partition, offset }) => stored[partition] === offset) };
}
