import { LastKnown } from '@millrace/base/last-known';
import type { ConsumerGroupStatus } from '@millrace/contracts';
import { type EventLog, type KnownGroup, lagOf } from '@millrace/log';
import { consumerStatus } from '@millrace/module';
import { WORLD_HISTORY } from '../zone/zone.ts';
import type { ProjectorHandle } from './projector-handle.ts';

type Saved = LastKnown<Pick<KnownGroup, 'offsets' | 'gaps'>>;

/** What the log has saved of the projector’s consumer group. */
export function savedProgress({ consumers }: Pick<EventLog, 'consumers'>): Saved {
  const nothing = { offsets: [], gaps: [] };
  return new LastKnown(async () => (await consumers.find(WORLD_HISTORY)) ?? nothing, nothing);
}

/** Status of the projector’s consumer group. While its process sends no stats, the lag counts from the offsets that the group saved in the log. */
export function projectorStatus(
  { stats, failure, isPaused }: ProjectorHandle,
  log: Pick<EventLog, 'stats'>,
  saved: Saved,
): ConsumerGroupStatus {
  const { offsets, gaps } = saved.get();
  if (stats && failure === null) return consumerStatus(stats, isPaused);
  const { applied = 0, deadLetters = 0, overtaken = [] } = stats ?? {};
  const status = consumerStatus(
    { group: WORLD_HISTORY, lag: lagOf(log, offsets), applied, deadLetters, failure, offsets, partitions: [], overtaken, gaps },
    isPaused,
  );
  return { ...status, state: isPaused ? 'paused' : 'unavailable' };
}
