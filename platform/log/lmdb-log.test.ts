import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { zoneAddress } from '@millrace/kernel';
import { eventLogContract } from './event-log.contract.ts';
import { openLmdbLog } from './lmdb-log.ts';

let folder = mkdtempSync(join(tmpdir(), 'millrace-log-'));

eventLogContract('LMDB', {
  open: async () => openLmdbLog(folder),
  clean: async () => {
    rmSync(folder, { recursive: true, force: true });
    folder = mkdtempSync(join(tmpdir(), 'millrace-log-'));
  },
});

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
      const { epoch } = await log.claim(zone);
      await log.append([{ zone, epoch, firstSeq: 1, version: 1, time: 0, events: [{ type: 'Happened' }], metas: null }]);
      await log.close();`;
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', append], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    assert.equal(end(), 1);
  } finally {
    await log.close();
    rmSync(mine, { recursive: true, force: true });
  }
});
