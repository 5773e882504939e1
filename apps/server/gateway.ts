import { type Identification, openIdentification } from '@millrace/accounts/identification';
import { systemClock } from '@millrace/base/clock';
import type { Settings } from '@millrace/config';
import { CONTRACTS, type Server } from '@millrace/contracts';
import { connectDatabase, type Database, failureReason, probeDatabase } from '@millrace/database';
import { type Relay, relayPlayers, Servers, Vouching } from '@millrace/gateway';
import { HealthChecks } from '@millrace/health';
import { type HttpServer, OpenStreams, ResponseCache } from '@millrace/http';
import { announcements, connectRedis, findServers, type Redis, redisReady, singleServer } from '@millrace/redis';
import { type InstallationSecrets, SecretError } from '@millrace/secrets';
import { createLogger, createMetrics, type Logger, type Metrics } from '@millrace/telemetry';
import { openPlayersPort } from '@millrace/worlds/players-port';
import { LINK_SECRET } from './behind-gateways.ts';
import { forwardedRoutes, gatewayRoutes } from './gateway-routes.ts';
import { NODE, openHttpServer } from './http-server.ts';
import { registerGatewayMetrics } from './metrics.ts';
import { sharedSecrets } from './secrets.ts';

const RETRY_MS = 2_000;

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
  const metrics = createMetrics();
  const startedAt = Date.now();
  const connections = await openConnections(settings);
  const { logger, database, redis, streams, secrets } = connections;
  const identification = identificationOf(settings, connections);
  const vouching = new Vouching(await linkSecret(identification, secrets, logger), Date.now);
  if (redis) await redisReady(redis);
  let health: HealthChecks | null = null;
  const servers = serversOf(settings, { redis, vouching, logger, onChange: () => void health?.run('servers') });
  const probe = probeDatabase({ url: settings.database.url as string });
  const checks = healthChecksOf({ servers, probe, redis, logger });
  health = checks;
  const relay = await openRelay(settings, servers, logger);
  let isStopping = false;
  const self = () => describeGateway({ startedAt, isStopping, worldPort: relay.port, open: streams.size, servers: servers.list() });
  const http = await openGatewayHttp(settings, connections, {
    consoleFolder,
    metrics,
    identification,
    servers,
    vouching,
    health: checks,
    worldPort: relay.port,
    self,
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
      database.stopping();
      await http.drain();
      await http.close();
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

/** What a gateway shares among its parts. */
interface Connections {
  readonly logger: Logger;
  readonly database: Database;
  /** Null when none is configured. */
  readonly redis: Redis | null;
  readonly secrets: InstallationSecrets;
  readonly streams: OpenStreams;
}

async function openConnections(settings: Settings): Promise<Connections> {
  const logger = createLogger(settings.logging.level);
  const database = connectDatabase({ url: settings.database.url as string }, (error) =>
    logger.warn({ message: error.message }, 'a connection to the database was lost'),
  );
  const redis =
    settings.redis.url === undefined
      ? null
      : await connectRedis(settings.redis.url, (error) => logger.warn({ message: error.message }, 'Redis cannot be reached'));
  return {
    logger,
    database,
    redis,
    secrets: sharedSecrets(settings, database),
    streams: new OpenStreams(settings.streams.connectionsMax, () => Date.now()),
  };
}

function identificationOf(settings: Settings, { database, redis, secrets, streams, logger }: Connections): Identification {
  return openIdentification(
    {
      database,
      clock: systemClock,
      secret: (name) => secrets.secret(name),
      sessionHours: settings.accounts.sessionHours,
      twoFactorRequired: settings.accounts.twoFactor === 'operators',
      guests: settings.worlds.guests ? ['world:play'] : [],
      onEnded: (revoked) => streams.endRevoked(revoked),
      isShared: true,
      others: (onMessage) => (redis ? announcements(redis, 'revocations', onMessage, () => {}) : singleServer),
      onFailure: (message, detail) => logger.error({ reason: failureReason(detail) }, message),
    },
    settings.publicUrl as string,
  );
}

/** The secret that gateways and servers share. Waits until the tables can be read. @throws SecretError when it cannot be decrypted */
async function linkSecret(identification: Identification, secrets: InstallationSecrets, logger: Logger): Promise<string> {
  for (;;) {
    try {
      await identification.begin();
      return await secrets.secret(LINK_SECRET);
    } catch (error) {
      if (error instanceof SecretError) throw error;
      logger.error({ reason: failureReason(error) }, 'the tables cannot be read yet');
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

/** The servers behind the gateway: those of the settings, and those that announce themselves in Redis. */
function serversOf(
  settings: Settings,
  parts: { readonly redis: Redis | null; readonly vouching: Vouching; readonly logger: Logger; readonly onChange: () => void },
): Servers {
  const { redis, vouching, logger, onChange } = parts;
  return new Servers({
    addresses: settings.gateway.servers,
    find: redis && (() => findServers(redis)),
    vouching,
    onChange: ({ address, node, state, failure }) => {
      logger[state === 'available' ? 'info' : 'warn']({ address, node, failure }, `a server is ${state}`);
      onChange();
    },
  });
}

function healthChecksOf({
  servers,
  probe,
  redis,
  logger,
}: {
  readonly servers: Servers;
  readonly probe: ReturnType<typeof probeDatabase>;
  readonly redis: Redis | null;
  readonly logger: Logger;
}): HealthChecks {
  return new HealthChecks(
    [
      {
        name: 'servers',
        isRequired: true,
        check: () => {
          if (!servers.list().some(({ state }) => state === 'available')) throw new Error('No server answers; see GET /api/v1/servers.');
        },
      },
      // Without the database, no session can be looked up once the cached ones have expired.
      { name: 'database', isRequired: true, check: () => probe.check() },
      ...(redis ? [{ name: 'redis', isRequired: false, check: () => redis.ping() }] : []),
    ],
    systemClock,
    (state) => logger[state.status === 'ok' ? 'info' : 'error'](state, 'a health check changed'),
  );
}

/** The TCP port for players, forwarded to the server that has the world. */
function openRelay(settings: Settings, servers: Servers, logger: Logger): Promise<Relay> {
  return openPlayersPort(settings, (address) =>
    relayPlayers({
      ...address,
      connectionsMax: settings.worlds.connectionsMax,
      servers,
      onRefused: (reason) => logger.warn({ reason }, 'a connection of a player was refused'),
    }),
  );
}

interface GatewayHttpParts {
  readonly consoleFolder: string;
  readonly metrics: Metrics;
  readonly identification: Identification;
  readonly servers: Servers;
  readonly vouching: Vouching;
  readonly health: HealthChecks;
  readonly worldPort: number;
  /** The gateway’s own row in the list of servers. */
  readonly self: () => Server;
}

function openGatewayHttp(settings: Settings, { redis, logger, streams }: Connections, parts: GatewayHttpParts): Promise<HttpServer> {
  const { servers, vouching, health, metrics, self } = parts;
  return openHttpServer(settings, {
    redis,
    logger,
    console: parts.consoleFolder,
    contracts: CONTRACTS,
    streams,
    cache: new ResponseCache(() => performance.now()),
    sockets: {},
    metrics: () => metrics.scrape(),
    identify: parts.identification.identify,
    // The server that a request is forwarded to writes the audit entry.
    onAuditEvent: () => {},
    register: (http) => {
      forwardedRoutes(http, { servers, vouching, streams: http.streams, tunnels: new Set() }, parts.worldPort);
      gatewayRoutes(http.routes, { servers: () => [self(), ...servers.list()], health });
    },
  });
}

/** A gateway as a row in the list of servers, with the requests and failures of all servers behind it. */
function describeGateway({
  startedAt,
  isStopping,
  worldPort,
  open,
  servers,
}: {
  readonly startedAt: number;
  readonly isStopping: boolean;
  readonly worldPort: number;
  readonly open: number;
  readonly servers: readonly Server[];
}): Server {
  return {
    node: NODE,
    role: 'gateway',
    address: null,
    state: isStopping ? 'unavailable' : 'available',
    circuit: 'closed',
    startedAt,
    worldPort,
    open,
    requests: servers.reduce((sum, { requests }) => sum + requests, 0),
    failures: servers.reduce((sum, { failures }) => sum + failures, 0),
    failure: null,
  };
}
