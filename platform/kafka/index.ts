export { KafkaBrokers } from './kafka-brokers.ts';
export type { KafkaConnection } from './kafka-connections.ts';
export { KafkaJournal, MemoryManifests, type ShardManifest, type ShardManifests } from './kafka-journal.ts';
export { KafkaLog, type KafkaLogParts } from './kafka-log.ts';
export { inspectKafkaTopic, openKafkaTopic, requireNoRecords, TopicInUse, TopicLost, type TopicPlan, TopicUnsafe } from './kafka-topic.ts';
export { LmdbZoneIndex } from './lmdb-zone-index.ts';
export { type Cursor, SHARD_START } from './reader-rule.ts';
export {
  BrokerError,
  type Fetched,
  type ProduceRequest,
  type Producer,
  type ShardBroker,
  type ShardReplicas,
  type TopicBroker,
} from './shard-broker.ts';
export { MemoryCursors, type StoredCursors } from './shard-cursors.ts';
export { readShard, shardStart } from './shard-reader.ts';
export type { StoredRecord } from './shard-records.ts';
export { ShardTail } from './shard-tail.ts';
export { ShardWriter } from './shard-writer.ts';
export { ZoneIndex, type ZoneIndexParts, type ZoneIndexStore, type ZonePlace } from './zone-index.ts';
