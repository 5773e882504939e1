import type { ReadRange } from '@millrace/base/offsets';
import { partOfCommit, type StoreWriter } from '@millrace/lmdb/commit';
import { inTransaction } from '@millrace/lmdb/open-shared';
import type { Database, RootDatabase } from 'lmdb';
import type { ConsumerGap, ConsumerRegistry, KnownGroup } from './event-log.ts';
import { advancedOffsets } from './offsets.ts';

/** What the log stores of a consumer group. `beyondEnd` is missing unless the store of the group was ahead of the log. */
export type StoredGroup = Omit<KnownGroup, 'group' | 'beyondEnd'> & Partial<Pick<KnownGroup, 'beyondEnd'>>;

const NO_GROUP: StoredGroup = { offsets: [], gaps: [] };
/** Number of newest gaps that are kept of a group. */
const GAPS_MAX = 100;

/** Offsets and gaps of the consumer groups, in the environment of the log: retention waits for them. */
export class LmdbConsumers implements ConsumerRegistry {
  readonly #groups: Database<StoredGroup, string>;
  readonly #writer: StoreWriter;

  constructor(root: RootDatabase, writer: StoreWriter) {
    this.#writer = writer;
    this.#groups = root.openDB({ name: 'consumers' });
  }

  async note(group: string, offsets: readonly number[]): Promise<void> {
    const known = this.#groups.get(group);
    // Unchanged offsets need no write.
    if (known && String(known.offsets) === String(offsets)) return;
    await this.#change(group, (known) => ({ ...known, offsets: [...offsets] }));
  }

  async advance(group: string, read: readonly ReadRange[], initial: readonly number[]): Promise<void> {
    await this.#change(group, (known) => ({ ...known, offsets: advancedOffsets(group, known.offsets, read, initial) }));
  }

  async remove(group: string): Promise<void> {
    await this.#writer.commit(() => this.#groups.remove(group));
  }

  async groups(): Promise<KnownGroup[]> {
    return [...this.#groups.getRange().map(({ key, value }) => ({ group: key, beyondEnd: [], ...value }))];
  }

  async find(group: string): Promise<KnownGroup | undefined> {
    const known = this.#groups.get(group);
    return known && { group, beyondEnd: [], ...known };
  }

  async noteBeyondEnd(group: string, ends: readonly (number | null)[]): Promise<void> {
    const isAhead = ends.some((end) => end !== null);
    if (String(isAhead ? ends : []) === String(this.#groups.get(group)?.beyondEnd ?? [])) return;
    await this.#change(group, ({ beyondEnd: _before, ...known }) => ({ ...known, ...(isAhead && { beyondEnd: [...ends] }) }));
  }

  async recordGap(group: string, gap: ConsumerGap): Promise<void> {
    await this.#change(group, (known) => ({ ...known, gaps: [...known.gaps, gap].slice(-GAPS_MAX) }));
  }

  async #change(group: string, change: (known: StoredGroup) => StoredGroup): Promise<void> {
    const work = () => partOfCommit(this.#groups.put(group, change(this.#groups.get(group) ?? NO_GROUP)));
    await this.#writer.commit(() => inTransaction(this.#groups, work));
  }
}
