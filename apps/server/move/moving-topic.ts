import type { Database } from '@millrace/database';
import type { ShardPlacement } from '@millrace/log';
import type { SeriesStore } from '@millrace/series';
import type { KafkaTopicLog, TopicOptions } from '@millrace/topics';
import type { openMoveTarget } from '@millrace/topics/move-target';

/** A topic whose log is moved. */
export interface MovingTopic {
  readonly name: string;
  readonly folder: string;
  readonly placement: ShardPlacement | undefined;
  /** The topic of Kafka, by the configuration. */
  readonly log: KafkaTopicLog;
}

/** What the move of all topics needs: the stores that have offsets of consumer groups, and how it tells what it does. */
export interface MoveParts {
  readonly database: Database;
  readonly series: SeriesStore;
  /** Whether other servers may have the offsets of their groups in the same database. */
  readonly isDatabaseShared: boolean;
  readonly spoolMiB: number;
  readonly logger: TopicOptions['logger'];
  readonly print: (line: string) => void;
  /** Opens the topic of Kafka. */
  readonly openTarget?: typeof openMoveTarget;
}
