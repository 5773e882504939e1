import { randomUUID } from 'node:crypto';
import { systemClock } from '@millrace/base/clock';
import { seedOf } from '@millrace/base/random';
import type { Database } from '@millrace/database';
import { KafkaJournal, KafkaLog, openKafkaTopic, requireNoRecords, type ShardManifests, type TopicBroker } from '@millrace/kafka';
import type { CopyTarget } from '@millrace/kafka/move';
import { TableConsumers, TableCursors, TableDeadLetters, TableGroups } from '@millrace/kafka/tables';
import type { SnapshotStore, ZoneAddress } from '@millrace/kernel';
import { LeasedMembership, type ShardPlacement } from '@millrace/log';
import { StoredManifests } from './manifests.ts';
import type { KafkaTopicLog } from './topic-log.ts';

interface LogParts {
  /** Store of the manifests. */
  readonly manifests: SnapshotStore;
  readonly placement: ShardPlacement | undefined;
}

/** The topic of Kafka that the log of a topic is moved to. */
export interface MoveTarget extends CopyTarget {
  readonly broker: TopicBroker;
  readonly topicId: string;
  /** The manifests of its shards, in the folder of the topic. */
  readonly manifests: ShardManifests;
  close(): Promise<void>;
}

/** Opens a topic of Kafka as the event log. Creates it if it does not exist. @throws BrokerError, TopicUnsafe */
export async function openKafkaLog(
  log: KafkaTopicLog,
  { manifests, placement, database }: LogParts & { readonly database: Pick<Database, 'drizzle'> },
): Promise<KafkaLog> {
  const { topic } = log;
  const opened = await open(log, placement);
  return KafkaLog.open({
    ...opened,
    clock: systemClock,
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

/** Opens a topic of Kafka for a process with zones. @throws BrokerError, TopicUnsafe */
export async function openKafkaJournal(
  log: KafkaTopicLog,
  { manifests, placement }: LogParts,
): Promise<{ readonly journal: KafkaJournal; readonly close: () => Promise<void> }> {
  const opened = await open(log, placement);
  const journal = new KafkaJournal({ ...opened, clock: systemClock, manifests: new StoredManifests(manifests, systemClock) });
  return { journal, close: () => opened.broker.close() };
}

/** Opens a topic of Kafka that a log is moved to. @throws BrokerError, TopicUnsafe */
export async function openForMove(log: KafkaTopicLog, { manifests, placement }: LogParts): Promise<MoveTarget> {
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
