import type { ZoneIndexStore, ZonePlace } from '@millrace/kafka';
import { type IndexedRange, rangesFrom, withRange } from '../../../platform/kafka/indexed-ranges.ts';
import type { Machine } from '../scheduler.ts';

/** Share of writes that fail. */
const FAILED_WRITES = 0.05;

interface IndexedShard {
  ranges: readonly IndexedRange[];
  readonly newest: Map<string, number>;
  readonly places: Map<string, ZonePlace[]>;
}

/** The index of a simulated machine. It survives crashes; some writes fail, and each takes a while. */
export class MemoryZoneIndex implements ZoneIndexStore {
  #shards = new Map<number, IndexedShard>();
  readonly #machine: Machine;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  async ranges(shard: number): Promise<readonly IndexedRange[]> {
    return this.#ask(() => this.#of(shard).ranges);
  }

  find: ZoneIndexStore['find'] = (shard, zone, seq) =>
    this.#ask(() => {
      const { ranges, newest, places } = this.#of(shard);
      const before = (places.get(zone) ?? []).filter(({ firstSeq }) => firstSeq <= seq);
      const place = before.reduce<ZonePlace | null>((most, one) => (one.firstSeq > (most?.firstSeq ?? -1) ? one : most), null);
      return { place, newest: newest.get(zone) ?? null, ranges };
    });

  add: ZoneIndexStore['add'] = (entries) => {
    // What is passed later belongs to the next write.
    const added = entries.map(({ shard, ranges, newest, places }) => structuredClone({ shard, ranges, newest: [...newest], places }));
    return this.#ask(() => {
      for (const { shard, ranges, newest, places } of added) {
        const of = this.#of(shard);
        for (const [zone, offset] of newest) of.newest.set(zone, Math.max(offset, of.newest.get(zone) ?? -1));
        for (const { zone, place } of places) of.places.set(zone, [...(of.places.get(zone) ?? []), place]);
        if (this.#machine.scheduler.chance(FAILED_WRITES)) throw new Error('the index cannot be written');
        for (const range of ranges) of.ranges = withRange(of.ranges, range);
      }
    });
  };

  forgetBefore: ZoneIndexStore['forgetBefore'] = (shard, offset) =>
    this.#ask(() => {
      const of = this.#of(shard);
      of.ranges = rangesFrom(of.ranges, offset);
      for (const [zone, places] of of.places)
        of.places.set(
          zone,
          places.filter(({ at }) => at.offset >= offset),
        );
      for (const [zone, newest] of of.newest) if (newest < offset) of.newest.delete(zone);
    });

  async pauseWrites(work: () => Promise<void>): Promise<void> {
    await work();
  }

  async clear(): Promise<void> {
    this.#shards = new Map();
  }

  async close(): Promise<void> {}

  #of(shard: number): IndexedShard {
    const known = this.#shards.get(shard) ?? { ranges: [], newest: new Map(), places: new Map() };
    this.#shards.set(shard, known);
    return known;
  }

  #ask<T>(work: () => T): Promise<T> {
    return this.#machine.ask(this.#machine.scheduler.between(0.1, 3), work);
  }
}
