import { randomUUID } from 'node:crypto';
import { type Clock, type EventBatch, type Lease, lackingOf, type ZoneAddress } from '@millrace/kernel';
import type { StoredLog } from '@millrace/log';
import { SHARD_START } from '../reader-rule.ts';
import { BrokerError, type ShardBroker } from '../shard-broker.ts';
import { shardStart } from '../shard-reader.ts';
import { readFetched, ShardTail } from '../shard-tail.ts';
import { ShardWriter } from '../shard-writer.ts';
import { whileBrokersFail } from './retries.ts';
import type { LogSurvey } from './survey.ts';

/** Events that are appended at a time, to all shards together. */
const CHUNK_EVENTS = 4_096;
/** Shards that are claimed at a time. */
const CLAIMS_AT_A_TIME = 16;
const READ_BYTES_MAX = 2 ** 20;
const ENDLESS: Lease = { leftMs: () => Number.POSITIVE_INFINITY };

/** A topic of Kafka that becomes the copy of a log. Nothing but the copy may write to it. */
export interface CopyTarget {
  readonly broker: ShardBroker;
  readonly clock: Clock;
  readonly shards: number;
  readonly shardOf: (zone: ZoneAddress) => number;
  /** Names each claim; no two have the same name. Default: random. */
  readonly newName?: () => string;
}

/**
 * Writes all events of a log to a topic: each shard gets those of its zones in the order of the log, under an epoch above all earlier ones. It continues a
 * copy that was interrupted. A shard of a log without its oldest events does not begin at offset 0, so that who has not read those finds them missing.
 * @param onProgress called with the number of events that were read
 * @returns by shard, the offset up to which it is known to have records: a leader that tells an earlier end does not know them yet
 * @throws BrokerError when brokers fail for a minute; TooLarge
 */
export async function copyLog(
  from: StoredLog,
  to: CopyTarget,
  { shards, headsBefore }: LogSurvey,
  onProgress: (events: number) => void = () => {},
): Promise<number[]> {
  const heads = Array.from({ length: to.shards }, () => new Map<ZoneAddress, number>());
  for (const [zone, seq] of headsBefore) heads[to.shardOf(zone)]?.set(zone, seq);
  const copies = heads.map((before, shard) => {
    const partition = shards.get(shard)?.partition;
    const isCut = (partition !== undefined && (from.partitions[partition]?.start ?? 0) > 0) || [...before.values()].some((seq) => seq > 0);
    return new ShardCopy(to, shard, { heads: before, isCut, epochMin: from.epoch + 1 });
  });
  for (let first = 0; first < copies.length; first += CLAIMS_AT_A_TIME)
    await Promise.all(copies.slice(first, first + CLAIMS_AT_A_TIME).map((copy) => copy.begin()));
  for (const partition of from.partitions.keys()) {
    let chunk = new Map<number, EventBatch[]>();
    let events = 0;
    const flush = async () => {
      await Promise.all([...chunk].map(([shard, batches]) => (copies[shard] as ShardCopy).append(batches)));
      onProgress(events);
      chunk = new Map();
      events = 0;
    };
    for (const { batch } of from.batches(partition)) {
      const shard = to.shardOf(batch.zone);
      const known = chunk.get(shard);
      if (known) known.push(batch);
      else chunk.set(shard, [batch]);
      events += batch.events.length;
      if (events >= CHUNK_EVENTS) await flush();
    }
    await flush();
  }
  return Promise.all(copies.map((copy) => copy.end()));
}

interface CopiedShard {
  /** Newest seq of each zone before its oldest event. */
  readonly heads: ReadonlyMap<ZoneAddress, number>;
  /** Whether the log lacks the oldest events. */
  readonly isCut: boolean;
  readonly epochMin: number;
}

/** The copy of one shard. */
class ShardCopy {
  readonly #to: CopyTarget;
  readonly #shard: number;
  readonly #plan: CopiedShard;
  #writer: ShardWriter | null = null;
  #tail: ShardTail | null = null;

  constructor(to: CopyTarget, shard: number, plan: CopiedShard) {
    this.#to = to;
    this.#shard = shard;
    this.#plan = plan;
  }

  /** Claims the shard, and deletes what is before the first head where the log lacks its oldest events. */
  async begin(): Promise<void> {
    const { broker, clock } = this.#to;
    await whileBrokersFail(clock, async () => {
      const writer = await this.#owned();
      if (!this.#plan.isCut || (await broker.startOf(this.#shard)) > 0) return;
      await writer.beat();
      const place = await placeToCut(broker, this.#shard);
      if (place === null) throw new BrokerError('unknown', `the first head of shard ${this.#shard} is not confirmed`);
      await broker.deleteBefore(this.#shard, place);
    });
  }

  /** Appends what the shard lacks of some batches. */
  async append(batches: readonly EventBatch[]): Promise<void> {
    await whileBrokersFail(this.#to.clock, async () => {
      const writer = await this.#owned();
      const lacking = lackingOf(batches, (zone) => writer.headOf(zone));
      try {
        if (lacking.length > 0) await writer.append(lacking);
      } catch (error) {
        this.#writer = null;
        throw error;
      }
    });
  }

  /** @returns the offset after the newest record that is known to be written */
  async end(): Promise<number> {
    await this.#writer?.release();
    return this.#tail?.cursor.offset ?? 0;
  }

  async #owned(): Promise<ShardWriter> {
    if (this.#writer) return this.#writer;
    const { broker, clock, newName = randomUUID } = this.#to;
    const { heads, epochMin } = this.#plan;
    const shard = this.#shard;
    const tail = new ShardTail({ broker, shard, clock, cursor: await shardStart(broker, shard), heads });
    this.#tail = tail;
    const writer = await ShardWriter.own({ broker, shard, clock, tail, lease: ENDLESS, nonce: newName(), epochMin });
    this.#writer = writer;
    void writer.ended.then(() => {
      if (this.#writer === writer) this.#writer = null;
    });
    return writer;
  }
}

/** The newest place after the first record of a shard without events at which a reader can begin; null without any. */
async function placeToCut(broker: ShardBroker, shard: number): Promise<number | null> {
  let place: number | null = null;
  for (let cursor = SHARD_START; ; ) {
    const fetched = await broker.fetch(shard, cursor.offset, { maxBytes: READ_BYTES_MAX, waitMs: 0 });
    const next = readFetched(cursor, fetched, ({ kind }, { offset }) => {
      if (kind !== 'data' && offset > 0) place = offset;
    });
    if (next.offset === cursor.offset) return place;
    cursor = next;
  }
}
