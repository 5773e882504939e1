export { type Announcements, announcements, singleServer } from './announcements.ts';
export { connectRedis, type Redis, redisReady } from './connect.ts';
export { type FanOut, fanOut } from './fan-out.ts';
export { redisRateLimiter } from './redis-rate-limiter.ts';
export { announceServer, findServers } from './server-list.ts';
