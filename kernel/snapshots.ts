import { messageOf, within } from './deadline.ts';
import type { SnapshotKind } from './host-options.ts';
import type { HostParts } from './host-parts.ts';
import type { ZoneEntry } from './zone-entry.ts';

/** Time limit of one save, in ms. A slower store must not delay the snapshots of other zones. */
const SAVE_MS_MAX = 4_000;

type Parts = Pick<HostParts, 'options' | 'entries' | 'observers'>;

/** Takes snapshots of a host’s zones. A snapshot is stored when the log has all of its events, so that it is of the branch that the log has. */
export class Snapshots {
  readonly #parts: Parts;
  skipped = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Resolves with null when the store has the zone’s newest state, from now or before; else with the reason of the failure. */
  async take(entry: ZoneEntry, kind: SnapshotKind): Promise<string | null> {
    const { zone, shard } = entry;
    const { address, seq } = zone;
    const { clock, [kind]: store } = this.#parts.options;
    if (!entry.isSound) return 'the zone is not active';
    if (seq === entry.snapshotSeq[kind]) return null;
    if (!shard.outbox.records(address)) {
      this.skipped++;
      return 'the log lacks events of the zone; retry when it has them';
    }
    const started = clock.elapsed();
    const time = zone.time.at(clock.now(), started);
    let failure: string | null = null;
    try {
      await within(clock, SAVE_MS_MAX, `the ${kind} store`, store.save(zone.snapshot(time), this.#recorded(entry)));
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

  /** Resolves when the log has the present events of a zone. Rejects when they are lost, or it is not known. */
  #recorded({ zone, shard }: ZoneEntry): Promise<void> {
    return new Promise((resolve, reject) => {
      shard.outbox.whenDurable(zone.address, zone.seq, (refusal) => (refusal ? reject(new Error(refusal.message)) : resolve()));
    });
  }
}
