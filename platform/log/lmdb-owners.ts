import { randomUUID } from 'node:crypto';
import { ClaimLost, type ShardClaim, type ZoneAddress } from '@millrace/kernel';
import { partOfCommit } from '@millrace/lmdb/commit';
import type { Database, RootDatabase } from 'lmdb';
import type { Owner } from './lmdb-writer.ts';
import type { Head } from './lmdb-writes.ts';

/** Key of the entry with the name of the placement. */
const PLACEMENT = 'placement';

/** How the zones of a log are assigned to shards. */
export interface ShardPlacement {
  /** Stored in the log. A log is not used with another placement. */
  readonly name: string;
  /** The zones of a shard must be in one partition of the log: an append has one position. */
  shardOf(zone: ZoneAddress): number;
}

/** The owners of the shards of a log. */
export class LmdbOwners {
  readonly #placement: ShardPlacement;
  readonly #heads: Database<Head, string>;
  readonly #owners: Database<Owner, number>;
  readonly #names: Database<string, string>;
  readonly #known = new Map<number, Owner>();

  constructor(root: RootDatabase, placement: ShardPlacement, heads: Database<Head, string>) {
    this.#placement = placement;
    this.#heads = heads;
    this.#owners = root.openDB<Owner, number>({ name: 'owners' });
    this.#names = root.openDB<string, string>({ name: 'names' });
  }

  shardOf(zone: ZoneAddress): number {
    return this.#placement.shardOf(zone);
  }

  /** The newest owner of a shard. It is cached. */
  of(shard: number): Owner | undefined {
    const owner = this.#known.get(shard) ?? this.#owners.get(shard);
    if (owner) this.#known.set(shard, owner);
    return owner;
  }

  /** Empties the cache: another process may have written. */
  forget(): void {
    this.#known.clear();
  }

  /** The next owner of a shard, within a transaction. @throws ClaimLost; Error when the log was written with another placement */
  next(shard: number, { lease, onPrevious }: ShardClaim): Owner {
    this.#requirePlacement();
    const before = this.#owners.get(shard) ?? { epoch: this.#newestEpoch(shard), name: '' };
    const next = { epoch: before.epoch + 1, name: randomUUID() };
    if (lease.leftMs() <= 0) throw new ClaimLost(shard, 'the lease has ended');
    onPrevious(next.name, before.name);
    partOfCommit(this.#owners.put(shard, next));
    return next;
  }

  /** Highest epoch of the zones of a shard without an owner: in earlier versions each zone had an epoch of its own, and none is used again. */
  #newestEpoch(shard: number): number {
    let newest = 0;
    for (const { key, value } of this.#heads.getRange()) if (this.shardOf(key) === shard) newest = Math.max(newest, value.epoch);
    return newest;
  }

  #requirePlacement(): void {
    const known = this.#names.get(PLACEMENT);
    if (known === undefined) return partOfCommit(this.#names.put(PLACEMENT, this.#placement.name));
    if (known === this.#placement.name) return;
    throw new Error(
      `the zones of this log are placed on shards ${known}, and not ${this.#placement.name}; run the version that has created it`,
    );
  }
}
