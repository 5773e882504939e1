import { type Clock, type EventBatch, lastSeqOf, type ZoneAddress } from '@millrace/kernel';
import { PassedRange, type ReadBatch } from './indexed-ranges.ts';
import { afterRecord, type Cursor, isValid } from './reader-rule.ts';
import { BrokerError, type Fetched, type ShardBroker } from './shard-broker.ts';
import { type DataRecord, decodeRecord, type ShardRecord } from './shard-records.ts';

const FETCH_BYTES_MAX = 4 * 2 ** 20;
const FETCH_WAIT_MS = 100;
/** Time limit until the brokers give the next record that they have confirmed, ms. */
const PROGRESS_MS_MAX = 5_000;

/**
 * Calls back for each valid record of a fetch, with the cursor before it.
 * @returns the cursor after the last record
 * @throws BrokerError `out-of-range` when records at the cursor were deleted: a claim may have been among them, so what follows cannot be judged
 */
export function readFetched(from: Cursor, { records, start }: Fetched, onValid: (record: ShardRecord, at: Cursor) => void): Cursor {
  if (from.offset < start) throw new BrokerError('out-of-range', `the shard begins at offset ${start}; offset ${from.offset} was deleted`);
  let cursor = from;
  for (const { offset, value } of records) {
    // Brokers return whole batches: the first records may be before the requested offset. Offsets may have holes.
    if (offset < cursor.offset) continue;
    const at = { ...cursor, offset };
    const record = decodeRecord(value);
    if (record !== null && isValid(record, at)) onValid(record, at);
    cursor = afterRecord(record, at);
  }
  return cursor;
}

/** The end of a shard as its owner knows it: a cursor, and the newest seq of each zone before it. */
export class ShardTail {
  cursor: Cursor;
  readonly #broker: ShardBroker;
  readonly #shard: number;
  readonly #clock: Clock;
  readonly #heads: Map<ZoneAddress, number>;
  readonly #onBatch: (batch: EventBatch) => void;
  readonly #onPassed: (batches: readonly ReadBatch[], range: PassedRange) => void;

  constructor(parts: {
    readonly broker: ShardBroker;
    readonly shard: number;
    readonly clock: Clock;
    readonly cursor: Cursor;
    /** Newest recorded seq of each zone before the cursor. */
    readonly heads: ReadonlyMap<ZoneAddress, number>;
    /** Called for each valid batch that was read. */
    readonly onBatch?: (batch: EventBatch) => void;
    /** Called for records that the cursor has passed, with the valid batches among them. */
    readonly onPassed?: (batches: readonly ReadBatch[], range: PassedRange) => void;
  }) {
    this.#broker = parts.broker;
    this.#shard = parts.shard;
    this.#clock = parts.clock;
    this.cursor = parts.cursor;
    this.#heads = new Map(parts.heads);
    this.#onBatch = parts.onBatch ?? (() => {});
    this.#onPassed = parts.onPassed ?? (() => {});
  }

  /** Newest recorded seq of a zone; 0 without any. */
  headOf(zone: ZoneAddress): number {
    return this.#heads.get(zone) ?? 0;
  }

  place(): { cursor: Cursor; heads: ReadonlyMap<ZoneAddress, number> } {
    return { cursor: this.cursor, heads: new Map(this.#heads) };
  }

  /** Reads to the newest replicated record. */
  async readToEnd(): Promise<void> {
    const { highWatermark } = await this.#fetch(0);
    await this.readTo(highWatermark);
  }

  /** Reads at least the records before `end`. @throws BrokerError when they do not come in time */
  async readTo(end: number): Promise<void> {
    let progressAt = this.#clock.elapsed();
    while (this.cursor.offset < end) {
      const before = this.cursor.offset;
      await this.#fetch(FETCH_WAIT_MS);
      if (this.cursor.offset > before) progressAt = this.#clock.elapsed();
      else if (this.#clock.elapsed() - progressAt > PROGRESS_MS_MAX)
        throw new BrokerError(
          'unknown',
          `the brokers do not give offset ${before} of shard ${this.#shard}, although they have confirmed ${end - 1}`,
        );
    }
  }

  /** Notes records that are known to stand at the cursor. */
  passed(records: readonly ShardRecord[]): void {
    const range = new PassedRange(this.cursor);
    const batches: ReadBatch[] = [];
    for (const record of records) {
      if (record.kind === 'data') {
        this.#note(record);
        batches.push({ at: this.cursor, batch: record.batch });
      }
      range.note(record, this.cursor);
      this.cursor = afterRecord(record, this.cursor);
    }
    range.end = this.cursor;
    this.#onPassed(batches, range);
  }

  async #fetch(waitMs: number): Promise<Fetched> {
    const fetched = await this.#broker.fetch(this.#shard, this.cursor.offset, { maxBytes: FETCH_BYTES_MAX, waitMs });
    const range = new PassedRange(this.cursor);
    const batches: ReadBatch[] = [];
    this.cursor = readFetched(this.cursor, fetched, (record, at) => {
      range.note(record, at);
      if (record.kind !== 'data') return;
      this.#note(record);
      this.#onBatch(record.batch);
      batches.push({ at, batch: record.batch });
    });
    range.end = this.cursor;
    this.#onPassed(batches, range);
    return fetched;
  }

  /** @throws Error when events are missing before the batch: no owner writes such a batch */
  #note({ batch }: DataRecord): void {
    const head = this.headOf(batch.zone);
    if (batch.firstSeq > head + 1)
      throw new Error(`shard ${this.#shard} lacks the events ${head + 1} to ${batch.firstSeq - 1} of ${batch.zone}`);
    this.#heads.set(batch.zone, Math.max(head, lastSeqOf(batch)));
  }
}
