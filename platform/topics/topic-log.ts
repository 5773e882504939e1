import type { KafkaConnection } from '@millrace/kafka';

/** The log of a topic in LMDB files, in the folder of the topic. */
export interface EmbeddedLog {
  readonly engine: 'lmdb';
}

/** The log of a topic in a topic of Kafka. It can be sent to other processes. */
export interface KafkaTopicLog {
  readonly engine: 'kafka';
  readonly connection: KafkaConnection;
  /** Name of the topic in Kafka, and in the database. */
  readonly topic: string;
  /** Id of the topic in Kafka, if it is known: another topic of this name is refused. */
  readonly id?: string;
  readonly shards: number;
  /** Brokers that have each shard. */
  readonly replicas: number;
}

/** Where the log of a topic is. */
export type TopicLog = EmbeddedLog | KafkaTopicLog;

export const EMBEDDED: EmbeddedLog = { engine: 'lmdb' };
