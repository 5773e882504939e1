import type { ConsumerGroupStatus } from '@millrace/contracts';
import { type EventLog, type KnownGroup, lagOf } from '@millrace/log';
import { consumerStatus } from '@millrace/module';
import { WORLD_HISTORY } from '../zone/zone.ts';
import type { ProjectorHandle } from './projector-handle.ts';

/** What the log has saved of the projector’s consumer group. */
export class SavedProgress {
  readonly #log: Pick<EventLog, 'consumers'>;
  #known: Pick<KnownGroup, 'offsets' | 'gaps'> = { offsets: [], gaps: [] };

  constructor(log: Pick<EventLog, 'consumers'>) {
    this.#log = log;
  }

  /** The last known progress. It is read again for the next call. */
  get(): Pick<KnownGroup, 'offsets' | 'gaps'> {
    void this.#refresh();
    return this.#known;
  }

  async #refresh(): Promise<void> {
    // Without a reply, the last known progress is shown.
    const known = await this.#log.consumers.find(WORLD_HISTORY).catch(() => undefined);
    if (known) this.#known = known;
  }
}

/** Status of the projector’s consumer group. While its process sends no stats, the lag counts from the offsets that the group saved in the log. */
export function projectorStatus(
  { stats, failure, isPaused }: ProjectorHandle,
  log: Pick<EventLog, 'stats'>,
  saved: SavedProgress,
): ConsumerGroupStatus {
  const { offsets, gaps } = saved.get();
  if (stats && failure === null) return consumerStatus(stats, isPaused);
  const { applied = 0, deadLetters = 0, overtaken = [] } = stats ?? {};
  const status = consumerStatus(
    { group: WORLD_HISTORY, lag: lagOf(log, offsets), applied, deadLetters, failure, offsets, overtaken, gaps },
    isPaused,
  );
  return { ...status, state: isPaused ? 'paused' : 'unavailable' };
}
