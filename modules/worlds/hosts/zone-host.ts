import { hostname } from 'node:os';
import { join } from 'node:path';
import { type Assignment, ClusterNode, type Heartbeat } from '@millrace/cluster';
import type { WorldPlan } from '@millrace/contracts';
import { type Clock, type HostStats, type RecoveryStep, type SnapshotStore, type Spools, ZoneHost } from '@millrace/kernel';
import { openSpools } from '@millrace/log';
import { secretNumbers } from '@millrace/secrets/zone-numbers';
import { type SnapshotTimes, scheduleSnapshots } from '@millrace/snapshots';
import { DecidedEvents, type TopicLog, type ZoneStores } from '@millrace/topics';
import type { FromZoneHost, ToZoneHost } from '../messages.ts';
import type { worldZone } from '../zone/zone.ts';
import { WorldHost } from './world-host.ts';

const STATS_MS = 1_000;
/** How long a stop waits for the events of the zones to be in the log, ms. */
const RELEASE_MS_MAX = 3_000;
const MIB = 1024 * 1024;

/** First message to a zone host: its settings. */
export interface Begin {
  readonly type: 'begin';
  readonly id: string;
  readonly incarnation: string;
  /** Data folder of the world; all hosts of the machine share it. */
  readonly data: string;
  readonly log: TopicLog;
  readonly plan: WorldPlan;
  readonly leaseMs: number;
  readonly spoolMiB: number;
  readonly whenIsolated: 'continue' | 'stop';
  /** Secret that the zones’ random numbers derive from; the same for all hosts of the installation. */
  readonly randomSecret: string;
  /** Snapshot stores that recovery may use. */
  readonly recoverFrom: readonly ('hot' | 'cold')[];
}

export type ToHost = Begin | Assignment | ToZoneHost | { readonly type: 'stop' };

export type FromHost =
  | Heartbeat
  | FromZoneHost
  | { readonly type: 'failure'; readonly message: string; readonly zone: string | null; readonly kind: string }
  | { readonly type: 'recovered'; readonly zone: string; readonly steps: readonly RecoveryStep[] }
  | {
      readonly type: 'snapshot';
      readonly zone: string;
      readonly store: 'hot' | 'cold';
      readonly ms: number;
      readonly failure: string | null;
    }
  | {
      readonly type: 'host-stats';
      readonly stats: HostStats;
      readonly cpuMs: number;
      readonly memoryBytes: number;
      readonly decided: readonly (readonly [name: string, count: number])[];
    };

/** A running zone host: zones of the world on one thread, with their log and snapshots. */
export interface RunningZoneHost {
  received(message: Exclude<ToHost, Begin>): void;
  /** Resolves when all decided events are durable. */
  flushed(): Promise<void>;
  /** Releases the zones, flushes and closes. */
  stop(): Promise<void>;
}

/** A snapshot store that recovery does not use: it is written and lists nothing. */
function unread(store: SnapshotStore): SnapshotStore {
  return { save: (...given) => store.save(...given), list: async () => [], load: (label) => store.load(label) };
}

/** The spools of a host. The hosts of a machine share their folder, so each reads what the owner of a zone before it has left. */
export function spoolsOf({ data, spoolMiB }: Begin, send: ZoneHostParts['send']): Spools {
  const onDamage = (message: string) => send({ type: 'failure', kind: 'log', zone: null, message });
  return openSpools(join(data, 'spool'), { bytesMax: spoolMiB * MIB, onDamage });
}

export interface ZoneHostParts {
  readonly stores: ZoneStores;
  readonly spools: Spools;
  readonly clock: Clock;
  /** Zone definition; a simulation passes one that fails. */
  readonly definition?: typeof worldZone;
  /** Times between two snapshots of a zone; a simulation takes them often. */
  readonly snapshotTimes?: SnapshotTimes;
  readonly send: (message: FromHost) => void;
}

export function runZoneHost(begin: Begin, { stores, spools, clock, definition, snapshotTimes, send }: ZoneHostParts): RunningZoneHost {
  const { id, incarnation, plan, leaseMs } = begin;
  const world = new WorldHost({ clock, plan, send });
  const decided = new DecidedEvents();
  const host: ZoneHost = new ZoneHost({
    log: stores.log,
    hot: begin.recoverFrom.includes('hot') ? stores.hot : unread(stores.hot),
    cold: begin.recoverFrom.includes('cold') ? stores.cold : unread(stores.cold),
    spools,
    clock,
    lease: { leftMs: () => node.leaseLeftMs },
    whenIsolated: begin.whenIsolated,
    random: secretNumbers(begin.randomSecret),
    ...world.hooks,
    onDecided: (batch, state) => {
      decided.count(batch);
      world.hooks.onDecided?.(batch, state);
    },
    onFailure: ({ kind, zone, message }) => {
      send({ type: 'failure', kind, zone: zone ?? null, message });
      if (kind === 'zone-lost' && zone) node.lost(zone);
    },
    onStatus: (zone, status) => node.statusChanged(zone, status),
    onRecovered: (zone, steps, lostEvents) => {
      world.hooks.onRecovered?.(zone, steps, lostEvents);
      send({ type: 'recovered', zone, steps });
    },
    onSnapshot: (snapshot) => {
      world.hooks.onSnapshot?.(snapshot);
      const { zone, store, ms, failure } = snapshot;
      send({ type: 'snapshot', zone, store, ms, failure });
    },
  });
  world.run(host, definition);
  const node: ClusterNode = new ClusterNode({
    id,
    incarnation,
    machine: hostname(),
    clock,
    leaseMs,
    host,
    send,
    onOpened: (zone) => world.opened(zone),
    onClosed: (zone) => world.closed(zone),
    onFailure: (message) => send({ type: 'failure', kind: 'placement', zone: null, message }),
  });
  const stopSnapshots = scheduleSnapshots(host, clock, snapshotTimes);
  const cancelStats = sendStats(host, decided, clock, send);
  return {
    received: (message) => {
      if (message.type === 'assign') node.received(message);
      else if (message.type !== 'stop') world.receive(message);
    },
    flushed: () => host.flushed(),
    stop: async () => {
      cancelStats();
      await node.stop(RELEASE_MS_MAX);
      world.stop();
      stopSnapshots();
      await host.close();
      await stores.close();
    },
  };
}

/** Sends stats of the host every second, until the returned function is called. */
function sendStats(host: ZoneHost, decided: DecidedEvents, clock: Clock, send: ZoneHostParts['send']): () => void {
  let cpuBefore = process.cpuUsage();
  let cancelTimer = () => {};
  const report = () => {
    const { user, system } = process.cpuUsage(cpuBefore);
    cpuBefore = process.cpuUsage();
    send({
      type: 'host-stats',
      stats: host.stats(),
      cpuMs: (user + system) / 1_000,
      memoryBytes: process.memoryUsage.rss(),
      decided: decided.take(),
    });
    cancelTimer = clock.after(STATS_MS, report);
  };
  cancelTimer = clock.after(STATS_MS, report);
  return () => cancelTimer();
}
