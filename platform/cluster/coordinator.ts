import type { Clock, ZoneAddress } from '@millrace/kernel';
import type { Assignment, Heartbeat, HostId } from './messages.ts';
import { placeStandbys } from './standby-placement.ts';

/** Interval of lease checks, ms. */
const CHECK_MS = 100;
/** If a check is this late, ms, the process was paused, and has to read waiting heartbeats before it expires leases. */
const STALL_MS = 500;
/** Maximum time that placement waits for the expected hosts at the start, ms: a process takes a second or two to start. */
const STARTING_MS = 5_000;
/** Maximum number of zones that move at a time: a zone is unavailable for some milliseconds while it moves. */
const MOVES_MAX = 4;
/** Time after which a zone that does not open no longer counts as moving, ms. A zone that cannot be opened must not prevent the moves of others. */
const OPENING_MS_MAX = 10_000;

export interface CoordinatorOptions {
  readonly clock: Clock;
  /** All zones to place. */
  readonly zones: readonly ZoneAddress[];
  /** Length of a lease, ms. The zones of a host that sends no heartbeat are placed elsewhere only when its lease has expired. */
  readonly leaseMs: number;
  /** Number of hosts that placement waits for at the start, for 5 s at most. */
  readonly hostsExpected: number;
  /** Whether each zone gets a standby host, which takes it over when its host is lost. */
  readonly standbys?: boolean;
  readonly send: (host: HostId, assignment: Assignment) => void;
  /** A zone is open at a host now, or (null) at no host. */
  readonly onPlaced: (zone: ZoneAddress, host: HostId | null) => void;
  /** `silent`: the lease of the host has expired; its process may be paused and still hold resources. `lost`: its process has ended. */
  readonly onHost?: (host: HostId, what: 'joined' | 'silent' | 'lost' | 'drained', detail: string) => void;
}

interface HostEntry {
  readonly id: HostId;
  readonly incarnation: string;
  readonly machine: string;
  leaseUntil: number;
  lastHeartbeat: number;
  /** Version of its assignment, incremented when the assignment changes. */
  version: number;
  /** The version that was last sent. */
  sentVersion: number;
  draining: boolean;
  /** Whether the end of its drain was reported. */
  isDrainReported: boolean;
}

interface Placed {
  /** Host that may hold the zone. No other host gets it before this one has released it, or its lease has expired. */
  owner: HostId | null;
  /** Host that the zone is assigned to. */
  target: HostId | null;
  /** Version of the owner’s assignment from which the zone is no longer assigned to it. */
  takenAt: number;
  isOpen: boolean;
  /** Host that stands by for it. It keeps it until the zone is open there, or it gets another one. */
  standby: HostId | null;
  /** When it was assigned to its target, ms of the clock. */
  assignedAt: number;
}

export interface HostStatus {
  readonly id: HostId;
  readonly incarnation: string;
  readonly zones: number;
  readonly open: number;
  /** Zones that it stands by for. */
  readonly standby: number;
  readonly draining: boolean;
  readonly leaseLeftMs: number;
}

/**
 * Places zones on hosts. It compares state, not messages: the reply to every heartbeat has the full assignment of the host, so the next one corrects a
 * message that is lost, late or repeated. A zone is never assigned to two hosts. If a host acts on an old assignment, the log refuses its epoch.
 */
export class Coordinator {
  readonly #options: CoordinatorOptions;
  readonly #clock: Clock;
  readonly #hosts = new Map<HostId, HostEntry>();
  readonly #zones = new Map<ZoneAddress, Placed>();
  readonly #startedAt: number;
  #cancel: () => void = () => {};
  #isStarted = false;
  #isStopped = false;

  constructor(options: CoordinatorOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#startedAt = options.clock.elapsed();
    for (const zone of options.zones)
      this.#zones.set(zone, { owner: null, target: null, takenAt: 0, isOpen: false, standby: null, assignedAt: 0 });
    this.#checkLeases();
  }

