import type { ConsumerGroupStatus } from '@millrace/contracts';
import type { ConsumerGap, ConsumerGroup, ConsumerStats, EventLog } from '@millrace/log';

/** Operations on a consumer group, in this process or in another one. */
export interface Consumer {
  readonly group: string;
  /** Topic that it reads. */
  readonly topic: string;
  /** Log of the topic. */
  readonly log: EventLog;
  status(): ConsumerGroupStatus;
  /** Processes a dead letter again. Resolves with false when it belongs to another group. @throws the error of the processing */
  replay(deadLetter: number): Promise<boolean>;
  pause(): void;
  resume(): void;
  /** Continues after events that retention dropped before the group read them. Resolves with the number of gaps. */
  skipDropped(): Promise<number>;
}

/** A consumer group that runs in this process. */
export function consumerOf(group: ConsumerGroup, topic: string, log: EventLog): Consumer {
  let isPaused = false;
  let changing: Promise<void> = Promise.resolve();
  return {
    group: group.stats().group,
    topic,
    log,
    status: () => consumerStatus(group.stats(), isPaused),
    replay: (deadLetter) => group.replay(deadLetter),
    pause: () => {
      if (isPaused) return;
      isPaused = true;
      changing = changing.then(() => group.stop());
    },
    resume: () => {
      if (!isPaused) return;
      isPaused = false;
      // The start is not awaited: it lasts until the store of the group can be read, and a pause must be possible before.
      changing = changing.then(() => void group.start());
    },
    skipDropped: async () => (await group.skipDropped()).length,
  };
}

/** Statistics of a consumer group as the API shows them. */
export function consumerStatus(
  { offsets, partitions: _partitions, overtaken, gaps, ...stats }: ConsumerStats,
  isPaused: boolean,
): ConsumerGroupStatus {
  const state = isPaused ? 'paused' : overtaken.length > 0 ? 'overtaken' : 'running';
  return { ...stats, state, offsets: [...offsets], overtaken: overtaken.map(gapOf), gaps: gaps.map(gapOf) };
}

function gapOf({ at, ...gap }: ConsumerGap): ConsumerGroupStatus['gaps'][number] {
  return { ...gap, recordedAt: at };
}
