export { bodyDigestOf } from './body-digest.ts';
export type { Caller, Identify } from './caller.ts';
export { type ChannelOptions, serveChannels } from './channels.ts';
export { closeInTime, onceClosed, WEB_SOCKET_OPTIONS } from './closing.ts';
export {
  type AuditEvent,
  isLoopbackAddress,
  isLoopbackHost,
  operatorOf,
  requireAccess,
  type Vouched,
} from './guard.ts';
export { type IdempotencyHooks, type IdempotencyStore, idempotencyHooks, type KeyUse, type StoredResponse } from './idempotency.ts';
export { IdempotencyKeys, idempotencyKeys } from './idempotency-keys.ts';
export { OpenStreams, type StreamRegistration, type StreamsOf } from './open-streams.ts';
export { decodeCursor, encodeCursor, pageOf } from './pagination.ts';
export { ApiProblem } from './problems.ts';
export { type Allowance, MemoryRateLimiter, type RateLimiter } from './rate-limit.ts';
export { ResponseCache } from './response-cache.ts';
export type { Request, Routes } from './routes.ts';
export { createHttpServer, type HttpParts, type HttpServer, type HttpServerOptions, type TrafficOf } from './server.ts';
export type { ChannelCheck } from './socket.ts';
export { isStorable } from './sound-requests.ts';
export { traceparentOf } from './trace.ts';
export { proxiesIn, remoteOf } from './trusted-proxies.ts';
export { connectionOf, type TakeConnection, type Upgrade } from './upgrades.ts';
