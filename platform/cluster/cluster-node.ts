import { type Clock, messageOf, type ZoneAddress, type ZoneHost, type ZoneStatus } from '@millrace/kernel';
import { Backoff } from '@millrace/resilience';
import type { Assignment, Heartbeat, HostId } from './messages.ts';

/** Heartbeats per lease. If so many in a row are lost, the lease expires. */
const HEARTBEATS_PER_LEASE = 5;
/** First and maximum wait before a zone that could not be opened is tried again, ms. */
const RETRY_FIRST_MS = 200;
const RETRY_MOST_MS = 2_000;
/** Heartbeats whose sending time is kept. An assignment for an older one does not extend the lease. */
const HEARTBEATS_KEPT = 64;

export interface ClusterNodeOptions {
  readonly id: HostId;
  readonly incarnation: string;
  readonly clock: Clock;
  readonly host: Pick<ZoneHost, 'open' | 'release' | 'abandon' | 'standBy'>;
  /** Name of the machine. */
  readonly machine?: string;
  /** Length of a lease until the first assignment states another, ms. */
  readonly leaseMs: number;
  readonly send: (heartbeat: Heartbeat) => void;
  readonly onOpened: (zone: ZoneAddress) => void;
  /** A zone was released, or its release has begun. */
  readonly onClosed: (zone: ZoneAddress) => void;
  readonly onFailure: (message: string) => void;
}

/** One attempt to own a zone. Results of earlier attempts are ignored. */
interface Held {
  state: 'opening' | 'open' | 'failed' | 'releasing';
}

/**
 * The host’s side of placement: opens the zones that are assigned to it, and releases all others. When its lease expires, it abandons all zones,
 * because other hosts may own them then.
 */
export class ClusterNode {
  readonly #options: ClusterNodeOptions;
  readonly #clock: Clock;
  readonly #held = new Map<ZoneAddress, Held>();
  /** Assigned zones that could not be opened, and when each is tried again, ms of the clock’s `elapsed`. */
  readonly #failed = new Map<ZoneAddress, { readonly backoff: Backoff; until: number }>();
  #assigned: ReadonlySet<ZoneAddress> = new Set();
  /** Zones that this host stands by for. */
  #standby: ReadonlySet<ZoneAddress> = new Set();
  #version = 0;
  #number = 0;
  /** When heartbeats were sent, by number: ms of the clock’s `elapsed`, and epoch ms. */
  readonly #sentAt = new Map<number, { readonly elapsed: number; readonly wall: number }>();
  #leaseMs: number;
  #leaseUntil = 0;
  /** The same by the wall clock, epoch ms: the other clock stops while the machine is suspended. */
  #leaseUntilWall = 0;
  #cancel: () => void = () => {};
  #cancelExpiry: () => void = () => {};
  #isStopped = false;

  constructor(options: ClusterNodeOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#leaseMs = options.leaseMs;
    this.#scheduleHeartbeat();
  }