  received(heartbeat: Heartbeat): void {
    if (this.#isStopped) return;
    const now = this.#clock.elapsed();
    let entry = this.#hosts.get(heartbeat.host);
    if (entry && entry.incarnation !== heartbeat.incarnation) {
      this.#lose(entry, 'lost', 'its process was restarted');
      entry = undefined;
    }
    if (!entry) {
      entry = {
        id: heartbeat.host,
        incarnation: heartbeat.incarnation,
        machine: heartbeat.machine ?? '',
        leaseUntil: 0,
        lastHeartbeat: 0,
        // A host that returns after a loss has an older assignment; new ones need a higher version.
        version: heartbeat.version + 1,
        sentVersion: 0,
        draining: false,
        isDrainReported: false,
      };
      this.#hosts.set(heartbeat.host, entry);
      this.#options.onHost?.(heartbeat.host, 'joined', heartbeat.incarnation);
    }
    if (heartbeat.number <= entry.lastHeartbeat) return;
    entry.lastHeartbeat = heartbeat.number;
    entry.leaseUntil = now + this.#options.leaseMs;
    this.#recordHeartbeat(entry, heartbeat);
    this.#sendAssignment(entry, heartbeat.number);
    this.#rebalance();
  }

  /** Reports that the process of a host has ended. */
  left(host: HostId): void {
    const entry = this.#hosts.get(host);
    if (entry) this.#lose(entry, 'lost', 'its process has ended');
    this.#rebalance();
  }

  /** Drains a host: its zones move to others, and it gets no more. False for an unknown host. */
  drain(host: HostId): boolean {
    const entry = this.#hosts.get(host);
    if (!entry) return false;
    entry.draining = true;
    // A drain that is requested again is reported again.
    entry.isDrainReported = false;
    this.#rebalance();
    return true;
  }

  /** Ends the drain of a host. False for an unknown host. */
  undrain(host: HostId): boolean {
    const entry = this.#hosts.get(host);
    if (entry) entry.draining = false;
    this.#rebalance();
    return entry !== undefined;
  }

  hosts(): HostStatus[] {
    const now = this.#clock.elapsed();
    return [...this.#hosts.values()].map(({ id, incarnation, draining, leaseUntil }) => ({
      id,
      incarnation,
      draining,
      zones: this.#countOf(id),
      open: [...this.#zones.values()].filter(({ owner, isOpen }) => owner === id && isOpen).length,
      standby: [...this.#zones.values()].filter(({ standby }) => standby === id).length,
      leaseLeftMs: Math.max(0, leaseUntil - now),
    }));
  }

  hostOf(zone: ZoneAddress): HostId | null {
    const placed = this.#zones.get(zone);
    return placed?.isOpen ? placed.owner : null;
  }

  /** The host that stands by for a zone; null without one. */
  standbyOf(zone: ZoneAddress): HostId | null {
    return this.#zones.get(zone)?.standby ?? null;
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel();
  }

  #recordHeartbeat(entry: HostEntry, heartbeat: Heartbeat): void {
    const open = new Set(heartbeat.open);
    const holding = new Set(heartbeat.holding);
    for (const [zone, placed] of this.#zones) {
      if (placed.owner !== entry.id) continue;
      const isOpen = open.has(zone) && placed.target === entry.id;
      if (placed.isOpen !== isOpen) {
        placed.isOpen = isOpen;
        this.#options.onPlaced(zone, isOpen ? entry.id : null);
      }
      if (placed.target !== entry.id && heartbeat.version >= placed.takenAt && !holding.has(zone)) placed.owner = null;
    }
    if (!entry.draining || entry.isDrainReported || this.#countOf(entry.id) > 0) return;
    entry.isDrainReported = true;
    this.#options.onHost?.(entry.id, 'drained', '');
  }

  #lose(entry: HostEntry, what: 'silent' | 'lost', reason: string): void {
    this.#hosts.delete(entry.id);
    for (const [zone, placed] of this.#zones) {
      if (placed.target === entry.id) placed.target = null;
      if (placed.owner !== entry.id) continue;
      placed.owner = null;
      if (placed.isOpen) {
        placed.isOpen = false;
        this.#options.onPlaced(zone, null);
      }
    }
    this.#options.onHost?.(entry.id, what, reason);
  }

