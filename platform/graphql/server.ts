import { hash } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { useAPQ as persistedOnDemand } from '@graphql-yoga/plugin-apq';
import { usePersistedOperations as persisted } from '@graphql-yoga/plugin-persisted-operations';
import type { Endpoint, ModuleContract, Principal, Problem, Transport } from '@millrace/contracts';
import { ApiProblem, type ChannelOptions, connectionOf, type HttpParts, isStorable, type StreamPlace, traceparentOf } from '@millrace/http';
import { parsePosition } from '@millrace/streams';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type DocumentNode, type ExecutionArgs, GraphQLError, type GraphQLSchema, getOperationAST, parse } from 'graphql';
import type { SubscribePayload } from 'graphql-ws';
import { useServer as serveOver } from 'graphql-ws/use/ws';
import { createYoga, type Plugin, type YogaInitialContext } from 'graphql-yoga';
import { WebSocketServer } from 'ws';
import { ChannelEvents } from './channel-events.ts';
import { createDocumentCaches, type DocumentCaches } from './document-caches.ts';
import { DOCUMENT_CHARACTERS_MAX, nestingError, queryLimitError, TOKENS_MAX } from './limits.ts';
import { GRAPHQL_PATH } from './path.ts';
import { graphSchema, type Resources } from './schema.ts';
import { subscriptionFieldRule } from './subscription-rule.ts';

/** A query, its variables included; REST bodies may be as large. */
const MESSAGE_BYTES_MAX = 1024 * 1024;
/** Routes one operation may really ask, where a list turned out longer than it was taken for. */
const CALLS_MAX = 1_000;
const CHANNELS_MAX = 256;
/** Operations under way over one WebSocket. */
const OPERATIONS_MAX = 256;
/** What GraphQL over WebSocket calls “Forbidden”: its clients come back, and show what they have by then. */
const FORBIDDEN = 4403;
/** A close frame has room for 123 bytes of reason. */
const CLOSE_REASON_MAX = 120;
/** What of a request says who asks; it goes with every question that a query leads to. */
const IDENTITY_HEADERS = ['authorization', 'x-api-key', 'cookie', 'origin', 'host', 'sec-fetch-site', 'user-agent'] as const;

/** Who sent an operation. */
interface Asked {
  principal: Principal;
  headers: IncomingHttpHeaders;
  readonly remote: string;
  readonly trace: string;
  readonly transport: Transport;
  /** Its WebSocket’s place among the streams that are open; null over HTTP. */
  readonly place: StreamPlace | null;
}

export interface GraphQlOptions extends ChannelOptions {
  /** Modules whose endpoints and channels are fields. */
  readonly contracts: readonly ModuleContract[];
  /** Operations by the SHA-256 of their text; when given, nothing else is answered. */
  readonly operations: ReadonlyMap<string, string> | null;
}

type Context = YogaInitialContext & Resources;

/** Answers the requests of one route. */
export interface GraphQlServer {
  answer(request: FastifyRequest, reply: FastifyReply): Promise<unknown>;
  /** Ends what goes on over WebSockets, and says why. */
  close(): Promise<void>;
}

/**
 * GraphQL over HTTP, server-sent events (graphql-sse’s distinct connections) and WebSocket (graphql-transport-ws), over the same resources and
 * channels: every field asks a route of the HTTP API in this process, so what guards those guards it.
 * @param caches documents that are kept between requests
 */
