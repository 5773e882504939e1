import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { open } from 'lmdb';
import { logIn } from '../log/lmdb-log.ts';
import { appendTo } from '../log/testing/index.ts';
import { bootId } from './boot-id.ts';
import { checkLmdb } from './check.ts';

const PAGE_BYTES = 4_096;
const ZONE = 'zone/a';
/** In the half of a meta page: page header, then `MDB_meta` (mdb.c). */
const FLAGS_AT = 24 + 24 + 4;
const MAIN_ROOT_AT = 24 + 24 + 48 + 40;
const TRANSACTION_AT = 24 + 24 + 2 * 48 + 8;
const BOOT_ID_AT = TRANSACTION_AT + 8;
const NOT_FLUSHED = 0x1000;
const FLUSHED_COPY_AT = PAGE_BYTES / 2;
const OTHER_BOOT = 0x1234_5678n;

describe('fault 23: the check of an LMDB store after a power cut', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-power-cut-'));
  const file = (name: string) => join(folder, name, 'data.mdb');
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** Appends fifty events in as few transactions as possible, so that no page of the flushed trees is reused. */
  async function append(name: string, first: number): Promise<void> {
    // With the options of earlier versions.
    const path = join(folder, name);
    const log = logIn(open({ path, maxDbs: 16, overlappingSync: true, eventTurnBatching: false, noSubdir: false }), path);
    const batches = Array.from({ length: 50 }, (_none, index) => {
      const events = [{ type: 'Written', text: 'x'.repeat(500) } as { type: string }];
      return { zone: ZONE, epoch: 1, firstSeq: first + index, version: 1, time: index, events, metas: null };
    });
    await appendTo(log, batches);
    await log.close();
  }

  before(async () => {
    await append('flushed', 1);
    cpSync(join(folder, 'flushed'), join(folder, 'newest'), { recursive: true });
    await append('newest', 51);
  });

  /**
   * Simulates a power cut: the two meta pages of the newest transactions were written, and the pages that they point to were not.
   * @param change further change of the file
   */
  function afterPowerCut(name: string, change: (content: Buffer) => void): string {
    const flushed = readFileSync(file('flushed'));
    const newest = readFileSync(file('newest'));
    const content = Buffer.from(newest);
    flushed.copy(content, FLUSHED_COPY_AT, FLUSHED_COPY_AT, PAGE_BYTES);
    for (let at = 2 * PAGE_BYTES; at < content.length; at += PAGE_BYTES) {
      const page = newest.subarray(at, at + PAGE_BYTES);
      if (!page.equals(flushed.subarray(at, at + PAGE_BYTES))) content.fill(0xaa, at, at + PAGE_BYTES);
    }
    for (const at of [0, PAGE_BYTES]) {
      content.writeUInt16LE(content.readUInt16LE(at + FLAGS_AT) | NOT_FLUSHED, at + FLAGS_AT);
      content.writeBigInt64LE(OTHER_BOOT, at + BOOT_ID_AT);
    }
    change(content);
    cpSync(join(folder, 'flushed'), join(folder, name), { recursive: true });
    writeFileSync(file(name), content);
    return join(folder, name);
  }

  /** Number of events that LMDB reads, in a separate process, because a damaged page would crash it. */
  function eventsRead(path: string): number | string {
    const script = `
      import { openLmdbLog } from ${JSON.stringify(new URL('../log/lmdb-log.ts', import.meta.url).href)};
      const log = openLmdbLog(${JSON.stringify(path)});
      let events = 0;
      for await (const batch of log.read('${ZONE}', 0, null)) events += batch.events.length;
      console.log(events);
      await log.close();`;
    const { stdout, signal, stderr } = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', script], { encoding: 'utf8' });
    return stdout === '' ? (signal ?? stderr) : Number(stdout);
  }

  test('a store whose newest transactions were not flushed is sound, and LMDB goes back to the flushed one', () => {
    const path = afterPowerCut('cut', () => {});
    assert.equal(checkLmdb(path, 'thorough'), null);
    assert.equal(checkLmdb(path, 'quick'), null);
    assert.equal(eventsRead(path), 50);
  });

  test('damage to the flushed transaction is reported, although the newest would be sound', () => {
    const path = afterPowerCut('flushed-damaged', (content) => {
      readFileSync(file('newest')).copy(content, 2 * PAGE_BYTES, 2 * PAGE_BYTES);
      content.writeBigUInt64LE(BigInt(content.length), FLUSHED_COPY_AT + MAIN_ROOT_AT);
    });
    assert.match(checkLmdb(path, 'thorough') ?? '', /missing or damaged/);
  });

  test('within the same boot nothing was lost, and the newest transaction is checked', () => {
    const ofThisBoot = (content: Buffer) => {
      for (const at of [0, PAGE_BYTES]) content.writeBigInt64LE(bootId(), at + BOOT_ID_AT);
    };
    assert.match(checkLmdb(afterPowerCut('same-boot', ofThisBoot), 'thorough') ?? '', /missing or damaged/);
    const whole = afterPowerCut('same-boot-whole', (content) => {
      readFileSync(file('newest')).copy(content, 2 * PAGE_BYTES, 2 * PAGE_BYTES);
      ofThisBoot(content);
    });
    assert.equal(checkLmdb(whole, 'thorough'), null);
    assert.equal(eventsRead(whole), 100);
  });

  test('after another boot the newest transaction is checked if it was flushed', () => {
    const path = afterPowerCut('clean', (content) => {
      readFileSync(file('newest')).copy(content);
      for (const at of [0, FLUSHED_COPY_AT, PAGE_BYTES]) content.writeBigInt64LE(OTHER_BOOT, at + BOOT_ID_AT);
    });
    assert.equal(checkLmdb(path, 'thorough'), null);
    assert.equal(eventsRead(path), 100);
  });
});
