import type { FollowedPart, LogPosition, ShardPlace, ZoneAddress } from '@millrace/kernel';
import type { Database } from 'lmdb';
import type { EventLog } from './event-log.ts';
import type { Head } from './lmdb-writes.ts';
import { partitionIndex, type Records, startOf } from './partitions.ts';

/** Events of a read, about. */
const READ_EVENTS = 1_024;

/** Parts of a log in LMDB whose shards are followed. */
interface FollowedLog {
  readonly log: Pick<EventLog, 'ends' | 'onAppended' | 'readFrom' | 'shardOf'>;
  readonly records: readonly Records[];
  readonly heads: Database<Head, string>;
}

/** A place of a shard; see `Journal`. */
export async function placeOf({ log, heads }: FollowedLog, shard: number): Promise<ShardPlace> {
  // Before the heads, so that these are not older.
  const ends = await log.ends();
  const found = new Map<ZoneAddress, number>();
  for (const { key, value } of heads.getRange()) if (log.shardOf(key) === shard) found.set(key, value.seq);
  const [zone] = found.keys();
  return { position: zone === undefined ? null : (ends[partitionIndex(zone)] ?? 0), heads: found };
}

/** The batches of a shard as they become durable; see `Journal`. @throws OffsetOutOfRange */
export async function* followShard(
  { log, records, heads }: FollowedLog,
  shard: number,
  from: readonly (LogPosition | null)[],
  signal: AbortSignal,
): AsyncIterable<FollowedPart> {
  const appends = new Appends(log, signal);
  try {
    const partition = await partitionOf(shard, () => heads.getKeys(), log, appends);
    const ofPartition = partition === null ? undefined : records[partition];
    if (partition === null || !ofPartition) return;
    const start = startOf(ofPartition) ?? (await log.ends())[partition] ?? 0;
    // Another position is one in a log of another kind.
    const earliest = Math.min(...from.map((position) => (typeof position === 'number' ? position : 0)));
    for (let offset = Math.max(start, earliest); !signal.aborted; ) {
      const seen = appends.count;
      // First, because it makes all appends visible.
      const { [partition]: end = 0 } = await log.ends();
      const { batches, next } = await log.readFrom(partition, offset, READ_EVENTS);
      // Records have several batches, and are found by their first offset.
      const position = offset;
      const ofShard = batches.filter(({ batch }) => log.shardOf(batch.zone) === shard).map(({ batch }) => ({ batch, position }));
      yield { batches: ofShard, lag: Math.max(0, (end ?? next) - next) };
      const isAtEnd = next === offset;
      offset = next;
      if (isAtEnd) await appends.after(seen);
    }
  } finally {
    appends.end();
  }
}

/** The partition that has the zones of a shard; null when the signal aborts before the shard has any. */
async function partitionOf(
  shard: number,
  zones: () => Iterable<ZoneAddress>,
  log: FollowedLog['log'],
  appends: Appends,
): Promise<number | null> {
  while (!appends.isEnded) {
    const seen = appends.count;
    // Makes appends of other processes visible.
    await log.ends();
    for (const zone of zones()) if (log.shardOf(zone) === shard) return partitionIndex(zone);
    await appends.after(seen);
  }
  return null;
}

/** Counts the appends to a log, until a signal aborts. */
class Appends {
  count = 0;
  readonly #signal: AbortSignal;
  readonly #unsubscribe: () => void;
  #changed = Promise.withResolvers<void>();

  constructor(log: FollowedLog['log'], signal: AbortSignal) {
    this.#signal = signal;
    this.#unsubscribe = log.onAppended(() => {
      this.count++;
      this.#wake();
    });
    signal.addEventListener('abort', this.#wake);
  }

  get isEnded(): boolean {
    return this.#signal.aborted;
  }

  /** Resolves when there are more appends than `count`, or the signal aborts. */
  async after(count: number): Promise<void> {
    while (this.count === count && !this.isEnded) await this.#changed.promise;
  }

  end(): void {
    this.#unsubscribe();
    this.#signal.removeEventListener('abort', this.#wake);
  }

  readonly #wake = () => {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  };
}
