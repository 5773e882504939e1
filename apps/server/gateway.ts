import { openIdentification } from '@millrace/accounts';
import { systemClock } from '@millrace/base/clock';
import type { Settings } from '@millrace/config';
import { CONTRACTS, ENDPOINTS, type Endpoint, type Server, takesIdempotencyKey } from '@millrace/contracts';
import { connectDatabase, failureReason, probeDatabase } from '@millrace/database';
import { type Forwarded, type Forwarding, forward, forwardUpgrade, type Relay, relayPlayers, Servers, Vouching } from '@millrace/gateway';
import { GRAPHQL_PATH } from '@millrace/graphql';
import { HealthChecks } from '@millrace/health';
import { connectionOf, type HttpParts, type HttpServer, OpenStreams, ResponseCache } from '@millrace/http';
import { announcements, connectRedis, findServers, redisReady, singleServer } from '@millrace/redis';
import { SecretError } from '@millrace/secrets';
import { createLogger, createMetrics } from '@millrace/telemetry';
import { openPlayersPort, WORLD_SOCKET_PATH } from '@millrace/worlds/players-port';
import type { FastifyPluginAsync } from 'fastify';
import { LINK_SECRET } from './behind-gateways.ts';
import { NODE, openHttpServer } from './http-server.ts';
import { registerGatewayMetrics } from './metrics.ts';
import { sharedSecrets } from './secrets.ts';

const RETRY_MS = 2_000;

/** Endpoints that the gateway handles itself; it forwards all others. */
const OWN: ReadonlySet<Endpoint> = new Set<Endpoint>([
  ENDPOINTS.live,
  ENDPOINTS.ready,
  ENDPOINTS.getAccess,
  ENDPOINTS.getConnections,
  ENDPOINTS.listServers,
]);
const WORLD_PATHS = '/api/v1/world';

export interface RunningGateway {
  readonly url: string;
  /** TCP port for players. */
  readonly worldPort: number;
  stop(): Promise<void>;
}

/**
 * Starts the role `gateway`: authenticates requests, checks permissions and rate limits, and forwards them to the servers. It has no zones
 * and no log.
 */
export async function startGateway(settings: Settings, consoleFolder: string): Promise<RunningGateway> {
  const logger = createLogger(settings.logging.level);
  const metrics = createMetrics();
  const startedAt = Date.now();
  const database = connectDatabase({ url: settings.database.url as string }, (error) =>
    logger.warn({ message: error.message }, 'a connection to the database was lost'),
  );
  const redis =
    settings.redis.url === undefined
      ? null
      : await connectRedis(settings.redis.url, (error) => logger.warn({ message: error.message }, 'Redis cannot be reached'));
  const secrets = sharedSecrets(settings, database);
  const streams = new OpenStreams(settings.streams.connectionsMax, () => Date.now());
  let http: HttpServer | null = null;
  let isStopping = false;
  let health: HealthChecks | null = null;
  const identification = openIdentification(
    {
      database,
      clock: systemClock,
      secret: (name) => secrets.secret(name),
      sessionHours: settings.accounts.sessionHours,
      twoFactorRequired: settings.accounts.twoFactor === 'operators',
      guests: settings.worlds.guests ? ['world:play'] : [],
      onEnded: (whose) => streams.endRevoked(whose),
      isShared: true,
      others: (heard) => (redis ? announcements(redis, 'revocations', heard, () => {}) : singleServer),
      onFailure: (message, detail) => logger.error({ reason: failureReason(detail) }, message),
    },
    settings.publicUrl as string,
  );
  const linkSecret = async () => {
    await identification.begin();
    return secrets.secret(LINK_SECRET);
  };
  const vouching = new Vouching(
    await retryUntilDone(linkSecret, (error) => logger.error({ reason: failureReason(error) }, 'the database cannot be read yet')),
    Date.now,
  );
  if (redis) await redisReady(redis);
  const servers = new Servers({
    addresses: settings.gateway.servers,
    find: redis && (() => findServers(redis)),
    vouching,
    onChange: ({ address, node, state, failure }) => {
      logger[state === 'available' ? 'info' : 'warn']({ address, node, failure }, `a server is ${state}`);
      void health?.run('servers');
    },
  });
  const probe = probeDatabase({ url: settings.database.url as string });
  health = new HealthChecks(
    [
      {
        name: 'servers',
        isRequired: true,
        check: () => {
          if (!servers.list().some(({ state }) => state === 'available'))
            throw new Error('No server is available; see GET /api/v1/servers.');
        },
      },
      // Without it signed-in users cannot be identified after some seconds.
      { name: 'database', isRequired: true, check: () => probe.check() },
      ...(redis ? [{ name: 'redis', isRequired: false, check: () => redis.ping() }] : []),
    ],
    () => Date.now(),
    (state) => logger[state.status === 'ok' ? 'info' : 'error'](state, 'a health check changed'),
  );
  const checks = health;
  const self = (): Server => ({
    node: NODE,
    role: 'gateway',
    address: null,
    state: isStopping ? 'unavailable' : 'available',
    circuit: 'closed',
    startedAt,
    worldPort: relay.port,
    open: http?.streams.size ?? 0,
    requests: servers.list().reduce((sum, { requests }) => sum + requests, 0),
    failures: servers.list().reduce((sum, { failures }) => sum + failures, 0),
    failure: null,
  });
  const relay: Relay = await openPlayersPort(settings, (address) =>
    relayPlayers({
      ...address,
      connectionsMax: settings.worlds.connectionsMax,
      servers,
      onRefused: (reason) => logger.warn({ reason }, 'a player’s connection was not forwarded'),
    }),
  );
  http = await openHttpServer(settings, {
    redis,
    logger,
    console: consoleFolder,
    contracts: CONTRACTS,
    streams,
    cache: new ResponseCache(() => performance.now()),
    sockets: {},
    metrics: () => metrics.scrape(),
    identify: identification.identify,
    // The server that handles the request writes the audit log.
    onAuditEvent: () => {},
    register: (http) => {
      forwardAll(http, { servers, vouching, streams: http.streams, tunnels: new Set() }, relay.port);
      http.routes.handle(ENDPOINTS.live, () => ({ status: 'ok' as const, parts: {}, checks: [] }));
      http.routes.list(
        ENDPOINTS.listServers,
        ({ address, node }) => address ?? node ?? '',
        () => [self(), ...servers.list()],
      );
      http.routes.handle(ENDPOINTS.ready, ({ reply }) => {
        const report = checks.report();
        // Load balancers then send no requests to this gateway.
        if (report.status !== 'ok') void reply.code(503);
        return report;
      });
    },
  });
  registerGatewayMetrics(metrics, { servers: () => servers.list(), http });
  await servers.asked();
  await checks.run();
  return {
    url: http.url,
    worldPort: relay.port,
    stop: async () => {
      isStopping = true;
      checks.stopping();
      await http?.drain();
      await http?.close();
      await relay.close();
      await servers.close();
      checks.close();
      identification.close();
      redis?.disconnect();
      await probe.close();
      await database.close();
    },
  };
}

