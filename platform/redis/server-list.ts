import type { Redis } from 'ioredis';

const KEY = 'millrace:servers';
const SAY_EVERY_MS = 2_000;
/** Who says nothing for so long is taken for gone. */
const GONE_AFTER_MS = 7_000;

/** Redis’s own time, so that clocks of servers do not matter. Keeps the list free of who is long gone. */
const SAY = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
`;
const FIND = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[1], now - ARGV[1], '+inf')
`;

/** Tells gateways that there is a server at an address, again and again. @returns says that it goes */
export function announceServer(redis: Redis, address: string): () => Promise<void> {
  // Whoever connected hears that Redis is away.
  const say = () => void redis.eval(SAY, 1, KEY, address, GONE_AFTER_MS).catch(() => {});
  const saying = setInterval(say, SAY_EVERY_MS);
  if (redis.status === 'ready') say();
  else redis.once('ready', say);
  return async () => {
    clearInterval(saying);
    await redis.zrem(KEY, address).catch(() => {});
  };
}

/** Addresses of the servers that said within the last seconds that they are there. */
export async function findServers(redis: Redis): Promise<string[]> {
  return (await redis.eval(FIND, 1, KEY, GONE_AFTER_MS)) as string[];
}
