import assert from 'node:assert/strict';
import { seedOf } from '@millrace/base/random';
import type { TopicBroker } from '@millrace/kafka';
import type { EventBatch, ShardWriter } from '@millrace/kernel';
import { type EventLog, OffsetOutOfRange, openLmdbLog, openSpools, type StoredLog } from '@millrace/log';
import fc from 'fast-check';

/*
 * Random histories of a log in LMDB that is moved to simulated brokers.
 */

export const SHARDS = 8;
export const ZONES = Array.from({ length: 12 }, (_none, index) => `zone/${index}`);
const GROUPS = ['fast', 'slow', 'late'];
export const ENDLESS = { leftMs: () => Number.POSITIVE_INFINITY };
export const shardOf = (zone: string) => seedOf(zone) % SHARDS;

/** The process that moves the log has ended. */
export class Interrupted extends Error {}

export interface History {
  readonly rounds: readonly {
    readonly batches: readonly { readonly zone: number; readonly events: number; readonly isLoss: boolean }[];
    /** Groups that then read some batches of each partition. */
    readonly reads: readonly { readonly group: number; readonly batches: number }[];
    /** Whether retention then deletes all that the groups `fast` and `slow` have read. */
    readonly isCut: boolean;
    /** Whether the shards are then claimed by new owners. */
    readonly isClaimed: boolean;
  }[];
}

export const histories: fc.Arbitrary<History> = fc.record({
  rounds: fc.array(
    fc.record({
      batches: fc.array(fc.record({ zone: fc.nat(ZONES.length - 1), events: fc.integer({ min: 1, max: 4 }), isLoss: fc.boolean() }), {
        maxLength: 12,
      }),
      reads: fc.array(fc.record({ group: fc.nat(GROUPS.length - 1), batches: fc.constantFrom(1, 3, 40) }), { maxLength: 5 }),
      isCut: fc.boolean(),
      isClaimed: fc.boolean(),
    }),
    { minLength: 2, maxLength: 8 },
  ),
});

/** Events that owners have not written to the log when their process ends. */
interface Spooled {
  /** Folder of the spools. */
  readonly folder: string;
  readonly batches: readonly { readonly zone: number; readonly events: number }[];
}

/**
 * Writes a history to a log in LMDB, as its owners do.
 * @param groups the last of them may be overtaken by retention
 * @returns newest seq of each zone
 */
export async function written(
  folder: string,
  { rounds }: History,
  groups: readonly string[] = GROUPS,
  spooled: Spooled | null = null,
): Promise<Map<string, number>> {
  const [, , late = ''] = groups;
  const log = openLmdbLog(folder);
  const writers = new Map<number, ShardWriter>();
  const offsets = groups.map(() => log.stats().partitions.map(() => 0));
  const noteAll = () => Promise.all(groups.map((group, index) => log.consumers.note(group, offsets[index] ?? [])));
  /** By shard: names of its owner and of the one before. */
  const owners = new Map<number, readonly [owner: string, previous: string]>();
  const ownerOf = async (shard: number) => {
    const writer =
      writers.get(shard) ?? (await log.own(shard, { lease: ENDLESS, onPrevious: (...names) => void owners.set(shard, names) }));
    writers.set(shard, writer);
    return writer;
  };
  const heads = new Map<string, number>();
  let time = 0;
  for (const { batches, reads, isCut, isClaimed } of rounds) {
    if (isClaimed) writers.clear();
    for (const { zone: index, events: count, isLoss } of batches) {
      const zone = ZONES[index] as string;
      const writer = await ownerOf(log.shardOf(zone));
      const firstSeq = writer.headOf(zone) + 1;
      const base = { zone, epoch: writer.epoch, firstSeq, version: 1, time: ++time };
      const events = Array.from({ length: count }, (_none, at) => ({ type: 'Counted', number: firstSeq + at, note: at % 2 ? null : 'x' }));
      heads.set(zone, firstSeq + count - 1);
      const loss = { lastSeq: firstSeq + count - 1, checkpoint: { state: { count }, answered: [] } };
      await writer.append([
        isLoss && count > 2
          ? { ...base, events: [], metas: null, loss }
          : { ...base, events, metas: count > 1 ? events.map((_event, at) => (at ? { id: `${zone}/${firstSeq + at}` } : null)) : null },
      ]);
    }
    for (const { group, batches: count } of reads)
      for (const partition of log.stats().partitions.keys()) {
        const of = offsets[group] as number[];
        if ((of[partition] ?? 0) < (log.stats().partitions[partition]?.start ?? 0)) continue;
        for (let read = 0; read < count; read++) of[partition] = (await log.readFrom(partition, of[partition] ?? 0, 1)).next;
      }
    await noteAll();
    await log.consumers.remove(late);
    if (isCut) await log.retain({ olderThanMs: 0, bytesMax: Number.MAX_SAFE_INTEGER }, time + 1);
    await noteAll();
  }
  if (spooled) {
    const spools = openSpools(spooled.folder, { bytesMax: 2 ** 20 });
    for (const { zone: index, events: count } of spooled.batches) {
      const zone = ZONES[index] as string;
      const shard = log.shardOf(zone);
      const writer = await ownerOf(shard);
      const firstSeq = (heads.get(zone) ?? 0) + 1;
      const events = Array.from({ length: count }, (_none, at) => ({ type: 'Counted', number: firstSeq + at }));
      const [owner, previous] = owners.get(shard) ?? ['', ''];
      const spool = spools.open(shard, owner, previous);
      spool.begin();
      assert.equal(spool.add([{ zone, epoch: writer.epoch, firstSeq, version: 1, time: ++time, events, metas: null }]), 1);
      heads.set(zone, firstSeq + count - 1);
      spools.close(shard);
    }
  }
  await log.close();
  return heads;
}

