import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { WorldPlan, ZoneId } from '@millrace/contracts';
import { keyOf, messageOf, within, ZoneHost, zoneAddress } from '@millrace/kernel';
import type { Flow, WorldSample } from '@millrace/operations';
import { systemClock } from '@millrace/platform/clock';
import { Coordinator } from '@millrace/platform/cluster';
import type { Settings } from '@millrace/platform/config';
import type { HealthCheck } from '@millrace/platform/health';
import { proxiesIn, type Routes, remoteOf, type Upgrade } from '@millrace/platform/http';
import { type EventLog, openSpool } from '@millrace/platform/log';
import { secretNumbers } from '@millrace/platform/secrets/zone-numbers';
import type { Hub, InitialEvent } from '@millrace/platform/streams';
import type { Logger } from '@millrace/platform/telemetry';
import {
  allZones,
  ConservationAudit,
  Gateway,
  type HostControl,
  type HostPort,
  listenTcp,
  listenWebSocket,
  newSecret,
  playerTokens,
  streamWorld,
  worldEvents,
  worldRoutes,
  worldStatus,
  worldZone,
  zoneStatuses,
} from '@millrace/worlds';
import type { PlayerOwners } from '@millrace/worlds/tables';
import { drillReports } from '../drill/reports.ts';
import type { WorldStats } from '../metrics.ts';
import { Opening } from '../opening.ts';
import { OutboxModes } from '../outbox-modes.ts';
import type { ProjectorHandle } from '../projector/projector-handle.ts';
import { ownSecrets, ZONE_RANDOM } from '../secrets.ts';
import { HostProcesses } from './host-processes.ts';
import { openPlayersPort } from './players-port.ts';
import { type FromHost, openStores } from './zone-host.ts';

const MIB = 1024 * 1024;
/** Frames of any kind for each command a player may send: pings and a little haste on top. */
const FRAMES_PER_COMMAND = 10;

/** Folder of the world’s own log, snapshots and tables: what players do is nothing the market’s readers should have to read. */
export const WORLDS_FOLDER = 'worlds';

/** How long a start waits for all zones to be open. */
const AUDIT_MS = 10_000;
const DUPLICATES_LOGGED_MAX = 10;
const OPEN_MS_MAX = 10_000;
/** How long a start waits for the log to take what an earlier run had left on a spool. */
const LEFT_SPOOL_MS_MAX = 20_000;

/** Where browsers play. */
export const WORLD_SOCKET_PATH = '/api/v1/world/socket';

type HostStatsMessage = FromHost & { type: 'host-stats' };

export interface Worlds {
  /** Takes players in over WebSocket. */
  readonly upgrade: Upgrade;
  register(routes: Routes): void;
  /** Where players come in over TCP. */
  readonly port: number;
  /** The world’s own log. */
  readonly log: EventLog;
  readonly zones: readonly ZoneId[];
  /** The state of the world, sent first to each new subscriber. */
  events(): InitialEvent[];
  /** The state of the world, for metrics. */
  readonly stats: WorldStats;
  /** What the alerts look at. */
  sample(): Omit<WorldSample, 'time' | 'lags' | 'storage'>;
  /** Whether every zone is open. */
  readonly check: HealthCheck;
  /** Something has changed about a user: its players may not be allowed any more. */
  userChanged(user: string): Promise<void>;
  stop(): Promise<void>;
}

