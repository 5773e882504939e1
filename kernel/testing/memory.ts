import { ClaimLost, type EventBatch, lastSeqOf, SequenceGap, type WriterEnd, WriterEnded } from '../batch.ts';
import type { ZoneAddress } from '../command.ts';
import type {
  Clock,
  FollowedPart,
  Journal,
  LogPosition,
  ShardClaim,
  ShardPlace,
  ShardWriter,
  Snapshot,
  SnapshotLabel,
  SnapshotStore,
  Spool,
  Spools,
} from '../ports.ts';

/** A clock that only the test advances. */
export class ManualClock implements Clock {
  #now: number;
  /** How far the wall clock was set back, ms. */
  #behind = 0;
  #soon: (() => void)[] = [];
  #timers: { due: number; callback: () => void }[] = [];

  constructor(now = 0) {
    this.#now = now;
  }

  now(): number {
    return this.#now - this.#behind;
  }

  elapsed(): number {
    return this.#now;
  }

  soon(callback: () => void): void {
    this.#soon.push(callback);
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { due: this.#now + ms, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Runs all callbacks of `soon`, and those that they cause, promises included. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3; ) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      const due = this.#soon;
      this.#soon = [];
      quiet = due.length === 0 ? quiet + 1 : 0;
      for (const callback of due) callback();
    }
  }

  /** Advances the time, timer by timer. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await this.settle();
    for (;;) {
      const next = this.#timers.filter((timer) => timer.due <= until).sort((a, b) => a.due - b.due)[0];
      if (!next) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#now = Math.max(this.#now, next.due);
      next.callback();
      await this.settle();
    }
    this.#now = until;
    await this.settle();
  }

  /** Sets the wall clock back. `elapsed` is not affected. */
  setBack(ms: number): void {
    this.#behind += ms;
  }

  /** Advances the time without running timers: a long pause of the process. */
  jump(ms: number): void {
    this.#now += ms;
  }
}

interface MemoryOwner {
  readonly epoch: number;
  readonly owner: string;
}

/** A log in memory. It copies batches, like a real one. By default each zone has a shard of its own. */
export class MemoryLog implements Journal {
  readonly inFlightMax: number = 64;
  readonly batches: EventBatch[] = [];
  readonly #shards = new Map<number, MemoryOwner>();
  readonly #numbers = new Map<ZoneAddress, number>();
  /** Newest seq of each zone, and the epoch of its writer. */
  readonly #heads = new Map<ZoneAddress, { seq: number; epoch: number }>();
  /** While set, the log is unavailable; the text is the reason. */
  away: string | null = null;
  /** Whether all zones are in one shard. */
  areTogether = false;
  /** Writes, then fails: the response is lost. */
  failAfterWriting = false;
  /** Number of the oldest batches that retention has dropped. See `retain`. */
  #dropped = 0;
  #grown = Promise.withResolvers<void>();

  shardOf(zone: ZoneAddress): number {
    if (this.areTogether) return 0;
    const number = this.#numbers.get(zone) ?? this.#numbers.size;
    this.#numbers.set(zone, number);
    return number;
  }

  async own(shard: number, { lease, onPrevious }: ShardClaim): Promise<ShardWriter> {
    this.#reach();
    if (lease.leftMs() <= 0) throw new ClaimLost(shard, 'its lease has ended');
    const before = this.ownerOf(shard);
    const mine = { epoch: before.epoch + 1, owner: `owner ${shard}.${before.epoch + 1}` };
    onPrevious(mine.owner, before.owner);
    return this.take(shard, mine);
  }

  protected ownerOf(shard: number): MemoryOwner {
    return this.#shards.get(shard) ?? { epoch: 0, owner: '' };
  }

