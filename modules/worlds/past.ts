import type { SeenObject, ZoneId } from '@millrace/contracts';
import {
  type Clock,
  type PointInTime,
  RecordBroken,
  recover,
  type SnapshotLabel,
  type SnapshotStore,
  type ZoneLog,
  zoneAddress,
} from '@millrace/kernel';
import { hashOf } from './inspect.ts';
import { objectsOf } from './views.ts';
import type { World } from './world-state.ts';
import { worldZone } from './zone.ts';

/** How often, and how many times, it is looked again whether the log has what the live zone has decided. */
const AGAIN_MS = 100;
const AGAIN_MAX = 20;
/** A whole stretch costs more than a moment. */
const REPLAY_AGAIN_MAX = 2;

/** Where the world’s past is kept. */
export interface WorldRecord {
  readonly log: Pick<ZoneLog, 'read'>;
  readonly hot: SnapshotStore;
  readonly cold: SnapshotStore;
  readonly clock: Clock;
  /** The seq that the live zone has reached; null while it cannot be asked. What it has decided is in the log a moment later. */
  readonly newest: (zone: ZoneId) => Promise<number | null>;
}

/** The record does not say exactly what a zone was at a moment. */
export class NotOnRecord extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NotOnRecord';
  }
}

/** The record without the snapshots from an event on: what it leads to does not rest on what is to be verified. */
export function recordBefore(record: WorldRecord, seq: number): WorldRecord {
  const earlier = (store: SnapshotStore): SnapshotStore => ({
    save: (snapshot) => store.save(snapshot),
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
 * Exactly what a zone was at a past moment, from its record alone; the live zone is asked only how far it is.
 * @throws NotOnRecord when events of that moment are lost or dropped, or it is before the zone’s first event or after its newest
 */
export async function zoneAtPoint(record: WorldRecord, zone: ZoneId, point: PointInTime): Promise<PastZone> {
  return onRecord(record, AGAIN_MAX, async () => {
    const { past, isFollowed } = await recover(worldZone, zoneAddress(worldZone.kind, zone), record, point);
    const state = past.checkpoint().state as World;
    const isThere = 'seq' in point ? past.seq === point.seq : isFollowed || past.seq === (await record.newest(zone));
    if (!isThere) return lackOf(past.seq, point, await record.newest(zone));
    if (state.plan === null) throw new NotOnRecord(`zone ${zone} did not exist yet`);
    return { state, seq: past.seq, hash: hashOf(state) };
  });
}

/** What the record lacks of a moment. @throws NotOnRecord when it will never have it */
function lackOf(reached: number, point: PointInTime, newest: number | null): string {
  if (newest === null) throw new NotOnRecord(`it ends at event ${reached}, and the zone cannot be asked now whether there is more`);
  if (!('seq' in point)) return `it ends at event ${reached}`;
  if (point.seq > newest) throw new NotOnRecord(`the newest event is ${newest}, not ${point.seq}`);
  return `it leads to event ${reached}, not to ${point.seq}`;
}

/** Asks the record until it has what the live zone has decided, for a while. `ask` gives an answer, or says what the record lacks. */
async function onRecord<T extends object>({ clock }: WorldRecord, againMax: number, ask: () => Promise<T | string>): Promise<T> {
  for (let times = 0; ; times++) {
    const answer = await ask().catch((error) => {
      throw error instanceof RecordBroken ? new NotOnRecord(error.message) : error;
    });
    if (typeof answer === 'object') return answer;
    if (times === againMax) throw new NotOnRecord(answer);
    await new Promise<void>((resolve) => void clock.after(AGAIN_MS, resolve));
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

/** Of which moments the record says what a zone was. */
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
  // From the first event on, or from the first snapshot that the log goes on from.
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
 * What a zone was at `from` and every `stepMs` after it up to `to`, epoch ms, in one pass over its record; nothing of what was before that, and nothing
 * of what is still to come.
 * @throws NotOnRecord when events of that stretch are lost, or the record begins after it
 */
export async function replayZone(
  record: WorldRecord,
  zone: ZoneId,
  stretch: { from: number; to: number; stepMs: number },
): Promise<ReplayedPoint[]> {
  const address = zoneAddress(worldZone.kind, zone);
  const { stepMs } = stretch;
  const to = Math.min(stretch.to, record.clock.now());
  const known = (await recordOf(record, zone)).from?.time ?? Number.POSITIVE_INFINITY;
  const from = stretch.from + Math.max(0, Math.ceil((known - stretch.from) / stepMs)) * stepMs;
  if (from > to) throw new NotOnRecord('nothing of that stretch is on record');
  return onRecord(record, REPLAY_AGAIN_MAX, async () => {
    const { past, position } = await recover(worldZone, address, record, { time: from });
    if ((past.checkpoint().state as World).plan === null) throw new NotOnRecord(`zone ${zone} did not exist yet`);
    const points: ReplayedPoint[] = [];
    let due = from;
    const showUpTo = (time: number) => {
      for (; due <= Math.min(time, to); due += stepMs) {
        const before = points.at(-1);
        if (before?.seq === past.seq) points.push({ ...before, time: due });
        else points.push({ time: due, seq: past.seq, ...shown(past.checkpoint().state as World) });
      }
    };
    for await (const batch of record.log.read(address, past.seq, position)) {
      // What was lost was decided at some time before it was made up for: of that time nothing can be shown.
      if (batch.loss || batch.time > to) past.requireFollowedBy(batch);
      // Everything decided at a moment belongs to it, so what is due before this batch is shown first.
      showUpTo(batch.time - 1);
      if (batch.time > to) return points;
      past.apply(batch);
    }
    const newest = await record.newest(zone);
    if (past.seq !== newest) return lackOf(past.seq, { time: to }, newest);
    showUpTo(to);
    return points;
  });
}

function shown(state: World): { hash: string; objects: SeenObject[] } {
  return { hash: hashOf(state), objects: objectsOf(state) };
}
