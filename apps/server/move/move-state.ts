import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { syncFolder, writeDurably } from '@millrace/base/durable-file';
import type { ConsumerGap } from '@millrace/log';

/** This file in the folder of a topic tells that its log is being moved to Kafka. */
const STATE = 'moving-to-kafka.json';

/** The offsets of a consumer group in the topic of Kafka, by shard, for each store that has offsets of the group; null for a store without. */
export interface PlannedGroup {
  readonly group: string;
  /** Those that the log has; empty while the group has committed none. */
  readonly committed: readonly number[];
  readonly table: readonly number[] | null;
  readonly series: readonly number[] | null;
  /** With partitions and offsets of the old log. */
  readonly gaps: readonly ConsumerGap[];
}

/** What is written to the stores once the events are copied. It holds the new values only, so that it can be written again and again. */
export interface MovePlan {
  readonly groups: readonly PlannedGroup[];
  /** By partition of the old log: offset of a dead letter or a dead event, and that of its record in Kafka. */
  readonly deadEvents: readonly (readonly (readonly [offset: number, at: number])[])[];
}

/** How far the move of the log of a topic is. */
export interface MoveState {
  /** Name and id of the topic in Kafka. */
  readonly topic: string;
  readonly topicId: string;
  readonly shards: number;
  /** Oldest offset of each partition when the move began. */
  readonly starts: readonly number[];
  /** Present once all events of all topics are copied and compared. From then on, the stores may have offsets of either log. */
  readonly plan?: MovePlan;
}

/** @returns null when the log of the topic is not being moved */
export function readMoveState(folder: string): MoveState | null {
  const path = join(folder, STATE);
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as MoveState) : null;
}

/** Stores the state, so that it survives a crash of the machine. */
export function writeMoveState(folder: string, state: MoveState): void {
  writeDurably(join(folder, STATE), JSON.stringify(state));
}

export function removeMoveState(folder: string): void {
  rmSync(join(folder, STATE), { force: true });
  syncFolder(folder);
}
