import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@millrace/base/user-error';
import type { Settings } from '@millrace/config';
import { messageOf } from '@millrace/kernel';
import { EMBEDDED, STORE_FOLDERS, type Topic, type TopicLog, type TopicPlace } from '@millrace/topics';
import { readMoveState } from './move/move-state.ts';

/**
 * Where the log of a topic is, by the configuration.
 * @param shards number of shards that the topic needs; default: that of the configuration
 * @throws UserError when a file that the configuration names cannot be read
 */
export function topicLogOf({ log }: Settings, topic: string, shards: number = log.shards): TopicLog {
  const { engine, brokers, topicPrefix, replicas, tls, sasl } = log;
  if (engine === 'lmdb') return EMBEDDED;
  return {
    engine,
    topic: `${topicPrefix}${topic}`,
    shards,
    replicas,
    connection: {
      brokers,
      clientId: 'millrace',
      ...(tls && { tls: tls.caFile === undefined ? {} : { ca: contentOf(tls.caFile, 'log.tls.caFile') } }),
      ...(sasl && {
        sasl: {
          mechanism: sasl.mechanism ?? 'SCRAM-SHA-512',
          username: sasl.username,
          password: contentOf(sasl.passwordFile, 'log.sasl.passwordFile').trim(),
        },
      }),
    },
  };
}

/** What the operator can correct, as UserError; any other error as it is. */
export function asUserError(name: string, log: TopicLog, error: unknown): unknown {
  if (log.engine === 'lmdb' || !(error instanceof Error)) return error;
  const isUnsafe = error.name === 'TopicUnsafe';
  if (!isUnsafe && error.name !== 'BrokerError') return error;
  return new UserError(
    isUnsafe ? error.message : `the log of the topic "${name}" cannot be opened: ${error.message}`,
    isUnsafe
      ? 'Change the topic in Kafka, or use another log.topicPrefix.'
      : `Check that the brokers ${log.connection.brokers.join(', ')} run and can be reached, and log.tls and log.sasl.`,
  );
}

function contentOf(path: string, key: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UserError(`${key}: ${path} cannot be read: ${messageOf(error)}`, 'Correct the path, or the permissions of the file.');
  }
}

/** This file in the folder of a topic tells that its log is in Kafka: name and id of the topic there. */
const MARKER = 'log-in-kafka';

/**
 * Refuses a topic whose events are in the log of another engine, or in another topic of Kafka: its zones would begin anew.
 * @returns the id of its topic in Kafka; undefined for a new one, and for an embedded log
 * @throws UserError
 */
export function requireEngine(name: string, { folder, log }: Pick<TopicPlace, 'folder' | 'log'>): string | undefined {
  const marker = join(folder, MARKER);
  const [known, id] = existsSync(marker) ? readFileSync(marker, 'utf8').trim().split('\n') : [];
  if (log.engine === 'lmdb') {
    if (known === undefined) {
      requireNotMoving(name, folder);
      return undefined;
    }
    throw new UserError(
      `the log of the topic "${name}" in ${folder} is the topic "${known}" in Kafka, but log.engine is "lmdb"`,
      'Set log.engine to "kafka", or choose another data folder with --data.',
    );
  }
  if (known !== undefined && known !== log.topic)
    throw new UserError(
      `the log of the topic "${name}" in ${folder} is the topic "${known}" in Kafka, but the configuration names "${log.topic}"`,
      'Set log.topicPrefix back, or choose another data folder with --data.',
    );
  if (known === undefined && existsSync(join(folder, STORE_FOLDERS.log, 'data.mdb')))
    throw new UserError(
      `the log of the topic "${name}" in ${folder} is in files of the engine "lmdb", but log.engine is "kafka"`,
      '"millrace migrate --to kafka" moves it. Or set log.engine to "lmdb", or choose another data folder with --data.',
    );
  return id;
}

/** @throws UserError when a move has begun to write the offsets of Kafka */
function requireNotMoving(name: string, folder: string): void {
  if (!readMoveState(folder)?.plan) return;
  throw new UserError(
    `the move of the log of the topic "${name}" in ${folder} to Kafka was interrupted, and its consumer groups may have offsets of either log`,
    'Finish it: set log.engine to "kafka" and run "millrace migrate --to kafka" again.',
  );
}

/** Notes in the folder of a topic that its log is in Kafka now. Call it when the topic is open. */
export function noteEngine({ place: { folder, log }, log: opened }: Pick<Topic, 'place' | 'log'>): void {
  const id = opened.stats().brokers?.topicId;
  if (log.engine === 'kafka' && id !== undefined) noteInKafka(folder, log.topic, id);
}

export function noteInKafka(folder: string, topic: string, id: string): void {
  const path = join(folder, MARKER);
  writeFileSync(`${path}.new`, `${topic}\n${id}\n`);
  renameSync(`${path}.new`, path);
}

/** Whether the log of the topic in this folder is in Kafka. */
export function isInKafka(folder: string): boolean {
  return existsSync(join(folder, MARKER));
}
