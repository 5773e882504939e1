import type { StoredRecord } from './shard-records.ts';

/** Identity under which the brokers accept the batches of one owner. */
export interface Producer {
  readonly id: bigint;
  readonly epoch: number;
}

export interface ProduceRequest {
  readonly producer: Producer;
  /** Sequence number of the first record. */
  readonly sequence: number;
  readonly records: readonly StoredRecord[];
}

/** A record with its offset; its value is null where another program has written a record without one. */
interface FetchedRecord {
  readonly offset: number;
  readonly value: Buffer | null;
}

export interface Fetched {
  readonly records: readonly FetchedRecord[];
  /** Offset after the newest replicated record. */
  readonly highWatermark: number;
  /** Offset of the oldest record. */
  readonly start: number;
}

/**
 * Why a broker did not confirm a request.
 * `fenced`: another process has a newer producer epoch; nothing of this request is written. `out-of-order`: the broker lacks the batch before; nothing is
 * written. `too-large`: it never will be. `refused`: nothing is written, and a retry may succeed. `unknown`: it may be written, now or later.
 */
export type BrokerFailure = 'fenced' | 'out-of-order' | 'too-large' | 'out-of-range' | 'refused' | 'unknown';

export class BrokerError extends Error {
  readonly failure: BrokerFailure;

  constructor(failure: BrokerFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BrokerError';
    this.failure = failure;
  }
}

/** The replicas of a shard, as the controller knows them. */
export interface ShardReplicas {
  readonly shard: number;
  /** Whether it has a leader: without one it can be neither written nor read. */
  readonly isLed: boolean;
  readonly replicas: number;
  readonly inSync: number;
}

/** What the protocol needs of the brokers, for the shards of one topic. Every call rejects with a BrokerError, and may take effect after that. */
export interface ShardBroker {
  /** Begins a new producer epoch for a shard. */
  initProducer(shard: number): Promise<Producer>;
  /** Appends the records together, or none. Resolves when all in-sync replicas have them. @returns offset of the first record; -1 if it is not known */
  produce(shard: number, request: ProduceRequest): Promise<number>;
  /** Replicated records from `offset` on. Waits up to `waitMs` for the first. */
  fetch(shard: number, offset: number, limits: { readonly maxBytes: number; readonly waitMs: number }): Promise<Fetched>;
  /** Offset of the oldest record. */
  startOf(shard: number): Promise<number>;
  /** Deletes the records before `offset`. */
  deleteBefore(shard: number, offset: number): Promise<void>;
}

/** What the log of a topic needs of the brokers besides. */
export interface TopicBroker extends ShardBroker {
  /** Id of the topic. One that is deleted and created again has another. */
  id(): Promise<string>;
  /** Offset of the oldest record of each shard, by shard; null where its leader does not respond. */
  starts(): Promise<readonly (number | null)[]>;
  /** Offset after the newest replicated record of each shard, by shard; null where its leader does not respond. */
  ends(): Promise<readonly (number | null)[]>;
  /**
   * As `ends`, from the newest leader that a majority of the replicas of the shard knows of; null where no majority responds. What readers have read, such a
   * majority has confirmed, so the leader has it.
   */
  confirmedEnds(): Promise<readonly (number | null)[]>;
  /** By shard. */
  replicas(): Promise<readonly ShardReplicas[]>;
  /** Size of the topic on one broker, bytes. @throws BrokerError when none tells it, for example because that is not permitted */
  bytes(): Promise<number>;
  close(): Promise<void>;
}
