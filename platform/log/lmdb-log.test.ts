import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { zoneAddress } from '@millrace/kernel';
import { StoreWriter } from '@millrace/lmdb/commit';
import { openShared } from '@millrace/lmdb/open-shared';
import { eventLogContract } from './event-log.contract.ts';
import { LmdbDeadLetters } from './lmdb-dead-letters.ts';
import { openLmdbLog } from './lmdb-log.ts';
import { appendTo } from './testing/index.ts';
import { journalContract } from './testing/journal-contract.ts';

let folder = mkdtempSync(join(tmpdir(), 'millrace-log-'));

const clean = async () => {
  rmSync(folder, { recursive: true, force: true });
  folder = mkdtempSync(join(tmpdir(), 'millrace-log-'));
};
eventLogContract('LMDB', { open: async () => openLmdbLog(folder), clean });
journalContract('LMDB', { open: async () => openLmdbLog(folder), close: (log) => log.close(), clean });

test('the LMDB log reports its current end, even if another process has appended since the last call in this turn', async () => {
  const mine = mkdtempSync(join(tmpdir(), 'millrace-log-'));
  const log = openLmdbLog(mine);
  try {
    const end = () => log.stats().partitions.reduce((sum, one) => sum + one.end, 0);
    assert.equal(end(), 0);
    const append = `
      const { openLmdbLog } = await import(${JSON.stringify(new URL('./lmdb-log.ts', import.meta.url).href)});
      const log = openLmdbLog(${JSON.stringify(mine)});
      const zone = ${JSON.stringify(zoneAddress('test', 'one'))};
      const writer = await log.own(log.shardOf(zone), { lease: { leftMs: () => 1 }, onPrevious: () => {} });
      await writer.append([{ zone, epoch: 1, firstSeq: 1, version: 1, time: 0, events: [{ type: 'Happened' }], metas: null }]);
      await log.close();`;
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', append], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    assert.equal(end(), 1);
  } finally {
    await log.close();
    rmSync(mine, { recursive: true, force: true });
  }
});

test('retention by size drops no more than what is over the maximum', async () => {
  const mine = mkdtempSync(join(tmpdir(), 'millrace-log-'));
  const log = openLmdbLog(mine);
  try {
    const zone = zoneAddress('test', 'one');
    const text = 'x'.repeat(100_000);
    const events = [{ type: 'Happened', text }];
    for (let seq = 1; seq <= 100; seq++) await appendTo(log, [{ zone, epoch: 0, firstSeq: seq, version: 1, time: 0, events, metas: null }]);
    const { bytes } = log.stats();
    // The maximum is that of a partition times their number, and all records are in one partition.
    const dropped = await log.retain({ olderThanMs: 1e12, bytesMax: (bytes - 500_000) * log.partitions }, 1);
    assert.ok(dropped >= 5 && dropped <= 7, `${dropped} of 100 events of 100 kB were dropped`);
  } finally {
    await log.close();
    rmSync(mine, { recursive: true, force: true });
  }
});

test('dead letters have a maximum, and their events are forgotten with those of the log', async () => {
  const mine = mkdtempSync(join(tmpdir(), 'millrace-dead-'));
  const root = openShared(mine, { maxDbs: 4 });
  try {
    let start = 0;
    const deadLetters = new LmdbDeadLetters(root, new StoreWriter('the log', mine), () => start, 3);
    const put = (seq: number) =>
      deadLetters.put(
        { group: 'g', partition: 0, offset: seq, zone: 'zone/a', seq, reason: 'no price', createdAt: 1 },
        { zone: 'zone/a', epoch: 1, firstSeq: seq, version: 1, time: 1, events: [{ type: 'Happened' }], metas: null },
      );
    for (let seq = 1; seq <= 3; seq++) await put(seq);
    await assert.rejects(put(4), /3 dead letters wait, the maximum\. Replay or delete some/);
    await deadLetters.remove(1);
    await put(4);
    const were = () => Promise.all([1, 2, 3, 4].map((seq) => deadLetters.wasPut('g', 'zone/a', seq)));
    assert.deepEqual(await were(), [true, true, true, true]);
    start = 3;
    await deadLetters.prune();
    assert.deepEqual(await were(), [false, false, true, true]);
  } finally {
    await root.close();
    rmSync(mine, { recursive: true, force: true });
  }
});
