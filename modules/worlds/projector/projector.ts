import { systemClock } from '@millrace/base/clock';
import { connectDatabase, type DatabaseAddress, failureReason } from '@millrace/database';
import { ConsumerGroup, type ConsumerStats, type EventLog } from '@millrace/log';
import type { TopicLog } from '@millrace/topics';
import { allPlayers, type PlayerQuery, readPlayer, worldProjection } from '@millrace/worlds/tables';

const STATS_MS = 1_000;

export type ProjectorQuery = PlayerQuery | { about: 'players' };

export type ToProjector =
  | { readonly type: 'begin'; readonly data: string; readonly log: TopicLog; readonly database: DatabaseAddress }
  | { readonly type: 'query'; readonly ask: number; readonly query: ProjectorQuery }
  | { readonly type: 'replay'; readonly ask: number; readonly deadLetter: number }
  | { readonly type: 'caught-up' | 'skip-dropped'; readonly ask: number }
  | { readonly type: 'pause' | 'resume' | 'stop' };

export type FromProjector =
  | { readonly type: 'answer'; readonly ask: number; readonly answer: unknown; readonly failure: string | null }
  | { readonly type: 'stats'; readonly stats: ConsumerStats; readonly paused: boolean }
  | { readonly type: 'failure'; readonly message: string };

export interface Projector {
  received(message: ToProjector): void;
  stop(): Promise<void>;
}

/** Keeps the world’s tables up to date from the log, and serves queries of them. */
export function runProjector(log: EventLog, address: DatabaseAddress, send: (message: FromProjector) => void): Projector {
  const failure = (message: string) => send({ type: 'failure', message });
  const database = connectDatabase(address, (error) => failure(failureReason(error)));
  const consumer = new ConsumerGroup(log, worldProjection(database), systemClock, failure, failureReason);
  let isPaused = false;
  // Starts are not awaited: they last until the tables can be read, and the stats must tell that, and a pause or a stop end it.
  void consumer.start();
  // Pauses and resumes run one after another.
  let changing: Promise<void> = Promise.resolve();
  const stats = setInterval(() => send({ type: 'stats', stats: consumer.stats(), paused: isPaused }), STATS_MS);

  const query = (request: ProjectorQuery): Promise<unknown> => {
    return request.about === 'players' ? allPlayers(database) : readPlayer(database, request);
  };
  const respondWith = (ask: number, work: Promise<unknown>) =>
    void work.then(
      (answer) => send({ type: 'answer', ask, answer, failure: null }),
      (error) => send({ type: 'answer', ask, answer: null, failure: failureReason(error) }),
    );
  return {
    received: (message) => {
      switch (message.type) {
        case 'query':
          return respondWith(message.ask, query(message.query));
        case 'replay':
          return respondWith(message.ask, consumer.replay(message.deadLetter));
        case 'caught-up':
          return respondWith(message.ask, consumer.caughtUp());
        case 'skip-dropped':
          return respondWith(
            message.ask,
            consumer.skipDropped().then((gaps) => gaps.length),
          );
        case 'pause':
          if (isPaused) return;
          isPaused = true;
          changing = changing.then(() => consumer.stop());
          return;
        case 'resume':
          if (!isPaused) return;
          isPaused = false;
          changing = changing.then(() => void consumer.start());
          return;
      }
    },
    stop: async () => {
      clearInterval(stats);
      database.stopping();
      await changing;
      if (!isPaused) await consumer.stop();
      await database.close();
      await log.close();
    },
  };
}
