import type { IncomingHttpHeaders } from 'node:http';
import { useAPQ as persistedOnDemand } from '@graphql-yoga/plugin-apq';
import type { ModuleContract } from '@millrace/contracts';
import { type ChannelOptions, connectionOf, type HttpParts } from '@millrace/http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { createYoga } from 'graphql-yoga';
import { createDocumentCaches, type DocumentCaches } from './document-caches.ts';
import { GRAPHQL_PATH } from './path.ts';
import { clientErrors, limited, onlyListed } from './plugins.ts';
import { type OperationRequest, resourcesOf } from './resources.ts';
import { graphSchema, type Resources } from './schema.ts';
import { graphQlSockets } from './websocket.ts';

export interface GraphQlOptions extends ChannelOptions {
  /** Modules whose endpoints and channels are fields. */
  readonly contracts: readonly ModuleContract[];
  /** Operations by the SHA-256 of their text; when given, nothing else is answered. */
  readonly operations: ReadonlyMap<string, string> | null;
}

/** Answers the requests of one route. */
export interface GraphQlServer {
  answer(request: FastifyRequest, reply: FastifyReply): Promise<unknown>;
  /** Ends what goes on over WebSockets, and says why. */
  close(): Promise<void>;
}

/**
 * GraphQL over HTTP, server-sent events (the distinct connections of graphql-sse) and WebSocket (graphql-transport-ws), over the same resources and
 * channels: every field calls a route of the HTTP API in this process, so the guard of the routes applies.
 * @param caches documents that are kept between requests
 */
export function openGraphQl(
  http: Pick<HttpParts, 'app' | 'streams' | 'identify'>,
  { logger, operations, contracts, ...channels }: GraphQlOptions,
  caches: DocumentCaches = createDocumentCaches(),
): GraphQlServer {
  const schema = graphSchema(contracts);
  const yoga = createYoga<{ operationRequest: OperationRequest }, Resources>({
    schema,
    graphqlEndpoint: GRAPHQL_PATH,
    context: ({ operationRequest }) => resourcesOf({ ...http, ...channels }, operationRequest),
    plugins: [limited(schema), clientErrors(), operations ? onlyListed(operations) : persistedOnDemand({ store: caches.persisted })],
    parserAndValidationCache: { documentCache: caches.parsed as never, errorCache: caches.errors as never },
    // The HTTP server checks origins; files and pages are not served here.
    cors: false,
    multipart: false,
    graphiql: false,
    landingPage: false,
    logging: {
      debug: () => {},
      info: () => {},
      warn: (...message) => logger.warn({ message }, 'graphql'),
      error: (error) => logger.error({ err: error }, 'a GraphQL operation failed'),
    },
  });
  const sockets = graphQlSockets(http, yoga, operations);
  return {
    answer: async (request, reply) => {
      const take = connectionOf(request, reply);
      if (take) return sockets.upgrade(request, take);
      const { principal, headers, ip: remote, id: trace } = request;
      const ended = new AbortController();
      // Of the response, not of the socket, which carries later requests too.
      reply.raw.once('close', () => ended.abort());
      const response = await yoga.fetch(
        `http://${GRAPHQL_HOST}${request.url}`,
        {
          method: request.method,
          headers: headersFor(headers),
          signal: ended.signal,
          ...(request.method === 'POST' && { body: (request.body as string | undefined) ?? '' }),
        },
        { operationRequest: { principal, headers, remote, trace, transport: 'graphql-sse', place: null } },
      );
      for (const [name, value] of response.headers) void reply.header(name, value);
      return reply.code(response.status).send(response.body ?? '');
    },
    close: () => sockets.close(),
  };
}

/** Yoga needs absolute URLs; this host is never resolved. */
const GRAPHQL_HOST = 'graphql.invalid';

function headersFor(headers: IncomingHttpHeaders): Headers {
  const copied = new Headers();
  for (const name of ['accept', 'content-type'] as const) if (headers[name] !== undefined) copied.set(name, headers[name]);
  return copied;
}
