import { systemClock } from '@millrace/base/clock';
import type { Settings } from '@millrace/config';
import { ENDPOINTS, type ModuleContract, type Port, systemContract } from '@millrace/contracts';
import { probeDatabase } from '@millrace/database';
import { HealthChecks } from '@millrace/health';
import { type HttpParts, type HttpServer, IdempotencyKeys } from '@millrace/http';
import { messageOf, within, type ZoneHost } from '@millrace/kernel';
import type { ConsumerGroup } from '@millrace/log';
import { IDENTITY, type Identity, type Installation, type ModuleDefinition } from '@millrace/module';
import { ModuleRuntime } from '@millrace/module/runtime';
import { startEarly } from '@millrace/processes';
import type { SeriesStore } from '@millrace/series';
import { createLogger, createMetrics, type Logger, type Metrics } from '@millrace/telemetry';
import { OutboxModes, type Topic } from '@millrace/topics';
import { BehindGateways } from './behind-gateways.ts';
import { type DataFolder, openDataFolder } from './data-folder.ts';
import { startRetention } from './housekeeping.ts';
import { openHttpServer, serveStreams } from './http-server.ts';
import { registerMetrics } from './metrics.ts';
import { MODULES } from './modules.ts';
import { openTopics } from './open-topics.ts';
import { envelopeOf } from './secrets.ts';
import { openServices, type Services } from './services.ts';

/** Maximum time that a start and a stop wait for projections, ms. A store that cannot be written must not block the server. */
const CATCH_UP_MS = 2_000;

export interface StartOptions {
  readonly settings: Settings;
  /** Folder of the built console. */
  readonly console: string;
  /** Default: the modules of Millrace. */
  readonly modules?: readonly ModuleDefinition[];
}

/** A running server. */
export interface Running {
  readonly url: string;
  readonly series: SeriesStore;
  /** Link to create the account of the first owner. Null if a user exists, or in demo mode. */
  ownerLink(): Promise<string | null>;
  /** The provider of a port. Null when no enabled module provides it. */
  port<T>(port: Port<T>): T | null;
  /** Host of the zones of a topic. @throws TypeError when there is none in this process */
  host(topic: string): ZoneHost;
  /** A consumer group in this process. @throws TypeError when there is none of this name */
  group(name: string): ConsumerGroup;
  /** Stops intake, decides waiting commands, writes snapshots, flushes, closes. */
  stop(): Promise<void>;
}

/** Opens the parts of a server in the order of their dependencies: data folder, services, topics, modules, HTTP. */
export async function startPlatform({ settings, console, modules = MODULES }: StartOptions): Promise<Running> {
  const logger = createLogger(settings.logging.level);
  const enabled = modules.filter(({ isEnabled }) => isEnabled?.(settings) ?? true);
  const contracts = modules.map(({ contract }) => contract);
  const folder = await openDataFolder(settings, contracts, logger);
  for (const { processes } of enabled) for (const early of processes?.(settings) ?? []) startEarly(early);
  const server: { current?: Server } = {};
  const initial = (channel: string) => server.current?.modules.initial(channel) ?? [];
  const services = await openServices(settings, { contracts, series: folder.series, logger, initial });
  const topics = await openTopics(enabled, settings, services.shared);
  server.current = new Server({ settings, folder, services, topics, modules: enabled, logger });
  return server.current.start(console);
}

interface ServerParts {
  readonly settings: Settings;
  readonly folder: DataFolder;
  readonly services: Services;
  readonly topics: ReadonlyMap<string, Topic>;
  readonly modules: readonly ModuleDefinition[];
  readonly logger: Logger;
}

/** The composition of a server. It knows modules by their definitions only. */
class Server {
  readonly modules: ModuleRuntime;
  readonly #parts: ServerParts;
  readonly #metrics: Metrics = createMetrics();
  readonly #outboxModes = new OutboxModes(() => performance.now());
  readonly #behind: BehindGateways;
  readonly #databaseProbe: ReturnType<typeof probeDatabase>;
  #decidedElsewhere: (readonly [name: string, count: number])[] = [];
  #health: HealthChecks | null = null;

