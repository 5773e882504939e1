import type { ServerOptions } from 'node:http';
import type { AddressInfo } from 'node:net';
import compress from '@fastify/compress';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { type ChannelContract, ENDPOINTS, type Principal } from '@millrace/contracts';
import { failureReason } from '@millrace/database';
import fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyPluginAsync,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
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
import { traceOf } from './trace.ts';
import { UnfinishedRequests } from './unfinished.ts';
import { type AddUpgrade, isForUpgrade, routeUpgrades, type Upgrade } from './upgrades.ts';
import { compileSchemas } from './validation.ts';

const BODY_BYTES_MAX = 1024 * 1024;
/** How long a request may take to come in, its body included; what is answered may take as long as it likes. */
const REQUEST_MS_MAX = 10_000;
/** Bytes of a request’s head. */
const HEAD_BYTES_MAX = 16 * 1024;
/** What a gateway adds to the head of a request: who makes it, where it comes from, its trace. */
const GATEWAY_HEAD_BYTES_MAX = 8 * 1024;
const CHECK_CONNECTIONS_MS = 2_000;
const COMPRESSION = { threshold: 2_048, encodings: ['zstd', 'br', 'gzip'] as ('zstd' | 'br' | 'gzip')[] };
/** Longest a server that stops waits for requests to be answered. */
const DRAIN_MS_MAX = 4_000;
/** How often streams whose credential is past are looked for. */
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
  /** Whether pages of other sites may read what needs no browser’s session. */
  readonly isOpenToSites: boolean;
  /** Addresses of proxies before this server, whose word about where a request comes from counts. */
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
  /** WebSockets that let nobody in whom they do not know themselves, by path. */
  readonly sockets?: Readonly<Record<string, Upgrade>>;
}

/** What routes are added to, and what those need that serve at it. */
export interface HttpParts {
  readonly app: FastifyInstance;
  readonly routes: Routes;
  readonly upgrade: AddUpgrade;
  readonly streams: OpenStreams;
  readonly traffic: TrafficOf;
  readonly identify: GuardOptions['identify'];
}

/** Requests someone has left now, and streams it has open. */
export type TrafficOf = (principal: Principal, remote: string) => Promise<{ readonly requests: number; readonly streams: number }>;

export interface HttpServer {
  readonly url: string;
  readonly streams: OpenStreams;
  readonly cache: ResponseCache;
  /** Takes no new connections, and waits until what was begun is answered, or for `DRAIN_MS_MAX`; streams stay open. */
  drain(): Promise<void>;
  /** Ends streams with their reason, then closes. */
  close(): Promise<void>;
}

