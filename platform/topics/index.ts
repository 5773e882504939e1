export { DecidedEvents } from './decided-events.ts';
export { type OutboxMode, OutboxModes } from './outbox-modes.ts';
export { type OpenStorePermit, type OpenStoreRequest, StoreOpenings } from './store-openings.ts';
export { type LocalStores, openStores, STORE_FOLDERS, type Stores } from './stores.ts';
export { type DecidedListener, openSharedTopic, openTopic, type Topic, type TopicOptions } from './topic.ts';
export { type ZoneKind, Zones, type ZoneView, zoneKind } from './zones.ts';
