import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@millrace/base/user-error';
import { type Database, offsetsOf, saveOffsets } from '@millrace/database';
import { requireNoRecords } from '@millrace/kafka';
import { type CopiedPlaces, compareLogs, copyLog, surveyLog } from '@millrace/kafka/move';
import { replaceConsumers, TableCursors } from '@millrace/kafka/tables';
import { openSpools, openStoredLog, type ReadRange, type ShardPlacement, type StoredLog } from '@millrace/log';
import type { SeriesStore } from '@millrace/series';
import { EMBEDDED, type KafkaTopicLog, openTopic, STORE_FOLDERS, type TopicOptions } from '@millrace/topics';
import { type MoveTarget, openMoveTarget } from '@millrace/topics/move-target';
import { isInKafka, noteInKafka } from '../topic-logs.ts';
import { type MovePlan, type MoveState, readMoveState, removeMoveState, writeMoveState } from './move-state.ts';
import { movePlan, type StoredGroup, wantedPlaces } from './moved-offsets.ts';

const SPOOL_MS_MAX = 60_000;
const PROGRESS_MS = 5_000;

/** A topic whose log is moved, and the stores that have offsets of it. */
export interface MovingTopic {
  readonly name: string;
  readonly folder: string;
  readonly placement: ShardPlacement | undefined;
  /** The topic of Kafka, by the configuration. */
  readonly log: KafkaTopicLog;
  readonly database: Database;
  readonly series: SeriesStore;
  readonly spoolMiB: number;
  readonly logger: TopicOptions['logger'];
  readonly print: (line: string) => void;
  /** Opens the topic of Kafka. */
  readonly openTarget?: typeof openMoveTarget;
}

/**
 * Moves the log of a topic from LMDB to Kafka. It can be interrupted at any moment, and run again: until all events are copied and compared, it changes
 * nothing but the topic of Kafka; and what it changes after that, it has written down before.
 * @returns false when there is nothing to move
 * @throws UserError for what the operator can correct; BrokerError, TopicUnsafe
 */
export async function moveTopic(moving: MovingTopic): Promise<boolean> {
  const { name, folder, print, openTarget = openMoveTarget } = moving;
  if (isInKafka(folder)) return setLogAside(moving);
  const logFolder = join(folder, STORE_FOLDERS.log);
  if (!existsSync(join(logFolder, 'data.mdb'))) return false;
  if (!readMoveState(folder)?.plan) await writeSpools(moving);
  const from = openStoredLog(logFolder);
  try {
    const target = await openTarget(moving, logFor(moving, from));
    try {
      const { plan, ...state } = await copied(moving, from, target);
      await writeToStores(moving, from, target, plan);
      noteInKafka(folder, state.topic, state.topicId);
      print(`${name}: ${from.groups.length} consumer groups and ${from.deadLetters.length} dead letters continue at the same events`);
    } finally {
      await target.close();
    }
  } finally {
    await from.close();
  }
  return setLogAside(moving);
}

/** Writes to the log what hosts have left on their spools. @throws UserError when that is not possible */
async function writeSpools({ name, folder, placement, spoolMiB, logger }: MovingTopic): Promise<void> {
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
  if (openSpools(join(folder, 'spool'), { bytesMax: 0, writesLeft: true }).left().length > 0)
    throw new UserError(
      `events of the topic "${name}" are on the spool in ${join(folder, 'spool')}, and the log does not take them`,
      'Start the server with log.engine "lmdb" until its health check "log" is well, and stop it again.',
    );
}

/** The topic of Kafka with a shard for each zone that the log has. A topic that was begun is opened again, unless nothing but the topic was changed. */
function logFor({ folder, log, placement }: MovingTopic, from: StoredLog): KafkaTopicLog {
  const shards = placement
    ? [...from.heads.keys()].reduce((most, zone) => Math.max(most, placement.shardOf(zone) + 1), log.shards)
    : log.shards;
  const state = readMoveState(folder);
  return { ...log, shards, ...(state?.plan && { id: state.topicId }) };
}

type CopiedState = MoveState & { readonly plan: MovePlan };

