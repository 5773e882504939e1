import { type EventBatch, lastSeqOf, writerOf } from './batch.ts';
import { messageOf, within } from './deadline.ts';
import { type AnyZoneDefinition, type CommandMeta, kindOf, type Refused, type Reply, refused, type ZoneAddress } from './definition.ts';
import type { HostFigures, HostOptions, HostTrouble } from './host-options.ts';
import { Metronome } from './metronome.ts';
import { Outbox } from './outbox.ts';
import { type Moment, missingFrom, Past, type RecoveryStep, recover } from './recovery.ts';
import { Ring } from './ring.ts';
import { type SnapshotKind, Snapshots } from './snapshots.ts';
import { Zone } from './zone.ts';
import { type QueuedCommand, ZoneEntry, type ZoneStatus } from './zone-entry.ts';

/** Commands a zone may have waiting; beyond it the sender is told BUSY. A tenth of a second of work at the usual rates. */
const MAILBOX_MAX = 100_000;
/** Commands a zone may take in one turn before the others have theirs, and all zones together before I/O has its turn. */
const TURN_COMMANDS_MAX = 512;
const TURN_TOTAL_MAX = 8_192;
/** Durable commands that may wait for the log together; beyond it the sender is told BUSY. Some tens of MB. */
const DURABLE_WAITING_MAX = 100_000;
/** A claim without an answer for so long counts as failed. */
const CLAIM_MS_MAX = 5_000;
/** A zone that fails more often than this within a minute is retried ever more slowly: it would fail for ever. */
const QUICK_FAILURES_MAX = 5;
const RETRY_FIRST_MS = 250;
const RETRY_MS_MAX = 5_000;

const ignored = () => {};

/**
 * Owns many zones on one thread. Commands wait in each zone’s mailbox; a turn lets every zone that has some decide a
 * bounded number, then hands all new events on at once. A zone that throws is stopped alone and rebuilt from its record,
 * again and again until that succeeds. What observers throw is reported and changes nothing.
 */
export class ZoneHost {
  readonly #options: HostOptions;
  readonly #outbox: Outbox;
  readonly #metronome: Metronome;
  readonly #snapshots: Snapshots;
  readonly #definitions = new Map<string, AnyZoneDefinition>();
  readonly #entries = new Map<ZoneAddress, ZoneEntry>();
  /** The last transition of each address that has one under way: they happen one after another. */
  readonly #transitions = new Map<ZoneAddress, Promise<void>>();
  readonly #ready = new Ring<ZoneEntry>();
  #turnIsDue = false;
  #closed: Promise<void> | null = null;
  #uses = 0;
  #durableWaiting = 0;
  readonly #counts = { decidedCommands: 0, refusedBusy: 0, turns: 0, zoneFailures: 0, observerFailures: 0 };

