import { type AnyZoneDefinition, type CommandMeta, kindOf, type Refused, type Reply, refused, type ZoneAddress } from './definition.ts';
import type { HostOptions, HostStats, SnapshotKind, ZoneStatus } from './host-options.ts';
import { Lifecycle } from './lifecycle.ts';
import { Observers } from './observers.ts';
import { Outbox } from './outbox.ts';
import { Snapshots } from './snapshots.ts';
import { Turns } from './turns.ts';
import type { QueuedCommand, ZoneEntry } from './zone-entry.ts';

/** Commands a zone may have waiting; beyond it the sender is told BUSY. A tenth of a second of work at the usual rates. */
const MAILBOX_MAX = 100_000;
/** Durable commands that may wait for the log together; beyond it the sender is told BUSY. Some tens of MB. */
const DURABLE_WAITING_MAX = 100_000;

/**
 * Owns many zones on one thread. Commands wait in each zone’s mailbox until its turn. A zone that throws is stopped alone and
 * rebuilt from its record, again and again until that succeeds. What observers throw is reported and changes nothing.
 */
export class ZoneHost {
  readonly #options: HostOptions;
  readonly #definitions = new Map<string, AnyZoneDefinition>();
  readonly #entries = new Map<ZoneAddress, ZoneEntry>();
  readonly #observers: Observers;
  readonly #outbox: Outbox;
  readonly #snapshots: Snapshots;
  readonly #turns: Turns;
  readonly #lifecycle: Lifecycle;
  #closed: Promise<void> | null = null;
  #uses = 0;
  #durableWaiting = 0;
  #refusedBusy = 0;

