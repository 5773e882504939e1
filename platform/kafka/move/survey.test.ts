import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LoggedBatch, StoredLog } from '@millrace/log';
import { surveyLog } from './survey.ts';

type Partition = readonly (readonly [offset: number, zone: string, firstSeq: number, count: number])[];

const logged = (partition: number, [offset, zone, firstSeq, count]: Partition[number]): LoggedBatch => ({
  ...{ partition, offset, next: offset + count },
  batch: {
    ...{ zone, epoch: 1, firstSeq, version: 1, time: 1, metas: null },
    events: Array.from({ length: count }, () => ({ type: 'Counted' })),
  },
});

/** A log with these batches, whose heads are their last events unless others are given. */
function logOf(partitions: readonly Partition[], heads: Readonly<Record<string, number>> = {}, ends: readonly number[] = []): StoredLog {
  const last = new Map<string, number>();
  for (const [, zone, firstSeq, count] of partitions.flat()) last.set(zone, firstSeq + count - 1);
  for (const [zone, seq] of Object.entries(heads)) last.set(zone, seq);
  return {
    partitionOf: (zone) =>
      Math.max(
        0,
        partitions.findIndex((batches) => batches.some(([, of]) => of === zone)),
      ),
    partitions: partitions.map((batches, partition) => {
      const [offset, , , count] = batches.at(-1) ?? [0, '', 0, 0];
      return { start: batches[0]?.[0] ?? 0, end: ends[partition] ?? offset + count };
    }),
    ...{ heads: last, epoch: 1, groups: [], deadLetters: [], deadEvents: [], close: async () => {} },
    batches: (partition) => (partitions[partition] ?? []).map((batch) => logged(partition, batch)),
  };
}

const shardOf = (zone: string) => Number(zone.at(-1));

test('a survey has the heads before the oldest events, also of zones without events, and the events of each shard', async () => {
  const from = logOf(
    [
      [
        [5, 'z/1', 3, 2],
        [7, 'z/2', 1, 1],
        [8, 'z/1', 5, 1],
      ],
      [[0, 'z/3', 1, 4]],
    ],
    { 'z/4': 9 },
  );
  const { events, shards, headsBefore, holes } = await surveyLog(from, shardOf);
  assert.equal(events, 8);
  assert.deepEqual(
    [...shards],
    [
      [1, { partition: 0, events: 3 }],
      [2, { partition: 0, events: 1 }],
      [3, { partition: 1, events: 4 }],
      [4, { partition: 0, events: 0 }],
    ],
  );
  assert.deepEqual(Object.fromEntries(headsBefore), { 'z/1': 2, 'z/2': 0, 'z/3': 0, 'z/4': 9 });
  assert.deepEqual(holes, []);
});

test('offsets that a repair could not read are found, between records and at the end', async () => {
  const { holes } = await surveyLog(
    logOf(
      [
        [
          [0, 'z/1', 1, 2],
          [6, 'z/1', 3, 1],
        ],
      ],
      {},
      [9],
    ),
    shardOf,
  );
  assert.deepEqual(holes, [
    { partition: 0, from: 2, to: 6 },
    { partition: 0, from: 7, to: 9 },
  ]);
});

test('a log is refused with the remedy, if its zones cannot be copied', async () => {
  await assert.rejects(
    surveyLog(
      logOf([
        [
          [0, 'z/1', 1, 2],
          [6, 'z/1', 5, 1],
        ],
      ]),
      shardOf,
    ),
    /lacks the events 3 to 4 of z\/1/,
  );
  await assert.rejects(surveyLog(logOf([[[0, 'z/1', 1, 2]]], { 'z/1': 4 }), shardOf), /lacks the events 3 to 4 of z\/1/);
  await assert.rejects(surveyLog(logOf([[[0, 'z/1', 1, 1]], [[0, 'y/1', 1, 1]]]), shardOf), {
    message: /shard 1 would get zones of several partitions/,
    remedy: /multiple of 4/,
  });
});
