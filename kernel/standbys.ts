import type { ZoneAddress } from './command.ts';
import type { AnyZoneDefinition } from './definition.ts';
import type { HostParts } from './host-parts.ts';
import type { ZoneCopy } from './recovery.ts';
import { StandbyShard } from './standby-shard.ts';

/** Standby copies of a host. A copy takes as much memory as its zone. */
const COPIES_MAX = 10_000;
/** How long a host keeps the copies of a shard that it owns now, ms. Its zones are opened soon after the claim. */
const KEPT_MS = 60_000;

/** The standby copies of a host: zones of shards that other hosts own, kept up to date from the log, for the case that this host has to take them over. */
export class Standbys {
  readonly #parts: Pick<HostParts, 'options' | 'observers'>;
  readonly #definitionOf: (zone: ZoneAddress) => AnyZoneDefinition | undefined;
  /** The shards that this host stands by for. */
  readonly #shards = new Map<number, StandbyShard>();
  /** Shards that this host owns. */
  readonly #owned = new Set<number>();
  /** Cancels the removal of the copies of an owned shard. */
  readonly #removals = new Map<number, () => void>();

  constructor(parts: Pick<HostParts, 'options' | 'observers'>, definitionOf: (zone: ZoneAddress) => AnyZoneDefinition | undefined) {
    this.#parts = parts;
    this.#definitionOf = definitionOf;
  }

  /** Stands by for these shards, and for no others. */
  standBy(shards: ReadonlySet<number>): void {
    for (const index of this.#shards.keys()) if (!shards.has(index)) this.#remove(index);
    for (const index of shards) {
      if (this.#shards.has(index)) continue;
      const shard = new StandbyShard(
        {
          options: this.#parts.options,
          observers: this.#parts.observers,
          definitionOf: this.#definitionOf,
          room: () => this.#copiesMax - this.#count,
          onAdded: () => this.#makeRoom(),
        },
        index,
      );
      this.#shards.set(index, shard);
      if (!this.#owned.has(index)) shard.start();
    }
  }

  /** This host owns a shard now: its copies stay as they are, until its zones take them. */
  owned(index: number): void {
    this.#owned.add(index);
    const shard = this.#shards.get(index);
    if (!shard) return;
    shard.stop();
    this.#cancelRemoval(index);
    this.#removals.set(
      index,
      this.#parts.options.clock.after(KEPT_MS, () => shard.clear()),
    );
  }

  /** This host does not own a shard any more. */
  ended(index: number): void {
    if (!this.#owned.delete(index)) return;
    this.#cancelRemoval(index);
    this.#shards.get(index)?.start();
  }

  /** Removes and returns the copy of a zone, for its recovery. */
  take(zone: ZoneAddress): ZoneCopy | undefined {
    if (this.#shards.size === 0) return undefined;
    return this.#shards.get(this.#parts.options.log.shardOf(zone))?.take(zone);
  }

  /** The copy of a zone as it is now. It changes. */
  copyOf(zone: ZoneAddress): ZoneCopy | undefined {
    return this.#shards.get(this.#parts.options.log.shardOf(zone))?.copies.get(zone);
  }

  close(): void {
    for (const index of [...this.#shards.keys()]) this.#remove(index);
  }

  stats() {
    const shards = [...this.#shards.values()].filter(({ isFollowing }) => isFollowing);
    return {
      /** Shards that the host follows. */
      shards: shards.length,
      /** Of these, the shards whose copies have had the log up to its end. */
      completeShards: shards.filter(({ isComplete }) => isComplete).length,
      zones: this.#count,
      /** Records of the log that the copies lack. */
      lagRecords: shards.reduce((sum, { lagRecords }) => sum + lagRecords, 0),
    };
  }

  get #copiesMax(): number {
    return this.#parts.options.standbyZonesMax ?? COPIES_MAX;
  }

  get #count(): number {
    let count = 0;
    for (const { copies } of this.#shards.values()) count += copies.size;
    return count;
  }

  /** Beyond the limit, drops the copies of the zones that have not changed for longest, and a tenth of the limit more, so that few additions search. */
  #makeRoom(): void {
    const max = this.#copiesMax;
    const excess = this.#count - max;
    if (excess <= 0) return;
    const all = [...this.#shards.values()].flatMap((shard) =>
      [...shard.copies].map(([zone, { replay }]) => ({ shard, zone, time: replay.time })),
    );
    all.sort((one, other) => one.time - other.time);
    for (const { shard, zone } of all.slice(0, excess + Math.floor(max / 10))) shard.drop(zone);
  }

  #cancelRemoval(index: number): void {
    this.#removals.get(index)?.();
    this.#removals.delete(index);
  }

  #remove(index: number): void {
    this.#cancelRemoval(index);
    const shard = this.#shards.get(index);
    this.#shards.delete(index);
    shard?.stop();
    shard?.clear();
  }
}
