import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { offsetsOf, saveOffsets } from '@millrace/database';
import { replaceConsumers } from '@millrace/kafka/tables';
import { openStoredLog, type ReadRange, type StoredLog } from '@millrace/log';
import { STORE_FOLDERS } from '@millrace/topics';
import { type MoveTarget, openMoveTarget } from '@millrace/topics/move-target';
import { noteInKafka } from '../topic-logs.ts';
import type { PlannedMove } from './copy-topic.ts';
import { type MovePlan, readMoveState, removeMoveState } from './move-state.ts';
import type { MoveParts, MovingTopic } from './moving-topic.ts';

/** Writes what was planned to the stores; from then on the log of the topic is in Kafka. It can be interrupted anywhere, and called again. */
export async function finishMove(topic: MovingTopic, parts: MoveParts, { plan, ...state }: PlannedMove): Promise<void> {
  const { name, folder, log } = topic;
  const { print, openTarget = openMoveTarget } = parts;
  const from = openStoredLog(join(folder, STORE_FOLDERS.log));
  try {
    const target = await openTarget(topic, { ...log, id: state.topicId, shards: state.shards });
    try {
      await writeToStores(topic, parts, { from, target, plan });
    } finally {
      await target.close();
    }
    noteInKafka(folder, state.topic, state.topicId);
    print(`${name}: ${from.groups.length} consumer groups and ${from.deadLetters.length} dead letters continue at the same events`);
  } finally {
    await from.close();
  }
  setLogAside(topic, print);
}

interface Writes {
  readonly from: StoredLog;
  readonly target: MoveTarget;
  readonly plan: MovePlan;
}

/** Writes the new offsets and places to all stores. */
async function writeToStores({ log }: MovingTopic, { database, series }: MoveParts, { from, target, plan }: Writes): Promise<void> {
  const places = plan.deadEvents.map((found) => new Map(found));
  const moved = <Place extends { readonly zone: string; readonly partition: number; readonly offset: number }>(place: Place): Place => ({
    ...place,
    partition: target.shardOf(place.zone),
    // Without one, retention had deleted the event.
    offset: places[place.partition]?.get(place.offset) ?? 0,
  });
  const tables = await Promise.all(
    plan.groups.map(async ({ group, table }) => ({ group, read: rangesTo(table, await offsetsOf(database, group)) })),
  );
  await database.drizzle.transaction(async (transaction) => {
    for (const { group, read } of tables) await saveOffsets(transaction, group, read);
    await replaceConsumers(transaction, log.topic, {
      groups: plan.groups.map(({ group, committed, gaps }) => ({ group, offsets: committed, gaps })),
      deadLetters: from.deadLetters.map(({ deadLetter, batch }) => ({ deadLetter: moved(deadLetter), batch })),
      deadEvents: from.deadEvents.map(moved),
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
export function setLogAside({ name, folder }: MovingTopic, print: (line: string) => void): boolean {
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
