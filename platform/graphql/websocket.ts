import { hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { ApiProblem, type HttpParts, type TakeConnection } from '@millrace/http';
import type { FastifyRequest } from 'fastify';
import { type DocumentNode, type ExecutionArgs, GraphQLError, getOperationAST } from 'graphql';
import type { SubscribePayload } from 'graphql-ws';
import { useServer as serveOver } from 'graphql-ws/use/ws';
import type { YogaServerInstance } from 'graphql-yoga';
import { WebSocketServer } from 'ws';
import { operationError, requireShortDocument } from './plugins.ts';
import type { OperationRequest } from './resources.ts';
import type { Resources } from './schema.ts';

/** Maximum size of a message with a query and its variables, bytes. REST bodies may be as large. */
const MESSAGE_BYTES_MAX = 1024 * 1024;
/** Operations in progress over one WebSocket. */
const OPERATIONS_MAX = 256;
/** Close code “Forbidden” of GraphQL over WebSocket: clients connect again, with their newest credentials. */
const FORBIDDEN = 4403;
/** A close frame has room for 123 bytes of reason. */
const CLOSE_REASON_MAX = 120;

type Yoga = YogaServerInstance<{ operationRequest: OperationRequest }, Resources>;
type Enveloped = ExecutionArgs & { rootValue: { execute: (args: ExecutionArgs) => never; subscribe: (args: ExecutionArgs) => never } };

/** GraphQL over WebSocket (graphql-transport-ws). */
export interface GraphQlSockets {
  /** @param take takes the connection over from the HTTP server. @throws ApiProblem, and leaves it there, when it may not be opened */
  upgrade(request: FastifyRequest, take: TakeConnection): void;
  /** Closes all connections. */
  close(): Promise<void>;
}

/** @param operations listed documents by SHA-256; when given, all others are rejected */
export function graphQlSockets(
  { streams, identify }: Pick<HttpParts, 'streams' | 'identify'>,
  yoga: Yoga,
  operations: ReadonlyMap<string, string> | null,
): GraphQlSockets {
  const requests = new WeakMap<IncomingMessage, OperationRequest>();
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MESSAGE_BYTES_MAX,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has('graphql-transport-ws') ? 'graphql-transport-ws' : false),
  });
  const server = serveOver(
    {
      onConnect: ({ connectionParams, extra: { request } }) =>
        authenticate(
          requests.get(request) as OperationRequest,
          connectionParams?.authorization ?? connectionParams?.Authorization,
          identify,
        ),
      execute: (args) => (args as Enveloped).rootValue.execute(args),
      subscribe: (args) => (args as Enveloped).rootValue.subscribe(args),
      onSubscribe: async ({ extra: { request }, subscriptions }, _id, params) =>
        Object.keys(subscriptions).length > OPERATIONS_MAX
          ? [new GraphQLError(`${OPERATIONS_MAX} operations are under way.`, { extensions: { code: 'RATE_LIMITED' } })]
          : executionOf(yoga.getEnveloped({ operationRequest: requests.get(request), params }), params, operations),
    },
    sockets,
  );
  return {
    upgrade: ({ raw, principal, headers, ip: remote, id: trace }, take) => {
      let end: (reason: string) => void = () => {};
      const place = streams.begin(principal, remote, 'graphql-websocket', (reason) => end(reason));
      const { socket, head } = take();
      end = () => void socket.destroy();
      socket.once('close', place.close);
      requests.set(raw, { principal, headers, remote, trace, transport: 'graphql-websocket', place });
      sockets.handleUpgrade(raw, socket, head, (connection) => {
        end = (reason) => connection.close(FORBIDDEN, reason.slice(0, CLOSE_REASON_MAX));
        sockets.emit('connection', connection, raw);
      });
    },
    close: async () => {
      await server.dispose();
    },
  };
}

/** Gives a connection the identity behind its `authorization` parameter, if it has one. @returns false for invalid credentials */
async function authenticate(request: OperationRequest, authorization: unknown, identify: HttpParts['identify']): Promise<boolean> {
  if (typeof authorization !== 'string') return true;
  const headers = { authorization, host: request.headers.host };
  try {
    request.principal = await identify({ headers, remote: request.remote });
    // From now on the connection belongs to this credential, and ends with it.
    request.place?.is(request.principal);
  } catch (error) {
    if (error instanceof ApiProblem) return false;
    throw error;
  }
  request.headers = headers;
  return true;
}

/** What executes an operation, or why it is rejected. */
async function executionOf(
  { schema, execute, subscribe, contextFactory, parse, validate }: ReturnType<Yoga['getEnveloped']>,
  params: SubscribePayload,
  operations: ReadonlyMap<string, string> | null,
): Promise<ExecutionArgs | readonly GraphQLError[]> {
  let document: DocumentNode;
  try {
    requireShortDocument(params.query);
    document = parse(documentOf(params, operations));
  } catch (error) {
    if (error instanceof GraphQLError) return [error];
    throw error;
  }
  const errors = validate(schema, document);
  if (errors.length > 0) return errors;
  if (!getOperationAST(document, params.operationName)) return [operationError(params.operationName)];
  return {
    schema,
    operationName: params.operationName,
    document,
    variableValues: params.variables,
    contextValue: await contextFactory(),
    rootValue: { execute, subscribe },
  } as ExecutionArgs;
}

/**
 * The document of an operation that came over a WebSocket, which yoga’s plugins for persisted operations do not see: where operations are listed it must
 * be one of them, by its hash or by its text.
 */
function documentOf({ query, extensions }: SubscribePayload, operations: ReadonlyMap<string, string> | null): string {
  if (!operations) return query;
  const shown = (extensions?.persistedQuery as { sha256Hash?: unknown } | undefined)?.sha256Hash;
  const named = typeof shown === 'string' ? shown : '';
  const listed = operations.get(query ? hash('sha256', query, 'hex') : named);
  if (listed !== undefined) return listed;
  throw new GraphQLError(
    query ? 'This operation is not one of those that are listed here.' : `No operation has the SHA-256 "${named.slice(0, 64)}".`,
    {
      extensions: { code: 'PERSISTED_QUERY_NOT_IN_LIST', remedy: 'Use one of the operations of graphql.operations.' },
    },
  );
}
