import type { IncomingHttpHeaders } from 'node:http';
import type { Endpoint, Principal, Problem, Transport } from '@millrace/contracts';
import { ApiProblem, type ChannelOptions, type HttpParts, type StreamRegistration, traceparentOf } from '@millrace/http';
import { parsePosition } from '@millrace/streams';
import type { FastifyInstance } from 'fastify';
import { GraphQLError } from 'graphql';
import { ChannelEvents } from './channel-events.ts';
import type { Resources } from './schema.ts';

/** Maximum number of route calls of one operation. The cost estimate can be too low, because lists can be longer than estimated. */
const CALLS_MAX = 1_000;
const CHANNELS_MAX = 256;
/** Headers that identify the caller. They are sent with every route call of a query. */
const IDENTITY_HEADERS = ['authorization', 'x-api-key', 'cookie', 'origin', 'host', 'sec-fetch-site', 'user-agent'] as const;

/** The HTTP request of an operation. Over a WebSocket, the request that opened the connection. */
export interface OperationRequest {
  principal: Principal;
  headers: IncomingHttpHeaders;
  readonly remote: string;
  readonly trace: string;
  readonly transport: Transport;
  /** Entry of its WebSocket among the open streams. Null over HTTP. */
  readonly registration: StreamRegistration | null;
  /** Aborted when the response is finished or its client has disconnected. Null over WebSocket. */
  readonly signal: AbortSignal | null;
}

/** Routes and channels for the resolvers, with the identity of the caller. */
export function resourcesOf(
  { app, hub, streams, checkChannel }: Pick<HttpParts, 'app' | 'streams'> & Pick<ChannelOptions, 'hub' | 'checkChannel'>,
  request: OperationRequest,
): Resources {
  let calls = 0;
  return {
    call: (endpoint, args) => {
      if (++calls > CALLS_MAX)
        throw new GraphQLError(`The query reads more than ${CALLS_MAX} resources.`, { extensions: { code: 'QUERY_TOO_LARGE' } });
      return callRoute(app, request, endpoint, args);
    },
    subscribe: (names, from) => {
      try {
        if (names.length === 0 || names.length > CHANNELS_MAX)
          throw new ApiProblem('UNKNOWN_CHANNEL', `The subscription names ${names.length} channels.`, `Use 1 to ${CHANNELS_MAX} channels.`);
        const position = from === undefined || from === null ? null : parsePosition(from);
        if (position === undefined)
          throw new ApiProblem(
            'INVALID_POSITION',
            `"${from}" is not a valid position.`,
            'Use the position of a received event, or omit it.',
          );
        const channels = names.map((name) => checkChannel(name, request.principal));
        // A WebSocket counts as one open stream, for any number of operations.
        if (request.signal?.aborted) throw new GraphQLError('The client has disconnected.', { extensions: { code: 'STREAM_ENDED' } });
        const events = new ChannelEvents(hub, channels, position, (end) =>
          request.registration
            ? { close: () => {}, setPrincipal: () => {} }
            : streams.begin(request.principal, request.remote, request.transport, end),
        );
        // Yoga forgets the events of a client that disconnects before its response, or that accepts no format in which events can be sent.
        request.signal?.addEventListener('abort', () => void events.return(), { once: true });
        return events;
      } catch (error) {
        throw error instanceof ApiProblem
          ? errorOf({ code: error.code, detail: error.message, remedy: error.remedy, status: error.status })
          : error;
      }
    },
  };
}

async function callRoute(
  app: FastifyInstance,
  request: OperationRequest,
  endpoint: Endpoint,
  args: Record<string, unknown>,
): Promise<unknown> {
  const path = endpoint.path.replace(/:(\w+)/g, (_whole, name: string) => segmentOf(name, String(args[name])));
  const query = new URLSearchParams();
  for (const name of Object.keys(endpoint.query?.properties ?? {}))
    if (args[name] !== undefined && args[name] !== null) query.set(name, String(args[name]));
  const argsIn = (properties: object = {}) =>
    Object.fromEntries(Object.keys(properties).flatMap((name) => (args[name] === undefined ? [] : [[name, args[name]]])));
  const headers: Record<string, string> = { traceparent: traceparentOf(request.trace) };
  for (const name of IDENTITY_HEADERS) {
    const value = request.headers[name];
    if (typeof value === 'string') headers[name] = value;
  }
  const response = await app.inject({
    method: endpoint.method,
    url: query.size > 0 ? `${path}?${query}` : path,
    headers,
    remoteAddress: request.remote,
    ...(endpoint.body && { payload: argsIn(endpoint.body.properties) }),
  });
  if (response.statusCode === 204) return true;
  const value = response.json() as unknown;
  if (response.statusCode >= 400) throw errorOf(value as Problem);
  return value;
}

/**
 * A value as a part of the path of a route.
 * @throws GraphQLError for "." and "..": a URL with such a part is that of another route
 */
function segmentOf(name: string, value: string): string {
  if (value !== '.' && value !== '..') return encodeURIComponent(value);
  throw errorOf({
    code: 'BAD_REQUEST',
    detail: `"${value}" is not a valid ${name}.`,
    remedy: 'Send the id of an existing resource.',
    status: 400,
  });
}

function errorOf({ code, detail, remedy, status }: Pick<Problem, 'code' | 'detail' | 'remedy' | 'status'>): GraphQLError {
  return new GraphQLError(detail, { extensions: { code, remedy, status } });
}
