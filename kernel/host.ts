import type { Checkpoint } from './batch.ts';
import { type CommandMeta, kindOf, type Refused, type Reply, refused, type SubmitOptions, type ZoneAddress } from './command.ts';
import type { AnyZoneDefinition } from './definition.ts';
import type { HostOptions, SnapshotKind, ZoneStatus } from './host-options.ts';
import { hasLease, ISOLATED, isIsolated } from './host-parts.ts';
import { Lifecycle } from './lifecycle.ts';
import { Observers } from './observers.ts';
import { Shards } from './shards.ts';
import { Snapshots } from './snapshots.ts';
import { Standbys } from './standbys.ts';
import { Turns } from './turns.ts';
import type { QueuedCommand, ZoneEntry } from './zone-entry.ts';

export type HostStats = Readonly<ReturnType<ZoneHost['stats']>>;

/** Commands that may wait at one zone; more are refused with `BUSY`. About a tenth of a second of work at the usual rates. */
const MAILBOX_MAX = 100_000;
/** Durable commands of all zones that may wait for a reply; more are refused with `BUSY`. Some tens of MB. */
const DURABLE_WAITING_MAX = 100_000;

/**
 * Owns many zones on one thread. Commands wait in the mailbox of their zone until its turn. A zone that throws stops alone and is
 * rebuilt from its record, with retries until that succeeds. Exceptions of observers are reported and change nothing.
 */
export class ZoneHost {
  readonly #options: HostOptions;
  readonly #definitions = new Map<string, AnyZoneDefinition>();
  readonly #entries = new Map<ZoneAddress, ZoneEntry>();
  readonly #observers: Observers;
  readonly #shards: Shards;
  readonly #snapshots: Snapshots;
  readonly #standbys: Standbys;
  readonly #turns: Turns;
  readonly #lifecycle: Lifecycle;
  #closed: Promise<void> | null = null;
  #uses = 0;
  #durableWaiting = 0;
  #refusedBusy = 0;

