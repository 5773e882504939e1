import {
  type Connection,
  deleteRecordsV2,
  describeLogDirsV4,
  fetchV17,
  findCoordinatorV6,
  initProducerIdV5,
  listOffsetsV9,
  metadataV12,
  ProduceAcks,
  produceV11,
} from '@platformatic/kafka';
import { errorIds, type KafkaConnection, KafkaConnections, type Use } from './kafka-connections.ts';
import { newestLeaders } from './newest-leaders.ts';
import {
  BrokerError,
  type BrokerFailure,
  type Fetched,
  type ProduceRequest,
  type Producer,
  type ShardReplicas,
  type TopicBroker,
} from './shard-broker.ts';

type Metadata = metadataV12.MetadataResponse;
type Partition = metadataV12.MetadataResponsePartition;

/** Time limit of the brokers for the replication of a batch, ms. */
const REPLICATION_MS_MAX = 2_000;
/** Transaction timeout that an InitProducerId must name, ms. No transactions are used. */
const TRANSACTION_MS = 60_000;
const COORDINATOR_OF_TRANSACTIONS = 1;
const READ_UNCOMMITTED = 0;
const NO_SESSION = { id: 0, epoch: -1 };
/** What ListOffsets needs for the oldest offset, from a client. */
const EARLIEST = -2n;
const LATEST = -1n;
const NO_REPLICA = -1;
/** Connections for fetches, per broker. */
const FETCH_CONNECTIONS = 4;

/** Which errors of the brokers mean what; every other is `unknown`. */
const FAILURES: Readonly<Record<string, BrokerFailure>> = {
  INVALID_PRODUCER_EPOCH: 'fenced',
  PRODUCER_FENCED: 'fenced',
  OUT_OF_ORDER_SEQUENCE_NUMBER: 'out-of-order',
  UNKNOWN_PRODUCER_ID: 'out-of-order',
  MESSAGE_TOO_LARGE: 'too-large',
  RECORD_LIST_TOO_LARGE: 'too-large',
  OFFSET_OUT_OF_RANGE: 'out-of-range',
  NOT_ENOUGH_REPLICAS: 'refused',
  NOT_LEADER_OR_FOLLOWER: 'refused',
  NOT_LEADER_FOR_PARTITION: 'refused',
  LEADER_NOT_AVAILABLE: 'refused',
  UNKNOWN_TOPIC_OR_PARTITION: 'refused',
  UNKNOWN_TOPIC_ID: 'refused',
  COORDINATOR_NOT_AVAILABLE: 'refused',
  COORDINATOR_LOAD_IN_PROGRESS: 'refused',
  NOT_COORDINATOR: 'refused',
  CONCURRENT_TRANSACTIONS: 'refused',
};

/** A topic of a Kafka cluster, by single requests: the producers of client libraries repeat what must not be repeated. */
export class KafkaBrokers implements TopicBroker {
  readonly #connections: KafkaConnections;
  readonly #topic: string;
  #metadata: Promise<Metadata> | null = null;
  /** The configured broker that has responded first last time. */
  #alive: string | null = null;

  constructor(options: KafkaConnection, topic: string) {
    this.#connections = new KafkaConnections(options);
    this.#topic = topic;
  }

