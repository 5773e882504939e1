import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { EventBatch, Spool } from '@millrace/kernel';
import { diskOf, type SpoolDisk } from './spool-disk.ts';
import { type FileSpools, openSpools } from './spools.ts';

const MIB = 1024 * 1024;
let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-spools-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const batch = (firstSeq: number, zone = 'zone/a'): EventBatch => ({
  ...{ zone, epoch: 1, firstSeq, version: 1, time: 1, metas: null },
  events: [{ type: 'Counted' }],
});
const seqs = (batches: readonly EventBatch[]) => batches.map(({ firstSeq }) => firstSeq);
const seen = (spool: Spool) => [spool.batches, seqs(spool.oldest(100)), seqs(spool.ofZone('zone/a'))];
/** The spool of a new owner whose claim has taken effect. */
function begun(spools: FileSpools, ...owners: [shard: number, owner: string, predecessor: string]): Spool {
  const spool = spools.open(...owners);
  spool.begin();
  return spool;
}
/** The files of the spools, without the reserve. */
const filesIn = (path: string) =>
  readdirSync(path)
    .filter((name) => !name.startsWith('reserve-'))
    .sort();
const open = (options: { onDamage?: (message: string) => void; writesLeft?: boolean } = {}) =>
  openSpools(folder, { bytesMax: MIB, ...options });

