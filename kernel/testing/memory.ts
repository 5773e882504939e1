import { admit, type EventBatch, lastSeqOf } from '../batch.ts';
import type { ZoneAddress } from '../command.ts';
import type { Appended, Claim, Clock, LogPosition, Snapshot, SnapshotLabel, SnapshotStore, Spool, ZoneLog } from '../ports.ts';

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

/** A log in memory. It copies batches, like a real one. */
export class MemoryLog implements ZoneLog {
  readonly batches: EventBatch[] = [];
  readonly #heads = new Map<ZoneAddress, { epoch: number; seq: number }>();
  /** While set, the log is unavailable; the text is the reason. */
  away: string | null = null;
  /** Writes, then fails: the response is lost. */
  failAfterWriting = false;

  async claim(zone: ZoneAddress): Promise<Claim> {
    this.#reach();
    const head = this.#headOf(zone);
    head.epoch++;
    return { epoch: head.epoch, lastSeq: head.seq };
  }

  async append(batches: readonly EventBatch[]): Promise<Appended[]> {
    this.#reach();
    const heads = new Map<ZoneAddress, { epoch: number; seq: number }>();
    const taken: EventBatch[] = [];
    const outcome = batches.map((batch): Appended => {
      const head = heads.get(batch.zone) ?? { ...this.#headOf(batch.zone) };
      const rest = admit(batch, head);
      if (rest === 'stale') return 'stale';
      if (rest !== 'known') {
        head.seq = lastSeqOf(rest);
        heads.set(batch.zone, head);
        taken.push(structuredClone(rest));
      }
      return { at: this.batches.length + taken.length };
    });
    // All or nothing: a batch that leaves a gap fails the whole append.
    for (const [zone, head] of heads) this.#heads.set(zone, head);
    this.batches.push(...taken);
    if (this.failAfterWriting) throw new Error('the answer was lost');
    return outcome;
  }

  async *read(zone: ZoneAddress, afterSeq: number, from: LogPosition | null): AsyncIterable<EventBatch> {
    this.#reach();
    for (const batch of this.batches.slice(Math.max(0, (from ?? 0) - 1))) {
      if (batch.zone === zone && lastSeqOf(batch) > afterSeq) yield structuredClone(batch);
    }
  }

  #headOf(zone: ZoneAddress): { epoch: number; seq: number } {
    let head = this.#heads.get(zone);
    if (!head) {
      head = { epoch: 0, seq: 0 };
      this.#heads.set(zone, head);
    }
    return head;
  }

  #reach(): void {
    if (this.away !== null) throw new Error(this.away);
  }
}

export class MemorySnapshots implements SnapshotStore {
  readonly snapshots: Snapshot[] = [];
  /** Seqs whose snapshots cannot be read. */
  readonly damaged = new Set<number>();

  async save(snapshot: Snapshot): Promise<void> {
    this.snapshots.unshift(structuredClone(snapshot));
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

/** A spool in memory; `bytes` counts events. */
export class MemorySpool implements Spool {
  #batches: EventBatch[] = [];
  #held: EventBatch[] = [];
  readonly givenUp: EventBatch[] = [];
  readonly bytesMax: number;

  constructor(bytesMax = 1_000_000) {
    this.bytesMax = bytesMax;
  }

  get batches(): number {
    return this.#batches.length;
  }

  get bytes(): number {
    return eventsIn(this.#batches) + eventsIn(this.#held);
  }

  get heldBatches(): number {
    return this.#held.length;
  }

  add(batches: readonly EventBatch[]): number {
    let taken = 0;
    for (const batch of batches) {
      if (this.bytes + batch.events.length > this.bytesMax) break;
      this.#batches.push(structuredClone(batch));
      taken++;
    }
    return taken;
  }

  oldest(eventsMax: number): EventBatch[] {
    let events = 0;
    let count = 0;
    while (count < this.#batches.length && events < eventsMax) events += (this.#batches[count++] as EventBatch).events.length;
    return this.#batches.slice(0, count);
  }

  drop(count: number, isHeld: (index: number) => boolean = () => false): number {
    this.#held.push(...this.#batches.splice(0, count).filter((_batch, index) => isHeld(index)));
    let lost = 0;
    while (eventsIn(this.#held) > this.bytesMax / 2) lost += eventsIn(this.#held.splice(0, 1));
    return lost;
  }

  forgetHeld(zone: ZoneAddress, areLost = false): number {
    const forgotten = this.#held.filter((batch) => batch.zone === zone);
    this.#held = this.#held.filter((batch) => batch.zone !== zone);
    if (areLost) this.givenUp.push(...forgotten);
    return areLost ? eventsIn(forgotten) : 0;
  }

  /** What a later process gets. */
  reopened(): MemorySpool {
    const spool = new MemorySpool(this.bytesMax);
    spool.#batches = [...this.#held, ...this.#batches];
    return spool;
  }

  giveUp(count: number): void {
    this.givenUp.push(...this.#batches.splice(0, count));
  }

  ofZone(zone: ZoneAddress): EventBatch[] {
    return [...this.#held, ...this.#batches].filter((batch) => batch.zone === zone);
  }

  eventsOf(zone: ZoneAddress): number {
    return this.#batches.reduce((sum, batch) => sum + (batch.zone === zone ? batch.events.length : 0), 0);
  }
}

function eventsIn(batches: readonly EventBatch[]): number {
  return batches.reduce((sum, batch) => sum + batch.events.length, 0);
}
