import { ENDPOINTS, type SnapshotStatus, type ZoneId } from '@millrace/contracts';
import { ApiProblem, type Routes } from '@millrace/http';
import { messageOf, type Snapshot, type SnapshotLabel, zoneAddress } from '@millrace/kernel';
import { zoneUnavailable } from '../live-zone.ts';
import { hashOf } from '../record/inspect.ts';
import { recordBefore, type WorldRecord, zoneAtPoint } from '../record/past.ts';
import type { World } from '../zone/world-state.ts';
import { worldZone } from '../zone/zone.ts';
import type { ZoneAccess } from './zone-access.ts';

type Store = SnapshotStatus['store'];

/** Routes of the snapshots of zones. */
export function snapshotRoutes(routes: Routes, zones: ZoneAccess): void {
  const { record } = zones;
  routes.list(
    ENDPOINTS.listSnapshots,
    ({ store, epoch, seq, takenAt }) => `${store} ${epoch} ${seq} ${takenAt}`,
    ({ params }) => snapshotsOf(record, zones.require(params.zone)),
  );
  routes.handle(ENDPOINTS.createSnapshot, ({ params, body }) => takeSnapshot(zones, zones.require(params.zone), body.store));
  routes.handle(ENDPOINTS.verifySnapshot, ({ params, body: { store, replay = false, epoch, seq, takenAt } }) =>
    verifySnapshot(record, zones.require(params.zone), store, { epoch, seq, time: takenAt }, replay),
  );
}

/** Snapshots of a zone, newest first. */
async function snapshotsOf(record: WorldRecord, zone: ZoneId): Promise<SnapshotStatus[]> {
  const address = zoneAddress(worldZone.kind, zone);
  const statuses = await Promise.all(
    (['hot', 'cold'] as const).map(async (store) => {
      const labels = await record[store].list(address).catch(() => []);
      return labels.map(({ epoch, seq, time }) => ({ zone, store, epoch, seq, takenAt: time }));
    }),
  );
  return statuses.flat().sort((one, other) => other.takenAt - one.takenAt);
}

async function takeSnapshot({ gateway, record }: ZoneAccess, zone: ZoneId, store: Store): Promise<SnapshotStatus> {
  const taken = (await gateway.ask({ about: 'snapshot', zone, store })) as { readonly failure: string | null } | null;
  if (taken === null) throw zoneUnavailable(zone);
  if (taken.failure !== null)
    throw new ApiProblem(
      'SNAPSHOT_FAILED',
      `No ${store} snapshot of zone ${zone} was stored: ${taken.failure}.`,
      'Check GET /health/ready and the alerts. The zone keeps running, and the snapshot is retried automatically.',
    );
  const newest = (await snapshotsOf(record, zone)).find((snapshot) => snapshot.store === store);
  if (!newest)
    throw new ApiProblem('SNAPSHOT_FAILED', `The ${store} snapshot of zone ${zone} cannot be found.`, 'Check the alerts, then try again.');
  return newest;
}

/** Loads a snapshot, which checks its integrity; with `replay`, also computes the hash that the log leads to without it. */
async function verifySnapshot(record: WorldRecord, zone: ZoneId, store: Store, label: Omit<SnapshotLabel, 'zone'>, replay: boolean) {
  try {
    const snapshot: Snapshot = await record[store].load({ zone: zoneAddress(worldZone.kind, zone), ...label });
    const state = snapshot.state as World;
    const replayed = replay ? await zoneAtPoint(recordBefore(record, label.seq), zone, { seq: label.seq }) : null;
    return {
      valid: true,
      detail: 'Integrity OK.',
      hash: hashOf(state),
      players: Object.keys(state.players).length,
      replayedHash: replayed?.hash ?? null,
    };
  } catch (error) {
    return { valid: false, detail: messageOf(error), hash: null, players: null, replayedHash: null };
  }
}
