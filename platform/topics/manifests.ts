import type { Cursor, ShardManifest, ShardManifests } from '@millrace/kafka';
import type { Clock, SnapshotStore } from '@millrace/kernel';

/** Version of the format of a manifest. */
const VERSION = 1;

interface StoredManifest {
  readonly at: Cursor;
  readonly heads: readonly (readonly [zone: string, seq: number])[];
}

/** Manifests of the shards of a topic as snapshots: they are stored, checked and kept like those of zones. */
export class StoredManifests implements ShardManifests {
  readonly #store: SnapshotStore;
  readonly #clock: Pick<Clock, 'now'>;

  constructor(store: SnapshotStore, clock: Pick<Clock, 'now'>) {
    this.#store = store;
    this.#clock = clock;
  }

  /** @throws Error when there are manifests, and none of them can be read */
  async load(shard: number): Promise<ShardManifest | null> {
    let failure: unknown = null;
    for (const label of await this.#store.list(addressOf(shard))) {
      try {
        const { state } = await this.#store.load(label);
        const { at, heads } = state as StoredManifest;
        return { at, heads: new Map(heads) };
      } catch (error) {
        failure = error;
      }
    }
    if (failure !== null) throw failure;
    return null;
  }

  async save(shard: number, { at, heads }: ShardManifest): Promise<void> {
    const state: StoredManifest = { at, heads: [...heads] };
    const label = { zone: addressOf(shard), version: VERSION, epoch: at.epoch, seq: at.offset, time: this.#clock.now() };
    await this.#store.save({ ...label, state, answered: [], position: at });
  }
}

function addressOf(shard: number): string {
  return `shard/${shard}`;
}
