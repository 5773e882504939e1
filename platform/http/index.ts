export { type Caller, type Deed, type Identify, isLoopbackAddress, isLoopbackHost, operatorOf, requireAccess } from './guard.ts';
export type { StreamPlace, StreamsOf } from './open-streams.ts';
export { ApiProblem } from './problems.ts';
export { type Allowance, MemoryRateLimiter, type Rate, type RateLimiter } from './rate-limit.ts';
export type { Request, Routes } from './routes.ts';
export { createHttpServer, type Door, type HttpServer, type HttpServerOptions, requireChannel, type TrafficOf } from './server.ts';
export type { ChannelCheck } from './socket.ts';
export { traceparentOf } from './trace.ts';
export { connectionOf, type Upgrade } from './upgrades.ts';