  constructor(parts: ServerParts) {
    const { settings, services, topics, modules } = parts;
    const { streams, database } = services.shared;
    this.#parts = parts;
    this.modules = new ModuleRuntime({
      modules,
      shared: services.shared,
      topics,
      installation: this.#installation(),
      countDecided: (counts) => this.#decidedElsewhere.push(...counts),
    });
    this.#behind = new BehindGateways(settings.gateway.advertisedUrl, services.redis, () => ({
      open: streams.size,
      worldPort: this.modules.ports.players ?? null,
    }));
    this.#databaseProbe = probeDatabase(database.address);
  }

  async start(consoleFolder: string): Promise<Running> {
    const { settings, services, topics, folder, logger } = this.#parts;
    await this.modules.open();
    await this.modules.caughtUp((caughtUp) => this.#inTime(caughtUp));
    const health = this.#openHealth();
    const http = await this.#serve(health, consoleFolder);
    registerMetrics(this.#metrics, {
      topics: () => [...topics.values()],
      consumers: () => this.modules.consumers(),
      hub: services.shared.hub,
      http,
    });
    this.modules.metrics(this.#metrics);
    await this.modules.start(http.url);
    // A server with users is ready when they can sign in.
    if (!settings.demo) await health.run();
    await this.#behind.begin((name) => services.shared.sharedSecrets.secret(name));
    const stopRetention = startRetention([...topics.values()], settings, logger);
    const stopMarker = folder.ready();
    return {
      url: http.url,
      series: folder.series,
      ownerLink: () => this.#identity.ownerLink(),
      port: (port) => this.modules.port(port),
      group: (name) => this.modules.group(name),
      host: (name) => {
        const host = topics.get(name)?.host;
        if (!host) throw new TypeError(`No topic "${name}" has its zones in this process.`);
        return host;
      },
      stop: async () => {
        await this.#stop(http, health, stopRetention);
        stopMarker();
      },
    };
  }

  get #identity(): Identity {
    const identity = this.modules.port(IDENTITY);
    if (!identity) throw new TypeError('No enabled module provides the port "identity".');
    return identity;
  }

  #installation(): Installation {
    const { topics } = this.#parts;
    return {
      topics: () => [...topics.values()],
      consumers: () => this.modules.consumers(),
      outboxes: () => [
        ...[...topics.values()].flatMap(({ name, host, lastFailure }) => {
          if (!host) return [];
          const { outbox } = host.stats();
          return [{ name, mode: this.#outboxModes.modeOf(name, outbox), spooledBytes: outbox.spooledBytes, lastFailure }];
        }),
        ...this.modules.outboxes(),
      ],
      conditions: (time) => this.modules.conditions(time),
      takeDecided: () => [...[...topics.values()].flatMap((topic) => topic.takeDecided()), ...this.#decidedElsewhere.splice(0)],
    };
  }

  #openHealth(): HealthChecks {
    const { settings, services, logger } = this.#parts;
    const { redis } = services;
    this.#health = new HealthChecks(
      [
        // In demo mode there are no users to look up.
        { name: 'database', isRequired: !settings.demo, check: () => this.#databaseProbe.check() },
        ...(redis ? [{ name: 'redis', isRequired: false, check: () => redis.ping() }] : []),
        ...this.modules.health,
      ],
      systemClock,
      (state) => logger[state.status === 'ok' ? 'info' : 'error'](state, 'a health check changed'),
    );
    return this.#health;
  }

  #serve(health: HealthChecks, consoleFolder: string): Promise<HttpServer> {
    const { settings, services, logger } = this.#parts;
    const { streams, responses, hub, database } = services.shared;
    const contracts: readonly ModuleContract[] = [systemContract, ...this.modules.contracts];
    const identity = this.#identity;
    return openHttpServer(settings, {
      redis: services.redis,
      logger,
      console: consoleFolder,
      contracts,
      streams,
      cache: responses,
      sockets: this.modules.sockets,
      metrics: () => this.#metrics.scrape(),
      identify: identity.identify,
      idempotency: new IdempotencyKeys(database.connection, envelopeOf(settings)),
      vouched: (request) => {
        const vouched = this.#behind.vouched(request);
        if (vouched) identity.requireNotRevoked(vouched.principal);
        return vouched;
      },
      requireNotRevoked: (principal) => identity.requireNotRevoked(principal),
      onAuditEvent: (event) => identity.onAuditEvent(event),
      register: (server) => {
        this.modules.register(server);
        this.#systemRoutes(server, health);
        serveStreams(server, settings, { hub, logger, contracts, checkChannel: this.modules.channels().check });
      },
    });
  }

  #systemRoutes({ routes }: HttpParts, health: HealthChecks): void {
    routes.list(
      ENDPOINTS.listServers,
      ({ address, node }) => address ?? node ?? '',
      () => [this.#behind.describe()],
    );
    routes.handle(ENDPOINTS.live, () => ({ status: 'ok' as const, parts: {}, checks: [] }));
    routes.handle(ENDPOINTS.ready, ({ reply }) => {
      const report = health.report();
      if (report.status !== 'ok') void reply.code(503);
      return { ...report, parts: { ...this.#status(), ...report.parts } };
    });
  }

  #status(): Record<string, string> {
    const hosts = [...this.#parts.topics.values()].flatMap(({ host }) => (host ? [host.stats()] : []));
    const isSpooling = hosts.some(({ outbox }) => outbox.mode === 'spooling');
    return {
      log: 'ok',
      zones: `${hosts.reduce((sum, { zones }) => sum + zones, 0)} open`,
      outbox: isSpooling ? 'spooling' : 'flowing',
      ...this.modules.status(),
    };
  }

  /** Stops requests first, then intake, streams, zones, projections, stores: parts that others use are closed last. */
  async #stop(http: HttpServer, health: HealthChecks, stopRetention: () => Promise<void>): Promise<void> {
    const { topics, folder, services } = this.#parts;
    health.stopping();
    services.shared.database.connection.stopping();
    await this.#behind.end();
    await http.drain();
    await stopRetention();
    await this.modules.stopServices();
    await http.close();
    await this.modules.stopReactors();
    for (const topic of topics.values()) await topic.closeHost();
    await this.modules.stopProjections((caughtUp) => this.#inTime(caughtUp));
    await this.modules.close();
    for (const topic of topics.values()) await topic.close();
    // The lock of the data folder: the next server opens the stores of the topics from now on.
    await folder.series.close();
    health.close();
    await this.#databaseProbe.close();
    await services.close();
  }

  /** Waits for a promise, at most `CATCH_UP_MS`. */
  async #inTime(caughtUp: Promise<void>): Promise<void> {
    const { clock, logger } = this.#parts.services.shared;
    await within(clock, CATCH_UP_MS, 'projections', caughtUp).catch((error) =>
      logger.debug({ reason: messageOf(error) }, 'projections lag'),
    );
  }
}
