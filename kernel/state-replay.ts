import { after, type Checkpoint, type EventBatch, lastSeqOf } from './batch.ts';
import { keyOf, type ZoneAddress } from './command.ts';
import type { AnyZoneDefinition } from './definition.ts';
import { REPLIED, type RepliedEvent, Replies } from './replies.ts';

/** A state that is folded from the record, batch by batch. It changes `from.state` in place. */
export class StateReplay {
  seq: number;
  /** Time of the newest event, epoch ms; 0 before the first. */
  time: number;
  readonly #definition: AnyZoneDefinition;
  readonly #zone: ZoneAddress;
  #state: unknown;
  /** Set when the next batch is a lost range that reaches beyond the end: nothing more is applied. */
  #isAtEnd = false;
  #replies: Replies;

  constructor(definition: AnyZoneDefinition, zone: ZoneAddress, from: (Checkpoint & { seq: number; time?: number }) | undefined) {
    this.#definition = definition;
    this.#zone = zone;
    this.#state = from ? from.state : definition.create(keyOf(zone));
    this.seq = from?.seq ?? 0;
    this.time = from?.time ?? 0;
    this.#replies = new Replies(definition.repliesKept, from);
  }

  /**
   * Applies the events of a batch after `seq`.
   * @param untilSeq last seq to apply; when it is within a lost range, the state stays before that range
   * @throws RecordBroken when events before the batch are missing; Error when it has a version that cannot be converted
   */
  apply(batch: EventBatch, untilSeq = Number.POSITIVE_INFINITY): void {
    const rest = after(batch, this.seq);
    if (!rest || this.#isAtEnd || this.seq >= untilSeq) return;
    this.time = Math.max(this.time, rest.time);
    if (rest.loss) return this.#bridge(rest, rest.loss, untilSeq);
    if (rest.firstSeq !== this.seq + 1) throw new RecordBroken(this.#zone, this.seq + 1, rest.firstSeq);
    for (const [index, written] of rest.events.entries()) {
      if (this.seq >= untilSeq) return;
      const { type, refusal } = written as RepliedEvent;
      if (type !== REPLIED) this.#definition.evolve(this.#state, this.#upcast(written, rest.version));
      this.seq++;
      const meta = rest.metas?.[index];
      if (meta) this.#replies.note(meta, type === REPLIED && refusal ? { ok: false, ...refusal, seq: this.seq } : this.seq, rest.time);
    }
  }

  /** @throws RecordBroken when events before `batch` are missing or lost: they may belong to the requested point in time */
  requireFollowedBy(batch: EventBatch): void {
    const { firstSeq = 0, loss } = after(batch, this.seq) ?? {};
    if (loss || firstSeq > this.seq + 1) throw new RecordBroken(this.#zone, this.seq + 1, loss ? loss.lastSeq + 1 : firstSeq);
  }

  /** The state at `seq`, and the remembered replies to commands. Not a copy. */
  checkpoint(): Checkpoint {
    return { state: this.#state, ...this.#replies.record() };
  }

  /** Continues with the state after a lost range. */
  #bridge({ version }: EventBatch, { lastSeq, checkpoint }: NonNullable<EventBatch['loss']>, untilSeq: number): void {
    this.#isAtEnd = lastSeq > untilSeq;
    if (this.#isAtEnd) return;
    // A copy: the batch may still have to be written, and this state continues to change.
    this.#state = stateOf({ version, state: structuredClone(checkpoint.state) }, this.#definition);
    if (this.#state === undefined) throw versionUnknown(this.#zone, version, this.#definition, 'upcastState');
    this.#replies = new Replies(this.#definition.repliesKept, checkpoint);
    this.seq = lastSeq;
  }

  /** The event in today’s version. Unconverted events of another version would give a state that never existed. */
  #upcast(event: unknown, written: number): unknown {
    const { upcast, version } = this.#definition;
    if (written < version && upcast) return upcast(event, written);
    if (written !== version) throw versionUnknown(this.#zone, written, this.#definition, 'upcast');
    return event;
  }
}

/** The state in today’s version; undefined when it is newer, or older without `upcastState`. */
export function stateOf({ version, state }: { version: number; state: unknown }, definition: AnyZoneDefinition): unknown {
  if (version < definition.version) return definition.upcastState?.(state, version);
  return version === definition.version ? state : undefined;
}

/** Whether two batches are of different branches: an event of one has the seq of an event of the other, but another owner decided it. */
export function contradicts(one: EventBatch, other: EventBatch): boolean {
  return one.epoch !== other.epoch && one.firstSeq <= lastSeqOf(other) && other.firstSeq <= lastSeqOf(one);
}

/** The record of a zone lacks events that no snapshot covers. */
export class RecordBroken extends Error {
  constructor(zone: ZoneAddress, wanted: number, found: number) {
    super(
      `${zone}: the log is at seq ${found}, but lacks seq ${wanted}, and no snapshot reaches it. ` +
        'Restore a cold snapshot or the log segment that retention has dropped.',
    );
    this.name = 'RecordBroken';
  }
}

/** A snapshot of a zone has events that the log does not have. */
export class RecordBehind extends Error {
  constructor(zone: ZoneAddress, snapshot: number, head: number) {
    super(
      `${zone}: a snapshot is at seq ${snapshot}, but the log ends at seq ${head}: the log is older than its snapshots. Restore both from one backup, ` +
        'or move the newer snapshots away, to continue from the log.',
    );
    this.name = 'RecordBehind';
  }
}

function versionUnknown(zone: ZoneAddress, found: number, { kind, version }: AnyZoneDefinition, missing: 'upcast' | 'upcastState'): Error {
  const remedy = found > version ? '. Run the newer code.' : ` and has no ${missing}. Define it, or run the code of version ${found}.`;
  return new Error(
    `${zone}: the record of zone kind "${kind}" was written by version ${found}, but this code has version ${version}${remedy}`,
  );
}
