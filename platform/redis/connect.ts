import { Redis } from 'ioredis';

export type { Redis };

/** An answer that takes longer is worth less than going on without. */
const COMMAND_MS_MAX = 250;
const RETRY_MOST_MS = 5_000;

/** Connects as it can and again when it was away; commands while it is away are refused at once. */
export function connectRedis(url: string, onTrouble: (error: Error) => void): Redis {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    commandTimeout: COMMAND_MS_MAX,
    maxRetriesPerRequest: 0,
    retryStrategy: (times) => Math.min(RETRY_MOST_MS, 100 * 2 ** Math.min(times, 10)),
  });
  // One line for each time it goes, not for each attempt to come back.
  let isTold = false;
  redis.on('ready', () => {
    isTold = false;
  });
  redis.on('error', (error: Error) => {
    if (!isTold) onTrouble(error);
    isTold = true;
  });
  return redis;
}
