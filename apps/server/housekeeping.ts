import type { Settings } from '@millrace/config';
import { messageOf, type SnapshotStore, type ZoneAddress } from '@millrace/kernel';
import type { Logger } from '@millrace/telemetry';
import type { Topic } from '@millrace/topics';

const GIB = 1024 ** 3;
const HOUR_MS = 3_600_000;
/** Maximum number of attempts to delete events, each after snapshots of the zones that stopped the one before. */
const ROUNDS_MAX = 100;
/** Interval of retention, ms. */
export const RETENTION_MS = 10 * 60_000;

/** Deletes events that are old enough, that every consumer group has read and that a snapshot covers, in the logs of all topics. */
export async function applyRetention(topics: Iterable<Topic>, { log }: Settings, logger: Logger): Promise<void> {
  const rule = { olderThanMs: log.retentionHours * HOUR_MS, bytesMax: log.retentionGiB * GIB };
  for (const topic of topics) {
    let droppedEvents = 0;
    // The log stops at the first zone of each partition without a snapshot.
    for (let round = 0, isStopped = true; isStopped && round < ROUNDS_MAX; round++) {
      const snapshots = new ColdSnapshots(topic.stores.cold);
      droppedEvents += await topic.log.retain({ ...rule, isCovered: (zone, seq) => snapshots.cover(zone, seq) }, Date.now());
      isStopped = false;
      for (const zone of snapshots.missing) if (await saveSnapshot(topic, zone, logger)) isStopped = true;
    }
    if (droppedEvents > 0) logger.info({ topic: topic.name, droppedEvents }, 'retention deleted events');
  }
}

/** The newest cold snapshots of zones, each read once. */
class ColdSnapshots {
  readonly #store: SnapshotStore;
  readonly #seqs = new Map<ZoneAddress, number>();
  /** Zones without a snapshot of the events that were asked for. */
  readonly missing = new Set<ZoneAddress>();

  constructor(store: SnapshotStore) {
    this.#store = store;
  }

  async cover(zone: ZoneAddress, seq: number): Promise<boolean> {
    let newest = this.#seqs.get(zone);
    if (newest === undefined) {
      newest = Math.max(0, ...(await this.#store.list(zone)).map((label) => label.seq));
      this.#seqs.set(zone, newest);
    }
    if (newest < seq) this.missing.add(zone);
    return newest >= seq;
  }
}

/** Saves snapshots of a zone that was not opened since its newest events, as after the process was killed. @returns whether they are saved */
async function saveSnapshot({ name, host }: Topic, zone: ZoneAddress, logger: Logger): Promise<boolean> {
  // The processes of its zones save their snapshots.
  if (!host) return false;
  const wasOpen = host.status(zone) !== 'stopped';
  try {
    await host.open(zone);
    const failures = [await host.snapshot(zone, 'cold'), await host.snapshot(zone, 'hot')].filter((failure) => failure !== null);
    if (failures.length > 0) throw new Error(failures.join('; '));
    return true;
  } catch (error) {
    logger.warn({ topic: name, zone, reason: messageOf(error) }, 'events of a zone are kept longer: no snapshot of it can be saved');
    return false;
  } finally {
    if (!wasOpen) await host.release(zone);
  }
}