/** Copies and compares all events, and stores what is to be written to the stores. */
async function copied(moving: MovingTopic, from: StoredLog, target: MoveTarget): Promise<CopiedState> {
  const { name, folder, log, print } = moving;
  const known = readMoveState(folder);
  if (known?.plan) return { ...known, plan: known.plan };
  const starts = from.partitions.map(({ start }) => start);
  const state: MoveState = { topic: log.topic, topicId: target.topicId, starts };
  if (known?.topicId === target.topicId) requireSameStarts(known, state);
  else await requireEmpty(target, log.topic);
  await writeMoveState(folder, state);
  const survey = surveyLog(from, target.shardOf);
  const groups = await storedGroups(moving, from);
  const wanted = wantedPlaces(from, groups, survey);
  const report = (work: string) => progress(survey.events, (share) => print(`${name}: ${work} ${share}`));
  await copyLog(from, target, survey, report('copied'));
  const places = await compareLogs(from, target, survey, wanted, report('compared'));
  print(
    `${name}: ${survey.events.toLocaleString('en')} events are in ${target.shards} shards of the topic ${log.topic}, and equal to those of the log`,
  );
  await savePlaces(moving, target, places);
  const plan = movePlan(from, groups, survey, places, target.shards);
  await writeMoveState(folder, { ...state, plan });
  return { ...state, plan };
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
    throw new UserError(`${error.message} already`, 'Delete the topic, or set another log.topicPrefix.');
  });
}

/** The consumer groups of the log, with the offsets in their stores. */
async function storedGroups({ database, series }: MovingTopic, { groups }: StoredLog): Promise<StoredGroup[]> {
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
async function savePlaces({ database, log }: MovingTopic, { manifests, topicId }: MoveTarget, places: CopiedPlaces): Promise<void> {
  for (const [shard, manifest] of places.manifests.entries()) await manifests.save(shard, manifest);
  const cursors = new TableCursors(database, `${log.topic}/${topicId}`);
  for (const found of places.ends)
    for (const ofShards of found.values()) for (const [shard, cursor] of ofShards) await cursors.save(shard, [cursor]);
}

/** Writes the new offsets and places to all stores. */
async function writeToStores(
  { database, series, log }: MovingTopic,
  { deadLetters, deadEvents }: StoredLog,
  { shardOf }: MoveTarget,
  plan: MovePlan,
): Promise<void> {
  const places = plan.deadEvents.map((found) => new Map(found));
  const moved = <Place extends { readonly zone: string; readonly partition: number; readonly offset: number }>(place: Place): Place => ({
    ...place,
    partition: shardOf(place.zone),
    // Without one, retention had deleted the event.
    offset: places[place.partition]?.get(place.offset) ?? 0,
  });
  const tables = await Promise.all(
    plan.groups.map(async ({ group, table }) => ({ group, read: rangesTo(table, await offsetsOf(database, group)) })),
  );
  await database.drizzle.transaction(async (transaction) => {
    for (const { group, read } of tables) await saveOffsets(transaction, group, read);
    await replaceConsumers(transaction, log.topic, {
      groups: plan.groups.map(({ group, noted, gaps }) => ({ group, offsets: noted, gaps })),
      deadLetters: deadLetters.map(({ deadLetter, batch }) => ({ deadLetter: moved(deadLetter), batch })),
      deadEvents: deadEvents.map(moved),
    });
  });
  for (const { group, series: offsets } of plan.groups) {
    const read = rangesTo(offsets, await series.offsets(group));
    if (read.length > 0) await series.write({ candles: [], trades: [], readings: [] }, { group, read });
  }
}

/** What moves the offsets of a store from where they are. */
function rangesTo(offsets: readonly number[] | null, stored: ReadonlyMap<number, number>): ReadRange[] {
  return (offsets ?? []).map((next, partition) => ({ partition, from: stored.get(partition) ?? 0, next }));
}

/** Renames the log that was moved. @returns false when that was done before */
function setLogAside({ name, folder, print }: MovingTopic): boolean {
  if (!readMoveState(folder)) return false;
  const log = join(folder, STORE_FOLDERS.log);
  const isLeft = existsSync(log);
  if (isLeft) {
    const kept = `${log}.moved-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`;
    renameSync(log, kept);
    print(`${name}: the log in LMDB files is kept in ${kept}; remove it when you no longer need it`);
  }
  removeMoveState(folder);
  return isLeft;
}
