import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@millrace/base/user-error';
import { groupsWithOffsets } from '@millrace/database';
import { groupsInTables } from '@millrace/kafka/tables';
import { openStoredLog, PARTITIONS } from '@millrace/log';
import { STORE_FOLDERS } from '@millrace/topics';
import { asUserError, isInKafka, requireTopic } from '../topic-logs.ts';
import { copyTopic, type PlannedMove } from './copy-topic.ts';
import { finishMove, setLogAside } from './finish-move.ts';
import { readMoveState, writeMoveState } from './move-state.ts';
import type { MoveParts, MovingTopic } from './moving-topic.ts';

/**
 * Moves the logs of all topics from LMDB to Kafka. It can be interrupted at any moment, and run again: until all events of all topics are copied and
 * compared, it changes nothing that a server on LMDB uses; and what it changes after that, it has written down before.
 * @returns how many logs were moved, or had been before
 * @throws UserError for what the operator can correct
 */
export async function moveTopics(
  topics: readonly MovingTopic[],
  parts: MoveParts,
): Promise<{ readonly moved: number; readonly before: number }> {
  const pending = topics.filter(({ folder }) => !isInKafka(folder) && (hasLog(folder) || readMoveState(folder)?.plan));
  for (const topic of pending) requireMovable(topic);
  await requireRegistered(pending, parts);
  const moves: { readonly topic: MovingTopic; readonly planned: PlannedMove }[] = [];
  for (const topic of pending)
    moves.push({ topic, planned: plannedIn(topic.folder) ?? (await orUserError(topic, () => copyTopic(topic, parts))) });
  for (const { topic, planned } of moves) await orUserError(topic, async () => writeMoveState(topic.folder, planned));
  if (moves.length > 0)
    parts.print(
      'All events are in Kafka. Until the offsets of the consumer groups are written, too, the server starts with neither engine.',
    );
  for (const { topic, planned } of moves) await orUserError(topic, () => finishMove(topic, parts, planned));
  const before = topics.filter(({ folder }) => isInKafka(folder)).length - moves.length;
  // Of moves that were interrupted at their end.
  for (const topic of topics) if (isInKafka(topic.folder)) setLogAside(topic, parts.print);
  return { moved: moves.length, before };
}

function hasLog(folder: string): boolean {
  return existsSync(join(folder, STORE_FOLDERS.log, 'data.mdb'));
}

function plannedIn(folder: string): PlannedMove | null {
  const state = readMoveState(folder);
  return state?.plan ? { ...state, plan: state.plan } : null;
}

function orUserError<T>({ name, log }: MovingTopic, work: () => Promise<T>): Promise<T> {
  return work().catch((error) => Promise.reject(asUserError(name, log, error)));
}

/** What can be refused before anything is copied. @throws UserError */
function requireMovable({ name, folder, log, placement }: MovingTopic): void {
  const planned = plannedIn(folder);
  if (planned) requireTopic(name, folder, planned.topic, log.topic);
  if (!hasLog(folder))
    throw new UserError(
      `the move of the log of the topic "${name}" is not finished, but ${join(folder, STORE_FOLDERS.log)} has no log`,
      'Restore that folder, or the data folder and the database from one backup.',
    );
  if (!planned && !placement && log.shards % PARTITIONS !== 0)
    throw new UserError(
      `log.shards is ${log.shards}: a shard would get zones of several partitions of the present log, so the offsets of consumer groups could not be kept`,
      `Set it to a multiple of ${PARTITIONS}.`,
    );
}

/** @throws UserError when a store has offsets of a group that no log knows: they would not be moved */
async function requireRegistered(pending: readonly MovingTopic[], { database, series, isDatabaseShared }: MoveParts): Promise<void> {
  const known = new Set(await groupsInTables(database));
  for (const { folder } of pending) {
    const from = openStoredLog(join(folder, STORE_FOLDERS.log));
    for (const { group } of from.groups) known.add(group);
    await from.close();
  }
  // In a shared database, other groups may be those of other servers.
  const inTables = isDatabaseShared ? [] : await groupsWithOffsets(database);
  const unknown = [...inTables, ...(await series.groups())].filter((group) => !known.has(group));
  if (unknown.length === 0 || pending.length === 0) return;
  throw new UserError(
    `no log knows the consumer groups ${[...new Set(unknown)].join(', ')}, whose stores have offsets: a repair has lost them`,
    'Start the server with log.engine "lmdb", so that they register again, and stop it. Delete the offsets of groups that no longer exist.',
  );
}
