import { type EventBatch, writerOf } from './batch.ts';
import { type AnyZoneDefinition, type CommandMeta, kindOf, type Refused, type Reply, refused, type ZoneAddress } from './definition.ts';
import { type Beat, Metronome } from './metronome.ts';
import { Outbox, type OutboxFigures } from './outbox.ts';
import type { Clock, Snapshot, SnapshotStore, Spool, ZoneLog } from './ports.ts';
import { type Moment, messageOf, missingFrom, Past, type RecoveryStep, recover } from './recovery.ts';
import { type Letter, Zone } from './zone.ts';

/** Commands a zone may have waiting; beyond it the sender is told BUSY. A tenth of a second of work at the usual rates. */
const MAILBOX_MAX = 100_000;
/** Commands a zone may take in one turn before the others have theirs. */
const TURN_COMMANDS_MAX = 512;
const HOT_EVERY_MS = 5_000;
const COLD_EVERY_MS = 60_000;
/**
 * Events the log may lack for a snapshot to carry them; beyond it the snapshot is skipped until the log is back. They are read
 * back from the spool while everyone waits, some milliseconds for so many.
 */
const SNAPSHOT_CARRIES_MAX = 1_000;
/** A zone that fails this often within a minute is left stopped: it would fail for ever. */
const FAILURES_PER_MINUTE_MAX = 5;

export interface HostOptions {
  readonly log: ZoneLog;
  readonly spool: Spool;
  readonly hot: SnapshotStore;
  readonly cold: SnapshotStore;
  readonly clock: Clock;
  /** What was decided, at once and in order: for streams and views. Must not throw, must not wait. */
  readonly onDecided?: (batch: EventBatch, state: unknown) => void;
  /** What the log has now: for reactors, which must not act on what a crash could still undo. */
  readonly onDurable?: (batch: EventBatch) => void;
  readonly onTrouble?: (trouble: HostTrouble) => void;
  readonly onTick?: (figures: { zone: ZoneAddress; lateMs: number; ms: number; skippedSteps: number }) => void;
  readonly onSnapshot?: (figures: {
    zone: ZoneAddress;
    store: 'hot' | 'cold';
    seq: number;
    time: number;
    ms: number;
    failure: string | null;
  }) => void;
  readonly onRecovered?: (zone: ZoneAddress, steps: readonly RecoveryStep[]) => void;
  readonly mailboxMax?: number;
  readonly turnCommandsMax?: number;
  readonly hotEveryMs?: number;
  readonly coldEveryMs?: number;
  readonly outboxMemoryEventsMax?: number;
}

export interface HostTrouble {
  readonly kind: 'zone-failed' | 'zone-stopped' | 'zone-lost' | 'log' | 'snapshot' | 'recovery';
  readonly zone?: ZoneAddress;
  readonly message: string;
}

export interface HostFigures {
  readonly zones: number;
  readonly waitingCommands: number;
  readonly decidedCommands: number;
  readonly refusedBusy: number;
  readonly turns: number;
  readonly zoneFailures: number;
  readonly snapshotsSkipped: number;
  readonly outbox: OutboxFigures;
}

interface Residence {
  readonly zone: Zone;
  beat: Beat | null;
  failures: number[];
}

/**
 * Owns many zones on one thread. Commands wait in each zone’s mailbox; a turn lets every zone that has some decide a
 * bounded number, then hands all new events on at once. A zone that throws is stopped alone and rebuilt from its record.
 */
export class ZoneHost {
  readonly #options: HostOptions;
  readonly #clock: Clock;
  readonly #outbox: Outbox;
  readonly #metronome: Metronome;
  readonly #definitions = new Map<string, AnyZoneDefinition>();
  readonly #residences = new Map<ZoneAddress, Residence>();
  readonly #opening = new Map<ZoneAddress, Promise<void>>();
  #ready: Zone[] = [];
  #turnIsDue = false;
  #closing = false;
  #cancelSnapshots: (() => void)[] = [];
  #decidedCommands = 0;
  #refusedBusy = 0;
  #turns = 0;
  #zoneFailures = 0;
  #snapshotsSkipped = 0;

