import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { continuationOf, type SnapshotOutline } from './continuation.ts';
import type { WrittenBatch } from './written-batch.ts';

/** Events `first` to `last`, decided under an epoch and written under that or a later one. */
const batch = (first: number, last: number, epoch = 1, writer = epoch): WrittenBatch => ({
  zone: 'zone/a',
  epoch,
  writer,
  firstSeq: first,
  version: 1,
  time: 0,
  events: Array.from({ length: last - first + 1 }, () => ({ type: 'Happened' })),
  metas: null,
});
const snapshot = (seq: number, epoch = 1, unrecorded: WrittenBatch[] = []): SnapshotOutline => ({ epoch, seq, unrecorded });
const readUpTo = (seq: number, epoch = 1) => ({ seq, firstSeqs: new Map(seq > 0 ? [[epoch, 1]] : []) });

/** The parts that follow, as "5-8" for events and "5=8" for a state instead of events. */
function follows(
  read: Parameters<typeof continuationOf>[0],
  { snapshots = [], spools = [] }: { snapshots?: SnapshotOutline[]; spools?: WrittenBatch[][] },
): string {
  return continuationOf(read, { labels: snapshots, snapshots: snapshots.filter(({ seq }) => seq > read.seq), spools })
    .parts.map((part) =>
      part.kind === 'events'
        ? `${part.batch.firstSeq}-${part.batch.firstSeq + part.batch.events.length - 1}`
        : `${part.firstSeq}=${part.snapshot.seq}`,
    )
    .join(' ');
}

describe('fault 23: continuation of a zone after the readable part of a damaged log', () => {
  test('nothing follows when no data is ahead', () => {
    assert.equal(follows(readUpTo(4), { snapshots: [snapshot(3)], spools: [[batch(1, 4)]] }), '');
  });

  test('a snapshot that carries the events which the log lacks is no loss', () => {
    assert.equal(follows(readUpTo(4), { snapshots: [snapshot(8, 1, [batch(3, 6), batch(7, 8)])] }), '5-6 7-8');
  });

  test('events of a spool follow, also those of another owner’s epoch', () => {
    assert.equal(follows(readUpTo(4), { spools: [[batch(5, 6)], [batch(7, 9, 2)]] }), '5-6 7-9');
  });

  test('a snapshot without carried events proves that the log had them, and its state replaces them', () => {
    assert.equal(follows(readUpTo(4), { snapshots: [snapshot(6), snapshot(8)] }), '5=8');
  });

  test('a state replaces as few events as possible', () => {
    const carrying = snapshot(12, 1, [batch(9, 12)]);
    assert.equal(follows(readUpTo(4), { snapshots: [snapshot(6), snapshot(8), carrying] }), '5=8 9-12');
    assert.equal(follows(readUpTo(4), { snapshots: [snapshot(6), carrying] }), '5=12');
    assert.equal(follows(readUpTo(4), { snapshots: [snapshot(8)], spools: [[batch(7, 10)]] }), '5=8 9-10');
  });

  test('a snapshot of an abandoned branch is not used, nor are its carried events', () => {
    const givenUp = snapshot(10, 1, [batch(5, 10)]);
    assert.equal(
      follows(
        {
          seq: 6,
          firstSeqs: new Map([
            [1, 1],
            [2, 5],
          ]),
        },
        { snapshots: [givenUp] },
      ),
      '',
      'the log goes on without it',
    );
    assert.equal(follows(readUpTo(4), { snapshots: [snapshot(6, 2), givenUp] }), '5=6', 'a newer owner was not that far');
    assert.equal(follows(readUpTo(4), { snapshots: [snapshot(4, 2), givenUp] }), '', 'a newer owner was where the log ends');
    assert.equal(follows(readUpTo(4), { snapshots: [givenUp], spools: [[batch(5, 5, 2)]] }), '5-5', 'a newer owner decided other events');
  });

  test('events that an owner rewrote for the one before it belong to its branch', () => {
    assert.equal(follows(readUpTo(4), { snapshots: [snapshot(8, 2, [batch(5, 6, 1, 2), batch(7, 8, 2)])] }), '5-6 7-8');
  });

  test('only the batches of the newest writer on a spool are valid', () => {
    assert.equal(follows(readUpTo(4), { spools: [[batch(5, 6), batch(7, 8), batch(5, 6, 1, 2)]] }), '5-6');
  });

  test('batches on the spool of another host do not replace events that a newer owner had in the log', () => {
    const head = { epoch: 2, seq: 6 };
    assert.equal(follows({ ...readUpTo(4), head }, { spools: [[batch(5, 8)]] }), '');
    assert.equal(follows({ ...readUpTo(4), head: { epoch: 2, seq: 4 } }, { spools: [[batch(5, 8)]] }), '5-8', 'it was only claimed');
  });

  test('events after a gap that no state fills do not follow, and are reported as missing', () => {
    const found = continuationOf(readUpTo(4), { labels: [], snapshots: [], spools: [[batch(7, 8)]] });
    assert.deepEqual([found.parts, found.seq, found.knownSeq], [[], 4, 8]);
  });

  test('a hundred thousand batches are sorted quickly', () => {
    const spool = Array.from({ length: 100_000 }, (_none, index) => batch(index + 1, index + 1));
    assert.equal(continuationOf(readUpTo(0), { labels: [], snapshots: [], spools: [spool] }).seq, 100_000);
  });
});
