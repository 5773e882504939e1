import { type EventBatch, lastSeqOf, type Snapshot, type SnapshotStore, writerOf, type ZoneAddress } from '@millrace/kernel';
import { open } from 'lmdb';
import { type Head, PARTITIONS, partitionIndex, STATE, shapedBy } from './lmdb-log.ts';
import { gapsIn, salvageLog, widthOfRecord } from './salvage.ts';

/** Claims that the damaged log may have lost: no epoch is owned twice. */
const EPOCHS_SKIPPED = 1_000;
/** Records written in one go. */
const CHUNK_RECORDS = 256;

export interface RepairReport {
  readonly records: number;
  readonly events: number;
  /** Offsets that nothing could be read of, by partition. */
  readonly gaps: readonly { readonly partition: number; readonly from: number; readonly to: number }[];
  /** Zones whose newest events are lost, and whose state is taken from a snapshot: from the seq after which they are lost to that of the snapshot. */
  readonly fromSnapshots: readonly { readonly zone: ZoneAddress; readonly after: number; readonly seq: number }[];
  /** Zones whose newest events are lost and that no snapshot reaches: they go on from an earlier state, after event `seq`. */
  readonly setBack: readonly { readonly zone: ZoneAddress; readonly lost: number; readonly seq: number }[];
  /** Zones that lack events which no snapshot reaches past: they cannot be opened. */
  readonly broken: readonly { readonly zone: ZoneAddress; readonly after: number; readonly next: number }[];
}

/** What of a zone was read. */
interface ZoneParts {
  epoch: number;
  seq: number;
  at: number;
  ranges: { first: number; last: number }[];
}

/**
 * Makes a new log of what can be read of a damaged one. Records keep their offsets, so consumer groups go on where they were; where nothing could be read
 * they stop, as after retention, and an operator lets them skip the gap.
 * @param into folder of the new log, which must not exist
 * @param snapshots where zones’ newest states are; a zone whose newest events are lost goes on from there
 */
export async function repairLog(from: string, into: string, snapshots: readonly SnapshotStore[]): Promise<RepairReport> {
  const salvaged = salvageLog(from);
  const root = open({ path: into, maxDbs: 16, noSubdir: false });
  try {
    const partitions = Array.from({ length: PARTITIONS }, (_none, index) => root.openDB<EventBatch[], number>(shapedBy(`events-${index}`)));
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
    const ends = partitions.map((_none, index) => {
      const read = [...(widths[index] ?? [])].reduce((most, [offset, width]) => Math.max(most, offset + width), 0);
      const consumed = [...salvaged.groups.values()].reduce((most, { offsets }) => Math.max(most, offsets[index] ?? 0), 0);
      return Math.max(read, consumed, salvaged.ends[index] ?? 0);
    });
    const gaps = widths.flatMap((known, partition) => gapsIn(known, ends[partition] ?? 0).map((gap) => ({ partition, ...gap })));
    const heads = root.openDB<Head, string>({ name: 'heads' });
    const fromSnapshots: { zone: ZoneAddress; after: number; seq: number }[] = [];
    const setBack: { zone: ZoneAddress; lost: number; seq: number }[] = [];
    const broken: { zone: ZoneAddress; after: number; next: number }[] = [];
    for (const zone of new Set([...zones.keys(), ...salvaged.heads.keys()])) {
      const { epoch, seq, at, ranges } = zones.get(zone) ?? { epoch: 0, seq: 0, at: 0, ranges: [] };
      const head = { epoch: Math.max(epoch, salvaged.heads.get(zone)?.epoch ?? 0) + EPOCHS_SKIPPED, seq, at };
      const newest = await newestOf(zone, snapshots);
      if (newest && newest.seq > seq) {
        const index = partitionIndex(zone);
        head.at = ends[index] ?? 0;
        head.seq = newest.seq;
        ends[index] = head.at + 1;
        await partitions[index]?.put(head.at, [stateInstead(newest, seq + 1, head.epoch)]);
        fromSnapshots.push({ zone, after: seq, seq: newest.seq });
      } else {
        const lost = (salvaged.heads.get(zone)?.seq ?? 0) - seq;
        if (lost > 0) setBack.push({ zone, lost, seq });
        broken.push(...holesIn(zone, ranges).filter(({ next }) => (newest?.seq ?? 0) < next - 1));
      }
      await heads.put(zone, head);
    }
    const groups = root.openDB<unknown, string>({ name: 'consumers' });
    for (const [group, known] of salvaged.groups) await groups.put(group, known);
    const letters = root.openDB<unknown, number>({ name: 'dead-letters' });
    for (const [id, letter] of salvaged.deadLetters) await letters.put(id, letter);
    const state = root.openDB<readonly number[], string>({ name: 'state', useVersions: true });
    await state.put(STATE, ends, 1);
    await root.flushed;
    return { records, events, gaps, fromSnapshots, setBack, broken };
  } finally {
    await root.close();
    salvaged.close();
  }
}

function note(zones: Map<ZoneAddress, ZoneParts>, batch: EventBatch, offset: number): void {
  const { zone, firstSeq } = batch;
  const known = zones.get(zone) ?? { epoch: 0, seq: 0, at: 0, ranges: [] };
  zones.set(zone, known);
  known.epoch = Math.max(known.epoch, writerOf(batch));
  const last = lastSeqOf(batch);
  if (last > known.seq) Object.assign(known, { seq: last, at: offset });
  // A batch that carries a state needs nothing before it.
  const previous = known.ranges.at(-1);
  if (previous && !batch.loss && previous.last === firstSeq - 1) previous.last = last;
  else known.ranges.push({ first: batch.loss ? 1 : firstSeq, last });
}

/** Where events are missing, before others. Retention drops the first ones, but only where a snapshot reaches past them. */
function holesIn(zone: ZoneAddress, ranges: readonly { first: number; last: number }[]) {
  const holes: { zone: ZoneAddress; after: number; next: number }[] = [];
  const sorted = [...ranges].sort((one, other) => one.first - other.first || one.last - other.last);
  let last = 0;
  for (const range of sorted) {
    if (range.first > last + 1) holes.push({ zone, after: last, next: range.first });
    last = Math.max(last, range.last);
  }
  return holes;
}

async function newestOf(zone: ZoneAddress, snapshots: readonly SnapshotStore[]): Promise<Snapshot | null> {
  let newest: Snapshot | null = null;
  for (const store of snapshots)
    for (const label of await store.list(zone).catch(() => [])) {
      if (newest && (label.epoch < newest.epoch || (label.epoch === newest.epoch && label.seq <= newest.seq))) break;
      const loaded = await store.load(label).catch(() => null);
      if (!loaded) continue;
      newest = loaded;
      break;
    }
  return newest;
}

/** Stands for events that are lost, with the state of the zone after them. */
function stateInstead({ zone, version, time, seq, state, answered }: Snapshot, firstSeq: number, epoch: number): EventBatch {
  return { zone, epoch, firstSeq, version, time, events: [], metas: null, loss: { lastSeq: seq, checkpoint: { state, answered } } };
}
