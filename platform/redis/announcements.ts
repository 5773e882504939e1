import type { Redis } from 'ioredis';

/** What one server tells the others: something they may remember counts no more. */
export interface Announcements<T> {
  tell(message: T): void;
  close(): void;
}

/** Nobody else is there. */
export const nobodyElse: Announcements<unknown> = { tell: () => {}, close: () => {} };

/**
 * Tells the other servers of an installation through Redis, and hears what they tell. What is told while Redis is away is lost: whoever remembers must
 * not remember for long.
 * @param name of what is told about
 */
export function announcements<T>(
  redis: Redis,
  name: string,
  heard: (message: T) => void,
  onFailure: (error: Error) => void,
): Announcements<T> {
  const channel = `millrace:${name}`;
  const self = crypto.randomUUID();
  const ears = redis.duplicate({ enableOfflineQueue: true });
  ears.on('error', () => {});
  ears.subscribe(channel).catch(onFailure);
  ears.on('message', (_channel, text) => {
    try {
      const { from, message } = JSON.parse(text) as { from: string; message: T };
      if (from !== self) heard(message);
    } catch (error) {
      // Anything may be published in a Redis that others use as well.
      onFailure(new Error(`a message on ${channel} cannot be used: ${text.slice(0, 100)}`, { cause: error }));
    }
  });
  return {
    tell: (message) => {
      redis.publish(channel, JSON.stringify({ from: self, message })).catch(onFailure);
    },
    close: () => ears.disconnect(),
  };
}
