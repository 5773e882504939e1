import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '@millrace/base/clock';
import type { EventBatch } from '@millrace/kernel';
import { LmdbZoneIndex } from './lmdb-zone-index.ts';
import type { Cursor } from './reader-rule.ts';
import { BrokerError, type ShardBroker } from './shard-broker.ts';
import { readShard } from './shard-reader.ts';
import { encodeRecord } from './shard-records.ts';
import { ZoneIndex, type ZoneIndexStore } from './zone-index.ts';

const NONCE = '4d1bd43c-5b7c-4f3b-9b57-6a7b0a2c2d11';
const at = (offset: number): Cursor => ({ offset, epoch: 1, nonce: NONCE, index: offset - 1 });
const whole = (from: Cursor | null = null) => [{ from, end: Number.POSITIVE_INFINITY }];

/** A shard with a batch of one event of the zone `zones[n]` at each offset `n + 1`. */
function shardOf(zones: readonly string[]): ShardBroker {
  const seqs = new Map<string, number>();
  const values = [encodeRecord({ kind: 'claim', epoch: 1, previous: 0, nonce: NONCE }).value];
  for (const [index, zone] of zones.entries()) {
    const firstSeq = (seqs.get(zone) ?? 0) + 1;
    seqs.set(zone, firstSeq);
    const batch: EventBatch = { zone, epoch: 1, firstSeq, version: 1, time: 0, metas: null, events: [{ type: 'e' }] };
    values.push(encodeRecord({ kind: 'data', nonce: NONCE, index, batch }).value);
  }
  return {
    startOf: async () => 0,
    fetch: async (_shard, offset) => {
      if (offset > values.length) throw new BrokerError('out-of-range', 'beyond the end');
      return {
        records: values.slice(offset).map((value, index) => ({ offset: offset + index, value })),
        highWatermark: values.length,
        start: 0,
      };
    },
  } as Partial<ShardBroker> as ShardBroker;
}

/** An index that has passed all records of a shard. */
async function filled(
  broker: ShardBroker,
  store: ZoneIndexStore,
  options: { onFailure?: (reason: string) => void } = {},
): Promise<ZoneIndex> {
  const index = new ZoneIndex({ broker, store, clock: systemClock, savedRecordsMin: 1, batchesPerPlace: 8, ...options });
  const { batches, range } = await readShard(broker, 0, { offset: 0, epoch: 0, nonce: '', index: 0 }, { maxBytes: 1, waitMs: 0 });
  index.passed(0, batches, range);
  await index.written();
  return index;
}

