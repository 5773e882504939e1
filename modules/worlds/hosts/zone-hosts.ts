import { systemClock } from '@millrace/base/clock';
import { Coordinator } from '@millrace/cluster';
import type { Settings } from '@millrace/config';
import type { WorldHostStatus, WorldPlan, ZoneId } from '@millrace/contracts';
import { keyOf, zoneAddress } from '@millrace/kernel';
import type { Logger } from '@millrace/telemetry';
import { OutboxModes, type StoreOpenings, type Stores, type TopicPlace } from '@millrace/topics';
import type { Gateway } from '../gateway/gateway.ts';
import type { HostPort } from '../messages.ts';
import type { HostControl } from '../routes/host-routes.ts';
import { worldZone } from '../zone/zone.ts';
import { type HostHandle, HostProcesses } from './host-processes.ts';
import type { FromHost } from './zone-host.ts';

/** How long a start waits for all zones to be open, ms. */
const OPEN_MS_MAX = 10_000;

type HostStatsMessage = FromHost & { type: 'host-stats' };

export interface ZoneHostsOptions {
  readonly settings: Settings;
  readonly plan: WorldPlan;
  readonly zones: readonly ZoneId[];
  /** Of the topic. */
  readonly place: Pick<TopicPlace, 'folder' | 'log'>;
  readonly stores: Stores;
  readonly opening: StoreOpenings;
  readonly randomSecret: string;
  readonly gateway: Gateway;
  readonly logger: Logger;
  /** Receives how many events a host decided, by `kind/type`. */
  readonly onDecided: (counts: readonly (readonly [name: string, count: number])[]) => void;
}

/** The zone hosts of the world, and the coordinator that places zones on them. */
export class ZoneHosts {
  readonly #options: ZoneHostsOptions;
  readonly #coordinator: Coordinator;
  readonly #processes: HostProcesses;
  readonly #stats = new Map<string, HostStatsMessage>();
  readonly #snapshotFailures = new Map<string, number>();
  readonly #logFailures = new Map<string, string>();
  /** Hosts that are being replaced, with the callback for when they have released their zones. */
  readonly #draining = new Map<string, () => void>();
  readonly #ports = new Map<string, HostPort>();
  readonly #modes = new OutboxModes(() => performance.now());
  readonly #allOpen = Promise.withResolvers<void>();
  #isStopping = false;