  constructor(options: HostOptions) {
    const { log, spool, clock, hot, cold, hotEveryMs, coldEveryMs, outboxMemoryEventsMax } = options;
    this.#options = options;
    this.#metronome = new Metronome(clock);
    this.#outbox = new Outbox({
      log,
      spool,
      clock,
      presentOf: (address, firstLostSeq) => {
        const entry = this.#entries.get(address);
        if (!entry) return 'gone';
        if (!entry.isSound) return 'later';
        entry.zone.markLost(firstLostSeq);
        const { seq, epoch, definition } = entry.zone;
        return { checkpoint: entry.zone.checkpoint(), seq, epoch, version: definition.version };
      },
      epochOf: (address) => this.#entries.get(address)?.zone.epoch,
      onDurable: (batch, position) => {
        const entry = this.#entries.get(batch.zone);
        if (entry) entry.zone.position = position;
        this.#publish(entry, () => options.onDurable?.(batch));
      },
      onStale: (address, epoch) => this.#lost(address, epoch),
      onTrouble: (message) => this.#trouble({ kind: 'log', message }),
      ...(outboxMemoryEventsMax !== undefined && { memoryEventsMax: outboxMemoryEventsMax }),
    });
    this.#snapshots = new Snapshots({
      hot,
      cold,
      clock,
      outbox: this.#outbox,
      entries: () => this.#entries.values(),
      onSnapshot: (figures) => this.#observe(() => options.onSnapshot?.(figures)),
      onTrouble: (zone, message) => this.#trouble({ kind: 'snapshot', zone, message }),
      ...(hotEveryMs !== undefined && { hotEveryMs }),
      ...(coldEveryMs !== undefined && { coldEveryMs }),
    });
  }

  /** Teaches the host a kind of zone. */
  register(definition: AnyZoneDefinition): void {
    if (this.#definitions.has(definition.kind)) throw new TypeError(`zone kind "${definition.kind}" is registered already`);
    this.#definitions.set(definition.kind, definition);
  }

  /** Becomes the zone’s owner and brings it back from its record; resolves when it is active. Commands sent meanwhile wait. */
  async open(address: ZoneAddress): Promise<void> {
    if (this.#closed !== null) throw new Error(`${address} cannot be opened: this host is closed`);
    const entry = this.#entries.get(address);
    if (!entry) {
      const fresh = new ZoneEntry(new Zone(this.#definitionOf(address), address));
      this.#entries.set(address, fresh);
      this.#makeRoom();
      return this.#bringUp(fresh, 'opening');
    }
    entry.usedAt = ++this.#uses;
    if (entry.releasing !== null) return entry.releasing.then(() => this.open(address));
    if (entry.status === 'failed') return this.#bringUp(entry, 'rebuilding');
    return entry.bringUp;
  }

  /** Sends a command and waits for its answer: at once when decided, or, with `durable`, when the log has it. */
  submit(address: ZoneAddress, command: unknown, options: CommandMeta & { durable?: boolean } = {}): Promise<Reply> {
    const { durable, ...meta } = options;
    if (durable && !this.#outbox.promises(address)) return Promise.resolve(refused('LOG_UNAVAILABLE', 'Try again when it is back.'));
    if (durable && this.#durableWaiting >= (this.#options.durableWaitingMax ?? DURABLE_WAITING_MAX)) {
      this.#counts.refusedBusy++;
      return Promise.resolve(refused('BUSY', `${this.#durableWaiting} durable commands wait for the log.`));
    }
    return new Promise((resolve) => {
      const answer = durable ? this.#whenDurable(address, resolve) : resolve;
      const refusal = this.#post(address, { command, meta: hasAny(meta) ? meta : null, answer });
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
    return this.#entries.get(address)?.mailbox.size ?? 0;
  }

  addresses(kind?: string): ZoneAddress[] {
    const all = [...this.#entries.keys()];
    return kind === undefined ? all : all.filter((address) => kindOf(address) === kind);
  }

  /** What a zone was after event `seq`, or at `time`: the recovery ladder, stopped at that moment. */
  async stateAt(address: ZoneAddress, moment: Moment): Promise<{ state: unknown; seq: number; steps: readonly RecoveryStep[] }> {
    const definition = this.#definitionOf(address);
    const recovered = await recover(definition, address, this.#options, moment);
    const past = new Past(definition, address, { ...recovered.checkpoint, seq: recovered.seq });
    const untilSeq = 'seq' in moment ? moment.seq : Number.POSITIVE_INFINITY;
    const epoch = this.#entries.get(address)?.zone.epoch ?? 0;
    const unrecorded = this.#outbox.unrecorded(address).filter((batch) => writerOf(batch) >= epoch);
    for (const batch of [...recovered.unrecorded, ...unrecorded]) {
      if ('time' in moment && batch.time > moment.time) break;
      past.apply(batch, untilSeq);
    }
    return { state: past.checkpoint().state, seq: past.seq, steps: recovered.steps };
  }

  /** Snapshots one zone, unless it has not changed since its last one in that store. */
  async snapshot(address: ZoneAddress, into: SnapshotKind): Promise<void> {
    const entry = this.#entries.get(address);
    if (entry) await this.#snapshots.take(entry, into);
  }

  /** Snapshots every zone that has changed since its last one in that store. */
  snapshotAll(into: SnapshotKind): Promise<void> {
    return this.#snapshots.takeAll(into);
  }

  /**
   * Gives a zone up for another host to open. Resolves when all that it decided is in the log and it is forgotten here. While the
   * log is unavailable nobody else could open it, so it goes on deciding until the log is back, or it is abandoned.
   */
  release(address: ZoneAddress): Promise<void> {
    const entry = this.#entries.get(address);
    if (!entry) return Promise.resolve();
    entry.releasing ??= this.#serially(address, () => this.#hand(entry));
    return entry.releasing;
  }

  /** Lets go of a zone at once, for another host may own it already: nothing more is decided, snapshotted or answered. */
  abandon(address: ZoneAddress): void {
    const entry = this.#entries.get(address);
    if (entry) this.#drop(entry, `${address} has another owner now.`);
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

  figures(): HostFigures {
    let waitingCommands = 0;
    for (const { mailbox } of this.#entries.values()) waitingCommands += mailbox.size;
    return {
      zones: this.#entries.size,
      waitingCommands,
      durableWaiting: this.#durableWaiting,
      ...this.#counts,
      snapshotsSkipped: this.#snapshots.skipped,
      outbox: this.#outbox.figures(),
    };
  }

  #post(address: ZoneAddress, queued: QueuedCommand): Refused | null {
    const entry = this.#entries.get(address);
    if (!entry || this.#closed !== null) return refused('ZONE_STOPPED', `${address} is not open on this host.`);
    if (entry.status === 'failed' || entry.status === 'releasing') return refused('ZONE_STOPPED', `${address} is ${entry.status}.`);
    const { mailbox } = entry;
    if (mailbox.size >= (this.#options.mailboxMax ?? MAILBOX_MAX)) {
      this.#counts.refusedBusy++;
      return refused('BUSY', `${mailbox.size} commands wait at ${address}.`);
    }
    mailbox.push(queued);
    entry.usedAt = ++this.#uses;
    if (entry.status === 'active') this.#makeReady(entry);
    return null;
  }

  #makeReady(entry: ZoneEntry): void {
    if (entry.isReady) return;
    entry.isReady = true;
    this.#ready.push(entry);
    this.#scheduleTurn();
  }

  #scheduleTurn(): void {
    if (this.#turnIsDue) return;
    this.#turnIsDue = true;
    this.#options.clock.soon(() => {
      this.#turnIsDue = false;
      this.#turn();
    });
  }

  #turn(): void {
    this.#counts.turns++;
    const { clock, turnCommandsMax, turnTotalMax } = this.#options;
    const now = clock.now();
    const batches: EventBatch[] = [];
    let left = turnTotalMax ?? TURN_TOTAL_MAX;
    // Zones that get work meanwhile have the next turn.
    for (let zones = this.#ready.size; zones > 0 && left > 0; zones--) {
      const entry = this.#ready.take() as ZoneEntry;
      entry.isReady = false;
      left -= this.#drain(entry, now, Math.min(left, turnCommandsMax ?? TURN_COMMANDS_MAX));
      this.#collect(entry, now, batches);
      if (entry.mailbox.size > 0 && entry.isSound) this.#makeReady(entry);
    }
    if (batches.length > 0) this.#outbox.push(batches);
    if (this.#ready.size > 0) this.#scheduleTurn();
  }

  /** @returns commands decided */
  #drain(entry: ZoneEntry, now: number, budget: number): number {
    const { zone, mailbox } = entry;
    for (let count = 0; count < budget; count++) {
      const queued = entry.isSound ? mailbox.take() : undefined;
      if (!queued) return count;
      this.#counts.decidedCommands++;
      const { command, meta, answer } = queued;
      try {
        if (answer === null && meta?.id === undefined) zone.decide(command, meta, now);
        else {
          const reply = zone.handle(command, meta, now);
          answer?.(reply);
        }
      } catch (error) {
        this.#failed(entry, error);
        answer?.(refused('ZONE_FAILED', messageOf(error)));
      }
    }
    return budget;
  }

  #collect(entry: ZoneEntry, now: number, batches: EventBatch[]): void {
    const batch = entry.zone.takeBatch(now);
    if (!batch) return;
    batches.push(batch);
    this.#publish(entry, () => {
      // What was lost before it could be published is no part of what the zone came back as.
      if (lastSeqOf(batch) <= entry.zone.seq) this.#options.onDecided?.(batch, entry.zone.state);
    });
  }

  #tick(entry: ZoneEntry, now: number, late: { lateMs: number; skippedSteps: number }): void {
    if (entry.status !== 'active') return;
    const { zone } = entry;
    const { clock, onTick } = this.#options;
    const started = clock.elapsed();
    try {
      zone.tick(now);
    } catch (error) {
      this.#failed(entry, error);
    }
    const batches: EventBatch[] = [];
    this.#collect(entry, now, batches);
    if (batches.length > 0) this.#outbox.push(batches);
    this.#observe(() => onTick?.({ zone: zone.address, ms: clock.elapsed() - started, ...late }));
  }

  /** A zone threw: it is brought back as what was decided before, from its record, and later each time if it fails often. */
  #failed(entry: ZoneEntry, error: unknown): void {
    const { zone } = entry;
    zone.undoFailed();
    this.#counts.zoneFailures++;
    const trace = error instanceof Error && error.stack ? error.stack : String(error);
    this.#trouble({ kind: 'zone-failed', zone: zone.address, message: trace });
    const beyond = entry.countFailure(this.#options.clock.elapsed()) - QUICK_FAILURES_MAX;
    if (beyond > 0) this.#retryLater(entry, beyond);
    else void this.#bringUp(entry, 'rebuilding').catch(ignored);
  }

  #retryLater(entry: ZoneEntry, failures: number): void {
    const { address } = entry.zone;
    const ms = Math.min(RETRY_MS_MAX, RETRY_FIRST_MS * 2 ** (failures - 1));
    this.#enter(entry, 'failed');
    entry.answerAll(refused('ZONE_STOPPED', `${address} failed; it is tried again in ${ms} ms.`));
    this.#trouble({ kind: 'zone-stopped', zone: address, message: `it failed and is stopped; it is tried again in ${ms} ms` });
    entry.cancelRetry = this.#options.clock.after(ms, () => void this.#bringUp(entry, 'rebuilding').catch(ignored));
  }

  #bringUp(entry: ZoneEntry, as: 'opening' | 'rebuilding'): Promise<void> {
    entry.cancelRetry();
    this.#enter(entry, as);
    // It begins when what runs now is over, so that all that was decided has been handed on.
    entry.bringUp = this.#serially(entry.zone.address, () => this.#recover(entry)).catch((error) => {
      if (this.#entries.get(entry.zone.address) === entry) {
        this.#trouble({ kind: 'recovery', zone: entry.zone.address, message: messageOf(error) });
        if (as === 'opening') this.#drop(entry, messageOf(error));
        else this.#retryLater(entry, entry.countFailure(this.#options.clock.elapsed()));
      }
      throw error;
    });
    return entry.bringUp;
  }

  /** Makes the zone what its record says, as its owner. */
  async #recover(entry: ZoneEntry): Promise<void> {
    const { zone } = entry;
    const { address } = zone;
    const { clock, log, random } = this.#options;
    this.#requireHere(entry);
    // What was lost is lost now. Its seqs are given to other events only under another epoch than theirs.
    if (zone.epoch === 0 || this.#outbox.hasLoss(address)) {
      // What an earlier owner left is looked at first: under its own epoch it is refused as soon as the zone is claimed.
      const left = [...(entry.takenOver?.left ?? []), ...this.#outbox.unrecorded(address)];
      const claim = await within(clock, CLAIM_MS_MAX, 'the log', log.claim(address));
      this.#requireHere(entry);
      zone.own(claim.epoch, random(address, claim.epoch));
      this.#outbox.begin(address, claim.lastSeq);
      entry.takenOver = { left, lastSeq: claim.lastSeq };
    }
    const { takenOver } = entry;
    await this.#outbox.drained();
    const recovered = await recover(zone.definition, address, this.#options);
    this.#requireHere(entry);
    const past = new Past(zone.definition, address, { ...recovered.checkpoint, seq: recovered.seq });
    // What was left on the spool counts, unless another owner has gone on without it. The newest writer there has written
    // everything anew that came before it; what others left beside it is of a branch that was given up.
    const left = [...(takenOver?.left ?? []), ...this.#outbox.unrecorded(address)];
    const newest = left.reduce((most, batch) => Math.max(most, writerOf(batch)), 0);
    const own = newest < recovered.epoch ? [] : left.filter((batch) => writerOf(batch) === newest);
    for (const batch of own) past.apply(batch);
    if (this.#outbox.hasLoss(address)) throw new Error('events were lost while the zone came back');
    zone.restore(past.checkpoint(), past.seq, recovered.position);
    const missing = takenOver ? missingFrom([...recovered.unrecorded, ...own], takenOver.lastSeq) : [];
    entry.takenOver = null;
    if (missing.length > 0) this.#outbox.push(missing.map((batch) => ({ ...batch, writer: zone.epoch })));
    this.#start(entry, recovered.steps);
  }

  #start(entry: ZoneEntry, steps: readonly RecoveryStep[]): void {
    const { zone } = entry;
    const { address, definition } = zone;
    entry.status = 'active';
    const { tickMs } = definition;
    if (tickMs !== undefined && definition.tick) {
      let late = { lateMs: 0, skippedSteps: 0 };
      entry.ticker = {
        tickMs,
        onLate: (figures) => {
          late = figures;
        },
        step: (now) => this.#tick(entry, now, late),
      };
      this.#metronome.add(entry.ticker);
    }
    const deferred = entry.deferred;
    entry.deferred = [];
    for (const tell of deferred) this.#observe(tell);
    this.#observe(() => this.#options.onRecovered?.(address, steps));
    this.#observe(() => this.#options.onStatus?.(address, entry.status));
    if (entry.mailbox.size > 0) this.#makeReady(entry);
  }

  /** Hands a zone over to the log. */
  async #hand(entry: ZoneEntry): Promise<void> {
    const { zone, mailbox } = entry;
    const { address } = zone;
    await Promise.race([this.#outbox.flowing(), entry.gone]);
    if (entry.status === 'active') {
      this.#enter(entry, 'releasing');
      while (mailbox.size > 0 && entry.isSound) this.#turn();
    }
    const durable = () => new Promise<Refused | null>((resolve) => this.#outbox.whenDurable(address, zone.seq, resolve));
    for (;;) {
      // A refusal says that events were lost; the log has the zone once that is bridged, which only a sound state can.
      const isHopeless = this.#outbox.hasLoss(address) && !entry.isSound;
      if (isHopeless || this.#entries.get(address) !== entry || !(await Promise.race([durable(), entry.gone]))) break;
    }
    if (entry.isSound) await Promise.all([this.#snapshots.take(entry, 'hot'), this.#snapshots.take(entry, 'cold')]);
    if (this.#entries.get(address) === entry) this.#drop(entry, `${address} moves to another host.`);
  }

  /** Beyond the bound, those that were used least recently go; a tenth more than must, so that not every opening looks for them. */
  #makeRoom(): void {
    const { zonesMax = Number.POSITIVE_INFINITY } = this.#options;
    if (this.#entries.size <= zonesMax) return;
    const idle = [...this.#entries.values()].filter(
      ({ status, mailbox, releasing, zone }) => status === 'active' && mailbox.size === 0 && releasing === null && !zone.definition.tick,
    );
    idle.sort((one, other) => one.usedAt - other.usedAt);
    const leaving = idle.slice(0, this.#entries.size - zonesMax + Math.floor(zonesMax / 10));
    for (const { zone } of leaving)
      void this.release(zone.address).catch((error) => this.#trouble({ kind: 'log', message: messageOf(error) }));
  }

  async #close(): Promise<void> {
    this.#snapshots.stop();
    this.#metronome.stop();
    while (this.#ready.size > 0) this.#turn();
    await this.#outbox.drained();
    await Promise.all([this.snapshotAll('hot'), this.snapshotAll('cold')]);
    for (const entry of [...this.#entries.values()]) this.#drop(entry, `${entry.zone.address} was closed.`);
    await this.#outbox.close();
  }

  /** Fenced: the log refused this owner. The new one carries on; this one must not answer any more. */
  #lost(address: ZoneAddress, epoch: number): void {
    if (this.#entries.get(address)?.zone.epoch !== epoch) return;
    this.abandon(address);
    this.#trouble({ kind: 'zone-lost', zone: address, message: `epoch ${epoch} is stale: another owner has claimed the zone` });
  }

  #drop(entry: ZoneEntry, why: string): void {
    const { address } = entry.zone;
    this.#entries.delete(address);
    this.#outbox.forget(address);
    this.#enter(entry, 'stopped');
    entry.leave();
    entry.answerAll(refused('ZONE_STOPPED', why));
  }

  #enter(entry: ZoneEntry, status: ZoneStatus): void {
    if (entry.ticker) this.#metronome.remove(entry.ticker);
    entry.ticker = null;
    entry.status = status;
    this.#observe(() => this.#options.onStatus?.(entry.zone.address, status));
  }

  #requireHere(entry: ZoneEntry): void {
    if (this.#entries.get(entry.zone.address) !== entry) throw new Error(`${entry.zone.address} was let go of while it was opened`);
  }

  /** One transition of an address after another. */
  #serially(address: ZoneAddress, work: () => Promise<void>): Promise<void> {
    const before = this.#transitions.get(address) ?? Promise.resolve();
    const done = before.then(work);
    const settled = done.catch(ignored).then(() => {
      if (this.#transitions.get(address) === settled) this.#transitions.delete(address);
    });
    this.#transitions.set(address, settled);
    return done;
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

  #definitionOf(address: ZoneAddress): AnyZoneDefinition {
    const definition = this.#definitions.get(kindOf(address));
    if (definition) return definition;
    const known = [...this.#definitions.keys()].join(', ') || 'none';
    throw new TypeError(`"${address}" is of a kind this host does not know; it knows ${known}`);
  }

  /** Tells observers of a zone: now, or when it is again what they are told of. */
  #publish(entry: ZoneEntry | undefined, tell: () => void): void {
    if (!entry || entry.isSound) this.#observe(tell);
    else entry.deferred.push(tell);
  }

  #observe(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.#counts.observerFailures++;
      this.#trouble({ kind: 'observer', message: error instanceof Error && error.stack ? error.stack : String(error) });
    }
  }

  #trouble(trouble: HostTrouble): void {
    try {
      this.#options.onTrouble?.(trouble);
    } catch {
      // Nobody is left to be told; the count says that it happened.
      this.#counts.observerFailures++;
    }
  }
}

function hasAny(meta: CommandMeta): boolean {
  return meta.id !== undefined || meta.correlation !== undefined || meta.actor !== undefined || meta.tenant !== undefined;
}
