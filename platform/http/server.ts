import { createHash, randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import compress from '@fastify/compress';
import cors from '@fastify/cors';
import helmet from '@fastify/helmet';
import statics from '@fastify/static';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { CHANNELS, ENDPOINTS, parseChannel } from '@millrace/contracts';
import fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyPluginAsync, LogController } from 'fastify';
import { type Hub, parsePosition } from '../streams/index.ts';
import { declareFiles, type GuardOptions, guardRoutes, identified, requireOwnPage } from './guard.ts';
import { ApiProblem, answerWithProblems, explainProblem } from './problems.ts';
import { type Routes, routesOf } from './routes.ts';
import { type ChannelCheck, createSocketServer } from './socket.ts';
import { openEventStream } from './sse.ts';
import { StreamCount } from './stream-count.ts';

/** Channels one event stream may carry. */
const CHANNELS_MAX = 256;
const BODY_BYTES_MAX = 1024 * 1024;
/** How long a request may take to come in, its body included; what is answered may take as long as it likes. */
const REQUEST_MS_MAX = 10_000;
const CHECK_CONNECTIONS_MS = 2_000;

export interface HttpServerOptions extends GuardOptions {
  readonly host: string;
  readonly port: number;
  readonly hub: Hub;
  readonly connectionsMax: number;
  readonly checkChannel: ChannelCheck;
  /** Whether pages of other sites may read what needs no browser’s session. */
  readonly isOpenToSites: boolean;
  /** The OpenAPI document. */
  readonly document: object;
  /** Folder of the built console; none is served when it is missing. */
  readonly console: string;
  readonly metrics: () => Promise<{ contentType: string; text: string }>;
  readonly logger: FastifyBaseLogger;
  readonly register: (routes: Routes, app: FastifyInstance) => void;
  /** WebSockets beside the streams’ own, by path. */
  readonly sockets?: Readonly<Record<string, Upgrade>>;
}

/** Takes over a connection that asks to become a WebSocket. */
export type Upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

export interface HttpServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Starts the door: API, streams, metrics, docs and console on one port. Throws when the port is taken. */
export async function createHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const app: FastifyInstance = fastify({
    loggerInstance: options.logger,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => randomUUID(),
    requestIdHeader: 'x-request-id',
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_MS_MAX,
    http: { headersTimeout: REQUEST_MS_MAX, connectionsCheckingInterval: CHECK_CONNECTIONS_MS },
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 256 },
    ajv: { customOptions: { coerceTypes: true, removeAdditional: false, strict: false, verbose: true } },
  });
  app.addHook('onRequest', async (request, reply) => void reply.header('x-request-id', request.id));
  answerWithProblems(app);
  const guard = guardRoutes(app, options);
  await app.register(helmet, { contentSecurityPolicy: { useDefaults: false, directives: contentPolicy(options.console) } });
  await app.register(cors, { origin: options.isOpenToSites || [...options.origins], exposedHeaders: ['x-request-id'] });
  await app.register(compress, { threshold: 2_048, encodings: ['zstd', 'br', 'gzip'] });
  await app.register(swagger, { mode: 'static', specification: { document: options.document as never } });
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

  app.get('/api/v1/openapi.json', { config: { access: 'public' } }, async () => options.document);
  // Where the `type` of a problem document points.
  app.get('/problems/:name', { config: { access: 'public' } }, async (request) =>
    explainProblem((request.params as { name: string }).name),
  );
  app.get('/metrics', { config: { access: 'platform:read' } }, async (_request, reply) => {
    const { contentType, text } = await options.metrics();
    return reply.type(contentType).send(text);
  });
  const routes = routesOf(app);
  options.register(routes, app);
  routes.answer(ENDPOINTS.getAccess, () => ({
    routes: guard.routes(),
    channels: Object.values(CHANNELS).map(({ name, access }) => ({ name, access })),
  }));
  const streams = new StreamCount();
  serveStream(routes, options, streams);
  await serveConsole(app, options.console);

  const sockets = createSocketServer(options.hub, options.checkChannel, (error) =>
    options.logger.error({ err: error }, 'a WebSocket request failed'),
  );
  app.server.on('upgrade', (request, socket, head) => {
    const { pathname } = new URL(request.url ?? '/', 'http://x');
    const upgrade = options.sockets?.[pathname];
    if (upgrade) return upgrade(request, socket, head);
    if (pathname !== '/api/v1/socket') return refuseUpgrade(socket, '404 Not Found');
    if (sockets.count() >= options.connectionsMax) return refuseUpgrade(socket, '503 Service Unavailable');
    socket.on('error', () => {});
    const remote = request.socket.remoteAddress ?? '';
    identified(options, { headers: request.headers, remote })
      .then((principal) => {
        requireOwnPage(principal, request.headers, options.origins);
        socket.once('close', streams.begin(principal, remote));
        sockets.upgrade(request, socket, head, principal);
      })
      .catch((error) => refuseUpgrade(socket, error instanceof ApiProblem ? `${error.status} ${error.code}` : '500 Internal Server Error'));
  });
  await app.listen({ host: options.host, port: options.port });
  const { port } = app.server.address() as AddressInfo;
  const shown = options.host === '0.0.0.0' || options.host === '::' ? 'localhost' : options.host;
  return {
    url: `http://${shown.includes(':') ? `[${shown}]` : shown}:${port}`,
    close: async () => {
      options.hub.close('the server stops');
      sockets.close();
      await app.close();
    },
  };
}

