import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@millrace/base/user-error';
import { type Database, offsetsOf } from '@millrace/database';
import { requireNoRecords } from '@millrace/kafka';
import { type CopiedPlaces, compareLogs, copyLog, surveyLog } from '@millrace/kafka/move';
import { TableCursors } from '@millrace/kafka/tables';
import { openSpools, openStoredLog, type StoredLog } from '@millrace/log';
import { EMBEDDED, type KafkaTopicLog, openTopic, STORE_FOLDERS } from '@millrace/topics';
import { type MoveTarget, openMoveTarget } from '@millrace/topics/move-target';
import { type MovePlan, type MoveState, readMoveState, writeMoveState } from './move-state.ts';
import { type GroupOffsets, movePlan, wantedPlaces } from './moved-offsets.ts';
import type { MoveParts, MovingTopic } from './moving-topic.ts';

/** Time that the log may take to record what is on the spools, ms: it is on this machine, so it takes them at once or has a problem. */
const SPOOL_MS_MAX = 60_000;
const PROGRESS_MS = 5_000;

export type PlannedMove = MoveState & { readonly plan: MovePlan };

/**
 * Copies the events of a topic to Kafka and compares them. It continues a copy that was interrupted, and changes nothing that a server on LMDB uses: the
 * topic of Kafka, the places where its owners and groups begin to read, and how far the move is.
 * @returns what is to be written to the stores
 * @throws UserError for what the operator can correct; BrokerError, TopicUnsafe
 */
export async function copyTopic(topic: MovingTopic, parts: MoveParts): Promise<PlannedMove> {
  const { openTarget = openMoveTarget } = parts;
  await writeSpools(topic, parts);
  const from = openStoredLog(join(topic.folder, STORE_FOLDERS.log));
  try {
    const target = await openTarget(topic, logFor(topic, from));
    try {
      return await copied(topic, parts, from, target);
    } finally {
      await target.close();
    }
  } finally {
    await from.close();
  }
}

/** Writes to the log what hosts have left on their spools. @throws UserError when that is not possible */
async function writeSpools({ name, folder, placement }: MovingTopic, { spoolMiB, logger }: MoveParts): Promise<void> {
  const random = () => {
    throw new Error('no zone is opened during a move');
  };
  const topic = await openTopic(name, { folder, log: EMBEDDED, placement }, [], { spoolMiB, random, logger });
  try {
    const end = AbortSignal.timeout(SPOOL_MS_MAX);
    await Promise.race([topic.host.recorded(), new Promise<void>((resolve) => end.addEventListener('abort', () => resolve()))]);
  } finally {
    await topic.closeHost();
    await topic.close();
  }
  const spool = join(folder, 'spool');
  if (existsSync(spool) && openSpools(spool, { bytesMax: 0, writesLeft: true }).left().length > 0)
    throw new UserError(
      `events of the topic "${name}" are on the spool in ${spool}, and the log does not take them`,
      'Start the server with log.engine "lmdb" until its health check "log" is well, and stop it again.',
    );
}

/** The topic of Kafka, with a shard for each zone that the log has. */
function logFor({ log, placement }: MovingTopic, from: StoredLog): KafkaTopicLog {
  if (!placement) return log;
  const shards = [...from.heads.keys()].reduce((most, zone) => Math.max(most, placement.shardOf(zone) + 1), log.shards);
  return { ...log, shards };
}

async function copied(topic: MovingTopic, parts: MoveParts, from: StoredLog, target: MoveTarget): Promise<PlannedMove> {
  const { name, folder, log } = topic;
  const { print } = parts;
  const known = readMoveState(folder);
  const { topicId, shards } = target;
  const state: MoveState = { topic: log.topic, topicId, shards, starts: from.partitions.map(({ start }) => start) };
  if (known?.topicId === topicId) requireSameStarts(known, state);
  else {
    await requireEmpty(target, log.topic);
    // Of another topic: a move that was given up has saved them.
    await target.removeManifests();
  }
  writeMoveState(folder, state);
  const reports = (total: number, work: string) => progress(total, (share) => print(`${name}: ${work} ${share}`));
  const offsets = from.partitions.reduce((sum, { start, end }) => sum + end - start, 0);
  const survey = await surveyLog(from, target.shardOf, reports(offsets, 'read'));
  const groups = await groupOffsets(parts, from);
  const wanted = wantedPlaces(from, groups, survey);
  const ends = await copyLog(from, target, survey, reports(survey.events, 'copied'));
  const places = await compareLogs(from, target, survey, wanted, { ends, onProgress: reports(survey.events, 'compared') });
  await savePlaces(parts.database, state, target, places);
  print(
    `${name}: ${survey.events.toLocaleString('en')} events are in ${shards} shards of the topic ${log.topic}, and equal to those of the log`,
  );
  return { ...state, plan: movePlan(from, groups, survey, places, shards) };
}

/** @returns function that takes numbers of events, and reports the share every few seconds */
function progress(total: number, report: (share: string) => void): (events: number) => void {
  let done = 0;
  let reportedAt = performance.now();
  return (events) => {
    done += events;
    if (performance.now() - reportedAt < PROGRESS_MS) return;
    reportedAt = performance.now();
    report(`${done.toLocaleString('en')} of ${total.toLocaleString('en')} events`);
  };
}

/** @throws UserError when retention has deleted events since the move began: the topic has them */
function requireSameStarts(known: MoveState, { starts, topic }: MoveState): void {
  if (String(known.starts) === String(starts)) return;
  throw new UserError(
    `the server ran since the move to the topic "${topic}" began, and has deleted old events`,
    'Delete that topic in Kafka, and run the move again.',
  );
}

/** @throws UserError when the topic has records that no move of this log has written; BrokerError when that cannot be known */
async function requireEmpty({ broker }: MoveTarget, topic: string): Promise<void> {
  await requireNoRecords(broker, topic).catch((error: Error) => {
    if (error.name !== 'TopicInUse') throw error;
    throw new UserError(
      `${error.message} that are not of a move of this data folder`,
      'Delete the topic in Kafka, or set another log.topicPrefix.',
    );
  });
}

/** The consumer groups of the log, with the offsets in their stores. */
async function groupOffsets({ database, series }: Pick<MoveParts, 'database' | 'series'>, { groups }: StoredLog): Promise<GroupOffsets[]> {
  const orNull = (offsets: ReadonlyMap<number, number>) => (offsets.size > 0 ? offsets : null);
  return Promise.all(
    groups.map(async (known) => ({
      ...known,
      table: orNull(await offsetsOf(database, known.group)),
      series: orNull(await series.offsets(known.group)),
    })),
  );
}

/** Saves what makes the first start fast: where owners and consumer groups begin to read. */
async function savePlaces(
  database: Database,
  { topic, topicId }: MoveState,
  { manifests }: MoveTarget,
  places: CopiedPlaces,
): Promise<void> {
  for (const [shard, manifest] of places.manifests.entries()) await manifests.save(shard, manifest);
  const cursors = new TableCursors(database, `${topic}/${topicId}`);
  for (const found of places.ends)
    for (const ofShards of found.values()) for (const [shard, cursor] of ofShards) await cursors.save(shard, [cursor]);
}
