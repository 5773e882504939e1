import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Database, offsetsOf, projectionOffsets, saveOffsets } from '@millrace/database';
import { KafkaLog, MemoryCursors } from '@millrace/kafka';
import { TableConsumers, TableDeadLetters } from '@millrace/kafka/tables';
import { lastSeqOf } from '@millrace/kernel';
import { openLmdbLog, openStoredLog } from '@millrace/log';
import { openDuckDbSeries, type SeriesStore } from '@millrace/series';
import type { TopicLog } from '@millrace/topics';
import { manifestsIn, removeManifests, StoredManifests } from '@millrace/topics/move-target';
import { inArray } from 'drizzle-orm';
import { readMoveState, removeMoveState } from '../../../apps/server/move/move-state.ts';
import { moveTopics } from '../../../apps/server/move/move-topics.ts';
import type { MoveParts, MovingTopic } from '../../../apps/server/move/moving-topic.ts';
import { requireEngine } from '../../../apps/server/topic-logs.ts';
import { type History, Interrupted, requireSameReads, SHARDS, shardOf, written, ZONES } from './moved-history.ts';
import { RunningKafka } from './running-kafka.ts';

/*
 * A topic that is moved from LMDB to simulated brokers, with real stores of its consumer groups.
 */

const SERIES = { memoryMiB: 64, archiveAfterDays: 7, keepDays: 30 };

/** Where a move ends early: after a number of calls, or when it has printed something. */
export type Interruption = { readonly of: 'brokers' | 'stores'; readonly calls: number } | { readonly printed: RegExp };

export interface Written {
  readonly history: History;
  /** Dead letters of each partition. */
  readonly deadLetters?: number;
  readonly spooled?: readonly { readonly zone: number; readonly events: number }[];
}

export class MovedTopic {
  readonly topic: MovingTopic;
  /** Groups whose offsets are in the log only, in a table, and in the series store. */
  readonly groups: readonly string[];
  /** How often the leaders do not tell the ends of their shards. */
  silentEnds = 0;
  isDatabaseShared = false;
  readonly #folder = mkdtempSync(join(tmpdir(), 'millrace-move-topic-'));
  readonly #seriesFolder: string;
  readonly #database: Database;
  readonly #series: SeriesStore;
  #kafka = new RunningKafka(SHARDS);
  readonly #manifests = new StoredManifests(manifestsIn(this.#folder), { now: () => 1 });
  #topicId = 'first';
  #heads: ReadonlyMap<string, number> = new Map();

  static async begin(database: Database, name: string): Promise<MovedTopic> {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-move-series-'));
    return new MovedTopic(database, name, await openDuckDbSeries({ folder, ...SERIES }), folder);
  }

