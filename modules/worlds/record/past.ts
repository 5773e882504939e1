import type { SeenObject, ZoneId } from '@millrace/contracts';
import {
  type Clock,
  type PointInTime,
  RecordBroken,
  recover,
  type SnapshotLabel,
  type SnapshotStore,
  type ZoneHistory,
  zoneAddress,
} from '@millrace/kernel';
import { objectsOf } from '../zone/views.ts';
import type { World } from '../zone/world-state.ts';
import { worldZone } from '../zone/zone.ts';
import { hashOf } from './inspect.ts';

/** Delay and number of retries while the log does not have all events that the live zone has decided. */
const RETRY_MS = 100;
const RETRIES_MAX = 20;
/** Fewer retries than for one point in time, because reading a range costs more. */
const REPLAY_RETRIES_MAX = 2;

/** Stores of the world’s history. */
export interface WorldRecord {
  readonly log: ZoneHistory;
  readonly hot: SnapshotStore;
  readonly cold: SnapshotStore;
  readonly clock: Clock;
  /** The seq of the live zone; null while it is unavailable. The log gets the events a moment later. */
  readonly newest: (zone: ZoneId) => Promise<number | null>;
}

/** The log and snapshots do not contain the exact state of a zone at a point in time. */
export class NotOnRecord extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NotOnRecord';
  }
}

/** The record without the snapshots at or after event `seq`, to verify a snapshot without using it. */
export function recordBefore(record: WorldRecord, seq: number): WorldRecord {
  const earlier = (store: SnapshotStore): SnapshotStore => ({
    save: (...given) => store.save(...given),
    list: async (zone) => (await store.list(zone)).filter((label) => label.seq < seq),
    load: (label) => store.load(label),
  });
  return { ...record, hot: earlier(record.hot), cold: earlier(record.cold) };
}

export interface PastZone {
  readonly state: World;
  readonly seq: number;
  readonly hash: string;
}

/**
 * Returns the exact state of a zone at a point in time, from the record. The live zone only provides its newest seq.
 * @throws NotOnRecord when events up to that point are lost or dropped, or the point is before the zone’s first event or after its newest
 */
export async function zoneAtPoint(record: WorldRecord, zone: ZoneId, point: PointInTime): Promise<PastZone> {
  return onRecord(record, RETRIES_MAX, async () => {
    const { replay, isFollowed } = await recover(worldZone, zoneAddress(worldZone.kind, zone), record, point);
    const state = replay.checkpoint().state as World;
    const isThere = 'seq' in point ? replay.seq === point.seq : isFollowed || replay.seq === (await record.newest(zone));
    if (!isThere) return lackOf(replay.seq, point, await record.newest(zone));
    if (state.plan === null) throw new NotOnRecord(`zone ${zone} did not exist yet`);
    return { state, seq: replay.seq, hash: hashOf(state) };
  });
}

/** Describes what the record lacks for a point in time. @throws NotOnRecord when a retry cannot help */
function lackOf(reached: number, point: PointInTime, newest: number | null): string {
  if (newest === null) throw new NotOnRecord(`it ends at event ${reached}, and the zone cannot be reached to check for newer events`);
  if (!('seq' in point)) return `it ends at event ${reached}`;
  if (point.seq > newest) throw new NotOnRecord(`the newest event is ${newest}, not ${point.seq}`);
  return `it leads to event ${reached}, not to ${point.seq}`;
}

/** Retries `read` until the log has what the live zone has decided. `read` returns a result, or a text that states what the record lacks. */
async function onRecord<T extends object>({ clock }: WorldRecord, retriesMax: number, read: () => Promise<T | string>): Promise<T> {
  for (let times = 0; ; times++) {
    const result = await read().catch((error) => {
      throw error instanceof RecordBroken ? new NotOnRecord(error.message) : error;
    });
    if (typeof result === 'object') return result;
    if (times === retriesMax) throw new NotOnRecord(result);
    await new Promise<void>((resolve) => void clock.after(RETRY_MS, resolve));
  }
}

