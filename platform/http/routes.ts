import { type CacheRule, type Endpoint, type Principal, requestObjectSchema, requestSchema } from '@millrace/contracts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Static, TSchema } from 'typebox';
import type { ResponseCache } from './response-cache.ts';

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

/** How a module adds its endpoints. */
export interface Routes {
  answer<E extends Endpoint>(endpoint: E, handler: (request: Request<E>) => Static<E['answer']> | Promise<Static<E['answer']>>): void;
  /** For answers that are no JSON: written to the socket as they come, or a way to somewhere else. */
  stream<E extends Endpoint>(endpoint: E, handler: (request: Request<E>) => unknown): void;
}

/** @param cache where answers that may be given again are kept */
export function routesOf(app: FastifyInstance, cache: ResponseCache): Routes {
  const schemaOf = (endpoint: Endpoint) => ({
    ...(endpoint.params && { params: requestSchema(endpoint.params) }),
    ...(endpoint.query && { querystring: requestObjectSchema(endpoint.query) }),
    ...(endpoint.body && { body: requestObjectSchema(endpoint.body) }),
  });
  const requestOf = <E extends Endpoint>(raw: FastifyRequest, reply: FastifyReply) =>
    ({ params: raw.params, query: raw.query, body: raw.body, principal: raw.principal, raw, reply }) as unknown as Request<E>;
  return {
    answer: (endpoint, handler) => {
      app.route({
        method: endpoint.method,
        url: endpoint.path,
        schema: schemaOf(endpoint),
        config: { access: endpoint.access, ...(endpoint.cost !== undefined && { cost: endpoint.cost }) },
        ...(mayBeLong(endpoint) && { compress: {} }),
        handler: endpoint.cache
          ? (raw, reply) => answerAgain(cache, endpoint.cache as CacheRule, raw, reply, async () => handler(requestOf(raw, reply)))
          : (raw, reply) => handler(requestOf(raw, reply)),
      });
    },
    stream: (endpoint, handler) => {
      app.route({
        method: endpoint.method,
        url: endpoint.path,
        schema: schemaOf(endpoint),
        config: { access: endpoint.access, ...(endpoint.cost !== undefined && { cost: endpoint.cost }) },
        handler: (raw, reply) => handler(requestOf(raw, reply)),
      });
    },
  };
}

/** Answers with what was answered before, where that still counts; with nothing where whoever asks has it already (RFC 9110, section 13). */
async function answerAgain(
  cache: ResponseCache,
  rule: CacheRule,
  raw: FastifyRequest,
  reply: FastifyReply,
  make: () => Promise<unknown>,
): Promise<FastifyReply> {
  const about = rule.about.replace(/\{(\w+)\}/g, (_whole, name: string) => String((raw.params as Record<string, unknown>)[name]));
  const { body, etag } = await cache.answer(raw.url, about, rule, make);
  // For whoever asked alone, who asks whether it still counts before it is used again.
  void reply.headers({ etag, 'cache-control': 'private, no-cache' });
  const known = raw.headers['if-none-match'];
  if (known?.split(/, */).some((one) => one.replace(/^W\//, '') === etag)) return reply.code(304).send();
  return reply.type('application/json; charset=utf-8').send(body);
}

/** Whether an answer may be worth compressing: it is a list, or holds one. */
function mayBeLong({ answer }: Endpoint): boolean {
  return JSON.stringify(answer).includes('"type":"array"');
}
