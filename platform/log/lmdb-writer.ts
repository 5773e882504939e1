import { type EventBatch, type LogPosition, type ShardWriter, type WriterEnd, WriterEnded, type ZoneAddress } from '@millrace/kernel';

/** The newest owner of a shard. */
export interface Owner {
  readonly epoch: number;
  /** Random; no two owners have the same. */
  readonly name: string;
}

/** An append that waits for a commit. */
export interface WaitingAppend {
  readonly shard: number;
  readonly owner: Owner;
  readonly batches: readonly EventBatch[];
  /** Called with its position, or the reason why it is not written or may not be. */
  done(result: LogPosition | Error): void;
}

interface Parts {
  headOf(zone: ZoneAddress): { readonly epoch: number; readonly seq: number };
  append(append: WaitingAppend): void;
}

/** Writes to a shard of an LMDB log under one epoch. */
export class LmdbWriter implements ShardWriter {
  readonly epoch: number;
  readonly ended: Promise<WriterEnd>;
  readonly #shard: number;
  readonly #owner: Owner;
  readonly #parts: Parts;
  readonly #ended = Promise.withResolvers<WriterEnd>();
  #end: WriterEnd | null = null;
  #pending: Promise<unknown> = Promise.resolve();

  constructor(shard: number, owner: Owner, parts: Parts) {
    this.#shard = shard;
    this.#owner = owner;
    this.#parts = parts;
    this.epoch = owner.epoch;
    this.ended = this.#ended.promise;
  }

  headOf(zone: ZoneAddress): number {
    const { epoch, seq } = this.#parts.headOf(zone);
    return epoch <= this.epoch ? seq : 0;
  }

  append(batches: readonly EventBatch[]): Promise<LogPosition> {
    if (this.#end) return Promise.reject(new WriterEnded(this.#shard, this.#end));
    const appended = new Promise<LogPosition>((resolve, reject) => {
      const done = (result: LogPosition | Error) => {
        if (!(result instanceof Error)) return resolve(result);
        if (result instanceof WriterEnded) this.#finish(result.end);
        reject(result);
      };
      this.#parts.append({ shard: this.#shard, owner: this.#owner, batches, done });
    });
    this.#pending = appended.catch(() => {});
    return appended;
  }

  async release(): Promise<void> {
    await this.#pending;
    this.#finish('released');
  }

  #finish(end: WriterEnd): void {
    this.#end ??= end;
    this.#ended.resolve(this.#end);
  }
}