/** Opens the world: its gateway here, its zones in processes of their own, and a coordinator between them. */
export async function startWorlds(
  settings: Settings,
  {
    logger,
    projector,
    hub,
    mayPlay,
    owners,
    onFlow,
  }: {
    logger: Logger;
    projector: ProjectorHandle;
    hub: Hub;
    mayPlay: (user: string) => Promise<boolean>;
    /** Counts the players of each user; null where nobody signs in. */
    owners: PlayerOwners | null;
    onFlow: Flow['add'];
  },
): Promise<Worlds> {
  const { worlds } = settings;
  const data = join(settings.data, WORLDS_FOLDER);
  const stores = openStores(data);
  const opening = new Opening(data, stores, (error) => logger.error({ err: error }, 'a process could not be let open the world’s stores'));
  projector.opensBy(opening);
  const plan: WorldPlan = { seed: worlds.seed, columns: worlds.columns, rows: worlds.rows, monsters: worlds.monsters, items: worlds.items };
  const zones = allZones(plan);
  const tokens = playerTokens(new TextEncoder().encode(worlds.tokenSecret ?? (await ownSecrets(settings).secret('world-tokens'))));
  const randomSecret = await ownSecrets(settings).secret(ZONE_RANDOM);
  const gateway = new Gateway({
    clock: systemClock,
    zones,
    limits: {
      commandsPerSecond: worlds.commandsPerSecond,
      commandsBurst: worlds.commandsPerSecond * 2,
      framesPerSecond: worlds.commandsPerSecond * FRAMES_PER_COMMAND,
      connectionsMax: worlds.connectionsMax,
      connectionsPerAddress: worlds.connectionsPerAddress,
      limitLoopback: worlds.limitLoopback,
      lingerMs: worlds.lingerMs,
    },
    verify: tokens.verify,
    mayPlay,
    secret: newSecret,
    busy: busyShare(),
  });
  await drainLeftSpools(data, settings.log.spoolMiB, stores.log, randomSecret, logger);

  const stats = new Map<string, HostStatsMessage>();
  const snapshotFailures = new Map<string, number>();
  const isDrained = new Map<string, () => void>();
  let isOpen: () => void = () => {};
  // Ready is a world that one can enter; but a zone that cannot be opened keeps nobody from the others.
  const allOpen = new Promise<void>((resolve) => {
    const late = setTimeout(resolve, OPEN_MS_MAX);
    isOpen = () => {
      clearTimeout(late);
      resolve();
    };
  });
  const ports = new Map<string, HostPort>();
  const portOf = (id: string): HostPort => {
    let port = ports.get(id);
    if (!port) {
      port = { id, send: (message) => hosts.get(id)?.send(message) };
      ports.set(id, port);
    }
    return port;
  };
  let isStopping = false;
  const coordinator: Coordinator = new Coordinator({
    clock: systemClock,
    zones: zones.map((zone) => zoneAddress(worldZone.kind, zone)),
    leaseMs: worlds.leaseMs,
    hostsExpected: Math.max(1, worlds.hosts),
    send: (id, assignment) => hosts.get(id)?.send(assignment),
    onPlaced: (address, id) => {
      gateway.placed(keyOf(address), id === null ? null : portOf(id));
      if (zones.every((zone) => gateway.hostOf(zone) !== null)) isOpen();
    },
    onHost: (host, what, detail) => {
      const isExpected = isStopping || what === 'joined' || what === 'drained';
      logger[isExpected ? 'info' : 'warn']({ host, what, detail }, 'a zone host');
      // A process that stands still in the middle of a write keeps everyone else from writing to the log, for as long as it lives.
      if (what === 'silent') hosts.get(host)?.kill();
      if (what !== 'drained') return;
      isDrained.get(host)?.();
      isDrained.delete(host);
    },
  });
  const hosts: HostProcesses = new HostProcesses(
    worlds,
    { ...stores, close: async () => {} },
    opening,
    { data, plan, leaseMs: worlds.leaseMs, spoolMiB: settings.log.spoolMiB, randomSecret, recoverFrom: worlds.recoverFrom },
    {
      onMessage: (host, message) => {
        switch (message.type) {
          case 'heartbeat':
            return coordinator.received(message);
          case 'failure':
            return logger.error({ host: host.id, ...message }, 'a zone host reported a failure');
          case 'recovered':
            return logger.debug({ host: host.id, ...message }, 'a zone is back');
          case 'snapshot': {
            const before = snapshotFailures.get(message.zone) ?? 0;
            snapshotFailures.set(message.zone, message.failure === null ? 0 : before + 1);
            return;
          }
          case 'host-stats':
            stats.set(host.id, message);
            onFlow(message.decided);
            return;
          default:
            return gateway.received(portOf(host.id), message);
        }
      },
      onEnded: (host, expected) => {
        if (!expected) logger.warn({ host: host.id, pid: host.pid }, 'a zone host has ended');
        coordinator.left(host.id);
        // It has ended before it had handed everything over: its zones go elsewhere all the same, and it need not come back.
        isDrained.get(host.id)?.();
        isDrained.delete(host.id);
      },
    },
  );
  const isProxy = proxiesIn(settings.gateway.trustedProxies);
  const listener = await openPlayersPort(settings, (address) => listenTcp(gateway, address, isProxy));
  await allOpen;
  const closed = () => zones.filter((zone) => gateway.hostOf(zone) === null);
  if (closed().length > 0)
    logger.warn({ closed: closed(), of: zones.length }, 'not every zone is open yet; the others open as soon as a host can');
  const webSockets = listenWebSocket(gateway);
  const control = hostControl(hosts, coordinator, stats, isDrained);
  const connectionInfo = { plan, tcpPort: listener.port, socketPath: WORLD_SOCKET_PATH, guests: worlds.guests };
  const watching = { gateway, connectionInfo, hosts: control.statuses };
  const audit = auditWorld(gateway, zones, logger);
  const stopStream = streamWorld({ ...watching, hub, clock: systemClock });
  return {
    port: listener.port,
    log: stores.log,
    zones,
    userChanged: (user) => gateway.userChanged(user),
    check: {
      name: 'worlds',
      isRequired: false,
      check: () => {
        const missing = closed();
        if (missing.length > 0)
          throw new Error(`${missing.length} of ${zones.length} zones have no host: ${missing.slice(0, 10).join(', ')}.`);
      },
    },
    events: () => worldEvents(watching),
    stats: { world: () => worldStatus(gateway, connectionInfo), zones: () => zoneStatuses(gateway), hosts: control.statuses },
    sample: () => {
      const statuses = zoneStatuses(gateway);
      const failures = gateway.takeFailures();
      return {
        ...gateway.takePlayers(),
        duplicates: audit.found,
        zones: statuses.map(({ zone, tickMsMax, waiting }) => ({
          zone,
          tickMs: tickMsMax,
          waiting,
          snapshotFailures: snapshotFailures.get(zoneAddress(worldZone.kind, zone)) ?? 0,
        })),
        ...failures,
      };
    },
    upgrade: (request, socket, head) =>
      webSockets.handleUpgrade(request, socket, head, (connection) => webSockets.serve(connection, remoteOf(request, isProxy))),
    register: (routes) =>
      worldRoutes(routes, {
        ...connectionInfo,
        gateway,
        tokens,
        owners,
        hosts: control,
        record: { ...stores, clock: systemClock },
        history: (query) => projector.query(query),
        drills: () => drillReports(settings.data),
      }),
    stop: async () => {
      isStopping = true;
      stopStream();
      audit.stop();
      gateway.stop();
      webSockets.close();
      await listener.close();
      await hosts.stop();
      coordinator.stop();
      await stores.close();
    },
  };
}