  private constructor(database: Database, name: string, series: SeriesStore, seriesFolder: string) {
    this.#database = database;
    this.#series = series;
    this.#seriesFolder = seriesFolder;
    this.groups = ['log', 'table', 'series'].map((store) => `${name}-${store}`);
    const log = { engine: 'kafka', connection: { brokers: [], clientId: 'test' }, topic: name, shards: SHARDS, replicas: 3 } as const;
    this.topic = { name, folder: this.#folder, placement: undefined, log };
  }

  async write({ history, deadLetters = 0, spooled = [] }: Written): Promise<void> {
    const log = join(this.#folder, 'log');
    this.#heads = await written(log, history, this.groups, { folder: join(this.#folder, 'spool'), batches: spooled });
    const [, table = '', series = ''] = this.groups;
    const opened = openLmdbLog(log);
    for (const { group, offsets } of await opened.consumers.groups()) {
      const read = offsets.map((next, partition) => ({ partition, from: 0, next }));
      if (group === table) await this.#database.drizzle.transaction((transaction) => saveOffsets(transaction, group, read));
      if (group === series) await this.#series.write({ trades: [], candles: [], readings: [] }, { group, read });
    }
    for (const [partition, { start }] of opened.stats().partitions.entries())
      for (const { offset, batch } of (await opened.readFrom(partition, start, 100)).batches.slice(0, deadLetters)) {
        const letter = { group: table, partition, offset, zone: batch.zone, seq: batch.firstSeq };
        await opened.deadLetters.put({ ...letter, reason: `reason\0 ${offset}`, createdAt: offset }, batch);
      }
    const [first] = await opened.deadLetters.list();
    // Its events are remembered.
    if (first) await opened.deadLetters.remove(first.id);
    await opened.close();
  }

  /** Moves this topic, and others with it. @param interruption null for never @param configured of this topic in Kafka */
  async move(
    interruption: Interruption | null,
    others: readonly MovedTopic[] = [],
    configured: Partial<MovingTopic['log']> = {},
  ): Promise<void> {
    const all = [this, ...others];
    try {
      await moveTopics(
        [{ ...this.topic, log: { ...this.topic.log, ...configured } }, ...others.map(({ topic }) => topic)],
        this.#parts(all, interruption),
      );
      assert.equal(interruption !== null && 'printed' in interruption, false, 'it was not interrupted');
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error;
      for (const { topic } of all) requireNoStart(topic);
    }
  }

  #parts(all: readonly MovedTopic[], interruption: Interruption | null): MoveParts {
    const { passed, printed, counting } = countingTo(interruption);
    return {
      database: { ...this.#database, drizzle: counting(this.#database.drizzle, 'stores') },
      series: counting(this.#series, 'stores'),
      isDatabaseShared: this.isDatabaseShared,
      spoolMiB: 1,
      logger: { error: () => {}, debug: () => {} },
      print: (line) => {
        printed(line);
        passed('stores');
      },
      openTarget: async (place, { id }) => {
        const of = all.find(({ topic }) => topic.folder === place.folder) as MovedTopic;
        assert.ok(id === undefined || id === of.#topicId);
        const { broker, client } = of.#kafka;
        const ends: typeof broker.ends = async () => (of.silentEnds-- > 0 ? Array<null>(SHARDS).fill(null) : broker.ends());
        return {
          ...{ broker: counting({ ...broker, ends }, 'brokers'), clock: client, shards: SHARDS, shardOf, topicId: of.#topicId },
          ...{ manifests: of.#manifests, removeManifests: () => removeManifests(of.#folder), close: async () => {} },
        };
      },
    };
  }

  /** The same events, offsets and dead letters as in the log that was moved. */
  async require(): Promise<void> {
    const [kept = ''] = readdirSync(this.#folder).filter((name) => name.startsWith('log.moved-'));
    assert.ok(!existsSync(join(this.#folder, 'log')) && !existsSync(join(this.#folder, 'moving-to-kafka.json')));
    const from = openStoredLog(join(this.#folder, kept));
    const before = openLmdbLog(join(this.#folder, kept));
    const consumers = new TableConsumers(this.#database, this.topic.name);
    const deadLetters = new TableDeadLetters(this.#database, this.topic.name);
    const { broker, client } = this.#kafka;
    const after = await KafkaLog.open({
      ...{ broker, clock: client, manifests: this.#manifests, cursors: new MemoryCursors() },
      ...{ consumers, deadLetters, shards: SHARDS, shardOf },
    });
    try {
      assert.deepEqual(Object.fromEntries(from.heads), Object.fromEntries(this.#heads), 'the log has what was on the spools');
      assert.deepEqual(new Set((await consumers.groups()).map(({ group }) => group)), new Set(this.groups));
      for (const { group, offsets } of from.groups) {
        const committed = (await consumers.find(group))?.offsets ?? [];
        await requireSameReads({ group, from, before, after, offsets, moved: committed });
        for (const stored of [await offsetsOf(this.#database, group), await this.#series.offsets(group)]) {
          if (stored.size === 0) continue;
          const moved = Array.from({ length: SHARDS }, (_none, shard) => stored.get(shard) ?? 0);
          await requireSameReads({ group, from, before, after, offsets, moved });
        }
      }
      for (let shard = 0; shard < SHARDS; shard++) {
        const writer = await after.own(shard, { lease: { leftMs: () => Number.POSITIVE_INFINITY }, onPrevious: () => {} });
        for (const zone of ZONES.filter((one) => shardOf(one) === shard))
          assert.equal(writer.headOf(zone), from.heads.get(zone) ?? 0, zone);
        await writer.release();
      }
      await this.#requireDeadLetters({ from, before, after, deadLetters });
    } finally {
      await after.close();
      await before.close();
      await from.close();
    }
  }

  async #requireDeadLetters({ from, before, after, deadLetters }: Opened): Promise<void> {
    const found = await deadLetters.list();
    assert.equal(found.length, from.deadLetters.length);
    for (const [index, { deadLetter, batch }] of from.deadLetters.entries()) {
      const { id, partition, offset, ...same } = found[index] as (typeof found)[number];
      const { id: _id, partition: _partition, offset: _offset, reason, ...wanted } = deadLetter;
      assert.deepEqual(same, { ...wanted, reason: reason.replace('\0', '\ufffd') });
      assert.deepEqual((await deadLetters.open(id))?.batch, batch);
      await requireRecord(after, { partition, offset, zone: batch.zone, seq: batch.firstSeq });
    }
    const [, table = ''] = this.groups;
    for (const zone of ZONES)
      for (let seq = 1; seq <= (from.heads.get(zone) ?? 0); seq++)
        assert.equal(await deadLetters.wasPut(table, zone, seq), await before.deadLetters.wasPut(table, zone, seq), `${zone} ${seq}`);
    // Retention forgets those before the start of a shard: it must find their places.
    const { rows } = await this.#database.drizzle.execute<{ zone: string; seq: string; log_partition: number; log_offset: string }>(
      `select zone, seq, log_partition, log_offset from dead_events where topic = '${this.topic.name}'`,
    );
    assert.equal(rows.length, from.deadEvents.length);
    for (const { zone, seq, log_partition: partition, log_offset: offset } of rows)
      await requireRecord(after, { partition, offset: Number(offset), zone, seq: Number(seq) });
  }

  /** A server that runs in between lets retention delete what all groups have read. */
  async cut(): Promise<void> {
    const log = openLmdbLog(join(this.#folder, 'log'));
    for (const { group } of await log.consumers.groups()) if (!group.endsWith('-log')) await log.consumers.remove(group);
    assert.ok((await log.retain({ olderThanMs: 0, bytesMax: Number.MAX_SAFE_INTEGER }, 1e9)) > 0);
    for (const group of this.groups) await log.consumers.note(group, (await log.consumers.find(group))?.offsets ?? []);
    await log.close();
  }

  /** A repair that loses what the log knows of a group. */
  async unregister(group: string): Promise<void> {
    const log = openLmdbLog(join(this.#folder, 'log'));
    await log.consumers.remove(group);
    await log.close();
  }

  /** The server can start on LMDB. */
  requireLmdb(): void {
    requireEngine(this.topic.name, { folder: this.#folder, log: { engine: 'lmdb' } });
    assert.equal(readMoveState(this.#folder)?.plan, undefined);
  }

  loseLog(): void {
    rmSync(join(this.#folder, 'log'), { recursive: true });
  }

  /** The move forgets that it began. */
  forget(): void {
    removeMoveState(this.#folder);
  }

  /** The operator deletes the topic in Kafka. */
  recreate(): void {
    this.#kafka.stop();
    this.#kafka = new RunningKafka(SHARDS);
    this.#topicId = 'second';
  }

  async close(): Promise<void> {
    this.#kafka.stop();
    await this.#series.close();
    await this.#database.drizzle.delete(projectionOffsets).where(inArray(projectionOffsets.group, [...this.groups]));
    for (const folder of [this.#folder, this.#seriesFolder]) rmSync(folder, { recursive: true, force: true });
  }
}

interface Opened {
  readonly from: ReturnType<typeof openStoredLog>;
  readonly before: ReturnType<typeof openLmdbLog>;
  readonly after: KafkaLog;
  readonly deadLetters: TableDeadLetters;
}

interface EventPlace {
  readonly partition: number;
  readonly offset: number;
  readonly zone: string;
  readonly seq: number;
}

/** The record at a place has an event; before the start of the shard, the event is deleted. */
async function requireRecord(log: KafkaLog, { partition, offset, zone, seq }: EventPlace): Promise<void> {
  assert.equal(partition, shardOf(zone));
  if (offset < (log.stats().partitions[partition]?.start ?? 0)) return assert.equal(offset, 0);
  const [first] = (await log.readFrom(partition, offset, 1)).batches;
  const batch = first?.batch;
  assert.ok(batch?.zone === zone && batch.firstSeq <= seq && seq <= lastSeqOf(batch), `${zone} ${seq}`);
}

/** A server starts only on LMDB, and only if no store can have offsets of Kafka. */
function requireNoStart({ name, folder, log }: MovingTopic): void {
  const start = (of: TopicLog) => requireEngine(name, { folder, log: of });
  const lmdb: TopicLog = { engine: 'lmdb' };
  if (existsSync(join(folder, 'log-in-kafka'))) return assert.throws(() => start(lmdb), /in Kafka, but log\.engine is "lmdb"/);
  if (readMoveState(folder)?.plan) {
    for (const either of [lmdb, log]) assert.throws(() => start(either), { message: /was interrupted/, remedy: /migrate --to kafka/ });
    return;
  }
  assert.throws(() => start(log), /is in files of the engine "lmdb"/);
  start(lmdb);
}

/** Ends a process after some calls. */
function countingTo(interruption: Interruption | null) {
  let left = interruption && 'calls' in interruption ? interruption.calls : Number.POSITIVE_INFINITY;
  const passed = (of: 'brokers' | 'stores') => {
    if (interruption && 'calls' in interruption && of === interruption.of && --left < 0) throw new Interrupted();
  };
  const printed = (line: string) => {
    if (interruption && 'printed' in interruption && interruption.printed.test(line)) throw new Interrupted();
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
  return { passed, printed, counting };
}
