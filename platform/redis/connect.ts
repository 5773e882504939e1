import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import type { Redis } from 'ioredis';

export type { Redis };

/** Time limit of a command, ms: the platform works without Redis, and a longer wait costs more. */
const COMMAND_MS_MAX = 250;
const RETRY_MS_MAX = 5_000;
const READY_MS_MAX = 2_000;

/** Resolves when Redis is ready, or after 2 s: the server then starts without it. */
export async function redisReady(redis: Redis): Promise<void> {
  if (redis.status === 'ready') return;
  const waiting = new AbortController();
  const { signal } = waiting;
  // connectRedis reports the error.
  await Promise.race([once(redis, 'ready', { signal }), setTimeout(READY_MS_MAX, null, { signal })]).catch(() => {});
  waiting.abort();
}

/** Connects in the background, and reconnects after an outage. Commands are rejected at once while Redis is unavailable. */
export async function connectRedis(url: string, onFailure: (error: Error) => void): Promise<Redis> {
  // Loaded only by installations that use Redis.
  const { Redis } = await import('ioredis');
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    commandTimeout: COMMAND_MS_MAX,
    maxRetriesPerRequest: 0,
    retryStrategy: (times) => Math.min(RETRY_MS_MAX, 100 * 2 ** Math.min(times, 10)),
  });
  // Reports once per outage, not once per reconnect attempt.
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
