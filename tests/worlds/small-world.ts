import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@millrace/base/clock';
import { tcp } from '@millrace/client/tcp';
import { WorldClient, type WorldEvents } from '@millrace/client/world';
import type { WorldPlan, ZoneId } from '@millrace/contracts';
import { type SnapshotStore, ZoneHost, zoneAddress } from '@millrace/kernel';
import { openNumbers } from '@millrace/kernel/testing';
import { type EventLog, openLmdbLog, openSpools } from '@millrace/log';
import { openFileSnapshots, openLmdbSnapshots } from '@millrace/snapshots';
import { allZones, Gateway, type HostPort, listenTcp, newSecret, playerTokens, type World, type WorldLimits } from '@millrace/worlds';
import { WORLD_PLACEMENT } from '@millrace/worlds/placement';
import { WorldHost } from '@millrace/worlds/world-host';

const LIMITS: WorldLimits = {
  commandsPerSecond: 30,
  commandsBurst: 60,
  framesPerSecond: 300,
  connectionsMax: 1_000,
  connectionsPerAddress: 1_000,
  limitLoopback: true,
  lingerMs: 5_000,
};

/** Stores of a small world. */
export interface SmallStores {
  readonly log: EventLog;
  readonly hot: SnapshotStore;
  readonly cold: SnapshotStore;
}

export interface SmallWorld {
  readonly folder: string;
  readonly port: number;
  readonly gateway: Gateway;
  readonly hosts: readonly ZoneHost[];
  state(zone: ZoneId): World;
  player(id: string, events?: WorldEvents): Promise<WorldClient>;
  token(id: string): Promise<string>;
  stop(): Promise<void>;
}

/** A world in this process: one host for each column of zones, a real log on disk, a real TCP listener. */
export async function startSmallWorld(
  plan: WorldPlan,
  limits: Partial<WorldLimits> = {},
  change: (stores: SmallStores) => SmallStores = (stores) => stores,
): Promise<SmallWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-world-'));
  const opened = { log: openLmdbLog(join(folder, 'log'), WORLD_PLACEMENT), hot: openLmdbSnapshots(join(folder, 'hot')) };
  const { log, hot, cold } = change({ ...opened, cold: openFileSnapshots(join(folder, 'cold')) });
  const zones = allZones(plan);
  const tokens = playerTokens(new TextEncoder().encode('a secret for tests that is long enough'));
  const gateway = new Gateway({
    clock: systemClock,
    zones,
    limits: { ...LIMITS, ...limits },
    verify: tokens.verify,
    mayPlay: async () => true,
    secret: newSecret,
    busy: () => 0,
  });
  const hosts: ZoneHost[] = [];
  const worldHosts: WorldHost[] = [];
  const clients: WorldClient[] = [];
  for (let column = 0; column < plan.columns; column++) {
    const world: WorldHost = new WorldHost({
      clock: systemClock,
      plan,
      send: (message) => setImmediate(() => gateway.received(port, message)),
    });
    const port: HostPort = { id: `host-${column}`, send: (message) => setImmediate(() => world.receive(message)) };
    const host = new ZoneHost({
      log,
      spools: openSpools(join(folder, `spool-${column}`), { bytesMax: 1e8 }),
      hot,
      cold,
      clock: systemClock,
      random: openNumbers,
      ...world.hooks,
    });
    world.run(host);
    hosts.push(host);
    worldHosts.push(world);
    for (const zone of zones.filter((id) => id.startsWith(`${column}-`))) {
      await host.open(zoneAddress('world', zone));
      world.opened(zoneAddress('world', zone));
      gateway.placed(zone, port);
    }
  }
  const listener = await listenTcp(gateway, { host: '127.0.0.1', port: 0 }, () => false);
  return {
    folder,
    port: listener.port,
    gateway,
    hosts,
    state: (zone) => hosts.map((host) => host.view(zoneAddress('world', zone))?.state).find((state) => state !== undefined) as World,
    token: (id) => tokens.issue({ player: id, name: id, user: null }),
    player: async (id, events = {}) => {
      const client = new WorldClient({
        connect: tcp({ host: '127.0.0.1', port: listener.port }),
        token: await tokens.issue({ player: id, name: id, user: null }),
        ...events,
      });
      clients.push(client);
      return client;
    },
    stop: async () => {
      for (const client of clients) client.close();
      gateway.stop();
      await listener.close();
      for (const world of worldHosts) world.stop();
      for (const host of hosts) await host.close();
      await opened.log.close();
      await opened.hot.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
