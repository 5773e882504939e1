import type { FastifyInstance } from 'fastify';

/** Which requests are logged. `failed`: refused, failed and slow requests. */
export type RequestLog = 'none' | 'failed' | 'all';

/** Duration from which a request counts as slow, ms. */
const SLOW_MS = 1_000;

/** Logs one line per request: trace id, user, route, status and duration. Never its query or body, which may contain secrets. */
export function logRequests(app: FastifyInstance, which: RequestLog): void {
  if (which === 'none') return;
  app.addHook('onResponse', (request, reply, done) => {
    done();
    const { statusCode, elapsedTime } = reply;
    if (which === 'failed' && statusCode < 400 && elapsedTime < SLOW_MS) return;
    const line = {
      trace: request.id,
      method: request.method,
      route: request.routeOptions.url ?? pathOf(request.url),
      status: statusCode,
      durationMs: Math.round(elapsedTime * 10) / 10,
      remote: request.ip,
      user: request.principal?.user ?? null,
      tenant: request.principal?.tenant,
    };
    request.log[statusCode >= 500 ? 'error' : 'info'](line, 'request');
  });
}

/** The path of a request without a route, without its query. */
const pathOf = (url: string) => url.split('?')[0]?.slice(0, 256);
