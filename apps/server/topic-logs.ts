import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeDurably } from '@millrace/base/durable-file';
import { UserError } from '@millrace/base/user-error';
import type { Settings } from '@millrace/config';
import { messageOf } from '@millrace/kernel';
import { createTopicInKafka, EMBEDDED, STORE_FOLDERS, type Topic, type TopicLog, type TopicPlace } from '@millrace/topics';
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
  if (!(error instanceof Error)) return error;
  if ((error as { code?: unknown }).code === 'ENOSPC' || /no space left on device/i.test(error.message))
    return new UserError(`the disk is full: ${error.message}`, 'Free space on the disk of the data folder, and run the command again.');
  if (log.engine === 'lmdb') return error;
  if (error.name === 'TooLarge') return new UserError(error.message, 'Keep log.engine "lmdb" for this installation.');
  if (error.name === 'TopicLost')
    return new UserError(
      error.message,
      'Name the brokers of its cluster, or restore the topic there; else restore the data folder and the database from one backup.',
    );
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

/** What the data folder knows of the topic in Kafka of a topic. */
interface KnownTopic {
  readonly name: string;
  /** Missing where an operator, or an earlier version, has noted the name only. */
  readonly id?: string | undefined;
}

function knownTopic(folder: string): KnownTopic | null {
  const marker = join(folder, MARKER);
  if (!existsSync(marker)) return null;
  const [name = '', id] = readFileSync(marker, 'utf8').trim().split('\n');
  if (name === '')
    throw new UserError(
      `the file ${marker} is empty`,
      'Restore it from a backup, or write the name of the topic in Kafka that is the log of this folder into it.',
    );
  return { name, id };
}

/**
 * Finds the log of a topic, and notes in its folder which topic in Kafka it is, before anything is written to that.
 * @throws UserError when its events are in the log of another engine, or in another topic of Kafka, or when the folder is new and the topic in Kafka has
 * records: its zones would begin anew, or lack their snapshots
 * @throws BrokerError, TopicUnsafe
 */
export async function boundLog(
  name: string,
  { folder, log, placement }: Pick<TopicPlace, 'folder' | 'log' | 'placement'>,
): Promise<TopicLog> {
  requireEngine(name, { folder, log });
  const known = knownTopic(folder);
  if (log.engine === 'lmdb') return log;
  if (known) return known.id === undefined ? log : { ...log, id: known.id };
  const id = await createTopicInKafka(folder, log, placement).catch((error: Error) => {
    if (error.name !== 'TopicInUse') throw error;
    throw new UserError(
      `${error.message}, but the data folder ${folder} is new: the topic belongs to another installation, or to a data folder that was lost`,
      `Choose another log.topicPrefix; or restore the data folder from its backup. To take the topic over, write its name into the file ${join(folder, MARKER)}, see "The log in Kafka".`,
    );
  });
  mkdirSync(folder, { recursive: true });
  noteInKafka(folder, log.topic, id);
  return { ...log, id };
}

/** @throws UserError when the log of a topic was another one so far */
export function requireEngine(name: string, { folder, log }: Pick<TopicPlace, 'folder' | 'log'>): void {
  const known = knownTopic(folder);
  if (known === null) requireNotMoving(name, folder);
  if (log.engine === 'lmdb') {
    if (known === null) return;
    throw new UserError(
      `the log of the topic "${name}" in ${folder} is the topic "${known.name}" in Kafka, but log.engine is "lmdb"`,
      'Set log.engine to "kafka", or choose another data folder with --data.',
    );
  }
  if (known !== null) requireTopic(name, folder, known.name, log.topic);
  if (known === null && existsSync(join(folder, STORE_FOLDERS.log, 'data.mdb')))
    throw new UserError(
      `the log of the topic "${name}" in ${folder} is in files of the engine "lmdb", but log.engine is "kafka"`,
      '"millrace migrate --to kafka" moves it. Or set log.engine to "lmdb", or choose another data folder with --data.',
    );
}

/** @throws UserError when the log of a topic is another topic in Kafka than that of the configuration */
export function requireTopic(name: string, folder: string, known: string, configured: string): void {
  if (known === configured) return;
  throw new UserError(
    `the log of the topic "${name}" in ${folder} is the topic "${known}" in Kafka, but the configuration names "${configured}"`,
    'Set log.topicPrefix back, or choose another data folder with --data.',
  );
}

/** @throws UserError when a move has begun to write the offsets of Kafka */
function requireNotMoving(name: string, folder: string): void {
  if (!readMoveState(folder)?.plan) return;
  throw new UserError(
    `the move of the log of the topic "${name}" in ${folder} to Kafka was interrupted, and its consumer groups may have offsets of either log`,
    'Finish it: set log.engine to "kafka" and run "millrace migrate --to kafka" again.',
  );
}

/** Notes the id of the topic in Kafka of an open topic, if only its name is known. */
export function noteId({ place: { folder, log }, log: opened }: Pick<Topic, 'place' | 'log'>): void {
  const id = opened.stats().brokers?.topicId;
  if (log.engine === 'kafka' && log.id === undefined && id !== undefined) noteInKafka(folder, log.topic, id);
}

/** Notes in the folder of a topic that its log is in Kafka now. */
export function noteInKafka(folder: string, topic: string, id: string): void {
  writeDurably(join(folder, MARKER), `${topic}\n${id}\n`);
}

/** Whether the log of the topic in this folder is in Kafka. @throws UserError when the file that tells so is empty */
export function isInKafka(folder: string): boolean {
  return knownTopic(folder) !== null;
}
