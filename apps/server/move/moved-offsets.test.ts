import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CopiedPlaces, LogSurvey } from '@millrace/kafka/move';
import { type GroupOffsets, movePlan, wantedPlaces } from './moved-offsets.ts';

const LOG = {
  partitions: [
    { start: 10, end: 50 },
    { start: 0, end: 7 },
  ],
  deadLetters: [],
  deadEvents: [],
};
const SURVEY: LogSurvey = {
  events: 47,
  shards: new Map([
    [0, { partition: 0, events: 40 }],
    [1, { partition: 1, events: 7 }],
    [2, { partition: 0, events: 0 }],
  ]),
  headsBefore: new Map(),
  holes: [],
};
const group = (offsets: readonly number[], stores: Partial<GroupOffsets> = {}): GroupOffsets => ({
  ...{ group: 'readers', gaps: [], beyondEnd: [], table: null, series: null, offsets },
  ...stores,
});
const cursor = (offset: number) => ({ offset, epoch: 1, nonce: 'n', index: 0 });

test('the places of all offsets that a group has in any store are wanted, except of those that retention has deleted', () => {
  const table = new Map([[0, 30]]);
  const { ends } = wantedPlaces(LOG, [group([20, 7], { table }), group([5, 0]), group([])], SURVEY);
  assert.deepEqual(
    ends.map((offsets) => [...offsets].sort()),
    [
      [20, 30],
      [0, 7],
    ],
  );
});

test('dead letters and dead events are looked up, unless retention has deleted them', () => {
  const deadEvents = [3, 12].map((offset) => ({ group: 'readers', zone: 'z/1', seq: offset, partition: 0, offset }));
  assert.deepEqual(
    wantedPlaces({ ...LOG, deadEvents }, [], SURVEY).events.map((offsets) => [...offsets]),
    [[12], []],
  );
});

test('a group that is ahead of the log, or has not passed a gap, is refused with the remedy', () => {
  const holes = [{ partition: 0, from: 20, to: 25 }];
  assert.throws(() => wantedPlaces(LOG, [group([51, 0])], SURVEY), {
    message: /readers has partition 0 up to offset 50, but the log that it read ended at 49/,
  });
  // The log has grown since.
  assert.throws(() => wantedPlaces(LOG, [group([31, 0], { beyondEnd: [30, null] })], SURVEY), {
    message: /ended at 29/,
    remedy: /one backup/,
  });
  wantedPlaces(LOG, [group([30, 7], { beyondEnd: [30, null] })], SURVEY);
  for (const offset of [5, 20, 24])
    assert.throws(() => wantedPlaces(LOG, [group([offset, 0])], { ...SURVEY, holes }), {
      message: /has not passed a gap of partition 0/,
      remedy: /skip/,
    });
  wantedPlaces(LOG, [group([25, 0])], { ...SURVEY, holes });
});

test('offsets move to the places of the copy; what retention has deleted, to 0, and partitions that the topic does not have, too', () => {
  const places: CopiedPlaces = {
    ends: [
      new Map([
        [
          20,
          new Map([
            [0, cursor(8)],
            [2, cursor(3)],
          ]),
        ],
      ]),
      new Map([[7, new Map([[1, cursor(5)]])]]),
    ],
    events: [new Map([[12, 4]]), new Map()],
    manifests: [],
  };
  const groups = [group([20, 7], { series: new Map([[0, 20]]) }), group([9, 0]), group([])];
  const { groups: moved, deadEvents } = movePlan(LOG, groups, SURVEY, places, 4);
  assert.deepEqual(
    moved.map(({ committed, series }) => [committed, series]),
    [
      [
        [8, 5, 3, 0],
        [8, 0, 3, 0],
      ],
      [[0, 0, 0, 0], null],
      [[], null],
    ],
  );
  assert.deepEqual(deadEvents, [[[12, 4]], []]);
  assert.equal(movePlan(LOG, [group([20, 7], { table: new Map([[0, 20]]) })], SURVEY, places, 1).groups[0]?.table?.length, 2);
});
