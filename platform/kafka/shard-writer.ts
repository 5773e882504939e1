import {
  ClaimLost,
  type Clock,
  type EventBatch,
  type Lease,
  lastSeqOf,
  retryDelayMs,
  SequenceGap,
  TooLarge,
  type WriterEnd,
  WriterEnded,
  type ZoneAddress,
} from '@millrace/kernel';
import type { Cursor } from './reader-rule.ts';
import { BrokerError, type Producer, type ShardBroker } from './shard-broker.ts';
import { type DataRecord, encodeRecord, MESSAGE_BYTES_MAX, type ShardRecord, type StoredRecord } from './shard-records.ts';
import type { ShardTail } from './shard-tail.ts';

/** Requests in flight: brokers recognise repeats among the last five batches of a producer. */
const IN_FLIGHT_MAX = 5;
/** Size of a request, bytes, unless a single event or state is larger: five of them are in flight. */
const REQUEST_BYTES = 900 * 1024;
/** Bytes of a record besides key and value, and of a request besides its records, at most. */
const RECORD_OVERHEAD_BYTES = 64;
const BATCH_OVERHEAD_BYTES = 128;
/** Attempts to send a batch whose outcome is unknown, and a claim. */
const ATTEMPTS_MAX = 5;
const RETRY_FIRST_MS = 50;
/** Sequence numbers are 31 bits: the number after the largest is 0. */
const SEQUENCES = 2 ** 31;

interface Entry {
  readonly parts: readonly ShardRecord[];
  readonly records: readonly StoredRecord[];
  readonly sequence: number;
  /** Index of the epoch after its data records. */
  readonly end: number;
  /** Offset that a broker has confirmed; null before. */
  offset: number | null;
  isFailed: boolean;
  isFenced: boolean;
  pending: number;
  /** Gets a place from which a reader finds the batch, or that of the head; null for a head at an unknown place. */
  readonly done: PromiseWithResolvers<Cursor | null>;
}

interface Parts {
  readonly broker: ShardBroker;
  readonly shard: number;
  readonly lease: Lease;
  readonly clock: Clock;
  readonly tail: ShardTail;
  /** Random, never used before. */
  readonly nonce: string;
  /** Epoch of the claim at least. Default: the one after that of the owner before. */
  readonly epochMin?: number;
  /** Called with the nonce of the owner before; '' for none. The claim is valid only if that is still the owner then. An exception prevents the claim. */
  readonly onPrevious?: (nonce: string) => void;
}

/**
 * Writes to a shard under one epoch. A batch counts as written only when it is known to be valid under the reader rule: either a broker confirms it at the
 * offset right after all known records, or the log was read and has it.
 */
export class ShardWriter {
  readonly epoch: number;
  readonly previousEpoch: number;
  readonly ended: Promise<WriterEnd>;
  readonly #parts: Parts;
  readonly #producer: Producer;
  readonly #ended = Promise.withResolvers<WriterEnd>();
  #end: WriterEnd | null = null;
  /** Batches without a known outcome that were sent, oldest first; and those that were not. */
  readonly #sent: Entry[] = [];
  readonly #waiting: Entry[] = [];
  #isResolving = false;
  #nextIndex = 0;
  /** The claim has sequence 0. */
  #nextSequence = 1;
  /** Seq of the next event of each zone, those that are not written yet included. */
  readonly #due = new Map<ZoneAddress, number>();

  /**
   * Claims a shard, and reads it up to the claim.
   * @param parts.tail begins at a snapshot of the heads of the shard, or at its start
   * @throws ClaimLost, BrokerError
   */
  static async own(parts: Parts): Promise<ShardWriter> {
    const { broker, shard, tail, nonce, epochMin = 1 } = parts;
    await tail.readToEnd();
    const producer = await retried(parts, () => broker.initProducer(shard));
    requireLease(parts);
    parts.onPrevious?.(tail.cursor.nonce);
    const previous = tail.cursor.epoch;
    const epoch = Math.max(previous + 1, epochMin);
    const claim = encodeRecord({ kind: 'claim', epoch, previous, nonce });
    const offset = await retried(parts, () => broker.produce(shard, { producer, sequence: 0, records: [claim] }));
    if (offset < 0) await tail.readToEnd();
    else await tail.readTo(offset + 1);
    if (tail.cursor.nonce !== nonce) throw new ClaimLost(shard, 'another claim came first');
    requireLease(parts);
    return new ShardWriter(parts, producer, previous);
  }

  private constructor(parts: Parts, producer: Producer, previousEpoch: number) {
    this.#parts = parts;
    this.#producer = producer;
    this.previousEpoch = previousEpoch;
    this.epoch = parts.tail.cursor.epoch;
    this.ended = this.#ended.promise;
  }

  /** Newest recorded seq of a zone; 0 without any. */
  headOf(zone: ZoneAddress): number {
    return this.#parts.tail.headOf(zone);
  }

