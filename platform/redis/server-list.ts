import type { Redis } from 'ioredis';

const KEY = 'millrace:servers';
const REGISTER_MS = 2_000;
/** Time after which a server that has not registered again is removed from the list, ms. */
const EXPIRES_MS = 7_000;

/** Uses the clock of Redis, so that the clocks of servers do not matter. Also removes expired servers. */
const REGISTER = `
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

/** Registers a server for the gateways, every 2 s. @returns a function that removes it from the list */
export function announceServer(redis: Redis, address: string): () => Promise<void> {
  // connectRedis reports an outage of Redis.
  const register = () => void redis.eval(REGISTER, 1, KEY, address, EXPIRES_MS).catch(() => {});
  const timer = setInterval(register, REGISTER_MS);
  if (redis.status === 'ready') register();
  else redis.once('ready', register);
  return async () => {
    clearInterval(timer);
    await redis.zrem(KEY, address).catch(() => {});
  };
}

/** Addresses of the registered servers. Rejects while Redis is unavailable. */
export async function findServers(redis: Redis): Promise<string[]> {
  return (await redis.eval(FIND, 1, KEY, EXPIRES_MS)) as string[];
}
