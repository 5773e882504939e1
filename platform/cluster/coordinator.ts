import type { Clock, ZoneAddress } from '@millrace/kernel';
import type { Assignment, Heartbeat, HostId } from './messages.ts';

/** How often leases are looked at. */
const LOOK_MS = 100;
/** A look that comes so late says that this process stood still, and has beats to read before it may judge anyone. */
const STALL_MS = 500;
/** How long zones wait at the start for all the hosts that are expected: a process takes a second or two to come up. */
const STARTING_MS = 5_000;
/** Zones on the move at a time: each is away for some milliseconds, and not all at once should be. */
const MOVES_MAX = 4;

export interface CoordinatorOptions {
  readonly clock: Clock;
  /** Every zone that must be somewhere. */
  readonly zones: readonly ZoneAddress[];
  /** How long a host may act without a word from here. Its zones are placed elsewhere when it is over, not before. */
  readonly leaseMs: number;
  /** At the start, zones wait for so many hosts to come before they are placed, but not for ever. */
  readonly hostsExpected: number;
  readonly send: (host: HostId, assignment: Assignment) => void;
  /** A zone is open at a host now, or at none. */
  readonly onPlaced: (zone: ZoneAddress, host: HostId | null) => void;
  /** `silent` is a host whose lease is over: it may stand still, holding what others wait for. `lost` is one that is known to have ended. */
  readonly onHost?: (host: HostId, what: 'joined' | 'silent' | 'lost' | 'drained', detail: string) => void;
}

interface HostEntry {
  readonly id: HostId;
  readonly incarnation: string;
  leaseUntil: number;
  lastHeartbeat: number;
  /** Raised whenever the zones it is to have change. */
  version: number;
  /** The version it was last told. */
  sentVersion: number;
  draining: boolean;
}

interface Placed {
  /** Who may have it in its hands. Nobody else is given it until this one has let go, or its lease is over. */
  owner: HostId | null;
  /** Who is to have it. */
  target: HostId | null;
  /** The owner’s assignment that took it away. */
  takenAt: number;
  isOpen: boolean;
}

export interface HostStatus {
  readonly id: HostId;
  readonly incarnation: string;
  readonly zones: number;
  readonly open: number;
  readonly draining: boolean;
  readonly leaseLeftMs: number;
}