  constructor(options: HostOptions) {
    const entries = this.#entries;
    const observers = new Observers(options);
    const outbox = new Outbox(options, entries, observers, (address, epoch) => this.#fenced(address, epoch));
    const snapshots = new Snapshots(options, outbox, entries, observers);
    const turns = new Turns(options, outbox, observers, (entry, error) => this.#lifecycle.failed(entry, error));
    this.#options = options;
    this.#observers = observers;
    this.#outbox = outbox;
    this.#snapshots = snapshots;
    this.#turns = turns;
    this.#lifecycle = new Lifecycle({ options, entries, observers, outbox, snapshots, turns });
  }

  /** Teaches the host a kind of zone. */
  register(definition: AnyZoneDefinition): void {
    if (this.#definitions.has(definition.kind)) throw new TypeError(`zone kind "${definition.kind}" is registered already`);
    this.#definitions.set(definition.kind, definition);
  }

  /** Becomes the zone’s owner and brings it back from its record; resolves when it is active. Commands sent meanwhile wait. */
  async open(address: ZoneAddress): Promise<void> {
    if (this.#closed !== null) throw new Error(`${address} cannot be opened: this host is closed`);
    const entry = this.#entries.get(address) ?? this.#lifecycle.open(this.#definitionOf(address), address);
    entry.usedAt = ++this.#uses;
    if (entry.releasing !== null) return entry.releasing.then(() => this.open(address));
    if (entry.status === 'failed') return this.#lifecycle.rebuild(entry);
    return entry.bringUp;
  }

  /** Sends a command and waits for its answer: at once when decided, or, with `durable`, when the log has it. */
  submit(address: ZoneAddress, command: unknown, options: CommandMeta & { durable?: boolean } = {}): Promise<Reply> {
    const { durable, ...meta } = options;
    if (durable && !this.#outbox.promises(address)) return Promise.resolve(refused('LOG_UNAVAILABLE', 'Try again when it is back.'));
    if (durable && this.#durableWaiting >= (this.#options.durableWaitingMax ?? DURABLE_WAITING_MAX))
      return Promise.resolve(this.#busy(`${this.#durableWaiting} durable commands wait for the log.`));
    return new Promise((resolve) => {
      const answer = durable ? this.#whenDurable(address, resolve) : resolve;
      const refusal = this.#post(address, { command, meta: Object.keys(meta).length > 0 ? meta : null, answer });
      if (refusal) answer(refusal);
    });
  }

  /** Sends a command that nobody waits for. False when the zone cannot take it; the sender should slow down. */
  tell(address: ZoneAddress, command: unknown, meta: CommandMeta | null = null): boolean {
    return this.#post(address, { command, meta, answer: null }) === null;
  }

  /** What a zone is now; undefined unless its state is what its record says (see `status`). Not a copy: read it and let it go. */
  view(address: ZoneAddress): { state: unknown; seq: number; epoch: number } | undefined {
    const entry = this.#entries.get(address);
    if (!entry?.isSound) return undefined;
    entry.usedAt = ++this.#uses;
    const { state, seq, epoch } = entry.zone;
    return { state, seq, epoch };
  }

  /** Where a zone is in its life on this host; `stopped` when it is not here. */
  status(address: ZoneAddress): ZoneStatus {
    return this.#entries.get(address)?.status ?? 'stopped';
  }

  /** Whether what is decided now goes straight to the log. */
  get isRecording(): boolean {
    return this.#outbox.isFlowing;
  }

  /** Commands that wait at a zone. */
  waiting(address: ZoneAddress): number {
    return this.#entries.get(address)?.mailbox.length ?? 0;
  }

  addresses(kind?: string): ZoneAddress[] {
    return [...this.#entries.keys()].filter((address) => kind === undefined || kindOf(address) === kind);
  }

  /** Snapshots one zone, unless it has not changed since its last one in that store. Resolves with what was in the way, or null. */
  async snapshot(address: ZoneAddress, into: SnapshotKind): Promise<string | null> {
    const entry = this.#entries.get(address);
    return entry ? this.#snapshots.take(entry, into) : 'the zone is not open';
  }

  /** Snapshots every zone that has changed since its last one in that store. */
  snapshotAll(into: SnapshotKind): Promise<void> {
    return this.#snapshots.takeAll(into);
  }

  /**
   * Gives a zone up for another host to open. Resolves when all that it decided is in the log and it is forgotten here. While the
   * log is unavailable nobody else could open it, so it goes on deciding until the log is back, or it is abandoned.
   */
  async release(address: ZoneAddress): Promise<void> {
    const entry = this.#entries.get(address);
    if (entry) await this.#lifecycle.release(entry);
  }

  /** Lets go of a zone at once, for another host may own it already: nothing more is decided, snapshotted or answered. */
  abandon(address: ZoneAddress): void {
    const entry = this.#entries.get(address);
    if (entry) this.#lifecycle.drop(entry, `${address} has another owner now.`);
  }

  /** Stops taking commands, decides what waits, snapshots, and hands everything to the log (or the spool). */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** Resolves when everything decided so far is in the log or on the spool. */
  flushed(): Promise<void> {
    return this.#outbox.drained();
  }

  /** Resolves when the log has everything decided so far, and what an earlier run had left on the spool. */
  async recorded(): Promise<void> {
    await this.#outbox.flowing();
    await this.#outbox.drained();
  }

  stats(): HostStats {
    return {
      zones: this.#entries.size,
      waitingCommands: [...this.#entries.values()].reduce((sum, { mailbox }) => sum + mailbox.length, 0),
      durableWaiting: this.#durableWaiting,
      ...this.#turns.counts,
      refusedBusy: this.#refusedBusy,
      zoneFailures: this.#lifecycle.failures,
      observerFailures: this.#observers.failures,
      snapshotsSkipped: this.#snapshots.skipped,
      outbox: this.#outbox.stats(),
    };
  }

  #post(address: ZoneAddress, queued: QueuedCommand): Refused | null {
    const entry = this.#entries.get(address);
    if (!entry || this.#closed !== null) return refused('ZONE_STOPPED', `${address} is not open on this host.`);
    if (entry.status === 'failed' || entry.status === 'releasing') return refused('ZONE_STOPPED', `${address} is ${entry.status}.`);
    const { mailbox } = entry;
    if (mailbox.length >= (this.#options.mailboxMax ?? MAILBOX_MAX)) return this.#busy(`${mailbox.length} commands wait at ${address}.`);
    entry.usedAt = ++this.#uses;
    // A zone whose commands wait already has its turn.
    if (mailbox.push(queued) === 1) this.#turns.schedule(entry);
    return null;
  }

  async #close(): Promise<void> {
    this.#snapshots.stop();
    for (const entry of this.#entries.values()) entry.cancelTimer();
    this.#turns.finishAll();
    await this.#outbox.drained();
    await Promise.all([this.snapshotAll('hot'), this.snapshotAll('cold')]);
    for (const entry of [...this.#entries.values()]) this.#lifecycle.drop(entry, `${entry.zone.address} was closed.`);
    await this.#outbox.close();
  }

  /** The log refused this owner: a new one carries on, and this one must not answer any more. */
  #fenced(address: ZoneAddress, epoch: number): void {
    if (this.#entries.get(address)?.zone.epoch !== epoch) return;
    this.abandon(address);
    this.#observers.report({
      kind: 'zone-lost',
      zone: address,
      message: `epoch ${epoch} is stale: another owner has claimed the zone`,
    });
  }

  /** The answer of a durable command: given when the log has what it decided. Counts among those that wait from now on. */
  #whenDurable(address: ZoneAddress, resolve: (reply: Reply) => void): (reply: Reply) => void {
    this.#durableWaiting++;
    const answer = (reply: Reply) => {
      this.#durableWaiting--;
      resolve(reply);
    };
    return (reply) => (reply.ok ? this.#outbox.whenDurable(address, reply.seq, (refusal) => answer(refusal ?? reply)) : answer(reply));
  }

  #busy(detail: string): Refused {
    this.#refusedBusy++;
    return refused('BUSY', detail);
  }

  #definitionOf(address: ZoneAddress): AnyZoneDefinition {
    const definition = this.#definitions.get(kindOf(address));
    if (definition) return definition;
    const known = [...this.#definitions.keys()].join(', ') || 'none';
    throw new TypeError(`"${address}" is of a kind this host does not know; it knows ${known}`);
  }
}