/** A recorded state of a zone; `time` is epoch ms. */
interface RecordedState {
  readonly seq: number;
  readonly time: number;
}

/** The states of a zone that can be read, as the resource `ZoneRecord` describes. */
export interface RecordedTimes {
  readonly zone: ZoneId;
  readonly from: RecordedState | null;
  readonly to: RecordedState | null;
  readonly snapshots: readonly RecordedState[];
}

/** The range of points in time for which the state of a zone can be read, and snapshots outside it. */
export async function recordOf(record: WorldRecord, zone: ZoneId): Promise<RecordedTimes> {
  const address = zoneAddress(worldZone.kind, zone);
  const labels = (await Promise.all([record.hot, record.cold].map((store) => store.list(address).catch((): SnapshotLabel[] => [])))).flat();
  const points = [...new Map(labels.map(({ seq, time }) => [seq, { seq, time }])).values()].sort((one, other) => one.seq - other.seq);
  const newest = await record.newest(zone);
  let first: { seq: number; time: number } | undefined;
  for await (const { firstSeq: seq, time } of record.log.read(address, 0, null)) {
    first = { seq, time };
    break;
  }
  // Starts at the first event, or at the first snapshot that the log continues.
  const from = first?.seq === 1 ? first : points.find(({ seq }) => seq >= (first?.seq ?? newest ?? Number.POSITIVE_INFINITY) - 1);
  return {
    zone,
    from: from ?? null,
    to: newest === null ? null : { seq: newest, time: Math.floor(record.clock.now()) },
    snapshots: points.filter(({ seq }) => seq < (from?.seq ?? Number.POSITIVE_INFINITY)),
  };
}

export interface ReplayedPoint {
  readonly time: number;
  readonly seq: number;
  readonly hash: string;
  readonly objects: SeenObject[];
}

/**
 * The states of a zone at `from` and every `stepMs` after it up to `to`, epoch ms, in one pass over its record. Times before the record’s start and in
 * the future are left out.
 * @throws NotOnRecord when events of that range are lost, or the record begins after it
 */
export async function replayZone(
  record: WorldRecord,
  zone: ZoneId,
  range: { from: number; to: number; stepMs: number },
): Promise<ReplayedPoint[]> {
  const address = zoneAddress(worldZone.kind, zone);
  const { stepMs } = range;
  const to = Math.min(range.to, record.clock.now());
  const known = (await recordOf(record, zone)).from?.time ?? Number.POSITIVE_INFINITY;
  const from = range.from + Math.max(0, Math.ceil((known - range.from) / stepMs)) * stepMs;
  if (from > to) throw new NotOnRecord('the log has no events of that time range');
  return onRecord(record, REPLAY_RETRIES_MAX, async () => {
    const { replay, position } = await recover(worldZone, address, record, { time: from });
    if ((replay.checkpoint().state as World).plan === null) throw new NotOnRecord(`zone ${zone} did not exist yet`);
    const points: ReplayedPoint[] = [];
    let due = from;
    const addPointsUpTo = (time: number) => {
      for (; due <= Math.min(time, to); due += stepMs) {
        const before = points.at(-1);
        if (before?.seq === replay.seq) points.push({ ...before, time: due });
        else points.push({ time: due, seq: replay.seq, ...hashAndObjects(replay.checkpoint().state as World) });
      }
    };
    for await (const batch of record.log.read(address, replay.seq, position)) {
      // Lost events were decided at an unknown time before this batch, so the states of that time are unknown.
      if (batch.loss || batch.time > to) replay.requireFollowedBy(batch);
      // A state at a time includes everything decided at that time, so points before this batch come first.
      addPointsUpTo(batch.time - 1);
      if (batch.time > to) return points;
      replay.apply(batch);
    }
    const newest = await record.newest(zone);
    if (replay.seq !== newest) return lackOf(replay.seq, { time: to }, newest);
    addPointsUpTo(to);
    return points;
  });
}

function hashAndObjects(state: World): { hash: string; objects: SeenObject[] } {
  return { hash: hashOf(state), objects: objectsOf(state) };
}
