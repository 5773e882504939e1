import type { ConsumerGroupStatus } from '@millrace/contracts';
import type { Consumer } from '@millrace/operations';
import type { ConsumerGap, ConsumerGroup, ConsumerStats, EventLog } from '@millrace/platform/log';
import { WORLD_HISTORY } from '@millrace/worlds';
import type { ProjectorHandle } from './projector/projector-handle.ts';

/** A group that reads in this process, as operators handle it. */
export function ownConsumer(consumer: ConsumerGroup, log: EventLog, topic: string): Consumer {
  let isPaused = false;
  let changing: Promise<void> = Promise.resolve();
  return {
    group: consumer.stats().group,
    topic,
    log,
    status: () => statusOf(consumer.stats(), isPaused),
    replay: (letter) => consumer.replay(letter),
    pause: () => {
      if (isPaused) return;
      isPaused = true;
      changing = changing.then(() => consumer.stop());
    },
    resume: () => {
      if (!isPaused) return;
      isPaused = false;
      changing = changing.then(() => consumer.start());
    },
    skipDropped: async () => (await consumer.skipDropped()).length,
  };
}

/** The group that writes the world’s tables, in its own process. */
export function projectorConsumer(projector: ProjectorHandle, log: EventLog): Consumer {
  const group = WORLD_HISTORY;
  return {
    group,
    topic: 'worlds',
    log,
    status: () => {
      const { stats } = projector;
      if (stats) return statusOf(stats, projector.isPaused);
      const nothing = { lag: 0, applied: 0, deadLetters: 0, offsets: [], overtaken: [], gaps: [] };
      return { group, state: 'unavailable', failure: 'It is starting.', ...nothing };
    },
    replay: (letter) => projector.replay(letter),
    pause: () => projector.pause(),
    resume: () => projector.resume(),
    skipDropped: () => projector.skipDropped(),
  };
}

function statusOf({ offsets, overtaken, gaps, ...stats }: ConsumerStats, isPaused: boolean): ConsumerGroupStatus {
  const state = isPaused ? 'paused' : overtaken.length > 0 ? 'overtaken' : 'running';
  return { ...stats, state, offsets: [...offsets], overtaken: overtaken.map(gapResource), gaps: gaps.map(gapResource) };
}

const gapResource = ({ at, ...gap }: ConsumerGap) => ({ ...gap, recordedAt: at });

/** Events that were dropped before a group read them. */
export function overtakenBy({ overtaken }: ConsumerGroupStatus): number {
  return overtaken.reduce((sum, { from, to }) => sum + to - from, 0);
}
