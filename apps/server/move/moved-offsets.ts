import { UserError } from '@millrace/base/user-error';
import type { CopiedPlaces, LogSurvey, WantedPlaces } from '@millrace/kafka/move';
import type { KnownGroup, StoredLog } from '@millrace/log';
import type { MovePlan, PlannedGroup } from './move-state.ts';

/** Offset before all records that a shard has, if the log lacks its oldest events: such a shard does not begin at 0. */
const BEFORE_START = 0;

/** A consumer group with the offsets of its stores, by partition; null for a store without any. */
export interface GroupOffsets extends KnownGroup {
  readonly table: ReadonlyMap<number, number> | null;
  readonly series: ReadonlyMap<number, number> | null;
}

type Partitions = StoredLog['partitions'];

/**
 * The places that a move needs to know.
 * @throws UserError when a group is ahead of the log, or has not passed a gap that a repair has left
 */
export function wantedPlaces(
  from: Pick<StoredLog, 'partitions' | 'deadLetters' | 'deadEvents'>,
  groups: readonly GroupOffsets[],
  { holes }: LogSurvey,
): WantedPlaces {
  const ends = from.partitions.map(() => new Set<number>());
  const events = from.partitions.map(() => new Set<number>());
  for (const { group, beyondEnd, ...stores } of groups)
    for (const [partition, offset] of allOffsets(stores)) {
      const { start = 0, end = 0 } = from.partitions[partition] ?? {};
      // The log may have grown since the store was found to be ahead of it: it has other events at these offsets.
      const trusted = Math.min(end, beyondEnd[partition] ?? end);
      if (offset > trusted)
        throw new UserError(
          `the store of the consumer group ${group} has partition ${partition} up to offset ${offset - 1}, but the log that it read ended at ${trusted - 1}`,
          'Restore both from one backup, or delete the offsets and rows of the group, before you move the log.',
        );
      if (holes.some((hole) => hole.partition === partition && offset < hole.to))
        throw new UserError(
          `the consumer group ${group} has not passed a gap of partition ${partition}, which a repair has left`,
          `Start the server with log.engine "lmdb" and the module of the group enabled, skip the gap with POST /api/v1/consumer-groups/${group}/skip, and stop it again.`,
        );
      if (offset >= start) ends[partition]?.add(offset);
    }
  for (const { partition, offset } of [...from.deadLetters.map(({ deadLetter }) => deadLetter), ...from.deadEvents])
    if (offset >= (from.partitions[partition]?.start ?? 0)) events[partition]?.add(offset);
  return { ends, events };
}

/** The offsets of a group in the log and in its stores. */
function* allOffsets({
  offsets,
  table,
  series,
}: Pick<GroupOffsets, 'offsets' | 'table' | 'series'>): Generator<readonly [partition: number, offset: number]> {
  yield* offsets.entries();
  yield* table ?? [];
  yield* series ?? [];
}

/** The offsets of groups and dead letters in the copy. */
export function movePlan(
  { partitions }: { readonly partitions: Partitions },
  groups: readonly GroupOffsets[],
  { shards }: LogSurvey,
  places: CopiedPlaces,
  shardsOfTopic: number,
): MovePlan {
  const moved = (partition: number, offset: number, shard: number): number => {
    if (offset === 0 || offset < (partitions[partition]?.start ?? 0)) return BEFORE_START;
    const place = places.ends[partition]?.get(offset)?.get(shard);
    if (!place) throw new Error(`offset ${offset} of partition ${partition} was not looked up in shard ${shard}`);
    return place.offset;
  };
  /** @param length number of offsets: the stores of a group may have some of more partitions than the topic has shards */
  const all = (of: (partition: number) => number | undefined, length: number): number[] =>
    Array.from({ length }, (_none, shard) => {
      const partition = shards.get(shard)?.partition;
      return partition === undefined ? 0 : moved(partition, of(partition) ?? 0, shard);
    });
  const inStore = (offsets: ReadonlyMap<number, number> | null) =>
    offsets && all((partition) => offsets.get(partition), Math.max(shardsOfTopic, partitions.length));
  return {
    groups: groups.map(
      ({ group, offsets, gaps, table, series }): PlannedGroup => ({
        group,
        committed: offsets.length === 0 ? [] : all((partition) => offsets[partition], shardsOfTopic),
        table: inStore(table),
        series: inStore(series),
        gaps,
      }),
    ),
    deadEvents: places.events.map((found) => [...found]),
  };
}
