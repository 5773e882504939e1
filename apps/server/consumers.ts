import type { ConsumerStand } from '@millrace/contracts';
import type { Consumer } from '@millrace/operations';
import type { ConsumerFigures, ConsumerGroup, EventLog } from '@millrace/platform/log';
import { WORLD_HISTORY } from '@millrace/worlds';
import type { ProjectorHandle } from './projector/projector-handle.ts';

/** A group that reads in this process, as operators handle it. */
export function ownConsumer(consumer: ConsumerGroup, log: EventLog, topic: string): Consumer {
  let isPaused = false;
  let changing: Promise<void> = Promise.resolve();
  return {
    group: consumer.figures().group,
    topic,
    log,
    stand: () => ({ ...standOf(consumer.figures()), state: isPaused ? 'paused' : 'running' }),
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
  };
}

/** The group that writes the world’s tables, in its own process. */
export function projectorConsumer(projector: ProjectorHandle, log: EventLog): Consumer {
  const group = WORLD_HISTORY;
  return {
    group,
    topic: 'worlds',
    log,
    stand: () => {
      const { figures } = projector;
      if (!figures) return { group, state: 'away', lag: 0, applied: 0, deadLetters: 0, trouble: 'It is starting.', offsets: [] };
      return { ...standOf(figures), state: projector.isPaused ? 'paused' : 'running' };
    },
    replay: (letter) => projector.replay(letter),
    pause: () => projector.pause(),
    resume: () => projector.resume(),
  };
}

function standOf({ group, lag, applied, deadLetters, trouble, offsets }: ConsumerFigures): Omit<ConsumerStand, 'state'> {
  return { group, lag, applied, deadLetters, trouble, offsets: [...offsets] };
}