/** Starts the HTTP server: API, streams, metrics, docs and console on one port. Throws when the port is taken. */
export async function createHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { limiter } = options;
  const headers = responseHeaders(options.console, options.tls !== undefined);
  const app: FastifyInstance = fastify({
    loggerInstance: oneForAllRequests(options.logger),
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: ({ headers }) => traceOf(headers),
    trustProxy: options.trustedProxies.length > 0 ? [...options.trustedProxies] : false,
    bodyLimit: BODY_BYTES_MAX,
    ...(options.tls && { https: tlsOptions(options.tls) as never }),
    // Before anything looks at it: the router, the guard, and a server behind a gateway then read the same.
    rewriteUrl: normaliseTarget,
    requestTimeout: REQUEST_MS_MAX,
    // What has no body needs none of what reads one.
    http: {
      headersTimeout: REQUEST_MS_MAX,
      connectionsCheckingInterval: CHECK_CONNECTIONS_MS,
      optimizeEmptyRequests: true,
      // Whatever a gateway lets in, the servers behind it take, too.
      maxHeaderSize: HEAD_BYTES_MAX + (options.vouched ? GATEWAY_HEAD_BYTES_MAX : 0),
    } as ServerOptions,
    forceCloseConnections: true,
    // What the router refuses goes through no hook, and says the same of itself as every answer.
    frameworkErrors: ((error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
      headers(request, reply);
      respondToFrameworkError(error, request, reply);
    }) as never,
    clientErrorHandler: respondToClientError as never,
    routerOptions: { maxParamLength: 256 },
  });
  const unfinished = new UnfinishedRequests();
  const begun: RequestHook = (request, reply) => {
    if (!isForUpgrade(request)) unfinished.begun(request.raw, reply.raw);
  };
  app.setValidatorCompiler(compileSchemas());
  logRequests(app, options.requestLog);
  // What is no JSON is not read.
  app.removeContentTypeParser('text/plain');
  respondWithProblems(app, options.console);
  const guard = guardRoutes(app, options, [begun, headers, shareWithSites(app, options), requireSoundRequests(app)]);
  const { identify } = guard;
  // Only routes whose answers may be long say that they want it; the others are not asked for it with each request either.
  app.addHook('onRoute', (route) => {
    route.compress ??= false;
  });
  await app.register(compress, { global: false, ...COMPRESSION });
  await serveDocuments(app, options.document);
  app.get('/metrics', { config: { access: 'platform:read' } }, async (_request, reply) => {
    const { contentType, text } = await options.metrics();
    return reply.type(contentType).send(text);
  });

  const { cache, streams } = options;
  const idempotent =
    options.idempotency &&
    idempotencyHooks(options.idempotency, (message, error) => options.logger.warn({ reason: failureReason(error) }, message));
  const routes = routesOf(app, cache, idempotent ?? null);
  const upgrade = routeUpgrades(app, options.sockets ?? {});
  const traffic: TrafficOf = async (principal, remote) => {
    const bucket = bucketOf(principal, remote);
    const { remaining } = bucket ? await limiter.take(bucket.key, bucket.rate, 0) : { remaining: Number.MAX_SAFE_INTEGER };
    return { requests: remaining, streams: streams.countOf(principal, remote) };
  };
  options.register({ app, routes, upgrade, streams, traffic, identify });
  routes.handle(ENDPOINTS.getAccess, () => ({
    routes: guard.routes(),
    channels: options.channels.map(({ name, access }) => ({ name, access })),
  }));
  routes.handle(ENDPOINTS.getConnections, () => streams.list(options.node));
  await serveConsole(app, options.console);

  const expiring = setInterval(() => streams.endExpired(), EXPIRY_MS);
  await app.listen({ host: options.host, port: options.port });
  const stopReloading =
    options.tls &&
    reloadTls(app.server as never, options.tls, (failure) => {
      if (failure) options.logger.error({ err: failure }, 'the new certificate cannot be used; the old one stays');
      else options.logger.info('the certificate was replaced');
    });
  const { port } = app.server.address() as AddressInfo;
  const shown = options.host === '0.0.0.0' || options.host === '::' ? 'localhost' : options.host;
  return {
    url: `${options.tls ? 'https' : 'http'}://${shown.includes(':') ? `[${shown}]` : shown}:${port}`,
    streams,
    cache,
    drain: async () => {
      app.server.close();
      if (!(await unfinished.finished(() => streams.responses, DRAIN_MS_MAX)))
        options.logger.warn({ withinMs: DRAIN_MS_MAX }, 'requests were not finished in time, and are cut off');
    },
    close: async () => {
      clearInterval(expiring);
      stopReloading?.();
      await app.close();
    },
  };
}

/** A logger that is its own child: one for each request costs more than a small answer, and lines that are written name their trace themselves. */
function oneForAllRequests(logger: FastifyBaseLogger): FastifyBaseLogger {
  const one: FastifyBaseLogger = Object.create(logger, { child: { value: () => one } });
  return one;
}

/** The OpenAPI document, its page, and what the types of problems stand for. */
async function serveDocuments(app: FastifyInstance, document: object): Promise<void> {
  await app.register(swagger, { mode: 'static', specification: { document: document as never } });
  const docs: FastifyPluginAsync = async (scope) => {
    declareFiles(scope);
    await scope.register(swaggerUi, {
      routePrefix: '/docs',
      staticCSP: true,
      // Where there is no TLS there would be no page; and it sets a style on itself.
      transformStaticCSP: (policy) =>
        policy.replace('upgrade-insecure-requests;', '').replace("style-src 'self'", "style-src 'self' 'unsafe-inline'"),
    });
  };
  await app.register(docs);
  app.get('/api/v1/openapi.json', { config: { access: 'public' } }, async () => document);
  // Where the `type` of a problem document points.
  app.get('/problems/:name', { config: { access: 'public' } }, async (request) =>
    explainProblem((request.params as { name: string }).name),
  );
}
