import { writerOf } from './batch.ts';
import { messageOf, within } from './deadline.ts';
import type { ZoneAddress } from './definition.ts';
import type { Outbox } from './outbox.ts';
import type { Clock, SnapshotStore } from './ports.ts';
import type { ZoneEntry } from './zone-entry.ts';

const HOT_EVERY_MS = 5_000;
const COLD_EVERY_MS = 60_000;
/**
 * Events the log may lack for a snapshot to carry them; beyond it the snapshot is skipped until the log is back. They are read
 * back from the spool while everyone waits, some milliseconds for so many.
 */
const CARRIED_EVENTS_MAX = 1_000;
/** A store that has not answered by then holds up the other zones no longer. */
const SAVE_MS_MAX = 4_000;

export type SnapshotKind = 'hot' | 'cold';

/** What became of a snapshot. */
export interface SnapshotFigures {
  readonly zone: ZoneAddress;
  readonly store: SnapshotKind;
  readonly seq: number;
  readonly time: number;
  readonly ms: number;
  readonly failure: string | null;
}

export interface SnapshotsOptions {
  readonly hot: SnapshotStore;
  readonly cold: SnapshotStore;
  readonly clock: Clock;
  readonly outbox: Outbox;
  readonly entries: () => Iterable<ZoneEntry>;
  readonly onSnapshot: (figures: SnapshotFigures) => void;
  readonly onTrouble: (zone: ZoneAddress, message: string) => void;
  readonly hotEveryMs?: number;
  readonly coldEveryMs?: number;
}

/** Takes snapshots of a host’s zones, on a schedule and when asked. One that would not count is not taken. */
export class Snapshots {
  readonly #options: SnapshotsOptions;
  readonly #cancels = { hot: () => {}, cold: () => {} };
  #isStopped = false;
  skipped = 0;

  constructor(options: SnapshotsOptions) {
    this.#options = options;
    this.#schedule('hot', options.hotEveryMs ?? HOT_EVERY_MS);
    this.#schedule('cold', options.coldEveryMs ?? COLD_EVERY_MS);
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancels.hot();
    this.#cancels.cold();
  }

  /** Resolves when the zone’s snapshot is stored, or when there is none to take: unsound, unchanged, or with too much that the log lacks. */
  async take(entry: ZoneEntry, kind: SnapshotKind): Promise<void> {
    const { zone } = entry;
    const { outbox, clock, onSnapshot, onTrouble, [kind]: store } = this.#options;
    if (!entry.isSound || zone.seq === entry.snapshotSeq[kind]) return;
    if (outbox.hasLoss(zone.address) || outbox.unrecordedEvents(zone.address) > CARRIED_EVENTS_MAX) {
      this.skipped++;
      return;
    }
    const { seq } = zone;
    const time = clock.now();
    const started = clock.elapsed();
    let failure: string | null = null;
    try {
      // What an earlier owner left behind is no part of what the zone is now.
      const unrecorded = outbox.unrecorded(zone.address).filter((batch) => writerOf(batch) >= zone.epoch);
      await within(clock, SAVE_MS_MAX, `the ${kind} store`, store.save(zone.snapshot(time, unrecorded)));
      entry.snapshotSeq[kind] = seq;
    } catch (error) {
      failure = messageOf(error);
      onTrouble(zone.address, `${kind} snapshot at seq ${seq}: ${failure}`);
    }
    onSnapshot({ zone: zone.address, store: kind, seq, time, ms: clock.elapsed() - started, failure });
  }

  async takeAll(kind: SnapshotKind): Promise<void> {
    await Promise.all([...this.#options.entries()].map((entry) => this.take(entry, kind)));
  }

  #schedule(kind: SnapshotKind, everyMs: number): void {
    this.#cancels[kind] = this.#options.clock.after(everyMs, () => {
      void this.#takeEach(kind).finally(() => {
        if (!this.#isStopped) this.#schedule(kind, everyMs);
      });
    });
  }

  /** One zone after another, so that a thousand of them never hold up a turn together. A store that is silent is asked once in a round. */
  async #takeEach(kind: SnapshotKind): Promise<void> {
    for (const entry of [...this.#options.entries()]) {
      if (this.#isStopped) return;
      const started = this.#options.clock.elapsed();
      await this.take(entry, kind);
      if (this.#options.clock.elapsed() - started >= SAVE_MS_MAX) return;
    }
  }
}