/** Share of the time between two calls that this thread was at work. */
function busyShare(): () => number {
  let before = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    return utilization;
  };
}

/** Looks every now and then whether a player or an item is in two places. */
function auditWorld(
  gateway: Gateway,
  zones: readonly ZoneId[],
  logger: Logger,
): { readonly found: WorldSample['duplicates']; stop(): void } {
  const audit = new ConservationAudit(gateway, zones);
  let found: WorldSample['duplicates'] = [];
  let isLooking = false;
  const timer = setInterval(() => {
    if (isLooking) return;
    isLooking = true;
    void audit
      .look()
      .then((duplicates) => {
        if (!duplicates) return;
        for (const duplicate of duplicates.slice(0, DUPLICATES_LOGGED_MAX)) logger.error(duplicate, 'in more than one place');
        found = duplicates.map(({ what, id, zones: { length: places } }) => ({ what, id, places }));
      })
      .finally(() => {
        isLooking = false;
      });
  }, AUDIT_MS);
  return {
    get found() {
      return found;
    },
    stop: () => clearInterval(timer),
  };
}

/** How operators handle zone hosts. */
function hostControl(
  hosts: HostProcesses,
  coordinator: Coordinator,
  stats: ReadonlyMap<string, HostStatsMessage>,
  isDrained: Map<string, () => void>,
): HostControl {
  const modes = new OutboxModes(() => performance.now());
  return {
    statuses: () => {
      const members = new Map(coordinator.hosts().map((member) => [member.id, member]));
      return hosts.all().map(({ id, pid, startedAt }) => {
        const member = members.get(id);
        const latest = stats.get(id);
        return {
          id,
          pid,
          startedAt,
          state: member === undefined ? 'starting' : member.draining ? 'draining' : 'up',
          zones: member?.zones ?? 0,
          open: member?.open ?? 0,
          leaseLeftMs: Math.round(member?.leaseLeftMs ?? 0),
          outbox: latest ? modes.modeOf(id, latest.stats.outbox) : 'flowing',
          outboxEvents: latest?.stats.outbox.waitingEvents ?? 0,
          spoolBytes: latest?.stats.outbox.spooledBytes ?? 0,
          lostEvents: latest?.stats.outbox.lostEvents ?? 0,
          cpuPercent: Math.round((latest?.cpuMs ?? 0) / 10),
          memoryBytes: latest?.memoryBytes ?? 0,
        };
      });
    },
    drain: (id) => coordinator.drain(id),
    undrain: (id) => coordinator.undrain(id),
    // A rolling update: the new one is there before the old one hands over, so that no zone waits for a process to start.
    replace: (id) => {
      const isMember = coordinator.hosts().some((member) => member.id === id);
      if (!hosts.get(id) || !isMember || isDrained.has(id) || hosts.areEmbedded) return false;
      isDrained.set(id, () => void hosts.remove(id));
      hosts.add();
      return coordinator.drain(id);
    },
  };
}

/** What hosts that are no more could not write: events of zones that nobody has claimed since still go to the log. */
async function drainLeftSpools(data: string, spoolMiB: number, log: EventLog, randomSecret: string, logger: Logger): Promise<void> {
  const folder = join(data, 'spool');
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder).filter((entry) => entry.startsWith('zones-'))) {
    const spool = openSpool(join(folder, name), spoolMiB * MIB, (message) => logger.error({ spool: name }, message));
    if (spool.batches > 0) {
      logger.warn({ spool: name, batches: spool.batches }, 'a spool was left behind and is written to the log first');
      const nothing = { save: async () => {}, list: async () => [], load: () => Promise.reject(new Error('there is none')) };
      const host = new ZoneHost({
        log,
        spool,
        hot: nothing,
        cold: nothing,
        clock: systemClock,
        random: secretNumbers(randomSecret),
        onFailure: (failure) => logger.warn(failure),
      });
      await within(systemClock, LEFT_SPOOL_MS_MAX, 'the log', host.recorded()).catch((error) =>
        logger.error({ spool: name, batches: spool.batches, message: messageOf(error) }, 'a spool could not be written; it is kept'),
      );
      await host.close();
    }
    spool.close();
  }
}