export function openGraphQl(
  http: Pick<HttpParts, 'app' | 'streams' | 'identify'>,
  { logger, operations, contracts, ...channels }: GraphQlOptions,
  caches: DocumentCaches = createDocumentCaches(),
): GraphQlServer {
  const schema = graphSchema(contracts);
  const yoga = createYoga<{ asked: Asked }, Resources>({
    schema,
    graphqlEndpoint: GRAPHQL_PATH,
    context: ({ asked }) => resourcesOf({ ...http, ...channels }, asked),
    plugins: [limited(schema), clientErrors(), operations ? onlyThese(operations) : persistedOnDemand({ store: caches.persisted })],
    parserAndValidationCache: { documentCache: caches.parsed as never, errorCache: caches.errors as never },
    // Origins, files and pages are the door’s business.
    cors: false,
    multipart: false,
    graphiql: false,
    landingPage: false,
    logging: {
      debug: () => {},
      info: () => {},
      warn: (...message) => logger.warn({ message }, 'graphql'),
      error: (told) => logger.error({ err: told }, 'a GraphQL operation failed'),
    },
  });

  const asks = new WeakMap<IncomingMessage, Asked>();
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MESSAGE_BYTES_MAX,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has('graphql-transport-ws') ? 'graphql-transport-ws' : false),
  });
  const server = serveOver(
    {
      onConnect: async ({ connectionParams, extra: { request } }) => {
        const asked = asks.get(request) as Asked;
        const shown = connectionParams?.authorization ?? connectionParams?.Authorization;
        if (typeof shown !== 'string') return true;
        const headers = { authorization: shown, host: asked.headers.host };
        try {
          asked.principal = await http.identify({ headers, remote: asked.remote });
          // From now on the connection is theirs: it ends when what was shown counts no more.
          asked.place?.is(asked.principal);
        } catch (error) {
          if (error instanceof ApiProblem) return false;
          throw error;
        }
        asked.headers = headers;
        return true;
      },
      execute: (args) => (args as Enveloped).rootValue.execute(args),
      subscribe: (args) => (args as Enveloped).rootValue.subscribe(args),
      onSubscribe: async ({ extra: { request }, subscriptions }, _id, params) => {
        if (Object.keys(subscriptions).length > OPERATIONS_MAX)
          return [new GraphQLError(`${OPERATIONS_MAX} operations are under way.`, { extensions: { code: 'RATE_LIMITED' } })];
        const { schema, execute, subscribe, contextFactory, parse, validate } = yoga.getEnveloped({ asked: asks.get(request), params });
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
      },
    },
    sockets,
  );

  return {
    answer: async (request, reply) => {
      const { principal, headers, ip: remote, id: trace } = request;
      const take = connectionOf(request, reply);
      if (take) {
        let end: (reason: string) => void = () => {};
        const place = http.streams.begin(principal, remote, 'graphql-websocket', (reason) => end(reason));
        const { socket, head } = take();
        end = () => void socket.destroy();
        socket.once('close', place.close);
        asks.set(request.raw, { principal, headers, remote, trace, transport: 'graphql-websocket', place });
        sockets.handleUpgrade(request.raw, socket, head, (connection) => {
          end = (reason) => connection.close(FORBIDDEN, reason.slice(0, CLOSE_REASON_MAX));
          sockets.emit('connection', connection, request.raw);
        });
        return;
      }
      const ended = new AbortController();
      // Of the response, not of the socket: that one carries the requests that follow.
      reply.raw.once('close', () => ended.abort());
      const answer = await yoga.fetch(
        `http://${GRAPHQL_HOST}${request.url}`,
        {
          method: request.method,
          headers: headersFor(headers),
          signal: ended.signal,
          ...(request.method === 'POST' && { body: (request.body as string | undefined) ?? '' }),
        },
        { asked: { principal, headers, remote, trace, transport: 'graphql-sse', place: null } },
      );
      for (const [name, value] of answer.headers) void reply.header(name, value);
      return reply.code(answer.status).send(answer.body ?? '');
    },
    close: async () => {
      await server.dispose();
    },
  };
}

/** Yoga wants whole addresses; nobody is at this one. */
const GRAPHQL_HOST = 'graphql.invalid';

type Enveloped = ExecutionArgs & { rootValue: { execute: (args: ExecutionArgs) => never; subscribe: (args: ExecutionArgs) => never } };

function headersFor(headers: IncomingHttpHeaders): Headers {
  const copied = new Headers();
  for (const name of ['accept', 'content-type'] as const) if (headers[name] !== undefined) copied.set(name, headers[name]);
  return copied;
}

/** What resolvers may ask, as the one who sent the operation. */
function resourcesOf(
  { app, hub, streams, checkChannel }: Pick<HttpParts, 'app' | 'streams'> & Pick<ChannelOptions, 'hub' | 'checkChannel'>,
  asked: Asked,
): Resources {
  let calls = 0;
  return {
    call: (endpoint, args) => {
      if (++calls > CALLS_MAX)
        throw new GraphQLError(`The query asked for more than ${CALLS_MAX} resources.`, { extensions: { code: 'QUERY_TOO_LARGE' } });
      return callRoute(app, asked, endpoint, args);
    },
    watch: (names, from) => {
      try {
        if (names.length === 0 || names.length > CHANNELS_MAX)
          throw new ApiProblem('UNKNOWN_CHANNEL', `${names.length} channels were given.`, `Give 1 to ${CHANNELS_MAX}.`);
        const position = from === undefined || from === null ? null : parsePosition(from);
        if (position === undefined)
          throw new ApiProblem(
            'INVALID_POSITION',
            `"${from}" is not a valid position.`,
            'Use the position of a received event, or omit it.',
          );
        const channels = names.map((name) => checkChannel(name, asked.principal));
        // Over a WebSocket the connection has its place already, however many operations it carries.
        return new ChannelEvents(hub, channels, position, (end) =>
          asked.place ? { close: () => {}, is: () => {} } : streams.begin(asked.principal, asked.remote, asked.transport, end),
        );
      } catch (error) {
        throw error instanceof ApiProblem
          ? errorOf({ code: error.code, detail: error.message, remedy: error.remedy, status: error.status })
          : error;
      }
    },
  };
}

