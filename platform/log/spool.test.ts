import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { EventBatch } from '@millrace/kernel';
import fc from 'fast-check';
import { openSpool } from './spool.ts';
import { diskOf } from './spool-disk.ts';

const MIB = 1024 * 1024;
const batch = (seq: number, bytes = 10): EventBatch => ({
  zone: seq % 2 === 0 ? 'zone/even' : 'zone/odd',
  epoch: 1,
  firstSeq: seq,
  version: 1,
  time: 1,
  events: [{ type: 'Filled', text: 'x'.repeat(bytes) } as { type: string }],
  metas: null,
});
const seqs = (batches: readonly EventBatch[]) => batches.map(({ firstSeq }) => firstSeq);

describe('the spool', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-spool-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test('is a queue that survives the process', () => {
    const first = openSpool(folder, MIB);
    first.add([batch(1), batch(2), batch(3), batch(4)]);
    first.drop(1);
    const second = openSpool(folder, MIB);
    assert.deepEqual(seqs(second.oldest(2)), [2, 3]);
    assert.deepEqual(seqs(second.ofZone('zone/even')), [2, 4]);
    second.add([batch(5)]);
    second.drop(4);
    assert.equal(second.batches, 0);
    assert.deepEqual(readdirSync(folder), []);
    first.close();
    second.close();
  });

  test('a mark of segments that are deleted hides no later segment', () => {
    const first = openSpool(folder, 64 * MIB);
    for (let seq = 1; seq <= 12; seq++) first.add([batch(seq, MIB)]);
    first.drop(10);
    const mark = readFileSync(join(folder, 'read-up-to'), 'utf8');
    first.drop(2);
    first.close();
    // The process ended before it removed the mark.
    writeFileSync(join(folder, 'read-up-to'), mark);
    const second = openSpool(folder, MIB);
    assert.equal(second.batches, 0);
    second.add([batch(13), batch(14)]);
    second.close();
    const third = openSpool(folder, MIB);
    assert.deepEqual(seqs(third.oldest(100)), [13, 14]);
    third.close();
  });

  test('a segment that cannot be removed is reported, and nothing is written to it any more', () => {
    const disk = diskOf(folder);
    const opened: string[] = [];
    const closed = new Set<string>();
    const messages: string[] = [];
    let isReadOnly = true;
    const spool = openSpool(
      {
        ...disk,
        open: (name) => {
          opened.push(name);
          const file = disk.open(name);
          const use = <Result>(work: () => Result) => (closed.has(name) ? assert.fail(`${name} is used after its close`) : work());
          return {
            read: (at, bytes) => use(() => file.read(at, bytes)),
            write: (content, at) => use(() => file.write(content, at)),
            size: () => use(() => file.size()),
            close: () =>
              use(() => {
                closed.add(name);
                file.close();
              }),
          };
        },
        remove: (name) => {
          if (isReadOnly) throw new Error('EROFS: read-only file system');
          disk.remove(name);
        },
      },
      MIB,
      (message) => messages.push(message),
    );
    spool.add([batch(1)]);
    spool.drop(1);
    isReadOnly = false;
    assert.equal(spool.add([batch(2)]), 1);
    assert.deepEqual(seqs(spool.oldest(10)), [2]);
    assert.deepEqual(opened, ['00000001.spool', '00000002.spool']);
    assert.match(messages.join(), /00000001.spool in the spool cannot be removed: EROFS/);
    spool.close();
    // The log ignores the repeat.
    assert.deepEqual(seqs(openSpool(folder, MIB).oldest(10)), [1, 2]);
  });

  test('accepts no more than its quota', () => {
    const spool = openSpool(folder, 1_000);
    assert.equal(spool.add([batch(1, 300), batch(2, 300), batch(3, 300)]), 2);

    spool.drop(1);
    assert.equal(spool.add([batch(3, 300)]), 1);
    spool.close();
  });

  test('rolls over to new segments, and deletes drained ones', () => {
    const spool = openSpool(folder, 64 * MIB);
    for (let seq = 1; seq <= 20; seq++) spool.add([batch(seq, MIB)]);
    assert.ok(readdirSync(folder).length >= 2);
    spool.drop(15);
    assert.deepEqual(seqs(spool.oldest(100)), [16, 17, 18, 19, 20]);
    assert.ok(readdirSync(folder).filter((name) => name.endsWith('.spool')).length <= 2);
    spool.close();
  });

  test('ends at a torn record, and keeps all before it', () => {
    const first = openSpool(folder, MIB);
    first.add([batch(1), batch(2), batch(3)]);
    first.close();
    const [name] = readdirSync(folder);
    const path = join(folder, name ?? '');
    truncateSync(path, statSync(path).size - 5);
    const second = openSpool(folder, MIB);
    assert.deepEqual(seqs(second.oldest(100)), [1, 2]);
    second.add([batch(3)]);
    assert.deepEqual(seqs(openSpool(folder, MIB).oldest(100)), [1, 2, 3]);
    second.close();
  });

  test('fault 23: a damaged record is reported and set aside, and later ones are read, when it is opened and while it runs', () => {
    const damage = (seqBytes: number) => {
      const path = join(folder, readdirSync(folder).find((name) => name.endsWith('.spool')) ?? '');
      const content = readFileSync(path);
      const at = content.indexOf('x'.repeat(seqBytes)) + 5;
      content[at] = 0;
      writeFileSync(path, content);
    };
    const messages: string[] = [];
    const first = openSpool(folder, MIB, (message) => messages.push(message));
    first.add([batch(1, 40), batch(2, 50), batch(3, 60), batch(4, 20)]);
    damage(60);
    assert.throws(() => first.ofZone('zone/odd'), /damaged/);
    assert.deepEqual(seqs(first.oldest(100)), [1, 2, 4]);
    assert.equal(first.batches, 3);
    first.close();
    damage(50);
    const second = openSpool(folder, MIB, (message) => messages.push(message));
    assert.deepEqual(seqs(second.oldest(100)), [1, 4]);
    assert.equal(messages.length, 2);
    assert.match(
      messages[0] ?? '',
      /\d+ bytes at byte \d+ of 00000001.spool in the spool are damaged and were set aside as 00000001.spool.damaged-at-\d+$/,
    );
    assert.equal(readdirSync(folder).filter((name) => name.includes('damaged')).length, 2);
    second.drop(2);
    assert.equal(second.batches, 0);
    second.close();
  });

  test('fault 23: a record with a damaged length affects no other record', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 2, maxLength: 12 }),
        fc.nat(),
        fc.uint8Array({ minLength: 4, maxLength: 12 }),
        (sizes, which, garbage) => {
          rmSync(folder, { recursive: true, force: true });
          const first = openSpool(folder, MIB);
          const path = join(folder, '00000001.spool');
          const starts = sizes.map((size, index) => {
            const at = index === 0 ? 0 : statSync(path).size;
            first.add([batch(index + 1, size)]);
            return at;
          });
          first.close();
          const content = readFileSync(path);
          const victim = which % sizes.length;
          const at = starts[victim] ?? 0;
          const before = content.subarray(at, at + garbage.length).toString('hex');
          content.set(garbage, at);
          writeFileSync(path, content);
          const isDamaged = content.subarray(at, at + garbage.length).toString('hex') !== before;
          const expected = sizes.map((_size, index) => index + 1).filter((seq) => !isDamaged || seq !== victim + 1);
          const messages: string[] = [];
          const second = openSpool(folder, MIB, (message) => messages.push(message));
          assert.deepEqual(seqs(second.oldest(10_000)), expected);
          assert.equal(messages.length, isDamaged ? 1 : 0);
          const aside = readdirSync(folder).find((name) => name.includes('damaged-at'));
          if (isDamaged)
            assert.deepEqual(readFileSync(join(folder, aside ?? '')), content.subarray(at, starts[victim + 1] ?? content.length));
          // Batches that are added now are read back complete.
          second.add([batch(99)]);
          second.close();
          const third = openSpool(folder, MIB);
          assert.deepEqual(seqs(third.oldest(10_000)), [...expected, 99]);
          third.close();
        },
      ),
      { numRuns: 200 },
    );
  });

  test('stores batches that are given up in a file next to it, unchanged', () => {
    const messages: string[] = [];
    const spool = openSpool(folder, MIB, (message) => messages.push(message));
    spool.add([batch(1), batch(2), batch(3)]);
    const written = readFileSync(join(folder, '00000001.spool'));
    spool.drop(1);
    spool.giveUp(1);
    assert.deepEqual(seqs(spool.oldest(100)), [3]);
    const [name = ''] = readdirSync(folder).filter((each) => each.includes('given-up-at'));
    const kept = readFileSync(join(folder, name));
    assert.ok(kept.length > 0 && written.includes(kept));
    assert.match(messages[0] ?? '', /^1 batches of zone\/even are given up and were set aside as 00000001.spool.given-up-at-\d+$/);
    spool.close();
  });

  test('ends where a file has grown and was not written: zeros are not a record', () => {
    const first = openSpool(folder, MIB);
    first.add([batch(1), batch(2)]);
    first.close();
    const path = join(folder, readdirSync(folder)[0] ?? '');
    appendFileSync(path, Buffer.alloc(64));
    const second = openSpool(folder, MIB);
    assert.deepEqual(seqs(second.oldest(100)), [1, 2]);
    second.close();
  });

  test('accepts no more when the disk is full, and continues when there is space', () => {
    let isFull = false;
    const disk = diskOf(folder);
    const spool = openSpool(
      {
        ...disk,
        open: (name) => {
          const file = disk.open(name);
          return {
            ...file,
            write: (bytes, at) => {
              if (isFull) throw new Error('ENOSPC');
              file.write(bytes, at);
            },
          };
        },
      },
      MIB,
    );
    assert.equal(spool.add([batch(1)]), 1);
    isFull = true;
    assert.equal(spool.add([batch(2), batch(3)]), 0);
    isFull = false;
    assert.equal(spool.add([batch(2)]), 1);
    assert.deepEqual(seqs(spool.oldest(100)), [1, 2]);
    spool.close();
  });
});
