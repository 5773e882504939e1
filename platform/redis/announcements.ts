import type { Redis } from 'ioredis';

/** Messages between the servers of an installation, such as cache invalidations. */
export interface Announcements<T> {
  publish(message: T): void;
  close(): void;
}

/** For an installation of one server: messages are dropped. */
export const singleServer: Announcements<unknown> = { publish: () => {}, close: () => {} };

/**
 * Publishes messages to the other servers of an installation through Redis, and receives theirs. A message is lost while Redis is
 * unavailable, so caches that depend on it must expire.
 * @param name topic of the messages; part of the name of the Redis channel
 */
export function announcements<T>(
  redis: Redis,
  name: string,
  onMessage: (message: T) => void,
  onFailure: (error: Error) => void,
): Announcements<T> {
  const channel = `millrace:${name}`;
  const self = crypto.randomUUID();
  const subscriber = redis.duplicate({ enableOfflineQueue: true });
  subscriber.on('error', () => {});
  subscriber.subscribe(channel).catch(onFailure);
  subscriber.on('message', (_channel, text) => {
    try {
      const { from, message } = JSON.parse(text) as { from: string; message: T };
      if (from !== self) onMessage(message);
    } catch (error) {
      // Other programs may publish to the same Redis.
      onFailure(new Error(`a message on ${channel} cannot be used: ${text.slice(0, 100)}`, { cause: error }));
    }
  });
  return {
    publish: (message) => {
      redis.publish(channel, JSON.stringify({ from: self, message })).catch(onFailure);
    },
    close: () => subscriber.disconnect(),
  };
}
