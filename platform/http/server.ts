import type { Server, ServerOptions } from 'node:http';
import type { AddressInfo } from 'node:net';
import compress from '@fastify/compress';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { type ChannelContract, ENDPOINTS, type Principal } from '@millrace/contracts';
import { failureReason } from '@millrace/database';
import fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyHttpOptions,
  type FastifyInstance,
  type FastifyPluginAsync,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import type { Identify } from './caller.ts';
import { trackConnections } from './connections.ts';
import { serveConsole } from './console.ts';
import { declareFiles, type GuardOptions, guardRoutes } from './guard.ts';
import { type IdempotencyStore, idempotencyHooks } from './idempotency.ts';
import type { OpenStreams } from './open-streams.ts';
import { explainProblem, respondToClientError, respondToFrameworkError, respondWithProblems } from './problems.ts';
import { bucketOf } from './rate-limit.ts';
import type { RequestHook } from './request-hook.ts';
import { logRequests, type RequestLog } from './request-log.ts';
import { normaliseTarget } from './request-target.ts';
import type { ResponseCache } from './response-cache.ts';
import { responseHeaders } from './response-headers.ts';
import { type Routes, routesOf } from './routes.ts';
import { shareWithSites } from './sharing.ts';
import { requireSoundRequests } from './sound-requests.ts';
import { reloadTls, type TlsFiles, tlsOptions } from './tls.ts';
import { traceIdOf } from './trace.ts';
import { UnfinishedRequests } from './unfinished.ts';
import { type AddUpgrade, isForUpgrade, routeUpgrades, type Upgrade } from './upgrades.ts';
import { compileSchemas } from './validation.ts';

const BODY_BYTES_MAX = 1024 * 1024;
/** Time limit for receiving a request with its body, and for the TLS handshake before it. Responses have none. */
const REQUEST_MS_MAX = 10_000;
/** Maximum size of the head of a request, bytes. */
const HEAD_BYTES_MAX = 16 * 1024;
/** Bytes that a gateway may add to the head of a request: identity, address and trace. */
const GATEWAY_HEAD_BYTES_MAX = 8 * 1024;
const CHECK_CONNECTIONS_MS = 2_000;
const COMPRESSION = { threshold: 2_048, encodings: ['zstd', 'br', 'gzip'] as ('zstd' | 'br' | 'gzip')[] };
/** Longest time that a stopping server waits for open requests. */
const DRAIN_MS_MAX = 4_000;
/** Interval of the check for streams with expired credentials. */
const EXPIRY_MS = 5_000;

export interface HttpServerOptions extends GuardOptions {
  readonly host: string;
  readonly port: number;
  /** Name of this process among several. */
  readonly node: string;
  /** Open streams. */
  readonly streams: OpenStreams;
  /** Cached responses. */
  readonly cache: ResponseCache;
  /** Channels of the streams, for the access matrix. */
  readonly channels: readonly ChannelContract[];
  /** True if pages of other sites may read responses that need no browser session. */
  readonly isOpenToSites: boolean;
  /** Addresses of trusted proxies, whose X-Forwarded-For is used. */
  readonly trustedProxies: readonly string[];
  /** Serves https with these instead of http. */
  readonly tls?: TlsFiles | undefined;
  /** The OpenAPI document. */
  readonly document: object;
  /** Folder of the built console; none is served when it is missing. */
  readonly console: string;
  readonly metrics: () => Promise<{ contentType: string; text: string }>;
  readonly logger: FastifyBaseLogger;
  readonly requestLog: RequestLog;
  /** Keeps idempotency keys. Undefined where requests are forwarded, not processed. */
  readonly idempotency?: IdempotencyStore;
  readonly register: (http: HttpParts) => void;
  /** WebSockets that authenticate their clients themselves, by path. */
  readonly sockets?: Readonly<Record<string, Upgrade>>;
}

/** The parts of the server that modules use to add routes. */
export interface HttpParts {
  readonly app: FastifyInstance;
  readonly routes: Routes;
  readonly upgrade: AddUpgrade;
  readonly streams: OpenStreams;
  readonly traffic: TrafficOf;
  readonly identify: GuardOptions['identify'];
}

/** Requests that a caller has left, and its open streams. */
export type TrafficOf = (principal: Principal, remote: string) => Promise<{ readonly requests: number; readonly streams: number }>;

export interface HttpServer {
  readonly url: string;
  readonly streams: OpenStreams;
  readonly cache: ResponseCache;
  /** Accepts no more connections, and waits for open requests, at most `DRAIN_MS_MAX`. Streams stay open. */
  drain(): Promise<void>;
  /** Ends streams with their reason, then closes. */
  close(): Promise<void>;
}

/** Starts the HTTP server: API, streams, metrics, docs and console on one port. Throws when the port is taken. */
export async function createHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { cache, streams, logger, tls } = options;
  const headers = responseHeaders(options.console, tls !== undefined);
  const app: FastifyInstance = fastify(fastifyOptions(options, headers));
  const unfinished = new UnfinishedRequests();
  await addRoutes(app, options, headers, unfinished);
  const expiring = setInterval(() => streams.endExpired(), EXPIRY_MS);
  const whenClosed = trackConnections(app.server);
  await app.listen({ host: options.host, port: options.port });
  const stopReloading =
    tls &&
    reloadTls(app.server as never, tls, (failure) => {
      if (failure) logger.error({ err: failure }, 'the new certificate cannot be used; the old one stays');
      else logger.info('the certificate was replaced');
    });
  return {
    url: urlOf(options, (app.server.address() as AddressInfo).port),
    streams,
    cache,
    drain: async () => {
      app.server.close();
      if (!(await unfinished.finished(() => streams.responses, DRAIN_MS_MAX)))
        logger.warn({ withinMs: DRAIN_MS_MAX }, 'requests were not finished in time, and are cut off');
    },
    close: async () => {
      clearInterval(expiring);
      stopReloading?.();
      await whenClosed(app.close());
    },
  };
}