  initProducer(shard: number): Promise<Producer> {
    return this.#asked(async () => {
      const id = `millrace-${this.#topic}-${shard}`;
      const any = await this.#connectAny();
      const { coordinators } = await findCoordinatorV6.api.async(any, COORDINATOR_OF_TRANSACTIONS, [id]);
      const [coordinator] = coordinators;
      if (!coordinator || coordinator.port <= 0) throw new BrokerError('refused', `no coordinator for the producer ${id}`);
      const connection = await this.#connections.to(`${coordinator.host}:${coordinator.port}`, 'write');
      // Without an id and an epoch: else the successor would be refused, not the predecessor.
      const { producerId, producerEpoch } = await initProducerIdV5.api.async(connection, id, TRANSACTION_MS, -1n, -1);
      return { id: producerId, epoch: producerEpoch };
    });
  }

  produce(shard: number, { producer, sequence, records }: ProduceRequest): Promise<number> {
    return this.#asked(async () => {
      const connection = await this.#leaderOf(shard, 'write');
      const messages = records.map(({ key, value }) => ({ topic: this.#topic, partition: shard, key: key ?? undefined, value }));
      const response = await produceV11.api.async(connection, ProduceAcks.ALL, REPLICATION_MS_MAX, messages as never, {
        producerId: producer.id,
        producerEpoch: producer.epoch,
        sequences: { getWithDefault: () => sequence } as never,
        compression: 'none',
      });
      if (typeof response === 'boolean') throw new BrokerError('unknown', 'the broker has confirmed nothing');
      return Number(response.responses[0]?.partitionResponses[0]?.baseOffset ?? -1n);
    });
  }

  fetch(shard: number, offset: number, { maxBytes, waitMs }: { readonly maxBytes: number; readonly waitMs: number }): Promise<Fetched> {
    return this.#asked(async () => {
      const connection = await this.#leaderOf(shard, `read ${shard % FETCH_CONNECTIONS}`);
      const { topics } = await this.#cluster();
      const topicId = topics[0]?.topicId ?? '';
      const wanted = {
        partition: shard,
        currentLeaderEpoch: -1,
        fetchOffset: BigInt(offset),
        lastFetchedEpoch: -1,
        partitionMaxBytes: maxBytes,
      };
      const response = await fetchV17.api.async(
        connection,
        waitMs,
        1,
        maxBytes,
        READ_UNCOMMITTED,
        NO_SESSION.id,
        NO_SESSION.epoch,
        [{ topicId, partitions: [wanted] }],
        [],
        '',
      );
      const partition = response.responses[0]?.partitions[0];
      if (!partition) throw new BrokerError('unknown', `the broker has returned nothing for shard ${shard}`);
      const records = (partition.records ?? []).flatMap((batch) =>
        batch.records.map((record) => ({ offset: Number(batch.firstOffset) + record.offsetDelta, value: record.value })),
      );
      return {
        records: records.filter((record) => record.offset >= offset),
        highWatermark: Number(partition.highWatermark),
        start: Number(partition.logStartOffset),
      };
    });
  }

  startOf(shard: number): Promise<number> {
    return this.#asked(async () => {
      const connection = await this.#leaderOf(shard, 'write');
      const partitions = [{ partitionIndex: shard, currentLeaderEpoch: -1, timestamp: EARLIEST }];
      const { topics } = await listOffsetsV9.api.async(connection, NO_REPLICA, READ_UNCOMMITTED, [{ name: this.#topic, partitions }]);
      return Number(topics[0]?.partitions[0]?.offset ?? 0n);
    });
  }

  deleteBefore(shard: number, offset: number): Promise<void> {
    return this.#asked(async () => {
      const connection = await this.#leaderOf(shard, 'write');
      const partitions = [{ partitionIndex: shard, offset: BigInt(offset) }];
      await deleteRecordsV2.api.async(connection, [{ name: this.#topic, partitions }], REPLICATION_MS_MAX);
    });
  }

  starts(): Promise<(number | null)[]> {
    return this.#offsetsOf(EARLIEST);
  }

  ends(): Promise<(number | null)[]> {
    return this.#offsetsOf(LATEST);
  }

  async confirmedEnds(): Promise<(number | null)[]> {
    const { brokers } = await this.#asked(() => this.#cluster());
    const asked = brokers.map(async ({ nodeId, host, port }) => {
      const connection = await this.#connections.to(`${host}:${port}`, 'watch');
      const { response } = await answer(metadataV12.api.async(connection, [this.#topic], false, false));
      return { nodeId, partitions: response.topics[0]?.partitions ?? [] };
    });
    const told = (await Promise.allSettled(asked)).flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    return this.#offsetsAt(LATEST, brokers, newestLeaders(told));
  }

  async id(): Promise<string> {
    return (await this.#asked(() => this.#cluster())).topics[0]?.topicId ?? '';
  }

  async replicas(): Promise<ShardReplicas[]> {
    const partitions = (await this.partitions()) ?? [];
    return partitions
      .map(({ partitionIndex: shard, leaderId, replicaNodes, isrNodes }) => ({
        shard,
        isLed: leaderId >= 0,
        replicas: replicaNodes.length,
        inSync: isrNodes.length,
      }))
      .sort((one, other) => one.shard - other.shard);
  }

  async bytes(): Promise<number> {
    const { brokers, topics } = await this.#asked(() => this.#cluster());
    const partitions = (topics[0]?.partitions ?? []).map(({ partitionIndex }) => partitionIndex);
    const sizes = new Map<number, number>();
    const ask = async ({ host, port }: (typeof brokers)[number]) => {
      const connection = await this.#connections.to(`${host}:${port}`, 'watch');
      const { response, error } = await answer(describeLogDirsV4.api.async(connection, [{ name: this.#topic, partitions }]));
      for (const { partitionIndex, partitionSize } of response.results.flatMap((result) =>
        result.topics.flatMap((topic) => topic.partitions),
      ))
        sizes.set(partitionIndex, Math.max(sizes.get(partitionIndex) ?? 0, Number(partitionSize)));
      if (error !== null) throw error;
    };
    const asked = await Promise.allSettled(brokers.map((broker) => this.#asked(() => ask(broker))));
    // One that does not respond has the same records as the others.
    const [failed] = asked.filter((one) => one.status === 'rejected');
    if (sizes.size === 0 && failed) throw failed.reason;
    return [...sizes.values()].reduce((sum, size) => sum + size, 0);
  }

  /** An offset of each shard; null where its leader does not respond. */
  async #offsetsOf(timestamp: bigint): Promise<(number | null)[]> {
    const { brokers, topics } = await this.#asked(() => this.#cluster());
    return this.#offsetsAt(timestamp, brokers, topics[0]?.partitions ?? []);
  }

  /** An offset of each of some shards, from the leader and its epoch that are named; null where it does not respond, or has another epoch. */
  async #offsetsAt(timestamp: bigint, brokers: Metadata['brokers'], partitions: readonly Partition[]): Promise<(number | null)[]> {
    const shards = Math.max(0, ...partitions.map(({ partitionIndex }) => partitionIndex + 1));
    const offsets: (number | null)[] = Array.from({ length: shards }, () => null);
    const ask = async ({ nodeId, host, port }: (typeof brokers)[number]) => {
      const led = partitions.filter(({ leaderId }) => leaderId === nodeId);
      if (led.length === 0) return;
      const connection = await this.#connections.to(`${host}:${port}`, 'watch');
      const wanted = led.map(({ partitionIndex, leaderEpoch }) => ({ partitionIndex, currentLeaderEpoch: leaderEpoch, timestamp }));
      const request = listOffsetsV9.api.async(connection, NO_REPLICA, READ_UNCOMMITTED, [{ name: this.#topic, partitions: wanted }]);
      const { response, error } = await answer(request);
      for (const { partitionIndex, offset, errorCode } of response.topics[0]?.partitions ?? [])
        if (errorCode === 0) offsets[partitionIndex] = Number(offset);
      // The leaders are looked up again.
      if (error !== null) throw error;
    };
    await Promise.all(brokers.map((broker) => this.#asked(() => ask(broker)).catch(() => {})));
    return offsets;
  }

  /** The partitions of the topic; null if it does not exist. */
  async partitions(): Promise<readonly Partition[] | null> {
    try {
      return await this.#asked(async () => (await this.#readMetadata()).topics[0]?.partitions ?? null);
    } catch (error) {
      if (error instanceof BrokerError && error.message.includes('UNKNOWN_TOPIC_OR_PARTITION')) return null;
      throw error;
    }
  }

  /** Sends a request to a broker that forwards it to the controller of the cluster. */
  askController<T>(request: (connection: Connection) => Promise<T>): Promise<T> {
    return this.#asked(async () => request(await this.#connectAny()));
  }

  /** Sends a request to the leader of a shard. */
  askLeader<T>(shard: number, request: (connection: Connection) => Promise<T>): Promise<T> {
    return this.#asked(async () => request(await this.#leaderOf(shard, 'write')));
  }

  /** Waits until the topic exists with at least a number of shards, and each shard has a leader. @throws BrokerError after `ms` */
  async whenLed(ms: number, shards = 1): Promise<void> {
    for (const until = Date.now() + ms; ; ) {
      const partitions = (await this.partitions()) ?? [];
      if (partitions.length >= shards && partitions.every(({ leaderId, isrNodes }) => leaderId >= 0 && isrNodes.length > 0)) return;
      if (Date.now() > until) throw new BrokerError('unknown', `the shards of ${this.#topic} have no leaders within ${ms} ms`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  close(): Promise<void> {
    return this.#connections.close();
  }

  /** Runs a request. The leader is looked up again after a failure. @throws BrokerError */
  async #asked<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const failure = brokerError(error);
      if (failure.failure === 'refused' || failure.failure === 'unknown') {
        this.#metadata = null;
        this.#alive = null;
      }
      throw failure;
    }
  }

  async #leaderOf(shard: number, use: Use): Promise<Connection> {
    const { brokers, topics } = await this.#cluster();
    const partition = topics[0]?.partitions.find(({ partitionIndex }) => partitionIndex === shard);
    const leader = brokers.find(({ nodeId }) => nodeId === partition?.leaderId);
    if (!leader) throw new BrokerError('refused', `shard ${shard} of ${this.#topic} has no leader`);
    return this.#connections.to(`${leader.host}:${leader.port}`, use);
  }

  #cluster(): Promise<Metadata> {
    this.#metadata ??= this.#readMetadata();
    return this.#metadata;
  }

  /** Metadata of the topic. It may have shards without a leader. @throws when the topic does not exist */
  async #readMetadata(): Promise<Metadata> {
    const metadata = await this.#connections.first(async (connection, address) => {
      const { response, error } = await answer(metadataV12.api.async(connection, [this.#topic], false, false));
      this.#alive = address;
      // Another broker may know it: they learn of a new topic one after the other.
      if (response.topics.some(({ errorCode }) => errorCode !== 0)) throw error;
      return response;
    });
    this.#metadata = Promise.resolve(metadata);
    return metadata;
  }

  /** A connection to a broker that responds. */
  async #connectAny(): Promise<Connection> {
    this.#alive ??= await this.#connections.first(async (connection, address) => {
      await answer(metadataV12.api.async(connection, [], false, false));
      return address;
    });
    return this.#connections.to(this.#alive, 'write');
  }
}

/** A response, also one with errors of some of its parts. */
async function answer<T>(request: Promise<T>): Promise<{ readonly response: T; readonly error: unknown }> {
  try {
    return { response: await request, error: null };
  } catch (error) {
    const { response } = error as { response?: T };
    if (response === undefined) throw error;
    return { response, error };
  }
}

function brokerError(error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  const ids = errorIds(error);
  const failure = ids.map((id) => FAILURES[id]).find((known) => known !== undefined) ?? 'unknown';
  const message = error instanceof Error ? error.message : String(error);
  return new BrokerError(failure, ids.length > 0 ? ids.join(', ') : message, { cause: error });
}
