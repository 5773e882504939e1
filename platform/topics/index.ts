export { DecidedEvents } from './decided-events.ts';
export { type OutboxMode, OutboxModes } from './outbox-modes.ts';
export { type OpenStorePermit, type OpenStoreRequest, StoreOpenings } from './store-openings.ts';
export {
  createTopicInKafka,
  type EmbeddedStores,
  type LocalStores,
  openStores,
  openTopicLog,
  openZoneStores,
  STORE_FOLDERS,
  type Stores,
  type TopicPlace,
  type ZoneStores,
} from './stores.ts';
export { type DecidedListener, isEmbedded, openSharedTopic, openTopic, type Topic, type TopicOptions } from './topic.ts';
export { EMBEDDED, type EmbeddedLog, type KafkaTopicLog, type TopicLog } from './topic-log.ts';
export { type ZoneKind, Zones, type ZoneView, zoneKind } from './zones.ts';