async function callRoute(app: FastifyInstance, asked: Asked, endpoint: Endpoint, args: Record<string, unknown>): Promise<unknown> {
  const path = endpoint.path.replace(/:(\w+)/g, (_whole, name: string) => encodeURIComponent(String(args[name])));
  const query = new URLSearchParams();
  for (const name of Object.keys(endpoint.query?.properties ?? {}))
    if (args[name] !== undefined && args[name] !== null) query.set(name, String(args[name]));
  const named = (properties: object = {}) =>
    Object.fromEntries(Object.keys(properties).flatMap((name) => (args[name] === undefined ? [] : [[name, args[name]]])));
  const headers: Record<string, string> = { traceparent: traceparentOf(asked.trace) };
  for (const name of IDENTITY_HEADERS) {
    const value = asked.headers[name];
    if (typeof value === 'string') headers[name] = value;
  }
  const answer = await app.inject({
    method: endpoint.method,
    url: query.size > 0 ? `${path}?${query}` : path,
    headers,
    remoteAddress: asked.remote,
    ...(endpoint.body && { payload: named(endpoint.body.properties) }),
  });
  if (answer.statusCode === 204) return true;
  const value = answer.json() as unknown;
  if (answer.statusCode >= 400) throw errorOf(value as Problem);
  return value;
}

function errorOf({ code, detail, remedy, status }: Pick<Problem, 'code' | 'detail' | 'remedy' | 'status'>): GraphQLError {
  return new GraphQLError(detail, { extensions: { code, remedy, status } });
}

/**
 * Answers what a client got wrong as the client’s error, over all transports alike: without this, parameters that are no JSON are a failure of the server
 * (500), and what throws while a document is parsed or validated has no code, or ends a WebSocket with all its operations.
 */
function clientErrors(): Plugin<Context> {
  return {
    onRequestParse: ({ requestParser, setRequestParser }) => {
      if (!requestParser) return;
      setRequestParser(async (request) => {
        try {
          return await requestParser(request);
        } catch (error) {
          throw error instanceof SyntaxError ? parametersError(error) : error;
        }
      });
    },
    onParse: ({ parseFn, setParseFn }) => {
      setParseFn((text, options) => {
        try {
          return parseFn(text, options);
        } catch (error) {
          if (error instanceof GraphQLError) error.extensions.code ??= 'GRAPHQL_PARSE_FAILED';
          throw error;
        }
      });
    },
    onValidate: ({ validateFn, setValidationFn, addValidationRule }) => {
      addValidationRule(subscriptionFieldRule);
      // The rule for subscriptions reads their directives, and throws where their arguments are wrong.
      setValidationFn((...args) => {
        try {
          return validateFn(...args);
        } catch (error) {
          if (error instanceof GraphQLError) return [error];
          throw error;
        }
      });
    },
  };
}

function operationError(name: string | null | undefined): GraphQLError {
  const detail = name ? `The document has no operation "${name.slice(0, 64)}".` : 'The document has several operations, or none.';
  return new GraphQLError(detail, {
    extensions: { code: 'OPERATION_RESOLUTION_FAILURE', remedy: 'Name one of its operations in "operationName".' },
  });
}

function parametersError({ message }: SyntaxError): GraphQLError {
  return new GraphQLError(`A parameter of the request is not JSON: ${message}`, {
    extensions: { code: 'BAD_REQUEST', remedy: 'Send "variables" and "extensions" as JSON objects.', http: { status: 400 } },
  });
}

/**
 * Refuses documents that are too large, over all transports alike: before they are kept as a persisted query, before they are parsed, and, once they
 * are parsed and the variables are known, before they are validated.
 */
function limited(schema: GraphQLSchema): Plugin<Context> {
  return {
    onParams: ({ params }) => requireShortDocument(params.query),
    onParse: ({ params: { source }, setParseFn }) => {
      requireShortDocument(String(source));
      setParseFn((text, options) => {
        const error = nestingError(String(text));
        if (error) throw error;
        return parse(text, { ...options, maxTokens: TOKENS_MAX });
      });
      return ({ result, context: { params } }) => {
        if (result === null || result instanceof Error) return;
        const error = variablesError(params?.variables) ?? queryLimitError(schema, result, params?.variables ?? {});
        // Thrown, not put in place of the document: yoga would keep it for the document, whatever its variables are.
        if (error) throw error;
      };
    },
  };
}

/** @param text as the client sent it; may be missing where it is named by its hash */
function requireShortDocument(text: unknown): void {
  if (text === undefined || text === null) return;
  if (typeof text !== 'string')
    throw new GraphQLError(`"query" is ${Array.isArray(text) ? 'a list' : `of type ${typeof text}`}.`, {
      extensions: { code: 'BAD_REQUEST', remedy: 'Send the document as a string.', http: { status: 400 } },
    });
  if (text.length > DOCUMENT_CHARACTERS_MAX)
    throw new GraphQLError(`The document has ${text.length} characters; the limit is ${DOCUMENT_CHARACTERS_MAX}.`, {
      extensions: { code: 'QUERY_TOO_LARGE', remedy: 'Send long values as variables.', http: { status: 400 } },
    });
}

function variablesError(variables: unknown): GraphQLError | null {
  if (isStorable(variables ?? null)) return null;
  return new GraphQLError('The variables have a NUL character, half of a surrogate pair, or too many levels.', {
    extensions: { code: 'BAD_REQUEST', remedy: 'Send well-formed Unicode, in at most 32 levels.', http: { status: 400 } },
  });
}

function onlyThese(operations: ReadonlyMap<string, string>): Plugin {
  return persisted({ getPersistedOperation: (hash) => operations.get(hash) ?? null }) as Plugin;
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
