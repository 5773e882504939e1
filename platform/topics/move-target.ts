import { type MoveTarget, openForMove } from './kafka-logs.ts';
import { manifestsIn, removeManifests, type TopicPlace } from './stores.ts';
import type { KafkaTopicLog } from './topic-log.ts';

export { StoredManifests } from './manifests.ts';
export { manifestsIn, removeManifests } from './stores.ts';
export type { MoveTarget };

/** Opens the topic of Kafka that a log is moved to. Creates it if it does not exist. @throws BrokerError, TopicUnsafe */
export async function openMoveTarget(
  { folder, placement }: Pick<TopicPlace, 'folder' | 'placement'>,
  log: KafkaTopicLog,
): Promise<MoveTarget> {
  const target = await openForMove(log, { manifests: manifestsIn(folder), placement });
  return { ...target, removeManifests: () => removeManifests(folder) };
}
