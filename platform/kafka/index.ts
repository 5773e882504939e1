export { KafkaBrokers, type KafkaConnection } from './kafka-brokers.ts';
export { KafkaJournal, MemoryManifests, type ShardManifest, type ShardManifests } from './kafka-journal.ts';
export { openKafkaTopic, type TopicPlan, TopicUnsafe } from './kafka-topic.ts';
export { type Cursor, SHARD_START } from './reader-rule.ts';
export { BrokerError, type Fetched, type ProduceRequest, type Producer, type ShardBroker } from './shard-broker.ts';
export { readShard, shardStart } from './shard-reader.ts';
export type { StoredRecord } from './shard-records.ts';
export { ShardTail } from './shard-tail.ts';
export { ShardWriter } from './shard-writer.ts';
