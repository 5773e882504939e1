import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventBatch } from '@millrace/kernel';
import { TableDeadLetters } from './table-dead-letters.ts';
import { counted, describeOnEngines, replaced } from './table-tests.ts';

const batch = (zone: string, firstSeq: number, count: number): EventBatch => ({
  zone,
  epoch: 1,
  firstSeq,
  version: 1,
  time: 1_000,
  events: Array.from({ length: count }, (_none, index) => ({ type: 'Counted', number: firstSeq + index })),
  metas: null,
});
const DEAD_LETTER = { group: 'g', partition: 0, offset: 5, zone: 'zone/a', seq: 1, reason: 'no price', createdAt: 1 };

describeOnEngines('dead letters in tables', (under) => {
  const deadLettersOf = (topic = under.topic, max?: number) => new TableDeadLetters(under.database, topic, max);

  test('are stored with their reason until they are removed', async () => {
    const deadLetters = deadLettersOf();
    await deadLetters.put(DEAD_LETTER, batch('zone/a', 1, 1));
    await deadLetters.put({ ...DEAD_LETTER, group: 'other', resumeFrom: 0 }, batch('zone/a', 2, 1));
    const [first, second] = await deadLettersOf().list();
    assert.ok(first && second && second.id > first.id);
    assert.deepEqual(await deadLetters.list('g'), [{ id: first.id, ...DEAD_LETTER }]);
    assert.deepEqual(await deadLetters.list('other'), [{ id: second.id, ...DEAD_LETTER, group: 'other', resumeFrom: 0 }]);
    assert.equal(await deadLetters.count(), 2);
    assert.deepEqual((await deadLetters.open(first.id))?.batch, batch('zone/a', 1, 1));
    await deadLetters.replace(first.id, batch('zone/a', 1, 3));
    assert.deepEqual(await deadLetters.open(first.id), { deadLetter: first, batch: batch('zone/a', 1, 3) });
    const waits = async () => [
      await deadLetters.has('g', 'zone/a', 1),
      await deadLetters.has('g', 'zone/a', 2),
      await deadLetters.has('third', 'zone/a', 1),
    ];
    assert.deepEqual(await waits(), [true, false, false]);
    await deadLetters.remove(first.id);
    assert.equal(await deadLetters.open(first.id), undefined);
    assert.deepEqual(await waits(), [false, false, false]);
    assert.deepEqual(
      [
        await deadLetters.wasPut('g', 'zone/a', 1),
        await deadLetters.wasPut('g', 'zone/a', 9),
        await deadLetters.wasPut('elsewhere', 'zone/a', 1),
      ],
      [true, false, false],
      'it is remembered that it was put',
    );
    await deadLetters.replace(first.id, batch('zone/a', 1, 3));
    await deadLetters.remove(first.id);
  });

  test('of another zone or group are not taken for a removed one, and ids are not used again', async () => {
    const deadLetters = deadLettersOf();
    const letter = { ...DEAD_LETTER, seq: 7 };
    const ids: number[] = [];
    const removeAll = async () => {
      for (const { id } of await deadLetters.list()) {
        ids.push(id);
        await deadLetters.remove(id);
      }
    };
    for (const other of [{ zone: 'zone/b' }, { group: 'other' }]) {
      await deadLetters.put(letter, batch('zone/a', 7, 1));
      await removeAll();
      const next = { ...letter, ...other };
      await deadLetters.put(next, batch(next.zone, 7, 1));
      assert.equal(await deadLetters.has('g', 'zone/a', 7), false);
      assert.equal(await deadLetters.has(next.group, next.zone, 7), true);
      await removeAll();
    }
    assert.equal(new Set(ids).size, 4);
  });

  test('have their events unchanged', async () => {
    const deadLetters = deadLettersOf();
    const values = [null, undefined, 0, 0.1, -1e-300, 2 ** 32, 2 ** 53 - 1, Number.NaN, '', 'nul \0', '가격 😀', true, [[]], {}];
    const events = values.map((value) => ({ type: 'Put', value, nested: { value, list: [value] } }));
    const full = { ...batch('zone/a', 1, 0), events, metas: [null], lost: undefined } as EventBatch;
    await deadLetters.put(DEAD_LETTER, full);
    const [{ id } = { id: 0 }] = await deadLetters.list();
    assert.deepEqual((await deadLetters.open(id))?.batch, full);
  });

  test('are stored when the reason has a character that PostgreSQL does not have', async () => {
    const deadLetters = deadLettersOf();
    await deadLetters.put({ ...DEAD_LETTER, reason: 'unknown item "a\0b"' }, batch('zone/a', 1, 1));
    assert.equal((await deadLetters.list())[0]?.reason, 'unknown item "a\ufffdb"');
  });

  test('are refused above the maximum of the topic, and the events of a refused one were not put', async () => {
    const deadLetters = deadLettersOf(under.topic, 2);
    await deadLettersOf(`${under.topic}-other`).put(DEAD_LETTER, batch('zone/a', 1, 1));
    for (const [seq, group] of ['g', 'other'].entries()) await deadLetters.put({ ...DEAD_LETTER, group, seq }, batch('zone/a', seq, 1));
    await assert.rejects(deadLetters.put({ ...DEAD_LETTER, seq: 7 }, batch('zone/a', 7, 1)), {
      message: '2 dead letters wait, the maximum. Replay or delete some (GET /api/v1/dead-letters lists them).',
    });
    assert.deepEqual([await deadLetters.count(), await deadLetters.wasPut('g', 'zone/a', 7)], [2, false]);
    await deadLetters.remove((await deadLetters.list())[0]?.id ?? 0);
    await deadLetters.put({ ...DEAD_LETTER, seq: 7 }, batch('zone/a', 7, 1));
    assert.equal(await deadLetters.wasPut('g', 'zone/a', 7), true);
  });

  test('that several processes put at the same time keep to the maximum', async () => {
    const processes = Array.from({ length: 4 }, (_none, index) => ({ group: `g${index}`, deadLetters: deadLettersOf(under.topic, 10) }));
    const puts = processes.flatMap(({ group, deadLetters }) =>
      Array.from({ length: 5 }, (_none, seq) => deadLetters.put({ ...DEAD_LETTER, group, seq }, batch('zone/a', seq, 1))),
    );
    const results = await Promise.allSettled(puts);
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 10);
    assert.equal(await deadLettersOf().count(), 10);
  });

  test('of another topic are other dead letters', async () => {
    const [deadLetters, elsewhere] = [deadLettersOf(), deadLettersOf(`${under.topic}-other`)];
    await deadLetters.put(DEAD_LETTER, batch('zone/a', 1, 1));
    const [{ id } = { id: 0 }] = await deadLetters.list();
    assert.deepEqual([await elsewhere.list(), await elsewhere.list('g'), await elsewhere.count()], [[], [], 0]);
    assert.deepEqual([await elsewhere.has('g', 'zone/a', 1), await elsewhere.wasPut('g', 'zone/a', 1)], [false, false]);
    assert.equal(await elsewhere.open(id), undefined);
    await elsewhere.replace(id, batch('zone/a', 1, 3));
    await elsewhere.remove(id);
    await elsewhere.prune([100]);
    assert.deepEqual(await deadLetters.open(id), { deadLetter: { id, ...DEAD_LETTER }, batch: batch('zone/a', 1, 1) });
    assert.equal(await deadLettersOf().wasPut('g', 'zone/a', 1), true);
  });

  test('wasPut knows every event of every batch, also after a restart, and asks the database once', async () => {
    const { drizzle, calls } = counted(under.database, 'select');
    const running = new TableDeadLetters({ drizzle }, under.topic);
    const seqsOf = async (deadLetters: TableDeadLetters, zone: string) => {
      const seqs: number[] = [];
      for (let seq = 1; seq <= 12; seq++) if (await deadLetters.wasPut('g', zone, seq)) seqs.push(seq);
      return seqs;
    };
    assert.deepEqual(await seqsOf(running, 'zone/a'), []);
    await running.put({ ...DEAD_LETTER, seq: 3 }, batch('zone/a', 3, 2));
    await running.put({ ...DEAD_LETTER, seq: 9 }, batch('zone/a', 9, 1));
    await running.put({ ...DEAD_LETTER, seq: 9 }, batch('zone/a', 9, 1));
    await running.put({ ...DEAD_LETTER, zone: 'zone/b' }, batch('zone/b', 1, 1));
    assert.deepEqual(await seqsOf(running, 'zone/a'), [3, 4, 9]);
    assert.equal(calls.count, 1);
    assert.deepEqual(await seqsOf(deadLettersOf(), 'zone/a'), [3, 4, 9]);
    assert.deepEqual(await seqsOf(deadLettersOf(), 'zone/b'), [1]);
  });

  test('wasPut knows an event that is put while the database is asked', async () => {
    const deadLetters = deadLettersOf();
    const asked = deadLetters.wasPut('g', 'zone/a', 1);
    await deadLetters.put(DEAD_LETTER, batch('zone/a', 1, 1));
    await asked;
    assert.equal(await deadLetters.wasPut('g', 'zone/a', 1), true);
  });

  test('wasPut asks again after an error', async () => {
    await deadLettersOf().put(DEAD_LETTER, batch('zone/a', 1, 1));
    let isDown = true;
    const failing = replaced(under.database, 'select', (select) => {
      const call = (fields: never) => {
        if (isDown) throw new Error('the database is down');
        return select.call(under.database.drizzle, fields);
      };
      return call as typeof select;
    });
    const deadLetters = new TableDeadLetters(failing, under.topic);
    await assert.rejects(deadLetters.wasPut('g', 'zone/a', 1), /is down/);
    isDown = false;
    assert.equal(await deadLetters.wasPut('g', 'zone/a', 1), true);
  });

  test('wasPut knows an event whose put was committed although its answer was lost', async () => {
    const lossy = replaced(under.database, 'transaction', (transaction) => {
      const call = async (work: never) => {
        await transaction.call(under.database.drizzle, work);
        throw new Error('connection lost');
      };
      return call as typeof transaction;
    });
    const deadLetters = new TableDeadLetters(lossy, under.topic);
    assert.equal(await deadLetters.wasPut('g', 'zone/a', 1), false);
    await assert.rejects(deadLetters.put(DEAD_LETTER, batch('zone/a', 1, 1)), /connection lost/);
    assert.equal(await deadLetters.wasPut('g', 'zone/a', 1), true);
  });

  test('wasPut forgets events that retention has deleted, those before the start of their partition', async () => {
    const deadLetters = deadLettersOf();
    for (const partition of [0, 1, 2]) {
      const zone = `zone/${partition}`;
      for (const offset of [4, 5]) await deadLetters.put({ ...DEAD_LETTER, zone, partition, offset }, batch(zone, offset * 10, 3));
    }
    const known = async (of: TableDeadLetters) => {
      const found: string[] = [];
      for (const partition of [0, 1, 2])
        for (const seq of [40, 42, 50, 52]) if (await of.wasPut('g', `zone/${partition}`, seq)) found.push(`${partition} ${seq}`);
      return found;
    };
    const all = ['0 40', '0 42', '0 50', '0 52', '1 40', '1 42', '1 50', '1 52', '2 40', '2 42', '2 50', '2 52'];
    assert.deepEqual(await known(deadLetters), all);
    await deadLetters.prune([]);
    await deadLetters.prune([4, 0]);
    assert.deepEqual(await known(deadLetters), all);
    await deadLetters.prune([5, 6]);
    const kept = ['0 50', '0 52', '2 40', '2 42', '2 50', '2 52'];
    assert.deepEqual([await known(deadLetters), await known(deadLettersOf())], [kept, kept]);
    assert.equal(await deadLetters.count(), 6);
    await deadLetters.put({ ...DEAD_LETTER, zone: 'zone/1', partition: 1, offset: 7 }, batch('zone/1', 40, 1));
    assert.deepEqual(await known(deadLetters), [...kept.slice(0, 2), '1 40', ...kept.slice(2)]);
  });

  test('an event that is put again has the newer offset', async () => {
    const deadLetters = deadLettersOf();
    for (const offset of [5, 9]) await deadLetters.put({ ...DEAD_LETTER, offset }, batch('zone/a', 1, 1));
    await deadLetters.prune([9]);
    assert.equal(await deadLettersOf().wasPut('g', 'zone/a', 1), true);
  });
});