  /** Makes somebody the owner of a shard. */
  protected take(shard: number, mine: MemoryOwner): ShardWriter {
    this.#shards.set(shard, mine);
    const ended = Promise.withResolvers<WriterEnd>();
    let end: WriterEnd | null = null;
    const finish = (how: WriterEnd) => {
      end ??= how;
      ended.resolve(end);
    };
    return {
      epoch: mine.epoch,
      headOf: (zone) => {
        const head = this.#heads.get(zone);
        return head && head.epoch <= mine.epoch ? head.seq : 0;
      },
      append: async (batches) => {
        if (end !== null) throw new WriterEnded(shard, end);
        try {
          return await this.append(batches, () => this.#shards.get(shard) === mine);
        } catch (error) {
          if (error instanceof WriterEnded) finish(error.end);
          throw error;
        }
      },
      ended: ended.promise,
      release: async () => finish('released'),
    };
  }

  /** Another owner claims the shard of a zone, and writes nothing. */
  async takeOver(zone: ZoneAddress): Promise<void> {
    await this.own(this.shardOf(zone), { lease: { leftMs: () => 1 }, onPrevious: () => {} });
  }

  /** @param isOwner whether the writer of the batches owns their shard */
  async append(batches: readonly EventBatch[], isOwner: () => boolean = () => true): Promise<LogPosition> {
    this.#reach();
    const [first] = batches;
    if (!isOwner()) throw new WriterEnded(first ? this.shardOf(first.zone) : 0, 'fenced');
    const at = this.batches.length + 1;
    const heads = new Map<ZoneAddress, number>();
    for (const batch of batches) {
      const due = (heads.get(batch.zone) ?? this.#heads.get(batch.zone)?.seq ?? 0) + 1;
      if (batch.firstSeq !== due) throw new SequenceGap(batch.zone, due, batch.firstSeq);
      heads.set(batch.zone, lastSeqOf(batch));
    }
    for (const [zone, seq] of heads) this.#heads.set(zone, { seq, epoch: this.#shards.get(this.shardOf(zone))?.epoch ?? 0 });
    this.batches.push(...structuredClone(batches));
    this.wake();
    if (this.failAfterWriting) throw new Error('the answer was lost');
    return at;
  }

  async *read(zone: ZoneAddress, afterSeq: number, from: LogPosition | null): AsyncIterable<EventBatch> {
    this.#reach();
    for (const batch of this.batches.slice(this.#indexAt(from))) {
      if (batch.zone === zone && lastSeqOf(batch) > afterSeq) yield structuredClone(batch);
    }
  }

  async placeOf(shard: number): Promise<ShardPlace> {
    this.#reach();
    const heads = new Map([...this.#heads].filter(([zone]) => this.shardOf(zone) === shard).map(([zone, { seq }]) => [zone, seq]));
    return { position: this.batches.length + 1, heads };
  }

  async *follow(shard: number, from: readonly (LogPosition | null)[], signal: AbortSignal): AsyncIterable<FollowedPart> {
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    let index = Math.min(...from.map((position) => this.#indexAt(position)));
    while (!signal.aborted) {
      this.#reach();
      const grown = this.#grown.promise;
      if (index < this.#dropped) throw new Error(`the batches up to ${this.#dropped} were dropped`);
      const batches = this.batches
        .slice(index)
        .map((batch, at) => ({ batch: structuredClone(batch), position: index + at + 1 }))
        .filter(({ batch }) => this.shardOf(batch.zone) === shard);
      index = this.batches.length;
      yield { batches, lag: 0 };
      if (index === this.batches.length) await Promise.race([grown, aborted]);
    }
  }

  /** Drops all but the newest batches. */
  retain(newest: number): void {
    this.#dropped = Math.max(this.#dropped, this.batches.length - newest);
  }

  /** Makes followers look at the log, as they do now and then. */
  wake(): void {
    this.#grown.resolve();
    this.#grown = Promise.withResolvers();
  }

  #indexAt(position: LogPosition | null): number {
    return Math.max(this.#dropped, ((position as number | null) ?? 0) - 1, 0);
  }

  #reach(): void {
    if (this.away !== null) throw new Error(this.away);
  }
}

export class MemorySnapshots implements SnapshotStore {
  readonly snapshots: Snapshot[] = [];
  /** Seqs whose snapshots cannot be read. */
  readonly damaged = new Set<number>();

  async save(snapshot: Snapshot, recorded?: Promise<void>): Promise<void> {
    const captured = structuredClone(snapshot);
    await recorded;
    this.snapshots.unshift(captured);
  }

  async list(zone: ZoneAddress): Promise<SnapshotLabel[]> {
    const ofZone = this.snapshots.filter((snapshot) => snapshot.zone === zone);
    return ofZone.sort((a, b) => b.epoch - a.epoch || b.seq - a.seq);
  }

  async load(label: SnapshotLabel): Promise<Snapshot> {
    const found = this.snapshots.find(({ zone, seq, epoch }) => zone === label.zone && seq === label.seq && epoch === label.epoch);
    if (!found || this.damaged.has(label.seq)) throw new Error('checksum differs');
    return structuredClone(found);
  }
}

/** Spools in memory, by owner of a shard; `bytes` counts events. */
export class MemorySpools implements Spools {
  readonly bytesMax: number;
  readonly givenUp: EventBatch[] = [];
  #stored: MemorySpool[] = [];

  constructor(bytesMax = 1_000_000) {
    this.bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#stored.reduce((sum, { left }) => sum + eventsIn(left), 0);
  }

  /** Number of batches of all shards. */
  get batches(): number {
    return this.#stored.reduce((sum, { left }) => sum + left.length, 0);
  }

  open(shard: number, owner: string, predecessor: string): MemorySpool {
    const before = this.#stored.find((one) => one.shard === shard && one.owner === predecessor);
    const spool = new MemorySpool(this, shard, owner, before);
    this.#stored.push(spool);
    return spool;
  }

  close(): void {}

  left(): number[] {
    return [...new Set(this.#stored.filter(({ left }) => left.length > 0).map(({ shard }) => shard))];
  }

  /** The spool of the newest owner of any shard. */
  get newest(): MemorySpool {
    return this.#stored.at(-1) as MemorySpool;
  }

  /** The spool of the newest owner of a shard. */
  of(shard: number): MemorySpool {
    return this.#stored.findLast((one) => one.shard === shard) as MemorySpool;
  }

  /** All batches of all spools, oldest spool first. */
  all(): EventBatch[] {
    return this.#stored.flatMap(({ left }) => left);
  }

  /** What a later process gets. */
  reopened(): MemorySpools {
    const spools = new MemorySpools(this.bytesMax);
    for (const { shard, owner, before, left } of this.#stored) {
      const predecessor = spools.#stored.find((one) => one.shard === shard && one.owner === before?.owner);
      const spool = new MemorySpool(spools, shard, owner, predecessor);
      spool.left = [...left];
      spools.#stored.push(spool);
    }
    return spools;
  }
}

/** What the owners of a shard have left, up to one owner. */
export class MemorySpool implements Spool {
  readonly shard: number;
  readonly owner: string;
  readonly before: MemorySpool | undefined;
  /** Batches of this owner alone. */
  left: EventBatch[] = [];
  readonly #all: MemorySpools;

  constructor(all: MemorySpools, shard: number, owner: string, before: MemorySpool | undefined) {
    this.#all = all;
    this.shard = shard;
    this.owner = owner;
    this.before = before;
  }

  begin(): void {}

  get batches(): number {
    return this.#queue.length;
  }

  add(batches: readonly EventBatch[]): number {
    let taken = 0;
    for (const batch of batches) {
      if (this.#all.bytes + batch.events.length > this.#all.bytesMax) break;
      this.left.push(structuredClone(batch));
      taken++;
    }
    return taken;
  }

  oldest(eventsMax: number): EventBatch[] {
    const queue = this.#queue;
    let events = 0;
    let count = 0;
    while (count < queue.length && events < eventsMax) events += (queue[count++] as EventBatch).events.length;
    return queue.slice(0, count);
  }

  drop(count: number): void {
    const ofBefore = Math.min(count, this.before?.batches ?? 0);
    this.before?.drop(ofBefore);
    this.left.splice(0, count - ofBefore);
  }

  giveUp(count: number): void {
    this.#all.givenUp.push(...this.#queue.slice(0, count));
    this.drop(count);
  }

  ofZone(zone: ZoneAddress): EventBatch[] {
    return this.#queue.filter((batch) => batch.zone === zone);
  }

  get #queue(): EventBatch[] {
    return [...(this.before?.oldest(Number.POSITIVE_INFINITY) ?? []), ...this.left];
  }
}

function eventsIn(batches: readonly EventBatch[]): number {
  return batches.reduce((sum, batch) => sum + batch.events.length, 0);
}
