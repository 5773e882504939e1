import type { IncomingHttpHeaders } from 'node:http';
import { useAPQ as persistedOnDemand } from '@graphql-yoga/plugin-apq';
import type { ModuleContract } from '@millrace/contracts';
import { type ChannelOptions, connectionOf, type HttpParts } from '@millrace/http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { createYoga } from 'graphql-yoga';
import { createDocumentCaches, type DocumentCaches } from './document-caches.ts';
import { GRAPHQL_PATH } from './path.ts';
import { clientErrors, onlyConfiguredOperations, queryLimits } from './plugins.ts';
import { type OperationRequest, resourcesOf } from './resources.ts';
import { graphSchema, type Resources } from './schema.ts';
import { graphQlSockets } from './websocket.ts';

/** Options of the GraphQL server. */
export interface GraphQlOptions extends ChannelOptions {
  /** Modules whose endpoints and channels become fields. */
  readonly contracts: readonly ModuleContract[];
  /** Allowed operations by the SHA-256 of their text. Null allows every operation. */
  readonly operations: ReadonlyMap<string, string> | null;
}

/** Handler of the GraphQL route. */
export interface GraphQlServer {
  handle(request: FastifyRequest, reply: FastifyReply): Promise<unknown>;
  /** Closes all WebSockets with a reason. */
  close(): Promise<void>;
}

/**
 * GraphQL over HTTP, server-sent events (graphql-sse in distinct connections mode) and WebSocket (graphql-transport-ws). Every field calls a route of
 * the HTTP API in this process, so the access checks of the routes apply.
 * @param caches documents that are cached between requests
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
    plugins: [
      queryLimits(schema),
      clientErrors(),
      operations ? onlyConfiguredOperations(operations) : persistedOnDemand({ store: caches.persisted }),
    ],
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
      error: (error) => logger.error({ err: error }, 'GraphQL operation failed'),
    },
  });
  const sockets = graphQlSockets(http, yoga, operations);
  return {
    handle: async (request, reply) => {
      const take = connectionOf(request, reply);
      if (take) return sockets.upgrade(request, take);
      // The client disconnected while its credential was checked.
      if (reply.raw.destroyed) return reply.hijack();
      const { principal, headers, ip: remote, id: trace } = request;
      const aborted = new AbortController();
      // `close` of the response, not of the socket: a socket with keep-alive stays open for later requests.
      reply.raw.once('close', () => aborted.abort());
      const { signal } = aborted;
      const init = {
        method: request.method,
        headers: headersFor(headers),
        signal,
        ...(request.method === 'POST' && { body: (request.body as string | undefined) ?? '' }),
      };
      const operationRequest: OperationRequest = {
        principal,
        headers,
        remote,
        trace,
        transport: 'graphql-sse',
        registration: null,
        signal,
      };
      const response = await responseOf(yoga.fetch(`http://${GRAPHQL_HOST}${request.url}`, init, { operationRequest }), signal);
      if (!response) return reply.hijack();
      for (const [name, value] of response.headers) void reply.header(name, value);
      return reply.code(response.status).send(response.body ?? '');
    },
    close: () => sockets.close(),
  };
}

/** A response, or null when its client disconnected before it. */
async function responseOf(pending: Response | Promise<Response>, signal: AbortSignal): Promise<Response | null> {
  try {
    return await pending;
  } catch (error) {
    if (signal.aborted) return null;
    throw error;
  }
}

/** Yoga needs absolute URLs; this host is never resolved. */
const GRAPHQL_HOST = 'graphql.invalid';

function headersFor(headers: IncomingHttpHeaders): Headers {
  const forwarded = new Headers();
  for (const name of ['accept', 'content-type'] as const) if (headers[name] !== undefined) forwarded.set(name, headers[name]);
  return forwarded;
}
