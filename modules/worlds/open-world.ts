import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { systemClock } from '@millrace/base/clock';
import type { Settings } from '@millrace/config';
import type { WorldPlan, ZoneId } from '@millrace/contracts';
import { proxiesIn, type Routes, remoteOf, type Upgrade } from '@millrace/http';
import { writeEarlierSpools } from '@millrace/log';
import type { ModuleContext } from '@millrace/module';
import { ZONE_RANDOM } from '@millrace/secrets/zone-numbers';
import type { InitialEvent } from '@millrace/streams';
import { isEmbedded, type LocalStores, StoreOpenings } from '@millrace/topics';
import { WorldConditions, type WorldSample } from './alerts.ts';
import { drillReports } from './drill-reports.ts';
import { Gateway, type WorldLimits } from './gateway/gateway.ts';
import { listenTcp, listenWebSocket, type TcpListener } from './gateway/listeners.ts';
import { newSecret, playerTokens } from './gateway/tokens.ts';
import { ZoneHosts } from './hosts/zone-hosts.ts';
import { requireAllZones } from './left-out-zones.ts';
import { openPlayersPort, WORLD_SOCKET_PATH } from './players-port.ts';
import type { ProjectorHandle } from './projector/projector-handle.ts';
import { ConservationWatch } from './record/conservation-watch.ts';
import { worldRoutes } from './routes/world-routes.ts';
import { type WorldConnectionInfo, worldStatus, zoneStatuses } from './status.ts';
import { streamWorld, worldEvents } from './stream.ts';
import type { PlayerOwners } from './tables/index.ts';
import { allZones } from './zone/terrain.ts';

/** Allowed frames of any kind per allowed command: pings and some tolerance. */
const FRAMES_PER_COMMAND = 10;

export interface WorldParts {
  readonly context: ModuleContext;
  readonly projector: ProjectorHandle;
  readonly stores: LocalStores;
  readonly mayPlay: (user: string) => Promise<boolean>;
  /** Counts the players of each user. Null without sign-in. */
  readonly owners: PlayerOwners | null;
}

/** The world in the server process: its gateway, and handles of the zone hosts in child processes. */
export class OpenWorld {
  readonly #parts: WorldParts;
  readonly #tokens: ReturnType<typeof playerTokens>;
  readonly #gateway: Gateway;
  readonly #listener: TcpListener;
  readonly #sockets: ReturnType<typeof listenWebSocket>;
  readonly #plan: WorldPlan;
  readonly #conservation: ConservationWatch;
  readonly #conditions: WorldConditions;
  readonly #stopStream: () => void;
  readonly zones: readonly ZoneId[];
  readonly hosts: ZoneHosts;

  private constructor(
    parts: WorldParts,
    {
      plan,
      zones,
      tokens,
      gateway,
      hosts,
      listener,
    }: {
      plan: WorldPlan;
      zones: readonly ZoneId[];
      tokens: ReturnType<typeof playerTokens>;
      gateway: Gateway;
      hosts: ZoneHosts;
      listener: TcpListener;
    },
  ) {
    const { hub, logger, settings } = parts.context;
    this.#parts = parts;
    this.#plan = plan;
    this.#tokens = tokens;
    this.#gateway = gateway;
    this.#listener = listener;
    this.zones = zones;
    this.hosts = hosts;
    this.#sockets = listenWebSocket(gateway);
    this.#conservation = new ConservationWatch(gateway, zones, logger);
    this.#conditions = new WorldConditions(settings.alerts);
    this.#stopStream = streamWorld({ ...this.#watched(), hub, clock: systemClock });
  }

