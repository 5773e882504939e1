import type { EventBatch, ZoneAddress } from '@millrace/kernel';
import { openShared } from '@millrace/lmdb/open-shared';
import type { KnownGroup, LoggedBatch, OpenDeadLetter } from './event-log.ts';
import type { StoredGroup } from './lmdb-consumers.ts';
import type { DeadEventKey, DeadEventPlace, StoredDeadLetter } from './lmdb-dead-letters.ts';
import { STATE } from './lmdb-log.ts';
import type { Owner } from './lmdb-writer.ts';
import type { Ends, Head } from './lmdb-writes.ts';
import { PARTITIONS, partitionIndex, type Records, shapedBy, startOf, widthOf } from './partitions.ts';

/** An event that is or was in a dead letter, with its place in the log. */
export interface DeadEvent {
  readonly group: string;
  readonly zone: ZoneAddress;
  readonly seq: number;
  readonly partition: number;
  readonly offset: number;
}

/** All that a log has, for a move to another engine. Nothing may write to the log meanwhile. */
export interface StoredLog {
  /** Offsets of the oldest event and after the newest one, by partition. */
  readonly partitions: readonly { readonly start: number; readonly end: number }[];
  /** Newest seq of each zone, also of zones whose events retention has deleted. */
  readonly heads: ReadonlyMap<ZoneAddress, number>;
  /** Index of the partition that has, or had, the events of a zone. */
  partitionOf(zone: ZoneAddress): number;
  /** Highest epoch that an owner of a shard has had. */
  readonly epoch: number;
  readonly groups: readonly KnownGroup[];
  readonly deadLetters: readonly OpenDeadLetter[];
  readonly deadEvents: readonly DeadEvent[];
  /** The batches of a partition, in order. After a repair, offsets may be missing between them. */
  batches(partition: number): Iterable<LoggedBatch>;
  close(): Promise<void>;
}

/** Opens the log in LMDB files to read it as a whole. @throws when it does not exist */
export function openStoredLog(folder: string): StoredLog {
  const root = openShared(folder, { maxDbs: 16 });
  const records = Array.from(
    { length: PARTITIONS },
    (_none, index): Records => root.openDB<EventBatch[], number>(shapedBy(`events-${index}`)),
  );
  const read = <Value, Key extends string | number | DeadEventKey>(name: string) => [...root.openDB<Value, Key>({ name }).getRange()];
  const heads = read<Head, string>('heads');
  const ends = root.openDB<Ends, string>({ name: 'state', useVersions: true }).get(STATE) ?? [];
  const owners = read<Owner, number>('owners');
  return {
    partitions: records.map((partition, index) => ({ start: startOf(partition) ?? ends[index] ?? 0, end: ends[index] ?? 0 })),
    partitionOf: partitionIndex,
    heads: new Map(heads.map(({ key, value }) => [key, value.seq])),
    epoch: [...owners, ...heads].reduce((most, { value }) => Math.max(most, value.epoch), 0),
    groups: read<StoredGroup, string>('consumers').map(({ key, value }) => ({ group: key, beyondEnd: [], ...value })),
    deadLetters: read<StoredDeadLetter, number>('dead-letters').map(({ value: { letter, batch } }) => ({ deadLetter: letter, batch })),
    deadEvents: read<DeadEventPlace, DeadEventKey>('dead-events').map(({ key: [group, zone, seq], value: { partition, offset } }) => ({
      ...{ group, zone, seq, partition, offset },
    })),
    batches: (partition) => batchesOf(records[partition] as Records, partition),
    close: () => root.close(),
  };
}

function* batchesOf(records: Records, partition: number): Generator<LoggedBatch> {
  for (const { key, value } of records.getRange()) {
    let offset = key;
    for (const batch of value) {
      const next = offset + widthOf(batch);
      yield { partition, offset, next, batch };
      offset = next;
    }
  }
}
