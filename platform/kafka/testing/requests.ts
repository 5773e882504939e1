import {
  AclOperations,
  AclPermissionTypes,
  createAclsV3,
  createTopicsV7,
  describeProducersV0,
  ResourcePatternTypes,
  ResourceTypes,
} from '@platformatic/kafka';
import type { KafkaBrokers } from '../kafka-brokers.ts';

/** Creates a topic as another program would. @param through an open topic of the cluster */
export async function createTopic(
  through: KafkaBrokers,
  name: string,
  { shards, replicas, settings }: { shards: number; replicas: number; settings: Readonly<Record<string, string>> },
): Promise<void> {
  const configs = Object.entries(settings).map(([setting, value]) => ({ name: setting, value }));
  const topic = { name, numPartitions: shards, replicationFactor: replicas, assignments: [], configs };
  await through.askController((connection) => createTopicsV7.api.async(connection, [topic], 10_000, false));
}

/** Allows a user all operations on a topic, as an administrator would. @param through an open topic of the cluster */
export async function allowUser(through: KafkaBrokers, user: string, topic: string): Promise<void> {
  const rule = {
    resourceType: ResourceTypes.TOPIC,
    resourceName: topic,
    resourcePatternType: ResourcePatternTypes.LITERAL,
    principal: `User:${user}`,
    host: '*',
    operation: AclOperations.ALL,
    permissionType: AclPermissionTypes.ALLOW,
  };
  await through.askController((connection) => createAclsV3.api.async(connection, [rule]));
}

/** Number of producers that the leader of shard 0 remembers. */
export async function producersOf(topic: KafkaBrokers, name: string): Promise<number | undefined> {
  const partitions = [{ name, partitionIndexes: [0] }];
  const { topics } = await topic.askLeader(0, (connection) => describeProducersV0.api.async(connection, partitions));
  return topics[0]?.partitions[0]?.activeProducers.length;
}
