import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertWithinTime } from '@millrace/testing';
import fc from 'fast-check';
import type { Cursor } from '../reader-rule.ts';
import { TableCursors } from './table-cursors.ts';
import { describeOnEngines } from './table-tests.ts';

/** The cursor at an offset; all readers have the same one there. */
const cursorAt = (offset: number): Cursor => ({
  offset,
  epoch: offset % 7,
  nonce: offset ? `nonce, "${offset}"` : '',
  index: offset + 2 ** 40,
});

describeOnEngines('cursors in tables', (under) => {
  test('nearest gives what the sorted list of the cursors of the shard gives', async () => {
    const offset = fc.integer({ min: 0, max: 12 });
    const step = fc.record({
      topic: fc.constantFrom('a', 'b'),
      shard: fc.integer({ min: 0, max: 1 }),
      change: fc.oneof(fc.record({ save: fc.array(offset, { maxLength: 4 }) }), fc.record({ forgetBefore: offset })),
      asked: fc.integer({ min: 0, max: 13 }),
    });
    let runs = 0;
    await assertWithinTime(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
        const run = `${under.topic}-${runs++}`;
        const lists = new Map<string, readonly number[]>();
        for (const { topic, shard, change, asked } of steps) {
          const cursors = new TableCursors(under.database, `${run}-${topic}`);
          const key = `${topic} ${shard}`;
          const before = lists.get(key) ?? [];
          const list = 'save' in change ? [...new Set([...before, ...change.save])] : before.filter((one) => one >= change.forgetBefore);
          lists.set(key, list);
          await ('save' in change ? cursors.save(shard, change.save.map(cursorAt)) : cursors.forgetBefore(shard, change.forgetBefore));
          const nearest = list.toSorted((a, b) => a - b).findLast((one) => one <= asked);
          assert.deepEqual(await cursors.nearest(shard, asked), nearest === undefined ? null : cursorAt(nearest));
        }
      }),
      { numRuns: 100, ms: 8_000 },
    );
  });

  test('an offset keeps its first cursor, whichever process saves another', async () => {
    const [one, other] = [new TableCursors(under.database, under.topic), new TableCursors(under.database, under.topic)];
    const cursor = cursorAt(2 ** 40);
    await one.save(3, [cursor]);
    await other.save(3, [cursorAt(1), { ...cursor, epoch: 9 }, cursorAt(2 ** 41)]);
    assert.deepEqual(await one.nearest(3, 2 ** 41 - 1), cursor);
    assert.deepEqual(await one.nearest(3, 2 ** 50), cursorAt(2 ** 41));
    assert.deepEqual(await other.nearest(3, 2), cursorAt(1));
  });

  test('more cursors than a statement has parameters are saved at once', async () => {
    const cursors = new TableCursors(under.database, under.topic);
    await cursors.save(
      0,
      Array.from({ length: 20_000 }, (_none, offset) => cursorAt(offset)),
    );
    assert.deepEqual(await cursors.nearest(0, 1e9), cursorAt(19_999));
  });
});
