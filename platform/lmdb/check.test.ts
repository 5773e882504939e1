import assert from 'node:assert/strict';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { openLmdbLog } from '../log/lmdb-log.ts';
import { appendTo } from '../log/testing/index.ts';
import { checkLmdb } from './check.ts';

describe('fault 23: the check of an LMDB store', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-lmdb-'));
  const sound = join(folder, 'sound');
  before(async () => {
    const log = openLmdbLog(sound);
    for (const zone of ['zone/a', 'zone/b', 'zone/c']) {
      for (let seq = 1; seq <= 200; seq++) {
        const text = 'x'.repeat(seq % 50 === 0 ? 20_000 : 200);
        await appendTo(log, [
          { zone, epoch: 1, firstSeq: seq, version: 1, time: seq, events: [{ type: 'Written', text } as { type: string }], metas: null },
        ]);
      }
    }
    // Free pages are in no tree.
    await log.retain({ olderThanMs: 1, bytesMax: 100_000 }, 1);
    await log.close();
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const damaged = (name: string, damage: (path: string) => void) => {
    mkdirSync(join(folder, name));
    const path = join(folder, name, 'data.mdb');
    copyFileSync(join(sound, 'data.mdb'), path);
    damage(path);
    return join(folder, name);
  };

  test('reports no damage for a sound store, nor for a missing one', () => {
    for (const depth of ['quick', 'thorough'] as const) {
      assert.equal(checkLmdb(sound, depth), null);
      assert.equal(checkLmdb(join(folder, 'none'), depth), null);
    }
  });

  test('reports a truncated store, at any page', () => {
    const pages = statSync(join(sound, 'data.mdb')).size / 4_096;
    const found = Array.from({ length: 20 }, (_none, index) => {
      const kept = Math.floor((pages * index) / 20);
      return checkLmdb(
        damaged(`cut-${kept}`, (path) => truncateSync(path, kept * 4_096 + 100)),
        'quick',
      );
    });
    // The last pages may be free.
    for (const reason of found.slice(0, 15)) assert.match(reason ?? '', /data\.mdb/);
    assert.match(
      checkLmdb(
        damaged('empty', (path) => truncateSync(path, 0)),
        'quick',
      ) ?? '',
      /is empty/,
    );
  });

  test('reports garbage at the beginning', () => {
    const reason = checkLmdb(
      damaged('garbage', (path) => writeSync(openSync(path, 'r+'), Buffer.alloc(8_192, 0xaa), 0, 8_192, 0)),
      'quick',
    );
    assert.match(reason ?? '', /the first page is not that of an LMDB file/);
  });

  test('a thorough check reports garbage at any place, and never crashes', () => {
    const size = statSync(join(sound, 'data.mdb')).size;
    let found = 0;
    for (let page = 2; page < size / 4_096; page++) {
      const copy = join(folder, 'garbage-within');
      mkdirSync(copy, { recursive: true });
      const content = readFileSync(join(sound, 'data.mdb'));
      content.fill(0xaa, page * 4_096, (page + 1) * 4_096);
      writeFileSync(join(copy, 'data.mdb'), content);
      if (checkLmdb(copy, 'thorough') !== null) found++;
    }
    assert.ok(found >= 5, `${found} pages are of a tree`);
  });
});
