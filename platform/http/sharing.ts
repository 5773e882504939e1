import type { FastifyInstance } from 'fastify';
import type { RequestHook } from './request-hook.ts';

/** Response headers that scripts of other sites may read. */
const EXPOSED = 'x-request-id, ratelimit, ratelimit-policy, retry-after, etag, location, allow, www-authenticate, idempotency-replayed';
const METHODS = 'GET, HEAD, POST, PATCH, DELETE';
/** How long a browser may cache a preflight response, seconds. */
const PREFLIGHT_S = '600';

export interface SharingOptions {
  /** Origins whose pages may use a browser session. */
  readonly origins: readonly string[];
  /** Whether pages of other origins may read responses that need no browser session. */
  readonly isOpenToSites: boolean;
}

/**
 * CORS (Fetch Standard, “CORS protocol”): pages of configured origins may use a browser session; if `isOpenToSites`, other pages may use a token or key.
 * Not @fastify/cors: it processes every request, and most come from no page; see `npm run bench -- gateway`.
 */
export function shareWithSites(app: FastifyInstance, { origins, isOpenToSites }: SharingOptions): RequestHook {
  const named = new Set(origins);
  // Preflight requests.
  app.options('*', { config: { access: 'public', cost: 0 } }, (request, reply) => {
    const wanted = request.headers['access-control-request-headers'];
    void reply.headers({
      'access-control-allow-methods': METHODS,
      'access-control-max-age': PREFLIGHT_S,
      vary: 'Origin, Access-Control-Request-Headers',
      ...(wanted !== undefined && { 'access-control-allow-headers': wanted }),
    });
    return reply.code(204).send();
  });
  return ({ headers: { origin } }, reply) => {
    if (origin === undefined) return;
    const isNamed = named.has(origin);
    void reply.header('vary', 'Origin');
    if (!isNamed && !isOpenToSites) return;
    void reply.headers({ 'access-control-allow-origin': isNamed ? origin : '*', 'access-control-expose-headers': EXPOSED });
    if (isNamed) void reply.header('access-control-allow-credentials', 'true');
  };
}