  received(assignment: Assignment): void {
    if (this.#isStopped || assignment.incarnation !== this.#options.incarnation) return;
    const sentAt = this.#sentAt.get(assignment.answers);
    if (sentAt === undefined) return;
    this.#leaseMs = assignment.leaseMs;
    const until = sentAt.elapsed + assignment.leaseMs;
    // The assignment took longer than the lease that it grants.
    if (until <= this.#clock.elapsed()) return;
    if (until > this.#leaseUntil) {
      this.#leaseUntil = until;
      this.#leaseUntilWall = sentAt.wall + assignment.leaseMs;
      this.#watchLease();
    }
    if (assignment.version < this.#version) return;
    this.#version = assignment.version;
    this.#assigned = new Set(assignment.zones);
    this.#standBy(assignment.standby ?? []);
    this.#applyAssignment();
  }

  /** Remaining time of the lease, ms; zero or less when it has ended. */
  get leaseLeftMs(): number {
    return Math.min(this.#leaseUntil - this.#clock.elapsed(), this.#leaseUntilWall - this.#clock.now());
  }

  /** Zones that are open here. */
  get open(): ZoneAddress[] {
    return [...this.#held].filter(([, { state }]) => state === 'open').map(([zone]) => zone);
  }

  /** Another host owns the zone. If it is still assigned to this host, it is opened again. */
  lost(zone: ZoneAddress): void {
    if (!this.#held.delete(zone)) return;
    this.#options.onClosed(zone);
    if (!this.#isStopped) this.#sendHeartbeat();
  }

  /** Reports the new status of a zone of this host. A failed zone counts as closed until it is active again. */
  statusChanged(zone: ZoneAddress, status: ZoneStatus): void {
    const held = this.#held.get(zone);
    if (held?.state === 'open' && status === 'failed') {
      held.state = 'failed';
      this.#options.onClosed(zone);
    } else if (held?.state === 'failed' && status === 'active') {
      held.state = 'open';
      this.#options.onOpened(zone);
    } else return;
    if (!this.#isStopped) this.#sendHeartbeat();
  }

  /**
   * Releases all zones for an orderly shutdown. Events that the log does not accept within `waitMs` stay on the spool, for the next
   * owners of the zones on this machine.
   */
  async stop(waitMs: number): Promise<void> {
    this.#isStopped = true;
    this.#cancel();
    this.#cancelExpiry();
    let late = () => {};
    const waited = new Promise<void>((resolve) => {
      late = this.#clock.after(waitMs, resolve);
    });
    await Promise.race([Promise.all(this.#settled.map((zone) => this.#release(zone))), waited]);
    late();
  }

  /** Zones that are neither opening nor releasing. */
  get #settled(): ZoneAddress[] {
    return [...this.#held].filter(([, { state }]) => state === 'open' || state === 'failed').map(([zone]) => zone);
  }

  #applyAssignment(): void {
    for (const zone of [...this.#failed.keys()]) if (!this.#assigned.has(zone)) this.#failed.delete(zone);
    for (const zone of this.#assigned)
      if (!this.#held.has(zone) && this.#clock.elapsed() >= (this.#failed.get(zone)?.until ?? 0)) this.#open(zone);
    for (const zone of this.#settled) if (!this.#assigned.has(zone)) void this.#release(zone);
  }

  /** A zone that this host takes over stays among them until it is open: its recovery needs the copy. */
  #standBy(zones: readonly ZoneAddress[]): void {
    const isTakenOver = (zone: ZoneAddress) => this.#assigned.has(zone) && this.#held.get(zone)?.state !== 'open';
    const before = this.#standby;
    this.#standby = new Set([...zones, ...[...before].filter(isTakenOver)]);
    if (before.size > 0 || this.#standby.size > 0) this.#options.host.standBy(this.#standby);
  }

  #open(zone: ZoneAddress): void {
    const held: Held = { state: 'opening' };
    this.#held.set(zone, held);
    this.#options.host.open(zone).then(
      () => {
        this.#failed.delete(zone);
        if (!this.#held.has(zone)) return this.#options.host.abandon(zone);
        if (this.#held.get(zone) !== held) return;
        held.state = 'open';
        if (!this.#assigned.has(zone)) return void this.#release(zone);
        this.#options.onOpened(zone);
        this.#sendHeartbeat();
      },
      (error) => {
        if (this.#held.get(zone) === held) this.#held.delete(zone);
        const failed = this.#failed.get(zone) ?? { backoff: new Backoff(RETRY_FIRST_MS, RETRY_MOST_MS, 'none'), until: 0 };
        failed.until = this.#clock.elapsed() + failed.backoff.next();
        this.#failed.set(zone, failed);
        this.#options.onFailure(`${zone} could not be opened: ${messageOf(error)}`);
      },
    );
  }

  async #release(zone: ZoneAddress): Promise<void> {
    const held: Held = { state: 'releasing' };
    this.#held.set(zone, held);
    this.#options.onClosed(zone);
    try {
      await this.#options.host.release(zone);
    } catch (error) {
      this.#options.onFailure(`${zone} was released without a snapshot: ${messageOf(error)}`);
      this.#options.host.abandon(zone);
    }
    if (this.#held.get(zone) !== held) return;
    this.#held.delete(zone);
    if (!this.#isStopped) this.#sendHeartbeat();
  }

  #watchLease(): void {
    this.#cancelExpiry();
    this.#cancelExpiry = this.#clock.after(Math.max(0, this.#leaseUntil - this.#clock.elapsed()), () => {
      if (this.#clock.elapsed() < this.#leaseUntil) return this.#watchLease();
      this.#expire();
    });
  }

  #expire(): void {
    if (this.#held.size === 0) return;
    this.#options.onFailure('the lease has expired: all zones are released');
    const held = [...this.#held.keys()];
    this.#held.clear();
    this.#assigned = new Set();
    for (const zone of held) {
      this.#options.host.abandon(zone);
      this.#options.onClosed(zone);
    }
  }

  #scheduleHeartbeat(): void {
    this.#cancel = this.#clock.after(this.#leaseMs / HEARTBEATS_PER_LEASE, () => {
      if (this.#isStopped) return;
      // The lease may have expired while this process was paused.
      if (this.#held.size > 0 && this.#clock.elapsed() >= this.#leaseUntil) this.#expire();
      if (this.#held.size < this.#assigned.size) this.#applyAssignment();
      this.#sendHeartbeat();
      this.#scheduleHeartbeat();
    });
  }

  #sendHeartbeat(): void {
    const number = ++this.#number;
    this.#sentAt.set(number, { elapsed: this.#clock.elapsed(), wall: this.#clock.now() });
    this.#sentAt.delete(number - HEARTBEATS_KEPT);
    const { id: host, incarnation, machine } = this.#options;
    this.#options.send({
      type: 'heartbeat',
      host,
      incarnation,
      ...(machine !== undefined && { machine }),
      number,
      version: this.#version,
      open: this.open,
      holding: [...this.#held.keys()],
    });
  }
}
