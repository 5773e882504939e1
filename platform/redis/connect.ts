import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import type { Redis } from 'ioredis';

export type { Redis };

/** An answer that takes longer is worth less than going on without. */
const COMMAND_MS_MAX = 250;
const RETRY_MOST_MS = 5_000;
const READY_MS_MAX = 2_000;

/** Resolves when Redis answers, or after a while in which it did not: then things begin without it. */
export async function redisReady(redis: Redis): Promise<void> {
  if (redis.status === 'ready') return;
  const waiting = new AbortController();
  const { signal } = waiting;
  // connectRedis reports the error.
  await Promise.race([once(redis, 'ready', { signal }), setTimeout(READY_MS_MAX, null, { signal })]).catch(() => {});
  waiting.abort();
}

/** Connects as it can and again when it was away; commands while it is away are refused at once. */
export async function connectRedis(url: string, onFailure: (error: Error) => void): Promise<Redis> {
  // Loaded by those who use it.
  const { Redis } = await import('ioredis');
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    commandTimeout: COMMAND_MS_MAX,
    maxRetriesPerRequest: 0,
    retryStrategy: (times) => Math.min(RETRY_MOST_MS, 100 * 2 ** Math.min(times, 10)),
  });
  // One line for each time it goes, not for each attempt to come back.
  let isReported = false;
  redis.on('ready', () => {
    isReported = false;
  });
  redis.on('error', (error: Error) => {
    if (!isReported) onFailure(error);
    isReported = true;
  });
  return redis;
}