describe('the index of the zones', () => {
  let folder = '';
  let stores = 0;
  const newStore = () => new LmdbZoneIndex(join(folder, String(++stores)), 'topic', 1);
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-index-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('leaves out what is before the zone, after its newest batch, and before the place of the wanted event', async () => {
    const broker = shardOf([...Array(20).fill('zone/a'), ...Array(20).fill('zone/b'), ...Array(20).fill('zone/a')]);
    const index = await filled(broker, newStore());
    assert.deepEqual(await index.partsOf(0, 'zone/b', 0, null), [
      { from: at(21), end: 41 },
      { from: at(61), end: Number.POSITIVE_INFINITY },
    ]);
    assert.deepEqual(await index.partsOf(0, 'zone/c', 0, null), whole(at(61)));
    const [part] = await index.partsOf(0, 'zone/a', 30, null);
    const from = part?.from as Cursor;
    assert.ok(from.offset > 41 && from.offset <= 51, `begins at ${from.offset}`);
    assert.deepEqual((await index.partsOf(0, 'zone/a', 30, at(51)))[0]?.from, at(51), 'a later position counts');
    await index.close();
  });

  test('does not count what is between two readers', async () => {
    const store = newStore();
    const broker = shardOf(Array(60).fill('zone/a'));
    const index = new ZoneIndex({ broker, store, clock: systemClock, savedRecordsMin: 1 });
    for (const [from, end] of [
      [at(1), 10],
      [at(40), 50],
      [at(10), 20],
    ] as const) {
      const { batches, range } = await readShard(broker, 0, from, { maxBytes: 1, waitMs: 0, end });
      index.passed(0, batches, range);
    }
    await index.written();
    assert.deepEqual(await store.ranges(0), [
      { from: 1, to: at(20) },
      { from: 40, to: at(50) },
    ]);
    await index.close();
  });

  test('refuses a place at which the log has another record, and is then deleted', async () => {
    const store = newStore();
    await store.add([{ shard: 0, ranges: [], newest: new Map(), places: [{ zone: 'zone/a', place: { firstSeq: 1, at: at(3) } }] }]);
    const index = new ZoneIndex({ broker: shardOf(['zone/a', 'zone/b', 'zone/b']), store, clock: systemClock, savedRecordsMin: 1 });
    assert.deepEqual(await index.partsOf(0, 'zone/a', 0, null), whole());
    assert.equal(index.refused, 1);
    assert.deepEqual(await store.find(0, 'zone/a', 1), { place: null, newest: null, ranges: [] });
    await index.close();
  });

  test('a store that fails is reported once, and does no harm', async () => {
    const fails = () => Promise.reject(new Error('no space left on device'));
    const store = {
      ranges: async () => [],
      find: fails,
      add: fails,
      forgetBefore: fails,
      clear: fails,
      pauseWrites: fails,
      close: async () => {},
    };
    const reasons: string[] = [];
    const index = await filled(shardOf(['zone/a']), store, { onFailure: (reason) => reasons.push(reason) });
    assert.deepEqual(await index.partsOf(0, 'zone/a', 0, null), whole());
    let isDone = false;
    await index.pauseWrites(async () => {
      isDone = true;
    });
    assert.ok(isDone);
    index.noteStart(0, 1);
    await index.written();
    await index.close();
    assert.deepEqual([reasons, index.failures], [['no space left on device'], 4]);
  });

  test('forgets what is before the start of the shard, in the ranges first', async () => {
    const store = newStore();
    const index = await filled(shardOf([...Array(2_500).fill('zone/a'), 'zone/b']), store);
    index.noteStart(0, 2_400);
    await index.written();
    assert.deepEqual(await store.ranges(0), [{ from: 2_400, to: at(2_502) }]);
    assert.equal((await store.find(0, 'zone/a', 2_399)).place, null);
    assert.notEqual((await store.find(0, 'zone/a', 2_500)).place, null);
    assert.equal((await store.find(0, 'zone/a', 1)).newest, 2_500);
    index.noteStart(0, 2_501);
    await index.written();
    assert.deepEqual(await store.find(0, 'zone/a', 2_500), { place: null, newest: null, ranges: [{ from: 2_501, to: at(2_502) }] });
    assert.equal((await store.find(0, 'zone/b', 1)).place?.firstSeq, 1);
    await index.close();
  });

  test('removes what is before the start only when that has moved by enough records', async () => {
    const store = new LmdbZoneIndex(join(folder, String(++stores)), 'topic', 2_000);
    const index = await filled(shardOf([...Array(2_500).fill('zone/a'), 'zone/b']), store);
    for (const [start, isLeft] of [
      [1_500, true],
      [2_100, false],
    ] as const) {
      index.noteStart(0, start);
      await index.written();
      assert.deepEqual(await store.ranges(0), [{ from: start, to: at(2_502) }]);
      assert.equal((await store.find(0, 'zone/a', 1_000)).place !== null, isLeft);
    }
    await index.close();
  });

  test('is neither used nor refused while the leader does not know of the records, or has just deleted them', async () => {
    const broker = shardOf(['zone/a', 'zone/b', 'zone/b']);
    const store = newStore();
    await (await filled(broker, store)).written();
    for (const fetch of [
      async () => ({ records: [], highWatermark: 1, start: 0 }),
      () => Promise.reject(new BrokerError('out-of-range', 'the oldest record has offset 9')),
    ]) {
      const index = new ZoneIndex({ broker: { ...broker, fetch }, store, clock: systemClock, savedRecordsMin: 1 });
      assert.deepEqual(await index.partsOf(0, 'zone/a', 0, null), whole());
      assert.deepEqual([index.refused, index.failures], [0, 0]);
    }
    const index = new ZoneIndex({ broker, store, clock: systemClock, savedRecordsMin: 1 });
    assert.notDeepEqual(await index.partsOf(0, 'zone/a', 0, null), whole());
    await index.close();
  });

  test('a place takes less than 500 bytes', async () => {
    const store = newStore();
    const PLACES = 20_000;
    const places = Array.from({ length: PLACES }, (_none, number) => ({
      zone: `instrument/binance.BTC-USDT-${number % 500}`,
      place: { firstSeq: 1 + Math.floor(number / 500) * 64, at: { ...at(number * 64), epoch: 12 } },
    }));
    for (let from = 0; from < PLACES; from += 1_000)
      await store.add([{ shard: 0, ranges: [], newest: new Map(), places: places.slice(from, from + 1_000) }]);
    const { size } = statSync(join(folder, String(stores), 'data.mdb'));
    assert.ok(size / PLACES < 500, `${size / PLACES} bytes`);
    await store.close();
  });
});
