import { hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { ApiProblem, type HttpParts, onceClosed, type TakeConnection, WEB_SOCKET_OPTIONS } from '@millrace/http';
import type { FastifyRequest } from 'fastify';
import { type DocumentNode, type ExecutionArgs, GraphQLError, getOperationAST } from 'graphql';
import type { SubscribePayload } from 'graphql-ws';
import { useServer as serveOver } from 'graphql-ws/use/ws';
import type { YogaServerInstance } from 'graphql-yoga';
import { WebSocketServer } from 'ws';
import { operationError, requireShortDocument } from './plugins.ts';
import type { OperationRequest } from './resources.ts';
import type { Resources } from './schema.ts';

/** Maximum size of a message with a query and its variables, bytes. The limit of REST bodies is the same. */
const MESSAGE_BYTES_MAX = 1024 * 1024;
/** Maximum number of running operations of one WebSocket. */
const OPERATIONS_MAX = 256;
/** Close code “Forbidden” of graphql-transport-ws. Clients reconnect with their current credentials. */
const FORBIDDEN = 4403;
/** A close frame has room for 123 bytes of reason. */
const CLOSE_REASON_MAX = 120;

type Yoga = YogaServerInstance<{ operationRequest: OperationRequest }, Resources>;
type Enveloped = ExecutionArgs & { rootValue: { execute: (args: ExecutionArgs) => never; subscribe: (args: ExecutionArgs) => never } };

/** GraphQL over WebSocket (graphql-transport-ws). */
export interface GraphQlSockets {
  /**
   * Opens a WebSocket for a request.
   * @param take takes the connection over from the HTTP server
   * @throws ApiProblem when too many streams are open; the HTTP server then keeps the connection
   */
  upgrade(request: FastifyRequest, take: TakeConnection): void;
  /** Closes all connections. */
  close(): Promise<void>;
}

/** GraphQL over WebSocket for one server. @param operations allowed documents by SHA-256; null allows every document */
export function graphQlSockets(
  { streams, identify }: Pick<HttpParts, 'streams' | 'identify'>,
  yoga: Yoga,
  operations: ReadonlyMap<string, string> | null,
): GraphQlSockets {
  const requests = new WeakMap<IncomingMessage, OperationRequest>();
  const sockets = new WebSocketServer({
    ...WEB_SOCKET_OPTIONS,
    maxPayload: MESSAGE_BYTES_MAX,
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
          ? [
              new GraphQLError(`The connection has ${OPERATIONS_MAX} running operations, the maximum.`, {
                extensions: { code: 'RATE_LIMITED' },
              }),
            ]
          : executionOf(yoga.getEnveloped({ operationRequest: requests.get(request), params }), params, operations),
    },
    sockets,
  );
  return {
    upgrade: ({ raw, principal, headers, ip: remote, id: trace }, take) => {
      let end: (reason: string) => void = () => {};
      const registration = streams.begin(principal, remote, 'graphql-websocket', (reason) => end(reason));
      const { socket, head } = take();
      end = () => void socket.destroy();
      onceClosed(socket, registration.close);
      requests.set(raw, { principal, headers, remote, trace, transport: 'graphql-websocket', registration, signal: null });
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

/** Sets the identity of a connection from its connection parameter `authorization`, if present. @returns false for invalid credentials */
async function authenticate(request: OperationRequest, authorization: unknown, identify: HttpParts['identify']): Promise<boolean> {
  if (typeof authorization !== 'string') return true;
  const headers = { authorization, host: request.headers.host };
  try {
    request.principal = await identify({ headers, remote: request.remote });
    // The connection now belongs to this credential, and closes when the credential expires or is revoked.
    request.registration?.setPrincipal(request.principal);
  } catch (error) {
    if (error instanceof ApiProblem) return false;
    throw error;
  }
  request.headers = headers;
  return true;
}

/** Arguments to execute an operation, or the errors for which it is rejected. */
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
 * The document of an operation over WebSocket, which yoga’s plugins for persisted operations do not see. If the configuration lists the allowed
 * operations, the document must be one of them, by hash or by text.
 */
function documentOf({ query, extensions }: SubscribePayload, operations: ReadonlyMap<string, string> | null): string {
  if (!operations) return query;
  const sha256Hash = (extensions?.persistedQuery as { sha256Hash?: unknown } | undefined)?.sha256Hash;
  const requestedHash = typeof sha256Hash === 'string' ? sha256Hash : '';
  const document = operations.get(query ? hash('sha256', query, 'hex') : requestedHash);
  if (document !== undefined) return document;
  throw new GraphQLError(
    query ? 'This operation is not in the list of allowed operations.' : `No operation has the SHA-256 "${requestedHash.slice(0, 64)}".`,
    {
      extensions: { code: 'PERSISTED_QUERY_NOT_IN_LIST', remedy: 'Use one of the operations of graphql.operations.' },
    },
  );
}
