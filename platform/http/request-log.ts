import type { FastifyInstance } from 'fastify';

/** Which requests are written to the log. `failed`: those that were refused, that failed, or that took long. */
export type RequestLog = 'none' | 'failed' | 'all';

/** Beyond it an answer is slow enough to be looked at. */
const SLOW_MS = 1_000;

/** One line a request, with its trace id: who asked for what, what became of it and how long it took. Never its query or its body. */
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

/** Where nothing is, the address says what was looked for; its query may hold anything. */
const pathOf = (url: string) => url.split('?')[0]?.slice(0, 256);
