import type { ConsumerGroupStatus } from '@millrace/contracts';
import { type EventLog, lagOf } from '@millrace/log';
import { consumerStatus } from '@millrace/module';
import { WORLD_HISTORY } from '../zone/zone.ts';
import type { ProjectorHandle } from './projector-handle.ts';

/** Status of the projector’s consumer group. While its process sends no stats, the lag counts from the offsets that the group saved in the log. */
export function projectorStatus({ stats, failure, isPaused }: ProjectorHandle, log: EventLog): ConsumerGroupStatus {
  if (stats && failure === null) return consumerStatus(stats, isPaused);
  const group = WORLD_HISTORY;
  const offsets = log.consumers.offsets(group);
  const { applied = 0, deadLetters = 0, overtaken = [] } = stats ?? {};
  const status = consumerStatus(
    { group, lag: lagOf(log, offsets), applied, deadLetters, failure, offsets, overtaken, gaps: log.consumers.gaps(group) },
    isPaused,
  );
  return { ...status, state: isPaused ? 'paused' : 'unavailable' };
}
