import { randomUUID } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { systemClock } from '@millrace/base/clock';
import { seedOf } from '@millrace/base/random';
import type { Database } from '@millrace/database';
import {
  KafkaJournal,
  KafkaLog,
  LmdbZoneIndex,
  openKafkaTopic,
  requireNoRecords,
  type ShardManifests,
  type TopicBroker,
  ZoneIndex,
} from '@millrace/kafka';
import type { CopyTarget } from '@millrace/kafka/move';
import { TableConsumers, TableCursors, TableDeadLetters, TableGroups } from '@millrace/kafka/tables';
import { messageOf, type SnapshotStore, type ZoneAddress } from '@millrace/kernel';
import { LeasedMembership, type ShardPlacement } from '@millrace/log';
import { StoredManifests } from './manifests.ts';
import type { KafkaTopicLog } from './topic-log.ts';

interface LogParts {
  /** Store of the manifests. */
  readonly manifests: SnapshotStore;
  readonly placement: ShardPlacement | undefined;
}

interface OpenedParts extends LogParts {
  readonly database: Pick<Database, 'drizzle'>;
  /** Folder of the topic. */
  readonly folder: string;
  readonly index?: IndexPlace;
}

/** Where the index of the zones is. */
interface IndexPlace {
  readonly folder: string;
  /** Called for the first failure. It only makes reads slower. */
  readonly onFailure: (reason: string) => void;
}

/** The topic of Kafka that the log of a topic is moved to. */
export interface MoveTarget extends CopyTarget {
  readonly broker: TopicBroker;
  readonly topicId: string;
  /** The manifests of its shards, in the folder of the topic. */
  readonly manifests: ShardManifests;
  /** Removes all manifests. */
  removeManifests(): Promise<void>;
  close(): Promise<void>;
}

/** Opens a topic of Kafka as the event log. Creates it if it does not exist. @throws BrokerError, TopicUnsafe */
export async function openKafkaLog(
  log: KafkaTopicLog,
  { manifests, placement, database, folder, index: at }: OpenedParts,
): Promise<KafkaLog> {
  const { topic } = log;
  const opened = await open(log, placement);
  return KafkaLog.open({
    ...opened,
    clock: systemClock,
    index: at && openIndex(at, opened, true),
    manifests: new StoredManifests(manifests, systemClock),
    // Cursors are valid for the records of this topic only, not of a later one of this name.
    cursors: new TableCursors(database, `${topic}/${opened.topicId}`),
    consumers: new TableConsumers(database, topic),
    deadLetters: new TableDeadLetters(database, topic),
    membership: new LeasedMembership({
      store: new TableGroups(database, topic),
      clock: systemClock,
      partitions: opened.shards,
      newMember: randomUUID,
      // One server at a time uses a folder.
      place: `${hostname()}:${resolve(folder)}`,
    }),
  });
}

/**
 * Creates the topic in Kafka of a new data folder, or takes one without records that exists.
 * @returns its id
 * @throws BrokerError, TopicUnsafe; TopicInUse when it has records
 */
export async function createKafkaTopic(log: KafkaTopicLog, placement: ShardPlacement | undefined): Promise<string> {
  const { broker, topicId } = await open(log, placement);
  try {
    await requireNoRecords(broker, log.topic);
    return topicId;
  } finally {
    await broker.close();
  }
}

/**
 * Opens a topic of Kafka for a process with zones, and the index that the server has created.
 * @param mayOpen called before the index is opened
 * @throws BrokerError, TopicUnsafe
 */
export async function openKafkaJournal(
  log: KafkaTopicLog,
  { manifests, placement, index: at }: LogParts & { readonly index: IndexPlace },
  mayOpen: () => Promise<void>,
): Promise<{ readonly journal: KafkaJournal; readonly close: () => Promise<void> }> {
  const opened = await open(log, placement);
  await mayOpen();
  // The server waits for this only if the files exist.
  const index = existsSync(join(at.folder, 'data.mdb')) ? openIndex(at, opened, false) : undefined;
  const journal = new KafkaJournal({ ...opened, index, clock: systemClock, manifests: new StoredManifests(manifests, systemClock) });
  const close = async () => {
    await index?.close();
    await opened.broker.close();
  };
  return { journal, close };
}

/**
 * @param mayRemove whether one that cannot be opened is removed, so that the next start creates it again: no other process has it open then
 * @returns undefined when it cannot be opened
 */
function openIndex(
  { folder, onFailure }: IndexPlace,
  { broker, topicId }: { readonly broker: TopicBroker; readonly topicId: string },
  mayRemove: boolean,
): ZoneIndex | undefined {
  try {
    return new ZoneIndex({ store: new LmdbZoneIndex(folder, topicId), broker, clock: systemClock, onFailure });
  } catch (error) {
    if (mayRemove) rmSync(folder, { recursive: true, force: true });
    onFailure(messageOf(error));
    return undefined;
  }
}

/** Opens a topic of Kafka that a log is moved to. @throws BrokerError, TopicUnsafe */
export async function openForMove(log: KafkaTopicLog, { manifests, placement }: LogParts): Promise<Omit<MoveTarget, 'removeManifests'>> {
  const opened = await open(log, placement);
  return { ...opened, clock: systemClock, manifests: new StoredManifests(manifests, systemClock), close: () => opened.broker.close() };
}

async function open({ connection, topic: name, id, shards: planned, replicas }: KafkaTopicLog, placement: ShardPlacement | undefined) {
  // Zones that are placed by number keep their shards when there are more.
  const broker = await openKafkaTopic(connection, {
    name,
    shards: planned,
    replicas,
    canGrow: placement !== undefined,
    ...(id !== undefined && { id }),
  });
  try {
    const { length: shards } = await broker.replicas();
    const shardOf = (zone: ZoneAddress): number => placement?.shardOf(zone) ?? seedOf(zone) % shards;
    return { broker, shards, shardOf, topicId: await broker.id() };
  } catch (error) {
    await broker.close();
    throw error;
  }
}
