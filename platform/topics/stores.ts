import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Database } from '@millrace/database';
import type { Journal, SnapshotStore } from '@millrace/kernel';
import { type EventLog, type LmdbLog, openLmdbLog, type ShardPlacement } from '@millrace/log';
import { type ColdStore, type LmdbSnapshots, openFileSnapshots, openLmdbSnapshots } from '@millrace/snapshots';
import { requireRecorded } from './earlier-snapshots.ts';
import type { KafkaTopicLog, TopicLog } from './topic-log.ts';

/** Folders of the LMDB stores of a topic, below the folder of the topic. */
export const STORE_FOLDERS = { log: 'log', hot: join('snapshots', 'hot'), index: 'index' } as const;

/** Folder of the manifests of the shards of a topic in Kafka, below the folder of the topic. */
const MANIFESTS = join('snapshots', 'shards');

/** Log and snapshots of the zones of a topic. Several processes may share them. */
export interface Stores {
  readonly log: EventLog;
  readonly hot: SnapshotStore;
  readonly cold: SnapshotStore;
  close(): Promise<void>;
}

/** What a process with zones of a topic needs of its stores. */
export type ZoneStores = Omit<Stores, 'log'> & { readonly log: Journal };

/** The stores of a topic, with snapshots on this machine. */
export type LocalStores = Stores & { readonly hot: LmdbSnapshots; readonly cold: ColdStore };

/** Stores whose log is on this machine, too. */
export type EmbeddedStores = LocalStores & { readonly log: LmdbLog };

/** Where the stores of a topic are. */
export interface TopicPlace {
  /** Folder of the topic. */
  readonly folder: string;
  readonly log: TopicLog;
  /** Of its zones on shards. Default: many zones on each shard, by a hash. */
  readonly placement?: ShardPlacement | undefined;
  /** Has the consumer groups and dead letters of a log that is not on this machine. A process with zones only needs none. */
  readonly database?: Pick<Database, 'drizzle'>;
  /** Called for the first failure of the index of zones that a log in Kafka has on this machine. */
  readonly onIndexFailure?: (reason: string) => void;
}

/** Opens the stores of a topic in its folder; they are created when they do not exist. */
export function openStores(folder: string, placement?: ShardPlacement): EmbeddedStores {
  const log = openLmdbLog(join(folder, STORE_FOLDERS.log), placement);
  return { log, ...openSnapshots(folder, log) };
}

/**
 * Opens the stores of a topic, wherever its log is.
 * @throws BrokerError, TopicUnsafe
 */
export async function openTopicStores(place: TopicPlace): Promise<LocalStores> {
  const { folder, log, placement } = place;
  if (log.engine === 'lmdb') return openStores(folder, placement);
  const opened = await openLog(place, indexOf(place));
  return { log: opened, ...openSnapshots(folder, opened) };
}

/** Opens the log of a topic without its snapshots and its index. @throws BrokerError, TopicUnsafe */
export function openTopicLog(place: TopicPlace): Promise<EventLog> {
  return openLog(place);
}

async function openLog({ folder, log, placement, database }: TopicPlace, index?: ReturnType<typeof indexOf>): Promise<EventLog> {
  if (log.engine === 'lmdb') return openLmdbLog(join(folder, STORE_FOLDERS.log), placement);
  if (!database) throw new TypeError(`the topic "${log.topic}" needs the database`);
  const { openKafkaLog } = await import('./kafka-logs.ts');
  return openKafkaLog(log, { manifests: manifestsIn(folder), placement, database, folder, ...(index && { index }) });
}

/**
 * Creates the topic in Kafka of a new data folder. Call it before anything else is opened: then nothing is written to the topic before its id is noted.
 * @returns its id
 * @throws BrokerError, TopicUnsafe; TopicInUse when it exists and has records
 */
export async function createTopicInKafka(folder: string, log: KafkaTopicLog, placement: ShardPlacement | undefined): Promise<string> {
  const { createKafkaTopic } = await import('./kafka-logs.ts');
  const id = await createKafkaTopic(log, placement);
  await removeManifests(folder);
  return id;
}

/**
 * Opens the stores of a topic for a process with zones, which needs no database.
 * @param mayOpen called before the stores on this machine are opened, which processes do one by one
 * @throws BrokerError, TopicUnsafe
 */
export async function openZoneStores(place: TopicPlace, mayOpen: () => Promise<void>): Promise<ZoneStores> {
  const { folder, log, placement } = place;
  if (log.engine === 'lmdb') {
    await mayOpen();
    return openStores(folder, placement);
  }
  const { openKafkaJournal } = await import('./kafka-logs.ts');
  const { journal, close } = await openKafkaJournal(log, { manifests: manifestsIn(folder), placement, index: indexOf(place) }, mayOpen);
  const snapshots = openSnapshots(folder, { read: journal.read.bind(journal), close });
  return { log: journal, ...snapshots };
}

function indexOf({ folder, onIndexFailure = () => {} }: TopicPlace) {
  return { folder: join(folder, STORE_FOLDERS.index), onFailure: onIndexFailure };
}

function openSnapshots(folder: string, log: Pick<EventLog, 'read' | 'close'>): Omit<LocalStores, 'log'> {
  const accept = requireRecorded(log);
  const hot = openLmdbSnapshots(join(folder, STORE_FOLDERS.hot), accept);
  const cold = openFileSnapshots(join(folder, 'snapshots', 'cold'), undefined, accept);
  return {
    hot,
    cold,
    close: async () => {
      await log.close();
      await hot.close();
    },
  };
}

/** The manifests of the shards, beside the cold snapshots. */
export function manifestsIn(folder: string): SnapshotStore {
  return openFileSnapshots(join(folder, MANIFESTS));
}

/** Removes the manifests of the shards: they are of another topic. Those of later places in that would count as the newer ones. */
export async function removeManifests(folder: string): Promise<void> {
  await rm(join(folder, MANIFESTS), { recursive: true, force: true });
}