describe('the spool of a new owner', () => {
  test('begins with what its predecessor has left, in this process and in later ones, also when the claim had no other effect', () => {
    const first = open();
    first.open(3, 'one', '').add([batch(1), batch(2)]);
    const second = begun(first, 3, 'two', 'one');
    assert.deepEqual(seen(second), [2, [1, 2], [1, 2]]);
    second.add([batch(3)]);
    assert.deepEqual(seen(second), [3, [1, 2], [1, 2, 3]], 'those of one owner at a time');
    for (const [owner, previous] of [
      ['three', 'two'],
      ['four', 'three'],
    ] as const) {
      const later = open();
      const spool = begun(later, 3, owner, previous);
      assert.deepEqual(seen(spool), [3, [1, 2], [1, 2, 3]]);
      later.close(3);
    }
    const last = begun(open(), 3, 'five', 'four');
    last.drop(2);
    assert.deepEqual(seen(last), [1, [3], [3]]);
    last.drop(1);
    last.add([batch(4)]);
    assert.deepEqual(seen(last), [1, [4], [4]]);
    assert.deepEqual(seen(begun(open(), 3, 'six', 'five')), [1, [4], [4]]);
  });

  test('has what the predecessor adds until the claim has taken effect', () => {
    const spools = open();
    const one = spools.open(3, 'one', '');
    const two = spools.open(3, 'two', 'one');
    one.add([batch(1)]);
    assert.deepEqual(seen(two), [1, [1], [1]]);
    assert.deepEqual(seen(begun(open(), 3, 'three', 'two')), [1, [1], [1]]);
  });

  test('is not confused by claims that took no effect, or took effect late', () => {
    const first = open();
    first.open(3, 'one', '').add([batch(1)]);
    first.open(3, 'late', 'one');
    first.open(3, 'void', 'one');
    assert.deepEqual(seen(begun(open(), 3, 'four', 'late')), [1, [1], [1]]);
  });

  test('removes the files of claims that took no effect, also of those without batches', () => {
    open()
      .open(3, 'one', '')
      .add([batch(1)]);
    for (const owner of ['void', 'also-void']) open().open(3, owner, 'one');
    const two = begun(open(), 3, 'two', 'one');
    assert.deepEqual(filesIn(folder), ['shard-3.one.00000001.spool', 'shard-3.two.after']);
    two.drop(1);
    assert.deepEqual(filesIn(folder), []);
  });

  test('changes nothing of owners that follow it, when its process learns late that its claim has taken effect', () => {
    open()
      .open(3, 'one', '')
      .add([batch(1)]);
    const two = open().open(3, 'two', 'one');
    const three = begun(open(), 3, 'three', 'two');
    three.add([batch(2)]);
    open().open(3, 'four', 'three');
    two.begin();
    assert.deepEqual(seen(begun(open(), 3, 'five', 'four')), [2, [1], [1, 2]]);
  });

  test('does not have what another owner has left, or of another shard; that is kept for an operator', () => {
    const messages: string[] = [];
    open()
      .open(3, 'one', '')
      .add([batch(1)]);
    open()
      .open(4, 'other', '')
      .add([batch(7)]);
    const next = open({ onDamage: (message) => messages.push(message) });
    assert.deepEqual(seen(begun(next, 3, 'three', 'elsewhere')), [0, [], []]);
    assert.match(
      messages.join(),
      /^the spool of an earlier owner of shard 3 is not part of its log.*kept as shard-3\.one\.\*\.spool\.abandoned$/,
    );
    assert.ok(readdirSync(folder).includes('shard-3.one.00000001.spool.abandoned'));
    assert.deepEqual(seen(begun(open(), 3, 'four', 'one')), [0, [], []], 'the log never goes back to it');
    assert.deepEqual(seen(begun(open(), 4, 'five', 'other')), [1, [7], [7]]);
  });

  test('does not have what a predecessor in another process adds after that, neither now nor for later owners', () => {
    const zombie = open().open(3, 'one', '');
    zombie.add([batch(1)]);
    const second = open();
    const two = second.open(3, 'two', 'one');
    zombie.add([batch(2)]);
    two.begin();
    zombie.add([batch(3)]);
    two.add([batch(2, 'zone/other')]);
    const zones = (spool: Spool) => spool.oldest(100).map(({ zone, firstSeq }) => `${zone} ${firstSeq}`);
    assert.deepEqual(zones(two), ['zone/a 1']);
    const three = begun(open(), 3, 'three', 'two');
    assert.equal(three.batches, 2);
    three.drop(1);
    assert.deepEqual(zones(three), ['zone/other 2']);
  });

  test('is linked to its predecessor on a full disk, too', () => {
    const full: SpoolDisk = {
      ...diskOf(folder),
      writeText: () => {
        throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
      },
    };
    const spools = openSpools(full, { bytesMax: MIB });
    spools.open(3, 'one', '').add([batch(1)]);
    begun(spools, 3, 'two', 'one').add([batch(2)]);
    spools.open(3, 'three', 'two');
    const last = begun(openSpools(full, { bytesMax: MIB }), 3, 'four', 'three');
    assert.deepEqual(seen(last), [2, [1], [1, 2]]);
    const reserved = () => readdirSync(folder).length - filesIn(folder).length;
    const before = reserved();
    last.drop(1);
    last.drop(1);
    assert.ok(reserved() > before, 'the reserve is complete again when the predecessors are drained');
  });

  test('changes nothing of other owners before the claim has taken effect', () => {
    open()
      .open(3, 'one', '')
      .add([batch(1)]);
    const other = begun(open(), 3, 'other', 'one');
    other.add([batch(2)]);
    open().open(3, 'void', 'one');
    assert.deepEqual(seen(begun(open(), 3, 'next', 'other')), [2, [1], [1, 2]]);
  });

  test('reads nothing before the claim has taken effect: a large spool must not delay it', () => {
    open()
      .open(3, 'one', '')
      .add([batch(1)]);
    const disk = diskOf(folder);
    let reads = 0;
    const counting: SpoolDisk = {
      ...disk,
      open: (name) => {
        const file = disk.open(name);
        const read: typeof file.read = (at, length) => {
          reads++;
          return file.read(at, length);
        };
        return { ...file, read };
      },
    };
    const spool = openSpools(counting, { bytesMax: MIB }).open(3, 'two', 'one');
    assert.equal(reads, 0);
    spool.begin();
    assert.deepEqual(seen(spool), [1, [1], [1]]);
  });

  test('leaves no file when it is drained, except for those that are kept for an operator', () => {
    const kept = ['00000001.spool.damaged-at-7', 'shard-3.zero.00000001.spool.given-up-at-0', 'shard-3.zero.00000001.spool.abandoned'];
    for (const name of kept) writeFileSync(join(folder, name), 'x');
    open()
      .open(3, 'one', '')
      .add([batch(1)]);
    const two = begun(open(), 3, 'two', 'one');
    two.add([batch(2)]);
    two.drop(1);
    two.drop(1);
    begun(open(), 3, 'three', 'two');
    assert.deepEqual(filesIn(folder), [...kept].sort());
  });
});

test('all shards share one quota, and a closed shard gives its part back', () => {
  const spools = openSpools(folder, { bytesMax: 500 });
  const [one, two] = [spools.open(1, 'a', ''), spools.open(2, 'b', '')];
  const added = one.add(Array.from({ length: 100 }, (_none, index) => batch(index + 1)));
  assert.ok(added > 0 && added < 100);
  assert.equal(two.add([batch(1)]), 0);
  assert.ok(spools.bytes > 400 && spools.bytes <= 500);
  spools.close(1);
  assert.equal(spools.bytes, 0);
  assert.equal(two.add([batch(1)]), 1);
});

test('the shards with batches of an earlier run are known, if this process is to write them', () => {
  const first = open();
  first.open(3, 'one', '').add([batch(1)]);
  first.open(12, 'one', '').add([batch(1)]);
  first.open(5, 'one', '').add([batch(1)]);
  begun(first, 5, 'two', 'one').drop(1);
  assert.deepEqual(open({ writesLeft: true }).left().sort(), [12, 3]);
  assert.deepEqual(open().left(), []);
});
