import type { FastifyInstance } from 'fastify';
import type { RequestHook } from './request-hook.ts';

/** What scripts of other sites’ pages may see of an answer’s head. */
const EXPOSED = 'x-request-id, ratelimit, ratelimit-policy, retry-after, etag, location, allow, www-authenticate, idempotency-replayed';
const METHODS = 'GET, HEAD, POST, PATCH, DELETE';
/** How long a browser may remember what another site’s page may ask. */
const PREFLIGHT_S = '600';

export interface SharingOptions {
  /** Sites whose pages may use a browser’s session here. */
  readonly origins: readonly string[];
  /** Whether pages of other sites may read what needs no browser’s session. */
  readonly isOpenToSites: boolean;
}

/**
 * CORS (Fetch Standard, “CORS protocol”): pages of sites that are named may ask with a browser’s session; others, where that is open, with a token or
 * key. Our own instead of @fastify/cors because most requests come from no page at all, and that looks at each of them; see `npm run bench -- gateway`.
 */
export function shareWithSites(app: FastifyInstance, { origins, isOpenToSites }: SharingOptions): RequestHook {
  const named = new Set(origins);
  // What a browser asks before it lets a page ask.
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
