import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connectDatabase, type Database, migrateDatabase, offsetsOf, saveOffsets } from '@millrace/database';
import { EMPTY, ENGINES, type TestDatabase } from '@millrace/database/testing';
import { KafkaLog, MemoryCursors, MemoryManifests } from '@millrace/kafka';
import { TableConsumers, TableDeadLetters } from '@millrace/kafka/tables';
import { openLmdbLog, openStoredLog } from '@millrace/log';
import { openDuckDbSeries, type SeriesStore } from '@millrace/series';
import type { TopicLog } from '@millrace/topics';
import fc from 'fast-check';
import { readMoveState, removeMoveState } from '../../../apps/server/move/move-state.ts';
import { type MovingTopic, moveTopic } from '../../../apps/server/move/move-topic.ts';
import { requireEngine } from '../../../apps/server/topic-logs.ts';
import { histories, Interrupted, requireSameReads, SHARDS, shardOf, written, ZONES } from './moved-history.ts';
import { RunningKafka } from './running-kafka.ts';

/*
 * The whole move of a topic: its events, the offsets of its consumer groups in each store, and its dead letters; on simulated brokers and real stores. It is
 * interrupted between any two calls of brokers and stores.
 */

const SERIES = { memoryMiB: 64, archiveAfterDays: 7, keepDays: 30 };

