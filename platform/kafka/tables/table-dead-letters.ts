import type { DeadLetter } from '@millrace/contracts';
import type { Database, Transaction } from '@millrace/database';
import type { EventBatch } from '@millrace/kernel';
import type { DeadLetterBox, OpenDeadLetter } from '@millrace/log';
import { and, count, eq, getTableColumns, sql } from 'drizzle-orm';
import { Packr } from 'msgpackr';
import { requireGenerations } from './table-groups.ts';
import { deadEvents, deadLetters } from './tables.ts';

/** Maximum number of dead letters of a topic. A consumer group that rejects everything stops here, before its dead letters fill the disk. */
const DEAD_LETTERS_MAX = 10_000;
/** First key of the advisory locks under which dead letters are put, one for each topic. An arbitrary number. */
const PUT_LOCK = 7_190_311;

/** Plain MessagePack maps, as in the records of the log. */
const packr = new Packr({ useRecords: false });

const { topic: _topic, batch: BATCH, ...LETTER } = getTableColumns(deadLetters);

/** Seqs of the dead events of a group, by zone. */
type DeadSeqs = Map<string, Set<number>>;

/**
 * Dead letters of a topic. Only the process that has a partition may put its dead letters, because `wasPut` answers from memory. Call `reload` when the
 * process gets partitions.
 */
export class TableDeadLetters implements DeadLetterBox {
  readonly #drizzle: Database['drizzle'];
  readonly #topic: string;
  readonly #max: number;
  /** By group, from the first question on. Only reactors ask, and they put single events, so it is as small as the number of their dead letters. */
  readonly #known = new Map<string, Promise<DeadSeqs>>();

  constructor({ drizzle }: Pick<Database, 'drizzle'>, topic: string, max = DEAD_LETTERS_MAX) {
    this.#drizzle = drizzle;
    this.#topic = topic;
    this.#max = max;
  }

  async put(deadLetter: Omit<DeadLetter, 'id'>, batch: EventBatch, generation?: number): Promise<void> {
    const { group, zone, partition } = deadLetter;
    try {
      await this.#drizzle.transaction(async (transaction) => {
        const held = new Map(generation === undefined ? [] : [[partition, generation]]);
        if (held.size > 0) await requireGenerations(transaction, { topic: this.#topic, group }, held);
        await this.#put(transaction, deadLetter, batch);
      });
    } catch (error) {
      // The transaction may be committed although its answer is lost.
      this.#known.delete(group);
      throw error;
    }
    const known = await this.#known.get(group)?.catch(() => undefined);
    for (const [index] of batch.events.entries()) if (known) addTo(known, zone, batch.firstSeq + index);
  }

