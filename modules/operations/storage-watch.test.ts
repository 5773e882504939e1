import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { WatchedOutbox } from '@millrace/module';
import { StorageWatch } from './storage-watch.ts';

const MIB = 1024 * 1024;

describe('fault 19: storage', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-storage-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  function watching(outboxes: readonly WatchedOutbox[], diskFreeMiB = 0, diskFreePercent = 0) {
    const rules = { diskFreeMiB, diskFreePercent, spoolPercent: 80, unrecordedForMs: 5_000 };
    return new StorageWatch({ folder, spoolMiB: 100, rules, outboxes: () => outboxes });
  }

  test('a disk with less free space than the threshold is a warning, with less than a fifth of it critical', async () => {
    const { bavail, bsize } = await statfs(folder);
    const freeMiB = Math.floor((bavail * bsize) / MIB);
    for (const [threshold, expected] of [
      [Math.floor(freeMiB / 2), undefined],
      [freeMiB * 2, 'disk-low/warning'],
      [freeMiB * 20, 'disk-low/critical'],
    ] as const) {
      const watch = watching([], threshold);
      const check = watch
        .checks()
        .find(({ name }) => name === 'disk')
        ?.check();
      if (expected) await assert.rejects(Promise.resolve(check), /Make room/);
      else await check;
      assert.equal([...watch.conditions()][0]?.id, expected);
    }
  });

  test('an alert for a disk shows the value that is below its threshold: MiB or percent', async () => {
    const watch = watching([], 0, 100);
    await assert.rejects(async () => watch.checks()[0]?.check(), /Make room/);
    const [low] = watch.conditions();
    assert.deepEqual([low?.id, low?.threshold], ['disk-low/warning', 100]);
    assert.ok(low && low.value < 100);
  });

  test('an unwritable log must last to be an alert; a full spool is an alert at once', () => {
    const outbox = (mode: WatchedOutbox['mode'], percent: number) =>
      ({ name: 'market', mode, spooledBytes: percent * MIB, lastFailure: 'no space left' }) as const;
    assert.deepEqual([...watching([outbox('flowing', 0)]).conditions()], []);
    const [unwritable] = watching([outbox('spooling', 1)]).conditions();
    assert.deepEqual([unwritable?.id, unwritable?.severity, unwritable?.forMs], ['log-unwritable/market', 'critical', 5_000]);
    const full = [...watching([outbox('spooling', 81)]).conditions()];
    assert.deepEqual(
      full.map(({ id, value }) => [id, value]),
      [
        ['spool-full/market', 81],
        ['log-unwritable/market', 1],
      ],
    );
  });

  test('the health check of the log gives the reason why it cannot be written', () => {
    const watch = watching([{ name: 'market', mode: 'spooling', spooledBytes: 0, lastFailure: 'no space left' }]);
    const check = watch.checks().find(({ name }) => name === 'log');
    assert.throws(() => check?.check(), /no space left/);
  });
});