  constructor(options: HostOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#metronome = new Metronome(options.clock);
    this.#outbox = new Outbox({
      log: options.log,
      spool: options.spool,
      clock: options.clock,
      checkpointOf: (address, firstLostSeq) => {
        const zone = this.#residences.get(address)?.zone;
        zone?.disown(firstLostSeq);
        return zone && { checkpoint: zone.checkpoint(), seq: zone.seq, epoch: zone.epoch, version: zone.definition.version };
      },
      epochOf: (address) => this.#residences.get(address)?.zone.epoch,
      onDurable: (batch, position) => {
        const zone = this.#residences.get(batch.zone)?.zone;
        if (zone) zone.position = position;
        options.onDurable?.(batch);
      },
      onStale: (address, epoch) => this.#lost(address, epoch),
      onTrouble: (message) => this.#trouble({ kind: 'log', message }),
      ...(options.outboxMemoryEventsMax !== undefined && { memoryEventsMax: options.outboxMemoryEventsMax }),
    });
    this.#every(options.hotEveryMs ?? HOT_EVERY_MS, () => this.#snapshotEach('hot'));
    this.#every(options.coldEveryMs ?? COLD_EVERY_MS, () => this.#snapshotEach('cold'));
  }

  /** Teaches the host a kind of zone. */
  register(definition: AnyZoneDefinition): void {
    if (this.#definitions.has(definition.kind)) throw new TypeError(`zone kind "${definition.kind}" is registered already`);
    this.#definitions.set(definition.kind, definition);
  }

  /** Becomes the zone’s owner and brings it back from its record. Commands sent meanwhile wait. */
  open(address: ZoneAddress): Promise<void> {
    const underWay = this.#opening.get(address);
    if (underWay !== undefined) return underWay;
    if (this.#residences.get(address)?.zone.status === 'active') return Promise.resolve();
    const definition = this.#definitionOf(address);
    const residence = this.#residences.get(address) ?? { zone: new Zone(definition, address), beat: null, failures: [] };
    this.#residences.set(address, residence);
    const opened = this.#takeOver(residence.zone)
      .then(() => this.#start(residence))
      .catch((error) => {
        if (this.#residences.get(address) === residence) this.#residences.delete(address);
        this.#answerAll(residence.zone, refused('ZONE_STOPPED', messageOf(error)));
        throw error;
      })
      .finally(() => {
        if (this.#opening.get(address) === opened) this.#opening.delete(address);
      });
    this.#opening.set(address, opened);
    return opened;
  }

  /** Sends a command and waits for its answer: at once when decided, or, with `durable`, when the log has it. */
  submit(address: ZoneAddress, command: unknown, options: CommandMeta & { durable?: boolean } = {}): Promise<Reply> {
    const { durable, ...meta } = options;
    if (durable && !this.#outbox.promises) return Promise.resolve(refused('LOG_UNAVAILABLE', 'Try again when it is back.'));
    return new Promise((resolve) => {
      const answer = durable ? (reply: Reply) => this.#answerWhenDurable(address, reply, resolve) : resolve;
      const refusal = this.#post(address, { command, meta: hasAny(meta) ? meta : null, answer });
      if (refusal) resolve(refusal);
    });
  }

  /** Sends a command that nobody waits for. False when the zone cannot take it; the sender should slow down. */
  tell(address: ZoneAddress, command: unknown, meta: CommandMeta | null = null): boolean {
    return this.#post(address, { command, meta, answer: null }) === null;
  }

  /** What a zone is now. Not a copy: read it and let it go. */
  view(address: ZoneAddress): { state: unknown; seq: number; epoch: number } | undefined {
    const zone = this.#residences.get(address)?.zone;
    return zone && { state: zone.state, seq: zone.seq, epoch: zone.epoch };
  }

  /** Whether what is decided now goes straight to the log. */
  get isRecording(): boolean {
    return this.#outbox.isFlowing;
  }

  /** Commands that wait at a zone. */
  waiting(address: ZoneAddress): number {
    return this.#residences.get(address)?.zone.mailbox.size ?? 0;
  }

  addresses(kind?: string): ZoneAddress[] {
    const all = [...this.#residences.keys()];
    return kind === undefined ? all : all.filter((address) => kindOf(address) === kind);
  }

  /** What a zone was after event `seq`, or at `time`: the recovery ladder, stopped at that moment. */
  async stateAt(address: ZoneAddress, moment: Moment): Promise<{ state: unknown; seq: number; steps: readonly RecoveryStep[] }> {
    const recovered = await recover(this.#definitionOf(address), address, this.#options, moment);
    const past = new Past(this.#definitionOf(address), address, { ...recovered.checkpoint, seq: recovered.seq });
    const untilSeq = 'seq' in moment ? moment.seq : Number.POSITIVE_INFINITY;
    for (const batch of [...recovered.unrecorded, ...this.#unrecorded(address)]) {
      if ('time' in moment && batch.time > moment.time) break;
      past.apply(batch, untilSeq);
    }
    return { state: past.checkpoint().state, seq: past.seq, steps: recovered.steps };
  }

  /** Snapshots one zone, unless it has not changed since its last one in that store. */
  async snapshot(address: ZoneAddress, into: 'hot' | 'cold'): Promise<void> {
    const zone = this.#residences.get(address)?.zone;
    if (zone?.status === 'active') await this.#snapshot(zone, into);
  }

  /** Snapshots every zone that has changed since its last one in that store. */
  async snapshotAll(into: 'hot' | 'cold'): Promise<void> {
    await Promise.all([...this.#residences.values()].map(({ zone }) => zone.status === 'active' && this.#snapshot(zone, into)));
  }

  /** Gives a zone up for another host to open: decides what waits, hands all of it to the log, snapshots, forgets it. */
  async release(address: ZoneAddress): Promise<void> {
    await this.#opening.get(address)?.catch(() => {});
    const residence = this.#residences.get(address);
    if (!residence) return;
    const { zone } = residence;
    while (zone.mailbox.size > 0 && zone.status === 'active') this.#turn();
    this.#stopBeat(residence);
    zone.status = 'stopped';
    this.#answerAll(zone, refused('ZONE_STOPPED', `${address} moves to another host.`));
    await this.#outbox.drained();
    if (this.#residences.get(address) !== residence) return;
    await Promise.all([this.#snapshot(zone, 'hot'), this.#snapshot(zone, 'cold')]);
    // Meanwhile it may have been let go of, and opened anew.
    if (this.#residences.get(address) !== residence) return;
    this.#residences.delete(address);
    this.#outbox.forget(address);
  }

  /** Lets go of a zone at once, for another host may own it already: nothing more is decided, snapshotted or answered. */
  abandon(address: ZoneAddress): void {
    this.#opening.delete(address);
    const residence = this.#residences.get(address);
    if (!residence) return;
    residence.zone.status = 'stopped';
    this.#stopBeat(residence);
    this.#residences.delete(address);
    this.#outbox.forget(address);
    this.#answerAll(residence.zone, refused('ZONE_STOPPED', `${address} has another owner now.`));
  }

  /** Stops taking commands, decides what waits, snapshots, and hands everything to the log (or the spool). */
  async close(): Promise<void> {
    this.#closing = true;
    for (const cancel of this.#cancelSnapshots) cancel();
    this.#metronome.stop();
    while (this.#ready.length > 0) this.#turn();
    await this.#outbox.drained();
    await this.snapshotAll('hot');
    await this.snapshotAll('cold');
    for (const { zone } of this.#residences.values()) {
      zone.status = 'stopped';
      this.#answerAll(zone, refused('ZONE_STOPPED', `${zone.address} was closed.`));
    }
    await this.#outbox.close();
  }

  /** Resolves when everything decided so far is in the log or on the spool. */
  flushed(): Promise<void> {
    return this.#outbox.drained();
  }

  figures(): HostFigures {
    let waitingCommands = 0;
    for (const { zone } of this.#residences.values()) waitingCommands += zone.mailbox.size;
    return {
      zones: this.#residences.size,
      waitingCommands,
      decidedCommands: this.#decidedCommands,
      refusedBusy: this.#refusedBusy,
      turns: this.#turns,
      zoneFailures: this.#zoneFailures,
      snapshotsSkipped: this.#snapshotsSkipped,
      outbox: this.#outbox.figures(),
    };
  }

  #post(address: ZoneAddress, letter: Letter): Refused | null {
    const zone = this.#residences.get(address)?.zone;
    if (!zone || zone.status === 'stopped' || this.#closing) return refused('ZONE_STOPPED', `${address} is not open on this host.`);
    if (zone.mailbox.size >= (this.#options.mailboxMax ?? MAILBOX_MAX)) {
      this.#refusedBusy++;
      return refused('BUSY', `${zone.mailbox.size} commands wait at ${address}.`);
    }
    zone.mailbox.push(letter);
    if (zone.status === 'active') this.#makeReady(zone);
    return null;
  }

  #makeReady(zone: Zone): void {
    if (zone.isReady) return;
    zone.isReady = true;
    this.#ready.push(zone);
    if (this.#turnIsDue) return;
    this.#turnIsDue = true;
    this.#clock.soon(() => this.#turn());
  }

  #turn(): void {
    this.#turnIsDue = false;
    this.#turns++;
    const zones = this.#ready;
    this.#ready = [];
    const now = this.#clock.now();
    const batches: EventBatch[] = [];
    for (const zone of zones) {
      zone.isReady = false;
      this.#drain(zone, now);
      this.#collect(zone, now, batches);
      if (zone.mailbox.size > 0 && zone.status === 'active') this.#makeReady(zone);
    }
    if (batches.length > 0) this.#outbox.push(batches);
  }

  #drain(zone: Zone, now: number): void {
    for (let left = this.#options.turnCommandsMax ?? TURN_COMMANDS_MAX; left > 0 && zone.status === 'active'; left--) {
      const letter = zone.mailbox.take();
      if (!letter) return;
      this.#decidedCommands++;
      const { command, meta, answer } = letter;
      let reply: Reply;
      try {
        if (answer === null && meta?.id === undefined) {
          zone.decide(command, meta, now);
          continue;
        }
        reply = zone.handle(command, meta, now);
      } catch (error) {
        reply = refused('ZONE_FAILED', messageOf(error));
        this.#failed(zone, error);
      }
      answer?.(reply);
    }
  }

  #collect(zone: Zone, now: number, batches: EventBatch[]): void {
    const batch = zone.takeBatch(now);
    if (!batch) return;
    batches.push(batch);
    this.#options.onDecided?.(batch, zone.state);
  }

  /** Poison touches one zone: it is set back to what was decided before the failing command, from its record. */
  #failed(zone: Zone, error: unknown): void {
    zone.undoFailed();
    zone.status = 'recovering';
    this.#zoneFailures++;
    const trace = error instanceof Error && error.stack ? error.stack : String(error);
    this.#trouble({ kind: 'zone-failed', zone: zone.address, message: trace });
    const residence = this.#residences.get(zone.address);
    if (!residence) return;
    const now = this.#clock.elapsed();
    residence.failures = [...residence.failures.filter((at) => now - at < 60_000), now];
    this.#stopBeat(residence);
    if (residence.failures.length > FAILURES_PER_MINUTE_MAX) {
      zone.status = 'stopped';
      this.#answerAll(zone, refused('ZONE_STOPPED', `${zone.address} failed ${residence.failures.length} times within a minute.`));
      this.#trouble({ kind: 'zone-stopped', zone: zone.address, message: 'it fails again and again; mend its cause and open it again' });
      return;
    }
    this.#clock.soon(() => {
      this.#rebuild(zone).then(
        () => this.#start(residence),
        (failure) => {
          zone.status = 'stopped';
          this.#answerAll(zone, refused('ZONE_STOPPED', messageOf(failure)));
          this.#trouble({ kind: 'recovery', zone: zone.address, message: messageOf(failure) });
        },
      );
    });
  }

  /** A zone that is opened: a new epoch, and what only a snapshot knows is written before anything new. */
  async #takeOver(zone: Zone): Promise<void> {
    // What an earlier run left is looked at first: under its own epoch it is refused as soon as the zone is claimed.
    const left = this.#outbox.unrecorded(zone.address);
    const claim = await this.#options.log.claim(zone.address);
    zone.epoch = claim.epoch;
    this.#outbox.knows(zone.address, claim.lastSeq);
    const unrecorded = await this.#rebuild(zone, left);
    if (this.#residences.get(zone.address)?.zone !== zone) throw new Error(`${zone.address} was let go of while it was opened`);
    const missing = missingFrom(unrecorded, claim.lastSeq);
    if (missing.length > 0) this.#outbox.push(missing.map((batch) => ({ ...batch, writer: claim.epoch })));
  }

  /** Sets the zone to what its record says; returns what of it the log may lack. */
  async #rebuild(zone: Zone, leftBefore: readonly EventBatch[] = []): Promise<EventBatch[]> {
    await this.#outbox.drained();
    const recovered = await recover(zone.definition, zone.address, this.#options);
    const past = new Past(zone.definition, zone.address, { ...recovered.checkpoint, seq: recovered.seq });
    // What was left on the spool counts, unless another owner has gone on without it. The newest writer there has written
    // everything anew that came before it; what others left beside it is of a branch that was given up.
    const left = [...leftBefore, ...this.#outbox.unrecorded(zone.address)];
    const newest = left.reduce((most, batch) => Math.max(most, writerOf(batch)), 0);
    const own = newest < recovered.epoch ? [] : left.filter((batch) => writerOf(batch) === newest);
    for (const batch of own) past.apply(batch);
    zone.restore(past.checkpoint(), past.seq);
    zone.position = recovered.position;
    this.#options.onRecovered?.(zone.address, recovered.steps);
    return [...recovered.unrecorded, ...own];
  }

  /** What the log may lack of a zone as it is now; what an earlier owner left behind is not part of that any more. */
  #unrecorded(address: ZoneAddress): EventBatch[] {
    const epoch = this.#residences.get(address)?.zone.epoch ?? 0;
    return this.#outbox.unrecorded(address).filter((batch) => writerOf(batch) >= epoch);
  }

  #start(residence: Residence): void {
    const { zone } = residence;
    if (this.#closing || this.#residences.get(zone.address) !== residence) return;
    zone.status = 'active';
    const { tickMs } = zone.definition;
    if (tickMs !== undefined && zone.definition.tick) {
      let late = { lateMs: 0, skippedSteps: 0 };
      residence.beat = {
        tickMs,
        onLate: (figures) => {
          late = figures;
        },
        step: (now) => this.#tick(zone, now, late),
      };
      this.#metronome.add(residence.beat);
    }
    if (zone.mailbox.size > 0) this.#makeReady(zone);
  }

  #tick(zone: Zone, now: number, late: { lateMs: number; skippedSteps: number }): void {
    if (zone.status !== 'active') return;
    const started = this.#clock.elapsed();
    try {
      zone.tick(now);
    } catch (error) {
      this.#failed(zone, error);
    }
    const batches: EventBatch[] = [];
    this.#collect(zone, now, batches);
    if (batches.length > 0) this.#outbox.push(batches);
    this.#options.onTick?.({ zone: zone.address, ms: this.#clock.elapsed() - started, ...late });
  }

  #stopBeat(residence: Residence): void {
    if (residence.beat) this.#metronome.remove(residence.beat);
    residence.beat = null;
  }

  /** Fenced: the log refused this owner. The new one carries on; this one must not answer any more. */
  #lost(address: ZoneAddress, epoch: number): void {
    if (this.#residences.get(address)?.zone.epoch !== epoch) return;
    this.abandon(address);
    this.#trouble({ kind: 'zone-lost', zone: address, message: `epoch ${epoch} is stale: another owner has claimed the zone` });
  }

  /** One zone after another, so that a thousand of them never hold up a turn together. */
  async #snapshotEach(into: 'hot' | 'cold'): Promise<void> {
    for (const { zone } of [...this.#residences.values()]) {
      if (this.#closing) return;
      if (zone.status === 'active') await this.#snapshot(zone, into);
    }
  }

  async #snapshot(zone: Zone, into: 'hot' | 'cold'): Promise<void> {
    if (zone.seq === zone.snapshotSeq[into]) return;
    const unrecorded = this.#unrecorded(zone.address);
    const carried = unrecorded.reduce((sum, batch) => sum + batch.events.length, 0);
    if (carried > SNAPSHOT_CARRIES_MAX || this.#outbox.hasLoss(zone.address)) {
      this.#snapshotsSkipped++;
      return;
    }
    const snapshot: Snapshot = zone.snapshot(this.#clock.now(), unrecorded);
    const started = this.#clock.elapsed();
    let failure: string | null = null;
    try {
      await this.#options[into].save(snapshot);
      zone.snapshotSeq[into] = snapshot.seq;
    } catch (error) {
      failure = messageOf(error);
      this.#trouble({ kind: 'snapshot', zone: zone.address, message: `${into} snapshot at seq ${snapshot.seq}: ${failure}` });
    }
    const { seq, time } = snapshot;
    this.#options.onSnapshot?.({ zone: zone.address, store: into, seq, time, ms: this.#clock.elapsed() - started, failure });
  }

  #answerWhenDurable(address: ZoneAddress, reply: Reply, resolve: (reply: Reply) => void): void {
    if (!reply.ok) return resolve(reply);
    this.#outbox.whenDurable(address, reply.seq, (refusal) => resolve(refusal ?? reply));
  }

  #answerAll(zone: Zone, reply: Refused): void {
    for (let letter = zone.mailbox.take(); letter; letter = zone.mailbox.take()) letter.answer?.(reply);
  }

  #definitionOf(address: ZoneAddress): AnyZoneDefinition {
    const definition = this.#definitions.get(kindOf(address));
    if (!definition)
      throw new TypeError(
        `"${address}" is of a kind this host does not know; it knows ${[...this.#definitions.keys()].join(', ') || 'none'}`,
      );
    return definition;
  }

  #every(ms: number, work: () => Promise<void>): void {
    const slot = this.#cancelSnapshots.length;
    const again = () => {
      this.#cancelSnapshots[slot] = this.#clock.after(ms, () => {
        void work().finally(() => {
          if (!this.#closing) again();
        });
      });
    };
    again();
  }

  #trouble(trouble: HostTrouble): void {
    this.#options.onTrouble?.(trouble);
  }
}

function hasAny(meta: CommandMeta): boolean {
  return meta.id !== undefined || meta.correlation !== undefined || meta.actor !== undefined || meta.tenant !== undefined;
}