/**
 * Says which host has which zone. Works on what is, not on what was said: every heartbeat is answered with all that the host is
 * to have, so a message that is lost, late or repeated is corrected by the next one. Two hosts are never
 * told to have one zone; should one act on an old word all the same, the log refuses its epoch.
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
    for (const zone of options.zones) this.#zones.set(zone, { owner: null, target: null, takenAt: 0, isOpen: false });
    this.#look();
  }

  received(heartbeat: Heartbeat): void {
    if (this.#isStopped) return;
    const now = this.#clock.elapsed();
    let entry = this.#hosts.get(heartbeat.host);
    if (entry && entry.incarnation !== heartbeat.incarnation) {
      this.#lose(entry, 'lost', 'it was started anew');
      entry = undefined;
    }
    if (!entry) {
      entry = {
        id: heartbeat.host,
        incarnation: heartbeat.incarnation,
        leaseUntil: 0,
        lastHeartbeat: 0,
        // One that was lost and comes back has assignments of before; those from now on must count as newer.
        version: heartbeat.version + 1,
        sentVersion: 0,
        draining: false,
      };
      this.#hosts.set(heartbeat.host, entry);
      this.#options.onHost?.(heartbeat.host, 'joined', heartbeat.incarnation);
    }
    if (heartbeat.number <= entry.lastHeartbeat) return;
    entry.lastHeartbeat = heartbeat.number;
    entry.leaseUntil = now + this.#options.leaseMs;
    this.#note(entry, heartbeat);
    this.#answer(entry, heartbeat.number);
    this.#arrange();
  }

  /** The host’s process is known to have ended. */
  left(host: HostId): void {
    const entry = this.#hosts.get(host);
    if (entry) this.#lose(entry, 'lost', 'its process has ended');
    this.#arrange();
  }

  /** The host gets no zone any more and hands over those it has. False when there is no such host. */
  drain(host: HostId): boolean {
    const entry = this.#hosts.get(host);
    if (!entry) return false;
    entry.draining = true;
    this.#arrange();
    return true;
  }

  /** Takes a drain back. */
  undrain(host: HostId): boolean {
    const entry = this.#hosts.get(host);
    if (entry) entry.draining = false;
    this.#arrange();
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
      leaseLeftMs: Math.max(0, leaseUntil - now),
    }));
  }

  hostOf(zone: ZoneAddress): HostId | null {
    const placed = this.#zones.get(zone);
    return placed?.isOpen ? placed.owner : null;
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel();
  }

  #note(entry: HostEntry, heartbeat: Heartbeat): void {
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
    if (entry.draining && this.#countOf(entry.id) === 0) this.#options.onHost?.(entry.id, 'drained', '');
  }

  #lose(entry: HostEntry, what: 'silent' | 'lost', why: string): void {
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
    this.#options.onHost?.(entry.id, what, why);
  }

  /** Gives every zone a host, moves those of hosts that drain, and evens out, a few at a time. */
  #arrange(): void {
    this.#place();
    for (const entry of this.#hosts.values()) if (entry.sentVersion !== entry.version) this.#answer(entry, entry.lastHeartbeat);
  }

  #place(): void {
    this.#isStarted ||= this.#hosts.size >= this.#options.hostsExpected || this.#clock.elapsed() - this.#startedAt >= STARTING_MS;
    if (!this.#isStarted) return;
    for (const placed of this.#zones.values()) {
      if (placed.owner !== null) continue;
      const host = placed.target !== null && this.#hosts.has(placed.target) ? placed.target : this.#leastLoaded();
      if (host === undefined) return;
      placed.owner = host;
      placed.target = host;
      this.#changed(host);
    }
    let moving = [...this.#zones.values()].filter(({ owner, target, isOpen }) => owner !== target || !isOpen).length;
    for (const placed of this.#zones.values()) {
      if (moving >= MOVES_MAX) return;
      const owner = placed.owner === null ? undefined : this.#hosts.get(placed.owner);
      if (!owner || placed.target !== owner.id) continue;
      const better = this.#betterThan(owner);
      if (better === undefined) continue;
      placed.target = better;
      placed.takenAt = this.#changed(owner.id);
      placed.isOpen = false;
      moving++;
      this.#options.onPlaced(this.#addressOf(placed), null);
    }
  }

  #betterThan(owner: HostEntry): HostId | undefined {
    const least = this.#leastLoaded(owner.id);
    if (least === undefined) return undefined;
    return owner.draining || this.#loadOf(owner.id) > this.#loadOf(least) + 1 ? least : undefined;
  }

  #leastLoaded(except?: HostId): HostId | undefined {
    let least: HostId | undefined;
    for (const { id, draining } of this.#hosts.values()) {
      if (draining || id === except) continue;
      if (least === undefined || this.#loadOf(id) < this.#loadOf(least)) least = id;
    }
    return least;
  }

  /** Zones a host is to have. */
  #loadOf(host: HostId): number {
    let load = 0;
    for (const { target } of this.#zones.values()) if (target === host) load++;
    return load;
  }

  /** Zones a host may have in its hands. */
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

  #answer(entry: HostEntry, number: number): void {
    entry.sentVersion = entry.version;
    const zones = [...this.#zones].filter(([, { owner, target }]) => owner === entry.id && target === entry.id).map(([zone]) => zone);
    this.#options.send(entry.id, {
      type: 'assign',
      answers: number,
      incarnation: entry.incarnation,
      version: entry.version,
      zones,
      leaseMs: this.#options.leaseMs,
    });
  }

  #look(): void {
    const due = this.#clock.elapsed() + LOOK_MS;
    this.#cancel = this.#clock.after(LOOK_MS, () => {
      const now = this.#clock.elapsed();
      for (const entry of [...this.#hosts.values()]) {
        if (now - due > STALL_MS) entry.leaseUntil = Math.max(entry.leaseUntil, now + STALL_MS);
        if (entry.leaseUntil < now) this.#lose(entry, 'silent', 'its lease is over');
      }
      this.#arrange();
      if (!this.#isStopped) this.#look();
    });
  }
}