  /** Starts the hosts and listens for players; resolves when the zones are open, or after 10 s. */
  static async open(parts: WorldParts): Promise<OpenWorld> {
    const { context, projector, stores } = parts;
    const { settings, logger, ownSecrets } = context;
    const { place } = context.topic('worlds');
    const { folder: data } = place;
    const onFailure = (error: unknown) => logger.error({ err: error }, 'a process could not open the stores of the world');
    const opening = new StoreOpenings(data, stores, onFailure, isEmbedded(stores));
    projector.opensBy(opening);
    const plan = planOf(settings);
    const zones = allZones(plan);
    await requireAllZones(plan, stores);
    const secret = settings.worlds.tokenSecret ?? (await ownSecrets.secret('world-tokens'));
    const tokens = playerTokens(new TextEncoder().encode(secret));
    const randomSecret = await ownSecrets.secret(ZONE_RANDOM);
    const gateway = new Gateway({
      clock: systemClock,
      zones,
      limits: limitsOf(settings),
      verify: tokens.verify,
      mayPlay: parts.mayPlay,
      secret: newSecret,
      busy: busyShare(),
    });
    if (isEmbedded(stores)) await writeEarlierSpools(join(data, 'spool'), stores.log, (message) => logger.warn(message));
    const onDecided = context.countDecided;
    const hosts = new ZoneHosts({ settings, plan, zones, place, stores, opening, randomSecret, gateway, logger, onDecided });
    const isProxy = proxiesIn(settings.gateway.trustedProxies);
    const listener = await openPlayersPort(settings, (address) => listenTcp(gateway, address, isProxy));
    await hosts.opened();
    const world = new OpenWorld(parts, { plan, zones, tokens, gateway, hosts, listener });
    const closed = world.closedZones();
    if (closed.length > 0) logger.warn({ closed, of: zones.length }, 'some zones are not open yet; they are opened as soon as a host can');
    return world;
  }

  /** TCP port for players. */
  get port(): number {
    return this.#listener.port;
  }

  /** Zones without a host. */
  closedZones(): ZoneId[] {
    return this.zones.filter((zone) => this.#gateway.hostOf(zone) === null);
  }

  /** WebSocket of the world protocol. */
  readonly upgrade: Upgrade = (request, socket, head) => {
    const isProxy = proxiesIn(this.#parts.context.settings.gateway.trustedProxies);
    const sockets = this.#sockets;
    sockets.handleUpgrade(request, socket, head, (connection) => sockets.serve(connection, remoteOf(request, isProxy)));
  };

  register(routes: Routes): void {
    const { context, stores, projector, owners } = this.#parts;
    worldRoutes(routes, {
      ...this.#connectionInfo,
      gateway: this.#gateway,
      tokens: this.#tokens,
      owners,
      hosts: this.hosts.control,
      record: { ...stores, clock: systemClock },
      history: (query) => projector.query(query),
      drills: () => drillReports(context.settings.data),
    });
  }

  /** Initial events of the channel `world`. */
  events(): InitialEvent[] {
    return worldEvents(this.#watched());
  }

  status() {
    return worldStatus(this.#gateway, this.#connectionInfo);
  }

  zoneStatuses() {
    return zoneStatuses(this.#gateway);
  }

  /** Conditions for alerts. Call it once per second. */
  conditions() {
    return this.#conditions.of(this.#sample());
  }

  /** Checks that no player and no item is in more than one place. */
  checkConservation(): Promise<void> {
    return this.#conservation.check();
  }

  /** Disconnects the players of a user who may not play any more. */
  userChanged(user: string): Promise<void> {
    return this.#gateway.userChanged(user);
  }

  async stop(): Promise<void> {
    this.hosts.stopping();
    this.#stopStream();
    this.#gateway.stop();
    this.#sockets.close();
    await this.#listener.close();
    await this.hosts.stop();
  }

  get #connectionInfo(): WorldConnectionInfo {
    const { guests } = this.#parts.context.settings.worlds;
    return { plan: this.#plan, tcpPort: this.#listener.port, socketPath: WORLD_SOCKET_PATH, guests };
  }

  #watched() {
    return { gateway: this.#gateway, connectionInfo: this.#connectionInfo, hosts: this.hosts.control.statuses };
  }

  #sample(): WorldSample {
    return {
      ...this.#gateway.takePlayers(),
      ...this.#gateway.takeFailures(),
      duplicates: this.#conservation.duplicates,
      zones: this.zoneStatuses().map(({ zone, tickMsMax, waiting }) => ({
        zone,
        tickMs: tickMsMax,
        waiting,
        snapshotFailures: this.hosts.snapshotFailuresOf(zone),
      })),
    };
  }
}

function planOf({ worlds: { seed, columns, rows, monsters, items } }: Settings): WorldPlan {
  return { seed, columns, rows, monsters, items };
}

function limitsOf({ worlds }: Settings): WorldLimits {
  const { commandsPerSecond, connectionsMax, connectionsPerAddress, limitLoopback, lingerMs } = worlds;
  return {
    commandsPerSecond,
    commandsBurst: commandsPerSecond * 2,
    framesPerSecond: commandsPerSecond * FRAMES_PER_COMMAND,
    connectionsMax,
    connectionsPerAddress,
    limitLoopback,
    lingerMs,
  };
}

/** Share of the time between two calls in which this thread worked, 0 to 1. */
function busyShare(): () => number {
  let before = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    return utilization;
  };
}