  /**
   * Appends batches in the order of the calls. Resolves with the place of the first one when all in-sync replicas have them. Those of one call are in one
   * request, as far as its size allows.
   * @throws TooLarge, SequenceGap: nothing is written, and the writer goes on; WriterEnded: the outcome is unknown
   */
  async append(batches: readonly EventBatch[]): Promise<Cursor> {
    if (this.#end) throw new WriterEnded(this.#parts.shard, this.#end);
    const { nonce, tail } = this.#parts;
    const due = new Map<ZoneAddress, number>();
    for (const batch of batches) {
      const next = due.get(batch.zone) ?? this.#due.get(batch.zone) ?? this.headOf(batch.zone) + 1;
      if (batch.firstSeq !== next) throw new SequenceGap(batch.zone, next, batch.firstSeq);
      due.set(batch.zone, lastSeqOf(batch) + 1);
    }
    const requests = requestsOf(batches, nonce, this.#nextIndex);
    for (const [zone, next] of due) this.#due.set(zone, next);
    const [first] = await Promise.all(requests.map(({ parts, records }) => this.#add(parts, records)));
    return first ?? tail.cursor;
  }

  /**
   * Writes a head: brokers forget producers that write nothing, and the shard may be cut only before heads and claims. Call it every 10 s.
   * @returns its place, before which the shard may be cut; null when that is not known
   */
  async beat(): Promise<Cursor | null> {
    if (this.#end) return null;
    const head: ShardRecord = { kind: 'head', epoch: this.epoch, nonce: this.#parts.nonce, index: this.#nextIndex };
    return this.#add([head], [encodeRecord(head)]).catch(() => null);
  }

  /** The end of the known record: a cursor, and the newest recorded seq of each zone before it. Later owners can begin to read there. */
  place(): { cursor: Cursor; heads: ReadonlyMap<ZoneAddress, number> } {
    return this.#parts.tail.place();
  }

  /** Waits for the outcome of all appends, then ends. */
  async release(): Promise<void> {
    await Promise.allSettled([...this.#sent, ...this.#waiting].map(({ done }) => done.promise));
    this.#finish('released');
  }

  #add(parts: readonly ShardRecord[], records: readonly StoredRecord[]): Promise<Cursor | null> {
    this.#nextIndex += parts.filter(({ kind }) => kind === 'data').length;
    const entry: Entry = {
      parts,
      records,
      sequence: this.#nextSequence,
      end: this.#nextIndex,
      offset: null,
      isFailed: false,
      isFenced: false,
      pending: 0,
      done: Promise.withResolvers(),
    };
    this.#nextSequence = (this.#nextSequence + records.length) % SEQUENCES;
    this.#waiting.push(entry);
    this.#pump();
    return entry.done.promise;
  }

  #pump(): void {
    while (!this.#end && !this.#isResolving && this.#sent.length < IN_FLIGHT_MAX) {
      const entry = this.#waiting.shift();
      if (!entry) return;
      this.#sent.push(entry);
      if (this.#parts.lease.leftMs() <= 0) return this.#finish('unknown');
      void this.#send(entry).then(() => this.#settle());
    }
  }

  /** Sends a batch. Never rejects: the entry has the outcome. */
  async #send(entry: Entry): Promise<void> {
    const { broker, shard } = this.#parts;
    entry.pending++;
    entry.isFailed = false;
    try {
      entry.offset = await broker.produce(shard, { producer: this.#producer, sequence: entry.sequence, records: entry.records });
    } catch (error) {
      entry.isFailed = true;
      entry.isFenced ||= error instanceof BrokerError && error.failure === 'fenced';
    }
    entry.pending--;
  }

  /** Confirms batches in their order. At the first one that is not where it must be, the log has to be read. */
  #settle(): void {
    if (this.#end || this.#isResolving) return;
    for (let entry = this.#sent[0]; entry && entry.offset === this.#parts.tail.cursor.offset; entry = this.#sent[0]) {
      this.#confirm(entry, this.#parts.tail.cursor);
      this.#parts.tail.passed(entry.parts);
    }
    const isDoubtful = this.#sent.some(({ isFailed }) => isFailed) || (this.#sent[0]?.offset ?? null) !== null;
    if (!isDoubtful) return this.#pump();
    if (this.#sent.some(({ pending }) => pending > 0)) return;
    this.#isResolving = true;
    // It fails otherwise only when the log lacks events. The next owner finds and reports that.
    const resolved = this.#resolve().catch(() => 'unknown' as const);
    void resolved.then((end) => {
      this.#isResolving = false;
      if (end) this.#finish(end);
      else this.#pump();
    });
  }

  /** Learns the outcome of all batches that were sent. @returns how the writer ends, or null when it goes on */
  async #resolve(): Promise<WriterEnd | null> {
    const { tail, lease, nonce, clock } = this.#parts;
    let failures = 0;
    let last: Entry | undefined;
    while (failures < ATTEMPTS_MAX) {
      if (lease.leftMs() <= 0) return 'unknown';
      try {
        await this.#readLog();
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
        await delay(clock, retryDelayMs(++failures, RETRY_FIRST_MS));
        continue;
      }
      if (tail.cursor.nonce !== nonce) return 'fenced';
      const entry = this.#sent[0];
      if (!entry) return null;
      if (entry.isFenced) return 'fenced';
      if (entry !== last) failures = 0;
      last = entry;
      // A broker can confirm a repeat of a record that is not valid where it stands, again and again.
      if (entry.offset !== null) failures++;
      entry.offset = null;
      await this.#send(entry);
      if (entry.isFailed) await delay(clock, retryDelayMs(++failures, RETRY_FIRST_MS));
    }
    return 'unknown';
  }

  /** Reads the log, and confirms the batches that it has. */
  async #readLog(): Promise<void> {
    const { tail, nonce } = this.#parts;
    const confirmed = this.#sent.reduce((end, { offset, records }) => Math.max(end, (offset ?? -1) + records.length), 0);
    const before = tail.cursor;
    await tail.readToEnd();
    await tail.readTo(confirmed);
    if (tail.cursor.nonce !== nonce) return;
    const isWritten = ({ end, parts, offset }: Entry) => tail.cursor.index >= end && (parts[0]?.kind !== 'head' || offset !== null);
    for (let entry = this.#sent[0]; entry && isWritten(entry); entry = this.#sent[0])
      this.#confirm(entry, entry.parts[0]?.kind === 'head' ? null : before);
  }

  #confirm(entry: Entry, at: Cursor | null): void {
    this.#sent.shift();
    entry.done.resolve(at);
  }

  #finish(end: WriterEnd): void {
    if (this.#end) return;
    this.#end = end;
    const left = [...this.#sent.splice(0), ...this.#waiting.splice(0)];
    for (const { done } of left) done.reject(new WriterEnded(this.#parts.shard, end));
    this.#ended.resolve(end);
  }
}

interface Request {
  readonly parts: DataRecord[];
  readonly records: StoredRecord[];
}

/** Divides batches into requests; a large batch becomes several records. @throws TooLarge for an event or a state that no request can have */
function requestsOf(batches: readonly EventBatch[], nonce: string, firstIndex: number): Request[] {
  const requests: Request[] = [];
  let [index, bytesLeft] = [firstIndex, 0];
  const add = (batch: EventBatch): void => {
    const part: DataRecord = { kind: 'data', nonce, index, batch };
    const record = encodeRecord(part);
    const bytes = (record.key?.length ?? 0) + record.value.length + RECORD_OVERHEAD_BYTES;
    if (bytes > REQUEST_BYTES && batch.events.length > 1) {
      for (const half of halvesOf(batch)) add(half);
      return;
    }
    if (bytes > MESSAGE_BYTES_MAX - BATCH_OVERHEAD_BYTES) throw new TooLarge(batch, bytes, MESSAGE_BYTES_MAX);
    if (bytes > bytesLeft) {
      requests.push({ parts: [], records: [] });
      bytesLeft = REQUEST_BYTES;
    }
    requests.at(-1)?.parts.push(part);
    requests.at(-1)?.records.push(record);
    index++;
    bytesLeft -= bytes;
  };
  for (const batch of batches) {
    try {
      add(batch);
    } catch (error) {
      // A part of it is too large: the whole batch cannot be written.
      throw error instanceof TooLarge ? new TooLarge(batch, error.bytes, error.bytesMax) : error;
    }
  }
  return requests;
}

function halvesOf({ events, metas, firstSeq, ...batch }: EventBatch): EventBatch[] {
  const middle = Math.ceil(events.length / 2);
  return [
    { ...batch, firstSeq, events: events.slice(0, middle), metas: metas?.slice(0, middle) ?? null },
    { ...batch, firstSeq: firstSeq + middle, events: events.slice(middle), metas: metas?.slice(middle) ?? null },
  ];
}

/** Sends a request until it is confirmed. @throws ClaimLost when it never will be, BrokerError when the brokers do not confirm it in time */
async function retried<T>({ shard, clock, lease }: Parts, request: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await request();
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      if (error.failure === 'fenced') throw new ClaimLost(shard, 'another process has a newer producer epoch');
      if (attempt === ATTEMPTS_MAX || lease.leftMs() <= 0) throw error;
      await delay(clock, retryDelayMs(attempt, RETRY_FIRST_MS));
    }
  }
}

function requireLease({ lease, shard }: Parts): void {
  if (lease.leftMs() <= 0) throw new ClaimLost(shard, 'its lease has ended');
}

function delay(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve));
}
