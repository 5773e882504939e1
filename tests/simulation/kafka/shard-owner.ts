import { type Cursor, SHARD_START, type ShardBroker, ShardTail, ShardWriter } from '@millrace/kafka';
import { type Clock, type EventBatch, type Lease, WriterEnded, type ZoneAddress } from '@millrace/kernel';

/** Zones of the shard. */
const ZONES: readonly ZoneAddress[] = ['counter/a', 'counter/b', 'counter/c'] as ZoneAddress[];
const BEAT_MS = 400;

/** What the checks know of a run. */
export interface History {
  /** Commands that were answered `durable`, with the place of their event. */
  readonly durable: Map<string, { readonly zone: ZoneAddress; readonly seq: number }>;
  /** Appends that a writer refused, although they follow what it has confirmed. */
  readonly refused: string[];
  /** Claims that succeeded. */
  owned: number;
}

/** Newest saved heads of the shard, as a snapshot store keeps them: from there an owner reads the log. */
export interface Manifest {
  cursor: Cursor;
  heads: ReadonlyMap<ZoneAddress, number>;
}

/** Grants leases on the shard. Its grants can overlap while it is faulty. */
export class LeaseService {
  /** Grants every request, as after the failover of a store that has lost its newest writes. */
  isForgetful = false;
  readonly #clock: Clock;
  #holder = '';
  #until = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns whether it is granted */
  acquire(holder: string, ms: number): boolean {
    if (!this.isForgetful && this.#holder !== holder && this.#clock.elapsed() < this.#until) return false;
    this.#holder = holder;
    this.#until = this.#clock.elapsed() + ms;
    return true;
  }

  /** @returns whether it is extended */
  renew(holder: string, ms: number): boolean {
    if (this.#holder !== holder || this.#clock.elapsed() >= this.#until) return false;
    this.#until = this.#clock.elapsed() + ms;
    return true;
  }
}

const LEASE_MS = 300;
const DECIDE_MS = 3;

interface OwnerParts {
  readonly clock: Clock;
  readonly broker: ShardBroker;
  readonly random: { pick<T>(from: readonly T[]): T; chance(share: number): boolean };
  readonly leases: LeaseService;
  readonly history: History;
  readonly manifest: Manifest;
  /** Distinguishes the commands and claims of all processes. */
  readonly name: string;
  /** Share of heads before which the records are deleted. */
  readonly cuts: number;
}

/**
 * A process that owns the shard while it has the lease: decides events of its zones, answers when they are durable, and follows the protocol when its writer
 * ends.
 */
export class ShardOwner {
  readonly #parts: OwnerParts;
  #writer: ShardWriter | null = null;
  #epoch = 0;
  #leaseUntil = 0;
  #commands = 0;
  /** Decided batches that may not be in the log, oldest first. */
  #unrecorded: { readonly batch: EventBatch; readonly command: string }[] = [];
  readonly #decided = new Map<ZoneAddress, number>();
  #isRunning = true;

  constructor(parts: OwnerParts) {
    const { clock, leases, name } = parts;
    this.#parts = parts;
    void this.#run();
    this.#every(LEASE_MS / 3, () => {
      if (leases.renew(name, LEASE_MS)) this.#leaseUntil = clock.elapsed() + LEASE_MS;
    });
    this.#every(DECIDE_MS, () => this.#decide());
    this.#every(BEAT_MS, () => void this.#beat());
  }

  /** The process has ended. */
  stop(): void {
    this.#isRunning = false;
  }

  readonly #lease: Lease = { leftMs: () => this.#leaseUntil - this.#parts.clock.elapsed() };

  async #run(): Promise<void> {
    while (this.#isRunning) {
      const writer = await this.#own();
      if (writer) {
        this.#takeOver(writer);
        this.#parts.history.owned++;
        await writer.ended;
        this.#writer = null;
      }
      await new Promise<void>((resolve) => void this.#parts.clock.after(20, resolve));
    }
  }

  async #own(): Promise<ShardWriter | null> {
    if (this.#lease.leftMs() <= 0) {
      if (!this.#parts.leases.acquire(this.#parts.name, LEASE_MS)) return null;
      this.#leaseUntil = this.#parts.clock.elapsed() + LEASE_MS;
    }
    const { broker, clock, manifest, name } = this.#parts;
    const tail = new ShardTail({ broker, shard: 0, clock, cursor: manifest.cursor, heads: manifest.heads });
    const nonce = `${name}-${++this.#commands}`;
    return ShardWriter.own({ broker, shard: 0, lease: this.#lease, clock, tail, nonce }).catch(() => null);
  }

  /** Keeps what this process has decided, unless another owner was between; drops what the log has, and writes the rest again. */
  #takeOver(writer: ShardWriter): void {
    const isContinuation = writer.previousEpoch === this.#epoch;
    const left = isContinuation ? this.#unrecorded : [];
    this.#epoch = writer.epoch;
    this.#writer = writer;
    this.#unrecorded = [];
    for (const zone of ZONES) this.#decided.set(zone, writer.headOf(zone));
    for (const { batch, command } of left) {
      if (batch.firstSeq <= writer.headOf(batch.zone)) this.#answer(command, batch);
      else this.#append(batch, command);
    }
  }

  #decide(): void {
    const writer = this.#writer;
    if (!writer || this.#lease.leftMs() <= 0 || this.#unrecorded.length >= 40) return;
    const zone = this.#parts.random.pick(ZONES);
    const command = `${this.#parts.name}/${++this.#commands}`;
    const batch = {
      zone,
      epoch: this.#epoch,
      firstSeq: (this.#decided.get(zone) ?? 0) + 1,
      version: 1,
      time: this.#parts.clock.now(),
      events: [{ type: 'Counted', command } as { type: string }],
      metas: null,
    } as EventBatch;
    this.#append(batch, command);
  }

  #append(batch: EventBatch, command: string): void {
    this.#decided.set(batch.zone, batch.firstSeq);
    const entry = { batch, command };
    this.#unrecorded.push(entry);
    this.#writer?.append([batch]).then(
      () => {
        this.#unrecorded = this.#unrecorded.filter((one) => one !== entry);
        this.#answer(command, batch);
      },
      (error) => {
        if (!(error instanceof WriterEnded)) this.#parts.history.refused.push(String(error));
      },
    );
  }

  #answer(command: string, { zone, firstSeq }: EventBatch): void {
    this.#parts.history.durable.set(command, { zone, seq: firstSeq });
  }

  /** Saves the heads of the shard, and sometimes deletes the records before them. */
  async #beat(): Promise<void> {
    const head = await this.#writer?.beat();
    if (!this.#writer || !head) return;
    const { cursor, heads } = this.#writer.place();
    if (cursor.offset > this.#parts.manifest.cursor.offset) Object.assign(this.#parts.manifest, { cursor, heads });
    if (this.#parts.random.chance(this.#parts.cuts)) await this.#parts.broker.deleteBefore(0, head.offset).catch(() => {});
  }

  #every(ms: number, work: () => void): void {
    this.#parts.clock.after(ms, () => {
      if (!this.#isRunning) return;
      work();
      this.#every(ms, work);
    });
  }
}

export function newManifest(): Manifest {
  return { cursor: SHARD_START, heads: new Map() };
}
