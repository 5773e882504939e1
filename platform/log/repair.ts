import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type EventBatch, lastSeqOf, type SnapshotLabel, type SnapshotStore, type ZoneAddress } from '@millrace/kernel';
import { checkSpace } from '@millrace/lmdb/commit';
import { open, type RootDatabase } from 'lmdb';
import { continuationOf, type Part, type SnapshotOutline } from './continuation.ts';
import type { DeadEventKey, DeadEventPlace } from './lmdb-dead-letters.ts';
import { STARTS, STATE } from './lmdb-log.ts';
import type { Owner } from './lmdb-writer.ts';
import type { Head } from './lmdb-writes.ts';
import { PARTITIONS, partitionIndex, type Records, shapedBy, widthOf } from './partitions.ts';
import { gapsIn, type Salvaged, salvageLog, widthOfRecord } from './salvage.ts';
import type { SpooledEvents } from './spooled-events.ts';
import { type CarryingSnapshot, writerOf } from './written-batch.ts';

/** Number of epochs to skip: the damaged log may have lost claims, and no two owners may have the same epoch. */
const EPOCHS_SKIPPED = 1_000;
/** Records that are written at a time. */
const CHUNK_RECORDS = 256;
/** Maximum number of events in a record that the repair creates. */
const RECORD_EVENTS_MAX = 512;

/** Sources of events and states other than the damaged log. */
export interface RepairSources {
  /** In the order in which recovery uses them. */
  readonly snapshots: readonly SnapshotStore[];
  readonly spools: readonly SpooledEvents[];
  /** Zones with snapshots; the log may have lost all their events. */
  readonly zones: readonly ZoneAddress[];
}

export interface RepairReport {
  readonly records: number;
  readonly events: number;
  /** Unreadable offsets, by partition. */
  readonly gaps: readonly { readonly partition: number; readonly from: number; readonly to: number }[];
  /** Events that the log lacked and that were restored from a snapshot or spool. */
  readonly restored: readonly { readonly zone: ZoneAddress; readonly first: number; readonly last: number }[];
  /** Zones that lost events after `after`, and got their state from the snapshot at `seq`. */
  readonly fromSnapshots: readonly { readonly zone: ZoneAddress; readonly after: number; readonly seq: number }[];
  /** Zones that lost their newest events and have no snapshot after them. They continue from an earlier state, after event `seq`. */
  readonly setBack: readonly { readonly zone: ZoneAddress; readonly lost: number; readonly seq: number }[];
  /** Zones that lack events between `after` and `next`, without a later snapshot. They cannot be opened. */
  readonly broken: readonly { readonly zone: ZoneAddress; readonly after: number; readonly next: number }[];
}

/** Events of a zone that were read. */
interface ZoneParts {
  /** Highest epoch of a writer. */
  epoch: number;
  seq: number;
  at: number;
  ranges: { first: number; last: number }[];
  /** First seq of each epoch that decided. */
  firstSeqs: Map<number, number>;
}

/** A snapshot without its state, of which there may be many. */
interface StoredOutline extends SnapshotOutline, StoredLabel {}

/**
 * Creates a new log from the readable part of a damaged one, and from snapshots and spools. Records keep their offsets, so consumer groups continue at
 * their offsets. At unreadable offsets they stop, as after retention, until an operator skips the gap. A state from a snapshot replaces the newest events
 * of a zone only if no copy of them exists.
 * @param into folder of the new log, which must not exist
 */
