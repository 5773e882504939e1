import {
  type CacheRule,
  type Endpoint,
  type Page,
  type PageQuery,
  type Principal,
  requestObjectSchema,
  requestSchema,
  takesIdempotencyKey,
} from '@millrace/contracts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Static, TSchema } from 'typebox';
import type { IdempotencyHooks } from './idempotency.ts';
import { paginate } from './pagination.ts';
import type { ResponseCache } from './response-cache.ts';
import { type TimeConversions, timeConversionsOf } from './times.ts';

type Parsed<Schema> = Schema extends TSchema ? Static<Schema> : Record<string, never>;

/** What a handler gets: the parts of the request that its endpoint declares, parsed and checked. */
export interface Request<E extends Endpoint> {
  readonly params: Parsed<E['params']>;
  readonly query: Parsed<E['query']>;
  readonly body: Parsed<E['body']>;
  readonly principal: Principal;
  readonly raw: FastifyRequest;
  readonly reply: FastifyReply;
}

type ResponseOf<E extends Endpoint> = Static<E['response']>;
type RowOf<E extends Endpoint> = ResponseOf<E> extends Page<infer Row> ? Row : never;

/** How a module adds its endpoints. */
export interface Routes {
  /** Responds with what the handler returns, as JSON. */
  handle<E extends Endpoint>(endpoint: E, handler: (request: Request<E>) => ResponseOf<E> | Promise<ResponseOf<E>>): void;
  /**
   * Responds with a page of the rows that the handler returns. For lists that are in memory; a handler that reads pages from a store uses `handle`.
   * @param keyOf identifies a row
   */
  list<E extends Endpoint>(
    endpoint: E,
    keyOf: (row: RowOf<E>) => string | number,
    handler: (request: Request<E>) => readonly RowOf<E>[] | Promise<readonly RowOf<E>[]>,
  ): void;
  /** For responses that are not JSON: streams and redirects. The handler sends them itself. */
  stream<E extends Endpoint>(endpoint: E, handler: (request: Request<E>) => unknown): void;
}

/**
 * @param cache holds the responses of endpoints with a cache rule
 * @param idempotent hooks of routes that take an Idempotency-Key; null where requests are not processed here, as in a gateway
 */
export function routesOf(app: FastifyInstance, cache: ResponseCache, idempotent: IdempotencyHooks | null): Routes {
  const schemaOf = (endpoint: Endpoint) => ({
    ...(endpoint.params && { params: requestSchema(endpoint.params) }),
    ...(endpoint.query && { querystring: requestObjectSchema(endpoint.query) }),
    ...(endpoint.body && { body: requestObjectSchema(endpoint.body) }),
  });
  const requestOf = <E extends Endpoint>(raw: FastifyRequest, reply: FastifyReply, times: TimeConversions) =>
    ({
      params: raw.params,
      query: times.query(raw.query),
      body: times.body(raw.body),
      principal: raw.principal,
      raw,
      reply,
    }) as unknown as Request<E>;
  const routes: Routes = {
    handle: (endpoint, handler) => {
      const { access, cost, cache: rule, status = 200 } = endpoint as Endpoint;
      const times = timeConversionsOf(endpoint);
      const make = async (raw: FastifyRequest, reply: FastifyReply) => times.response(await handler(requestOf(raw, reply, times)));
      const respond =
        status === 200
          ? make
          : async (raw: FastifyRequest, reply: FastifyReply) => sendWithStatus(endpoint, raw, reply, await make(raw, reply));
      app.route({
        method: endpoint.method,
        url: endpoint.path,
        schema: schemaOf(endpoint),
        config: { access, ...(cost !== undefined && { cost }) },
        ...(idempotent && takesIdempotencyKey(endpoint) && idempotent),
        ...(mayBeLong(endpoint) && { compress: {} }),
        handler: rule ? (raw, reply) => sendCached(cache, rule, raw, reply, () => make(raw, reply)) : respond,
      });
    },
    list: (endpoint, keyOf, handler) =>
      routes.handle(endpoint, async (request) => paginate(await handler(request), request.query as PageQuery, keyOf) as never),
    stream: (endpoint, handler) => {
      const times = timeConversionsOf(endpoint);
      app.route({
        method: endpoint.method,
        url: endpoint.path,
        schema: schemaOf(endpoint),
        config: { access: endpoint.access, ...(endpoint.cost !== undefined && { cost: endpoint.cost }) },
        handler: (raw, reply) => handler(requestOf(raw, reply, times)),
      });
    },
  };
  return routes;
}

/** Sends 201 with `Location`, or 204 without a body. */
function sendWithStatus({ status, location }: Endpoint, raw: FastifyRequest, reply: FastifyReply, response: unknown): FastifyReply {
  if (status === 204) return reply.code(204).send();
  if (location !== undefined) {
    const names = { ...(response as Record<string, unknown>), ...(raw.params as Record<string, unknown>) };
    void reply.header(
      'location',
      location.replace(/\{(\w+)\}/g, (_whole, name: string) => encodeURIComponent(String(names[name]))),
    );
  }
  return reply.code(status ?? 200).send(response);
}

/** Sends the cached response while it is valid; 304 when the client has it already (RFC 9110, section 13). */
async function sendCached(
  cache: ResponseCache,
  rule: CacheRule,
  raw: FastifyRequest,
  reply: FastifyReply,
  make: () => Promise<unknown>,
): Promise<FastifyReply> {
  const about = rule.about.replace(/\{(\w+)\}/g, (_whole, name: string) => String((raw.params as Record<string, unknown>)[name]));
  const { body, etag } = await cache.get(raw.url, about, rule, make);
  // For this client only, which revalidates the response before it is used again.
  void reply.headers({ etag, 'cache-control': 'private, no-cache' });
  const known = raw.headers['if-none-match'];
  if (known?.split(/, */).some((one) => one.replace(/^W\//, '') === etag)) return reply.code(304).send();
  return reply.type('application/json; charset=utf-8').send(body);
}

/** Whether a response may be worth compressing: it is a list, or contains one. */
function mayBeLong({ response }: Endpoint): boolean {
  return JSON.stringify(response).includes('"type":"array"');
}