describe('the move of a topic', () => {
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

  test('law: groups read the same, and dead letters are the same, wherever it was interrupted', async () => {
    const ofBrokers = fc.record({ of: fc.constant('brokers' as const), calls: fc.integer({ min: 1, max: 260 }) });
    const ofStores = fc.record({ of: fc.constant('stores' as const), calls: fc.integer({ min: 1, max: 40 }) });
    const cuts = fc.array(fc.oneof(ofBrokers, ofStores), { maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(histories, cuts, fc.nat(5), async (history, interruptions, deadLetters) => {
        const moved = await Moved.begin(database, `run${++runs}`);
        try {
          await moved.write(history, deadLetters);
          for (const interruption of interruptions) await moved.move(interruption);
          await moved.move(null);
          await moved.require();
        } finally {
          await moved.close();
        }
      }),
      { numRuns: Number(process.env.MOVE_RUNS ?? 12) },
    );
  });

  test('the leaders of a new topic may respond a moment later', async () => {
    const moved = await Moved.begin(database, `run${++runs}`);
    try {
      await moved.write({ rounds: [{ batches: [{ zone: 0, events: 1, isLoss: false }], reads: [], isCut: false, isClaimed: false }] }, 0);
      moved.silentEnds = 2;
      await moved.move(null);
      await moved.require();
    } finally {
      await moved.close();
    }
  });

  test('a topic that has other records is refused, and a begun one if retention has deleted events since', async () => {
    const batches = Array.from({ length: 20 }, () => ({ zone: 0, events: 2, isLoss: false }));
    const history = { rounds: [{ batches, reads: [0, 1].map((group) => ({ group, batches: 40 })), isCut: false, isClaimed: false }] };
    const moved = await Moved.begin(database, `run${++runs}`);
    try {
      await moved.write(history, 0);
      // After the offsets of three groups in two stores: when all events are copied.
      await moved.move({ of: 'stores', calls: 6 });
      await moved.cut();
      await assert.rejects(moved.move(null), { message: /has deleted old events/, remedy: /Delete that topic in Kafka/ });
      await moved.forget();
      await assert.rejects(moved.move(null), { message: /has records already/, remedy: /log\.topicPrefix/ });
    } finally {
      await moved.close();
    }
  });
});

/** One topic that is moved. */
class Moved {
  readonly #folder = mkdtempSync(join(tmpdir(), 'millrace-move-topic-'));
  readonly #kafka = new RunningKafka(SHARDS);
  readonly #manifests = new MemoryManifests();
  readonly #database: Database;
  readonly #name: string;
  readonly #series: SeriesStore;
  /** Groups whose offsets are in the log only, in a table, and in the series store. */
  readonly #groups: readonly string[];
  /** How often the leaders do not tell the ends of their shards. */
  silentEnds = 0;

  static async begin(database: Database, name: string): Promise<Moved> {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-move-series-'));
    const moved = new Moved(database, name, await openDuckDbSeries({ folder, ...SERIES }));
    return moved;
  }

  private constructor(database: Database, name: string, series: SeriesStore) {
    this.#database = database;
    this.#name = name;
    this.#series = series;
    this.#groups = ['log', 'table', 'series'].map((store) => `${name}-${store}`);
  }

  async write(history: Parameters<typeof written>[1], deadLetters: number): Promise<void> {
    const log = join(this.#folder, 'log');
    await written(log, history, this.#groups);
    const [, table = '', series = ''] = this.#groups;
    const opened = openLmdbLog(log);
    for (const { group, offsets } of await opened.consumers.groups()) {
      const read = offsets.map((next, partition) => ({ partition, from: 0, next }));
      if (group === table) await this.#database.drizzle.transaction((transaction) => saveOffsets(transaction, group, read));
      if (group === series) await this.#series.write({ trades: [], candles: [], readings: [] }, { group, read });
    }
    for (const [partition, { start }] of opened.stats().partitions.entries())
      for (const { offset, batch } of (await opened.readFrom(partition, start, 100)).batches.slice(0, deadLetters))
        if (batch.events.length > 0)
          await opened.deadLetters.put(
            { group: table, partition, offset, zone: batch.zone, seq: batch.firstSeq, reason: `reason ${offset}`, createdAt: offset },
            batch,
          );
    const [first] = await opened.deadLetters.list();
    // Its events are remembered.
    if (first) await opened.deadLetters.remove(first.id);
    await opened.close();
  }

  /** @param interruption number of calls after which it is interrupted; null for never */
  async move(interruption: { readonly of: 'brokers' | 'stores'; readonly calls: number } | null): Promise<void> {
    let left = interruption?.calls ?? Number.POSITIVE_INFINITY;
    const passed = (of: 'brokers' | 'stores') => {
      if (of === interruption?.of && --left < 0) throw new Interrupted();
    };
    const counting = <T extends object>(target: T, of: 'brokers' | 'stores'): T =>
      new Proxy(target, {
        get: (_target, key) => {
          const value = Reflect.get(target, key);
          if (typeof value !== 'function') return value;
          return (...given: unknown[]) => {
            passed(of);
            const result = Reflect.apply(value, target, given);
            // What was written counts, although the process ends before it knows.
            if (key !== 'transaction' && key !== 'write') return result;
            return (result as Promise<unknown>).then((done) => {
              passed(of);
              return done;
            });
          };
        },
      });
    const { broker } = this.#kafka;
    const ends: typeof broker.ends = async () => (this.silentEnds-- > 0 ? Array<null>(SHARDS).fill(null) : broker.ends());
    const moving: MovingTopic = {
      name: 'test',
      folder: this.#folder,
      placement: undefined,
      log: { engine: 'kafka', connection: { brokers: [], clientId: 'test' }, topic: this.#name, shards: SHARDS, replicas: 3 },
      database: { ...this.#database, drizzle: counting(this.#database.drizzle, 'stores') },
      series: counting(this.#series, 'stores'),
      spoolMiB: 1,
      logger: { error: () => {}, debug: () => {} },
      print: () => passed('stores'),
      openTarget: async () => ({
        ...{ broker: counting({ ...this.#kafka.broker, ends }, 'brokers'), clock: this.#kafka.client, shards: SHARDS, shardOf },
        ...{ topicId: 'simulated', manifests: this.#manifests, close: async () => {} },
      }),
    };
    try {
      await moveTopic(moving);
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error;
      const start = (log: TopicLog) => requireEngine('test', { folder: this.#folder, log });
      const lmdb: TopicLog = { engine: 'lmdb' };
      // A server of either engine starts only if all stores have its offsets.
      if (existsSync(join(this.#folder, 'log-in-kafka'))) assert.throws(() => start(lmdb), /in Kafka, but log\.engine is "lmdb"/);
      else {
        assert.throws(() => start(moving.log), /is in files of the engine "lmdb"/);
        if (readMoveState(this.#folder)?.plan) assert.throws(() => start(lmdb), /was interrupted/);
        else start(lmdb);
      }
    }
  }

  async require(): Promise<void> {
    const [kept = ''] = readdirSync(this.#folder).filter((name) => name.startsWith('log.moved-'));
    assert.ok(!existsSync(join(this.#folder, 'log')) && !existsSync(join(this.#folder, 'moving-to-kafka.json')));
    const from = openStoredLog(join(this.#folder, kept));
    const before = openLmdbLog(join(this.#folder, kept));
    const consumers = new TableConsumers(this.#database, this.#name);
    const deadLetters = new TableDeadLetters(this.#database, this.#name);
    const log = await KafkaLog.open({
      ...{ broker: this.#kafka.broker, clock: this.#kafka.client, manifests: this.#manifests, cursors: new MemoryCursors() },
      ...{ consumers, deadLetters, shards: SHARDS, shardOf },
    });
    try {
      assert.deepEqual(
        (await consumers.groups()).map(({ group }) => group),
        [...this.#groups].sort(),
      );
      for (const { group, offsets } of from.groups) {
        const noted = (await consumers.find(group))?.offsets ?? [];
        await requireSameReads({ group, from, before, after: log, offsets, moved: noted });
        for (const stored of [await offsetsOf(this.#database, group), await this.#series.offsets(group)]) {
          if (stored.size === 0) continue;
          const moved = Array.from({ length: SHARDS }, (_none, shard) => stored.get(shard) ?? 0);
          await requireSameReads({ group, from, before, after: log, offsets, moved });
        }
      }
      const found = await deadLetters.list();
      assert.equal(found.length, from.deadLetters.length);
      for (const [index, { deadLetter, batch }] of from.deadLetters.entries()) {
        const { id, partition, offset, ...same } = found[index] as (typeof found)[number];
        const { id: _id, partition: _partition, offset: _offset, ...wanted } = deadLetter;
        assert.deepEqual(same, wanted);
        assert.deepEqual((await deadLetters.open(id))?.batch, batch);
        const [first] = (await log.readFrom(partition, offset, 1)).batches;
        assert.ok(first && first.batch.zone === batch.zone && first.batch.firstSeq <= batch.firstSeq);
      }
      const [, table = ''] = this.#groups;
      for (const zone of ZONES)
        for (let seq = 1; seq <= (from.heads.get(zone) ?? 0); seq++)
          assert.equal(await deadLetters.wasPut(table, zone, seq), await before.deadLetters.wasPut(table, zone, seq), `${zone} ${seq}`);
    } finally {
      await log.close();
      await before.close();
      await from.close();
    }
  }

  /** A server that runs in between lets retention delete what all groups have read. */
  async cut(): Promise<void> {
    const log = openLmdbLog(join(this.#folder, 'log'));
    for (const { group } of await log.consumers.groups()) if (!group.endsWith('-log')) await log.consumers.remove(group);
    assert.ok((await log.retain({ olderThanMs: 0, bytesMax: Number.MAX_SAFE_INTEGER }, 1e9)) > 0);
    await log.close();
  }

  /** The move forgets that it began. */
  async forget(): Promise<void> {
    removeMoveState(this.#folder);
  }

  async close(): Promise<void> {
    this.#kafka.stop();
    await this.#series.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