  constructor(options: ZoneHostsOptions) {
    const { settings, plan, zones, place, stores, opening, randomSecret } = options;
    const { folder: data } = place;
    const { worlds, log } = settings;
    this.#options = options;
    this.#coordinator = new Coordinator({
      clock: systemClock,
      zones: zones.map((zone) => zoneAddress(worldZone.kind, zone)),
      leaseMs: worlds.leaseMs,
      hostsExpected: Math.max(1, worlds.hosts),
      standbys: worlds.standbyCopies,
      send: (id, assignment) => this.#processes.get(id)?.send(assignment),
      onPlaced: (address, id) => this.#placed(keyOf(address), id),
      onHost: (id, what, detail) => this.#hostChanged(id, what, detail),
    });
    this.#processes = new HostProcesses(
      worlds,
      // Hosts in this process share its stores, which stay open when a host stops.
      { ...stores, close: async () => {} },
      opening,
      {
        ...{ data, log: place.log, plan, leaseMs: worlds.leaseMs, spoolMiB: log.spoolMiB, randomSecret, recoverFrom: worlds.recoverFrom },
        whenIsolated: log.whenIsolated.worlds ?? 'continue',
      },
      { onMessage: (host, message) => this.#received(host, message), onEnded: (host, isExpected) => this.#ended(host, isExpected) },
    );
  }

  /** Resolves when every zone is open, or after 10 s: a zone that cannot be opened does not block the others. */
  async opened(): Promise<void> {
    const late = setTimeout(this.#allOpen.resolve, OPEN_MS_MAX);
    await this.#allOpen.promise;
    clearTimeout(late);
  }

  /** Snapshots of a zone that failed since the last one that succeeded. */
  snapshotFailuresOf(zone: ZoneId): number {
    return this.#snapshotFailures.get(zoneAddress(worldZone.kind, zone)) ?? 0;
  }

  /** The newest failure of a host to write to the log; null when there was none. */
  logFailureOf(host: string): string | null {
    return this.#logFailures.get(host) ?? null;
  }

  readonly control: HostControl = {
    statuses: () => this.#statuses(),
    drain: (id) => this.#coordinator.drain(id),
    undrain: (id) => {
      // It stays, also if it was being replaced.
      this.#draining.delete(id);
      return this.#coordinator.undrain(id);
    },
    replace: (id) => this.#replace(id),
  };

  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#processes.stop();
    this.#coordinator.stop();
  }

  /** From now on a host that stops is no failure. Call it before the listeners are closed. */
  stopping(): void {
    this.#isStopping = true;
  }

  #placed(zone: ZoneId, id: string | null): void {
    const { gateway, zones } = this.#options;
    gateway.placed(zone, id === null ? null : this.#portOf(id));
    if (zones.every((one) => gateway.hostOf(one) !== null)) this.#allOpen.resolve();
  }

  #hostChanged(id: string, what: string, detail: unknown): void {
    const isExpected = this.#isStopping || what === 'joined' || what === 'drained';
    this.#options.logger[isExpected ? 'info' : 'warn']({ host: id, what, detail }, 'zone host changed');
    // A process that is suspended (SIGSTOP) during a write blocks all other writers of the log as long as it exists.
    if (what === 'silent') this.#processes.get(id)?.kill();
    if (what === 'drained') this.#drained(id);
  }

  #drained(id: string): void {
    this.#draining.get(id)?.();
    this.#draining.delete(id);
  }

  #received(host: HostHandle, message: FromHost): void {
    const { logger, gateway, onDecided } = this.#options;
    switch (message.type) {
      case 'heartbeat':
        return this.#coordinator.received(message);
      case 'failure':
        if (message.kind === 'log') this.#logFailures.set(host.id, message.message);
        return logger.error({ host: host.id, ...message }, 'a zone host reported a failure');
      case 'recovered':
        return logger.debug({ host: host.id, ...message }, 'zone recovered');
      case 'snapshot': {
        const before = this.#snapshotFailures.get(message.zone) ?? 0;
        this.#snapshotFailures.set(message.zone, message.failure === null ? 0 : before + 1);
        return;
      }
      case 'host-stats':
        this.#stats.set(host.id, message);
        onDecided(message.decided);
        return;
      default:
        return gateway.received(this.#portOf(host.id), message);
    }
  }

  #ended({ id, pid }: HostHandle, isExpected: boolean): void {
    if (!isExpected) this.#options.logger.warn({ host: id, pid }, 'a zone host has ended');
    this.#coordinator.left(id);
    this.#stats.delete(id);
    // The host ended before it released all zones. They move to other hosts, and it is not restarted.
    this.#drained(id);
  }

  #portOf(id: string): HostPort {
    const port = this.#ports.get(id) ?? { id, send: (message) => this.#processes.get(id)?.send(message) };
    this.#ports.set(id, port);
    return port;
  }

  /** Rolling update: starts the new host before the old one releases its zones, so that no zone waits for a process start. */
  #replace(id: string): boolean {
    const isMember = this.#coordinator.hosts().some((member) => member.id === id);
    if (this.#isStopping || !this.#processes.get(id) || !isMember || this.#draining.has(id) || this.#processes.areEmbedded) return false;
    this.#draining.set(id, () => void this.#processes.remove(id));
    this.#processes.add();
    return this.#coordinator.drain(id);
  }

  #statuses(): WorldHostStatus[] {
    const members = new Map(this.#coordinator.hosts().map((member) => [member.id, member]));
    return this.#processes.all().map(({ id, pid, startedAt }) => {
      const member = members.get(id);
      const latest = this.#stats.get(id);
      return {
        id,
        pid,
        startedAt,
        state: member === undefined ? 'starting' : member.draining ? 'draining' : 'up',
        zones: member?.zones ?? 0,
        open: member?.open ?? 0,
        standbyZones: latest?.stats.standby.zones ?? 0,
        standbyLag: latest?.stats.standby.lagRecords ?? 0,
        leaseLeftMs: Math.round(member?.leaseLeftMs ?? 0),
        outbox: latest ? this.#modes.modeOf(id, latest.stats.outbox) : 'flowing',
        outboxEvents: latest?.stats.outbox.waitingEvents ?? 0,
        spoolBytes: latest?.stats.outbox.spooledBytes ?? 0,
        lostEvents: latest?.stats.outbox.lostEvents ?? 0,
        cpuPercent: Math.round((latest?.cpuMs ?? 0) / 10),
        memoryBytes: latest?.memoryBytes ?? 0,
      };
    });
  }
}