function urlOf({ host, tls }: HttpServerOptions, port: number): string {
  const displayHost = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  return `${tls ? 'https' : 'http'}://${displayHost.includes(':') ? `[${displayHost}]` : displayHost}:${port}`;
}

/** Limits and error responses of the HTTP server. */
function fastifyOptions(options: HttpServerOptions, headers: RequestHook): FastifyHttpOptions<Server> {
  return {
    loggerInstance: oneForAllRequests(options.logger),
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: ({ headers }) => traceIdOf(headers),
    trustProxy: options.trustedProxies.length > 0 ? [...options.trustedProxies] : false,
    bodyLimit: BODY_BYTES_MAX,
    ...(options.tls && { https: { ...tlsOptions(options.tls), handshakeTimeout: REQUEST_MS_MAX } as never }),
    // Before anything reads it: the router, the guard, and a server behind a gateway then get the same target.
    rewriteUrl: normaliseTarget,
    requestTimeout: REQUEST_MS_MAX,
    http: {
      headersTimeout: REQUEST_MS_MAX,
      connectionsCheckingInterval: CHECK_CONNECTIONS_MS,
      optimizeEmptyRequests: true,
      // Servers behind a gateway accept every head that the gateway accepts.
      maxHeaderSize: HEAD_BYTES_MAX + (options.vouched ? GATEWAY_HEAD_BYTES_MAX : 0),
    } as ServerOptions,
    forceCloseConnections: true,
    // Requests that the router rejects run no hooks; their responses get the same headers as all others.
    frameworkErrors: ((error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
      headers(request, reply);
      respondToFrameworkError(error, request, reply);
    }) as never,
    clientErrorHandler: respondToClientError as never,
    routerOptions: { maxParamLength: 256 },
  };
}

async function addRoutes(
  app: FastifyInstance,
  options: HttpServerOptions,
  headers: RequestHook,
  unfinished: UnfinishedRequests,
): Promise<void> {
  const begun: RequestHook = (request, reply) => {
    if (!isForUpgrade(request)) unfinished.begun(request.raw, reply.raw);
  };
  app.setValidatorCompiler(compileSchemas());
  logRequests(app, options.requestLog);
  // Bodies other than JSON are rejected.
  app.removeContentTypeParser('text/plain');
  respondWithProblems(app, options.console);
  const guard = guardRoutes(app, options, [begun, headers, shareWithSites(app, options), requireSoundRequests(app)]);
  // Only routes with long responses are compressed; others run through no hook for it.
  app.addHook('onRoute', (route) => {
    route.compress ??= false;
  });
  await app.register(compress, { global: false, ...COMPRESSION });
  await serveDocuments(app, options.document);
  app.get('/metrics', { config: { access: 'platform:read' } }, async (_request, reply) => {
    const { contentType, text } = await options.metrics();
    return reply.type(contentType).send(text);
  });
  const parts = httpParts(app, options, guard.identify);
  options.register(parts);
  parts.routes.handle(ENDPOINTS.getAccess, () => ({
    routes: guard.routes(),
    channels: options.channels.map(({ name, access }) => ({ name, access })),
  }));
  parts.routes.handle(ENDPOINTS.getConnections, () => options.streams.list(options.node));
  await serveConsole(app, options.console);
}

function httpParts(app: FastifyInstance, options: HttpServerOptions, identify: Identify): HttpParts {
  const { cache, streams, limiter, logger } = options;
  const idempotent =
    options.idempotency &&
    idempotencyHooks(options.idempotency, (message, error) => logger.warn({ reason: failureReason(error) }, message));
  const traffic: TrafficOf = async (principal, remote) => {
    const bucket = bucketOf(principal, remote);
    const { remaining } = bucket ? await limiter.take(bucket.key, bucket.rate, 0) : { remaining: Number.MAX_SAFE_INTEGER };
    return { requests: remaining, streams: streams.countOf(principal, remote) };
  };
  return {
    app,
    routes: routesOf(app, cache, idempotent ?? null),
    upgrade: routeUpgrades(app, options.sockets ?? {}),
    streams,
    traffic,
    identify,
  };
}

/** A logger that is its own child: one per request costs more than a small response, and log lines name their trace themselves. */
function oneForAllRequests(logger: FastifyBaseLogger): FastifyBaseLogger {
  const one: FastifyBaseLogger = Object.create(logger, { child: { value: () => one } });
  return one;
}

/** The OpenAPI document, its page, and the explanations of problem types. */
async function serveDocuments(app: FastifyInstance, document: object): Promise<void> {
  await app.register(swagger, { mode: 'static', specification: { document: document as never } });
  const docs: FastifyPluginAsync = async (scope) => {
    declareFiles(scope);
    await scope.register(swaggerUi, {
      routePrefix: '/docs',
      staticCSP: true,
      // Without TLS an upgrade to https would break the page, and the page sets inline styles.
      transformStaticCSP: (policy) =>
        policy.replace('upgrade-insecure-requests;', '').replace("style-src 'self'", "style-src 'self' 'unsafe-inline'"),
    });
  };
  await app.register(docs);
  app.get('/api/v1/openapi.json', { config: { access: 'public' } }, async () => document);
  // Target of the `type` of a problem document.
  app.get('/problems/:name', { config: { access: 'public' } }, async (request) =>
    explainProblem((request.params as { name: string }).name),
  );
}
