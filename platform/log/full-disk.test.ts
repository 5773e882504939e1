import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { EventBatch, Snapshot } from '@millrace/kernel';
import { RESERVED_BYTES } from '@millrace/lmdb/commit';
import { openLmdbSnapshots } from '@millrace/snapshots';
import { openLmdbLog } from './index.ts';
import { repairLog } from './repair.ts';
import { appendTo, ownShardOf } from './testing/index.ts';

/*
 * Fault 19, on a real file system: a small one in memory, which only root may mount. Nothing is written when that could fill the disk: a page that lmdb
 * cannot write damages the memory of the process.
 */

const MIB = 1024 * 1024;
const ZONE = 'zone/a';

const events = (firstSeq: number, count: number): EventBatch => ({
  zone: ZONE,
  epoch: 1,
  firstSeq,
  version: 1,
  time: 1,
  events: Array.from(
    { length: count },
    (_none, index) => ({ type: 'Written', text: `${firstSeq + index} `.repeat(30) }) as { type: string },
  ),
  metas: null,
});

describe('fault 19: a full disk', {
  skip: process.getuid?.() === 0 && process.platform === 'linux' ? false : 'needs root on Linux',
}, () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-full-'));
  const ballast = join(folder, 'ballast');
  /** Unhandled rejections would end the process. */
  const unhandled: unknown[] = [];
  const note = (error: unknown) => void unhandled.push(error);

  const free = () => {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  };

  before(() => {
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', folder]);
    assert.equal(mounted.status, 0, String(mounted.stderr));
    process.on('unhandledRejection', note);
  });
  after(() => {
    process.off('unhandledRejection', note);
    spawnSync('umount', ['-l', folder]);
    rmSync(folder, { recursive: true, force: true });
  });

  test('rejects appends with the reason, still reads, loses no acknowledged event, and accepts appends when there is space', async () => {
    writeFileSync(ballast, Buffer.alloc(30 * MIB));
    const log = openLmdbLog(join(folder, 'log'));
    let acknowledged = 0;
    const reasons: string[] = [];
    while (reasons.length < 3) {
      try {
        await appendTo(log, [events(acknowledged + 1, 500)]);
        acknowledged += 500;
        assert.ok(acknowledged < 1e6, 'the disk is never full');
      } catch (error) {
        reasons.push((error as Error).message);
      }
    }
    assert.match(
      reasons[0] ?? '',
      /^the log cannot be written: no space left on device: 15 MiB are free on the disk of .*, and a write needs 16 MiB\. Make/,
    );
    assert.ok(free() > RESERVED_BYTES - 2 * MIB, `${free()}`);
    await assert.rejects(
      log.deadLetters.put({ group: 'g', partition: 0, offset: 0, zone: ZONE, seq: 1, reason: 'x', createdAt: 1 }, events(1, 1)),
      /cannot be written/,
    );
    let isPaused = false;
    await log.pauseWrites(async () => {
      isPaused = true;
    });
    assert.ok(isPaused, 'another process may open the log: without that it would wait without end');
    const seqs = async () => {
      let last = 0;
      for await (const batch of log.read(ZONE, 0, null)) {
        assert.equal(batch.firstSeq, last + 1);
        last += batch.events.length;
      }
      return last;
    };
    assert.equal(await seqs(), acknowledged);
    rmSync(ballast);
    await appendTo(log, [events(acknowledged + 1, 500)]);
    assert.equal(await seqs(), acknowledged + 500);
    await log.close();
    const again = openLmdbLog(join(folder, 'log'));
    assert.equal((await ownShardOf(again, ZONE)).headOf(ZONE), acknowledged + 500);
    await again.close();
    rmSync(join(folder, 'log'), { recursive: true });
    assert.deepEqual(unhandled, []);
  });

  test('rejects a hot snapshot, keeps earlier ones, and accepts the next when there is space', async () => {
    const store = openLmdbSnapshots(join(folder, 'hot'));
    const snapshot = (seq: number, bytes: number): Snapshot => ({
      zone: ZONE,
      version: 1,
      epoch: 1,
      seq,
      time: seq,
      position: null,
      answered: [],
      state: { text: 'x'.repeat(bytes) },
    });
    await store.save(snapshot(1, MIB));
    writeFileSync(ballast, Buffer.alloc(36 * MIB));
    const before = free();
    await assert.rejects(store.save(snapshot(2, 12 * MIB)), /the hot snapshots cannot be written: .* \d+ MiB are free .* needs 29 MiB/);
    assert.equal(free(), before);
    assert.deepEqual(
      (await store.list(ZONE)).map(({ seq }) => seq),
      [1],
    );
    rmSync(ballast);
    await store.save(snapshot(3, 2 * MIB));
    assert.equal((await store.list(ZONE))[0]?.seq, 3);
    await store.close();
    assert.deepEqual(unhandled, []);
  });

  test('does not create a store that could fill the disk, and creates it when there is space', async () => {
    writeFileSync(ballast, Buffer.alloc(free() - RESERVED_BYTES / 2));
    const path = join(folder, 'new');
    assert.throws(
      () => openLmdbLog(path),
      /^Error: a new store cannot be written: no space left on device: 8 MiB are free on the disk of .* Make room/,
    );
    assert.throws(() => openLmdbSnapshots(path), /a new store cannot be written/);
    assert.deepEqual(readdirSync(path), []);
    rmSync(ballast);
    const log = openLmdbLog(path);
    assert.equal((await ownShardOf(log, ZONE)).epoch, 1);
    await log.close();
  });

  test('does not begin a repair that could fill the disk', async () => {
    const path = join(folder, 'log');
    const log = openLmdbLog(path);
    await appendTo(log, [events(1, 500)]);
    await log.close();
    writeFileSync(ballast, Buffer.alloc(free() - RESERVED_BYTES));
    const repair = () => repairLog(path, `${path}-new`, { snapshots: [], spools: [], zones: [] });
    await assert.rejects(repair, /the repaired log cannot be written: no space left on device: .* Make room on it/);
    assert.ok(!existsSync(`${path}-new`));
    rmSync(ballast);
    assert.equal((await repair()).events, 500);
  });
});
