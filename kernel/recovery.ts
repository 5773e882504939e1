import { after, type Checkpoint, type EventBatch, lastSeqOf } from './batch.ts';
import { messageOf, within } from './deadline.ts';
import { type AnyZoneDefinition, keyOf, type ZoneAddress } from './definition.ts';
import type { Clock, LogPosition, Snapshot, SnapshotLabel, SnapshotStore, ZoneLog } from './ports.ts';
import { ANSWERS_MAX } from './zone.ts';

/** A snapshot store that has not answered by then is passed over. */
const RUNG_MS_MAX = 5_000;
/** A log that gives nothing for so long, while it is read, is taken for unavailable. */
const REPLAY_SILENCE_MS_MAX = 5_000;

/** Where a zone’s past is kept. */
export interface ZoneRecord {
  readonly log: Pick<ZoneLog, 'read'>;
  readonly hot: SnapshotStore;
  readonly cold: SnapshotStore;
  readonly clock: Clock;
}

/** One step of the ladder: what was tried, how long it took, what came of it. */
export interface RecoveryStep {
  readonly rung: 'hot' | 'cold' | 'replay';
  readonly ms: number;
  /** The seq reached, or why the rung did not hold. */
  readonly outcome: number | string;
}

export interface Recovered {
  readonly checkpoint: Checkpoint;
  readonly seq: number;
  readonly position: LogPosition | null;
  /** Of the newest owner that is known to have decided or seen it; 0 when there was none. */
  readonly epoch: number;
  /** Events a snapshot carried because the log lacked them; they must be written before anything new. */
  readonly unrecorded: readonly EventBatch[];
  readonly steps: readonly RecoveryStep[];
}

/** A moment of a zone’s past: after the event `seq`, or after everything decided up to `time` (epoch ms). */
export type Moment = { readonly seq: number } | { readonly time: number };

/**
 * Brings a zone back: newest hot snapshot, else newest cold one that is whole, else nothing; then the log’s tail.
 * With `until` the same code answers what the zone was at a past moment.
 * @throws RecordBroken when the log lacks events between what was restored and what it holds
 */
export async function recover(definition: AnyZoneDefinition, zone: ZoneAddress, record: ZoneRecord, until?: Moment): Promise<Recovered> {
  const steps: RecoveryStep[] = [];
  const snapshot =
    (await tryRung('hot', record, definition, zone, steps, until)) ?? (await tryRung('cold', record, definition, zone, steps, until));
  const started = record.clock.elapsed();
  const past = new Past(definition, zone, snapshot);
  let epoch = snapshot?.epoch ?? 0;
  await whileItMoves(record.clock, async (moved) => {
    for await (const batch of record.log.read(zone, past.seq, snapshot?.position ?? null)) {
      moved();
      if (until && 'time' in until && batch.time > until.time) break;
      past.apply(batch, until && 'seq' in until ? until.seq : Number.POSITIVE_INFINITY);
      epoch = Math.max(epoch, batch.epoch);
      if (until && 'seq' in until && past.seq >= until.seq) break;
    }
  });
  steps.push({ rung: 'replay', ms: record.clock.elapsed() - started, outcome: past.seq });
  return {
    checkpoint: past.checkpoint(),
    seq: past.seq,
    position: snapshot?.position ?? null,
    epoch,
    unrecorded: snapshot?.unrecorded ?? [],
    steps,
  };
}

/** Waits for a replay for as long as it gets anything: one timer for all of it, not one for each batch. */
function whileItMoves(clock: Clock, replay: (moved: () => void) => Promise<void>): Promise<void> {
  let batches = 0;
  let cancel = () => {};
  const watch = new Promise<never>((_resolve, reject) => {
    const look = (before: number) => {
      cancel = clock.after(REPLAY_SILENCE_MS_MAX, () =>
        batches === before ? reject(new Error(`no answer from the log within ${REPLAY_SILENCE_MS_MAX} ms`)) : look(batches),
      );
    };
    look(0);
  });
  return Promise.race([replay(() => void batches++), watch]).finally(() => cancel());
}

async function tryRung(
  rung: 'hot' | 'cold',
  { [rung]: store, log, clock }: ZoneRecord,
  definition: AnyZoneDefinition,
  zone: ZoneAddress,
  steps: RecoveryStep[],
  until?: Moment,
): Promise<Snapshot | undefined> {
  const started = clock.elapsed();
  const note = (outcome: number | string) => steps.push({ rung, ms: clock.elapsed() - started, outcome });
  let labels: SnapshotLabel[];
  try {
    labels = await within(clock, RUNG_MS_MAX, `the ${rung} store`, store.list(zone));
  } catch (error) {
    note(`the store is unavailable: ${messageOf(error)}`);
    return undefined;
  }
  for (const label of labels) {
    if (until && !isBefore(label, until)) continue;
    let snapshot: Snapshot;
    try {
      snapshot = await within(clock, RUNG_MS_MAX, `the ${rung} store`, store.load(label));
    } catch (error) {
      note(`snapshot at seq ${label.seq} is damaged: ${messageOf(error)}`);
      continue;
    }
    const state = stateOf(snapshot, definition);
    if (state === undefined) note(`snapshot at seq ${label.seq} is of version ${snapshot.version}, this is ${definition.version}`);
    // A log that fails here fails the recovery: what only this snapshot has must not be passed over for that.
    else if (await within(clock, RUNG_MS_MAX, 'the log', isAbandoned(snapshot, log)))
      note(`snapshot at seq ${label.seq} is of an owner whose successor decided otherwise`);
    else {
      note(snapshot.seq);
      return { ...snapshot, state };
    }
  }
  return undefined;
}

