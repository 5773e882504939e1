export { createHttpServer, requireChannel, type HttpServer, type HttpServerOptions } from './server.ts';
export { ApiProblem } from './problems.ts';
export type { Request, Routes } from './routes.ts';
