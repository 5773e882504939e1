import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connectDatabase, type Database, migrateDatabase, offsetsOf } from '@millrace/database';
import { EMPTY, ENGINES, type TestDatabase } from '@millrace/database/testing';
import fc from 'fast-check';
import { type History, histories, shardOf, ZONES } from './moved-history.ts';
import { type Interruption, MovedTopic, type Written } from './moved-topic.ts';

/*
 * The whole move of topics: their events, the offsets of their consumer groups in each store, and their dead letters; on simulated brokers and real stores. It
 * is interrupted between any two calls of brokers and stores.
 */

const COPIED = /are in \d+ shards/;
const PLANNED = /starts with neither engine/;

function historyOf(
  batches: readonly (readonly [zone: number, events: number])[],
  change: Partial<History['rounds'][number]> = {},
): History {
  return {
    rounds: [
      { batches: batches.map(([zone, events]) => ({ zone, events, isLoss: false })), reads: [], isCut: false, isClaimed: false, ...change },
    ],
  };
}
const ALL_READ = [0, 1].map((group) => ({ group, batches: 40 }));
const TEN = Array.from({ length: 10 }, () => [0, 2] as const);

describe('the move of topics', () => {
  let running: TestDatabase;
  let database: Database;
  let runs = 0;
  before(async () => {
    const [engine] = ENGINES;
    running = await (engine as (typeof ENGINES)[number]).open();
    database = connectDatabase(running.address);
    await migrateDatabase(database, EMPTY.migrations);
  });
  after(async () => {
    await database.close();
    await running.close();
  });

  async function withTopics(written: readonly Written[], work: (...topics: MovedTopic[]) => Promise<void>): Promise<void> {
    const topics: MovedTopic[] = [];
    try {
      for (const one of written) {
        const topic = await MovedTopic.begin(database, `run${++runs}`);
        topics.push(topic);
        await topic.write(one);
      }
      await work(...topics);
    } finally {
      for (const topic of topics) await topic.close();
    }
  }

  test('law: groups read the same, and dead letters are the same, wherever it was interrupted', async () => {
    const ofBrokers = fc.record({ of: fc.constant('brokers' as const), calls: fc.integer({ min: 1, max: 260 }) });
    const ofStores = fc.record({ of: fc.constant('stores' as const), calls: fc.integer({ min: 1, max: 40 }) });
    const cuts: fc.Arbitrary<Interruption[]> = fc.array(fc.oneof(ofBrokers, ofStores), { maxLength: 5 });
    const spools = fc.array(fc.record({ zone: fc.nat(ZONES.length - 1), events: fc.integer({ min: 1, max: 3 }) }), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(histories, cuts, fc.nat(5), spools, (history, interruptions, deadLetters, spooled) =>
        withTopics([{ history, deadLetters, spooled }], async (topic) => {
          for (const interruption of interruptions) await topic?.move(interruption);
          await topic?.move(null);
          await topic?.require();
        }),
      ),
      { numRuns: Number(process.env.MOVE_RUNS ?? 12) },
    );
  });

  test('what is on the spools is moved, and a lost range that is a dead letter', async () => {
    const lost = { zone: 1, events: 4, isLoss: true };
    const batches = [0, 1].map((zone) => ({ zone, events: 2, isLoss: false }));
    const history = historyOf([], { batches: [...batches, lost] });
    const spooled = [0, 0, 1, 5].map((zone) => ({ zone, events: 2 }));
    await withTopics([{ history, deadLetters: 2, spooled }], async (topic) => {
      await topic?.move(null);
      await topic?.require();
    });
  });

  test('groups go on in a shard whose zones have lost all their events to retention', async () => {
    const [one, other] = neighbours();
    // The newest record stays: it is that of the other shard.
    const history = historyOf(
      [
        [one, 1],
        [other, 1],
      ],
      { reads: ALL_READ, isCut: true },
    );
    await withTopics([{ history }], async (topic) => {
      await topic?.move(null);
      await topic?.require();
    });
  });

  test('the leaders of a new topic may respond a moment later', async () => {
    await withTopics([{ history: historyOf([[0, 1]]) }], async (topic) => {
      if (topic) topic.silentEnds = 2;
      await topic?.move(null);
      await topic?.require();
    });
  });

  test('a topic that has other records is refused, and a begun one if retention has deleted events since', async () => {
    await withTopics([{ history: historyOf(TEN, { reads: ALL_READ }) }], async (topic) => {
      assert.ok(topic);
      await topic.move({ printed: COPIED });
      await topic.cut();
      await assert.rejects(topic.move(null), { message: /has deleted old events/, remedy: /Delete that topic in Kafka/ });
      topic.forget();
      await assert.rejects(topic.move(null), { message: /has records that are not of a move/, remedy: /log\.topicPrefix/ });
    });
  });

  test('after a move to a topic that was deleted, owners and groups begin at places of the new topic', async () => {
    await withTopics([{ history: historyOf(TEN, { reads: ALL_READ }) }], async (topic) => {
      assert.ok(topic);
      // Each adds a claim to every shard: their manifests are for later offsets than one copy reaches.
      for (let copy = 0; copy < 3; copy++) await topic.move({ printed: COPIED });
      topic.recreate();
      await topic.move(null);
      await topic.require();
    });
  });

  test('no store is changed before all topics are copied: one that is refused does not keep the server from LMDB', async () => {
    await withTopics([{ history: historyOf(TEN, { reads: ALL_READ }) }, { history: historyOf(TEN) }], async (first, second) => {
      assert.ok(first && second);
      await first.move({ printed: new RegExp(`^${second.topic.name}: .* are in`) }, [second]);
      second.forget();
      const table = first.groups[1] ?? '';
      const offsets = await offsetsOf(database, table);
      await assert.rejects(first.move(null, [second]), { message: /has records that are not of a move/ });
      first.requireLmdb();
      assert.deepEqual(await offsetsOf(database, table), offsets);
      second.recreate();
      await first.move(null, [second]);
      await first.require();
    });
  });

  test('a number of shards that offsets cannot be kept for is refused before anything is copied', async () => {
    await withTopics([{ history: historyOf([[0, 1]]) }], async (topic) => {
      assert.ok(topic);
      await assert.rejects(topic.move(null, [], { shards: 6 }), { message: /log\.shards is 6/, remedy: /multiple of 4/ });
    });
  });

  test('groups whose store has offsets, but which no log knows, are refused with the remedy', async () => {
    await withTopics([{ history: historyOf(TEN, { reads: ALL_READ }) }], async (topic) => {
      assert.ok(topic);
      const [, table = ''] = topic.groups;
      await topic.unregister(table);
      await assert.rejects(topic.move(null), {
        message: new RegExp(`no log knows the consumer groups ${table}`),
        remedy: /register again/,
      });
    });
  });

  test('once stores may have offsets of Kafka, another prefix and a log that is missing are refused with the remedy', async () => {
    await withTopics([{ history: historyOf(TEN, { reads: ALL_READ }) }], async (topic) => {
      assert.ok(topic);
      await topic.move({ printed: PLANNED });
      await assert.rejects(topic.move(null, [], { topic: 'other' }), {
        message: /the configuration names "other"/,
        remedy: /topicPrefix back/,
      });
      topic.loseLog();
      await assert.rejects(topic.move(null), { message: /is not finished, but .* has no log/, remedy: /from one backup/ });
    });
  });
});

/** Two zones of one partition that are in different shards. */
function neighbours(): readonly [number, number] {
  for (const [one, zone] of ZONES.entries())
    for (const [other, with_] of ZONES.entries())
      if (shardOf(zone) % 4 === shardOf(with_) % 4 && shardOf(zone) !== shardOf(with_)) return [one, other];
  throw new Error('no zones of one partition in different shards');
}