export async function repairLog(
  from: string,
  into: string,
  { snapshots, spools, zones: snapshotZones }: RepairSources,
): Promise<RepairReport> {
  const salvaged = salvageLog(from);
  checkSpace('the repaired log', dirname(into), statSync(join(from, 'data.mdb')).size);
  const root = open({ path: into, maxDbs: 16, noSubdir: false });
  try {
    const partitions = Array.from({ length: PARTITIONS }, (_none, index) => root.openDB<EventBatch[], number>(shapedBy(`events-${index}`)));
    const copied = await copyRecords(salvaged, partitions);
    const { records, events, widths, zones: read } = copied;
    const zones = new Set([...snapshotZones, ...read.keys(), ...salvaged.heads.keys(), ...spools.flatMap((spool) => [...spool.zones])]);
    const ends = endsOf(widths, salvaged);
    for (const zone of zones) await raiseEnd(ends, zone, salvaged, snapshots);
    const gaps = widths.flatMap((known, partition) => gapsIn(known, ends[partition] ?? 0).map((gap) => ({ partition, ...gap })));
    const starts = widths.map((known, partition) => [...known.keys()].reduce((least, one) => Math.min(least, one), ends[partition] ?? 0));
    const report = { records, events, gaps, restored: [], fromSnapshots: [], setBack: [], broken: [] } as Listed<RepairReport>;
    const heads = root.openDB<Head, string>({ name: 'heads' });
    const repair: Repair = { salvaged, snapshots, spools, partitions, starts, ends, report };
    for (const zone of zones) await heads.put(zone, await continueZone(zone, read.get(zone) ?? nothingRead(), repair));
    await copyConsumers(root, salvaged);
    await copyOwners(root, salvaged);
    const state = root.openDB<readonly number[], string>({ name: 'state', useVersions: true });
    await state.put(STARTS, starts, 1);
    await state.put(STATE, ends, 1);
    await root.flushed;
    return report;
  } finally {
    await root.close();
    salvaged.close();
  }
}

/** Data of a repair after the readable records are copied. */
interface Repair {
  readonly salvaged: Salvaged;
  readonly snapshots: readonly SnapshotStore[];
  readonly spools: readonly SpooledEvents[];
  readonly partitions: readonly Records[];
  /** Oldest offset of each partition. */
  readonly starts: readonly number[];
  /** Next offset of each partition; grows as the repair writes. */
  readonly ends: number[];
  readonly report: Listed<RepairReport>;
}

interface Copied {
  readonly records: number;
  readonly events: number;
  /** Width of each record by its offset, for each partition. */
  readonly widths: readonly Map<number, number>[];
  readonly zones: ReadonlyMap<ZoneAddress, ZoneParts>;
}

/** Copies the readable records, at their offsets. */
async function copyRecords(salvaged: Salvaged, partitions: readonly Records[]): Promise<Copied> {
  const widths = partitions.map(() => new Map<number, number>());
  const zones = new Map<ZoneAddress, ZoneParts>();
  let events = 0;
  let records = 0;
  let written: Promise<unknown>[] = [];
  for (const { partition, offset, batches } of salvaged.records()) {
    records++;
    widths[partition]?.set(offset, widthOfRecord(batches));
    for (const batch of batches) {
      events += batch.events.length;
      note(zones, batch, offset);
    }
    written.push(partitions[partition]?.put(offset, batches) ?? Promise.resolve());
    if (written.length < CHUNK_RECORDS) continue;
    await Promise.all(written);
    written = [];
  }
  await Promise.all(written);
  return { records, events, widths, zones };
}

/** Next offset of each partition: the highest of the records, the consumer groups and the state entry. */
function endsOf(widths: Copied['widths'], { groups, ends }: Salvaged): number[] {
  return widths.map((known, index) => {
    const read = [...known].reduce((most, [offset, width]) => Math.max(most, offset + width), 0);
    const consumed = [...groups.values()].reduce((most, { offsets }) => Math.max(most, offsets[index] ?? 0), 0);
    return Math.max(read, consumed, ends[index] ?? 0);
  });
}

/** Raises the end of a zone's partition above the positions of its head and its snapshots: recovery does not look for later events before them. */
async function raiseEnd(ends: number[], zone: ZoneAddress, { heads }: Salvaged, snapshots: readonly SnapshotStore[]): Promise<void> {
  const index = partitionIndex(zone);
  const head = heads.get(zone);
  const known = Math.max(head && head.seq > 0 ? head.at : -1, await newestPosition(zone, snapshots));
  ends[index] = Math.max(ends[index] ?? 0, known + 1);
}

