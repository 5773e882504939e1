import type { Cluster } from './cluster.ts';
import type { Interventions } from './interventions.ts';
import { type SimulatedPlayer, sayHello } from './player.ts';
import { noFaults, type ServiceFaults } from './service-faults.ts';

/** Starts a fault. @returns function that ends it, if necessary */
type Fault = (cluster: Cluster, players: readonly SimulatedPlayer[], interventions: Interventions) => (() => void) | null;

/** Distance from a border that counts as near, cm. */
const NEAR_BORDER = 500;
const ZONE_SIDE = 6_400;

const begin = (faults: ServiceFaults, change: Partial<ServiceFaults>) => {
  Object.assign(faults, change);
  return () => void Object.assign(faults, noFaults());
};

/** All faults by name, for `--faults`. */
export const FAULTS = {
  'network-bad': ({ network, server, hosts, scheduler }) => {
    const { machine } = scheduler.pick(hosts);
    network.set(server, machine, {
      lost: scheduler.between(0, 0.4),
      repeated: scheduler.between(0, 0.4),
      delayMs: [0, scheduler.between(1, 600)],
      reordered: true,
    });
    return () => network.set(server, machine, null);
  },
  'network-cut': ({ network, server, hosts, scheduler }) => {
    const { machine } = scheduler.pick(hosts);
    network.set(server, machine, { lost: 1, repeated: 0, delayMs: [0, 1], reordered: false });
    return () => network.set(server, machine, null);
  },
  'log-unavailable': ({ log }) => begin(log.faults, { unavailable: true }),
  'log-slow': ({ log, scheduler }) => begin(log.faults, { slowMs: scheduler.between(20, 1_500) }),
  // Requests take effect after their senders have given up.
  'log-late': ({ log, scheduler }) => begin(log.faults, { slowMs: scheduler.between(4_000, 7_000) }),
  'log-reply-lost': ({ log }) => begin(log.faults, { mute: true }),
  'log-hung': ({ log }) => begin(log.faults, { hung: true }),
  'log-read-only': ({ log }) => begin(log.faults, { readOnly: true }),
  'hot-hung': ({ hot }) => begin(hot.faults, { hung: true }),
  'hot-read-only': ({ hot }) => begin(hot.faults, { readOnly: true }),
  'cold-hung': ({ files }) => begin(files.faults, { hung: true }),
  'cold-read-only': ({ files }) => begin(files.faults, { readOnly: true }),
  'log-retention': ({ log }) => {
    log.dropOldest();
    return null;
  },
  'log-retention-by-age': (cluster) => {
    void cluster.retain();
    return null;
  },
  'hot-unavailable': ({ hot }) => begin(hot.faults, { unavailable: true }),
  'hot-slow': ({ hot, scheduler }) => begin(hot.faults, { slowMs: scheduler.between(20, 2_000) }),
  'hot-empty': ({ hot }) => {
    hot.forget();
    return null;
  },
  'cold-unavailable': ({ files }) => begin(files.faults, { unavailable: true }),
  'cold-slow': ({ files, scheduler }) => begin(files.faults, { slowMs: scheduler.between(20, 2_000) }),
  'cold-corrupt': ({ files }) => {
    files.corrupt();
    return null;
  },
  'database-loses': ({ table, scheduler }) => {
    table.loseNewest(Math.ceil(scheduler.between(0, 20)));
    return null;
  },
  'database-unavailable': ({ table }) => begin(table.faults, { unavailable: true }),
  'database-slow': ({ table, scheduler }) => begin(table.faults, { slowMs: scheduler.between(20, 1_000) }),
  'database-reply-lost': ({ table }) => begin(table.faults, { mute: true }),
  'disk-full': ({ hosts, scheduler }) => {
    const { disk } = scheduler.pick(hosts);
    disk.isFull = true;
    return () => {
      disk.isFull = false;
    };
  },
  'disk-error': ({ hosts, scheduler }) => {
    const { disk } = scheduler.pick(hosts);
    disk.failure = 'io';
    return () => {
      disk.failure = 'none';
    };
  },
  'disk-garbled': ({ hosts, scheduler }) => {
    scheduler.pick(hosts).disk.garble();
    return null;
  },
  'disk-read-only': ({ hosts, scheduler }) => {
    const { disk } = scheduler.pick(hosts);
    disk.failure = 'read-only';
    return () => {
      disk.failure = 'none';
    };
  },
  'zone-throws': ({ hosts, scheduler }) => {
    const host = scheduler.pick(hosts);
    host.throws = 'zones';
    return () => {
      host.throws = 'nothing';
    };
  },
  'observer-throws': ({ hosts, scheduler }) => {
    const host = scheduler.pick(hosts);
    host.throws = 'observers';
    return () => {
      host.throws = 'nothing';
    };
  },
  // The worst combination: a zone must move while nothing can be stored.
  'drain-in-outage': (cluster) => {
    const host = cluster.scheduler.pick(cluster.hosts);
    const end = begin(cluster.log.faults, { unavailable: true });
    cluster.drain(host);
    return () => {
      end();
      cluster.welcome(host);
    };
  },
  // A host ends at the end of an outage, before it could write its events, and stays down: others have only its snapshots.
  'crash-in-outage': (cluster) => {
    const { scheduler, log } = cluster;
    const host = scheduler.pick(cluster.hosts);
    const end = begin(log.faults, { unavailable: true });
    return () => {
      if (host.machine.isUp) cluster.crashHost(host, true);
      end();
      scheduler.at(
        scheduler.now + scheduler.between(1_000, 6_000),
        () => cluster.server.isUp && !host.machine.isUp && cluster.startHost(host),
      );
    };
  },
  'host-crash': (cluster) => {
    const { scheduler } = cluster;
    const host = scheduler.pick(cluster.hosts);
    if (!host.machine.isUp) return null;
    cluster.crashHost(host, scheduler.chance(0.5));
    if (scheduler.chance(0.5)) host.disk.tear();
    return () => cluster.server.isUp && !host.machine.isUp && cluster.startHost(host);
  },
  'host-pause': ({ hosts, scheduler }) => {
    const { machine } = scheduler.pick(hosts);
    if (!machine.isUp || machine.isPaused) return null;
    machine.pause();
    return () => machine.resume();
  },
  // A busy host: one turn decides commands of several zones.
  'host-busy': ({ hosts, scheduler }) => {
    const { machine } = scheduler.pick(hosts);
    machine.busyMs = scheduler.between(50, 600);
    return () => {
      machine.busyMs = 0;
    };
  },
  // A host that is paused while it holds the lock of the log, until the server kills it.
  'lock-holder-pause': (cluster) => {
    const host = cluster.scheduler.pick(cluster.hosts);
    if (!host.machine.isUp || host.machine.isPaused || cluster.log.holder) return null;
    cluster.log.holder = host.machine;
    host.machine.pause();
    return () => {
      cluster.log.holder = null;
      host.machine.resume();
      if (cluster.server.isUp && !host.machine.isUp) cluster.startHost(host);
    };
  },
  'host-replace': (cluster) => {
    const host = cluster.scheduler.pick(cluster.hosts);
    cluster.replaceHost(host);
    return () => cluster.server.isUp && !host.machine.isUp && cluster.startHost(host);
  },
  'server-pause': ({ server }) => {
    if (!server.isUp || server.isPaused) return null;
    server.pause();
    return () => server.resume();
  },
  'host-drain': (cluster) => {
    const host = cluster.scheduler.pick(cluster.hosts);
    cluster.drain(host);
    return () => cluster.welcome(host);
  },
  'reader-crash': (cluster) => {
    if (!cluster.reader.isUp) return null;
    cluster.reader.crash();
    return () => cluster.startReader();
  },
  'server-crash': (cluster, players) => {
    if (!cluster.server.isUp) return null;
    cluster.crashServer();
    for (const player of players) player.drop();
    return () => {
      cluster.startServer();
      for (const host of cluster.hosts) cluster.startHost(host);
    };
  },
  'clock-jump': ({ hosts, server, scheduler }) => {
    const machine = scheduler.pick([server, ...hosts.map((host) => host.machine)]);
    machine.offsetMs += scheduler.between(-4_000, 4_000);
    return null;
  },
  'connection-drop': (_cluster, players) => {
    for (const player of players) if (_cluster.scheduler.chance(0.4)) player.drop();
    return null;
  },
  // Two devices of one player that both send hello and join, also of a new player.
  'two-connections': ({ scheduler, gateway: first, server }, players) => {
    for (const player of players) if (scheduler.chance(0.4)) player.rival();
    const newcomer = `newcomer-${Math.round(scheduler.now)}`;
    const access = { gateway: () => (server.isUp ? first : null), server };
    for (const at of [0, scheduler.between(0, 40)]) scheduler.at(scheduler.now + at, () => sayHello(newcomer, scheduler, access));
    return null;
  },
  'past-question': ({ scheduler, zones }, _players, interventions) => {
    void interventions.ask(scheduler.pick(zones));
    void interventions.replay(scheduler.pick(zones));
    return null;
  },
  'operator-restore': ({ scheduler, zones }, _players, interventions) => {
    void interventions.restore(scheduler.pick(zones));
    return null;
  },
  'operator-edit': ({ scheduler }, players, interventions) => {
    interventions.edit(scheduler.pick(players).id);
    return null;
  },
  'operator-kick': ({ scheduler }, players, interventions) => {
    interventions.kick(scheduler.pick(players).id);
    return null;
  },
  // Players near a border.
  'death-at-border': (_cluster, players, interventions) => {
    for (const { id, model } of players) {
      const along = (model.you?.x ?? ZONE_SIDE / 2) % ZONE_SIDE;
      if (Math.min(along, ZONE_SIDE - along) < NEAR_BORDER) interventions.injure(id, 0);
    }
    return null;
  },
} as const satisfies Record<string, Fault>;

export type FaultName = keyof typeof FAULTS;
export const FAULT_NAMES = Object.keys(FAULTS) as FaultName[];
