import {
  Connection,
  type ConnectionOptions,
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

/** How to reach a Kafka cluster. */
export interface KafkaConnection {
  /** `host:port` of some brokers, of which one must respond. */
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly tls?: ConnectionOptions['tls'];
  /** Where the brokers are reached, by the address that they advertise, as through a tunnel. */
  readonly addresses?: Readonly<Record<string, string>>;
  readonly sasl?: { readonly mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-512'; readonly username: string; readonly password: string };
}

/** Time limit of the brokers for the replication of a batch, and of a client for a response, ms. */
const REPLICATION_MS_MAX = 2_000;
const RESPONSE_MS_MAX = 3_000;
const CONNECT_MS_MAX = 1_000;
/** Transaction timeout that an InitProducerId must name, ms. No transactions are used. */
const TRANSACTION_MS = 60_000;
const COORDINATOR_OF_TRANSACTIONS = 1;
const READ_UNCOMMITTED = 0;
const NO_SESSION = { id: 0, epoch: -1 };
/** What ListOffsets needs for the oldest offset, from a client. */
const EARLIEST = -2n;
const LATEST = -1n;
const NO_REPLICA = -1;
/** Connections for fetches, per broker. Requests of one connection run one after another at the broker, so fetches that wait must not be before appends. */
const FETCH_CONNECTIONS = 4;
type Use = 'write' | 'watch' | `read ${number}`;

interface OpenConnection {
  readonly opened: Promise<Connection>;
  /** Opening, or open: it can take requests. */
  isUsable: () => boolean;
}

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
  readonly #options: KafkaConnection;
  readonly #topic: string;
  /** By broker and use. A connection that fails is replaced at the next request. */
  readonly #connections = new Map<string, OpenConnection>();
  #metadata: Promise<Metadata> | null = null;
  #isClosed = false;

  constructor(options: KafkaConnection, topic: string) {
    this.#options = options;
    this.#topic = topic;
  }

  initProducer(shard: number): Promise<Producer> {
    return this.#asked(async () => {
      const id = `millrace-${this.#topic}-${shard}`;
      const any = await this.#connectAny();
      const { coordinators } = await findCoordinatorV6.api.async(any, COORDINATOR_OF_TRANSACTIONS, [id]);
      const [coordinator] = coordinators;
      if (!coordinator || coordinator.port <= 0) throw new BrokerError('refused', `no coordinator for the producer ${id}`);
      const connection = await this.#connect(`${coordinator.host}:${coordinator.port}`, 'write');
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
      const connection = await this.#connect(`${host}:${port}`, 'watch');
      const { results } = await describeLogDirsV4.api.async(connection, [{ name: this.#topic, partitions }]);
      for (const { partitionIndex, partitionSize } of results.flatMap((result) => result.topics.flatMap((topic) => topic.partitions)))
        sizes.set(partitionIndex, Math.max(sizes.get(partitionIndex) ?? 0, Number(partitionSize)));
    };
    // One that does not respond has the same records as the others.
    await Promise.all(brokers.map((broker) => this.#asked(() => ask(broker)).catch(() => {})));
    return [...sizes.values()].reduce((sum, size) => sum + size, 0);
  }

  /** An offset of each shard; null where its leader does not respond. */
  async #offsetsOf(timestamp: bigint): Promise<(number | null)[]> {
    const { brokers, topics } = await this.#asked(() => this.#cluster());
    const partitions = topics[0]?.partitions ?? [];
    const offsets: (number | null)[] = partitions.map(() => null);
    const ask = async ({ nodeId, host, port }: (typeof brokers)[number]) => {
      const led = partitions.filter(({ leaderId }) => leaderId === nodeId);
      if (led.length === 0) return;
      const connection = await this.#connect(`${host}:${port}`, 'watch');
      const wanted = led.map(({ partitionIndex }) => ({ partitionIndex, currentLeaderEpoch: -1, timestamp }));
      const listed = await listOffsetsV9.api.async(connection, NO_REPLICA, READ_UNCOMMITTED, [{ name: this.#topic, partitions: wanted }]);
      for (const { partitionIndex, offset } of listed.topics[0]?.partitions ?? []) offsets[partitionIndex] = Number(offset);
    };
    await Promise.all(brokers.map((broker) => this.#asked(() => ask(broker)).catch(() => {})));
    return offsets;
  }

  /** The partitions of the topic; null if it does not exist. */
  async partitions(): Promise<readonly metadataV12.MetadataResponsePartition[] | null> {
    this.#metadata = null;
    try {
      return await this.#asked(async () => (await this.#cluster()).topics[0]?.partitions ?? null);
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

  async close(): Promise<void> {
    this.#isClosed = true;
    const open = [...this.#connections.values()];
    this.#connections.clear();
    await Promise.allSettled(open.map(async ({ opened }) => (await opened).close()));
  }

  /** Runs a request. The leader is looked up again after a failure. @throws BrokerError */
  async #asked<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const failure = brokerError(error);
      if (failure.failure === 'refused' || failure.failure === 'unknown') this.#metadata = null;
      throw failure;
    }
  }

  async #leaderOf(shard: number, use: Use): Promise<Connection> {
    const { brokers, topics } = await this.#cluster();
    const partition = topics[0]?.partitions.find(({ partitionIndex }) => partitionIndex === shard);
    const leader = brokers.find(({ nodeId }) => nodeId === partition?.leaderId);
    if (!leader) throw new BrokerError('refused', `shard ${shard} of ${this.#topic} has no leader`);
    return this.#connect(`${leader.host}:${leader.port}`, use);
  }

  #cluster(): Promise<Metadata> {
    this.#metadata ??= this.#connectAny().then((connection) => metadataV12.api.async(connection, [this.#topic], false, false));
    return this.#metadata;
  }

  async #connectAny(): Promise<Connection> {
    let failure: unknown;
    for (const broker of this.#options.brokers) {
      try {
        return await this.#connect(broker, 'write');
      } catch (error) {
        failure = error;
      }
    }
    const [name] = errorIds(failure);
    const reason = name ?? (failure instanceof Error ? reasonOf(failure) : String(failure));
    throw new BrokerError('refused', `no broker of ${this.#options.brokers.join(', ')} can be used: ${reason}`, { cause: failure });
  }

  /** Requests at the same time share a connection, also while it opens: a second one would change their order, and nobody would close it. */
  async #connect(address: string, use: Use): Promise<Connection> {
    const key = `${address} ${use}`;
    const known = this.#connections.get(key);
    if (known?.isUsable()) return known.opened;
    if (this.#isClosed) throw new BrokerError('refused', 'the connection to the brokers is closed');
    const opening = this.#open(this.#options.addresses?.[address] ?? address);
    this.#connections.set(key, opening);
    return opening.opened;
  }

  #open(address: string): OpenConnection {
    const { clientId, tls, sasl } = this.#options;
    const connection = new Connection(clientId, {
      connectTimeout: CONNECT_MS_MAX,
      requestTimeout: RESPONSE_MS_MAX,
      ...(tls && { tls }),
      ...(sasl && { sasl }),
    });
    // Without a listener, an error of a connection without requests would end the process.
    connection.on('error', () => {});
    const [host, port] = splitAddress(address);
    let isOpening = true;
    const opened = Promise.resolve(connection.connect(host, port))
      .then(() => connection)
      .finally(() => {
        isOpening = false;
      });
    return { opened, isUsable: () => isOpening || connection.isConnected() };
  }
}

function splitAddress(address: string): [host: string, port: number] {
  const colon = address.lastIndexOf(':');
  return [address.slice(0, colon), Number(address.slice(colon + 1))];
}

function brokerError(error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  const ids = errorIds(error);
  const failure = ids.map((id) => FAILURES[id]).find((known) => known !== undefined) ?? 'unknown';
  const message = error instanceof Error ? error.message : String(error);
  return new BrokerError(failure, ids.length > 0 ? ids.join(', ') : message, { cause: error });
}

/** The innermost message: the library wraps the reason, for example that a certificate is not trusted. */
function reasonOf(error: Error): string {
  return error.cause instanceof Error ? reasonOf(error.cause) : error.message;
}

/** Names of the errors of the Kafka protocol within an error of the client library. */
function errorIds(error: unknown): string[] {
  if (typeof error !== 'object' || error === null) return [];
  const { apiId, errors = [], cause } = error as { apiId?: string; errors?: unknown[]; cause?: unknown };
  return [...(apiId ? [apiId] : []), ...errors.flatMap(errorIds), ...errorIds(cause)];
}
