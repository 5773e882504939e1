import { USERS, worldsContract } from '@millrace/contracts';
import { failureReason } from '@millrace/database';
import type { HealthCheck } from '@millrace/health';
import { ApiProblem } from '@millrace/http';
import { type Consumer, defineModule, type ModuleContext, type WatchedOutbox } from '@millrace/module';
import { HOST_PROCESS } from './hosts/host-processes.ts';
import { worldMetrics } from './metrics.ts';
import { OpenWorld } from './open-world.ts';
import { WORLD_SOCKET_PATH } from './players-port.ts';
import { ProjectorHandle } from './projector/projector-handle.ts';
import { projectorStatus, savedProgress } from './projector/projector-status.ts';
import { deleteHistoryBefore, PlayerOwners } from './tables/index.ts';
import { shardsOf, WORLD_PLACEMENT } from './zone/placement.ts';
import { WORLD_HISTORY } from './zone/zone.ts';

/** How often the world is checked for players and items that are in more than one place. */
const CONSERVATION_MS = 10_000;
/** How often old rows of the players’ history are deleted. */
const HISTORY_MS = 10 * 60_000;
const DAY_MS = 86_400_000;
/** Largest number of zones that a health check names. */
const NAMED_MAX = 10;

/** The world that players enter over TCP or WebSocket: zones in child processes, the gateway in this one. */
export const worldsModule = defineModule({
  contract: worldsContract,
  uses: [USERS],
  isEnabled: ({ worlds }) => worlds.enabled,
  processes: ({ worlds }) => (worlds.hosts > 0 ? [HOST_PROCESS] : []),
  placements: { worlds: WORLD_PLACEMENT },
  shards: ({ worlds: { columns, rows } }) => ({ worlds: shardsOf({ columns, rows }) }),
  open: async (context) => {
    const { settings, database, logger } = context;
    const topic = context.topic('worlds');
    const users = context.use(USERS);
    const projector = new ProjectorHandle(topic.place, database.address, logger);
    const world = await OpenWorld.open({
      context,
      projector,
      stores: topic.stores,
      mayPlay: mayPlayOf(context),
      owners: users && new PlayerOwners(database.connection, settings.worlds.playersPerUser),
    });
    // After the zones are open: it may be late, and the start of the server waits for them.
    void database.ready.then(() => projector.start());
    users?.onChanged((user) => void world.userChanged(user));
    return {
      routes: (routes) => world.register(routes),
      channels: {
        world: { initial: () => world.events() },
        zones: {
          check: ({ zone }) => {
            if (!world.zones.some((known) => known === zone))
              throw new ApiProblem('UNKNOWN_ZONE', `Unknown zone "${zone}".`, 'GET /api/v1/world/zones lists all zones.');
          },
        },
      },
      sockets: { [WORLD_SOCKET_PATH]: world.upgrade },
      consumers: [projectorConsumer(projector, context)],
      services: { world: { role: 'zones', start: () => {}, stop: () => world.stop() } },
      jobs: {
        conservation: { role: 'zones', everyMs: CONSERVATION_MS, run: () => world.checkConservation() },
        'player-history': { role: 'projector', everyMs: HISTORY_MS, run: () => deleteOldHistory(context) },
      },
      metrics: (metrics) => worldMetrics(metrics, world),
      health: [zonesCheck(world)],
      alerts: () => world.conditions(),
      outboxes: () =>
        world.hosts.control.statuses().map(
          ({ id, outbox, spoolBytes }): WatchedOutbox => ({
            name: id,
            mode: outbox,
            spooledBytes: spoolBytes,
            lastFailure: outbox === 'flowing' ? null : world.hosts.logFailureOf(id),
          }),
        ),
      ports: { players: world.port },
      close: () => projector.stop(),
    };
  },
});

async function deleteOldHistory({ database, logger, settings }: ModuleContext): Promise<void> {
  const now = Date.now();
  const deletedRows = await deleteHistoryBefore(database.connection, now - settings.worlds.keepDays * DAY_MS, now);
  if (deletedRows > 0) logger.info({ deletedRows }, 'old player history deleted');
}

function mayPlayOf(context: ModuleContext): (user: string) => Promise<boolean> {
  const users = context.use(USERS);
  return async (user) => {
    try {
      return (await users?.may(user, 'world:play')) ?? true;
    } catch (error) {
      // Play continues while the database is unavailable: tokens need none, and revoked users are disconnected when it is available again.
      context.logger.warn({ reason: failureReason(error) }, 'a player was admitted whose user cannot be looked up');
      return true;
    }
  };
}

function zonesCheck(world: OpenWorld): HealthCheck {
  return {
    name: 'worlds',
    isRequired: false,
    check: () => {
      const closed = world.closedZones();
      if (closed.length > 0)
        throw new Error(`${closed.length} of ${world.zones.length} zones have no host: ${closed.slice(0, NAMED_MAX).join(', ')}.`);
    },
  };
}

/** The consumer group that writes the players’ history, in its own process. */
function projectorConsumer(projector: ProjectorHandle, context: ModuleContext): Consumer {
  const { log } = context.topic('worlds');
  const saved = savedProgress(log);
  return {
    group: WORLD_HISTORY,
    topic: 'worlds',
    log,
    status: () => projectorStatus(projector, log, saved),
    replay: (deadLetter) => projector.replay(deadLetter),
    pause: () => projector.pause(),
    resume: () => projector.resume(),
    skipDropped: () => projector.skipDropped(),
  };
}