  /** Places zones without a host, moves zones off draining hosts, and balances the load, a few zones at a time. */
  #rebalance(): void {
    this.#place();
    if (this.#options.standbys) for (const host of placeStandbys(this.#zones.values(), this.#hosts.values())) this.#changed(host);
    for (const entry of this.#hosts.values()) if (entry.sentVersion !== entry.version) this.#sendAssignment(entry, entry.lastHeartbeat);
  }

  #place(): void {
    this.#isStarted ||= this.#hosts.size >= this.#options.hostsExpected || this.#clock.elapsed() - this.#startedAt >= STARTING_MS;
    if (!this.#isStarted) return;
    const now = this.#clock.elapsed();
    for (const placed of this.#zones.values()) {
      if (placed.owner !== null) continue;
      const host =
        placed.target !== null && this.#hosts.has(placed.target) ? placed.target : (this.#readyFor(placed) ?? this.#leastLoaded());
      if (host === undefined) return;
      placed.owner = host;
      placed.target = host;
      placed.assignedAt = now;
      this.#changed(host);
    }
    let moving = [...this.#zones.values()].filter(
      ({ owner, target, isOpen, assignedAt }) => owner !== target || (!isOpen && now - assignedAt < OPENING_MS_MAX),
    ).length;
    for (const placed of this.#zones.values()) {
      if (moving >= MOVES_MAX) return;
      const owner = placed.owner === null ? undefined : this.#hosts.get(placed.owner);
      if (!owner || placed.target !== owner.id) continue;
      // A standby that has taken it over opens it sooner than any other host.
      if (placed.standby === owner.id && !placed.isOpen && !owner.draining && now - placed.assignedAt < OPENING_MS_MAX) continue;
      const better = this.#betterThan(owner, placed);
      if (better === undefined) continue;
      placed.target = better;
      placed.takenAt = this.#changed(owner.id);
      placed.assignedAt = now;
      moving++;
      if (!placed.isOpen) continue;
      placed.isOpen = false;
      this.#options.onPlaced(this.#addressOf(placed), null);
    }
  }

  #betterThan(owner: HostEntry, placed: Placed): HostId | undefined {
    const isBetter = (host: HostId | undefined) =>
      host !== undefined && host !== owner.id && (owner.draining || this.#loadOf(owner.id) > this.#loadOf(host) + 1);
    return [this.#readyFor(placed), this.#leastLoaded(owner.id)].find(isBetter);
  }

  /** The standby of a zone, if it may own zones: it has their state already. */
  #readyFor({ standby }: Placed): HostId | undefined {
    const entry = standby === null ? undefined : this.#hosts.get(standby);
    return entry && !entry.draining ? entry.id : undefined;
  }

  #leastLoaded(except?: HostId): HostId | undefined {
    let least: HostId | undefined;
    for (const { id, draining } of this.#hosts.values()) {
      if (draining || id === except) continue;
      if (least === undefined || this.#loadOf(id) < this.#loadOf(least)) least = id;
    }
    return least;
  }

  /** Number of zones that are assigned to a host. */
  #loadOf(host: HostId): number {
    let load = 0;
    for (const { target } of this.#zones.values()) if (target === host) load++;
    return load;
  }

  /** Number of zones that a host may hold. */
  #countOf(host: HostId): number {
    let count = 0;
    for (const { owner } of this.#zones.values()) if (owner === host) count++;
    return count;
  }

  #addressOf(wanted: Placed): ZoneAddress {
    for (const [zone, placed] of this.#zones) if (placed === wanted) return zone;
    throw new Error('a zone that was placed is not in the list of zones');
  }

  #changed(host: HostId): number {
    const entry = this.#hosts.get(host);
    return entry ? ++entry.version : 0;
  }

  #sendAssignment(entry: HostEntry, number: number): void {
    entry.sentVersion = entry.version;
    const zones = [...this.#zones].filter(([, { owner, target }]) => owner === entry.id && target === entry.id).map(([zone]) => zone);
    this.#options.send(entry.id, {
      type: 'assign',
      answers: number,
      incarnation: entry.incarnation,
      version: entry.version,
      zones,
      standby: [...this.#zones].filter(([, { standby }]) => standby === entry.id).map(([zone]) => zone),
      leaseMs: this.#options.leaseMs,
    });
  }

  #checkLeases(): void {
    const due = this.#clock.elapsed() + CHECK_MS;
    this.#cancel = this.#clock.after(CHECK_MS, () => {
      const now = this.#clock.elapsed();
      for (const entry of [...this.#hosts.values()]) {
        if (now - due > STALL_MS) entry.leaseUntil = Math.max(entry.leaseUntil, now + STALL_MS);
        if (entry.leaseUntil < now) this.#lose(entry, 'silent', 'its lease has expired');
      }
      this.#rebalance();
      if (!this.#isStopped) this.#checkLeases();
    });
  }
}
