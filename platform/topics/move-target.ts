import { type MoveTarget, openForMove } from './kafka-logs.ts';
import { manifestsIn, type TopicPlace } from './stores.ts';
import type { KafkaTopicLog } from './topic-log.ts';

export type { MoveTarget };

/** Opens the topic of Kafka that a log is moved to. Creates it if it does not exist. @throws BrokerError, TopicUnsafe */
export async function openMoveTarget(
  { folder, placement }: Pick<TopicPlace, 'folder' | 'placement'>,
  log: KafkaTopicLog,
): Promise<MoveTarget> {
  return openForMove(log, { manifests: manifestsIn(folder), placement });
}
