import type { SeenObject, ZoneId } from '@millrace/contracts';
import { type Clock, type Moment, recover, type SnapshotStore, type ZoneLog, zoneAddress } from '@millrace/kernel';
import { hashOf } from './inspect.ts';
import { objectsOf } from './views.ts';
import { type World, worldZone } from './zone.ts';

/** Where the world’s past is kept. */
export interface WorldRecord {
  readonly log: Pick<ZoneLog, 'read'>;
  readonly hot: SnapshotStore;
  readonly cold: SnapshotStore;
  readonly clock: Clock;
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

/** What a zone was at a past moment, from its record alone; the live zone knows nothing of it. */
export async function zoneAtMoment(record: WorldRecord, zone: ZoneId, moment: Moment): Promise<PastZone> {
  const { past } = await recover(worldZone, zoneAddress(worldZone.kind, zone), record, moment);
  const state = past.checkpoint().state as World;
  return { state, seq: past.seq, hash: hashOf(state) };
}

export interface ReplayedMoment {
  readonly time: number;
  readonly seq: number;
  readonly hash: string;
  readonly objects: SeenObject[];
}

/** What a zone was at `from` and every `stepMs` after it up to `to`, epoch ms, in one pass over its record. */
export async function replayZone(
  record: WorldRecord,
  zone: ZoneId,
  { from, to, stepMs }: { from: number; to: number; stepMs: number },
): Promise<ReplayedMoment[]> {
  const address = zoneAddress(worldZone.kind, zone);
  const { past, position } = await recover(worldZone, address, record, { time: from });
  const moments: ReplayedMoment[] = [];
  let due = from;
  const showUpTo = (time: number) => {
    for (; due <= Math.min(time, to); due += stepMs) {
      const before = moments.at(-1);
      if (before?.seq === past.seq) moments.push({ ...before, time: due });
      else moments.push({ time: due, seq: past.seq, ...shown(past.checkpoint().state as World) });
    }
  };
  for await (const batch of record.log.read(address, past.seq, position)) {
    if (batch.time > to) break;
    // Everything decided at a moment belongs to it, so what is due before this batch is shown first.
    showUpTo(batch.time - 1);
    past.apply(batch);
  }
  showUpTo(to);
  return moments;
}

function shown(state: World): { hash: string; objects: SeenObject[] } {
  return { hash: hashOf(state), objects: objectsOf(state) };
}
