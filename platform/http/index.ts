export { type Caller, isLoopbackAddress, isLoopbackHost, operatorOf, requireAccess } from './guard.ts';
export { ApiProblem } from './problems.ts';
export { MemoryRateLimiter } from './rate-limit.ts';
export type { Request, Routes } from './routes.ts';
export { createHttpServer, type HttpServer, type HttpServerOptions, requireChannel, type Upgrade } from './server.ts';