/**
 * What a page of ours may load and run: only what comes from here, and the one script that stands in the console’s page itself. Whatever
 * text gets into a page, it runs nothing and sends nothing away.
 */
function contentPolicy(consoleFolder: string): Record<string, string[]> {
  const page = join(consoleFolder, 'index.html');
  const inline = existsSync(page) ? [...readFileSync(page, 'utf8').matchAll(/<script>([\s\S]*?)<\/script>/g)] : [];
  return {
    'default-src': ["'self'"],
    'script-src': ["'self'", ...inline.map(([, script = '']) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`)],
    // Charts and lists set styles on elements.
    'style-src': ["'self'", "'unsafe-inline'"],
    'img-src': ["'self'", 'data:', 'blob:'],
    'object-src': ["'none'"],
    'base-uri': ["'none'"],
    'form-action': ["'self'"],
    'frame-ancestors': ["'none'"],
  };
}

function refuseUpgrade(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\n\r\n`);
}

function serveStream(routes: Routes, { hub, connectionsMax, checkChannel }: HttpServerOptions, streams: StreamCount): void {
  routes.stream(ENDPOINTS.stream, ({ query, raw, reply, principal }) => {
    const names = [...new Set(query.channels.split(',').filter((name) => name !== ''))];
    if (names.length === 0 || names.length > CHANNELS_MAX)
      throw new ApiProblem('BAD_CHANNEL', `${names.length} channels were named.`, `Name 1 to ${CHANNELS_MAX}, separated by commas.`);
    const channels = names.map((name) => checkChannel(name, principal));
    const last = raw.headers['last-event-id'] ?? query.lastEventId;
    const from = last === undefined || last === '' ? null : parsePosition(String(last));
    if (from === undefined)
      throw new ApiProblem('BAD_POSITION', `"${String(last)}" is no position.`, 'Send back an id that this stream gave, or none.');
    if (hub.figures().readers >= connectionsMax)
      throw new ApiProblem('TOO_MANY_CONNECTIONS', `${connectionsMax} streams are open.`, 'Close some, or raise streams.connectionsMax.');
    raw.raw.socket.once('close', streams.begin(principal, raw.ip));
    const headers = Object.fromEntries(Object.entries(reply.getHeaders()).map(([name, value]) => [name, String(value)]));
    reply.hijack();
    openEventStream(raw.raw, reply.raw, hub, channels, from, headers);
  });
}

/** Pages of the console before one is in. */
const DOOR_PAGES = ['/sign-in', '/sign-up', '/forgot-password', '/reset-password', '/verify-email'];

/** The console is one page: every address below / that is no file shows it. */
async function serveConsole(app: FastifyInstance, folder: string): Promise<void> {
  if (!existsSync(folder)) return;
  const pages: FastifyPluginAsync = async (scope) => {
    declareFiles(scope);
    await scope.register(statics, {
      root: folder,
      wildcard: false,
      immutable: true,
      maxAge: '365d',
      setHeaders: (response, path) => {
        if (path.endsWith('.html')) response.header('cache-control', 'no-cache');
      },
    });
    for (const page of [
      '/instruments/*',
      '/sources',
      '/sources/*',
      '/worlds',
      '/worlds/*',
      '/events',
      '/account',
      '/tenants',
      '/tenants/*',
      ...DOOR_PAGES,
    ])
      scope.get(page, (_request, reply) => reply.sendFile('index.html', { immutable: false, maxAge: 0 }));
  };
  await app.register(pages);
}

/** Checks the shape of a channel’s name; whether its instrument exists is for the caller to say. */
export function requireChannel(name: string): NonNullable<ReturnType<typeof parseChannel>> {
  const channel = parseChannel(name);
  if (!channel)
    throw new ApiProblem(
      'BAD_CHANNEL',
      `"${name}" is no channel.`,
      'Channels read trades:venue:BASE-QUOTE, candles:venue:BASE-QUOTE:1m, zones:3-4, tickers …; see /docs.',
    );
  return channel;
}
