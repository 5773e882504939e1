import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'drizzle-orm';
import { TableConsumers } from './table-consumers.ts';
import { counted, describeOnEngines, replaced } from './table-tests.ts';

const GAP = { partition: 1, from: 3, to: 9, at: 5 };

describeOnEngines('consumer groups in tables', (under) => {
  const consumersOf = (topic = under.topic) => new TableConsumers(under.database, topic);

  test('the offsets and gaps of a group are stored until it is removed', async () => {
    const consumers = consumersOf();
    await consumers.recordGap('g', GAP);
    assert.deepEqual(await consumersOf().find('g'), { group: 'g', offsets: [], gaps: [GAP], beyondEnd: [] });
    await consumers.note('g', [1, 2 ** 40]);
    assert.deepEqual(await consumersOf().find('g'), { group: 'g', offsets: [1, 2 ** 40], gaps: [GAP], beyondEnd: [] });
    assert.equal(await consumers.find('other'), undefined);
    await consumers.remove('g');
    assert.equal(await consumersOf().find('g'), undefined);
    await consumers.note('g', [1, 2 ** 40]);
    assert.deepEqual(await consumersOf().find('g'), { group: 'g', offsets: [1, 2 ** 40], gaps: [], beyondEnd: [] });
  });

  test('groups are listed in the order of the bytes of their names', async () => {
    const consumers = consumersOf();
    for (const group of ['b', 'a b', 'Z', 'a-b']) await consumers.note(group, []);
    assert.deepEqual(
      (await consumers.groups()).map(({ group }) => group),
      ['Z', 'a b', 'a-b', 'b'],
    );
  });

  test('unchanged offsets are not written again', async () => {
    const { drizzle, calls } = counted(under.database, 'insert');
    const consumers = new TableConsumers({ drizzle }, under.topic);
    for (const offsets of [[], [], [1, 2], [1, 2], [1, 3], [1, 3]]) await consumers.note('g', offsets);
    assert.equal(calls.count, 3);
    assert.deepEqual((await consumers.find('g'))?.offsets, [1, 3]);
    await consumers.note('g', [1, 3]);
    assert.equal(calls.count, 3);
  });

  test('the same offsets are written again when another process has removed the group', async () => {
    const consumers = consumersOf();
    await consumers.note('g', [7]);
    await consumersOf().remove('g');
    assert.equal(await consumers.find('g'), undefined);
    await consumers.note('g', [7]);
    assert.deepEqual((await consumersOf().find('g'))?.offsets, [7]);
  });

  test('offsets are written again after a write whose answer was lost', async () => {
    let isLossy = false;
    const consumers = new TableConsumers(
      replaced(under.database, 'insert', (insert) => {
        const call = (table: never) => {
          if (isLossy) throw new Error('connection lost');
          return insert.call(under.database.drizzle, table);
        };
        return call as typeof insert;
      }),
      under.topic,
    );
    await consumers.note('g', [1]);
    isLossy = true;
    await assert.rejects(consumers.note('g', [2]), /connection lost/);
    // The lost write.
    await consumersOf().note('g', [2]);
    isLossy = false;
    await consumers.note('g', [1]);
    assert.deepEqual((await consumersOf().find('g'))?.offsets, [1]);
    await consumers.note('g', [2]);
    assert.deepEqual((await consumersOf().find('g'))?.offsets, [2]);
  });

  test('of offsets that are noted at the same time, the newest are stored last', async () => {
    const consumers = consumersOf();
    for (let round = 1; round <= 5; round++) {
      await Promise.all(Array.from({ length: 20 }, (_none, index) => consumers.note('g', [round, index])));
      assert.deepEqual((await consumers.find('g'))?.offsets, [round, 19]);
    }
  });

  test('a group whose store is ahead of the log is registered with the ends of the log, until it is not ahead', async () => {
    const consumers = consumersOf();
    await consumers.noteBeyondEnd('g', [null, null]);
    assert.equal(await consumers.find('g'), undefined);
    await consumers.noteBeyondEnd('g', [null, 7]);
    assert.deepEqual(await consumersOf().find('g'), { group: 'g', offsets: [], gaps: [], beyondEnd: [null, 7] });
    await consumers.noteBeyondEnd('g', [3, 7]);
    await consumers.noteBeyondEnd('g', [3, 7]);
    await consumers.note('g', [9, 9]);
    await consumers.recordGap('g', GAP);
    assert.deepEqual(await consumersOf().find('g'), { group: 'g', offsets: [9, 9], gaps: [GAP], beyondEnd: [3, 7] });
    await consumers.noteBeyondEnd('g', [null, null]);
    assert.deepEqual(await consumersOf().find('g'), { group: 'g', offsets: [9, 9], gaps: [GAP], beyondEnd: [] });
  });

  test('gaps, offsets and ends that two processes store at the same time are all stored', async () => {
    const [one, other] = [consumersOf(), consumersOf()];
    const gaps = Array.from({ length: 40 }, (_none, from) => ({ ...GAP, from }));
    await Promise.all([
      ...gaps.map((gap, index) => (index % 2 ? one : other).recordGap('g', gap)),
      one.note('g', [4]),
      other.noteBeyondEnd('g', [6]),
    ]);
    const known = await one.find('g');
    assert.deepEqual(
      known?.gaps.toSorted((a, b) => a.from - b.from),
      gaps,
    );
    assert.deepEqual([known?.offsets, known?.beyondEnd], [[4], [6]]);
  });

  test('a group that is removed while a gap is recorded has its gap, or is not registered', async () => {
    const [one, other] = [consumersOf(), consumersOf()];
    for (let round = 0; round < 30; round++) {
      await one.note('g', [round]);
      await Promise.all([one.recordGap('g', GAP), other.remove('g')]);
      const { rows } = await under.database.drizzle.execute(sql`select from log_gaps where topic = ${under.topic}`);
      assert.equal(rows.length, (await one.find('g')) ? 1 : 0);
      await other.remove('g');
    }
  });

  test('the newest 100 gaps of each group are kept, in their order', async () => {
    const consumers = consumersOf();
    await consumers.recordGap('other', GAP);
    const gaps = Array.from({ length: 103 }, (_none, from) => ({ ...GAP, from }));
    for (const gap of gaps) await consumers.recordGap('g', gap);
    assert.deepEqual((await consumers.find('g'))?.gaps, gaps.slice(-100));
    assert.deepEqual((await consumers.find('other'))?.gaps, [GAP]);
  });

  test('the groups of another topic are other groups', async () => {
    const [consumers, elsewhere] = [consumersOf(), consumersOf(`${under.topic}-other`)];
    await consumers.note('g', [1]);
    await consumers.recordGap('g', GAP);
    await consumers.noteBeyondEnd('g', [1]);
    assert.deepEqual(await elsewhere.groups(), []);
    await elsewhere.note('g', [2]);
    await elsewhere.noteBeyondEnd('g', [null]);
    assert.deepEqual(await elsewhere.find('g'), { group: 'g', offsets: [2], gaps: [], beyondEnd: [] });
    for (let from = 0; from < 101; from++) await elsewhere.recordGap('g', { ...GAP, from });
    await elsewhere.remove('g');
    assert.deepEqual(await consumers.groups(), [{ group: 'g', offsets: [1], gaps: [GAP], beyondEnd: [1] }]);
  });
});
