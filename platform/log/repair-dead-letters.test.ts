import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { EventBatch } from '@millrace/kernel';
import { openLmdbLog } from './lmdb-log.ts';
import { partitionIndex } from './partitions.ts';
import { repairLog } from './repair.ts';
import { appendTo } from './testing/index.ts';

const ZONE = 'zone/a';
const GROUP = 'table';

const batchOf = (seq: number, text: string): EventBatch => ({
  zone: ZONE,
  epoch: 1,
  firstSeq: seq,
  version: 1,
  time: seq,
  events: [{ type: 'Told', text } as { type: string }],
  metas: null,
});

test('a repair keeps the newest state of each dead letter, and which events ever were one', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-repair-dead-letters-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'log');
  const log = openLmdbLog(path);
  for (let seq = 1; seq <= 30; seq++) await appendTo(log, [batchOf(seq, 'as decided')]);
  const put = (seq: number) => {
    const place = { group: GROUP, partition: partitionIndex(ZONE), offset: seq - 1, zone: ZONE, seq };
    return log.deadLetters.put({ ...place, reason: 'refused', createdAt: 1 }, batchOf(seq, 'as decided'));
  };
  // The id of a removed dead letter is used again. Old pages with the removed ones stay in the file.
  for (let seq = 1; seq <= 20; seq++) {
    await put(seq);
    await log.deadLetters.remove(1);
  }
  await put(21);
  for (let edit = 1; edit <= 20; edit++) await log.deadLetters.replace(1, batchOf(21, `edit ${edit}`));
  const before = await log.deadLetters.open(1);
  await log.close();

  await repairLog(path, `${path}-new`, { snapshots: [], spools: [], zones: [] });
  const repaired = openLmdbLog(`${path}-new`);
  assert.deepEqual(await repaired.deadLetters.open(1), before);
  assert.deepEqual(await repaired.deadLetters.list(), [before?.deadLetter]);
  for (let seq = 1; seq <= 30; seq++) {
    assert.equal(await repaired.deadLetters.has(GROUP, ZONE, seq), seq === 21, `seq ${seq} waits`);
    assert.equal(await repaired.deadLetters.wasPut(GROUP, ZONE, seq), seq <= 21, `seq ${seq} was put`);
  }
  await repaired.close();
});