/** Adds a forwarding route for each endpoint of the contracts with its permission, and for UDF, WebSockets and GraphQL. */
function forwardAll({ app, routes }: HttpParts, forwarding: Forwarding, worldPort: number): void {
  app.addHook('preClose', async () => {
    for (const tunnel of forwarding.tunnels) tunnel.end('the server stops');
  });
  for (const endpoint of Object.values<Endpoint>(ENDPOINTS)) {
    if (OWN.has(endpoint)) continue;
    const forwarded: Forwarded = {
      world: endpoint.path.startsWith(WORLD_PATHS),
      transport: 'sse',
      isRepeatable: endpoint.isRepeatable ?? true,
      isIdempotencyKeyTaken: takesIdempotencyKey(endpoint),
      ...((endpoint as unknown) === ENDPOINTS.getWorld && { rewrite: (world) => ({ ...world, tcpPort: worldPort }) }),
    };
    routes.stream(endpoint, ({ raw, reply }) => forward(forwarding, forwarded, raw, reply));
  }
  app.get('/udf/*', { config: { access: 'market:read' } }, (request, reply) =>
    forward(forwarding, { world: false, transport: 'sse' }, request, reply),
  );
  for (const { path, access, transport, world } of UPGRADES)
    app.get(path, { config: { access } }, (request, reply) => {
      const take = connectionOf(request, reply);
      if (take) return forwardUpgrade(forwarding, { world, transport }, request, reply, take);
      return forward(forwarding, { world, transport: 'graphql-sse' }, request, reply);
    });
  const graphql: FastifyPluginAsync = async (scope) => {
    // The server validates the body and reports errors in the format of GraphQL.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
    scope.post(GRAPHQL_PATH, { config: { access: 'fields' } }, (request, reply) =>
      forward(forwarding, { world: false, transport: 'graphql-sse' }, request, reply),
    );
  };
  void app.register(graphql);
}

const UPGRADES = [
  { path: '/api/v1/socket', access: 'channels', transport: 'websocket', world: false },
  { path: GRAPHQL_PATH, access: 'fields', transport: 'graphql-websocket', world: false },
  // The first frame authenticates the player.
  { path: WORLD_SOCKET_PATH, access: 'public', transport: 'websocket', world: true },
] as const;

async function retryUntilDone<T>(work: () => Promise<T>, onFailure: (error: unknown) => void): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (error instanceof SecretError) throw error;
      onFailure(error);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}
