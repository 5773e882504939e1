import type { CommandMeta, Refused, ZoneAddress } from './command.ts';

/**
 * Events that one zone decided in one turn. Events travel to the log, the hub and the consumers in batches. The identity of
 * an event is (zone, epoch, seq); the seq of `events[i]` is `firstSeq + i`.
 */
export interface EventBatch<Event = { type: string }> {
  readonly zone: ZoneAddress;
  /** Epoch of the owner that decided the events. */
  readonly epoch: number;
  readonly firstSeq: number;
  /** Version of the zone kind that decided. */
  readonly version: number;
  /** Time of the decision, epoch ms. */
  readonly time: number;
  readonly events: readonly Event[];
  /** Metadata of the command of each event, null for a command without any. Null when no event of the batch has metadata. */
  readonly metas: readonly (CommandMeta | null)[] | null;
  /**
   * Set on a batch without events that replaces a lost range: events that the log never got. The range ends at `lastSeq`.
   * `checkpoint` is the zone there, so that a replay continues exactly.
   */
  readonly loss?: { readonly lastSeq: number; readonly checkpoint: Checkpoint };
}

/** The full state of a zone at one seq, with what it remembers of its commands. */
export interface Checkpoint {
  readonly state: unknown;
  /** Ids of accepted commands with the seq of their reply and its time (epoch ms), oldest first. The seq is negative when the events are lost. */
  readonly answered: readonly (readonly [id: string, seq: number, at?: number])[];
  /** Ids of refused commands, oldest first, of kinds that keep replies. */
  readonly refused?: readonly (readonly [id: string, refusal: Refused, at: number])[];
  /** Newest place of each source of commands. */
  readonly places?: readonly (readonly [name: string, place: number])[];
}

/** Seq of the last event of a batch, or of the lost range that the batch replaces. */
export function lastSeqOf(batch: EventBatch): number {
  return batch.loss ? batch.loss.lastSeq : batch.firstSeq + batch.events.length - 1;
}

/** The parts of batches that the log lacks. After an append with an unknown outcome, it may have some of them. @param headOf newest seq of a zone in the log */
export function lackingOf(batches: readonly EventBatch[], headOf: (zone: ZoneAddress) => number): EventBatch[] {
  const heads = new Map<ZoneAddress, number>();
  const lacking: EventBatch[] = [];
  for (const batch of batches) {
    const head = heads.get(batch.zone) ?? headOf(batch.zone);
    const rest = after(batch, head);
    if (rest) lacking.push(rest);
    if (batches.length > 1) heads.set(batch.zone, Math.max(head, lastSeqOf(batch)));
  }
  return lacking;
}

/**
 * A batch does not follow the last event that the log has of its zone. A retry of this batch alone fails again: the events
 * between the two are lost, unless an earlier append still brings them.
 */
export class SequenceGap extends Error {
  readonly zone: ZoneAddress;
  /** The seq that the log expects next, and that of the batch. */
  readonly due: number;
  readonly came: number;

  constructor(zone: ZoneAddress, due: number, came: number) {
    super(`${zone}: the log ends at seq ${due - 1} and needs seq ${due} next, but the batch starts at seq ${came}`);
    this.zone = zone;
    this.due = due;
    this.came = came;
  }
}

/** The part of a batch after `seq`; undefined when the batch ends at `seq` or before. */
export function after(batch: EventBatch, seq: number): EventBatch | undefined {
  if (batch.firstSeq > seq) return batch;
  if (lastSeqOf(batch) <= seq) return undefined;
  // The log can hold part of a lost range. There are no events to cut.
  const known = seq - batch.firstSeq + 1;
  return { ...batch, firstSeq: seq + 1, events: batch.events.slice(known), metas: batch.metas?.slice(known) ?? null };
}

/** A batch is larger than the log can take, however often it is sent. */
export class TooLarge extends Error {
  readonly zone: ZoneAddress;
  readonly firstSeq: number;
  readonly bytes: number;
  readonly bytesMax: number;

  constructor({ zone, firstSeq }: EventBatch, bytes: number, bytesMax: number) {
    super(`the batch of ${zone} at seq ${firstSeq} has ${bytes} bytes, and the log takes at most ${bytesMax}`);
    this.bytes = bytes;
    this.bytesMax = bytesMax;
    this.name = 'TooLarge';
    this.zone = zone;
    this.firstSeq = firstSeq;
  }
}

/** `fenced`: another owner has claimed the shard. `unknown`: the log does not tell whether the last batches are written. */
export type WriterEnd = 'released' | 'fenced' | 'unknown';

/** The ownership of a shard has ended, and it is not known whether the batches are written. Own the shard again to learn it. */
export class WriterEnded extends Error {
  readonly end: WriterEnd;

  constructor(shard: number, end: WriterEnd) {
    super(`the writer of shard ${shard} has ended (${end}); own the shard again to learn what is written`);
    this.name = 'WriterEnded';
    this.end = end;
  }
}

/** Another claim of the shard was first, or the lease has ended. */
export class ClaimLost extends Error {
  constructor(shard: number, reason: string) {
    super(`shard ${shard} is not owned: ${reason}`);
    this.name = 'ClaimLost';
  }
}
