import type { Endpoint, Principal } from '@millrace/contracts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Static, TSchema } from 'typebox';

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

export function routesOf(app: FastifyInstance): Routes {
  const schemaOf = (endpoint: Endpoint) => ({
    ...(endpoint.params && { params: endpoint.params }),
    ...(endpoint.query && { querystring: { ...endpoint.query, additionalProperties: false } }),
    ...(endpoint.body && { body: { ...endpoint.body, additionalProperties: false } }),
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
        handler: (raw, reply) => handler(requestOf(raw, reply)),
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
