import { writerOf } from './batch.ts';
import { messageOf, within } from './deadline.ts';
import type { SnapshotKind } from './host-options.ts';
import type { HostParts } from './host-parts.ts';
import type { Outbox } from './outbox.ts';
import type { ZoneEntry } from './zone-entry.ts';

/**
 * Events missing in the log that a snapshot may carry. With more, the snapshot is skipped until the log has caught up. The read of
 * so many from the spool blocks the thread for some milliseconds.
 */
const CARRIED_EVENTS_MAX = 1_000;
/** Time limit of one save, in ms. A slower store must not delay the snapshots of other zones. */
const SAVE_MS_MAX = 4_000;

type Parts = Pick<HostParts, 'options' | 'entries' | 'observers'> & { outbox: Outbox };

/** Takes snapshots of a host’s zones. Skips a snapshot that would not count in a recovery. */
export class Snapshots {
  readonly #parts: Parts;
  skipped = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Resolves with null when the store has the zone’s newest state, from now or before; else with the reason of the failure. */
  async take(entry: ZoneEntry, kind: SnapshotKind): Promise<string | null> {
    const { address, seq } = entry.zone;
    const { clock, [kind]: store } = this.#parts.options;
    if (!entry.isSound) return 'the zone is not active';
    if (seq === entry.snapshotSeq[kind]) return null;
    if (entry.lostFrom !== null || this.#parts.outbox.unrecordedEvents(address) > CARRIED_EVENTS_MAX) {
      this.skipped++;
      return `the log lacks a lost range or more than ${CARRIED_EVENTS_MAX} events of the zone; retry when it has them`;
    }
    const [time, started] = [clock.now(), clock.elapsed()];
    let failure: string | null = null;
    try {
      // Batches left behind by an earlier owner are not part of the zone’s present state.
      const unrecorded = this.#parts.outbox.unrecorded(address).filter((batch) => writerOf(batch) >= entry.zone.epoch);
      await within(clock, SAVE_MS_MAX, `the ${kind} store`, store.save(entry.zone.snapshot(time, unrecorded)));
      entry.snapshotSeq[kind] = seq;
    } catch (error) {
      failure = messageOf(error);
      this.#parts.observers.report({ kind: 'snapshot', zone: address, message: `${kind} snapshot at seq ${seq}: ${failure}` });
    }
    const ms = clock.elapsed() - started;
    this.#parts.observers.notify(({ onSnapshot }) => onSnapshot?.({ zone: address, store: kind, seq, time, ms, failure }));
    return failure;
  }

  /** Takes a snapshot of each zone, all at the same time. */
  async takeAll(kind: SnapshotKind): Promise<void> {
    await Promise.all([...this.#parts.entries.values()].map((entry) => this.take(entry, kind)));
  }
}
