import { type Clock, type FollowedPart, lastSeqOf, type ZoneAddress } from '@millrace/kernel';
import type { Cursor } from './reader-rule.ts';
import type { ShardBroker } from './shard-broker.ts';
import { readShard } from './shard-reader.ts';
import type { ZoneIndex } from './zone-index.ts';

/** Size of a read, bytes: the zones of the host run between two of them. */
const READ_BYTES_MAX = 2 ** 19;
/** Time between two reads at the end of the shard, ms. A claim reads what a follower lacks, so a shorter time would gain little. */
const POLL_MS = 250;

interface Followed {
  readonly broker: ShardBroker;
  readonly shard: number;
  readonly clock: Clock;
  readonly index?: ZoneIndex | undefined;
  /** A place, and the newest seq of each zone before it. */
  readonly known: { readonly at: Cursor; readonly heads: ReadonlyMap<ZoneAddress, number> };
  /** Called when the follower has passed that place, with the next one, whose heads it continues to change. */
  readonly onPlace: (place: { readonly at: Cursor; readonly heads: ReadonlyMap<ZoneAddress, number> }) => void;
}

/**
 * The valid batches of a shard from a cursor on, as they become durable.
 * @throws BrokerError; `out-of-range` when the next records were deleted
 */
export async function* followShard(followed: Followed, from: Cursor, signal: AbortSignal): AsyncIterable<FollowedPart> {
  const { broker, shard, clock, index, known, onPlace } = followed;
  const heads = new Map(known.heads);
  for (let cursor = from; !signal.aborted; ) {
    const { batches, next, lag, range } = await readShard(broker, shard, cursor, { maxBytes: READ_BYTES_MAX, waitMs: 0 });
    index?.passed(shard, batches, range);
    for (const { batch } of batches) heads.set(batch.zone, lastSeqOf(batch));
    // Before that place, the heads are partly older and partly newer ones.
    if (next.offset >= known.at.offset) onPlace({ at: next, heads });
    yield { batches: batches.map(({ batch, at }) => ({ batch, position: at })), lag };
    const isAtEnd = lag === 0 || next.offset === cursor.offset;
    cursor = next;
    if (isAtEnd) await pause(clock, signal);
  }
}

/** Resolves at the time of the next read, or when the signal aborts. */
function pause(clock: Clock, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const cancel = clock.after(POLL_MS, end);
    signal.addEventListener('abort', end);
  });
}