/**
 * Whether the log went on without what only this snapshot had: a successor came back from an older one and decided anew.
 * A snapshot that carries nothing unrecorded cannot be, because the log had refused an owner without a claim.
 */
async function isAbandoned(snapshot: Snapshot, log: Pick<ZoneLog, 'read'>): Promise<boolean> {
  const first = snapshot.unrecorded[0];
  if (!first) return false;
  for await (const batch of log.read(snapshot.zone, first.firstSeq - 1, snapshot.position)) {
    if (batch.firstSeq > snapshot.seq) return false;
    // Events that it carries may have been lost after it was taken: then what was answered is not what it says.
    if (batch.epoch > snapshot.epoch || batch.loss) return true;
  }
  return false;
}

function isBefore(label: SnapshotLabel, moment: Moment): boolean {
  return 'seq' in moment ? label.seq <= moment.seq : label.time <= moment.time;
}

/** A state of some version as one of today’s; undefined when it cannot be. */
function stateOf({ version, state }: Pick<Snapshot, 'version' | 'state'>, definition: AnyZoneDefinition): unknown {
  if (version === definition.version) return state;
  return version < definition.version ? definition.upcastState?.(state, version) : undefined;
}

/** A state that is folded from the record, batch by batch. */
export class Past {
  seq: number;
  readonly #definition: AnyZoneDefinition;
  readonly #zone: ZoneAddress;
  #state: unknown;
  /** What comes next lies beyond where it ends. */
  #isAtEnd = false;
  #answered: (readonly [string, number])[];

  constructor(definition: AnyZoneDefinition, zone: ZoneAddress, from: (Checkpoint & { seq: number }) | undefined) {
    this.#definition = definition;
    this.#zone = zone;
    this.#state = from ? from.state : definition.create(keyOf(zone));
    this.seq = from?.seq ?? 0;
    this.#answered = [...(from?.answered ?? [])];
  }

  /** @param untilSeq where it ends; within a range that was lost, before that range */
  apply(batch: EventBatch, untilSeq = Number.POSITIVE_INFINITY): void {
    const rest = after(batch, this.seq);
    if (!rest || this.#isAtEnd || this.seq >= untilSeq) return;
    if (rest.loss) {
      this.#isAtEnd = rest.loss.lastSeq > untilSeq;
      if (this.#isAtEnd) return;
      // The batch may still have to be written, and this state goes on changing.
      this.#state = stateOf({ version: rest.version, state: structuredClone(rest.loss.checkpoint.state) }, this.#definition);
      if (this.#state === undefined) throw new VersionUnknown(this.#zone, rest.version, this.#definition, 'upcastState');
      this.#answered = [...rest.loss.checkpoint.answered];
      this.seq = rest.loss.lastSeq;
      return;
    }
    if (rest.firstSeq !== this.seq + 1) throw new RecordBroken(this.#zone, this.seq + 1, rest.firstSeq);
    const { upcast, version } = this.#definition;
    if (rest.version > version || (rest.version < version && !upcast))
      throw new VersionUnknown(this.#zone, rest.version, this.#definition, 'upcast');
    for (const [index, written] of rest.events.entries()) {
      if (this.seq >= untilSeq) return;
      const event = rest.version < version ? upcast?.(written, rest.version) : written;
      this.#definition.evolve(this.#state, event);
      this.seq++;
      const id = rest.metas?.[index]?.id;
      if (id !== undefined) this.#answered.push([id, this.seq]);
    }
    if (this.#answered.length > 2 * ANSWERS_MAX) this.#answered = this.#answered.slice(-ANSWERS_MAX);
  }

  checkpoint(): Checkpoint {
    return { state: this.#state, answered: this.#answered };
  }
}

export class RecordBroken extends Error {
  constructor(zone: ZoneAddress, wanted: number, found: number) {
    super(
      `${zone}: the log continues at seq ${found}, but seq ${wanted} is needed and no snapshot reaches it. ` +
        'Restore a cold snapshot or the log segment that retention has dropped.',
    );
    this.name = 'RecordBroken';
  }
}

/** The record holds what this code cannot read: folding it raw would give a state that never was. */
class VersionUnknown extends Error {
  constructor(zone: ZoneAddress, found: number, { kind, version }: AnyZoneDefinition, missing: 'upcast' | 'upcastState') {
    super(
      `${zone}: zone kind "${kind}" has events of version ${found} on record, and this code is of version ${version}` +
        (found > version ? '. Run the newer code.' : ` and has no ${missing}. Define it, or run the code of version ${found}.`),
    );
    this.name = 'VersionUnknown';
  }
}

/** What the log still lacks of a zone, from two copies of it that may overlap; in order, without repeats. */
export function missingFrom(batches: Iterable<EventBatch>, afterSeq: number): EventBatch[] {
  const missing: EventBatch[] = [];
  let seq = afterSeq;
  for (const batch of batches) {
    const rest = after(batch, seq);
    if (!rest) continue;
    missing.push(rest);
    seq = lastSeqOf(rest);
  }
  return missing;
}