  /** Forgets the events before the start offset of their partition, which retention has deleted. */
  async prune(startOf: readonly number[]): Promise<void> {
    const { rowCount } = await this.#drizzle.execute(sql`
      delete from ${deadEvents} as event using unnest(${sql.param([...startOf])}::bigint[]) with ordinality as start (log_offset, position)
      where event.topic = ${this.#topic} and event.log_partition = start.position - 1 and event.log_offset < start.log_offset`);
    if (rowCount !== 0) this.#known.clear();
  }

  async has(group: string, zone: string, seq: number): Promise<boolean> {
    const { topic, group: ofGroup, zone: ofZone, seq: first } = deadLetters;
    const isOf = and(eq(topic, this.#topic), eq(ofGroup, group), eq(ofZone, zone), eq(first, seq));
    const found = await this.#drizzle.select({ id: deadLetters.id }).from(deadLetters).where(isOf).limit(1);
    return found.length > 0;
  }

  async wasPut(group: string, zone: string, seq: number): Promise<boolean> {
    const known = await (this.#known.get(group) ?? this.#load(group));
    return known.get(zone)?.has(seq) ?? false;
  }

  reload(group: string): void {
    this.#known.delete(group);
  }

  async list(group?: string): Promise<DeadLetter[]> {
    const isOfGroup = group === undefined ? undefined : eq(deadLetters.group, group);
    const isListed = and(eq(deadLetters.topic, this.#topic), isOfGroup);
    const rows = await this.#drizzle.select(LETTER).from(deadLetters).where(isListed).orderBy(deadLetters.id);
    return rows.map(deadLetterOf);
  }

  async replace(id: number, batch: EventBatch): Promise<void> {
    await this.#drizzle
      .update(deadLetters)
      .set({ batch: encodeBatch(batch) })
      .where(this.#isLetter(id));
  }

  async count(): Promise<number> {
    return countOf(this.#drizzle, this.#topic);
  }

  async open(id: number): Promise<OpenDeadLetter | undefined> {
    const [row] = await this.#drizzle.select({ letter: LETTER, batch: BATCH }).from(deadLetters).where(this.#isLetter(id));
    return row && { deadLetter: deadLetterOf(row.letter), batch: packr.unpack(row.batch) as EventBatch };
  }

  async remove(id: number): Promise<void> {
    await this.#drizzle.delete(deadLetters).where(this.#isLetter(id));
  }

  async #put(transaction: Transaction, deadLetter: Omit<DeadLetter, 'id'>, batch: EventBatch): Promise<void> {
    const { group, zone, partition, offset } = deadLetter;
    // Processes that put at the same time would all count less than the maximum.
    await transaction.execute(sql`select pg_advisory_xact_lock(${PUT_LOCK}::integer, hashtext(${this.#topic}))`);
    if ((await countOf(transaction, this.#topic)) >= this.#max)
      throw new Error(`${this.#max} dead letters wait, the maximum. Replay or delete some (GET /api/v1/dead-letters lists them).`);
    await transaction
      .insert(deadLetters)
      .values({ ...deadLetter, topic: this.#topic, reason: textOf(deadLetter.reason), batch: encodeBatch(batch) });
    const last = batch.firstSeq + batch.events.length - 1;
    await transaction.execute(sql`
      insert into ${deadEvents} (topic, consumer_group, zone, seq, log_partition, log_offset)
      select ${this.#topic}, ${group}, ${zone}, seq, ${partition}::integer, ${offset}::bigint
      from generate_series(${batch.firstSeq}::bigint, ${last}::bigint) as seq
      on conflict (topic, consumer_group, zone, seq) do update set log_partition = excluded.log_partition, log_offset = excluded.log_offset`);
  }

  #load(group: string): Promise<DeadSeqs> {
    const loaded = this.#readEvents(group);
    this.#known.set(group, loaded);
    // The next question tries again.
    loaded.catch(() => {
      if (this.#known.get(group) === loaded) this.#known.delete(group);
    });
    return loaded;
  }

  async #readEvents(group: string): Promise<DeadSeqs> {
    const rows = await this.#drizzle
      .select({ zone: deadEvents.zone, seq: deadEvents.seq })
      .from(deadEvents)
      .where(and(eq(deadEvents.topic, this.#topic), eq(deadEvents.group, group)));
    const seqs: DeadSeqs = new Map();
    for (const { zone, seq } of rows) addTo(seqs, zone, seq);
    return seqs;
  }

  #isLetter(id: number) {
    return and(eq(deadLetters.topic, this.#topic), eq(deadLetters.id, id));
  }
}

function addTo(seqs: DeadSeqs, zone: string, seq: number): void {
  const ofZone = seqs.get(zone);
  if (ofZone) ofZone.add(seq);
  else seqs.set(zone, new Set([seq]));
}

async function countOf(statements: Pick<Transaction, 'select'>, topic: string): Promise<number> {
  const [row] = await statements.select({ n: count() }).from(deadLetters).where(eq(deadLetters.topic, topic));
  return row?.n ?? 0;
}

/** A text for PostgreSQL, which has no NUL in texts. An error message may have one, from a value that it names. */
export function textOf(reason: string): string {
  return reason.replaceAll('\0', '\ufffd');
}

export function encodeBatch(batch: EventBatch): Buffer {
  // The encoder reuses its buffer.
  return Buffer.from(packr.pack(batch));
}

/** A dead letter without the columns that are null. */
function deadLetterOf({ resumeFrom, ...letter }: Omit<DeadLetter, 'resumeFrom'> & { readonly resumeFrom: number | null }): DeadLetter {
  return resumeFrom === null ? letter : { ...letter, resumeFrom };
}
