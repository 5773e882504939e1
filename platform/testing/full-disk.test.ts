import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { instrumentId } from '@millrace/contracts';
import { connectDatabase } from '@millrace/database';
import type { EventBatch, Snapshot } from '@millrace/kernel';
import { openSpools } from '@millrace/log';
import { openDuckDbSeries } from '@millrace/series';
import { openFileSnapshots } from '@millrace/snapshots';
import { sql } from 'drizzle-orm';
import { serveEmbedded } from '../database/embedded.ts';
import { EMPTY } from '../database/testing/engines.ts';

/*
 * Fault 19: all stores except LMDB (see log/full-disk.test.ts) on a full file system, and on a read-only one. The file system is a small tmpfs, which
 * only root may mount.
 */

const MIB = 1024 * 1024;
const ZONE = 'zone/a';

describe('fault 19: stores on a full disk', {
  skip: process.getuid?.() === 0 && process.platform === 'linux' ? false : 'needs root on Linux',
}, () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-full-'));
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=80m', 'tmpfs', folder]);
    assert.equal(mounted.status, 0, String(mounted.stderr));
  });
  afterEach(() => {
    spawnSync('umount', ['-l', folder]);
    rmSync(folder, { recursive: true, force: true });
  });
  const fill = () => {
    const file = openSync(join(folder, 'ballast'), 'a');
    for (let bytes = MIB; bytes >= 512; )
      try {
        writeSync(file, Buffer.alloc(bytes));
      } catch {
        bytes /= 2;
      }
    closeSync(file);
  };
  const freeSpace = () => rmSync(join(folder, 'ballast'));
  const remount = (mode: 'ro' | 'rw') => assert.equal(spawnSync('mount', ['-o', `remount,${mode}`, folder]).status, 0);

  const snapshot = (seq: number): Snapshot => ({
    zone: ZONE,
    version: 1,
    epoch: 1,
    seq,
    time: seq,
    position: null,
    answered: [],
    state: { text: String(Math.random()).repeat(20_000) },
  });

  test('cold snapshots: a save fails with the reason, earlier snapshots stay intact, and a later save succeeds', async () => {
    const store = openFileSnapshots(join(folder, 'cold'));
    await store.save(snapshot(1));
    for (const [begin, end] of [
      [fill, freeSpace],
      [() => remount('ro'), () => remount('rw')],
    ] as const) {
      begin();
      await assert.rejects(store.save(snapshot(2)), /ENOSPC|EROFS/);
      const labels = await store.list(ZONE);
      assert.ok(labels.length > 0);
      for (const label of labels) await store.verify(label);
      end();
      await store.save(snapshot(3));
      assert.equal((await store.load((await store.list(ZONE))[0] as (typeof labels)[0])).seq, 3);
      await store.save(snapshot(1));
    }
  });

  test('spool: accepts no batches, keeps the stored ones, and accepts batches again once there is space', () => {
    const spools = openSpools(join(folder, 'spool'), { bytesMax: 64 * MIB });
    const spool = spools.open(1, 'one', '');
    const batch = (firstSeq: number): EventBatch => {
      const text = 'x'.repeat(100_000);
      return { zone: ZONE, epoch: 1, firstSeq, version: 1, time: 1, events: [{ type: 'E', text } as { type: string }], metas: null };
    };
    assert.equal(spool.add([batch(1)]), 1);
    fill();
    let next = 2;
    while (spool.add([batch(next)]) === 1) next++;
    assert.deepEqual(
      spool.oldest(1_000).map(({ firstSeq }) => firstSeq),
      Array.from({ length: next - 1 }, (_none, index) => index + 1),
    );
    freeSpace();
    assert.equal(spool.add([batch(next)]), 1);
    spools.close(1);
    const again = openSpools(join(folder, 'spool'), { bytesMax: 64 * MIB });
    const successor = again.open(1, 'two', 'one');
    successor.begin();
    assert.equal(successor.oldest(1_000).at(-1)?.firstSeq, next);
    again.close(1);
  });

  test('spool: a shard can be claimed, by as many owners as its disk has shards, and later processes get what they have left', () => {
    const path = join(folder, 'spool');
    const batch = (): EventBatch => ({ zone: ZONE, epoch: 1, firstSeq: 1, version: 1, time: 1, events: [{ type: 'E' }], metas: null });
    const first = openSpools(path, { bytesMax: MIB });
    const shards = [1, 2, 3, 4, 5, 6, 7, 8];
    for (const shard of shards) assert.equal(first.open(shard, 'one', '').add([batch()]), 1);
    fill();
    for (const [owner, previous] of [
      ['two', 'one'],
      ['three', 'two'],
    ] as const) {
      const next = openSpools(path, { bytesMax: MIB });
      for (const shard of shards) next.open(shard, owner, previous);
    }
    for (const shard of shards) {
      const last = openSpools(path, { bytesMax: MIB }).open(shard, 'four', 'three');
      last.begin();
      assert.equal(last.batches, 1, `shard ${shard}`);
      last.drop(1);
    }
    freeSpace();
  });

  test('series store: a write is rejected as a whole, earlier rows stay readable, and a later write succeeds', async () => {
    const open = () => openDuckDbSeries({ folder: join(folder, 'series'), memoryMiB: 128, archiveAfterDays: 2, keepDays: 30 });
    const store = await open();
    const instrument = instrumentId('binance', 'BTC-USDT');
    const trades = (first: number, count: number) =>
      Array.from({ length: count }, (_none, index) => {
        const order = first + index;
        return {
          instrument,
          id: `${order}`,
          order,
          time: order,
          price: `${Math.random()}`,
          quantity: '1',
          side: 'buy',
          known: order,
          arrival: 0,
        } as const;
      });
    const rows = (first: number, count: number) => ({ trades: trades(first, count), candles: [], readings: [] });
    const written = async (from: typeof store) => (await from.trades({ instrument, from: 0, to: 1e9, order: 'asc', limit: 1_000 })).length;
    await store.write(rows(1, 10), null);
    fill();
    await assert.rejects(store.write(rows(100, 20_000), null), /No space left/);
    assert.equal(await written(store), 10);
    freeSpace();
    await store.write(rows(11, 10), null);
    assert.equal(await written(store), 20);
    await store.close();
    const again = await open();
    assert.equal(await written(again), 20);
    await again.close();
  });

  test('embedded database: keeps all acknowledged rows, and accepts writes again, at the latest after a restart', async () => {
    const open = async () => {
      const served = await serveEmbedded(join(folder, 'database'), join(folder, 'socket'), EMPTY);
      const database = connectDatabase({ socket: join(folder, 'socket') });
      return {
        ...database,
        close: async () => {
          await database.close();
          await served.close().catch(() => {});
        },
      };
    };
    const first = await open();
    await first.drizzle.execute(sql`create table kept (n integer primary key, text text)`);
    let acknowledged = 0;
    const insert = async (database: typeof first) => {
      await database.drizzle.execute(sql`insert into kept values (${acknowledged + 1}::int, ${String(Math.random()).repeat(2_000)})`);
      acknowledged++;
    };
    for (let count = 0; count < 10; count++) await insert(first);
    fill();
    let failures = 0;
    while (failures < 3) await insert(first).catch(() => void failures++);
    freeSpace();
    const isWritable = await insert(first).then(
      () => true,
      () => false,
    );
    await first.close();
    const again = await open();
    if (!isWritable) await insert(again);
    const { rows } = await again.drizzle.execute(sql`select count(*)::int as n, max(n) as last from kept`);
    assert.deepEqual(rows, [{ n: acknowledged, last: acknowledged }]);
    await again.close();
  });
});