/** A broker whose client process ends after some requests. */
export function interruptedAfter(broker: TopicBroker, requests: number): TopicBroker {
  let left = requests;
  return new Proxy(broker, {
    get: (target, name) => {
      const method = Reflect.get(target, name);
      return (...given: unknown[]) => {
        if (left-- <= 0) return Promise.reject(new Interrupted());
        return Reflect.apply(method, target, given);
      };
    },
  });
}

export const identityOf = ({ zone, epoch, firstSeq, events, metas, loss, time, version }: EventBatch) =>
  events.length === 0
    ? [JSON.stringify({ zone, epoch, firstSeq, time, version, loss })]
    : events.map((event, index) =>
        JSON.stringify({ zone, epoch, seq: firstSeq + index, time, version, event, meta: metas?.[index] ?? null }),
      );

/** What a group reads from its offset on, by zone; `overtaken` when events before are deleted. */
async function readBy(log: Pick<EventLog, 'readFrom'>, partition: number, from: number): Promise<Map<string, string[]> | 'overtaken'> {
  const found = new Map<string, string[]>();
  try {
    for (let offset = from; ; ) {
      const { batches, next } = await log.readFrom(partition, offset, 100);
      for (const { batch } of batches) found.set(batch.zone, [...(found.get(batch.zone) ?? []), ...identityOf(batch)]);
      if (next === offset) return found;
      offset = next;
    }
  } catch (error) {
    if (error instanceof OffsetOutOfRange) return 'overtaken';
    throw error;
  }
}

interface GroupReads {
  readonly group: string;
  readonly from: StoredLog;
  readonly before: Pick<EventLog, 'readFrom'>;
  readonly after: Pick<EventLog, 'readFrom'>;
  /** By partition. */
  readonly offsets: readonly number[];
  /** By shard. */
  readonly moved: readonly number[];
}

/** A group reads the same events of each zone after the move as before, and is overtaken where it was before. */
export async function requireSameReads({ group, from, before, after, offsets, moved }: GroupReads): Promise<void> {
  for (const [partition, offset] of offsets.entries()) {
    const at = `${group} at ${offset} of partition ${partition}`;
    const wanted = await readBy(before, partition, offset);
    const found = new Map<string, string[]>();
    // Zones whose events retention has deleted, too: what they get later must be read.
    const withZones = new Set([...from.heads.keys()].filter((zone) => from.partitionOf(zone) === partition).map(shardOf));
    for (const shard of withZones) {
      const read = await readBy(after, shard, moved[shard] ?? 0);
      if (wanted === 'overtaken' || read === 'overtaken') assert.equal(read, wanted, `${at}, in shard ${shard}`);
      else for (const [zone, events] of read) found.set(zone, events);
    }
    if (wanted !== 'overtaken') assert.deepEqual(found, wanted, at);
  }
}