  constructor(options: HostOptions) {
    this.#options = options;
    this.#observers = new Observers(options);
    const parts = { options, entries: this.#entries, observers: this.#observers };
    const standbys = new Standbys(parts, (zone) => this.#definitions.get(kindOf(zone)));
    const shards = new Shards({ ...parts, standbys, onLost: (entry, reason) => this.#lifecycle.lost(entry, reason) });
    const snapshots = new Snapshots(parts);
    const turns = new Turns({ ...parts, onFailed: (entry, error) => this.#lifecycle.failed(entry, error) });
    this.#shards = shards;
    this.#standbys = standbys;
    this.#snapshots = snapshots;
    this.#turns = turns;
    this.#lifecycle = new Lifecycle({ ...parts, shards, snapshots, standbys, turns });
  }

  /** Adds a zone kind. @throws TypeError when the kind is already registered */
  register(definition: AnyZoneDefinition): void {
    if (this.#definitions.has(definition.kind)) throw new TypeError(`Zone kind "${definition.kind}" is already registered.`);
    this.#definitions.set(definition.kind, definition);
  }

  /**
   * Owns the shard of the zone and recovers the zone from its record; resolves when it is active. Commands sent meanwhile wait in its mailbox.
   * @throws Error when the host is closed or the recovery fails, TypeError when the zone kind is not registered
   */
  async open(address: ZoneAddress): Promise<void> {
    if (this.#closed !== null) throw new Error(`${address} cannot be opened: this host is closed. Open it on a running host.`);
    const entry = this.#entries.get(address) ?? this.#lifecycle.open(this.#definitionOf(address), address);
    entry.usedAt = ++this.#uses;
    // While the log is unavailable, a zone that is being released stays active.
    if (entry.releasing !== null && (entry.status !== 'active' || entry.shard.outbox.isFlowing))
      return entry.releasing.then(() => this.open(address));
    if (entry.status === 'failed') return this.#lifecycle.bringUp(entry);
    return entry.bringUp;
  }

  /**
   * Sends a command. Resolves with its reply: when it is decided, or, with `durable`, when the log has its events.
   * `onDecided` gets the reply in any case when it is decided; it must not throw.
   */
  submit(address: ZoneAddress, command: unknown, options: SubmitOptions = {}): Promise<Reply> {
    const { durable, onDecided, ...meta } = options;
    return new Promise((resolve) => {
      const settle = durable ? this.#whenDurable(address, resolve) : resolve;
      const onReply = (reply: Reply) => {
        onDecided?.(reply);
        settle(reply);
      };
      const queued = { command, meta: Object.keys(meta).length > 0 ? meta : null, onReply };
      const refusal = (durable && this.#cannotPromise(address)) || this.#post(address, queued);
      if (refusal) onReply(refusal);
    });
  }

  /** Sends a command without a reply. Returns false when the zone does not accept it; the sender should slow down. */
  send(address: ZoneAddress, command: unknown, meta: CommandMeta | null = null): boolean {
    return this.#post(address, { command, meta, onReply: null }) === null;
  }

  /** Current state, seq and epoch of a sound zone, else undefined (see `status`), and without a lease. Not a copy: do not change or keep it. */
  view(address: ZoneAddress): { state: unknown; seq: number; epoch: number } | undefined {
    const entry = this.#entries.get(address);
    if (!entry?.isSound || !hasLease(this.#options)) return undefined;
    entry.usedAt = ++this.#uses;
    const { state, seq, epoch } = entry.zone;
    return { state, seq, epoch };
  }

  /** Lifecycle step of a zone; `stopped` when it is not on this host. */
  status(address: ZoneAddress): ZoneStatus {
    return this.#entries.get(address)?.status ?? 'stopped';
  }

  /** Whether the new events of all shards go straight to the log. */
  get isRecording(): boolean {
    return this.#shards.areFlowing;
  }

  /** Whether the new events of a zone go straight to the log. */
  records(address: ZoneAddress): boolean {
    return this.#entries.get(address)?.shard.outbox.records(address) ?? true;
  }

  /** Number of commands in the mailbox of a zone. */
  waiting(address: ZoneAddress): number {
    return this.#entries.get(address)?.mailbox.length ?? 0;
  }

  /** Addresses of the zones on this host, of all kinds or of one. */
  addresses(kind?: string): ZoneAddress[] {
    return [...this.#entries.keys()].filter((address) => kind === undefined || kindOf(address) === kind);
  }

  /** Stores a snapshot of a zone, unless it is unchanged since its last one there. Resolves with null, or with the reason of a failure. */
  async snapshot(address: ZoneAddress, into: SnapshotKind): Promise<string | null> {
    const entry = this.#entries.get(address);
    return entry ? this.#snapshots.take(entry, into) : 'the zone is not open';
  }

  /** Stores a snapshot of each zone that has changed since its last one in that store. */
  snapshotAll(into: SnapshotKind): Promise<void> {
    return this.#snapshots.takeAll(into);
  }

  /**
   * Releases a zone, so that another host can open it. Resolves when the log has all its events and it is removed from this host.
   * While the log is unavailable, no other host could claim it. It then continues to decide until the log is available again, or
   * until it is abandoned.
   */
  async release(address: ZoneAddress): Promise<void> {
    const entry = this.#entries.get(address);
    if (entry) await this.#lifecycle.release(entry);
  }

  /**
   * Removes a zone at once, because another host may own it already. It decides and snapshots nothing more. The commands in its
   * mailbox are refused with `ZONE_STOPPED`. Decided commands that wait for the log get `OUTCOME_UNKNOWN`, if it was the last zone of its shard.
   */
  abandon(address: ZoneAddress): void {
    const entry = this.#entries.get(address);
    if (entry) this.#lifecycle.abandon(entry);
  }

  /**
   * Stands by for zones that other hosts own, and for no others: follows the log of their shards, and keeps copies of all zones there, so that this host
   * recovers them at once when it opens them. Shards that it owns are followed only when it has lost them. A recovery from a copy gives what one from the
   * snapshots gives, except for what only snapshots have that were stored after the copy began: the replies to commands without events, and their places.
   * Kinds with `repliesKept` record those of commands with an id.
   */
  standBy(zones: Iterable<ZoneAddress>): void {
    if (this.#closed !== null) return;
    const { log } = this.#options;
    this.#standbys.standBy(new Set(Array.from(zones, (zone) => log.shardOf(zone))));
  }

  /** The standby copy of a zone; undefined without one. The state is not a copy: do not change or keep it. */
  standbyOf(address: ZoneAddress): (Checkpoint & { readonly seq: number }) | undefined {
    const replay = this.#standbys.copyOf(address)?.replay;
    return replay && { ...replay.checkpoint(), seq: replay.seq };
  }

  /** Refuses new commands, decides those that wait, stores snapshots, and hands all events to the log (or the spool). Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** Resolves when all events decided so far are in the log, on the spool, or known to be lost. */
  flushed(): Promise<void> {
    return this.#shards.drained();
  }

  /** Resolves when the log has all events decided so far, and those that an earlier run left on the spool. */
  async recorded(): Promise<void> {
    await this.#shards.flowing();
    await this.#shards.drained();
  }

  /** Current load of the host, and its counters since the start. */
  stats() {
    return {
      zones: this.#entries.size,
      waitingCommands: [...this.#entries.values()].reduce((sum, { mailbox }) => sum + mailbox.length, 0),
      /** Durable commands that wait for their turn or for the log. */
      durableWaiting: this.#durableWaiting,
      ...this.#turns.counts,
      refusedBusy: this.#refusedBusy,
      zoneFailures: this.#lifecycle.failures,
      observerFailures: this.#observers.failures,
      snapshotsSkipped: this.#snapshots.skipped,
      /** Copies of zones that other hosts own. */
      standby: this.#standbys.stats(),
      ...this.#shards.stats(),
    };
  }

  #post(address: ZoneAddress, queued: QueuedCommand): Refused | null {
    const entry = this.#entries.get(address);
    if (!entry || this.#closed !== null) return refused('ZONE_STOPPED', `${address} is not open on this host.`);
    if (!hasLease(this.#options)) return refused('ZONE_STOPPED', 'The lease of this host has ended.');
    if (isIsolated(entry, this.#options)) return ISOLATED;
    if (entry.status === 'failed' || entry.status === 'releasing') return refused('ZONE_STOPPED', `${address} is ${entry.status}.`);
    const { mailbox } = entry;
    if (mailbox.length >= (this.#options.mailboxMax ?? MAILBOX_MAX)) return this.#busy(`${mailbox.length} commands wait at ${address}.`);
    entry.usedAt = ++this.#uses;
    // A zone with waiting commands is scheduled already, or will be when it is active.
    if (mailbox.push(queued) === 1) this.#turns.schedule(entry);
    return null;
  }

  async #close(): Promise<void> {
    this.#standbys.close();
    for (const entry of this.#entries.values()) entry.cancelTimer();
    this.#turns.finishAll();
    await this.#shards.drained();
    await Promise.all([this.snapshotAll('hot'), this.snapshotAll('cold')]);
    const released = this.#shards.release();
    for (const entry of [...this.#entries.values()]) this.#lifecycle.drop(entry, `${entry.zone.address} closed with its host.`);
    await released;
  }

  /** Reply callback of a durable command, called when the log has its events. The command counts as waiting from now on. */
  #whenDurable(address: ZoneAddress, resolve: (reply: Reply) => void): (reply: Reply) => void {
    this.#durableWaiting++;
    const settle = (reply: Reply) => {
      this.#durableWaiting--;
      resolve(reply);
    };
    return (reply) => {
      const outbox = this.#entries.get(address)?.shard.outbox;
      if (reply.seq === undefined) settle(reply);
      else if (outbox) outbox.whenDurable(address, reply.seq, (refusal) => settle(refusal ?? reply));
      else settle(refused('OUTCOME_UNKNOWN', `${address} was removed from this host.`));
    };
  }

  /** Refusal when no durable reply is possible now; else null. */
  #cannotPromise(address: ZoneAddress): Refused | null {
    if (this.#entries.get(address)?.shard.outbox.promises(address) === false)
      return refused('LOG_UNAVAILABLE', 'The spool is full, so no durable reply is possible. Retry when the log is available.');
    // The current command is counted already.
    if (this.#durableWaiting <= (this.#options.durableWaitingMax ?? DURABLE_WAITING_MAX)) return null;
    return this.#busy(`${this.#durableWaiting - 1} durable commands wait for the log.`);
  }

  #busy(detail: string): Refused {
    this.#refusedBusy++;
    return refused('BUSY', detail);
  }

  #definitionOf(address: ZoneAddress): AnyZoneDefinition {
    const definition = this.#definitions.get(kindOf(address));
    if (definition) return definition;
    const known = [...this.#definitions.keys()].join(', ') || 'none';
    throw new TypeError(`Unknown zone kind in "${address}". Register it first. Registered kinds: ${known}.`);
  }
}