/** Continues a zone after the events that were read, from snapshots and spools. @returns the new head of the zone */
async function continueZone(zone: ZoneAddress, read: ZoneParts, repair: Repair): Promise<Head> {
  const { salvaged, snapshots, spools, partitions, starts, ends, report } = repair;
  const known = salvaged.heads.get(zone);
  const index = partitionIndex(zone);
  const stored = await labelsOf(zone, snapshots);
  const ahead = await outlinesOf(stored.filter(({ label }) => label.seq > read.seq));
  // Retention has dropped all events of an idle zone: none is missing.
  if (known && known.at < (starts[index] ?? 0) && ahead.some(({ seq }) => seq >= known.seq))
    Object.assign(read, { seq: Math.max(read.seq, known.seq), at: known.at });
  const spooled = spools.map((spool) => spool.ofZone(zone));
  const labels = stored.map(({ label }) => label);
  const usable = ahead.filter((one) => one.seq > read.seq);
  const { parts, seq, knownSeq } = continuationOf({ ...read, head: known }, { labels, snapshots: usable, spools: spooled });
  const epochs = [read.epoch, known?.epoch ?? 0, ...labels.map((label) => label.epoch), ...spooled.flat().map(writerOf)];
  const epoch = epochs.reduce((most, one) => Math.max(most, one), 0) + EPOCHS_SKIPPED;
  const head = { epoch, seq, at: read.at };
  for (const batches of recordsOf(await batchesOf(zone, parts, snapshots, report))) {
    head.at = ends[index] ?? 0;
    ends[index] = head.at + widthOfRecord(batches);
    await partitions[index]?.put(head.at, batches);
  }
  const lost = Math.max(known?.seq ?? 0, knownSeq) - seq;
  if (lost > 0) report.setBack.push({ zone, lost, seq });
  const seqGaps = seqGapsIn(zone, read.ranges);
  const restoredAt = seqGaps.length > 0 ? await restoredSeq(await labelsOf(zone, snapshots), read) : 0;
  report.broken.push(...seqGaps.filter(({ next }) => restoredAt < next - 1));
  return head;
}

/** Continues the epochs of the shards above all epochs that are known: that of a shard may be lost. */
async function copyOwners(root: RootDatabase, { owners, heads }: Salvaged): Promise<void> {
  const repaired = root.openDB<Head, string>({ name: 'heads' });
  const known = [...owners.values(), ...heads.values(), ...repaired.getRange().map(({ value }) => value)];
  const epoch = known.reduce((most, one) => Math.max(most, one.epoch), 0) + EPOCHS_SKIPPED;
  const to = root.openDB<Owner, number>({ name: 'owners' });
  // Without a name: the events on the spools of the owners are in the repaired log.
  for (const shard of owners.keys()) await to.put(shard, { epoch, name: '' });
}

/** Copies consumer groups and dead letters. */
async function copyConsumers(root: RootDatabase, { groups, deadLetters, deadEvents }: Salvaged): Promise<void> {
  const groupsTo = root.openDB<unknown, string>({ name: 'consumers' });
  for (const [group, known] of groups) await groupsTo.put(group, known);
  const deadLettersTo = root.openDB<unknown, number>({ name: 'dead-letters' });
  const deadEventsTo = root.openDB<DeadEventPlace, DeadEventKey>({ name: 'dead-events' });
  for (const [key, place] of deadEvents.values()) await deadEventsTo.put(key, place);
  for (const [id, dead] of deadLetters) {
    await deadLettersTo.put(id, dead);
    const { group, zone, partition, offset } = dead.letter;
    for (const [index] of dead.batch.events.entries())
      await deadEventsTo.put([group, zone, dead.batch.firstSeq + index], { partition, offset: offset + index, id });
  }
}

/** A report with lists that can grow. */
type Listed<T> = { readonly [K in keyof T]: T[K] extends readonly (infer One)[] ? One[] : T[K] };

const nothingRead = (): ZoneParts => ({ epoch: 0, seq: 0, at: 0, ranges: [], firstSeqs: new Map() });

function note(zones: Map<ZoneAddress, ZoneParts>, batch: EventBatch, offset: number): void {
  const { zone, epoch, firstSeq } = batch;
  const known = zones.get(zone) ?? nothingRead();
  zones.set(zone, known);
  known.epoch = Math.max(known.epoch, writerOf(batch));
  known.firstSeqs.set(epoch, Math.min(known.firstSeqs.get(epoch) ?? firstSeq, firstSeq));
  const last = lastSeqOf(batch);
  if (last > known.seq) Object.assign(known, { seq: last, at: offset });
  // A batch that carries a state needs nothing before it.
  const previous = known.ranges.at(-1);
  if (previous && !batch.loss && previous.last === firstSeq - 1) previous.last = last;
  else known.ranges.push({ first: batch.loss ? 1 : firstSeq, last });
}

/** Gaps before later events. Retention may drop the first events, but only if a later snapshot exists. */
function seqGapsIn(zone: ZoneAddress, ranges: readonly { first: number; last: number }[]) {
  const seqGaps: { zone: ZoneAddress; after: number; next: number }[] = [];
  const sorted = [...ranges].sort((one, other) => one.first - other.first || one.last - other.last);
  let last = 0;
  for (const range of sorted) {
    if (range.first > last + 1) seqGaps.push({ zone, after: last, next: range.first });
    last = Math.max(last, range.last);
  }
  return seqGaps;
}

