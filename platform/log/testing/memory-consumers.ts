import type { ReadRange } from '@millrace/base/offsets';
import type { ConsumerGap, ConsumerRegistry, KnownGroup } from '../event-log.ts';
import { advancedOffsets } from '../offsets.ts';

/** Consumer groups in memory. */
export class MemoryConsumers implements ConsumerRegistry {
  readonly #groups = new Map<string, KnownGroup>();

  async note(group: string, offsets: readonly number[]): Promise<void> {
    this.#change(group, { offsets });
  }

  async advance(group: string, read: readonly ReadRange[], initial: readonly number[]): Promise<void> {
    this.#change(group, { offsets: advancedOffsets(group, this.#groups.get(group)?.offsets ?? [], read, initial) });
  }

  async remove(group: string): Promise<void> {
    this.#groups.delete(group);
  }

  async groups(): Promise<KnownGroup[]> {
    return [...this.#groups.values()];
  }

  async find(group: string): Promise<KnownGroup | undefined> {
    return this.#groups.get(group);
  }

  async noteBeyondEnd(group: string, beyondEnd: readonly (number | null)[]): Promise<void> {
    this.#change(group, { beyondEnd: beyondEnd.some((end) => end !== null) ? beyondEnd : [] });
  }

  async recordGap(group: string, gap: ConsumerGap): Promise<void> {
    this.#change(group, { gaps: [...(this.#groups.get(group)?.gaps ?? []), gap] });
  }

  #change(group: string, change: Partial<KnownGroup>): void {
    this.#groups.set(group, { group, offsets: [], gaps: [], beyondEnd: [], ...this.#groups.get(group), ...change });
  }
}