interface StoredLabel {
  readonly label: SnapshotLabel;
  readonly store: SnapshotStore;
}

/** The labels of a zone’s snapshots in all stores, newest first, the order of recovery. */
async function labelsOf(zone: ZoneAddress, stores: readonly SnapshotStore[]): Promise<StoredLabel[]> {
  const lists = stores.map(async (store) => (await store.list(zone).catch(() => [])).map((label) => ({ label, store })));
  return (await Promise.all(lists)).flat().sort((one, other) => other.label.seq - one.label.seq);
}

/** The readable snapshots among those of the labels, without their states. */
async function outlinesOf(stored: readonly StoredLabel[]): Promise<StoredOutline[]> {
  const found: StoredOutline[] = [];
  for (const { label, store } of stored) {
    const snapshot: CarryingSnapshot | null = await store.load(label).catch(() => null);
    if (snapshot) found.push({ epoch: snapshot.epoch, seq: snapshot.seq, unrecorded: snapshot.unrecorded ?? [], label, store });
  }
  return found;
}

/** The highest log position in the newest snapshots of a zone; -1 for none. */
async function newestPosition(zone: ZoneAddress, stores: readonly SnapshotStore[]): Promise<number> {
  const positions = stores.map(async (store) => {
    for (const label of await store.list(zone).catch(() => [])) {
      const snapshot = await store.load(label).catch(() => null);
      if (snapshot) return (snapshot.position as number | null) ?? -1;
    }
    return -1;
  });
  return Math.max(...(await Promise.all(positions)), -1);
}

/** The seq of the snapshot that recovery of the zone will use; 0 without one. */
async function restoredSeq(stored: readonly StoredLabel[], read: ZoneParts): Promise<number> {
  for (const { label, store } of stored) {
    const isGivenUp = [...read.firstSeqs].some(([epoch, firstSeq]) => epoch > label.epoch && firstSeq <= label.seq);
    if (!isGivenUp && (await store.load(label).catch(() => null))) return label.seq;
  }
  return 0;
}

/** The batches that continue a zone after the events that were read. */
async function batchesOf(
  zone: ZoneAddress,
  parts: readonly Part<StoredOutline>[],
  stores: readonly SnapshotStore[],
  report: Pick<Listed<RepairReport>, 'restored' | 'fromSnapshots'>,
): Promise<EventBatch[]> {
  const batches: EventBatch[] = [];
  for (const part of parts) {
    if (part.kind === 'events') {
      const previous = report.restored.at(-1);
      const [first, last] = [part.batch.firstSeq, lastSeqOf(part.batch)];
      if (previous?.zone === zone && previous.last === first - 1) report.restored[report.restored.length - 1] = { ...previous, last };
      else report.restored.push({ zone, first, last });
      batches.push(part.batch);
      continue;
    }
    const { label, store } = part.snapshot;
    const snapshot = await store.load(label);
    batches.push(lossBatch(snapshot, part.firstSeq));
    report.fromSnapshots.push({ zone, after: part.firstSeq - 1, seq: snapshot.seq });
    // Recovery skips a snapshot that carries events which the log lacks, and an earlier one may end before a gap.
    for (const each of stores)
      await each.save({ ...snapshot, unrecorded: [], time: snapshot.time + 1, position: null } as CarryingSnapshot);
  }
  return batches;
}

/** Groups batches into records. */
function recordsOf(batches: readonly EventBatch[]): EventBatch[][] {
  const records: EventBatch[][] = [];
  let events = RECORD_EVENTS_MAX;
  for (const batch of batches) {
    if (events >= RECORD_EVENTS_MAX) {
      records.push([]);
      events = 0;
    }
    records.at(-1)?.push(batch);
    events += widthOf(batch);
  }
  return records;
}

/** A batch that represents lost events, with the state of the zone after them. */
function lossBatch(
  { zone, epoch, version, time, seq, position: _position, unrecorded: _unrecorded, ...checkpoint }: CarryingSnapshot,
  firstSeq: number,
): EventBatch {
  return { zone, epoch, firstSeq, version, time, events: [], metas: null, loss: { lastSeq: seq, checkpoint } };
}
